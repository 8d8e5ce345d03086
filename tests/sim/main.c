/*
 * moldau-sim - whole clusters in one thread, from seeds.
 *
 *   --seeds A-B [--jobs N]     histories by chance; prints the seed that repeats a failure
 *     --record                 and adds a line about the run to tests/sim/runs.tsv
 *   --seed N [--trace]         one of them again; --trace says everything that happens
 *   --shrink N                 makes the history of that seed as small as it still fails; the first
 *                              failure of --seeds is told so by itself
 *   --story NAME, --stories    known hard cases, each with many seeds (--seeds, --seed: with
 *                              those);
 *                              --list names them and the mutations
 *   --mutation NAME            with a rule broken on purpose
 *   --mutations                every mutation must be caught
 *
 * The last line is "N passed, N failed".
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim.h"
#include "tests/sim/stories/stories.h"

/* A broken rule must show within so many histories; after the first few, when a story is told so
 * often. */
#define MUTATION_SEEDS       20000
#define MUTATION_FEW         3000
#define MUTATION_STORY_SEEDS 50
#define STORY_SEEDS          200

static const struct {
    const char *name;
    const char *doc;
} mutations[] = {
    { "none", "" },
#define MUTATION(kind, name, doc) { #name, doc },
#include "tests/sim/mutation.def"
#undef MUTATION
};

struct job {
    uint64_t first, last;
    size_t passed, failed, steps, acked, forfeited, warm, warm_topics, cold, deleted, moved,
        unclean, commits, formed;
    int64_t healed_ms, healed_ms_max;
};

static double now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Of one core, also of jobs that have ended: other work on the machine does not count. */
static double cpu_s(void)
{
    struct rusage self, jobs;

    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &jobs);
    return (double)(self.ru_utime.tv_sec + self.ru_stime.tv_sec + jobs.ru_utime.tv_sec +
                    jobs.ru_stime.tv_sec) +
           (double)(self.ru_utime.tv_usec + self.ru_stime.tv_usec + jobs.ru_utime.tv_usec +
                    jobs.ru_stime.tv_usec) /
               1e6;
}

static enum mutation mutation_named(const char *name)
{
    for (int i = 1; i < MUTATIONS; i++)
        if (strcmp(mutations[i].name, name) == 0)
            return (enum mutation)i;
    fprintf(stderr, "moldau-sim: no mutation %s; --list names them\n", name);
    exit(2);
}

static void show_failure(uint64_t seed, const struct sim_conf *conf, const char *why, bool is_first)
{
    printf("FAILED seed=%" PRIu64 ": %s\n", seed, why);
    if (is_first && !conf->trace)
        shrink_and_tell(seed, conf);
    printf("repeat with: moldau-sim --seed %" PRIu64 "%s%s --trace\n", seed,
           conf->mutation != MUTATION_NONE ? " --mutation " : "",
           conf->mutation != MUTATION_NONE ? mutations[conf->mutation].name : "");
    fflush(stdout);
}

static void run_job(struct job *job, const struct sim_conf *conf)
{
    for (uint64_t seed = job->first; seed <= job->last; seed++) {
        struct verdict verdict;

        history_run(seed, conf, &verdict);
        job->steps += verdict.steps;
        job->acked += verdict.acked;
        job->forfeited += verdict.forfeited > 0;
        job->warm += verdict.warm;
        job->warm_topics += verdict.warm_topics;
        job->cold += verdict.cold;
        job->deleted += verdict.deleted;
        job->moved += verdict.moved;
        job->unclean += verdict.unclean;
        job->commits += verdict.commits;
        job->formed += verdict.formed;
        job->healed_ms += verdict.healed_ms;
        if (verdict.healed_ms > job->healed_ms_max)
            job->healed_ms_max = verdict.healed_ms;
        if (verdict.ok) {
            job->passed++;
            continue;
        }
        show_failure(seed, conf, verdict.why, job->failed == 0);
        job->failed++;
    }
}

/* Each job in a process of its own; what it found comes back through a pipe. */
static void run_jobs(struct job *total, int jobs, const struct sim_conf *conf)
{
    uint64_t n = total->last - total->first + 1;
    int pipes[64][2];

    if (jobs <= 1) {
        run_job(total, conf);
        return;
    }
    for (int i = 0; i < jobs; i++) {
        struct job part = { .first = total->first + n * (uint64_t)i / (uint64_t)jobs,
                            .last = total->first + n * (uint64_t)(i + 1) / (uint64_t)jobs - 1 };

        fflush(stdout);
        if (pipe(pipes[i]) != 0)
            abort();
        if (fork() == 0) {
            run_job(&part, conf);
            fflush(stdout);
            _exit(write(pipes[i][1], &part, sizeof part) == (ssize_t)sizeof part ? 0 : 1);
        }
        close(pipes[i][1]);
    }
    for (int i = 0; i < jobs; i++) {
        struct job part;
        int status = 0;

        if (read(pipes[i][0], &part, sizeof part) == (ssize_t)sizeof part) {
            total->passed += part.passed;
            total->failed += part.failed;
            total->steps += part.steps;
            total->acked += part.acked;
            total->forfeited += part.forfeited;
            total->warm += part.warm;
            total->warm_topics += part.warm_topics;
            total->cold += part.cold;
            total->deleted += part.deleted;
            total->moved += part.moved;
            total->unclean += part.unclean;
            total->commits += part.commits;
            total->formed += part.formed;
            total->healed_ms += part.healed_ms;
            if (part.healed_ms_max > total->healed_ms_max)
                total->healed_ms_max = part.healed_ms_max;
        } else {
            total->failed++;
            printf("FAILED: a job ended early\n");
        }
        close(pipes[i][0]);
        wait(&status);
    }
}

static int run_seeds(uint64_t first, uint64_t last, int jobs, bool records,
                     const struct sim_conf *conf)
{
    struct job total = { .first = first, .last = last };
    double from_s = now_s(), took_s;
    size_t n;

    if (records && (conf->mutation != MUTATION_NONE || !record_may()))
        return 2;
    run_jobs(&total, jobs, conf);
    took_s = now_s() - from_s;
    n = total.passed + total.failed;
    if (n > 0)
        printf("%zu histories in %.1f s, %.0f in a core's minute; %zu events and %zu acknowledged "
               "records "
               "each; whole again after %" PRId64 " ms, at most %" PRId64 "\n",
               n, took_s, (double)n / cpu_s() * 60, total.steps / n, total.acked / n,
               total.healed_ms / (int64_t)n, total.healed_ms_max);
    printf("%zu seats taken over warm and held against ZooKeeper, %zu with the topic; %zu cold\n",
           total.warm, total.warm_topics, total.cold);
    printf("%zu topics deleted, %zu assignments written, %zu unclean elections\n", total.deleted,
           total.moved, total.unclean);
    printf("%zu assignments to members of groups, %zu offsets committed\n", total.formed,
           total.commits);
    if (total.forfeited > 0)
        printf("%zu histories left a partition to a machine that had lost its tail unheard: no "
               "promise there\n",
               total.forfeited);
    printf("%zu passed, %zu failed\n", total.passed, total.failed);
    if (records && !record_add(&(struct run){ .first = first,
                                              .last = last,
                                              .passed = total.passed,
                                              .failed = total.failed,
                                              .took_s = took_s,
                                              .cpu_s = cpu_s() })) {
        fprintf(stderr, "moldau-sim: cannot write %s\n", RECORD_FILE);
        return 2;
    }
    return total.failed > 0 ? 1 : 0;
}

/* Returns the last seed that was run; *story is "" for a history by chance. */
static uint64_t look_for(struct sim_conf *conf, struct verdict *verdict, const char **story)
{
    uint64_t seed = 0;

    *story = "";
    while (verdict->ok && seed < MUTATION_FEW)
        history_run(++seed, conf, verdict);
    for (size_t s = 0; verdict->ok && s < n_stories; s++)
        for (seed = 0; verdict->ok && seed < MUTATION_STORY_SEEDS;) {
            story_run(&stories[s], ++seed, conf, verdict);
            *story = stories[s].name;
        }
    if (!verdict->ok)
        return seed;
    *story = "";
    for (seed = MUTATION_FEW; verdict->ok && seed < MUTATION_SEEDS;)
        history_run(++seed, conf, verdict);
    return seed;
}

static int run_mutations(struct sim_conf *conf)
{
    int caught = 0, missed = 0;

    for (int i = 1; i < MUTATIONS; i++) {
        struct verdict verdict = { .ok = true };
        const char *story;

        conf->mutation = (enum mutation)i;
        uint64_t seed = look_for(conf, &verdict, &story);
        if (verdict.ok) {
            missed++;
            printf("%-18s NOT caught: %s\n", mutations[i].name, mutations[i].doc);
        } else {
            caught++;
            printf("%-18s %s%sseed %-4" PRIu64 " %s\n", mutations[i].name, story,
                   story[0] != '\0' ? " " : "", seed, verdict.why);
        }
        fflush(stdout);
    }
    printf("%d passed, %d failed\n", caught, missed);
    return missed > 0 ? 1 : 0;
}

static void run_story(const struct story *story, uint64_t first, uint64_t last,
                      const struct sim_conf *conf, size_t *passed, size_t *failed)
{
    for (uint64_t seed = first; seed <= last; seed++) {
        struct verdict verdict;

        story_run(story, seed, conf, &verdict);
        if (verdict.ok) {
            ++*passed;
            continue;
        }
        ++*failed;
        printf("FAILED story=%s seed=%" PRIu64 ": %s\n", story->name, seed, verdict.why);
        printf("repeat with: moldau-sim --story %s --seed %" PRIu64 " --trace\n", story->name,
               seed);
    }
}

/* name NULL: all of them */
static int run_stories(const char *name, uint64_t first, uint64_t last, const struct sim_conf *conf)
{
    size_t passed = 0, failed = 0, told = 0;

    for (size_t i = 0; i < n_stories; i++) {
        if (name != NULL && strcmp(stories[i].name, name) != 0)
            continue;
        told++;
        run_story(&stories[i], first, last, conf, &passed, &failed);
    }
    if (told == 0) {
        fprintf(stderr, "moldau-sim: no story %s; --list names them\n", name);
        return 2;
    }
    printf("%zu passed, %zu failed\n", passed, failed);
    return failed > 0 ? 1 : 0;
}

static int list(void)
{
    for (size_t i = 0; i < n_stories; i++)
        printf("story    %-28s %s\n", stories[i].name, stories[i].doc);
    for (int i = 1; i < MUTATIONS; i++)
        printf("mutation %-28s %s\n", mutations[i].name, mutations[i].doc);
    return 0;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: moldau-sim --seeds A-B [--jobs N] [--record] | --seed N [--trace] | "
            "--shrink N | --story NAME | --stories | --mutations | --list   [--mutation NAME]\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct sim_conf conf = { .mutation = MUTATION_NONE };
    uint64_t first = 0, last = 0, shrunk = 0;
    int jobs = 1;
    bool all_mutations = false, all_stories = false, records = false;
    const char *story = NULL;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--trace") == 0) {
            conf.trace = true;
        } else if (strcmp(argv[i], "--mutations") == 0) {
            all_mutations = true;
        } else if (strcmp(argv[i], "--stories") == 0) {
            all_stories = true;
        } else if (strcmp(argv[i], "--record") == 0) {
            records = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            return list();
        } else if (value == NULL) {
            return usage();
        } else if (strcmp(argv[i], "--seeds") == 0 &&
                   sscanf(value, "%" SCNu64 "-%" SCNu64, &first, &last) == 2) {
            i++;
        } else if (strcmp(argv[i], "--seed") == 0 && sscanf(value, "%" SCNu64, &first) == 1) {
            last = first;
            i++;
        } else if (strcmp(argv[i], "--shrink") == 0 && sscanf(value, "%" SCNu64, &shrunk) == 1) {
            i++;
        } else if (strcmp(argv[i], "--jobs") == 0 && atoi(value) > 0 && atoi(value) <= 64) {
            jobs = atoi(value);
            i++;
        } else if (strcmp(argv[i], "--story") == 0) {
            story = value;
            i++;
        } else if (strcmp(argv[i], "--mutation") == 0) {
            conf.mutation = mutation_named(value);
            i++;
        } else {
            return usage();
        }
    }
    if (all_mutations)
        return run_mutations(&conf);
    if (all_stories || story != NULL)
        return run_stories(story, last == 0 ? 1 : first, last == 0 ? STORY_SEEDS : last, &conf);
    if (shrunk > 0)
        return shrink_and_tell(shrunk, &conf);
    if (last == 0 || last < first)
        return usage();
    return run_seeds(first, last, jobs, records, &conf);
}
