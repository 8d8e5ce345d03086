#include "tests/kit/part_kit.h"

#include <check.h>

static const int32_t both[] = { 1, 2 };

void part_kit_conf(void *ctx, const struct image *image, struct str topic, struct part_conf *out)
{
    (void)ctx;
    (void)image;
    (void)topic;
    *out = (struct part_conf){ .log = LOG_CONF_DEFAULT,
                               .validate = VALIDATE_CONF_DEFAULT,
                               .min_isr = 1 };
}

void part_kit_propose(void *ctx, struct part *part, const struct part_proposal *proposal)
{
    (void)ctx;
    (void)part;
    (void)proposal;
}

void part_kit_role(struct part *part, const struct part_kit_role *role, int64_t now_ms,
                   struct part_effects *effects)
{
    const struct part_live live[] = { { 1, 10, true }, { 2, 20, !role->is_alone } };
    struct ids isr = role->isr.n > 0 ? role->isr : IDS_OF(both);
    struct part_event ev = { .kind = PART_EV_ROLE,
                             .role = { .leader = role->leader,
                                       .leader_epoch = role->epoch,
                                       .partition_epoch = role->partition_epoch,
                                       .replicas = both,
                                       .replicas_len = 2,
                                       .isr = isr.at,
                                       .isr_len = (int32_t)isr.n,
                                       .live = live,
                                       .my_epoch = 10 } };

    part_set_role(part, &ev, now_ms, effects);
}

enum err part_kit_append(struct part *part, const struct kit_batch *from, int16_t acks,
                         int64_t wall_ms, int64_t now_ms, struct log_appended *appended,
                         int32_t *epoch)
{
    struct buf buf = BUF_EMPTY;
    struct validated batch;
    struct validate_conf conf;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    kit_batch_put(&buf, from);
    part_get_validate_conf(part, &conf);
    ck_assert_int_eq(validate_batches(buf.bytes, buf.len, 9, &conf, wall_ms, &arena, &batch),
                     ERR_OK);
    enum err err =
        part_append(part, &batch, acks, LOG_FROM_CLIENT, wall_ms, now_ms, appended, epoch);
    buf_fini(&buf);
    arena_fini(&arena);
    return err;
}

void part_kit_put(struct buf *into, const struct kit_batch *from, int64_t offset, int32_t epoch)
{
    size_t at = into->len;

    kit_batch_put(into, from);
    batch_stamp(into->bytes + at, offset, epoch);
}

struct part_read part_kit_fetch(int32_t replica, int64_t offset, int32_t epoch)
{
    return (struct part_read){ .offset = offset,
                               .max_bytes = 1 << 20,
                               .min_one = true,
                               .current_leader_epoch = epoch,
                               .isolation = replica < 0 ? PART_READ_UNCOMMITTED : PART_READ_LOG_END,
                               .replica = replica,
                               .replica_epoch = replica < 0 ? -1 : replica * 10,
                               .last_fetched_epoch = -1 };
}
