/*
 * metadata - the handlers of Metadata (0 to 12) and DescribeCluster (0 to 1).
 */
#ifndef BROKER_API_METADATA_H
#define BROKER_API_METADATA_H

#include "broker/net/dispatch.h"

handler_fn api_metadata;
handler_fn api_describe_cluster;

#endif
