/*
 * log_load: directories that Kafka 3.9 wrote are opened as they are. One that was stopped cleanly
 * is not changed by a byte; what recovery rebuilds is what Kafka had written; the one that was
 * killed ends where Kafka's own recovery ends.
 */
#include "broker/log/log_load.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/logs.h"
#include "common/base/mem.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

#define NEVER (INT64_MAX / 4)

/* The settings that the recorded topics had. */
static void conf_of(void *ctx, const char *topic, struct log_conf *conf)
{
    static const struct {
        const char *topic;
        int64_t segment_bytes;
        int64_t index_interval_bytes;
    } known[] = {
        { "g-compact", 3000, 300 },      { "g-compact-shortdr", 3000, 4096 },
        { "g-compact-txn", 1500, 4096 }, { "g-many", 5000, 500 },
        { "g-retention", 2000, 4096 },   { "g-segs", 3000, 300 },
        { "g-txn-segs", 2500, 300 },
    };

    (void)ctx;
    conf->producer_expiration_ms = NEVER; /* the recorded timestamps are old */
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(known[i].topic, topic) == 0) {
            conf->segment_bytes = known[i].segment_bytes;
            conf->index_interval_bytes = known[i].index_interval_bytes;
        }
}

__attribute__((format(printf, 1, 2))) static void run(const char *format, ...)
{
    va_list args;
    char command[3 * DISK_PATH_MAX];

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    ck_assert_msg(system(command) == 0, "failed: %s", command);
}

/* A fresh copy of a recorded directory. */
static char *unpack(const char *name)
{
    char *dir = xstrdup(unit_temp_dir());
    char *data = xasprintf("logs/%s.tar.gz", name);

    run("tar xzf '%s' -C '%s'", unit_data(data), dir);
    free(data);
    return dir;
}

static struct logs *open_dir(const char *dir)
{
    const char *dirs[] = { dir };
    struct logs_options options = { .dirs = dirs,
                                    .dir_count = 1,
                                    .broker_id = -1,
                                    .no_threads = true,
                                    .conf_of = conf_of,
                                    .checkpoint_ms = NEVER,
                                    .start_checkpoint_ms = NEVER };
    struct logs *logs;

    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    return logs;
}

static void check_log(void *ctx, struct log *log)
{
    struct logs *logs = ctx;
    int64_t hw = logs_saved_hw(logs, log);

    ck_assert_int_eq(log_leo(log), hw);
    ck_assert_msg(log_kit_check(log, false) >= 0, "%s", log_name(log));
}

static void adopt_and_compare(const char *name)
{
    char *pristine = unpack(name);
    char *dir = unpack(name);
    struct logs *logs = open_dir(dir);

    logs_each(logs, check_log, logs);
    logs_close(&logs);
    /* A deleted segment may stay or go; checkpoints list the same in another order. */
    run("diff -r -x '*.deleted' -x '*-checkpoint' -x meta.properties '%s' '%s'", pristine, dir);
    /* Of an empty log the epoch that starts at its end goes, as when Kafka loads it. */
    run("cd '%s' && for f in */leader-epoch-checkpoint; do test -z \"$(find ${f%%/*} -name "
        "'*.log' -size +0)\" || cmp $f '%s'/$f || exit 1; done",
        pristine, dir);
    free(pristine);
    free(dir);
}

START_TEST(a_clean_directory_is_not_changed)
{
    adopt_and_compare("broker1-clean-stop");
}
END_TEST

START_TEST(old_formats_are_not_changed_either)
{
    adopt_and_compare("message-formats-v0-v1");
}
END_TEST

START_TEST(recovery_builds_what_kafka_had_written)
{
    char *pristine = unpack("broker1-clean-stop");
    char *dir = unpack("broker1-clean-stop");

    run("cd '%s' && rm -f .kafka_cleanshutdown recovery-point-offset-checkpoint", dir);
    run("cd '%s' && rm -f */*.index */*.timeindex */*.txnindex */*.snapshot", dir);
    /* Compaction took an aborted transaction away: its marker alone ends nothing. */
    run("cd '%s' && rm -r *-delete g-compact-txn-0/*155.txnindex", pristine);
    run("cd '%s' && rm -r *-delete", dir);
    struct logs *logs = open_dir(dir);

    logs_each(logs, check_log, logs);
    logs_close(&logs);
    run("diff -r -x '*.snapshot' -x '*-checkpoint' -x meta.properties '%s' '%s'", pristine, dir);
    free(pristine);
    free(dir);
}
END_TEST

/* What the killed broker had, and where Kafka's recovery ended. */
static const struct {
    const char *topic;
    int64_t leo;
    int64_t stable; /* last stable offset */
} killed[] = {
    { "g-many", 300, 300 },    { "g-segs", 160, 160 },     { "g-txn", 55, 25 },
    { "g-epochs", 20, 20 },    { "g-txn-segs", 150, 150 }, { "g-txn-open", 30, 25 },
    { "g-java-none", 40, 40 }, { "dr", 10, 10 },
};

START_TEST(a_killed_directory_ends_where_kafka_says)
{
    char *dir = unpack("broker1-kill9");
    char *recovered = unpack("broker1-after-recovery");
    struct logs *logs = open_dir(dir);

    for (size_t i = 0; i < ARRAY_LEN(killed); i++) {
        struct log *log = logs_get_ref(logs, killed[i].topic, 0);

        ck_assert_ptr_nonnull(log);
        ck_assert_msg(log_leo(log) == killed[i].leo, "%s %lld", killed[i].topic,
                      (long long)log_leo(log));
        log_on_hw(log, log_leo(log));
        ck_assert_int_eq(log_last_stable_offset(log, log_leo(log)), killed[i].stable);
        ck_assert_int_ge(log_kit_check(log, false), 0);
        log_unref(&log);
    }
    logs_close(&logs);
    /* Kafka had the last segment's indexes at full length when it was copied. */
    run("diff -r -x '*273.*index' -x '*-checkpoint' '%s'/g-many-0 '%s'/g-many-0", recovered, dir);
    free(recovered);
    free(dir);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log_load");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_clean_directory_is_not_changed);
    tcase_add_test(tc, old_formats_are_not_changed_either);
    tcase_add_test(tc, recovery_builds_what_kafka_had_written);
    tcase_add_test(tc, a_killed_directory_ends_where_kafka_says);
    return unit_run(tc);
}
