/*
 * A table of loops by (leader, index), and one of partitions that says which loop has which. Both
 * change under one lock; what follows from a change is posted to the loops before the lock is
 * dropped, so that the orders of two callers reach a loop in the order of the table's changes.
 *
 * A partition that changes its leader leaves one loop and joins another without waiting: the loop
 * it leaves may still be appending, but the partition's role has changed before, and it takes
 * nothing in from a leader of an earlier epoch.
 *
 * Loops stay once they were started. Without partitions one holds a thread that sleeps and, after a
 * while, no connection; there are as many as brokers times num.replica.fetchers.
 *
 * When that number changes, most partitions get another loop for the same leader in the same epoch.
 * Two loops must not append for one partition then, so all are stopped first, and started anew with
 * what is in the table by then: nothing is followed for some milliseconds, or as long as a slow
 * disk takes for an append that is under way.
 */
#include "broker/replica/fetchers.h"

#include <stdbool.h>
#include <stdlib.h>
#include <uthash.h>

#include "broker/replica/fetcher.h"
#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/mem.h"

struct loop {
    int32_t leader, index;
    struct fetcher *fetcher;
};

struct assigned {
    struct part *part; /* the key; a reference, as the loop has one */
    int32_t leader, leader_epoch;
    struct fetcher *fetcher; /* NULL while the loops are replaced */
    UT_hash_handle hh;
};

/* [I] set before anyone else sees it   [m] under lock */
struct fetchers {
    struct fetchers_conf conf; /* [I] but per_leader, which is [m] */
    struct lock lock;          /* rank LOCK_LEAF */
    struct image *image;       /* [m] a reference; NULL before the first */
    struct loop *loops;        /* [m] */
    size_t loops_len, loops_cap;
    struct assigned *assigned; /* [m] */
    bool halted;               /* [m] */
    bool resizing;             /* [m] there are no loops: the table alone is kept */
};

int32_t fetchers_index(struct str topic, int32_t partition, int32_t n)
{
    uint32_t hash = 0;

    for (size_t i = 0; i < topic.len; i++)
        hash = hash * 31 + (uint8_t)topic.ptr[i];
    hash = hash * 31 + (uint32_t)partition;
    /* As Java has it: the most negative number has no opposite and counts as 0. */
    int32_t signed_hash = (int32_t)hash;
    if (signed_hash == INT32_MIN)
        return 0;
    return (signed_hash < 0 ? -signed_hash : signed_hash) % n;
}

/* Kafka knows no bound for it, and fetches nothing with 0. */
static int32_t at_least_one(int32_t per_leader)
{
    return per_leader > 1 ? per_leader : 1;
}

struct fetchers *fetchers_start(const struct fetchers_conf *conf)
{
    struct fetchers *fetchers = xcalloc(1, sizeof *fetchers);

    fetchers->conf = *conf;
    fetchers->conf.per_leader = at_least_one(conf->per_leader);
    lock_init(&fetchers->lock, LOCK_LEAF);
    return fetchers;
}

/* What was there is the caller's. */
static struct loop *take_loops_locked(struct fetchers *fetchers, size_t *len)
{
    struct loop *loops = fetchers->loops;

    lock_assert_held(&fetchers->lock);
    *len = fetchers->loops_len;
    fetchers->loops = NULL;
    fetchers->loops_len = fetchers->loops_cap = 0;
    return loops;
}

static void stop_loops(struct loop *loops, size_t len)
{
    for (size_t i = 0; i < len; i++)
        fetcher_stop(&loops[i].fetcher);
    free(loops);
}

void fetchers_halt(struct fetchers *fetchers)
{
    struct assigned *assigned, *entry, *next;
    size_t len;

    lock_take(&fetchers->lock);
    struct loop *loops = take_loops_locked(fetchers, &len);

    fetchers->halted = true;
    assigned = fetchers->assigned;
    fetchers->assigned = NULL;
    lock_drop(&fetchers->lock);
    stop_loops(loops, len);
    HASH_ITER (hh, assigned, entry, next) {
        HASH_DEL(assigned, entry);
        part_unref(&entry->part);
        free(entry);
    }
}

void fetchers_stop(struct fetchers **fetchers_ptr)
{
    struct fetchers *fetchers = *fetchers_ptr;

    *fetchers_ptr = NULL;
    fetchers_halt(fetchers);
    image_unref(&fetchers->image);
    lock_fini(&fetchers->lock);
    free(fetchers);
}

static void tell_source(const struct fetchers *fetchers, const struct image *image,
                        const struct loop *loop)
{
    struct fetcher_source source = { .host = STR_NULL, .broker_epoch = -1 };
    const struct node *self = image_node(image, fetchers->conf.broker_id);
    const struct node *leader = image_node(image, loop->leader);
    const struct endpoint *endpoint =
        leader != NULL ? node_endpoint(leader, str_of(fetchers->conf.listener)) : NULL;

    if (self != NULL)
        source.broker_epoch = self->epoch;
    if (endpoint != NULL) {
        source.host = endpoint->host;
        source.port = endpoint->port;
        source.incarnation = leader->incarnation;
    }
    fetcher_set_source(loop->fetcher, &source);
}

static bool is_news(const struct image *before, const struct image *after, int32_t broker)
{
    const struct node *was = before != NULL ? image_node(before, broker) : NULL;
    const struct node *is = image_node(after, broker);

    if (was == NULL || is == NULL)
        return was != is;
    return !node_eq(was, is);
}

void fetchers_set_image(struct fetchers *fetchers, const struct image *image)
{
    lock_take(&fetchers->lock);
    struct image *before = fetchers->image;
    bool self_is_news = is_news(before, image, fetchers->conf.broker_id);

    fetchers->image = image_ref(image);
    for (size_t i = 0; i < fetchers->loops_len; i++)
        if (self_is_news || is_news(before, image, fetchers->loops[i].leader))
            tell_source(fetchers, image, &fetchers->loops[i]);
    lock_drop(&fetchers->lock);
    image_unref(&before);
}

static struct fetcher *loop_of(struct fetchers *fetchers, int32_t leader, int32_t index)
{
    for (size_t i = 0; i < fetchers->loops_len; i++)
        if (fetchers->loops[i].leader == leader && fetchers->loops[i].index == index)
            return fetchers->loops[i].fetcher;
    array_reserve(&fetchers->loops, &fetchers->loops_cap, fetchers->loops_len,
                  sizeof *fetchers->loops);
    struct loop *loop = &fetchers->loops[fetchers->loops_len++];
    *loop = (struct loop){ .leader = leader,
                           .index = index,
                           .fetcher = fetcher_start(&fetchers->conf, leader, index) };
    if (fetchers->image != NULL)
        tell_source(fetchers, fetchers->image, loop);
    return loop->fetcher;
}

/* entry->fetcher: the loop it has had so far. */
static void give_loop_locked(struct fetchers *fetchers, struct assigned *entry)

{
    int32_t index = fetchers_index(str_of(part_topic(entry->part)), part_partition(entry->part),
                                   fetchers->conf.per_leader);

    lock_assert_held(&fetchers->lock);
    struct fetcher *fetcher = loop_of(fetchers, entry->leader, index);

    if (entry->fetcher != NULL && entry->fetcher != fetcher)
        fetcher_unfollow(entry->fetcher, entry->part);
    entry->fetcher = fetcher;
    fetcher_follow(fetcher, entry->part, entry->leader_epoch);
}

void fetchers_follow(struct fetchers *fetchers, struct part *part, int32_t leader,
                     int32_t leader_epoch)
{
    struct assigned *entry;

    lock_take(&fetchers->lock);
    if (fetchers->halted) {
        lock_drop(&fetchers->lock);
        return;
    }
    HASH_FIND_PTR(fetchers->assigned, &part, entry);
    if (entry == NULL) {
        entry = xcalloc(1, sizeof *entry);
        entry->part = part_ref(part);
        HASH_ADD_PTR(fetchers->assigned, part, entry);
    }
    entry->leader = leader;
    entry->leader_epoch = leader_epoch;
    if (!fetchers->resizing)
        give_loop_locked(fetchers, entry);
    lock_drop(&fetchers->lock);
}

void fetchers_unfollow(struct fetchers *fetchers, struct part *part)
{
    struct assigned *entry;

    lock_take(&fetchers->lock);
    HASH_FIND_PTR(fetchers->assigned, &part, entry);
    if (entry != NULL) {
        if (entry->fetcher != NULL)
            fetcher_unfollow(entry->fetcher, part);
        HASH_DEL(fetchers->assigned, entry);
    }
    lock_drop(&fetchers->lock);
    if (entry != NULL)
        part_unref(&entry->part);
    free(entry);
}

void fetchers_resize(struct fetchers *fetchers, int32_t per_leader)
{
    struct assigned *entry, *next;
    size_t len;

    per_leader = at_least_one(per_leader);
    lock_take(&fetchers->lock);
    if (fetchers->halted || per_leader == fetchers->conf.per_leader) {
        lock_drop(&fetchers->lock);
        return;
    }
    struct loop *loops = take_loops_locked(fetchers, &len);

    fetchers->conf.per_leader = per_leader;
    fetchers->resizing = true;
    HASH_ITER (hh, fetchers->assigned, entry, next)
        entry->fetcher = NULL;
    lock_drop(&fetchers->lock);
    stop_loops(loops, len);

    lock_take(&fetchers->lock);
    fetchers->resizing = false;
    HASH_ITER (hh, fetchers->assigned, entry, next)
        give_loop_locked(fetchers, entry);
    lock_drop(&fetchers->lock);
}

void fetchers_each(struct fetchers *fetchers,
                   void (*note)(void *arg, int32_t leader, int32_t index,
                                const struct fetcher_info *info),
                   void *arg)
{
    lock_take(&fetchers->lock);
    for (size_t i = 0; i < fetchers->loops_len; i++) {
        struct fetcher_info info;

        fetcher_get_info(fetchers->loops[i].fetcher, &info);
        note(arg, fetchers->loops[i].leader, fetchers->loops[i].index, &info);
    }
    lock_drop(&fetchers->lock);
}

void fetchers_get_info(struct fetchers *fetchers, struct fetchers_info *out)
{
    *out = (struct fetchers_info){ .loops = 0 };
    lock_take(&fetchers->lock);
    for (size_t i = 0; i < fetchers->loops_len; i++) {
        struct fetcher_info info;

        fetcher_get_info(fetchers->loops[i].fetcher, &info);
        out->loops++;
        out->partitions += info.partitions;
        out->failed += info.failed;
        if (info.lag_max > out->lag_max)
            out->lag_max = info.lag_max;
    }
    lock_drop(&fetchers->lock);
}

bool fetchers_just_lost(struct fetchers *fetchers, int32_t broker, int64_t within_ms)
{
    bool lost = false;

    lock_take(&fetchers->lock);
    for (size_t i = 0; i < fetchers->loops_len && !lost; i++) {
        const struct loop *loop = &fetchers->loops[i];
        int64_t lost_ms = loop->leader == broker ? fetcher_lost_ms(loop->fetcher) : 0;

        lost = lost_ms != 0 && clock_mono_ms() - lost_ms <= within_ms;
    }
    lock_drop(&fetchers->lock);
    return lost;
}
