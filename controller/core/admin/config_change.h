/*
 * config_change - what a request wants an entity's settings to be: checked, then planned as a
 * whole.
 *
 * For topics and brokers, in Kafka's words where a client may look at them (ConfigAdminManager,
 * ZkAdminManager, DynamicBrokerConfig). What is in ZooKeeper already and not known here stays as it
 * is.
 */
#ifndef CONTROLLER_CORE_ADMIN_CONFIG_CHANGE_H
#define CONTROLLER_CORE_ADMIN_CONFIG_CHANGE_H

#include "controller/core/core_int.h"

enum { CONFIG_OF_TOPIC = 2, CONFIG_OF_BROKER = 4 };
/* Kafka's numbers of IncrementalAlterConfigs */
enum { CONFIG_SET, CONFIG_DELETE, CONFIG_APPEND, CONFIG_SUBTRACT };

struct config_edit {
    struct str name, value; /* value null: the client sent none */
    int8_t operation;
};

struct config_change {
    struct job *job;
    size_t item;
    int8_t resource_type;
    struct str resource_name;
    bool replaces; /* AlterConfigs: what is not named goes */
    bool validate_only;
    size_t n;
    const struct config_edit *edits;
};

/* Plans the item, or fails it. */
void config_change_plan(struct core *core, const struct config_change *change);

#endif
