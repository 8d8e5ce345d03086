/*
 * scale_brokers - the cluster's other side for tests/bench/scale: znodes of many partitions written
 * at once, and brokers that are only words: registered in ZooKeeper, on the control stream,
 * applying images and deltas, beating, and refusing connections once they are killed.
 *
 *   scale_brokers prepare ZOOKEEPER TOPICS PARTITIONS BROKERS RF
 *   scale_brokers rates ZOOKEEPER
 *   scale_brokers serve ZOOKEEPER BROKERS CONTROLLER...
 *
 * The rates are what ZooKeeper gives at the moment to a client that does nothing else: znodes like
 * states read a second, and set a second in multis of 500, as many of either on their way as the
 * controller has.
 *
 * Serving, it says on stdout what happens, times in milliseconds of CLOCK_MONOTONIC:
 *
 *   live broker=1 epoch=2 at=8123.4 parts=100000 apply_ms=80.1     an image was acknowledged
 *   moved broker=3 at=8130.2 parts=10000                          nothing is led by 3 any more
 *
 * and reads commands from stdin: `kill ID`, `back ID` (as a new process), `quit`.
 *
 * Two of the brokers keep the image and show what became of the killed one's partitions; the others
 * read the same bytes and acknowledge, so that this process costs less than the brokers it stands
 * for. It runs beside the controller on the same cores and is part of what is measured.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/base/thread.h"
#include "common/io/net.h"
#include "common/io/reactor.h"
#include "common/stream/stream.h"
#include "common/stream/stream_image.h"
#include "common/zk/zk.h"
#include "common/zk/zk_enroll.h"
#include "common/zk/zk_tree.h"

#define BROKERS_MAX 64
#define KEEPERS     2
#define BEAT_MS     250
#define AGAIN_MS    5
#define ZK_MS       30000
#define MULTI_OPS   500
#define RATES       "/scale-rates"

static struct reactor *reactor;

static double now_ms(void)
{
    return (double)clock_mono_us() / 1000.0;
}

static void die(const char *what)
{
    fprintf(stderr, "scale_brokers: %s\n", what);
    exit(1);
}

static struct zk *open_zk(const char *servers)
{
    struct zk_options options = { .servers = servers,
                                  .session_timeout_ms = ZK_MS,
                                  .mailbox = reactor_mailbox(reactor),
                                  .make_chroot = true };
    struct zk *zk;

    if (zk_open(&options, &zk) != ERR_OK)
        die("cannot open a ZooKeeper session");
    return zk;
}

/* ---- preparing ------------------------------------------------------------------------------- */

static unsigned multis_out;

static void on_multi(void *arg, const struct zk_answer *answer)
{
    (void)arg;
    multis_out--;
    if (answer->err != ERR_OK)
        die(err_name(answer->err));
}

static void on_paths(void *arg, const struct zk_answer *answer)
{
    (void)answer;
    *(bool *)arg = true;
}

static void flush(struct zk *zk, struct zk_op *ops, size_t *n)
{
    if (*n > 0) {
        multis_out++;
        zk_multi(zk, ops, *n, on_multi, NULL);
        *n = 0;
    }
    while (multis_out > 4)
        reactor_turn(reactor, true);
}

static void prepare_topic(struct zk *zk, int number, int32_t n_parts, int32_t n_brokers, int32_t rf)
{
    struct arena arena;
    struct str name;
    struct zk_topic_part *parts;
    struct zk_topic topic = { .n_parts = (size_t)n_parts };
    struct image_config config = { .n_settings = 0 };
    struct zk_op ops[MULTI_OPS];
    struct rand rand;
    size_t n = 0;

    arena_init(&arena, SIZE_MAX);
    rand_seed_os(&rand);
    name = arena_printf(&arena, "scale-%05d", number);
    parts = arena_zalloc(&arena, (size_t)n_parts, sizeof *parts);
    topic.id = rand_uuid(&rand);
    topic.parts = parts;
    for (int32_t p = 0; p < n_parts; p++) {
        int32_t *ids = arena_alloc(&arena, (size_t)rf * sizeof *ids);

        for (int32_t r = 0; r < rf; r++)
            ids[r] = 1 + (number + p + r) % n_brokers;
        parts[p].index = p;
        parts[p].replicas = (struct ids){ .at = ids, .n = (uint32_t)rf };
    }
    ops[n++] = zk_op_create(zk_path_config(&arena, STR("topics"), name),
                            zk_build_config(&arena, &config), ZK_PERSISTENT);
    ops[n++] =
        zk_op_create(zk_path_topic(&arena, name), zk_build_topic(&arena, &topic), ZK_PERSISTENT);
    ops[n++] = zk_op_create(zk_path_partitions(&arena, name), STR_NULL, ZK_PERSISTENT);
    for (int32_t p = 0; p < n_parts; p++) {
        struct leader_isr state = { .leader = parts[p].replicas.at[0], .isr = parts[p].replicas };

        if (n + 2 > MULTI_OPS)
            flush(zk, ops, &n);
        ops[n++] = zk_op_create(zk_path_partition(&arena, name, p), STR_NULL, ZK_PERSISTENT);
        ops[n++] = zk_op_create(zk_path_state(&arena, name, p), zk_build_state(&arena, 1, &state),
                                ZK_PERSISTENT);
    }
    flush(zk, ops, &n);
    arena_fini(&arena);
}

static int prepare(char **argv)
{
    int topics = atoi(argv[1]), n_parts = atoi(argv[2]), n_brokers = atoi(argv[3]);
    int rf = atoi(argv[4]);
    struct zk *zk = open_zk(argv[0]);
    bool made = false;

    zk_enroll_paths(zk, zk_tree_start_paths, on_paths, &made);
    while (!made)
        reactor_turn(reactor, true);
    for (int i = 0; i < topics; i++)
        prepare_topic(zk, i, n_parts / topics, n_brokers, rf);
    while (multis_out > 0)
        reactor_turn(reactor, true);
    zk_close(&zk);
    printf("prepared topics=%d partitions=%d\n", topics, n_parts / topics * topics);
    return 0;
}

/* ---- what ZooKeeper gives -------------------------------------------------------------------- */

static unsigned gets_out;

static void on_got(void *arg, const struct zk_answer *answer)
{
    (void)arg;
    gets_out--;
    if (answer->err != ERR_OK)
        die(err_name(answer->err));
}

static double seconds_since(double began_ms)
{
    return (now_ms() - began_ms) / 1000.0;
}

#define RATE_NODES 30000

static const char *rate_path(struct arena *arena, int i)
{
    return arena_printf(arena, RATES "/%d/%d", i / 100, i % 100).ptr;
}

/* Of its own, once, as large as states. */
static void make_rate_nodes(struct zk *zk, struct str data)
{
    struct zk_op ops[MULTI_OPS];
    struct arena arena;
    size_t n = 0;

    arena_init(&arena, SIZE_MAX);
    ops[n++] = zk_op_create(RATES, STR_NULL, ZK_PERSISTENT);
    for (int i = 0; i < RATE_NODES; i++) {
        if (n + 2 > MULTI_OPS)
            flush(zk, ops, &n);
        if (i % 100 == 0)
            ops[n++] = zk_op_create(arena_printf(&arena, RATES "/%d", i / 100).ptr, STR_NULL,
                                    ZK_PERSISTENT);
        ops[n++] = zk_op_create(rate_path(&arena, i), data, ZK_PERSISTENT);
    }
    flush(zk, ops, &n);
    while (multis_out > 0)
        reactor_turn(reactor, true);
    arena_fini(&arena);
}

static void on_there(void *arg, const struct zk_answer *answer)
{
    *(int *)arg = answer->err == ERR_OK;
}

static int rates(char **argv)
{
    struct leader_isr state = { .leader = 1, .isr = { .at = (int32_t[]){ 1, 2, 3 }, .n = 3 } };
    struct zk *zk = open_zk(argv[0]);
    struct zk_op ops[MULTI_OPS];
    size_t n_ops = 0;
    int there = -1;
    struct arena arena;
    struct str data;
    double began_ms, gets, sets;

    arena_init(&arena, SIZE_MAX);
    data = zk_build_state(&arena, 1, &state);
    zk_exists(zk, RATES, false, on_there, &there);
    while (there < 0)
        reactor_turn(reactor, true);
    if (there == 0)
        make_rate_nodes(zk, data);
    began_ms = now_ms();
    for (int i = 0; i < RATE_NODES; i++) {
        while (gets_out >= 1000)
            reactor_turn(reactor, true);
        gets_out++;
        zk_get(zk, rate_path(&arena, i), false, on_got, NULL);
    }
    while (gets_out > 0)
        reactor_turn(reactor, true);
    gets = RATE_NODES / seconds_since(began_ms);
    began_ms = now_ms();
    for (int i = 0; i < RATE_NODES; i++) {
        ops[n_ops++] = zk_op_set(rate_path(&arena, i), data, ZK_ANY_VERSION);
        if (n_ops == MULTI_OPS || i + 1 == RATE_NODES)
            flush(zk, ops, &n_ops);
    }
    while (multis_out > 0)
        reactor_turn(reactor, true);
    sets = RATE_NODES / seconds_since(began_ms);
    printf("rates gets=%.0f sets=%.0f\n", gets, sets);
    arena_fini(&arena);
    zk_close(&zk);
    return 0;
}

/* ---- brokers --------------------------------------------------------------------------------- */

struct broker {
    int32_t id;
    bool killed, keeps; /* keeps: the image */
    struct node node;
    struct endpoint endpoint;
    struct uuid incarnation;
    struct net_listener *listener;
    struct zk *zk;
    struct zk_enroll *enroll;
    int64_t epoch; /* -1: not registered */
    struct stream *stream;
    size_t next_controller;
    struct stream_image gather;
    struct image *image;
    int32_t controller_epoch;
    uint64_t version;
    bool confirmed;
    double apply_ms;
    struct reactor_timer again, beat;
};

static struct broker brokers[BROKERS_MAX];
static int n_brokers;
static char **controllers;
static size_t n_controllers;
static char cluster_id[64];
static int32_t n_led[BROKERS_MAX + 1]; /* as the first keeper knows */
static int32_t moving;                 /* the killed one whose partitions are waited for; 0 */
static int32_t n_moving;

static void dial(struct broker *b);

static void say_hello(void *ctx)
{
    struct broker *b = ctx;
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Hello hello = CONTROL__HELLO__INIT;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    b->node.epoch = b->epoch;
    b->node.incarnation = b->incarnation;
    stream_image_write_hello(&hello, &b->node, &arena);
    hello.has_protocol = 1;
    hello.protocol = STREAM_PROTOCOL;
    hello.cluster_id = cluster_id;
    hello.has_fresh = 1;
    hello.fresh = !b->confirmed;
    hello.has_clean_stop = hello.clean_stop = 1;
    frame.hello = &hello;
    stream_send(b->stream, &frame);
    arena_fini(&arena);
}

static void acknowledge(struct broker *b)
{
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Ack ack = CONTROL__ACK__INIT;

    ack.has_controller_epoch = ack.has_version = 1;
    ack.controller_epoch = b->controller_epoch;
    ack.version = b->version;
    frame.ack = &ack;
    stream_send(b->stream, &frame);
}

static void count(const struct image *image)
{
    struct image_cursor at = { 0 };
    const struct image_topic *topic;

    memset(n_led, 0, sizeof n_led);
    while ((topic = image_next_topic(image, &at)) != NULL) {
        for (int32_t i = 0; i < topic->n_parts; i++) {
            const struct image_part *part = image_topic_part(topic, i);

            if (part != NULL && part->leader > 0 && part->leader <= BROKERS_MAX)
                n_led[part->leader]++;
        }
    }
}

static void recount(const struct image *before, const struct image_delta *delta)
{
    for (size_t t = 0; t < delta->n_topics; t++) {
        for (size_t i = 0; i < delta->topics[t].n_parts; i++) {
            const struct image_part *now = &delta->topics[t].parts[i];
            const struct image_part *was = image_part(before, delta->topics[t].id, now->index);

            if (was != NULL && was->leader > 0)
                n_led[was->leader]--;
            if (now->leader > 0)
                n_led[now->leader]++;
        }
    }
    if (moving > 0 && n_led[moving] == 0) {
        printf("moved broker=%" PRId32 " at=%.1f parts=%" PRId32 "\n", moving, now_ms(), n_moving);
        moving = 0;
    }
}

static struct broker *first_keeper(void)
{
    for (int i = 0; i < n_brokers; i++) {
        if (brokers[i].keeps && !brokers[i].killed && brokers[i].image != NULL)
            return &brokers[i];
    }
    return NULL;
}

static void on_image(struct broker *b, const Control__Image *piece)
{
    double began_ms = now_ms();
    struct image *image = NULL;

    if (b->keeps && stream_image_on_piece(&b->gather, piece, &image) != ERR_OK)
        die("an image that makes no sense");
    if (piece->has_piece && piece->piece == 0)
        b->apply_ms = 0;
    b->apply_ms += now_ms() - began_ms;
    if (!piece->has_last || !piece->last)
        return;
    if (image != NULL) {
        image_unref(&b->image);
        b->image = image;
        if (first_keeper() == b)
            count(image);
    }
    b->controller_epoch = piece->controller_epoch;
    b->version = piece->version;
    b->confirmed = true;
    acknowledge(b);
    printf("live broker=%" PRId32 " epoch=%" PRId32 " at=%.1f parts=%zu apply_ms=%.1f\n", b->id,
           b->controller_epoch, now_ms(), b->keeps ? image_n_parts(b->image) : 0, b->apply_ms);
}

static void on_delta(struct broker *b, const Control__Delta *message)
{
    struct image_delta delta;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    if (b->keeps) {
        struct image *next;

        if (stream_image_read_delta(message, &arena, &delta) != ERR_OK)
            die("a delta that makes no sense");
        next = image_apply(b->image, &delta);
        if (first_keeper() == b)
            recount(b->image, &delta);
        image_unref(&b->image);
        b->image = next;
    }
    b->version = message->version;
    acknowledge(b);
    arena_fini(&arena);
}

static void redial(struct broker *b)
{
    stream_close(&b->stream);
    stream_image_fini(&b->gather);
    reactor_timer_cancel(reactor, &b->beat);
    if (!b->killed)
        reactor_timer_set_ms(reactor, &b->again, AGAIN_MS);
}

static void on_frame(void *ctx, const Control__Frame *frame)
{
    struct broker *b = ctx;

    if (frame->welcome != NULL)
        reactor_timer_set_ms(reactor, &b->beat, BEAT_MS);
    else if (frame->image != NULL)
        on_image(b, frame->image);
    else if (frame->delta != NULL)
        on_delta(b, frame->delta);
    else if (frame->goodbye != NULL)
        redial(b);
}

static void on_end(void *ctx, enum stream_end reason)
{
    (void)reason;
    redial(ctx);
}

static const struct stream_handler handler = { .on_open = say_hello,
                                               .on_frame = on_frame,
                                               .on_end = on_end };

static void dial(struct broker *b)
{
    char host[64];
    struct net_addr addr;
    const char *where = controllers[b->next_controller++ % n_controllers];
    const char *colon = strrchr(where, ':');

    snprintf(host, sizeof host, "%.*s", (int)(colon - where), where);
    if (net_addr_find(host, atoi(colon + 1), &addr) != ERR_OK)
        die("cannot find a controller");
    b->stream = stream_connect(reactor, &addr, NULL, &handler, b);
}

static void on_again(struct reactor_timer *timer)
{
    struct broker *b = container_of(timer, struct broker, again);

    if (b->stream == NULL && b->epoch >= 0 && !b->killed)
        dial(b);
}

static void on_beat(struct reactor_timer *timer)
{
    struct broker *b = container_of(timer, struct broker, beat);
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Heartbeat beat = CONTROL__HEARTBEAT__INIT;

    if (b->stream == NULL)
        return;
    beat.has_broker_epoch = beat.has_incarnation = 1;
    beat.broker_epoch = b->epoch;
    beat.incarnation = stream_image_write_uuid(&b->incarnation);
    frame.heartbeat = &beat;
    stream_send(b->stream, &frame);
    reactor_timer_set_ms(reactor, timer, BEAT_MS);
}

static void on_accept(void *arg, const struct net_accepted *accepted)
{
    (void)arg;
    if (accepted->fd >= 0)
        close(accepted->fd);
}

static bool on_cluster_id(void *arg, struct str id)
{
    (void)arg;
    snprintf(cluster_id, sizeof cluster_id, "%.*s", STR_ARG(id));
    return true;
}

static void on_enrolled(void *arg, int64_t epoch, const struct zk_session *session)
{
    struct broker *b = arg;

    (void)session;
    b->epoch = epoch;
    reactor_timer_set_ms(reactor, &b->again, 0);
}

static void on_gone(void *arg)
{
    ((struct broker *)arg)->epoch = -1;
}

static void on_failed(void *arg, enum err err, const char *text)
{
    (void)arg;
    (void)err;
    die(text);
}

static const struct zk_enroll_hooks hooks = { .on_cluster_id = on_cluster_id,
                                              .on_enrolled = on_enrolled,
                                              .on_gone = on_gone,
                                              .on_failed = on_failed };

/* A process starts; or was there before any controller, which spares us the leaves of them all. */
static void start(struct broker *b, const char *zookeeper, bool is_new)
{
    struct net_addr addr;
    struct rand rand;

    rand_seed_os(&rand);
    b->killed = false;
    b->confirmed = !is_new;
    b->incarnation = rand_uuid(&rand);
    b->epoch = -1;
    if (net_addr_find("127.0.0.1", b->endpoint.port, &addr) != ERR_OK ||
        net_listen(reactor, &addr, 0, on_accept, b, &b->listener) != ERR_OK)
        die("cannot listen");
    net_listener_addr(b->listener, &addr);
    b->endpoint = (struct endpoint){ .listener = STR("PLAINTEXT"),
                                     .protocol = STR("PLAINTEXT"),
                                     .host = STR("127.0.0.1"),
                                     .port = net_addr_port(&addr) };
    b->node =
        (struct node){ .id = b->id, .rack = STR_NULL, .n_endpoints = 1, .endpoints = &b->endpoint };
    stream_image_init(&b->gather);
    b->zk = open_zk(zookeeper);
    b->enroll = zk_enroll_new(b->zk, &b->node, "bench", &hooks, b);
}

/* As kill -9 looks from outside: nobody listens, the stream ends, the session lingers. */
static void kill_it(struct broker *b)
{
    b->killed = true;
    moving = b->id;
    n_moving = n_led[b->id];
    net_listener_close(&b->listener);
    redial(b);
    printf("killed broker=%" PRId32 " at=%.1f parts=%" PRId32 "\n", b->id, now_ms(), n_moving);
}

static const char *serve_zookeeper;

static void on_command(void *arg, unsigned what)
{
    char line[64];
    ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);
    int id;

    (void)arg;
    (void)what;
    if (n <= 0)
        exit(0);
    line[n] = '\0';
    if (sscanf(line, "kill %d", &id) == 1 && id >= 1 && id <= n_brokers) {
        kill_it(&brokers[id - 1]);
    } else if (sscanf(line, "back %d", &id) == 1 && id >= 1 && id <= n_brokers) {
        zk_enroll_free(&brokers[id - 1].enroll);
        zk_close(&brokers[id - 1].zk);
        start(&brokers[id - 1], serve_zookeeper, true);
    } else {
        exit(0);
    }
}

static _Noreturn void serve(int argc, char **argv)
{
    serve_zookeeper = argv[0];
    n_brokers = atoi(argv[1]);
    controllers = argv + 2;
    n_controllers = (size_t)(argc - 2);
    if (n_brokers < 1 || n_brokers > BROKERS_MAX)
        die("too many brokers");
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < n_brokers; i++) {
        struct broker *b = &brokers[i];

        b->id = i + 1;
        b->keeps = i < KEEPERS;
        reactor_timer_init(&b->again, on_again);
        reactor_timer_init(&b->beat, on_beat);
        start(b, serve_zookeeper, false);
    }

    struct watch *commands = watch_new(reactor, STDIN_FILENO, on_command, NULL);

    watch_set(commands, REACTOR_READ);
    for (;;)
        reactor_turn(reactor, true);
}

int main(int argc, char **argv)
{
    thread_adopt(T_MAIN);
    say_setup(SAY_ERROR, SAY_TEXT, "scale");
    reactor = reactor_new();
    if (argc == 7 && strcmp(argv[1], "prepare") == 0)
        return prepare(argv + 2);
    if (argc == 3 && strcmp(argv[1], "rates") == 0)
        return rates(argv + 2);
    if (argc >= 5 && strcmp(argv[1], "serve") == 0)
        serve(argc - 2, argv + 2);
    fprintf(stderr, "usage: scale_brokers prepare ZOOKEEPER TOPICS PARTITIONS BROKERS RF\n"
                    "       scale_brokers rates ZOOKEEPER\n"
                    "       scale_brokers serve ZOOKEEPER BROKERS CONTROLLER...\n");
    return 2;
}
