/*
 * What only a controller reads: marks, tombstones, who may lead beside an ISR, whether all of late
 * were ours, the producer ids, and notes that a full read supersedes.
 */
#include "controller/shell/load_int.h"

#include "common/base/mem.h"
#include "common/base/say.h"

void load_on_marks(struct job *job, struct item *item, const struct zk_answer *answer)
{
    (void)item;
    for (size_t i = 0; i < answer->n_children; i++) {
        struct str *name = arena_alloc(&job->arena, sizeof *name);

        *name = load_keep(job, answer->children[i]);
        load_add(&job->marks, name);
    }
}

static bool can_be(const struct core_tombstones *stones, const struct zk_tombstones *read)
{
    for (size_t i = 0; i < read->n; i++) {
        struct image_tombstone one = { .broker = stones->broker,
                                       .topic_id = stones->topic_id,
                                       .topic = read->topic,
                                       .partition = read->at[i].partition,
                                       .leader_epoch = read->at[i].leader_epoch };

        if (!image_tombstone_valid(&one))
            return false;
    }
    return true;
}

static void on_tombstone(struct job *job, struct item *item, const struct zk_answer *answer)
{
    struct core_tombstones *stones = item->target;
    struct core_tombstone_part *parts;
    struct zk_tombstones read;

    if (answer->err != ERR_OK)
        return;
    if (zk_parse_tombstones(&job->arena, answer->data, &read) != ERR_OK || !can_be(stones, &read)) {
        say_error("cannot read tombstones, passed over path=%.*s", STR_ARG(answer->path));
        return;
    }
    parts = arena_zalloc(&job->arena, read.n, sizeof *parts);
    for (size_t i = 0; i < read.n; i++)
        parts[i] = (struct core_tombstone_part){ .partition = read.at[i].partition,
                                                 .leader_epoch = read.at[i].leader_epoch };
    stones->topic = read.topic;
    stones->n = read.n;
    stones->parts = parts;
    load_add(&job->tombstones, stones);
}

void load_on_tombstones(struct job *job, struct item *item, const struct zk_answer *answer)
{
    (void)item;
    for (size_t i = 0; i < answer->n_children; i++) {
        struct core_tombstones *stones = arena_zalloc(&job->arena, 1, sizeof *stones);

        if (zk_leaf_tombstones(answer->children[i], &stones->broker, &stones->topic_id))
            load_read(job, READ_DATA,
                      zk_path_child(&job->arena, ZK_TOMBSTONES, answer->children[i]), on_tombstone,
                      stones);
    }
}

static void on_eligible_one(struct job *job, struct item *item, const struct zk_answer *answer)
{
    struct core_eligible *eligible = item->target;
    struct zk_eligible read;

    if (answer->err != ERR_OK)
        return;
    if (zk_parse_eligible(&job->arena, answer->data, &read) != ERR_OK ||
        !ids_valid(read.replicas)) {
        say_error("cannot read who may lead, passed over path=%.*s", STR_ARG(answer->path));
        return;
    }
    eligible->controller_epoch = read.controller_epoch;
    eligible->leader_epoch = read.leader_epoch;
    eligible->partition_epoch = read.partition_epoch;
    eligible->min_isr = read.min_isr;
    eligible->replicas = read.replicas;
    load_add(&job->eligible, eligible);
}

void load_on_eligible(struct job *job, struct item *item, const struct zk_answer *answer)
{
    (void)item;
    for (size_t i = 0; i < answer->n_children; i++) {
        struct core_eligible *eligible = arena_zalloc(&job->arena, 1, sizeof *eligible);

        if (zk_leaf_eligible(answer->children[i], &eligible->topic_id, &eligible->partition))
            load_read(job, READ_DATA, zk_path_child(&job->arena, ZK_ELIGIBLE, answer->children[i]),
                      on_eligible_one, eligible);
    }
}

void load_on_ours(struct job *job, struct item *item, const struct zk_answer *answer)
{
    (void)item;
    if (answer->err != ERR_OK || zk_parse_ours(&job->arena, answer->data, &job->ours) != ERR_OK)
        job->ours = (struct zk_ours){ .first = job->epoch, .last = job->epoch };
}

void load_on_pid_block(struct job *job, struct item *item, const struct zk_answer *answer)
{
    struct zk_pid_block block;

    (void)item;
    if (answer->err != ERR_OK)
        return;
    if (zk_parse_pid_block(&job->arena, answer->data, &block) != ERR_OK) {
        load_refuse(job, xasprintf("cannot read the block of producer ids path=%.*s data=%.*s",
                                   STR_ARG(answer->path), STR_ARG(answer->data)));
        return;
    }
    job->there = true;
    job->pid_block = (struct core_pid_block){ .broker = block.broker,
                                              .first = block.first,
                                              .last = block.last,
                                              .version = answer->stat.version };
}

/* What a full read supersedes. */
void load_on_old_notes(struct job *job, struct item *item, const struct zk_answer *answer)
{
    for (size_t i = 0; i < answer->n_children; i++)
        zk_delete(job->zk, zk_path_child(&job->arena, item->path, answer->children[i]),
                  ZK_ANY_VERSION, NULL, NULL);
}
