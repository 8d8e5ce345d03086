/*
 * sim - a cluster in one thread from one seed: what the parts of the simulator share.
 *
 *   world     the clock, the queue of events, processes, connections, chance, the trace
 *   zoo       ZooKeeper by meaning: states, sessions, ephemerals, multis, watches
 *   boss      a controller's process around the real core
 *   admin     what operators ask of it: topics that come, grow, go and move, settings
 *   bro       a broker's process around the real partition cores: stream, registration, proposals
 *   roles     the same process applying images and deltas: replicas that come and go
 *   repl      the same process's replication and produce: fetchers, fetches, log
 *   disk      its log directory: what was flushed survives the machine, the rest the process
 *   crowd     a consumer group's clients and its coordinator
 *   mischief  what goes wrong when
 *   promise   what must hold whatever goes wrong (tests/kit/oracle)
 *
 * Units:      _us microseconds and _ms milliseconds of simulated time; offsets count records.
 * Ownership:  a struct world owns everything; world_fini() ends it.
 * Threads:    one. Nothing here may look at the real clock or at addresses.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/epochs.h"
#include "broker/replica/fetch_core.h"
#include "broker/replica/part_core.h"
#include "common/base/rand.h"
#include "common/model/image.h"
#include "controller/core/core.h"
#include "controller/core/standby.h"
#include "tests/kit/oracle.h"
#include "tests/sim/crowd.h"

#define SIM_BROKERS  7 /* most; ids are index + 1 */
#define SIM_BOSSES   3
#define SIM_PARTS    4 /* most, of the one topic */
#define SIM_GENS     8 /* topics there ever are, one after the other, all of the same name */
#define SIM_DIRS     2 /* log directories of a broker */
#define SIM_LOSSES   64
#define SIM_VERSIONS 256 /* that a controller remembers the moments of */
#define NODE_BOSS    8   /* index of the first controller among all processes */
#define NODE_ZOO     15
#define NODES        16
#define NODE_WORLD   (-1)
#define SIM_RING     ZK_RING_SLOTS

enum mutation {
    MUTATION_NONE,
#define MUTATION(kind, name, doc) MUTATION_##kind,
#include "tests/sim/mutation.def"
#undef MUTATION
    MUTATIONS
};

struct world;
struct conn;
struct zoo;

/* ---- events ---- */

struct event {
    int64_t at_us;
    uint64_t seq;
    void (*run)(struct world *w, struct event *ev);
    int node; /* whose process it happens in; NODE_WORLD: nobody's */
    uint32_t life;
    struct conn *conn; /* a reference; a message that came on it */
    int side;          /* its receiver's */
    int64_t a, b, c;
    void *ptr;
    void (*drop)(void *ptr); /* ends ptr after the event has run or was dropped */
    struct event *next;
};

/* ---- processes ---- */

struct zreq;

struct zk_client {
    uint64_t session; /* 0: none */
    uint64_t link;    /* number of its connection; grows */
    bool connected;
    int64_t ready_us[2]; /* requests and answers keep their order */
    struct zreq *out;    /* oldest first */
};

struct proc {
    bool machine_up, running, paused;
    int64_t clock_ms; /* its machine's clock is that much ahead */
    int clock_ppm;    /* and runs that much too fast */
    uint32_t life;    /* of this process; grows with each start */
    uint64_t boot;    /* of the machine */
    struct event *held, **held_tail;
    struct zk_client zk;
};

/* ---- connections ---- */

enum conn_kind { CONN_STREAM, CONN_FETCH };

struct session_part {
    bool in, sent;
    int gen;
    int32_t leader_epoch, last_epoch;
    int64_t offset, log_start;
    int64_t sent_hw;
};

struct conn {
    struct conn *next;
    enum conn_kind kind;
    uint64_t id;
    int refs;
    int node[2]; /* 0: who connected */
    uint32_t life[2];
    bool open[2];
    int64_t ready_us[2];
    struct event *held[2], **held_tail[2]; /* to that side, while the link is cut */
    /* a fetch connection, the leader's side */
    int32_t session_id, session_epoch;
    struct session_part parts[SIM_PARTS];
    int64_t replica_epoch;
    int replica;
    bool parked;
    uint64_t park;
};

/* ---- brokers ---- */

struct disk_log {
    int gen; /* of which topic; -1: there is none */
    int dir;
    struct oracle_rec *recs;
    size_t cap;
    int64_t leo, flushed;
    int64_t recovery_file; /* recovery point as last written */
    struct epochs epochs;
    struct epochs epochs_file; /* as last written */
    int64_t hw_file;
    bool epochs_dirty;
};

struct replica {
    bool open;
    bool offline; /* its directory has failed */
    bool is_full; /* it led and could not append, lately */
    int gen;
    struct part_core core;
    int32_t seen_epoch; /* highest leader epoch acted on in this process */
};

struct fetcher {
    bool used;
    struct fetch_core core;
    struct conn *conn; /* NULL: none */
    bool connecting, flying, known;
    bool resets_due;
    uint64_t flight; /* number of the last request */
    int64_t retry_ms;
    uint64_t retry; /* number of the timer that counts */
    uint64_t wake;
    struct uuid incarnation;
    int64_t broker_epoch;
    struct fetch_part **scratch;
    size_t scratch_cap;
};

struct parked_produce {
    struct parked_produce *next;
    int part, gen;
    int64_t first, end;
    int64_t value;        /* of the first */
    int32_t leader_epoch; /* in which they were appended */
    int64_t until_ms;
};

struct bro {
    int id, node;
    /* disk */
    struct disk_log logs[SIM_PARTS];
    uint64_t saved_session;
    uint64_t boot_file; /* last boot of the machine that is known to have lost nothing */
    bool clean_marker;
    bool full; /* the disks have no room */
    bool bad_dir[SIM_DIRS];
    bool dirs_mended;              /* the next process finds them whole */
    bool new_dir;                  /* one stands where another one was, and no process knows yet */
    struct uuid saved_incarnation; /* only for a mutation */
    bool damaged[SIM_PARTS];       /* the machine lost records that were in the log */
    int64_t lost_ms[SIM_PARTS];    /* when first, since it was known to be whole */
    int lost_gen[SIM_PARTS];       /* of which topic */
    int64_t losses[SIM_PARTS][SIM_LOSSES]; /* all of them, in order */
    int n_losses[SIM_PARTS];
    size_t introduced; /* step at which a controller knew this process; 0: none */
    int64_t born_ms;   /* when this process began */
    /* process */
    struct uuid incarnation;
    bool fresh, unclean, was_clean, leaving;
    int64_t epoch;         /* broker epoch, -1 */
    uint64_t last_session; /* with which this process registered */
    bool enrolling;
    struct conn *stream;
    bool up, seeking;
    int next_boss, active_hint, tried;
    int64_t pause_ms;
    uint64_t seek, patience;
    struct image *image;
    int32_t apply_epoch;
    uint64_t apply_version;
    bool expects_image;
    struct replica reps[SIM_PARTS];
    struct {
        int gen; /* of which topic; -1: none */
        bool is_new;
    } roomless[SIM_PARTS]; /* replicas that found no room */
    struct fetcher fetchers[SIM_BROKERS];
    struct parked_produce *produces;
    struct coord *coord; /* NULL: it is not the group's coordinator */
};

/* ---- controllers ---- */

struct boss_stream {
    struct boss_stream *next;
    uint64_t id;
    struct conn *conn;
    bool acked; /* its image */
};

struct writer {
    bool busy;
    /* as controller/shell/ring and write have them: numbers of multis, up to which all is known */
    uint64_t number, certain;
    bool doubtful;
};

struct boss {
    int id, node;
    struct core *core;
    struct core_effects effects;
    bool held; /* the seat */
    int32_t epoch, epoch_version;
    uint64_t term; /* what was asked in an earlier one is not for us */
    bool watching, standing, listed;
    bool nodes_due;
    struct boss_stream *streams;
    struct admin_req *asked;                               /* until they are answered */
    int64_t gone_ms[SIM_BROKERS], gone_known[SIM_BROKERS]; /* by the world's clock, by its own */
    int64_t born_ms[SIM_BROKERS]; /* of the process that it knows; INT64_MAX: of none */
    /* the versions that brokers have acknowledged, and had when it planned last */
    uint64_t acked[SIM_BROKERS], acked_before[SIM_BROKERS];
    uint64_t version;
    int64_t published_ms[SIM_VERSIONS]; /* by version, modulo */
    bool reloading;                     /* it plans nothing */
    struct writer writer;
    uint64_t alarm;
    struct standby *standby;  /* what it knows of the cluster while another is active */
    const struct image *told; /* to the others last; not a reference */
    uint64_t told_number;
};

/* ---- all of it ---- */

struct sim_conf {
    int brokers, bosses, parts, rf, min_isr;
    int clients;      /* of a group; 0: there is none */
    bool flush;       /* flush.messages=1: nothing that counts is lost with a page cache */
    bool in_files;    /* min_isr stands in the brokers' settings files, not in ZooKeeper */
    uint32_t statics; /* bits: which of them have a group.instance.id */
    int64_t lag_max_ms, session_ms, heartbeat_ms;
    int64_t faults_ms; /* how long things go wrong */
    int64_t delay_us;  /* of a message, typical */
    int64_t produce_ms;
    uint32_t mischief;   /* bits: which kinds may happen */
    int64_t mischief_ms; /* mean time between two */
    enum mutation mutation;
    bool trace; /* print as it goes */
    bool tells; /* on failure say what went wrong */
    int ring;   /* or keep so many lines and print them on failure */
};

/* What its controller knew when a write was decided, by the world's clock. */
struct decision {
    size_t step;
    int64_t ms;
    int64_t gone_ms[SIM_BROKERS];  /* since when a broker is gone; INT64_MAX: it is not */
    int64_t born_ms[SIM_BROKERS];  /* of its process; INT64_MAX: none is known */
    int64_t asked_ms[SIM_BROKERS]; /* not before that was the word asked which it has given since
                                      the last plan */
};

struct world {
    struct sim_conf conf;
    uint64_t seed;
    struct rand rand;
    int64_t us;
    uint64_t seq, ids;
    size_t steps;
    size_t standing; /* events since time has moved */
    struct event **heap;
    size_t n_heap, cap_heap;
    struct proc procs[NODES];
    bool cut[NODES][NODES];
    struct conn *conns;
    struct zoo *zoo;
    struct bro bros[SIM_BROKERS];
    struct boss bosses[SIM_BOSSES];
    struct oracle oracle;
    struct crowd crowd;
    struct uuid gens[SIM_GENS]; /* topic ids in the order in which they were stored */
    int n_asked;                /* by operators, and not answered yet */
    int n_gens, n_creates;      /* how many there are, how many may yet come of what was asked */
    bool quiet;                 /* faults have stopped */
    bool forfeited[SIM_GENS * SIM_PARTS]; /* the precondition of the promise is broken */
    size_t n_parked;                      /* logs that nobody knew of */
    size_t n_unclean, n_moved, n_deleted;
    size_t n_warm, n_cold;    /* seats won by a standby that knew the cluster, or did not */
    size_t n_warm_topics;     /* of the warm ones: that believed the topic */
    struct decision decision; /* of the write that is carried out */
    int64_t value;
    size_t acked;
    bool failed;
    int64_t failed_ms;
    char why[512];
    const struct script *script; /* NULL: a story */
    int64_t script_ms;           /* when its tricks begin */
    char (*ring)[160];
    size_t n_ring;
    char (*told)[160]; /* what went wrong, line by line */
    size_t n_told, cap_told;
};

/* ---- world.c ---- */

void world_init(struct world *w, uint64_t seed, const struct sim_conf *conf);
void world_fini(struct world *w);
/* One event; false when there is none. */
bool world_step(struct world *w);
void world_run_ms(struct world *w, int64_t ms);
static inline int64_t world_ms(const struct world *w)
{
    return w->us / 1000;
}
/* What the clock of its machine says. */
int64_t node_ms(const struct world *w, int node);
/* How long until its clock says at_ms. */
int64_t node_until_us(const struct world *w, int node, int64_t at_ms);
void node_jump(struct world *w, int node, int64_t ms);
/* In [low, high]. */
int64_t world_between(struct world *w, int64_t low, int64_t high);
bool world_chance(struct world *w, int percent);
struct uuid world_uuid(struct world *w);
struct event *world_at(struct world *w, int64_t in_us, int node,
                       void (*run)(struct world *w, struct event *ev));
int64_t world_delay_us(struct world *w);
void world_fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool world_traces(const struct world *w);
void world_trace(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A trick's own words. */
void world_tell(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define TRACE(w, ...)                                                                              \
    do {                                                                                           \
        if (world_traces(w))                                                                       \
            world_trace(w, __VA_ARGS__);                                                           \
    } while (0)

const char *node_name(int node);
/* Can a packet go from one to the other? */
bool link_is_up(const struct world *w, int from, int to);
void link_cut(struct world *w, int from, int to);
void link_mend(struct world *w, int from, int to);

void proc_start(struct world *w, int node);
void proc_kill(struct world *w, int node);
/* The machine goes: what was not flushed is lost, nobody is told. */
void proc_power_off(struct world *w, int node);
void proc_pause(struct world *w, int node);
void proc_resume(struct world *w, int node);

struct conn *conn_open(struct world *w, enum conn_kind kind, int from, int to);
struct conn *conn_ref(struct conn *conn);
void conn_unref(struct conn **conn);
/* To the other side, in order; the event has no effect when that side has closed. */
struct event *conn_send(struct world *w, struct conn *conn, int from_side,
                        void (*run)(struct world *w, struct event *ev));
void conn_close(struct world *w, struct conn *conn, int side);
/* Both ends learn that it broke. */
void conn_reset(struct world *w, struct conn *conn);

/* ---- zoo.c ---- */

#define NO_STONE INT32_MIN

/* What the controllers store. One topic there is at a time; what belongs to ids is kept by gens. */
struct tree {
    struct zoo_topic {
        bool there;
        int gen;
        int32_t version;
        int n_parts;
        struct zoo_part {
            int32_t replicas[SIM_BROKERS], adding[SIM_BROKERS], removing[SIM_BROKERS];
            uint32_t n_replicas, n_adding, n_removing;
        } parts[SIM_PARTS];
    } topic;
    struct zoo_state {
        bool there;
        int32_t leader, leader_epoch, version, boss_epoch;
        bool recovering;
        int32_t isr[SIM_BROKERS];
        uint32_t n_isr;
    } states[SIM_PARTS];
    struct zoo_config { /* of the topic's name */
        bool there;
        int min_isr; /* 0: not set */
        int unclean; /* -1: not set */
    } config;
    bool mark;                                        /* /admin/delete_topics/t */
    int32_t stones[SIM_BROKERS][SIM_GENS][SIM_PARTS]; /* leader epochs, NO_STONE */
    /* who may lead beside the ISR; without ids it is not there */
    struct zoo_eligible {
        int32_t boss_epoch, leader_epoch, version, min_isr;
        int32_t ids[SIM_BROKERS];
        uint32_t n;
    } eligible[SIM_GENS][SIM_PARTS], voided[SIM_GENS][SIM_PARTS]; /* those before it was deleted */
};

struct zoo_session {
    struct zoo_session *next;
    uint64_t id;
    int node;
    uint32_t life;
    int64_t heard_us;
};

struct zoo {
    int32_t epoch, epoch_version;
    int holder; /* index of a boss, -1 */
    uint64_t holder_session;
    struct zoo_session *sessions;
    struct zoo_reg {
        bool there;
        int64_t czxid;
        uint64_t session;
    } regs[SIM_BROKERS];
    uint64_t seats[SIM_BOSSES]; /* session, 0: not listed */
    struct tree tree;
    struct zoo_touched {
        int32_t epoch;
        uint64_t number; /* 0: never written */
        uint32_t parts;  /* bits */
        bool config, topic;
    } ring[SIM_RING];
    int32_t buried[SIM_BROKERS][SIM_GENS][SIM_PARTS]; /* highest stone that there ever was */
    int64_t zxid;
};

static inline struct ids zoo_replicas(const struct tree *tree, int p)
{
    return (struct ids){ .at = tree->topic.parts[p].replicas,
                         .n = tree->topic.parts[p].n_replicas };
}
static inline struct ids zoo_isr(const struct tree *tree, int p)
{
    return (struct ids){ .at = tree->states[p].isr, .n = tree->states[p].n_isr };
}
/* Which of the oracle's partitions it is. */
static inline int part_of_gen(int gen, int p)
{
    return gen * SIM_PARTS + p;
}
/* -1: never heard of. */
int gen_of(const struct world *w, struct uuid topic_id);

/* A request of a process: exec at ZooKeeper, then done at home unless the process is gone. */
struct zreq {
    struct zreq *next;
    int node;
    uint32_t life;
    uint64_t link;
    bool sent, over;
    void (*exec)(struct world *w, struct zreq *req);
    void (*done)(struct world *w, struct zreq *req, enum err err);
    int64_t a, b, c;
    void *ptr;
    void (*drop)(void *ptr);
    void *(*keep)(void *ptr); /* another hold on ptr, for what is executed after all */
};

/* Those of its eligible leaders that the partition's state agrees with. */
struct ids zoo_eligible(const struct tree *tree, int p);
/* Those who were it beside the same state, until settings voided them. */
struct ids zoo_voided(const struct tree *tree, int p);
struct zoo *zoo_new(struct world *w);
void zoo_free(struct zoo **zoo);
struct zreq *zoo_call(struct world *w, int node, void (*exec)(struct world *, struct zreq *),
                      void (*done)(struct world *, struct zreq *, enum err));
/* A new process connects: a session comes, zk_on_session() is called. */
void zoo_connect(struct world *w, int node);
/* The process's connection breaks; it comes back by itself. */
void zoo_lose(struct world *w, int node);
void zoo_expire(struct world *w, uint64_t session);
void zoo_forget_process(struct world *w, int node);
bool zoo_session_lives(const struct world *w, uint64_t session);
void zoo_set_holder(struct world *w, int holder, uint64_t session);
/* zoo_tree.c: what the controllers store.
 * half: of the deletion of a topic only what is below it. */
/* One group of operations; results say what came of it. */
void zoo_group(struct world *w, const struct core_write *write, size_t first, size_t n, bool half,
               struct core_op_result *results);
void zoo_tree_init(struct world *w, struct tree *tree);
/* Is what the group wanted to leave behind there? */
bool zoo_left_behind(struct world *w, const struct core_write *write, size_t first, size_t n,
                     struct core_op_result *results);
void zoo_reg_changed(struct world *w);

/* ---- boss.c ---- */

#define SIM_TOPIC STR("t")
extern struct endpoint boss_endpoints[SIM_BROKERS];

void boss_init(struct world *w, int i);
void boss_start(struct world *w, int i);
void boss_end(struct world *w, int i);
void boss_on_session(struct world *w, int i, bool is_new);
void boss_on_jump(struct world *w, int i);
void boss_on_seat(struct world *w, int i); /* /controller has changed */
void boss_on_regs(struct world *w, int i); /* /brokers/ids has changed */
/* Tries to take the seat from who holds it. */
void boss_take_over(struct world *w, int i);
void boss_on_stream_closed(struct world *w, struct conn *conn);
void boss_on_hello(struct world *w, struct event *ev);
void boss_on_beat(struct world *w, struct event *ev);
void boss_on_ack(struct world *w, struct event *ev);
void boss_on_alter(struct world *w, struct event *ev);
void boss_on_shutdown(struct world *w, struct event *ev);
void boss_on_dirs(struct world *w, struct event *ev);

/* ---- admin.c: asked of whoever has the seat, or of anybody ---- */

/* Is there room for one more topic, and that many later? */
bool admin_may_create(const struct world *w, int left);
void admin_create(struct world *w, int parts, int rf);
void admin_delete(struct world *w);
void admin_grow(struct world *w);
/* n 0: cancels. */
void admin_move(struct world *w, int p, const int32_t *target, int n);
/* min_isr 0, unclean -1: as they are. */
void admin_config(struct world *w, int min_isr, int unclean);
void admin_elect(struct world *w, int p);
void admin_answered(struct world *w, struct boss *boss, const struct core_answer_admin *answer);
/* The process has no core any more, or one that knows of no requests. */
void admin_forget(struct boss *boss);

/* What broker and boss say on the stream. */
struct hello_msg {
    struct core_hello hello;
};
struct ack_msg {
    struct core_acked acked;
    struct core_failure failures[SIM_GENS * SIM_PARTS + 2 * SIM_PARTS];
    struct image_tombstone deleted[SIM_GENS * SIM_PARTS];
};
struct dirs_msg {
    size_t n;
    struct core_failure parts[SIM_PARTS];
};
struct alter_msg {
    int64_t broker_epoch;
    struct core_proposal proposal;
    struct core_member members[SIM_BROKERS];
};
struct delta_msg {
    int refs;
    struct arena arena;
    struct image_delta delta;
};
struct delta_msg *delta_msg_new(const struct image_delta *delta);
void delta_msg_drop(void *ptr);
struct answers_msg {
    size_t n;
    struct core_alter_answer answers[SIM_PARTS * 4];
};

/* ---- bro.c ---- */

void bro_init(struct world *w, int i);
void bro_start(struct world *w, int i);
void bro_end(struct world *w, int i); /* the process is gone */
void bro_fini(struct world *w, int i);
void bro_stop(struct world *w, int i); /* controlled shutdown */
void bro_on_session(struct world *w, int i, bool is_new);
void bro_on_seat(struct world *w, int i);
void bro_on_stream_closed(struct world *w, struct conn *conn);
void bro_on_welcome(struct world *w, struct event *ev);
void bro_on_goodbye(struct world *w, struct event *ev);
void bro_on_image(struct world *w, struct event *ev);
void bro_on_delta(struct world *w, struct event *ev);
void bro_on_answers(struct world *w, struct event *ev);
void bro_on_relieved(struct world *w, struct event *ev);
/* Steps a partition's core and sees to the effects. */
struct part_effects bro_step(struct world *w, struct bro *b, int p, struct part_event *ev);
/* How long a sync takes; what it does. False when that log, or its directory, is gone. */
int64_t bro_sync_us(struct world *w);
bool bro_sync(struct bro *b, int p, int gen);
/* Is the replica there, and its directory too? */
static inline bool bro_serves(const struct bro *b, int p)
{
    return b->reps[p].open && !b->reps[p].offline;
}
/* What lies in that directory cannot be read or written until a later process finds it mended. */
void bro_lose_dir(struct world *w, int i, int dir);
/* An empty one stands in its place; dir -1: in the place of all. The broker is down. */
void bro_replace_dir(struct world *w, int i, int dir);
/* The acknowledgement of what it has applied; takes ack. */
void bro_acknowledge(struct world *w, struct bro *b, struct ack_msg *ack);

/* ---- roles.c ---- */

/* Takes the reference on image; delta NULL: all of it. Fills the acknowledgement. */
void roles_apply(struct world *w, struct bro *b, struct image *image,
                 const struct image_delta *delta, struct ack_msg *ack);
/* min.insync.replicas of every broker's own settings file. */
int32_t bro_min_isr(const struct world *w);
void roles_close(struct world *w, struct bro *b, int p);
/* Replicas that found no room are tried again. */
void roles_retry(struct world *w, struct bro *b);

/* ---- repl.c ---- */

void repl_follow(struct world *w, struct bro *b, int p, int leader, int32_t epoch);
void repl_unfollow(struct world *w, struct bro *b, int p);
void repl_sources(struct world *w, struct bro *b);
void repl_end(struct world *w, struct bro *b);
void repl_on_closed(struct world *w, struct conn *conn, int side);
/* Its log has grown or its role has changed: look at what waits. */
void repl_wake_fetches(struct world *w, struct bro *b);
void repl_wake_produces(struct world *w, struct bro *b, int p);
void repl_run_wake(struct world *w, struct event *ev);
/* A client's produce arrives at the broker: a values, b part, c acks. */
void repl_on_produce(struct world *w, struct event *ev);

/* ---- disk.c ---- */

void disk_init(struct disk_log *log);
/* Empty, of that topic; -1: gone. */
void disk_begin(struct disk_log *log, int gen, int dir);
void disk_fini(struct disk_log *log);
void disk_append(struct disk_log *log, struct oracle_rec rec);
void disk_cut(struct disk_log *log, int64_t offset);
void disk_assign(struct disk_log *log, int32_t epoch, int64_t offset);
void disk_save_epochs(struct disk_log *log);
void disk_flush(struct disk_log *log);
/* A new process opens it. */
void disk_load(struct disk_log *log, bool is_clean);
void disk_lose_tail(struct disk_log *log, int64_t keep);

/* ---- promise.c: the invariants on this world ---- */

struct oracle_log promise_log(const struct disk_log *log);
/* The high watermark of a replica is now at its core's hw. */
void promise_hw(struct world *w, struct bro *b, int p, int64_t from);
void promise_leads(struct world *w, struct bro *b, int p);
/* ZooKeeper holds another state; before: what it held. */
void promise_state(struct world *w, int p, const struct tree *before);
/* A multi was carried out. */
void promise_tree(struct world *w);
/* The files of b's partition are to be deleted. */
void promise_deletes(struct world *w, struct bro *b, int p);
/* b is told that it leads nothing any more that others could. */
void promise_relieved(struct world *w, const struct boss *boss, int node);
void promise_cut(struct world *w, struct bro *b, int p, int64_t to);
void promise_acked(struct world *w, struct bro *b, int p, int64_t offset, int64_t value);
/* May the machine of b lose its tail, or b a directory, without breaking the precondition of the
 * promise? */
bool promise_may_lose(struct world *w, struct bro *b);
/* It does. */
void promise_loses(struct world *w, struct bro *b);
/* The same of its page cache alone. */
bool promise_may_lose_tail(struct world *w, struct bro *b);
void promise_loses_tail(struct world *w, struct bro *b);
/* That log may lack records from now on, whether it does or not. */
void promise_loses_log(struct world *w, struct bro *b, int p);
/* Everything is replicated, agreed on and writable. */
bool promise_is_whole(struct world *w, const char **missing);
void promise_end(struct world *w);

/* ---- client.c ---- */

void client_start(struct world *w);
/* Node of the leader as some broker that answers says, -1: nobody. */
int client_leader(struct world *w, int p);
/* One record with acks=all to the leader of p. */
void client_produce(struct world *w, int p, int acks);

/* ---- mischief.c ---- */

enum mischief {
    MISCHIEF_KILL = 1,
    MISCHIEF_POWER = 2,
    MISCHIEF_PAUSE = 4,
    MISCHIEF_CUT = 8,
    MISCHIEF_RESET = 16,
    MISCHIEF_EXPIRE = 32,
    MISCHIEF_ZK_LOSS = 64,
    MISCHIEF_BOSS = 128,
    MISCHIEF_TAKE_OVER = 256,
    MISCHIEF_STOP = 512,
    MISCHIEF_MOVE = 1024,
    MISCHIEF_TOPIC = 2048,
    MISCHIEF_GROW = 4096,
    MISCHIEF_CONFIG = 8192,
    MISCHIEF_ROLL = 16384,
    MISCHIEF_CLOCK = 32768,
    MISCHIEF_FULL = 65536,
    MISCHIEF_DIR = 131072,
    MISCHIEF_ELECT = 262144,
    MISCHIEF_CROWD = 524288,
    MISCHIEF_REPLACE = 1048576,
    MISCHIEF_ALL = 2097151,
};

#define SIM_TRICKS 256

/* What goes wrong in one history, in order. */
struct script {
    int n;
    struct trick {
        int64_t at_ms; /* after the beginning of the bad times */
        enum mischief what;
        uint64_t seed; /* of whom it hits, and for how long */
    } tricks[SIM_TRICKS];
};

void mischief_script(const struct sim_conf *conf, uint64_t seed, struct script *out);
void mischief_start(struct world *w);
/* Everything that is down, stopped or cut is put right. */
void mischief_end(struct world *w);

/* ---- history.c ---- */

struct verdict {
    bool ok;
    char why[512];
    size_t steps, acked;
    size_t moved, deleted, unclean, commits, formed;
    size_t warm, cold;  /* seats won by who had followed all that was written, or had not */
    size_t warm_topics; /* of the warm ones: that believed the topic */
    int forfeited;      /* partitions whose promise lost its precondition */
    int64_t healed_ms;
    int64_t failed_ms; /* after the beginning of the bad times */
};

/* All that decides a history. */
struct history {
    uint64_t seed;
    struct sim_conf conf;
    struct script script;
};

/* By chance from the seed; the mutation, trace and ring are conf's. */
void history_make(uint64_t seed, const struct sim_conf *conf, struct history *out);
void history_tell(const struct history *history, struct verdict *out);
/* Both. */
void history_run(uint64_t seed, const struct sim_conf *conf, struct verdict *out);
void history_conf(struct sim_conf *conf, uint64_t seed);
/* The verdict; ends the world, and prints its last lines when a promise was broken. */
void history_end(struct world *w, struct verdict *out);
/* Faults are over: until everything is whole, within bounds. Fails the world if not. */
void history_heal(struct world *w, struct verdict *out);

/* ---- shrink.c ---- */

/* Leaves away what the failure does not need: tricks, time, brokers, controllers, partitions.
 * False when it does not fail at all. */
bool shrink(struct history *history, struct verdict *out);
/* A failing history made small and told: settings, what goes wrong, the last that happened. */
int shrink_and_tell(uint64_t seed, const struct sim_conf *conf);

/* ---- record.c ---- */

struct run {
    uint64_t first, last;
    size_t passed, failed;
    double took_s, cpu_s;
};

#define RECORD_FILE "tests/sim/runs.tsv"

/* False, with a word about it, when a run could not be recorded: not in the tree, or it has
 * changes. Asked before the run. */
bool record_may(void);
/* One more line. */
bool record_add(const struct run *run);

#endif
