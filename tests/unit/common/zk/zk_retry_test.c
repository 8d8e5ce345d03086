/*
 * zk_retry: every write that can be recognised afterwards is, and what cannot be is not repeated.
 */
#include "common/zk/zk_retry.h"

#include <check.h>

#include "tests/kit/unit.h"

static enum zk_verdict judge(struct zk_op op, enum err err, const char *data, int32_t version,
                             int64_t owner)
{
    struct zk_answer found = { .err = err,
                               .data = str_of(data),
                               .stat = { .version = version, .owner = owner } };

    return zk_retry_judge(&op, &found, 42);
}

START_TEST(a_set_is_recognised_by_version_and_bytes)
{
    struct zk_op op = zk_op_set("/a", STR("new"), 3);

    ck_assert_int_eq(judge(op, ERR_OK, "old", 3, 0), ZK_NOT_DONE);
    ck_assert_int_eq(judge(op, ERR_OK, "new", 4, 0), ZK_DONE);
    ck_assert_int_eq(judge(op, ERR_OK, "other", 4, 0), ZK_BEATEN);
    ck_assert_int_eq(judge(op, ERR_OK, "new", 5, 0), ZK_BEATEN);
    ck_assert_int_eq(judge(op, ERR_NOT_FOUND, NULL, 0, 0), ZK_BEATEN);
}
END_TEST

START_TEST(a_create_is_recognised_by_bytes_or_session)
{
    struct zk_op plain = zk_op_create("/a", STR("x"), ZK_PERSISTENT);
    struct zk_op mine = zk_op_create("/a", STR("x"), ZK_EPHEMERAL);

    ck_assert_int_eq(judge(plain, ERR_NOT_FOUND, NULL, 0, 0), ZK_NOT_DONE);
    ck_assert_int_eq(judge(plain, ERR_OK, "x", 0, 0), ZK_DONE);
    ck_assert_int_eq(judge(plain, ERR_OK, "y", 0, 0), ZK_BEATEN);
    ck_assert_int_eq(judge(mine, ERR_OK, "x", 0, 42), ZK_DONE);
    ck_assert_int_eq(judge(mine, ERR_OK, "x", 0, 41), ZK_BEATEN);
}
END_TEST

START_TEST(a_delete_is_recognised_by_absence)
{
    ck_assert_int_eq(judge(zk_op_delete("/a", 2), ERR_NOT_FOUND, NULL, 0, 0), ZK_DONE);
    ck_assert_int_eq(judge(zk_op_delete("/a", 2), ERR_OK, "x", 2, 0), ZK_NOT_DONE);
    ck_assert_int_eq(judge(zk_op_delete("/a", 2), ERR_OK, "x", 3, 0), ZK_BEATEN);
    ck_assert_int_eq(judge(zk_op_delete("/a", -1), ERR_OK, "x", 3, 0), ZK_NOT_DONE);
}
END_TEST

START_TEST(only_a_lost_connection_asks_for_more)
{
    struct zk_op set = zk_op_set("/a", STR("x"), 3), any = zk_op_set("/a", STR("x"), -1);
    struct zk_op sequential = zk_op_create("/a", STR("x"), ZK_SEQUENTIAL);

    ck_assert_int_eq(zk_retry_write(&set, ERR_BAD_VERSION), ZK_RETRY_NO);
    ck_assert_int_eq(zk_retry_write(&set, ERR_SESSION_EXPIRED), ZK_RETRY_NO);
    ck_assert_int_eq(zk_retry_write(&set, ERR_CONNECTION_LOSS), ZK_RETRY_LOOK);
    ck_assert_int_eq(zk_retry_write(&any, ERR_CONNECTION_LOSS), ZK_RETRY_AGAIN);
    ck_assert_int_eq(zk_retry_write(&sequential, ERR_CONNECTION_LOSS), ZK_RETRY_NO);
    ck_assert_int_eq(zk_retry_read(ERR_CONNECTION_LOSS), ZK_RETRY_AGAIN);
    ck_assert_int_eq(zk_retry_read(ERR_NOT_FOUND), ZK_RETRY_NO);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("zk_retry");

    tcase_add_test(tc, a_set_is_recognised_by_version_and_bytes);
    tcase_add_test(tc, a_create_is_recognised_by_bytes_or_session);
    tcase_add_test(tc, a_delete_is_recognised_by_absence);
    tcase_add_test(tc, only_a_lost_connection_asks_for_more);
    return unit_run(tc);
}
