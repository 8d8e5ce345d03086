#include "broker/api/table.h"

#include "broker/api/alter_log_dirs.h"
#include "broker/api/api_versions.h"
#include "broker/api/delete_records.h"
#include "broker/api/describe_configs.h"
#include "broker/api/describe_groups.h"
#include "broker/api/describe_log_dirs.h"
#include "broker/api/fetch.h"
#include "broker/api/find_coordinator.h"
#include "broker/api/forwarded.h"
#include "broker/api/join_group.h"
#include "broker/api/list_offsets.h"
#include "broker/api/metadata.h"
#include "broker/api/offsets.h"
#include "broker/api/produce.h"
#include "common/base/mem.h"
#include "gen/wire/apis.h"

static const struct handler rows[] = {
    { API_PRODUCE, 0, 11, HANDLER_PIPELINED, api_produce },
    { API_FETCH, 0, 17, HANDLER_PIPELINED, api_fetch },
    { API_LIST_OFFSETS, 0, 9, 0, api_list_offsets },
    { API_METADATA, 0, 12, 0, api_metadata },
    { API_OFFSET_COMMIT, 0, 9, 0, api_offset_commit },
    { API_OFFSET_FETCH, 0, 9, 0, api_offset_fetch },
    { API_FIND_COORDINATOR, 0, 6, 0, api_find_coordinator },
    { API_JOIN_GROUP, 0, 9, 0, api_join_group },
    { API_HEARTBEAT, 0, 4, 0, api_heartbeat },
    { API_LEAVE_GROUP, 0, 5, 0, api_leave_group },
    { API_SYNC_GROUP, 0, 5, 0, api_sync_group },
    { API_DESCRIBE_GROUPS, 0, 5, 0, api_describe_groups },
    { API_LIST_GROUPS, 0, 5, 0, api_list_groups },
    { API_API_VERSIONS, 0, 4, HANDLER_ANY_VERSION, api_versions_handle },
    { API_CREATE_TOPICS, 0, 7, 0, api_forwarded },
    { API_DELETE_TOPICS, 0, 6, 0, api_forwarded },
    { API_DELETE_RECORDS, 0, 2, 0, api_delete_records },
    { API_INIT_PRODUCER_ID, 0, 5, 0, api_init_producer_id },
    { API_OFFSET_FOR_LEADER_EPOCH, 0, 4, 0, api_offset_for_leader_epoch },
    { API_DELETE_GROUPS, 0, 2, 0, api_delete_groups },
    { API_ELECT_LEADERS, 0, 2, 0, api_forwarded },
    { API_ALTER_CONFIGS, 0, 2, 0, api_forwarded },
    { API_INCREMENTAL_ALTER_CONFIGS, 0, 1, 0, api_forwarded },
    { API_ALTER_PARTITION_REASSIGNMENTS, 0, 0, 0, api_forwarded },
    { API_LIST_PARTITION_REASSIGNMENTS, 0, 0, 0, api_forwarded },
    { API_DESCRIBE_CONFIGS, 0, 4, 0, describe_configs_handle },
    { API_ALTER_REPLICA_LOG_DIRS, 0, 2, 0, api_alter_log_dirs },
    { API_DESCRIBE_LOG_DIRS, 0, 4, 0, api_describe_log_dirs },
    { API_CREATE_PARTITIONS, 0, 3, 0, api_forwarded },
    { API_OFFSET_DELETE, 0, 0, 0, api_offset_delete },
    { API_DESCRIBE_CLUSTER, 0, 1, 0, api_describe_cluster },
    { API_CONSUMER_GROUP_HEARTBEAT, 0, 0, 0, api_consumer_group_heartbeat },
    { API_CONSUMER_GROUP_DESCRIBE, 0, 0, 0, api_consumer_group_describe },
};

void api_table_init(struct dispatch *dispatch, struct api *api)
{
    dispatch_init(dispatch, rows, ARRAY_LEN(rows), api);
}
