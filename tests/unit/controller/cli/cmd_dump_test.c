/*
 * log dump: every file of the recorded directories prints what Kafka's own tool printed for it, on
 * stdout byte for byte, and what it complained about on stderr. Likewise a damaged and a cut file.
 *
 * A recorded dump opens with "# args: ...", "# exit: N", then "--- stdout" and "--- stderr" with
 * what came there. It was recorded as lines, so a carriage return became a line's end.
 */
#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/cli_kit.h"
#include "tests/kit/unit.h"

/* Takes every occurrence of text out. */
static void drop(char *from, const char *text)
{
    size_t len = strlen(text);

    for (char *at = from; (at = strstr(at, text)) != NULL;)
        memmove(at, at + len, strlen(at + len) + 1);
}

static void lines_end_with_newlines(char *text)
{
    char *to = text;

    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\r' && at[1] == '\n')
            continue;
        *to++ = *at == '\r' ? '\n' : *at;
    }
    *to = '\0';
}

static const char *cut(char *text, const char *mark, bool last)
{
    char *at = strstr(text, mark);

    for (char *next = at; last && next != NULL; next = strstr(next + 1, mark))
        at = next;
    ck_assert_msg(at != NULL, "no %s", mark);
    *at = '\0';
    return at + strlen(mark);
}

static const char *work_dir;
static int compared;

static void compare(const char *recorded, size_t len, char *text)
{
    for (char *at = text; (at = memchr(at, '\0', len - (size_t)(at - text))) != NULL; at++)
        *at = '0';
    char *err = xstrdup(cut(text, "--- stderr\n", true));
    const char *out = cut(text, "--- stdout\n", false);
    int code = (int)strtol(cut(text, "\n# exit: ", false), NULL, 10);
    char *line = xasprintf("moldau log dump %s", text + strlen("# args: "));
    char *here = xasprintf("%s/", work_dir);
    struct cli_outcome outcome = cli_kit_run(work_dir, line);

    lines_end_with_newlines(outcome.out);
    drop(outcome.err, here);
    ck_assert_msg(strcmp(outcome.out, out) == 0, "%s: stdout differs:\n%s", recorded, outcome.out);
    ck_assert_msg(outcome.code == code, "%s: exit code %d", recorded, outcome.code);
    ck_assert_msg(code != 0 || strcmp(outcome.err, err) == 0, "%s: stderr differs:\n%s", recorded,
                  outcome.err);
    compared++;
    cli_outcome_free(&outcome);
    free(here);
    free(line);
    free(err);
}

static int compare_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    size_t len = strlen(path);
    char *text;

    (void)st;
    (void)ftw;
    if (type != FTW_F || len < 4 || strcmp(path + len - 4, ".txt") != 0)
        return 0;
    text = unit_read_file(path, &len);
    compare(path, len, text);
    free(text);
    return 0;
}

static void dumps_as_recorded(const char *set, int count)
{
    char *data = xasprintf("logs/%s.tar.gz", set), *dumps = xasprintf("logs/dumps/%s.tar.gz", set);

    work_dir = xstrdup(unit_temp_dir());
    cli_kit_shell("mkdir '%s/%s' '%s/dumps'", work_dir, set, work_dir);
    cli_kit_shell("tar xzf '%s' -C '%s/%s'", unit_data(data), work_dir, set);
    cli_kit_shell("tar xzf '%s' -C '%s/dumps'", unit_data(dumps), work_dir);
    char *root = xasprintf("%s/dumps", work_dir);

    compared = 0;
    ck_assert_int_eq(nftw(root, compare_one, 16, FTW_PHYS), 0);
    ck_assert_int_eq(compared, count);
    free(root);
    free(data);
    free(dumps);
}

static const struct {
    const char *name;
    int dumps;
} sets[] = {
    { "broker1-after-recovery", 126 },
    { "broker1-clean-stop", 329 },
    { "broker1-kill9", 125 },
    { "compact-1-before", 83 },
    { "compact-2-after-first-pass", 83 },
    { "compact-3-after-second-pass", 55 },
    { "message-formats-v0-v1", 96 },
    { "unc-after-unclean-b1", 3 },
    { "unc-after-unclean-b2", 3 },
};

START_TEST(recorded_files_dump_as_kafka_dumped_them)
{
    dumps_as_recorded(sets[_i].name, sets[_i].dumps);
}
END_TEST

/* A directory with one log of four batches in it. */
static char *one_log(void)
{
    char *dir = xstrdup(unit_temp_dir());

    cli_kit_shell("tar xzf '%s' -C '%s' ./g-java-none-0 ./__transaction_state-0 ./g-compact-txn-0",
                  unit_data("logs/broker1-clean-stop.tar.gz"), dir);
    return dir;
}

START_TEST(a_wrong_checksum_is_said_and_what_follows_is_read)
{
    char *dir = one_log();
    struct cli_outcome outcome;

    cli_kit_shell(
        "LC_ALL=C sed -i 's/value-5-abcabcabcabcabcabc\\xc3/value-5-abcabcabcabcabcabc\\xc2/' "
        "'%s/g-java-none-0/00000000000000000000.log'",
        dir);
    outcome = cli_kit_run(dir, "moldau log dump g-java-none-0/00000000000000000000.log");
    ck_assert_int_eq(outcome.code, 0);
    ck_assert_ptr_nonnull(strstr(outcome.out, "position: 0 CreateTime: 1700000009000 size: 496 "
                                              "magic: 2 compresscodec: none crc: 4011857251 "
                                              "isvalid: false\n"));
    ck_assert_ptr_nonnull(strstr(outcome.out, "position: 496 "));
    cli_outcome_free(&outcome);
    outcome = cli_kit_run(dir, "moldau log dump g-java-none-0 --print-data-log");
    ck_assert_ptr_nonnull(strstr(outcome.out, "payload: value-5-abcabcabcabcabcabc\xc2\xa9\n"));
    cli_outcome_free(&outcome);
    free(dir);
}
END_TEST

START_TEST(what_is_left_behind_the_last_batch_is_counted)
{
    char *dir = one_log();
    struct cli_outcome outcome;

    cli_kit_shell("truncate -s -17 '%s/g-java-none-0/00000000000000000000.log'", dir);
    outcome = cli_kit_run(dir, "moldau log dump --files g-java-none-0/00000000000000000000.log");
    ck_assert_int_eq(outcome.code, 0);
    ck_assert_ptr_nonnull(
        strstr(outcome.out, "Found 485 invalid bytes at the end of 00000000000000000000.log\n"));
    cli_outcome_free(&outcome);
    cli_kit_shell("truncate -s +17 '%s/g-java-none-0/00000000000000000000.log'", dir);
    outcome = cli_kit_run(dir, "moldau log dump --files g-java-none-0/00000000000000000000.log");
    ck_assert_int_eq(outcome.code, 0);
    ck_assert_ptr_nonnull(strstr(outcome.out, "isvalid: false\n"));
    cli_outcome_free(&outcome);
    cli_kit_shell("truncate -s +100 '%s/g-java-none-0/00000000000000000000.log'", dir);
    outcome = cli_kit_run(dir, "moldau log dump --files g-java-none-0/00000000000000000000.log");
    ck_assert_int_eq(outcome.code, 1); /* a size of zero: Kafka's tool ends there, too */
    cli_outcome_free(&outcome);
    free(dir);
}
END_TEST

START_TEST(files_that_cannot_be_read_end_the_dump)
{
    static const char *const lines[] = {
        "moldau log dump nosuch.log",
        "moldau log dump 00000000000000000000.log",
        "moldau log dump g-java-none-0/leader-epoch-checkpoint",
        "moldau log dump g-java-none-0/partition.metadata g-java-none-0/missing.snapshot",
        "moldau log dump --transaction-log-decoder g-java-none-0/00000000000000000000.log",
        "moldau log dump --value-decoder-class IntegerDecoder g-java-none-0",
        "kafka-dump-log.sh --no-such-option",
        "/opt/bin/kafka-dump-log",
    };
    char *dir = one_log();

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct cli_outcome outcome = cli_kit_run(dir, lines[i]);

        ck_assert_msg(outcome.code == 1, "%s: %d", lines[i], outcome.code);
        ck_assert_str_ne(outcome.err, "");
        cli_outcome_free(&outcome);
    }
    struct cli_outcome outcome =
        cli_kit_run(dir, "moldau log dump --cluster-metadata-decoder g-java-none-0");

    ck_assert_int_eq(outcome.code, 4);
    cli_outcome_free(&outcome);
    free(dir);
}
END_TEST

START_TEST(by_kafkas_name_it_takes_kafkas_words)
{
    char *dir = one_log();
    struct cli_outcome as_moldau = cli_kit_run(
        dir, "moldau log dump --print-data-log --files g-java-none-0/00000000000000000000.log");
    struct cli_outcome as_kafka = cli_kit_run(dir, "./kafka-dump-log.sh --value-decoder-class "
                                                   "--file=g-java-none-0/00000000000000000000.log");

    ck_assert_int_eq(as_kafka.code, 0);
    ck_assert_str_eq(as_kafka.out, as_moldau.out);
    cli_outcome_free(&as_moldau);
    cli_outcome_free(&as_kafka);
    free(dir);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("cmd_dump");

    tcase_add_loop_test(tc, recorded_files_dump_as_kafka_dumped_them, 0, ARRAY_LEN(sets));
    tcase_add_test(tc, a_wrong_checksum_is_said_and_what_follows_is_read);
    tcase_add_test(tc, what_is_left_behind_the_last_batch_is_counted);
    tcase_add_test(tc, files_that_cannot_be_read_end_the_dump);
    tcase_add_test(tc, by_kafkas_name_it_takes_kafkas_words);
    return unit_run(tc);
}
