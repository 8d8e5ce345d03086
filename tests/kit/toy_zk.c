/*
 * What becomes of the toy's ZooKeeper by each operation: versions are checked as there, and what no
 * write may break (epochs never go back, an ISR is never empty) is asserted.
 */
#include "tests/kit/toy_core.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h" /* ARRAY_LEN */

struct toy_topic *toy_topic(struct toy *toy, const char *name)
{
    for (size_t i = 0; i < TOY_TOPICS; i++) {
        if (toy->topics[i].there && strcmp(toy->topics[i].name, name) == 0)
            return &toy->topics[i];
    }
    return NULL;
}

struct toy_topic *toy_topic_of(struct toy *toy, struct str name)
{
    char text[64];

    snprintf(text, sizeof text, "%.*s", STR_ARG(name));
    return toy_topic(toy, text);
}

const struct toy_part *toy_part(struct toy *toy, const char *name, int32_t partition)
{
    struct toy_topic *topic = toy_topic(toy, name);

    ck_assert_ptr_nonnull(topic);
    ck_assert_int_lt(partition, (int32_t)topic->n_parts);
    return &topic->parts[partition];
}

static void set_ids(int32_t *to, struct ids ids)
{
    ck_assert_uint_le(ids.n, 8);
    if (ids.n > 0)
        memcpy(to, ids.at, ids.n * sizeof *to);
}

static struct core_op_result do_state(struct toy *toy, const struct core_op *op)
{
    struct toy_topic *topic = toy_topic_of(toy, op->topic);
    struct toy_part *part;

    if (topic == NULL)
        return (struct core_op_result){ .err = ERR_NOT_FOUND };
    part = &topic->parts[op->state.partition];
    if (toy->stuck != NULL && strcmp(topic->name, toy->stuck) == 0)
        return (struct core_op_result){ .err = ERR_BAD_VERSION };
    if (op->kind == OP_STATE_SET && !part->has_state)
        return (struct core_op_result){ .err = ERR_NOT_FOUND };
    if (op->kind == OP_STATE_CREATE && part->has_state)
        return (struct core_op_result){ .err = ERR_EXISTS };
    if (op->kind == OP_STATE_SET && part->state.partition_epoch != op->version)
        return (struct core_op_result){ .err = ERR_BAD_VERSION };
    ck_assert_uint_gt(op->state.state.isr.n, 0);
    /* invariants that no write may break */
    if (part->has_state && leader_isr_valid(&part->state)) {
        ck_assert_int_ge(op->state.state.leader_epoch, part->state.leader_epoch);
        if (op->state.state.leader != part->state.leader)
            ck_assert_int_gt(op->state.state.leader_epoch, part->state.leader_epoch);
    }

    int32_t version = part->has_state ? part->state.partition_epoch + 1 : 0;

    part->state = op->state.state;
    set_ids(part->isr, op->state.state.isr);
    part->state.isr.at = part->isr;
    part->state.partition_epoch = version;
    part->state_epoch = toy->controller_epoch;
    part->has_state = true;
    part->is_garbled = false;
    return (struct core_op_result){ .err = ERR_OK, .version = version };
}

static struct core_op_result do_topic(struct toy *toy, const struct core_op *op)
{
    struct toy_topic *topic = toy_topic_of(toy, op->topic);

    if (op->kind == OP_TOPIC_CREATE) {
        if (topic != NULL)
            return (struct core_op_result){ .err = ERR_EXISTS };
        for (topic = toy->topics; topic->there; topic++)
            ck_assert(topic < &toy->topics[TOY_TOPICS - 1]);
        memset(topic, 0, sizeof *topic);
        topic->there = true;
        topic->version = -1;
        topic->id = op->topic_node.id;
        snprintf(topic->name, sizeof topic->name, "%.*s", STR_ARG(op->topic));
    }
    if (topic == NULL)
        return (struct core_op_result){ .err = ERR_NOT_FOUND };
    if (op->kind == OP_TOPIC_SET && op->version != -1 && op->version != topic->version)
        return (struct core_op_result){ .err = ERR_BAD_VERSION };
    ck_assert(uuid_is_zero(topic->id) || uuid_eq(topic->id, op->topic_node.id));
    topic->id = op->topic_node.id;
    topic->is_garbled = false;
    topic->version++;
    topic->n_parts = op->topic_node.n_parts;
    for (size_t i = 0; i < topic->n_parts; i++) {
        const struct core_op_part *part = &op->topic_node.parts[i];

        struct toy_part *to = &topic->parts[part->index];

        set_ids(to->replicas, part->replicas);
        to->n_replicas = part->replicas.n;
        set_ids(to->adding, part->adding);
        to->n_adding = part->adding.n;
        set_ids(to->removing, part->removing);
        to->n_removing = part->removing.n;
    }
    return (struct core_op_result){ .err = ERR_OK, .version = topic->version };
}

static void do_mark(struct toy *toy, struct str name, bool there)
{
    for (size_t i = 0; i < toy->n_marks; i++) {
        if (!str_is(name, toy->marks[i]))
            continue;
        if (!there)
            memcpy(toy->marks[i], toy->marks[--toy->n_marks], sizeof toy->marks[i]);
        return;
    }
    if (there)
        snprintf(toy->marks[toy->n_marks++], sizeof toy->marks[0], "%.*s", STR_ARG(name));
}

static void do_tombstones(struct toy *toy, const struct core_tombstones *stones)
{
    size_t n = 0;

    for (size_t i = 0; i < toy->n_stones; i++) {
        if (toy->stones[i].broker != stones->broker ||
            !uuid_eq(toy->stones[i].topic_id, stones->topic_id))
            toy->stones[n++] = toy->stones[i];
    }
    for (size_t i = 0; i < stones->n; i++) {
        ck_assert_uint_lt(n, ARRAY_LEN(toy->stones));
        toy->stones[n++] =
            (struct image_tombstone){ .broker = stones->broker,
                                      .topic_id = stones->topic_id,
                                      .topic = STR("gone"),
                                      .partition = stones->parts[i].partition,
                                      .leader_epoch = stones->parts[i].leader_epoch };
    }
    toy->n_stones = n;
}

static void do_moves(struct toy *toy, const struct core_named_parts *moves)
{
    ck_assert_uint_le(moves->n, ARRAY_LEN(toy->moves.at));
    toy->moves.there = moves->n > 0;
    toy->moves.n = moves->n;
    for (size_t i = 0; i < moves->n; i++) {
        snprintf(toy->moves.at[i].topic, sizeof toy->moves.at[i].topic, "%.*s",
                 STR_ARG(moves->at[i].topic));
        toy->moves.at[i].partition = moves->at[i].partition;
        set_ids(toy->moves.at[i].replicas, moves->at[i].replicas);
        toy->moves.at[i].n_replicas = moves->at[i].replicas.n;
    }
}

static void do_eligible(struct toy *toy, const struct core_eligible *eligible)
{
    for (size_t i = 0; i < TOY_TOPICS; i++) {
        struct toy_part *part = &toy->topics[i].parts[eligible->partition];

        if (!toy->topics[i].there || !uuid_eq(toy->topics[i].id, eligible->topic_id))
            continue;
        part->has_eligible = eligible->replicas.n > 0;
        part->eligible = *eligible;
        part->eligible.controller_epoch = toy->controller_epoch;
        set_ids(part->eligible_ids, eligible->replicas);
        part->eligible.replicas.at = part->eligible_ids;
    }
}

static void put_config(struct toy *toy, const struct image_config *config)
{
    image_add(toy->configs, &(struct image_delta){ .n_configs = 1, .configs = config });
}

struct core_op_result toy_do(struct toy *toy, const struct core_op *op)
{
    struct core_op_result ok = { .err = ERR_OK };
    struct toy_topic *topic;

    if (toy->fails[op->kind])
        return (struct core_op_result){ .err = ERR_TOO_LARGE };
    switch (op->kind) {
    case OP_STATE_CREATE:
    case OP_STATE_SET:
        return do_state(toy, op);
    case OP_TOPIC_CREATE:
    case OP_TOPIC_SET:
        return do_topic(toy, op);
    case OP_TOPIC_DELETE:
        if ((topic = toy_topic_of(toy, op->topic)) != NULL)
            topic->there = false;
        put_config(toy, &(struct image_config){ STR("topics"), op->topic, 0, NULL });
        do_mark(toy, op->topic, false);
        break;
    case OP_MARK_CREATE:
    case OP_MARK_DELETE:
        do_mark(toy, op->topic, op->kind == OP_MARK_CREATE);
        break;
    case OP_TOMBSTONES_SET:
        do_tombstones(toy, &op->tombstones);
        break;
    case OP_CONFIG_SET:
        put_config(toy, &op->config);
        break;
    case OP_CONFIG_NOTIFY:
        break;
    case OP_PID_BLOCK_SET:
        if (op->version != toy->pid_block.version)
            return (struct core_op_result){ .err = ERR_BAD_VERSION };
        ok.version = op->version + 1;
        toy->pid_block = op->pid_block;
        toy->pid_block.version = ok.version;
        break;
    case OP_MOVES_SET:
        do_moves(toy, &op->moves);
        break;
    case OP_ELIGIBLE_SET:
        do_eligible(toy, &op->eligible);
        break;
    case OP_ELECTIONS_DONE:
        toy->elections_there = false;
        break;
    }
    return ok;
}
