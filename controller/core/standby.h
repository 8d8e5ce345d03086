/*
 * standby - what a standby knows of the cluster, and what of it may be believed once the seat is
 * won.
 *
 * It follows the active controller's image and deltas, and is told by it how far its writes to
 * ZooKeeper are part of them. After it has won, the ring (what each multi touched, written by that
 * multi) says which topics, partitions and settings may have changed since: those are read again,
 * the rest is as known. Where the ring cannot say so, nothing is believed and everything is read.
 *
 * Why that is right: (1) every write of a topic's znode, of a state or of settings by a controller
 * of ours is one multi with its entry in the ring, numbered without gaps; (2) what the standby
 * holds has all up to the number that it was told; (3) the ring is read in the session that has
 * won, after which no write of the predecessor can succeed, so it is complete; (4) had another
 * controller, also one of Kafka's, been active in between, the epoch would have moved by more than
 * one.
 *
 * A topic has a version in the image only while its znode says the same as the image: the ids and
 * versions of what was read, or written, came with it. What another hand has written into it that
 * the predecessor had not seen is not known, and shows when the version is asked for or named by a
 * write, as with a controller that has been active all the time.
 *
 * Ownership:  the image is counted; what is lent lives until the next call that is not a question.
 */
#ifndef CONTROLLER_CORE_STANDBY_H
#define CONTROLLER_CORE_STANDBY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/image.h"
#include "common/zk/zk_tree.h"

struct standby;

struct standby *standby_new(void);
/* Leaves NULL behind; NULL inside is fine. */
void standby_free(struct standby **standby);

/* ---- following ------------------------------------------------------------------------------- */

/* Takes the image: whatever was known before is replaced. */
void standby_on_image(struct standby *standby, struct image **image);
/* False: it does not follow on what is known; nothing is known then until the next image. */
bool standby_on_delta(struct standby *standby, const struct image_delta *delta);
/* All multis up to that number are part of (epoch, version). */
void standby_on_position(struct standby *standby, int32_t epoch, uint64_t version, uint64_t number);
void standby_forget(struct standby *standby);
/* NULL: nothing is known. */
const struct image *standby_image(const struct standby *standby);

/* ---- after winning --------------------------------------------------------------------------- */

/* The seat was won in epoch; touched: all that is in the ring, also of earlier epochs, in any
 * order. NULL: what follows may be asked. Else why everything must be read; static. */
const char *standby_judge(struct standby *standby, int32_t epoch, size_t n,
                          const struct zk_touched *touched);
/* That entity's settings may have changed, whatever the ring says ("topics/a"). */
void standby_doubt_config(struct standby *standby, struct str config);
/* The topic of that name with its id, version, partitions and their replicas as its znode has them,
 * if there is one; the partitions' states do not count. NULL: to be read. */
const struct image_topic *standby_topic(const struct standby *standby, struct str name);
/* The partition with its state as it is in ZooKeeper, NULL: to be read. Its replicas, offline ones
 * and reassignment do not count: they are the topic's znode's to say, or not known. */
const struct image_part *standby_part(const struct standby *standby, struct uuid topic_id,
                                      int32_t index);
/* Whether an entity's settings are as known: then *config has them, NULL when it has none. Those of
 * a topic that is not known are not: one on its way out is known without them, and whoever made one
 * may have made them too. */
bool standby_config(const struct standby *standby, struct str type, struct str name,
                    const struct image_config **config);

#endif
