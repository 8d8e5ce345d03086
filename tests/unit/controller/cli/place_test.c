/*
 * place: addresses as people write them, and which source wins.
 */
#include "controller/cli/place.h"

#include <check.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/kit/unit.h"

static struct cli cli;
static struct place place;

static void set_up(void)
{
    cli = (struct cli){ 0 };
    arena_init(&cli.arena, SIZE_MAX);
    unsetenv("MOLDAU_BOOTSTRAP");
    unsetenv("MOLDAU_CONTROLLER");
    unsetenv("MOLDAU_ZOOKEEPER");
    unsetenv("MOLDAU_COMMAND_CONFIG");
    ck_assert_int_eq(chdir(unit_temp_dir()), 0);
}

static void tear_down(void)
{
    args_fini(&cli.args);
    arena_fini(&cli.arena);
}

static void file(const char *path, const char *text)
{
    FILE *out = fopen(path, "we");

    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    fclose(out);
}

static void parse(int n, char *const *argv)
{
    ck_assert_int_eq(args_parse(&cli.args, n, argv), CLI_OK);
}

static char topic[] = "topic", list[] = "list", dash_b[] = "-b", host[] = "h:1";

START_TEST(addresses_are_read)
{
    struct address *found;
    int n;

    ck_assert(place_parse(&cli.arena, "a:1, b ,[::1]:3,PLAINTEXT://c:4", 9092, &found, &n));
    ck_assert_int_eq(n, 4);
    ck_assert_str_eq(place_join(&cli.arena, found, n), "a:1,b:9092,::1:3,c:4");
    ck_assert(!place_parse(&cli.arena, "a:0", 9092, &found, &n));
    ck_assert(!place_parse(&cli.arena, "a:70000", 9092, &found, &n));
    ck_assert(!place_parse(&cli.arena, "a:b", 9092, &found, &n));
    ck_assert(!place_parse(&cli.arena, ":1", 9092, &found, &n));
    ck_assert(!place_parse(&cli.arena, "[::1", 9092, &found, &n));
    ck_assert(!place_parse(&cli.arena, ",", 9092, &found, &n));
}
END_TEST

START_TEST(arguments_win_over_the_environment)
{
    parse(4, (char *const[]){ topic, list, dash_b, host });
    setenv("MOLDAU_BOOTSTRAP", "env:2", 1);
    ck_assert_int_eq(place_find(&cli, &place), CLI_OK);
    ck_assert_str_eq(place_join(&cli.arena, place.brokers, place.brokers_len), "h:1");
}
END_TEST

START_TEST(the_environment_wins_over_files)
{
    parse(2, (char *const[]){ topic, list });
    file(".moldau", "bootstrap=file:3\n");
    setenv("MOLDAU_ZOOKEEPER", "z:2181/x", 1);
    ck_assert_int_eq(place_find(&cli, &place), CLI_OK);
    ck_assert_int_eq(place.brokers_len, 0);
    ck_assert_str_eq(place.zookeeper, "z:2181/x");
}
END_TEST

START_TEST(a_file_is_found_upwards)
{
    parse(2, (char *const[]){ topic, list });
    file(".moldau", "# ours\n bootstrap = file:3 \ncommand-config=/etc/x\n");
    ck_assert_int_eq(mkdir("deep", 0700), 0);
    ck_assert_int_eq(mkdir("deep/er", 0700), 0);
    ck_assert_int_eq(chdir("deep/er"), 0);
    ck_assert_int_eq(place_find(&cli, &place), CLI_OK);
    ck_assert_str_eq(place_join(&cli.arena, place.brokers, place.brokers_len), "file:3");
    ck_assert_str_eq(place.command_config, "/etc/x");
    ck_assert(!place.local);
}
END_TEST

START_TEST(a_local_cluster_needs_no_address)
{
    parse(2, (char *const[]){ topic, list });
    ck_assert_int_eq(mkdir("run", 0700), 0);
    file("run/cluster.json", "{\n \"brokers\": 2,\n \"controllers\": 1,\n \"zookeepers\": 1,\n"
                             " \"port_base\": 27000,\n \"set\": [],\n \"build\": \"plain\"\n}\n");
    ck_assert_int_eq(place_find(&cli, &place), CLI_OK);
    ck_assert_str_eq(place_join(&cli.arena, place.brokers, place.brokers_len),
                     "127.0.0.1:27001,127.0.0.1:27002");
    ck_assert_str_eq(place_join(&cli.arena, place.controllers, place.controllers_len),
                     "127.0.0.1:27051");
    ck_assert_str_eq(place.zookeeper, "127.0.0.1:27081");
    ck_assert(place.local);
}
END_TEST

START_TEST(without_a_port_base_it_is_where_kafka_would_be)
{
    parse(2, (char *const[]){ topic, list });
    ck_assert_int_eq(mkdir("run", 0700), 0);
    file("run/cluster.json", "{\"brokers\": 1, \"port_base\": null}");
    ck_assert_int_eq(place_find(&cli, &place), CLI_OK);
    ck_assert_str_eq(place_join(&cli.arena, place.brokers, place.brokers_len), "127.0.0.1:9092");
    ck_assert_str_eq(place.zookeeper, "127.0.0.1:2181");
}
END_TEST

START_TEST(times_have_units)
{
    int64_t ms;

    ck_assert(cli_parse_ms("500ms", &ms) && ms == 500);
    ck_assert(cli_parse_ms("10", &ms) && ms == 10000);
    ck_assert(cli_parse_ms("2m", &ms) && ms == 120000);
    ck_assert(!cli_parse_ms("", &ms));
    ck_assert(!cli_parse_ms("5x", &ms));
    ck_assert(!cli_parse_ms("-5s", &ms));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("place");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, addresses_are_read);
    tcase_add_test(tc, arguments_win_over_the_environment);
    tcase_add_test(tc, the_environment_wins_over_files);
    tcase_add_test(tc, a_file_is_found_upwards);
    tcase_add_test(tc, a_local_cluster_needs_no_address);
    tcase_add_test(tc, without_a_port_base_it_is_where_kafka_would_be);
    tcase_add_test(tc, times_have_units);
    return unit_run(tc);
}
