/*
 * Metadata says who should serve what. All brokers are then asked at once whether they answer; the
 * address of ZooKeeper is a broker's setting unless it was given; ZooKeeper lists the controllers,
 * and each is said hello. A replica's broker that metadata does not list is down.
 */
#include "controller/cli/cluster_view.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/cli/admin.h"
#include "controller/cli/controller_ask.h"
#include "controller/cli/topic.h"
#include "gen/wire/apis.h"

#define BROKER_WAIT_MS     1500
#define ZOOKEEPER_WAIT_MS  3000
#define CONTROLLER_WAIT_MS 1000

struct looker {
    struct cli *cli;
    struct link *link;
    struct cluster_view *view;
    size_t brokers_cap, controllers_cap, parts_cap;
};

static struct broker_view *broker_of(struct looker *looker, int32_t id)
{
    struct cluster_view *view = looker->view;

    for (int i = 0; i < view->brokers_len; i++) {
        if (view->brokers[i].id == id)
            return &view->brokers[i];
    }
    if ((size_t)view->brokers_len == looker->brokers_cap) {
        size_t cap = looker->brokers_cap == 0 ? 16 : looker->brokers_cap * 2;
        struct broker_view *grown = arena_zalloc(&looker->cli->arena, cap, sizeof *grown);

        if (view->brokers_len > 0)
            memcpy(grown, view->brokers, (size_t)view->brokers_len * sizeof *grown);
        view->brokers = grown;
        looker->brokers_cap = cap;
    }
    view->brokers[view->brokers_len] =
        (struct broker_view){ .id = id, .epoch = -1, .answers = ERR_BROKER_NOT_AVAILABLE };
    return &view->brokers[view->brokers_len++];
}

static void add_part(struct looker *looker, const struct metadata_response_topic *topic,
                     const struct metadata_response_partition *part)
{
    struct cluster_view *view = looker->view;

    if ((size_t)view->parts_len == looker->parts_cap) {
        size_t cap = looker->parts_cap == 0 ? 64 : looker->parts_cap * 2;
        struct part_view *grown = arena_zalloc(&looker->cli->arena, cap, sizeof *grown);

        if (view->parts_len > 0)
            memcpy(grown, view->parts, (size_t)view->parts_len * sizeof *grown);
        view->parts = grown;
        looker->parts_cap = cap;
    }
    view->parts[view->parts_len++] = (struct part_view){
        .topic = topic->name, .part = part, .min_isr = -1, .is_internal = topic->is_internal
    };
}

static bool has_id(const int32_t *ids, int32_t len, int32_t id)
{
    for (int32_t i = 0; i < len; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

static void count_part(struct looker *looker, const struct metadata_response_topic *topic,
                       const struct metadata_response_partition *part)
{
    struct cluster_view *view = looker->view;
    bool offline = part_is_offline(part);

    view->partitions++;
    view->offline += offline;
    view->under_replicated += part_is_short(part);
    if (!offline)
        broker_of(looker, part->leader_id)->leads++;
    for (int32_t i = 0; i < part->replica_nodes_len; i++) {
        int32_t id = part->replica_nodes[i];
        struct broker_view *broker = broker_of(looker, id);

        broker->holds++;
        if (!has_id(part->isr_nodes, part->isr_nodes_len, id) || offline) {
            broker->missing++;
            broker->dark += offline;
        }
    }
    if (offline || part_is_short(part))
        add_part(looker, topic, part);
}

static enum err look_at_metadata(struct looker *looker)
{
    struct cli *cli = looker->cli;
    struct metadata_response *seen = arena_zalloc(&cli->arena, 1, sizeof *seen);
    enum err err = link_metadata(looker->link, LINK_ANY, NULL, -1, seen, &cli->arena);

    if (err != ERR_OK)
        return err;
    if (seen->cluster_id.ptr != NULL)
        looker->view->cluster_id = arena_cstr(&cli->arena, seen->cluster_id);
    for (int32_t i = 0; i < seen->brokers_len; i++) {
        struct broker_view *broker = broker_of(looker, seen->brokers[i].node_id);

        broker->is_listed = true;
        broker->host = arena_cstr(&cli->arena, seen->brokers[i].host);
        broker->port = seen->brokers[i].port;
        broker->rack = seen->brokers[i].rack;
    }
    looker->view->topics = seen->topics_len;
    for (int32_t t = 0; t < seen->topics_len; t++) {
        for (int32_t p = 0; p < seen->topics[t].partitions_len; p++)
            count_part(looker, &seen->topics[t], &seen->topics[t].partitions[p]);
    }
    return ERR_OK;
}

static void look_at_brokers(struct looker *looker)
{
    int n = link_brokers_len(looker->link);
    struct link_health *health = arena_zalloc(&looker->cli->arena, (size_t)n + 1, sizeof *health);

    link_probe(looker->link, BROKER_WAIT_MS, health);
    for (int i = 0; i < n; i++) {
        struct broker_view *broker = broker_of(looker, health[i].id);

        broker->answers = health[i].err;
        broker->answered_us = health[i].took_us;
    }
}

/* Registered, so ZooKeeper tells where, but not shown to clients: down, fenced or starting. */
static void look_at_unlisted(struct looker *looker)
{
    struct cluster_view *view = looker->view;

    for (int i = 0; i < view->brokers_len; i++) {
        struct broker_view *broker = &view->brokers[i];
        struct kafka_target target = { .host = broker->host, .port = broker->port };

        if (broker->is_listed || broker->host == NULL)
            continue;
        kafka_dial(&target, 1, true, clock_mono_ms() + BROKER_WAIT_MS, looker->cli->trace);
        if (target.client == NULL)
            broker->answers = target.err;
        kafka_close(&target.client);
    }
}

/* ---- settings -------------------------------------------------------------------------------- */

/* Of any broker that answers. */
static void find_zookeeper(struct looker *looker)
{
    struct cluster_view *view = looker->view;
    int n = 0;

    while (n < view->brokers_len && view->brokers[n].answers != ERR_OK)
        n++;
    view->zookeeper_is_given = link_place(looker->link)->zookeeper != NULL;
    view->zookeeper = admin_zookeeper(looker->cli, looker->link,
                                      n < view->brokers_len ? &view->brokers[n].id : NULL,
                                      n < view->brokers_len ? 1 : 0);
}

/* How many in-sync replicas acks=all wants, of the topics that lack some; and what follows. */
static void judge_parts(struct looker *looker)
{
    struct cluster_view *view = looker->view;
    struct str topic = STR_NULL;
    int64_t min_isr = -1;

    for (int i = 0; i < view->parts_len; i++) {
        struct part_view *at = &view->parts[i];

        if (!str_eq(at->topic, topic)) {
            topic = at->topic;
            min_isr = -1;
            (void)str_to_i64(admin_setting(looker->cli, looker->link, LINK_ANY, RESOURCE_TOPIC,
                                           topic, STR("min.insync.replicas")),
                             &min_isr);
        }
        at->min_isr = (int32_t)min_isr;
        if (part_is_offline(at->part))
            continue;
        if (at->part->isr_nodes_len < at->min_isr)
            view->under_min_isr++;
        if (at->part->isr_nodes_len <= 1 && at->part->replica_nodes_len > 1)
            view->last_copy++;
    }
}

/* ---- controllers ----------------------------------------------------------------------------- */

static struct controller_view *add_controller(struct looker *looker,
                                              const struct controller_view *one)
{
    struct cluster_view *view = looker->view;
    size_t most = 64;

    if (view->controllers == NULL)
        view->controllers = arena_zalloc(&looker->cli->arena, most, sizeof *view->controllers);
    if ((size_t)view->controllers_len == most)
        return &view->controllers[most - 1];
    view->controllers[view->controllers_len] = *one;
    return &view->controllers[view->controllers_len++];
}

static void look_at_zookeeper(struct looker *looker)
{
    struct cluster_view *view = looker->view;
    struct zk_seen seen;

    view->zookeeper_err = ERR_NOT_FOUND;
    if (view->zookeeper == NULL)
        return;
    view->zookeeper_err = zk_look(looker->cli, view->zookeeper, ZOOKEEPER_WAIT_MS, &seen);
    if (view->zookeeper_err != ERR_OK)
        return;
    view->active = seen.active;
    view->active_since_ms = seen.active_since_ms;
    view->controller_epoch = seen.epoch;
    if (view->cluster_id == NULL)
        view->cluster_id = seen.cluster_id;
    for (int i = 0; i < seen.brokers_len; i++) {
        struct broker_view *broker = broker_of(looker, seen.brokers[i].id);

        broker->is_registered = true;
        broker->since_ms = seen.brokers[i].since_ms;
        broker->epoch = seen.brokers[i].epoch;
        broker->rack = seen.brokers[i].rack;
        if (broker->host == NULL) {
            broker->host = seen.brokers[i].host;
            broker->port = seen.brokers[i].port;
        }
        if (seen.brokers[i].moldau != NULL)
            broker->software = cli_text(looker->cli, "moldau %s", seen.brokers[i].moldau);
    }
    for (int i = 0; i < seen.loading_len; i++)
        broker_of(looker, seen.loading[i].id)->loading = &seen.loading[i].how_far;
    for (int i = 0; i < seen.controllers_len; i++)
        add_controller(looker,
                       &(struct controller_view){ .id = seen.controllers[i].id,
                                                  .host = seen.controllers[i].host,
                                                  .port = seen.controllers[i].port,
                                                  .is_registered = true,
                                                  .since_ms = seen.controllers[i].since_ms });
}

static bool knows_controller(const struct cluster_view *view, const struct address *address)
{
    for (int i = 0; i < view->controllers_len; i++) {
        if (view->controllers[i].port == address->port &&
            strcmp(view->controllers[i].host, address->host) == 0)
            return true;
    }
    return false;
}

static void look_at_controllers(struct looker *looker)
{
    struct cluster_view *view = looker->view;
    const struct place *place = link_place(looker->link);

    for (int i = 0; i < place->controllers_len; i++) {
        if (!knows_controller(view, &place->controllers[i]))
            add_controller(looker, &(struct controller_view){ .id = -1,
                                                              .host = place->controllers[i].host,
                                                              .port = place->controllers[i].port });
    }
    for (int i = 0; i < view->controllers_len; i++) {
        struct controller_view *one = &view->controllers[i];
        struct address address = { .host = one->host, .port = one->port };
        const char *zookeeper;
        int32_t id;

        one->answers = controller_hello(looker->cli, &address, CONTROLLER_WAIT_MS, &id, &zookeeper);
        if (one->id < 0 && one->answers == ERR_OK)
            one->id = id;
        one->is_active = one->id >= 0 && one->id == view->active && view->active >= 0;
    }
    /* Of Kafka the controller is one of the brokers. */
    for (int i = 0; i < view->brokers_len && view->active >= 0; i++) {
        const struct broker_view *broker = &view->brokers[i];

        if (broker->id == view->active)
            add_controller(looker, &(struct controller_view){ .id = broker->id,
                                                              .host = broker->host,
                                                              .port = broker->port,
                                                              .is_active = true,
                                                              .is_broker = true,
                                                              .is_registered = true,
                                                              .since_ms = view->active_since_ms,
                                                              .answers = broker->answers });
    }
}

const char *cluster_how_far(struct cli *cli, const struct zk_loading *loading)
{
    int64_t loaded = 0, total = 0, bytes = 0;

    for (size_t i = 0; i < loading->n; i++) {
        loaded += loading->dirs[i].loaded;
        total += loading->dirs[i].total;
        bytes += loading->dirs[i].read_bytes;
    }
    const char *text =
        cli_text(cli, "%" PRId64 " of %" PRId64 " log%s", loaded, total, total == 1 ? "" : "s");

    return bytes == 0 ? text
                      : cli_text(cli, "%s, %.*s read anew", text,
                                 STR_ARG(print_size(&cli->arena, &cli->print, bytes)));
}

enum exit_code cluster_look(struct cli *cli, struct link *link, struct cluster_view *view)
{
    struct looker looker = { .cli = cli, .link = link, .view = view };
    enum err err;

    *view = (struct cluster_view){ .active = -1, .controller_epoch = -1 };
    err = look_at_metadata(&looker);
    if (err != ERR_OK)
        return link_fail(link, err, "look at the cluster");
    look_at_brokers(&looker);
    find_zookeeper(&looker);
    look_at_zookeeper(&looker);
    look_at_unlisted(&looker);
    look_at_controllers(&looker);
    judge_parts(&looker);
    return CLI_OK;
}
