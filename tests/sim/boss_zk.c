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
    struct uuid topic_id;
    int32_t partition;
    int phase;
    size_t n_nodes;
    struct node nodes[SIM_BROKERS];
    bool is_first; /* of the seat */
    struct tree tree;
    struct zoo_touched ring[SIM_RING];
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
        reading->tree = w->zoo->tree;
        if (reading->is_first)
            memcpy(reading->ring, w->zoo->ring, sizeof reading->ring);
    }
}

static struct core_read_part read_part(const struct world *w, const struct tree *tree, int p)
{
    const struct zoo_state *state = &tree->states[p];
    const struct zoo_part *zoo = &tree->topic.parts[p];
    struct core_read_part part = {
        .index = p,
        .replicas = zoo_replicas(tree, p),
        .adding = { .at = zoo->adding, .n = zoo->n_adding },
        .removing = { .at = zoo->removing, .n = zoo->n_removing },
        .has_state = state->there,
        .state_controller_epoch = state->boss_epoch,
        .state = { .leader = state->leader,
                   .leader_epoch = state->leader_epoch,
                   .partition_epoch = state->version,
                   .recovering = state->recovering,
                   .isr = zoo_isr(tree, p) },
    };

    if (w->conf.mutation == MUTATION_ISR_WIDE)
        part.state.isr = part.replicas;
    return part;
}

static size_t read_eligible(const struct world *w, const struct boss *boss, const struct tree *tree,
                            struct core_eligible *out)
{
    size_t n = 0;

    for (int gen = 0; gen < w->n_gens; gen++)
        for (int p = 0; p < SIM_PARTS; p++) {
            struct zoo_eligible from = tree->eligible[gen][p];
            struct ids ids = { .at = tree->eligible[gen][p].ids, .n = from.n };

            if (w->conf.mutation == MUTATION_ELIGIBLE_WIDE && tree->topic.there &&
                gen == tree->topic.gen && p < tree->topic.n_parts) {
                from = (struct zoo_eligible){ .boss_epoch = boss->epoch,
                                              .leader_epoch = tree->states[p].leader_epoch,
                                              .version = tree->states[p].version,
                                              .min_isr = 1 };
                ids = zoo_replicas(tree, p);
            }
            if (w->conf.mutation == MUTATION_ELIGIBLE_OLD && ids.n > 0 && gen == tree->topic.gen) {
                from.boss_epoch = boss->epoch;
                from.leader_epoch = tree->states[p].leader_epoch;
                from.version = tree->states[p].version;
            }
            if (ids.n > 0)
                out[n++] = (struct core_eligible){ .topic_id = w->gens[gen],
                                                   .partition = p,
                                                   .controller_epoch = from.boss_epoch,
                                                   .leader_epoch = from.leader_epoch,
                                                   .partition_epoch = from.version,
                                                   .min_isr = from.min_isr,
                                                   .replicas = ids };
        }
    return n;
}

struct read_stones {
    size_t n;
    struct core_tombstones at[SIM_BROKERS * SIM_GENS];
    struct core_tombstone_part parts[SIM_BROKERS * SIM_GENS][SIM_PARTS];
};

static void read_stones(const struct world *w, const struct tree *tree, struct read_stones *out)
{
    out->n = 0;
    for (int b = 0; b < w->conf.brokers; b++)
        for (int gen = 0; gen < w->n_gens; gen++) {
            struct core_tombstones *to = &out->at[out->n];
            struct core_tombstone_part *parts = out->parts[out->n];

            *to = (struct core_tombstones){
                .broker = b + 1, .topic_id = w->gens[gen], .topic = SIM_TOPIC, .parts = parts
            };
            for (int p = 0; p < SIM_PARTS; p++)
                if (tree->stones[b][gen][p] != NO_STONE)
                    parts[to->n++] =
                        (struct core_tombstone_part){ .partition = p,
                                                      .leader_epoch = tree->stones[b][gen][p] };
            out->n += to->n > 0;
        }
}

/* Texts that live for ever. */
size_t boss_settings(const struct zoo_config *config, struct image_setting out[2])
{
    static const char *const numbers[] = { "0", "1", "2", "3", "4" };
    size_t n = 0;

    if (config->min_isr > 0)
        out[n++] = (struct image_setting){ .key = STR("min.insync.replicas"),
                                           .value = str_of(numbers[config->min_isr]) };
    if (config->unclean >= 0)
        out[n++] = (struct image_setting){ .key = STR("unclean.leader.election.enable"),
                                           .value = config->unclean ? STR("true") : STR("false") };
    return n;
}

static struct core_read_topic read_topic(const struct world *w, const struct tree *tree,
                                         struct core_read_part *parts)
{
    for (int p = 0; p < tree->topic.n_parts; p++)
        parts[p] = read_part(w, tree, p);
    return (struct core_read_topic){ .name = SIM_TOPIC,
                                     .id = w->gens[tree->topic.gen],
                                     .version = tree->topic.version,
                                     .n_parts = (size_t)tree->topic.n_parts,
                                     .parts = parts };
}

static void give_all(struct world *w, struct boss *boss, const struct reading *reading)
{
    const struct tree *tree = &reading->tree;
    struct core_read_part parts[SIM_PARTS];
    struct image_setting settings[2];
    struct image_config config = { .type = STR("topics"), .name = SIM_TOPIC, .settings = settings };
    struct core_eligible eligible[SIM_GENS * SIM_PARTS];
    struct read_stones stones;
    struct core_read_topic topic;
    struct str mark = SIM_TOPIC;
    struct core_event ev = { .kind = CORE_LOADED };

    config.n_settings = boss_settings(&tree->config, settings);
    if (w->conf.mutation == MUTATION_UNCLEAN_FREE) {
        struct zoo_config free = tree->config;

        free.unclean = 1;
        config.n_settings = boss_settings(&free, settings);
    }
    if (tree->topic.there)
        topic = read_topic(w, tree, parts);
    read_stones(w, tree, &stones);
    ev.loaded.controller_epoch = boss->epoch;
    ev.loaded.cluster_id = STR("sim");
    ev.loaded.n_nodes = reading->n_nodes;
    ev.loaded.nodes = reading->nodes;
    ev.loaded.n_topics = tree->topic.there;
    ev.loaded.topics = &topic;
    ev.loaded.n_configs = tree->config.there;
    ev.loaded.configs = &config;
    ev.loaded.n_delete_marks = tree->mark;
    ev.loaded.delete_marks = &mark;
    ev.loaded.n_tombstones = stones.n;
    ev.loaded.tombstones = stones.at;
    ev.loaded.n_eligible = read_eligible(w, boss, tree, eligible);
    ev.loaded.eligible = eligible;
    ev.loaded.pid_block = (struct core_pid_block){ .broker = -1, .first = -1, .last = -1 };
    TRACE(w, "%s has loaded", node_name(boss->node));
    if (reading->is_first)
        boss_check_warm(w, boss, reading->ring, tree);
    boss->writer.doubtful = false;
    boss->writer.certain = boss->writer.number;
    boss->reloading = false;
    boss_step(w, boss, &ev);
}

static void give(struct world *w, struct boss *boss, const struct reading *reading)
{
    struct core_event ev = { .kind = CORE_BROKER_NODES };
    struct core_read_part part, parts[SIM_PARTS];
    struct core_read_topic topic;
    struct image_setting settings[2];

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
        part = read_part(w, &reading->tree, reading->partition);
        ev.state_read.topic_id = reading->topic_id;
        ev.state_read.partition = reading->partition;
        ev.state_read.part = reading->tree.topic.there ? &part : NULL;
        break;
    case RELOAD_TOPIC:
        ev.kind = CORE_TOPIC_READ;
        ev.topic_read.name = SIM_TOPIC;
        ev.topic_read.n_settings = boss_settings(&reading->tree.config, settings);
        ev.topic_read.settings = settings;
        if (reading->tree.topic.there) {
            topic = read_topic(w, &reading->tree, parts);
            ev.topic_read.topic = &topic;
        }
        break;
    case RELOAD_PID_BLOCK:
    case RELOAD_CONFIG:
        return; /* nobody but the core writes it here */
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

void boss_read_again(struct world *w, struct boss *boss, const struct core_reload *reload)
{
    struct reading *reading = xcalloc(1, sizeof *reading);

    boss->reloading |= reload->what == RELOAD_ALL;
    reading->what = reload->what;
    reading->topic_id = reload->topic_id;
    reading->partition = reload->partition;
    reading->term = boss->term;
    read_on(w, boss, reading);
}

void boss_load(struct world *w, struct boss *boss)
{
    struct reading *reading = xcalloc(1, sizeof *reading);

    reading->what = RELOAD_ALL;
    reading->term = boss->term;
    reading->is_first = true;
    read_on(w, boss, reading);
}

void boss_on_regs(struct world *w, int i)
{
    struct boss *boss = &w->bosses[i];

    if (!boss->held || boss->nodes_due)
        return;
    boss->nodes_due = true;
    boss_read_again(w, boss, &(struct core_reload){ .what = RELOAD_BROKERS });
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
    bool half;       /* the deletion at `at` goes in two multis; this is the first */
    bool halved;     /* it is behind us */
    uint64_t number; /* of the multi that is out */
    uint64_t term;
    struct decision decision;
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
        w->conf.mutation != MUTATION_NO_SEAT_CHECK &&
        (w->conf.mutation != MUTATION_SEAT_CHECK_ONCE || batch->at == 0)) {
        for (size_t i = batch->at; i < batch->write.n; i++)
            if (!batch->stored[i])
                batch->results[i].err = ERR_FENCED;
        return;
    }
    w->decision = batch->decision;
    for (size_t i = batch->at; i < batch->until; i = group_end(batch, i))
        if (!batch->stored[i])
            zoo_group(w, &batch->write, i, group_end(batch, i) - i, batch->half, batch->results);
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
    if (batch->half && !fenced) {
        batch->half = false;
        batch->halved = true;
        send_multi(w, boss, batch);
        return;
    }
    batch->halved = false;
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
        while (batch->until < batch->write.n && !world_chance(w, 20))
            batch->until = group_end(batch, batch->until);
    }
    if (batch->ops[batch->at].kind == OP_TOPIC_DELETE && !batch->halved && world_chance(w, 50)) {
        batch->until = group_end(batch, batch->at);
        batch->half = true;
    }
    batch->number = ++boss->writer.number;
    call_for(w, boss, batch, exec_multi, done_multi);
}

static void copy_ids(struct arena *arena, struct ids *ids)
{
    ids->at = arena_dup(arena, ids->at, ids->n * sizeof ids->at[0]);
}

static void copy_op(struct arena *arena, struct core_op *op)
{
    struct core_op_part *parts;
    struct image_setting *settings;

    switch (op->kind) {
    case OP_STATE_CREATE:
    case OP_STATE_SET:
        copy_ids(arena, &op->state.state.isr);
        break;
    case OP_TOPIC_CREATE:
    case OP_TOPIC_SET:
        op->topic_node.parts = parts =
            arena_dup(arena, op->topic_node.parts, op->topic_node.n_parts * sizeof *parts);
        for (size_t i = 0; i < op->topic_node.n_parts; i++) {
            copy_ids(arena, &parts[i].replicas);
            copy_ids(arena, &parts[i].adding);
            copy_ids(arena, &parts[i].removing);
        }
        break;
    case OP_CONFIG_SET:
        op->config.type = arena_str(arena, op->config.type);
        op->config.settings = settings =
            arena_dup(arena, op->config.settings, op->config.n_settings * sizeof *settings);
        for (size_t i = 0; i < op->config.n_settings; i++) {
            settings[i].key = arena_str(arena, settings[i].key);
            settings[i].value = arena_str(arena, settings[i].value);
        }
        break;
    case OP_TOMBSTONES_SET:
        op->tombstones.parts = arena_dup(arena, op->tombstones.parts,
                                         op->tombstones.n * sizeof op->tombstones.parts[0]);
        break;
    case OP_ELIGIBLE_SET:
        copy_ids(arena, &op->eligible.replicas);
        break;
    default: /* nothing of theirs is looked at */
        break;
    }
}

static void break_deletion(const struct world *w, struct arena *arena, struct core_eligible *going)
{
    const struct zoo_eligible *old =
        &w->zoo->tree.eligible[gen_of(w, going->topic_id)][going->partition];

    if (w->conf.mutation != MUTATION_ELIGIBLE_OLD && w->conf.mutation != MUTATION_ELIGIBLE_KEPT)
        return;
    going->replicas =
        (struct ids){ .at = arena_dup(arena, old->ids, sizeof old->ids), .n = old->n };
    if (w->conf.mutation == MUTATION_ELIGIBLE_OLD)
        return;
    going->leader_epoch = old->leader_epoch;
    going->partition_epoch = old->version;
    going->min_isr = old->min_isr;
}

/* Rules broken in what goes out; the core takes it for stored as it wanted it. */
static void break_op(const struct world *w, struct arena *arena, struct core_op *op)
{
    const struct tree *tree = &w->zoo->tree;
    const struct zoo_part *part;
    struct leader_isr *state = &op->state.state;

    if (w->conf.mutation == MUTATION_STONE_UNSTORED && op->kind == OP_TOMBSTONES_SET)
        op->tombstones.n = 0;
    if (op->kind == OP_ELIGIBLE_SET && op->eligible.replicas.n == 0)
        break_deletion(w, arena, &op->eligible);
    if (op->kind != OP_STATE_SET)
        return;
    part = &tree->topic.parts[op->state.partition];
    if (w->conf.mutation == MUTATION_EPOCH_KEPT &&
        state->leader != tree->states[op->state.partition].leader)
        state->leader_epoch = tree->states[op->state.partition].leader_epoch;
    if (w->conf.mutation == MUTATION_CANCEL_WIDE && part->n_adding > 0) {
        struct ids origin = { .at = arena_alloc(arena, sizeof part->replicas), .n = 0 };
        int32_t *at = (int32_t *)(uintptr_t)origin.at;

        for (uint32_t i = 0; i < part->n_replicas; i++)
            if (!ids_has((struct ids){ .at = part->adding, .n = part->n_adding },
                         part->replicas[i]))
                at[origin.n++] = part->replicas[i];
        state->isr = origin;
    }
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
        copy_op(&batch->arena, &batch->ops[i]);
        break_op(w, &batch->arena, &batch->ops[i]);
    }
    batch->epoch_version = boss->epoch_version;
    batch->term = boss->term;
    boss_note_decision(w, boss, &batch->decision);
    send_multi(w, boss, batch);
    batch_drop(batch);
}
