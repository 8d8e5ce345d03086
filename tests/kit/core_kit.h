/*
 * core_kit - the words in which tests of the controller's core tell their stories: the toy that a
 * story is about, what must hold in it after a step, and what all of them end with.
 *
 * Nothing here drives the toy; that is toy_core's.
 */
#ifndef TESTS_KIT_CORE_KIT_H
#define TESTS_KIT_CORE_KIT_H

#include <check.h>

#include "tests/kit/toy_core.h"

/* Of the test that runs: Check forks for each. */
extern struct toy toy;

/* What ends a test: all sides tell the same, and the core is active. */
void core_kit_end(void);
/* The same for tests that may end without the seat, where nobody has anything to tell. */
void core_kit_end_anyhow(void);

/* The partition's state in ZooKeeper, "leader/isr leader-epoch partition-epoch" */
#define SHOWS(topic, partition, text) ck_assert_str_eq(toy_show(&toy, topic, partition), text)
/* and its replicas, "3,2,1 +3 -1". */
#define ASSIGNS(topic, partition, text) ck_assert_str_eq(toy_assigned(&toy, topic, partition), text)
/* Those of the topic whose files are to go, "broker:partition@leader-epoch". */
#define STONES(topic, text) ck_assert_str_eq(toy_stones(&toy, topic), text)
/* What the controller thinks of a broker, an enum node_state. */
#define IS(broker, state) ck_assert_int_eq(toy_state(&toy, broker), state)

/* Steps that must be accepted: a client's reassignment, CANCEL to end one, */
#define MOVES(topic, partition, target)                                                            \
    ck_assert_int_eq(toy_reassign(&toy, topic, partition, target), ERR_OK)
#define CANCEL IDS_NONE
/* and the ISR that a leader proposes. */
#define JOINS(leader, topic, partition, isr)                                                       \
    do {                                                                                           \
        toy_propose(&toy, leader, topic, partition, isr);                                          \
        ck_assert_int_eq(toy.brokers[leader].alter_err, ERR_OK);                                   \
    } while (0)

#endif
