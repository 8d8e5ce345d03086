/*
 * The logs of all directories, loaded at the start.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/log/logs_int.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"

/* Files are opened on demand: fewer than this make appends open and close them all the time. */
static void check_file_limit(struct logs *logs)
{
    size_t wanted = logs_count(logs);

    if (wanted > logs->max_open_files)
        say_warn("fewer open files are allowed than there are logs, raise the hard limit "
                 "(ulimit -Hn) logs=%zu files_for_logs=%zu limit_wanted=%zu",
                 wanted, logs->max_open_files, 4 * wanted);
}

struct dir_load {
    struct logs_dir *dir;
    struct thread thread;
};

static void load_dir(void *arg)
{
    struct dir_load *load = arg;

    say_info("loading logs dir=%s clean_stop=%s", load->dir->path,
             load->dir->was_clean ? "yes" : "no");
    logs_dir_load(load->dir);
}

/* Directories are disks of their own, most likely: all at once. */
void logs_load(struct logs *logs)
{
    struct dir_load *loads = xcalloc(logs->dir_count, sizeof *loads);
    int64_t begin_us = clock_mono_us();

    for (size_t i = 0; i < logs->dir_count; i++)
        if (!atomic_load(&logs->dirs[i].env.failed))
            logs_dir_scan(&logs->dirs[i]);
    for (size_t i = 0; i < logs->dir_count; i++) {
        loads[i].dir = &logs->dirs[i];
        if (atomic_load(&logs->dirs[i].env.failed))
            continue;
        if (logs->dir_count == 1 || logs->options.no_threads)
            load_dir(&loads[i]);
        else
            thread_start(&loads[i].thread, T_DIR, (int)i, load_dir, &loads[i]);
    }
    for (size_t i = 0; i < logs->dir_count; i++)
        thread_join(&loads[i].thread);
    free(loads);
    if (atomic_load(&logs->given_up)) {
        say_info("a stop is asked for, the next start recovers what is left logs=%zu",
                 logs_count(logs));
        return;
    }
    say_info("logs loaded count=%zu took_ms=%" PRId64, logs_count(logs),
             (clock_mono_us() - begin_us) / 1000);
    check_file_limit(logs);
}
