/*
 * Blocks of a thousand producer ids. All who wait share one write, which moves the end of the last
 * block; only then are the blocks given out: a crash wastes ids, it never repeats them. What was
 * given out is known here, too: a znode that another hand removed or set back does not bring it
 * back.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

#define BLOCK_SIZE 1000

static void answer(struct core *core, uint64_t stream, uint64_t number, enum err err, int64_t first)
{
    emit(core, CORE_DO_ANSWER_PID_BLOCK)->answer_pid_block =
        (struct core_answer_pid_block){ .stream = stream,
                                        .number = number,
                                        .err = err,
                                        .first = err == ERR_OK ? first : -1,
                                        .count = err == ERR_OK ? BLOCK_SIZE : 0 };
}

void pids_on_wanted(struct core *core, const struct core_pid_block_wanted *wanted)
{
    struct broker *b = broker_of_stream(core, wanted->stream);
    struct wait_pid *wait;

    if (b == NULL || b->epoch != wanted->broker_epoch) {
        answer(core, wanted->stream, wanted->number, ERR_STALE_BROKER_EPOCH, -1);
        return;
    }
    wait = xcalloc(1, sizeof *wait);
    wait->stream = wanted->stream;
    wait->number = wanted->number;
    wait->broker = b->id;
    STAILQ_INSERT_TAIL(&core->pids, wait, link);
}

void pids_drop(struct core *core, uint64_t stream, bool all)
{
    struct wait_pid *wait, *next;

    for (wait = STAILQ_FIRST(&core->pids); wait != NULL; wait = next) {
        next = STAILQ_NEXT(wait, link);
        if (!all && wait->stream != stream)
            continue;
        STAILQ_REMOVE(&core->pids, wait, wait_pid, link);
        free(wait);
    }
}

void pids_keep(struct core *core, int64_t last)
{
    struct core_pid_block *block = &core->pid_block;

    if (block->last >= last)
        return;
    core_say(core, CORE_SAY_WARN,
             "another hand removed or set back the block of producer ids, going on behind it "
             "block_end=%" PRId64 " known=%" PRId64,
             block->last, last);
    block->last = last;
}

void pids_on_read(struct core *core, const struct core_pid_block *read)
{
    int64_t last = core->pid_block.last;

    core->pid_block = *read;
    core->pid_block_asked = false;
    pids_keep(core, last);
}

void pids_plan(struct core *core)
{
    struct plan *plan = core->making;
    struct core_pid_block next = core->pid_block;
    struct wait_pid *wait;

    if (STAILQ_EMPTY(&core->pids) || core->pid_block_asked || core->now_ms < core->pid_after_ms)
        return;
    STAILQ_FOREACH (wait, &core->pids, link) {
        wait->first = next.last + 1;
        next.broker = wait->broker;
        next.first = next.last + 1;
        next.last += BLOCK_SIZE;
        wait->in_plan = true;
    }

    struct plan_item *item = plan_item(plan, PLAN_PID_BLOCK);
    struct core_op *op = plan_op(plan, OP_PID_BLOCK_SET, STR_NULL, true);

    item->n_ops = 1;
    op->version = core->pid_block.version;
    op->pid_block = next;
}

/* The first failure is nothing but a version that was not known; and after a lost connection
 * everything is read again first. */
static void put_off(struct core *core, enum err err)
{
    if (err == ERR_CONNECTION_LOSS || core->pid_failures++ == 0)
        return;
    core->pid_after_ms = core->now_ms + back_off_ms(core->pid_failures - 1);
    core_say(core, CORE_SAY_WARN, "cannot store a block of producer ids, trying again err=%s",
             err_name(err));
}

int64_t pids_next_ms(const struct core *core)
{
    return STAILQ_EMPTY(&core->pids) ? NEVER_MS : core->pid_after_ms;
}

void pids_done(struct core *core, struct plan_item *item, const struct core_op_result *results)
{
    struct wait_pid *wait, *next;

    if (item->err == ERR_OK) {
        core->pid_failures = 0;
        core->pid_block = core->writing->ops[item->first_op].pid_block;
        core->pid_block.version = results[item->first_op].version;
    } else {
        put_off(core, item->err);
        if (!core->pid_block_asked)
            core_reload(core, (struct core_reload){ .what = RELOAD_PID_BLOCK });
        core->pid_block_asked = true;
    }
    for (wait = STAILQ_FIRST(&core->pids); wait != NULL; wait = next) {
        next = STAILQ_NEXT(wait, link);
        if (!wait->in_plan)
            continue;
        wait->in_plan = false;
        if (item->err != ERR_OK)
            continue; /* once more with what is read then */
        answer(core, wait->stream, wait->number, ERR_OK, wait->first);
        STAILQ_REMOVE(&core->pids, wait, wait_pid, link);
        free(wait);
    }
}
