/*
 * A standby that takes over warm holds what a full read would have given: after any writes of any
 * kind, lost answers, groups that fail, topics that come, grow, move and go, settings changed by
 * another hand, and wherever what it was told ends. What another hand made of a topic's znode that
 * nobody had seen is found afterwards.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "controller/core/standby.h"
#include "controller/shell/load.h"
#include "controller/shell/ring.h"
#include "controller/shell/rounds.h"
#include "controller/shell/write.h"
#include "tests/kit/fake_zk.h"
#include "tests/kit/unit.h"

#define TOPICS 6
#define PARTS  20
#define EPOCH  4

static struct rand chance;
static struct mailbox mailbox;
static struct fake_zk *fake;
static struct zk *zk;
static struct writer *writer;
static struct loader *loader;
static struct standby *standby;
static struct core *core;              /* of whoever is loading */
static struct image *image;            /* the active controller's */
static bool told;                      /* the standby still hears */
static int n_warm, n_cold, n_believed; /* take-overs; topics of the warm ones */
static size_t n_reads;

/* ---- the active controller, by hand ---- */

static struct core_op ops[400];
static size_t n_ops;
static uint32_t group;
static struct core_op_part op_parts[TOPICS][PARTS];
static bool marked[TOPICS]; /* its znodes are still there, or some of them */
static struct image_setting setting = { STR("retention.ms"), STR("1000") };
static char names[TOPICS][16];
static const int32_t replicas[] = { 1, 2, 3 };
static struct arena arena; /* of a write */

static uint32_t below(uint32_t n)
{
    return (uint32_t)rand_below(&chance, n);
}

static void run(void)
{
    while (mailbox_run(&mailbox) > 0) {
    }
}

static struct core_op *add_op(enum core_op_kind kind, int topic)
{
    ops[n_ops] = (struct core_op){
        .kind = kind, .group = group, .version = -1, .topic = str_of(names[topic])
    };
    return &ops[n_ops++];
}

static struct uuid id_of(uint64_t n)
{
    struct uuid id = { .bytes = { 1 } };

    memcpy(id.bytes + 8, &n, sizeof n);
    return id;
}

/* The image that it is from may go before the write does. */
static struct ids plain(struct ids ids)
{
    return (struct ids){ .at = arena_dup(&arena, ids.at, ids.n * sizeof ids.at[0]), .n = ids.n };
}

static struct core_op *add_state(int topic, const struct image_part *part, int32_t version)
{
    struct core_op *op = add_op(version < 0 ? OP_STATE_CREATE : OP_STATE_SET, topic);
    int32_t *isr = arena_dup(&arena, replicas, sizeof replicas);

    op->version = version;
    op->state.partition = part->index;
    op->state.state = (struct leader_isr){ .leader = (int32_t)(1 + below(3)),
                                           .leader_epoch = part->leader_epoch + 1,
                                           .isr = { .at = isr, .n = 1 + below(3) } };
    return op;
}

static void create(int topic)
{
    static uint64_t last_id;
    size_t n = 1 + below(PARTS);
    struct core_op *op;

    group++;
    op = add_op(OP_CONFIG_SET, topic);
    op->config = (struct image_config){ .type = STR("topics"),
                                        .name = str_of(names[topic]),
                                        .n_settings = below(2),
                                        .settings = &setting };
    op = add_op(OP_TOPIC_CREATE, topic);
    for (size_t i = 0; i < n; i++)
        op_parts[topic][i] =
            (struct core_op_part){ .index = (int32_t)i, .replicas = IDS_OF(replicas) };
    op->topic_node.id = id_of(++last_id);
    op->topic_node.n_parts = n;
    op->topic_node.parts = op_parts[topic];
    for (size_t i = 0; i < n; i++) {
        struct image_part part = { .index = (int32_t)i, .leader_epoch = -1 };

        if (below(10) > 0) /* some are left without */
            add_state(topic, &part, -1);
    }
}

/* First the mark, then the znodes, in the same write or a later one. */
static void delete (int topic)
{
    bool is_marked = marked[topic];

    if (!is_marked) {
        group++;
        add_op(OP_MARK_CREATE, topic);
    }
    if (is_marked || below(2) == 0) {
        group++;
        add_op(OP_TOPIC_DELETE, topic)->topic_node.n_parts = PARTS;
    }
}

/* As a partition is, or on its way to other replicas. */
static struct core_op_part assigned(const struct image_part *part)
{
    static const int32_t turned[] = { 3, 2, 1 }, wide[] = { 4, 2, 3, 1 }, four[] = { 4 },
                         one[] = { 1 };
    struct core_op_part to = { .index = part->index,
                               .replicas = plain(part->replicas),
                               .adding = plain(part->adding),
                               .removing = plain(part->removing) };

    switch (below(6)) {
    case 0:
        to.replicas = IDS_OF(turned);
        to.adding = to.removing = IDS_NONE;
        break;
    case 1:
        to.replicas = IDS_OF(wide);
        to.adding = IDS_OF(four);
        to.removing = IDS_OF(one);
        break;
    default:
        break;
    }
    return to;
}

/* Its znode: more partitions, other replicas, or the same again. */
static void set_topic(int topic)
{
    const struct image_topic *known = image_topic_named(image, str_of(names[topic]));
    size_t n_old = (size_t)known->n_parts, n = n_old;
    struct core_op *op;

    if (n < PARTS && below(2) == 0)
        n += 1 + below((uint32_t)(PARTS - n));
    group++;
    op = add_op(OP_TOPIC_SET, topic);
    op->version = known->version + (below(30) == 0); /* now and then one that fails */
    op->topic_node.id = known->id;
    op->topic_node.n_parts = n;
    op->topic_node.parts = op_parts[topic];
    for (size_t i = 0; i < n_old; i++)
        op_parts[topic][i] = assigned(image_topic_part(known, (int32_t)i));
    for (size_t i = n_old; i < n; i++) {
        struct image_part part = { .index = (int32_t)i, .leader_epoch = -1 };

        op_parts[topic][i] =
            (struct core_op_part){ .index = (int32_t)i, .replicas = IDS_OF(replicas) };
        if (below(10) > 0)
            add_state(topic, &part, -1);
    }
}

static void move_some(int topic)
{
    const struct image_topic *known = image_topic_named(image, str_of(names[topic]));

    for (int32_t i = 0; i < known->n_parts; i++) {
        const struct image_part *part = image_topic_part(known, i);

        if (below(3) > 0 || part->leader_epoch < 0)
            continue;
        group++; /* now and then one that fails */
        add_state(topic, part, part->partition_epoch + (below(30) == 0));
    }
}

static void set_config(int topic)
{
    struct core_op *op;

    group++;
    op = add_op(OP_CONFIG_SET, topic);
    op->config = (struct image_config){ .type = STR("topics"),
                                        .name = str_of(names[topic]),
                                        .n_settings = below(2),
                                        .settings = &setting };
}

/* One write, of which each topic has a part at most. */
static void make_write(void)
{
    n_ops = group = 0;
    for (int t = 0; t < TOPICS; t++) {
        bool there = image_topic_named(image, str_of(names[t])) != NULL;

        if (below(3) == 0)
            continue;
        if (marked[t] || (there && below(8) == 0))
            delete (t);
        else if (!there)
            create(t);
        else if (below(5) == 0)
            set_topic(t);
        else if (below(6) == 0)
            set_config(t);
        else
            move_some(t);
    }
}

static struct image_part *known_part(struct uuid id, int32_t index)
{
    const struct image_part *known = image_part(image, id, index);
    struct image_part fresh = { .index = index,
                                .leader = LEADER_NONE,
                                .leader_epoch = -1,
                                .partition_epoch = -1,
                                .replicas = IDS_OF(replicas) };

    return arena_dup(&arena, known != NULL ? known : &fresh, sizeof fresh);
}

static void apply(const struct image_delta *what)
{
    struct image_delta delta = *what;
    struct image *next;

    delta.controller_epoch = EPOCH;
    delta.version = image_version(image) + 1;
    next = image_apply(image, &delta);
    if (told)
        ck_assert(standby_on_delta(standby, &delta));
    image_unref(&image); /* which the delta borrows from */
    image = next;
}

static void apply_parts(struct uuid id, struct str name, int32_t version, size_t n,
                        const struct image_part *parts)
{
    struct image_topic_change change = { .id = id,
                                         .name = name,
                                         .n_parts = n,
                                         .parts = parts,
                                         .has_version = version >= 0,
                                         .version = version };

    apply(&(struct image_delta){ .n_topics = 1, .topics = &change });
}

/* What a topic's znode says by now. */
static void apply_assignment(const struct core_op *op, struct uuid id, int32_t version)
{
    struct image_part parts[PARTS];

    for (size_t i = 0; i < op->topic_node.n_parts; i++) {
        const struct core_op_part *from = &op->topic_node.parts[i];

        parts[i] = *known_part(id, from->index);
        parts[i].replicas = from->replicas;
        parts[i].adding = from->adding;
        parts[i].removing = from->removing;
    }
    apply_parts(id, op->topic, version, op->topic_node.n_parts, parts);
}

static void apply_mark(const struct image_topic *topic)
{
    struct image_config none = { .type = STR("topics"), .name = topic->name };

    apply(&(struct image_delta){
        .n_topics_gone = 1, .topics_gone = &topic->id, .n_configs = 1, .configs = &none });
}

static void apply_op(const struct core_op *op, const struct core_op_result *result)
{
    const struct image_topic *topic = image_topic_named(image, op->topic);
    struct image_part *part;

    if (result->err != ERR_OK)
        return;
    switch (op->kind) {
    case OP_TOPIC_CREATE:
    case OP_TOPIC_SET:
        apply_assignment(op, op->topic_node.id, result->version);
        break;
    case OP_MARK_CREATE:
        marked[op->topic.ptr[1] - '0'] = true;
        apply_mark(topic);
        break;
    case OP_TOPIC_DELETE:
        marked[op->topic.ptr[1] - '0'] = false;
        break;
    case OP_CONFIG_SET:
        apply(&(struct image_delta){ .n_configs = 1, .configs = &op->config });
        break;
    case OP_STATE_CREATE:
    case OP_STATE_SET:
        part = known_part(topic->id, op->state.partition);
        part->leader = op->state.state.leader;
        part->leader_epoch = op->state.state.leader_epoch;
        part->isr = op->state.state.isr;
        part->partition_epoch = result->version;
        apply_parts(topic->id, op->topic, topic->version, 1, part);
        break;
    default:
        ck_abort();
    }
}

static void on_write_done(void *arg, const struct core_event *event)
{
    uint64_t number;

    (void)arg;
    ck_assert_int_eq(event->kind, CORE_WRITE_DONE);
    for (size_t i = 0; i < n_ops; i++)
        apply_op(&ops[i], &event->write_done.results[i]);
    told = told && below(12) > 0; /* the last thing it hears may be a delta without a position */
    if (told && writer_position(writer, &number))
        standby_on_position(standby, EPOCH, image_version(image), number);
}

static void write_ops(void)
{
    struct core_write write = { .batch = 1, .controller_epoch = EPOCH, .n = n_ops, .ops = ops };

    if (n_ops == 0)
        return;
    writer_run(writer, &write, 0);
    run();
}

static void write_something(void)
{
    arena_reset(&arena);
    make_write();
    if (below(4) == 0)
        fake_zk_lose_write(zk, below(3), (enum fake_loss)below(2));
    told = told && below(12) > 0;
    write_ops();
}

/* ---- loading ---- */

static void on_read(void *arg, const struct core_event *event)
{
    struct core_effects effects;

    (void)arg;
    core_effects_init(&effects);
    core_step(core, event, 1000, &effects);
    core_effects_fini(&effects);
}

static void on_ring(void *arg, const struct ring_content *ring)
{
    ck_assert(ring->is_whole);
    if (standby_judge(standby, EPOCH + 1, ring->n, ring->touched) == NULL) {
        for (size_t i = 0; i < ring->n_configs; i++)
            standby_doubt_config(standby, ring->configs[i]);
        loader_believe(loader, standby);
        n_warm++;
        for (int t = 0; t < TOPICS; t++)
            n_believed += standby_topic(standby, str_of(names[t])) != NULL;
    } else {
        n_cold++;
    }
    *(bool *)arg = true;
}

static struct core *load(int32_t epoch)
{
    struct core_settings settings;
    struct core *loaded;

    core_settings_init(&settings);
    core = core_new(&settings, 42);
    loader_run(loader, &(struct core_reload){ .what = RELOAD_ALL }, epoch);
    run();
    ck_assert(core_is_active(core));
    loaded = core;
    core = NULL;
    return loaded;
}

/* Another hand, with a note, as Kafka's tools do it. */
static void meddle(void)
{
    char path[64], note[96];
    static int n;
    int t = (int)below(TOPICS);

    if (image_topic_named(image, str_of(names[t])) == NULL)
        return;
    snprintf(path, sizeof path, "/config/topics/%s", names[t]);
    fake_zk_put(fake, path, "{\"version\":1,\"config\":{\"flush.ms\":\"7\"}}");
    snprintf(path, sizeof path, "/config/changes/config_change_%010d", n++);
    snprintf(note, sizeof note, "{\"version\":2,\"entity_path\":\"topics/%s\"}", names[t]);
    fake_zk_put(fake, path, note);
}

/* As a tool of before 3.0 does it, in the znode alone. */
static void write_topic_by_hand(const char *name, struct uuid topic_id, int32_t n_parts)
{
    char path[64], text[1024], id[UUID_TEXT_LEN + 1];
    int len = snprintf(text, sizeof text, "{\"version\":3,\"partitions\":{");

    for (int32_t i = 0; i < n_parts; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "%s\"%d\":[1,2,3]", i > 0 ? "," : "",
                        i);
    uuid_print(topic_id, id);
    snprintf(text + len, sizeof text - (size_t)len,
             "},\"topic_id\":\"%s\",\"adding_replicas\":{},\"removing_replicas\":{}}", id);
    snprintf(path, sizeof path, "/brokers/topics/%s", name);
    fake_zk_put(fake, path, text);
}

/* Names that are free again are taken, with settings and without a note. */
static void create_by_hand(void)
{
    char path[64];

    for (int t = 0; t < TOPICS; t++) {
        snprintf(path, sizeof path, "/brokers/topics/%s", names[t]);
        if (fake_zk_version(fake, path) >= 0 || marked[t])
            continue;
        write_topic_by_hand(names[t], id_of(UINT64_C(1) << 40 | (uint64_t)t), 3);
        snprintf(path, sizeof path, "/config/topics/%s", names[t]);
        fake_zk_put(fake, path, "{\"version\":1,\"config\":{\"flush.ms\":\"9\"}}");
    }
}

static struct core *load_warm(void)
{
    bool is_read = false;
    struct ring_read *read = ring_read_start(zk, on_ring, &is_read);

    run();
    ck_assert(is_read);
    ring_read_stop(&read);
    return load(EPOCH + 1);
}

static void take_over(void)
{
    struct core *warm = load_warm(), *full = load(EPOCH + 1);

    ck_assert(image_eq(core_image(warm), core_image(full)));
    n_reads += image_n_parts(core_image(full));
    core_free(&warm);
    core_free(&full);
}

static void set_up(void)
{
    struct sink to_writer = { .on_event = on_write_done }, to_loader = { .on_event = on_read };

    mailbox_init(&mailbox);
    arena_init(&arena, SIZE_MAX);
    fake = fake_zk_new();
    fake_zk_put(fake, "/controller_epoch", "4");
    zk = fake_zk_open(fake, &mailbox);
    writer = writer_new(zk, &to_writer, &(struct writer_hooks){ .arg = NULL });
    loader = loader_new(zk, &to_loader, &(struct loader_hooks){ .arg = NULL });
    standby = standby_new();
    for (int t = 0; t < TOPICS; t++)
        snprintf(names[t], sizeof names[t], "t%d", t);
    memset(marked, 0, sizeof marked);
    run();
}

static void tear_down(void)
{
    image_unref(&image);
    standby_free(&standby);
    writer_free(&writer);
    loader_free(&loader);
    zk_close(&zk);
    run();
    fake_zk_free(&fake);
    arena_fini(&arena);
    mailbox_fini(&mailbox);
}

static void begin(void)
{
    struct core *first = load(EPOCH);
    struct image *copy;

    image = image_ref(core_image(first));
    core_free(&first);
    copy = image_ref(image);
    standby_on_image(standby, &copy);
    standby_on_position(standby, EPOCH, image_version(image), 0);
    told = true;
}

START_TEST(a_warm_start_equals_a_full_one)
{
    say_setup(SAY_ERROR, SAY_TEXT, "test");
    for (int i = 0; i < 20; i++) {
        int n = (int)below(12);

        rand_seed(&chance, (uint64_t)_i * 20 + (uint64_t)i);
        set_up();
        begin();
        for (int k = 0; k < n; k++)
            write_something();
        if (below(3) == 0)
            meddle();
        if (below(3) == 0)
            create_by_hand();
        take_over();
        tear_down();
    }
    /* both happen, or this shows nothing */
    ck_assert_int_gt(n_warm, 3);
    ck_assert_int_gt(n_believed, 3);
    ck_assert_uint_gt(n_reads, 0);
}
END_TEST

static const struct image *image_of(void *the_core)
{
    return core_image(the_core);
}

static int32_t version_of(void *the_core, struct uuid id)
{
    return core_topic_version(the_core, id);
}

static void on_changed(void *the_core, struct str topic)
{
    core = the_core;
    loader_run(loader, &(struct core_reload){ .what = RELOAD_TOPIC, .topic = topic }, EPOCH + 1);
    run();
}

/* The predecessor had not seen it, so nobody tells of it; its version does. */
START_TEST(what_another_hand_made_of_a_topic_is_found_after_it)
{
    struct reactor *reactor = reactor_new();
    struct rounds_conf conf = { .reactor = reactor,
                                .rest_ms = 1,
                                .again_ms = 1,
                                .image = image_of,
                                .version = version_of,
                                .on_changed = on_changed };
    struct rounds *rounds;
    int32_t n_parts;

    say_setup(SAY_ERROR, SAY_TEXT, "test");
    rand_seed(&chance, 3);
    set_up();
    begin();
    n_ops = group = 0;
    create(0);
    create(1);
    write_ops();
    n_parts = image_topic_named(image, STR("t0"))->n_parts;
    write_topic_by_hand("t0", image_topic_named(image, STR("t0"))->id, n_parts + 1);
    conf.arg = load_warm();
    ck_assert_int_eq(n_warm, 1);
    ck_assert_int_eq(n_believed, 2);
    ck_assert_int_eq(image_topic_named(core_image(conf.arg), STR("t0"))->n_parts, n_parts);
    conf.zk = fake_zk_open(fake, reactor_mailbox(reactor));
    rounds = rounds_start(&conf);
    for (int i = 0; i < 20000 && core == NULL; i++)
        reactor_turn(reactor, true);
    ck_assert_ptr_eq(core, conf.arg);
    ck_assert_int_eq(image_topic_named(core_image(core), STR("t0"))->n_parts, n_parts + 1);
    ck_assert_int_eq(image_topic_named(core_image(core), STR("t0"))->version,
                     fake_zk_version(fake, "/brokers/topics/t0"));
    rounds_stop(&rounds);
    zk_close(&conf.zk);
    for (int i = 0; i < 30; i++)
        reactor_turn(reactor, false);
    core_free(&core);
    tear_down();
    reactor_free(&reactor);
}
END_TEST

/* More than the ring holds has been written since: what was lost is noticed. */
START_TEST(an_overrun_ring_is_noticed)
{
    say_setup(SAY_ERROR, SAY_TEXT, "test");
    rand_seed(&chance, 7);
    set_up();
    begin();
    write_something();
    told = false;
    for (int i = 0; i < 2 * ZK_RING_SLOTS; i++)
        write_something();
    take_over();
    ck_assert_int_eq(n_warm, 0);
    ck_assert_int_eq(n_cold, 1);
    tear_down();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("warm");

    tcase_add_loop_test(tc, a_warm_start_equals_a_full_one, 0, 20);
    tcase_add_test(tc, what_another_hand_made_of_a_topic_is_found_after_it);
    tcase_add_test(tc, an_overrun_ring_is_noticed);
    return unit_run(tc);
}
