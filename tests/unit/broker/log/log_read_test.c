/*
 * log_read: readers on other threads see whole, right batches below the end they were told, while
 * an appender appends, rolls, truncates, retains and a flusher flushes. Made for make test
 * SAN=thread.
 */
#include <check.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "broker/log/log.h"
#include "common/base/say.h"
#include "common/base/thread.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

#define APPENDS 3000

static struct log_kit kit;
static atomic_bool stopping;
static _Atomic int64_t batches_read;

/* True when all the bytes were whole, right batches; the last may be cut. */
static bool is_good(const uint8_t *bytes, size_t len, int64_t offset)
{
    size_t size;
    bool first = true;

    for (size_t at = 0; at < len; at += size) {
        struct batch_info info;

        if (batch_peek(bytes + at, len - at, &size) != ERR_OK)
            return !first;
        batch_info_read(bytes + at, &info);
        if (batch_check(bytes + at, size) != ERR_OK)
            return false;
        if (first && (info.base_offset > offset || info.last_offset < offset))
            return false;
        first = false;
        atomic_fetch_add(&batches_read, 1);
    }
    return true;
}

static void read_on(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    uint8_t *bytes = malloc(1 << 16);

    while (!atomic_load(&stopping)) {
        int64_t start = log_start_offset(kit.log);
        int64_t leo = log_leo(kit.log);
        struct log_range range;
        size_t got;

        seed = seed * UINT64_C(6364136223846793005) + 1;
        if (leo <= start)
            continue;
        int64_t back = (int64_t)((seed >> 33) % (uint64_t)(leo - start));
        int64_t offset = (seed & 1) != 0 && back > 10 ? leo - 1 - back % 10 : leo - 1 - back;
        enum err err = log_read(kit.log, offset, INT64_MAX, 4096, true, &range);

        if (err == ERR_OFFSET_OUT_OF_RANGE || range.len == 0)
            continue; /* truncated or retained meanwhile */
        ck_assert_int_eq(err, ERR_OK);
        err = log_range_read(&range, 0, bytes, 1 << 16, &got);
        if (err == ERR_OK)
            ck_assert(is_good(bytes, got, offset));
        else
            ck_assert_int_eq(err, ERR_CLOSED);
        log_range_done(&range);
        (void)log_bytes_between(kit.log, offset, leo);
        (void)log_epoch_end(kit.log, 0);
        (void)log_last_stable_offset(kit.log, leo);
    }
    free(bytes);
}

static void flush_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&stopping)) {
        log_write_out(kit.log);
        ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    }
}

START_TEST(readers_and_one_appender)
{
    struct thread threads[4] = { 0 };

    say_set_level(SAY_ERROR);
    log_kit_init(&kit, NULL, NULL);
    kit.conf.segment_bytes = 20000;
    kit.conf.index_interval_bytes = 500;
    kit.conf.retention_bytes = 100000;
    kit.conf.retention_ms = -1;
    ck_assert_int_eq(log_kit_open(&kit, true, -1), ERR_OK);
    for (uintptr_t i = 0; i < 3; i++)
        thread_start(&threads[i], T_ANY, (int)i, read_on, (void *)(i + 1));
    thread_start(&threads[3], T_ANY, 3, flush_on, NULL);
    for (int i = 0; i < APPENDS; i++) {
        ck_assert_int_eq(log_kit_append(&kit,
                                        &(struct kit_batch){ .count = 1 + i % 3,
                                                             .value_bytes = (size_t)(i % 300) },
                                        i / 500, NULL),
                         ERR_OK);
        if (i % 100 == 99)
            ck_assert_int_eq(log_truncate_to(kit.log, log_leo(kit.log) - i % 37), ERR_OK);
        if (i % 250 == 249)
            log_retain(kit.log, log_leo(kit.log), kit.now_ms);
    }
    atomic_store(&stopping, true);
    for (int i = 0; i < 4; i++)
        thread_join(&threads[i]);
    ck_assert_int_ge(log_kit_check(kit.log, true), 0);
    ck_assert_int_gt(atomic_load(&batches_read), 0);
    log_kit_fini(&kit);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log_read");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, readers_and_one_appender);
    return unit_run(tc);
}
