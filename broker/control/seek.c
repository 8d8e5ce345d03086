/*
 * A list of controllers, one of which may be known to be active. An attempt goes to the active one
 * if it is known and was not just tried in vain, else to the next in the list. Between rounds there
 * is a pause that grows from PAUSE_MIN_MS to PAUSE_MAX_MS with chance in it. When a stream has
 * ended or ZooKeeper names another controller, one is about to take over, and every pause until it
 * has is a pause of the cluster: for HURRY_MS they stay short. What others say of who is active is
 * passed over when it is the one that has just ended: they learn of it no sooner than we.
 *
 * A name whose look-up takes long is left for the next controller, too, and asked for again in its
 * turn: the look-up goes on, and its answer is there then.
 *
 * An answer of ZooKeeper's that is lost with its connection is asked for again: the session lives
 * on, no watch was left, and nobody would ever tell us who there is.
 */
#include "broker/control/seek.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/zk/zk_tree.h"

#define CONTROLLERS_MAX 16
#define PAUSE_MIN_MS    10
#define PAUSE_MAX_MS    250
#define PAUSE_HURRY_MS  20 /* the longest while a controller is taking over */
#define HURRY_MS        3000
#define CONNECT_MS      500  /* the pause and this are how late the end of a cut is noticed */
#define FIND_MS         500  /* the look-up of a name */
#define WELCOME_MS      2000 /* a hung controller is left for the next one */

struct candidate {
    int32_t id;
    bool listed; /* still in /controllers/ids as last read */
    char host[256];
    int32_t port;
};

struct seek {
    struct seek_conf conf;
    struct candidate candidates[CONTROLLERS_MAX];
    size_t candidates_len;
    size_t next;    /* of the round */
    int32_t active; /* id, -1 not known */
    int32_t tried; /* id of the present attempt, of which comes first the lookup, then the stream */
    int32_t gone;  /* id of who ended last, -1 nobody: not active, whoever says so */
    int64_t hurry_until_ms;
    struct lookup lookup; /* of its host */
    struct net_addr addr; /* of it */
    struct stream *stream;
    bool begun, up;
    bool greeted; /* the hello is out */
    struct reactor_timer retry;
    struct reactor_timer patience;
    int64_t pause_ms;
    struct rand rand;
};

/* A read of one controller's address: the id must outlive the call. */
struct read {
    struct seek *seek;
    int32_t id;
};

static void attempt(struct seek *seek);
static void drop(struct seek *seek);
static void look_for_seats(struct seek *seek);
static void look_for_holder(struct seek *seek);

static bool is_trying(const struct seek *seek)
{
    return seek->stream != NULL || lookup_is_under_way(&seek->lookup);
}

/* ---- who there is ---- */

static struct candidate *find(struct seek *seek, int32_t id)
{
    for (size_t i = 0; i < seek->candidates_len; i++)
        if (seek->candidates[i].id == id)
            return &seek->candidates[i];
    return NULL;
}

/* NULL: as many as there is room for are listed. */
static struct candidate *find_room(struct seek *seek)
{
    if (seek->candidates_len < CONTROLLERS_MAX)
        return &seek->candidates[seek->candidates_len++];
    for (size_t i = 0; i < CONTROLLERS_MAX; i++)
        if (!seek->candidates[i].listed)
            return &seek->candidates[i];
    return NULL;
}

static struct candidate *add(struct seek *seek, int32_t id)
{
    struct candidate *candidate = find(seek, id);

    if (candidate != NULL)
        return candidate;
    candidate = find_room(seek);
    if (candidate == NULL)
        return NULL;
    *candidate = (struct candidate){ .id = id };
    return candidate;
}

static void on_seat(void *arg, const struct zk_answer *answer)
{
    struct read *read = arg;
    struct seek *seek = read->seek;
    struct arena arena;
    struct zk_seat seat;

    if (answer->err == ERR_CONNECTION_LOSS) {
        zk_get(seek->conf.zk, answer->path.ptr, false, on_seat, read);
        return;
    }
    arena_init(&arena, SIZE_MAX);
    if (answer->err == ERR_OK && zk_parse_seat(&arena, answer->data, &seat) == ERR_OK &&
        seat.host.len < sizeof seek->candidates[0].host) {
        struct candidate *candidate = add(seek, read->id);

        if (candidate != NULL) {
            memcpy(candidate->host, seat.host.ptr, seat.host.len);
            candidate->host[seat.host.len] = '\0';
            candidate->port = seat.port;
            candidate->listed = true;
            attempt(seek);
        }
    }
    arena_fini(&arena);
    free(read);
}

static void on_seats(void *arg, const struct zk_answer *answer)
{
    struct seek *seek = arg;
    struct arena arena;

    if (answer->err == ERR_CONNECTION_LOSS)
        look_for_seats(seek);
    if (answer->err != ERR_OK)
        return; /* not there yet, or asked again, if need be with the next session */
    arena_init(&arena, SIZE_MAX);
    for (size_t i = 0; i < seek->candidates_len; i++)
        seek->candidates[i].listed = false;
    for (size_t i = 0; i < answer->n_children; i++) {
        int32_t id;

        if (!zk_leaf_id(answer->children[i], &id))
            continue;
        struct candidate *known = find(seek, id);
        if (known != NULL)
            known->listed = true;
        struct read *read = xmalloc(sizeof *read);
        *read = (struct read){ .seek = seek, .id = id };
        zk_get(seek->conf.zk, zk_path_seat(&arena, id), false, on_seat, read);
    }
    arena_fini(&arena);
}

static void on_seats_there(void *arg, const struct zk_answer *answer)
{
    struct seek *seek = arg;

    if (answer->err == ERR_OK)
        zk_children(seek->conf.zk, ZK_SEATS, true, on_seats, seek);
    else if (answer->err == ERR_CONNECTION_LOSS)
        look_for_seats(seek);
}

/* A controller that hangs keeps its streams open, and its kernel takes new ones: when another has
 * its seat, it is not waited for. */
static void go_to_holder(struct seek *seek)
{
    if (is_trying(seek) && seek->tried != seek->active) {
        if (seek->up)
            say_warn("another controller is active now, leaving the stream of controller=%d "
                     "active=%d",
                     seek->tried, seek->active);
        drop(seek);
    }
    if (!seek->up)
        attempt(seek);
}

static void hurry(struct seek *seek)
{
    seek->hurry_until_ms = reactor_now_ms(seek->conf.reactor) + HURRY_MS;
    seek->pause_ms = PAUSE_MIN_MS;
}

static void on_holder(void *arg, const struct zk_answer *answer)
{
    struct seek *seek = arg;
    struct arena arena;
    struct zk_holder holder;

    if (answer->err == ERR_NOT_FOUND) {
        seek->active = -1;
        return;
    }
    if (answer->err == ERR_CONNECTION_LOSS)
        look_for_holder(seek);
    if (answer->err != ERR_OK)
        return;
    arena_init(&arena, SIZE_MAX);
    if (zk_parse_holder(&arena, answer->data, &holder) == ERR_OK) {
        if (!seek->up || seek->tried != holder.id)
            hurry(seek);
        seek->active = holder.id;
        if (find(seek, holder.id) != NULL)
            go_to_holder(seek);
    }
    arena_fini(&arena);
}

static void on_holder_there(void *arg, const struct zk_answer *answer)
{
    struct seek *seek = arg;

    if (answer->err == ERR_OK)
        zk_get(seek->conf.zk, ZK_CONTROLLER, true, on_holder, seek);
    else if (answer->err == ERR_NOT_FOUND)
        seek->active = -1;
    else if (answer->err == ERR_CONNECTION_LOSS)
        look_for_holder(seek);
}

/* exists leaves a watch also where nothing is; reading then leaves one for the next change. */
static void look_for_seats(struct seek *seek)
{
    zk_exists(seek->conf.zk, ZK_SEATS, true, on_seats_there, seek);
}

static void look_for_holder(struct seek *seek)
{
    zk_exists(seek->conf.zk, ZK_CONTROLLER, true, on_holder_there, seek);
}

void seek_on_session(struct seek *seek)
{
    look_for_seats(seek);
    look_for_holder(seek);
}

void seek_on_node(struct seek *seek, struct str path)
{
    if (str_is(path, ZK_SEATS))
        look_for_seats(seek);
    else if (str_is(path, ZK_CONTROLLER))
        look_for_holder(seek);
}

/* ---- the stream ---- */

static void retry_later(struct seek *seek)
{
    bool in_hurry = reactor_now_ms(seek->conf.reactor) < seek->hurry_until_ms;
    int64_t most_ms = in_hurry ? PAUSE_HURRY_MS : PAUSE_MAX_MS;
    int64_t pause_ms = seek->pause_ms + (int64_t)rand_below(&seek->rand, (uint64_t)seek->pause_ms);

    seek->pause_ms = seek->pause_ms * 2 > most_ms ? most_ms : seek->pause_ms * 2;
    reactor_timer_set_ms(seek->conf.reactor, &seek->retry, pause_ms);
}

static void drop(struct seek *seek)
{
    bool was_up = seek->up;

    reactor_timer_cancel(seek->conf.reactor, &seek->patience);
    lookup_cancel(&seek->lookup);
    stream_close(&seek->stream);
    seek->up = false;
    seek->greeted = false;
    if (seek->active == seek->tried)
        seek->active = -1; /* until ZooKeeper or a standby says so again */
    if (was_up) {
        hurry(seek);
        seek->conf.on_down(seek->conf.ctx);
    }
}

static void on_end(void *ctx, enum stream_end reason)
{
    struct seek *seek = ctx;

    if (seek->up)
        say_warn("the stream to the controller ended controller=%d reason=%s", seek->tried,
                 stream_end_name(reason));
    seek->gone = seek->tried;
    drop(seek);
    if (reason == STREAM_REFUSED && seek->next < seek->candidates_len)
        attempt(seek); /* the rest of the round at once */
    else
        retry_later(seek);
}

static void on_open(void *ctx)
{
    struct seek *seek = ctx;
    Control__Hello hello = CONTROL__HELLO__INIT;
    Control__Frame frame = CONTROL__FRAME__INIT;

    if (!seek->conf.hello(seek->conf.ctx, &hello)) {
        drop(seek);
        retry_later(seek);
        return;
    }
    frame.hello = &hello;
    seek->greeted = true;
    stream_send(seek->stream, &frame);
}

static void on_goodbye(struct seek *seek, const Control__Goodbye *goodbye)
{
    int32_t reason = goodbye->has_reason ? (int32_t)goodbye->reason : 0;

    say_limited(SAY_INFO, "a controller said goodbye controller=%d reason=%d text=%s", seek->tried,
                reason, goodbye->text != NULL ? goodbye->text : "");
    drop(seek);
    if (reason == CONTROL__GOODBYE__REASON__NOT_ACTIVE && goodbye->has_active_id &&
        goodbye->active_id != seek->tried && goodbye->active_id != seek->gone &&
        find(seek, goodbye->active_id) != NULL) {
        seek->active = goodbye->active_id;
        if (seek->pause_ms <= PAUSE_MIN_MS * 2) {
            seek->pause_ms *= 2;
            attempt(seek);
            return;
        }
    }
    retry_later(seek);
}

static void on_frame(void *ctx, const Control__Frame *frame)
{
    struct seek *seek = ctx;

    if (frame->goodbye != NULL) {
        on_goodbye(seek, frame->goodbye);
        return;
    }
    if (!seek->up) {
        if (frame->welcome == NULL) {
            seek_restart(seek, "no welcome");
            return;
        }
        reactor_timer_cancel(seek->conf.reactor, &seek->patience);
        seek->up = true;
        seek->gone = -1;
        seek->pause_ms = PAUSE_MIN_MS;
        seek->active = seek->tried;
        say_info("on the stream of controller=%d epoch=%d", seek->tried,
                 frame->welcome->controller_epoch);
        seek->conf.on_up(seek->conf.ctx, frame->welcome);
        return;
    }
    seek->conf.on_frame(seek->conf.ctx, frame);
}

static const struct stream_handler handler = { .on_open = on_open,
                                               .on_frame = on_frame,
                                               .on_end = on_end };

static struct candidate *choose(struct seek *seek)
{
    struct candidate *active = seek->active >= 0 ? find(seek, seek->active) : NULL;

    if (active != NULL && active->listed)
        return active;
    if (seek->next >= seek->candidates_len)
        seek->next = 0; /* another round */
    while (seek->next < seek->candidates_len) {
        struct candidate *candidate = &seek->candidates[seek->next++];

        if (candidate->listed)
            return candidate;
    }
    return NULL;
}

static void no_address(struct seek *seek, const char *why)
{
    const struct candidate *candidate = find(seek, seek->tried);

    say_limited(SAY_WARN, "no address of a controller controller=%d host=%s why=\"%s\"",
                seek->tried, candidate != NULL ? candidate->host : "", why);
    drop(seek);
    retry_later(seek);
}

static void on_address(void *ctx, enum err err, const struct net_addr *addr)
{
    static const struct stream_conf conf = { .connect_timeout_ms = CONNECT_MS };
    struct seek *seek = ctx;

    if (err != ERR_OK) {
        no_address(seek, err_text(err));
        return;
    }
    seek->addr = *addr;
    seek->stream = stream_connect(seek->conf.reactor, &seek->addr, &conf, &handler, seek);
    reactor_timer_set_ms(seek->conf.reactor, &seek->patience, WELCOME_MS);
}

static void attempt(struct seek *seek)
{
    struct candidate *candidate;

    if (!seek->begun || is_trying(seek))
        return;
    reactor_timer_cancel(seek->conf.reactor, &seek->retry);
    candidate = choose(seek);
    if (candidate == NULL) {
        retry_later(seek);
        return;
    }
    seek->tried = candidate->id;
    reactor_timer_set_ms(seek->conf.reactor, &seek->patience, FIND_MS);
    lookup_find(&seek->lookup, candidate->host, candidate->port);
}

static void on_retry(struct reactor_timer *timer)
{
    attempt(container_of(timer, struct seek, retry));
}

static void on_patience(struct reactor_timer *timer)
{
    struct seek *seek = container_of(timer, struct seek, patience);

    if (lookup_is_under_way(&seek->lookup))
        no_address(seek, "the look-up takes long");
    else
        seek_restart(seek, "no answer to the hello");
}

struct seek *seek_new(const struct seek_conf *conf)
{
    struct seek *seek = xcalloc(1, sizeof *seek);

    seek->conf = *conf;
    seek->active = -1;
    seek->tried = -1;
    seek->gone = -1;
    seek->pause_ms = PAUSE_MIN_MS;
    rand_seed_os(&seek->rand);
    lookup_init(&seek->lookup, conf->resolver, conf->reactor, on_address, seek);
    reactor_timer_init(&seek->retry, on_retry);
    reactor_timer_init(&seek->patience, on_patience);
    return seek;
}

void seek_free(struct seek **seek_ptr)
{
    struct seek *seek = *seek_ptr;

    *seek_ptr = NULL;
    reactor_timer_cancel(seek->conf.reactor, &seek->retry);
    reactor_timer_cancel(seek->conf.reactor, &seek->patience);
    lookup_cancel(&seek->lookup);
    stream_close(&seek->stream);
    free(seek);
}

void seek_begin(struct seek *seek)
{
    seek->begun = true;
    if (!seek->up)
        attempt(seek);
}

bool seek_is_up(const struct seek *seek)
{
    return seek->up;
}

void seek_send(struct seek *seek, const Control__Frame *frame)
{
    if (seek->up)
        stream_send(seek->stream, frame);
}

void seek_restart(struct seek *seek, const char *why)
{
    say_limited(SAY_WARN, "leaving the stream of a controller controller=%d why=%s", seek->tried,
                why);
    drop(seek);
    retry_later(seek);
}

bool seek_addr(const struct seek *seek, struct net_addr *out)
{
    if (seek->up)
        *out = seek->addr;
    return seek->up;
}
