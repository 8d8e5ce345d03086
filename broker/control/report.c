/*
 * Whoever has something to say from another thread puts it on a list under a lock and posts one
 * message; the control reactor takes the whole list and makes one frame of it. What cannot be sent
 * because there is no stream is dropped: proposals are sent again by their partitions when a stream
 * is up, blocks of producer ids by report_on_up().
 */
#include "broker/control/report.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/stream/stream_image.h"

#define SHUTDOWN_ASK_MS 5000

struct proposal {
    struct uuid topic_id;
    int32_t partition;
    struct part_proposal proposal; /* with members of its own */
};

struct report {
    struct report_conf conf;
    struct lock lock;         /* rank LOCK_CONTROL */
    struct proposal *waiting; /* [m] */
    size_t waiting_len, waiting_cap;
    char **failed_dirs; /* [m] the names stay as long as the report */
    size_t failed_len, failed_cap;
    size_t failed_told; /* [o] so many of them are known to the partitions */
    size_t failed_sent; /* [o] and to the controller of this stream */
    bool posted;        /* [m] */
    bool want_pids;     /* [m] */
    struct msg msg;
    uint64_t number; /* [o] of the last request, as are the next two */
    uint64_t pids_number, shutdown_number;
    bool pids_asked;                                                   /* [o] on this stream */
    void (*shutdown_done)(void *ctx, enum err err, int32_t still_led); /* [o] */
    void *shutdown_ctx;
    struct reactor_timer shutdown_timer;
};

/* ---- from any thread ---- */

static void post_locked(struct report *report)
{
    if (!report->posted)
        reactor_post(report->conf.reactor, &report->msg);
    report->posted = true;
}

void report_propose(struct report *report, struct part *part, const struct part_proposal *proposal)
{
    struct proposal copy = {
        .topic_id = part_topic_id(part),
        .partition = part_partition(part),
        .proposal = *proposal,
    };

    copy.proposal.members =
        xmemdup(proposal->members, (size_t)proposal->members_len * sizeof *proposal->members);
    lock_take(&report->lock);
    array_reserve(&report->waiting, &report->waiting_cap, report->waiting_len,
                  sizeof *report->waiting);
    report->waiting[report->waiting_len++] = copy;
    post_locked(report);
    lock_drop(&report->lock);
}

void report_want_pids(struct report *report)
{
    lock_take(&report->lock);
    report->want_pids = true;
    post_locked(report);
    lock_drop(&report->lock);
}

void report_dir_failed(struct report *report, const char *dir)
{
    lock_take(&report->lock);
    array_reserve(&report->failed_dirs, &report->failed_cap, report->failed_len, sizeof(char *));
    report->failed_dirs[report->failed_len++] = xstrdup(dir);
    post_locked(report);
    lock_drop(&report->lock);
}

/* ---- on the control reactor ---- */

static Control__AlterPartition__Item *make_item(struct arena *arena, const struct proposal *from)
{
    Control__AlterPartition__Item *item = arena_alloc(arena, sizeof *item);
    const struct part_proposal *proposal = &from->proposal;

    control__alter_partition__item__init(item);
    item->topic_id = stream_image_write_uuid(&from->topic_id);
    item->has_topic_id = true;
    item->partition = from->partition;
    item->has_partition = true;
    item->proposal_id = proposal->id;
    item->has_proposal_id = true;
    item->leader_epoch = proposal->leader_epoch;
    item->has_leader_epoch = true;
    item->partition_epoch = proposal->partition_epoch;
    item->has_partition_epoch = true;
    item->n_isr = (size_t)proposal->members_len;
    item->isr = arena_alloc(arena, (item->n_isr + 1) * sizeof *item->isr);
    for (size_t i = 0; i < item->n_isr; i++) {
        Control__Member *member = arena_alloc(arena, sizeof *member);

        control__member__init(member);
        member->id = proposal->members[i].id;
        member->has_id = true;
        member->broker_epoch = proposal->members[i].broker_epoch;
        member->has_broker_epoch = true;
        item->isr[i] = member;
    }
    return item;
}

static void send_proposals(struct report *report, const struct proposal *proposals, size_t len)
{
    Control__AlterPartition alter = CONTROL__ALTER_PARTITION__INIT;
    Control__Frame frame = CONTROL__FRAME__INIT;
    struct arena arena;

    if (len == 0 || !report->conf.is_up(report->conf.ctx))
        return;
    arena_init(&arena, SIZE_MAX);
    alter.broker_epoch = report->conf.epoch(report->conf.ctx);
    alter.has_broker_epoch = true;
    alter.n_items = len;
    alter.items = arena_alloc(&arena, len * sizeof *alter.items);
    for (size_t i = 0; i < len; i++)
        alter.items[i] = make_item(&arena, &proposals[i]);
    frame.alter_partition = &alter;
    report->conf.send(report->conf.ctx, &frame);
    arena_fini(&arena);
}

static void ask_for_pids(struct report *report)
{
    Control__PidBlockWanted wanted = CONTROL__PID_BLOCK_WANTED__INIT;
    Control__Frame frame = CONTROL__FRAME__INIT;

    if (report->pids_asked || !report->conf.is_up(report->conf.ctx))
        return;
    report->pids_asked = true;
    wanted.number = report->pids_number = ++report->number;
    wanted.has_number = true;
    wanted.broker_epoch = report->conf.epoch(report->conf.ctx);
    wanted.has_broker_epoch = true;
    frame.pid_block_wanted = &wanted;
    report->conf.send(report->conf.ctx, &frame);
}

struct dir_scan {
    const char *dir;
    struct arena arena;
    Control__PartitionFailure **items;
    size_t len, cap;
};

static void add_failed(struct dir_scan *scan, struct part *part)
{
    struct uuid *id = arena_alloc(&scan->arena, sizeof *id);
    Control__PartitionFailure *item = arena_alloc(&scan->arena, sizeof *item);
    struct part_info info;

    if (strcmp(log_parent_dir(part_log(part)), scan->dir) != 0)
        return;
    part_get_info(part, &info);
    *id = part_topic_id(part);
    control__partition_failure__init(item);
    item->topic_id = stream_image_write_uuid(id);
    item->has_topic_id = true;
    item->partition = part_partition(part);
    item->has_partition = true;
    item->leader_epoch = info.leader_epoch;
    item->has_leader_epoch = true;
    item->partition_epoch = info.partition_epoch;
    item->has_partition_epoch = true;
    item->error = ERR_KAFKA_STORAGE_ERROR;
    item->has_error = true;
    array_reserve(&scan->items, &scan->cap, scan->len, sizeof *scan->items);
    scan->items[scan->len++] = item;
}

static void send_failed_dir(struct report *report, const char *dir)
{
    const struct parts_table *table = parts_get_table(report->conf.parts);
    struct dir_scan scan = { .dir = dir };
    Control__DirFailed failed = CONTROL__DIR_FAILED__INIT;
    Control__Frame frame = CONTROL__FRAME__INIT;

    arena_init(&scan.arena, SIZE_MAX);
    for (size_t i = 0; i < parts_count(table); i++)
        add_failed(&scan, parts_at(table, i));
    failed.dir = arena_cstr(&scan.arena, str_of(dir));
    failed.n_partitions = scan.len;
    failed.partitions = scan.items;
    frame.dir_failed = &failed;
    report->conf.send(report->conf.ctx, &frame);
    parts_put_table(&table);
    free(scan.items);
    arena_fini(&scan.arena);
}

/* The partitions hear of it first: what is sent is what they are then. */
static void tell_failed(struct report *report, char **dirs, size_t len)
{
    for (; report->failed_told < len; report->failed_told++)
        parts_on_dir_failed(report->conf.parts, dirs[report->failed_told]);
    if (!report->conf.is_up(report->conf.ctx))
        return;
    for (; report->failed_sent < len; report->failed_sent++)
        send_failed_dir(report, dirs[report->failed_sent]);
}

static void run(struct msg *msg)
{
    struct report *report = container_of(msg, struct report, msg);

    lock_take(&report->lock);
    struct proposal *proposals = report->waiting;
    size_t len = report->waiting_len;
    size_t failed_len = report->failed_len;
    char **failed_dirs = NULL;
    if (failed_len > 0)
        failed_dirs = xmemdup(report->failed_dirs, failed_len * sizeof *failed_dirs);
    bool want_pids = report->want_pids;
    report->waiting = NULL;
    report->waiting_len = report->waiting_cap = 0;
    report->posted = false;
    lock_drop(&report->lock);

    send_proposals(report, proposals, len);
    for (size_t i = 0; i < len; i++)
        free(proposals[i].proposal.members);
    free(proposals);
    if (want_pids)
        ask_for_pids(report);
    tell_failed(report, failed_dirs, failed_len);
    free(failed_dirs);
}

static void end_shutdown(struct report *report, enum err err, int32_t still_led)
{
    void (*done)(void *, enum err, int32_t) = report->shutdown_done;

    if (done == NULL)
        return;
    reactor_timer_cancel(report->conf.reactor, &report->shutdown_timer);
    report->shutdown_done = NULL;
    done(report->shutdown_ctx, err, still_led);
}

static void on_shutdown_timeout(struct reactor_timer *timer)
{
    end_shutdown(container_of(timer, struct report, shutdown_timer), ERR_TIMED_OUT, -1);
}

void report_shutdown(struct report *report,
                     void (*done)(void *ctx, enum err err, int32_t still_led), void *ctx)
{
    Control__ShutdownWanted wanted = CONTROL__SHUTDOWN_WANTED__INIT;
    Control__Frame frame = CONTROL__FRAME__INIT;

    report->shutdown_done = done;
    report->shutdown_ctx = ctx;
    if (!report->conf.is_up(report->conf.ctx)) {
        end_shutdown(report, ERR_NOT_CONTROLLER, -1);
        return;
    }
    wanted.number = report->shutdown_number = ++report->number;
    wanted.has_number = true;
    wanted.broker_epoch = report->conf.epoch(report->conf.ctx);
    wanted.has_broker_epoch = true;
    frame.shutdown_wanted = &wanted;
    reactor_timer_set_ms(report->conf.reactor, &report->shutdown_timer, SHUTDOWN_ASK_MS);
    report->conf.send(report->conf.ctx, &frame);
}

void report_on_shutdown_answer(struct report *report, const Control__ShutdownAnswer *answer)
{
    if (answer->has_number && answer->number == report->shutdown_number)
        end_shutdown(report, answer->has_error ? (enum err)answer->error : ERR_OK,
                     answer->has_still_led ? answer->still_led : 0);
}

void report_on_up(struct report *report)
{
    report->pids_asked = false;
    report->failed_sent = 0;
    lock_take(&report->lock);
    if (report->want_pids || report->failed_len > 0)
        post_locked(report);
    lock_drop(&report->lock);
}

void report_on_down(struct report *report)
{
    report->pids_asked = false;
    end_shutdown(report, ERR_NOT_CONTROLLER, -1);
}

void report_on_alter_answer(struct report *report, const Control__AlterPartitionAnswer *answer,
                            int64_t now_ms)
{
    const struct parts_table *table = parts_get_table(report->conf.parts);

    for (size_t i = 0; i < answer->n_items; i++) {
        const Control__AlterPartitionAnswer__Item *item = answer->items[i];
        struct uuid id;
        struct part *part;

        if (stream_image_read_uuid(item->topic_id, &id) != ERR_OK)
            continue;
        part = parts_find_id(table, id, item->partition);
        if (part != NULL)
            part_decided(part, item->proposal_id, (enum err)item->error, now_ms);
    }
    parts_put_table(&table);
}

void report_on_pid_answer(struct report *report, const Control__PidBlockAnswer *answer)
{
    bool good = answer->has_first && answer->has_count && answer->count > 0 && answer->first >= 0 &&
                !(answer->has_error && answer->error != 0);

    if (!report->pids_asked || answer->number != report->pids_number)
        return;
    report->pids_asked = false;
    lock_take(&report->lock);
    report->want_pids = false;
    lock_drop(&report->lock);
    if (good) {
        pids_give(report->conf.pids, answer->first, answer->count);
    } else {
        say_warn("no producer ids from the controller err=%s", err_name((enum err)answer->error));
        pids_fail(report->conf.pids);
    }
}

struct report *report_new(const struct report_conf *conf)
{
    struct report *report = xcalloc(1, sizeof *report);

    report->conf = *conf;
    lock_init(&report->lock, LOCK_CONTROL);
    report->msg.run = run;
    reactor_timer_init(&report->shutdown_timer, on_shutdown_timeout);
    return report;
}

void report_free(struct report **report_ptr)
{
    struct report *report = *report_ptr;

    *report_ptr = NULL;
    reactor_timer_cancel(report->conf.reactor, &report->shutdown_timer);
    for (size_t i = 0; i < report->waiting_len; i++)
        free(report->waiting[i].proposal.members);
    for (size_t i = 0; i < report->failed_len; i++)
        free(report->failed_dirs[i]);
    free(report->waiting);
    free(report->failed_dirs);
    lock_fini(&report->lock);
    free(report);
}
