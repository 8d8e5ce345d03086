/*
 * One damaged batch is assumed. Then whoever is attached to its other neighbour has its own offset:
 * damage that leads to exactly that place and into disorder would have to be in two places.
 */
#include "broker/log/disorder.h"

#include "broker/log/scan.h"

/* b is the next after a. */
static bool is_next(int64_t a, int64_t b)
{
    return b > a && (uint64_t)b - (uint64_t)a == 1;
}

enum disorder disorder_judge(const struct disorder_case *it)
{
    bool is_front_known = it->before != DISORDER_NOT_KNOWN;

    if (it->second_base > it->first_last)
        return DISORDER_NONE;
    if (is_front_known && is_next(it->before, it->first_base))
        return DISORDER_SECOND;
    if (is_front_known && it->second_base <= it->before)
        return DISORDER_SECOND; /* in order with nobody */
    /* What the first spans just fits between the two. */
    if (is_front_known && (uint64_t)it->second_base - (uint64_t)it->before - 1 ==
                              (uint64_t)it->first_last - (uint64_t)it->first_base + 1)
        return DISORDER_FIRST;
    if (it->behind != DISORDER_NOT_KNOWN && is_next(it->second_last, it->behind))
        return DISORDER_FIRST;
    return DISORDER_EITHER;
}

enum err disorder_find(struct file *file, int64_t before, const struct batch_info *first,
                       const struct disorder_rest *rest, enum disorder *out)
{
    struct batch_info second;
    struct batch_info behind;
    struct buf buf = BUF_EMPTY;
    struct scan scan;
    int64_t pos;

    *out = DISORDER_NONE;
    scan_init(&scan, file, rest->pos, rest->end);
    enum err err = scan_next(&scan, &second, &pos);

    if (err == ERR_NOT_FOUND && rest->pos >= rest->end && rest->next_base != DISORDER_NOT_KNOWN &&
        rest->next_base <= first->last_offset)
        *out = DISORDER_FIRST;
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT_MESSAGE)
        return ERR_OK;
    if (err != ERR_OK || second.base_offset > first->last_offset)
        return err;
    err = scan_batch(file, pos, second.size, &buf);
    bool is_good = err == ERR_OK && batch_check(buf.bytes, second.size) == ERR_OK;

    buf_fini(&buf);
    if (!is_good)
        return err == ERR_CORRUPT_MESSAGE ? ERR_OK : err;
    err = scan_peek(&scan, &behind);
    if (err != ERR_OK && err != ERR_NOT_FOUND && err != ERR_CORRUPT_MESSAGE)
        return err;
    struct disorder_case it = { before,
                                first->base_offset,
                                first->last_offset,
                                second.base_offset,
                                second.last_offset,
                                DISORDER_NOT_KNOWN };

    if (err == ERR_OK)
        it.behind = behind.base_offset;
    else if (scan.next >= rest->end)
        it.behind = rest->next_base;
    *out = disorder_judge(&it);
    return ERR_OK;
}
