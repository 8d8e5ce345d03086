#include "tests/kit/parts_kit.h"

#include <check.h>
#include <dirent.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/say.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

struct parts_kit pk;
const int32_t pk_mine[2] = { 1, 2 }, pk_others[2] = { 2, 3 };

static void conf_of(void *ctx, const struct image *from, struct str topic, struct part_conf *out)
{
    const struct image_config *config = image_config(from, STR("topics"), topic);
    int64_t value = pk.min_isr;

    (void)ctx;
    if (pk.on_conf != NULL)
        pk.on_conf();
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
    pk.proposals++;
}

void pk_start_on(const char *const *dirs, size_t count)
{
    ck_assert_int_eq(logs_open(&(struct logs_options){ .dirs = dirs,
                                                       .dir_count = count,
                                                       .broker_id = 1,
                                                       .recovery_threads = 1,
                                                       .disk = pk.disk,
                                                       .no_threads = true },
                               &pk.logs),
                     ERR_OK);
    pk.parts = parts_new(&(struct parts_conf){ .broker_id = 1,
                                               .lag_max_ms = 30000,
                                               .logs = pk.logs,
                                               .conf_of = conf_of,
                                               .propose = on_propose });
}

void pk_start(void)
{
    pk_start_on(&pk.dir, 1);
}

void pk_stop(void)
{
    parts_free(&pk.parts);
    logs_close(&pk.logs);
}

void pk_setup(void)
{
    say_setup(SAY_ERROR, SAY_TEXT, "test");
    pk.dir = unit_temp_dir();
    pk.min_isr = 1;
    pk.image = image_new(1, 1, 3001, STR("kit"));
    pk_start();
}

void pk_teardown(void)
{
    parts_result_fini(&pk.result);
    pk_stop();
    image_unref(&pk.image);
}

struct uuid pk_id_of(int n)
{
    struct uuid id = UUID_ZERO;

    id.bytes[0] = 0x70;
    id.bytes[14] = (uint8_t)(n >> 8);
    id.bytes[15] = (uint8_t)(n + 1);
    return id;
}

struct image_part pk_state(int32_t leader, int32_t epoch, int32_t partition_epoch)
{
    return (struct image_part){ .leader = leader,
                                .leader_epoch = epoch,
                                .partition_epoch = partition_epoch,
                                .replicas = IDS_OF(pk_mine),
                                .isr = IDS_OF(pk_mine) };
}

enum err pk_change(struct image_delta delta, bool tell)
{
    delta.controller_epoch = 1;
    delta.version = image_version(pk.image) + 1;
    struct image *next = image_apply(pk.image, &delta);
    image_unref(&pk.image);
    pk.image = next;
    if (!tell)
        return ERR_OK;
    parts_result_fini(&pk.result);
    parts_apply(pk.parts, pk.image, &delta, clock_mono_ms(), &pk.result);
    return pk.result.err;
}

enum err pk_tell_image(void)
{
    parts_result_fini(&pk.result);
    parts_apply(pk.parts, pk.image, NULL, clock_mono_ms(), &pk.result);
    return pk.result.err;
}

void pk_set_as(const char *name, int id, const struct image_part *part, bool tell)
{
    struct image_topic_change topic = {
        .id = pk_id_of(id), .name = str_of(name), .n_parts = 1, .parts = part
    };

    ck_assert_int_eq(pk_change((struct image_delta){ .n_topics = 1, .topics = &topic }, tell),
                     ERR_OK);
}

void pk_set(const char *name, int id, struct image_part part)
{
    pk_set_as(name, id, &part, true);
}

void pk_drop_topic(int id, bool tell)
{
    struct uuid gone = pk_id_of(id);

    ck_assert_int_eq(
        pk_change((struct image_delta){ .n_topics_gone = 1, .topics_gone = &gone }, tell), ERR_OK);
}

struct image_tombstone pk_stone_of(const char *name, int id, int32_t broker, int32_t epoch)
{
    return (struct image_tombstone){
        .broker = broker, .topic_id = pk_id_of(id), .topic = str_of(name), .leader_epoch = epoch
    };
}

void pk_bury(struct image_tombstone stone, bool tell)
{
    ck_assert_int_eq(
        pk_change((struct image_delta){ .n_tombstones = 1, .tombstones = &stone }, tell), ERR_OK);
}

bool pk_find(const char *name, struct part_info *info)
{
    const struct parts_table *table = parts_get_table(pk.parts);
    struct part *part = parts_find(table, str_of(name), 0);

    if (part != NULL && info != NULL)
        part_get_info(part, info);
    parts_put_table(&table);
    return part != NULL;
}

bool pk_has_log(const char *name)
{
    struct log *log = logs_get_ref(pk.logs, name, 0);

    if (log == NULL)
        return false;
    log_unref(&log);
    return true;
}

int pk_folders(const char *suffix)
{
    DIR *folder = opendir(pk.dir);
    struct dirent *entry;
    int n = 0;

    while ((entry = readdir(folder)) != NULL) {
        size_t len = strlen(entry->d_name);

        n += len > strlen(suffix) && strcmp(entry->d_name + len - strlen(suffix), suffix) == 0;
    }
    closedir(folder);
    return n;
}

enum err pk_try_produce(const char *name, int count)
{
    const struct parts_table *table = parts_get_table(pk.parts);
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

void pk_produce(const char *name, int count)
{
    ck_assert_int_eq(pk_try_produce(name, count), ERR_OK);
}
