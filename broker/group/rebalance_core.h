/*
 * rebalance_core - the moves of a rebalance, for join_core and sync_core and nobody else: who waits
 * and who is answered, who is in and who is out, when a generation ends and when the next begins.
 *
 * Ownership:  answers copy what they say into the effects' arena, but for an assignment.
 * Threads:    one at a time.
 */
#ifndef BROKER_GROUP_REBALANCE_CORE_H
#define BROKER_GROUP_REBALANCE_CORE_H

#include "broker/group/group_int.h"

#define SAY(out, ...)                                                                              \
    do {                                                                                           \
        if ((out)->said_len < ARRAY_LEN((out)->said))                                              \
            (out)->said[(out)->said_len++] = arena_printf(&(out)->arena, __VA_ARGS__);             \
    } while (0)

/* ---- answers ---- */

/* One for who, with nothing in it. */
struct group_answer *rebalance_answer(struct group_effects *out, void *who);
/* A join with an error. */
void rebalance_refuse(struct group_effects *out, void *who, struct str member, enum err err);
/* A join into the present generation. */
void rebalance_admit(const struct group *group, struct group_effects *out, void *who,
                     struct str member, struct str leader, bool with_members, bool skip);
/* A sync, with its assignment or an error. */
void rebalance_assign(const struct group *group, struct group_effects *out, void *who, enum err err,
                      struct str assignment);
struct str rebalance_leader(const struct group *group); /* "" none */

/* ---- who waits ---- */

/* The member waits in JoinGroup; another that waits for it is sent away. */
void rebalance_set_join(struct group *group, struct group_member *member, void *who,
                        struct group_effects *out);
/* It ceases to; whom to answer, NULL when nobody waits. */
void *rebalance_take_join(struct group *group, struct group_member *member);
/* Whoever waits in JoinGroup is told err, with this id. */
void rebalance_fail_join(struct group *group, struct group_member *member, struct str id,
                         enum err err, struct group_effects *out);
/* Whoever waits in SyncGroup is answered; false when nobody does. */
bool rebalance_end_sync(const struct group *group, struct group_member *member, enum err err,
                        struct group_effects *out);
/* All who wait in SyncGroup are answered with what is assigned to them, or the error. */
void rebalance_propagate(struct group *group, enum err err, int64_t now_ms,
                         struct group_effects *out);
/* The same with the error, and nobody has an assignment any more. */
void rebalance_reset_assignment(struct group *group, enum err err, int64_t now_ms,
                                struct group_effects *out);
void rebalance_start_session(struct group *group, struct group_member *member, int64_t now_ms);
void rebalance_set_pending_sync(struct group *group, struct group_member *member, bool pending);
void rebalance_end_pending_syncs(struct group *group);

/* ---- ids that were given out (KIP-394) ---- */

/* Its place; pending_len when there is none. */
size_t rebalance_find_pending(const struct group *group, struct str id);
bool rebalance_drop_pending(struct group *group, struct str id);
/* True when there was one whose time has come. */
bool rebalance_expire_pending(struct group *group, int64_t now_ms);
/* When there are GROUP_PENDING_MAX the oldest goes for it: its client, if there is one, hears
 * UNKNOWN_MEMBER_ID and asks anew. To refuse the new one would shut a group to everybody for as
 * long as a session once somebody has asked for so many. */
void rebalance_add_pending(struct group *group, struct str id, int64_t deadline_ms);

/* ---- who is in ---- */

/* Out, with whatever it has; who waits for it is told UNKNOWN_MEMBER_ID and may come again. */
void rebalance_remove(struct group *group, struct group_member *member, struct group_effects *out);
/* And what follows for the others. */
void rebalance_remove_and_update(struct group *group, struct group_member *member, int64_t wall_ms,
                                 int64_t now_ms, struct group_effects *out, struct str reason);
/* The same member under another id; who waits under the old one is fenced. */
void rebalance_rename(struct group *group, struct group_member *member, struct str id,
                      struct group_effects *out);

/* ---- generations ---- */

/* Everybody is to join again. */
void rebalance_prepare(struct group *group, int64_t wall_ms, int64_t now_ms,
                       struct group_effects *out, struct str reason);
/* Unless that is so already. */
void rebalance_maybe_prepare(struct group *group, int64_t wall_ms, int64_t now_ms,
                             struct group_effects *out, struct str reason);
/* All have joined? Then the next generation begins. */
void rebalance_try_complete(struct group *group, int64_t wall_ms, int64_t now_ms,
                            struct group_effects *out);
/* It begins with those who have joined. by_timer: time is up, not everybody there. */
void rebalance_complete(struct group *group, int64_t wall_ms, int64_t now_ms, bool by_timer,
                        struct group_effects *out);
/* What most members want of the protocols that all of them know. */
struct str rebalance_choose_protocol(const struct group *group);
/* The group's record is to be stored. */
void rebalance_ask_store(struct group *group, struct group_effects *out);

#endif
