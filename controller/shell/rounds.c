/*
 * A round begins with the ids of all topics. Each tick asks for as many versions as make the round
 * ROUND_MS long, BATCH_MAX at most. What differs is put on the list of doubts with the version that
 * was seen: our own write may be on its way to being known. A doubt that is as it was after
 * again_ms is a change; one that differs anew stays.
 *
 * Answers that come after the stop find `stopped` and free what is left with the last of them.
 */
#include "controller/shell/rounds.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/zk/zk_tree.h"

#define TICK_MS   100
#define ROUND_MS  60000
#define BATCH_MAX 50 /* 500 a second: a small part of what a ZooKeeper answers */

struct look {
    struct rounds *rounds;
    struct uuid id;
    int32_t seen; /* version at the look before, -1: this is the first */
    int64_t due_ms;
    TAILQ_ENTRY(look) link; /* while it is a doubt */
};

struct rounds {
    struct rounds_conf conf;
    struct reactor_timer timer;
    struct uuid *ids; /* of this round */
    size_t n, at;
    TAILQ_HEAD(, look) doubts; /* soonest first */
    unsigned out;              /* looks on their way */
    bool resting;              /* the next tick begins a round */
    bool stopped;
};

static void free_all(struct rounds *rounds)
{
    struct look *look;

    while ((look = TAILQ_FIRST(&rounds->doubts)) != NULL) {
        TAILQ_REMOVE(&rounds->doubts, look, link);
        free(look);
    }
    free(rounds->ids);
    free(rounds);
}

static void doubt(struct look *look, int32_t version)
{
    struct rounds *rounds = look->rounds;

    look->seen = version;
    look->due_ms = reactor_now_ms(rounds->conf.reactor) + rounds->conf.again_ms;
    TAILQ_INSERT_TAIL(&rounds->doubts, look, link);
}

static void on_version(void *arg, const struct zk_answer *answer)
{
    struct look *look = arg;
    struct rounds *rounds = look->rounds;
    const struct image *image;
    const struct image_topic *topic;

    rounds->out--;
    if (rounds->stopped) {
        free(look);
        if (rounds->out == 0)
            free_all(rounds);
        return;
    }
    image = rounds->conf.image(rounds->conf.arg);
    topic = image != NULL ? image_topic(image, look->id) : NULL;
    int32_t known = rounds->conf.version(rounds->conf.arg, look->id);
    if (answer->err != ERR_OK || topic == NULL || known < 0 || answer->stat.version == known) {
        free(look);
    } else if (answer->stat.version != look->seen) {
        doubt(look, answer->stat.version);
    } else {
        free(look);
        rounds->conf.on_changed(rounds->conf.arg, topic->name);
    }
}

static void ask(struct rounds *rounds, const struct image *image, struct look *look)
{
    const struct image_topic *topic = image_topic(image, look->id);
    struct arena arena;

    if (topic == NULL) {
        free(look); /* the topic is gone */
        return;
    }
    arena_init(&arena, SIZE_MAX);
    rounds->out++;
    zk_exists(rounds->conf.zk, zk_path_topic(&arena, topic->name), false, on_version, look);
    arena_fini(&arena);
}

static void begin_round(struct rounds *rounds, const struct image *image)
{
    struct image_cursor at = { 0 };
    const struct image_topic *topic;

    free(rounds->ids);
    rounds->ids = xcalloc(image_n_topics(image) + 1, sizeof *rounds->ids);
    rounds->n = rounds->at = 0;
    while ((topic = image_next_topic(image, &at)) != NULL)
        rounds->ids[rounds->n++] = topic->id;
}

static void ask_some(struct rounds *rounds, const struct image *image)
{
    size_t some = rounds->n * TICK_MS / ROUND_MS + 1;

    if (some > BATCH_MAX)
        some = BATCH_MAX;
    for (; some > 0 && rounds->at < rounds->n; rounds->at++, some--) {
        struct look *look = xmalloc(sizeof *look);

        *look = (struct look){ .rounds = rounds, .id = rounds->ids[rounds->at], .seen = -1 };
        ask(rounds, image, look);
    }
}

static void ask_again(struct rounds *rounds, const struct image *image)
{
    int64_t now_ms = reactor_now_ms(rounds->conf.reactor);
    struct look *look;

    while ((look = TAILQ_FIRST(&rounds->doubts)) != NULL && look->due_ms <= now_ms) {
        TAILQ_REMOVE(&rounds->doubts, look, link);
        ask(rounds, image, look);
    }
}

static void on_tick(struct reactor_timer *timer)
{
    struct rounds *rounds = container_of(timer, struct rounds, timer);
    const struct image *image = rounds->conf.image(rounds->conf.arg);

    if (image != NULL) {
        if (rounds->resting)
            begin_round(rounds, image);
        ask_again(rounds, image);
        if (rounds->out < BATCH_MAX) /* ZooKeeper keeps up */
            ask_some(rounds, image);
    }
    rounds->resting = rounds->at == rounds->n && rounds->out == 0 && TAILQ_EMPTY(&rounds->doubts);
    reactor_timer_set_ms(rounds->conf.reactor, timer,
                         rounds->resting ? rounds->conf.rest_ms : TICK_MS);
}

struct rounds *rounds_start(const struct rounds_conf *conf)
{
    struct rounds *rounds = xcalloc(1, sizeof *rounds);

    rounds->conf = *conf;
    rounds->resting = true;
    TAILQ_INIT(&rounds->doubts);
    reactor_timer_init(&rounds->timer, on_tick);
    reactor_timer_set_ms(conf->reactor, &rounds->timer, conf->rest_ms);
    return rounds;
}

void rounds_stop(struct rounds **rounds_ptr)
{
    struct rounds *rounds = *rounds_ptr;

    *rounds_ptr = NULL;
    if (rounds == NULL)
        return;
    reactor_timer_cancel(rounds->conf.reactor, &rounds->timer);
    rounds->stopped = true;
    if (rounds->out == 0)
        free_all(rounds);
}
