/*
 * One znode for all: a question that another standby has replaced counts as unknown, and is asked
 * again.
 */
#include "controller/shell/question.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/zk/zk_tree.h"
#include "common/zk/zk_watch.h"

#define TEXT_BYTES 64

struct question {
    struct zk *zk;
    struct reactor *reactor;
    int32_t controller_id;
    void (*done)(void *arg, enum question_outcome outcome);
    void *arg;
    struct reactor_timer timer;
    struct rand rand;
    unsigned out;
    bool freed, asking;
    int64_t within_ms;
    uint64_t turn; /* of the question; answers to calls of an earlier one do not count */
    char text[TEXT_BYTES];
};

/* A call of a question. */
struct call {
    struct question *question;
    uint64_t turn;
};

static struct call *call_new(struct question *q)
{
    struct call *call = xmalloc(sizeof *call);

    *call = (struct call){ .question = q, .turn = q->turn };
    q->out++;
    return call;
}

/* NULL: nobody waits for it. */
static struct question *call_end(struct call *call)
{
    struct question *q = call->question;
    bool ours = q->asking && call->turn == q->turn;

    free(call);
    if (--q->out == 0 && q->freed) {
        free(q);
        return NULL;
    }
    return ours ? q : NULL;
}

static void end(struct question *q, enum question_outcome outcome)
{
    q->asking = false;
    q->done(q->arg, outcome);
}

static void on_read(void *arg, const struct zk_answer *answer)
{
    struct question *q = call_end(arg);

    if (q == NULL)
        return;
    if (answer->err != ERR_OK)
        end(q, QUESTION_UNKNOWN);
    else if (answer->data.len == 0)
        end(q, QUESTION_ANSWERED);
    else
        end(q, str_is(answer->data, q->text) ? QUESTION_STANDS : QUESTION_UNKNOWN);
}

static void on_synced(void *arg, const struct zk_answer *answer)
{
    struct question *q = call_end(arg);

    if (q == NULL)
        return;
    if (answer->err != ERR_OK)
        end(q, QUESTION_UNKNOWN);
    else
        zk_get(q->zk, ZK_QUESTION, false, on_read, call_new(q));
}

static void on_timer(struct reactor_timer *timer)
{
    struct question *q = container_of(timer, struct question, timer);

    zk_sync(q->zk, on_synced, call_new(q));
}

static void on_created(void *arg, const struct zk_answer *answer)
{
    struct question *q = call_end(arg);

    if (q == NULL)
        return;
    if (answer->err == ERR_OK)
        reactor_timer_set_ms(q->reactor, &q->timer, q->within_ms);
    else
        end(q, QUESTION_UNKNOWN);
}

static void on_set(void *arg, const struct zk_answer *answer)
{
    struct question *q = call_end(arg);

    if (q == NULL)
        return;
    if (answer->err == ERR_NOT_FOUND)
        zk_create(q->zk, ZK_QUESTION, str_of(q->text), ZK_PERSISTENT, on_created, call_new(q));
    else if (answer->err == ERR_OK)
        reactor_timer_set_ms(q->reactor, &q->timer, q->within_ms);
    else
        end(q, QUESTION_UNKNOWN);
}

void question_ask(struct question *q, int64_t within_ms)
{
    question_drop(q);
    q->turn++;
    q->asking = true;
    q->within_ms = within_ms;
    snprintf(q->text, sizeof q->text, "%" PRId32 "-%016" PRIx64, q->controller_id,
             rand_u64(&q->rand));
    zk_set(q->zk, ZK_QUESTION, str_of(q->text), ZK_ANY_VERSION, on_set, call_new(q));
}

void question_drop(struct question *q)
{
    q->asking = false;
    reactor_timer_cancel(q->reactor, &q->timer);
}

struct question *question_new(struct zk *zk, struct reactor *reactor, int32_t controller_id,
                              void (*done)(void *arg, enum question_outcome outcome), void *arg)
{
    struct question *q = xcalloc(1, sizeof *q);

    q->zk = zk;
    q->reactor = reactor;
    q->controller_id = controller_id;
    q->done = done;
    q->arg = arg;
    rand_seed_os(&q->rand);
    reactor_timer_init(&q->timer, on_timer);
    return q;
}

void question_free(struct question **q_ptr)
{
    struct question *q = *q_ptr;

    *q_ptr = NULL;
    if (q == NULL)
        return;
    question_drop(q);
    q->freed = true;
    if (q->out == 0)
        free(q);
}

/* ---- the active controller's part ------------------------------------------------------------ */

static void on_question(void *arg, const struct zk_answer *answer)
{
    if (answer->err != ERR_OK || answer->data.len == 0)
        return;
    say_limited(SAY_WARN, "a standby does not hear us, answering through ZooKeeper question=%.*s",
                STR_ARG(answer->data));
    zk_set(arg, ZK_QUESTION, STR(""), answer->stat.version, NULL, NULL);
}

struct zk_watch *question_answer_start(struct zk *zk)
{
    return zk_watch_start(zk, ZK_WATCH_DATA, ZK_QUESTION, on_question, zk);
}
