#include "controller/cli/record_format.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* The character that an escape at *at (on the backslash) stands for; *at moves behind it. -1: none.
 */
static int unescape(const char **at)
{
    char c = (*at)[1];

    if (c == '\0')
        return -1;
    *at += 2;
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case '0':
        return '\0';
    case '\\':
        return '\\';
    case 'x':
        if (isxdigit((unsigned char)(*at)[0]) && isxdigit((unsigned char)(*at)[1])) {
            unsigned value;
            char hex[3] = { (*at)[0], (*at)[1], '\0' };

            (void)sscanf(hex, "%x", &value);
            *at += 2;
            return (int)value;
        }
        return -1;
    default:
        return -1;
    }
}

const char *record_format_wrong(const char *format, bool reading)
{
    const char *known = reading ? "pkvsTh%" : "tpoTdkvshKS%";
    bool after_field = false;

    for (const char *at = format; *at != '\0';) {
        if (*at == '\\') {
            if (unescape(&at) < 0)
                return "an escape that is none of \\n \\t \\r \\0 \\\\ \\xHH";
            after_field = false;
        } else if (*at == '%') {
            if (at[1] == '\0' || strchr(known, at[1]) == NULL)
                return reading ? "a field that is none of %p %k %v %T %h"
                               : "a field that is none of %t %p %o %T %d %k %v %h %K %S";
            if (reading && after_field && at[1] != '%')
                return "two fields without text between them";
            after_field = at[1] != '%';
            at += 2;
        } else {
            after_field = false;
            at++;
        }
    }
    return NULL;
}

static void put(FILE *out, struct str text)
{
    if (text.len > 0)
        fwrite(text.ptr, 1, text.len, out);
}

static void put_headers(FILE *out, const struct record_text *record)
{
    for (int i = 0; i < record->headers_len; i++) {
        fputs(i > 0 ? "," : "", out);
        put(out, record->headers[i].name);
        fputc('=', out);
        put(out, record->headers[i].value);
    }
}

static int64_t size_of(struct str text)
{
    return text.ptr == NULL ? -1 : (int64_t)text.len;
}

void record_print(const char *format, const struct record_text *record, struct arena *arena,
                  FILE *out)
{
    for (const char *at = format; *at != '\0';) {
        if (*at == '\\') {
            fputc(unescape(&at), out);
            continue;
        }
        if (*at != '%') {
            fputc(*at++, out);
            continue;
        }
        switch (at[1]) {
        case 't':
            put(out, record->topic);
            break;
        case 'p':
            fprintf(out, "%d", record->partition);
            break;
        case 'o':
            fprintf(out, "%" PRId64, record->offset);
            break;
        case 'T':
            fprintf(out, "%" PRId64, record->timestamp_ms);
            break;
        case 'd':
            put(out, print_time(arena, record->timestamp_ms, true));
            break;
        case 'k':
            put(out, record->key);
            break;
        case 'v':
        case 's':
            put(out, record->value);
            break;
        case 'h':
            put_headers(out, record);
            break;
        case 'K':
            fprintf(out, "%" PRId64, size_of(record->key));
            break;
        case 'S':
            fprintf(out, "%" PRId64, size_of(record->value));
            break;
        default:
            fputc('%', out);
        }
        at += 2;
    }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_base64(FILE *out, struct str bytes)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *b = (const uint8_t *)bytes.ptr;

    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i;
        uint32_t three = (uint32_t)b[i] << 16 | (n > 1 ? (uint32_t)b[i + 1] << 8 : 0) |
                         (n > 2 ? (uint32_t)b[i + 2] : 0);

        fputc(letters[three >> 18], out);
        fputc(letters[three >> 12 & 63], out);
        fputc(n > 1 ? letters[three >> 6 & 63] : '=', out);
        fputc(n > 2 ? letters[three & 63] : '=', out);
    }
}

static void json_field(FILE *out, const char *name, struct str text)
{
    if (text.ptr != NULL && !print_is_utf8(text)) {
        fprintf(out, ",\"%s\":null,\"%s_base64\":\"", name, name);
        put_base64(out, text);
        fputc('"', out);
        return;
    }
    fprintf(out, ",\"%s\":", name);
    if (text.ptr == NULL)
        fputs("null", out);
    else
        print_json_text(out, text);
}

void record_print_json(const struct record_text *record, struct arena *arena, FILE *out)
{
    fputs("{\"topic\":", out);
    print_json_text(out, record->topic);
    fprintf(out, ",\"partition\":%d,\"offset\":%" PRId64 ",\"timestamp\":%" PRId64,
            record->partition, record->offset, record->timestamp_ms);
    if (record->timestamp_ms >= 0)
        json_field(out, "time", print_time(arena, record->timestamp_ms, true));
    json_field(out, "key", record->key);
    json_field(out, "value", record->value);
    fputs(",\"headers\":[", out);
    for (int i = 0; i < record->headers_len; i++) {
        fprintf(out, "%s{\"name\":", i > 0 ? "," : "");
        print_json_text(out, record->headers[i].name);
        json_field(out, "value", record->headers[i].value);
        fputc('}', out);
    }
    fputs("]}", out);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The literal text of format from *at up to the next field; its length is at most max. */
static size_t literal(const char **at, char *text, size_t max)
{
    size_t n = 0;

    while (**at != '\0' && n < max && (**at != '%' || (*at)[1] == '%')) {
        if (**at == '\\') {
            text[n++] = (char)unescape(at);
        } else if (**at == '%') {
            text[n++] = '%';
            *at += 2;
        } else {
            text[n++] = *(*at)++;
        }
    }
    return n;
}

static bool read_headers(struct str text, struct record_text *out)
{
    while (text.ptr != NULL && text.len > 0) {
        struct str value, one = str_split(text, ',', &text);
        struct str name = str_split(one, '=', &value);

        if (out->headers_len == RECORD_HEADERS_MAX || name.len == 0)
            return false;
        out->headers[out->headers_len].name = name;
        out->headers[out->headers_len++].value = value;
    }
    return true;
}

static bool take_field(char field, struct str text, struct record_text *out)
{
    int64_t number;

    switch (field) {
    case 'k':
        out->key = text;
        return true;
    case 'v':
    case 's':
        out->value = text;
        return true;
    case 'h':
        return read_headers(text, out);
    case 'p':
        if (!str_to_i64(str_trim(text), &number) || number < 0 || number > INT32_MAX)
            return false;
        out->partition = (int32_t)number;
        return true;
    default:
        return str_to_i64(str_trim(text), &out->timestamp_ms);
    }
}

bool record_read(const char *format, struct str line, struct record_text *out)
{
    char text[256];
    const char *at = format;
    size_t n = literal(&at, text, sizeof text);

    *out = (struct record_text){ .partition = -1, .offset = -1, .timestamp_ms = -1 };
    if (line.len < n || memcmp(line.ptr, text, n) != 0)
        return false;
    line = (struct str){ .ptr = line.ptr + n, .len = line.len - n };
    while (*at == '%') {
        char field = at[1];
        struct str taken = line;

        at += 2;
        n = literal(&at, text, sizeof text);
        if (n > 0) {
            const char *end = memmem(line.ptr, line.len, text, n);

            /* A line's own end closes the last field too. */
            if (end == NULL && *at == '\0' && text[0] == '\n')
                end = line.ptr + line.len;
            if (end == NULL)
                return false;
            taken.len = (size_t)(end - line.ptr);
            n = n < line.len - taken.len ? n : line.len - taken.len;
            line = (struct str){ .ptr = end + n, .len = line.len - taken.len - n };
        } else {
            line = (struct str){ .ptr = line.ptr + line.len, .len = 0 };
        }
        if (!take_field(field, taken, out))
            return false;
    }
    return true;
}
