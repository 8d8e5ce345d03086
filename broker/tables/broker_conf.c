/*
 * The table does the reading. What is left are the rules between settings, in Kafka's words where
 * it has them, and the refusals: whoever asked for protection that is not built must not get a
 * broker without it.
 */
#include "broker/tables/broker_conf.h"

#include <assert.h>
#include <string.h>

#define KEY(...) CONF_KEY(struct broker_conf, __VA_ARGS__)

static const struct conf_key keys[BROKER_CONF_N] = {
#define CONF(field, type, name, text, min, max, choices, scope, state, doc)                        \
    KEY(field, type, name, text, min, max, choices, scope, state, doc),
#include "broker/tables/conf.def"
};

/* The controller's own, which may stand in a file for both; settings of plugged-in classes. */
static const char *const others[] = { "controller.id",
                                      "controller.listener",
                                      "controller.grace.ms",
                                      "controller.heartbeat.",
                                      "rlmm.config.",
                                      "rsm.config.",
                                      NULL };

const struct conf_table broker_conf_table = { .keys = keys,
                                              .n_keys = BROKER_CONF_N,
                                              .values_size = sizeof(struct broker_conf),
                                              .others = others };

static const char *const protocols[] = { "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL" };

bool broker_conf_host_port(struct str text, struct str *host, int32_t *port)
{
    size_t colon = text.len;
    int64_t number;

    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0 ||
        !str_to_i64((struct str){ .ptr = text.ptr + colon, .len = text.len - colon }, &number) ||
        number < 0 || number > UINT16_MAX)
        return false;
    *host = (struct str){ .ptr = text.ptr, .len = colon - 1 };
    if (host->len >= 2 && host->ptr[0] == '[' && host->ptr[host->len - 1] == ']')
        *host = (struct str){ .ptr = host->ptr + 1, .len = host->len - 2 };
    else if (host->len > 0 && (memchr(host->ptr, ':', host->len) != NULL ||
                               memchr(host->ptr, '/', host->len) != NULL))
        return false;
    *port = (int32_t)number;
    return true;
}

static const char *upper(struct arena *arena, struct str text)
{
    char *copy = arena_cstr(arena, text);

    for (char *c = copy; *c != '\0'; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
    return copy;
}

static int protocol_of(struct str name)
{
    for (int i = 0; i < 4; i++) {
        if (str_is(name, protocols[i]))
            return i;
    }
    return -1;
}

/* ---- listeners ---- */

struct end {
    const char *name; /* upper case */
    const char *host;
    int32_t port;
};

struct ends {
    struct end *all;
    size_t n;
};

static bool has_end(const struct ends *ends, const char *name, size_t *at)
{
    for (*at = 0; *at < ends->n; ++*at) {
        if (strcmp(ends->all[*at].name, name) == 0)
            return true;
    }
    return false;
}

/* NAME://host:port,... */
static struct ends read_ends(struct conf *conf, const char *key, const char *text)
{
    struct arena *arena = conf_arena(conf);
    struct ends ends = { 0 };
    size_t at, most = 1;

    for (const char *c = text; *c != '\0'; c++)
        most += *c == ',';
    ends.all = arena_zalloc(arena, most, sizeof *ends.all);
    for (struct str rest = str_of(text); !str_is_null(rest);) {
        struct str item = str_trim(str_split(rest, ',', &rest)), host, address;
        const char *mark = item.len > 0 ? memmem(item.ptr, item.len, "://", 3) : NULL;
        struct end *end = &ends.all[ends.n];

        if (mark == NULL) {
            conf_problem(conf, key, "\"%.*s\" must be NAME://host:port", STR_ARG(item));
            continue;
        }
        end->name = upper(arena, (struct str){ .ptr = item.ptr, .len = (size_t)(mark - item.ptr) });
        address = (struct str){ .ptr = mark + 3, .len = item.len - (size_t)(mark + 3 - item.ptr) };
        if (!broker_conf_host_port(address, &host, &end->port) || *end->name == '\0') {
            conf_problem(conf, key, "\"%.*s\" must be NAME://host:port", STR_ARG(item));
            continue;
        }
        end->host = arena_cstr(arena, host);
        if (has_end(&ends, end->name, &at))
            conf_problem(conf, key, "must have each listener once, not %s twice", end->name);
        else
            ends.n++;
    }
    if (ends.n == 0 && conf_n_problems(conf) == 0)
        conf_problem(conf, key, "must have at least one listener");
    return ends;
}

/* The protocol that the map gives to this listener, or -1. */
static int mapped_protocol(struct conf *conf, const struct broker_conf *out, const char *name)
{
    for (struct str rest = str_of(out->listener_security_protocol_map); !str_is_null(rest);) {
        struct str protocol, item = str_trim(str_split(rest, ',', &rest));
        struct str from = str_trim(str_split(item, ':', &protocol));

        if (strcmp(upper(conf_arena(conf), from), name) == 0)
            return protocol_of(str_of(
                upper(conf_arena(conf), str_trim(str_is_null(protocol) ? STR("") : protocol))));
    }
    return -1;
}

static void check_map(struct conf *conf, const struct broker_conf *out)
{
    for (struct str rest = str_of(out->listener_security_protocol_map); !str_is_null(rest);) {
        struct str protocol, item = str_trim(str_split(rest, ',', &rest));

        str_split(item, ':', &protocol);
        if (str_is_null(protocol) ||
            protocol_of(str_of(upper(conf_arena(conf), str_trim(protocol)))) < 0)
            conf_problem(conf, "listener.security.protocol.map",
                         "\"%.*s\" must be NAME:PLAINTEXT, NAME:SSL, NAME:SASL_PLAINTEXT or "
                         "NAME:SASL_SSL",
                         STR_ARG(item));
    }
}

static void check_ports(struct conf *conf, const struct ends *ends)
{
    for (size_t i = 0; i < ends->n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (ends->all[i].port == ends->all[j].port && ends->all[i].port != 0 &&
                strcmp(ends->all[i].host, ends->all[j].host) == 0)
                conf_problem(conf, "listeners", "must not have port %d twice", ends->all[i].port);
        }
    }
}

static void fill_listener(struct conf *conf, const struct broker_conf *out, const struct end *end,
                          struct broker_listener *listener)
{
    int protocol = mapped_protocol(conf, out, end->name);

    if (protocol < 0) {
        conf_problem(conf, "listeners", "%s has no protocol in listener.security.protocol.map",
                     end->name);
        protocol = PROTOCOL_PLAINTEXT;
    } else if (protocol != PROTOCOL_PLAINTEXT) {
        conf_problem(conf, "listeners",
                     "%s would have to speak %s, which is not built yet; only PLAINTEXT is",
                     end->name, protocols[protocol]);
    }
    *listener = (struct broker_listener){ .name = end->name,
                                          .protocol = protocols[protocol],
                                          .protocol_id = (enum broker_protocol)protocol,
                                          .host = end->host,
                                          .port = end->port };
}

static void fill_advertised(struct conf *conf, const struct broker_conf *out,
                            const struct ends *bound, struct broker_listener *listeners)
{
    bool own = out->advertised_listeners == NULL || *out->advertised_listeners == '\0';
    const char *key = own ? "listeners" : "advertised.listeners";
    struct ends told = own ? *bound : read_ends(conf, key, out->advertised_listeners);
    size_t at;

    for (size_t i = 0; i < told.n; i++) {
        const struct end *end = &told.all[i];

        if (strcmp(end->host, "0.0.0.0") == 0 || strcmp(end->host, "::") == 0)
            conf_problem(conf, key,
                         "clients cannot connect to %s: set advertised.listeners to an address "
                         "that they can reach",
                         end->host);
        if (!has_end(bound, end->name, &at)) {
            conf_problem(conf, key, "%s is not among the listeners", end->name);
            continue;
        }
        listeners[at].advertised_host = end->host;
        listeners[at].advertised_port = end->port;
    }
}

static void derive_listeners(struct conf *conf, struct broker_conf *out)
{
    struct ends bound = read_ends(conf, "listeners", out->listeners);
    struct broker_listener *listeners =
        arena_zalloc(conf_arena(conf), bound.n + 1, sizeof *listeners);
    bool by_name = out->inter_broker_listener_name != NULL;
    const char *key = by_name ? "inter.broker.listener.name" : "security.inter.broker.protocol";
    const char *name = by_name ? upper(conf_arena(conf), str_of(out->inter_broker_listener_name))
                               : protocols[out->security_inter_broker_protocol];

    check_map(conf, out);
    check_ports(conf, &bound);
    for (size_t i = 0; i < bound.n; i++)
        fill_listener(conf, out, &bound.all[i], &listeners[i]);
    fill_advertised(conf, out, &bound, listeners);
    out->bind = listeners;
    out->n_listeners = bound.n;
    if (by_name && conf_is_set(conf, "security.inter.broker.protocol"))
        conf_problem(conf, key, "must not be set together with security.inter.broker.protocol");
    if (!has_end(&bound, name, &out->inter_broker) ||
        listeners[out->inter_broker].advertised_host == NULL) {
        conf_problem(conf, key, "%s must be among the advertised listeners", name);
        out->inter_broker = 0;
    } else {
        listeners[out->inter_broker].is_inter_broker = true;
    }
}

/* ---- the rest ---- */

/* The first that is set of a time in ms and the same in larger units. */
static int64_t in_ms(int64_t ms, int32_t minutes, int32_t hours)
{
    if (ms != CONF_NULL_INT64)
        return ms < 0 ? -1 : ms;
    if (minutes != CONF_NULL_INT32)
        return minutes < 0 ? -1 : minutes * INT64_C(60000);
    return hours < 0 ? -1 : hours * INT64_C(3600000);
}

static void derive_times(struct conf *conf, struct broker_conf *out)
{
    out->retention_ms =
        in_ms(out->log_retention_ms, out->log_retention_minutes, out->log_retention_hours);
    if (out->retention_ms == 0)
        conf_problem(conf,
                     out->log_retention_ms != CONF_NULL_INT64        ? "log.retention.ms"
                     : out->log_retention_minutes != CONF_NULL_INT32 ? "log.retention.minutes"
                                                                     : "log.retention.hours",
                     "must be -1 for no limit, or at least 1");
    out->roll_ms = in_ms(out->log_roll_ms, CONF_NULL_INT32, out->log_roll_hours);
    if (out->roll_ms < 1)
        conf_problem(conf, "log.roll.ms", "must be at least 1");
    out->roll_jitter_ms =
        in_ms(out->log_roll_jitter_ms, CONF_NULL_INT32, out->log_roll_jitter_hours);
    if (out->roll_jitter_ms < 0)
        conf_problem(conf, "log.roll.jitter.ms", "must be at least 0");
    out->flush_ms = out->log_flush_interval_ms != CONF_NULL_INT64
                        ? out->log_flush_interval_ms
                        : out->log_flush_scheduler_interval_ms;
    out->zookeeper_connect_ms = out->zookeeper_connection_timeout_ms != CONF_NULL_INT32
                                    ? out->zookeeper_connection_timeout_ms
                                    : out->zookeeper_session_timeout_ms;
}

static void derive_dirs(struct conf *conf, struct broker_conf *out)
{
    const char *key = out->log_dirs != NULL ? "log.dirs" : "log.dir";
    const char *text = out->log_dirs != NULL ? out->log_dirs : out->log_dir;
    size_t most = 1;

    for (const char *c = text; *c != '\0'; c++)
        most += *c == ',';

    const char **dirs = arena_zalloc(conf_arena(conf), most, sizeof *dirs);

    for (struct str rest = str_of(text); !str_is_null(rest);) {
        struct str dir = str_trim(str_split(rest, ',', &rest));

        if (dir.len == 0) {
            conf_problem(conf, key, "must be directories, comma separated");
            continue;
        }
        for (size_t i = 0; i < out->n_dirs; i++) {
            if (str_is(dir, dirs[i]))
                conf_problem(conf, key, "must have each directory once, not %s twice", dirs[i]);
        }
        dirs[out->n_dirs++] = arena_cstr(conf_arena(conf), dir);
    }
    out->dirs = dirs;
}

static void derive_id(struct conf *conf, struct broker_conf *out)
{
    bool own = conf_is_set(conf, "broker.id");
    int32_t most = out->broker_id_generation_enable ? out->reserved_broker_max_id : INT32_MAX;

    if (own && conf_is_set(conf, "node.id") && out->node_id != out->broker_id)
        conf_problem(conf, "node.id", "must be the same as broker.id");
    out->id = own ? out->broker_id : out->node_id;
    if (out->id < -1 || (out->id == -1 && !out->broker_id_generation_enable))
        conf_problem(conf, "broker.id", "must be at least 0");
    if (out->id > most)
        conf_problem(conf, "broker.id",
                     "must be at most reserved.broker.max.id (%d), as numbers above it are made, "
                     "unless broker.id.generation.enable=false",
                     most);
}

static void refuse(struct conf *conf, const struct broker_conf *out)
{
    if (*out->authorizer_class_name != '\0')
        conf_problem(conf, "authorizer.class.name",
                     "permissions are not checked yet; without this line everybody may do "
                     "everything");
    if (out->zookeeper_set_acl)
        conf_problem(conf, "zookeeper.set.acl",
                     "what is written to ZooKeeper cannot be protected yet");
    if (out->zookeeper_ssl_client_enable)
        conf_problem(conf, "zookeeper.ssl.client.enable", "TLS to ZooKeeper is not built yet");
    if (out->process_roles.n > 0)
        conf_problem(conf, "process.roles",
                     "is for KRaft; this broker belongs to a cluster with ZooKeeper");
    if (out->zookeeper_metadata_migration_enable)
        conf_problem(conf, "zookeeper.metadata.migration.enable",
                     "there is no KRaft to move the cluster to");
    if (out->remote_log_storage_system_enable)
        conf_problem(conf, "remote.log.storage.system.enable", "there is no remote storage yet");
}

static void check_together(struct conf *conf, const struct broker_conf *out)
{
    if (out->zookeeper_connect == NULL || *out->zookeeper_connect == '\0')
        conf_problem(conf, "zookeeper.connect", "must be set: host:port,...");
    if (out->replica_fetch_wait_max_ms > out->replica_socket_timeout_ms)
        conf_problem(conf, "replica.socket.timeout.ms",
                     "must be at least replica.fetch.wait.max.ms (%d)",
                     out->replica_fetch_wait_max_ms);
    if (out->replica_fetch_wait_max_ms > out->replica_lag_time_max_ms)
        conf_problem(conf, "replica.fetch.wait.max.ms",
                     "must be at most replica.lag.time.max.ms, or followers would leave the ISR");
    if (out->queued_max_request_bytes > 0 &&
        out->queued_max_request_bytes < out->socket_request_max_bytes)
        conf_problem(conf, "queued.max.request.bytes",
                     "must be at least socket.request.max.bytes (%d), or -1",
                     out->socket_request_max_bytes);
    if (out->connection_failed_authentication_delay_ms >= out->connections_max_idle_ms &&
        out->connections_max_idle_ms >= 0)
        conf_problem(conf, "connection.failed.authentication.delay.ms",
                     "must be below connections.max.idle.ms");
    if (out->max_connections_per_ip == 0 && *out->max_connections_per_ip_overrides == '\0')
        conf_problem(conf, "max.connections.per.ip",
                     "may be 0 only with max.connections.per.ip.overrides");
    if (out->compression_gzip_level == 0)
        conf_problem(conf, "compression.gzip.level", "must be -1 or from 1 to 9");
    if (out->log_cleaner_min_compaction_lag_ms > out->log_cleaner_max_compaction_lag_ms)
        conf_problem(conf, "log.cleaner.min.compaction.lag.ms",
                     "must be at most log.cleaner.max.compaction.lag.ms");
    if (out->socket_send_buffer_bytes < -1 || out->socket_send_buffer_bytes == 0)
        conf_problem(conf, "socket.send.buffer.bytes", "must be -1 or at least 1");
    if (out->socket_receive_buffer_bytes < -1 || out->socket_receive_buffer_bytes == 0)
        conf_problem(conf, "socket.receive.buffer.bytes", "must be -1 or at least 1");
    if (out->offsets_commit_required_acks < -1 ||
        out->offsets_commit_required_acks > out->offsets_topic_replication_factor)
        conf_problem(conf, "offsets.commit.required.acks",
                     "must be from -1 to offsets.topic.replication.factor");

    struct str host;
    int32_t port;

    if (out->metrics_listener != NULL &&
        !broker_conf_host_port(str_of(out->metrics_listener), &host, &port))
        conf_problem(conf, "metrics.listener", "must be host:port");
}

void broker_conf_derive(struct conf *conf, struct broker_conf *out)
{
    derive_id(conf, out);
    derive_dirs(conf, out);
    derive_times(conf, out);
    derive_listeners(conf, out);
    refuse(conf, out);
    check_together(conf, out);
}

enum err broker_conf_load(const char *path, size_t n_overrides, const char *const *overrides,
                          struct broker_conf *out, struct conf **conf)
{
    *conf = conf_read(&broker_conf_table, out, path, n_overrides, overrides);
    broker_conf_derive(*conf, out);
    return conf_accept(conf);
}
