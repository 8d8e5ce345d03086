/*
 * group_int - the insides of a group, shared by group_core, rebalance_core, join_core, sync_core,
 * offsets_core and group_record, and nobody else.
 */
#ifndef BROKER_GROUP_GROUP_INT_H
#define BROKER_GROUP_GROUP_INT_H

#include "broker/group/group_core.h"

struct group_member {
    struct str id;       /* own */
    struct str instance; /* null: dynamic; own, with the next two */
    struct str client_id, client_host;
    struct group_protocol *protocols; /* own, one block with all they point to */
    int32_t protocols_len;
    int32_t session_ms, rebalance_ms;
    struct str assignment;      /* own; "" none */
    struct str next_assignment; /* own; while the record that has it is being stored */
    int64_t deadline_ms;        /* of its session */
    void *join_who;             /* NULL: does not wait in JoinGroup */
    void *sync_who;
    bool is_new;       /* its first rebalance is not over */
    bool pending_sync; /* has joined this generation and not synced yet */

    /* a static member that came back, until the record with its new id is stored */
    uint64_t replace_seq; /* 0: none */
    struct str old_id;    /* own */
    int32_t old_session_ms, old_rebalance_ms;
    bool can_skip;
};

/* An id that was given out and not used yet (KIP-394). */
struct group_pending {
    struct str id; /* own */
    int64_t deadline_ms;
};

/* How many members know a protocol. */
struct group_vote {
    struct str name; /* own */
    size_t members;
};

/* One partition's commit; 64 bytes, for there may be millions. */
struct group_offset {
    int64_t offset;
    int64_t commit_ms;
    int64_t expire_ms; /* -1: by the group's retention */
    int64_t at;        /* where in the log it stands; -1: nothing committed yet */
    char *metadata;    /* own, metadata_len bytes; NULL "" */
    int32_t partition;
    int32_t leader_epoch; /* -1 none */
    uint32_t metadata_len;
    uint32_t pending; /* commits of it that are being stored */
    uint32_t born;    /* tells it from one that was deleted meanwhile */
};

struct group_topic {
    struct str name;              /* own */
    struct group_offset *offsets; /* by partition */
    size_t len, cap;
};

/* Offsets that a transaction has written and not decided. */
struct group_txn_offset {
    struct str topic; /* own */
    struct group_offset value;
};

struct group_txn {
    int64_t producer_id;
    struct group_txn_offset *offsets;
    size_t len, cap;
};

struct group {
    const struct group_conf *conf;
    struct str id; /* own */
    enum group_state state;
    int64_t state_wall_ms;    /* -1: read from an old record that does not say */
    struct str protocol_type; /* own; null none */
    struct str protocol;      /* own; null none */
    int32_t generation;

    struct group_member **members; /* by id */
    size_t members_len, members_cap;
    struct group_member *leader; /* NULL none */
    size_t joined;               /* members that wait in JoinGroup */
    size_t pending_syncs;
    struct group_pending *pending; /* in the order they were given out */
    size_t pending_len, pending_cap;
    struct group_vote *votes;
    size_t votes_len, votes_cap;

    int64_t join_deadline_ms; /* Preparing */
    int64_t sync_deadline_ms; /* Completing, Stable */
    bool is_initial;          /* Preparing out of Empty: nothing ends it early */
    bool new_member_added;    /* and somebody came meanwhile */
    int64_t initial_step_ms, initial_left_ms;
    int64_t wake_ms; /* no deadline is before it */

    uint64_t store_seq;  /* of the last record asked to be stored */
    uint64_t assign_seq; /* of the one with this generation's assignment */

    struct group_topic *topics; /* by name */
    size_t topics_len, topics_cap;
    size_t committed;       /* offsets that are there */
    size_t pending_offsets; /* commits of partitions that are being stored */
    uint32_t last_born;
    struct group_txn *txns;
    size_t txns_len, txns_cap;
};

/* A malloc'ed copy, null of null; it is given back with text_free(). */
struct str text_dup(struct str text);
void text_free(struct str *text);
/* Frees what was there. */
void text_set(struct str *text, struct str to);

struct group_member *group_find(const struct group *group, struct str id); /* NULL */
struct group_member *group_find_instance(const struct group *group, struct str instance);
void group_set_state(struct group *group, enum group_state state, int64_t wall_ms);
/* Sets a deadline and sees to it that the group is woken for it. */
void group_set_deadline(struct group *group, int64_t *deadline_ms, int64_t to_ms);
/* Takes it in, in its place by id. */
void group_insert(struct group *group, struct group_member *member);
/* Out of the list; still the caller's. */
void group_take_out(struct group *group, struct group_member *member);
struct group_member *group_member_new(struct str id, struct str instance, struct str client_id,
                                      struct str client_host);
void group_member_free(struct group_member **member);
void group_set_protocols(struct group *group, struct group_member *member,
                         const struct group_protocol *protocols, int32_t len);
/* Null when it does not know the protocol. */
struct str group_member_metadata(const struct group_member *member, struct str protocol);
int32_t group_rebalance_ms(const struct group *group);

/* In join_core: all events. */
void join_step(struct group *group, const struct group_event *ev, int64_t now_ms,
               struct group_effects *out);
/* In sync_core. */
void sync_step(struct group *group, const struct group_event *ev, int64_t now_ms,
               struct group_effects *out);
enum err leave_step(struct group *group, const struct group_event *ev, int64_t now_ms,
                    struct group_effects *out);
void stored_step(struct group *group, const struct group_event *ev, int64_t now_ms,
                 struct group_effects *out);
void tick_step(struct group *group, int64_t wall_ms, int64_t now_ms, struct group_effects *out);
void loaded_step(struct group *group, const struct group_event *ev, int64_t now_ms,
                 struct group_effects *out);
void closed_step(struct group *group, int64_t wall_ms, struct group_effects *out);
/* In offsets_core. */
void offsets_fini(struct group *group);

#endif
