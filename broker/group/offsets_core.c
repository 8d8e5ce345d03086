/*
 * Topics are an array sorted by name, a topic's partitions one sorted by number: 64 bytes for each
 * commit besides its metadata, and appending in order costs nothing.
 *
 * An entry is there as soon as a commit of it is on its way (pending) and stays without a value
 * (at -1) until that is stored. Deleting an entry while a commit of it is on its way must not be
 * undone when that comes home: each entry has a number (born) that the commit took along, and what
 * comes back to another number, or to nothing, is let go.
 */
#include "broker/group/offsets_core.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/group/group_int.h"
#include "common/wire/prim.h" /* WIRE_STR_MAX */

/* ---- the tables ---- */

static size_t topic_place(const struct group *group, struct str name, bool *found)
{
    size_t low = 0, high = group->topics_len;

    while (low < high) {
        size_t mid = (low + high) / 2;
        int diff = str_cmp(group->topics[mid].name, name);

        if (diff == 0) {
            *found = true;
            return mid;
        }
        if (diff < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = false;
    return low;
}

static struct group_topic *find_topic(const struct group *group, struct str name)
{
    bool found;
    size_t at = topic_place(group, name, &found);

    return found ? &group->topics[at] : NULL;
}

static struct group_topic *need_topic(struct group *group, struct str name)
{
    bool found;
    size_t at = topic_place(group, name, &found);

    if (found)
        return &group->topics[at];
    array_reserve(&group->topics, &group->topics_cap, group->topics_len, sizeof *group->topics);
    for (size_t i = group->topics_len; i > at; i--)
        group->topics[i] = group->topics[i - 1];
    group->topics_len++;
    group->topics[at] = (struct group_topic){ .name = text_dup(name) };
    return &group->topics[at];
}

static size_t offset_place(const struct group_topic *topic, int32_t partition, bool *found)
{
    size_t low = 0, high = topic->len;

    if (high > 0 && topic->offsets[high - 1].partition < partition)
        low = high; /* in order, as most come */
    while (low < high) {
        size_t mid = (low + high) / 2;

        if (topic->offsets[mid].partition < partition)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < topic->len && topic->offsets[low].partition == partition;
    return low;
}

static struct group_offset *find_offset(const struct group *group, struct str name,
                                        int32_t partition)
{
    struct group_topic *topic = find_topic(group, name);
    bool found = false;
    size_t at = topic != NULL ? offset_place(topic, partition, &found) : 0;

    return found ? &topic->offsets[at] : NULL;
}

static struct group_offset *need_offset(struct group *group, struct str name, int32_t partition)
{
    struct group_topic *topic = need_topic(group, name);
    bool found;
    size_t at = offset_place(topic, partition, &found);

    if (found)
        return &topic->offsets[at];
    array_reserve(&topic->offsets, &topic->cap, topic->len, sizeof *topic->offsets);
    for (size_t i = topic->len; i > at; i--)
        topic->offsets[i] = topic->offsets[i - 1];
    topic->len++;
    topic->offsets[at] =
        (struct group_offset){ .partition = partition, .at = -1, .born = ++group->last_born };
    return &topic->offsets[at];
}

static void set_metadata(struct group_offset *entry, struct str metadata)
{
    free(entry->metadata);
    entry->metadata = metadata.len > 0 ? xmemdup(metadata.ptr, metadata.len) : NULL;
    entry->metadata_len = (uint32_t)metadata.len;
}

static void fill(struct group_offset *entry, const struct offset_value *value, int64_t at)
{
    entry->offset = value->offset;
    entry->leader_epoch = value->leader_epoch;
    entry->commit_ms = value->commit_ms;
    entry->expire_ms = value->expire_ms;
    entry->at = at;
    set_metadata(entry, value->metadata);
}

static void read_value(const struct group_offset *entry, struct offset_value *out)
{
    *out = (struct offset_value){
        .offset = entry->offset,
        .leader_epoch = entry->leader_epoch,
        .metadata = entry->metadata_len > 0
                        ? (struct str){ .ptr = entry->metadata, .len = entry->metadata_len }
                        : STR_EMPTY,
        .commit_ms = entry->commit_ms,
        .expire_ms = entry->expire_ms,
    };
}

/* Takes the value over unless what is there stands further down the log. */
static void install(struct group *group, struct group_offset *entry,
                    const struct offset_value *value, int64_t at)
{
    assert(at >= 0);
    if (entry->at >= at)
        return;
    group->committed += entry->at < 0;
    fill(entry, value, at);
}

static void clear(struct group *group, struct group_offset *entry)
{
    group->committed -= entry->at >= 0;
    group->pending_offsets -= entry->pending;
    free(entry->metadata);
}

/* The entry at `at` of topic goes, whatever is on its way to it. */
static void remove_at(struct group *group, struct group_topic *topic, size_t at)
{
    clear(group, &topic->offsets[at]);
    topic->len--;
    for (size_t i = at; i < topic->len; i++)
        topic->offsets[i] = topic->offsets[i + 1];
}

static void free_topic(struct group_topic *topic)
{
    text_free(&topic->name);
    free(topic->offsets);
}

static void remove_topic_if_bare(struct group *group, struct group_topic *topic)
{
    if (topic->len > 0)
        return;
    size_t at = (size_t)(topic - group->topics);
    free_topic(topic);
    group->topics_len--;
    for (size_t i = at; i < group->topics_len; i++)
        group->topics[i] = group->topics[i + 1];
}

static void free_txn(struct group_txn *txn)
{
    for (size_t i = 0; i < txn->len; i++) {
        text_free(&txn->offsets[i].topic);
        free(txn->offsets[i].value.metadata);
    }
    free(txn->offsets);
}

void offsets_fini(struct group *group)
{
    for (size_t t = 0; t < group->topics_len; t++) {
        for (size_t i = 0; i < group->topics[t].len; i++)
            free(group->topics[t].offsets[i].metadata);
        free_topic(&group->topics[t]);
    }
    for (size_t i = 0; i < group->txns_len; i++)
        free_txn(&group->txns[i]);
    free(group->topics);
    free(group->txns);
}

/* ---- committing ---- */

enum err offsets_check(struct group *group, int32_t generation, struct str member,
                       struct str instance, bool transactional, int64_t now_ms)
{
    if (group->state == GROUP_DEAD)
        return ERR_COORDINATOR_NOT_AVAILABLE;
    if (generation < 0 && group->state == GROUP_EMPTY)
        return ERR_OK; /* somebody who keeps his offsets here and does without a group */
    if (generation >= 0 || member.len > 0 || !str_is_null(instance)) {
        enum err err = group_check_member(group, member, instance);

        if (err != ERR_OK)
            return err;
        if (generation != group->generation)
            return ERR_ILLEGAL_GENERATION;
    } else if (!transactional && group->state != GROUP_EMPTY) {
        return ERR_UNKNOWN_MEMBER_ID;
    } else {
        return ERR_OK;
    }
    if (transactional)
        return ERR_OK;
    if (group->state == GROUP_COMPLETING)
        return ERR_REBALANCE_IN_PROGRESS;

    struct group_member *known = group_find(group, member);
    group_set_deadline(group, &known->deadline_ms, now_ms + known->session_ms);
    return ERR_OK;
}

/* Java's String.length() of UTF-8: what lies outside the first plane counts twice. */
static size_t utf16_units(struct str text)
{
    size_t units = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        units += (c & 0xc0) != 0x80;
        units += c >= 0xf0;
    }
    return units;
}

enum err offsets_check_metadata(const struct group_conf *conf, struct str metadata)
{
    if (metadata.len > WIRE_STR_MAX)
        return ERR_OFFSET_METADATA_TOO_LARGE; /* no record could hold it */
    return (int64_t)utf16_units(metadata) > conf->metadata_max ? ERR_OFFSET_METADATA_TOO_LARGE
                                                               : ERR_OK;
}

void offsets_begin(struct group *group, struct offset_item *items, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (items[i].err != ERR_OK)
            continue;
        struct group_offset *entry = need_offset(group, items[i].topic, items[i].partition);

        entry->pending++;
        group->pending_offsets++;
        items[i].born = entry->born;
    }
}

static void end_one(struct group *group, const struct offset_item *item, enum err err, int64_t at)
{
    struct group_topic *topic = find_topic(group, item->topic);
    bool found = false;
    size_t place = topic != NULL ? offset_place(topic, item->partition, &found) : 0;

    if (!found || topic->offsets[place].born != item->born)
        return; /* deleted meanwhile, and perhaps begun anew */
    struct group_offset *entry = &topic->offsets[place];
    assert(entry->pending > 0);
    entry->pending--;
    group->pending_offsets--;
    if (err == ERR_OK)
        install(group, entry, &item->value, at);
    if (entry->at < 0 && entry->pending == 0) {
        remove_at(group, topic, place);
        remove_topic_if_bare(group, topic);
    }
}

void offsets_end(struct group *group, const struct offset_item *items, size_t len, enum err err,
                 int64_t at)
{
    for (size_t i = 0; i < len; i++) {
        if (items[i].err == ERR_OK)
            end_one(group, &items[i], err, at++);
    }
}

/* ---- transactions ---- */

static struct group_txn *find_txn(const struct group *group, int64_t producer_id)
{
    for (size_t i = 0; i < group->txns_len; i++)
        if (group->txns[i].producer_id == producer_id)
            return &group->txns[i];
    return NULL;
}

static void remove_txn(struct group *group, struct group_txn *txn)
{
    free_txn(txn);
    *txn = group->txns[--group->txns_len];
}

static struct group_txn_offset *find_txn_offset(const struct group_txn *txn, struct str topic,
                                                int32_t partition)
{
    for (size_t i = 0; i < txn->len; i++)
        if (txn->offsets[i].value.partition == partition && str_eq(txn->offsets[i].topic, topic))
            return &txn->offsets[i];
    return NULL;
}

void offsets_txn_put(struct group *group, int64_t producer_id, struct str topic, int32_t partition,
                     const struct offset_value *value, int64_t at)
{
    struct group_txn *txn = find_txn(group, producer_id);

    if (txn == NULL) {
        array_reserve(&group->txns, &group->txns_cap, group->txns_len, sizeof *group->txns);
        txn = &group->txns[group->txns_len++];
        *txn = (struct group_txn){ .producer_id = producer_id };
    }
    struct group_txn_offset *offset = find_txn_offset(txn, topic, partition);
    if (offset == NULL) {
        array_reserve(&txn->offsets, &txn->cap, txn->len, sizeof *txn->offsets);
        offset = &txn->offsets[txn->len++];
        *offset = (struct group_txn_offset){ .topic = text_dup(topic),
                                             .value = { .partition = partition } };
    }
    fill(&offset->value, value, at);
}

void offsets_txn_drop(struct group *group, int64_t producer_id, struct str topic, int32_t partition)
{
    struct group_txn *txn = find_txn(group, producer_id);
    struct group_txn_offset *offset = txn != NULL ? find_txn_offset(txn, topic, partition) : NULL;

    if (offset == NULL)
        return;
    text_free(&offset->topic);
    free(offset->value.metadata);
    *offset = txn->offsets[--txn->len];
    if (txn->len == 0)
        remove_txn(group, txn);
}

void offsets_txn_end(struct group *group, int64_t producer_id, bool commit)
{
    struct group_txn *txn = find_txn(group, producer_id);

    if (txn == NULL)
        return;
    for (size_t i = 0; commit && i < txn->len; i++) {
        struct group_txn_offset *from = &txn->offsets[i];
        struct offset_value value;

        read_value(&from->value, &value);
        install(group, need_offset(group, from->topic, from->value.partition), &value,
                from->value.at);
    }
    remove_txn(group, txn);
}

bool offsets_has_txn(const struct group *group, int64_t producer_id)
{
    return find_txn(group, producer_id) != NULL;
}

static bool is_in_txn(const struct group *group, struct str topic, int32_t partition)
{
    for (size_t i = 0; i < group->txns_len; i++)
        if (find_txn_offset(&group->txns[i], topic, partition) != NULL)
            return true;
    return false;
}

/* ---- from the log ---- */

void offsets_put(struct group *group, struct str topic, int32_t partition,
                 const struct offset_value *value, int64_t at)
{
    install(group, need_offset(group, topic, partition), value, at);
}

void offsets_drop(struct group *group, struct str topic, int32_t partition)
{
    struct group_topic *known = find_topic(group, topic);
    bool found = false;
    size_t at = known != NULL ? offset_place(known, partition, &found) : 0;

    if (!found)
        return;
    remove_at(group, known, at);
    remove_topic_if_bare(group, known);
}

/* ---- looking ---- */

bool offsets_get(const struct group *group, struct str topic, int32_t partition,
                 struct offset_value *out, bool *unstable)
{
    const struct group_offset *entry = find_offset(group, topic, partition);

    *unstable = (entry != NULL && entry->pending > 0) ||
                (group->txns_len > 0 && is_in_txn(group, topic, partition));
    if (entry == NULL || entry->at < 0)
        return false;
    read_value(entry, out);
    return true;
}

size_t offsets_count(const struct group *group)
{
    return group->committed;
}

bool offsets_is_bare(const struct group *group)
{
    return group->committed == 0 && group->pending_offsets == 0 && group->txns_len == 0;
}

bool offsets_next(const struct group *group, struct offset_cursor *cursor, struct str *topic,
                  int32_t *partition, struct offset_value *out)
{
    while (cursor->topic < group->topics_len) {
        const struct group_topic *in = &group->topics[cursor->topic];

        while (cursor->at < in->len) {
            const struct group_offset *entry = &in->offsets[cursor->at++];

            if (entry->at < 0)
                continue;
            *topic = in->name;
            *partition = entry->partition;
            read_value(entry, out);
            return true;
        }
        cursor->topic++;
        cursor->at = 0;
    }
    return false;
}

/* ---- forgetting ---- */

static void note_gone(struct offsets_gone *gone, struct str topic, int32_t partition)
{
    array_reserve(&gone->items, &gone->cap, gone->len, sizeof *gone->items);
    /* one copy of a topic's name for all its partitions, which come one after the other */
    struct str name = gone->len > 0 && str_cmp(gone->items[gone->len - 1].topic, topic) == 0
                          ? gone->items[gone->len - 1].topic
                          : arena_str(gone->arena, topic);
    gone->items[gone->len++] = (struct offset_gone){ .topic = name, .partition = partition };
}

/* Removes those for which keep says no; of those with a value, their going is noted. */
static void sweep(struct group *group, struct group_topic *topic,
                  bool (*goes)(const struct group *, const struct group_offset *, const void *),
                  const void *arg, struct offsets_gone *gone)
{
    size_t kept = 0;

    for (size_t i = 0; i < topic->len; i++) {
        struct group_offset *entry = &topic->offsets[i];

        if (!goes(group, entry, arg)) {
            topic->offsets[kept++] = *entry;
            continue;
        }
        if (entry->at >= 0)
            note_gone(gone, topic->name, entry->partition);
        clear(group, entry);
    }
    topic->len = kept;
}

static bool goes_always(const struct group *group, const struct group_offset *entry,
                        const void *arg)
{
    (void)group;
    (void)entry;
    (void)arg;
    return true;
}

static bool goes_before(const struct group *group, const struct group_offset *entry,
                        const void *arg)
{
    const int64_t *before = arg;

    (void)group;
    return *before == INT64_MAX || (entry->pending == 0 && entry->at < *before);
}

static void drop_in_txns(struct group *group, struct str topic, int32_t partition)
{
    for (size_t i = group->txns_len; i-- > 0;)
        offsets_txn_drop(group, group->txns[i].producer_id, topic, partition);
}

void offsets_remove(struct group *group, struct str topic, int32_t partition,
                    struct offsets_gone *gone)
{
    const struct group_offset *entry = find_offset(group, topic, partition);

    if (entry != NULL && entry->at >= 0)
        note_gone(gone, topic, partition);
    offsets_drop(group, topic, partition);
    drop_in_txns(group, topic, partition);
}

void offsets_remove_topic(struct group *group, struct str topic, int64_t before,
                          struct offsets_gone *gone)
{
    struct group_topic *known = find_topic(group, topic);

    if (known != NULL) {
        sweep(group, known, goes_before, &before, gone);
        remove_topic_if_bare(group, known);
    }
    for (size_t i = group->txns_len; i-- > 0;) {
        struct group_txn *txn = &group->txns[i];
        int64_t producer_id = txn->producer_id;

        for (size_t k = txn->len; k-- > 0 && find_txn(group, producer_id) == txn;)
            if (str_eq(txn->offsets[k].topic, topic) && txn->offsets[k].value.at < before)
                offsets_txn_drop(group, producer_id, topic, txn->offsets[k].value.partition);
    }
}

void offsets_remove_all(struct group *group, struct offsets_gone *gone)
{
    while (group->topics_len > 0) {
        struct group_topic *last = &group->topics[group->topics_len - 1];

        sweep(group, last, goes_always, NULL, gone);
        remove_topic_if_bare(group, last);
    }
}

int64_t offsets_expiry_ms(int64_t since_ms, int64_t kept_ms)
{
    int64_t due_ms;

    if (__builtin_add_overflow(since_ms, kept_ms, &due_ms))
        return kept_ms > 0 ? INT64_MAX : INT64_MIN;
    return due_ms;
}

struct expiry {
    int64_t wall_ms;
    int64_t retention_ms;
    int64_t since_ms; /* -1: each since its own commit */
};

static bool is_expired(const struct group *group, const struct group_offset *entry, const void *arg)
{
    const struct expiry *expiry = arg;

    (void)group;
    if (entry->pending > 0 || entry->at < 0)
        return false;
    if (entry->expire_ms != -1)
        return expiry->wall_ms >= entry->expire_ms;
    int64_t since_ms = expiry->since_ms != -1 ? expiry->since_ms : entry->commit_ms;
    return expiry->wall_ms >= offsets_expiry_ms(since_ms, expiry->retention_ms);
}

void offsets_expire(struct group *group, int64_t wall_ms, int64_t retention_ms,
                    struct offsets_gone *gone)
{
    struct expiry expiry = { .wall_ms = wall_ms, .retention_ms = retention_ms, .since_ms = -1 };
    bool is_simple = str_is_null(group->protocol_type);
    bool is_active = !is_simple && group->state != GROUP_EMPTY;

    if (is_active && !(group->state == GROUP_STABLE && group_knows_subscriptions(group)))
        return;
    if (!is_simple && !is_active)
        expiry.since_ms = group->state_wall_ms; /* since nobody is there any more */
    for (size_t t = group->topics_len; t-- > 0;) {
        struct group_topic *topic = &group->topics[t];

        if (is_active && group_subscribes(group, topic->name))
            continue;
        sweep(group, topic, is_expired, &expiry, gone);
        remove_topic_if_bare(group, topic);
    }
}
