/*
 * Open addressing with linear steps, in 64 parts chosen by the top bits of the hash (one part when
 * the memory is small). A part grows by half as it fills, by copying: since only one grows at a
 * time, the bound has to leave room for one more part only.
 *
 * The hash is SipHash-1-3 with an output of 128 bits. A slot's offset is kept plus one, so that
 * zeroes mean an empty slot.
 *
 * Newest offsets are one bit each, from the first offset on: set by a put, cleared when a later put
 * of that key makes it old. They may take a sixteenth of the memory on top of it.
 */
#include "broker/log/clean/keymap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define PARTS_MAX        64
#define PARTS_FROM_BYTES ((size_t)16 << 20) /* with less memory there is one part */
#define PART_SLOTS_FIRST 64
#define BITS_SHARE       16
#define BITS_BYTES_LEAST 4096

struct slot {
    uint64_t hi, lo;    /* the hash */
    uint64_t offset_p1; /* 0: empty */
};

struct part {
    struct slot *slots;
    size_t size; /* slots there are */
    size_t used;
};

struct keymap {
    struct part parts[PARTS_MAX];
    unsigned part_bits; /* [I] parts = 1 << part_bits */
    size_t part_size;   /* [I] slots that a part may have */
    double load_factor; /* [I] */
    size_t count;       /* keys */
    uint64_t secret[2];
    int64_t from_offset; /* of the first bit */
    uint64_t *bits;
    size_t words;
    size_t words_max; /* [I] */
    bool bits_lost;   /* an offset was too far away */
};

/* --- the hash ------------------------------------------------------------------------------------
 */

static inline uint64_t rotate(uint64_t x, unsigned by)
{
    return (x << by) | (x >> (64 - by));
}

static inline void sip_round(uint64_t v[static 4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static inline struct keymap_hash hash_key(const uint64_t secret[static 2], struct str key)
{
    struct keymap_hash hash;
    uint64_t v[4] = { secret[0] ^ UINT64_C(0x736f6d6570736575),
                      secret[1] ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
                      secret[0] ^ UINT64_C(0x6c7967656e657261),
                      secret[1] ^ UINT64_C(0x7465646279746573) };
    uint64_t last = (uint64_t)key.len << 56;
    const char *at = key.ptr;
    size_t left = key.len;
    uint64_t word;

    for (; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = 0;
    if (left > 0)
        memcpy(&word, at, left);
    last |= word;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xee;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    hash.hi = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    hash.lo = v[0] ^ v[1] ^ v[2] ^ v[3];
    return hash;
}

/* --- life ----------------------------------------------------------------------------------------
 */

struct keymap *keymap_new(size_t memory_bytes, double load_factor)
{
    struct keymap *map = xcalloc(1, sizeof *map);

    assert(load_factor > 0 && load_factor <= 1);
    map->load_factor = load_factor;
    map->part_bits = memory_bytes >= PARTS_FROM_BYTES ? 6 : 0;
    size_t parts = (size_t)1 << map->part_bits;

    /* One part more: the old slots of the one that grows. A single part never grows. */
    map->part_size = memory_bytes / sizeof(struct slot) / (parts > 1 ? parts + 1 : 1);
    size_t least = (size_t)(2 / load_factor) + 1;

    if (map->part_size < least)
        map->part_size = least;
    size_t bits_bytes = memory_bytes / BITS_SHARE;

    map->words_max = (bits_bytes > BITS_BYTES_LEAST ? bits_bytes : BITS_BYTES_LEAST) / 8;
    return map;
}

static void drop_tables(struct keymap *map)
{
    for (size_t i = 0; i < PARTS_MAX; i++) {
        free(map->parts[i].slots);
        map->parts[i] = (struct part){ 0 };
    }
    free(map->bits);
    map->bits = NULL;
    map->words = 0;
    map->bits_lost = false;
    map->count = 0;
}

void keymap_free(struct keymap **map)
{
    struct keymap *gone = *map;

    *map = NULL;
    if (gone == NULL)
        return;
    drop_tables(gone);
    free(gone);
}

void keymap_clear(struct keymap *map, const uint8_t secret[static 16], int64_t from_offset)
{
    drop_tables(map);
    memcpy(map->secret, secret, sizeof map->secret);
    map->from_offset = from_offset;
}

/* --- the table -----------------------------------------------------------------------------------
 */

/* Top bits choose the part, the next 58 of them the slot. */
static inline size_t part_of(const struct keymap *map, uint64_t hi)
{
    return map->part_bits == 0 ? 0 : (size_t)(hi >> (64 - map->part_bits));
}

static inline size_t first_slot(const struct keymap *map, const struct part *part, uint64_t hi)
{
    return (size_t)(((unsigned __int128)(hi << map->part_bits) * part->size) >> 64);
}

/* The key's slot, or the empty one where it belongs. There is always an empty one. */
static inline struct slot *find(const struct keymap *map, const struct part *part, uint64_t hi,
                                uint64_t lo)
{
    size_t at = first_slot(map, part, hi);

    for (;;) {
        struct slot *slot = &part->slots[at];

        if (slot->offset_p1 == 0 || (slot->lo == lo && slot->hi == hi))
            return slot;
        if (++at == part->size)
            at = 0;
    }
}

/* How many of so many slots may be used; one always stays empty. */
static size_t most_of(const struct keymap *map, size_t slots)
{
    size_t most = (size_t)((double)slots * map->load_factor);

    return most < slots ? most : slots - 1;
}

static bool grow(struct keymap *map, struct part *part)
{
    struct part old = *part;
    size_t size = map->part_bits == 0 ? map->part_size
                  : old.size == 0     ? PART_SLOTS_FIRST
                                      : old.size + old.size / 2;

    if (size > map->part_size)
        size = map->part_size;
    if (size <= old.size)
        return false;
    part->slots = xcalloc(size, sizeof *part->slots);
    part->size = size;
    for (size_t i = 0; i < old.size; i++)
        if (old.slots[i].offset_p1 != 0)
            *find(map, part, old.slots[i].hi, old.slots[i].lo) = old.slots[i];
    free(old.slots);
    return true;
}

/* --- newest offsets ------------------------------------------------------------------------------
 */

static void set_newest(struct keymap *map, int64_t offset)
{
    uint64_t bit = (uint64_t)(offset - map->from_offset);
    size_t word = (size_t)(bit / 64);

    if (map->bits_lost)
        return;
    if (word >= map->words_max) {
        map->bits_lost = true;
        return;
    }
    if (word >= map->words) {
        size_t want = map->words * 2 > word + 1 ? map->words * 2 : word + 1;

        if (want < 64)
            want = 64;
        if (want > map->words_max)
            want = map->words_max;
        map->bits = xrealloc(map->bits, want * sizeof *map->bits);
        memset(map->bits + map->words, 0, (want - map->words) * sizeof *map->bits);
        map->words = want;
    }
    map->bits[word] |= UINT64_C(1) << (bit % 64);
}

static void clear_newest(struct keymap *map, int64_t offset)
{
    uint64_t bit = (uint64_t)(offset - map->from_offset);

    if (!map->bits_lost)
        map->bits[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

bool keymap_knows_newest(const struct keymap *map)
{
    return !map->bits_lost;
}

bool keymap_has_newest(const struct keymap *map, int64_t first, int64_t last)
{
    assert(!map->bits_lost);
    assert(first >= map->from_offset);
    assert(last >= first);
    uint64_t from = (uint64_t)(first - map->from_offset);
    uint64_t to = (uint64_t)(last - map->from_offset);

    for (size_t word = (size_t)(from / 64); word <= to / 64 && word < map->words; word++) {
        uint64_t mask = ~UINT64_C(0);

        if (word == from / 64)
            mask &= ~UINT64_C(0) << (from % 64);
        if (word == to / 64)
            mask &= ~UINT64_C(0) >> (63 - to % 64);
        if ((map->bits[word] & mask) != 0)
            return true;
    }
    return false;
}

/* --- use -----------------------------------------------------------------------------------------
 */

struct keymap_hash keymap_hash(const struct keymap *map, struct str key)
{
    struct keymap_hash hash = hash_key(map->secret, key);
    const struct part *part = &map->parts[part_of(map, hash.hi)];

    if (part->size > 0)
        __builtin_prefetch(&part->slots[first_slot(map, part, hash.hi)], 1);
    return hash;
}

bool keymap_put(struct keymap *map, struct str key, int64_t offset)
{
    return keymap_put_hash(map, hash_key(map->secret, key), offset);
}

bool keymap_put_hash(struct keymap *map, struct keymap_hash hash, int64_t offset)
{
    struct part *part = &map->parts[part_of(map, hash.hi)];

    assert(offset >= map->from_offset);
    if (part->size == 0)
        grow(map, part);
    struct slot *slot = find(map, part, hash.hi, hash.lo);

    if (slot->offset_p1 != 0) {
        assert((uint64_t)offset >= slot->offset_p1);
        clear_newest(map, (int64_t)slot->offset_p1 - 1);
    } else {
        if (part->used >= most_of(map, part->size)) {
            if (!grow(map, part))
                return false;
            slot = find(map, part, hash.hi, hash.lo);
        }
        part->used++;
        map->count++;
    }
    *slot = (struct slot){ hash.hi, hash.lo, (uint64_t)offset + 1 };
    set_newest(map, offset);
    return true;
}

int64_t keymap_get_hash(const struct keymap *map, struct keymap_hash hash)
{
    const struct part *part = &map->parts[part_of(map, hash.hi)];

    return part->size == 0 ? -1 : (int64_t)find(map, part, hash.hi, hash.lo)->offset_p1 - 1;
}

int64_t keymap_get(const struct keymap *map, struct str key)
{
    return keymap_get_hash(map, hash_key(map->secret, key));
}

size_t keymap_count(const struct keymap *map)
{
    return map->count;
}

size_t keymap_room(const struct keymap *map)
{
    return most_of(map, map->part_size);
}

double keymap_use(const struct keymap *map)
{
    size_t parts = (size_t)1 << map->part_bits;

    return (double)map->count / ((double)map->part_size * (double)parts);
}
