#include "common/model/node.h"

#include "common/base/mem.h"

/* Copies text to *to, NUL-terminated, and moves *to behind it. */
static struct str put_str(char **to, struct str text)
{
    struct str copy = { .ptr = text.ptr == NULL ? NULL : *to, .len = text.len };

    if (text.ptr == NULL)
        return copy;
    if (text.len > 0)
        memcpy(*to, text.ptr, text.len);
    (*to)[text.len] = '\0';
    *to += text.len + 1;
    return copy;
}

struct node *node_dup(const struct node *node)
{
    size_t size = sizeof *node + node->n_endpoints * sizeof node->endpoints[0] + node->rack.len + 1;

    for (size_t i = 0; i < node->n_endpoints; i++) {
        const struct endpoint *e = &node->endpoints[i];

        size += e->listener.len + e->protocol.len + e->host.len + 3;
    }

    struct node *copy = xmalloc(size);
    struct endpoint *endpoints = (struct endpoint *)(copy + 1);
    char *text = (char *)(endpoints + node->n_endpoints);

    *copy = *node;
    copy->endpoints = endpoints;
    copy->rack = put_str(&text, node->rack);
    for (size_t i = 0; i < node->n_endpoints; i++) {
        const struct endpoint *e = &node->endpoints[i];

        endpoints[i] = (struct endpoint){ .listener = put_str(&text, e->listener),
                                          .protocol = put_str(&text, e->protocol),
                                          .host = put_str(&text, e->host),
                                          .port = e->port,
                                          .is_inter_broker = e->is_inter_broker };
    }
    return copy;
}

bool node_eq(const struct node *a, const struct node *b)
{
    if (a->id != b->id || a->state != b->state || a->epoch != b->epoch ||
        !uuid_eq(a->incarnation, b->incarnation) || !str_eq(a->rack, b->rack) ||
        a->n_endpoints != b->n_endpoints)
        return false;
    for (size_t i = 0; i < a->n_endpoints; i++) {
        const struct endpoint *x = &a->endpoints[i], *y = &b->endpoints[i];

        if (x->port != y->port || !str_eq(x->host, y->host) || !str_eq(x->listener, y->listener) ||
            !str_eq(x->protocol, y->protocol) || x->is_inter_broker != y->is_inter_broker)
            return false;
    }
    return true;
}

const struct endpoint *node_endpoint(const struct node *node, struct str listener)
{
    for (size_t i = 0; i < node->n_endpoints; i++) {
        if (str_eq(node->endpoints[i].listener, listener))
            return &node->endpoints[i];
    }
    return NULL;
}

const struct endpoint *node_inter_broker(const struct node *node)
{
    for (size_t i = 0; i < node->n_endpoints; i++) {
        if (node->endpoints[i].is_inter_broker)
            return &node->endpoints[i];
    }
    return NULL;
}
