/*
 * alter_log_dirs - the handler of AlterReplicaLogDirs, versions 0 to 2.
 */
#ifndef BROKER_API_ALTER_LOG_DIRS_H
#define BROKER_API_ALTER_LOG_DIRS_H

#include "broker/net/dispatch.h"

handler_fn api_alter_log_dirs;

#endif
