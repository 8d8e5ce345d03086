/*
 * A file of client settings written for Java's client has many keys that say nothing to ours. Those
 * that promise protection must not be passed over.
 */
#include "controller/cli/kafka_admin.h"

#include <stdlib.h>
#include <string.h>

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

static enum exit_code read_key(struct cli *cli, const char *path, struct str key, struct str value)
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
    if (str_starts_with(key, STR("ssl.")) || str_starts_with(key, STR("sasl.")))
        return kafka_usage(cli, cli_text(cli,
                                         "%s: %.*s: TLS and SASL are not spoken here, nothing "
                                         "was sent",
                                         path, STR_ARG(key)));
    return CLI_OK;
}

enum exit_code kafka_read_conf(struct cli *cli, const char *option)
{
    const char *path = args_text(&cli->args, option, NULL);
    struct str key, value;
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
        code = read_key(cli, path, key, value);
    return code;
}

const char *kafka_error(struct cli *cli, enum err err, const char *message)
{
    static const struct {
        enum err err;
        const char *name, *text;
    } known[] = {
        { ERR_UNKNOWN_TOPIC_OR_PARTITION, "UnknownTopicOrPartitionException",
          "This server does not host this topic-partition." },
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
