/*
 * oracle - what must hold whatever goes wrong: the invariants of the design, each a function.
 *
 * It is told what became committed, was acknowledged, who leads in which epoch and what states were
 * stored; from that it knows what every log must contain. It keeps no clock and knows no processes:
 * the simulator asks it at every step, tests of real processes can ask it at the end.
 *
 * Units:      offsets count records. Logs are shown as arrays from offset 0.
 * Ownership:  copies what it is told. Logs are lent during a call.
 * Errors:     the first broken promise is kept as a sentence in text; false from then on.
 */
#ifndef TESTS_KIT_ORACLE_H
#define TESTS_KIT_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORACLE_PARTS 32

struct oracle_rec {
    int64_t value; /* what a client wrote; never used twice */
    int32_t epoch; /* leader epoch it was appended in */
};

struct oracle_log {
    const struct oracle_rec *recs;
    int64_t len;
};

struct oracle_ack {
    int64_t offset;
    int64_t value;
};

struct oracle_leader {
    int64_t process; /* who led in that epoch; 0: nobody yet */
};

struct oracle_part {
    struct oracle_rec *committed; /* what some leader's high watermark has passed */
    int64_t len;
    size_t cap;
    struct oracle_ack *acks;
    size_t n_acks, cap_acks;
    struct oracle_leader *leaders; /* by leader epoch */
    size_t n_leaders, cap_leaders;
    int32_t leader, leader_epoch, partition_epoch; /* as last stored; -1 */
};

struct oracle {
    struct oracle_part parts[ORACLE_PARTS];
    int32_t seat_epoch; /* highest controller epoch that was won */
    bool broken;
    char text[400];
};

void oracle_init(struct oracle *oracle);
void oracle_fini(struct oracle *oracle);
bool oracle_break(struct oracle *oracle, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* 1. A leader that was elected cleanly has all that was acknowledged and committed. */
bool oracle_leads(struct oracle *oracle, int part, const char *who, struct oracle_log log);
/* An acks=all was answered: the record is at offset. */
void oracle_acked(struct oracle *oracle, int part, int64_t offset, int64_t value);
/* 2, 4. Below the high watermark of anybody the logs are one. A leader's moves what is committed:
 * *extended. from: checked before. */
bool oracle_high_watermark(struct oracle *oracle, int part, const char *who, bool leads,
                           struct oracle_log log, int64_t from, int64_t hw, bool *extended);
/* 3. One process for a leader epoch, for ever. process: not 0. */
bool oracle_one_leader(struct oracle *oracle, int part, const char *who, int32_t leader_epoch,
                       int64_t process);
/* 3. Stored epochs never go back; who leads changes with the leader epoch only; a controller that
 * was followed by another stores nothing. */
bool oracle_stored(struct oracle *oracle, int part, int32_t leader, int32_t leader_epoch,
                   int32_t partition_epoch, int32_t controller_epoch);
void oracle_seat(struct oracle *oracle, int32_t controller_epoch);
/* 5. A member of an ISR has all that is committed from offset `from` on. */
bool oracle_in_sync(struct oracle *oracle, int part, const char *who, struct oracle_log log,
                    int64_t from);
/* Has the log all that is committed? Breaks nothing. */
bool oracle_has_all(const struct oracle *oracle, int part, struct oracle_log log);
/* 6. No value twice, epochs in order. */
bool oracle_in_order(struct oracle *oracle, int part, const char *who, struct oracle_log log);

#endif
