/*
 * Eligible leaders (KIP-966, kept beside Kafka's state in a znode of ours): replicas outside the
 * ISR that have all that is committed. Who leaves an ISR that falls below min.insync.replicas is
 * one, for from then on the high watermark stands still; it stays one until the ISR is large enough
 * again, or it comes back without what it had not flushed. So when the last one in sync loses its
 * tail, somebody is there who has lost nothing that was acknowledged.
 *
 * An entry is written in the multi that writes the state, names the epochs of that state, and is
 * void with any other: a controller that does not know of entries makes them void with its first
 * write, and one of Kafka's that wrote nothing at all by having held the seat. It is void, too,
 * when a leader may have gone by a smaller min.insync.replicas than the entry was made under: such
 * a change is published to brokers only when the entries it touches are gone from ZooKeeper. For
 * the same reason settings and states do not share a plan: an entry that one made would be missed
 * by the other.
 */
#include <stdio.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/mem.h"
#include "common/model/topic_conf.h"
#include "controller/core/core_int.h"

#define AGAIN_MS 1000 /* when an entry could not be written */

struct elr_key {
    struct uuid topic_id;
    int32_t partition;
};

struct elr {
    UT_hash_handle hh;
    struct elr_key key;
    int32_t leader_epoch, partition_epoch;
    int32_t min_isr;
    bool is_void;      /* is to be deleted */
    bool is_unwritten; /* was deleted, and is to be there */
    struct ids replicas;
    int32_t room[];
};

static struct elr *find(const struct core *core, struct uuid topic_id, int32_t partition)
{
    struct elr_key key;
    struct elr *elr;

    memset(&key, 0, sizeof key);
    key.topic_id = topic_id;
    key.partition = partition;
    HASH_FIND(hh, core->elrs, &key, sizeof key, elr);
    return elr;
}

static void drop(struct core *core, struct elr *elr)
{
    assert(core->elrs != NULL);
    HASH_DEL(core->elrs, elr);
    free(elr);
}

static struct elr *put(struct core *core, const struct core_eligible *eligible)
{
    struct elr *old = find(core, eligible->topic_id, eligible->partition), *elr;

    if (old != NULL)
        drop(core, old);
    if (eligible->replicas.n == 0)
        return NULL;
    elr = xcalloc(1, sizeof *elr + eligible->replicas.n * sizeof elr->room[0]);
    elr->key.topic_id = eligible->topic_id;
    elr->key.partition = eligible->partition;
    elr->leader_epoch = eligible->leader_epoch;
    elr->partition_epoch = eligible->partition_epoch;
    elr->min_isr = eligible->min_isr;
    memcpy(elr->room, eligible->replicas.at, eligible->replicas.n * sizeof elr->room[0]);
    elr->replicas = (struct ids){ .at = elr->room, .n = eligible->replicas.n };
    HASH_ADD(hh, core->elrs, key, sizeof elr->key, elr);
    return elr;
}

void elr_forget(struct core *core)
{
    struct elr *elr, *next;

    HASH_ITER (hh, core->elrs, elr, next)
        drop(core, elr);
    core->elrs = NULL;
    core->elr_after_ms = 0;
}

void elr_on_time(struct core *core)
{
    if (core->elr_after_ms == 0 || core->now_ms < core->elr_after_ms)
        return;
    core->elr_after_ms = 0;
    core->scan = true;
}

int64_t elr_next_ms(const struct core *core)
{
    return core->elr_after_ms > 0 ? core->elr_after_ms : NEVER_MS;
}

static bool is_of(const struct elr *elr, const struct image_part *part)
{
    return elr->leader_epoch == part->leader_epoch && elr->partition_epoch == part->partition_epoch;
}

struct ids elr_of(const struct core *core, struct uuid topic_id, const struct image_part *part)
{
    const struct elr *elr = core->elrs != NULL ? find(core, topic_id, part->index) : NULL;

    return elr != NULL && !elr->is_void && is_of(elr, part) ? elr->replicas : IDS_NONE;
}

/* ---- min.insync.replicas -------------------------------------------------------------------- */

#define MIN_ISR "min.insync.replicas"

/* changed: settings that are to replace those of that entity; NULL: none are. */
static bool set_in(const struct core *core, const struct image_config *changed, struct str type,
                   struct str name, int32_t *min_isr)
{
    const struct image_config *config = settings_planned(core, type, name);
    int64_t value;

    if (changed != NULL && str_eq(changed->type, type) && str_eq(changed->name, name))
        config = changed;
    if (config == NULL || !str_to_i64(image_config_value(config, STR(MIN_ISR)), &value) ||
        value < 1 || value > INT32_MAX)
        return false;
    *min_isr = (int32_t)value;
    return true;
}

/* What the topic's leader goes by: its own settings file counts, too. 0: it is only known to the
 * leader, which has not said hello to us yet. */
static int32_t min_isr_at(const struct core *core, const struct image_config *changed,
                          struct str topic, int32_t leader)
{
    const struct broker *b = broker_get(core, leader);
    struct topic_conf conf;
    char name[16];
    int32_t min_isr;

    snprintf(name, sizeof name, "%d", leader);
    if (set_in(core, changed, STR("topics"), topic, &min_isr) ||
        set_in(core, changed, STR("brokers"), str_of(name), &min_isr) ||
        set_in(core, changed, STR("brokers"), STR("<default>"), &min_isr))
        return min_isr;
    if (b == NULL || !b->admitted)
        return 0;
    if (b->min_isr > 0)
        return b->min_isr;
    topic_conf_load(&conf, core->settings.n_topic_defaults, core->settings.topic_defaults, NULL);
    return conf.min_insync_replicas;
}

/* ---- what is written ------------------------------------------------------------------------ */

/* It comes back, or has come back, without what it had not flushed; or its directory is gone. */
static bool has_lost(const struct core *core, const struct image_part *part, int32_t id)
{
    const struct broker *b = broker_get(core, id);

    return ids_has(part->offline, id) || (b != NULL && b->phase == STREAM_LEAVE && b->unclean);
}

static bool is_unclean(const struct image_part *part, struct ids old, const struct leader_isr *next)
{
    return next->leader != LEADER_NONE && !ids_has(part->isr, next->leader) &&
           !ids_has(old, next->leader);
}

/* Who is eligible once part has become next, with these replicas. */
static struct ids after(const struct core *core, const struct plan_part *to,
                        const struct image_part *part, struct ids replicas, int32_t min_isr,
                        int32_t *room)
{
    struct leader_isr next = image_part_state(&to->part);
    struct ids old = elr_of(core, to->topic_id, part), left = { .at = room, .n = 0 };

    if (part->leader_epoch < 0 || is_unclean(part, old, &next))
        return IDS_NONE;
    if (next.leader != LEADER_NONE && (int64_t)next.isr.n >= min_isr)
        return IDS_NONE;
    for (uint32_t i = 0; i < replicas.n; i++) {
        int32_t id = replicas.at[i];

        if ((ids_has(part->isr, id) || ids_has(old, id)) && !ids_has(next.isr, id) &&
            !has_lost(core, part, id))
            room[left.n++] = id;
    }
    return left;
}

/* What to goes by once it is stored. Without a leader nothing goes on, and a leader that is not
 * heard of yet goes by no less than what its entry was made under. */
static int32_t min_isr_of(const struct core *core, const struct plan_part *to,
                          const struct elr *old)
{
    int32_t min_isr;

    if (to->part.leader == LEADER_NONE)
        min_isr = old != NULL ? old->min_isr : INT32_MAX;
    else
        min_isr = min_isr_at(core, NULL, to->topic, to->part.leader);
    if (min_isr == 0)
        min_isr = old != NULL && !old->is_void ? old->min_isr : 1;
    return min_isr < (int32_t)to->part.replicas.n ? min_isr : (int32_t)to->part.replicas.n;
}

void elr_plan(struct core *core, struct plan_part *to, const struct image_part *part)
{
    struct plan *plan = core->making;
    const struct elr *old = find(core, to->topic_id, part->index);
    struct ids replicas = to->part.replicas;
    int32_t *room, min_isr;
    struct core_op *op;

    /* what nearly always holds: nobody leaves, and nobody was eligible */
    if (old == NULL && ids_within(part->isr, to->part.isr))
        return;
    room = arena_alloc(&plan->arena, ((size_t)replicas.n + 1) * sizeof *room);
    min_isr = min_isr_of(core, to, old);
    to->eligible = (struct core_eligible){
        .topic_id = to->topic_id,
        .partition = part->index,
        .leader_epoch = to->part.leader_epoch,
        .partition_epoch = to->part.partition_epoch,
        .min_isr = min_isr,
        .replicas = after(core, to, part, replicas, min_isr, room),
    };
    if (old == NULL && to->eligible.replicas.n == 0)
        return;
    to->sets_eligible = true;
    op = plan_op(plan, OP_ELIGIBLE_SET, to->topic, false);
    op->eligible = to->eligible;
}

void elr_stored(struct core *core, const struct plan_part *part, int32_t version)
{
    struct core_eligible stored = part->eligible;

    if (!part->sets_eligible)
        return;
    if (version != stored.partition_epoch) /* void, and found so */
        stored.leader_epoch = -1;
    put(core, &stored);
}

static void plan_entry(struct core *core, const struct elr *elr, struct ids left)
{
    struct plan *plan = core->making;
    struct plan_item *item = plan_item(plan, PLAN_ELIGIBLE);
    struct core_op *op = plan_op(plan, OP_ELIGIBLE_SET, STR_NULL, true);

    op->eligible = (struct core_eligible){ .topic_id = elr->key.topic_id,
                                           .partition = elr->key.partition,
                                           .leader_epoch = elr->leader_epoch,
                                           .partition_epoch = elr->partition_epoch,
                                           .min_isr = elr->min_isr,
                                           .replicas = plan_ids(plan, left) };
    item->n_ops = 1;
}

void elr_done(struct core *core, struct plan *plan, const struct plan_item *item)
{
    const struct core_eligible *stored = &plan->ops[item->first_op].eligible;
    const struct elr *now = find(core, stored->topic_id, stored->partition);

    if (item->err != ERR_OK) {
        if (now != NULL)
            brokers_hold_back(core, now->replicas);
        core->elr_after_ms = core->now_ms + AGAIN_MS;
    }
    /* the same plan may have given the partition a state, with an entry that is younger */
    else if (now != NULL && now->leader_epoch == stored->leader_epoch &&
             now->partition_epoch == stored->partition_epoch) {
        bool was_voided = now->is_void; /* while this was written, by what its leader said */
        struct elr *elr = put(core, stored);

        if (elr != NULL && was_voided) {
            elr->is_void = true;
            core->scan = true;
        }
    }
}

void elr_scan(struct core *core)
{
    struct elr *elr, *next;
    int32_t room[64];

    HASH_ITER (hh, core->elrs, elr, next) {
        const struct image_part *part =
            image_part(core->image, elr->key.topic_id, elr->key.partition);
        struct ids left = { .at = room, .n = 0 };

        if (plan_find(core->making, elr->key.topic_id, elr->key.partition) != NULL)
            continue; /* goes with its state */
        for (uint32_t i = 0; part != NULL && !elr->is_void && is_of(elr, part) &&
                             i < elr->replicas.n && i < ARRAY_LEN(room);
             i++) {
            if (!has_lost(core, part, elr->replicas.at[i]))
                room[left.n++] = elr->replicas.at[i];
        }
        if (left.n < elr->replicas.n || elr->is_unwritten)
            plan_entry(core, elr, left);
    }
}

/* ---- loading, changes of settings, topics that go ------------------------------------------- */

/* The leader goes by no less than what the entry was made under. Another leader will be decided on
 * with its own, and so will a new process of the same. One that has not said hello to us does not
 * know of settings that changed since the entry was made: it is judged before it is told. */
static bool holds_under(const struct core *core, const struct image_config *changed,
                        const struct elr *elr, const struct image_topic *topic,
                        const struct image_part *part)
{
    const struct broker *b = broker_get(core, part->leader);
    int32_t min_isr;

    if (part->leader == LEADER_NONE || (b != NULL && b->phase == STREAM_LEAVE))
        return true;
    min_isr = min_isr_at(core, changed, topic->name, part->leader);
    return min_isr == 0 || min_isr >= elr->min_isr || min_isr >= (int32_t)part->replicas.n;
}

void elr_load(struct core *core, const struct core_loaded *loaded)
{
    elr_forget(core);
    for (size_t i = 0; i < loaded->n_eligible; i++) {
        const struct core_eligible *e = &loaded->eligible[i];
        const struct image_topic *topic = image_topic(core->image, e->topic_id);
        const struct image_part *part =
            topic != NULL ? image_topic_part(topic, e->partition) : NULL;
        struct elr *elr = put(core, e);

        if (elr == NULL)
            continue;
        elr->is_void = part == NULL || e->controller_epoch < loaded->ours_since ||
                       !is_of(elr, part) || !holds_under(core, NULL, elr, topic, part);
    }
}

void elr_on_hello(struct core *core, int32_t broker)
{
    struct elr *elr, *next;

    HASH_ITER (hh, core->elrs, elr, next) {
        const struct image_topic *topic = image_topic(core->image, elr->key.topic_id);
        const struct image_part *part =
            topic != NULL ? image_topic_part(topic, elr->key.partition) : NULL;

        if (part == NULL || part->leader != broker || elr->is_void ||
            holds_under(core, NULL, elr, topic, part))
            continue;
        elr->is_void = true;
        core->scan = true;
    }
}

bool elr_has_void(const struct core *core)
{
    struct elr *elr, *next;

    HASH_ITER (hh, core->elrs, elr, next) {
        if (elr->is_void)
            return true;
    }
    return false;
}

static bool somebody_acked(const struct core *core, const struct image_part *part, uint64_t word)
{
    for (uint32_t i = 0; i < part->isr.n; i++) {
        const struct broker *b = broker_get(core, part->isr.at[i]);

        if (b != NULL && b->acked_version >= word)
            return true;
    }
    return false;
}

bool elr_has_word(struct core *core, const struct image_config *config, uint64_t *word)
{
    bool waits = false;
    struct elr *elr, *next;

    HASH_ITER (hh, core->elrs, elr, next) {
        const struct image_topic *topic = image_topic(core->image, elr->key.topic_id);
        const struct image_part *part =
            topic != NULL ? image_topic_part(topic, elr->key.partition) : NULL;

        if (part == NULL || elr->is_void || holds_under(core, config, elr, topic, part))
            continue;
        if (*word == 0) {
            *word = core->version + 1;
            core->word_wanted = true;
        }
        waits |= !somebody_acked(core, part, *word);
    }
    if (!waits)
        return true;
    core->waits_word = true;
    if (*word > core->word_version)
        core->word_version = *word;
    return false;
}

/* Or it is of nobody, and goes with the first. */
static bool is_voided(const struct core *core, const struct image_config *config,
                      const struct elr *elr)
{
    const struct image_topic *topic = image_topic(core->image, elr->key.topic_id);
    const struct image_part *part =
        topic != NULL ? image_topic_part(topic, elr->key.partition) : NULL;

    return part == NULL || !holds_under(core, config, elr, topic, part);
}

size_t elr_plan_config(struct core *core, const struct image_config *config, bool opens_group)
{
    struct elr *elr, *next;
    size_t n = 0;

    core->making->has_settings = true;
    HASH_ITER (hh, core->elrs, elr, next) {
        if (!is_voided(core, config, elr))
            continue;

        struct core_op *op =
            plan_op(core->making, OP_ELIGIBLE_SET, STR_NULL, opens_group && n == 0);

        op->eligible = (struct core_eligible){ .topic_id = elr->key.topic_id,
                                               .partition = elr->key.partition };
        n++;
    }
    return n;
}

bool elr_plan_voids(struct core *core, const struct image_config *config)
{
    size_t n = 0;
    struct elr *elr, *next;

    HASH_ITER (hh, core->elrs, elr, next)
        n += is_voided(core, config, elr);
    if (n <= core->settings.together_max)
        return false;
    if (core->now_ms < core->elr_after_ms)
        return true;
    core->making->has_settings = true;
    HASH_ITER (hh, core->elrs, elr, next) {
        if (is_voided(core, config, elr))
            plan_entry(core, elr, IDS_NONE);
    }
    return true;
}

void elr_ops_stored(struct core *core, const struct plan *plan, const struct plan_item *item,
                    const struct core_op_result *results)
{
    for (size_t i = item->first_op; i < item->first_op + item->n_ops; i++) {
        const struct core_op *op = &plan->ops[i];

        if (op->kind == OP_ELIGIBLE_SET && results[i].err == ERR_OK)
            put(core, &op->eligible);
    }
}

/* Its leader has gone while settings were written that voided it. Nobody has been told of them yet,
 * and that process will not be: the next one is decided on with its own, and should it be the same
 * one after all, it is judged before it is told. */
static bool outlives_leader(const struct core *core, const struct elr *elr)
{
    const struct image_part *part = image_part(core->image, elr->key.topic_id, elr->key.partition);
    const struct broker *b = part != NULL ? broker_get(core, part->leader) : NULL;

    return part != NULL && !elr->is_void && is_of(elr, part) &&
           (b == NULL || b->phase == STREAM_NONE || b->phase == STREAM_CHECK ||
            b->phase == STREAM_LEAVE);
}

void elr_config_stored(struct core *core, const struct plan *plan, const struct plan_item *item,
                       const struct core_op_result *results)
{
    for (size_t i = item->first_op; i < item->first_op + item->n_ops; i++) {
        const struct core_op *op = &plan->ops[i];

        if (op->kind != OP_ELIGIBLE_SET || results[i].err != ERR_OK)
            continue;
        struct elr *elr = find(core, op->eligible.topic_id, op->eligible.partition);

        if (elr != NULL && outlives_leader(core, elr))
            elr->is_unwritten = true;
        else
            put(core, &op->eligible);
    }
}

void elr_plan_topic_gone(struct core *core, const struct image_topic *topic, bool apart)
{
    for (int32_t i = 0; core->elrs != NULL && i < topic->n_parts; i++) {
        const struct elr *elr = find(core, topic->id, i);

        if (elr != NULL)
            plan_op(core->making, OP_ELIGIBLE_SET, STR_NULL, apart)->eligible =
                (struct core_eligible){ .topic_id = topic->id, .partition = i };
    }
}
