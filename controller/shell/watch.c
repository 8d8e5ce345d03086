/*
 * A standing watch for each place. What it tells first belongs to before the load, or is read by
 * the load again: names go to the core at once (which drops them before LOADED), registrations lead
 * to a RELOAD of them all, once the first content of every one of them has been told. What changes
 * while the load goes on may be younger than its reads: after it everything is told once more.
 *
 * Change notes are numbered: those above the last one seen name an entity whose settings are read
 * again, once the core has had LOADED. If an answer was lost with its connection, all from that one
 * on are read once more: settings may be read twice, but not never. Whoever sees a note that is
 * older than a quarter of an hour removes it, as Kafka's brokers do.
 */
#include "controller/shell/watch.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/zk/zk_tree.h"
#include "common/zk/zk_watch.h"

#define NOTE_AGE_MS_MAX (15 * 60 * 1000)

struct broker_watch {
    struct broker_watch *next;
    struct cluster_watch *watch;
    struct zk_watch *data;
    int32_t id;
    bool told; /* for the first time */
    bool keep; /* still registered */
};

/* A reading of change notes; outlives the watch if it must. */
struct notes {
    struct cluster_watch *watch; /* NULL: stopped */
    unsigned out;
};

struct cluster_watch {
    struct zk *zk;
    struct loader *loader;
    struct sink sink;
    struct zk_watch *ids, *topics, *marks, *changes, *isr, *dirs, *moves, *elections;
    bool loaded; /* notes, and what old tools leave, are dealt with from now on */
    struct broker_watch *brokers;
    unsigned n_untold; /* brokers whose first content is awaited */
    int64_t last_note; /* number of the last change note that has been dealt with */
    int64_t lost_note; /* lowest number of one whose answer was lost since, INT64_MAX: none */
    bool notes_seen;   /* the first list of them has come */
    struct notes *notes;
};

static const struct core_reload reload_brokers = { .what = RELOAD_BROKERS };

/* ---- brokers ----------------------------------------------------------------------------------
 */

/* Also that one cannot be read, which must not keep the others waiting. */
static void on_broker(void *arg, const struct zk_answer *answer)
{
    struct broker_watch *broker = arg;
    struct cluster_watch *watch = broker->watch;

    (void)answer;
    if (!broker->told) {
        broker->told = true;
        watch->n_untold--;
    }
    if (watch->n_untold == 0)
        loader_run(watch->loader, &reload_brokers, 0);
}

static void broker_add(struct cluster_watch *watch, int32_t id)
{
    struct broker_watch *broker;
    struct arena arena;

    for (broker = watch->brokers; broker != NULL; broker = broker->next) {
        if (broker->id == id) {
            broker->keep = true;
            return;
        }
    }
    broker = xmalloc(sizeof *broker);
    *broker =
        (struct broker_watch){ .next = watch->brokers, .watch = watch, .id = id, .keep = true };
    watch->brokers = broker;
    watch->n_untold++;
    arena_init(&arena, SIZE_MAX);
    broker->data =
        zk_watch_start(watch->zk, ZK_WATCH_DATA, zk_path_broker(&arena, id), on_broker, broker);
    zk_watch_tell_failures(broker->data);
    arena_fini(&arena);
}

/* Those that are not to be kept go. */
static void brokers_trim(struct cluster_watch *watch)
{
    for (struct broker_watch **at = &watch->brokers; *at != NULL;) {
        struct broker_watch *broker = *at;

        if (broker->keep) {
            broker->keep = false;
            at = &broker->next;
            continue;
        }
        *at = broker->next;
        watch->n_untold -= !broker->told;
        zk_watch_stop(&broker->data);
        free(broker);
    }
}

static void on_broker_ids(void *arg, const struct zk_answer *answer)
{
    struct cluster_watch *watch = arg;

    for (size_t i = 0; i < answer->n_children; i++) {
        int32_t id;

        if (zk_leaf_id(answer->children[i], &id))
            broker_add(watch, id);
    }
    brokers_trim(watch);
    if (watch->n_untold == 0)
        loader_run(watch->loader, &reload_brokers, 0);
}

/* ---- names ------------------------------------------------------------------------------------
 */

static void on_topics(void *arg, const struct zk_answer *answer)
{
    struct cluster_watch *watch = arg;
    struct core_event event = { .kind = CORE_TOPIC_NAMES,
                                .names = { .n = answer->n_children, .names = answer->children } };

    watch->sink.on_event(watch->sink.arg, &event);
}

static void on_marks(void *arg, const struct zk_answer *answer)
{
    struct cluster_watch *watch = arg;
    struct core_event event = { .kind = CORE_DELETE_MARKS,
                                .names = { .n = answer->n_children, .names = answer->children } };

    watch->sink.on_event(watch->sink.arg, &event);
}

/* ---- notes ------------------------------------------------------------------------------------
 */

/* "config_change_0000000012" */
static bool note_number(struct str leaf, int64_t *number)
{
    size_t at = leaf.len;

    while (at > 0 && leaf.ptr[at - 1] >= '0' && leaf.ptr[at - 1] <= '9')
        at--;
    return str_to_i64((struct str){ .ptr = leaf.ptr + at, .len = leaf.len - at }, number);
}

/* A note of that place could not be read; list and read them all again. */
static void look_again(struct cluster_watch *watch, struct str path)
{
    int64_t number;

    if (str_starts_with(path, STR(ZK_ISR_CHANGES))) {
        zk_watch_again(watch->isr);
    } else if (str_starts_with(path, STR(ZK_LOG_DIR_EVENTS))) {
        zk_watch_again(watch->dirs);
    } else {
        if (note_number(zk_path_leaf(path), &number) && number < watch->lost_note)
            watch->lost_note = number;
        zk_watch_again(watch->changes);
    }
}

/* Every answer begins with this; false: there is no note. */
static bool notes_back(struct notes *notes, const struct zk_answer *answer)
{
    notes->out--;
    if (notes->watch != NULL) {
        if (answer->err == ERR_CONNECTION_LOSS)
            look_again(notes->watch, answer->path);
        return answer->err == ERR_OK;
    }
    if (notes->out == 0)
        free(notes);
    return false;
}

/* What a znode can be called. */
static bool is_leaf(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '/' || (unsigned char)name.ptr[i] < ' ')
            return false;
    }
    return name.len > 0 && !str_is(name, ".") && !str_is(name, "..");
}

/* Anybody may write notes, and what is no path cannot even be found missing. */
static bool is_entity(struct str type, struct str name)
{
    const char *const *known = zk_tree_entity_types;
    struct str user, rest, clients, client;

    while (*known != NULL && !str_is(type, *known))
        known++;
    user = str_split(name, '/', &rest);
    if (*known == NULL || !is_leaf(user))
        return false;
    if (str_is_null(rest))
        return true;
    clients = str_split(rest, '/', &client);
    return str_is(type, "users") && str_is(clients, "clients") && is_leaf(client);
}

static void tell_change(struct cluster_watch *watch, const struct zk_answer *note)
{
    struct str type, name;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    if (zk_parse_config_change(&arena, note->data, &type, &name) == ERR_OK && is_entity(type, name))
        loader_run_config(watch->loader, type, name);
    else
        say_warn("a note names nothing that has settings, passed over path=%.*s",
                 STR_ARG(note->path));
    arena_fini(&arena);
}

static void on_note(void *arg, const struct zk_answer *answer)
{
    struct notes *notes = arg;
    struct cluster_watch *watch;
    int64_t number;

    if (!notes_back(notes, answer) || !note_number(zk_path_leaf(answer->path), &number))
        return;
    watch = notes->watch;
    if (number > watch->last_note && !watch->loaded)
        return; /* stays until somebody can be told */
    if (number > watch->last_note) {
        watch->last_note = number; /* they come in the order of their numbers */
        tell_change(watch, answer);
    }
    if (clock_wall_ms() - answer->stat.ctime_ms > NOTE_AGE_MS_MAX)
        zk_delete(watch->zk, answer->path.ptr, ZK_ANY_VERSION, NULL, NULL);
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void on_changes(void *arg, const struct zk_answer *answer)
{
    struct cluster_watch *watch = arg;
    struct arena arena;
    struct str *names;
    int64_t number;

    if (watch->lost_note <= watch->last_note)
        watch->last_note = watch->lost_note - 1;
    watch->lost_note = INT64_MAX;
    arena_init(&arena, SIZE_MAX);
    names = arena_dup(&arena, answer->children, answer->n_children * sizeof *names);
    if (answer->n_children > 0)
        qsort(names, answer->n_children, sizeof *names, by_name);
    for (size_t i = 0; i < answer->n_children; i++) {
        if (!watch->notes_seen && note_number(names[i], &number) && number > watch->last_note)
            watch->last_note = number; /* the load reads what these announce */
        watch->notes->out++;
        zk_get(watch->zk, zk_path_child(&arena, ZK_CONFIG_CHANGES, names[i]), false, on_note,
               watch->notes);
    }
    watch->notes_seen = true;
    arena_fini(&arena);
}

/* ---- what old tools and brokers leave ----------------------------------------------------------
 */

static void tell_wishes(struct cluster_watch *watch, enum core_event_kind kind,
                        const struct zk_answer *answer)
{
    struct core_event event = { .kind = kind, .wishes = { .there = answer->err == ERR_OK } };
    struct core_named_part *at;
    struct zk_parts_named parts = { .n = 0 };
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    if (event.wishes.there && zk_parse_parts_named(&arena, answer->data, &parts) != ERR_OK)
        say_warn("cannot read what is wanted, it goes path=%.*s", STR_ARG(answer->path));
    at = arena_zalloc(&arena, parts.n, sizeof *at);
    for (size_t i = 0; i < parts.n; i++)
        at[i] = (struct core_named_part){ .topic = parts.at[i].topic,
                                          .partition = parts.at[i].partition,
                                          .replicas = parts.at[i].replicas };
    event.wishes.parts = (struct core_named_parts){ .n = parts.n, .at = at };
    watch->sink.on_event(watch->sink.arg, &event);
    arena_fini(&arena);
}

static void on_moves(void *arg, const struct zk_answer *answer)
{
    struct cluster_watch *watch = arg;

    if (watch->loaded)
        tell_wishes(watch, CORE_MOVES_WANTED, answer);
}

static void on_elections(void *arg, const struct zk_answer *answer)
{
    struct cluster_watch *watch = arg;

    if (watch->loaded)
        tell_wishes(watch, CORE_ELECTIONS_WANTED, answer);
}

static void on_isr_note(void *arg, const struct zk_answer *answer)
{
    struct notes *notes = arg;
    struct cluster_watch *watch = notes->watch;
    struct core_event event = { .kind = CORE_ISR_CHANGED };
    struct core_named_part *at;
    struct zk_parts_named parts = { .n = 0 };
    struct arena arena;

    if (!notes_back(notes, answer))
        return;
    arena_init(&arena, SIZE_MAX);
    if (zk_parse_parts_named(&arena, answer->data, &parts) != ERR_OK)
        say_warn("cannot read a note of changed states path=%.*s", STR_ARG(answer->path));
    at = arena_zalloc(&arena, parts.n, sizeof *at);
    for (size_t i = 0; i < parts.n; i++)
        at[i] = (struct core_named_part){ .topic = parts.at[i].topic,
                                          .partition = parts.at[i].partition };
    event.named_parts = (struct core_named_parts){ .n = parts.n, .at = at };
    zk_delete(watch->zk, answer->path.ptr, ZK_ANY_VERSION, NULL, NULL);
    if (parts.n > 0)
        watch->sink.on_event(watch->sink.arg, &event);
    arena_fini(&arena);
}

static void on_dir_note(void *arg, const struct zk_answer *answer)
{
    struct notes *notes = arg;
    struct cluster_watch *watch = notes->watch;
    struct core_event event = { .kind = CORE_DIR_EVENT };
    struct arena arena;

    if (!notes_back(notes, answer))
        return;
    arena_init(&arena, SIZE_MAX);
    zk_delete(watch->zk, answer->path.ptr, ZK_ANY_VERSION, NULL, NULL);
    if (zk_parse_log_dir_event(&arena, answer->data, &event.dir_event.broker) == ERR_OK)
        watch->sink.on_event(watch->sink.arg, &event);
    else
        say_warn("cannot read a note of a lost directory path=%.*s", STR_ARG(answer->path));
    arena_fini(&arena);
}

static void read_children(struct cluster_watch *watch, const char *parent,
                          const struct zk_answer *answer, zk_done *done)
{
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    for (size_t i = 0; watch->loaded && i < answer->n_children; i++) {
        watch->notes->out++;
        zk_get(watch->zk, zk_path_child(&arena, parent, answer->children[i]), false, done,
               watch->notes);
    }
    arena_fini(&arena);
}

/* Only brokers of Kafka before 2.7 leave these, and those that lose a directory; ours report both
 * on their stream. */
static void on_isr_changes(void *arg, const struct zk_answer *answer)
{
    read_children(arg, ZK_ISR_CHANGES, answer, on_isr_note);
}

static void on_dir_events(void *arg, const struct zk_answer *answer)
{
    read_children(arg, ZK_LOG_DIR_EVENTS, answer, on_dir_note);
}

/* ---- the module -------------------------------------------------------------------------------
 */

struct cluster_watch *cluster_watch_new(struct zk *zk, struct loader *loader,
                                        const struct sink *sink)
{
    struct cluster_watch *watch = xcalloc(1, sizeof *watch);

    watch->zk = zk;
    watch->loader = loader;
    watch->sink = *sink;
    return watch;
}

void cluster_watch_start(struct cluster_watch *watch)
{
    struct zk *zk = watch->zk;

    cluster_watch_stop(watch);
    watch->last_note = -1;
    watch->lost_note = INT64_MAX;
    watch->notes_seen = watch->loaded = false;
    watch->notes = xcalloc(1, sizeof *watch->notes);
    watch->notes->watch = watch;
    watch->ids = zk_watch_start(zk, ZK_WATCH_CHILDREN, ZK_BROKER_IDS, on_broker_ids, watch);
    watch->topics = zk_watch_start(zk, ZK_WATCH_CHILDREN, ZK_TOPICS, on_topics, watch);
    watch->marks = zk_watch_start(zk, ZK_WATCH_CHILDREN, ZK_DELETE_TOPICS, on_marks, watch);
    watch->changes = zk_watch_start(zk, ZK_WATCH_CHILDREN, ZK_CONFIG_CHANGES, on_changes, watch);
    watch->isr = zk_watch_start(zk, ZK_WATCH_CHILDREN, ZK_ISR_CHANGES, on_isr_changes, watch);
    watch->dirs = zk_watch_start(zk, ZK_WATCH_CHILDREN, ZK_LOG_DIR_EVENTS, on_dir_events, watch);
    watch->moves = zk_watch_start(zk, ZK_WATCH_DATA, ZK_REASSIGN, on_moves, watch);
    watch->elections = zk_watch_start(zk, ZK_WATCH_DATA, ZK_PREFERRED, on_elections, watch);
}

void cluster_watch_loaded(struct cluster_watch *watch)
{
    watch->loaded = true;
    zk_watch_again(watch->ids);
    zk_watch_again(watch->topics);
    zk_watch_again(watch->marks);
    zk_watch_again(watch->changes);
    zk_watch_again(watch->isr);
    zk_watch_again(watch->dirs);
    zk_watch_again(watch->moves);
    zk_watch_again(watch->elections);
}

void cluster_watch_stop(struct cluster_watch *watch)
{
    zk_watch_stop(&watch->ids);
    zk_watch_stop(&watch->topics);
    zk_watch_stop(&watch->marks);
    zk_watch_stop(&watch->changes);
    zk_watch_stop(&watch->isr);
    zk_watch_stop(&watch->dirs);
    zk_watch_stop(&watch->moves);
    zk_watch_stop(&watch->elections);
    watch->loaded = false;
    for (struct broker_watch *broker = watch->brokers; broker != NULL; broker = broker->next)
        broker->keep = false;
    brokers_trim(watch);
    if (watch->notes != NULL) {
        watch->notes->watch = NULL;
        if (watch->notes->out == 0)
            free(watch->notes);
        watch->notes = NULL;
    }
}

void cluster_watch_free(struct cluster_watch **watch)
{
    if (*watch == NULL)
        return;
    cluster_watch_stop(*watch);
    free(*watch);
    *watch = NULL;
}
