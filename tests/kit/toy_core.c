#include "tests/kit/toy_core.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/tables/broker_conf.h"
#include "common/base/mem.h"

static struct endpoint endpoints[TOY_BROKERS + 1][2];

/* ---- the queue of events that follow -------------------------------------------------------- */

static struct core_event *push(struct toy *toy, enum core_event_kind kind)
{
    struct core_event *ev = xcalloc(1, sizeof *ev);

    ck_assert_uint_lt(toy->n_queue, ARRAY_LEN(toy->queue));
    toy->queue[toy->n_queue++] = ev;
    ev->kind = kind;
    return ev;
}

/* ---- ZooKeeper ------------------------------------------------------------------------------ */

/* Groups are not torn: the toy has no transactions, so a group's operations are tried on a copy
 * first. */
static void do_write(struct toy *toy, const struct core_write *write)
{
    struct core_op_result *results = xcalloc(write->n, sizeof *results);
    static struct toy before;
    struct core_event *done;
    size_t n_groups = 0;

    ck_assert_int_eq(write->controller_epoch, toy->controller_epoch);
    for (size_t i = 0; toy->lose != TOY_LOSE_BEFORE && i < write->n;) {
        size_t end = i;
        bool failed = false;

        if (toy->cut > 0 && n_groups++ == toy->cut)
            break;
        while (end < write->n && write->ops[end].group == write->ops[i].group)
            end++;
        before = *toy;
        for (size_t j = i; j < end && !failed; j++) {
            results[j] = toy->fenced ? (struct core_op_result){ .err = ERR_FENCED }
                                     : toy_do(toy, &write->ops[j]);
            failed = results[j].err != ERR_OK;
        }
        if (failed) {
            enum err why = toy->fenced ? ERR_FENCED : ERR_CLOSED;

            *toy = before;
            for (size_t j = i; j < end; j++)
                results[j].err = results[j].err != ERR_OK ? results[j].err : why;
        }
        i = end;
    }
    for (size_t i = 0; (toy->lose != TOY_LOSE_NOTHING || toy->cut > 0) && i < write->n; i++)
        results[i].err = ERR_CONNECTION_LOSS;
    toy->lose = TOY_LOSE_NOTHING;
    toy->cut = 0;
    toy->n_writes++;
    toy->n_ops += write->n;
    toy->last_ops = write->n;
    done = push(toy, CORE_WRITE_DONE);
    done->write_done.batch = write->batch;
    done->write_done.n = write->n;
    done->write_done.results = results;
}

static size_t list_nodes(struct toy *toy, struct node *nodes)
{
    size_t n = 0;

    for (int32_t id = 1; id <= TOY_BROKERS; id++) {
        struct toy_broker *b = &toy->brokers[id];

        if (!b->registered)
            continue;
        endpoints[id][0] =
            (struct endpoint){ STR("OUTER"), STR("PLAINTEXT"), STR("h"), 19000 + id, false };
        endpoints[id][1] =
            (struct endpoint){ STR("INNER"), STR("PLAINTEXT"), STR("h"), 9000 + id, !b->says_not };
        nodes[n++] = (struct node){ .id = id,
                                    .epoch = b->epoch,
                                    .rack = str_of(b->rack),
                                    .n_endpoints = b->has_outer ? 2 : 1,
                                    .endpoints = &endpoints[id][b->has_outer ? 0 : 1] };
    }
    return n;
}

static void push_nodes(struct toy *toy)
{
    struct node *nodes = xcalloc(TOY_BROKERS, sizeof *nodes);
    struct core_event *ev = push(toy, CORE_BROKER_NODES);

    ev->broker_nodes.n = list_nodes(toy, nodes);
    ev->broker_nodes.nodes = nodes;
}

/* The loader does not believe it. */
static bool is_garbled(const struct toy_part *part)
{
    return part->is_garbled || !leader_isr_valid(&part->state);
}

static struct core_read_part read_part(const struct toy_part *part, int32_t index)
{
    struct leader_isr garbled = { .leader = LEADER_NONE,
                                  .leader_epoch = -1,
                                  .partition_epoch = part->state.partition_epoch };

    return (struct core_read_part){ .index = index,
                                    .replicas = { part->replicas, part->n_replicas },
                                    .adding = { part->adding, part->n_adding },
                                    .removing = { part->removing, part->n_removing },
                                    .has_state = part->has_state && !is_garbled(part),
                                    .is_unreadable = part->has_state && is_garbled(part),
                                    .state_controller_epoch = part->state_epoch,
                                    .state = is_garbled(part) ? garbled : part->state };
}

static bool is_unread(const struct toy_topic *topic)
{
    bool unread = topic->is_garbled || topic->is_forbidden;

    for (size_t i = 0; i < topic->n_parts; i++) {
        const struct toy_part *from = &topic->parts[i];
        struct image_part part = { .index = (int32_t)i,
                                   .leader = LEADER_NONE,
                                   .replicas = { from->replicas, from->n_replicas },
                                   .adding = { from->adding, from->n_adding },
                                   .removing = { from->removing, from->n_removing } };

        unread |= !image_part_valid(&part);
    }
    return unread;
}

static struct core_read_topic read_topic(const struct toy_topic *topic, struct str name,
                                         const struct core_read_part *parts)
{
    if (is_unread(topic))
        return (struct core_read_topic){ .name = name,
                                         .version = topic->is_forbidden ? -1 : topic->version,
                                         .is_unreadable = true };
    return (struct core_read_topic){ .name = name,
                                     .id = topic->id,
                                     .version = topic->version,
                                     .n_parts = topic->n_parts,
                                     .parts = parts };
}

static bool is_unread_config(const struct toy *toy, struct str type, struct str name)
{
    return toy->unread != NULL && str_is(type, "topics") && str_is(name, toy->unread);
}

static void load(struct toy *toy)
{
    static struct node nodes[TOY_BROKERS];
    static struct core_read_topic topics[TOY_TOPICS];
    static struct core_read_part parts[TOY_TOPICS][TOY_PARTS];
    static struct str marks[TOY_TOPICS];
    static struct core_tombstones stones[256];
    static struct core_tombstone_part stone_parts[256];
    static struct image_config configs[64], unread;
    static struct core_eligible eligible[TOY_TOPICS * TOY_PARTS];
    struct image_cursor at = { 0 };
    const struct image_config *config;
    struct core_event ev = { .kind = CORE_LOADED };
    struct core_loaded *l = &ev.loaded;

    l->controller_epoch = toy->controller_epoch;
    l->cluster_id = STR("toy");
    l->nodes = nodes;
    l->n_nodes = list_nodes(toy, nodes);
    l->topics = topics;
    for (size_t i = 0; i < TOY_TOPICS; i++) {
        const struct toy_topic *t = &toy->topics[i];

        if (!t->there)
            continue;
        for (size_t p = 0; p < t->n_parts; p++) {
            parts[i][p] = read_part(&t->parts[p], (int32_t)p);
            if (t->parts[p].has_eligible)
                eligible[l->n_eligible++] = t->parts[p].eligible;
        }
        topics[l->n_topics++] = read_topic(t, str_of(t->name), parts[i]);
    }
    l->eligible = eligible;
    l->ours_since = toy->ours_since;
    l->delete_marks = marks;
    for (; l->n_delete_marks < toy->n_marks; l->n_delete_marks++)
        marks[l->n_delete_marks] = str_of(toy->marks[l->n_delete_marks]);
    l->tombstones = stones;
    for (size_t i = 0; i < toy->n_stones; i++) {
        stone_parts[i] =
            (struct core_tombstone_part){ toy->stones[i].partition, toy->stones[i].leader_epoch };
        stones[l->n_tombstones++] = (struct core_tombstones){ .broker = toy->stones[i].broker,
                                                              .topic_id = toy->stones[i].topic_id,
                                                              .topic = toy->stones[i].topic,
                                                              .n = 1,
                                                              .parts = &stone_parts[i] };
    }
    l->configs = configs;
    while ((config = image_next_config(toy->configs, &at)) != NULL)
        if (is_unread_config(toy, config->type, config->name))
            l->n_unread_configs = 1;
        else
            configs[l->n_configs++] = *config;
    unread = (struct image_config){ .type = STR("topics"), .name = str_of(toy->unread) };
    l->unread_configs = &unread;
    l->pid_block = toy->pid_block;
    toy->active = true;
    toy_step(toy, ev);
}

/* As they are now: what is in ZooKeeper may be another when the event's turn comes. */
static struct image_config read_config(struct toy *toy, struct str type, struct str name)
{
    const struct image_config *config = image_config(toy->configs, type, name);
    struct image_config read = { .type = arena_str(&toy->reads, type),
                                 .name = arena_str(&toy->reads, name),
                                 .n_settings = config != NULL ? config->n_settings : 0 };
    struct image_setting *settings = arena_zalloc(&toy->reads, read.n_settings, sizeof *settings);

    for (size_t i = 0; i < read.n_settings; i++) {
        settings[i].key = arena_str(&toy->reads, config->settings[i].key);
        settings[i].value = arena_str(&toy->reads, config->settings[i].value);
    }
    read.settings = settings;
    return read;
}

static void reload_topic(struct toy *toy, struct str name, const struct toy_topic *topic)
{
    struct core_event *ev = push(toy, CORE_TOPIC_READ);
    struct core_read_topic *read;
    struct core_read_part *parts;
    struct image_config config;

    ev->topic_read.name = arena_str(&toy->reads, name);
    if (topic == NULL)
        return;
    read = arena_zalloc(&toy->reads, 1, sizeof *read);
    parts = arena_zalloc(&toy->reads, topic->n_parts, sizeof *parts);
    for (size_t i = 0; i < topic->n_parts; i++)
        parts[i] = read_part(&topic->parts[i], (int32_t)i);
    *read = read_topic(topic, arena_str(&toy->reads, name), parts);
    ev->topic_read.topic = read;
    config = read_config(toy, STR("topics"), read->name);
    ev->topic_read.n_settings = config.n_settings;
    ev->topic_read.settings = config.settings;
}

void toy_look(struct toy *toy, const char *topic)
{
    reload_topic(toy, str_of(topic), toy_topic(toy, topic));
    toy_step(toy, (struct core_event){ .kind = CORE_TICK });
}

static void reload(struct toy *toy, const struct core_reload *r)
{
    struct toy_topic *topic = str_is_null(r->topic) ? NULL : toy_topic_of(toy, r->topic);
    struct core_event *ev;

    switch (r->what) {
    case RELOAD_BROKERS:
        push_nodes(toy);
        break;
    case RELOAD_STATE:
        ev = push(toy, CORE_STATE_READ);
        ev->state_read.topic_id = r->topic_id;
        ev->state_read.partition = r->partition;
        if (topic != NULL) {
            struct core_read_part part = read_part(&topic->parts[r->partition], r->partition);

            ev->state_read.part = xmemdup(&part, sizeof part);
        }
        break;
    case RELOAD_PID_BLOCK:
        push(toy, CORE_PID_BLOCK_READ)->pid_block_read.block = toy->pid_block;
        break;
    case RELOAD_ALL:
        toy->load_wanted = true;
        break;
    case RELOAD_TOPIC:
        reload_topic(toy, r->topic, topic);
        break;
    case RELOAD_CONFIG:
        if (is_unread_config(toy, r->type, r->name))
            break;
        push(toy, CORE_CONFIG_READ)->config_read.config = read_config(toy, r->type, r->name);
        break;
    }
}

/* ---- brokers -------------------------------------------------------------------------------- */

static struct toy_broker *of_stream(struct toy *toy, uint64_t stream, int32_t *id)
{
    for (*id = 1; *id <= TOY_BROKERS; ++*id) {
        if (toy->brokers[*id].stream == stream)
            return &toy->brokers[*id];
    }
    return NULL;
}

static void push_ack(struct toy *toy, const struct toy_broker *b)
{
    struct core_event *ev = push(toy, CORE_ACKED);

    ev->acked.stream = b->stream;
    ev->acked.controller_epoch = image_controller_epoch(b->image);
    ev->acked.version = image_version(b->image);
}

static void take_image(struct toy *toy, const struct core_send_image *send)
{
    int32_t id;
    struct toy_broker *b = of_stream(toy, send->stream, &id);

    ck_assert_ptr_nonnull(b);
    image_unref(&b->image);
    b->image = toy_send_image(send->image);
    b->n_images++;
    b->confirmed = true;
    if (b->acks)
        push_ack(toy, b);
}

static void take_delta(struct toy *toy, const struct core_send_delta *send)
{
    for (size_t i = 0; i < send->n_streams; i++) {
        int32_t id;
        struct toy_broker *b = of_stream(toy, send->streams[i], &id);
        struct image *next;

        if (b == NULL)
            continue;
        ck_assert_ptr_nonnull(b->image);
        ck_assert_uint_eq(send->delta->version, image_version(b->image) + 1);
        next = toy_send_delta(b->image, send->delta);
        image_unref(&b->image);
        b->image = next;
        b->n_deltas++;
        if (b->acks)
            push_ack(toy, b);
    }
}

/* ---- effects -------------------------------------------------------------------------------- */

static void take_probe(struct toy *toy, const struct core_probe *probe)
{
    struct toy_broker *b = &toy->brokers[probe->broker];
    struct core_event *ev;

    ck_assert_int_eq(probe->endpoints[probe->n - 1].port, 9000 + probe->broker);
    b->n_asked = probe->n;
    b->probe_number = probe->probe;
    if (b->probe_lasts)
        return;
    ev = push(toy, CORE_PROBED);
    ev->probed.broker = probe->broker;
    ev->probed.probe = probe->probe;
    ev->probed.result = b->probe;
}

static void take_end(struct toy *toy, const struct core_end_stream *end)
{
    int32_t id;
    struct toy_broker *b = of_stream(toy, end->stream, &id);

    if (b == NULL)
        return;
    b->stream = 0;
    b->goodbye = end->reason;
}

static void carry_out(struct toy *toy, const struct core_effect *e)
{
    int32_t id;
    struct toy_broker *b;

    switch (e->kind) {
    case CORE_DO_WRITE:
        if (!toy->hold) {
            do_write(toy, &e->write);
            break;
        }
        ck_assert_ptr_null(toy->held); /* never two at a time */
        toy->held = xmemdup(&e->write, sizeof e->write);
        break;
    case CORE_DO_RELOAD:
        reload(toy, &e->reload);
        break;
    case CORE_DO_RESIGN:
        toy->active = false;
        push(toy, CORE_RESIGNED);
        break;
    case CORE_DO_SEND_IMAGE:
        take_image(toy, &e->send_image);
        break;
    case CORE_DO_SEND_DELTA:
        take_delta(toy, &e->send_delta);
        break;
    case CORE_DO_ANSWER_ALTER:
        b = of_stream(toy, e->answer_alter.stream, &id);
        if (b != NULL) {
            b->n_alters++;
            b->alter_err = e->answer_alter.answers[e->answer_alter.n - 1].err;
        }
        break;
    case CORE_DO_ANSWER_SHUTDOWN:
        b = of_stream(toy, e->answer_shutdown.stream, &id);
        if (b != NULL) {
            b->n_shutdowns++;
            b->still_led = e->answer_shutdown.still_led;
        }
        break;
    case CORE_DO_ANSWER_PID_BLOCK:
        b = of_stream(toy, e->answer_pid_block.stream, &id);
        if (b != NULL) {
            b->n_pids++;
            b->first_pid = e->answer_pid_block.first;
        }
        break;
    case CORE_DO_ANSWER_ADMIN:
        toy_answered(toy, &e->answer_admin);
        break;
    case CORE_DO_END_STREAM:
        take_end(toy, &e->end_stream);
        break;
    case CORE_DO_PROBE:
        take_probe(toy, &e->probe);
        break;
    case CORE_DO_WAKE_AT:
        toy->wake_ms = e->wake_at.at_ms;
        break;
    case CORE_DO_SAY:
    case CORE_N_EFFECTS:
        if (getenv("TOY_SAYS") != NULL)
            fprintf(stderr, "%6ld %.*s\n", (long)toy->now_ms, STR_ARG(e->say.text));
        break;
    }
}

static void free_event(struct core_event *ev)
{
    union {
        const void *lent;
        void *owned;
    } rest = { .lent = NULL };

    if (ev->kind == CORE_WRITE_DONE)
        rest.lent = ev->write_done.results;
    else if (ev->kind == CORE_BROKER_NODES)
        rest.lent = ev->broker_nodes.nodes;
    else if (ev->kind == CORE_STATE_READ)
        rest.lent = ev->state_read.part;
    free(rest.owned);
    free(ev);
}

static void one_step(struct toy *toy, const struct core_event *ev)
{
    static struct core_effects out;

    core_effects_init(&out);
    core_step(toy->core, ev, toy->now_ms, &out);
    for (size_t i = 0; i < out.n; i++)
        carry_out(toy, &out.at[i]);
    core_effects_fini(&out);
}

void toy_step(struct toy *toy, struct core_event ev)
{
    one_step(toy, &ev);
    while (toy->n_queue > 0) {
        struct core_event *next = toy->queue[0];

        memmove(&toy->queue[0], &toy->queue[1], --toy->n_queue * sizeof toy->queue[0]);
        one_step(toy, next);
        free_event(next);
    }
    if (toy->load_wanted) {
        toy->load_wanted = false;
        load(toy);
    }
}

void toy_release(struct toy *toy)
{
    struct core_write *write = toy->held;

    ck_assert_ptr_nonnull(write);
    toy->held = NULL;
    toy->hold = toy->hold_next;
    do_write(toy, write); /* its operations live in the plan, which is still out */
    free(write);
    toy_step(toy, (struct core_event){ .kind = CORE_TICK });
}

static void beat(struct toy *toy)
{
    for (int32_t id = 1; id <= TOY_BROKERS; id++) {
        struct toy_broker *b = &toy->brokers[id];

        if (b->stream == 0 || !b->beats)
            continue;
        toy_step(toy, (struct core_event){ .kind = CORE_HEARTBEAT,
                                           .heartbeat = { .broker = id,
                                                          .broker_epoch = b->epoch,
                                                          .incarnation = b->incarnation } });
    }
}

void toy_advance(struct toy *toy, int64_t ms)
{
    int64_t end_ms = toy->now_ms + ms, beat_ms = toy->now_ms;

    while (toy->now_ms < end_ms) {
        int64_t next = end_ms;

        if (beat_ms + 200 < next)
            next = beat_ms + 200;
        if (toy->wake_ms < next)
            next = toy->wake_ms > toy->now_ms ? toy->wake_ms : toy->now_ms + 1;
        toy->now_ms = next;
        if (next >= beat_ms + 200) {
            beat_ms = next;
            beat(toy);
        }
        if (toy->wake_ms <= next)
            toy_step(toy, (struct core_event){ .kind = CORE_TICK });
    }
}

/* ---- what tests do -------------------------------------------------------------------------- */

static void init(struct toy *toy, bool balancing)
{
    memset(toy, 0, sizeof *toy);
    core_settings_init(&toy->settings);
    toy->settings.auto_leader_rebalance_enable = balancing;
    toy->settings.broker_settings = &broker_conf_table;
    toy->core = core_new(&toy->settings, 42);
    toy->now_ms = 1000;
    toy->wake_ms = INT64_MAX;
    toy->configs = image_new(0, 0, 0, STR_EMPTY);
    arena_init(&toy->reads, SIZE_MAX);
    toy->pid_block = (struct core_pid_block){ .broker = -1, .first = -1, .last = -1 };
    toy->czxid = 100;
}

void toy_fini(struct toy *toy)
{
    for (int32_t id = 1; id <= TOY_BROKERS; id++)
        image_unref(&toy->brokers[id].image);
    core_free(&toy->core);
    image_unref(&toy->configs);
    arena_fini(&toy->reads);
    free(toy->held);
    toy_forget_request(toy, 0);
}

void toy_new_core(struct toy *toy)
{
    core_free(&toy->core);
    free(toy->held);
    toy->held = NULL;
    toy->hold = toy->hold_next = false;
    toy->active = false;
    toy->core = core_new(&toy->settings, 43);
    toy->wake_ms = INT64_MAX;
}

void toy_win(struct toy *toy)
{
    toy->controller_epoch++;
    toy->fenced = false;
    load(toy);
}

void toy_register(struct toy *toy, int32_t id)
{
    toy->brokers[id].registered = true;
    toy->brokers[id].epoch = toy->czxid++;
}

void toy_nodes(struct toy *toy)
{
    push_nodes(toy);
    toy_step(toy, (struct core_event){ .kind = CORE_TICK });
}

void toy_hello(struct toy *toy, int32_t id, bool fresh, bool unclean)
{
    struct toy_broker *b = &toy->brokers[id];

    b->stream = ++toy->streams;
    b->goodbye = 0;
    image_unref(&b->image);
    toy_step(toy, (struct core_event){ .kind = CORE_HELLO,
                                       .hello = { .stream = b->stream,
                                                  .broker = id,
                                                  .broker_epoch = b->epoch,
                                                  .incarnation = b->incarnation,
                                                  .fresh = fresh,
                                                  .unclean = unclean,
                                                  .min_isr = b->min_isr } });
}

void toy_start(struct toy *toy, int32_t id)
{
    struct toy_broker *b = &toy->brokers[id];

    toy_register(toy, id);
    memset(&b->incarnation, 0, sizeof b->incarnation);
    b->incarnation.bytes[0] = (uint8_t)id;
    memcpy(&b->incarnation.bytes[8], &b->epoch, sizeof b->epoch);
    b->probe = PROBE_ANSWERED;
    b->beats = b->acks = true;
    b->confirmed = false;
    toy_nodes(toy);
    toy_hello(toy, id, true, false);
}

static void up(struct toy *toy, int32_t n, bool balancing)
{
    init(toy, balancing);
    toy_win(toy);
    for (int32_t id = 1; id <= n; id++)
        toy_start(toy, id);
}

void toy_up(struct toy *toy, int32_t n)
{
    up(toy, n, false);
}

void toy_up_balancing(struct toy *toy, int32_t n)
{
    up(toy, n, true);
}

void toy_all_hello(struct toy *toy)
{
    for (int32_t id = 1; id <= TOY_BROKERS; id++) {
        if (toy->brokers[id].registered && toy->brokers[id].probe == PROBE_ANSWERED)
            toy_hello(toy, id, false, false);
    }
}

void toy_next_controller(struct toy *toy)
{
    toy_win(toy);
    toy_all_hello(toy);
}

void toy_kill(struct toy *toy, int32_t id)
{
    struct toy_broker *b = &toy->brokers[id];
    uint64_t stream = b->stream;

    b->stream = 0;
    b->probe = PROBE_REFUSED;
    if (stream != 0)
        toy_step(toy, (struct core_event){ .kind = CORE_STREAM_ENDED,
                                           .stream_ended = { .stream = stream } });
}

void toy_vanish(struct toy *toy, int32_t id)
{
    struct toy_broker *b = &toy->brokers[id];

    b->stream = 0;
    b->registered = false;
    b->probe = PROBE_REFUSED;
}

/* All that one has, the other has; what is left of a topic that is not there does not count. */
static void configs_within(struct toy *toy, const struct image *one, const struct image *other)
{
    struct image_cursor at = { 0 };
    const struct image_config *config;

    while ((config = image_next_config(one, &at)) != NULL) {
        const struct image_config *known = image_config(other, config->type, config->name);

        if (str_is(config->type, "topics") && toy_topic_of(toy, config->name) == NULL)
            continue;
        ck_assert_ptr_nonnull(known);
        ck_assert_uint_eq(known->n_settings, config->n_settings);
        for (size_t i = 0; i < config->n_settings; i++)
            ck_assert(str_eq(image_config_value(known, config->settings[i].key),
                             config->settings[i].value));
    }
}

void toy_agree(struct toy *toy)
{
    const struct image *image = core_image(toy->core);
    size_t n = 0;

    ck_assert_ptr_nonnull(image);
    for (size_t i = 0; i < TOY_TOPICS; i++) {
        const struct toy_topic *t = &toy->topics[i];

        if (t->there && is_unread(t)) {
            n += image_topic(image, t->id) != NULL;
            continue;
        }
        n += t->there;
        if (t->there)
            ck_assert_int_eq(image_topic(image, t->id)->version, t->version);
        for (size_t p = 0; t->there && p < t->n_parts; p++) {
            const struct image_part *part = image_part(image, t->id, (int32_t)p);

            ck_assert_ptr_nonnull(part);
            ck_assert(ids_eq(part->replicas,
                             (struct ids){ t->parts[p].replicas, t->parts[p].n_replicas }));
            ck_assert(
                ids_eq(part->adding, (struct ids){ t->parts[p].adding, t->parts[p].n_adding }));
            ck_assert(ids_eq(part->removing,
                             (struct ids){ t->parts[p].removing, t->parts[p].n_removing }));
            if (!t->parts[p].has_state || is_garbled(&t->parts[p])) {
                ck_assert_int_eq(part->leader_epoch, -1);
                continue;
            }
            ck_assert_int_eq(part->leader, t->parts[p].state.leader);
            ck_assert_int_eq(part->leader_epoch, t->parts[p].state.leader_epoch);
            ck_assert_int_eq(part->partition_epoch, t->parts[p].state.partition_epoch);
            ck_assert(ids_eq(part->isr, t->parts[p].state.isr));
        }
    }
    ck_assert_uint_eq(image_n_topics(image), n);
    configs_within(toy, toy->configs, image);
    configs_within(toy, image, toy->configs);
    for (int32_t id = 1; id <= TOY_BROKERS; id++) {
        if (toy->brokers[id].stream != 0 && toy->brokers[id].image != NULL)
            ck_assert(image_eq(toy->brokers[id].image, image));
    }
}
