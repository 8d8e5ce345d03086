/*
 * Is a directory's disk slow? The clock is coarse and each single time it gives as well, but in
 * their sum the ticks that fall into appends are right, and that is what an average needs. On a
 * busy machine a thread that is not let run looks like a slow disk: one bad time alone must be very
 * bad, and weighs little in the average.
 */
#include "broker/log/log_int.h"
#include "common/base/clock.h"
#include "common/base/say.h"

#define SLOW_ONE_MS    200
#define SLOW_AVG_US    2000
#define SLOW_FOR_MS    5000
#define AVG_OF_APPENDS 64

int64_t log_coarse_ms(void)
{
    return clock_read_us(CLOCK_MONOTONIC_COARSE) / 1000;
}

bool log_is_slow(const struct log *log)
{
    int64_t until = atomic_load_explicit(&log->env->slow_until_ms, memory_order_relaxed);

    return until != 0 && log_coarse_ms() < until;
}

void log_note_append_time(struct log *log, int64_t began_ms, int64_t ended_ms)
{
    struct log_env *env = log->env;
    int64_t took_us = (ended_ms - began_ms) * 1000;
    int32_t avg = atomic_load_explicit(&env->append_avg_us, memory_order_relaxed);

    /* Of what several threads note at once some may be lost: it is an estimate. */
    int32_t most = took_us > INT32_MAX ? INT32_MAX : (int32_t)took_us;
    int32_t next = avg + (most - avg) / AVG_OF_APPENDS;

    if (next != avg)
        atomic_store_explicit(&env->append_avg_us, next, memory_order_relaxed);
    if (took_us < SLOW_ONE_MS * 1000 && next < SLOW_AVG_US)
        return;
    if (atomic_exchange_explicit(&env->slow_until_ms, ended_ms + SLOW_FOR_MS,
                                 memory_order_relaxed) < began_ms)
        say_limited(SAY_WARN, "appends are slow, others will not wait for them dir=%s took_ms=%lld",
                    env->dir, (long long)(ended_ms - began_ms));
}
