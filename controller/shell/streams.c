/*
 * A connection begins as a guest that may say one small frame, its hello. What it becomes is
 * decided in on_hello(): a broker's stream (numbered, known to the core), a line for heartbeats, a
 * standby's watch, or a goodbye. Nothing that a broker says is queued here: a frame is an event at
 * once, so a stream that has ended has nothing left behind.
 *
 * An image is packed once for all who are sent the same version. Brokers come back together, and
 * each that does makes a new version: so an image is owed until the end of the reactor's turn, or
 * until something else is to be sent on that stream, and deltas that come meanwhile are part of it.
 */
#include "controller/shell/streams.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>
#include <uthash.h>

#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/stream/stream.h"
#include "common/stream/stream_image.h"
#include "controller/shell/admins.h"
#include "controller/shell/packed.h"
#include "controller/shell/uplink.h"

#define GUESTS_MAX      1000 /* connections that have not said hello */
#define HELLO_BYTES_MAX (64 * 1024)
#define HELLO_MS        5000 /* to say hello in */
#define GOODBYE_MS      1000 /* to read a goodbye in */

enum role {
    ROLE_GUEST,   /* has not said hello */
    ROLE_WAITING, /* has; waits until everything is loaded */
    ROLE_BROKER,  /* known to the core by its number */
    ROLE_BEATS,   /* a broker's heartbeats */
    ROLE_WATCHER, /* a standby that wants to see when we are gone */
    ROLE_STANDBY, /* a standby that follows */
    ROLE_LEAVING, /* has been said goodbye */
};

struct conn {
    LIST_ENTRY(conn) link;
    UT_hash_handle hh; /* while a broker's */
    struct streams *streams;
    struct stream *stream;
    enum role role;
    bool is_owed; /* the newest image */
    uint64_t number;
    struct node node; /* of the hello: only id, epoch and incarnation */
    bool latched;     /* has acknowledged something with nothing left to load */
    struct core_hello hello;
    char *cluster_id; /* of a hello that waits */
    struct reactor_timer patience;
};

struct streams {
    struct streams_conf conf;
    struct net_listener *listener;
    LIST_HEAD(, conn) all;
    struct conn *brokers; /* by number */
    size_t count, guests, n_standbys;
    uint64_t last_number, refused;
    enum { STANDBY, LOADING, ACTIVE } state;
    int32_t controller_epoch;
    char *cluster_id;
    struct seat_holder holder; /* host is ours */
    struct admins *admins;
    struct packed packed;
    struct image *newest;     /* the one that is owed; NULL: none is */
    struct reactor_task debt; /* pays */
    struct image *image;      /* that standbys have, with all deltas since; NULL while not active */
    bool is_known;            /* the number of the Standing */
    uint64_t number;
    uint32_t cut_off_ms;       /* from ZooKeeper */
    struct reactor_task admit; /* hellos that have waited */
};

static const char *const goodbye_names[] = {
    [GOODBYE_NOT_ACTIVE] = "not active",
    [GOODBYE_OTHER_CLUSTER] = "another cluster",
    [GOODBYE_STALE_BROKER_EPOCH] = "the broker's registration is a newer one",
    [GOODBYE_NOT_REGISTERED] = "the broker is not registered in ZooKeeper",
    [GOODBYE_PROTOCOL] = "not the protocol spoken here",
    [GOODBYE_REPLACED] = "the broker has opened a newer stream",
    [GOODBYE_RESIGNED] = "this controller is not active any more",
    [GOODBYE_STALE_CONTROLLER] = "the broker has seen a newer controller",
    [GOODBYE_TOO_SLOW] = "the stream is read too slowly",
    [GOODBYE_FENCED] = "the broker is fenced",
};

/* ---- the end of a connection ----------------------------------------------------------------- */

static void forget(struct conn *conn)
{
    struct streams *streams = conn->streams;

    reactor_timer_cancel(streams->conf.reactor, &conn->patience);
    if (conn->role == ROLE_BROKER)
        HASH_DEL(streams->brokers, conn);
    if (conn->role == ROLE_GUEST)
        streams->guests--;
    if (conn->role == ROLE_STANDBY)
        streams->n_standbys--;
}

static void conn_free(struct conn *conn)
{
    forget(conn);
    LIST_REMOVE(conn, link);
    conn->streams->count--;
    stream_close(&conn->stream);
    free(conn->cluster_id);
    free(conn);
}

static void tell(struct streams *streams, const struct core_event *event)
{
    streams->conf.sink->on_event(streams->conf.sink->arg, event);
}

static void on_end(void *ctx, enum stream_end reason)
{
    struct conn *conn = ctx;
    struct streams *streams = conn->streams;
    struct core_event event = { .kind = CORE_STREAM_ENDED,
                                .stream_ended = { .stream = conn->number } };
    bool was_broker = conn->role == ROLE_BROKER;

    if (was_broker)
        say_info("stream of broker=%d ended reason=\"%s\" peer=%s", conn->node.id,
                 stream_end_name(reason), stream_peer(conn->stream));
    conn_free(conn);
    if (was_broker)
        tell(streams, &event);
}

/* What is queued goes out, then the connection ends. */
static void leave(struct conn *conn)
{
    forget(conn);
    conn->role = ROLE_LEAVING;
    stream_finish(conn->stream, GOODBYE_MS);
}

static void goodbye(struct conn *conn, enum core_goodbye reason, const char *text)
{
    struct streams *streams = conn->streams;
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Goodbye message = CONTROL__GOODBYE__INIT;

    message.has_reason = 1;
    message.reason = (Control__Goodbye__Reason)reason;
    message.text = (char *)(uintptr_t)(text != NULL ? text : goodbye_names[reason]);
    if (streams->state == STANDBY && streams->holder.id >= 0 &&
        streams->holder.id != streams->conf.controller_id) {
        message.has_active_id = 1;
        message.active_id = streams->holder.id;
        if (streams->holder.is_listed) {
            message.active_host = (char *)(uintptr_t)streams->holder.host.ptr;
            message.has_active_port = 1;
            message.active_port = streams->holder.port;
        }
    }
    frame.goodbye = &message;
    stream_send(conn->stream, &frame);
    leave(conn);
}

/* goodbye() to somebody who has no stream known to the core. */
static void refuse(struct conn *conn, enum core_goodbye reason, const char *text)
{
    conn->streams->refused++;
    say_limited(reason == GOODBYE_NOT_ACTIVE ? SAY_INFO : SAY_WARN,
                "refused a connection peer=%s broker=%d reason=\"%s\"", stream_peer(conn->stream),
                conn->node.id, text != NULL ? text : goodbye_names[reason]);
    goodbye(conn, reason, text);
}

static void on_patience(struct reactor_timer *timer)
{
    refuse(container_of(timer, struct conn, patience), GOODBYE_PROTOCOL, "no hello in time");
}

/* ---- hello ----------------------------------------------------------------------------------- */

static void welcome(struct conn *conn, Control__Status *status)
{
    struct streams *streams = conn->streams;
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Welcome message = CONTROL__WELCOME__INIT;
    static char software[] = "moldau " MOLDAU_VERSION;

    message.has_protocol = 1;
    message.protocol = STREAM_PROTOCOL;
    message.has_controller_id = 1;
    message.controller_id = streams->conf.controller_id;
    message.has_controller_epoch = 1;
    message.controller_epoch = streams->controller_epoch;
    message.has_heartbeat_interval_ms = 1;
    message.heartbeat_interval_ms = streams->conf.heartbeat_interval_ms;
    message.has_heartbeat_timeout_ms = 1;
    message.heartbeat_timeout_ms = streams->conf.heartbeat_timeout_ms;
    message.software = software;
    message.zookeeper = (char *)(uintptr_t)streams->conf.zookeeper_connect;
    message.status = status;
    frame.welcome = &message;
    stream_send(conn->stream, &frame);
}

/* Who is nobody of the cluster has one question and goes. */
static void answer_stranger(struct conn *conn, const Control__Hello *hello)
{
    const struct inquiry *inquiry = conn->streams->conf.inquiry;
    Control__Status status = CONTROL__STATUS__INIT;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    if (hello->has_wish && inquiry != NULL)
        inquiry->on_ask(inquiry->arg, hello->wish == CONTROL__HELLO__WISH__RESIGN, &arena, &status);
    welcome(conn, hello->has_wish && inquiry != NULL ? &status : NULL);
    arena_fini(&arena);
    leave(conn);
}

static void become(struct conn *conn, enum role role)
{
    forget(conn);
    conn->role = role;
    conn->streams->n_standbys += role == ROLE_STANDBY;
    stream_set_frame_max(conn->stream, STREAM_FRAME_BYTES_MAX);
}

/* ---- standbys -------------------------------------------------------------------------------- */

static void send_image(struct conn *conn, struct image *image);

static void say_standing(struct conn *conn)
{
    struct streams *streams = conn->streams;
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Standing standing = CONTROL__STANDING__INIT;

    standing.has_controller_epoch = standing.has_version = 1;
    standing.controller_epoch = streams->controller_epoch;
    standing.version = streams->image != NULL ? image_version(streams->image) : 0;
    standing.has_number = streams->image != NULL && streams->is_known;
    standing.number = streams->number;
    standing.has_cut_off_ms = streams->cut_off_ms > 0;
    standing.cut_off_ms = streams->cut_off_ms;
    frame.standing = &standing;
    stream_send(conn->stream, &frame);
}

static void welcome_standby(struct conn *conn, bool follows)
{
    become(conn, follows ? ROLE_STANDBY : ROLE_WATCHER);
    welcome(conn, NULL);
    if (follows && conn->streams->image != NULL)
        send_image(conn, conn->streams->image);
    if (follows)
        say_standing(conn);
}

void streams_cut_off(struct streams *streams, uint32_t since_ms)
{
    streams->cut_off_ms = since_ms;
}

void streams_standing(struct streams *streams, const struct image *image, bool is_known,
                      uint64_t number)
{
    struct conn *conn;

    image_unref(&streams->image);
    streams->image = image != NULL ? image_ref(image) : NULL;
    streams->is_known = is_known;
    streams->number = number;
    LIST_FOREACH (conn, &streams->all, link) {
        if (conn->role == ROLE_STANDBY)
            say_standing(conn);
    }
}

/* ---- brokers --------------------------------------------------------------------------------- */

/* The core may end the stream at once, so nothing is done with conn after this. */
static void admit(struct conn *conn)
{
    struct streams *streams = conn->streams;
    struct core_event event = { .kind = CORE_HELLO };

    become(conn, ROLE_BROKER);
    conn->number = ++streams->last_number;
    conn->hello.stream = conn->number;
    HASH_ADD(hh, streams->brokers, number, sizeof conn->number, conn);
    event.hello = conn->hello;
    say_info("stream opened broker=%d epoch=%" PRId64 " peer=%s", conn->node.id, conn->node.epoch,
             stream_peer(conn->stream));
    welcome(conn, NULL);
    tell(streams, &event);
}

/* False when it was refused. */
static bool read_hello(struct conn *conn, const Control__Hello *hello)
{
    struct streams *streams = conn->streams;
    struct node node;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);

    enum err err = stream_image_read_hello(hello, &arena, &node);

    arena_fini(&arena);
    if (err != ERR_OK || hello->cluster_id == NULL) {
        refuse(conn, GOODBYE_PROTOCOL, "a hello that makes no sense");
        return false;
    }
    conn->node =
        (struct node){ .id = node.id, .epoch = node.epoch, .incarnation = node.incarnation };
    if (streams->cluster_id != NULL && strcmp(hello->cluster_id, streams->cluster_id) != 0) {
        refuse(conn, GOODBYE_OTHER_CLUSTER, NULL);
        return false;
    }

    bool fresh = hello->has_fresh && hello->fresh;

    conn->hello = (struct core_hello){
        .broker = node.id,
        .broker_epoch = node.epoch,
        .incarnation = node.incarnation,
        .fresh = fresh,
        .unclean = fresh && !(hello->has_clean_stop && hello->clean_stop),
        .seen_controller_epoch = hello->has_controller_epoch ? hello->controller_epoch : -1,
        .min_isr = hello->has_min_insync_replicas ? hello->min_insync_replicas : 0,
    };
    return true;
}

static void on_hello(struct conn *conn, const Control__Hello *hello)
{
    struct streams *streams = conn->streams;

    if (!hello->has_protocol || hello->protocol != STREAM_PROTOCOL) {
        refuse(conn, GOODBYE_PROTOCOL, NULL);
    } else if (hello->has_asks_place && hello->asks_place) {
        answer_stranger(conn, hello);
    } else if (streams->state == STANDBY) {
        conn->node.id = hello->has_broker_id ? hello->broker_id : -1;
        refuse(conn, GOODBYE_NOT_ACTIVE, NULL);
    } else if (hello->has_controller_id) {
        welcome_standby(conn, hello->has_follows && hello->follows);
    } else if (!read_hello(conn, hello)) {
        return;
    } else if (hello->has_heartbeats && hello->heartbeats) {
        become(conn, ROLE_BEATS);
        welcome(conn, NULL);
    } else if (streams->state == LOADING) {
        become(conn, ROLE_WAITING);
        conn->cluster_id = xstrdup(hello->cluster_id);
    } else {
        admit(conn);
    }
}

static void on_admit(struct reactor_task *task)
{
    struct streams *streams = container_of(task, struct streams, admit);
    struct conn *conn, *next;

    for (conn = LIST_FIRST(&streams->all); conn != NULL && streams->state == ACTIVE; conn = next) {
        next = LIST_NEXT(conn, link); /* admitting closes nothing at once */
        if (conn->role != ROLE_WAITING)
            continue;
        if (strcmp(conn->cluster_id, streams->cluster_id) == 0)
            admit(conn);
        else
            refuse(conn, GOODBYE_OTHER_CLUSTER, NULL);
    }
}

/* ---- what brokers say ------------------------------------------------------------------------ */

static void refuse_admin(struct conn *conn, const Control__AdminRequest *request, enum err err)
{
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__AdminAnswer answer = CONTROL__ADMIN_ANSWER__INIT;

    say_limited(SAY_WARN, "refused an admin request broker=%d key=%d version=%d err=%s",
                conn->node.id, request->api_key, request->api_version, err_name(err));
    answer.has_number = 1;
    answer.number = request->number;
    answer.has_error = 1;
    answer.error = err_to_wire(err);
    frame.admin_answer = &answer;
    stream_send(conn->stream, &frame);
}

static enum err on_admin(struct conn *conn, const Control__AdminRequest *request)
{
    struct streams *streams = conn->streams;
    struct core_event event = { .kind = CORE_ADMIN };
    enum err err = admins_take(streams->admins, conn->number, request, &event.admin);

    if (err == ERR_OK)
        tell(streams, &event);
    else
        refuse_admin(conn, request, err);
    return ERR_OK;
}

static enum err on_ack(struct conn *conn, const Control__Ack *ack, struct arena *arena)
{
    struct core_event event = { .kind = CORE_ACKED };
    enum err err = uplink_ack(ack, conn->number, arena, &event.acked);

    if (err != ERR_OK)
        return err;
    /* Until the first time that nothing is left to load the broker is not live; from then on what
     * it still loads concerns the coordinators, not the version. */
    if (ack->has_loading && ack->loading && !conn->latched)
        event.acked.version = 0;
    else
        conn->latched = true;
    tell(conn->streams, &event);
    return ERR_OK;
}

static void answer_beat(struct conn *conn, const Control__Heartbeat *beat)
{
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__HeartbeatAnswer answer = CONTROL__HEARTBEAT_ANSWER__INIT;

    answer.has_number = beat->has_number;
    answer.number = beat->number;
    frame.heartbeat_answer = &answer;
    stream_send(conn->stream, &frame);
}

static enum err on_beat(struct conn *conn, const Control__Heartbeat *beat)
{
    struct core_event event = { .kind = CORE_HEARTBEAT };
    enum err err = uplink_heartbeat(beat, conn->node.id, &conn->node.incarnation, &event.heartbeat);

    if (err != ERR_OK)
        return err;
    answer_beat(conn, beat);
    tell(conn->streams, &event);
    return ERR_OK;
}

/* One frame is one event. Nothing is done with conn after telling. */
static enum err on_broker_frame(struct conn *conn, const Control__Frame *frame, struct arena *arena)
{
    struct core_event event;
    enum err err;

    if (frame->ack != NULL)
        return on_ack(conn, frame->ack, arena);
    if (frame->heartbeat != NULL)
        return on_beat(conn, frame->heartbeat);
    if (frame->admin_request != NULL)
        return on_admin(conn, frame->admin_request);
    if (frame->alter_partition != NULL) {
        event.kind = CORE_ALTER_PARTITION;
        err = uplink_alter(frame->alter_partition, conn->number, arena, &event.alter_partition);
    } else if (frame->shutdown_wanted != NULL) {
        event.kind = CORE_SHUTDOWN_WANTED;
        err = uplink_shutdown(frame->shutdown_wanted, conn->number, &event.shutdown_wanted);
    } else if (frame->pid_block_wanted != NULL) {
        event.kind = CORE_PID_BLOCK_WANTED;
        err = uplink_pid_block(frame->pid_block_wanted, conn->number, &event.pid_block_wanted);
    } else if (frame->dir_failed != NULL) {
        event.kind = CORE_DIR_FAILED;
        err = uplink_dir_failed(frame->dir_failed, conn->number, arena, &event.dir_failed);
    } else {
        return ERR_OK; /* of a newer protocol */
    }
    if (err == ERR_OK)
        tell(conn->streams, &event);
    return err;
}

static void refuse_frame(struct conn *conn)
{
    struct streams *streams = conn->streams;
    struct core_event event = { .kind = CORE_STREAM_ENDED,
                                .stream_ended = { .stream = conn->number } };
    bool was_broker = conn->role == ROLE_BROKER;

    refuse(conn, GOODBYE_PROTOCOL, "a message that makes no sense");
    if (was_broker)
        tell(streams, &event);
}

static void on_frame(void *ctx, const Control__Frame *frame)
{
    struct conn *conn = ctx;
    struct arena arena;
    enum err err = ERR_OK;

    switch (conn->role) {
    case ROLE_GUEST:
        if (frame->hello != NULL)
            on_hello(conn, frame->hello);
        else
            refuse(conn, GOODBYE_PROTOCOL, "no hello first");
        return;
    case ROLE_BEATS:
        if (frame->heartbeat != NULL)
            err = on_beat(conn, frame->heartbeat);
        if (err != ERR_OK)
            refuse_frame(conn);
        return;
    case ROLE_BROKER:
        arena_init(&arena, SIZE_MAX);
        err = on_broker_frame(conn, frame, &arena);
        arena_fini(&arena);
        if (err != ERR_OK)
            refuse_frame(conn);
        return;
    case ROLE_WAITING:
    case ROLE_WATCHER:
    case ROLE_STANDBY:
    case ROLE_LEAVING:
        return;
    }
}

static const struct stream_handler handler = { .on_frame = on_frame, .on_end = on_end };

static void on_accept(void *arg, const struct net_accepted *accepted)
{
    struct streams *streams = arg;

    if (accepted->fd < 0) {
        say_limited(SAY_ERROR, "cannot accept connections, trying again err=\"%s\"",
                    strerror(accepted->errnum));
        return;
    }
    if (streams->guests >= GUESTS_MAX) {
        char peer[NET_ADDR_TEXT];

        say_limited(SAY_WARN, "refused a connection, too many have not said hello peer=%s",
                    net_addr_print(&accepted->peer, peer));
        streams->refused++;
        close(accepted->fd);
        return;
    }

    struct stream_conf conf = { .frame_bytes_max = HELLO_BYTES_MAX,
                                .backlog_bytes_max = streams->conf.backlog_bytes_max };
    struct conn *conn = xcalloc(1, sizeof *conn);

    conn->streams = streams;
    conn->role = ROLE_GUEST;
    conn->node.id = -1;
    conn->stream = stream_accept(streams->conf.reactor, accepted->fd, &conf, &handler, conn);
    reactor_timer_init(&conn->patience, on_patience);
    reactor_timer_set_ms(streams->conf.reactor, &conn->patience, HELLO_MS);
    LIST_INSERT_HEAD(&streams->all, conn, link);
    streams->count++;
    streams->guests++;
}

/* ---- the seat -------------------------------------------------------------------------------- */

void streams_set_holder(struct streams *streams, const struct seat_holder *holder)
{
    free((char *)(uintptr_t)streams->holder.host.ptr);
    streams->holder = *holder;
    streams->holder.host = STR_NULL;
    if (!str_is_null(holder->host))
        streams->holder.host = str_of(xstrndup(holder->host.ptr, holder->host.len));
}

void streams_won(struct streams *streams, int32_t controller_epoch)
{
    streams->state = LOADING;
    streams->controller_epoch = controller_epoch;
    streams->is_known = false;
    streams->number = 0;
}

void streams_loaded(struct streams *streams, const struct image *image)
{
    struct str cluster_id = image_cluster_id(image);
    struct conn *conn;

    if (streams->state == STANDBY)
        return;
    free(streams->cluster_id);
    streams->cluster_id = xstrndup(cluster_id.ptr, cluster_id.len);
    streams->state = ACTIVE;
    image_unref(&streams->image);
    streams->image = image_ref(image);
    LIST_FOREACH (conn, &streams->all, link) {
        if (conn->role == ROLE_STANDBY)
            send_image(conn, streams->image);
    }
    if (!reactor_task_is_deferred(&streams->admit))
        reactor_defer(streams->conf.reactor, &streams->admit);
}

static void cancel_debt(struct streams *streams)
{
    struct conn *conn;

    LIST_FOREACH (conn, &streams->all, link)
        conn->is_owed = false;
    reactor_undefer(streams->conf.reactor, &streams->debt);
    image_unref(&streams->newest);
}

void streams_lost(struct streams *streams)
{
    struct conn *conn, *next;

    streams->state = STANDBY;
    packed_drop(&streams->packed);
    image_unref(&streams->image);
    cancel_debt(streams);
    admins_clear(streams->admins);
    reactor_undefer(streams->conf.reactor, &streams->admit);
    for (conn = LIST_FIRST(&streams->all); conn != NULL; conn = next) {
        next = LIST_NEXT(conn, link);
        if (conn->role != ROLE_GUEST && conn->role != ROLE_LEAVING)
            goodbye(conn, GOODBYE_RESIGNED, NULL);
    }
}

/* ---- the core's effects ---------------------------------------------------------------------- */

static struct conn *find(const struct streams *streams, uint64_t number)
{
    struct conn *conn;

    HASH_FIND(hh, streams->brokers, &number, sizeof number, conn);
    return conn;
}

static void send_image(struct conn *conn, struct image *image)
{
    struct streams *streams = conn->streams;
    size_t backlog_bytes_max = streams->conf.backlog_bytes_max;

    packed_send(&streams->packed, image, conn->stream,
                backlog_bytes_max > 0 ? backlog_bytes_max : STREAM_BACKLOG_BYTES_MAX);
}

static void pay(struct conn *conn)
{
    if (!conn->is_owed)
        return;
    conn->is_owed = false;
    send_image(conn, conn->streams->newest);
}

static void on_debt(struct reactor_task *task)
{
    struct streams *streams = container_of(task, struct streams, debt);
    struct conn *conn;

    LIST_FOREACH (conn, &streams->all, link)
        pay(conn);
    image_unref(&streams->newest);
}

static void owe(struct streams *streams, struct image *image)
{
    image_unref(&streams->newest);
    streams->newest = image_ref(image);
}

static void send_soon(struct streams *streams, uint64_t number)
{
    struct conn *conn = find(streams, number);

    if (conn == NULL)
        return;
    conn->is_owed = true;
    if (!reactor_task_is_deferred(&streams->debt))
        reactor_defer(streams->conf.reactor, &streams->debt);
}

void streams_send_image(struct streams *streams, const struct core_send_image *effect)
{
    if (find(streams, effect->stream) != NULL)
        owe(streams, effect->image);
    send_soon(streams, effect->stream);
}

/* To all who were to be sent a delta that no frame holds. */
static void send_instead(struct streams *streams, const struct core_send_delta *effect)
{
    struct conn *conn;

    assert(effect->image != NULL);
    owe(streams, effect->image);
    for (size_t i = 0; i < effect->n_streams; i++)
        send_soon(streams, effect->streams[i]);
    if (!reactor_task_is_deferred(&streams->debt))
        image_unref(&streams->newest); /* nobody was there */
    LIST_FOREACH (conn, &streams->all, link) {
        if (conn->role == ROLE_STANDBY)
            send_image(conn, effect->image);
    }
}

void streams_send_delta(struct streams *streams, const struct core_send_delta *effect)
{
    struct slice packed = SLICE_EMPTY;
    struct conn *conn;

    packed_drop(&streams->packed);
    if (streams->newest != NULL && effect->image != NULL)
        owe(streams, effect->image);
    if (effect->n_streams + streams->n_standbys == 0)
        return;
    if (!packed_delta(effect->delta, &packed)) {
        send_instead(streams, effect);
        return;
    }
    for (size_t i = 0; i < effect->n_streams; i++) {
        conn = find(streams, effect->streams[i]);
        if (conn != NULL && !conn->is_owed)
            stream_send_packed(conn->stream, &packed);
    }
    LIST_FOREACH (conn, &streams->all, link) {
        if (conn->role == ROLE_STANDBY)
            stream_send_packed(conn->stream, &packed);
    }
    slice_unref(&packed);
}

static void send_to(struct streams *streams, uint64_t number, const Control__Frame *frame)
{
    struct conn *conn = find(streams, number);

    if (conn == NULL)
        return;
    pay(conn);
    stream_send(conn->stream, frame);
}

void streams_answer_alter(struct streams *streams, const struct core_answer_alter *effect)
{
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__AlterPartitionAnswer answer = CONTROL__ALTER_PARTITION_ANSWER__INIT;
    Control__AlterPartitionAnswer__Item *items = xcalloc(effect->n + 1, sizeof *items);
    Control__AlterPartitionAnswer__Item **list = xcalloc(effect->n + 1, sizeof *list);

    for (size_t i = 0; i < effect->n; i++) {
        control__alter_partition_answer__item__init(&items[i]);
        items[i].has_topic_id = 1;
        items[i].topic_id = stream_image_write_uuid(&effect->answers[i].topic_id);
        items[i].has_partition = 1;
        items[i].partition = effect->answers[i].partition;
        items[i].has_proposal_id = 1;
        items[i].proposal_id = effect->answers[i].proposal_id;
        items[i].has_error = 1;
        items[i].error = err_to_wire(effect->answers[i].err);
        list[i] = &items[i];
    }
    answer.n_items = effect->n;
    answer.items = list;
    frame.alter_partition_answer = &answer;
    send_to(streams, effect->stream, &frame);
    free(list);
    free(items);
}

void streams_answer_shutdown(struct streams *streams, const struct core_answer_shutdown *effect)
{
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__ShutdownAnswer answer = CONTROL__SHUTDOWN_ANSWER__INIT;

    answer.has_number = answer.has_error = answer.has_still_led = 1;
    answer.number = effect->number;
    answer.error = err_to_wire(effect->err);
    answer.still_led = effect->still_led;
    frame.shutdown_answer = &answer;
    send_to(streams, effect->stream, &frame);
}

void streams_answer_pid_block(struct streams *streams, const struct core_answer_pid_block *effect)
{
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__PidBlockAnswer answer = CONTROL__PID_BLOCK_ANSWER__INIT;

    answer.has_number = answer.has_error = answer.has_first = answer.has_count = 1;
    answer.number = effect->number;
    answer.error = err_to_wire(effect->err);
    answer.first = effect->first;
    answer.count = effect->count;
    frame.pid_block_answer = &answer;
    send_to(streams, effect->stream, &frame);
}

void streams_answer_admin(struct streams *streams, const struct core_answer_admin *effect)
{
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__AdminAnswer answer = CONTROL__ADMIN_ANSWER__INIT;
    uint8_t *body;

    if (admins_answer(streams->admins, effect, &answer, &body) != ERR_OK)
        return;
    frame.admin_answer = &answer;
    send_to(streams, effect->stream, &frame);
    free(body);
}

void streams_end(struct streams *streams, const struct core_end_stream *effect)
{
    struct conn *conn = find(streams, effect->stream);

    assert(effect->reason < ARRAY_LEN(goodbye_names) && goodbye_names[effect->reason] != NULL);
    if (conn == NULL)
        return;
    streams->refused++;
    say_limited(effect->reason == GOODBYE_RESIGNED ? SAY_INFO : SAY_WARN,
                "ending a stream broker=%d peer=%s reason=\"%s\"", conn->node.id,
                stream_peer(conn->stream), goodbye_names[effect->reason]);
    goodbye(conn, effect->reason, NULL);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct streams *streams_new(const struct streams_conf *conf)
{
    struct streams *streams = xcalloc(1, sizeof *streams);

    streams->conf = *conf;
    streams->holder.id = -1;
    streams->holder.host = STR_NULL;
    streams->admins = admins_new();
    LIST_INIT(&streams->all);
    reactor_task_init(&streams->admit, on_admit);
    reactor_task_init(&streams->debt, on_debt);
    return streams;
}

enum err streams_listen(struct streams *streams, const struct net_addr *addr)
{
    return net_listen(streams->conf.reactor, addr, 0, on_accept, streams, &streams->listener);
}

int streams_port(const struct streams *streams)
{
    struct net_addr addr;

    net_listener_addr(streams->listener, &addr);
    return net_addr_port(&addr);
}

void streams_free(struct streams **streams_ptr)
{
    struct streams *streams = *streams_ptr;
    struct conn *conn;

    *streams_ptr = NULL;
    if (streams == NULL)
        return;
    if (streams->listener != NULL)
        net_listener_close(&streams->listener);
    while ((conn = LIST_FIRST(&streams->all)) != NULL)
        conn_free(conn);
    reactor_undefer(streams->conf.reactor, &streams->admit);
    cancel_debt(streams);
    image_unref(&streams->image);
    packed_fini(&streams->packed);
    admins_free(&streams->admins);
    free((char *)(uintptr_t)streams->holder.host.ptr);
    free(streams->cluster_id);
    free(streams);
}

void streams_counts(const struct streams *streams, struct streams_counts *out)
{
    *out = (struct streams_counts){ .connections = streams->count,
                                    .brokers = HASH_COUNT(streams->brokers),
                                    .standbys = streams->n_standbys,
                                    .admins = admins_count(streams->admins),
                                    .refused = streams->refused };
}
