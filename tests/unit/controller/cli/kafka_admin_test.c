/* kafka_admin: the order of Java's sets of partitions, as its tools were recorded to print them. */
#include "controller/cli/kafka_admin.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

static void is_printed(const struct kafka_part *parts, size_t n, const char *wanted)
{
    char text[512] = "";
    struct arena arena;
    size_t *order;

    arena_init(&arena, SIZE_MAX);
    order = kafka_set_order(&arena, parts, n);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(text);

        snprintf(text + len, sizeof text - len, "%s%.*s-%d", i > 0 ? ", " : "",
                 STR_ARG(parts[order[i]].topic), parts[order[i]].partition);
    }
    ck_assert_str_eq(text, wanted);
    arena_fini(&arena);
}

START_TEST(sets_are_walked_as_javas)
{
    const struct kafka_part two[] = { { STR("ep"), 0 }, { STR("unc"), 0 } };
    const struct kafka_part many[] = {
        { STR("__consumer_offsets"), 1 },
        { STR("__transaction_state"), 0 },
        { STR("__transaction_state"), 3 },
        { STR("compacted_1"), 0 },
        { STR("g-epochs"), 0 },
        { STR("plain"), 1 },
        { STR("unc"), 0 },
    };

    is_printed(two, ARRAY_LEN(two), "unc-0, ep-0");
    is_printed(many, ARRAY_LEN(many),
               "__transaction_state-0, plain-1, g-epochs-0, __transaction_state-3, unc-0, "
               "compacted_1-0, __consumer_offsets-1");
}
END_TEST

START_TEST(maps_are_walked_as_javas)
{
    const struct str names[] = { STR("ba"), STR("compacted_1"), STR("defaults"), STR("plain"),
                                 STR("with.config") };
    static const char *const wanted[] = { "compacted_1", "with.config", "defaults", "plain", "ba" };
    struct arena arena;
    size_t *order;

    arena_init(&arena, SIZE_MAX);
    order = kafka_map_order(&arena, names, ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        ck_assert(str_is(names[order[i]], wanted[i]));
    arena_fini(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("kafka_admin");

    tcase_add_test(tc, sets_are_walked_as_javas);
    tcase_add_test(tc, maps_are_walked_as_javas);
    return unit_run(tc);
}
