/*
 * fetch_session - incremental fetches (KIP-227): what a client asks for again and again, and what
 * it was told last.
 *
 * A session is a list of partitions in the order of asking; a request names only what changed, an
 * answer only what is news. Whoever delivered data goes to the end, so that a bounded answer is
 * fair.
 *
 * Reference:  Kafka's FetchSession, FetchSessionCache: slots, eviction after two minutes, followers
 * are privileged. Ownership:  a session is counted; the cache holds one reference. Threads:    a
 * lock around the cache and all sessions in it, held while requests are taken over and answers are
 * filtered; never across a read.
 */
#ifndef BROKER_API_FETCH_SESSION_H
#define BROKER_API_FETCH_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/base/uuid.h"

struct fetch_sessions;
struct fetch_session;
struct fetch_request;

struct fetch_sessions *fetch_sessions_new(size_t slots, uint64_t seed);
void fetch_sessions_free(struct fetch_sessions **sessions);
size_t fetch_sessions_count(struct fetch_sessions *sessions);

/* One partition to look at, copied out of the session. */
struct fetch_target {
    struct uuid topic_id;
    struct str topic; /* null while the id is not known; the arena's */
    int32_t partition;
    int32_t current_leader_epoch;
    int64_t fetch_offset;
    int32_t last_fetched_epoch;
    int64_t log_start_offset; /* a follower's */
    int32_t max_bytes;
    int64_t told_hw; /* high watermark last told in this session, -1 none */
    int64_t told_log_start;
    /* part_changes() when a look found that nothing was to be read and all had been told; 0: look
     */
    uint64_t quiet_at;
    int64_t noted_ms; /* when a follower's place was noted last */
    bool known_topic; /* the topic could be resolved; else answer UNKNOWN_TOPIC_ID */
};

struct fetch_plan {
    enum err err;                  /* of the whole request; then nothing else holds */
    int32_t session_id;            /* to answer with; 0: none */
    bool incremental;              /* answer only what is news */
    struct fetch_session *session; /* a reference, NULL without one */
    struct fetch_target *targets;
    int32_t targets_len;
};

/* Names for ids and ids for names: of the image. Either may stay unknown (false). */
struct fetch_names {
    bool (*name_of)(void *ctx, struct uuid id, struct str *name);
    bool (*id_of)(void *ctx, struct str name, struct uuid *id);
    void *ctx;
};

/* Takes a request in: which partitions it is about, in order. */
void fetch_plan_make(struct fetch_sessions *sessions, const struct fetch_request *req,
                     int16_t version, bool is_follower, const struct fetch_names *names,
                     int64_t now_ms, struct arena *arena, struct fetch_plan *out);

/* What an answer says of target i; false when an incremental answer leaves it out. To be called
 * once per target. */
struct fetch_told {
    int64_t hw, log_start;
    bool has_records;
    bool has_error;    /* or a diverging epoch, or a preferred replica */
    uint64_t quiet_at; /* once this is told; see fetch_target */
    int64_t noted_ms;
};
bool fetch_plan_tell(struct fetch_sessions *sessions, const struct fetch_plan *plan, int32_t i,
                     const struct fetch_told *told);
void fetch_plan_fini(struct fetch_sessions *sessions, struct fetch_plan *plan);

#endif
