/*
 * ring - what the last multis of a controller touched, in 256 znodes of ours: written by the multis
 * themselves, read by the controller that wins after it.
 *
 * Every multi that touches states, settings or topics has a number, counted from 1 in each seat,
 * and sets /controllers/ring/<number mod 256> to the list of what it touches. As a multi is all or
 * nothing, the entry is there if and only if the rest of it is; so it also tells, after a lost
 * connection, whether the multi was done.
 *
 * Threads:    the event thread.
 */
#ifndef CONTROLLER_SHELL_RING_H
#define CONTROLLER_SHELL_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/zk/zk.h"
#include "common/zk/zk_tree.h"

/* ---- writing --------------------------------------------------------------------------------- */

#define RING_OPS_MAX 2

enum ring_form { RING_SET, RING_CREATE, RING_CREATE_BOTH };

struct ring {
    uint64_t number;                    /* last one given out */
    uint64_t done;                      /* last one of a multi that was done */
    unsigned char forms[ZK_RING_SLOTS]; /* enum ring_form: what each slot needs */
};

/* A new seat: counts from 1 again. */
void ring_reset(struct ring *ring);
/* Which slots are there: else each is found missing by a multi that fails. */
void ring_set_slots(struct ring *ring, const bool there[ZK_RING_SLOTS]);
uint64_t ring_take(struct ring *ring);
void ring_done(struct ring *ring, uint64_t number);
/* The multi with that number was certainly not done. A number that is not the last one taken stays
 * a gap, which costs a successor a full read at worst. */
void ring_give_back(struct ring *ring, uint64_t number);
/* The operations that go into the multi, the entry last; how many. touched->number was taken. */
size_t ring_ops(const struct ring *ring, struct arena *arena, const struct zk_touched *touched,
                struct zk_op ops[RING_OPS_MAX]);
/* What that operation (the entry, or the parent before it) met; false: another form would not help.
 */
bool ring_adapt(struct ring *ring, uint64_t number, bool is_entry, enum err err);

/* ---- reading --------------------------------------------------------------------------------- */

struct ring_read;

struct ring_content {
    bool is_whole; /* false: an entry is damaged, or of a newer version; nothing can be concluded */
    size_t n;
    const struct zk_touched *touched;
    const bool *slots; /* ZK_RING_SLOTS of them: which are there */
    size_t n_configs;
    const struct str *configs; /* "topics/a": entities that notes of changed settings name */
};

/* content is lent. */
typedef void ring_read_done(void *arg, const struct ring_content *content);

/* done() comes from the mailbox; not at all after a stop, or when the session ends; whichever it
 * is, it wants to be stopped. */
struct ring_read *ring_read_start(struct zk *zk, ring_read_done *done, void *arg);
/* NULL inside is fine, NULL is left behind. To be called in done(), too. */
void ring_read_stop(struct ring_read **read);

#endif
