/*
 * Set; when it is not there, create it and set again. The data stays empty: only the version
 * counts.
 */
#include "common/zk/zk_seqid.h"

#include "common/zk/zk_tree.h"

static void set(struct zk_seqid *seqid);

static bool is_over(enum err err)
{
    return err != ERR_CONNECTION_LOSS && err != ERR_SESSION_EXPIRED;
}

static void on_created(void *arg, const struct zk_answer *answer)
{
    struct zk_seqid *seqid = arg;

    if (answer->err == ERR_OK || !is_over(answer->err))
        set(seqid);
    else
        seqid->done(seqid->arg, answer->err, -1);
}

static void on_set(void *arg, const struct zk_answer *answer)
{
    struct zk_seqid *seqid = arg;

    if (answer->err == ERR_NOT_FOUND)
        zk_create_path(seqid->zk, ZK_BROKER_SEQID, on_created, seqid);
    else if (!is_over(answer->err))
        set(seqid);
    else
        seqid->done(seqid->arg, answer->err, answer->err == ERR_OK ? answer->stat.version : -1);
}

static void set(struct zk_seqid *seqid)
{
    zk_set(seqid->zk, ZK_BROKER_SEQID, STR_EMPTY, -1, on_set, seqid);
}

void zk_seqid_take(struct zk_seqid *seqid, struct zk *zk,
                   void (*done)(void *arg, enum err err, int32_t number), void *arg)
{
    *seqid = (struct zk_seqid){ .zk = zk, .done = done, .arg = arg };
    set(seqid);
}
