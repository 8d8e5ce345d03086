/*
 * Values of the tree, read. Jansson takes the text apart; what it yields is copied into the arena
 * and its own memory is gone when a parser returns. Numbers that Kafka writes as texts are accepted
 * as numbers too.
 */
#include <jansson.h>
#include <limits.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/zk/zk_tree.h"

/* The text's object, or NULL. A znode has at most 1 MiB, nesting is jansson's to limit. */
static json_t *load(struct str json)
{
    json_t *root;

    if (json.len == 0)
        return NULL;
    root = json_loadb(json.ptr, json.len, 0, NULL);
    if (root != NULL && !json_is_object(root)) {
        json_decref(root);
        root = NULL;
    }
    return root;
}

static bool as_i64(const json_t *value, int64_t *out)
{
    if (json_is_integer(value)) {
        *out = json_integer_value(value);
        return true;
    }
    if (json_is_string(value)) {
        struct str text = { .ptr = json_string_value(value), .len = json_string_length(value) };

        return str_to_i64(text, out);
    }
    return false;
}

static bool as_i32(const json_t *value, int32_t *out)
{
    int64_t wide;

    if (!as_i64(value, &wide) || wide < INT32_MIN || wide > INT32_MAX)
        return false;
    *out = (int32_t)wide;
    return true;
}

static bool get_i32(const json_t *object, const char *key, int32_t *out)
{
    return as_i32(json_object_get(object, key), out);
}

static bool get_i64(const json_t *object, const char *key, int64_t *out)
{
    return as_i64(json_object_get(object, key), out);
}

static struct str copy_text(struct arena *arena, const char *text, size_t len)
{
    struct str from = { .ptr = text, .len = len };

    return (struct str){ .ptr = arena_cstr(arena, from), .len = len };
}

static bool as_text(struct arena *arena, const json_t *value, struct str *out)
{
    if (!json_is_string(value))
        return false;
    *out = copy_text(arena, json_string_value(value), json_string_length(value));
    return true;
}

static bool get_text(struct arena *arena, const json_t *object, const char *key, struct str *out)
{
    return as_text(arena, json_object_get(object, key), out);
}

static bool as_ids(struct arena *arena, const json_t *list, struct ids *out)
{
    size_t n = json_array_size(list);
    int32_t *ids = arena_zalloc(arena, n, sizeof *ids);

    if (!json_is_array(list) || n > UINT32_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!as_i32(json_array_get(list, i), &ids[i]))
            return false;
    }
    *out = (struct ids){ .at = ids, .n = (uint32_t)n };
    return true;
}

static enum err done(json_t *root, bool ok)
{
    json_decref(root);
    return ok ? ERR_OK : ERR_BAD_FORMAT;
}

/* ---- one value each -------------------------------------------------------------------------- */

enum err zk_parse_cluster_id(struct arena *arena, struct str json, struct str *id)
{
    json_t *root = load(json);

    return done(root, root != NULL && get_text(arena, root, "id", id) && id->len > 0);
}

/* "LISTENER://host:port", the host in brackets when it has colons itself. */
static bool parse_endpoint(struct arena *arena, struct str text, struct endpoint *out)
{
    const char *sep = memmem(text.ptr, text.len, "://", 3);
    const char *end = text.ptr + text.len, *colon = end, *host;
    int64_t port;

    if (sep == NULL || sep == text.ptr)
        return false;
    host = sep + 3;
    while (colon > host && colon[-1] != ':')
        colon--;
    if (colon == host)
        return false;
    if (!str_to_i64((struct str){ .ptr = colon, .len = (size_t)(end - colon) }, &port) ||
        port < -1 || port > 65535)
        return false;
    colon--;
    out->listener = copy_text(arena, text.ptr, (size_t)(sep - text.ptr));
    out->port = (int32_t)port;
    if (colon - host >= 2 && host[0] == '[' && colon[-1] == ']')
        out->host = copy_text(arena, host + 1, (size_t)(colon - host - 2));
    else
        out->host = copy_text(arena, host, (size_t)(colon - host));
    return true;
}

/* Kafka's brokers, and ours of before, do not say which one it is. */
static void mark_inter_broker(struct arena *arena, const json_t *root, size_t n,
                              struct endpoint *endpoints)
{
    struct str name;

    if (!get_text(arena, root, "moldau_inter_broker", &name))
        return;
    for (size_t i = 0; i < n; i++) {
        if (str_eq(endpoints[i].listener, name)) {
            endpoints[i].is_inter_broker = true;
            return;
        }
    }
}

static bool parse_endpoints(struct arena *arena, const json_t *root, struct zk_registration *reg)
{
    const json_t *list = json_object_get(root, "endpoints");
    const json_t *protocols = json_object_get(root, "listener_security_protocol_map");
    size_t n = json_array_size(list);
    struct endpoint *endpoints = arena_zalloc(arena, n > 0 ? n : 1, sizeof *endpoints);
    struct str text;

    if (reg->version < 2) { /* no endpoints yet: one, plain */
        endpoints[0].listener = endpoints[0].protocol = STR("PLAINTEXT");
        reg->node.endpoints = endpoints;
        reg->node.n_endpoints = 1;
        return get_text(arena, root, "host", &endpoints[0].host) &&
               get_i32(root, "port", &endpoints[0].port) && endpoints[0].port >= -1 &&
               endpoints[0].port <= 65535;
    }
    if (!json_is_array(list))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!as_text(arena, json_array_get(list, i), &text) ||
            !parse_endpoint(arena, text, &endpoints[i]))
            return false;
        endpoints[i].protocol = endpoints[i].listener; /* up to version 3 */
        if (json_is_object(protocols) &&
            !get_text(arena, protocols, endpoints[i].listener.ptr, &endpoints[i].protocol))
            return false;
    }
    mark_inter_broker(arena, root, n, endpoints);
    reg->node.endpoints = endpoints;
    reg->node.n_endpoints = n;
    return true;
}

enum err zk_parse_registration(struct arena *arena, struct str json, struct zk_registration *out)
{
    json_t *root = load(json);
    bool ok;

    *out = (struct zk_registration){ .node = { .epoch = -1, .state = NODE_UNKNOWN },
                                     .jmx_port = -1,
                                     .timestamp_ms = -1 };
    ok = root != NULL && get_i32(root, "version", &out->version) && out->version >= 1 &&
         parse_endpoints(arena, root, out);
    if (ok) {
        (void)get_i32(root, "jmx_port", &out->jmx_port);
        (void)get_i64(root, "timestamp", &out->timestamp_ms);
        (void)get_text(arena, root, "rack", &out->node.rack);
        (void)get_text(arena, root, "moldau", &out->moldau);
    }
    return done(root, ok);
}

enum err zk_parse_holder(struct arena *arena, struct str json, struct zk_holder *out)
{
    json_t *root = load(json);
    bool ok;

    (void)arena;
    *out = (struct zk_holder){ .version = 1, .timestamp_ms = -1, .kraft_epoch = -1 };
    ok = root != NULL && get_i32(root, "brokerid", &out->id);
    if (ok) {
        (void)get_i32(root, "version", &out->version);
        (void)get_i64(root, "timestamp", &out->timestamp_ms);
        (void)get_i32(root, "kraftControllerEpoch", &out->kraft_epoch);
    }
    return done(root, ok);
}

enum err zk_parse_epoch(struct str text, int32_t *out)
{
    int64_t value;

    if (!str_to_i64(text, &value) || value < 0 || value > INT32_MAX)
        return ERR_BAD_FORMAT;
    *out = (int32_t)value;
    return ERR_OK;
}

enum err zk_parse_seat(struct arena *arena, struct str json, struct zk_seat *out)
{
    json_t *root = load(json);
    bool ok;

    *out = (struct zk_seat){ .timestamp_ms = -1 };
    ok = root != NULL && get_text(arena, root, "host", &out->host) &&
         get_i32(root, "port", &out->port) && out->port >= 1 && out->port <= 65535;
    if (ok)
        (void)get_i64(root, "timestamp", &out->timestamp_ms);
    return done(root, ok);
}

enum err zk_parse_loading(struct arena *arena, struct str json, struct zk_loading *out)
{
    json_t *root = load(json), *list = json_object_get(root, "dirs");
    size_t n = json_array_size(list);

    *out = (struct zk_loading){ .timestamp_ms = -1 };
    if (root == NULL || !json_is_array(list))
        return done(root, false);
    (void)get_i64(root, "timestamp", &out->timestamp_ms);
    out->dirs = arena_zalloc(arena, n, sizeof *out->dirs);
    for (; out->n < n; out->n++) {
        struct zk_loading_dir *dir = &out->dirs[out->n];
        const json_t *entry = json_array_get(list, out->n);

        dir->is_clean = json_is_true(json_object_get(entry, "clean_stop"));
        if (!get_text(arena, entry, "dir", &dir->dir) ||
            !get_i64(entry, "logs_loaded", &dir->loaded) ||
            !get_i64(entry, "logs_total", &dir->total) ||
            !get_i64(entry, "bytes_read", &dir->read_bytes))
            return done(root, false);
    }
    return done(root, true);
}

static struct zk_topic_part *part_of(struct zk_topic_part *parts, size_t n, int32_t index)
{
    for (size_t i = 0; i < n; i++) {
        if (parts[i].index == index)
            return &parts[i];
    }
    return NULL;
}

/* {"0":[3]}: an entry of a partition that is not there is passed over. */
static bool parse_part_lists(struct arena *arena, json_t *lists, struct zk_topic_part *parts,
                             size_t n, bool adding)
{
    const char *key;
    json_t *value;

    json_object_foreach(lists, key, value)
    {
        struct zk_topic_part *part;
        struct ids ids;
        int32_t index;

        if (!zk_leaf_id(str_of(key), &index) || !as_ids(arena, value, &ids))
            return false;
        part = part_of(parts, n, index);
        if (part != NULL && adding)
            part->adding = ids;
        else if (part != NULL)
            part->removing = ids;
    }
    return true;
}

/* As Kafka writes it: "00" would be partition 0 once more. */
static bool as_index(const char *key, int32_t *index)
{
    return ((key[0] >= '1' && key[0] <= '9') || strcmp(key, "0") == 0) &&
           zk_leaf_id(str_of(key), index);
}

enum err zk_parse_topic(struct arena *arena, struct str json, struct zk_topic *out)
{
    json_t *root = load(json), *partitions, *value;
    struct zk_topic_part *parts;
    struct str id = STR_NULL;
    const char *key;
    size_t n = 0;

    *out = (struct zk_topic){ .version = 1 };
    partitions = json_object_get(root, "partitions");
    if (root == NULL || !json_is_object(partitions))
        return done(root, false);
    (void)get_i32(root, "version", &out->version);
    if (get_text(arena, root, "topic_id", &id) && !uuid_parse(id, &out->id))
        return done(root, false);
    parts = arena_zalloc(arena, json_object_size(partitions), sizeof *parts);
    json_object_foreach(partitions, key, value)
    {
        if (!as_index(key, &parts[n].index) || !as_ids(arena, value, &parts[n].replicas))
            return done(root, false);
        n++;
    }
    out->parts = parts;
    out->n_parts = n;
    return done(
        root,
        parse_part_lists(arena, json_object_get(root, "adding_replicas"), parts, n, true) &&
            parse_part_lists(arena, json_object_get(root, "removing_replicas"), parts, n, false));
}

enum err zk_parse_state(struct arena *arena, struct str json, int32_t *controller_epoch,
                        struct leader_isr *out)
{
    json_t *root = load(json);
    int32_t recovery = 0;
    bool ok;

    *out = (struct leader_isr){ .leader = LEADER_NONE, .partition_epoch = -1 };
    ok = root != NULL && get_i32(root, "leader", &out->leader) &&
         get_i32(root, "leader_epoch", &out->leader_epoch) &&
         as_ids(arena, json_object_get(root, "isr"), &out->isr) &&
         get_i32(root, "controller_epoch", controller_epoch);
    if (ok)
        (void)get_i32(root, "leader_recovery_state", &recovery);
    out->recovering = recovery == 1;
    return done(root, ok);
}

enum err zk_parse_config(struct arena *arena, struct str json, struct image_config *out)
{
    json_t *root = load(json), *map = json_object_get(root, "config"), *value;
    struct image_setting *settings;
    const char *key;
    size_t n = 0;

    out->n_settings = 0;
    out->settings = NULL;
    if (root == NULL || !json_is_object(map))
        return done(root, false);
    settings = arena_zalloc(arena, json_object_size(map), sizeof *settings);
    json_object_foreach(map, key, value)
    {
        if (key[0] == '\0')
            continue; /* nobody can ask for it, and no image holds it */
        if (!as_text(arena, value, &settings[n].value))
            return done(root, false);
        settings[n++].key = copy_text(arena, key, strlen(key));
    }
    out->settings = settings;
    out->n_settings = n;
    return done(root, true);
}

enum err zk_parse_config_change(struct arena *arena, struct str json, struct str *type,
                                struct str *name)
{
    json_t *root = load(json);
    int32_t version = 0;
    struct str path;
    bool ok = root != NULL && get_i32(root, "version", &version);

    if (ok && version == 1) {
        ok = get_text(arena, root, "entity_type", type) &&
             get_text(arena, root, "entity_name", name);
    } else if (ok) {
        ok = get_text(arena, root, "entity_path", &path);
        if (ok) {
            *type = str_split(path, '/', name);
            *type = copy_text(arena, type->ptr, type->len);
        }
    }
    return done(root, ok && name->len > 0 && type->len > 0);
}

enum err zk_parse_pid_block(struct arena *arena, struct str json, struct zk_pid_block *out)
{
    json_t *root;

    (void)arena;
    *out = (struct zk_pid_block){ .broker = -1, .first = -1, .last = -1 };
    if (json.len == 0)
        return ERR_OK;
    root = load(json);
    return done(root, root != NULL && get_i32(root, "broker", &out->broker) &&
                          get_i64(root, "block_start", &out->first) &&
                          get_i64(root, "block_end", &out->last) && out->first >= 0 &&
                          out->last >= out->first);
}

enum err zk_parse_features(struct arena *arena, struct str json, struct zk_features *out)
{
    json_t *root = load(json), *map, *value;
    struct zk_feature *at;
    const char *key;

    *out = (struct zk_features){ .version = 0 };
    if (root == NULL || !get_i32(root, "version", &out->version) ||
        !get_i32(root, "status", &out->status))
        return done(root, false);
    map = json_object_get(root, "features");
    at = arena_zalloc(arena, json_object_size(map), sizeof *at);
    json_object_foreach(map, key, value)
    {
        at[out->n].name = copy_text(arena, key, strlen(key));
        (void)get_i32(value, "max_version_level", &at[out->n].level_max);
        out->n++;
    }
    out->at = at;
    return done(root, true);
}

enum err zk_parse_parts_named(struct arena *arena, struct str json, struct zk_parts_named *out)
{
    json_t *root = load(json), *list = json_object_get(root, "partitions");
    size_t n = json_array_size(list);
    struct zk_part_named *at;

    *out = (struct zk_parts_named){ .n = 0 };
    if (root == NULL || !json_is_array(list))
        return done(root, false);
    at = arena_zalloc(arena, n, sizeof *at);
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(list, i);
        const json_t *replicas = json_object_get(entry, "replicas");

        if (!get_text(arena, entry, "topic", &at[i].topic) ||
            !get_i32(entry, "partition", &at[i].partition) ||
            (replicas != NULL && !as_ids(arena, replicas, &at[i].replicas)))
            return done(root, false);
    }
    *out = (struct zk_parts_named){ .n = n, .at = at };
    return done(root, true);
}

enum err zk_parse_log_dir_event(struct arena *arena, struct str json, int32_t *broker)
{
    json_t *root = load(json);

    (void)arena;
    return done(root, root != NULL && get_i32(root, "broker", broker));
}

enum err zk_parse_ours(struct arena *arena, struct str json, struct zk_ours *out)
{
    json_t *root;

    (void)arena;
    *out = (struct zk_ours){ .first = 0, .last = -1 };
    if (json.len == 0)
        return ERR_OK;
    root = load(json);
    return done(root, root != NULL && get_i32(root, "first", &out->first) &&
                          get_i32(root, "last", &out->last));
}

enum err zk_parse_eligible(struct arena *arena, struct str json, struct zk_eligible *out)
{
    json_t *root = load(json);

    *out = (struct zk_eligible){ .leader_epoch = -1 };
    return done(root, root != NULL && get_i32(root, "controller_epoch", &out->controller_epoch) &&
                          get_i32(root, "leader_epoch", &out->leader_epoch) &&
                          get_i32(root, "partition_epoch", &out->partition_epoch) &&
                          get_i32(root, "min_isr", &out->min_isr) &&
                          as_ids(arena, json_object_get(root, "replicas"), &out->replicas));
}

enum err zk_parse_tombstones(struct arena *arena, struct str json, struct zk_tombstones *out)
{
    json_t *root = load(json), *map = json_object_get(root, "partitions"), *value;
    struct zk_tombstone *at;
    const char *key;

    *out = (struct zk_tombstones){ .n = 0 };
    if (root == NULL || !json_is_object(map) || !get_text(arena, root, "topic", &out->topic))
        return done(root, false);
    at = arena_zalloc(arena, json_object_size(map), sizeof *at);
    json_object_foreach(map, key, value)
    {
        if (!zk_leaf_id(str_of(key), &at[out->n].partition) ||
            !as_i32(value, &at[out->n].leader_epoch))
            return done(root, false);
        out->n++;
    }
    out->at = at;
    return done(root, true);
}

/* [["topic",0,1,...],...] */
static bool as_touched_parts(struct arena *arena, const json_t *list, struct zk_touched *out)
{
    size_t n = 0, n_topics = json_array_size(list);
    struct zk_touched_part *at;

    if (!json_is_array(list))
        return false;
    for (size_t i = 0; i < n_topics; i++)
        n += json_array_size(json_array_get(list, i));
    at = arena_zalloc(arena, n, sizeof *at);
    for (size_t i = 0; i < n_topics; i++) {
        const json_t *entry = json_array_get(list, i);
        struct str topic;

        if (!as_text(arena, json_array_get(entry, 0), &topic))
            return false;
        for (size_t k = 1; k < json_array_size(entry); k++) {
            at[out->n_parts].topic = topic;
            if (!as_i32(json_array_get(entry, k), &at[out->n_parts++].partition))
                return false;
        }
    }
    out->parts = at;
    return true;
}

static bool as_texts(struct arena *arena, const json_t *list, size_t *n, const struct str **out)
{
    struct str *at = arena_zalloc(arena, json_array_size(list), sizeof *at);

    if (!json_is_array(list))
        return false;
    *n = json_array_size(list);
    *out = at;
    for (size_t i = 0; i < *n; i++) {
        if (!as_text(arena, json_array_get(list, i), &at[i]))
            return false;
    }
    return true;
}

enum err zk_parse_touched(struct arena *arena, struct str json, struct zk_touched *out)
{
    json_t *root = load(json);
    int32_t version;
    int64_t number;

    *out = (struct zk_touched){ .n_parts = 0 };
    if (root == NULL || !get_i32(root, "version", &version) || version < 1 || version > 2 ||
        !get_i32(root, "epoch", &out->epoch) || !get_i64(root, "number", &number) || number <= 0 ||
        !as_texts(arena, json_object_get(root, "configs"), &out->n_configs, &out->configs) ||
        !as_touched_parts(arena, json_object_get(root, "states"), out))
        return done(root, false);
    out->number = (uint64_t)number;
    out->has_topics = version >= 2;
    return done(root, !out->has_topics || as_texts(arena, json_object_get(root, "topics"),
                                                   &out->n_topics, &out->topics));
}
