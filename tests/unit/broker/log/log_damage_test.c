/*
 * Any byte of any file of a log directory changed, any file cut, grown or gone: the start and every
 * read say so or mend it, nothing crashes, and no batch is served that was not written so.
 *
 * The directory has logs of several segments with plain, idempotent and transactional records, old
 * segments deleted, a start that was moved; it was stopped cleanly or lost power. Damage to
 * anything but a .log or the file of starts costs no record.
 *
 * MOLDAU_DAMAGE_CASES: how many cases (400; 40 with the thread sanitizer, which has one thread to
 * look at here and takes minutes); MOLDAU_DAMAGE_SEED: the first one (1).
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_int.h"
#include "broker/log/logs.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/logs_kit.h"
#include "tests/kit/unit.h"

#define NOW_MS    1700000000000
#define BATCHES   400
#define LOGS      2
#define FILES_MAX 400
#ifdef __SANITIZE_THREAD__
#define CASES 40
#else
#define CASES 400
#endif

/* What was written. */
struct written {
    uint8_t *bytes;
    size_t size;
    int64_t base_offset;
    int64_t last_offset;
};

struct model {
    struct written batches[2 * BATCHES];
    size_t count;
    int64_t start;
};

static struct model models[LOGS];

/* The file to be damaged. */
struct target {
    char path[300];
    int64_t size;
};

static struct target targets[FILES_MAX];
static size_t target_count;
static const char *listed;

static void conf_of(void *ctx, const char *topic, struct log_conf *conf)
{
    (void)ctx;
    (void)topic;
    conf->segment_bytes = 6000;
    conf->index_interval_bytes = 300;
    conf->producer_expiration_ms = LOGS_KIT_NEVER;
    conf->file_delete_delay_ms = 0;
    conf->retention_ms = -1;
    conf->retention_bytes = 40000;
}

static enum err open_logs(struct logs **logs)
{
    struct logs_options options = logs_kit_options(conf_of);

    return logs_open(&options, logs);
}

static void remember(struct model *model, const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len; at += batch_size(bytes + at)) {
        struct written *batch = &model->batches[model->count++];

        ck_assert_uint_le(model->count, ARRAY_LEN(model->batches));
        batch->size = batch_size(bytes + at);
        batch->bytes = xmemdup(bytes + at, batch->size);
        batch->base_offset = batch_base_offset(bytes + at);
        batch->last_offset = batch_last_offset(bytes + at);
    }
}

static void append(struct log *log, struct model *model, const struct kit_batch *batch,
                   int32_t epoch)
{
    struct log_appended out;
    struct buf buf = BUF_EMPTY;

    kit_batch_put(&buf, batch);
    ck_assert_int_eq(
        log_append_leader(log, buf.bytes, buf.len, epoch, LOG_FROM_COORDINATOR, NOW_MS, &out),
        ERR_OK);
    remember(model, buf.bytes, buf.len);
    buf_fini(&buf);
}

static void mark(struct log *log, struct model *model, bool commit, int64_t producer, int32_t epoch)
{
    uint8_t batch[BATCH_MARKER_BYTES];
    struct log_appended out;

    batch_marker_write(batch, commit, producer, 0, 0, NOW_MS);
    ck_assert_int_eq(
        log_append_leader(log, batch, sizeof batch, epoch, LOG_FROM_COORDINATOR, NOW_MS, &out),
        ERR_OK);
    remember(model, batch, sizeof batch);
}

static void fill(struct log *log, struct model *model)
{
    for (int i = 0; i < BATCHES; i++) {
        int64_t producer = (int64_t)logs_kit_chance(4);
        bool is_txn = producer >= 2;

        append(log, model,
               &(struct kit_batch){ .count = 1 + (int)logs_kit_chance(3),
                                    .value_bytes = logs_kit_chance(200),
                                    .timestamp_ms = NOW_MS + 10 * i,
                                    .producer_id = producer,
                                    .transactional = is_txn },
               i / 100);
        if (is_txn && logs_kit_chance(4) == 0)
            mark(log, model, logs_kit_chance(2) == 0, producer, i / 100);
        if (i % 90 == 89)
            ck_assert_int_eq(log_flush(log), ERR_OK);
        if (i % 150 == 149)
            log_retain(log, log_leo(log), NOW_MS);
    }
    log_on_hw(log, log_leo(log));
    log_advance_start(log, log_start_offset(log) + 3);
    model->start = log_start_offset(log);
}

static void build(bool clean)
{
    const struct uuid id = { .bytes = { 1 } };
    struct logs *logs;

    memset(models, 0, sizeof models);
    ck_assert_int_eq(open_logs(&logs), ERR_OK);
    for (int i = 0; i < LOGS; i++) {
        struct log *log;

        ck_assert_int_eq(logs_create(logs, "t", i, id, true, NULL, &log), ERR_OK);
        fill(log, &models[i]);
        log_unref(&log);
    }
    logs_tick(logs, NOW_MS, 0); /* the deleted files stay, to be damaged as well */
    if (clean) {
        logs_close(&logs);
        return;
    }
    logs_checkpoint(logs);
    logs_abandon(&logs);
    fake_disk_crash(logs_kit_disk(), FAKE_DISK_KEEP_ALL, 1);
}

static void scrap(void)
{
    for (int i = 0; i < LOGS; i++)
        for (size_t j = 0; j < models[i].count; j++)
            free(models[i].batches[j].bytes);
    logs_kit_end();
}

/* --- damage --- */

static void take_target(void *ctx, const char *name, bool is_dir)
{
    struct disk_stat st;
    struct target *target = &targets[target_count];

    (void)ctx;
    if (is_dir || target_count == FILES_MAX || strcmp(name, ".lock") == 0)
        return;
    snprintf(target->path, sizeof target->path, "%s/%s", listed, name);
    if (disk_stat(fake_disk_base(logs_kit_disk()), target->path, &st) != ERR_OK)
        return;
    target->size = st.size;
    target_count++;
}

static void list_targets(void)
{
    static const char *const dirs[] = { "/d", "/d/t-0", "/d/t-1" };

    target_count = 0;
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        listed = dirs[i];
        ck_assert_int_eq(disk_list(fake_disk_base(logs_kit_disk()), listed, take_target, NULL),
                         ERR_OK);
    }
    ck_assert_uint_gt(target_count, 30);
}

static const char *const ways[] = { "byte",         "bits",  "cut", "zeros behind",
                                    "noise behind", "zeros", "gone" };

static void poke(const struct target *target, size_t way)
{
    struct disk *disk = fake_disk_base(logs_kit_disk());
    uint8_t bytes[64];
    int64_t pos = target->size > 0 ? (int64_t)logs_kit_chance((uint64_t)target->size) : 0;
    int64_t len = 1;
    size_t got;
    int file;

    if (way == 6) {
        ck_assert_int_eq(disk_unlink(disk, target->path), ERR_OK);
        return;
    }
    ck_assert_int_eq(disk_open(disk, target->path, DISK_WRITE, &file), ERR_OK);
    if (way == 2) {
        ck_assert_int_eq(disk_truncate(disk, file, pos), ERR_OK);
    } else if (way == 3) {
        ck_assert_int_eq(
            disk_truncate(disk, file, target->size + 1 + (int64_t)logs_kit_chance(5000)), ERR_OK);
    } else {
        if (way == 4)
            pos = target->size;
        if (way >= 4)
            len = 1 + (int64_t)logs_kit_chance(sizeof bytes);
        ck_assert_int_eq(disk_pread(disk, file, bytes, (size_t)len, pos, &got), ERR_OK);
        for (int64_t i = 0; i < len; i++) {
            uint8_t flipped = (uint8_t)(bytes[i] ^ (1U << logs_kit_chance(8)));
            uint8_t noise = (uint8_t)logs_kit_chance(256);

            bytes[i] = way == 1 ? flipped : noise;
            if (way == 5)
                bytes[i] = 0;
        }
        if (way == 5 || pos + len <= target->size || way == 4)
            ck_assert_int_eq(disk_pwrite(disk, file, bytes, (size_t)len, pos), ERR_OK);
    }
    disk_close(disk, file);
}

/* --- what must hold --- */

static bool is_kind(const struct target *target, const char *ending)
{
    size_t have = strlen(target->path);
    size_t want = strlen(ending);

    return have >= want && strcmp(target->path + have - want, ending) == 0;
}

static const struct written *find(const struct model *model, int64_t base)
{
    for (size_t i = 0; i < model->count; i++)
        if (model->batches[i].base_offset == base)
            return &model->batches[i];
    return NULL;
}

/* The leader's epoch is not under the checksum, and a log is none the worse for it. */
static bool is_same(const struct written *batch, const uint8_t *bytes, size_t size)
{
    return batch->size == size && memcmp(batch->bytes, bytes, 12) == 0 &&
           memcmp(batch->bytes + 16, bytes + 16, size - 16) == 0;
}

/* One read; where the next begins. *served: batches that came. */
static int64_t read_some(struct log *log, const struct model *model, int64_t offset,
                         int64_t *served)
{
    struct buf buf = BUF_EMPTY;
    enum err err = log_kit_read(log, offset, INT64_MAX, &buf);
    int64_t next = offset;

    ck_assert_msg(err == ERR_OK || err == ERR_CORRUPT_MESSAGE, "read at %" PRId64 ": %s", offset,
                  err_name(err));
    for (size_t at = 0; err == ERR_OK && at < buf.len;) {
        size_t size;

        if (batch_peek(buf.bytes + at, buf.len - at, &size) != ERR_OK)
            break;
        int64_t base = batch_base_offset(buf.bytes + at);
        const struct written *batch = find(model, base);

        ck_assert_msg(batch != NULL, "a batch at %" PRId64 " that nobody wrote", base);
        ck_assert_msg(is_same(batch, buf.bytes + at, size), "another batch at %" PRId64, base);
        ck_assert_int_ge(batch->last_offset, offset);
        next = batch->last_offset + 1;
        at += size;
        ++*served;
    }
    buf_fini(&buf);
    return next > offset ? next : offset + 1;
}

static void ask_around(struct log *log)
{
    struct log_aborted *aborted;
    struct log_found found;
    size_t count;

    for (int i = 0; i < 20; i++) {
        enum err err =
            log_find_timestamp(log, NOW_MS + (int64_t)logs_kit_chance(11 * BATCHES), &found);

        ck_assert(err == ERR_OK || err == ERR_CORRUPT_MESSAGE);
    }
    ck_assert_int_eq(log_find_timestamp(log, LOG_LATEST, &found), ERR_OK);
    enum err newest = log_find_timestamp(log, LOG_MAX_TIMESTAMP, &found);

    ck_assert(newest == ERR_OK || newest == ERR_CORRUPT_MESSAGE);
    ck_assert_int_eq(log_aborted_txns(log, log_start_offset(log), log_leo(log), &aborted, &count),
                     ERR_OK);
    free(aborted);
    ck_assert_int_le(log_last_stable_offset(log, log_leo(log)), log_leo(log));
    (void)log_epoch_end(log, 1);
}

static void check_log(struct log *log, const struct model *model, const struct target *target,
                      bool harmless)
{
    int64_t served = 0;
    int64_t wanted = 0;

    for (int64_t at = log_start_offset(log); at < log_leo(log);)
        at = read_some(log, model, at, &served);
    /* From the middle, too: indexes are asked. */
    for (int i = 0; i < 30 && log_leo(log) > log_start_offset(log); i++) {
        int64_t unused = 0;
        int64_t span = log_leo(log) - log_start_offset(log);

        read_some(log, model, log_start_offset(log) + (int64_t)logs_kit_chance((uint64_t)span),
                  &unused);
    }
    ask_around(log);
    if (!harmless)
        return;
    for (size_t i = 0; i < model->count; i++)
        wanted += model->batches[i].last_offset >= model->start;
    ck_assert_msg(served >= wanted, "%" PRId64 " batches of %" PRId64 " after damage to %s", served,
                  wanted, target->path);
}

/* What may end a start: files that protect us, and a name that is a log's but no directory. */
static bool may_refuse(const struct target *target)
{
    return is_kind(target, "meta.properties");
}

static void expect_good(const struct target *target, bool clean)
{
    bool harmless = !is_kind(target, ".log") && !is_kind(target, "log-start-offset-checkpoint");
    struct logs *logs;

    (void)clean;
    for (int round = 0; round < 3; round++) {
        enum err err = open_logs(&logs);

        if (err != ERR_OK && may_refuse(target))
            return;
        ck_assert_msg(err == ERR_OK, "start after damage to %s: %s", target->path, err_name(err));
        for (int i = 0; i < LOGS; i++) {
            struct log *log = logs_get_ref(logs, "t", i);

            ck_assert_msg(log != NULL, "t-%d is offline after damage to %s", i, target->path);
            check_log(log, &models[i], target, harmless);
            ck_assert(!log_is_offline(log));
            if (round == 0) {
                /* What was written at these offsets before is gone for good. */
                while (models[i].count > 0 &&
                       models[i].batches[models[i].count - 1].last_offset >= log_leo(log))
                    free(models[i].batches[--models[i].count].bytes);
                for (int j = 0; j < 30; j++)
                    append(log, &models[i],
                           &(struct kit_batch){ .value_bytes = logs_kit_chance(300),
                                                .timestamp_ms = NOW_MS + 10 * (BATCHES + j) },
                           9);
                log_retain(log, log_start_offset(log), NOW_MS);
                check_log(log, &models[i], target, harmless);
            }
            log_unref(&log);
        }
        if (round == 1) {
            logs_checkpoint(logs);
            logs_abandon(&logs);
            fake_disk_crash(logs_kit_disk(), FAKE_DISK_KEEP_ALL, 1);
        } else {
            logs_close(&logs);
        }
    }
}

static void one_case(uint64_t number)
{
    logs_kit_begin(number * UINT64_C(0x9e3779b97f4a7c15));
    bool clean = logs_kit_chance(2) == 0;

    build(clean);
    list_targets();
    const struct target *target = &targets[logs_kit_chance(target_count)];
    size_t way = logs_kit_chance(ARRAY_LEN(ways));

    if (getenv("MOLDAU_DAMAGE_SAY") != NULL)
        fprintf(stderr, "case %" PRIu64 " %s %s %s\n", number, clean ? "clean" : "crash",
                target->path, ways[way]);
    poke(target, way);
    expect_good(target, clean);
    scrap();
}

START_TEST(damage_is_said_or_mended)
{
    uint64_t first = logs_kit_setting("MOLDAU_DAMAGE_SEED", 1);
    uint64_t count = logs_kit_setting("MOLDAU_DAMAGE_CASES", CASES);

    for (uint64_t number = first; number < first + count; number++)
        one_case(number);
    printf("damaged directories: %" PRIu64 "\n", count);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log_damage");

    say_set_level(getenv("MOLDAU_DAMAGE_SAY") != NULL ? SAY_INFO : SAY_ERROR);
    tcase_add_test(tc, damage_is_said_or_mended);
    return unit_run_within(tc, 3600);
}
