/*
 * uplink: every message of a broker becomes the event that it says, and none with a field missing
 * or impossible becomes one.
 */
#include "controller/shell/uplink.h"

#include <check.h>

#include "tests/kit/unit.h" /* unit_run */

static uint8_t id_bytes[17] = { 9 };
static struct arena arena;

static ProtobufCBinaryData id_of(size_t len)
{
    return (ProtobufCBinaryData){ .len = len, .data = id_bytes };
}

START_TEST(an_ack_brings_failures_and_what_was_deleted)
{
    Control__Ack ack = CONTROL__ACK__INIT;
    Control__PartitionFailure failure = CONTROL__PARTITION_FAILURE__INIT,
                              *failures[] = { &failure };
    Control__Tombstone stone = CONTROL__TOMBSTONE__INIT, *stones[] = { &stone };
    char topic[] = "t";
    struct core_acked out;

    arena_init(&arena, SIZE_MAX);
    ack.has_controller_epoch = ack.has_version = 1;
    ack.controller_epoch = 4;
    ack.version = 9;
    ack.n_failures = ack.n_deleted = 1;
    ack.failures = failures;
    ack.deleted = stones;
    failure.has_topic_id = failure.has_partition = failure.has_error = 1;
    failure.topic_id = id_of(16);
    failure.partition = 3;
    failure.error = 56;
    stone.has_broker = stone.has_topic_id = stone.has_partition = stone.has_leader_epoch = 1;
    stone.topic_id = id_of(16);
    stone.topic = topic;
    ck_assert_int_eq(uplink_ack(&ack, 11, &arena, &out), ERR_OK);
    ck_assert_uint_eq(out.stream, 11);
    ck_assert_uint_eq(out.version, 9);
    ck_assert_int_eq(out.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
    ck_assert_int_eq(out.failures[0].leader_epoch, -1);
    ck_assert(!out.failures[0].yields);
    ck_assert_int_eq(out.deleted[0].partition, 0);
    failure.has_yields = failure.yields = 1;
    ck_assert_int_eq(uplink_ack(&ack, 11, &arena, &out), ERR_OK);
    ck_assert(out.failures[0].yields);

    failure.error = 40000;
    ck_assert_int_eq(uplink_ack(&ack, 11, &arena, &out), ERR_BAD_FORMAT);
    failure.error = 0;
    failure.topic_id = id_of(15);
    ck_assert_int_eq(uplink_ack(&ack, 11, &arena, &out), ERR_BAD_FORMAT);
    failure.topic_id = id_of(16);
    stone.partition = -1;
    ck_assert_int_eq(uplink_ack(&ack, 11, &arena, &out), ERR_BAD_FORMAT);
    stone.partition = 0;
    ack.has_version = 0;
    ck_assert_int_eq(uplink_ack(&ack, 11, &arena, &out), ERR_BAD_FORMAT);
    arena_fini(&arena);
}
END_TEST

START_TEST(a_proposal_names_its_members)
{
    Control__AlterPartition alter = CONTROL__ALTER_PARTITION__INIT;
    Control__AlterPartition__Item item = CONTROL__ALTER_PARTITION__ITEM__INIT, *items[] = { &item };
    Control__Member member = CONTROL__MEMBER__INIT, *members[] = { &member };
    struct core_alter_partition out;

    arena_init(&arena, SIZE_MAX);
    alter.has_broker_epoch = 1;
    alter.broker_epoch = 77;
    alter.n_items = 1;
    alter.items = items;
    item.has_topic_id = item.has_partition = item.has_leader_epoch = item.has_partition_epoch = 1;
    item.topic_id = id_of(16);
    item.proposal_id = 5;
    item.n_isr = 1;
    item.isr = members;
    member.has_id = member.has_broker_epoch = 1;
    member.id = 2;
    member.broker_epoch = 78;
    ck_assert_int_eq(uplink_alter(&alter, 3, &arena, &out), ERR_OK);
    ck_assert_int_eq(out.broker_epoch, 77);
    ck_assert_uint_eq(out.proposals[0].proposal_id, 5);
    ck_assert_int_eq(out.proposals[0].isr[0].id, 2);
    ck_assert_int_eq(out.proposals[0].isr[0].broker_epoch, 78);
    ck_assert_int_eq(out.proposals[0].topic_id.bytes[0], 9);

    member.id = -2;
    ck_assert_int_eq(uplink_alter(&alter, 3, &arena, &out), ERR_BAD_FORMAT);
    member.id = 2;
    item.has_leader_epoch = 0;
    ck_assert_int_eq(uplink_alter(&alter, 3, &arena, &out), ERR_BAD_FORMAT);
    item.has_leader_epoch = 1;
    item.topic_id = id_of(17);
    ck_assert_int_eq(uplink_alter(&alter, 3, &arena, &out), ERR_BAD_FORMAT);
    arena_fini(&arena);
}
END_TEST

START_TEST(requests_want_a_number_and_an_epoch)
{
    Control__ShutdownWanted shutdown = CONTROL__SHUTDOWN_WANTED__INIT;
    Control__PidBlockWanted block = CONTROL__PID_BLOCK_WANTED__INIT;
    struct core_shutdown_wanted shutdown_out;
    struct core_pid_block_wanted block_out;

    ck_assert_int_eq(uplink_shutdown(&shutdown, 1, &shutdown_out), ERR_BAD_FORMAT);
    ck_assert_int_eq(uplink_pid_block(&block, 1, &block_out), ERR_BAD_FORMAT);
    shutdown.has_number = shutdown.has_broker_epoch = 1;
    block.has_number = block.has_broker_epoch = 1;
    shutdown.number = block.number = 6;
    ck_assert_int_eq(uplink_shutdown(&shutdown, 1, &shutdown_out), ERR_OK);
    ck_assert_int_eq(uplink_pid_block(&block, 1, &block_out), ERR_OK);
    ck_assert_uint_eq(shutdown_out.number, 6);
    ck_assert_uint_eq(block_out.number, 6);
}
END_TEST

START_TEST(a_beat_is_of_the_incarnation_that_said_hello_unless_it_says_another)
{
    Control__Heartbeat beat = CONTROL__HEARTBEAT__INIT;
    struct uuid hello = { .bytes = { 1 } };
    struct core_heartbeat out;

    ck_assert_int_eq(uplink_heartbeat(&beat, 4, &hello, &out), ERR_BAD_FORMAT);
    beat.has_broker_epoch = 1;
    ck_assert_int_eq(uplink_heartbeat(&beat, 4, &hello, &out), ERR_OK);
    ck_assert(uuid_eq(out.incarnation, hello));
    ck_assert_int_eq(out.broker, 4);
    ck_assert(!out.stalled);
    beat.has_incarnation = beat.has_stalled = beat.stalled = 1;
    beat.incarnation = id_of(16);
    ck_assert_int_eq(uplink_heartbeat(&beat, 4, &hello, &out), ERR_OK);
    ck_assert_int_eq(out.incarnation.bytes[0], 9);
    ck_assert(out.stalled);
    beat.incarnation = id_of(0);
    ck_assert_int_eq(uplink_heartbeat(&beat, 4, &hello, &out), ERR_BAD_FORMAT);
}
END_TEST

START_TEST(a_lost_directory_names_what_was_on_it)
{
    Control__DirFailed failed = CONTROL__DIR_FAILED__INIT;
    Control__PartitionFailure part = CONTROL__PARTITION_FAILURE__INIT, *parts[] = { &part };
    struct core_dir_failed out;

    arena_init(&arena, SIZE_MAX);
    failed.n_partitions = 1;
    failed.partitions = parts;
    ck_assert_int_eq(uplink_dir_failed(&failed, 1, &arena, &out), ERR_BAD_FORMAT);
    part.has_topic_id = part.has_partition = 1;
    part.topic_id = id_of(16);
    ck_assert_int_eq(uplink_dir_failed(&failed, 1, &arena, &out), ERR_OK);
    ck_assert_uint_eq(out.n, 1);
    arena_fini(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("uplink");

    tcase_add_test(tc, an_ack_brings_failures_and_what_was_deleted);
    tcase_add_test(tc, a_proposal_names_its_members);
    tcase_add_test(tc, requests_want_a_number_and_an_epoch);
    tcase_add_test(tc, a_beat_is_of_the_incarnation_that_said_hello_unless_it_says_another);
    tcase_add_test(tc, a_lost_directory_names_what_was_on_it);
    return unit_run(tc);
}
