/*
 * In every session: register /controllers/ids/N, then keep a standing watch on /controller. When it
 * is absent, stand: look whether anything forbids it (all reads at once), read the epoch, and
 * create /controller and bump the epoch in one multi, so that no two controllers ever share an
 * epoch.
 *
 *   registered -> standing -> held -> (deleted, replaced, fenced, resigned, expired) -> registered
 *
 * What can go wrong on the way ends the attempt; the watch, or a pause, starts the next. After a
 * lost connection the holder's session tells whether the multi was done.
 *
 * A /controllers/ids/N or /controller of an earlier process of ours is recognised by the address
 * that only one process can listen on: we do, so that one is dead and is replaced at once.
 */
#include "controller/shell/seat.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/io/reactor.h"
#include "common/zk/zk_tree.h"
#include "common/zk/zk_watch.h"

#define PAUSE_MS       200  /* after a failure or a resignation */
#define BLOCKED_MS     1000 /* before looking again whether anything forbids it */
#define REGISTER_MS    1000 /* before trying again when another process has our id */
#define HOST_BYTES_MAX 256

struct seat {
    struct zk *zk;
    struct reactor *reactor;
    struct seat_hooks hooks;
    void *arg;
    int32_t id;
    char *host;
    int32_t port;
    int64_t pause_ms;
    struct zk_listener listener;
    struct zk_watch *watch; /* of /controller, from the first registration on */
    struct reactor_timer timer;
    struct msg fenced_msg;
    struct rand rand;
    unsigned out; /* calls and messages on their way */
    bool freed;   /* goes with the last of them */

    bool registering, registered;
    bool held, resigning, fenced;
    int32_t epoch, epoch_version;
    const char *reason;
    int64_t refused_ms; /* the pause that follows, 0: the usual one */

    struct seat_holder holder;
    char holder_host[HOST_BYTES_MAX];
    bool held_by_us; /* /controller is of this session, by the last read */

    /* an attempt */
    bool standing;
    unsigned reads;
    bool blocked, again, lost; /* lost: an answer, with its connection */
    char *block_reason;        /* said already */
    int32_t take_over;         /* holder to be replaced, -1: none */
    bool present;
    struct zk_stat controller_stat;
    struct zk_holder controller;
    bool listed; /* the holder to be replaced has a /controllers/ids */
    int32_t listed_version;
    int32_t epoch_read, epoch_read_version;
    struct zk_ours ours; /* as read from /controllers/ids */
    int32_t ours_version;
};

static void stand(struct seat *seat);
static void register_seat(struct seat *seat);

/* ---- calls ------------------------------------------------------------------------------------
 */

static void seat_end(struct seat *seat)
{
    free(seat->host);
    free(seat->block_reason);
    free(seat);
}

/* Every answer begins with this. False: there is nobody, or no session, to go on with. */
static bool is_back(struct seat *seat, const struct zk_answer *answer)
{
    seat->out--;
    if (seat->freed) {
        if (seat->out == 0)
            seat_end(seat);
        return false;
    }
    return answer->err != ERR_SESSION_EXPIRED && answer->err != ERR_CLOSED;
}

static void pause_then_stand(struct seat *seat, int64_t pause_ms)
{
    int64_t jitter_ms = (int64_t)rand_below(&seat->rand, (uint64_t)pause_ms / 2 + 1);

    reactor_timer_set_ms(seat->reactor, &seat->timer, pause_ms + jitter_ms);
}

static void on_timer(struct reactor_timer *timer)
{
    struct seat *seat = container_of(timer, struct seat, timer);

    if (!seat->registered)
        register_seat(seat);
    else if (seat->holder.id < 0 || seat->holder.id == seat->id || seat->held_by_us)
        stand(seat);
}

/* ---- the registration -------------------------------------------------------------------------
 */

static void on_registered(void *arg, const struct zk_answer *answer);
static void on_controller(void *arg, const struct zk_answer *answer);

static void registered(struct seat *seat)
{
    seat->registering = false;
    seat->registered = true;
    say_info("registered controller=%" PRId32 " address=%s:%" PRId32, seat->id, seat->host,
             seat->port);
    if (seat->watch == NULL)
        seat->watch = zk_watch_start(seat->zk, ZK_WATCH_DATA, ZK_CONTROLLER, on_controller, seat);
    else
        zk_watch_again(seat->watch);
}

static void registration_failed(struct seat *seat)
{
    seat->registering = false;
    pause_then_stand(seat, REGISTER_MS);
}

static void create_registration(struct seat *seat)
{
    struct arena arena;
    struct zk_seat value = { .host = str_of(seat->host),
                             .port = seat->port,
                             .timestamp_ms = clock_wall_ms() };

    arena_init(&arena, SIZE_MAX);
    seat->out++;
    zk_create(seat->zk, zk_path_seat(&arena, seat->id), zk_build_seat(&arena, &value), ZK_EPHEMERAL,
              on_registered, seat);
    arena_fini(&arena);
}

static void on_paths_made(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;

    if (!is_back(seat, answer))
        return;
    if (answer->err != ERR_OK) {
        say_limited(SAY_ERROR, "cannot create a path, trying again path=" ZK_SEATS " err=%s",
                    err_name(answer->err));
        registration_failed(seat);
        return;
    }
    create_registration(seat);
}

static void on_earlier_removed(void *arg, const struct zk_answer *answer)
{
    if (is_back(arg, answer))
        create_registration(arg);
}

static void on_earlier_read(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;
    struct arena arena;
    struct zk_seat other = { .port = -1 };
    bool ours;

    if (!is_back(seat, answer))
        return;
    if (answer->err == ERR_NOT_FOUND || answer->err == ERR_CONNECTION_LOSS) {
        create_registration(seat);
        return;
    }
    if (answer->err == ERR_OK && answer->stat.owner == zk_session(seat->zk)->id) {
        registered(seat);
        return;
    }
    arena_init(&arena, SIZE_MAX);
    ours = answer->err == ERR_OK && zk_parse_seat(&arena, answer->data, &other) == ERR_OK &&
           str_is(other.host, seat->host) && other.port == seat->port;
    if (ours) {
        say_info("replacing the registration of an earlier process controller=%" PRId32, seat->id);
        seat->out++;
        zk_delete(seat->zk, zk_path_seat(&arena, seat->id), answer->stat.version,
                  on_earlier_removed, seat);
    } else {
        say_limited(SAY_ERROR,
                    "another controller is registered with our id, waiting until it is gone "
                    "controller=%" PRId32 " its_address=%.*s:%" PRId32,
                    seat->id, STR_ARG(other.host), other.port);
        registration_failed(seat);
    }
    arena_fini(&arena);
}

static void on_registered(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;
    struct arena arena;

    if (!is_back(seat, answer))
        return;
    if (answer->err == ERR_CONNECTION_LOSS || answer->err == ERR_NOT_FOUND) {
        seat->registering = false;
        register_seat(seat);
    } else if (answer->err == ERR_EXISTS) {
        arena_init(&arena, SIZE_MAX);
        seat->out++;
        zk_get(seat->zk, zk_path_seat(&arena, seat->id), false, on_earlier_read, seat);
        arena_fini(&arena);
    } else if (answer->err != ERR_OK) {
        say_limited(SAY_ERROR, "cannot register the controller, trying again err=%s",
                    err_name(answer->err));
        registration_failed(seat);
    } else {
        registered(seat);
    }
}

static void register_seat(struct seat *seat)
{
    if (seat->registering || seat->registered)
        return;
    seat->registering = true;
    seat->out++;
    zk_create_path(seat->zk, ZK_SEATS, on_paths_made, seat);
}

/* ---- winning and losing ------------------------------------------------------------------------
 */

static void attempt_end(struct seat *seat)
{
    seat->standing = false;
    seat->take_over = -1;
}

static void tell_holder(struct seat *seat)
{
    if (seat->hooks.on_holder != NULL)
        seat->hooks.on_holder(seat->arg, &seat->holder);
}

static void won(struct seat *seat, int32_t version)
{
    attempt_end(seat);
    free(seat->block_reason);
    seat->block_reason = NULL;
    seat->held = true;
    seat->held_by_us = true;
    seat->fenced = false;
    seat->epoch = seat->epoch_read + 1;
    seat->epoch_version = version;
    snprintf(seat->holder_host, sizeof seat->holder_host, "%s", seat->host);
    seat->holder = (struct seat_holder){
        .id = seat->id, .is_listed = true, .host = str_of(seat->holder_host), .port = seat->port
    };
    say_info("won the seat, reading the cluster controller=%" PRId32 " epoch=%" PRId32, seat->id,
             seat->epoch);
    seat->hooks.on_won(seat->arg, seat->epoch, seat->epoch_version);
    tell_holder(seat);
}

static void lost(struct seat *seat, const char *reason)
{
    if (!seat->held)
        return;
    seat->held = false;
    seat->resigning = false;
    say_warn("no longer the active controller: %s controller=%" PRId32 " epoch=%" PRId32, reason,
             seat->id, seat->epoch);
    pause_then_stand(seat, seat->refused_ms > 0 ? seat->refused_ms : seat->pause_ms);
    seat->refused_ms = 0;
    seat->hooks.on_lost(seat->arg, reason);
}

/* ---- standing ----------------------------------------------------------------------------------
 */

/* Takes text, which is malloc'ed. */
static void block(struct seat *seat, char *text)
{
    seat->blocked = true;
    if (seat->block_reason == NULL || strcmp(seat->block_reason, text) != 0) {
        say_warn("not standing for controller: %s", text);
        free(seat->block_reason);
        seat->block_reason = text;
    } else {
        free(text);
    }
}

static void on_sync_after_loss(void *arg, const struct zk_answer *answer);

static void on_multi(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;

    if (!is_back(seat, answer))
        return;
    if (answer->err == ERR_OK) {
        won(seat, answer->results[answer->n_results - 1].stat.version);
    } else if (answer->err == ERR_CONNECTION_LOSS) {
        seat->out++;
        zk_sync(seat->zk, on_sync_after_loss, seat);
    } else { /* somebody was faster; if not even that, the pause finds it absent */
        attempt_end(seat);
        pause_then_stand(seat, seat->pause_ms / 4);
        zk_watch_again(seat->watch);
    }
}

static void send_multi(struct seat *seat)
{
    struct arena arena;
    struct zk_op ops[5];
    size_t n = 0;
    struct zk_ours ours = { .first = seat->epoch_read + 1, .last = seat->epoch_read + 1 };
    struct zk_holder holder = { .id = seat->id,
                                .timestamp_ms = clock_wall_ms(),
                                .kraft_epoch = -1 };

    arena_init(&arena, SIZE_MAX);
    if (seat->present) {
        if (seat->controller.id != seat->id) /* only while it is listed as one of ours */
            ops[n++] = zk_op_check(zk_path_seat(&arena, seat->controller.id), seat->listed_version);
        ops[n++] = zk_op_delete(ZK_CONTROLLER, seat->controller_stat.version);
    }
    /* nobody else has held the seat since then, so that what ours have written is good */
    if (seat->ours.first <= seat->ours.last && seat->ours.last == seat->epoch_read)
        ours.first = seat->ours.first;
    ops[n++] = zk_op_set(ZK_SEATS, zk_build_ours(&arena, &ours), seat->ours_version);
    ops[n++] = zk_op_create(ZK_CONTROLLER, zk_build_holder(&arena, &holder), ZK_EPHEMERAL);
    ops[n++] = zk_op_set(ZK_CONTROLLER_EPOCH, zk_build_epoch(&arena, seat->epoch_read + 1),
                         seat->epoch_read_version);
    seat->out++;
    zk_multi(seat->zk, ops, n, on_multi, seat);
    arena_fini(&arena);
}

/* Everything that an attempt wants to know has been read. */
static void reads_done(struct seat *seat)
{
    /* Of an earlier process, or ours from before we lost the epoch: nobody acts under it. */
    bool take = seat->present && seat->controller.id == seat->id;

    if (seat->lost) { /* the next reads wait for a connection */
        seat->standing = false;
        stand(seat);
        return;
    }
    if (seat->present && seat->controller.kraft_epoch > 0)
        block(seat, xasprintf("a KRaft controller owns the cluster kraft_epoch=%" PRId32,
                              seat->controller.kraft_epoch));
    if (seat->blocked) {
        attempt_end(seat);
        pause_then_stand(seat, BLOCKED_MS);
        return;
    }
    if (seat->again) {
        attempt_end(seat);
        pause_then_stand(seat, seat->pause_ms);
        return;
    }
    if (seat->present && seat->take_over == seat->controller.id && seat->listed)
        take = true;
    if (seat->present && !take) {
        if (seat->take_over == seat->controller.id)
            say_warn("the active controller is not one of ours, waiting for its session to end "
                     "controller=%" PRId32,
                     seat->controller.id);
        attempt_end(seat);
        if (seat->holder.id < 0) /* it went while we were reading */
            pause_then_stand(seat, seat->pause_ms / 4);
        return;
    }
    if (seat->present)
        say_info("taking over from a controller that is dead controller=%" PRId32,
                 seat->controller.id);
    send_multi(seat);
}

/* Counts an answer of an attempt's reads; true when its content may be looked at. */
static bool read_back(struct seat *seat, const struct zk_answer *answer)
{
    if (!is_back(seat, answer))
        return false;
    seat->reads--;
    if (answer->err == ERR_CONNECTION_LOSS)
        seat->lost = true;
    if (answer->err != ERR_OK && answer->err != ERR_NOT_FOUND)
        seat->again = true;
    return true;
}

static void read_end(struct seat *seat)
{
    if (seat->reads == 0)
        reads_done(seat);
}

static void read_more(struct seat *seat)
{
    seat->reads++;
    seat->out++;
}

static void on_migration(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;

    if (!read_back(seat, answer))
        return;
    if (answer->err == ERR_OK)
        block(seat, xstrdup("a migration to KRaft is or was running path=" ZK_MIGRATION));
    read_end(seat);
}

/* What can be read and is no registration is of no broker, for Kafka's can all be read: the load
 * leaves it out. What must not be read may be of Kafka's. */
static void on_broker(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;
    struct zk_registration reg;
    struct arena arena;
    int32_t id;

    if (!read_back(seat, answer))
        return;
    arena_init(&arena, SIZE_MAX);
    if (answer->err == ERR_CLUSTER_AUTHORIZATION_FAILED)
        block(seat, xasprintf("whose broker is registered cannot be read path=%.*s err=%s",
                              STR_ARG(answer->path), err_name(answer->err)));
    if (answer->err == ERR_OK && zk_leaf_id(zk_path_leaf(answer->path), &id) &&
        zk_parse_registration(&arena, answer->data, &reg) == ERR_OK && str_is_null(reg.moldau))
        block(seat, xasprintf("a broker that is not moldau's is registered broker=%" PRId32, id));
    arena_fini(&arena);
    read_end(seat);
}

static void on_brokers(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;
    struct arena arena;

    if (!read_back(seat, answer))
        return;
    arena_init(&arena, SIZE_MAX);
    for (size_t i = 0; i < answer->n_children; i++) {
        int32_t id;

        if (!zk_leaf_id(answer->children[i], &id))
            continue;
        read_more(seat);
        zk_get(seat->zk, zk_path_broker(&arena, id), false, on_broker, seat);
    }
    arena_fini(&arena);
    read_end(seat);
}

static void on_listed(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;

    if (!read_back(seat, answer))
        return;
    seat->listed = answer->err == ERR_OK;
    seat->listed_version = answer->stat.version;
    read_end(seat);
}

static void on_present(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;
    struct arena arena;

    if (!read_back(seat, answer))
        return;
    seat->present = answer->err == ERR_OK;
    seat->controller_stat = answer->stat;
    arena_init(&arena, SIZE_MAX);
    if (seat->present && zk_parse_holder(&arena, answer->data, &seat->controller) != ERR_OK)
        block(seat, xstrdup("cannot read who holds the seat path=" ZK_CONTROLLER));
    arena_fini(&arena);
    read_end(seat);
}

static void on_epoch(void *arg, const struct zk_answer *answer);

static void on_epoch_created(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;

    if (!is_back(seat, answer))
        return;
    seat->reads--;
    if (answer->err != ERR_OK && answer->err != ERR_EXISTS && answer->err != ERR_CONNECTION_LOSS)
        seat->again = true;
    read_more(seat);
    zk_get(seat->zk, ZK_CONTROLLER_EPOCH, false, on_epoch, seat);
}

static void on_epoch(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;

    if (!read_back(seat, answer))
        return;
    if (answer->err == ERR_NOT_FOUND) {
        read_more(seat);
        zk_create(seat->zk, ZK_CONTROLLER_EPOCH, STR("0"), ZK_PERSISTENT, on_epoch_created, seat);
    } else if (answer->err == ERR_OK && zk_parse_epoch(answer->data, &seat->epoch_read) != ERR_OK) {
        block(seat, xstrdup("cannot read the epoch path=" ZK_CONTROLLER_EPOCH));
    }
    seat->epoch_read_version = answer->stat.version;
    read_end(seat);
}

static void on_ours(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;
    struct arena arena;

    if (!read_back(seat, answer))
        return;
    arena_init(&arena, SIZE_MAX);
    if (answer->err != ERR_OK || zk_parse_ours(&arena, answer->data, &seat->ours) != ERR_OK)
        seat->ours = (struct zk_ours){ .first = 0, .last = -1 };
    seat->ours_version = answer->err == ERR_OK ? answer->stat.version : ZK_ANY_VERSION;
    arena_fini(&arena);
    read_end(seat);
}

static void stand(struct seat *seat)
{
    struct arena arena;

    if (seat->standing || seat->held || !seat->registered || seat->freed)
        return;
    seat->standing = true;
    seat->blocked = seat->again = seat->lost = seat->present = seat->listed = false;
    seat->reads = 0;
    arena_init(&arena, SIZE_MAX);
    read_more(seat);
    zk_get(seat->zk, ZK_CONTROLLER, false, on_present, seat);
    read_more(seat);
    zk_get(seat->zk, ZK_CONTROLLER_EPOCH, false, on_epoch, seat);
    read_more(seat);
    zk_exists(seat->zk, ZK_MIGRATION, false, on_migration, seat);
    read_more(seat);
    zk_children(seat->zk, ZK_BROKER_IDS, false, on_brokers, seat);
    read_more(seat);
    zk_get(seat->zk, ZK_SEATS, false, on_ours, seat);
    if (seat->take_over >= 0) {
        read_more(seat);
        zk_exists(seat->zk, zk_path_seat(&arena, seat->take_over), false, on_listed, seat);
    }
    arena_fini(&arena);
}

/* ---- was the multi done? ------------------------------------------------------------------------
 */

static void on_epoch_after_loss(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;
    int32_t epoch;

    if (!is_back(seat, answer))
        return;
    if (answer->err == ERR_CONNECTION_LOSS) {
        seat->out++;
        zk_sync(seat->zk, on_sync_after_loss, seat);
    } else if (answer->err == ERR_OK && zk_parse_epoch(answer->data, &epoch) == ERR_OK &&
               epoch == seat->epoch_read + 1) {
        won(seat, answer->stat.version);
    } else {
        attempt_end(seat);
        pause_then_stand(seat, seat->pause_ms);
    }
}

static void on_holder_after_loss(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;

    if (!is_back(seat, answer))
        return;
    if (answer->err == ERR_CONNECTION_LOSS) {
        seat->out++;
        zk_sync(seat->zk, on_sync_after_loss, seat);
    } else if (answer->err == ERR_OK && answer->stat.owner == zk_session(seat->zk)->id) {
        seat->out++;
        zk_get(seat->zk, ZK_CONTROLLER_EPOCH, false, on_epoch_after_loss, seat);
    } else {
        attempt_end(seat);
        pause_then_stand(seat, seat->pause_ms / 4);
        zk_watch_again(seat->watch);
    }
}

static void on_sync_after_loss(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;

    if (!is_back(seat, answer))
        return;
    seat->out++;
    zk_get(seat->zk, ZK_CONTROLLER, false, on_holder_after_loss, seat);
}

/* ---- who holds it -------------------------------------------------------------------------------
 */

static void ask_address(struct seat *seat, int32_t id);

static void on_holder_listed(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;
    struct zk_seat value;
    struct arena arena;
    int32_t id;

    if (!is_back(seat, answer))
        return;
    if (!zk_leaf_id(zk_path_leaf(answer->path), &id) || id != seat->holder.id || seat->held)
        return; /* somebody else by now */
    if (answer->err == ERR_CONNECTION_LOSS) {
        ask_address(seat, id);
        return;
    }
    arena_init(&arena, SIZE_MAX);
    if (answer->err == ERR_OK && zk_parse_seat(&arena, answer->data, &value) == ERR_OK) {
        snprintf(seat->holder_host, sizeof seat->holder_host, "%.*s", STR_ARG(value.host));
        seat->holder.is_listed = true;
        seat->holder.host = str_of(seat->holder_host);
        seat->holder.port = value.port;
    }
    arena_fini(&arena);
    tell_holder(seat);
}

static void ask_address(struct seat *seat, int32_t id)
{
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    seat->out++;
    zk_get(seat->zk, zk_path_seat(&arena, id), false, on_holder_listed, seat);
    arena_fini(&arena);
}

static void holder_is(struct seat *seat, int32_t id)
{
    seat->holder = (struct seat_holder){ .id = id, .port = -1 };
    if (id < 0) {
        tell_holder(seat);
        return;
    }
    if (id != seat->id)
        say_info("the active controller is another controller=%" PRId32, id);
    ask_address(seat, id);
}

/* The content of /controller, now and after every change. */
static void on_controller(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;
    struct zk_holder holder = { .id = -1 };
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    if (answer->err == ERR_OK && zk_parse_holder(&arena, answer->data, &holder) != ERR_OK)
        say_limited(SAY_ERROR, "cannot read who holds the seat path=" ZK_CONTROLLER);
    arena_fini(&arena);
    seat->held_by_us = answer->err == ERR_OK && answer->stat.owner == zk_session(seat->zk)->id;
    if (seat->held_by_us) {
        if (!seat->held && !seat->standing && !reactor_timer_is_set(&seat->timer))
            stand(seat);
        return;
    }
    if (seat->held && !seat->resigning)
        lost(seat, answer->err == ERR_OK ? "another holds /controller" : "/controller was deleted");
    if (seat->holder.id != holder.id || !seat->holder.is_listed)
        holder_is(seat, holder.id);
    if (answer->err == ERR_NOT_FOUND || holder.id == seat->id) {
        if (!reactor_timer_is_set(&seat->timer))
            stand(seat);
    }
}

/* ---- the module ---------------------------------------------------------------------------------
 */

static void on_session(struct zk_listener *listener, const struct zk_session *session)
{
    struct seat *seat = container_of(listener, struct seat, listener);

    if (session->state == ZK_CONNECTED) {
        say_info("ZooKeeper connected session=0x%" PRIx64 " timeout_ms=%" PRId32,
                 (uint64_t)session->id, session->timeout_ms);
        if (session->is_new)
            register_seat(seat);
    } else if (session->state == ZK_SUSPENDED) {
        say_warn("ZooKeeper connection lost, changes wait session=0x%" PRIx64,
                 (uint64_t)session->id);
    } else {
        say_warn("ZooKeeper session has expired session=0x%" PRIx64, (uint64_t)session->id);
        seat->registered = seat->registering = false;
        attempt_end(seat);
        lost(seat, "the ZooKeeper session has expired");
    }
}

static void on_fenced_msg(struct msg *msg)
{
    struct seat *seat = container_of(msg, struct seat, fenced_msg);

    if (!is_back(seat, &(struct zk_answer){ .err = ERR_OK }))
        return;
    seat->fenced = false;
    lost(seat, "another controller has taken over");
    zk_watch_again(seat->watch);
}

void seat_fenced(struct seat *seat)
{
    if (!seat->held || seat->fenced)
        return;
    seat->fenced = true;
    seat->out++;
    seat->fenced_msg.run = on_fenced_msg;
    reactor_post(seat->reactor, &seat->fenced_msg);
}

static void on_resigned(void *arg, const struct zk_answer *answer)
{
    struct seat *seat = arg;

    if (!is_back(seat, answer))
        return;
    if (answer->err == ERR_CONNECTION_LOSS && seat->held) {
        seat->resigning = false;
        seat_resign(seat, seat->reason);
        return;
    }
    lost(seat, seat->reason);
    zk_watch_again(seat->watch);
}

void seat_resign(struct seat *seat, const char *reason)
{
    struct zk_op ops[] = { zk_op_check(ZK_CONTROLLER_EPOCH, seat->epoch_version),
                           zk_op_delete(ZK_CONTROLLER, ZK_ANY_VERSION) };

    if (!seat->held || seat->resigning)
        return;
    seat->resigning = true;
    seat->reason = reason;
    seat->out++;
    zk_multi(seat->zk, ops, ARRAY_LEN(ops), on_resigned, seat);
}

void seat_refuse(struct seat *seat, const char *reason, int64_t pause_ms)
{
    if (!seat->held)
        return;
    seat->refused_ms = pause_ms;
    seat_resign(seat, reason);
}

void seat_take_over(struct seat *seat, int32_t holder)
{
    if (seat->held || seat->standing || !seat->registered || holder < 0)
        return;
    seat->take_over = holder;
    stand(seat);
}

struct seat *seat_new(const struct seat_options *options, const struct seat_hooks *hooks, void *arg)
{
    struct seat *seat = xcalloc(1, sizeof *seat);
    const struct zk_session *session = zk_session(options->zk);

    seat->zk = options->zk;
    seat->reactor = options->reactor;
    seat->hooks = *hooks;
    seat->arg = arg;
    seat->id = options->controller_id;
    seat->host = xstrdup(options->host);
    seat->port = options->port;
    seat->pause_ms = options->pause_ms > 0 ? options->pause_ms : PAUSE_MS;
    seat->take_over = -1;
    seat->holder = (struct seat_holder){ .id = -1, .port = -1 };
    rand_seed_os(&seat->rand);
    reactor_timer_init(&seat->timer, on_timer);
    seat->listener.on_session = on_session;
    zk_listen(seat->zk, &seat->listener);
    if (session->state == ZK_CONNECTED)
        register_seat(seat);
    return seat;
}

void seat_free(struct seat **seat_ptr)
{
    struct seat *seat = *seat_ptr;

    *seat_ptr = NULL;
    if (seat == NULL)
        return;
    zk_unlisten(seat->zk, &seat->listener);
    zk_watch_stop(&seat->watch);
    reactor_timer_cancel(seat->reactor, &seat->timer);
    seat->freed = true;
    if (seat->out == 0)
        seat_end(seat);
}

bool seat_is_held(const struct seat *seat)
{
    return seat->held;
}

int32_t seat_epoch(const struct seat *seat)
{
    return seat->epoch;
}

int32_t seat_epoch_version(const struct seat *seat)
{
    return seat->epoch_version;
}

const struct seat_holder *seat_holder(const struct seat *seat)
{
    return &seat->holder;
}
