/*
 * alter_screen: of a request with several resources only those are taken out that this broker has
 * to refuse, and each is answered for.
 */
#include "broker/api/alter_screen.h"

#include <check.h>
#include <stdlib.h>

#include "broker/tables/settings.h"
#include "common/base/mem.h"
#include "gen/wire/alter_configs.h"
#include "gen/wire/apis.h"
#include "gen/wire/incremental_alter_configs.h"
#include "tests/kit/unit.h"

#define TOO_MANY                                                                                   \
    "Invalid config value for resource ConfigResource(type=BROKER, name='1'): Log cleaner "        \
    "threads "                                                                                     \
    "cannot be increased to more than double the current value 2"

enum { OF_TOPIC = 2, OF_BROKER = 4 };

static struct conf *conf;
static struct broker_conf values;
static struct api api;
static struct request req;

static void start(void)
{
    conf = conf_new(&broker_conf_table, &values);
    conf_read_text(conf, "test", STR("log.cleaner.threads=2\n"));
    conf_finish(conf);
    broker_conf_derive(conf, &values);
    api = (struct api){ .broker_id = 1,
                        .settings = settings_new(conf, &values, 1),
                        .meta = meta_new() };
    arena_init(&req.arena, SIZE_MAX);
}

static void stop(void)
{
    arena_fini(&req.arena);
    meta_free(&api.meta);
    settings_free(&api.settings);
    conf_free(&conf);
}

/* One key a resource. */
struct asked {
    int8_t type;
    const char *name, *value;
    int8_t operation;
};

static void screen_edits(const struct asked *asked, int32_t n, struct alter_screen *out,
                         struct incremental_alter_configs_request *body)
{
    incremental_alter_configs_request_init(body);
    body->resources = arena_zalloc(&req.arena, (size_t)n, sizeof *body->resources);
    body->resources_len = n;
    for (int32_t i = 0; i < n; i++) {
        struct incremental_alter_configs_request_resource *r = &body->resources[i];

        incremental_alter_configs_request_resource_init(r);
        r->resource_type = asked[i].type;
        r->resource_name = str_of(asked[i].name);
        r->configs = arena_zalloc(&req.arena, 1, sizeof *r->configs);
        r->configs_len = 1;
        incremental_alter_configs_request_config_init(r->configs);
        r->configs->name = STR("log.cleaner.threads");
        r->configs->value = str_of(asked[i].value);
        r->configs->config_operation = asked[i].operation;
    }
    req.key = API_INCREMENTAL_ALTER_CONFIGS;
    alter_screen(&api, &req, body, out);
}

START_TEST(what_is_fine_is_left_as_it_is)
{
    static const struct asked asked[] = {
        { OF_BROKER, "1", "4", 0 },  { OF_BROKER, "", "1", 0 },    { OF_BROKER, "1", NULL, 1 },
        { OF_TOPIC, "1", "100", 0 }, { OF_BROKER, "2", "100", 0 }, { OF_BROKER, "1", "9", 2 }
    };
    struct incremental_alter_configs_request body;
    struct alter_screen screen;

    screen_edits(asked, ARRAY_LEN(asked), &screen, &body);
    ck_assert_uint_eq(screen.n, 0);
    ck_assert(!screen.nothing_left);
    ck_assert_int_eq(body.resources_len, ARRAY_LEN(asked));
}
END_TEST

START_TEST(the_rest_of_a_request_goes_on)
{
    static const struct asked asked[] = { { OF_BROKER, "1", "100", 0 },
                                          { OF_TOPIC, "t", "100", 0 },
                                          { OF_BROKER, "", "0", 0 } };
    struct incremental_alter_configs_request body;
    struct incremental_alter_configs_response resp;
    struct incremental_alter_configs_response_resource of_rest;
    struct alter_screen screen;

    screen_edits(asked, 3, &screen, &body);
    ck_assert_uint_eq(screen.n, 2);
    ck_assert(!screen.nothing_left);
    ck_assert_int_eq(body.resources_len, 1);
    ck_assert(str_is(body.resources[0].resource_name, "t"));
    incremental_alter_configs_response_init(&resp);
    incremental_alter_configs_response_resource_init(&of_rest);
    of_rest.resource_name = STR("t");
    resp.responses = &of_rest;
    resp.responses_len = 1;
    alter_screen_answer(&screen, &req, &resp);
    ck_assert_int_eq(resp.responses_len, 3);
    ck_assert(str_is(resp.responses[0].resource_name, "t"));
    ck_assert_int_eq(resp.responses[0].error_code, 0);
    ck_assert_int_eq(resp.responses[1].error_code, err_to_wire(ERR_INVALID_REQUEST));
    ck_assert_int_eq(resp.responses[1].resource_type, OF_BROKER);
    ck_assert(str_is(resp.responses[1].resource_name, "1"));
    ck_assert(str_is(resp.responses[1].error_message, TOO_MANY));
    ck_assert_uint_eq(resp.responses[2].resource_name.len, 0);
}
END_TEST

START_TEST(a_request_that_replaces_all_is_screened_too)
{
    struct alter_configs_request body;
    struct alter_configs_response resp;
    struct alter_configs_request_resource resource;
    struct alter_configs_request_config config;
    struct alter_screen screen;

    alter_configs_request_init(&body);
    alter_configs_request_resource_init(&resource);
    alter_configs_request_config_init(&config);
    config.name = STR("log.cleaner.threads");
    config.value = STR("100");
    resource.resource_type = OF_BROKER;
    resource.resource_name = STR("1");
    resource.configs = &config;
    resource.configs_len = 1;
    body.resources = &resource;
    body.resources_len = 1;
    req.key = API_ALTER_CONFIGS;
    alter_screen(&api, &req, &body, &screen);
    ck_assert(screen.nothing_left);
    ck_assert_int_eq(body.resources_len, 0);
    alter_configs_response_init(&resp);
    alter_screen_answer(&screen, &req, &resp);
    ck_assert_int_eq(resp.responses_len, 1);
    ck_assert(str_is(resp.responses[0].error_message, TOO_MANY));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("alter_screen");

    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, what_is_fine_is_left_as_it_is);
    tcase_add_test(tc, the_rest_of_a_request_goes_on);
    tcase_add_test(tc, a_request_that_replaces_all_is_screened_too);
    return unit_run(tc);
}
