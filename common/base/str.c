#include "common/base/str.h"

#include <ctype.h>

int str_cmp(struct str a, struct str b)
{
    if (a.ptr == NULL || b.ptr == NULL)
        return (a.ptr != NULL) - (b.ptr != NULL);
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool str_starts_with(struct str s, struct str prefix)
{
    if (s.len < prefix.len)
        return false;
    return prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0;
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && isspace((unsigned char)s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && isspace((unsigned char)s.ptr[s.len - 1]))
        s.len--;
    return s;
}

struct str str_split(struct str s, char sep, struct str *rest)
{
    const char *at = s.len > 0 ? memchr(s.ptr, sep, s.len) : NULL;

    if (at == NULL) {
        *rest = STR_NULL;
        return s;
    }
    size_t head = (size_t)(at - s.ptr);
    *rest = (struct str){ .ptr = at + 1, .len = s.len - head - 1 };
    return (struct str){ .ptr = s.ptr, .len = head };
}

bool str_to_i64(struct str s, int64_t *out)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    size_t i = negative || (s.len > 0 && s.ptr[0] == '+') ? 1 : 0;
    int64_t value = 0;

    if (i == s.len)
        return false;
    for (; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        /* Counts downwards: the smallest value has no positive twin. */
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, s.ptr[i] - '0', &value))
            return false;
    }
    if (!negative && value == INT64_MIN)
        return false;
    *out = negative ? value : -value;
    return true;
}

size_t str_utf8_char(struct str s)
{
    const unsigned char *b = (const unsigned char *)s.ptr;
    size_t n;

    if (s.len == 0)
        return 0;
    n = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : b[0] < 0xf5 ? 4 : 0;
    if (n == 0 || n > s.len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
        (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
        return 0;
    return n;
}

bool str_is_text(struct str s)
{
    while (s.len > 0) {
        size_t n = str_utf8_char(s);

        if (n == 0 || s.ptr[0] == '\0')
            return false;
        s = (struct str){ .ptr = s.ptr + n, .len = s.len - n };
    }
    return true;
}

uint64_t str_hash(struct str s)
{
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (uint8_t)s.ptr[i]) * 1099511628211u;
    return hash;
}

/* One character of UTF-8 at text, len > 0; *size of it. A byte that starts none is U+FFFD. */
static uint32_t read_char(const unsigned char *text, size_t len, size_t *size)
{
    uint32_t c = text[0];
    size_t more = c >= 0xf0 && c < 0xf8 ? 3 : c >= 0xe0 ? 2 : c >= 0xc2 ? 1 : 0;

    *size = 1;
    if (c < 0x80)
        return c;
    if (more == 0 || c >= 0xf8 || more >= len)
        return 0xfffd;
    c &= 0x3fu >> more;
    for (size_t i = 1; i <= more; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0xfffd;
        c = c << 6 | (text[i] & 0x3fu);
    }
    *size = more + 1;
    return c;
}

int32_t str_java_hash(struct str utf8)
{
    uint32_t hash = 0;
    size_t size;

    for (size_t i = 0; i < utf8.len; i += size) {
        uint32_t c = read_char((const unsigned char *)utf8.ptr + i, utf8.len - i, &size);

        if (c > 0xffff) { /* a pair of surrogates */
            hash = 31 * hash + 0xd800 + ((c - 0x10000) >> 10);
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        hash = 31 * hash + c;
    }
    return (int32_t)hash;
}
