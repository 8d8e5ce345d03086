/*
 * One function reads a text as a value of a key's type into a place that is large enough for any of
 * them; checking, storing and showing are what is then done with it.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/conf.h"

union value {
    bool yes;
    int64_t number;
    double real;
    int32_t choice;
};

static struct str choice_next(struct str *rest)
{
    return str_split(*rest, '|', rest);
}

static int choice_of(const char *choices, struct str word)
{
    struct str rest = str_of(choices);

    for (int i = 0; !str_is_null(rest); i++) {
        if (str_eq(choice_next(&rest), word))
            return i;
    }
    return -1;
}

/* "a, b, c" */
static void choices_text(const char *choices, char *text, size_t size)
{
    size_t len = 0;

    for (; *choices != '\0' && len + 3 < size; choices++) {
        if (*choices == '|')
            text[len++] = ',';
        text[len++] = *choices == '|' ? ' ' : *choices;
    }
    text[len] = '\0';
}

static bool read_bool(struct str text, bool *out)
{
    *out = text.len == 4 && strncasecmp(text.ptr, "true", 4) == 0;
    return *out || (text.len == 5 && strncasecmp(text.ptr, "false", 5) == 0);
}

static bool read_double(struct str text, double *out)
{
    char copy[64], *end;

    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    errno = 0;
    *out = strtod(copy, &end);
    return *end == '\0' && isfinite(*out);
}

static bool in_range(const struct conf_key *key, double real)
{
    return (key->min == INT64_MIN || real >= key->real_min) &&
           (key->max == INT64_MAX || real <= key->real_max);
}

static bool list_ok(const struct conf_key *key, struct str text)
{
    if (key->choices == NULL || str_trim(text).len == 0)
        return true;
    for (struct str rest = text; !str_is_null(rest);) {
        if (choice_of(key->choices, str_trim(str_split(rest, ',', &rest))) < 0)
            return false;
    }
    return true;
}

/* text is not null and trimmed */
static bool read_value(const struct conf_key *key, struct str text, union value *out)
{
    switch (key->type) {
    case CONF_BOOL:
        return read_bool(text, &out->yes);
    case CONF_INT16:
    case CONF_INT32:
    case CONF_INT64:
        return str_to_i64(text, &out->number) && out->number >= key->min && out->number <= key->max;
    case CONF_DOUBLE:
        return read_double(text, &out->real) && in_range(key, out->real);
    case CONF_CHOICE:
        return (out->choice = choice_of(key->choices, text)) >= 0;
    case CONF_LIST:
        return list_ok(key, text);
    case CONF_STRING:
    case CONF_CLASS:
    case CONF_PASSWORD:
        return true;
    }
    return false;
}

static void what_is_accepted(const struct conf_key *key, char why[CONF_WHY])
{
    char words[CONF_WHY / 2];

    switch (key->type) {
    case CONF_BOOL:
        snprintf(why, CONF_WHY, "must be true or false");
        break;
    case CONF_INT16:
    case CONF_INT32:
    case CONF_INT64:
        snprintf(why, CONF_WHY, "must be a whole number from %" PRId64 " to %" PRId64, key->min,
                 key->max);
        break;
    case CONF_DOUBLE:
        if (key->min == INT64_MIN)
            snprintf(why, CONF_WHY, "must be a number");
        else
            snprintf(why, CONF_WHY, "must be a number from %g to %g", key->real_min, key->real_max);
        break;
    default:
        choices_text(key->choices != NULL ? key->choices : "", words, sizeof words);
        snprintf(why, CONF_WHY, key->type == CONF_LIST ? "may only hold %s" : "must be one of %s",
                 words);
        break;
    }
}

/* Spaces around a secret may belong to it. */
static struct str trimmed(const struct conf_key *key, struct str text)
{
    return key->type == CONF_PASSWORD ? text : str_trim(text);
}

static enum err read_or_why(const struct conf_key *key, struct str text, union value *out,
                            char *why)
{
    if (!str_is_null(text) && read_value(key, trimmed(key, text), out))
        return ERR_OK;
    if (why != NULL)
        what_is_accepted(key, why);
    return ERR_INVALID_CONFIG;
}

enum err conf_check(const struct conf_key *key, struct str text, char why[CONF_WHY])
{
    union value value;

    return read_or_why(key, text, &value, why);
}

static struct conf_list list_of(struct str text, struct arena *arena)
{
    struct conf_list list = { 0 };
    size_t most = 1;

    if (text.len == 0)
        return list;
    for (size_t i = 0; i < text.len; i++)
        most += text.ptr[i] == ',';
    list.items = arena_zalloc(arena, most, sizeof *list.items);
    for (struct str rest = text; !str_is_null(rest);)
        list.items[list.n++] = arena_cstr(arena, str_trim(str_split(rest, ',', &rest)));
    return list;
}

static void store_null(const struct conf_key *key, void *to)
{
    switch (key->type) {
    case CONF_INT32:
        *(int32_t *)to = CONF_NULL_INT32;
        break;
    case CONF_INT64:
        *(int64_t *)to = CONF_NULL_INT64;
        break;
    case CONF_STRING:
    case CONF_CLASS:
    case CONF_PASSWORD:
        *(const char **)to = NULL;
        break;
    case CONF_LIST:
        *(struct conf_list *)to = (struct conf_list){ 0 };
        break;
    default:
        assert(!"a type without null");
    }
}

enum err conf_store(const struct conf_key *key, struct str text, void *values, struct arena *arena,
                    char why[CONF_WHY])
{
    void *to = (char *)values + key->at;
    union value value;

    if (str_is_null(text)) {
        store_null(key, to);
        return ERR_OK;
    }
    if (read_or_why(key, text, &value, why) != ERR_OK)
        return ERR_INVALID_CONFIG;
    text = trimmed(key, text);
    switch (key->type) {
    case CONF_BOOL:
        *(bool *)to = value.yes;
        break;
    case CONF_INT16:
        *(int16_t *)to = (int16_t)value.number;
        break;
    case CONF_INT32:
        *(int32_t *)to = (int32_t)value.number;
        break;
    case CONF_INT64:
        *(int64_t *)to = value.number;
        break;
    case CONF_DOUBLE:
        *(double *)to = value.real;
        break;
    case CONF_CHOICE:
        *(int32_t *)to = value.choice;
        break;
    case CONF_LIST:
        *(struct conf_list *)to = list_of(text, arena);
        break;
    case CONF_STRING:
    case CONF_CLASS:
    case CONF_PASSWORD:
        *(const char **)to = arena_cstr(arena, text);
        break;
    }
    return ERR_OK;
}

/* As Java prints a double: the fewest digits that read back the same, with a point; from 10^7 on
 * and below 10^-3 with an exponent. */
static struct str show_double(double real, struct arena *arena)
{
    char digits[32], *mark;
    int precision = 0;

    if (real == 0)
        return STR("0.0");
    do {
        snprintf(digits, sizeof digits, "%.*e", precision, real);
    } while (++precision < 18 && strtod(digits, NULL) != real);
    mark = strchr(digits, 'e');

    int exponent = (int)strtol(mark + 1, NULL, 10);
    int decimals = precision - 1;

    if (exponent >= -3 && exponent < 7) {
        decimals -= exponent;
        return arena_printf(arena, "%.*f", decimals < 1 ? 1 : decimals, real);
    }
    *mark = '\0';
    return arena_printf(arena, "%s%sE%d", digits, decimals == 0 ? ".0" : "", exponent);
}

static struct str show_list(struct str text, struct arena *arena)
{
    char *joined = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    for (struct str rest = text; !str_is_null(rest);) {
        struct str item = str_trim(str_split(rest, ',', &rest));

        memcpy(joined + len, item.ptr, item.len);
        len += item.len;
        if (!str_is_null(rest))
            joined[len++] = ',';
    }
    joined[len] = '\0';
    return (struct str){ .ptr = joined, .len = len };
}

struct str conf_show(const struct conf_key *key, struct str text, struct arena *arena)
{
    union value value;

    if (str_is_null(text))
        return text;
    text = trimmed(key, text);
    if (!read_value(key, text, &value))
        return text;
    switch (key->type) {
    case CONF_BOOL:
        return value.yes ? STR("true") : STR("false");
    case CONF_INT16:
    case CONF_INT32:
    case CONF_INT64:
        return arena_printf(arena, "%" PRId64, value.number);
    case CONF_DOUBLE:
        return show_double(value.real, arena);
    case CONF_LIST:
        return show_list(text, arena);
    default:
        return text;
    }
}
