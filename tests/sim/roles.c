/*
 * Images and deltas applied, in the order of broker/replica/parts.c: what must go (strays of an
 * image, tombstones, topics that are gone), settings, then roles; tombstones of a delta of what is
 * not gone as a topic come last.
 * Files are deleted on a tombstone only; a log of the same name and another topic id is parked.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/sim/sim.h"

struct change {
    struct world *w;
    struct bro *b;
    const struct image *image;
    const struct image *old; /* what a delta was applied to */
    struct ack_msg *ack;
    bool takes_new; /* what is opened was new when it was tried first */
};

static void fail(struct change *c, int gen, int p, int32_t leader_epoch, int32_t partition_epoch,
                 enum err err)
{
    assert(c->ack->acked.n_failures < ARRAY_LEN(c->ack->failures));
    c->ack->failures[c->ack->acked.n_failures++] =
        (struct core_failure){ .topic_id = c->w->gens[gen],
                               .partition = p,
                               .leader_epoch = leader_epoch,
                               .partition_epoch = partition_epoch,
                               .err = err };
}

static void fail_of(struct change *c, int p, enum err err)
{
    const struct replica *rep = &c->b->reps[p];

    fail(c, rep->gen, p, rep->core.leader_epoch, rep->core.partition_epoch, err);
}

void roles_close(struct world *w, struct bro *b, int p)
{
    struct replica *rep = &b->reps[p];

    if (!rep->open)
        return;
    if (p == CROWD_PART)
        coord_close(w, b, true);
    repl_unfollow(w, b, p);
    rep->open = rep->offline = false;
    part_core_fini(&rep->core);
    repl_wake_fetches(w, b);
    repl_wake_produces(w, b, p);
}

/* ---- logs ---- */

/* There, as far as the directories can be read. */
static bool is_here(const struct bro *b, int p)
{
    return b->logs[p].gen >= 0 && !b->bad_dir[b->logs[p].dir];
}

static bool any_bad(const struct bro *b)
{
    for (int dir = 0; dir < SIM_DIRS; dir++)
        if (b->bad_dir[dir])
            return true;
    return false;
}

static void end_log(struct world *w, struct bro *b, int p)
{
    (void)w;
    disk_begin(&b->logs[p], -1, 0);
    b->damaged[p] = false;
}

static void park(struct change *c, int p, const char *why)
{
    TRACE(c->w, "%s parks a log p%d gen=%d: %s", node_name(c->b->node), p, c->b->logs[p].gen, why);
    /* for each of them there is a tombstone, however long its broker or its disk was away */
    world_fail(c->w, "%s finds a log of partition %d that nobody knows of: %s",
               node_name(c->b->node), p, why);
    if (c->b->reps[p].open)
        roles_close(c->w, c->b, p);
    end_log(c->w, c->b, p);
}

static bool is_new_to(const struct change *c, int gen, int p)
{
    const struct image_part *before =
        c->old != NULL ? image_part(c->old, c->w->gens[gen], p) : NULL;
    bool was_ours = before != NULL && ids_has(before->replicas, c->b->id);

    return c->takes_new || (c->old != NULL && !was_ours);
}

/* As logs_create: on a directory that works; not at all while the log may lie on one that does not;
 * later when there is no room. */
static bool make_log(struct change *c, int gen, const struct image_part *state)
{
    struct bro *b = c->b;
    int p = state->index, dir = 0;
    bool is_new = is_new_to(c, gen, p);

    if (any_bad(b) && !is_new)
        return false;
    if (b->full) {
        if (b->roomless[p].gen != gen)
            b->roomless[p].is_new = is_new;
        b->roomless[p].gen = gen;
        return false;
    }
    while (dir < SIM_DIRS - 1 && (b->bad_dir[dir] || world_chance(c->w, 50)))
        dir++;
    if (b->bad_dir[dir])
        dir = b->bad_dir[0] ? 1 : 0;
    if (b->bad_dir[dir])
        return false;
    /* one that the bad directory hides is another's by now, or was to be copied anew */
    disk_begin(&b->logs[p], gen, dir);
    /* but for a replica that lost it with its disk */
    if (is_new || b->lost_gen[p] != gen)
        b->damaged[p] = false;
    return true;
}

/* ---- tombstones ---- */

static void bury(struct change *c, const struct image_tombstone *stone)
{
    const struct image_part *assigned = image_part(c->image, stone->topic_id, stone->partition);
    int gen = gen_of(c->w, stone->topic_id), p = stone->partition;
    struct bro *b = c->b;
    struct replica *rep = &b->reps[p];
    struct disk_log *log = &b->logs[p];

    if (stone->broker != b->id)
        return;
    if (assigned != NULL && ids_has(assigned->replicas, b->id))
        return; /* assigned to us again since: that is newer */
    if (c->w->conf.mutation == MUTATION_STONE_BY_NAME && log->gen >= 0)
        gen = log->gen;
    if (rep->open && rep->gen == gen) {
        if (rep->core.leader_epoch > stone->leader_epoch) {
            fail_of(c, p, ERR_FENCED_LEADER_EPOCH);
            return;
        }
        roles_close(c->w, b, p);
    }
    if (is_here(b, p) && log->gen == gen) {
        if (epochs_latest(&log->epochs) > stone->leader_epoch) {
            fail(c, gen, p, -1, -1, ERR_FENCED_LEADER_EPOCH);
            return;
        }
        TRACE(c->w, "%s deletes p%d gen=%d", node_name(b->node), p, gen);
        promise_deletes(c->w, b, p);
        if (c->w->conf.mutation != MUTATION_LOG_REUSED)
            end_log(c->w, b, p);
    } else if (!is_here(b, p) && any_bad(b) && c->w->conf.mutation != MUTATION_BURIED_UNSEEN) {
        fail(c, gen, p, -1, -1, ERR_KAFKA_STORAGE_ERROR); /* it may lie there */
        return;
    }
    assert(c->ack->acked.n_deleted < ARRAY_LEN(c->ack->deleted));
    c->ack->deleted[c->ack->acked.n_deleted] = *stone;
    c->ack->deleted[c->ack->acked.n_deleted++].topic = STR_NULL;
}

/* ---- settings ---- */

int32_t bro_min_isr(const struct world *w)
{
    return w->conf.in_files ? w->conf.min_isr : 1;
}

static int32_t min_isr_in(const struct world *w, const struct image *image)
{
    const struct image_config *config = image_config(image, STR("topics"), SIM_TOPIC);
    int64_t value;

    if (w->conf.mutation == MUTATION_MIN_ISR_DEAF)
        return 1;
    if (config != NULL &&
        str_to_i64(image_config_value(config, STR("min.insync.replicas")), &value))
        return (int32_t)value;
    return bro_min_isr(w);
}

/* Before the roles the larger one of before and now, after them as it is. */
static void apply_settings(struct change *c, bool has_roles)
{
    int32_t now = min_isr_in(c->w, c->image);

    for (int p = 0; p < SIM_PARTS; p++) {
        int32_t before = c->b->reps[p].core.min_isr;
        struct part_event ev = { .kind = PART_EV_CONF,
                                 .conf = { .min_isr = has_roles || before < now ? now : before,
                                           .lag_max_ms = c->w->conf.lag_max_ms } };

        if (bro_serves(c->b, p))
            bro_step(c->w, c->b, p, &ev);
    }
}

/* ---- roles ---- */

static bool open_replica(struct change *c, int gen, const struct image_part *state)
{
    struct bro *b = c->b;
    int p = state->index;
    struct replica *rep = &b->reps[p];
    struct disk_log *log = &b->logs[p];

    if (rep->open)
        roles_close(c->w, b, p); /* of another topic id */
    if (is_here(b, p) && log->gen != gen && c->w->conf.mutation == MUTATION_LOG_REUSED)
        log->gen = gen;
    if (is_here(b, p) && log->gen != gen)
        park(c, p, "another topic id");
    if (!is_here(b, p) && !make_log(c, gen, state)) {
        fail(c, gen, p, -1, -1, ERR_KAFKA_STORAGE_ERROR);
        return false;
    }
    rep->open = true;
    rep->offline = rep->is_full = false;
    rep->gen = gen;
    rep->seen_epoch = -1;
    part_core_init(&rep->core, b->id, 0, log->leo, log->hw_file, min_isr_in(c->w, c->image),
                   c->w->conf.lag_max_ms);
    if (b->roomless[p].gen == gen && c->w->conf.mutation == MUTATION_ROOM_TOLD_ONCE)
        fail_of(c, p, ERR_OK);
    b->roomless[p].gen = -1;
    return true;
}

static void set_role(struct change *c, const struct image_part *state)
{
    const struct node *self = image_node(c->image, c->b->id);
    struct part_live live[SIM_BROKERS];
    struct part_effects fx;
    int p = state->index;

    for (uint32_t i = 0; i < state->replicas.n; i++) {
        const struct node *node = image_node(c->image, state->replicas.at[i]);

        live[i] = (struct part_live){ .id = state->replicas.at[i],
                                      .broker_epoch = node != NULL ? node->epoch : -1,
                                      .live = node != NULL && node->state == NODE_LIVE };
    }
    struct part_event ev = { .kind = PART_EV_ROLE,
                             .role = { .leader = state->leader,
                                       .leader_epoch = state->leader_epoch,
                                       .partition_epoch = state->partition_epoch,
                                       .replicas = state->replicas.at,
                                       .replicas_len = (int32_t)state->replicas.n,
                                       .isr = state->isr.at,
                                       .isr_len = (int32_t)state->isr.n,
                                       .recovering = state->recovering,
                                       .live = live,
                                       .my_epoch = self != NULL ? self->epoch : -1 } };

    fx = bro_step(c->w, c->b, p, &ev);
    if (fx.refused != ERR_OK) {
        TRACE(c->w, "%s refuses an older state of p%d", node_name(c->b->node), p);
        fail_of(c, p, fx.refused);
        return;
    }
    if (fx.start_fetching)
        repl_follow(c->w, c->b, p, state->leader, state->leader_epoch);
    else if (fx.stop_fetching)
        repl_unfollow(c->w, c->b, p);
}

static void apply_part(struct change *c, int gen, const struct image_part *state)
{
    struct replica *rep = &c->b->reps[state->index];
    bool open = rep->open && rep->gen == gen;

    if (!ids_has(state->replicas, c->b->id)) { /* its files wait for their tombstone */
        if (open)
            roles_close(c->w, c->b, state->index);
        return;
    }
    if (!open && !open_replica(c, gen, state))
        return;
    if (rep->offline) {
        fail_of(c, state->index, ERR_KAFKA_STORAGE_ERROR);
        return;
    }
    set_role(c, state);
    /* as long as the controller does not know */
    if (ids_has(state->offline, c->b->id) && c->w->conf.mutation != MUTATION_ROOM_TOLD_ONCE)
        fail_of(c, state->index, ERR_OK);
}

static void close_gone(struct change *c)
{
    for (int p = 0; p < SIM_PARTS; p++)
        if (c->b->reps[p].open && image_part(c->image, c->w->gens[c->b->reps[p].gen], p) == NULL)
            roles_close(c->w, c->b, p);
}

/* ---- a whole image, a delta ---- */

static void park_strays(struct change *c)
{
    for (int p = 0; p < SIM_PARTS; p++) {
        const struct image_part *part;
        struct uuid id;

        if (!is_here(c->b, p))
            continue;
        id = c->w->gens[c->b->logs[p].gen];
        part = image_part(c->image, id, p);
        if ((part == NULL || !ids_has(part->replicas, c->b->id)) &&
            image_tombstone(c->image, c->b->id, id, p) == NULL)
            park(c, p, "neither assigned nor deleted");
    }
}

static void apply_image(struct change *c)
{
    struct image_cursor stones = { 0 };
    const struct image_tombstone *stone;
    const struct image_topic *topic = image_topic_named(c->image, SIM_TOPIC);

    park_strays(c);
    while ((stone = image_next_tombstone(c->image, &stones)) != NULL)
        bury(c, stone);
    close_gone(c);
    apply_settings(c, false);
    for (int p = 0; topic != NULL && p < topic->n_parts; p++)
        apply_part(c, gen_of(c->w, topic->id), image_topic_part(topic, p));
    apply_settings(c, true);
}

static void note_live(struct change *c, int32_t id, int64_t epoch, bool live)
{
    for (int p = 0; p < SIM_PARTS; p++)
        if (bro_serves(c->b, p))
            bro_step(
                c->w, c->b, p,
                &(struct part_event){ .kind = PART_EV_LIVE,
                                      .live = { .id = id, .broker_epoch = epoch, .live = live } });
}

static void bury_all(struct change *c, const struct image_delta *delta, bool of_topics_gone)
{
    for (size_t i = 0; i < delta->n_tombstones; i++) {
        const struct image_tombstone *stone = &delta->tombstones[i];

        if ((image_topic(c->image, stone->topic_id) == NULL) == of_topics_gone)
            bury(c, stone);
    }
}

static void apply_delta(struct change *c, const struct image_delta *delta)
{
    for (size_t i = 0; i < delta->n_brokers; i++)
        note_live(c, delta->brokers[i].id, delta->brokers[i].epoch,
                  delta->brokers[i].state == NODE_LIVE);
    for (uint32_t i = 0; i < delta->brokers_gone.n; i++)
        note_live(c, delta->brokers_gone.at[i], -1, false);
    if (delta->n_topics_gone > 0)
        close_gone(c);
    bury_all(c, delta, true);
    if (delta->n_configs > 0)
        apply_settings(c, false);
    for (size_t t = 0; t < delta->n_topics; t++) {
        const struct image_topic *topic = image_topic(c->image, delta->topics[t].id);

        for (size_t i = 0; topic != NULL && i < delta->topics[t].n_parts; i++) {
            const struct image_part *state =
                image_topic_part(topic, delta->topics[t].parts[i].index);

            if (state != NULL)
                apply_part(c, gen_of(c->w, topic->id), state);
        }
    }
    if (delta->n_configs > 0)
        apply_settings(c, true);
    bury_all(c, delta, false);
}

static void retry_roomless(struct world *w, struct bro *b, struct change *c)
{
    struct ack_msg *ack = c->ack;
    size_t n = 0;

    for (int p = 0; p < SIM_PARTS; p++) {
        int gen = b->roomless[p].gen;
        const struct image_part *state = gen >= 0 ? image_part(b->image, w->gens[gen], p) : NULL;

        if (state == NULL || !ids_has(state->replicas, b->id)) {
            b->roomless[p].gen = -1;
            continue;
        }
        c->takes_new = b->roomless[p].is_new;
        apply_part(c, gen, state);
    }
    /* the others have been told */
    for (size_t i = 0; i < ack->acked.n_failures; i++)
        if (ack->failures[i].err == ERR_OK)
            ack->failures[n++] = ack->failures[i];
    ack->acked.n_failures = n;
}

/* What is led here and could not append would rather be led by others. */
static void tell_full(struct bro *b, struct change *c)
{
    for (int p = 0; p < SIM_PARTS; p++) {
        bool full = b->reps[p].is_full && bro_serves(b, p);

        b->reps[p].is_full = false;
        if (!full || b->reps[p].core.role != PART_LEADER)
            continue;
        fail_of(c, p, ERR_OK);
        c->ack->failures[c->ack->acked.n_failures - 1].yields = true;
    }
}

void roles_retry(struct world *w, struct bro *b)
{
    struct ack_msg *ack;
    struct change c = { .w = w, .b = b, .image = b->image };

    if (b->image == NULL || b->expects_image)
        return;
    c.ack = ack = xcalloc(1, sizeof *ack);
    if (!b->full)
        retry_roomless(w, b, &c);
    tell_full(b, &c);
    if (ack->acked.n_failures > 0)
        bro_acknowledge(w, b, ack);
    else
        free(ack);
}

void roles_apply(struct world *w, struct bro *b, struct image *image,
                 const struct image_delta *delta, struct ack_msg *ack)
{
    struct change c = { .w = w, .b = b, .image = image, .ack = ack };
    struct image *old = b->image;

    b->image = image;
    if (delta != NULL)
        c.old = old;
    repl_sources(w, b);
    if (delta == NULL)
        apply_image(&c);
    else
        apply_delta(&c, delta);
    image_unref(&old);
    b->apply_epoch = image_controller_epoch(image);
    b->apply_version = image_version(image);
}
