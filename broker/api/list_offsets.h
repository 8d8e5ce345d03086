/*
 * list_offsets - the handlers of ListOffsets (1 to 9) and OffsetForLeaderEpoch (0 to 4).
 */
#ifndef BROKER_API_LIST_OFFSETS_H
#define BROKER_API_LIST_OFFSETS_H

#include "broker/net/dispatch.h"

handler_fn api_list_offsets;
handler_fn api_offset_for_leader_epoch;

#endif
