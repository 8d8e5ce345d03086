#include "tests/sim/stories/stories.h"

#include <string.h>

#include "common/base/mem.h"

const struct story stories[] = {
    { "cold_start", "all brokers are killed and come back in any order", story_cold_start },
    { "cold_start_after_power_loss", "so they are, and one of their machines has lost its tail",
      story_cold_start_after_power_loss },
    { "fast_fail_over",
      "leaders die one after the other before their epochs are heard of (KIP-279)",
      story_fast_fail_over },
    { "group_split", "a group's coordinator is cut off, and its members are divided",
      story_group_split },
    { "group_uncommitted", "a coordinator reads back what is not committed yet, and dies with it",
      story_group_uncommitted },
    { "held_up_in_a_write",
      "a controller is held up between two multis, is followed by another and goes on",
      story_held_up_in_a_write },
    { "hiccup", "every session expires at once: nobody is taken for dead", story_hiccup },
    { "last_one_standing",
      "all others die before the last one's machine loses its tail: they have what was "
      "acknowledged",
      story_last_one_standing },
    { "lost_answer", "answers to ISR proposals are lost, and so are streams", story_lost_answer },
    { "lost_tail_heard",
      "a machine loses its tail, is heard of, and goes before that is decided on",
      story_lost_tail_heard },
    { "lost_tail_twice", "a machine loses its tail and its next process dies unheard",
      story_lost_tail_twice },
    { "lowered_unheard",
      "min.insync.replicas is lowered, and the last one in sync goes with the controller before it "
      "is told",
      story_lowered_unheard },
    { "old_life_joins",
      "a follower is proposed, loses its tail and is back before the proposal is heard (KIP-903)",
      story_old_life_joins },
    { "power_cut_beside_a_death",
      "a leader's machine loses power as its last follower dies: it must not be left alone",
      story_power_cut_beside_a_death },
    { "power_fails_everywhere",
      "all machines lose their page caches, and flush.messages=1 promises that nothing is lost",
      story_power_fails_everywhere },
    { "quick_restart", "a leader is back with the same id long before its session would expire",
      story_quick_restart },
    { "registers_in_mid_hello", "a session expires while a hello is on its way",
      story_registers_in_mid_hello },
    { "room_found_unheard",
      "a replica finds room after all, and the word of it is lost with the stream",
      story_room_found_unheard },
    { "rolling_restart", "every broker stops and starts in turn", story_rolling_restart },
    { "shrink_and_fail_over", "the leader wants a follower out while it dies itself",
      story_shrink_and_fail_over },
    { "two_bosses", "a controller is held up, is followed by another and goes on",
      story_two_bosses },
    { "zombie_leader", "a leader is held up, is followed by another and goes on",
      story_zombie_leader },
};
const size_t n_stories = ARRAY_LEN(stories);

int story_leader(const struct world *w, int p)
{
    const struct zoo_state *state = &w->zoo->tree.states[p];

    return state->there && state->leader > 0 ? state->leader - 1 : -1;
}

bool story_in_isr(const struct world *w, int p, int node)
{
    const struct zoo_state *state = &w->zoo->tree.states[p];
    struct ids isr = { .at = state->isr, .n = state->n_isr };

    return ids_has(isr, node + 1);
}

int story_follower(const struct world *w, int p)
{
    const struct zoo_state *state = &w->zoo->tree.states[p];

    for (uint32_t i = 0; i < state->n_isr; i++)
        if (state->isr[i] != state->leader)
            return state->isr[i] - 1;
    return -1;
}

bool story_await_leader(struct world *w, int p, int by, int64_t ms)
{
    for (int64_t waited = 0; waited < ms && !w->failed; waited += 20) {
        if (story_leader(w, p) >= 0 && story_leader(w, p) != by)
            return true;
        world_run_ms(w, 20);
    }
    return false;
}

void story_write(struct world *w, int rounds)
{
    for (int i = 0; i < rounds && !w->failed; i++) {
        for (int p = 0; p < w->conf.parts; p++)
            client_produce(w, p, -1);
        world_run_ms(w, 5);
    }
}

void story_cut(struct world *w, int a, int b, bool cut)
{
    if (cut) {
        link_cut(w, a, b);
        link_cut(w, b, a);
    } else {
        link_mend(w, a, b);
        link_mend(w, b, a);
    }
}

void story_isolate(struct world *w, int node, bool cut)
{
    for (int other = 0; other < NODES; other++)
        if (other != node && node_name(other)[0] != '\0')
            story_cut(w, node, other, cut);
}

static void settle(struct world *w)
{
    const char *missing = "";

    for (int i = 0; i < 400 && !w->failed && !promise_is_whole(w, &missing); i++)
        world_run_ms(w, 50);
    if (!promise_is_whole(w, &missing))
        world_fail(w, "the cluster did not come up: no %s", missing);
}

void story_run(const struct story *story, uint64_t seed, const struct sim_conf *conf,
               struct verdict *out)
{
    struct sim_conf made = *conf;
    static struct world world;
    struct world *w = &world;

    memset(out, 0, sizeof *out);
    history_conf(&made, seed);
    made.brokers = made.rf = 3;
    made.bosses = 2;
    made.min_isr = 1 + (int)(seed % 2);
    made.mischief = 0;
    world_init(w, seed, &made);
    for (int i = 0; i < made.bosses; i++)
        proc_start(w, NODE_BOSS + i);
    for (int i = 0; i < made.brokers; i++)
        proc_start(w, i);
    settle(w);
    story_write(w, 5);
    if (!w->failed)
        story->tell(w);
    if (!w->failed)
        history_heal(w, out);
    history_end(w, out);
}
