/*
 * conf - the engine of settings tables: from a table of keys, a properties file and --override
 * options to a filled struct, with everything that is wrong reported together.
 *
 * A program has a table of struct conf_key made from its conf.def, and a struct of values with one
 * member for each line:
 *
 *     struct conf *conf = conf_new(&broker_conf_table, &values);   values: the defaults
 *     conf_read_file(conf, path);
 *     conf_override(conf, "broker.id=7");
 *     conf_finish(conf);                                           values: what was said
 *     if (conf_n_problems(conf) > 0)
 *         conf_say_problems(conf);
 *
 * Ownership:  strings and lists inside the values belong to the struct conf. Keys are static.
 * Threads:    one while it is filled; then any may read.
 * Errors:     collected as problems. A bad value leaves the default in the struct. conf_finish()
 *             says what was ignored as warnings.
 */
#ifndef COMMON_BASE_CONF_H
#define COMMON_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/str.h"

enum conf_type {
    CONF_BOOL,
    CONF_INT16,
    CONF_INT32,
    CONF_INT64,
    CONF_DOUBLE,
    CONF_STRING,
    CONF_CLASS,    /* a STRING that names a Java class */
    CONF_LIST,     /* comma separated; choices bound its items */
    CONF_PASSWORD, /* a STRING that is never shown */
    CONF_CHOICE,   /* the place in choices, from 0 */
};

enum conf_scope { CONF_RESTART, CONF_PER_BROKER, CONF_CLUSTER };

enum conf_state {
    CONF_LIVE,    /* does something */
    CONF_LATER,   /* accepted, does nothing yet: said once when set to another value */
    CONF_CTRL,    /* the controller goes by it */
    CONF_KRAFT,   /* of no use on ZooKeeper: said like LATER */
    CONF_HIDDEN,  /* as LATER, and not shown to clients */
    CONF_INNER,   /* does something, and not shown to clients */
    CONF_DYNAMIC, /* not for files: set at run time only; shown when set */
    CONF_OURS,    /* does something, Kafka does not have it */
};

struct conf_list {
    size_t n;
    const char **items;
};

/* C types of the members, by TYPE of the table */
#define CONF_C_BOOL     bool
#define CONF_C_INT16    int16_t
#define CONF_C_INT32    int32_t
#define CONF_C_INT64    int64_t
#define CONF_C_DOUBLE   double
#define CONF_C_STRING   const char *
#define CONF_C_CLASS    const char *
#define CONF_C_LIST     struct conf_list
#define CONF_C_PASSWORD const char *
#define CONF_C_CHOICE   int32_t

/* Kafka's null in a number */
#define CONF_NULL_INT32 INT32_MIN
#define CONF_NULL_INT64 INT64_MIN

struct conf_key {
    const char *name;
    enum conf_type type;
    enum conf_scope scope;
    enum conf_state state;
    const char *text; /* default; NULL is null */
    int64_t min, max; /* numbers; a DOUBLE's are INT64_MIN and INT64_MAX when it has none */
    double real_min, real_max;
    const char *choices; /* "a|b|c" or NULL */
    const char *doc;
    size_t at; /* in the struct of values */
};

/* One element of the array of keys; STRUCT is the struct of values. */
#define CONF_KEY(STRUCT, field, type, name, text, min, max, choices, scope, state, doc)            \
    {                                                                                              \
        name, CONF_##type, CONF_##scope, CONF_##state, text, (int64_t)(min), (int64_t)(max),       \
            CONF_REAL(type, min), CONF_REAL(type, max), choices, doc, offsetof(STRUCT, field)      \
    }
#define CONF_REAL(type, bound) ((double)(bound))

struct conf_table {
    const struct conf_key *keys;
    size_t n_keys;
    size_t values_size; /* sizeof the struct of values */
    /* Names and beginnings of names (ending in '.') that are somebody else's: passed over without
     * a word. Ends in NULL; NULL itself is fine. */
    const char *const *others;
    bool quiet_unknown; /* unknown keys are passed over without a word */
};

/* NULL when there is none. */
const struct conf_key *conf_find(const struct conf_table *table, struct str name);
/* The key without "listener.name.<listener>." or "listener.name.<listener>.<mechanism>." in front;
 * NULL when name does not begin so or what follows is no key. */
const struct conf_key *conf_find_scoped(const struct conf_table *table, struct str name);

#define CONF_WHY 256 /* bytes that a reason takes at most */

/* Whether text is a value for key; why (may be NULL): what is accepted. */
enum err conf_check(const struct conf_key *key, struct str text, char why[CONF_WHY]) MUST_USE;
/* Stores the value (text null: null) into key's member of values; nothing changes on failure. */
enum err conf_store(const struct conf_key *key, struct str text, void *values, struct arena *arena,
                    char why[CONF_WHY]) MUST_USE;
/* The text that Kafka shows for this value: "true", "2147483647", "a,b"; as it is when it is no
 * value. Null stays null. Borrows from text or arena. */
struct str conf_show(const struct conf_key *key, struct str text, struct arena *arena);

struct conf;

/* Fills values with the defaults. */
struct conf *conf_new(const struct conf_table *table, void *values);
/* Where what values point to is: for what is worked out from them. */
struct arena *conf_arena(struct conf *conf);
/* What values point to goes with it. NULL inside is fine. */
void conf_free(struct conf **conf);

/* A Java properties file: comments, continued lines, escapes; the last line for a key wins. */
void conf_read_file(struct conf *conf, const char *path);
/* The same from memory; origin is what messages call it. */
void conf_read_text(struct conf *conf, const char *origin, struct str text);
/* "key=value"; wins over every file. */
void conf_override(struct conf *conf, const char *setting);
/* Checks and stores what was read. Once. Unknown keys and those without effect become warnings. */
void conf_finish(struct conf *conf);

/* One more problem, found by who knows what settings mean together. name: the key it is about, so
 * that file and line are shown; NULL for none. */
void conf_problem(struct conf *conf, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void conf_warn(struct conf *conf, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t conf_n_problems(const struct conf *conf);
/* "server.properties:12: num.io.threads=x: must be a whole number from 1 to 2147483647" */
const char *conf_problem_at(const struct conf *conf, size_t i);
size_t conf_n_warnings(const struct conf *conf);
const char *conf_warning_at(const struct conf *conf, size_t i);
/* Each as a line; warnings by say_warn(), problems by say_error(). */
void conf_say_warnings(const struct conf *conf);
void conf_say_problems(const struct conf *conf);

/* What a program does at its start: conf_new(), the file (NULL: none), the overrides and
 * conf_finish(); problems are judged by conf_accept(), when all that is worked out from it is
 * there. */
struct conf *conf_read(const struct conf_table *table, void *values, const char *path,
                       size_t n_overrides, const char *const *overrides);
/* Says warnings and problems. ERR_INVALID_CONFIG when there are problems: *conf is freed then. */
enum err conf_accept(struct conf **conf) MUST_USE;

/* Whether the key was set, to a value that is one. */
bool conf_is_set(const struct conf *conf, const char *name);
/* The text as it was given; null when it was not set. Borrowed from conf. */
struct str conf_given(const struct conf *conf, const char *name);
/* What was set, in no order, unknown ones included: a walk by index until name is null. */
void conf_setting_at(const struct conf *conf, size_t i, struct str *name, struct str *value);

/* For people: name, type, default, what it is for. */
void conf_print_help(const struct conf_table *table, FILE *out);
/* A properties file with every key commented out. */
void conf_print_sample(const struct conf_table *table, FILE *out);

const char *conf_type_name(enum conf_type type);

#endif
