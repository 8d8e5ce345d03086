/*
 * Who has to go leaves first; then, if the leader is among them, the first replica in sync that is
 * left and lives takes over. A leader that is merely not heard of for a moment keeps all it has.
 */
#include "controller/core/choose.h"

#include <assert.h>

static uint8_t what_is(const struct choice *c, int32_t id)
{
    for (uint32_t i = 0; i < c->part->replicas.n; i++) {
        if (c->part->replicas.at[i] == id)
            return c->replicas[i];
    }
    return REPLICA_GONE | REPLICA_CERTAIN;
}

static bool is(uint8_t what, unsigned bits)
{
    return (what & bits) != 0;
}

/* May lead a new epoch. */
static bool may_lead(uint8_t what)
{
    return is(what, REPLICA_LIVE) && !is(what, REPLICA_GONE | REPLICA_LEAVING | REPLICA_STOPPING);
}

/* Keeps its place in an ISR whose leader lives. */
static bool may_stay(uint8_t what)
{
    return !is(what, REPLICA_GONE | REPLICA_LEAVING | REPLICA_STOPPING);
}

/* The ISR without those that must go; keep stays in any case. */
static struct ids isr_of_stayers(const struct choice *c, int32_t keep, int32_t *room)
{
    struct ids left = { .at = room, .n = 0 };

    for (uint32_t i = 0; i < c->part->isr.n; i++) {
        int32_t id = c->part->isr.at[i];

        if (id == keep || may_stay(what_is(c, id)))
            room[left.n++] = id;
    }
    return left;
}

/* Without members that may have lost records. When that is everybody, those take their place who
 * were eligible beside them, for they have all that is committed; and without any of these either
 * it stays, for an ISR is never empty. Other hands may have made replicas fewer than the eligible.
 */
static struct ids isr_of_clean(const struct choice *c, int32_t *room)
{
    struct ids isr = c->part->isr, replicas = c->part->replicas, left = { .at = room, .n = 0 };

    for (uint32_t i = 0; i < isr.n; i++) {
        if (!is(what_is(c, isr.at[i]), REPLICA_UNCLEAN))
            room[left.n++] = isr.at[i];
    }
    if (left.n > 0)
        return left;
    for (uint32_t i = 0; i < replicas.n; i++) {
        if (!is(c->replicas[i], REPLICA_UNCLEAN) && ids_has(c->eligible, replicas.at[i]))
            room[left.n++] = replicas.at[i];
    }
    return left.n > 0 ? left : isr;
}

/* Somebody who has all that is committed although it is not in the ISR, once nobody who is in it
 * can be waited for. */
static int32_t first_eligible(const struct choice *c)
{
    for (uint32_t i = 0; i < c->part->isr.n; i++) {
        if (!is(what_is(c, c->part->isr.at[i]), REPLICA_GONE | REPLICA_UNCLEAN))
            return LEADER_NONE;
    }
    for (uint32_t i = 0; i < c->part->replicas.n; i++) {
        if (may_lead(c->replicas[i]) && ids_has(c->eligible, c->part->replicas.at[i]))
            return c->part->replicas.at[i];
    }
    return LEADER_NONE;
}

static bool first_born(const struct choice *c, struct leader_isr *next, int32_t *room)
{
    *next = (struct leader_isr){ .leader = LEADER_NONE, .isr = { .at = room, .n = 0 } };
    for (uint32_t i = 0; i < c->part->replicas.n; i++) {
        int32_t id = c->part->replicas.at[i];

        if (!may_lead(c->replicas[i]))
            continue;
        if (next->leader == LEADER_NONE)
            next->leader = id;
        room[next->isr.n++] = id;
    }
    return next->leader != LEADER_NONE;
}

static int32_t first_in_sync(const struct choice *c)
{
    for (uint32_t i = 0; i < c->part->replicas.n; i++) {
        if (may_lead(c->replicas[i]) && ids_has(c->part->isr, c->part->replicas.at[i]))
            return c->part->replicas.at[i];
    }
    return LEADER_NONE;
}

/* Somebody in sync, or eligible, is only not heard of, or about to be told what it is. */
static bool may_wait(const struct choice *c)
{
    for (uint32_t i = 0; i < c->part->isr.n; i++) {
        if (!is(what_is(c, c->part->isr.at[i]), REPLICA_GONE))
            return true;
    }
    for (uint32_t i = 0; i < c->eligible.n; i++) {
        if (!is(what_is(c, c->eligible.at[i]), REPLICA_GONE))
            return true;
    }
    return false;
}

static bool elect_uncleanly(const struct choice *c, struct leader_isr *next, int32_t *room)
{
    if (!c->unclean || (may_wait(c) && !c->forced))
        return false;
    for (uint32_t i = 0; i < c->part->replicas.n; i++) {
        if (!may_lead(c->replicas[i]))
            continue;
        room[0] = next->leader = c->part->replicas.at[i];
        next->isr = (struct ids){ .at = room, .n = 1 };
        next->recovering = true;
        return true;
    }
    return false;
}

/* The leader cannot stay where it is. */
static bool replace(const struct choice *c, uint8_t leader, struct leader_isr *next, int32_t *room)
{
    const struct image_part *part = c->part;

    next->leader_epoch++;
    if ((next->leader = first_in_sync(c)) != LEADER_NONE) {
        next->isr = isr_of_stayers(c, next->leader, room);
        return true;
    }
    next->isr = isr_of_clean(c, room);
    if (part->leader != LEADER_NONE && is(leader, REPLICA_LEAVING) &&
        !is(leader, REPLICA_GONE | REPLICA_STOPPING) && ids_has(next->isr, part->leader)) {
        /* nobody else: the new process takes over from the old one. The dead leave once it lives.
         */
        next->leader = part->leader;
        return true;
    }
    if ((next->leader = first_eligible(c)) != LEADER_NONE) {
        room[0] = next->leader;
        next->isr = (struct ids){ .at = room, .n = 1 };
        return true;
    }
    if (elect_uncleanly(c, next, room))
        return true;
    if (part->leader == LEADER_NONE)
        return !ids_eq(next->isr, part->isr);
    if (is(leader, REPLICA_LEAVING))
        return true; /* it must not go on in the old epoch */
    /* who is about to lead needs no write in between */
    if (is(leader, REPLICA_GONE) && is(leader, REPLICA_CERTAIN) && !may_wait(c))
        return true;
    /* but who may have lost records must be out of the ISR before it can be elected from it */
    next->leader = part->leader;
    return !ids_eq(next->isr, part->isr);
}

bool choose_leader(const struct choice *c, struct leader_isr *next, int32_t *isr_room)
{
    const struct image_part *part = c->part;
    uint8_t leader =
        part->leader == LEADER_NONE ? REPLICA_GONE | REPLICA_CERTAIN : what_is(c, part->leader);

    if (part->leader_epoch < 0)
        return first_born(c, next, isr_room);
    *next = image_part_state(part);
    if (part->leader == LEADER_NONE || !may_stay(leader))
        return replace(c, leader, next, isr_room);
    /* a leader that is not heard of cannot be told, and nobody else decides for it */
    next->isr = is(leader, REPLICA_LIVE) ? isr_of_stayers(c, part->leader, isr_room)
                                         : isr_of_clean(c, isr_room);
    if (next->isr.n == part->isr.n)
        return false;
    next->leader_epoch++;
    return true;
}

bool choose_preferred(const struct choice *c, struct leader_isr *next)
{
    const struct image_part *part = c->part;

    if (part->replicas.n == 0 || part->leader == LEADER_NONE ||
        part->leader == part->replicas.at[0] || !may_lead(c->replicas[0]) ||
        !ids_has(part->isr, part->replicas.at[0]))
        return false;
    *next = image_part_state(part);
    next->leader = part->replicas.at[0];
    next->leader_epoch++;
    return true;
}

bool choose_other(const struct choice *c, struct leader_isr *next)
{
    const struct image_part *part = c->part;

    *next = image_part_state(part);
    next->leader_epoch++;
    for (uint32_t i = 0; i < part->replicas.n; i++) {
        next->leader = part->replicas.at[i];
        if (next->leader != part->leader && ids_has(part->isr, next->leader) &&
            may_lead(c->replicas[i]) && !is(c->replicas[i], REPLICA_YIELDS))
            return true;
    }
    return false;
}

bool choose_among(const struct choice *c, struct ids replicas, struct leader_isr *next,
                  int32_t *isr_room)
{
    const struct image_part *part = c->part;
    int32_t heir = LEADER_NONE;

    *next = image_part_state(part);
    next->leader_epoch++;
    next->isr = (struct ids){ .at = isr_room, .n = 0 };
    for (uint32_t i = 0; i < part->isr.n; i++) {
        if (ids_has(replicas, part->isr.at[i]))
            isr_room[next->isr.n++] = part->isr.at[i];
    }
    if (next->isr.n == 0)
        return false;
    if (part->leader != LEADER_NONE && ids_has(replicas, part->leader) &&
        may_stay(what_is(c, part->leader)))
        return true;
    for (uint32_t i = 0; i < replicas.n && heir == LEADER_NONE; i++) {
        if (ids_has(next->isr, replicas.at[i]) && may_lead(what_is(c, replicas.at[i])))
            heir = replicas.at[i];
    }
    if (heir != LEADER_NONE)
        next->leader = heir;
    /* a leader that stays a replica and cannot be replaced is no matter of this move */
    return heir != LEADER_NONE || part->leader == LEADER_NONE || ids_has(replicas, part->leader);
}

bool choose_has_all(const struct choice *c, struct ids replicas)
{
    for (uint32_t i = 0; i < replicas.n; i++) {
        if (!ids_has(c->part->isr, replicas.at[i]) || !may_lead(what_is(c, replicas.at[i])))
            return false;
    }
    return c->part->leader != LEADER_NONE;
}
