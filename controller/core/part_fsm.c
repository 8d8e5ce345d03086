/*
 * Partitions held against the brokers: whenever a broker's state has changed, every partition is
 * looked at and what choose says is planned. Nothing is remembered from one look to the next, so
 * that no partition can be stuck in between: as long as something is not as it should be, the next
 * look finds it.
 *
 * A replica on a failed log directory counts as gone until its broker starts anew.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/core/choose.h"
#include "controller/core/core_int.h"

#define LEADERS_FIRST 1000 /* this many that only leave an ISR can wait for one more WRITE */

static uint8_t replica_is(const struct core *core, const struct image_part *part, int32_t id)
{
    const struct broker *b = broker_get(core, id);
    uint8_t is = 0;

    if (ids_has(part->offline, id))
        return REPLICA_GONE | REPLICA_CERTAIN;
    if (b == NULL)
        return REPLICA_GONE | REPLICA_CERTAIN;
    if (b->phase == STREAM_LEAVE)
        return (uint8_t)(REPLICA_LEAVING | (b->unclean ? REPLICA_UNCLEAN : 0));
    if (b->stopping)
        is |= REPLICA_STOPPING;
    if (b->state == NODE_LIVE || b->state == NODE_STOPPING)
        is |= REPLICA_LIVE;
    if (b->state == NODE_DEAD) {
        is |= REPLICA_GONE;
        /* a new process that has been taken leave of and is about to be told what it is: it may be
         * waited for, and what was left to it stays */
        if (b->phase == STREAM_WANT_IMAGE || b->phase == STREAM_IMAGE_SENT)
            is &= (uint8_t)~REPLICA_GONE;
        else if (b->certain)
            is |= REPLICA_CERTAIN;
    }
    return is;
}

const uint8_t *part_replicas_are(const struct core *core, const struct image_part *part,
                                 struct arena *arena)
{
    uint8_t *are = arena_alloc(arena, part->replicas.n);

    for (uint32_t i = 0; i < part->replicas.n; i++)
        are[i] = replica_is(core, part, part->replicas.at[i]);
    return are;
}

bool part_decide(struct core *core, const struct image_topic *topic, const struct image_part *part,
                 struct arena *arena, struct leader_isr *next)
{
    struct choice choice = { .part = part, .replicas = part_replicas_are(core, part, arena) };
    int32_t *room = arena_alloc(arena, (part->replicas.n + part->isr.n) * sizeof *room);
    bool gone = part->leader_epoch >= 0;

    if (gone)
        choice.eligible = elr_of(core, topic->id, part);
    /* settings are looked up only where they matter: nobody in sync is left */
    for (uint32_t i = 0; i < part->isr.n && gone; i++)
        gone = (replica_is(core, part, part->isr.at[i]) & REPLICA_GONE) != 0;
    if (gone) {
        struct topic_conf conf;

        view_topic_conf(core, topic->name, &conf);
        choice.unclean = conf.unclean_leader_election;
    }
    if (!choose_leader(&choice, next, room))
        return false;
    /* the first ever, or one that was allowed to be unclean */
    if (next->leader != LEADER_NONE && !ids_has(part->isr, next->leader) &&
        !ids_has(choice.eligible, next->leader))
        return true;
    return brokers_have_word(core, part, next);
}

bool part_prefer(const struct core *core, const struct image_part *part, struct arena *arena,
                 struct leader_isr *next)
{
    struct choice choice = { .part = part, .replicas = part_replicas_are(core, part, arena) };

    return choose_preferred(&choice, next);
}

bool part_decide_uncleanly(const struct core *core, const struct image_topic *topic,
                           const struct image_part *part, struct arena *arena,
                           struct leader_isr *next)
{
    struct choice choice = { .part = part,
                             .replicas = part_replicas_are(core, part, arena),
                             .eligible = elr_of(core, topic->id, part),
                             .unclean = true,
                             .forced = true };
    int32_t *room = arena_alloc(arena, (part->replicas.n + part->isr.n) * sizeof *room);

    return choose_leader(&choice, next, room) && next->leader != LEADER_NONE;
}

/* A new process follows the old one as leader only with all else that the old one leaves: else each
 * look in between would take it for the old one, and give it one more epoch. */
static bool must_wait(const struct core *core, const struct image_part *part,
                      const struct leader_isr *next)
{
    const struct broker *b = broker_get(core, part->leader);

    return b != NULL && next->leader == part->leader && b->phase == STREAM_LEAVE &&
           !b->leave_planned;
}

enum look {
    LOOK,         /* only see what there is to do, and who is waited for */
    PLAN_LEADERS, /* plan what changes leaders */
    PLAN_ALL,
};

struct seen {
    size_t changed, led, none;
};

static void see(const struct image_part *part, const struct leader_isr *next, struct seen *seen)
{
    seen->changed++;
    seen->led += next->leader != part->leader && next->leader != LEADER_NONE;
    seen->none += next->leader == LEADER_NONE;
}

/* What becomes of it, on top of what is to be written over what stands in ZooKeeper. */
static bool decide(struct core *core, const struct image_topic *topic,
                   const struct image_part *known, struct image_part *part, struct arena *scratch,
                   struct leader_isr *next)
{
    bool repairs = repair_base(core, topic->id, known, scratch, part);

    if (!repairs)
        *part = *known;
    if (part_decide(core, topic, part, scratch, next)) {
        if (repairs && next->leader_epoch <= part->leader_epoch)
            next->leader_epoch = part->leader_epoch + 1;
        return true;
    }
    if (!repairs)
        return false;
    *next = image_part_state(part);
    next->leader_epoch++;
    return true;
}

static void look_at(struct core *core, const struct image_topic *topic,
                    const struct image_part *known, enum look look, struct arena *scratch,
                    struct seen *seen)
{
    struct leader_isr next;
    struct image_part on_top;
    const struct image_part *part = &on_top;

    if (repair_waits(core, topic->id, known->index)) {
        brokers_hold_back(core, known->isr);
        return;
    }
    if (!decide(core, topic, known, &on_top, scratch, &next))
        return;
    bool waits = must_wait(core, part, &next);

    /* who comes back without its tail, and is to leave this ISR for it, is not taken back as long
     * as the ISR still has it */
    if (waits)
        brokers_hold_back(core, part->isr);
    if (look == LOOK) {
        see(part, &next, seen);
        return;
    }
    if (waits || (look == PLAN_LEADERS && next.leader == part->leader))
        return;
    plan_state(core, topic, part, &next);
    see(part, &next, seen);
}

static struct seen look_at_all(struct core *core, enum look look)
{
    struct image_cursor at = { 0 };
    const struct image_topic *topic;
    struct seen seen = { 0 };
    struct arena scratch;

    core->moves_due = true; /* who was waited for may be there */
    arena_init(&scratch, SIZE_MAX);
    while ((topic = image_next_topic(core->image, &at)) != NULL) {
        bool goes = topics_is_doomed(core, topic->name);

        for (int32_t i = 0; i < topic->n_parts; i++) {
            const struct image_part *part = image_topic_part(topic, i);

            /* what a deletion has taken away already is not born again */
            if (part == NULL || (goes && part->leader_epoch < 0))
                continue;
            look_at(core, topic, part, look, &scratch, &seen);
            arena_reset(&scratch);
        }
    }
    arena_fini(&scratch);
    return seen;
}

/* Much is to be written, and some of it decides who leads: that is written and published first. */
static bool leaders_go_first(struct core *core, struct seen seen)
{
    bool first = !core->leaders_went && seen.led + seen.none > 0 &&
                 seen.changed - seen.led - seen.none > LEADERS_FIRST;

    core->leaders_went = first; /* next time all: whoever cannot be stored keeps nobody waiting */
    return first;
}

bool parts_scan(struct core *core)
{
    bool leaving = false, leaders = false;
    struct seen seen = { 0 };

    core->waits_word = false;
    core->n_waiting = 0;
    for (size_t i = 0; i < core->n_brokers; i++) {
        core->brokers[i]->held = core->brokers[i]->waits_word = false;
        core->brokers[i]->leave_planned = core->brokers[i]->phase == STREAM_LEAVE;
        leaving |= core->brokers[i]->leave_planned;
    }
    if (leaving || image_n_parts(core->image) > LEADERS_FIRST)
        seen = look_at_all(core, LOOK);
    leaders = !leaving && leaders_go_first(core, seen);
    core->n_waiting = 0;
    seen = look_at_all(core, leaders ? PLAN_LEADERS : PLAN_ALL);
    if (core->making->n_parts > 0)
        core_say(core, seen.none > 0 ? CORE_SAY_WARN : CORE_SAY_INFO,
                 "deciding on partitions changed=%zu new_leaders=%zu without_leader=%zu",
                 seen.changed, seen.led, seen.none);
    elr_scan(core);
    core->scan = leaders;
    return !leaders;
}

/* ---- failed directories
 * ---------------------------------------------------------------------------- */

/* pending: so many changes are older than this walk over partitions. When several brokers are heard
 * of in one step, each must leave what was said of the others. */
static void set_offline(struct core *core, size_t pending, struct uuid topic_id, int32_t index,
                        int32_t broker, bool offline)
{
    const struct image_topic *topic = image_topic(core->image, topic_id);
    const struct image_part *known = view_newest_part(core, pending, topic_id, index);
    int32_t *ids;
    struct image_part part;

    if (known == NULL || !ids_has(known->replicas, broker) ||
        ids_has(known->offline, broker) == offline)
        return;
    part = *known;
    ids = arena_alloc(&core->out->arena, (known->offline.n + 1) * sizeof *ids);
    part.offline = (struct ids){ .at = ids, .n = 0 };
    for (uint32_t i = 0; i < known->offline.n; i++) {
        if (known->offline.at[i] != broker)
            ids[part.offline.n++] = known->offline.at[i];
    }
    if (offline)
        ids[part.offline.n++] = broker;
    view_pend_part(core, topic_id, topic->name, &part);
    core->scan = true;
    /* it leaves ISRs, and the directory may come back with all it has: as for a broker that dies,
     * who stays must show first that it lives */
    if (offline)
        broker_leaves(core, broker_get(core, broker));
}

/* It has met a newer state than ours, or another leader in that epoch: what is to be is decided
 * when the state has been read again. */
static void doubt_state(struct core *core, const struct image_topic *topic,
                        const struct image_part *part, const struct core_failure *f)
{
    bool same_epoch = f->leader_epoch == part->leader_epoch;
    bool newer = f->leader_epoch > part->leader_epoch ||
                 (same_epoch && f->partition_epoch > part->partition_epoch);
    bool refused = same_epoch && !newer && f->err == ERR_STALE_CONTROLLER_EPOCH;

    if (!newer && !refused)
        return;
    repair_seen(core, topic->id, f->partition, f->leader_epoch, f->partition_epoch, refused);
    core_reload(core, (struct core_reload){ .what = RELOAD_STATE,
                                            .topic = topic->name,
                                            .topic_id = topic->id,
                                            .partition = f->partition });
}

void parts_on_failures(struct core *core, struct broker *b, size_t n,
                       const struct core_failure *failures, bool dir_failed)
{
    size_t pending = core->pend.n_parts;

    for (size_t i = 0; i < n; i++) {
        const struct core_failure *f = &failures[i];
        const struct image_topic *topic = image_topic(core->image, f->topic_id);
        const struct image_part *part = image_part(core->image, f->topic_id, f->partition);

        if (part == NULL)
            continue;
        if (f->yields) {
            yields_note(core, b->id, f->topic_id, f->partition);
            continue;
        }
        if (!dir_failed && f->err == ERR_OK) { /* a full disk has room again */
            core_say(core, CORE_SAY_INFO,
                     "broker serves a partition after all broker=%d partition=%.*s-%d", b->id,
                     STR_ARG(topic->name), f->partition);
            set_offline(core, pending, f->topic_id, f->partition, b->id, false);
            continue;
        }
        core_say(core, CORE_SAY_WARN,
                 "broker cannot serve a partition broker=%d partition=%.*s-%d err=%s", b->id,
                 STR_ARG(topic->name), f->partition, err_name(f->err));
        if (dir_failed || f->err == ERR_KAFKA_STORAGE_ERROR)
            set_offline(core, pending, f->topic_id, f->partition, b->id, true);
        else
            doubt_state(core, topic, part, f);
    }
}

void parts_forget_dirs(struct core *core, struct broker *b)
{
    struct image_cursor at = { 0 };
    const struct image_topic *topic;
    size_t pending = core->pend.n_parts;

    while ((topic = image_next_topic(core->image, &at)) != NULL) {
        for (int32_t i = 0; i < topic->n_parts; i++) {
            const struct image_part *part = image_topic_part(topic, i);

            if (part != NULL && ids_has(part->offline, b->id))
                set_offline(core, pending, topic->id, i, b->id, false);
        }
    }
}
