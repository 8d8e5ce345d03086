/*
 * group_print - a group as rows: members, partitions with their lag, and what is odd about them.
 *
 * Ownership:  rows live in the view's arena.
 * Threads:    one.
 */
#ifndef CONTROLLER_CLI_GROUP_PRINT_H
#define CONTROLLER_CLI_GROUP_PRINT_H

#include "controller/cli/group.h"
#include "controller/cli/print.h"

/* Yellow where nobody reads, or nobody can just now. */
struct cell group_state_cell(struct str state);

/* "billing  Stable  range  4 members  coordinator 2  total lag 12408" */
void group_print_heading(const struct group_view *view, FILE *out);
void group_print_facts(struct report *report, const struct group_view *view);
void group_print_members(struct report *report, const struct group_view *view);
void group_print_lag(struct report *report, const struct group_view *view);

/* What is odd about a part, for people; "" when nothing is. *act: somebody must act. */
const char *group_part_note(const struct group_view *view, const struct group_part *part,
                            bool *act);
/* How long ago the oldest unread record was written, of a part or of all; -1: nothing is unread, or
 * it is not known. */
int64_t group_part_age(const struct group_view *view, const struct group_part *part);
int64_t group_oldest(const struct group_view *view);
/* Of all parts whose lag is known. */
int64_t group_total_lag(const struct group_view *view);
/* "orders:0,1,2" for each topic that a member is assigned. */
struct cell group_assignment_cell(const struct group_view *view,
                                  const struct describe_groups_response_member *member);

#endif
