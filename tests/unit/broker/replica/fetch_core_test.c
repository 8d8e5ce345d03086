/*
 * fetch_core: what is asked for in a session, what becomes of answers, and where logs are cut when
 * histories part (the known hard cases of fail-over, played on epoch histories).
 */
#include "broker/replica/fetch_core.h"

#include <check.h>
#include <stdlib.h>

#include "tests/kit/unit.h"

static struct fetch_core core;
static struct fetch_ask ask;
static struct fetch_part **scratch;
static size_t scratch_cap;
static int64_t now_ms, wake_ms;
static int owners[200];

static const struct fetch_answer fine = { .has_records = true }, empty = { 0 };

static void setup(void)
{
    fetch_core_init(&core, 1000);
    now_ms = 5000;
}

static void teardown(void)
{
    fetch_core_fini(&core);
    free(scratch);
}

static struct uuid topic(int n)
{
    struct uuid id = UUID_ZERO;

    id.bytes[3] = 7;
    id.bytes[15] = (uint8_t)n;
    return id;
}

static struct fetch_part *add(int n, int64_t offset)
{
    return fetch_core_add(&core, topic(n), n, &owners[n], 3, offset, 2, 0);
}

static bool next(void)
{
    return fetch_core_ask(&core, now_ms, &ask, &scratch, &scratch_cap, &wake_ms);
}

static void answered(int32_t session)
{
    ck_assert(fetch_core_answered(&core, ERR_OK, session, now_ms));
}

static enum fetch_verdict refuse(struct fetch_part *part, enum err err)
{
    return fetch_core_decide(&core, part, &(struct fetch_answer){ .err = err }, now_ms);
}

START_TEST(a_session_opens_grows_and_names_only_news)
{
    struct fetch_part *a = add(1, 10), *b = add(2, 20);

    ck_assert(next());
    ck_assert_int_eq(ask.session_id, 0);
    ck_assert_int_eq(ask.session_epoch, 0);
    ck_assert_int_eq(ask.parts_len, 2);
    answered(77);
    ck_assert_int_eq(fetch_core_decide(&core, a, &fine, now_ms), FETCH_APPEND);
    fetch_core_set(&core, a, 15, 3, 0, true);

    ck_assert(next());
    ck_assert_int_eq(ask.session_id, 77);
    ck_assert_int_eq(ask.session_epoch, 1);
    ck_assert_int_eq(ask.parts_len, 1);
    ck_assert_ptr_eq(ask.parts[0], a);
    answered(77);
    /* b was not named, but is in the session: its news are welcome. */
    ck_assert_int_eq(fetch_core_decide(&core, b, &fine, now_ms), FETCH_APPEND);
    fetch_core_set(&core, b, 20, 2, 0, false);
    ck_assert(next());
    ck_assert_int_eq(ask.parts_len, 0);
    ck_assert_int_eq(ask.session_epoch, 2);
}
END_TEST

START_TEST(the_idle_are_not_looked_at)
{
    struct fetch_part *a = NULL;

    for (int i = 0; i < 100; i++)
        a = add(i, 10);
    ck_assert(next());
    ck_assert_int_eq(ask.parts_len, 100);
    ck_assert(TAILQ_EMPTY(&core.changed));
    answered(77);
    fetch_core_set(&core, a, 10, 2, 0, false); /* a new high watermark, no records */
    ck_assert(TAILQ_EMPTY(&core.changed));
    fetch_core_set(&core, a, 11, 3, 0, true);
    ck_assert_ptr_eq(TAILQ_FIRST(&core.changed), a);
    ck_assert_ptr_null(TAILQ_NEXT(a, changed_link));
    ck_assert(next());
    ck_assert_int_eq(ask.parts_len, 1);
    ck_assert(TAILQ_EMPTY(&core.changed));
    /* who leaves and comes back between two requests has never left */
    for (int i = 0; i < 50; i++)
        fetch_core_remove(&core, topic(i), i);
    for (int i = 10; i < 50; i++)
        add(i, 12);
    ck_assert(next());
    ck_assert_int_eq(ask.forgotten_len, 10);
    ck_assert_int_eq(ask.parts_len, 40);
    ck_assert_uint_eq(core.ready, 90);
}
END_TEST

START_TEST(session_epochs_go_round_to_one)
{
    add(1, 10);
    ck_assert(next());
    answered(77);
    core.session_epoch = INT32_MAX;
    ck_assert(next());
    answered(77);
    ck_assert_int_eq(core.session_epoch, 1);
}
END_TEST

START_TEST(a_leader_without_sessions_is_asked_fully)
{
    struct fetch_part *a = add(1, 10);

    ck_assert(next());
    answered(0);
    ck_assert_int_eq(fetch_core_decide(&core, a, &empty, now_ms), FETCH_APPEND);
    ck_assert(next());
    ck_assert_int_eq(ask.session_epoch, 0);
    ck_assert_int_eq(ask.parts_len, 1);
}
END_TEST

START_TEST(who_leaves_is_forgotten_and_who_returns_is_not)
{
    add(1, 10);
    add(2, 20);
    ck_assert(next());
    answered(77);
    ck_assert_ptr_eq(fetch_core_remove(&core, topic(1), 1), &owners[1]);
    ck_assert_ptr_null(fetch_core_remove(&core, topic(1), 1));
    ck_assert(next());
    ck_assert_int_eq(ask.forgotten_len, 1);
    ck_assert_int_eq(ask.forgotten[0].partition, 1);
    answered(77);
    fetch_core_remove(&core, topic(2), 2);
    add(2, 25);
    ck_assert(next());
    ck_assert_int_eq(ask.forgotten_len, 0);
    ck_assert_int_eq(ask.parts_len, 1);
    answered(77);
    fetch_core_remove(&core, topic(2), 2);
    ck_assert(!next());
    ck_assert_int_eq(wake_ms, INT64_MAX);
}
END_TEST

START_TEST(a_lost_session_starts_anew_at_once)
{
    struct fetch_part *a = add(1, 10);

    ck_assert(next());
    answered(77);
    ck_assert(next());
    ck_assert(!fetch_core_answered(&core, ERR_FETCH_SESSION_ID_NOT_FOUND, 0, now_ms));
    ck_assert_int_eq(a->state, FETCH_READY);
    ck_assert(next());
    ck_assert_int_eq(ask.session_id, 0);
    ck_assert_int_eq(ask.session_epoch, 0);
    ck_assert_int_eq(ask.parts_len, 1);
    ck_assert(!fetch_core_answered(&core, ERR_UNKNOWN_SERVER_ERROR, 0, now_ms));
    ck_assert(!next());
    ck_assert_int_eq(wake_ms, now_ms + FETCH_FIRST_BACKOFF_MS);
}
END_TEST

START_TEST(a_lost_connection_delays_nobody)
{
    struct fetch_part *a = add(1, 10);

    ck_assert(next());
    answered(77);
    ck_assert(next());
    fetch_core_disconnected(&core);
    ck_assert_int_eq(fetch_core_decide(&core, a, &fine, now_ms), FETCH_IGNORE);
    ck_assert(next());
    ck_assert_int_eq(ask.session_epoch, 0);
    ck_assert_int_eq(ask.parts_len, 1);
}
END_TEST

START_TEST(answers_to_earlier_questions_are_ignored)
{
    struct fetch_part *a = add(1, 10);

    ck_assert_int_eq(fetch_core_decide(&core, a, &fine, now_ms), FETCH_IGNORE);
    ck_assert(next());
    ck_assert_ptr_eq(fetch_core_add(&core, topic(1), 1, &owners[1], 4, 10, 2, 0), a);
    ck_assert_int_eq(fetch_core_decide(&core, a, &fine, now_ms), FETCH_IGNORE);
    ck_assert(next());
    ck_assert_int_eq(fetch_core_decide(&core, a, &fine, now_ms), FETCH_APPEND);
    fetch_core_set(&core, a, 11, 2, 0, true);
    ck_assert_int_eq(fetch_core_decide(&core, a, &fine, now_ms), FETCH_IGNORE);
}
END_TEST

START_TEST(errors_wait_longer_each_time_up_to_the_backoff)
{
    static const int64_t waits[] = { 20, 40, 80, 160, 320, 640, 1000, 1000 };
    struct fetch_part *a = add(1, 10);

    add(2, 20);
    for (int i = 0; i < 8; i++) {
        ck_assert(next());
        answered(77);
        ck_assert_int_eq(refuse(a, ERR_UNKNOWN_LEADER_EPOCH), FETCH_BACK_OFF);
        ck_assert(next()); /* the other goes on, but is not to wait for longer than that */
        ck_assert_int_eq(wake_ms, now_ms + waits[i]);
        ck_assert_int_eq(ask.forgotten_len, 1);
        answered(77);
        now_ms += waits[i];
    }
    ck_assert(next());
    answered(77);
    ck_assert_int_eq(fetch_core_decide(&core, a, &fine, now_ms), FETCH_APPEND);
    fetch_core_set(&core, a, 11, 2, 0, true);
    ck_assert(next());
    ck_assert_int_eq(refuse(a, ERR_NOT_LEADER_OR_FOLLOWER), FETCH_BACK_OFF);
    ck_assert_int_eq(a->until_ms, now_ms + 20);
}
END_TEST

START_TEST(the_fenced_wait_for_their_next_role)
{
    struct fetch_part *a = add(1, 10);

    ck_assert(next());
    answered(77);
    ck_assert_int_eq(refuse(a, ERR_FENCED_LEADER_EPOCH), FETCH_GIVE_UP);
    now_ms += 100000;
    ck_assert(!next());
    add(1, 10);
    ck_assert(next());
}
END_TEST

/* An answer with records, after which the partition ends at `end` and is in sync or not. */
static void appended(struct fetch_part *part, int64_t end, bool in_sync)
{
    ck_assert_int_eq(fetch_core_decide(&core, part, &fine, now_ms), FETCH_APPEND);
    fetch_core_throttle(&core, part, part->throttled, in_sync);
    fetch_core_set(&core, part, end, 3, 0, true);
}

START_TEST(the_throttled_are_held_while_the_quota_is_exceeded)
{
    struct fetch_part *a = add(1, 10), *b = add(2, 20);

    ck_assert(!fetch_core_may_hold(&core));
    fetch_core_throttle(&core, a, true, false);
    ck_assert(fetch_core_may_hold(&core));
    ck_assert(next());
    ck_assert_int_eq(ask.parts_len, 2);
    answered(77);
    appended(a, 15, false);
    fetch_core_set_quota(&core, now_ms + 300);
    ck_assert(next()); /* the other is asked for all the while, but not for longer than that */
    ck_assert_int_eq(wake_ms, now_ms + 300);
    ck_assert_int_eq(ask.parts_len, 0);
    ck_assert_int_eq(ask.forgotten_len, 1);
    ck_assert_int_eq(ask.forgotten[0].partition, 1);
    answered(77);
    ck_assert_int_eq(fetch_core_decide(&core, a, &fine, now_ms), FETCH_IGNORE);
    appended(b, 25, false);
    ck_assert(next());
    ck_assert_int_eq(ask.parts_len, 1);
    ck_assert_ptr_eq(ask.parts[0], b);
    answered(77);
    now_ms += 300;
    fetch_core_set_quota(&core, 0);
    ck_assert(next());
    ck_assert_int_eq(wake_ms, INT64_MAX);
    ck_assert_int_eq(ask.parts_len, 1);
    ck_assert_ptr_eq(ask.parts[0], a);
    ck_assert_int_eq(a->sent_offset, 15);
    answered(77);
    appended(a, 30, false);
}
END_TEST

START_TEST(one_that_waits_at_the_leader_is_held_too)
{
    struct fetch_part *a = add(1, 10);

    add(2, 20);
    fetch_core_throttle(&core, a, true, false);
    ck_assert(next());
    answered(77); /* nothing for it, so nothing has changed */
    fetch_core_set_quota(&core, now_ms + 300);
    ck_assert(next());
    ck_assert_int_eq(ask.forgotten_len, 1);
    ck_assert_uint_eq(core.ready, 1);
}
END_TEST

START_TEST(with_nobody_else_to_ask_for_the_loop_sleeps)
{
    struct fetch_part *a = add(1, 10);

    fetch_core_throttle(&core, a, true, false);
    fetch_core_set_quota(&core, now_ms + 300);
    ck_assert(!next());
    ck_assert_int_eq(wake_ms, now_ms + 300);
    now_ms += 300;
    ck_assert(next());
    ck_assert_int_eq(ask.parts_len, 1);
}
END_TEST

START_TEST(the_in_sync_and_the_unlisted_are_never_held)
{
    struct fetch_part *a = add(1, 10);

    fetch_core_throttle(&core, a, true, false);
    ck_assert(next());
    answered(77);
    appended(a, 15, true);
    ck_assert(!fetch_core_may_hold(&core));
    fetch_core_set_quota(&core, now_ms + 300);
    ck_assert(next());
    ck_assert_int_eq(ask.parts_len, 1);
    ck_assert(TAILQ_EMPTY(&core.changed));
    answered(77);
    appended(a, 20, false); /* fell behind */
    ck_assert(!next());
    fetch_core_throttle(&core, a, false, false); /* taken off the list while it is held */
    ck_assert(next());
    ck_assert_int_eq(ask.parts_len, 1);
    answered(77);
    fetch_core_throttle(&core, a, true, true);
    add(1, 5); /* followed anew: not in sync until the leader has said so */
    ck_assert(fetch_core_may_hold(&core));
    ck_assert(!next());
    fetch_core_remove(&core, topic(1), 1);
    ck_assert(!fetch_core_may_hold(&core));
}
END_TEST

START_TEST(out_of_range_asks_for_offsets_once)
{
    struct fetch_part *a = add(1, 10);

    ck_assert(next());
    answered(77);
    ck_assert_int_eq(refuse(a, ERR_OFFSET_OUT_OF_RANGE), FETCH_ASK_OFFSETS);
    ck_assert(!next());
    ck_assert_int_eq(refuse(a, ERR_OFFSET_OUT_OF_RANGE), FETCH_IGNORE);
    fetch_core_set(&core, a, 50, -1, 50, false);
    ck_assert(next());
    ck_assert_int_eq(ask.parts[0]->offset, 50);
    answered(77);
    refuse(a, ERR_OFFSET_OUT_OF_RANGE);
    fetch_core_delay(&core, a, now_ms);
    ck_assert_int_eq(a->state, FETCH_DELAYED);
    ck_assert(!next());
}
END_TEST

START_TEST(a_log_that_refuses_waits_or_gives_up)
{
    struct fetch_part *a = add(1, 10);

    fetch_core_failed(&core, a, false, now_ms);
    ck_assert(!next());
    now_ms = wake_ms;
    ck_assert(next());
    fetch_core_failed(&core, a, true, now_ms);
    ck_assert(!next());
    ck_assert_int_eq(wake_ms, INT64_MAX);
}
END_TEST

START_TEST(who_delivered_goes_to_the_end)
{
    struct fetch_part *a = add(1, 10), *b = add(2, 20), *c = add(3, 30);

    ck_assert(next());
    answered(0);
    fetch_core_set(&core, a, 11, 2, 0, true);
    fetch_core_set(&core, b, 20, 2, 0, false);
    ck_assert(next());
    ck_assert_ptr_eq(ask.parts[0], b);
    ck_assert_ptr_eq(ask.parts[1], c);
    ck_assert_ptr_eq(ask.parts[2], a);
}
END_TEST

START_TEST(many_are_found_again)
{
    for (int n = 0; n < 200; n++)
        add(n, n);
    for (int n = 0; n < 200; n += 2)
        ck_assert_ptr_eq(fetch_core_remove(&core, topic(n), n), &owners[n]);
    for (int n = 0; n < 200; n++)
        ck_assert(n % 2 == 0 ? fetch_core_find(&core, topic(n), n) == NULL
                             : fetch_core_find(&core, topic(n), n)->offset == n);
    ck_assert_uint_eq(core.count, 100);
}
END_TEST

/* ---- where histories part ---- */

/* Epochs and where they begin; the log's end. */
struct history {
    struct {
        int32_t epoch;
        int64_t start;
    } at[8];
    int len;
    int64_t leo;
};

static int32_t last_epoch(const struct history *h)
{
    return h->len > 0 ? h->at[h->len - 1].epoch : -1;
}

/* As the replication reference has it, section 6. */
static int64_t end_of(const struct history *h, int32_t epoch, int32_t *found)
{
    int i = h->len - 1;

    *found = -1;
    if (epoch < 0 || h->len == 0 || epoch > last_epoch(h))
        return -1;
    while (i >= 0 && h->at[i].epoch > epoch)
        i--;
    if (i < 0) {
        *found = epoch;
        return h->at[0].start;
    }
    *found = h->at[i].epoch;
    return i + 1 < h->len ? h->at[i + 1].start : h->leo;
}

static void cut(struct history *h, int64_t offset)
{
    if (offset < h->leo)
        h->leo = offset;
    while (h->len > 0 && h->at[h->len - 1].start >= h->leo)
        h->len--;
}

/* One fetch of f from l: false when the follower's end is on the leader's history. */
static bool diverges(const struct history *l, struct history *f)
{
    int32_t epoch, own_epoch;
    int64_t end = end_of(l, last_epoch(f), &epoch);

    if (epoch < 0 || (epoch >= last_epoch(f) && end >= f->leo))
        return false;
    int64_t own_end = end_of(f, epoch, &own_epoch);
    cut(f, fetch_truncation_point(epoch, end, own_epoch, own_end, f->leo));
    return true;
}

static int rounds_until_one(const struct history *l, struct history *f)
{
    int rounds = 0;

    while (diverges(l, f))
        ck_assert_int_lt(rounds++, 10);
    return rounds;
}

/* Scenario 7: A [110], B [108] leads in epoch 6. */
/* ---- what is on its way to our disk ---- */

/* In a session, with records just appended that are to be synced. */
static struct fetch_part *syncing(uint64_t *sync_id)
{
    struct fetch_part *part = add(1, 10);

    add(2, 20);
    ck_assert(next());
    answered(77);
    ck_assert_int_eq(fetch_core_decide(&core, part, &fine, now_ms), FETCH_APPEND);
    fetch_core_set(&core, part, 15, 3, 0, true);
    *sync_id = fetch_core_sync(&core, part, now_ms);
    return part;
}

START_TEST(what_is_not_on_the_disk_is_not_named)
{
    uint64_t id;
    struct fetch_part *part = syncing(&id);

    ck_assert(!next()); /* most disks are done before the other is missed */
    ck_assert_int_eq(wake_ms, now_ms + FETCH_SYNC_GRACE_MS);
    now_ms += 20;
    ck_assert(next());
    ck_assert_int_eq(ask.parts_len, 0); /* the other one, as the session knows it */
    ck_assert_int_eq(ask.forgotten_len, 1);
    ck_assert(uuid_eq(ask.forgotten[0].topic_id, topic(1)));
    ck_assert_int_eq(wake_ms, now_ms + 10);
    answered(77);
    ck_assert_int_eq(fetch_core_decide(&core, part, &fine, now_ms), FETCH_IGNORE);
    ck_assert(next()); /* and again, while the disk is at it */
    answered(77);
    ck_assert_ptr_eq(fetch_core_syncing(&core, topic(1), 1, id), part);
    fetch_core_synced(&core, part);
    ck_assert(next());
    ck_assert_int_eq(ask.parts_len, 1);
    ck_assert_ptr_eq(ask.parts[0], part);
    ck_assert_int_eq(ask.parts[0]->sent_offset, 15);
    ck_assert_int_eq(wake_ms, INT64_MAX);
    ck_assert(TAILQ_EMPTY(&core.changed));
}
END_TEST

START_TEST(a_disk_that_is_done_at_once_costs_no_request)
{
    uint64_t id;
    struct fetch_part *part = syncing(&id);

    ck_assert(!next());
    fetch_core_synced(&core, part);
    ck_assert(next());
    ck_assert_int_eq(ask.parts_len, 1);
    ck_assert_int_eq(ask.forgotten_len, 0); /* it has not left the session */
}
END_TEST

START_TEST(with_nothing_but_syncs_the_loop_sleeps)
{
    uint64_t id;
    struct fetch_part *part = syncing(&id);

    fetch_core_remove(&core, topic(2), 2);
    ck_assert(!next());
    ck_assert_int_eq(wake_ms, INT64_MAX);
    now_ms += 1000;
    ck_assert(!next());
    ck_assert_int_eq(wake_ms, INT64_MAX);
    fetch_core_disconnected(&core);
    ck_assert(!next());
    fetch_core_failed(&core, part, true, now_ms); /* the disk is gone */
    ck_assert_ptr_null(fetch_core_syncing(&core, topic(1), 1, id));
    ck_assert(!next());
    ck_assert(TAILQ_EMPTY(&core.changed));
}
END_TEST

START_TEST(a_sync_of_an_earlier_role_counts_for_nothing)
{
    uint64_t first, second;
    struct fetch_part *part = syncing(&first);

    add(1, 12); /* cut, and followed in another epoch */
    ck_assert_ptr_null(fetch_core_syncing(&core, topic(1), 1, first));
    second = fetch_core_sync(&core, part, now_ms);
    ck_assert_ptr_null(fetch_core_syncing(&core, topic(1), 1, first));
    ck_assert_ptr_eq(fetch_core_syncing(&core, topic(1), 1, second), part);
    fetch_core_remove(&core, topic(1), 1);
    ck_assert_ptr_null(fetch_core_syncing(&core, topic(1), 1, second));
    add(1, 12);
    ck_assert_ptr_null(fetch_core_syncing(&core, topic(1), 1, second));
}
END_TEST

START_TEST(unreplicated_records_of_an_old_leader_are_cut)
{
    struct history a = { { { 5, 0 } }, 1, 110 };
    struct history b = { { { 5, 0 }, { 6, 108 } }, 2, 112 };

    ck_assert_int_eq(rounds_until_one(&b, &a), 1);
    ck_assert_int_eq(a.leo, 108);
}
END_TEST

/* Scenario 8: C [105] leads in epoch 6; A [110] and B [108] are cut to it. */
START_TEST(the_shortest_log_may_lead_and_all_follow_it)
{
    struct history a = { { { 5, 0 } }, 1, 110 }, b = { { { 5, 0 } }, 1, 108 };
    struct history c = { { { 5, 0 }, { 6, 105 } }, 2, 105 };

    rounds_until_one(&c, &a);
    rounds_until_one(&c, &b);
    ck_assert_int_eq(a.leo, 105);
    ck_assert_int_eq(b.leo, 105);
}
END_TEST

/* Scenario 11: A led in 5 and again in 7, B in 6 with another record 108. */
START_TEST(fast_leaders_are_told_apart_by_epochs)
{
    struct history a = { { { 5, 0 }, { 7, 110 } }, 2, 110 };
    struct history b = { { { 5, 0 }, { 6, 108 } }, 2, 109 };

    ck_assert_int_eq(rounds_until_one(&a, &b), 1);
    ck_assert_int_eq(b.leo, 108);
}
END_TEST

/* The leader names an epoch that the follower has never seen: it asks once more (KIP-279). */
START_TEST(an_unknown_epoch_is_asked_about_again)
{
    struct history l = { { { 1, 0 }, { 3, 50 }, { 6, 80 } }, 3, 100 };
    struct history f = { { { 1, 0 }, { 2, 40 }, { 4, 60 }, { 5, 70 } }, 4, 90 };

    ck_assert_int_gt(rounds_until_one(&l, &f), 1);
    ck_assert_int_eq(f.leo, 40);
    ck_assert_int_eq(last_epoch(&f), 1);
}
END_TEST

START_TEST(truncation_never_moves_an_end_up)
{
    ck_assert_int_eq(fetch_truncation_point(5, 200, 5, 150, 150), 150);
    ck_assert_int_eq(fetch_truncation_point(5, 200, -1, -1, 150), 150);
    ck_assert_int_eq(fetch_truncation_point(5, 100, -1, -1, 150), 100);
    ck_assert_int_eq(fetch_truncation_point(5, 100, 5, 120, 150), 100);
    ck_assert_int_eq(fetch_truncation_point(5, 100, 4, 60, 150), 60);
}
END_TEST

START_TEST(a_reset_keeps_what_it_can)
{
    int64_t offset;

    ck_assert_int_eq(fetch_reset_point(100, 0, 90, &offset), FETCH_RESET_CUT);
    ck_assert_int_eq(offset, 90);
    ck_assert_int_eq(fetch_reset_point(50, 500, 600, &offset), FETCH_RESET_RESTART);
    ck_assert_int_eq(offset, 500);
    ck_assert_int_eq(fetch_reset_point(500, 500, 600, &offset), FETCH_RESET_KEEP);
    ck_assert_int_eq(fetch_reset_point(100, 0, 100, &offset), FETCH_RESET_KEEP);
    ck_assert_int_eq(offset, 100);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("fetch_core");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_session_opens_grows_and_names_only_news);
    tcase_add_test(tc, the_idle_are_not_looked_at);
    tcase_add_test(tc, session_epochs_go_round_to_one);
    tcase_add_test(tc, a_leader_without_sessions_is_asked_fully);
    tcase_add_test(tc, who_leaves_is_forgotten_and_who_returns_is_not);
    tcase_add_test(tc, a_lost_session_starts_anew_at_once);
    tcase_add_test(tc, a_lost_connection_delays_nobody);
    tcase_add_test(tc, answers_to_earlier_questions_are_ignored);
    tcase_add_test(tc, errors_wait_longer_each_time_up_to_the_backoff);
    tcase_add_test(tc, the_fenced_wait_for_their_next_role);
    tcase_add_test(tc, the_throttled_are_held_while_the_quota_is_exceeded);
    tcase_add_test(tc, one_that_waits_at_the_leader_is_held_too);
    tcase_add_test(tc, with_nobody_else_to_ask_for_the_loop_sleeps);
    tcase_add_test(tc, the_in_sync_and_the_unlisted_are_never_held);
    tcase_add_test(tc, out_of_range_asks_for_offsets_once);
    tcase_add_test(tc, a_log_that_refuses_waits_or_gives_up);
    tcase_add_test(tc, who_delivered_goes_to_the_end);
    tcase_add_test(tc, many_are_found_again);
    tcase_add_test(tc, what_is_not_on_the_disk_is_not_named);
    tcase_add_test(tc, a_disk_that_is_done_at_once_costs_no_request);
    tcase_add_test(tc, with_nothing_but_syncs_the_loop_sleeps);
    tcase_add_test(tc, a_sync_of_an_earlier_role_counts_for_nothing);
    tcase_add_test(tc, unreplicated_records_of_an_old_leader_are_cut);
    tcase_add_test(tc, the_shortest_log_may_lead_and_all_follow_it);
    tcase_add_test(tc, fast_leaders_are_told_apart_by_epochs);
    tcase_add_test(tc, an_unknown_epoch_is_asked_about_again);
    tcase_add_test(tc, truncation_never_moves_an_end_up);
    tcase_add_test(tc, a_reset_keeps_what_it_can);
    return unit_run(tc);
}
