/*
 * files: as few are open as was said, however many there are; who is in use stays open, who was not
 * used for longest is closed; nothing of that shows to who reads.
 */
#include "broker/log/files.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

#define FILES    50
#define MAX_OPEN 8

static struct files *files;
static struct file *all[FILES];
static const char *dir;

static char *path_of(int i)
{
    return xasprintf("%s/%03d", dir, i);
}

/* Of this process, as the system has it. */
static size_t open_here(void)
{
    char link[300], target[4096];
    struct dirent *entry;
    size_t count = 0;
    DIR *fds = opendir("/proc/self/fd");

    while ((entry = readdir(fds)) != NULL) {
        snprintf(link, sizeof link, "/proc/self/fd/%s", entry->d_name);
        ssize_t len = readlink(link, target, sizeof target - 1);

        count += len > 0 && strncmp(target, dir, strlen(dir)) == 0;
    }
    closedir(fds);
    return count;
}

static void start(void)
{
    dir = unit_temp_dir();
    files = files_new(disk_posix(), MAX_OPEN);
    for (int i = 0; i < FILES; i++) {
        char *path = path_of(i);

        all[i] = file_new(files, path);
        free(path);
    }
    ck_assert_uint_eq(open_here(), 0); /* a name opens nothing */
    for (int i = 0; i < FILES; i++) {
        ck_assert_int_eq(file_make(all[i]), ERR_OK);
        ck_assert_int_eq(file_pwrite(all[i], &i, sizeof i, 0), ERR_OK);
    }
}

static void stop(void)
{
    for (int i = 0; i < FILES; i++)
        file_unref(&all[i]);
    ck_assert_uint_eq(open_here(), 0);
    files_free(&files);
}

static void expect_content(int i)
{
    int have = -1;
    size_t got;

    ck_assert_int_eq(file_pread(all[i], &have, sizeof have, 0, &got), ERR_OK);
    ck_assert_int_eq(have, i);
}

START_TEST(no_more_are_open_than_was_said)
{
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < FILES; i++) {
            expect_content((i * 7) % FILES);
            ck_assert_uint_le(open_here(), MAX_OPEN);
            ck_assert_uint_eq(open_here(), files_open_count(files));
        }
}
END_TEST

START_TEST(what_is_in_use_stays_open_beyond_that)
{
    int fds[20];
    int fd;

    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(file_pin(all[i], &fds[i]), ERR_OK);
    ck_assert_uint_eq(open_here(), 20);
    expect_content(30);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(file_pin(all[i], &fd), ERR_OK);
        ck_assert_int_eq(fd, fds[i]);
        file_unpin(all[i]);
    }
    for (int i = 0; i < 20; i++)
        file_unpin(all[i]);
    expect_content(30);
    ck_assert_uint_le(open_here(), MAX_OPEN);
}
END_TEST

START_TEST(who_was_not_used_for_longest_is_closed)
{
    int before, now;

    for (int i = 0; i < MAX_OPEN; i++)
        expect_content(i);
    ck_assert_int_eq(file_pin(all[0], &before), ERR_OK);
    file_unpin(all[0]);
    expect_content(20); /* closes 1 */
    ck_assert_int_eq(file_pin(all[0], &now), ERR_OK);
    ck_assert_int_eq(now, before);
    file_unpin(all[0]);
    ck_assert_uint_eq(open_here(), MAX_OPEN);
}
END_TEST

START_TEST(a_renamed_file_is_opened_by_its_new_name)
{
    char *from = path_of(0);
    char *to = xasprintf("%s/renamed", dir);

    ck_assert_int_eq(rename(from, to), 0);
    file_renamed(all[0], to);
    for (int i = 1; i < FILES; i++)
        expect_content(i); /* it is closed long since */
    expect_content(0);
    free(from);
    free(to);
}
END_TEST

START_TEST(what_is_kept_closed_is_open_only_while_it_is_in_use)
{
    int fd, value = -1;
    size_t got;

    ck_assert_int_eq(file_pread(all[0], &value, sizeof value, 0, &got), ERR_OK);
    ck_assert_int_eq(file_pin(all[1], &fd), ERR_OK);
    size_t before = open_here();

    file_keep_closed(all[0]);
    ck_assert_uint_eq(open_here(), before - 1);
    file_keep_closed(all[1]);
    ck_assert_uint_eq(open_here(), before - 1); /* in use */
    ck_assert_int_eq(pread(fd, &value, sizeof value, 0), sizeof value);
    ck_assert_int_eq(value, 1);
    file_unpin(all[1]);
    ck_assert_uint_eq(open_here(), before - 2);
    ck_assert_int_eq(file_pread(all[1], &value, sizeof value, 0, &got), ERR_OK); /* again */
    ck_assert_int_eq(value, 1);
    ck_assert_uint_eq(open_here(), before - 2);
    ck_assert_uint_eq(files_open_count(files), before - 2);
}
END_TEST

START_TEST(a_missing_file_is_told_and_made)
{
    char *path = path_of(FILES);
    struct file *file = file_new(files, path);
    char byte;
    size_t got;

    ck_assert_int_eq(file_pread(file, &byte, 1, 0, &got), ERR_NOT_FOUND);
    ck_assert_int_eq(file_make(file), ERR_OK);
    ck_assert_int_eq(file_pread(file, &byte, 1, 0, &got), ERR_OK);
    ck_assert_uint_eq(got, 0);
    file_unref(&file);
    free(path);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("files");

    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, no_more_are_open_than_was_said);
    tcase_add_test(tc, what_is_in_use_stays_open_beyond_that);
    tcase_add_test(tc, who_was_not_used_for_longest_is_closed);
    tcase_add_test(tc, a_renamed_file_is_opened_by_its_new_name);
    tcase_add_test(tc, what_is_kept_closed_is_open_only_while_it_is_in_use);
    tcase_add_test(tc, a_missing_file_is_told_and_made);
    return unit_run(tc);
}
