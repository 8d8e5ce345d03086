/*
 * kafka topics: Kafka's kafka-topics, as 3.9's TopicCommand behaves. --topic is a pattern but for
 * --create; what goes wrong is told on stdout and ends in 1.
 */
#include <inttypes.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/cli/admin.h"
#include "controller/cli/kafka_admin.h"
#include "controller/cli/scope.h"
#include "controller/cli/topic.h"
#include "gen/wire/apis.h"
#include "gen/wire/create_partitions.h"
#include "gen/wire/create_topics.h"
#include "gen/wire/delete_topics.h"
#include "gen/wire/describe_configs.h"

#define SOURCE_DEFAULT 5 /* where a setting comes from that nobody has set */

static enum exit_code error(const char *what)
{
    printf("Error while executing topic command : %s\n", what);
    return CLI_FAILED;
}

static enum exit_code refused(struct cli *cli, enum err err, struct str message)
{
    return error(message.len > 0 ? arena_cstr(&cli->arena, message)
                                 : cli_text(cli, "%s", err_text(err)));
}

/* ---- which topics ---------------------------------------------------------------------------- */

/* A whole name against IncludeList's pattern: commas are alternatives, quotes and blanks are not
 * there. */
static bool compile(struct cli *cli, const char *pattern, regex_t *regex)
{
    char *text = arena_cstr(&cli->arena, str_of(pattern)), *to = text;

    for (const char *at = text; *at != '\0'; at++) {
        if (*at == ',')
            *to++ = '|';
        else if (*at != ' ' && *at != '"' && *at != '\'')
            *to++ = *at;
    }
    *to = '\0';
    return regcomp(regex, cli_text(cli, "^(%s)$", text), REG_EXTENDED | REG_NOSUB) == 0;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp((*(const struct metadata_response_topic *const *)a)->name,
                   (*(const struct metadata_response_topic *const *)b)->name);
}

/* Those that --topic means, or all, by name. */
static enum exit_code choose(struct cli *cli, struct link *link, struct metadata_response *seen,
                             const struct metadata_response_topic ***out, int *n)
{
    const char *pattern = args_text(&cli->args, "topic", NULL);
    bool no_internal = args_has(&cli->args, "exclude-internal");
    regex_t regex;
    enum err err;

    if (pattern != NULL && !compile(cli, pattern, &regex))
        return error(cli_text(cli, "%s is an invalid regex.", pattern));
    err = link_metadata(link, LINK_ANY, NULL, -1, seen, &cli->arena);
    *out = arena_zalloc(&cli->arena, (size_t)seen->topics_len + 1, sizeof **out);
    *n = 0;
    for (int32_t t = 0; err == ERR_OK && t < seen->topics_len; t++) {
        const struct metadata_response_topic *topic = &seen->topics[t];

        if ((!no_internal || !topic->is_internal) &&
            (pattern == NULL ||
             regexec(&regex, arena_cstr(&cli->arena, topic->name), 0, NULL, 0) == 0))
            (*out)[(*n)++] = topic;
    }
    if (pattern != NULL)
        regfree(&regex);
    if (err != ERR_OK)
        return refused(cli, err, STR_NULL);
    qsort(*out, (size_t)*n, sizeof **out, by_name);
    if (*n == 0 && pattern != NULL && !args_has(&cli->args, "if-exists"))
        return error(cli_text(cli, "Topic 'Optional[%s]' does not exist as expected", pattern));
    return CLI_OK;
}

static enum exit_code list(struct cli *cli, struct link *link)
{
    const struct metadata_response_topic **topics;
    struct metadata_response seen = { .topics_len = 0 };
    int n = 0;
    enum exit_code code = choose(cli, link, &seen, &topics, &n);

    for (int i = 0; code == CLI_OK && i < n; i++)
        printf("%.*s\n", STR_ARG(topics[i]->name));
    return code;
}

/* ---- describe -------------------------------------------------------------------------------- */

struct describing {
    struct cli *cli;
    struct link *link;
    struct moving *moving;
    int moving_len;
    const struct metadata_response *seen;
    bool under_replicated, unavailable, under_min, at_min, overrides;
};

static const struct describe_configs_response_result *configs_of(struct describing *describing,
                                                                 struct str topic)
{
    struct arena *arena = &describing->cli->arena;
    struct describe_configs_response *response = arena_zalloc(arena, 1, sizeof *response);
    struct describe_configs_request request;
    struct describe_configs_request_resource resource;

    describe_configs_request_init(&request);
    describe_configs_request_resource_init(&resource);
    resource.resource_type = RESOURCE_TOPIC;
    resource.resource_name = topic;
    resource.configuration_keys_len = -1;
    request.resources = &resource;
    request.resources_len = 1;
    if (link_ask(describing->link, LINK_ANY, API_DESCRIBE_CONFIGS, &request, response, arena) !=
            ERR_OK ||
        response->results_len != 1 || response->results[0].error_code != ERR_OK)
        return NULL;
    return &response->results[0];
}

/* "k=v,k=v" of what somebody has set. */
static const char *configs_text(struct describing *describing,
                                const struct describe_configs_response_result *configs)
{
    struct cli *cli = describing->cli;
    size_t n = configs != NULL ? (size_t)configs->configs_len : 0;
    struct str *names = arena_zalloc(&cli->arena, n + 1, sizeof *names);
    const char *text = "";
    size_t *order;

    for (size_t i = 0; i < n; i++)
        names[i] = configs->configs[i].name;
    order = kafka_map_order(&cli->arena, names, n);
    for (size_t i = 0; i < n; i++) {
        const struct describe_configs_response_config *config = &configs->configs[order[i]];

        if (config->config_source != SOURCE_DEFAULT)
            text = cli_text(cli, "%s%s%.*s=%.*s", text, text[0] != '\0' ? "," : "",
                            STR_ARG(config->name), STR_ARG(config->value));
    }
    return text;
}

static int64_t min_isr_of(const struct describe_configs_response_result *configs)
{
    int64_t value;

    for (int32_t i = 0; configs != NULL && i < configs->configs_len; i++) {
        if (str_is(configs->configs[i].name, "min.insync.replicas") &&
            str_to_i64(configs->configs[i].value, &value))
            return value;
    }
    return 1;
}

static const struct moving *moving_of(const struct describing *describing, struct str topic,
                                      const struct metadata_response_partition *part)
{
    return admin_find_moving(describing->moving, describing->moving_len, topic,
                             part->partition_index);
}

static int32_t factor_of(const struct metadata_response_partition *part,
                         const struct moving *moving)
{
    return part->replica_nodes_len - (moving != NULL ? (int32_t)moving->adding.n : 0);
}

static bool is_live(const struct describing *describing, int32_t broker)
{
    for (int32_t i = 0; i < describing->seen->brokers_len; i++) {
        if (describing->seen->brokers[i].node_id == broker)
            return true;
    }
    return false;
}

static bool is_wanted(const struct describing *describing,
                      const struct metadata_response_partition *part, const struct moving *moving,
                      int64_t min_isr)
{
    return (!describing->under_replicated || part->isr_nodes_len < factor_of(part, moving)) &&
           (!describing->unavailable || !is_live(describing, part->leader_id)) &&
           (!describing->under_min || part->isr_nodes_len < min_isr) &&
           (!describing->at_min || part->isr_nodes_len == min_isr);
}

static int by_index(const void *a, const void *b)
{
    const struct metadata_response_partition *left = a, *right = b;

    return (left->partition_index > right->partition_index) -
           (left->partition_index < right->partition_index);
}

static void describe_parts(struct describing *describing,
                           const struct metadata_response_topic *topic, int64_t min_isr)
{
    struct cli *cli = describing->cli;

    qsort(topic->partitions, (size_t)topic->partitions_len, sizeof *topic->partitions, by_index);
    for (int32_t p = 0; p < topic->partitions_len; p++) {
        const struct metadata_response_partition *part = &topic->partitions[p];
        const struct moving *moving = moving_of(describing, topic->name, part);

        if (!is_wanted(describing, part, moving, min_isr))
            continue;
        printf("\tTopic: %.*s\tPartition: %d\tLeader: %s\tReplicas: %s\tIsr: %s",
               STR_ARG(topic->name), part->partition_index,
               part_is_offline(part) ? "none" : cli_text(cli, "%d", part->leader_id),
               cli_ids(cli, part->replica_nodes, (size_t)part->replica_nodes_len),
               cli_ids(cli, part->isr_nodes, (size_t)part->isr_nodes_len));
        if (moving != NULL)
            printf("\tAdding Replicas: %s\tRemoving Replicas: %s",
                   cli_ids(cli, moving->adding.at, moving->adding.n),
                   cli_ids(cli, moving->removing.at, moving->removing.n));
        puts("\tElr: N/A\tLastKnownElr: N/A");
    }
}

static void describe_topic(struct describing *describing,
                           const struct metadata_response_topic *topic)
{
    const struct describe_configs_response_result *configs = configs_of(describing, topic->name);
    const char *text = configs_text(describing, configs);
    bool only_parts = describing->under_replicated || describing->unavailable ||
                      describing->under_min || describing->at_min;
    char id[UUID_TEXT_LEN + 1];

    if (!only_parts && (!describing->overrides || text[0] != '\0')) {
        const struct metadata_response_partition *first = topic->partitions;

        uuid_print(topic->topic_id, id);
        printf("Topic: %.*s\tTopicId: %s\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %s\n",
               STR_ARG(topic->name), id, topic->partitions_len,
               topic->partitions_len > 0
                   ? factor_of(first, moving_of(describing, topic->name, first))
                   : 0,
               text);
    }
    if (!describing->overrides)
        describe_parts(describing, topic, min_isr_of(configs));
}

static enum exit_code describe(struct cli *cli, struct link *link)
{
    struct metadata_response seen = { .topics_len = 0 };
    struct describing describing = {
        .cli = cli,
        .link = link,
        .seen = &seen,
        .under_replicated = args_has(&cli->args, "under-replicated-partitions"),
        .unavailable = args_has(&cli->args, "unavailable-partitions"),
        .under_min = args_has(&cli->args, "under-min-isr-partitions"),
        .at_min = args_has(&cli->args, "at-min-isr-partitions"),
        .overrides = args_has(&cli->args, "topics-with-overrides"),
    };
    const struct metadata_response_topic **topics;
    struct str *names;
    size_t *order;
    int n = 0;
    enum exit_code code = choose(cli, link, &seen, &topics, &n);

    if (code != CLI_OK)
        return code;
    if (admin_moving(cli, link, &cli->arena, &describing.moving, &describing.moving_len) != ERR_OK)
        describing.moving_len = 0; /* Kafka's tool goes on without, too */
    names = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *names);
    for (int i = 0; i < n; i++)
        names[i] = topics[i]->name;
    order = kafka_map_order(&cli->arena, names, (size_t)n);
    for (int i = 0; i < n; i++)
        describe_topic(&describing, topics[order[i]]);
    return CLI_OK;
}

/* ---- create ---------------------------------------------------------------------------------- */

/* "1:2,2:3" as partitions; says what is wrong. */
static enum exit_code read_assignment(struct cli *cli, const char *text, int32_t ***lists,
                                      int32_t **lens, int *n)
{
    struct str rest = str_of(text);
    int most = 1;

    for (const char *at = text; *at != '\0'; at++)
        most += *at == ',';
    *lists = arena_zalloc(&cli->arena, (size_t)most, sizeof **lists);
    *lens = arena_zalloc(&cli->arena, (size_t)most, sizeof **lens);
    *n = 0;
    while (!str_is_null(rest)) {
        char *ids = arena_cstr(&cli->arena, str_split(rest, ',', &rest));
        int len;

        for (char *at = ids; *at != '\0'; at++)
            *at = *at == ':' ? ',' : *at;
        if (!scope_ids(&cli->arena, ids, &(*lists)[*n], &len))
            return error("Partition replica lists may not contain duplicate entries, and are "
                         "broker ids");
        (*lens)[*n] = len;
        if (len != (*lens)[0])
            return error(
                cli_text(cli, "Partition %d has different replication factor: [%s]", *n, ids));
        (*n)++;
    }
    return CLI_OK;
}

static enum exit_code fill_create(struct cli *cli, struct create_topics_request_topic *topic)
{
    const char *assignment = args_text(&cli->args, "replica-assignment", NULL), *config;
    int64_t partitions = -1, factor = -1;
    int32_t **lists, *lens;
    int n, at = 0;
    enum exit_code code;

    if (!args_number(&cli->args, "partitions", INT32_MIN, INT32_MAX, &partitions) ||
        !args_number(&cli->args, "replication-factor", INT32_MIN, INT32_MAX, &factor))
        return CLI_USAGE;
    if (args_has(&cli->args, "partitions") && partitions < 1)
        return error("The partitions must be greater than 0");
    if (args_has(&cli->args, "replication-factor") && (factor < 1 || factor > INT16_MAX))
        return error("The replication factor must be between 1 and 32767 inclusive");
    create_topics_request_topic_init(topic);
    topic->name = str_of(args_text(&cli->args, "topic", NULL));
    topic->num_partitions = (int32_t)partitions;
    topic->replication_factor = (int16_t)factor;
    topic->configs =
        arena_zalloc(&cli->arena, (size_t)cli->args.given_len + 1, sizeof *topic->configs);
    while ((config = args_next(&cli->args, "config", &at)) != NULL) {
        struct create_topics_request_config *to = &topic->configs[topic->configs_len++];

        create_topics_request_config_init(to);
        to->name = str_trim(str_split(str_of(config), '=', &to->value));
        if (str_is_null(to->value))
            return error("Invalid topic config: all configs to be added must be in the format "
                         "\"key=val\".");
        to->value = str_trim(to->value);
    }
    if (assignment == NULL)
        return CLI_OK;
    code = read_assignment(cli, assignment, &lists, &lens, &n);
    topic->num_partitions = topic->replication_factor = -1;
    topic->assignments = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *topic->assignments);
    for (int i = 0; code == CLI_OK && i < n; i++) {
        struct create_topics_request_assignment *to = &topic->assignments[topic->assignments_len++];

        create_topics_request_assignment_init(to);
        to->partition_index = i;
        to->broker_ids = lists[i];
        to->broker_ids_len = lens[i];
    }
    return code;
}

static enum err judge_create(const void *response)
{
    const struct create_topics_response *made = response;

    return made->topics_len == 1 ? (enum err)made->topics[0].error_code : ERR_BAD_FORMAT;
}

static enum exit_code create(struct cli *cli, struct link *link)
{
    const char *name = args_text(&cli->args, "topic", NULL);
    struct create_topics_request request;
    struct create_topics_request_topic topic;
    struct create_topics_response response = { .topics_len = 0 };
    enum exit_code code;
    enum err err;

    if (name == NULL)
        return kafka_usage(cli, "Missing required argument \"[topic]\"");
    if (strpbrk(name, "._") != NULL)
        puts("WARNING: Due to limitations in metric names, topics with a period ('.') or "
             "underscore ('_') could collide. To avoid issues it is best to use either, but not "
             "both.");
    code = fill_create(cli, &topic);
    if (code != CLI_OK)
        return code;
    create_topics_request_init(&request);
    request.topics = &topic;
    request.topics_len = 1;
    request.timeout_ms = admin_left_ms(cli);
    err = admin_ask(cli, link, API_CREATE_TOPICS, &request, &response, &cli->arena, judge_create);
    if (err == ERR_TOPIC_ALREADY_EXISTS && args_has(&cli->args, "if-not-exists"))
        return CLI_OK;
    if (err == ERR_TOPIC_ALREADY_EXISTS)
        return error(cli_text(cli, "Topic '%s' already exists.", name));
    if (err != ERR_OK)
        return refused(cli, err,
                       response.topics_len == 1 ? response.topics[0].error_message : STR_NULL);
    printf("Created topic %s.\n", name);
    return CLI_OK;
}

/* ---- alter, delete --------------------------------------------------------------------------- */

static enum err judge_grow(const void *response)
{
    const struct create_partitions_response *grown = response;

    for (int32_t i = 0; i < grown->results_len; i++) {
        if (grown->results[i].error_code != ERR_OK)
            return (enum err)grown->results[i].error_code;
    }
    return ERR_OK;
}

static struct str grow_message(const struct create_partitions_response *response, enum err err)
{
    for (int32_t i = 0; i < response->results_len; i++) {
        if (response->results[i].error_code == (int16_t)err)
            return response->results[i].error_message;
    }
    return STR_NULL;
}

static enum exit_code alter(struct cli *cli, struct link *link)
{
    const char *text = args_text(&cli->args, "replica-assignment", NULL);
    const struct metadata_response_topic **topics;
    struct metadata_response seen = { .topics_len = 0 };
    struct create_partitions_request request;
    struct create_partitions_response response = { .results_len = 0 };
    int64_t partitions = 0;
    int32_t **lists = NULL, *lens = NULL;
    int n = 0, given = 0;
    enum exit_code code;
    enum err err;

    if (args_has(&cli->args, "config"))
        return kafka_usage(cli,
                           "Option combination \"[[bootstrap-server], [config]]\" can't be used "
                           "with option \"[alter]\" (the kafka-configs CLI supports altering "
                           "topic configs with a --bootstrap-server option)");
    if (!args_has(&cli->args, "topic") || !args_has(&cli->args, "partitions"))
        return kafka_usage(cli, "Missing required argument \"[topic, partitions]\"");
    if (!args_number(&cli->args, "partitions", INT32_MIN, INT32_MAX, &partitions))
        return CLI_USAGE;
    code = text != NULL ? read_assignment(cli, text, &lists, &lens, &given) : CLI_OK;
    if (code == CLI_OK)
        code = choose(cli, link, &seen, &topics, &n);
    if (code != CLI_OK || n == 0)
        return code;
    for (int i = 0; i < n; i++) {
        int32_t has = topics[i]->partitions_len;

        if (has > partitions)
            return error(cli_text(cli,
                                  "Topic currently has %d partitions, which is higher than the "
                                  "requested %" PRId64 ".",
                                  has, partitions));
        if (has == partitions)
            return error(cli_text(cli, "Topic already has %d partitions.", has));
    }
    create_partitions_request_init(&request);
    request.timeout_ms = admin_left_ms(cli);
    request.topics = arena_zalloc(&cli->arena, (size_t)n, sizeof *request.topics);
    for (int i = 0; i < n; i++) {
        struct create_partitions_request_topic *to = &request.topics[request.topics_len++];

        create_partitions_request_topic_init(to);
        to->name = topics[i]->name;
        to->count = (int32_t)partitions;
        to->assignments_len = -1;
        if (text == NULL)
            continue;
        to->assignments_len = 0; /* those of the new ones, behind those that are there */
        to->assignments = arena_zalloc(&cli->arena, (size_t)given + 1, sizeof *to->assignments);
        for (int p = topics[i]->partitions_len; p < given; p++) {
            create_partitions_request_assignment_init(&to->assignments[to->assignments_len]);
            to->assignments[to->assignments_len].broker_ids = lists[p];
            to->assignments[to->assignments_len++].broker_ids_len = lens[p];
        }
    }
    err = admin_ask(cli, link, API_CREATE_PARTITIONS, &request, &response, &cli->arena, judge_grow);
    return err == ERR_OK ? CLI_OK : refused(cli, err, grow_message(&response, err));
}

static enum err judge_delete(const void *response)
{
    const struct delete_topics_response *gone = response;

    for (int32_t i = 0; i < gone->responses_len; i++) {
        if (gone->responses[i].error_code != ERR_OK)
            return (enum err)gone->responses[i].error_code;
    }
    return ERR_OK;
}

static enum exit_code delete_them(struct cli *cli, struct link *link)
{
    const struct metadata_response_topic **topics;
    struct metadata_response seen = { .topics_len = 0 };
    struct delete_topics_request request;
    struct delete_topics_response response = { .responses_len = 0 };
    int n = 0;
    enum exit_code code;
    enum err err;

    if (!args_has(&cli->args, "topic"))
        return kafka_usage(cli, "One of the following options is required: topic");
    code = choose(cli, link, &seen, &topics, &n);
    if (code != CLI_OK || n == 0)
        return code;
    delete_topics_request_init(&request);
    request.timeout_ms = admin_left_ms(cli);
    request.topics = arena_zalloc(&cli->arena, (size_t)n, sizeof *request.topics);
    request.topic_names = arena_zalloc(&cli->arena, (size_t)n, sizeof *request.topic_names);
    for (int i = 0; i < n; i++) {
        delete_topics_request_topic_init(&request.topics[i]);
        request.topics[i].name = request.topic_names[i] = topics[i]->name;
    }
    request.topics_len = request.topic_names_len = n;
    err = admin_ask(cli, link, API_DELETE_TOPICS, &request, &response, &cli->arena, judge_delete);
    return err == ERR_OK ? CLI_OK : refused(cli, err, STR_NULL);
}

/* ---- the command ----------------------------------------------------------------------------- */

enum exit_code cmd_kafka_topics(struct cli *cli)
{
    static const struct kafka_action actions[] = { { "list", list, { NULL } },
                                                   { "describe", describe, { NULL } },
                                                   { "create", create, { NULL } },
                                                   { "alter", alter, { NULL } },
                                                   { "delete", delete_them, { NULL } } };

    return kafka_run(cli, actions, ARRAY_LEN(actions),
                     "--list, --describe, --create, --alter or --delete", 0);
}
