/* throttle: rates as people write them, and which replicas of a topic are meant. */
#include "controller/cli/throttle.h"

#include <check.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

START_TEST(rates)
{
    static const struct {
        const char *text;
        int64_t rate;
    } good[] = { { "1000", 1000 },     { "80MB/s", 80000000 },   { "80 MB/s", 80000000 },
                 { "80mb", 80000000 }, { "1.5GiB", 1610612736 }, { "64KiB/s", 65536 },
                 { "10B/s", 10 },      { "2G", 2000000000 } };
    static const char *const bad[] = { "", "fast", "0", "-5", "10x", "10 MB/h", "0.1", "MB/s" };
    int64_t rate;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        ck_assert_msg(throttle_parse(good[i].text, &rate), "%s", good[i].text);
        ck_assert_int_eq(rate, good[i].rate);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!throttle_parse(bad[i], &rate), "%s", bad[i]);
}
END_TEST

START_TEST(leaders_are_all_that_have_it_followers_the_new_ones)
{
    const int32_t from[] = { 1, 2 }, to[] = { 3, 2 };
    const struct planned moves[] = {
        { .topic = STR("a"), .partition = 0, .from = IDS_OF(from), .to = IDS_OF(to) },
        { .topic = STR("a"), .partition = 4, .from = IDS_OF(to), .to = IDS_OF(from) },
    };
    struct str leader, follower;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    throttle_replicas(&arena, moves, 2, &leader, &follower);
    ck_assert(str_is(leader, "0:1,0:2,4:3,4:2"));
    ck_assert(str_is(follower, "0:3,4:1"));
    arena_fini(&arena);
}
END_TEST

START_TEST(a_move_copies_to_whom_it_adds)
{
    const int32_t from[] = { 1, 2 }, to[] = { 2, 3, 4 };
    struct planned moves[] = {
        { .topic = STR("a"), .from = IDS_OF(from), .to = IDS_OF(from) },
        { .topic = STR("b"), .from = IDS_OF(from), .to = IDS_OF(to) },
    };

    ck_assert_uint_eq(planned_copies(&moves[0]), 0);
    ck_assert_uint_eq(planned_copies(&moves[1]), 2);
    ck_assert_int_eq(moves_only_changes(moves, 2), 1);
    ck_assert(str_is(moves[0].topic, "b"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("throttle");

    tcase_add_test(tc, rates);
    tcase_add_test(tc, leaders_are_all_that_have_it_followers_the_new_ones);
    tcase_add_test(tc, a_move_copies_to_whom_it_adds);
    return unit_run(tc);
}
