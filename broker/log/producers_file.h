/*
 * producers_file - snapshots of the producers' state (%020d.snapshot), in Kafka's version 1:
 *
 *     pos 0 size 2  version 1     pos 2 size 4  CRC-32C from pos 6 on     pos 6 size 4  count
 *     then per producer, 46 bytes:
 *     pos  0 size 8  producer id        pos 22 size 4  last offset - first offset of the last batch
 *     pos  8 size 2  producer epoch     pos 26 size 8  timestamp
 *     pos 10 size 4  last sequence      pos 34 size 4  coordinator epoch
 *     pos 14 size 8  last offset        pos 38 size 8  first offset of the open transaction, -1
 *
 * All big-endian. A snapshot tells the state before its offset.
 */
#ifndef BROKER_LOG_PRODUCERS_FILE_H
#define BROKER_LOG_PRODUCERS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/producers.h"
#include "common/io/disk.h"

/* Replaces the file; synced only when asked. */
MUST_USE enum err producers_file_write(struct disk *disk, const char *path,
                                       const struct producers *producers, bool sync);
/* Adds what it says to producers. ERR_CORRUPT_FILE: version, checksum or length is wrong. Entries
 * that expired by now_ms are left out, those with an open transaction never. */
MUST_USE enum err producers_file_read(struct disk *disk, const char *path,
                                      struct producers *producers, int64_t now_ms,
                                      int64_t expiration_ms);

#endif
