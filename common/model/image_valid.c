/*
 * What may be in an image. Both sides ask here: a controller before it publishes what it has found
 * in ZooKeeper, and whoever receives an image or a delta before he believes it.
 */
#include "common/model/image.h"

#define TOPIC_NAME_MAX 249

bool image_topic_name_valid(struct str name)
{
    if (name.len == 0 || name.len > TOPIC_NAME_MAX || str_is(name, ".") || str_is(name, ".."))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static bool index_valid(int32_t index)
{
    return index >= 0 && index < IMAGE_PARTS_MAX;
}

bool image_part_valid(const struct image_part *part)
{
    return index_valid(part->index) && part->leader >= LEADER_NONE && part->leader_epoch >= -1 &&
           part->partition_epoch >= -1 && part->replicas.n > 0 && ids_valid(part->replicas) &&
           ids_valid(part->isr) && ids_valid(part->adding) && ids_valid(part->removing) &&
           ids_valid(part->offline);
}

bool image_tombstone_valid(const struct image_tombstone *tombstone)
{
    return tombstone->broker >= 0 && !uuid_is_zero(tombstone->topic_id) &&
           image_topic_name_valid(tombstone->topic) && index_valid(tombstone->partition) &&
           tombstone->leader_epoch >= -1;
}
