/*
 * bytes - big-endian integers in memory, at any alignment. Kafka's wire and disk are big-endian.
 */
#ifndef COMMON_BASE_BYTES_H
#define COMMON_BASE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define BYTES_DEFINE(bits)                                                                         \
    static inline uint##bits##_t load_be##bits(const void *from)                                   \
    {                                                                                              \
        uint##bits##_t raw;                                                                        \
                                                                                                   \
        memcpy(&raw, from, sizeof raw);                                                            \
        return be##bits##toh(raw);                                                                 \
    }                                                                                              \
    static inline void store_be##bits(void *to, uint##bits##_t value)                              \
    {                                                                                              \
        uint##bits##_t raw = htobe##bits(value);                                                   \
                                                                                                   \
        memcpy(to, &raw, sizeof raw);                                                              \
    }                                                                                              \
    static inline int##bits##_t load_i##bits(const void *from)                                     \
    {                                                                                              \
        return (int##bits##_t)load_be##bits(from);                                                 \
    }                                                                                              \
    static inline void store_i##bits(void *to, int##bits##_t value)                                \
    {                                                                                              \
        store_be##bits(to, (uint##bits##_t)value);                                                 \
    }

BYTES_DEFINE(16)
BYTES_DEFINE(32)
BYTES_DEFINE(64)

#endif
