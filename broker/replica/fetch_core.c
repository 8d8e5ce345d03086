/*
 * The happy path: a partition is added READY; the next ask puts it into the session; its answer
 * says APPEND; the shell appends and calls fetch_core_set(), which makes it differ from what the
 * session has, so that the next ask names it again. A partition without news is not named: the
 * leader's session remembers it.
 *
 * Whatever may make a difference to the next request puts the partition into `changed`, and an ask
 * looks at nothing else: thousands of idle partitions cost nothing. Those that wait in error stay
 * in there, because time alone changes them.
 *
 * Those that are throttled and not in sync stay in `changed` as well, for the quota is another one
 * at each ask: while it is exceeded they are held, which is to leave the session and come back. The
 * others are asked for all the while.
 *
 * A partition that may not be asked for (delayed, failed, syncing, resetting, removed) leaves the
 * session, as otherwise the leader would answer for it. When the session is lost, all start anew
 * with session 0.
 */
#include "broker/replica/fetch_core.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void fetch_core_init(struct fetch_core *core, int32_t backoff_ms)
{
    *core = (struct fetch_core){ .backoff_ms = backoff_ms, .buckets_len = 64 };
    TAILQ_INIT(&core->parts);
    TAILQ_INIT(&core->changed);
    core->buckets = xcalloc(core->buckets_len, sizeof(struct fetch_part *));
}

void fetch_core_fini(struct fetch_core *core)
{
    struct fetch_part *part;

    while ((part = TAILQ_FIRST(&core->parts)) != NULL) {
        TAILQ_REMOVE(&core->parts, part, link);
        free(part);
    }
    free(core->buckets);
    free(core->forgotten);
    core->buckets = NULL;
    core->forgotten = NULL;
}

static uint32_t bucket_of(const struct fetch_core *core, struct uuid topic_id, int32_t partition)
{
    uint64_t mixed;

    memcpy(&mixed, topic_id.bytes + 8, sizeof mixed);
    mixed = (mixed ^ (uint64_t)(uint32_t)partition * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
    return (uint32_t)(mixed >> 32) & (core->buckets_len - 1);
}

struct fetch_part *fetch_core_find(const struct fetch_core *core, struct uuid topic_id,
                                   int32_t partition)
{
    struct fetch_part *part = core->buckets[bucket_of(core, topic_id, partition)];

    while (part != NULL && (part->partition != partition || !uuid_eq(part->topic_id, topic_id)))
        part = part->hash_next;
    return part;
}

static void put_in_bucket(struct fetch_core *core, struct fetch_part *part)
{
    struct fetch_part **bucket = &core->buckets[bucket_of(core, part->topic_id, part->partition)];

    part->hash_next = *bucket;
    *bucket = part;
}

static void grow_buckets(struct fetch_core *core)
{
    struct fetch_part *part;

    free(core->buckets);
    core->buckets_len *= 2;
    core->buckets = xcalloc(core->buckets_len, sizeof(struct fetch_part *));
    TAILQ_FOREACH (part, &core->parts, link)
        put_in_bucket(core, part);
}

static void note_change(struct fetch_core *core, struct fetch_part *part)
{
    if (part->queued)
        return;
    part->queued = true;
    TAILQ_INSERT_TAIL(&core->changed, part, changed_link);
}

static void unqueue(struct fetch_core *core, struct fetch_part *part)
{
    if (!part->queued)
        return;
    part->queued = false;
    TAILQ_REMOVE(&core->changed, part, changed_link);
}

static void set_state(struct fetch_core *core, struct fetch_part *part, enum fetch_state state)
{
    if (part->state == FETCH_READY)
        core->ready--;
    if (state == FETCH_READY)
        core->ready++;
    part->state = state;
    note_change(core, part);
}

static bool may_be_held(const struct fetch_part *part)
{
    return part->throttled && !part->in_sync;
}

void fetch_core_throttle(struct fetch_core *core, struct fetch_part *part, bool throttled,
                         bool in_sync)
{
    core->holdable -= may_be_held(part);
    part->throttled = throttled;
    part->in_sync = in_sync;
    core->holdable += may_be_held(part);
    if (may_be_held(part) || part->state == FETCH_HELD)
        note_change(core, part);
}

bool fetch_core_may_hold(const struct fetch_core *core)
{
    return core->holdable > 0;
}

void fetch_core_set_quota(struct fetch_core *core, int64_t until_ms)
{
    core->quota_until_ms = until_ms;
}

/* The leader must be told; where no session is, there is nothing to tell. */
static void leave_session(struct fetch_core *core, struct fetch_part *part)
{
    if (!part->in_session)
        return;
    part->in_session = false;
    array_reserve(&core->forgotten, &core->forgotten_cap, core->forgotten_len,
                  sizeof *core->forgotten);
    core->forgotten[core->forgotten_len++] =
        (struct fetch_forgotten){ .topic_id = part->topic_id, .partition = part->partition };
}

static void drop_session(struct fetch_core *core)
{
    struct fetch_part *part;

    core->session_id = 0;
    core->session_epoch = 0;
    core->forgotten_len = 0;
    TAILQ_FOREACH (part, &core->parts, link) {
        part->in_session = false;
        unqueue(core, part); /* all are named anew, in asking order */
        note_change(core, part);
    }
}

/* Who left the session and is in it again by this very request need not leave it. */
static void unforget(struct fetch_core *core)
{
    size_t kept = 0;

    for (size_t i = 0; i < core->forgotten_len; i++) {
        const struct fetch_forgotten gone = core->forgotten[i];
        const struct fetch_part *part = fetch_core_find(core, gone.topic_id, gone.partition);

        if (part == NULL || !part->in_session)
            core->forgotten[kept++] = gone;
    }
    core->forgotten_len = kept;
}

struct fetch_part *fetch_core_add(struct fetch_core *core, struct uuid topic_id, int32_t partition,
                                  void *owner, int32_t leader_epoch, int64_t offset,
                                  int32_t last_epoch, int64_t log_start)
{
    struct fetch_part *part = fetch_core_find(core, topic_id, partition);

    if (part == NULL) {
        part = xcalloc(1, sizeof *part);
        part->topic_id = topic_id;
        part->partition = partition;
        part->state = FETCH_FAILED;
        TAILQ_INSERT_TAIL(&core->parts, part, link);
        if (++core->count > core->buckets_len)
            grow_buckets(core);
        else
            put_in_bucket(core, part);
    }
    part->owner = owner;
    set_state(core, part, FETCH_READY);
    part->leader_epoch = leader_epoch;
    part->offset = offset;
    part->last_epoch = last_epoch;
    part->log_start = log_start;
    part->tries = 0;
    fetch_core_throttle(core, part, part->throttled, false);
    part->asked = false; /* an answer in flight was asked in an earlier role */
    return part;
}

void *fetch_core_remove(struct fetch_core *core, struct uuid topic_id, int32_t partition)
{
    struct fetch_part *part = fetch_core_find(core, topic_id, partition);
    struct fetch_part **at = &core->buckets[bucket_of(core, topic_id, partition)];

    if (part == NULL)
        return NULL;
    void *owner = part->owner;
    leave_session(core, part);
    while (*at != part)
        at = &(*at)->hash_next;
    *at = part->hash_next;
    TAILQ_REMOVE(&core->parts, part, link);
    unqueue(core, part);
    core->ready -= part->state == FETCH_READY;
    core->holdable -= may_be_held(part);
    core->count--;
    free(part);
    return owner;
}

static bool is_news(const struct fetch_part *part)
{
    return !part->in_session || part->sent_offset != part->offset ||
           part->sent_last_epoch != part->last_epoch ||
           part->sent_leader_epoch != part->leader_epoch || part->sent_log_start != part->log_start;
}

static void note_sent(struct fetch_part *part)
{
    part->in_session = true;
    part->sent_offset = part->offset;
    part->sent_last_epoch = part->last_epoch;
    part->sent_leader_epoch = part->leader_epoch;
    part->sent_log_start = part->log_start;
}

/* Whoever waits goes on waiting, or is ready again; who is ready may have to wait for the quota. */
static void see_to_wait(struct fetch_core *core, struct fetch_part *part, int64_t now_ms,
                        int64_t *wake_ms)
{
    bool held = may_be_held(part) && core->quota_until_ms > now_ms;
    int64_t until_ms = part->until_ms;

    if (part->state == FETCH_DELAYED && until_ms <= now_ms)
        set_state(core, part, FETCH_READY);
    if (part->state == FETCH_READY && held)
        set_state(core, part, FETCH_HELD);
    else if (part->state == FETCH_HELD && !held)
        set_state(core, part, FETCH_READY);
    if (part->state == FETCH_HELD)
        until_ms = core->quota_until_ms;
    else if (part->state != FETCH_DELAYED)
        return;
    if (until_ms < *wake_ms)
        *wake_ms = until_ms;
}

/* Those who wait look again with every ask; a change brings the others back. */
static bool is_waiting(const struct fetch_part *part)
{
    return part->state == FETCH_DELAYED || part->state == FETCH_HELD ||
           part->state == FETCH_SYNCING;
}

static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

bool fetch_core_ask(struct fetch_core *core, int64_t now_ms, struct fetch_ask *out,
                    struct fetch_part ***scratch, size_t *scratch_cap, int64_t *wake_ms)
{
    struct fetch_part *part, *next;
    int32_t news = 0;
    int64_t syncing_ms = INT64_MAX; /* the latest sync; the earlier ones have had their time */

    *wake_ms = INT64_MAX;
    TAILQ_FOREACH (part, &core->changed, changed_link) {
        see_to_wait(core, part, now_ms, wake_ms);
        if (part->state == FETCH_SYNCING)
            syncing_ms = sooner(syncing_ms, now_ms - part->since_ms);
    }
    if (syncing_ms < FETCH_SYNC_GRACE_MS) {
        if (core->ready > 0)
            *wake_ms = sooner(*wake_ms, now_ms + FETCH_SYNC_GRACE_MS - syncing_ms);
        return false;
    }
    for (part = TAILQ_FIRST(&core->changed); part != NULL; part = next) {
        next = TAILQ_NEXT(part, changed_link);
        if (part->state != FETCH_READY) {
            part->asked = false;
            leave_session(core, part);
            if (!is_waiting(part))
                unqueue(core, part);
        } else {
            if (!may_be_held(part))
                unqueue(core, part);
            part->asked = true;
            if (!is_news(part))
                continue;
            note_sent(part);
            array_reserve(scratch, scratch_cap, (size_t)news, sizeof **scratch);
            (*scratch)[news++] = part;
        }
    }
    if (core->ready == 0)
        return false;
    if (syncing_ms != INT64_MAX)
        *wake_ms = sooner(*wake_ms, now_ms + syncing_ms / 2);
    unforget(core);
    *out = (struct fetch_ask){
        .session_id = core->session_id,
        .session_epoch = core->session_epoch,
        .parts = *scratch,
        .parts_len = news,
        .forgotten = core->forgotten,
        .forgotten_len = (int32_t)core->forgotten_len,
    };
    core->forgotten_len = 0; /* the array itself stays for the caller */
    return true;
}

static void delay(struct fetch_core *core, struct fetch_part *part, int64_t now_ms)
{
    int64_t wait_ms = core->backoff_ms;

    if (part->tries < 16 && (INT64_C(1) << part->tries) * FETCH_FIRST_BACKOFF_MS < wait_ms)
        wait_ms = (INT64_C(1) << part->tries) * FETCH_FIRST_BACKOFF_MS;
    if (part->tries < INT32_MAX)
        part->tries++;
    set_state(core, part, FETCH_DELAYED);
    part->until_ms = now_ms + wait_ms;
}

void fetch_core_delay(struct fetch_core *core, struct fetch_part *part, int64_t now_ms)
{
    delay(core, part, now_ms);
}

static void delay_asked(struct fetch_core *core, int64_t now_ms)
{
    struct fetch_part *part;

    TAILQ_FOREACH (part, &core->parts, link)
        if (part->asked && part->state == FETCH_READY)
            delay(core, part, now_ms);
}

bool fetch_core_answered(struct fetch_core *core, enum err err, int32_t session_id, int64_t now_ms)
{
    if (err == ERR_OK) {
        if (session_id == 0) {
            drop_session(core); /* the leader keeps none: go on with full requests */
        } else {
            core->session_id = session_id;
            core->session_epoch = core->session_epoch == INT32_MAX ? 1 : core->session_epoch + 1;
        }
        return true;
    }
    drop_session(core);
    if (err != ERR_FETCH_SESSION_ID_NOT_FOUND && err != ERR_INVALID_FETCH_SESSION_EPOCH &&
        err != ERR_FETCH_SESSION_TOPIC_ID_ERROR)
        delay_asked(core, now_ms);
    return false;
}

void fetch_core_disconnected(struct fetch_core *core)
{
    struct fetch_part *part;

    drop_session(core);
    TAILQ_FOREACH (part, &core->parts, link)
        part->asked = false;
}

enum fetch_verdict fetch_core_decide(struct fetch_core *core, struct fetch_part *part,
                                     const struct fetch_answer *answer, int64_t now_ms)
{
    if (!part->asked || part->state != FETCH_READY || part->offset != part->sent_offset ||
        part->leader_epoch != part->sent_leader_epoch)
        return FETCH_IGNORE;

    switch (answer->err) {
    case ERR_OK:
        return answer->diverging ? FETCH_TRUNCATE : FETCH_APPEND;
    case ERR_OFFSET_OUT_OF_RANGE:
        set_state(core, part, FETCH_RESET);
        return FETCH_ASK_OFFSETS;
    case ERR_FENCED_LEADER_EPOCH:
        /* We are behind: the image that tells us of the new leader will come. */
        set_state(core, part, FETCH_FAILED);
        return FETCH_GIVE_UP;
    default:
        delay(core, part, now_ms);
        return FETCH_BACK_OFF;
    }
}

void fetch_core_set(struct fetch_core *core, struct fetch_part *part, int64_t offset,
                    int32_t last_epoch, int64_t log_start, bool got_records)
{
    part->offset = offset;
    part->last_epoch = last_epoch;
    part->log_start = log_start;
    part->tries = 0;
    if (part->state == FETCH_RESET)
        set_state(core, part, FETCH_READY);
    if (is_news(part))
        note_change(core, part);
    if (got_records) { /* those that wait longer come first when a response's size is bounded */
        TAILQ_REMOVE(&core->parts, part, link);
        TAILQ_INSERT_TAIL(&core->parts, part, link);
        unqueue(core, part);
        note_change(core, part);
    }
}

void fetch_core_failed(struct fetch_core *core, struct fetch_part *part, bool for_good,
                       int64_t now_ms)
{
    if (for_good)
        set_state(core, part, FETCH_FAILED);
    else
        delay(core, part, now_ms);
}

uint64_t fetch_core_sync(struct fetch_core *core, struct fetch_part *part, int64_t now_ms)
{
    set_state(core, part, FETCH_SYNCING);
    part->since_ms = now_ms;
    part->sync_id = ++core->syncs;
    return part->sync_id;
}

struct fetch_part *fetch_core_syncing(const struct fetch_core *core, struct uuid topic_id,
                                      int32_t partition, uint64_t sync_id)
{
    struct fetch_part *part = fetch_core_find(core, topic_id, partition);

    return part != NULL && part->state == FETCH_SYNCING && part->sync_id == sync_id ? part : NULL;
}

void fetch_core_synced(struct fetch_core *core, struct fetch_part *part)
{
    assert(part->state == FETCH_SYNCING);
    set_state(core, part, FETCH_READY);
}

int64_t fetch_truncation_point(int32_t diverging_epoch, int64_t diverging_end, int32_t own_epoch,
                               int64_t own_end, int64_t leo)
{
    int64_t point = diverging_end;

    if (own_epoch >= 0 && own_epoch != diverging_epoch)
        point = own_end; /* our epoch is unknown there: its end first, then ask again (KIP-279) */
    else if (own_epoch >= 0 && own_end < point)
        point = own_end;
    return point < leo ? point : leo;
}

enum fetch_reset fetch_reset_point(int64_t leo, int64_t leader_start, int64_t leader_end,
                                   int64_t *offset)
{
    assert(leader_start <= leader_end);
    if (leader_end < leo) {
        *offset = leader_end;
        return FETCH_RESET_CUT;
    }
    if (leader_start > leo) {
        *offset = leader_start;
        return FETCH_RESET_RESTART;
    }
    *offset = leo;
    return FETCH_RESET_KEEP;
}
