/*
 * isr: every check of a proposal, in its order; repeated and stale ones; producer ids and failed
 * directories beside them.
 */
#include <check.h>

#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static uint64_t proposal_id; /* of the last proposal */

static void topic_of_three(void)
{
    toy_up(&toy, 4);
    toy_create(&toy, "t", 2, IDS(1, 2, 3));
}

/* A proposal of broker `from` with changed epochs. */
static enum err propose(int32_t from, struct ids isr, int32_t leader_epoch, int32_t partition_epoch,
                        int64_t epoch_shift)
{
    struct core_member members[4];
    struct core_proposal p = { .topic_id = toy_topic(&toy, "t")->id,
                               .proposal_id = ++proposal_id,
                               .leader_epoch = leader_epoch,
                               .partition_epoch = partition_epoch,
                               .n_isr = isr.n,
                               .isr = members };

    for (uint32_t i = 0; i < isr.n; i++)
        members[i] = (struct core_member){ isr.at[i], toy.brokers[isr.at[i]].epoch + epoch_shift };
    toy.brokers[from].alter_err = ERR_UNKNOWN_SERVER_ERROR;
    toy_send_proposal(&toy, from, &p);
    return toy.brokers[from].alter_err;
}

START_TEST(checks_in_order)
{
    ck_assert_int_eq(propose(1, IDS(1, 2), 0, 1, 0), ERR_NOT_CONTROLLER);
    ck_assert_int_eq(propose(1, IDS(1, 2), 1, 0, 0), ERR_NOT_CONTROLLER);
    ck_assert_int_eq(propose(2, IDS(1, 2), 0, 0, 0), ERR_INVALID_REQUEST);
    ck_assert_int_eq(propose(1, IDS(2, 3), 0, 0, 0), ERR_INVALID_REQUEST);
    ck_assert_int_eq(propose(1, IDS(1, 2, 4), 0, 0, 0), ERR_INVALID_REQUEST);
    ck_assert_int_eq(propose(1, IDS(1, 1, 2), 0, 0, 0), ERR_INVALID_REQUEST);
    ck_assert_int_eq(propose(1, IDS_NONE, 0, 0, 0), ERR_INVALID_REQUEST);
    SHOWS("t", 0, "1/1,2,3 0 0");
    ck_assert_int_eq(propose(1, IDS(1, 2), 0, 0, 0), ERR_OK);
    SHOWS("t", 0, "1/1,2 0 1");
    ck_assert_int_eq(propose(1, IDS(1, 2), 0, 0, 0), ERR_OK); /* its answer was lost */
    SHOWS("t", 0, "1/1,2 0 1");
    ck_assert_int_eq(propose(1, IDS(1, 2, 3), 0, 0, 0), ERR_INVALID_UPDATE_VERSION);
    ck_assert_int_eq(propose(1, IDS(1, 2, 3), 0, 1, -1), ERR_INELIGIBLE_REPLICA);
    ck_assert_int_eq(propose(1, IDS(1, 2, 3), 0, 1, 0), ERR_OK);
    toy_kill(&toy, 1);
    SHOWS("t", 0, "2/2,3 1 3");
    ck_assert_int_eq(propose(2, IDS(2, 3), 0, 3, 0), ERR_FENCED_LEADER_EPOCH);
    ck_assert_int_eq(propose(2, IDS(1, 2, 3), 1, 3, 0), ERR_INELIGIBLE_REPLICA);
}
END_TEST

START_TEST(a_stale_sender)
{
    toy.brokers[1].epoch--;
    ck_assert_int_eq(propose(1, IDS(1, 2), 0, 0, 0), ERR_STALE_BROKER_EPOCH);
    toy.brokers[1].epoch++;
}
END_TEST

START_TEST(the_unknown_may_stay_but_not_join)
{
    ck_assert_int_eq(propose(1, IDS(1, 2), 0, 0, 0), ERR_OK);
    toy.brokers[2].probe = toy.brokers[3].probe = PROBE_SILENT;
    toy_lose_stream(&toy, 2);
    toy_lose_stream(&toy, 3);
    ck_assert_int_eq(propose(1, IDS(1, 2, 3), 0, 1, 0), ERR_INELIGIBLE_REPLICA);
    ck_assert_int_eq(propose(1, IDS(1), 0, 1, 0), ERR_OK);
    SHOWS("t", 0, "1/1 0 2");
}
END_TEST

/* The leader gives up who was to join: a second copy of the proposal must not add it after all. */
START_TEST(a_refusal_is_for_good)
{
    ck_assert_int_eq(propose(1, IDS(1, 2), 0, 0, 0), ERR_OK);
    toy.brokers[3].probe = PROBE_SILENT;
    toy_lose_stream(&toy, 3);
    ck_assert_int_eq(propose(1, IDS(1, 2, 3), 0, 1, 0), ERR_INELIGIBLE_REPLICA);
    toy_hello(&toy, 3, false, false);
    proposal_id--;
    ck_assert_int_eq(propose(1, IDS(1, 2, 3), 0, 1, 0), ERR_INELIGIBLE_REPLICA);
    ck_assert_int_eq(propose(1, IDS(1, 2, 3), 0, 1, 0), ERR_OK);
}
END_TEST

START_TEST(an_unknown_topic_id)
{
    struct core_proposal p = { .proposal_id = 1 };

    p.topic_id.bytes[0] = 77;
    toy_send_proposal(&toy, 1, &p);
    ck_assert_int_eq(toy.brokers[1].alter_err, ERR_UNKNOWN_TOPIC_ID);
}
END_TEST

START_TEST(the_same_proposal_twice_in_one_round)
{
    int before = toy.brokers[1].n_alters;

    toy.hold = true;
    toy_propose(&toy, 1, "t", 1, IDS(1, 2)); /* goes out and is held */
    toy_propose(&toy, 1, "t", 0, IDS(1, 2));
    toy_propose(&toy, 1, "t", 0, IDS(1, 2));
    toy_release(&toy);
    ck_assert_int_eq(toy.brokers[1].n_alters, before + 3);
    ck_assert_int_eq(toy.brokers[1].alter_err, ERR_OK);
    SHOWS("t", 0, "1/1,2 0 1");
}
END_TEST

START_TEST(a_failed_directory_moves_its_leaders)
{
    toy_fail_dir(&toy, 1, "t", 1);
    SHOWS("t", 0, "1/1,2,3 0 0");
    SHOWS("t", 1, "2/2,3 1 1");
    ck_assert(ids_has(toy_known(&toy, 3, "t", 1)->offline, 1));
    toy_kill(&toy, 1);
    toy_start(&toy, 1);
    ck_assert(!ids_has(toy_known(&toy, 3, "t", 1)->offline, 1));
}
END_TEST

/* A new process says hello before its registration is known here; nothing is read meanwhile. */
static void hello_unknown(int32_t id)
{
    struct toy_broker *b = &toy.brokers[id];
    struct core_effects effects;

    toy_kill(&toy, id);
    toy_register(&toy, id);
    b->incarnation.bytes[15]++;
    b->stream = ++toy.streams;
    core_effects_init(&effects);
    core_step(toy.core,
              &(struct core_event){ .kind = CORE_HELLO,
                                    .hello = { .stream = b->stream,
                                               .broker = id,
                                               .broker_epoch = b->epoch,
                                               .incarnation = b->incarnation,
                                               .fresh = true } },
              toy.now_ms, &effects);
    core_effects_fini(&effects);
}

START_TEST(two_brokers_back_in_one_step_both_have_their_directories)
{
    for (int32_t id = 2; id <= 3; id++)
        toy_fail_dir(&toy, id, "t", 1);
    ck_assert_uint_eq(toy_known(&toy, 1, "t", 1)->offline.n, 2);
    hello_unknown(2);
    hello_unknown(3);
    toy_nodes(&toy);
    ck_assert_uint_eq(toy_known(&toy, 1, "t", 1)->offline.n, 0);
}
END_TEST

static void want_pids(int32_t id)
{
    toy_step(&toy,
             (struct core_event){ .kind = CORE_PID_BLOCK_WANTED,
                                  .pid_block_wanted = { .stream = toy.brokers[id].stream,
                                                        .number = 1,
                                                        .broker_epoch = toy.brokers[id].epoch } });
}

START_TEST(producer_ids_never_repeat)
{
    want_pids(1);
    ck_assert_int_eq(toy.brokers[1].first_pid, 0);
    want_pids(2);
    ck_assert_int_eq(toy.brokers[2].first_pid, 1000);
    toy.hold = true;
    toy_propose(&toy, 1, "t", 0, IDS(1, 2));
    want_pids(3);
    want_pids(1);
    toy_release(&toy);
    ck_assert_int_eq(toy.brokers[3].first_pid, 2000);
    ck_assert_int_eq(toy.brokers[1].first_pid, 3000);
    ck_assert_int_eq(toy.pid_block.last, 3999);
    /* another hand took a block */
    toy.pid_block.version++;
    toy.pid_block.last += 1000;
    want_pids(2);
    ck_assert_int_eq(toy.brokers[2].first_pid, 5000);
}
END_TEST

/* Another hand removed the znode; a broker that started made it again, without a block. */
static void remove_block(void)
{
    toy.pid_block = (struct core_pid_block){ .broker = -1, .first = -1, .last = -1 };
}

START_TEST(producer_ids_never_repeat_when_their_znode_was_removed)
{
    want_pids(1);
    ck_assert_int_eq(toy.brokers[1].first_pid, 0);
    remove_block();
    want_pids(2);
    ck_assert_int_eq(toy.brokers[2].first_pid, 1000);
    ck_assert_int_eq(toy.pid_block.last, 1999);
    /* everything is read again */
    remove_block();
    toy.lose = TOY_LOSE_BEFORE;
    want_pids(3);
    ck_assert_int_eq(toy.brokers[3].first_pid, 2000);
    /* the seat is lost and won again */
    remove_block();
    toy_next_controller(&toy);
    want_pids(1);
    ck_assert_int_eq(toy.brokers[1].first_pid, 3000);
    /* who does not know what was given goes by what there is */
    toy_new_core(&toy);
    toy_next_controller(&toy);
    want_pids(1);
    ck_assert_int_eq(toy.brokers[1].first_pid, 4000);
}
END_TEST

/* As with an ACL of another hand. */
START_TEST(a_block_that_cannot_be_stored_is_tried_again_now_and_then)
{
    size_t writes = toy.n_writes;

    toy.fails[OP_PID_BLOCK_SET] = true;
    toy.brokers[1].first_pid = -1;
    want_pids(1);
    ck_assert_uint_lt(toy.n_writes - writes, 4);
    toy_advance(&toy, 10000);
    ck_assert_uint_lt(toy.n_writes - writes, 16);
    ck_assert_int_eq(toy.brokers[1].first_pid, -1);
    toy.fails[OP_PID_BLOCK_SET] = false;
    toy_advance(&toy, 10000);
    ck_assert_int_eq(toy.brokers[1].first_pid, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("isr");

    tcase_add_checked_fixture(tc, topic_of_three, core_kit_end);
    tcase_add_test(tc, checks_in_order);
    tcase_add_test(tc, a_stale_sender);
    tcase_add_test(tc, the_unknown_may_stay_but_not_join);
    tcase_add_test(tc, a_refusal_is_for_good);
    tcase_add_test(tc, an_unknown_topic_id);
    tcase_add_test(tc, the_same_proposal_twice_in_one_round);
    tcase_add_test(tc, a_failed_directory_moves_its_leaders);
    tcase_add_test(tc, two_brokers_back_in_one_step_both_have_their_directories);
    tcase_add_test(tc, producer_ids_never_repeat);
    tcase_add_test(tc, producer_ids_never_repeat_when_their_znode_was_removed);
    tcase_add_test(tc, a_block_that_cannot_be_stored_is_tried_again_now_and_then);
    return unit_run(tc);
}
