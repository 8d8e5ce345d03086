/*
 * One reactor (T_CONTROL) owns the ZooKeeper handle, the registration, the search for the
 * controller, the stream and what is applied from it; this file only joins them. Heartbeats go from
 * a second thread.
 *
 * The broker epoch decides when a stream may be opened: a hello needs it, and a new one (after an
 * expired session) is said in a new hello under the same incarnation, so that it is no bounce.
 */
#include "broker/control/control.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/control/apply.h"
#include "broker/control/beat.h"
#include "broker/control/enroll.h"
#include "broker/control/forward_int.h"
#include "broker/control/keep.h"
#include "broker/control/report.h"
#include "broker/control/seek.h"
#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/stream/stream_image.h"
#include "common/zk/zk_seqid.h"

#define SESSION_FILE     "moldau.session" /* plain files: Kafka takes directories for partitions */
#define BOOT_FILE        "moldau.boot"
#define END_SESSION_MS   1000
#define LAST_SESSIONS    3
#define STALL_MS         1000
#define CONTROL_STALL_MS 30000 /* of one step: it makes files, on disks that may be slow */
#define BEAT_DEFAULT_MS  100
#define FENCE_DEFAULT_MS 1000
/* A controller may be silent for so many times as long as a broker may, for it has more to do. */
#define SILENCES         3
#define TICK_MS          250
#define RETRY_MS         5000
#define BOOT_ID_BYTES    36
#define BOOT_LOST        "------------------------------------" /* in place of a boot id */
#define NO_CONTROLLER_MS 500
#define LOOK_MS          100

struct saved_session {
    int64_t id;
    uint8_t password[16];
};

struct control {
    struct control_conf conf;
    struct reactor *reactor;
    struct zk *zk;
    struct zk_listener listener;
    struct enroll *enroll;
    struct zk_seqid seqid; /* [o] */
    struct seek *seek;
    struct apply *apply;
    int64_t retry_ms; /* [o] when what found no room is tried again */
    struct report *report;
    struct forward *forward;
    struct beat *beat;
    uint64_t aim; /* [o] number of the last */
    struct control_parties parties;
    struct uuid incarnation; /* [I] */
    struct reactor_timer tick;
    struct arena hello_arena;                 /* [o] of the last hello */
    struct node hello_self;                   /* [o] the same */
    bool fresh;                               /* [o] no controller has confirmed this process */
    bool intact;                              /* [I] what earlier processes wrote is all there */
    char boot_id[BOOT_ID_BYTES + 1];          /* [I] */
    struct saved_session last[LAST_SESSIONS]; /* [o] of processes before this one, not ended yet */
    size_t last_len;                          /* [o] */
    atomic_bool is_leaving;                   /* [a] nothing that holds a stop up is begun */

    struct lock lock; /* rank LOCK_CONTROL */
    struct cond cond;
    char cluster_id[23];      /* [m] */
    bool seqid_done;          /* [m] */
    enum err seqid_err;       /* [m] */
    int32_t seqid_number;     /* [m] */
    bool leave_done;          /* [m] */
    enum err leave_err;       /* [m] */
    int32_t still_led;        /* [m] */
    struct control_info info; /* [m] */
    atomic_bool has_image;    /* [a] */
};

/* ---- what one process keeps for the next ---- */

static void keep(const struct control *control, const char *name, const void *bytes, size_t len,
                 bool durable)
{
    if (!keep_write(control->conf.state_dir, name, bytes, len, durable))
        say_warn("cannot write %s/%s: the next start may take longer", control->conf.state_dir,
                 name);
}

/* This process's session, and those of the ones before it that could not be ended yet. */
static void save_sessions(const struct control *control)
{
    const struct zk_session *session = zk_session(control->zk);
    struct saved_session saved[1 + LAST_SESSIONS] = { { .id = session->id } };

    memcpy(saved[0].password, session->password, sizeof saved[0].password);
    memcpy(&saved[1], control->last, control->last_len * sizeof saved[1]);
    keep(control, SESSION_FILE, saved, sizeof saved, false);
}

static void read_last_sessions(struct control *control)
{
    struct saved_session saved[LAST_SESSIONS];
    ssize_t got = keep_read(control->conf.state_dir, SESSION_FILE, saved, sizeof saved);

    for (size_t i = 0; got > 0 && i < (size_t)got / sizeof saved[0]; i++) {
        if (saved[i].id != 0)
            control->last[control->last_len++] = saved[i];
    }
}

/* A quick restart must not wait for the nodes of the processes before it. */
static void end_last_sessions(struct control *control)
{
    size_t left = 0;

    for (size_t i = 0; i < control->last_len; i++) {
        const struct saved_session *last = &control->last[i];
        enum err err = zk_close_session(control->conf.zookeeper_connect, last->id, last->password,
                                        END_SESSION_MS, &control->is_leaving);

        if (err == ERR_OK)
            continue;
        if (err != ERR_SHUTTING_DOWN)
            say_limited(SAY_WARN,
                        "cannot end the ZooKeeper session of a process before this one err=%s",
                        err_name(err));
        control->last[left++] = *last;
    }
    control->last_len = left;
}

/* Nobody answers where the registration in our way says, so the sessions on record may go. Not
 * before: a copy of somebody's directory has them on record, too, and must not put him out. This
 * holds up the control thread, for END_SESSION_MS each at most: it has nothing else to do until we
 * are registered, and those that cannot be ended are few. Who leaves does not wait for it. */
static bool on_standing(void *ctx)
{
    struct control *control = ctx;
    size_t before = control->last_len;

    end_last_sessions(control);
    if (control->last_len == before)
        return false;
    save_sessions(control);
    return true;
}

static void read_boot_id(struct control *control)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

    if (file == NULL)
        return;
    if (fgets(control->boot_id, sizeof control->boot_id, file) == NULL)
        control->boot_id[0] = '\0';
    fclose(file);
}

/* Another boot id than the last process saw, and that did not stop cleanly: the machine's page
 * cache is gone, and records with it. Or a directory is new: another one's records may be gone.
 * This stays on record, whatever processes come and go and however they stop, until a controller
 * has acted on it: see on_applied(). A record that cannot be read may have said so. */
static void judge_logs(struct control *control)
{
    char last[BOOT_ID_BYTES + 1] = "";
    ssize_t got = keep_read(control->conf.state_dir, BOOT_FILE, last, BOOT_ID_BYTES);
    bool whole = got == BOOT_ID_BYTES;
    bool same = whole && control->boot_id[0] != '\0' && strcmp(last, control->boot_id) == 0;
    bool is_lost = whole ? strcmp(last, BOOT_LOST) == 0 : got >= 0 && control->boot_id[0] != '\0';

    control->intact = !is_lost && !control->conf.new_dir && (control->conf.clean_stop || same);
    if (!control->intact)
        keep(control, BOOT_FILE, BOOT_LOST, BOOT_ID_BYTES, true);
    else
        keep(control, BOOT_FILE, control->boot_id, strlen(control->boot_id), false);
}

/* ---- what the parts tell one another, on the control reactor ---- */

static void note_info(struct control *control)
{
    lock_take(&control->lock);
    control->info.broker_epoch = enroll_epoch(control->enroll);
    control->info.is_up = control->seek != NULL && seek_is_up(control->seek);
    if (control->apply != NULL) {
        control->info.controller_epoch = apply_epoch(control->apply);
        control->info.version = apply_version(control->apply);
    }
    lock_drop(&control->lock);
}

static void on_cluster_id(void *ctx, const char *cluster_id)
{
    struct control *control = ctx;

    lock_take(&control->lock);
    snprintf(control->cluster_id, sizeof control->cluster_id, "%s", cluster_id);
    cond_broadcast(&control->cond);
    lock_drop(&control->lock);
}

static void on_registered(void *ctx, int64_t broker_epoch)
{
    struct control *control = ctx;

    (void)broker_epoch;
    if (control->last_len > 0) { /* none of them can stand in our way any more */
        control->last_len = 0;
        save_sessions(control);
    }
    note_info(control);
    if (control->seek == NULL)
        return;
    if (seek_is_up(control->seek))
        seek_restart(control->seek, "registered anew: a hello with the new epoch");
    seek_begin(control->seek);
}

static void on_refused(void *ctx, const char *why)
{
    struct control *control = ctx;

    control->conf.on_fatal(control->conf.ctx, why);
}

static void on_session(struct zk_listener *listener, const struct zk_session *session)
{
    struct control *control = container_of(listener, struct control, listener);

    say_info("ZooKeeper %s session=0x%llx timeout_ms=%d",
             session->state == ZK_CONNECTED   ? "connected"
             : session->state == ZK_SUSPENDED ? "connection lost"
                                              : "session expired",
             (unsigned long long)session->id, session->timeout_ms);
    if (session->state != ZK_CONNECTED || !session->is_new)
        return;
    save_sessions(control); /* before it can own a registration that we may die with */
    if (control->seek != NULL)
        seek_on_session(control->seek);
}

static void on_node(struct zk_listener *listener, struct str path, enum zk_event event)
{
    struct control *control = container_of(listener, struct control, listener);

    (void)event;
    if (control->seek != NULL)
        seek_on_node(control->seek, path);
}

static bool fill_hello(void *ctx, Control__Hello *hello)
{
    struct control *control = ctx;
    struct node *self = &control->hello_self; /* the hello points into it */

    if (enroll_epoch(control->enroll) < 0)
        return false;
    arena_reset(&control->hello_arena);
    *self = *control->conf.self;
    self->epoch = enroll_epoch(control->enroll);
    self->incarnation = control->incarnation;
    stream_image_write_hello(hello, self, &control->hello_arena);
    hello->protocol = STREAM_PROTOCOL;
    hello->has_protocol = true;
    hello->cluster_id = control->cluster_id;
    hello->fresh = control->fresh;
    hello->has_fresh = true;
    hello->clean_stop = control->intact;
    hello->has_clean_stop = true;
    hello->boot_id.data = (uint8_t *)control->boot_id;
    hello->boot_id.len = strlen(control->boot_id);
    hello->has_boot_id = true;
    hello->controller_epoch = apply_epoch(control->apply);
    hello->has_controller_epoch = true;
    hello->version = apply_version(control->apply);
    hello->has_version = true;
    hello->software = (char *)(uintptr_t)control->conf.software;
    hello->min_insync_replicas = control->conf.min_isr;
    hello->has_min_insync_replicas = true;
    return true;
}

static void aim_beats(struct control *control, const Control__Welcome *welcome)
{
    struct beat_aim aim = { .broker_epoch = enroll_epoch(control->enroll),
                            .interval_ms = welcome->heartbeat_interval_ms,
                            .silence_ms = SILENCES * (int64_t)welcome->heartbeat_timeout_ms,
                            .number = ++control->aim };

    if (aim.interval_ms == 0)
        aim.interval_ms = BEAT_DEFAULT_MS;
    if (aim.silence_ms == 0)
        aim.silence_ms = SILENCES * FENCE_DEFAULT_MS;
    if (seek_addr(control->seek, &aim.addr))
        beat_aim(control->beat, &aim);
}

struct silence {
    struct msg msg;
    struct control *control;
    uint64_t aim;
};

static void leave_silent(struct msg *msg)
{
    struct silence *silence = container_of(msg, struct silence, msg);
    struct control *control = silence->control;

    if (silence->aim == control->aim && control->seek != NULL && seek_is_up(control->seek))
        seek_restart(control->seek, "it answers no heartbeat");
    free(silence);
}

static void on_silent(void *ctx, uint64_t aim)
{
    struct silence *silence = xcalloc(1, sizeof *silence);

    silence->msg.run = leave_silent;
    silence->control = ctx;
    silence->aim = aim;
    reactor_post(silence->control->reactor, &silence->msg);
}

static void on_up(void *ctx, const Control__Welcome *welcome)
{
    struct control *control = ctx;

    lock_take(&control->lock);
    control->info.controller_id = welcome->controller_id;
    lock_drop(&control->lock);
    apply_begin(control->apply);
    report_on_up(control->report);
    parts_resend(control->parties.parts, reactor_now_ms(control->reactor));
    forward_on_up(control->forward);
    aim_beats(control, welcome);
    note_info(control);
}

static void on_down(void *ctx)
{
    struct control *control = ctx;

    beat_aim(control->beat, NULL);
    report_on_down(control->report);
    forward_on_down(control->forward);
    note_info(control);
}

static void on_frame(void *ctx, const Control__Frame *frame)
{
    struct control *control = ctx;
    int64_t now_ms = reactor_now_ms(control->reactor);

    if (frame->image != NULL)
        apply_image(control->apply, frame->image, now_ms);
    else if (frame->delta != NULL)
        apply_delta(control->apply, frame->delta, now_ms);
    else if (frame->alter_partition_answer != NULL)
        report_on_alter_answer(control->report, frame->alter_partition_answer, now_ms);
    else if (frame->pid_block_answer != NULL)
        report_on_pid_answer(control->report, frame->pid_block_answer);
    else if (frame->shutdown_answer != NULL)
        report_on_shutdown_answer(control->report, frame->shutdown_answer);
    else if (frame->admin_answer != NULL)
        forward_on_answer(control->forward, frame->admin_answer);
}

static void send_frame(void *ctx, const Control__Frame *frame)
{
    struct control *control = ctx;

    seek_send(control->seek, frame);
}

static bool is_up(void *ctx)
{
    const struct control *control = ctx;

    return seek_is_up(control->seek);
}

static int64_t epoch_of(void *ctx)
{
    const struct control *control = ctx;

    return enroll_epoch(control->enroll);
}

static void restart_stream(void *ctx, const char *why)
{
    struct control *control = ctx;

    seek_restart(control->seek, why);
}

static void on_applied(void *ctx, int32_t controller_epoch, uint64_t version)
{
    struct control *control = ctx;

    if (control->fresh && !control->intact)
        keep(control, BOOT_FILE, control->boot_id, strlen(control->boot_id), false);
    control->fresh = false;
    if (!atomic_exchange_explicit(&control->has_image, true, memory_order_acq_rel))
        control->conf.on_ready(control->conf.ctx);
    forward_on_applied(control->forward, controller_epoch, version);
    note_info(control);
}

static void on_tick(struct reactor_timer *timer)
{
    struct control *control = container_of(timer, struct control, tick);

    int64_t now_ms = reactor_now_ms(control->reactor);

    int64_t next_ms = parts_tick(control->parties.parts, now_ms);
    if (control->apply != NULL && now_ms >= control->retry_ms) {
        apply_retry(control->apply, now_ms);
        control->retry_ms = now_ms + RETRY_MS;
    }
    reactor_timer_set_ms(control->reactor, &control->tick, next_ms);
}

/* ---- start and stop ---- */

static void open_session(void *arg)
{
    struct control *control = arg;
    struct zk_options options = {
        .servers = control->conf.zookeeper_connect,
        .session_timeout_ms = control->conf.zookeeper_session_timeout_ms,
        .mailbox = reactor_mailbox(control->reactor),
        .make_chroot = true,
    };

    if (zk_open(&options, &control->zk) != ERR_OK) {
        control->conf.on_fatal(control->conf.ctx, "zookeeper.connect cannot be used");
        return;
    }
    control->listener = (struct zk_listener){ .on_session = on_session, .on_node = on_node };
    struct enroll_conf enroll = {
        .reactor = control->reactor,
        .resolver = control->conf.resolver,
        .zk = control->zk,
        .self = control->conf.self,
        .software = control->conf.software,
        .on_cluster_id = on_cluster_id,
        .on_registered = on_registered,
        .on_refused = on_refused,
        .on_standing = on_standing,
        .ctx = control,
    };
    control->enroll = enroll_new(&enroll);
    zk_listen(control->zk, &control->listener);
}

struct control *control_start(const struct control_conf *conf)
{
    struct control *control = xcalloc(1, sizeof *control);
    struct rand rand;

    control->conf = *conf;
    control->fresh = true;
    arena_init(&control->hello_arena, SIZE_MAX);
    control->info =
        (struct control_info){ .broker_epoch = -1, .controller_id = -1, .controller_epoch = -1 };
    lock_init(&control->lock, LOCK_CONTROL);
    cond_init(&control->cond);
    atomic_init(&control->has_image, false);
    atomic_init(&control->is_leaving, false);
    rand_seed_os(&rand);
    control->incarnation = rand_uuid(&rand);
    read_boot_id(control);
    judge_logs(control);
    read_last_sessions(control);
    control->reactor = reactor_new();
    reactor_timer_init(&control->tick, on_tick);
    reactor_start(control->reactor, T_CONTROL, -1);
    reactor_call(control->reactor, open_session, control);
    return control;
}

/* Of the start: until the control thread has told what is waited for. Nobody wakes us for a stop,
 * which is but a signal that waits, so it is looked for now and then. */
static enum err wait_for(struct control *control, bool (*is_told_locked)(const struct control *),
                         int64_t timeout_ms)
{
    const struct control_conf *conf = &control->conf;
    int64_t until_ms = clock_mono_ms() + timeout_ms;

    for (;;) {
        int64_t left_ms = until_ms - clock_mono_ms();

        if (conf->is_stopping != NULL && conf->is_stopping(conf->ctx))
            return ERR_SHUTTING_DOWN;
        lock_take(&control->lock);
        if (!is_told_locked(control) && left_ms > 0)
            cond_wait_ms(&control->cond, &control->lock, left_ms < LOOK_MS ? left_ms : LOOK_MS);
        bool is_told = is_told_locked(control);

        lock_drop(&control->lock);
        if (is_told)
            return ERR_OK;
        if (left_ms <= 0)
            return ERR_TIMED_OUT;
    }
}

static bool has_cluster_id_locked(const struct control *control)
{
    lock_assert_held(&control->lock);
    return control->cluster_id[0] != '\0';
}

enum err control_wait_cluster_id(struct control *control, int64_t timeout_ms, char id[23])
{
    enum err err = wait_for(control, has_cluster_id_locked, timeout_ms);

    lock_take(&control->lock);
    memcpy(id, control->cluster_id, sizeof control->cluster_id);
    lock_drop(&control->lock);
    return err;
}

static void on_seqid(void *arg, enum err err, int32_t number)
{
    struct control *control = arg;

    lock_take(&control->lock);
    control->seqid_done = true;
    control->seqid_err = err;
    control->seqid_number = number;
    cond_broadcast(&control->cond);
    lock_drop(&control->lock);
}

static void ask_seqid(void *arg)
{
    struct control *control = arg;

    zk_seqid_take(&control->seqid, control->zk, on_seqid, control);
}

static bool has_seqid_locked(const struct control *control)
{
    lock_assert_held(&control->lock);
    return control->seqid_done;
}

enum err control_take_seqid(struct control *control, int64_t timeout_ms, int32_t *number)
{
    reactor_call(control->reactor, ask_seqid, control);
    enum err err = wait_for(control, has_seqid_locked, timeout_ms);

    lock_take(&control->lock);
    *number = control->seqid_number;
    if (err == ERR_OK)
        err = control->seqid_err;
    lock_drop(&control->lock);
    return err;
}

static void attach(void *arg)
{
    struct control *control = arg;
    struct seek_conf seek = { .reactor = control->reactor,
                              .resolver = control->conf.resolver,
                              .zk = control->zk,
                              .hello = fill_hello,
                              .on_up = on_up,
                              .on_down = on_down,
                              .on_frame = on_frame,
                              .ctx = control };
    struct apply_conf apply = { .parts = control->parties.parts,
                                .groups = control->parties.groups,
                                .meta = control->parties.meta,
                                .send = send_frame,
                                .restart = restart_stream,
                                .on_applied = on_applied,
                                .ctx = control };
    struct report_conf report = { .reactor = control->reactor,
                                  .parts = control->parties.parts,
                                  .pids = control->parties.pids,
                                  .epoch = epoch_of,
                                  .send = send_frame,
                                  .is_up = is_up,
                                  .ctx = control };
    struct forward_conf forward = {
        .reactor = control->reactor, .is_up = is_up, .send = send_frame, .ctx = control
    };

    control->apply = apply_new(&apply);
    control->report = report_new(&report);
    control->forward = forward_new(&forward);
    control->seek = seek_new(&seek);
    seek_on_session(control->seek);
    reactor_timer_set_ms(control->reactor, &control->tick, TICK_MS);
}

void control_attach(struct control *control, const struct control_parties *parties)
{
    struct beat_conf beat = { .broker_id = control->conf.self->id,
                              .incarnation = control->incarnation,
                              .cluster_id = control->cluster_id,
                              .reactors = control->conf.reactors,
                              .reactors_len = control->conf.reactors_len,
                              .stall_ms = STALL_MS,
                              .control = control->reactor,
                              .control_stall_ms = CONTROL_STALL_MS,
                              .on_silent = on_silent,
                              .ctx = control };

    control->parties = *parties;
    control->beat = beat_start(&beat);
    reactor_call(control->reactor, attach, control);
}

struct forward *control_forward(struct control *control)
{
    return control->forward;
}

static void let_enroll(void *arg)
{
    struct control *control = arg;

    enroll_allow(control->enroll);
}

void control_enroll(struct control *control)
{
    reactor_call(control->reactor, let_enroll, control);
}

bool control_has_image(const struct control *control)
{
    return atomic_load_explicit(&control->has_image, memory_order_acquire);
}

void control_propose(struct control *control, struct part *part,
                     const struct part_proposal *proposal)
{
    report_propose(control->report, part, proposal);
}

void control_want_pids(struct control *control)
{
    report_want_pids(control->report);
}

void control_dir_failed(struct control *control, const char *dir)
{
    if (control->report != NULL)
        report_dir_failed(control->report, dir);
}

/* ---- leaving ---- */

static void on_relieved(void *ctx, enum err err, int32_t still_led)
{
    struct control *control = ctx;

    lock_take(&control->lock);
    control->leave_done = true;
    control->leave_err = err;
    control->still_led = still_led;
    cond_broadcast(&control->cond);
    lock_drop(&control->lock);
}

/* A process that has been told no roles, registered or not, has none to hand over. */
static void ask_to_leave(void *arg)
{
    struct control *control = arg;

    if (!control_has_image(control)) {
        on_relieved(control, ERR_OK, 0);
        return;
    }
    parts_stop(control->parties.parts, reactor_now_ms(control->reactor));
    report_shutdown(control->report, on_relieved, control);
}

enum err control_leave(struct control *control, int tries, int64_t backoff_ms)
{
    enum err err = ERR_TIMED_OUT;

    atomic_store(&control->is_leaving, true);
    for (int i = 0; i < tries; i++) {
        lock_take(&control->lock);
        control->leave_done = false;
        lock_drop(&control->lock);
        reactor_call(control->reactor, ask_to_leave, control);
        lock_take(&control->lock);
        while (!control->leave_done)
            cond_wait(&control->cond, &control->lock);
        err = control->leave_err;
        int32_t still_led = control->still_led;
        if (err == ERR_OK && still_led == 0) {
            lock_drop(&control->lock);
            return ERR_OK;
        }
        say_info("controlled shutdown: not relieved yet err=%s still_led=%d try=%d", err_name(err),
                 still_led, i + 1);
        if (i + 1 < tries) /* without a controller nobody will relieve us soon */
            cond_wait_ms(&control->cond, &control->lock,
                         err == ERR_NOT_CONTROLLER && backoff_ms > NO_CONTROLLER_MS
                             ? NO_CONTROLLER_MS
                             : backoff_ms);
        lock_drop(&control->lock);
        if (err == ERR_OK)
            err = ERR_TIMED_OUT;
    }
    return err;
}

static void end(void *arg)
{
    struct control *control = arg;

    reactor_timer_cancel(control->reactor, &control->tick);
    if (control->seek != NULL)
        seek_free(&control->seek);
    if (control->enroll != NULL)
        enroll_free(&control->enroll);
    if (control->zk != NULL) {
        zk_unlisten(control->zk, &control->listener);
        zk_close(&control->zk);
    }
    if (control->forward != NULL)
        forward_free(&control->forward);
    if (control->report != NULL)
        report_free(&control->report);
    if (control->apply != NULL)
        apply_free(&control->apply);
}

void control_stop(struct control **control_ptr)
{
    struct control *control = *control_ptr;

    *control_ptr = NULL;
    atomic_store(&control->is_leaving, true);
    if (control->beat != NULL)
        beat_stop(&control->beat);
    reactor_call(control->reactor, end, control);
    reactor_stop(control->reactor);
    reactor_free(&control->reactor);
    arena_fini(&control->hello_arena);
    cond_fini(&control->cond);
    lock_fini(&control->lock);
    free(control);
}

void control_get_info(struct control *control, struct control_info *out)
{
    lock_take(&control->lock);
    *out = control->info;
    lock_drop(&control->lock);
}
