/*
 * Produce (P4): check under state, write under append, tell the core the new end under state, drop
 * both, wake followers' fetches. The role cannot change between check and write, because a role
 * change takes append first.
 *
 * Fetch of a follower (P7, P8): state for the checks and the ends, read without any lock, state
 * again to note how far it is; waiters after that. The ends that the answer shows are those from
 * before the read (KAFKA: a high watermark must never cover records that the answer does not).
 *
 * Where flush.messages is reached, the caller asks for a sync and says when it is done: the high
 * watermark passes what is on the disk only.
 *
 * A failed write leaves the log as it was; the log's directory tells the set of logs.
 */
#include "broker/replica/part.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "broker/replica/part_int.h"
#include "broker/tables/stats.h"
#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/wire/batch.h"

#define REFUSAL_ECHO_MS 10000 /* longer than a client lets pass between pipelined requests */
/* Changes are counted from the time at which the partition was made, in parts of a microsecond that
 * are too short for one. */
#define CHANGES_BITS 10

struct part *part_new(const struct part_env *env, const char *topic, struct uuid topic_id,
                      int32_t partition, struct log **log, int64_t hw, int32_t min_isr,
                      int64_t lag_max_ms)
{
    struct part *part = xcalloc(1, sizeof *part);

    atomic_init(&part->refs, 1);
    part->env = env;
    part->topic = xstrdup(topic);
    part->name = xasprintf("%s-%d", topic, partition);
    part->topic_id = topic_id;
    part->partition = partition;
    atomic_init(&part->log, *log);
    *log = NULL;
    lock_init(&part->append, LOCK_PART_APPEND);
    lock_init(&part->state, LOCK_PART_STATE);
    part_core_init(&part->core, env->broker_id, log_start_offset(part->log), log_leo(part->log), hw,
                   min_isr, lag_max_ms);
    /* Transactions whose markers recovery has read again: no move of the high watermark may follow.
     */
    log_on_hw(part->log, part->core.hw);
    part->validate = VALIDATE_CONF_DEFAULT;
    atomic_init(&part->changes, (uint64_t)clock_mono_us() << CHANGES_BITS);
    watch_list_init(&part->committed);
    watch_list_init(&part->grown);
    watch_list_init(&part->stable);
    watch_list_init(&part->cleared);
    return part;
}

struct part *part_ref(struct part *part)
{
    atomic_fetch_add_explicit(&part->refs, 1,
                              memory_order_relaxed); /* the caller keeps it above 0 */
    return part;
}

void part_unref(struct part **part_ptr)
{
    struct part *part = *part_ptr;

    *part_ptr = NULL;
    if (atomic_fetch_sub_explicit(&part->refs, 1, memory_order_acq_rel) != 1)
        return;
    watch_list_fini(&part->committed);
    watch_list_fini(&part->grown);
    watch_list_fini(&part->stable);
    watch_list_fini(&part->cleared);
    part_core_fini(&part->core);
    lock_fini(&part->append);
    lock_fini(&part->state);
    for (size_t i = 0; i < part->former_len; i++)
        log_unref(&part->former[i]);
    free(part->former);
    log_unref(&part->future);
    struct log *log = atomic_load(&part->log);
    log_unref(&log);
    free(part->topic);
    free(part->name);
    free(part);
}

const char *part_topic(const struct part *part)
{
    return part->topic;
}

struct uuid part_topic_id(const struct part *part)
{
    return part->topic_id;
}

int32_t part_partition(const struct part *part)
{
    return part->partition;
}

struct log *part_log(const struct part *part)
{
    return atomic_load_explicit(&part->log, memory_order_acquire); /* pairs with the swap's store */
}

bool part_is_offline(const struct part *part)
{
    return log_is_offline(part_log(part));
}

const char *part_name(const struct part *part)
{
    return part->name;
}

struct watch_list *part_committed(struct part *part)
{
    return &part->committed;
}

struct watch_list *part_grown(struct part *part)
{
    return &part->grown;
}

struct watch_list *part_stable(struct part *part)
{
    return &part->stable;
}

struct watch_list *part_cleared(struct part *part)
{
    return &part->cleared;
}

void part_get_info(struct part *part, struct part_info *out)
{
    lock_take(&part->state);
    const struct part_core *core = &part->core;
    int32_t min_isr = core->min_isr < core->replicas_len ? core->min_isr : core->replicas_len;
    *out = (struct part_info){
        .role = part_is_offline(part) ? PART_IDLE : core->role,
        .leader = core->leader,
        .leader_epoch = core->leader_epoch,
        .partition_epoch = core->partition_epoch,
        .led_since = core->led_since,
        .hw = core->hw,
        .leo = core->leo,
        .log_start = core->log_start,
        .isr_len = core->isr_len,
        .replicas_len = core->replicas_len,
        .min_isr = core->min_isr,
        .is_under_min_isr = core->role == PART_LEADER && core->isr_len < min_isr,
    };
    lock_drop(&part->state);
}

/* A copy on its way to another directory counts as a replica: it is to become ours. */
static int64_t low_watermark_locked(struct part *part)
{
    int64_t low = part_low_watermark(&part->core);

    lock_assert_held(&part->state);
    if (part->future != NULL && !log_is_offline(part->future) &&
        log_start_offset(part->future) < low)
        low = log_start_offset(part->future);
    return low;
}

void part_look_at_low_watermark(struct part *part)
{
    lock_take(&part->state);
    int64_t low = low_watermark_locked(part);
    lock_drop(&part->state);
    watch_list_reach(&part->cleared, low);
}

uint64_t part_changes(const struct part *part)
{
    return atomic_load_explicit(&part->changes, memory_order_acquire);
}

void part_note_change_locked(struct part *part)
{
    lock_assert_held(&part->state);
    /* No more than a store: it is written under the lock alone. Released, so that who sees the new
     * count and then takes the lock finds what changed. */
    atomic_store_explicit(&part->changes,
                          atomic_load_explicit(&part->changes, memory_order_relaxed) + 1,
                          memory_order_release);
}

/* Followers ask, syncs end and time passes all the while; mostly nothing comes of it. */
static bool is_noticed(const struct part_event *ev, const struct part_effects *effects)
{
    return (ev->kind != PART_EV_FETCHED && ev->kind != PART_EV_SYNCED &&
            ev->kind != PART_EV_TICK) ||
           effects->hw_moved || effects->isr_changed || effects->role_changed;
}

void part_step_locked(struct part *part, const struct part_event *ev, int64_t now_ms,
                      struct aftermath *after)
{
    lock_assert_held(&part->state);
    int32_t isr_before = part->core.isr_len;
    part_step(&part->core, ev, now_ms, &after->effects);
    after->hw = part->core.hw;
    after->leo = part->core.leo;
    if (is_noticed(ev, &after->effects))
        part_note_change_locked(part);
    part_look_at_time_locked(part, after);
    /* Who begins to wait looks at the core afterwards, under this lock: nothing is missed. */
    after->low_watermark = watch_list_is_empty(&part->cleared) ? -1 : low_watermark_locked(part);
    if (after->effects.isr_changed && !after->effects.role_changed &&
        part->core.role == PART_LEADER) {
        STAT_ADD(isr_expands, part->core.isr_len > isr_before);
        STAT_ADD(isr_shrinks, part->core.isr_len < isr_before);
    }
    if (after->effects.propose != NULL) {
        after->proposal = *after->effects.propose;
        after->proposal.members =
            xmemdup(after->proposal.members,
                    (size_t)after->proposal.members_len * sizeof *after->proposal.members);
    }
}

static void flush_watches(struct part *part)
{
    watch_list_flush(&part->committed);
    watch_list_flush(&part->grown);
    watch_list_flush(&part->stable);
    watch_list_flush(&part->cleared);
}

void part_see_to(struct part *part, struct aftermath *after)
{
    const struct part_effects *effects = &after->effects;

    if (effects->hw_moved) {
        log_on_hw(part_log(part), after->hw);
        watch_list_reach(&part->committed, after->hw);
        if (!watch_list_is_empty(&part->stable))
            watch_list_reach(&part->stable, log_last_stable_offset(part_log(part), after->hw));
    }
    if (after->low_watermark >= 0)
        watch_list_reach(&part->cleared, after->low_watermark);
    if (effects->role_changed) {
        flush_watches(part);
    } else if (effects->isr_changed) {
        watch_list_flush(&part->committed);
    }
    if (after->becomes_restless)
        part_join_restless(part);
    if (effects->propose != NULL) {
        part->env->propose(part->env->ctx, part, &after->proposal);
        free(after->proposal.members);
    }
}

void part_step_and_see_to(struct part *part, const struct part_event *ev, int64_t now_ms)
{
    struct aftermath after = { .low_watermark = -1 };

    lock_take(&part->state);
    if (part->closed != ERR_OK || part_is_offline(part)) {
        lock_drop(&part->state);
        return;
    }
    part_step_locked(part, ev, now_ms, &after);
    lock_drop(&part->state);
    part_see_to(part, &after);
}

void part_set_log_conf(struct part *part, const struct log_conf *conf)
{
    struct log *future = part_get_future_ref(part);

    log_set_conf(part_log(part), conf);
    if (future != NULL)
        log_set_conf(future, conf);
    log_unref(&future);
}

void part_set_conf(struct part *part, const struct validate_conf *validate, int32_t min_isr,
                   int64_t lag_max_ms, int64_t now_ms)
{
    struct part_event ev = { .kind = PART_EV_CONF,
                             .conf = { .min_isr = min_isr, .lag_max_ms = lag_max_ms } };

    lock_take(&part->state);
    part->validate = *validate;
    lock_drop(&part->state);
    part_step_and_see_to(part, &ev, now_ms);
}

void part_set_throttled(struct part *part, bool as_leader, bool as_follower)
{
    atomic_store_explicit(&part->throttled_leader, as_leader, memory_order_relaxed);
    atomic_store_explicit(&part->throttled_follower, as_follower, memory_order_relaxed);
}

bool part_is_throttled_follower(const struct part *part)
{
    return atomic_load_explicit(&part->throttled_follower, memory_order_relaxed);
}

void part_get_validate_conf(struct part *part, struct validate_conf *out)
{
    lock_take(&part->state);
    *out = part->validate;
    lock_drop(&part->state);
}

/* ---- the leader's side ---- */

static bool has_refused_lately(const struct part *part, int64_t now_ms)
{
    return part->refusal != ERR_OK && now_ms - part->refused_ms < REFUSAL_ECHO_MS;
}

/* Requests are pipelined. What comes behind one that was refused, because the role had not come yet
 * or the disk was full, finds itself accepted and has a gap before it. Its producer is to repeat
 * both in order; an OUT_OF_ORDER_SEQUENCE_NUMBER would make librdkafka begin a new epoch on all of
 * its partitions, and what it has to repeat on others would be there twice. */
static enum err echo_refusal(struct part *part, enum err err, int64_t now_ms)
{
    lock_assert_held(&part->append);
    switch (err) {
    case ERR_NOT_LEADER_OR_FOLLOWER:
    case ERR_NOT_ENOUGH_REPLICAS:
    case ERR_KAFKA_STORAGE_ERROR:
    case ERR_NO_SPACE:
        part->refusal = err;
        part->refused_ms = now_ms;
        return err;
    case ERR_OUT_OF_ORDER_SEQUENCE_NUMBER:
        return has_refused_lately(part, now_ms) ? part->refusal : err;
    default:
        return err;
    }
}

/* A producer that is not known here may begin with any sequence, for retention may have forgotten
 * it: that would let in what comes behind its first batch, and the first could not follow. */
static bool is_behind_refused(struct part *part, const struct validated *batch, int64_t now_ms)
{
    struct producer_entry known;

    lock_assert_held(&part->append);
    return has_refused_lately(part, now_ms) && batch->info.producer_id >= 0 &&
           batch->info.base_sequence != 0 &&
           !log_producer(part_log(part), batch->info.producer_id, &known);
}

bool part_take_full(struct part *part)
{
    return atomic_load_explicit(&part->is_full, memory_order_relaxed) &&
           atomic_exchange_explicit(&part->is_full, false, memory_order_relaxed);
}

/* What was appended before waits for the sync that its first append waits for: who asks again must
 * not be told sooner. */
static void wait_as_original(struct part *part, struct log_appended *out)
{
    struct log_conf conf;
    int64_t synced = log_recovery_point(part_log(part));

    log_get_conf(part_log(part), &conf);
    out->flush_due = conf.flush_messages != INT64_MAX && synced <= out->last_offset &&
                     out->leo - synced >= conf.flush_messages;
}

enum err part_append(struct part *part, struct validated *batch, int16_t acks,
                     enum log_origin origin, int64_t wall_ms, int64_t now_ms,
                     struct log_appended *out, int32_t *leader_epoch)
{
    struct aftermath after = { .low_watermark = -1 };
    enum err err;

    lock_take(&part->append);
    lock_take(&part->state);
    err = part_is_offline(part)    ? ERR_KAFKA_STORAGE_ERROR
          : part->closed != ERR_OK ? part->closed
                                   : part_check_produce(&part->core, acks);
    *leader_epoch = part->core.leader_epoch;
    lock_drop(&part->state);
    if (err == ERR_OK && is_behind_refused(part, batch, now_ms)) {
        err = part->refusal;
        lock_drop(&part->append); /* it is not a new one: it ends when the first one's time does */
        return err;
    }
    if (err == ERR_OK) {
        validate_stamp(batch, log_leo(part_log(part)), *leader_epoch, wall_ms);
        err = log_append_leader(part_log(part), batch->bytes, batch->len, *leader_epoch, origin,
                                wall_ms, out);
    }
    if (err == ERR_OK && out->is_duplicate)
        wait_as_original(part, out);
    err = echo_refusal(part, err, now_ms);
    if (err == ERR_NO_SPACE)
        atomic_store_explicit(&part->is_full, true, memory_order_relaxed);
    if (err == ERR_OK && !out->is_duplicate) {
        struct part_event ev = { .kind = PART_EV_APPENDED,
                                 .appended = { .leo = out->leo, .flush_due = out->flush_due } };

        lock_take(&part->state);
        part_step_locked(part, &ev, now_ms, &after);
        lock_drop(&part->state);
    }
    lock_drop(&part->append);
    if (err == ERR_OK && !out->is_duplicate) {
        watch_list_reach(&part->grown, out->leo);
        part_see_to(part, &after);
    }
    return err;
}

enum part_ack part_check_acked(struct part *part, int64_t end, int32_t leader_epoch, enum err *err)
{
    lock_take(&part->state);
    enum part_ack ack = part_acked(&part->core, end, leader_epoch, err);
    if (part->closed != ERR_OK)
        *err = part->closed;
    lock_drop(&part->state);
    if (ack != PART_ACK_WAIT || !part_is_offline(part))
        return ack;
    *err = ERR_KAFKA_STORAGE_ERROR;
    return PART_ACK_FAILED;
}

/* What nobody can be served from comes first, as in Kafka's getPartitionOrError. */
static enum err check_epoch_locked(struct part *part, int32_t current_leader_epoch,
                                   bool leader_only)
{
    lock_assert_held(&part->state);
    if (part_is_offline(part))
        return ERR_KAFKA_STORAGE_ERROR;
    return part->closed != ERR_OK
               ? part->closed
               : part_check_epoch(&part->core, current_leader_epoch, leader_only);
}

static enum err check_read_locked(struct part *part, const struct part_read *read)
{
    enum err err = check_epoch_locked(part, read->current_leader_epoch,
                                      read->leader_only || read->replica >= 0);

    if (err == ERR_OK && read->replica >= 0)
        err = part_check_follower(&part->core, read->replica, read->replica_epoch,
                                  read->current_leader_epoch >= 0);
    return err;
}

/* Where the follower's history parts from ours, if it does (KIP-595 on Fetch v12+). */
static enum err check_divergence(struct part *part, struct part_read *read)
{
    if (read->last_fetched_epoch < 0)
        return ERR_OK;
    if (read->offset < read->log_start)
        return ERR_OFFSET_OUT_OF_RANGE; /* the start is tested first (KAFKA-12996) */

    struct epoch_end end = log_epoch_end(part_log(part), read->last_fetched_epoch);
    if (end.epoch < 0)
        return ERR_OFFSET_OUT_OF_RANGE;
    if (end.epoch < read->last_fetched_epoch || end.end_offset < read->offset) {
        read->diverging = true;
        read->diverging_epoch = end.epoch;
        read->diverging_end = end.end_offset;
    }
    return ERR_OK;
}

/* The role may have changed during the read, and the log have become another leader's: what was
 * found then must not go behind the records that the follower has of our epoch. From here on
 * whatever cuts the log makes the range invalid. */
static enum err check_again_locked(struct part *part, const struct part_read *read)
{
    enum err err = check_read_locked(part, read);

    /* Who has not said in which epoch it asks passes for one of the new epoch. */
    if (err == ERR_OK && part->core.leader_epoch != read->leader_epoch)
        err = ERR_NOT_LEADER_OR_FOLLOWER;
    return err;
}

static enum err check_again(struct part *part, const struct part_read *read)
{
    lock_take(&part->state);
    enum err err = check_again_locked(part, read);
    lock_drop(&part->state);
    return err;
}

static enum err note_follower(struct part *part, const struct part_read *read, int64_t leader_leo,
                              int64_t now_ms)
{
    struct aftermath after = { .low_watermark = -1 };
    struct part_event ev = { .kind = PART_EV_FETCHED,
                             .fetched = {
                                 .replica = read->replica,
                                 .broker_epoch = read->replica_epoch,
                                 .offset = read->offset,
                                 .log_start = read->replica_log_start,
                                 .leader_leo = leader_leo,
                             } };

    lock_take(&part->state);
    enum err err = check_again_locked(part, read);
    if (err != ERR_OK) {
        lock_drop(&part->state);
        return err;
    }
    part_step_locked(part, &ev, now_ms, &after);
    lock_drop(&part->state);
    part_see_to(part, &after);
    return after.effects.refused;
}

static void forget_ends(struct part_read *read)
{
    read->hw = -1;
    read->last_stable = -1;
    read->log_start = -1;
}

/* What a follower is given counts for the quota when the replica is throttled, but only those that
 * are not in sync are held back: the others hold up writing (Kafka: shouldLeaderThrottle). */
static void look_at_quota(const struct part *part, struct part_read *read, int64_t now_ms)
{
    read->held_ms = 0;
    read->is_throttled = read->replica >= 0 && read->quota != NULL &&
                         atomic_load_explicit(&part->throttled_leader, memory_order_relaxed);
    if (read->is_throttled && !read->in_sync)
        read->held_ms = repl_quota_wait_ms(read->quota, now_ms);
}

enum err part_read(struct part *part, struct part_read *read, int64_t now_ms)
{
    int64_t leo;
    enum err err;

    read->range = (struct log_range){ .len = 0 };
    read->diverging = false;
    lock_take(&part->state);
    err = check_read_locked(part, read);
    read->leader = part->core.leader;
    read->leader_epoch = part->core.leader_epoch;
    read->hw = part->core.hw;
    read->log_start = part->core.log_start;
    leo = part->core.leo;
    read->in_sync = read->replica >= 0 && part_in_isr(&part->core, read->replica);
    lock_drop(&part->state);
    if (err != ERR_OK) {
        forget_ends(read);
        return err;
    }
    look_at_quota(part, read, now_ms);
    read->last_stable = log_last_stable_offset(part_log(part), read->hw);
    read->upper = read->isolation == PART_READ_LOG_END     ? leo
                  : read->isolation == PART_READ_COMMITTED ? read->last_stable
                                                           : read->hw;
    if (read->ends_only)
        return ERR_OK;
    err = check_divergence(part, read);
    if (err == ERR_OK && read->diverging)
        return ERR_OK; /* nothing is noted of a follower that is about to cut its log */
    if (err == ERR_OK)
        err = log_read(part_log(part), read->offset, read->upper, read->max_bytes, read->min_one,
                       &read->range);
    if (err == ERR_OK && read->held_ms > 0 && read->range.len > 0)
        log_range_done(&read->range); /* looked for all the same: it may be out of range */
    if (err == ERR_OK && read->replica >= 0)
        err = read->note_follower   ? note_follower(part, read, leo, now_ms)
              : read->range.len > 0 ? check_again(part, read)
                                    : ERR_OK;
    if (err != ERR_OK) {
        if (read->range.len > 0)
            log_range_done(&read->range);
        forget_ends(read);
    }
    return err;
}

size_t part_get_readers(struct part *part, int64_t offset, int64_t now_ms, struct reader *out,
                        size_t cap)
{
    lock_take(&part->state);
    size_t n = part_list_readers(&part->core, offset, now_ms, out, cap);
    lock_drop(&part->state);
    return n;
}

enum err part_list_bound(struct part *part, int32_t current_leader_epoch, bool leader_only,
                         enum part_isolation isolation, int64_t *bound, int32_t *leader_epoch)
{
    enum err err;

    lock_take(&part->state);
    err = check_epoch_locked(part, current_leader_epoch, leader_only);
    int64_t hw = part->core.hw, leo = part->core.leo;
    bool known = part_hw_is_known(&part->core);
    *leader_epoch = part->core.leader_epoch;
    lock_drop(&part->state);
    if (err != ERR_OK)
        return err;
    if (isolation == PART_READ_LOG_END) {
        *bound = leo;
        return ERR_OK;
    }
    *bound = isolation == PART_READ_COMMITTED ? log_last_stable_offset(part_log(part), hw) : hw;
    return known ? ERR_OK : ERR_OFFSET_NOT_AVAILABLE;
}

enum err part_epoch_end(struct part *part, int32_t current_leader_epoch, int32_t epoch,
                        struct epoch_end *out)
{
    lock_take(&part->state);
    enum err err = check_epoch_locked(part, current_leader_epoch, true);
    lock_drop(&part->state);
    if (err == ERR_OK)
        *out = log_epoch_end(part_log(part), epoch);
    return err;
}

/* ---- role and time ---- */

/* What flush.messages wants on the disk and is not there, appended in an earlier role. */
static int64_t unsynced_tail(struct part *part)
{
    struct log_conf conf;
    int64_t unsynced = log_leo(part_log(part)) - log_recovery_point(part_log(part));

    lock_assert_held(&part->append);
    log_get_conf(part_log(part), &conf);
    return conf.flush_messages != INT64_MAX && unsynced >= conf.flush_messages ? unsynced : 0;
}

void part_set_role(struct part *part, const struct part_event *role, int64_t now_ms,
                   struct part_effects *out)
{
    struct aftermath after = { .low_watermark = -1 };
    struct part_event ev = *role;

    assert(role->kind == PART_EV_ROLE);
    lock_take(&part->append);
    if (ev.role.leader == part->env->broker_id)
        ev.role.unsynced = unsynced_tail(part);
    lock_take(&part->state);
    part_step_locked(part, &ev, now_ms, &after);
    int32_t leader = part->core.leader, epoch = part->core.leader_epoch;
    enum part_role now = part->core.role;
    int64_t leo = part->core.leo;
    lock_drop(&part->state);
    /* An epoch that cannot be noted still shows in the headers of what is appended in it. */
    if (after.effects.assign_epoch && log_assign_epoch(part_log(part), epoch, leo) != ERR_OK)
        say_warn("cannot note the leader epoch of %s epoch=%d", part->name, epoch);
    lock_drop(&part->append);
    if (after.effects.role_changed)
        say_info("%s %s leader=%d epoch=%d leo=%lld hw=%lld",
                 now == PART_LEADER     ? "leading"
                 : now == PART_FOLLOWER ? "following"
                                        : "idle",
                 part->name, leader, epoch, (long long)leo, (long long)after.hw);
    part_see_to(part, &after);
    *out = after.effects;
    out->propose = NULL;
}

void part_synced(struct part *part, int32_t leader_epoch, int64_t now_ms)
{
    struct part_event ev = { .kind = PART_EV_SYNCED,
                             .synced = { .leader_epoch = leader_epoch,
                                         .upto = log_recovery_point(part_log(part)) } };

    part_step_and_see_to(part, &ev, now_ms);
}

void part_wake_all(struct part *part)
{
    flush_watches(part);
}

void part_close(struct part *part, enum err why)
{
    assert(why != ERR_OK);
    lock_take(&part->append);
    lock_take(&part->state);
    part->closed = why;
    part->core.role = PART_IDLE;
    part_note_change_locked(part);
    lock_drop(&part->state);
    lock_drop(&part->append);
    flush_watches(part);
}

void part_note_start(struct part *part, int64_t now_ms, struct aftermath *after)
{
    struct part_event ev = { .kind = PART_EV_LOG_START,
                             .log_start = { .log_start = log_start_offset(part_log(part)) } };

    lock_assert_held(&part->append);
    lock_take(&part->state);
    part_step_locked(part, &ev, now_ms, after);
    lock_drop(&part->state);
}

enum err part_why_closed(struct part *part)
{
    lock_take(&part->state);
    enum err why = part->closed;

    lock_drop(&part->state);
    return why;
}

enum err part_get_low_watermark(struct part *part, int64_t *low_watermark)
{
    lock_take(&part->state);
    enum err err = check_epoch_locked(part, -1, true);
    *low_watermark = err == ERR_OK ? low_watermark_locked(part) : -1;
    lock_drop(&part->state);
    return err;
}

static enum err advance_start(struct part *part, int64_t *offset, int64_t now_ms,
                              struct aftermath *after)
{
    struct log_conf conf;

    lock_assert_held(&part->append);
    log_get_conf(part_log(part), &conf);
    lock_take(&part->state);
    enum err err = check_epoch_locked(part, -1, true);
    int64_t hw = part->core.hw;
    lock_drop(&part->state);
    if (err != ERR_OK)
        return err;
    if (!conf.cleanup_delete)
        return ERR_POLICY_VIOLATION;
    if (*offset == PART_DELETE_TO_HW)
        *offset = hw;
    if (*offset < 0 || *offset > hw)
        return ERR_OFFSET_OUT_OF_RANGE;
    if (log_advance_start(part_log(part), *offset))
        part_note_start(part, now_ms, after);
    return ERR_OK;
}

enum err part_delete_records(struct part *part, int64_t *offset, int64_t now_ms,
                             int64_t *low_watermark)
{
    struct aftermath after = { .low_watermark = -1 };

    *low_watermark = -1;
    lock_take(&part->append);
    enum err err = advance_start(part, offset, now_ms, &after);
    lock_drop(&part->append);
    if (err != ERR_OK)
        return err;
    part_see_to(part, &after);
    if (after.effects.log_start_moved)
        watch_list_flush(&part->grown); /* followers learn of it now and not when their wait ends */
    return part_get_low_watermark(part, low_watermark);
}
