/*
 * disks - what lies in brokers' log directories, as DescribeLogDirs tells.
 *
 * Units:      sizes in bytes, -1 not known; lag in records.
 * Ownership:  everything lives in the arena given.
 * Threads:    one; calls wait, up to cli->deadline_ms.
 */
#ifndef CONTROLLER_CLI_DISKS_H
#define CONTROLLER_CLI_DISKS_H

#include "controller/cli/link.h"

struct disk_replica {
    int32_t broker;
    struct str topic;
    int32_t partition;
    bool is_future; /* a copy that is made in another directory of the broker */
    struct str dir;
    int64_t bytes, lag;
};

struct disk_dir {
    int32_t broker;
    struct str path;
    enum err err; /* ERR_OK: it works */
    int64_t total_bytes, usable_bytes;
    int64_t used_bytes; /* by what lies in it */
    int32_t replicas;
};

struct disks {
    struct disk_replica *replicas; /* by broker, topic, partition; the future ones behind */
    size_t n;
    struct disk_dir *dirs;
    size_t dirs_n;
};

struct disk_part {
    struct str topic;
    int32_t partition;
};

/* Of these brokers, one after the other; parts: only of those, in the order of topics; NULL: of
 * all. A broker that does not tell is left out. */
void disks_look(struct link *link, const int32_t *brokers, int brokers_len,
                const struct disk_part *parts, int parts_len, struct arena *arena,
                struct disks *out);
/* NULL: it is not there, or the broker did not tell. */
const struct disk_replica *disks_find(const struct disks *disks, int32_t broker, struct str topic,
                                      int32_t partition);
/* Its size, -1 when there is none. */
int64_t disks_bytes(const struct disks *disks, int32_t broker, struct str topic, int32_t partition);

#endif
