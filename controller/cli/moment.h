/*
 * moment - times as people type them.
 *
 * Units:      wall_ms is milliseconds since 1970, UTC.
 * Threads:    any.
 */
#ifndef CONTROLLER_CLI_MOMENT_H
#define CONTROLLER_CLI_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

/* "2026-11-20", "2026-11-20T10:00[:05[.5]]" with Z, +hh:mm, -hhmm or, without any of these, in
 * UTC; ms since 1970; "-15m", that long before now_ms. False when it is none of them. */
bool moment_parse(const char *text, int64_t now_ms, int64_t *wall_ms);
/* ISO 8601 as java.time.Duration reads it: "P1DT2H30M", "PT0.5S", "-PT1H". */
bool moment_parse_duration(const char *text, int64_t *ms);

#endif
