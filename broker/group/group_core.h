/*
 * group_core - one consumer group: its members, its generation, its state.
 *
 * Membership changes are events: join, sync, leave, a record stored, time passed. Each goes through
 * group_step(), which answers whoever is to be answered now and says what must be written
 * (the rebalance itself is in rebalance_core). Committed offsets are beside it, in offsets_core.
 *
 *   Empty ---> Preparing ---> Completing ---> Stable       Preparing: waiting for everybody to join
 *     ^            | ^            |              |         Completing: for the leader's assignment
 *     '------------' '------------+--------------'         Dead from everywhere
 *
 * What follows is Kafka 3.9's GroupCoordinator and GroupMetadata, the classic protocol, error for
 * error; KIP-394 (member ids first), KIP-345 and KIP-814 (static members), KIP-800 (reasons).
 *
 * Units:      now_ms is monotonic, wall_ms since 1970. Deadlines are GROUP_NEVER when there is
 * none. Ownership:  a group owns copies of all it keeps. Answers borrow from the group and the
 * effects: good until the next call that changes the group, or group_effects_fini(). Threads: one
 * at a time. Errors:     Kafka's codes, as the client is to be told.
 */
#ifndef BROKER_GROUP_GROUP_CORE_H
#define BROKER_GROUP_GROUP_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define GROUP_NEVER         INT64_MAX
#define GROUP_NO_GENERATION (-1)
/* A member that has just come is dropped when its first rebalance takes longer. */
#define GROUP_NEW_MEMBER_MS 300000
/* A client lists its assignors, a handful; each is looked for among those of all members. */
#define GROUP_PROTOCOLS_MAX 100
/* Ids that were given out and not used yet, of a group. A client comes back with its own a moment
 * later, so even the members of a group of thousands that all start at once do not get there; who
 * only ever asks for more does. */
#define GROUP_PENDING_MAX 10000
#define GROUP_MEMBER_ID_EXTRA                                                                      \
    37 /* what follows the client's name in a member id: '-' and a UUID                            \
        */

struct group;

enum group_state { GROUP_EMPTY, GROUP_PREPARING, GROUP_COMPLETING, GROUP_STABLE, GROUP_DEAD };

/* As DescribeGroups and ListGroups spell it. */
const char *group_state_name(enum group_state state);

/* Settings; one for all groups, outlives them. */
struct group_conf {
    int32_t session_min_ms;   /* group.min.session.timeout.ms */
    int32_t session_max_ms;   /* group.max.session.timeout.ms */
    int32_t initial_delay_ms; /* group.initial.rebalance.delay.ms */
    int32_t size_max;         /* group.max.size */
    int32_t metadata_max;     /* offset.metadata.max.bytes: UTF-16 units, as Kafka counts */
};

/* ---- events ---- */

struct group_protocol {
    struct str name;
    struct str metadata; /* bytes, opaque */
};

struct group_assigned {
    struct str member;
    struct str bytes; /* opaque */
};

enum group_event_kind {
    GROUP_EV_JOIN,
    GROUP_EV_SYNC,
    GROUP_EV_LEAVE,  /* one member; out->err */
    GROUP_EV_STORED, /* what out->store asked for has been committed, or has failed */
    GROUP_EV_TICK,   /* group_wake_ms() has come */
    GROUP_EV_LOADED, /* it was just read back from the log */
    GROUP_EV_CLOSE,  /* this broker ceases to be its coordinator: all who wait are told, Dead */
};

struct group_event {
    enum group_event_kind kind;
    int64_t wall_ms;
    union {
        struct {
            void *who;           /* comes back in the answer */
            struct str member;   /* "" none yet */
            struct str instance; /* null: dynamic */
            struct str client_id, client_host;
            struct str protocol_type;
            struct str reason; /* null: unsaid */
            const struct group_protocol *protocols;
            int32_t protocols_len;
            int32_t session_ms, rebalance_ms;
            bool need_known_id; /* KIP-394: the version knows MEMBER_ID_REQUIRED */
            bool can_skip;      /* KIP-814: the version knows skip_assignment */
            struct str uuid;    /* text for a member id, should one be made */
        } join;
        struct {
            void *who;
            struct str member;
            struct str instance;
            struct str protocol_type, protocol; /* null: unsaid */
            const struct group_assigned *assigned;
            int32_t assigned_len;
            int32_t generation;
        } sync;
        struct {
            struct str member; /* "": by instance alone */
            struct str instance;
            struct str reason;
        } leave;
        struct {
            uint64_t seq; /* out->store_seq */
            enum err err; /* as the client is to be told */
        } stored;
    };
};

/* ---- effects ---- */

struct group_answer {
    void *who;
    bool is_sync; /* else a join's */
    enum err err;
    struct str member;                  /* "" none */
    int32_t generation;                 /* GROUP_NO_GENERATION on errors */
    struct str protocol_type, protocol; /* null on errors */
    struct str leader;                  /* "" none */
    bool with_members;                  /* he is the leader: group_member_at() for all */
    bool skip;                          /* KIP-814: be the leader, assign nothing */
    struct str assignment;
};

struct group_effects {
    struct arena arena;
    struct group_answer *answers;
    size_t answers_len, answers_cap;
    bool store;         /* append group_record_write_group() and report with STORED; */
    uint64_t store_seq; /* the bytes must be made before the next step */
    enum err err;       /* LEAVE: what became of it */
    struct str said[4]; /* for the operator */
    size_t said_len;
};

void group_effects_init(struct group_effects *out);
void group_effects_fini(struct group_effects *out);

/* ---- life ---- */

/* Empty, without members, generation 0. conf is borrowed for life. */
struct group *group_new(const struct group_conf *conf, struct str id, int64_t wall_ms);
void group_free(struct group **group);

void group_step(struct group *group, const struct group_event *ev, int64_t now_ms,
                struct group_effects *out);
/* When the next TICK is due at the latest; it may turn out to be for nothing. */
int64_t group_wake_ms(const struct group *group);

/* ---- what needs no step ---- */

/* Before a group is made for a join: INVALID_SESSION_TIMEOUT. */
enum err group_check_session(const struct group_conf *conf, int32_t session_ms);
enum err group_heartbeat(struct group *group, int32_t generation, struct str member,
                         struct str instance, int64_t now_ms);
/* FENCED_INSTANCE_ID, UNKNOWN_MEMBER_ID or OK: is that member what it says? */
enum err group_check_member(const struct group *group, struct str member, struct str instance);
/* Empty to Dead, for deletion; NON_EMPTY_GROUP. */
enum err group_delete(struct group *group, int64_t wall_ms);

struct str group_id(const struct group *group);
enum group_state group_state(const struct group *group);
int32_t group_generation(const struct group *group);
struct str group_protocol_type(const struct group *group); /* null none */
struct str group_protocol(const struct group *group);      /* null none */
int64_t group_state_wall_ms(const struct group *group);    /* -1 unknown */
bool group_is_consumer(const struct group *group);

struct group_member_info {
    struct str id, instance, client_id, client_host;
    struct str metadata;   /* for the group's protocol; "" while there is none */
    struct str assignment; /* "" none */
    int32_t session_ms, rebalance_ms;
    bool is_leader;
};
size_t group_size(const struct group *group);
void group_member_at(const struct group *group, size_t i, struct group_member_info *out);

/* Is somebody in it subscribed to the topic? True when that cannot be told (another protocol than
 * "consumer", metadata that does not parse): nothing is forgotten on a guess. */
bool group_subscribes(const struct group *group, struct str topic);
/* Can it be told at all? */
bool group_knows_subscriptions(const struct group *group);

/* ---- from the log ---- */

struct group_metadata_value;

/* What group_record_read_group() has read of it; version is the record's. A LOADED event must
 * follow before anything else. */
void group_restore(struct group *group, const struct group_metadata_value *value, int16_t version);
/* What was restored is gone or replaced by a later record; its offsets stay. */
void group_unrestore(struct group *group);

#endif
