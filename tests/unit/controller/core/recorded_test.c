/*
 * recorded: the story that Kafka 3.9 was recorded with, told to our core. After each step every
 * partition must be as Kafka left it, but for the differences that tests/data/zookeeper/epochs.txt
 * names and gives a reason for.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen/wire/apis.h"
#include "gen/wire/create_partitions.h"
#include "gen/wire/elect_leaders.h"
#include "tests/kit/toy_core.h"
#include "tests/kit/unit.h" /* unit_run */

static const int32_t r123[] = { 1, 2, 3 }, r12[] = { 1, 2 }, r312[] = { 3, 1, 2 }, r3[] = { 3 },
                     r231[] = { 2, 3, 1 }, r21[] = { 2, 1 }, r321[] = { 3, 2, 1 }, r32[] = { 3, 2 },
                     r213[] = { 2, 1, 3 }, r31[] = { 3, 1 };
static struct toy toy;
static FILE *story;
static char line[512];

/* ---- what is told --------------------------------------------------------------------------- */

static void expire(int32_t id)
{
    toy_kill(&toy, id);
    toy_expire(&toy, id);
}

static void stop(int32_t id)
{
    toy_step(&toy,
             (struct core_event){ .kind = CORE_SHUTDOWN_WANTED,
                                  .shutdown_wanted = { .stream = toy.brokers[id].stream,
                                                       .number = 1,
                                                       .broker_epoch = toy.brokers[id].epoch } });
    expire(id);
}

static void elect(int8_t type, const char *name)
{
    static int32_t zero;
    static struct elect_leaders_request_topic topic;
    static struct elect_leaders_request req;

    elect_leaders_request_init(&req);
    elect_leaders_request_topic_init(&topic);
    topic.topic = str_of(name);
    topic.partitions = &zero;
    topic.partitions_len = 1;
    req.election_type = type;
    req.topic_partitions = &topic;
    req.topic_partitions_len = 1;
    req.timeout_ms = 30000;
    toy_step(&toy, (struct core_event){ .kind = CORE_ADMIN,
                                        .admin = { .id = ++toy.requests,
                                                   .stream = 1,
                                                   .api_key = API_ELECT_LEADERS,
                                                   .api_version = 2,
                                                   .request = &req } });
    ck_assert_int_eq(toy.errors[0], 0);
}

#define PREFER(name) elect(0, name)

static void grow(const char *name, int32_t count)
{
    static struct create_partitions_request_topic topic;
    static struct create_partitions_request req;

    create_partitions_request_init(&req);
    create_partitions_request_topic_init(&topic);
    topic.name = str_of(name);
    topic.count = count;
    topic.assignments_len = -1;
    req.topics = &topic;
    req.topics_len = 1;
    req.timeout_ms = 30000;
    toy_step(&toy, (struct core_event){ .kind = CORE_ADMIN,
                                        .admin = { .id = ++toy.requests,
                                                   .stream = 1,
                                                   .api_key = API_CREATE_PARTITIONS,
                                                   .api_version = 3,
                                                   .request = &req } });
    ck_assert_int_eq(toy.errors[0], 0);
}

static void join(int32_t leader, const char *topic, struct ids isr)
{
    toy_propose(&toy, leader, topic, 0, isr);
    ck_assert_int_eq(toy.brokers[leader].alter_err, ERR_OK);
}

/* ---- what is held against it ---------------------------------------------------------------- */

/* The next line of the file that says something, cut at its tabs. */
static bool next_line(char *fields[4])
{
    while (fgets(line, sizeof line, story) != NULL) {
        char *rest = line;

        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        for (int i = 0; i < 4; i++)
            fields[i] = strsep(&rest, "\t");
        return true;
    }
    return false;
}

static const char *show(const char *topic)
{
    static char text[160];

    snprintf(text, sizeof text, "%s%s", toy_show(&toy, topic, 0),
             toy_part(&toy, topic, 0)->state.recovering ? " R" : "");
    return text;
}

/* The lines of the step that the file is at, whose title must be this. */
static void holds(const char *title)
{
    static char *fields[4];
    static bool at_step;
    long here;

    if (!at_step)
        ck_assert(next_line(fields));
    ck_assert_str_eq(fields[0], "step");
    ck_assert_str_eq(fields[1], title);
    for (at_step = false, here = ftell(story); next_line(fields); here = ftell(story)) {
        const char *want = fields[2] != NULL ? fields[2] : fields[1];

        if (strcmp(fields[0], "step") == 0) {
            fseek(story, here, SEEK_SET);
            return;
        }
        /* a difference has a reason */
        ck_assert(fields[2] == NULL || (fields[3] != NULL && strlen(fields[3]) > 0));
        if (strncmp(want, "as ", 3) == 0)
            ck_assert_msg(strcmp(toy_assigned(&toy, fields[0], 0), want + 3) == 0,
                          "%s: %s is %s, not %s", title, fields[0],
                          toy_assigned(&toy, fields[0], 0), want);
        else
            ck_assert_msg(strcmp(show(fields[0]), want) == 0, "%s: %s is %s, not %s", title,
                          fields[0], show(fields[0]), want);
    }
}

/* ---- the story ------------------------------------------------------------------------------ */

static void first_part(void)
{
    toy_create(&toy, "ep", 1, IDS_OF(r123));
    toy_create(&toy, "ep2", 1, IDS_OF(r12));
    toy_create(&toy, "unc", 1, IDS_OF(r12));
    toy_create(&toy, "plain", 1, IDS_OF(r312));
    holds("created");
    toy_next_controller(&toy);
    holds("the controller is deposed, all brokers alive");
    ck_assert_int_eq(toy_reassign(&toy, "ep2", 0, IDS_OF(r3)), 0);
    join(1, "ep2", IDS_OF(r123));
    holds("ep2 moves from 1,2 to 3");
    holds("before the controlled shutdown of 1");
    stop(1);
    holds("controlled shutdown of 1");
    toy_start(&toy, 1);
    join(2, "ep", IDS_OF(r231));
    join(2, "unc", IDS_OF(r21));
    join(3, "plain", IDS_OF(r321));
    holds("1 is back");
    PREFER("ep");
    holds("preferred election of ep");
    PREFER("unc"); /* by its rebalance, in Kafka */
    expire(1);
    holds("kill -9 of 1");
    toy_start(&toy, 1);
    join(2, "ep", IDS_OF(r231));
    join(2, "unc", IDS_OF(r21));
    join(3, "plain", IDS_OF(r321));
    holds("1 is restarted");
    PREFER("ep");
    PREFER("unc");
    holds("preferred election of all");
}

static void second_part(void)
{
    expire(3);
    holds("kill -9 of 3");
    toy_start(&toy, 3);
    join(1, "ep", IDS_OF(r213));
    join(1, "plain", IDS_OF(r213));
    holds("3 is back");
    stop(2);
    toy_next_controller(&toy); /* it was the controller */
    holds("controlled shutdown of 2");
    PREFER("plain"); /* by its rebalance, in Kafka */
    expire(1);
    holds("kill -9 of 1, alone in sync for unc");
    toy_start(&toy, 2);
    join(3, "ep", IDS_OF(r32));
    join(3, "plain", IDS_OF(r32));
    holds("2 is back, 1 still dead");
    elect(1, "unc");
    holds("unclean election of unc");
    toy_start(&toy, 1);
    join(3, "ep", IDS_OF(r321));
    join(2, "unc", IDS_OF(r21));
    join(3, "plain", IDS_OF(r321));
    holds("1 is back and joins");
}

/* Dies with the controller that it is: its successor finds both. */
static void dies_as_controller(int32_t id)
{
    toy.brokers[id].stream = 0;
    toy.brokers[id].registered = false;
    toy.brokers[id].probe = PROBE_REFUSED;
    toy_next_controller(&toy);
    toy_advance(&toy, 4000);
}

static void third_part(void)
{
    toy_create(&toy, "unc2", 1, IDS_OF(r12));
    ck_assert_int_eq(toy_alter(&toy, "unc2", "unclean.leader.election.enable", "true"), 0);
    dies_as_controller(3);
    holds("one by one: kill -9 of 3");
    dies_as_controller(2);
    holds("one by one: kill -9 of 2");
    toy.brokers[1].stream = 0;
    toy.brokers[1].registered = false;
    toy.brokers[1].probe = PROBE_REFUSED;
    holds("one by one: kill -9 of 1, and no controller is left");
    toy_win(&toy);
    toy_start(&toy, 2);
    toy_advance(&toy, 4000);
    holds("only 2 is back");
    toy_start(&toy, 1);
    toy_start(&toy, 3);
    join(1, "ep", IDS_OF(r12));
    join(1, "ep", IDS_OF(r123));
    join(1, "unc", IDS_OF(r12));
    join(2, "unc2", IDS_OF(r21));
    holds("1 and 3 are back");
}

static void fourth_part(void)
{
    struct core_named_part wish = { .topic = STR("reasg3"), .partition = 0 };

    toy_create(&toy, "reasg2", 1, IDS_OF(r12));
    ck_assert_int_eq(toy_reassign(&toy, "reasg2", 0, IDS_OF(r32)), 0);
    holds("reasg2 begins to move from 1,2 to 3,2");
    ck_assert_int_eq(toy_reassign(&toy, "reasg2", 0, IDS_NONE), 0);
    holds("reasg2 is cancelled");
    ck_assert_int_eq(toy_reassign(&toy, "reasg2", 0, IDS_OF(r32)), 0);
    holds("reasg2 begins again");
    join(1, "reasg2", IDS_OF(r123));
    holds("reasg2 has moved");
    toy_create(&toy, "reasg3", 1, IDS_OF(r123));
    wish.replicas = IDS_OF(r31);
    toy_step(&toy,
             (struct core_event){ .kind = CORE_MOVES_WANTED,
                                  .wishes = { .there = true, .parts = { .n = 1, .at = &wish } } });
    holds("reasg3 moves from 1,2,3 to 3,1 by the znode of old tools");
    grow("ep", 3);
    ck_assert_int_eq(toy_alter(&toy, "ep", "retention.ms", "1000"), 0);
    holds("ep gets more partitions, and other settings");
}

START_TEST(the_recorded_story)
{
    char *fields[4];

    toy_up(&toy, 3);
    story = fopen("tests/data/zookeeper/epochs.txt", "r");
    ck_assert_ptr_nonnull(story);
    first_part();
    second_part();
    third_part();
    fourth_part();
    ck_assert(!next_line(fields)); /* all of it was told */
    fclose(story);
    toy_agree(&toy);
    toy_fini(&toy);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("recorded");

    tcase_add_test(tc, the_recorded_story);
    return unit_run(tc);
}
