/*
 * The limit is a setting that changes at run time and takes some looking up, so what was found is
 * good for LIMIT_GOOD_MS. Callers read the clock before they get here, so the time may come to go
 * back a little between two of them: the latest that was seen counts.
 */
#include "broker/replica/repl_quota.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/replica/byte_rate.h"
#include "common/base/lock.h"
#include "common/base/mem.h"

#define LIMIT_GOOD_MS 100
#define LOOK_AGAIN_MS 500
#define WAIT_LEAST_MS 10 /* a copy that goes on sooner than this is only smaller */

/* [I] set before anyone else sees it   [m] under lock */
struct repl_quota {
    struct repl_quota_conf conf; /* [I] */
    struct lock lock;            /* rank LOCK_LEAF */
    struct byte_rate rate;       /* [m] */
    int64_t now_ms;              /* [m] the latest that was seen */
    int64_t limit;               /* [m] */
    int64_t good_until_ms;       /* [m] then the limit is to be asked for again */
};

struct repl_quota *repl_quota_new(const struct repl_quota_conf *conf)
{
    struct repl_quota *quota = xcalloc(1, sizeof *quota);

    quota->conf = *conf;
    lock_init(&quota->lock, LOCK_LEAF);
    byte_rate_init(&quota->rate, conf->samples, (int64_t)conf->span_s * 1000);
    quota->good_until_ms = INT64_MIN;
    return quota;
}

void repl_quota_free(struct repl_quota **quota_ptr)
{
    struct repl_quota *quota = *quota_ptr;

    *quota_ptr = NULL;
    if (quota == NULL)
        return;
    byte_rate_fini(&quota->rate);
    lock_fini(&quota->lock);
    free(quota);
}

static int64_t see_now_locked(struct repl_quota *quota, int64_t now_ms)
{
    lock_assert_held(&quota->lock);
    if (now_ms > quota->now_ms)
        quota->now_ms = now_ms;
    return quota->now_ms;
}

void repl_quota_add(struct repl_quota *quota, size_t bytes, int64_t now_ms)
{
    lock_take(&quota->lock);
    byte_rate_add(&quota->rate, (int64_t)bytes, see_now_locked(quota, now_ms));
    lock_drop(&quota->lock);
}

int64_t repl_quota_wait_ms(struct repl_quota *quota, int64_t now_ms)
{
    lock_take(&quota->lock);
    bool is_good = now_ms < quota->good_until_ms;
    lock_drop(&quota->lock);
    int64_t limit = is_good ? 0 : quota->conf.limit(quota->conf.ctx); /* calls out: no lock */

    lock_take(&quota->lock);
    if (!is_good) {
        quota->limit = limit;
        quota->good_until_ms = now_ms + LIMIT_GOOD_MS;
    }
    int64_t wait_ms = quota->limit == INT64_MAX ? 0
                                                : byte_rate_wait_ms(&quota->rate, quota->limit,
                                                                    see_now_locked(quota, now_ms));
    lock_drop(&quota->lock);
    if (wait_ms == 0)
        return 0;
    return wait_ms > LOOK_AGAIN_MS   ? LOOK_AGAIN_MS
           : wait_ms < WAIT_LEAST_MS ? WAIT_LEAST_MS
                                     : wait_ms;
}

int64_t repl_quota_rate(struct repl_quota *quota, int64_t now_ms)
{
    lock_take(&quota->lock);
    double rate = byte_rate_get(&quota->rate, see_now_locked(quota, now_ms));
    lock_drop(&quota->lock);
    return (int64_t)rate;
}
