#include "controller/cli/offset_plan.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "controller/cli/moment.h"

bool offset_lag(const struct offset_state *state, int64_t *lag)
{
    if (state->committed < 0 || state->end < 0)
        return false;
    *lag = state->end - state->committed;
    return true;
}

int64_t offset_lost(const struct offset_state *state)
{
    return state->committed >= 0 && state->first > state->committed
               ? state->first - state->committed
               : 0;
}

static struct reset_step at(int64_t offset, enum reset_note note)
{
    return (struct reset_step){ .offset = offset, .asked = offset, .note = note };
}

static struct reset_step into_log(int64_t offset, const struct offset_state *state)
{
    struct reset_step step = at(offset, RESET_AS_ASKED);

    if (offset < state->first) {
        step.offset = state->first;
        step.note = RESET_RAISED;
    } else if (offset > state->end) {
        step.offset = state->end;
        step.note = RESET_LOWERED;
    }
    return step;
}

/* Far shifts end at the log's ends rather than beyond the numbers. */
static int64_t add_saturated(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return b < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

struct reset_step reset_plan(enum reset_how how, int64_t argument, const struct offset_state *state)
{
    if (state->first < 0 || state->end < state->first) /* two answers, perhaps of two leaders */
        return at(-1, RESET_UNKNOWN);
    switch (how) {
    case RESET_EARLIEST:
        return at(state->first, RESET_AS_ASKED);
    case RESET_LATEST:
        return at(state->end, RESET_AS_ASKED);
    case RESET_CURRENT: /* as it is, even outside of the log */
        return state->committed >= 0 ? at(state->committed, RESET_AS_ASKED)
                                     : at(state->end, RESET_NO_COMMITTED);
    case RESET_OFFSET:
        return into_log(argument, state);
    case RESET_TIME:
        return state->at_time >= 0 ? at(state->at_time, RESET_AS_ASKED)
                                   : at(state->end, RESET_NONE_LATER);
    case RESET_SHIFT:
        return state->committed >= 0 ? into_log(add_saturated(state->committed, argument), state)
                                     : at(state->end, RESET_NO_COMMITTED);
    }
    assert(!"a way to reset");
    return at(-1, RESET_UNKNOWN);
}

const char *reset_note_text(enum reset_note note)
{
    switch (note) {
    case RESET_AS_ASKED:
        return "";
    case RESET_RAISED:
        return "before the log begins: its first offset";
    case RESET_LOWERED:
        return "behind the log's end: its end";
    case RESET_NONE_LATER:
        return "no record that late: the log's end";
    case RESET_NO_COMMITTED:
        return "nothing committed: the log's end";
    case RESET_UNKNOWN:
        return "left alone: its leader does not answer";
    }
    return "";
}

bool reset_parse(const char *text, int64_t now_ms, enum reset_how *how, int64_t *argument)
{
    *argument = 0;
    if (strcmp(text, "earliest") == 0)
        *how = RESET_EARLIEST;
    else if (strcmp(text, "latest") == 0)
        *how = RESET_LATEST;
    else if (strcmp(text, "current") == 0)
        *how = RESET_CURRENT;
    else if (text[0] == '@' && moment_parse(text + 1, now_ms, argument))
        *how = RESET_TIME;
    else if (str_to_i64(str_of(text), argument) && *argument >= 0)
        *how = RESET_OFFSET;
    else
        return false;
    return true;
}

/* The next field of a line of CSV; names of groups hold no quotes of their own in practice. */
static struct str take_field(struct str *rest)
{
    struct str field;

    if (rest->len > 1 && rest->ptr[0] == '"') {
        const char *close = memchr(rest->ptr + 1, '"', rest->len - 1);

        if (close != NULL) {
            field = (struct str){ .ptr = rest->ptr + 1, .len = (size_t)(close - rest->ptr) - 1 };
            (void)str_split(
                (struct str){ .ptr = close, .len = (size_t)(rest->ptr + rest->len - close) }, ',',
                rest);
            return field;
        }
    }
    field = str_split(*rest, ',', rest);
    return str_trim(field);
}

bool offset_line_parse(struct str text, struct offset_line *out)
{
    struct str fields[4];
    int n = 0, first;
    int64_t partition;
    struct str rest = str_trim(text);

    while (!str_is_null(rest)) {
        if (n == 4)
            return false;
        fields[n++] = take_field(&rest);
    }
    if (n < 3)
        return false;
    first = n - 3;
    *out = (struct offset_line){ .group = n == 4 ? fields[0] : STR_NULL, .topic = fields[first] };
    if (out->topic.len == 0 || !str_to_i64(fields[first + 1], &partition) || partition < 0 ||
        partition > INT32_MAX || !str_to_i64(fields[first + 2], &out->offset) || out->offset < 0)
        return false;
    out->partition = (int32_t)partition;
    return true;
}

bool topic_scope_parse(struct str text, struct str *topic, int32_t *partitions, int32_t *len)
{
    struct str rest;

    *topic = str_split(text, ':', &rest);
    *len = 0;
    while (!str_is_null(rest)) {
        int64_t id;

        if (!str_to_i64(str_trim(str_split(rest, ',', &rest)), &id) || id < 0 || id > INT32_MAX)
            return false;
        if (partitions != NULL)
            partitions[*len] = (int32_t)id;
        (*len)++;
    }
    return topic->len > 0;
}
