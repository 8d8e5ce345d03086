/*
 * group - what commands ask about a consumer group: its coordinator, its members and what they are
 * assigned, its committed offsets, and where the logs of those partitions begin and end.
 *
 * A group's coordinator is looked up when it is needed and again when it has moved; while it loads
 * or is elected, a question is repeated up to the deadline. Groups are listed at every broker.
 *
 * Ownership:  a view and all that it points to live in the arena given to group_view_init().
 * Threads:    one; calls wait, up to cli->deadline_ms.
 * Errors:     functions that return an exit code have said what is wrong.
 */
#ifndef CONTROLLER_CLI_GROUP_H
#define CONTROLLER_CLI_GROUP_H

#include "common/base/uuid.h"
#include "controller/cli/link.h"
#include "controller/cli/offset_plan.h"
#include "gen/records/consumer_protocol.h"
#include "gen/wire/describe_groups.h"
#include "gen/wire/list_groups.h"

struct group_part {
    struct str topic;
    int32_t partition;
    struct offset_state at;
    int32_t leader_epoch; /* committed with the offset, -1: none */
    struct str metadata;  /* committed with the offset */
    struct uuid topic_id;
    bool is_there;  /* there is such a partition */
    int32_t leader; /* -1: it has none */
    enum err err;   /* why its offset or its log's ends are not known, or are not changed */
    const struct describe_groups_response_member *member; /* who is to read it; NULL: nobody */
    int64_t oldest_ms;    /* when the oldest unread record was written; -1: none, or not known */
    int64_t committed_ms; /* when its last commit was written; -1: not seen */
    int64_t
        still_ms; /* for so long its member has unread records and commits nothing; 0: not known */
    bool still_more; /* or for longer */
};

struct group_view {
    struct arena *arena;
    const char *name;
    int32_t coordinator; /* -1: to be looked up */
    const struct describe_groups_response_group *described;
    struct group_part *parts; /* by topic and partition once group_sort() was called */
    int32_t parts_len, parts_cap;
    int64_t now_ms;     /* when ages were looked for; 0: they were not */
    int64_t settled_ms; /* when its generation was written; -1: not seen */
};

void group_view_init(struct group_view *view, struct arena *arena, const char *name);

struct group_listing {
    struct list_groups_response_group group;
    int32_t coordinator;
};

/* All groups that brokers tell of, by name; states and types: filters, "a,b", or NULL. *silent: how
 * many brokers did not answer, which has been said. */
enum exit_code group_list(struct cli *cli, struct link *link, const char *states, const char *types,
                          struct group_listing **out, int32_t *len, int32_t *silent);

/* CLI_NOT_FOUND when nobody knows the group. */
enum exit_code group_describe(struct cli *cli, struct link *link, struct group_view *view);
/* The same without saying anything; a group that is not there is in state Dead. */
enum err group_ask_description(struct cli *cli, struct link *link,
                               struct group_view *view) MUST_USE;
/* Whether members of it are there, or coming and going. */
bool group_is_active(const struct group_view *view);
/* Says that there is no such group. */
enum exit_code group_missing(struct cli *cli, struct link *link, const char *name);

/* What a member is assigned; NULL when it is nothing, or no assignment of consumers. */
const struct consumer_protocol_assignment *
group_assignment(const struct group_view *view,
                 const struct describe_groups_response_member *member);
/* How many partitions that are. */
int32_t group_assigned_len(const struct consumer_protocol_assignment *assignment);

/* The part, made if it is not in the view. */
struct group_part *group_part(struct group_view *view, struct str topic, int32_t partition);
/* Adds all partitions with committed offsets. */
enum exit_code group_add_committed(struct cli *cli, struct link *link, struct group_view *view);
enum err group_ask_committed(struct cli *cli, struct link *link, struct group_view *view) MUST_USE;
/* Adds all that members are assigned, and says who has what. */
void group_add_assigned(struct group_view *view);
/* Adds partitions of a scope, "TOPIC" or "TOPIC:0,1". */
enum exit_code group_add_scope(struct cli *cli, struct link *link, struct group_view *view,
                               const char *scope);
/* at_time of each part that the lines of a file name (offset_plan.h), made if it is not in the
 * view; lines about another group say nothing, nor do empty ones and, where they are comments,
 * those that begin with #. Returns 0, or the number of the first line that is none, *bad, where it
 * ends. */
int group_read_offsets(struct group_view *view, FILE *file, bool comments, struct str *bad);
/* Of each part of the view: what another view of the group knows to be committed. add: also of
 * those that are only there, which are made. */
void group_take_committed(struct group_view *view, const struct group_view *committed, bool add);
void group_sort(struct group_view *view);

/* Finds leaders, then first and end of every log; what is not found stays -1. */
enum exit_code group_find_ends(struct cli *cli, struct link *link, struct group_view *view);
/* oldest_ms of every part with unread records, by a look at its record; after group_find_ends(). */
void group_find_ages(struct link *link, struct group_view *view);
/* at_time of every part; after group_find_ends(). */
void group_find_times(struct cli *cli, struct link *link, struct group_view *view, int64_t wall_ms);

/* One answer for the whole group, or ERR_OK and part->err of each. offsets[i] is of parts[i], which
 * are sorted; -1 leaves that part alone. */
enum err group_commit(struct cli *cli, struct link *link, struct group_view *view,
                      const int64_t *offsets) MUST_USE;
/* Forgets the offsets of all parts of the view. */
enum err group_forget(struct cli *cli, struct link *link, struct group_view *view) MUST_USE;
/* The group with all its offsets. */
enum err group_delete(struct cli *cli, struct link *link, struct group_view *view) MUST_USE;

/* Says what an error about a group means. doing: "delete group billing". */
enum exit_code group_fail(struct cli *cli, struct link *link, const struct group_view *view,
                          enum err err, const char *doing);

#endif
