#include "tests/kit/replica_kit.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/api/api_versions.h"
#include "broker/api/fetch.h"
#include "broker/api/fetch_session.h"
#include "broker/api/list_offsets.h"
#include "broker/api/produce.h"
#include "broker/replica/parts_int.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "gen/wire/apis.h"
#include "tests/kit/unit.h"

static void conf_of(void *ctx, const struct image *image, struct str topic, struct part_conf *out)
{
    const struct kit_broker *broker = ctx;

    (void)image;
    *out =
        (struct part_conf){ .log = broker->cluster->log,
                            .validate = VALIDATE_CONF_DEFAULT,
                            .min_isr = broker->cluster->min_isr,
                            .throttled_leaders = str_of(broker->cluster->throttled_leaders),
                            .throttled_followers = str_of(broker->cluster->throttled_followers) };
    if (broker->cluster->flushed_topic != NULL && str_is(topic, broker->cluster->flushed_topic))
        out->log.flush_messages = 1;
}

static void on_propose(void *ctx, struct part *part, const struct part_proposal *proposal)
{
    const struct kit_broker *broker = ctx;
    struct kit_cluster *cluster = broker->cluster;

    lock_take(&cluster->lock);
    ck_assert_int_lt(cluster->proposals_len, 256);
    struct kit_proposal *copy = &cluster->proposals[cluster->proposals_len++];
    *copy = (struct kit_proposal){ .broker = broker->id,
                                   .topic_id = part_topic_id(part),
                                   .partition = part_partition(part),
                                   .leader_epoch = proposal->leader_epoch,
                                   .partition_epoch = proposal->partition_epoch,
                                   .id = proposal->id,
                                   .members_len = proposal->members_len };
    for (int32_t i = 0; i < proposal->members_len; i++)
        copy->members[i] = proposal->members[i].id;
    lock_drop(&cluster->lock);
}

struct uuid kit_topic_id(int n)
{
    struct uuid id = UUID_ZERO;

    id.bytes[0] = 0x70;
    id.bytes[15] = (uint8_t)(n + 1);
    return id;
}

struct str kit_topic_name(int n)
{
    static const char *const names[] = { "t0", "t1", "t2", "t3" };

    ck_assert_int_lt(n, 4);
    return str_of(names[n]);
}

struct image_part kit_state(int32_t leader, int32_t leader_epoch, int32_t partition_epoch,
                            struct ids replicas, struct ids isr)
{
    return (struct image_part){ .leader = leader,
                                .leader_epoch = leader_epoch,
                                .partition_epoch = partition_epoch,
                                .replicas = replicas,
                                .isr = isr };
}

static void apply(struct kit_cluster *cluster, struct image_delta *delta)
{
    delta->controller_epoch = 1;
    delta->version = image_version(cluster->image) + 1;
    struct image *next = image_apply(cluster->image, delta);
    image_unref(&cluster->image);
    cluster->image = next;
}

static void give(struct kit_cluster *cluster, int32_t id, const struct image_delta *delta)
{
    struct kit_broker *broker = &cluster->brokers[id];
    struct parts_result result;

    if (!broker->up)
        return;
    parts_apply(broker->parts, cluster->image, delta, clock_mono_ms(), &result);
    ck_assert_int_eq(result.err, ERR_OK);
    meta_publish(broker->api.meta, cluster->image);
    parts_result_fini(&result);
}

static void close_all(void *conns)
{
    conns_close_all(conns);
}

static void start(struct kit_cluster *cluster, int32_t id)
{
    static const struct handler rows[] = {
        { API_PRODUCE, 0, 11, HANDLER_PIPELINED, api_produce },
        { API_FETCH, 0, 17, HANDLER_PIPELINED, api_fetch },
        { API_LIST_OFFSETS, 0, 9, 0, api_list_offsets },
        { API_API_VERSIONS, 0, 4, HANDLER_ANY_VERSION, api_versions_handle },
    };
    struct kit_broker *broker = &cluster->brokers[id];

    broker->cluster = cluster;
    broker->id = id;
    broker->epoch = cluster->next_epoch++;
    if (broker->dir == NULL)
        broker->dir = xstrdup(unit_temp_dir());
    ck_assert_int_eq(logs_open(&(struct logs_options){ .dirs = &broker->dir,
                                                       .dir_count = 1,
                                                       .broker_id = id,
                                                       .recovery_threads = 1,
                                                       .no_threads = !cluster->dir_threads,
                                                       .disk = cluster->disk },
                               &broker->logs),
                     ERR_OK);
    cluster->fetch.logs = broker->logs;
    broker->fetchers = fetchers_start(&cluster->fetch);
    broker->parts = parts_new(&(struct parts_conf){ .broker_id = id,
                                                    .lag_max_ms = 30000,
                                                    .logs = broker->logs,
                                                    .fetchers = broker->fetchers,
                                                    .conf_of = conf_of,
                                                    .propose = on_propose,
                                                    .ctx = broker });
    broker->pool = pool_start(1);
    broker->lane = lane_new(broker->pool);
    broker->api = (struct api){ .broker_id = id,
                                .pool = broker->pool,
                                .lanes = &broker->lane,
                                .parts = broker->parts,
                                .logs = broker->logs,
                                .meta = meta_new(),
                                .sessions = fetch_sessions_new(16, (uint64_t)id),
                                .leader_quota = cluster->leader_quota,
                                .note_every_ms = cluster->note_every_ms,
                                .fetch_max_bytes = 50 << 20 };
    budget_init(&broker->memory, 1 << 28);
    dispatch_init(&broker->dispatch, rows, ARRAY_LEN(rows), &broker->api);
    broker->reactor = reactor_new();
    broker->conns = conns_new(broker->reactor,
                              &(struct conns_conf){ .request_max_bytes = 100 << 20,
                                                    .idle_max_ms = 600000,
                                                    .memory = &broker->memory },
                              &broker->dispatch);
    broker->door = door_new(&(struct door_conf){ 0 });
    ck_assert_int_eq(listener_open(broker->reactor,
                                   &(struct listener_conf){ .name = "PLAINTEXT",
                                                            .protocol = "PLAINTEXT",
                                                            .host = "127.0.0.1",
                                                            .backlog = 50,
                                                            .is_inter_broker = true },
                                   broker->door, &broker->conns, 1, &broker->listener),
                     ERR_OK);
    reactor_start(broker->reactor, T_REACTOR, id);
    listener_start(broker->listener);
    broker->up = true;
}

static struct node node_of(const struct kit_broker *broker, struct endpoint *endpoint)
{
    *endpoint = (struct endpoint){ .listener = STR("PLAINTEXT"),
                                   .protocol = STR("PLAINTEXT"),
                                   .host = str_of(broker->cluster->host),
                                   .port = listener_port(broker->listener) };
    struct node node = { .id = broker->id,
                         .state = NODE_LIVE,
                         .epoch = broker->epoch,
                         .n_endpoints = 1,
                         .endpoints = endpoint };
    node.incarnation.bytes[0] = (uint8_t)broker->epoch;
    return node;
}

void kit_cluster_init(struct kit_cluster *cluster)
{
    struct names *names = names_new();

    *cluster = (struct kit_cluster){
        .names = names,
        .host = "127.0.0.1",
        .fetch = { .per_leader = 1,
                   .listener = "PLAINTEXT",
                   .partition_max_bytes = 1 << 20,
                   .response_max_bytes = 10 << 20,
                   .min_bytes = 1,
                   .wait_max_ms = 500,
                   .backoff_ms = 1000,
                   .request_timeout_ms = 30000,
                   .receive_buffer_bytes = 65536,
                   .resolver = resolver_new(names_look, names) },
        .log = LOG_CONF_DEFAULT,
        .min_isr = 1,
        .next_epoch = 100,
    };
    lock_init(&cluster->lock, LOCK_LEAF);
    cluster->image = image_new(1, 1, 3001, STR("kit"));
    say_setup(SAY_ERROR, SAY_TEXT, "test");
}

void kit_cluster_start(struct kit_cluster *cluster, int n)
{
    for (int32_t id = 1; id <= n; id++)
        kit_broker_start(cluster, id);
}

void kit_cluster_start_pair(struct kit_cluster *cluster, int topics)
{
    static const int32_t both[] = { 1, 2 };
    struct image_part state = kit_state(1, 0, 0, IDS_OF(both), IDS_OF(both));

    kit_cluster_start(cluster, 2);
    for (int n = 0; n < topics; n++)
        kit_set_part(cluster, n, &state);
}

void kit_broker_start(struct kit_cluster *cluster, int32_t id)
{
    struct endpoint endpoint;

    cluster->fetch.broker_id = id;
    start(cluster, id);
    struct node node = node_of(&cluster->brokers[id], &endpoint);
    struct image_delta delta = { .n_brokers = 1, .brokers = &node };
    apply(cluster, &delta);
    for (int32_t other = 1; other <= KIT_BROKERS; other++)
        give(cluster, other, other == id ? NULL : &delta);
}

void kit_broker_register(struct kit_cluster *cluster, int32_t id)
{
    struct endpoint endpoint;

    cluster->brokers[id].epoch = cluster->next_epoch++;
    struct node node = node_of(&cluster->brokers[id], &endpoint);
    struct image_delta delta = { .n_brokers = 1, .brokers = &node };
    apply(cluster, &delta);
    for (int32_t other = 1; other <= KIT_BROKERS; other++)
        give(cluster, other, &delta);
}

/* A stop waits for the syncs that are out; without a thread nobody would make them. */
static void *keep_syncing(void *arg)
{
    struct kit_broker *broker = arg;

    while (!atomic_load(&broker->is_stopped)) {
        logs_tick(broker->logs, clock_wall_ms(), clock_mono_ms());
        poll(NULL, 0, 1);
    }
    return NULL;
}

static void stop(struct kit_broker *broker, bool clean)
{
    bool syncs = broker->cluster->flushed_topic != NULL && !broker->cluster->dir_threads;
    pthread_t syncer;

    broker->up = false;
    atomic_init(&broker->is_stopped, false);
    if (syncs)
        ck_assert_int_eq(pthread_create(&syncer, NULL, keep_syncing, broker), 0);
    listener_stop(broker->listener);
    fetchers_stop(&broker->fetchers);
    reactor_call(broker->reactor, close_all, broker->conns);
    pool_stop(&broker->pool);
    lane_free(&broker->lane);
    reactor_stop(broker->reactor);
    for (int i = 0; i < 1000 && conns_open_requests(broker->conns) > 0; i++)
        reactor_turn(broker->reactor, false);
    conns_free(&broker->conns);
    listener_free(&broker->listener);
    door_free(&broker->door);
    parts_free(&broker->parts);
    atomic_store(&broker->is_stopped, true);
    if (syncs)
        ck_assert_int_eq(pthread_join(syncer, NULL), 0);
    fetch_sessions_free(&broker->api.sessions);
    meta_free(&broker->api.meta);
    reactor_free(&broker->reactor);
    if (clean)
        logs_close(&broker->logs);
    else
        logs_abandon(&broker->logs);
}

/* Fenced, as its controller would. */
static void say_dead(struct kit_cluster *cluster, int32_t id, int port)
{
    struct endpoint endpoint = { .listener = STR("PLAINTEXT"),
                                 .protocol = STR("PLAINTEXT"),
                                 .host = STR("127.0.0.1"),
                                 .port = port };
    struct node node = { .id = id,
                         .state = NODE_DEAD,
                         .epoch = cluster->brokers[id].epoch,
                         .n_endpoints = 1,
                         .endpoints = &endpoint };
    struct image_delta delta = { .n_brokers = 1, .brokers = &node };

    apply(cluster, &delta);
    for (int32_t other = 1; other <= KIT_BROKERS; other++)
        give(cluster, other, &delta);
}

void kit_broker_stop(struct kit_cluster *cluster, int32_t id, bool clean)
{
    int port = listener_port(cluster->brokers[id].listener);

    stop(&cluster->brokers[id], clean);
    say_dead(cluster, id, port);
}

void kit_cluster_end(struct kit_cluster *cluster)
{
    for (int32_t id = 1; id <= KIT_BROKERS; id++) {
        if (cluster->brokers[id].up)
            stop(&cluster->brokers[id], true);
        free((void *)(uintptr_t)cluster->brokers[id].dir);
    }
    image_unref(&cluster->image);
    lock_fini(&cluster->lock);
    resolver_free(&cluster->fetch.resolver);
    names_let_go(cluster->names, true);
    names_free(&cluster->names);
}

void kit_put_part(struct kit_cluster *cluster, int topic, const struct image_part *part)
{
    struct image_topic_change change = {
        .id = kit_topic_id(topic), .name = kit_topic_name(topic), .n_parts = 1, .parts = part
    };
    struct image_delta delta = { .n_topics = 1, .topics = &change };

    apply(cluster, &delta);
}

void kit_tell(struct kit_cluster *cluster, int32_t id, const struct image_part *part, int topic)
{
    struct image_topic_change change = {
        .id = kit_topic_id(topic), .name = kit_topic_name(topic), .n_parts = 1, .parts = part
    };
    struct image_delta delta = { .n_topics = 1, .topics = &change };

    give(cluster, id, &delta);
}

void kit_set_part(struct kit_cluster *cluster, int topic, const struct image_part *part)
{
    kit_put_part(cluster, topic, part);
    for (int32_t id = 1; id <= KIT_BROKERS; id++)
        kit_tell(cluster, id, part, topic);
}

void kit_accept(struct kit_cluster *cluster)
{
    struct kit_proposal all[256];

    lock_take(&cluster->lock);
    int len = cluster->proposals_len;
    memcpy(all, cluster->proposals, sizeof all);
    cluster->proposals_len = 0;
    lock_drop(&cluster->lock);
    for (int i = 0; i < len; i++) {
        const struct image_topic *topic = image_topic(cluster->image, all[i].topic_id);
        const struct image_part *now =
            topic != NULL ? image_topic_part(topic, all[i].partition) : NULL;

        if (now == NULL || now->leader != all[i].broker ||
            now->leader_epoch != all[i].leader_epoch ||
            now->partition_epoch != all[i].partition_epoch)
            continue;
        struct image_part next = *now;
        next.partition_epoch++;
        next.isr = (struct ids){ .at = all[i].members, .n = (uint32_t)all[i].members_len };
        kit_set_part(cluster, all[i].topic_id.bytes[15] - 1, &next);
    }
}

struct part *kit_part(struct kit_cluster *cluster, int32_t id, int topic, int32_t partition)
{
    const struct parts_table *table = parts_get_table(cluster->brokers[id].parts);
    struct part *part = parts_find_id(table, kit_topic_id(topic), partition);

    if (part != NULL)
        part_ref(part);
    parts_put_table(&table);
    return part;
}

void kit_produce(struct kit_cluster *cluster, int32_t id, int topic, int32_t partition, int batches,
                 int count, size_t value_bytes)
{
    struct part *part = kit_part(cluster, id, topic, partition);
    struct arena arena;

    ck_assert_ptr_nonnull(part);
    arena_init(&arena, SIZE_MAX);
    for (int i = 0; i < batches; i++) {
        struct buf buf = BUF_EMPTY;
        struct validated batch;
        struct validate_conf conf;
        struct log_appended appended;
        int32_t epoch;
        int64_t now_ms = clock_wall_ms();

        kit_batch_put(&buf, &(struct kit_batch){ .count = count, .value_bytes = value_bytes });
        part_get_validate_conf(part, &conf);
        ck_assert_int_eq(validate_batches(buf.bytes, buf.len, 9, &conf, now_ms, &arena, &batch),
                         ERR_OK);
        ck_assert_int_eq(part_append(part, &batch, 1, LOG_FROM_CLIENT, now_ms, clock_mono_ms(),
                                     &appended, &epoch),
                         ERR_OK);
        if (appended.flush_due)
            parts_sync(cluster->brokers[id].parts, part, epoch);
        buf_fini(&buf);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    part_unref(&part);
}

void kit_info(struct kit_cluster *cluster, int32_t id, int topic, int32_t partition,
              struct part_info *out)
{
    struct part *part = kit_part(cluster, id, topic, partition);

    *out = (struct part_info){ .leo = -1, .hw = -1 };
    if (part == NULL)
        return;
    part_get_info(part, out);
    part_unref(&part);
}

void kit_sync(struct kit_cluster *cluster, int32_t id)
{
    logs_tick(cluster->brokers[id].logs, clock_wall_ms(), clock_mono_ms());
}

int64_t kit_wait(struct kit_cluster *cluster, int32_t id, int topic, int32_t partition, int64_t leo,
                 int64_t hw)
{
    int64_t began_ms = clock_mono_ms();
    struct part_info info;

    for (;;) {
        kit_info(cluster, id, topic, partition, &info);
        if ((leo < 0 || info.leo == leo) && (hw < 0 || info.hw == hw))
            return clock_mono_ms() - began_ms;
        ck_assert_msg(clock_mono_ms() - began_ms < 20000,
                      "broker %d t%d-%d is at leo=%lld hw=%lld instead of %lld, %lld", id, topic,
                      partition, (long long)info.leo, (long long)info.hw, (long long)leo,
                      (long long)hw);
        kit_accept(cluster);
        poll(NULL, 0, 1);
    }
}

void kit_same(struct kit_cluster *cluster, int32_t a, int32_t b, int topic, int32_t partition)
{
    struct part *parts[2] = { kit_part(cluster, a, topic, partition),
                              kit_part(cluster, b, topic, partition) };
    struct buf bytes[2] = { BUF_EMPTY, BUF_EMPTY };

    for (int i = 0; i < 2; i++) {
        struct log *log = part_log(parts[i]);

        ck_assert_int_eq(log_kit_read(log, log_start_offset(log), log_leo(log), &bytes[i]), ERR_OK);
    }
    ck_assert_int_eq(log_leo(part_log(parts[0])), log_leo(part_log(parts[1])));
    ck_assert_uint_eq(bytes[0].len, bytes[1].len);
    ck_assert_int_eq(memcmp(bytes[0].bytes, bytes[1].bytes, bytes[0].len), 0);
    for (int i = 0; i < 2; i++) {
        buf_fini(&bytes[i]);
        part_unref(&parts[i]);
    }
}

void kit_wait_followed(struct kit_cluster *cluster, int32_t id, int32_t n)
{
    struct fetchers_info info;

    do
        fetchers_get_info(cluster->brokers[id].fetchers, &info);
    while (info.partitions > n && poll(NULL, 0, 1) == 0);
}

/* ---- three that take turns ---- */

#define TURN_BATCHES 3
#define TURN_RECORDS 2 /* in each batch */

int32_t kit_turn(struct kit_cluster *cluster, int32_t round)
{
    static const int32_t all[] = { 1, 2, 3 };
    int32_t leader = round % 3 + 1;
    struct image_part state = kit_state(leader, round, round * 10, IDS_OF(all), IDS_OF(all));

    for (state.index = 0; state.index < KIT_TURN_PARTS; state.index++) {
        kit_set_part(cluster, 0, &state);
        kit_produce(cluster, leader, 0, state.index, TURN_BATCHES, TURN_RECORDS, 50);
    }
    return leader;
}

int64_t kit_turn_wait(struct kit_cluster *cluster, int32_t round)
{
    int64_t leo = (int64_t)(round + 1) * TURN_BATCHES * TURN_RECORDS;

    for (int32_t p = 0; p < KIT_TURN_PARTS; p++)
        for (int32_t id = 1; id <= 3; id++)
            kit_wait(cluster, id, 0, p, leo, -1);
    return leo;
}

void kit_turn_same(struct kit_cluster *cluster)
{
    for (int32_t p = 0; p < KIT_TURN_PARTS; p++) {
        kit_same(cluster, 1, 2, 0, p);
        kit_same(cluster, 1, 3, 0, p);
    }
}

/* ---- a client ---- */

static void on_close(void *ctx, enum err why)
{
    (void)ctx;
    ck_abort_msg("the connection broke: %s", err_name(why));
}

static void on_open(void *ctx)
{
    (void)ctx;
}

void kit_client_start(struct kit_client *client, struct kit_cluster *cluster, int32_t id)
{
    struct net_addr addr;

    *client = (struct kit_client){ .answer = BUF_EMPTY };
    client->reactor = reactor_new();
    client->peer = peer_new(client->reactor, &(struct peer_conf){ .client_id = "kit",
                                                                  .frame_max_bytes = 100 << 20,
                                                                  .connect_timeout_ms = 20000,
                                                                  .on_open = on_open,
                                                                  .on_close = on_close });
    ck_assert_int_eq(
        net_addr_find("127.0.0.1", listener_port(cluster->brokers[id].listener), &addr), ERR_OK);
    ck_assert_int_eq(peer_connect(client->peer, &addr), ERR_OK);
    while (!peer_is_open(client->peer))
        reactor_turn(client->reactor, true);
}

static void on_answer(void *ctx, enum err err, const struct peer_answer *answer)
{
    struct kit_client *client = ctx;

    client->answered = true;
    client->err = err;
    client->version = answer->version;
    if (err == ERR_OK)
        buf_put(&client->answer, answer->bytes, answer->len);
}

void kit_client_send(struct kit_client *client, int16_t key, int16_t version, const void *body)
{
    client->answered = false;
    client->answer.len = 0;
    peer_send(client->peer, key, version, body, 20000, on_answer, client);
    reactor_turn(client->reactor, false);
}

void kit_client_wait(struct kit_client *client)
{
    while (!client->answered)
        reactor_turn(client->reactor, true);
    ck_assert_int_eq(client->err, ERR_OK);
}

void kit_client_end(struct kit_client *client)
{
    peer_free(&client->peer);
    reactor_free(&client->reactor);
    buf_fini(&client->answer);
}
