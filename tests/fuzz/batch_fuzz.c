/*
 * Any bytes as the records of a produce request and as a log: no crash, no read outside, and what
 * validation lets through is a sound batch that reads back.
 *
 * The first byte chooses version and settings. Checksums are mended first, or nothing would ever
 * get past them; without mending when the choice says so.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "broker/log/validate.h"
#include "common/base/mem.h"
#include "common/wire/legacy.h"
#include "common/wire/record.h"

#define LIMIT ((size_t)1 << 20)
#define NOW   INT64_C(1700000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void mend(uint8_t *bytes, size_t len)
{
    size_t size;

    for (size_t pos = 0; pos < len && batch_peek(bytes + pos, len - pos, &size) == ERR_OK;
         pos += size) {
        uint8_t *entry = bytes + pos;
        if (batch_magic(entry) == 2)
            batch_seal(entry, size);
        else
            store_be32(entry + 12, (uint32_t)crc32_z(0, entry + 16, size - 16));
    }
}

static void read_entry(const uint8_t *entry, size_t size, struct buf *scratch)
{
    struct batch_info info;
    struct record_header header;
    struct record record;
    struct legacy_message message;
    enum record_control kind;
    int32_t epoch;

    batch_info_read(entry, &info);
    if (batch_magic(entry) == 2) {
        struct record_iter iter;
        if (record_iter_init(&iter, entry, size, LIMIT, scratch) != ERR_OK)
            return;
        while (record_next(&iter, &record) == ERR_OK) {
            while (record_header_next(&record.headers, &header))
                continue;
            if (record_control_read(&record, &kind, &epoch) != ERR_OK)
                continue;
        }
    } else if (batch_check(entry, size) == ERR_OK) {
        struct legacy_iter iter;
        if (legacy_iter_init(&iter, entry, size, LIMIT, scratch) != ERR_OK)
            return;
        while (legacy_next(&iter, &message) == ERR_OK)
            continue;
    }
}

static void read_log(const uint8_t *bytes, size_t len)
{
    struct buf scratch = BUF_EMPTY, down = BUF_EMPTY;
    size_t size;

    for (size_t pos = 0; pos < len && batch_peek(bytes + pos, len - pos, &size) == ERR_OK;
         pos += size)
        read_entry(bytes + pos, size, &scratch);
    for (int magic = 0; magic <= 1; magic++) {
        down.len = 0;
        if (legacy_down(bytes, len, magic, 0, LIMIT, &down) == ERR_OK)
            for (size_t pos = 0; pos < down.len; pos += size) {
                enum err err = batch_peek(down.bytes + pos, down.len - pos, &size);
                assert(err == ERR_OK);
            }
    }
    buf_fini(&down);
    buf_fini(&scratch);
}

/* What is let through must be readable by everybody, forever. */
static void assert_sound(const struct validated *validated)
{
    struct buf scratch = BUF_EMPTY;
    struct record_iter iter;
    struct record record;
    int32_t count = 0;

    enum err err = batch_check(validated->bytes, validated->len);
    assert(err == ERR_OK);
    err = record_iter_init(&iter, validated->bytes, validated->len, LIMIT, &scratch);
    assert(err == ERR_OK);
    while ((err = record_next(&iter, &record)) == ERR_OK)
        assert(record.offset == 1000 + count++);
    assert(err == ERR_NOT_FOUND);
    assert(count == validated->info.count);
    assert(validated->info.last_offset == 1000 + count - 1);
    buf_fini(&scratch);
}

static void produce(uint8_t *bytes, size_t len, unsigned choice)
{
    static const int16_t versions[] = { 0, 2, 3, 9 };
    struct validate_conf conf = VALIDATE_CONF_DEFAULT;
    struct validated validated;
    struct arena arena;

    conf.plain_bytes_max = LIMIT;
    conf.compression = (int)((choice >> 2) & 7) % 6 - 1;
    conf.append_time = (choice & 0x20) != 0;
    conf.compacted = (choice & 0x40) != 0;
    arena_init(&arena, SIZE_MAX);
    enum err err =
        validate_batches(bytes, len, versions[choice & 3], &conf, NOW, &arena, &validated);
    if (err == ERR_OK && validated.bytes != NULL) {
        validate_stamp(&validated, 1000, 3, NOW);
        assert_sound(&validated);
    }
    assert(err == ERR_OK || validated.bytes == NULL);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    unsigned choice = data[0];
    uint8_t *bytes = malloc(len - 1 > 0 ? len - 1 : 1); /* exact, so that a read too far is seen */
    memcpy(bytes, data + 1, len - 1);
    if ((choice & 0x80) == 0)
        mend(bytes, len - 1);
    read_log(bytes, len - 1);
    produce(bytes, len - 1, choice);
    free(bytes);
    return 0;
}
