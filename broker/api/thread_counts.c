/*
 * A change is made at one level, of this broker or of all; what then is in force may still come
 * from another. So the number is looked up twice: as it is, and with the level changed.
 */
#include "broker/api/thread_counts.h"

#include <inttypes.h>

#include "common/base/mem.h"

static const enum broker_conf_index counts[] = {
    BROKER_CONF_num_io_threads,       BROKER_CONF_num_network_threads,
    BROKER_CONF_num_replica_fetchers, BROKER_CONF_num_recovery_threads_per_data_dir,
    BROKER_CONF_background_threads,   BROKER_CONF_log_cleaner_threads,
};

/* What the changed level says of a setting afterwards; null: nothing. was: what it says now. */
static struct str edited(const struct thread_change *change, struct str name, struct str was)
{
    for (size_t i = 0; i < change->n; i++)
        if (str_eq(change->edits[i].name, name))
            return change->edits[i].value;
    return change->replaces ? STR_NULL : was;
}

/* The number in force now and after the change; false when either is none. */
static bool numbers_of(const struct settings *settings, const struct image *image,
                       const struct thread_change *change, const struct conf_key *key, int64_t *now,
                       int64_t *then)
{
    enum settings_source level = change->of_all ? SETTINGS_OF_CLUSTER : SETTINGS_OF_BROKER;
    struct str texts[SETTINGS_OF_KAFKA + 1];
    struct settings_value values[SETTINGS_VALUES_MAX];
    size_t n = settings_values(settings, image, key, values);

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        texts[i] = STR_NULL;
    for (size_t i = 0; i < n; i++)
        texts[values[i].source] = values[i].text;
    texts[level] = edited(change, str_of(key->name), texts[level]);
    for (enum settings_source at = SETTINGS_OF_BROKER; at <= SETTINGS_OF_KAFKA; at++)
        if (!str_is_null(texts[at]))
            return n > 0 && conf_check(key, texts[at], NULL) == ERR_OK &&
                   str_to_i64(str_trim(values[0].text), now) &&
                   str_to_i64(str_trim(texts[at]), then);
    return false;
}

static struct str why_not(const struct conf_key *key, int64_t now, int64_t then,
                          struct arena *arena)
{
    bool is_cleaner = key == &broker_conf_table.keys[BROKER_CONF_log_cleaner_threads];

    if (then < 1)
        return is_cleaner ? STR("Log cleaner threads should be at least 1")
                          : arena_printf(arena,
                                         "Dynamic thread count update validation failed for "
                                         "%s=%" PRId64 ", value should be at least 1",
                                         key->name, then);
    if (then >= now / 2 && then <= now * 2)
        return STR_NULL;
    if (is_cleaner)
        return arena_printf(
            arena, "Log cleaner threads cannot be %s the current value %" PRId64,
            then < now ? "reduced to less than half" : "increased to more than double", now);
    return arena_printf(arena,
                        "Dynamic thread count update validation failed for %s=%" PRId64
                        ", value should %s the current value %" PRId64,
                        key->name, then,
                        then < now ? "be at least half" : "not be greater than double", now);
}

struct str thread_counts_refusal(const struct settings *settings, const struct image *image,
                                 const struct thread_change *change, struct arena *arena)
{
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        const struct conf_key *key = &broker_conf_table.keys[counts[i]];
        int64_t now, then;

        if (counts[i] == BROKER_CONF_log_cleaner_threads &&
            !settings_broker_conf(settings)->log_cleaner_enable)
            continue; /* there are none */
        if (!numbers_of(settings, image, change, key, &now, &then) || then == now)
            continue;
        struct str why = why_not(key, now, then, arena);

        if (!str_is_null(why))
            return why;
    }
    return STR_NULL;
}
