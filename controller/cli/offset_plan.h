/*
 * offset_plan - what a group has yet to read of a partition, and where a reset would put it.
 *
 * Kafka's rules (ConsumerGroupCommand of 3.9): an offset outside of the log moves to its nearer
 * end, a time later than every record means the log's end, and the current offset of a partition
 * that has none is the end, too. Unlike Kafka's tool it does so with a shift as well, where that
 * one gives up.
 *
 * Units:      offsets; -1 is one that is not known, or was never committed.
 * Threads:    any: pure.
 */
#ifndef CONTROLLER_CLI_OFFSET_PLAN_H
#define CONTROLLER_CLI_OFFSET_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"

struct offset_state {
    int64_t committed; /* next to be read */
    int64_t first;     /* first in the log */
    int64_t end;       /* behind the last */
    int64_t at_time;   /* first record of the time asked for; -1: none that late */
};

/* Records to be read, as Kafka counts them; below 0 when more was committed than there is. False:
 * not known. */
bool offset_lag(const struct offset_state *state, int64_t *lag);
/* Records that were deleted before the group read them; 0 when not known. */
int64_t offset_lost(const struct offset_state *state);

enum reset_how {
    RESET_EARLIEST,
    RESET_LATEST,
    RESET_CURRENT,
    RESET_OFFSET, /* argument: the offset */
    RESET_TIME,   /* at_time of the state */
    RESET_SHIFT,  /* argument: by how much */
};

enum reset_note {
    RESET_AS_ASKED,
    RESET_RAISED,       /* what was asked for lies before the log */
    RESET_LOWERED,      /* or behind it */
    RESET_NONE_LATER,   /* no record is that late: the end */
    RESET_NO_COMMITTED, /* nothing was committed: the end */
    RESET_UNKNOWN,      /* the log's ends are not known: no offset */
};

struct reset_step {
    int64_t offset;
    int64_t asked; /* before it was moved into the log */
    enum reset_note note;
};

struct reset_step reset_plan(enum reset_how how, int64_t argument,
                             const struct offset_state *state);
/* What a note says to people, "" of RESET_AS_ASKED. */
const char *reset_note_text(enum reset_note note);

/* "earliest", "latest", "current", an offset, or @TIME with a moment of moment.h. False: none. */
bool reset_parse(const char *text, int64_t now_ms, enum reset_how *how, int64_t *argument);

/* A line of a file of offsets: [GROUP,]TOPIC,PARTITION,OFFSET, a field quoted if it has to be.
 * False: no such line. group is null when it is left out. */
struct offset_line {
    struct str group, topic;
    int32_t partition;
    int64_t offset;
};

bool offset_line_parse(struct str text, struct offset_line *out);

/* "TOPIC" or "TOPIC:0,1,2". False when what stands behind the colon is no list of partitions. With
 * partitions NULL it only counts; *len 0: all of them. */
bool topic_scope_parse(struct str text, struct str *topic, int32_t *partitions, int32_t *len);

#endif
