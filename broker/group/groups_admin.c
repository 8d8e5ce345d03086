/*
 * What looks at groups and takes from them: describing, listing, deleting, forgetting, expiring.
 * Deleted groups and offsets are gone at once; their tombstones go to the log without anybody
 * waiting for them, for what is lost of them is found, and written, again by the next coordinator.
 */
#include "broker/group/groups_int.h"

#include <stdlib.h>

#include "broker/tables/stats.h"
#include "common/base/clock.h"
#include "common/base/say.h"

/* ---- looking ---- */

static struct str copy_or_empty(struct arena *arena, struct str text)
{
    return str_is_null(text) ? STR_EMPTY : arena_str(arena, text);
}

static void describe(const struct group *group, struct arena *arena, struct group_described *out)
{
    *out =
        (struct group_described){ .id = arena_str(arena, group_id(group)),
                                  .exists = true,
                                  .state = group_state(group),
                                  .protocol_type = copy_or_empty(arena, group_protocol_type(group)),
                                  .protocol = STR_EMPTY };
}

static void describe_members(const struct group *group, struct arena *arena,
                             struct group_described *out)
{
    bool stable = out->state == GROUP_STABLE;

    if (stable)
        out->protocol = copy_or_empty(arena, group_protocol(group));
    out->members_len = group_size(group);
    out->members = arena_alloc(arena, (out->members_len + 1) * sizeof *out->members);
    for (size_t i = 0; i < out->members_len; i++) {
        struct group_member_info *info = &out->members[i];

        group_member_at(group, i, info);
        info->id = arena_str(arena, info->id);
        info->instance = arena_str(arena, info->instance);
        info->client_id = arena_str(arena, info->client_id);
        info->client_host = arena_str(arena, info->client_host);
        info->metadata = stable ? arena_str(arena, info->metadata) : STR_EMPTY;
        info->assignment = stable ? arena_str(arena, info->assignment) : STR_EMPTY;
    }
}

enum err groups_describe(struct groups *groups, struct str group_id, struct arena *arena,
                         struct group_described *out)
{
    struct group_shard *shard;
    enum err err = groups_enter(groups, group_id, true, &shard);

    *out = (struct group_described){
        .id = group_id, .state = GROUP_DEAD, .protocol_type = STR_EMPTY, .protocol = STR_EMPTY
    };
    if (err != ERR_OK)
        return err;
    const struct group_slot *slot = group_table_find(&shard->table, group_id);
    if (slot != NULL) {
        describe(slot->group, arena, out);
        describe_members(slot->group, arena, out);
    }
    lock_drop(&shard->lock);
    return ERR_OK;
}

enum err groups_list(struct groups *groups, struct arena *arena, struct group_described **out,
                     size_t *len)
{
    struct shard_list *list = atomic_load_explicit(&groups->shards, memory_order_acquire);
    struct group_described *all = NULL;
    size_t cap = 0;
    enum err err = ERR_OK;

    *out = NULL;
    *len = 0;
    if (atomic_load_explicit(&groups->stopped, memory_order_relaxed))
        return ERR_COORDINATOR_NOT_AVAILABLE;
    for (int32_t i = 0; list != NULL && i < list->made; i++) {
        struct group_shard *shard = list->at[i];
        struct group_cursor cursor = { 0 };
        const struct group_slot *slot;

        lock_take(&shard->lock);
        if (shard->state == SHARD_LOADING)
            err = ERR_COORDINATOR_LOAD_IN_PROGRESS;
        while ((slot = group_table_next(&shard->table, &cursor)) != NULL) {
            array_reserve(&all, &cap, *len, sizeof *all);
            describe(slot->group, arena, &all[(*len)++]);
        }
        lock_drop(&shard->lock);
    }
    *out = arena_dup(arena, all, *len * sizeof *all);
    free(all);
    return err;
}

void groups_get_info(struct groups *groups, struct groups_info *out)
{
    struct shard_list *list = atomic_load_explicit(&groups->shards, memory_order_acquire);

    *out = (struct groups_info){ 0 };
    for (int32_t i = 0; list != NULL && i < list->made; i++) {
        struct group_shard *shard = list->at[i];
        struct group_cursor cursor = { 0 };
        const struct group_slot *slot;

        lock_take(&shard->lock);
        out->owned += shard->state == SHARD_OURS;
        out->loading += shard->state == SHARD_LOADING;
        out->groups += shard->table.count;
        while ((slot = group_table_next(&shard->table, &cursor)) != NULL) {
            out->offsets += offsets_count(slot->group);
            out->in_state[group_state(slot->group)]++;
        }
        lock_drop(&shard->lock);
    }
}

/* ---- forgetting ---- */

/* An empty group without offsets is no group any more. generation 0: it never had a record. */
static bool bury_if_bare_locked(struct group_shard *shard, struct group_slot *slot,
                                const struct offsets_gone *gone)
{
    bool dead = group_state(slot->group) == GROUP_DEAD ||
                (group_state(slot->group) == GROUP_EMPTY && offsets_is_bare(slot->group));
    bool has_record = group_generation(slot->group) > 0;

    if (gone->len > 0 || (dead && has_record))
        append_gone_locked(shard, group_id(slot->group), gone, dead && has_record);
    if (dead)
        group_table_remove(&shard->table, slot);
    return dead;
}

enum err groups_delete(struct groups *groups, struct str group_id)
{
    struct group_shard *shard;
    struct arena arena;
    struct offsets_gone gone = { .arena = &arena };
    enum err err = groups_enter(groups, group_id, true, &shard);

    if (err != ERR_OK)
        return err;
    arena_init(&arena, SIZE_MAX);
    struct group_slot *slot = group_table_find(&shard->table, group_id);
    err = slot == NULL ? ERR_GROUP_ID_NOT_FOUND : group_delete(slot->group, clock_wall_ms());
    if (err == ERR_OK) {
        offsets_remove_all(slot->group, &gone);
        bury_if_bare_locked(shard, slot, &gone);
    }
    lock_drop(&shard->lock);
    shard_drain(shard);
    if (err == ERR_OK)
        say_info("deleted group=%.*s offsets=%zu", STR_ARG(group_id), gone.len);
    free(gone.items);
    arena_fini(&arena);
    return err;
}

static enum err check_unwanted(const struct group *group, struct offset_unwanted *unwanted,
                               size_t len)
{
    bool active = group_state(group) != GROUP_EMPTY;

    if (active && !group_is_consumer(group))
        return ERR_NON_EMPTY_GROUP;
    for (size_t i = 0; active && i < len; i++)
        if (group_subscribes(group, unwanted[i].topic))
            unwanted[i].err = ERR_GROUP_SUBSCRIBED_TO_TOPIC;
    return ERR_OK;
}

enum err groups_delete_offsets(struct groups *groups, struct str group_id,
                               struct offset_unwanted *unwanted, size_t len)
{
    struct group_shard *shard;
    struct arena arena;
    struct offsets_gone gone = { .arena = &arena };
    enum err err = groups_enter(groups, group_id, false, &shard);

    if (err != ERR_OK)
        return err;
    arena_init(&arena, SIZE_MAX);
    struct group_slot *slot = group_table_find(&shard->table, group_id);
    err = slot == NULL ? ERR_GROUP_ID_NOT_FOUND : check_unwanted(slot->group, unwanted, len);
    for (size_t i = 0; err == ERR_OK && i < len; i++)
        if (unwanted[i].err == ERR_OK)
            offsets_remove(slot->group, unwanted[i].topic, unwanted[i].partition, &gone);
    if (err == ERR_OK)
        bury_if_bare_locked(shard, slot, &gone);
    lock_drop(&shard->lock);
    shard_drain(shard);
    STAT_ADD(group_deletes, gone.len);
    free(gone.items);
    arena_fini(&arena);
    return err;
}

/* ---- topics that are gone ---- */

/* A topic may be made anew, and offsets of it be committed, before the pool has come to this: those
 * stand behind the ends that the logs had when the old one went. */
struct topics_job {
    struct pool_job job;
    struct groups *groups;
    struct str *names;
    size_t len, cap;
    int64_t *ends; /* of the shards' logs; 0: not ours then */
    int32_t ends_len;
};

/* The same for one shard that was loading when the pool came to it. */
struct topics_owed {
    struct topics_owed *next;
    struct str *names;
    size_t len;
    int64_t end;
};

static void forget_in_group_locked(struct group_shard *shard, struct group_slot *slot,
                                   const struct str *names, size_t len, int64_t end)
{
    struct arena arena;
    struct offsets_gone gone = { .arena = &arena };

    arena_init(&arena, SIZE_MAX);
    for (size_t i = 0; i < len; i++)
        offsets_remove_topic(slot->group, names[i], end, &gone);
    bury_if_bare_locked(shard, slot, &gone);
    free(gone.items);
    arena_fini(&arena);
}

static void forget_topics_locked(struct group_shard *shard, const struct str *names, size_t len,
                                 int64_t end)
{
    struct group_cursor cursor = { 0 };
    struct group_slot *slot;

    lock_assert_held(&shard->lock);
    while ((slot = group_table_next(&shard->table, &cursor)) != NULL)
        forget_in_group_locked(shard, slot, names, len, end);
}

static void free_names(struct str *names, size_t len)
{
    for (size_t i = 0; i < len; i++)
        free((void *)(uintptr_t)names[i].ptr);
    free(names);
}

static struct topics_owed *take_owed_locked(struct group_shard *shard)
{
    struct topics_owed *owed = shard->owed;

    lock_assert_held(&shard->lock);
    if (owed != NULL)
        shard->owed = owed->next;
    return owed;
}

static void owe_locked(struct group_shard *shard, const struct topics_job *job)
{
    struct topics_owed *owed = xcalloc(1, sizeof *owed);

    owed->names = xcalloc(job->len, sizeof *owed->names);
    owed->len = job->len;
    owed->end = job->ends[shard->partition];
    for (size_t i = 0; i < job->len; i++)
        owed->names[i] = (struct str){ .ptr = xmemdup(job->names[i].ptr, job->names[i].len),
                                       .len = job->names[i].len };
    owed->next = shard->owed;
    shard->owed = owed;
}

bool groups_forget_owed_locked(struct group_shard *shard)
{
    struct topics_owed *owed;
    bool any = false;

    while ((owed = take_owed_locked(shard)) != NULL) {
        forget_topics_locked(shard, owed->names, owed->len, owed->end);
        free_names(owed->names, owed->len);
        free(owed);
        any = true;
    }
    return any;
}

void groups_drop_owed_locked(struct group_shard *shard)
{
    struct topics_owed *owed;

    while ((owed = take_owed_locked(shard)) != NULL) {
        free_names(owed->names, owed->len);
        free(owed);
    }
}

static void run_topics(struct pool_job *pool_job)
{
    struct topics_job *job = container_of(pool_job, struct topics_job, job);
    struct shard_list *list = atomic_load_explicit(&job->groups->shards, memory_order_acquire);

    for (int32_t i = 0; i < job->ends_len; i++) {
        struct group_shard *shard = list->at[i];

        lock_take(&shard->lock);
        if (shard->state == SHARD_OURS)
            forget_topics_locked(shard, job->names, job->len, job->ends[i]);
        else if (shard->state == SHARD_LOADING && job->ends[i] > 0)
            owe_locked(shard, job);
        lock_drop(&shard->lock);
        shard_drain(shard);
    }
    free_names(job->names, job->len);
    free(job->ends);
    atomic_fetch_sub_explicit(&job->groups->jobs, 1, memory_order_release);
    free(job);
}

static void add_name(struct topics_job *job, struct str name)
{
    array_reserve(&job->names, &job->cap, job->len, sizeof *job->names);
    job->names[job->len++] = (struct str){ .ptr = xmemdup(name.ptr, name.len), .len = name.len };
}

static void find_gone(struct topics_job *job, const struct image *before, const struct image *after,
                      const struct image_delta *delta)
{
    struct image_cursor at = { 0 };
    const struct image_topic *topic;

    for (size_t i = 0; delta != NULL && i < delta->n_topics_gone; i++) {
        topic = image_topic(before, delta->topics_gone[i]);
        if (topic != NULL)
            add_name(job, topic->name);
    }
    if (delta != NULL)
        return;
    while ((topic = image_next_topic(before, &at)) != NULL)
        if (image_topic(after, topic->id) == NULL)
            add_name(job, topic->name);
}

static void note_ends(struct topics_job *job)
{
    struct shard_list *list = atomic_load_explicit(&job->groups->shards, memory_order_acquire);

    job->ends_len = list != NULL ? list->made : 0;
    job->ends = xcalloc((size_t)job->ends_len + 1, sizeof *job->ends);
    for (int32_t i = 0; i < job->ends_len; i++) {
        struct group_shard *shard = list->at[i];

        lock_take(&shard->lock);
        if (shard->part != NULL)
            job->ends[i] = log_leo(part_log(shard->part));
        lock_drop(&shard->lock);
    }
}

void groups_forget_topics(struct groups *groups, const struct image *before,
                          const struct image *after, const struct image_delta *delta)
{
    struct topics_job *job = xcalloc(1, sizeof *job);

    find_gone(job, before, after, delta);
    if (job->len == 0) {
        free(job);
        return;
    }
    job->groups = groups;
    note_ends(job);
    job->job.run = run_topics;
    atomic_fetch_add_explicit(&groups->jobs, 1, memory_order_relaxed);
    pool_post(groups->conf.pool, &job->job);
}

/* ---- expiring ---- */

struct expire_job {
    struct pool_job job;
    struct groups *groups;
};

/* Groups are looked at a few at a time: requests of the shard get in between. */
#define EXPIRE_AT_ONCE 256

static size_t expire_some_locked(struct group_shard *shard, struct group_cursor *cursor,
                                 bool *is_end)
{
    struct group_slot *slot = NULL;
    struct arena arena;
    size_t expired = 0;

    arena_init(&arena, SIZE_MAX);
    for (int i = 0; i < EXPIRE_AT_ONCE; i++) {
        struct offsets_gone gone = { .arena = &arena };

        slot = group_table_next(&shard->table, cursor);
        if (slot == NULL)
            break;
        offsets_expire(slot->group, clock_wall_ms(), shard->groups->conf.retention_ms, &gone);
        expired += gone.len;
        bury_if_bare_locked(shard, slot, &gone);
        free(gone.items);
    }
    *is_end = slot == NULL;
    arena_fini(&arena);
    return expired;
}

static size_t expire_shard(struct group_shard *shard)
{
    struct group_cursor cursor = { 0 };
    size_t expired = 0;
    bool is_end = false;

    lock_take(&shard->lock);
    uint64_t life = shard->life;
    while (!is_end && shard->state == SHARD_OURS && shard->life == life) {
        expired += expire_some_locked(shard, &cursor, &is_end);
        /* Groups come and go while the lock is free: what the cursor points to may be one of them.
         * The rest of its bucket waits for the next pass. */
        cursor.next = NULL;
        lock_drop(&shard->lock);
        shard_drain(shard);
        lock_take(&shard->lock);
    }
    lock_drop(&shard->lock);
    return expired;
}

static void run_expire(struct pool_job *pool_job)
{
    struct expire_job *job = container_of(pool_job, struct expire_job, job);
    struct groups *groups = job->groups;
    struct shard_list *list = atomic_load_explicit(&groups->shards, memory_order_acquire);
    int64_t started_ms = clock_mono_ms();
    size_t expired = 0;

    for (int32_t i = 0; list != NULL && i < list->made; i++)
        expired += expire_shard(list->at[i]);
    STAT_ADD(group_expires, expired);
    if (expired > 0)
        say_info("expired committed offsets offsets=%zu ms=%d", expired,
                 (int)(clock_mono_ms() - started_ms));
    free(job);
    atomic_fetch_sub_explicit(&groups->jobs, 1, memory_order_release);
}

void groups_expire(struct groups *groups)
{
    struct expire_job *job = xcalloc(1, sizeof *job);

    job->groups = groups;
    job->job.run = run_expire;
    atomic_fetch_add_explicit(&groups->jobs, 1, memory_order_relaxed);
    pool_post(groups->conf.pool, &job->job);
}
