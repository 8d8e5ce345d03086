/*
 * core_int - the insides of the core, shared by the files of this folder and nobody else.
 *
 * A step goes: the event changes what is known (brokers, requests that wait, marks) -> when no
 * WRITE is out, a plan is made of all that is to be done -> its operations go out as one WRITE, or
 * it is finished at once when it has none -> what became true is published as one delta -> answers
 * whose time has come.
 *
 * What is committed is in core->image; what the plan being made intends lies over it (view_part()),
 * so that decisions of one plan see each other.
 */
#ifndef CONTROLLER_CORE_CORE_INT_H
#define CONTROLLER_CORE_CORE_INT_H

#include <sys/queue.h>
#include <uthash.h>

#include "common/model/topic_conf.h"
#include "controller/core/core.h"

#define NEVER_MS INT64_MAX

/* ---- brokers ------------------------------------------------------------------------------------
 */

enum stream_phase {
    STREAM_NONE,
    STREAM_CHECK,      /* said hello; its registration is not known here yet */
    STREAM_LEAVE,      /* a new process: what the earlier one led and kept is being taken away */
    STREAM_WANT_IMAGE, /* may be sent the image */
    STREAM_IMAGE_SENT, /* has not acknowledged it yet */
    STREAM_LIVE,       /* has, once and for all */
};

struct broker {
    int32_t id;
    struct node *reg; /* as registered in ZooKeeper, or last registered */
    bool registered;
    bool certain;       /* when dead: refused or expired, not merely silent */
    bool stopping;      /* controlled shutdown */
    bool unclean;       /* hello: what was not flushed is gone */
    bool fresh;         /* hello: not confirmed by any controller */
    bool looked;        /* hello: the registrations have been read again for it */
    bool leave_planned; /* in the plan that is being made or out */
    bool image_wanted;  /* on the stream already, but needs the whole image again */
    enum node_state state;
    enum stream_phase phase;
    uint64_t stream; /* of phases beyond NONE */
    int64_t epoch;   /* confirmed by hello or heartbeat; -1 */
    struct uuid incarnation;
    int32_t min_isr; /* its own min.insync.replicas, by its last hello that was admitted; 0: */
                     /* not said */
    int64_t hello_epoch;
    int32_t hello_min_isr;
    struct uuid hello_incarnation;
    uint64_t image_version; /* that it must acknowledge to be live */
    uint64_t acked_version;
    uint64_t
        gone_version;     /* who acknowledges this has lived after we knew that this one is to go */
    bool held;            /* it is dead, but some partition waits for such a word */
    bool waits_word;      /* some partition does: it stays in the ISR until one has come */
    int64_t gone_ms;      /* that moment; NEVER_MS */
    int64_t heard_ms;     /* last beat */
    int64_t vanished_ms;  /* registration gone while its stream is well; NEVER_MS */
    int64_t fence_ms;     /* when an unknown one becomes dead, or a new process is given up */
    int64_t probe_ms;     /* when to probe next; NEVER_MS */
    uint64_t probe;       /* the last one, while it is out; 0: none is */
    int64_t lost_ms;      /* when its answer is not waited for any more */
    uint64_t first_probe; /* of those whose answers count */
};

/* ---- plans
 * --------------------------------------------------------------------------------------- */

struct plan_part {
    struct plan_part *next_in_bucket;
    struct uuid topic_id;
    struct str topic;
    struct image_part part; /* as it will be */
    size_t op;              /* SIZE_MAX: nothing of its state is stored */
    bool moves;             /* its assignment is another: stored with */
    struct plan_item *item; /* this; else NULL */
    bool sets_eligible;
    struct core_eligible eligible; /* as it will be */
};

enum plan_kind {
    PLAN_TOPIC,      /* create */
    PLAN_GROW,       /* more partitions */
    PLAN_MARK_FIRST, /* mark for deletion, of a topic with too many tombstones for one group */
    PLAN_DOOM,       /* the same with tombstones, or these alone */
    PLAN_DELETE,     /* the znodes */
    PLAN_TOMBSTONES, /* of one broker and topic: fewer or none */
    PLAN_CONFIG,     /* settings of one entity */
    PLAN_PID_BLOCK,
    PLAN_MARK,     /* a mark that means nothing goes away */
    PLAN_MOVE,     /* partitions of one topic get other replicas */
    PLAN_WISHES,   /* old tools' wishes are rewritten, or go */
    PLAN_ELIGIBLE, /* who may lead a partition beside its ISR, without its state */
};

struct job;

struct plan_item {
    enum plan_kind kind;
    size_t first_op, n_ops;
    enum err err; /* once done */
    struct uuid topic_id;
    struct str topic;
    struct image_topic_change change; /* TOPIC, GROW; partition epochs come with the results */
    size_t first_state_op;            /* TOPIC, GROW: SIZE_MAX when states come later */
    struct image_config config;       /* CONFIG, TOPIC */
    struct plan_item *next_config;    /* CONFIG: in its bucket */
    size_t first_stone, n_stones;     /* of plan->stones: DOOM, MOVE, TOMBSTONES */
    bool is_ours;                     /* CONFIG: stored by us, in this plan or before */
    bool gives_way;                   /* ELIGIBLE: it goes for settings that are to be published */
    struct job *job;                  /* for whom, NULL: for nobody */
    size_t job_item;
};

struct plan_answer { /* to an AlterPartition, sent when the plan is done */
    uint64_t stream;
    size_t n;
    struct core_alter_answer *answers;
    const struct plan_part **parts; /* beside each answer: whose success it needs; NULL: decided */
};

struct plan_stone {
    struct image_tombstone stone;
    bool gone; /* it goes, else it comes */
};

struct plan {
    struct arena arena; /* all that ops, parts and items point to */
    uint64_t batch;
    struct core_op *ops;
    size_t n_ops, cap_ops;
    uint32_t n_groups;
    struct plan_part **parts;
    size_t n_parts, cap_parts;
    struct plan_part **buckets; /* by topic id and partition */
    size_t n_buckets;
    struct plan_item **items;
    size_t n_items, cap_items;
    struct plan_item **configs; /* buckets of those of settings by entity; NULL: there are none */
    struct plan_answer *answers;
    size_t n_answers, cap_answers;
    struct plan_stone *stones; /* later ones over earlier ones */
    size_t n_stones, cap_stones;
    bool all;                         /* it has all that the reconciliation found */
    struct stone_topic *stone_topics; /* those that stones are of, by id */
    struct name *names;               /* of topics, by what they have in common with others */
    size_t n_names_asked;
    bool has_all_names; /* also those of the image */
    bool has_deleted;   /* a topic's znodes are gone */
    bool has_elections; /* items of jobs hang on its parts */
    bool has_settings;  /* and no states: they take turns */
    bool has_withheld;  /* among them some that we have stored before */
};

/* ---- what waits
 * ---------------------------------------------------------------------------------- */

struct wait_alter {
    STAILQ_ENTRY(wait_alter) link;
    struct arena arena;
    uint64_t stream;
    int64_t broker_epoch;
    size_t n;
    struct core_proposal *proposals;
};

struct refused_proposal { /* the last one of a partition on that stream */
    uint64_t stream, proposal_id;
    struct uuid topic_id;
    int32_t partition, leader_epoch, partition_epoch;
};

struct wait_shutdown {
    STAILQ_ENTRY(wait_shutdown) link;
    uint64_t stream, number;
    int32_t broker;
    bool planned; /* the last look at all partitions left nothing of it for later */
    bool moved;   /* and what that planned is done */
};

struct wait_pid {
    STAILQ_ENTRY(wait_pid) link;
    uint64_t stream, number;
    int32_t broker;
    bool in_plan;
    int64_t first;
};

STAILQ_HEAD(wait_alters, wait_alter);
STAILQ_HEAD(wait_shutdowns, wait_shutdown);
STAILQ_HEAD(wait_pids, wait_pid);

enum job_phase {
    JOB_NEW,      /* not looked at yet */
    JOB_WRITING,  /* parts of it are in a plan, or in the next one */
    JOB_SETTLING, /* waits for the brokers */
};

struct job_item {
    enum err err;
    const char *why; /* in the job's arena; NULL */
    struct uuid topic_id;
    struct str topic;             /* in the job's arena */
    bool open;                    /* in a plan, or waiting for one */
    bool waits_for_deletion;      /* until the znodes of topic are gone */
    int32_t n_partitions;         /* CreateTopics: what came of -1; ElectLeaders: the partition */
    const struct plan_part *part; /* ElectLeaders: what it hangs on, while that plan is there */
    int16_t replication_factor;
};

/* A client's request on its way. */
struct job {
    TAILQ_ENTRY(job) link;
    uint64_t id, stream;
    int16_t api_key, api_version;
    const void *request;
    enum job_phase phase;
    struct arena arena;
    int64_t came_ms;
    int64_t timeout_ms;    /* the client's */
    int64_t deadline_ms;   /* when it is answered whatever the brokers say */
    bool changed;          /* something was stored */
    bool again;            /* cannot be planned in this round */
    uint64_t word;         /* a version that somebody must acknowledge before it is; 0: none */
    bool answered;         /* too late for its request: only kept until its items are done */
    uint64_t wait_version; /* SETTLING: what every live broker must have applied; 0: not set yet */
    size_t n_open;         /* items that are not done */
    size_t n;
    struct job_item *items;
};

TAILQ_HEAD(jobs, job);

struct topic_extra { /* what only the controller knows of a topic, as long as there is something */
    struct uuid id;
    int32_t n_sets;  /* how often the plan in the making, or out, sets its znode */
    bool wants_set;  /* the znode has no id, or cannot be read: what is known is to be written */
    bool differs;    /* the znode does not say what the image does: then the image must not have */
    int32_t version; /* its version, for a standby would take the one for the other; it is here. Of
                        one that cannot be read the image keeps the last that could: so does he */
};

struct doomed { /* a topic on its way out */
    TAILQ_ENTRY(doomed) link;
    UT_hash_handle hh; /* by name */
    struct uuid id;
    char *topic;
    int32_t n_parts;
    bool marked; /* the mark is in ZooKeeper; */
    bool stored; /* and the tombstones: the znodes may go */
    bool named;  /* the last list of all topics' names had it */
    bool in_plan;
    unsigned n_failures; /* of what comes next, in turn */
    int64_t after_ms;    /* it is not tried before */
};

TAILQ_HEAD(doomeds, doomed);

struct moving { /* a partition whose assignment says that it moves */
    struct uuid topic_id;
    int32_t partition;
    uint64_t word; /* as for a wanted move */
};

struct wanted_move { /* of /admin/reassign_partitions */
    char *topic;
    int32_t partition;
    int32_t *target;
    uint32_t n;
    uint64_t word; /* who stays has to acknowledge that version first; 0: not asked */
};

struct wishes { /* of old tools, in znodes */
    struct wanted_move *moves;
    size_t n_moves, cap_moves;
    bool moves_there;     /* the znode of moves */
    bool moves_changed;   /* it has fewer of them than it says */
    bool elections_there; /* the other znode */
    struct wanted_move *elections;
    size_t n_elections, cap_elections;
    bool in_plan;
    unsigned n_failures; /* of writing what is left of the moves, in turn */
    int64_t after_ms;    /* it is not tried before */
};

struct read_config { /* stored, by another hand or by us, and not published yet */
    STAILQ_ENTRY(read_config) link;
    struct arena arena;
    bool is_old; /* a write of ours replaces it: it is to be read again after that */
    bool
        is_ours; /* stored by us: all that has been read since, and all that we write, is younger */
    uint64_t word;   /* who leads has to acknowledge that version first; 0: not asked */
    struct job *job; /* for whom, NULL: for nobody */
    size_t job_item;
    struct image_config config;
};

STAILQ_HEAD(read_configs, read_config);

struct acked_tombstone {
    STAILQ_ENTRY(acked_tombstone) link;
    struct image_tombstone tombstone; /* topic is null */
};

STAILQ_HEAD(acked_tombstones, acked_tombstone);

/* What became true in this step and is not published yet. Memory: the effects' arena. */
struct pend_part {
    struct uuid topic_id;
    struct str topic;
    const struct image_part *part; /* NULL: the version of the topic's znode */
    int32_t version;               /* -1: not to be told */
    size_t number;                 /* in the order in which they came */
};

struct pend {
    struct pend_part *parts;
    size_t n_parts, cap_parts;
    struct uuid *topics_gone;
    size_t n_topics_gone, cap_topics_gone;
    struct image_config *configs;
    size_t n_configs, cap_configs;
    struct image_tombstone *tombstones;
    size_t n_tombstones, cap_tombstones;
    struct image_tombstone *tombstones_gone;
    size_t n_tombstones_gone, cap_tombstones_gone;
};

/* ---- the core
 * -------------------------------------------------------------------------------------- */

struct core {
    struct core_settings settings;
    struct arena settings_arena;
    uint64_t chance;

    bool active;
    bool resigning; /* RESIGN is out */
    bool reloading; /* RELOAD_ALL is out: nothing is decided until LOADED */
    int32_t controller_epoch;
    int64_t now_ms;
    int64_t loaded_ms;
    int64_t wake_ms; /* last WAKE_AT */
    uint64_t n_batches, n_probes;

    struct image *image;
    uint64_t version;
    struct broker **brokers; /* by id */
    size_t n_brokers, cap_brokers;
    bool scan;             /* partitions are to be held against the brokers */
    bool waits_word;       /* some are held back until a broker has shown that it lives */
    size_t n_waiting;      /* partitions that the last look left for such a word */
    uint64_t word_version; /* that all words would be of */
    int64_t word_ms;       /* when it is looked again with the words that are there; NEVER_MS */
    bool leaders_went;     /* the last plan of a look had new leaders only */
    bool states_first;     /* the last plan had settings: they wait for the next but one */
    bool word_wanted;      /* a version is to be published for that, even an empty one */
    bool brokers_asked;    /* RELOAD_BROKERS is out */
    bool any_hello;        /* since LOADED */
    int64_t balance_ms;    /* when leadership is balanced next */

    struct topic_extra *extras; /* by id; few */
    size_t n_extras, cap_extras;
    struct core_pid_block pid_block;
    bool pid_block_asked;
    unsigned pid_failures; /* of storing one, in turn */
    int64_t pid_after_ms;  /* it is not tried before */

    struct plan *making;  /* being filled in this step */
    struct plan *writing; /* out */
    struct pend pend;
    struct wait_alters alters;
    struct refused_proposal *refused;
    size_t n_refused, cap_refused;
    struct wait_shutdowns shutdowns;
    struct wait_pids pids;
    struct jobs jobs;
    struct doomeds doomeds;
    struct doomed *doomed_names;
    struct acked_tombstones acked_tombstones;
    struct moving *moving; /* those of the image, and some that have arrived */
    size_t n_moving, cap_moving;
    bool moves_due;         /* one of them may have arrived */
    bool ids_due;           /* a topic wants its znode written */
    size_t n_missing;       /* topics that the last list of names did not have */
    size_t n_removed;       /* topics that other hands have taken away of late */
    int64_t removed_ms;     /* when the last of them was */
    struct repair *repairs; /* a hash by topic id and partition */
    int64_t repair_ms;      /* when the first of what waits is tried again; NEVER_MS */
    struct unread *unreads; /* a hash by name */
    int64_t unread_ms;      /* when they are read again; NEVER_MS */
    struct wishes wishes;
    struct elr *elrs;     /* a hash by topic id and partition */
    bool elrs_due;        /* some may have to go before their leaders are sent an image */
    int64_t elr_after_ms; /* one could not be written: settings wait until then; 0 */
    struct yield *yields; /* a hash by topic id, partition and broker */
    bool yields_due;      /* some of them are to be decided on */
    struct read_configs read_configs;
    struct core_effects *out; /* of this step */
};

/* core.c */
struct core_effect *emit(struct core *core, enum core_effect_kind kind);
void core_say(struct core *core, enum core_say_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void core_reload(struct core *core, struct core_reload reload);
uint64_t core_chance(struct core *core);
/* Frees the plan with the effects of this step: they may point into it. */
void core_retire_plan(struct core *core, struct plan **plan);
void core_hold_image(struct core *core, struct image **image);
/* A plan that has all that the reconciliation found is done. */
void shutdowns_moved(struct core *core);

/* view.c: what is known of topics and partitions */
void view_load(struct core *core, const struct core_loaded *loaded);
void view_on_topic_names(struct core *core, const struct core_names *names);
void view_on_topic_read(struct core *core, const struct core_topic_read *read);
void view_on_state_read(struct core *core, const struct core_state_read *read);
const struct image_part *view_part(const struct core *core, struct uuid topic_id, int32_t index);
/* Publishes the version of the topic's znode, which says the assignments that are known when all
 * that is pending is published. */
void view_pend_version(struct core *core, struct uuid id, struct str topic, int32_t version);
/* As the topic's znode was read: whether what is known is to be written, for it has no id (whoever
 * knows of one must not meet another: KAFKA-14190) or says nothing at all, and whether it says
 * anything else that the image does not. */
void view_extra_read(struct core *core, struct uuid id, int32_t version, bool wants_set,
                     bool differs);
void view_drop_extra(struct core *core, struct uuid id);
/* How often the plan in the making, or out, sets the topic's znode. */
int32_t view_n_sets(const struct core *core, struct uuid id);
void view_count_set(struct core *core, struct uuid id);
/* The plan that sets the topic's znode is done. version: that it has now, -1 when that failed. */
void view_sets_done(struct core *core, struct uuid id, struct str topic, int32_t version);
void view_topic_conf(const struct core *core, struct str topic, struct topic_conf *conf);
/* What a topic inherits that says nothing itself. */
void view_topic_defaults(const struct core *core, struct topic_conf *conf);
/* Publishes the part (copied into the effects' arena) as it is, with nothing to store. */
void view_pend_part(struct core *core, struct uuid topic_id, struct str topic,
                    const struct image_part *part);
/* As it will be published: what is pending, of the first n, before what the image has. */
const struct image_part *view_newest_part(const struct core *core, size_t n, struct uuid topic_id,
                                          int32_t index);
void view_pend_topic_gone(struct core *core, struct uuid id);
void view_pend_config(struct core *core, const struct image_config *config);
void view_pend_tombstone(struct core *core, const struct image_tombstone *tombstone, bool gone);
bool view_is_pending(const struct core *core);
/* Nothing is pending any more. */
void view_clear(struct core *core);
/* One delta of all that is pending and of the brokers that changed, applied and sent. */
void view_publish(struct core *core);

/* brokers.c: who is there */
struct broker *broker_get(const struct core *core, int32_t id); /* NULL */
struct broker *broker_of_stream(const struct core *core, uint64_t stream);
bool broker_is_live(const struct core *core, int32_t id); /* may be elected, added */
void brokers_load(struct core *core, size_t n, const struct node *nodes, bool again);
void brokers_reset(struct core *core);
void brokers_on_nodes(struct core *core, size_t n, const struct node *nodes);
void brokers_on_hello(struct core *core, const struct core_hello *hello);
void brokers_on_stream_ended(struct core *core, uint64_t stream);
void brokers_on_heartbeat(struct core *core, const struct core_heartbeat *beat);
void brokers_on_acked(struct core *core, const struct core_acked *acked);
void brokers_on_probed(struct core *core, const struct core_probed *probed);
void brokers_on_shutdown_wanted(struct core *core, const struct core_shutdown_wanted *wanted);
/* Deadlines that have passed. */
void brokers_on_time(struct core *core);
int64_t brokers_next_ms(const struct core *core);
/* The plan with the leaves is done. */
void brokers_left(struct core *core);
/* What the plan was to take from those of these who leave was not stored: they are not told yet
 * what they are. */
void brokers_hold_back(struct core *core, struct ids ids);
void brokers_send_images(struct core *core);
/* As the image is to show it. */
struct node broker_node(const struct broker *b);
/* Everybody who is registered has shown itself, or had the time to. */
bool brokers_settled(const struct core *core);
bool brokers_all_acked(const struct core *core, uint64_t version);
bool brokers_any_acked(const struct core *core, uint64_t version);
/* May the partition go on without those that next leaves out of its ISR? Not before somebody who
 * stays has shown that it lived after we knew of their end: what was last heard of it may be older
 * than its own. Marks who is waited for. */
bool brokers_have_word(struct core *core, const struct image_part *part,
                       const struct leader_isr *next);
/* It leaves ISRs from now on: the next version asks those who stay for that sign. */
void broker_leaves(struct core *core, struct broker *b);
int32_t broker_still_led(const struct core *core, int32_t id);

/* plan.c */
struct plan *plan_new(struct core *core);
void plan_free(struct plan **plan);
struct plan_part *plan_find(const struct plan *plan, struct uuid topic_id, int32_t index);
struct core_op *plan_op(struct plan *plan, enum core_op_kind kind, struct str topic,
                        bool new_group);
struct plan_item *plan_item(struct plan *plan, enum plan_kind kind);
struct ids plan_ids(struct plan *plan, struct ids ids);
struct str plan_str(struct plan *plan, struct str text);
/* Stores next as the partition's state: sets it, or creates it when the part has none. */
struct plan_part *plan_state(struct core *core, const struct image_topic *topic,
                             const struct image_part *part, const struct leader_isr *next);
/* The part with another assignment, stored with item; next NULL: its state stays. In the group that
 * is open. */
struct plan_part *plan_move(struct core *core, struct plan_item *item,
                            const struct image_topic *topic, const struct image_part *part,
                            const struct leader_isr *next);
/* The version that the topic's znode has when the next operation of this plan sets it. */
int32_t plan_topic_version(struct core *core, struct uuid topic_id);
bool plan_sets_topic(struct core *core, struct uuid topic_id);
/* Results NULL: the plan had no operations. Ends core->writing or core->making. */
void plan_finish(struct core *core, struct plan **plan, const struct core_op_result *results);

/* part_fsm.c */
/* False: the plan has the most urgent only, and core->scan is set for the rest. */
bool parts_scan(struct core *core);
/* What elections under the topic's rules make of the part; false: nothing to do. isr in arena. */
bool part_decide(struct core *core, const struct image_topic *topic, const struct image_part *part,
                 struct arena *arena, struct leader_isr *next);
/* What leadership of the first replica would make of it; false: not possible or not needed. */
bool part_prefer(const struct core *core, const struct image_part *part, struct arena *arena,
                 struct leader_isr *next);
/* What is known of the part's replicas, for choose; in arena. */
const uint8_t *part_replicas_are(const struct core *core, const struct image_part *part,
                                 struct arena *arena);
/* Any replica that lives, when nobody in sync can lead. */
bool part_decide_uncleanly(const struct core *core, const struct image_topic *topic,
                           const struct image_part *part, struct arena *arena,
                           struct leader_isr *next);
void parts_on_failures(struct core *core, struct broker *b, size_t n,
                       const struct core_failure *failures, bool dir_failed);
void parts_forget_dirs(struct core *core, struct broker *b);

/* isr.c */
void isr_on_alter(struct core *core, const struct core_alter_partition *alter);
void isr_plan(struct core *core);
void isr_answer(struct core *core, struct plan *plan, const struct core_op_result *results);
void isr_drop_stream(struct core *core, uint64_t stream);

/* topics.c */
void topics_on_marks(struct core *core, size_t n, const struct str *names);
/* Of those on their way out, which have names that are still there, or are there again? */
void topics_on_names(struct core *core, const struct core_names *names);
void topics_doom(struct core *core, const struct image_topic *topic);
bool topics_is_doomed(const struct core *core, struct str name);
/* It is on its way out, not only marked. */
bool topics_goes(const struct core *core, struct str name);
/* And its tombstones are stored: it is gone for everybody, whatever is left of its znodes. */
bool topics_is_buried(const struct core *core, struct str name);
void topics_plan(struct core *core);
/* When a deletion that failed is tried again. */
int64_t topics_next_ms(const struct core *core);
/* Topics that have no id in ZooKeeper get the one that they go by; what is known of one whose znode
 * cannot be read is written over it. */
void topics_plan_ids(struct core *core);
void topics_done(struct core *core, struct plan *plan, struct plan_item *item,
                 const struct core_op_result *results);
/* Plans the creation; parts have replicas only. */
struct plan_item *topics_plan_create(struct core *core, struct str name, struct uuid id,
                                     size_t n_parts, const struct ids *replicas,
                                     const struct image_config *config);
struct plan_item *topics_plan_grow(struct core *core, const struct image_topic *topic, size_t n_new,
                                   const struct ids *replicas);
struct core_op_part *topics_assignment(struct plan *plan, const struct image_topic *old,
                                       size_t n_new, const struct image_part *new_parts, size_t *n);
bool topics_name_ok(struct str name, const char **why);
void topics_forget(struct core *core);

/* names.c */
/* The name, borrowed, of a topic that there is or that the plan creates, which is the same or
 * differs only in '.' and '_', so that metrics could not tell them apart; null. The same is found
 * only among those of the plan, and where it has one of these characters. */
struct str names_like(struct core *core, struct str name);
void names_add(struct plan *plan, struct str name);
void names_free(struct plan *plan);

/* tombstones.c: an item of one topic, between open and close; closing adds the operations to the
 * group that is open. */
void stones_open(struct plan *plan, struct plan_item *item);
void stones_bury(struct core *core, struct plan_item *item, int32_t broker, int32_t partition,
                 int32_t leader_epoch);
/* The replica is wanted again: a tombstone that waits for it goes. */
void stones_lift(struct core *core, struct plan_item *item, int32_t broker, int32_t partition);
void stones_close(struct core *core, struct plan_item *item);
/* The same with a group for each broker, which succeed or fail one by one. */
void stones_close_apart(struct core *core, struct plan_item *item);
void stones_stored(struct core *core, const struct plan *plan, const struct plan_item *item);
void stones_on_deleted(struct core *core, struct broker *b, size_t n,
                       const struct image_tombstone *deleted);
void stones_plan_acked(struct core *core);
void stones_free(struct plan *plan);
/* All has been loaded. The deletion of a topic that is not to go after all may have left some. */
void stones_loaded(struct core *core);

/* reassign.c: partitions on their way to other replicas */
struct move {
    const struct image_topic *topic;
    const struct image_part *part; /* as known */
    struct ids replicas, adding, removing;
    struct ids dropped; /* replicas that it loses */
    bool stores;        /* next is to be stored */
    struct leader_isr next;
    const struct plan_part *planned;
    size_t tag; /* the caller's */
};

/* What it takes to move the part to these replicas; they end in arena. */
enum err reassign_aim(const struct core *core, const struct image_topic *topic,
                      const struct image_part *part, struct ids target, struct arena *arena,
                      struct move *out);
/* Does somebody who stays in sync live? Asked when the move takes members out of the ISR, and with
 * them copies that may be the last ones: then a version is published, its number kept in *word, and
 * one of those who stay must have acknowledged it. */
bool reassign_has_word(struct core *core, const struct move *move, uint64_t *word);
/* What it was before it began to move. */
struct ids reassign_origin(const struct image_part *part, struct arena *arena);
/* Where it is bound for, or where it is. */
struct ids reassign_target(const struct image_part *part, struct arena *arena);
/* By topic and partition. */
void reassign_sort(struct move *moves, size_t n);
/* Plans the moves, sorts them, and fills in what they hang on. No partition twice. */
void reassign_plan_all(struct core *core, struct move *moves, size_t n);
void reassign_note(struct core *core, struct uuid topic_id, const struct image_part *part);
void reassign_plan(struct core *core);
void reassign_done(struct core *core, struct plan *plan, struct plan_item *item,
                   const struct core_op_result *results);
void reassign_forget(struct core *core);

/* elr.c: who may lead beside the ISR */
struct ids elr_of(const struct core *core, struct uuid topic_id, const struct image_part *part);
/* What becomes of it when part becomes to, in the group that stores this. */
void elr_plan(struct core *core, struct plan_part *to, const struct image_part *part);
void elr_stored(struct core *core, const struct plan_part *part, int32_t version);
/* Those who come back without their tail leave; what is void goes. */
void elr_scan(struct core *core);
void elr_done(struct core *core, struct plan *plan, const struct plan_item *item);
void elr_load(struct core *core, const struct core_loaded *loaded);
/* A leader is back, and is to be told all that was published meanwhile: entries that this makes
 * wrong go first. */
void elr_on_hello(struct core *core);
/* Some entry is to go before leaders that want an image are sent it. */
bool elr_bars_images(const struct core *core);
/* A leader would hear of these settings, and would go by less than an entry says. */
bool elr_stands_against(const struct core *core, const struct image_config *config);
/* Such entries go with the plan in the making, before whatever is added to it after this. False:
 * not yet. One of the ISR has to show first that it lives, by a version that is younger than the
 * wish; *word is kept between. Of the entity's settings only min.insync.replicas counts. */
bool elr_gives_way(struct core *core, const struct image_config *config, uint64_t *word);
/* In the group that is open, or each in one of its own. */
void elr_plan_topic_gone(struct core *core, const struct image_topic *topic, bool apart);
/* After these: what was stored of the item, in whole or in part. */
void elr_ops_stored(struct core *core, const struct plan *plan, const struct plan_item *item,
                    const struct core_op_result *results);
/* Entries that could not be written are tried again. */
void elr_on_time(struct core *core);
int64_t elr_next_ms(const struct core *core);
void elr_forget(struct core *core);

/* repair.c: states that cannot be stored, or that other hands have set back */
/* What was to be stored was not, and is read again; after some failures in turn it is left alone
 * for a while. */
void repair_failed(struct core *core, struct uuid topic_id, int32_t partition);
void repair_stored(struct core *core, struct uuid topic_id, int32_t partition);
bool repair_waits(const struct core *core, struct uuid topic_id, int32_t partition);
/* The same for the topic's own znode. */
void repair_topic_failed(struct core *core, struct uuid topic_id);
void repair_topic_stored(struct core *core, struct uuid topic_id);
void repair_topic_read(struct core *core, struct uuid topic_id);
bool repair_topic_waits(const struct core *core, struct uuid topic_id);
/* A broker has met a state with these epochs; doubted: with another leader than ours has. */
void repair_seen(struct core *core, struct uuid topic_id, int32_t partition, int32_t leader_epoch,
                 int32_t partition_epoch, bool doubted);
/* A state was read. True: nobody may go by it, the next look at all partitions writes one over it.
 */
bool repair_read(struct core *core, struct uuid topic_id, const struct image_part *known,
                 const struct leader_isr *read);
/* There is a state that cannot be read, with that version; -1: not even that is known. True: nobody
 * goes by it, what is known is written over it. False: no state is known that could be, so the
 * partition is blind: nothing is decided of it until somebody has written a state that can be read,
 * for which it looks now and then. */
bool repair_unreadable(struct core *core, struct uuid topic_id, const struct image_part *known,
                       int32_t version);
bool repair_is_blind(const struct core *core, struct uuid topic_id, int32_t partition);
/* There is no state, and the topic is read; there is none although there is the topic. */
void repair_asked(struct core *core, struct uuid topic_id, int32_t partition);
bool repair_is_asked(const struct core *core, struct uuid topic_id, int32_t partition);
void repair_gone(struct core *core, struct uuid topic_id, int32_t partition);
/* True: the part's state is to be written over. *out is what to go by, with lists in arena, and
 * what is written is of a later leader epoch; partition epoch -1: there is no znode. */
bool repair_base(struct core *core, struct uuid topic_id, const struct image_part *known,
                 struct arena *arena, struct image_part *out);
void repair_on_time(struct core *core);
/* Everything is read once more: what was noted of others is over, but who is blind stays it. */
void repair_load(struct core *core);
void repair_forget(struct core *core);
/* How long what has failed so many times in turn is left alone. */
int64_t back_off_ms(unsigned n_failures);

/* unread.c: topics whose znode cannot be read. One that is known goes on, and is written over that,
 * which has this version; -1: it must not be read, and is left as it is. */
void unread_known(struct core *core, const struct image_topic *known, int32_t version);
/* The same when everything is read once more, into image; or unread_note(). */
void unread_load(struct core *core, struct image *image, const struct image *old,
                 const struct core_read_topic *read);
/* One that is not. */
void unread_note(struct core *core, struct str name);
/* It is there no more, or can be read. */
void unread_drop(struct core *core, struct str name);
bool unread_has(const struct core *core, struct str name);
void unread_on_time(struct core *core);
void unread_forget(struct core *core);

/* yields.c: leaders that would rather not lead */
void yields_note(struct core *core, int32_t broker, struct uuid topic_id, int32_t partition);
/* Has it said so a while ago? */
bool yields_has(const struct core *core, struct uuid topic_id, int32_t partition, int32_t broker);
void yields_plan(struct core *core);
void yields_forget(struct core *core);

/* wishes.c: what old tools write into znodes */
void wishes_on_moves(struct core *core, const struct core_wishes *wishes);
void wishes_on_elections(struct core *core, const struct core_wishes *wishes);
void wishes_on_isr_changed(struct core *core, const struct core_named_parts *parts);
void wishes_on_dir_event(struct core *core, const struct core_dir_event *event);
/* A client's request for the same partition is newer. */
void wishes_drop_move(struct core *core, struct str topic, int32_t partition);
void wishes_plan(struct core *core);
void wishes_done(struct core *core, const struct plan *plan, const struct plan_item *item);
/* When what could not be written is tried again. */
int64_t wishes_next_ms(const struct core *core);
void wishes_forget(struct core *core);

/* pid_blocks.c */
void pids_on_wanted(struct core *core, const struct core_pid_block_wanted *wanted);
void pids_on_read(struct core *core, const struct core_pid_block *read);
/* Ids up to this one have been given out, whatever was read. */
void pids_keep(struct core *core, int64_t last);
void pids_plan(struct core *core);
/* When a block that could not be stored is tried again. */
int64_t pids_next_ms(const struct core *core);
void pids_done(struct core *core, struct plan_item *item, const struct core_op_result *results);
void pids_drop(struct core *core, uint64_t stream, bool all);

/* balance.c */
void balance_plan(struct core *core);

/* settings.c */
void settings_forget(struct core *core);
void settings_plan_read(struct core *core);
void settings_on_read(struct core *core, const struct core_config_read *read);
/* core->writing is going out; everything has been loaded: what waits may be older. */
void settings_written(struct core *core);
void settings_loaded(struct core *core);
/* The item's are stored: they are published, or wait until that may be. */
void settings_stored(struct core *core, struct plan_item *item);
/* Settings that we have stored are not published yet. */
bool settings_are_withheld(const struct core *core);
/* What waits of an entity may be older than what has just been read in another way. */
void settings_outdated(struct core *core, struct str type, struct str name);
/* An entity's as the plan in the making leaves them, or as they are about to be published; NULL:
 * none. */
const struct image_config *settings_planned(const struct core *core, struct str type,
                                            struct str name);
/* As they are stored, published or still waiting: elections go by these. */
const struct image_config *settings_stored_of(const struct core *core, struct str type,
                                              struct str name);
/* The same as the plan in the making leaves them: whoever changes them changes these. */
const struct image_config *settings_newest(const struct core *core, struct str type,
                                           struct str name);
struct plan_item *settings_plan(struct core *core, struct str type, struct str name, size_t n,
                                const struct image_setting *settings, bool notify);

/* jobs.c: clients' requests from their coming to their answer */
void jobs_on_admin(struct core *core, const struct core_admin *admin);
void jobs_plan(struct core *core);
void jobs_settle(struct core *core);
int64_t jobs_next_ms(const struct core *core);
void jobs_drop_all(struct core *core);
/* The znodes of some topics are gone: who deleted them is answered. */
void jobs_on_deleted(struct core *core);
/* The plan's parts are stored, or not: who asked for their election is answered. */
void jobs_on_elected(struct core *core, const struct plan *plan,
                     const struct core_op_result *results);
void job_item_done(struct core *core, struct job *job, size_t item, enum err err, const char *why);
/* Longer texts to clients are cut. */
#define JOB_WHY_BYTES 512

/* For the requests of admin/: room for n items, all ERR_OK. */
void job_setup(struct job *job, size_t n, int64_t timeout_ms);
/* The item goes with a plan: plan may be NULL when it waits for one that is there already. */
void job_open_item(struct job *job, size_t item, struct plan_item *plan);
void job_fail_item(struct job *job, size_t item, enum err err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What the client is told of the item: null without an error, the error's sentence without another.
 */
struct str job_item_why(const struct job *job, size_t item, struct arena *arena);

#endif
