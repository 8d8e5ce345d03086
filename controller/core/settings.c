/*
 * Settings of entities, changed by a client's request or by another hand's write. An unclean
 * election that is switched on at run time takes effect at once: every change has the partitions
 * looked at.
 *
 * What is stored is published as soon as nobody's place as an eligible leader is at stake (elr.c).
 * What is waits here until then, whoever stored it; others' settings do not wait for it. But an
 * election goes by it from the first: none may be unclean that the operator has just forbidden.
 *
 * An entity's settings are written as a whole. So a change is made to what the plan has of them
 * already, before what is published. And what is read, which may be told of by a note of our own
 * earlier write, must not replace what is younger: answers of ZooKeeper come in the order of what
 * was asked, so a read that comes while no write of that entity is out has all that was written
 * before, while one that comes during the write (or waits, and the write goes out) is most likely
 * of before it. Such a one is made again when the write is done.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

static void read_free(struct read_config *read)
{
    arena_fini(&read->arena);
    free(read);
}

void settings_forget(struct core *core)
{
    struct read_config *read;

    while ((read = STAILQ_FIRST(&core->read_configs)) != NULL) {
        STAILQ_REMOVE_HEAD(&core->read_configs, link);
        read_free(read);
    }
}

/* Another is published in its stead, or it is of nobody any more: whoever wanted it is done. */
static void read_drop(struct core *core, struct read_config *read)
{
    if (read->job != NULL)
        job_item_done(core, read->job, read->job_item, ERR_OK, NULL);
    read_free(read);
}

static struct image_config copy_config(struct arena *arena, const struct image_config *config)
{
    struct image_setting *copy = arena_zalloc(arena, config->n_settings, sizeof *copy);

    for (size_t i = 0; i < config->n_settings; i++) {
        copy[i].key = arena_str(arena, config->settings[i].key);
        copy[i].value = arena_str(arena, config->settings[i].value);
    }
    return (struct image_config){ .type = arena_str(arena, config->type),
                                  .name = arena_str(arena, config->name),
                                  .n_settings = config->n_settings,
                                  .settings = copy };
}

static bool is_of(const struct image_config *config, struct str type, struct str name)
{
    return str_eq(config->name, name) && str_eq(config->type, type);
}

/* ---- as they will be ---- */

#define BUCKETS 1024

static struct plan_item **bucket(const struct plan *plan, struct str type, struct str name)
{
    return &plan->configs[(str_hash(type) + str_hash(name)) % BUCKETS];
}

static struct plan_item *add_item(struct plan *plan, const struct image_config *config)
{
    struct plan_item *item = plan_item(plan, PLAN_CONFIG), **at;

    if (plan->configs == NULL)
        plan->configs = arena_zalloc(&plan->arena, BUCKETS, sizeof(struct plan_item *));
    plan->has_settings = true;
    item->config = copy_config(&plan->arena, config);
    at = bucket(plan, config->type, config->name);
    item->next_config = *at;
    *at = item;
    return item;
}

static const struct image_config *planned(const struct core *core, struct str type, struct str name)
{
    const struct plan *plan = core->making;
    const struct plan_item *item =
        plan != NULL && plan->configs != NULL ? *bucket(plan, type, name) : NULL;

    while (item != NULL && !is_of(&item->config, type, name))
        item = item->next_config;
    return item != NULL ? &item->config : NULL;
}

const struct image_config *settings_planned(const struct core *core, struct str type,
                                            struct str name)
{
    const struct image_config *config = planned(core, type, name);
    const struct pend *pend = &core->pend;

    for (size_t i = pend->n_configs; i > 0 && config == NULL; i--) {
        if (is_of(&pend->configs[i - 1], type, name))
            config = &pend->configs[i - 1];
    }
    return config != NULL ? config : image_config(core->image, type, name);
}

const struct image_config *settings_stored_of(const struct core *core, struct str type,
                                              struct str name)
{
    const struct image_config *newest = image_config(core->image, type, name);
    const struct read_config *read;

    STAILQ_FOREACH (read, &core->read_configs, link) {
        if (!read->is_old && is_of(&read->config, type, name))
            newest = &read->config;
    }
    return newest;
}

const struct image_config *settings_newest(const struct core *core, struct str type,
                                           struct str name)
{
    const struct image_config *newest = planned(core, type, name);

    return newest != NULL ? newest : settings_stored_of(core, type, name);
}

/* ---- as they were read ---- */

static bool sets(const struct plan *plan, const struct image_config *config)
{
    for (size_t i = 0; i < plan->n_ops; i++) {
        if (plan->ops[i].kind == OP_CONFIG_SET &&
            is_of(&plan->ops[i].config, config->type, config->name))
            return true;
    }
    return false;
}

/* What waits of the entity, and is not to be read again; NULL. */
static struct read_config *waiting(const struct core *core, const struct image_config *config)
{
    struct read_config *read;

    STAILQ_FOREACH (read, &core->read_configs, link) {
        if (!read->is_old && is_of(&read->config, config->type, config->name))
            return read;
    }
    return NULL;
}

static struct read_config *wait_for_turn(struct core *core, const struct image_config *config)
{
    struct read_config *read = xcalloc(1, sizeof *read);

    arena_init(&read->arena, SIZE_MAX);
    read->config = copy_config(&read->arena, config);
    STAILQ_INSERT_TAIL(&core->read_configs, read, link);
    return read;
}

/* Published with a later plan: somebody's place may be at stake. */
void settings_on_read(struct core *core, const struct core_config_read *read)
{
    struct read_config *older = waiting(core, &read->config);
    struct read_config *copy = wait_for_turn(core, &read->config);

    copy->is_old = core->writing != NULL && sets(core->writing, &copy->config);
    if (older == NULL || copy->is_old)
        return;
    copy->is_ours = older->is_ours;
    copy->job = older->job;
    copy->job_item = older->job_item;
    STAILQ_REMOVE(&core->read_configs, older, read_config, link);
    read_free(older);
}

/* What has been read came before this was written; else it came while this was planned. */
static struct read_config *younger_than(struct core *core, const struct plan_item *item)
{
    struct read_config *read = waiting(core, &item->config);

    if (read == NULL || item->n_ops == 0)
        return read;
    STAILQ_REMOVE(&core->read_configs, read, read_config, link);
    read_drop(core, read);
    return NULL;
}

/* Leaders may have come since it was planned. */
void settings_stored(struct core *core, struct plan_item *item)
{
    struct read_config *read = younger_than(core, item);

    core->scan = true; /* unclean elections may be allowed now */
    if (!elr_stands_against(core, &item->config)) {
        view_pend_config(core, &item->config);
        return;
    }
    if (read == NULL)
        read = wait_for_turn(core, &item->config);
    read->is_ours |= item->is_ours;
    if (read->job != NULL)
        return;
    read->job = item->job;
    read->job_item = item->job_item;
    item->job = NULL;
}

void settings_written(struct core *core)
{
    struct read_config *read;

    STAILQ_FOREACH (read, &core->read_configs, link)
        read->is_old |= !read->is_ours && sets(core->writing, &read->config);
}

bool settings_are_withheld(const struct core *core)
{
    const struct read_config *read;

    STAILQ_FOREACH (read, &core->read_configs, link) {
        if (read->is_ours)
            return true;
    }
    return core->writing != NULL && core->writing->has_withheld;
}

void settings_loaded(struct core *core)
{
    struct read_config *read;

    STAILQ_FOREACH (read, &core->read_configs, link)
        read->is_old = true;
}

void settings_outdated(struct core *core, struct str type, struct str name)
{
    struct read_config *read;

    STAILQ_FOREACH (read, &core->read_configs, link)
        read->is_old |= is_of(&read->config, type, name);
}

static bool is_asked_again(const struct core *core, const struct read_config *old)
{
    const struct read_config *read;

    STAILQ_FOREACH (read, &core->read_configs, link) {
        if (read == old)
            return false;
        if (read->is_old && is_of(&read->config, old->config.type, old->config.name))
            return true;
    }
    return false;
}

static void read_old_again(struct core *core)
{
    struct read_configs kept = STAILQ_HEAD_INITIALIZER(kept);
    struct read_config *read;

    STAILQ_FOREACH (read, &core->read_configs, link) {
        if (read->is_old && !is_asked_again(core, read))
            core_reload(core, (struct core_reload){ .what = RELOAD_CONFIG,
                                                    .type = read->config.type,
                                                    .name = read->config.name });
    }
    while ((read = STAILQ_FIRST(&core->read_configs)) != NULL) {
        STAILQ_REMOVE_HEAD(&core->read_configs, link);
        if (read->is_old)
            read_drop(core, read);
        else
            STAILQ_INSERT_TAIL(&kept, read, link);
    }
    STAILQ_CONCAT(&core->read_configs, &kept);
}

/* The topic went after they had been read, and who takes its name must not inherit them; or it is
 * new, and is read with them. */
static bool is_of_nobody(struct core *core, const struct image_config *config)
{
    if (!str_is(config->type, "topics") || image_topic_named(core->image, config->name) != NULL)
        return false;
    if (!topics_is_doomed(core, config->name))
        core_reload(core, (struct core_reload){ .what = RELOAD_TOPIC, .topic = config->name });
    return true;
}

/* The item comes after those of the entries that give way, and is done after them. */
static void plan_read(struct core *core, const struct read_config *read)
{
    struct plan_item *item = add_item(core->making, &read->config);

    core->making->has_withheld |= read->is_ours;
    item->is_ours = read->is_ours;
    item->job = read->job;
    item->job_item = read->job_item;
}

void settings_plan_read(struct core *core)
{
    bool shared = core->making->n_parts > 0 || core->states_first;
    struct read_configs waiting = STAILQ_HEAD_INITIALIZER(waiting);
    struct read_config *read;

    read_old_again(core);
    while ((read = STAILQ_FIRST(&core->read_configs)) != NULL) {
        STAILQ_REMOVE_HEAD(&core->read_configs, link);
        if (shared)
            read->word = 0; /* it would be old by the time of the next plan */
        if (shared || !elr_gives_way(core, &read->config, &read->word)) {
            STAILQ_INSERT_TAIL(&waiting, read, link);
        } else if (is_of_nobody(core, &read->config)) {
            read_drop(core, read);
        } else {
            plan_read(core, read);
            read_free(read);
        }
    }
    STAILQ_CONCAT(&core->read_configs, &waiting);
}

struct plan_item *settings_plan(struct core *core, struct str type, struct str name, size_t n,
                                const struct image_setting *settings, bool notify)
{
    struct plan *plan = core->making;
    struct plan_item *item =
        add_item(plan, &(struct image_config){
                           .type = type, .name = name, .n_settings = n, .settings = settings });
    struct core_op *op;

    op = plan_op(plan, OP_CONFIG_SET, STR_NULL, true);
    op->config = item->config;
    item->is_ours = true;
    item->n_ops = 1;
    if (notify) {
        op = plan_op(plan, OP_CONFIG_NOTIFY, STR_NULL, false);
        op->config = item->config;
        item->n_ops = 2;
    }
    return item;
}
