#include "controller/cli/group_print.h"

#include <inttypes.h>

/* Clients commit every five seconds unless told; a member that is this late does not read. */
#define STILL_MS 6000

struct cell group_state_cell(struct str state)
{
    return cell_hinted(cell_text(state), str_is(state, "Stable") ? HINT_NONE : HINT_DEGRADED);
}

int64_t group_total_lag(const struct group_view *view)
{
    int64_t total = 0, lag;

    for (int32_t i = 0; i < view->parts_len; i++) {
        if (offset_lag(&view->parts[i].at, &lag) && lag > 0)
            total += lag;
    }
    return total;
}

int64_t group_part_age(const struct group_view *view, const struct group_part *part)
{
    if (view->now_ms == 0 || part->oldest_ms < 0)
        return -1;
    return view->now_ms > part->oldest_ms ? view->now_ms - part->oldest_ms : 0; /* clocks differ */
}

int64_t group_oldest(const struct group_view *view)
{
    int64_t oldest = -1;

    for (int32_t i = 0; i < view->parts_len; i++) {
        int64_t age = group_part_age(view, &view->parts[i]);

        if (age > oldest)
            oldest = age;
    }
    return oldest;
}

void group_print_heading(const struct group_view *view, FILE *out)
{
    const struct describe_groups_response_group *group = view->described;

    int64_t oldest = group_oldest(view);

    fprintf(out, "%s  %.*s  %.*s%s%d member%s  coordinator %d  total lag %" PRId64, view->name,
            STR_ARG(group->group_state), STR_ARG(group->protocol_data),
            group->protocol_data.len > 0 ? "  " : "", group->members_len,
            group->members_len == 1 ? "" : "s", view->coordinator, group_total_lag(view));
    if (oldest >= 0)
        fprintf(out, "  oldest unread %.*s", STR_ARG(print_age(view->arena, oldest)));
    fputc('\n', out);
}

void group_print_facts(struct report *report, const struct group_view *view)
{
    const struct describe_groups_response_group *group = view->described;

    report_fact(report, "group", cell_cstr(view->name));
    report_fact(report, "state", cell_text(group->group_state));
    report_fact(report, "protocol_type", cell_text(group->protocol_type));
    report_fact(report, "assignor", cell_text(group->protocol_data));
    report_fact(report, "coordinator", cell_int(view->coordinator));
    report_fact(report, "member_count", cell_int(group->members_len));
    report_fact(report, "total_lag", cell_int(group_total_lag(view)));
    report_fact(report, "oldest_unread_ms", cell_age(group_oldest(view)));
}

struct cell group_assignment_cell(const struct group_view *view,
                                  const struct describe_groups_response_member *member)
{
    const struct consumer_protocol_assignment *has = group_assignment(view, member);
    int32_t n = has != NULL ? has->assigned_partitions_len : 0;
    struct str *texts = arena_zalloc(view->arena, (size_t)n + 1, sizeof *texts);

    for (int32_t t = 0; t < n; t++) {
        texts[t] = has->assigned_partitions[t].topic;
        for (int32_t p = 0; p < has->assigned_partitions[t].partitions_len; p++)
            texts[t] = arena_printf(view->arena, "%.*s%c%d", STR_ARG(texts[t]), p == 0 ? ':' : ',',
                                    has->assigned_partitions[t].partitions[p]);
    }
    return cell_texts(texts, n);
}

void group_print_members(struct report *report, const struct group_view *view)
{
    static const struct column columns[] = {
        { .key = "member", .head = "MEMBER" },
        { .key = "client", .head = "CLIENT" },
        { .key = "host", .head = "HOST" },
        { .key = "instance", .head = "INSTANCE", .wide = true },
        { .key = "partitions", .head = "PARTITIONS", .right = true },
        { .key = "assigned", .head = "ASSIGNED" },
        { .key = NULL },
    };
    struct table *table = report_table(report, "members", columns);

    for (int32_t i = 0; i < view->described->members_len; i++) {
        const struct describe_groups_response_member *member = &view->described->members[i];
        struct cell *row = table_row(table);

        row[0] = cell_text(member->member_id);
        row[1] = cell_text(member->client_id);
        row[2] = cell_text(member->client_host);
        row[3] = cell_text(member->group_instance_id);
        row[4] = cell_int(group_assigned_len(group_assignment(view, member)));
        row[5] = group_assignment_cell(view, member);
    }
    table_sort(table);
}

const char *group_part_note(const struct group_view *view, const struct group_part *part, bool *act)
{
    int64_t lost = offset_lost(&part->at), lag;

    *act = true;
    if (!part->is_there)
        return "there is no such partition any more";
    if (part->leader < 0)
        return "no leader: nobody can read it";
    if (part->at.end < 0)
        return arena_cstr(view->arena, arena_printf(view->arena, "its end is not known: %s",
                                                    err_text(part->err)));
    if (lost > 0)
        return arena_cstr(view->arena,
                          arena_printf(view->arena, "%" PRId64 " were deleted unread", lost));
    if (offset_lag(&part->at, &lag) && lag < 0)
        return "committed behind the log's end";
    *act = false;
    if (view->described->members_len > 0 && part->member == NULL &&
        str_is(view->described->group_state, "Stable"))
        return "no member reads it";
    if (part->at.committed < 0)
        return "nothing committed yet";
    if (part->still_ms >= STILL_MS)
        return arena_cstr(view->arena,
                          arena_printf(view->arena, "not polling: nothing committed for %s%.*s",
                                       part->still_more ? "more than " : "",
                                       STR_ARG(print_age(view->arena, part->still_ms))));
    return "";
}

static struct cell number_or_null(int64_t number)
{
    return number >= 0 ? cell_int(number) : (struct cell){ 0 };
}

void group_print_lag(struct report *report, const struct group_view *view)
{
    static const struct column columns[] = {
        { .key = "topic", .head = "TOPIC" },
        { .key = "partition", .head = "P", .right = true },
        { .key = "first", .head = "FIRST", .right = true, .wide = true },
        { .key = "committed", .head = "COMMITTED", .right = true },
        { .key = "end", .head = "END", .right = true },
        { .key = "lag", .head = "LAG", .right = true },
        { .key = "age_ms", .head = "AGE", .right = true },
        { .key = "client", .head = "CLIENT" },
        { .key = "host", .head = "HOST" },
        { .key = "member", .head = "MEMBER", .wide = true },
        { .key = "note", .head = "NOTE" },
        { .key = NULL },
    };
    struct table *table = report_table(report, "partitions", columns);

    for (int32_t i = 0; i < view->parts_len; i++) {
        const struct group_part *part = &view->parts[i];
        struct cell *row = table_row(table);
        bool act;
        const char *note = group_part_note(view, part, &act);
        int64_t lag;

        row[0] = cell_text(part->topic);
        row[1] = cell_int(part->partition);
        row[2] = number_or_null(part->at.first);
        row[3] = number_or_null(part->at.committed);
        row[4] = number_or_null(part->at.end);
        if (offset_lag(&part->at, &lag))
            row[5] = cell_int(lag);
        row[6] = cell_age(group_part_age(view, part));
        if (part->member != NULL) {
            row[7] = cell_text(part->member->client_id);
            row[8] = cell_text(part->member->client_host);
            row[9] = cell_text(part->member->member_id);
        }
        row[10] = cell_hinted(cell_cstr(note), act ? HINT_ACT : HINT_DEGRADED);
    }
}
