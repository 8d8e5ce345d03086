/*
 * part_conf: every setting of a topic reaches the place where it counts, with the older ones behind
 * the newer.
 */
#include "broker/replica/part_conf.h"

#include <check.h>

#include "tests/kit/unit.h"

static struct topic_conf topic;
static struct part_conf part;

static void set(const char *name, const char *value)
{
    ck_assert_int_eq(topic_conf_set(&topic, str_of(name), str_of(value), NULL), ERR_OK);
    part_conf_from(&topic, 86400000, &part);
}

static void setup(void)
{
    topic_conf_init(&topic);
    part_conf_from(&topic, 86400000, &part);
}

START_TEST(defaults_are_the_logs_own)
{
    struct log_conf log = LOG_CONF_DEFAULT;

    ck_assert_int_eq(part.log.segment_bytes, log.segment_bytes);
    ck_assert_int_eq(part.log.segment_ms, log.segment_ms);
    ck_assert_int_eq(part.log.index_max_bytes, log.index_max_bytes);
    ck_assert_int_eq(part.log.index_interval_bytes, log.index_interval_bytes);
    ck_assert_int_eq(part.log.retention_ms, log.retention_ms);
    ck_assert_int_eq(part.log.retention_bytes, log.retention_bytes);
    ck_assert_int_eq(part.log.flush_messages, log.flush_messages);
    ck_assert_int_eq(part.log.flush_ms, log.flush_ms);
    ck_assert_int_eq(part.log.max_message_bytes, log.max_message_bytes);
    ck_assert_int_eq(part.log.file_delete_delay_ms, log.file_delete_delay_ms);
    ck_assert_int_eq(part.log.producer_expiration_ms, log.producer_expiration_ms);
    ck_assert_int_eq(part.log.delete_retention_ms, log.delete_retention_ms);
    ck_assert_int_eq(part.log.min_compaction_lag_ms, log.min_compaction_lag_ms);
    ck_assert_int_eq(part.log.max_compaction_lag_ms, log.max_compaction_lag_ms);
    ck_assert_double_eq(part.log.min_cleanable_dirty_ratio, log.min_cleanable_dirty_ratio);
    ck_assert(part.log.cleanup_delete && !part.log.cleanup_compact);
    ck_assert_int_eq(part.min_isr, 1);
    ck_assert_int_eq(part.validate.max_message_bytes, 1048588);
    ck_assert_int_eq(part.validate.compression, VALIDATE_KEEP_CODEC);
    ck_assert_int_eq(part.validate.before_max_ms, INT64_MAX);
    ck_assert_int_eq(part.validate.after_max_ms, INT64_MAX);
}
END_TEST

START_TEST(one_setting_may_count_twice)
{
    set("cleanup.policy", "compact");
    ck_assert(part.log.cleanup_compact && !part.log.cleanup_delete && part.validate.compacted);
    set("message.timestamp.type", "LogAppendTime");
    ck_assert(part.log.log_append_time && part.validate.append_time);
    set("max.message.bytes", "5000");
    ck_assert_int_eq(part.log.max_message_bytes, 5000);
    ck_assert_int_eq(part.validate.max_message_bytes, 5000);
    set("min.insync.replicas", "2");
    ck_assert_int_eq(part.min_isr, 2);
}
END_TEST

START_TEST(every_codec_by_its_name)
{
    set("compression.type", "uncompressed");
    ck_assert_int_eq(part.validate.compression, CODEC_NONE);
    set("compression.type", "gzip");
    ck_assert_int_eq(part.validate.compression, CODEC_GZIP);
    set("compression.type", "snappy");
    ck_assert_int_eq(part.validate.compression, CODEC_SNAPPY);
    set("compression.type", "lz4");
    ck_assert_int_eq(part.validate.compression, CODEC_LZ4);
    set("compression.type", "zstd");
    ck_assert_int_eq(part.validate.compression, CODEC_ZSTD);
    set("compression.zstd.level", "19");
    ck_assert_int_eq(part.validate.zstd_level, 19);
}
END_TEST

START_TEST(the_older_bound_on_times_holds_behind_the_newer)
{
    set("message.timestamp.difference.max.ms", "100");
    ck_assert_int_eq(part.validate.before_max_ms, 100);
    ck_assert_int_eq(part.validate.after_max_ms, 100);
    set("message.timestamp.after.max.ms", "7");
    ck_assert_int_eq(part.validate.before_max_ms, 100);
    ck_assert_int_eq(part.validate.after_max_ms, 7);
}
END_TEST

START_TEST(the_brokers_file_reaches_a_log_before_there_is_an_image)
{
    const char *const overrides[] = { "zookeeper.connect=z:1", "log.segment.bytes=1000",
                                      "log.retention.hours=2", "producer.id.expiration.ms=5" };
    struct broker_conf broker;
    struct conf *conf;
    struct log_conf log;

    ck_assert_int_eq(broker_conf_load(NULL, 4, overrides, &broker, &conf), ERR_OK);
    struct settings *settings = settings_new(conf, &broker, 1);
    part_conf_of_log(settings, "t", &log);
    ck_assert_int_eq(log.segment_bytes, 1000);
    ck_assert_int_eq(log.retention_ms, 7200000);
    ck_assert_int_eq(log.producer_expiration_ms, 5);
    settings_free(&settings);
    conf_free(&conf);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("part_conf");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, defaults_are_the_logs_own);
    tcase_add_test(tc, one_setting_may_count_twice);
    tcase_add_test(tc, every_codec_by_its_name);
    tcase_add_test(tc, the_older_bound_on_times_holds_behind_the_newer);
    tcase_add_test(tc, the_brokers_file_reaches_a_log_before_there_is_an_image);
    return unit_run(tc);
}
