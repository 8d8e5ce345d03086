/*
 * crowd - consumer groups in the simulated cluster: clients as Java's behave (crowd.c), and whoever
 * leads partition 0 as their coordinator, around the real cores of broker/group, with that
 * partition's log as its store (coord.c).
 *
 * Ownership:  the world owns its clients and papers, a broker its coordinator.
 */
#ifndef TESTS_SIM_CROWD_H
#define TESTS_SIM_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define CROWD_MOST         4 /* clients */
#define CROWD_PARTS        4 /* partitions that they share */
#define CROWD_SHOWN        8 /* members that a leader is shown: those who died too */
#define CROWD_ID           64
#define CROWD_PART         0 /* whose log has the group */

#define CROWD_SESSION_MS   3000
#define CROWD_REBALANCE_MS 4000

struct world;
struct bro;
struct event;
struct coord;

enum crowd_phase {
    CROWD_ABSENT,
    CROWD_OUT,
    CROWD_JOINING,
    CROWD_JOINED,
    CROWD_SYNCING,
    CROWD_MEMBER
};

struct crowd_client {
    enum crowd_phase phase;
    uint32_t life;
    int coordinator; /* node, as far as it knows; -1 */
    uint64_t call;   /* it waits for the answer to this one; 0: for none */
    int64_t call_ms, beat_ms, paused_ms;
    char id[CROWD_ID];
    int32_t generation;
    int gen; /* of the topic that the coordinator keeps its records in */
    bool leads;
    char members[CROWD_SHOWN][CROWD_ID]; /* as the leader was shown them */
    int n_members;
    unsigned owned; /* bits */
};

/* A record of the group's log: the value of a simulated record stands for it. */
struct paper {
    int64_t value;
    uint8_t *batch;
    size_t size;
    int part; /* of a commit; -1: of the group */
    int64_t committed;
};

struct crowd {
    int n;
    struct crowd_client clients[CROWD_MOST];
    struct paper *papers; /* by value */
    size_t n_papers, cap_papers;
    int64_t value;    /* last offset that was committed */
    size_t n_commits; /* acknowledged */
    size_t n_formed;  /* assignments heard of */
};

enum crowd_ask { ASK_JOIN, ASK_SYNC, ASK_BEAT, ASK_COMMIT, ASK_LEAVE };

/* A request's instance for the cores: null when it has none. */
#define CROWD_INSTANCE(req) ((req)->instance[0] != '\0' ? str_of((req)->instance) : STR_NULL)

/* Whom an answer is for. */
struct crowd_who {
    int client;
    uint32_t life;
    uint64_t call;
};

struct crowd_request {
    struct crowd_who who;
    enum crowd_ask ask;
    char id[CROWD_ID], instance[CROWD_ID]; /* "" dynamic */
    int32_t generation;
    int part; /* of a commit */
    char members[CROWD_SHOWN][CROWD_ID];
    int n_members; /* SYNC of a leader */
};

struct crowd_answer {
    struct crowd_who who;
    enum crowd_ask ask;
    enum err err;
    char id[CROWD_ID];
    int32_t generation;
    int gen;
    bool leads;
    char members[CROWD_SHOWN][CROWD_ID];
    int n_members;
    unsigned owned;
};

/* ---- crowd.c ---- */

void crowd_start(struct world *w);
void crowd_fini(struct world *w);
/* Something happens to one of the clients. */
void crowd_trouble(struct world *w);
void crowd_on_answer(struct world *w, struct event *ev);
/* All who live are in the group, which is stable; or there are none. */
bool crowd_is_settled(const struct world *w);

/* ---- coord.c ---- */

/* Partition 0 of b has a role: soon it is the coordinator, or not any more. */
void coord_on_role(struct world *w, struct bro *b);
/* It ceases: those who wait are told; with the process nobody is. */
void coord_close(struct world *w, struct bro *b, bool tell);
/* The high watermark has moved, or the role: what waits to be stored is looked at. */
void coord_wake(struct world *w, struct bro *b);
/* A request arrives. */
void coord_on_request(struct world *w, struct event *ev);
/* Members, and whether the group is stable with these; generation -1: there is no group. */
bool coord_shows(const struct bro *b, size_t *members, bool *stable, int32_t *generation);

#endif
