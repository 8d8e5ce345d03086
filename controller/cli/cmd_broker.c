/*
 * broker list, broker show: the cluster's view of each broker, and what its log directories hold. A
 * broker that does not answer costs a second and leaves those columns empty.
 */
#include <inttypes.h>
#include <string.h>

#include "controller/cli/admin.h"
#include "controller/cli/cluster_view.h"
#include "controller/cli/disks.h"
#include "controller/cli/topic.h"

struct look {
    struct cluster_view view;
    struct disks disks;
};

/* only: the one whose directories are wanted, -1 all. */
static enum exit_code look_around(struct cli *cli, int32_t only, struct look *look)
{
    int32_t *ids;
    int len = 0;
    struct link *link;
    enum exit_code code = link_open(cli, &link);

    if (code == CLI_OK)
        code = cluster_look(cli, link, &look->view);
    if (code == CLI_OK) {
        ids = arena_zalloc(&cli->arena, (size_t)look->view.brokers_len + 1, sizeof *ids);
        for (int i = 0; i < look->view.brokers_len; i++) {
            const struct broker_view *broker = &look->view.brokers[i];

            if (broker->answers == ERR_OK && broker->is_listed && (only < 0 || broker->id == only))
                ids[len++] = broker->id;
        }
        disks_look(link, ids, len, NULL, 0, &cli->arena, &look->disks);
    }
    link_close(&link);
    return code;
}

static const char *state_of(struct cli *cli, const struct broker_view *broker)
{
    if (broker->loading != NULL)
        return cli_text(cli, "recovering: %s", cluster_how_far(cli, broker->loading));
    if (broker->is_registered && !broker->is_listed)
        return "fenced";
    if (broker->answers == ERR_OK)
        return "live";
    if (broker->answers == ERR_TIMED_OUT)
        return "does not answer";
    return "down";
}

static enum cell_hint hint_of(const struct broker_view *broker)
{
    if (broker->loading != NULL)
        return HINT_DEGRADED;
    return broker->answers == ERR_OK && broker->is_listed ? HINT_NONE : HINT_ACT;
}

struct disk_sum {
    int64_t used, usable; /* -1 not known */
    int failed;           /* directories */
};

static struct disk_sum sum_of(const struct look *look, int32_t broker)
{
    struct disk_sum sum = { -1, -1, 0 };

    for (size_t i = 0; i < look->disks.dirs_n; i++) {
        const struct disk_dir *dir = &look->disks.dirs[i];

        if (dir->broker != broker)
            continue;
        sum.failed += dir->err != ERR_OK;
        sum.used = (sum.used < 0 ? 0 : sum.used) + dir->used_bytes;
        if (dir->usable_bytes >= 0)
            sum.usable = (sum.usable < 0 ? 0 : sum.usable) + dir->usable_bytes;
    }
    return sum;
}

static const char *address_of(struct cli *cli, const struct broker_view *broker)
{
    return broker->host != NULL ? cli_text(cli, "%s:%d", broker->host, broker->port) : NULL;
}

enum exit_code cmd_broker_list(struct cli *cli)
{
    static const struct column columns[] = {
        { .key = "broker", .head = "BROKER", .right = true },
        { .key = "address", .head = "ADDRESS" },
        { .key = "rack", .head = "RACK" },
        { .key = "epoch", .head = "EPOCH", .right = true },
        { .key = "state", .head = "STATE" },
        { .key = "leads", .head = "LEADS", .right = true },
        { .key = "replicas", .head = "REPLICAS", .right = true },
        { .key = "under_replicated", .head = "BEHIND", .right = true },
        { .key = "disk_bytes", .head = "DISK", .right = true },
        { .key = "usable_bytes", .head = "FREE", .right = true, .wide = true },
        { .key = "failed_dirs", .head = "FAILED-DIRS", .right = true, .wide = true },
        { .key = "since", .head = "SINCE", .wide = true },
        { .key = "software", .head = "VERSION" },
        { .key = NULL },
    };
    struct report *report = report_new(&cli->arena);
    struct table *table = report_table(report, "brokers", columns);
    struct look look;
    enum exit_code code = look_around(cli, -1, &look);

    if (code != CLI_OK)
        return code;
    for (int i = 0; i < look.view.brokers_len; i++) {
        const struct broker_view *broker = &look.view.brokers[i];
        struct disk_sum disk = sum_of(&look, broker->id);
        struct cell *row = table_row(table);

        row[0] = cell_int(broker->id);
        row[1] = cell_cstr(address_of(cli, broker));
        row[2] = cell_text(broker->rack);
        if (broker->epoch >= 0)
            row[3] = cell_int(broker->epoch);
        row[4] = cell_hinted(cell_cstr(state_of(cli, broker)), hint_of(broker));
        row[5] = cell_int(broker->leads);
        row[6] = cell_int(broker->holds);
        row[7] =
            cell_hinted(cell_int(broker->missing), broker->missing > 0 ? HINT_DEGRADED : HINT_NONE);
        row[8] = cell_size(disk.used);
        row[9] = cell_size(disk.usable);
        row[10] = cell_int(disk.failed);
        if (broker->since_ms > 0)
            row[11] = cell_text(print_time(&cli->arena, broker->since_ms, false));
        row[12] = cell_cstr(broker->software);
        if (hint_of(broker) != HINT_NONE || disk.failed > 0)
            code = CLI_DEGRADED;
    }
    table_sort(table);
    report_print(report, &cli->print, stdout);
    return code;
}

/* ---- show ------------------------------------------------------------------------------------ */

static const struct broker_view *find(const struct look *look, int64_t id)
{
    for (int i = 0; i < look->view.brokers_len; i++) {
        if (look->view.brokers[i].id == id)
            return &look->view.brokers[i];
    }
    return NULL;
}

static void add_dirs(struct report *report, const struct look *look, int32_t broker)
{
    static const struct column columns[] = {
        { .key = "directory", .head = "DIRECTORY" },
        { .key = "state", .head = "STATE" },
        { .key = "replicas", .head = "REPLICAS", .right = true },
        { .key = "used_bytes", .head = "USED", .right = true },
        { .key = "usable_bytes", .head = "FREE", .right = true },
        { .key = "total_bytes", .head = "OF", .right = true },
        { .key = NULL },
    };
    struct table *table = report_table(report, "directories", columns);

    for (size_t i = 0; i < look->disks.dirs_n; i++) {
        const struct disk_dir *dir = &look->disks.dirs[i];
        struct cell *row;

        if (dir->broker != broker)
            continue;
        row = table_row(table);
        row[0] = cell_text(dir->path);
        row[1] = dir->err == ERR_OK ? cell_cstr("ok")
                                    : cell_hinted(cell_cstr(err_text(dir->err)), HINT_ACT);
        row[2] = cell_int(dir->replicas);
        row[3] = cell_size(dir->used_bytes);
        row[4] = cell_size(dir->usable_bytes);
        row[5] = cell_size(dir->total_bytes);
    }
    table_sort(table);
}

/* Partitions that it holds and is not in sync for. */
static void add_missing(struct report *report, const struct look *look, int32_t broker)
{
    static const struct column columns[] = {
        { .key = "topic", .head = "BEHIND IN" },
        { .key = "partition", .head = "P", .right = true },
        { .key = "leader", .head = "LEADER", .right = true },
        { .key = "replicas", .head = "REPLICAS" },
        { .key = "isr", .head = "ISR" },
        { .key = NULL },
    };
    struct table *table = report_table(report, "behind", columns);

    for (int i = 0; i < look->view.parts_len; i++) {
        const struct metadata_response_partition *part = look->view.parts[i].part;
        struct ids replicas = { .at = part->replica_nodes, .n = (uint32_t)part->replica_nodes_len };
        struct ids isr = { .at = part->isr_nodes, .n = (uint32_t)part->isr_nodes_len };
        struct cell *row;

        if (!ids_has(replicas, broker) || (ids_has(isr, broker) && !part_is_offline(part)))
            continue;
        row = table_row(table);
        row[0] = cell_text(look->view.parts[i].topic);
        row[1] = cell_int(part->partition_index);
        if (!part_is_offline(part))
            row[2] = cell_int(part->leader_id);
        row[3] = cell_ids(replicas.at, (int32_t)replicas.n);
        row[4] = cell_ids(isr.at, (int32_t)isr.n);
    }
}

static void add_facts(struct cli *cli, struct report *report, const struct broker_view *broker,
                      const struct disk_sum *disk)
{
    report_fact(report, "broker", cell_int(broker->id));
    report_fact(report, "address", cell_cstr(address_of(cli, broker)));
    report_fact(report, "rack", cell_text(broker->rack));
    report_fact(report, "epoch", broker->epoch >= 0 ? cell_int(broker->epoch) : (struct cell){ 0 });
    report_fact(report, "state", cell_cstr(state_of(cli, broker)));
    report_fact(report, "since",
                broker->since_ms > 0 ? cell_text(print_time(&cli->arena, broker->since_ms, false))
                                     : (struct cell){ 0 });
    report_fact(report, "leads", cell_int(broker->leads));
    report_fact(report, "replicas", cell_int(broker->holds));
    report_fact(report, "under_replicated", cell_int(broker->missing));
    report_fact(report, "disk_bytes", cell_size(disk->used));
    report_fact(report, "software", cell_cstr(broker->software));
}

static void print_heading(struct cli *cli, const struct broker_view *broker,
                          const struct disk_sum *disk)
{
    printf("broker %d", broker->id);
    if (broker->host != NULL)
        printf(" at %s:%d", broker->host, broker->port);
    if (broker->rack.len > 0)
        printf("  rack %.*s", STR_ARG(broker->rack));
    printf("  %s%s%s", print_color(cli->print.color, hint_of(broker)), state_of(cli, broker),
           print_plain(cli->print.color));
    if (broker->epoch >= 0)
        printf("  epoch %" PRId64, broker->epoch);
    if (broker->since_ms > 0)
        printf("  since %.*s", STR_ARG(print_time(&cli->arena, broker->since_ms, false)));
    if (broker->software != NULL)
        printf("  %s", broker->software);
    printf("\nleads %d of %s, behind in %d", broker->leads,
           cli_count(cli, broker->holds, "replica"), broker->missing);
    if (disk->used >= 0)
        printf(", %.*s on disk", STR_ARG(print_size(&cli->arena, &cli->print, disk->used)));
    printf("\n");
    if (disk->used >= 0)
        printf("\n");
}

enum exit_code cmd_broker_show(struct cli *cli)
{
    struct report *report = report_new(&cli->arena);
    const struct broker_view *broker;
    struct disk_sum disk;
    struct look look;
    int64_t id;
    enum exit_code code;

    if (!str_to_i64(str_of(cli->args.operands[0]), &id) || id < 0 || id > INT32_MAX)
        return cli_fail(cli, CLI_USAGE,
                        cli_text(cli, "'%s' is no broker's id", cli->args.operands[0]), NULL,
                        "moldau broker list");
    code = look_around(cli, (int32_t)id, &look);
    if (code != CLI_OK)
        return code;
    broker = find(&look, id);
    if (broker == NULL)
        return cli_fail(cli, CLI_NOT_FOUND, cli_text(cli, "there is no broker %" PRId64, id),
                        "none is registered with that id, and no partition has a replica there",
                        "moldau broker list");
    disk = sum_of(&look, broker->id);
    add_facts(cli, report, broker, &disk);
    add_dirs(report, &look, broker->id);
    add_missing(report, &look, broker->id);
    if (report_is_for_people(&cli->print))
        print_heading(cli, broker, &disk);
    report_print(report, &cli->print, stdout);
    return hint_of(broker) != HINT_NONE || disk.failed > 0 ? CLI_DEGRADED : CLI_OK;
}
