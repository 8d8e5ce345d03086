/*
 * partition show: what metadata says of a partition, what only ZooKeeper knows of it, and where
 * each of its replicas is, asked of the replica itself. A broker that does not answer costs a
 * second and leaves its row half empty.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/cli/admin.h"
#include "controller/cli/disks.h"
#include "controller/cli/scope.h"
#include "controller/cli/peek.h"
#include "controller/cli/topic.h"
#include "controller/cli/zk_find.h"

#define BROKER_WAIT_MS    1500
#define ZOOKEEPER_WAIT_MS 3000

struct look {
    struct cli *cli;
    struct link *link;
    struct part_at *parts;
    int parts_len;
    struct zk_seen_part *tree; /* of each; epochs of -1 when ZooKeeper does not tell */
    struct link_health *health;
    int health_len;
    struct disks disks;
    struct moving *moving;
    int moving_len;
};

static struct cell number_or_null(int64_t number)
{
    return number >= 0 ? cell_int(number) : (struct cell){ 0 };
}

static bool answers(const struct look *look, int32_t broker)
{
    for (int i = 0; i < look->health_len; i++) {
        if (look->health[i].id == broker)
            return look->health[i].err == ERR_OK;
    }
    return false;
}

/* Brokers with a replica of any of the parts that answer. */
static const int32_t *live_holders(struct look *look, int *len)
{
    int32_t *ids = arena_zalloc(&look->cli->arena, (size_t)look->health_len + 1, sizeof *ids);

    *len = 0;
    for (int i = 0; i < look->health_len; i++) {
        bool holds = false;

        for (int p = 0; p < look->parts_len && !holds; p++)
            holds = ids_has((struct ids){ .at = look->parts[p].seen->replica_nodes,
                                          .n = (uint32_t)look->parts[p].seen->replica_nodes_len },
                            look->health[i].id);
        if (holds && look->health[i].err == ERR_OK)
            ids[(*len)++] = look->health[i].id;
    }
    return ids;
}

static void look_at_tree(struct look *look, const int32_t *ids, int len)
{
    const char *zookeeper = admin_zookeeper(look->cli, look->link, ids, len);
    enum err err = ERR_NOT_FOUND;

    look->tree = arena_zalloc(&look->cli->arena, (size_t)look->parts_len + 1, sizeof *look->tree);
    for (int i = 0; i < look->parts_len; i++)
        look->tree[i] = (struct zk_seen_part){ .topic_id = look->parts[i].topic_id,
                                               .topic = look->parts[i].topic,
                                               .partition = look->parts[i].seen->partition_index,
                                               .partition_epoch = -1,
                                               .controller_epoch = -1 };
    if (zookeeper != NULL)
        err = zk_look_parts(look->cli, zookeeper, ZOOKEEPER_WAIT_MS, look->tree, look->parts_len);
    if (err != ERR_OK)
        cli_note(look->cli,
                 "ZooKeeper does not answer here: partition epochs and eligible leaders are left "
                 "out");
}

static void look_around(struct look *look)
{
    struct arena *arena = &look->cli->arena;
    struct disk_part *parts = arena_zalloc(arena, (size_t)look->parts_len + 1, sizeof *parts);
    const int32_t *ids;
    int len;

    look->health_len = link_brokers_len(look->link);
    look->health = arena_zalloc(arena, (size_t)look->health_len + 1, sizeof *look->health);
    link_probe(look->link, BROKER_WAIT_MS, look->health);
    ids = live_holders(look, &len);
    for (int i = 0; i < look->parts_len; i++)
        parts[i] = (struct disk_part){ .topic = look->parts[i].topic,
                                       .partition = look->parts[i].seen->partition_index };
    disks_look(look->link, ids, len, parts, look->parts_len, arena, &look->disks);
    if (admin_moving(look->cli, look->link, arena, &look->moving, &look->moving_len) != ERR_OK)
        look->moving_len = 0;
    look_at_tree(look, ids, len);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static const char *role_of(const struct metadata_response_partition *part, int32_t broker,
                           const struct moving *moving)
{
    if (part->leader_id == broker)
        return "leader";
    if (moving != NULL && ids_has(moving->adding, broker))
        return "joining";
    if (moving != NULL && ids_has(moving->removing, broker))
        return "leaving";
    return "follower";
}

static struct cell state_of(const struct look *look, int p, int32_t broker)
{
    const struct metadata_response_partition *part = look->parts[p].seen;

    if (!answers(look, broker))
        return cell_hinted(cell_cstr("does not answer"), HINT_ACT);
    if (ids_has(
            (struct ids){ .at = part->offline_replicas, .n = (uint32_t)part->offline_replicas_len },
            broker))
        return cell_hinted(cell_cstr("offline"), HINT_ACT);
    if (ids_has((struct ids){ .at = part->isr_nodes, .n = (uint32_t)part->isr_nodes_len }, broker))
        return cell_cstr("in sync");
    return cell_hinted(
        cell_cstr(ids_has(look->tree[p].eligible, broker) ? "eligible, behind" : "behind"),
        HINT_DEGRADED);
}

struct ends {
    int64_t leo;
    struct peek at;
};

static struct ends ends_of(const struct look *look, int p, int32_t broker)
{
    const struct peek_part part = { .topic = look->parts[p].topic,
                                    .topic_id = look->parts[p].topic_id,
                                    .partition = look->parts[p].seen->partition_index };
    struct ends ends = { .leo = -1, .at = { -1, -1, -1, -1 } };

    if (answers(look, broker) &&
        peek_end(look->link, broker, &part, &look->cli->arena, &ends.leo) != ERR_OK)
        ends.leo = -1;
    /* Where nothing can come the answer is short. */
    if (ends.leo >= 0 &&
        peek_at(look->link, broker, &part, ends.leo, &look->cli->arena, &ends.at) != ERR_OK)
        ends.at = (struct peek){ -1, -1, -1, -1 };
    return ends;
}

static int64_t add_replicas(struct look *look, struct table *table, int p)
{
    const struct part_at *at = &look->parts[p];
    const struct metadata_response_partition *part = at->seen;
    const struct moving *moving =
        admin_find_moving(look->moving, look->moving_len, at->topic, part->partition_index);
    size_t n = (size_t)part->replica_nodes_len;
    struct ends *ends = arena_zalloc(&look->cli->arena, n + 1, sizeof *ends);
    int64_t leader_end = -1, hw = -1;

    for (size_t i = 0; i < n; i++) {
        ends[i] = ends_of(look, p, part->replica_nodes[i]);
        if (part->replica_nodes[i] == part->leader_id) {
            leader_end = ends[i].leo;
            hw = ends[i].at.high_watermark;
        }
    }
    for (size_t i = 0; i < n; i++) {
        int32_t broker = part->replica_nodes[i];
        const struct disk_replica *disk =
            disks_find(&look->disks, broker, at->topic, part->partition_index);
        struct cell *row = table_row(table);

        row[0] = cell_text(at->topic);
        row[1] = cell_int(part->partition_index);
        row[2] = cell_int(broker);
        row[3] = cell_cstr(role_of(part, broker, moving));
        row[4] = state_of(look, p, broker);
        row[5] = number_or_null(ends[i].at.first);
        row[6] = number_or_null(ends[i].leo);
        row[7] = number_or_null(ends[i].at.high_watermark);
        if (leader_end >= 0 && ends[i].leo >= 0)
            row[8] = cell_int(leader_end > ends[i].leo ? leader_end - ends[i].leo : 0);
        if (disk != NULL) {
            row[9] = cell_text(disk->dir);
            row[10] = cell_size(disk->bytes);
        }
    }
    return hw;
}

static struct cell id_list(struct ids ids)
{
    return cell_ids(ids.at, (int32_t)ids.n);
}

static void add_part(struct look *look, struct table *table, int p, int64_t hw)
{
    const struct part_at *at = &look->parts[p];
    const struct metadata_response_partition *part = at->seen;
    const struct moving *moving =
        admin_find_moving(look->moving, look->moving_len, at->topic, part->partition_index);
    struct str min_isr = admin_setting(look->cli, look->link, LINK_ANY, RESOURCE_TOPIC, at->topic,
                                       STR("min.insync.replicas"));
    struct cell *row = table_row(table);
    int64_t min;

    row[0] = cell_text(at->topic);
    row[1] = cell_int(part->partition_index);
    row[2] = part_is_offline(part) ? (struct cell){ 0 } : cell_int(part->leader_id);
    row[3] = number_or_null(part->leader_epoch);
    row[4] = number_or_null(look->tree[p].partition_epoch);
    row[5] = cell_ids(part->replica_nodes, part->replica_nodes_len);
    row[6] = cell_ids(part->isr_nodes, part->isr_nodes_len);
    row[7] = id_list(look->tree[p].eligible);
    row[8] = id_list(moving != NULL ? moving->adding : IDS_NONE);
    row[9] = id_list(moving != NULL ? moving->removing : IDS_NONE);
    if (str_to_i64(min_isr, &min))
        row[10] = cell_int(min);
    row[11] = number_or_null(hw);
}

static void print_heading(const struct cell *row)
{
    printf("%.*s-%" PRId64 "  ", STR_ARG(row[0].text), row[1].number);
    if (row[2].kind == CELL_INT)
        printf("leader %" PRId64, row[2].number);
    else
        printf("no leader");
    if (row[3].kind == CELL_INT)
        printf("  leader epoch %" PRId64, row[3].number);
    if (row[4].kind == CELL_INT)
        printf("  partition epoch %" PRId64, row[4].number);
    if (row[11].kind == CELL_INT)
        printf("  high watermark %" PRId64, row[11].number);
    if (row[10].kind == CELL_INT)
        printf("  min.insync.replicas %" PRId64, row[10].number);
    putchar('\n');
}

static enum exit_code show(struct cli *cli, struct link *link)
{
    static const struct column part_columns[] = {
        { .key = "topic", .head = "TOPIC" },
        { .key = "partition", .head = "P", .right = true },
        { .key = "leader", .head = "LEADER", .right = true },
        { .key = "leader_epoch", .head = "EPOCH", .right = true },
        { .key = "partition_epoch", .head = "PARTITION-EPOCH", .right = true },
        { .key = "replicas", .head = "REPLICAS" },
        { .key = "isr", .head = "ISR" },
        { .key = "eligible", .head = "ELIGIBLE", .wide = true },
        { .key = "adding", .head = "ADDING", .wide = true },
        { .key = "removing", .head = "REMOVING", .wide = true },
        { .key = "min_insync_replicas", .head = "MIN-ISR", .right = true, .wide = true },
        { .key = "high_watermark", .head = "HW", .right = true },
        { .key = NULL },
    };
    static const struct column replica_columns[] = {
        { .key = "topic", .head = "TOPIC" },
        { .key = "partition", .head = "P", .right = true },
        { .key = "broker", .head = "BROKER", .right = true },
        { .key = "role", .head = "ROLE" },
        { .key = "state", .head = "STATE" },
        { .key = "first_offset", .head = "FIRST", .right = true, .wide = true },
        { .key = "log_end_offset", .head = "LEO", .right = true },
        { .key = "high_watermark", .head = "HW", .right = true },
        { .key = "lag", .head = "LAG", .right = true },
        { .key = "directory", .head = "DIRECTORY" },
        { .key = "size_bytes", .head = "SIZE", .right = true },
        { .key = NULL },
    };
    struct look look = { .cli = cli, .link = link };
    struct report *report = report_new(&cli->arena);
    struct table *parts = report_table(report, "partitions", part_columns);
    struct table *replicas = report_table(report, "replicas", replica_columns);
    enum exit_code code = scope_find(cli, link, cli->args.operands, cli->args.operands_len,
                                     &look.parts, &look.parts_len);

    if (code != CLI_OK)
        return code;
    look_around(&look);
    for (int p = 0; p < look.parts_len; p++)
        add_part(&look, parts, p, add_replicas(&look, replicas, p));
    if (cli->print.shape == PRINT_TABLE && look.parts_len == 1) {
        print_heading(table_cells(parts, 0));
        table_print(replicas, &cli->print, stdout);
    } else {
        report_print(report, &cli->print, stdout);
    }
    return CLI_OK;
}

enum exit_code cmd_partition_show(struct cli *cli)
{
    return link_run(cli, show);
}
