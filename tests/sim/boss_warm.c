/*
 * How a standby stays warm, and that it is right: the others are told images and positions as
 * controller/shell tells them (an image is immutable, so it stands for its deltas), some time
 * later or never. Who wins reads everything here, and standby is asked beside it what it would not
 * have read: a topic or a state that it believes and that is another one in ZooKeeper fails the
 * history.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/sim/boss_int.h"

struct follow_msg {
    struct image *image;
    bool is_known;
    uint64_t number;
};

static void drop_follow(void *ptr)
{
    struct follow_msg *msg = ptr;

    image_unref(&msg->image);
    free(msg);
}

static bool is_news(const struct image *known, const struct image *image)
{
    if (known == NULL || image_controller_epoch(known) != image_controller_epoch(image))
        return known == NULL || image_controller_epoch(known) < image_controller_epoch(image);
    return image_version(known) <= image_version(image);
}

static void run_follow(struct world *w, struct event *ev)
{
    struct boss *boss = &w->bosses[ev->node - NODE_BOSS];
    struct follow_msg *msg = ev->ptr;
    int32_t epoch = image_controller_epoch(msg->image);
    uint64_t version = image_version(msg->image);

    if (boss->held || boss->standby == NULL || !is_news(standby_image(boss->standby), msg->image))
        return;
    standby_on_image(boss->standby, &msg->image);
    if (msg->is_known)
        standby_on_position(boss->standby, epoch, version, msg->number);
    msg->image = NULL;
}

void boss_tell_standbys(struct world *w, struct boss *boss)
{
    const struct image *image = core_image(boss->core);
    uint64_t number = boss->writer.certain;

    if (core_withholds(boss->core) && boss->told_number < number)
        number = boss->told_number;
    if (!boss->held || !core_is_active(boss->core) ||
        (image == boss->told && number == boss->told_number))
        return;
    boss->told = image;
    boss->told_number = number;
    for (int i = 0; i < w->conf.bosses; i++) {
        struct follow_msg *msg;
        struct event *ev;

        if (&w->bosses[i] == boss || !w->procs[NODE_BOSS + i].running ||
            !link_is_up(w, boss->node, NODE_BOSS + i))
            continue;
        msg = xcalloc(1, sizeof *msg);
        msg->image = image_ref(image);
        msg->is_known = !boss->writer.doubtful;
        msg->number = number;
        ev = world_at(w, world_delay_us(w), NODE_BOSS + i, run_follow);
        ev->ptr = msg;
        ev->drop = drop_follow;
    }
}

void boss_touch(struct world *w, const struct core_write *write, size_t at, size_t until,
                const struct core_op_result *results, uint64_t number)
{
    struct zoo_touched *slot = &w->zoo->ring[number % SIM_RING];

    *slot = (struct zoo_touched){ .epoch = write->controller_epoch, .number = number };
    for (size_t i = at; i < until; i++) {
        const struct core_op *op = &write->ops[i];

        if (results[i].err != ERR_OK || w->conf.mutation == MUTATION_RING_SILENT)
            continue;
        if (op->kind == OP_STATE_SET || op->kind == OP_STATE_CREATE)
            slot->parts |= UINT32_C(1) << op->state.partition;
        slot->config |= op->kind == OP_CONFIG_SET || op->kind == OP_MARK_CREATE;
        if (w->conf.mutation != MUTATION_RING_NO_TOPICS)
            slot->topic |= op->kind == OP_TOPIC_CREATE || op->kind == OP_TOPIC_SET ||
                           op->kind == OP_MARK_CREATE;
    }
}

static const struct str topic_config = { "topics/t", 8 }, topic_name = { "t", 1 };

static size_t read_ring(const struct zoo_touched *ring, struct zk_touched *out,
                        struct zk_touched_part (*parts)[SIM_PARTS])
{
    size_t n = 0;

    for (size_t i = 0; i < SIM_RING; i++) {
        if (ring[i].number == 0)
            continue;
        out[n] = (struct zk_touched){ .epoch = ring[i].epoch,
                                      .number = ring[i].number,
                                      .has_topics = true,
                                      .n_topics = ring[i].topic,
                                      .topics = &topic_name,
                                      .n_configs = ring[i].config,
                                      .configs = &topic_config,
                                      .parts = parts[n] };
        for (int32_t p = 0; p < SIM_PARTS; p++)
            if ((ring[i].parts >> p & 1) != 0)
                parts[n][out[n].n_parts++] =
                    (struct zk_touched_part){ .topic = SIM_TOPIC, .partition = p };
        n++;
    }
    return n;
}

static bool is_same(const struct image_part *part, const struct zoo_state *state)
{
    struct ids isr = { .at = state->isr, .n = state->n_isr };

    return state->there && part->leader == state->leader &&
           part->leader_epoch == state->leader_epoch && part->partition_epoch == state->version &&
           part->recovering == state->recovering && ids_eq(part->isr, isr);
}

static bool is_assigned(const struct image_part *part, const struct tree *tree, int p)
{
    const struct zoo_part *zoo = &tree->topic.parts[p];

    return part != NULL && ids_eq(part->replicas, zoo_replicas(tree, p)) &&
           ids_eq(part->adding, (struct ids){ .at = zoo->adding, .n = zoo->n_adding }) &&
           ids_eq(part->removing, (struct ids){ .at = zoo->removing, .n = zoo->n_removing });
}

static void check_topic(struct world *w, const struct boss *boss, const struct tree *tree)
{
    const struct image_topic *topic = standby_topic(boss->standby, topic_name);

    if (topic == NULL)
        return;
    w->n_warm_topics++;
    if (!uuid_eq(topic->id, w->gens[tree->topic.gen]) || topic->version != tree->topic.version ||
        topic->n_parts != tree->topic.n_parts)
        world_fail(w,
                   "a warm standby believes version=%d of gen=%d with %d partitions, ZooKeeper has "
                   "version=%d of gen=%d with %d",
                   topic->version, gen_of(w, topic->id), topic->n_parts, tree->topic.version,
                   tree->topic.gen, tree->topic.n_parts);
    for (int p = 0; p < tree->topic.n_parts; p++)
        if (!is_assigned(image_topic_part(topic, p), tree, p))
            world_fail(w, "a warm standby believes other replicas of partition %d than ZooKeeper",
                       p);
}

static void check_part(struct world *w, const struct boss *boss, const struct tree *tree, int p)
{
    const struct zoo_state *state = &tree->states[p];
    const struct image_part *part = standby_part(boss->standby, w->gens[tree->topic.gen], p);

    if (part != NULL && !is_same(part, state))
        world_fail(w,
                   "a warm standby believes leader=%d epoch=%d version=%d of partition %d, "
                   "ZooKeeper has leader=%d epoch=%d version=%d",
                   part->leader, part->leader_epoch, part->partition_epoch, p, state->leader,
                   state->leader_epoch, state->version);
}

static void check_config(struct world *w, const struct boss *boss, const struct tree *tree)
{
    const struct image_config *config;
    struct image_setting settings[2];
    size_t n = boss_settings(&tree->config, settings);

    if (!standby_config(boss->standby, STR("topics"), SIM_TOPIC, &config))
        return;
    for (size_t i = 0; i < n; i++)
        if (config == NULL ||
            !str_eq(image_config_value(config, settings[i].key), settings[i].value))
            world_fail(w, "a warm standby does not know of %.*s=%.*s", STR_ARG(settings[i].key),
                       STR_ARG(settings[i].value));
    if (config != NULL && config->n_settings != n)
        world_fail(w, "a warm standby believes %zu settings, ZooKeeper has %zu", config->n_settings,
                   n);
}

void boss_check_warm(struct world *w, struct boss *boss, const struct zoo_touched *ring,
                     const struct tree *tree)
{
    struct zk_touched touched[SIM_RING];
    struct zk_touched_part(*parts)[SIM_PARTS] = xcalloc(SIM_RING, sizeof *parts);
    const char *why =
        standby_judge(boss->standby, boss->epoch, read_ring(ring, touched, parts), touched);

    w->n_warm += why == NULL;
    w->n_cold += why != NULL;
    TRACE(w, "%s %s", node_name(boss->node), why == NULL ? "would take over warm" : why);
    /* what it reads is another's by now, and whatever it writes is refused */
    if (boss->epoch_version != w->zoo->epoch_version)
        why = "no longer its seat";
    if (why == NULL && tree->topic.there)
        check_topic(w, boss, tree);
    /* the states on their way out are read and taken out again, whatever was believed of them */
    if (tree->mark)
        why = "marked to go";
    for (int p = 0; tree->topic.there && p < tree->topic.n_parts && why == NULL; p++)
        check_part(w, boss, tree, p);
    if (why == NULL && tree->topic.there && w->conf.mutation != MUTATION_UNCLEAN_FREE)
        check_config(w, boss, tree);
    standby_forget(boss->standby);
    free(parts);
}
