/* topic list, topic show: read, judge, print. */
#include <inttypes.h>
#include <string.h>

#include "controller/cli/admin.h"
#include "controller/cli/topic.h"
#include "gen/wire/apis.h"
#include "gen/wire/describe_configs.h"
#include "gen/wire/list_offsets.h"

#define SOURCE_TOPIC       1 /* a config set on the topic itself */
#define TIMESTAMP_LATEST   (-1)
#define TIMESTAMP_EARLIEST (-2)

/* ---- list ------------------------------------------------------------------------------------ */

struct tally {
    int32_t offline, under;
    int32_t replicas_max;
};

static struct tally tally_of(const struct metadata_response_topic *topic)
{
    struct tally tally = { 0 };

    for (int32_t p = 0; p < topic->partitions_len; p++) {
        const struct metadata_response_partition *part = &topic->partitions[p];

        tally.offline += part_is_offline(part);
        tally.under += part_is_short(part);
        if (part->replica_nodes_len > tally.replicas_max)
            tally.replicas_max = part->replica_nodes_len;
    }
    return tally;
}

static struct cell state_cell(struct cli *cli, const struct tally *tally)
{
    if (tally->offline > 0)
        return cell_hinted(cell_cstr(cli_text(cli, "%d offline", tally->offline)), HINT_ACT);
    if (tally->under > 0)
        return cell_hinted(cell_cstr(cli_text(cli, "%d under-replicated", tally->under)),
                           HINT_DEGRADED);
    return cell_cstr("ok");
}

static struct cell id_cell(struct cli *cli, struct uuid id)
{
    char text[UUID_TEXT_LEN + 1];

    if (uuid_is_zero(id))
        return (struct cell){ 0 };
    uuid_print(id, text);
    return cell_text(arena_str(&cli->arena, str_of(text)));
}

static void list(struct cli *cli, const struct metadata_response *all)
{
    static const struct column columns[] = {
        { .key = "topic", .head = "TOPIC" },
        { .key = "partitions", .head = "PARTITIONS", .right = true },
        { .key = "replication_factor", .head = "REPLICAS", .right = true },
        { .key = "under_replicated", .head = "UNDER-REPLICATED", .right = true, .wide = true },
        { .key = "offline", .head = "OFFLINE", .right = true, .wide = true },
        { .key = "internal", .head = "INTERNAL", .wide = true },
        { .key = "id", .head = "ID", .wide = true },
        { .key = "state", .head = "STATE" },
        { .key = NULL },
    };
    struct report *report = report_new(&cli->arena);
    struct table *table = report_table(report, "topics", columns);
    bool internal = args_has(&cli->args, "internal"), unhealthy = args_has(&cli->args, "unhealthy");

    for (int32_t i = 0; i < all->topics_len; i++) {
        const struct metadata_response_topic *topic = &all->topics[i];
        struct tally tally = tally_of(topic);
        struct cell *row;

        if ((topic->is_internal && !internal) ||
            (unhealthy && tally.offline == 0 && tally.under == 0))
            continue;
        row = table_row(table);
        row[0] = cell_text(topic->name);
        row[1] = cell_int(topic->partitions_len);
        row[2] = cell_int(tally.replicas_max);
        row[3] = cell_int(tally.under);
        row[4] = cell_int(tally.offline);
        row[5] = cell_bool(topic->is_internal);
        row[6] = id_cell(cli, topic->topic_id);
        row[7] = state_cell(cli, &tally);
    }
    table_sort(table);
    report_print(report, &cli->print, stdout);
    if (table_rows(table) == 0 && report_is_for_people(&cli->print))
        cli_note(cli, unhealthy ? "every topic has its leaders and in-sync replicas"
                                : "no topics yet; make one: moldau topic create NAME");
}

enum exit_code cmd_topic_list(struct cli *cli)
{
    struct metadata_response all;
    struct link *link;
    enum exit_code code = link_open(cli, &link);
    enum err err;

    if (code != CLI_OK)
        return code;
    err = link_metadata(link, LINK_ANY, NULL, -1, &all, &cli->arena);
    if (err == ERR_OK)
        list(cli, &all);
    else
        code = link_fail(link, err, "list the topics");
    link_close(&link);
    return code;
}

/* ---- show ------------------------------------------------------------------------------------ */

/* Of the topic; NULL when the brokers do not tell. */
static const struct describe_configs_response_result *configs_of(struct cli *cli, struct link *link,
                                                                 struct str name)
{
    struct describe_configs_response *response = arena_zalloc(&cli->arena, 1, sizeof *response);
    struct describe_configs_request request;
    struct describe_configs_request_resource resource;

    describe_configs_request_init(&request);
    describe_configs_request_resource_init(&resource);
    resource.resource_type = RESOURCE_TOPIC;
    resource.resource_name = name;
    resource.configuration_keys_len = -1;
    request.resources = &resource;
    request.resources_len = 1;
    if (link_ask(link, LINK_ANY, API_DESCRIBE_CONFIGS, &request, response, &cli->arena) != ERR_OK ||
        response->results_len != 1 || response->results[0].error_code != ERR_OK)
        return NULL;
    return &response->results[0];
}

static const char *source_name(int8_t source)
{
    switch (source) {
    case SOURCE_TOPIC:
        return "topic";
    case 2:
    case 3:
        return "cluster";
    case 4:
        return "broker";
    case 5:
        return "default";
    default:
        return "unknown";
    }
}

/* One question to one leader about one partition, at one end. -1 when it does not tell. */
static int64_t offset_of(struct cli *cli, struct link *link, struct str topic,
                         const struct metadata_response_partition *part, int64_t timestamp)
{
    struct list_offsets_request request;
    struct list_offsets_request_topic one;
    struct list_offsets_request_partition at;
    struct list_offsets_response response;

    list_offsets_request_init(&request);
    list_offsets_request_topic_init(&one);
    list_offsets_request_partition_init(&at);
    request.replica_id = -1;
    request.topics = &one;
    request.topics_len = 1;
    one.name = topic;
    one.partitions = &at;
    one.partitions_len = 1;
    at.partition_index = part->partition_index;
    at.timestamp = timestamp;
    if (part_is_offline(part) || link_ask(link, part->leader_id, API_LIST_OFFSETS, &request,
                                          &response, &cli->arena) != ERR_OK)
        return -1;
    if (response.topics_len != 1 || response.topics[0].partitions_len != 1 ||
        response.topics[0].partitions[0].error_code != ERR_OK)
        return -1;
    return response.topics[0].partitions[0].offset;
}

static struct cell part_state(const struct metadata_response_partition *part)
{
    if (part_is_offline(part))
        return cell_hinted(cell_cstr("offline"), HINT_ACT);
    if (part->isr_nodes_len == 1 && part->replica_nodes_len > 1)
        return cell_hinted(cell_cstr("one copy left"), HINT_ACT);
    if (part_is_short(part))
        return cell_hinted(cell_cstr("under-replicated"), HINT_DEGRADED);
    return cell_cstr("ok");
}

static struct cell offset_cell(int64_t offset)
{
    return offset >= 0 ? cell_int(offset) : (struct cell){ 0 };
}

static void add_parts(struct cli *cli, struct link *link, struct report *report,
                      const struct metadata_response_topic *topic)
{
    static const struct column columns[] = {
        { .key = "partition", .head = "P", .right = true },
        { .key = "leader", .head = "LEADER", .right = true },
        { .key = "leader_epoch", .head = "EPOCH", .right = true },
        { .key = "replicas", .head = "REPLICAS" },
        { .key = "isr", .head = "ISR" },
        { .key = "offline_replicas", .head = "OFFLINE", .wide = true },
        { .key = "state", .head = "STATE" },
        { .key = NULL },
    };
    static const struct column with_offsets[] = {
        { .key = "partition", .head = "P", .right = true },
        { .key = "leader", .head = "LEADER", .right = true },
        { .key = "leader_epoch", .head = "EPOCH", .right = true },
        { .key = "replicas", .head = "REPLICAS" },
        { .key = "isr", .head = "ISR" },
        { .key = "offline_replicas", .head = "OFFLINE", .wide = true },
        { .key = "state", .head = "STATE" },
        { .key = "first_offset", .head = "FIRST", .right = true },
        { .key = "next_offset", .head = "NEXT", .right = true },
        { .key = NULL },
    };
    bool offsets = args_has(&cli->args, "offsets");
    struct table *table = report_table(report, "partitions", offsets ? with_offsets : columns);

    for (int32_t p = 0; p < topic->partitions_len; p++) {
        const struct metadata_response_partition *part = &topic->partitions[p];
        struct cell *row = table_row(table);

        row[0] = cell_int(part->partition_index);
        row[1] = part_is_offline(part) ? (struct cell){ 0 } : cell_int(part->leader_id);
        row[2] = part->leader_epoch >= 0 ? cell_int(part->leader_epoch) : (struct cell){ 0 };
        row[3] = cell_ids(part->replica_nodes, part->replica_nodes_len);
        row[4] = cell_ids(part->isr_nodes, part->isr_nodes_len);
        row[5] = cell_ids(part->offline_replicas, part->offline_replicas_len);
        row[6] = part_state(part);
        if (offsets) {
            row[7] = offset_cell(offset_of(cli, link, topic->name, part, TIMESTAMP_EARLIEST));
            row[8] = offset_cell(offset_of(cli, link, topic->name, part, TIMESTAMP_LATEST));
        }
    }
    table_sort(table);
}

static void add_configs(struct cli *cli, struct report *report,
                        const struct describe_configs_response_result *configs)
{
    static const struct column columns[] = {
        { .key = "name", .head = "SETTING" },
        { .key = "value", .head = "VALUE" },
        { .key = "source", .head = "FROM" },
        { .key = NULL },
    };
    struct table *table = report_table(report, "configs", columns);
    bool all = cli->print.shape == PRINT_WIDE;

    for (int32_t i = 0; configs != NULL && i < configs->configs_len; i++) {
        const struct describe_configs_response_config *config = &configs->configs[i];
        struct cell *row;

        if (config->config_source != SOURCE_TOPIC && !all)
            continue;
        row = table_row(table);
        row[0] = cell_text(config->name);
        row[1] = cell_text(config->value);
        row[2] = cell_cstr(source_name(config->config_source));
    }
    table_sort(table);
}

static enum exit_code show(struct cli *cli, struct link *link)
{
    const struct metadata_response_topic *topic;
    const struct describe_configs_response_result *configs;
    struct report *report = report_new(&cli->arena);
    enum exit_code code = topic_find(cli, link, cli->args.operands[0], &topic);
    struct tally tally;
    struct cell id;

    if (code != CLI_OK)
        return code;
    tally = tally_of(topic);
    id = id_cell(cli, topic->topic_id);
    configs = configs_of(cli, link, topic->name);
    report_fact(report, "topic", cell_text(topic->name));
    report_fact(report, "id", id);
    report_fact(report, "internal", cell_bool(topic->is_internal));
    report_fact(report, "replication_factor", cell_int(tally.replicas_max));
    report_fact(report, "under_replicated", cell_int(tally.under));
    report_fact(report, "offline", cell_int(tally.offline));
    add_parts(cli, link, report, topic);
    add_configs(cli, report, configs);
    if (report_is_for_people(&cli->print))
        printf("%.*s  %d partition%s  replication factor %d  id %.*s%s\n", STR_ARG(topic->name),
               topic->partitions_len, topic->partitions_len == 1 ? "" : "s", tally.replicas_max,
               STR_ARG(id.text), topic->is_internal ? "  internal" : "");
    report_print(report, &cli->print, stdout);
    if (configs == NULL)
        cli_note(cli, "its settings cannot be read from this broker");
    return CLI_OK;
}

enum exit_code cmd_topic_show(struct cli *cli)
{
    return link_run(cli, show);
}
