/*
 * spread - where replicas go: away from brokers that are emptied, onto brokers that are new, more
 * or fewer of them; with as little moved as can be, and racks apart.
 *
 * A plan changes spread_part.to in place. Replicas keep their places in the list where they can, so
 * that preferred leaders stay who they are.
 *
 * Units:      bytes, -1 where they are not known: those count as nothing.
 * Ownership:  lists live in the arena given.
 * Threads:    any; it only computes.
 * Errors:     ERR_INVALID_REPLICATION_FACTOR: there are fewer brokers than a partition wants.
 */
#ifndef CONTROLLER_CLI_SPREAD_H
#define CONTROLLER_CLI_SPREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/model/ids.h"

struct spread_broker {
    int32_t id;
    struct str rack;  /* null: none */
    bool is_drained;  /* gives all of its replicas away */
    bool gets;        /* may be given replicas: it is there, and not drained */
    bool gives;       /* may lose some where it has too many */
    int64_t replicas; /* counted by the plan, of all parts */
    int64_t bytes;
};

struct spread_part {
    int64_t bytes; /* of one replica */
    bool is_fixed; /* only counts; it does not move */
    int32_t *to;   /* in: as it is; out: as it should be. Room for brokers_len */
    int32_t to_len;
};

struct spread {
    struct spread_broker *brokers;
    int brokers_len;
    struct spread_part *parts;
    size_t parts_len;
};

/* Every replica of a drained broker goes to the broker that has least and whose rack the partition
 * does not know yet. */
enum err spread_drain(struct spread *spread) MUST_USE;
/* Moves replicas from the brokers that give and have most to those that get and have least, until
 * these differ by one at most; the smallest first. Racks are not made worse. */
void spread_even(struct spread *spread);
/* Gives every part that is not fixed so many replicas. The first, its preferred leader, stays;
 * those leave first whose rack has another one, then those of the fullest brokers. */
enum err spread_factor(struct spread *spread, int32_t factor) MUST_USE;

#endif
