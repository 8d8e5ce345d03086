/*
 * toy_core - the controller's core with a ZooKeeper and brokers made of arrays, for its unit tests.
 *
 * Writes are carried out at once (or held until told), brokers on a stream apply what they are
 * sent, packed and read as over a real one, and acknowledge it (or not, when told), probes find
 * what was set, time moves when told and is cut at every alarm.
 */
#ifndef TESTS_KIT_TOY_CORE_H
#define TESTS_KIT_TOY_CORE_H

#include "controller/core/core.h"

#define TOY_BROKERS 8
#define TOY_TOPICS  16
#define TOY_PARTS   64

struct toy_part {
    int32_t replicas[8], adding[8], removing[8];
    uint32_t n_replicas, n_adding, n_removing;
    bool has_state;
    bool is_garbled;     /* by another hand: it cannot be read, and the next write is good again */
    int32_t state_epoch; /* controller's */
    int32_t isr[8];
    bool has_eligible;
    struct core_eligible eligible; /* replicas points to the array */
    int32_t eligible_ids[8];
    struct leader_isr state; /* isr points to the array; partition_epoch is the version */
};

struct toy_topic {
    bool there;
    char name[64];
    struct uuid id;
    int32_t version;
    bool is_garbled;   /* as a part */
    bool is_forbidden; /* to read */
    size_t n_parts;
    struct toy_part parts[TOY_PARTS];
};

struct toy_broker {
    bool registered;
    int64_t epoch;
    struct uuid incarnation;
    const char *rack;
    int32_t min_isr; /* min.insync.replicas of its own settings file; 0: it says nothing of it */
    enum core_probe_result probe;
    bool probe_lasts;      /* until toy_probed() */
    uint64_t probe_number; /* of the last one; 0: none yet */
    bool has_outer;        /* a listener for clients comes first, at port 19000 + id */
    bool says_not;         /* which one brokers use: a version of before */
    size_t n_asked;        /* endpoints that the last probe was for */
    /* its end of the stream */
    uint64_t stream; /* 0: none */
    bool beats, acks;
    bool confirmed; /* has been sent an image in this incarnation */
    struct image *image;
    enum core_goodbye goodbye; /* why its last stream was ended, 0: it was not */
    int n_images, n_deltas;
    /* answers */
    int n_alters;
    enum err alter_err; /* of the last one's last partition */
    int n_shutdowns;
    int32_t still_led;
    int n_pids;
    int64_t first_pid;
};

struct toy {
    struct core *core;
    struct core_settings settings;
    int64_t now_ms, wake_ms;
    struct toy_topic topics[TOY_TOPICS];
    struct toy_broker brokers[TOY_BROKERS + 1]; /* by id, from 1 */
    struct { /* /admin/reassign_partitions, /admin/preferred_replica_election */
        bool there;
        size_t n;
        struct {
            char topic[64];
            int32_t partition;
            int32_t replicas[8];
            uint32_t n_replicas;
        } at[16];
    } moves;
    bool elections_there;
    char marks[TOY_TOPICS][64];
    size_t n_marks;
    struct image_tombstone stones[256]; /* names are not kept */
    size_t n_stones;
    struct image *configs; /* as an image, for its map */
    const char *unread;    /* the topic whose settings cannot be read; NULL */
    struct arena reads;    /* of settings, on their way */
    struct core_pid_block pid_block;
    int64_t czxid;
    uint64_t streams, requests;
    int32_t controller_epoch, ours_since;
    bool fenced;       /* another controller: the epoch check fails */
    const char *stuck; /* the topic whose states cannot be written, whatever they are; NULL */
    bool fails[OP_ELECTIONS_DONE + 1]; /* operations of these kinds */
    size_t cut; /* of the next WRITE only so many groups are carried out, and the outcome is lost;
                   0: all */
    enum {
        TOY_LOSE_NOTHING,
        TOY_LOSE_BEFORE,
        TOY_LOSE_AFTER
    } lose; /* the next WRITE's outcome: not
               carried out, or carried out */
    bool load_wanted;
    bool hold;                        /* WRITEs wait for toy_release() */
    bool hold_next;                   /* which lets one go, and holds the next */
    bool active;                      /* a LOADED was delivered and no RESIGN came */
    size_t n_writes, n_ops, last_ops; /* WRITEs, operations in all, in the last one */
    struct core_write *held;
    struct toy_request *asked; /* of toy_create(), until they are answered */
    /* the last ADMIN's answer: copied as far as tests look */
    int n_answers;
    enum err answer_err;
    int16_t errors[8];
    char message[256];
    char listed[256];      /* of ListPartitionReassignments: "t-0 3,2,1 +3 -1;" for each */
    const char *looks_for; /* a setting in the answer of CreateTopics; NULL: in none */
    char seen[64];         /* of the first topic, "value source" */
    struct core_event *queue[256];
    size_t n_queue;
};

/* Brokers given one by one: IDS(1, 2, 3). They live as long as the block around them. */
#define IDS(...) IDS_OF(((const int32_t[]){ __VA_ARGS__ }))

/* All of a new cluster: the seat, and brokers from 1 to n. */
void toy_up(struct toy *toy, int32_t n);
/* The same with a controller that looks after the balance of leaderships. */
void toy_up_balancing(struct toy *toy, int32_t n);
void toy_fini(struct toy *toy);
/* One event, and all that follows from it at once. */
void toy_step(struct toy *toy, struct core_event ev);
/* Time passes; brokers that beat do so every 200 ms. */
void toy_advance(struct toy *toy, int64_t ms);
/* The WRITE that is held is carried out. */
void toy_release(struct toy *toy);

/* ---- controllers ---- */

/* Another process, which knows nothing and goes by toy->settings as they are now: it is to win. */
void toy_new_core(struct toy *toy);

/* The seat is won in the next epoch: what is in ZooKeeper is loaded. */
void toy_win(struct toy *toy);
/* All brokers that are up say hello to it. */
void toy_all_hello(struct toy *toy);
/* Both. */
void toy_next_controller(struct toy *toy);

/* ---- what brokers do ---- */

/* Registers and says hello: a new process, or the same one again. */
void toy_start(struct toy *toy, int32_t id);
void toy_hello(struct toy *toy, int32_t id, bool fresh, bool unclean);
void toy_register(struct toy *toy, int32_t id);
/* Sends the registrations as they are. */
void toy_nodes(struct toy *toy);
/* kill -9: the stream ends, the port refuses; the registration stays until it is taken. */
void toy_kill(struct toy *toy, int32_t id);
void toy_expire(struct toy *toy, int32_t id);
/* kill -9 while there is no controller: the next one finds neither process nor registration. */
void toy_vanish(struct toy *toy, int32_t id);

/* ---- what brokers say ---- */

/* Its stream ends, and nobody knows why. */
void toy_lose_stream(struct toy *toy, int32_t id);
/* The probe of that number has found what is set. */
void toy_probed(struct toy *toy, int32_t id, uint64_t number);
/* It acknowledges what it has been sent so far; */
void toy_ack(struct toy *toy, int32_t id);
/* and that this went wrong with it; */
void toy_ack_failure(struct toy *toy, int32_t id, const struct core_failure *failure);
/* and that files are gone, whosever the tombstones are; */
void toy_ack_deleted(struct toy *toy, int32_t id, size_t n, const struct image_tombstone *stones);
/* or all that it is asked to delete. Nothing without a stream and an image. */
void toy_delete_files(struct toy *toy, int32_t id);
/* The directory of this partition has failed. */
void toy_fail_dir(struct toy *toy, int32_t id, const char *topic, int32_t partition);
/* It wants to stop. Each time that was answered it asks under the next number. */
void toy_want_shutdown(struct toy *toy, int32_t id);
/* This ISR, by the state in ZooKeeper and the epochs that brokers have now; */
void toy_propose(struct toy *toy, int32_t from, const char *topic, int32_t partition,
                 struct ids isr);
/* or whatever it makes up. */
void toy_send_proposal(struct toy *toy, int32_t from, const struct core_proposal *proposal);

/* ---- what clients ask ---- */

/* A client's request; the request lives until it is answered. Returns toy->errors[0], -99 when
 * there is no answer yet, and so do those below. */
int toy_ask(struct toy *toy, int16_t api_key, int16_t api_version, const void *request);
/* n_parts partitions, each with these replicas, through CreateTopics. */
void toy_create(struct toy *toy, const char *name, size_t n_parts, struct ids replicas);
/* CreatePartitions: so many in all. */
int toy_grow(struct toy *toy, const char *topic, int32_t count);
int toy_delete(struct toy *toy, const char *topic);
/* IncrementalAlterConfigs of one setting of a topic; */
int toy_alter(struct toy *toy, const char *topic, const char *key, const char *value);
/* by operation, 0 to 3: set, delete, append, subtract. */
int toy_edit(struct toy *toy, const char *topic, int8_t operation, const char *key,
             const char *value);
/* AlterPartitionReassignments of one partition; target.n 0: cancel. */
int toy_reassign(struct toy *toy, const char *topic, int32_t partition, struct ids target);
/* ElectLeaders of partition 0; type 0: the preferred one, 1: an unclean one. */
int toy_elect(struct toy *toy, int8_t type, const char *topic);

/* ---- what other hands write ---- */

/* /admin/reassign_partitions, as tools of before 2.4 do. */
void toy_want_moves(struct toy *toy, size_t n, const struct core_named_part *parts);
void toy_want_move(struct toy *toy, const char *topic, int32_t partition, struct ids target);
/* A note of changed settings is dealt with: they are read as they are now. */
void toy_note_config(struct toy *toy, const char *type, const char *name);
/* All settings of this entity are this one, none for a value NULL. */
void toy_set_config(struct toy *toy, const char *type, const char *name, const char *key,
                    const char *value);

/* The look at all topics' versions has found another one of this: it is read. */
void toy_look(struct toy *toy, const char *topic);

/* ---- what there is ---- */

struct toy_topic *toy_topic(struct toy *toy, const char *name); /* NULL */
const struct toy_part *toy_part(struct toy *toy, const char *name, int32_t partition);
/* "3,2,1 +3 -1": replicas, adding, removing in the topic's znode; static storage. */
const char *toy_assigned(struct toy *toy, const char *topic, int32_t partition);
/* "2,3" of the partition's znode of eligible leaders, "void: 2,3" when it is not of the state. */
const char *toy_eligible(struct toy *toy, const char *topic, int32_t partition);
/* "1:0@5 2:3@7": broker:partition@leader epoch of the topic's tombstones; static storage. */
const char *toy_stones(struct toy *toy, const char *topic);
/* "leader/isr le pe" as in "2/2,3 1 1"; static storage. */
const char *toy_show(struct toy *toy, const char *name, int32_t partition);
/* What the controller thinks of a broker. */
enum node_state toy_state(const struct toy *toy, int32_t id);
/* What a broker, 0: the controller, knows of a partition, NULL; of a setting of a topic, null. */
const struct image_part *toy_known(struct toy *toy, int32_t id, const char *topic,
                                   int32_t partition);
struct str toy_setting(const struct toy *toy, int32_t id, const char *topic, const char *key);
/* ZooKeeper, as far as it can be read, the core and every broker on a stream tell the same. */
void toy_agree(struct toy *toy);

/* Between the parts of the toy: an operation on its ZooKeeper, a topic by a counted name, NULL. */
struct core_op_result toy_do(struct toy *toy, const struct core_op *op);
struct toy_topic *toy_topic_of(struct toy *toy, struct str name);
/* The same: an ADMIN's answer, and the end of its request (0: of all). */
void toy_answered(struct toy *toy, const struct core_answer_admin *answer);
void toy_forget_request(struct toy *toy, uint64_t id);
/* The same: what a broker has that is sent an image, or a delta when it has that image. */
struct image *toy_send_image(const struct image *image);
struct image *toy_send_delta(const struct image *image, const struct image_delta *delta);

#endif
