#include "broker/api/api.h"

#include <ctype.h>

bool api_is_internal_topic(struct str topic)
{
    return str_is(topic, "__consumer_offsets") || str_is(topic, "__transaction_state");
}

bool api_is_topic_name(struct str topic)
{
    if (topic.ptr == NULL || topic.len == 0 || topic.len > 249 || str_is(topic, ".") ||
        str_is(topic, ".."))
        return false;
    for (size_t i = 0; i < topic.len; i++) {
        unsigned char c = (unsigned char)topic.ptr[i];

        if (c >= 0x80 || (!isalnum(c) && c != '.' && c != '_' && c != '-'))
            return false;
    }
    return true;
}

enum err api_why_not_here(const struct image *image, struct str topic, int32_t partition)
{
    const struct image_topic *known = image != NULL ? image_topic_named(image, topic) : NULL;

    if (known == NULL || image_topic_part(known, partition) == NULL)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    return ERR_NOT_LEADER_OR_FOLLOWER;
}

bool api_leader_hint(const struct image *image, const struct request *req, struct str topic,
                     int32_t partition, struct api_hint *out)
{
    const struct image_topic *known = image != NULL ? image_topic_named(image, topic) : NULL;
    const struct image_part *part = known != NULL ? image_topic_part(known, partition) : NULL;

    if (part == NULL || part->leader == LEADER_NONE)
        return false;
    *out = (struct api_hint){ .leader = part->leader, .leader_epoch = part->leader_epoch };
    const struct node *node = image_node(image, part->leader);
    if (node != NULL && node_is_visible(node)) {
        out->endpoint = node_endpoint(node, str_of(req->listener->name));
        out->node = out->endpoint != NULL ? node : NULL;
    }
    return true;
}
