/*
 * controller_conf - the settings of a controller: conf.def as a struct, and what several of them
 * come to.
 *
 * Ownership:  everything belongs to the struct conf; nothing in it changes once loaded.
 * Threads:    one while it is loaded; then any may read.
 * Errors:     controller_conf_load() says all problems, and then gives nothing.
 */
#ifndef CONTROLLER_TABLES_CONTROLLER_CONF_H
#define CONTROLLER_TABLES_CONTROLLER_CONF_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/conf.h"
#include "common/model/image.h"

struct controller_conf {
#define CONF(field, type, name, text, min, max, choices, scope, state, doc) CONF_C_##type field;
#include "controller/tables/conf.def"

    /* what several settings come to */
    const char *host; /* of controller.listener */
    int32_t port;
    const char *metrics_host; /* NULL: no metrics */
    int32_t metrics_port;
    int64_t grace_ms;
    /* Broker-wide settings that topics inherit, as far as they were set. */
    size_t n_topic_defaults;
    const struct image_setting *topic_defaults;
};

extern const struct conf_table controller_conf_table;

/* Fills out from path (NULL: none) and "key=value" overrides; *conf owns what out points to.
 * Warnings are said; on problems all of them are said and ERR_INVALID_CONFIG comes back, with
 * *conf NULL. */
enum err controller_conf_load(const char *path, size_t n_overrides, const char *const *overrides,
                              struct controller_conf *out, struct conf **conf) MUST_USE;

#endif
