/*
 * What a controller reads from ZooKeeper and writes to it. A load reads the registrations first and
 * the states later, as the real one does. A WRITE goes out in multis, each checking the epoch;
 * after a lost connection what each group wanted to leave behind is looked for, and what is missing
 * is sent again; now and then it cannot be found out.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/sim/boss_int.h"

/* ---- reading ---- */

struct reading {
    enum core_reload_what what;
    uint64_t term;
    int32_t partition;
    int phase;
    size_t n_nodes;
    struct node nodes[SIM_BROKERS];
    struct zoo_state states[SIM_PARTS];
    struct zoo_touched ring[ZK_RING_SLOTS];
    bool is_first; /* of the seat */
    struct zoo_eligible eligible[SIM_PARTS];
};

static void read_on(struct world *w, struct boss *boss, struct reading *reading);

static void exec_read(struct world *w, struct zreq *req)
{
    struct reading *reading = req->ptr;

    if (reading == NULL)
        return; /* nobody waits for it */
    if (reading->what == RELOAD_BROKERS || (reading->what == RELOAD_ALL && reading->phase == 0)) {
        reading->n_nodes = 0;
        for (int i = 0; i < w->conf.brokers; i++)
            if (w->zoo->regs[i].there)
                reading->nodes[reading->n_nodes++] =
                    (struct node){ .id = i + 1,
                                   .epoch = w->zoo->regs[i].czxid,
                                   .n_endpoints = 1,
                                   .endpoints = &boss_endpoints[i] };
    } else {
        memcpy(reading->states, w->zoo->states, sizeof reading->states);
        memcpy(reading->ring, w->zoo->ring, sizeof reading->ring);
        memcpy(reading->eligible, w->zoo->eligible, sizeof reading->eligible);
    }
}

static struct core_read_part read_part(const struct world *w, const struct reading *reading, int p)
{
    const struct zoo_state *state = &reading->states[p];
    struct core_read_part part = {
        .index = p,
        .replicas = { .at = w->zoo->replicas[p], .n = (uint32_t)w->conf.rf },
        .has_state = state->there,
        .state_controller_epoch = state->boss_epoch,
        .state = { .leader = state->leader,
                   .leader_epoch = state->leader_epoch,
                   .partition_epoch = state->version,
                   .recovering = state->recovering,
                   .isr = { .at = state->isr, .n = state->n_isr } },
    };

    if (w->conf.mutation == MUTATION_ISR_WIDE)
        part.state.isr = part.replicas;
    return part;
}

static void give_all(struct world *w, struct boss *boss, const struct reading *reading)
{
    struct core_read_part parts[SIM_PARTS];
    struct image_setting min_isr = { .key = STR("min.insync.replicas"),
                                     .value = w->conf.min_isr == 1 ? STR("1") : STR("2") };
    struct image_config config = {
        .type = STR("topics"), .name = SIM_TOPIC, .n_settings = 1, .settings = &min_isr
    };
    struct core_read_topic topic = {
        .name = SIM_TOPIC, .id = w->topic_id, .n_parts = (size_t)w->conf.parts, .parts = parts
    };
    struct core_eligible eligible[SIM_PARTS];
    struct core_event ev = { .kind = CORE_LOADED };

    ev.loaded.eligible = eligible;
    for (int p = 0; p < w->conf.parts; p++) {
        struct zoo_eligible broken = {
            .boss_epoch = boss->epoch,
            .leader_epoch = reading->states[p].leader_epoch,
            .version = reading->states[p].version,
            .min_isr = 1,
            .n = (uint32_t)w->conf.rf,
        };
        const struct zoo_eligible *from = &reading->eligible[p];

        memcpy(broken.ids, w->zoo->replicas[p], (size_t)w->conf.rf * sizeof broken.ids[0]);
        if (w->conf.mutation == MUTATION_ELIGIBLE_WIDE)
            from = &broken;
        if (from->n > 0)
            eligible[ev.loaded.n_eligible++] =
                (struct core_eligible){ .topic_id = w->topic_id,
                                        .partition = p,
                                        .controller_epoch = from->boss_epoch,
                                        .leader_epoch = from->leader_epoch,
                                        .partition_epoch = from->version,
                                        .min_isr = from->min_isr,
                                        .replicas = { .at = from->ids, .n = from->n } };
    }
    for (int p = 0; p < w->conf.parts; p++)
        parts[p] = read_part(w, reading, p);
    ev.loaded.controller_epoch = boss->epoch;
    ev.loaded.cluster_id = STR("sim");
    ev.loaded.n_nodes = reading->n_nodes;
    ev.loaded.nodes = reading->nodes;
    ev.loaded.n_topics = 1;
    ev.loaded.topics = &topic;
    ev.loaded.n_configs = 1;
    ev.loaded.configs = &config;
    ev.loaded.pid_block = (struct core_pid_block){ .broker = -1, .first = -1, .last = -1 };
    TRACE(w, "%s has loaded", node_name(boss->node));
    if (reading->is_first)
        boss_check_warm(w, boss, reading->ring, reading->states);
    boss->writer.doubtful = false;
    boss->writer.certain = boss->writer.number;
    boss_step(w, boss, &ev);
}

static void give(struct world *w, struct boss *boss, const struct reading *reading)
{
    struct core_event ev = { .kind = CORE_BROKER_NODES };
    struct core_read_part part;

    switch (reading->what) {
    case RELOAD_ALL:
        give_all(w, boss, reading);
        return;
    case RELOAD_BROKERS:
        ev.broker_nodes.n = reading->n_nodes;
        ev.broker_nodes.nodes = reading->nodes;
        break;
    case RELOAD_STATE:
        ev.kind = CORE_STATE_READ;
        part = read_part(w, reading, reading->partition);
        ev.state_read.topic_id = w->topic_id;
        ev.state_read.partition = reading->partition;
        ev.state_read.part = &part;
        break;
    case RELOAD_TOPIC:
    case RELOAD_PID_BLOCK:
        return; /* nobody but the core writes those here */
    }
    boss_step(w, boss, &ev);
}

static void run_read_on(struct world *w, struct event *ev)
{
    struct reading *reading = ev->ptr;

    ev->ptr = NULL;
    read_on(w, &w->bosses[ev->node - NODE_BOSS], reading);
}

static void done_read(struct world *w, struct zreq *req, enum err err)
{
    struct boss *boss = &w->bosses[req->a];
    struct reading *reading = req->ptr;

    if (reading->what == RELOAD_BROKERS)
        boss->nodes_due = false;
    if (reading->term != boss->term || err == ERR_SESSION_EXPIRED)
        return;
    if (err == ERR_OK && (reading->what != RELOAD_ALL || reading->phase == 1)) {
        give(w, boss, reading);
        return;
    }
    req->ptr = NULL;
    if (err == ERR_OK) {
        reading->phase++;
        read_on(w, boss, reading);
        return;
    }
    struct event *ev = world_at(w, 30000, boss->node, run_read_on);
    ev->ptr = reading;
    ev->drop = free;
}

/* Takes reading. */
static void read_on(struct world *w, struct boss *boss, struct reading *reading)
{
    struct zreq *req;

    if (reading->term != boss->term) {
        free(reading);
        return;
    }
    req = zoo_call(w, boss->node, exec_read, done_read);
    req->a = boss->node - NODE_BOSS;
    req->ptr = reading;
    req->drop = free;
}

static struct reading *reading_new(const struct boss *boss, enum core_reload_what what,
                                   int32_t partition)
{
    struct reading *reading = xcalloc(1, sizeof *reading);

    reading->what = what;
    reading->partition = partition;
    reading->term = boss->term;
    return reading;
}

void boss_read_again(struct world *w, struct boss *boss, enum core_reload_what what,
                     int32_t partition)
{
    read_on(w, boss, reading_new(boss, what, partition));
}

void boss_load(struct world *w, struct boss *boss)
{
    struct reading *reading = reading_new(boss, RELOAD_ALL, -1);

    reading->is_first = true;
    read_on(w, boss, reading);
}

void boss_on_regs(struct world *w, int i)
{
    struct boss *boss = &w->bosses[i];

    if (!boss->held || boss->nodes_due)
        return;
    boss->nodes_due = true;
    boss_read_again(w, boss, RELOAD_BROKERS, -1);
}

/* ---- writing ---- */

struct batch {
    int refs;
    struct arena arena;
    struct core_write write;
    struct core_op *ops;
    struct core_op_result *results;
    bool *stored; /* found to be there after a lost connection */
    int32_t epoch_version;
    size_t at, until;
    uint64_t number; /* of the multi that is out */
    uint64_t term;
    size_t decided;
    int64_t gone_ms[SIM_BROKERS];
};

static void batch_drop(void *ptr)
{
    struct batch *batch = ptr;

    if (--batch->refs > 0)
        return;
    arena_fini(&batch->arena);
    free(batch);
}

static void *batch_keep(void *ptr)
{
    ((struct batch *)ptr)->refs++;
    return ptr;
}

static size_t group_end(const struct batch *batch, size_t i)
{
    uint32_t group = batch->ops[i].group;

    while (i < batch->write.n && batch->ops[i].group == group)
        i++;
    return i;
}

static void exec_multi(struct world *w, struct zreq *req)
{
    struct batch *batch = req->ptr;

    if (batch->epoch_version != w->zoo->epoch_version &&
        w->conf.mutation != MUTATION_NO_SEAT_CHECK) {
        for (size_t i = batch->at; i < batch->write.n; i++)
            if (!batch->stored[i])
                batch->results[i].err = ERR_FENCED;
        return;
    }
    w->decided = batch->decided;
    memcpy(w->gone_ms, batch->gone_ms, sizeof w->gone_ms);
    for (size_t i = batch->at; i < batch->until; i = group_end(batch, i))
        if (!batch->stored[i])
            zoo_group(w, &batch->write, i, group_end(batch, i) - i, batch->results);
    boss_touch(w, &batch->write, batch->at, batch->until, batch->results, batch->number);
}

static void send_multi(struct world *w, struct boss *boss, struct batch *batch);

static void finish(struct world *w, struct boss *boss, struct batch *batch)
{
    struct core_event ev = { .kind = CORE_WRITE_DONE };

    boss->writer.busy = false;
    for (size_t i = 0; i < batch->write.n; i++)
        boss->writer.doubtful |= batch->results[i].err == ERR_CONNECTION_LOSS;
    if (!boss->writer.doubtful)
        boss->writer.certain = boss->writer.number;
    ev.write_done.batch = batch->write.batch;
    ev.write_done.n = batch->write.n;
    ev.write_done.results = batch->results;
    boss_step(w, boss, &ev);
}

static void exec_look(struct world *w, struct zreq *req)
{
    struct batch *batch = req->ptr;

    for (size_t i = batch->at; i < batch->until; i = group_end(batch, i)) {
        size_t n = group_end(batch, i) - i;
        bool there = zoo_left_behind(w, &batch->write, i, n, batch->results);

        for (size_t j = i; j < i + n; j++)
            batch->stored[j] = there;
    }
}

static void run_look(struct world *w, struct event *ev);

static void done_look(struct world *w, struct zreq *req, enum err err)
{
    struct boss *boss = &w->bosses[req->a];
    struct batch *batch = req->ptr;

    if (batch->term != boss->term || err == ERR_SESSION_EXPIRED)
        return;
    if (err == ERR_OK) {
        const struct zoo_touched *slot = &w->zoo->ring[batch->number % ZK_RING_SLOTS];

        if (slot->epoch != batch->write.controller_epoch || slot->number != batch->number)
            boss->writer.number--; /* it was not done: its number is given back */
        send_multi(w, boss, batch);
        return;
    }
    struct event *ev = world_at(w, 30000, boss->node, run_look);
    ev->ptr = batch_keep(batch);
    ev->drop = batch_drop;
}

static struct zreq *call_for(struct world *w, struct boss *boss, struct batch *batch,
                             void (*exec)(struct world *, struct zreq *),
                             void (*done)(struct world *, struct zreq *, enum err))
{
    struct zreq *req = zoo_call(w, boss->node, exec, done);

    req->a = boss->node - NODE_BOSS;
    req->ptr = batch_keep(batch);
    req->drop = batch_drop;
    req->keep = batch_keep;
    return req;
}

static void run_look(struct world *w, struct event *ev)
{
    struct boss *boss = &w->bosses[ev->node - NODE_BOSS];
    struct batch *batch = ev->ptr;

    if (batch->term == boss->term)
        call_for(w, boss, batch, exec_look, done_look);
}

static void done_multi(struct world *w, struct zreq *req, enum err err)
{
    struct boss *boss = &w->bosses[req->a];
    struct batch *batch = req->ptr;
    bool fenced = false;

    if (batch->term != boss->term || err == ERR_SESSION_EXPIRED)
        return;
    if (err == ERR_CONNECTION_LOSS) {
        if (world_chance(w, 20)) { /* it could not be found out */
            for (size_t i = batch->at; i < batch->write.n; i++)
                batch->results[i].err = ERR_CONNECTION_LOSS;
            finish(w, boss, batch);
            return;
        }
        struct event *ev = world_at(w, 20000, boss->node, run_look);
        ev->ptr = batch_keep(batch);
        ev->drop = batch_drop;
        return;
    }
    for (size_t i = batch->at; i < batch->write.n; i++)
        fenced |= batch->results[i].err == ERR_FENCED;
    batch->at = batch->until;
    if (fenced || batch->at == batch->write.n)
        finish(w, boss, batch);
    else
        send_multi(w, boss, batch);
}

static void send_multi(struct world *w, struct boss *boss, struct batch *batch)
{
    if (batch->until <= batch->at) {
        batch->until = group_end(batch, batch->at);
        while (batch->until < batch->write.n && !world_chance(w, 5))
            batch->until = group_end(batch, batch->until);
    }
    batch->number = ++boss->writer.number;
    call_for(w, boss, batch, exec_multi, done_multi);
}

void boss_write_out(struct world *w, struct boss *boss, const struct core_write *write)
{
    struct batch *batch = xcalloc(1, sizeof *batch);

    if (boss->writer.busy)
        world_fail(w, "a second WRITE while one is out");
    boss->writer.busy = true;
    batch->refs = 1;
    arena_init(&batch->arena, SIZE_MAX);
    batch->write = *write;
    batch->write.ops = batch->ops =
        arena_dup(&batch->arena, write->ops, write->n * sizeof *write->ops);
    batch->results = arena_zalloc(&batch->arena, write->n, sizeof *batch->results);
    batch->stored = arena_zalloc(&batch->arena, write->n, sizeof *batch->stored);
    for (size_t i = 0; i < write->n; i++) {
        struct core_op *op = &batch->ops[i];

        if (op->kind == OP_STATE_SET || op->kind == OP_STATE_CREATE)
            op->state.state.isr.at = arena_dup(&batch->arena, op->state.state.isr.at,
                                               op->state.state.isr.n * sizeof(int32_t));
        else if (op->kind == OP_ELIGIBLE_SET)
            op->eligible.replicas.at = arena_dup(&batch->arena, op->eligible.replicas.at,
                                                 op->eligible.replicas.n * sizeof(int32_t));
    }
    batch->epoch_version = boss->epoch_version;
    batch->term = boss->term;
    batch->decided = w->steps;
    for (int i = 0; i < w->conf.brokers; i++)
        batch->gone_ms[i] = core_gone_ms(boss->core, i + 1);
    send_multi(w, boss, batch);
    batch_drop(batch);
}
