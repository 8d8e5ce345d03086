/*
 * standby: what is believed after a change of controllers, and what is not: whatever was touched
 * since, all of it where the ring has a gap or another controller was there in between.
 */
#include "controller/core/standby.h"

#include <check.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

static const int32_t replicas[] = { 1, 2 };
static const struct uuid id_a = { .bytes = { 1 } }, id_b = { .bytes = { 2 } };
static struct standby *standby;

static struct image_part part(int32_t index, int32_t leader_epoch)
{
    return (struct image_part){ .index = index,
                                .leader = 1,
                                .leader_epoch = leader_epoch,
                                .partition_epoch = leader_epoch,
                                .replicas = IDS_OF(replicas),
                                .isr = IDS_OF(replicas) };
}

static struct image *an_image(void)
{
    struct image *image = image_new(7, 1, 3001, STR("c"));
    struct image_part parts_a[] = { part(0, 3), part(1, 3), part(2, -1) };
    struct image_part parts_b[] = { part(0, 4) };
    struct image_topic_change topics[] = {
        { .id = id_a, .name = STR("a"), .n_parts = 3, .parts = parts_a, .has_version = true },
        { .id = id_b, .name = STR("b"), .n_parts = 1, .parts = parts_b },
    };
    struct image_setting setting = { STR("k"), STR("v") };
    struct image_config config = {
        .type = STR("topics"), .name = STR("a"), .n_settings = 1, .settings = &setting
    };

    image_add(image, &(struct image_delta){
                         .n_topics = 2, .topics = topics, .n_configs = 1, .configs = &config });
    return image;
}

static void setup(void)
{
    struct image *image = an_image();

    standby = standby_new();
    standby_on_image(standby, &image);
    ck_assert_ptr_null(image);
}

static void teardown(void)
{
    standby_free(&standby);
}

static struct zk_touched entry(int32_t epoch, uint64_t number)
{
    return (struct zk_touched){ .epoch = epoch, .number = number, .has_topics = true };
}

START_TEST(what_was_not_touched_is_believed)
{
    static const struct zk_touched_part parts[] = { { STR("a"), 1 }, { STR("gone"), 0 } };
    static const struct str configs[] = { STR("topics/b") };
    struct zk_touched touched[] = { entry(7, 6), entry(7, 5), entry(6, 9), entry(7, 4) };
    const struct image_config *config;

    touched[0].n_parts = ARRAY_LEN(parts);
    touched[0].parts = parts;
    touched[1].n_configs = 1;
    touched[1].configs = configs;
    standby_on_position(standby, 7, 1, 4);
    ck_assert_ptr_null(standby_judge(standby, 8, ARRAY_LEN(touched), touched));
    ck_assert_int_eq(standby_part(standby, id_a, 0)->leader_epoch, 3);
    ck_assert_ptr_null(standby_part(standby, id_a, 1)); /* touched */
    ck_assert_ptr_null(standby_part(standby, id_a, 2)); /* had no state */
    ck_assert_ptr_null(standby_part(standby, id_a, 3)); /* was not there */
    ck_assert_int_eq(standby_part(standby, id_b, 0)->leader_epoch, 4);
    ck_assert(standby_config(standby, STR("topics"), STR("a"), &config));
    ck_assert_uint_eq(config->n_settings, 1);
    ck_assert(!standby_config(standby, STR("topics"), STR("b"), &config));
    ck_assert(!standby_config(standby, STR("topics"), STR("c"), &config)); /* was not there */
    ck_assert(standby_config(standby, STR("brokers"), STR("c"), &config));
    ck_assert_ptr_null(config);
    standby_doubt_config(standby, STR("topics/a"));
    ck_assert(!standby_config(standby, STR("topics"), STR("a"), &config));
}
END_TEST

static struct image_delta delta_of(uint64_t version, const struct image_topic_change *topic)
{
    return (struct image_delta){
        .controller_epoch = 7, .version = version, .n_topics = 1, .topics = topic
    };
}

START_TEST(topics_are_believed_by_their_version)
{
    static const struct str topics[] = { STR("x"), STR("b") };
    struct zk_touched touched[] = { entry(7, 4), entry(7, 5), entry(6, 3) };
    struct image_topic_change versions[] = {
        { .id = id_b, .name = STR("b"), .has_version = true, .version = 2 },
        { .id = id_a, .name = STR("a") },
    };
    struct image_delta told = delta_of(2, &versions[0]), silent = delta_of(3, &versions[1]);

    standby_on_position(standby, 7, 1, 4);
    ck_assert_ptr_null(standby_topic(standby, STR("a"))); /* nothing is, before the judgement */
    ck_assert_ptr_null(standby_judge(standby, 8, 2, touched));
    ck_assert(uuid_eq(standby_topic(standby, STR("a"))->id, id_a));
    ck_assert_int_eq(standby_topic(standby, STR("a"))->version, 0);
    ck_assert_ptr_null(standby_topic(standby, STR("b"))); /* no version */
    ck_assert_ptr_null(standby_topic(standby, STR("x"))); /* was not there */

    ck_assert(standby_on_delta(standby, &told));
    ck_assert_ptr_null(standby_judge(standby, 8, 2, touched));
    ck_assert_int_eq(standby_topic(standby, STR("b"))->version, 2);
    touched[1].n_topics = ARRAY_LEN(topics);
    touched[1].topics = topics;
    ck_assert_ptr_null(standby_judge(standby, 8, 2, touched));
    ck_assert_ptr_null(standby_topic(standby, STR("b"))); /* touched; its partitions are not */
    ck_assert_ptr_nonnull(standby_part(standby, id_b, 0));
    ck_assert_ptr_nonnull(standby_topic(standby, STR("a")));

    ck_assert(standby_on_delta(standby, &silent));
    ck_assert_ptr_null(standby_judge(standby, 8, 1, touched));
    ck_assert_ptr_null(standby_topic(standby, STR("a")));
    ck_assert_ptr_nonnull(standby_topic(standby, STR("b"))); /* said, and not touched */
}
END_TEST

/* One entry that would not have told of topics makes all of them doubtful, if it is news. */
START_TEST(who_names_no_topics_leaves_none_to_believe)
{
    struct zk_touched touched[] = { entry(7, 4), entry(7, 5), entry(6, 5) };

    touched[0].has_topics = touched[2].has_topics = false;
    standby_on_position(standby, 7, 1, 4);
    ck_assert_ptr_null(standby_judge(standby, 8, 3, touched));
    ck_assert_ptr_nonnull(standby_topic(standby, STR("a")));
    touched[1].has_topics = false;
    ck_assert_ptr_null(standby_judge(standby, 8, 3, touched));
    ck_assert_ptr_null(standby_topic(standby, STR("a")));
    ck_assert_ptr_nonnull(standby_part(standby, id_a, 0));
}
END_TEST

START_TEST(nothing_written_means_nothing_doubted)
{
    standby_on_position(standby, 7, 1, 0);
    ck_assert_ptr_null(standby_judge(standby, 8, 0, NULL));
    ck_assert_ptr_nonnull(standby_part(standby, id_a, 1));
    ck_assert_ptr_nonnull(standby_topic(standby, STR("a")));
}
END_TEST

/* Every reason to read everything, and that nothing is believed then. */
START_TEST(where_the_ring_cannot_tell_all_is_read)
{
    struct zk_touched gap[] = { entry(7, 4), entry(7, 6) };
    struct zk_touched twice[] = { entry(7, 4), entry(7, 6), entry(7, 6) };
    struct zk_touched overtaken[] = { entry(7, 260), entry(7, 261) };
    struct zk_touched whole[] = { entry(7, 4), entry(7, 5) };
    const struct image_config *config;

    ck_assert_ptr_nonnull(standby_judge(standby, 8, 2, whole)); /* no position yet */
    standby_on_position(standby, 7, 2, 4);                      /* of another version */
    ck_assert_ptr_nonnull(standby_judge(standby, 8, 2, whole));
    standby_on_position(standby, 7, 1, 4);
    ck_assert_ptr_null(standby_judge(standby, 8, 2, whole));
    ck_assert_ptr_nonnull(standby_judge(standby, 9, 2, whole)); /* somebody was in between */
    ck_assert_ptr_nonnull(standby_judge(standby, 8, 2, gap));
    ck_assert_ptr_nonnull(standby_judge(standby, 8, 3, twice));
    ck_assert_ptr_nonnull(standby_judge(standby, 8, 2, overtaken));
    ck_assert_ptr_nonnull(standby_judge(standby, 8, 0, NULL)); /* the ring was wiped */
    ck_assert_ptr_null(standby_part(standby, id_a, 0));
    ck_assert_ptr_null(standby_topic(standby, STR("a")));
    ck_assert(!standby_config(standby, STR("topics"), STR("a"), &config));
    standby_forget(standby);
    ck_assert_ptr_nonnull(standby_judge(standby, 8, 2, whole));
}
END_TEST

START_TEST(deltas_are_followed_without_gaps)
{
    struct image_part moved[] = { part(1, 9) };
    struct image_topic_change topics[] = {
        { .id = id_a, .name = STR("a"), .n_parts = 1, .parts = moved },
    };
    struct image_delta delta = {
        .controller_epoch = 7, .version = 2, .n_topics = 1, .topics = topics
    };
    struct image_delta later = { .controller_epoch = 7, .version = 4 };

    standby_on_position(standby, 7, 1, 4);
    ck_assert(standby_on_delta(standby, &delta));
    ck_assert_uint_eq(image_version(standby_image(standby)), 2);
    /* the position is that of the version before until it is said anew: its write is in the ring */
    struct zk_touched touched[] = { entry(7, 4), entry(7, 5) };
    ck_assert_ptr_null(standby_judge(standby, 8, 2, touched));
    ck_assert_int_eq(standby_part(standby, id_a, 1)->leader_epoch, 9);
    ck_assert(!standby_on_delta(standby, &later));
    ck_assert_ptr_null(standby_image(standby));
    ck_assert(!standby_on_delta(standby, &later));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("standby");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_was_not_touched_is_believed);
    tcase_add_test(tc, topics_are_believed_by_their_version);
    tcase_add_test(tc, who_names_no_topics_leaves_none_to_believe);
    tcase_add_test(tc, nothing_written_means_nothing_doubted);
    tcase_add_test(tc, where_the_ring_cannot_tell_all_is_read);
    tcase_add_test(tc, deltas_are_followed_without_gaps);
    return unit_run(tc);
}
