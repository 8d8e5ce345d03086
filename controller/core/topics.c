/*
 * Topics come, grow and go.
 *
 *   create   settings, assignment and the partitions' first states: one multi when it is small;
 * else the states follow in the next groups, and those that fail are made when partitions are
 * looked at grow     the assignment with the version known, and the new states, in one group delete
 * 1. Kafka's mark and the tombstones of all replicas, in one multi: from then on the topic is gone
 *               for everybody   2. the znodes, the mark last   3. each broker's tombstones go when
 * it has acknowledged them, however late; the files of an absent broker wait for it
 *
 * A mark made by another hand, or left over from an earlier controller, starts at 1; doing that
 * twice does no harm.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/core/choose.h"
#include "controller/core/core_int.h"

#define MULTI_PARTS 200 /* most partitions whose states share the topic's multi */

bool topics_name_ok(struct str name, const char **why)
{
    *why = "a topic's name has 1 to 249 of the characters a-z A-Z 0-9 . _ - and is not . or ..";
    return image_topic_name_valid(name);
}

/* ---- create, grow
 * -------------------------------------------------------------------------------------- */

/* The first states of partitions: the first replica that lives leads, those that live are in sync.
 */
static struct image_part *first_states(struct core *core, int32_t first_index, size_t n,
                                       const struct ids *replicas)
{
    struct plan *plan = core->making;
    struct image_part *parts = arena_zalloc(&plan->arena, n, sizeof *parts);

    for (size_t i = 0; i < n; i++) {
        struct image_part *part = &parts[i];
        struct leader_isr next;

        *part = (struct image_part){ .index = first_index + (int32_t)i,
                                     .leader = LEADER_NONE,
                                     .leader_epoch = -1,
                                     .partition_epoch = -1,
                                     .replicas = plan_ids(plan, replicas[i]) };
        if (!part_decide(core, NULL, part, &plan->arena, &next))
            continue; /* none of them lives: it is born when one does */
        part->leader = next.leader;
        part->leader_epoch = next.leader_epoch;
        part->isr = next.isr;
    }
    return parts;
}

static void plan_first_states(struct plan *plan, struct plan_item *item)
{
    bool together = item->change.n_parts <= MULTI_PARTS;

    item->first_state_op = plan->n_ops;
    for (size_t i = 0; i < item->change.n_parts; i++) {
        const struct image_part *part = &item->change.parts[i];

        if (part->leader_epoch < 0)
            continue;

        struct core_op *op = plan_op(plan, OP_STATE_CREATE, item->topic, !together);

        op->state.partition = part->index;
        op->state.state = image_part_state(part);
    }
}

/* As this plan leaves it: all of old (NULL: none) and the new ones. */
struct core_op_part *topics_assignment(struct plan *plan, const struct image_topic *old,
                                       size_t n_new, const struct image_part *new_parts, size_t *n)
{
    size_t n_old = old != NULL ? (size_t)old->n_parts : 0;
    struct core_op_part *parts = arena_zalloc(&plan->arena, n_old + n_new, sizeof *parts);

    *n = 0;
    for (size_t i = 0; i < n_old + n_new; i++) {
        const struct image_part *part =
            i < n_old ? image_topic_part(old, (int32_t)i) : &new_parts[i - n_old];
        const struct plan_part *planned = i < n_old ? plan_find(plan, old->id, (int32_t)i) : NULL;

        if (part == NULL)
            continue;
        if (planned != NULL && planned->moves)
            part = &planned->part;
        parts[(*n)++] = (struct core_op_part){ .index = part->index,
                                               .replicas = plan_ids(plan, part->replicas),
                                               .adding = plan_ids(plan, part->adding),
                                               .removing = plan_ids(plan, part->removing) };
    }
    return parts;
}

static struct image_config copy_config(struct plan *plan, const struct image_config *config)
{
    struct image_setting *settings =
        arena_zalloc(&plan->arena, config->n_settings, sizeof *settings);

    for (size_t i = 0; i < config->n_settings; i++) {
        settings[i].key = plan_str(plan, config->settings[i].key);
        settings[i].value = plan_str(plan, config->settings[i].value);
    }
    return (struct image_config){ .type = plan_str(plan, config->type),
                                  .name = plan_str(plan, config->name),
                                  .n_settings = config->n_settings,
                                  .settings = settings };
}

struct plan_item *topics_plan_create(struct core *core, struct str name, struct uuid id,
                                     size_t n_parts, const struct ids *replicas,
                                     const struct image_config *config)
{
    struct plan *plan = core->making;
    struct plan_item *item = plan_item(plan, PLAN_TOPIC);
    struct core_op *op;

    item->topic_id = id;
    item->topic = plan_str(plan, name);
    names_add(plan, item->topic);
    item->config = copy_config(plan, config);
    item->change = (struct image_topic_change){ .id = id,
                                                .name = item->topic,
                                                .n_parts = n_parts,
                                                .parts = first_states(core, 0, n_parts, replicas) };

    op = plan_op(plan, OP_CONFIG_SET, item->topic, true);
    op->config = item->config;
    op = plan_op(plan, OP_TOPIC_CREATE, item->topic, false);
    op->topic_node.id = id;
    op->topic_node.parts =
        topics_assignment(plan, NULL, n_parts, item->change.parts, &op->topic_node.n_parts);
    item->n_ops = 2;
    plan_first_states(plan, item);
    return item;
}

struct plan_item *topics_plan_grow(struct core *core, const struct image_topic *topic, size_t n_new,
                                   const struct ids *replicas)
{
    struct plan *plan = core->making;
    struct plan_item *item = plan_item(plan, PLAN_GROW);
    struct core_op *op;

    item->topic_id = topic->id;
    item->topic = plan_str(plan, topic->name);
    item->change = (struct image_topic_change){
        .id = topic->id,
        .name = item->topic,
        .n_parts = n_new,
        .parts = first_states(core, topic->n_parts, n_new, replicas),
    };
    op = plan_op(plan, OP_TOPIC_SET, item->topic, true);
    op->version = plan_topic_version(core, topic->id);
    op->topic_node.id = topic->id;
    op->topic_node.parts =
        topics_assignment(plan, topic, n_new, item->change.parts, &op->topic_node.n_parts);
    item->n_ops = 1;
    plan_first_states(plan, item);
    return item;
}

static void topic_stored(struct core *core, struct plan_item *item,
                         const struct core_op_result *results)
{
    size_t op = item->first_state_op, topic_op = item->first_op + (item->kind == PLAN_TOPIC);
    bool is_gone = item->kind == PLAN_GROW && image_topic(core->image, item->topic_id) == NULL;

    view_sets_done(core, item->topic_id, item->topic,
                   item->err == ERR_OK && !is_gone ? results[topic_op].version : -1);
    if (item->err != ERR_OK) {
        if (item->kind == PLAN_GROW)
            repair_topic_failed(core, item->topic_id);
        if (item->err == ERR_BAD_VERSION || item->err == ERR_EXISTS)
            core_reload(core, (struct core_reload){ .what = RELOAD_TOPIC, .topic = item->topic });
        return;
    }
    repair_topic_stored(core, item->topic_id);
    if (is_gone)
        return; /* another hand has removed it meanwhile */
    for (size_t i = 0; i < item->change.n_parts; i++) {
        struct image_part part = item->change.parts[i];

        if (part.leader_epoch >= 0 && results[op++].err != ERR_OK) {
            part.leader = LEADER_NONE;
            part.leader_epoch = -1;
            part.isr = IDS_NONE;
            core->scan = true;
        } else if (part.leader_epoch >= 0) {
            part.partition_epoch = results[op - 1].version;
        }
        view_pend_part(core, item->topic_id, item->topic, &part);
    }
    if (item->kind == PLAN_TOPIC) /* also when it has none: nothing is inherited by name */
        view_pend_config(core, &item->config);
    core_say(core, CORE_SAY_INFO, "%s topic=%.*s partitions=%zu",
             item->kind == PLAN_TOPIC   ? "created"
             : item->change.n_parts > 0 ? "added partitions"
                                        : "wrote a topic's znode anew",
             STR_ARG(item->topic), item->change.n_parts);
    /* brokers may have died while this was on its way */
    core->scan = true;
}

/* ---- delete
 * -----------------------------------------------------------------------------------------------
 */

static struct doomed *doomed_find(const struct core *core, struct str name)
{
    struct doomed *doomed;

    HASH_FIND(hh, core->doomed_names, name.ptr, name.len, doomed);
    return doomed;
}

static struct doomed *doomed_add(struct core *core, struct str name, int32_t n_parts)
{
    struct doomed *doomed = xcalloc(1, sizeof *doomed);

    doomed->topic = xstrndup(name.ptr, name.len);
    doomed->n_parts = n_parts;
    TAILQ_INSERT_TAIL(&core->doomeds, doomed, link);
    HASH_ADD_KEYPTR(hh, core->doomed_names, doomed->topic, name.len, doomed);
    return doomed;
}

static void doomed_drop(struct core *core, struct doomed *doomed)
{
    TAILQ_REMOVE(&core->doomeds, doomed, link);
    HASH_DEL(core->doomed_names, doomed);
    free(doomed->topic);
    free(doomed);
}

void topics_forget(struct core *core)
{
    while (!TAILQ_EMPTY(&core->doomeds))
        doomed_drop(core, TAILQ_FIRST(&core->doomeds));
}

bool topics_is_doomed(const struct core *core, struct str name)
{
    return doomed_find(core, name) != NULL;
}

bool topics_goes(const struct core *core, struct str name)
{
    const struct doomed *doomed = doomed_find(core, name);

    return doomed != NULL && doomed->n_parts >= 0;
}

bool topics_is_buried(const struct core *core, struct str name)
{
    const struct doomed *doomed = doomed_find(core, name);

    return doomed != NULL && doomed->stored && doomed->n_parts >= 0;
}

static void doom(struct core *core, const struct image_topic *topic, bool marked)
{
    struct doomed *doomed = doomed_add(core, topic->name, topic->n_parts);

    doomed->id = topic->id;
    doomed->marked = marked;
}

void topics_doom(struct core *core, const struct image_topic *topic)
{
    if (!topics_is_doomed(core, topic->name))
        doom(core, topic, false);
}

void topics_on_marks(struct core *core, size_t n, const struct str *names)
{
    for (size_t i = 0; i < n; i++) {
        const struct image_topic *topic = image_topic_named(core->image, names[i]);

        if (topics_is_doomed(core, names[i]))
            continue;
        if (topic != NULL && core->settings.delete_topic_enable) {
            doom(core, topic, true);
            continue;
        }
        /* means nothing here: goes away, and takes what is left of such a topic with it, also of
         * one that cannot be read */
        bool keeps =
            topic != NULL || (unread_has(core, names[i]) && !core->settings.delete_topic_enable);

        doomed_add(core, names[i], keeps ? -1 : 0)->stored = true;
    }
}

void topics_on_names(struct core *core, const struct core_names *names)
{
    struct doomed *doomed;

    TAILQ_FOREACH (doomed, &core->doomeds, link)
        doomed->named = false;
    for (size_t i = 0; i < names->n && !TAILQ_EMPTY(&core->doomeds); i++) {
        doomed = doomed_find(core, names->names[i]);
        if (doomed != NULL)
            doomed->named = true;
    }
}

/* Our creation was on its way when another hand's mark came: now the topic is known. */
static void known_after_all(struct core *core, struct doomed *doomed)
{
    const struct image_topic *topic = image_topic_named(core->image, str_of(doomed->topic));

    if (topic == NULL || !doomed->stored || doomed->n_parts != 0 || !uuid_is_zero(doomed->id))
        return;
    doomed->n_parts = -1;
    if (!core->settings.delete_topic_enable)
        return;
    doomed->n_parts = topic->n_parts;
    doomed->id = topic->id;
    doomed->marked = true;
    doomed->stored = false;
}

static size_t count_replicas(const struct image_topic *topic)
{
    size_t n = 0;

    for (int32_t i = 0; i < topic->n_parts; i++) {
        const struct image_part *part = image_topic_part(topic, i);

        n += part != NULL ? part->replicas.n : 0;
    }
    return n;
}

/* Mark and tombstones are stored at once, so that there is never a tombstone of what lives. Those
 * of a large topic do not fit into one multi: then the mark comes first, with a plan of its own,
 * and a group for each broker's. Whoever becomes the controller in between finds the mark and goes
 * on, or takes back what is there; and no broker deletes what the image assigns to it. */
static void plan_doom(struct core *core, struct doomed *doomed)
{
    struct plan *plan = core->making;
    const struct image_topic *topic = image_topic(core->image, doomed->id);
    bool apart = topic != NULL && count_replicas(topic) > core->settings.together_max;
    struct plan_item *item;

    if (topic == NULL) {
        doomed->stored = true;
        return;
    }
    item = plan_item(plan, apart && !doomed->marked ? PLAN_MARK_FIRST : PLAN_DOOM);
    item->topic_id = doomed->id;
    item->topic = plan_str(plan, topic->name);
    doomed->in_plan = true;
    if (!apart || !doomed->marked)
        plan_op(plan, OP_MARK_CREATE, item->topic, true);
    if (item->kind == PLAN_MARK_FIRST) {
        item->n_ops = 1;
        return;
    }
    stones_open(plan, item);
    for (int32_t i = 0; i < topic->n_parts; i++) {
        const struct image_part *part = image_topic_part(topic, i);

        for (uint32_t j = 0; part != NULL && j < part->replicas.n; j++)
            stones_bury(core, item, part->replicas.at[j], i,
                        repair_is_blind(core, topic->id, i) ? INT32_MAX : part->leader_epoch);
    }
    (apart ? stones_close_apart : stones_close)(core, item);
    elr_plan_topic_gone(core, topic, apart);
    item->n_ops = plan->n_ops - item->first_op;
}

static void plan_delete(struct core *core, struct doomed *doomed)
{
    struct plan *plan = core->making;
    struct plan_item *item = plan_item(plan, doomed->n_parts < 0 ? PLAN_MARK : PLAN_DELETE);
    struct core_op *op;

    item->topic_id = doomed->id;
    item->topic = plan_str(plan, str_of(doomed->topic));
    op = plan_op(plan, doomed->n_parts < 0 ? OP_MARK_DELETE : OP_TOPIC_DELETE, item->topic, true);
    op->topic_node.id = doomed->id;
    op->topic_node.n_parts = doomed->n_parts < 0 ? 0 : (size_t)doomed->n_parts;
    item->n_ops = 1;
    doomed->in_plan = true;
}

void topics_plan_ids(struct core *core)
{
    if (!core->ids_due)
        return;
    core->ids_due = false;
    for (size_t i = 0; i < core->n_extras; i++) { /* planning it finds it there: none moves */
        const struct topic_extra *extra = &core->extras[i];
        const struct image_topic *topic =
            extra->wants_set ? image_topic(core->image, extra->id) : NULL;

        if (topic != NULL && extra->n_sets == 0 && !topics_is_doomed(core, topic->name) &&
            !repair_topic_waits(core, topic->id))
            topics_plan_grow(core, topic, 0, NULL);
    }
}

void topics_plan(struct core *core)
{
    struct doomed *doomed;

    TAILQ_FOREACH (doomed, &core->doomeds, link) {
        if (doomed->in_plan || core->now_ms < doomed->after_ms)
            continue;
        known_after_all(core, doomed);
        /* what this plan makes of the topic is seen first */
        if (!doomed->stored && !plan_sets_topic(core, doomed->id))
            plan_doom(core, doomed);
        if (!doomed->in_plan && doomed->stored)
            plan_delete(core, doomed);
    }
}

/* After a lost connection everything is read again first; for the rest only time can help. */
static void put_off(struct core *core, struct doomed *doomed, enum err err)
{
    if (err == ERR_CONNECTION_LOSS)
        return;
    doomed->n_failures++;
    doomed->after_ms = core->now_ms + back_off_ms(doomed->n_failures);
    core_say(core, CORE_SAY_WARN, "cannot delete a topic yet topic=%s err=%s", doomed->topic,
             err_name(err));
}

int64_t topics_next_ms(const struct core *core)
{
    const struct doomed *doomed;
    int64_t at = NEVER_MS;

    TAILQ_FOREACH (doomed, &core->doomeds, link) {
        if (!doomed->in_plan && doomed->n_failures > 0 && doomed->after_ms < at)
            at = doomed->after_ms;
    }
    return at;
}

static void doom_stored(struct core *core, struct plan *plan, struct plan_item *item,
                        struct doomed *doomed, const struct core_op_result *results)
{
    const struct image_topic *topic = image_topic(core->image, item->topic_id);

    doomed->stored = item->err == ERR_OK;
    elr_ops_stored(core, plan, item, results);
    if (!doomed->stored || topic == NULL)
        return; /* once more */
    view_pend_topic_gone(core, item->topic_id);
    stones_stored(core, plan, item);
    /* also when it has none by what is published: this plan may have changed them */
    view_pend_config(core, &(struct image_config){ .type = STR("topics"), .name = item->topic });
    view_drop_extra(core, item->topic_id);
}

static void deleted(struct core *core, const struct plan_item *item)
{
    /* they may have been loaded after the topic was gone for everybody */
    if (image_config(core->image, STR("topics"), item->topic) != NULL)
        view_pend_config(core,
                         &(struct image_config){ .type = STR("topics"), .name = item->topic });
    core_say(core, CORE_SAY_INFO, "deleted topic=%.*s", STR_ARG(item->topic));
}

void topics_done(struct core *core, struct plan *plan, struct plan_item *item,
                 const struct core_op_result *results)
{
    struct doomed *doomed = NULL;

    if (item->kind == PLAN_TOPIC || item->kind == PLAN_GROW) {
        topic_stored(core, item, results);
        return;
    }
    if (item->kind == PLAN_TOMBSTONES) {
        if (item->err == ERR_OK)
            stones_stored(core, plan, item);
        return;
    }
    doomed = doomed_find(core, item->topic);
    if (doomed == NULL)
        return;
    doomed->in_plan = false;
    if (item->err != ERR_OK)
        put_off(core, doomed, item->err);
    else
        doomed->n_failures = 0;
    if (item->kind == PLAN_MARK_FIRST) {
        doomed->marked = item->err == ERR_OK;
    } else if (item->kind == PLAN_DOOM) {
        doom_stored(core, plan, item, doomed, results);
    } else if (item->err == ERR_OK) {
        if (item->kind == PLAN_DELETE)
            deleted(core, item);
        if (doomed->named) /* another one, perhaps, which nobody has looked at */
            core_reload(core, (struct core_reload){ .what = RELOAD_TOPIC, .topic = item->topic });
        doomed_drop(core, doomed);
        plan->has_deleted = true;
    }
}
