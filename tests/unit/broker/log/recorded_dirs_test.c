/*
 * Directories that Kafka 3.9 wrote and lists of what its own consumer read out of them, in both
 * isolation levels: opened as they are, our logs serve exactly these records. The killed one is
 * recovered first; what it serves then is what Kafka served after its own recovery.
 *
 * A listing is a line about the whole (topic, partition, isolation, beginning and end offset),
 * then a line per record. Its name is TOPIC-PARTITION[.when].ISOLATION.jsonl; what the consumer
 * does with aborted transactions is done here, from log_aborted_txns(). (Of one recording, g-many-0
 * after recovery read uncommitted, the end is missing; it is left out.)
 */
#include <check.h>
#include <ftw.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_load.h"
#include "broker/log/logs.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/wire/legacy.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

#define NEVER          (INT64_MAX / 4)
#define PLAIN_MAX      ((size_t)1 << 20)
#define READ_MAX_BYTES 700 /* so that a log is read in several turns */

/* Which directory holds what a listing tells. */
static const struct {
    const char *when; /* "" when the name has none; NULL for the topics of topic */
    const char *topic;
    const char *dir;
} places[] = {
    { "before-kill9", "", "broker1-kill9" },
    { "after-recovery", "", "broker1-kill9" },
    { "before-clean", "", "compact-1-before" },
    { "after-first-pass", "", "compact-2-after-first-pass" },
    { "after-second-pass", "", "compact-3-after-second-pass" },
    { "", "m-", "message-formats-v0-v1" },
    { "", "unc", "unc-after-unclean-b1" },
    { "", "g-many", "broker1-kill9" }, /* not in the other one */
    { "", "", "broker1-clean-stop" },
};

/* One listing, and where in it we are. */
struct listing {
    char *text, *next;
    char *topic;
    int64_t start, end;
    bool committed;
    int seen;
};

/* A transaction that was aborted, as a consumer goes through them. */
struct filter {
    struct log_aborted *aborted; /* by first offset */
    size_t count, next;
    int64_t open[64]; /* producers in an aborted transaction */
    size_t open_len;
};

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
    va_list args;
    char *command;

    va_start(args, format);
    ck_assert_int_ge(vasprintf(&command, format, args), 0);
    va_end(args);
    ck_assert_msg(system(command) == 0, "failed: %s", command);
    free(command);
}

static json_t *next_line(struct listing *listing)
{
    char *end = strchr(listing->next, '\n');

    ck_assert_msg(end != NULL, "%s: more records than listed", listing->topic);
    json_t *line = json_loadb(listing->next, (size_t)(end - listing->next), 0, NULL);

    ck_assert_ptr_nonnull(line);
    listing->next = end + 1;
    return line;
}

static void listing_open(struct listing *listing, const char *path)
{
    size_t len;

    *listing = (struct listing){ .text = unit_read_file(path, &len) };
    listing->next = listing->text;
    json_t *head = next_line(listing);

    listing->topic = xstrdup(json_string_value(json_object_get(head, "topic")));
    listing->start = json_integer_value(json_object_get(head, "beginningOffset"));
    listing->end = json_integer_value(json_object_get(head, "endOffset"));
    listing->committed =
        strcmp(json_string_value(json_object_get(head, "isolation")), "read_committed") == 0;
    json_decref(head);
}

static void listing_close(struct listing *listing)
{
    ck_assert_msg(*listing->next == '\0', "%s: the listing goes on: %.200s", listing->topic,
                  listing->next);
    free(listing->text);
    free(listing->topic);
}

static bool same(struct str bytes, const json_t *expected)
{
    if (json_is_null(expected))
        return str_is_null(bytes);
    return json_is_string(expected) && bytes.len == json_string_length(expected) &&
           memcmp(bytes.ptr, json_string_value(expected), bytes.len) == 0;
}

static void expect(struct listing *listing, int64_t offset, int64_t timestamp, int32_t epoch,
                   const char *type, struct str key, struct str value, struct str headers)
{
    json_t *line = next_line(listing), *pairs = json_object_get(line, "headers");
    struct record_header header;
    size_t i = 0;

    ck_assert_msg(offset == json_integer_value(json_object_get(line, "offset")),
                  "%s: offset %lld is listed as %s", listing->topic, (long long)offset,
                  json_dumps(line, 0));
    ck_assert_int_eq(timestamp, json_integer_value(json_object_get(line, "timestamp")));
    ck_assert_int_eq(epoch, json_integer_value(json_object_get(line, "leaderEpoch")));
    ck_assert_str_eq(type, json_string_value(json_object_get(line, "timestampType")));
    ck_assert(same(key, json_object_get(line, "key")));
    ck_assert(same(value, json_object_get(line, "value")));
    while (record_header_next(&headers, &header)) {
        ck_assert(same(header.key, json_array_get(json_array_get(pairs, i), 0)));
        ck_assert(same(header.value, json_array_get(json_array_get(pairs, i++), 1)));
    }
    ck_assert_uint_eq(i, json_array_size(pairs));
    json_decref(line);
    listing->seen++;
}

/* ---- a consumer ------------------------------------------------------------------------------ */

static bool is_open(struct filter *filter, int64_t producer_id, bool close)
{
    for (size_t i = 0; i < filter->open_len; i++) {
        if (filter->open[i] != producer_id)
            continue;
        if (close)
            filter->open[i] = filter->open[--filter->open_len];
        return true;
    }
    return false;
}

/* As Kafka's consumer: false when the batch is part of an aborted transaction. */
static bool passes(struct filter *filter, const struct batch_info *info)
{
    for (; filter->next < filter->count &&
           filter->aborted[filter->next].first_offset <= info->last_offset;
         filter->next++)
        if (!is_open(filter, filter->aborted[filter->next].producer_id, false))
            filter->open[filter->open_len++] = filter->aborted[filter->next].producer_id;
    if (info->producer_id < 0 || !info->transactional)
        return true;
    return !is_open(filter, info->producer_id, info->control);
}

static void read_batch(struct listing *listing, const uint8_t *batch, const struct batch_info *info,
                       int64_t from)
{
    struct buf plain = BUF_EMPTY;
    struct record_iter iter;
    struct record record;
    enum err err = record_iter_init(&iter, batch, info->size, PLAIN_MAX, &plain);

    while (err == ERR_OK && (err = record_next(&iter, &record)) == ERR_OK)
        if (record.offset >= from)
            expect(listing, record.offset, record.timestamp, info->leader_epoch,
                   info->append_time ? "LogAppendTime" : "CreateTime", record.key, record.value,
                   record.headers);
    ck_assert_int_eq(err, ERR_NOT_FOUND);
    buf_fini(&plain);
}

static void read_entry(struct listing *listing, const uint8_t *entry, const struct batch_info *info,
                       int64_t from)
{
    const char *type = info->magic == 0    ? "NoTimestampType"
                       : info->append_time ? "LogAppendTime"
                                           : "CreateTime";
    struct buf plain = BUF_EMPTY;
    struct legacy_iter iter;
    struct legacy_message message;
    enum err err = legacy_iter_init(&iter, entry, info->size, PLAIN_MAX, &plain);

    while (err == ERR_OK && (err = legacy_next(&iter, &message)) == ERR_OK)
        if (message.offset >= from)
            expect(listing, message.offset, message.timestamp, -1, type, message.key, message.value,
                   STR_EMPTY);
    ck_assert_int_eq(err, ERR_NOT_FOUND);
    buf_fini(&plain);
}

static int by_first_offset(const void *a, const void *b)
{
    int64_t left = ((const struct log_aborted *)a)->first_offset;
    int64_t right = ((const struct log_aborted *)b)->first_offset;

    return left < right ? -1 : left > right;
}

/* One fetch: where the next one begins. */
static int64_t fetch(struct listing *listing, struct log *log, int64_t from, int64_t upper)
{
    struct filter filter = { .count = 0 };
    struct log_range range;
    struct buf bytes = BUF_EMPTY;
    int64_t next = from;
    size_t size;

    ck_assert_int_eq(log_read(log, from, upper, READ_MAX_BYTES, true, &range), ERR_OK);
    ck_assert_uint_gt(range.len, 0);
    if (listing->committed)
        ck_assert_int_eq(log_aborted_txns(log, from, log_range_upper_offset(&range),
                                          &filter.aborted, &filter.count),
                         ERR_OK);
    if (filter.count > 0)
        qsort(filter.aborted, filter.count, sizeof *filter.aborted, by_first_offset);
    ck_assert_int_eq(log_range_read(&range, 0, buf_reserve(&bytes, range.len), range.len, &size),
                     ERR_OK);
    bytes.len = size;
    for (size_t pos = 0; pos < bytes.len; pos += size) {
        const uint8_t *batch = bytes.bytes + pos;
        struct batch_info info;

        if (batch_peek(batch, bytes.len - pos, &size) != ERR_OK)
            break; /* the last one of a range may be cut */
        batch_info_read(batch, &info);
        ck_assert_int_eq(batch_check(batch, size), ERR_OK);
        next = info.last_offset + 1;
        if (!passes(&filter, &info) || info.control)
            continue;
        if (info.magic == 2)
            read_batch(listing, batch, &info, from);
        else
            read_entry(listing, batch, &info, from);
    }
    free(filter.aborted);
    log_range_done(&range);
    buf_fini(&bytes);
    return next;
}

static void compare(struct listing *listing, struct logs *logs)
{
    struct log *log = logs_get_ref(logs, listing->topic, 0);

    ck_assert_msg(log != NULL, "%s-0 is not there", listing->topic);
    int64_t leo = log_leo(log);

    log_on_hw(log, leo);
    int64_t upper = listing->committed ? log_last_stable_offset(log, leo) : leo;

    ck_assert_int_eq(log_start_offset(log), listing->start);
    ck_assert_msg(upper == listing->end, "%s ends at %lld instead of %lld", listing->topic,
                  (long long)upper, (long long)listing->end);
    for (int64_t next = listing->start; next < upper;) {
        int64_t before = next;

        next = fetch(listing, log, next, upper);
        ck_assert_int_gt(next, before);
    }
    log_unref(&log);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void conf_of(void *ctx, const char *topic, struct log_conf *conf)
{
    (void)ctx;
    (void)topic;
    conf->producer_expiration_ms = NEVER; /* the recorded timestamps are old */
}

static struct logs *open_dir(const char *dir)
{
    const char *dirs[] = { dir };
    struct logs_options options = { .dirs = dirs,
                                    .dir_count = 1,
                                    .broker_id = -1,
                                    .no_threads = true,
                                    .conf_of = conf_of,
                                    .checkpoint_ms = NEVER,
                                    .start_checkpoint_ms = NEVER };
    struct logs *logs;

    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    return logs;
}

static const char *dir_of(const char *name)
{
    const char *when = strchr(name, '.');
    size_t when_len = when != NULL ? strcspn(++when, ".") : 0;

    if (when_len == 0 || strncmp(when, "read_", 5) == 0)
        when = "", when_len = 0;
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (strlen(places[i].when) == when_len && strncmp(places[i].when, when, when_len) == 0 &&
            strncmp(name, places[i].topic, strlen(places[i].topic)) == 0)
            return places[i].dir;
    ck_abort_msg("where is %s", name);
    return NULL;
}

static const char *wanted_dir;
static struct logs *open_logs;
static int compared;

static int compare_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    const char *name = path + ftw->base;
    struct listing listing;

    (void)st;
    if (type != FTW_F || strcmp(dir_of(name), wanted_dir) != 0)
        return 0;
    listing_open(&listing, path);
    compare(&listing, open_logs);
    ck_assert_int_gt(listing.seen + (listing.end == listing.start), 0);
    listing_close(&listing);
    compared++;
    return 0;
}

static void serves_what_is_listed(const char *archive, const char *as, int count)
{
    char *data = xasprintf("logs/%s.tar.gz", archive), *dir = xstrdup(unit_temp_dir()),
         *lists = xstrdup(unit_temp_dir());

    shell("tar xzf '%s' -C '%s'", unit_data(data), dir);
    shell("tar xzf '%s' -C '%s'", unit_data("logs/listings.tar.gz"), lists);
    open_logs = open_dir(dir);
    wanted_dir = as;
    compared = 0;
    ck_assert_int_eq(nftw(lists, compare_one, 16, FTW_PHYS), 0);
    ck_assert_int_eq(compared, count);
    logs_close(&open_logs);
    /* And once more as we leave it behind. */
    open_logs = open_dir(dir);
    ck_assert_int_eq(nftw(lists, compare_one, 16, FTW_PHYS), 0);
    logs_close(&open_logs);
    free(data);
    free(dir);
    free(lists);
}

static const struct {
    const char *archive, *as; /* as: the listings of which directory */
    int listings;
} cases[] = {
    { "broker1-clean-stop", "broker1-clean-stop", 46 },
    { "broker1-kill9", "broker1-kill9", 15 },
    { "compact-1-before", "compact-1-before", 6 },
    { "compact-2-after-first-pass", "compact-2-after-first-pass", 6 },
    { "compact-3-after-second-pass", "compact-3-after-second-pass", 6 },
    { "message-formats-v0-v1", "message-formats-v0-v1", 16 },
    { "unc-after-unclean-b1", "unc-after-unclean-b1", 2 },
    { "unc-after-unclean-b2", "unc-after-unclean-b1", 2 },
};

START_TEST(a_recorded_directory_serves_what_kafka_served)
{
    serves_what_is_listed(cases[_i].archive, cases[_i].as, cases[_i].listings);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("recorded_dirs");

    tcase_add_loop_test(tc, a_recorded_directory_serves_what_kafka_served, 0, ARRAY_LEN(cases));
    return unit_run(tc);
}
