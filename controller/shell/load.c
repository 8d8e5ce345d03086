/*
 * A job is a set of reads in phases: each phase queues reads, keeps at most WINDOW of them on their
 * way, and when the last is answered the next phase begins; reads may queue further reads (a
 * topic's znode those of its states). All that is read lives in the job's arena until its event has
 * been stepped.
 *
 *   everything:  paths made -> what forbids it, names of everything -> contents -> LOADED
 *   one thing:   its read or two -> its event
 *
 * A job that is reset, or whose session ends, has lost its loader: it waits for its answers and
 * frees itself.
 */
#include "controller/shell/load.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/zk/zk_enroll.h"
#include "controller/shell/load_int.h"

#define WINDOW      1000
#define PROGRESS_MS 1000

struct loader {
    struct zk *zk;
    struct sink sink;
    struct loader_hooks hooks;
    struct job *jobs;
    const struct standby *known; /* of the next RELOAD_ALL */
};

/* ---- jobs ------------------------------------------------------------------------------------ */

static struct job *job_new(struct loader *loader, enum core_reload_what what)
{
    struct job *job = xmalloc(sizeof *job);

    *job = (struct job){ .loader = loader,
                         .next = loader->jobs,
                         .zk = loader->zk,
                         .what = what,
                         .started_ms = clock_mono_ms(),
                         .progress_ms = clock_mono_ms() };
    arena_init(&job->arena, SIZE_MAX);
    job->queue_last = &job->queue;
    loader->jobs = job;
    return job;
}

static void job_free(struct job *job)
{
    free(job->refused);
    free(job->nodes.at);
    free(job->topics.at);
    free(job->configs.at);
    free(job->unread_configs.at);
    free(job->marks.at);
    free(job->tombstones.at);
    free(job->eligible.at);
    arena_fini(&job->arena);
    free(job);
}

/* Nobody wants it any more; it goes with its last answer. */
static void job_drop(struct job *job)
{
    struct loader *loader = job->loader;

    if (loader == NULL)
        return;
    for (struct job **at = &loader->jobs; *at != NULL; at = &(*at)->next) {
        if (*at == job) {
            *at = job->next;
            break;
        }
    }
    job->loader = NULL;
    job->queue = NULL;
    job->queue_last = &job->queue;
}

void load_refuse(struct job *job, char *text)
{
    if (job->refused == NULL)
        job->refused = text;
    else
        free(text);
}

static void job_turn(struct job *job);

static void on_item(void *arg, const struct zk_answer *answer)
{
    struct item *item = arg;
    struct job *job = item->job;

    job->out--;
    if (job->loader != NULL) {
        switch (answer->err) {
        case ERR_CONNECTION_LOSS:
            item->next = NULL;
            *job->queue_last = item;
            job->queue_last = &item->next;
            break;
        case ERR_SESSION_EXPIRED:
        case ERR_CLOSED:
            job_drop(job);
            break;
        case ERR_OK:
        case ERR_NOT_FOUND:
            item->told(job, item, answer);
            break;
        default: /* must not look like absence */
            if (item->may_fail) {
                item->told(job, item, answer);
                break;
            }
            load_refuse(job, xasprintf("cannot read a znode path=%s err=%s", item->path,
                                       err_name(answer->err)));
        }
    }
    job_turn(job);
}

/* Sends what fits; when all is answered: the next phase, or the end of a job that was dropped. */
static void job_turn(struct job *job)
{
    while (job->loader != NULL && job->queue != NULL && job->out < WINDOW) {
        struct item *item = job->queue;

        job->queue = item->next;
        if (job->queue == NULL)
            job->queue_last = &job->queue;
        job->out++;
        if (item->kind == READ_DATA)
            zk_get(job->zk, item->path, false, on_item, item);
        else if (item->kind == READ_CHILDREN)
            zk_children(job->zk, item->path, false, on_item, item);
        else
            zk_exists(job->zk, item->path, false, on_item, item);
    }
    if (job->out > 0 || job->steps > 0)
        return;
    if (job->loader == NULL)
        job_free(job);
    else
        job->then(job);
}

struct item *load_read(struct job *job, int kind, const char *path, item_told *told, void *target)
{
    struct item *item = arena_alloc(&job->arena, sizeof *item);

    *item = (struct item){ .job = job, .path = path, .told = told, .target = target };
    item->kind = (unsigned)kind;
    *job->queue_last = item;
    job->queue_last = &item->next;
    return item;
}

/* A call that is not a read; its answer calls step_done(). */
static bool step_done(struct job *job, const struct zk_answer *answer)
{
    job->steps--;
    if (answer->err == ERR_SESSION_EXPIRED || answer->err == ERR_CLOSED)
        job_drop(job);
    return job->loader != NULL;
}

void load_add(struct things *things, void *thing)
{
    array_reserve(&things->at, &things->cap, things->n + 1, sizeof(void *));
    ((void **)things->at)[things->n++] = thing;
}

/* The things themselves in one array. */
static void *things_flat(struct job *job, const struct things *things, size_t size)
{
    char *flat = arena_zalloc(&job->arena, things->n, size);

    for (size_t i = 0; i < things->n; i++)
        memcpy(flat + i * size, ((void **)things->at)[i], size);
    return flat;
}

/* The end: gives the event to the sink, after which the loader may be gone. */
static void job_finish(struct job *job, const struct core_event *event)
{
    struct sink sink = job->loader->sink;

    job_drop(job);
    sink.on_event(sink.arg, event);
    job_free(job);
}

/* Lent texts of an answer, kept. */
struct str load_keep(struct job *job, struct str text)
{
    return (struct str){ .ptr = arena_cstr(&job->arena, text), .len = text.len };
}

/* ---- brokers --------------------------------------------------------------------------------- */

/* One that cannot be read is as good as none; the others are followed as ever. */
static void on_broker(struct job *job, struct item *item, const struct zk_answer *answer)
{
    struct zk_registration *reg = arena_alloc(&job->arena, sizeof *reg);
    enum err err = answer->err;
    int32_t id;

    if (err == ERR_NOT_FOUND || !zk_leaf_id(zk_path_leaf(str_of(item->path)), &id))
        return; /* gone again */
    if (err == ERR_OK)
        err = zk_parse_registration(&job->arena, answer->data, reg);
    for (size_t i = 0; err == ERR_OK && i < reg->node.n_endpoints; i++) {
        if (!endpoint_valid(&reg->node.endpoints[i]))
            err = ERR_BAD_FORMAT;
    }
    if (err != ERR_OK) {
        say_limited(SAY_ERROR,
                    "cannot read the registration of a broker, left out as not registered "
                    "broker=%" PRId32 " path=%s err=%s",
                    id, item->path, err_name(err));
        return;
    }
    if (str_is_null(reg->moldau)) {
        say_limited(SAY_ERROR,
                    "a broker that is not moldau's is registered, left out broker=%" PRId32, id);
        return;
    }
    reg->node.id = id;
    reg->node.epoch = answer->stat.czxid;
    load_add(&job->nodes, &reg->node);
}

static void on_broker_ids(struct job *job, struct item *item, const struct zk_answer *answer)
{
    (void)item;
    for (size_t i = 0; i < answer->n_children; i++) {
        int32_t id;

        if (zk_leaf_id(answer->children[i], &id))
            load_read(job, READ_DATA, zk_path_broker(&job->arena, id), on_broker, NULL)->may_fail =
                true;
    }
}

/* ---- topics ---------------------------------------------------------------------------------- */

static void progress(struct job *job)
{
    int64_t now_ms = clock_mono_ms();

    if (now_ms - job->progress_ms < PROGRESS_MS)
        return;
    job->progress_ms = now_ms;
    say_info("reading the cluster from ZooKeeper topics=%zu partitions=%zu of=%zu", job->topics.n,
             job->n_parts_read + job->n_parts_known, job->n_parts);
}

static void on_state(struct job *job, struct item *item, const struct zk_answer *answer)
{
    struct core_read_part *part = item->target;
    enum err err = answer->err;

    job->n_parts_read++;
    progress(job);
    if (err == ERR_NOT_FOUND)
        return;
    if (err == ERR_OK)
        err =
            zk_parse_state(&job->arena, answer->data, &part->state_controller_epoch, &part->state);
    if (err == ERR_OK && !leader_isr_valid(&part->state))
        err = ERR_BAD_FORMAT;
    if (err != ERR_OK) {
        say_limited(SAY_ERROR, "cannot read the state of a partition path=%s err=%s", item->path,
                    err_name(err));
        part->is_unreadable = true;
        part->state = (struct leader_isr){
            .leader = LEADER_NONE,
            .leader_epoch = -1,
            .partition_epoch = answer->err == ERR_OK ? answer->stat.version : -1,
        };
        return;
    }
    part->has_state = true;
    part->state.partition_epoch = answer->stat.version;
}

static void state_read(struct job *job, struct str topic, struct core_read_part *part)
{
    load_read(job, READ_DATA, zk_path_state(&job->arena, topic, part->index), on_state, part)
        ->may_fail = true;
}

/* As the standby knows it, or false. */
static bool is_known(struct job *job, struct uuid topic_id, struct core_read_part *part)
{
    const struct image_part *known =
        job->known != NULL ? standby_part(job->known, topic_id, part->index) : NULL;

    if (known == NULL)
        return false;
    part->has_state = true;
    part->state_controller_epoch = -1; /* nobody asks who wrote it */
    part->state = image_part_state(known);
    job->n_parts_known++;
    return true;
}

static void state_wanted(struct job *job, struct uuid topic_id, struct str topic,
                         struct core_read_part *part)
{
    if (!is_known(job, topic_id, part))
        state_read(job, topic, part);
}

static void on_partitions(struct job *job, struct item *item, const struct zk_answer *answer)
{
    struct topic_slot *slot = item->target;

    (void)job;
    slot->is_led =
        answer->err != ERR_NOT_FOUND && (answer->err != ERR_OK || answer->n_children > 0);
}

static void topic_is_unreadable(struct job *job, struct topic_slot *slot,
                                const struct zk_answer *answer, enum err err)
{
    slot->topic.is_unreadable = true;
    slot->topic.version = answer->err == ERR_OK ? answer->stat.version : -1;
    say_limited(SAY_ERROR, "cannot read the znode of a topic path=%.*s err=%s",
                STR_ARG(answer->path), err_name(err));
    if (job->what == RELOAD_ALL)
        load_read(job, READ_CHILDREN, zk_path_partitions(&job->arena, slot->topic.name),
                  on_partitions, slot)
            ->may_fail = true;
}

/* Who is named twice is meant once. */
static struct ids each_once(struct job *job, struct ids ids)
{
    struct ids out = IDS_NONE;
    int32_t *room;

    if (ids.n > IDS_MAX || ids_unique(ids))
        return ids;
    out.at = room = arena_alloc(&job->arena, ids.n * sizeof *room);
    for (uint32_t i = 0; i < ids.n; i++) {
        if (!ids_has(out, ids.at[i]))
            room[out.n++] = ids.at[i];
    }
    return out;
}

/* False when one of them cannot be in an image: nobody knows then who has records of it. */
static bool take_parts(struct job *job, struct topic_slot *slot, const struct zk_topic *topic)
{
    slot->parts = arena_zalloc(&job->arena, topic->n_parts, sizeof *slot->parts);
    for (size_t i = 0; i < topic->n_parts; i++) {
        const struct zk_topic_part *from = &topic->parts[i];
        struct image_part part = { .index = from->index,
                                   .leader = LEADER_NONE,
                                   .leader_epoch = -1,
                                   .partition_epoch = -1,
                                   .replicas = each_once(job, from->replicas),
                                   .adding = each_once(job, from->adding),
                                   .removing = each_once(job, from->removing) };

        if (!image_part_valid(&part))
            return false;
        slot->parts[i] = (struct core_read_part){ .index = part.index,
                                                  .replicas = part.replicas,
                                                  .adding = part.adding,
                                                  .removing = part.removing };
    }
    return true;
}

static void on_topic(struct job *job, struct item *item, const struct zk_answer *answer)
{
    struct topic_slot *slot = item->target;
    struct zk_topic topic;
    enum err err = answer->err;

    if (err == ERR_NOT_FOUND)
        return;
    if (!image_topic_name_valid(slot->topic.name)) {
        say_limited(SAY_ERROR, "a topic is left out, for no topic can have its name path=%.*s",
                    STR_ARG(answer->path));
        return;
    }
    slot->there = true;
    if (err == ERR_OK)
        err = zk_parse_topic(&job->arena, answer->data, &topic);
    if (err == ERR_OK && !take_parts(job, slot, &topic))
        err = ERR_BAD_FORMAT;
    if (err != ERR_OK) {
        topic_is_unreadable(job, slot, answer, err);
        return;
    }
    slot->topic = (struct core_read_topic){ .name = slot->topic.name,
                                            .id = topic.id,
                                            .version = answer->stat.version,
                                            .n_parts = topic.n_parts,
                                            .parts = slot->parts };
    job->n_parts += topic.n_parts;
    for (size_t i = 0; i < topic.n_parts; i++)
        state_wanted(job, topic.id, slot->topic.name, &slot->parts[i]);
}

static struct topic_slot *topic_read(struct job *job, struct str name)
{
    struct topic_slot *slot = arena_zalloc(&job->arena, 1, sizeof *slot);

    slot->topic.name = load_keep(job, name);
    load_read(job, READ_DATA, zk_path_topic(&job->arena, name), on_topic, slot)->may_fail = true;
    return slot;
}

/* As the standby knows it, which lends it. */
static struct topic_slot *topic_known(struct job *job, const struct image_topic *known)
{
    struct topic_slot *slot = arena_zalloc(&job->arena, 1, sizeof *slot);
    size_t n = 0;

    slot->there = true;
    slot->parts = arena_zalloc(&job->arena, (size_t)known->n_parts, sizeof *slot->parts);
    for (int32_t i = 0; i < known->n_parts; i++) {
        const struct image_part *part = image_topic_part(known, i);

        if (part == NULL)
            continue;
        slot->parts[n] = (struct core_read_part){ .index = i,
                                                  .replicas = part->replicas,
                                                  .adding = part->adding,
                                                  .removing = part->removing };
        state_wanted(job, known->id, known->name, &slot->parts[n++]);
    }
    slot->topic = (struct core_read_topic){ .name = known->name,
                                            .id = known->id,
                                            .version = known->version,
                                            .n_parts = n,
                                            .parts = slot->parts };
    job->n_parts += n;
    job->n_topics_known++;
    return slot;
}

static void on_topics(struct job *job, struct item *item, const struct zk_answer *answer)
{
    (void)item;
    for (size_t i = 0; i < answer->n_children; i++) {
        struct str name = answer->children[i];
        const struct image_topic *known =
            job->known != NULL ? standby_topic(job->known, name) : NULL;

        load_add(&job->topics, known != NULL ? topic_known(job, known) : topic_read(job, name));
    }
}

/* ---- what forbids it --------------------------------------------------------------------------
 */

static void on_protection(struct job *job, struct item *item, const struct zk_answer *answer)
{
    (void)item;
    if (answer->n_children > 0)
        load_refuse(job, xasprintf("there are ACLs or delegation tokens, which are not built yet "
                                   "path=%.*s",
                                   STR_ARG(answer->path)));
}

static void on_acl_types(struct job *job, struct item *item, const struct zk_answer *answer)
{
    for (size_t i = 0; i < answer->n_children; i++)
        load_read(job, READ_CHILDREN, zk_path_child(&job->arena, item->path, answer->children[i]),
                  on_protection, NULL);
}

static void on_acl_patterns(struct job *job, struct item *item, const struct zk_answer *answer)
{
    for (size_t i = 0; i < answer->n_children; i++)
        load_read(job, READ_CHILDREN, zk_path_child(&job->arena, item->path, answer->children[i]),
                  on_acl_types, NULL);
}

static void on_migration(struct job *job, struct item *item, const struct zk_answer *answer)
{
    (void)item;
    if (answer->err == ERR_OK)
        load_refuse(job, xstrdup("a migration to KRaft is or was running path=" ZK_MIGRATION));
}

static void on_step(void *arg, const struct zk_answer *answer)
{
    struct job *job = arg;

    (void)step_done(job, answer);
    job_turn(job);
}

/* Kafka's controllers leave the version that they write, when it is absent or older. */
static void on_feature(struct job *job, struct item *item, const struct zk_answer *answer)
{
    struct zk_features features = { .version = 0 };
    struct str wanted = zk_build_features(&job->arena);

    (void)item;
    if (answer->err == ERR_OK && answer->data.len > 0 &&
        zk_parse_features(&job->arena, answer->data, &features) != ERR_OK) {
        load_refuse(job, xasprintf("cannot read the features data=%.*s", STR_ARG(answer->data)));
    } else if (features.n > 0) {
        load_refuse(job, xasprintf("a feature is finalised that is not known here feature=%.*s",
                                   STR_ARG(features.at[0].name)));
    } else if (answer->err == ERR_NOT_FOUND) {
        job->steps++;
        zk_create(job->zk, ZK_FEATURE, wanted, ZK_PERSISTENT, on_step, job);
    } else if (!str_eq(answer->data, wanted)) {
        job->steps++;
        zk_set(job->zk, ZK_FEATURE, wanted, answer->stat.version, on_step, job);
    }
}

static void on_cluster_id(struct job *job, struct item *item, const struct zk_answer *answer);

static void on_cluster_id_made(void *arg, const struct zk_answer *answer)
{
    struct job *job = arg;

    if (step_done(job, answer)) /* whoever made it: read it */
        load_read(job, READ_DATA, ZK_CLUSTER_ID, on_cluster_id, NULL);
    job_turn(job);
}

static void on_cluster_parent(void *arg, const struct zk_answer *answer)
{
    struct job *job = arg;

    if (step_done(job, answer)) {
        struct rand rand;
        char text[UUID_TEXT_LEN + 1];

        rand_seed_os(&rand);
        uuid_print(rand_uuid(&rand), text);
        job->steps++;
        zk_create(job->zk, ZK_CLUSTER_ID, zk_build_cluster_id(&job->arena, str_of(text)),
                  ZK_PERSISTENT, on_cluster_id_made, job);
    }
    job_turn(job);
}

static void on_cluster_id(struct job *job, struct item *item, const struct zk_answer *answer)
{
    (void)item;
    if (answer->err == ERR_NOT_FOUND) {
        job->steps++;
        zk_create_path(job->zk, "/cluster", on_cluster_parent, job);
    } else if (zk_parse_cluster_id(&job->arena, answer->data, &job->cluster_id) != ERR_OK) {
        load_refuse(job,
                    xasprintf("cannot read the cluster's id data=%.*s", STR_ARG(answer->data)));
    }
}

/* What cannot be read must not look like absence, so nothing is reported at all. */
static bool is_refused(struct job *job)
{
    struct loader_hooks hooks = job->loader->hooks;

    if (job->refused == NULL)
        return false;
    job_drop(job);
    hooks.on_refused(hooks.arg, job->refused);
    job_free(job);
    return true;
}

/* ---- everything -------------------------------------------------------------------------------
 */

/* It may have records, and nobody knows where: without a word of it brokers would park them. */
static void refuse_unknown(struct job *job, const struct topic_slot *slot)
{
    const struct loader_hooks *hooks = &job->loader->hooks;

    if (!slot->is_led ||
        (hooks->knows != NULL && hooks->knows(hooks->arg, slot->topic.name, job->epoch)))
        return;
    load_refuse(job, xasprintf("cannot read the znode of a topic that has been led, put it right "
                               "path=%s",
                               zk_path_topic(&job->arena, slot->topic.name)));
}

static void everything_read(struct job *job)
{
    struct core_event event = { .kind = CORE_LOADED };
    struct core_loaded *loaded = &event.loaded;
    struct core_read_topic *topics;

    for (size_t i = 0; i < job->topics.n; i++)
        refuse_unknown(job, ((struct topic_slot **)job->topics.at)[i]);
    if (is_refused(job))
        return;
    topics = arena_zalloc(&job->arena, job->topics.n, sizeof *topics);
    for (size_t i = 0; i < job->topics.n; i++) {
        struct topic_slot *slot = ((struct topic_slot **)job->topics.at)[i];

        if (slot->there)
            topics[loaded->n_topics++] = slot->topic;
    }
    loaded->controller_epoch = job->epoch;
    loaded->cluster_id = job->cluster_id;
    loaded->topics = topics;
    loaded->n_nodes = job->nodes.n;
    loaded->nodes = things_flat(job, &job->nodes, sizeof(struct node));
    loaded->n_configs = job->configs.n;
    loaded->configs = things_flat(job, &job->configs, sizeof(struct image_config));
    loaded->n_unread_configs = job->unread_configs.n;
    loaded->unread_configs = things_flat(job, &job->unread_configs, sizeof(struct image_config));
    loaded->n_delete_marks = job->marks.n;
    loaded->delete_marks = things_flat(job, &job->marks, sizeof(struct str));
    loaded->n_tombstones = job->tombstones.n;
    loaded->tombstones = things_flat(job, &job->tombstones, sizeof(struct core_tombstones));
    loaded->n_eligible = job->eligible.n;
    loaded->eligible = things_flat(job, &job->eligible, sizeof(struct core_eligible));
    loaded->ours_since = job->ours.last == job->epoch ? job->ours.first : job->epoch;
    loaded->pid_block = job->pid_block;
    say_info("read the cluster from ZooKeeper brokers=%zu topics=%zu known_topics=%zu "
             "partitions=%zu known=%zu settings=%zu took_ms=%" PRId64,
             loaded->n_nodes, loaded->n_topics, job->n_topics_known, job->n_parts,
             job->n_parts_known, loaded->n_configs, clock_mono_ms() - job->started_ms);
    job_finish(job, &event);
}

static void everything_start(struct job *job)
{
    job->then = everything_read;
    job->pid_block = (struct core_pid_block){ .broker = -1, .first = -1, .last = -1 };
    load_read(job, READ_EXISTS, ZK_MIGRATION, on_migration, NULL);
    load_read(job, READ_CHILDREN, ZK_ACL, on_acl_types, NULL);
    load_read(job, READ_CHILDREN, ZK_ACL_EXTENDED, on_acl_patterns, NULL);
    load_read(job, READ_CHILDREN, ZK_TOKENS, on_protection, NULL);
    load_read(job, READ_DATA, ZK_FEATURE, on_feature, NULL);
    load_read(job, READ_DATA, ZK_CLUSTER_ID, on_cluster_id, NULL);
    load_read(job, READ_CHILDREN, ZK_ISR_CHANGES, load_on_old_notes, NULL);
    load_read(job, READ_CHILDREN, ZK_LOG_DIR_EVENTS, load_on_old_notes, NULL);
    load_read(job, READ_CHILDREN, ZK_BROKER_IDS, on_broker_ids, NULL);
    load_read(job, READ_CHILDREN, ZK_TOPICS, on_topics, NULL);
    load_read(job, READ_CHILDREN, ZK_DELETE_TOPICS, load_on_marks, NULL);
    load_read(job, READ_CHILDREN, ZK_TOMBSTONES, load_on_tombstones, NULL);
    load_read(job, READ_CHILDREN, ZK_ELIGIBLE, load_on_eligible, NULL);
    load_read(job, READ_DATA, ZK_SEATS, load_on_ours, NULL);
    load_read(job, READ_DATA, ZK_PID_BLOCK, load_on_pid_block, NULL);
    for (const char *const *type = zk_tree_entity_types; *type != NULL; type++)
        load_read(job, READ_CHILDREN, arena_printf(&job->arena, ZK_CONFIG "/%s", *type).ptr,
                  load_on_entities, arena_cstr(&job->arena, str_of(*type)));
    job_turn(job);
}

static void on_paths(void *arg, const struct zk_answer *answer)
{
    struct job *job = arg;

    if (step_done(job, answer) && answer->err != ERR_OK)
        load_refuse(job, xasprintf("cannot create what is missing of Kafka's tree err=%s",
                                   err_name(answer->err)));
    job_turn(job);
}

/* ---- one thing --------------------------------------------------------------------------------
 */

static void brokers_read(struct job *job)
{
    struct core_event event = {
        .kind = CORE_BROKER_NODES,
        .broker_nodes = { .n = job->nodes.n,
                          .nodes = things_flat(job, &job->nodes, sizeof(struct node)) },
    };

    if (!is_refused(job))
        job_finish(job, &event);
}

static void on_topic_version(struct job *job, struct item *item, const struct zk_answer *answer)
{
    struct topic_slot *slot = item->target;

    (void)job;
    slot->there = answer->err == ERR_OK;
    slot->is_old =
        !slot->there || (slot->topic.version >= 0 && answer->stat.version != slot->topic.version);
}

static void topic_was_read(struct job *job)
{
    struct topic_slot *slot = ((struct topic_slot **)job->topics.at)[0];
    struct core_event event = { .kind = CORE_TOPIC_READ,
                                .topic_read = { .name = job->topic,
                                                .topic = slot->there ? &slot->topic : NULL,
                                                .n_settings = job->config->n_settings,
                                                .settings = job->config->settings } };
    struct core_reload again = { .what = RELOAD_TOPIC, .topic = job->topic };
    struct loader *loader = job->loader;

    if (is_refused(job))
        return;
    if (!slot->is_old) {
        job_finish(job, &event);
        return;
    }
    job_drop(job);
    loader_run(loader, &again, job->epoch);
    job_free(job);
}

/* While the states were read, a write of ours may have set the topic's znode, and be answered: what
 * was read before it must not come after it. Answers come in the order of what was asked, so a
 * version that is still the same was not changed by anything that is known already. */
static void topic_is_read(struct job *job)
{
    struct topic_slot *slot = ((struct topic_slot **)job->topics.at)[0];

    job->then = topic_was_read;
    if (slot->there)
        load_read(job, READ_EXISTS, zk_path_topic(&job->arena, job->topic), on_topic_version, slot);
    job_turn(job);
}

static void state_was_read(struct job *job)
{
    struct core_event event = {
        .kind = CORE_STATE_READ,
        .state_read = { .topic_id = job->topic_id,
                        .partition = job->part.index,
                        .part =
                            job->part.has_state || job->part.is_unreadable ? &job->part : NULL },
    };

    if (!is_refused(job))
        job_finish(job, &event);
}

static void pid_block_was_read(struct job *job)
{
    struct core_event event = { .kind = CORE_PID_BLOCK_READ,
                                .pid_block_read = { .block = job->pid_block } };

    if (!is_refused(job))
        job_finish(job, &event);
}

static void config_was_read(struct job *job)
{
    struct core_event event = { .kind = CORE_CONFIG_READ,
                                .config_read = { .config = *job->config } };

    if (is_refused(job))
        return;
    if (job->unread_configs.n > 0) { /* must not look as if there were none */
        job_drop(job);
        job_free(job);
        return;
    }
    job_finish(job, &event);
}

/* ---- the module -------------------------------------------------------------------------------
 */

struct loader *loader_new(struct zk *zk, const struct sink *sink, const struct loader_hooks *hooks)
{
    struct loader *loader = xmalloc(sizeof *loader);

    *loader = (struct loader){ .zk = zk, .sink = *sink, .hooks = *hooks };
    return loader;
}

void loader_reset(struct loader *loader)
{
    loader->known = NULL;
    while (loader->jobs != NULL)
        job_drop(loader->jobs); /* it has answers to come, which free it */
}

void loader_free(struct loader **loader)
{
    if (*loader == NULL)
        return;
    loader_reset(*loader);
    free(*loader);
    *loader = NULL;
}

/* The same read that runs already would bring what may be old by now: its answer is not wanted. */
static void drop_same(struct loader *loader, const struct core_reload *reload)
{
    struct job *next;

    for (struct job *job = loader->jobs; job != NULL; job = next) {
        next = job->next;
        if (job->what == RELOAD_CONFIG || job->what != reload->what)
            continue;
        if ((job->what == RELOAD_TOPIC && !str_eq(job->topic, reload->topic)) ||
            (job->what == RELOAD_STATE &&
             (!uuid_eq(job->topic_id, reload->topic_id) || job->part.index != reload->partition)))
            continue;
        job_drop(job);
    }
}

void loader_run(struct loader *loader, const struct core_reload *reload, int32_t epoch)
{
    struct job *job;

    drop_same(loader, reload);
    job = job_new(loader, reload->what);
    job->epoch = epoch;
    job->topic = load_keep(job, reload->topic);
    job->topic_id = reload->topic_id;
    switch (reload->what) {
    case RELOAD_ALL:
        job->known = loader->known;
        loader->known = NULL;
        job->then = everything_start;
        job->steps = 2;
        zk_enroll_paths(job->zk, zk_tree_start_paths, on_paths, job);
        zk_enroll_paths(job->zk, zk_tree_own_paths, on_paths, job);
        return;
    case RELOAD_BROKERS:
        job->then = brokers_read;
        load_read(job, READ_CHILDREN, ZK_BROKER_IDS, on_broker_ids, NULL);
        break;
    case RELOAD_TOPIC:
        job->then = topic_is_read;
        load_add(&job->topics, topic_read(job, job->topic));
        job->config = load_config(job, STR("topics"), job->topic);
        break;
    case RELOAD_STATE:
        job->then = state_was_read;
        job->part.index = reload->partition;
        state_read(job, job->topic, &job->part);
        break;
    case RELOAD_PID_BLOCK:
        job->then = pid_block_was_read;
        job->pid_block = (struct core_pid_block){ .broker = -1, .first = -1, .last = -1 };
        load_read(job, READ_DATA, ZK_PID_BLOCK, load_on_pid_block, NULL);
        break;
    case RELOAD_CONFIG:
        job->then = config_was_read;
        job->config = load_config(job, reload->type, reload->name);
        break;
    }
    job_turn(job);
}

void loader_believe(struct loader *loader, const struct standby *known)
{
    loader->known = known;
}

bool loader_progress(const struct loader *loader, size_t *n_parts, size_t *n_done)
{
    const struct job *job = loader->jobs;

    while (job != NULL && job->what != RELOAD_ALL)
        job = job->next;
    if (job == NULL)
        return false;
    *n_parts = job->n_parts;
    *n_done = job->n_parts_read + job->n_parts_known;
    return true;
}

void loader_run_config(struct loader *loader, struct str type, struct str name)
{
    loader_run(loader, &(struct core_reload){ .what = RELOAD_CONFIG, .type = type, .name = name },
               0);
}
