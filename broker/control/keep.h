/*
 * keep - small files of our own that one process keeps for the next: plain files, as Kafka takes
 * directories for partitions.
 *
 * They are written over in place: a disk that is full, or a kill on the way, leaves what was there.
 *
 * Threads:  one at a time for each file.
 */
#ifndef BROKER_CONTROL_KEEP_H
#define BROKER_CONTROL_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* False: it could not be written. As long each time, or it is not in place. durable: it is on the
 * disk on return. */
bool keep_write(const char *dir, const char *name, const void *bytes, size_t len, bool durable);

/* How much of it there was, at most len; -1: no such file. */
ssize_t keep_read(const char *dir, const char *name, void *bytes, size_t len);

#endif
