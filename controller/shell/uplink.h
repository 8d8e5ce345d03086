/*
 * uplink - what brokers say on their streams, checked, as events of the core.
 *
 * Ownership:  what comes out borrows from the message and the arena.
 * Errors:     ERR_BAD_FORMAT: ids of a wrong length, fields that are missing, numbers that cannot
 * be.
 */
#ifndef CONTROLLER_SHELL_UPLINK_H
#define CONTROLLER_SHELL_UPLINK_H

#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "controller/core/core.h"
#include "gen/control.pb-c.h"

enum err uplink_ack(const Control__Ack *ack, uint64_t stream, struct arena *arena,
                    struct core_acked *out) MUST_USE;
enum err uplink_alter(const Control__AlterPartition *alter, uint64_t stream, struct arena *arena,
                      struct core_alter_partition *out) MUST_USE;
enum err uplink_dir_failed(const Control__DirFailed *failed, uint64_t stream, struct arena *arena,
                           struct core_dir_failed *out) MUST_USE;
enum err uplink_shutdown(const Control__ShutdownWanted *wanted, uint64_t stream,
                         struct core_shutdown_wanted *out) MUST_USE;
enum err uplink_pid_block(const Control__PidBlockWanted *wanted, uint64_t stream,
                          struct core_pid_block_wanted *out) MUST_USE;
/* Of the stream that the incarnation said hello on. */
enum err uplink_heartbeat(const Control__Heartbeat *beat, int32_t broker,
                          const struct uuid *incarnation, struct core_heartbeat *out) MUST_USE;

#endif
