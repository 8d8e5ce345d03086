/*
 * Eligible leaders (KIP-966, kept beside Kafka's state in a znode of ours): replicas outside the
 * ISR that have all that is committed. Who leaves an ISR that falls below min.insync.replicas is
 * one, for from then on the high watermark stands still; it stays one until the ISR is large enough
 * again, or it comes back without what it had not flushed. So when the last one in sync loses its
 * tail, somebody is there who has lost nothing that was acknowledged.
 *
 * An entry is written in the multi that writes the state, names the epochs of that state, and is
 * void with any other: a controller that does not know of entries makes them void with its first
 * write, and one of Kafka's that wrote nothing at all by having held the seat. It would be wrong,
 * too, once its leader goes by a smaller min.insync.replicas than the entry was made under. A
 * leader knows of settings what we tell it, so entries go between the two: the settings are stored
 * first, whoever did that; then the entries go whose leaders are on a stream; then all are told. A
 * leader that is on none is told nothing: its entry stays, is good for its successor, also when a
 * controller follows that knows nothing of all this, and goes when the leader says hello, before it
 * is sent the image.
 *
 * What cannot be had: an entry that has just gone may have been good, for whoever reads that it is
 * gone cannot know whether its leader was told before it died. So it goes only when somebody in
 * sync has just shown that it lives, and is written again when the leader was gone before it could
 * be told. Nobody is left to do that when the controller goes in the same moment: then the
 * partition waits for the leader.
 *
 * Settings and states do not share a plan: else entries that come all the time could keep settings
 * from being told.
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
    bool is_void;      /* it was found untrue, and is to be deleted */
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
    core->elrs_due = false;
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

/* On a stream, and known to be the process that leads, or to lead next: it goes by what it is told.
 */
static bool is_admitted(const struct broker *b)
{
    return b != NULL && b->phase >= STREAM_LEAVE;
}

/* What the topic's leader goes by once it knows what we do: its own settings file counts, too. 0:
 * it does not, and what it knows is only known to itself. */
static int32_t min_isr_at(const struct core *core, const struct image_config *changed,
                          struct str topic, int32_t leader)
{
    const struct broker *b = broker_get(core, leader);
    struct topic_conf conf;
    char name[16];
    int32_t min_isr;

    if (!is_admitted(b))
        return 0;
    snprintf(name, sizeof name, "%d", leader);
    if (set_in(core, changed, STR("topics"), topic, &min_isr) ||
        set_in(core, changed, STR("brokers"), str_of(name), &min_isr) ||
        set_in(core, changed, STR("brokers"), STR("<default>"), &min_isr))
        return min_isr;
    if (b->min_isr > 0)
        return b->min_isr;
    topic_conf_load(&conf, core->settings.n_topic_defaults, core->settings.topic_defaults, NULL);
    return conf.min_insync_replicas;
}

static const struct image_part *part_of(const struct core *core, const struct elr *elr)
{
    return image_part(core->image, elr->key.topic_id, elr->key.partition);
}

/* Its leader hears of what is published from now on. One that is on no stream is judged when it
 * says hello; a new process is decided on with its own settings, and with all that is known. */
static bool is_told(const struct core *core, const struct image_part *part)
{
    const struct broker *b = part != NULL ? broker_get(core, part->leader) : NULL;

    return b != NULL && b->phase > STREAM_LEAVE;
}

/* Nobody goes by less than what the entry was made under once changed is published. */
static bool holds_under(const struct core *core, const struct image_config *changed,
                        const struct elr *elr)
{
    const struct image_topic *topic = image_topic(core->image, elr->key.topic_id);
    const struct image_part *part =
        topic != NULL ? image_topic_part(topic, elr->key.partition) : NULL;
    int32_t min_isr;

    if (!is_told(core, part))
        return true;
    min_isr = min_isr_at(core, changed, topic->name, part->leader);
    return min_isr >= elr->min_isr || min_isr >= (int32_t)part->replicas.n;
}

/* It may be good, and would be wrong when config is published. */
static bool is_touched(const struct core *core, const struct image_config *config,
                       const struct elr *elr)
{
    const struct image_topic *topic = image_topic(core->image, elr->key.topic_id);

    if (elr->is_void || topic == NULL ||
        (str_is(config->type, "topics") && !str_eq(config->name, topic->name)))
        return false;
    return !holds_under(core, config, elr);
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

/* What to goes by once it is stored. Without a leader nothing goes on, and a leader that is on no
 * stream goes by no less than what its entry was made under. */
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

/* gives_way: it is good until its leader is told. */
static void plan_entry(struct core *core, const struct elr *elr, struct ids left, bool gives_way)
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
    item->gives_way = gives_way;
}

void elr_done(struct core *core, struct plan *plan, const struct plan_item *item)
{
    const struct core_eligible *stored = &plan->ops[item->first_op].eligible;
    struct elr *now = find(core, stored->topic_id, stored->partition);

    if (item->err != ERR_OK) {
        if (now != NULL)
            brokers_hold_back(core, now->replicas);
        core->elr_after_ms = core->now_ms + AGAIN_MS;
        return;
    }
    /* the same plan may have given the partition a state, with an entry that is younger */
    if (now == NULL || now->leader_epoch != stored->leader_epoch ||
        now->partition_epoch != stored->partition_epoch)
        return;
    if (item->gives_way && !is_told(core, part_of(core, now))) {
        now->is_unwritten = true; /* its leader has gone meanwhile */
        core->scan = true;
    } else {
        put(core, stored);
    }
}

/* Those of the entry who have lost nothing; none of one that is void. */
static struct ids who_is_left(const struct core *core, const struct elr *elr, int32_t room[64])
{
    const struct image_part *part = part_of(core, elr);
    struct ids left = { .at = room, .n = 0 };

    if (part == NULL || elr->is_void || !is_of(elr, part))
        return left;
    for (uint32_t i = 0; i < elr->replicas.n && i < 64; i++) {
        if (!has_lost(core, part, elr->replicas.at[i]))
            room[left.n++] = elr->replicas.at[i];
    }
    return left;
}

void elr_scan(struct core *core)
{
    struct elr *elr, *next;
    int32_t room[64];

    core->elrs_due = core->elrs_due && elr_bars_images(core);
    HASH_ITER (hh, core->elrs, elr, next) {
        if (plan_find(core->making, elr->key.topic_id, elr->key.partition) != NULL)
            continue; /* goes with its state */

        struct ids left = who_is_left(core, elr, room);
        bool is_whole = left.n == elr->replicas.n;

        if (core->elrs_due && !holds_under(core, NULL, elr))
            plan_entry(core, elr, IDS_NONE, is_whole);
        else if (!is_whole || elr->is_unwritten)
            plan_entry(core, elr, left, false);
    }
}

/* ---- loading, changes of settings, topics that go ------------------------------------------- */

void elr_load(struct core *core, const struct core_loaded *loaded)
{
    elr_forget(core);
    core->elrs_due = true;
    for (size_t i = 0; i < loaded->n_eligible; i++) {
        const struct core_eligible *e = &loaded->eligible[i];
        const struct image_topic *topic = image_topic(core->image, e->topic_id);
        const struct image_part *part =
            topic != NULL ? image_topic_part(topic, e->partition) : NULL;
        struct elr *elr = put(core, e);

        if (elr == NULL)
            continue;
        elr->is_void =
            part == NULL || e->controller_epoch < loaded->ours_since || !is_of(elr, part);
    }
}

bool elr_bars_images(const struct core *core)
{
    struct elr *elr, *next;

    HASH_ITER (hh, core->elrs, elr, next) {
        if (elr->is_void || !holds_under(core, NULL, elr))
            return true;
    }
    return false;
}

void elr_on_hello(struct core *core)
{
    if (elr_bars_images(core))
        core->elrs_due = core->scan = true;
}

bool elr_stands_against(const struct core *core, const struct image_config *config)
{
    struct elr *elr, *next;

    HASH_ITER (hh, core->elrs, elr, next) {
        if (is_touched(core, config, elr))
            return true;
    }
    return false;
}

static bool somebody_acked(const struct core *core, const struct elr *elr, uint64_t word)
{
    const struct image_part *part = part_of(core, elr);

    for (uint32_t i = 0; i < part->isr.n; i++) {
        const struct broker *b = broker_get(core, part->isr.at[i]);

        if (b != NULL && b->acked_version >= word)
            return true;
    }
    return false;
}

/* Of each partition that config touches somebody in sync has given its word; *n counts them. */
static bool has_words(struct core *core, const struct image_config *config, uint64_t *word,
                      size_t *n)
{
    bool has = true;
    struct elr *elr, *next;

    HASH_ITER (hh, core->elrs, elr, next) {
        if (!is_touched(core, config, elr))
            continue;
        ++*n;
        if (*word == 0) {
            *word = core->version + 1;
            core->word_wanted = true;
        }
        has &= somebody_acked(core, elr, *word);
    }
    if (has)
        return true;
    core->waits_word = true;
    if (*word > core->word_version)
        core->word_version = *word;
    return false;
}

bool elr_gives_way(struct core *core, const struct image_config *config, uint64_t *word)
{
    size_t n = 0;
    struct elr *elr, *next;

    if (!has_words(core, config, word, &n))
        return false;
    if (n > 0 && core->now_ms < core->elr_after_ms)
        return false;
    HASH_ITER (hh, core->elrs, elr, next) {
        if (n > 0 && is_touched(core, config, elr))
            plan_entry(core, elr, IDS_NONE, true);
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

void elr_plan_topic_gone(struct core *core, const struct image_topic *topic, bool apart)
{
    for (int32_t i = 0; core->elrs != NULL && i < topic->n_parts; i++) {
        const struct elr *elr = find(core, topic->id, i);

        if (elr != NULL)
            plan_op(core->making, OP_ELIGIBLE_SET, STR_NULL, apart)->eligible =
                (struct core_eligible){ .topic_id = topic->id, .partition = i };
    }
}
