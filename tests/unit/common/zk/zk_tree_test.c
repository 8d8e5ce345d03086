/*
 * zk_tree: every value that Kafka 3.9 was seen to write is read, and written again byte for byte;
 * older versions and oddities are read; what is broken is refused; paths and names come out as
 * Kafka's.
 */
#include "common/zk/zk_tree.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

static struct arena arena;

static void set_up(void)
{
    arena_init(&arena, SIZE_MAX);
}

static void tear_down(void)
{
    arena_fini(&arena);
}

/* ---- recorded values ------------------------------------------------------------------------- */

enum outcome { SAME, OTHER, READ_ONLY, NOT_OURS };

static enum outcome same(struct str built, struct str json)
{
    return str_eq(built, json) ? SAME : OTHER;
}

static enum outcome rebuild_broker(struct str json)
{
    struct zk_registration reg;

    ck_assert_int_eq(zk_parse_registration(&arena, json, &reg), ERR_OK);
    ck_assert(str_is_null(reg.moldau));
    return reg.version < 5 ? READ_ONLY : same(zk_build_registration(&arena, &reg), json);
}

static enum outcome rebuild_topic(struct str json)
{
    struct zk_topic topic;

    ck_assert_int_eq(zk_parse_topic(&arena, json, &topic), ERR_OK);
    return same(zk_build_topic(&arena, &topic), json);
}

static enum outcome rebuild_state(struct str json)
{
    struct leader_isr state;
    int32_t controller_epoch;

    ck_assert_int_eq(zk_parse_state(&arena, json, &controller_epoch, &state), ERR_OK);
    return same(zk_build_state(&arena, controller_epoch, &state), json);
}

static enum outcome rebuild_config_change(struct str json)
{
    struct str type, name;

    ck_assert_int_eq(zk_parse_config_change(&arena, json, &type, &name), ERR_OK);
    return same(zk_build_config_change(&arena, type, name), json);
}

static enum outcome rebuild_config(struct str json)
{
    struct image_config config;

    ck_assert_int_eq(zk_parse_config(&arena, json, &config), ERR_OK);
    return same(zk_build_config(&arena, &config), json);
}

static enum outcome rebuild_single(struct str path, struct str json)
{
    if (str_is(path, ZK_CLUSTER_ID)) {
        struct str id;

        ck_assert_int_eq(zk_parse_cluster_id(&arena, json, &id), ERR_OK);
        return same(zk_build_cluster_id(&arena, id), json);
    }
    if (str_is(path, ZK_CONTROLLER)) {
        struct zk_holder holder;

        ck_assert_int_eq(zk_parse_holder(&arena, json, &holder), ERR_OK);
        return same(zk_build_holder(&arena, &holder), json);
    }
    if (str_is(path, ZK_CONTROLLER_EPOCH)) {
        int32_t epoch;

        ck_assert_int_eq(zk_parse_epoch(json, &epoch), ERR_OK);
        return same(zk_build_epoch(&arena, epoch), json);
    }
    if (str_is(path, ZK_PID_BLOCK)) {
        struct zk_pid_block block;

        ck_assert_int_eq(zk_parse_pid_block(&arena, json, &block), ERR_OK);
        return same(zk_build_pid_block(&arena, &block), json);
    }
    if (str_is(path, ZK_FEATURE)) {
        struct zk_features features;

        ck_assert_int_eq(zk_parse_features(&arena, json, &features), ERR_OK);
        return features.version < 2 ? READ_ONLY : same(zk_build_features(&arena), json);
    }
    return NOT_OURS;
}

static bool under(struct str path, const char *parent)
{
    return str_starts_with(path, str_of(parent)) && path.len > strlen(parent);
}

static enum outcome rebuild(struct str path, struct str json)
{
    if (under(path, ZK_BROKER_IDS "/"))
        return rebuild_broker(json);
    if (under(path, ZK_TOPICS "/") && str_is(zk_path_leaf(path), "state"))
        return rebuild_state(json);
    if (under(path, ZK_TOPICS "/"))
        return rebuild_topic(json);
    if (under(path, ZK_CONFIG_CHANGES "/"))
        return rebuild_config_change(json);
    if (under(path, ZK_CONFIG "/"))
        return rebuild_config(json);
    return rebuild_single(path, json);
}

START_TEST(what_kafka_wrote_is_written_again_byte_for_byte)
{
    size_t len;
    char *file = unit_read_file(unit_data("zookeeper/values.jsonl"), &len);
    int count[4] = { 0 };
    char *rest = file, *line;

    while ((line = strsep(&rest, "\n")) != NULL) {
        json_t *entry = line[0] != '\0' ? json_loads(line, 0, NULL) : NULL;
        struct str path, data;
        enum outcome outcome;

        if (entry == NULL)
            continue;
        path = str_of(json_string_value(json_object_get(entry, "path")));
        data = str_of(json_string_value(json_object_get(entry, "data")));
        outcome = data.len > 0 ? rebuild(path, data) : NOT_OURS;
        ck_assert_msg(outcome != OTHER, "differs: %s %s", path.ptr, data.ptr);
        count[outcome]++;
        json_decref(entry);
    }
    free(file);
    ck_assert_int_ge(count[SAME], 700);
    ck_assert_int_ge(count[READ_ONLY], 3);
}
END_TEST

/* ---- one by one ------------------------------------------------------------------------------ */

START_TEST(a_registration_of_ours_says_so)
{
    struct endpoint endpoints[] = {
        { STR("EXT"), STR("PLAINTEXT"), STR("h1"), 9094, false },
        { STR("INT"), STR("SASL_SSL"), STR("::1"), 9092, true },
    };
    struct zk_registration reg = { .node = { .n_endpoints = 2, .endpoints = endpoints },
                                   .jmx_port = -1,
                                   .timestamp_ms = 1700000000000,
                                   .moldau = STR("0.1.0") };
    struct zk_registration again;
    struct str json = zk_build_registration(&arena, &reg);

    ck_assert_str_eq(json.ptr, "{\"features\":{},\"listener_security_protocol_map\":"
                               "{\"EXT\":\"PLAINTEXT\",\"INT\":\"SASL_SSL\"},"
                               "\"endpoints\":[\"EXT://h1:9094\",\"INT://[::1]:9092\"],"
                               "\"jmx_port\":-1,\"port\":9094,\"host\":\"h1\","
                               "\"version\":5,\"timestamp\":\"1700000000000\",\"moldau\":\"0.1.0\","
                               "\"moldau_inter_broker\":\"INT\"}");
    ck_assert_int_eq(zk_parse_registration(&arena, json, &again), ERR_OK);
    ck_assert(str_is(again.moldau, "0.1.0"));
    ck_assert_int_eq(again.node.endpoints[0].port, 9094);
    ck_assert(str_is(again.node.endpoints[1].host, "::1"));
    ck_assert(str_is(again.node.endpoints[1].protocol, "SASL_SSL"));
    ck_assert_ptr_eq(node_inter_broker(&again.node), &again.node.endpoints[1]);
}
END_TEST

START_TEST(registrations_of_every_age_are_read)
{
    struct zk_registration reg;

    ck_assert_int_eq(
        zk_parse_registration(
            &arena, STR("{\"version\":1,\"host\":\"h\",\"port\":9092,\"jmx_port\":7}"), &reg),
        ERR_OK);
    ck_assert_int_eq((int)reg.node.n_endpoints, 1);
    ck_assert(str_is(reg.node.endpoints[0].host, "h"));
    ck_assert_int_eq(
        zk_parse_registration(&arena,
                              STR("{\"version\":3,\"host\":null,\"port\":-1,\"rack\":\"r\","
                                  "\"timestamp\":5,\"endpoints\":[\"SSL://h:9093\"],\"new\":[]}"),
                              &reg),
        ERR_OK);
    ck_assert(str_is(reg.node.endpoints[0].protocol, "SSL"));
    ck_assert(str_is(reg.node.rack, "r"));
    ck_assert_int_eq((int)reg.timestamp_ms, 5);
    ck_assert_ptr_null(node_inter_broker(&reg.node)); /* nobody says which one it is */
    ck_assert_int_eq(zk_parse_registration(&arena,
                                           STR("{\"version\":5,\"endpoints\":[\"A://h:1\"],"
                                               "\"listener_security_protocol_map\":{\"A\":\"SSL\"},"
                                               "\"moldau_inter_broker\":\"B\"}"),
                                           &reg),
                     ERR_OK);
    ck_assert_ptr_null(node_inter_broker(&reg.node));
}
END_TEST

START_TEST(a_topic_keeps_what_is_being_reassigned)
{
    struct zk_topic topic;

    ck_assert_int_eq(zk_parse_topic(&arena,
                                    STR("{\"version\":2,\"partitions\":{\"1\":[3,2,1],\"0\":[1]},"
                                        "\"adding_replicas\":{\"1\":[3],\"7\":[1]},"
                                        "\"removing_replicas\":{\"1\":[1]}}"),
                                    &topic),
                     ERR_OK);
    ck_assert_int_eq((int)topic.n_parts, 2);
    ck_assert(uuid_is_zero(topic.id));
    ck_assert_int_eq(topic.parts[0].index, 1);
    ck_assert_int_eq(topic.parts[0].adding.at[0], 3);
    ck_assert_int_eq(topic.parts[0].removing.at[0], 1);
    ck_assert_int_eq((int)topic.parts[1].adding.n, 0);
}
END_TEST

START_TEST(a_seat_has_a_port_that_one_can_listen_on)
{
    static const struct {
        int port;
        enum err err;
    } ports[] = { { -1, ERR_BAD_FORMAT }, { 0, ERR_BAD_FORMAT },     { 1, ERR_OK },
                  { 65535, ERR_OK },      { 65536, ERR_BAD_FORMAT }, { 70000, ERR_BAD_FORMAT } };
    struct zk_seat seat;
    char json[64];

    for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
        snprintf(json, sizeof json, "{\"version\":1,\"host\":\"h\",\"port\":%d}", ports[i].port);
        ck_assert_int_eq(zk_parse_seat(&arena, str_of(json), &seat), ports[i].err);
        if (ports[i].err == ERR_OK)
            ck_assert_int_eq(seat.port, ports[i].port);
    }
}
END_TEST

START_TEST(what_is_broken_is_refused)
{
    static const char *const bad[] = { "", "{", "[]", "null", "{}", "{\"version\":1}", "\xff\xfe" };
    struct zk_registration reg;
    struct zk_holder holder;
    struct zk_topic topic;
    struct leader_isr state;
    struct image_config config;
    int32_t number;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct str json = str_of(bad[i]);

        ck_assert_int_eq(zk_parse_registration(&arena, json, &reg), ERR_BAD_FORMAT);
        ck_assert_int_eq(zk_parse_holder(&arena, json, &holder), ERR_BAD_FORMAT);
        ck_assert_int_eq(zk_parse_topic(&arena, json, &topic), ERR_BAD_FORMAT);
        ck_assert_int_eq(zk_parse_state(&arena, json, &number, &state), ERR_BAD_FORMAT);
        ck_assert_int_eq(zk_parse_config(&arena, json, &config), ERR_BAD_FORMAT);
        ck_assert_int_eq(zk_parse_epoch(json, &number), ERR_BAD_FORMAT);
    }
    ck_assert_int_eq(zk_parse_topic(&arena, STR("{\"partitions\":{\"0\":[1],\"00\":[2]}}"), &topic),
                     ERR_BAD_FORMAT);
    ck_assert_int_eq(zk_parse_topic(&arena, STR("{\"partitions\":{\"x\":[1]}}"), &topic),
                     ERR_BAD_FORMAT);
    ck_assert_int_eq(zk_parse_topic(&arena, STR("{\"partitions\":{\"0\":[1e99]}}"), &topic),
                     ERR_BAD_FORMAT);
}
END_TEST

START_TEST(names_are_sanitised_as_kafka_does)
{
    struct str name;

    ck_assert_str_eq(zk_sanitize(&arena, STR("app 1*+")).ptr, "app%201%2A%2B");
    ck_assert_str_eq(zk_sanitize(&arena, STR("<default>")).ptr, "%3Cdefault%3E");
    ck_assert_int_eq(zk_unsanitize(&arena, STR("app%201%2A%2B"), &name), ERR_OK);
    ck_assert_str_eq(name.ptr, "app 1*+");
    ck_assert_int_eq(zk_unsanitize(&arena, STR("50%"), &name), ERR_BAD_FORMAT);
    ck_assert_int_eq(zk_unsanitize(&arena, STR("%4"), &name), ERR_BAD_FORMAT);
}
END_TEST

START_TEST(texts_are_escaped_as_jackson_does)
{
    struct image_setting setting = { STR("a\"b\\c"), STR("x\ny\x01/\xc3\xa9") };
    struct image_config config = { .n_settings = 1, .settings = &setting };

    ck_assert_str_eq(zk_build_config(&arena, &config).ptr,
                     "{\"version\":1,\"config\":{\"a\\\"b\\\\c\":\"x\\ny\\u0001/\xc3\xa9\"}}");
}
END_TEST

START_TEST(what_was_touched_comes_back)
{
    static const struct zk_touched_part parts[] = {
        { STR("a"), 0 }, { STR("a"), 7 }, { STR("b"), 1 }, { STR("a"), 2 }
    };
    static const struct str configs[] = { STR("topics/a"), STR("users/x\"y/clients/z") };
    static const struct str topics[] = { STR("c"), STR("a") };
    struct zk_touched touched = { .epoch = 9,
                                  .number = 4711,
                                  .n_parts = 4,
                                  .parts = parts,
                                  .n_configs = 2,
                                  .configs = configs,
                                  .n_topics = 2,
                                  .topics = topics };
    struct zk_touched again;
    struct str text = zk_build_touched(&arena, &touched);

    ck_assert_str_eq(text.ptr, "{\"version\":2,\"epoch\":9,\"number\":4711,\"states\":[[\"a\",0,7],"
                               "[\"b\",1],[\"a\",2]],\"configs\":[\"topics/a\","
                               "\"users/x\\\"y/clients/z\"],\"topics\":[\"c\",\"a\"]}");
    ck_assert_int_eq(zk_parse_touched(&arena, text, &again), ERR_OK);
    ck_assert_int_eq(again.epoch, 9);
    ck_assert_uint_eq(again.number, 4711);
    ck_assert_uint_eq(again.n_parts, 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert(str_eq(again.parts[i].topic, parts[i].topic));
        ck_assert_int_eq(again.parts[i].partition, parts[i].partition);
    }
    ck_assert_uint_eq(again.n_configs, 2);
    ck_assert(str_eq(again.configs[1], configs[1]));
    ck_assert(again.has_topics);
    ck_assert_uint_eq(again.n_topics, 2);
    ck_assert(str_eq(again.topics[0], topics[0]) && str_eq(again.topics[1], topics[1]));

    touched.n_parts = touched.n_configs = touched.n_topics = 0;
    text = zk_build_touched(&arena, &touched);
    ck_assert_int_eq(zk_parse_touched(&arena, text, &again), ERR_OK);
    ck_assert_uint_eq(again.n_parts + again.n_configs + again.n_topics, 0);
    ck_assert_str_eq(zk_path_ring(&arena, 4711), "/controllers/ring/103");
}
END_TEST

/* The first version named no topics; of a younger one nobody here knows what it leaves out. */
START_TEST(what_was_touched_says_whether_it_names_topics)
{
    static const char text[] = "{\"version\":%d,\"epoch\":9,\"number\":3,\"states\":[[\"a\",0]],"
                               "\"configs\":[]%s}";
    static const struct {
        int version;
        const char *more;
        enum err err;
        bool has_topics;
    } cases[] = {
        { 1, "", ERR_OK, false },
        { 2, ",\"topics\":[\"a\"]", ERR_OK, true },
        { 2, "", ERR_BAD_FORMAT, true },
        { 2, ",\"topics\":[7]", ERR_BAD_FORMAT, true },
        { 3, ",\"topics\":[\"a\"]", ERR_BAD_FORMAT, true },
        { 0, "", ERR_BAD_FORMAT, false },
    };
    struct zk_touched touched;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str json = arena_printf(&arena, text, cases[i].version, cases[i].more);

        ck_assert_int_eq(zk_parse_touched(&arena, json, &touched), cases[i].err);
        if (cases[i].err == ERR_OK)
            ck_assert_int_eq(touched.has_topics, cases[i].has_topics);
    }
    ck_assert_int_eq(zk_parse_touched(&arena, STR("{\"epoch\":9}"), &touched), ERR_BAD_FORMAT);
}
END_TEST

START_TEST(eligible_leaders_come_back_from_path_and_value)
{
    static const int32_t ids[] = { 2, 3 };
    struct zk_eligible eligible = { .controller_epoch = 7,
                                    .leader_epoch = 4,
                                    .partition_epoch = 9,
                                    .min_isr = 2,
                                    .replicas = IDS_OF(ids) },
                       again;
    struct zk_ours ours = { .first = 3, .last = 9 };
    struct uuid id = { .bytes = { 0xfb, 0xef, 0xbe } }, id_again; /* prints with '-' */
    int32_t partition;

    ck_assert_int_eq(zk_parse_eligible(&arena, zk_build_eligible(&arena, &eligible), &again),
                     ERR_OK);
    ck_assert_int_eq(again.controller_epoch, 7);
    ck_assert_int_eq(again.leader_epoch, 4);
    ck_assert_int_eq(again.partition_epoch, 9);
    ck_assert_int_eq(again.min_isr, 2);
    ck_assert(ids_eq(again.replicas, eligible.replicas));
    ck_assert_int_eq(zk_parse_eligible(&arena, STR("{\"leader_epoch\":4}"), &again),
                     ERR_BAD_FORMAT);
    ck_assert(zk_leaf_eligible(zk_path_leaf(str_of(zk_path_eligible(&arena, id, 12))), &id_again,
                               &partition));
    ck_assert_int_eq(partition, 12);
    ck_assert(uuid_eq(id, id_again));
    ck_assert(!zk_leaf_eligible(STR("12"), &id_again, &partition));

    ck_assert_int_eq(zk_parse_ours(&arena, zk_build_ours(&arena, &ours), &ours), ERR_OK);
    ck_assert_int_eq(ours.first, 3);
    ck_assert_int_eq(ours.last, 9);
    ck_assert_int_eq(zk_parse_ours(&arena, STR_NULL, &ours), ERR_OK);
    ck_assert_int_gt(ours.first, ours.last);
}
END_TEST

START_TEST(tombstones_come_back_from_path_and_value)
{
    struct zk_tombstone at[] = { { 0, 3 }, { 12, 0 } };
    struct zk_tombstones stones = { .topic = STR("t"), .n = 2, .at = at }, again;
    struct uuid id = { .bytes = { 0xfb, 0xef, 0xbe } }, id_again; /* prints with '-' */
    int32_t broker;

    ck_assert_int_eq(zk_parse_tombstones(&arena, zk_build_tombstones(&arena, &stones), &again),
                     ERR_OK);
    ck_assert(str_is(again.topic, "t"));
    ck_assert_int_eq((int)again.n, 2);
    ck_assert_int_eq(again.at[1].partition, 12);
    ck_assert_int_eq(again.at[0].leader_epoch, 3);
    ck_assert(zk_leaf_tombstones(zk_path_leaf(str_of(zk_path_tombstones(&arena, 7, id))), &broker,
                                 &id_again));
    ck_assert_int_eq(broker, 7);
    ck_assert(uuid_eq(id, id_again));
}
END_TEST

START_TEST(paths_are_kafkas)
{
    ck_assert_str_eq(zk_path_state(&arena, STR("t"), 12), "/brokers/topics/t/partitions/12/state");
    ck_assert_str_eq(zk_path_config(&arena, STR("users"), STR("a/clients/b")),
                     "/config/users/a/clients/b");
    ck_assert_str_eq(zk_path_delete_mark(&arena, STR("t")), "/admin/delete_topics/t");
    ck_assert_str_eq(zk_path_seat(&arena, 3001), "/controllers/ids/3001");
    ck_assert_str_eq(zk_path_loading(&arena, 7), "/controllers/loading/7");
}
END_TEST

START_TEST(change_notes_of_both_versions_are_read)
{
    struct str type, name;

    ck_assert_int_eq(zk_parse_config_change(
                         &arena,
                         STR("{\"version\":1,\"entity_type\":\"topics\",\"entity_name\":\"t\"}"),
                         &type, &name),
                     ERR_OK);
    ck_assert(str_is(type, "topics") && str_is(name, "t"));
    ck_assert_int_eq(
        zk_parse_config_change(&arena, STR("{\"version\":2,\"entity_path\":\"users/u/clients/c\"}"),
                               &type, &name),
        ERR_OK);
    ck_assert(str_is(type, "users") && str_is(name, "u/clients/c"));
    ck_assert_int_eq(zk_parse_config_change(
                         &arena,
                         STR("{\"version\":1,\"entity_type\":\"topics\",\"entity_name\":\"\"}"),
                         &type, &name),
                     ERR_BAD_FORMAT);
    ck_assert_int_eq(zk_parse_config_change(
                         &arena, STR("{\"version\":2,\"entity_path\":\"topics\"}"), &type, &name),
                     ERR_BAD_FORMAT);
}
END_TEST

START_TEST(how_far_a_start_is_comes_back)
{
    struct zk_loading_dir dirs[] = {
        { .dir = STR("/data/\"1\""), .is_clean = true, .loaded = 3, .total = 7 },
        { .dir = STR("/data/2"), .loaded = 1, .total = 2000, .read_bytes = INT64_C(1) << 40 },
    };
    struct zk_loading back;

    ck_assert_int_eq(
        zk_parse_loading(
            &arena,
            zk_build_loading(&arena,
                             &(struct zk_loading){ .dirs = dirs, .n = 2, .timestamp_ms = 5 }),
            &back),
        ERR_OK);
    ck_assert_uint_eq(back.n, 2);
    ck_assert_int_eq(back.timestamp_ms, 5);
    for (size_t i = 0; i < 2; i++) {
        ck_assert(str_eq(back.dirs[i].dir, dirs[i].dir));
        ck_assert_int_eq(back.dirs[i].is_clean, dirs[i].is_clean);
        ck_assert_int_eq(back.dirs[i].loaded, dirs[i].loaded);
        ck_assert_int_eq(back.dirs[i].total, dirs[i].total);
        ck_assert_int_eq(back.dirs[i].read_bytes, dirs[i].read_bytes);
    }
    ck_assert_int_eq(zk_parse_loading(&arena, STR("{\"dirs\":[{\"dir\":1}]}"), &back),
                     ERR_BAD_FORMAT);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("zk_tree");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_kafka_wrote_is_written_again_byte_for_byte);
    tcase_add_test(tc, a_registration_of_ours_says_so);
    tcase_add_test(tc, registrations_of_every_age_are_read);
    tcase_add_test(tc, a_topic_keeps_what_is_being_reassigned);
    tcase_add_test(tc, a_seat_has_a_port_that_one_can_listen_on);
    tcase_add_test(tc, what_is_broken_is_refused);
    tcase_add_test(tc, names_are_sanitised_as_kafka_does);
    tcase_add_test(tc, texts_are_escaped_as_jackson_does);
    tcase_add_test(tc, what_was_touched_comes_back);
    tcase_add_test(tc, what_was_touched_says_whether_it_names_topics);
    tcase_add_test(tc, eligible_leaders_come_back_from_path_and_value);
    tcase_add_test(tc, tombstones_come_back_from_path_and_value);
    tcase_add_test(tc, how_far_a_start_is_comes_back);
    tcase_add_test(tc, paths_are_kafkas);
    tcase_add_test(tc, change_notes_of_both_versions_are_read);
    return unit_run(tc);
}
