/*
 * Who is there. A broker is known by its registration in ZooKeeper and by its stream; it is
 *
 *   live      its stream is up, it has acknowledged the image sent at its hello, its beats come in
 * time unknown   registered, but we are new, its stream has just ended, or its beats are late: it
 * is probed and keeps what it has until the probe, or time, says more stopping  in controlled
 * shutdown: keeps its stream, loses what others can take over dead      refused (nobody listens
 * where it should), expired, or silent too long; also a new process until it has been told what it
 * is
 *
 *   hello of a new process -> LEAVE (what the earlier one led goes into a plan) -> WANT_IMAGE ->
 * IMAGE_SENT hello of a known one   ---------------------------------------------------->
 * WANT_IMAGE acknowledged -> LIVE.   stream ended, or beats late -> unknown -> refused, silent or
 * expired -> dead
 *
 * A registration that vanishes under a healthy stream is a hiccup of ZooKeeper until one more
 * session time-out has passed: everybody vanishing at once is usually oneself.
 *
 * Nobody leaves an ISR on the strength of what was heard of the others before: their beats may be a
 * time-out old, and a machine that lost power in the same moment would be left alone in the ISR,
 * without its tail. So whoever is found gone makes us publish a version, an empty one if need be,
 * and a member that stays has to acknowledge it first. That is one round trip of a broker that
 * lives.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

#define PROBE_EVERY_MS      40   /* while unknown: what one costs that a dying process accepted */
#define UNREGISTERED_MS     3000 /* longer than registering anew after an expiry takes */
#define MANY_WAITING        500  /* partitions: what fits into one multi waits for nobody else */
#define WORDS_MS            20   /* for the words of all others to come in, too */
#define PROBE_DEAD_EVERY_MS 1000 /* while silent, to learn that it is gone for certain */
#define PROBE_LOST_MS       5000 /* longer than one takes, unless its name cannot be looked up */

/* ---- the table
 * ------------------------------------------------------------------------------------ */

static size_t broker_find(const struct core *core, int32_t id)
{
    size_t low = 0, high = core->n_brokers;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (core->brokers[mid]->id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct broker *broker_get(const struct core *core, int32_t id)
{
    size_t i = broker_find(core, id);

    return i < core->n_brokers && core->brokers[i]->id == id ? core->brokers[i] : NULL;
}

struct broker *broker_of_stream(const struct core *core, uint64_t stream)
{
    for (size_t i = 0; i < core->n_brokers; i++) {
        if (core->brokers[i]->phase != STREAM_NONE && core->brokers[i]->stream == stream)
            return core->brokers[i];
    }
    return NULL;
}

static struct broker *broker_add(struct core *core, int32_t id)
{
    struct broker *b = broker_get(core, id);
    size_t i = broker_find(core, id);

    if (b != NULL)
        return b;
    b = xcalloc(1, sizeof *b);
    b->id = id;
    b->state = NODE_DEAD;
    b->certain = true;
    b->epoch = -1;
    b->first_probe = core->n_probes + 1;
    b->vanished_ms = b->fence_ms = b->probe_ms = b->gone_ms = NEVER_MS;
    array_reserve(&core->brokers, &core->cap_brokers, core->n_brokers, sizeof(core->brokers[0]));
    memmove(&core->brokers[i + 1], &core->brokers[i],
            (core->n_brokers - i) * sizeof(core->brokers[0]));
    core->brokers[i] = b;
    core->n_brokers++;
    return b;
}

void brokers_reset(struct core *core)
{
    for (size_t i = 0; i < core->n_brokers; i++) {
        free(core->brokers[i]->reg);
        free(core->brokers[i]);
    }
    free(core->brokers);
    core->brokers = NULL;
    core->n_brokers = core->cap_brokers = 0;
}

bool broker_is_live(const struct core *core, int32_t id)
{
    const struct broker *b = broker_get(core, id);

    return b != NULL && b->state == NODE_LIVE;
}

struct node broker_node(const struct broker *b)
{
    struct node node = { .id = b->id, .epoch = -1, .rack = STR_NULL };

    if (b->reg != NULL)
        node = *b->reg;
    if (b->epoch >= 0)
        node.epoch = b->epoch;
    node.incarnation = b->incarnation;
    /* clients are not told that a leader is dead before they can be told of the next one */
    node.state = b->state == NODE_DEAD && b->held ? NODE_UNKNOWN : b->state;
    return node;
}

static const char *state_name(enum node_state state)
{
    static const char *const names[] = { "live", "unknown", "dead", "stopping" };

    return names[state];
}

/* It is going to leave ISRs: those who stay have to give a word that is younger than this moment.
 */
void broker_leaves(struct core *core, struct broker *b)
{
    b->gone_version = core->version + 1;
    core->word_wanted = true;
}

static void is_to_go(struct core *core, struct broker *b)
{
    broker_leaves(core, b);
    b->gone_ms = core->now_ms;
    b->held = true; /* until the partitions have been looked at */
}

static void set_state(struct core *core, struct broker *b, enum node_state state, const char *why)
{
    if (b->state == state)
        return;
    core_say(core, state == NODE_DEAD || state == NODE_UNKNOWN ? CORE_SAY_WARN : CORE_SAY_INFO,
             "broker is %s, was %s broker=%d why=\"%s\"", state_name(state), state_name(b->state),
             b->id, why);
    b->state = state;
    core->scan = true;
    if (state == NODE_DEAD)
        is_to_go(core, b);
    else if (!b->stopping)
        b->gone_ms = NEVER_MS;
}

/* ---- probes, fences
 * ------------------------------------------------------------------------------- */

/* What clients are told may be the address of a proxy, or not reach from here: a refusal there says
 * nothing of a broker that others find elsewhere. Where that is not known, all have to refuse. */
static void ask_endpoints(struct core *core, const struct node *reg, struct core_probe *probe)
{
    const struct endpoint *from = node_inter_broker(reg);
    struct endpoint *to;

    probe->n = from != NULL ? 1 : reg->n_endpoints;
    if (from == NULL)
        from = reg->endpoints;
    probe->endpoints = to = arena_zalloc(&core->out->arena, probe->n, sizeof *to);
    for (size_t i = 0; i < probe->n; i++) {
        to[i].host = arena_str(&core->out->arena, from[i].host);
        to[i].port = from[i].port;
    }
}

/* One at a time: where a name takes long to look up, they would pile up behind it. */
static void probe(struct core *core, struct broker *b, int64_t again_ms)
{
    struct core_probe *asked;

    b->probe_ms = core->now_ms + again_ms;
    if (b->reg == NULL || b->reg->n_endpoints == 0)
        return;
    if (b->probe != 0 && core->now_ms < b->lost_ms)
        return;
    b->probe = ++core->n_probes;
    b->lost_ms = core->now_ms + PROBE_LOST_MS;
    asked = &emit(core, CORE_DO_PROBE)->probe;
    asked->broker = b->id;
    asked->probe = b->probe;
    ask_endpoints(core, b->reg, asked);
}

/* It has shown itself: what probes find that are out is of before. */
static void outlive_probes(struct core *core, struct broker *b)
{
    b->probe = 0;
    b->first_probe = core->n_probes + 1;
}

static void end_stream(struct core *core, struct broker *b, enum core_goodbye reason)
{
    if (b->phase == STREAM_NONE)
        return;
    emit(core, CORE_DO_END_STREAM)->end_stream =
        (struct core_end_stream){ .stream = b->stream, .reason = reason };
    isr_drop_stream(core, b->stream);
    b->phase = STREAM_NONE;
}

/* A new process on its way in is waited for by partitions, and may lead already. */
static bool is_on_its_way(const struct broker *b)
{
    return b->state == NODE_DEAD && b->phase >= STREAM_LEAVE;
}

/* It was, and its stream ends: from now on that is a death as any other. */
static void has_turned_back(struct core *core, struct broker *b)
{
    core_say(core, CORE_SAY_WARN, "broker went before it had applied its image broker=%d", b->id);
    b->fence_ms = NEVER_MS;
    core->scan = true;
    is_to_go(core, b);
}

static void fence(struct core *core, struct broker *b, bool certain, enum core_goodbye reason,
                  const char *why)
{
    if (is_on_its_way(b))
        has_turned_back(core, b);
    end_stream(core, b, reason);
    if (certain && !b->certain)
        core->scan = true;
    b->certain = b->certain || certain;
    b->stopping = false;
    b->fence_ms = b->vanished_ms = NEVER_MS;
    b->probe_ms = b->certain ? NEVER_MS : core->now_ms + PROBE_DEAD_EVERY_MS;
    set_state(core, b, NODE_DEAD, why);
}

/* From now on it must show itself by fence_ms. */
static void doubt(struct core *core, struct broker *b, int64_t wait_ms, const char *why)
{
    if (b->state == NODE_DEAD && !is_on_its_way(b))
        return;
    b->fence_ms = core->now_ms + wait_ms;
    if (b->state == NODE_DEAD)
        return;
    b->certain = false;
    if (b->state != NODE_UNKNOWN)
        outlive_probes(core, b);
    set_state(core, b, NODE_UNKNOWN, why);
    probe(core, b, PROBE_EVERY_MS);
}

void brokers_on_probed(struct core *core, const struct core_probed *probed)
{
    struct broker *b = broker_get(core, probed->broker);

    if (b == NULL)
        return;
    if (b->probe == probed->probe)
        b->probe = 0;
    /* also of one that was given up: nothing has been heard of the broker since it began */
    if (probed->probe < b->first_probe || probed->result != PROBE_REFUSED)
        return;
    /* Nobody has said hello to us yet: the fault may be ours. */
    if (!core->any_hello)
        return;
    if (b->state == NODE_UNKNOWN)
        fence(core, b, true, GOODBYE_FENCED, "its endpoint refuses connections");
    else if (b->state == NODE_DEAD && !b->certain && b->phase == STREAM_NONE)
        fence(core, b, true, GOODBYE_FENCED, "its endpoint refuses connections");
}

/* ---- registrations
 * --------------------------------------------------------------------------------- */

static void register_node(struct core *core, struct broker *b, const struct node *node)
{
    struct node *old = b->reg;

    (void)core;
    b->reg = node_dup(node);
    b->registered = true;
    free(old);
}

static bool stream_is_well(const struct broker *b)
{
    return b->phase == STREAM_IMAGE_SENT || b->phase == STREAM_LIVE ||
           b->phase == STREAM_WANT_IMAGE || b->phase == STREAM_LEAVE;
}

static void admit(struct core *core, struct broker *b);

static void on_registration_gone(struct core *core, struct broker *b)
{
    b->registered = false;
    if (b->reg == NULL && b->state == NODE_UNKNOWN)
        return; /* was not there when we took the seat: its moment is running */
    if (stream_is_well(b) && b->state != NODE_UNKNOWN) {
        if (b->vanished_ms == NEVER_MS) {
            b->vanished_ms = core->now_ms;
            core_say(core, CORE_SAY_WARN,
                     "registration is gone but the stream is well, waiting broker=%d", b->id);
        }
    } else if (b->phase != STREAM_CHECK) {
        fence(core, b, true, GOODBYE_NOT_REGISTERED, "its session has expired");
    }
}

void brokers_on_nodes(struct core *core, size_t n, const struct node *nodes)
{
    core->brokers_asked = false;
    for (size_t i = 0; i < core->n_brokers; i++)
        core->brokers[i]->registered = false;
    for (size_t i = 0; i < n; i++)
        register_node(core, broker_add(core, nodes[i].id), &nodes[i]);
    for (size_t i = 0; i < core->n_brokers; i++) {
        struct broker *b = core->brokers[i];

        if (!b->registered) {
            on_registration_gone(core, b);
        } else if (b->reg->epoch == b->epoch) {
            b->vanished_ms = NEVER_MS;
        }
        if (b->phase == STREAM_CHECK)
            admit(core, b);
    }
}

/* Who leads or is in sync but is not registered may have lost its session in the hiccup that also
 * cost the last controller its own: it gets a moment to come back before anything is decided
 * without it. */
static void await_unregistered(struct core *core, int32_t id)
{
    struct broker *b = id >= 0 ? broker_add(core, id) : NULL;
    int64_t wait_ms =
        core->settings.grace_ms < UNREGISTERED_MS ? core->settings.grace_ms : UNREGISTERED_MS;

    if (b == NULL || b->registered || b->state == NODE_UNKNOWN)
        return;
    b->state = NODE_UNKNOWN;
    b->certain = false;
    b->fence_ms = core->now_ms + wait_ms;
}

static void await_all_unregistered(struct core *core)
{
    struct image_cursor at = { 0 };
    const struct image_topic *topic;

    while ((topic = image_next_topic(core->image, &at)) != NULL) {
        for (int32_t i = 0; i < topic->n_parts; i++) {
            const struct image_part *part = image_topic_part(topic, i);

            if (part == NULL)
                continue;
            await_unregistered(core, part->leader);
            for (uint32_t k = 0; k < part->isr.n; k++)
                await_unregistered(core, part->isr.at[k]);
        }
    }
}

/* At a new seat everybody is unknown until heard of. After a second load only the lists are new,
 * and who is on a stream gets the whole image again: what changed meanwhile is in no delta. */
void brokers_load(struct core *core, size_t n, const struct node *nodes, bool again)
{
    brokers_on_nodes(core, n, nodes);
    for (size_t i = 0; i < core->n_brokers; i++) {
        struct broker *b = core->brokers[i];

        if (again) {
            b->image_wanted = b->phase >= STREAM_IMAGE_SENT;
        } else if (b->registered) {
            b->state = NODE_UNKNOWN;
            b->certain = false;
            b->fence_ms = core->now_ms + core->settings.grace_ms;
        }
    }
    if (!again)
        await_all_unregistered(core);
}

/* ---- hello
 * ------------------------------------------------------------------------------------------ */

static void probe_the_silent(struct core *core)
{
    for (size_t i = 0; i < core->n_brokers; i++) {
        struct broker *b = core->brokers[i];

        if (b->state == NODE_UNKNOWN && b->phase == STREAM_NONE && b->probe_ms == NEVER_MS)
            probe(core, b, PROBE_EVERY_MS);
    }
}

static bool is_stale(const struct broker *b, int64_t epoch)
{
    return b->registered && b->reg->epoch > epoch;
}

/* We have ended its stream ourselves, and there may be no next one. */
static void has_no_stream(struct core *core, struct broker *b)
{
    if (b->fence_ms == NEVER_MS)
        doubt(core, b, core->settings.heartbeat_timeout_ms, "its stream was replaced");
}

void brokers_on_hello(struct core *core, const struct core_hello *hello)
{
    if (hello->seen_controller_epoch > core->controller_epoch) {
        core_say(core, CORE_SAY_WARN,
                 "broker has met a younger controller, resigning broker=%d epoch=%d ours=%d",
                 hello->broker, hello->seen_controller_epoch, core->controller_epoch);
        emit(core, CORE_DO_END_STREAM)->end_stream =
            (struct core_end_stream){ .stream = hello->stream, .reason = GOODBYE_STALE_CONTROLLER };
        core->resigning = true;
        emit(core, CORE_DO_RESIGN)->resign.reason = "a broker has met a younger controller";
        return;
    }

    struct broker *b = broker_add(core, hello->broker);

    if (is_stale(b, hello->broker_epoch)) { /* an earlier life's: the stream that is there stays */
        emit(core, CORE_DO_END_STREAM)->end_stream =
            (struct core_end_stream){ .stream = hello->stream,
                                      .reason = GOODBYE_STALE_BROKER_EPOCH };
        return;
    }
    if (is_on_its_way(b))
        has_turned_back(core, b);
    end_stream(core, b, GOODBYE_REPLACED);
    b->phase = STREAM_CHECK;
    b->looked = b->leave_planned = b->image_wanted = false;
    b->acked_version = 0;
    b->stream = hello->stream;
    b->hello_epoch = hello->broker_epoch;
    b->hello_incarnation = hello->incarnation;
    b->fresh = hello->fresh;
    b->unclean = hello->unclean;
    b->hello_min_isr = hello->min_isr;
    admit(core, b);
    if (b->phase < STREAM_LEAVE)
        has_no_stream(core, b);
    if (b->phase != STREAM_NONE && !core->any_hello) {
        core->any_hello = true;
        probe_the_silent(core);
    }
}

/* The hello is held against the registration; in doubt that is read once more. */
static void admit(struct core *core, struct broker *b)
{
    bool known = b->registered && b->reg->epoch == b->hello_epoch;

    if (!known && is_stale(b, b->hello_epoch)) {
        end_stream(core, b, GOODBYE_STALE_BROKER_EPOCH);
        return;
    }
    if (!known && b->looked) {
        end_stream(core, b, GOODBYE_NOT_REGISTERED);
        return;
    }
    if (!known) {
        b->looked = true;
        if (!core->brokers_asked) {
            core->brokers_asked = true;
            core_reload(core, (struct core_reload){ .what = RELOAD_BROKERS });
        }
        return;
    }

    bool same = uuid_eq(b->incarnation, b->hello_incarnation);
    bool new_process = b->fresh || (!same && !uuid_is_zero(b->incarnation));

    b->epoch = b->hello_epoch;
    b->incarnation = b->hello_incarnation;
    b->min_isr = b->hello_min_isr;
    b->heard_ms = core->now_ms;
    b->vanished_ms = b->fence_ms = b->probe_ms = NEVER_MS;
    outlive_probes(core, b);
    if (new_process && !same) {
        b->stopping = false;
        parts_forget_dirs(core, b);
    }
    core_say(core, CORE_SAY_INFO, "broker said hello broker=%d epoch=%" PRId64 " new_process=%d",
             b->id, b->epoch, new_process);
    b->phase = new_process ? STREAM_LEAVE : STREAM_WANT_IMAGE;
    if (!new_process) {
        elr_on_hello(core);
    } else {
        /* not certain: what it led and nobody else can lead stays its own, in a new epoch */
        b->certain = false;
        b->state = NODE_DEAD;
        core->scan = true;
        is_to_go(core, b);
    }
}

void brokers_hold_back(struct core *core, struct ids ids)
{
    for (uint32_t i = 0; i < ids.n; i++) {
        struct broker *b = broker_get(core, ids.at[i]);

        if (b != NULL && b->phase == STREAM_LEAVE)
            b->leave_planned = false;
    }
}

void brokers_left(struct core *core)
{
    bool somebody = false;

    for (size_t i = 0; i < core->n_brokers; i++) {
        struct broker *b = core->brokers[i];

        /* a state that was not as known is read again first, and then the leave is tried again */
        if (b->phase == STREAM_LEAVE && b->leave_planned) {
            b->phase = STREAM_WANT_IMAGE;
            somebody = true;
        }
        b->leave_planned = false;
    }
    if (somebody)
        elr_on_hello(core); /* all that it leads has a new state: there should be nothing */
}

void brokers_send_images(struct core *core)
{
    bool wanted = false;

    for (size_t i = 0; i < core->n_brokers; i++)
        wanted |= core->brokers[i]->phase == STREAM_WANT_IMAGE || core->brokers[i]->image_wanted;
    if (!wanted || elr_bars_images(core))
        return;
    view_publish(core); /* what follows is the image with all that is known now */
    for (size_t i = 0; i < core->n_brokers; i++) {
        struct broker *b = core->brokers[i];

        if (b->phase != STREAM_WANT_IMAGE && !b->image_wanted)
            continue;
        if (b->phase != STREAM_LIVE)
            b->phase = STREAM_IMAGE_SENT;
        b->image_wanted = false;
        b->image_version = core->version;
        b->acked_version = 0;
        emit(core, CORE_DO_SEND_IMAGE)->send_image =
            (struct core_send_image){ .stream = b->stream, .image = core->image };
    }
}

/* ---- streams
 * ------------------------------------------------------------------------------------------ */

void brokers_on_stream_ended(struct core *core, uint64_t stream)
{
    struct broker *b = broker_of_stream(core, stream);

    if (b == NULL)
        return;
    if (b->state == NODE_DEAD) {
        if (is_on_its_way(b))
            has_turned_back(core, b);
        b->phase = STREAM_NONE;
        b->probe_ms = core->now_ms;
        return;
    }
    b->phase = STREAM_NONE;
    /* also without a registration: one that registers anew ends its stream to say so in a hello */
    doubt(core, b, core->settings.heartbeat_timeout_ms, "its stream has ended");
}

void brokers_on_heartbeat(struct core *core, const struct core_heartbeat *beat)
{
    struct broker *b = broker_get(core, beat->broker);

    if (b == NULL || b->phase == STREAM_NONE || !uuid_eq(b->incarnation, beat->incarnation))
        return;
    /* registered anew under the same incarnation: no bounce */
    if (beat->broker_epoch > b->epoch) {
        if (b->registered && b->reg->epoch == beat->broker_epoch) {
            b->epoch = beat->broker_epoch;
            b->vanished_ms = NEVER_MS;
            core_say(core, CORE_SAY_INFO, "broker has registered anew broker=%d epoch=%" PRId64,
                     b->id, b->epoch);
        } else if (!core->brokers_asked) {
            core->brokers_asked = true;
            core_reload(core, (struct core_reload){ .what = RELOAD_BROKERS });
        }
    }
    if (beat->stalled)
        return;
    b->heard_ms = core->now_ms;
    if (b->phase < STREAM_LEAVE)
        return; /* its next stream is what it has to show */
    b->fence_ms = b->probe_ms = NEVER_MS;
    if (b->state == NODE_UNKNOWN && b->phase == STREAM_LIVE)
        set_state(core, b, b->stopping ? NODE_STOPPING : NODE_LIVE, "its beats are back");
}

/* A word has come. Where many partitions wait, a moment is given to the other words: each look goes
 * over all partitions, and what it finds is one more WRITE that the rest must wait for. */
static void note_word(struct core *core)
{
    if (!core->waits_word)
        return;
    if (core->n_waiting <= MANY_WAITING || brokers_all_acked(core, core->word_version)) {
        core->scan = true;
        core->word_ms = NEVER_MS;
    } else if (core->word_ms == NEVER_MS) {
        core->word_ms = core->now_ms + WORDS_MS;
    }
}

void brokers_on_acked(struct core *core, const struct core_acked *acked)
{
    struct broker *b = broker_of_stream(core, acked->stream);

    if (b == NULL || acked->controller_epoch != core->controller_epoch)
        return;
    if (acked->version > b->acked_version) {
        b->acked_version = acked->version;
        note_word(core);
    }
    if (b->phase != STREAM_IMAGE_SENT || acked->version < b->image_version)
        return;
    b->phase = STREAM_LIVE;
    b->heard_ms = core->now_ms;
    b->fence_ms = b->probe_ms = NEVER_MS;
    b->certain = false;
    set_state(core, b, b->stopping ? NODE_STOPPING : NODE_LIVE, "it has applied its image");
}

void brokers_on_shutdown_wanted(struct core *core, const struct core_shutdown_wanted *wanted)
{
    struct broker *b = broker_of_stream(core, wanted->stream);
    struct wait_shutdown *wait;

    if (b == NULL || b->epoch != wanted->broker_epoch) {
        emit(core, CORE_DO_ANSWER_SHUTDOWN)->answer_shutdown = (struct core_answer_shutdown){
            .stream = wanted->stream, .number = wanted->number, .err = ERR_STALE_BROKER_EPOCH
        };
        return;
    }
    core->scan = true; /* its answer comes with the plan of that */
    if (!b->stopping)
        is_to_go(core, b);
    b->stopping = true;
    if (b->state == NODE_LIVE)
        set_state(core, b, NODE_STOPPING, "it asked to stop");
    wait = xcalloc(1, sizeof *wait);
    wait->stream = wanted->stream;
    wait->number = wanted->number;
    wait->broker = b->id;
    STAILQ_INSERT_TAIL(&core->shutdowns, wait, link);
}

/* ---- time
 * ------------------------------------------------------------------------------------------------
 */

/* From its admission on, whatever it is taken for until it has applied its image: that may take
 * long, but beats do not wait for it. */
static bool beats_are_due(const struct broker *b)
{
    return b->phase >= STREAM_LEAVE && b->fence_ms == NEVER_MS;
}

static void broker_on_time(struct core *core, struct broker *b)
{
    int64_t now = core->now_ms, timeout_ms = core->settings.heartbeat_timeout_ms;

    if (beats_are_due(b) && now - b->heard_ms >= timeout_ms)
        doubt(core, b, timeout_ms / 2, "its beats are missing");
    if (b->vanished_ms != NEVER_MS && now - b->vanished_ms >= core->settings.session_timeout_ms)
        fence(core, b, true, GOODBYE_NOT_REGISTERED, "it did not register again");
    /* who has neither a registration nor a stream has had its time to come back with both */
    if (b->fence_ms <= now)
        fence(core, b, !b->registered, GOODBYE_FENCED, "it was silent too long");
    if (b->probe_ms <= now) {
        if (b->phase != STREAM_NONE && b->state == NODE_DEAD)
            b->probe_ms = NEVER_MS; /* it is on its way in */
        else
            probe(core, b, b->state == NODE_DEAD ? PROBE_DEAD_EVERY_MS : PROBE_EVERY_MS);
    }
}

void brokers_on_time(struct core *core)
{
    if (core->word_ms <= core->now_ms) {
        core->word_ms = NEVER_MS;
        core->scan = true;
    }
    for (size_t i = 0; i < core->n_brokers; i++)
        broker_on_time(core, core->brokers[i]);
}

static void earlier(int64_t *at, int64_t than)
{
    if (than < *at)
        *at = than;
}

int64_t brokers_next_ms(const struct core *core)
{
    int64_t at = core->word_ms;

    for (size_t i = 0; i < core->n_brokers; i++) {
        const struct broker *b = core->brokers[i];

        if (beats_are_due(b))
            earlier(&at, b->heard_ms + core->settings.heartbeat_timeout_ms);
        if (b->vanished_ms != NEVER_MS)
            earlier(&at, b->vanished_ms + core->settings.session_timeout_ms);
        earlier(&at, b->fence_ms);
        earlier(&at, b->probe_ms);
    }
    return at;
}

/* ---- questions
 * ------------------------------------------------------------------------------------------- */

bool brokers_settled(const struct core *core)
{
    for (size_t i = 0; i < core->n_brokers; i++) {
        const struct broker *b = core->brokers[i];

        if (b->state == NODE_UNKNOWN || (b->phase != STREAM_NONE && b->phase != STREAM_LIVE))
            return false;
    }
    return true;
}

bool brokers_all_acked(const struct core *core, uint64_t version)
{
    for (size_t i = 0; i < core->n_brokers; i++) {
        const struct broker *b = core->brokers[i];

        if ((b->state == NODE_LIVE || b->state == NODE_STOPPING) && b->acked_version < version)
            return false;
    }
    return true;
}

bool brokers_any_acked(const struct core *core, uint64_t version)
{
    for (size_t i = 0; i < core->n_brokers; i++) {
        if (core->brokers[i]->acked_version >= version)
            return true;
    }
    return false;
}

/* The version that tells who has lived after all those were known to go that next leaves out. */
static uint64_t word_needed(const struct core *core, const struct image_part *part,
                            const struct leader_isr *next)
{
    uint64_t version = 0;

    for (uint32_t i = 0; i < part->isr.n; i++) {
        const struct broker *b = broker_get(core, part->isr.at[i]);

        if (b == NULL || ids_has(next->isr, b->id))
            continue;
        /* whose copy is not whole takes nothing away */
        if (b->phase == STREAM_LEAVE && b->unclean)
            continue;
        if (b->gone_version > version)
            version = b->gone_version;
    }
    return version;
}

bool brokers_have_word(struct core *core, const struct image_part *part,
                       const struct leader_isr *next)
{
    uint64_t version = word_needed(core, part, next);

    if (version == 0)
        return true;
    for (uint32_t i = 0; i < next->isr.n; i++) {
        const struct broker *b = broker_get(core, next->isr.at[i]);

        if (b != NULL && b->acked_version >= version)
            return true;
    }
    core->waits_word = true;
    core->n_waiting++;
    if (version > core->word_version)
        core->word_version = version;
    for (uint32_t i = 0; i < part->isr.n; i++) {
        struct broker *b = broker_get(core, part->isr.at[i]);

        if (b == NULL || ids_has(next->isr, b->id))
            continue;
        b->held = b->state == NODE_DEAD;
        b->waits_word = true;
        b->leave_planned = false; /* what it led before is not taken from it yet */
    }
    return false;
}

/* Somebody lives who does not want to stop: the cluster is not being stopped as a whole. */
static bool somebody_stays(const struct core *core)
{
    for (size_t i = 0; i < core->n_brokers; i++) {
        const struct broker *b = core->brokers[i];

        if (!b->stopping && (b->state == NODE_LIVE || b->state == NODE_UNKNOWN))
            return true;
    }
    return false;
}

int32_t broker_still_led(const struct core *core, int32_t id)
{
    struct image_cursor at = { 0 };
    const struct image_topic *topic;
    int32_t n = 0;

    if (!somebody_stays(core))
        return 0; /* waiting would help nobody */
    while ((topic = image_next_topic(core->image, &at)) != NULL) {
        for (int32_t i = 0; i < topic->n_parts; i++) {
            const struct image_part *part = image_topic_part(topic, i);

            n += part != NULL && part->leader == id && part->replicas.n > 1;
        }
    }
    return n;
}
