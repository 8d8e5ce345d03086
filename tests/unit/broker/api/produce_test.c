/*
 * produce: a few KB that become much when they are unpacked neither hold the reactor up nor make a
 * long answer, and what comes behind them on their connection is not appended before them.
 */
#include "broker/api/produce.h"

#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_int.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/record.h"
#include "gen/wire/apis.h"
#include "gen/wire/produce.h"
#include "tests/kit/replica_kit.h"
#include "tests/kit/unit.h"

#define MANY  1200000   /* records of 7 bytes or little more */
#define LARGE (8 << 20) /* of a single record */
#define PARTS 3

static const int32_t one[] = { 1 };

static struct kit_cluster cluster;
static struct kit_client client;
static struct arena arena;
static struct batch_builder builder;
static int64_t wall_ms;
static atomic_int appends_here; /* writes to logs by the reactor */
static atomic_int appends_elsewhere;
static int64_t offsets[8]; /* of the answers that came */
static int answers;

/* ---- where appends are made ---- */

static struct disk_ops ops;
static struct disk disk = { &ops };

static enum err watched_pwritev(struct disk *self, int file, const struct iovec *iov, int iov_count,
                                int64_t pos)
{
    if (reactor_is_here(cluster.brokers[1].reactor))
        atomic_fetch_add(&appends_here, 1);
    else
        atomic_fetch_add(&appends_elsewhere, 1);
    return disk_posix()->ops->pwritev(self, file, iov, iov_count, pos);
}

static void setup(void)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(one), IDS_OF(one));

    arena_init(&arena, SIZE_MAX);
    batch_builder_init(&builder, &BATCH_CONF_PLAIN);
    wall_ms = clock_wall_ms();
    ops = *disk_posix()->ops;
    ops.pwritev = watched_pwritev;
    kit_cluster_init(&cluster);
    cluster.disk = &disk;
    kit_cluster_start(&cluster, 1);
    for (state.index = 0; state.index < PARTS; state.index++)
        kit_set_part(&cluster, 0, &state);
    kit_client_start(&client, &cluster, 1);
    atomic_store(&appends_here, 0);
    atomic_store(&appends_elsewhere, 0);
    answers = 0;
}

static void teardown(void)
{
    kit_client_end(&client);
    kit_cluster_end(&cluster);
    batch_builder_fini(&builder);
    arena_fini(&arena);
}

/* ---- what is sent ---- */

/* count records without keys and with values of so many zeros; the arena's. */
static struct wire_records batch_of(enum codec codec, int count, size_t value_bytes)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct str value = { .ptr = xcalloc(1, value_bytes + 1), .len = value_bytes };
    uint8_t *batch;
    size_t size;

    conf.codec = codec;
    batch_builder_reset(&builder, &conf);
    for (int i = 0; i < count; i++)
        batch_builder_add(&builder, wall_ms, STR_NULL, value, NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &batch, &size), ERR_OK);
    free((void *)(uintptr_t)value.ptr);
    return (struct wire_records){ .data = arena_dup(&arena, batch, size), .len = (int32_t)size };
}

/* The same; each of its records says that its time, which it does not have, is a leader's. */
static struct wire_records bad_batch_of(enum codec codec, int count)
{
    int64_t now_ms = wall_ms;
    uint8_t *batch;

    wall_ms = -1;
    struct wire_records records = batch_of(codec, count, 0);
    wall_ms = now_ms;
    batch = (uint8_t *)(uintptr_t)records.data;
    batch_set_max_timestamp(batch, (size_t)records.len, true, -1);
    return records;
}

static void on_answer(void *ctx, enum err err, const struct peer_answer *answer)
{
    struct produce_response resp;

    (void)ctx;
    ck_assert_int_eq(err, ERR_OK);
    struct wire_in in = wire_in_of(answer->bytes, answer->len, &arena);
    ck_assert_int_eq(produce_response_decode(&resp, &in, answer->version), ERR_OK);
    ck_assert_int_eq(resp.responses[0].partition_responses[0].error_code, 0);
    offsets[answers++] = resp.responses[0].partition_responses[0].base_offset;
}

/* One batch for each of the first n partitions. */
static void fill(struct produce_request *req, const struct wire_records *records, int32_t n)
{
    produce_request_init(req);
    req->acks = 1;
    req->timeout_ms = 20000;
    req->topics = arena_zalloc(&arena, 1, sizeof *req->topics);
    req->topics_len = 1;
    produce_request_topic_init(req->topics);
    req->topics->name = kit_topic_name(0);
    req->topics->partitions = arena_zalloc(&arena, (size_t)n, sizeof *req->topics->partitions);
    req->topics->partitions_len = n;
    for (int32_t i = 0; i < n; i++)
        req->topics->partitions[i] = (struct produce_request_partition){ i, records[i] };
}

static struct produce_response_partition *produce(const struct wire_records *records, int32_t n)
{
    struct produce_request req;
    struct produce_response resp;

    fill(&req, records, n);
    kit_client_send(&client, API_PRODUCE, 9, &req);
    kit_client_wait(&client);
    struct wire_in in = wire_in_of(client.answer.bytes, client.answer.len, &arena);
    ck_assert_int_eq(produce_response_decode(&resp, &in, client.version), ERR_OK);
    ck_assert_int_eq(resp.responses_len, 1);
    ck_assert_int_eq(resp.responses[0].partition_responses_len, n);
    return resp.responses[0].partition_responses;
}

/* The directory, or this machine, was slow meanwhile, which is a reason of its own to append
 * elsewhere: forgets that, and what was counted. */
static bool was_slow(void)
{
    struct part *part = kit_part(&cluster, 1, 0, 0);
    struct log_env *env = part_log(part)->env;
    bool slow = atomic_exchange(&env->slow_until_ms, 0) != 0;

    atomic_store(&env->append_avg_us, 0);
    part_unref(&part);
    if (!slow)
        return false;
    atomic_store(&appends_here, 0);
    atomic_store(&appends_elsewhere, 0);
    return true;
}

/* ---- tests ---- */

START_TEST(ordinary_batches_are_appended_where_they_are_read)
{
    struct wire_records records[PARTS];

    for (int i = 0; i < PARTS; i++) /* half a MB each when they are unpacked */
        records[i] = batch_of((enum codec)_i, 5000, 100);
    do
        produce(records, PARTS);
    while (was_slow());
    ck_assert_int_eq(atomic_load(&appends_here), PARTS);
    ck_assert_int_eq(atomic_load(&appends_elsewhere), 0);
}
END_TEST

START_TEST(many_records_of_few_bytes_are_gone_through_elsewhere)
{
    struct wire_records records = batch_of(CODEC_ZSTD, MANY, 0);

    ck_assert_int_lt(records.len, 1 << 20);
    ck_assert_int_eq(produce(&records, 1)->error_code, 0);
    ck_assert_int_eq(atomic_load(&appends_here), 0);
    ck_assert_int_eq(atomic_load(&appends_elsewhere), 1);
}
END_TEST

START_TEST(a_large_record_of_few_bytes_is_unpacked_elsewhere)
{
    struct wire_records records = batch_of((enum codec)_i, 1, LARGE);

    ck_assert_int_lt(records.len, 1 << 20);
    ck_assert_int_eq(produce(&records, 1)->error_code, 0);
    ck_assert_int_eq(atomic_load(&appends_here), 0);
    ck_assert_int_eq(atomic_load(&appends_elsewhere), 1);
}
END_TEST

START_TEST(many_partitions_of_less_are_much_together)
{
    struct wire_records records[PARTS];

    for (int i = 0; i < PARTS; i++)
        records[i] = batch_of(CODEC_ZSTD, 1, 3 << 19);
    do
        produce(records, PARTS);
    while (was_slow());
    ck_assert_int_eq(atomic_load(&appends_here), 1);
    ck_assert_int_eq(atomic_load(&appends_elsewhere), PARTS - 1);
}
END_TEST

START_TEST(what_comes_behind_it_is_appended_behind_it)
{
    struct wire_records large = batch_of(CODEC_ZSTD, MANY, 0);
    struct wire_records small = batch_of(CODEC_ZSTD, 1, 1);
    struct produce_request req;

    for (int i = 0; i < 4; i++) {
        fill(&req, i % 2 == 0 ? &large : &small, 1);
        peer_send(client.peer, API_PRODUCE, 9, &req, 20000, on_answer, NULL);
    }
    while (answers < 4)
        reactor_turn(client.reactor, true);
    ck_assert_int_eq(offsets[0], 0);
    ck_assert_int_eq(offsets[1], MANY);
    ck_assert_int_eq(offsets[2], MANY + 1);
    ck_assert_int_eq(offsets[3], 2 * MANY + 1);
    ck_assert_int_ge(atomic_load(&appends_elsewhere), 2);
}
END_TEST

START_TEST(of_very_many_bad_records_the_first_are_told)
{
    struct wire_records records[PARTS];

    for (int i = 0; i < PARTS; i++)
        records[i] = bad_batch_of(CODEC_ZSTD, i == 0 ? 100 : MANY);
    struct produce_response_partition *parts = produce(records, PARTS);
    for (int i = 0; i < PARTS; i++) {
        ck_assert_int_eq(parts[i].error_code, ERR_INVALID_TIMESTAMP);
        ck_assert_uint_gt(parts[i].error_message.len, 0);
    }
    ck_assert_int_eq(parts[0].record_errors_len, 100); /* all of them */
    ck_assert_int_eq(parts[1].record_errors_len, VALIDATE_RECORD_ERRORS_MAX - 100);
    ck_assert_int_eq(parts[2].record_errors_len, 0);
    for (int i = 0; i < parts[1].record_errors_len; i++)
        ck_assert_int_eq(parts[1].record_errors[i].batch_index, i);
    ck_assert_uint_lt(client.answer.len, 64 << 10);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("produce");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, ordinary_batches_are_appended_where_they_are_read, CODEC_NONE,
                        CODEC_COUNT);
    tcase_add_test(tc, many_records_of_few_bytes_are_gone_through_elsewhere);
    tcase_add_loop_test(tc, a_large_record_of_few_bytes_is_unpacked_elsewhere, CODEC_GZIP,
                        CODEC_COUNT);
    tcase_add_test(tc, many_partitions_of_less_are_much_together);
    tcase_add_test(tc, what_comes_behind_it_is_appended_behind_it);
    tcase_add_test(tc, of_very_many_bad_records_the_first_are_told);
    return unit_run(tc);
}
