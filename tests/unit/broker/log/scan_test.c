/*
 * scan: headers one after the other, however batches lie to the window; the end, a batch that is
 * cut short and what is no batch are told apart; behind damage the next good batch is found.
 */
#include "broker/log/scan.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

#define BATCHES 200

static struct files *files;
static struct file *file;
static int64_t places[BATCHES + 1]; /* of the batches, and the end */

/* Of all sizes around that of the window. */
static size_t value_of(int i)
{
    return (size_t)(i * 211 % 9000);
}

static void start(void)
{
    struct buf buf = BUF_EMPTY;
    char path[200];

    files = files_new(disk_posix(), 4);
    snprintf(path, sizeof path, "%s/x", unit_temp_dir());
    file = file_new(files, path);
    ck_assert_int_eq(file_make(file), ERR_OK);
    for (int i = 0; i < BATCHES; i++) {
        buf.len = 0;
        kit_batch_put(&buf, &(struct kit_batch){ .count = 2, .value_bytes = value_of(i) });
        store_i64(buf.bytes, 2 * i);
        ck_assert_int_eq(file_pwrite(file, buf.bytes, buf.len, places[i]), ERR_OK);
        places[i + 1] = places[i] + (int64_t)buf.len;
    }
    buf_fini(&buf);
}

static void stop(void)
{
    file_unref(&file);
    files_free(&files);
}

static void poke(int64_t pos, const char *bytes, size_t len)
{
    ck_assert_int_eq(file_pwrite(file, bytes, len, pos), ERR_OK);
}

/* From batch i on up to end; how it ends. */
static enum err walk(int i, int64_t end, int *count)
{
    struct batch_info info, peeked;
    struct scan scan;
    int64_t pos;
    enum err err;

    *count = 0;
    for (scan_init(&scan, file, places[i], end);; i++, ++*count) {
        enum err err_peeked = scan_peek(&scan, &peeked);

        err = scan_next(&scan, &info, &pos);
        ck_assert_int_eq(err_peeked, err);
        if (err != ERR_OK)
            return err;
        ck_assert_int_eq(pos, places[i]);
        ck_assert_int_eq(info.base_offset, 2 * i);
        ck_assert_int_eq(info.last_offset, 2 * i + 1);
        ck_assert_int_eq((int64_t)info.size, places[i + 1] - places[i]);
        ck_assert_int_eq(peeked.base_offset, info.base_offset);
    }
}

START_TEST(every_batch_is_met)
{
    int count;

    for (int i = 0; i <= BATCHES; i++) {
        ck_assert_int_eq(walk(i, places[BATCHES], &count), ERR_NOT_FOUND);
        ck_assert_int_eq(count, BATCHES - i);
    }
}
END_TEST

START_TEST(a_batch_cut_short_is_the_end)
{
    int count;

    for (int i = 0; i < 20; i++)
        for (int64_t end = places[i]; end < places[i + 1]; end += 1 + end % 97) {
            ck_assert_int_eq(walk(0, end, &count), ERR_NOT_FOUND);
            ck_assert_int_eq(count, i);
        }
}
END_TEST

START_TEST(what_is_no_batch_is_told)
{
    int count;

    poke(places[50] + BATCH_POS_MAGIC, "\x09", 1);
    ck_assert_int_eq(walk(0, places[BATCHES], &count), ERR_CORRUPT_MESSAGE);
    ck_assert_int_eq(count, 50);
    ck_assert_int_eq(walk(51, places[BATCHES], &count), ERR_NOT_FOUND);
}
END_TEST

static void expect_found(int64_t from, int64_t last, int want)
{
    int64_t pos = -1;
    enum err err = scan_find_batch(file, from, places[BATCHES], last, &pos);

    ck_assert_int_eq(err, want < BATCHES ? ERR_OK : ERR_NOT_FOUND);
    if (err == ERR_OK)
        ck_assert_int_eq(pos, places[want]);
}

START_TEST(the_next_good_batch_is_found_behind_damage)
{
    expect_found(places[7], 13, 7);
    expect_found(places[7] + 1, 13, 8);
    expect_found(places[7], 40, 21); /* with offsets above only */
    poke(places[9] + 70, "damage", 6);
    expect_found(places[8] + 1, 0, 10);
    poke(places[10] + BATCH_POS_LENGTH, "\x7f\x7f\x7f\x7f", 4);
    expect_found(places[8] + 1, 0, 11);
    expect_found(places[BATCHES - 1] + 1, 0, BATCHES);
}
END_TEST

START_TEST(a_whole_batch_is_read)
{
    struct buf buf = BUF_EMPTY;
    size_t size = (size_t)(places[4] - places[3]);

    ck_assert_int_eq(scan_batch(file, places[3], size, &buf), ERR_OK);
    ck_assert_uint_eq(buf.len, size);
    ck_assert_int_eq(batch_check(buf.bytes, size), ERR_OK);
    ck_assert_int_eq(scan_batch(file, places[BATCHES - 1], 1 << 20, &buf), ERR_CORRUPT_MESSAGE);
    buf_fini(&buf);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("scan");

    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, every_batch_is_met);
    tcase_add_test(tc, a_batch_cut_short_is_the_end);
    tcase_add_test(tc, what_is_no_batch_is_told);
    tcase_add_test(tc, the_next_good_batch_is_found_behind_damage);
    tcase_add_test(tc, a_whole_batch_is_read);
    return unit_run(tc);
}
