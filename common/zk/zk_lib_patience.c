/*
 * How long a server may be silent, and what is done about it then.
 *
 * The library waits for a silent server (hung, or cut off without a word) for two thirds of the
 * session's time-out, whether it connects or has requests out, and may then try another one like
 * it. We wait for our own patience: a second (four where there is no other server), doubled each
 * time that a server was reached, for the next ten seconds, so that one which is only slow, or far,
 * is given its time. Then a connection that is up is shut down; one that is not is left by opening
 * another handle that goes on with the session, at the next server.
 *
 * While an answer or a connection is awaited we look each second. Who is watchful looks at an idle
 * connection, too, and asks something.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/zk/zk_lib_int.h"

#define PATIENCE_MS       1000
#define PATIENCE_ALONE_MS 4000  /* where there is no other server to go to */
#define PATIENCE_KEPT_MS  10000 /* after it was used up */
#define LOOK_MS           1000  /* at a server that has something to answer */
#define HELD_UP_MS        500   /* later than due: it was we who were not there */

void zk_patience_init(struct zk_patience *patience, const char *servers, int32_t timeout_ms)
{
    bool is_alone = memchr(servers, ',', strcspn(servers, "/")) == NULL;

    *patience = (struct zk_patience){ .ms_min = is_alone ? PATIENCE_ALONE_MS : PATIENCE_MS,
                                      .library_ms = timeout_ms * INT64_C(2) / 3,
                                      .look_at_ms = INT64_MAX };
    patience->ms = patience->ms_min;
}

void zk_patience_await(struct zk_patience *patience)
{
    int64_t now_ms = clock_mono_ms();

    if (now_ms - patience->used_up_ms > PATIENCE_KEPT_MS)
        patience->ms = patience->ms_min;
    patience->silent_since_ms = now_ms;
    patience->look_at_ms = now_ms + LOOK_MS;
}

void zk_patience_rest(struct zk_patience *patience, bool is_watchful)
{
    patience->look_at_ms = is_watchful ? clock_mono_ms() + LOOK_MS : INT64_MAX;
}

int64_t zk_patience_look_in_ms(const struct zk_patience *patience)
{
    int64_t left_ms = patience->look_at_ms - clock_mono_ms();

    if (patience->look_at_ms == INT64_MAX)
        return -1;
    return left_ms > 0 ? left_ms : 0;
}

static void be_patient(struct zk_patience *patience)
{
    int64_t most_ms = patience->library_ms;

    patience->used_up_ms = clock_mono_ms();
    patience->ms *= 2;
    if (patience->ms > most_ms)
        patience->ms = most_ms > patience->ms_min ? most_ms : patience->ms_min;
}

/* A server that cannot even be reached is no slow one: and once it can, that has to be noticed
 * soon, for TCP itself tries again after twice as long each time. */
enum zk_look zk_patience_look(struct zk_patience *patience, int state, bool is_idle)
{
    int64_t now_ms = clock_mono_ms(), silent_ms = now_ms - patience->silent_since_ms;
    bool is_reached = state == ZOO_CONNECTED_STATE || state == ZOO_ASSOCIATING_STATE;

    if (now_ms - patience->look_at_ms > HELD_UP_MS) { /* first comes what there is to be heard */
        zk_patience_await(patience);
        return ZK_LOOK_WAIT;
    }
    if (is_idle)
        return ZK_LOOK_PING;
    patience->look_at_ms = now_ms + LOOK_MS;
    if (is_reached && silent_ms < patience->ms)
        return ZK_LOOK_WAIT;
    if (is_reached)
        be_patient(patience);
    if (state == ZOO_CONNECTED_STATE)
        return ZK_LOOK_HANG_UP;
    if (is_reached || state == ZOO_CONNECTING_STATE)
        return ZK_LOOK_MOVE_ON;
    return ZK_LOOK_WAIT; /* the library is between servers that refuse us */
}
