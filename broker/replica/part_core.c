/*
 * The happy path of a leader: APPENDED moves the leo; each follower's fetch (FETCHED) says how far
 * it is; the smallest leo of the maximal ISR becomes the high watermark, and the shell wakes who
 * waits for it. Who lags or has caught up is part_isr's business; it leaves a proposal behind,
 * which stays until a ROLE event with a later epoch ends it.
 *
 * The happy path of a follower: FOLLOWED after each answer of its leader's.
 *
 * What can go wrong: an image that is older than what we hold is refused and reported, never
 * applied; a fetch of an earlier life of a follower is refused.
 */
#include "broker/replica/part_core.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/replica/part_isr.h"
#include "common/base/mem.h"

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void part_core_init(struct part_core *core, int32_t me, int64_t log_start, int64_t leo, int64_t hw,
                    int32_t min_isr, int64_t lag_max_ms)
{
    assert(log_start <= leo);
    *core = (struct part_core){
        .me = me,
        .my_epoch = -1,
        .role = PART_IDLE,
        .leader = PART_NO_LEADER,
        .leader_epoch = -1,
        .partition_epoch = -1,
        .leo = leo,
        .hw = max64(log_start, min64(hw, leo)),
        .log_start = log_start,
        .epoch_start = leo,
        .hw_max = INT64_MAX,
        .leader_hw = -1,
        .min_isr = min_isr,
        .lag_max_ms = lag_max_ms,
    };
}

void part_core_fini(struct part_core *core)
{
    free(core->others);
    free(core->isr);
    free(core->proposal.members);
    core->others = NULL;
    core->isr = NULL;
    core->proposal.members = NULL;
}

static struct part_replica *find_other(const struct part_core *core, int32_t id)
{
    for (int32_t i = 0; i < core->others_len; i++)
        if (core->others[i].id == id)
            return &core->others[i];
    return NULL;
}

const struct part_replica *part_other(const struct part_core *core, int32_t id)
{
    return find_other(core, id);
}

size_t part_list_readers(const struct part_core *core, int64_t offset, int64_t now_ms,
                         struct reader *out, size_t cap)
{
    size_t n = 0;

    for (int32_t i = 0; core->role == PART_LEADER && i < core->others_len && n < cap; i++) {
        const struct part_replica *r = &core->others[i];

        if (part_in_isr(core, r->id) && r->live && r->leo >= offset && r->log_start >= 0 &&
            r->log_start <= offset)
            out[n++] = (struct reader){ .id = r->id,
                                        .leo = r->leo,
                                        .behind_ms = now_ms - r->last_caught_up_ms };
    }
    return n;
}

bool part_in_isr(const struct part_core *core, int32_t id)
{
    for (int32_t i = 0; i < core->isr_len; i++)
        if (core->isr[i] == id)
            return true;
    return false;
}

bool part_in_maximal_isr(const struct part_core *core, int32_t id)
{
    if (part_in_isr(core, id))
        return true;
    if (core->pending != PART_EXPANDING)
        return false;
    for (int32_t i = 0; i < core->proposal.members_len; i++)
        if (core->proposal.members[i].id == id)
            return true;
    return false;
}

int32_t part_maximal_isr_len(const struct part_core *core)
{
    return core->pending == PART_EXPANDING ? core->proposal.members_len : core->isr_len;
}

static int32_t effective_min_isr(const struct part_core *core)
{
    return core->min_isr < core->replicas_len ? core->min_isr : core->replicas_len;
}

/* The high watermark never goes back at a leader, and does not move while fewer are in sync than
 * min.insync.replicas wants (KAFKA-15583): what a consumer was shown must survive. */
static void try_advance_hw(struct part_core *core, int64_t now_ms, struct part_effects *out)
{
    int64_t candidate = min64(core->leo, core->hw_max);

    if (core->role != PART_LEADER || core->isr_len < effective_min_isr(core))
        return;
    for (int32_t i = 0; i < core->others_len; i++) {
        const struct part_replica *r = &core->others[i];
        bool counts =
            part_in_maximal_isr(core, r->id) || (r->live && part_is_caught_up(core, r, now_ms));

        if (counts)
            candidate =
                min64(candidate, r->leo); /* unknown is -1: no progress before its first fetch */
    }
    if (candidate > core->hw) {
        core->hw = candidate;
        out->hw_moved = true;
    }
    assert(core->hw <= core->leo);
}

/* Knowledge of a follower's earlier life says nothing about this one. */
static void forget_follower(struct part_replica *r)
{
    r->leo = -1;
    r->log_start = -1;
    r->last_fetch_ms = 0;
    r->last_fetch_leo = -1;
    r->last_caught_up_ms = 0;
    r->caught_up_at_all = false;
    r->on_trust = false;
}

/* A member of the ISR that has not fetched from us yet has as long to do so as one that has all. */
static void trust_member(const struct part_core *core, struct part_replica *r, int64_t now_ms)
{
    bool member = part_in_isr(core, r->id);

    r->on_trust = member;
    r->caught_up_at_all = member;
    r->last_caught_up_ms = member ? now_ms : 0;
}

/* It registered anew, perhaps in the same process. */
static void begin_anew(const struct part_core *core, struct part_replica *r, int64_t now_ms)
{
    forget_follower(r);
    trust_member(core, r, now_ms);
}

static void note_live(const struct part_core *core, struct part_replica *r,
                      const struct part_live *live, int64_t now_ms)
{
    if (live->broker_epoch > r->fetch_epoch && r->fetch_epoch >= 0 && live->live) {
        begin_anew(core, r, now_ms);
        r->fetch_epoch = -1;
    }
    r->live = live->live;
    r->live_epoch = live->broker_epoch;
}

/* Takes over assignment and liveness, keeping what is known of replicas that stay. */
static void set_replicas(struct part_core *core, const struct part_event *ev, int64_t now_ms)
{
    struct part_replica *others = xcalloc((size_t)ev->role.replicas_len + 1, sizeof *others);
    int32_t len = 0;

    free(core->isr);
    core->isr = xmemdup(ev->role.isr, (size_t)ev->role.isr_len * sizeof *core->isr);
    core->isr_len = ev->role.isr_len;

    for (int32_t i = 0; i < ev->role.replicas_len; i++) {
        int32_t id = ev->role.replicas[i];
        const struct part_replica *known = find_other(core, id);

        if (id == core->me)
            continue;
        if (known != NULL) {
            others[len] = *known;
        } else {
            others[len] = (struct part_replica){ .id = id, .fetch_epoch = -1 };
            forget_follower(&others[len]);
        }
        note_live(core, &others[len], &ev->role.live[i], now_ms);
        if (others[len].on_trust && !part_in_isr(core, id))
            trust_member(core, &others[len], now_ms);
        len++;
    }
    free(core->others);
    core->others = others;
    core->others_len = len;
    core->replicas_len = ev->role.replicas_len;
}

static void lead(struct part_core *core, bool led_before, int64_t unsynced, int64_t now_ms,
                 struct part_effects *out)
{
    assert(unsynced >= 0 && unsynced <= core->leo);
    core->role = PART_LEADER;
    core->epoch_start = core->leo;
    core->hw_max = unsynced > 0 ? core->leo - unsynced : INT64_MAX;
    core->sync_end = core->leo;
    out->sync_tail = unsynced > 0;
    if (!led_before)
        core->led_since = core->leader_epoch;
    out->assign_epoch = true;
    for (int32_t i = 0; i < core->others_len; i++) {
        struct part_replica *r = &core->others[i];

        if (!led_before)
            forget_follower(r);
        trust_member(core, r, now_ms);
        if (r->on_trust)
            r->last_fetch_ms = now_ms;
    }
}

static bool is_assigned(const struct part_event *ev, int32_t id)
{
    for (int32_t i = 0; i < ev->role.replicas_len; i++)
        if (ev->role.replicas[i] == id)
            return true;
    return false;
}

static bool is_stale(const struct part_core *core, const struct part_event *ev)
{
    if (ev->role.leader_epoch != core->leader_epoch)
        return ev->role.leader_epoch < core->leader_epoch;
    if (ev->role.partition_epoch < core->partition_epoch)
        return true;
    /* One leader epoch has one leader: anything else is a state that must not be acted on. */
    return ev->role.leader != core->leader;
}

static void on_role(struct part_core *core, const struct part_event *ev, int64_t now_ms,
                    struct part_effects *out)
{
    enum part_role before = core->role;
    /* Whoever led in an epoch between may have cut what we have from others, and appended its own.
     */
    bool led_before = before == PART_LEADER && ev->role.leader_epoch - core->leader_epoch <= 1;
    bool new_epoch = ev->role.leader_epoch > core->leader_epoch;
    bool moved = new_epoch || ev->role.partition_epoch > core->partition_epoch;

    if (core->leader_epoch >= 0 && is_stale(core, ev)) {
        out->refused = ERR_STALE_CONTROLLER_EPOCH;
        return;
    }
    core->my_epoch = ev->role.my_epoch;
    set_replicas(core, ev, now_ms);
    core->recovering = ev->role.recovering;
    core->leader = ev->role.leader;
    core->leader_epoch = ev->role.leader_epoch;
    core->partition_epoch = ev->role.partition_epoch;
    if (moved) {
        core->pending = PART_SETTLED;
        out->isr_changed = true;
    }

    if (!is_assigned(ev, core->me) || core->leader == PART_NO_LEADER)
        core->role = PART_IDLE;
    else if (core->leader != core->me)
        core->role = PART_FOLLOWER;
    else if (before != PART_LEADER || new_epoch)
        lead(core, led_before, ev->role.unsynced, now_ms, out);

    out->role_changed = new_epoch || core->role != before;
    out->lost_leadership = before == PART_LEADER && core->role != PART_LEADER;
    out->start_fetching = core->role == PART_FOLLOWER && (new_epoch || before != PART_FOLLOWER);
    out->stop_fetching = before == PART_FOLLOWER && core->role != PART_FOLLOWER;
    try_advance_hw(core, now_ms, out);
}

static void on_fetched(struct part_core *core, const struct part_event *ev, int64_t now_ms,
                       struct part_effects *out)
{
    struct part_replica *r = find_other(core, ev->fetched.replica);
    int64_t offset = ev->fetched.offset;

    out->refused = part_check_follower(core, ev->fetched.replica, ev->fetched.broker_epoch, true);
    if (out->refused != ERR_OK)
        return;
    if (ev->fetched.broker_epoch > r->fetch_epoch) {
        bool lived_before = r->fetch_epoch >= 0;

        r->fetch_epoch = ev->fetched.broker_epoch;
        if (lived_before)
            begin_anew(core, r, now_ms);
    }
    bool has_all = offset >= ev->fetched.leader_leo;
    if (has_all || (r->last_fetch_leo >= 0 && offset >= r->last_fetch_leo)) {
        r->caught_up_at_all = true;
        r->on_trust = false;
        r->last_caught_up_ms = max64(r->last_caught_up_ms, has_all ? now_ms : r->last_fetch_ms);
    }
    r->leo = min64(offset, core->leo);
    if (ev->fetched.log_start != r->log_start) {
        r->log_start = ev->fetched.log_start;
        out->log_start_moved = true;
    }
    r->last_fetch_leo = max64(r->last_fetch_leo, ev->fetched.leader_leo);
    r->last_fetch_ms = now_ms;
    part_isr_expand(core, r, now_ms, out);
    try_advance_hw(core, now_ms, out);
}

static void on_followed(struct part_core *core, const struct part_event *ev,
                        struct part_effects *out)
{
    assert(ev->followed.leo >= core->log_start);
    core->leo = ev->followed.leo;
    core->leader_hw = ev->followed.leader_hw;
    /* What was committed stays so: a new leader that does not know yet how far it had got takes
     * nothing back. Only a cut log does. */
    int64_t hw = min64(core->leader_hw, core->leo);
    if (hw > core->hw) {
        core->hw = hw;
        out->hw_moved = true;
    }
}

static void on_truncated(struct part_core *core, const struct part_event *ev,
                         struct part_effects *out)
{
    core->leo = ev->truncated.leo;
    core->log_start = ev->truncated.log_start;
    int64_t hw = max64(core->log_start, min64(core->hw, core->leo));
    if (hw != core->hw) {
        core->hw = hw;
        out->hw_moved = true;
    }
}

static void on_log_start(struct part_core *core, const struct part_event *ev,
                         struct part_effects *out)
{
    core->log_start = max64(core->log_start, ev->log_start.log_start);
    assert(core->log_start <= core->leo);
    core->hw = max64(core->hw, core->log_start);
    out->log_start_moved = true;
}

static void on_appended(struct part_core *core, const struct part_event *ev, int64_t now_ms,
                        struct part_effects *out)
{
    assert(core->role == PART_LEADER && ev->appended.leo >= core->leo);
    if (ev->appended.flush_due) {
        core->hw_max = min64(core->hw_max, core->leo);
        core->sync_end = ev->appended.leo;
    }
    core->leo = ev->appended.leo;
    try_advance_hw(core, now_ms, out);
}

/* One that was asked for in an earlier epoch may have been of records that were cut since. */
static void on_synced(struct part_core *core, const struct part_event *ev, int64_t now_ms,
                      struct part_effects *out)
{
    if (core->role != PART_LEADER || ev->synced.leader_epoch != core->leader_epoch)
        return;
    core->hw_max =
        ev->synced.upto >= core->sync_end ? INT64_MAX : max64(core->hw_max, ev->synced.upto);
    try_advance_hw(core, now_ms, out);
}

static void on_live(struct part_core *core, const struct part_event *ev, int64_t now_ms,
                    struct part_effects *out)
{
    struct part_replica *r = find_other(core, ev->live.id);

    /* registered anew in mid-stream: proposals name us as we are now */
    if (ev->live.id == core->me && ev->live.broker_epoch >= 0)
        core->my_epoch = ev->live.broker_epoch;
    if (r == NULL)
        return;
    note_live(core, r, &ev->live, now_ms);
    try_advance_hw(core, now_ms, out); /* a dead outsider no longer counts */
}

void part_step(struct part_core *core, const struct part_event *ev, int64_t now_ms,
               struct part_effects *out)
{
    memset(out, 0, sizeof *out);
    switch (ev->kind) {
    case PART_EV_ROLE:
        on_role(core, ev, now_ms, out);
        break;
    case PART_EV_LIVE:
        on_live(core, ev, now_ms, out);
        break;
    case PART_EV_APPENDED:
        on_appended(core, ev, now_ms, out);
        break;
    case PART_EV_FETCHED:
        on_fetched(core, ev, now_ms, out);
        break;
    case PART_EV_FOLLOWED:
        on_followed(core, ev, out);
        break;
    case PART_EV_TRUNCATED:
        on_truncated(core, ev, out);
        break;
    case PART_EV_LOG_START:
        on_log_start(core, ev, out);
        break;
    case PART_EV_SYNCED:
        on_synced(core, ev, now_ms, out);
        break;
    case PART_EV_DECIDED:
        part_isr_decided(core, ev, now_ms);
        try_advance_hw(core, now_ms, out);
        break;
    case PART_EV_CONF:
        core->min_isr = ev->conf.min_isr;
        core->lag_max_ms = ev->conf.lag_max_ms;
        try_advance_hw(core, now_ms, out);
        break;
    case PART_EV_TICK:
        part_isr_tick(core, now_ms, out);
        try_advance_hw(core, now_ms, out);
        break;
    case PART_EV_RESEND:
        part_isr_resend(core, now_ms, out);
        break;
    case PART_EV_STOP:
        core->stopping = true;
        break;
    }
    assert(core->hw >= core->log_start && core->hw <= core->leo);
}

enum err part_check_epoch(const struct part_core *core, int32_t current_leader_epoch,
                          bool leader_only)
{
    if (current_leader_epoch >= 0 && current_leader_epoch < core->leader_epoch)
        return ERR_FENCED_LEADER_EPOCH;
    if (current_leader_epoch > core->leader_epoch)
        return ERR_UNKNOWN_LEADER_EPOCH;
    if (core->role != PART_LEADER && (leader_only || core->role == PART_IDLE))
        return ERR_NOT_LEADER_OR_FOLLOWER;
    return ERR_OK;
}

enum err part_check_follower(const struct part_core *core, int32_t replica, int64_t broker_epoch,
                             bool sent_epoch)
{
    const struct part_replica *r = find_other(core, replica);

    if (core->role != PART_LEADER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    if (r == NULL) /* it may know of an assignment that has not reached us yet (KAFKA-13837) */
        return sent_epoch ? ERR_UNKNOWN_LEADER_EPOCH : ERR_NOT_LEADER_OR_FOLLOWER;
    if (broker_epoch >= 0 && (broker_epoch < r->fetch_epoch || broker_epoch < r->live_epoch))
        return ERR_STALE_BROKER_EPOCH;
    return ERR_OK;
}

enum err part_check_produce(const struct part_core *core, int16_t acks)
{
    if (core->role != PART_LEADER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    if (acks == -1 && core->isr_len < effective_min_isr(core))
        return ERR_NOT_ENOUGH_REPLICAS;
    return ERR_OK;
}

enum part_ack part_acked(const struct part_core *core, int64_t end, int32_t leader_epoch,
                         enum err *err)
{
    *err = ERR_OK;
    if (core->role != PART_LEADER || leader_epoch < core->led_since) {
        *err = ERR_NOT_LEADER_OR_FOLLOWER;
        return PART_ACK_FAILED;
    }
    if (core->hw < end)
        return PART_ACK_WAIT;
    if (part_maximal_isr_len(core) < effective_min_isr(core)) {
        *err = ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
        return PART_ACK_FAILED;
    }
    return PART_ACK_DONE;
}

int64_t part_low_watermark(const struct part_core *core)
{
    int64_t low = core->log_start;

    for (int32_t i = 0; i < core->others_len; i++)
        if (core->others[i].live)
            low = min64(low, core->others[i].log_start);
    return low;
}

bool part_is_restless(const struct part_core *core)
{
    if (core->role != PART_LEADER)
        return false;
    if (core->pending != PART_SETTLED)
        return true;
    for (int32_t i = 0; i < core->others_len; i++) {
        const struct part_replica *r = &core->others[i];

        if (r->leo != core->leo && (r->live || part_in_isr(core, r->id)))
            return true;
    }
    return false;
}

bool part_hw_is_known(const struct part_core *core)
{
    return core->role != PART_LEADER || core->hw >= core->epoch_start;
}
