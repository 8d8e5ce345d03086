/*
 * checkpoint: what is written reads back, what Kafka writes reads, what is neither is refused.
 */
#include "broker/log/checkpoint.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/fake_disk.h"
#include "tests/kit/unit.h"

static char path[200];

static void start(void)
{
    snprintf(path, sizeof path, "%s/f", unit_temp_dir());
}

static void write_text(const char *text)
{
    ck_assert_int_eq(disk_replace_file(disk_posix(), path, text, strlen(text), true), ERR_OK);
}

START_TEST(offsets_read_back)
{
    struct checkpoint one;
    struct checkpoint two;

    checkpoint_init(&one);
    checkpoint_add(&one, "orders", 10, INT64_C(1) << 40);
    checkpoint_add(&one, "orders", 2, 5);
    checkpoint_add(&one, "a-b.c_d", 0, 0);
    ck_assert_int_eq(checkpoint_write(disk_posix(), path, &one), ERR_OK);
    ck_assert_int_eq(checkpoint_read(disk_posix(), path, &two), ERR_OK);
    ck_assert_uint_eq(two.count, 3);
    ck_assert_int_eq(checkpoint_find(&two, "orders", 10), INT64_C(1) << 40);
    ck_assert_int_eq(checkpoint_find(&two, "orders", 2), 5);
    ck_assert_int_eq(checkpoint_find(&two, "a-b.c_d", 0), 0);
    ck_assert_int_eq(checkpoint_find(&two, "orders", 3), -1);
    checkpoint_fini(&one);
    checkpoint_fini(&two);
}
END_TEST

START_TEST(kafkas_text_is_exact)
{
    struct checkpoint one;
    size_t len;

    checkpoint_init(&one);
    checkpoint_add(&one, "orders", 0, 1234);
    ck_assert_int_eq(checkpoint_write(disk_posix(), path, &one), ERR_OK);
    char *text = unit_read_file(path, &len);

    ck_assert_str_eq(text, "0\n1\norders 0 1234\n");
    free(text);
    checkpoint_fini(&one);
}
END_TEST

START_TEST(an_absent_or_empty_file_has_none)
{
    struct checkpoint one;

    ck_assert_int_eq(checkpoint_read(disk_posix(), "/nowhere/x", &one), ERR_OK);
    ck_assert_uint_eq(one.count, 0);
    write_text("");
    ck_assert_int_eq(checkpoint_read(disk_posix(), path, &one), ERR_OK);
    ck_assert_uint_eq(one.count, 0);
}
END_TEST

START_TEST(nonsense_is_refused)
{
    static const char *const texts[] = {
        "1\n0\n",
        "0\n2\na 0 1\n",
        "0\n1\na 0 1\nb 0 2\n",
        "0\n1\na 0\n",
        "0\n1\na x 1\n",
        "0\n-1\n",
        "0\n",
        "x",
        "0\n1\na 0 1 2\n",
        "0\n1\na 4294967296 1",
        "0\n1\n\n",
    };
    struct checkpoint one;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_text(texts[i]);
        ck_assert_msg(checkpoint_read(disk_posix(), path, &one) == ERR_BAD_FORMAT, "%s", texts[i]);
    }
}
END_TEST

START_TEST(epochs_read_back)
{
    struct epochs one;
    struct epochs two;
    size_t len;

    epochs_init(&one);
    epochs_assign(&one, 0, 0);
    epochs_assign(&one, 3, 120);
    ck_assert_int_eq(epochs_file_write(disk_posix(), path, &one), ERR_OK);
    char *text = unit_read_file(path, &len);

    ck_assert_str_eq(text, "0\n2\n0 0\n3 120\n");
    ck_assert_int_eq(epochs_file_read(disk_posix(), path, &two), ERR_OK);
    ck_assert_uint_eq(two.count, 2);
    ck_assert_int_eq(two.entries[1].start_offset, 120);
    free(text);
    epochs_fini(&one);
    epochs_fini(&two);
}
END_TEST

START_TEST(partition_metadata_reads_back)
{
    const struct uuid id = { .bytes = { 9, 8, 7 } };
    struct uuid got;
    size_t len;

    ck_assert_int_eq(metadata_file_write(disk_posix(), path, id), ERR_OK);
    ck_assert_int_eq(metadata_file_read(disk_posix(), path, &got), ERR_OK);
    ck_assert(uuid_eq(id, got));
    char *text = unit_read_file(path, &len);

    ck_assert_uint_eq(len, 43); /* no newline at the end, as Kafka's */
    free(text);
    write_text("version: 1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
    ck_assert_int_eq(metadata_file_read(disk_posix(), path, &got), ERR_BAD_FORMAT);
}
END_TEST

START_TEST(meta_properties_read_back)
{
    struct meta meta = { .version = 0, .broker_id = 7, .cluster_id = "AW6T_lL_R4iq6IuFZW4UEA" };
    struct meta got;

    ck_assert_int_eq(meta_file_write(disk_posix(), path, &meta, 1700000000000), ERR_OK);
    ck_assert_int_eq(meta_file_read(disk_posix(), path, &got), ERR_OK);
    ck_assert_int_eq(got.broker_id, 7);
    ck_assert_str_eq(got.cluster_id, meta.cluster_id);
    write_text("# c\n\nversion=1\nnode.id=3\nother=x=y\ndirectory.id=abc\n");
    ck_assert_int_eq(meta_file_read(disk_posix(), path, &got), ERR_OK);
    ck_assert_int_eq(got.version, 1);
    ck_assert_int_eq(got.broker_id, -1);
    ck_assert_str_eq(got.directory_id, "abc");
    write_text("broker.id=1\n");
    ck_assert_int_eq(meta_file_read(disk_posix(), path, &got), ERR_BAD_FORMAT);
}
END_TEST

START_TEST(an_entry_is_lowered_where_it_stands)
{
    struct fake_disk *fake = fake_disk_new();
    struct disk *disk = fake_disk_base(fake);
    struct checkpoint points;
    struct disk_stat before, after;
    int in_place = 0, gone = 0;

    checkpoint_init(&points);
    for (int i = 0; i < 100; i++)
        checkpoint_add(&points, i % 2 == 0 ? "a" : "b", i / 2, 1000000 + i);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(checkpoint_write(disk, "/d/points", &points), ERR_OK);
        ck_assert_int_eq(disk_stat(disk, "/d/points", &before), ERR_OK);
        fake_disk_set_room(fake, 0);
        ck_assert_int_eq(
            checkpoint_lower_in_place(disk, "/d/points", i % 2 == 0 ? "a" : "b", i / 2, 7), ERR_OK);
        fake_disk_crash(fake, FAKE_DISK_LOSE_ALL, 1);
        fake_disk_set_room(fake, INT64_MAX);
        struct checkpoint seen;

        ck_assert_int_eq(checkpoint_read(disk, "/d/points", &seen), ERR_OK);
        if (seen.count == 0) { /* its number lies across a border of sectors */
            gone++;
        } else {
            in_place++;
            ck_assert_int_eq(disk_stat(disk, "/d/points", &after), ERR_OK);
            ck_assert_int_eq(after.size, before.size);
            ck_assert_uint_eq(seen.count, 100);
            for (int j = 0; j < 100; j++)
                ck_assert_int_eq(checkpoint_find(&seen, j % 2 == 0 ? "a" : "b", j / 2),
                                 j == i ? 7 : 1000000 + j);
        }
        checkpoint_fini(&seen);
    }
    ck_assert_int_gt(in_place, 80);
    ck_assert_int_gt(gone, 0);
    /* What is not listed, or is lower, is left. */
    ck_assert_int_eq(checkpoint_write(disk, "/d/points", &points), ERR_OK);
    ck_assert_int_eq(checkpoint_lower_in_place(disk, "/d/points", "c", 0, 7), ERR_OK);
    ck_assert_int_eq(checkpoint_lower_in_place(disk, "/d/points", "a", 0, 2000000), ERR_OK);
    ck_assert_int_eq(checkpoint_lower_in_place(disk, "/d/none", "a", 0, 7), ERR_OK);
    struct checkpoint seen;

    ck_assert_int_eq(checkpoint_read(disk, "/d/points", &seen), ERR_OK);
    ck_assert_int_eq(checkpoint_find(&seen, "a", 0), 1000000);
    checkpoint_fini(&seen);
    checkpoint_fini(&points);
    fake_disk_free(&fake);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("checkpoint");

    tcase_add_checked_fixture(tc, start, NULL);
    tcase_add_test(tc, offsets_read_back);
    tcase_add_test(tc, kafkas_text_is_exact);
    tcase_add_test(tc, an_absent_or_empty_file_has_none);
    tcase_add_test(tc, nonsense_is_refused);
    tcase_add_test(tc, epochs_read_back);
    tcase_add_test(tc, partition_metadata_reads_back);
    tcase_add_test(tc, meta_properties_read_back);
    tcase_add_test(tc, an_entry_is_lowered_where_it_stands);
    return unit_run(tc);
}
