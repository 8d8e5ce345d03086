/*
 * print - what a command found, in the shape that was asked for: columns for people, JSON, NDJSON,
 * CSV or names for programs.
 *
 * A command fills a report: facts (a name and a value) and tables of rows. The first table is the
 * main one.
 *
 *   json     one object: facts, then each table as an array of objects by its name; a report
 *            without facts and with one table is that array alone
 *   ndjson   a row a line; of several tables each row says its table's name as "kind"
 *   csv      the main table with a heading
 *   name     the first column of the main table
 *   table    headings the command prints itself, then tables; wide shows all columns
 *
 * Ownership:  everything lives in the arena given; texts are borrowed.
 * Threads:    one.
 */
#ifndef CONTROLLER_CLI_PRINT_H
#define CONTROLLER_CLI_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/base/str.h"

enum print_shape { PRINT_TABLE, PRINT_WIDE, PRINT_JSON, PRINT_NDJSON, PRINT_CSV, PRINT_NAME };

struct print {
    enum print_shape shape;
    bool color;
    bool bytes; /* sizes as plain numbers */
};

enum cell_kind {
    CELL_NULL,
    CELL_TEXT,
    CELL_INT,
    CELL_BOOL,
    CELL_IDS,
    CELL_TEXTS,
    CELL_AGE, /* in ms */
    CELL_SIZE /* in bytes */
};
enum cell_hint { HINT_NONE, HINT_ACT, HINT_DEGRADED, HINT_DIM };

struct cell {
    enum cell_kind kind;
    enum cell_hint hint;
    struct str text;
    int64_t number;
    const int32_t *ids;      /* CELL_IDS */
    const struct str *texts; /* CELL_TEXTS */
    int32_t len;             /* of ids or texts */
};

struct column {
    const char *key;  /* in JSON and CSV: snake case */
    const char *head; /* over the column */
    bool right;       /* aligned to the right */
    bool wide;        /* only where there is room: -o wide and the shapes for programs */
};

struct table;
struct report;

struct report *report_new(struct arena *arena);
void report_fact(struct report *report, const char *key, struct cell value);
/* columns is borrowed; it ends with a key of NULL. */
struct table *report_table(struct report *report, const char *name, const struct column *columns);
/* The cells of a new row, one for each column, all CELL_NULL. */
struct cell *table_row(struct table *table);
size_t table_rows(const struct table *table);
/* Of a row that is there. */
const struct cell *table_cells(const struct table *table, size_t row);
/* By the first column: numbers by value, texts by byte. */
void table_sort(struct table *table);

/* For programs: everything. For people: the tables, with an empty line between them; true when it
 * was for people, whose headings the command prints before it. */
bool report_is_for_people(const struct print *print);
void report_print(const struct report *report, const struct print *print, FILE *out);
void table_print(const struct table *table, const struct print *print, FILE *out);

struct cell cell_text(struct str text);
struct cell cell_cstr(const char *text);
struct cell cell_int(int64_t number);
struct cell cell_bool(bool value);
/* -1: null. */
struct cell cell_size(int64_t size_bytes);
struct cell cell_age(int64_t age_ms);
struct cell cell_ids(const int32_t *ids, int32_t len);
struct cell cell_texts(const struct str *texts, int32_t len);
struct cell cell_hinted(struct cell cell, enum cell_hint hint);

/* Text as JSON: quoted, escaped; bytes that are not UTF-8 become U+FFFD. */
void print_json_text(FILE *out, struct str text);
bool print_is_utf8(struct str text);
/* Turns colour on and off on out; "" without colour. */
const char *print_color(bool color, enum cell_hint hint);
const char *print_plain(bool color);
/* "1.2 GiB", or the number alone. */
struct str print_size(struct arena *arena, const struct print *print, int64_t size_bytes);
/* "3m12s", "250ms", "6d4h" */
struct str print_age(struct arena *arena, int64_t age_ms);
/* "2026-11-20T13:05:11Z", with milliseconds if they are asked for. */
struct str print_time(struct arena *arena, int64_t wall_ms, bool with_ms);

#endif
