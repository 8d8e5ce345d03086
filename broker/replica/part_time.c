/*
 * What time and the controller bring to a partition.
 *
 * Time means something to a leader that has a follower behind it or a proposal pending, and to
 * nobody else: such a partition is restless. A step that makes it so has it join the list of all
 * that are, which are looked at with every tick; thousands of others cost nothing. Under load all
 * that are written to are restless for the moment that their followers need.
 *
 * The list is a stack with one compare-and-swap to join. Whoever looks takes the whole of it, and
 * those that are still restless join again.
 */
#include <stdatomic.h>

#include "broker/replica/part_int.h"
#include "broker/tables/stats.h"

void part_look_at_time_locked(struct part *part, struct aftermath *after)
{
    lock_assert_held(&part->state);
    if (part->is_restless || part->env->restless == NULL || !part_is_restless(&part->core))
        return;
    part->is_restless = true;
    after->becomes_restless = true;
}

void part_join_restless(struct part *part)
{
    struct restless *restless = part->env->restless;
    struct part *first = atomic_load_explicit(&restless->first, memory_order_relaxed);

    part_ref(part);
    do
        part->next_restless = first;
    while (!atomic_compare_exchange_weak_explicit(&restless->first, &first, part,
                                                  memory_order_release, memory_order_relaxed));
}

/* Before the step, so that one that comes in between is not lost: at worst it is looked at twice.
 */
static void leave_restless(struct part *part)
{
    lock_take(&part->state);
    part->is_restless = false;
    lock_drop(&part->state);
}

size_t part_tick_restless(struct restless *restless, int64_t now_ms)
{
    struct part *part = atomic_exchange_explicit(&restless->first, NULL, memory_order_acquire);
    size_t count = 0;

    while (part != NULL) {
        struct part *next = part->next_restless;

        leave_restless(part);
        part_tick(part, now_ms);
        part_unref(&part);
        part = next;
        count++;
    }
    return count;
}

void part_forget_restless(struct restless *restless)
{
    struct part *part = atomic_exchange_explicit(&restless->first, NULL, memory_order_acquire);

    while (part != NULL) {
        struct part *next = part->next_restless;

        part_unref(&part);
        part = next;
    }
}

void part_set_live(struct part *part, int32_t broker, int64_t broker_epoch, bool live,
                   int64_t now_ms)
{
    struct part_event ev = { .kind = PART_EV_LIVE,
                             .live = { .id = broker, .broker_epoch = broker_epoch, .live = live } };

    part_step_and_see_to(part, &ev, now_ms);
}

void part_tick(struct part *part, int64_t now_ms)
{
    struct part_event ev = { .kind = PART_EV_TICK };

    part_step_and_see_to(part, &ev, now_ms);
}

void part_resend(struct part *part, int64_t now_ms)
{
    struct part_event ev = { .kind = PART_EV_RESEND };

    part_step_and_see_to(part, &ev, now_ms);
}

void part_decided(struct part *part, uint64_t proposal_id, enum err err, int64_t now_ms)
{
    struct part_event ev = { .kind = PART_EV_DECIDED,
                             .decided = { .proposal_id = proposal_id, .err = err } };

    STAT_ADD(isr_failed, err != ERR_OK);
    part_step_and_see_to(part, &ev, now_ms);
}

void part_stop(struct part *part, int64_t now_ms)
{
    struct part_event ev = { .kind = PART_EV_STOP };

    part_step_and_see_to(part, &ev, now_ms);
}

size_t part_retain(struct part *part, int64_t wall_ms, int64_t now_ms)
{
    struct aftermath after = { .low_watermark = -1 };

    lock_take(&part->append);
    lock_take(&part->state);
    bool is_closed = part->closed != ERR_OK; /* its log may be another partition's by now */
    int64_t hw = part->core.hw;
    lock_drop(&part->state);
    size_t deleted = is_closed ? 0 : log_retain(part_log(part), hw, wall_ms);
    if (deleted > 0)
        part_note_start(part, now_ms, &after);
    lock_drop(&part->append);
    if (deleted > 0)
        part_see_to(part, &after);
    return deleted;
}
