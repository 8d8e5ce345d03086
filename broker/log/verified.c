/*
 * Only blocks that lie wholly in what was checked are noted: the two at the ends of a consumer's
 * fetches are checked twice.
 */
#include "broker/log/verified.h"

#include <stdlib.h>

#include "common/base/mem.h"

static size_t block_count(const struct verified *verified)
{
    return (size_t)((verified->foreign + VERIFIED_BLOCK - 1) / VERIFIED_BLOCK);
}

static bool is_set(const struct verified *verified, size_t block)
{
    return (verified->bits[block / 64] >> (block % 64) & 1) != 0;
}

void verified_init(struct verified *verified, int64_t foreign)
{
    *verified = (struct verified){ .foreign = foreign };
    verified->left = block_count(verified);
}

void verified_fini(struct verified *verified)
{
    free(verified->bits);
    verified->bits = NULL;
}

bool verified_has(const struct verified *verified, int64_t from, int64_t upto)
{
    if (upto > verified->foreign)
        upto = verified->foreign;
    if (from >= upto || verified->left == 0)
        return true;
    if (verified->bits == NULL)
        return false;
    for (int64_t block = from / VERIFIED_BLOCK; block * VERIFIED_BLOCK < upto; block++)
        if (!is_set(verified, (size_t)block))
            return false;
    return true;
}

void verified_add(struct verified *verified, int64_t from, int64_t upto)
{
    int64_t first = (from + VERIFIED_BLOCK - 1) / VERIFIED_BLOCK;

    if (verified->left == 0)
        return;
    for (int64_t block = first; block * VERIFIED_BLOCK < verified->foreign; block++) {
        int64_t end = (block + 1) * VERIFIED_BLOCK;

        if ((end < verified->foreign ? end : verified->foreign) > upto)
            break;
        if (verified->bits == NULL)
            verified->bits = xcalloc((block_count(verified) + 63) / 64, sizeof *verified->bits);
        if (is_set(verified, (size_t)block))
            continue;
        verified->bits[block / 64] |= UINT64_C(1) << (block % 64);
        verified->left--;
    }
    if (verified->left == 0)
        verified_fini(verified);
}
