#include "broker/pages.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "broker/replica/moves.h"
#include "broker/tables/broker_conf.h"
#include "broker/tables/stats.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/io/http.h"

struct pages {
    int32_t broker_id;          /* [I] as set; -1 until ZooKeeper has given one */
    struct pages_source source; /* [I] once it is ready */
    atomic_bool is_ready;       /* [a] */
    struct loading *loading;    /* [I] */
    struct http *http;          /* [I] */
};

static void gauge(FILE *out, const char *name, const char *help, int64_t value)
{
    stat_print_gauge(out, name, NULL, help, (double)value);
}

static void counter(FILE *out, const char *name, const char *help, uint64_t value)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s counter\n%s %" PRIu64 "\n", name, help, name, name,
            value);
}

static void show_conns(const struct pages_source *source, FILE *out)
{
    struct conns_totals sum = { 0 };
    int64_t open = 0;

    for (size_t i = 0; i < source->conns_len; i++) {
        struct conns_totals totals;

        conns_totals(source->conns[i], &totals);
        open += conns_count(source->conns[i]);
        sum.accepted += totals.accepted;
        sum.closed += totals.closed;
        sum.refused += totals.refused;
        sum.bytes_in += totals.bytes_in;
        sum.bytes_out += totals.bytes_out;
    }
    gauge(out, "kafka_server_socket_server_connection_count", "Open client connections.", open);
    counter(out, "moldau_connections_refused_total", "Connections closed for what they sent.",
            sum.refused);
    counter(out, "moldau_socket_in_bytes_total", "Bytes received from clients.", sum.bytes_in);
    counter(out, "moldau_socket_out_bytes_total", "Bytes sent to clients.", sum.bytes_out);
}

static void show_uncleanable(const struct pages_source *source, FILE *out)
{
    struct logs_dir_info info;
    int64_t logs;
    int64_t bytes;

    /* Of one name all values stand together. */
    for (int which = 0; which < 2; which++)
        for (size_t i = 0; i < logs_dir_count(source->logs); i++) {
            logs_dir_info(source->logs, i, &info);
            cleaner_get_uncleanable(source->cleaner, i, &logs, &bytes);
            char *label = xasprintf("logDirectory=\"%s\"", info.path);

            stat_print_gauge(out,
                             which == 0 ? "kafka_log_logcleanermanager_uncleanable_partitions_count"
                                        : "kafka_log_logcleanermanager_uncleanable_bytes",
                             label,
                             i > 0        ? NULL
                             : which == 0 ? "Logs that cannot be compacted and are left alone."
                                          : "What could be compacted in them.",
                             (double)(which == 0 ? logs : bytes));
            free(label);
        }
}

static void show_cleaner(const struct pages_source *source, FILE *out)
{
    struct cleaner_info info;

    if (source->cleaner == NULL)
        return;
    cleaner_get_info(source->cleaner, &info);
    gauge(out, "kafka_log_logcleaner_cleaner_recopy_percent",
          "Bytes written by bytes read in each thread's last compaction.",
          (int64_t)(100 * info.recopy));
    gauge(out, "kafka_log_logcleaner_deadthreadcount", "Compaction threads that have ended.", 0);
    gauge(out, "kafka_log_logcleaner_max_buffer_utilization_percent",
          "Memory for keys in use in each thread's last compaction, the most.",
          (int64_t)(100 * info.max_buffer_utilization));
    gauge(out, "kafka_log_logcleaner_max_clean_time_secs",
          "How long each thread's last compaction took, the longest.",
          (int64_t)info.max_clean_seconds);
    gauge(out, "kafka_log_logcleaner_max_compaction_delay_secs",
          "How far compaction is behind max.compaction.lag.ms.", (int64_t)info.max_delay_seconds);
    gauge(out, "kafka_log_logcleanermanager_max_dirty_percent",
          "Bytes not yet compacted of the dirtiest log.", (int64_t)(100 * info.max_dirty_ratio));
    gauge(out, "kafka_log_logcleanermanager_time_since_last_run_ms",
          "Since a thread looked for something to compact.", info.since_last_run_ms);
    gauge(out, "moldau_cleaner_running", "Logs being compacted.", info.cleaning);
    show_uncleanable(source, out);
}

static void show_groups(const struct pages_source *source, FILE *out)
{
#define MANAGER "kafka_coordinator_group_groupmetadatamanager_"
    struct groups_info info;

    groups_get_info(source->groups, &info);
    gauge(out, MANAGER "numgroups", "Consumer groups coordinated here.", (int64_t)info.groups);
    gauge(out, MANAGER "numoffsets", "Committed offsets of these.", (int64_t)info.offsets);
    gauge(out, MANAGER "numgroupspreparingrebalance", "Groups whose members are joining.",
          (int64_t)info.in_state[GROUP_PREPARING]);
    gauge(out, MANAGER "numgroupscompletingrebalance", "Groups that wait for an assignment.",
          (int64_t)info.in_state[GROUP_COMPLETING]);
    gauge(out, MANAGER "numgroupsstable", "Groups at work.", (int64_t)info.in_state[GROUP_STABLE]);
    gauge(out, MANAGER "numgroupsempty", "Groups without members.",
          (int64_t)info.in_state[GROUP_EMPTY]);
    gauge(out, MANAGER "numgroupsdead", "Groups that are gone.",
          (int64_t)info.in_state[GROUP_DEAD]);
    gauge(out, "moldau_group_partitions", "Partitions of __consumer_offsets coordinated here.",
          (int64_t)info.owned);
    gauge(out, "moldau_group_partitions_loading",
          "Partitions that are read back, to be coordinated here.", (int64_t)info.loading);
#undef MANAGER
}

static void show_dirs(const struct pages_source *source, FILE *out)
{
    struct logs_dir_info info;
    struct moves_info moves;
    int64_t offline = 0;

    for (size_t i = 0; i < logs_dir_count(source->logs); i++) {
        logs_dir_info(source->logs, i, &info);
        char *label = xasprintf("logDirectory=\"%s\"", info.path);

        stat_print_gauge(out, "kafka_log_logmanager_logdirectoryoffline", label,
                         i > 0 ? NULL : "1 when the directory has failed.", info.is_offline);
        offline += info.is_offline;
        free(label);
    }
    gauge(out, "kafka_log_logmanager_offlinelogdirectorycount", "Log directories that have failed.",
          offline);
    moves_get_info(source->moves, &moves);
    gauge(out, "moldau_moves", "Replicas on their way to another log directory.", moves.moving);
    gauge(out, "moldau_moves_bytes", "Bytes copied for such moves since the start.", moves.bytes);
}

static void note_fetcher(void *arg, int32_t leader, int32_t index, const struct fetcher_info *info)
{
    char *label = xasprintf("leader=\"%d\",loop=\"%d\"", leader, index);

    stat_print_gauge(arg, "moldau_fetcher_partitions", label, NULL, info->partitions);
    free(label);
}

static void show_fetchers(const struct pages_source *source, FILE *out)
{
    struct fetchers_info info;

    fetchers_get_info(source->fetchers, &info);
    gauge(out, "kafka_server_replicafetchermanager_maxlag",
          "Records behind, of the partition most so.", info.lag_max);
    gauge(out, "kafka_server_replicafetchermanager_failedpartitionscount",
          "Partitions that are not followed any more because of an error.", info.failed);
    fprintf(out, "# HELP moldau_fetcher_partitions Partitions that each loop fetches of a leader.\n"
                 "# TYPE moldau_fetcher_partitions gauge\n");
    fetchers_each(source->fetchers, note_fetcher, out);
}

static void show_throttles(const struct pages_source *source, FILE *out)
{
    int64_t now_ms = clock_mono_ms();

    gauge(out, "kafka_server_leaderreplication_byte_rate",
          "Bytes a second that throttled replicas are given.",
          repl_quota_rate(source->leader_quota, now_ms));
    gauge(out, "kafka_server_followerreplication_byte_rate",
          "Bytes a second that throttled replicas fetch.",
          repl_quota_rate(source->follower_quota, now_ms));
    gauge(out, "kafka_server_alterlogdirsreplication_byte_rate",
          "Bytes a second that are copied from one log directory to another.",
          repl_quota_rate(source->moves_quota, now_ms));
}

static void show_loading(const struct pages *pages, FILE *out)
{
    size_t loaded, total;

    loading_totals(pages->loading, &loaded, &total);
    gauge(out, "moldau_logs_loaded", "Logs that are open so far.", (int64_t)loaded);
    gauge(out, "moldau_logs_to_load", "Logs found on disk.", (int64_t)total);
}

static void show_metrics(FILE *out, void *arg)
{
    const struct pages *pages = arg;
    struct parts_info parts;
    struct control_info control;

    show_loading(pages, out);
    if (!atomic_load_explicit(&pages->is_ready, memory_order_acquire)) {
        stats_print(out);
        return;
    }
    parts_get_info(pages->source.parts, &parts);
    control_get_info(pages->source.control, &control);
    gauge(out, "kafka_server_replicamanager_partitioncount", "Partitions hosted here.",
          (int64_t)parts.parts);
    gauge(out, "kafka_server_replicamanager_leadercount", "Partitions led here.",
          (int64_t)parts.leading);
    gauge(out, "kafka_server_replicamanager_underreplicatedpartitions",
          "Led partitions with fewer in sync than replicas.", (int64_t)parts.under_replicated);
    gauge(out, "kafka_server_replicamanager_underminisrpartitioncount",
          "Led partitions with fewer in sync than min.insync.replicas.",
          (int64_t)parts.under_min_isr);
    gauge(out, "moldau_stray_logs", "Logs parked because nobody assigned or deleted them.",
          (int64_t)parts.strays);
    show_fetchers(&pages->source, out);
    gauge(out, "moldau_logs", "Logs on disk.", (int64_t)logs_count(pages->source.logs));
    gauge(out, "moldau_control_stream_up", "1 while on the controller's stream.", control.is_up);
    gauge(out, "moldau_controller_epoch", "Of the controller last heard of.",
          control.controller_epoch);
    show_dirs(&pages->source, out);
    show_throttles(&pages->source, out);
    show_cleaner(&pages->source, out);
    show_groups(&pages->source, out);
    show_conns(&pages->source, out);
    stats_print(out);
}

static void show_status(FILE *out, void *arg)
{
    const struct pages *pages = arg;
    struct parts_info parts;
    struct control_info control;

    /* Pairs with the release of pages_ready(). */
    if (!atomic_load_explicit(&pages->is_ready, memory_order_acquire)) {
        fprintf(out, "{\"version\":\"%s\",\"broker\":%d,\"state\":\"loading\",", MOLDAU_VERSION,
                pages->broker_id);
        loading_print(pages->loading, out);
        fprintf(out, "}\n");
        return;
    }
    parts_get_info(pages->source.parts, &parts);
    control_get_info(pages->source.control, &control);
    fprintf(out,
            "{\"version\":\"%s\",\"broker\":%d,\"state\":\"running\",\"broker_epoch\":%" PRId64
            ",\"controller\":%d,\"controller_epoch\":%d,\"metadata_version\":%" PRIu64
            ",\"stream_up\":%s,\"partitions\":%zu,\"leading\":%zu,\"under_replicated\":%zu"
            ",\"under_min_isr\":%zu,\"strays\":%zu}\n",
            MOLDAU_VERSION, pages->source.broker_id, control.broker_epoch, control.controller_id,
            control.controller_epoch, control.version, control.is_up ? "true" : "false",
            parts.parts, parts.leading, parts.under_replicated, parts.under_min_isr, parts.strays);
}

void pages_ready(struct pages *pages, const struct pages_source *source)
{
    pages->source = *source;
    atomic_store_explicit(&pages->is_ready, true, memory_order_release);
}

enum err pages_start(const char *listener, int32_t broker_id, struct loading *loading,
                     struct pages **out)
{
    struct pages *pages = xcalloc(1, sizeof *pages);
    const struct http_page list[] = {
        { "/metrics", "text/plain; version=0.0.4", show_metrics, pages },
        { "/status", "application/json", show_status, pages },
    };
    struct str host;
    int32_t port;
    enum err err = ERR_INVALID_CONFIG;

    pages->broker_id = broker_id;
    pages->loading = loading;
    if (broker_conf_host_port(str_of(listener), &host, &port)) {
        char *name = xstrndup(host.ptr, host.len);

        err = http_start(name, port, list, ARRAY_LEN(list), &pages->http);
        free(name);
    }
    if (err != ERR_OK) {
        say_error("cannot serve metrics on metrics.listener=%s: %s", listener, err_text(err));
        free(pages);
        return err;
    }
    *out = pages;
    return ERR_OK;
}

void pages_stop(struct pages **pages_ptr)
{
    struct pages *pages = *pages_ptr;

    *pages_ptr = NULL;
    http_stop(&pages->http);
    free(pages);
}
