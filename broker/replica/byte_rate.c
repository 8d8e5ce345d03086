/*
 * Samples begin when the first bytes come after the one before is full, so an idle stretch takes no
 * samples and ends with a new one. Waiting is found by going ahead sample by sample: until the
 * oldest one is forgotten the sum stays and the time grows, then both fall at once.
 */
#include "broker/replica/byte_rate.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/mem.h"

void byte_rate_init(struct byte_rate *rate, int32_t n, int64_t span_ms)
{
    assert(n > 0);
    assert(span_ms > 0);
    if (n > BYTE_RATE_SAMPLES_MAX)
        n = BYTE_RATE_SAMPLES_MAX;
    *rate = (struct byte_rate){ .n = n, .span_ms = span_ms };
    rate->samples = xcalloc((size_t)n, sizeof *rate->samples);
}

void byte_rate_fini(struct byte_rate *rate)
{
    free(rate->samples);
    rate->samples = NULL;
}

/* i-th of the used ones, oldest first. */
static struct byte_sample *sample_at(const struct byte_rate *rate, int32_t i)
{
    assert(rate->n > 0);
    return &rate->samples[(rate->first + i) % rate->n];
}

static void drop_oldest(struct byte_rate *rate)
{
    rate->sum -= sample_at(rate, 0)->bytes;
    rate->first = (rate->first + 1) % rate->n;
    rate->used--;
}

static int64_t end_of(const struct byte_rate *rate, const struct byte_sample *sample)
{
    return sample->start_ms + rate->span_ms * rate->n;
}

static void forget_old(struct byte_rate *rate, int64_t now_ms)
{
    while (rate->used > 0 && end_of(rate, sample_at(rate, 0)) <= now_ms)
        drop_oldest(rate);
}

void byte_rate_add(struct byte_rate *rate, int64_t bytes, int64_t now_ms)
{
    assert(bytes >= 0);
    forget_old(rate, now_ms);
    if (rate->used == 0 || now_ms - sample_at(rate, rate->used - 1)->start_ms >= rate->span_ms) {
        if (rate->used == rate->n)
            drop_oldest(rate);
        *sample_at(rate, rate->used++) = (struct byte_sample){ .start_ms = now_ms };
    }
    sample_at(rate, rate->used - 1)->bytes += bytes;
    rate->sum += bytes;
}

static int64_t longer(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

double byte_rate_get(struct byte_rate *rate, int64_t now_ms)
{
    forget_old(rate, now_ms);
    if (rate->used == 0)
        return 0;
    int64_t over_ms = longer(now_ms - sample_at(rate, 0)->start_ms, rate->span_ms);

    return (double)rate->sum * 1000 / (double)over_ms;
}

int64_t byte_rate_wait_ms(struct byte_rate *rate, int64_t limit, int64_t now_ms)
{
    if (byte_rate_get(rate, now_ms) <= (double)limit)
        return 0;
    int64_t sum = rate->sum;

    assert(limit > 0);
    for (int32_t i = 0; i < rate->used; i++) {
        const struct byte_sample *oldest = sample_at(rate, i);
        double needs_ms = (double)sum * 1000 / (double)limit;
        int64_t from_ms = i == 0 ? now_ms : end_of(rate, sample_at(rate, i - 1));

        if (needs_ms <= (double)rate->span_ms) /* the least that a time counts as */
            return longer(from_ms - now_ms, 1);
        if ((double)oldest->start_ms + needs_ms < (double)end_of(rate, oldest))
            return longer(longer(oldest->start_ms + (int64_t)needs_ms + 1, from_ms) - now_ms, 1);
        sum -= oldest->bytes;
    }
    return longer(end_of(rate, sample_at(rate, rate->used - 1)) - now_ms, 1);
}
