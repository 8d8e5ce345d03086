#include "controller/cli/group_judge.h"

enum group_trouble group_judge_part(const struct part_look *before, const struct part_look *after,
                                    bool group_is_stable, bool group_is_empty)
{
    int64_t lag = 0, lag_before = 0;
    bool known = offset_lag(&after->at, &lag), known_before = offset_lag(&before->at, &lag_before);

    if (!after->is_there)
        return TROUBLE_GONE;
    if (!after->has_leader)
        return TROUBLE_NO_LEADER;
    if (offset_lost(&after->at) > 0)
        return TROUBLE_LOST;
    if (known && lag < 0)
        return TROUBLE_BEYOND;
    if (group_is_empty)
        return known && lag > 0 ? TROUBLE_ABANDONED : TROUBLE_NONE;
    if (!group_is_stable)
        return TROUBLE_NONE; /* where partitions go is not decided yet */
    if (!after->has_member)
        return TROUBLE_NO_MEMBER;
    if (!before->has_member || !known || !known_before || lag_before <= 0)
        return TROUBLE_NONE;
    if (after->at.committed == before->at.committed)
        return TROUBLE_STALLED;
    return lag > lag_before ? TROUBLE_GROWING : TROUBLE_NONE;
}

const char *group_trouble_word(enum group_trouble trouble)
{
    static const char *const words[] = { "lost",        "no_leader", "beyond_end", "stalled",
                                         "rebalancing", "growing",   "no_member",  "abandoned",
                                         "idle_member", "gone",      "none" };

    return words[trouble];
}

bool group_trouble_is_grave(enum group_trouble trouble)
{
    return trouble <= TROUBLE_BEYOND;
}
