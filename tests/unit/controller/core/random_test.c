/*
 * The core under whatever comes: seeds of kills, starts, hangs, hiccups, lost seats, proposals,
 * creations, deletions, changes of settings and garbled topics, with writes held and let go. The
 * toy asserts with every write that epochs never go back and that no leader epoch has two leaders;
 * here, after every step, that all sides agree, and at the end, with everybody back, that every
 * partition has a leader and every tombstone can go.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

#define SEEDS 150
#define STEPS 200

static unsigned long chance_state;

static int chance(int n)
{
    chance_state = chance_state * 6364136223846793005UL + 1442695040888963407UL;
    return (int)((chance_state >> 33) % (unsigned)n);
}

static void hang(int32_t id)
{
    toy.brokers[id].beats = !toy.brokers[id].beats;
    toy.brokers[id].probe = toy.brokers[id].beats ? PROBE_ANSWERED : PROBE_SILENT;
}

static void hiccup(void)
{
    for (int32_t id = 1; id <= 4; id++) {
        if (toy.brokers[id].stream != 0)
            toy_register(&toy, id);
    }
    toy_nodes(&toy);
}

static void propose_something(void)
{
    const int32_t ids[] = { 1, 2, 3, 4 };
    struct toy_topic *topic = &toy.topics[chance(TOY_TOPICS)];
    int32_t isr[4];
    uint32_t n = 0;

    if (!topic->there || topic->n_parts == 0)
        return;

    int32_t partition = chance((int)topic->n_parts);
    const struct toy_part *part = &topic->parts[partition];

    if (!part->has_state || part->state.leader < 1 || toy.brokers[part->state.leader].stream == 0)
        return;
    for (uint32_t i = 0; i < 4; i++) {
        struct ids replicas = { part->replicas, part->n_replicas };

        if (ids[i] == part->state.leader || (ids_has(replicas, ids[i]) && chance(3) > 0))
            isr[n++] = ids[i];
    }
    toy_propose(&toy, part->state.leader, topic->name, partition,
                (struct ids){ .at = isr, .n = n });
}

/* Nobody but who knows it goes on with a topic that has been led and cannot be read: the loader
 * refuses it. */
static bool may_change_hands(void)
{
    for (size_t i = 0; i < TOY_TOPICS; i++) {
        if (toy.topics[i].there && toy.topics[i].is_garbled)
            return false;
    }
    return toy.held == NULL;
}

static void garble_something(void)
{
    struct toy_topic *topic = &toy.topics[chance(TOY_TOPICS)];

    if (!topic->there || image_topic(core_image(toy.core), topic->id) == NULL)
        return;
    topic->is_garbled = true;
    topic->version++;
    if (chance(2) == 0)
        toy_look(&toy, topic->name);
}

static void lose_the_seat(void)
{
    toy_win(&toy);
    for (int32_t id = 1; id <= 4; id++) {
        struct toy_broker *b = &toy.brokers[id];

        b->stream = 0;
        if (b->registered && b->probe == PROBE_ANSWERED && chance(5) > 0)
            toy_hello(&toy, id, !b->confirmed, false);
    }
}

static void create_something(void)
{
    static const int32_t all[] = { 1, 2, 3, 4, 1, 2 };
    char name[24];

    snprintf(name, sizeof name, "t%d", chance(6));
    toy_create(&toy, name, (size_t)chance(4) + 1,
               (struct ids){ .at = &all[chance(3)], .n = (uint32_t)chance(3) + 1 });
}

static void delete_something(void)
{
    struct toy_topic *topic = &toy.topics[chance(TOY_TOPICS)];
    char name[64];
    struct str text;

    if (!topic->there)
        return;
    snprintf(name, sizeof name, "%s", topic->name);
    text = str_of(name);
    toy_step(&toy,
             (struct core_event){ .kind = CORE_DELETE_MARKS, .names = { .n = 1, .names = &text } });
}

/* A client or another hand, or a note of whatever was changed before is dealt with. */
static void change_settings(void)
{
    static const char *const keys[] = { "retention.ms", "segment.ms", "flush.ms",
                                        "min.insync.replicas" };
    const char *key = keys[chance(4)];
    char name[24], value[24];

    snprintf(name, sizeof name, "t%d", chance(6));
    snprintf(value, sizeof value, "%d", chance(2) + 1);
    switch (chance(4)) {
    case 0:
        if (toy_topic(&toy, name) != NULL)
            toy_set_config(&toy, "topics", name, key, chance(3) == 0 ? NULL : value);
        break;
    case 1:
        toy_note_config(&toy, "topics", name);
        break;
    default:
        toy_edit(&toy, name, chance(4) == 0, key, value);
    }
}

static void one_thing(void)
{
    int32_t id = chance(4) + 1;
    struct toy_broker *b = &toy.brokers[id];

    switch (chance(18)) {
    case 0:
        toy_kill(&toy, id);
        break;
    case 1:
    case 2:
        if (b->stream == 0)
            toy_start(&toy, id);
        break;
    case 3:
        hang(id);
        break;
    case 4:
        if (b->stream == 0)
            toy_expire(&toy, id);
        break;
    case 5:
        if (chance(4) == 0)
            hiccup();
        break;
    case 6:
        if (chance(4) == 0 && may_change_hands())
            lose_the_seat();
        break;
    case 7:
        create_something();
        break;
    case 8:
        if (chance(2) == 0)
            delete_something();
        break;
    case 9:
        toy.hold = true;
        break;
    case 10:
        if (chance(2) == 0)
            toy.lose = chance(2) == 0 ? TOY_LOSE_BEFORE : TOY_LOSE_AFTER;
        toy_delete_files(&toy, id);
        break;
    case 11:
        toy_advance(&toy, chance(3000));
        break;
    case 12:
    case 13:
    case 14:
        change_settings();
        break;
    case 15:
        garble_something();
        break;
    default:
        propose_something();
        break;
    }
    if (toy.held != NULL && chance(3) == 0)
        toy_release(&toy);
    if (toy.held == NULL && !core_is_busy(toy.core))
        toy_agree(&toy);
}

static void everybody_back(void)
{
    toy.hold = false;
    toy.lose = TOY_LOSE_NOTHING;
    while (toy.held != NULL)
        toy_release(&toy);
    for (int32_t id = 1; id <= 4; id++) {
        toy.brokers[id].beats = true;
        toy.brokers[id].probe = PROBE_ANSWERED;
    }
    toy_advance(&toy, 5000);
    for (int32_t id = 1; id <= 4; id++) {
        if (toy.brokers[id].stream == 0)
            toy_start(&toy, id);
    }
    for (size_t i = 0; i < TOY_TOPICS; i++) {
        if (toy.topics[i].there && toy.topics[i].is_garbled)
            toy_look(&toy, toy.topics[i].name);
    }
    toy_advance(&toy, 30000);
    ck_assert(may_change_hands());
    for (int32_t id = 1; id <= 4; id++)
        toy_delete_files(&toy, id);
}

START_TEST(whatever_comes)
{
    chance_state = (unsigned long)_i + 1;
    toy_up(&toy, 4);
    for (int step = 0; step < STEPS; step++)
        one_thing();
    everybody_back();
    toy_agree(&toy);
    for (size_t i = 0; i < TOY_TOPICS; i++) {
        for (size_t p = 0; toy.topics[i].there && p < toy.topics[i].n_parts; p++) {
            const struct leader_isr *state = &toy.topics[i].parts[p].state;

            ck_assert_msg(toy.topics[i].parts[p].has_state && state->leader != LEADER_NONE &&
                              ids_has(state->isr, state->leader),
                          "seed %d: %s-%zu %s", _i, toy.topics[i].name, p,
                          toy_show(&toy, toy.topics[i].name, (int32_t)p));
        }
    }
    ck_assert_uint_eq(toy.n_stones, 0);
    ck_assert_uint_eq(toy.n_marks, 0);
    for (int32_t id = 1; id <= 4; id++)
        IS(id, NODE_LIVE);
    toy_fini(&toy);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("random");

    tcase_add_loop_test(tc, whatever_comes, 0, SEEDS);
    tcase_set_timeout(tc, 60);
    return unit_run(tc);
}
