/*
 * verified - which bytes of a segment have been checked since the start.
 *
 * What this process has appended was good when it came. What it found in the file may have rotted:
 * it is checked before it is shown to anybody, a block at a time, and remembered.
 *
 * Units:    bytes. Memory: a bit for 64 KiB, once something is asked.
 * Threads:  one at a time; the log guards it.
 */
#ifndef BROKER_LOG_VERIFIED_H
#define BROKER_LOG_VERIFIED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VERIFIED_BLOCK (64 << 10)

struct verified {
    int64_t foreign; /* bytes below were there before us */
    size_t left;     /* blocks of them that are not checked */
    uint64_t *bits;  /* a block is good; NULL before the first */
};

void verified_init(struct verified *verified, int64_t foreign);
void verified_fini(struct verified *verified);
/* Whether [from, upto) needs no check. */
bool verified_has(const struct verified *verified, int64_t from, int64_t upto);
/* [from, upto) was checked: whole batches. */
void verified_add(struct verified *verified, int64_t from, int64_t upto);

#endif
