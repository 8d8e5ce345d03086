/*
 * A broker's process on the control side, in the order of broker/control and broker/replica: it
 * registers, seeks the active controller, says hello, applies image and deltas (brokers first, then
 * roles), acknowledges, beats, proposes. What a partition's core asks for is seen to after its
 * step.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/sim/sim.h"

#define TICK_US        250000
#define BEAT_US        200000
#define RETRY_US       100000
#define PATIENCE_US    2000000
#define CONNECT_US     1000000
#define PAUSE_MIN_MS   10
#define PAUSE_MAX_MS   500
#define LEAVE_US       3000000

#define RETRY_ROLES_US 5000000
#define BOOT_NONE      UINT64_MAX
#define BOOT_UNCLEAN   (UINT64_MAX - 1) /* lost something, and nobody has been told yet */

static void attempt(struct world *w, struct bro *b);
static void enroll(struct world *w, struct bro *b);

/* ---- a partition's step ---- */

static void run_propose(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    struct alter_msg *msg = ev->ptr;

    if (!b->up)
        return; /* it goes again with the next stream */
    msg->broker_epoch = b->epoch;
    msg->proposal.isr = msg->members;
    TRACE(w, "%s proposes p%d n=%zu epoch=%d,%d", node_name(b->node), msg->proposal.partition,
          msg->proposal.n_isr, msg->proposal.leader_epoch, msg->proposal.partition_epoch);
    struct event *out = conn_send(w, b->stream, 0, boss_on_alter);
    out->ptr = msg;
    out->drop = free;
    ev->ptr = NULL;
}

static void propose(struct world *w, struct bro *b, int p, const struct part_proposal *from)
{
    struct alter_msg *msg = xcalloc(1, sizeof *msg);
    struct event *ev = world_at(w, world_between(w, 0, 500), b->node, run_propose);

    msg->proposal = (struct core_proposal){ .topic_id = w->gens[b->reps[p].gen],
                                            .partition = p,
                                            .proposal_id = from->id,
                                            .leader_epoch = from->leader_epoch,
                                            .partition_epoch = from->partition_epoch,
                                            .n_isr = (size_t)from->members_len };
    for (int32_t i = 0; i < from->members_len && i < SIM_BROKERS; i++)
        msg->members[i] = (struct core_member){ .id = from->members[i].id,
                                                .broker_epoch = from->members[i].broker_epoch };
    ev->ptr = msg;
    ev->drop = free;
}

/* Rules broken around the step; the core itself stays as it is. */
struct broken {
    int64_t hw, epoch_start;
    enum part_pending pending;
    bool joining;           /* HW_COMMITTED: who joins does not count */
    bool live[SIM_BROKERS]; /* of the others, then */
};

static void break_before(struct world *w, struct part_core *core, struct part_event *ev,
                         struct broken *kept)
{
    *kept = (struct broken){ .hw = core->hw,
                             .epoch_start = core->epoch_start,
                             .pending = core->pending };
    switch (w->conf.mutation) {
    case MUTATION_ISR_EARLY:
        if (ev->kind == PART_EV_FETCHED)
            core->hw = core->epoch_start = core->log_start;
        break;
    case MUTATION_HW_COMMITTED:
        kept->joining = core->pending == PART_EXPANDING &&
                        (ev->kind == PART_EV_FETCHED || ev->kind == PART_EV_APPENDED);
        if (kept->joining)
            core->pending = PART_SHRINKING;
        for (int32_t i = 0; kept->joining && i < core->others_len; i++) {
            kept->live[i] = core->others[i].live;
            core->others[i].live = false;
        }
        break;
    case MUTATION_PROPOSAL_DROPPED:
        if (ev->kind == PART_EV_TICK && core->pending != PART_SETTLED)
            core->pending = kept->pending = PART_SETTLED;
        break;
    case MUTATION_OLD_OBEYED:
        if (ev->kind == PART_EV_ROLE)
            core->leader_epoch = core->partition_epoch = -1;
        break;
    default:
        break;
    }
}

static void break_after(struct world *w, struct part_core *core, const struct part_event *ev,
                        const struct broken *kept, struct part_effects *fx)
{
    if (w->conf.mutation == MUTATION_ISR_EARLY && ev->kind == PART_EV_FETCHED) {
        core->epoch_start = kept->epoch_start;
        if (core->hw < kept->hw)
            core->hw = kept->hw;
    }
    for (int32_t i = 0; kept->joining && i < core->others_len; i++)
        core->others[i].live = kept->live[i];
    if (kept->joining)
        core->pending = PART_EXPANDING;
    if (w->conf.mutation == MUTATION_HW_ALONE && core->role == PART_LEADER &&
        core->hw < core->leo) {
        core->hw = core->leo;
        fx->hw_moved = true;
    }
}

static void note_role(struct world *w, struct bro *b, int p, const struct part_effects *fx)
{
    struct replica *rep = &b->reps[p];
    struct part_core *core = &rep->core;

    if (core->leader_epoch < rep->seen_epoch)
        world_fail(w, "3: %s went from leader epoch %d back to %d in partition %d",
                   node_name(b->node), rep->seen_epoch, core->leader_epoch, p);
    rep->seen_epoch = core->leader_epoch;
    if (fx->assign_epoch) {
        if (w->conf.mutation != MUTATION_EPOCH_STALE)
            disk_assign(&b->logs[p], core->leader_epoch, core->leo);
        promise_leads(w, b, p);
    }
    if (p == CROWD_PART)
        coord_on_role(w, b);
    if (fx->role_changed)
        TRACE(w, "%s p%d %s epoch=%d leader=%d leo=%lld hw=%lld", node_name(b->node), p,
              core->role == PART_LEADER     ? "leads"
              : core->role == PART_FOLLOWER ? "follows"
                                            : "is idle",
              core->leader_epoch, core->leader, (long long)core->leo, (long long)core->hw);
}

/* ---- flush.messages ---- */

/* Mostly some milliseconds; a disk may be busy with other things. */
int64_t bro_sync_us(struct world *w)
{
    return world_chance(w, 95) ? world_between(w, 100, 12000) : world_between(w, 12000, 1500000);
}

bool bro_sync(struct bro *b, int p, int gen)
{
    struct disk_log *log = &b->logs[p];

    if (log->gen != gen || b->bad_dir[log->dir])
        return false;
    disk_flush(log);
    return true;
}

static void run_sync(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    int p = (int)ev->a;

    if (!bro_sync(b, p, (int)ev->b) || !bro_serves(b, p))
        return;
    bro_step(w, b, p,
             &(struct part_event){
                 .kind = PART_EV_SYNCED,
                 .synced = { .leader_epoch = (int32_t)ev->c, .upto = b->logs[p].flushed } });
}

static void sync_leader(struct world *w, struct bro *b, int p)
{
    struct event *ev = world_at(w, bro_sync_us(w), b->node, run_sync);

    ev->a = p;
    ev->b = b->logs[p].gen;
    ev->c = b->reps[p].core.leader_epoch;
}

/* What the log says of an event to its core. */
static void note_unsynced(struct world *w, struct bro *b, int p, struct part_event *ev)
{
    enum mutation mutation = w->conf.mutation;

    if (!w->conf.flush || mutation == MUTATION_LEADER_UNSYNCED)
        return;
    if (ev->kind == PART_EV_APPENDED)
        ev->appended.flush_due = true;
    else if (ev->kind == PART_EV_ROLE && mutation != MUTATION_TAIL_UNSYNCED)
        ev->role.unsynced = b->logs[p].leo - b->logs[p].flushed;
}

struct part_effects bro_step(struct world *w, struct bro *b, int p, struct part_event *ev)
{
    struct part_core *core = &b->reps[p].core;
    struct part_effects fx;
    struct broken kept;
    int64_t hw = core->hw;

    note_unsynced(w, b, p, ev);
    break_before(w, core, ev, &kept);
    part_step(core, ev, node_ms(w, b->node), &fx);
    break_after(w, core, ev, &kept, &fx);
    if (ev->kind == PART_EV_ROLE && fx.refused == ERR_OK)
        note_role(w, b, p, &fx);
    if (fx.sync_tail || (ev->kind == PART_EV_APPENDED && ev->appended.flush_due))
        sync_leader(w, b, p);
    if (fx.hw_moved)
        promise_hw(w, b, p, hw);
    if (fx.role_changed)
        repl_wake_fetches(w, b);
    if (fx.hw_moved || fx.role_changed || fx.isr_changed)
        repl_wake_produces(w, b, p);
    if (fx.propose != NULL)
        propose(w, b, p, fx.propose);
    fx.propose = NULL;
    return fx;
}

static void step_all(struct world *w, struct bro *b, enum part_event_kind kind)
{
    for (int p = 0; p < SIM_PARTS; p++)
        if (bro_serves(b, p))
            bro_step(w, b, p, &(struct part_event){ .kind = kind });
}

void bro_acknowledge(struct world *w, struct bro *b, struct ack_msg *ack)
{
    struct event *ev;

    ack->acked.controller_epoch = b->apply_epoch;
    ack->acked.version = b->apply_version;
    if (b->stream == NULL) {
        free(ack);
        return;
    }
    ev = conn_send(w, b->stream, 0, boss_on_ack);
    ev->ptr = ack;
    ev->drop = free;
}

/* Takes the reference on image. */
static void take_over(struct world *w, struct bro *b, struct image *image,
                      const struct image_delta *delta)
{
    struct ack_msg *ack = xcalloc(1, sizeof *ack);

    roles_apply(w, b, image, delta, ack);
    b->fresh = false;
    if (b->unclean)
        b->boot_file = w->procs[b->node].boot; /* a controller has acted on it */
    bro_acknowledge(w, b, ack);
}

/* ---- the stream ---- */

static void run_attempt(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];

    if (b->seek == (uint64_t)ev->a)
        attempt(w, b);
}

static void retry_later(struct world *w, struct bro *b)
{
    int64_t pause_ms = b->pause_ms + world_between(w, 0, b->pause_ms - 1);

    b->pause_ms = b->pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : b->pause_ms * 2;
    world_at(w, pause_ms * 1000, b->node, run_attempt)->a = (int64_t)++b->seek;
}

static void drop_stream(struct world *w, struct bro *b)
{
    if (b->stream != NULL) {
        conn_close(w, b->stream, 0);
        conn_unref(&b->stream);
    }
    if (b->up)
        b->pause_ms = PAUSE_MIN_MS;
    b->up = b->seeking = false;
    b->seek++;
    b->patience++;
    if (b->active_hint == b->tried)
        b->active_hint = -1;
}

static void restart(struct world *w, struct bro *b, const char *why)
{
    TRACE(w, "%s leaves its stream: %s", node_name(b->node), why);
    drop_stream(w, b);
    retry_later(w, b);
}

static void run_patience(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];

    if (b->patience == (uint64_t)ev->a && !b->up)
        restart(w, b, "no answer to the hello");
}

static void say_hello(struct world *w, struct bro *b)
{
    struct hello_msg *msg = xcalloc(1, sizeof *msg);
    bool unclean = b->unclean && w->conf.mutation != MUTATION_UNCLEAN_HIDDEN;

    msg->hello = (struct core_hello){ .broker = b->id,
                                      .broker_epoch = b->epoch,
                                      .incarnation = b->incarnation,
                                      .fresh = b->fresh,
                                      .unclean = unclean,
                                      .min_isr = bro_min_isr(w),
                                      .seen_controller_epoch = b->apply_epoch };
    if (w->conf.mutation == MUTATION_OLD_OBEYED)
        msg->hello.seen_controller_epoch = -1;
    struct event *ev = conn_send(w, b->stream, 0, boss_on_hello);
    ev->ptr = msg;
    ev->drop = free;
}

static void run_connected(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    int to = NODE_BOSS + b->tried;

    if (b->seek != (uint64_t)ev->a || b->stream != NULL)
        return;
    if (!link_is_up(w, b->node, to) || !link_is_up(w, to, b->node) || !w->procs[to].machine_up) {
        if (ev->b == 0) { /* until the time is up */
            struct event *late = world_at(w, CONNECT_US, b->node, run_connected);
            late->a = ev->a;
            late->b = 1;
            return;
        }
        drop_stream(w, b);
        retry_later(w, b);
        return;
    }
    if (!w->procs[to].running) {
        drop_stream(w, b);
        if (b->next_boss < w->conf.bosses)
            attempt(w, b);
        else
            retry_later(w, b);
        return;
    }
    if (b->epoch < 0) {
        drop_stream(w, b);
        retry_later(w, b);
        return;
    }
    b->stream = conn_open(w, CONN_STREAM, b->node, to);
    conn_ref(b->stream);
    say_hello(w, b);
}

static void attempt(struct world *w, struct bro *b)
{
    if (b->stream != NULL || b->seeking || b->last_session == 0)
        return;
    b->tried = -1;
    if (b->active_hint >= 0 && w->zoo->seats[b->active_hint] != 0)
        b->tried = b->active_hint;
    while (b->tried < 0 && b->next_boss < w->conf.bosses) {
        if (w->zoo->seats[b->next_boss] != 0)
            b->tried = b->next_boss;
        b->next_boss++;
    }
    if (b->tried < 0) {
        b->next_boss = 0;
        retry_later(w, b);
        return;
    }
    b->seeking = true;
    world_at(w, 2 * world_delay_us(w), b->node, run_connected)->a = (int64_t)++b->seek;
    world_at(w, PATIENCE_US, b->node, run_patience)->a = (int64_t)++b->patience;
}

void bro_on_stream_closed(struct world *w, struct conn *conn)
{
    struct bro *b = &w->bros[conn->node[0]];

    if (b->stream == conn)
        restart(w, b, "it ended");
}

void bro_on_goodbye(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];

    if (b->stream != ev->conn)
        return;
    TRACE(w, "%s is told goodbye reason=%lld", node_name(b->node), (long long)ev->a);
    restart(w, b, "goodbye");
}

static void run_beat(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];

    if (!b->up || b->stream->id != (uint64_t)ev->a)
        return;
    if (link_is_up(w, b->node, b->stream->node[1])) {
        struct event *beat = world_at(w, world_delay_us(w), b->stream->node[1], boss_on_beat);

        beat->life = b->stream->life[1];
        beat->a = b->id;
        beat->b = b->epoch;
        beat->ptr = xmemdup(&b->incarnation, sizeof b->incarnation);
        beat->drop = free;
    }
    world_at(w, BEAT_US, b->node, run_beat)->a = ev->a;
}

void bro_on_welcome(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];

    if (b->stream != ev->conn)
        return;
    b->up = true;
    b->seeking = false;
    b->pause_ms = PAUSE_MIN_MS;
    b->next_boss = 0;
    b->active_hint = b->tried;
    b->expects_image = true;
    step_all(w, b, PART_EV_RESEND);
    world_at(w, BEAT_US / 2, b->node, run_beat)->a = (int64_t)b->stream->id;
}

void bro_on_image(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    struct image *image = ev->ptr;

    if (b->stream != ev->conn)
        return;
    if (image_controller_epoch(image) < b->apply_epoch && w->conf.mutation != MUTATION_OLD_OBEYED) {
        restart(w, b, "an image of an older controller");
        return;
    }
    b->expects_image = false;
    take_over(w, b, image_ref(image), NULL);
}

void bro_on_delta(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    const struct image_delta *delta = &((struct delta_msg *)ev->ptr)->delta;

    if (b->stream != ev->conn)
        return;
    if (b->expects_image || b->image == NULL)
        restart(w, b, "a delta before the image");
    else if (delta->controller_epoch < b->apply_epoch)
        TRACE(w, "%s drops a delta of an older controller", node_name(b->node));
    else if (delta->controller_epoch > b->apply_epoch || delta->version != b->apply_version + 1)
        restart(w, b, "a gap in the deltas");
    else
        take_over(w, b, image_apply(b->image, delta), delta);
}

void bro_on_answers(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    const struct answers_msg *msg = ev->ptr;

    if (b->stream != ev->conn)
        return;
    for (size_t i = 0; i < msg->n; i++) {
        int p = msg->answers[i].partition;

        if (msg->answers[i].err != ERR_OK)
            TRACE(w, "%s is refused its proposal of p%d err=%s", node_name(b->node), p,
                  err_name(msg->answers[i].err));
        if (bro_serves(b, p) && uuid_eq(w->gens[b->reps[p].gen], msg->answers[i].topic_id))
            bro_step(w, b, p,
                     &(struct part_event){ .kind = PART_EV_DECIDED,
                                           .decided = { .proposal_id = msg->answers[i].proposal_id,
                                                        .err = msg->answers[i].err } });
    }
}

void bro_on_seat(struct world *w, int i)
{
    struct bro *b = &w->bros[i];

    if (!w->procs[b->node].zk.connected)
        return;
    b->active_hint = w->zoo->holder;
    if (b->active_hint >= 0 && !b->up && !b->seeking)
        attempt(w, b);
}

/* ---- the registration ---- */

static void exec_enroll(struct world *w, struct zreq *req)
{
    struct zoo_reg *reg = &w->zoo->regs[req->a];

    if (reg->there && reg->session != (uint64_t)req->b) {
        if (reg->session != (uint64_t)req->c)
            return; /* another's: until that expires */
        reg->there = false;
    }
    if (reg->there)
        return; /* our own attempt whose answer was lost */
    *reg = (struct zoo_reg){ .there = true, .czxid = ++w->zoo->zxid, .session = (uint64_t)req->b };
    TRACE(w, "%s has made its node epoch=%lld", node_name((int)req->a), (long long)reg->czxid);
    zoo_reg_changed(w);
}

static void run_enroll(struct world *w, struct event *ev)
{
    enroll(w, &w->bros[ev->node]);
}

static void done_enroll(struct world *w, struct zreq *req, enum err err)
{
    struct bro *b = &w->bros[req->a];
    const struct zoo_reg *reg = &w->zoo->regs[req->a];

    b->enrolling = false;
    if (err == ERR_SESSION_EXPIRED)
        return;
    if (err != ERR_OK || !reg->there || reg->session != (uint64_t)req->b) {
        world_at(w, RETRY_US, b->node, run_enroll);
        return;
    }
    b->epoch = reg->czxid;
    b->saved_session = b->last_session = (uint64_t)req->b;
    TRACE(w, "%s is registered epoch=%lld", node_name(b->node), (long long)b->epoch);
    if (b->up)
        restart(w, b, "registered anew");
    attempt(w, b);
}

static void enroll(struct world *w, struct bro *b)
{
    struct zreq *req;

    if (b->enrolling || !w->procs[b->node].zk.connected)
        return;
    b->enrolling = true;
    req = zoo_call(w, b->node, exec_enroll, done_enroll);
    req->a = b->node;
    req->b = (int64_t)w->procs[b->node].zk.session;
    req->c = (int64_t)b->last_session;
}

void bro_on_session(struct world *w, int i, bool is_new)
{
    struct bro *b = &w->bros[i];

    if (is_new) {
        b->epoch = -1;
        b->enrolling = false;
    }
    if (b->epoch < 0)
        enroll(w, b);
    bro_on_seat(w, i);
}

/* ---- controlled shutdown ---- */

static void run_end_session(struct world *w, struct event *ev)
{
    zoo_expire(w, (uint64_t)ev->a);
}

static void run_start_again(struct world *w, struct event *ev)
{
    proc_start(w, (int)ev->a);
}

static void stop_now(struct world *w, struct bro *b)
{
    uint64_t session = w->procs[b->node].zk.session;

    b->clean_marker = true;
    for (int p = 0; p < SIM_PARTS; p++) {
        if (b->logs[p].gen < 0)
            continue;
        if (b->bad_dir[b->logs[p].dir]) {
            b->clean_marker = false;
            continue;
        }
        disk_flush(&b->logs[p]);
        b->logs[p].recovery_file = b->logs[p].flushed;
        if (bro_serves(b, p))
            b->logs[p].hw_file = b->reps[p].core.hw;
    }
    if (session != 0 && link_is_up(w, b->node, NODE_ZOO))
        world_at(w, world_delay_us(w), NODE_WORLD, run_end_session)->a = (int64_t)session;
    if (w->quiet)
        world_at(w, 100000, NODE_WORLD, run_start_again)->a = b->node;
    proc_kill(w, b->node);
}

void bro_on_relieved(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];

    if (b->leaving && ev->a == ERR_OK && ev->b == 0)
        stop_now(w, b);
}

static void run_leave_late(struct world *w, struct event *ev)
{
    stop_now(w, &w->bros[ev->node]);
}

void bro_stop(struct world *w, int i)
{
    struct bro *b = &w->bros[i];

    if (!w->procs[b->node].running || w->procs[b->node].paused || b->leaving)
        return;
    TRACE(w, "%s is told to stop", node_name(b->node));
    b->leaving = true;
    step_all(w, b, PART_EV_STOP);
    if (b->up)
        conn_send(w, b->stream, 0, boss_on_shutdown)->b = b->epoch;
    world_at(w, LEAVE_US, b->node, run_leave_late);
}

/* ---- a directory that fails ---- */

void bro_lose_dir(struct world *w, int i, int dir)
{
    struct bro *b = &w->bros[i];
    struct dirs_msg *msg;

    if (b->bad_dir[0] || b->bad_dir[1])
        return; /* with none left it would not run */
    b->bad_dir[dir] = true;
    if (!w->procs[i].running)
        return;
    msg = xcalloc(1, sizeof *msg);
    for (int p = 0; p < SIM_PARTS; p++) {
        if (!b->reps[p].open || b->logs[p].dir != dir)
            continue;
        b->reps[p].offline = true;
        if (p == CROWD_PART)
            coord_close(w, b, true);
        repl_unfollow(w, b, p);
        repl_wake_produces(w, b, p);
        msg->parts[msg->n++] = (struct core_failure){ .topic_id = w->gens[b->reps[p].gen],
                                                      .partition = p,
                                                      .err = ERR_KAFKA_STORAGE_ERROR };
    }
    if (!b->up || msg->n == 0) {
        free(msg); /* what acknowledges the next image says so */
        return;
    }
    struct event *ev = conn_send(w, b->stream, 0, boss_on_dirs);
    ev->ptr = msg;
    ev->drop = free;
}

void bro_replace_dir(struct world *w, int i, int dir)
{
    struct bro *b = &w->bros[i];

    for (int p = 0; p < SIM_PARTS; p++) {
        if (b->logs[p].gen < 0)
            continue;
        promise_loses_log(w, b, p); /* the hello has one flag for the whole broker */
        if (dir < 0 || b->logs[p].dir == dir)
            disk_begin(&b->logs[p], -1, 0);
    }
    for (int d = 0; d < SIM_DIRS; d++)
        if (dir < 0 || d == dir)
            b->bad_dir[d] = false;
    b->new_dir = true;
    b->clean_marker = false;
    if (dir > 0)
        return;
    b->boot_file = BOOT_NONE; /* our own files are in the first one */
    b->saved_session = 0;
}

/* ---- its life ---- */

static void run_retry_roles(struct world *w, struct event *ev)
{
    roles_retry(w, &w->bros[ev->node]);
    world_at(w, RETRY_ROLES_US, ev->node, run_retry_roles);
}

static void run_tick(struct world *w, struct event *ev)
{
    step_all(w, &w->bros[ev->node], PART_EV_TICK);
    world_at(w, TICK_US, ev->node, run_tick);
}

/* Page cache, high watermarks, epochs: written out now and then, each by itself. */
static void run_flush(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];

    for (int p = 0; p < SIM_PARTS; p++) {
        if (b->logs[p].gen < 0 || b->bad_dir[b->logs[p].dir])
            continue;
        if (world_chance(w, 50))
            disk_flush(&b->logs[p]);
        if (world_chance(w, 50))
            b->logs[p].recovery_file = b->logs[p].flushed;
        if (world_chance(w, 50))
            disk_save_epochs(&b->logs[p]);
        if (b->image != NULL && bro_serves(b, p) && world_chance(w, 50))
            b->logs[p].hw_file = b->reps[p].core.hw;
    }
    world_at(w, world_between(w, 200, 4000) * 1000, ev->node, run_flush);
}

void bro_init(struct world *w, int i)
{
    struct bro *b = &w->bros[i];

    b->id = i + 1;
    b->node = i;
    b->boot_file = BOOT_NONE;
    b->new_dir = true;
    for (int p = 0; p < SIM_PARTS; p++)
        disk_init(&b->logs[p]);
}

void bro_start(struct world *w, int i)
{
    struct bro *b = &w->bros[i];
    uint64_t boot = w->procs[i].boot;
    struct event *ev;

    b->incarnation = world_uuid(w);
    b->born_ms = world_ms(w);
    b->fresh = true;
    if (b->dirs_mended)
        memset(b->bad_dir, 0, sizeof b->bad_dir);
    b->dirs_mended = false;
    b->introduced = 0;
    if (w->conf.mutation == MUTATION_RESUMES && !uuid_is_zero(b->saved_incarnation)) {
        b->incarnation = b->saved_incarnation;
        b->fresh = false;
    }
    b->saved_incarnation = b->incarnation;
    b->was_clean = b->clean_marker;
    b->unclean =
        b->boot_file == BOOT_UNCLEAN || b->new_dir || !(b->was_clean || b->boot_file == boot);
    if (w->conf.mutation == MUTATION_REPLACED_HIDDEN && b->new_dir)
        b->unclean = false;
    b->new_dir = false;
    b->boot_file = b->unclean ? BOOT_UNCLEAN : boot;
    if (w->conf.mutation == MUTATION_BOOT_EARLY)
        b->boot_file = boot;
    b->clean_marker = b->leaving = false;
    for (int p = 0; p < SIM_PARTS; p++) {
        b->roomless[p].gen = -1;
        if (b->logs[p].gen >= 0 && !b->bad_dir[b->logs[p].dir])
            disk_load(&b->logs[p], b->was_clean);
    }
    b->epoch = -1;
    b->last_session = 0;
    b->enrolling = b->up = b->seeking = b->expects_image = false;
    b->next_boss = 0;
    b->active_hint = b->tried = -1;
    b->pause_ms = PAUSE_MIN_MS;
    b->apply_epoch = -1;
    b->apply_version = 0;
    if (b->saved_session != 0 && world_chance(w, 90)) {
        ev = world_at(w, world_delay_us(w) / 2, NODE_WORLD, run_end_session);
        ev->a = (int64_t)b->saved_session;
    }
    world_at(w, world_between(w, 0, TICK_US), i, run_tick);
    world_at(w, world_between(w, 200, 4000) * 1000, i, run_flush);
    world_at(w, world_between(w, 0, RETRY_ROLES_US), i, run_retry_roles);
}

void bro_end(struct world *w, int i)
{
    struct bro *b = &w->bros[i];

    coord_close(w, b, false);
    repl_end(w, b);
    for (int p = 0; p < SIM_PARTS; p++)
        if (b->reps[p].open) {
            b->reps[p].open = b->reps[p].offline = false;
            part_core_fini(&b->reps[p].core);
        }
    image_unref(&b->image);
    if (b->stream != NULL)
        conn_unref(&b->stream);
    b->up = false;
}

void bro_fini(struct world *w, int i)
{
    for (int p = 0; p < SIM_PARTS; p++)
        disk_fini(&w->bros[i].logs[p]);
}
