/*
 * lists: twins are found among many, messages end somewhere, and what small requests with long
 * lists cost, in memory and in looks of one thing at all others.
 */
#include "controller/core/admin/lists.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/base/mem.h"
#include "gen/wire/alter_partition_reassignments.h"
#include "gen/wire/apis.h"
#include "gen/wire/create_topics.h"
#include "gen/wire/delete_topics.h"
#include "gen/wire/incremental_alter_configs.h"
#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static void three_brokers(void)
{
    toy_up(&toy, 3);
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
}

static long most_kib(void)
{
    struct rusage usage;

    ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* What it costs is a few times what it is long: some MB at most. Sanitizers need several times that
 * for themselves. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MOST_KIB (1024 * 1024)
#else
#define MOST_KIB (100 * 1024)
#endif
#define COSTS_LITTLE(before_kib) ck_assert_int_lt(most_kib() - (before_kib), MOST_KIB)

START_TEST(twins_are_found_wherever_they_are)
{
    const struct list_key keys[] = {
        { 2, STR("b") }, { 2, STR("a") }, { 4, STR("a") },
        { 2, STR("b") }, { 2, STR("") },  { 2, STR("b") },
    };
    static const bool twins[] = { true, false, false, true, false, true };
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    ck_assert_mem_eq(list_twins(&arena, keys, ARRAY_LEN(keys)), twins, sizeof twins);
    list_twins(&arena, NULL, 0);
    arena_fini(&arena);
}
END_TEST

START_TEST(a_brief_is_cut_where_a_message_is)
{
    struct brief brief = { .len = 0 };

    ck_assert(str_is(brief_text(&brief), ""));
    brief_add_ids(&brief, IDS(1, 20, -1));
    ck_assert(str_is(brief_text(&brief), "1, 20, -1"));
    for (int i = 0; i < 1000; i++)
        brief_add(&brief, STR("word"));
    ck_assert_uint_eq(brief.len, JOB_WHY_BYTES - 1);
}
END_TEST

static int move_to(size_t n, const int32_t *replicas)
{
    struct alter_partition_reassignments_request_partition part;
    struct alter_partition_reassignments_request_topic topic;
    struct alter_partition_reassignments_request req;

    alter_partition_reassignments_request_init(&req);
    alter_partition_reassignments_request_topic_init(&topic);
    alter_partition_reassignments_request_partition_init(&part);
    part.replicas = xmemdup(replicas, n * sizeof *replicas);
    part.replicas_len = (int32_t)n;
    topic.name = STR("t");
    topic.partitions = &part;
    topic.partitions_len = 1;
    req.topics = &topic;
    req.topics_len = 1;
    req.timeout_ms = 30000;
    toy_ask(&toy, API_ALTER_PARTITION_REASSIGNMENTS, 0, &req);
    free(part.replicas);
    return toy.errors[0];
}

START_TEST(many_replicas)
{
    enum { N = 1000000 };
    int32_t *replicas = xcalloc(N, sizeof *replicas);
    long before = most_kib();

    for (int32_t i = 0; i < N; i++)
        replicas[i] = i + 1;
    replicas[N - 1] = 1;
    ck_assert_int_eq(move_to(N, replicas), ERR_INVALID_REPLICA_ASSIGNMENT);
    COSTS_LITTLE(before);
    free(replicas);
    ck_assert_int_eq(move_to(2, (const int32_t[]){ 2, 2 }), ERR_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_str_eq(toy.message,
                     "Duplicate replica ids in partition reassignment replica list: 2, 2");
    ck_assert_int_eq(move_to(2, (const int32_t[]){ 2, 9 }), ERR_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_str_eq(toy.message, "Replica assignment has brokers that are not alive. Replica "
                                  "list: 2, 9");
    ck_assert_int_eq(move_to(2, (const int32_t[]){ 2, -9 }), ERR_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_str_eq(toy.message, "Invalid broker id in replica list: 2, -9");
}
END_TEST

static int edit_all(size_t n, struct incremental_alter_configs_request_config *edits)
{
    struct incremental_alter_configs_request_resource resource;
    struct incremental_alter_configs_request req;

    incremental_alter_configs_request_init(&req);
    incremental_alter_configs_request_resource_init(&resource);
    resource.resource_type = 2;
    resource.resource_name = STR("t");
    resource.configs = edits;
    resource.configs_len = (int32_t)n;
    req.resources = &resource;
    req.resources_len = 1;
    return toy_ask(&toy, API_INCREMENTAL_ALTER_CONFIGS, 1, &req);
}

static void edit_many(const char *value, enum err err)
{
    enum { N = 200000 };
    struct incremental_alter_configs_request_config *edits = xcalloc(N, sizeof *edits);
    char(*names)[16] = xcalloc(N, sizeof *names);
    long before = most_kib();

    for (int i = 0; i < N; i++) {
        incremental_alter_configs_request_config_init(&edits[i]);
        snprintf(names[i], sizeof names[i], "a%07d", i);
        edits[i].name = str_of(names[i]);
        edits[i].value = value != NULL ? str_of(value) : STR_NULL;
    }
    ck_assert_int_eq(edit_all(N, edits), err);
    COSTS_LITTLE(before);
    free(edits);
    free(names);
}

START_TEST(many_settings_without_a_value)
{
    edit_many(NULL, ERR_INVALID_REQUEST);
    ck_assert(
        str_starts_with(str_of(toy.message), STR("Null value not supported for : a0000000, a0")));
}
END_TEST

START_TEST(many_settings_that_do_not_exist)
{
    edit_many("1", ERR_INVALID_CONFIG);
}
END_TEST

START_TEST(many_words_are_appended)
{
    enum { N = 100000 };
    struct incremental_alter_configs_request_config edit;
    char *value = xcalloc(2 * N + 1, 1);
    long before = most_kib();

    for (int i = 0; i < N; i++)
        memcpy(&value[2 * i], "x,", 2);
    incremental_alter_configs_request_config_init(&edit);
    edit.name = STR("cleanup.policy");
    edit.value = str_of(value);
    edit.config_operation = 2;
    ck_assert_int_eq(edit_all(1, &edit), ERR_INVALID_CONFIG);
    COSTS_LITTLE(before);
    free(value);
}
END_TEST

START_TEST(many_topics_with_bad_names)
{
    enum { N = 200000 };
    struct create_topics_request_topic *topics = xcalloc(N, sizeof *topics);
    char(*names)[16] = xcalloc(N, sizeof *names);
    struct create_topics_request req;

    create_topics_request_init(&req);
    for (int i = 0; i < N; i++) {
        create_topics_request_topic_init(&topics[i]);
        snprintf(names[i], sizeof names[i], "!%07d", i);
        topics[i].name = str_of(names[i]);
        topics[i].num_partitions = topics[i].replication_factor = 1;
    }
    topics[7].name = topics[N - 1].name; /* the first errors are looked at */
    req.topics = topics;
    req.topics_len = N;
    req.timeout_ms = 30000;
    ck_assert_int_eq(toy_ask(&toy, API_CREATE_TOPICS, 7, &req), ERR_INVALID_TOPIC_EXCEPTION);
    ck_assert_int_eq(toy.errors[7], ERR_INVALID_REQUEST);
    free(topics);
    free(names);
}
END_TEST

static struct create_topics_request_topic *ask_for_many(struct create_topics_request *req, int n,
                                                        const char *prefix, int first)
{
    struct create_topics_request_topic *topics = xcalloc((size_t)n, sizeof *topics);
    char(*names)[16] = xcalloc((size_t)n, sizeof *names);

    create_topics_request_init(req);
    for (int i = 0; i < n; i++) {
        create_topics_request_topic_init(&topics[i]);
        snprintf(names[i], sizeof names[i], "%s%07d", prefix, first + i);
        topics[i].name = str_of(names[i]);
        topics[i].num_partitions = topics[i].replication_factor = 1;
    }
    req->topics = topics;
    req->topics_len = n;
    req->timeout_ms = 30000;
    return topics;
}

static void free_many(struct create_topics_request_topic *topics)
{
    free((char *)(uintptr_t)topics[0].name.ptr);
    free(topics);
}

/* They are all planned, and the WRITE is never carried out. */
START_TEST(many_topics_at_once)
{
    enum { N = 200000 };
    struct create_topics_request req;
    struct create_topics_request_topic *topics = ask_for_many(&req, N, "a.b", 0);
    char same[] = "a_b0000001";

    topics[7].name = str_of(same);
    toy.hold = true;
    ck_assert_int_eq(toy_ask(&toy, API_CREATE_TOPICS, 7, &req), -99);
    ck_assert_ptr_nonnull(toy.held);
    ck_assert_uint_eq(toy.held->n, 3 * (N - 1)); /* the seventh is like the first */
    toy_fini(&toy);
    free_many(topics);
    three_brokers();
}
END_TEST

/* N topics, "x.0000000" and so on, which the toy knows nothing of. */
static void load_many(int n)
{
    struct core_read_topic *topics = xcalloc((size_t)n, sizeof *topics);
    char(*names)[16] = xcalloc((size_t)n, sizeof *names);
    static const int32_t one[] = { 1 };
    struct core_read_part part = { .replicas = IDS_OF(one),
                                   .has_state = true,
                                   .state = { .leader = 1, .isr = IDS_OF(one) } };
    struct core_event ev = { .kind = CORE_LOADED };

    for (int i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "x.%07d", i);
        topics[i] = (struct core_read_topic){
            .name = str_of(names[i]), .id = { .bytes = { 9 } }, .n_parts = 1, .parts = &part
        };
        memcpy(&topics[i].id.bytes[4], &i, sizeof i);
    }
    ev.loaded.controller_epoch = toy.controller_epoch;
    ev.loaded.cluster_id = STR("toy");
    ev.loaded.topics = topics;
    ev.loaded.n_topics = (size_t)n;
    ev.loaded.pid_block = toy.pid_block;
    toy_step(&toy, ev);
    free(topics);
    free(names);
}

START_TEST(many_topics_beside_many)
{
    enum { N = 150000 };
    struct create_topics_request req;
    struct create_topics_request_topic *topics = ask_for_many(&req, N, "x.", N);
    char same[] = "x_0000001";

    topics[0].name = str_of(same);
    load_many(N);
    req.validate_only = true;
    ck_assert_int_eq(toy_ask(&toy, API_CREATE_TOPICS, 7, &req), ERR_INVALID_TOPIC_EXCEPTION);
    ck_assert_str_eq(toy.message, "topic x_0000001 differs from x.0000001 only in '.' and '_'");
    ck_assert_int_eq(toy.errors[1], ERR_OK);
    toy_fini(&toy);
    three_brokers();
    topics[0].name.ptr = topics[1].name.ptr - 16;
    free_many(topics);
}
END_TEST

/* Their marks and tombstones are planned, and never carried out; then their tombstones are all
 * there and acknowledged. */
START_TEST(many_topics_go)
{
    enum { N = 100000 };
    struct delete_topics_request_topic *topics = xcalloc(N, sizeof *topics);
    char(*names)[16] = xcalloc(N, sizeof *names);
    struct delete_topics_request req;

    load_many(N);
    delete_topics_request_init(&req);
    for (int i = 0; i < N; i++) {
        delete_topics_request_topic_init(&topics[i]);
        snprintf(names[i], sizeof names[i], "x.%07d", i);
        topics[i].name = str_of(names[i]);
    }
    req.topics = topics;
    req.topics_len = N;
    req.timeout_ms = 30000;
    toy.hold = true;
    ck_assert_int_eq(toy_ask(&toy, API_DELETE_TOPICS, 6, &req), -99);
    ck_assert_uint_eq(toy.held->n, 2 * N);
    toy_fini(&toy);
    three_brokers();
    free(topics);
    free(names);
}
END_TEST

START_TEST(many_tombstones_go)
{
    enum { N = 100000 };
    struct core_tombstones *stones = xcalloc(N, sizeof *stones);
    struct image_tombstone *gone = xcalloc(N, sizeof *gone);
    struct core_tombstone_part part = { 0 };
    struct core_event ev = { .kind = CORE_LOADED };

    for (int i = 0; i < N; i++) {
        stones[i] = (struct core_tombstones){ .broker = 1,
                                              .topic_id = { .bytes = { 9 } },
                                              .topic = STR("gone"),
                                              .n = 1,
                                              .parts = &part };
        memcpy(&stones[i].topic_id.bytes[4], &i, sizeof i);
        gone[i].topic_id = stones[i].topic_id;
    }
    ev.loaded.controller_epoch = toy.controller_epoch;
    ev.loaded.cluster_id = STR("toy");
    ev.loaded.tombstones = stones;
    ev.loaded.n_tombstones = N;
    ev.loaded.pid_block = toy.pid_block;
    toy_step(&toy, ev);
    ck_assert_uint_eq(image_n_tombstones(core_image(toy.core)), N);
    toy.hold = true;
    toy_ack_deleted(&toy, 1, N - 1, gone);
    ck_assert_uint_eq(toy.held->n, N - 1);
    toy_fini(&toy);
    three_brokers();
    free(stones);
    free(gone);
}
END_TEST

START_TEST(many_moves_that_wait_for_a_word)
{
    enum { N = 20000 };
    struct alter_partition_reassignments_request_partition *parts = xcalloc(N, sizeof *parts);
    struct alter_partition_reassignments_request_topic topic;
    struct alter_partition_reassignments_request req;
    int32_t target = 2;
    long before;

    alter_partition_reassignments_request_init(&req);
    alter_partition_reassignments_request_topic_init(&topic);
    for (int32_t i = 0; i < N; i++) {
        alter_partition_reassignments_request_partition_init(&parts[i]);
        parts[i].partition_index = i;
        parts[i].replicas = &target;
        parts[i].replicas_len = 1;
    }
    topic.name = STR("t");
    topic.partitions = parts;
    topic.partitions_len = N;
    req.topics = &topic;
    req.topics_len = 1;
    req.timeout_ms = 30000;
    for (int32_t id = 1; id <= 3; id++)
        toy.brokers[id].acks = false;
    ck_assert_int_eq(toy_ask(&toy, API_ALTER_PARTITION_REASSIGNMENTS, 0, &req), -99);
    before = most_kib();
    for (int i = 0; i < 300; i++)
        toy_step(&toy, (struct core_event){ .kind = CORE_TICK });
    COSTS_LITTLE(before);
    for (int32_t id = 1; id <= 3; id++)
        toy.brokers[id].acks = true;
    toy_ack(&toy, 2);
    ck_assert_int_eq(toy.errors[0], ERR_OK);
    ASSIGNS("t", 0, "2");
    free(parts);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("lists");

    tcase_add_checked_fixture(tc, three_brokers, core_kit_end);
    tcase_add_test(tc, twins_are_found_wherever_they_are);
    tcase_add_test(tc, a_brief_is_cut_where_a_message_is);
    tcase_add_test(tc, many_replicas);
    tcase_add_test(tc, many_settings_without_a_value);
    tcase_add_test(tc, many_settings_that_do_not_exist);
    tcase_add_test(tc, many_words_are_appended);
    tcase_add_test(tc, many_topics_with_bad_names);
    tcase_add_test(tc, many_topics_at_once);
    tcase_add_test(tc, many_topics_beside_many);
    tcase_add_test(tc, many_topics_go);
    tcase_add_test(tc, many_tombstones_go);
    tcase_add_test(tc, many_moves_that_wait_for_a_word);
    return unit_run(tc);
}
