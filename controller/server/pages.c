/*
 * One look at the event thread gives the numbers and a reference on the image; whatever takes a
 * walk over the image is done here.
 */
#include "controller/server/pages.h"

#include <inttypes.h>

#include "common/base/mem.h"

struct totals {
    size_t brokers[4]; /* by enum node_state */
    size_t topics, parts;
    size_t leaderless, under_replicated;
};

static void count_topic(const struct image_topic *topic, struct totals *totals)
{
    for (int32_t i = 0; i < topic->n_parts; i++) {
        const struct image_part *part = image_topic_part(topic, i);

        if (part == NULL)
            continue;
        totals->leaderless += part->leader == LEADER_NONE;
        totals->under_replicated += part->isr.n < part->replicas.n;
    }
}

static void count(const struct image *image, struct totals *totals)
{
    struct image_cursor at = { 0 };
    const struct image_topic *topic;

    *totals = (struct totals){ .topics = 0 };
    if (image == NULL)
        return;
    totals->topics = image_n_topics(image);
    totals->parts = image_n_parts(image);
    for (size_t i = 0; i < image_n_nodes(image); i++)
        totals->brokers[image_node_at(image, i)->state]++;
    while ((topic = image_next_topic(image, &at)) != NULL)
        count_topic(topic, totals);
}

static const char *state_name(enum node_state state)
{
    static const char *const names[] = { [NODE_LIVE] = "live",
                                         [NODE_UNKNOWN] = "unknown",
                                         [NODE_DEAD] = "dead",
                                         [NODE_STOPPING] = "stopping" };

    return names[state];
}

static void print_brokers(FILE *out, const struct image *image)
{
    fprintf(out, "\"brokers\":[");
    for (size_t i = 0; image != NULL && i < image_n_nodes(image); i++) {
        const struct node *node = image_node_at(image, i);

        fprintf(out, "%s{\"id\":%d,\"state\":\"%s\",\"epoch\":%" PRId64 "}", i > 0 ? "," : "",
                node->id, state_name(node->state), node->epoch);
    }
    fprintf(out, "]");
}

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

static void show_status(FILE *out, void *arg)
{
    struct events_view view;
    struct totals totals;

    events_look(arg, &view);
    count(view.image, &totals);
    fprintf(out, "{\"id\":%d,\"active\":%s,\"holder\":%d,\"epoch\":%d,\"zookeeper\":%s,",
            view.controller_id, truth(view.is_active), view.holder, view.epoch,
            truth(view.is_connected));
    fprintf(out, "\"version\":%" PRIu64 ",\"warm\":%s,\"busy\":%s,\"loading\":",
            view.image != NULL ? image_version(view.image) : 0, truth(view.is_warm),
            truth(view.is_busy));
    if (view.is_loading)
        fprintf(out, "{\"partitions\":%zu,\"done\":%zu},", view.load_parts, view.load_done);
    else
        fprintf(out, "null,");
    print_brokers(out, view.image);
    fprintf(out,
            ",\"topics\":%zu,\"partitions\":%zu,\"leaderless\":%zu,\"under_replicated\":%zu,"
            "\"streams\":%zu,\"standbys\":%zu,\"connections\":%zu,\"admin_requests\":%zu}\n",
            totals.topics, totals.parts, totals.leaderless, totals.under_replicated,
            view.streams.brokers, view.streams.standbys, view.streams.connections,
            view.streams.admins);
    image_unref(&view.image);
}

static void gauge(FILE *out, const char *name, const char *help, double value)
{
    fprintf(out, "# HELP moldau_controller_%s %s\n# TYPE moldau_controller_%s gauge\n", name, help,
            name);
    fprintf(out, "moldau_controller_%s %.17g\n", name, value);
}

static void counter(FILE *out, const char *name, const char *help, uint64_t value)
{
    fprintf(out, "# HELP moldau_controller_%s %s\n# TYPE moldau_controller_%s counter\n", name,
            help, name);
    fprintf(out, "moldau_controller_%s %" PRIu64 "\n", name, value);
}

static void show_metrics(FILE *out, void *arg)
{
    struct events_view view;
    struct totals totals;

    events_look(arg, &view);
    count(view.is_active ? view.image : NULL, &totals);
    gauge(out, "active", "1 on the active controller", view.is_active);
    gauge(out, "zookeeper_connected", "1 while there is a session", view.is_connected);
    gauge(out, "warm", "1 on a standby that follows the active controller", view.is_warm);
    gauge(out, "standbys", "standbys that follow this controller", (double)view.streams.standbys);
    gauge(out, "epoch", "controller epoch, -1 on a standby", view.epoch);
    gauge(out, "brokers_live", "brokers that may lead", (double)totals.brokers[NODE_LIVE]);
    gauge(out, "brokers_unknown", "brokers not heard of now", (double)totals.brokers[NODE_UNKNOWN]);
    gauge(out, "brokers_dead", "fenced brokers", (double)totals.brokers[NODE_DEAD]);
    gauge(out, "topics", "topics", (double)totals.topics);
    gauge(out, "partitions", "partitions", (double)totals.parts);
    gauge(out, "partitions_leaderless", "partitions without a leader", (double)totals.leaderless);
    gauge(out, "partitions_under_replicated", "partitions with fewer in sync than replicas",
          (double)totals.under_replicated);
    gauge(out, "streams", "brokers' streams", (double)view.streams.brokers);
    gauge(out, "admin_requests", "admin requests not yet answered", (double)view.streams.admins);
    counter(out, "events_total", "events that the core was given", view.steps);
    counter(out, "writes_total", "batches of writes to ZooKeeper", view.writes);
    counter(out, "deltas_total", "deltas that were sent", view.deltas);
    counter(out, "refused_total", "connections refused or ended", view.streams.refused);
    image_unref(&view.image);
}

enum err pages_start(struct events *events, const char *host, int port, struct http **out)
{
    struct http_page pages[] = {
        { "/status", "application/json", show_status, events },
        { "/metrics", "text/plain; version=0.0.4", show_metrics, events },
    };

    return http_start(host, port, pages, ARRAY_LEN(pages), out);
}
