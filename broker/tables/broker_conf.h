/*
 * broker_conf - the settings of a broker: conf.def as a struct, and what Kafka makes of several of
 * them together.
 *
 * Units:      as the names say; CONF_NULL_INT32/64 in a number is Kafka's null.
 * Ownership:  everything belongs to the struct conf; nothing in it changes once loaded.
 * Threads:    one while it is loaded; then any may read.
 * Errors:     broker_conf_load() says all problems, and then gives nothing.
 */
#ifndef BROKER_TABLES_BROKER_CONF_H
#define BROKER_TABLES_BROKER_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/conf.h"

/* Places in the choices of conf.def */
enum broker_protocol {
    PROTOCOL_PLAINTEXT,
    PROTOCOL_SSL,
    PROTOCOL_SASL_PLAINTEXT,
    PROTOCOL_SASL_SSL,
};

struct broker_listener {
    const char *name;     /* "PLAINTEXT", "INTERNAL": upper case */
    const char *protocol; /* "PLAINTEXT" */
    enum broker_protocol protocol_id;
    const char *host; /* to listen on; "" everywhere */
    int32_t port;     /* 0: any free one */
    /* What clients are told; host NULL: nothing. The host may be "" (this machine's name is to be
     * put in) and the port 0 (the one that was got). */
    const char *advertised_host;
    int32_t advertised_port;
    bool is_inter_broker;
};

struct broker_conf {
#define CONF(field, type, name, text, min, max, choices, scope, state, doc) CONF_C_##type field;
#include "broker/tables/conf.def"

    /* what several settings come to */
    int32_t id; /* broker.id, else node.id; -1: to be found or made */
    size_t n_dirs;
    const char *const *dirs; /* log.dirs, else log.dir */
    int64_t retention_ms;    /* -1: for ever */
    int64_t roll_ms;
    int64_t roll_jitter_ms;
    int64_t flush_ms;
    int32_t zookeeper_connect_ms;
    size_t n_listeners;
    const struct broker_listener *bind;
    size_t inter_broker; /* which of them brokers use */
};

extern const struct conf_table broker_conf_table;

/* Where a CONF line stands in broker_conf_table.keys */
enum broker_conf_index {
#define CONF(field, type, name, text, min, max, choices, scope, state, doc) BROKER_CONF_##field,
#include "broker/tables/conf.def"
    BROKER_CONF_N
};

/* Fills out from path (NULL: none) and "key=value" overrides; *conf owns what out points to.
 * Warnings are said; on problems all of them are said and ERR_INVALID_CONFIG comes back, with
 * *conf NULL. */
enum err broker_conf_load(const char *path, size_t n_overrides, const char *const *overrides,
                          struct broker_conf *out, struct conf **conf) MUST_USE;
/* The same in steps, for who reads settings otherwise: after conf_finish(). */
void broker_conf_derive(struct conf *conf, struct broker_conf *out);

/* "host:port", "[v6]:port"; false when it is not that. host points into text. */
bool broker_conf_host_port(struct str text, struct str *host, int32_t *port);

#endif
