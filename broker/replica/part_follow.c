/*
 * The follower's side. What a leader sent is written under append, and the core learns of the log's
 * new ends before that is dropped: a role, which takes append first, then finds both agreed.
 * Waiters are told afterwards. Nothing is taken from a leader of another epoch than the one
 * followed.
 */
#include "broker/replica/fetch_core.h"
#include "broker/replica/part_int.h"
#include "common/base/say.h"
#include "common/wire/batch.h"

static void get_ends(struct part *part, struct part_fetch_start *out)
{
    *out = (struct part_fetch_start){
        .offset = log_leo(part_log(part)),
        .last_epoch = log_latest_epoch(part_log(part)),
        .log_start = log_start_offset(part_log(part)),
    };
}

/* Who begins to follow may have a tail from the role before that is not on the disk yet. */
void part_get_fetch_start(struct part *part, struct part_fetch_start *out)
{
    struct log_conf conf;

    get_ends(part, out);
    log_get_conf(part_log(part), &conf);
    out->flush_due = conf.flush_messages != INT64_MAX &&
                     out->offset - log_recovery_point(part_log(part)) >= conf.flush_messages;
}

/* Under append: the role cannot change until that is dropped. */
static enum err check_following(struct part *part, int32_t leader_epoch)
{
    lock_assert_held(&part->append);
    lock_take(&part->state);
    bool follows = part->closed == ERR_OK && part->core.role == PART_FOLLOWER &&
                   part->core.leader_epoch == leader_epoch;
    lock_drop(&part->state);
    return follows ? ERR_OK : ERR_FENCED_LEADER_EPOCH;
}

/* A leader's log start: what it no longer has is of no use here either. */
static bool follow_log_start(struct part *part, int64_t leader_log_start, int64_t now_ms,
                             struct aftermath *after)
{
    int64_t leo = log_leo(part_log(part));
    int64_t start = leader_log_start < leo ? leader_log_start : leo;

    lock_assert_held(&part->append);
    if (start <= log_start_offset(part_log(part)) || !log_advance_start(part_log(part), start))
        return false;
    part_note_start(part, now_ms, after);
    return true;
}

/* The log was cut or begun anew: the core learns of it before anybody else can append. A cut has
 * the log read its producers anew, and with them markers that are committed long since: the high
 * watermark may stay, and no move of it would settle their transactions. */
static void note_cut(struct part *part, int64_t now_ms, struct aftermath *after)
{
    struct part_event ev = { .kind = PART_EV_TRUNCATED,
                             .truncated = { .leo = log_leo(part_log(part)),
                                            .log_start = log_start_offset(part_log(part)) } };

    lock_assert_held(&part->append);
    lock_take(&part->state);
    part_step_locked(part, &ev, now_ms, after);
    lock_drop(&part->state);
    log_on_hw(part_log(part), after->hw);
}

/* A leader's log may start inside a batch, which it sends whole (KAFKA-6975). A log that is still
 * empty begins with that batch; its start moves up again with the leader's. */
static enum err begin_with_batch(struct part *part, const uint8_t *bytes, size_t len)
{
    struct batch_info info;
    size_t size;

    if (batch_peek(bytes, len, &size) != ERR_OK || batch_check(bytes, size) != ERR_OK)
        return ERR_OFFSET_OUT_OF_RANGE;
    batch_info_read(bytes, &info);
    if (log_leo(part_log(part)) != log_start_offset(part_log(part)) || info.magic < 2 ||
        info.base_offset < 0 || info.base_offset >= log_leo(part_log(part)) ||
        info.last_offset < log_leo(part_log(part)))
        return ERR_OFFSET_OUT_OF_RANGE;
    say_info("starting %s with the batch that holds the leader's start from=%lld to=%lld",
             part->name, (long long)log_leo(part_log(part)), (long long)info.base_offset);
    return log_truncate_fully_and_start_at(part_log(part), info.base_offset);
}

static enum err append_from_leader(struct part *part, const uint8_t *bytes, size_t len,
                                   int64_t wall_ms, int64_t now_ms, struct log_appended *appended)
{
    struct aftermath after = { .low_watermark = -1 };
    enum err err = log_append_follower(part_log(part), bytes, len, wall_ms, appended);

    lock_assert_held(&part->append);
    if (err != ERR_OFFSET_OUT_OF_RANGE || begin_with_batch(part, bytes, len) != ERR_OK)
        return err;
    err = log_append_follower(part_log(part), bytes, len, wall_ms, appended);
    /* Its effects are those of the step that follows: nobody reads a follower that has nothing. */
    note_cut(part, now_ms, &after);
    return err;
}

enum err part_follow(struct part *part, int32_t leader_epoch, const uint8_t *bytes, size_t len,
                     int64_t leader_hw, int64_t leader_log_start, int64_t wall_ms, int64_t now_ms,
                     struct part_fetch_start *out)
{
    struct aftermath after = { .low_watermark = -1 };
    struct aftermath start_after = { .low_watermark = -1 };
    struct log_appended appended = { .flush_due = false };

    lock_take(&part->append);
    enum err err = check_following(part, leader_epoch);
    int64_t before = log_leo(part_log(part));
    if (err == ERR_OK && len > 0)
        err = append_from_leader(part, bytes, len, wall_ms, now_ms, &appended);
    /* An answer is written in pieces: those before one that failed are there. A leader's epoch
     * begins at the core's end, which must be the log's. */
    bool takes_in = err == ERR_OK || log_leo(part_log(part)) != before;
    if (takes_in) {
        struct part_event ev = {
            .kind = PART_EV_FOLLOWED,
            .followed = { .leo = log_leo(part_log(part)), .leader_hw = leader_hw },
        };

        lock_take(&part->state);
        part_step_locked(part, &ev, now_ms, &after);
        lock_drop(&part->state);
    }
    bool start_moves =
        err == ERR_OK && follow_log_start(part, leader_log_start, now_ms, &start_after);
    get_ends(part, out);
    out->flush_due = appended.flush_due; /* of the last piece that was written, if any */
    lock_drop(&part->append);
    if (takes_in && len > 0)
        watch_list_reach(&part->grown, after.leo);
    if (takes_in)
        part_see_to(part, &after);
    if (start_moves)
        part_see_to(part, &start_after);
    return err;
}

/* A fetch beyond the new end must learn of it; one that has read while the transactions were not
 * settled waits for what is stable. */
static void see_to_cut(struct part *part, struct aftermath *after)
{
    part_see_to(part, after);
    watch_list_flush(&part->grown);
    watch_list_reach(&part->stable, log_last_stable_offset(part_log(part), after->hw));
}

static enum err cut_to(struct part *part, int64_t offset, bool restart, const char *why)
{
    struct part_info info;

    part_get_info(part, &info);
    if (offset < info.leo || restart)
        say_info("truncating %s from=%lld to=%lld hw=%lld why=%s", part->name, (long long)info.leo,
                 (long long)offset, (long long)info.hw, why);
    if (offset < info.hw)
        say_warn("truncating %s below its high watermark to=%lld hw=%lld", part->name,
                 (long long)offset, (long long)info.hw);
    return restart ? log_truncate_fully_and_start_at(part_log(part), offset)
                   : log_truncate_to(part_log(part), offset);
}

enum err part_follow_diverged(struct part *part, int32_t leader_epoch, int32_t diverging_epoch,
                              int64_t diverging_end, int64_t now_ms, struct part_fetch_start *out)
{
    struct aftermath after = { .low_watermark = -1 };

    lock_take(&part->append);
    enum err err = check_following(part, leader_epoch);
    if (err == ERR_OK) {
        struct epoch_end own = log_epoch_end(part_log(part), diverging_epoch);
        int64_t point = fetch_truncation_point(diverging_epoch, diverging_end, own.epoch,
                                               own.end_offset, log_leo(part_log(part)));

        err = cut_to(part, point, false, "diverging epoch");
    }
    if (err == ERR_OK)
        note_cut(part, now_ms, &after);
    part_get_fetch_start(part, out);
    lock_drop(&part->append);
    if (err == ERR_OK)
        see_to_cut(part, &after);
    return err;
}

enum err part_follow_reset(struct part *part, int32_t leader_epoch, int64_t leader_start,
                           int64_t leader_end, int64_t now_ms, struct part_fetch_start *out)
{
    struct aftermath after = { .low_watermark = -1 };
    int64_t offset;

    lock_take(&part->append);
    enum err err = check_following(part, leader_epoch);
    if (err == ERR_OK) {
        switch (fetch_reset_point(log_leo(part_log(part)), leader_start, leader_end, &offset)) {
        case FETCH_RESET_CUT:
            err = cut_to(part, offset, false, "beyond the leader's end");
            break;
        case FETCH_RESET_RESTART:
            err = cut_to(part, offset, true, "before the leader's start");
            break;
        case FETCH_RESET_KEEP:
            break;
        }
    }
    if (err == ERR_OK)
        note_cut(part, now_ms, &after);
    part_get_fetch_start(part, out);
    lock_drop(&part->append);
    if (err == ERR_OK)
        see_to_cut(part, &after);
    return err;
}
