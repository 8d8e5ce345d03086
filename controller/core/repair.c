/*
 * Partitions whose state in ZooKeeper is not the one that we know to be the last, or that cannot be
 * stored. Epochs never go back at a broker, so an older state that another hand has put there would
 * be passed over by everybody, and every write that names the version we know would fail for ever.
 *
 *   a write fails, or a broker has met a newer state -> the state is read
 *     -> it is newer than what is known: taken as it is
 *     -> it is older, or there is none: noted here, and the next look at all partitions writes one
 *        over it in a leader epoch above all that anybody has told of
 *
 * What that says: a state that was written after the last one that we know of is another hand's
 * wish, and adopted. One of an earlier version, or none, tells of a ZooKeeper that has lost
 * something: what is known goes on.
 *
 * One that cannot be read is a wish of another hand of which nothing is left: what is known goes
 * on. Where none is known, as in a new controller, nobody can tell who has all that is committed,
 * and the partition is *blind*: nothing is decided of it, and nothing written, not even should the
 * znode go. It is looked at every ten seconds, until there is a state that can be read. That one is
 * written over with the same in a later leader epoch, since brokers may have come back meanwhile as
 * new processes, of which none may go on in an epoch of an earlier one.
 *
 * What fails again and again waits longer each time, alone: who has no part in it is not kept
 * waiting.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

#define BACK_OFF_MS     100
#define BACK_OFF_MS_MAX 10000
#define FORGIVEN_MS     60000 /* a failure of before is another matter */
#define OF_TOPIC        (-1)  /* the partition of what concerns the topic's own znode */

enum repair_kind {
    REPAIR_NONE,  /* it could not be stored, or somebody has met a newer one; nothing is read yet */
    REPAIR_ASKED, /* there is no state: is there a topic? */
    REPAIR_GONE,  /* there is, so that one is to be made */
    REPAIR_BACK,  /* the one there is to be written over */
};

struct repair_key {
    struct uuid topic_id;
    int32_t partition;
};

struct repair {
    UT_hash_handle hh;
    struct repair_key key;
    enum repair_kind kind;
    int32_t leader_epoch, partition_epoch; /* of the newest state that a broker has told of; -1 */
    bool doubted;                          /* a broker has met another leader in that epoch */
    unsigned n_failures;                   /* of writes, since the last that was stored */
    int64_t failed_ms;                     /* when the last of these was */
    int64_t after_ms;                      /* it is left alone before; 0: it is not */
    bool is_blind;                         /* no state could be read, nor is one known */
    int32_t version;                       /* BACK: of the znode */
    bool adopts;                           /* BACK: what it says; else what is known */
    struct leader_isr state;               /* BACK: with isr in room */
    int32_t *room;
};

static struct repair *find(const struct core *core, struct uuid topic_id, int32_t partition)
{
    struct repair_key key;
    struct repair *repair;

    if (core->repairs == NULL)
        return NULL;
    memset(&key, 0, sizeof key);
    key.topic_id = topic_id;
    key.partition = partition;
    HASH_FIND(hh, core->repairs, &key, sizeof key, repair);
    return repair;
}

static struct repair *get(struct core *core, struct uuid topic_id, int32_t partition)
{
    struct repair *repair = find(core, topic_id, partition);

    if (repair != NULL)
        return repair;
    repair = xcalloc(1, sizeof *repair);
    repair->key.topic_id = topic_id;
    repair->key.partition = partition;
    repair->leader_epoch = repair->partition_epoch = -1;
    HASH_ADD(hh, core->repairs, key, sizeof repair->key, repair);
    return repair;
}

static void drop(struct core *core, struct repair *repair)
{
    HASH_DEL(core->repairs, repair);
    free(repair->room);
    free(repair);
}

void repair_forget(struct core *core)
{
    struct repair *repair, *next;

    HASH_ITER (hh, core->repairs, repair, next)
        drop(core, repair);
    core->repairs = NULL;
    core->repair_ms = NEVER_MS;
}

/* ---- time ----------------------------------------------------------------------------------- */

int64_t back_off_ms(unsigned n_failures)
{
    int64_t ms = BACK_OFF_MS;

    while (--n_failures > 0 && n_failures < UINT_MAX && ms < BACK_OFF_MS_MAX)
        ms *= 2;
    return ms < BACK_OFF_MS_MAX ? ms : BACK_OFF_MS_MAX;
}

static void wake_at(struct core *core, int64_t at_ms)
{
    if (at_ms < core->repair_ms)
        core->repair_ms = at_ms;
}

/* Until what somebody has written is to be written over. */
static bool cannot_see(const struct repair *repair)
{
    return repair->is_blind && repair->kind != REPAIR_BACK;
}

static void look_later(struct core *core, struct repair *repair)
{
    repair->after_ms = core->now_ms + BACK_OFF_MS_MAX;
    wake_at(core, repair->after_ms);
}

static void look_again(struct core *core, struct repair *repair)
{
    const struct image_topic *topic = image_topic(core->image, repair->key.topic_id);

    core_reload(core, (struct core_reload){ .what = RELOAD_STATE,
                                            .topic = topic->name,
                                            .topic_id = topic->id,
                                            .partition = repair->key.partition });
    look_later(core, repair);
}

static bool is_of_nobody(const struct core *core, const struct repair *repair)
{
    const struct image_topic *topic = image_topic(core->image, repair->key.topic_id);

    return topic == NULL ||
           (repair->key.partition >= 0 && image_topic_part(topic, repair->key.partition) == NULL);
}

void repair_on_time(struct core *core)
{
    struct repair *repair, *next;

    if (core->now_ms < core->repair_ms)
        return;
    core->repair_ms = NEVER_MS;
    core->scan = core->ids_due = true;
    HASH_ITER (hh, core->repairs, repair, next) {
        if (repair->after_ms > core->now_ms)
            wake_at(core, repair->after_ms);
        else if (is_of_nobody(core, repair))
            drop(core, repair);
        else if (cannot_see(repair))
            look_again(core, repair);
        else
            repair->after_ms = 0;
    }
}

void repair_load(struct core *core)
{
    struct repair *repair, *next;

    core->repair_ms = NEVER_MS;
    HASH_ITER (hh, core->repairs, repair, next) {
        if (!repair->is_blind) {
            drop(core, repair);
            continue;
        }
        repair->kind = REPAIR_NONE;
        look_later(core, repair);
    }
}

bool repair_waits(const struct core *core, struct uuid topic_id, int32_t partition)
{
    const struct repair *repair = find(core, topic_id, partition);

    return repair != NULL && (cannot_see(repair) || repair->after_ms > core->now_ms);
}

bool repair_is_blind(const struct core *core, struct uuid topic_id, int32_t partition)
{
    const struct repair *repair = find(core, topic_id, partition);

    return repair != NULL && repair->is_blind;
}

bool repair_topic_waits(const struct core *core, struct uuid topic_id)
{
    return repair_waits(core, topic_id, OF_TOPIC);
}

/* ---- what becomes of writes ----------------------------------------------------------------- */

static void failed(struct core *core, struct repair *repair)
{
    if (core->now_ms - repair->failed_ms > FORGIVEN_MS)
        repair->n_failures = 0;
    repair->n_failures++;
    repair->failed_ms = core->now_ms;
    repair->kind = REPAIR_NONE; /* it is read again */
    repair->after_ms = core->now_ms + back_off_ms(repair->n_failures);
    wake_at(core, repair->after_ms);
}

void repair_failed(struct core *core, struct uuid topic_id, int32_t partition)
{
    failed(core, get(core, topic_id, partition));
}

void repair_topic_failed(struct core *core, struct uuid topic_id)
{
    failed(core, get(core, topic_id, OF_TOPIC));
}

static void stored(struct core *core, struct uuid topic_id, int32_t partition)
{
    struct repair *repair = find(core, topic_id, partition);

    if (repair != NULL)
        drop(core, repair);
}

void repair_stored(struct core *core, struct uuid topic_id, int32_t partition)
{
    stored(core, topic_id, partition);
}

void repair_topic_stored(struct core *core, struct uuid topic_id)
{
    stored(core, topic_id, OF_TOPIC);
}

/* The first failure is nothing but a version that was not known. */
static void was_read(struct core *core, struct repair *repair)
{
    if (repair->n_failures <= 1)
        repair->after_ms = 0;
    core->scan = true;
}

void repair_topic_read(struct core *core, struct uuid topic_id)
{
    struct repair *repair = find(core, topic_id, OF_TOPIC);

    if (repair != NULL)
        was_read(core, repair);
}

/* ---- what is read, what brokers tell -------------------------------------------------------- */

void repair_seen(struct core *core, struct uuid topic_id, int32_t partition, int32_t leader_epoch,
                 int32_t partition_epoch, bool doubted)
{
    struct repair *repair = get(core, topic_id, partition);
    struct leader_isr before = { .leader_epoch = repair->leader_epoch,
                                 .partition_epoch = repair->partition_epoch };
    struct leader_isr now = { .leader_epoch = leader_epoch, .partition_epoch = partition_epoch };

    if (leader_isr_cmp(&before, &now) < 0) {
        repair->leader_epoch = leader_epoch;
        repair->partition_epoch = partition_epoch;
        repair->doubted = false;
    }
    if (leader_epoch == repair->leader_epoch)
        repair->doubted |= doubted;
}

/* Is it to be written over before anybody can go by it? */
static bool must_be_renewed(const struct repair *repair, const struct image_part *known,
                            const struct leader_isr *read)
{
    struct leader_isr have = image_part_state(known), seen;

    if (leader_isr_cmp(read, &have) < 0)
        return true;
    if (read->leader_epoch == have.leader_epoch && read->leader != have.leader)
        return true; /* one epoch has one leader */
    if (repair == NULL)
        return false;
    seen = (struct leader_isr){ .leader_epoch = repair->leader_epoch,
                                .partition_epoch = repair->partition_epoch };
    return leader_isr_cmp(read, &seen) < 0 ||
           (repair->doubted && read->leader_epoch == seen.leader_epoch);
}

static void write_over(struct core *core, struct repair *repair, const struct leader_isr *read,
                       bool adopts)
{
    free(repair->room);
    repair->room = xmemdup(read->isr.at, read->isr.n * sizeof read->isr.at[0]);
    repair->kind = REPAIR_BACK;
    repair->state = *read;
    repair->state.isr.at = repair->room;
    repair->version = read->partition_epoch;
    repair->adopts = adopts;
    was_read(core, repair);
}

/* Of a blind one; what names nobody to go by is as good as nothing. */
static void see(struct core *core, struct repair *repair, const struct image_part *known,
                const struct leader_isr *read)
{
    bool names_one = false;

    for (uint32_t i = 0; i < read->isr.n; i++)
        names_one |= ids_has(known->replicas, read->isr.at[i]);
    if (names_one && read->leader_epoch < INT32_MAX && repair->leader_epoch < INT32_MAX) {
        write_over(core, repair, read, true);
    } else {
        repair->kind = REPAIR_NONE;
        look_later(core, repair);
    }
}

bool repair_unreadable(struct core *core, struct uuid topic_id, const struct image_part *known,
                       int32_t version)
{
    struct repair *repair = get(core, topic_id, known->index);
    struct leader_isr nothing = { .leader = LEADER_NONE,
                                  .leader_epoch = -1,
                                  .partition_epoch = version };

    if (known->leader_epoch >= 0 && known->isr.n > 0 && version >= 0) {
        repair->is_blind = false;
        write_over(core, repair, &nothing, false);
        return true;
    }
    repair->is_blind = true;
    repair->kind = REPAIR_NONE;
    look_later(core, repair);
    return false;
}

bool repair_read(struct core *core, struct uuid topic_id, const struct image_part *known,
                 const struct leader_isr *read)
{
    struct repair *repair = find(core, topic_id, known->index);

    if (repair != NULL && repair->is_blind && known->leader_epoch < 0) {
        see(core, repair, known, read);
        return true;
    }
    if (known->leader_epoch < 0 || !must_be_renewed(repair, known, read)) {
        if (repair != NULL) {
            repair->is_blind = false;
            repair->kind = REPAIR_NONE;
            was_read(core, repair);
            if (repair->n_failures == 0)
                drop(core, repair);
        }
        return false;
    }
    repair = get(core, topic_id, known->index);
    repair->is_blind = false;
    write_over(core, repair, read, read->partition_epoch > known->partition_epoch);
    return true;
}

void repair_asked(struct core *core, struct uuid topic_id, int32_t partition)
{
    struct repair *repair = get(core, topic_id, partition);

    repair->kind = REPAIR_ASKED;
    /* should that read tell nothing, it is tried again */
    if (repair->after_ms <= core->now_ms)
        repair->after_ms = core->now_ms + back_off_ms(repair->n_failures + 1);
    wake_at(core, repair->after_ms);
}

bool repair_is_asked(const struct core *core, struct uuid topic_id, int32_t partition)
{
    const struct repair *repair = find(core, topic_id, partition);

    return repair != NULL && repair->kind == REPAIR_ASKED;
}

void repair_gone(struct core *core, struct uuid topic_id, int32_t partition)
{
    struct repair *repair = get(core, topic_id, partition);

    repair->is_blind = false;
    repair->kind = REPAIR_GONE;
    was_read(core, repair);
}

/* ---- what is written ------------------------------------------------------------------------ */

/* Of what another hand has written only what can be: an ISR within the replicas, and a leader in
 * it. Without any of them what is known goes on. */
static void adopt(const struct repair *repair, struct image_part *out, struct arena *arena)
{
    int32_t *room = arena_alloc(arena, ((size_t)repair->state.isr.n + 1) * sizeof *room);
    struct ids isr = { .at = room, .n = 0 };

    for (uint32_t i = 0; i < repair->state.isr.n; i++) {
        int32_t id = repair->state.isr.at[i];

        if (ids_has(out->replicas, id) && !ids_has(isr, id))
            room[isr.n++] = id;
    }
    if (isr.n == 0)
        return;
    out->isr = isr;
    out->recovering = repair->state.recovering;
    out->leader = ids_has(isr, repair->state.leader) ? repair->state.leader : LEADER_NONE;
}

bool repair_base(struct core *core, struct uuid topic_id, const struct image_part *known,
                 struct arena *arena, struct image_part *out)
{
    const struct repair *repair = find(core, topic_id, known->index);

    if (repair == NULL || (repair->kind != REPAIR_BACK && repair->kind != REPAIR_GONE) ||
        (known->leader_epoch < 0 && !repair->is_blind))
        return false;
    *out = *known;
    if (out->leader_epoch < 0) /* of a blind one, which goes by what was read */
        out->leader_epoch = 0;
    if (repair->leader_epoch > out->leader_epoch)
        out->leader_epoch = repair->leader_epoch;
    out->partition_epoch = -1;
    if (repair->kind == REPAIR_BACK) {
        out->partition_epoch = repair->version;
        if (repair->state.leader_epoch > out->leader_epoch)
            out->leader_epoch = repair->state.leader_epoch;
        if (repair->adopts)
            adopt(repair, out, arena);
    }
    return out->leader_epoch < INT32_MAX && out->isr.n > 0; /* else it cannot be written over */
}
