/*
 * streams: who is let in, who is refused and told why, that hellos wait for the load, that a
 * broker's words become events once and its answers come back in order, over real connections to a
 * listener on a reactor driven by hand.
 */
#include "controller/shell/streams.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/stream/stream.h"
#include "common/stream/stream_image.h"
#include "gen/wire/apis.h"
#include "gen/wire/create_topics.h"
#include "tests/kit/unit.h" /* unit_run */

#define EVENTS_MAX 64

/* The other end: what a broker or a standby would be. */
struct peer {
    struct stream *stream;
    int welcomes, goodbyes, beats, pieces, deltas, admin_answers, ends;
    int standings;
    uint64_t version, number; /* of the last Standing */
    uint64_t image_version;
    int goodbye_reason, active_id, active_port;
    int status_standbys; /* -1: no status */
    bool resigns;
    int32_t admin_error;
    char order[32]; /* a letter for each frame */
};

static struct reactor *reactor;
static struct streams *streams;
static struct core_event events[EVENTS_MAX];
static int n_events;
static struct peer peers[4];

static void on_event(void *arg, const struct core_event *event)
{
    (void)arg;
    ck_assert_int_lt(n_events, EVENTS_MAX);
    events[n_events++] = *event;
}

static const struct sink sink = { .on_event = on_event };

static void note(struct peer *peer, char letter)
{
    size_t len = strlen(peer->order);

    if (len + 1 < sizeof peer->order)
        peer->order[len] = letter;
}

static void on_frame(void *ctx, const Control__Frame *frame)
{
    struct peer *peer = ctx;

    if (frame->standing != NULL) {
        peer->standings++;
        peer->version = frame->standing->version;
        peer->number = frame->standing->has_number ? frame->standing->number : UINT64_MAX;
        note(peer, 's');
    }
    if (frame->welcome != NULL) {
        peer->welcomes++;
        peer->status_standbys =
            frame->welcome->status != NULL ? (int)frame->welcome->status->standbys : -1;
        peer->resigns = frame->welcome->status != NULL && frame->welcome->status->resigns;
        note(peer, 'w');
    } else if (frame->goodbye != NULL) {
        peer->goodbyes++;
        peer->goodbye_reason = (int)frame->goodbye->reason;
        peer->active_id = frame->goodbye->active_id;
        peer->active_port = frame->goodbye->active_port;
    } else if (frame->heartbeat_answer != NULL) {
        peer->beats++;
    } else if (frame->image != NULL) {
        peer->image_version = frame->image->version;
        peer->pieces++;
        note(peer, 'i');
    } else if (frame->delta != NULL) {
        peer->deltas++;
        note(peer, 'd');
    } else if (frame->admin_answer != NULL) {
        peer->admin_answers++;
        peer->admin_error = frame->admin_answer->error;
        note(peer, 'a');
    }
}

static void on_end(void *ctx, enum stream_end reason)
{
    struct peer *peer = ctx;

    (void)reason;
    peer->ends++;
    stream_close(&peer->stream);
}

static const struct stream_handler handler = { .on_frame = on_frame, .on_end = on_end };

static void turn_until(const int *value, int wanted)
{
    for (int i = 0; i < 5000 && *value < wanted; i++) {
        reactor_turn(reactor, false);
        usleep(200);
    }
    ck_assert_int_ge(*value, wanted);
}

static void settle(void)
{
    for (int i = 0; i < 30; i++) {
        reactor_turn(reactor, false);
        usleep(200);
    }
}

static int asks;

/* What events would answer. */
static void on_ask(void *arg, bool wants_resign, struct arena *arena, Control__Status *status)
{
    (void)arg;
    (void)arena;
    asks++;
    status->has_standbys = status->has_resigns = 1;
    status->standbys = 7;
    status->resigns = wants_resign;
}

static const struct inquiry inquiry = { .on_ask = on_ask };

static void start(void)
{
    struct net_addr addr;
    struct streams_conf conf = { .sink = &sink,
                                 .inquiry = &inquiry,
                                 .controller_id = 3001,
                                 .heartbeat_interval_ms = 100,
                                 .heartbeat_timeout_ms = 1000 };

    reactor = reactor_new();
    conf.reactor = reactor;
    streams = streams_new(&conf);
    ck_assert_int_eq(net_addr_find("127.0.0.1", 0, &addr), ERR_OK);
    ck_assert_int_eq(streams_listen(streams, &addr), ERR_OK);
    n_events = asks = 0;
    memset(peers, 0, sizeof peers);
}

static void finish(void)
{
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        stream_close(&peers[i].stream);
    streams_free(&streams);
    reactor_free(&reactor);
}

static void loaded(void)
{
    struct image *image = image_new(5, 1, 3001, STR("cluster"));

    streams_loaded(streams, image);
    image_unref(&image);
}

static void active(void)
{
    streams_won(streams, 5);
    loaded();
}

static struct peer *dial(int at)
{
    struct net_addr addr;

    ck_assert_int_eq(net_addr_find("127.0.0.1", streams_port(streams), &addr), ERR_OK);
    peers[at].stream = stream_connect(reactor, &addr, NULL, &handler, &peers[at]);
    return &peers[at];
}

enum {
    WELL = 0,
    OTHER_PROTOCOL = 1,
    OTHER_CLUSTER = 2,
    SHORT_ID = 4,
    BEATS = 8,
    STANDBY = 16,
    FOLLOWS = 32
};

static struct peer *hello(int at, int32_t broker, int how)
{
    struct peer *peer = dial(at);
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Hello message = CONTROL__HELLO__INIT;
    uint8_t incarnation[16] = { (uint8_t)(broker + 1) };
    char ours[] = "cluster", others[] = "theirs";

    message.has_protocol = 1;
    message.protocol = how & OTHER_PROTOCOL ? 99 : STREAM_PROTOCOL;
    message.cluster_id = how & OTHER_CLUSTER ? others : ours;
    message.has_broker_id = message.has_broker_epoch = message.has_incarnation = 1;
    message.broker_id = broker;
    message.broker_epoch = 1000 + broker;
    message.incarnation = (ProtobufCBinaryData){ how & SHORT_ID ? 3 : 16, incarnation };
    message.has_fresh = message.fresh = 1;
    message.has_heartbeats = message.heartbeats = (how & BEATS) != 0;
    message.has_controller_id = (how & STANDBY) != 0;
    message.controller_id = 3002;
    message.has_follows = message.follows = (how & FOLLOWS) != 0;
    frame.hello = &message;
    stream_send(peer->stream, &frame);
    return peer;
}

START_TEST(a_standby_names_the_active_one)
{
    struct seat_holder holder = { .id = 3002, .is_listed = true, .host = STR("h2"), .port = 91 };

    start();
    streams_set_holder(streams, &holder);

    struct peer *peer = hello(0, 1, WELL);

    turn_until(&peer->ends, 1);
    ck_assert_int_eq(peer->goodbye_reason, GOODBYE_NOT_ACTIVE);
    ck_assert_int_eq(peer->active_id, 3002);
    ck_assert_int_eq(peer->active_port, 91);
    ck_assert_int_eq(n_events, 0);
    finish();
}
END_TEST

static struct peer *question(int at, int wish)
{
    struct peer *peer = dial(at);
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Hello message = CONTROL__HELLO__INIT;

    message.has_protocol = message.has_asks_place = message.asks_place = 1;
    message.protocol = STREAM_PROTOCOL;
    message.has_wish = wish != 0;
    message.wish = (Control__Hello__Wish)wish;
    frame.hello = &message;
    stream_send(peer->stream, &frame);
    return peer;
}

START_TEST(an_operator_is_answered_in_every_state)
{
    start();
    turn_until(&question(0, 0)->ends, 1);
    ck_assert_int_eq(peers[0].welcomes, 1);
    ck_assert_int_eq(peers[0].status_standbys, -1); /* it asked for the place alone */
    ck_assert_int_eq(asks, 0);

    turn_until(&question(1, CONTROL__HELLO__WISH__STATUS)->ends, 1);
    ck_assert_int_eq(peers[1].status_standbys, 7);
    ck_assert(!peers[1].resigns);

    active();
    turn_until(&question(2, CONTROL__HELLO__WISH__RESIGN)->ends, 1);
    ck_assert(peers[2].resigns);
    ck_assert_int_eq(asks, 2);
    ck_assert_int_eq(n_events, 0); /* none of them is a broker */
    finish();
}
END_TEST

START_TEST(hellos_wait_for_the_load)
{
    start();
    streams_won(streams, 5);

    struct peer *good = hello(0, 1, WELL), *other = hello(1, 2, OTHER_CLUSTER);

    settle();
    ck_assert_int_eq(good->welcomes + other->goodbyes + n_events, 0);
    loaded();
    turn_until(&good->welcomes, 1);
    turn_until(&other->goodbyes, 1);
    ck_assert_int_eq(other->goodbye_reason, GOODBYE_OTHER_CLUSTER);
    ck_assert_int_eq(n_events, 1);
    ck_assert_int_eq(events[0].kind, CORE_HELLO);
    ck_assert_int_eq(events[0].hello.broker, 1);
    ck_assert_int_eq(events[0].hello.broker_epoch, 1001);
    ck_assert(events[0].hello.fresh && events[0].hello.unclean);
    finish();
}
END_TEST

START_TEST(who_breaks_the_rules_is_told_why)
{
    static const struct {
        int how, reason;
    } cases[] = { { OTHER_PROTOCOL, GOODBYE_PROTOCOL },
                  { OTHER_CLUSTER, GOODBYE_OTHER_CLUSTER },
                  { SHORT_ID, GOODBYE_PROTOCOL } };

    start();
    active();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct peer *peer = hello(0, 1, cases[i].how);

        turn_until(&peer->ends, 1);
        ck_assert_int_eq(peer->goodbye_reason, cases[i].reason);
        *peer = (struct peer){ .stream = NULL };
    }

    struct peer *rude = dial(1);
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Ack ack = CONTROL__ACK__INIT;

    frame.ack = &ack;
    stream_send(rude->stream, &frame);
    turn_until(&rude->ends, 1);
    ck_assert_int_eq(rude->goodbye_reason, GOODBYE_PROTOCOL);
    ck_assert_int_eq(n_events, 0);
    finish();
}
END_TEST

START_TEST(heartbeats_and_standbys_are_no_brokers)
{
    start();
    active();

    struct peer *beats = hello(0, 1, BEATS), *standby = hello(1, 0, STANDBY);
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Heartbeat beat = CONTROL__HEARTBEAT__INIT;

    turn_until(&beats->welcomes, 1);
    turn_until(&standby->welcomes, 1);
    ck_assert_int_eq(n_events, 0);
    beat.has_broker_epoch = beat.has_number = 1;
    beat.broker_epoch = 1007;
    frame.heartbeat = &beat;
    stream_send(beats->stream, &frame);
    turn_until(&beats->beats, 1);
    ck_assert_int_eq(n_events, 1);
    ck_assert_int_eq(events[0].kind, CORE_HEARTBEAT);
    ck_assert_int_eq(events[0].heartbeat.broker, 1);
    ck_assert_int_eq(events[0].heartbeat.broker_epoch, 1007);
    ck_assert_int_eq(events[0].heartbeat.incarnation.bytes[0], 2);
    stream_close(&beats->stream);
    settle();
    ck_assert_int_eq(n_events, 1); /* the core knows the stream, not this line */
    finish();
}
END_TEST

START_TEST(images_and_deltas_arrive_in_order)
{
    start();
    active();

    struct peer *one = hello(0, 1, WELL), *two = hello(1, 2, WELL);

    turn_until(&one->welcomes, 1);
    turn_until(&two->welcomes, 1);
    ck_assert_int_eq(n_events, 2);

    struct image *image = image_new(5, 1, 3001, STR("cluster"));
    struct image_delta delta = { .controller_epoch = 5, .version = 2 };
    uint64_t numbers[] = { events[0].hello.stream, 999, events[1].hello.stream };

    streams_send_image(streams, &(struct core_send_image){ numbers[0], image });
    streams_send_image(streams, &(struct core_send_image){ 999, image });
    settle();
    streams_send_delta(streams, &(struct core_send_delta){ 3, numbers, &delta, image });
    streams_send_image(streams, &(struct core_send_image){ numbers[2], image });
    turn_until(&one->deltas, 1);
    turn_until(&two->pieces, 1);
    settle();
    ck_assert_str_eq(events[0].hello.broker == 1 ? one->order : two->order, "wid");
    ck_assert_str_eq(events[0].hello.broker == 1 ? two->order : one->order, "wdi");
    image_unref(&image);
    finish();
}
END_TEST

/* What comes before the turn ends is part of the image that is owed; an answer has it sent first.
 */
START_TEST(an_image_that_is_owed_includes_the_deltas_since)
{
    struct image *image = image_new(5, 1, 3001, STR("cluster")), *next;
    struct image_delta delta = { .controller_epoch = 5, .version = 2 };
    uint64_t numbers[2];

    start();
    active();

    struct peer *one = hello(0, 1, WELL), *two = hello(1, 2, WELL);

    turn_until(&one->welcomes, 1);
    turn_until(&two->welcomes, 1);
    numbers[0] = events[events[0].hello.broker == 1 ? 0 : 1].hello.stream;
    numbers[1] = events[events[0].hello.broker == 1 ? 1 : 0].hello.stream;
    next = image_apply(image, &delta);
    streams_send_image(streams, &(struct core_send_image){ numbers[0], image });
    streams_send_image(streams, &(struct core_send_image){ numbers[1], image });
    streams_answer_pid_block(streams, &(struct core_answer_pid_block){ .stream = numbers[1] });
    streams_send_delta(streams, &(struct core_send_delta){ 2, numbers, &delta, next });
    turn_until(&one->pieces, 1);
    turn_until(&two->deltas, 1);
    settle();
    ck_assert_str_eq(one->order, "wi");
    ck_assert_uint_eq(one->image_version, 2);
    ck_assert_str_eq(two->order, "wid");
    ck_assert_uint_eq(two->image_version, 1);
    image_unref(&image);
    image_unref(&next);
    finish();
}
END_TEST

/* Of replicas that are to be deleted: their names are long. */
static struct image_delta large_delta(void)
{
    static struct image_tombstone stones[65536];
    static char name[250];

    memset(name, 'n', sizeof name - 1);
    for (size_t i = 0; i < ARRAY_LEN(stones); i++)
        stones[i] = (struct image_tombstone){ .broker = 1,
                                              .topic_id = { .bytes = { 1 } },
                                              .topic = str_of(name),
                                              .partition = (int32_t)i };
    return (struct image_delta){
        .controller_epoch = 5, .version = 2, .n_tombstones = ARRAY_LEN(stones), .tombstones = stones
    };
}

START_TEST(a_delta_that_no_frame_holds_is_an_image)
{
    struct image *image = image_new(5, 1, 3001, STR("cluster")), *second, *third;
    struct image_delta delta = large_delta();
    struct image_delta small = { .controller_epoch = 5, .version = 3 };
    uint64_t number;

    start();
    active();

    struct peer *broker = hello(0, 1, WELL), *standby = hello(1, 3, STANDBY | FOLLOWS);

    turn_until(&broker->welcomes, 1);
    turn_until(&standby->pieces, 1);
    number = events[0].hello.stream;
    streams_send_image(streams, &(struct core_send_image){ number, image });
    turn_until(&broker->pieces, 1);
    second = image_apply(image, &delta);
    third = image_apply(second, &small);
    streams_send_delta(streams, &(struct core_send_delta){ 1, &number, &delta, second });
    turn_until(&broker->pieces, 3);
    streams_send_delta(streams, &(struct core_send_delta){ 1, &number, &small, third });
    turn_until(&broker->deltas, 1);
    turn_until(&standby->deltas, 1);
    ck_assert_uint_eq(broker->image_version, 2);
    ck_assert_uint_eq(standby->image_version, 2);
    ck_assert_int_eq(broker->pieces, standby->pieces);
    ck_assert_int_eq(broker->ends + standby->ends, 0);
    image_unref(&image);
    image_unref(&second);
    image_unref(&third);
    finish();
}
END_TEST

/* Image, deltas, and after each how far the controller is. */
START_TEST(standbys_follow)
{
    struct image *image = image_new(5, 1, 3001, STR("cluster")), *next;
    struct image_delta delta = { .controller_epoch = 5, .version = 2 };
    struct streams_counts counts;

    start();
    streams_won(streams, 5);
    streams_standing(streams, NULL, true, 0);

    struct peer *early = hello(0, 1, STANDBY | FOLLOWS), *watcher = hello(1, 2, STANDBY);

    turn_until(&early->standings, 1);
    turn_until(&watcher->welcomes, 1);
    ck_assert_uint_eq(early->version, 0);
    streams_loaded(streams, image);
    streams_standing(streams, image, true, 3);
    turn_until(&early->standings, 2);
    ck_assert_uint_eq(early->version, 1);
    ck_assert_uint_eq(early->number, 3);
    next = image_apply(image, &delta);
    streams_send_delta(streams, &(struct core_send_delta){ .delta = &delta });
    streams_standing(streams, next, true, 4);

    struct peer *late = hello(2, 3, STANDBY | FOLLOWS);

    turn_until(&late->standings, 1);
    settle();
    ck_assert_str_eq(early->order, "wsisds");
    ck_assert_str_eq(late->order, "wis");
    ck_assert_str_eq(watcher->order, "w");
    ck_assert_uint_eq(late->version, 2);
    ck_assert_uint_eq(late->number, 4);
    streams_counts(streams, &counts);
    ck_assert_uint_eq(counts.standbys, 2);
    /* where it is not known how far we are, that is not claimed */
    streams_standing(streams, next, false, 4);
    turn_until(&late->standings, 2);
    ck_assert_uint_eq(late->number, UINT64_MAX);
    image_unref(&image);
    image_unref(&next);
    finish();
}
END_TEST

static void send_admin(struct peer *peer, int16_t version, size_t cut)
{
    const struct wire_api *api = wire_api(API_CREATE_TOPICS);
    struct create_topics_request request;
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__AdminRequest message = CONTROL__ADMIN_REQUEST__INIT;
    uint8_t body[256];
    struct wire_out out = wire_out_of(body, sizeof body);

    api->request.init(&request);
    request.timeout_ms = 4711;
    api->request.encode(&request, &out, 5);
    message.has_number = message.has_api_key = message.has_api_version = message.has_body = 1;
    message.number = 77;
    message.api_key = API_CREATE_TOPICS;
    message.api_version = version;
    message.body = (ProtobufCBinaryData){ out.pos - cut, body };
    frame.admin_request = &message;
    stream_send(peer->stream, &frame);
}

/* With more than a frame holds. */
static void answer_at_length(const struct core_admin *admin)
{
    static struct create_topics_response_topic topics[600];
    static char why[32000];
    struct create_topics_response response;

    memset(why, 'w', sizeof why - 1);
    wire_api(API_CREATE_TOPICS)->response.init(&response);
    response.topics = topics;
    response.topics_len = ARRAY_LEN(topics);
    for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
        create_topics_response_topic_init(&topics[i]);
        topics[i].name = STR("t");
        topics[i].error_message = str_of(why);
        topics[i].configs_len = -1;
    }
    streams_answer_admin(streams, &(struct core_answer_admin){ .id = admin->id,
                                                               .stream = admin->stream,
                                                               .api_key = admin->api_key,
                                                               .api_version = admin->api_version,
                                                               .response = &response });
}

START_TEST(admin_requests_live_until_they_are_answered)
{
    start();
    active();

    struct peer *peer = hello(0, 1, WELL);

    turn_until(&peer->welcomes, 1);
    send_admin(peer, 5, 0);
    turn_until(&n_events, 2);
    ck_assert_int_eq(events[1].kind, CORE_ADMIN);

    const struct core_admin *admin = &events[1].admin;
    const struct create_topics_request *request = admin->request;
    struct create_topics_response response;

    ck_assert_int_eq(request->timeout_ms, 4711);
    ck_assert_uint_eq(admin->stream, events[0].hello.stream);
    wire_api(API_CREATE_TOPICS)->response.init(&response);
    streams_answer_admin(streams, &(struct core_answer_admin){ .id = admin->id,
                                                               .stream = admin->stream,
                                                               .api_key = admin->api_key,
                                                               .api_version = admin->api_version,
                                                               .response = &response });
    turn_until(&peer->admin_answers, 1);
    ck_assert_int_eq(peer->admin_error, 0);
    send_admin(peer, 99, 0);
    turn_until(&peer->admin_answers, 2);
    ck_assert_int_eq(peer->admin_error, ERR_UNSUPPORTED_VERSION);
    send_admin(peer, 5, 3);
    turn_until(&peer->admin_answers, 3);
    ck_assert_int_eq(peer->admin_error, ERR_INVALID_REQUEST);
    ck_assert_int_eq(n_events, 2);
    send_admin(peer, 5, 0);
    turn_until(&n_events, 3);
    answer_at_length(&events[2].admin);
    turn_until(&peer->admin_answers, 4);
    ck_assert_int_eq(peer->admin_error, ERR_UNKNOWN_SERVER_ERROR);
    ck_assert_int_eq(peer->ends, 0);

    struct streams_counts counts;

    streams_counts(streams, &counts);
    ck_assert_uint_eq(counts.admins, 0);
    finish();
}
END_TEST

START_TEST(an_end_is_one_event_unless_the_core_wanted_it)
{
    start();
    active();

    struct peer *one = hello(0, 1, WELL);

    turn_until(&one->welcomes, 1);

    struct peer *two = hello(1, 2, WELL);

    turn_until(&two->welcomes, 1);
    stream_close(&one->stream);
    turn_until(&n_events, 3);
    ck_assert_int_eq(events[2].kind, CORE_STREAM_ENDED);
    ck_assert_uint_eq(events[2].stream_ended.stream, events[0].hello.stream);
    streams_end(streams, &(struct core_end_stream){ events[1].hello.stream, GOODBYE_REPLACED });
    turn_until(&two->ends, 1);
    settle();
    ck_assert_int_eq(two->goodbye_reason, GOODBYE_REPLACED);
    ck_assert_int_eq(n_events, 3);
    finish();
}
END_TEST

START_TEST(nonsense_on_a_broker_s_stream_ends_it)
{
    start();
    active();

    struct peer *peer = hello(0, 1, WELL);
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__DirFailed failed = CONTROL__DIR_FAILED__INIT;
    Control__PartitionFailure part = CONTROL__PARTITION_FAILURE__INIT, *parts[] = { &part };

    turn_until(&peer->welcomes, 1);
    failed.n_partitions = 1;
    failed.partitions = parts;
    frame.dir_failed = &failed;
    stream_send(peer->stream, &frame);
    turn_until(&peer->ends, 1);
    settle();
    ck_assert_int_eq(peer->goodbye_reason, GOODBYE_PROTOCOL);
    ck_assert_int_eq(n_events, 2);
    ck_assert_int_eq(events[1].kind, CORE_STREAM_ENDED);
    finish();
}
END_TEST

START_TEST(losing_the_seat_sends_everybody_away)
{
    start();
    active();

    struct peer *broker = hello(0, 1, WELL), *beats = hello(1, 1, BEATS);

    turn_until(&broker->welcomes, 1);
    turn_until(&beats->welcomes, 1);
    send_admin(broker, 5, 0);
    turn_until(&n_events, 2);
    streams_lost(streams);
    turn_until(&broker->ends, 1);
    turn_until(&beats->ends, 1);
    settle();
    ck_assert_int_eq(broker->goodbye_reason, GOODBYE_RESIGNED);
    ck_assert_int_eq(n_events, 2);
    broker = hello(2, 1, WELL);
    turn_until(&broker->ends, 1);
    ck_assert_int_eq(broker->goodbye_reason, GOODBYE_NOT_ACTIVE);
    finish();
}
END_TEST

START_TEST(acks_while_loading_confirm_nothing_until_the_first_that_does)
{
    static const struct {
        bool loading;
        uint64_t version, seen;
    } acks[] = { { true, 1, 0 }, { true, 2, 0 }, { false, 3, 3 }, { true, 4, 4 } };

    start();
    active();

    struct peer *peer = hello(0, 1, WELL);

    turn_until(&peer->welcomes, 1);
    for (int i = 0; i < (int)ARRAY_LEN(acks); i++) {
        Control__Frame frame = CONTROL__FRAME__INIT;
        Control__Ack ack = CONTROL__ACK__INIT;

        ack.has_controller_epoch = ack.has_version = ack.has_loading = 1;
        ack.controller_epoch = 5;
        ack.version = acks[i].version;
        ack.loading = acks[i].loading;
        frame.ack = &ack;
        stream_send(peer->stream, &frame);
        turn_until(&n_events, i + 2);
        ck_assert_int_eq(events[i + 1].kind, CORE_ACKED);
        ck_assert_uint_eq(events[i + 1].acked.version, acks[i].seen);
    }
    finish();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("streams");

    tcase_add_test(tc, a_standby_names_the_active_one);
    tcase_add_test(tc, an_operator_is_answered_in_every_state);
    tcase_add_test(tc, hellos_wait_for_the_load);
    tcase_add_test(tc, who_breaks_the_rules_is_told_why);
    tcase_add_test(tc, heartbeats_and_standbys_are_no_brokers);
    tcase_add_test(tc, images_and_deltas_arrive_in_order);
    tcase_add_test(tc, an_image_that_is_owed_includes_the_deltas_since);
    tcase_add_test(tc, a_delta_that_no_frame_holds_is_an_image);
    tcase_add_test(tc, standbys_follow);
    tcase_add_test(tc, admin_requests_live_until_they_are_answered);
    tcase_add_test(tc, an_end_is_one_event_unless_the_core_wanted_it);
    tcase_add_test(tc, nonsense_on_a_broker_s_stream_ends_it);
    tcase_add_test(tc, losing_the_seat_sends_everybody_away);
    tcase_add_test(tc, acks_while_loading_confirm_nothing_until_the_first_that_does);
    return unit_run(tc);
}
