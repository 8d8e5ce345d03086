/*
 * The coordinator of one group, as broker/group/groups.c has it: a request goes to the core, what
 * the core wants stored is appended to the partition's log and reported when the high watermark has
 * passed it, a commit is answered then. Who becomes leader reads all of its log into the group;
 * who is leader no more forgets it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/group/group_record.h"
#include "broker/group/group_replay.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "common/wire/record.h"
#include "tests/sim/sim.h"

#define STORE_MS 3000
#define LOOK_US  100000

static const struct group_conf conf = { .session_min_ms = 1000,
                                        .session_max_ms = 60000,
                                        .initial_delay_ms = 200,
                                        .size_max = 100,
                                        .metadata_max = 4096 };

struct waits { /* for the high watermark */
    struct waits *next;
    int64_t at, until_ms;
    int32_t leader_epoch;
    uint64_t store_seq;    /* 0: a commit */
    struct crowd_who *who; /* of a commit */
    struct offset_item item;
};

struct coord {
    struct group *group; /* NULL: none */
    int gen;
    uint64_t number;
    struct waits *waits;
};

static struct replica *rep_of(struct bro *b)
{
    return &b->reps[CROWD_PART];
}

static bool leads(struct bro *b)
{
    return bro_serves(b, CROWD_PART) && rep_of(b)->core.role == PART_LEADER;
}

/* ---- answers ---- */

static void answer(struct world *w, struct crowd_answer *from)
{
    struct event *ev = world_at(w, world_delay_us(w), NODE_WORLD, crowd_on_answer);

    ev->ptr = xmemdup(from, sizeof *from);
    ev->drop = free;
}

/* Ends who. */
static void answer_simply(struct world *w, struct crowd_who *who, enum crowd_ask ask, enum err err)
{
    struct crowd_answer to = { .who = *who, .ask = ask, .err = err, .generation = -1 };

    answer(w, &to);
    free(who);
}

static void answer_fully(struct world *w, struct coord *coord, const struct group_answer *from)
{
    struct crowd_who *who = from->who;
    struct crowd_answer to = { .who = *who,
                               .ask = from->is_sync ? ASK_SYNC : ASK_JOIN,
                               .err = from->err,
                               .generation = from->generation,
                               .gen = coord->gen };

    free(who);
    snprintf(to.id, sizeof to.id, "%.*s", STR_ARG(from->member));
    for (size_t i = 0; i < from->assignment.len; i++)
        to.owned |= 1u << (from->assignment.ptr[i] - '0');
    to.leads = from->with_members;
    for (size_t i = 0; from->with_members && i < group_size(coord->group) && i < CROWD_SHOWN; i++) {
        struct group_member_info info;

        group_member_at(coord->group, i, &info);
        snprintf(to.members[to.n_members++], CROWD_ID, "%.*s", STR_ARG(info.id));
    }
    answer(w, &to);
}

/* ---- storing ---- */

static void step(struct world *w, struct bro *b, struct group_event *ev);

/* False when it cannot be appended; else *at is its offset. */
static bool append(struct world *w, struct bro *b, struct str key, struct str value, int part,
                   int64_t committed, int64_t *at)
{
    struct crowd *crowd = &w->crowd;
    struct disk_log *log = &b->logs[CROWD_PART];
    struct batch_conf how = BATCH_CONF_PLAIN;
    struct batch_builder builder;
    struct paper *paper;

    if (!leads(b) || b->full || part_check_produce(&rep_of(b)->core, -1) != ERR_OK)
        return false;
    *at = how.base_offset = log->leo;
    array_reserve(&crowd->papers, &crowd->cap_papers, crowd->n_papers, sizeof *crowd->papers);
    paper = &crowd->papers[crowd->n_papers++];
    *paper = (struct paper){ .value = w->value++, .part = part, .committed = committed };
    batch_builder_init(&builder, &how);
    batch_builder_add(&builder, 1, key, value, NULL, 0);
    if (batch_builder_finish(&builder, -1, &paper->batch, &paper->size) != ERR_OK)
        abort();
    paper->batch = xmemdup(paper->batch, paper->size);
    batch_builder_fini(&builder);
    disk_append(
        log, (struct oracle_rec){ .value = paper->value, .epoch = rep_of(b)->core.leader_epoch });
    bro_step(w, b, CROWD_PART,
             &(struct part_event){ .kind = PART_EV_APPENDED, .appended = { .leo = log->leo } });
    repl_wake_fetches(w, b);
    return true;
}

static struct waits *wait_for(struct world *w, struct bro *b, int64_t at)
{
    struct waits *waits = xcalloc(1, sizeof *waits);

    waits->at = at;
    waits->until_ms = node_ms(w, b->node) + STORE_MS;
    waits->leader_epoch = rep_of(b)->core.leader_epoch;
    waits->next = b->coord->waits;
    b->coord->waits = waits;
    world_at(w, 0, b->node, repl_run_wake);
    return waits;
}

static void store(struct world *w, struct bro *b, uint64_t seq)
{
    struct coord *coord = b->coord;
    struct arena arena;
    struct group_event ev = { .kind = GROUP_EV_STORED,
                              .stored = { .seq = seq, .err = ERR_COORDINATOR_NOT_AVAILABLE } };
    bool good;
    int64_t at;

    arena_init(&arena, SIZE_MAX);
    good = append(w, b, group_record_write_group_key(&arena, STR("g")),
                  group_record_write_group(&arena, coord->group), -1, 0, &at);
    arena_fini(&arena);
    if (good && w->conf.mutation == MUTATION_SYNC_EARLY)
        ev.stored.err = ERR_OK;
    if (!good || w->conf.mutation == MUTATION_SYNC_EARLY)
        step(w, b, &ev);
    else
        wait_for(w, b, at)->store_seq = seq;
}

static void step(struct world *w, struct bro *b, struct group_event *ev)
{
    struct coord *coord = b->coord;
    struct group_effects out;
    bool stores;
    uint64_t seq;

    ev->wall_ms = world_ms(w);
    group_effects_init(&out);
    group_step(coord->group, ev, node_ms(w, b->node), &out);
    for (size_t i = 0; i < out.answers_len; i++)
        answer_fully(w, coord, &out.answers[i]);
    stores = out.store;
    seq = out.store_seq;
    group_effects_fini(&out);
    if (stores && ev->kind != GROUP_EV_CLOSE)
        store(w, b, seq);
}

/* What it waited for is there, or will not be. */
static void settle(struct world *w, struct bro *b, struct waits *waits, enum err err)
{
    struct coord *coord = b->coord;
    const struct paper *paper;

    if (waits->store_seq != 0) {
        struct group_event ev = { .kind = GROUP_EV_STORED,
                                  .stored = { .seq = waits->store_seq,
                                              .err = err == ERR_OK ? ERR_OK
                                                                   : ERR_REBALANCE_IN_PROGRESS } };

        step(w, b, &ev);
    } else {
        offsets_end(coord->group, &waits->item, 1, err, waits->at);
        paper = NULL;
        for (size_t i = w->crowd.n_papers; i > 0 && paper == NULL; i--)
            if (w->crowd.papers[i - 1].committed == waits->item.value.offset &&
                w->crowd.papers[i - 1].part >= 0)
                paper = &w->crowd.papers[i - 1];
        if (err == ERR_OK && paper != NULL) {
            promise_acked(w, b, CROWD_PART, waits->at, paper->value);
            w->crowd.n_commits++;
        }
        answer_simply(w, waits->who, ASK_COMMIT, err);
    }
    free(waits);
}

static struct waits *take_next(struct world *w, struct bro *b, enum err *err)
{
    for (struct waits **at = &b->coord->waits; *at != NULL; at = &(*at)->next) {
        struct waits *waits = *at;
        enum part_ack ack = PART_ACK_FAILED;

        if (leads(b))
            ack = part_acked(&rep_of(b)->core, waits->at + 1, waits->leader_epoch, err);
        if (w->conf.mutation == MUTATION_COMMIT_EARLY && waits->store_seq == 0)
            ack = PART_ACK_DONE;
        if (ack == PART_ACK_WAIT && node_ms(w, b->node) < waits->until_ms)
            continue;
        *err = ack == PART_ACK_DONE ? ERR_OK : ERR_COORDINATOR_NOT_AVAILABLE;
        *at = waits->next;
        return waits;
    }
    return NULL;
}

void coord_wake(struct world *w, struct bro *b)
{
    struct waits *waits;
    enum err err;

    while (b->coord != NULL && b->coord->group != NULL && (waits = take_next(w, b, &err)) != NULL)
        settle(w, b, waits, err);
}

/* ---- becoming and ceasing ---- */

static const struct paper *paper_of(const struct world *w, int64_t value)
{
    size_t low = 0, high = w->crowd.n_papers;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (w->crowd.papers[mid].value < value)
            low = mid + 1;
        else
            high = mid;
    }
    return low < w->crowd.n_papers && w->crowd.papers[low].value == value ? &w->crowd.papers[low]
                                                                          : NULL;
}

/* What it shows is the last commit in its log. */
static void check_offsets(struct world *w, struct bro *b, int64_t end)
{
    const struct disk_log *log = &b->logs[CROWD_PART];
    int64_t last[CROWD_PARTS], shown;

    for (int q = 0; q < CROWD_PARTS; q++)
        last[q] = -1;
    for (int64_t i = 0; i < end; i++) {
        const struct paper *paper = paper_of(w, log->recs[i].value);

        if (paper != NULL && paper->part >= 0)
            last[paper->part] = paper->committed;
    }
    for (int q = 0; q < CROWD_PARTS; q++) {
        struct offset_value value;
        bool unstable;

        shown = -1;
        if (b->coord->group != NULL && offsets_get(b->coord->group, STR("t"), q, &value, &unstable))
            shown = value.offset;
        if (shown != last[q])
            world_fail(w, "8: %s has read that %d is committed to %lld, its log says %lld",
                       node_name(b->node), q, (long long)shown, (long long)last[q]);
    }
}

static void replay(struct world *w, struct bro *b)
{
    const struct disk_log *log = &b->logs[CROWD_PART];
    int64_t end = w->conf.mutation == MUTATION_LOAD_SHORT ? rep_of(b)->core.hw : log->leo;
    struct group_replay replay;
    struct group_table table;
    struct group_slot *slot;
    size_t used, offsets;

    group_replay_init(&replay, &conf, world_ms(w));
    for (int64_t i = 0; i < end; i++) {
        const struct paper *paper = paper_of(w, log->recs[i].value);

        if (paper != NULL &&
            group_replay_bytes(&replay, paper->batch, paper->size, &used) != ERR_OK)
            world_fail(w, "8: a record of the group cannot be read");
    }
    if (replay.skipped > 0)
        world_fail(w, "8: a record of the group is not known to its coordinator");
    group_replay_end(&replay, node_ms(w, b->node), &table, &offsets);
    slot = group_table_find(&table, STR("g"));
    if (slot != NULL) {
        b->coord->group = slot->group;
        slot->group = group_new(&conf, STR("other"), 0); /* the table frees that one */
    }
    group_table_fini(&table);
    group_replay_fini(&replay);
    check_offsets(w, b, log->leo);
}

static void run_look(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];

    if (b->coord == NULL || b->coord->number != (uint64_t)ev->a)
        return;
    for (int i = 0; b->coord->group != NULL && !w->failed &&
                    group_wake_ms(b->coord->group) <= node_ms(w, b->node);
         i++) {
        struct group_event tick = { .kind = GROUP_EV_TICK };

        step(w, b, &tick);
        if (i > 1000)
            world_fail(w, "8: the group never rests");
    }
    coord_wake(w, b);
    world_at(w, LOOK_US, b->node, run_look)->a = ev->a;
}

static void run_open(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];

    if (b->coord != NULL || !leads(b) || rep_of(b)->core.leader_epoch != (int32_t)ev->a)
        return;
    if (!part_hw_is_known(&rep_of(b)->core) && w->conf.mutation != MUTATION_LOAD_SHORT) {
        world_at(w, LOOK_US, b->node, run_open)->a = ev->a;
        return;
    }
    b->coord = xcalloc(1, sizeof *b->coord);
    b->coord->gen = rep_of(b)->gen;
    b->coord->number = ++w->ids;
    replay(w, b);
    TRACE(w, "%s is the coordinator", node_name(b->node));
    world_at(w, 0, b->node, run_look)->a = (int64_t)b->coord->number;
}

void coord_on_role(struct world *w, struct bro *b)
{
    if (w->crowd.n == 0)
        return;
    if (!leads(b))
        coord_close(w, b, true);
    else if (b->coord == NULL)
        world_at(w, world_between(w, 0, 5000), b->node, run_open)->a = rep_of(b)->core.leader_epoch;
}

void coord_close(struct world *w, struct bro *b, bool tell)
{
    struct coord *coord = b->coord;
    struct group_effects out;
    struct waits *next;

    if (coord == NULL)
        return;
    for (struct waits *waits = coord->waits; waits != NULL; waits = next) {
        next = waits->next;
        if (waits->store_seq == 0 && tell)
            answer_simply(w, waits->who, ASK_COMMIT, ERR_NOT_COORDINATOR);
        else
            free(waits->who);
        free(waits);
    }
    if (coord->group != NULL) {
        struct group_event ev = { .kind = GROUP_EV_CLOSE, .wall_ms = world_ms(w) };

        group_effects_init(&out);
        group_step(coord->group, &ev, node_ms(w, b->node), &out);
        for (size_t i = 0; i < out.answers_len; i++) {
            if (tell)
                answer_fully(w, coord, &out.answers[i]);
            else
                free(out.answers[i].who);
        }
        group_effects_fini(&out);
        group_free(&coord->group);
    }
    free(coord);
    b->coord = NULL;
}

/* ---- requests ---- */

static struct crowd_who *who_of(const struct crowd_request *req)
{
    return xmemdup(&req->who, sizeof req->who);
}

static void join(struct world *w, struct bro *b, const struct crowd_request *req)
{
    struct group_protocol protocol = { STR("range"), STR("m") };
    struct group_event ev = { .kind = GROUP_EV_JOIN };
    char uuid[24];

    if (b->coord->group == NULL && req->id[0] != '\0') {
        answer_simply(w, who_of(req), ASK_JOIN, ERR_UNKNOWN_MEMBER_ID);
        return;
    }
    if (b->coord->group == NULL)
        b->coord->group = group_new(&conf, STR("g"), world_ms(w));
    snprintf(uuid, sizeof uuid, "%llu", (unsigned long long)++w->ids);
    ev.join.who = who_of(req);
    ev.join.member = str_of(req->id);
    ev.join.instance = CROWD_INSTANCE(req);
    ev.join.client_id = STR("c");
    ev.join.client_host = STR("/h");
    ev.join.protocol_type = STR("consumer");
    ev.join.reason = STR_NULL;
    ev.join.protocols = &protocol;
    ev.join.protocols_len = 1;
    ev.join.session_ms = CROWD_SESSION_MS;
    ev.join.rebalance_ms = CROWD_REBALANCE_MS;
    ev.join.need_known_id = true;
    ev.join.uuid = str_of(uuid);
    step(w, b, &ev);
}

static void sync(struct world *w, struct bro *b, const struct crowd_request *req)
{
    struct group_assigned assigned[CROWD_SHOWN];
    char bytes[CROWD_SHOWN][CROWD_PARTS + 1];
    struct group_event ev = { .kind = GROUP_EV_SYNC };

    for (int i = 0; i < req->n_members; i++) {
        size_t n = 0;

        for (int q = 0; q < CROWD_PARTS; q++)
            if (q % req->n_members == i)
                bytes[i][n++] = (char)('0' + q);
        bytes[i][n] = '\0';
        assigned[i] = (struct group_assigned){ str_of(req->members[i]), str_of(bytes[i]) };
    }
    ev.sync.who = who_of(req);
    ev.sync.member = str_of(req->id);
    ev.sync.instance = CROWD_INSTANCE(req);
    ev.sync.generation = req->generation;
    ev.sync.protocol_type = STR_NULL;
    ev.sync.protocol = STR_NULL;
    ev.sync.assigned = assigned;
    ev.sync.assigned_len = req->n_members;
    step(w, b, &ev);
}

static void commit(struct world *w, struct bro *b, const struct crowd_request *req)
{
    struct group *group = b->coord->group;
    int32_t generation = req->generation;
    struct offset_item item = { .topic = STR("t"),
                                .partition = req->part,
                                .value = { .offset = ++w->crowd.value,
                                           .leader_epoch = -1,
                                           .metadata = STR_EMPTY,
                                           .commit_ms = world_ms(w),
                                           .expire_ms = -1 } };
    struct arena arena;
    enum err err;
    bool good;
    int64_t at;

    if (w->conf.mutation == MUTATION_COMMIT_ANY)
        generation = group_generation(group);
    err = offsets_check(group, generation, str_of(req->id), CROWD_INSTANCE(req), false,
                        node_ms(w, b->node));
    if (err != ERR_OK) {
        answer_simply(w, who_of(req), ASK_COMMIT, err);
        return;
    }
    if (req->generation != group_generation(group))
        world_fail(w, "8: a commit of generation %d is taken in generation %d", req->generation,
                   group_generation(group));
    offsets_begin(group, &item, 1);
    arena_init(&arena, SIZE_MAX);
    good =
        append(w, b, group_record_write_offset_key(&arena, STR("g"), item.topic, req->part),
               group_record_write_offset(&arena, &item.value), req->part, item.value.offset, &at);
    arena_fini(&arena);
    if (!good) {
        offsets_end(group, &item, 1, ERR_NOT_ENOUGH_REPLICAS, -1);
        answer_simply(w, who_of(req), ASK_COMMIT, ERR_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    struct waits *waits = wait_for(w, b, at);
    waits->item = item;
    waits->who = who_of(req);
}

static void leave(struct world *w, struct bro *b, const struct crowd_request *req)
{
    struct group_event ev = {
        .kind = GROUP_EV_LEAVE,
        .leave = { .member = str_of(req->id), .instance = STR_NULL, .reason = STR_NULL }
    };

    step(w, b, &ev);
}

void coord_on_request(struct world *w, struct event *ev)
{
    struct bro *b = &w->bros[ev->node];
    const struct crowd_request *req = ev->ptr;

    if (b->coord == NULL) {
        answer_simply(w, who_of(req), req->ask, ERR_NOT_COORDINATOR);
        return;
    }
    if (req->ask != ASK_JOIN && b->coord->group == NULL) {
        answer_simply(w, who_of(req), req->ask, ERR_UNKNOWN_MEMBER_ID);
        return;
    }
    switch (req->ask) {
    case ASK_JOIN:
        join(w, b, req);
        break;
    case ASK_SYNC:
        sync(w, b, req);
        break;
    case ASK_BEAT:
        answer_simply(w, who_of(req), ASK_BEAT,
                      group_heartbeat(b->coord->group, req->generation, str_of(req->id),
                                      CROWD_INSTANCE(req), node_ms(w, b->node)));
        break;
    case ASK_COMMIT:
        commit(w, b, req);
        break;
    case ASK_LEAVE:
        leave(w, b, req);
        break;
    }
}

bool coord_shows(const struct bro *b, size_t *members, bool *stable, int32_t *generation)
{
    const struct coord *coord = b->coord;

    *members = 0;
    *stable = true;
    *generation = -1;
    if (coord == NULL)
        return false;
    if (coord->group == NULL)
        return true;
    *members = group_size(coord->group);
    *stable = coord->waits == NULL &&
              group_state(coord->group) == (*members > 0 ? GROUP_STABLE : GROUP_EMPTY);
    *generation = group_generation(coord->group);
    return true;
}
