/*
 * checkpoint - the small text files of a log directory, each replaced atomically.
 *
 * Files:      topic-offset checkpoints (recovery-point, log-start, replication, cleaner),
 *             leader-epoch-checkpoint, partition.metadata, meta.properties, the clean-stop marker.
 * Ownership:  a read gives malloc'ed lists; checkpoint_fini() frees them.
 * Errors:     ERR_NOT_FOUND, ERR_BAD_FORMAT for what is not the file we expect, else the disk's.
 */
#ifndef BROKER_LOG_CHECKPOINT_H
#define BROKER_LOG_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/epochs.h"
#include "common/base/uuid.h"
#include "common/io/disk.h"

#define RECOVERY_POINT_FILE "recovery-point-offset-checkpoint"
#define LOG_START_FILE      "log-start-offset-checkpoint"
#define HW_FILE             "replication-offset-checkpoint"
#define CLEANER_FILE        "cleaner-offset-checkpoint"
#define EPOCHS_FILE         "leader-epoch-checkpoint"
#define METADATA_FILE       "partition.metadata"
#define META_FILE           "meta.properties"
#define CLEAN_MARK_FILE     ".kafka_cleanshutdown"
#define LOCK_FILE           ".lock"

struct checkpoint_entry {
    char *topic;
    int32_t partition;
    int64_t offset;
};

struct checkpoint {
    struct checkpoint_entry *entries;
    size_t count;
    size_t cap;
};

void checkpoint_init(struct checkpoint *checkpoint);
void checkpoint_fini(struct checkpoint *checkpoint);
void checkpoint_add(struct checkpoint *checkpoint, const char *topic, int32_t partition,
                    int64_t offset);
void checkpoint_sort(struct checkpoint *checkpoint);
/* Of one that was read or sorted: -1 when it is not listed. */
int64_t checkpoint_find(const struct checkpoint *checkpoint, const char *topic, int32_t partition);
/* Likewise; what is not listed or lower stays as it is. */
void checkpoint_lower(struct checkpoint *checkpoint, const char *topic, int32_t partition,
                      int64_t offset);
/* A missing or empty file reads as none. */
MUST_USE enum err checkpoint_read(struct disk *disk, const char *path, struct checkpoint *out);
MUST_USE enum err checkpoint_write(struct disk *disk, const char *path,
                                   const struct checkpoint *checkpoint);

/* Without a byte of room: one entry of the file becomes smaller where it stands, its number filled
 * up with zeros; where that could tear, the file goes, which says nothing of anything. One that is
 * not listed is fine. */
MUST_USE enum err checkpoint_lower_in_place(struct disk *disk, const char *path, const char *topic,
                                            int32_t partition, int64_t offset);

/* leader-epoch-checkpoint; *out is initialised. ERR_BAD_FORMAT also when a column does not
 * increase. */
MUST_USE enum err epochs_file_read(struct disk *disk, const char *path, struct epochs *out);
MUST_USE enum err epochs_file_write(struct disk *disk, const char *path,
                                    const struct epochs *epochs);
/* Writes PATH.tmp, not synced. */
MUST_USE enum err epochs_file_draft(struct disk *disk, const char *path,
                                    const struct epochs *epochs);

/* partition.metadata. */
MUST_USE enum err metadata_file_read(struct disk *disk, const char *path, struct uuid *topic_id);
MUST_USE enum err metadata_file_write(struct disk *disk, const char *path, struct uuid topic_id);

/* meta.properties. */
struct meta {
    int version;
    int32_t broker_id; /* -1: not said */
    char cluster_id[64];
    char directory_id[32]; /* "" when not said */
};
MUST_USE enum err meta_file_read(struct disk *disk, const char *path, struct meta *out);
/* now_ms: for the comment line. */
MUST_USE enum err meta_file_write(struct disk *disk, const char *path, const struct meta *meta,
                                  int64_t now_ms);

#endif
