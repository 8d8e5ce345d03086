/*
 * zk and servers that are given by name: names are looked up to connect, each time anew, and never
 * while a connection is up, so that a silent name server costs no session. Against a server of our
 * own, over the real library, whose getaddrinfo() is the one here.
 */
#include <check.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/zk/zk.h"
#include "tests/kit/unit.h"
#include "tests/kit/zk_double.h"

#define SESSION_MS 60000
#define SOON_MS    20000 /* at once, on a machine that has much else to do */
#define CALLS      20

static struct zk_double *twin;
static struct mailbox mailbox;
static struct zk_listener listener;
static int connected;
static struct zk *zk;

static struct {
    struct lock lock;
    struct cond cond;
    bool hang; /* [m] */
    int count; /* [m] look-ups that were begun */
} names;

typedef int look_up(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* Every name is our own. */
int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
    look_up *real;

    (void)node;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    lock_take(&names.lock);
    names.count++;
    while (names.hang)
        cond_wait(&names.cond, &names.lock);
    lock_drop(&names.lock);
    return real("127.0.0.1", service, hints, found);
}

static void let_names_hang(bool hang)
{
    lock_take(&names.lock);
    names.hang = hang;
    cond_broadcast(&names.cond);
    lock_drop(&names.lock);
}

static int names_count(void)
{
    lock_take(&names.lock);
    int count = names.count;
    lock_drop(&names.lock);
    return count;
}

static void hear_session(struct zk_listener *at, const struct zk_session *session)
{
    (void)at;
    connected += session->state == ZK_CONNECTED;
}

static void note(void *arg, const struct zk_answer *answer)
{
    ck_assert_int_eq(answer->err, ERR_NOT_FOUND);
    ++*(int *)arg;
}

/* Runs the mailbox until it is so, which has to be soon. */
#define soon(condition)                                                                            \
    do {                                                                                           \
        int64_t end_ms = clock_mono_ms() + SOON_MS;                                                \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_mono_ms() < end_ms, "waited in vain: %s", #condition);             \
            mailbox_wait(&mailbox, 20);                                                            \
        }                                                                                          \
    } while (0)

static void set_up(void)
{
    char servers[64];
    struct zk_options options = { .servers = servers,
                                  .session_timeout_ms = SESSION_MS,
                                  .mailbox = &mailbox };

    lock_init(&names.lock, LOCK_LEAF);
    cond_init(&names.cond);
    mailbox_init(&mailbox);
    twin = zk_double_start();
    snprintf(servers, sizeof servers, "zk.test:%d", zk_double_port(twin));
    ck_assert_int_eq(zk_open(&options, &zk), ERR_OK);
    listener.on_session = hear_session;
    zk_listen(zk, &listener);
    soon(connected == 1);
    ck_assert_int_gt(names_count(), 0);
}

static void tear_down(void)
{
    let_names_hang(false);
    zk_close(&zk);
    while (mailbox_run(&mailbox) > 0) {
    }
    zk_double_stop(&twin);
    mailbox_fini(&mailbox);
}

START_TEST(a_name_that_hangs_leaves_a_connection_alone)
{
    int answers = 0;

    let_names_hang(true);
    for (int i = 0; i < CALLS; i++) {
        zk_exists(zk, "/a", false, note, &answers);
        soon(answers == i + 1);
    }
}
END_TEST

START_TEST(names_are_looked_up_again_for_a_new_connection)
{
    int before = names_count();

    zk_double_hang_up(twin);
    soon(connected == 2);
    ck_assert_int_gt(names_count(), before);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("zk_names");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_name_that_hangs_leaves_a_connection_alone);
    tcase_add_test(tc, names_are_looked_up_again_for_a_new_connection);
    return unit_run(tc);
}
