/*
 * The table is an immutable snapshot that is made anew when a partition comes or goes, so that a
 * request looks its partitions up without waiting for anybody. Roles change inside the partitions
 * and need no new table.
 *
 * Applying goes by topic: files that must go (tombstones), partitions that the change names,
 * settings, brokers that came or went. One partition's failure (a directory that is offline, an
 * older epoch) goes into the result and stops nobody else.
 */
#include "broker/replica/parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "broker/replica/parts_int.h"
#include "broker/replica/parts_table.h"
#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/io/reactor.h"
#include "common/model/topic_conf.h"

/* Fewer strays than this are parked in any case; more only when they are a small share. */
#define STRAYS_FEW       10
#define STRAYS_SHARE_MAX 10 /* one in so many */

/* ---- the table ---- */

const struct parts_table *parts_get_table(struct parts *parts)
{
    return container_of(snap_get_ref(&parts->table), struct parts_table, head);
}

void parts_put_table(const struct parts_table **table)
{
    struct snap_head *head = (struct snap_head *)(uintptr_t) & (*table)->head;

    *table = NULL;
    snap_unref(&head);
}

static void publish(struct parts *parts, struct part **all, size_t count)
{
    struct snap_head *head = &parts_table_new(all, count)->head;

    snap_publish(&parts->table, &head);
}

/* ---- a change in the making ---- */

/* A partition whose log a full disk had no room for. */
struct roomless {
    struct uuid topic_id;
    int32_t partition;
    bool is_new;
};

struct added { /* the reference is the one that the table will hold */
    struct added_key {
        struct uuid topic_id;
        int32_t partition;
    } key;
    struct part *part;
    UT_hash_handle hh; /* uthash keeps the order of adding, too */
};

struct removed {
    const struct part *part; /* lent by `before`, or added */
    UT_hash_handle hh;
};

struct change {
    struct parts *parts;
    const struct parts_table *before;
    const struct image *image;
    bool has_roles;          /* those of the change are set */
    const struct image *old; /* what a delta was applied to; NULL: it is the whole image */
    int64_t now_ms;
    struct parts_result *out;
    struct added *added;     /* by topic id and partition */
    struct removed *removed; /* by address */
    struct part_live *live;  /* scratch */
    size_t live_cap;
    bool takes_new;         /* what is opened is new, whatever `old` says */
    struct uuid conf_topic; /* whose settings these are; zero: nobody's yet */
    struct part_conf conf;
};

static struct added_key key_of(struct uuid topic_id, int32_t partition)
{
    struct added_key key;

    memset(&key, 0, sizeof key); /* compared with what pads it */
    key.topic_id = topic_id;
    key.partition = partition;
    return key;
}

static void add_part(struct change *change, struct part *part)
{
    struct added *added = xcalloc(1, sizeof *added);

    added->key = key_of(part_topic_id(part), part_partition(part));
    added->part = part;
    HASH_ADD(hh, change->added, key, sizeof added->key, added);
}

static bool is_removed(const struct change *change, const struct part *part)
{
    struct removed *removed;

    HASH_FIND_PTR(change->removed, &part, removed);
    return removed != NULL;
}

static struct part *find_now(const struct change *change, struct uuid topic_id, int32_t partition)
{
    struct added_key key = key_of(topic_id, partition);
    struct added *added;

    HASH_FIND(hh, change->added, &key, sizeof key, added);
    if (added != NULL)
        return added->part;
    struct part *part = parts_find_id(change->before, topic_id, partition);
    return part != NULL && !is_removed(change, part) ? part : NULL;
}

/* Partitions come topic by topic, mostly: their settings are made once for each. */
static const struct part_conf *settings_of(struct change *change, struct uuid topic_id,
                                           struct str topic)
{
    const struct parts_conf *conf = &change->parts->conf;

    if (!uuid_eq(change->conf_topic, topic_id)) {
        conf->conf_of(conf->ctx, change->image, topic, &change->conf);
        change->conf_topic = topic_id;
    }
    return &change->conf;
}

static void fail(struct change *change, struct uuid topic_id, int32_t partition, struct part *part,
                 enum err err)
{
    struct parts_result *out = change->out;
    struct part_info info = { .leader_epoch = -1, .partition_epoch = -1 };

    if (part != NULL)
        part_get_info(part, &info);
    array_reserve(&out->failures, &out->failures_cap, out->failures_len, sizeof *out->failures);
    out->failures[out->failures_len++] = (struct parts_failure){
        .topic_id = topic_id,
        .partition = partition,
        .leader_epoch = info.leader_epoch,
        .partition_epoch = info.partition_epoch,
        .err = err,
    };
}

static void remove_part(struct change *change, struct part *part)
{
    if (change->parts->conf.fetchers != NULL)
        fetchers_unfollow(change->parts->conf.fetchers, part);
    part_close(part, image_part(change->image, part_topic_id(part), part_partition(part)) != NULL
                         ? ERR_NOT_LEADER_OR_FOLLOWER
                         : ERR_UNKNOWN_TOPIC_OR_PARTITION);
    if (change->parts->conf.moves != NULL)
        moves_forget(change->parts->conf.moves, part);
    if (is_removed(change, part))
        return;
    struct removed *removed = xcalloc(1, sizeof *removed);
    removed->part = part;
    HASH_ADD_PTR(change->removed, part, removed);
}

static void park(struct change *change, const char *topic, int32_t partition, const char *why)
{
    enum err err = logs_park(change->parts->conf.logs, topic, partition);

    reactor_progress(reactor_current());

    if (err == ERR_OK)
        atomic_fetch_add_explicit(&change->parts->strays, 1, memory_order_relaxed);
    say_warn("parked a stray log %s-%d why=%s result=%s", topic, partition, why, err_name(err));
}

/* ---- tombstones ---- */

/* Of a move that nobody goes on with; one that is under way ends by moves_forget(). */
static void delete_copy(struct logs *logs, const char *topic, int32_t partition)
{
    struct log *copy = logs_get_future_ref(logs, topic, partition);

    if (copy != NULL && logs_delete_future(logs, copy) != ERR_OK)
        say_warn("cannot delete the copy log=%s", log_name(copy));
    log_unref(&copy);
}

static void bury(struct change *change, const struct image_tombstone *stone)
{
    struct parts *parts = change->parts;
    struct parts_result *out = change->out;
    const struct image_part *assigned =
        image_part(change->image, stone->topic_id, stone->partition);
    struct part *part = find_now(change, stone->topic_id, stone->partition);
    struct part_info info = { .leader_epoch = -1 };
    char topic[256];

    if (stone->broker != parts->conf.broker_id)
        return;
    reactor_progress(reactor_current());
    if (assigned != NULL && ids_has(assigned->replicas, parts->conf.broker_id))
        return; /* assigned to us again since: that is newer */
    if (part != NULL)
        part_get_info(part, &info);
    if (info.leader_epoch > stone->leader_epoch) {
        fail(change, stone->topic_id, stone->partition, part, ERR_FENCED_LEADER_EPOCH);
        return;
    }
    if (stone->topic.len >= sizeof topic)
        return;
    memcpy(topic, stone->topic.ptr, stone->topic.len);
    topic[stone->topic.len] = '\0';
    if (part != NULL)
        remove_part(change, part);

    struct log *log = logs_get_ref(parts->conf.logs, topic, stone->partition);
    bool found = log != NULL;
    if (found) {
        bool same = uuid_eq(log_topic_id(log), stone->topic_id);
        bool newer = same && log_latest_epoch(log) > stone->leader_epoch;

        log_unref(&log);
        if (newer) { /* nobody holds it as a partition, but its records tell */
            fail(change, stone->topic_id, stone->partition, NULL, ERR_FENCED_LEADER_EPOCH);
            return;
        }
        if (same) {
            enum err err = logs_delete(parts->conf.logs, topic, stone->partition);

            say_info("deleting " TP_FMT " result=%s", STR_ARG(stone->topic), stone->partition,
                     err_name(err));
            delete_copy(parts->conf.logs, topic, stone->partition);
            if (err != ERR_OK) {
                fail(change, stone->topic_id, stone->partition, NULL, err);
                return;
            }
        }
    }
    if (!found && logs_any_offline(parts->conf.logs)) {
        /* It may lie in the failed directory and come back with it: the stone must stay. */
        fail(change, stone->topic_id, stone->partition, NULL, ERR_KAFKA_STORAGE_ERROR);
        return;
    }
    array_reserve(&out->deleted, &out->deleted_cap, out->deleted_len, sizeof *out->deleted);
    out->deleted[out->deleted_len++] = *stone;
}

/* ---- roles ---- */

/* Nothing of it can be on a directory that is offline (KAFKA-10314): a delta makes us a replica. A
 * first state may be years old, and who is being added may have had all that is committed. */
static bool is_new(const struct change *change, struct uuid topic_id, const struct image_part *now)
{
    const struct image *old = change->old;
    const struct image_part *part = old != NULL ? image_part(old, topic_id, now->index) : NULL;
    bool was_ours = part != NULL && ids_has(part->replicas, change->parts->conf.broker_id);

    return change->takes_new || (old != NULL && !was_ours);
}

/* The same name, but a topic that was deleted while we were away. Its files are not this one's. */
static void park_former(struct change *change, const struct image_topic *topic, int32_t partition)
{
    struct part *old = parts_find(change->before, topic->name, partition);

    if (old != NULL && !is_removed(change, old))
        remove_part(change, old);
    park(change, topic->name.ptr, partition, "another topic id");
}

static enum err open_log(struct change *change, const struct image_topic *topic,
                         const struct image_part *state, struct log **log)
{
    struct logs *logs = change->parts->conf.logs;
    enum err err = logs_create(logs, topic->name.ptr, state->index, topic->id,
                               is_new(change, topic->id, state), NULL, log);

    if (err != ERR_INCONSISTENT_TOPIC_ID)
        return err;
    log_unref(log);
    park_former(change, topic, state->index);
    return logs_create(logs, topic->name.ptr, state->index, topic->id,
                       is_new(change, topic->id, state), NULL, log);
}

static void set_conf(struct change *change, struct part *part, const struct part_conf *settings)
{
    int32_t partition = part_partition(part), broker = change->parts->conf.broker_id;

    part_set_throttled(part,
                       topic_conf_is_throttled(settings->throttled_leaders, partition, broker),
                       topic_conf_is_throttled(settings->throttled_followers, partition, broker));
    part_set_conf(part, &settings->validate, settings->min_isr, change->parts->conf.lag_max_ms,
                  change->now_ms);
}

static struct roomless *find_roomless(struct parts *parts, struct uuid topic_id, int32_t partition)
{
    for (size_t i = 0; i < parts->roomless_len; i++)
        if (parts->roomless[i].partition == partition &&
            uuid_eq(parts->roomless[i].topic_id, topic_id))
            return &parts->roomless[i];
    return NULL;
}

static void add_roomless(struct change *change, struct uuid topic_id,
                         const struct image_part *state)
{
    struct parts *parts = change->parts;

    if (find_roomless(parts, topic_id, state->index) != NULL)
        return;
    array_reserve(&parts->roomless, &parts->roomless_cap, parts->roomless_len,
                  sizeof *parts->roomless);
    parts->roomless[parts->roomless_len++] = (struct roomless){
        .topic_id = topic_id, .partition = state->index, .is_new = is_new(change, topic_id, state)
    };
}

static void found_room(struct change *change, struct uuid topic_id, struct part *part)
{
    struct parts *parts = change->parts;
    struct roomless *entry = find_roomless(parts, topic_id, part_partition(part));

    if (entry == NULL)
        return;
    *entry = parts->roomless[--parts->roomless_len];
    say_info("found room for %s", part_name(part));
}

static struct part *open_part(struct change *change, const struct image_topic *topic,
                              const struct image_part *state)
{
    const struct parts_conf *conf = &change->parts->conf;
    struct log *log = NULL;
    enum err err = open_log(change, topic, state, &log);

    if (err != ERR_OK) {
        say_error("cannot open the log of " TP_FMT " err=%s", STR_ARG(topic->name), state->index,
                  err_name(err));
        if (log != NULL)
            log_unref(&log);
        if (err == ERR_NO_SPACE) {
            add_roomless(change, topic->id, state);
            err = ERR_KAFKA_STORAGE_ERROR; /* others are to lead meanwhile */
        }
        fail(change, topic->id, state->index, NULL, err);
        return NULL;
    }
    const struct part_conf *settings = settings_of(change, topic->id, topic->name);
    log_set_conf(log, &settings->log);
    int64_t hw = logs_saved_hw(conf->logs, log);
    struct part *part = part_new(&change->parts->env, topic->name.ptr, topic->id, state->index,
                                 &log, hw < 0 ? 0 : hw, settings->min_isr, conf->lag_max_ms);
    set_conf(change, part, settings);
    if (conf->moves != NULL)
        moves_adopt(conf->moves, part);
    add_part(change, part);
    found_room(change, topic->id, part);
    return part;
}

static bool is_live(const struct node *node)
{
    return node != NULL && node->state == NODE_LIVE;
}

static void set_role(struct change *change, struct part *part, const struct image_topic *topic,
                     const struct image_part *state)
{
    const struct parts_conf *conf = &change->parts->conf;
    const struct node *self = image_node(change->image, conf->broker_id);
    struct part_effects effects;

    array_reserve(&change->live, &change->live_cap, state->replicas.n, sizeof *change->live);
    for (uint32_t i = 0; i < state->replicas.n; i++) {
        const struct node *node = image_node(change->image, state->replicas.at[i]);

        change->live[i] = (struct part_live){ .id = state->replicas.at[i],
                                              .broker_epoch = node != NULL ? node->epoch : -1,
                                              .live = is_live(node) };
    }
    struct part_event ev = { .kind = PART_EV_ROLE,
                             .role = {
                                 .leader = state->leader,
                                 .leader_epoch = state->leader_epoch,
                                 .partition_epoch = state->partition_epoch,
                                 .replicas = state->replicas.at,
                                 .replicas_len = (int32_t)state->replicas.n,
                                 .isr = state->isr.at,
                                 .isr_len = (int32_t)state->isr.n,
                                 .recovering = state->recovering,
                                 .live = change->live,
                                 .my_epoch = self != NULL ? self->epoch : -1,
                             } };

    part_set_role(part, &ev, change->now_ms, &effects);
    if (effects.refused != ERR_OK) {
        say_warn("refused an older state of %s epoch=%d partition_epoch=%d", part_name(part),
                 state->leader_epoch, state->partition_epoch);
        fail(change, topic->id, state->index, part, effects.refused);
        return;
    }
    if (effects.sync_tail)
        parts_sync(change->parts, part, state->leader_epoch);
    if (conf->fetchers == NULL)
        return;
    if (effects.start_fetching)
        fetchers_follow(conf->fetchers, part, state->leader, state->leader_epoch);
    else if (effects.stop_fetching)
        fetchers_unfollow(conf->fetchers, part);
}

static void apply_part(struct change *change, const struct image_topic *topic,
                       const struct image_part *state)
{
    struct part *part = find_now(change, topic->id, state->index);
    bool mine = ids_has(state->replicas, change->parts->conf.broker_id);

    reactor_progress(reactor_current()); /* files are made, one partition after the other */
    if (!mine) {                         /* its files wait for their tombstone */
        if (part != NULL)
            remove_part(change, part);
        return;
    }
    if (part == NULL)
        part = open_part(change, topic, state);
    if (part == NULL)
        return;
    if (part_is_offline(part)) { /* also for a controller that does not know yet */
        fail(change, topic->id, state->index, part, ERR_KAFKA_STORAGE_ERROR);
        return;
    }
    set_role(change, part, topic, state);
    /* It has found room since: said as long as the controller does not know, for a word may be lost
     * with its stream. */
    if (ids_has(state->offline, change->parts->conf.broker_id))
        fail(change, topic->id, state->index, part, ERR_OK);
}

static void apply_topic(struct change *change, const struct image_topic *topic,
                        const struct image_topic_change *only)
{
    if (only == NULL) {
        for (int32_t i = 0; i < topic->n_parts; i++)
            apply_part(change, topic, image_topic_part(topic, i));
        return;
    }
    for (size_t i = 0; i < only->n_parts; i++) {
        const struct image_part *state = image_topic_part(topic, only->parts[i].index);

        if (state != NULL)
            apply_part(change, topic, state);
    }
}

/* ---- many new ones at once ---- */

struct wanted {
    struct logs_wanted *at;
    size_t n, cap;
};

static bool is_taken(struct change *change, const struct image_topic *topic, int32_t partition)
{
    struct log *log = logs_get_ref(change->parts->conf.logs, topic->name.ptr, partition);
    struct uuid id = log != NULL ? log_topic_id(log) : UUID_ZERO;

    log_unref(&log);
    return !uuid_is_zero(id) && !uuid_eq(id, topic->id);
}

/* All logs that are in the way go before the first one is made: making one after some have gone
 * writes their directory's files anew. */
static void want(struct change *change, const struct image_topic *topic,
                 const struct image_part *state, struct wanted *wanted)
{
    if (state == NULL || !ids_has(state->replicas, change->parts->conf.broker_id) ||
        find_now(change, topic->id, state->index) != NULL)
        return;
    if (is_taken(change, topic, state->index))
        park_former(change, topic, state->index);
    array_reserve(&wanted->at, &wanted->cap, wanted->n, sizeof *wanted->at);
    wanted->at[wanted->n++] = (struct logs_wanted){ .topic = topic->name.ptr,
                                                    .partition = state->index,
                                                    .topic_id = topic->id,
                                                    .is_new = is_new(change, topic->id, state) };
}

/* Their logs are there when the partitions are opened, one after the other. */
static void make_logs(struct change *change, const struct image_delta *delta)
{
    struct image_cursor at = { 0 };
    const struct image_topic *topic;
    struct wanted wanted = { .n = 0 };

    for (size_t t = 0; delta != NULL && t < delta->n_topics; t++) {
        topic = image_topic(change->image, delta->topics[t].id);
        for (size_t i = 0; topic != NULL && i < delta->topics[t].n_parts; i++)
            want(change, topic, image_topic_part(topic, delta->topics[t].parts[i].index), &wanted);
    }
    while (delta == NULL && (topic = image_next_topic(change->image, &at)) != NULL)
        for (int32_t i = 0; i < topic->n_parts; i++)
            want(change, topic, image_topic_part(topic, i), &wanted);
    logs_create_ahead(change->parts->conf.logs, wanted.at, wanted.n);
    free(wanted.at);
}

/* ---- settings and brokers ---- */

/* Until the roles are set, the larger min.insync.replicas of before and now: the one that a smaller
 * ISR was decided under, and no smaller one for a leader that leads no more. */
static void apply_conf(struct change *change, struct part *part)
{
    struct part_conf settings = *settings_of(change, part_topic_id(part), str_of(part_topic(part)));
    struct part_info info;

    if (!change->has_roles) {
        part_get_info(part, &info);
        if (info.min_isr > settings.min_isr)
            settings.min_isr = info.min_isr;
        part_set_log_conf(part, &settings.log);
    }
    set_conf(change, part, &settings);
}

/* Of every partition that was there before: those opened in this change have them already. */
static void apply_all_configs(struct change *change)
{
    for (size_t i = 0; i < change->before->count; i++)
        if (!is_removed(change, change->before->all[i]))
            apply_conf(change, change->before->all[i]);
}

static void apply_topic_config(struct change *change, struct str name)
{
    const struct image_topic *topic = image_topic_named(change->image, name);

    for (int32_t i = 0; topic != NULL && i < topic->n_parts; i++) {
        struct part *part = parts_find_id(change->before, topic->id, i);

        if (part != NULL && !is_removed(change, part))
            apply_conf(change, part);
    }
}

static bool is_for_broker(const struct image_config *config, int32_t broker_id)
{
    char id[16];

    snprintf(id, sizeof id, "%d", broker_id);
    return str_is(config->type, "brokers") &&
           (str_is(config->name, "<default>") || str_is(config->name, id));
}

static void apply_configs(struct change *change, const struct image_delta *delta)
{
    for (size_t i = 0; i < delta->n_configs; i++) {
        if (is_for_broker(&delta->configs[i], change->parts->conf.broker_id)) {
            apply_all_configs(change);
            return;
        }
    }
    for (size_t i = 0; i < delta->n_configs; i++)
        if (str_is(delta->configs[i].type, "topics"))
            apply_topic_config(change, delta->configs[i].name);
}

static void apply_brokers(struct change *change, const struct image_delta *delta)
{
    const struct parts_table *table = change->before;

    for (size_t b = 0; b < delta->n_brokers; b++) {
        const struct node *node = &delta->brokers[b];

        for (size_t i = 0; i < table->count; i++)
            part_set_live(table->all[i], node->id, node->epoch, is_live(node), change->now_ms);
    }
    for (uint32_t b = 0; b < delta->brokers_gone.n; b++)
        for (size_t i = 0; i < table->count; i++)
            part_set_live(table->all[i], delta->brokers_gone.at[b], -1, false, change->now_ms);
}

/* ---- a whole image: what is here that it does not name? ---- */

struct stray_scan {
    const struct image *image;
    int32_t broker_id;
    size_t logs, strays;
    struct log **found; /* references */
    size_t found_cap;
};

static void scan_log(void *ctx, struct log *log)
{
    struct stray_scan *scan = ctx;
    struct uuid id = log_topic_id(log);
    const struct image_topic *topic = uuid_is_zero(id)
                                          ? image_topic_named(scan->image, str_of(log_topic(log)))
                                          : image_topic(scan->image, id);
    const struct image_part *part =
        topic != NULL ? image_topic_part(topic, log_partition(log)) : NULL;

    if (log_is_future(log))
        return; /* goes on or goes with its partition */
    scan->logs++;
    if (part != NULL && ids_has(part->replicas, scan->broker_id))
        return;
    if (image_tombstone(scan->image, scan->broker_id, id, log_partition(log)) != NULL)
        return;
    array_reserve(&scan->found, &scan->found_cap, scan->strays, sizeof(struct log *));
    scan->found[scan->strays++] = log_ref(log);
}

static enum err park_strays(struct change *change)
{
    struct stray_scan scan = { .image = change->image, .broker_id = change->parts->conf.broker_id };
    enum err err = ERR_OK;

    logs_each(change->parts->conf.logs, scan_log, &scan);
    if (scan.strays > STRAYS_FEW && scan.strays > scan.logs / STRAYS_SHARE_MAX) {
        say_error("the image names too few of the logs here, nothing is applied: is this the right "
                  "ZooKeeper? strays=%zu logs=%zu",
                  scan.strays, scan.logs);
        err = ERR_INCONSISTENT_CLUSTER_ID;
    }
    for (size_t i = 0; i < scan.strays; i++) {
        struct log *log = scan.found[i];
        char *topic = xstrdup(log_topic(log));
        int32_t partition = log_partition(log);

        log_unref(&scan.found[i]);
        if (err == ERR_OK) {
            struct part *part = parts_find(change->before, str_of(topic), partition);

            if (part != NULL && !is_removed(change, part))
                remove_part(change, part);
            park(change, topic, partition, "neither assigned nor deleted");
        }
        free(topic);
    }
    free(scan.found);
    return err;
}

static void apply_image(struct change *change)
{
    struct image_cursor topics = { 0 }, stones = { 0 };
    const struct image_topic *topic;
    const struct image_tombstone *stone;

    change->out->err = park_strays(change);
    if (change->out->err != ERR_OK)
        return;
    while ((stone = image_next_tombstone(change->image, &stones)) != NULL)
        bury(change, stone);
    for (size_t i = 0; i < change->before->count; i++) {
        struct part *part = change->before->all[i];

        if (image_part(change->image, part_topic_id(part), part_partition(part)) == NULL &&
            !is_removed(change, part))
            remove_part(change, part);
    }
    make_logs(change, NULL);
    apply_all_configs(change);
    while ((topic = image_next_topic(change->image, &topics)) != NULL)
        apply_topic(change, topic, NULL);
    change->has_roles = true;
    apply_all_configs(change);
}

/* Those of topics that are gone come before anything is made anew: the next topic of that name may
 * be in the same delta, and must not find their files, for these would be parked. The rest comes
 * last, when it is known what is ours. */
static void bury_all(struct change *change, const struct image_delta *delta, bool of_topics_gone)
{
    for (size_t t = 0; t < delta->n_tombstones; t++) {
        const struct image_tombstone *stone = &delta->tombstones[t];

        if ((image_topic(change->image, stone->topic_id) == NULL) == of_topics_gone)
            bury(change, stone);
    }
}

static void apply_delta(struct change *change, const struct image_delta *delta)
{
    apply_brokers(change, delta);
    for (size_t i = 0; delta->n_topics_gone > 0 && i < change->before->count; i++) {
        struct part *part = change->before->all[i];

        if (image_topic(change->image, part_topic_id(part)) == NULL && !is_removed(change, part))
            remove_part(change, part);
    }
    bury_all(change, delta, true);
    make_logs(change, delta);
    apply_configs(change, delta);
    for (size_t t = 0; t < delta->n_topics; t++) {
        const struct image_topic *topic = image_topic(change->image, delta->topics[t].id);

        if (topic != NULL)
            apply_topic(change, topic, &delta->topics[t]);
    }
    change->has_roles = true;
    apply_configs(change, delta);
    bury_all(change, delta, false);
}

static void republish(struct change *change)
{
    size_t count = 0;
    struct added *added;

    if (change->added == NULL && change->removed == NULL)
        return;
    struct part **all =
        xcalloc(change->before->count + HASH_COUNT(change->added) + 1, sizeof(struct part *));
    for (size_t i = 0; i < change->before->count; i++)
        if (!is_removed(change, change->before->all[i]))
            all[count++] = part_ref(change->before->all[i]);
    for (added = change->added; added != NULL; added = added->hh.next) {
        if (is_removed(change, added->part))
            part_unref(&added->part);
        else
            all[count++] = added->part;
    }
    publish(change->parts, all, count);
}

static void change_fini(struct change *change)
{
    struct added *added, *next_added;
    struct removed *removed, *next_removed;

    parts_put_table(&change->before);
    HASH_ITER (hh, change->added, added, next_added) {
        HASH_DEL(change->added, added);
        free(added);
    }
    HASH_ITER (hh, change->removed, removed, next_removed) {
        HASH_DEL(change->removed, removed);
        free(removed);
    }
    free(change->live);
}

void parts_apply(struct parts *parts, const struct image *after, const struct image_delta *delta,
                 int64_t now_ms, struct parts_result *out)
{
    struct change change = {
        .parts = parts,
        .before = parts_get_table(parts),
        .image = after,
        .old = delta != NULL ? parts->image : NULL,
        .now_ms = now_ms,
        .out = out,
    };

    *out = (struct parts_result){ .err = ERR_OK };
    if (parts->conf.fetchers != NULL)
        fetchers_set_image(parts->conf.fetchers, after);
    if (delta == NULL)
        apply_image(&change);
    else
        apply_delta(&change, delta);
    republish(&change);
    if (out->err == ERR_OK)
        atomic_store_explicit(&parts->has_image, true, memory_order_release);
    change_fini(&change);
    image_unref(&parts->image);
    parts->image = image_ref(after);
}

/* The first one that finds no room ends it; what is not ours any more is forgotten. */
static void retry_all(struct change *change)
{
    struct parts *parts = change->parts;
    size_t len = parts->roomless_len;
    struct roomless *list = xmemdup(parts->roomless, len * sizeof *list);
    bool is_full = false;

    for (size_t i = 0; i < len && !is_full; i++) {
        const struct image_topic *topic = image_topic(change->image, list[i].topic_id);
        const struct image_part *state =
            image_part(change->image, list[i].topic_id, list[i].partition);

        if (state == NULL || !ids_has(state->replicas, parts->conf.broker_id)) {
            struct roomless *entry = find_roomless(parts, list[i].topic_id, list[i].partition);

            *entry = parts->roomless[--parts->roomless_len];
            continue;
        }
        change->takes_new = list[i].is_new;
        apply_part(change, topic, state);
        is_full = find_now(change, list[i].topic_id, list[i].partition) == NULL;
    }
    free(list);
}

static void drop_failures(struct parts_result *out)
{
    size_t kept = 0;

    for (size_t i = 0; i < out->failures_len; i++)
        if (out->failures[i].err == ERR_OK)
            out->failures[kept++] = out->failures[i];
    out->failures_len = kept;
}

void parts_retry(struct parts *parts, int64_t now_ms, struct parts_result *out)
{
    *out = (struct parts_result){ .err = ERR_OK };
    if (parts->roomless_len == 0 || parts->image == NULL)
        return;
    struct change change = {
        .parts = parts,
        .before = parts_get_table(parts),
        .image = parts->image,
        .now_ms = now_ms,
        .out = out,
    };

    retry_all(&change);
    republish(&change);
    change_fini(&change);
    drop_failures(out); /* those have been told */
}

/* ---- the rest of their life ---- */

struct parts *parts_new(const struct parts_conf *conf)
{
    struct parts *parts = xcalloc(1, sizeof *parts);

    parts->conf = *conf;
    atomic_init(&parts->restless.first, NULL);
    parts->env = (struct part_env){ .broker_id = conf->broker_id,
                                    .restless = &parts->restless,
                                    .ctx = conf->ctx,
                                    .propose = conf->propose };
    snap_init(&parts->table);
    atomic_init(&parts->has_image, false);
    atomic_init(&parts->strays, 0);
    lock_init(&parts->sync_lock, LOCK_LEAF);
    cond_init(&parts->synced);
    publish(parts, xcalloc(1, sizeof(struct part *)), 0);
    return parts;
}

void parts_close(struct parts *parts)
{
    const struct parts_table *table = parts_get_table(parts);

    for (size_t i = 0; i < table->count; i++)
        part_close(table->all[i], ERR_NOT_LEADER_OR_FOLLOWER);
    parts_put_table(&table);
}

void parts_free(struct parts **parts_ptr)
{
    struct parts *parts = *parts_ptr;

    *parts_ptr = NULL;
    parts_checkpoint_hw(parts);
    parts_close(parts);
    parts_await_syncs(parts);
    part_forget_restless(&parts->restless);
    snap_fini(&parts->table);
    image_unref(&parts->image);
    free(parts->roomless);
    cond_fini(&parts->synced);
    lock_fini(&parts->sync_lock);
    free(parts);
}
