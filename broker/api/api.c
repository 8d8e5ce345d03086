#include "broker/api/api.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "common/base/bytes.h"

bool api_is_internal_topic(struct str topic)
{
    return str_is(topic, "__consumer_offsets") || str_is(topic, "__transaction_state");
}

bool api_is_topic_name(struct str topic)
{
    return image_topic_name_valid(topic);
}

static int by_name(const void *left, const void *right)
{
    const struct str *const *a = left, *const *b = right;
    int order = str_cmp(**a, **b);

    return order != 0 ? order : (*a > *b) - (*a < *b);
}

const bool *api_repeats(struct arena *arena, const struct str *names, size_t len)
{
    bool *repeats = NULL;

    if (len < 2)
        return NULL;
    const struct str **sorted = arena_alloc(arena, len * sizeof *sorted);
    for (size_t i = 0; i < len; i++)
        sorted[i] = &names[i];
    qsort(sorted, len, sizeof *sorted, by_name);
    for (size_t i = 1; i < len; i++) {
        if (str_cmp(*sorted[i - 1], *sorted[i]) != 0)
            continue;
        if (repeats == NULL)
            repeats = arena_zalloc(arena, len, sizeof *repeats);
        repeats[sorted[i] - names] = true;
    }
    return repeats;
}

struct str api_client_host(struct request *req)
{
    const struct net_addr *peer = req->peer;
    char text[NET_ADDR_TEXT];
    const uint8_t *b = peer->at.v6.sin6_addr.s6_addr;

    if (peer->at.any.sa_family != AF_INET6 || IN6_IS_ADDR_V4MAPPED(&peer->at.v6.sin6_addr))
        return arena_printf(&req->arena, "/%s", net_addr_print_host(peer, text));
    return arena_printf(&req->arena, "/%x:%x:%x:%x:%x:%x:%x:%x", load_be16(b), load_be16(b + 2),
                        load_be16(b + 4), load_be16(b + 6), load_be16(b + 8), load_be16(b + 10),
                        load_be16(b + 12), load_be16(b + 14));
}

struct str api_text(struct wire_bytes bytes)
{
    return bytes.len > 0 ? (struct str){ .ptr = (const char *)bytes.data, .len = (size_t)bytes.len }
                         : STR_EMPTY;
}

struct wire_bytes api_bytes(struct str text)
{
    return (struct wire_bytes){ .data = (const uint8_t *)(text.len > 0 ? text.ptr : ""),
                                .len = (int32_t)text.len };
}

struct wire_in api_controller_answer(struct request *req, const uint8_t *body, size_t len)
{
    req->arena.limit = SIZE_MAX;
    return wire_in_of(body, len, &req->arena);
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
