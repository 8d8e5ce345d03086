#include "broker/meta/meta_answer.h"

#include <string.h>

static bool is_internal(struct str name)
{
    return str_is(name, "__consumer_offsets") || str_is(name, "__transaction_state");
}

/* A broker that has just died leads nothing any more, but is listed as long as ZooKeeper has its
 * registration, as in Kafka. librdkafka 2.x ends its thread for a broker that is not listed, and
 * with it the partitions that the same answer tells it to move away from there: it finds their new
 * leaders a second later. */
static bool is_listed(const struct node *node)
{
    return node_is_visible(node) || node->epoch >= 0;
}

void meta_answer_cluster(const struct image *image, struct str listener, int32_t broker_id,
                         struct arena *arena, struct metadata_response *out)
{
    size_t n = image_n_nodes(image);

    out->brokers = arena_zalloc(arena, n + 1, sizeof *out->brokers);
    out->brokers_len = 0;
    for (size_t i = 0; i < n; i++) {
        const struct node *node = image_node_at(image, i);
        const struct endpoint *endpoint = is_listed(node) ? node_endpoint(node, listener) : NULL;

        if (endpoint == NULL)
            continue;
        struct metadata_response_broker *broker = &out->brokers[out->brokers_len++];
        metadata_response_broker_init(broker);
        broker->node_id = node->id;
        broker->host = endpoint->host;
        broker->port = endpoint->port;
        broker->rack = node->rack;
    }
    out->cluster_id = image_cluster_id(image);
    out->controller_id = broker_id;
}

static int32_t *ids_copy(struct arena *arena, struct ids ids)
{
    return arena_dup(arena, ids.at, ids.n * sizeof *ids.at);
}

/* Replicas that cannot be asked now: on brokers that are gone, or on a failed directory. */
static int32_t offline_of(const struct image *image, const struct image_part *part,
                          struct arena *arena, int32_t **out)
{
    int32_t n = 0;

    *out = arena_alloc(arena, (part->replicas.n + 1) * sizeof **out);
    for (uint32_t i = 0; i < part->replicas.n; i++) {
        int32_t id = part->replicas.at[i];
        const struct node *node = image_node(image, id);

        if (node == NULL || !node_is_visible(node) || ids_has(part->offline, id))
            (*out)[n++] = id;
    }
    return n;
}

/* Version 0 knows no offline replicas: it lists only what is there and says that something is
 * missing. */
static void show_only_live(const struct metadata_response_partition *part, int32_t *ids,
                           int32_t *len, bool *missing)
{
    int32_t kept = 0;

    for (int32_t i = 0; i < *len; i++) {
        bool offline = false;

        for (int32_t o = 0; o < part->offline_replicas_len; o++)
            offline |= part->offline_replicas[o] == ids[i];
        if (!offline)
            ids[kept++] = ids[i];
    }
    *missing |= kept < *len;
    *len = kept;
}

static void answer_partition(const struct image *image, const struct image_part *part,
                             struct str listener, int16_t version, struct arena *arena,
                             struct metadata_response_partition *out)
{
    const struct node *leader = part->leader >= 0 ? image_node(image, part->leader) : NULL;
    bool missing = false;

    metadata_response_partition_init(out);
    out->partition_index = part->index;
    out->leader_id = part->leader;
    out->leader_epoch = part->leader_epoch;
    out->replica_nodes = ids_copy(arena, part->replicas);
    out->replica_nodes_len = (int32_t)part->replicas.n;
    out->isr_nodes = ids_copy(arena, part->isr);
    out->isr_nodes_len = (int32_t)part->isr.n;
    out->offline_replicas_len = offline_of(image, part, arena, &out->offline_replicas);
    if (version == 0) {
        show_only_live(out, out->replica_nodes, &out->replica_nodes_len, &missing);
        show_only_live(out, out->isr_nodes, &out->isr_nodes_len, &missing);
    }
    if (leader == NULL || !node_is_visible(leader)) {
        out->error_code = ERR_LEADER_NOT_AVAILABLE;
        out->leader_id = -1;
    } else if (node_endpoint(leader, listener) == NULL) {
        out->error_code = version >= 6 ? ERR_LISTENER_NOT_FOUND : ERR_LEADER_NOT_AVAILABLE;
        out->leader_id = -1;
    } else if (missing) {
        out->error_code = ERR_REPLICA_NOT_AVAILABLE;
    }
}

void meta_answer_topic(const struct image *image, const struct image_topic *topic,
                       struct str listener, int16_t version, bool with_operations,
                       struct arena *arena, struct metadata_response_topic *out)
{
    metadata_response_topic_init(out);
    out->name = topic->name;
    out->topic_id = topic->id;
    out->is_internal = is_internal(topic->name);
    out->topic_authorized_operations = with_operations ? META_TOPIC_OPERATIONS : META_NOT_ASKED;
    out->partitions = arena_zalloc(arena, (size_t)topic->n_parts + 1, sizeof *out->partitions);
    for (int32_t i = 0; i < topic->n_parts; i++) {
        const struct image_part *part = image_topic_part(topic, i);

        if (part != NULL)
            answer_partition(image, part, listener, version, arena,
                             &out->partitions[out->partitions_len++]);
    }
}

void meta_answer_no_topic(struct str name, struct uuid id, enum err err,
                          struct metadata_response_topic *out)
{
    metadata_response_topic_init(out);
    out->name = name;
    out->topic_id = id;
    out->error_code = err_to_wire(err);
    out->is_internal = name.ptr != NULL && is_internal(name);
    out->topic_authorized_operations = META_NOT_ASKED;
}

void meta_answer_describe(const struct image *image, struct str listener, int32_t broker_id,
                          bool with_operations, struct arena *arena,
                          struct describe_cluster_response *out)
{
    struct metadata_response cluster;

    meta_answer_cluster(image, listener, broker_id, arena, &cluster);
    out->cluster_id = cluster.cluster_id;
    out->controller_id = broker_id;
    out->cluster_authorized_operations = with_operations ? META_CLUSTER_OPERATIONS : META_NOT_ASKED;
    out->brokers = arena_zalloc(arena, (size_t)cluster.brokers_len + 1, sizeof *out->brokers);
    out->brokers_len = cluster.brokers_len;
    for (int32_t i = 0; i < cluster.brokers_len; i++) {
        describe_cluster_response_broker_init(&out->brokers[i]);
        out->brokers[i].broker_id = cluster.brokers[i].node_id;
        out->brokers[i].host = cluster.brokers[i].host;
        out->brokers[i].port = cluster.brokers[i].port;
        out->brokers[i].rack = cluster.brokers[i].rack;
    }
}
