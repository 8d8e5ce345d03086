/*
 * broker: a stop that is asked for during the start ends it, and leaves the directories as clean
 * or unclean as they were. No ZooKeeper is there.
 */
#include "broker/broker.h"

#include <check.h>
#include <stdio.h>
#include <unistd.h>

#include "broker/log/checkpoint.h"
#include "broker/log/logs.h"
#include "common/base/mem.h"
#include "tests/kit/unit.h"

#define CLUSTER "AW6T_lL_R4iq6IuFZW4UEA"

static const char *dir;
static int looks; /* for a stop that is asked for */

static bool is_stopping(void *ctx)
{
    (void)ctx;
    looks++;
    return true;
}

static void on_fatal(void *ctx)
{
    (void)ctx;
    ck_abort_msg("nothing is fatal here");
}

static enum err start(const char *other)
{
    char log_dirs[256];
    const char *overrides[] = { "broker.id=1",
                                "listeners=PLAINTEXT://127.0.0.1:0",
                                "zookeeper.connect=127.0.0.1:1", /* where nobody listens */
                                "num.network.threads=1",
                                log_dirs,
                                other };
    struct broker_hooks hooks = { .on_fatal = on_fatal, .is_stopping = is_stopping };
    struct broker_conf settings;
    struct broker *broker = NULL;
    struct conf *conf;

    snprintf(log_dirs, sizeof log_dirs, "log.dirs=%s", dir);
    ck_assert_int_eq(
        broker_conf_load(NULL, other != NULL ? ARRAY_LEN(overrides) : ARRAY_LEN(overrides) - 1,
                         overrides, &settings, &conf),
        ERR_OK);
    enum err err = broker_start(conf, &settings, &hooks, &broker);

    ck_assert_ptr_null(broker);
    conf_free(&conf);
    return err;
}

/* A directory with a log, as a process of broker 1 left it. */
static void leave_a_log(bool clean)
{
    struct logs_options options = { .dirs = &dir,
                                    .dir_count = 1,
                                    .broker_id = 1,
                                    .cluster_id = CLUSTER,
                                    .recovery_threads = 1,
                                    .flush_check_ms = INT64_MAX,
                                    .checkpoint_ms = 60000,
                                    .start_checkpoint_ms = 60000 };
    struct logs *logs;
    struct log *log;

    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    ck_assert_int_eq(logs_create(logs, "t", 0, (struct uuid){ .bytes = { 1 } }, true, NULL, &log),
                     ERR_OK);
    log_unref(&log);
    if (clean)
        logs_close(&logs);
    else
        logs_abandon(&logs);
}

static bool is_marked_clean(void)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", dir, CLEAN_MARK_FILE);
    return access(path, F_OK) == 0;
}

static void setup(void)
{
    dir = unit_temp_dir();
    looks = 0;
}

START_TEST(a_stop_ends_a_recovery)
{
    leave_a_log(false);
    ck_assert_int_eq(start(NULL), ERR_SHUTTING_DOWN);
    ck_assert(!is_marked_clean());
    ck_assert_int_eq(looks, 1); /* and ZooKeeper was not asked for anything */
}
END_TEST

START_TEST(a_stop_ends_the_wait_for_zookeeper)
{
    leave_a_log(true);
    ck_assert_int_eq(start(NULL), ERR_SHUTTING_DOWN);
    ck_assert(is_marked_clean());
    ck_assert_int_eq(looks, 1);
}
END_TEST

START_TEST(a_first_start_is_stopped)
{
    ck_assert_int_eq(start(NULL), ERR_SHUTTING_DOWN);
    ck_assert_int_eq(start("broker.id=-1"), ERR_SHUTTING_DOWN); /* none is made */
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("broker");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, a_stop_ends_a_recovery);
    tcase_add_test(tc, a_stop_ends_the_wait_for_zookeeper);
    tcase_add_test(tc, a_first_start_is_stopped);
    return unit_run(tc);
}
