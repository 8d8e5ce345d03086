/*
 * recorded: the story that Kafka 3.9 was recorded with, told to our core. After each step every
 * partition must be as Kafka left it, but for the differences that tests/data/zookeeper/epochs.txt
 * names and gives a reason for.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

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
    toy_want_shutdown(&toy, id);
    expire(id);
}

#define ELECT(type, topic) ck_assert_int_eq(toy_elect(&toy, type, topic), ERR_OK)
#define PREFER(topic)      ELECT(0, topic)

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
    toy_create(&toy, "ep", 1, IDS(1, 2, 3));
    toy_create(&toy, "ep2", 1, IDS(1, 2));
    toy_create(&toy, "unc", 1, IDS(1, 2));
    toy_create(&toy, "plain", 1, IDS(3, 1, 2));
    holds("created");
    toy_next_controller(&toy);
    holds("the controller is deposed, all brokers alive");
    MOVES("ep2", 0, IDS(3));
    JOINS(1, "ep2", 0, IDS(1, 2, 3));
    holds("ep2 moves from 1,2 to 3");
    holds("before the controlled shutdown of 1");
    stop(1);
    holds("controlled shutdown of 1");
    toy_start(&toy, 1);
    JOINS(2, "ep", 0, IDS(2, 3, 1));
    JOINS(2, "unc", 0, IDS(2, 1));
    JOINS(3, "plain", 0, IDS(3, 2, 1));
    holds("1 is back");
    PREFER("ep");
    holds("preferred election of ep");
    PREFER("unc"); /* by its rebalance, in Kafka */
    expire(1);
    holds("kill -9 of 1");
    toy_start(&toy, 1);
    JOINS(2, "ep", 0, IDS(2, 3, 1));
    JOINS(2, "unc", 0, IDS(2, 1));
    JOINS(3, "plain", 0, IDS(3, 2, 1));
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
    JOINS(1, "ep", 0, IDS(2, 1, 3));
    JOINS(1, "plain", 0, IDS(2, 1, 3));
    holds("3 is back");
    stop(2);
    toy_next_controller(&toy); /* it was the controller */
    holds("controlled shutdown of 2");
    PREFER("plain"); /* by its rebalance, in Kafka */
    expire(1);
    holds("kill -9 of 1, alone in sync for unc");
    toy_start(&toy, 2);
    JOINS(3, "ep", 0, IDS(3, 2));
    JOINS(3, "plain", 0, IDS(3, 2));
    holds("2 is back, 1 still dead");
    ELECT(1, "unc");
    holds("unclean election of unc");
    toy_start(&toy, 1);
    JOINS(3, "ep", 0, IDS(3, 2, 1));
    JOINS(2, "unc", 0, IDS(2, 1));
    JOINS(3, "plain", 0, IDS(3, 2, 1));
    holds("1 is back and joins");
}

/* Dies with the controller that it is: its successor finds both. */
static void dies_as_controller(int32_t id)
{
    toy_vanish(&toy, id);
    toy_next_controller(&toy);
    toy_advance(&toy, 4000);
}

static void third_part(void)
{
    toy_create(&toy, "unc2", 1, IDS(1, 2));
    ck_assert_int_eq(toy_alter(&toy, "unc2", "unclean.leader.election.enable", "true"), 0);
    dies_as_controller(3);
    holds("one by one: kill -9 of 3");
    dies_as_controller(2);
    holds("one by one: kill -9 of 2");
    toy_vanish(&toy, 1);
    holds("one by one: kill -9 of 1, and no controller is left");
    toy_win(&toy);
    toy_start(&toy, 2);
    toy_advance(&toy, 4000);
    holds("only 2 is back");
    toy_start(&toy, 1);
    toy_start(&toy, 3);
    JOINS(1, "ep", 0, IDS(1, 2));
    JOINS(1, "ep", 0, IDS(1, 2, 3));
    JOINS(1, "unc", 0, IDS(1, 2));
    JOINS(2, "unc2", 0, IDS(2, 1));
    holds("1 and 3 are back");
}

static void fourth_part(void)
{
    toy_create(&toy, "reasg2", 1, IDS(1, 2));
    MOVES("reasg2", 0, IDS(3, 2));
    holds("reasg2 begins to move from 1,2 to 3,2");
    MOVES("reasg2", 0, CANCEL);
    holds("reasg2 is cancelled");
    MOVES("reasg2", 0, IDS(3, 2));
    holds("reasg2 begins again");
    JOINS(1, "reasg2", 0, IDS(1, 2, 3));
    holds("reasg2 has moved");
    toy_create(&toy, "reasg3", 1, IDS(1, 2, 3));
    toy_want_move(&toy, "reasg3", 0, IDS(3, 1));
    holds("reasg3 moves from 1,2,3 to 3,1 by the znode of old tools");
    ck_assert_int_eq(toy_grow(&toy, "ep", 3), ERR_OK);
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
    core_kit_end();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("recorded");

    tcase_add_test(tc, the_recorded_story);
    return unit_run(tc);
}
