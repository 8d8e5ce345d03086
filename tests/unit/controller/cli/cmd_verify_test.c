/*
 * log verify: directories that Kafka wrote are sound; every single byte of a .log that is changed
 * is noticed, and likewise of what lies beside it; damage is told with the place it has and what a
 * start makes of it; and whatever is done to a directory, neither verify nor the log library that
 * opens it afterwards crashes. MOLDAU_FUZZ_ROUNDS makes the last one longer, MOLDAU_FUZZ_SEED
 * repeats one.
 */
#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/log/logs.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "controller/cli/verify_int.h"
#include "tests/kit/cli_kit.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

enum { SOUND = 0, DEGRADED = 10, LOST = 20 };

#define PARTS                                                                                      \
    "./g-txn-0 ./g-txn-segs-0 ./g-segs-0 ./g-java-gzip-0 ./g-compact-txn-0 ./g-lat-gzip-0 ./dr-0 " \
    "./__transaction_state-0 ./__consumer_offsets-0 ./g-epochs-0"
#define SMALL_FILES                                                                                \
    "./meta.properties ./.kafka_cleanshutdown ./recovery-point-offset-checkpoint "                 \
    "./replication-offset-checkpoint ./log-start-offset-checkpoint ./cleaner-offset-checkpoint"

/* Its files as d/... in a fresh folder; of the checkpoints' entries only those of the parts stay.
 */
static char *some_parts(void)
{
    char *dir = xstrdup(unit_temp_dir());

    cli_kit_shell("mkdir '%s/d' && tar xzf '%s' -C '%s/d' " PARTS " " SMALL_FILES, dir,
                  unit_data("logs/broker1-clean-stop.tar.gz"), dir);
    return dir;
}

static char *text_of(const char *dir, const char *line, int code)
{
    struct cli_outcome outcome = cli_kit_run(dir, line);

    ck_assert_msg(outcome.code == code, "%s: %d\n%s%s", line, outcome.code, outcome.out,
                  outcome.err);
    free(outcome.err);
    return outcome.out;
}

static void expect(const char *dir, int code, const char *told)
{
    char *text = text_of(dir, "moldau log verify d", code);

    ck_assert_msg(told == NULL || strstr(text, told) != NULL, "no '%s' in\n%s", told, text);
    free(text);
}

static void expect_not(const char *dir, const char *told)
{
    char *text = text_of(dir, "moldau log verify d", LOST);

    ck_assert_msg(strstr(text, told) == NULL, "'%s' in\n%s", told, text);
    free(text);
}

static const struct {
    const char *set;
    int code;
} sets[] = {
    { "broker1-clean-stop", SOUND },
    { "broker1-kill9", SOUND },
    { "broker1-after-recovery", SOUND },
    { "compact-1-before", SOUND },
    { "compact-3-after-second-pass", 0 },
    { "message-formats-v0-v1", SOUND },
    { "unc-after-unclean-b2", SOUND },
    { "unc-after-unclean-b1", DEGRADED },
    /* Compacted, and the file that tells so was not copied. */
    { "compact-2-after-first-pass", DEGRADED },
};

START_TEST(what_kafka_wrote_is_sound)
{
    char *dir = xstrdup(unit_temp_dir()), *data = xasprintf("logs/%s.tar.gz", sets[_i].set);

    cli_kit_shell("mkdir '%s/d' && tar xzf '%s' -C '%s/d'", dir, unit_data(data), dir);
    expect(dir, sets[_i].code, NULL);
    free(data);
    free(dir);
}
END_TEST

/* ---- one byte -------------------------------------------------------------------------------- */

static void flip(const char *path, long pos, uint8_t mask)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;

    ck_assert_int_eq(pread(fd, &byte, 1, pos), 1);
    byte ^= mask;
    ck_assert_int_eq(pwrite(fd, &byte, 1, pos), 1);
    close(fd);
}

static long size_of(const char *path)
{
    size_t len;

    free(unit_read_file(path, &len));
    return (long)len;
}

/* Is anything but a note found in the partition? */
static bool is_noticed(const char *dir, const char *topic)
{
    char *data = xasprintf("%s/d", dir);
    struct verify_dir in;
    struct verify_part part = { .dir = &in, .topic = xstrdup(topic) };
    bool noticed = false;

    part.path = xasprintf("%s/%s-0", data, topic);
    verify_dir_init(&in, data, true);
    verify_part_run(&part);
    for (size_t i = 0; i < part.findings.len; i++)
        noticed |= flaw_level(part.findings.list[i].flaw) > VERIFY_NOTE;
    verify_part_fini(&part);
    verify_dir_fini(&in);
    free(data);
    return noticed;
}

/* Every byte of the file in turn. */
static void every_byte_counts(const char *topic, const char *file)
{
    char *dir = some_parts(), *path = xasprintf("%s/d/%s-0/%s", dir, topic, file);
    long size = size_of(path);

    ck_assert(!is_noticed(dir, topic));
    for (long pos = 0; pos < size; pos++) {
        flip(path, pos, (uint8_t)(1 << (pos % 8)));
        ck_assert_msg(is_noticed(dir, topic), "%s byte %ld", file, pos);
        flip(path, pos, (uint8_t)(1 << (pos % 8)));
    }
    free(path);
    free(dir);
}

START_TEST(no_byte_of_a_log_changes_unnoticed)
{
    every_byte_counts("g-txn", "00000000000000000005.log");
}
END_TEST

START_TEST(no_byte_of_a_snapshot_or_of_aborted_transactions_either)
{
    every_byte_counts("g-txn", "00000000000000000005.snapshot");
    every_byte_counts("g-txn", "00000000000000000005.txnindex");
}
END_TEST

/* ---- what is told ---------------------------------------------------------------------------- */

START_TEST(damage_is_told_with_its_place_and_consequence)
{
    char *dir = some_parts(), *log = xasprintf("%s/d/g-segs-0/00000000000000000045.log", dir);

    flip(log, 700, 1);
    expect(dir, LOST, "d/g-segs-0/00000000000000000045.log at byte ");
    expect(dir, LOST, "the checksum of a batch is wrong");
    expect(dir, LOST, "on start: nothing: after a clean stop it is not read again");
    cli_kit_shell("cd '%s/d' && rm .kafka_cleanshutdown && printf '0\\n0\\n' > "
                  "recovery-point-offset-checkpoint",
                  dir);
    expect(dir, LOST, "on start: the log ends here; what follows is set aside as .log.damaged");
    free(log);
    free(dir);
}
END_TEST

/* The offset of a batch is not under its checksum: of two that do not go up the wrong one is named,
 * and those behind it are not. */
START_TEST(of_two_batches_in_disorder_the_wrong_one_is_told)
{
    char *dir = some_parts(), *log = xasprintf("%s/d/g-segs-0/00000000000000000045.log", dir);
    size_t len, first, second;
    char *bytes = unit_read_file(log, &len);

    ck_assert_int_eq(batch_peek((uint8_t *)bytes, len, &first), ERR_OK);
    ck_assert_int_eq(batch_peek((uint8_t *)bytes + first, len - first, &second), ERR_OK);
    int64_t base = batch_base_offset((uint8_t *)bytes + first);
    char *raised = xasprintf("at byte %zu, offset %" PRId64, first, base ^ 0x10000);
    char *lowered = xasprintf("at byte %zu, offset %" PRId64, first, base ^ (1 << 5));

    ck_assert((base & (1 << 5)) != 0);
    flip(log, (long)first + 5, 1);
    expect(dir, LOST, raised);
    expect(dir, LOST, "the batch behind it begins at");
    expect_not(dir, "it is behind a batch with larger offsets");
    flip(log, (long)first + 5, 1);
    flip(log, (long)first + 7, 1 << 5);
    expect(dir, LOST, lowered);
    expect_not(dir, "the batch behind it begins at");
    free(raised);
    free(lowered);
    free(bytes);
    free(log);
    free(dir);
}
END_TEST

START_TEST(a_torn_end_is_no_loss_after_a_kill)
{
    char *dir = some_parts();

    cli_kit_shell("cd '%s/d' && rm .kafka_cleanshutdown && printf '0\\n0\\n' > "
                  "recovery-point-offset-checkpoint && rm replication-offset-checkpoint && "
                  "truncate -s -9 g-java-gzip-0/00000000000000000000.log",
                  dir);
    expect(dir, DEGRADED, "~ d/g-java-gzip-0/00000000000000000000.log at byte ");
    expect(dir, DEGRADED, "on start: it is cut off");
    free(dir);
}
END_TEST

START_TEST(a_log_that_ends_too_early_is_told)
{
    char *dir = some_parts();

    cli_kit_shell("cd '%s/d' && rm g-segs-0/00000000000000000090.*", dir);
    expect(dir, LOST, "d/g-segs-0 at offset ");
    expect(dir, LOST, "records that were on stable storage are gone");
    expect(dir, LOST, "records that were committed are gone from this replica");
    free(dir);
}
END_TEST

START_TEST(what_is_left_over_is_told)
{
    char *dir = some_parts();

    cli_kit_shell("cd '%s/d' && cp g-segs-0/00000000000000000045.log "
                  "g-segs-0/00000000000000000045.log.deleted && rm g-segs-0/*090.index && "
                  "mv g-segs-0/00000000000000000000.log g-segs-0/old && mkdir what",
                  dir);
    expect(dir, DEGRADED, "d/g-segs-0/00000000000000000045.log.deleted");
    expect(dir, DEGRADED, "d/g-segs-0/00000000000000000000.index at offset 0: an index without");
    expect(dir, DEGRADED, "d/g-segs-0/00000000000000000090.index: it is not there");
    expect(dir, DEGRADED, "· d/g-segs-0: old");
    expect(dir, DEGRADED, "· d/what: not looked into");
    free(dir);
}
END_TEST

START_TEST(programs_get_every_finding)
{
    char *dir = some_parts(), *log = xasprintf("%s/d/g-epochs-0/leader-epoch-checkpoint", dir);

    cli_kit_shell("printf '0\\n1\\n0 3\\n' > '%s'", log);
    char *json = text_of(dir, "moldau log verify d --json", DEGRADED);

    ck_assert_ptr_nonnull(strstr(json, "\"verdict\": \"impaired\""));
    ck_assert_ptr_nonnull(strstr(json, "\"flaw\":\"epoch_differs\""));
    free(json);
    free(text_of(dir, "moldau log verify d/g-txn-0 --headers-only", SOUND));
    free(text_of(dir, "moldau log verify nowhere", 3));
    cli_kit_shell("cp -a '%s/d' '%s/e'", dir, dir);
    json = text_of(dir, "moldau log verify d e -o csv", DEGRADED);
    ck_assert_ptr_nonnull(strstr(json, "harm,partition_twice,d/g-txn-0,"));
    free(json);
    free(text_of(dir, "moldau log verify d/meta.properties", 3));
    free(log);
    free(dir);
}
END_TEST

/* ---- anything -------------------------------------------------------------------------------- */

static char *names[1024];
static size_t names_len;

static int take_name(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    if (type == FTW_F && names_len < ARRAY_LEN(names))
        names[names_len++] = xstrdup(path);
    return 0;
}

static void damage(struct rand *rand, const char *dir)
{
    names_len = 0;
    ck_assert_int_eq(nftw(dir, take_name, 16, FTW_PHYS), 0);
    for (uint64_t n = 1 + rand_below(rand, 3); n > 0; n--) {
        const char *path = names[rand_below(rand, names_len)];
        long size = size_of(path);

        if (size > 0 && rand_below(rand, 8) != 0)
            for (uint64_t i = 1 + rand_below(rand, 4); i > 0; i--)
                flip(path, (long)rand_below(rand, (uint64_t)size),
                     (uint8_t)(1u << rand_below(rand, 8)));
        else
            ck_assert_int_eq(truncate(path, (off_t)rand_below(rand, (uint64_t)size + 40)), 0);
    }
    for (size_t i = 0; i < names_len; i++)
        free(names[i]);
}

static void read_log(void *ctx, struct log *log)
{
    (void)ctx;
    (void)log_kit_check(log, false); /* reads all; damage below the recovery point may be in it */
}

/* As a start would, in a process of its own. */
static void open_and_read(const char *dir, uint64_t seed)
{
    const char *dirs[] = { dir };
    struct logs_options options = { .dirs = dirs,
                                    .dir_count = 1,
                                    .broker_id = -1,
                                    .no_threads = true,
                                    .checkpoint_ms = INT64_MAX / 4,
                                    .start_checkpoint_ms = INT64_MAX / 4 };
    struct logs *logs;
    int status;
    pid_t child = fork();

    if (child == 0) {
        say_setup(SAY_ERROR, SAY_TEXT, "test");
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(1);
        if (logs_open(&options, &logs) == ERR_OK) {
            logs_each(logs, read_log, NULL);
            logs_close(&logs);
        }
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
                  "the log died with seed %" PRIu64 ": %d", seed, status);
}

START_TEST(whatever_is_done_to_a_directory_nothing_crashes)
{
    const char *rounds_text = getenv("MOLDAU_FUZZ_ROUNDS"), *one = getenv("MOLDAU_FUZZ_SEED");
    long rounds = rounds_text != NULL ? strtol(rounds_text, NULL, 10) : 24;
    char *pristine = some_parts(), *dir = xstrdup(unit_temp_dir());

    cli_kit_shell("tar xzf '%s' -C '%s/d' ./m-mixed-0 ./m-v1-gzip-0 ./m-v0-lz4-0",
                  unit_data("logs/message-formats-v0-v1.tar.gz"), pristine);
    for (long round = 0; round < rounds; round++) {
        uint64_t seed = one != NULL ? strtoull(one, NULL, 10) : (uint64_t)round + 1;
        struct rand rand;
        char *d = xasprintf("%s/d", dir);

        rand_seed(&rand, seed);
        cli_kit_shell("rm -rf '%s/d' && cp -a '%s/d' '%s/d'", dir, pristine, dir);
        if (rand_below(&rand, 2) != 0)
            cli_kit_shell("rm '%s/d/.kafka_cleanshutdown'", dir);
        damage(&rand, d);
        struct cli_outcome outcome = cli_kit_run(dir, "moldau log verify d");

        ck_assert_msg(outcome.code == SOUND || outcome.code == DEGRADED || outcome.code == LOST,
                      "seed %" PRIu64 ": %d %s", seed, outcome.code, outcome.err);
        cli_outcome_free(&outcome);
        outcome = cli_kit_run(dir, "moldau log dump --print-data-log d/g-txn-0");
        cli_outcome_free(&outcome);
        open_and_read(d, seed);
        free(d);
    }
    free(pristine);
    free(dir);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("cmd_verify");

    tcase_add_loop_test(tc, what_kafka_wrote_is_sound, 0, ARRAY_LEN(sets));
    tcase_add_test(tc, no_byte_of_a_log_changes_unnoticed);
    tcase_add_test(tc, no_byte_of_a_snapshot_or_of_aborted_transactions_either);
    tcase_add_test(tc, damage_is_told_with_its_place_and_consequence);
    tcase_add_test(tc, of_two_batches_in_disorder_the_wrong_one_is_told);
    tcase_add_test(tc, a_torn_end_is_no_loss_after_a_kill);
    tcase_add_test(tc, a_log_that_ends_too_early_is_told);
    tcase_add_test(tc, what_is_left_over_is_told);
    tcase_add_test(tc, programs_get_every_finding);
    tcase_add_test(tc, whatever_is_done_to_a_directory_nothing_crashes);
    return unit_run(tc);
}
