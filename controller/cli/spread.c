/*
 * Brokers are compared by how many replicas they have and, where that is equal, by their bytes,
 * then by id, so that the same cluster gives the same plan. A step looks at all brokers, which are
 * few; evening goes once through the parts, by size, for each pair of brokers, and begins anew
 * while that still finds something.
 */
#include "controller/cli/spread.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static struct ids ids_of(const struct spread_part *part)
{
    return (struct ids){ .at = part->to, .n = (uint32_t)part->to_len };
}

static struct spread_broker *find(const struct spread *spread, int32_t id)
{
    for (int i = 0; i < spread->brokers_len; i++) {
        if (spread->brokers[i].id == id)
            return &spread->brokers[i];
    }
    return NULL;
}

static int64_t weight(const struct spread_part *part)
{
    return part->bytes > 0 ? part->bytes : 0;
}

static void count(struct spread *spread)
{
    for (int i = 0; i < spread->brokers_len; i++)
        spread->brokers[i].replicas = spread->brokers[i].bytes = 0;
    for (size_t p = 0; p < spread->parts_len; p++) {
        for (int32_t r = 0; r < spread->parts[p].to_len; r++) {
            struct spread_broker *broker = find(spread, spread->parts[p].to[r]);

            if (broker == NULL)
                continue;
            broker->replicas++;
            broker->bytes += weight(&spread->parts[p]);
        }
    }
}

static bool has_less(const struct spread_broker *a, const struct spread_broker *b)
{
    if (a->replicas != b->replicas)
        return a->replicas < b->replicas;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes;
    return a->id < b->id;
}

/* How many replicas of the part, but for the one at place except, are in the rack of a broker. */
static int rack_mates(const struct spread *spread, const struct spread_part *part,
                      const struct spread_broker *broker, int32_t except)
{
    int n = 0;

    if (str_is_null(broker->rack))
        return 0;
    for (int32_t r = 0; r < part->to_len; r++) {
        const struct spread_broker *other = find(spread, part->to[r]);

        n += r != except && other != NULL && !str_is_null(other->rack) &&
             str_eq(other->rack, broker->rack);
    }
    return n;
}

/* The best broker for a replica at a place; NULL: all have one already. */
static struct spread_broker *pick(const struct spread *spread, const struct spread_part *part,
                                  int32_t place)
{
    struct spread_broker *best = NULL;
    int best_mates = 0;

    for (int i = 0; i < spread->brokers_len; i++) {
        struct spread_broker *broker = &spread->brokers[i];
        int mates;

        if (!broker->gets || ids_has(ids_of(part), broker->id))
            continue;
        mates = rack_mates(spread, part, broker, place);
        if (best == NULL || mates < best_mates || (mates == best_mates && has_less(broker, best))) {
            best = broker;
            best_mates = mates;
        }
    }
    return best;
}

static void put(struct spread *spread, struct spread_part *part, int32_t place,
                struct spread_broker *to)
{
    struct spread_broker *from = place < part->to_len ? find(spread, part->to[place]) : NULL;

    if (from != NULL) {
        from->replicas--;
        from->bytes -= weight(part);
    }
    to->replicas++;
    to->bytes += weight(part);
    part->to[place] = to->id;
    if (place == part->to_len)
        part->to_len++;
}

enum err spread_drain(struct spread *spread)
{
    count(spread);
    for (size_t p = 0; p < spread->parts_len; p++) {
        struct spread_part *part = &spread->parts[p];

        for (int32_t r = 0; r < part->to_len && !part->is_fixed; r++) {
            const struct spread_broker *from = find(spread, part->to[r]);
            struct spread_broker *to;

            if (from == NULL || !from->is_drained)
                continue;
            to = pick(spread, part, r);
            if (to == NULL)
                return ERR_INVALID_REPLICATION_FACTOR;
            put(spread, part, r, to);
        }
    }
    return ERR_OK;
}

/* ---- evening --------------------------------------------------------------------------------- */

static int32_t place_of(const struct spread_part *part, int32_t id)
{
    for (int32_t r = 0; r < part->to_len; r++) {
        if (part->to[r] == id)
            return r;
    }
    return -1;
}

/* Parts by size, and how far each pair of brokers has looked through them: what could not go from
 * one to the other is not looked at again until nothing else is left. */
struct evening {
    struct spread *spread;
    struct spread_part **by_size;
    size_t *looked; /* from broker, to broker */
};

static int compare_sizes(const void *a, const void *b)
{
    const struct spread_part *left = *(struct spread_part *const *)a,
                             *right = *(struct spread_part *const *)b;

    if (left->bytes != right->bytes)
        return left->bytes < right->bytes ? -1 : 1;
    return left < right ? -1 : left > right; /* they lie in one array */
}

static bool may_go(const struct spread *spread, const struct spread_part *part,
                   const struct spread_broker *from, const struct spread_broker *to)
{
    int32_t place = part->is_fixed ? -1 : place_of(part, from->id);

    return place >= 0 && place_of(part, to->id) < 0 &&
           rack_mates(spread, part, to, place) <= rack_mates(spread, part, from, place);
}

/* The smallest part that may go from one broker to another; NULL: none is left. */
static struct spread_part *smallest(struct evening *evening, int from, int to)
{
    const struct spread *spread = evening->spread;
    size_t *at = &evening->looked[from * spread->brokers_len + to];

    while (*at < spread->parts_len) {
        struct spread_part *part = evening->by_size[(*at)++];

        if (may_go(spread, part, &spread->brokers[from], &spread->brokers[to]))
            return part;
    }
    return NULL;
}

static int64_t gap_of(const struct spread_broker *much, const struct spread_broker *little)
{
    return much->gives && little->gets ? much->replicas - little->replicas : 0;
}

static int64_t widest_gap(const struct spread *spread)
{
    int64_t widest = 0;

    for (int i = 0; i < spread->brokers_len; i++) {
        for (int j = 0; j < spread->brokers_len; j++) {
            int64_t gap = gap_of(&spread->brokers[i], &spread->brokers[j]);

            widest = gap > widest ? gap : widest;
        }
    }
    return widest;
}

/* One move between two brokers that are so far apart; false when none may be made. */
static bool even_at(struct evening *evening, int64_t gap)
{
    struct spread *spread = evening->spread;

    for (int i = 0; i < spread->brokers_len; i++) {
        for (int j = 0; j < spread->brokers_len; j++) {
            struct spread_part *part;

            if (gap_of(&spread->brokers[i], &spread->brokers[j]) != gap)
                continue;
            part = smallest(evening, i, j);
            if (part == NULL)
                continue;
            put(spread, part, place_of(part, spread->brokers[i].id), &spread->brokers[j]);
            return true;
        }
    }
    return false;
}

/* One move, where the gap is widest and it may be made; a gap of one is even. */
static bool even_step(struct evening *evening)
{
    for (int64_t gap = widest_gap(evening->spread); gap > 1; gap--) {
        if (even_at(evening, gap))
            return true;
    }
    return false;
}

void spread_even(struct spread *spread)
{
    size_t pairs = (size_t)spread->brokers_len * (size_t)spread->brokers_len;
    struct evening evening = { .spread = spread,
                               .by_size = xcalloc(spread->parts_len + 1, sizeof(void *)),
                               .looked = xcalloc(pairs + 1, sizeof(size_t)) };
    bool moved = true;

    count(spread);
    for (size_t p = 0; p < spread->parts_len; p++)
        evening.by_size[p] = &spread->parts[p];
    qsort(evening.by_size, spread->parts_len, sizeof *evening.by_size, compare_sizes);
    while (moved) { /* each move lowers the sum of squares of what brokers have, so it ends */
        moved = false;
        memset(evening.looked, 0, pairs * sizeof *evening.looked);
        while (even_step(&evening))
            moved = true;
    }
    free(evening.by_size);
    free(evening.looked);
}

/* ---- factor ---------------------------------------------------------------------------------- */

/* Who leaves first, never the first replica. */
static int32_t worst(const struct spread *spread, const struct spread_part *part)
{
    int32_t worst_place = -1;
    int worst_mates = -1;

    assert(part->to_len > 1);
    for (int32_t r = 1; r < part->to_len; r++) {
        const struct spread_broker *broker = find(spread, part->to[r]);
        int mates;

        if (broker == NULL)
            return r; /* nobody knows it */
        mates =
            rack_mates(spread, part, broker, r) + (broker->is_drained ? spread->brokers_len : 0);
        if (mates > worst_mates ||
            (mates == worst_mates && has_less(find(spread, part->to[worst_place]), broker))) {
            worst_mates = mates;
            worst_place = r;
        }
    }
    return worst_place;
}

static void take_out(struct spread *spread, struct spread_part *part, int32_t place)
{
    struct spread_broker *from = find(spread, part->to[place]);

    if (from != NULL) {
        from->replicas--;
        from->bytes -= weight(part);
    }
    for (int32_t r = place; r + 1 < part->to_len; r++)
        part->to[r] = part->to[r + 1];
    part->to_len--;
}

enum err spread_factor(struct spread *spread, int32_t factor)
{
    assert(factor > 0);
    count(spread);
    for (size_t p = 0; p < spread->parts_len; p++) {
        struct spread_part *part = &spread->parts[p];

        while (!part->is_fixed && part->to_len > factor)
            take_out(spread, part, worst(spread, part));
        while (!part->is_fixed && part->to_len < factor) {
            struct spread_broker *to = pick(spread, part, part->to_len);

            if (to == NULL)
                return ERR_INVALID_REPLICATION_FACTOR;
            put(spread, part, part->to_len, to);
        }
    }
    return ERR_OK;
}
