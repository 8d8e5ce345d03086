/*
 * The settings that an entity has, or will have with what is planned already, are taken, edited,
 * and what comes out is checked whole: each value by its table, for brokers also whether it may
 * change at run time at all, and for whom. Brokers find out the rest from the image: what a topic
 * does not say comes from there (settings.c of the broker).
 */
#include "controller/core/admin/config_change.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/core/admin/lists.h"

struct target {
    struct str type, name; /* as in ZooKeeper's path */
    bool of_topic, of_all; /* a topic; all brokers */
};

/* Of settings, with room for all that may come. No two edits are of the same one: only what was
 * there before them is searched. */
struct set {
    struct image_setting *at; /* a null key: it was there, and is dropped */
    size_t n, n_old;
};

static struct image_setting *find(const struct set *set, struct str key)
{
    for (size_t i = 0; i < set->n_old; i++) {
        if (!str_is_null(set->at[i].key) && str_eq(set->at[i].key, key))
            return &set->at[i];
    }
    return NULL;
}

static void put(struct set *set, struct str key, struct str value)
{
    struct image_setting *there = find(set, key);

    if (there == NULL)
        there = &set->at[set->n++];
    *there = (struct image_setting){ key, value };
}

static void drop(struct set *set, struct str key)
{
    struct image_setting *there = find(set, key);

    if (there != NULL)
        there->key = STR_NULL;
}

static void close_gaps(struct set *set)
{
    size_t n = 0;

    for (size_t i = 0; i < set->n; i++) {
        if (!str_is_null(set->at[i].key))
            set->at[n++] = set->at[i];
    }
    set->n = n;
}

/* ---- which entity -------------------------------------------------------------------------- */

static bool find_topic(struct core *core, const struct config_change *change, struct target *out)
{
    const struct image_topic *topic = image_topic_named(core->image, change->resource_name);

    if (change->resource_name.len == 0) {
        job_fail_item(change->job, change->item, ERR_INVALID_REQUEST,
                      "Default topic resources are not allowed.");
        return false;
    }
    if (topic == NULL || topics_is_doomed(core, change->resource_name)) {
        job_fail_item(change->job, change->item, ERR_UNKNOWN_TOPIC_OR_PARTITION,
                      "The topic '%.*s' does not exist.", STR_ARG(change->resource_name));
        return false;
    }
    *out = (struct target){ .type = STR("topics"), .name = topic->name, .of_topic = true };
    return true;
}

/* A broker is asked for its own settings, or for those of all. */
static bool find_broker(struct core *core, const struct config_change *change, struct target *out)
{
    const struct broker *asked = broker_of_stream(core, change->job->stream);
    int64_t id;

    *out = (struct target){ .type = STR("brokers"), .name = STR("<default>"), .of_all = true };
    if (core->settings.broker_settings == NULL) {
        job_fail_item(change->job, change->item, ERR_INVALID_REQUEST,
                      "this controller does not know the settings of brokers");
        return false;
    }
    if (change->resource_name.len == 0)
        return true;
    if (!str_to_i64(change->resource_name, &id)) {
        job_fail_item(change->job, change->item, ERR_INVALID_REQUEST,
                      "Node id must be an integer, but it is: %.*s",
                      STR_ARG(change->resource_name));
        return false;
    }
    if (asked != NULL && asked->id != id) {
        job_fail_item(change->job, change->item, ERR_INVALID_REQUEST,
                      "Unexpected broker id, expected %d, but received %.*s", asked->id,
                      STR_ARG(change->resource_name));
        return false;
    }
    out->name = change->resource_name;
    out->of_all = false;
    return true;
}

static bool find_target(struct core *core, const struct config_change *change, struct target *out)
{
    switch (change->resource_type) {
    case CONFIG_OF_TOPIC:
        return find_topic(core, change, out);
    case CONFIG_OF_BROKER:
        return find_broker(core, change, out);
    default:
        job_fail_item(change->job, change->item, ERR_INVALID_REQUEST, "Unknown resource type %d",
                      change->resource_type);
        return false;
    }
}

/* ---- edits --------------------------------------------------------------------------------- */

static bool edits_are_sound(const struct config_change *change)
{
    struct arena *arena = &change->job->arena;
    struct list_key *keys = arena_zalloc(arena, change->n, sizeof *keys);
    struct brief nulls = { .len = 0 };
    bool *twins;

    for (size_t i = 0; i < change->n; i++)
        keys[i].name = change->edits[i].name;
    twins = list_twins(arena, keys, change->n);
    for (size_t i = 0; i < change->n; i++) {
        if (!str_is_text(change->edits[i].name) || !str_is_text(change->edits[i].value)) {
            job_fail_item(change->job, change->item, ERR_INVALID_REQUEST,
                          "Names and values of settings are UTF-8 without NUL");
            return false;
        }
        if (twins[i]) {
            job_fail_item(change->job, change->item, ERR_INVALID_REQUEST,
                          "Error due to duplicate config keys");
            return false;
        }
        if (change->edits[i].operation != CONFIG_DELETE && str_is_null(change->edits[i].value))
            brief_add(&nulls, change->edits[i].name);
    }
    if (nulls.len > 0)
        job_fail_item(change->job, change->item, ERR_INVALID_REQUEST,
                      "Null value not supported for : %.*s", STR_ARG(brief_text(&nulls)));
    return nulls.len == 0;
}

/* The default of a setting that is a list; null: it is none, or there is no such setting. */
static struct str list_default(const struct core *core, const struct target *target,
                               struct str name, bool *exists)
{
    if (target->of_topic) {
        int at = topic_conf_find(name);
        const struct topic_conf_key *key = at >= 0 ? &topic_conf_keys[at] : NULL;

        *exists = key != NULL;
        if (key == NULL || (key->type != TOPIC_CONF_LIST &&
                            (key->type != TOPIC_CONF_TEXT || key->choices == NULL)))
            return STR_NULL;
        return key->text != NULL ? str_of(key->text) : STR_EMPTY;
    }

    const struct conf_key *key = conf_find(core->settings.broker_settings, name);

    *exists = key != NULL;
    if (key == NULL || key->type != CONF_LIST)
        return STR_NULL;
    return key->text != NULL ? str_of(key->text) : STR_EMPTY;
}

static bool names(struct str list, struct str word)
{
    while (!str_is_null(list)) {
        if (str_eq(str_trim(str_split(list, ',', &list)), word))
            return true;
    }
    return false;
}

/* The words of was that are not in value, and, to append, those of value that are not in was. */
static struct str edit_list(struct arena *arena, struct str was, struct str value, bool append)
{
    struct str lists[2] = { was, value };
    /* each word is in one of the two, and so is its comma but for one between them */
    char *text = arena_alloc(arena, was.len + value.len + 1);
    size_t len = 0;

    for (int i = 0; i < (append ? 2 : 1); i++) {
        struct str rest = lists[i], other = i == 0 ? value : was;

        while (!str_is_null(rest) && rest.len > 0) {
            struct str word = str_trim(str_split(rest, ',', &rest));

            if (word.len == 0 || ((i == 1 || !append) && names(other, word)))
                continue;
            if (len > 0)
                text[len++] = ',';
            memcpy(&text[len], word.ptr, word.len);
            len += word.len;
        }
    }
    return (struct str){ .ptr = text, .len = len };
}

static bool edit(struct core *core, const struct config_change *change, const struct target *target,
                 const struct config_edit *edit, struct set *set)
{
    const struct image_setting *there = find(set, edit->name);
    const char *what = edit->operation == CONFIG_APPEND ? "append" : "subtract";
    struct str was;
    bool exists;

    switch (edit->operation) {
    case CONFIG_SET:
        put(set, edit->name, edit->value);
        return true;
    case CONFIG_DELETE:
        drop(set, edit->name);
        return true;
    case CONFIG_APPEND:
    case CONFIG_SUBTRACT:
        break;
    default:
        job_fail_item(change->job, change->item, ERR_INVALID_REQUEST, "Unknown operations type %d",
                      edit->operation);
        return false;
    }
    was = list_default(core, target, edit->name, &exists);
    if (str_is_null(was)) {
        job_fail_item(change->job, change->item, ERR_INVALID_CONFIG,
                      exists ? "Config value %s is not allowed for config key: %.*s"
                             : "Unknown config name: %.0s%.*s",
                      what, STR_ARG(edit->name));
        return false;
    }
    put(set, edit->name,
        edit_list(&change->job->arena, there != NULL ? there->value : was, edit->value,
                  edit->operation == CONFIG_APPEND));
    return true;
}

/* ---- checks -------------------------------------------------------------------------------- */

/* What was there before and is not known here has been put there by somebody who knows it. */
static bool is_old_and_unknown(const struct image_config *old, const struct image_setting *setting)
{
    return old != NULL && topic_conf_find(setting->key) < 0 &&
           str_eq(image_config_value(old, setting->key), setting->value);
}

static bool check_topic(struct core *core, const struct config_change *change,
                        const struct target *target, const struct image_config *old,
                        const struct set *set)
{
    struct topic_conf conf;
    char why[TOPIC_CONF_WHY];
    enum err err = ERR_OK;

    view_topic_defaults(core, &conf);
    for (size_t i = 0; i < set->n && err == ERR_OK; i++) {
        if (is_old_and_unknown(old, &set->at[i]))
            continue;
        if (topic_conf_find(set->at[i].key) < 0) {
            job_fail_item(change->job, change->item, ERR_INVALID_CONFIG,
                          "Unknown topic config name: %.*s", STR_ARG(set->at[i].key));
            return false;
        }
        err = topic_conf_set(&conf, set->at[i].key, set->at[i].value, why);
    }
    if (err == ERR_OK)
        err = topic_conf_check(&conf, why);
    if (err != ERR_OK)
        job_fail_item(change->job, change->item, err,
                      "Invalid config value for resource ConfigResource(type=TOPIC, name='%.*s'): "
                      "%s",
                      STR_ARG(target->name), why);
    return err == ERR_OK;
}

static bool is_of_listener(struct str name)
{
    return str_starts_with(name, STR("listener.name."));
}

enum flaw { FLAW_NONE, FLAW_READ_ONLY, FLAW_LISTENER_ONLY, FLAW_PER_BROKER };

static enum flaw flaw_of(const struct conf_table *table, const struct target *target,
                         struct str name)
{
    const struct conf_key *key =
        is_of_listener(name) ? conf_find_scoped(table, name) : conf_find(table, name);

    if (key == NULL)
        return FLAW_NONE; /* of a class that was plugged in: stored, as Kafka does */
    if (key->scope == CONF_RESTART)
        return FLAW_READ_ONLY;
    if (!is_of_listener(name) && str_starts_with(name, STR("ssl.")))
        return FLAW_LISTENER_ONLY;
    if (target->of_all && key->scope == CONF_PER_BROKER)
        return FLAW_PER_BROKER;
    return FLAW_NONE;
}

static bool fail_flawed(struct core *core, const struct config_change *change,
                        const struct target *target, const struct set *set, enum flaw flaw)
{
    static const char *const texts[] = {
        [FLAW_READ_ONLY] = "Cannot update these configs dynamically",
        [FLAW_LISTENER_ONLY] = "These security configs can be dynamically updated only "
                               "per-listener using the listener prefix",
        [FLAW_PER_BROKER] =
            "Cannot update these configs at default cluster level, broker id must be specified",
    };
    struct brief list = { .len = 0 };

    for (size_t i = 0; i < set->n; i++) {
        if (flaw_of(core->settings.broker_settings, target, set->at[i].key) == flaw)
            brief_add(&list, set->at[i].key);
    }
    if (list.len > 0)
        job_fail_item(change->job, change->item, ERR_INVALID_REQUEST, "%s: Set(%.*s)", texts[flaw],
                      STR_ARG(brief_text(&list)));
    return list.len > 0;
}

static bool check_value(struct core *core, const struct config_change *change,
                        const struct image_setting *setting)
{
    const struct conf_table *table = core->settings.broker_settings;
    const struct conf_key *key = is_of_listener(setting->key)
                                     ? conf_find_scoped(table, setting->key)
                                     : conf_find(table, setting->key);
    char why[CONF_WHY];

    if (key == NULL)
        return true;
    if (key->type == CONF_PASSWORD) {
        job_fail_item(change->job, change->item, ERR_INVALID_REQUEST,
                      "%.*s is a secret, which is not stored in ZooKeeper here",
                      STR_ARG(setting->key));
        return false;
    }
    if (conf_check(key, setting->value, why) == ERR_OK)
        return true;
    job_fail_item(change->job, change->item, ERR_INVALID_REQUEST,
                  "Invalid value %.*s for configuration %.*s: %s", STR_ARG(setting->value),
                  STR_ARG(setting->key), why);
    return false;
}

static bool check_broker(struct core *core, const struct config_change *change,
                         const struct target *target, const struct set *set)
{
    if (fail_flawed(core, change, target, set, FLAW_READ_ONLY) ||
        fail_flawed(core, change, target, set, FLAW_LISTENER_ONLY))
        return false;
    for (size_t i = 0; i < set->n; i++) {
        if (set->at[i].key.len == 0) { /* Kafka stores it; nobody can ask for it, either */
            job_fail_item(change->job, change->item, ERR_INVALID_REQUEST,
                          "A setting must have a name");
            return false;
        }
        if (!check_value(core, change, &set->at[i]))
            return false;
    }
    return !fail_flawed(core, change, target, set, FLAW_PER_BROKER);
}

/* ---- the whole ----------------------------------------------------------------------------- */

void config_change_plan(struct core *core, const struct config_change *change)
{
    const struct image_config *old;
    struct target target;
    struct set set = { .at = NULL };

    if (!find_target(core, change, &target) || !edits_are_sound(change))
        return;
    old = settings_newest(core, target.type, target.name);
    set.at = arena_zalloc(&change->job->arena, change->n + (old != NULL ? old->n_settings : 0),
                          sizeof *set.at);
    for (size_t i = 0; !change->replaces && old != NULL && i < old->n_settings; i++)
        set.at[set.n++] = old->settings[i];
    set.n_old = set.n;
    for (size_t i = 0; i < change->n; i++) {
        if (!edit(core, change, &target, &change->edits[i], &set))
            return;
    }
    close_gaps(&set);
    if (target.of_topic ? !check_topic(core, change, &target, old, &set)
                        : !check_broker(core, change, &target, &set))
        return;
    if (!change->validate_only)
        job_open_item(change->job, change->item,
                      settings_plan(core, target.type, target.name, set.n, set.at, true));
}
