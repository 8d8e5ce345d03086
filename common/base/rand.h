/*
 * rand - chance from a seed, so that a run can be repeated, or from the system.
 *
 * Threads: a struct rand belongs to one thread.
 */
#ifndef COMMON_BASE_RAND_H
#define COMMON_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/uuid.h"

struct rand {
    uint64_t state[4];
};

void rand_seed(struct rand *rand, uint64_t seed);
/* Seeds from the operating system. */
void rand_seed_os(struct rand *rand);
uint64_t rand_u64(struct rand *rand);
/* In [0, below), below > 0, without bias worth speaking of. */
uint64_t rand_below(struct rand *rand, uint64_t below);
/* In [0, 1). */
double rand_unit(struct rand *rand);
struct uuid rand_uuid(struct rand *rand);
/* Straight from the operating system: nonces, session ids. */
void rand_bytes_os(void *into, size_t len);

#endif
