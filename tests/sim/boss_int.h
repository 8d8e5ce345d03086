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
void boss_read_again(struct world *w, struct boss *boss, enum core_reload_what what,
                     int32_t partition);
/* Copies the effect. */
void boss_write_out(struct world *w, struct boss *boss, const struct core_write *write);

#endif
