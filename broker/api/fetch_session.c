/*
 * Session ids are random, positive and not in use. An epoch counts the requests of a session: each
 * must carry the one after the last, so that a client and we never disagree on what the session
 * holds.
 *
 * A session that was evicted while its fetch waits lives on until that is answered; the client then
 * meets FETCH_SESSION_ID_NOT_FOUND and starts anew.
 */
#include "broker/api/fetch_session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/model/tp.h"
#include "gen/wire/fetch.h"

#define EVICT_AFTER_MS 120000 /* Kafka's min.incremental.fetch.session.eviction.ms */

struct entry {
    TAILQ_ENTRY(entry) link;
    struct entry *hash_next;
    struct uuid topic_id;
    struct str topic; /* malloc'ed; null when only the id is known */
    struct fetch_target target;
};

struct fetch_session {
    int32_t id;
    int32_t epoch; /* the next request must carry it */
    size_t refs;
    bool in_cache;
    bool uses_ids;   /* version 13 or later */
    bool privileged; /* a follower's */
    int64_t used_ms;
    TAILQ_HEAD(, entry) entries;
    struct entry **buckets;
    uint32_t buckets_len, count;
    TAILQ_ENTRY(fetch_session) link; /* least recently used first */
    struct fetch_session *hash_next;
};

struct fetch_sessions {
    struct lock lock; /* rank LOCK_SESSION */
    size_t slots, count;
    struct rand rand;
    TAILQ_HEAD(session_list, fetch_session) list;
    struct fetch_session *by_id[1024];
};

/* ---- entries of a session ---- */

static uint32_t bucket_of(const struct fetch_session *session, struct uuid id, struct str topic,
                          int32_t partition)
{
    uint64_t hash = session->uses_ids
                        ? tp_hash(id, partition)
                        : (str_hash(topic) ^ (uint32_t)partition) * 0x9e3779b97f4a7c15u;

    return (uint32_t)(hash >> 32) & (session->buckets_len - 1);
}

static struct entry *find_entry(const struct fetch_session *session, struct uuid id,
                                struct str topic, int32_t partition)
{
    struct entry *entry = session->buckets[bucket_of(session, id, topic, partition)];

    for (; entry != NULL; entry = entry->hash_next) {
        if (entry->target.partition != partition)
            continue;
        if (session->uses_ids ? uuid_eq(entry->topic_id, id) : str_eq(entry->topic, topic))
            return entry;
    }
    return NULL;
}

static void link_entry(struct fetch_session *session, struct entry *entry)
{
    struct entry **bucket =
        &session
             ->buckets[bucket_of(session, entry->topic_id, entry->topic, entry->target.partition)];

    entry->hash_next = *bucket;
    *bucket = entry;
}

static void grow(struct fetch_session *session)
{
    struct entry *entry;

    free(session->buckets);
    session->buckets_len = session->buckets_len == 0 ? 16 : session->buckets_len * 2;
    session->buckets = xcalloc(session->buckets_len, sizeof(struct entry *));
    TAILQ_FOREACH (entry, &session->entries, link)
        link_entry(session, entry);
}

static void free_entry(struct entry *entry)
{
    free((char *)(uintptr_t)entry->topic.ptr);
    free(entry);
}

static void remove_entry(struct fetch_session *session, struct entry *entry)
{
    struct entry **at =
        &session
             ->buckets[bucket_of(session, entry->topic_id, entry->topic, entry->target.partition)];

    while (*at != entry)
        at = &(*at)->hash_next;
    *at = entry->hash_next;
    TAILQ_REMOVE(&session->entries, entry, link);
    session->count--;
    free_entry(entry);
}

static struct entry *add_entry(struct fetch_session *session, struct uuid id, struct str topic,
                               int32_t partition)
{
    struct entry *entry = xcalloc(1, sizeof *entry);

    entry->topic_id = id;
    entry->topic = topic.ptr == NULL
                       ? STR_NULL
                       : (struct str){ .ptr = xstrndup(topic.ptr, topic.len), .len = topic.len };
    entry->target.partition = partition;
    entry->target.told_hw = -1;
    entry->target.told_log_start = -1;
    TAILQ_INSERT_TAIL(&session->entries, entry, link);
    if (++session->count > session->buckets_len)
        grow(session);
    else
        link_entry(session, entry);
    return entry;
}

static struct fetch_session *new_session(bool uses_ids, bool privileged, int64_t now_ms)
{
    struct fetch_session *session = xcalloc(1, sizeof *session);

    session->refs = 1;
    session->uses_ids = uses_ids;
    session->privileged = privileged;
    session->used_ms = now_ms;
    TAILQ_INIT(&session->entries);
    grow(session);
    return session;
}

static void unref_session(struct fetch_session *session)
{
    struct entry *entry;

    if (--session->refs > 0)
        return;
    while ((entry = TAILQ_FIRST(&session->entries)) != NULL) {
        TAILQ_REMOVE(&session->entries, entry, link);
        free_entry(entry);
    }
    free(session->buckets);
    free(session);
}

/* ---- the cache ---- */

static struct fetch_session **slot_of(struct fetch_sessions *sessions, int32_t id)
{
    return &sessions->by_id[(uint32_t)id % ARRAY_LEN(sessions->by_id)];
}

static struct fetch_session *find_session(struct fetch_sessions *sessions, int32_t id)
{
    struct fetch_session *session = *slot_of(sessions, id);

    while (session != NULL && session->id != id)
        session = session->hash_next;
    return session;
}

static void drop_session(struct fetch_sessions *sessions, struct fetch_session *session)
{
    struct fetch_session **at = slot_of(sessions, session->id);

    while (*at != session)
        at = &(*at)->hash_next;
    *at = session->hash_next;
    TAILQ_REMOVE(&sessions->list, session, link);
    session->in_cache = false;
    sessions->count--;
    unref_session(session);
}

/* A slot for a session of so many partitions: a free one, one that was not used for long, or one of
 * a smaller, unprivileged session that is old enough. */
static bool make_room(struct fetch_sessions *sessions, bool privileged, uint32_t size,
                      int64_t now_ms)
{
    struct fetch_session *session, *oldest = TAILQ_FIRST(&sessions->list);

    if (sessions->count < sessions->slots)
        return true;
    if (oldest == NULL)
        return false;
    if (now_ms - oldest->used_ms > EVICT_AFTER_MS) {
        drop_session(sessions, oldest);
        return true;
    }
    TAILQ_FOREACH (session, &sessions->list, link) {
        if (!session->privileged && (privileged || session->count < size)) {
            drop_session(sessions, session);
            return true;
        }
    }
    return false;
}

static void touch(struct fetch_sessions *sessions, struct fetch_session *session, int64_t now_ms)
{
    session->used_ms = now_ms;
    TAILQ_REMOVE(&sessions->list, session, link);
    TAILQ_INSERT_TAIL(&sessions->list, session, link);
}

static void keep_session(struct fetch_sessions *sessions, struct fetch_session *session)
{
    do
        session->id = (int32_t)(1 + rand_below(&sessions->rand, INT32_MAX - 1));
    while (find_session(sessions, session->id) != NULL);
    session->epoch = 1;
    session->in_cache = true;
    session->refs++;
    session->hash_next = *slot_of(sessions, session->id);
    *slot_of(sessions, session->id) = session;
    TAILQ_INSERT_TAIL(&sessions->list, session, link);
    sessions->count++;
}

struct fetch_sessions *fetch_sessions_new(size_t slots, uint64_t seed)
{
    struct fetch_sessions *sessions = xcalloc(1, sizeof *sessions);

    lock_init(&sessions->lock, LOCK_SESSION);
    sessions->slots = slots;
    rand_seed(&sessions->rand, seed);
    TAILQ_INIT(&sessions->list);
    return sessions;
}

void fetch_sessions_free(struct fetch_sessions **sessions_ptr)
{
    struct fetch_sessions *sessions = *sessions_ptr;
    struct fetch_session *session;

    *sessions_ptr = NULL;
    while ((session = TAILQ_FIRST(&sessions->list)) != NULL)
        drop_session(sessions, session);
    lock_fini(&sessions->lock);
    free(sessions);
}

size_t fetch_sessions_count(struct fetch_sessions *sessions)
{
    lock_take(&sessions->lock);
    size_t count = sessions->count;
    lock_drop(&sessions->lock);
    return count;
}

/* ---- taking a request in ---- */

/* A follower that asks in a new epoch has not looked at what it was told before. */
static void set_target(struct fetch_target *target, const struct fetch_request_partition *from)
{
    if (target->current_leader_epoch != from->current_leader_epoch) {
        target->told_hw = -1;
        target->told_log_start = -1;
    }
    target->quiet_at = 0;
    target->current_leader_epoch = from->current_leader_epoch;
    target->fetch_offset = from->fetch_offset;
    target->last_fetched_epoch = from->last_fetched_epoch;
    target->log_start_offset = from->log_start_offset;
    target->max_bytes = from->partition_max_bytes;
}

/* A topic is named by id from version 13 on, by name before; the other one comes from the image. */
static void resolve(const struct fetch_names *names, bool by_id, struct uuid *id, struct str *topic,
                    bool *known)
{
    if (by_id) {
        *known = names->name_of(names->ctx, *id, topic);
        return;
    }
    *known = true; /* a name stands for itself */
    if (!names->id_of(names->ctx, *topic, id))
        *id = UUID_ZERO;
}

static void take_in(struct fetch_session *session, const struct fetch_request *req,
                    const struct fetch_names *names)
{
    for (int32_t t = 0; t < req->forgotten_topics_data_len; t++) {
        const struct fetch_request_forgotten_topic *topic = &req->forgotten_topics_data[t];

        for (int32_t p = 0; p < topic->partitions_len; p++) {
            struct entry *entry =
                find_entry(session, topic->topic_id, topic->topic, topic->partitions[p]);

            if (entry != NULL)
                remove_entry(session, entry);
        }
    }
    for (int32_t t = 0; t < req->topics_len; t++) {
        const struct fetch_request_topic *topic = &req->topics[t];
        struct uuid id = topic->topic_id;
        struct str name = topic->topic;
        bool known;

        resolve(names, session->uses_ids, &id, &name, &known);
        for (int32_t p = 0; p < topic->partitions_len; p++) {
            const struct fetch_request_partition *from = &topic->partitions[p];
            struct entry *entry = find_entry(session, id, name, from->partition);

            if (entry == NULL)
                entry = add_entry(session, id, known ? name : STR_NULL, from->partition);
            set_target(&entry->target, from);
        }
    }
}

/* The image may know by now what it did not know when the partition joined the session. */
static void complete_target(struct fetch_session *session, struct entry *entry,
                            const struct fetch_names *names)
{
    bool known;

    if (session->uses_ids && entry->topic.ptr == NULL) {
        struct str name = STR_NULL;

        if (names->name_of(names->ctx, entry->topic_id, &name))
            entry->topic = (struct str){ .ptr = xstrndup(name.ptr, name.len), .len = name.len };
    } else if (!session->uses_ids && uuid_is_zero(entry->topic_id)) {
        resolve(names, false, &entry->topic_id, &entry->topic, &known);
    }
}

static void list_targets(struct fetch_session *session, const struct fetch_names *names,
                         struct arena *arena, struct fetch_plan *out)
{
    struct entry *entry;
    struct str last_from = STR_NULL, last = STR_NULL;

    out->targets = arena_alloc(arena, (session->count + 1) * sizeof *out->targets);
    TAILQ_FOREACH (entry, &session->entries, link) {
        struct fetch_target *target = &out->targets[out->targets_len++];

        complete_target(session, entry, names);
        *target = entry->target;
        target->topic_id = entry->topic_id;
        target->known_topic = entry->topic.ptr != NULL;
        if (last_from.ptr == NULL || !str_eq(entry->topic, last_from)) {
            last_from = entry->topic;
            last = arena_str(arena, entry->topic);
        }
        target->topic = last;
    }
}

static void plan_full(struct fetch_sessions *sessions, const struct fetch_request *req,
                      int16_t version, bool is_follower, const struct fetch_names *names,
                      int64_t now_ms, struct arena *arena, struct fetch_plan *out)
{
    struct fetch_session *session = new_session(version >= 13, is_follower, now_ms);

    take_in(session, req, names);
    list_targets(session, names, arena, out);
    out->session = session;
    if (version >= 7 && req->session_epoch == 0 && session->count > 0 &&
        make_room(sessions, is_follower, session->count, now_ms)) {
        keep_session(sessions, session);
        out->session_id = session->id;
    }
}

static void plan_incremental(struct fetch_sessions *sessions, const struct fetch_request *req,
                             int16_t version, const struct fetch_names *names, int64_t now_ms,
                             struct arena *arena, struct fetch_plan *out)
{
    struct fetch_session *session = find_session(sessions, req->session_id);

    if (session == NULL) {
        out->err = ERR_FETCH_SESSION_ID_NOT_FOUND;
    } else if (req->session_epoch != session->epoch) {
        out->err = ERR_INVALID_FETCH_SESSION_EPOCH;
    } else if (session->uses_ids != (version >= 13)) {
        out->err = ERR_FETCH_SESSION_TOPIC_ID_ERROR;
    }
    if (out->err != ERR_OK)
        return;
    session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
    touch(sessions, session, now_ms);
    take_in(session, req, names);
    list_targets(session, names, arena, out);
    out->incremental = true;
    out->session = session;
    session->refs++;
    out->session_id = session->id;
    if (session->count == 0) {
        drop_session(sessions, session);
        out->session_id = 0;
    }
}

void fetch_plan_make(struct fetch_sessions *sessions, const struct fetch_request *req,
                     int16_t version, bool is_follower, const struct fetch_names *names,
                     int64_t now_ms, struct arena *arena, struct fetch_plan *out)
{
    *out = (struct fetch_plan){ .err = ERR_OK };
    lock_take(&sessions->lock);
    if (version < 7 || req->session_epoch <= 0) {
        struct fetch_session *old =
            version >= 7 && req->session_id != 0 ? find_session(sessions, req->session_id) : NULL;

        if (old != NULL)
            drop_session(sessions, old);
        plan_full(sessions, req, version, is_follower, names, now_ms, arena, out);
    } else {
        plan_incremental(sessions, req, version, names, now_ms, arena, out);
    }
    lock_drop(&sessions->lock);
}

bool fetch_plan_tell(struct fetch_sessions *sessions, const struct fetch_plan *plan, int32_t i,
                     const struct fetch_told *told)
{
    const struct fetch_target *target = &plan->targets[i];
    bool news = true;

    lock_take(&sessions->lock);
    struct entry *entry =
        find_entry(plan->session, target->topic_id, target->topic, target->partition);
    if (entry != NULL) {
        /* A client that does not wait for answers may have asked for something else meanwhile. */
        bool is_same = entry->target.fetch_offset == target->fetch_offset &&
                       entry->target.current_leader_epoch == target->current_leader_epoch;

        entry->target.quiet_at = is_same ? told->quiet_at : 0;
        entry->target.noted_ms = told->noted_ms;
        news = told->has_records || told->has_error || entry->target.told_hw != told->hw ||
               entry->target.told_log_start != told->log_start;
        /* After an error the client knows nothing for sure: the next good state is news. */
        entry->target.told_hw = told->has_error ? -1 : told->hw;
        entry->target.told_log_start = told->log_start;
        if (told->has_records) {
            TAILQ_REMOVE(&plan->session->entries, entry, link);
            TAILQ_INSERT_TAIL(&plan->session->entries, entry, link);
        }
    }
    lock_drop(&sessions->lock);
    return !plan->incremental || news;
}

void fetch_plan_fini(struct fetch_sessions *sessions, struct fetch_plan *plan)
{
    if (plan->session == NULL)
        return;
    lock_take(&sessions->lock);
    unref_session(plan->session);
    lock_drop(&sessions->lock);
    plan->session = NULL;
}
