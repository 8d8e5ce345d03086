/*
 * index: the largest entry at or below a key is found whether it waits in memory or is in the file,
 * and a truncation takes both back.
 */
#include "broker/log/index.h"

#include <check.h>
#include <stdio.h>

#include "tests/kit/unit.h"

static struct files *files;
static struct file *file;
static struct index idx;

/* --- a disk that counts reads --- */

static struct disk_ops counting_ops;
static struct disk counting = { .ops = &counting_ops };
static int reads;

static enum err count_pread(struct disk *disk, int number, void *into, size_t len, int64_t pos,
                            size_t *got)
{
    (void)disk;
    reads++;
    return disk_pread(disk_posix(), number, into, len, pos, got);
}

static struct disk *counting_disk(void)
{
    counting_ops = *disk_posix()->ops; /* the others do not look at their disk */
    counting_ops.pread = count_pread;
    return &counting;
}

static void start_kind(enum index_kind kind)
{
    char path[200];

    files = files_new(counting_disk(), 4);
    snprintf(path, sizeof path, "%s/x", unit_temp_dir());
    file = file_new(files, path);
    index_init(&idx, kind, file, 100, 10 << 20);
}

static void start(void)
{
    start_kind(INDEX_OFFSET);
}

static void stop(void)
{
    index_fini(&idx);
    file_unref(&file);
    files_free(&files);
}

/* Entries for offsets 110, 120, … at positions 1000, 2000, … */
static void fill(int count)
{
    for (int i = 1; i <= count; i++)
        index_add(&idx, 100 + 10 * i, 1000 * i, false);
}

static void save(void)
{
    ck_assert_int_eq(index_save(&idx), ERR_OK);
    index_saved(&idx, index_count(&idx));
}

static void expect_lookups(int count)
{
    struct index_entry entry;
    bool found;

    ck_assert_int_eq(index_find(&idx, 109, &entry, &found), ERR_OK);
    ck_assert(!found);
    for (int i = 1; i <= count; i++)
        for (int d = 0; d < 10; d += 9) {
            ck_assert_int_eq(index_find(&idx, 100 + 10 * i + d, &entry, &found), ERR_OK);
            ck_assert(found);
            ck_assert_int_eq(entry.key, 100 + 10 * i);
            ck_assert_int_eq(entry.value, 1000 * i);
        }
}

START_TEST(entries_are_found_in_memory_and_in_the_file)
{
    fill(300);
    expect_lookups(300);
    save();
    expect_lookups(300);
    for (int i = 301; i <= 320; i++)
        index_add(&idx, 100 + 10 * i, 1000 * i, false);
    expect_lookups(320);
}
END_TEST

/* Most reads that a lookup among many entries takes; keys grow by what step_of says. */
static int most_reads(int (*step_of)(int i))
{
    enum { ENTRIES = 200000 };
    struct index_entry entry;
    int64_t key = 100;
    int most = 0;
    bool found;

    for (int i = 0; i < ENTRIES; i++) {
        key += step_of(i);
        index_add(&idx, key, 1000 * (i + 1), false);
        if (index_wants_save(&idx))
            save();
    }
    save();
    for (int64_t want = 101; want < key; want += 997) {
        reads = 0;
        ck_assert_int_eq(index_find(&idx, want, &entry, &found), ERR_OK);
        most = reads > most ? reads : most;
        ck_assert(!found || entry.key <= want);
    }
    return most;
}

static int evenly(int i)
{
    return 10 + i % 3;
}

/* One end is a thousand times as dense as the other. */
static int unevenly(int i)
{
    return i < 150000 ? 1 : 1000;
}

/* The index is not kept in memory: what is read must be a page or two that the page cache has. */
START_TEST(a_lookup_in_a_large_index_reads_few_blocks)
{
    ck_assert_int_le(most_reads(evenly), 2);
    ck_assert_int_eq(index_reset(&idx), ERR_OK);
    ck_assert_int_le(most_reads(unevenly), 2 * 11); /* twice a binary search among 1,563 blocks */
}
END_TEST

START_TEST(a_saved_index_is_loaded)
{
    struct index other;

    fill(1000);
    save();
    index_init(&other, INDEX_OFFSET, file, 100, 10 << 20);
    ck_assert_int_eq(index_load(&other, 8000), ERR_OK);
    ck_assert_int_eq(index_count(&other), 1000);
    ck_assert_int_eq(other.last.key, 100 + 10 * 1000);
    ck_assert_int_eq(index_load(&other, 7999), ERR_CORRUPT_FILE);
    index_fini(&other);
}
END_TEST

START_TEST(a_truncation_takes_both_back)
{
    fill(200);
    save();
    for (int i = 201; i <= 210; i++)
        index_add(&idx, 100 + 10 * i, 1000 * i, false);
    ck_assert_int_eq(index_truncate(&idx, 100 + 10 * 206), ERR_OK);
    ck_assert_int_eq(index_count(&idx), 205);
    ck_assert_int_eq(index_truncate(&idx, 100 + 10 * 151), ERR_OK);
    ck_assert_int_eq(index_count(&idx), 150);
    expect_lookups(150);
    ck_assert_int_eq(index_truncate(&idx, 0), ERR_OK);
    ck_assert_int_eq(index_count(&idx), 0);
    fill(3);
    expect_lookups(3);
}
END_TEST

START_TEST(time_entries_only_go_forward)
{
    stop();
    start_kind(INDEX_TIME);
    index_add(&idx, 5000, 110, false);
    index_add(&idx, 5000, 120, false); /* not newer */
    index_add(&idx, 4000, 130, false);
    ck_assert_int_eq(index_count(&idx), 1);
    index_add(&idx, 6000, 140, false);
    save();
    struct index_entry entry;
    bool found;

    ck_assert_int_eq(index_find(&idx, 5999, &entry, &found), ERR_OK);
    ck_assert(found);
    ck_assert_int_eq(entry.value, 110);
}
END_TEST

START_TEST(a_full_time_index_keeps_a_slot_for_the_end)
{
    stop();
    start_kind(INDEX_TIME);
    idx.max_entries = 3;
    index_add(&idx, 1, 101, false);
    index_add(&idx, 2, 102, false);
    ck_assert(index_is_full(&idx));
    index_add(&idx, 3, 103, false);
    ck_assert_int_eq(index_count(&idx), 2);
    index_add(&idx, 3, 103, true);
    ck_assert_int_eq(index_count(&idx), 3);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("index");

    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, entries_are_found_in_memory_and_in_the_file);
    tcase_add_test(tc, a_lookup_in_a_large_index_reads_few_blocks);
    tcase_add_test(tc, a_saved_index_is_loaded);
    tcase_add_test(tc, a_truncation_takes_both_back);
    tcase_add_test(tc, time_entries_only_go_forward);
    tcase_add_test(tc, a_full_time_index_keeps_a_slot_for_the_end);
    return unit_run(tc);
}
