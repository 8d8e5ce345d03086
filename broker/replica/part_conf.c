/*
 * Names and units change, and what was one setting splits in two; nothing is decided here.
 */
#include "broker/replica/part_conf.h"

static int codec_of(enum topic_compression compression)
{
    switch (compression) {
    case TOPIC_COMPRESSION_NONE:
        return CODEC_NONE;
    case TOPIC_COMPRESSION_ZSTD:
        return CODEC_ZSTD;
    case TOPIC_COMPRESSION_LZ4:
        return CODEC_LZ4;
    case TOPIC_COMPRESSION_SNAPPY:
        return CODEC_SNAPPY;
    case TOPIC_COMPRESSION_GZIP:
        return CODEC_GZIP;
    case TOPIC_COMPRESSION_PRODUCER:
        break;
    }
    return VALIDATE_KEEP_CODEC;
}

/* The older setting for both directions holds where the newer one is at its default (KIP-937). */
static int64_t bound(int64_t one_way, int64_t both_ways)
{
    return one_way != INT64_MAX ? one_way : both_ways;
}

void part_conf_from(const struct topic_conf *conf, int64_t producer_expiration_ms,
                    struct part_conf *out)
{
    bool compact = (conf->cleanup_policy & TOPIC_CLEANUP_COMPACT) != 0;
    bool append_time = conf->timestamp_type == TOPIC_LOG_APPEND_TIME;

    out->log = (struct log_conf){
        .segment_bytes = conf->segment_bytes,
        .segment_ms = conf->segment_ms,
        .segment_jitter_ms = conf->segment_jitter_ms,
        .index_max_bytes = conf->segment_index_bytes,
        .index_interval_bytes = conf->index_interval_bytes,
        .retention_ms = conf->retention_ms,
        .retention_bytes = conf->retention_bytes,
        .flush_messages = conf->flush_messages,
        .flush_ms = conf->flush_ms,
        .max_message_bytes = conf->max_message_bytes,
        .file_delete_delay_ms = conf->file_delete_delay_ms,
        .producer_expiration_ms = producer_expiration_ms,
        .delete_retention_ms = conf->delete_retention_ms,
        .min_compaction_lag_ms = conf->min_compaction_lag_ms,
        .max_compaction_lag_ms = conf->max_compaction_lag_ms,
        .min_cleanable_dirty_ratio = conf->min_cleanable_dirty_ratio,
        .preallocate = conf->preallocate,
        .cleanup_delete = (conf->cleanup_policy & TOPIC_CLEANUP_DELETE) != 0,
        .cleanup_compact = compact,
        .log_append_time = append_time,
        .unclean_leader_election = conf->unclean_leader_election,
        .down_conversion = conf->message_downconversion,
    };
    out->validate = VALIDATE_CONF_DEFAULT;
    out->validate.max_message_bytes = conf->max_message_bytes;
    out->validate.compression = codec_of((enum topic_compression)conf->compression_type);
    out->validate.gzip_level = conf->compression_gzip_level;
    out->validate.lz4_level = conf->compression_lz4_level;
    out->validate.zstd_level = conf->compression_zstd_level;
    out->validate.before_max_ms =
        bound(conf->timestamp_before_max_ms, conf->timestamp_difference_max_ms);
    out->validate.after_max_ms =
        bound(conf->timestamp_after_max_ms, conf->timestamp_difference_max_ms);
    out->validate.append_time = append_time;
    out->validate.compacted = compact;
    out->min_isr = conf->min_insync_replicas;
    out->throttled_leaders = conf->leader_throttled;
    out->throttled_followers = conf->follower_throttled;
}

void part_conf_of(void *ctx, const struct image *image, struct str topic, struct part_conf *out)
{
    const struct settings *settings = ctx;
    struct topic_conf conf;

    settings_topic_conf(settings, image, topic, &conf);
    part_conf_from(&conf, settings_number(settings, image, BROKER_CONF_producer_id_expiration_ms),
                   out);
}

void part_conf_of_log(void *ctx, const char *topic, struct log_conf *out)
{
    struct part_conf conf;

    part_conf_of(ctx, NULL, str_of(topic), &conf);
    *out = conf.log;
}
