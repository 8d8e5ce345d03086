/*
 * The first replicas go round the brokers from a start; the others follow at a distance that grows
 * by one with each round, so that the partitions of a broker that is lost spread over all others.
 * With racks, the brokers are first arranged by taking one of each rack in turn, and a rack gets a
 * second replica only when every rack has one.
 */
#include "controller/core/place.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/mem.h"

struct spot {
    int32_t id;
    size_t rack; /* 0 .. n_racks - 1 */
};

/* Racks by name; *n of them. */
static struct str *list_racks(const struct place *p, size_t *n)
{
    struct str *racks = xcalloc(p->n_brokers, sizeof *racks);

    *n = 0;
    for (size_t i = 0; i < p->n_brokers; i++) {
        size_t at = 0;

        while (at < *n && str_cmp(racks[at], p->brokers[i].rack) < 0)
            at++;
        if (at < *n && str_eq(racks[at], p->brokers[i].rack))
            continue;
        for (size_t j = *n; j > at; j--)
            racks[j] = racks[j - 1];
        racks[at] = p->brokers[i].rack;
        ++*n;
    }
    return racks;
}

/* One broker of each rack in turn, by id within a rack. */
static size_t arrange_by_rack(const struct place *p, struct spot *spots)
{
    size_t n_racks, n = 0;
    struct str *racks = list_racks(p, &n_racks);

    for (size_t turn = 0; n < p->n_brokers; turn++) {
        for (size_t rack = 0; rack < n_racks; rack++) {
            size_t seen = 0;

            for (size_t i = 0; i < p->n_brokers; i++) {
                if (!str_eq(p->brokers[i].rack, racks[rack]) || seen++ != turn)
                    continue;
                spots[n++] = (struct spot){ .id = p->brokers[i].id, .rack = rack };
                break;
            }
        }
    }
    free(racks);
    return n_racks;
}

static void place_plain(const struct place *p, const struct spot *spots, size_t partition,
                        size_t shift, int32_t *out)
{
    size_t n = p->n_brokers, first = (partition + p->start) % n;

    out[0] = spots[first].id;
    for (int32_t j = 1; j < p->replication_factor; j++)
        out[j] = spots[(first + 1 + (shift + (size_t)j - 1) % (n - 1)) % n].id;
}

static void place_by_rack(const struct place *p, const struct spot *spots, size_t n_racks,
                          size_t partition, size_t shift, int32_t *out)
{
    size_t n = p->n_brokers, first = (partition + p->start) % n, racks_used = 1, brokers_used = 1;
    bool *rack_used = xcalloc(n_racks, sizeof *rack_used), *used = xcalloc(n, sizeof *used);

    out[0] = spots[first].id;
    used[first] = rack_used[spots[first].rack] = true;
    for (int32_t j = 1, k = 0; j < p->replication_factor; k++) {
        size_t at = (first + 1 + (shift * n_racks + (size_t)k) % (n - 1)) % n;

        if ((rack_used[spots[at].rack] && racks_used < n_racks) || (used[at] && brokers_used < n))
            continue;
        out[j++] = spots[at].id;
        racks_used += !rack_used[spots[at].rack];
        brokers_used += !used[at];
        rack_used[spots[at].rack] = used[at] = true;
    }
    free(rack_used);
    free(used);
}

enum err place_replicas(const struct place *p, int32_t *out)
{
    bool racks = p->n_brokers > 0;
    size_t n_racks = 1, shift = p->shift;
    struct spot *spots;

    if (p->replication_factor <= 0 || (size_t)p->replication_factor > p->n_brokers)
        return ERR_INVALID_REPLICATION_FACTOR;
    assert(p->start < p->n_brokers && p->shift < p->n_brokers);
    for (size_t i = 0; i < p->n_brokers; i++)
        racks = racks && !str_is_null(p->brokers[i].rack);
    spots = xcalloc(p->n_brokers, sizeof *spots);
    if (racks)
        n_racks = arrange_by_rack(p, spots);
    for (size_t i = 0; !racks && i < p->n_brokers; i++)
        spots[i].id = p->brokers[i].id;

    for (int32_t i = 0; i < p->n_partitions; i++) {
        size_t partition = (size_t)p->first_partition + (size_t)i;
        int32_t *to = &out[(size_t)i * (size_t)p->replication_factor];

        if (partition > 0 && partition % p->n_brokers == 0)
            shift++;
        if (racks)
            place_by_rack(p, spots, n_racks, partition, shift, to);
        else
            place_plain(p, spots, partition, shift, to);
    }
    free(spots);
    return ERR_OK;
}
