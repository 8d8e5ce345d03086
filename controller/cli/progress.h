/*
 * progress - how far something that copies bytes is, how fast it goes, how long it takes still.
 *
 * Units:      bytes; times in ms of one clock; the rate in bytes a second.
 */
#ifndef CONTROLLER_CLI_PROGRESS_H
#define CONTROLLER_CLI_PROGRESS_H

#include <stdint.h>
#include <stdio.h>

struct progress {
    int64_t total, done;
    int64_t rate;    /* smoothed; -1: not known yet */
    int64_t left_ms; /* -1: not known, or it stands still */
    int64_t at_ms;   /* of the last step; -1: there was none */
};

#define PROGRESS_NONE ((struct progress){ .rate = -1, .left_ms = -1, .at_ms = -1 })

/* A new look at it. What grows the total is no progress, and no regress either. */
void progress_step(struct progress *progress, int64_t total, int64_t done, int64_t now_ms);
/* In tenths, 1000 when there is nothing to do. */
int32_t progress_permille(int64_t total, int64_t done);
/* "[█████░░░░░]" of so many characters inside. */
void progress_bar(FILE *out, int32_t permille, int width);

#endif
