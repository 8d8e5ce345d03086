/*
 * The table does the reading. Files of brokers and controllers may be the same, so Kafka's other
 * keys are passed over without a word, by how they begin; what begins like none of them is unknown.
 */
#include "controller/tables/controller_conf.h"

#include "common/base/mem.h"

#define KEY(...) CONF_KEY(struct controller_conf, __VA_ARGS__)

static const struct conf_key keys[] = {
#define CONF(field, type, name, text, min, max, choices, scope, state, doc)                        \
    KEY(field, type, name, text, min, max, choices, scope, state, doc),
#include "controller/tables/conf.def"
};

static const char *const inherited[] = {
#define TOPIC_INHERIT(field, name, factor) name,
#include "common/model/topic_conf.def"
};

static const char *const others[] = {
    "advertised.",
    "alter.",
    "authorizer.",
    "auto.",
    "background.",
    "broker.",
    "client.",
    "compression.",
    "connection.",
    "connections.",
    "control.",
    "controlled.",
    "controller.quorum.",
    "controller.quota.",
    "controller.socket.",
    "controller.listener.names",
    "create.",
    "default.",
    "delegation.",
    "delete.",
    "early.",
    "eligible.",
    "fetch.",
    "follower.",
    "group.",
    "host.name",
    "initial.",
    "inter.",
    "kafka.",
    "leader.",
    "listener.",
    "listeners",
    "log.",
    "max.",
    "message.",
    "metadata.",
    "metric.",
    "metrics.",
    "min.",
    "node.",
    "num.",
    "offset.",
    "offsets.",
    "password.",
    "port",
    "principal.",
    "process.",
    "producer.",
    "queued.",
    "quota.",
    "remote.",
    "replica.",
    "replication.",
    "request.",
    "reserved.",
    "rlmm.config.",
    "rsm.config.",
    "sasl.",
    "security.",
    "server.",
    "socket.",
    "ssl.",
    "telemetry.",
    "transaction.",
    "transactional.",
    "unclean.",
    "unstable.",
    "zookeeper.",
    "super.users",
    NULL,
};

const struct conf_table controller_conf_table = { .keys = keys,
                                                  .n_keys = ARRAY_LEN(keys),
                                                  .values_size = sizeof(struct controller_conf),
                                                  .others = others };

/* "host:port" or "[v6]:port", perhaps with "PROTOCOL://" in front. */
static bool host_port(struct arena *arena, const char *text, const char **host, int32_t *port)
{
    const char *slashes = strstr(text, "://");
    const char *start = slashes != NULL ? slashes + 3 : text;
    const char *colon = strrchr(start, ':');
    int64_t number;

    if (colon == NULL || !str_to_i64(str_of(colon + 1), &number) || number < 0 ||
        number > UINT16_MAX)
        return false;

    struct str name = { .ptr = start, .len = (size_t)(colon - start) };

    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = (struct str){ .ptr = name.ptr + 1, .len = name.len - 2 };
    else if (memchr(name.ptr, ':', name.len) != NULL)
        return false;
    *host = arena_cstr(arena, name);
    *port = (int32_t)number;
    return true;
}

/* What protects is never ignored: better no controller than one without it. */
static void check_protection(struct conf *conf, const struct controller_conf *out)
{
    if (out->zookeeper_set_acl)
        conf_problem(conf, "zookeeper.set.acl", "protecting znodes is not built yet");
    if (out->zookeeper_ssl_client_enable)
        conf_problem(conf, "zookeeper.ssl.client.enable", "TLS to ZooKeeper is not built yet");
    if (out->zookeeper_metadata_migration_enable)
        conf_problem(conf, "zookeeper.metadata.migration.enable",
                     "there is no KRaft to migrate to");
    if (out->process_roles.n > 0)
        conf_problem(conf, "process.roles", "this is not KRaft; leave it out");
}

static void derive_addresses(struct conf *conf, struct controller_conf *out)
{
    struct arena *arena = conf_arena(conf);

    if (out->controller_listener == NULL)
        conf_problem(conf, NULL, "controller.listener must be set: host:port");
    else if (!host_port(arena, out->controller_listener, &out->host, &out->port))
        conf_problem(conf, "controller.listener", "must be host:port");
    else if (out->host[0] == '\0' || strcmp(out->host, "0.0.0.0") == 0 ||
             strcmp(out->host, "::") == 0)
        conf_problem(conf, "controller.listener",
                     "must name the host at which brokers reach this controller");
    if (out->metrics_listener != NULL && out->metrics_listener[0] != '\0' &&
        !host_port(arena, out->metrics_listener, &out->metrics_host, &out->metrics_port))
        conf_problem(conf, "metrics.listener", "must be host:port");
}

static void derive(struct conf *conf, struct controller_conf *out)
{
    struct image_setting *defaults =
        arena_zalloc(conf_arena(conf), ARRAY_LEN(inherited), sizeof *defaults);

    if (out->controller_id < 0)
        conf_problem(conf, conf_is_set(conf, "controller.id") ? "controller.id" : NULL,
                     "controller.id must be set: a number unique among controllers and brokers");
    if (out->zookeeper_connect == NULL || out->zookeeper_connect[0] == '\0')
        conf_problem(conf, NULL, "zookeeper.connect must be set");
    if (out->controller_heartbeat_interval_ms * 2 > out->controller_heartbeat_timeout_ms)
        conf_problem(conf, "controller.heartbeat.timeout.ms",
                     "must be at least twice controller.heartbeat.interval.ms");
    derive_addresses(conf, out);
    check_protection(conf, out);
    out->grace_ms = out->controller_grace_ms >= 0 ? out->controller_grace_ms
                                                  : out->zookeeper_session_timeout_ms;
    for (size_t i = 0; i < ARRAY_LEN(inherited); i++) {
        struct str value = conf_given(conf, inherited[i]);

        if (!str_is_null(value))
            defaults[out->n_topic_defaults++] =
                (struct image_setting){ .key = str_of(inherited[i]), .value = value };
    }
    out->topic_defaults = defaults;
}

enum err controller_conf_load(const char *path, size_t n_overrides, const char *const *overrides,
                              struct controller_conf *out, struct conf **conf)
{
    *conf = conf_read(&controller_conf_table, out, path, n_overrides, overrides);
    derive(*conf, out);
    return conf_accept(conf);
}
