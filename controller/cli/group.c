/*
 * Every question to a coordinator goes through ask(): look it up, ask, look at the answer's error;
 * what says that the coordinator is another one, or not ready, starts over after a pause.
 *
 * Ends of logs are asked of their leaders, one request for each leader and kind of offset, with the
 * parts sorted so that those of a topic stand together.
 */
#include "controller/cli/group.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "controller/cli/peek.h"
#include "gen/wire/apis.h"
#include "gen/wire/delete_groups.h"
#include "gen/wire/find_coordinator.h"
#include "gen/wire/list_offsets.h"
#include "gen/wire/offset_commit.h"
#include "gen/wire/offset_delete.h"
#include "gen/wire/offset_fetch.h"

#define RETRY_PAUSE_MS     50
#define PROBE_MS           3000
#define KEY_TYPE_GROUP     0
#define TIMESTAMP_LATEST   (-1)
#define TIMESTAMP_EARLIEST (-2)

void group_view_init(struct group_view *view, struct arena *arena, const char *name)
{
    *view =
        (struct group_view){ .arena = arena, .name = name, .coordinator = -1, .settled_ms = -1 };
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* What will be another answer in a moment. */
static bool passes(enum err err)
{
    return err == ERR_COORDINATOR_LOAD_IN_PROGRESS || err == ERR_COORDINATOR_NOT_AVAILABLE ||
           err == ERR_NOT_COORDINATOR || err == ERR_REFUSED || err == ERR_CLOSED ||
           err == ERR_BROKER_NOT_AVAILABLE || err == ERR_UNSTABLE_OFFSET_COMMIT;
}

static bool pause_before(int64_t deadline_ms)
{
    const struct timespec pause = { .tv_nsec = RETRY_PAUSE_MS * 1000000L };

    nanosleep(&pause, NULL);
    return clock_mono_ms() < deadline_ms;
}

static enum err find_coordinator(struct link *link, struct group_view *view)
{
    struct find_coordinator_request request;
    struct find_coordinator_response response;
    struct metadata_response brokers;
    struct str name = str_of(view->name);
    enum err err = link_metadata(link, LINK_ANY, NULL, 0, &brokers, view->arena);

    if (err != ERR_OK)
        return err;
    find_coordinator_request_init(&request);
    request.key = name;
    request.key_type = KEY_TYPE_GROUP;
    request.coordinator_keys = &name;
    request.coordinator_keys_len = 1;
    err = link_ask(link, LINK_ANY, API_FIND_COORDINATOR, &request, &response, view->arena);
    if (err != ERR_OK)
        return err;
    if (response.coordinators_len == 1) {
        response.error_code = response.coordinators[0].error_code;
        response.node_id = response.coordinators[0].node_id;
    }
    if (response.error_code == ERR_OK)
        view->coordinator = response.node_id;
    return (enum err)response.error_code;
}

typedef enum err judge_fn(const void *response);

static enum err ask(struct cli *cli, struct link *link, struct group_view *view, int16_t api_key,
                    const void *request, void *response, judge_fn *judge)
{
    for (;;) {
        enum err err = view->coordinator >= 0 ? ERR_OK : find_coordinator(link, view);

        if (err == ERR_OK)
            err = link_ask(link, view->coordinator, api_key, request, response, view->arena);
        if (err == ERR_OK)
            err = judge(response);
        if (!passes(err))
            return err;
        view->coordinator = -1;
        if (!pause_before(cli->deadline_ms))
            return err;
    }
}

enum exit_code group_fail(struct cli *cli, struct link *link, const struct group_view *view,
                          enum err err, const char *doing)
{
    switch (err) {
    case ERR_GROUP_ID_NOT_FOUND:
        return group_missing(cli, link, view->name);
    case ERR_NON_EMPTY_GROUP:
    case ERR_UNKNOWN_MEMBER_ID:
    case ERR_REBALANCE_IN_PROGRESS:
        return cli_fail(cli, CLI_REFUSED, cli_text(cli, "cannot %s: it has members", doing),
                        "nothing was changed; what running consumers commit would undo it",
                        cli_text(cli,
                                 "stop its consumers, then again; who they are: moldau group "
                                 "members %s",
                                 view->name));
    case ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case ERR_COORDINATOR_NOT_AVAILABLE:
    case ERR_NOT_COORDINATOR:
        return cli_fail(cli, CLI_TIMED_OUT, cli_text(cli, "cannot %s: %s", doing, err_text(err)),
                        cli_text(cli, "consumers of group %s wait, too", view->name),
                        "moldau cluster status        or again with --timeout 2m");
    case ERR_GROUP_AUTHORIZATION_FAILED:
        return cli_fail(cli, CLI_REFUSED, cli_text(cli, "cannot %s: %s", doing, err_text(err)),
                        "nothing was changed", NULL);
    default:
        return link_fail(link, err, doing);
    }
}

/* ---- which groups there are ------------------------------------------------------------------ */

static void split_list(struct arena *arena, const char *text, struct str **out, int32_t *len)
{
    struct str rest = str_of(text);
    int32_t most = 1;

    for (size_t i = 0; i < rest.len; i++)
        most += rest.ptr[i] == ',';
    *out = arena_zalloc(arena, (size_t)most, sizeof **out);
    *len = 0;
    while (!str_is_null(rest))
        (*out)[(*len)++] = str_trim(str_split(rest, ',', &rest));
}

static enum err list_at(struct cli *cli, struct link *link, int32_t broker,
                        const struct list_groups_request *request,
                        struct list_groups_response *response)
{
    for (;;) {
        enum err err = link_ask(link, broker, API_LIST_GROUPS, request, response, &cli->arena);

        if (err == ERR_OK)
            err = (enum err)response->error_code;
        if (err != ERR_COORDINATOR_LOAD_IN_PROGRESS || !pause_before(cli->deadline_ms))
            return err;
    }
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct group_listing *)a)->group.group_id,
                   ((const struct group_listing *)b)->group.group_id);
}

enum exit_code group_list(struct cli *cli, struct link *link, const char *states, const char *types,
                          struct group_listing **out, int32_t *len, int32_t *silent)
{
    struct list_groups_request request;
    struct metadata_response brokers;
    enum err err = link_metadata(link, LINK_ANY, NULL, 0, &brokers, &cli->arena);
    struct list_groups_response *answers;
    struct link_health *health;
    int32_t n, all = 0;

    if (err != ERR_OK)
        return link_fail(link, err, "list the groups");
    list_groups_request_init(&request);
    split_list(&cli->arena, states, &request.states_filter, &request.states_filter_len);
    split_list(&cli->arena, types, &request.types_filter, &request.types_filter_len);
    n = link_brokers_len(link);
    answers = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *answers);
    health = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *health);
    link_probe(link, PROBE_MS, health);
    *silent = 0;
    for (int32_t i = 0; i < n; i++) {
        err = health[i].err;
        if (err == ERR_OK)
            err = list_at(cli, link, health[i].id, &request, &answers[i]);
        if (err == ERR_OK) {
            all += answers[i].groups_len;
            continue;
        }
        answers[i].groups_len = 0;
        (*silent)++;
        cli_fail(
            cli, CLI_DEGRADED,
            cli_text(cli, "broker %d does not tell its groups: %s", health[i].id, err_text(err)),
            "groups that it coordinates may be missing here", "moldau cluster status");
    }
    *out = arena_zalloc(&cli->arena, (size_t)all + 1, sizeof **out);
    *len = 0;
    for (int32_t i = 0; i < n; i++)
        for (int32_t g = 0; g < answers[i].groups_len; g++)
            (*out)[(*len)++] = (struct group_listing){ .group = answers[i].groups[g],
                                                       .coordinator = health[i].id };
    qsort(*out, (size_t)*len, sizeof **out, by_name);
    return CLI_OK;
}

enum exit_code group_missing(struct cli *cli, struct link *link, const char *name)
{
    struct group_listing *all;
    const char *like = NULL;
    int best = strlen(name) <= 4 ? 2 : 4;
    int32_t len = 0, silent;

    if (group_list(cli, link, NULL, NULL, &all, &len, &silent) != CLI_OK)
        len = 0;
    for (int32_t i = 0; i < len; i++) {
        const char *known = arena_cstr(&cli->arena, all[i].group.group_id);
        int distance = text_distance(name, known);

        if (distance < best) {
            best = distance;
            like = known;
        }
    }
    return cli_fail(cli, CLI_NOT_FOUND, cli_text(cli, "there is no group '%s'", name),
                    like != NULL ? cli_text(cli, "did you mean '%s'?", like)
                                 : "a group comes into being when its first consumer joins or "
                                   "commits",
                    "moldau group list");
}

/* ---- one group ------------------------------------------------------------------------------- */

static enum err judge_description(const void *response)
{
    const struct describe_groups_response *described = response;

    return described->groups_len == 1 ? (enum err)described->groups[0].error_code : ERR_BAD_FORMAT;
}

enum err group_ask_description(struct cli *cli, struct link *link, struct group_view *view)
{
    struct describe_groups_request request;
    struct describe_groups_response *response = arena_zalloc(view->arena, 1, sizeof *response);
    struct str name = str_of(view->name);
    enum err err;

    describe_groups_request_init(&request);
    request.groups = &name;
    request.groups_len = 1;
    err = ask(cli, link, view, API_DESCRIBE_GROUPS, &request, response, judge_description);
    if (err == ERR_OK)
        view->described = &response->groups[0];
    return err;
}

enum exit_code group_describe(struct cli *cli, struct link *link, struct group_view *view)
{
    enum err err = group_ask_description(cli, link, view);

    if (err == ERR_OK && str_is(view->described->group_state, "Dead"))
        err = ERR_GROUP_ID_NOT_FOUND;
    return err == ERR_OK ? CLI_OK : group_fail(cli, link, view, err, "look up the group");
}

bool group_is_active(const struct group_view *view)
{
    struct str state = view->described->group_state;

    return !str_is(state, "Empty") && !str_is(state, "Dead");
}

const struct consumer_protocol_assignment *
group_assignment(const struct group_view *view,
                 const struct describe_groups_response_member *member)
{
    const struct wire_bytes bytes = member->member_assignment;
    struct consumer_protocol_assignment *out;
    struct wire_in in;
    int16_t version;

    if (bytes.len < 2 || !str_is(view->described->protocol_type, "consumer"))
        return NULL;
    in = wire_in_of(bytes.data, (size_t)bytes.len, view->arena);
    version = wire_get_i16(&in);
    if (version < 0)
        return NULL;
    out = arena_zalloc(view->arena, 1, sizeof *out);
    /* Later versions only add fields at the end. */
    if (consumer_protocol_assignment_decode(out, &in, version > 3 ? 3 : version) != ERR_OK)
        return NULL;
    return out;
}

int32_t group_assigned_len(const struct consumer_protocol_assignment *assignment)
{
    int32_t n = 0;

    for (int32_t i = 0; assignment != NULL && i < assignment->assigned_partitions_len; i++)
        n += assignment->assigned_partitions[i].partitions_len;
    return n;
}

struct group_part *group_part(struct group_view *view, struct str topic, int32_t partition)
{
    struct group_part *part;

    assert(!str_is_null(topic));
    for (int32_t i = 0; i < view->parts_len; i++) {
        part = &view->parts[i];
        if (part->partition == partition && str_eq(part->topic, topic))
            return part;
    }
    if (view->parts_len == view->parts_cap) {
        int32_t cap = view->parts_cap > 0 ? 2 * view->parts_cap : 16;
        struct group_part *grown = arena_zalloc(view->arena, (size_t)cap, sizeof *grown);

        if (view->parts_len > 0)
            memcpy(grown, view->parts, (size_t)view->parts_len * sizeof *grown);
        view->parts = grown;
        view->parts_cap = cap;
    }
    part = &view->parts[view->parts_len++];
    *part = (struct group_part){
        .topic = topic,
        .partition = partition,
        .at = { .committed = -1, .first = -1, .end = -1, .at_time = -1 },
        .leader_epoch = -1,
        .leader = -1,
        .oldest_ms = -1,
        .committed_ms = -1,
    };
    return part;
}

int group_read_offsets(struct group_view *view, FILE *file, bool comments, struct str *bad)
{
    int number = 0;
    bool good = true;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    while (good && (n = getline(&line, &cap, file)) >= 0) {
        struct str text = str_trim(arena_str(view->arena, (struct str){ line, (size_t)n }));
        struct offset_line parsed;

        number++;
        if (text.len == 0 || (comments && text.ptr[0] == '#'))
            continue;
        good = offset_line_parse(text, &parsed);
        if (!good)
            *bad = text;
        else if (str_is_null(parsed.group) || str_is(parsed.group, view->name))
            group_part(view, parsed.topic, parsed.partition)->at.at_time = parsed.offset;
    }
    free(line);
    return good ? 0 : number;
}

void group_take_committed(struct group_view *view, const struct group_view *committed, bool add)
{
    for (int32_t i = 0; i < committed->parts_len; i++) {
        const struct group_part *from = &committed->parts[i];

        if (add)
            (void)group_part(view, from->topic, from->partition);
        for (int32_t j = 0; j < view->parts_len; j++) {
            struct group_part *part = &view->parts[j];

            if (part->partition == from->partition && str_eq(part->topic, from->topic))
                part->at.committed = from->at.committed;
        }
    }
}

static int by_topic(const void *a, const void *b)
{
    const struct group_part *left = a, *right = b;
    int order = str_cmp(left->topic, right->topic);

    if (order != 0)
        return order;
    return (left->partition > right->partition) - (left->partition < right->partition);
}

void group_sort(struct group_view *view)
{
    if (view->parts_len > 0)
        qsort(view->parts, (size_t)view->parts_len, sizeof *view->parts, by_topic);
}

/* Of sorted parts; NULL when it is not in the view. */
static struct group_part *find_part(struct group_view *view, struct str topic, int32_t partition)
{
    const struct group_part key = { .topic = topic, .partition = partition };

    return view->parts_len == 0
               ? NULL
               : bsearch(&key, view->parts, (size_t)view->parts_len, sizeof *view->parts, by_topic);
}

static void set_err(struct group_view *view, struct str topic, int32_t partition, enum err err)
{
    struct group_part *part = find_part(view, topic, partition);

    if (part != NULL)
        part->err = err;
}

void group_add_assigned(struct group_view *view)
{
    for (int32_t m = 0; m < view->described->members_len; m++) {
        const struct describe_groups_response_member *member = &view->described->members[m];
        const struct consumer_protocol_assignment *has = group_assignment(view, member);

        for (int32_t t = 0; has != NULL && t < has->assigned_partitions_len; t++)
            for (int32_t p = 0; p < has->assigned_partitions[t].partitions_len; p++)
                group_part(view, has->assigned_partitions[t].topic,
                           has->assigned_partitions[t].partitions[p])
                    ->member = member;
    }
}

enum exit_code group_add_scope(struct cli *cli, struct link *link, struct group_view *view,
                               const char *scope)
{
    const struct metadata_response_topic *found;
    struct str topic;
    int32_t len, *partitions;
    enum err err;
    struct metadata_response seen;

    if (!topic_scope_parse(str_of(scope), &topic, NULL, &len))
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "'%s' names no partitions", scope),
                        "what is meant is TOPIC, or TOPIC:0,1,2", NULL);
    partitions = arena_zalloc(view->arena, (size_t)len + 1, sizeof *partitions);
    (void)topic_scope_parse(str_of(scope), &topic, partitions, &len);
    for (int32_t i = 0; i < len; i++)
        (void)group_part(view, topic, partitions[i]);
    if (len > 0)
        return CLI_OK;
    err = link_metadata(link, LINK_ANY, &topic, 1, &seen, view->arena);
    if (err == ERR_OK)
        err = seen.topics_len == 1 ? (enum err)seen.topics[0].error_code
                                   : ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (err == ERR_UNKNOWN_TOPIC_OR_PARTITION)
        return cli_fail(cli, CLI_NOT_FOUND,
                        cli_text(cli, "there is no topic '%.*s'", STR_ARG(topic)),
                        "nothing was changed", "moldau topic list");
    if (err != ERR_OK && err != ERR_LEADER_NOT_AVAILABLE)
        return link_fail(link, err, cli_text(cli, "look up topic %.*s", STR_ARG(topic)));
    found = &seen.topics[0];
    for (int32_t i = 0; i < found->partitions_len; i++)
        (void)group_part(view, topic, found->partitions[i].partition_index);
    return CLI_OK;
}

/* ---- committed offsets ----------------------------------------------------------------------- */

static enum err judge_fetch(const void *response)
{
    const struct offset_fetch_response *fetched = response;

    if (fetched->groups_len == 1)
        return (enum err)fetched->groups[0].error_code;
    return (enum err)fetched->error_code;
}

static void add_committed(struct group_view *view, struct str topic, int32_t partition,
                          int64_t offset, int32_t leader_epoch, struct str metadata, int16_t err)
{
    struct group_part *part = group_part(view, topic, partition);

    part->at.committed = err == ERR_OK ? offset : -1;
    part->leader_epoch = leader_epoch;
    part->metadata = metadata;
    part->err = (enum err)err;
}

enum err group_ask_committed(struct cli *cli, struct link *link, struct group_view *view)
{
    struct offset_fetch_request request;
    struct offset_fetch_request_group group;
    struct offset_fetch_response response;
    enum err err;

    offset_fetch_request_init(&request);
    offset_fetch_request_group_init(&group);
    request.group_id = group.group_id = str_of(view->name);
    request.topics_len = group.topics_len = -1; /* all there are */
    request.groups = &group;
    request.groups_len = 1;
    err = ask(cli, link, view, API_OFFSET_FETCH, &request, &response, judge_fetch);
    if (err != ERR_OK)
        return err;
    for (int32_t t = 0; response.groups_len == 1 && t < response.groups[0].topics_len; t++) {
        const struct offset_fetch_response_group_topic *topic = &response.groups[0].topics[t];

        for (int32_t p = 0; p < topic->partitions_len; p++) {
            const struct offset_fetch_response_group_partition *at = &topic->partitions[p];

            add_committed(view, topic->name, at->partition_index, at->committed_offset,
                          at->committed_leader_epoch, at->metadata, at->error_code);
        }
    }
    for (int32_t t = 0; response.groups_len != 1 && t < response.topics_len; t++) {
        const struct offset_fetch_response_topic *topic = &response.topics[t];

        for (int32_t p = 0; p < topic->partitions_len; p++) {
            const struct offset_fetch_response_partition *at = &topic->partitions[p];

            add_committed(view, topic->name, at->partition_index, at->committed_offset,
                          at->committed_leader_epoch, at->metadata, at->error_code);
        }
    }
    return ERR_OK;
}

enum exit_code group_add_committed(struct cli *cli, struct link *link, struct group_view *view)
{
    enum err err = group_ask_committed(cli, link, view);

    return err == ERR_OK ? CLI_OK : group_fail(cli, link, view, err, "read its offsets");
}

/* ---- the logs -------------------------------------------------------------------------------- */

/* Of every topic in the view, each once: parts are sorted. */
static int32_t topics_of(const struct group_view *view, struct str *out)
{
    int32_t n = 0;

    for (int32_t i = 0; i < view->parts_len; i++) {
        if (n == 0 || !str_eq(out[n - 1], view->parts[i].topic))
            out[n++] = view->parts[i].topic;
    }
    return n;
}

static enum err find_leaders(struct link *link, struct group_view *view)
{
    struct str *names = arena_zalloc(view->arena, (size_t)view->parts_len + 1, sizeof *names);
    int32_t n = topics_of(view, names);
    struct metadata_response seen;
    enum err err;

    if (n == 0)
        return ERR_OK;
    err = link_metadata(link, LINK_ANY, names, n, &seen, view->arena);
    if (err != ERR_OK)
        return err;
    for (int32_t i = 0; i < view->parts_len; i++) {
        struct group_part *part = &view->parts[i];

        part->is_there = false;
        part->leader = -1;
    }
    for (int32_t t = 0; t < seen.topics_len; t++) {
        for (int32_t p = 0; p < seen.topics[t].partitions_len; p++) {
            const struct metadata_response_partition *at = &seen.topics[t].partitions[p];
            struct group_part *part = find_part(view, seen.topics[t].name, at->partition_index);

            if (part != NULL) {
                part->is_there = true;
                part->topic_id = seen.topics[t].topic_id;
                part->leader = at->leader_id;
            }
        }
    }
    return ERR_OK;
}

static void fill_list_offsets(const struct group_view *view, int32_t leader, int64_t timestamp,
                              struct list_offsets_request *request)
{
    size_t most = (size_t)view->parts_len;
    struct list_offsets_request_topic *topic = NULL;
    struct list_offsets_request_partition *parts = arena_zalloc(view->arena, most, sizeof *parts);

    list_offsets_request_init(request);
    request->replica_id = -1;
    request->topics = arena_zalloc(view->arena, most, sizeof *request->topics);
    for (int32_t i = 0; i < view->parts_len; i++) {
        const struct group_part *part = &view->parts[i];

        if (part->leader != leader || !part->is_there)
            continue;
        if (topic == NULL || !str_eq(topic->name, part->topic)) {
            topic = &request->topics[request->topics_len++];
            list_offsets_request_topic_init(topic);
            topic->name = part->topic;
            topic->partitions = parts;
        }
        list_offsets_request_partition_init(parts);
        parts->partition_index = part->partition;
        parts->timestamp = timestamp;
        parts++;
        topic->partitions_len++;
    }
}

/* Which of the three offsets of a state an answer is about. */
static int64_t *field_of(struct offset_state *state, int64_t timestamp)
{
    return timestamp == TIMESTAMP_EARLIEST ? &state->first
           : timestamp == TIMESTAMP_LATEST ? &state->end
                                           : &state->at_time;
}

static void ask_leader(struct link *link, struct group_view *view, int32_t leader,
                       int64_t timestamp)
{
    struct list_offsets_request request;
    struct list_offsets_response response;
    enum err err;

    fill_list_offsets(view, leader, timestamp, &request);
    err = link_ask(link, leader, API_LIST_OFFSETS, &request, &response, view->arena);
    for (int32_t i = 0; err != ERR_OK && i < view->parts_len; i++) {
        if (view->parts[i].leader == leader && view->parts[i].is_there)
            view->parts[i].err = err;
    }
    for (int32_t t = 0; err == ERR_OK && t < response.topics_len; t++) {
        for (int32_t p = 0; p < response.topics[t].partitions_len; p++) {
            const struct list_offsets_response_partition *at = &response.topics[t].partitions[p];
            struct group_part *part = find_part(view, response.topics[t].name, at->partition_index);

            if (part != NULL && at->error_code == ERR_OK)
                *field_of(&part->at, timestamp) = at->offset;
            else if (part != NULL)
                part->err = (enum err)at->error_code;
        }
    }
}

static void ask_leaders(struct link *link, struct group_view *view, int64_t timestamp)
{
    for (int32_t i = 0; i < view->parts_len; i++) {
        int32_t leader = view->parts[i].leader;
        bool asked = leader < 0;

        for (int32_t j = 0; j < i && !asked; j++)
            asked = view->parts[j].leader == leader;
        if (!asked)
            ask_leader(link, view, leader, timestamp);
    }
}

enum exit_code group_find_ends(struct cli *cli, struct link *link, struct group_view *view)
{
    enum err err;

    (void)cli;
    group_sort(view);
    err = find_leaders(link, view);
    if (err != ERR_OK)
        return link_fail(link, err, "look up the topics of the group");
    ask_leaders(link, view, TIMESTAMP_EARLIEST);
    ask_leaders(link, view, TIMESTAMP_LATEST);
    return CLI_OK;
}

void group_find_ages(struct link *link, struct group_view *view)
{
    struct arena arena;

    view->now_ms = clock_wall_ms();
    arena_init(&arena, SIZE_MAX);
    for (int32_t i = 0; i < view->parts_len; i++) {
        struct group_part *part = &view->parts[i];
        const struct peek_part at = { .topic = part->topic,
                                      .topic_id = part->topic_id,
                                      .partition = part->partition };
        int64_t from = part->at.committed > part->at.first ? part->at.committed : part->at.first;
        struct peek seen;
        int64_t lag;

        if (part->leader < 0 || !offset_lag(&part->at, &lag) || lag <= 0)
            continue;
        arena_reset(&arena);
        if (peek_at(link, part->leader, &at, from, &arena, &seen) == ERR_OK)
            part->oldest_ms = seen.timestamp_ms;
    }
    arena_fini(&arena);
}

void group_find_times(struct cli *cli, struct link *link, struct group_view *view, int64_t wall_ms)
{
    (void)cli;
    ask_leaders(link, view, wall_ms);
}

/* ---- changing -------------------------------------------------------------------------------- */

/* The error of a coordinator is the same in every partition; others are the partition's. */
static enum err judge_commit(const void *response)
{
    const struct offset_commit_response *committed = response;

    for (int32_t t = 0; t < committed->topics_len; t++) {
        for (int32_t p = 0; p < committed->topics[t].partitions_len; p++) {
            enum err err = (enum err)committed->topics[t].partitions[p].error_code;

            if (passes(err) || err == ERR_UNKNOWN_MEMBER_ID || err == ERR_ILLEGAL_GENERATION ||
                err == ERR_GROUP_AUTHORIZATION_FAILED || err == ERR_INVALID_GROUP_ID)
                return err;
        }
    }
    return ERR_OK;
}

enum err group_commit(struct cli *cli, struct link *link, struct group_view *view,
                      const int64_t *offsets)
{
    struct offset_commit_request request;
    struct offset_commit_response response;
    struct offset_commit_request_topic *topic = NULL;
    size_t most = (size_t)view->parts_len + 1;
    struct offset_commit_request_partition *parts = arena_zalloc(view->arena, most, sizeof *parts);
    enum err err;

    offset_commit_request_init(&request);
    request.group_id = str_of(view->name);
    request.generation_id_or_member_epoch = -1; /* as one who is no member */
    request.topics = arena_zalloc(view->arena, most, sizeof *request.topics);
    for (int32_t i = 0; i < view->parts_len; i++) {
        const struct group_part *part = &view->parts[i];

        if (offsets[i] < 0)
            continue;
        if (topic == NULL || !str_eq(topic->name, part->topic)) {
            topic = &request.topics[request.topics_len++];
            offset_commit_request_topic_init(topic);
            topic->name = part->topic;
            topic->partitions = parts;
        }
        offset_commit_request_partition_init(parts);
        parts->partition_index = part->partition;
        parts->committed_offset = offsets[i];
        parts->committed_metadata = STR_EMPTY;
        parts++;
        topic->partitions_len++;
    }
    err = ask(cli, link, view, API_OFFSET_COMMIT, &request, &response, judge_commit);
    for (int32_t t = 0; err == ERR_OK && t < response.topics_len; t++)
        for (int32_t p = 0; p < response.topics[t].partitions_len; p++)
            set_err(view, response.topics[t].name, response.topics[t].partitions[p].partition_index,
                    (enum err)response.topics[t].partitions[p].error_code);
    return err;
}

static enum err judge_forget(const void *response)
{
    return (enum err)((const struct offset_delete_response *)response)->error_code;
}

enum err group_forget(struct cli *cli, struct link *link, struct group_view *view)
{
    struct offset_delete_request request;
    struct offset_delete_response response;
    struct offset_delete_request_topic *topic = NULL;
    size_t most = (size_t)view->parts_len + 1;
    struct offset_delete_request_partition *parts = arena_zalloc(view->arena, most, sizeof *parts);
    enum err err;

    group_sort(view);
    offset_delete_request_init(&request);
    request.group_id = str_of(view->name);
    request.topics = arena_zalloc(view->arena, most, sizeof *request.topics);
    for (int32_t i = 0; i < view->parts_len; i++) {
        if (topic == NULL || !str_eq(topic->name, view->parts[i].topic)) {
            topic = &request.topics[request.topics_len++];
            offset_delete_request_topic_init(topic);
            topic->name = view->parts[i].topic;
            topic->partitions = parts;
        }
        offset_delete_request_partition_init(parts);
        (parts++)->partition_index = view->parts[i].partition;
        topic->partitions_len++;
    }
    err = ask(cli, link, view, API_OFFSET_DELETE, &request, &response, judge_forget);
    for (int32_t t = 0; err == ERR_OK && t < response.topics_len; t++)
        for (int32_t p = 0; p < response.topics[t].partitions_len; p++)
            set_err(view, response.topics[t].name, response.topics[t].partitions[p].partition_index,
                    (enum err)response.topics[t].partitions[p].error_code);
    return err;
}

static enum err judge_delete(const void *response)
{
    const struct delete_groups_response *deleted = response;

    return deleted->results_len == 1 ? (enum err)deleted->results[0].error_code : ERR_BAD_FORMAT;
}

enum err group_delete(struct cli *cli, struct link *link, struct group_view *view)
{
    struct delete_groups_request request;
    struct delete_groups_response response;
    struct str name = str_of(view->name);

    delete_groups_request_init(&request);
    request.groups_names = &name;
    request.groups_names_len = 1;
    return ask(cli, link, view, API_DELETE_GROUPS, &request, &response, judge_delete);
}
