/*
 * Four immutable maps (topics by id, ids by name, settings, tombstones) and a sorted array of
 * counted brokers. A topic keeps its partitions in chunks of 32, each counted, so that a changed
 * partition copies its chunk, its topic's table of chunks and one path of the map, and shares the
 * rest.
 *
 * What comes in a delta is copied into one allocation per thing (broker, partition, entity,
 * tombstone).
 */
#include "common/model/image.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/pmap.h"

#define CHUNK         32
#define ITEM(t, item) ((t *)(void *)(item))

struct node_item {
    atomic_size_t refs;
    struct node *node;
};

struct part_item {
    atomic_size_t refs;
    struct image_part part;
    int32_t ids[];
};

struct image_parts {
    atomic_size_t refs;
    struct part_item *at[CHUNK];
};

struct topic_item {
    struct pmap_item head;
    struct image_topic topic;
    size_t n_chunks;
    struct image_parts *chunks[];
    /* the name follows */
};

struct name_item {
    struct pmap_item head;
    struct uuid id;
    struct str name;
};

struct config_item {
    struct pmap_item head;
    struct image_config config;
};

struct tombstone_item {
    struct pmap_item head;
    struct image_tombstone tombstone;
};

struct image {
    atomic_size_t refs;
    int32_t controller_epoch;
    int32_t controller_id;
    uint64_t version;
    char *cluster_id;
    struct node_item **nodes; /* by id */
    size_t n_nodes, cap_nodes;
    struct pmap topics;
    struct pmap names;
    struct pmap configs;
    struct pmap tombstones;
    size_t n_parts;
};

/* ---- counting
 * ------------------------------------------------------------------------------------ */

static bool last_ref(atomic_size_t *refs)
{
    /* pairs with the other holders' decrements */
    return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

static void more_refs(atomic_size_t *refs)
{
    atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

static void part_unref(struct part_item *item)
{
    if (item != NULL && last_ref(&item->refs))
        free(item);
}

static void chunk_unref(struct image_parts *chunk)
{
    if (chunk == NULL || !last_ref(&chunk->refs))
        return;
    for (size_t i = 0; i < CHUNK; i++)
        part_unref(chunk->at[i]);
    free(chunk);
}

static void node_unref(struct node_item *item)
{
    if (!last_ref(&item->refs))
        return;
    free(item->node);
    free(item);
}

/* ---- the kinds of map
 * ---------------------------------------------------------------------------- */

static struct str put_str(char **to, struct str text)
{
    struct str copy = { .ptr = *to, .len = text.len };

    if (text.len > 0)
        memcpy(*to, text.ptr, text.len);
    (*to)[text.len] = '\0';
    *to += text.len + 1;
    return copy;
}

static bool topic_same(struct pmap_item *item, const void *key)
{
    return uuid_eq(ITEM(struct topic_item, item)->topic.id, *(const struct uuid *)key);
}

static const void *topic_key(struct pmap_item *item)
{
    return &ITEM(struct topic_item, item)->topic.id;
}

static void topic_free(struct pmap_item *head)
{
    struct topic_item *item = ITEM(struct topic_item, head);

    for (size_t i = 0; i < item->n_chunks; i++)
        chunk_unref(item->chunks[i]);
    free(item);
}

static void item_free(struct pmap_item *head)
{
    free(head);
}

static bool name_same(struct pmap_item *item, const void *key)
{
    return str_eq(ITEM(struct name_item, item)->name, *(const struct str *)key);
}

static const void *name_key(struct pmap_item *item)
{
    return &ITEM(struct name_item, item)->name;
}

static bool config_same(struct pmap_item *item, const void *key)
{
    const struct image_config *a = &ITEM(struct config_item, item)->config, *b = key;

    return str_eq(a->name, b->name) && str_eq(a->type, b->type);
}

static const void *config_key(struct pmap_item *item)
{
    return &ITEM(struct config_item, item)->config;
}

static uint64_t config_hash(struct str type, struct str name)
{
    return str_hash(name) * UINT64_C(0x9e3779b97f4a7c15) + str_hash(type);
}

static bool tombstone_same(struct pmap_item *item, const void *key)
{
    const struct image_tombstone *a = &ITEM(struct tombstone_item, item)->tombstone, *b = key;

    return a->broker == b->broker && a->partition == b->partition &&
           uuid_eq(a->topic_id, b->topic_id);
}

static const void *tombstone_key(struct pmap_item *item)
{
    return &ITEM(struct tombstone_item, item)->tombstone;
}

static uint64_t tombstone_hash(const struct image_tombstone *t)
{
    return tp_hash(t->topic_id, t->partition) +
           (uint64_t)(uint32_t)t->broker * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t topic_hash(struct uuid id)
{
    return tp_hash(id, 0);
}

static const struct pmap_kind topic_kind = { topic_same, topic_key, topic_free };
static const struct pmap_kind name_kind = { name_same, name_key, item_free };
static const struct pmap_kind config_kind = { config_same, config_key, item_free };
static const struct pmap_kind tombstone_kind = { tombstone_same, tombstone_key, item_free };

static void item_init(struct pmap_item *head, uint64_t hash)
{
    atomic_init(&head->refs, 1);
    head->hash = hash;
}

/* ---- brokers
 * --------------------------------------------------------------------------------------- */

/* Index of the broker, or of where it would be. */
static size_t node_find(const struct image *image, int32_t id)
{
    size_t low = 0, high = image->n_nodes;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (image->nodes[mid]->node->id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool node_at(const struct image *image, size_t i, int32_t id)
{
    return i < image->n_nodes && image->nodes[i]->node->id == id;
}

static void node_put(struct image *image, const struct node *node)
{
    size_t i = node_find(image, node->id);
    struct node_item *item = xmalloc(sizeof *item);

    atomic_init(&item->refs, 1);
    item->node = node_dup(node);
    if (node_at(image, i, node->id)) {
        node_unref(image->nodes[i]);
    } else {
        array_reserve(&image->nodes, &image->cap_nodes, image->n_nodes, sizeof(image->nodes[0]));
        memmove(&image->nodes[i + 1], &image->nodes[i],
                (image->n_nodes - i) * sizeof(image->nodes[0]));
        image->n_nodes++;
    }
    image->nodes[i] = item;
}

static void node_del(struct image *image, int32_t id)
{
    size_t i = node_find(image, id);

    if (!node_at(image, i, id))
        return;
    node_unref(image->nodes[i]);
    image->n_nodes--;
    memmove(&image->nodes[i], &image->nodes[i + 1], (image->n_nodes - i) * sizeof(image->nodes[0]));
}

/* ---- topics
 * ---------------------------------------------------------------------------------------- */

static struct ids put_ids(int32_t **to, struct ids ids)
{
    struct ids copy = { .at = *to, .n = ids.n };

    if (ids.n > 0)
        memcpy(*to, ids.at, ids.n * sizeof ids.at[0]);
    *to += ids.n;
    return copy;
}

static struct part_item *part_new(const struct image_part *part)
{
    size_t n = (size_t)part->replicas.n + part->isr.n + part->adding.n + part->removing.n +
               part->offline.n;
    struct part_item *item = xmalloc(sizeof *item + n * sizeof item->ids[0]);
    int32_t *ids = item->ids;

    atomic_init(&item->refs, 1);
    item->part = *part;
    item->part.replicas = put_ids(&ids, part->replicas);
    item->part.isr = put_ids(&ids, part->isr);
    item->part.adding = put_ids(&ids, part->adding);
    item->part.removing = put_ids(&ids, part->removing);
    item->part.offline = put_ids(&ids, part->offline);
    return item;
}

/* A topic with the chunks of old (NULL: none), each with one more reference, and room for n_parts.
 */
static struct topic_item *topic_new(struct uuid id, struct str name, const struct topic_item *old,
                                    int32_t n_parts)
{
    size_t n_chunks = ((size_t)n_parts + CHUNK - 1) / CHUNK;
    struct topic_item *item =
        xmalloc(sizeof *item + n_chunks * sizeof(item->chunks[0]) + name.len + 1);
    char *text = (char *)&item->chunks[n_chunks];

    item_init(&item->head, topic_hash(id));
    item->topic = (struct image_topic){ .id = id,
                                        .name = put_str(&text, name),
                                        .version = -1,
                                        .n_parts = n_parts,
                                        .chunks = item->chunks };
    item->n_chunks = n_chunks;
    for (size_t i = 0; i < n_chunks; i++) {
        item->chunks[i] = old != NULL && i < old->n_chunks ? old->chunks[i] : NULL;
        if (item->chunks[i] != NULL)
            more_refs(&item->chunks[i]->refs);
    }
    return item;
}

/* Makes *chunk ours alone. */
static void chunk_own(struct image_parts **chunk)
{
    struct image_parts *old = *chunk, *own;

    if (old != NULL && atomic_load_explicit(&old->refs, memory_order_acquire) == 1)
        return;
    own = xcalloc(1, sizeof *own);
    atomic_init(&own->refs, 1);
    for (size_t i = 0; old != NULL && i < CHUNK; i++) {
        own->at[i] = old->at[i];
        if (own->at[i] != NULL)
            more_refs(&own->at[i]->refs);
    }
    chunk_unref(old);
    *chunk = own;
}

static bool part_is_older(const struct image_part *a, const struct image_part *b)
{
    struct leader_isr x = image_part_state(a), y = image_part_state(b);

    return leader_isr_cmp(&x, &y) < 0;
}

static bool is_assigned_alike(const struct image_part *a, const struct image_part *b)
{
    return ids_eq(a->replicas, b->replicas) && ids_eq(a->adding, b->adding) &&
           ids_eq(a->removing, b->removing);
}

static void topic_change(struct image *image, const struct image_topic_change *change)
{
    uint64_t hash = topic_hash(change->id);
    struct topic_item *old = ITEM(struct topic_item, pmap_get(&image->topics, hash, &change->id));
    int32_t n_parts = old != NULL ? old->topic.n_parts : 0;

    for (size_t i = 0; i < change->n_parts; i++) {
        int32_t index = change->parts[i].index;

        if (index >= n_parts && index < IMAGE_PARTS_MAX)
            n_parts = index + 1;
    }

    struct topic_item *item =
        topic_new(change->id, old != NULL ? old->topic.name : change->name, old, n_parts);

    if (change->has_version)
        item->topic.version = change->version;
    for (size_t i = 0; i < change->n_parts; i++) {
        const struct image_part *part = &change->parts[i];

        if (part->index < 0 || part->index >= IMAGE_PARTS_MAX)
            continue;

        struct image_parts **chunk = &item->chunks[part->index / CHUNK];

        chunk_own(chunk);

        struct part_item **slot = &(*chunk)->at[part->index % CHUNK];

        if (*slot == NULL) {
            image->n_parts++;
        } else if (part_is_older(part, &(*slot)->part)) {
            if (!is_assigned_alike(part, &(*slot)->part))
                item->topic.version = -1;
            continue;
        }
        part_unref(*slot);
        *slot = part_new(part);
    }
    if (old == NULL) {
        struct name_item *name = xmalloc(sizeof *name + change->name.len + 1);
        char *text = (char *)(name + 1);

        item_init(&name->head, str_hash(change->name));
        name->id = change->id;
        name->name = put_str(&text, change->name);
        pmap_put(&image->names, &name->head);
    }
    pmap_put(&image->topics, &item->head);
}

static size_t parts_in(const struct image_topic *topic)
{
    size_t n = 0;

    for (int32_t i = 0; i < topic->n_parts; i++)
        n += image_topic_part(topic, i) != NULL;
    return n;
}

static void topic_del(struct image *image, struct uuid id)
{
    uint64_t hash = topic_hash(id);
    struct topic_item *item = ITEM(struct topic_item, pmap_get(&image->topics, hash, &id));

    if (item == NULL)
        return;

    struct str name = item->topic.name;
    uint64_t name_hash = str_hash(name);
    struct name_item *named = ITEM(struct name_item, pmap_get(&image->names, name_hash, &name));

    /* the name may be that of a younger topic by now */
    if (named != NULL && uuid_eq(named->id, id))
        pmap_del(&image->names, name_hash, &name);
    image->n_parts -= parts_in(&item->topic);
    pmap_del(&image->topics, hash, &id);
}

/* ---- settings, tombstones
 * --------------------------------------------------------------------------- */

static void config_put(struct image *image, const struct image_config *config)
{
    uint64_t hash = config_hash(config->type, config->name);

    if (config->n_settings == 0) {
        pmap_del(&image->configs, hash, config);
        return;
    }

    size_t size = config->type.len + config->name.len + 2;

    for (size_t i = 0; i < config->n_settings; i++)
        size += sizeof(struct image_setting) + config->settings[i].key.len +
                config->settings[i].value.len + 2;

    struct config_item *item = xmalloc(sizeof *item + size);
    struct image_setting *settings = (struct image_setting *)(item + 1);
    char *text = (char *)(settings + config->n_settings);

    item_init(&item->head, hash);
    item->config = (struct image_config){ .type = put_str(&text, config->type),
                                          .name = put_str(&text, config->name),
                                          .n_settings = config->n_settings,
                                          .settings = settings };
    for (size_t i = 0; i < config->n_settings; i++) {
        settings[i].key = put_str(&text, config->settings[i].key);
        settings[i].value = put_str(&text, config->settings[i].value);
    }
    pmap_put(&image->configs, &item->head);
}

static void tombstone_put(struct image *image, const struct image_tombstone *tombstone)
{
    struct tombstone_item *item = xmalloc(sizeof *item + tombstone->topic.len + 1);
    char *text = (char *)(item + 1);

    item_init(&item->head, tombstone_hash(tombstone));
    item->tombstone = *tombstone;
    item->tombstone.topic = put_str(&text, tombstone->topic);
    pmap_put(&image->tombstones, &item->head);
}

/* ---- images
 * ------------------------------------------------------------------------------------------ */

bool image_delta_is_empty(const struct image_delta *delta)
{
    return delta->n_brokers == 0 && delta->brokers_gone.n == 0 && delta->n_topics == 0 &&
           delta->n_topics_gone == 0 && delta->n_configs == 0 && delta->n_tombstones == 0 &&
           delta->n_tombstones_gone == 0;
}

struct image *image_new(int32_t controller_epoch, uint64_t version, int32_t controller_id,
                        struct str cluster_id)
{
    struct image *image = xcalloc(1, sizeof *image);

    atomic_init(&image->refs, 1);
    image->controller_epoch = controller_epoch;
    image->version = version;
    image->controller_id = controller_id;
    image->cluster_id = xstrndup(cluster_id.ptr != NULL ? cluster_id.ptr : "", cluster_id.len);
    pmap_init(&image->topics, &topic_kind);
    pmap_init(&image->names, &name_kind);
    pmap_init(&image->configs, &config_kind);
    pmap_init(&image->tombstones, &tombstone_kind);
    return image;
}

void image_add(struct image *image, const struct image_delta *piece)
{
    assert(atomic_load_explicit(&image->refs, memory_order_acquire) == 1);
    for (size_t i = 0; i < piece->n_brokers; i++)
        node_put(image, &piece->brokers[i]);
    for (uint32_t i = 0; i < piece->brokers_gone.n; i++)
        node_del(image, piece->brokers_gone.at[i]);
    for (size_t i = 0; i < piece->n_topics_gone; i++)
        topic_del(image, piece->topics_gone[i]);
    for (size_t i = 0; i < piece->n_topics; i++)
        topic_change(image, &piece->topics[i]);
    for (size_t i = 0; i < piece->n_configs; i++)
        config_put(image, &piece->configs[i]);
    for (size_t i = 0; i < piece->n_tombstones; i++)
        tombstone_put(image, &piece->tombstones[i]);
    for (size_t i = 0; i < piece->n_tombstones_gone; i++)
        pmap_del(&image->tombstones, tombstone_hash(&piece->tombstones_gone[i]),
                 &piece->tombstones_gone[i]);
}

struct image *image_apply(const struct image *image, const struct image_delta *delta)
{
    struct image *next = image_new(delta->controller_epoch, delta->version, image->controller_id,
                                   str_of(image->cluster_id));

    next->topics = pmap_copy(&image->topics);
    next->names = pmap_copy(&image->names);
    next->configs = pmap_copy(&image->configs);
    next->tombstones = pmap_copy(&image->tombstones);
    next->n_parts = image->n_parts;
    if (image->n_nodes > 0) {
        next->nodes = xmemdup(image->nodes, image->n_nodes * sizeof(image->nodes[0]));
        next->n_nodes = next->cap_nodes = image->n_nodes;
        for (size_t i = 0; i < next->n_nodes; i++)
            more_refs(&next->nodes[i]->refs);
    }
    image_add(next, delta);
    return next;
}

/* The count is the one thing about a shared image that changes. */
static struct image *writable(const struct image *image)
{
    union {
        const struct image *shared;
        struct image *counted;
    } same = { .shared = image };

    return same.counted;
}

struct image *image_ref(const struct image *image)
{
    struct image *same = writable(image);

    more_refs(&same->refs);
    return same;
}

void image_unref(struct image **imagep)
{
    struct image *image = *imagep;

    *imagep = NULL;
    if (image == NULL || !last_ref(&image->refs))
        return;
    for (size_t i = 0; i < image->n_nodes; i++)
        node_unref(image->nodes[i]);
    pmap_fini(&image->topics);
    pmap_fini(&image->names);
    pmap_fini(&image->configs);
    pmap_fini(&image->tombstones);
    free(image->nodes);
    free(image->cluster_id);
    free(image);
}

int32_t image_controller_epoch(const struct image *image)
{
    return image->controller_epoch;
}

uint64_t image_version(const struct image *image)
{
    return image->version;
}

int32_t image_controller_id(const struct image *image)
{
    return image->controller_id;
}

struct str image_cluster_id(const struct image *image)
{
    return str_of(image->cluster_id);
}

size_t image_n_nodes(const struct image *image)
{
    return image->n_nodes;
}

const struct node *image_node_at(const struct image *image, size_t i)
{
    assert(i < image->n_nodes);
    return image->nodes[i]->node;
}

const struct node *image_node(const struct image *image, int32_t id)
{
    size_t i = node_find(image, id);

    return node_at(image, i, id) ? image->nodes[i]->node : NULL;
}

size_t image_n_topics(const struct image *image)
{
    return image->topics.n;
}

size_t image_n_parts(const struct image *image)
{
    return image->n_parts;
}

size_t image_n_configs(const struct image *image)
{
    return image->configs.n;
}

const struct image_tombstone *image_tombstone(const struct image *image, int32_t broker,
                                              struct uuid topic_id, int32_t partition)
{
    struct image_tombstone key = { .broker = broker, .topic_id = topic_id, .partition = partition };
    struct tombstone_item *item =
        ITEM(struct tombstone_item, pmap_get(&image->tombstones, tombstone_hash(&key), &key));

    return item != NULL ? &item->tombstone : NULL;
}

size_t image_n_tombstones(const struct image *image)
{
    return image->tombstones.n;
}

const struct image_topic *image_topic(const struct image *image, struct uuid id)
{
    struct topic_item *item =
        ITEM(struct topic_item, pmap_get(&image->topics, topic_hash(id), &id));

    return item != NULL ? &item->topic : NULL;
}

const struct image_topic *image_topic_named(const struct image *image, struct str name)
{
    struct name_item *item = ITEM(struct name_item, pmap_get(&image->names, str_hash(name), &name));

    return item != NULL ? image_topic(image, item->id) : NULL;
}

const struct image_part *image_topic_part(const struct image_topic *topic, int32_t index)
{
    if (index < 0 || index >= topic->n_parts || topic->chunks[index / CHUNK] == NULL)
        return NULL;

    const struct part_item *item = topic->chunks[index / CHUNK]->at[index % CHUNK];

    return item != NULL ? &item->part : NULL;
}

const struct image_part *image_part(const struct image *image, struct uuid topic_id, int32_t index)
{
    const struct image_topic *topic = image_topic(image, topic_id);

    return topic != NULL ? image_topic_part(topic, index) : NULL;
}

const struct image_config *image_config(const struct image *image, struct str type, struct str name)
{
    struct image_config key = { .type = type, .name = name };
    struct config_item *item =
        ITEM(struct config_item, pmap_get(&image->configs, config_hash(type, name), &key));

    return item != NULL ? &item->config : NULL;
}

struct str image_config_value(const struct image_config *config, struct str key)
{
    for (size_t i = 0; config != NULL && i < config->n_settings; i++) {
        if (str_eq(config->settings[i].key, key))
            return config->settings[i].value;
    }
    return STR_NULL;
}

const struct image_topic *image_next_topic(const struct image *image, struct image_cursor *at)
{
    struct topic_item *item = ITEM(struct topic_item, pmap_next(&image->topics, at));

    return item != NULL ? &item->topic : NULL;
}

const struct image_config *image_next_config(const struct image *image, struct image_cursor *at)
{
    struct config_item *item = ITEM(struct config_item, pmap_next(&image->configs, at));

    return item != NULL ? &item->config : NULL;
}

const struct image_tombstone *image_next_tombstone(const struct image *image,
                                                   struct image_cursor *at)
{
    struct tombstone_item *item = ITEM(struct tombstone_item, pmap_next(&image->tombstones, at));

    return item != NULL ? &item->tombstone : NULL;
}

/* ---- comparing
 * ---------------------------------------------------------------------------------------- */

static bool part_eq(const struct image_part *a, const struct image_part *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return a->index == b->index && a->leader == b->leader && a->leader_epoch == b->leader_epoch &&
           a->partition_epoch == b->partition_epoch && a->recovering == b->recovering &&
           is_assigned_alike(a, b) && ids_eq(a->isr, b->isr) && ids_eq(a->offline, b->offline);
}

static bool topic_eq(const struct image_topic *a, const struct image_topic *b)
{
    if (b == NULL || a->version != b->version || a->n_parts != b->n_parts ||
        !str_eq(a->name, b->name))
        return false;
    for (int32_t i = 0; i < a->n_parts; i++) {
        if (!part_eq(image_topic_part(a, i), image_topic_part(b, i)))
            return false;
    }
    return true;
}

/* Settings of an entity are a set: their order does not count. */
static bool config_eq(const struct image_config *a, const struct image_config *b)
{
    if (b == NULL || a->n_settings != b->n_settings)
        return false;
    for (size_t i = 0; i < a->n_settings; i++) {
        if (!str_eq(a->settings[i].value, image_config_value(b, a->settings[i].key)))
            return false;
    }
    return true;
}

static bool tombstone_eq(const struct image_tombstone *a, const struct image *image)
{
    const struct image_tombstone *b = image_tombstone(image, a->broker, a->topic_id, a->partition);

    return b != NULL && a->leader_epoch == b->leader_epoch && str_eq(a->topic, b->topic);
}

bool image_eq(const struct image *a, const struct image *b)
{
    if (a->controller_epoch != b->controller_epoch || a->version != b->version ||
        a->controller_id != b->controller_id || strcmp(a->cluster_id, b->cluster_id) != 0 ||
        a->n_nodes != b->n_nodes || a->topics.n != b->topics.n || a->names.n != b->names.n ||
        a->configs.n != b->configs.n || a->tombstones.n != b->tombstones.n)
        return false;
    for (size_t i = 0; i < a->n_nodes; i++) {
        if (!node_eq(a->nodes[i]->node, b->nodes[i]->node))
            return false;
    }

    struct image_cursor topics = { 0 }, configs = { 0 }, tombstones = { 0 };
    const struct image_topic *topic;
    const struct image_config *config;
    const struct image_tombstone *tombstone;

    while ((topic = image_next_topic(a, &topics)) != NULL) {
        if (!topic_eq(topic, image_topic(b, topic->id)))
            return false;
    }
    while ((config = image_next_config(a, &configs)) != NULL) {
        if (!config_eq(config, image_config(b, config->type, config->name)))
            return false;
    }
    while ((tombstone = image_next_tombstone(a, &tombstones)) != NULL) {
        if (!tombstone_eq(tombstone, b))
            return false;
    }
    return true;
}
