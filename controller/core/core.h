/*
 * core - all that the active controller decides: an event and the time in, effects out.
 *
 *   events   what ZooKeeper holds, what streams bring, what probes find, that time passes
 *   effects  writes to ZooKeeper, image and deltas to streams, answers, probes, words for the
 * operator
 *
 * ZooKeeper first, then memory, then deltas, then answers: nothing is sent that is not stored under
 * our epoch. At most one WRITE is out at a time; what comes in meanwhile waits inside and is
 * decided together, so that many proposals, or all that a dead broker led, share a few multis.
 *
 * Units:      times in milliseconds of the caller's clock, which must not go back. A partition
 * epoch is the version of its state in ZooKeeper; a controller epoch is the value of
 * /controller_epoch. Ownership:  an event borrows all that it points to, but for ADMIN: its request
 * lives until ANSWER_ADMIN with its id came out (or RESIGNED went in). Effects lend what they point
 * to until core_effects_reset(); images are lent as well: image_ref() what is kept. Threads:    one
 * at a time. No clocks, threads, files, sockets or chance in here: the seed given at the start
 *             decides all that Kafka leaves to chance.
 * Errors:     none of its own: every event is good in every state. Before LOADED and after RESIGNED
 * it refuses streams and requests (NOT_CONTROLLER) and remembers nothing.
 */
#ifndef CONTROLLER_CORE_CORE_H
#define CONTROLLER_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/conf.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/base/uuid.h"
#include "common/model/ids.h"
#include "common/model/image.h"
#include "common/model/leader_isr.h"
#include "common/model/node.h"

/* ---- settings
 * ------------------------------------------------------------------------------------ */

struct core_settings {
    int32_t controller_id;
    int32_t default_replication_factor; /* default.replication.factor */
    int32_t num_partitions;             /* num.partitions */
    bool delete_topic_enable;           /* delete.topic.enable */
    bool auto_leader_rebalance_enable;  /* auto.leader.rebalance.enable */
    int32_t leader_imbalance_per_broker_percentage;
    int64_t leader_imbalance_check_interval_ms; /* the setting is in seconds */
    int64_t heartbeat_timeout_ms; /* beats missed this long: asked after; half again: fenced */
    int64_t session_timeout_ms;   /* of the brokers' ZooKeeper sessions */
    int64_t grace_ms;             /* after LOADED, registered brokers may be late */
    size_t together_max; /* tombstones, or entries of eligible leaders, in one group of operations:
                            what ZooKeeper takes in one request has bounds */
    /* Broker-wide settings that topics inherit (log.retention.ms, min.insync.replicas,
     * unclean.leader.election.enable, ...) where they are set, under Kafka's names. Borrowed at
     * core_new(). */
    size_t n_topic_defaults;
    const struct image_setting *topic_defaults;
    /* Settings of brokers, which can be changed at run time; NULL: they cannot. Borrowed for
     * good. */
    const struct conf_table *broker_settings;
};

/* Kafka's defaults; ours for heartbeats (1000 ms) and grace (session_timeout_ms). */
void core_settings_init(struct core_settings *settings);

/* ---- what is read from ZooKeeper
 * ------------------------------------------------------------------ */

struct core_read_part {
    int32_t index;
    struct ids replicas, adding, removing;
    bool has_state;                 /* false: no state znode yet, or: */
    bool is_unreadable;             /* there is one, of which nothing but its version is known */
    int32_t state_controller_epoch; /* who wrote it */
    struct leader_isr state;        /* partition_epoch = version of the znode; -1: not even that */
};

struct core_read_topic {
    struct str name;
    struct uuid id;     /* zero when the znode has none */
    int32_t version;    /* of the topic's znode; -1: not even that is known of */
    bool is_unreadable; /* one that cannot be read. In LOADED: it is known, or was never led */
    size_t n_parts;
    const struct core_read_part *parts; /* any order; as far as the assignment goes */
};

/* One broker's tombstones of one topic; one znode of ours. */
struct core_tombstones {
    int32_t broker;
    struct uuid topic_id;
    struct str topic;
    size_t n;
    const struct core_tombstone_part {
        int32_t partition;
        int32_t leader_epoch;
    } * parts;
};

/* Partitions by name: what is in /admin/reassign_partitions (with replicas) and
 * /admin/preferred_replica_election, and in notes of changed ISRs. */
struct core_named_parts {
    size_t n;
    const struct core_named_part {
        struct str topic;
        int32_t partition;
        struct ids replicas;
    } * at;
};

/* Who has all that is committed beside the ISR (KIP-966), one znode of ours for each partition.
 * Good only with the state that has these epochs. */
struct core_eligible {
    struct uuid topic_id;
    int32_t partition;
    int32_t controller_epoch; /* of who wrote it; in an operation: of its WRITE */
    int32_t leader_epoch, partition_epoch;
    int32_t min_isr; /* below it the high watermark stood still */
    struct ids replicas;
};

struct core_pid_block {
    int32_t broker;      /* who got it */
    int64_t first, last; /* the last block given out, both inclusive; -1, -1 for none yet */
    int32_t version;     /* of the znode */
};

/* ---- events
 * --------------------------------------------------------------------------------------- */

struct core_loaded {
    int32_t controller_epoch;
    struct str cluster_id;
    size_t n_nodes;
    const struct node *nodes; /* registered brokers; state does not count */
    size_t n_topics;
    const struct core_read_topic *topics;
    size_t n_configs;
    const struct image_config *configs;
    size_t n_unread_configs;
    const struct image_config *unread_configs; /* of whom: what is known of them goes on */
    size_t n_delete_marks;
    const struct str *delete_marks; /* children of /admin/delete_topics */
    size_t n_tombstones;
    const struct core_tombstones *tombstones;
    size_t n_eligible;
    const struct core_eligible *eligible;
    int32_t ours_since; /* from that epoch on every controller was one of ours */
    struct core_pid_block pid_block;
};

struct core_resigned {
    char nothing;
};

struct core_op_result {
    enum err err;    /* see struct core_write */
    int32_t version; /* of the znode that the operation left behind, where it has one */
};

struct core_write_done {
    uint64_t batch;
    size_t n;
    const struct core_op_result *results; /* one for each operation, in order */
};

struct core_broker_nodes {
    size_t n;
    const struct node *nodes; /* id, epoch, endpoints, rack as registered */
};

struct core_names {
    size_t n;
    const struct str *names;
};

struct core_topic_read {
    struct str name;
    const struct core_read_topic *topic; /* NULL: absent */
    size_t n_settings;                   /* its own */
    const struct image_setting *settings;
};

struct core_state_read {
    struct uuid topic_id; /* as asked in RELOAD */
    int32_t partition;
    const struct core_read_part *part; /* NULL: absent; its replicas do not count */
};

struct core_config_read {
    struct image_config config; /* without settings when absent */
};

struct core_pid_block_read {
    struct core_pid_block block;
};

/* A znode of old tools' wishes as it is now: absent, or there with these. */
struct core_wishes {
    bool there;
    struct core_named_parts parts;
};

struct core_dir_event {
    int32_t broker;
};

/* Streams have numbers that the shell never uses twice. */
struct core_hello {
    uint64_t stream;
    int32_t broker;
    int64_t broker_epoch;
    struct uuid incarnation; /* of the process, never zero */
    bool fresh;              /* no controller has confirmed this incarnation yet */
    bool unclean; /* it stopped uncleanly and its machine was restarted since: what it had not
                     flushed is gone */
    int32_t seen_controller_epoch; /* highest it has met; above ours we resign */
    int32_t min_isr; /* its own min.insync.replicas, for topics that say nothing; 0: not said */
};

struct core_stream_ended {
    uint64_t stream;
};

struct core_heartbeat {
    int32_t broker;
    int64_t broker_epoch; /* of its registration now */
    struct uuid incarnation;
    bool stalled; /* its reactors make no progress: does not count as a beat */
};

struct core_failure {
    struct uuid topic_id;
    int32_t partition;
    int32_t leader_epoch, partition_epoch; /* what the broker holds */
    enum err err;
    bool yields; /* nothing has failed: it leads, and would rather not */
};

struct core_acked {
    uint64_t stream;
    int32_t controller_epoch;
    uint64_t version;
    size_t n_failures;
    const struct core_failure *failures;
    size_t n_deleted;
    const struct image_tombstone *deleted; /* files that are gone now */
};

enum core_probe_result {
    PROBE_REFUSED,  /* ECONNREFUSED from the host of each endpoint, nothing else */
    PROBE_ANSWERED, /* somebody accepted */
    PROBE_SILENT,   /* no answer in time, or an error of our own */
};

struct core_probed {
    int32_t broker;
    uint64_t probe; /* as in PROBE */
    enum core_probe_result result;
};

struct core_member {
    int32_t id;
    int64_t broker_epoch;
};

struct core_proposal {
    struct uuid topic_id;
    int32_t partition;
    uint64_t proposal_id;
    int32_t leader_epoch, partition_epoch;
    size_t n_isr;
    const struct core_member *isr;
    bool recovering;
};

struct core_alter_partition {
    uint64_t stream;
    int64_t broker_epoch;
    size_t n;
    const struct core_proposal *proposals;
};

struct core_shutdown_wanted {
    uint64_t stream;
    uint64_t number; /* repeated in the answer, here and below */
    int64_t broker_epoch;
};

struct core_pid_block_wanted {
    uint64_t stream;
    uint64_t number;
    int64_t broker_epoch;
};

struct core_dir_failed {
    uint64_t stream;
    size_t n;
    const struct core_failure *parts; /* what was on it; epochs do not count */
};

struct core_admin {
    uint64_t id;     /* of the request, never used twice */
    uint64_t stream; /* it came on; when that ends nobody waits for the answer any more */
    int16_t api_key;
    int16_t api_version;
    const void *request;  /* the struct of gen/wire that belongs to the key */
    struct str principal; /* "User:alice" */
};

struct core_tick {
    char nothing;
};

enum core_event_kind {
#define CORE_EVENT(kind, member, doc) CORE_##kind,
#include "controller/core/event.def"
    CORE_N_EVENTS
};

struct core_event {
    enum core_event_kind kind;
    union {
        struct core_loaded loaded;
        struct core_resigned resigned;
        struct core_write_done write_done;
        struct core_broker_nodes broker_nodes;
        struct core_names names;
        struct core_topic_read topic_read;
        struct core_state_read state_read;
        struct core_config_read config_read;
        struct core_pid_block_read pid_block_read;
        struct core_wishes wishes;
        struct core_named_parts named_parts;
        struct core_dir_event dir_event;
        struct core_hello hello;
        struct core_stream_ended stream_ended;
        struct core_heartbeat heartbeat;
        struct core_acked acked;
        struct core_probed probed;
        struct core_alter_partition alter_partition;
        struct core_shutdown_wanted shutdown_wanted;
        struct core_pid_block_wanted pid_block_wanted;
        struct core_dir_failed dir_failed;
        struct core_admin admin;
        struct core_tick tick;
    };
};

/* ---- effects
 * --------------------------------------------------------------------------------------- */

/* Operations are of meaning, not of paths: the shell knows the tree. `version` is the one the znode
 * must have, -1 for any. */
enum core_op_kind {
    OP_STATE_CREATE,  /* .../partitions/P/state with its parents .../partitions and .../P as missing
                       */
    OP_STATE_SET,     /* .../partitions/P/state, with version */
    OP_TOPIC_CREATE,  /* /brokers/topics/T with id and assignment */
    OP_TOPIC_SET,     /* /brokers/topics/T, with version */
    OP_TOPIC_DELETE,  /* all of /brokers/topics/T, then /config/topics/T, last
                         /admin/delete_topics/T; may take several multis; what is missing already is
                         fine */
    OP_CONFIG_SET,    /* /config/<type>/<name>: created or replaced */
    OP_CONFIG_NOTIFY, /* /config/changes/config_change_ for that entity (sequential) */
    OP_MARK_CREATE,   /* /admin/delete_topics/T; there already is fine */
    OP_MARK_DELETE,   /* the same; missing is fine */
    OP_TOMBSTONES_SET, /* our znode of (broker, topic id): created or replaced; deleted when n is 0
                        */
    OP_PID_BLOCK_SET,  /* /latest_producer_id_block, with version; made when missing */
    OP_MOVES_SET,      /* /admin/reassign_partitions: created or replaced; deleted when n is 0 */
    OP_ELIGIBLE_SET,   /* our znode of the partition: created or replaced; deleted when without
                          replicas */
    OP_ELECTIONS_DONE, /* /admin/preferred_replica_election goes; missing is fine */
};

struct core_op_part {
    int32_t index;
    struct ids replicas, adding, removing;
};

struct core_op {
    enum core_op_kind kind;
    uint32_t group;   /* operations of a group succeed or fail together; groups are consecutive */
    int32_t version;  /* OP_STATE_SET, OP_TOPIC_SET, OP_PID_BLOCK_SET */
    struct str topic; /* its name, in every operation of a topic */
    union {
        struct {
            int32_t partition;
            struct leader_isr state; /* partition_epoch does not count */
        } state;
        struct {
            struct uuid id;
            size_t n_parts; /* OP_TOPIC_DELETE: how many have znodes; parts is NULL then */
            const struct core_op_part *parts;
        } topic_node;
        struct image_config config;
        struct core_tombstones tombstones;
        struct core_pid_block pid_block;
        struct core_named_parts moves;
        struct core_eligible eligible;
    };
};

/*
 * Carried out in order, in multis of at most some 500 operations (groups are not torn, but for
 * OP_TOPIC_DELETE), each multi checking the version of /controller_epoch. When an operation fails,
 * its group fails and the other groups of that multi are carried out nevertheless. Results: ERR_OK
 * done; version is the znode's now ERR_BAD_VERSION, ERR_NOT_FOUND, ERR_EXISTS  this operation; the
 * rest of its group has ERR_CLOSED ERR_FENCED             the epoch check failed: all that was not
 * done yet has this ERR_CONNECTION_LOSS    the outcome could not be found out: the core asks for a
 * full RELOAD After a lost connection the shell finds the outcome out by reading back (the state
 * and version it wanted to leave behind are there: done), so that ERR_CONNECTION_LOSS stays the
 * exception.
 */
struct core_write {
    uint64_t batch;
    int32_t controller_epoch; /* goes into states */
    size_t n;
    const struct core_op *ops;
};

enum core_reload_what {
    RELOAD_ALL,       /* LOADED follows, with the epoch that we still have */
    RELOAD_BROKERS,   /* BROKER_NODES */
    RELOAD_TOPIC,     /* TOPIC_READ */
    RELOAD_STATE,     /* STATE_READ */
    RELOAD_PID_BLOCK, /* PID_BLOCK_READ */
    RELOAD_CONFIG,    /* CONFIG_READ if they can be read, asked of ZooKeeper before the WRITEs that
                         come after it */
};

struct core_reload {
    enum core_reload_what what;
    struct str topic;     /* RELOAD_TOPIC, RELOAD_STATE */
    struct uuid topic_id; /* RELOAD_STATE */
    int32_t partition;
    struct str type, name; /* RELOAD_CONFIG */
};

struct core_resign {
    const char *reason; /* static */
};

struct core_send_image {
    uint64_t stream;
    struct image *image; /* lent; its (epoch, version) is what the ACKED must reach */
};

struct core_send_delta {
    size_t n_streams;
    const uint64_t
        *streams; /* those that were sent an image before; perhaps none: standbys follow */
    const struct image_delta *delta;
    struct image *image; /* lent: what the delta makes of the one before */
};

struct core_answer_alter {
    uint64_t stream;
    size_t n;
    const struct core_alter_answer {
        struct uuid topic_id;
        int32_t partition;
        uint64_t proposal_id;
        enum err err;
    } * answers;
};

struct core_answer_shutdown {
    uint64_t stream;
    uint64_t number;
    enum err err;
    int32_t still_led; /* partitions with other replicas that it still leads, if anybody stays */
};

struct core_answer_pid_block {
    uint64_t stream;
    uint64_t number;
    enum err err;
    int64_t first;
    int32_t count;
};

struct core_answer_admin {
    uint64_t id;
    uint64_t stream;
    int16_t api_key;
    int16_t api_version;
    enum err err;             /* not ERR_OK: the whole request failed and there is no response */
    const void *response;     /* the struct of gen/wire that belongs to the key */
    int32_t controller_epoch; /* the asking broker answers its client once it has applied this */
    uint64_t version;
};

/* The numbers are those of the control stream's Goodbye. */
enum core_goodbye {
    GOODBYE_NOT_ACTIVE = 1,
    GOODBYE_OTHER_CLUSTER = 2,
    GOODBYE_STALE_BROKER_EPOCH = 3,
    GOODBYE_NOT_REGISTERED = 4,
    GOODBYE_PROTOCOL = 5,
    GOODBYE_REPLACED = 6,
    GOODBYE_RESIGNED = 7,
    GOODBYE_STALE_CONTROLLER = 8,
    GOODBYE_TOO_SLOW = 9,
    GOODBYE_FENCED = 10,
};

struct core_end_stream {
    uint64_t stream;
    enum core_goodbye reason;
};

struct core_probe {
    int32_t broker;
    uint64_t probe; /* number to repeat */
    size_t n;
    const struct endpoint *endpoints; /* all that are to be asked */
};

enum core_say_level { CORE_SAY_ERROR, CORE_SAY_WARN, CORE_SAY_INFO, CORE_SAY_DEBUG };

struct core_say {
    enum core_say_level level;
    struct str text; /* as for say_info(): a fragment, then key=value */
};

struct core_wake_at {
    int64_t at_ms;
};

enum core_effect_kind {
#define CORE_EFFECT(kind, member, doc) CORE_DO_##kind,
#include "controller/core/event.def"
    CORE_N_EFFECTS
};

struct core_effect {
    enum core_effect_kind kind;
    union {
        struct core_write write;
        struct core_reload reload;
        struct core_resign resign;
        struct core_send_image send_image;
        struct core_send_delta send_delta;
        struct core_answer_alter answer_alter;
        struct core_answer_shutdown answer_shutdown;
        struct core_answer_pid_block answer_pid_block;
        struct core_answer_admin answer_admin;
        struct core_end_stream end_stream;
        struct core_probe probe;
        struct core_say say;
        struct core_wake_at wake_at;
    };
};

/* To be carried out in order: images and deltas of a stream, then answers on it. */
struct core_effects {
    size_t n;
    struct core_effect *at;
    size_t cap;             /* private, as what follows */
    struct arena arena;     /* what effects point to */
    struct core_held *held; /* what else is lent until the reset */
    size_t n_held, cap_held;
};

void core_effects_init(struct core_effects *effects);
void core_effects_fini(struct core_effects *effects);
/* Empty again; ends all that the effects lent. */
void core_effects_reset(struct core_effects *effects);

/* ---- the core
 * -------------------------------------------------------------------------------------- */

struct core;

struct core *core_new(const struct core_settings *settings, uint64_t seed);
void core_free(struct core **core);

/* Adds to *out, which may hold effects already. */
void core_step(struct core *core, const struct core_event *event, int64_t now_ms,
               struct core_effects *out);

/* ---- looking in, for the status page and tests
 * ------------------------------------------------------ */

/* Lent until the next step; NULL while not active. */
const struct image *core_image(const struct core *core);
/* The version of the topic's znode as far as known, -1: it is not. */
int32_t core_topic_version(const struct core *core, struct uuid id);
bool core_is_active(const struct core *core);
/* Since when a broker is known to be dead, stopping or replaced by a new process; INT64_MAX: it is
 * not. */
int64_t core_gone_ms(const struct core *core, int32_t broker);
/* The image lacks settings that one of our WRITEs has stored: a standby must not take that one for
 * part of it. */
bool core_withholds(const struct core *core);
/* A WRITE is out, or something waits for the next one. */
bool core_is_busy(const struct core *core);

/* A change of state that is on its way, for people to see what the controller is busy with. */
enum core_work_kind {
    CORE_WORK_MOVE,     /* a partition gets other replicas */
    CORE_WORK_DELETION, /* a topic goes */
    CORE_WORK_FILES,    /* a broker has yet to delete replicas */
    CORE_WORK_REQUEST,  /* a client's request is not answered yet */
    CORE_WORK_SHUTDOWN, /* a broker wants its partitions to be led by others */
    CORE_WORK_WISH,     /* of an old tool, in a znode */
    CORE_WORK_WRITE,    /* a batch is being stored */
};

struct core_work {
    enum core_work_kind kind;
    struct str topic;            /* MOVE, DELETION, WISH; else null */
    int32_t partition;           /* MOVE, WISH; else -1 */
    int32_t broker;              /* FILES, SHUTDOWN; else -1 */
    struct ids adding, removing; /* MOVE */
    int16_t api_key;             /* REQUEST; else -1 */
    int64_t count;  /* partitions, files, open parts of a request, operations of a batch */
    int64_t age_ms; /* REQUEST; else -1 */
};

/* fn is lent each of them. */
void core_each_work(const struct core *core, int64_t now_ms,
                    void (*fn)(void *arg, const struct core_work *work), void *arg);

const char *core_event_name(enum core_event_kind kind);
const char *core_effect_name(enum core_effect_kind kind);

#endif
