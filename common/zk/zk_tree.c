/*
 * Paths, and the values as Kafka 3.9 writes them. Kafka builds its JSON from hash maps, so the
 * order of keys is that of a hash: recorded once, written down here, and checked against recorded
 * trees. Strings are escaped as Jackson does it: quote, backslash and control characters, nothing
 * else.
 */
#include "common/zk/zk_tree.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

/* ---- paths ----------------------------------------------------------------------------------- */

const char *const zk_tree_start_paths[] = {
    ZK_CONSUMERS,      ZK_BROKER_IDS,   ZK_TOPICS,         ZK_CONFIG_CHANGES, ZK_DELETE_TOPICS,
    ZK_BROKER_SEQID,   ZK_ISR_CHANGES,  ZK_PID_BLOCK,      ZK_LOG_DIR_EVENTS, "/config/topics",
    "/config/clients", "/config/users", "/config/brokers", "/config/ips",     NULL,
};

const char *const zk_tree_own_paths[] = { ZK_SEATS, ZK_TOMBSTONES, ZK_ELIGIBLE, ZK_RING, NULL };

const char *const zk_tree_entity_types[] = { "topics", "brokers", "clients", "users", "ips", NULL };

static const char *path_of(struct str text)
{
    return text.ptr;
}

const char *zk_path_broker(struct arena *arena, int32_t id)
{
    return path_of(arena_printf(arena, ZK_BROKER_IDS "/%" PRId32, id));
}

const char *zk_path_seat(struct arena *arena, int32_t controller_id)
{
    return path_of(arena_printf(arena, ZK_SEATS "/%" PRId32, controller_id));
}

const char *zk_path_loading(struct arena *arena, int32_t broker_id)
{
    return path_of(arena_printf(arena, ZK_LOADING "/%" PRId32, broker_id));
}

const char *zk_path_topic(struct arena *arena, struct str topic)
{
    return path_of(arena_printf(arena, ZK_TOPICS "/%.*s", STR_ARG(topic)));
}

const char *zk_path_partitions(struct arena *arena, struct str topic)
{
    return path_of(arena_printf(arena, ZK_TOPICS "/%.*s/partitions", STR_ARG(topic)));
}

const char *zk_path_partition(struct arena *arena, struct str topic, int32_t partition)
{
    return path_of(
        arena_printf(arena, ZK_TOPICS "/%.*s/partitions/%" PRId32, STR_ARG(topic), partition));
}

const char *zk_path_state(struct arena *arena, struct str topic, int32_t partition)
{
    return path_of(arena_printf(arena, ZK_TOPICS "/%.*s/partitions/%" PRId32 "/state",
                                STR_ARG(topic), partition));
}

const char *zk_path_delete_mark(struct arena *arena, struct str topic)
{
    return path_of(arena_printf(arena, ZK_DELETE_TOPICS "/%.*s", STR_ARG(topic)));
}

const char *zk_path_config(struct arena *arena, struct str type, struct str name)
{
    return path_of(arena_printf(arena, ZK_CONFIG "/%.*s/%.*s", STR_ARG(type), STR_ARG(name)));
}

const char *zk_path_tombstones(struct arena *arena, int32_t broker, struct uuid topic_id)
{
    char text[UUID_TEXT_LEN + 1];

    uuid_print(topic_id, text);
    return path_of(arena_printf(arena, ZK_TOMBSTONES "/%" PRId32 "-%s", broker, text));
}

const char *zk_path_ring(struct arena *arena, uint64_t number)
{
    return path_of(arena_printf(arena, ZK_RING "/%03d", (int)(number % ZK_RING_SLOTS)));
}

const char *zk_path_eligible(struct arena *arena, struct uuid topic_id, int32_t partition)
{
    char text[UUID_TEXT_LEN + 1];

    uuid_print(topic_id, text);
    return path_of(arena_printf(arena, ZK_ELIGIBLE "/%s-%" PRId32, text, partition));
}

const char *zk_path_child(struct arena *arena, const char *parent, struct str child)
{
    return path_of(arena_printf(arena, "%s/%.*s", parent, STR_ARG(child)));
}

struct str zk_path_leaf(struct str path)
{
    size_t at = path.len;

    while (at > 0 && path.ptr[at - 1] != '/')
        at--;
    return (struct str){ .ptr = path.ptr + at, .len = path.len - at };
}

bool zk_leaf_id(struct str leaf, int32_t *id)
{
    int64_t value;

    if (!str_to_i64(leaf, &value) || value < 0 || value > INT32_MAX)
        return false;
    *id = (int32_t)value;
    return true;
}

bool zk_leaf_tombstones(struct str leaf, int32_t *broker, struct uuid *topic_id)
{
    struct str text;
    struct str id = str_split(leaf, '-', &text); /* the topic id may have a '-' of its own */

    return zk_leaf_id(id, broker) && !str_is_null(text) && uuid_parse(text, topic_id);
}

bool zk_leaf_eligible(struct str leaf, struct uuid *topic_id, int32_t *partition)
{
    struct str id = { .ptr = leaf.ptr, .len = UUID_TEXT_LEN };
    struct str rest = { .ptr = leaf.ptr + UUID_TEXT_LEN + 1 };

    if (leaf.len < UUID_TEXT_LEN + 2 || leaf.ptr[UUID_TEXT_LEN] != '-')
        return false;
    rest.len = leaf.len - UUID_TEXT_LEN - 1;
    return uuid_parse(id, topic_id) && zk_leaf_id(rest, partition);
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

struct str zk_sanitize(struct arena *arena, struct str name)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc(arena, name.len * 3 + 1);
    size_t len = 0;

    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];

        if (is_plain((char)c)) {
            out[len++] = (char)c;
        } else {
            out[len++] = '%';
            out[len++] = hex[c >> 4];
            out[len++] = hex[c & 15];
        }
    }
    out[len] = '\0';
    return (struct str){ .ptr = out, .len = len };
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

enum err zk_unsanitize(struct arena *arena, struct str text, struct str *out)
{
    char *name = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '%') {
            int high = text.len - i > 2 ? hex_digit(text.ptr[i + 1]) : -1;
            int low = text.len - i > 2 ? hex_digit(text.ptr[i + 2]) : -1;

            if (high < 0 || low < 0)
                return ERR_BAD_FORMAT;
            name[len++] = (char)(high * 16 + low);
            i += 2;
        } else {
            name[len++] = text.ptr[i] == '+' ? ' ' : text.ptr[i];
        }
    }
    name[len] = '\0';
    *out = (struct str){ .ptr = name, .len = len };
    return ERR_OK;
}

/* ---- writing JSON ---------------------------------------------------------------------------- */

/* Text that grows in an arena: what it outgrows stays there until the arena goes. */
struct writer {
    struct arena *arena;
    char *text;
    size_t len, cap;
};

static void put_bytes(struct writer *w, const char *bytes, size_t len)
{
    if (w->len + len + 1 > w->cap) {
        size_t cap = w->cap > 0 ? w->cap * 2 : 256;
        char *text;

        while (cap < w->len + len + 1)
            cap *= 2;
        text = arena_alloc(w->arena, cap);
        if (w->len > 0)
            memcpy(text, w->text, w->len);
        w->text = text;
        w->cap = cap;
    }
    if (len > 0)
        memcpy(w->text + w->len, bytes, len);
    w->len += len;
    w->text[w->len] = '\0';
}

static void put(struct writer *w, const char *text)
{
    put_bytes(w, text, strlen(text));
}

static void put_int(struct writer *w, int64_t value)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRId64, value);

    put_bytes(w, text, (size_t)len);
}

static void put_text(struct writer *w, struct str text)
{
    size_t from = 0;

    put(w, "\"");
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        char escape[8];

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        put_bytes(w, text.ptr + from, i - from);
        from = i + 1;
        switch (c) {
        case '"':
            put(w, "\\\"");
            break;
        case '\\':
            put(w, "\\\\");
            break;
        case '\n':
            put(w, "\\n");
            break;
        case '\r':
            put(w, "\\r");
            break;
        case '\t':
            put(w, "\\t");
            break;
        case '\b':
            put(w, "\\b");
            break;
        case '\f':
            put(w, "\\f");
            break;
        default:
            snprintf(escape, sizeof escape, "\\u%04X", c);
            put(w, escape);
        }
    }
    put_bytes(w, text.ptr + from, text.len - from);
    put(w, "\"");
}

static void put_ids(struct writer *w, struct ids ids)
{
    put(w, "[");
    for (uint32_t i = 0; i < ids.n; i++) {
        if (i > 0)
            put(w, ",");
        put_int(w, ids.at[i]);
    }
    put(w, "]");
}

static struct str writer_end(struct writer *w)
{
    return (struct str){ .ptr = w->text, .len = w->len };
}

/* ---- values ---------------------------------------------------------------------------------- */

struct str zk_build_cluster_id(struct arena *arena, struct str id)
{
    struct writer w = { .arena = arena };

    put(&w, "{\"version\":\"1\",\"id\":");
    put_text(&w, id);
    put(&w, "}");
    return writer_end(&w);
}

/* host and port are those of the first plaintext endpoint, for clients of long ago. */
static void put_legacy_endpoint(struct writer *w, const struct node *node)
{
    const struct endpoint *plain = NULL;

    for (size_t i = 0; i < node->n_endpoints && plain == NULL; i++) {
        if (str_is(node->endpoints[i].protocol, "PLAINTEXT"))
            plain = &node->endpoints[i];
    }
    put(w, ",\"port\":");
    put_int(w, plain != NULL ? plain->port : -1);
    put(w, ",\"host\":");
    if (plain != NULL)
        put_text(w, plain->host);
    else
        put(w, "null");
}

struct str zk_build_registration(struct arena *arena, const struct zk_registration *reg)
{
    struct writer w = { .arena = arena };
    const struct node *node = &reg->node;
    const struct endpoint *inter_broker = node_inter_broker(node);

    put(&w, "{\"features\":{},\"listener_security_protocol_map\":{");
    for (size_t i = 0; i < node->n_endpoints; i++) {
        if (i > 0)
            put(&w, ",");
        put_text(&w, node->endpoints[i].listener);
        put(&w, ":");
        put_text(&w, node->endpoints[i].protocol);
    }
    put(&w, "},\"endpoints\":[");
    for (size_t i = 0; i < node->n_endpoints; i++) {
        const struct endpoint *ep = &node->endpoints[i];
        bool v6 = ep->host.len > 0 && memchr(ep->host.ptr, ':', ep->host.len) != NULL;

        if (i > 0)
            put(&w, ",");
        put_text(&w, arena_printf(arena, v6 ? "%.*s://[%.*s]:%" PRId32 : "%.*s://%.*s:%" PRId32,
                                  STR_ARG(ep->listener), STR_ARG(ep->host), ep->port));
    }
    put(&w, "]");
    if (!str_is_null(node->rack)) {
        put(&w, ",\"rack\":");
        put_text(&w, node->rack);
    }
    put(&w, ",\"jmx_port\":");
    put_int(&w, reg->jmx_port);
    put_legacy_endpoint(&w, node);
    put(&w, ",\"version\":5,\"timestamp\":\"");
    put_int(&w, reg->timestamp_ms);
    put(&w, "\"");
    if (!str_is_null(reg->moldau)) {
        put(&w, ",\"moldau\":");
        put_text(&w, reg->moldau);
    }
    if (inter_broker != NULL) {
        put(&w, ",\"moldau_inter_broker\":");
        put_text(&w, inter_broker->listener);
    }
    put(&w, "}");
    return writer_end(&w);
}

struct str zk_build_holder(struct arena *arena, const struct zk_holder *holder)
{
    return arena_printf(arena,
                        "{\"version\":2,\"brokerid\":%" PRId32 ",\"timestamp\":\"%" PRId64
                        "\",\"kraftControllerEpoch\":%" PRId32 "}",
                        holder->id, holder->timestamp_ms, holder->kraft_epoch);
}

struct str zk_build_epoch(struct arena *arena, int32_t epoch)
{
    return arena_printf(arena, "%" PRId32, epoch);
}

struct str zk_build_seat(struct arena *arena, const struct zk_seat *seat)
{
    struct writer w = { .arena = arena };

    put(&w, "{\"version\":1,\"host\":");
    put_text(&w, seat->host);
    put(&w, ",\"port\":");
    put_int(&w, seat->port);
    put(&w, ",\"timestamp\":\"");
    put_int(&w, seat->timestamp_ms);
    put(&w, "\"}");
    return writer_end(&w);
}

struct str zk_build_loading(struct arena *arena, const struct zk_loading *loading)
{
    struct writer w = { .arena = arena };

    put(&w, "{\"version\":1,\"timestamp\":\"");
    put_int(&w, loading->timestamp_ms);
    put(&w, "\",\"dirs\":[");
    for (size_t i = 0; i < loading->n; i++) {
        const struct zk_loading_dir *dir = &loading->dirs[i];

        put(&w, i > 0 ? ",{\"dir\":" : "{\"dir\":");
        put_text(&w, dir->dir);
        put(&w, dir->is_clean ? ",\"clean_stop\":true" : ",\"clean_stop\":false");
        put(&w, ",\"logs_loaded\":");
        put_int(&w, dir->loaded);
        put(&w, ",\"logs_total\":");
        put_int(&w, dir->total);
        put(&w, ",\"bytes_read\":");
        put_int(&w, dir->read_bytes);
        put(&w, "}");
    }
    put(&w, "]}");
    return writer_end(&w);
}

/* The partitions that have any, as {"0":[3]}. */
static void put_part_lists(struct writer *w, const struct zk_topic *topic, bool adding)
{
    bool first = true;

    put(w, "{");
    for (size_t i = 0; i < topic->n_parts; i++) {
        struct ids ids = adding ? topic->parts[i].adding : topic->parts[i].removing;

        if (ids.n == 0)
            continue;
        put(w, first ? "\"" : ",\"");
        first = false;
        put_int(w, topic->parts[i].index);
        put(w, "\":");
        put_ids(w, ids);
    }
    put(w, "}");
}

struct str zk_build_topic(struct arena *arena, const struct zk_topic *topic)
{
    struct writer w = { .arena = arena };

    put(&w, "{\"partitions\":{");
    for (size_t i = 0; i < topic->n_parts; i++) {
        put(&w, i > 0 ? ",\"" : "\"");
        put_int(&w, topic->parts[i].index);
        put(&w, "\":");
        put_ids(&w, topic->parts[i].replicas);
    }
    put(&w, "}");
    if (!uuid_is_zero(topic->id)) {
        char text[UUID_TEXT_LEN + 1];

        uuid_print(topic->id, text);
        put(&w, ",\"topic_id\":\"");
        put(&w, text);
        put(&w, "\"");
    }
    put(&w, ",\"adding_replicas\":");
    put_part_lists(&w, topic, true);
    put(&w, ",\"removing_replicas\":");
    put_part_lists(&w, topic, false);
    put(&w, ",\"version\":3}");
    return writer_end(&w);
}

struct str zk_build_state(struct arena *arena, int32_t controller_epoch,
                          const struct leader_isr *state)
{
    struct writer w = { .arena = arena };

    assert(state->isr.n > 0);
    assert(state->leader >= LEADER_NONE);
    put(&w, "{\"controller_epoch\":");
    put_int(&w, controller_epoch);
    put(&w, ",\"leader\":");
    put_int(&w, state->leader);
    put(&w, ",\"version\":1");
    if (state->recovering)
        put(&w, ",\"leader_recovery_state\":1");
    put(&w, ",\"leader_epoch\":");
    put_int(&w, state->leader_epoch);
    put(&w, ",\"isr\":");
    put_ids(&w, state->isr);
    put(&w, "}");
    return writer_end(&w);
}

struct str zk_build_config(struct arena *arena, const struct image_config *config)
{
    struct writer w = { .arena = arena };

    put(&w, "{\"version\":1,\"config\":{");
    for (size_t i = 0; i < config->n_settings; i++) {
        if (i > 0)
            put(&w, ",");
        put_text(&w, config->settings[i].key);
        put(&w, ":");
        put_text(&w, config->settings[i].value);
    }
    put(&w, "}}");
    return writer_end(&w);
}

struct str zk_build_config_change(struct arena *arena, struct str type, struct str name)
{
    struct writer w = { .arena = arena };

    put(&w, "{\"version\":2,\"entity_path\":");
    put_text(&w, arena_printf(arena, "%.*s/%.*s", STR_ARG(type), STR_ARG(name)));
    put(&w, "}");
    return writer_end(&w);
}

struct str zk_build_pid_block(struct arena *arena, const struct zk_pid_block *block)
{
    return arena_printf(arena,
                        "{\"version\":1,\"broker\":%" PRId32 ",\"block_start\":\"%" PRId64
                        "\",\"block_end\":\"%" PRId64 "\"}",
                        block->broker, block->first, block->last);
}

struct str zk_build_features(struct arena *arena)
{
    return arena_str(arena, STR("{\"features\":{},\"version\":2,\"status\":1}"));
}

struct str zk_build_parts_named(struct arena *arena, const struct zk_parts_named *parts,
                                bool with_replicas)
{
    struct writer w = { .arena = arena };

    put(&w, "{\"version\":1,\"partitions\":[");
    for (size_t i = 0; i < parts->n; i++) {
        put(&w, i > 0 ? ",{\"topic\":" : "{\"topic\":");
        put_text(&w, parts->at[i].topic);
        put(&w, ",\"partition\":");
        put_int(&w, parts->at[i].partition);
        if (with_replicas) {
            put(&w, ",\"replicas\":");
            put_ids(&w, parts->at[i].replicas);
        }
        put(&w, "}");
    }
    put(&w, "]}");
    return writer_end(&w);
}

struct str zk_build_ours(struct arena *arena, const struct zk_ours *ours)
{
    struct writer w = { .arena = arena };

    put(&w, "{\"version\":1,\"first\":");
    put_int(&w, ours->first);
    put(&w, ",\"last\":");
    put_int(&w, ours->last);
    put(&w, "}");
    return writer_end(&w);
}

struct str zk_build_eligible(struct arena *arena, const struct zk_eligible *eligible)
{
    struct writer w = { .arena = arena };

    put(&w, "{\"version\":1,\"controller_epoch\":");
    put_int(&w, eligible->controller_epoch);
    put(&w, ",\"leader_epoch\":");
    put_int(&w, eligible->leader_epoch);
    put(&w, ",\"partition_epoch\":");
    put_int(&w, eligible->partition_epoch);
    put(&w, ",\"min_isr\":");
    put_int(&w, eligible->min_isr);
    put(&w, ",\"replicas\":");
    put_ids(&w, eligible->replicas);
    put(&w, "}");
    return writer_end(&w);
}

struct str zk_build_tombstones(struct arena *arena, const struct zk_tombstones *stones)
{
    struct writer w = { .arena = arena };

    put(&w, "{\"version\":1,\"topic\":");
    put_text(&w, stones->topic);
    put(&w, ",\"partitions\":{");
    for (size_t i = 0; i < stones->n; i++) {
        put(&w, i > 0 ? ",\"" : "\"");
        put_int(&w, stones->at[i].partition);
        put(&w, "\":");
        put_int(&w, stones->at[i].leader_epoch);
    }
    put(&w, "}}");
    return writer_end(&w);
}

static void put_texts(struct writer *w, size_t n, const struct str *texts)
{
    for (size_t i = 0; i < n; i++) {
        put(w, i > 0 ? "," : "");
        put_text(w, texts[i]);
    }
}

struct str zk_build_touched(struct arena *arena, const struct zk_touched *touched)
{
    struct writer w = { .arena = arena };

    put(&w, "{\"version\":2,\"epoch\":");
    put_int(&w, touched->epoch);
    put(&w, ",\"number\":");
    put_int(&w, (int64_t)touched->number);
    put(&w, ",\"states\":[");
    for (size_t i = 0; i < touched->n_parts; i++) {
        const struct zk_touched_part *part = &touched->parts[i];

        if (i == 0 || !str_eq(part->topic, touched->parts[i - 1].topic)) {
            put(&w, i > 0 ? "],[" : "[");
            put_text(&w, part->topic);
        }
        put(&w, ",");
        put_int(&w, part->partition);
    }
    put(&w, touched->n_parts > 0 ? "]],\"configs\":[" : "],\"configs\":[");
    put_texts(&w, touched->n_configs, touched->configs);
    put(&w, "],\"topics\":[");
    put_texts(&w, touched->n_topics, touched->topics);
    put(&w, "]}");
    return writer_end(&w);
}
