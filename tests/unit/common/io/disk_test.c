/*
 * disk: the real one does what the seam says, and the forgetful one does the same until the power
 * goes.
 */
#include "common/io/disk.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/kit/fake_disk.h"
#include "tests/kit/unit.h"

static struct fake_disk *fake;
static struct disk *disk;
static char dir[200];

/* Each test runs on both disks. */
static void pick(int which)
{
    fake = fake_disk_new();
    disk = which == 0 ? disk_posix() : fake_disk_base(fake);
    snprintf(dir, sizeof dir, "%s", which == 0 ? unit_temp_dir() : "/d");
}

static const char *in(const char *name)
{
    static char paths[4][300];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void count_name(void *ctx, const char *name, bool is_dir)
{
    int *count = ctx;

    (void)name;
    *count += is_dir ? 100 : 1;
}

START_TEST(files_are_written_and_read)
{
    char got[32] = "";
    size_t len;
    int64_t size;
    int file;

    pick(_i);
    ck_assert_int_eq(disk_open(disk, in("a"), DISK_READ, &file), ERR_NOT_FOUND);
    ck_assert_int_eq(disk_open(disk, in("a"), DISK_WRITE | DISK_CREATE, &file), ERR_OK);
    char hello[] = "hello ";
    char world[] = "world";
    struct iovec iov[] = { { hello, 6 }, { world, 5 } };

    ck_assert_int_eq(disk_pwritev(disk, file, iov, 2, 3), ERR_OK);
    ck_assert_int_eq(disk_pread(disk, file, got, sizeof got, 3, &len), ERR_OK);
    ck_assert_uint_eq(len, 11);
    ck_assert_str_eq(got, "hello world");
    ck_assert_int_eq(disk_truncate(disk, file, 8), ERR_OK);
    ck_assert_int_eq(disk_size(disk, file, &size), ERR_OK);
    ck_assert_int_eq(size, 8);
    ck_assert_int_eq(disk_truncate(disk, file, 20), ERR_OK);
    ck_assert_int_eq(disk_pread(disk, file, got, 1, 19, &len), ERR_OK);
    ck_assert_int_eq(got[0], 0);
    ck_assert_int_eq(disk_pread(disk, file, got, 1, 20, &len), ERR_OK);
    ck_assert_uint_eq(len, 0);
    ck_assert(disk_is_warm(disk, file, 0, 20));
    ck_assert_int_eq(disk_sync(disk, file), ERR_OK);
    disk_write_out(disk, file, 0, 20);
    ck_assert_int_eq(disk_close(disk, file), ERR_OK);
    ck_assert_int_eq(disk_open(disk, in("a"), DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &file),
                     ERR_EXISTS);
    fake_disk_free(&fake);
}
END_TEST

START_TEST(reserved_room_makes_no_file_longer)
{
    int64_t size;
    int file;

    pick(_i);
    ck_assert_int_eq(disk_open(disk, in("a"), DISK_WRITE | DISK_CREATE, &file), ERR_OK);
    ck_assert_int_eq(disk_pwrite(disk, file, "hello", 5, 0), ERR_OK);
    disk_reserve(disk, file, 5, 1 << 20); /* refused by many file systems */
    ck_assert_int_eq(disk_size(disk, file, &size), ERR_OK);
    ck_assert_int_eq(size, 5);
    ck_assert_int_eq(disk_truncate(disk, file, 5), ERR_OK);
    if (_i == 0) {
        struct stat st;

        ck_assert_int_eq(fstat(file, &st), 0);
        ck_assert_int_lt(st.st_blocks, 64);
    } else {
        ck_assert_int_eq(fake_disk_reserved(fake, in("a")), 0);
    }
    ck_assert_int_eq(disk_close(disk, file), ERR_OK);
    fake_disk_free(&fake);
}
END_TEST

START_TEST(names_come_and_go)
{
    struct disk_stat st;
    int count = 0;
    int file;
    char *text;
    size_t len;

    pick(_i);
    ck_assert_int_eq(disk_make_dirs(disk, in("x/y")), ERR_OK);
    ck_assert_int_eq(disk_mkdir(disk, in("x")), ERR_EXISTS);
    ck_assert_int_eq(disk_replace_file(disk, in("x/y/f"), "one", 3, true), ERR_OK);
    ck_assert_int_eq(disk_replace_file(disk, in("x/y/f"), "two!", 4, true), ERR_OK);
    ck_assert_int_eq(disk_read_file(disk, in("x/y/f"), 100, &text, &len), ERR_OK);
    ck_assert_str_eq(text, "two!");
    free(text);
    ck_assert_int_eq(disk_read_file(disk, in("x/y/f"), 3, &text, &len), ERR_TOO_LARGE);
    ck_assert_int_eq(disk_list(disk, in("x"), count_name, &count), ERR_OK);
    ck_assert_int_eq(count, 100);
    ck_assert_int_eq(disk_rename(disk, in("x/y"), in("x/z")), ERR_OK);
    ck_assert_int_eq(disk_stat(disk, in("x/z/f"), &st), ERR_OK);
    ck_assert_int_eq(st.size, 4);
    ck_assert_int_eq(disk_stat(disk, in("x/y"), &st), ERR_NOT_FOUND);
    ck_assert_int_eq(disk_set_mtime(disk, in("x/z/f"), 1700000000123), ERR_OK);
    ck_assert_int_eq(disk_stat(disk, in("x/z/f"), &st), ERR_OK);
    ck_assert_int_eq(st.mtime_ms, 1700000000123);
    ck_assert_int_eq(disk_remove_tree(disk, in("x")), ERR_OK);
    ck_assert_int_eq(disk_remove_tree(disk, in("x")), ERR_OK);
    ck_assert_int_eq(disk_stat(disk, in("x"), &st), ERR_NOT_FOUND);
    ck_assert_int_eq(disk_lock(disk, in("l"), &file), ERR_OK);
    int other;

    ck_assert_int_eq(disk_lock(disk, in("l"), &other), ERR_LOCKED);
    disk_close(disk, file);
    ck_assert_int_eq(disk_lock(disk, in("l"), &other), ERR_OK);
    disk_close(disk, other);
    fake_disk_free(&fake);
}
END_TEST

static int64_t size_of(const char *name)
{
    struct disk_stat st;

    return disk_stat(disk, in(name), &st) == ERR_OK ? st.size : -1;
}

START_TEST(only_what_was_synced_survives)
{
    int file;

    pick(1);
    ck_assert_int_eq(disk_open(disk, in("f"), DISK_WRITE | DISK_CREATE, &file), ERR_OK);
    ck_assert_int_eq(disk_pwrite(disk, file, "12345", 5, 0), ERR_OK);
    ck_assert_int_eq(disk_sync_data(disk, file), ERR_OK);
    disk_close(disk, file);
    fake_disk_crash(fake, FAKE_DISK_LOSE_ALL, 0);
    ck_assert_int_eq(size_of("f"), -1); /* its name was not synced */
    ck_assert_int_eq(disk_open(disk, in("f"), DISK_WRITE | DISK_CREATE, &file), ERR_OK);
    ck_assert_int_eq(disk_sync_dir(disk, dir), ERR_OK);
    ck_assert_int_eq(disk_pwrite(disk, file, "12345", 5, 0), ERR_OK);
    ck_assert_int_eq(disk_sync_data(disk, file), ERR_OK);
    ck_assert_int_eq(disk_pwrite(disk, file, "678", 3, 5), ERR_OK);
    disk_close(disk, file);
    ck_assert_int_eq(size_of("f"), 8);
    fake_disk_crash(fake, FAKE_DISK_LOSE_ALL, 0);
    ck_assert_int_eq(size_of("f"), 5);
    fake_disk_free(&fake);
}
END_TEST

START_TEST(a_full_disk_says_so)
{
    int file;

    pick(1);
    fake_disk_set_room(fake, 10);
    ck_assert_int_eq(disk_open(disk, in("f"), DISK_WRITE | DISK_CREATE, &file), ERR_OK);
    ck_assert_int_eq(disk_pwrite(disk, file, "12345678", 8, 0), ERR_OK);
    ck_assert_int_eq(disk_pwrite(disk, file, "12345678", 8, 8), ERR_NO_SPACE);
    ck_assert_int_eq(disk_truncate(disk, file, 0), ERR_OK);
    ck_assert_int_eq(disk_pwrite(disk, file, "12345678", 8, 0), ERR_OK);
    disk_close(disk, file);
    fake_disk_free(&fake);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("disk");

    tcase_add_loop_test(tc, files_are_written_and_read, 0, 2);
    tcase_add_loop_test(tc, reserved_room_makes_no_file_longer, 0, 2);
    tcase_add_loop_test(tc, names_come_and_go, 0, 2);
    tcase_add_test(tc, only_what_was_synced_survives);
    tcase_add_test(tc, a_full_disk_says_so);
    return unit_run(tc);
}
