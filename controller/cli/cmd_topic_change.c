/*
 * topic create, topic delete: the request goes to the controller (for Kafka the broker that is it,
 * of moldau's any), then both wait until every broker that answers shows what was asked for.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/cli/admin.h"
#include "controller/cli/topic.h"
#include "gen/wire/apis.h"
#include "gen/wire/create_topics.h"
#include "gen/wire/delete_topics.h"

/* ---- create ---------------------------------------------------------------------------------- */

/* "1,2:2,3" */
static bool parse_assignment(struct cli *cli, const char *text,
                             struct create_topics_request_topic *topic)
{
    struct str rest = str_of(text);
    int32_t most = 1;

    for (const char *at = text; *at != '\0'; at++)
        most += *at == ':' || *at == ',';
    topic->assignments = arena_zalloc(&cli->arena, (size_t)most, sizeof *topic->assignments);
    while (!str_is_null(rest)) {
        struct str ids = str_split(rest, ':', &rest);
        struct create_topics_request_assignment *part = &topic->assignments[topic->assignments_len];

        create_topics_request_assignment_init(part);
        part->partition_index = topic->assignments_len++;
        part->broker_ids = arena_zalloc(&cli->arena, (size_t)most, sizeof *part->broker_ids);
        while (!str_is_null(ids)) {
            int64_t id;

            if (!str_to_i64(str_trim(str_split(ids, ',', &ids)), &id) || id < 0 || id > INT32_MAX)
                return false;
            part->broker_ids[part->broker_ids_len++] = (int32_t)id;
        }
    }
    return true;
}

static enum exit_code fill_create(struct cli *cli, struct create_topics_request *request,
                                  struct create_topics_request_topic *topic)
{
    int64_t partitions = -1, replicas = -1;
    const char *assignment = args_text(&cli->args, "assignment", NULL), *config;
    int at = 0;

    create_topics_request_init(request);
    create_topics_request_topic_init(topic);
    if (!args_number(&cli->args, "partitions", 1, INT32_MAX, &partitions) ||
        !args_number(&cli->args, "replication-factor", 1, INT16_MAX, &replicas))
        return CLI_USAGE;
    if (assignment != NULL && (partitions >= 0 || replicas >= 0))
        return cli_fail(cli, CLI_USAGE,
                        "--assignment already says how many partitions and replicas",
                        "--partitions and --replication-factor do not go with it", NULL);
    if (assignment != NULL && !parse_assignment(cli, assignment, topic))
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "'%s' is no assignment", assignment),
                        "what is meant is 1,2:2,3:3,1 for three partitions of two replicas", NULL);
    topic->name = str_of(cli->args.operands[0]);
    topic->num_partitions = (int32_t)partitions;
    topic->replication_factor = (int16_t)replicas;
    topic->configs =
        arena_zalloc(&cli->arena, (size_t)cli->args.given_len + 1, sizeof *topic->configs);
    while ((config = args_next(&cli->args, "config", &at)) != NULL) {
        struct create_topics_request_config *to = &topic->configs[topic->configs_len++];

        create_topics_request_config_init(to);
        to->name = str_trim(str_split(str_of(config), '=', &to->value));
        if (str_is_null(to->value) || to->name.len == 0)
            return cli_fail(cli, CLI_USAGE, cli_text(cli, "--config '%s' has no value", config),
                            "what is meant is retention.ms=3600000", NULL);
    }
    request->topics = topic;
    request->topics_len = 1;
    request->timeout_ms = admin_left_ms(cli);
    request->validate_only = args_has(&cli->args, "dry-run");
    return CLI_OK;
}

static enum exit_code create_refused(struct cli *cli, enum err err, struct str message)
{
    const char *name = cli->args.operands[0];
    const char *why = message.len > 0 ? arena_cstr(&cli->arena, message) : err_text(err);
    const char *next = "moldau help topic create";

    if (err == ERR_TOPIC_ALREADY_EXISTS) {
        why = "it exists already";
        next = cli_text(cli, "moldau topic show %s", name);
    } else if (err == ERR_INVALID_REPLICATION_FACTOR || err == ERR_NOT_CONTROLLER) {
        next = "moldau cluster status";
    } else if (err == ERR_REQUEST_TIMED_OUT) {
        next = cli_text(cli, "moldau topic show %s", name);
    }
    return cli_fail(cli, cli_code(err), cli_text(cli, "cannot make topic %s: %s", name, why),
                    err == ERR_REQUEST_TIMED_OUT ? "it may still be made" : "nothing was made",
                    next);
}

static enum exit_code created(struct cli *cli, const struct create_topics_response_topic *made,
                              int64_t partitions, int64_t replicas, int brokers)
{
    struct report *report = report_new(&cli->arena);
    const char *name = cli->args.operands[0];
    char id[UUID_TEXT_LEN + 1] = "";
    bool dry = args_has(&cli->args, "dry-run");
    static const struct column columns[] = {
        { .key = "topic" },      { .key = "id" },
        { .key = "partitions" }, { .key = "replication_factor" },
        { .key = "dry_run" },    { .key = NULL }
    };

    if (!uuid_is_zero(made->topic_id))
        uuid_print(made->topic_id, id);
    if (report_is_for_people(&cli->print)) {
        printf("%s %s: %" PRId64 " partition%s, replication factor %" PRId64,
               dry ? "would make" : "made", name, partitions, partitions == 1 ? "" : "s", replicas);
        if (!dry)
            printf(", known to %d broker%s", brokers, brokers == 1 ? "" : "s");
        putchar('\n');
        return CLI_OK;
    }
    struct cell *row = table_row(report_table(report, "topics", columns));
    row[0] = cell_cstr(name);
    row[1] = id[0] != '\0' ? cell_text(arena_str(&cli->arena, str_of(id))) : (struct cell){ 0 };
    row[2] = cell_int(partitions);
    row[3] = cell_int(replicas);
    row[4] = cell_bool(dry);
    report_print(report, &cli->print, stdout);
    return CLI_OK;
}

/* After the controller has said yes, or that it is there. */
static enum exit_code wait_created(struct cli *cli, struct link *link,
                                   const struct create_topics_response_topic *made)
{
    const char *name = cli->args.operands[0];
    const struct metadata_response_topic *topic;
    int32_t laggard = -1;
    int brokers;
    const int32_t *ids = topic_live_brokers(cli, link, &brokers);
    enum exit_code code;

    if (topic_wait(cli, link, name, true, ids, brokers, &laggard) != ERR_OK)
        return cli_fail(cli, CLI_TIMED_OUT,
                        cli_text(cli,
                                 "topic %s is made, but broker %d does not show all of its "
                                 "partitions with a leader yet",
                                 name, laggard),
                        "clients may have to wait for it",
                        cli_text(cli, "moldau cluster status        moldau topic show %s", name));
    code = topic_find(cli, link, name, &topic);
    if (code != CLI_OK)
        return code;
    return created(cli, made, topic->partitions_len,
                   topic->partitions_len > 0 ? topic->partitions[0].replica_nodes_len : 0, brokers);
}

static enum err judge_create(const void *response)
{
    const struct create_topics_response *made = response;

    return made->topics_len == 1 ? (enum err)made->topics[0].error_code : ERR_BAD_FORMAT;
}

static enum exit_code create(struct cli *cli, struct link *link)
{
    struct create_topics_request request;
    struct create_topics_request_topic topic;
    struct create_topics_response response = { .topics_len = 0 };
    const struct create_topics_response_topic *made;
    enum exit_code code = fill_create(cli, &request, &topic);
    enum err err;

    if (code != CLI_OK)
        return code;
    err = admin_ask(cli, link, API_CREATE_TOPICS, &request, &response, &cli->arena, judge_create);
    if (response.topics_len != 1 || response.topics[0].error_code != (int16_t)err)
        return link_fail(link, err, "make the topic");
    made = &response.topics[0];
    if (err == ERR_TOPIC_ALREADY_EXISTS && args_has(&cli->args, "if-not-exists"))
        return wait_created(cli, link, made);
    if (err != ERR_OK)
        return create_refused(cli, err, made->error_message);
    if (request.validate_only)
        return created(cli, made, made->num_partitions, made->replication_factor, 0);
    return wait_created(cli, link, made);
}

enum exit_code cmd_topic_create(struct cli *cli)
{
    return link_run(cli, create);
}

/* ---- delete ---------------------------------------------------------------------------------- */

static enum exit_code delete_refused(struct cli *cli, struct link *link, const char *name,
                                     enum err err, struct str message)
{
    if (err == ERR_UNKNOWN_TOPIC_OR_PARTITION && args_has(&cli->args, "if-exists"))
        return CLI_OK;
    if (err == ERR_UNKNOWN_TOPIC_OR_PARTITION)
        return topic_missing(cli, link, name);
    if (err == ERR_TOPIC_DELETION_DISABLED)
        return cli_fail(
            cli, CLI_REFUSED,
            cli_text(cli, "cannot delete topic %s: deleting topics is switched off", name),
            "delete.topic.enable=false is set", NULL);
    return cli_fail(cli, cli_code(err),
                    cli_text(cli, "cannot delete topic %s: %s", name,
                             message.len > 0 ? arena_cstr(&cli->arena, message) : err_text(err)),
                    NULL, "moldau cluster status");
}

static enum err judge_delete(const void *response)
{
    const struct delete_topics_response *deleted = response;

    return deleted->responses_len == 1 ? (enum err)deleted->responses[0].error_code
                                       : ERR_BAD_FORMAT;
}

static enum exit_code delete_one(struct cli *cli, struct link *link, const char *name)
{
    struct delete_topics_request request;
    struct delete_topics_request_topic topic;
    struct delete_topics_response response = { .responses_len = 0 };
    struct str plain_name = str_of(name);
    enum err err;
    int32_t laggard = -1;
    int brokers;

    delete_topics_request_init(&request);
    delete_topics_request_topic_init(&topic);
    topic.name = plain_name;
    request.topics = &topic;
    request.topic_names = &plain_name;
    request.topics_len = request.topic_names_len = 1;
    request.timeout_ms = admin_left_ms(cli);
    err = admin_ask(cli, link, API_DELETE_TOPICS, &request, &response, &cli->arena, judge_delete);
    if (response.responses_len != 1 || response.responses[0].error_code != (int16_t)err)
        return link_fail(link, err, cli_text(cli, "delete topic %s", name));
    if (err != ERR_OK)
        return delete_refused(cli, link, name, err, response.responses[0].error_message);
    const int32_t *ids = topic_live_brokers(cli, link, &brokers);
    if (topic_wait(cli, link, name, false, ids, brokers, &laggard) != ERR_OK)
        return cli_fail(
            cli, CLI_TIMED_OUT,
            cli_text(cli, "topic %s is to be deleted, but broker %d still shows it", name, laggard),
            "it goes when the controller and its brokers are there again", "moldau cluster status");
    if (report_is_for_people(&cli->print))
        printf("deleted %s\n", name);
    return CLI_OK;
}

enum exit_code cmd_topic_delete(struct cli *cli)
{
    static const struct column columns[] = { { .key = "topic" },
                                             { .key = "deleted" },
                                             { .key = NULL } };
    struct report *report = report_new(&cli->arena);
    struct table *table = report_table(report, "topics", columns);
    struct link *link = NULL;
    enum exit_code code =
        cli_confirm_delete(cli, "topic", "all data of topic", "all data is still there");

    if (code == CLI_OK)
        code = link_open(cli, &link);
    if (code != CLI_OK)
        return code;
    for (int i = 0; i < cli->args.operands_len; i++) {
        enum exit_code one = delete_one(cli, link, cli->args.operands[i]);
        struct cell *row = table_row(table);

        row[0] = cell_cstr(cli->args.operands[i]);
        row[1] = cell_bool(one == CLI_OK);
        if (one != CLI_OK)
            code = one;
    }
    if (!report_is_for_people(&cli->print))
        report_print(report, &cli->print, stdout);
    link_close(&link);
    return code;
}
