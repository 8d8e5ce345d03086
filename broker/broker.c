/*
 * Start:  bind the listeners -> lock, check and load the directories -> ZooKeeper: read the cluster
 *         id, check it against the directories, make a broker.id when neither the settings nor the
 *         directories have one -> everything that serves -> register, for which the session of an
 *         earlier process may have to be ended, and find the controller -> with the first image
 *         applied, accept clients. A stop that is asked for meanwhile ends it while logs are
 *         recovered or ZooKeeper is waited for.
 * Stop:   hand leaderships over, if an image has ever named any -> accept nobody, let open requests
 *         end -> fetchers -> session and stream -> requests that still wait -> reactors -> high
 *         watermarks, logs, clean-shutdown marker.
 */
#include "broker/broker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "broker/api/api.h"
#include "broker/api/fetch_session.h"
#include "broker/api/table.h"
#include "broker/compaction.h"
#include "broker/control/control.h"
#include "broker/drain.h"
#include "broker/front.h"
#include "broker/group/groups.h"
#include "broker/loading.h"
#include "broker/pages.h"
#include "broker/replica/moves.h"
#include "broker/replica/part_conf.h"
#include "broker/replica/repl_quota.h"
#include "broker/tables/settings.h"
#include "broker/txn/pids.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/io/pool.h"
#include "common/io/reactor.h"
#include "common/io/resolver.h"

#define RETENTION_FIRST_MS 30000
#define SETTINGS_MS        1000
#define NOTE_EVERY_MAX_MS  2000
#define DRAIN_MS           1000 /* how long open requests are waited for at a stop */

/* How fast replicas are copied: given to followers, fetched from leaders, moved between
 * directories.
 */
enum { THROTTLE_LEADER, THROTTLE_FOLLOWER, THROTTLE_MOVES, THROTTLES };

struct throttle {
    struct broker *broker;
    enum broker_conf_index rate; /* the setting */
    struct repl_quota *quota;
};

struct broker {
    const struct conf *conf;
    const struct broker_conf *settings_file;
    struct broker_hooks hooks;
    int32_t id;

    struct front *front;
    struct dispatch dispatch; /* of requests to handlers */

    struct endpoint *endpoints;
    struct node self;
    char *hostname;

    struct settings *settings;
    struct logs *logs;
    struct meta *meta;
    struct pids *pids;
    struct groups *groups;
    struct resolver *resolver; /* of control and fetchers */
    struct fetchers *fetchers;
    struct moves *moves;
    struct parts *parts;
    struct pool *pool;
    struct lane **lanes; /* one per log directory */
    size_t lanes_len;
    struct control *control;
    struct lock attach_lock; /* rank LOCK_ATTACH */
    bool is_attached;        /* under attach_lock: the control path is there and knows the parts */
    struct api api;
    struct throttle throttles[THROTTLES];
    struct compaction *compaction; /* NULL: logs are not compacted */
    struct loading *loading;
    struct pages *pages; /* NULL: no metrics.listener */

    struct reactor *sched; /* T_SCHED: checkpoints, retention */
    struct reactor_timer hw_timer, retain_timer, expire_timer, settings_timer;
};

/* ---- what modules tell one another ---- */

static void propose(void *ctx, struct part *part, const struct part_proposal *proposal)
{
    struct broker *broker = ctx;

    control_propose(broker->control, part, proposal);
}

static void conf_of(void *ctx, const struct image *image, struct str topic, struct part_conf *out)
{
    struct broker *broker = ctx;

    part_conf_of(broker->settings, image, topic, out);
}

static void log_conf_of(void *ctx, const char *topic, struct log_conf *out)
{
    struct broker *broker = ctx;
    struct part_conf conf;

    part_conf_of(broker->settings, NULL, str_of(topic), &conf);
    *out = conf.log;
}

static void on_fatal(void *ctx, const char *why);

/* Any thread. Without a directory there is nothing to serve and others had better lead; Kafka's
 * broker ends as well. What fails before the parts of the broker know one another is looked up by
 * report_failed_dirs(). */
static void on_dir_failed(void *ctx, const char *dir)
{
    struct broker *broker = ctx;

    lock_take(&broker->attach_lock);
    bool is_attached = broker->is_attached;

    if (is_attached)
        control_dir_failed(broker->control, dir);
    lock_drop(&broker->attach_lock);
    if (is_attached && logs_all_offline(broker->logs))
        on_fatal(broker, "all log directories are offline");
}

static void set_attached(struct broker *broker, bool is_attached)
{
    lock_take(&broker->attach_lock);
    broker->is_attached = is_attached;
    lock_drop(&broker->attach_lock);
}

static void report_failed_dirs(struct broker *broker)
{
    struct logs_dir_info info;

    set_attached(broker, true);
    for (size_t i = 0; i < logs_dir_count(broker->logs); i++) {
        logs_dir_info(broker->logs, i, &info);
        if (info.is_offline)
            on_dir_failed(broker, info.path);
    }
}

static void want_pids(void *ctx)
{
    struct broker *broker = ctx;

    control_want_pids(broker->control);
}

static void on_fatal(void *ctx, const char *why)
{
    struct broker *broker = ctx;

    say_error("this broker cannot go on: %s", why);
    broker->hooks.on_fatal(broker->hooks.ctx);
}

static bool is_stopping(void *ctx)
{
    const struct broker *broker = ctx;

    return broker->hooks.is_stopping != NULL && broker->hooks.is_stopping(broker->hooks.ctx);
}

static void on_ready(void *ctx)
{
    struct broker *broker = ctx;

    front_serve(broker->front);
}

/* ---- start ---- */

/* A broker with many logs and clients needs many descriptors: what the system allows is taken. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < 4096)
        say_warn("few open files are allowed, raise the hard limit (ulimit -Hn) limit=%llu",
                 (unsigned long long)limit.rlim_max);
}

static void make_self(struct broker *broker)
{
    const struct broker_conf *conf = broker->settings_file;
    char name[256] = "localhost";
    size_t n = 0;

    gethostname(name, sizeof name - 1);
    broker->hostname = xstrdup(name);
    broker->endpoints = xcalloc(conf->n_listeners, sizeof *broker->endpoints);
    for (size_t i = 0; i < conf->n_listeners; i++) {
        const struct broker_listener *bind = &conf->bind[i];

        if (bind->advertised_host == NULL)
            continue;
        broker->endpoints[n++] = (struct endpoint){
            .listener = str_of(bind->name),
            .protocol = str_of(bind->protocol),
            .host =
                str_of(bind->advertised_host[0] != '\0' ? bind->advertised_host : broker->hostname),
            .port =
                bind->advertised_port != 0 ? bind->advertised_port : front_port(broker->front, i),
            .is_inter_broker = bind->is_inter_broker,
        };
    }
    broker->self = (struct node){ .id = broker->id,
                                  .state = NODE_LIVE,
                                  .epoch = -1,
                                  .rack = str_of(conf->broker_rack),
                                  .n_endpoints = n,
                                  .endpoints = broker->endpoints };
}

static void set_id(struct broker *broker, int32_t id)
{
    broker->id = broker->self.id = id;
    settings_set_broker_id(broker->settings, id);
}

static void on_progress(void *ctx, const struct logs_progress *progress)
{
    struct broker *broker = ctx;

    loading_note(broker->loading, progress);
}

static void on_locked(void *ctx, int32_t broker_id)
{
    struct broker *broker = ctx;

    loading_publish(broker->loading, broker->settings_file->zookeeper_connect, broker_id);
}

static enum err open_logs(struct broker *broker)
{
    const struct broker_conf *conf = broker->settings_file;
    struct logs_options options = {
        .dirs = conf->dirs,
        .dir_count = conf->n_dirs,
        .broker_id = broker->id,
        .recovery_threads = conf->num_recovery_threads_per_data_dir,
        .flush_check_ms = conf->log_flush_scheduler_interval_ms,
        .checkpoint_ms = conf->log_flush_offset_checkpoint_interval_ms,
        .start_checkpoint_ms = conf->log_flush_start_offset_checkpoint_interval_ms,
        .producer_check_ms = conf->producer_id_expiration_check_interval_ms,
        .unscanned_max_bytes = conf->log_unflushed_max_bytes,
        .conf_of = log_conf_of,
        .on_dir_failed = on_dir_failed,
        .on_progress = on_progress,
        .is_stopping = is_stopping,
        .on_locked = on_locked,
        .ctx = broker,
    };
    enum err err = logs_open(&options, &broker->logs);

    loading_done(broker->loading);
    if (err != ERR_OK && err != ERR_SHUTTING_DOWN)
        say_error("the log directories cannot be used: %s", err_text(err));
    else if (err == ERR_OK && logs_broker_id(broker->logs) >= 0)
        set_id(broker, logs_broker_id(broker->logs));
    return err;
}

/* What the directories tell of the process before us. One that is new may stand where another one
 * was, whose disk has been replaced or is not mounted: its records are gone. One that cannot be
 * read may have been so when we stopped, and what it had not written may be gone since. */
static void judge_dirs(const struct broker *broker, struct control_conf *control)
{
    control->clean_stop = true;
    for (size_t i = 0; i < logs_dir_count(broker->logs); i++) {
        struct logs_dir_info info;

        logs_dir_info(broker->logs, i, &info);
        control->clean_stop &= info.was_clean;
        control->new_dir |= info.is_new;
    }
}

/* For our own small files: the first directory that works. */
static const char *first_live_dir(const struct broker *broker)
{
    struct logs_dir_info info;

    for (size_t i = 0; i < logs_dir_count(broker->logs); i++) {
        logs_dir_info(broker->logs, i, &info);
        if (!info.is_offline)
            return info.path;
    }
    return broker->settings_file->dirs[0];
}

/* Kafka's KafkaServer.getOrGenerateBrokerId. The directories keep it from now on. */
static enum err make_id(struct broker *broker)
{
    const struct broker_conf *conf = broker->settings_file;
    int32_t number;
    enum err err = control_take_seqid(broker->control, conf->zookeeper_connect_ms, &number);

    if (err == ERR_SHUTTING_DOWN)
        return err;
    int64_t id = (int64_t)conf->reserved_broker_max_id + number;

    if (err == ERR_OK && id > INT32_MAX)
        err = ERR_INVALID_CONFIG;
    if (err != ERR_OK) {
        say_error("no broker.id is given, and none can be made out of ZooKeeper: %s",
                  err_text(err));
        return err;
    }
    set_id(broker, (int32_t)id);
    logs_set_broker_id(broker->logs, broker->id);
    say_info("no broker.id was given, made one broker.id=%d", broker->id);
    return ERR_OK;
}

static enum err meet_zookeeper(struct broker *broker)
{
    const struct broker_conf *conf = broker->settings_file;
    struct control_conf control = {
        .self = &broker->self,
        .resolver = broker->resolver,
        .zookeeper_connect = conf->zookeeper_connect,
        .zookeeper_session_timeout_ms = conf->zookeeper_session_timeout_ms,
        .state_dir = first_live_dir(broker),
        .software = MOLDAU_VERSION,
        .min_isr = conf->min_insync_replicas,
        .reactors = front_reactors(broker->front),
        .reactors_len = front_len(broker->front),
        .is_stopping = is_stopping,
        .on_fatal = on_fatal,
        .on_ready = on_ready,
        .ctx = broker,
    };
    char cluster_id[23];

    judge_dirs(broker, &control);
    broker->control = control_start(&control); /* before the new ones are given a meta.properties */
    enum err err = control_wait_cluster_id(broker->control, conf->zookeeper_connect_ms, cluster_id);
    if (err == ERR_SHUTTING_DOWN) {
        say_info("a stop is asked for, ZooKeeper is not waited for");
        return err;
    }
    if (err != ERR_OK) {
        say_error("no connection to ZooKeeper within %d ms: zookeeper.connect=%s",
                  conf->zookeeper_connect_ms, conf->zookeeper_connect);
        return err;
    }
    if (broker->id < 0 && (err = make_id(broker)) != ERR_OK)
        return err;
    err = logs_set_cluster_id(broker->logs, cluster_id);
    if (err != ERR_OK)
        say_error("the log directories belong to another cluster than this ZooKeeper: "
                  "meta.properties has cluster.id=%s, ZooKeeper %s",
                  logs_cluster_id(broker->logs), cluster_id);
    return err;
}

/* Settings of this broker change at run time; the latest image has them. */
static int64_t throttle_limit(void *ctx)
{
    const struct throttle *throttle = ctx;
    struct image *image = meta_get_ref(throttle->broker->meta);
    int64_t rate = settings_number(throttle->broker->settings, image, throttle->rate);

    image_unref(&image);
    return rate > 0 ? rate : INT64_MAX; /* not set */
}

static void make_throttles(struct broker *broker)
{
    const struct broker_conf *conf = broker->settings_file;
    static const enum broker_conf_index rates[THROTTLES] = {
        [THROTTLE_LEADER] = BROKER_CONF_leader_replication_throttled_rate,
        [THROTTLE_FOLLOWER] = BROKER_CONF_follower_replication_throttled_rate,
        [THROTTLE_MOVES] = BROKER_CONF_replica_alter_log_dirs_io_max_bytes_per_second,
    };

    for (int i = 0; i < THROTTLES; i++) {
        struct throttle *throttle = &broker->throttles[i];
        struct repl_quota_conf quota = { .samples = conf->replication_quota_window_num,
                                         .span_s = conf->replication_quota_window_size_seconds,
                                         .limit = throttle_limit,
                                         .ctx = throttle };

        if (i == THROTTLE_MOVES) {
            quota.samples = conf->alter_log_dirs_replication_quota_window_num;
            quota.span_s = conf->alter_log_dirs_replication_quota_window_size_seconds;
        }
        throttle->broker = broker;
        throttle->rate = rates[i];
        throttle->quota = repl_quota_new(&quota);
    }
}

static void make_replicas(struct broker *broker)
{
    const struct broker_conf *conf = broker->settings_file;
    struct fetchers_conf fetchers = {
        .broker_id = broker->id,
        .per_leader = conf->num_replica_fetchers,
        .listener = conf->bind[conf->inter_broker].name,
        .partition_max_bytes = conf->replica_fetch_max_bytes,
        .response_max_bytes = conf->replica_fetch_response_max_bytes,
        .min_bytes = conf->replica_fetch_min_bytes,
        .wait_max_ms = conf->replica_fetch_wait_max_ms,
        .backoff_ms = conf->replica_fetch_backoff_ms,
        .request_timeout_ms = conf->replica_socket_timeout_ms,
        .receive_buffer_bytes = conf_is_set(broker->conf, "replica.socket.receive.buffer.bytes")
                                    ? conf->replica_socket_receive_buffer_bytes
                                    : -1, /* the kernel's own tuning, as for clients */
        .resolver = broker->resolver,
        .logs = broker->logs,
    };

    broker->meta = meta_new();
    make_throttles(broker);
    fetchers.quota = broker->throttles[THROTTLE_FOLLOWER].quota;
    broker->pids = pids_new(want_pids, broker);
    broker->fetchers = fetchers_start(&fetchers);
    struct moves_conf moves = { .threads = conf->num_replica_alter_log_dirs_threads > 0
                                               ? conf->num_replica_alter_log_dirs_threads
                                               : (int32_t)conf->n_dirs,
                                .chunk_bytes = (size_t)conf->replica_fetch_max_bytes,
                                .backoff_ms = conf->replica_fetch_backoff_ms,
                                .logs = broker->logs,
                                .quota = broker->throttles[THROTTLE_MOVES].quota };
    broker->moves = moves_start(&moves);
    struct parts_conf parts = { .broker_id = broker->id,
                                .lag_max_ms = conf->replica_lag_time_max_ms,
                                .logs = broker->logs,
                                .fetchers = broker->fetchers,
                                .moves = broker->moves,
                                .conf_of = conf_of,
                                .propose = propose,
                                .ctx = broker };
    broker->parts = parts_new(&parts);
}

static void make_groups(struct broker *broker)
{
    const struct broker_conf *conf = broker->settings_file;
    struct groups_conf groups = {
        .parts = broker->parts,
        .pool = broker->pool,
        .reactors = front_reactors(broker->front),
        .reactors_len = front_len(broker->front),
        .group = { .session_min_ms = conf->group_min_session_timeout_ms,
                   .session_max_ms = conf->group_max_session_timeout_ms,
                   .initial_delay_ms = conf->group_initial_rebalance_delay_ms,
                   .size_max = conf->group_max_size,
                   .metadata_max = conf->offset_metadata_max_bytes },
        .commit_acks = conf->offsets_commit_required_acks,
        .commit_timeout_ms = conf->offsets_commit_timeout_ms,
        .load_bytes = conf->offsets_load_buffer_size,
        .retention_ms = (int64_t)conf->offsets_retention_minutes * 60000,
        .codec = conf->offsets_topic_compression_codec,
    };

    broker->groups = groups_start(&groups);
}

/* Kafka's two; one of somebody's own cannot be loaded here. */
static bool is_rack_aware(const char *selector)
{
    static const char package[] = "org.apache.kafka.common.replica.";
    const char *name = selector != NULL ? selector : "";

    if (strncmp(name, package, strlen(package)) == 0)
        name += strlen(package);
    if (strcmp(name, "RackAwareReplicaSelector") == 0)
        return true;
    if (name[0] != '\0' && strcmp(name, "LeaderSelector") != 0)
        say_warn("unknown replica.selector.class, consumers read from leaders class=%s", selector);
    return false;
}

static int64_t note_every_ms(const struct broker_conf *conf)
{
    int64_t eighth_ms = conf->replica_lag_time_max_ms / 8;

    return eighth_ms < NOTE_EVERY_MAX_MS ? eighth_ms : NOTE_EVERY_MAX_MS;
}

static void make_api(struct broker *broker)
{
    const struct broker_conf *conf = broker->settings_file;
    struct rand rand;

    rand_seed_os(&rand);
    broker->lanes_len = logs_dir_count(broker->logs);
    broker->lanes = xcalloc(broker->lanes_len, sizeof(struct lane *));
    for (size_t i = 0; i < broker->lanes_len; i++)
        broker->lanes[i] = lane_new(broker->pool);
    broker->api = (struct api){
        .broker_id = broker->id,
        .conf = conf,
        .parts = broker->parts,
        .fetchers = broker->fetchers,
        .logs = broker->logs,
        .meta = broker->meta,
        .moves = broker->moves,
        .leader_quota = broker->throttles[THROTTLE_LEADER].quota,
        .pool = broker->pool,
        .lanes = broker->lanes,
        .sessions = fetch_sessions_new((size_t)conf->max_incremental_fetch_session_cache_slots,
                                       rand_u64(&rand)),
        .forward = control_forward(broker->control),
        .settings = broker->settings,
        .pids = broker->pids,
        .groups = broker->groups,
        .fetch_max_bytes = conf->fetch_max_bytes,
        .note_every_ms = note_every_ms(conf),
        .auto_create_topics = conf->auto_create_topics_enable,
        .rack_aware = is_rack_aware(conf->replica_selector_class),
    };
    api_table_init(&broker->dispatch, &broker->api);
}

static void on_hw_timer(struct reactor_timer *timer)
{
    struct broker *broker = container_of(timer, struct broker, hw_timer);

    parts_checkpoint_hw(broker->parts);
    reactor_timer_set_ms(broker->sched, timer,
                         broker->settings_file->replica_high_watermark_checkpoint_interval_ms);
}

static void on_retain_timer(struct reactor_timer *timer)
{
    struct broker *broker = container_of(timer, struct broker, retain_timer);

    parts_retain(broker->parts, clock_wall_ms(), clock_mono_ms());
    reactor_timer_set_ms(broker->sched, timer,
                         broker->settings_file->log_retention_check_interval_ms);
}

static void on_expire_timer(struct reactor_timer *timer)
{
    struct broker *broker = container_of(timer, struct broker, expire_timer);

    groups_expire(broker->groups);
    reactor_timer_set_ms(broker->sched, timer,
                         broker->settings_file->offsets_retention_check_interval_ms);
}

/* Most settings are looked up when they are needed; threads have to be told. */
static void on_settings_timer(struct reactor_timer *timer)
{
    struct broker *broker = container_of(timer, struct broker, settings_timer);
    const struct settings *settings = broker->settings;
    struct image *image = meta_get_ref(broker->meta);

    pool_resize(broker->pool, (int)settings_number(settings, image, BROKER_CONF_num_io_threads));
    fetchers_resize(broker->fetchers,
                    (int32_t)settings_number(settings, image, BROKER_CONF_num_replica_fetchers));
    image_unref(&image);
    compaction_look(broker->compaction);
    reactor_timer_set_ms(broker->sched, timer, SETTINGS_MS);
}

static void start_sched(struct broker *broker)
{
    broker->sched = reactor_new();
    reactor_timer_init(&broker->hw_timer, on_hw_timer);
    reactor_timer_init(&broker->retain_timer, on_retain_timer);
    reactor_timer_init(&broker->expire_timer, on_expire_timer);
    reactor_timer_init(&broker->settings_timer, on_settings_timer);
    reactor_timer_set_ms(broker->sched, &broker->settings_timer, SETTINGS_MS);
    reactor_timer_set_ms(broker->sched, &broker->hw_timer,
                         broker->settings_file->replica_high_watermark_checkpoint_interval_ms);
    reactor_timer_set_ms(broker->sched, &broker->retain_timer, RETENTION_FIRST_MS);
    reactor_timer_set_ms(broker->sched, &broker->expire_timer,
                         broker->settings_file->offsets_retention_check_interval_ms);
    reactor_start(broker->sched, T_SCHED, -1);
}

static enum err start_compaction(struct broker *broker)
{
    return compaction_start(&(struct compaction_parties){ .settings = broker->settings,
                                                          .meta = broker->meta,
                                                          .parts = broker->parts,
                                                          .logs = broker->logs },
                            &broker->compaction);
}

static enum err start_pages(struct broker *broker)
{
    const char *listener = broker->settings_file->metrics_listener;

    return listener == NULL ? ERR_OK
                            : pages_start(listener, broker->id, broker->loading, &broker->pages);
}

static void fill_pages(struct broker *broker)
{
    struct pages_source source = { .broker_id = broker->id,
                                   .parts = broker->parts,
                                   .groups = broker->groups,
                                   .fetchers = broker->fetchers,
                                   .moves = broker->moves,
                                   .leader_quota = broker->throttles[THROTTLE_LEADER].quota,
                                   .follower_quota = broker->throttles[THROTTLE_FOLLOWER].quota,
                                   .moves_quota = broker->throttles[THROTTLE_MOVES].quota,
                                   .logs = broker->logs,
                                   .cleaner = compaction_cleaner(broker->compaction),
                                   .control = broker->control,
                                   .conns = front_conns(broker->front),
                                   .conns_len = front_len(broker->front) };

    if (broker->pages != NULL)
        pages_ready(broker->pages, &source);
}

enum err broker_start(const struct conf *conf, const struct broker_conf *settings,
                      const struct broker_hooks *hooks, struct broker **out)
{
    struct broker *broker = xcalloc(1, sizeof *broker);
    enum err err;

    broker->conf = conf;
    broker->settings_file = settings;
    broker->hooks = *hooks;
    broker->id = settings->id;
    broker->resolver = resolver_new(NULL, NULL);
    lock_init(&broker->attach_lock, LOCK_ATTACH);
    raise_file_limit();
    broker->settings = settings_new(conf, settings, broker->id);
    broker->loading = loading_new((size_t)settings->n_dirs);
    err = front_open(conf, settings, &broker->dispatch, &broker->front);
    if (err == ERR_OK)
        err = start_pages(broker);
    if (err == ERR_OK) {
        make_self(broker);
        err = open_logs(broker);
    }
    if (err == ERR_OK)
        err = meet_zookeeper(broker);
    if (err != ERR_OK) {
        broker_stop(&broker, false);
        return err;
    }
    make_replicas(broker);
    broker->pool = pool_start(settings->num_io_threads);
    make_groups(broker);
    struct control_parties parties = {
        .parts = broker->parts, .groups = broker->groups, .meta = broker->meta, .pids = broker->pids
    };
    control_attach(broker->control, &parties);
    report_failed_dirs(broker);
    make_api(broker);
    front_start(broker->front);
    err = start_compaction(broker);
    start_sched(broker);
    if (err != ERR_OK) {
        broker_stop(&broker, false);
        return err;
    }
    fill_pages(broker);
    control_enroll(broker->control);
    *out = broker;
    return ERR_OK;
}

/* ---- stop ---- */

static struct drain drain_of(const struct broker *broker)
{
    return (struct drain){ .reactors = front_reactors(broker->front),
                           .conns = front_conns(broker->front),
                           .len = front_len(broker->front),
                           .parts = broker->parts,
                           .pids = broker->pids };
}

static void stop_clients(struct broker *broker)
{
    struct drain drain;

    if (broker->front == NULL)
        return;
    front_close(broker->front);
    drain = drain_of(broker);
    (void)drain_wait_ms(&drain, DRAIN_MS); /* what is open then is ended in free_clients() */
}

static void free_clients(struct broker *broker)
{
    struct drain drain;

    if (broker->front == NULL)
        return;
    drain = drain_of(broker);
    drain_end(&drain);
    front_stop(&broker->front);
}

static void stop_sched(struct broker *broker)
{
    if (broker->sched == NULL)
        return;
    reactor_stop(broker->sched);
    reactor_timer_cancel(broker->sched, &broker->hw_timer);
    reactor_timer_cancel(broker->sched, &broker->retain_timer);
    reactor_timer_cancel(broker->sched, &broker->expire_timer);
    reactor_timer_cancel(broker->sched, &broker->settings_timer);
    reactor_free(&broker->sched);
}

/* Until its threads have ended, what they look after may call it through us. */
static void stop_control(struct broker *broker)
{
    struct control *control = broker->control;

    if (control == NULL)
        return;
    control_stop(&control);
    broker->control = NULL;
}

void broker_stop(struct broker **broker_ptr, bool relieve)
{
    struct broker *broker = *broker_ptr;
    const struct broker_conf *conf = broker->settings_file;

    *broker_ptr = NULL;
    if (relieve && conf->controlled_shutdown_enable && broker->control != NULL &&
        control_leave(broker->control, conf->controlled_shutdown_max_retries,
                      conf->controlled_shutdown_retry_backoff_ms) != ERR_OK)
        say_warn("stopping without having handed over every leadership");
    if (broker->pages != NULL)
        pages_stop(&broker->pages);
    loading_free(&broker->loading);
    if (broker->groups != NULL)
        groups_stop(broker->groups);
    stop_clients(broker);
    stop_sched(broker);
    compaction_stop(&broker->compaction);
    if (broker->fetchers != NULL)
        fetchers_halt(broker->fetchers); /* the control thread may still ask it for something */
    set_attached(broker, false);
    stop_control(broker);
    if (broker->fetchers != NULL)
        fetchers_stop(&broker->fetchers);
    resolver_free(&broker->resolver);
    if (broker->pool != NULL)
        pool_stop(&broker->pool);
    for (size_t i = 0; i < broker->lanes_len; i++)
        lane_free(&broker->lanes[i]);
    free(broker->lanes);
    free_clients(broker);
    if (broker->api.sessions != NULL)
        fetch_sessions_free(&broker->api.sessions);
    if (broker->groups != NULL)
        groups_free(&broker->groups);
    if (broker->moves != NULL)
        moves_stop(&broker->moves);
    if (broker->parts != NULL)
        parts_free(&broker->parts);
    if (broker->pids != NULL)
        pids_free(&broker->pids);
    for (int i = 0; i < THROTTLES; i++)
        repl_quota_free(&broker->throttles[i].quota);
    if (broker->meta != NULL)
        meta_free(&broker->meta);
    if (broker->logs != NULL)
        logs_close(&broker->logs);
    settings_free(&broker->settings);
    free(broker->endpoints);
    free(broker->hostname);
    lock_fini(&broker->attach_lock);
    free(broker);
}
