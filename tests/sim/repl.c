/*
 * A broker's process on the data side, in the order of broker/replica/part.c and the fetchers: one
 * loop per leader asks what fetch_core says; the leader checks epoch and follower, looks for
 * divergence, reads, notes how far the follower is, and parks a fetch that has nothing to bring.
 * Produces are appended in the leader's epoch and wait for the high watermark; who wakes them comes
 * a moment later, as a reactor does.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/sim/sim.h"

#define WAIT_MS        500
#define TIMEOUT_US     3000000
#define RETRY_FIRST_MS 40
#define RETRY_MAX_MS   1000
#define NEWCOMER_US    5000
#define ANSWER_RECS    4
#define ACK_MS         5000

struct fetch_msg {
    int32_t session_id, session_epoch;
    int replica; /* broker id */
    int64_t replica_epoch;
    int64_t wait_ms;
    int n, n_gone;
    struct {
        int p, gen;
        int32_t leader_epoch, last_epoch;
        int64_t offset, log_start;
    } parts[SIM_PARTS];
    struct {
        int p, gen;
    } gone[SIM_GENS * SIM_PARTS];
};

struct fetched_part {
    int p, gen;
    enum err err;
    bool diverging;
    int32_t diverging_epoch;
    int64_t diverging_end;
    int64_t hw, offset;
    int n_recs;
    struct oracle_rec recs[ANSWER_RECS];
};

struct fetched_msg {
    enum err err;
    int32_t session_id;
    int n;
    struct fetched_part parts[SIM_PARTS];
};

struct offsets_msg {
    int n;
    struct {
        int p, gen;
        int32_t leader_epoch;
        enum err err;
        int64_t start, end;
    } parts[SIM_PARTS];
};

static void pump(struct world *w, struct bro *b, int leader);

/* ---- the leader's side ---- */

static enum err check_divergence(const struct disk_log *log, const struct session_part *at,
                                 struct fetched_part *out)
{
    if (at->last_epoch < 0)
        return ERR_OK;

    struct epoch_end end = epochs_end_of(&log->epochs, at->last_epoch, log->leo);

    if (end.epoch < 0)
        return ERR_OFFSET_OUT_OF_RANGE;
    if (end.epoch < at->last_epoch || end.end_offset < at->offset) {
        out->diverging = true;
        out->diverging_epoch = end.epoch;
        out->diverging_end = end.end_offset;
    }
    return ERR_OK;
}

static enum err check_follower(const struct world *w, const struct replica *rep,
                               const struct conn *conn, const struct session_part *at)
{
    enum err err = ERR_UNKNOWN_TOPIC_ID;

    if (rep->open && (rep->gen == at->gen || w->conf.mutation == MUTATION_TOPIC_BLIND))
        err = rep->offline ? ERR_KAFKA_STORAGE_ERROR
                           : part_check_epoch(&rep->core, at->leader_epoch, true);
    if (err == ERR_OK)
        err = part_check_follower(&rep->core, conn->replica, conn->replica_epoch,
                                  at->leader_epoch >= 0);
    return err;
}

static void read_part(struct world *w, struct bro *b, struct conn *conn, int p, bool first,
                      struct fetched_part *out)
{
    const struct replica *rep = &b->reps[p];
    const struct session_part *at = &conn->parts[p];
    const struct disk_log *log = &b->logs[p];

    *out = (struct fetched_part){ .p = p, .gen = at->gen, .hw = -1, .offset = at->offset };
    out->err = check_follower(w, rep, conn, at);
    if (out->err != ERR_OK)
        return;
    out->hw = rep->core.hw;
    int64_t leo = rep->core.leo;
    if (w->conf.mutation != MUTATION_CUT_TO_HW)
        out->err = check_divergence(log, at, out);
    if (out->err == ERR_OK && out->diverging)
        return;
    if (out->err == ERR_OK && at->offset > leo)
        out->err = ERR_OFFSET_OUT_OF_RANGE;
    for (int64_t i = at->offset; out->err == ERR_OK && i < leo && out->n_recs < ANSWER_RECS; i++)
        out->recs[out->n_recs++] = log->recs[i];
    if (out->err == ERR_OK && first) {
        struct part_event ev = { .kind = PART_EV_FETCHED,
                                 .fetched = { .replica = conn->replica,
                                              .broker_epoch = conn->replica_epoch,
                                              .offset = at->offset,
                                              .log_start = at->log_start,
                                              .leader_leo = leo } };
        out->err = bro_step(w, b, p, &ev).refused;
    }
    if (out->err != ERR_OK)
        *out = (struct fetched_part){
            .p = p, .gen = at->gen, .err = out->err, .hw = -1, .offset = at->offset
        };
}

static void run_fetched(struct world *w, struct event *ev);

static void answer(struct world *w, struct conn *conn, struct fetched_msg *msg)
{
    struct event *ev;

    conn->parked = false;
    conn->park++;
    msg->session_id = conn->session_id;
    ev = conn_send(w, conn, 1, run_fetched);
    ev->ptr = msg;
    ev->drop = free;
}

/* Reads all of the session. False when there is nothing worth an answer yet. */
static bool look(struct world *w, struct bro *b, struct conn *conn, bool first, bool late)
{
    struct fetched_msg *msg = xcalloc(1, sizeof *msg);
    bool news = late;

    for (int p = 0; p < SIM_PARTS; p++) {
        struct fetched_part *out = &msg->parts[msg->n];

        if (!conn->parts[p].in)
            continue;
        read_part(w, b, conn, p, first, out);
        news |= out->err != ERR_OK || out->diverging || out->n_recs > 0;
        if (out->err != ERR_OK || out->diverging || out->n_recs > 0 || !conn->parts[p].sent ||
            conn->parts[p].sent_hw != out->hw)
            msg->n++;
    }
    if (!news) {
        free(msg);
        return false;
    }
    for (int i = 0; i < msg->n; i++) {
        conn->parts[msg->parts[i].p].sent = true;
        conn->parts[msg->parts[i].p].sent_hw = msg->parts[i].hw;
    }
    answer(w, conn, msg);
    return true;
}

static void run_unpark(struct world *w, struct event *ev)
{
    if (ev->conn->parked && ev->conn->park == (uint64_t)ev->a)
        look(w, &w->bros[ev->node], ev->conn, false, true);
}

void repl_wake_fetches(struct world *w, struct bro *b)
{
    for (struct conn *conn = w->conns; conn != NULL; conn = conn->next)
        if (conn->kind == CONN_FETCH && conn->node[1] == b->node && conn->open[1] && conn->parked)
            look(w, b, conn, false, false);
}

static bool take_session(struct world *w, struct conn *conn, const struct fetch_msg *msg)
{
    if (msg->session_epoch == 0) {
        memset(conn->parts, 0, sizeof conn->parts);
        conn->session_id = (int32_t)++w->ids;
        conn->session_epoch = 1;
    } else if (msg->session_id != conn->session_id || msg->session_epoch != conn->session_epoch) {
        return false;
    } else {
        conn->session_epoch++;
    }
    conn->replica = msg->replica;
    conn->replica_epoch = msg->replica_epoch;
    for (int i = 0; i < msg->n_gone; i++)
        if (conn->parts[msg->gone[i].p].gen == msg->gone[i].gen)
            conn->parts[msg->gone[i].p].in = false;
    for (int i = 0; i < msg->n; i++)
        conn->parts[msg->parts[i].p] =
            (struct session_part){ .in = true,
                                   .gen = msg->parts[i].gen,
                                   .leader_epoch = msg->parts[i].leader_epoch,
                                   .last_epoch = msg->parts[i].last_epoch,
                                   .offset = msg->parts[i].offset,
                                   .log_start = msg->parts[i].log_start };
    return true;
}

static void run_fetch(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    const struct fetch_msg *msg = ev->ptr;
    struct conn *conn = ev->conn;
    struct event *end;

    if (!take_session(w, conn, msg)) {
        struct fetched_msg *refusal = xcalloc(1, sizeof *refusal);

        refusal->err = ERR_INVALID_FETCH_SESSION_EPOCH;
        answer(w, conn, refusal);
        return;
    }
    if (look(w, b, conn, true, msg->wait_ms <= 0))
        return;
    conn->parked = true;
    end = world_at(w, msg->wait_ms * 1000, b->node, run_unpark);
    end->conn = conn_ref(conn);
    end->side = 1;
    end->a = (int64_t)++conn->park;
}

static void run_offsets(struct world *w, struct event *ev);

static void run_ask_offsets(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    struct offsets_msg *msg = ev->ptr;

    for (int i = 0; i < msg->n; i++) {
        const struct replica *rep = &b->reps[msg->parts[i].p];

        bool here = bro_serves(b, msg->parts[i].p) && rep->gen == msg->parts[i].gen;

        msg->parts[i].err = here ? part_check_epoch(&rep->core, msg->parts[i].leader_epoch, true)
                                 : ERR_UNKNOWN_TOPIC_OR_PARTITION;
        msg->parts[i].end = here ? rep->core.leo : -1;
    }
    ev->ptr = NULL;
    struct event *out = conn_send(w, ev->conn, 1, run_offsets);
    out->ptr = msg;
    out->drop = free;
}

/* ---- produce ---- */

void repl_run_wake(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    struct parked_produce **at = &b->produces;

    while (*at != NULL) {
        struct parked_produce *waits = *at;
        struct replica *rep = &b->reps[waits->part];
        enum part_ack ack = PART_ACK_FAILED;
        enum err err;

        if (bro_serves(b, waits->part) && rep->gen == waits->gen)
            ack = part_acked(&rep->core, waits->end, waits->leader_epoch, &err);
        if (ack == PART_ACK_WAIT && node_ms(w, b->node) < waits->until_ms) {
            at = &waits->next;
            continue;
        }
        for (int64_t i = waits->first; i < waits->end && ack == PART_ACK_DONE; i++)
            promise_acked(w, b, waits->part, i, waits->value + (i - waits->first));
        *at = waits->next;
        free(waits);
    }
    coord_wake(w, b);
}

/* Reactors come soon, but now and then one is held up. */
static int64_t late_us(struct world *w)
{
    return world_chance(w, 95) ? world_between(w, 0, 300) : world_between(w, 0, 2000000);
}

void repl_wake_produces(struct world *w, struct bro *b, int p)
{
    if (b->produces != NULL || (p == CROWD_PART && b->coord != NULL))
        world_at(w, late_us(w), b->node, repl_run_wake);
}

void repl_on_produce(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    int p = (int)ev->b;
    int64_t n = 1 + ev->a % 3;
    int16_t acks = (int16_t)ev->c;
    struct replica *rep = &b->reps[p];
    struct disk_log *log = &b->logs[p];
    struct parked_produce *waits;

    if (!bro_serves(b, p) || part_check_produce(&rep->core, acks) != ERR_OK)
        return;
    if (b->full) {
        rep->is_full = true;
        if (w->conf.mutation == MUTATION_FULL_ACKED && acks == -1)
            promise_acked(w, b, p, log->leo, ev->a);
        return;
    }
    int64_t first = log->leo;
    int32_t epoch = rep->core.leader_epoch;
    if (w->conf.mutation == MUTATION_EPOCH_STALE && epochs_latest(&log->epochs) >= 0)
        epoch = epochs_latest(&log->epochs);
    for (int64_t i = 0; i < n; i++)
        disk_append(log, (struct oracle_rec){ .value = ev->a + i, .epoch = epoch });
    bro_step(w, b, p,
             &(struct part_event){ .kind = PART_EV_APPENDED, .appended = { .leo = log->leo } });
    repl_wake_fetches(w, b);
    if (acks != -1)
        return;
    if (w->conf.mutation == MUTATION_ACK_EARLY) {
        for (int64_t i = 0; i < n; i++)
            promise_acked(w, b, p, first + i, ev->a + i);
        return;
    }
    waits = xcalloc(1, sizeof *waits);
    *waits = (struct parked_produce){ .next = b->produces,
                                      .part = p,
                                      .gen = rep->gen,
                                      .first = first,
                                      .end = log->leo,
                                      .value = ev->a,
                                      .leader_epoch = epoch,
                                      .until_ms = node_ms(w, b->node) + ACK_MS };
    b->produces = waits;
    repl_wake_produces(w, b, p);
}

/* ---- the follower's side ---- */

static void lost(struct fetcher *f)
{
    fetch_core_disconnected(&f->core);
    f->flying = false;
    f->flight++;
}

static void run_retry(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    struct fetcher *f = &b->fetchers[ev->a];

    if (f->retry != (uint64_t)ev->b)
        return;
    f->retry = 0;
    pump(w, b, (int)ev->a);
}

static void failed(struct world *w, struct bro *b, int leader)
{
    struct fetcher *f = &b->fetchers[leader];
    int64_t half_ms = f->retry_ms / 2;
    struct event *ev;

    lost(f);
    ev = world_at(w, (half_ms + world_between(w, 0, half_ms)) * 1000, b->node, run_retry);
    ev->a = leader;
    f->retry = ++w->ids;
    ev->b = (int64_t)f->retry;
    f->retry_ms = f->retry_ms * 2 < RETRY_MAX_MS ? f->retry_ms * 2 : RETRY_MAX_MS;
}

static void drop(struct world *w, struct fetcher *f)
{
    if (f->conn != NULL) {
        conn_close(w, f->conn, 0);
        conn_unref(&f->conn);
    }
    f->connecting = false;
    lost(f);
}

void repl_on_closed(struct world *w, struct conn *conn, int side)
{
    struct bro *b = &w->bros[conn->node[0]];
    int leader = conn->node[1];

    if (side == 1) {
        conn->parked = false;
        return;
    }
    if (b->fetchers[leader].conn != conn)
        return;
    conn_unref(&b->fetchers[leader].conn);
    failed(w, b, leader);
}

static void run_connected(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    int leader = (int)ev->a;
    struct fetcher *f = &b->fetchers[leader];
    bool near = link_is_up(w, b->node, leader) && link_is_up(w, leader, b->node) &&
                w->procs[leader].machine_up;

    if (!f->connecting || f->flight != (uint64_t)ev->b)
        return;
    if (!near && ev->c == 0) {
        struct event *late = world_at(w, TIMEOUT_US / 2, b->node, run_connected);

        late->a = ev->a;
        late->b = ev->b;
        late->c = 1;
        return;
    }
    f->connecting = false;
    if (!near || !w->procs[leader].running) {
        failed(w, b, leader);
        return;
    }
    f->conn = conn_open(w, CONN_FETCH, b->node, leader);
    conn_ref(f->conn);
    f->retry_ms = RETRY_FIRST_MS;
    pump(w, b, leader);
}

static void run_timeout(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    struct fetcher *f = &b->fetchers[ev->a];

    if (!f->flying || f->flight != (uint64_t)ev->b)
        return;
    drop(w, f);
    failed(w, b, (int)ev->a);
}

static void fly(struct world *w, struct bro *b, int leader)
{
    struct fetcher *f = &b->fetchers[leader];
    struct event *ev = world_at(w, TIMEOUT_US, b->node, run_timeout);

    f->flying = true;
    ev->a = leader;
    ev->b = (int64_t)++f->flight;
}

static bool ask_offsets(struct world *w, struct bro *b, int leader)
{
    struct fetcher *f = &b->fetchers[leader];
    struct offsets_msg *msg = xcalloc(1, sizeof *msg);
    struct fetch_part *at;

    f->resets_due = false;
    TAILQ_FOREACH (at, &f->core.parts, link) {
        if (at->state != FETCH_RESET)
            continue;
        msg->parts[msg->n].p = at->partition;
        msg->parts[msg->n].gen = gen_of(w, at->topic_id);
        msg->parts[msg->n++].leader_epoch = at->leader_epoch;
    }
    if (msg->n == 0) {
        free(msg);
        return false;
    }
    struct event *ev = conn_send(w, f->conn, 0, run_ask_offsets);
    ev->ptr = msg;
    ev->drop = free;
    fly(w, b, leader);
    return true;
}

static void send_fetch(struct world *w, struct bro *b, int leader, const struct fetch_ask *ask,
                       int64_t wake_ms)
{
    struct fetcher *f = &b->fetchers[leader];
    struct fetch_msg *msg = xcalloc(1, sizeof *msg);
    struct event *ev;

    msg->session_id = ask->session_id;
    msg->session_epoch = ask->session_epoch;
    msg->replica = b->id;
    msg->replica_epoch = f->broker_epoch;
    msg->wait_ms = wake_ms - node_ms(w, b->node);
    if (msg->wait_ms > WAIT_MS)
        msg->wait_ms = WAIT_MS;
    for (int32_t i = 0; i < ask->parts_len; i++) {
        const struct fetch_part *at = ask->parts[i];

        msg->parts[msg->n].p = at->partition;
        msg->parts[msg->n].gen = gen_of(w, at->topic_id);
        msg->parts[msg->n].leader_epoch = at->leader_epoch;
        msg->parts[msg->n].last_epoch = at->last_epoch;
        msg->parts[msg->n].offset = at->offset;
        msg->parts[msg->n++].log_start = at->log_start;
    }
    for (int32_t i = 0; i < ask->forgotten_len; i++) {
        msg->gone[msg->n_gone].p = ask->forgotten[i].partition;
        msg->gone[msg->n_gone++].gen = gen_of(w, ask->forgotten[i].topic_id);
    }
    ev = conn_send(w, f->conn, 0, run_fetch);
    ev->ptr = msg;
    ev->drop = free;
    fly(w, b, leader);
}

static void run_pump(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];

    if (b->fetchers[ev->a].wake == (uint64_t)ev->b)
        pump(w, b, (int)ev->a);
}

static void pump(struct world *w, struct bro *b, int leader)
{
    struct fetcher *f = &b->fetchers[leader];
    struct fetch_ask ask;
    struct event *ev;
    int64_t wake_ms;

    if (f->flying || !f->known || f->core.count == 0 || f->retry != 0)
        return;
    if (f->conn == NULL) {
        if (f->connecting)
            return;
        f->connecting = true;
        ev = world_at(w, 2 * world_delay_us(w), b->node, run_connected);
        ev->a = leader;
        ev->b = (int64_t)f->flight;
        return;
    }
    if (f->broker_epoch < 0)
        return;
    if (f->resets_due && ask_offsets(w, b, leader))
        return;
    if (fetch_core_ask(&f->core, node_ms(w, b->node), &ask, &f->scratch, &f->scratch_cap,
                       &wake_ms)) {
        send_fetch(w, b, leader, &ask, wake_ms);
    } else if (wake_ms != INT64_MAX) {
        ev = world_at(w, node_until_us(w, b->node, wake_ms), b->node, run_pump);
        ev->a = leader;
        f->wake = ++w->ids;
        ev->b = (int64_t)f->wake;
    }
}

static bool follows_in(const struct bro *b, const struct fetch_part *at)
{
    const struct replica *rep = &b->reps[at->partition];

    return bro_serves(b, at->partition) && rep->core.role == PART_FOLLOWER &&
           rep->core.leader_epoch == at->leader_epoch;
}

/* ---- flush.messages ---- */

struct follow_sync {
    int leader, p, gen;
    uint64_t id;
};

static void run_follow_sync(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    const struct follow_sync *sync = ev->ptr;
    struct fetcher *f = &b->fetchers[sync->leader];
    bool done = bro_sync(b, sync->p, sync->gen);
    struct fetch_part *at = fetch_core_syncing(&f->core, w->gens[sync->gen], sync->p, sync->id);

    if (at == NULL)
        return;
    if (done)
        fetch_core_synced(&f->core, at);
    else
        fetch_core_failed(&f->core, at, true, node_ms(w, b->node));
    pump(w, b, sync->leader);
}

/* Before it is named again. */
static void sync_first(struct world *w, struct bro *b, struct fetcher *f, struct fetch_part *at)
{
    const struct disk_log *log = &b->logs[at->partition];
    struct follow_sync *sync;
    struct event *ev;

    if (!w->conf.flush || log->flushed == log->leo || w->conf.mutation == MUTATION_NAMED_UNSYNCED)
        return;
    sync = xcalloc(1, sizeof *sync);
    *sync = (struct follow_sync){ .leader = (int)(f - b->fetchers),
                                  .p = at->partition,
                                  .gen = log->gen,
                                  .id = fetch_core_sync(&f->core, at, node_ms(w, b->node)) };
    ev = world_at(w, bro_sync_us(w), b->node, run_follow_sync);
    ev->ptr = sync;
    ev->drop = free;
}

static void go_on(struct world *w, struct bro *b, struct fetcher *f, struct fetch_part *at,
                  bool got)
{
    const struct disk_log *log = &b->logs[at->partition];

    fetch_core_set(&f->core, at, log->leo, epochs_latest(&log->epochs), 0, got);
    sync_first(w, b, f, at);
}

static void append(struct world *w, struct bro *b, struct fetcher *f, struct fetch_part *at,
                   const struct fetched_part *got)
{
    int p = at->partition;
    struct disk_log *log = &b->logs[p];

    if (got->n_recs > 0 && (got->offset != log->leo || b->full)) {
        fetch_core_failed(&f->core, at, false, node_ms(w, b->node));
        return;
    }
    for (int i = 0; i < got->n_recs; i++)
        disk_append(log, got->recs[i]);
    bro_step(w, b, p,
             &(struct part_event){ .kind = PART_EV_FOLLOWED,
                                   .followed = { .leo = log->leo, .leader_hw = got->hw } });
    go_on(w, b, f, at, got->n_recs > 0);
}

static void cut(struct world *w, struct bro *b, int p, int64_t point)
{
    struct disk_log *log = &b->logs[p];

    if (point < log->leo) {
        TRACE(w, "%s cuts p%d from %lld to %lld hw=%lld", node_name(b->node), p,
              (long long)log->leo, (long long)point, (long long)b->reps[p].core.hw);
        promise_cut(w, b, p, point);
    }
    disk_cut(log, point);
    bro_step(w, b, p,
             &(struct part_event){ .kind = PART_EV_TRUNCATED,
                                   .truncated = { .leo = log->leo, .log_start = 0 } });
}

static void truncate(struct world *w, struct bro *b, struct fetcher *f, struct fetch_part *at,
                     const struct fetched_part *got)
{
    struct disk_log *log = &b->logs[at->partition];
    struct epoch_end own = epochs_end_of(&log->epochs, got->diverging_epoch, log->leo);

    if (w->conf.mutation == MUTATION_NEVER_CUT) {
        fetch_core_set(&f->core, at, log->leo, -1, 0, false);
        return;
    }
    cut(w, b, at->partition,
        fetch_truncation_point(got->diverging_epoch, got->diverging_end, own.epoch, own.end_offset,
                               log->leo));
    go_on(w, b, f, at, false);
}

static void take_part(struct world *w, struct bro *b, struct fetcher *f,
                      const struct fetched_part *got)
{
    struct fetch_part *at = fetch_core_find(&f->core, w->gens[got->gen], got->p);
    const struct fetch_answer answer = {
        .err = got->err,
        .diverging = got->diverging && got->diverging_end >= 0,
        .diverging_epoch = got->diverging_epoch,
        .diverging_end = got->diverging_end,
        .has_records = got->n_recs > 0,
    };

    if (at == NULL)
        return;
    if (w->conf.mutation == MUTATION_ANSWER_STALE && at->state == FETCH_READY) {
        at->asked = true;
        at->sent_offset = at->offset;
        at->sent_leader_epoch = at->leader_epoch;
    }
    switch (fetch_core_decide(&f->core, at, &answer, node_ms(w, b->node))) {
    case FETCH_APPEND:
        if (follows_in(b, at))
            append(w, b, f, at, got);
        else
            fetch_core_failed(&f->core, at, true, node_ms(w, b->node));
        break;
    case FETCH_TRUNCATE:
        if (follows_in(b, at))
            truncate(w, b, f, at, got);
        else
            fetch_core_failed(&f->core, at, true, node_ms(w, b->node));
        break;
    case FETCH_ASK_OFFSETS:
        f->resets_due = true;
        break;
    case FETCH_IGNORE:
    case FETCH_BACK_OFF:
    case FETCH_GIVE_UP:
        break;
    }
}

static void run_fetched(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    int leader = ev->conn->node[1];
    struct fetcher *f = &b->fetchers[leader];
    const struct fetched_msg *msg = ev->ptr;

    if (f->conn != ev->conn)
        return;
    f->flying = false;
    if (fetch_core_answered(&f->core, msg->err, msg->session_id, node_ms(w, b->node)))
        for (int i = 0; i < msg->n && !w->failed; i++)
            take_part(w, b, f, &msg->parts[i]);
    pump(w, b, leader);
}

static void run_offsets(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    int leader = ev->conn->node[1];
    struct fetcher *f = &b->fetchers[leader];
    const struct offsets_msg *msg = ev->ptr;

    if (f->conn != ev->conn)
        return;
    f->flying = false;
    for (int i = 0; i < msg->n; i++) {
        struct fetch_part *at =
            fetch_core_find(&f->core, w->gens[msg->parts[i].gen], msg->parts[i].p);
        int64_t offset;

        if (at == NULL || at->state != FETCH_RESET ||
            at->leader_epoch != msg->parts[i].leader_epoch)
            continue;
        if (msg->parts[i].err != ERR_OK) {
            fetch_core_delay(&f->core, at, node_ms(w, b->node));
        } else if (!follows_in(b, at)) {
            fetch_core_failed(&f->core, at, true, node_ms(w, b->node));
        } else {
            if (fetch_reset_point(b->logs[at->partition].leo, msg->parts[i].start,
                                  msg->parts[i].end, &offset) == FETCH_RESET_CUT)
                cut(w, b, at->partition, offset);
            go_on(w, b, f, at, false);
        }
    }
    pump(w, b, leader);
}

/* ---- who follows whom ---- */

/* A parked fetch keeps a newcomer waiting, and a leader that knows us to have registered anew: it
 * is broken off. */
static void run_newcomer(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    struct fetcher *f = &b->fetchers[ev->a];

    if (!f->flying || f->flight != (uint64_t)ev->b)
        return;
    drop(w, f);
    pump(w, b, (int)ev->a);
}

static void break_wait(struct world *w, struct bro *b, int leader)
{
    struct fetcher *f = &b->fetchers[leader];
    struct event *ev;

    if (!f->flying)
        return;
    ev = world_at(w, NEWCOMER_US, b->node, run_newcomer);
    ev->a = leader;
    ev->b = (int64_t)f->flight;
}

static void know_source(struct world *w, struct bro *b, int leader)
{
    struct fetcher *f = &b->fetchers[leader];
    const struct node *self = b->image == NULL ? NULL : image_node(b->image, b->id);
    const struct node *node = b->image == NULL ? NULL : image_node(b->image, leader + 1);

    if (self != NULL && self->epoch >= 0) {
        if (f->broker_epoch >= 0 && f->broker_epoch != self->epoch)
            break_wait(w, b, leader);
        f->broker_epoch = self->epoch;
    }
    if (node != NULL && node->n_endpoints > 0 &&
        (!f->known || !uuid_eq(node->incarnation, f->incarnation))) {
        drop(w, f);
        f->known = true;
        f->retry = 0;
        f->retry_ms = RETRY_FIRST_MS;
        f->incarnation = node->incarnation;
    }
}

static struct fetcher *fetcher_of(struct world *w, struct bro *b, int leader)
{
    struct fetcher *f = &b->fetchers[leader];

    if (!f->used) {
        *f = (struct fetcher){ .used = true, .retry_ms = RETRY_FIRST_MS, .broker_epoch = -1 };
        fetch_core_init(&f->core, 1000);
        know_source(w, b, leader);
    }
    return f;
}

void repl_sources(struct world *w, struct bro *b)
{
    for (int i = 0; i < w->conf.brokers; i++) {
        if (!b->fetchers[i].used)
            continue;
        know_source(w, b, i);
        pump(w, b, i);
    }
}

void repl_unfollow(struct world *w, struct bro *b, int p)
{
    for (int i = 0; i < w->conf.brokers; i++)
        if (b->fetchers[i].used)
            fetch_core_remove(&b->fetchers[i].core, w->gens[b->reps[p].gen], p);
}

void repl_follow(struct world *w, struct bro *b, int p, int leader, int32_t epoch)
{
    struct fetcher *f = fetcher_of(w, b, leader - 1);
    struct uuid id = w->gens[b->reps[p].gen];
    struct disk_log *log = &b->logs[p];

    for (int i = 0; i < w->conf.brokers; i++)
        if (i != leader - 1 && b->fetchers[i].used)
            fetch_core_remove(&b->fetchers[i].core, id, p);
    if (w->conf.mutation == MUTATION_CUT_TO_HW)
        cut(w, b, p, b->reps[p].core.hw);
    sync_first(w, b, f,
               fetch_core_add(&f->core, id, p, b, epoch, log->leo, epochs_latest(&log->epochs), 0));
    f->retry = 0;
    f->retry_ms = RETRY_FIRST_MS;
    break_wait(w, b, leader - 1);
    pump(w, b, leader - 1);
}

void repl_end(struct world *w, struct bro *b)
{
    struct parked_produce *waits, *next;

    for (int i = 0; i < w->conf.brokers; i++) {
        struct fetcher *f = &b->fetchers[i];

        if (!f->used)
            continue;
        if (f->conn != NULL)
            conn_unref(&f->conn);
        fetch_core_fini(&f->core);
        free(f->scratch);
        memset(f, 0, sizeof *f);
    }
    for (waits = b->produces; waits != NULL; waits = next) {
        next = waits->next;
        free(waits);
    }
    b->produces = NULL;
}
