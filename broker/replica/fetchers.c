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
 */
#include "broker/replica/fetchers.h"

#include <assert.h>
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
    const struct part *part; /* the key; the loop has the reference */
    struct fetcher *fetcher;
    UT_hash_handle hh;
};

/* [I] set before anyone else sees it   [m] under lock */
struct fetchers {
    struct fetchers_conf conf; /* [I] */
    struct lock lock;          /* rank LOCK_LEAF */
    struct image *image;       /* [m] a reference; NULL before the first */
    struct loop *loops;        /* [m] */
    size_t loops_len, loops_cap;
    struct assigned *assigned; /* [m] */
    bool halted;               /* [m] */
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

struct fetchers *fetchers_start(const struct fetchers_conf *conf)
{
    struct fetchers *fetchers = xcalloc(1, sizeof *fetchers);

    assert(conf->per_leader > 0);
    fetchers->conf = *conf;
    lock_init(&fetchers->lock, LOCK_LEAF);
    return fetchers;
}

void fetchers_halt(struct fetchers *fetchers)
{
    struct assigned *entry, *next;

    lock_take(&fetchers->lock);
    struct loop *loops = fetchers->loops;
    size_t loops_len = fetchers->loops_len;

    fetchers->halted = true;
    fetchers->loops = NULL;
    fetchers->loops_len = fetchers->loops_cap = 0;
    HASH_ITER (hh, fetchers->assigned, entry, next) {
        HASH_DEL(fetchers->assigned, entry);
        free(entry);
    }
    lock_drop(&fetchers->lock);
    for (size_t i = 0; i < loops_len; i++)
        fetcher_stop(&loops[i].fetcher);
    free(loops);
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

void fetchers_follow(struct fetchers *fetchers, struct part *part, int32_t leader,
                     int32_t leader_epoch)
{
    struct assigned *entry;
    int32_t index =
        fetchers_index(str_of(part_topic(part)), part_partition(part), fetchers->conf.per_leader);

    lock_take(&fetchers->lock);
    if (fetchers->halted) {
        lock_drop(&fetchers->lock);
        return;
    }
    struct fetcher *fetcher = loop_of(fetchers, leader, index);
    HASH_FIND_PTR(fetchers->assigned, &part, entry);
    if (entry == NULL) {
        entry = xcalloc(1, sizeof *entry);
        entry->part = part;
        HASH_ADD_PTR(fetchers->assigned, part, entry);
    } else if (entry->fetcher != fetcher) {
        fetcher_unfollow(entry->fetcher, part);
    }
    entry->fetcher = fetcher;
    fetcher_follow(fetcher, part, leader_epoch);
    lock_drop(&fetchers->lock);
}

void fetchers_unfollow(struct fetchers *fetchers, struct part *part)
{
    struct assigned *entry;

    lock_take(&fetchers->lock);
    HASH_FIND_PTR(fetchers->assigned, &part, entry);
    if (entry != NULL) {
        fetcher_unfollow(entry->fetcher, part);
        HASH_DEL(fetchers->assigned, entry);
        free(entry);
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
