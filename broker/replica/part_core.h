/*
 * part_core - what one replica of a partition decides: who leads, what is committed, who is in
 * sync.
 *
 * State plus event plus now in, new state plus effects out. The shell (part) holds the partition's
 * state lock around part_step() and carries the effects out afterwards; the simulator does the same
 * without a lock.
 *
 * Words (reference: Kafka's Partition, KIP-101, KIP-497, KIP-903, KIP-966 part 1):
 *   leo           log end offset, the offset of the next record
 *   hw            high watermark, the first offset that is not committed
 *   committed ISR what the controller last told us; maximal ISR: that plus whom we proposed to add
 *   epoch start   a leader's leo when its leader epoch began
 *
 * Rules that make it safe:
 *   - The high watermark counts the maximal ISR, so that whatever the controller decides about a
 *     proposal, every member of the ISR then in force has all that is committed.
 *   - Where flush.messages asks for it, it counts what is on the disk: of a follower, which names
 *     nothing else, and of the leader.
 *   - A proposal stays, unchanged, until the leader or partition epoch moved or this very proposal
 * was refused for good; only then can another follow.
 *   - A replica joins only with leo >= hw and >= epoch start, live, under the broker epoch it
 * fetched with.
 *   - (leader epoch, partition epoch) never go back.
 *
 * Units:      offsets count records; now_ms is monotonic time.
 * Ownership:  arrays in events are borrowed; a proposal in the effects points into the core and is
 * valid until the next step.
 */
#ifndef BROKER_REPLICA_PART_CORE_H
#define BROKER_REPLICA_PART_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/replica/read_replica.h"
#include "common/base/err.h"

#define PART_NO_LEADER (-1)

enum part_role {
    PART_IDLE, /* hosted, but nobody leads, or no image has named us yet */
    PART_LEADER,
    PART_FOLLOWER,
};

/* What a leader knows of another replica. */
struct part_replica {
    int32_t id;
    bool live;                 /* the image shows it live, not fenced, not shutting down */
    int64_t live_epoch;        /* broker epoch in the image, -1 unknown */
    int64_t fetch_epoch;       /* broker epoch of its last fetch, -1 none yet */
    int64_t leo;               /* -1 unknown */
    int64_t log_start;         /* -1 unknown */
    int64_t last_fetch_ms;     /* when it last fetched */
    int64_t last_fetch_leo;    /* our leo then */
    int64_t last_caught_up_ms; /* last moment at which it had all that we had */
    bool caught_up_at_all;     /* last_caught_up_ms means something */
    bool on_trust;             /* so it does because it is in the ISR, and for as long */
};

enum part_pending { PART_SETTLED, PART_EXPANDING, PART_SHRINKING };

struct part_member {
    int32_t id;
    int64_t broker_epoch;
};

/* An ISR that a leader wants; ids start at 1 and grow. */
struct part_proposal {
    uint64_t id;
    int32_t leader_epoch;
    int32_t partition_epoch;
    struct part_member *members; /* in ISR order, a newcomer last */
    int32_t members_len;
};

struct part_core {
    int32_t me;
    int64_t my_epoch; /* our broker epoch */
    enum part_role role;
    int32_t leader;          /* PART_NO_LEADER when none */
    int32_t leader_epoch;    /* -1 before the first image */
    int32_t partition_epoch; /* -1 before the first image */
    bool stopping;           /* the process is shutting down: no new proposals */

    int64_t leo;
    int64_t hw;
    int64_t log_start;
    int64_t epoch_start; /* leader only */
    int64_t hw_max;      /* leader only: what is on our disk; INT64_MAX: all that has to be */
    int64_t sync_end;    /* leader only: it has to be up to here */
    int32_t led_since;   /* leader only: the epoch in which it began to lead without a break */
    int64_t leader_hw;   /* follower: as last told */

    int32_t min_isr;    /* min.insync.replicas of the topic */
    int64_t lag_max_ms; /* replica.lag.time.max.ms */

    struct part_replica *others; /* all assigned replicas but ourselves, in replicas order */
    int32_t others_len;
    int32_t replicas_len; /* with ourselves */
    int32_t *isr;         /* committed ISR as the controller ordered it */
    int32_t isr_len;
    bool recovering; /* elected uncleanly, until the next decided proposal */

    enum part_pending pending;
    struct part_proposal proposal; /* valid unless settled */
    int64_t proposed_ms;           /* when it was last sent */
    int64_t refused_until_ms;      /* after a refusal: not before */
    uint64_t last_proposal_id;
};

enum part_event_kind {
    PART_EV_ROLE,      /* the image says who leads, who replicates, who is in sync */
    PART_EV_LIVE,      /* a broker's liveness or epoch changed in the image */
    PART_EV_APPENDED,  /* we, the leader, appended: leo moved */
    PART_EV_FETCHED,   /* we, the leader, answered a follower's fetch */
    PART_EV_FOLLOWED,  /* we, a follower, took in an answer of the leader's */
    PART_EV_TRUNCATED, /* our log was cut or restarted */
    PART_EV_LOG_START, /* our log start moved */
    PART_EV_SYNCED,    /* what we, the leader, have is on the disk */
    PART_EV_DECIDED,   /* the controller answered a proposal */
    PART_EV_CONF,      /* min.insync.replicas or replica.lag.time.max.ms changed */
    PART_EV_TICK,      /* time has passed: to be given every lag_max_ms / 2 while restless */
    PART_EV_RESEND,    /* a new stream to a controller: what is pending goes again */
    PART_EV_STOP,      /* controlled shutdown has begun */
};

struct part_live {
    int32_t id;
    int64_t broker_epoch;
    bool live;
};

struct part_event {
    enum part_event_kind kind;
    union {
        struct {
            int32_t leader, leader_epoch, partition_epoch;
            const int32_t *replicas;
            int32_t replicas_len;
            const int32_t *isr;
            int32_t isr_len;
            bool recovering;
            const struct part_live *live; /* one per replica, same order */
            int64_t my_epoch;
            int64_t unsynced; /* records at our log's end that flush.messages wants on the disk */
        } role;
        struct part_live live;
        struct {
            int64_t leo;
            bool flush_due; /* flush.messages is reached: SYNCED follows */
        } appended;
        struct {
            int32_t replica;
            int64_t broker_epoch; /* -1: the follower does not say (an old version) */
            int64_t offset;       /* what it asked for: its leo */
            int64_t log_start;
            int64_t leader_leo; /* our leo when its fetch was read */
        } fetched;
        struct {
            int64_t leo; /* after appending */
            int64_t leader_hw;
        } followed;
        struct {
            int64_t leo;
            int64_t log_start;
        } truncated;
        struct {
            int64_t log_start;
        } log_start;
        struct {
            int32_t leader_epoch; /* in which the sync was asked for */
            int64_t upto;
        } synced;
        struct {
            uint64_t proposal_id;
            enum err err;
        } decided;
        struct {
            int32_t min_isr;
            int64_t lag_max_ms;
        } conf;
    };
};

struct part_effects {
    enum err refused;     /* ROLE: STALE_CONTROLLER_EPOCH when older than what we hold: report it.
                             FETCHED: STALE_BROKER_EPOCH, NOT_LEADER_OR_FOLLOWER: nothing noted */
    bool role_changed;    /* role, leader or leader epoch is another */
    bool lost_leadership; /* waiting produces fail with NOT_LEADER_OR_FOLLOWER */
    bool assign_epoch;    /* the log notes (leader_epoch, leo) before anything is appended */
    bool sync_tail;       /* sync the log, then SYNCED in leader_epoch */
    bool start_fetching;  /* follow `leader` in `leader_epoch`; also when only the epoch is new */
    bool stop_fetching;
    bool hw_moved;        /* look at waiting produces and consumers' fetches */
    bool log_start_moved; /* a follower's log start moved: look at waiting DeleteRecords */
    bool isr_changed;     /* committed ISR is another: look at waiting produces */
    const struct part_proposal *propose; /* send it now; NULL: nothing to send */
};

/* log: what the log holds; hw as checkpointed, it is clamped into [log_start, leo]. */
void part_core_init(struct part_core *core, int32_t me, int64_t log_start, int64_t leo, int64_t hw,
                    int32_t min_isr, int64_t lag_max_ms);
void part_core_fini(struct part_core *core);

void part_step(struct part_core *core, const struct part_event *ev, int64_t now_ms,
               struct part_effects *out);

/* May a request with this current_leader_epoch (-1: unsaid) be served, by a leader only or by any
 * replica? FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, NOT_LEADER_OR_FOLLOWER or OK, in that order.
 */
enum err part_check_epoch(const struct part_core *core, int32_t current_leader_epoch,
                          bool leader_only);

/* May a fetch of this follower be served: NOT_LEADER_OR_FOLLOWER, UNKNOWN_LEADER_EPOCH (not one of
 * the replicas we know, while it did send an epoch), STALE_BROKER_EPOCH (an earlier life of it). */
enum err part_check_follower(const struct part_core *core, int32_t replica, int64_t broker_epoch,
                             bool sent_epoch);

/* Before an append: NOT_LEADER_OR_FOLLOWER; for acks=all NOT_ENOUGH_REPLICAS. */
enum err part_check_produce(const struct part_core *core, int16_t acks);

enum part_ack { PART_ACK_WAIT, PART_ACK_DONE, PART_ACK_FAILED };
/* Is all below `end`, appended by us as the leader of leader_epoch, committed? Who has not led all
 * the time since may have lost it to another leader: what is there now proves nothing. FAILED sets
 * *err: NOT_ENOUGH_REPLICAS_AFTER_APPEND, or NOT_LEADER_OR_FOLLOWER. */
enum part_ack part_acked(const struct part_core *core, int64_t end, int32_t leader_epoch,
                         enum err *err);

/* Smallest log start of all live replicas, ourselves included: how far DeleteRecords has got. */
int64_t part_low_watermark(const struct part_core *core);

/* May time alone bring about something: is a tick wanted? */
bool part_is_restless(const struct part_core *core);

/* Where ListOffsets may look: false while a new leader's hw has not reached its epoch start. */
bool part_hw_is_known(const struct part_core *core);

int32_t part_maximal_isr_len(const struct part_core *core);
/* The other replica with that id; NULL when there is none. */
const struct part_replica *part_other(const struct part_core *core, int32_t id);
bool part_in_isr(const struct part_core *core, int32_t id);
/* The in-sync followers of a leader that have `offset`, for whoever wants to read there; at most
 * cap. Their racks are left out. 0 when we do not lead. */
size_t part_list_readers(const struct part_core *core, int64_t offset, int64_t now_ms,
                         struct reader *out, size_t cap);
/* As part_in_isr, and whom we proposed to add. */
bool part_in_maximal_isr(const struct part_core *core, int32_t id);
/* Has the other replica all that we have, or had it at most lag_max_ms ago? */
bool part_is_caught_up(const struct part_core *core, const struct part_replica *r, int64_t now_ms);
#endif
