/*
 * stories - known hard cases as scripts: what goes wrong is said step by step, the rest (delays,
 * order of messages) comes from the seed, and the same promises are held.
 *
 * A story starts with a cluster that is whole. When it returns, everything is put right and has to
 * become whole again.
 */
#ifndef TESTS_SIM_STORIES_STORIES_H
#define TESTS_SIM_STORIES_STORIES_H

#include "tests/sim/sim.h"

struct story {
    const char *name;
    const char *doc;
    void (*tell)(struct world *w);
};

extern const struct story stories[];
extern const size_t n_stories;

/* With this seed; false when a promise was broken or the story did not come to its point. */
void story_run(const struct story *story, uint64_t seed, const struct sim_conf *conf,
               struct verdict *out);

/* ---- for the scripts ---- */

/* Index of the broker that leads p by ZooKeeper, -1. */
int story_leader(const struct world *w, int p);
/* Index of a replica in sync that does not lead, -1. */
int story_follower(const struct world *w, int p);
bool story_in_isr(const struct world *w, int p, int node);
/* Until p is led by somebody but `by`, or the time is up. */
bool story_await_leader(struct world *w, int p, int by, int64_t ms);
/* Some records with acks=all to every partition. */
void story_write(struct world *w, int rounds);
/* Cuts or mends both ways. */
void story_cut(struct world *w, int a, int b, bool cut);
/* Cut from, or joined again to, everybody but its clients. */
void story_isolate(struct world *w, int node, bool cut);

void story_fast_fail_over(struct world *w);
void story_zombie_leader(struct world *w);
void story_quick_restart(struct world *w);
void story_lost_answer(struct world *w);
void story_cold_start(struct world *w);
void story_cold_start_after_power_loss(struct world *w);
void story_hiccup(struct world *w);
void story_registers_in_mid_hello(struct world *w);
void story_shrink_and_fail_over(struct world *w);
void story_two_bosses(struct world *w);
void story_lost_tail_heard(struct world *w);
void story_lost_tail_twice(struct world *w);
void story_last_one_standing(struct world *w);
void story_lowered_unheard(struct world *w);
void story_power_cut_beside_a_death(struct world *w);
void story_power_fails_everywhere(struct world *w);
void story_group_split(struct world *w);
void story_group_uncommitted(struct world *w);
void story_held_up_in_a_write(struct world *w);
void story_old_life_joins(struct world *w);
void story_rolling_restart(struct world *w);
void story_room_found_unheard(struct world *w);

#endif
