/*
 * logs_kit - what tests of a set of logs on a disk in memory stand on: a directory that nothing
 * happens to by itself, chance out of a seed, and a run of work that is stopped before every
 * operation that changes the disk, in turn.
 *
 * Threads:    one; there is one disk at a time.
 */
#ifndef TESTS_KIT_LOGS_KIT_H
#define TESTS_KIT_LOGS_KIT_H

#include <stdint.h>

#include "broker/log/logs.h"
#include "tests/kit/fake_disk.h"

#define LOGS_KIT_NEVER (INT64_MAX / 4)

/* An empty disk with the directory "/d", and the chances of this seed. */
void logs_kit_begin(uint64_t seed);
void logs_kit_end(void);
/* The one in use. */
struct fake_disk *logs_kit_disk(void);

uint64_t logs_kit_chance(uint64_t below);

/* Of the logs in "/d": no threads, few open files, and nothing comes with time. */
struct logs_options logs_kit_options(void (*conf_of)(void *ctx, const char *topic,
                                                     struct log_conf *conf));

/* A positive number out of the environment. */
uint64_t logs_kit_setting(const char *name, uint64_t otherwise);

/* Work that is stopped everywhere. */
struct crash_work {
    void (*reset)(void); /* nothing is written yet */
    void (*live)(void);  /* the work, up to the first error of the disk, and a stop */
    void (*check)(void); /* opens what is there and asserts what must hold */
    void (*whole)(void); /* after a run that nothing stopped, before check(); may be NULL */
};
/* Operations of a run that nothing stops. */
uint64_t crash_count(const struct crash_work *work, uint64_t seed);
/* With each of MOLDAU_CRASH_ROUNDS seeds (1) from MOLDAU_CRASH_SEED on (1); says how many points
 * that were. MOLDAU_CRASH_SAY: each point is said. */
void crash_everywhere(const struct crash_work *work, enum fake_disk_loss loss);

#endif
