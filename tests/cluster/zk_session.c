/*
 * The ZooKeeper session against real servers: what the fake promises holds; expiry, restart of the
 * server, a killed process, an ensemble that loses its leader, closing with much on its way; and
 * the controller's whole ZooKeeper side end to end.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/io/reactor.h"
#include "common/zk/zk.h"
#include "common/zk/zk_enroll.h"
#include "common/zk/zk_watch.h"
#include "controller/shell/load.h"
#include "controller/shell/seat.h"
#include "controller/shell/write.h"
#include "tests/kit/unit.h"
#include "tests/kit/zk_server.h"

static struct zk_ensemble *shared; /* one server for all tests that do not hurt it */
static struct mailbox mailbox;
static struct zk *zk;

/* ---- waiting ----------------------------------------------------------------------------------
 */

#define WAIT_MS 20000

/* Runs the mailbox until it is so. */
#define until(condition)                                                                           \
    do {                                                                                           \
        int64_t end_ms = clock_mono_ms() + WAIT_MS;                                                \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_mono_ms() < end_ms, "waited in vain: %s", #condition);             \
            mailbox_wait(&mailbox, 50);                                                            \
        }                                                                                          \
    } while (0)

struct result {
    int calls;
    enum err err;
    struct zk_stat stat;
    size_t n_children;
    char text[128];
    enum err part[3];
    int32_t part_version;
    int64_t part_czxid;
};

static void note(void *arg, const struct zk_answer *answer)
{
    struct result *result = arg;

    result->calls++;
    result->err = answer->err;
    result->stat = answer->stat;
    result->n_children = answer->n_children;
    snprintf(result->text, sizeof result->text, "%.*s",
             STR_ARG(str_is_null(answer->data) ? answer->path : answer->data));
    for (size_t i = 0; i < answer->n_results && i < ARRAY_LEN(result->part); i++) {
        result->part[i] = answer->results[i].err;
        if (answer->results[i].stat.czxid != 0) {
            result->part_version = answer->results[i].stat.version;
            result->part_czxid = answer->results[i].stat.czxid;
        }
    }
}

static struct {
    struct zk_listener listener;
    int connected, fresh, suspended, expired, nodes;
} heard;

static void hear_session(struct zk_listener *listener, const struct zk_session *session)
{
    (void)listener;
    heard.connected += session->state == ZK_CONNECTED;
    heard.fresh += session->state == ZK_CONNECTED && session->is_new;
    heard.suspended += session->state == ZK_SUSPENDED;
    heard.expired += session->state == ZK_EXPIRED;
}

static void hear_node(struct zk_listener *listener, struct str path, enum zk_event event)
{
    (void)listener;
    (void)path;
    (void)event;
    heard.nodes++;
}

/* Every test has a chroot of its own. */
static struct zk *connect_to(const struct zk_ensemble *servers, const char *chroot,
                             struct mailbox *to)
{
    char *text = xasprintf("%s%s", zk_ensemble_servers(servers), chroot);
    struct zk_options options = {
        .servers = text, .session_timeout_ms = 10000, .mailbox = to, .make_chroot = true
    };
    struct zk *client;

    ck_assert_int_eq(zk_open(&options, &client), ERR_OK);
    free(text);
    return client;
}

static void start_on(const struct zk_ensemble *servers)
{
    char chroot[48];

    snprintf(chroot, sizeof chroot, "/test/%d-%d", (int)getpid(), (int)(clock_mono_us() % 1000000));
    memset(&heard, 0, sizeof heard);
    heard.listener.on_session = hear_session;
    heard.listener.on_node = hear_node;
    mailbox_init(&mailbox);
    zk = connect_to(servers, chroot, &mailbox);
    zk_listen(zk, &heard.listener);
    until(heard.connected == 1);
}

static void finish(void)
{
    zk_close(&zk);
    mailbox_run(&mailbox);
    mailbox_fini(&mailbox);
}

/* ---- tests ------------------------------------------------------------------------------------
 */

START_TEST(calls_do_what_the_fake_does)
{
    struct result made = { 0 }, got = { 0 }, missing = { 0 }, null = { 0 }, seq = { 0 };
    struct result set = { 0 }, stale = { 0 }, children = { 0 }, gone = { 0 }, full = { 0 };

    start_on(shared);
    ck_assert_int_eq(zk_session(zk)->timeout_ms, 10000);
    zk_create(zk, "/a", STR("one"), ZK_PERSISTENT, note, &made);
    zk_get(zk, "/a", false, note, &got);
    zk_get(zk, "/nowhere", false, note, &missing);
    zk_create(zk, "/a/null", STR_NULL, ZK_PERSISTENT, NULL, NULL);
    zk_get(zk, "/a/null", false, note, &null);
    zk_create(zk, "/a/s_", STR("x"), ZK_SEQUENTIAL, note, &seq);
    zk_set(zk, "/a", STR("two"), 0, note, &set);
    zk_set(zk, "/a", STR("three"), 0, note, &stale);
    zk_children(zk, "/a", false, note, &children);
    zk_delete(zk, "/a", ZK_ANY_VERSION, note, &full);
    zk_delete(zk, "/a/null", 0, note, &gone);
    until(gone.calls == 1);
    ck_assert_int_eq(made.err, ERR_OK);
    ck_assert_str_eq(made.text, "/a");
    ck_assert_str_eq(got.text, "one");
    ck_assert_int_eq(missing.err, ERR_NOT_FOUND);
    ck_assert_str_eq(null.text, "/a/null"); /* null data: the path is noted instead */
    ck_assert_str_eq(seq.text, "/a/s_0000000001");
    ck_assert_int_eq(set.stat.version, 1);
    ck_assert_int_eq(stale.err, ERR_BAD_VERSION);
    ck_assert_uint_eq(children.n_children, 2);
    ck_assert_int_eq(full.err, ERR_NOT_EMPTY);
    ck_assert_int_eq(gone.err, ERR_OK);
    finish();
}
END_TEST

START_TEST(multis_do_what_the_fake_does)
{
    struct result bad = { 0 }, good = { 0 }, large = { 0 };
    char *big = xcalloc(1, ZK_REQUEST_BYTES_MAX - 1000);
    struct zk_op ops[] = {
        zk_op_create("/b", STR_NULL, ZK_EPHEMERAL),
        zk_op_set("/b", STR("x"), 3),
        zk_op_check("/b", 1),
    };

    start_on(shared);
    zk_multi(zk, ops, 3, note, &bad);
    ops[1].version = 0;
    zk_multi(zk, ops, 3, note, &good);
    memset(big, 'x', ZK_REQUEST_BYTES_MAX - 1001);
    zk_create(zk, "/large", str_of(big), ZK_PERSISTENT, note, &large);
    until(large.calls == 1);
    ck_assert_int_eq(bad.err, ERR_BAD_VERSION);
    ck_assert_int_eq(bad.part[0], ERR_OPERATION_NOT_ATTEMPTED);
    ck_assert_int_eq(bad.part[1], ERR_BAD_VERSION);
    ck_assert_int_eq(bad.part[2], ERR_OPERATION_NOT_ATTEMPTED);
    ck_assert_int_eq(good.err, ERR_OK);
    ck_assert_int_eq(good.part_version, 1);
    ck_assert(good.part_czxid > 0);
    ck_assert_int_eq(large.err, ERR_OK);
    free(big);
    finish();
}
END_TEST

START_TEST(thousands_of_calls_are_pipelined)
{
    struct result result = { 0 };
    int64_t start_us;
    char path[32];

    start_on(shared);
    start_us = clock_mono_us();
    for (int i = 0; i < 3000; i++) {
        snprintf(path, sizeof path, "/n%d", i);
        zk_create(zk, path, STR("0123456789"), ZK_PERSISTENT, note, &result);
    }
    until(result.calls == 3000);
    printf("created 3000 znodes in %d ms\n", (int)((clock_mono_us() - start_us) / 1000));
    start_us = clock_mono_us();
    for (int i = 0; i < 3000; i++) {
        snprintf(path, sizeof path, "/n%d", i);
        zk_get(zk, path, false, note, &result);
    }
    until(result.calls == 6000);
    printf("read 3000 znodes in %d ms\n", (int)((clock_mono_us() - start_us) / 1000));
    ck_assert_int_eq(result.err, ERR_OK);
    finish();
}
END_TEST

static int tells;
static char told[32];

static void tell(void *arg, const struct zk_answer *answer)
{
    (void)arg;
    tells++;
    snprintf(told, sizeof told, "%.*s", STR_ARG(answer->data));
}

START_TEST(a_session_that_has_ended_is_replaced)
{
    struct result result = { 0 }, mine = { 0 };
    struct zk_session old;
    struct zk_watch *watch;

    tells = 0;
    start_on(shared);
    zk_create(zk, "/mine", STR_NULL, ZK_EPHEMERAL, NULL, NULL);
    zk_create(zk, "/data", STR("1"), ZK_PERSISTENT, NULL, NULL);
    watch = zk_watch_start(zk, ZK_WATCH_DATA, "/data", tell, NULL);
    until(tells == 1);
    old = *zk_session(zk);
    /* Who closes a session takes it over first, and its owner, alive here, may take it back before
     * it is closed: then once more. */
    for (int64_t end_ms = clock_mono_ms() + WAIT_MS; heard.expired == 0;) {
        ck_assert_msg(clock_mono_ms() < end_ms, "the session does not end");
        ck_assert_int_eq(
            zk_close_session(zk_ensemble_servers(shared), old.id, old.password, 5000, NULL),
            ERR_OK);
        for (int i = 0; i < 20 && heard.expired == 0; i++)
            mailbox_wait(&mailbox, 50);
    }
    until(heard.fresh >= 2);
    ck_assert(zk_session(zk)->id != old.id);
    zk_get(zk, "/mine", false, note, &mine);
    until(mine.calls == 1);
    ck_assert_int_eq(mine.err, ERR_NOT_FOUND);
    until(tells >= 2);
    zk_set(zk, "/data", STR("2"), ZK_ANY_VERSION, note, &result);
    until(strcmp(told, "2") == 0);
    zk_watch_stop(&watch);
    finish();
}
END_TEST

START_TEST(a_dead_process_leaves_a_session_that_can_be_closed)
{
    struct zk_session left;
    struct result result = { 0 };
    int pipe_fds[2];
    pid_t pid;
    int64_t start_us;

    ck_assert_int_eq(pipe(pipe_fds), 0);
    pid = fork();
    if (pid == 0) {
        struct result made = { 0 };

        mailbox_init(&mailbox);
        zk = connect_to(shared, "/left", &mailbox);
        zk_create(zk, "/ephemeral", STR_NULL, ZK_EPHEMERAL, note, &made);
        while (made.calls == 0)
            mailbox_wait(&mailbox, 100);
        left = *zk_session(zk);
        if (write(pipe_fds[1], &left, sizeof left) != sizeof left)
            _exit(1);
        pause();
    }
    ck_assert_int_eq(read(pipe_fds[0], &left, sizeof left), sizeof left);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    mailbox_init(&mailbox);
    zk = connect_to(shared, "/left", &mailbox);
    zk_get(zk, "/ephemeral", false, note, &result);
    until(result.calls == 1);
    ck_assert_int_eq(result.err, ERR_OK);
    ck_assert(result.stat.owner == left.id);
    start_us = clock_mono_us();
    ck_assert_int_eq(
        zk_close_session(zk_ensemble_servers(shared), left.id, left.password, 5000, NULL), ERR_OK);
    printf("closed the session of a dead process in %d ms\n",
           (int)((clock_mono_us() - start_us) / 1000));
    zk_get(zk, "/ephemeral", false, note, &result);
    until(result.calls == 2);
    ck_assert_int_eq(result.err, ERR_NOT_FOUND);
    /* a second time it is gone already */
    ck_assert_int_eq(
        zk_close_session(zk_ensemble_servers(shared), left.id, left.password, 5000, NULL), ERR_OK);
    finish();
}
END_TEST

START_TEST(closing_with_much_on_its_way_answers_everything_once)
{
    for (int round = 0; round < 10; round++) {
        struct result result = { 0 };

        start_on(shared);
        for (int i = 0; i < 200; i++)
            zk_create(zk, "/c_", STR("x"), ZK_SEQUENTIAL, note, &result);
        finish();
        ck_assert_int_eq(result.calls, 200);
    }
}
END_TEST

START_TEST(closing_before_there_is_a_server_is_quick)
{
    struct zk_options options = { .servers = "127.0.0.1:1",
                                  .session_timeout_ms = 10000,
                                  .mailbox = &mailbox };
    struct result result = { 0 };
    int64_t start_ms = clock_mono_ms();

    mailbox_init(&mailbox);
    ck_assert_int_eq(zk_open(&options, &zk), ERR_OK);
    zk_get(zk, "/", false, note, &result);
    mailbox_wait(&mailbox, 100);
    finish();
    ck_assert_int_eq(result.err, ERR_CLOSED);
    ck_assert_int_lt((int)(clock_mono_ms() - start_ms), 4000);
    mailbox_init(&mailbox);
    ck_assert_int_eq(
        zk_close_session("127.0.0.1:1", 1, (const uint8_t *)"0123456789abcdef", 500, NULL),
        ERR_TIMED_OUT);
    mailbox_fini(&mailbox);
}
END_TEST

START_TEST(a_restart_of_the_server_is_waited_out)
{
    struct zk_ensemble *own = zk_ensemble_start(1);
    struct result before = { 0 }, during = { 0 }, mine = { 0 };
    struct zk_watch *watch;
    int64_t id;

    tells = 0;
    start_on(own);
    id = zk_session(zk)->id;
    zk_create(zk, "/mine", STR("m"), ZK_EPHEMERAL, note, &before);
    watch = zk_watch_start(zk, ZK_WATCH_DATA, "/mine", tell, NULL);
    until(tells == 1);
    zk_ensemble_kill(own, 0);
    until(heard.suspended == 1);
    zk_set(zk, "/mine", STR("n"), ZK_ANY_VERSION, note, &during);
    zk_ensemble_again(own, 0);
    until(during.calls == 1);
    ck_assert_int_eq(during.err, ERR_OK);
    ck_assert_int_eq(heard.fresh, 1);
    ck_assert(zk_session(zk)->id == id);
    until(strcmp(told, "n") == 0);
    zk_get(zk, "/mine", false, note, &mine);
    until(mine.calls == 1);
    ck_assert(mine.stat.owner == id);
    zk_watch_stop(&watch);
    finish();
    zk_ensemble_stop(&own);
}
END_TEST

START_TEST(a_server_that_hangs_too_long_ends_the_session)
{
    struct zk_ensemble *own = zk_ensemble_start(1);
    struct zk_options options = { .servers = zk_ensemble_servers(own),
                                  .session_timeout_ms = 600,
                                  .mailbox = &mailbox };
    int64_t resume_ms;
    int rounds = 0;

    memset(&heard, 0, sizeof heard);
    heard.listener.on_session = hear_session;
    mailbox_init(&mailbox);
    ck_assert_int_eq(zk_open(&options, &zk), ERR_OK);
    zk_listen(zk, &heard.listener);
    until(heard.connected == 1);
    ck_assert_int_eq(zk_session(zk)->timeout_ms, 600);
    /* A server that has been resumed may meet us before it notices that our time was up: once more,
     * then. */
    while (heard.fresh < 2) {
        int connected = heard.connected, suspended = heard.suspended;

        ck_assert_msg(rounds++ < 8, "it never ends");
        zk_ensemble_pause(own, 0);
        until(heard.suspended > suspended);
        resume_ms = clock_mono_ms() + 1500; /* well past the time-out and a tick */
        while (clock_mono_ms() < resume_ms)
            mailbox_wait(&mailbox, 50);
        zk_ensemble_resume(own, 0);
        until(heard.connected > connected);
    }
    ck_assert_int_ge(heard.expired, 1);
    finish();
    zk_ensemble_stop(&own);
}
END_TEST

START_TEST(an_ensemble_goes_on_without_its_leader)
{
    struct zk_ensemble *three = zk_ensemble_start(3);
    struct result result = { 0 };
    int64_t start_ms, id;

    start_on(three);
    id = zk_session(zk)->id;
    zk_create(zk, "/mine", STR_NULL, ZK_EPHEMERAL, note, &result);
    until(result.calls == 1);
    start_ms = clock_mono_ms();
    zk_ensemble_kill(three, zk_ensemble_leader(three));
    do {
        int before = result.calls;

        zk_set(zk, "/mine", STR("x"), ZK_ANY_VERSION, note, &result);
        until(result.calls == before + 1);
    } while (result.err != ERR_OK || result.stat.owner == 0);
    printf("writing again %d ms after the leader was killed\n", (int)(clock_mono_ms() - start_ms));
    ck_assert(result.stat.owner == id);
    finish();
    zk_ensemble_stop(&three);
}
END_TEST

/* ---- the controller's side --------------------------------------------------------------------
 */

static struct {
    struct reactor *reactor;
    struct zk *zk;
    struct seat *seat;
    struct loader *loader;
    struct writer *writer;
    int won, lost, loaded, written;
    size_t n_topics, n_parts, n_nodes;
    enum err worst;
} c;

static void on_event(void *arg, const struct core_event *event)
{
    (void)arg;
    if (event->kind == CORE_LOADED) {
        c.loaded++;
        c.n_topics = event->loaded.n_topics;
        c.n_nodes = event->loaded.n_nodes;
        c.n_parts = 0;
        for (size_t i = 0; i < c.n_topics; i++)
            c.n_parts += event->loaded.topics[i].n_parts;
    } else if (event->kind == CORE_WRITE_DONE) {
        c.written++;
        for (size_t i = 0; i < event->write_done.n; i++) {
            if (event->write_done.results[i].err != ERR_OK)
                c.worst = event->write_done.results[i].err;
        }
    }
}

static void on_won(void *arg, int32_t epoch, int32_t version)
{
    (void)arg;
    (void)version;
    c.won++;
    loader_run(c.loader, &(struct core_reload){ .what = RELOAD_ALL }, epoch);
}

static void on_lost(void *arg, const char *reason)
{
    (void)arg;
    (void)reason;
    c.lost++;
    loader_reset(c.loader);
    writer_reset(c.writer);
}

static void on_refused(void *arg, const char *text)
{
    (void)arg;
    ck_abort_msg("%s", text);
}

static void no_failure(void *arg, enum err err, const char *text)
{
    (void)arg;
    ck_abort_msg("%s %s", err_name(err), text);
}

static bool any_cluster(void *arg, struct str id)
{
    (void)arg;
    return id.len == 22;
}

static void on_enrolled(void *arg, int64_t epoch, const struct zk_session *session)
{
    (void)session;
    *(int64_t *)arg = epoch;
}

static void on_gone(void *arg)
{
    *(int64_t *)arg = -1;
}

#define turn_until(condition)                                                                      \
    do {                                                                                           \
        int64_t end_ms = clock_mono_ms() + WAIT_MS;                                                \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_mono_ms() < end_ms, "waited in vain: %s", #condition);             \
            reactor_turn(c.reactor, false);                                                        \
            usleep(200);                                                                           \
        }                                                                                          \
    } while (0)

/* `n_topics` topics of `n_parts` partitions in one WRITE. */
static void write_topics(uint64_t batch, int n_topics, int n_parts)
{
    static const int32_t ids[] = { 1, 2, 3 };
    size_t n = 0, per_topic = 2 + (size_t)n_parts;
    struct core_op *ops = xcalloc((size_t)n_topics * per_topic, sizeof *ops);
    struct core_op_part *parts = xcalloc((size_t)n_parts, sizeof *parts);
    struct core_write write = { .batch = batch, .controller_epoch = seat_epoch(c.seat) };
    char(*names)[32] = xcalloc((size_t)n_topics, sizeof *names);

    for (int i = 0; i < n_parts; i++)
        parts[i] = (struct core_op_part){ .index = i, .replicas = IDS_OF(ids) };
    for (int t = 0; t < n_topics; t++) {
        struct str name;

        snprintf(names[t], sizeof names[t], "topic-%d-%d", (int)batch, t);
        name = str_of(names[t]);
        ops[n++] = (struct core_op){ .kind = OP_CONFIG_SET,
                                     .group = (uint32_t)t,
                                     .topic = name,
                                     .config = { .type = STR("topics"), .name = name } };
        ops[n++] = (struct core_op){ .kind = OP_TOPIC_CREATE,
                                     .group = (uint32_t)t,
                                     .topic = name,
                                     .topic_node = { .id = { .bytes = { 1, (uint8_t)t } },
                                                     .n_parts = (size_t)n_parts,
                                                     .parts = parts } };
        for (int p = 0; p < n_parts; p++)
            ops[n++] =
                (struct core_op){ .kind = OP_STATE_CREATE,
                                  .group = (uint32_t)t,
                                  .version = -1,
                                  .topic = name,
                                  .state = { .partition = p,
                                             .state = { .leader = 1, .isr = IDS_OF(ids) } } };
    }
    write.n = n;
    write.ops = ops;
    writer_run(c.writer, &write, seat_epoch_version(c.seat));
    free(names);
    free(parts);
    free(ops);
}

static void controller_start(const struct zk_ensemble *servers)
{
    struct sink sink = { .on_event = on_event };
    struct loader_hooks loader_hooks = { .on_refused = on_refused };
    struct writer_hooks writer_hooks = { 0 };
    struct seat_hooks seat_hooks = { .on_won = on_won, .on_lost = on_lost };
    struct seat_options options = { .controller_id = 3001, .host = "127.0.0.1", .port = 9190 };

    memset(&c, 0, sizeof c);
    c.reactor = reactor_new();
    c.zk = connect_to(servers, "/kafka", reactor_mailbox(c.reactor));
    c.loader = loader_new(c.zk, &sink, &loader_hooks);
    c.writer = writer_new(c.zk, &sink, &writer_hooks);
    options.zk = c.zk;
    options.reactor = c.reactor;
    c.seat = seat_new(&options, &seat_hooks, NULL);
}

static void controller_stop(void)
{
    seat_free(&c.seat);
    writer_free(&c.writer);
    loader_free(&c.loader);
    zk_close(&c.zk);
    reactor_turn(c.reactor, false);
    reactor_free(&c.reactor);
}

START_TEST(a_controller_wins_loads_writes_and_reads_again)
{
    struct zk_ensemble *own = zk_ensemble_start(1);
    struct zk_enroll_hooks hooks = { any_cluster, on_enrolled, on_gone, no_failure };
    struct endpoint endpoint = { STR("PLAINTEXT"), STR("PLAINTEXT"), STR("127.0.0.1"), 9092, true };
    struct node node = { .id = 1, .n_endpoints = 1, .endpoints = &endpoint };
    struct zk_enroll *enroll;
    struct zk_session old;
    int64_t epoch = -1, first, start_us;

    controller_start(own);
    enroll = zk_enroll_new(c.zk, &node, "0.1.0", &hooks, &epoch);
    turn_until(epoch > 0 && c.loaded == 1);
    first = epoch;
    start_us = clock_mono_us();
    write_topics(1, 50, 60);
    turn_until(c.written == 1);
    ck_assert_int_eq(c.worst, ERR_OK);
    printf("wrote 50 topics of 60 partitions in %d ms\n",
           (int)((clock_mono_us() - start_us) / 1000));
    start_us = clock_mono_us();
    loader_run(c.loader, &(struct core_reload){ .what = RELOAD_ALL }, 1);
    turn_until(c.loaded == 2);
    printf("read 50 topics of 60 partitions in %d ms\n",
           (int)((clock_mono_us() - start_us) / 1000));
    ck_assert_uint_eq(c.n_topics, 50);
    ck_assert_uint_eq(c.n_parts, 3000);
    ck_assert_uint_eq(c.n_nodes, 1);
    /* the server dies in the middle of writing */
    write_topics(2, 20, 60);
    reactor_turn(c.reactor, false);
    zk_ensemble_kill(own, 0);
    zk_ensemble_again(own, 0);
    turn_until(c.written == 2);
    ck_assert_int_eq(c.worst, ERR_OK);
    /* the session ends in the middle of reading: lost, registered anew, won again, loaded again */
    old = *zk_session(c.zk);
    loader_run(c.loader, &(struct core_reload){ .what = RELOAD_ALL }, 1);
    ck_assert_int_eq(zk_close_session(zk_ensemble_servers(own), old.id, old.password, 5000, NULL),
                     ERR_OK);
    turn_until(c.lost == 1 && c.won == 2 && epoch > first);
    turn_until(c.loaded >= 3 && c.n_topics == 70);
    ck_assert_uint_eq(c.n_parts, 70 * 60);
    ck_assert_int_eq(seat_epoch(c.seat), 2);
    zk_enroll_free(&enroll);
    controller_stop();
    zk_ensemble_stop(&own);
}
END_TEST

static void start_shared(void)
{
    shared = zk_ensemble_start(1);
}

static void stop_shared(void)
{
    zk_ensemble_stop(&shared);
}

int main(void)
{
    TCase *tc = tcase_create("zk_session");
    const char *missing = zk_ensemble_missing();

    if (missing != NULL) {
        printf("SKIPPED: no real ZooKeeper here, missing: %s\n", missing);
        return 77;
    }
    say_setup(SAY_ERROR, SAY_TEXT, "test");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, start_shared, stop_shared);
    tcase_add_test(tc, calls_do_what_the_fake_does);
    tcase_add_test(tc, multis_do_what_the_fake_does);
    tcase_add_test(tc, thousands_of_calls_are_pipelined);
    tcase_add_test(tc, a_session_that_has_ended_is_replaced);
    tcase_add_test(tc, a_dead_process_leaves_a_session_that_can_be_closed);
    tcase_add_test(tc, closing_with_much_on_its_way_answers_everything_once);
    tcase_add_test(tc, closing_before_there_is_a_server_is_quick);
    tcase_add_test(tc, a_restart_of_the_server_is_waited_out);
    tcase_add_test(tc, a_server_that_hangs_too_long_ends_the_session);
    tcase_add_test(tc, an_ensemble_goes_on_without_its_leader);
    tcase_add_test(tc, a_controller_wins_loads_writes_and_reads_again);
    return unit_run(tc);
}
