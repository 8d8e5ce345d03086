/*
 * Settings of entities, changed by a client's request or by another hand's write. An unclean
 * election that is switched on at run time takes effect at once: every change has the partitions
 * looked at.
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

#define AGAIN_MS 1000

static void forget(struct read_configs *configs)
{
    struct read_config *read;

    while ((read = STAILQ_FIRST(configs)) != NULL) {
        STAILQ_REMOVE_HEAD(configs, link);
        arena_fini(&read->arena);
        free(read);
    }
}

void settings_forget(struct core *core)
{
    forget(&core->read_configs);
    forget(&core->late_configs);
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

    return config != NULL ? config : image_config(core->image, type, name);
}

const struct image_config *settings_newest(const struct core *core, struct str type,
                                           struct str name)
{
    const struct image_config *newest = planned(core, type, name);
    const struct read_config *read;

    if (newest != NULL)
        return newest;
    newest = image_config(core->image, type, name);
    STAILQ_FOREACH (read, &core->read_configs, link) {
        if (!read->is_old && is_of(&read->config, type, name))
            newest = &read->config;
    }
    return newest;
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

/* Published with a later plan: it may void what is stored under the settings of before. */
void settings_on_read(struct core *core, const struct core_config_read *read)
{
    struct read_config *copy = xcalloc(1, sizeof *copy);

    arena_init(&copy->arena, SIZE_MAX);
    copy->config = copy_config(&copy->arena, &read->config);
    copy->is_old = core->writing != NULL && sets(core->writing, &copy->config);
    STAILQ_INSERT_TAIL(&core->read_configs, copy, link);
}

void settings_written(struct core *core)
{
    struct read_config *read;

    STAILQ_FOREACH (read, &core->read_configs, link)
        read->is_old |= sets(core->writing, &read->config);
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
    struct read_configs kept = STAILQ_HEAD_INITIALIZER(kept), old = STAILQ_HEAD_INITIALIZER(old);
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
            STAILQ_INSERT_TAIL(&old, read, link);
        else
            STAILQ_INSERT_TAIL(&kept, read, link);
    }
    forget(&old);
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

static void plan_read(struct core *core, const struct image_config *config)
{
    struct plan_item *item = add_item(core->making, config);

    item->n_ops = elr_plan_config(core, &item->config, true);
}

void settings_plan_read(struct core *core)
{
    bool shared = core->making->n_parts > 0 || core->states_first, waits = shared;
    struct read_config *read;

    read_old_again(core);
    STAILQ_FOREACH (read, &core->read_configs, link) {
        if (shared)
            read->word = 0; /* it would be old by the time of the next plan */
        else if (!elr_has_word(core, &read->config, &read->word))
            waits = true;
        else
            waits |= elr_plan_voids(core, &read->config);
    }
    if (waits)
        return;
    STAILQ_FOREACH (read, &core->read_configs, link) {
        if (!is_of_nobody(core, &read->config))
            plan_read(core, &read->config);
    }
    forget(&core->read_configs);
}

/* ---- what could not be published ---- */

void settings_failed(struct core *core, const struct image_config *config)
{
    struct read_config *late = xcalloc(1, sizeof *late);

    arena_init(&late->arena, SIZE_MAX);
    late->config.type = arena_str(&late->arena, config->type);
    late->config.name = arena_str(&late->arena, config->name);
    late->after_ms = core->now_ms + AGAIN_MS;
    STAILQ_INSERT_TAIL(&core->late_configs, late, link);
}

/* The first is the one that has waited longest. */
int64_t settings_next_ms(const struct core *core)
{
    const struct read_config *first = STAILQ_FIRST(&core->late_configs);

    return first != NULL ? first->after_ms : NEVER_MS;
}

void settings_on_time(struct core *core)
{
    struct read_config *late;

    while ((late = STAILQ_FIRST(&core->late_configs)) != NULL && late->after_ms <= core->now_ms) {
        core_reload(core, (struct core_reload){ .what = RELOAD_CONFIG,
                                                .type = late->config.type,
                                                .name = late->config.name });
        STAILQ_REMOVE_HEAD(&core->late_configs, link);
        arena_fini(&late->arena);
        free(late);
    }
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
    item->n_ops = 1;
    if (notify) {
        op = plan_op(plan, OP_CONFIG_NOTIFY, STR_NULL, false);
        op->config = item->config;
        item->n_ops = 2;
    }
    item->n_ops += elr_plan_config(core, &item->config, false);
    return item;
}
