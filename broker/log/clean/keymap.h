/*
 * keymap - from a record's key to the offset of its newest record, in fixed memory (Kafka:
 * SkimpyOffsetMap).
 *
 * Keys are known by 128 bits of a keyed hash: with a secret that is new in every pass nobody can
 * choose keys that collide, and by chance none do. An entry takes 24 bytes, as Kafka's. Memory is
 * taken as keys come, up to the bound, and given back by keymap_clear(): a topic with few keys
 * costs little, and its table stays in the cache.
 *
 * Beside it the map remembers which offsets are some key's newest. For records that it was made
 * of, that answers without a look at their keys.
 *
 * Units:      memory in bytes, offsets in records.
 * Ownership:  the map owns its tables; keys are borrowed.
 * Threads:    one at a time.
 */
#ifndef BROKER_LOG_CLEAN_KEYMAP_H
#define BROKER_LOG_CLEAN_KEYMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/str.h"

struct keymap;

/* load_factor: how full it may get, above 0 and at most 1. At least two keys fit, whatever the
 * memory. */
struct keymap *keymap_new(size_t memory_bytes, double load_factor);
void keymap_free(struct keymap **map);

/* Empties it for records from from_offset on; secret: 16 random bytes. */
void keymap_clear(struct keymap *map, const uint8_t secret[static 16], int64_t from_offset);

/* What a key is known by, and on the way its place is fetched into the cache: make some before the
 * first of them is put, for a table of any size misses the cache at every key. */
struct keymap_hash {
    uint64_t hi, lo;
};
struct keymap_hash keymap_hash(const struct keymap *map, struct str key);
/* Offsets must increase from put to put. False when the key is new and there is no room: nothing
 * was changed. */
bool keymap_put_hash(struct keymap *map, struct keymap_hash hash, int64_t offset) MUST_USE;
bool keymap_put(struct keymap *map, struct str key, int64_t offset) MUST_USE;
/* The newest offset put for this key, -1 none. */
int64_t keymap_get_hash(const struct keymap *map, struct keymap_hash hash);
int64_t keymap_get(const struct keymap *map, struct str key);

/* Is one of the offsets first..last that of a key's newest record? Of offsets from from_offset on,
 * and only while keymap_knows_newest(). */
bool keymap_has_newest(const struct keymap *map, int64_t first, int64_t last);
/* False when the records were spread over too many offsets to remember each. */
bool keymap_knows_newest(const struct keymap *map);

size_t keymap_count(const struct keymap *map);
/* How many keys fit for certain. */
size_t keymap_room(const struct keymap *map);
/* Of the memory that it may take, the share in use: 0 to 1. */
double keymap_use(const struct keymap *map);

#endif
