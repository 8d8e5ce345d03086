/*
 * fake_disk - a disk in memory that forgets what was not synced, fails on order and runs full.
 *
 * Files and directories each have what everybody sees and what would be there after the power went.
 * Content becomes safe by disk_sync() and disk_sync_data(), names by disk_sync_dir() of their
 * directory. A crash keeps what is safe, and of the rest nothing, all, or some: names in the order
 * of their making, writes in any order and torn anywhere.
 *
 * Every operation that changes something is counted, so that a test can stop the disk before each
 * of them in turn.
 *
 * Threads: one.
 */
#ifndef TESTS_KIT_FAKE_DISK_H
#define TESTS_KIT_FAKE_DISK_H

#include <stdint.h>

#include "common/io/disk.h"

struct fake_disk;

/* Has the directory "/d". */
struct fake_disk *fake_disk_new(void);
void fake_disk_free(struct fake_disk **fake);
struct disk *fake_disk_base(struct fake_disk *fake);

/* Changing operations so far. */
uint64_t fake_disk_count(const struct fake_disk *fake);
/* Syncs of whatever kind so far. */
uint64_t fake_disk_syncs(const struct fake_disk *fake);
/* The operation with this number and all after it fail with ERR_IO until the next crash; a write is
 * half done before it does. 0: never. */
void fake_disk_stop_at(struct fake_disk *fake, uint64_t number);
/* Only the operation with this number fails, with err; a write is half done. 0: none. */
void fake_disk_fail_at(struct fake_disk *fake, uint64_t number, enum err err);
/* There is no room for a new name: what makes or renames something fails with ERR_NO_SPACE. */
void fake_disk_refuse_names(struct fake_disk *fake, bool refuse);
/* Bytes that all files together may have; INT64_MAX: any. */
void fake_disk_set_room(struct fake_disk *fake, int64_t bytes);
/* Room taken behind the end of a file and not given back. */
int64_t fake_disk_reserved(struct fake_disk *fake, const char *path);
/* The next sync of everything, and no other, fails with ERR_IO. */
void fake_disk_fail_sync_all(struct fake_disk *fake);
/* The next syncs fail with ERR_IO. */
void fake_disk_fail_syncs(struct fake_disk *fake, bool fail);

/* It has no disk_sync_all(). */
void fake_disk_sync_one_by_one(struct fake_disk *fake, bool one_by_one);

enum fake_disk_loss { FAKE_DISK_LOSE_ALL, FAKE_DISK_KEEP_ALL, FAKE_DISK_LOSE_SOME };
/* The power goes and comes back. All open files are closed, their numbers are dead. */
void fake_disk_crash(struct fake_disk *fake, enum fake_disk_loss loss, uint64_t seed);

#endif
