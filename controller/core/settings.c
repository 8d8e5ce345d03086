/*
 * Settings of entities, changed by a client's request or by another hand's write. An unclean
 * election that is switched on at run time takes effect at once: every change has the partitions
 * looked at.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

void settings_forget(struct core *core)
{
    struct read_config *read;

    while ((read = STAILQ_FIRST(&core->read_configs)) != NULL) {
        STAILQ_REMOVE_HEAD(&core->read_configs, link);
        arena_fini(&read->arena);
        free(read);
    }
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

/* Published with a later plan: it may void what is stored under the settings of before. */
void settings_on_read(struct core *core, const struct core_config_read *read)
{
    struct read_config *copy = xcalloc(1, sizeof *copy);

    arena_init(&copy->arena, SIZE_MAX);
    copy->config = copy_config(&copy->arena, &read->config);
    STAILQ_INSERT_TAIL(&core->read_configs, copy, link);
}

/* The topic went after they had been read; who takes its name must not inherit them. */
static bool is_of_nobody(const struct core *core, const struct image_config *config)
{
    return str_is(config->type, "topics") && image_topic_named(core->image, config->name) == NULL;
}

static void plan_read(struct core *core, const struct image_config *config)
{
    struct plan_item *item = plan_item(core->making, PLAN_CONFIG);

    item->config = copy_config(&core->making->arena, config);
    item->n_ops = elr_plan_config(core, &item->config, true);
}

void settings_plan_read(struct core *core)
{
    bool shared = core->making->n_parts > 0 || core->states_first, waits = shared;
    struct read_config *read;

    STAILQ_FOREACH (read, &core->read_configs, link) {
        if (shared)
            read->word = 0; /* it would be old by the time of the next plan */
        else
            waits |= !elr_has_word(core, &read->word);
    }
    if (waits)
        return;
    STAILQ_FOREACH (read, &core->read_configs, link) {
        if (!is_of_nobody(core, &read->config))
            plan_read(core, &read->config);
    }
    settings_forget(core);
}

struct plan_item *settings_plan(struct core *core, struct str type, struct str name, size_t n,
                                const struct image_setting *settings, bool notify)
{
    struct plan *plan = core->making;
    struct plan_item *item = plan_item(plan, PLAN_CONFIG);
    struct core_op *op;

    item->config = copy_config(
        &plan->arena, &(struct image_config){
                          .type = type, .name = name, .n_settings = n, .settings = settings });
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
