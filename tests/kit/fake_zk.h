/*
 * fake_zk - ZooKeeper in memory: znodes, versions, multis, watches, sessions with their ephemerals,
 * and all that can go wrong with them on order.
 *
 * Clients are struct zk like the real ones. A call is carried out at once and in the order made;
 * its answer is posted to the client's mailbox, so nothing happens inside a call and a test that
 * runs the mailboxes decides when things are heard.
 *
 * Threads: one, for the fake and all its clients.
 */
#ifndef TESTS_KIT_FAKE_ZK_H
#define TESTS_KIT_FAKE_ZK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/zk/zk.h"

struct fake_zk;

struct fake_zk *fake_zk_new(void);
/* Its clients must be closed. */
void fake_zk_free(struct fake_zk **fake);

/* A client whose first session is there at once (the news is in the mailbox). */
struct zk *fake_zk_open(struct fake_zk *fake, struct mailbox *mailbox);

/* ---- what can go wrong ---- */

/* The connection is lost: calls wait. Watches fire when it is back. */
void fake_zk_suspend(struct zk *client);
void fake_zk_resume(struct zk *client);
/* The session expires: its ephemerals go, what waits fails; a new one comes with fake_zk_resume().
 */
void fake_zk_expire(struct zk *client);
/* Its session ends as after a kill: nothing is heard by the client; its ephemerals stay until
 * fake_zk_bury(), which is what its expiry is for others. To be closed as usual afterwards. */
void fake_zk_kill(struct zk *client);
void fake_zk_bury(struct zk *client);

enum fake_loss { FAKE_LOSS_APPLIED, FAKE_LOSS_NOT_APPLIED };
/* The write after `skip` more writes of this client ends with ERR_CONNECTION_LOSS, done or not. */
void fake_zk_lose_write(struct zk *client, unsigned skip, enum fake_loss loss);
/* The read after `skip` more reads of this client ends with ERR_CONNECTION_LOSS and leaves no
 * watch; the session and its other watches live on. */
void fake_zk_lose_read(struct zk *client, unsigned skip);
/* Answers are kept back until fake_zk_release(); effects happen at once. */
void fake_zk_hold(struct zk *client);
void fake_zk_release(struct zk *client);

/* ---- looking and meddling, as by another client ---- */

/* NUL-terminated; NULL when absent, "" for null data. Lent until the next change. */
const char *fake_zk_data(const struct fake_zk *fake, const char *path);
/* -1 when absent. */
int32_t fake_zk_version(const struct fake_zk *fake, const char *path);
int64_t fake_zk_czxid(const struct fake_zk *fake, const char *path);
int64_t fake_zk_owner(const struct fake_zk *fake, const char *path);
size_t fake_zk_count(const struct fake_zk *fake, const char *path); /* of children */
/* Creates it with all above it, or sets it. data NULL: null data. */
void fake_zk_put(struct fake_zk *fake, const char *path, const char *data);
/* With all below it. */
void fake_zk_drop(struct fake_zk *fake, const char *path);
/* Its ACL forbids to read it, as long as it is there; to see that it exists none can forbid.
 * Changes nothing that a watch would tell. */
void fake_zk_forbid(struct fake_zk *fake, const char *path, bool forbidden);
/* A tree as recorded: tests/data/zookeeper/<name>; versions as recorded, ephemerals as of nobody
 * here. */
void fake_zk_load(struct fake_zk *fake, const char *name);
/* Writes that were carried out since the start, multis counted once. */
uint64_t fake_zk_writes(const struct fake_zk *fake);

#endif
