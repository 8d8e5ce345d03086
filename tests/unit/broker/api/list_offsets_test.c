/*
 * list_offsets: what a leader that has just come to lead answers. What lies below its high
 * watermark is as good as ever; only the end, and what may lie beyond, is not known yet.
 */
#include <check.h>
#include <stdlib.h>

#include "broker/log/log.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "gen/wire/apis.h"
#include "gen/wire/list_offsets.h"
#include "tests/kit/replica_kit.h"
#include "tests/kit/unit.h"

#define FIRST_MS 1700000000000 /* of the kit's batches */

static const int32_t both[] = { 1, 2 };

static struct kit_cluster cluster;
static struct kit_client client;

static struct list_offsets_response_partition ask(int64_t timestamp, int16_t version)
{
    struct list_offsets_request_partition partition;
    struct list_offsets_request_topic topic;
    struct list_offsets_request req;
    struct list_offsets_response resp;
    struct arena arena;

    list_offsets_request_init(&req);
    list_offsets_request_topic_init(&topic);
    list_offsets_request_partition_init(&partition);
    req.replica_id = -1;
    req.topics = &topic;
    req.topics_len = 1;
    topic.name = kit_topic_name(0);
    topic.partitions = &partition;
    topic.partitions_len = 1;
    partition.current_leader_epoch = -1;
    partition.timestamp = timestamp;
    kit_client_send(&client, API_LIST_OFFSETS, version, &req);
    kit_client_wait(&client);
    arena_init(&arena, SIZE_MAX);
    struct wire_in in = wire_in_of(client.answer.bytes, client.answer.len, &arena);
    ck_assert_int_eq(list_offsets_response_decode(&resp, &in, client.version), ERR_OK);
    struct list_offsets_response_partition got = resp.topics[0].partitions[0];
    arena_fini(&arena);
    return got;
}

static void check(int64_t timestamp, int16_t version, enum err err, int64_t offset)
{
    struct list_offsets_response_partition got = ask(timestamp, version);

    ck_assert_int_eq(got.error_code, err);
    ck_assert_int_eq(got.offset, offset);
}

/* 20 records of which 10 are committed for all it knows, and a follower that is not there. */
START_TEST(a_new_leader_finds_what_is_committed)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(both), IDS_OF(both));

    kit_cluster_init(&cluster);
    kit_cluster_start(&cluster, 2);
    kit_set_part(&cluster, 0, &state);
    kit_produce(&cluster, 1, 0, 0, 1, 10, 10);
    kit_wait(&cluster, 1, 0, 0, 10, 10);
    kit_broker_stop(&cluster, 2, true);
    kit_produce(&cluster, 1, 0, 0, 1, 10, 10);
    state = kit_state(2, 1, 1, IDS_OF(both), IDS_OF(both));
    kit_set_part(&cluster, 0, &state);
    state = kit_state(1, 2, 2, IDS_OF(both), IDS_OF(both));
    kit_set_part(&cluster, 0, &state);

    kit_client_start(&client, &cluster, 1);
    check(FIRST_MS + 5, 7, ERR_OK, 5);
    check(LOG_EARLIEST, 7, ERR_OK, 0);
    check(LOG_LATEST, 7, ERR_OFFSET_NOT_AVAILABLE, -1);
    check(LOG_LATEST, 4, ERR_LEADER_NOT_AVAILABLE, -1);
    check(FIRST_MS + 1000000, 7, ERR_OFFSET_NOT_AVAILABLE, -1); /* it may be yet to come */
    check(FIRST_MS + 1000000, 4, ERR_LEADER_NOT_AVAILABLE, -1);

    state = kit_state(1, 2, 3, IDS_OF(both), IDS_OF(both));
    state.isr.n = 1; /* alone in sync */
    kit_set_part(&cluster, 0, &state);
    kit_wait(&cluster, 1, 0, 0, 20, 20);
    check(LOG_LATEST, 7, ERR_OK, 20);
    check(FIRST_MS + 1000000, 7, ERR_OK, -1);
    kit_client_end(&client);
    kit_cluster_end(&cluster);
}
END_TEST

#define MANY 300000

/* So many that nobody could look at all for each. */
START_TEST(what_is_asked_twice_is_found_among_very_many)
{
    struct list_offsets_request_partition *partitions = xcalloc(MANY, sizeof *partitions);
    struct image_part state = kit_state(1, 0, 0, IDS_OF(both), IDS_OF(both));
    struct list_offsets_request_topic topic;
    struct list_offsets_request req;
    struct list_offsets_response resp;
    struct arena arena;

    kit_cluster_init(&cluster);
    kit_cluster_start(&cluster, 1);
    kit_set_part(&cluster, 0, &state);
    kit_client_start(&client, &cluster, 1);
    list_offsets_request_init(&req);
    list_offsets_request_topic_init(&topic);
    req.replica_id = -1;
    req.topics = &topic;
    req.topics_len = 1;
    topic.name = kit_topic_name(0);
    topic.partitions = partitions;
    topic.partitions_len = MANY;
    for (int32_t i = 0; i < MANY; i++) {
        list_offsets_request_partition_init(&partitions[i]);
        partitions[i].partition_index = i == 7 || i == MANY - 7 ? 11 : MANY - i;
        partitions[i].timestamp = LOG_EARLIEST;
    }
    kit_client_send(&client, API_LIST_OFFSETS, 7, &req);
    kit_client_wait(&client);
    arena_init(&arena, SIZE_MAX);
    struct wire_in in = wire_in_of(client.answer.bytes, client.answer.len, &arena);
    ck_assert_int_eq(list_offsets_response_decode(&resp, &in, client.version), ERR_OK);
    ck_assert_int_eq(resp.topics[0].partitions_len, MANY);
    for (int32_t i = 0; i < MANY; i++)
        ck_assert_int_eq(resp.topics[0].partitions[i].error_code,
                         partitions[i].partition_index == 11 ? ERR_INVALID_REQUEST
                                                             : ERR_UNKNOWN_TOPIC_OR_PARTITION);
    arena_fini(&arena);
    free(partitions);
    kit_client_end(&client);
    kit_cluster_end(&cluster);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("list_offsets");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_new_leader_finds_what_is_committed);
    tcase_add_test(tc, what_is_asked_twice_is_found_among_very_many);
    return unit_run(tc);
}
