/*
 * forwarded: what the controller answers reaches the client however much longer than the request it
 * is. The test is the controller.
 */
#include "broker/api/forwarded.h"

#include <check.h>
#include <stdlib.h>

#include "broker/api/api.h"
#include "broker/api/metadata.h"
#include "broker/control/forward_int.h"
#include "common/base/mem.h"
#include "common/wire/frame.h"
#include "gen/wire/create_topics.h"
#include "gen/wire/list_partition_reassignments.h"
#include "gen/wire/metadata.h"
#include "tests/kit/net_rig.h"
#include "tests/kit/unit.h"

#define TOPICS   1000
#define SETTINGS 36
#define MOVING   20000

static struct net_rig *rig;
static struct api api;
static struct arena arena;  /* the test's */
static uint64_t asked;      /* the number of the request that has come to the controller */
static struct str *names;   /* TOPICS */
static struct image *image; /* without topics */

static bool is_up(void *ctx)
{
    (void)ctx;
    return true;
}

static void on_asked(void *ctx, const Control__Frame *frame)
{
    (void)ctx;
    ck_assert_ptr_nonnull(frame->admin_request);
    asked = frame->admin_request->number;
}

static void setup(void)
{
    static const struct handler rows[] = {
        { API_CREATE_TOPICS, 2, 7, 0, api_forwarded },
        { API_LIST_PARTITION_REASSIGNMENTS, 0, 0, 0, api_forwarded },
        { API_METADATA, 0, 12, 0, api_metadata },
    };
    struct forward_conf conf = { .is_up = is_up, .send = on_asked };

    arena_init(&arena, SIZE_MAX);
    rig = net_rig_new(NULL);
    dispatch_init(&rig->dispatch, rows, ARRAY_LEN(rows), &api);
    conf.reactor = rig->reactor;
    image = image_new(1, 1, 3001, STR("cluster"));
    api = (struct api){ .broker_id = 1,
                        .auto_create_topics = true,
                        .forward = forward_new(&conf),
                        .meta = meta_new() };
    meta_publish(api.meta, image);
    names = arena_zalloc(&arena, TOPICS, sizeof *names);
    for (int i = 0; i < TOPICS; i++)
        names[i] = arena_printf(&arena, "topic-%06d", i);
}

static void teardown(void)
{
    forward_free(&api.forward);
    net_rig_end(rig);
    meta_free(&api.meta);
    image_unref(&image);
    arena_fini(&arena);
}

/* A client's request, and that it has come to the controller. */
static void ask(int16_t key, int16_t version, const void *body)
{
    const struct wire_api *kind = wire_api(key);
    struct frame_request_header header = {
        .api_key = key, .api_version = version, .correlation_id = 1, .client_id = STR("c")
    };
    size_t len = frame_request_header_size(&header) + kind->request.size(body, version);
    struct wire_out out =
        wire_out_of(arena_alloc(&arena, FRAME_LEN_BYTES + len), FRAME_LEN_BYTES + len);

    wire_put_i32(&out, (int32_t)len);
    frame_request_header_encode(&header, &out);
    kind->request.encode(body, &out, version);
    net_rig_send_bytes(rig, out.base, out.pos);
    net_rig_run(rig);
    ck_assert_uint_ne(asked, 0);
}

/* The controller says so. */
static void say(int16_t key, int16_t version, const void *resp)
{
    const struct wire_api *kind = wire_api(key);
    size_t len = kind->response.size(resp, version);
    struct wire_out out = wire_out_of(arena_alloc(&arena, len), len);
    Control__AdminAnswer answer = CONTROL__ADMIN_ANSWER__INIT;

    kind->response.encode(resp, &out, version);
    answer.has_number = true;
    answer.number = asked;
    answer.has_body = true;
    answer.body.data = out.base;
    answer.body.len = out.pos;
    forward_on_answer(api.forward, &answer);
}

/* What the client hears then. */
static void hear(int16_t key, int16_t version, void *resp)
{
    const uint8_t *frame;
    int32_t correlation_id = -1;
    size_t len;

    for (int i = 0; i < 1000 && correlation_id < 0; i++) /* it is more than a socket holds */
        correlation_id = net_rig_next(rig, &frame, &len);
    ck_assert_int_eq(correlation_id, 1);
    struct wire_in in = wire_in_of(frame, len, &arena);
    ck_assert_int_eq(frame_response_header_decode(&correlation_id, &in, key, version), ERR_OK);
    ck_assert_int_eq(wire_api(key)->response.decode(resp, &in, version), ERR_OK);
}

/* All are created, but for the last, and their settings told. */
static void say_created(void)
{
    struct create_topics_response resp;

    create_topics_response_init(&resp);
    resp.topics = arena_zalloc(&arena, TOPICS, sizeof *resp.topics);
    for (int i = 0; i < TOPICS; i++) {
        struct create_topics_response_topic *topic = &resp.topics[resp.topics_len++];

        create_topics_response_topic_init(topic);
        topic->name = names[i];
        topic->error_code = i == TOPICS - 1 ? ERR_INVALID_REPLICATION_FACTOR : 0;
        topic->configs = arena_zalloc(&arena, SETTINGS, sizeof *topic->configs);
        topic->configs_len = SETTINGS;
        for (int c = 0; c < SETTINGS; c++) {
            create_topics_response_config_init(&topic->configs[c]);
            topic->configs[c].name = STR("max.compaction.lag.ms");
            topic->configs[c].value = STR("9223372036854775807");
        }
    }
    say(API_CREATE_TOPICS, 7, &resp);
}

START_TEST(who_creates_a_thousand_topics_hears_of_each)
{
    struct create_topics_request body;
    struct create_topics_response resp;

    create_topics_request_init(&body);
    body.timeout_ms = 60000;
    body.topics = arena_zalloc(&arena, TOPICS, sizeof *body.topics);
    for (int i = 0; i < TOPICS; i++) {
        struct create_topics_request_topic *topic = &body.topics[body.topics_len++];

        create_topics_request_topic_init(topic);
        topic->name = names[i];
        topic->num_partitions = 1;
        topic->replication_factor = 1;
    }
    ask(API_CREATE_TOPICS, 7, &body);
    say_created();
    hear(API_CREATE_TOPICS, 7, &resp);
    ck_assert_int_eq(resp.topics_len, TOPICS);
    for (int i = 0; i < TOPICS; i++) {
        ck_assert_int_eq(resp.topics[i].error_code,
                         i == TOPICS - 1 ? ERR_INVALID_REPLICATION_FACTOR : 0);
        ck_assert_int_eq(resp.topics[i].configs_len, SETTINGS);
    }
}
END_TEST

START_TEST(why_one_of_a_thousand_was_not_created_on_the_way_is_told)
{
    struct metadata_request body;
    struct metadata_response resp;

    metadata_request_init(&body);
    body.allow_auto_topic_creation = true;
    body.topics = arena_zalloc(&arena, TOPICS, sizeof *body.topics);
    for (int i = 0; i < TOPICS; i++) {
        metadata_request_topic_init(&body.topics[i]);
        body.topics[body.topics_len++].name = names[i];
    }
    ask(API_METADATA, 12, &body);
    say_created();
    hear(API_METADATA, 12, &resp);
    ck_assert_int_eq(resp.topics_len, TOPICS);
    for (int i = 0; i < TOPICS; i++)
        ck_assert_int_eq(resp.topics[i].error_code, i == TOPICS - 1 ? ERR_INVALID_REPLICATION_FACTOR
                                                                    : ERR_LEADER_NOT_AVAILABLE);
}
END_TEST

START_TEST(all_that_move_are_listed)
{
    static int32_t ids[] = { 1, 2, 3, 4 };
    struct list_partition_reassignments_request body;
    struct list_partition_reassignments_response resp;
    struct list_partition_reassignments_response_topic topic;

    list_partition_reassignments_request_init(&body);
    body.timeout_ms = 60000;
    body.topics_len = -1;
    ask(API_LIST_PARTITION_REASSIGNMENTS, 0, &body);
    list_partition_reassignments_response_init(&resp);
    list_partition_reassignments_response_topic_init(&topic);
    topic.name = names[0];
    topic.partitions = arena_zalloc(&arena, MOVING, sizeof *topic.partitions);
    topic.partitions_len = MOVING;
    for (int i = 0; i < MOVING; i++)
        topic.partitions[i] = (struct list_partition_reassignments_response_partition){
            i, ids, 4, ids + 3, 1, ids, 1
        };
    resp.topics = &topic;
    resp.topics_len = 1;
    say(API_LIST_PARTITION_REASSIGNMENTS, 0, &resp);
    hear(API_LIST_PARTITION_REASSIGNMENTS, 0, &resp);
    ck_assert_int_eq(resp.error_code, 0);
    ck_assert_int_eq(resp.topics_len, 1);
    ck_assert_int_eq(resp.topics[0].partitions_len, MOVING);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("forwarded");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, who_creates_a_thousand_topics_hears_of_each);
    tcase_add_test(tc, why_one_of_a_thousand_was_not_created_on_the_way_is_told);
    tcase_add_test(tc, all_that_move_are_listed);
    return unit_run(tc);
}
