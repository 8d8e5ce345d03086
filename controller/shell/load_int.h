/*
 * load_int - what the files of the loader share: a job with its reads.
 *
 * Ownership:  all that is read lives in the job's arena.
 * Threads:    the event thread.
 */
#ifndef CONTROLLER_SHELL_LOAD_INT_H
#define CONTROLLER_SHELL_LOAD_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/zk/zk.h"
#include "common/zk/zk_tree.h"
#include "controller/core/standby.h"
#include "controller/shell/load.h"

struct job;
struct item;

typedef void item_told(struct job *job, struct item *item, const struct zk_answer *answer);

struct item {
    struct item *next;
    struct job *job;
    enum { READ_DATA, READ_CHILDREN, READ_EXISTS } kind;
    const char *path;
    item_told *told;
    void *target;  /* where it goes */
    bool may_fail; /* told() hears, too, that it cannot be read; else the job is refused */
};

/* Things of one kind, growing. */
struct things {
    void *at;
    size_t n, cap;
};

struct topic_slot {
    struct core_read_topic topic;
    struct core_read_part *parts;
    bool there;
    bool is_old; /* the znode is another by now */
    bool is_led; /* cannot be read, but has states, or may have */
};

struct job {
    struct job *next;
    struct loader *loader; /* NULL: nobody wants it any more */
    struct zk *zk;
    struct arena arena;
    void (*then)(struct job *job); /* when all reads of this phase are answered */
    struct item *queue, **queue_last;
    unsigned out;
    unsigned steps; /* other calls on their way */
    char *refused;  /* malloc'ed; the first reason */
    enum core_reload_what what;
    int32_t epoch;
    /* of everything */
    struct str cluster_id;
    /* arrays of pointers into the arena */
    struct things nodes, topics, configs, unread_configs, marks, tombstones, eligible;
    struct zk_ours ours;
    struct core_pid_block pid_block;
    size_t n_topics_known, n_parts, n_parts_read, n_parts_known;
    const struct standby *known; /* NULL: everything is read */
    int64_t started_ms, progress_ms;
    /* of one thing */
    struct str topic;
    struct uuid topic_id;
    struct core_read_part part;
    struct image_config *config;
    bool there;
};

/* load.c */

/* kind as in struct item. What it returns is the job's. */
struct item *load_read(struct job *job, int kind, const char *path, item_told *told, void *target);
void load_add(struct things *things, void *thing);
/* Lent texts of an answer, kept. */
struct str load_keep(struct job *job, struct str text);
/* Takes text, which is malloc'ed: nothing is reported then, and the seat is given up. */
void load_refuse(struct job *job, char *text);

/* load_config.c */

/* Read, unless a standby knows them; where they go to, the job's. */
struct image_config *load_config(struct job *job, struct str type, struct str name);
/* Told of the children of /config/<type>; target is the type. */
void load_on_entities(struct job *job, struct item *item, const struct zk_answer *answer);

/* load_own.c: told of the children of Kafka's and our directories, or of one znode's data */
void load_on_marks(struct job *job, struct item *item, const struct zk_answer *answer);
void load_on_tombstones(struct job *job, struct item *item, const struct zk_answer *answer);
void load_on_eligible(struct job *job, struct item *item, const struct zk_answer *answer);
void load_on_ours(struct job *job, struct item *item, const struct zk_answer *answer);
void load_on_pid_block(struct job *job, struct item *item, const struct zk_answer *answer);
void load_on_old_notes(struct job *job, struct item *item, const struct zk_answer *answer);

#endif
