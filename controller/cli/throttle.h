/*
 * throttle - how fast replicas that move may be copied (KIP-73): a rate at each broker, and at each
 * topic which of its replicas are meant.
 *
 * The leaders' side is every replica that a partition has, the followers' side those that are new,
 * as kafka-reassign-partitions sets them.
 *
 * Units:      bytes a second.
 * Threads:    one; calls wait, up to cli->deadline_ms.
 * Errors:     functions that return an exit code have said what is wrong.
 */
#ifndef CONTROLLER_CLI_THROTTLE_H
#define CONTROLLER_CLI_THROTTLE_H

#include "controller/cli/admin.h"
#include "controller/cli/moves.h"

#define THROTTLE_LEADER_RATE       STR("leader.replication.throttled.rate")
#define THROTTLE_FOLLOWER_RATE     STR("follower.replication.throttled.rate")
#define THROTTLE_DIRS_RATE         STR("replica.alter.log.dirs.io.max.bytes.per.second")
#define THROTTLE_LEADER_REPLICAS   STR("leader.replication.throttled.replicas")
#define THROTTLE_FOLLOWER_REPLICAS STR("follower.replication.throttled.replicas")

/* "80M", "80MB/s", "1.5 GiB", "1000": a rate; false when it is none, or not above 0. */
bool throttle_parse(const char *text, int64_t *rate);

/* What a topic's two settings become for moves of it, which stand together: "0:1,0:2,1:2". */
void throttle_replicas(struct arena *arena, const struct planned *moves, int n, struct str *leader,
                       struct str *follower);

/* One broker's rates, one topic's replicas; null takes them away. A broker that is down is passed
 * over with a note. */
enum exit_code throttle_set_broker(struct cli *cli, struct link *link, int32_t broker,
                                   struct str rate);
enum exit_code throttle_set_topic(struct cli *cli, struct link *link, struct str topic,
                                  struct str leader, struct str follower);
/* Sets both at all brokers and topics that the moves touch. */
enum exit_code throttle_set(struct cli *cli, struct link *link, const char *rate,
                            const struct planned *moves, int n);
/* Takes them away from every broker and topic that has them. */
enum exit_code throttle_clear(struct cli *cli, struct link *link);

#endif
