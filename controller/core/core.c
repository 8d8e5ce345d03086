/*
 * The one entry. An event is absorbed by the module it concerns; then, unless a WRITE is out, all
 * that waits is planned together and goes out as one WRITE, or is finished at once; then what is
 * true by now is published and answered.
 *
 * A step that comes much later than it was asked for means that this process was held up, not the
 * brokers: their beats are sitting in the mailbox behind us. So silence is counted anew from then
 * on.
 */
#include "controller/core/core.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

struct core_held {
    void *what;
    void (*release)(void *what);
};

/* ---- effects
 * ------------------------------------------------------------------------------------- */

void core_effects_init(struct core_effects *effects)
{
    memset(effects, 0, offsetof(struct core_effects, arena));
    arena_init(&effects->arena, SIZE_MAX);
    effects->held = NULL;
    effects->n_held = effects->cap_held = 0;
}

void core_effects_reset(struct core_effects *effects)
{
    effects->n = 0;
    for (size_t i = 0; i < effects->n_held; i++)
        effects->held[i].release(effects->held[i].what);
    effects->n_held = 0;
    arena_reset(&effects->arena);
}

void core_effects_fini(struct core_effects *effects)
{
    core_effects_reset(effects);
    arena_fini(&effects->arena);
    free(effects->at);
    free(effects->held);
    effects->at = NULL;
    effects->held = NULL;
    effects->cap = effects->cap_held = 0;
}

static void hold(struct core_effects *out, void *what, void (*release)(void *))
{
    array_reserve(&out->held, &out->cap_held, out->n_held, sizeof *out->held);
    out->held[out->n_held++] = (struct core_held){ .what = what, .release = release };
}

static void release_image(void *what)
{
    struct image *image = what;

    image_unref(&image);
}

static void release_plan(void *what)
{
    struct plan *plan = what;

    plan_free(&plan);
}

void core_hold_image(struct core *core, struct image **image)
{
    hold(core->out, *image, release_image);
    *image = NULL;
}

void core_retire_plan(struct core *core, struct plan **plan)
{
    hold(core->out, *plan, release_plan);
    *plan = NULL;
}

struct core_effect *emit(struct core *core, enum core_effect_kind kind)
{
    struct core_effects *out = core->out;

    array_reserve(&out->at, &out->cap, out->n, sizeof *out->at);

    struct core_effect *effect = &out->at[out->n++];

    memset(effect, 0, sizeof *effect);
    effect->kind = kind;
    return effect;
}

void core_say(struct core *core, enum core_say_level level, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);

    struct core_say *say = &emit(core, CORE_DO_SAY)->say;

    say->level = level;
    say->text = arena_str(&core->out->arena, str_of(text));
}

void core_reload(struct core *core, struct core_reload reload)
{
    if (core->reloading)
        return;
    core->reloading = reload.what == RELOAD_ALL;
    if (!str_is_null(reload.topic))
        reload.topic = arena_str(&core->out->arena, reload.topic);
    if (reload.what == RELOAD_CONFIG) {
        reload.type = arena_str(&core->out->arena, reload.type);
        reload.name = arena_str(&core->out->arena, reload.name);
    }
    emit(core, CORE_DO_RELOAD)->reload = reload;
}

/* splitmix64 */
uint64_t core_chance(struct core *core)
{
    uint64_t z = core->chance += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* ---- life
 * ------------------------------------------------------------------------------------------ */

void core_settings_init(struct core_settings *settings)
{
    *settings = (struct core_settings){ .controller_id = 3001,
                                        .default_replication_factor = 1,
                                        .num_partitions = 1,
                                        .delete_topic_enable = true,
                                        .auto_leader_rebalance_enable = true,
                                        .leader_imbalance_per_broker_percentage = 10,
                                        .leader_imbalance_check_interval_ms = 300000,
                                        .heartbeat_timeout_ms = 1000,
                                        .session_timeout_ms = 18000,
                                        .grace_ms = 18000,
                                        .together_max = 5000 };
}

struct core *core_new(const struct core_settings *settings, uint64_t seed)
{
    struct core *core = xcalloc(1, sizeof *core);
    struct image_setting *defaults;

    core->settings = *settings;
    arena_init(&core->settings_arena, SIZE_MAX);
    defaults = arena_zalloc(&core->settings_arena, settings->n_topic_defaults, sizeof *defaults);
    for (size_t i = 0; i < settings->n_topic_defaults; i++) {
        defaults[i].key = arena_str(&core->settings_arena, settings->topic_defaults[i].key);
        defaults[i].value = arena_str(&core->settings_arena, settings->topic_defaults[i].value);
    }
    core->settings.topic_defaults = defaults;
    core->chance = seed;
    core->pid_block = (struct core_pid_block){ .broker = -1, .first = -1, .last = -1 };
    core->wake_ms = core->word_ms = core->repair_ms = core->unread_ms = NEVER_MS;
    STAILQ_INIT(&core->alters);
    STAILQ_INIT(&core->shutdowns);
    STAILQ_INIT(&core->pids);
    TAILQ_INIT(&core->jobs);
    TAILQ_INIT(&core->doomeds);
    STAILQ_INIT(&core->acked_tombstones);
    STAILQ_INIT(&core->read_configs);
    return core;
}

/* Everything but the settings, the state of chance, and which producer ids have been given out. */
static void forget(struct core *core)
{
    struct wait_shutdown *shutdown;
    struct acked_tombstone *tombstone;

    core->active = core->resigning = core->reloading = false;
    jobs_drop_all(core);
    isr_drop_stream(core, 0);
    pids_drop(core, 0, true);
    while ((shutdown = STAILQ_FIRST(&core->shutdowns)) != NULL) {
        STAILQ_REMOVE_HEAD(&core->shutdowns, link);
        free(shutdown);
    }
    topics_forget(core);
    while ((tombstone = STAILQ_FIRST(&core->acked_tombstones)) != NULL) {
        STAILQ_REMOVE_HEAD(&core->acked_tombstones, link);
        free(tombstone);
    }
    plan_free(&core->making);
    if (core->writing != NULL && core->out != NULL)
        core_retire_plan(core, &core->writing);
    plan_free(&core->writing);
    if (core->image != NULL && core->out != NULL)
        core_hold_image(core, &core->image);
    image_unref(&core->image);
    brokers_reset(core);
    reassign_forget(core);
    wishes_forget(core);
    elr_forget(core);
    yields_forget(core);
    settings_forget(core);
    repair_forget(core);
    unread_forget(core);
    free(core->extras);
    core->extras = NULL;
    core->n_extras = core->cap_extras = 0;
    core->n_missing = core->n_removed = 0;
    core->wake_ms = NEVER_MS;
    core->scan = core->waits_word = core->word_wanted = core->states_first = false;
    core->brokers_asked = core->any_hello = core->pid_block_asked = false;
    core->pid_failures = 0;
    core->pid_after_ms = 0;
}

void core_free(struct core **corep)
{
    struct core *core = *corep;

    *corep = NULL;
    if (core == NULL)
        return;
    core->out = NULL;
    forget(core);
    arena_fini(&core->settings_arena);
    free(core);
}

/* ---- one step
 * --------------------------------------------------------------------------------------- */

static void on_resigned(struct core *core);

static void on_loaded(struct core *core, const struct core_loaded *loaded)
{
    bool again = core->active && loaded->controller_epoch == core->controller_epoch;
    int64_t last_pid = core->pid_block.last;

    if (!again)
        on_resigned(core); /* won again before we knew that it was lost */
    core->active = true;
    core->reloading = false;
    core->controller_epoch = loaded->controller_epoch;
    core->loaded_ms = core->now_ms;
    core->balance_ms = core->now_ms + 5000;
    view_load(core, loaded);
    pids_keep(core, last_pid);
    elr_load(core, loaded);
    stones_loaded(core);
    settings_loaded(core);
    core->scan = true;
    core_say(core, CORE_SAY_INFO,
             "%s epoch=%d brokers=%zu topics=%zu partitions=%zu tombstones=%zu",
             again ? "loaded again" : "became the active controller", core->controller_epoch,
             loaded->n_nodes, image_n_topics(core->image), image_n_parts(core->image),
             image_n_tombstones(core->image));
}

static void on_resigned(struct core *core)
{
    if (core->active)
        core_say(core, CORE_SAY_INFO, "resigned as the active controller epoch=%d",
                 core->controller_epoch);
    for (size_t i = 0; i < core->n_brokers; i++) {
        if (core->brokers[i]->phase != STREAM_NONE)
            emit(core, CORE_DO_END_STREAM)->end_stream =
                (struct core_end_stream){ .stream = core->brokers[i]->stream,
                                          .reason = GOODBYE_RESIGNED };
    }
    forget(core);
}

static void on_stream_ended(struct core *core, uint64_t stream)
{
    struct wait_shutdown *shutdown, *next;

    brokers_on_stream_ended(core, stream);
    isr_drop_stream(core, stream);
    pids_drop(core, stream, false);
    for (shutdown = STAILQ_FIRST(&core->shutdowns); shutdown != NULL; shutdown = next) {
        next = STAILQ_NEXT(shutdown, link);
        if (shutdown->stream == stream) {
            STAILQ_REMOVE(&core->shutdowns, shutdown, wait_shutdown, link);
            free(shutdown);
        }
    }
}

static void on_write_done(struct core *core, const struct core_write_done *done)
{
    if (core->writing == NULL || core->writing->batch != done->batch)
        return;
    assert(done->n == core->writing->n_ops);
    plan_finish(core, &core->writing, done->results);
}

static void on_acked(struct core *core, const struct core_acked *acked)
{
    struct broker *b = broker_of_stream(core, acked->stream);

    if (b == NULL || acked->controller_epoch != core->controller_epoch)
        return;
    parts_on_failures(core, b, acked->n_failures, acked->failures, false);
    stones_on_deleted(core, b, acked->n_deleted, acked->deleted);
    brokers_on_acked(core, acked);
}

static void on_dir_failed(struct core *core, const struct core_dir_failed *failed)
{
    struct broker *b = broker_of_stream(core, failed->stream);

    if (b != NULL)
        parts_on_failures(core, b, failed->n, failed->parts, true);
}

/* Who asks an inactive controller is told at once. */
static void refuse(struct core *core, const struct core_event *ev)
{
    switch (ev->kind) {
    case CORE_HELLO:
        emit(core, CORE_DO_END_STREAM)->end_stream =
            (struct core_end_stream){ .stream = ev->hello.stream, .reason = GOODBYE_NOT_ACTIVE };
        break;
    case CORE_ADMIN:
        emit(core, CORE_DO_ANSWER_ADMIN)->answer_admin =
            (struct core_answer_admin){ .id = ev->admin.id,
                                        .stream = ev->admin.stream,
                                        .api_key = ev->admin.api_key,
                                        .api_version = ev->admin.api_version,
                                        .err = ERR_NOT_CONTROLLER };
        break;
    default: /* their streams are ended or never were; ZooKeeper's news are for the active one */
        break;
    }
}

static void absorb(struct core *core, const struct core_event *ev)
{
    switch (ev->kind) {
    case CORE_LOADED:
        on_loaded(core, &ev->loaded);
        break;
    case CORE_RESIGNED:
        on_resigned(core);
        break;
    case CORE_WRITE_DONE:
        on_write_done(core, &ev->write_done);
        break;
    case CORE_BROKER_NODES:
        brokers_on_nodes(core, ev->broker_nodes.n, ev->broker_nodes.nodes);
        break;
    case CORE_DELETE_MARKS:
        topics_on_marks(core, ev->names.n, ev->names.names);
        break;
    case CORE_TOPIC_NAMES:
        topics_on_names(core, &ev->names);
        view_on_topic_names(core, &ev->names);
        break;
    case CORE_TOPIC_READ:
        view_on_topic_read(core, &ev->topic_read);
        break;
    case CORE_STATE_READ:
        view_on_state_read(core, &ev->state_read);
        break;
    case CORE_CONFIG_READ:
        settings_on_read(core, &ev->config_read);
        break;
    case CORE_PID_BLOCK_READ:
        pids_on_read(core, &ev->pid_block_read.block);
        break;
    case CORE_MOVES_WANTED:
        wishes_on_moves(core, &ev->wishes);
        break;
    case CORE_ELECTIONS_WANTED:
        wishes_on_elections(core, &ev->wishes);
        break;
    case CORE_ISR_CHANGED:
        wishes_on_isr_changed(core, &ev->named_parts);
        break;
    case CORE_DIR_EVENT:
        wishes_on_dir_event(core, &ev->dir_event);
        break;
    case CORE_HELLO:
        brokers_on_hello(core, &ev->hello);
        break;
    case CORE_STREAM_ENDED:
        on_stream_ended(core, ev->stream_ended.stream);
        break;
    case CORE_HEARTBEAT:
        brokers_on_heartbeat(core, &ev->heartbeat);
        break;
    case CORE_ACKED:
        on_acked(core, &ev->acked);
        break;
    case CORE_PROBED:
        brokers_on_probed(core, &ev->probed);
        break;
    case CORE_ALTER_PARTITION:
        isr_on_alter(core, &ev->alter_partition);
        break;
    case CORE_SHUTDOWN_WANTED:
        brokers_on_shutdown_wanted(core, &ev->shutdown_wanted);
        break;
    case CORE_PID_BLOCK_WANTED:
        pids_on_wanted(core, &ev->pid_block_wanted);
        break;
    case CORE_DIR_FAILED:
        on_dir_failed(core, &ev->dir_failed);
        break;
    case CORE_ADMIN:
        jobs_on_admin(core, &ev->admin);
        break;
    case CORE_TICK:
    case CORE_N_EVENTS:
        break;
    }
}

/* Of those who want to stop, which the plan has moved all it can from. */
static void note_moved_from(struct core *core)
{
    struct wait_shutdown *wait;

    STAILQ_FOREACH (wait, &core->shutdowns, link) {
        const struct broker *b = broker_get(core, wait->broker);

        wait->planned = b == NULL || !b->waits_word;
    }
}

/* All that waits, in one plan: the dead first, so that what follows is decided on what will be.
 * Settings do not share one with states, so they take turns. True: it was the turn of states and
 * there were none, so that one more plan is to be made. */
static bool make_plan(struct core *core)
{
    bool turn = core->states_first;

    core->making = plan_new(core);
    if (core->scan) {
        core->scan = false;
        core->making->all = parts_scan(core);
        if (core->making->all)
            note_moved_from(core);
    }
    settings_plan_read(core);
    topics_plan_ids(core);
    wishes_plan(core);
    reassign_plan(core);
    yields_plan(core);
    jobs_plan(core);
    isr_plan(core); /* after jobs, which it could make wait for ever; leaders ask again */
    pids_plan(core);
    topics_plan(core); /* after those who may doom one */
    stones_plan_acked(core);
    balance_plan(core);
    core->states_first = core->making->has_settings;

    if (core->making->n_ops == 0) {
        plan_finish(core, &core->making, NULL);
        return turn;
    }
    core->writing = core->making;
    core->making = NULL;
    core->writing->batch = ++core->n_batches;
    settings_written(core);
    emit(core, CORE_DO_WRITE)->write =
        (struct core_write){ .batch = core->writing->batch,
                             .controller_epoch = core->controller_epoch,
                             .n = core->writing->n_ops,
                             .ops = core->writing->ops };
    return false;
}

/* A broker that wants to stop is answered once the plan of moving all from it is done. */
void shutdowns_moved(struct core *core)
{
    struct wait_shutdown *wait;

    STAILQ_FOREACH (wait, &core->shutdowns, link)
        wait->moved = wait->planned && !core->reloading;
}

static void answer_shutdowns(struct core *core)
{
    struct wait_shutdown *wait, *next;

    for (wait = STAILQ_FIRST(&core->shutdowns); wait != NULL; wait = next) {
        next = STAILQ_NEXT(wait, link);
        if (!wait->moved)
            continue;
        emit(core, CORE_DO_ANSWER_SHUTDOWN)->answer_shutdown =
            (struct core_answer_shutdown){ .stream = wait->stream,
                                           .number = wait->number,
                                           .still_led = broker_still_led(core, wait->broker) };
        STAILQ_REMOVE(&core->shutdowns, wait, wait_shutdown, link);
        free(wait);
    }
}

/* What failed and is tried again. What is due already waits for the WRITE that is out. */
static int64_t retries_next_ms(const struct core *core)
{
    const int64_t all[] = { core->repair_ms,      core->unread_ms,   topics_next_ms(core),
                            wishes_next_ms(core), elr_next_ms(core), pids_next_ms(core) };
    int64_t at = NEVER_MS;

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i] > core->now_ms && all[i] < at)
            at = all[i];
    }
    return at;
}

static void set_alarm(struct core *core)
{
    int64_t at = brokers_next_ms(core), jobs = jobs_next_ms(core), retries = retries_next_ms(core);

    if (jobs < at)
        at = jobs;
    if (retries < at)
        at = retries;
    /* nothing is balanced while a WRITE is out: its end brings us back here */
    if (core->settings.auto_leader_rebalance_enable && core->writing == NULL && !core->reloading &&
        core->balance_ms < at)
        at = core->balance_ms;
    if (at == core->wake_ms)
        return;
    core->wake_ms = at;
    emit(core, CORE_DO_WAKE_AT)->wake_at.at_ms = at;
}

void core_step(struct core *core, const struct core_event *ev, int64_t now_ms,
               struct core_effects *out)
{
    bool held_up = core->wake_ms != NEVER_MS &&
                   now_ms - core->wake_ms > core->settings.heartbeat_timeout_ms / 2;
    bool finished = ev->kind == CORE_WRITE_DONE;

    core->out = out;
    core->now_ms = now_ms;
    if (!core->active && ev->kind != CORE_LOADED && ev->kind != CORE_RESIGNED) {
        refuse(core, ev);
        core->out = NULL;
        return;
    }
    for (size_t i = 0; held_up && i < core->n_brokers; i++) {
        struct broker *b = core->brokers[i];

        b->heard_ms = now_ms;
        if (b->fence_ms != NEVER_MS &&
            b->fence_ms < now_ms + core->settings.heartbeat_timeout_ms / 2)
            b->fence_ms = now_ms + core->settings.heartbeat_timeout_ms / 2;
    }
    absorb(core, ev);
    if (core->active && !core->resigning) {
        if (core->wake_ms <= now_ms)
            core->wake_ms = NEVER_MS; /* that alarm has gone off */
        brokers_on_time(core);
        repair_on_time(core);
        unread_on_time(core);
        elr_on_time(core);
        if ((finished && core->writing == NULL) || view_is_pending(core) ||
            (core->word_wanted && core->writing != NULL))
            view_publish(core);
        /* before the next plan: there may always be one */
        if (core->writing == NULL)
            brokers_send_images(core);
        /* a plan without operations may leave something to look at again */
        for (bool again = true; again && core->writing == NULL && !core->reloading;)
            again = make_plan(core) || core->scan;
        if (core->writing == NULL) {
            brokers_send_images(core);
            view_publish(core);
        }
        answer_shutdowns(core);
        jobs_settle(core);
        set_alarm(core);
    }
    view_clear(core); /* what is pending lives in the effects */
    core->out = NULL;
}

/* ---- looking in
 * ---------------------------------------------------------------------------------- */

const struct image *core_image(const struct core *core)
{
    return core->image;
}

bool core_is_active(const struct core *core)
{
    return core->active && !core->resigning;
}

int64_t core_gone_ms(const struct core *core, int32_t broker)
{
    const struct broker *b = broker_get(core, broker);

    return b == NULL ? core->loaded_ms : b->gone_ms;
}

bool core_withholds(const struct core *core)
{
    return settings_are_withheld(core);
}

bool core_is_busy(const struct core *core)
{
    return core->writing != NULL || core->scan || core->waits_word || core->reloading;
}

const char *core_event_name(enum core_event_kind kind)
{
    static const char *const names[] = {
#define CORE_EVENT(kind, member, doc) #kind,
#include "controller/core/event.def"
    };

    return (size_t)kind < ARRAY_LEN(names) ? names[kind] : "?";
}

const char *core_effect_name(enum core_effect_kind kind)
{
    static const char *const names[] = {
#define CORE_EFFECT(kind, member, doc) #kind,
#include "controller/core/event.def"
    };

    return (size_t)kind < ARRAY_LEN(names) ? names[kind] : "?";
}
