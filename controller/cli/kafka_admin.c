/*
 * A file of client settings written for Java's client has many keys that say nothing to ours, how
 * it keeps its buffers and repeats requests: they are passed over. Those that promise protection
 * are refused, those that Java's client does not know either are told, as it does.
 */
#include "controller/cli/kafka_admin.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/props.h"
#include "controller/cli/java_text.h"
#include "controller/cli/moves_file.h" /* moves_file_load */

enum exit_code kafka_usage(struct cli *cli, const char *what)
{
    fflush(stdout);
    fprintf(stderr, "%s\n  next: moldau help %s\n", what, cli->args.cmd->words);
    return CLI_USAGE;
}

void kafka_warn(const char *class, const char *text)
{
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts;
    char when[32];

    localtime_r(&seconds, &parts);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &parts);
    fflush(stdout);
    fprintf(stderr, "[%s,%03d] WARN %s (%s)\n", when, (int)(now_ms % 1000), text, class);
}

/* What Java's AdminClientConfig knows and we have no use for. */
static bool says_nothing(struct str key)
{
    static const char *const known[] = {
        "auto.include.jmx.reporter",
        "bootstrap.controllers",
        "bootstrap.servers",
        "client.dns.lookup",
        "client.id",
        "connections.max.idle.ms",
        "enable.metrics.push",
        "metadata.max.age.ms",
        "metadata.recovery.rebootstrap.trigger.ms",
        "metadata.recovery.strategy",
        "metric.reporters",
        "metrics.num.samples",
        "metrics.recording.level",
        "metrics.sample.window.ms",
        "receive.buffer.bytes",
        "reconnect.backoff.max.ms",
        "reconnect.backoff.ms",
        "retries",
        "retry.backoff.max.ms",
        "retry.backoff.ms",
        "security.protocol",
        "send.buffer.bytes",
        "socket.connection.setup.timeout.max.ms",
        "socket.connection.setup.timeout.ms",
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_is(key, known[i]))
            return true;
    return false;
}

/* Whether somebody relies on it to keep others out, or a secret out of the file. */
static bool protects(struct str key)
{
    static const struct str prefixes[] = {
        { "ssl.", 4 }, { "sasl.", 5 }, { "security.", 9 }, { "config.providers", 16 }
    };

    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (str_starts_with(key, prefixes[i]))
            return true;
    return false;
}

/* unused: keys that nobody knows, "a, b". */
static enum exit_code read_key(struct cli *cli, const char *path, struct str key, struct str value,
                               struct str *unused)
{
    int64_t ms;

    if (str_is(key, "request.timeout.ms") || str_is(key, "default.api.timeout.ms")) {
        if (!str_to_i64(value, &ms) || ms < 1 || ms > INT32_MAX)
            return kafka_usage(cli, cli_text(cli, "%s: %.*s is no time: %.*s", path, STR_ARG(key),
                                             STR_ARG(value)));
        cli->timeout_ms = ms;
        cli->deadline_ms = clock_mono_ms() + ms;
        return CLI_OK;
    }
    if (str_is(key, "security.protocol") && !str_is(value, "PLAINTEXT"))
        return kafka_usage(cli, cli_text(cli,
                                         "%s: security.protocol=%.*s: TLS and SASL are not "
                                         "spoken here, nothing was sent",
                                         path, STR_ARG(value)));
    if (says_nothing(key))
        return CLI_OK;
    if (protects(key))
        return kafka_usage(cli, cli_text(cli,
                                         "%s: %.*s: TLS and SASL are not spoken here, nothing "
                                         "was sent",
                                         path, STR_ARG(key)));
    *unused = arena_printf(&cli->arena, "%.*s%s%.*s", STR_ARG(*unused), unused->len > 0 ? ", " : "",
                           STR_ARG(key));
    return CLI_OK;
}

enum exit_code kafka_read_conf(struct cli *cli, const char *option)
{
    const char *path = args_text(&cli->args, option, NULL);
    struct str key, value, unused = STR_EMPTY;
    struct props props;
    enum exit_code code = CLI_OK;
    size_t len;
    char *text;

    if (path == NULL)
        return CLI_OK;
    text = moves_file_load(&cli->arena, path, &len);
    if (text == NULL)
        return kafka_usage(cli, cli_text(cli, "%s (No such file or directory)", path));
    props = props_open((struct str){ .ptr = text, .len = len }, &cli->arena);
    while (code == CLI_OK && props_next(&props, &key, &value))
        code = read_key(cli, path, key, value, &unused);
    if (code == CLI_OK && unused.len > 0)
        kafka_warn("org.apache.kafka.clients.admin.AdminClientConfig",
                   cli_text(cli,
                            "These configurations '[%.*s]' were supplied but are not used yet.",
                            STR_ARG(unused)));
    return code;
}

/* NULL: none, or several. */
static const struct kafka_action *choose(const struct args *args,
                                         const struct kafka_action *actions, size_t len)
{
    const struct kafka_action *chosen = NULL;

    for (size_t i = 0; i < len; i++) {
        if (!args_has(args, actions[i].name))
            continue;
        if (chosen != NULL)
            return NULL;
        chosen = &actions[i];
    }
    return chosen;
}

enum exit_code kafka_run(struct cli *cli, const struct kafka_action *actions, size_t len,
                         const char *names, int64_t timeout_ms)
{
    const struct kafka_action *action = choose(&cli->args, actions, len);
    enum exit_code code;

    if (action == NULL)
        return kafka_usage(cli,
                           cli_text(cli, "Command must include exactly one action: %s", names));
    for (size_t i = 0; i < ARRAY_LEN(action->needs); i++) {
        const char *needed = action->needs[i];

        if (needed != NULL && !args_has(&cli->args, needed))
            return kafka_usage(cli, cli_text(cli, "Missing required argument \"[%s]\"", needed));
    }
    if (timeout_ms > 0) {
        if (!args_number(&cli->args, "timeout", 1, INT32_MAX, &timeout_ms))
            return CLI_USAGE;
        cli->timeout_ms = timeout_ms;
        cli->deadline_ms = clock_mono_ms() + timeout_ms;
    }
    code = kafka_read_conf(cli, "command-config");
    if (code != CLI_OK)
        return code;
    return link_run(cli, action->run);
}

const char *kafka_error(struct cli *cli, enum err err, const char *message)
{
    static const struct {
        enum err err;
        const char *name, *text;
    } known[] = {
        { ERR_UNKNOWN_TOPIC_OR_PARTITION, "UnknownTopicOrPartitionException",
          "This server does not host this topic-partition." },
        { ERR_NON_EMPTY_GROUP, "GroupNotEmptyException", "The group is not empty." },
        { ERR_GROUP_ID_NOT_FOUND, "GroupIdNotFoundException", "The group id does not exist." },
        { ERR_GROUP_SUBSCRIBED_TO_TOPIC, "GroupSubscribedToTopicException",
          "Deleting offsets of a topic is forbidden while the consumer group is actively "
          "subscribed to it." },
        { ERR_GROUP_AUTHORIZATION_FAILED, "GroupAuthorizationException",
          "Group authorization failed." },
        { ERR_PREFERRED_LEADER_NOT_AVAILABLE, "PreferredLeaderNotAvailableException",
          "The preferred leader was not available." },
        { ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE, "EligibleLeadersNotAvailableException",
          "Eligible topic partition leaders are not available." },
        { ERR_INVALID_REPLICA_ASSIGNMENT, "InvalidReplicaAssignmentException",
          "Replica assignment is invalid." },
        { ERR_NO_REASSIGNMENT_IN_PROGRESS, "NoReassignmentInProgressException",
          "No partition reassignment is in progress." },
        { ERR_CLUSTER_AUTHORIZATION_FAILED, "ClusterAuthorizationException",
          "Cluster authorization failed." },
        { ERR_TIMED_OUT, "TimeoutException", "Timed out waiting for a node assignment." },
        { ERR_REQUEST_TIMED_OUT, "TimeoutException", "The request timed out." },
        { ERR_NOT_CONTROLLER, "NotControllerException",
          "This is not the correct controller for this cluster." },
        { ERR_INVALID_CONFIG, "InvalidConfigurationException", "Configuration is invalid." },
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (known[i].err == err)
            return cli_text(cli, "org.apache.kafka.common.errors.%s: %s", known[i].name,
                            message != NULL ? message : known[i].text);
    }
    return cli_text(cli, "%s: %s", err_name(err), message != NULL ? message : err_text(err));
}

size_t *kafka_set_order(struct arena *arena, const struct kafka_part *parts, size_t n)
{
    size_t *order = arena_zalloc(arena, n + 1, sizeof *order);
    int32_t *hashes = arena_zalloc(arena, n + 1, sizeof *hashes);

    for (size_t i = 0; i < n; i++)
        hashes[i] = java_tp_hash(parts[i].topic, parts[i].partition);
    java_hash_order(hashes, n, order);
    return order;
}

struct placed {
    uint32_t bucket;
    size_t number;
};

static int by_bucket(const void *a, const void *b)
{
    const struct placed *left = a, *right = b;

    if (left->bucket != right->bucket)
        return left->bucket < right->bucket ? -1 : 1;
    return left->number < right->number ? -1 : 1;
}

size_t *kafka_map_order(struct arena *arena, const struct str *names, size_t n)
{
    size_t *order = arena_zalloc(arena, n + 1, sizeof *order);
    struct placed *placed = arena_zalloc(arena, n + 1, sizeof *placed);
    uint32_t buckets = 1;

    while (buckets < n)
        buckets *= 2;
    if (4 * n > 3 * (size_t)buckets) /* it grew once, which keeps the order within a bucket */
        buckets *= 2;
    for (size_t i = 0; i < n; i++) {
        uint32_t hash = (uint32_t)str_java_hash(names[i]);

        placed[i] = (struct placed){ .bucket = (hash ^ hash >> 16) & (buckets - 1), .number = i };
    }
    qsort(placed, n, sizeof *placed, by_bucket);
    for (size_t i = 0; i < n; i++)
        order[i] = placed[i].number;
    return order;
}
