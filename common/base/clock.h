/*
 * clock - what time it is. Shells ask and hand `now` to the cores.
 *
 * Units: ms and us as named. mono never jumps and starts anywhere; wall is the time of day since
 * 1970.
 */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_read_us(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline int64_t clock_mono_us(void)
{
    return clock_read_us(CLOCK_MONOTONIC);
}

static inline int64_t clock_mono_ms(void)
{
    return clock_read_us(CLOCK_MONOTONIC) / 1000;
}

static inline int64_t clock_wall_ms(void)
{
    return clock_read_us(CLOCK_REALTIME) / 1000;
}

#endif
