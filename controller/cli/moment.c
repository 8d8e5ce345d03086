#include "controller/cli/moment.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/cli/cli.h"

/* ".5" is 500 ms; what is finer than that is cut off. */
static int64_t parse_fraction(const char **rest)
{
    int64_t part_ms = 0, scale = 100;

    for ((*rest)++; isdigit((unsigned char)**rest); (*rest)++, scale /= 10)
        part_ms += (**rest - '0') * scale;
    return part_ms;
}

/* "", "Z", "+02:00", "-0530" */
static bool parse_zone(const char *rest, int64_t *east_ms)
{
    int sign = *rest == '-' ? -1 : 1, digits = 0, number = 0;

    *east_ms = 0;
    if (*rest == '\0' || strcmp(rest, "Z") == 0)
        return true;
    if (*rest != '+' && *rest != '-')
        return false;
    for (rest++; *rest != '\0'; rest++) {
        if (*rest == ':' && digits == 2)
            continue;
        if (!isdigit((unsigned char)*rest) || ++digits > 4)
            return false;
        number = number * 10 + *rest - '0';
    }
    if (digits == 2)
        number *= 100;
    *east_ms = (int64_t)sign * (number / 100 * 60 + number % 100) * 60000;
    return digits == 2 || digits == 4;
}

bool moment_parse(const char *text, int64_t now_ms, int64_t *wall_ms)
{
    static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d" };
    int64_t ago_ms;

    if (text[0] == '-' && cli_parse_ms(text + 1, &ago_ms)) {
        *wall_ms = now_ms - ago_ms;
        return true;
    }
    if (strlen(text) > 9 && str_to_i64(str_of(text), wall_ms))
        return *wall_ms >= 0;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm parts = { 0 };
        const char *rest = strptime(text, forms[i], &parts);
        int64_t part_ms = 0, east_ms;

        if (rest == NULL)
            continue;
        if (i == 0 && *rest == '.')
            part_ms = parse_fraction(&rest);
        if (!parse_zone(rest, &east_ms))
            continue;
        *wall_ms = (int64_t)timegm(&parts) * 1000 + part_ms - east_ms;
        return true;
    }
    return false;
}

bool moment_parse_duration(const char *text, int64_t *ms)
{
    static const struct {
        char unit;
        bool in_time; /* behind the T */
        int64_t ms;
    } units[] = {
        { 'D', false, 86400000 }, { 'H', true, 3600000 }, { 'M', true, 60000 }, { 'S', true, 1000 }
    };
    bool minus = *text == '-', in_time = false, any = false;
    size_t next = 0;

    text += *text == '-' || *text == '+';
    if (toupper((unsigned char)*text++) != 'P')
        return false;
    *ms = 0;
    while (*text != '\0') {
        int64_t number, part_ms = 0;
        size_t digits;
        bool neg;

        if (toupper((unsigned char)*text) == 'T' && !in_time) {
            in_time = true;
            any = false;
            text++;
            continue;
        }
        neg = *text == '-';
        text += *text == '-' || *text == '+';
        digits = strspn(text, "0123456789");
        if (digits > 9 || !str_to_i64((struct str){ .ptr = text, .len = digits }, &number))
            return false;
        text += digits;
        if (*text == '.') {
            part_ms = parse_fraction(&text);
            if (toupper((unsigned char)*text) != 'S')
                return false;
        }
        while (next < ARRAY_LEN(units) && units[next].unit != toupper((unsigned char)*text))
            next++;
        if (next == ARRAY_LEN(units) || units[next].in_time != in_time)
            return false;
        number = number * units[next++].ms + part_ms;
        *ms += neg ? -number : number;
        any = true;
        text++;
    }
    if (minus)
        *ms = -*ms;
    return any;
}
