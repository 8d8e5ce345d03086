/*
 * topics: what CreateTopics, CreatePartitions and DeleteTopics answer and leave behind; deletion
 * beside brokers that are away.
 */
#include <check.h>
#include <stdio.h>

#include "controller/core/admin/config_change.h"
#include "gen/wire/apis.h"
#include "gen/wire/create_partitions.h"
#include "gen/wire/create_topics.h"
#include "gen/wire/incremental_alter_configs.h"
#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static void three_brokers(void)
{
    toy_up(&toy, 3);
}

/* What CreateTopics is asked for next; kept until it is answered. */
static struct create_topics_request_topic topic;
static struct create_topics_request req;

static void ask_for(const char *name, int32_t n, int16_t factor)
{
    create_topics_request_init(&req);
    create_topics_request_topic_init(&topic);
    topic.name = str_of(name);
    topic.num_partitions = n;
    topic.replication_factor = factor;
    req.topics = &topic;
    req.topics_len = 1;
    req.timeout_ms = 30000;
}

static int create(const char *name, int32_t n, int16_t factor)
{
    ask_for(name, n, factor);
    return toy_ask(&toy, API_CREATE_TOPICS, 7, &req);
}

START_TEST(refusals)
{
    ck_assert_int_eq(create("t", 2, 3), 0);
    ck_assert_int_eq(create("t", 2, 3), ERR_TOPIC_ALREADY_EXISTS);
    ck_assert_int_eq(create("", 1, 1), ERR_INVALID_TOPIC_EXCEPTION);
    ck_assert_int_eq(create("..", 1, 1), ERR_INVALID_TOPIC_EXCEPTION);
    ck_assert_int_eq(create("a b", 1, 1), ERR_INVALID_TOPIC_EXCEPTION);
    ck_assert_int_eq(create("a.b", 1, 1), 0);
    ck_assert_int_eq(create("a_b", 1, 1), ERR_INVALID_TOPIC_EXCEPTION);
    ck_assert_int_eq(create("n", 0, 1), ERR_INVALID_PARTITIONS);
    ck_assert_int_eq(create("n", 1, 0), ERR_INVALID_REPLICATION_FACTOR);
    ck_assert_int_eq(create("n", 1, 4), ERR_INVALID_REPLICATION_FACTOR);
    ck_assert_int_eq(create("n", -1, -1), 0);
    ck_assert_uint_eq(toy_topic(&toy, "n")->n_parts, 1);
    toy_create(&toy, "hand", 1, IDS(1, 4, 9));
    ck_assert_int_eq(toy.errors[0], ERR_INVALID_REPLICA_ASSIGNMENT);
    toy_create(&toy, "hand", 1, IDS(1, 1));
    ck_assert_int_eq(toy.errors[0], ERR_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_ptr_null(toy_topic(&toy, "hand"));
}
END_TEST

START_TEST(settings_of_a_new_topic)
{
    struct create_topics_request_config config = { STR("retention.ms"), STR("5") };

    ask_for("c", 1, 1);
    topic.configs = &config;
    topic.configs_len = 1;
    req.validate_only = true;
    toy_ask(&toy, API_CREATE_TOPICS, 7, &req);
    ck_assert_int_eq(toy.errors[0], 0);
    ck_assert_ptr_null(toy_topic(&toy, "c"));
    config.value = STR("five");
    toy_ask(&toy, API_CREATE_TOPICS, 7, &req);
    ck_assert_int_eq(toy.errors[0], ERR_INVALID_CONFIG);
    config = (struct create_topics_request_config){ STR("message.format.version"), STR("3\xff") };
    toy_ask(&toy, API_CREATE_TOPICS, 7, &req);
    ck_assert_int_eq(toy.errors[0], ERR_INVALID_CONFIG);
    config = (struct create_topics_request_config){ STR("retention.ms"), STR("5") };
    req.validate_only = false;
    toy_ask(&toy, API_CREATE_TOPICS, 7, &req);
    ck_assert_int_eq(toy.errors[0], 0);
    ck_assert(str_is(
        image_config_value(image_config(toy.configs, STR("topics"), STR("c")), STR("retention.ms")),
        "5"));
    ck_assert(str_is(toy_setting(&toy, 2, "c", "retention.ms"), "5"));
}
END_TEST

/* Of all brokers, at run time. */
static void alter_all(const char *key, const char *value)
{
    static struct incremental_alter_configs_request_config config;
    static struct incremental_alter_configs_request_resource resource;
    static struct incremental_alter_configs_request alter;

    incremental_alter_configs_request_init(&alter);
    incremental_alter_configs_request_resource_init(&resource);
    incremental_alter_configs_request_config_init(&config);
    config.name = str_of(key);
    config.value = str_of(value);
    resource.resource_type = CONFIG_OF_BROKER;
    resource.resource_name = STR("");
    resource.configs = &config;
    resource.configs_len = 1;
    alter.resources = &resource;
    alter.resources_len = 1;
    ck_assert_int_eq(toy_ask(&toy, API_INCREMENTAL_ALTER_CONFIGS, 1, &alter), 0);
}

static const char *shows(const char *key, struct create_topics_request_config *own)
{
    ask_for("n", 1, 1);
    topic.configs = own;
    topic.configs_len = own != NULL ? 1 : 0;
    req.validate_only = true;
    toy.looks_for = key;
    toy.seen[0] = '\0';
    toy_ask(&toy, API_CREATE_TOPICS, 7, &req);
    return toy.seen;
}

/* With the source that Kafka names: 1 the topic, 3 all brokers at run time, 5 the default. */
START_TEST(a_new_topic_shows_what_it_inherits)
{
    struct create_topics_request_config own = { STR("retention.ms"), STR("5") };

    ck_assert_str_eq(shows("retention.ms", NULL), "604800000 5");
    alter_all("log.retention.ms", "60000");
    ck_assert_str_eq(shows("retention.ms", NULL), "60000 3");
    ck_assert_str_eq(shows("retention.ms", &own), "5 1");
    ck_assert_str_eq(shows("min.insync.replicas", NULL), "1 5");
}
END_TEST

START_TEST(a_new_topic_is_held_against_what_it_inherits)
{
    struct create_topics_request_config own = { STR("max.compaction.lag.ms"), STR("500") };

    ck_assert_str_eq(shows("max.compaction.lag.ms", &own), "500 1");
    alter_all("log.cleaner.min.compaction.lag.ms", "1000");
    shows("max.compaction.lag.ms", &own);
    ck_assert_int_eq(toy.errors[0], ERR_INVALID_CONFIG);
}
END_TEST

START_TEST(the_answer_waits_for_every_live_broker)
{
    toy.brokers[3].acks = false;
    create("t", 1, 3);
    ck_assert_int_eq(toy.n_answers, 0);
    toy_advance(&toy, 900);
    ck_assert_int_eq(toy.n_answers, 0);
    toy_advance(&toy, 200);
    ck_assert_int_eq(toy.n_answers, 1);
    ck_assert_int_eq(toy.errors[0], 0);
}
END_TEST

START_TEST(who_does_not_wait_is_told_so)
{
    ask_for("t", 1, 1);
    req.timeout_ms = 0;
    toy_ask(&toy, API_CREATE_TOPICS, 7, &req);
    toy_advance(&toy, 10);
    ck_assert_int_eq(toy.errors[0], ERR_REQUEST_TIMED_OUT);
    ck_assert_ptr_nonnull(toy_topic(&toy, "t"));
}
END_TEST

START_TEST(a_topic_grows)
{
    ck_assert_int_eq(create("t", 2, 3), 0);
    ck_assert_int_eq(toy_grow(&toy, "t", 2), ERR_INVALID_PARTITIONS);
    ck_assert_int_eq(toy_grow(&toy, "u", 2), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(toy_grow(&toy, "t", 5), 0);
    ck_assert_uint_eq(toy_topic(&toy, "t")->n_parts, 5);
    for (int32_t i = 2; i < 5; i++) {
        const struct toy_part *part = toy_part(&toy, "t", i);

        ck_assert_int_eq(part->state.leader, part->replicas[0]);
        ck_assert_uint_eq(part->state.isr.n, 3);
    }
}
END_TEST

START_TEST(no_partition_is_made_without_replicas)
{
    struct create_partitions_request_assignment none;
    struct create_partitions_request_topic by_hand;
    struct create_partitions_request grow;

    toy_create(&toy, "t", 1, IDS(1, 2));
    create_partitions_request_init(&grow);
    create_partitions_request_topic_init(&by_hand);
    create_partitions_request_assignment_init(&none);
    by_hand.name = STR("t");
    by_hand.count = 2;
    by_hand.assignments = &none;
    by_hand.assignments_len = 1;
    grow.topics = &by_hand;
    grow.topics_len = 1;
    grow.timeout_ms = 30000;
    ck_assert_int_eq(toy_ask(&toy, API_CREATE_PARTITIONS, 3, &grow),
                     ERR_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_uint_eq(toy_topic(&toy, "t")->n_parts, 1);
    toy_topic(&toy, "t")->parts[0].n_replicas = 0; /* another hand has emptied it */
    toy_next_controller(&toy);
    ck_assert_int_eq(toy_grow(&toy, "t", 2), ERR_UNKNOWN_TOPIC_OR_PARTITION);
}
END_TEST

START_TEST(a_partition_without_a_live_replica_is_born_later)
{
    toy_register(&toy, 4);
    toy_nodes(&toy);

    toy_create(&toy, "t", 1, IDS(4));
    SHOWS("t", 0, "none");
    toy_start(&toy, 4);
    SHOWS("t", 0, "4/4 0 0");
}
END_TEST

START_TEST(deletion_does_not_wait_for_the_absent)
{
    toy_create(&toy, "t", 4, IDS(1, 2, 3));
    toy_kill(&toy, 3);
    ck_assert_int_eq(toy_delete(&toy, "t"), 0);
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert_uint_eq(toy.n_marks, 0);
    ck_assert_uint_eq(toy.n_stones, 12);
    ck_assert_uint_eq(image_n_tombstones(toy.brokers[1].image), 12);
    ck_assert_int_eq(toy_delete(&toy, "t"), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    /* the name is free, under another id */
    toy_create(&toy, "t", 1, IDS(1, 2));
    ck_assert_int_eq(toy.errors[0], 0);

    toy_delete_files(&toy, 1);
    toy_delete_files(&toy, 2);
    ck_assert_uint_eq(toy.n_stones, 4);
    toy_win(&toy); /* another controller, much later */
    toy_hello(&toy, 1, false, false);
    toy_hello(&toy, 2, false, false);
    toy_start(&toy, 3);
    ck_assert_uint_eq(image_n_tombstones(toy.brokers[3].image), 4);
    toy_delete_files(&toy, 3);
    ck_assert_uint_eq(toy.n_stones, 0);
    ck_assert_uint_eq(image_n_tombstones(toy.brokers[3].image), 0);
}
END_TEST

START_TEST(nobody_speaks_for_another)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    ck_assert_int_eq(toy_delete(&toy, "t"), 0);

    struct image_tombstone stone = toy.stones[0];
    int32_t other = stone.broker == 1 ? 2 : 1;

    stone.broker = 9;
    toy_ack_deleted(&toy, other, 1, &stone);
    ck_assert_uint_eq(toy.n_stones, 1);
    ck_assert_int_ne(toy.stones[0].broker, other);
}
END_TEST

/* Another hand marks the topic while it is being created. */
static void mark_while_created(void)
{
    struct str t = STR("t");

    toy.hold = true;
    create("t", 2, 3);
    snprintf(toy.marks[toy.n_marks++], sizeof toy.marks[0], "t");
    toy_step(&toy, (struct core_event){ .kind = CORE_DELETE_MARKS, .names = { 1, &t } });
    toy_release(&toy);
    ck_assert_uint_eq(toy.n_marks, 0);
}

START_TEST(a_mark_that_comes_while_the_topic_is_made_leaves_no_files)
{
    mark_while_created();
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert_uint_eq(toy.n_stones, 6);
    for (int32_t id = 1; id <= 3; id++) {
        ck_assert_uint_eq(image_n_topics(toy.brokers[id].image), 0);
        toy_delete_files(&toy, id);
    }
    ck_assert_uint_eq(toy.n_stones, 0);
}
END_TEST

START_TEST(such_a_mark_goes_where_nothing_is_deleted)
{
    toy.settings.delete_topic_enable = false;
    toy_new_core(&toy);
    toy_next_controller(&toy);
    mark_while_created();
    ck_assert_ptr_nonnull(toy_topic(&toy, "t"));
    ck_assert_uint_eq(toy.n_stones, 0);
}
END_TEST

START_TEST(a_mark_of_another_hand_deletes)
{
    const struct str names[] = { STR("t"), STR("unknown") };

    toy_create(&toy, "t", 2, IDS(1, 2, 3));
    snprintf(toy.marks[0], sizeof toy.marks[0], "t");
    snprintf(toy.marks[1], sizeof toy.marks[1], "unknown");
    toy.n_marks = 2;
    toy_step(&toy,
             (struct core_event){ .kind = CORE_DELETE_MARKS, .names = { .n = 2, .names = names } });
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert_uint_eq(toy.n_marks, 0);
    ck_assert_uint_eq(toy.n_stones, 6);
}
END_TEST

START_TEST(a_mark_left_by_an_earlier_controller_is_carried_out)
{
    toy_create(&toy, "t", 2, IDS(1, 2, 3));
    toy.hold = true;
    toy_delete(&toy, "t");
    toy_release(&toy); /* the mark is stored; then the seat is lost */
    toy_win(&toy);
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert_uint_eq(toy.n_stones, 6);
}
END_TEST

/* Its tombstones are stored and its states gone, when the seat changes: nothing is born again, and
 * the brokers' files are still covered by the stones. */
START_TEST(a_deletion_that_was_interrupted_goes_on)
{
    struct toy_topic *t;
    struct uuid id;

    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    t = toy_topic(&toy, "t");
    id = t->id;
    snprintf(toy.marks[toy.n_marks++], sizeof toy.marks[0], "t");
    for (int32_t broker = 1; broker <= 3; broker++)
        toy.stones[toy.n_stones++] = (struct image_tombstone){
            .broker = broker, .topic_id = id, .topic = STR("t"), .leader_epoch = 5
        };
    t->parts[0].has_state = false;
    toy_next_controller(&toy);
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert_uint_eq(toy.n_marks, 0);
    ck_assert_uint_eq(image_n_topics(core_image(toy.core)), 0);
    ck_assert_uint_eq(toy.n_stones, 3);
    for (size_t i = 0; i < toy.n_stones; i++)
        ck_assert_int_eq(toy.stones[i].leader_epoch, 5);
}
END_TEST

/* The outcome of taking its znodes away is not known: what is read again does not bring it back. */
START_TEST(a_deleted_topic_is_not_read_back)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    toy.hold = toy.hold_next = true;
    toy_delete(&toy, "t"); /* mark and tombstones wait */
    toy_release(&toy);     /* and now the end of its znodes */
    ck_assert_uint_eq(image_n_topics(core_image(toy.core)), 0);
    toy_topic(&toy, "t")->parts[0].has_state = false;
    toy.hold_next = false;
    toy.lose = TOY_LOSE_BEFORE;
    toy_release(&toy);
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert_uint_eq(image_n_topics(core_image(toy.core)), 0);
}
END_TEST

START_TEST(settings_change)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    ck_assert_int_eq(toy_edit(&toy, "t", 0, "retention.ms", "77"), 0);
    ck_assert(str_is(toy_setting(&toy, 1, "t", "retention.ms"), "77"));
    ck_assert_int_eq(toy_edit(&toy, "t", 0, "retention.ms", "x"), ERR_INVALID_CONFIG);
    ck_assert_int_eq(toy_edit(&toy, "t", 2, "cleanup.policy", "compact"), 0);
    ck_assert(str_is(toy_setting(&toy, 1, "t", "cleanup.policy"), "delete,compact"));
    ck_assert_int_eq(toy_edit(&toy, "t", 3, "cleanup.policy", "delete"), 0);
    ck_assert(str_is(toy_setting(&toy, 1, "t", "cleanup.policy"), "compact"));
    ck_assert_int_eq(toy_edit(&toy, "t", 2, "retention.ms", "1"), ERR_INVALID_CONFIG);
    ck_assert_int_eq(toy_edit(&toy, "t", 1, "retention.ms", NULL), 0);
    ck_assert(str_is_null(toy_setting(&toy, 1, "t", "retention.ms")));
    ck_assert_int_eq(toy_edit(&toy, "t", 1, "no.such", NULL), 0);
    ck_assert(str_is(toy_setting(&toy, 1, "t", "cleanup.policy"), "compact"));
}
END_TEST

START_TEST(elections_on_demand)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    ck_assert_int_eq(toy_elect(&toy, 0, "t"), ERR_ELECTION_NOT_NEEDED);
    ck_assert_int_eq(toy_elect(&toy, 1, "t"), ERR_ELECTION_NOT_NEEDED);
    ck_assert_int_eq(toy_elect(&toy, 0, "u"), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    toy_kill(&toy, 1);
    ck_assert_int_eq(toy_elect(&toy, 0, "t"), ERR_PREFERRED_LEADER_NOT_AVAILABLE);
    toy_start(&toy, 1);
    ck_assert_int_eq(toy_elect(&toy, 0, "t"), ERR_PREFERRED_LEADER_NOT_AVAILABLE);
    toy_propose(&toy, 2, "t", 0, IDS(2, 3, 1));
    ck_assert_int_eq(toy_elect(&toy, 0, "t"), 0);
    SHOWS("t", 0, "1/2,3,1 2 3");

    toy_create(&toy, "two", 1, IDS(1, 2));
    toy_kill(&toy, 2);
    toy_kill(&toy, 1);
    SHOWS("two", 0, "-1/1 2 2");
    ck_assert_int_eq(toy_elect(&toy, 1, "two"), ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE);
    toy_start(&toy, 2);
    ck_assert_int_eq(toy_elect(&toy, 77, "two"), ERR_INVALID_REQUEST);
    ck_assert_int_eq(toy_elect(&toy, -1, "two"), ERR_INVALID_REQUEST);
    SHOWS("two", 0, "-1/1 2 2");
    ck_assert_int_eq(toy_elect(&toy, 1, "two"), 0);
    SHOWS("two", 0, "2/2 3 3");
    ck_assert(toy_part(&toy, "two", 0)->state.recovering);
}
END_TEST

/* Kafka never writes one, and no state that we write may have none either. */
START_TEST(a_state_of_another_hand_that_has_a_leader_and_no_isr)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    toy_topic(&toy, "t")->parts[0].state.isr.n = 0;
    toy_next_controller(&toy);
    toy_kill(&toy, 1);
    SHOWS("t", 0, "-1/1 1 1");
    toy_start(&toy, 2);
    toy_start(&toy, 1);
    SHOWS("t", 0, "1/1 2 2");
}
END_TEST

START_TEST(two_topics_of_one_request_that_differ_in_dots_only)
{
    struct create_topics_request_topic topics[3];

    create_topics_request_init(&req);
    for (int i = 0; i < 3; i++) {
        create_topics_request_topic_init(&topics[i]);
        topics[i].name = i == 0 ? STR("a.b") : i == 1 ? STR("a_b") : STR("a_c");
        topics[i].num_partitions = topics[i].replication_factor = 1;
    }
    req.topics = topics;
    req.topics_len = 3;
    req.timeout_ms = 30000;
    ck_assert_int_eq(toy_ask(&toy, API_CREATE_TOPICS, 7, &req), ERR_OK);
    ck_assert_int_eq(toy.errors[1], ERR_INVALID_TOPIC_EXCEPTION);
    ck_assert_int_eq(toy.errors[2], ERR_OK);
    ck_assert_ptr_null(toy_topic(&toy, "a_b"));
}
END_TEST

START_TEST(an_unknown_request_is_refused)
{
    toy_ask(&toy, API_CREATE_ACLS, 1, &toy);
    ck_assert_int_eq(toy.answer_err, ERR_UNSUPPORTED_VERSION);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("topics");

    tcase_add_checked_fixture(tc, three_brokers, core_kit_end);
    tcase_add_test(tc, refusals);
    tcase_add_test(tc, settings_of_a_new_topic);
    tcase_add_test(tc, a_new_topic_shows_what_it_inherits);
    tcase_add_test(tc, a_new_topic_is_held_against_what_it_inherits);
    tcase_add_test(tc, the_answer_waits_for_every_live_broker);
    tcase_add_test(tc, who_does_not_wait_is_told_so);
    tcase_add_test(tc, a_topic_grows);
    tcase_add_test(tc, no_partition_is_made_without_replicas);
    tcase_add_test(tc, a_partition_without_a_live_replica_is_born_later);
    tcase_add_test(tc, deletion_does_not_wait_for_the_absent);
    tcase_add_test(tc, nobody_speaks_for_another);
    tcase_add_test(tc, a_mark_that_comes_while_the_topic_is_made_leaves_no_files);
    tcase_add_test(tc, such_a_mark_goes_where_nothing_is_deleted);
    tcase_add_test(tc, a_mark_of_another_hand_deletes);
    tcase_add_test(tc, a_mark_left_by_an_earlier_controller_is_carried_out);
    tcase_add_test(tc, a_deletion_that_was_interrupted_goes_on);
    tcase_add_test(tc, a_deleted_topic_is_not_read_back);
    tcase_add_test(tc, settings_change);
    tcase_add_test(tc, elections_on_demand);
    tcase_add_test(tc, a_state_of_another_hand_that_has_a_leader_and_no_isr);
    tcase_add_test(tc, two_topics_of_one_request_that_differ_in_dots_only);
    tcase_add_test(tc, an_unknown_request_is_refused);
    return unit_run(tc);
}
