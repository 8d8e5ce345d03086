/*
 * zk_seqid - a number that nobody else gets: the version that /brokers/seqid has after a set. With
 * reserved.broker.max.id added it is the id of a broker that has none (Kafka's
 * KafkaZkClient.generateBrokerId).
 *
 * Ownership:  the struct is the caller's, and stays until done() or zk_close().
 * Threads:    the thread that owns zk.
 * Errors:     a lost connection is no error: it is asked for again, and a number may go unused.
 */
#ifndef COMMON_ZK_ZK_SEQID_H
#define COMMON_ZK_ZK_SEQID_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/zk/zk.h"

struct zk_seqid {
    struct zk *zk; /* these are private */
    void (*done)(void *arg, enum err err, int32_t number);
    void *arg;
};

/* done() once, from the mailbox, unless zk is closed first; number from 1 up. */
void zk_seqid_take(struct zk_seqid *seqid, struct zk *zk,
                   void (*done)(void *arg, enum err err, int32_t number), void *arg);

#endif
