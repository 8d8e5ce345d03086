/*
 * A shard's appends are queued under its lock, in the order in which the cores asked for them, and
 * written after it is dropped: whoever comes first drains the queue, others leave theirs to him.
 * So the log has them in that order, and no lock of a group is held across a write.
 *
 * Where the topic has flush.messages an append waits for its sync (group commit); followers fetch
 * it meanwhile. With acks -1 it then waits, on its own reactor, until the high watermark has passed
 * it or its time is up; with one replica it has passed already. Then the core is told, under the
 * lock again, and whoever waited is answered.
 */
#include "broker/group/groups_int.h"

#include <stdlib.h>
#include <unistd.h>

#include "broker/group/group_record.h"
#include "broker/tables/stats.h"
#include "common/base/clock.h"
#include "common/base/say.h"
#include "common/wire/record.h"

#define LOOK_US 2000

enum err append_commit_err(enum err err)
{
    switch (err) {
    case ERR_UNKNOWN_TOPIC_OR_PARTITION:
    case ERR_NOT_ENOUGH_REPLICAS:
    case ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
        return ERR_COORDINATOR_NOT_AVAILABLE;
    case ERR_NOT_LEADER_OR_FOLLOWER:
    case ERR_KAFKA_STORAGE_ERROR:
    case ERR_IO:
    case ERR_NO_SPACE:
        return ERR_NOT_COORDINATOR;
    case ERR_MESSAGE_TOO_LARGE:
    case ERR_RECORD_LIST_TOO_LARGE:
    case ERR_INVALID_FETCH_SIZE:
        return ERR_INVALID_COMMIT_OFFSET_SIZE;
    default:
        return err;
    }
}

enum err append_store_err(enum err err)
{
    switch (err) {
    case ERR_REQUEST_TIMED_OUT:
        return ERR_REBALANCE_IN_PROGRESS;
    case ERR_MESSAGE_TOO_LARGE:
    case ERR_RECORD_LIST_TOO_LARGE:
    case ERR_INVALID_FETCH_SIZE:
        return ERR_UNKNOWN_SERVER_ERROR;
    default:
        return append_commit_err(err);
    }
}

/* ---- queueing ---- */

static void queue_locked(struct group_shard *shard, struct groups_append *append)
{
    lock_assert_held(&shard->lock);
    append->shard = shard;
    append->life = shard->life;
    STAILQ_INSERT_TAIL(&shard->queue, append, link);
}

void append_commit_locked(struct group_shard *shard, struct group_slot *slot,
                          struct offset_commit *commit)
{
    struct arena *arena = commit->call.arena;
    struct groups_append *append = arena_zalloc(arena, 1, sizeof *append);

    offsets_begin(slot->group, commit->items, commit->len);
    append->commit = commit;
    append->group_id = commit->group_id;
    append->number = slot->number;
    append->acks = shard->groups->conf.commit_acks;
    append->reactor = commit->call.reactor;
    append->records = arena_alloc(arena, commit->len * sizeof *append->records);
    for (size_t i = 0; i < commit->len; i++) {
        const struct offset_item *item = &commit->items[i];

        if (item->err != ERR_OK)
            continue;
        append->records[append->records_len++] = (struct group_record_pair){
            .key = group_record_write_offset_key(arena, commit->group_id, item->topic,
                                                 item->partition),
            .value = group_record_write_offset(arena, &item->value),
        };
    }
    queue_locked(shard, append);
}

static struct groups_append *append_new(struct group_shard *shard, struct str group_id)
{
    struct groups_append *append = xcalloc(1, sizeof *append);

    append->own = xmalloc(sizeof *append->own);
    arena_init(append->own, SIZE_MAX);
    append->group_id = arena_str(append->own, group_id);
    append->reactor = shard->home;
    return append;
}

void append_group_locked(struct group_shard *shard, struct group_slot *slot, uint64_t store_seq)
{
    struct groups_append *append = append_new(shard, group_id(slot->group));

    append->number = slot->number;
    append->acks = shard->groups->conf.commit_acks;
    append->store_seq = store_seq;
    append->records = arena_alloc(append->own, sizeof *append->records);
    append->records[append->records_len++] = (struct group_record_pair){
        .key = group_record_write_group_key(append->own, append->group_id),
        .value = group_record_write_group(append->own, slot->group),
    };
    queue_locked(shard, append);
}

void append_gone_locked(struct group_shard *shard, struct str group_id,
                        const struct offsets_gone *gone, bool whole_group)
{
    struct groups_append *append = append_new(shard, group_id);
    struct arena *arena = append->own;

    append->records = arena_alloc(arena, (gone->len + 1) * sizeof *append->records);
    for (size_t i = 0; i < gone->len; i++)
        append->records[append->records_len++] = (struct group_record_pair){
            .key = group_record_write_offset_key(arena, append->group_id, gone->items[i].topic,
                                                 gone->items[i].partition),
            .value = STR_NULL,
        };
    if (whole_group)
        append->records[append->records_len++] = (struct group_record_pair){
            .key = group_record_write_group_key(arena, append->group_id), .value = STR_NULL
        };
    queue_locked(shard, append);
}

/* ---- the end of one ---- */

/* Nobody refers to it any more. A commit's is its request's. */
static void append_free(struct groups_append *append)
{
    struct arena *own = append->own;

    if (append->part != NULL)
        part_unref(&append->part);
    if (own == NULL)
        return;
    arena_fini(own);
    free(own);
    free(append);
}

static void finish_commit_locked(struct groups_append *append, struct group_slot *slot,
                                 struct group_after *after)
{
    struct offset_commit *commit = append->commit;

    if (slot != NULL)
        offsets_end(slot->group, commit->items, commit->len, append->err, append->first);
    enum err err = append_commit_err(append->err);
    STAT_ADD(group_commits, err == ERR_OK ? append->records_len : 0);
    for (size_t i = 0; i < commit->len; i++)
        if (commit->items[i].err == ERR_OK)
            commit->items[i].err = err;
    after_ready(after, &commit->call);
}

static void finish_store_locked(struct groups_append *append, struct group_slot *slot,
                                struct group_after *after)
{
    struct group_event ev = { .kind = GROUP_EV_STORED,
                              .wall_ms = clock_wall_ms(),
                              .stored = { .seq = append->store_seq,
                                          .err = append_store_err(append->err) } };
    struct group_effects effects;

    if (slot == NULL)
        return;
    bool was_stable = group_state(slot->group) == GROUP_STABLE;
    group_effects_init(&effects);
    group_step(slot->group, &ev, clock_mono_ms(), &effects);
    STAT_ADD(group_rebalances, !was_stable && group_state(slot->group) == GROUP_STABLE);
    after_step_locked(after, append->shard, slot, &effects);
}

/* Tells the core, if it is still the same, and gathers who is to be answered. */
static void finish_locked(struct groups_append *append, struct group_after *after)
{
    struct group_shard *shard = append->shard;
    struct group_slot *slot = NULL;

    lock_assert_held(&shard->lock);
    if (append->waits)
        TAILQ_REMOVE(&shard->waits, append, wait_link);
    append->waits = false;
    if (shard->life == append->life)
        slot = group_table_find(&shard->table, append->group_id);
    else if (append->err == ERR_OK)
        append->err = ERR_NOT_LEADER_OR_FOLLOWER; /* what was read back since may not have it */
    if (slot != NULL && slot->number != append->number)
        slot = NULL; /* another group of that name */
    if (append->commit != NULL)
        finish_commit_locked(append, slot, after);
    else if (append->store_seq != 0)
        finish_store_locked(append, slot, after);
    append_free(append);
}

/* ---- waiting for the high watermark ---- */

static void wait_for_commit(struct groups_append *append, int64_t timeout_ms);

static void finish(struct groups_append *append)
{
    struct group_shard *shard = append->shard;
    struct group_after after;

    after_init(&after);
    lock_take(&shard->lock);
    finish_locked(append, &after);
    lock_drop(&shard->lock);
    after_do(&after, shard);
}

static void on_committed(struct delayed *delayed, enum delayed_why why)
{
    struct groups_append *append = container_of(delayed, struct groups_append, delayed);
    enum part_ack ack =
        part_check_acked(append->part, append->end, append->leader_epoch, &append->err);

    if (ack == PART_ACK_WAIT) {
        int64_t left_ms = append->deadline_ms - clock_mono_ms();

        /* Watches are also met when only the ISR changed. */
        if (why == DELAYED_MET && left_ms > 0) {
            wait_for_commit(append, left_ms);
            return;
        }
        append->err = why == DELAYED_CANCELLED ? ERR_NOT_LEADER_OR_FOLLOWER : ERR_REQUEST_TIMED_OUT;
    }
    finish(append);
}

static bool is_decided(const struct groups_append *append)
{
    enum err err;

    return part_check_acked(append->part, append->end, append->leader_epoch, &err) != PART_ACK_WAIT;
}

static void wait_for_commit(struct groups_append *append, int64_t timeout_ms)
{
    if (atomic_load_explicit(&append->shard->groups->stopped, memory_order_relaxed)) {
        append->err = ERR_NOT_LEADER_OR_FOLLOWER;
        finish(append);
        return;
    }
    append->is_watching = true;
    delayed_init(&append->delayed, append->reactor, on_committed, &append->watch);
    delayed_watch(&append->delayed, part_committed(append->part), append->end);
    delayed_start(&append->delayed, true, timeout_ms);
    if (is_decided(append)) /* it may have happened before the watch was there */
        delayed_finish(&append->delayed, DELAYED_MET);
}

static void on_wait(struct msg *msg)
{
    struct groups_append *append = container_of(msg, struct groups_append, msg);

    wait_for_commit(append, append->deadline_ms - clock_mono_ms());
}

/* ---- waiting for the disk ---- */

static void on_synced(struct msg *msg)
{
    struct groups_append *append = container_of(msg, struct groups_append, msg);
    struct groups *groups = append->shard->groups;

    if (append->err != ERR_OK || append->acks != -1)
        finish(append);
    else
        wait_for_commit(append, append->deadline_ms - clock_mono_ms());
    atomic_fetch_sub(&groups->syncs, 1);
}

/* When the message runs, its poster may still be at the reactor's mailbox. */
static void on_sync_done(struct sync_wait *wait, enum err err)
{
    struct groups_append *append = container_of(wait, struct groups_append, sync);
    struct groups *groups = append->shard->groups;

    part_synced(append->part, append->leader_epoch, clock_mono_ms());
    append->err = err;
    reactor_post(append->reactor, &append->msg);
    atomic_fetch_sub(&groups->syncs, 1);
}

/* False: all has stopped. Either this is seen here, or the sync by who stops. It is counted for the
 * message that says that it is done and for the thread that posts it. */
static bool post_sync(struct groups_append *append)
{
    struct groups *groups = append->shard->groups;

    atomic_fetch_add(&groups->syncs, 2);
    if (atomic_load(&groups->stopped)) {
        atomic_fetch_sub(&groups->syncs, 2);
        return false;
    }
    append->msg.run = on_synced;
    append->sync.done = on_sync_done;
    parts_post_sync(groups->conf.parts, append->part, &append->sync);
    return true;
}

static void begin_wait(struct groups_append *append)
{
    append->deadline_ms = clock_mono_ms() + append->shard->groups->conf.commit_timeout_ms;
    if (append->flush_due && post_sync(append))
        return;
    if (reactor_is_here(append->reactor)) {
        wait_for_commit(append, append->shard->groups->conf.commit_timeout_ms);
        return;
    }
    append->msg.run = on_wait;
    reactor_post(append->reactor, &append->msg);
}

/* ---- writing ---- */

static enum err build(const struct groups_append *append, struct batch_builder *builder,
                      int64_t wall_ms, uint8_t **batch, size_t *size)
{
    for (size_t i = 0; i < append->records_len; i++)
        batch_builder_add(builder, wall_ms, append->records[i].key, append->records[i].value, NULL,
                          0);
    return batch_builder_finish(builder, -1, batch, size);
}

/* Sets err, first, end, leader_epoch and flush_due. */
static void write_one(struct groups_append *append, struct part *part)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct validate_conf checks;
    struct batch_builder builder;
    struct validated validated;
    struct log_appended appended;
    struct arena arena;
    uint8_t *batch;
    size_t size;
    int64_t wall_ms = clock_wall_ms();

    conf.codec = (enum codec)append->shard->groups->conf.codec;
    batch_builder_init(&builder, &conf);
    arena_init(&arena, SIZE_MAX);
    enum err err = build(append, &builder, wall_ms, &batch, &size);
    if (err == ERR_OK) {
        part_get_validate_conf(part, &checks);
        checks.ours = true;
        err = validate_batches(batch, size, VALIDATE_NO_VERSION, &checks, wall_ms, &arena,
                               &validated);
    }
    if (err == ERR_OK)
        err = part_append(part, &validated, append->acks, LOG_FROM_COORDINATOR, wall_ms,
                          clock_mono_ms(), &appended, &append->leader_epoch);
    if (err == ERR_OK) {
        append->first = appended.first_offset;
        append->end = appended.last_offset + 1;
        append->flush_due = appended.flush_due;
    }
    append->err = err;
    arena_fini(&arena);
    batch_builder_fini(&builder);
    if (err != ERR_OK && err != ERR_NOT_LEADER_OR_FOLLOWER)
        say_limited(SAY_WARN, "could not append to %s group=%.*s err=%s", part_name(part),
                    STR_ARG(append->group_id), err_name(err));
}

/* True when it is over and done with; else it has to wait. */
static bool is_over(struct groups_append *append, struct part *part)
{
    enum err err = ERR_OK;

    if (append->err == ERR_OK && append->flush_due)
        return false;
    if (append->err != ERR_OK || append->acks != -1)
        return true;
    if (part_check_acked(part, append->end, append->leader_epoch, &err) == PART_ACK_WAIT)
        return false;
    append->err = err;
    return true;
}

/* Writes all of queue, and leaves in it those that are over. What an earlier life of the shard
 * asked for is not for the log of this one: others have written to it since. */
static void write_all(struct append_queue *queue, struct part *part, uint64_t life,
                      struct append_queue *waiting)
{
    struct append_queue over = STAILQ_HEAD_INITIALIZER(over);
    struct groups_append *append;

    while ((append = STAILQ_FIRST(queue)) != NULL) {
        STAILQ_REMOVE_HEAD(queue, link);
        if (part != NULL && append->life == life)
            write_one(append, part);
        else
            append->err = ERR_NOT_LEADER_OR_FOLLOWER;
        if (is_over(append, part)) {
            STAILQ_INSERT_TAIL(&over, append, link);
        } else {
            append->part = part_ref(part);
            STAILQ_INSERT_TAIL(waiting, append, link);
        }
    }
    STAILQ_CONCAT(queue, &over);
}

static void note_results_locked(struct group_shard *shard, struct append_queue *over,
                                const struct append_queue *waiting, struct group_after *after)
{
    struct groups_append *append;

    STAILQ_FOREACH (append, waiting, link) {
        append->waits = true;
        TAILQ_INSERT_TAIL(&shard->waits, append, wait_link);
    }
    while ((append = STAILQ_FIRST(over)) != NULL) {
        STAILQ_REMOVE_HEAD(over, link);
        finish_locked(append, after);
    }
}

/* One round: what is queued now. False when there is nothing, or somebody else is at it. */
static bool drain_once(struct group_shard *shard, bool *mine)
{
    struct append_queue queue = STAILQ_HEAD_INITIALIZER(queue);
    struct append_queue waiting = STAILQ_HEAD_INITIALIZER(waiting);
    struct groups_append *append;
    struct group_after after;
    struct part *part;
    uint64_t life;

    lock_take(&shard->lock);
    if ((shard->draining && !*mine) || STAILQ_EMPTY(&shard->queue)) {
        if (*mine)
            shard->draining = false;
        lock_drop(&shard->lock);
        return false;
    }
    *mine = true;
    shard->draining = true;
    STAILQ_CONCAT(&queue, &shard->queue);
    part = shard->part != NULL ? part_ref(shard->part) : NULL;
    life = shard->life;
    lock_drop(&shard->lock);

    write_all(&queue, part, life, &waiting);
    after_init(&after);
    lock_take(&shard->lock);
    note_results_locked(shard, &queue, &waiting, &after);
    lock_drop(&shard->lock);
    while ((append = STAILQ_FIRST(&waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&waiting, link);
        begin_wait(append);
    }
    after_end(&after);
    if (part != NULL)
        part_unref(&part);
    return true;
}

void shard_drain(struct group_shard *shard)
{
    bool mine = false;

    while (drain_once(shard, &mine))
        ;
}

/* ---- giving up ---- */

struct cancel {
    struct groups *groups;
    const struct reactor *reactor;
    struct groups_append **list;
    size_t len, cap;
};

static void gather_waits(struct cancel *cancel, struct group_shard *shard)
{
    struct groups_append *append;

    lock_take(&shard->lock);
    TAILQ_FOREACH (append, &shard->waits, wait_link) {
        if (append->reactor != cancel->reactor || !append->is_watching)
            continue; /* it will find that all has stopped when it begins to wait */
        array_reserve(&cancel->list, &cancel->cap, cancel->len, sizeof(void *));
        cancel->list[cancel->len++] = append;
    }
    lock_drop(&shard->lock);
}

/* On the reactor on which they would end, so none of them does between the two loops. */
static void cancel_here(void *arg)
{
    struct cancel *cancel = arg;
    struct shard_list *list = atomic_load_explicit(&cancel->groups->shards, memory_order_acquire);

    for (int32_t i = 0; list != NULL && i < list->made; i++)
        gather_waits(cancel, list->at[i]);
    for (size_t i = 0; i < cancel->len; i++)
        delayed_finish(&cancel->list[i]->delayed, DELAYED_CANCELLED);
}

void groups_cancel_appends(struct groups *groups)
{
    for (size_t i = 0; i < groups->conf.reactors_len; i++) {
        struct cancel cancel = { .groups = groups, .reactor = groups->conf.reactors[i] };

        reactor_call(groups->conf.reactors[i], cancel_here, &cancel);
        free(cancel.list);
    }
    while (atomic_load(&groups->syncs) > 0) /* they end when the disk does */
        usleep(LOOK_US);
}
