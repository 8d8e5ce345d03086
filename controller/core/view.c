/*
 * The image is what is stored and known to all. Here it is filled from ZooKeeper, corrected where a
 * version turned out to be another, and moved on: all that became true in a step is one delta.
 *
 * A partition whose state has no znode yet stands in the image with leader epoch -1, no leader and
 * no ISR.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

/* ---- what only the controller knows of a topic
 * ----------------------------------------------------- */

static size_t extra_find(const struct core *core, struct uuid id)
{
    size_t low = 0, high = core->n_extras;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (memcmp(core->extras[mid].id.bytes, id.bytes, sizeof id.bytes) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct topic_extra *extra_get(const struct core *core, struct uuid id)
{
    size_t i = extra_find(core, id);

    return i < core->n_extras && uuid_eq(core->extras[i].id, id) ? &core->extras[i] : NULL;
}

static struct topic_extra *extra_put(struct core *core, struct uuid id)
{
    struct topic_extra *there = extra_get(core, id);
    size_t i = extra_find(core, id);

    if (there != NULL)
        return there;
    array_reserve(&core->extras, &core->cap_extras, core->n_extras, sizeof core->extras[0]);
    memmove(&core->extras[i + 1], &core->extras[i], (core->n_extras - i) * sizeof core->extras[0]);
    core->extras[i] = (struct topic_extra){ .id = id };
    core->n_extras++;
    return &core->extras[i];
}

void view_drop_extra(struct core *core, struct uuid id)
{
    size_t i = extra_find(core, id);

    if (extra_get(core, id) == NULL)
        return;
    core->n_extras--;
    memmove(&core->extras[i], &core->extras[i + 1], (core->n_extras - i) * sizeof core->extras[0]);
}

void view_extra_read(struct core *core, struct uuid id, int32_t version, bool wants_set,
                     bool differs)
{
    struct topic_extra *extra = extra_get(core, id);

    if (wants_set || differs)
        extra = extra_put(core, id);
    if (extra == NULL)
        return;
    extra->version = version;
    extra->wants_set = wants_set;
    extra->differs = wants_set || differs;
    core->ids_due |= wants_set;
    if (!extra->differs && extra->n_sets == 0)
        view_drop_extra(core, id);
}

int32_t core_topic_version(const struct core *core, struct uuid id)
{
    const struct topic_extra *extra = extra_get(core, id);
    const struct image_topic *topic = NULL;

    if (extra != NULL && extra->differs)
        return extra->version;
    if (core->image != NULL)
        topic = image_topic(core->image, id);
    return topic != NULL ? topic->version : -1;
}

int32_t view_n_sets(const struct core *core, struct uuid id)
{
    const struct topic_extra *extra = extra_get(core, id);

    return extra != NULL ? extra->n_sets : 0;
}

void view_count_set(struct core *core, struct uuid id)
{
    extra_put(core, id)->n_sets++;
}

void view_sets_done(struct core *core, struct uuid id, struct str topic, int32_t version)
{
    struct topic_extra *extra = extra_get(core, id);

    if (extra != NULL) {
        extra->n_sets = 0;
        extra->wants_set &= version < 0;
        extra->differs &= version < 0; /* all that is known was written */
        core->ids_due |= extra->wants_set;
        if (!extra->differs)
            view_drop_extra(core, id);
    }
    if (version >= 0)
        view_pend_version(core, id, topic, version);
}

const struct image_part *view_part(const struct core *core, struct uuid topic_id, int32_t index)
{
    const struct plan_part *planned = plan_find(core->making, topic_id, index);

    return planned != NULL ? &planned->part : image_part(core->image, topic_id, index);
}

void view_topic_defaults(const struct core *core, struct topic_conf *conf)
{
    const struct image_config *all = settings_stored_of(core, STR("brokers"), STR("<default>"));
    const struct conf_table *table = core->settings.broker_settings;

    topic_conf_init(conf);
    topic_conf_inherit(conf, TOPIC_CONF_OF_FILE, core->settings.n_topic_defaults,
                       core->settings.topic_defaults);
    for (size_t i = 0; all != NULL && table != NULL && i < all->n_settings; i++) {
        const struct conf_key *key = conf_find(table, all->settings[i].key);

        if (key != NULL && key->scope == CONF_CLUSTER &&
            conf_check(key, all->settings[i].value, NULL) == ERR_OK)
            topic_conf_inherit(conf, TOPIC_CONF_OF_CLUSTER, 1, &all->settings[i]);
    }
}

void view_topic_conf(const struct core *core, struct str topic, struct topic_conf *conf)
{
    const struct image_config *own = settings_stored_of(core, STR("topics"), topic);

    view_topic_defaults(core, conf);
    for (size_t i = 0; own != NULL && i < own->n_settings; i++) {
        /* what is damaged in ZooKeeper is passed over */
        if (topic_conf_set(conf, own->settings[i].key, own->settings[i].value, NULL) != ERR_OK)
            continue;
    }
}

/* ---- loading
 * ----------------------------------------------------------------------------------------- */

/* A leader is in sync whatever another hand has written: no ISR is ever empty. */
static void take_state(struct image_part *part, const struct core_read_part *read)
{
    part->leader = read->state.leader;
    part->leader_epoch = read->state.leader_epoch;
    part->partition_epoch = read->state.partition_epoch;
    part->recovering = read->state.recovering;
    part->isr = read->state.isr;
    if (part->isr.n == 0 && part->leader != LEADER_NONE)
        part->isr = (struct ids){ .at = &read->state.leader, .n = 1 };
}

static void set_state(struct image_part *part, const struct image_part *from)
{
    part->leader = from->leader;
    part->leader_epoch = from->leader_epoch;
    part->partition_epoch = from->partition_epoch;
    part->recovering = from->recovering;
    part->isr = from->isr;
}

static struct image_part part_of_read(const struct core_read_part *read)
{
    struct image_part part = { .index = read->index,
                               .leader = LEADER_NONE,
                               .leader_epoch = -1,
                               .partition_epoch = -1,
                               .replicas = read->replicas,
                               .adding = read->adding,
                               .removing = read->removing };

    if (read->has_state)
        take_state(&part, read);
    return part;
}

static struct uuid new_topic_id(struct core *core)
{
    struct uuid id;
    uint64_t bits[2];

    do {
        bits[0] = core_chance(core);
        bits[1] = core_chance(core);
    } while (!uuid_from_random((const uint8_t *)bits, &id) || image_topic(core->image, id) != NULL);
    return id;
}

/* Of one that stands in the image, or is about to, as it is in known. */
static void state_is_unreadable(struct core *core, struct uuid id, struct str topic,
                                const struct image_part *known, const struct core_read_part *read)
{
    bool was_blind = repair_is_blind(core, id, known->index);

    if (repair_unreadable(core, id, known, read->state.partition_epoch))
        core_say(core, CORE_SAY_WARN,
                 "another hand left a state that cannot be read, writing over it partition=%.*s-%d",
                 STR_ARG(topic), known->index);
    else if (!was_blind)
        core_say(
            core, CORE_SAY_ERROR,
            "nothing is decided of a partition whose state cannot be read, write one into its "
            "znode that can be partition=%.*s-%d path=/brokers/topics/%.*s/partitions/%d/state",
            STR_ARG(topic), known->index, STR_ARG(topic), known->index);
}

/* What is known goes on until it has been written over what has taken its place. */
static void load_known(struct core *core, struct uuid id, const struct image_part *known,
                       const struct core_read_part *read, struct image_part *part)
{
    bool gone = known->leader_epoch >= 0 && !read->has_state;

    if (gone && !read->is_unreadable)
        repair_gone(core, id, known->index);
    if (gone || (read->has_state && repair_read(core, id, known, &read->state)))
        set_state(part, known);
}

/* A topic of Kafka before 2.8 has no id, or a tool of before 2.8 has lost it: it goes by the one
 * that is known, or by a new one, which is written before anybody hears of it. */
static void load_topic(struct core *core, struct image *image, const struct image *old,
                       const struct core_read_topic *read)
{
    struct uuid id = read->id;
    struct image_part *parts = xcalloc(read->n_parts + 1, sizeof *parts);

    if (uuid_is_zero(id)) {
        const struct image_topic *known = old != NULL ? image_topic_named(old, read->name) : NULL;

        id = known != NULL ? known->id : new_topic_id(core);
        core_say(core, CORE_SAY_WARN, "topic has no id, giving it one topic=%.*s",
                 STR_ARG(read->name));
    }
    for (size_t i = 0; i < read->n_parts; i++) {
        const struct image_part *known =
            old != NULL ? image_part(old, id, read->parts[i].index) : NULL;

        parts[i] = part_of_read(&read->parts[i]);
        reassign_note(core, id, &parts[i]);
        if (read->parts[i].is_unreadable)
            state_is_unreadable(core, id, read->name, known != NULL ? known : &parts[i],
                                &read->parts[i]);
        if (known != NULL) {
            parts[i].offline = known->offline; /* ZooKeeper does not know that */
            load_known(core, id, known, &read->parts[i], &parts[i]);
        }
    }

    struct image_topic_change change = { .id = id,
                                         .name = read->name,
                                         .n_parts = read->n_parts,
                                         .parts = parts,
                                         .has_version = !uuid_is_zero(read->id),
                                         .version = read->version };

    image_add(image, &(struct image_delta){ .n_topics = 1, .topics = &change });
    view_extra_read(core, id, read->version, uuid_is_zero(read->id), false);
    free(parts);
}

static void load_tombstones(struct image *image, const struct core_tombstones *stones)
{
    for (size_t i = 0; i < stones->n; i++) {
        struct image_tombstone one = { .broker = stones->broker,
                                       .topic_id = stones->topic_id,
                                       .topic = stones->topic,
                                       .partition = stones->parts[i].partition,
                                       .leader_epoch = stones->parts[i].leader_epoch };

        image_add(image, &(struct image_delta){ .n_tombstones = 1, .tombstones = &one });
    }
}

static int by_id(const void *a, const void *b)
{
    const struct core_read_topic *const *x = a, *const *y = b;

    return memcmp((*x)->id.bytes, (*y)->id.bytes, sizeof(*x)->id.bytes);
}

/* Somebody has copied a topic's znode: the id is that of one name. */
static void leave_out(struct core *core, struct str name, struct str owner)
{
    if (!unread_has(core, name))
        core_say(core, CORE_SAY_ERROR,
                 "a topic's znode has the id of another topic topic=%.*s other=%.*s", STR_ARG(name),
                 STR_ARG(owner));
    unread_note(core, name);
}

static bool has_states(const struct core_read_topic *read)
{
    bool has = false;

    for (size_t i = 0; i < read->n_parts; i++)
        has |= read->parts[i].has_state || read->parts[i].is_unreadable;
    return has;
}

/* Of two with the same id: who is known has it, else who was led, else the first by name. */
static bool owns(const struct image *old, const struct core_read_topic *a,
                 const struct core_read_topic *b)
{
    const struct image_topic *known = old != NULL ? image_topic(old, a->id) : NULL;
    bool a_led = has_states(a), b_led = has_states(b);

    if (known != NULL && (str_eq(known->name, a->name) || str_eq(known->name, b->name)))
        return str_eq(known->name, a->name);
    return a_led != b_led ? a_led : str_cmp(a->name, b->name) < 0;
}

/* They are sorted by id. */
static void put_owners_first(const struct image *old, const struct core_read_topic **topics,
                             size_t n)
{
    for (size_t first = 0, i = 1; i < n; i++) {
        const struct core_read_topic *topic = topics[i];

        if (!uuid_eq(topic->id, topics[first]->id)) {
            first = i;
        } else if (owns(old, topic, topics[first])) {
            topics[i] = topics[first];
            topics[first] = topic;
        }
    }
}

/* In the order of their ids, so that what is kept in that order only ever grows at its end. */
static void load_topics(struct core *core, struct image *image, const struct image *old,
                        const struct core_loaded *loaded)
{
    const struct core_read_topic **topics = xcalloc(loaded->n_topics + 1, sizeof(topics[0]));
    size_t n = 0;

    for (size_t i = 0; i < loaded->n_topics; i++) {
        if (!topics_is_buried(core, loaded->topics[i].name))
            topics[n++] = &loaded->topics[i];
    }
    qsort(topics, n, sizeof(topics[0]), by_id);
    put_owners_first(old, topics, n);
    for (size_t i = 0; i < n; i++) {
        const struct image_topic *owner = image_topic(image, topics[i]->id);

        if (owner != NULL)
            leave_out(core, topics[i]->name, owner->name);
        else
            (topics[i]->is_unreadable ? unread_load : load_topic)(core, image, old, topics[i]);
    }
    free(topics);
}

static void load_configs(struct image *image, const struct image *old,
                         const struct core_loaded *loaded)
{
    image_add(image,
              &(struct image_delta){ .n_configs = loaded->n_configs, .configs = loaded->configs });
    for (size_t i = 0; i < loaded->n_unread_configs; i++) {
        const struct image_config *unread = &loaded->unread_configs[i];
        const struct image_config *known =
            old != NULL ? image_config(old, unread->type, unread->name) : NULL;

        if (known != NULL)
            image_add(image, &(struct image_delta){ .n_configs = 1, .configs = known });
    }
}

void view_load(struct core *core, const struct core_loaded *loaded)
{
    bool again = core->image != NULL;
    struct image *image = image_new(core->controller_epoch, again ? core->version + 1 : 1,
                                    core->settings.controller_id, loaded->cluster_id);
    struct image *old = core->image;

    core->version = image_version(image);
    core->image = image;
    core->n_extras = 0; /* no plan is out, or it is of no interest any more */
    reassign_forget(core);
    repair_load(core);
    unread_forget(core);
    load_topics(core, image, old, loaded);
    load_configs(image, old, loaded);
    for (size_t i = 0; i < loaded->n_tombstones; i++)
        load_tombstones(image, &loaded->tombstones[i]);
    core->pid_block = loaded->pid_block;
    core->pid_block_asked = false;
    brokers_load(core, loaded->n_nodes, loaded->nodes, again);
    for (size_t i = 0; i < core->n_brokers; i++) {
        struct node node = broker_node(core->brokers[i]);

        image_add(image, &(struct image_delta){ .n_brokers = 1, .brokers = &node });
    }
    topics_on_marks(core, loaded->n_delete_marks, loaded->delete_marks);
    if (old != NULL)
        core_hold_image(core, &old);
}

/* ---- topics that other hands made or removed
 * ---------------------------------------------------------- */

#define GONE_FEW     8      /* that are gone at once are taken away; */
#define GONE_SHARE   4      /* more of them as long as they are no more than one in so many */
#define GONE_LONG_MS 600000 /* since the last: whatever it was, it is over */

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static bool too_many_are_gone(const struct core *core)
{
    size_t n = core->n_missing > core->n_removed ? core->n_missing : core->n_removed;

    return n > GONE_FEW && n > image_n_topics(core->image) / GONE_SHARE;
}

/* What we know and is not listed is read once more: the list may be older than the topic. */
static void look_for_missing(struct core *core, const struct core_names *names)
{
    struct str *sorted = xcalloc(names->n + 1, sizeof *sorted);
    struct image_cursor at = { 0 };
    const struct image_topic *topic;

    for (size_t i = 0; i < names->n; i++)
        sorted[i] = names->names[i];
    qsort(sorted, names->n, sizeof *sorted, by_text);
    core->n_missing = 0;
    while ((topic = image_next_topic(core->image, &at)) != NULL) {
        if (bsearch(&topic->name, sorted, names->n, sizeof *sorted, by_text) != NULL ||
            topics_is_doomed(core, topic->name))
            continue;
        core->n_missing++;
        core_reload(core, (struct core_reload){ .what = RELOAD_TOPIC, .topic = topic->name });
    }
    free(sorted);
}

void view_on_topic_names(struct core *core, const struct core_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        if (image_topic_named(core->image, names->names[i]) == NULL &&
            !topics_is_doomed(core, names->names[i]))
            core_reload(core,
                        (struct core_reload){ .what = RELOAD_TOPIC, .topic = names->names[i] });
    }
    look_for_missing(core, names);
}

/* There was no state of it: there is none now, or another one. */
static void read_after_all(struct core *core, const struct image_topic *topic,
                           const struct image_part *known, const struct core_read_part *read)
{
    struct image_part part = *view_newest_part(core, core->pend.n_parts, topic->id, known->index);

    if (read->is_unreadable) {
        state_is_unreadable(core, topic->id, topic->name, known, read);
    } else if (!read->has_state) {
        core_say(core, CORE_SAY_WARN,
                 "another hand removed a state, making it again "
                 "partition=%.*s-%d",
                 STR_ARG(topic->name), known->index);
        repair_gone(core, topic->id, known->index);
    } else if (!repair_read(core, topic->id, known, &read->state)) {
        take_state(&part, read);
        view_pend_part(core, topic->id, topic->name, &part);
    }
}

/* What is new of a topic that was read, and what another hand moved; how many partitions of those
 * that were known it has. */
static size_t read_parts(struct core *core, const struct image_topic *known, struct uuid id,
                         const struct core_read_topic *topic)
{
    size_t n_known = 0;

    for (size_t i = 0; i < topic->n_parts; i++) {
        struct image_part part = part_of_read(&topic->parts[i]);

        const struct image_part *old = known != NULL ? image_topic_part(known, part.index) : NULL;

        n_known += old != NULL;
        if (old == NULL) {
            view_pend_part(core, id, topic->name, &part);
            if (topic->parts[i].is_unreadable)
                state_is_unreadable(core, id, topic->name, &part, &topic->parts[i]);
        } else if (!ids_eq(old->replicas, part.replicas) || !ids_eq(old->adding, part.adding) ||
                   !ids_eq(old->removing, part.removing)) {
            struct image_part moved = *old;

            core_say(core, CORE_SAY_WARN, "another hand changed replicas partition=%.*s-%d",
                     STR_ARG(topic->name), part.index);
            moved.replicas = part.replicas;
            moved.adding = part.adding;
            moved.removing = part.removing;
            view_pend_part(core, id, topic->name, &moved);
        }
        if (old != NULL && repair_is_asked(core, id, old->index))
            read_after_all(core, known, old, &topic->parts[i]);
    }
    return n_known;
}

static size_t parts_of(const struct image_topic *topic)
{
    size_t n = 0;

    for (int32_t i = 0; topic != NULL && i < topic->n_parts; i++)
        n += image_topic_part(topic, i) != NULL;
    return n;
}

/* Another topic has taken the name without a mark. We go on with ours, and our writes go on naming
 * its version; but whoever comes after us is to read what is there. */
static void read_another(struct core *core, const struct image_topic *known)
{
    core_say(core, CORE_SAY_ERROR, "topic has another id than known, left alone topic=%.*s",
             STR_ARG(known->name));
    if (known->version < 0)
        return; /* nobody is told that it is this one */
    view_extra_read(core, known->id, known->version, false, true);
    view_pend_version(core, known->id, known->name, -1);
}

/* No note tells of the settings that a topic is created with. */
static void pend_settings(struct core *core, const struct core_topic_read *read)
{
    struct image_config config = { .type = STR("topics"),
                                   .name = read->topic->name,
                                   .n_settings = read->n_settings,
                                   .settings = read->settings };

    view_pend_config(core, &config);
    settings_outdated(core, config.type, config.name);
}

/* Removed without a mark: there are no tombstones, so brokers keep its files, as strays. When very
 * many are gone, it is rather ZooKeeper that is not what it was, and what there is goes on. */
static void topic_is_gone(struct core *core, struct str name)
{
    const struct image_topic *topic = image_topic_named(core->image, name);

    if (topic == NULL || topics_is_doomed(core, name))
        return;
    if (core->now_ms - core->removed_ms > GONE_LONG_MS)
        core->n_removed = 0;
    if (too_many_are_gone(core)) {
        core_say(core, CORE_SAY_ERROR,
                 "topic is kept although it is gone from ZooKeeper, for too many are topic=%.*s",
                 STR_ARG(name));
        return;
    }
    core_say(core, CORE_SAY_WARN, "another hand removed a topic topic=%.*s", STR_ARG(name));
    core->n_removed++;
    core->removed_ms = core->now_ms;
    view_pend_topic_gone(core, topic->id);
    if (image_config(core->image, STR("topics"), name) != NULL)
        view_pend_config(core, &(struct image_config){ .type = STR("topics"), .name = name });
    view_drop_extra(core, topic->id);
    core->scan = true;
}

/* A topic that another hand created, grew or removed. Partitions that it lost stay until it is
 * deleted. */
void view_on_topic_read(struct core *core, const struct core_topic_read *read)
{
    const struct core_read_topic *topic = read->topic;
    const struct image_topic *owner = topic != NULL ? image_topic(core->image, topic->id) : NULL;

    if (owner != NULL && image_topic_named(core->image, read->name) == NULL) {
        leave_out(core, read->name, owner->name);
        return;
    }
    if (topic == NULL || !topic->is_unreadable)
        unread_drop(core, read->name);
    if (topic == NULL) {
        topic_is_gone(core, read->name);
        return;
    }
    if (topics_is_doomed(core, topic->name))
        return;

    const struct image_topic *known = image_topic_named(core->image, topic->name);

    if (topic->is_unreadable) {
        if (known == NULL) {
            unread_note(core, topic->name);
            return;
        }
        unread_known(core, known, topic->version);
        repair_topic_read(core, known->id);
        return;
    }

    struct uuid id = uuid_is_zero(topic->id) ? new_topic_id(core) : topic->id;
    bool wants_set = uuid_is_zero(topic->id), lost;

    if (known != NULL && !uuid_eq(known->id, id) && !wants_set) {
        read_another(core, known);
        return;
    }
    if (known == NULL && topic->n_parts == 0)
        return; /* nothing of it can be shown */
    if (known != NULL) {
        id = known->id;
        repair_topic_read(core, id);
    } else {
        pend_settings(core, read);
    }
    lost = read_parts(core, known, id, topic) < parts_of(known);
    view_extra_read(core, id, topic->version, wants_set, lost);
    view_pend_version(core, id, topic->name, wants_set || lost ? -1 : topic->version);
    core->scan = true;
}

void view_on_state_read(struct core *core, const struct core_state_read *read)
{
    const struct image_topic *topic = image_topic(core->image, read->topic_id);
    const struct image_part *known = image_part(core->image, read->topic_id, read->partition);

    if (known == NULL)
        return;
    core->scan = true;
    if (read->part != NULL && read->part->is_unreadable) {
        state_is_unreadable(core, topic->id, topic->name, known, read->part);
        return;
    }
    if (read->part == NULL || !read->part->has_state) {
        if (repair_is_blind(core, topic->id, read->partition))
            core_say(core, CORE_SAY_WARN,
                     "a state that could not be read is gone, waiting for one that can "
                     "partition=%.*s-%d",
                     STR_ARG(topic->name), read->partition);
        /* with its topic? */
        if (known->leader_epoch >= 0)
            repair_asked(core, topic->id, read->partition);
        core_reload(core, (struct core_reload){ .what = RELOAD_TOPIC, .topic = topic->name });
        return;
    }

    struct image_part part = *known;
    bool was_blind = repair_is_blind(core, topic->id, read->partition);

    if (repair_read(core, topic->id, known, &read->part->state)) {
        core_say(core, CORE_SAY_WARN, "%s partition=%.*s-%d epoch=%d partition_epoch=%d",
                 !was_blind ? "another hand set a state back, writing over it"
                 : repair_waits(core, topic->id, read->partition)
                     ? "a state names no replica to go by, left alone"
                     : "a state can be read again, going on from it in a later epoch",
                 STR_ARG(topic->name), read->partition, read->part->state.leader_epoch,
                 read->part->state.partition_epoch);
        return;
    }
    take_state(&part, read->part);
    view_pend_part(core, topic->id, topic->name, &part);
}

/* ---- what is pending
 * ---------------------------------------------------------------------------------- */

static struct ids out_ids(struct core *core, struct ids ids)
{
    return (struct ids){ .at = arena_dup(&core->out->arena, ids.at, ids.n * sizeof ids.at[0]),
                         .n = ids.n };
}

/* A failed directory of who is no replica any more must not be held against it when it is one
 * again. */
static struct ids replicas_of(struct core *core, struct ids ids, struct ids replicas)
{
    int32_t *left = arena_alloc(&core->out->arena, ((size_t)ids.n + 1) * sizeof *left);
    struct ids out = { .at = left, .n = 0 };

    for (uint32_t i = 0; i < ids.n; i++) {
        if (ids_has(replicas, ids.at[i]))
            left[out.n++] = ids.at[i];
    }
    return out;
}

void view_pend_part(struct core *core, struct uuid topic_id, struct str topic,
                    const struct image_part *part)
{
    struct pend *pend = &core->pend;
    struct image_part *copy = arena_dup(&core->out->arena, part, sizeof *part);

    copy->replicas = out_ids(core, part->replicas);
    copy->isr = out_ids(core, part->isr);
    copy->adding = out_ids(core, part->adding);
    copy->removing = out_ids(core, part->removing);
    copy->offline = replicas_of(core, part->offline, part->replicas);
    array_reserve(&pend->parts, &pend->cap_parts, pend->n_parts, sizeof pend->parts[0]);
    pend->parts[pend->n_parts] = (struct pend_part){ .topic_id = topic_id,
                                                     .topic = arena_str(&core->out->arena, topic),
                                                     .part = copy,
                                                     .number = pend->n_parts };
    pend->n_parts++;
}

void view_pend_version(struct core *core, struct uuid id, struct str topic, int32_t version)
{
    struct pend *pend = &core->pend;

    array_reserve(&pend->parts, &pend->cap_parts, pend->n_parts, sizeof pend->parts[0]);
    pend->parts[pend->n_parts] = (struct pend_part){ .topic_id = id,
                                                     .topic = arena_str(&core->out->arena, topic),
                                                     .version = version,
                                                     .number = pend->n_parts };
    pend->n_parts++;
}

const struct image_part *view_newest_part(const struct core *core, size_t n, struct uuid topic_id,
                                          int32_t index)
{
    const struct pend *pend = &core->pend;

    for (size_t i = n; i > 0; i--) {
        const struct pend_part *at = &pend->parts[i - 1];

        if (at->part != NULL && at->part->index == index && uuid_eq(at->topic_id, topic_id))
            return at->part;
    }
    return image_part(core->image, topic_id, index);
}

void view_pend_topic_gone(struct core *core, struct uuid id)
{
    struct pend *pend = &core->pend;

    array_reserve(&pend->topics_gone, &pend->cap_topics_gone, pend->n_topics_gone,
                  sizeof pend->topics_gone[0]);
    pend->topics_gone[pend->n_topics_gone++] = id;
}

void view_pend_config(struct core *core, const struct image_config *config)
{
    struct arena *arena = &core->out->arena;
    struct pend *pend = &core->pend;
    struct image_setting *settings = arena_zalloc(arena, config->n_settings, sizeof *settings);

    for (size_t i = 0; i < config->n_settings; i++) {
        settings[i].key = arena_str(arena, config->settings[i].key);
        settings[i].value = arena_str(arena, config->settings[i].value);
    }
    array_reserve(&pend->configs, &pend->cap_configs, pend->n_configs, sizeof pend->configs[0]);
    pend->configs[pend->n_configs++] =
        (struct image_config){ .type = arena_str(arena, config->type),
                               .name = arena_str(arena, config->name),
                               .n_settings = config->n_settings,
                               .settings = settings };
}

void view_pend_tombstone(struct core *core, const struct image_tombstone *tombstone, bool gone)
{
    struct pend *pend = &core->pend;
    struct image_tombstone copy = *tombstone;

    copy.topic = arena_str(&core->out->arena, tombstone->topic);
    if (gone) {
        array_reserve(&pend->tombstones_gone, &pend->cap_tombstones_gone, pend->n_tombstones_gone,
                      sizeof copy);
        pend->tombstones_gone[pend->n_tombstones_gone++] = copy;
    } else {
        array_reserve(&pend->tombstones, &pend->cap_tombstones, pend->n_tombstones, sizeof copy);
        pend->tombstones[pend->n_tombstones++] = copy;
    }
}

bool view_is_pending(const struct core *core)
{
    const struct pend *pend = &core->pend;

    return pend->n_parts + pend->n_topics_gone + pend->n_configs + pend->n_tombstones +
               pend->n_tombstones_gone >
           0;
}

void view_clear(struct core *core)
{
    struct pend *pend = &core->pend;

    free(pend->parts);
    free(pend->topics_gone);
    free(pend->configs);
    free(pend->tombstones);
    free(pend->tombstones_gone);
    memset(pend, 0, sizeof *pend);
}
