/*
 * What long runs found is kept in the tree: one line each, with the commit that was run. A tree
 * with changes has no commit, so nothing is recorded of it. The line goes in with one write(), so
 * that two runs at once do not mix theirs.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/sim/sim.h"

/* The first line that the command prints; false when it fails. */
static bool ask(const char *command, char *line, size_t size)
{
    FILE *pipe = popen(command, "r"); // NOLINT(cert-env33-c): fixed words of ours

    line[0] = '\0';
    if (pipe == NULL)
        return false;
    if (fgets(line, (int)size, pipe) != NULL)
        line[strcspn(line, "\n")] = '\0';
    return pclose(pipe) == 0;
}

bool record_may(void)
{
    char line[256];

    if (access(RECORD_FILE, W_OK) != 0) {
        fprintf(stderr, "moldau-sim: --record wants to be run where %s is\n", RECORD_FILE);
        return false;
    }
    /* the file itself changes with every run */
    if (!ask("git status --porcelain --untracked-files=no -- . ':!" RECORD_FILE "'", line,
             sizeof line) ||
        line[0] != '\0') {
        fprintf(stderr, "moldau-sim: --record refuses a tree with changes: %s\n", line);
        return false;
    }
    return true;
}

bool record_add(const struct run *run)
{
    char commit[64], line[256], date[32];
    time_t now = time(NULL);
    struct tm tm;
    int fd, len;
    bool good;

    if (!ask("git rev-parse --short=12 HEAD", commit, sizeof commit))
        return false;
    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%Y-%m-%d %H:%M", &tm);
    len = snprintf(line, sizeof line, "%s\t%s\t%" PRIu64 "-%" PRIu64 "\t%zu\t%zu\t%s\t%.1f\t%.0f\n",
                   date, commit, run->first, run->last, run->passed + run->failed, run->failed,
                   run->failed == 0 ? "holds" : "BROKEN", run->took_s / 60,
                   (double)(run->passed + run->failed) / run->cpu_s * 60);
    fd = open(RECORD_FILE, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        return false;
    good = write(fd, line, (size_t)len) == len;
    return close(fd) == 0 && good;
}
