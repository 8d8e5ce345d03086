/*
 * Java replaces the longest beginning of a character that can still become one by a single U+FFFD,
 * and a byte that begins none by one of its own; surrogates in UTF-8 cost one in all.
 *
 * Scala's mutable tables have 2^n buckets, n >= 4, doubled when they would be three quarters full.
 * A bucket is a chain in the order of hashes, which are mixed with their upper half first. Java's
 * are the same but for two things: a bucket is a chain in the order of insertion, and a table is
 * doubled when it would be more than three quarters full.
 */
#include "controller/cli/java_text.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/base/mem.h"

static bool continues(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Is second possible behind this first byte of a longer character? */
static bool second_fits(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xe0:
        return second >= 0xa0 && second <= 0xbf;
    case 0xf0:
        return second >= 0x90 && second <= 0xbf;
    case 0xf4:
        return second >= 0x80 && second <= 0x8f;
    default:
        return continues(second);
    }
}

/* Bytes of the character, or of what is replaced, at the head; *good says which. */
static size_t step(const unsigned char *at, size_t left, bool *good)
{
    unsigned char first = at[0];
    size_t need, have = 1;

    *good = false;
    if (first < 0x80) {
        *good = true;
        return 1;
    }
    if (first >= 0xc2 && first <= 0xdf)
        need = 2;
    else if (first >= 0xe0 && first <= 0xef)
        need = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        need = 4;
    else
        return 1;
    while (have < need && have < left &&
           (have == 1 ? second_fits(first, at[1]) : continues(at[have])))
        have++;
    if (have < need)
        return have;
    *good = !(first == 0xed && at[1] >= 0xa0); /* no surrogates */
    return need;
}

struct str java_utf8(struct arena *arena, struct str bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    size_t bad = 0;
    bool good;

    for (size_t i = 0; i < bytes.len; i += step(at + i, bytes.len - i, &good), bad += !good)
        ;
    if (bad == 0)
        return bytes;
    char *text = arena_alloc(arena, bytes.len + 3 * bad);
    size_t len = 0;

    for (size_t i = 0; i < bytes.len;) {
        size_t n = step(at + i, bytes.len - i, &good);

        memcpy(text + len, good ? bytes.ptr + i : "\xef\xbf\xbd", good ? n : 3);
        len += good ? n : 3;
        i += n;
    }
    return (struct str){ .ptr = text, .len = len };
}

int32_t java_tp_hash(struct str topic, int32_t partition)
{
    return (int32_t)(31u * (31u + (uint32_t)partition) + (uint32_t)str_java_hash(topic));
}

struct slot {
    size_t bucket;
    int32_t hash; /* mixed */
    size_t number;
};

static int by_bucket(const void *a, const void *b)
{
    const struct slot *left = a, *right = b;

    if (left->bucket != right->bucket)
        return left->bucket < right->bucket ? -1 : 1;
    if (left->hash != right->hash)
        return left->hash < right->hash ? -1 : 1;
    return left->number < right->number ? -1 : 1;
}

static size_t table_for(size_t capacity)
{
    size_t size = 8;

    while (size < capacity)
        size *= 2;
    return size;
}

void java_hash_order(const int32_t *hashes, size_t count, size_t *order)
{
    struct slot *slots = xmalloc((count + 1) * sizeof *slots);
    size_t size = 16;

    while (count > size * 3 / 4)
        size *= 2;
    for (size_t i = 0; i < count; i++) {
        uint32_t hash = (uint32_t)hashes[i];

        slots[i] = (struct slot){ .bucket = (hash ^ hash >> 16) & (size - 1), .number = i };
    }
    qsort(slots, count, sizeof *slots, by_bucket);
    for (size_t i = 0; i < count; i++)
        order[i] = slots[i].number;
    free(slots);
}

void scala_hash_order(const int32_t *hashes, const size_t *hints, size_t count, size_t *order)
{
    struct slot *slots = xmalloc((count + 1) * sizeof *slots);
    size_t size = 16;

    for (size_t i = 0; i < count; i++) {
        uint32_t hash = (uint32_t)hashes[i];
        size_t hinted = hints != NULL && hints[i] > 0 ? table_for((hints[i] + 1) * 4 / 3) : 0;

        if (hinted > size)
            size = hinted;
        if (i + 1 >= size * 3 / 4)
            size *= 2;
        slots[i] = (struct slot){ .hash = (int32_t)(hash ^ hash >> 16), .number = i };
    }
    for (size_t i = 0; i < count; i++)
        slots[i].bucket = (uint32_t)slots[i].hash & (size - 1);
    qsort(slots, count, sizeof *slots, by_bucket);
    for (size_t i = 0; i < count; i++)
        order[i] = slots[i].number;
    free(slots);
}
