/*
 * Settings of entities: of all of a kind, or of one.
 */
#include "controller/shell/load_int.h"

#include "common/base/say.h"

static void on_config(struct job *job, struct item *item, const struct zk_answer *answer)
{
    struct image_config *config = item->target;
    const struct image_config *known;

    if (answer->err != ERR_OK || answer->data.len == 0)
        return;
    if (zk_parse_config(&job->arena, answer->data, config) == ERR_OK) {
        if (job->what == RELOAD_ALL && config->n_settings > 0)
            load_add(&job->configs, config);
        return;
    }
    say_limited(SAY_ERROR,
                "cannot read settings, going on with what is known, without any if nothing is "
                "path=%.*s",
                STR_ARG(answer->path));
    /* a standby knows what they were before somebody has touched them */
    known = job->known != NULL ? image_config(standby_image(job->known), config->type, config->name)
                               : NULL;
    if (known != NULL) {
        *config = *known;
        load_add(&job->configs, config);
    } else {
        load_add(&job->unread_configs, config);
    }
}

struct image_config *load_config(struct job *job, struct str type, struct str name)
{
    struct image_config *config = arena_zalloc(&job->arena, 1, sizeof *config);
    const struct image_config *known;

    if (job->known != NULL && standby_config(job->known, type, name, &known)) {
        if (known != NULL) {
            *config = *known;
            load_add(&job->configs, config);
        }
        return config;
    }
    config->type = load_keep(job, type);
    config->name = load_keep(job, name);
    load_read(job, READ_DATA, zk_path_config(&job->arena, type, name), on_config, config);
    return config;
}

/* /config/users/U/clients */
static void on_user_clients(struct job *job, struct item *item, const struct zk_answer *answer)
{
    const struct str *user = item->target;

    for (size_t i = 0; i < answer->n_children; i++) {
        load_config(job, STR("users"),
                    arena_printf(&job->arena, "%.*s/clients/%.*s", STR_ARG(*user),
                                 STR_ARG(answer->children[i])));
    }
}

void load_on_entities(struct job *job, struct item *item, const struct zk_answer *answer)
{
    struct str type = str_of(item->target);

    for (size_t i = 0; i < answer->n_children; i++) {
        load_config(job, type, answer->children[i]);
        if (str_is(type, "users")) {
            struct str *user = arena_alloc(&job->arena, sizeof *user);

            *user = load_keep(job, answer->children[i]);
            load_read(job, READ_CHILDREN,
                      arena_printf(&job->arena, "/config/users/%.*s/clients", STR_ARG(*user)).ptr,
                      on_user_clients, user);
        }
    }
}
