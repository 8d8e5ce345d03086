/*
 * A produce with acks=all or a DeleteRecords waits for followers, for as long as its client allows:
 * longer than a stop may take, and with no controller to shrink the ISR they may never come. So the
 * partitions are closed while the reactors still run; whoever waits for one is told then, on its
 * reactor, and ends its request. What a disk is still at (a group commit) ends when the disk does.
 */
#include "broker/drain.h"

#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/say.h"

#define LOOK_US     2000
#define SAY_WAIT_MS 5000 /* a disk that takes longer is worth a line */

struct open_count {
    struct conns *conns;
    size_t open;
};

static void count_open(void *arg)
{
    struct open_count *count = arg;

    count->open = conns_open_requests(count->conns);
}

static size_t open_requests(const struct drain *drain)
{
    size_t open = 0;

    for (size_t i = 0; i < drain->len; i++) {
        struct open_count count = { .conns = drain->conns[i] };

        reactor_call(drain->reactors[i], count_open, &count);
        open += count.open;
    }
    return open;
}

bool drain_wait_ms(const struct drain *drain, int64_t within_ms)
{
    int64_t until_ms = clock_mono_ms() + within_ms;

    while (open_requests(drain) > 0) {
        if (clock_mono_ms() >= until_ms)
            return false;
        usleep(LOOK_US);
    }
    return true;
}

void drain_end(const struct drain *drain)
{
    if (drain->pids != NULL)
        pids_fail(drain->pids);
    if (drain->parts != NULL)
        parts_close(drain->parts);
    while (!drain_wait_ms(drain, SAY_WAIT_MS))
        say_warn("the stop waits for requests that wait for a disk open=%zu", open_requests(drain));
}
