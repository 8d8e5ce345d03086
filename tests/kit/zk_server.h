/*
 * zk_server - real ZooKeeper servers for a test: Debian's, with data in a temporary folder, on free
 * ports of 127.0.0.1, gone with the process that started them.
 *
 * Threads: one.
 */
#ifndef TESTS_KIT_ZK_SERVER_H
#define TESTS_KIT_ZK_SERVER_H

#include <stdbool.h>

struct zk_ensemble;

/* Why there can be none on this machine; NULL when there can. */
const char *zk_ensemble_missing(void);

/* n servers (1 or 3), serving when this returns. Ticks of 200 ms, sessions from 400 ms to 60 s. */
struct zk_ensemble *zk_ensemble_start(int n);
void zk_ensemble_stop(struct zk_ensemble **ensemble);

/* "127.0.0.1:p,…" */
const char *zk_ensemble_servers(const struct zk_ensemble *ensemble);
/* The one that leads, 0 when it is alone; -1 when none does. */
int zk_ensemble_leader(const struct zk_ensemble *ensemble);

void zk_ensemble_kill(struct zk_ensemble *ensemble, int i);  /* as kill -9 */
void zk_ensemble_again(struct zk_ensemble *ensemble, int i); /* returns when it serves */
void zk_ensemble_pause(struct zk_ensemble *ensemble, int i);
void zk_ensemble_resume(struct zk_ensemble *ensemble, int i);

#endif
