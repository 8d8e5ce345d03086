/*
 * group_judge - what is wrong with a group, out of two looks at it some seconds apart.
 *
 * A broker does not know whether a member polls: its heartbeats go on without. But a member that
 * has unread records before it and commits nothing between two looks does not process, whatever the
 * reason.
 *
 * Threads:    any: pure.
 */
#ifndef CONTROLLER_CLI_GROUP_JUDGE_H
#define CONTROLLER_CLI_GROUP_JUDGE_H

#include <stdbool.h>

#include "controller/cli/offset_plan.h"

/* The worst first. */
enum group_trouble {
    TROUBLE_LOST,        /* records were deleted before they were read */
    TROUBLE_NO_LEADER,   /* nobody can read a partition */
    TROUBLE_BEYOND,      /* committed behind the log's end */
    TROUBLE_STALLED,     /* a member with unread records commits nothing */
    TROUBLE_REBALANCING, /* and did at the first look already */
    TROUBLE_GROWING,     /* lag grows although the member commits */
    TROUBLE_NO_MEMBER,   /* a partition that no member of the group reads */
    TROUBLE_ABANDONED,   /* unread records and no members at all */
    TROUBLE_IDLE,        /* a member with no partition */
    TROUBLE_GONE,        /* offsets of a partition that is not there any more */
    TROUBLES,
    TROUBLE_NONE = TROUBLES,
};

struct part_look {
    struct offset_state at;
    bool is_there, has_leader, has_member;
};

/* The worst of a partition; group_is_stable at both looks, group_is_empty at the last. */
enum group_trouble group_judge_part(const struct part_look *before, const struct part_look *after,
                                    bool group_is_stable, bool group_is_empty);

/* A word for programs: "stalled". */
const char *group_trouble_word(enum group_trouble trouble);
/* Whether data is lost or out of reach, not merely late. */
bool group_trouble_is_grave(enum group_trouble trouble);

#endif
