/*
 * repl_quota - how fast replicas may be copied: one rate, one limit, for all who share it.
 *
 * As Kafka's ReplicationQuotaManager: what is copied is recorded whether or not the limit allows
 * it, and whoever wants to copy more looks first whether it is exceeded. A broker has three: as a
 * leader, as a follower, and for moves between its directories.
 *
 * Threads: any.
 */
#ifndef BROKER_REPLICA_REPL_QUOTA_H
#define BROKER_REPLICA_REPL_QUOTA_H

#include <stddef.h>
#include <stdint.h>

struct repl_quota;

struct repl_quota_conf {
    int32_t samples; /* replication.quota.window.num or its like */
    int32_t span_s;  /* replication.quota.window.size.seconds */
    /* Bytes a second, as set now; INT64_MAX: no limit. Asked a few times a second. */
    int64_t (*limit)(void *ctx);
    void *ctx;
};

struct repl_quota *repl_quota_new(const struct repl_quota_conf *conf);
void repl_quota_free(struct repl_quota **quota);

void repl_quota_add(struct repl_quota *quota, size_t bytes, int64_t now_ms);
/* 0: not exceeded. Else when to look again: when it will not be, if nobody adds anything, but soon
 * enough to see a limit that was raised. */
int64_t repl_quota_wait_ms(struct repl_quota *quota, int64_t now_ms);
/* Bytes a second of late. */
int64_t repl_quota_rate(struct repl_quota *quota, int64_t now_ms);

#endif
