/*
 * Settings of entities, changed by a client's request or by another hand's write. An unclean
 * election that is switched on at run time takes effect at once: every change has the partitions
 * looked at.
 */
#include "common/base/mem.h"
#include "controller/core/core_int.h"

void settings_on_read(struct core *core, const struct core_config_read *read)
{
    view_pend_config(core, &read->config);
    core->scan = true;
}

struct plan_item *settings_plan(struct core *core, struct str type, struct str name, size_t n,
                                const struct image_setting *settings, bool notify)
{
    struct plan *plan = core->making;
    struct plan_item *item = plan_item(plan, PLAN_CONFIG);
    struct image_setting *copy = arena_zalloc(&plan->arena, n, sizeof *copy);
    struct core_op *op;

    for (size_t i = 0; i < n; i++) {
        copy[i].key = plan_str(plan, settings[i].key);
        copy[i].value = plan_str(plan, settings[i].value);
    }
    item->config = (struct image_config){ .type = plan_str(plan, type),
                                          .name = plan_str(plan, name),
                                          .n_settings = n,
                                          .settings = copy };
    op = plan_op(plan, OP_CONFIG_SET, STR_NULL, true);
    op->config = item->config;
    item->n_ops = 1;
    if (notify) {
        op = plan_op(plan, OP_CONFIG_NOTIFY, STR_NULL, false);
        op->config = item->config;
        item->n_ops = 2;
    }
    return item;
}
