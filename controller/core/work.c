/*
 * What is on its way, gathered from where it waits: nothing is counted for this beforehand, since
 * it is asked for by people and seldom.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

struct gathering {
    void (*fn)(void *arg, const struct core_work *work);
    void *arg;
};

#define WORK_NONE                                                                                  \
    ((struct core_work){                                                                           \
        .topic = STR_NULL, .partition = -1, .broker = -1, .api_key = -1, .age_ms = -1 })

static void tell(const struct gathering *to, struct core_work work)
{
    to->fn(to->arg, &work);
}

static void tell_moves(const struct core *core, const struct gathering *to)
{
    for (size_t i = 0; i < core->n_moving; i++) {
        const struct moving *moving = &core->moving[i];
        const struct image_topic *topic = image_topic(core->image, moving->topic_id);
        const struct image_part *part =
            image_part(core->image, moving->topic_id, moving->partition);
        struct core_work work = WORK_NONE;

        if (topic == NULL || part == NULL || part->adding.n + part->removing.n == 0)
            continue; /* it has arrived */
        work.kind = CORE_WORK_MOVE;
        work.topic = topic->name;
        work.partition = moving->partition;
        work.adding = part->adding;
        work.removing = part->removing;
        work.count = 1;
        tell(to, work);
    }
}

static void tell_deletions(const struct core *core, const struct gathering *to)
{
    const struct doomed *doomed;

    TAILQ_FOREACH (doomed, &core->doomeds, link) {
        struct core_work work = WORK_NONE;

        work.kind = CORE_WORK_DELETION;
        work.topic = str_of(doomed->topic);
        work.count = doomed->n_parts;
        tell(to, work);
    }
}

/* By broker; tombstones come in no order. */
static void tell_files(const struct core *core, const struct gathering *to)
{
    struct image_cursor at = { 0 };
    const struct image_tombstone *stone;
    struct core_work *brokers = NULL;
    size_t n = 0, cap = 0, i;

    while ((stone = image_next_tombstone(core->image, &at)) != NULL) {
        for (i = 0; i < n && brokers[i].broker != stone->broker;)
            i++;
        if (i == n) {
            array_reserve(&brokers, &cap, n, sizeof *brokers);
            brokers[n] = WORK_NONE;
            brokers[n].kind = CORE_WORK_FILES;
            brokers[n++].broker = stone->broker;
        }
        brokers[i].count++;
    }
    for (i = 0; i < n; i++)
        tell(to, brokers[i]);
    free(brokers);
}

static void tell_requests(const struct core *core, int64_t now_ms, const struct gathering *to)
{
    const struct wait_shutdown *wait;
    const struct job *job;

    TAILQ_FOREACH (job, &core->jobs, link) {
        struct core_work work = WORK_NONE;

        if (job->answered)
            continue;
        work.kind = CORE_WORK_REQUEST;
        work.api_key = job->api_key;
        work.count = (int64_t)job->n_open;
        work.age_ms = now_ms - job->came_ms;
        tell(to, work);
    }
    STAILQ_FOREACH (wait, &core->shutdowns, link) {
        struct core_work work = WORK_NONE;

        work.kind = CORE_WORK_SHUTDOWN;
        work.broker = wait->broker;
        work.count = 1;
        tell(to, work);
    }
}

static void tell_wishes(const struct core *core, const struct gathering *to)
{
    const struct wishes *wishes = &core->wishes;

    for (size_t i = 0; i < wishes->n_moves + wishes->n_elections; i++) {
        const struct wanted_move *wish =
            i < wishes->n_moves ? &wishes->moves[i] : &wishes->elections[i - wishes->n_moves];
        struct core_work work = WORK_NONE;

        work.kind = CORE_WORK_WISH;
        work.topic = str_of(wish->topic);
        work.partition = wish->partition;
        work.count = 1;
        tell(to, work);
    }
}

void core_each_work(const struct core *core, int64_t now_ms,
                    void (*fn)(void *arg, const struct core_work *work), void *arg)
{
    const struct gathering to = { .fn = fn, .arg = arg };

    if (!core_is_active(core))
        return;
    tell_moves(core, &to);
    tell_deletions(core, &to);
    tell_files(core, &to);
    tell_requests(core, now_ms, &to);
    tell_wishes(core, &to);
    if (core->writing != NULL) {
        struct core_work work = WORK_NONE;

        work.kind = CORE_WORK_WRITE;
        work.count = (int64_t)core->writing->n_ops;
        tell(&to, work);
    }
}
