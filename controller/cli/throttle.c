/*
 * The rate goes to the brokers first: a topic whose replicas are named where there is no rate yet
 * is not slowed down, so the other order would let a burst through. Clearing goes the other way
 * round.
 */
#include "controller/cli/throttle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"
#include "gen/wire/apis.h"
#include "gen/wire/describe_configs.h"

bool throttle_parse(const char *text, int64_t *rate)
{
    static const struct {
        const char *unit;
        int64_t bytes;
    } units[] = { { "", 1 },          { "B", 1 },         { "K", 1000 },       { "KB", 1000 },
                  { "M", 1000000 },   { "MB", 1000000 },  { "G", 1000000000 }, { "GB", 1000000000 },
                  { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 } };
    char *end, unit[8];
    double number;
    size_t len;

    if (text[0] < '0' || text[0] > '9')
        return false;
    number = strtod(text, &end);
    while (*end == ' ')
        end++;
    len = strlen(end);
    if (len >= 2 && strcmp(end + len - 2, "/s") == 0)
        len -= 2;
    if (len >= sizeof unit)
        return false;
    memcpy(unit, end, len);
    unit[len] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcasecmp(unit, units[i].unit) != 0)
            continue;
        number *= (double)units[i].bytes;
        *rate = number < 1e18 ? (int64_t)number : 0;
        return *rate > 0;
    }
    return false;
}

static void add_replica(struct arena *arena, struct str *text, int32_t partition, int32_t broker)
{
    *text = arena_printf(arena, "%.*s%s%d:%d", STR_ARG(*text), text->len > 0 ? "," : "", partition,
                         broker);
}

void throttle_replicas(struct arena *arena, const struct planned *moves, int n, struct str *leader,
                       struct str *follower)
{
    *leader = *follower = STR_EMPTY;
    for (int i = 0; i < n; i++) {
        for (uint32_t r = 0; r < moves[i].from.n; r++)
            add_replica(arena, leader, moves[i].partition, moves[i].from.at[r]);
        for (uint32_t r = 0; r < moves[i].to.n; r++) {
            if (!ids_has(moves[i].from, moves[i].to.at[r]))
                add_replica(arena, follower, moves[i].partition, moves[i].to.at[r]);
        }
    }
}

/* Brokers that a move reads from or writes to, each once. */
static int32_t *brokers_of(struct arena *arena, const struct planned *moves, int n, int *len)
{
    size_t cap = 0;
    int32_t *ids = NULL, *kept;

    *len = 0;
    for (int i = 0; i < n; i++) {
        const struct ids lists[] = { moves[i].from, moves[i].to };

        for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
            for (uint32_t r = 0; r < lists[l].n; r++) {
                if (ids_has((struct ids){ .at = ids, .n = (uint32_t)*len }, lists[l].at[r]))
                    continue;
                array_reserve(&ids, &cap, (size_t)*len, sizeof *ids);
                ids[(*len)++] = lists[l].at[r];
            }
        }
    }
    kept = arena_dup(arena, ids, (size_t)*len * sizeof *ids);
    free(ids);
    return kept;
}

/* Says what failed; a broker that is down is passed over with a note. */
static enum exit_code change(struct cli *cli, struct link *link, struct change *changes, int n,
                             const char *doing)
{
    enum err err = admin_change(cli, link, changes, n, false);

    if (err != ERR_OK && n > 0 && changes->type == RESOURCE_BROKER) {
        cli_note(cli, "broker %.*s cannot be asked to %s: %s", STR_ARG(changes->name), doing,
                 err_text(err));
        return CLI_OK;
    }
    if (err != ERR_OK)
        return link_fail(link, err, doing);
    for (int i = 0; i < n; i++) {
        if (changes[i].err != ERR_OK)
            return cli_fail(
                cli, cli_code(changes[i].err),
                cli_text(cli, "cannot %s: %s", doing,
                         changes[i].why != NULL ? changes[i].why : err_text(changes[i].err)),
                NULL, "moldau reassign throttle");
    }
    return CLI_OK;
}

enum exit_code throttle_set_broker(struct cli *cli, struct link *link, int32_t broker,
                                   struct str value)
{
    struct str name = arena_printf(&cli->arena, "%d", broker);
    struct change changes[] = {
        { .type = RESOURCE_BROKER, .name = name, .key = THROTTLE_LEADER_RATE, .value = value },
        { .type = RESOURCE_BROKER, .name = name, .key = THROTTLE_FOLLOWER_RATE, .value = value },
    };

    return change(cli, link, changes, ARRAY_LEN(changes), "set the throttle");
}

enum exit_code throttle_set_topic(struct cli *cli, struct link *link, struct str topic,
                                  struct str leader, struct str follower)
{
    struct change changes[] = {
        { .type = RESOURCE_TOPIC, .name = topic, .key = THROTTLE_LEADER_REPLICAS, .value = leader },
        { .type = RESOURCE_TOPIC,
          .name = topic,
          .key = THROTTLE_FOLLOWER_REPLICAS,
          .value = follower },
    };

    return change(cli, link, changes, ARRAY_LEN(changes), "name the replicas to throttle");
}

enum exit_code throttle_set(struct cli *cli, struct link *link, const char *text,
                            const struct planned *moves, int n)
{
    int64_t rate;
    int32_t *brokers;
    struct str value;
    int len;
    enum exit_code code = CLI_OK;

    if (!throttle_parse(text, &rate))
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "'%s' is no rate", text),
                        "what is meant is 80MB/s, 1.5GiB or a number of bytes", NULL);
    value = arena_printf(&cli->arena, "%" PRId64, rate);
    brokers = brokers_of(&cli->arena, moves, n, &len);
    for (int i = 0; code == CLI_OK && i < len; i++)
        code = throttle_set_broker(cli, link, brokers[i], value);
    for (int from = 0, to; code == CLI_OK && from < n; from = to) {
        struct str leader, follower;

        for (to = from + 1; to < n && str_eq(moves[to].topic, moves[from].topic);)
            to++;
        throttle_replicas(&cli->arena, moves + from, to - from, &leader, &follower);
        code = throttle_set_topic(cli, link, moves[from].topic, leader, follower);
    }
    return code;
}

/* Topics that name replicas to throttle. */
static enum err throttled_topics(struct cli *cli, struct link *link, struct str **out, int *len)
{
    struct str keys[] = { THROTTLE_LEADER_REPLICAS, THROTTLE_FOLLOWER_REPLICAS };
    struct metadata_response all;
    struct describe_configs_request request;
    struct describe_configs_response response;
    enum err err = link_metadata(link, LINK_ANY, NULL, -1, &all, &cli->arena);

    *len = 0;
    if (err != ERR_OK)
        return err;
    describe_configs_request_init(&request);
    request.resources =
        arena_zalloc(&cli->arena, (size_t)all.topics_len + 1, sizeof *request.resources);
    request.resources_len = all.topics_len;
    for (int32_t t = 0; t < all.topics_len; t++) {
        struct describe_configs_request_resource *resource = &request.resources[t];

        describe_configs_request_resource_init(resource);
        resource->resource_type = RESOURCE_TOPIC;
        resource->resource_name = all.topics[t].name;
        resource->configuration_keys = keys;
        resource->configuration_keys_len = ARRAY_LEN(keys);
    }
    *out = arena_zalloc(&cli->arena, (size_t)all.topics_len + 1, sizeof **out);
    if (all.topics_len == 0)
        return ERR_OK;
    err = link_ask(link, LINK_ANY, API_DESCRIBE_CONFIGS, &request, &response, &cli->arena);
    for (int32_t t = 0; err == ERR_OK && t < response.results_len; t++) {
        bool has = false;

        for (int32_t i = 0; i < response.results[t].configs_len; i++)
            has = has || response.results[t].configs[i].value.len > 0;
        if (has)
            (*out)[(*len)++] = response.results[t].resource_name;
    }
    return err;
}

enum exit_code throttle_clear(struct cli *cli, struct link *link)
{
    struct metadata_response brokers;
    struct str *topics;
    enum exit_code code = CLI_OK;
    int len;
    enum err err = throttled_topics(cli, link, &topics, &len);

    if (err == ERR_OK)
        err = link_metadata(link, LINK_ANY, NULL, 0, &brokers, &cli->arena);
    if (err != ERR_OK)
        return link_fail(link, err, "look for throttles");
    for (int i = 0; code == CLI_OK && i < len; i++)
        code = throttle_set_topic(cli, link, topics[i], STR_NULL, STR_NULL);
    for (int32_t i = 0; code == CLI_OK && i < brokers.brokers_len; i++)
        code = throttle_set_broker(cli, link, brokers.brokers[i].node_id, STR_NULL);
    return code;
}

/* ---- the command ----------------------------------------------------------------------------- */

static enum exit_code show(struct cli *cli, struct link *link)
{
    static const struct column broker_columns[] = {
        { .key = "broker", .head = "BROKER", .right = true },
        { .key = "leader_bytes_per_second", .head = "AS LEADER", .right = true },
        { .key = "follower_bytes_per_second", .head = "AS FOLLOWER", .right = true },
        { .key = NULL },
    };
    static const struct column topic_columns[] = {
        { .key = "topic", .head = "TOPIC" },
        { .key = "leader_replicas", .head = "LEADERS' SIDE" },
        { .key = "follower_replicas", .head = "FOLLOWERS' SIDE" },
        { .key = NULL },
    };
    struct report *report = report_new(&cli->arena);
    struct table *at_brokers = report_table(report, "brokers", broker_columns);
    struct table *at_topics = report_table(report, "topics", topic_columns);
    struct metadata_response brokers;
    struct str *topics;
    int len;
    enum err err = throttled_topics(cli, link, &topics, &len);

    if (err == ERR_OK)
        err = link_metadata(link, LINK_ANY, NULL, 0, &brokers, &cli->arena);
    if (err != ERR_OK)
        return link_fail(link, err, "look for throttles");
    for (int32_t i = 0; i < brokers.brokers_len; i++) {
        int32_t id = brokers.brokers[i].node_id;
        struct str name = arena_printf(&cli->arena, "%d", id);
        const struct str keys[] = { THROTTLE_LEADER_RATE, THROTTLE_FOLLOWER_RATE };
        struct cell *row = NULL;

        for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
            int64_t rate;

            if (!str_to_i64(admin_own_setting(cli, link, id, RESOURCE_BROKER, name, keys[k]),
                            &rate))
                continue;
            if (row == NULL)
                row = table_row(at_brokers);
            row[0] = cell_int(id);
            row[1 + k] = cell_size(rate);
        }
    }
    for (int i = 0; i < len; i++) {
        struct cell *row = table_row(at_topics);

        row[0] = cell_text(topics[i]);
        row[1] = cell_text(admin_setting(cli, link, LINK_ANY, RESOURCE_TOPIC, topics[i],
                                         THROTTLE_LEADER_REPLICAS));
        row[2] = cell_text(admin_setting(cli, link, LINK_ANY, RESOURCE_TOPIC, topics[i],
                                         THROTTLE_FOLLOWER_REPLICAS));
    }
    report_print(report, &cli->print, stdout);
    if (table_rows(at_brokers) + table_rows(at_topics) == 0 && report_is_for_people(&cli->print))
        cli_note(cli, "nothing is throttled");
    return CLI_OK;
}

/* Of all that moves now. */
static enum exit_code set_for_moving(struct cli *cli, struct link *link, const char *rate)
{
    struct moving *moving;
    struct planned *moves;
    int64_t unused;
    int len;
    enum exit_code code;
    enum err err;

    if (!throttle_parse(rate, &unused)) /* before anybody is asked */
        return throttle_set(cli, link, rate, NULL, 0);
    err = admin_moving(cli, link, &cli->arena, &moving, &len);
    if (err != ERR_OK)
        return link_fail(link, err, "see what moves");
    if (len == 0)
        return cli_fail(cli, CLI_NOT_FOUND, "nothing moves", "nothing was throttled",
                        "moldau reassign plan ... --apply --throttle RATE");
    moves = arena_zalloc(&cli->arena, (size_t)len, sizeof *moves);
    for (int i = 0; i < len; i++) {
        int32_t *old = arena_zalloc(&cli->arena, moving[i].replicas.n + 1, sizeof *old);
        uint32_t n = 0;

        for (uint32_t r = 0; r < moving[i].replicas.n; r++) {
            if (!ids_has(moving[i].adding, moving[i].replicas.at[r]))
                old[n++] = moving[i].replicas.at[r];
        }
        moves[i] = (struct planned){ .topic = moving[i].topic,
                                     .partition = moving[i].partition,
                                     .from = { .at = old, .n = n },
                                     .to = moving[i].replicas };
    }
    code = throttle_set(cli, link, rate, moves, len);
    if (code == CLI_OK && report_is_for_people(&cli->print))
        printf("%s throttled; once they are there: moldau reassign throttle --clear\n",
               cli_count(cli, len, "partition"));
    return code;
}

enum exit_code cmd_reassign_throttle(struct cli *cli)
{
    bool clear = args_has(&cli->args, "clear");
    const char *rate = cli->args.operands_len > 0 ? cli->args.operands[0] : NULL;
    struct link *link;
    enum exit_code code;

    if (clear && rate != NULL)
        return cli_fail(cli, CLI_USAGE, "--clear goes without a rate", NULL, NULL);
    code = link_open(cli, &link);
    if (code == CLI_OK && clear)
        code = throttle_clear(cli, link);
    else if (code == CLI_OK)
        code = rate != NULL ? set_for_moving(cli, link, rate) : show(cli, link);
    if (code == CLI_OK && clear && report_is_for_people(&cli->print))
        printf("no throttle is left\n");
    link_close(&link);
    return code;
}
