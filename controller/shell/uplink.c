/*
 * One function for each kind of message. Whether what is said makes sense for the cluster is the
 * core's to judge; here it is only made sure that it is a value at all.
 */
#include "controller/shell/uplink.h"

#include "common/stream/stream_image.h"

static enum err read_failures(size_t n, Control__PartitionFailure *const *from, struct arena *arena,
                              const struct core_failure **out)
{
    struct core_failure *all = arena_zalloc(arena, n, sizeof *all);

    for (size_t i = 0; i < n; i++) {
        enum err err = from[i]->has_topic_id
                           ? stream_image_read_uuid(from[i]->topic_id, &all[i].topic_id)
                           : ERR_BAD_FORMAT;

        if (err != ERR_OK || !from[i]->has_partition || from[i]->partition < 0)
            return ERR_BAD_FORMAT;
        if (from[i]->error < -1 || from[i]->error > INT16_MAX)
            return ERR_BAD_FORMAT;
        all[i].partition = from[i]->partition;
        all[i].leader_epoch = from[i]->has_leader_epoch ? from[i]->leader_epoch : -1;
        all[i].partition_epoch = from[i]->has_partition_epoch ? from[i]->partition_epoch : -1;
        all[i].err = (enum err)from[i]->error;
        all[i].yields = from[i]->has_yields && from[i]->yields;
    }
    *out = all;
    return ERR_OK;
}

enum err uplink_ack(const Control__Ack *ack, uint64_t stream, struct arena *arena,
                    struct core_acked *out)
{
    *out = (struct core_acked){ .stream = stream,
                                .controller_epoch = ack->controller_epoch,
                                .version = ack->version,
                                .n_failures = ack->n_failures,
                                .n_deleted = ack->n_deleted };
    if (!ack->has_controller_epoch || !ack->has_version)
        return ERR_BAD_FORMAT;

    enum err err = read_failures(ack->n_failures, ack->failures, arena, &out->failures);

    if (err != ERR_OK)
        return err;
    return stream_image_read_tombstones(ack->n_deleted, ack->deleted, arena, &out->deleted);
}

static enum err read_proposal(const Control__AlterPartition__Item *from, struct arena *arena,
                              struct core_proposal *out)
{
    struct core_member *isr = arena_zalloc(arena, from->n_isr, sizeof *isr);

    *out = (struct core_proposal){ .partition = from->partition,
                                   .proposal_id = from->proposal_id,
                                   .leader_epoch = from->leader_epoch,
                                   .partition_epoch = from->partition_epoch,
                                   .n_isr = from->n_isr,
                                   .isr = isr,
                                   .recovering = from->has_recovering && from->recovering };
    if (!from->has_topic_id || !from->has_partition || from->partition < 0 ||
        !from->has_leader_epoch || !from->has_partition_epoch)
        return ERR_BAD_FORMAT;
    for (size_t i = 0; i < from->n_isr; i++) {
        if (!from->isr[i]->has_id || from->isr[i]->id < 0)
            return ERR_BAD_FORMAT;
        isr[i].id = from->isr[i]->id;
        isr[i].broker_epoch = from->isr[i]->has_broker_epoch ? from->isr[i]->broker_epoch : -1;
    }
    return stream_image_read_uuid(from->topic_id, &out->topic_id);
}

enum err uplink_alter(const Control__AlterPartition *alter, uint64_t stream, struct arena *arena,
                      struct core_alter_partition *out)
{
    struct core_proposal *all = arena_zalloc(arena, alter->n_items, sizeof *all);

    *out = (struct core_alter_partition){
        .stream = stream, .broker_epoch = alter->broker_epoch, .n = alter->n_items, .proposals = all
    };
    if (!alter->has_broker_epoch)
        return ERR_BAD_FORMAT;
    for (size_t i = 0; i < alter->n_items; i++) {
        enum err err = read_proposal(alter->items[i], arena, &all[i]);

        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

enum err uplink_dir_failed(const Control__DirFailed *failed, uint64_t stream, struct arena *arena,
                           struct core_dir_failed *out)
{
    *out = (struct core_dir_failed){ .stream = stream, .n = failed->n_partitions };
    return read_failures(failed->n_partitions, failed->partitions, arena, &out->parts);
}

enum err uplink_shutdown(const Control__ShutdownWanted *wanted, uint64_t stream,
                         struct core_shutdown_wanted *out)
{
    *out = (struct core_shutdown_wanted){ .stream = stream,
                                          .number = wanted->number,
                                          .broker_epoch = wanted->broker_epoch };
    return wanted->has_number && wanted->has_broker_epoch ? ERR_OK : ERR_BAD_FORMAT;
}

enum err uplink_pid_block(const Control__PidBlockWanted *wanted, uint64_t stream,
                          struct core_pid_block_wanted *out)
{
    *out = (struct core_pid_block_wanted){ .stream = stream,
                                           .number = wanted->number,
                                           .broker_epoch = wanted->broker_epoch };
    return wanted->has_number && wanted->has_broker_epoch ? ERR_OK : ERR_BAD_FORMAT;
}

enum err uplink_heartbeat(const Control__Heartbeat *beat, int32_t broker,
                          const struct uuid *incarnation, struct core_heartbeat *out)
{
    *out = (struct core_heartbeat){ .broker = broker,
                                    .broker_epoch = beat->broker_epoch,
                                    .incarnation = *incarnation,
                                    .stalled = beat->has_stalled && beat->stalled };
    if (!beat->has_broker_epoch)
        return ERR_BAD_FORMAT;
    if (beat->has_incarnation)
        return stream_image_read_uuid(beat->incarnation, &out->incarnation);
    return ERR_OK;
}
