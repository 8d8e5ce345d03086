/*
 * Kafka 3.9's ConsumerGroupCommand prints members with most partitions first, of each its
 * partitions, then those with offsets that nobody reads; within each the order is a HashMap's.
 */
#include "controller/cli/kafka_groups.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/cli/java_text.h"

/* The numbers of count parts, given by number, in a HashMap's order. */
static const size_t *order_of(const struct group_view *view, const size_t *numbers, size_t count)
{
    int32_t *hashes = arena_alloc(view->arena, (count + 1) * sizeof *hashes);
    size_t *order = arena_alloc(view->arena, (count + 1) * sizeof *order);

    for (size_t i = 0; i < count; i++) {
        const struct group_part *part = &view->parts[numbers[i]];

        hashes[i] = java_tp_hash(part->topic, part->partition);
    }
    java_hash_order(hashes, count, order);
    for (size_t i = 0; i < count; i++)
        order[i] = numbers[order[i]];
    return order;
}

const size_t *kafka_part_order(const struct group_view *view)
{
    size_t count = (size_t)view->parts_len;
    size_t *numbers = arena_alloc(view->arena, (count + 1) * sizeof *numbers);

    for (size_t i = 0; i < count; i++)
        numbers[i] = i;
    return order_of(view, numbers, count);
}

static int longer(int least, size_t len)
{
    return (int)len > least ? (int)len : least;
}

/* ---- offsets --------------------------------------------------------------------------------- */

struct widths {
    int group, topic, member, host;
};

static const char *number_text(const struct group_view *view, bool known, int64_t number)
{
    return known ? arena_cstr(view->arena, arena_printf(view->arena, "%" PRId64, number)) : "-";
}

static void print_part(const struct group_view *view, const struct group_part *part,
                       const struct widths *widths, FILE *out)
{
    const struct describe_groups_response_member *member = part->member;
    int64_t lag = 0;
    bool has_lag = offset_lag(&part->at, &lag);

    fprintf(out, "\n%-*s %-*.*s %-10d %-15s %-15s %-15s %-*.*s %-*.*s %.*s", widths->group,
            view->name, widths->topic, STR_ARG(part->topic), part->partition,
            number_text(view, part->at.committed >= 0, part->at.committed),
            number_text(view, part->at.end >= 0, part->at.end), number_text(view, has_lag, lag),
            widths->member, STR_ARG(member != NULL ? member->member_id : STR("-")), widths->host,
            STR_ARG(member != NULL ? member->client_host : STR("-")),
            STR_ARG(member != NULL ? member->client_id : STR("-")));
}

static void print_parts_of(const struct group_view *view,
                           const struct describe_groups_response_member *member,
                           const struct widths *widths, FILE *out)
{
    size_t *numbers = arena_alloc(view->arena, ((size_t)view->parts_len + 1) * sizeof *numbers);
    const size_t *order;
    size_t count = 0;

    for (int32_t i = 0; i < view->parts_len; i++) {
        if (view->parts[i].member == member)
            numbers[count++] = (size_t)i;
    }
    order = order_of(view, numbers, count);
    for (size_t i = 0; i < count; i++)
        print_part(view, &view->parts[order[i]], widths, out);
}

struct ranked {
    const struct describe_groups_response_member *member;
    int32_t parts, number;
};

static int by_parts(const void *a, const void *b)
{
    const struct ranked *left = a, *right = b;

    if (left->parts != right->parts)
        return (left->parts < right->parts) - (left->parts > right->parts);
    return (left->number > right->number) - (left->number < right->number);
}

void kafka_print_offsets(const struct group_view *view, FILE *out)
{
    int32_t n = view->described->members_len;
    struct ranked *ranked = arena_alloc(view->arena, ((size_t)n + 1) * sizeof *ranked);
    struct widths widths = { longer(15, strlen(view->name)), 15, 15, 15 };

    for (int32_t i = 0; i < view->parts_len; i++) {
        const struct group_part *part = &view->parts[i];

        widths.topic = longer(widths.topic, part->topic.len);
        if (part->member != NULL) {
            widths.member = longer(widths.member, part->member->member_id.len);
            widths.host = longer(widths.host, part->member->client_host.len);
        }
    }
    for (int32_t i = 0; i < n; i++) {
        ranked[i].member = &view->described->members[i];
        ranked[i].parts = group_assigned_len(group_assignment(view, ranked[i].member));
        ranked[i].number = i;
    }
    qsort(ranked, (size_t)n, sizeof *ranked, by_parts);
    fprintf(out, "\n%-*s %-*s %-10s %-15s %-15s %-15s %-*s %-*s %s", widths.group, "GROUP",
            widths.topic, "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG",
            widths.member, "CONSUMER-ID", widths.host, "HOST", "CLIENT-ID");
    for (int32_t i = 0; i < n; i++)
        print_parts_of(view, ranked[i].member, &widths, out);
    print_parts_of(view, NULL, &widths, out);
}

/* ---- members --------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The partitions of one topic, sorted as texts as Kafka's are: 1, 10, 2. */
static const char *partitions_text(struct arena *arena, const int32_t *partitions, int32_t len)
{
    const char **texts = arena_alloc(arena, ((size_t)len + 1) * sizeof *texts);
    struct str all = STR("(");

    for (int32_t i = 0; i < len; i++)
        texts[i] = arena_cstr(arena, arena_printf(arena, "%d", partitions[i]));
    qsort(texts, (size_t)len, sizeof *texts, by_text);
    for (int32_t i = 0; i < len; i++)
        all = arena_printf(arena, "%.*s%s%s", STR_ARG(all), i > 0 ? "," : "", texts[i]);
    return arena_cstr(arena, arena_printf(arena, "%.*s)", STR_ARG(all)));
}

const char *kafka_assignment_text(const struct group_view *view,
                                  const struct describe_groups_response_member *member)
{
    const struct consumer_protocol_assignment *has = group_assignment(view, member);
    int32_t n = has != NULL ? has->assigned_partitions_len : 0;
    const char **topics = arena_alloc(view->arena, ((size_t)n + 1) * sizeof *topics);
    struct str all = STR_EMPTY;

    if (n == 0)
        return "-";
    for (int32_t i = 0; i < n; i++)
        topics[i] = partitions_text(view->arena, has->assigned_partitions[i].partitions,
                                    has->assigned_partitions[i].partitions_len);
    qsort(topics, (size_t)n, sizeof *topics, by_text);
    for (int32_t i = 0; i < n; i++)
        all = arena_printf(view->arena, "%.*s%s%s", STR_ARG(all), i > 0 ? ", " : "", topics[i]);
    return arena_cstr(view->arena, all);
}

void kafka_print_members(const struct group_view *view, bool verbose, FILE *out)
{
    const struct describe_groups_response_group *group = view->described;
    int group_len = longer(15, strlen(view->name)), member_len = 15, instance_len = 17,
        host_len = 15, client_len = 15;
    bool is_static = false;

    for (int32_t i = 0; i < group->members_len; i++) {
        const struct describe_groups_response_member *member = &group->members[i];

        member_len = longer(member_len, member->member_id.len);
        instance_len = longer(instance_len, member->group_instance_id.len);
        host_len = longer(host_len, member->client_host.len);
        client_len = longer(client_len, member->client_id.len);
        is_static = is_static || member->group_instance_id.len > 0;
    }
    if (group->members_len == 0)
        group_len = 15; /* nothing was measured */
    fprintf(out, "\n%-*s %-*s ", group_len, "GROUP", member_len, "CONSUMER-ID");
    if (is_static)
        fprintf(out, "%-*s ", instance_len, "GROUP-INSTANCE-ID");
    fprintf(out, "%-*s %-*s %-15s %s\n", host_len, "HOST", client_len, "CLIENT-ID", "#PARTITIONS",
            verbose ? "ASSIGNMENT" : "");
    for (int32_t i = 0; i < group->members_len; i++) {
        const struct describe_groups_response_member *member = &group->members[i];

        fprintf(out, "%-*s %-*.*s ", group_len, view->name, member_len, STR_ARG(member->member_id));
        if (is_static)
            fprintf(out, "%-*.*s ", instance_len, STR_ARG(member->group_instance_id));
        fprintf(out, "%-*.*s %-*.*s %-15d %s\n", host_len, STR_ARG(member->client_host), client_len,
                STR_ARG(member->client_id), group_assigned_len(group_assignment(view, member)),
                verbose ? kafka_assignment_text(view, member) : "");
    }
}

void kafka_print_state(const struct group_view *view, const char *coordinator, FILE *out)
{
    const struct describe_groups_response_group *group = view->described;
    int width = longer(25, strlen(coordinator));

    fprintf(out, "\n%-*s %-*s %-20s %-15s %s", width, "GROUP", width, "COORDINATOR (ID)",
            "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS");
    fprintf(out, "\n%-*s %-*s %-20.*s %-15.*s %d\n", width, view->name, width, coordinator,
            STR_ARG(group->protocol_data), STR_ARG(group->group_state), group->members_len);
}
