/*
 * Messages to values. Every reader checks its message whole before anybody acts on a part of it:
 * what does not make sense is refused with ERR_BAD_FORMAT, so that images only ever hold what could
 * have come out of ZooKeeper.
 */
#include <string.h>

#include "common/base/mem.h"
#include "common/stream/stream_image.h"

#define BAD_UNLESS(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return ERR_BAD_FORMAT;                                                                 \
    } while (0)
/* Reads on, or hands the error up. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum err try_err = (call);                                                                 \
        if (try_err != ERR_OK)                                                                     \
            return try_err;                                                                        \
    } while (0)

/* ---- numbers and names ----------------------------------------------------------------------- */

enum err stream_image_read_uuid(ProtobufCBinaryData bytes, struct uuid *out)
{
    BAD_UNLESS(bytes.len == sizeof out->bytes);
    memcpy(out->bytes, bytes.data, sizeof out->bytes);
    BAD_UNLESS(!uuid_is_zero(*out));
    return ERR_OK;
}

static enum err read_ids(size_t n, const int32_t *at, struct ids *out)
{
    BAD_UNLESS(n <= IDS_MAX);
    *out = (struct ids){ .at = at, .n = (uint32_t)n };
    return ERR_OK;
}

static enum err read_text(const char *text, struct str *out)
{
    *out = str_of(text);
    BAD_UNLESS(out->len > 0);
    return ERR_OK;
}

/* ---- one thing each -------------------------------------------------------------------------- */

static enum err read_endpoints(size_t n, Control__Endpoint *const *from, struct arena *arena,
                               struct node *out)
{
    struct endpoint *all = arena_alloc(arena, n * sizeof *all);

    for (size_t i = 0; i < n; i++) {
        all[i] = (struct endpoint){ .listener = str_of(from[i]->listener),
                                    .protocol = str_of(from[i]->protocol),
                                    .host = str_of(from[i]->host),
                                    .port = from[i]->port };
        all[i].is_inter_broker = from[i]->has_inter_broker && from[i]->inter_broker;
        BAD_UNLESS(from[i]->has_port && endpoint_valid(&all[i]));
    }
    out->n_endpoints = n;
    out->endpoints = all;
    return ERR_OK;
}

static enum err read_broker(const Control__Broker *from, struct arena *arena, struct node *out)
{
    *out = (struct node){ .id = from->id, .epoch = from->has_epoch ? from->epoch : -1 };
    BAD_UNLESS(from->has_id && from->id >= 0);
    if (from->has_incarnation)
        TRY(stream_image_read_uuid(from->incarnation, &out->incarnation));
    out->rack = str_of(from->rack);
    BAD_UNLESS(from->has_state &&
               protobuf_c_enum_descriptor_get_value(&control__broker__state__descriptor,
                                                    (int)from->state) != NULL);
    out->state = (enum node_state)from->state;
    return read_endpoints(from->n_endpoints, from->endpoints, arena, out);
}

enum err stream_image_read_hello(const Control__Hello *hello, struct arena *arena, struct node *out)
{
    *out = (struct node){ .id = hello->broker_id, .epoch = hello->broker_epoch };
    BAD_UNLESS(hello->has_broker_id && hello->broker_id >= 0);
    BAD_UNLESS(hello->has_broker_epoch && hello->has_incarnation);
    TRY(stream_image_read_uuid(hello->incarnation, &out->incarnation));
    out->rack = str_of(hello->rack);
    out->state = NODE_LIVE;
    return read_endpoints(hello->n_endpoints, hello->endpoints, arena, out);
}

static enum err read_part(const Control__Partition *from, struct image_part *out)
{
    *out = (struct image_part){ .index = from->index,
                                .leader = from->leader,
                                .leader_epoch = from->leader_epoch,
                                .partition_epoch = from->partition_epoch,
                                .recovering = from->has_recovering && from->recovering };
    BAD_UNLESS(from->has_index && from->has_leader && from->has_leader_epoch);
    BAD_UNLESS(from->has_partition_epoch);
    TRY(read_ids(from->n_replicas, from->replicas, &out->replicas));
    TRY(read_ids(from->n_isr, from->isr, &out->isr));
    TRY(read_ids(from->n_adding, from->adding, &out->adding));
    TRY(read_ids(from->n_removing, from->removing, &out->removing));
    TRY(read_ids(from->n_offline, from->offline, &out->offline));
    BAD_UNLESS(image_part_valid(out));
    return ERR_OK;
}

static enum err read_topic(const Control__Topic *from, struct arena *arena,
                           struct image_topic_change *out)
{
    struct image_part *parts = arena_alloc(arena, from->n_partitions * sizeof *parts);

    *out = (struct image_topic_change){ .n_parts = from->n_partitions,
                                        .parts = parts,
                                        .has_version = from->has_version,
                                        .version = from->version };
    BAD_UNLESS(from->has_id);
    BAD_UNLESS(!from->has_version || from->version >= 0);
    TRY(stream_image_read_uuid(from->id, &out->id));
    out->name = str_of(from->name);
    BAD_UNLESS(image_topic_name_valid(out->name));
    for (size_t i = 0; i < from->n_partitions; i++)
        TRY(read_part(from->partitions[i], &parts[i]));
    return ERR_OK;
}

static enum err read_config(const Control__Config *from, struct arena *arena,
                            struct image_config *out)
{
    struct image_setting *settings = arena_alloc(arena, from->n_settings * sizeof *settings);

    *out = (struct image_config){ .n_settings = from->n_settings, .settings = settings };
    TRY(read_text(from->type, &out->type));
    TRY(read_text(from->name, &out->name));
    for (size_t i = 0; i < from->n_settings; i++) {
        TRY(read_text(from->settings[i]->key, &settings[i].key));
        settings[i].value = str_of(from->settings[i]->value);
        BAD_UNLESS(!str_is_null(settings[i].value));
    }
    return ERR_OK;
}

enum err stream_image_read_tombstones(size_t n, Control__Tombstone *const *messages,
                                      struct arena *arena, const struct image_tombstone **out)
{
    struct image_tombstone *all = arena_alloc(arena, n * sizeof *all);

    for (size_t i = 0; i < n; i++) {
        const Control__Tombstone *from = messages[i];

        all[i] = (struct image_tombstone){ .broker = from->broker,
                                           .topic = str_of(from->topic),
                                           .partition = from->partition,
                                           .leader_epoch = from->leader_epoch };
        BAD_UNLESS(from->has_broker && from->has_topic_id && from->has_partition);
        BAD_UNLESS(from->has_leader_epoch);
        TRY(stream_image_read_uuid(from->topic_id, &all[i].topic_id));
        BAD_UNLESS(image_tombstone_valid(&all[i]));
    }
    *out = all;
    return ERR_OK;
}

/* ---- lists of them, the same in an image and in a delta -------------------------------------- */

static enum err read_brokers(size_t n, Control__Broker *const *from, struct arena *arena,
                             struct image_delta *out)
{
    struct node *all = arena_alloc(arena, n * sizeof *all);

    for (size_t i = 0; i < n; i++)
        TRY(read_broker(from[i], arena, &all[i]));
    out->n_brokers = n;
    out->brokers = all;
    return ERR_OK;
}

static enum err read_topics(size_t n, Control__Topic *const *from, struct arena *arena,
                            struct image_delta *out)
{
    struct image_topic_change *all = arena_alloc(arena, n * sizeof *all);

    for (size_t i = 0; i < n; i++)
        TRY(read_topic(from[i], arena, &all[i]));
    out->n_topics = n;
    out->topics = all;
    return ERR_OK;
}

static enum err read_configs(size_t n, Control__Config *const *from, struct arena *arena,
                             struct image_delta *out)
{
    struct image_config *all = arena_alloc(arena, n * sizeof *all);

    for (size_t i = 0; i < n; i++)
        TRY(read_config(from[i], arena, &all[i]));
    out->n_configs = n;
    out->configs = all;
    return ERR_OK;
}

enum err stream_image_read_delta(const Control__Delta *message, struct arena *arena,
                                 struct image_delta *out)
{
    struct uuid *gone = arena_alloc(arena, message->n_topics_gone * sizeof *gone);

    *out = (struct image_delta){ .controller_epoch = message->controller_epoch,
                                 .version = message->version };
    BAD_UNLESS(message->has_controller_epoch && message->controller_epoch >= 0);
    BAD_UNLESS(message->has_version);
    TRY(read_brokers(message->n_brokers, message->brokers, arena, out));
    TRY(read_ids(message->n_brokers_gone, message->brokers_gone, &out->brokers_gone));
    BAD_UNLESS(ids_valid(out->brokers_gone));
    TRY(read_topics(message->n_topics, message->topics, arena, out));
    for (size_t i = 0; i < message->n_topics_gone; i++)
        TRY(stream_image_read_uuid(message->topics_gone[i], &gone[i]));
    out->n_topics_gone = message->n_topics_gone;
    out->topics_gone = gone;
    TRY(read_configs(message->n_configs, message->configs, arena, out));
    out->n_tombstones = message->n_tombstones;
    TRY(stream_image_read_tombstones(message->n_tombstones, message->tombstones, arena,
                                     &out->tombstones));
    out->n_tombstones_gone = message->n_tombstones_gone;
    return stream_image_read_tombstones(message->n_tombstones_gone, message->tombstones_gone, arena,
                                        &out->tombstones_gone);
}

/* ---- an image out of its pieces -------------------------------------------------------------- */

void stream_image_init(struct stream_image *gather)
{
    *gather = (struct stream_image){ .image = NULL };
}

void stream_image_fini(struct stream_image *gather)
{
    image_unref(&gather->image);
    gather->next_piece = 0;
}

static enum err read_piece(const Control__Image *piece, struct arena *arena,
                           struct image_delta *out)
{
    *out = (struct image_delta){ .controller_epoch = piece->controller_epoch,
                                 .version = piece->version };
    TRY(read_brokers(piece->n_brokers, piece->brokers, arena, out));
    TRY(read_topics(piece->n_topics, piece->topics, arena, out));
    TRY(read_configs(piece->n_configs, piece->configs, arena, out));
    out->n_tombstones = piece->n_tombstones;
    return stream_image_read_tombstones(piece->n_tombstones, piece->tombstones, arena,
                                        &out->tombstones);
}

static enum err check_head(const struct stream_image *gather, const Control__Image *piece)
{
    const struct image *image = gather->image;
    struct str cluster_id;

    BAD_UNLESS(piece->has_controller_epoch && piece->controller_epoch >= 0);
    BAD_UNLESS(piece->has_version && piece->has_controller_id && piece->has_piece);
    TRY(read_text(piece->cluster_id, &cluster_id));
    if (piece->piece == 0)
        return ERR_OK;
    BAD_UNLESS(image != NULL && piece->piece == gather->next_piece);
    BAD_UNLESS(piece->controller_epoch == image_controller_epoch(image));
    BAD_UNLESS(piece->version == image_version(image));
    BAD_UNLESS(piece->controller_id == image_controller_id(image));
    BAD_UNLESS(str_eq(cluster_id, image_cluster_id(image)));
    return ERR_OK;
}

enum err stream_image_on_piece(struct stream_image *gather, const Control__Image *piece,
                               struct image **out)
{
    struct image_delta delta;
    struct arena arena;

    *out = NULL;
    TRY(check_head(gather, piece));
    arena_init(&arena, SIZE_MAX);

    enum err err = read_piece(piece, &arena, &delta);

    if (err == ERR_OK) {
        if (piece->piece == 0) {
            stream_image_fini(gather);
            gather->image = image_new(piece->controller_epoch, piece->version, piece->controller_id,
                                      str_of(piece->cluster_id));
        }
        image_add(gather->image, &delta);
        gather->next_piece = piece->piece + 1;
    }
    arena_fini(&arena);
    if (err == ERR_OK && piece->has_last && piece->last) {
        *out = gather->image;
        gather->image = NULL;
        gather->next_piece = 0;
    }
    return err;
}
