/*
 * Widths are counted in characters, not bytes, over all rows of a table, so a table is printed when
 * it is complete. Lists print as 1,2,3 in columns and CSV, as arrays in JSON.
 */
#include "controller/cli/print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"

struct table {
    const char *name;
    const struct column *columns;
    int columns_len;
    struct arena *arena;
    struct cell *cells; /* rows one after the other */
    size_t rows, cap;
    struct table *next;
};

struct fact {
    const char *key;
    struct cell value;
    struct fact *next;
};

struct report {
    struct arena *arena;
    struct fact *facts, **facts_end;
    struct table *tables, **tables_end;
};

struct report *report_new(struct arena *arena)
{
    struct report *report = arena_zalloc(arena, 1, sizeof *report);

    report->arena = arena;
    report->facts_end = &report->facts;
    report->tables_end = &report->tables;
    return report;
}

void report_fact(struct report *report, const char *key, struct cell value)
{
    struct fact *fact = arena_zalloc(report->arena, 1, sizeof *fact);

    fact->key = key;
    fact->value = value;
    *report->facts_end = fact;
    report->facts_end = &fact->next;
}

struct table *report_table(struct report *report, const char *name, const struct column *columns)
{
    struct table *table = arena_zalloc(report->arena, 1, sizeof *table);

    table->name = name;
    table->columns = columns;
    while (columns[table->columns_len].key != NULL)
        table->columns_len++;
    table->arena = report->arena;
    *report->tables_end = table;
    report->tables_end = &table->next;
    return table;
}

struct cell *table_row(struct table *table)
{
    size_t row_len = (size_t)table->columns_len;

    if (table->rows == table->cap) {
        size_t cap = table->cap == 0 ? 16 : table->cap * 2;
        struct cell *cells = arena_zalloc(table->arena, cap * row_len, sizeof *cells);

        if (table->rows > 0)
            memcpy(cells, table->cells, table->rows * row_len * sizeof *cells);
        table->cells = cells;
        table->cap = cap;
    }
    return &table->cells[table->rows++ * row_len];
}

size_t table_rows(const struct table *table)
{
    return table->rows;
}

const struct cell *table_cells(const struct table *table, size_t row)
{
    return &table->cells[row * (size_t)table->columns_len];
}

static int compare_rows(const void *a, const void *b)
{
    const struct cell *one = a, *other = b;

    if (one->kind == CELL_INT)
        return (one->number > other->number) - (one->number < other->number);
    return str_cmp(one->text, other->text);
}

void table_sort(struct table *table)
{
    if (table->rows > 1)
        qsort(table->cells, table->rows, (size_t)table->columns_len * sizeof *table->cells,
              compare_rows);
}

struct cell cell_text(struct str text)
{
    return (struct cell){ .kind = text.ptr != NULL ? CELL_TEXT : CELL_NULL, .text = text };
}

struct cell cell_cstr(const char *text)
{
    return cell_text(str_of(text));
}

struct cell cell_int(int64_t number)
{
    return (struct cell){ .kind = CELL_INT, .number = number };
}

struct cell cell_bool(bool value)
{
    return (struct cell){ .kind = CELL_BOOL, .number = value };
}

struct cell cell_size(int64_t size_bytes)
{
    if (size_bytes < 0)
        return (struct cell){ .kind = CELL_NULL };
    return (struct cell){ .kind = CELL_SIZE, .number = size_bytes };
}

struct cell cell_age(int64_t age_ms)
{
    if (age_ms < 0)
        return (struct cell){ .kind = CELL_NULL };
    return (struct cell){ .kind = CELL_AGE, .number = age_ms };
}

struct cell cell_ids(const int32_t *ids, int32_t len)
{
    return (struct cell){ .kind = CELL_IDS, .ids = ids, .len = len > 0 ? len : 0 };
}

struct cell cell_texts(const struct str *texts, int32_t len)
{
    return (struct cell){ .kind = CELL_TEXTS, .texts = texts, .len = len };
}

struct cell cell_hinted(struct cell cell, enum cell_hint hint)
{
    cell.hint = hint;
    return cell;
}

const char *print_color(bool color, enum cell_hint hint)
{
    if (!color)
        return "";
    switch (hint) {
    case HINT_ACT:
        return "\033[31m";
    case HINT_DEGRADED:
        return "\033[33m";
    case HINT_DIM:
        return "\033[2m";
    case HINT_NONE:
        break;
    }
    return "";
}

const char *print_plain(bool color)
{
    return color ? "\033[0m" : "";
}

/* ---- cells ----------------------------------------------------------------------------------- */

/* For columns and CSV, where sizes and ages are numbers. */
static struct str plain_cell(struct arena *arena, const struct print *print,
                             const struct cell *cell)
{
    struct str text = STR_EMPTY;

    switch (cell->kind) {
    case CELL_NULL:
        return STR_EMPTY;
    case CELL_TEXT:
        return cell->text;
    case CELL_INT:
        return arena_printf(arena, "%" PRId64, cell->number);
    case CELL_AGE:
        if (print->shape == PRINT_CSV)
            return arena_printf(arena, "%" PRId64, cell->number);
        return print_age(arena, cell->number);
    case CELL_SIZE:
        if (print->shape == PRINT_CSV)
            return arena_printf(arena, "%" PRId64, cell->number);
        return print_size(arena, print, cell->number);
    case CELL_BOOL:
        return cell->number ? STR("true") : STR("false");
    case CELL_IDS:
        for (int32_t i = 0; i < cell->len; i++)
            text = arena_printf(arena, "%.*s%s%d", STR_ARG(text), i > 0 ? "," : "", cell->ids[i]);
        return text;
    case CELL_TEXTS:
        for (int32_t i = 0; i < cell->len; i++)
            text = arena_printf(arena, "%.*s%s%.*s", STR_ARG(text), i > 0 ? "," : "",
                                STR_ARG(cell->texts[i]));
        return text;
    }
    return STR_EMPTY;
}

bool print_is_utf8(struct str text)
{
    while (text.len > 0) {
        size_t n = str_utf8_char(text);

        if (n == 0)
            return false;
        text = (struct str){ .ptr = text.ptr + n, .len = text.len - n };
    }
    return true;
}

void print_json_text(FILE *out, struct str text)
{
    fputc('"', out);
    while (text.len > 0) {
        unsigned char c = (unsigned char)text.ptr[0];
        size_t n = str_utf8_char(text);

        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", out);
        else if (c == '\t')
            fputs("\\t", out);
        else if (c == '\r')
            fputs("\\r", out);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\u%04x", c);
        else if (n == 0)
            fputs("\\ufffd", out);
        else
            fwrite(text.ptr, 1, n, out);
        n = n == 0 ? 1 : n;
        text = (struct str){ .ptr = text.ptr + n, .len = text.len - n };
    }
    fputc('"', out);
}

static void json_cell(FILE *out, const struct cell *cell)
{
    switch (cell->kind) {
    case CELL_NULL:
        fputs("null", out);
        break;
    case CELL_TEXT:
        print_json_text(out, cell->text);
        break;
    case CELL_INT:
    case CELL_AGE:
    case CELL_SIZE:
        fprintf(out, "%" PRId64, cell->number);
        break;
    case CELL_BOOL:
        fputs(cell->number ? "true" : "false", out);
        break;
    case CELL_IDS:
        fputc('[', out);
        for (int32_t i = 0; i < cell->len; i++)
            fprintf(out, "%s%d", i > 0 ? "," : "", cell->ids[i]);
        fputc(']', out);
        break;
    case CELL_TEXTS:
        fputc('[', out);
        for (int32_t i = 0; i < cell->len; i++) {
            fputs(i > 0 ? "," : "", out);
            print_json_text(out, cell->texts[i]);
        }
        fputc(']', out);
        break;
    }
}

static void csv_cell(FILE *out, struct str text)
{
    if (text.len == 0 ||
        (memchr(text.ptr, ',', text.len) == NULL && memchr(text.ptr, '"', text.len) == NULL &&
         memchr(text.ptr, '\n', text.len) == NULL)) {
        fwrite(text.len > 0 ? text.ptr : "", 1, text.len, out);
        return;
    }
    fputc('"', out);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"')
            fputc('"', out);
        fputc(text.ptr[i], out);
    }
    fputc('"', out);
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static void json_row(FILE *out, const struct table *table, size_t row, const char *kind)
{
    const struct cell *cells = &table->cells[row * (size_t)table->columns_len];

    fputc('{', out);
    if (kind != NULL)
        fprintf(out, "\"kind\":\"%s\",", kind);
    for (int c = 0; c < table->columns_len; c++) {
        fprintf(out, "%s\"%s\":", c > 0 ? "," : "", table->columns[c].key);
        json_cell(out, &cells[c]);
    }
    fputc('}', out);
}

static void json_table(FILE *out, const struct table *table, const char *indent)
{
    fputc('[', out);
    for (size_t r = 0; r < table->rows; r++) {
        fprintf(out, "%s\n%s  ", r > 0 ? "," : "", indent);
        json_row(out, table, r, NULL);
    }
    if (table->rows > 0)
        fprintf(out, "\n%s", indent);
    fputc(']', out);
}

static void json_report(FILE *out, const struct report *report)
{
    const char *comma = "";

    if (report->facts == NULL && report->tables != NULL && report->tables->next == NULL) {
        json_table(out, report->tables, "");
        fputc('\n', out);
        return;
    }
    fputc('{', out);
    for (const struct fact *fact = report->facts; fact != NULL; fact = fact->next) {
        fprintf(out, "%s\n  \"%s\": ", comma, fact->key);
        json_cell(out, &fact->value);
        comma = ",";
    }
    for (const struct table *table = report->tables; table != NULL; table = table->next) {
        fprintf(out, "%s\n  \"%s\": ", comma, table->name);
        json_table(out, table, "  ");
        comma = ",";
    }
    fputs("\n}\n", out);
}

static void ndjson_report(FILE *out, const struct report *report)
{
    bool many = report->tables != NULL && report->tables->next != NULL;

    for (const struct table *table = report->tables; table != NULL; table = table->next) {
        for (size_t r = 0; r < table->rows; r++) {
            json_row(out, table, r, many ? table->name : NULL);
            fputc('\n', out);
        }
    }
    if (report->tables == NULL && report->facts != NULL) {
        fputc('{', out);
        for (const struct fact *fact = report->facts; fact != NULL; fact = fact->next) {
            fprintf(out, "%s\"%s\":", fact == report->facts ? "" : ",", fact->key);
            json_cell(out, &fact->value);
        }
        fputs("}\n", out);
    }
}

static void csv_table(FILE *out, const struct print *print, const struct table *table)
{
    for (int c = 0; c < table->columns_len; c++)
        fprintf(out, "%s%s", c > 0 ? "," : "", table->columns[c].key);
    fputc('\n', out);
    for (size_t r = 0; r < table->rows; r++) {
        for (int c = 0; c < table->columns_len; c++) {
            fputs(c > 0 ? "," : "", out);
            csv_cell(out, plain_cell(table->arena, print,
                                     &table->cells[r * (size_t)table->columns_len + (size_t)c]));
        }
        fputc('\n', out);
    }
}

static size_t width_of(struct str text)
{
    size_t width = 0;

    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return width;
}

static void pad(FILE *out, size_t n)
{
    while (n-- > 0)
        fputc(' ', out);
}

void table_print(const struct table *table, const struct print *print, FILE *out)
{
    size_t n = (size_t)table->columns_len;
    struct str *texts = arena_zalloc(table->arena, table->rows * n + 1, sizeof *texts);
    size_t *widths = arena_zalloc(table->arena, n, sizeof *widths);
    int last = 0;

    for (size_t c = 0; c < n; c++) {
        if (table->columns[c].wide && print->shape != PRINT_WIDE)
            continue;
        last = (int)c;
        widths[c] = strlen(table->columns[c].head);
        for (size_t r = 0; r < table->rows; r++) {
            struct str *text = &texts[r * n + c];

            *text = plain_cell(table->arena, print, &table->cells[r * n + c]);
            if (text->len == 0)
                *text = STR("-");
            if (width_of(*text) > widths[c])
                widths[c] = width_of(*text);
        }
    }
    for (size_t line = 0; line <= table->rows; line++) {
        for (size_t c = 0; c < n; c++) {
            const struct column *column = &table->columns[c];
            struct str text = line == 0 ? str_of(column->head) : texts[(line - 1) * n + c];
            enum cell_hint hint = line == 0 ? HINT_DIM : table->cells[(line - 1) * n + c].hint;
            size_t gap = widths[c] - (widths[c] > 0 ? width_of(text) : 0);
            bool color = print->color && hint != HINT_NONE;

            if (column->wide && print->shape != PRINT_WIDE)
                continue;
            pad(out, (c > 0 ? 2 : 0) + (column->right ? gap : 0));
            fprintf(out, "%s%.*s%s", print_color(color, hint), STR_ARG(text), print_plain(color));
            if ((int)c != last && !column->right)
                pad(out, gap);
        }
        fputc('\n', out);
    }
}

bool report_is_for_people(const struct print *print)
{
    return print->shape == PRINT_TABLE || print->shape == PRINT_WIDE;
}

void report_print(const struct report *report, const struct print *print, FILE *out)
{
    const struct table *main = report->tables;

    switch (print->shape) {
    case PRINT_JSON:
        json_report(out, report);
        break;
    case PRINT_NDJSON:
        ndjson_report(out, report);
        break;
    case PRINT_CSV:
        if (main != NULL)
            csv_table(out, print, main);
        break;
    case PRINT_NAME:
        for (size_t r = 0; main != NULL && r < main->rows; r++) {
            struct str name =
                plain_cell(report->arena, print, &main->cells[r * (size_t)main->columns_len]);

            fprintf(out, "%.*s\n", STR_ARG(name));
        }
        break;
    case PRINT_TABLE:
    case PRINT_WIDE:
        for (const struct table *table = main; table != NULL; table = table->next) {
            if (table->rows == 0)
                continue;
            if (table != main)
                fputc('\n', out);
            table_print(table, print, out);
        }
        break;
    }
}

/* ---- units ----------------------------------------------------------------------------------- */

struct str print_size(struct arena *arena, const struct print *print, int64_t size_bytes)
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
    double size = (double)size_bytes;
    size_t unit = 0;

    if (print->bytes)
        return arena_printf(arena, "%" PRId64, size_bytes);
    if (size_bytes < 1024)
        return arena_printf(arena, "%" PRId64 " B", size_bytes);
    for (size /= 1024; size >= 1023.95 && unit + 1 < ARRAY_LEN(units); size /= 1024)
        unit++;
    return arena_printf(arena, "%.1f %s", size, units[unit]);
}

struct str print_age(struct arena *arena, int64_t age_ms)
{
    int64_t s = age_ms / 1000;

    if (age_ms < 1000)
        return arena_printf(arena, "%" PRId64 "ms", age_ms);
    if (s < 60)
        return arena_printf(arena, "%" PRId64 "s", s);
    if (s < 3600)
        return arena_printf(arena, "%" PRId64 "m%" PRId64 "s", s / 60, s % 60);
    if (s < 86400)
        return arena_printf(arena, "%" PRId64 "h%" PRId64 "m", s / 3600, s / 60 % 60);
    return arena_printf(arena, "%" PRId64 "d%" PRId64 "h", s / 86400, s / 3600 % 24);
}

struct str print_time(struct arena *arena, int64_t wall_ms, bool with_ms)
{
    int64_t rest_ms = ((wall_ms % 1000) + 1000) % 1000;
    time_t at = (time_t)((wall_ms - rest_ms) / 1000);
    struct tm parts;
    char text[64];

    if (gmtime_r(&at, &parts) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
        return arena_printf(arena, "%" PRId64, wall_ms);
    if (with_ms)
        return arena_printf(arena, "%s.%03" PRId64 "Z", text, rest_ms);
    return arena_printf(arena, "%sZ", text);
}
