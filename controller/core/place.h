/*
 * place - Kafka's spreading of replicas over brokers and racks
 * (AdminUtils.assignReplicasToBrokers), given the two numbers that Kafka draws by chance.
 */
#ifndef CONTROLLER_CORE_PLACE_H
#define CONTROLLER_CORE_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/str.h"

struct place_broker {
    int32_t id;
    struct str rack; /* null: none */
};

struct place {
    size_t n_brokers;
    const struct place_broker *brokers; /* by ascending id */
    size_t start, shift;                /* below n_brokers */
    int32_t first_partition;            /* 0, or how many there are already */
    int32_t n_partitions;               /* to be placed */
    int32_t replication_factor;
};

/* Replicas of partition i at out[i * replication_factor]. ERR_INVALID_REPLICATION_FACTOR when there
 * are too few brokers. Racks count when every broker has one. */
enum err place_replicas(const struct place *place, int32_t *out) MUST_USE;

#endif
