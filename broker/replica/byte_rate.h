/*
 * byte_rate - bytes a second over a sliding window of samples.
 *
 * The window is Kafka's SimpleRate: n samples of a fixed span, the newest one still filling; what
 * is as old as all of them together is forgotten. The rate is what the samples hold over the time
 * since the oldest of them began, which counts as one span at least.
 *
 * Units:      bytes; now_ms is monotonic and never goes back.
 * Ownership:  init takes memory for the samples, fini gives it back.
 */
#ifndef BROKER_REPLICA_BYTE_RATE_H
#define BROKER_REPLICA_BYTE_RATE_H

#include <stdint.h>

struct byte_sample {
    int64_t start_ms;
    int64_t bytes;
};

struct byte_rate {
    struct byte_sample *samples; /* a ring: used of them from first on, oldest first */
    int32_t n, first, used;
    int64_t span_ms;
    int64_t sum; /* of the used ones */
};

/* The most samples that are kept, whatever is wished for: more make no better a rate. */
#define BYTE_RATE_SAMPLES_MAX 1000

void byte_rate_init(struct byte_rate *rate, int32_t n, int64_t span_ms);
void byte_rate_fini(struct byte_rate *rate);

void byte_rate_add(struct byte_rate *rate, int64_t bytes, int64_t now_ms);
/* Bytes a second. */
double byte_rate_get(struct byte_rate *rate, int64_t now_ms);
/* How long until the rate is not above limit any more if nothing is added; 0: it is not. */
int64_t byte_rate_wait_ms(struct byte_rate *rate, int64_t limit, int64_t now_ms);

#endif
