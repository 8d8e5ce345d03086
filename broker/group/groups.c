/*
 * A request takes its shard's lock, finds the group, steps the core; what the core wants done is
 * gathered (struct group_after), the lock is dropped, and then it is done: records are appended, in
 * the order in which the cores asked for them (groups_append.c), calls are answered, each on its
 * reactor. A heartbeat ends with the lock: it wakes nobody and moves no timer.
 *
 * Each shard has a timer on its home reactor, set to the earliest time at which one of its groups
 * wants to be woken. Somebody else who needs it earlier posts a message there.
 *
 * A shard becomes ours when the image makes us leader of its partition: LOADING until its log has
 * been read (group_load.c), then OURS; AWAY again when the image says so. `life` tells whatever
 * comes home late (a load, an append) whether the shard it left is still the same. A new epoch of
 * an unbroken leadership changes nothing, for nobody else can have written meanwhile.
 */
#include "broker/group/groups.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/group/group_load.h"
#include "broker/group/group_record.h"
#include "broker/group/groups_int.h"
#include "common/base/clock.h"
#include "common/base/rand.h"
#include "common/base/say.h"

#define TICKS_A_TURN 64

/* ---- what is done once a lock is dropped ---- */

void after_init(struct group_after *after)
{
    after->ready = NULL;
    after->ready_last = &after->ready;
    after->said = NULL;
    after->said_len = 0;
    after->said_cap = 0;
    arena_init(&after->arena, SIZE_MAX);
}

void after_ready(struct group_after *after, struct group_call *call)
{
    call->next_ready = NULL;
    *after->ready_last = call;
    after->ready_last = &call->next_ready;
}

static void on_ready(struct msg *msg)
{
    struct group_call *call = container_of(msg, struct group_call, msg);

    call->done(call);
}

static void answer_all(struct group_call *call)
{
    while (call != NULL) {
        struct group_call *next = call->next_ready;

        if (reactor_is_here(call->reactor)) {
            call->done(call);
        } else {
            call->msg.run = on_ready;
            reactor_post(call->reactor, &call->msg);
        }
        call = next;
    }
}

void after_end(struct group_after *after)
{
    answer_all(after->ready);
    for (size_t i = 0; i < after->said_len; i++)
        say_info("%.*s", STR_ARG(after->said[i]));
    free(after->said);
    arena_fini(&after->arena);
}

void after_do(struct group_after *after, struct group_shard *shard)
{
    shard_drain(shard);
    after_end(after);
}

static void fill_join(const struct group *group, const struct group_answer *answer)
{
    struct group_join *join = answer->who;
    struct arena *arena = join->call.arena;

    join->err = answer->err;
    join->member = arena_str(arena, answer->member);
    join->generation = answer->generation;
    join->protocol_type = arena_str(arena, answer->protocol_type);
    join->protocol = arena_str(arena, answer->protocol);
    join->leader = arena_str(arena, answer->leader);
    join->skip = answer->skip;
    if (!answer->with_members)
        return;
    join->members_len = group_size(group);
    join->members = arena_alloc(arena, (join->members_len + 1) * sizeof *join->members);
    for (size_t i = 0; i < join->members_len; i++) {
        struct group_member_info info;

        group_member_at(group, i, &info);
        join->members[i] = (struct group_joined_member){
            .id = arena_str(arena, info.id),
            .instance = arena_str(arena, info.instance),
            .metadata = arena_str(arena, info.metadata),
        };
    }
}

static void fill_sync(const struct group_answer *answer)
{
    struct group_sync *sync = answer->who;
    struct arena *arena = sync->call.arena;

    sync->err = answer->err;
    sync->protocol_type = arena_str(arena, answer->protocol_type);
    sync->protocol = arena_str(arena, answer->protocol);
    sync->assignment = arena_str(arena, answer->assignment);
}

static void after_say(struct group_after *after, struct str text)
{
    array_reserve(&after->said, &after->said_cap, after->said_len, sizeof *after->said);
    after->said[after->said_len++] = arena_str(&after->arena, text);
}

void after_step_locked(struct group_after *after, struct group_shard *shard,
                       struct group_slot *slot, struct group_effects *effects)
{
    lock_assert_held(&shard->lock);
    for (size_t i = 0; i < effects->answers_len; i++) {
        const struct group_answer *answer = &effects->answers[i];

        if (answer->is_sync) {
            fill_sync(answer);
            after_ready(after, &((struct group_sync *)answer->who)->call);
        } else {
            fill_join(slot->group, answer);
            after_ready(after, &((struct group_join *)answer->who)->call);
        }
    }
    for (size_t i = 0; i < effects->said_len; i++)
        after_say(after, effects->said[i]);
    if (effects->store)
        append_group_locked(shard, slot, effects->store_seq);
    group_effects_fini(effects);
    group_table_woken(&shard->table, slot);
    shard_arm_locked(shard);
}

/* ---- shards ---- */

struct group_shard *groups_shard(struct groups *groups, int32_t partition)
{
    /* pairs with the release in need_shards() */
    struct shard_list *list = atomic_load_explicit(&groups->shards, memory_order_acquire);

    return list != NULL && partition >= 0 && partition < list->made ? list->at[partition] : NULL;
}

struct group_shard *groups_shard_of(struct groups *groups, struct str group_id)
{
    struct shard_list *list = atomic_load_explicit(&groups->shards, memory_order_acquire);

    return list != NULL ? list->at[group_record_partition(group_id, list->len)] : NULL;
}

enum err groups_enter(struct groups *groups, struct str group_id, bool may_be_empty,
                      struct group_shard **out)
{
    if (str_is_null(group_id) || (group_id.len == 0 && !may_be_empty))
        return ERR_INVALID_GROUP_ID;
    if (atomic_load_explicit(&groups->stopped, memory_order_relaxed))
        return ERR_COORDINATOR_NOT_AVAILABLE;
    struct group_shard *shard = groups_shard_of(groups, group_id);
    if (shard == NULL)
        return ERR_NOT_COORDINATOR;
    lock_take(&shard->lock);
    if (shard->state == SHARD_OURS) {
        *out = shard;
        return ERR_OK;
    }
    enum err err =
        shard->state == SHARD_LOADING ? ERR_COORDINATOR_LOAD_IN_PROGRESS : ERR_NOT_COORDINATOR;
    lock_drop(&shard->lock);
    return err;
}

/* ---- time ---- */

static void set_timer(struct group_shard *shard, int64_t due_ms)
{
    int64_t delay_ms = due_ms - clock_mono_ms();

    reactor_timer_set_ms(shard->home, &shard->timer, delay_ms > 0 ? delay_ms : 0);
}

static void on_arm(struct msg *msg)
{
    struct group_shard *shard = container_of(msg, struct group_shard, arm_msg);

    lock_take(&shard->lock);
    shard->arm_posted = false;
    int64_t due_ms = shard->armed_ms;
    lock_drop(&shard->lock);
    if (due_ms != GROUP_NEVER)
        set_timer(shard, due_ms);
}

/* The timer is to ring when the first group wants it. That it rings too early does no harm, so it
 * is never set later from here. */
void shard_arm_locked(struct group_shard *shard)
{
    const struct group_slot *first = group_table_first(&shard->table);

    lock_assert_held(&shard->lock);
    if (first == NULL || first->wake_ms >= shard->armed_ms)
        return;
    shard->armed_ms = first->wake_ms;
    if (shard->arm_posted)
        return;
    shard->arm_posted = true;
    reactor_post(shard->home, &shard->arm_msg);
}

static void on_timer(struct reactor_timer *timer)
{
    struct group_shard *shard = container_of(timer, struct group_shard, timer);
    struct group_event ev = { .kind = GROUP_EV_TICK, .wall_ms = clock_wall_ms() };
    int64_t now_ms = clock_mono_ms();
    struct group_after after;
    struct group_slot *slot;

    after_init(&after);
    lock_take(&shard->lock);
    shard->armed_ms = INT64_MIN; /* nobody sets it meanwhile */
    for (int i = 0; i < TICKS_A_TURN && (slot = group_table_first(&shard->table)) != NULL &&
                    slot->wake_ms <= now_ms;
         i++) {
        struct group_effects effects;

        group_effects_init(&effects);
        group_step(slot->group, &ev, now_ms, &effects);
        after_step_locked(&after, shard, slot, &effects);
    }
    slot = group_table_first(&shard->table);
    shard->armed_ms = slot != NULL ? slot->wake_ms : GROUP_NEVER;
    int64_t due_ms = shard->armed_ms;
    lock_drop(&shard->lock);
    if (due_ms != GROUP_NEVER)
        set_timer(shard, due_ms > now_ms ? due_ms : now_ms + 1);
    after_do(&after, shard);
}

/* ---- requests ---- */

/* 36 characters, as java.util.UUID writes them. */
static struct str make_uuid(struct arena *arena)
{
    uint8_t b[16];

    rand_bytes_os(b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    return arena_printf(
        arena, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
        b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static void step_locked(struct group_shard *shard, struct group_slot *slot,
                        const struct group_event *ev, struct group_after *after)
{
    struct group_effects effects;

    group_effects_init(&effects);
    group_step(slot->group, ev, clock_mono_ms(), &effects);
    after_step_locked(after, shard, slot, &effects);
}

static struct group_slot *add_group_locked(struct group_shard *shard, struct str id)
{
    struct group *group = group_new(&shard->groups->conf.group, id, clock_wall_ms());

    return group_table_add(&shard->table, &group);
}

static enum err try_join(struct groups *groups, struct group_join *join)
{
    struct group_shard *shard;
    struct group_after after;
    enum err err = groups_enter(groups, join->group_id, false, &shard);

    if (err != ERR_OK)
        return err;
    err = group_check_session(&groups->conf.group, join->ev.join.session_ms);
    struct group_slot *slot = group_table_find(&shard->table, join->group_id);
    if (err == ERR_OK && slot == NULL && join->ev.join.member.len > 0)
        err = ERR_UNKNOWN_MEMBER_ID; /* only somebody new brings a group about */
    if (err != ERR_OK) {
        lock_drop(&shard->lock);
        return err;
    }
    if (slot == NULL)
        slot = add_group_locked(shard, join->group_id);
    after_init(&after);
    step_locked(shard, slot, &join->ev, &after);
    lock_drop(&shard->lock);
    after_do(&after, shard);
    return ERR_OK;
}

void groups_join(struct groups *groups, struct group_join *join)
{
    join->ev.kind = GROUP_EV_JOIN;
    join->ev.wall_ms = clock_wall_ms();
    join->ev.join.who = join;
    join->ev.join.uuid = make_uuid(join->call.arena);
    join->members = NULL;
    join->members_len = 0;
    enum err err = try_join(groups, join);
    if (err == ERR_OK)
        return;
    join->err = err;
    join->member = join->ev.join.member;
    join->generation = GROUP_NO_GENERATION;
    join->protocol_type = STR_NULL;
    join->protocol = STR_NULL;
    join->leader = STR_EMPTY;
    join->skip = false;
    join->call.done(&join->call);
}

void groups_sync(struct groups *groups, struct group_sync *sync)
{
    struct group_shard *shard;
    struct group_after after;
    enum err err = groups_enter(groups, sync->group_id, false, &shard);

    sync->ev.kind = GROUP_EV_SYNC;
    sync->ev.wall_ms = clock_wall_ms();
    sync->ev.sync.who = sync;
    if (err == ERR_OK) {
        struct group_slot *slot = group_table_find(&shard->table, sync->group_id);

        after_init(&after);
        if (slot != NULL)
            step_locked(shard, slot, &sync->ev, &after);
        lock_drop(&shard->lock);
        after_do(&after, shard);
        if (slot != NULL)
            return;
        err = ERR_UNKNOWN_MEMBER_ID;
    }
    /* The rebalance that it belongs to is lost with the old coordinator, and clients of old do not
     * know the error that says so. */
    sync->err = err == ERR_COORDINATOR_LOAD_IN_PROGRESS ? ERR_REBALANCE_IN_PROGRESS : err;
    sync->protocol_type = STR_NULL;
    sync->protocol = STR_NULL;
    sync->assignment = STR_EMPTY;
    sync->call.done(&sync->call);
}

enum err groups_heartbeat(struct groups *groups, struct str group_id, int32_t generation,
                          struct str member, struct str instance)
{
    struct group_shard *shard;
    enum err err = groups_enter(groups, group_id, false, &shard);

    if (err != ERR_OK)
        return err == ERR_COORDINATOR_LOAD_IN_PROGRESS ? ERR_OK : err;
    struct group_slot *slot = group_table_find(&shard->table, group_id);
    err = slot == NULL
              ? ERR_UNKNOWN_MEMBER_ID
              : group_heartbeat(slot->group, generation, member, instance, clock_mono_ms());
    if (slot != NULL && group_wake_ms(slot->group) < slot->wake_ms) {
        group_table_woken(&shard->table, slot);
        shard_arm_locked(shard);
    }
    lock_drop(&shard->lock);
    return err;
}

enum err groups_leave(struct groups *groups, struct str group_id, struct group_leaving *members,
                      size_t len)
{
    struct group_shard *shard;
    struct group_after after;
    enum err err = groups_enter(groups, group_id, false, &shard);

    if (err != ERR_OK)
        return err;
    after_init(&after);
    struct group_slot *slot = group_table_find(&shard->table, group_id);
    for (size_t i = 0; i < len; i++) {
        struct group_event ev = { .kind = GROUP_EV_LEAVE,
                                  .wall_ms = clock_wall_ms(),
                                  .leave = { .member = members[i].member,
                                             .instance = members[i].instance,
                                             .reason = members[i].reason } };
        struct group_effects effects;

        members[i].err = ERR_UNKNOWN_MEMBER_ID;
        if (slot == NULL)
            continue;
        group_effects_init(&effects);
        group_step(slot->group, &ev, clock_mono_ms(), &effects);
        members[i].err = effects.err;
        after_step_locked(&after, shard, slot, &effects);
    }
    lock_drop(&shard->lock);
    after_do(&after, shard);
    return ERR_OK;
}

/* ---- offsets ---- */

static void fail_commit(struct offset_commit *commit, enum err err)
{
    for (size_t i = 0; i < commit->len; i++)
        if (commit->items[i].err == ERR_OK)
            commit->items[i].err = err;
    commit->call.done(&commit->call);
}

/* Checks under the lock and queues; false: *err, or nothing is left to be stored. */
static bool begin_commit_locked(struct group_shard *shard, struct offset_commit *commit,
                                enum err *err)
{
    struct group_slot *slot = group_table_find(&shard->table, commit->group_id);
    bool any = false;

    if (slot == NULL && commit->generation >= 0) {
        *err = ERR_ILLEGAL_GENERATION;
        return false;
    }
    if (slot == NULL)
        slot = add_group_locked(shard, commit->group_id);
    *err = offsets_check(slot->group, commit->generation, commit->member, commit->instance, false,
                         clock_mono_ms());
    if (*err != ERR_OK)
        return false;
    if (group_wake_ms(slot->group) < slot->wake_ms) {
        group_table_woken(&shard->table, slot);
        shard_arm_locked(shard);
    }
    for (size_t i = 0; i < commit->len; i++) {
        struct offset_item *item = &commit->items[i];

        if (item->err == ERR_OK)
            item->err = offsets_check_metadata(&shard->groups->conf.group, item->value.metadata);
        any = any || item->err == ERR_OK;
    }
    if (any)
        append_commit_locked(shard, slot, commit);
    return any;
}

void groups_commit(struct groups *groups, struct offset_commit *commit)
{
    struct group_shard *shard;
    enum err err = groups_enter(groups, commit->group_id, true, &shard);

    if (err != ERR_OK) {
        fail_commit(commit, err);
        return;
    }
    bool queued = begin_commit_locked(shard, commit, &err);
    lock_drop(&shard->lock);
    if (queued)
        shard_drain(shard);
    else
        fail_commit(commit, err);
}

static void copy_value(struct offset_asked *to, const struct offset_value *value,
                       struct arena *arena)
{
    to->found = true;
    to->value = *value;
    to->value.metadata = arena_str(arena, value->metadata);
}

enum err groups_fetch(struct groups *groups, struct str group_id, bool require_stable,
                      struct offset_asked *asked, size_t len, struct arena *arena)
{
    struct group_shard *shard;
    enum err err = groups_enter(groups, group_id, true, &shard);

    if (err != ERR_OK)
        return err;
    const struct group_slot *slot = group_table_find(&shard->table, group_id);
    for (size_t i = 0; i < len; i++) {
        struct offset_value value;
        bool unstable = false;

        asked[i].err = ERR_OK;
        asked[i].found = false;
        if (slot == NULL)
            continue;
        bool found =
            offsets_get(slot->group, asked[i].topic, asked[i].partition, &value, &unstable);
        if (require_stable && unstable)
            asked[i].err = ERR_UNSTABLE_OFFSET_COMMIT;
        else if (found)
            copy_value(&asked[i], &value, arena);
    }
    lock_drop(&shard->lock);
    return ERR_OK;
}

static void fetch_all_locked(const struct group *group, bool require_stable, struct arena *arena,
                             struct offset_asked *out, size_t *len)
{
    struct offset_cursor cursor = { 0 };
    struct offset_value value;
    struct str topic, copied = STR_NULL;
    int32_t partition;

    while (offsets_next(group, &cursor, &topic, &partition, &value)) {
        struct offset_asked *to = &out[(*len)++];
        struct offset_value again;
        bool unstable;

        if (!str_eq(topic, copied))
            copied = arena_str(arena, topic);
        *to = (struct offset_asked){ .topic = copied, .partition = partition };
        offsets_get(group, topic, partition, &again, &unstable);
        if (require_stable && unstable)
            to->err = ERR_UNSTABLE_OFFSET_COMMIT;
        else
            copy_value(to, &value, arena);
    }
}

enum err groups_fetch_all(struct groups *groups, struct str group_id, bool require_stable,
                          struct arena *arena, struct offset_asked **out, size_t *len)
{
    struct group_shard *shard;
    enum err err = groups_enter(groups, group_id, true, &shard);

    *len = 0;
    *out = NULL;
    if (err != ERR_OK)
        return err;
    const struct group_slot *slot = group_table_find(&shard->table, group_id);
    if (slot != NULL) {
        *out = arena_alloc(arena, (offsets_count(slot->group) + 1) * sizeof **out);
        fetch_all_locked(slot->group, require_stable, arena, *out, len);
    }
    lock_drop(&shard->lock);
    return ERR_OK;
}

/* ---- roles ---- */

static struct group_shard *shard_new(struct groups *groups, int32_t partition)
{
    struct group_shard *shard = xcalloc(1, sizeof *shard);

    shard->groups = groups;
    shard->partition = partition;
    shard->home = groups->conf.reactors[(size_t)partition % groups->conf.reactors_len];
    lock_init(&shard->lock, LOCK_GROUP);
    shard->epoch = -1;
    group_table_init(&shard->table);
    STAILQ_INIT(&shard->queue);
    TAILQ_INIT(&shard->waits);
    LIST_INIT(&shard->loads);
    reactor_timer_init(&shard->timer, on_timer);
    shard->armed_ms = GROUP_NEVER;
    shard->arm_msg = (struct msg){ .run = on_arm };
    return shard;
}

/* As many as the topic has partitions. A topic that grows moves groups to partitions that know
 * nothing of them, as in Kafka: it must not be grown. */
static void need_shards(struct groups *groups, int32_t len)
{
    struct shard_list *old = atomic_load_explicit(&groups->shards, memory_order_relaxed);
    int32_t had = old != NULL ? old->made : 0;
    int32_t made = len > had ? len : had;

    if (len == 0 || (old != NULL && old->len == len))
        return;
    struct shard_list *list = xcalloc(1, sizeof *list + (size_t)made * sizeof list->at[0]);
    list->older = old;
    list->len = len;
    list->made = made;
    for (int32_t i = 0; i < made; i++)
        list->at[i] = i < had ? old->at[i] : shard_new(groups, i);
    atomic_store_explicit(&groups->shards, list, memory_order_release);
}

/* Everything that the shard has goes; who waits is told. */
static void let_go_locked(struct group_shard *shard, struct group_after *after)
{
    struct group_event ev = { .kind = GROUP_EV_CLOSE, .wall_ms = clock_wall_ms() };
    struct group_cursor cursor = { 0 };
    struct group_slot *slot;

    lock_assert_held(&shard->lock);
    while ((slot = group_table_next(&shard->table, &cursor)) != NULL)
        step_locked(shard, slot, &ev, after);
    shard->state = SHARD_AWAY;
    shard->life++;
    groups_drop_owed_locked(shard);
    group_load_discard(shard->groups, &shard->table);
    if (shard->part != NULL)
        part_unref(&shard->part);
}

static void resign(struct group_shard *shard, int32_t epoch)
{
    struct group_after after;

    after_init(&after);
    lock_take(&shard->lock);
    if (epoch > shard->epoch)
        shard->epoch = epoch;
    if (shard->state != SHARD_AWAY)
        let_go_locked(shard, &after);
    lock_drop(&shard->lock);
    after_do(&after, shard);
}

static void lead(struct group_shard *shard, struct part *part, const struct part_info *info)
{
    struct group_after after;
    uint64_t life = 0;

    after_init(&after);
    lock_take(&shard->lock);
    if (atomic_load_explicit(&shard->groups->stopped, memory_order_relaxed)) {
        lock_drop(&shard->lock); /* groups_stop() has been here, or is about to be */
        after_end(&after);
        return;
    }
    bool unbroken =
        shard->state != SHARD_AWAY && shard->part == part && info->led_since == shard->led_since;
    if (!unbroken) {
        if (shard->state != SHARD_AWAY)
            let_go_locked(shard, &after);
        shard->state = SHARD_LOADING;
        shard->part = part_ref(part);
        shard->led_since = info->led_since;
        life = ++shard->life;
    }
    shard->epoch = info->leader_epoch;
    lock_drop(&shard->lock);
    after_do(&after, shard);
    if (!unbroken)
        group_load_begin(shard, part, life, info->leader_epoch);
}

static void apply_partition(struct groups *groups, const struct parts_table *table, int32_t index)
{
    struct group_shard *shard = groups_shard(groups, index);
    struct part *part = parts_find(table, STR(GROUPS_TOPIC), index);
    struct part_info info = { .role = PART_FOLLOWER, .leader_epoch = -1 };

    if (part != NULL)
        part_get_info(part, &info);
    if (part != NULL && info.role == PART_LEADER)
        lead(shard, part, &info);
    else
        resign(shard, info.leader_epoch);
}

static bool is_touched(const struct image_delta *delta)
{
    if (delta == NULL)
        return true;
    for (size_t i = 0; i < delta->n_topics; i++)
        if (str_is(delta->topics[i].name, GROUPS_TOPIC))
            return true;
    return delta->n_topics_gone > 0;
}

static void apply_roles(struct groups *groups, const struct image *after)
{
    const struct image_topic *topic = image_topic_named(after, STR(GROUPS_TOPIC));
    const struct parts_table *table = parts_get_table(groups->conf.parts);

    if (topic != NULL)
        need_shards(groups, topic->n_parts);
    struct shard_list *list = atomic_load_explicit(&groups->shards, memory_order_relaxed);
    for (int32_t i = 0; list != NULL && i < list->made; i++)
        apply_partition(groups, table, i);
    parts_put_table(&table);
}

void groups_apply(struct groups *groups, const struct image *before, const struct image *after,
                  const struct image_delta *delta)
{
    if (atomic_load_explicit(&groups->stopped, memory_order_relaxed))
        return;
    if (is_touched(delta))
        apply_roles(groups, after);
    if (before != NULL && (delta == NULL || delta->n_topics_gone > 0))
        groups_forget_topics(groups, before, after, delta);
}

void groups_end_txn(struct groups *groups, int32_t partition, int64_t producer_id, bool commit)
{
    struct group_shard *shard = groups_shard(groups, partition);

    if (shard == NULL)
        return;
    lock_take(&shard->lock);
    if (shard->state == SHARD_OURS) /* a load will come across the marker in the log */
        group_table_end_txn(&shard->table, producer_id, commit);
    lock_drop(&shard->lock);
}

/* ---- life ---- */

struct groups *groups_start(const struct groups_conf *conf)
{
    struct groups *groups = xcalloc(1, sizeof *groups);

    groups->conf = *conf;
    atomic_init(&groups->shards, NULL);
    atomic_init(&groups->stopped, false);
    atomic_init(&groups->jobs, 0);
    atomic_init(&groups->syncs, 0);
    lock_init(&groups->report_lock, LOCK_LEAF);
    return groups;
}

static void stop_shard(void *arg)
{
    struct group_shard *shard = arg;

    reactor_timer_cancel(shard->home, &shard->timer);
    group_load_cancel(shard);
}

void groups_stop(struct groups *groups)
{
    struct shard_list *list = atomic_load_explicit(&groups->shards, memory_order_acquire);

    atomic_store(&groups->stopped, true); /* pairs with post_sync() */
    for (int32_t i = 0; list != NULL && i < list->made; i++)
        resign(list->at[i], -1);
    groups_cancel_appends(groups);
    for (int32_t i = 0; list != NULL && i < list->made; i++)
        reactor_call(list->at[i]->home, stop_shard, list->at[i]);
}

void groups_free(struct groups **groups_ptr)
{
    struct groups *groups = *groups_ptr;
    struct shard_list *list = atomic_load_explicit(&groups->shards, memory_order_acquire);

    *groups_ptr = NULL;
    assert(atomic_load_explicit(&groups->jobs, memory_order_acquire) == 0);
    for (int32_t i = 0; list != NULL && i < list->made; i++) {
        struct group_shard *shard = list->at[i];

        assert(STAILQ_EMPTY(&shard->queue));
        assert(TAILQ_EMPTY(&shard->waits));
        assert(LIST_EMPTY(&shard->loads));
        group_table_fini(&shard->table);
        if (shard->part != NULL)
            part_unref(&shard->part);
        lock_fini(&shard->lock);
        free(shard);
    }
    while (list != NULL) {
        struct shard_list *older = list->older;

        free(list);
        list = older;
    }
    lock_fini(&groups->report_lock);
    free(groups);
}
