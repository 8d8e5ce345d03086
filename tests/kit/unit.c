#include "tests/kit/unit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"

static char temp_dirs[16][256];
static size_t temp_count;
static pid_t temp_owner;

int unit_run(TCase *tc)
{
    return unit_run_within(tc, 60);
}

int unit_run_within(TCase *tc, double seconds)
{
    Suite *suite = suite_create("unit");

    tcase_set_timeout(tc, seconds);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_temp_dirs(void)
{
    if (temp_owner != getpid())
        return;
    for (size_t i = 0; i < temp_count; i++)
        nftw(temp_dirs[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *unit_temp_dir(void)
{
    const char *base = getenv("TMPDIR");

    if (temp_owner != getpid()) {
        temp_owner = getpid();
        temp_count = 0;
        atexit(remove_temp_dirs);
    }
    ck_assert(temp_count < ARRAY_LEN(temp_dirs));
    char *dir = temp_dirs[temp_count++];
    snprintf(dir, sizeof temp_dirs[0], "%s/moldau-unit-XXXXXX", base != NULL ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    return dir;
}

const char *unit_data(const char *name)
{
    static char path[512];
    const char *up[] = { "", "../", "../../", "../../../", "../../../../" };

    for (size_t i = 0; i < ARRAY_LEN(up); i++) {
        snprintf(path, sizeof path, "%stests/data/%s", up[i], name);
        if (access(path, R_OK) == 0)
            return path;
    }
    ck_abort_msg("tests/data/%s not found: run from the checkout", name);
    return NULL;
}

char *unit_read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    size_t cap = 0, have = 0;
    char *text = NULL;

    ck_assert_msg(file != NULL, "cannot read %s", path);
    for (;;) {
        array_reserve(&text, &cap, have + 65536, 1);
        size_t got = fread(text + have, 1, 65536, file);
        have += got;
        if (got == 0)
            break;
    }
    fclose(file);
    text[have] = '\0';
    *len = have;
    return text;
}
