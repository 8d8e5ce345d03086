/*
 * logs_int - the insides of the set of logs, shared by logs*.c and nobody else.
 */
#ifndef BROKER_LOG_LOGS_INT_H
#define BROKER_LOG_LOGS_INT_H

#include <sys/queue.h>
#include <uthash.h>

#include "broker/log/checkpoint.h"
#include "broker/log/log_load.h"
#include "broker/log/logs.h"
#include "common/base/lock.h"
#include "common/base/thread.h"

/* One log of the set. */
struct logs_entry {
    char *key; /* [I] "topic-partition", with "-future" for a future log */
    struct log *log;
    struct logs_dir *dir;
    UT_hash_handle hh;
};

/* Where a log is to be made that is not there yet. */
struct logs_wish {
    char *key;
    struct logs_dir *dir;
    UT_hash_handle hh;
};

/* The files of a directory that tell an offset of each log, which they know by its name alone. */
enum logs_file { LOGS_POINTS, LOGS_STARTS, LOGS_HWS, LOGS_MARKS, LOGS_FILES };

/* A file or directory that is to go. */
struct removal {
    char *path;
    int64_t at_ms;
    STAILQ_ENTRY(removal) link;
};

/*
 * [I] set before anyone else can see it    [m] under logs->lock    [c] under checkpoint_lock
 * [o] its ticking thread
 */
struct logs_dir {
    struct log_env env;                  /* first: the log's way back to its directory */
    struct logs *logs;                   /* [I] */
    char *path;                          /* [I] */
    size_t index;                        /* [I] */
    size_t log_count;                    /* [m] of logs: entries of this directory */
    int lock_fd;                         /* [I] -1: not ours */
    bool was_clean;                      /* [I] */
    bool is_loaded;                      /* [I] every log of it */
    struct meta meta;                    /* [I] after logs_open() */
    bool has_meta;                       /* [I] */
    bool is_new;                         /* [I] nothing said whose it is when it was opened */
    struct checkpoint saved[LOGS_FILES]; /* [c] what they hold, sorted */
    size_t load_total;                   /* [I] logs found at the start */
    _Atomic size_t load_done;            /* [a] of them */
    _Atomic int64_t load_bytes;          /* [a] read anew */
    struct group_commit *commit;         /* [I] */
    STAILQ_HEAD(, removal) removals;     /* [m] of logs */
    struct thread ticker;                /* [I] */
    int64_t next_write_out_ms;           /* [o] */
    int64_t appended_ms;                 /* [o] when it was last seen that somebody had appended */
    bool write_out_wanted;       /* [o] there is something, which has not been looked for yet */
    int64_t next_checkpoint_ms;  /* [o] */
    int64_t next_start_ms;       /* [o] */
    int64_t next_flush_ms;       /* [o] */
    int64_t next_producers_ms;   /* [o] */
    int64_t next_far_ms;         /* [o] */
    struct lock points_lock;     /* rank LOCK_POINTS: one at a time moves recovery points */
    struct lock checkpoint_lock; /* rank LOCK_CHECKPOINT */
};

struct logs {
    struct logs_options options; /* [I] */
    struct disk *disk;           /* [I] */
    struct files *files;         /* [I] */
    size_t max_open_files;       /* [I] */
    struct logs_dir *dirs;       /* [I] */
    size_t dir_count;            /* [I] */
    char cluster_id[64];         /* [I] after logs_set_cluster_id() */
    struct lock lock;            /* rank LOCK_LOGS; guards [m] */
    struct cond wake;            /* the ticking threads are to stop */
    struct logs_entry *entries;  /* [m] hash by key */
    struct logs_wish *wishes;    /* [m] hash by key */
    uint64_t rand_state;         /* [m] for names of deleted logs */
    bool stopping;               /* [m] */
    atomic_bool given_up;        /* [a] a stop was asked for before all was recovered */
    _Atomic uint32_t swapped;    /* [a] future logs that became current */
};

/* logs.c */
/* All logs with a reference each; *list is malloc'ed. dir NULL: of all. */
size_t logs_list(struct logs *logs, const struct logs_dir *dir, struct log ***list);
/* Takes the log; ERR_EXISTS when the key is taken. */
MUST_USE enum err logs_put(struct logs *logs, struct logs_dir *dir, const char *key,
                           struct log *log);
/* Under logs->lock. */
struct logs_entry *logs_find_locked(struct logs *logs, const char *key);
/* "topic-3.<32 hex>SUFFIX", malloc'ed: a name that no other directory has, the topic cut so that a
 * file system takes it. */
char *logs_parting_name(struct logs *logs, const struct log *log, const char *suffix);
void logs_random_hex(struct logs *logs, char out[33]);
void logs_entry_free(struct logs_entry *entry);
struct logs_dir *logs_dir_by_path(const struct logs *logs, const char *path);
struct logs_dir *logs_dir_of(const struct logs *logs, const struct log *log);
/* Makes a log in a directory of that name and puts it into the table under key. */
MUST_USE enum err logs_make(struct logs *logs, struct logs_dir *dir, const char *key,
                            const char *name, const char *topic, int32_t partition,
                            struct log **out);
/* Takes it out of the table, unless another one than expected (NULL: any) is there; the table's
 * reference is the caller's then. */
struct log *logs_take_out(struct logs *logs, const char *key, const struct log *expected);
void logs_conf_of(struct logs *logs, const char *topic, struct log_conf *conf);

/* logs_move.c: takes a log that was found at the start, settling which one counts when another
 * directory has the same. */
MUST_USE enum err logs_put_found(struct logs *logs, struct logs_dir *dir, const char *key,
                                 struct log *log);

/* logs_load.c: loads every directory that has not failed. */
void logs_load(struct logs *logs);

/* logs_flush.c: keeps down what a start after a crash has to read. */
void logs_dir_flush_far(struct logs_dir *dir);

/* logs_tick.c */
void logs_start_ticking(struct logs *logs);
void logs_stop_ticking(struct logs *logs);
void logs_dir_start_times(struct logs_dir *dir, int64_t now_ms);
/* A file or directory that lies in this one. */
void logs_remove_later(struct logs_dir *dir, const char *path, int64_t at_ms);
void logs_dir_forget_removals(struct logs_dir *dir);

/* logs_points.c */
/* Writes the recovery points of all logs, and before that their epochs. */
MUST_USE enum err logs_dir_save_points(struct logs_dir *dir);
/* After a truncation; no other point moves. */
MUST_USE enum err logs_dir_lower_point(struct logs_dir *dir, struct log *log);
/* So many files are better synced with everything else on the file system, and can be. */
bool logs_dir_syncs_together(const struct logs_dir *dir, size_t files);

/* logs_saved.c */
char *logs_dir_file_path(const struct logs_dir *dir, enum logs_file which);
/* As they are found; what cannot be understood is said, and says nothing. */
MUST_USE enum err logs_dir_read_files(struct logs_dir *dir);
/* What the file says of a log, -1 nothing. */
int64_t logs_dir_saved(struct logs_dir *dir, enum logs_file which, const char *topic,
                       int32_t partition);
/* Under checkpoint_lock; whatever comes of it, content is used up. It was settled under that lock
 * which logs it names: none that has left. */
MUST_USE enum err logs_dir_write_file_locked(struct logs_dir *dir, enum logs_file which,
                                             struct checkpoint *content);
/* Before a log of that name is made: no file says anything of a former one afterwards. */
MUST_USE enum err logs_dir_forget_name(struct logs_dir *dir, const char *topic, int32_t partition);

/* logs_dir.c */
void logs_dir_init(struct logs_dir *dir, struct logs *logs, size_t index, const char *path);
void logs_dir_fini(struct logs_dir *dir);
/* Makes, locks and checks it. */
MUST_USE enum err logs_dir_prepare(struct logs_dir *dir);
/* Loads all its logs; an error leaves it offline. */
void logs_dir_load(struct logs_dir *dir);
/* Counts the logs that lie in it. */
void logs_dir_scan(struct logs_dir *dir);
/* Closes its logs and leaves the marks of a clean stop. */
void logs_dir_close(struct logs_dir *dir);
MUST_USE enum err logs_dir_write_meta(struct logs_dir *dir);
void logs_dir_checkpoint(struct logs_dir *dir);
void logs_dir_fail(struct logs_dir *dir);

#endif
