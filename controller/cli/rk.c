#include "controller/cli/rk.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "controller/cli/zk_find.h"

/* A signal handler can reach nothing else. */
static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

void rk_catch_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal };

    /* The second one ends the program, whatever it waits for. */
    action.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool rk_stopped(void)
{
    return stopped != 0;
}

const char *rk_topic(struct cli *cli)
{
    const char *named = args_text(&cli->args, "topic", NULL);

    if (named == NULL && cli->args.operands_len > 0)
        named = cli->args.operands[0];
    else if (named != NULL && cli->args.operands_len > 0 &&
             strcmp(named, cli->args.operands[0]) != 0) {
        cli_fail(cli, CLI_USAGE, "two topics are named", "one is what this command takes", NULL);
        return NULL;
    }
    if (named == NULL)
        cli_fail(cli, CLI_USAGE, "no topic is named", NULL,
                 cli_text(cli, "moldau help %s", cli->args.cmd->words));
    return named;
}

/* One line each with --trace; else only what an operator has to know. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    struct cli *cli = rd_kafka_opaque(rk);

    if (cli->trace != NULL)
        fprintf(cli->trace, "trace librdkafka %s %s\n", facility, text);
    else if (level <= 3 && strcmp(facility, "FAIL") != 0 && strcmp(facility, "ERROR") != 0)
        cli_note(cli, "librdkafka: %s", text);
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    struct cli *cli = opaque;

    (void)rk;
    if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        cli_note(cli, "no broker answers at the moment; trying on");
    else if (err != RD_KAFKA_RESP_ERR__TRANSPORT)
        cli_note(cli, "%s", reason);
}

static bool is_security(const char *key)
{
    return strncmp(key, "security.", 9) == 0 || strncmp(key, "sasl.", 5) == 0 ||
           strncmp(key, "ssl.", 4) == 0;
}

/* Whether line is KEY=VALUE, white space around both cut off; comments and empty lines are not. */
static bool split_setting(struct cli *cli, struct str line, const char **key, const char **value)
{
    struct str right, left;

    line = str_trim(line);
    if (line.len == 0 || line.ptr[0] == '#')
        return false;
    left = str_trim(str_split(line, '=', &right));
    *key = arena_cstr(&cli->arena, left);
    *value = str_is_null(right) ? NULL : arena_cstr(&cli->arena, str_trim(right));
    return true;
}

static enum exit_code user_set(struct cli *cli, rd_kafka_conf_t *conf, const char *key,
                               const char *value, const char *source, bool *security)
{
    char why[512];

    *security = *security || is_security(key);
    if (conf == NULL)
        return CLI_OK;
    if (value == NULL)
        return cli_fail(cli, CLI_USAGE,
                        cli_text(cli, "setting '%s' of %s has no value", key, source),
                        "what is meant is KEY=VALUE", NULL);
    if (rd_kafka_conf_set(conf, key, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "%s (from %s)", why, source),
                        "nothing was sent", NULL);
    return CLI_OK;
}

/* Walks the user's settings; conf NULL: only to see whether any is about security. */
static enum exit_code user_settings(struct cli *cli, rd_kafka_conf_t *conf, const char *path,
                                    bool *security)
{
    enum exit_code code = CLI_OK;
    const char *key, *value, *one;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int at = 0;

    *security = false;
    if (path != NULL) {
        FILE *file = fopen(path, "re");

        if (file == NULL)
            return cli_fail(cli, CLI_USAGE,
                            cli_text(cli, "cannot read settings of %s: %s", path, strerror(errno)),
                            "nothing was sent", NULL);
        while (code == CLI_OK && (n = getline(&line, &cap, file)) >= 0) {
            if (split_setting(cli, (struct str){ .ptr = line, .len = (size_t)n }, &key, &value))
                code = user_set(cli, conf, key, value, path, security);
        }
        free(line);
        fclose(file);
    }
    while (code == CLI_OK && (one = args_next(&cli->args, "set", &at)) != NULL) {
        if (!split_setting(cli, str_of(one), &key, &value))
            continue;
        if (strstr(key, "password") != NULL || strstr(key, "secret") != NULL)
            return cli_fail(cli, CLI_USAGE, cli_text(cli, "%s is a secret", key),
                            "arguments can be seen by everybody on this machine",
                            "put it into a file for --command-config");
        code = user_set(cli, conf, key, value, "--set", security);
    }
    return code;
}

static const char *config_path(struct cli *cli, const struct place *place)
{
    return args_text(&cli->args, "command-config", place->command_config);
}

static enum exit_code look_at_topic(struct cli *cli, const struct place *place, const char *topic,
                                    int32_t *parts)
{
    const struct metadata_response_topic *found;
    struct link *link;
    enum exit_code code = link_open_at(cli, place, &link);

    if (code != CLI_OK)
        return code;
    code = topic_find(cli, link, topic, &found);
    if (code == CLI_OK)
        *parts = found->partitions_len;
    link_close(&link);
    return code;
}

enum exit_code rk_begin(struct cli *cli, const char *topic, rd_kafka_conf_t **conf,
                        int32_t *topic_parts)
{
    struct place place;
    bool security;
    enum exit_code code = place_find(cli, &place);

    *conf = NULL;
    *topic_parts = -1;
    if (code == CLI_OK && place.brokers_len == 0)
        code = zk_find_brokers(cli, &place);
    if (code == CLI_OK)
        code = user_settings(cli, NULL, config_path(cli, &place), &security);
    if (code == CLI_OK && !security)
        code = look_at_topic(cli, &place, topic, topic_parts);
    if (code != CLI_OK)
        return code;
    *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_opaque(*conf, cli);
    rd_kafka_conf_set_log_cb(*conf, on_log);
    rd_kafka_conf_set_error_cb(*conf, on_error);
    code = rk_set(cli, *conf, "bootstrap.servers",
                  place_join(&cli->arena, place.brokers, place.brokers_len));
    if (code == CLI_OK)
        code = rk_set(cli, *conf, "client.id", "moldau");
    if (code == CLI_OK && cli->trace != NULL)
        code = rk_set(cli, *conf, "debug", "protocol");
    return code;
}

enum exit_code rk_set(struct cli *cli, rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char why[512];

    if (rd_kafka_conf_set(conf, key, value, why, sizeof why) == RD_KAFKA_CONF_OK)
        return CLI_OK;
    return cli_fail(cli, CLI_FAILED, cli_text(cli, "librdkafka refuses %s=%s: %s", key, value, why),
                    "nothing was sent", NULL);
}

enum exit_code rk_finish(struct cli *cli, rd_kafka_type_t type, rd_kafka_conf_t **conf,
                         rd_kafka_t **rk)
{
    struct place place;
    bool security;
    char why[512];
    enum exit_code code = place_find(cli, &place);

    if (code == CLI_OK)
        code = user_settings(cli, *conf, config_path(cli, &place), &security);
    if (code != CLI_OK)
        return code;
    *rk = rd_kafka_new(type, *conf, why, sizeof why);
    if (*rk == NULL)
        return cli_fail(cli, CLI_USAGE, why, "nothing was sent", NULL);
    *conf = NULL;
    return CLI_OK;
}
