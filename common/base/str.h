/*
 * str - text with a length, borrowed from somebody: a request's bytes, an arena, a literal.
 *
 * Ownership:  a struct str owns nothing. ptr NULL is Kafka's null, which is not the empty string.
 */
#ifndef COMMON_BASE_STR_H
#define COMMON_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr; /* not NUL-terminated unless its maker says so */
    size_t len;      /* bytes */
};

#define STR_NULL     ((struct str){ .ptr = NULL, .len = 0 })
#define STR_EMPTY    ((struct str){ .ptr = "", .len = 0 })
#define STR(literal) ((struct str){ .ptr = "" literal, .len = sizeof(literal) - 1 })
/* For printf: "%.*s", STR_ARG(s) */
#define STR_ARG(s) (int)(s).len, ((s).ptr != NULL ? (s).ptr : "")

static inline struct str str_of(const char *text)
{
    return (struct str){ .ptr = text, .len = text != NULL ? strlen(text) : 0 };
}

static inline bool str_is_null(struct str s)
{
    return s.ptr == NULL;
}

/* Null equals only null. */
static inline bool str_eq(struct str a, struct str b)
{
    if (a.ptr == NULL || b.ptr == NULL)
        return a.ptr == b.ptr;
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static inline bool str_is(struct str a, const char *text)
{
    return str_eq(a, str_of(text));
}

/* Byte order; null first. */
int str_cmp(struct str a, struct str b);
bool str_starts_with(struct str s, struct str prefix);
/* Cuts white space (ASCII) from both ends. */
struct str str_trim(struct str s);
/* The part before the next sep; *rest is what follows it, null when there was none. */
struct str str_split(struct str s, char sep, struct str *rest);
/* Decimal, whole text, in range; false otherwise and *out untouched. */
bool str_to_i64(struct str s, int64_t *out);
/* Bytes of the well-formed UTF-8 character that s begins with; 0: there is none, or s is empty. */
size_t str_utf8_char(struct str s);
/* Well-formed UTF-8 without NUL: what can be written into JSON and read again, and ends where a C
 * string does. */
bool str_is_text(struct str s);
/* FNV-1a, for hash tables of ours; not for anything that others must agree with. */
uint64_t str_hash(struct str s);
/* Java's String.hashCode() of text in UTF-8, malformed bytes as its decoder takes them: what Kafka
 * spreads groups over partitions with. */
int32_t str_java_hash(struct str utf8);

#endif
