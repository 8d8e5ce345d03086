#include "tests/kit/log_kit.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

#define FIRST_MS 1700000000000

void log_kit_init(struct log_kit *kit, struct disk *disk, const char *dir)
{
    *kit = (struct log_kit){ .conf = LOG_CONF_DEFAULT, .now_ms = 1700000000000 };
    kit->env.disk = disk != NULL ? disk : disk_posix();
    kit->env.dir = dir != NULL ? dir : unit_temp_dir();
    kit->env.files = files_new(kit->env.disk, 64);
}

void log_kit_fini(struct log_kit *kit)
{
    log_unref(&kit->log);
    files_free(&kit->env.files);
}

enum err log_kit_open(struct log_kit *kit, bool is_clean, int64_t recovery_point)
{
    struct log_load load = { .is_clean = is_clean,
                             .recovery_point = recovery_point,
                             .start_offset = -1,
                             .now_ms = kit->now_ms };

    return log_open(&kit->env, "t-0", "t", 0, &kit->conf, &load, &kit->log);
}

void log_kit_shut(struct log_kit *kit, bool close)
{
    if (close)
        ck_assert_int_eq(log_close(kit->log), ERR_OK);
    log_unref(&kit->log);
}

void kit_batch_put(struct buf *into, const struct kit_batch *batch)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct batch_builder builder;
    uint8_t *bytes;
    size_t size;
    char *value = xcalloc(1, batch->value_bytes + 1);

    memset(value, 'v', batch->value_bytes);
    if (batch->producer_id != 0) {
        conf.producer_id = batch->producer_id;
        conf.producer_epoch = batch->producer_epoch;
        conf.base_sequence = batch->base_sequence;
    }
    conf.transactional = batch->transactional;
    batch_builder_init(&builder, &conf);
    for (int i = 0; i < (batch->count > 0 ? batch->count : 1); i++)
        batch_builder_add(&builder, (batch->timestamp_ms > 0 ? batch->timestamp_ms : FIRST_MS) + i,
                          STR("k"), (struct str){ value, batch->value_bytes }, NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &bytes, &size), ERR_OK);
    buf_put(into, bytes, size);
    batch_builder_fini(&builder);
    free(value);
}

enum err log_kit_append(struct log_kit *kit, const struct kit_batch *batch, int32_t epoch,
                        struct log_appended *out)
{
    struct log_appended unused;
    struct buf buf = BUF_EMPTY;

    kit_batch_put(&buf, batch);
    enum err err = log_append_leader(kit->log, buf.bytes, buf.len, epoch, LOG_FROM_CLIENT,
                                     kit->now_ms, out != NULL ? out : &unused);

    buf_fini(&buf);
    return err;
}

enum err log_kit_marker(struct log_kit *kit, bool commit, int64_t producer_id, int16_t epoch)
{
    uint8_t batch[BATCH_MARKER_BYTES];
    struct log_appended out;

    batch_marker_write(batch, commit, producer_id, epoch, 0, kit->now_ms);
    return log_append_leader(kit->log, batch, sizeof batch, 0, LOG_FROM_COORDINATOR, kit->now_ms,
                             &out);
}

enum err log_kit_read(struct log *log, int64_t offset, int64_t upper, struct buf *into)
{
    struct log_range range;
    size_t got = 0;

    into->len = 0;
    enum err err = log_read(log, offset, upper, 1 << 20, true, &range);

    if (err == ERR_OK && range.len > 0) {
        err = log_range_read(&range, 0, buf_reserve(into, range.len), range.len, &got);
        into->len = got;
    }
    log_range_done(&range);
    return err;
}

int64_t log_kit_check(struct log *log, bool dense)
{
    struct buf buf = BUF_EMPTY;
    int64_t next = log_start_offset(log);
    int64_t count = 0;

    while (next < log_leo(log) && count >= 0) {
        int64_t before = next;
        size_t size;

        if (log_kit_read(log, next, INT64_MAX, &buf) != ERR_OK || buf.len == 0) {
            count = -1;
            break;
        }
        for (size_t at = 0; at < buf.len; at += size) {
            struct batch_info info;

            if (batch_peek(buf.bytes + at, buf.len - at, &size) != ERR_OK)
                break;
            batch_info_read(buf.bytes + at, &info);
            if (batch_check(buf.bytes + at, size) != ERR_OK || info.last_offset < next ||
                (dense && info.magic == 2 && info.base_offset > next)) {
                count = -1;
                goto done;
            }
            count += info.count > 0 ? info.count : 0;
            next = info.last_offset + 1;
        }
        if (next == before)
            count = -1;
    }
done:
    buf_fini(&buf);
    return count;
}
