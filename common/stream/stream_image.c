/*
 * Values to messages. A message is made of values in an arena, packed and forgotten, piece by
 * piece; a topic whose partitions do not fit in one piece goes on in the next. What the other way
 * does is in stream_image_read.c.
 */
#include "common/stream/stream_image.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/stream/stream.h"

#define ENTRY_BYTES 8 /* tag and length of an entry, generously */

/* Packing does not write; protobuf-c's structs know no const. */
static int32_t *ids_ptr(struct ids ids)
{
    return (int32_t *)(uintptr_t)ids.at;
}

static char *text_of(struct arena *arena, struct str text)
{
    return str_is_null(text) ? NULL : arena_cstr(arena, text);
}

ProtobufCBinaryData stream_image_write_uuid(const struct uuid *uuid)
{
    return (ProtobufCBinaryData){ .len = sizeof uuid->bytes,
                                  .data = (uint8_t *)(uintptr_t)uuid->bytes };
}

/* A zeroed message of that kind in the arena. */
#define NEW(arena, type, message_init)                                                             \
    ({                                                                                             \
        type *new_message = arena_alloc((arena), sizeof(type));                                    \
        *new_message = (type)message_init;                                                         \
        new_message;                                                                               \
    })
#define PUT(message, field, value)                                                                 \
    do {                                                                                           \
        (message)->has_##field = 1;                                                                \
        (message)->field = (value);                                                                \
    } while (0)
#define PUT_IDS(message, field, ids)                                                               \
    do {                                                                                           \
        (message)->n_##field = (ids).n;                                                            \
        (message)->field = ids_ptr(ids);                                                           \
    } while (0)

/* ---- one thing each -------------------------------------------------------------------------- */

static Control__Endpoint **write_endpoints(const struct node *node, struct arena *arena)
{
    Control__Endpoint **all = arena_alloc(arena, node->n_endpoints * sizeof(Control__Endpoint *));

    for (size_t i = 0; i < node->n_endpoints; i++) {
        const struct endpoint *from = &node->endpoints[i];
        Control__Endpoint *to = NEW(arena, Control__Endpoint, CONTROL__ENDPOINT__INIT);

        to->listener = text_of(arena, from->listener);
        to->protocol = text_of(arena, from->protocol);
        to->host = text_of(arena, from->host);
        PUT(to, port, from->port);
        if (from->is_inter_broker)
            PUT(to, inter_broker, true);
        all[i] = to;
    }
    return all;
}

static Control__Broker *write_broker(const struct node *node, struct arena *arena)
{
    Control__Broker *to = NEW(arena, Control__Broker, CONTROL__BROKER__INIT);

    PUT(to, id, node->id);
    PUT(to, epoch, node->epoch);
    if (!uuid_is_zero(node->incarnation))
        PUT(to, incarnation, stream_image_write_uuid(&node->incarnation));
    to->rack = text_of(arena, node->rack);
    to->n_endpoints = node->n_endpoints;
    to->endpoints = write_endpoints(node, arena);
    PUT(to, state, (Control__Broker__State)node->state);
    return to;
}

static Control__Partition *write_part(const struct image_part *part, struct arena *arena)
{
    Control__Partition *to = NEW(arena, Control__Partition, CONTROL__PARTITION__INIT);

    PUT(to, index, part->index);
    PUT(to, leader, part->leader);
    PUT(to, leader_epoch, part->leader_epoch);
    PUT(to, partition_epoch, part->partition_epoch);
    if (part->recovering)
        PUT(to, recovering, 1);
    PUT_IDS(to, replicas, part->replicas);
    PUT_IDS(to, isr, part->isr);
    PUT_IDS(to, adding, part->adding);
    PUT_IDS(to, removing, part->removing);
    PUT_IDS(to, offline, part->offline);
    return to;
}

static Control__Topic *write_topic(const struct uuid *id, struct str name, int32_t version,
                                   size_t parts_max, struct arena *arena)
{
    Control__Topic *to = NEW(arena, Control__Topic, CONTROL__TOPIC__INIT);

    PUT(to, id, stream_image_write_uuid(id));
    to->name = text_of(arena, name);
    if (version >= 0)
        PUT(to, version, version);
    to->partitions = arena_alloc(arena, parts_max * sizeof(Control__Partition *));
    return to;
}

static Control__Config *write_config(const struct image_config *config, struct arena *arena)
{
    Control__Config *to = NEW(arena, Control__Config, CONTROL__CONFIG__INIT);

    to->type = text_of(arena, config->type);
    to->name = text_of(arena, config->name);
    to->n_settings = config->n_settings;
    to->settings = arena_alloc(arena, config->n_settings * sizeof(Control__Setting *));
    for (size_t i = 0; i < config->n_settings; i++) {
        Control__Setting *setting = NEW(arena, Control__Setting, CONTROL__SETTING__INIT);

        setting->key = text_of(arena, config->settings[i].key);
        setting->value = text_of(arena, config->settings[i].value);
        to->settings[i] = setting;
    }
    return to;
}

static Control__Tombstone *write_tombstone(const struct image_tombstone *stone, struct arena *arena)
{
    Control__Tombstone *to = NEW(arena, Control__Tombstone, CONTROL__TOMBSTONE__INIT);

    PUT(to, broker, stone->broker);
    PUT(to, topic_id, stream_image_write_uuid(&stone->topic_id));
    to->topic = text_of(arena, stone->topic);
    PUT(to, partition, stone->partition);
    PUT(to, leader_epoch, stone->leader_epoch);
    return to;
}

Control__Tombstone **stream_image_write_tombstones(size_t n,
                                                   const struct image_tombstone *tombstones,
                                                   struct arena *arena)
{
    Control__Tombstone **all = arena_alloc(arena, n * sizeof(Control__Tombstone *));

    for (size_t i = 0; i < n; i++)
        all[i] = write_tombstone(&tombstones[i], arena);
    return all;
}

void stream_image_write_hello(Control__Hello *hello, const struct node *node, struct arena *arena)
{
    PUT(hello, broker_id, node->id);
    PUT(hello, broker_epoch, node->epoch);
    PUT(hello, incarnation, stream_image_write_uuid(&node->incarnation));
    hello->rack = text_of(arena, node->rack);
    hello->n_endpoints = node->n_endpoints;
    hello->endpoints = write_endpoints(node, arena);
}

/* ---- an image in pieces ---------------------------------------------------------------------- */

struct packing {
    const struct image *image;
    size_t piece_bytes;
    void (*emit)(void *ctx, const struct slice *packed);
    void *ctx;
    struct arena arena; /* of this piece */
    Control__Image message;
    size_t bytes; /* of this piece, about */
    uint32_t piece;
    size_t cap_brokers, cap_topics, cap_configs, cap_tombstones;
};

static void emit_piece(struct packing *p, bool last)
{
    Control__Frame frame = CONTROL__FRAME__INIT;

    PUT(&p->message, controller_epoch, image_controller_epoch(p->image));
    PUT(&p->message, version, image_version(p->image));
    PUT(&p->message, controller_id, image_controller_id(p->image));
    p->message.cluster_id = text_of(&p->arena, image_cluster_id(p->image));
    PUT(&p->message, piece, p->piece);
    PUT(&p->message, last, last);
    frame.image = &p->message;

    struct slice packed = stream_pack(&frame);

    p->emit(p->ctx, &packed);
    slice_unref(&packed);
    p->piece++;
    p->bytes = 0;
    p->message.n_brokers = p->message.n_topics = 0;
    p->message.n_configs = p->message.n_tombstones = 0;
    arena_reset(&p->arena);
}

static bool is_full(const struct packing *p)
{
    return p->bytes >= p->piece_bytes;
}

/* Appends an entry to a list of the piece. */
#define ADD(p, list, entry)                                                                        \
    do {                                                                                           \
        array_reserve(&(p)->message.list, &(p)->cap_##list, (p)->message.n_##list,                 \
                      sizeof *(p)->message.list);                                                  \
        (p)->message.list[(p)->message.n_##list++] = (entry);                                      \
    } while (0)

static void add_topic(struct packing *p, const struct image_topic *topic)
{
    int32_t next = 0;

    do {
        Control__Topic *to = write_topic(&topic->id, topic->name, topic->version,
                                         (size_t)(topic->n_parts - next), &p->arena);

        p->bytes += control__topic__get_packed_size(to) + ENTRY_BYTES;
        int32_t first = next; /* one goes in however full it is */

        for (; next < topic->n_parts && (next == first || !is_full(p)); next++) {
            const struct image_part *part = image_topic_part(topic, next);

            if (part == NULL)
                continue;
            to->partitions[to->n_partitions] = write_part(part, &p->arena);
            p->bytes += control__partition__get_packed_size(to->partitions[to->n_partitions]);
            p->bytes += ENTRY_BYTES;
            to->n_partitions++;
        }
        ADD(p, topics, to);
        if (is_full(p))
            emit_piece(p, false);
    } while (next < topic->n_parts);
}

static void add_config(struct packing *p, const struct image_config *config)
{
    Control__Config *to = write_config(config, &p->arena);

    ADD(p, configs, to);
    p->bytes += control__config__get_packed_size(to) + ENTRY_BYTES;
    if (is_full(p))
        emit_piece(p, false);
}

static void add_tombstone(struct packing *p, const struct image_tombstone *stone)
{
    Control__Tombstone *to = write_tombstone(stone, &p->arena);

    ADD(p, tombstones, to);
    p->bytes += control__tombstone__get_packed_size(to) + ENTRY_BYTES;
    if (is_full(p))
        emit_piece(p, false);
}

static void add_broker(struct packing *p, const struct node *node)
{
    Control__Broker *to = write_broker(node, &p->arena);

    ADD(p, brokers, to);
    p->bytes += control__broker__get_packed_size(to) + ENTRY_BYTES;
    if (is_full(p))
        emit_piece(p, false);
}

void stream_image_pack(const struct image *image, size_t piece_bytes,
                       void (*emit)(void *ctx, const struct slice *packed), void *ctx)
{
    struct packing p = { .image = image,
                         .piece_bytes = piece_bytes > 0 ? piece_bytes : STREAM_IMAGE_PIECE_BYTES,
                         .emit = emit,
                         .ctx = ctx,
                         .message = CONTROL__IMAGE__INIT };
    struct image_cursor topics = { 0 }, configs = { 0 }, stones = { 0 };
    const struct image_topic *topic;
    const struct image_config *config;
    const struct image_tombstone *stone;

    arena_init(&p.arena, SIZE_MAX);
    for (size_t i = 0; i < image_n_nodes(image); i++)
        add_broker(&p, image_node_at(image, i));
    while ((topic = image_next_topic(image, &topics)) != NULL)
        add_topic(&p, topic);
    while ((config = image_next_config(image, &configs)) != NULL)
        add_config(&p, config);
    while ((stone = image_next_tombstone(image, &stones)) != NULL)
        add_tombstone(&p, stone);
    emit_piece(&p, true);
    free(p.message.brokers);
    free(p.message.topics);
    free(p.message.configs);
    free(p.message.tombstones);
    arena_fini(&p.arena);
}

/* ---- a delta --------------------------------------------------------------------------------- */

static void write_changes(Control__Delta *to, const struct image_delta *delta, struct arena *arena)
{
    to->n_topics = delta->n_topics;
    to->topics = arena_alloc(arena, delta->n_topics * sizeof(Control__Topic *));
    for (size_t i = 0; i < delta->n_topics; i++) {
        const struct image_topic_change *from = &delta->topics[i];
        Control__Topic *topic = write_topic(
            &from->id, from->name, from->has_version ? from->version : -1, from->n_parts, arena);

        topic->n_partitions = from->n_parts;
        for (size_t k = 0; k < from->n_parts; k++)
            topic->partitions[k] = write_part(&from->parts[k], arena);
        to->topics[i] = topic;
    }
    to->n_topics_gone = delta->n_topics_gone;
    to->topics_gone = arena_alloc(arena, delta->n_topics_gone * sizeof(ProtobufCBinaryData));
    for (size_t i = 0; i < delta->n_topics_gone; i++)
        to->topics_gone[i] = stream_image_write_uuid(&delta->topics_gone[i]);
}

struct slice stream_image_pack_delta(const struct image_delta *delta)
{
    Control__Delta to = CONTROL__DELTA__INIT;
    Control__Frame frame = CONTROL__FRAME__INIT;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    PUT(&to, controller_epoch, delta->controller_epoch);
    PUT(&to, version, delta->version);
    to.n_brokers = delta->n_brokers;
    to.brokers = arena_alloc(&arena, delta->n_brokers * sizeof(Control__Broker *));
    for (size_t i = 0; i < delta->n_brokers; i++)
        to.brokers[i] = write_broker(&delta->brokers[i], &arena);
    PUT_IDS(&to, brokers_gone, delta->brokers_gone);
    write_changes(&to, delta, &arena);
    to.n_configs = delta->n_configs;
    to.configs = arena_alloc(&arena, delta->n_configs * sizeof(Control__Config *));
    for (size_t i = 0; i < delta->n_configs; i++)
        to.configs[i] = write_config(&delta->configs[i], &arena);
    to.n_tombstones = delta->n_tombstones;
    to.tombstones = stream_image_write_tombstones(delta->n_tombstones, delta->tombstones, &arena);
    to.n_tombstones_gone = delta->n_tombstones_gone;
    to.tombstones_gone =
        stream_image_write_tombstones(delta->n_tombstones_gone, delta->tombstones_gone, &arena);
    frame.delta = &to;

    struct slice packed = stream_pack(&frame);

    arena_fini(&arena);
    return packed;
}
