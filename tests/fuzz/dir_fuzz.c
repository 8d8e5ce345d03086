/*
 * Any bytes in any file of a directory of logs, files cut, grown and gone, whichever of them
 * together: the start and every read say so or mend it, nothing crashes, and no batch is served
 * whose checksum is wrong, or that was not written so, unless an edit was long enough to forge a
 * checksum; a log that was opened goes on; after a crash and a stop the same once more.
 *
 * The directories are some that Kafka 3.9 wrote (tests/data/logs) and one of ours, in memory. The
 * first bytes choose one, whether it was stopped cleanly, and how many edits; each edit then takes
 * five bytes and what it writes: which file, how, where, how many. An input that is too short goes
 * on with numbers that follow from it, so that every input is some damage.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "broker/log/logs.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/wire/batch.h"
#include "common/wire/record.h"
#include "tests/kit/fake_disk.h"

#define NEVER       (INT64_MAX / 4)
#define NOW_MS      INT64_C(1700000000000)
#define FILES_MAX   256
#define BATCHES_MAX 1024
#define EDITS_MAX   6
#define SETS        4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct content {
    char path[128]; /* below /d */
    uint8_t *bytes;
    size_t size;
};

/* A batch as it was written. */
struct written {
    char log[64];
    int64_t base_offset;
    uint8_t *bytes;
    size_t size;
};

struct set {
    struct content files[FILES_MAX];
    size_t count;
    struct written batches[BATCHES_MAX];
    size_t batch_count;
};

static struct set sets[SETS];

/* ---- what there is ---- */

static void note_batches(struct set *set, const struct content *file)
{
    const char *slash = strchr(file->path, '/');
    size_t len = strlen(file->path);
    size_t size;

    if (slash == NULL || len < 4 || strcmp(file->path + len - 4, ".log") != 0)
        return;
    for (size_t at = 0; batch_peek(file->bytes + at, file->size - at, &size) == ERR_OK;
         at += size) {
        struct written *batch = &set->batches[set->batch_count++];

        assert(set->batch_count <= BATCHES_MAX);
        snprintf(batch->log, sizeof batch->log, "%.*s", (int)(slash - file->path), file->path);
        batch->bytes = file->bytes + at;
        batch->size = size;
        batch->base_offset = batch_base_offset(batch->bytes);
    }
}

static void add_file(struct set *set, const char *path, const uint8_t *bytes, size_t size)
{
    struct content *file = &set->files[set->count++];

    assert(set->count <= FILES_MAX);
    snprintf(file->path, sizeof file->path, "%s", path);
    file->bytes = xmemdup(bytes, size > 0 ? size : 1);
    file->size = size;
    note_batches(set, file);
}

/* tar: blocks of 512 bytes, a header with name at 0 and size, octal, at 124, then the file. */
static void add_tar(struct set *set, const char *tar, const char *const *folders)
{
    char path[300];
    uint8_t head[512];

    snprintf(path, sizeof path, "tests/data/logs/%s.tar.gz", tar);
    gzFile file = gzopen(path, "rb");

    if (file == NULL) {
        fprintf(stderr, "dir_fuzz: run it where %s is\n", path);
        abort();
    }
    while (gzread(file, head, sizeof head) == sizeof head && head[0] != '\0') {
        const char *name = (const char *)head + (strncmp((const char *)head, "./", 2) == 0 ? 2 : 0);
        size_t size = strtoul((const char *)head + 124, NULL, 8);
        size_t room = (size + 511) / 512 * 512;
        uint8_t *bytes = xmalloc(room + 1);
        bool wanted = size < 20000 && strchr(name, '/') == NULL && name[0] != '\0';

        assert(gzread(file, bytes, (unsigned)room) == (int)room);
        for (size_t i = 0; folders[i] != NULL; i++)
            wanted |= strncmp(name, folders[i], strlen(folders[i])) == 0;
        if (wanted && head[156] != '5' && strcmp(name, ".lock") != 0)
            add_file(set, name, bytes, size);
        free(bytes);
    }
    gzclose(file);
}

static void conf_of(void *ctx, const char *topic, struct log_conf *conf)
{
    (void)ctx;
    (void)topic;
    conf->segment_bytes = 2000;
    conf->index_interval_bytes = 200;
    conf->producer_expiration_ms = NEVER;
    conf->file_delete_delay_ms = 0;
    conf->retention_ms = -1;
}

static enum err open_logs(struct disk *disk, struct logs **logs)
{
    static const char *const dirs[] = { "/d" };
    struct logs_options options = { .dirs = dirs,
                                    .dir_count = 1,
                                    .broker_id = 1,
                                    .no_threads = true,
                                    .max_open_files = 16,
                                    .disk = disk,
                                    .conf_of = conf_of,
                                    .flush_check_ms = NEVER,
                                    .checkpoint_ms = NEVER,
                                    .start_checkpoint_ms = NEVER };

    return logs_open(&options, logs);
}

static size_t make_batch(struct buf *buf, int64_t producer, int32_t sequence, int value)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct batch_builder builder;
    uint8_t *bytes;
    size_t size;
    char text[64];

    if (producer >= 0) {
        conf.producer_id = producer;
        conf.producer_epoch = 0;
        conf.base_sequence = sequence;
    }
    batch_builder_init(&builder, &conf);
    for (int i = 0; i < 1 + value % 3; i++) {
        snprintf(text, sizeof text, "value %d of %d", i, value);
        batch_builder_add(&builder, NOW_MS + value, STR("key"), str_of(text), NULL, 0);
    }
    assert(batch_builder_finish(&builder, -1, &bytes, &size) == ERR_OK);
    buf->len = 0;
    buf_put(buf, bytes, size);
    batch_builder_fini(&builder);
    return size;
}

struct copying {
    struct set *set;
    struct disk *disk;
    const char *folder;
};

static void copy_out(void *ctx, const char *name, bool is_dir)
{
    struct copying *copying = ctx;
    char *path = xasprintf("%s%s%s", copying->folder, copying->folder[0] != '\0' ? "/" : "", name);
    char *full = xasprintf("/d/%s", path);
    char *bytes;
    size_t size;

    if (is_dir) {
        struct copying inner = { copying->set, copying->disk, path };

        assert(disk_list(copying->disk, full, copy_out, &inner) == ERR_OK);
    } else if (strcmp(name, ".lock") != 0) {
        assert(disk_read_file(copying->disk, full, 1 << 20, &bytes, &size) == ERR_OK);
        add_file(copying->set, path, (const uint8_t *)bytes, size);
        free(bytes);
    }
    free(full);
    free(path);
}

/* Several segments, epochs, idempotent producers, a start that was moved. */
static void make_ours(struct set *set)
{
    struct fake_disk *fake = fake_disk_new();
    struct disk *disk = fake_disk_base(fake);
    struct log_appended out;
    struct buf buf = BUF_EMPTY;
    struct logs *logs;
    struct log *log;

    assert(open_logs(disk, &logs) == ERR_OK);
    assert(logs_set_cluster_id(logs, "AW6T_lL_R4iq6IuFZW4UEA") == ERR_OK);
    assert(logs_create(logs, "ours", 0, (struct uuid){ .bytes = { 1 } }, true, NULL, &log) ==
           ERR_OK);
    for (int i = 0; i < 90; i++) {
        size_t size = make_batch(&buf, i % 3 == 0 ? 7 : -1, i / 3, i - i % 3);

        assert(log_append_leader(log, buf.bytes, size, i / 30, LOG_FROM_COORDINATOR, NOW_MS,
                                 &out) == ERR_OK);
        if (i % 25 == 24)
            assert(log_flush(log) == ERR_OK);
    }
    log_advance_start(log, 5);
    log_unref(&log);
    logs_close(&logs);
    assert(disk_list(disk, "/d", copy_out, &(struct copying){ set, disk, "" }) == ERR_OK);
    buf_fini(&buf);
    fake_disk_free(&fake);
}

static void make_sets(void)
{
    static const char *const txns[] = { "g-txn-segs-0/", "g-epochs-0/", NULL };
    static const char *const compact[] = { "g-compact-txn-0/", "g-compact-0/", NULL };
    static const char *const killed[] = { "g-txn-open-0/", "g-java-zstd-0/", NULL };

    if (sets[0].count > 0)
        return;
    say_set_level(SAY_ERROR + 1);
    make_ours(&sets[0]);
    add_tar(&sets[1], "broker1-clean-stop", txns);
    add_tar(&sets[2], "broker1-clean-stop", compact);
    add_tar(&sets[3], "broker1-kill9", killed);
    for (int i = 0; i < SETS; i++)
        assert(sets[i].count > 8 && sets[i].batch_count > 4);
}

/* ---- edits ---- */

struct input {
    const uint8_t *at;
    size_t left;
    uint64_t more;  /* what comes behind the end */
    bool may_forge; /* four bytes in a row were written: a checksum, maybe */
};

static unsigned take(struct input *in)
{
    if (in->left == 0) {
        in->more = in->more * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return in->more >> 56;
    }
    in->left--;
    return *in->at++;
}

static void write_file(struct disk *disk, const char *path, const uint8_t *bytes, size_t size)
{
    int file;

    assert(disk_open(disk, path, DISK_WRITE | DISK_CREATE, &file) == ERR_OK);
    if (size > 0)
        assert(disk_pwrite(disk, file, bytes, size, 0) == ERR_OK);
    disk_close(disk, file);
}

static void lay_out(struct disk *disk, const struct set *set, bool clean)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct content *file = &set->files[i];
        const char *slash = strchr(file->path, '/');
        char path[160];

        if (!clean && strcmp(file->path, ".kafka_cleanshutdown") == 0)
            continue;
        if (slash != NULL) {
            snprintf(path, sizeof path, "/d/%.*s", (int)(slash - file->path), file->path);
            (void)!disk_mkdir(disk, path);
        }
        snprintf(path, sizeof path, "/d/%s", file->path);
        write_file(disk, path, file->bytes, file->size);
    }
}

/* A file may be edited that an earlier edit has removed. */
static void edit(struct disk *disk, const struct set *set, struct input *in)
{
    const struct content *target = &set->files[take(in) % set->count];
    unsigned way = take(in);
    size_t pos = take(in) | take(in) << 8;
    size_t len = take(in);
    uint8_t bytes[256];
    char path[160];
    int file;

    snprintf(path, sizeof path, "/d/%s", target->path);
    pos = target->size > 0 ? pos % (target->size + 1) : 0;
    if (way % 8 == 7) {
        (void)!disk_unlink(disk, path);
        return;
    }
    if (disk_open(disk, path, DISK_WRITE, &file) != ERR_OK)
        return;
    if (way % 8 == 6) {
        assert(disk_truncate(disk, file, (int64_t)pos) == ERR_OK);
    } else if (way % 8 == 5) {
        assert(disk_truncate(disk, file, (int64_t)(target->size + len)) == ERR_OK);
    } else {
        len = way % 8 < 3 ? 1 + len % 4 : len;
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)take(in);
        in->may_forge |= len >= 4;
        if (way % 8 == 4)
            pos = target->size;
        if (len > 0)
            assert(disk_pwrite(disk, file, bytes, len, (int64_t)pos) == ERR_OK);
    }
    disk_close(disk, file);
}

/* ---- what must hold ---- */

/* The leader's epoch is not under the checksum of today's format. */
static bool is_same(const struct written *batch, const uint8_t *bytes, size_t size)
{
    return batch->size == size && memcmp(batch->bytes, bytes, 12) == 0 &&
           memcmp(batch->bytes + 16, bytes + 16, size - 16) == 0;
}

static bool was_written(const struct set *set, const char *log, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < set->batch_count; i++)
        if (set->batches[i].base_offset == batch_base_offset(bytes) &&
            strcmp(set->batches[i].log, log) == 0 && is_same(&set->batches[i], bytes, size))
            return true;
    return false;
}

struct reading {
    const struct set *set; /* NULL: what was written is not known */
    int64_t ours_from;     /* what is above was written by this run */
};

static int64_t read_at(struct log *log, const struct reading *reading, int64_t offset)
{
    static uint8_t bytes[1 << 16];
    struct log_range range;
    int64_t next = offset + 1;
    size_t got = 0;
    size_t size;
    enum err err = log_read(log, offset, INT64_MAX, sizeof bytes, true, &range);

    if (err == ERR_OK && range.len > 0)
        err = log_range_read(&range, 0, bytes, range.len, &got);
    log_range_done(&range);
    if (err != ERR_OK)
        return next;
    for (size_t at = 0; batch_peek(bytes + at, got - at, &size) == ERR_OK; at += size) {
        assert(batch_check(bytes + at, size) == ERR_OK);
        if (reading->set != NULL && batch_base_offset(bytes + at) < reading->ours_from)
            assert(was_written(reading->set, log_name(log), bytes + at, size));
        if (batch_last_offset(bytes + at) + 1 > next)
            next = batch_last_offset(bytes + at) + 1;
    }
    return next;
}

static void read_log(struct log *log, const struct reading *reading)
{
    struct log_aborted *aborted = NULL;
    struct log_found found;
    size_t count;
    int reads = 0;

    /* A damaged file of starts may put the end far away: what lies between is not all visited. */
    for (int64_t at = log_start_offset(log); at < log_leo(log) && reads < 2000; reads++)
        at = read_at(log, reading, at);
    for (int64_t i = 1; i < 8; i++)
        read_at(log, reading,
                log_start_offset(log) + (log_leo(log) - log_start_offset(log)) / 8 * i);
    (void)!log_find_timestamp(log, LOG_MAX_TIMESTAMP, &found);
    (void)!log_find_timestamp(log, NOW_MS + 40, &found);
    (void)!log_aborted_txns(log, log_start_offset(log), log_leo(log), &aborted, &count);
    free(aborted);
    (void)log_epoch_end(log, 1);
    assert(log_last_stable_offset(log, log_leo(log)) <= log_leo(log));
}

struct visit {
    const struct set *set;
    bool goes_on;
};

static void visit_log(void *ctx, struct log *log)
{
    const struct visit *visit = ctx;
    struct reading reading = { visit->set, log_leo(log) };
    struct log_appended out;
    struct buf buf = BUF_EMPTY;

    read_log(log, &reading);
    if (!visit->goes_on)
        return;
    reading.set = NULL;
    for (int i = 0; i < 3 && log_leo(log) < INT64_MAX / 2; i++) {
        size_t size = make_batch(&buf, -1, 0, i);
        enum err err =
            log_append_leader(log, buf.bytes, size, 99, LOG_FROM_COORDINATOR, NOW_MS, &out);

        assert(err == ERR_OK || log_is_offline(log));
    }
    (void)log_retain(log, log_leo(log), NOW_MS);
    read_log(log, &reading);
    buf_fini(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct input in = { .at = data,
                        .left = len,
                        .more = str_hash((struct str){ (const char *)data, len }) };
    struct logs *logs;

    make_sets();
    unsigned choice = take(&in);
    const struct set *set = &sets[choice % SETS];
    struct fake_disk *fake = fake_disk_new();
    struct disk *disk = fake_disk_base(fake);

    lay_out(disk, set, choice & 0x80);
    for (unsigned edits = 1 + take(&in) % EDITS_MAX; edits > 0; edits--)
        edit(disk, set, &in);
    for (int round = 0; round < 3; round++) {
        /* Later everything may be ours from some offset on. */
        struct visit visit = { round > 0 || in.may_forge ? NULL : set, round == 0 };

        if (open_logs(disk, &logs) != ERR_OK)
            break; /* what protects us has refused it */
        logs_each(logs, visit_log, &visit);
        if (round == 0) {
            logs_checkpoint(logs);
            logs_abandon(&logs);
            fake_disk_crash(fake, FAKE_DISK_KEEP_ALL, 1);
        } else {
            logs_close(&logs);
        }
    }
    fake_disk_free(&fake);
    return 0;
}
