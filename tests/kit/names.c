#include "tests/kit/names.h"

#include <check.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/lock.h"
#include "common/base/mem.h"

struct names {
    struct lock lock;
    struct cond cond; /* anything below has changed */
    bool go;          /* [m] */
    int begun;        /* [m] */
    int hanging;      /* [m] */
};

static bool begins(const char *host, const char *with)
{
    return strncmp(host, with, strlen(with)) == 0;
}

enum err names_look(void *arg, const char *host, struct net_addr *out, const char **why)
{
    struct names *names = arg;

    lock_take(&names->lock);
    names->begun++;
    if (begins(host, "hang.")) {
        names->hanging++;
        cond_broadcast(&names->cond);
        while (!names->go)
            cond_wait(&names->cond, &names->lock);
        names->hanging--;
    }
    bool is_mute = begins(host, "mute.") && !names->go;
    lock_drop(&names->lock);
    *why = is_mute ? "no name server answers" : "nobody has this name";
    if (is_mute)
        return ERR_REQUEST_TIMED_OUT;
    return begins(host, "no.") ? ERR_NOT_FOUND : net_addr_literal("127.0.0.1", 0, out);
}

struct names *names_new(void)
{
    struct names *names = xcalloc(1, sizeof *names);

    lock_init(&names->lock, LOCK_LEAF);
    cond_init(&names->cond);
    return names;
}

/* Is there a thread that looks names up? It may not have come as far as names_look(). */
static bool is_looking_up(void)
{
    DIR *tasks = opendir("/proc/self/task");
    bool found = false;

    ck_assert_ptr_nonnull(tasks);
    for (const struct dirent *entry; !found && (entry = readdir(tasks)) != NULL;) {
        char path[64], name[16] = "";

        snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue; /* it has just ended */
        found = fgets(name, sizeof name, file) != NULL && strcmp(name, "resolve\n") == 0;
        fclose(file);
    }
    closedir(tasks);
    return found;
}

void names_free(struct names **names_ptr)
{
    struct names *names = *names_ptr;

    *names_ptr = NULL;
    while (is_looking_up())
        sched_yield();
    lock_take(&names->lock); /* what they did is seen */
    lock_drop(&names->lock);
    cond_fini(&names->cond);
    lock_fini(&names->lock);
    free(names);
}

void names_let_go(struct names *names, bool go)
{
    lock_take(&names->lock);
    names->go = go;
    cond_broadcast(&names->cond);
    lock_drop(&names->lock);
}

int names_count(struct names *names)
{
    lock_take(&names->lock);
    int begun = names->begun;
    lock_drop(&names->lock);
    return begun;
}

void names_await_hanging(struct names *names, int count)
{
    lock_take(&names->lock);
    while (names->hanging < count)
        cond_wait(&names->cond, &names->lock);
    lock_drop(&names->lock);
}
