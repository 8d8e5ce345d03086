/*
 * parts: images and deltas against real log directories. Files go on a tombstone and on nothing
 * else, what is older is refused, and a wrong ZooKeeper is not believed.
 */
#include "broker/replica/parts.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/io/reactor.h"
#include "tests/kit/fake_disk.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

static const char *dir;
static struct logs *logs;
static struct parts *parts;
static struct image *image;
static struct parts_result result;
static int32_t min_isr;
static int proposals;
static struct disk *disk; /* NULL: the real one */
static void (*on_conf)(void);

static const int32_t mine[] = { 1, 2 }, others[] = { 2, 3 };

static void conf_of(void *ctx, const struct image *from, struct str topic, struct part_conf *out)
{
    const struct image_config *config = image_config(from, STR("topics"), topic);
    int64_t value = min_isr;

    (void)ctx;
    if (on_conf != NULL)
        on_conf();
    if (config != NULL)
        str_to_i64(image_config_value(config, STR("min.insync.replicas")), &value);
    *out = (struct part_conf){ .log = LOG_CONF_DEFAULT,
                               .validate = VALIDATE_CONF_DEFAULT,
                               .min_isr = (int32_t)value };
}

static void on_propose(void *ctx, struct part *part, const struct part_proposal *proposal)
{
    (void)ctx;
    (void)part;
    (void)proposal;
    proposals++;
}

static void start_on(const char *const *dirs, size_t count)
{
    ck_assert_int_eq(logs_open(&(struct logs_options){ .dirs = dirs,
                                                       .dir_count = count,
                                                       .broker_id = 1,
                                                       .recovery_threads = 1,
                                                       .disk = disk,
                                                       .no_threads = true },
                               &logs),
                     ERR_OK);
    parts = parts_new(&(struct parts_conf){ .broker_id = 1,
                                            .lag_max_ms = 30000,
                                            .logs = logs,
                                            .conf_of = conf_of,
                                            .propose = on_propose });
}

static void start(void)
{
    start_on(&dir, 1);
}

static void stop(void)
{
    parts_free(&parts);
    logs_close(&logs);
}

static void setup(void)
{
    say_setup(SAY_ERROR, SAY_TEXT, "test");
    dir = unit_temp_dir();
    min_isr = 1;
    image = image_new(1, 1, 3001, STR("kit"));
    start();
}

static void teardown(void)
{
    parts_result_fini(&result);
    stop();
    image_unref(&image);
}

static struct uuid id_of(int n)
{
    struct uuid id = UUID_ZERO;

    id.bytes[0] = 0x70;
    id.bytes[14] = (uint8_t)(n >> 8);
    id.bytes[15] = (uint8_t)(n + 1);
    return id;
}

static struct image_part state(int32_t leader, int32_t epoch, int32_t partition_epoch)
{
    return (struct image_part){ .leader = leader,
                                .leader_epoch = epoch,
                                .partition_epoch = partition_epoch,
                                .replicas = IDS_OF(mine),
                                .isr = IDS_OF(mine) };
}

/* To the image, and to the partitions when they are to hear of it. */
static enum err change(struct image_delta delta, bool tell)
{
    delta.controller_epoch = 1;
    delta.version = image_version(image) + 1;
    struct image *next = image_apply(image, &delta);
    image_unref(&image);
    image = next;
    if (!tell)
        return ERR_OK;
    parts_result_fini(&result);
    parts_apply(parts, image, &delta, clock_mono_ms(), &result);
    return result.err;
}

static enum err tell_image(void)
{
    parts_result_fini(&result);
    parts_apply(parts, image, NULL, clock_mono_ms(), &result);
    return result.err;
}

static void set_as(const char *name, int id, const struct image_part *part, bool tell)
{
    struct image_topic_change topic = {
        .id = id_of(id), .name = str_of(name), .n_parts = 1, .parts = part
    };

    ck_assert_int_eq(change((struct image_delta){ .n_topics = 1, .topics = &topic }, tell), ERR_OK);
}

static void set(const char *name, int id, struct image_part part)
{
    set_as(name, id, &part, true);
}

static void drop_topic(int id, bool tell)
{
    struct uuid gone = id_of(id);

    ck_assert_int_eq(change((struct image_delta){ .n_topics_gone = 1, .topics_gone = &gone }, tell),
                     ERR_OK);
}

static struct image_tombstone stone_of(const char *name, int id, int32_t broker, int32_t epoch)
{
    return (struct image_tombstone){
        .broker = broker, .topic_id = id_of(id), .topic = str_of(name), .leader_epoch = epoch
    };
}

static void bury(struct image_tombstone stone, bool tell)
{
    ck_assert_int_eq(change((struct image_delta){ .n_tombstones = 1, .tombstones = &stone }, tell),
                     ERR_OK);
}

static bool find(const char *name, struct part_info *info)
{
    const struct parts_table *table = parts_get_table(parts);
    struct part *part = parts_find(table, str_of(name), 0);

    if (part != NULL && info != NULL)
        part_get_info(part, info);
    parts_put_table(&table);
    return part != NULL;
}

static bool has_log(const char *name)
{
    struct log *log = logs_get_ref(logs, name, 0);

    if (log == NULL)
        return false;
    log_unref(&log);
    return true;
}

/* Folders whose name ends so. */
static int folders(const char *suffix)
{
    DIR *folder = opendir(dir);
    struct dirent *entry;
    int n = 0;

    while ((entry = readdir(folder)) != NULL) {
        size_t len = strlen(entry->d_name);

        n += len > strlen(suffix) && strcmp(entry->d_name + len - strlen(suffix), suffix) == 0;
    }
    closedir(folder);
    return n;
}

static enum err try_produce(const char *name, int count)
{
    const struct parts_table *table = parts_get_table(parts);
    struct part *part = parts_find(table, str_of(name), 0);
    struct buf buf = BUF_EMPTY;
    struct validated batch;
    struct validate_conf conf;
    struct log_appended appended;
    struct arena arena;
    int32_t epoch;

    arena_init(&arena, SIZE_MAX);
    kit_batch_put(&buf, &(struct kit_batch){ .count = count });
    part_get_validate_conf(part, &conf);
    ck_assert_int_eq(
        validate_batches(buf.bytes, buf.len, 9, &conf, clock_wall_ms(), &arena, &batch), ERR_OK);
    enum err err = part_append(part, &batch, 1, LOG_FROM_CLIENT, clock_wall_ms(), clock_mono_ms(),
                               &appended, &epoch);
    buf_fini(&buf);
    arena_fini(&arena);
    parts_put_table(&table);
    return err;
}

static void produce(const char *name, int count)
{
    ck_assert_int_eq(try_produce(name, count), ERR_OK);
}

START_TEST(roles_come_from_image_and_deltas)
{
    struct part_info info;
    struct image_part foreign = state(2, 0, 0);
    const struct parts_table *table;

    foreign.replicas = foreign.isr = IDS_OF(others);
    set("a", 0, state(1, 0, 0));
    set("b", 1, state(2, 0, 0));
    set("c", 2, foreign);
    ck_assert_uint_eq(result.failures_len, 0);
    ck_assert(find("a", &info));
    ck_assert_int_eq(info.role, PART_LEADER);
    ck_assert(find("b", &info));
    ck_assert_int_eq(info.role, PART_FOLLOWER);
    ck_assert(!find("c", NULL) && !has_log("c"));
    table = parts_get_table(parts);
    ck_assert_uint_eq(parts_count(table), 2);
    ck_assert_ptr_eq(parts_find_id(table, id_of(0), 0), parts_find(table, STR("a"), 0));
    ck_assert_ptr_null(parts_find(table, STR("a"), 1));
    parts_put_table(&table);
    set("b", 1, state(1, 1, 1));
    ck_assert(find("b", &info));
    ck_assert_int_eq(info.role, PART_LEADER);
    struct parts_info sums;
    parts_get_info(parts, &sums);
    ck_assert_uint_eq(sums.leading, 2);
    ck_assert_int_eq(tell_image(), ERR_OK);
    ck_assert_uint_eq(result.failures_len, 0);
}
END_TEST

START_TEST(older_states_are_refused_and_reported)
{
    struct image_part old = state(2, 3, 3);
    struct part_info info;

    set("a", 0, state(1, 5, 7));
    struct image_topic_change topic = {
        .id = id_of(0), .name = STR("a"), .n_parts = 1, .parts = &old
    };
    struct image_delta delta = {
        .controller_epoch = 2, .version = 1, .n_topics = 1, .topics = &topic
    };
    /* A controller that lost its memory: its image knows only the older state. */
    struct image *wrong = image_new(2, 1, 3002, STR("kit"));
    image_add(wrong, &delta);
    parts_result_fini(&result);
    parts_apply(parts, wrong, NULL, clock_mono_ms(), &result);
    ck_assert_int_eq(result.err, ERR_OK);
    ck_assert_uint_eq(result.failures_len, 1);
    ck_assert_int_eq(result.failures[0].err, ERR_STALE_CONTROLLER_EPOCH);
    ck_assert_int_eq(result.failures[0].leader_epoch, 5);
    ck_assert_int_eq(result.failures[0].partition_epoch, 7);
    ck_assert(find("a", &info));
    ck_assert_int_eq(info.role, PART_LEADER);
    image_unref(&wrong);
}
END_TEST

START_TEST(files_go_on_a_tombstone)
{
    set("a", 0, state(1, 0, 0));
    produce("a", 3);
    drop_topic(0, true);
    ck_assert(!find("a", NULL));
    ck_assert(has_log("a")); /* not by absence */
    bury(stone_of("a", 0, 2, 1), true);
    ck_assert(has_log("a")); /* of another broker */
    ck_assert_uint_eq(result.deleted_len, 0);
    bury(stone_of("a", 0, 1, 1), true);
    ck_assert(!has_log("a"));
    ck_assert_uint_eq(result.deleted_len, 1);
    bury(stone_of("a", 0, 1, 1), true); /* once more: it is gone, and that is told again */
    ck_assert_uint_eq(result.deleted_len, 1);
    ck_assert_uint_eq(result.failures_len, 0);
}
END_TEST

START_TEST(a_tombstone_waits_for_an_absent_broker)
{
    set("a", 0, state(1, 0, 0));
    stop();
    drop_topic(0, false);
    bury(stone_of("a", 0, 1, 1), false);
    start();
    ck_assert(has_log("a"));
    ck_assert_int_eq(tell_image(), ERR_OK);
    ck_assert(!has_log("a"));
    ck_assert_int_eq(folders("-stray"), 0);
    ck_assert_uint_eq(result.deleted_len, 1);
}
END_TEST

START_TEST(an_old_tombstone_deletes_nothing)
{
    set("a", 0, state(1, 5, 0));
    produce("a", 1);
    bury(stone_of("a", 0, 1, 4), true);
    ck_assert(has_log("a")); /* it is assigned */
    drop_topic(0, true);
    bury(stone_of("a", 0, 1, 4), true);
    ck_assert(has_log("a"));
    ck_assert_uint_eq(result.deleted_len, 0);
    ck_assert_uint_eq(result.failures_len, 1);
    ck_assert_int_eq(result.failures[0].err, ERR_FENCED_LEADER_EPOCH);
    bury(stone_of("a", 7, 1, 9), true); /* another topic that had this name */
    ck_assert(has_log("a"));
    bury(stone_of("a", 0, 1, 5), true);
    ck_assert(!has_log("a"));
}
END_TEST

START_TEST(another_topic_of_the_same_name_begins_empty)
{
    struct part_info info;

    set("a", 0, state(1, 0, 0));
    produce("a", 3);
    stop();
    drop_topic(0, false);
    struct image_part part = state(1, 0, 0);
    set_as("a", 9, &part, false);
    start();
    ck_assert_int_eq(tell_image(), ERR_OK);
    ck_assert_uint_eq(result.failures_len, 0);
    ck_assert(find("a", &info));
    ck_assert_int_eq(info.leo, 0);
    ck_assert_int_eq(folders("-stray"), 1);
}
END_TEST

START_TEST(the_same_by_deltas_alone)
{
    struct part_info info;

    set("a", 0, state(1, 0, 0));
    produce("a", 3);
    drop_topic(0, true);
    set("a", 9, state(1, 0, 0));
    ck_assert_uint_eq(result.failures_len, 0);
    ck_assert(find("a", &info));
    ck_assert_int_eq(info.leo, 0);
    ck_assert_int_eq(folders("-stray"), 1);
}
END_TEST

/* When much is known at once, in one delta: nothing of the old one is kept as a stray. */
START_TEST(the_same_by_one_delta_with_a_tombstone)
{
    struct part_info info;
    struct image_part part = state(1, 0, 0);
    struct uuid gone = id_of(0);
    struct image_tombstone stone = stone_of("a", 0, 1, 0);
    struct image_topic_change topic = {
        .id = id_of(9), .name = STR("a"), .n_parts = 1, .parts = &part
    };

    set("a", 0, state(1, 0, 0));
    produce("a", 3);
    ck_assert_int_eq(change((struct image_delta){ .n_topics_gone = 1,
                                                  .topics_gone = &gone,
                                                  .n_topics = 1,
                                                  .topics = &topic,
                                                  .n_tombstones = 1,
                                                  .tombstones = &stone },
                            true),
                     ERR_OK);
    ck_assert_uint_eq(result.failures_len, 0);
    ck_assert_uint_eq(result.deleted_len, 1);
    ck_assert(find("a", &info));
    ck_assert_int_eq(info.leo, 0);
    ck_assert_int_eq(folders("-stray"), 0);
    produce("a", 2);
    bury(stone_of("a", 9, 1, 0), true); /* assigned */
    ck_assert(find("a", &info));
    ck_assert_int_eq(info.leo, 2);
}
END_TEST

/* Syncs of making a topic of many partitions anew, whose former logs the files name or do not. */
static uint64_t syncs_of_making_anew(bool is_saved)
{
    static const char *const dirs[] = { "/d" };
    struct fake_disk *fake = fake_disk_new();
    struct image_part many[30];

    stop();
    disk = fake_disk_base(fake);
    start_on(dirs, 1);
    for (int i = 0; i < (int)ARRAY_LEN(many); i++) {
        many[i] = state(1, 0, 0);
        many[i].index = i;
    }
    struct image_topic_change topic = {
        .id = id_of(0), .name = STR("a"), .n_parts = ARRAY_LEN(many), .parts = many
    };
    struct image_delta delta = { .n_topics = 1, .topics = &topic };

    ck_assert_int_eq(change(delta, true), ERR_OK);
    if (is_saved) {
        logs_checkpoint(logs);
        ck_assert_int_eq(tell_image(), ERR_OK);
        parts_checkpoint_hw(parts);
    }
    drop_topic(0, true);
    topic.id = id_of(9);
    uint64_t before = fake_disk_syncs(fake);

    ck_assert_int_eq(change(delta, true), ERR_OK);
    ck_assert_uint_eq(result.failures_len, 0);
    uint64_t syncs = fake_disk_syncs(fake) - before;

    drop_topic(9, false);
    stop();
    fake_disk_free(&fake);
    disk = NULL;
    start();
    return syncs;
}

START_TEST(many_made_anew_have_the_files_written_once)
{
    uint64_t unnamed = syncs_of_making_anew(false);

    ck_assert_uint_le(syncs_of_making_anew(true), unnamed + 4);
}
END_TEST

START_TEST(a_few_strays_are_parked)
{
    set("a", 0, state(1, 0, 0));
    set("b", 1, state(1, 0, 0));
    stop();
    drop_topic(0, false);
    start();
    ck_assert_int_eq(tell_image(), ERR_OK);
    ck_assert(!has_log("a") && has_log("b") && find("b", NULL));
    ck_assert_int_eq(folders("-stray"), 1);
    struct parts_info info;
    parts_get_info(parts, &info);
    ck_assert_uint_eq(info.strays, 1);
}
END_TEST

START_TEST(a_wiped_zookeeper_is_not_believed)
{
    char name[16];

    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "w%d", i);
        set(name, i, state(1, 0, 0));
    }
    struct image *empty = image_new(9, 1, 3001, STR("kit"));
    parts_result_fini(&result);
    parts_apply(parts, empty, NULL, clock_mono_ms(), &result);
    ck_assert_int_eq(result.err, ERR_INCONSISTENT_CLUSTER_ID);
    image_unref(&empty);
    ck_assert_int_eq(folders("-stray"), 0);
    ck_assert(find("w0", NULL) && find("w29", NULL));
    stop(); /* and not by one that has just started either */
    start();
    empty = image_new(9, 1, 3001, STR("kit"));
    parts_result_fini(&result);
    parts_apply(parts, empty, NULL, clock_mono_ms(), &result);
    ck_assert_int_eq(result.err, ERR_INCONSISTENT_CLUSTER_ID);
    image_unref(&empty);
    ck_assert_int_eq(folders("-stray"), 0);
    ck_assert(has_log("w0"));
}
END_TEST

START_TEST(who_is_no_replica_any_more_stops_and_keeps_its_files)
{
    struct image_part part = state(2, 1, 1);

    set("a", 0, state(1, 0, 0));
    part.replicas = part.isr = IDS_OF(others);
    set("a", 0, part);
    ck_assert(!find("a", NULL));
    ck_assert(has_log("a"));
    set("a", 0, state(1, 2, 2)); /* and is one again */
    ck_assert(find("a", NULL));
}
END_TEST

START_TEST(settings_reach_the_partition)
{
    const struct image_setting two[] = { { STR("min.insync.replicas"), STR("2") } };
    struct image_config config = {
        .type = STR("topics"), .name = STR("a"), .n_settings = 1, .settings = two
    };
    struct image_part alone = state(1, 0, 0);
    struct part_info info;

    alone.isr = (struct ids){ .at = mine, .n = 1 };
    set("a", 0, alone);
    ck_assert(find("a", &info) && !info.is_under_min_isr);
    ck_assert_int_eq(change((struct image_delta){ .n_configs = 1, .configs = &config }, true),
                     ERR_OK);
    ck_assert(find("a", &info) && info.is_under_min_isr);
    struct parts_info sums;
    parts_get_info(parts, &sums);
    ck_assert_uint_eq(sums.under_min_isr, 1);
    ck_assert_uint_eq(sums.under_replicated, 1);
}
END_TEST

/* It was held up while another was elected, and hears of that and of a smaller min.insync.replicas
 * at once: what it appended alone must not become committed by the way. */
START_TEST(a_smaller_min_isr_is_not_for_the_role_that_is_lost)
{
    struct image_setting min = { STR("min.insync.replicas"), STR("2") };
    struct image_config config = {
        .type = STR("topics"), .name = STR("a"), .n_settings = 1, .settings = &min
    };
    struct image_part alone = state(1, 1, 1), lost = state(2, 2, 2);
    struct part_info info;

    alone.isr = (struct ids){ .at = mine, .n = 1 };
    lost.isr = (struct ids){ .at = &mine[1], .n = 1 };
    change((struct image_delta){ .n_configs = 1, .configs = &config }, true);
    set("a", 0, alone);
    produce("a", 3);
    ck_assert(find("a", &info));
    ck_assert_int_eq(info.hw, 0);
    set_as("a", 0, &lost, false);
    min.value = STR("1");
    change((struct image_delta){ .n_configs = 1, .configs = &config }, false);
    ck_assert_int_eq(tell_image(), ERR_OK);
    ck_assert(find("a", &info));
    ck_assert_int_eq(info.role, PART_FOLLOWER);
    ck_assert_int_eq(info.hw, 0);
    ck_assert_int_eq(info.min_isr, 1);
}
END_TEST

START_TEST(high_watermarks_survive_a_restart)
{
    struct image_part alone = state(1, 0, 0);
    struct part_info info;

    alone.isr = (struct ids){ .at = mine, .n = 1 };
    parts_checkpoint_hw(parts); /* nothing is known yet: nothing is written */
    set("a", 0, alone);
    produce("a", 7);
    ck_assert(find("a", &info));
    ck_assert_int_eq(info.hw, 7);
    stop();
    start();
    parts_checkpoint_hw(parts); /* must not replace the file by an empty one */
    stop();
    start();
    struct image_part led = state(2, 1, 1);
    set_as("a", 0, &led, false);
    ck_assert_int_eq(tell_image(), ERR_OK);
    ck_assert(find("a", &info));
    ck_assert_int_eq(info.role, PART_FOLLOWER);
    ck_assert_int_eq(info.hw, 7);
}
END_TEST

START_TEST(a_table_outlives_what_it_shows)
{
    set("a", 0, state(1, 0, 0));
    const struct parts_table *table = parts_get_table(parts);
    drop_topic(0, true);
    bury(stone_of("a", 0, 1, 1), true);
    ck_assert_uint_eq(parts_count(table), 1);
    ck_assert_str_eq(part_name(parts_at(table, 0)), "a-0");
    parts_put_table(&table);
}
END_TEST

static enum err why_not_acked(size_t at, const struct parts_table *table)
{
    enum err err;

    ck_assert_int_eq(part_check_acked(parts_at(table, at), 100, 0, &err), PART_ACK_FAILED);
    return err;
}

START_TEST(who_waits_is_told_whether_the_topic_is_gone_or_only_we)
{
    struct image_part moved = state(2, 1, 1);

    moved.replicas = moved.isr = IDS_OF(others);
    set("a", 0, state(1, 0, 0));
    set("b", 1, state(1, 0, 0));
    const struct parts_table *table = parts_get_table(parts);
    drop_topic(0, true);
    set("b", 1, moved);
    ck_assert_str_eq(part_name(parts_at(table, 0)), "a-0");
    ck_assert_int_eq(why_not_acked(0, table), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(why_not_acked(1, table), ERR_NOT_LEADER_OR_FOLLOWER);
    parts_put_table(&table);
}
END_TEST

START_TEST(lag_and_proposals_follow_the_clock)
{
    int64_t now_ms = clock_mono_ms();

    set("a", 0, state(1, 0, 0));
    produce("a", 1);
    parts_tick(parts, now_ms + 10);
    ck_assert_int_eq(proposals, 0);
    parts_tick(parts, now_ms + 40000);
    ck_assert_int_eq(proposals, 1);
    parts_resend(parts, now_ms + 40001);
    ck_assert_int_eq(proposals, 2);
}
END_TEST

static void fetch_as_2(const char *name, int64_t offset)
{
    const struct parts_table *table = parts_get_table(parts);
    struct part_read read = { .offset = offset,
                              .max_bytes = 1 << 20,
                              .current_leader_epoch = -1,
                              .isolation = PART_READ_LOG_END,
                              .replica = 2,
                              .replica_epoch = -1,
                              .last_fetched_epoch = -1,
                              .note_follower = true };

    ck_assert_int_eq(part_read(parts_find(table, str_of(name), 0), &read, clock_mono_ms()), ERR_OK);
    parts_put_table(&table);
}

START_TEST(ticks_are_slow_while_nobody_waits_for_time_to_pass)
{
    int64_t now_ms = clock_mono_ms();

    int64_t calm_ms = parts_tick(parts, now_ms);
    set("a", 0, state(1, 0, 0));
    set("b", 1, state(2, 0, 0));
    int64_t busy_ms = parts_tick(parts, now_ms);
    ck_assert_int_lt(busy_ms, calm_ms);
    ck_assert_int_eq(parts_tick(parts, now_ms), busy_ms); /* the follower has yet to fetch */
    fetch_as_2("a", 0);
    parts_tick(parts, now_ms);
    ck_assert_int_eq(parts_tick(parts, now_ms), calm_ms);
    produce("a", 1);
    ck_assert_int_eq(parts_tick(parts, now_ms), busy_ms);
    drop_topic(0, true);
    parts_tick(parts, now_ms);
    ck_assert_int_eq(parts_tick(parts, now_ms), calm_ms); /* it is gone */
    ck_assert_int_eq(proposals, 0);
}
END_TEST

START_TEST(a_failed_directory_is_answered_with_a_storage_error)
{
    struct part_info info;

    set("a", 0, state(1, 0, 0));
    produce("a", 3);
    logs_fail_dir(logs, dir);
    parts_on_dir_failed(parts, dir);
    ck_assert(find("a", &info));
    ck_assert_int_eq(info.role, PART_IDLE);
    parts_tick(parts, clock_mono_ms() + 60000); /* nobody proposes an ISR any more */
    ck_assert_int_eq(proposals, 0);
    set("a", 0, state(2, 1, 1)); /* others lead now; we do not follow */
    ck_assert_uint_eq(result.failures_len, 1);
    ck_assert_int_eq(result.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
    ck_assert(find("a", &info));
    ck_assert_int_eq(info.role, PART_IDLE);
    set("b", 1, state(1, 0, 0));
    ck_assert_int_eq(result.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
    ck_assert(!find("b", NULL));
    drop_topic(0, true);
    bury(stone_of("a", 0, 1, 9), true); /* the files are still there and may come back */
    ck_assert_uint_eq(result.deleted_len, 0);
    ck_assert_int_eq(result.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
}
END_TEST

/* KAFKA-10314, and what the first state of a partition does not say: it may be years old, and the
 * records on the directory that cannot be read. */
START_TEST(a_log_is_not_made_anew_while_it_may_lie_on_a_failed_directory)
{
    const char *dirs[] = { unit_temp_dir(), unit_temp_dir() };
    struct image_part part = state(2, 0, 0);

    stop();
    start_on(dirs, 2);
    logs_fail_dir(logs, dirs[1]);
    set_as("a", 0, &part, false);
    tell_image(); /* as a new process hears of it */
    ck_assert_uint_eq(result.failures_len, 1);
    ck_assert_int_eq(result.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
    ck_assert(!find("a", NULL));
    part.offline = (struct ids){ .at = mine, .n = 1 };
    set("a", 0, part); /* so that was heard; it is no newer for that */
    ck_assert(!find("a", NULL));
    set("b", 1, state(2, 0, 0)); /* is being created */
    ck_assert_uint_eq(result.failures_len, 0);
    ck_assert(find("b", NULL));
    part = state(2, 3, 7);
    part.adding = (struct ids){ .at = mine, .n = 1 };
    part.isr = (struct ids){ .at = &mine[1], .n = 1 };
    set_as("c", 2, &part, false);
    tell_image(); /* it may have caught up before */
    ck_assert_int_eq(result.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
    part.partition_epoch = 8;
    set("c", 2, part);
    ck_assert_int_eq(result.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
    part.partition_epoch = 9;
    part.replicas = IDS_OF(others);
    part.adding = IDS_NONE;
    set("c", 2, part);
    part.replicas = IDS_OF(mine);
    part.partition_epoch = 10;
    set("c", 2, part); /* is added now */
    ck_assert_uint_eq(result.failures_len, 0);
    ck_assert(find("c", NULL));
}
END_TEST

/* What a full disk has no room for is told as failed, so that others lead, tried again, and told
 * as served when there is. */
START_TEST(what_found_no_room_is_opened_when_there_is_some)
{
    struct fake_disk *fake = fake_disk_new();
    const char *dirs[] = { "/d" };
    struct image_part part = state(1, 0, 0);
    struct part_info info;

    stop();
    disk = fake_disk_base(fake);
    start_on(dirs, 1);
    fake_disk_set_room(fake, 0);
    set("a", 0, part);
    set("b", 1, part);
    ck_assert_uint_eq(result.failures_len, 1);
    ck_assert_int_eq(result.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
    ck_assert(!find("a", NULL) && !find("b", NULL) && !logs_any_offline(logs));
    part = state(2, 1, 1); /* as it is heard back: another one leads */
    part.offline = (struct ids){ .at = mine, .n = 1 };
    set("a", 0, part);
    drop_topic(1, true);
    parts_result_fini(&result);
    parts_retry(parts, clock_mono_ms(), &result);
    ck_assert_uint_eq(result.failures_len, 0); /* still none, which is known */
    fake_disk_set_room(fake, INT64_MAX);
    parts_result_fini(&result);
    parts_retry(parts, clock_mono_ms(), &result);
    ck_assert_uint_eq(result.failures_len, 1);
    ck_assert_int_eq(result.failures[0].err, ERR_OK);
    ck_assert(find("a", &info));
    ck_assert_int_eq(info.role, PART_FOLLOWER);
    ck_assert_int_eq(info.leader_epoch, 1);
    ck_assert(!find("b", NULL) && !has_log("b"));
    parts_result_fini(&result);
    parts_retry(parts, clock_mono_ms(), &result);
    ck_assert_uint_eq(result.failures_len, 0);
    set("a", 0, part); /* the word of it was lost with a stream: it is said again */
    ck_assert_uint_eq(result.failures_len, 1);
    ck_assert_int_eq(result.failures[0].err, ERR_OK);
    tell_image();
    ck_assert_uint_eq(result.failures_len, 1);
    ck_assert_int_eq(result.failures[0].err, ERR_OK);
    part.offline = IDS_NONE;
    set("a", 0, part);
    ck_assert_uint_eq(result.failures_len, 0);
    stop();
    fake_disk_free(&fake);
    disk = NULL;
    start();
}
END_TEST

START_TEST(a_leader_that_finds_no_room_would_rather_not_lead)
{
    struct fake_disk *fake = fake_disk_new();
    const char *dirs[] = { "/d" };

    stop();
    disk = fake_disk_base(fake);
    start_on(dirs, 1);
    set("a", 0, state(1, 0, 0));
    set("b", 1, state(1, 0, 0));
    produce("a", 3);
    fake_disk_set_room(fake, 0);
    ck_assert_int_eq(try_produce("b", 3), ERR_NO_SPACE);
    parts_result_fini(&result);
    parts_tell_full(parts, &result);
    ck_assert_uint_eq(result.failures_len, 1);
    ck_assert(uuid_eq(result.failures[0].topic_id, id_of(1)));
    ck_assert(result.failures[0].yields);
    ck_assert_int_eq(result.failures[0].err, ERR_OK);
    parts_result_fini(&result);
    parts_tell_full(parts, &result);
    ck_assert_uint_eq(result.failures_len, 0); /* nobody has tried since */
    ck_assert_int_eq(try_produce("b", 3), ERR_NO_SPACE);
    set("b", 1, state(2, 1, 1)); /* it has been relieved */
    parts_result_fini(&result);
    parts_tell_full(parts, &result);
    ck_assert_uint_eq(result.failures_len, 0);
    fake_disk_set_room(fake, INT64_MAX);
    stop();
    fake_disk_free(&fake);
    disk = NULL;
    start();
}
END_TEST

#define LONG_MS 300

static int64_t busy_ms[2]; /* while the first partition is opened, and the second one */
static int n_busy;

static void be_long(void)
{
    if (n_busy == 2)
        return;
    do
        busy_ms[n_busy] = reactor_busy_ms(reactor_current());
    while (n_busy == 0 && busy_ms[0] < LONG_MS);
    n_busy++;
}

static void make_two(void *arg)
{
    struct image_part part = state(1, 0, 0);
    struct image_topic_change topics[] = {
        { .id = id_of(0), .name = STR("a"), .n_parts = 1, .parts = &part },
        { .id = id_of(1), .name = STR("b"), .n_parts = 1, .parts = &part },
    };

    (void)arg;
    ck_assert_int_eq(change((struct image_delta){ .n_topics = 2, .topics = topics }, true), ERR_OK);
}

/* So its thread does not seem stuck, and the broker is not fenced for it. */
START_TEST(a_long_change_gets_on_with_each_partition)
{
    struct reactor *reactor = reactor_new();

    on_conf = be_long;
    reactor_start(reactor, T_CONTROL, -1);
    reactor_call(reactor, make_two, NULL);
    reactor_stop(reactor);
    reactor_free(&reactor);
    on_conf = NULL;
    ck_assert_int_eq(n_busy, 2);
    ck_assert_int_lt(busy_ms[1], busy_ms[0]);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("parts");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, roles_come_from_image_and_deltas);
    tcase_add_test(tc, older_states_are_refused_and_reported);
    tcase_add_test(tc, files_go_on_a_tombstone);
    tcase_add_test(tc, a_tombstone_waits_for_an_absent_broker);
    tcase_add_test(tc, an_old_tombstone_deletes_nothing);
    tcase_add_test(tc, another_topic_of_the_same_name_begins_empty);
    tcase_add_test(tc, the_same_by_deltas_alone);
    tcase_add_test(tc, the_same_by_one_delta_with_a_tombstone);
    tcase_add_test(tc, what_found_no_room_is_opened_when_there_is_some);
    tcase_add_test(tc, a_leader_that_finds_no_room_would_rather_not_lead);
    tcase_add_test(tc, many_made_anew_have_the_files_written_once);
    tcase_add_test(tc, a_few_strays_are_parked);
    tcase_add_test(tc, a_wiped_zookeeper_is_not_believed);
    tcase_add_test(tc, who_is_no_replica_any_more_stops_and_keeps_its_files);
    tcase_add_test(tc, settings_reach_the_partition);
    tcase_add_test(tc, a_smaller_min_isr_is_not_for_the_role_that_is_lost);
    tcase_add_test(tc, high_watermarks_survive_a_restart);
    tcase_add_test(tc, a_table_outlives_what_it_shows);
    tcase_add_test(tc, who_waits_is_told_whether_the_topic_is_gone_or_only_we);
    tcase_add_test(tc, lag_and_proposals_follow_the_clock);
    tcase_add_test(tc, ticks_are_slow_while_nobody_waits_for_time_to_pass);
    tcase_add_test(tc, a_failed_directory_is_answered_with_a_storage_error);
    tcase_add_test(tc, a_log_is_not_made_anew_while_it_may_lie_on_a_failed_directory);
    tcase_add_test(tc, a_long_change_gets_on_with_each_partition);
    return unit_run(tc);
}
