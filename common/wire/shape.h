/*
 * shape - a generated message as data: which fields a struct has and where. For what must treat all
 * messages alike: showing them as text, comparing them, making them up in tests.
 */
#ifndef COMMON_WIRE_SHAPE_H
#define COMMON_WIRE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_kind {
    WIRE_BOOL,
    WIRE_INT8,
    WIRE_INT16,
    WIRE_UINT16,
    WIRE_INT32,
    WIRE_UINT32,
    WIRE_INT64,
    WIRE_FLOAT64,
    WIRE_UUID,
    WIRE_STRING,
    WIRE_BYTES,
    WIRE_RECORDS,
    WIRE_STRUCT,
};

struct wire_shape;

struct wire_field {
    const char *name;               /* Kafka's, in snake case */
    const struct wire_shape *shape; /* of WIRE_STRUCT, else NULL */
    enum wire_kind kind;
    bool array;                     /* pointer at pos, int32_t count at len_pos */
    bool pointer;                   /* nullable struct: pointer at pos */
    int16_t since, until;           /* versions that have it */
    int16_t null_since, null_until; /* versions in which it may be null; since > until: none */
    int16_t tag;                    /* -1: not tagged */
    uint16_t pos, len_pos, has_pos; /* in the struct; 0 where there is no len or has */
};

struct wire_shape {
    const char *name; /* of the C struct */
    size_t size;
    void (*init)(void *);
    const struct wire_field *fields;
    int fields_len;
};

#endif
