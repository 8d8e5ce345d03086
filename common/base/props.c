/*
 * Natural lines are joined to a logical one first, escapes still in it; then the key is cut off at
 * the first separator that is not escaped, and both halves are unescaped in place.
 */
#include "common/base/props.h"

#include <stdint.h>
#include <string.h>

struct props props_open(struct str text, struct arena *arena)
{
    return (struct props){ .rest = text, .arena = arena, .next_line = 1 };
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

/* The next natural line without its end and without white space in front; false at the end. */
static bool next_natural(struct props *props, struct str *line)
{
    struct str *rest = &props->rest;
    size_t len = 0;

    if (rest->len == 0)
        return false;
    while (len < rest->len && rest->ptr[len] != '\n' && rest->ptr[len] != '\r')
        len++;
    *line = (struct str){ .ptr = rest->ptr, .len = len };
    if (len + 1 < rest->len && rest->ptr[len] == '\r' && rest->ptr[len + 1] == '\n')
        len++;
    if (len < rest->len)
        len++;
    rest->ptr += len;
    rest->len -= len;
    props->next_line++;
    while (line->len > 0 && is_blank(*line->ptr)) {
        line->ptr++;
        line->len--;
    }
    return true;
}

static bool goes_on(struct str line)
{
    size_t slashes = 0;

    while (slashes < line.len && line.ptr[line.len - 1 - slashes] == '\\')
        slashes++;
    return slashes % 2 == 1;
}

/* The next logical line in memory of its own, which may be written to; false at the end. */
static bool next_logical(struct props *props, char **text, size_t *len)
{
    struct str line;

    do {
        props->line = props->next_line;
        if (!next_natural(props, &line))
            return false;
    } while (line.len == 0 || *line.ptr == '#' || *line.ptr == '!');

    struct props ahead = *props;
    struct str part = line;
    size_t most = line.len, total = 0;

    while (goes_on(part) && next_natural(&ahead, &part))
        most += part.len;

    char *joined = arena_alloc(props->arena, most + 1);

    for (;;) {
        bool more = goes_on(line);
        size_t take = line.len - (more ? 1 : 0);

        memcpy(joined + total, line.ptr, take);
        total += take;
        if (!more || !next_natural(props, &line))
            break;
    }
    *text = joined;
    *len = total;
    return true;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f')
        return (c | 32) - 'a' + 10;
    return -1;
}

/* UTF-8 of a UTF-16 unit (surrogates one by one, as they stand). */
static size_t put_unit(char *to, uint32_t unit)
{
    if (unit < 0x80) {
        to[0] = (char)unit;
        return 1;
    }
    if (unit < 0x800) {
        to[0] = (char)(0xc0 | unit >> 6);
        to[1] = (char)(0x80 | (unit & 0x3f));
        return 2;
    }
    to[0] = (char)(0xe0 | unit >> 12);
    to[1] = (char)(0x80 | (unit >> 6 & 0x3f));
    to[2] = (char)(0x80 | (unit & 0x3f));
    return 3;
}

/* In place: what an escape stands for is never longer than the escape. */
static struct str unescape(struct props *props, char *text, size_t len)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\\' || i + 1 == len) {
            text[out++] = text[i];
            continue;
        }
        char c = text[++i];

        if (c == 'u') {
            uint32_t unit = 0;
            size_t digits = 0;

            while (digits < 4 && i + 1 + digits < len && hex_of(text[i + 1 + digits]) >= 0)
                unit = unit << 4 | (uint32_t)hex_of(text[i + 1 + digits++]);
            if (digits == 4) {
                out += put_unit(text + out, unit);
                i += 4;
                continue;
            }
            props->bad_escape = true;
        }
        text[out++] = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 'f' ? '\f' : c;
    }
    return arena_str(props->arena, (struct str){ .ptr = text, .len = out });
}

bool props_next(struct props *props, struct str *key, struct str *value)
{
    char *text;
    size_t len, key_len = 0, at;
    bool parted = false;

    props->bad_escape = false;
    if (!next_logical(props, &text, &len))
        return false;
    while (key_len < len && text[key_len] != '=' && text[key_len] != ':' &&
           !is_blank(text[key_len]))
        key_len += text[key_len] == '\\' && key_len + 1 < len ? 2 : 1;
    for (at = key_len; at < len; at++) {
        if (!parted && (text[at] == '=' || text[at] == ':'))
            parted = true;
        else if (!is_blank(text[at]))
            break;
    }
    *value = unescape(props, text + at, len - at);
    *key = unescape(props, text, key_len);
    return true;
}
