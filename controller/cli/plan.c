/* Sizes come from the log directories of every broker that answers; without them a plan counts
 * replicas alone. */
#include "controller/cli/plan.h"

#include <string.h>

#include "controller/cli/admin.h"
#include "controller/cli/disks.h"
#include "controller/cli/topic.h"

#define BROKER_WAIT_MS 1500

static struct spread_broker *find_broker(struct plan *plan, int32_t id)
{
    for (int i = 0; i < plan->spread.brokers_len; i++) {
        if (plan->spread.brokers[i].id == id)
            return &plan->spread.brokers[i];
    }
    return NULL;
}

static void add_dead(struct plan *plan, const struct metadata_response_partition *part)
{
    for (int32_t r = 0; r < part->replica_nodes_len; r++) {
        if (find_broker(plan, part->replica_nodes[r]) == NULL)
            plan->spread.brokers[plan->spread.brokers_len++] =
                (struct spread_broker){ .id = part->replica_nodes[r] };
    }
}

static void read_brokers(struct cli *cli, struct plan *plan, const struct metadata_response *seen)
{
    size_t most = (size_t)seen->brokers_len + 1;

    for (int i = 0; i < plan->len; i++) /* at worst each is on a broker that nobody lists */
        most += (size_t)plan->parts[i].seen->replica_nodes_len;
    plan->spread.brokers = arena_zalloc(&cli->arena, most, sizeof *plan->spread.brokers);
    for (int32_t i = 0; i < seen->brokers_len; i++)
        plan->spread.brokers[plan->spread.brokers_len++] =
            (struct spread_broker){ .id = seen->brokers[i].node_id,
                                    .rack = seen->brokers[i].rack,
                                    .gets = true,
                                    .gives = true };
    for (int i = 0; i < plan->len; i++)
        add_dead(plan, plan->parts[i].seen);
}

static const int32_t *live_brokers(struct cli *cli, struct link *link, int *len)
{
    int n = link_brokers_len(link);
    struct link_health *health = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *health);
    int32_t *ids = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *ids);

    *len = 0;
    link_probe(link, BROKER_WAIT_MS, health);
    for (int i = 0; i < n; i++) {
        if (health[i].err == ERR_OK)
            ids[(*len)++] = health[i].id;
    }
    return ids;
}

static int64_t bytes_of(const struct disks *disks, const struct part_at *part)
{
    const struct metadata_response_partition *seen = part->seen;
    int64_t bytes = disks_bytes(disks, seen->leader_id, part->topic, seen->partition_index);

    for (int32_t r = 0; r < seen->replica_nodes_len && bytes < 0; r++)
        bytes = disks_bytes(disks, seen->replica_nodes[r], part->topic, seen->partition_index);
    return bytes;
}

enum exit_code plan_read(struct cli *cli, struct link *link, struct plan *plan)
{
    struct metadata_response seen;
    struct moving *moving;
    struct disks disks;
    int moving_len, live_len;
    const int32_t *live;
    enum exit_code code;
    enum err err;

    *plan = (struct plan){ .len = 0 };
    code = scope_all(cli, link, &plan->parts, &plan->len);
    if (code != CLI_OK)
        return code;
    err = link_metadata(link, LINK_ANY, NULL, 0, &seen, &cli->arena);
    if (err == ERR_OK)
        err = admin_moving(cli, link, &cli->arena, &moving, &moving_len);
    if (err != ERR_OK)
        return link_fail(link, err, "look at the cluster");
    read_brokers(cli, plan, &seen);
    live = live_brokers(cli, link, &live_len);
    disks_look(link, live, live_len, NULL, 0, &cli->arena, &disks);
    plan->spread.parts =
        arena_zalloc(&cli->arena, (size_t)plan->len + 1, sizeof *plan->spread.parts);
    plan->spread.parts_len = (size_t)plan->len;
    for (int i = 0; i < plan->len; i++) {
        const struct metadata_response_partition *part = plan->parts[i].seen;
        struct spread_part *to = &plan->spread.parts[i];

        to->bytes = bytes_of(&disks, &plan->parts[i]);
        to->to = arena_zalloc(&cli->arena,
                              (size_t)(part->replica_nodes_len + plan->spread.brokers_len) + 1,
                              sizeof *to->to);
        to->to_len = part->replica_nodes_len;
        memcpy(to->to, part->replica_nodes, (size_t)part->replica_nodes_len * sizeof *to->to);
        to->is_fixed = admin_find_moving(moving, moving_len, plan->parts[i].topic,
                                         part->partition_index) != NULL;
    }
    return CLI_OK;
}

enum exit_code plan_only_topics(struct cli *cli, struct link *link, struct plan *plan,
                                const char *const *topics, int n)
{
    for (int t = 0; t < n; t++) {
        bool found = false;

        for (int i = 0; i < plan->len && !found; i++)
            found = str_is(plan->parts[i].topic, topics[t]);
        if (!found)
            return topic_missing(cli, link, topics[t]);
    }
    for (int i = 0; i < plan->len; i++) {
        bool wanted = false;

        for (int t = 0; t < n && !wanted; t++)
            wanted = str_is(plan->parts[i].topic, topics[t]);
        plan->spread.parts[i].is_fixed = plan->spread.parts[i].is_fixed || !wanted;
    }
    return CLI_OK;
}

enum exit_code plan_broker(struct cli *cli, struct plan *plan, int32_t id,
                           struct spread_broker **out)
{
    *out = find_broker(plan, id);
    if (*out != NULL)
        return CLI_OK;
    return cli_fail(cli, CLI_NOT_FOUND, cli_text(cli, "there is no broker %d", id),
                    "nothing was planned", "moldau broker list");
}

struct planned *plan_moves(struct cli *cli, const struct plan *plan, int *n)
{
    struct planned *moves = arena_zalloc(&cli->arena, (size_t)plan->len + 1, sizeof *moves);

    for (int i = 0; i < plan->len; i++) {
        const struct metadata_response_partition *part = plan->parts[i].seen;
        const struct spread_part *to = &plan->spread.parts[i];

        moves[i] = (struct planned){ .topic = plan->parts[i].topic,
                                     .partition = part->partition_index,
                                     .from = { .at = part->replica_nodes,
                                               .n = (uint32_t)part->replica_nodes_len },
                                     .to = { .at = to->to, .n = (uint32_t)to->to_len },
                                     .leader = part->leader_id,
                                     .bytes = to->bytes };
    }
    *n = moves_only_changes(moves, plan->len);
    return moves;
}
