/*
 * stream_image: an image comes back equal however small its pieces are, a delta comes back as it
 * was, and no damaged message becomes a value.
 */
#include "common/stream/stream_image.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "tests/kit/unit.h" /* unit_run */

static const int32_t three[] = { 1, 2, 3 }, two[] = { 2, 3 }, one[] = { 7 };

static struct uuid id_of(unsigned n)
{
    struct uuid id = UUID_ZERO;

    id.bytes[0] = (uint8_t)(n + 1);
    id.bytes[15] = (uint8_t)((n + 1) >> 8);
    return id;
}

static struct image_part part_of(int32_t index)
{
    return (struct image_part){ .index = index,
                                .leader = index % 3 == 0 ? LEADER_NONE : index % 3,
                                .leader_epoch = index,
                                .partition_epoch = index * 2,
                                .recovering = index % 2 == 1,
                                .replicas = IDS_OF(three),
                                .isr = IDS_OF(two),
                                .adding = index % 2 == 0 ? IDS_NONE : IDS_OF(one),
                                .removing = IDS_OF(one),
                                .offline = IDS_OF(two) };
}

static const struct endpoint endpoints[] = {
    { .listener = STR("OUT"), .protocol = STR("SSL"), .host = STR("h2"), .port = 65535 },
    { .listener = STR("INTERNAL"),
      .protocol = STR("PLAINTEXT"),
      .host = STR("h1"),
      .port = 9,
      .is_inter_broker = true },
};

static void add_brokers(struct image *image)
{
    struct node nodes[4];

    for (int32_t i = 0; i < 4; i++)
        nodes[i] = (struct node){ .id = i,
                                  .state = (enum node_state)i,
                                  .epoch = i == 0 ? -1 : INT64_C(1) << (40 + i),
                                  .incarnation = i == 1 ? UUID_ZERO : id_of((unsigned)i),
                                  .rack = i == 2 ? STR_NULL : STR("r"),
                                  .n_endpoints = i == 3 ? 0 : 2,
                                  .endpoints = endpoints };

    struct image_delta delta = { .n_brokers = 4, .brokers = nodes };

    image_add(image, &delta);
}

static void add_topics(struct image *image)
{
    for (unsigned t = 0; t < 20; t++) {
        struct image_part parts[60];
        char name[24];
        struct image_topic_change change = { .id = id_of(t),
                                             .n_parts = t * 3,
                                             .parts = parts,
                                             .has_version = t % 3 > 0,
                                             .version = t == 1 ? 0 : 100000 * (int32_t)t };
        struct image_delta delta = { .n_topics = 1, .topics = &change };

        for (int32_t i = 0; i < (int32_t)t * 3; i++)
            parts[i] = part_of(i);
        snprintf(name, sizeof name, "topic-%u", t);
        change.name = str_of(name);
        image_add(image, &delta);
    }
}

static struct image *whole_image(void)
{
    struct image *image = image_new(7, UINT64_C(1) << 50, 3001, STR("cluster"));
    struct image_setting settings[] = { { STR("a.b"), STR("c") }, { STR("d"), STR_EMPTY } };
    struct image_config configs[] = {
        { STR("topics"), STR("topic-1"), 2, settings },
        { STR("brokers"), STR("<default>"), 1, settings },
    };
    struct image_tombstone stones[] = {
        { 1, id_of(90), STR("gone"), 3, 4 },
        { 2, id_of(90), STR("gone"), 0, 0 },
    };
    struct image_delta delta = {
        .n_configs = 2, .configs = configs, .n_tombstones = 2, .tombstones = stones
    };

    add_brokers(image);
    add_topics(image);
    image_add(image, &delta);
    return image;
}

struct receiving {
    struct stream_image gather;
    struct image *whole;
    int pieces;
    size_t largest;
};

static Control__Frame *unpack(const struct slice *packed)
{
    ck_assert_uint_eq(load_be32(packed->base) + 4, packed->len);

    Control__Frame *frame = control__frame__unpack(NULL, packed->len - 4, packed->base + 4);

    ck_assert_ptr_nonnull(frame);
    return frame;
}

static void receive(void *ctx, const struct slice *packed)
{
    struct receiving *r = ctx;
    Control__Frame *frame = unpack(packed);

    ck_assert_ptr_null(r->whole);
    ck_assert_int_eq(stream_image_on_piece(&r->gather, frame->image, &r->whole), ERR_OK);
    r->pieces++;
    r->largest = packed->len > r->largest ? packed->len : r->largest;
    control__frame__free_unpacked(frame, NULL);
}

START_TEST(an_image_comes_back_equal_in_pieces_of_any_size)
{
    struct image *image = whole_image();
    static const size_t sizes[] = { 1, 50, 700, 5000, 0 };

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct receiving r = { .whole = NULL };

        stream_image_init(&r.gather);
        stream_image_pack(image, sizes[i], receive, &r);
        ck_assert_ptr_nonnull(r.whole);
        ck_assert(image_eq(image, r.whole));
        ck_assert_uint_eq(image_n_parts(r.whole), image_n_parts(image));
        if (sizes[i] == 0)
            ck_assert_int_eq(r.pieces, 1);
        else
            ck_assert_uint_lt(r.largest, sizes[i] + 300);
        image_unref(&r.whole);
        stream_image_fini(&r.gather);
    }
    image_unref(&image);
}
END_TEST

START_TEST(an_empty_image_is_one_piece)
{
    struct image *image = image_new(1, 0, 3001, STR("c"));
    struct receiving r = { .whole = NULL };

    stream_image_init(&r.gather);
    stream_image_pack(image, 0, receive, &r);
    ck_assert_int_eq(r.pieces, 1);
    ck_assert(image_eq(image, r.whole));
    image_unref(&r.whole);
    stream_image_fini(&r.gather);
    image_unref(&image);
}
END_TEST

/* Applying what came back to the same image must give the same one. */
START_TEST(a_delta_comes_back_as_it_was)
{
    struct image *image = whole_image();
    struct image_part parts[] = { part_of(3), part_of(200) };
    struct image_topic_change topics[] = {
        { .id = id_of(5), .name = STR("topic-5"), .n_parts = 2, .parts = parts },
        { .id = id_of(70), .name = STR("new"), .n_parts = 2, .parts = parts, .has_version = true },
        { .id = id_of(8), .name = STR("topic-8"), .has_version = true, .version = INT32_MAX },
    };
    struct uuid gone = id_of(6);
    struct image_config config = { STR("topics"), STR("topic-1"), 0, NULL };
    struct node node = { .id = 9, .epoch = 4, .n_endpoints = 1, .endpoints = endpoints };
    struct image_tombstone stones[] = { { 3, id_of(6), STR("topic-6"), 1, 2 },
                                        { 1, id_of(90), STR("gone"), 3, 4 } };
    static const int32_t lost[] = { 2 };
    struct image_delta delta = { .controller_epoch = 7,
                                 .version = image_version(image) + 1,
                                 .n_brokers = 1,
                                 .brokers = &node,
                                 .brokers_gone = IDS_OF(lost),
                                 .n_topics_gone = 1,
                                 .topics_gone = &gone,
                                 .n_topics = ARRAY_LEN(topics),
                                 .topics = topics,
                                 .n_configs = 1,
                                 .configs = &config,
                                 .n_tombstones = 1,
                                 .tombstones = stones,
                                 .n_tombstones_gone = 1,
                                 .tombstones_gone = stones + 1 };
    struct image_delta read;
    struct arena arena;

    parts[0].leader_epoch = 900;
    arena_init(&arena, SIZE_MAX);

    struct slice packed = stream_image_pack_delta(&delta);
    Control__Frame *frame = unpack(&packed);

    ck_assert_int_eq(stream_image_read_delta(frame->delta, &arena, &read), ERR_OK);

    struct image *here = image_apply(image, &delta), *there = image_apply(image, &read);

    ck_assert(image_eq(here, there));
    ck_assert(!image_eq(here, image));
    ck_assert_int_eq(image_topic(image, id_of(5))->version, 500000);
    ck_assert_int_eq(image_topic(there, id_of(5))->version, -1); /* a sender of before versions */
    ck_assert_int_eq(image_topic(there, id_of(70))->version, 0);
    ck_assert_int_eq(image_topic(there, id_of(8))->version, INT32_MAX);
    image_unref(&here);
    image_unref(&there);
    image_unref(&image);
    arena_fini(&arena);
    control__frame__free_unpacked(frame, NULL);
    slice_unref(&packed);
}
END_TEST

START_TEST(pieces_out_of_turn_are_refused)
{
    Control__Image piece = CONTROL__IMAGE__INIT;
    struct stream_image gather;
    struct image *whole;
    char cluster[] = "c";

    stream_image_init(&gather);
    piece.has_controller_epoch = piece.has_version = piece.has_controller_id = 1;
    piece.has_piece = 1;
    ck_assert_int_eq(stream_image_on_piece(&gather, &piece, &whole), ERR_BAD_FORMAT);
    piece.cluster_id = cluster;
    piece.piece = 1;
    ck_assert_int_eq(stream_image_on_piece(&gather, &piece, &whole), ERR_BAD_FORMAT);
    piece.piece = 0;
    ck_assert_int_eq(stream_image_on_piece(&gather, &piece, &whole), ERR_OK);
    ck_assert_ptr_null(whole);
    piece.piece = 2;
    ck_assert_int_eq(stream_image_on_piece(&gather, &piece, &whole), ERR_BAD_FORMAT);
    piece.piece = 1;
    piece.version = 1;
    ck_assert_int_eq(stream_image_on_piece(&gather, &piece, &whole), ERR_BAD_FORMAT);
    piece.version = 0;
    ck_assert_int_eq(stream_image_on_piece(&gather, &piece, &whole), ERR_OK);
    stream_image_fini(&gather);
}
END_TEST

/* One good message, and what a single wrong field makes of it. */
enum { BAD_NOTHING, BAD_INDEX, BAD_LEADER, BAD_ID_TWICE, BAD_ID_BELOW, NO_REPLICAS, BAD_UUID };
enum {
    ZERO_UUID = BAD_UUID + 1,
    BAD_NAME,
    DOT_NAME,
    NO_NAME,
    NO_EPOCH,
    BAD_STATE,
    BAD_PORT,
    BAD_VERSION,
    N_BAD
};

static enum err read_with(int bad)
{
    Control__Delta delta = CONTROL__DELTA__INIT;
    Control__Topic topic = CONTROL__TOPIC__INIT, *topics[] = { &topic };
    Control__Partition part = CONTROL__PARTITION__INIT, *parts[] = { &part };
    Control__Broker broker = CONTROL__BROKER__INIT, *brokers[] = { &broker };
    Control__Endpoint endpoint = CONTROL__ENDPOINT__INIT, *ends[] = { &endpoint };
    int32_t replicas[] = { 1, bad == BAD_ID_TWICE ? 1 : bad == BAD_ID_BELOW ? -1 : 2 };
    uint8_t id[17] = { bad != ZERO_UUID };
    char name[] = "a-b.c_9", slash[] = "../etc", dots[] = "..";
    struct image_delta out;
    struct arena arena;

    delta.has_controller_epoch = bad != NO_EPOCH;
    delta.has_version = 1;
    delta.n_topics = delta.n_brokers = 1;
    delta.topics = topics;
    delta.brokers = brokers;
    topic.has_id = topic.has_version = 1;
    topic.version = bad == BAD_VERSION ? -1 : 0;
    topic.id = (ProtobufCBinaryData){ .len = bad == BAD_UUID ? 17 : 16, .data = id };
    topic.name = bad == BAD_NAME ? slash : bad == DOT_NAME ? dots : bad == NO_NAME ? NULL : name;
    topic.n_partitions = 1;
    topic.partitions = parts;
    part.has_index = part.has_leader = part.has_leader_epoch = part.has_partition_epoch = 1;
    part.index = bad == BAD_INDEX ? -1 : 0;
    part.leader = bad == BAD_LEADER ? -2 : 1;
    part.n_replicas = bad == NO_REPLICAS ? 0 : 2;
    part.replicas = replicas;
    broker.has_id = broker.has_state = 1;
    broker.state = (Control__Broker__State)(bad == BAD_STATE ? 9 : 0);
    broker.n_endpoints = 1;
    broker.endpoints = ends;
    endpoint.listener = endpoint.protocol = endpoint.host = name;
    endpoint.has_port = 1;
    endpoint.port = bad == BAD_PORT ? 65536 : 65535;
    arena_init(&arena, SIZE_MAX);

    enum err err = stream_image_read_delta(&delta, &arena, &out);

    arena_fini(&arena);
    return err;
}

START_TEST(no_damaged_field_becomes_a_value)
{
    ck_assert_int_eq(read_with(BAD_NOTHING), ERR_OK);
    for (int bad = BAD_NOTHING + 1; bad < N_BAD; bad++)
        ck_assert_msg(read_with(bad) == ERR_BAD_FORMAT, "case %d passed", bad);
}
END_TEST

START_TEST(a_hello_carries_the_node)
{
    struct node node = { .id = 4,
                         .epoch = 77,
                         .incarnation = id_of(3),
                         .rack = STR("r1"),
                         .n_endpoints = 2,
                         .endpoints = endpoints };
    struct node read;
    Control__Hello hello = CONTROL__HELLO__INIT;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    stream_image_write_hello(&hello, &node, &arena);
    ck_assert_int_eq(stream_image_read_hello(&hello, &arena, &read), ERR_OK);
    ck_assert(node_eq(&node, &read));
    ck_assert_ptr_eq(node_inter_broker(&read), &read.endpoints[1]);
    hello.has_broker_epoch = 0;
    ck_assert_int_eq(stream_image_read_hello(&hello, &arena, &read), ERR_BAD_FORMAT);
    arena_fini(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("stream_image");

    tcase_add_test(tc, an_image_comes_back_equal_in_pieces_of_any_size);
    tcase_add_test(tc, an_empty_image_is_one_piece);
    tcase_add_test(tc, a_delta_comes_back_as_it_was);
    tcase_add_test(tc, pieces_out_of_turn_are_refused);
    tcase_add_test(tc, no_damaged_field_becomes_a_value);
    tcase_add_test(tc, a_hello_carries_the_node);
    return unit_run(tc);
}
