/*
 * describe_log_dirs - the handler of DescribeLogDirs, versions 0 to 4.
 */
#ifndef BROKER_API_DESCRIBE_LOG_DIRS_H
#define BROKER_API_DESCRIBE_LOG_DIRS_H

#include "broker/net/dispatch.h"

handler_fn api_describe_log_dirs;

#endif
