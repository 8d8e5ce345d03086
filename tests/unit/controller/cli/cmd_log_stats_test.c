/*
 * log stats and log dump -o json: what is counted is what was recorded with the directories; rows
 * say what the lines say; a damaged batch ends the count and is named; nothing is written.
 */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/cli_kit.h"
#include "tests/kit/unit.h"

static char *dir;

static void set_up(void)
{
    dir = xstrdup(unit_temp_dir());
    cli_kit_shell("mkdir '%s/d' && tar xzf '%s' -C '%s/d' && chmod -R a-w '%s/d'", dir,
                  unit_data("logs/broker1-clean-stop.tar.gz"), dir, dir);
}

static void tear_down(void)
{
    cli_kit_shell("chmod -R u+w '%s/d'", dir);
    free(dir);
}

static json_t *rows_of(const char *line, int code)
{
    struct cli_outcome outcome = cli_kit_run(dir, line);
    json_error_t why;

    ck_assert_msg(outcome.code == code, "%s: %d\n%s", line, outcome.code, outcome.err);
    json_t *rows = json_loads(outcome.out, 0, &why);

    ck_assert_msg(rows != NULL, "%s: %s\n%s", line, why.text, outcome.out);
    ck_assert(json_is_array(rows));
    cli_outcome_free(&outcome);
    return rows;
}

static json_int_t number(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);

    ck_assert_msg(json_is_integer(value), "%s is no number", key);
    return json_integer_value(value);
}

static const char *text(const json_t *row, const char *key)
{
    return json_string_value(json_object_get(row, key));
}

static const json_t *log_named(const json_t *rows, const char *name)
{
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (strcmp(text(json_array_get(rows, i), "log"), name) == 0)
            return json_array_get(rows, i);
    ck_abort_msg("no %s", name);
}

START_TEST(what_is_counted_is_what_was_written)
{
    json_t *rows = rows_of("moldau log stats d -o json", 0);
    const json_t *zstd = log_named(rows, "g-java-zstd-0");

    ck_assert_int_eq(number(zstd, "records"), 40);
    ck_assert_int_eq(number(zstd, "batches"), 4);
    ck_assert_int_eq(number(zstd, "batches_zstd"), 4);
    ck_assert_str_eq(text(zstd, "compression"), "zstd 100%");
    ck_assert_int_lt(number(zstd, "packed_percent"), 50);
    ck_assert_int_eq(number(zstd, "keyed_percent"), 85);
    ck_assert_int_eq(number(zstd, "distinct_keys"), 8);
    ck_assert_int_eq(number(zstd, "tombstones"), 4);
    ck_assert_int_le(number(zstd, "batch_bytes_p50"), number(zstd, "batch_bytes_p99"));
    ck_assert_int_le(number(zstd, "batch_bytes_p99"), number(zstd, "batch_bytes_max"));
    const json_t *txn = log_named(rows, "g-txn-segs-0");

    ck_assert_int_eq(number(txn, "segments"), 6);
    ck_assert_int_eq(number(txn, "next_offset"), 150);
    ck_assert_int_eq(number(txn, "records") + number(txn, "control_batches"), 150);
    ck_assert_int_gt(number(txn, "transactional_batches"), 0);
    const json_t *empty = log_named(rows, "ba-0");

    ck_assert(json_is_null(json_object_get(empty, "first_offset")));
    ck_assert_int_eq(number(empty, "batches"), 0);
    json_decref(rows);
}
END_TEST

/* Each partition's numbers are the sums of what a dump of it lists. */
START_TEST(stats_and_dump_agree)
{
    json_t *logs = rows_of("moldau log stats d -o json", 0);

    for (size_t i = 0; i < json_array_size(logs); i++) {
        const json_t *log = json_array_get(logs, i);
        char *line = xasprintf("moldau log dump --deep-iteration -o json d/%s", text(log, "log"));
        json_t *rows = rows_of(line, 0);
        json_int_t batches = 0, records = 0, tombstones = 0, bytes = 0;
        bool is_control = false;

        for (size_t j = 0; j < json_array_size(rows); j++) {
            const json_t *row = json_array_get(rows, j);
            const char *kind = text(row, "kind");

            if (strcmp(kind, "batch") == 0) {
                batches++;
                bytes += number(row, "size");
                is_control = json_is_true(json_object_get(row, "is_control"));
                ck_assert(json_is_true(json_object_get(row, "is_valid")));
            } else if (strcmp(kind, "record") == 0 && !is_control) {
                records++;
                tombstones += json_is_null(json_object_get(row, "value_size")) &&
                              !json_is_null(json_object_get(row, "key_size"));
            }
        }
        ck_assert_int_eq(batches, number(log, "batches"));
        ck_assert_int_eq(records, number(log, "records"));
        ck_assert_int_eq(tombstones, number(log, "tombstones"));
        ck_assert_int_eq(bytes, number(log, "bytes"));
        json_decref(rows);
        free(line);
    }
    json_decref(logs);
}
END_TEST

static size_t count_kind(const json_t *rows, const char *kind)
{
    size_t count = 0;

    for (size_t i = 0; i < json_array_size(rows); i++)
        count += strcmp(text(json_array_get(rows, i), "kind"), kind) == 0;
    return count;
}

START_TEST(what_lies_beside_a_log_is_rows_too)
{
    json_t *rows = rows_of("moldau log dump -o json d/g-segs-0/00000000000000000000.index "
                           "d/g-segs-0/00000000000000000000.timeindex",
                           0);

    ck_assert_uint_eq(count_kind(rows, "file"), 2);
    ck_assert_uint_gt(count_kind(rows, "index_entry"), 0);
    ck_assert_uint_gt(count_kind(rows, "time_entry"), 0);
    ck_assert_uint_eq(count_kind(rows, "remark"), 0);
    json_decref(rows);
    rows = rows_of("moldau log dump -o json d/g-txn-segs-0/00000000000000000150.snapshot", 0);
    ck_assert_uint_gt(count_kind(rows, "producer"), 0);
    json_decref(rows);
    rows = rows_of("moldau log dump --deep-iteration -o json d/g-compact-txn-0", 0);
    ck_assert_uint_eq(count_kind(rows, "remark"), 6); /* compaction has left gaps */
    json_decref(rows);
}
END_TEST

START_TEST(a_line_is_a_row)
{
    struct cli_outcome outcome =
        cli_kit_run(dir, "moldau log dump --print-data-log -o ndjson d/g-java-none-0");
    size_t records = 0;
    char *rest = outcome.out;

    for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
        json_t *row = json_loads(line, 0, NULL);

        ck_assert_msg(row != NULL, "%s", line);
        records +=
            strcmp(text(row, "kind"), "record") == 0 && json_object_get(row, "value") != NULL;
        json_decref(row);
    }
    ck_assert_uint_eq(records, 40);
    ck_assert_int_eq(outcome.code, 0);
    cli_outcome_free(&outcome);
}
END_TEST

START_TEST(other_shapes_are_refused)
{
    struct cli_outcome outcome = cli_kit_run(dir, "moldau log dump -o csv d/g-java-none-0");

    ck_assert_int_eq(outcome.code, 2);
    cli_outcome_free(&outcome);
}
END_TEST

START_TEST(damage_ends_the_count_and_is_named)
{
    cli_kit_shell("chmod -R u+w '%s/d' && printf x | dd of='%s/d/g-java-none-0/"
                  "00000000000000000000.log' bs=1 seek=700 conv=notrunc 2>/dev/null",
                  dir, dir);
    json_t *rows = rows_of("moldau log stats d -o json", 1);
    const json_t *log = log_named(rows, "g-java-none-0");

    ck_assert_int_eq(number(log, "batches"), 1);
    ck_assert_ptr_nonnull(strstr(text(log, "stopped_at"), " at byte "));
    ck_assert(json_is_null(json_object_get(log, "distinct_keys")));
    ck_assert_int_eq(number(log_named(rows, "g-java-zstd-0"), "batches"), 4);
    json_decref(rows);
}
END_TEST

START_TEST(a_directory_that_is_not_there_is_said)
{
    struct cli_outcome outcome = cli_kit_run(dir, "moldau log stats nowhere");

    ck_assert_int_eq(outcome.code, 3);
    cli_outcome_free(&outcome);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("cmd_log_stats");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_is_counted_is_what_was_written);
    tcase_add_test(tc, stats_and_dump_agree);
    tcase_add_test(tc, what_lies_beside_a_log_is_rows_too);
    tcase_add_test(tc, a_line_is_a_row);
    tcase_add_test(tc, other_shapes_are_refused);
    tcase_add_test(tc, damage_ends_the_count_and_is_named);
    tcase_add_test(tc, a_directory_that_is_not_there_is_said);
    return unit_run(tc);
}
