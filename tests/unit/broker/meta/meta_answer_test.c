/*
 * meta_answer: what clients are shown of an image: brokers by listener, leaders that can be asked,
 * offline replicas, and what old versions want to hear instead.
 */
#include "broker/meta/meta_answer.h"

#include <check.h>

#include "tests/kit/unit.h"

static struct image *image;
static struct arena arena;

static const int32_t ids[] = { 1, 2, 3 }, isr[] = { 1, 3 }, failed[] = { 3 };

static void add_broker(int32_t id, enum node_state state, const char *listener)
{
    struct endpoint endpoint = { .listener = str_of(listener),
                                 .protocol = STR("PLAINTEXT"),
                                 .host = STR("h"),
                                 .port = 9090 + id };
    struct node node = { .id = id,
                         .state = state,
                         .epoch = state == NODE_DEAD && id == 2 ? -1 : id,
                         .rack = id == 1 ? STR("r") : STR_NULL,
                         .n_endpoints = 1,
                         .endpoints = &endpoint };

    image_add(image, &(struct image_delta){ .n_brokers = 1, .brokers = &node });
}

static void add_part(const char *name, int32_t leader, struct ids offline)
{
    struct uuid id = UUID_ZERO;
    struct image_part part = { .leader = leader,
                               .leader_epoch = 4,
                               .partition_epoch = 5,
                               .replicas = IDS_OF(ids),
                               .isr = IDS_OF(isr),
                               .offline = offline };
    struct image_topic_change topic = { .name = str_of(name), .n_parts = 1, .parts = &part };

    id.bytes[0] = (uint8_t)name[0];
    topic.id = id;
    image_add(image, &(struct image_delta){ .n_topics = 1, .topics = &topic });
}

static void setup(void)
{
    arena_init(&arena, SIZE_MAX);
    image = image_new(1, 1, 3001, STR("cluster"));
    add_broker(1, NODE_LIVE, "PLAINTEXT");
    add_broker(2, NODE_DEAD, "PLAINTEXT");
    add_broker(3, NODE_STOPPING, "PLAINTEXT");
    add_broker(4, NODE_LIVE, "INTERNAL");
    add_broker(5, NODE_UNKNOWN, "PLAINTEXT");
    add_broker(6, NODE_DEAD, "PLAINTEXT"); /* its registration is still there */
}

static void teardown(void)
{
    image_unref(&image);
    arena_fini(&arena);
}

static struct metadata_response_topic topic_of(const char *name, int16_t version)
{
    struct metadata_response_topic topic;

    meta_answer_topic(image, image_topic_named(image, str_of(name)), STR("PLAINTEXT"), version,
                      version >= 8, &arena, &topic);
    ck_assert_int_eq(topic.partitions_len, 1);
    return topic;
}

START_TEST(brokers_that_can_be_asked_there_are_shown)
{
    struct metadata_response resp;

    metadata_response_init(&resp);
    meta_answer_cluster(image, STR("PLAINTEXT"), 3, &arena, &resp);
    ck_assert_int_eq(resp.brokers_len, 4);
    ck_assert_int_eq(resp.brokers[0].node_id, 1);
    ck_assert_int_eq(resp.brokers[1].node_id, 3);
    ck_assert_int_eq(resp.brokers[2].node_id, 5); /* not heard of for a moment: still shown */
    ck_assert_int_eq(resp.brokers[3].node_id,
                     6); /* just died: clients move away from it in order */
    ck_assert_int_eq(resp.brokers[1].port, 9093);
    ck_assert(str_is(resp.brokers[0].rack, "r") && str_is_null(resp.brokers[1].rack));
    ck_assert(str_is(resp.cluster_id, "cluster"));
    ck_assert_int_eq(resp.controller_id, 3); /* whoever is asked */
    meta_answer_cluster(image, STR("INTERNAL"), 1, &arena, &resp);
    ck_assert_int_eq(resp.brokers_len, 1);
    ck_assert_int_eq(resp.brokers[0].node_id, 4);
}
END_TEST

START_TEST(a_healthy_partition)
{
    add_part("a", 1, IDS_NONE);
    struct metadata_response_topic topic = topic_of("a", 12);
    const struct metadata_response_partition *part = &topic.partitions[0];

    ck_assert_int_eq(part->error_code, 0);
    ck_assert_int_eq(part->leader_id, 1);
    ck_assert_int_eq(part->leader_epoch, 4);
    ck_assert_int_eq(part->replica_nodes_len, 3);
    ck_assert_int_eq(part->isr_nodes_len, 2);
    ck_assert_int_eq(part->offline_replicas_len, 1);
    ck_assert_int_eq(part->offline_replicas[0], 2);
    ck_assert_int_eq(topic.topic_authorized_operations, META_TOPIC_OPERATIONS);
    ck_assert(!topic.is_internal);
}
END_TEST

START_TEST(a_failed_directory_makes_its_replica_offline)
{
    add_part("a", 1, IDS_OF(failed));
    const struct metadata_response_partition *part = &topic_of("a", 12).partitions[0];

    ck_assert_int_eq(part->offline_replicas_len, 2);
    ck_assert_int_eq(part->offline_replicas[1], 3);
}
END_TEST

START_TEST(leaders_that_cannot_be_asked_are_not_named)
{
    static const struct {
        int32_t leader;
        int16_t version, error;
    } cases[] = { { -1, 12, ERR_LEADER_NOT_AVAILABLE },
                  { 2, 12, ERR_LEADER_NOT_AVAILABLE },
                  { 9, 12, ERR_LEADER_NOT_AVAILABLE },
                  { 4, 12, ERR_LISTENER_NOT_FOUND },
                  { 4, 5, ERR_LEADER_NOT_AVAILABLE },
                  { 5, 12, 0 },
                  { 3, 12, 0 } };

    add_part("a", cases[_i].leader, IDS_NONE);
    const struct metadata_response_partition *part =
        &topic_of("a", cases[_i].version).partitions[0];
    ck_assert_int_eq(part->error_code, cases[_i].error);
    ck_assert_int_eq(part->leader_id, cases[_i].error == 0 ? cases[_i].leader : -1);
}
END_TEST

/* It has no field for them. */
START_TEST(version_0_is_told_of_missing_replicas_by_an_error)
{
    add_part("a", 1, IDS_NONE);
    const struct metadata_response_partition *part = &topic_of("a", 0).partitions[0];

    ck_assert_int_eq(part->error_code, ERR_REPLICA_NOT_AVAILABLE);
    ck_assert_int_eq(part->leader_id, 1);
    ck_assert_int_eq(part->replica_nodes_len, 2);
    ck_assert_int_eq(part->isr_nodes_len, 2);
}
END_TEST

START_TEST(internal_topics_are_marked)
{
    struct metadata_response_topic topic;

    add_part("__consumer_offsets", 1, IDS_NONE);
    ck_assert(topic_of("__consumer_offsets", 12).is_internal);
    meta_answer_no_topic(STR("__transaction_state"), UUID_ZERO, ERR_UNKNOWN_TOPIC_OR_PARTITION,
                         &topic);
    ck_assert(topic.is_internal);
    ck_assert_int_eq(topic.error_code, 3);
    ck_assert_int_eq(topic.partitions_len, 0);
    meta_answer_no_topic(STR_NULL, UUID_ZERO, ERR_UNKNOWN_TOPIC_ID, &topic);
    ck_assert(!topic.is_internal);
}
END_TEST

START_TEST(the_cluster_is_described_alike)
{
    struct describe_cluster_response resp;

    describe_cluster_response_init(&resp);
    meta_answer_describe(image, STR("PLAINTEXT"), 1, true, &arena, &resp);
    ck_assert_int_eq(resp.brokers_len, 4);
    ck_assert_int_eq(resp.controller_id, 1);
    ck_assert_int_eq(resp.brokers[2].broker_id, 5);
    ck_assert_int_eq(resp.cluster_authorized_operations, META_CLUSTER_OPERATIONS);
    meta_answer_describe(image, STR("PLAINTEXT"), 1, false, &arena, &resp);
    ck_assert_int_eq(resp.cluster_authorized_operations, META_NOT_ASKED);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("meta_answer");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, brokers_that_can_be_asked_there_are_shown);
    tcase_add_test(tc, a_healthy_partition);
    tcase_add_test(tc, a_failed_directory_makes_its_replica_offline);
    tcase_add_loop_test(tc, leaders_that_cannot_be_asked_are_not_named, 0, 7);
    tcase_add_test(tc, version_0_is_told_of_missing_replicas_by_an_error);
    tcase_add_test(tc, internal_topics_are_marked);
    tcase_add_test(tc, the_cluster_is_described_alike);
    return unit_run(tc);
}
