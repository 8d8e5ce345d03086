/*
 * say - what the operator reads: level, a sentence fragment, facts as key=value, one line each on
 * stderr.
 *
 *   error  somebody must act            warn   it healed, but look
 *   info   something changed            debug  per request, off
 *
 * Threads: any; a line is one write. Never print records, keys of records or secrets.
 */
#ifndef COMMON_BASE_SAY_H
#define COMMON_BASE_SAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum say_level { SAY_ERROR, SAY_WARN, SAY_INFO, SAY_DEBUG };
enum say_format { SAY_TEXT, SAY_JSON };

/* Once, before other threads run; who: what JSON lines name as the process, e.g. "broker-1". */
void say_setup(enum say_level level, enum say_format format, const char *who);
void say_set_level(enum say_level level);
bool say_is_on(enum say_level level);

void say_line(enum say_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One call site's allowance: one line a second; counts what it swallowed and says
 * so with the next line that passes. */
struct say_limit {
    _Atomic int64_t next_us; /* [a] */
    atomic_uint swallowed;   /* [a] */
};
/* True when the line may be said. *swallowed_before: lines lost since the last one said. */
bool say_limit_pass(struct say_limit *limit, unsigned *swallowed_before);

#define say_error(...) say_line(SAY_ERROR, __VA_ARGS__)
#define say_warn(...)  say_line(SAY_WARN, __VA_ARGS__)
#define say_info(...)  say_line(SAY_INFO, __VA_ARGS__)
#define say_debug(...)                                                                             \
    do {                                                                                           \
        if (say_is_on(SAY_DEBUG))                                                                  \
            say_line(SAY_DEBUG, __VA_ARGS__);                                                      \
    } while (0)

/* For anything that a client can cause: at most about one line a second from this place. The format
 * must be a literal. */
#define say_limited(level, format, ...)                                                            \
    do {                                                                                           \
        static struct say_limit say_limit_here;                                                    \
        unsigned say_lost;                                                                         \
        if (say_limit_pass(&say_limit_here, &say_lost)) {                                          \
            if (say_lost > 0)                                                                      \
                say_line((level), format " more_like_this=%u", ##__VA_ARGS__, say_lost);           \
            else                                                                                   \
                say_line((level), format, ##__VA_ARGS__);                                          \
        }                                                                                          \
    } while (0)

#endif
