/*
 * fetch_session: what an incremental request names, what an answer need not say again, and what the
 * session keeps of a partition that is quiet.
 */
#include "broker/api/fetch_session.h"

#include <check.h>

#include "common/base/mem.h"
#include "gen/wire/fetch.h"
#include "tests/kit/unit.h"

#define VERSION 13
#define PARTS   3

static struct fetch_sessions *sessions;
static struct arena arena;
static struct fetch_plan plan;
static int64_t offsets[PARTS];

static bool name_of(void *ctx, struct uuid id, struct str *name)
{
    (void)ctx;
    (void)id;
    *name = STR("t");
    return true;
}

static bool id_of(void *ctx, struct str name, struct uuid *id)
{
    (void)ctx;
    (void)name;
    id->bytes[0] = 1;
    return true;
}

static const struct fetch_names names = { .name_of = name_of, .id_of = id_of };

static void setup(void)
{
    arena_init(&arena, SIZE_MAX);
    sessions = fetch_sessions_new(10, 7);
}

static void teardown(void)
{
    fetch_plan_fini(sessions, &plan);
    fetch_sessions_free(&sessions);
    arena_fini(&arena);
}

/* The next request of the session that names so many partitions from `first` on. */
static struct fetch_plan ask(int32_t session_id, int32_t epoch, int32_t first, int32_t count)
{
    struct fetch_request_topic topic;
    struct fetch_request_partition parts[PARTS];
    struct fetch_request req;
    struct fetch_plan out;

    fetch_request_init(&req);
    fetch_request_topic_init(&topic);
    topic.topic_id.bytes[0] = 1;
    topic.partitions = parts;
    topic.partitions_len = count;
    for (int32_t i = 0; i < count; i++) {
        fetch_request_partition_init(&parts[i]);
        parts[i].partition = first + i;
        parts[i].current_leader_epoch = 5;
        parts[i].fetch_offset = offsets[first + i];
        parts[i].partition_max_bytes = 1000;
    }
    req.session_id = session_id;
    req.session_epoch = epoch;
    req.topics = &topic;
    req.topics_len = count > 0 ? 1 : 0;
    fetch_plan_make(sessions, &req, VERSION, true, &names, 1000, &arena, &out);
    return out;
}

static void begin(void)
{
    plan = ask(0, 0, 0, PARTS);
    ck_assert_int_eq(plan.err, ERR_OK);
    ck_assert_int_ne(plan.session_id, 0);
    ck_assert_int_eq(plan.targets_len, PARTS);
}

static void go_on(int32_t epoch, int32_t first, int32_t count)
{
    int32_t id = plan.session_id;

    fetch_plan_fini(sessions, &plan);
    plan = ask(id, epoch, first, count);
    ck_assert_int_eq(plan.err, ERR_OK);
    ck_assert_int_eq(plan.targets_len, PARTS);
}

static bool tell(int32_t i, int64_t hw, uint64_t quiet_at)
{
    return fetch_plan_tell(
        sessions, &plan, i,
        &(struct fetch_told){ .hw = hw, .log_start = 0, .quiet_at = quiet_at, .noted_ms = 77 });
}

START_TEST(an_incremental_answer_leaves_out_what_is_no_news)
{
    begin();
    for (int32_t i = 0; i < PARTS; i++)
        ck_assert(tell(i, 3, 0)); /* the first answer has all */
    go_on(1, 0, 0);
    ck_assert(plan.incremental);
    ck_assert(!tell(0, 3, 0));
    ck_assert(tell(1, 4, 0));
    go_on(2, 0, 0);
    ck_assert_int_eq(plan.targets[1].told_hw, 4);
    ck_assert(!tell(1, 4, 0));
}
END_TEST

START_TEST(a_quiet_partition_stays_so_until_it_is_named)
{
    begin();
    for (int32_t i = 0; i < PARTS; i++)
        tell(i, 3, 40 + (uint64_t)i);
    go_on(1, 1, 1);
    ck_assert_uint_eq(plan.targets[0].quiet_at, 40);
    ck_assert_int_eq(plan.targets[0].noted_ms, 77);
    ck_assert_uint_eq(plan.targets[1].quiet_at, 0); /* it may ask for another offset */
    ck_assert_uint_eq(plan.targets[2].quiet_at, 42);
    tell(1, 3, 51);
    go_on(2, 0, 0); /* nobody spoke of 0 and 2 in between */
    ck_assert_uint_eq(plan.targets[0].quiet_at, 40);
    ck_assert_uint_eq(plan.targets[1].quiet_at, 51);
}
END_TEST

START_TEST(records_and_errors_are_not_quiet)
{
    begin();
    for (int32_t i = 0; i < PARTS; i++)
        fetch_plan_tell(
            sessions, &plan, i,
            &(struct fetch_told){
                .hw = 3, .has_records = i == 0, .has_error = i == 1, .quiet_at = i == 2 ? 9 : 0 });
    go_on(1, 0, 0);
    for (int32_t i = 0; i < PARTS; i++) /* 0 has gone to the end */
        ck_assert_uint_eq(plan.targets[i].quiet_at, plan.targets[i].partition == 2 ? 9 : 0);
}
END_TEST

/* A client that does not wait for the answer has asked for something else meanwhile. */
START_TEST(what_was_quiet_at_one_offset_is_not_at_another)
{
    begin();
    for (int32_t i = 0; i < PARTS; i++)
        tell(i, 3, 0);
    go_on(1, 0, 0);
    offsets[0] = 2;
    struct fetch_plan later = ask(plan.session_id, 2, 0, 1);
    ck_assert_int_eq(later.err, ERR_OK);
    tell(0, 3, 60);
    tell(1, 3, 61);
    fetch_plan_fini(sessions, &later);
    go_on(3, 0, 0);
    ck_assert_uint_eq(plan.targets[0].quiet_at, 0);
    ck_assert_uint_eq(plan.targets[1].quiet_at, 61);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("fetch_session");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_incremental_answer_leaves_out_what_is_no_news);
    tcase_add_test(tc, a_quiet_partition_stays_so_until_it_is_named);
    tcase_add_test(tc, records_and_errors_are_not_quiet);
    tcase_add_test(tc, what_was_quiet_at_one_offset_is_not_at_another);
    return unit_run(tc);
}
