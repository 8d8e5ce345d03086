/*
 * describe_groups - the handlers for operators of groups: DescribeGroups (0 to 5), ListGroups (0 to
 * 5), DeleteGroups (0 to 2); and the refusals of the newer protocol's ConsumerGroupHeartbeat and
 * ConsumerGroupDescribe (KIP-848), which Kafka 3.9 names in ZooKeeper mode and does not serve.
 */
#ifndef BROKER_API_DESCRIBE_GROUPS_H
#define BROKER_API_DESCRIBE_GROUPS_H

#include "broker/net/dispatch.h"

handler_fn api_describe_groups;
handler_fn api_list_groups;
handler_fn api_delete_groups;
handler_fn api_consumer_group_heartbeat;
handler_fn api_consumer_group_describe;

#endif
