/*
 * props - walk over the settings of a Java properties file.
 *
 *     struct props props = props_open(text, &arena);
 *     while (props_next(&props, &key, &value))
 *         ... props.line ...
 *
 * As java.util.Properties reads it: '#' and '!' begin comments, a line that ends in an odd number
 * of backslashes goes on in the next, key and value are parted by '=', ':' or white space, and
 * \t \n \r \f \uXXXX and \<anything> are escapes. Bytes above 127 are taken as they are (UTF-8).
 *
 * Ownership:  keys and values are NUL-terminated and the arena's.
 * Errors:     a damaged \u escape is taken literally and bad_escape is set.
 */
#ifndef COMMON_BASE_PROPS_H
#define COMMON_BASE_PROPS_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/str.h"

struct props {
    struct str rest;
    struct arena *arena;
    int next_line;
    int line;        /* where the setting just given begins, from 1 */
    bool bad_escape; /* in the setting just given */
};

struct props props_open(struct str text, struct arena *arena);
/* False at the end. */
bool props_next(struct props *props, struct str *key, struct str *value);

#endif
