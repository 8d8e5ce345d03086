/*
 * fetch: a wait for records. However often it is looked at again it costs no more memory than the
 * first time; one that begins beside the failure of its directory, or beside the commit of what it
 * waits for, does not wait for nothing; and one that wants more than comes, while something always
 * comes, keeps its time and its reactor's.
 */
#include <check.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>

#include "broker/log/log_int.h"
#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/record.h"
#include "gen/wire/apis.h"
#include "gen/wire/fetch.h"
#include "tests/kit/part_kit.h"
#include "tests/kit/replica_kit.h"
#include "tests/kit/unit.h"

#define PARTS  400
#define ROUNDS 400

static const int32_t one[] = { 1 }, both[] = { 1, 2 };

static struct kit_cluster cluster;
static struct kit_client client;

struct asked {
    int16_t version;
    int32_t n; /* of the first partitions */
    int64_t offset;
    int32_t max_wait_ms, partition_bytes;
    int32_t min_bytes; /* 0: more than it can get */
    int8_t isolation_level;
};

/* A consumer's. */
static void send_as(const struct asked *asked)
{
    struct fetch_request_partition *parts = xcalloc((size_t)asked->n, sizeof *parts);
    struct fetch_request_topic topic;
    struct fetch_request req;

    fetch_request_init(&req);
    fetch_request_topic_init(&topic);
    req.replica_id = -1;
    req.max_wait_ms = asked->max_wait_ms;
    req.min_bytes = asked->min_bytes > 0 ? asked->min_bytes : 1 << 20;
    req.max_bytes = 10 << 20;
    req.session_id = 0;
    req.session_epoch = -1;
    req.isolation_level = asked->isolation_level;
    req.topics = &topic;
    req.topics_len = 1;
    topic.topic_id = kit_topic_id(0);
    topic.topic = kit_topic_name(0);
    topic.partitions = parts;
    topic.partitions_len = asked->n;
    for (int32_t i = 0; i < asked->n; i++) {
        fetch_request_partition_init(&parts[i]);
        parts[i].partition = i;
        parts[i].fetch_offset = asked->offset;
        parts[i].partition_max_bytes = asked->partition_bytes;
    }
    kit_client_send(&client, API_FETCH, asked->version, &req);
    free(parts);
}

static void send_fetch_for(int32_t n, int64_t offset, int32_t max_wait_ms)
{
    send_as(&(struct asked){ .version = 17,
                             .n = n,
                             .offset = offset,
                             .max_wait_ms = max_wait_ms,
                             .partition_bytes = 1 << 20 });
}

static void send_fetch(int32_t n, int64_t offset)
{
    send_fetch_for(n, offset, 15000);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* What was posted to the broker's reactor before has been run. */
static void let_it_look(void)
{
    for (int i = 0; i < 2; i++)
        reactor_call(cluster.brokers[1].reactor, nothing, NULL);
}

static size_t memory_in_use(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

START_TEST(a_wait_costs_the_same_however_often_it_is_woken)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(one), IDS_OF(one));

    kit_cluster_init(&cluster);
    kit_cluster_start(&cluster, 1);
    for (state.index = 0; state.index < PARTS; state.index++)
        kit_set_part(&cluster, 0, &state);
    kit_client_start(&client, &cluster, 1);
    send_fetch(PARTS, 0);
    for (int i = 0; i < 50; i++) {
        kit_produce(&cluster, 1, 0, i % PARTS, 1, 1, 10);
        let_it_look();
    }
    size_t before = memory_in_use();
    for (int i = 0; i < ROUNDS; i++) {
        kit_produce(&cluster, 1, 0, i % PARTS, 1, 1, 10);
        let_it_look();
        ck_assert(!client.answered);
    }
    ck_assert_uint_lt(memory_in_use(), before + (2 << 20));
    kit_client_end(&client);
    kit_cluster_end(&cluster);
}
END_TEST

/* ---- a disk that fails in the middle of a read ---- */

static struct disk_ops ops;
static struct disk disk = { &ops };
static struct part *failing; /* NULL: none, or it has failed */

static enum err failing_pread(struct disk *self, int file, void *into, size_t len, int64_t pos,
                              size_t *got)
{
    enum err err = disk_posix()->ops->pread(self, file, into, len, pos, got);
    struct part *part = failing;

    if (part == NULL)
        return err;
    failing = NULL;
    err = log_failed(part_log(part), ERR_IO, "test");
    ck_assert_int_eq(err, ERR_IO);
    part_wake_all(part); /* nobody waits yet */
    return ERR_OK;
}

START_TEST(who_begins_to_wait_as_the_directory_fails_is_told)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(one), IDS_OF(one));
    struct fetch_response resp;
    struct arena arena;

    ops = *disk_posix()->ops;
    ops.pread = failing_pread;
    kit_cluster_init(&cluster);
    cluster.disk = &disk;
    kit_cluster_start(&cluster, 1);
    kit_set_part(&cluster, 0, &state);
    kit_produce(&cluster, 1, 0, 0, 100, 1, 200);
    kit_client_start(&client, &cluster, 1);
    struct part *part = kit_part(&cluster, 1, 0, 0);
    failing = part;
    int64_t began_ms = clock_mono_ms();
    send_fetch(1, 60); /* the lookup in the index reads the disk */
    kit_client_wait(&client);
    ck_assert_int_lt(clock_mono_ms() - began_ms, 10000);
    ck_assert_ptr_null(failing);
    arena_init(&arena, SIZE_MAX);
    struct wire_in in = wire_in_of(client.answer.bytes, client.answer.len, &arena);
    ck_assert_int_eq(fetch_response_decode(&resp, &in, client.version), ERR_OK);
    ck_assert_int_eq(resp.responses[0].partitions[0].error_code, ERR_KAFKA_STORAGE_ERROR);
    arena_fini(&arena);
    part_unref(&part);
    kit_client_end(&client);
    kit_cluster_end(&cluster);
}
END_TEST

/* ---- a transaction that is settled in the middle of a read ---- */

#define SETTLED_BYTES 1000

static struct part *settled;
static atomic_bool is_held, let_go, settles;

/* Who has moved the high watermark past a marker waits here before the transaction is settled. */
static void *hold_producers(void *arg)
{
    struct log *log = part_log(settled);

    lock_take(&log->producers_lock);
    atomic_store(&is_held, true);
    while (!atomic_load(&let_go))
        sched_yield();
    lock_drop(&log->producers_lock);
    return arg;
}

static void *fetch_all(void *arg)
{
    struct part_read read = part_kit_fetch(2, 4, 0);

    read.note_follower = true;
    ck_assert_int_eq(part_read(settled, &read, clock_mono_ms()), ERR_OK);
    return arg;
}

static pthread_t holder, follower;

/* The second partition is being read: of the first one the fetch has seen that nothing is stable.
 */
static enum err settling_pread(struct disk *self, int file, void *into, size_t len, int64_t pos,
                               size_t *got)
{
    if (atomic_load(&settles) && reactor_is_here(cluster.brokers[1].reactor)) {
        atomic_store(&settles, false);
        atomic_store(&let_go, true);
        pthread_join(holder, NULL);
        pthread_join(follower, NULL);
    }
    return disk_posix()->ops->pread(self, file, into, len, pos, got);
}

static void append_transaction(void)
{
    const struct kit_batch data = {
        .count = 3, .value_bytes = SETTLED_BYTES, .producer_id = 7, .transactional = true
    };
    uint8_t bytes[BATCH_MARKER_BYTES];
    struct validated marker = { .bytes = bytes, .len = sizeof bytes };
    int64_t wall_ms = clock_wall_ms(), now_ms = clock_mono_ms();
    struct log_appended appended;
    int32_t epoch;

    ck_assert_int_eq(part_kit_append(settled, &data, 1, wall_ms, now_ms, &appended, &epoch),
                     ERR_OK);
    batch_marker_write(bytes, true, 7, 0, 0, wall_ms);
    batch_info_read(bytes, &marker.info);
    ck_assert_int_eq(
        part_append(settled, &marker, 1, LOG_FROM_COORDINATOR, wall_ms, now_ms, &appended, &epoch),
        ERR_OK);
}

START_TEST(who_begins_to_wait_as_a_transaction_is_settled_is_told)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(both), IDS_OF(both));
    struct part_info info;

    ops = *disk_posix()->ops;
    ops.pread = settling_pread;
    kit_cluster_init(&cluster);
    cluster.disk = &disk;
    kit_cluster_start(&cluster, 1);
    kit_set_part(&cluster, 0, &state);
    state = kit_state(1, 0, 0, IDS_OF(one), IDS_OF(one));
    state.index = 1;
    kit_set_part(&cluster, 0, &state);
    kit_produce(&cluster, 1, 0, 1, 100, 1, 200);
    struct part *other = kit_part(&cluster, 1, 0, 1);
    int64_t other_bytes = log_bytes_between(part_log(other), 0, 100);

    part_unref(&other);
    settled = kit_part(&cluster, 1, 0, 0);
    append_transaction();
    kit_client_start(&client, &cluster, 1);
    ck_assert_int_eq(pthread_create(&holder, NULL, hold_producers, NULL), 0);
    while (!atomic_load(&is_held))
        sched_yield();
    ck_assert_int_eq(pthread_create(&follower, NULL, fetch_all, NULL), 0);
    do {
        sched_yield();
        part_get_info(settled, &info);
    } while (info.hw < 4);
    atomic_store(&settles, true);
    int64_t began_ms = clock_mono_ms();
    send_as(&(struct asked){ .version = 17,
                             .n = 2,
                             .max_wait_ms = 15000,
                             .partition_bytes = 1 << 20,
                             .min_bytes = (int32_t)other_bytes + SETTLED_BYTES,
                             .isolation_level = 1 });
    kit_client_wait(&client);
    ck_assert(!atomic_load(&settles));
    ck_assert_int_lt(clock_mono_ms() - began_ms, 10000);
    part_unref(&settled);
    kit_client_end(&client);
    kit_cluster_end(&cluster);
}
END_TEST

/* ---- records that come faster than a look at them ---- */

#define BUSY_LOOKS 500

static bool busy;
static int looks, looks_in_turn, most_in_turn;
static uint64_t last_turn;

/* Whenever the fetch reads, somebody produces. */
static enum err busy_pread(struct disk *self, int file, void *into, size_t len, int64_t pos,
                           size_t *got)
{
    enum err err = disk_posix()->ops->pread(self, file, into, len, pos, got);
    struct reactor *reactor = cluster.brokers[1].reactor;

    if (!busy || !reactor_is_here(reactor) || looks == BUSY_LOOKS)
        return err;
    busy = false;
    looks++;
    looks_in_turn = reactor_turns(reactor) == last_turn ? looks_in_turn + 1 : 1;
    last_turn = reactor_turns(reactor);
    if (looks_in_turn > most_in_turn)
        most_in_turn = looks_in_turn;
    kit_produce(&cluster, 1, 0, 0, 1, 1, 10);
    busy = true;
    return err;
}

START_TEST(a_wait_that_is_overtaken_again_and_again_lets_others_have_their_turn)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(one), IDS_OF(one));

    ops = *disk_posix()->ops;
    ops.pread = busy_pread;
    kit_cluster_init(&cluster);
    cluster.disk = &disk;
    kit_cluster_start(&cluster, 1);
    kit_set_part(&cluster, 0, &state);
    kit_produce(&cluster, 1, 0, 0, 300, 1, 200);
    kit_client_start(&client, &cluster, 1);
    looks = looks_in_turn = most_in_turn = 0;
    last_turn = 0;
    busy = true;
    send_fetch_for(1, 60, 300);
    kit_client_wait(&client);
    busy = false;
    ck_assert_int_gt(looks, 10); /* it was overtaken */
    ck_assert_int_le(most_in_turn, 20);
    kit_client_end(&client);
    kit_cluster_end(&cluster);
}
END_TEST

/* ---- bounds ---- */

START_TEST(nobody_waits_for_more_than_he_may_be_given)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(one), IDS_OF(one));

    kit_cluster_init(&cluster);
    kit_cluster_start(&cluster, 1);
    kit_set_part(&cluster, 0, &state);
    kit_produce(&cluster, 1, 0, 0, 100, 1, 200);
    cluster.brokers[1].api.fetch_max_bytes = 10000;
    kit_client_start(&client, &cluster, 1);
    int64_t began_ms = clock_mono_ms();
    send_fetch(1, 0);
    kit_client_wait(&client);
    ck_assert_int_lt(clock_mono_ms() - began_ms, 10000);
    kit_client_end(&client);
    kit_cluster_end(&cluster);
}
END_TEST

#define OLD_PARTS 3

/* Versions before 3 have no bound for all partitions, and what they are given is made in memory. */
START_TEST(an_old_fetch_gets_what_memory_allows_and_every_partition_its_turn)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(one), IDS_OF(one));
    bool served[OLD_PARTS] = { false };

    kit_cluster_init(&cluster);
    kit_cluster_start(&cluster, 1);
    for (state.index = 0; state.index < OLD_PARTS; state.index++) {
        kit_set_part(&cluster, 0, &state);
        kit_produce(&cluster, 1, 0, state.index, 64, 1, 500000);
    }
    kit_client_start(&client, &cluster, 1);
    for (int i = 0; i < OLD_PARTS; i++) {
        struct fetch_response resp;
        struct arena arena;

        send_as(&(struct asked){ .version = 2, .n = OLD_PARTS, .partition_bytes = 40 << 20 });
        kit_client_wait(&client);
        ck_assert_uint_lt(client.answer.len, 65u << 20);
        arena_init(&arena, SIZE_MAX);
        struct wire_in in = wire_in_of(client.answer.bytes, client.answer.len, &arena);
        ck_assert_int_eq(fetch_response_decode(&resp, &in, client.version), ERR_OK);
        for (int32_t p = 0; p < OLD_PARTS; p++)
            served[p] |= resp.responses[0].partitions[p].records.len > (30 << 20);
        arena_fini(&arena);
    }
    for (int32_t p = 0; p < OLD_PARTS; p++)
        ck_assert(served[p]);
    kit_client_end(&client);
    kit_cluster_end(&cluster);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("fetch");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_wait_costs_the_same_however_often_it_is_woken);
    tcase_add_test(tc, who_begins_to_wait_as_the_directory_fails_is_told);
    tcase_add_test(tc, who_begins_to_wait_as_a_transaction_is_settled_is_told);
    tcase_add_test(tc, a_wait_that_is_overtaken_again_and_again_lets_others_have_their_turn);
    tcase_add_test(tc, nobody_waits_for_more_than_he_may_be_given);
    tcase_add_test(tc, an_old_fetch_gets_what_memory_allows_and_every_partition_its_turn);
    return unit_run(tc);
}
