/*
 * uuid - Kafka's 16-byte ids (topics, clusters) and their text: URL-safe base64 without padding, 22
 * characters.
 */
#ifndef COMMON_BASE_UUID_H
#define COMMON_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/base/str.h"

#define UUID_TEXT_LEN 22

struct uuid {
    uint8_t bytes[16];
};

#define UUID_ZERO ((struct uuid){ .bytes = { 0 } })

static inline bool uuid_eq(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

static inline bool uuid_is_zero(struct uuid a)
{
    return uuid_eq(a, UUID_ZERO);
}

/* Writes 22 characters and a NUL. */
void uuid_print(struct uuid uuid, char text[UUID_TEXT_LEN + 1]);
/* False when text is not 22 characters of the alphabet. */
bool uuid_parse(struct str text, struct uuid *out);
/* Makes 16 random bytes an id that Kafka would hand out: version 4; false for the reserved ids and
 * for texts that start with '-', which Kafka does not give out: ask again with other bytes. */
bool uuid_from_random(const uint8_t random[16], struct uuid *out);

#endif
