/*
 * A question goes to the broker that the last metadata named as the controller. An answer that says
 * that it is not, or that there is none, leads to new metadata after a pause.
 */
#include "controller/cli/admin.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "gen/wire/alter_partition_reassignments.h"
#include "gen/wire/apis.h"
#include "gen/wire/describe_configs.h"
#include "gen/wire/elect_leaders.h"
#include "gen/wire/incremental_alter_configs.h"
#include "gen/wire/list_partition_reassignments.h"

#define RETRY_PAUSE_MS 50
#define SOURCE_TOPIC   1 /* where a setting comes from: the topic itself */
#define SOURCE_BROKER  2 /* or the broker itself, at run time */
#define OP_SET         0
#define OP_DELETE      1

int32_t admin_left_ms(const struct cli *cli)
{
    int64_t left = cli->deadline_ms - clock_mono_ms();

    return left < 1 ? 1 : left > INT32_MAX ? INT32_MAX : (int32_t)left;
}

static bool passes(enum err err)
{
    return err == ERR_NOT_CONTROLLER || err == ERR_COORDINATOR_NOT_AVAILABLE ||
           err == ERR_BROKER_NOT_AVAILABLE || err == ERR_REFUSED;
}

enum err admin_ask(struct cli *cli, struct link *link, int16_t api_key, const void *request,
                   void *response, struct arena *arena, admin_judge *judge)
{
    const struct timespec pause = { .tv_nsec = RETRY_PAUSE_MS * 1000000L };

    for (;;) {
        struct metadata_response seen;
        enum err err = link_metadata(link, LINK_ANY, NULL, 0, &seen, arena);

        if (err != ERR_OK)
            return err;
        err = link_ask(link, link_controller(link), api_key, request, response, arena);
        if (err == ERR_OK)
            err = judge(response);
        if (!passes(err) || clock_mono_ms() >= cli->deadline_ms)
            return err;
        nanosleep(&pause, NULL);
    }
}

static const char *message(struct cli *cli, struct str text)
{
    return text.len > 0 ? arena_cstr(&cli->arena, text) : NULL;
}

/* ---- partitions that move -------------------------------------------------------------------- */

static int by_topic(const void *a, const void *b)
{
    const struct move *left = a, *right = b;
    int order = str_cmp(left->topic, right->topic);

    if (order != 0)
        return order;
    return (left->partition > right->partition) - (left->partition < right->partition);
}

static enum err judge_alter(const void *response)
{
    return (enum err)((const struct alter_partition_reassignments_response *)response)->error_code;
}

static void fill_moves(struct cli *cli, const struct move *moves, int n,
                       struct alter_partition_reassignments_request *request)
{
    struct alter_partition_reassignments_request_topic *topic = NULL;
    struct alter_partition_reassignments_request_partition *part =
        arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *part);

    alter_partition_reassignments_request_init(request);
    request->timeout_ms = admin_left_ms(cli);
    request->topics = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *request->topics);
    for (int i = 0; i < n; i++, part++) {
        if (topic == NULL || !str_eq(topic->name, moves[i].topic)) {
            topic = &request->topics[request->topics_len++];
            alter_partition_reassignments_request_topic_init(topic);
            topic->name = moves[i].topic;
            topic->partitions = part;
        }
        alter_partition_reassignments_request_partition_init(part);
        part->partition_index = moves[i].partition;
        part->replicas_len = moves[i].to.n > 0 ? (int32_t)moves[i].to.n : -1;
        part->replicas = arena_dup(&cli->arena, moves[i].to.at, moves[i].to.n * sizeof(int32_t));
        topic->partitions_len++;
    }
}

enum err admin_move(struct cli *cli, struct link *link, struct move *moves, int n)
{
    struct alter_partition_reassignments_request request;
    struct alter_partition_reassignments_response response;
    enum err err;

    if (n == 0)
        return ERR_OK;
    qsort(moves, (size_t)n, sizeof *moves, by_topic);
    fill_moves(cli, moves, n, &request);
    err = admin_ask(cli, link, API_ALTER_PARTITION_REASSIGNMENTS, &request, &response, &cli->arena,
                    judge_alter);
    for (int i = 0; err == ERR_OK && i < n; i++)
        moves[i].err = ERR_BAD_FORMAT; /* unless there is an answer */
    for (int32_t t = 0; err == ERR_OK && t < response.responses_len; t++) {
        for (int32_t p = 0; p < response.responses[t].partitions_len; p++) {
            const struct move key = { .topic = response.responses[t].name,
                                      .partition =
                                          response.responses[t].partitions[p].partition_index };
            struct move *at = bsearch(&key, moves, (size_t)n, sizeof *moves, by_topic);

            if (at == NULL)
                continue;
            at->err = (enum err)response.responses[t].partitions[p].error_code;
            at->why = message(cli, response.responses[t].partitions[p].error_message);
        }
    }
    return err;
}

static enum err judge_list(const void *response)
{
    return (enum err)((const struct list_partition_reassignments_response *)response)->error_code;
}

static int by_moving(const void *a, const void *b)
{
    const struct moving *left = a, *right = b;
    int order = str_cmp(left->topic, right->topic);

    if (order != 0)
        return order;
    return (left->partition > right->partition) - (left->partition < right->partition);
}

static struct ids ids_kept(struct arena *arena, const int32_t *ids, int32_t len)
{
    return (struct ids){ .at = arena_dup(arena, ids, (size_t)len * sizeof *ids),
                         .n = (uint32_t)len };
}

enum err admin_moving(struct cli *cli, struct link *link, struct arena *arena, struct moving **out,
                      int *len)
{
    struct list_partition_reassignments_request request;
    struct list_partition_reassignments_response response;
    size_t n = 0;
    enum err err;

    list_partition_reassignments_request_init(&request);
    request.timeout_ms = admin_left_ms(cli);
    request.topics_len = -1;
    err = admin_ask(cli, link, API_LIST_PARTITION_REASSIGNMENTS, &request, &response, arena,
                    judge_list);
    *len = 0;
    if (err != ERR_OK)
        return err;
    for (int32_t t = 0; t < response.topics_len; t++)
        n += (size_t)response.topics[t].partitions_len;
    *out = arena_zalloc(arena, n + 1, sizeof **out);
    for (int32_t t = 0; t < response.topics_len; t++) {
        struct str topic = arena_str(arena, response.topics[t].name);

        for (int32_t p = 0; p < response.topics[t].partitions_len; p++) {
            const struct list_partition_reassignments_response_partition *part =
                &response.topics[t].partitions[p];

            (*out)[(*len)++] = (struct moving){
                .topic = topic,
                .partition = part->partition_index,
                .replicas = ids_kept(arena, part->replicas, part->replicas_len),
                .adding = ids_kept(arena, part->adding_replicas, part->adding_replicas_len),
                .removing = ids_kept(arena, part->removing_replicas, part->removing_replicas_len)
            };
        }
    }
    qsort(*out, (size_t)*len, sizeof **out, by_moving);
    return ERR_OK;
}

const struct moving *admin_find_moving(const struct moving *all, int len, struct str topic,
                                       int32_t partition)
{
    const struct moving key = { .topic = topic, .partition = partition };

    return len == 0 ? NULL : bsearch(&key, all, (size_t)len, sizeof *all, by_moving);
}

/* ---- elections ------------------------------------------------------------------------------- */

static enum err judge_election(const void *response)
{
    return (enum err)((const struct elect_leaders_response *)response)->error_code;
}

static void fill_elections(struct cli *cli, const struct election *parts, int n,
                           struct elect_leaders_request *request)
{
    struct elect_leaders_request_topic *topic = NULL;
    int32_t *at = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *at);

    request->topic_partitions_len = 0;
    request->topic_partitions =
        arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *request->topic_partitions);
    for (int i = 0; i < n; i++) {
        if (topic == NULL || !str_eq(topic->topic, parts[i].topic)) {
            topic = &request->topic_partitions[request->topic_partitions_len++];
            elect_leaders_request_topic_init(topic);
            topic->topic = parts[i].topic;
            topic->partitions = at;
        }
        *at++ = parts[i].partition;
        topic->partitions_len++;
    }
}

enum err admin_elect(struct cli *cli, struct link *link, bool unclean, const struct election *parts,
                     int n, struct election **out, int *len)
{
    struct elect_leaders_request request;
    struct elect_leaders_response response;
    size_t most = 0;
    enum err err;

    elect_leaders_request_init(&request);
    request.election_type = unclean ? 1 : 0;
    request.timeout_ms = admin_left_ms(cli);
    request.topic_partitions_len = -1;
    if (parts != NULL)
        fill_elections(cli, parts, n, &request);
    *len = 0;
    err = admin_ask(cli, link, API_ELECT_LEADERS, &request, &response, &cli->arena, judge_election);
    if (err != ERR_OK)
        return err;
    for (int32_t t = 0; t < response.replica_election_results_len; t++)
        most += (size_t)response.replica_election_results[t].partition_result_len;
    *out = arena_zalloc(&cli->arena, most + 1, sizeof **out);
    for (int32_t t = 0; t < response.replica_election_results_len; t++) {
        const struct elect_leaders_response_topic *topic = &response.replica_election_results[t];

        for (int32_t p = 0; p < topic->partition_result_len; p++)
            (*out)[(*len)++] = (struct election){
                .topic = topic->topic,
                .partition = topic->partition_result[p].partition_id,
                .err = (enum err)topic->partition_result[p].error_code,
                .why = message(cli, topic->partition_result[p].error_message),
            };
    }
    return ERR_OK;
}

/* ---- settings -------------------------------------------------------------------------------- */

static enum err judge_change(const void *response)
{
    const struct incremental_alter_configs_response *changed = response;

    for (int32_t i = 0; i < changed->responses_len; i++) {
        if (passes((enum err)changed->responses[i].error_code))
            return (enum err)changed->responses[i].error_code;
    }
    return ERR_OK;
}

static bool is_same_resource(const struct change *a, const struct change *b)
{
    return a->type == b->type && str_eq(a->name, b->name);
}

/* Of one resource. */
static enum err change_one(struct cli *cli, struct link *link, struct change *changes, int n,
                           bool dry)
{
    struct incremental_alter_configs_request request;
    struct incremental_alter_configs_request_resource resource;
    struct incremental_alter_configs_response response;
    int64_t broker = LINK_ANY;
    enum err err;

    incremental_alter_configs_request_init(&request);
    incremental_alter_configs_request_resource_init(&resource);
    resource.resource_type = changes->type;
    resource.resource_name = changes->name;
    resource.configs = arena_zalloc(&cli->arena, (size_t)n, sizeof *resource.configs);
    resource.configs_len = n;
    for (int i = 0; i < n; i++) {
        incremental_alter_configs_request_config_init(&resource.configs[i]);
        resource.configs[i].name = changes[i].key;
        resource.configs[i].value = changes[i].value;
        resource.configs[i].config_operation = str_is_null(changes[i].value) ? OP_DELETE : OP_SET;
    }
    request.resources = &resource;
    request.resources_len = 1;
    request.validate_only = dry;
    if (changes->type == RESOURCE_BROKER && changes->name.len > 0 &&
        str_to_i64(changes->name, &broker))
        err = link_ask(link, (int32_t)broker, API_INCREMENTAL_ALTER_CONFIGS, &request, &response,
                       &cli->arena);
    else
        err = admin_ask(cli, link, API_INCREMENTAL_ALTER_CONFIGS, &request, &response, &cli->arena,
                        judge_change);
    if (err == ERR_OK && response.responses_len != 1)
        err = ERR_BAD_FORMAT;
    for (int i = 0; err == ERR_OK && i < n; i++) {
        changes[i].err = (enum err)response.responses[0].error_code;
        changes[i].why = message(cli, response.responses[0].error_message);
    }
    return err;
}

enum err admin_change(struct cli *cli, struct link *link, struct change *changes, int n, bool dry)
{
    enum err err = ERR_OK;

    for (int from = 0, to; err == ERR_OK && from < n; from = to) {
        for (to = from + 1; to < n && is_same_resource(&changes[from], &changes[to]);)
            to++;
        err = change_one(cli, link, changes + from, to - from, dry);
    }
    return err;
}

static const struct describe_configs_response_config *find_setting(struct cli *cli,
                                                                   struct link *link,
                                                                   int32_t broker, int8_t type,
                                                                   struct str name, struct str key)
{
    struct describe_configs_request request;
    struct describe_configs_request_resource resource;
    struct describe_configs_response response;

    describe_configs_request_init(&request);
    describe_configs_request_resource_init(&resource);
    resource.resource_type = type;
    resource.resource_name = name;
    resource.configuration_keys = &key;
    resource.configuration_keys_len = 1;
    request.resources = &resource;
    request.resources_len = 1;
    if (link_ask(link, broker, API_DESCRIBE_CONFIGS, &request, &response, &cli->arena) != ERR_OK ||
        response.results_len != 1 || response.results[0].error_code != ERR_OK)
        return NULL;
    for (int32_t i = 0; i < response.results[0].configs_len; i++) {
        if (str_eq(response.results[0].configs[i].name, key))
            return &response.results[0].configs[i];
    }
    return NULL;
}

struct str admin_setting(struct cli *cli, struct link *link, int32_t broker, int8_t type,
                         struct str name, struct str key)
{
    const struct describe_configs_response_config *found =
        find_setting(cli, link, broker, type, name, key);

    return found != NULL ? found->value : STR_NULL;
}

struct str admin_own_setting(struct cli *cli, struct link *link, int32_t broker, int8_t type,
                             struct str name, struct str key)
{
    const struct describe_configs_response_config *found =
        find_setting(cli, link, broker, type, name, key);

    return found != NULL &&
                   found->config_source == (type == RESOURCE_TOPIC ? SOURCE_TOPIC : SOURCE_BROKER)
               ? found->value
               : STR_NULL;
}

const char *admin_zookeeper(struct cli *cli, struct link *link, const int32_t *brokers, int n)
{
    if (link_place(link)->zookeeper != NULL)
        return link_place(link)->zookeeper;
    for (int i = 0; i < n; i++) {
        struct str value =
            admin_setting(cli, link, brokers[i], RESOURCE_BROKER,
                          arena_printf(&cli->arena, "%d", brokers[i]), STR("zookeeper.connect"));

        if (value.len > 0)
            return arena_cstr(&cli->arena, value);
    }
    return NULL;
}
