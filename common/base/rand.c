/*
 * xoshiro256** (Blackman and Vigna, 2018), its state filled by splitmix64.
 */
#include "common/base/rand.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t rotl(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

void rand_seed(struct rand *rand, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        rand->state[i] = z ^ (z >> 31);
    }
}

void rand_bytes_os(void *into, size_t len)
{
    uint8_t *at = into;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);

        if (got < 0) {
            perror("getrandom");
            abort();
        }
        at += got;
        len -= (size_t)got;
    }
}

void rand_seed_os(struct rand *rand)
{
    uint64_t seed;

    rand_bytes_os(&seed, sizeof seed);
    rand_seed(rand, seed);
}

uint64_t rand_u64(struct rand *rand)
{
    uint64_t *s = rand->state;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t rand_below(struct rand *rand, uint64_t below)
{
    assert(below > 0);
    return (uint64_t)(((unsigned __int128)rand_u64(rand) * below) >> 64);
}

double rand_unit(struct rand *rand)
{
    return (double)(rand_u64(rand) >> 11) * 0x1.0p-53;
}

struct uuid rand_uuid(struct rand *rand)
{
    uint8_t bytes[16];
    struct uuid uuid;

    do {
        uint64_t high = rand_u64(rand), low = rand_u64(rand);

        memcpy(bytes, &high, 8);
        memcpy(bytes + 8, &low, 8);
    } while (!uuid_from_random(bytes, &uuid));
    return uuid;
}
