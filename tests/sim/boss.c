/*
 * A controller's process: seat, watching and streams around the real core, in the order of
 * controller/shell. It registers in every session, stands when nobody holds the seat, and
 * loads when it has won. What was asked under an earlier term is not told to the core.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/sim/boss_int.h"

static void stand(struct world *w, struct boss *boss);

struct endpoint boss_endpoints[SIM_BROKERS] = {
    { { "PLAINTEXT", 9 }, { "PLAINTEXT", 9 }, { "b1", 2 }, 9001, true },
    { { "PLAINTEXT", 9 }, { "PLAINTEXT", 9 }, { "b2", 2 }, 9002, true },
    { { "PLAINTEXT", 9 }, { "PLAINTEXT", 9 }, { "b3", 2 }, 9003, true },
    { { "PLAINTEXT", 9 }, { "PLAINTEXT", 9 }, { "b4", 2 }, 9004, true },
    { { "PLAINTEXT", 9 }, { "PLAINTEXT", 9 }, { "b5", 2 }, 9005, true },
    { { "PLAINTEXT", 9 }, { "PLAINTEXT", 9 }, { "b6", 2 }, 9006, true },
    { { "PLAINTEXT", 9 }, { "PLAINTEXT", 9 }, { "b7", 2 }, 9007, true },
};

/* ---- the seat ---- */

static void lose_seat(struct world *w, struct boss *boss, const char *why)
{
    struct boss_stream *s, *next;

    if (!boss->held)
        return;
    TRACE(w, "%s loses its seat: %s", node_name(boss->node), why);
    boss->held = false;
    boss->term++;
    boss->writer.busy = false;
    boss_step(w, boss, &(struct core_event){ .kind = CORE_RESIGNED });
    admin_forget(boss);
    for (s = boss->streams; s != NULL; s = next) {
        next = s->next;
        conn_close(w, s->conn, 1);
        conn_unref(&s->conn);
        free(s);
    }
    boss->streams = NULL;
}

static void take_seat(struct world *w, struct zreq *req)
{
    struct zoo *zoo = w->zoo;
    int i = (int)req->a;

    zoo->epoch++;
    zoo->epoch_version++;
    oracle_seat(&w->oracle, zoo->epoch);
    TRACE(w, "%s takes the seat in epoch %d", node_name(NODE_BOSS + i), zoo->epoch);
    zoo_set_holder(w, i, (uint64_t)req->b);
}

static void exec_stand(struct world *w, struct zreq *req)
{
    if (w->zoo->holder < 0 && w->zoo->seats[req->a] == (uint64_t)req->b)
        take_seat(w, req);
}

static void exec_take_over(struct world *w, struct zreq *req)
{
    int holder = w->zoo->holder;

    if (holder != (int)req->a && (holder < 0 || w->zoo->seats[holder] != 0) &&
        w->zoo->seats[req->a] == (uint64_t)req->b)
        take_seat(w, req);
}

static void run_stand(struct world *w, struct event *ev)
{
    stand(w, &w->bosses[ev->node - NODE_BOSS]);
}

static void done_stand(struct world *w, struct zreq *req, enum err err)
{
    struct boss *boss = &w->bosses[req->a];

    boss->standing = false;
    if (err != ERR_OK) {
        if (err == ERR_CONNECTION_LOSS)
            world_at(w, 50000, boss->node, run_stand);
        return;
    }
    /* ours whoever asked: an attempt whose answer was lost counts too */
    if (boss->held || w->zoo->holder != (int)req->a || w->zoo->holder_session != (uint64_t)req->b)
        return;
    boss->held = true;
    boss->watching = true;
    boss->term++;
    boss->writer = (struct writer){ .busy = false };
    boss->told = NULL;
    boss->epoch = w->zoo->epoch;
    boss->epoch_version = w->zoo->epoch_version;
    boss_load(w, boss);
}

static void stand(struct world *w, struct boss *boss)
{
    struct zreq *req;

    if (boss->held || boss->standing || !boss->listed || !w->procs[boss->node].zk.connected)
        return;
    boss->standing = true;
    req = zoo_call(w, boss->node, exec_stand, done_stand);
    req->a = boss->node - NODE_BOSS;
    req->b = (int64_t)w->procs[boss->node].zk.session;
}

void boss_take_over(struct world *w, int i)
{
    struct boss *boss = &w->bosses[i];
    struct zreq *req;

    if (!w->procs[boss->node].running || boss->held || boss->standing || !boss->listed ||
        !w->procs[boss->node].zk.connected)
        return;
    boss->standing = true;
    req = zoo_call(w, boss->node, exec_take_over, done_stand);
    req->a = i;
    req->b = (int64_t)w->procs[boss->node].zk.session;
}

static void run_take_over(struct world *w, struct event *ev)
{
    if (!w->procs[NODE_BOSS + ev->a].running && w->procs[NODE_BOSS + ev->a].machine_up)
        boss_take_over(w, ev->node - NODE_BOSS);
}

void boss_on_seat(struct world *w, int i)
{
    struct boss *boss = &w->bosses[i];

    if (!w->procs[boss->node].zk.connected)
        return;
    if (boss->held && (w->zoo->holder != i || w->zoo->epoch_version != boss->epoch_version))
        lose_seat(w, boss, "somebody else has it");
    if (w->zoo->holder < 0)
        world_at(w, world_between(w, 0, 5000), boss->node, run_stand);
}

static void exec_list(struct world *w, struct zreq *req)
{
    if (w->zoo->seats[req->a] == 0) /* else: of a process before, until its session ends */
        w->zoo->seats[req->a] = (uint64_t)req->b;
}

static void enlist(struct world *w, struct boss *boss);

static void run_enlist(struct world *w, struct event *ev)
{
    enlist(w, &w->bosses[ev->node - NODE_BOSS]);
}

static void done_list(struct world *w, struct zreq *req, enum err err)
{
    struct boss *boss = &w->bosses[req->a];

    if (err == ERR_SESSION_EXPIRED)
        return;
    if (err != ERR_OK || w->zoo->seats[req->a] != (uint64_t)req->b) {
        world_at(w, 50000, boss->node, run_enlist);
        return;
    }
    boss->listed = true;
    stand(w, boss);
}

static void enlist(struct world *w, struct boss *boss)
{
    struct zreq *req = zoo_call(w, boss->node, exec_list, done_list);

    req->a = boss->node - NODE_BOSS;
    req->b = (int64_t)w->procs[boss->node].zk.session;
}

void boss_on_session(struct world *w, int i, bool is_new)
{
    struct boss *boss = &w->bosses[i];

    if (is_new) {
        lose_seat(w, boss, "its session has expired");
        boss->listed = boss->standing = false;
        enlist(w, boss);
        return;
    }
    boss_on_seat(w, i);
    if (boss->held)
        boss_on_regs(w, i);
    else if (!boss->listed)
        enlist(w, boss);
    else
        stand(w, boss); /* it may have won without hearing of it */
}

static void exec_resign(struct world *w, struct zreq *req)
{
    if (w->zoo->holder == (int)req->a && w->zoo->epoch_version == (int32_t)req->b)
        zoo_set_holder(w, -1, 0);
}

static void done_resign(struct world *w, struct zreq *req, enum err err)
{
    (void)err;
    world_at(w, 200000, w->bosses[req->a].node, run_stand);
}

static void run_resign(struct world *w, struct event *ev)
{
    struct boss *boss = &w->bosses[ev->node - NODE_BOSS];
    struct zreq *req;

    if (boss->term != (uint64_t)ev->a)
        return;
    req = zoo_call(w, boss->node, exec_resign, done_resign);
    req->a = ev->node - NODE_BOSS;
    req->b = boss->epoch_version;
    lose_seat(w, boss, "it resigned");
}

/* ---- streams ---- */

static struct boss_stream *stream_of(const struct boss *boss, uint64_t id)
{
    struct boss_stream *s = boss->streams;

    while (s != NULL && s->id != id)
        s = s->next;
    return s;
}

static void drop_stream(struct world *w, struct boss *boss, uint64_t id)
{
    struct boss_stream **at = &boss->streams, *s;

    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    s = *at;
    *at = s->next;
    conn_close(w, s->conn, 1);
    conn_unref(&s->conn);
    free(s);
}

void boss_on_stream_closed(struct world *w, struct conn *conn)
{
    struct boss *boss = &w->bosses[conn->node[1] - NODE_BOSS];
    uint64_t id = conn->id;

    if (stream_of(boss, id) == NULL)
        return;
    drop_stream(w, boss, id);
    boss_step(w, boss,
              &(struct core_event){ .kind = CORE_STREAM_ENDED, .stream_ended = { .stream = id } });
}

void boss_on_hello(struct world *w, struct event *ev)
{
    struct boss *boss = &w->bosses[ev->node - NODE_BOSS];
    struct hello_msg *msg = ev->ptr;
    struct core_event event = { .kind = CORE_HELLO, .hello = msg->hello };
    struct boss_stream *s = xcalloc(1, sizeof *s);

    s->id = ev->conn->id;
    s->conn = conn_ref(ev->conn);
    s->next = boss->streams;
    boss->streams = s;
    event.hello.stream = s->id;
    boss->acked[ev->conn->node[0]] = 0;
    if (core_is_active(boss->core))
        conn_send(w, s->conn, 1, bro_on_welcome)->a = boss->epoch;
    boss_step(w, boss, &event);
}

void boss_on_beat(struct world *w, struct event *ev)
{
    struct boss *boss = &w->bosses[ev->node - NODE_BOSS];
    struct core_event event = { .kind = CORE_HEARTBEAT,
                                .heartbeat = { .broker = (int32_t)ev->a,
                                               .broker_epoch = ev->b,
                                               .incarnation = *(struct uuid *)ev->ptr,
                                               .stalled = ev->c != 0 } };

    boss_step(w, boss, &event);
}

void boss_on_ack(struct world *w, struct event *ev)
{
    struct boss *boss = &w->bosses[ev->node - NODE_BOSS];
    struct boss_stream *s = stream_of(boss, ev->conn->id);
    struct ack_msg *msg = ev->ptr;
    struct core_event event = { .kind = CORE_ACKED, .acked = msg->acked };

    event.acked.stream = ev->conn->id;
    event.acked.failures = msg->failures;
    event.acked.deleted = msg->deleted;
    if (s == NULL)
        return;
    s->acked = true;
    if (event.acked.controller_epoch == boss->epoch &&
        event.acked.version > boss->acked[ev->conn->node[0]])
        boss->acked[ev->conn->node[0]] = event.acked.version;
    boss_step(w, boss, &event);
}

/* ---- rules broken in what comes in ---- */

static void break_alter(struct world *w, struct alter_msg *msg, int sender)
{
    const struct zoo_part *part = &w->zoo->tree.topic.parts[msg->proposal.partition];

    if (w->conf.mutation == MUTATION_PROPOSAL_ANY_LIFE) {
        msg->broker_epoch = w->zoo->regs[sender].czxid;
        for (size_t i = 0; i < msg->proposal.n_isr; i++)
            msg->members[i].broker_epoch = w->zoo->regs[msg->members[i].id - 1].czxid;
    }
    if (w->conf.mutation != MUTATION_MOVE_EARLY)
        return;
    for (uint32_t i = 0; i < part->n_adding && msg->proposal.n_isr < SIM_BROKERS; i++) {
        bool there = false;

        for (size_t k = 0; k < msg->proposal.n_isr; k++)
            there |= msg->members[k].id == part->adding[i];
        if (!there)
            msg->members[msg->proposal.n_isr++] =
                (struct core_member){ .id = part->adding[i],
                                      .broker_epoch = w->zoo->regs[part->adding[i] - 1].czxid };
    }
}

void boss_on_alter(struct world *w, struct event *ev)
{
    struct boss *boss = &w->bosses[ev->node - NODE_BOSS];
    struct alter_msg *msg = ev->ptr;

    break_alter(w, msg, ev->conn->node[0]);
    struct core_event event = { .kind = CORE_ALTER_PARTITION,
                                .alter_partition = { .stream = ev->conn->id,
                                                     .broker_epoch = msg->broker_epoch,
                                                     .n = 1,
                                                     .proposals = &msg->proposal } };

    if (stream_of(boss, ev->conn->id) != NULL)
        boss_step(w, boss, &event);
}

void boss_on_shutdown(struct world *w, struct event *ev)
{
    struct boss *boss = &w->bosses[ev->node - NODE_BOSS];
    struct core_event event = { .kind = CORE_SHUTDOWN_WANTED,
                                .shutdown_wanted = { .stream = ev->conn->id,
                                                     .number = (uint64_t)ev->a,
                                                     .broker_epoch = ev->b } };

    if (stream_of(boss, ev->conn->id) == NULL)
        return;
    if (w->conf.mutation == MUTATION_LET_GO_EARLY && core_is_active(boss->core)) {
        promise_relieved(w, boss, ev->conn->node[0]);
        conn_send(w, ev->conn, 1, bro_on_relieved)->a = ERR_OK;
    }
    boss_step(w, boss, &event);
}

void boss_on_dirs(struct world *w, struct event *ev)
{
    struct boss *boss = &w->bosses[ev->node - NODE_BOSS];
    const struct dirs_msg *msg = ev->ptr;
    struct core_event event = { .kind = CORE_DIR_FAILED,
                                .dir_failed = {
                                    .stream = ev->conn->id, .n = msg->n, .parts = msg->parts } };

    if (stream_of(boss, ev->conn->id) != NULL)
        boss_step(w, boss, &event);
}

/* ---- effects ---- */

static void drop_image(void *ptr)
{
    struct image *image = ptr;

    image_unref(&image);
}

static void run_assumed(struct world *w, struct event *ev)
{
    struct boss *boss = &w->bosses[ev->node - NODE_BOSS];
    struct core_event event = { .kind = CORE_ACKED,
                                .acked = { .stream = (uint64_t)ev->a,
                                           .controller_epoch = (int32_t)ev->b,
                                           .version = (uint64_t)ev->c } };

    if (stream_of(boss, (uint64_t)ev->a) != NULL)
        boss_step(w, boss, &event);
}

static void assume_acked(struct world *w, const struct boss *boss, const struct boss_stream *s,
                         const struct image_delta *delta)
{
    struct event *ev;

    if (w->conf.mutation != MUTATION_WORD_ASSUMED || !s->acked)
        return;
    ev = world_at(w, 0, boss->node, run_assumed);
    ev->a = (int64_t)s->id;
    ev->b = delta->controller_epoch;
    ev->c = (int64_t)delta->version;
}

static void send_delta(struct world *w, struct boss *boss, const struct core_send_delta *send)
{
    struct delta_msg *msg = delta_msg_new(send->delta);

    for (size_t i = 0; i < send->n_streams; i++) {
        struct boss_stream *s = stream_of(boss, send->streams[i]);

        if (s == NULL)
            continue;
        struct event *ev = conn_send(w, s->conn, 1, bro_on_delta);
        msg->refs++;
        ev->ptr = msg;
        ev->drop = delta_msg_drop;
        assume_acked(w, boss, s, send->delta);
    }
    delta_msg_drop(msg);
}

static void run_probed(struct world *w, struct event *ev)
{
    struct core_event event = { .kind = CORE_PROBED,
                                .probed = { .broker = (int32_t)ev->a,
                                            .probe = (uint64_t)ev->b,
                                            .result = (enum core_probe_result)ev->c } };

    boss_step(w, &w->bosses[ev->node - NODE_BOSS], &event);
}

static void run_probe(struct world *w, struct event *ev)
{
    int to = (int)ev->a - 1;
    bool near = link_is_up(w, ev->node, to) && link_is_up(w, to, ev->node);
    bool there = near && w->procs[to].machine_up;
    struct event *back = world_at(w, there ? world_delay_us(w) : 300000, ev->node, run_probed);

    back->a = ev->a;
    back->b = ev->b;
    back->c = !there ? PROBE_SILENT : w->procs[to].running ? PROBE_ANSWERED : PROBE_REFUSED;
}

static void run_tick(struct world *w, struct event *ev)
{
    struct boss *boss = &w->bosses[ev->node - NODE_BOSS];

    if (boss->alarm == (uint64_t)ev->a)
        boss_step(w, boss, &(struct core_event){ .kind = CORE_TICK });
}

static void send_answers(struct world *w, struct boss *boss, const struct core_answer_alter *answer)
{
    struct boss_stream *s = stream_of(boss, answer->stream);
    struct answers_msg *msg;

    if (s == NULL)
        return;
    msg = xcalloc(1, sizeof *msg);
    msg->n = answer->n < ARRAY_LEN(msg->answers) ? answer->n : ARRAY_LEN(msg->answers);
    memcpy(msg->answers, answer->answers, msg->n * sizeof msg->answers[0]);
    struct event *ev = conn_send(w, s->conn, 1, bro_on_answers);
    ev->ptr = msg;
    ev->drop = free;
}

static void carry_out(struct world *w, struct boss *boss, const struct core_effect *effect)
{
    struct boss_stream *s;
    struct event *ev;

    switch (effect->kind) {
    case CORE_DO_WRITE:
        boss_write_out(w, boss, &effect->write);
        break;
    case CORE_DO_RELOAD:
        boss_read_again(w, boss, &effect->reload);
        break;
    case CORE_DO_RESIGN:
        world_at(w, 0, boss->node, run_resign)->a = (int64_t)boss->term;
        break;
    case CORE_DO_SEND_IMAGE:
        if ((s = stream_of(boss, effect->send_image.stream)) == NULL)
            break;
        ev = conn_send(w, s->conn, 1, bro_on_image);
        ev->ptr = image_ref(effect->send_image.image);
        ev->drop = drop_image;
        break;
    case CORE_DO_SEND_DELTA:
        send_delta(w, boss, &effect->send_delta);
        break;
    case CORE_DO_ANSWER_ALTER:
        send_answers(w, boss, &effect->answer_alter);
        break;
    case CORE_DO_ANSWER_SHUTDOWN:
        if ((s = stream_of(boss, effect->answer_shutdown.stream)) == NULL)
            break;
        if (effect->answer_shutdown.err == ERR_OK && effect->answer_shutdown.still_led == 0)
            promise_relieved(w, boss, s->conn->node[0]);
        ev = conn_send(w, s->conn, 1, bro_on_relieved);
        ev->a = effect->answer_shutdown.err;
        ev->b = effect->answer_shutdown.still_led;
        break;
    case CORE_DO_END_STREAM:
        if ((s = stream_of(boss, effect->end_stream.stream)) == NULL)
            break;
        conn_send(w, s->conn, 1, bro_on_goodbye)->a = effect->end_stream.reason;
        drop_stream(w, boss, effect->end_stream.stream);
        break;
    case CORE_DO_PROBE:
        ev = world_at(w, world_delay_us(w), boss->node, run_probe);
        ev->a = effect->probe.broker;
        ev->b = (int64_t)effect->probe.probe;
        break;
    case CORE_DO_SAY:
        TRACE(w, "%s: %.*s", node_name(boss->node), STR_ARG(effect->say.text));
        break;
    case CORE_DO_WAKE_AT:
        boss->alarm++;
        if (effect->wake_at.at_ms > INT64_MAX / 2000)
            break;
        world_at(w, node_until_us(w, boss->node, effect->wake_at.at_ms), boss->node, run_tick)->a =
            (int64_t)boss->alarm;
        break;
    case CORE_DO_ANSWER_ADMIN:
        admin_answered(w, boss, &effect->answer_admin);
        break;
    case CORE_DO_ANSWER_PID_BLOCK:
    case CORE_N_EFFECTS:
        break;
    }
}

/* Which processes it has admitted shows in its image. */
static void note_introduced(struct world *w, const struct boss *boss)
{
    const struct image *image = core_image(boss->core);

    for (int i = 0; image != NULL && i < w->conf.brokers; i++) {
        const struct node *node = image_node(image, i + 1);

        if (w->bros[i].introduced == 0 && w->procs[i].running && node != NULL &&
            uuid_eq(node->incarnation, w->bros[i].incarnation))
            w->bros[i].introduced = w->steps;
    }
}

/* A directory of it has failed, as this controller knows. */
static bool is_offline(const struct image *image, int32_t id)
{
    const struct image_topic *topic = image != NULL ? image_topic_named(image, SIM_TOPIC) : NULL;

    for (int p = 0; topic != NULL && p < topic->n_parts; p++)
        if (ids_has(image_topic_part(topic, p)->offline, id))
            return true;
    return false;
}

/* Since when it knows that a broker is gone, or lost a directory, by the world's clock. */
static void note_gone(struct world *w, struct boss *boss)
{
    for (int i = 0; i < w->conf.brokers; i++) {
        int64_t gone_ms = core_gone_ms(boss->core, i + 1);

        if (gone_ms != boss->gone_known[i]) {
            boss->gone_known[i] = gone_ms;
            boss->gone_ms[i] =
                gone_ms == INT64_MAX ? INT64_MAX : world_ms(w) - (node_ms(w, boss->node) - gone_ms);
        }
        if (gone_ms == INT64_MAX && !is_offline(core_image(boss->core), i + 1))
            boss->gone_ms[i] = INT64_MAX;
        else if (boss->gone_ms[i] == INT64_MAX)
            boss->gone_ms[i] = world_ms(w);
    }
}

/* ---- what it knew when it decided: for promise.c ---- */

/* A plan is made in every step, unless a WRITE is out or all is read again. */
static bool plans(const struct boss *boss, const struct core_event *ev)
{
    return (!boss->writer.busy || ev->kind == CORE_WRITE_DONE) && !boss->reloading;
}

static void note_versions(struct world *w, struct boss *boss)
{
    const struct image *image = core_image(boss->core);
    uint64_t version = image != NULL ? image_version(image) : 0;

    if (version < boss->version)
        boss->version = 0;
    if (boss->version == 0 || version - boss->version > SIM_VERSIONS)
        boss->version = version > SIM_VERSIONS ? version - SIM_VERSIONS : 0;
    while (boss->version < version)
        boss->published_ms[++boss->version % SIM_VERSIONS] = world_ms(w);
}

static void note_processes(struct world *w, struct boss *boss)
{
    const struct image *image = core_image(boss->core);

    for (int i = 0; i < w->conf.brokers; i++) {
        const struct node *node = image != NULL ? image_node(image, i + 1) : NULL;

        if (node != NULL && w->procs[i].running &&
            uuid_eq(node->incarnation, w->bros[i].incarnation))
            boss->born_ms[i] = w->bros[i].born_ms;
    }
}

/* The oldest version that can have been the question to which this broker's word, if it has given
 * one since the last plan, is the answer. A word that was there at the last plan, and was not acted
 * on, is old. */
static int64_t asked_ms(const struct world *w, const struct boss *boss, int i)
{
    uint64_t first = boss->acked_before[i] + 1;

    if (first > boss->version)
        return world_ms(w); /* none has been asked */
    return boss->version - first < SIM_VERSIONS ? boss->published_ms[first % SIM_VERSIONS] : 0;
}

void boss_note_decision(const struct world *w, const struct boss *boss, struct decision *out)
{
    *out = (struct decision){ .step = w->steps, .ms = world_ms(w) };
    memcpy(out->gone_ms, boss->gone_ms, sizeof out->gone_ms);
    memcpy(out->born_ms, boss->born_ms, sizeof out->born_ms);
    for (int i = 0; i < w->conf.brokers; i++)
        out->asked_ms[i] = asked_ms(w, boss, i);
}

/* The clock has jumped: who waits for a moment that has come is woken. */
void boss_on_jump(struct world *w, int i)
{
    struct boss *boss = &w->bosses[i];

    world_at(w, 0, boss->node, run_tick)->a = (int64_t)boss->alarm;
}

void boss_step(struct world *w, struct boss *boss, const struct core_event *ev)
{
    bool planned = plans(boss, ev);

    if (boss->core == NULL)
        return;
    core_step(boss->core, ev, node_ms(w, boss->node), &boss->effects);
    note_introduced(w, boss);
    note_gone(w, boss);
    note_processes(w, boss);
    note_versions(w, boss);
    for (size_t i = 0; i < boss->effects.n; i++)
        carry_out(w, boss, &boss->effects.at[i]);
    core_effects_reset(&boss->effects);
    if (planned)
        memcpy(boss->acked_before, boss->acked, sizeof boss->acked_before);
    boss_tell_standbys(w, boss);
}

/* ---- its life ---- */

void boss_init(struct world *w, int i)
{
    w->bosses[i].id = 3001 + i;
    w->bosses[i].node = NODE_BOSS + i;
}

void boss_start(struct world *w, int i)
{
    struct boss *boss = &w->bosses[i];
    struct core_settings settings;
    uint64_t term = boss->term;

    *boss = (struct boss){ .id = 3001 + i, .node = NODE_BOSS + i, .term = term + 1 };
    core_settings_init(&settings);
    settings.controller_id = boss->id;
    settings.heartbeat_timeout_ms = w->conf.heartbeat_ms;
    settings.session_timeout_ms = settings.grace_ms = w->conf.session_ms;
    settings.leader_imbalance_check_interval_ms = 7000;
    if (w->seed % 3 == 0)
        settings.together_max = 1; /* hardly anything fits into one request to ZooKeeper */
    boss->core = core_new(&settings, rand_u64(&w->rand));
    core_effects_init(&boss->effects);
    boss->standby = standby_new();
    for (int b = 0; b < SIM_BROKERS; b++)
        boss->gone_ms[b] = boss->gone_known[b] = boss->born_ms[b] = INT64_MAX;
}

void boss_end(struct world *w, int i)
{
    struct boss *boss = &w->bosses[i];
    struct boss_stream *s, *next;

    for (s = boss->streams; s != NULL; s = next) {
        next = s->next;
        conn_unref(&s->conn);
        free(s);
    }
    boss->streams = NULL;
    boss->held = false;
    core_free(&boss->core);
    admin_forget(boss);
    core_effects_fini(&boss->effects);
    standby_free(&boss->standby);
    /* standbys see its connections refused */
    for (int j = 0; j < w->conf.bosses; j++)
        if (j != i && w->procs[NODE_BOSS + j].running && link_is_up(w, NODE_BOSS + j, boss->node))
            world_at(w, world_between(w, 1000, 20000), NODE_BOSS + j, run_take_over)->a = i;
}
