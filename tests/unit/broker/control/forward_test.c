/*
 * forward: what the control stream cannot carry is refused before it is sent, and what is just not
 * too large fits into a frame whoever asks.
 */
#include "broker/control/forward.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/control/forward_int.h"
#include "common/base/mem.h"
#include "tests/kit/unit.h" /* unit_run */

static struct reactor *reactor;
static struct forward *forward;
static int n_sent, n_done;
static size_t frame_bytes;
static enum err told;

static bool is_up(void *ctx)
{
    (void)ctx;
    return true;
}

static void count_sent(void *ctx, const Control__Frame *frame)
{
    (void)ctx;
    n_sent++;
    frame_bytes = control__frame__get_packed_size(frame);
}

static void done(struct forward_call *call, enum err err, const uint8_t *body, size_t len)
{
    (void)call;
    (void)body;
    (void)len;
    told = err;
    n_done++;
}

static void turn_until(const int *value)
{
    for (int i = 0; i < 5000 && *value == 0; i++) {
        reactor_turn(reactor, false);
        usleep(200);
    }
    ck_assert_int_eq(*value, 1);
}

static void start(void)
{
    struct forward_conf conf = { .is_up = is_up, .send = count_sent };

    conf.reactor = reactor = reactor_new();
    forward = forward_new(&conf);
}

static void finish(void)
{
    forward_free(&forward);
    for (int i = 0; i < 30; i++)
        reactor_turn(reactor, false);
    reactor_free(&reactor);
}

#define LARGEST (STREAM_FRAME_BYTES_MAX - 256 * 1024)

static struct forward_call call_of(const uint8_t *body, size_t len, struct str name)
{
    return (struct forward_call){ .reactor = reactor,
                                  .done = done,
                                  .api_key = 19,
                                  .api_version = 5,
                                  .principal = name,
                                  .client_id = name,
                                  .host = name,
                                  .listener = name,
                                  .body = body,
                                  .body_len = len,
                                  .timeout_ms = 60000 }; /* none of them waits for it */
}

START_TEST(what_no_frame_holds_is_refused)
{
    uint8_t *body = xcalloc(1, LARGEST + 1);
    struct forward_call call = call_of(body, LARGEST + 1, STR("c"));

    forward_send(forward, &call);
    turn_until(&n_done);
    ck_assert_int_eq(told, ERR_TOO_LARGE);
    ck_assert_int_eq(err_to_wire(told), ERR_INVALID_REQUEST); /* clients do not try that again */
    ck_assert_int_eq(n_sent, 0);
    free(body);
}
END_TEST

START_TEST(the_largest_fits_whoever_asks)
{
    uint8_t *body = xcalloc(1, LARGEST);
    char *name = xcalloc(1, INT16_MAX + 1);
    struct forward_call call;

    memset(name, 'n', INT16_MAX);
    call = call_of(body, LARGEST, str_of(name));
    forward_send(forward, &call);
    turn_until(&n_sent);
    ck_assert_uint_le(frame_bytes, STREAM_FRAME_BYTES_MAX);
    forward_on_down(forward);
    turn_until(&n_done);
    ck_assert_int_eq(told, ERR_NOT_CONTROLLER);
    free(name);
    free(body);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("forward");

    tcase_add_checked_fixture(tc, start, finish);
    tcase_add_test(tc, what_no_frame_holds_is_refused);
    tcase_add_test(tc, the_largest_fits_whoever_asks);
    return unit_run(tc);
}
