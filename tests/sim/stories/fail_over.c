/*
 * Leaders that die, are held up or come back: who has what afterwards is decided by epochs.
 */
#include "tests/sim/stories/stories.h"

void story_fast_fail_over(struct world *w)
{
    for (int i = 0; i < 4 && !w->failed; i++) {
        int leader = story_leader(w, 0);

        if (leader < 0)
            break;
        story_write(w, 1);
        client_produce(w, 0, 1); /* a tail that only the leader has */
        world_run_ms(w, 1);
        proc_kill(w, leader);
        story_await_leader(w, 0, leader, 3000);
        proc_start(w, leader);
        world_run_ms(w, world_between(w, 0, 60));
    }
}

void story_zombie_leader(struct world *w)
{
    int leader = story_leader(w, 0);

    story_write(w, 3);
    client_produce(w, 0, -1);
    proc_pause(w, leader);
    if (!story_await_leader(w, 0, leader, 10000)) {
        world_fail(w, "nobody took over from a leader that hangs");
        return;
    }
    story_write(w, 5);
    proc_resume(w, leader); /* what was sent to it meanwhile comes first */
    story_write(w, 3);
}

void story_quick_restart(struct world *w)
{
    int leader = story_leader(w, 0);
    int32_t epoch = w->zoo->tree.states[0].leader_epoch;

    story_write(w, 3);
    proc_kill(w, leader);
    world_run_ms(w, world_between(w, 0, 5));
    proc_start(w, leader);
    world_run_ms(w, 3000);
    if (w->zoo->tree.states[0].leader_epoch == epoch)
        world_fail(w, "a process leads on in the epoch of the one before it");
}

void story_shrink_and_fail_over(struct world *w)
{
    int leader = story_leader(w, 0), out = story_follower(w, 0);

    story_cut(w, leader, out, true); /* it cannot fetch, but is there */
    for (int i = 0; i < 60 && !w->failed && story_in_isr(w, 0, out); i++)
        story_write(w, 40);
    world_run_ms(w, world_between(w, 0, 20));
    proc_kill(w, leader);
    story_await_leader(w, 0, leader, 3000);
    story_write(w, 5);
    story_cut(w, leader, out, false);
    proc_start(w, leader);
}

void story_rolling_restart(struct world *w)
{
    const char *missing;

    for (int i = 0; i < w->conf.brokers && !w->failed; i++) {
        bro_stop(w, i);
        for (int j = 0; j < 100 && w->procs[i].running; j++)
            story_write(w, 10);
        proc_start(w, i);
        for (int j = 0; j < 400 && !w->failed && !promise_is_whole(w, &missing); j++)
            world_run_ms(w, 50);
    }
}
