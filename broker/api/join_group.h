/*
 * join_group - the handlers of a group's members: JoinGroup (0 to 9), SyncGroup (0 to 5), Heartbeat
 * (0 to 4), LeaveGroup (0 to 5).
 */
#ifndef BROKER_API_JOIN_GROUP_H
#define BROKER_API_JOIN_GROUP_H

#include "broker/net/dispatch.h"

handler_fn api_join_group;
handler_fn api_sync_group;
handler_fn api_heartbeat;
handler_fn api_leave_group;

#endif
