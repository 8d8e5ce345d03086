/*
 * offsets - the handlers of committed offsets: OffsetCommit (0 to 9), OffsetFetch (0 to 9),
 * OffsetDelete (0).
 *
 * Version 0 of the first two kept offsets in ZooKeeper, where nobody looks any more; here it means
 * the same place as all others.
 */
#ifndef BROKER_API_OFFSETS_H
#define BROKER_API_OFFSETS_H

#include "broker/net/dispatch.h"

handler_fn api_offset_commit;
handler_fn api_offset_fetch;
handler_fn api_offset_delete;

#endif
