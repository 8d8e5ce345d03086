/*
 * Rows go out as they are found: a dump may be larger than memory. JSON is one array of the rows
 * that NDJSON has a line each of.
 */
#include <inttypes.h>
#include <stdio.h>

#include "controller/cli/dump_int.h"

bool dump_has_rows(const struct dump *dump)
{
    return dump->cli->print.shape != PRINT_TABLE;
}

static bool is_array(const struct dump *dump)
{
    return dump->cli->print.shape == PRINT_JSON;
}

void dump_row_begin(struct dump *dump, const char *kind)
{
    if (is_array(dump))
        fputs(dump->rows > 0 ? ",\n" : "[\n", stdout);
    dump->rows++;
    printf("{\"kind\":\"%s\"", kind);
}

void dump_row_int(const char *key, int64_t value)
{
    printf(",\"%s\":%" PRId64, key, value);
}

void dump_row_optional(const char *key, bool given, int64_t value)
{
    if (given)
        dump_row_int(key, value);
    else
        printf(",\"%s\":null", key);
}

void dump_row_bool(const char *key, bool value)
{
    printf(",\"%s\":%s", key, value ? "true" : "false");
}

void dump_row_text(const char *key, struct str value)
{
    printf(",\"%s\":", key);
    if (str_is_null(value))
        fputs("null", stdout);
    else
        print_json_text(stdout, value);
}

void dump_row_end(struct dump *dump)
{
    fputs(is_array(dump) ? "}" : "}\n", stdout);
}

void dump_rows_end(struct dump *dump)
{
    if (is_array(dump))
        fputs(dump->rows > 0 ? "\n]\n" : "[]\n", stdout);
}
