/*
 * A frame is a 32-bit length and as many bytes. The first one of a connection is its hello:
 * version, zxid, time-out, session, password, whether read-only is enough. All others begin with
 * number and kind; the answer is number, zxid and error, which is "no such znode" to whatever wants
 * one.
 */
#include "tests/kit/zk_double.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/base/thread.h"

#define CONNS_MAX      16
#define FRAME_MAX      1024
#define GONE_MAX       16
#define LOOK_MS        5
#define HELLO_BYTES    44
#define KIND_SYNC      9
#define KIND_PING      11
#define KIND_CLOSE     (-11)
#define NO_SUCH_ZNODE  (-101)
#define TIMEOUT_AT     12
#define SESSION_AT     16
#define PASSWORD_BYTES 16

struct conn {
    int fd; /* -1: none */
    bool let_in;
    int64_t session;
    uint8_t in[FRAME_MAX];
    size_t len;
};

struct zk_double {
    int fd, port;
    struct thread thread;
    struct conn conns[CONNS_MAX];                 /* the thread's */
    int64_t gone[GONE_MAX];                       /* the same: sessions that were closed */
    atomic_bool stopping, mute, is_mute, hang_up; /* mute: wanted; is_mute: so it is */
    atomic_bool lose_close;
    atomic_int delay_ms;
    atomic_uint let_in, closed;
    _Atomic int64_t session; /* the last one's */
};

static _Atomic int64_t sessions = 1000; /* of all twins of a process */

static void conn_end(struct conn *conn)
{
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
}

static void say(struct conn *conn, uint8_t *frame, size_t len)
{
    store_be32(frame, (uint32_t)(len - 4));
    if (send(conn->fd, frame, len, MSG_NOSIGNAL) != (ssize_t)len)
        conn_end(conn);
}

static bool is_gone(const struct zk_double *twin, int64_t session)
{
    for (size_t i = 0; i < GONE_MAX; i++) {
        if (twin->gone[i] == session)
            return true;
    }
    return false;
}

/* Who comes with a session that is gone is given none and no time. */
static void let_in(struct zk_double *twin, struct conn *conn, const uint8_t *hello)
{
    uint8_t answer[4 + 4 + 4 + 8 + 4 + PASSWORD_BYTES + 1] = { 0 };
    int64_t session = (int64_t)load_be64(hello + SESSION_AT);

    store_be32(answer + 20, PASSWORD_BYTES);
    if (session != 0 && is_gone(twin, session)) {
        say(conn, answer, sizeof answer);
        conn_end(conn);
        return;
    }
    if (session == 0)
        session = atomic_fetch_add(&sessions, 1);
    memcpy(answer + 8, hello + TIMEOUT_AT, 4);
    store_be64(answer + 12, (uint64_t)session);
    conn->let_in = true;
    conn->session = session;
    twin->session = session;
    twin->let_in++;
    say(conn, answer, sizeof answer);
}

static void answer(struct zk_double *twin, struct conn *conn, const uint8_t *request)
{
    uint8_t out[4 + 4 + 8 + 4 + 4] = { 0 };
    int32_t kind = (int32_t)load_be32(request + 4);
    bool is_fine = kind == KIND_PING || kind == KIND_CLOSE || kind == KIND_SYNC;

    if (kind == KIND_CLOSE && atomic_exchange(&twin->lose_close, false)) {
        conn_end(conn);
        return;
    }
    memcpy(out + 4, request, 4);
    store_be64(out + 8, 1);
    store_be32(out + 16, is_fine ? 0 : (uint32_t)NO_SUCH_ZNODE);
    say(conn, out, kind == KIND_SYNC ? sizeof out : sizeof out - 4); /* sync: and an empty path */
    if (kind == KIND_CLOSE) {
        twin->gone[twin->closed++ % GONE_MAX] = conn->session;
        conn_end(conn);
    }
}

static void conn_read(struct zk_double *twin, struct conn *conn)
{
    ssize_t got = recv(conn->fd, conn->in + conn->len, sizeof conn->in - conn->len, MSG_DONTWAIT);
    size_t size;

    if (got <= 0) {
        conn_end(conn);
        return;
    }
    conn->len += (size_t)got;
    while (conn->fd >= 0 && conn->len >= 4 && conn->len >= (size = 4 + load_be32(conn->in))) {
        if (twin->delay_ms > 0)
            usleep((useconds_t)twin->delay_ms * 1000);
        if (conn->let_in)
            answer(twin, conn, conn->in + 4);
        else
            let_in(twin, conn, conn->in + 4);
        conn->len -= size;
        memmove(conn->in, conn->in + size, conn->len);
    }
}

static void take_in(struct zk_double *twin)
{
    for (size_t i = 0; i < CONNS_MAX; i++) {
        struct conn *conn = &twin->conns[i];

        if (conn->fd >= 0)
            continue;
        *conn = (struct conn){ .fd = accept4(twin->fd, NULL, NULL, SOCK_CLOEXEC) };
        return;
    }
}

static void look(struct zk_double *twin)
{
    struct pollfd fds[1 + CONNS_MAX] = { { .fd = twin->fd, .events = POLLIN } };

    for (size_t i = 0; i < CONNS_MAX; i++)
        fds[1 + i] = (struct pollfd){ .fd = twin->conns[i].fd, .events = POLLIN };
    if (poll(fds, ARRAY_LEN(fds), LOOK_MS) <= 0)
        return;
    for (size_t i = 0; i < CONNS_MAX; i++) {
        if (fds[1 + i].revents != 0)
            conn_read(twin, &twin->conns[i]);
    }
    if (fds[0].revents != 0)
        take_in(twin);
}

static void run(void *arg)
{
    struct zk_double *twin = arg;

    while (!twin->stopping) {
        if (atomic_exchange(&twin->hang_up, false)) {
            for (size_t i = 0; i < CONNS_MAX; i++)
                conn_end(&twin->conns[i]);
        }
        twin->is_mute = twin->mute;
        if (twin->is_mute)
            usleep(LOOK_MS * 1000);
        else
            look(twin);
    }
    for (size_t i = 0; i < CONNS_MAX; i++)
        conn_end(&twin->conns[i]);
}

struct zk_double *zk_double_start(void)
{
    struct zk_double *twin = xcalloc(1, sizeof *twin);
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof address;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < CONNS_MAX; i++)
        twin->conns[i].fd = -1;
    twin->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(twin->fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(twin->fd, CONNS_MAX), 0);
    ck_assert_int_eq(getsockname(twin->fd, (struct sockaddr *)&address, &len), 0);
    twin->port = ntohs(address.sin_port);
    thread_start(&twin->thread, T_ANY, -1, run, twin);
    return twin;
}

void zk_double_stop(struct zk_double **twin_ptr)
{
    struct zk_double *twin = *twin_ptr;

    *twin_ptr = NULL;
    if (twin == NULL)
        return;
    twin->stopping = true;
    thread_join(&twin->thread);
    close(twin->fd);
    free(twin);
}

int zk_double_port(const struct zk_double *twin)
{
    return twin->port;
}

void zk_double_mute(struct zk_double *twin, bool is_mute)
{
    twin->mute = is_mute;
    while (twin->is_mute != is_mute)
        usleep(LOOK_MS * 100);
}

void zk_double_slow(struct zk_double *twin, int delay_ms)
{
    twin->delay_ms = delay_ms;
}

void zk_double_lose_close(struct zk_double *twin)
{
    twin->lose_close = true;
}

void zk_double_hang_up(struct zk_double *twin)
{
    twin->hang_up = true;
}

unsigned zk_double_let_in(const struct zk_double *twin, int64_t *session)
{
    *session = twin->session;
    return twin->let_in;
}

unsigned zk_double_closed(const struct zk_double *twin)
{
    return twin->closed;
}
