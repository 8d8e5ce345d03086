/*
 * What the controllers store, by meaning: a group of operations is carried out on the tree one
 * after the other, and when one fails the tree is as it was before. States go by the topic's name,
 * as their paths do; tombstones and eligible leaders by its id.
 */
#include <assert.h>
#include <string.h>

#include "tests/sim/sim.h"

int gen_of(const struct world *w, struct uuid topic_id)
{
    for (int gen = 0; gen < w->n_gens; gen++)
        if (uuid_eq(w->gens[gen], topic_id))
            return gen;
    return -1;
}

static struct ids beside_state(const struct tree *tree, int p, const struct zoo_eligible *eligible)
{
    const struct zoo_state *state = &tree->states[p];

    if (!state->there || eligible->leader_epoch != state->leader_epoch ||
        eligible->version != state->version)
        return IDS_NONE;
    return (struct ids){ .at = eligible->ids, .n = eligible->n };
}

struct ids zoo_eligible(const struct tree *tree, int p)
{
    return beside_state(tree, p, &tree->eligible[tree->topic.gen][p]);
}

struct ids zoo_voided(const struct tree *tree, int p)
{
    return beside_state(tree, p, &tree->voided[tree->topic.gen][p]);
}

void zoo_tree_init(struct world *w, struct tree *tree)
{
    struct zoo_topic *topic = &tree->topic;

    memset(tree, 0, sizeof *tree);
    for (size_t i = 0; i < sizeof tree->stones / sizeof(int32_t); i++)
        (&tree->stones[0][0][0])[i] = NO_STONE;
    *topic = (struct zoo_topic){ .there = true, .n_parts = w->conf.parts };
    w->gens[w->n_gens++] = world_uuid(w);
    for (int p = 0; p < w->conf.parts; p++) {
        topic->parts[p].n_replicas = (uint32_t)w->conf.rf;
        for (int i = 0; i < w->conf.rf; i++)
            topic->parts[p].replicas[i] = (p + i) % w->conf.brokers + 1;
    }
    tree->config = (struct zoo_config){ .there = true, .unclean = -1 };
    if (!w->conf.in_files)
        tree->config.min_isr = w->conf.min_isr;
}

/* ---- one operation ---- */

static void set_ids(int32_t *at, uint32_t *n, struct ids from)
{
    assert(from.n <= SIM_BROKERS);
    *n = from.n;
    if (from.n > 0)
        memcpy(at, from.at, from.n * sizeof *at);
}

static void set_topic(struct zoo_topic *topic, const struct core_op *op)
{
    assert(op->topic_node.n_parts <= SIM_PARTS);
    topic->n_parts = (int)op->topic_node.n_parts;
    for (size_t i = 0; i < op->topic_node.n_parts; i++) {
        const struct core_op_part *from = &op->topic_node.parts[i];
        struct zoo_part *to = &topic->parts[from->index];

        set_ids(to->replicas, &to->n_replicas, from->replicas);
        set_ids(to->adding, &to->n_adding, from->adding);
        set_ids(to->removing, &to->n_removing, from->removing);
    }
}

static int new_gen(struct world *w, struct uuid id)
{
    int gen = gen_of(w, id);

    if (gen >= 0)
        return gen;
    assert(w->n_gens < SIM_GENS);
    w->gens[w->n_gens] = id;
    return w->n_gens++;
}

static enum err do_topic(struct world *w, struct tree *tree, const struct core_op *op, bool half,
                         int32_t *version)
{
    struct zoo_topic *topic = &tree->topic;

    switch (op->kind) {
    case OP_TOPIC_CREATE:
        if (topic->there)
            return ERR_EXISTS;
        *topic = (struct zoo_topic){ .there = true, .gen = new_gen(w, op->topic_node.id) };
        set_topic(topic, op);
        break;
    case OP_TOPIC_SET:
        if (!topic->there)
            return ERR_NOT_FOUND;
        if (op->version >= 0 && op->version != topic->version)
            return ERR_BAD_VERSION;
        if (!uuid_eq(w->gens[topic->gen], op->topic_node.id))
            world_fail(w, "a topic was given another id");
        w->n_moved += op->topic_node.n_parts == (size_t)topic->n_parts;
        topic->version++;
        set_topic(topic, op);
        break;
    default:
        memset(tree->states, 0, sizeof tree->states);
        if (half)
            break;
        w->n_deleted += topic->there;
        topic->there = false;
        tree->config = (struct zoo_config){ .unclean = -1 };
        tree->mark = false;
        break;
    }
    *version = topic->version;
    TRACE(w, "stored topic %s gen=%d parts=%d", topic->there ? "there" : "gone", topic->gen,
          topic->n_parts);
    return ERR_OK;
}

static void trace_state(struct world *w, const struct core_op *op, const struct zoo_state *state)
{
    char isr[2 * SIM_BROKERS + 1] = "";

    for (uint32_t i = 0; i < state->n_isr; i++) {
        isr[2 * i] = (char)('0' + state->isr[i]);
        isr[2 * i + 1] = ' ';
    }
    TRACE(w, "stored p%d leader=%d epoch=%d version=%d isr=%s controller=%d", op->state.partition,
          state->leader, state->leader_epoch, state->version, isr, state->boss_epoch);
}

static enum err do_state(struct world *w, struct tree *tree, int32_t controller_epoch,
                         const struct core_op *op, int32_t *version)
{
    struct zoo_state *state = &tree->states[op->state.partition];

    if (op->kind == OP_STATE_CREATE && state->there)
        return ERR_EXISTS;
    if (!tree->topic.there || (op->kind == OP_STATE_SET && !state->there))
        return ERR_NOT_FOUND;
    if (op->kind == OP_STATE_SET && op->version != state->version)
        return ERR_BAD_VERSION;
    state->version = state->there ? state->version + 1 : 0;
    state->there = true;
    state->leader = op->state.state.leader;
    state->leader_epoch = op->state.state.leader_epoch;
    state->recovering = op->state.state.recovering;
    state->boss_epoch = controller_epoch;
    set_ids(state->isr, &state->n_isr, op->state.state.isr);
    *version = state->version;
    if (world_traces(w))
        trace_state(w, op, state);
    return ERR_OK;
}

static void do_config(struct world *w, struct tree *tree, const struct image_config *config)
{
    struct zoo_config *to = &tree->config;
    int64_t value;

    if (!str_is(config->type, "topics"))
        return;
    *to = (struct zoo_config){ .there = config->n_settings > 0, .unclean = -1 };
    for (size_t i = 0; i < config->n_settings; i++) {
        const struct image_setting *at = &config->settings[i];

        if (str_is(at->key, "min.insync.replicas") && str_to_i64(at->value, &value))
            to->min_isr = (int)value;
        else if (str_is(at->key, "unclean.leader.election.enable"))
            to->unclean = str_is(at->value, "true");
    }
    TRACE(w, "stored settings min_isr=%d unclean=%d", to->min_isr, to->unclean);
}

static void do_stones(struct world *w, struct tree *tree, const struct core_tombstones *stones)
{
    int gen = gen_of(w, stones->topic_id), broker = stones->broker - 1;

    assert(gen >= 0);
    for (int p = 0; p < SIM_PARTS; p++)
        tree->stones[broker][gen][p] = NO_STONE;
    for (size_t i = 0; i < stones->n; i++) {
        const struct core_tombstone_part *part = &stones->parts[i];
        int32_t *ever = &w->zoo->buried[broker][gen][part->partition];

        tree->stones[broker][gen][part->partition] = part->leader_epoch;
        if (part->leader_epoch > *ever)
            *ever = part->leader_epoch;
        TRACE(w, "stored tombstone %s gen=%d p%d epoch=%d", node_name(broker), gen, part->partition,
              part->leader_epoch);
    }
}

static void do_eligible(struct world *w, struct tree *tree, int32_t controller_epoch,
                        const struct core_eligible *from)
{
    int gen = gen_of(w, from->topic_id);
    struct zoo_eligible *to = &tree->eligible[gen][from->partition];

    assert(gen >= 0);
    if (from->replicas.n == 0 && to->n > 0)
        tree->voided[gen][from->partition] = *to;
    to->boss_epoch = controller_epoch;
    to->leader_epoch = from->leader_epoch;
    to->version = from->partition_epoch;
    to->min_isr = from->min_isr;
    set_ids(to->ids, &to->n, from->replicas);
    TRACE(w, "eligible for p%d: %u of them, first %d", from->partition, to->n,
          to->n > 0 ? to->ids[0] : 0);
}

static enum err do_op(struct world *w, int32_t controller_epoch, const struct core_op *op,
                      bool half, int32_t *version)
{
    struct tree *tree = &w->zoo->tree;

    switch (op->kind) {
    case OP_STATE_CREATE:
    case OP_STATE_SET:
        return do_state(w, tree, controller_epoch, op, version);
    case OP_TOPIC_CREATE:
    case OP_TOPIC_SET:
    case OP_TOPIC_DELETE:
        return do_topic(w, tree, op, half, version);
    case OP_CONFIG_SET:
        do_config(w, tree, &op->config);
        break;
    case OP_MARK_CREATE:
    case OP_MARK_DELETE:
        tree->mark = op->kind == OP_MARK_CREATE;
        break;
    case OP_TOMBSTONES_SET:
        do_stones(w, tree, &op->tombstones);
        break;
    case OP_ELIGIBLE_SET:
        do_eligible(w, tree, controller_epoch, &op->eligible);
        break;
    case OP_CONFIG_NOTIFY:
    case OP_PID_BLOCK_SET:
    case OP_MOVES_SET:
    case OP_ELECTIONS_DONE:
        break;
    }
    return ERR_OK;
}

/* ---- groups ---- */

/* What the whole group left behind is looked at, for it is one multi. */
static void look_at(struct world *w, const struct core_op *op, const struct tree *before)
{
    if (op->kind == OP_STATE_CREATE || op->kind == OP_STATE_SET)
        promise_state(w, op->state.partition, before);
}

void zoo_group(struct world *w, const struct core_write *write, size_t first, size_t n, bool half,
               struct core_op_result *results)
{
    struct tree before = w->zoo->tree;
    bool good = true;

    for (size_t i = first; i < first + n && good; i++) {
        results[i].err =
            do_op(w, write->controller_epoch, &write->ops[i], half, &results[i].version);
        good = results[i].err == ERR_OK;
    }
    w->zoo->zxid++;
    if (!good) {
        TRACE(w, "a group failed and is undone");
        w->zoo->tree = before;
        for (size_t i = first; i < first + n; i++)
            if (results[i].err == ERR_OK)
                results[i].err = ERR_CLOSED;
        return;
    }
    for (size_t i = first; i < first + n; i++)
        look_at(w, &write->ops[i], &before);
    promise_tree(w);
}

static bool state_is_there(const struct world *w, int32_t controller_epoch,
                           const struct core_op *op, struct core_op_result *result)
{
    const struct zoo_state *state = &w->zoo->tree.states[op->state.partition];
    int32_t version = op->kind == OP_STATE_CREATE ? 0 : op->version + 1;

    if (!state->there || state->version != version || state->leader != op->state.state.leader ||
        state->leader_epoch != op->state.state.leader_epoch ||
        state->boss_epoch != controller_epoch ||
        !ids_eq(zoo_isr(&w->zoo->tree, op->state.partition), op->state.state.isr))
        return false;
    *result = (struct core_op_result){ .err = ERR_OK, .version = version };
    return true;
}

static bool topic_is_there(const struct world *w, const struct core_op *op,
                           struct core_op_result *result)
{
    const struct zoo_topic *topic = &w->zoo->tree.topic;
    int32_t version = op->kind == OP_TOPIC_CREATE ? 0 : op->version + 1;

    if (!topic->there || !uuid_eq(w->gens[topic->gen], op->topic_node.id) ||
        topic->version != version)
        return false;
    *result = (struct core_op_result){ .err = ERR_OK, .version = version };
    return true;
}

/* Asked of what cannot be done twice; a group without such is simply done again. */
bool zoo_left_behind(struct world *w, const struct core_write *write, size_t first, size_t n,
                     struct core_op_result *results)
{
    bool asked = false;

    for (size_t i = first; i < first + n; i++) {
        const struct core_op *op = &write->ops[i];

        if (op->kind == OP_STATE_CREATE || op->kind == OP_STATE_SET) {
            if (!state_is_there(w, write->controller_epoch, op, &results[i]))
                return false;
        } else if (op->kind == OP_TOPIC_CREATE || op->kind == OP_TOPIC_SET) {
            if (!topic_is_there(w, op, &results[i]))
                return false;
        } else {
            continue;
        }
        asked = true;
    }
    return asked;
}
