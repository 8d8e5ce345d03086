/*
 * group_kit - one consumer group and its clients, driven by hand: requests go in, answers are kept
 * by number, records that are to be stored are noted, time moves when told.
 */
#ifndef TESTS_KIT_GROUP_KIT_H
#define TESTS_KIT_GROUP_KIT_H

#include "broker/group/group_core.h"
#include "broker/group/offsets_core.h"

#define KIT_CALLS   1024
#define KIT_MEMBERS 64

/* One request, and what came of it. */
struct kit_call {
    bool answered;
    bool is_sync;
    enum err err;
    int32_t generation;
    size_t members_len; /* that a leader was shown */
    bool skip;
    char member[128], leader[128], protocol[64], assignment[128];
};

struct group_kit {
    struct group_conf conf;
    struct group *group;
    int64_t now_ms, wall_ms;
    struct kit_call calls[KIT_CALLS];
    int calls_len;
    int uuids;
    uint64_t store_seq; /* asked for and not reported yet; 0 none */
    int stores;         /* asked for so far */
    char said[512];     /* the last */
};

/* Sessions from 6 s to 30 min, no initial delay, no bound on size. */
void group_kit_init(struct group_kit *kit);
void group_kit_fini(struct group_kit *kit);

/* What a client sends, with the usual in all that is left zero: session 10 s, rebalance 60 s, type
 * "consumer", protocols "range" with metadata "m". */
struct kit_join {
    const char *member;   /* NULL: none yet */
    const char *instance; /* NULL: dynamic */
    const char *client;
    const char *type;
    const char *protocols; /* "range,roundrobin" */
    const char *metadata;
    int32_t session_ms, rebalance_ms;
    bool need_id, can_skip;
};
/* Returns the number of the call. */
int group_kit_join(struct group_kit *kit, const struct kit_join *join);
/* assigned: "member=bytes,member=bytes"; NULL none. */
int group_kit_sync(struct group_kit *kit, const char *member, int32_t generation,
                   const char *assigned);
int group_kit_sync_as(struct group_kit *kit, const char *member, const char *instance,
                      int32_t generation, const char *type, const char *protocol,
                      const char *assigned);
enum err group_kit_leave(struct group_kit *kit, const char *member, const char *instance);
enum err group_kit_heartbeat(struct group_kit *kit, const char *member, int32_t generation);
/* The record that was asked for has been stored, or not. */
void group_kit_stored(struct group_kit *kit, enum err err);
void group_kit_stored_seq(struct group_kit *kit, uint64_t seq, enum err err);
void group_kit_close(struct group_kit *kit);
/* Moves time, waking the group whenever it wants to be. */
void group_kit_pass(struct group_kit *kit, int64_t ms);

/* n members with clients c0, c1, ... join at once: all answered, in the same generation. Their ids
 * are calls[first + i].member. Returns first. */
int group_kit_join_all(struct group_kit *kit, int n);
/* And all sync, the leader assigning "a0", "a1", ... : Stable. */
int group_kit_make_stable(struct group_kit *kit, int n);

#endif
