/*
 * show - any generated message as one line of JSON, for people and for tests.
 *
 * Names are Kafka's in snake case. Shown is what the version would carry: fields that it lacks and
 * tagged fields at their default are left out. Bytes are base64, ids are Kafka's text, of records
 * only the size is told, as NAME_size_in_bytes (null records: NAME null). Text goes out as it came:
 * control characters escaped, but not checked to be UTF-8. A message may hold secrets (SASL tokens,
 * SCRAM passwords): not for the operator's output.
 */
#ifndef COMMON_WIRE_SHOW_H
#define COMMON_WIRE_SHOW_H

#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/wire/prim.h"
#include "common/wire/shape.h"

/* NUL-terminated, out of the arena. */
struct str wire_show(const struct wire_shape *shape, const void *message, int16_t version,
                     struct arena *arena);

/* As Kafka's generated JSON converters and Jackson write it: names in camel case, short escapes. */
struct wire_show_java {
    /* The JSON of a field of bytes, or null text for base64. May be NULL; is asked twice. */
    struct str (*bytes)(void *ctx, const struct wire_field *field, const struct wire_bytes *bytes,
                        struct arena *arena);
    void *ctx;
};

struct str wire_show_as_java(const struct wire_shape *shape, const void *message, int16_t version,
                             const struct wire_show_java *java, struct arena *arena);

#endif
