/*
 * drain: a broker that stops ends every request that is open, whatever it waits for: followers that
 * do not come, ids of a controller that is not there. No connection's memory goes before.
 */
#include "broker/drain.h"

#include <check.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/api/api.h"
#include "broker/api/delete_records.h"
#include "broker/api/find_coordinator.h"
#include "broker/api/produce.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/wire/frame.h"
#include "gen/wire/apis.h"
#include "gen/wire/delete_records.h"
#include "gen/wire/init_producer_id.h"
#include "gen/wire/produce.h"
#include "tests/kit/part_kit.h"
#include "tests/kit/unit.h"

#define WAIT_MS 600000 /* what clients allow: nobody here waits for it */

static const char *dir;
static struct logs *logs;
static struct parts *parts;
static struct pids *pids;
static struct reactor *reactor;
static struct conns *conns;
static struct dispatch dispatch;
static struct budget memory;
static struct api api;
static const struct listener_info listener = { .name = "PLAINTEXT", .protocol = "PLAINTEXT" };
static const struct uuid topic_id = { .bytes = { 7 } };
static const int32_t both[] = { 1, 2 }, one[] = { 1 };
static struct drain drain;
static int client;

static void on_want(void *ctx)
{
    (void)ctx; /* there is no controller */
}

static void set_isr(int32_t partition_epoch, struct ids isr)
{
    struct image *image = image_new(1, 1, 3001, STR("kit")), *next;
    struct node nodes[] = { { .id = 1, .state = NODE_LIVE, .epoch = 10 },
                            { .id = 2, .state = NODE_LIVE, .epoch = 20 } };
    struct image_part part = {
        .leader = 1, .partition_epoch = partition_epoch, .replicas = IDS_OF(both), .isr = isr
    };
    struct image_topic_change topic = {
        .id = topic_id, .name = STR("t"), .n_parts = 1, .parts = &part
    };
    struct image_delta delta = { .controller_epoch = 1,
                                 .version = 2,
                                 .n_brokers = 2,
                                 .brokers = nodes,
                                 .n_topics = 1,
                                 .topics = &topic };
    struct parts_result result;

    next = image_apply(image, &delta);
    parts_apply(parts, next, NULL, clock_mono_ms(), &result);
    ck_assert_int_eq(result.err, ERR_OK);
    ck_assert_uint_eq(result.failures_len, 0);
    parts_result_fini(&result);
    meta_publish(api.meta, next);
    image_unref(&image);
    image_unref(&next);
}

static void start_broker(void)
{
    ck_assert_int_eq(logs_open(
                         &(struct logs_options){
                             .dirs = &dir, .dir_count = 1, .broker_id = 1, .recovery_threads = 1 },
                         &logs),
                     ERR_OK);
    parts = parts_new(&(struct parts_conf){ .broker_id = 1,
                                            .lag_max_ms = WAIT_MS,
                                            .logs = logs,
                                            .conf_of = part_kit_conf,
                                            .propose = part_kit_propose });
    pids = pids_new(on_want, NULL);
    api = (struct api){ .broker_id = 1,
                        .parts = parts,
                        .logs = logs,
                        .meta = meta_new(),
                        .pool = pool_start(1),
                        .pids = pids };
}

static void setup(void)
{
    static const struct handler rows[] = {
        { API_PRODUCE, 0, 11, HANDLER_PIPELINED, api_produce },
        { API_DELETE_RECORDS, 0, 2, 0, api_delete_records },
        { API_INIT_PRODUCER_ID, 0, 5, 0, api_init_producer_id },
    };

    say_setup(SAY_ERROR, SAY_TEXT, "test");
    dir = unit_temp_dir();
    start_broker();
    dispatch_init(&dispatch, rows, ARRAY_LEN(rows), &api);
    budget_init(&memory, 1 << 28);
    reactor = reactor_new();
    conns =
        conns_new(reactor, &(struct conns_conf){ .request_max_bytes = 1 << 20, .memory = &memory },
                  &dispatch);
    drain = (struct drain){
        .reactors = &reactor, .conns = &conns, .len = 1, .parts = parts, .pids = pids
    };
}

static void teardown(void)
{
    close(client);
    parts_free(&parts);
    pids_free(&pids);
    meta_free(&api.meta);
    logs_close(&logs);
}

static void connect_client(void)
{
    struct net_addr peer = { 0 };
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    conns_add(conns, pair[0], &peer, &listener, NULL);
    client = pair[1];
    reactor_start(reactor, T_REACTOR, 0);
}

static void send_request(int16_t key, int16_t version, const void *body)
{
    const struct wire_api *kind = wire_api(key);
    struct frame_request_header header = {
        .api_key = key, .api_version = version, .correlation_id = 1, .client_id = STR("test")
    };
    size_t len = frame_request_header_size(&header) + kind->request.size(body, version);
    struct wire_out out = { .base = xmalloc(FRAME_LEN_BYTES + len), .cap = FRAME_LEN_BYTES + len };

    wire_put_i32(&out, (int32_t)len);
    frame_request_header_encode(&header, &out);
    kind->request.encode(body, &out, version);
    ck_assert_uint_eq(out.pos, out.cap);
    ck_assert_int_eq(send(client, out.base, out.pos, MSG_NOSIGNAL), (ssize_t)out.pos);
    free(out.base);
}

static void send_produce(int16_t acks)
{
    struct produce_request req;
    struct produce_request_topic topic;
    struct produce_request_partition part;
    struct buf buf = BUF_EMPTY;

    kit_batch_put(&buf, &(struct kit_batch){ .count = 10, .value_bytes = 10 });
    produce_request_init(&req);
    produce_request_topic_init(&topic);
    produce_request_partition_init(&part);
    part.records = (struct wire_records){ .data = buf.bytes, .len = (int32_t)buf.len };
    topic.name = STR("t");
    topic.partitions = &part;
    topic.partitions_len = 1;
    req.acks = acks;
    req.timeout_ms = WAIT_MS;
    req.topics = &topic;
    req.topics_len = 1;
    send_request(API_PRODUCE, 9, &req);
    buf_fini(&buf);
}

static void send_delete_records(int64_t offset)
{
    struct delete_records_request req;
    struct delete_records_request_topic topic;
    struct delete_records_request_partition part;

    delete_records_request_init(&req);
    delete_records_request_topic_init(&topic);
    delete_records_request_partition_init(&part);
    part.offset = offset;
    topic.name = STR("t");
    topic.partitions = &part;
    topic.partitions_len = 1;
    req.timeout_ms = WAIT_MS;
    req.topics = &topic;
    req.topics_len = 1;
    send_request(API_DELETE_RECORDS, 2, &req);
}

static void get_info(struct part_info *out)
{
    const struct parts_table *table = parts_get_table(parts);

    part_get_info(parts_find(table, STR("t"), 0), out);
    parts_put_table(&table);
}

static void wait_for_leo(int64_t leo)
{
    struct part_info info;

    do {
        sched_yield();
        get_info(&info);
    } while (info.leo < leo);
}

static void wait_for_start(int64_t start)
{
    struct part_info info;

    do {
        sched_yield();
        get_info(&info);
    } while (info.log_start < start);
}

static void close_all(void *arg)
{
    conns_close_all(arg);
}

/* As broker_stop() does it. */
static void stop(void)
{
    reactor_call(reactor, close_all, conns);
    ck_assert(!drain_wait_ms(&drain, 0)); /* it waits, for all that its client is gone */
    pool_stop(&api.pool);
    drain_end(&drain);
    reactor_stop(reactor);
    ck_assert_uint_eq(conns_open_requests(conns), 0);
    conns_free(&conns);
    reactor_free(&reactor);
}

START_TEST(a_produce_that_waits_for_a_follower_ends)
{
    set_isr(0, IDS_OF(both));
    connect_client();
    send_produce(-1);
    wait_for_leo(10);
    stop();
}
END_TEST

START_TEST(records_that_a_follower_has_not_let_go_of_are_not_waited_for)
{
    set_isr(0, IDS_OF(one));
    connect_client();
    send_produce(0);
    wait_for_leo(10);
    send_delete_records(5);
    wait_for_start(5);
    stop();
}
END_TEST

START_TEST(who_wants_a_producer_id_does_not_wait_for_a_controller)
{
    struct init_producer_id_request req;

    set_isr(0, IDS_OF(one));
    connect_client();
    init_producer_id_request_init(&req);
    req.transactional_id = STR_NULL;
    send_request(API_INIT_PRODUCER_ID, 4, &req);
    while (drain_wait_ms(&drain, 0)) /* until it is taken up */
        sched_yield();
    stop();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("drain");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_produce_that_waits_for_a_follower_ends);
    tcase_add_test(tc, records_that_a_follower_has_not_let_go_of_are_not_waited_for);
    tcase_add_test(tc, who_wants_a_producer_id_does_not_wait_for_a_controller);
    return unit_run(tc);
}
