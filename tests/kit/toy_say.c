/*
 * What reaches the core of a toy from outside of its ZooKeeper, event by event: the words of
 * brokers on their streams, and what other hands write into znodes.
 */
#include "tests/kit/toy_core.h"

#include "common/base/mem.h" /* ARRAY_LEN */

/* ---- brokers -------------------------------------------------------------------------------- */

/* What a broker acknowledges, that has applied all that it was sent. */
static struct core_event acked_by(const struct toy *toy, int32_t id)
{
    const struct toy_broker *b = &toy->brokers[id];

    return (struct core_event){ .kind = CORE_ACKED,
                                .acked = { .stream = b->stream,
                                           .controller_epoch = image_controller_epoch(b->image),
                                           .version = image_version(b->image) } };
}

void toy_ack(struct toy *toy, int32_t id)
{
    toy_step(toy, acked_by(toy, id));
}

void toy_ack_failure(struct toy *toy, int32_t id, const struct core_failure *failure)
{
    struct core_event ev = acked_by(toy, id);

    ev.acked.n_failures = 1;
    ev.acked.failures = failure;
    toy_step(toy, ev);
}

void toy_ack_deleted(struct toy *toy, int32_t id, size_t n, const struct image_tombstone *stones)
{
    struct core_event ev = acked_by(toy, id);

    ev.acked.n_deleted = n;
    ev.acked.deleted = stones;
    toy_step(toy, ev);
}

void toy_delete_files(struct toy *toy, int32_t id)
{
    struct image_tombstone mine[ARRAY_LEN(toy->stones)];
    const struct image_tombstone *stone;
    struct image_cursor at = { 0 };
    size_t n = 0;

    if (toy->brokers[id].stream == 0 || toy->brokers[id].image == NULL)
        return;
    while ((stone = image_next_tombstone(toy->brokers[id].image, &at)) != NULL) {
        if (stone->broker == id)
            mine[n++] = *stone;
    }
    toy_ack_deleted(toy, id, n, mine);
}

void toy_fail_dir(struct toy *toy, int32_t id, const char *topic, int32_t partition)
{
    struct core_failure failure = { .topic_id = toy_topic(toy, topic)->id,
                                    .partition = partition,
                                    .err = ERR_KAFKA_STORAGE_ERROR };

    toy_step(toy,
             (struct core_event){
                 .kind = CORE_DIR_FAILED,
                 .dir_failed = { .stream = toy->brokers[id].stream, .n = 1, .parts = &failure } });
}

void toy_want_shutdown(struct toy *toy, int32_t id)
{
    const struct toy_broker *b = &toy->brokers[id];

    toy_step(toy, (struct core_event){ .kind = CORE_SHUTDOWN_WANTED,
                                       .shutdown_wanted = { .stream = b->stream,
                                                            .number = (uint64_t)b->n_shutdowns + 1,
                                                            .broker_epoch = b->epoch } });
}

void toy_send_proposal(struct toy *toy, int32_t from, const struct core_proposal *proposal)
{
    const struct toy_broker *b = &toy->brokers[from];

    toy_step(toy, (struct core_event){ .kind = CORE_ALTER_PARTITION,
                                       .alter_partition = { .stream = b->stream,
                                                            .broker_epoch = b->epoch,
                                                            .n = 1,
                                                            .proposals = proposal } });
}

void toy_propose(struct toy *toy, int32_t from, const char *topic, int32_t partition,
                 struct ids isr)
{
    const struct toy_part *part = toy_part(toy, topic, partition);
    struct core_member members[8];
    struct core_proposal p = { .topic_id = toy_topic(toy, topic)->id,
                               .partition = partition,
                               .proposal_id = 7,
                               .leader_epoch = part->state.leader_epoch,
                               .partition_epoch = part->state.partition_epoch,
                               .n_isr = isr.n,
                               .isr = members };

    for (uint32_t i = 0; i < isr.n; i++)
        members[i] = (struct core_member){ isr.at[i], toy->brokers[isr.at[i]].epoch };
    toy_send_proposal(toy, from, &p);
}

void toy_expire(struct toy *toy, int32_t id)
{
    toy->brokers[id].registered = false;
    toy_nodes(toy);
}

void toy_lose_stream(struct toy *toy, int32_t id)
{
    uint64_t stream = toy->brokers[id].stream;

    toy->brokers[id].stream = 0;
    toy_step(toy, (struct core_event){ .kind = CORE_STREAM_ENDED, .stream_ended = { stream } });
}

void toy_probed(struct toy *toy, int32_t id, uint64_t number)
{
    toy_step(toy,
             (struct core_event){
                 .kind = CORE_PROBED,
                 .probed = { .broker = id, .probe = number, .result = toy->brokers[id].probe } });
}

/* ---- other hands ---------------------------------------------------------------------------- */

void toy_want_moves(struct toy *toy, size_t n, const struct core_named_part *parts)
{
    toy->moves.there = true;
    toy_step(toy,
             (struct core_event){ .kind = CORE_MOVES_WANTED,
                                  .wishes = { .there = true, .parts = { .n = n, .at = parts } } });
}

void toy_want_move(struct toy *toy, const char *topic, int32_t partition, struct ids target)
{
    struct core_named_part part = { str_of(topic), partition, target };

    toy_want_moves(toy, 1, &part);
}

void toy_note_config(struct toy *toy, const char *type, const char *name)
{
    struct core_event ev = { .kind = CORE_CONFIG_READ };
    const struct image_config *config = image_config(toy->configs, str_of(type), str_of(name));

    ev.config_read.config =
        config != NULL ? *config : (struct image_config){ str_of(type), str_of(name), 0, NULL };
    toy_step(toy, ev);
}

void toy_set_config(struct toy *toy, const char *type, const char *name, const char *key,
                    const char *value)
{
    struct image_setting setting = { str_of(key), str_of(value) };
    struct image_config config = { .type = str_of(type),
                                   .name = str_of(name),
                                   .n_settings = value != NULL,
                                   .settings = &setting };

    image_add(toy->configs, &(struct image_delta){ .n_configs = 1, .configs = &config });
    toy_note_config(toy, type, name);
}
