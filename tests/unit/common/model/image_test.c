/*
 * image: what lookups and walks see after deltas, that an older image is not changed by a younger
 * one, and that deltas one by one end where a full image of the same content does.
 */
#include "common/model/image.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h" /* unit_run */

static const int32_t three[] = { 1, 2, 3 }, two[] = { 2, 3 };

static struct uuid id_of(unsigned n)
{
    struct uuid id = UUID_ZERO;

    id.bytes[0] = (uint8_t)(n + 1);
    id.bytes[15] = (uint8_t)((n + 1) >> 8);
    return id;
}

static struct image_part part_of(int32_t index, int32_t leader_epoch, int32_t partition_epoch)
{
    return (struct image_part){ .index = index,
                                .leader = leader_epoch % 3 + 1,
                                .leader_epoch = leader_epoch,
                                .partition_epoch = partition_epoch,
                                .replicas = IDS_OF(three),
                                .isr = partition_epoch % 2 == 0 ? IDS_OF(three) : IDS_OF(two) };
}

static struct image *apply(struct image *image, struct image_delta delta)
{
    delta.controller_epoch = 7;
    delta.version = image_version(image) + 1;

    struct image *next = image_apply(image, &delta);

    image_unref(&image);
    return next;
}

static struct image *put_part(struct image *image, unsigned topic, struct image_part part)
{
    char name[24];
    struct image_topic_change change = { .id = id_of(topic), .n_parts = 1, .parts = &part };

    snprintf(name, sizeof name, "topic-%u", topic);
    change.name = str_of(name);
    return apply(image, (struct image_delta){ .n_topics = 1, .topics = &change });
}

static struct image *drop_topic(struct image *image, unsigned topic)
{
    struct uuid id = id_of(topic);

    return apply(image, (struct image_delta){ .n_topics_gone = 1, .topics_gone = &id });
}

START_TEST(an_image_is_not_changed_by_its_successor)
{
    struct image *image = put_part(image_new(7, 0, 3001, STR("c")), 0, part_of(40, 0, 0));
    struct image *before = image_ref(image);

    image = put_part(image, 0, part_of(40, 1, 1));
    image = put_part(image, 0, part_of(41, 0, 0));

    const struct image_part *old = image_part(before, id_of(0), 40);
    const struct image_part *new = image_part(image, id_of(0), 40);

    ck_assert_int_eq(old->leader_epoch, 0);
    ck_assert_int_eq(new->leader_epoch, 1);
    ck_assert(ids_eq(new->isr, IDS_OF(two)));
    ck_assert_ptr_null(image_part(before, id_of(0), 41));
    ck_assert_ptr_null(image_part(image, id_of(0), 0)); /* never said */
    ck_assert_uint_eq(image_n_parts(image), 2);
    ck_assert_uint_eq(image_n_parts(before), 1);
    image_unref(&before);
    image_unref(&image);
    ck_assert_ptr_null(image);
}
END_TEST

START_TEST(an_older_entry_is_passed_over)
{
    struct image *image = put_part(image_new(7, 0, 3001, STR("c")), 0, part_of(0, 5, 9));

    image = put_part(image, 0, part_of(0, 4, 20));
    ck_assert_int_eq(image_part(image, id_of(0), 0)->leader_epoch, 5);
    image = put_part(image, 0, part_of(0, 5, 8));
    ck_assert_int_eq(image_part(image, id_of(0), 0)->partition_epoch, 9);
    image = put_part(image, 0, part_of(0, 5, 10));
    ck_assert_int_eq(image_part(image, id_of(0), 0)->partition_epoch, 10);
    image_unref(&image);
}
END_TEST

static struct image *put_version(struct image *image, struct image_topic_change change)
{
    change.id = id_of(0);
    change.name = STR("topic-0");
    return apply(image, (struct image_delta){ .n_topics = 1, .topics = &change });
}

static int32_t version_of(const struct image *image)
{
    return image_topic(image, id_of(0))->version;
}

/* What changes without saying a version may have come with another one. */
START_TEST(a_version_is_known_only_from_who_said_it_last)
{
    struct image *image = put_part(image_new(7, 0, 3001, STR("c")), 0, part_of(0, 5, 9));
    struct image_part part = part_of(0, 6, 10), before = part_of(0, 5, 9);
    struct image *other;

    ck_assert_int_eq(version_of(image), -1);
    image = put_version(image, (struct image_topic_change){ .has_version = true, .version = 3 });
    ck_assert_int_eq(version_of(image), 3);
    ck_assert_int_eq(image_part(image, id_of(0), 0)->leader_epoch, 5);
    other = image_ref(image);
    other = put_version(other, (struct image_topic_change){ .has_version = true, .version = 4 });
    image = apply(image, (struct image_delta){ .n_topics = 0 });
    ck_assert(!image_eq(image, other));
    image_unref(&other);
    image = put_version(
        image, (struct image_topic_change){ .n_parts = 1, .parts = &part, .has_version = true });
    ck_assert_int_eq(version_of(image), 0);

    /* passed over, and with it nothing or what the version stands for */
    image = put_version(
        image, (struct image_topic_change){ .n_parts = 1, .parts = &before, .has_version = true });
    ck_assert_int_eq(version_of(image), 0);
    before.adding = IDS_OF(two);
    image = put_version(
        image, (struct image_topic_change){ .n_parts = 1, .parts = &before, .has_version = true });
    ck_assert_int_eq(version_of(image), -1);

    image = put_version(image, (struct image_topic_change){ .has_version = true, .version = 8 });
    part.leader_epoch++;
    image = put_part(image, 0, part);
    ck_assert_int_eq(version_of(image), -1);
    image_unref(&image);
}
END_TEST

START_TEST(a_name_follows_the_younger_topic)
{
    struct image *image = image_new(7, 0, 3001, STR("c"));
    struct image_part part = part_of(0, 3, 3);
    struct image_topic_change
        a = { .id = id_of(0), .name = STR("same"), .n_parts = 1, .parts = &part },
        b = { .id = id_of(1), .name = STR("same"), .n_parts = 1, .parts = &part };

    image = apply(image, (struct image_delta){ .n_topics = 1, .topics = &a });
    image = apply(image, (struct image_delta){ .n_topics = 1, .topics = &b });
    image = apply(image, (struct image_delta){ .n_topics_gone = 1, .topics_gone = &a.id });
    ck_assert(uuid_eq(image_topic_named(image, STR("same"))->id, b.id));
    ck_assert_ptr_null(image_topic(image, a.id));
    image_unref(&image);
}
END_TEST

START_TEST(brokers_settings_and_tombstones)
{
    const struct endpoint endpoint = { STR("PLAINTEXT"), STR("PLAINTEXT"), STR("h"), 9092, true };
    struct node nodes[] = { { .id = 3, .epoch = 30, .n_endpoints = 1, .endpoints = &endpoint },
                            { .id = 1, .epoch = 10, .rack = STR("r") } };
    struct image_setting setting = { STR("retention.ms"), STR("5") };
    struct image_config config = { STR("topics"), STR("t"), 1, &setting };
    struct image_tombstone tombstone = { 2, id_of(0), STR("t"), 4, 9 };
    struct image_delta delta = { .n_brokers = 2,
                                 .brokers = nodes,
                                 .n_configs = 1,
                                 .configs = &config,
                                 .n_tombstones = 1,
                                 .tombstones = &tombstone };
    struct image *image = apply(image_new(7, 0, 3001, STR("c")), delta);
    int32_t gone = 3;

    ck_assert_int_eq(image_node_at(image, 0)->id, 1);
    ck_assert_int_eq(image_node(image, 3)->endpoints[0].port, 9092);
    ck_assert(str_is(image_node(image, 1)->rack, "r"));
    ck_assert_ptr_null(image_node(image, 2));
    ck_assert(str_is(
        image_config_value(image_config(image, STR("topics"), STR("t")), STR("retention.ms")),
        "5"));
    ck_assert_uint_eq(image_n_tombstones(image), 1);

    config.n_settings = 0;
    image = apply(image, (struct image_delta){ .brokers_gone = { .at = &gone, .n = 1 },
                                               .n_configs = 1,
                                               .configs = &config,
                                               .n_tombstones_gone = 1,
                                               .tombstones_gone = &tombstone });
    ck_assert_ptr_null(image_node(image, 3));
    ck_assert_ptr_null(image_config(image, STR("topics"), STR("t")));
    ck_assert_uint_eq(image_n_tombstones(image), 0);
    image_unref(&image);
}
END_TEST

#define TOPICS 300
#define PARTS  70

/* A thousand random changes, one by one, against the same content put together from nothing. */
START_TEST(deltas_end_where_a_full_image_does)
{
    static int32_t epochs[TOPICS][PARTS]; /* leader epoch + 1; 0: not there */
    struct image *image = image_new(7, 0, 3001, STR("c"));

    srand(4711);
    for (int step = 0; step < 5000; step++) {
        unsigned topic = (unsigned)rand() % TOPICS;
        int32_t index = rand() % PARTS;

        if (rand() % 20 == 0) {
            image = drop_topic(image, topic);
            memset(epochs[topic], 0, sizeof epochs[topic]);
        } else {
            image = put_part(image, topic, part_of(index, epochs[topic][index], step));
            epochs[topic][index]++;
        }
    }

    struct image *full = image_new(7, image_version(image), 3001, STR("c"));
    size_t n_topics = 0, n_parts = 0, walked = 0;

    for (unsigned topic = TOPICS; topic-- > 0;) {
        for (int32_t index = 0; index < PARTS; index++) {
            const struct image_part *part = image_part(image, id_of(topic), index);
            struct image_topic_change change = { .id = id_of(topic), .n_parts = 1, .parts = part };
            char name[24];

            ck_assert_int_eq(part != NULL ? part->leader_epoch + 1 : 0, epochs[topic][index]);
            if (part == NULL)
                continue;
            snprintf(name, sizeof name, "topic-%u", topic);
            change.name = str_of(name);
            n_parts++;
            n_topics += image_topic(full, id_of(topic)) == NULL;
            image_add(full, &(struct image_delta){ .n_topics = 1, .topics = &change });
        }
    }
    ck_assert_uint_eq(image_n_topics(image), n_topics);
    ck_assert_uint_eq(image_n_parts(image), n_parts);
    ck_assert(image_eq(full, image));

    struct image_cursor at = { 0 };

    while (image_next_topic(image, &at) != NULL)
        walked++;
    ck_assert_uint_eq(walked, n_topics);
    ck_assert_ptr_null(image_next_topic(image, &at));

    image = put_part(image, 5, part_of(3, 9999, 9999));
    ck_assert(!image_eq(full, image));
    image_unref(&full);
    image_unref(&image);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("image");

    tcase_add_test(tc, an_image_is_not_changed_by_its_successor);
    tcase_add_test(tc, an_older_entry_is_passed_over);
    tcase_add_test(tc, a_version_is_known_only_from_who_said_it_last);
    tcase_add_test(tc, a_name_follows_the_younger_topic);
    tcase_add_test(tc, brokers_settings_and_tombstones);
    tcase_add_test(tc, deltas_end_where_a_full_image_does);
    return unit_run(tc);
}
