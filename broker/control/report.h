/*
 * report - what a broker tells its controller (C8): ISR proposals, that it wants to stop, that it
 * needs producer ids, that a directory failed; and heartbeats, from a thread of their own.
 *
 * Ownership:  borrows what the conf points to.
 * Threads:    report_propose(), report_want_pids(), report_dir_failed(): any. The rest on the
 * control reactor, as said.
 */
#ifndef BROKER_CONTROL_REPORT_H
#define BROKER_CONTROL_REPORT_H

#include <stdint.h>

#include "broker/replica/parts.h"
#include "broker/txn/pids.h"
#include "common/io/reactor.h"
#include "common/stream/stream.h"

struct report;

struct report_conf {
    struct reactor *reactor;
    struct parts *parts;
    struct pids *pids;
    /* Broker epoch, -1 while not registered. */
    int64_t (*epoch)(void *ctx);
    /* Dropped while there is no stream. */
    void (*send)(void *ctx, const Control__Frame *frame);
    bool (*is_up)(void *ctx);
    void *ctx;
};

struct report *report_new(const struct report_conf *conf);
void report_free(struct report **report);

/* Any thread; members are copied. Proposals of one loop turn share a message. */
void report_propose(struct report *report, struct part *part, const struct part_proposal *proposal);
/* Any thread: asks for a block of producer ids; again on each new stream until one comes. */
void report_want_pids(struct report *report);
/* Any thread. */
void report_dir_failed(struct report *report, const char *dir);

/* Control reactor. */
void report_on_up(struct report *report);
void report_on_down(struct report *report);
void report_on_alter_answer(struct report *report, const Control__AlterPartitionAnswer *answer,
                            int64_t now_ms);
void report_on_pid_answer(struct report *report, const Control__PidBlockAnswer *answer);
void report_on_shutdown_answer(struct report *report, const Control__ShutdownAnswer *answer);
/* Asks to be relieved of leaderships; done(ctx, still_led, err) once per call. */
void report_shutdown(struct report *report,
                     void (*done)(void *ctx, enum err err, int32_t still_led), void *ctx);

#endif
