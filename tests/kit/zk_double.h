/*
 * zk_double - a ZooKeeper server that lets everybody in but with a session that was closed there,
 * has no znodes, and falls silent on order, as one that hangs or is cut off without a word:
 * connections to it are made, and nothing is answered.
 *
 * Threads: one of its own; the functions may be called from any.
 */
#ifndef TESTS_KIT_ZK_DOUBLE_H
#define TESTS_KIT_ZK_DOUBLE_H

#include <stdbool.h>
#include <stdint.h>

struct zk_double;

/* On a free port of 127.0.0.1. */
struct zk_double *zk_double_start(void);
void zk_double_stop(struct zk_double **twin);
int zk_double_port(const struct zk_double *twin);

/* From its return on. */
void zk_double_mute(struct zk_double *twin, bool is_mute);
/* Each answer takes so long. */
void zk_double_slow(struct zk_double *twin, int delay_ms);
/* The next request to close a session is lost with its connection. */
void zk_double_lose_close(struct zk_double *twin);
/* Ends all connections, as a server that restarts. */
void zk_double_hang_up(struct zk_double *twin);

/* How many times it let somebody in, with the last one's session; and sessions closed by those who
 * had them. */
unsigned zk_double_let_in(const struct zk_double *twin, int64_t *session);
unsigned zk_double_closed(const struct zk_double *twin);

#endif
