/*
 * topic - what several commands do with a topic: find it, judge its partitions, wait until all
 * brokers agree about it.
 */
#ifndef CONTROLLER_CLI_TOPIC_H
#define CONTROLLER_CLI_TOPIC_H

#include "controller/cli/link.h"

/* One topic's metadata as the first broker to answer sees it. Not there: CLI_NOT_FOUND, and said
 * with the name that it is most like. */
enum exit_code topic_find(struct cli *cli, struct link *link, const char *name,
                          const struct metadata_response_topic **out);

/* Says that there is no such topic. */
enum exit_code topic_missing(struct cli *cli, struct link *link, const char *name);

static inline bool part_is_offline(const struct metadata_response_partition *part)
{
    return part->leader_id < 0;
}

static inline bool part_is_short(const struct metadata_response_partition *part)
{
    return part->isr_nodes_len < part->replica_nodes_len;
}

/* Brokers that answer within a second; *len of them, in the arena. */
const int32_t *topic_live_brokers(struct cli *cli, struct link *link, int *len);

/* Until every broker of ids shows all parts of the topic with a leader, or, when there is false,
 * does not show it at all. ERR_TIMED_OUT: *laggard is one that does not yet. A broker that ends
 * meanwhile is left out. */
enum err topic_wait(struct cli *cli, struct link *link, const char *name, bool there,
                    const int32_t *ids, int len, int32_t *laggard) MUST_USE;

#endif
