/*
 * control: who waits for ZooKeeper at the start is let go when a stop is asked for, and who has
 * been told nothing to lead hands nothing over.
 */
#include "broker/control/control.h"

#include <check.h>

#include "tests/kit/parts_kit.h"
#include "tests/kit/unit.h"

#define NOWHERE "127.0.0.1:1" /* nobody listens there */
#define LONG_MS 60000

static struct control *control;
static struct resolver *resolver;
static struct node self;
static int looks_before_stop;

static bool is_stopping(void *ctx)
{
    (void)ctx;
    return looks_before_stop-- <= 0;
}

static void on_fatal(void *ctx, const char *why)
{
    (void)ctx;
    ck_abort_msg("%s", why);
}

static void start(bool (*stops)(void *ctx))
{
    resolver = resolver_new(NULL, NULL);

    struct control_conf conf = { .self = &self,
                                 .resolver = resolver,
                                 .zookeeper_connect = NOWHERE,
                                 .zookeeper_session_timeout_ms = 6000,
                                 .state_dir = unit_temp_dir(),
                                 .software = "test",
                                 .is_stopping = stops,
                                 .on_fatal = on_fatal };

    control = control_start(&conf);
}

static void stop(void)
{
    control_stop(&control);
    resolver_free(&resolver);
}

START_TEST(a_stop_ends_the_wait_for_zookeeper)
{
    char id[23];

    start(is_stopping);
    looks_before_stop = 0;
    ck_assert_int_eq(control_wait_cluster_id(control, LONG_MS, id), ERR_SHUTTING_DOWN);
    looks_before_stop = 2; /* it is looked for during the wait, too */
    ck_assert_int_eq(control_wait_cluster_id(control, LONG_MS, id), ERR_SHUTTING_DOWN);
    stop();
}
END_TEST

START_TEST(a_stop_ends_the_wait_for_a_number)
{
    int32_t number;

    start(is_stopping);
    looks_before_stop = 2;
    ck_assert_int_eq(control_take_seqid(control, LONG_MS, &number), ERR_SHUTTING_DOWN);
    stop();
}
END_TEST

/* As while the registration of an earlier process stands in the way. */
START_TEST(who_has_had_no_image_leaves_at_once)
{
    struct control_parties parties;

    pk_setup();
    parties = (struct control_parties){ .parts = pk.parts };
    start(NULL);
    control_attach(control, &parties);
    control_enroll(control);
    ck_assert_int_eq(control_leave(control, 3, LONG_MS), ERR_OK);
    control_stop(&control);
    pk_teardown();
}
END_TEST

START_TEST(without_a_stop_it_ends_in_time)
{
    char id[23];

    start(NULL);
    ck_assert_int_eq(control_wait_cluster_id(control, 1, id), ERR_TIMED_OUT);
    stop();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("control");

    tcase_add_test(tc, a_stop_ends_the_wait_for_zookeeper);
    tcase_add_test(tc, a_stop_ends_the_wait_for_a_number);
    tcase_add_test(tc, who_has_had_no_image_leaves_at_once);
    tcase_add_test(tc, without_a_stop_it_ends_in_time);
    return unit_run(tc);
}
