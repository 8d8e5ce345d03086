/*
 * zk_stub - a ZooKeeper server that lets everybody in but with a session that was closed there, has
 * no znodes, and falls silent on order, as one that hangs or is cut off without a word: connections
 * to it are made, and nothing is answered.
 *
 * Threads: one of its own; the functions may be called from any.
 */
#ifndef TESTS_KIT_ZK_STUB_H
#define TESTS_KIT_ZK_STUB_H

#include <stdbool.h>
#include <stdint.h>

struct zk_stub;

/* On a free port of 127.0.0.1. */
struct zk_stub *zk_stub_start(void);
void zk_stub_stop(struct zk_stub **stub);
int zk_stub_port(const struct zk_stub *stub);

/* From its return on. */
void zk_stub_mute(struct zk_stub *stub, bool is_mute);
/* Each answer takes so long. */
void zk_stub_slow(struct zk_stub *stub, int delay_ms);
/* The next request to close a session is lost with its connection. */
void zk_stub_lose_close(struct zk_stub *stub);
/* Ends all connections, as a server that restarts. */
void zk_stub_hang_up(struct zk_stub *stub);

/* How many times it let somebody in, with the last one's session; and sessions closed by those who
 * had them. */
unsigned zk_stub_let_in(const struct zk_stub *stub, int64_t *session);
unsigned zk_stub_closed(const struct zk_stub *stub);

#endif
