/*
 * boss_int - what the two halves of the simulated controller share: its process with seat and
 * streams (boss), its reading and writing (boss_zk).
 *
 * Ownership:  as in sim.h.
 */
#ifndef TESTS_SIM_BOSS_INT_H
#define TESTS_SIM_BOSS_INT_H

#include "tests/sim/sim.h"

/* One event into the core, and all its effects carried out. */
void boss_step(struct world *w, struct boss *boss, const struct core_event *ev);
/* All of ZooKeeper once the seat is won. */
void boss_load(struct world *w, struct boss *boss);
void boss_read_again(struct world *w, struct boss *boss, const struct core_reload *reload);
/* What is set, as settings; their number. */
size_t boss_settings(const struct zoo_config *config, struct image_setting out[2]);
/* boss_warm.c: after a step, the others are told what has changed, some time later. */
void boss_tell_standbys(struct world *w, struct boss *boss);
/* The multi with that number was carried out: what it touched goes into the ring. */
void boss_touch(struct world *w, const struct core_write *write, size_t at, size_t until,
                const struct core_op_result *results, uint64_t number);
/* All has been read in a seat just won: what the standby would have believed must be the same. */
void boss_check_warm(struct world *w, struct boss *boss, const struct zoo_touched *ring,
                     const struct tree *tree);
/* What it knows in this moment. */
void boss_note_decision(const struct world *w, const struct boss *boss, struct decision *out);
/* Copies the effect. */
void boss_write_out(struct world *w, struct boss *boss, const struct core_write *write);

#endif
