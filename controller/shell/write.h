/*
 * write - the core's WRITE effects to multis, each checking the version of /controller_epoch.
 *
 * Operations are packed into multis of at most 500 operations and 256 KiB, groups whole, sent one
 * after the other; those that only set states, a few at once. When a group's operation fails, the
 * multi is sent again without that group. After a lost connection what each multi wanted to leave
 * behind is looked for, and only what is missing is sent again. The results come back as one
 * WRITE_DONE. What each multi touches is written into the ring with it.
 *
 * Threads:    the event thread. Events and hooks come from the mailbox only.
 */
#ifndef CONTROLLER_SHELL_WRITE_H
#define CONTROLLER_SHELL_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/zk/zk.h"
#include "common/zk/zk_tree.h"
#include "controller/core/core.h"
#include "controller/shell/sink.h"

struct writer;

struct writer_hooks {
    /* The epoch check failed: call seat_fenced(). WRITE_DONE with ERR_FENCED follows this. */
    void (*on_fenced)(void *arg);
    void *arg;
};

struct writer *writer_new(struct zk *zk, const struct sink *sink, const struct writer_hooks *hooks);
void writer_free(struct writer **writer);

/* Copies the effect. Never two at a time. epoch_version: the seat's. */
void writer_run(struct writer *writer, const struct core_write *write, int32_t epoch_version);
bool writer_is_busy(const struct writer *writer);
/* The seat is lost: no WRITE_DONE of what runs comes after this. What is on its way may still be
 * carried out, if our epoch is still the one. */
void writer_reset(struct writer *writer);

/* Which of the ring's slots are there; costs a round trip each otherwise. */
void writer_set_slots(struct writer *writer, const bool there[ZK_RING_SLOTS]);
/* The number in the ring of the last multi up to which all are in the results that were given.
 * False: the outcome of some is not known. */
bool writer_position(const struct writer *writer, uint64_t *number);
/* All of ZooKeeper has been read since: whatever became of it, it is known. */
void writer_is_known(struct writer *writer);

#endif
