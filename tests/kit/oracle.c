/*
 * Per partition one sequence: what a leader's high watermark has passed. Everything else is held
 * against it. That sequence only grows; two leaders that commit different records at one offset
 * break it at the second one.
 */
#include "tests/kit/oracle.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void oracle_init(struct oracle *oracle)
{
    memset(oracle, 0, sizeof *oracle);
    for (size_t i = 0; i < ORACLE_PARTS; i++) {
        oracle->parts[i].leader = -1;
        oracle->parts[i].leader_epoch = oracle->parts[i].partition_epoch = -1;
    }
}

void oracle_fini(struct oracle *oracle)
{
    for (size_t i = 0; i < ORACLE_PARTS; i++) {
        free(oracle->parts[i].committed);
        free(oracle->parts[i].acks);
        free(oracle->parts[i].leaders);
    }
}

bool oracle_break(struct oracle *oracle, const char *format, ...)
{
    va_list args;

    if (oracle->broken)
        return false;
    oracle->broken = true;
    va_start(args, format);
    vsnprintf(oracle->text, sizeof oracle->text, format, args);
    va_end(args);
    return false;
}

static bool same(struct oracle_rec a, struct oracle_rec b)
{
    return a.value == b.value && a.epoch == b.epoch;
}

/* The first offset in [from, end) at which the log is not what is committed; end: none. */
static int64_t first_difference(const struct oracle_part *part, struct oracle_log log, int64_t from,
                                int64_t end)
{
    for (int64_t i = from; i < end; i++)
        if (i >= log.len || !same(log.recs[i], part->committed[i]))
            return i;
    return end;
}

bool oracle_has_all(const struct oracle *oracle, int part, struct oracle_log log)
{
    const struct oracle_part *p = &oracle->parts[part];

    return first_difference(p, log, 0, p->len) == p->len;
}

bool oracle_leads(struct oracle *oracle, int part, const char *who, struct oracle_log log)
{
    struct oracle_part *p = &oracle->parts[part];
    int64_t at = first_difference(p, log, 0, p->len);

    if (at < p->len)
        return oracle_break(oracle,
                            "1: leader %s of partition %d lacks a committed record at offset "
                            "%" PRId64 " leo=%" PRId64 " committed=%" PRId64,
                            who, part, at, log.len, p->len);
    for (size_t i = 0; i < p->n_acks; i++) {
        const struct oracle_ack *ack = &p->acks[i];

        if (ack->offset >= log.len || log.recs[ack->offset].value != ack->value)
            return oracle_break(oracle,
                                "1: leader %s of partition %d lacks the acknowledged record "
                                "%" PRId64 " at offset %" PRId64 " leo=%" PRId64,
                                who, part, ack->value, ack->offset, log.len);
    }
    return true;
}

void oracle_acked(struct oracle *oracle, int part, int64_t offset, int64_t value)
{
    struct oracle_part *p = &oracle->parts[part];

    array_reserve(&p->acks, &p->cap_acks, p->n_acks, sizeof *p->acks);
    p->acks[p->n_acks++] = (struct oracle_ack){ offset, value };
}

bool oracle_high_watermark(struct oracle *oracle, int part, const char *who, bool leads,
                           struct oracle_log log, int64_t from, int64_t hw, bool *extended)
{
    struct oracle_part *p = &oracle->parts[part];
    int64_t known = hw < p->len ? hw : p->len;

    *extended = false;
    if (hw > log.len)
        return oracle_break(oracle, "2: %s of partition %d has hw=%" PRId64 " above leo=%" PRId64,
                            who, part, hw, log.len);
    int64_t at = first_difference(p, log, from, known);
    if (at < known)
        return oracle_break(oracle,
                            "2: %s of partition %d has another record below its high watermark at "
                            "offset %" PRId64 " value=%" PRId64 " epoch=%d committed value=%" PRId64
                            " epoch=%d",
                            who, part, at, log.recs[at].value, log.recs[at].epoch,
                            p->committed[at].value, p->committed[at].epoch);
    if (hw <= p->len)
        return true;
    if (!leads)
        return oracle_break(oracle,
                            "4: follower %s of partition %d shows hw=%" PRId64
                            " above what is committed=%" PRId64,
                            who, part, hw, p->len);
    while (p->len < hw) {
        array_reserve(&p->committed, &p->cap, (size_t)p->len, sizeof *p->committed);
        p->committed[p->len] = log.recs[p->len];
        p->len++;
    }
    *extended = true;
    return true;
}

bool oracle_one_leader(struct oracle *oracle, int part, const char *who, int32_t leader_epoch,
                       int64_t process)
{
    struct oracle_part *p = &oracle->parts[part];
    size_t at = (size_t)leader_epoch;

    assert(leader_epoch >= 0 && process != 0);
    while (p->n_leaders <= at) {
        array_reserve(&p->leaders, &p->cap_leaders, p->n_leaders, sizeof *p->leaders);
        p->leaders[p->n_leaders++] = (struct oracle_leader){ .process = 0 };
    }
    if (p->leaders[at].process != 0 && p->leaders[at].process != process)
        return oracle_break(oracle,
                            "3: %s leads partition %d in epoch %d, which another process led", who,
                            part, leader_epoch);
    p->leaders[at].process = process;
    return true;
}

void oracle_seat(struct oracle *oracle, int32_t controller_epoch)
{
    if (controller_epoch > oracle->seat_epoch)
        oracle->seat_epoch = controller_epoch;
}

bool oracle_stored(struct oracle *oracle, int part, int32_t leader, int32_t leader_epoch,
                   int32_t partition_epoch, int32_t controller_epoch)
{
    struct oracle_part *p = &oracle->parts[part];

    if (controller_epoch < oracle->seat_epoch)
        return oracle_break(oracle,
                            "3: the controller of epoch %d stored a state of partition %d, but "
                            "epoch %d was won",
                            controller_epoch, part, oracle->seat_epoch);
    if (leader_epoch < p->leader_epoch || partition_epoch <= p->partition_epoch)
        return oracle_break(oracle, "3: the stored epochs of partition %d went from %d,%d to %d,%d",
                            part, p->leader_epoch, p->partition_epoch, leader_epoch,
                            partition_epoch);
    if (leader != p->leader && leader_epoch == p->leader_epoch)
        return oracle_break(oracle, "3: partition %d changed its leader from %d to %d in epoch %d",
                            part, p->leader, leader, leader_epoch);
    p->leader = leader;
    p->leader_epoch = leader_epoch;
    p->partition_epoch = partition_epoch;
    return true;
}

bool oracle_in_sync(struct oracle *oracle, int part, const char *who, struct oracle_log log,
                    int64_t from)
{
    struct oracle_part *p = &oracle->parts[part];
    int64_t at = first_difference(p, log, from, p->len);

    if (at < p->len)
        return oracle_break(oracle,
                            "5: %s is in the ISR of partition %d and lacks a committed record at "
                            "offset %" PRId64 " leo=%" PRId64 " committed=%" PRId64,
                            who, part, at, log.len, p->len);
    return true;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

bool oracle_in_order(struct oracle *oracle, int part, const char *who, struct oracle_log log)
{
    int64_t *values = xcalloc((size_t)log.len + 1, sizeof *values);
    bool good = true;

    for (int64_t i = 0; i < log.len && good; i++) {
        values[i] = log.recs[i].value;
        if (i > 0 && log.recs[i].epoch < log.recs[i - 1].epoch)
            good = oracle_break(oracle, "6: epochs go back in the log of %s at %d-%" PRId64, who,
                                part, i);
    }
    qsort(values, (size_t)log.len, sizeof *values, by_value);
    for (int64_t i = 1; i < log.len && good; i++)
        if (values[i] == values[i - 1])
            good = oracle_break(oracle, "6: record %" PRId64 " is twice in the log of %s of %d",
                                values[i], who, part);
    free(values);
    return good;
}
