/*
 * rounds: a topic that another hand changed is found, once, and only after a second look; what is
 * as known, gone, or on its way to being known is left alone.
 */
#include "controller/shell/rounds.h"

#include <check.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/say.h"
#include "tests/kit/fake_zk.h"
#include "tests/kit/unit.h"

#define TOPICS 120

static struct reactor *reactor;
static struct fake_zk *fake;
static struct zk *zk;
static struct image *image;
static struct rounds *rounds;
static int32_t known[TOPICS];
static int n_changed, last_changed;
static int asked;

static struct uuid id_of(int n)
{
    struct uuid id = UUID_ZERO;

    id.bytes[0] = 1;
    id.bytes[15] = (uint8_t)n;
    return id;
}

static const struct image *image_now(void *arg)
{
    (void)arg;
    return image;
}

static int32_t version(void *arg, struct uuid topic)
{
    (void)arg;
    asked++;
    return known[topic.bytes[15]];
}

static void on_changed(void *arg, struct str topic)
{
    (void)arg;
    n_changed++;
    ck_assert_int_eq(sscanf(topic.ptr, "t%d", &last_changed), 1);
}

static const char *path_of(int n)
{
    static char path[64];

    snprintf(path, sizeof path, "/brokers/topics/t%d", n);
    return path;
}

static void turn_until_asked(int wanted)
{
    for (int i = 0; i < 20000 && asked < wanted; i++) {
        reactor_turn(reactor, false);
        usleep(200);
    }
    ck_assert_int_ge(asked, wanted);
}

static void set_up(void)
{
    char name[16];

    say_setup(SAY_ERROR, SAY_TEXT, "test");
    n_changed = asked = 0;
    reactor = reactor_new();
    fake = fake_zk_new();
    fake_zk_put(fake, "/brokers", NULL);
    fake_zk_put(fake, "/brokers/topics", NULL);
    image = image_new(1, 1, 3001, STR("cluster"));
    for (int n = 0; n < TOPICS; n++) {
        snprintf(name, sizeof name, "t%d", n);
        struct image_topic_change change = { .id = id_of(n), .name = str_of(name) };

        image_add(image, &(struct image_delta){ .n_topics = 1, .topics = &change });
        fake_zk_put(fake, path_of(n), "{}");
        known[n] = fake_zk_version(fake, path_of(n));
    }
    zk = fake_zk_open(fake, reactor_mailbox(reactor));
    rounds = rounds_start(&(struct rounds_conf){ .zk = zk,
                                                 .reactor = reactor,
                                                 .rest_ms = 1,
                                                 .again_ms = 1,
                                                 .image = image_now,
                                                 .version = version,
                                                 .on_changed = on_changed });
}

static void tear_down(void)
{
    rounds_stop(&rounds);
    zk_close(&zk);
    for (int i = 0; i < 30; i++)
        reactor_turn(reactor, false);
    fake_zk_free(&fake);
    image_unref(&image);
    reactor_free(&reactor);
}

START_TEST(all_as_known_is_no_news_and_the_rounds_go_on)
{
    turn_until_asked(3);
    ck_assert_int_eq(n_changed, 0);
}
END_TEST

START_TEST(a_changed_topic_is_found_at_the_second_look)
{
    for (int n = 0; n < TOPICS; n++)
        fake_zk_put(fake, path_of(n), "{\"grown\":1}");
    turn_until_asked(1);
    ck_assert_int_eq(n_changed, 0);
    for (int i = 0; i < 20000 && n_changed == 0; i++) {
        reactor_turn(reactor, false);
        usleep(200);
    }
    ck_assert_int_ge(n_changed, 1);
    known[last_changed] = fake_zk_version(fake, path_of(last_changed));
}
END_TEST

START_TEST(what_becomes_known_in_between_was_our_own)
{
    int doubtful;

    for (int n = 0; n < TOPICS; n++)
        known[n]--; /* our write is in ZooKeeper, and not answered yet */
    turn_until_asked(1);
    doubtful = asked;
    for (int n = 0; n < TOPICS; n++)
        known[n]++;
    turn_until_asked(doubtful + 3);
    ck_assert_int_eq(n_changed, 0);
}
END_TEST

START_TEST(the_gone_and_the_unknown_are_left_alone)
{
    for (int n = 0; n < TOPICS; n += 2)
        fake_zk_drop(fake, path_of(n));
    for (int n = 1; n < TOPICS; n += 2)
        known[n] = -1;
    turn_until_asked(3);
    ck_assert_int_eq(n_changed, 0);
}
END_TEST

START_TEST(a_stop_waits_for_nobody)
{
    fake_zk_hold(zk);
    for (int i = 0; i < 50; i++) {
        reactor_turn(reactor, false);
        usleep(200);
    }
    rounds_stop(&rounds);
    fake_zk_release(zk);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("rounds");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, all_as_known_is_no_news_and_the_rounds_go_on);
    tcase_add_test(tc, a_changed_topic_is_found_at_the_second_look);
    tcase_add_test(tc, what_becomes_known_in_between_was_our_own);
    tcase_add_test(tc, the_gone_and_the_unknown_are_left_alone);
    tcase_add_test(tc, a_stop_waits_for_nobody);
    return unit_run(tc);
}
