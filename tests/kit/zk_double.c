/*
 * A frame is a 32-bit length and as many bytes. The first one of a connection is its hello:
 * version, zxid, time-out, session, password, whether read-only is enough. All others begin with
 * number and kind; the answer is number, zxid and error, which is "no such znode" to whatever wants
 * one.
 */
#include "tests/kit/zk_stub.h"

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

struct zk_stub {
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

static _Atomic int64_t sessions = 1000; /* of all stubs of a process */

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

static bool is_gone(const struct zk_stub *stub, int64_t session)
{
    for (size_t i = 0; i < GONE_MAX; i++) {
        if (stub->gone[i] == session)
            return true;
    }
    return false;
}

/* Who comes with a session that is gone is given none and no time. */
static void let_in(struct zk_stub *stub, struct conn *conn, const uint8_t *hello)
{
    uint8_t answer[4 + 4 + 4 + 8 + 4 + PASSWORD_BYTES + 1] = { 0 };
    int64_t session = (int64_t)load_be64(hello + SESSION_AT);

    store_be32(answer + 20, PASSWORD_BYTES);
    if (session != 0 && is_gone(stub, session)) {
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
    stub->session = session;
    stub->let_in++;
    say(conn, answer, sizeof answer);
}

static void answer(struct zk_stub *stub, struct conn *conn, const uint8_t *request)
{
    uint8_t out[4 + 4 + 8 + 4 + 4] = { 0 };
    int32_t kind = (int32_t)load_be32(request + 4);
    bool is_fine = kind == KIND_PING || kind == KIND_CLOSE || kind == KIND_SYNC;

    if (kind == KIND_CLOSE && atomic_exchange(&stub->lose_close, false)) {
        conn_end(conn);
        return;
    }
    memcpy(out + 4, request, 4);
    store_be64(out + 8, 1);
    store_be32(out + 16, is_fine ? 0 : (uint32_t)NO_SUCH_ZNODE);
    say(conn, out, kind == KIND_SYNC ? sizeof out : sizeof out - 4); /* sync: and an empty path */
    if (kind == KIND_CLOSE) {
        stub->gone[stub->closed++ % GONE_MAX] = conn->session;
        conn_end(conn);
    }
}

static void conn_read(struct zk_stub *stub, struct conn *conn)
{
    ssize_t got = recv(conn->fd, conn->in + conn->len, sizeof conn->in - conn->len, MSG_DONTWAIT);
    size_t size;

    if (got <= 0) {
        conn_end(conn);
        return;
    }
    conn->len += (size_t)got;
    while (conn->fd >= 0 && conn->len >= 4 && conn->len >= (size = 4 + load_be32(conn->in))) {
        if (stub->delay_ms > 0)
            usleep((useconds_t)stub->delay_ms * 1000);
        if (conn->let_in)
            answer(stub, conn, conn->in + 4);
        else
            let_in(stub, conn, conn->in + 4);
        conn->len -= size;
        memmove(conn->in, conn->in + size, conn->len);
    }
}

static void take_in(struct zk_stub *stub)
{
    for (size_t i = 0; i < CONNS_MAX; i++) {
        struct conn *conn = &stub->conns[i];

        if (conn->fd >= 0)
            continue;
        *conn = (struct conn){ .fd = accept4(stub->fd, NULL, NULL, SOCK_CLOEXEC) };
        return;
    }
}

static void look(struct zk_stub *stub)
{
    struct pollfd fds[1 + CONNS_MAX] = { { .fd = stub->fd, .events = POLLIN } };

    for (size_t i = 0; i < CONNS_MAX; i++)
        fds[1 + i] = (struct pollfd){ .fd = stub->conns[i].fd, .events = POLLIN };
    if (poll(fds, ARRAY_LEN(fds), LOOK_MS) <= 0)
        return;
    for (size_t i = 0; i < CONNS_MAX; i++) {
        if (fds[1 + i].revents != 0)
            conn_read(stub, &stub->conns[i]);
    }
    if (fds[0].revents != 0)
        take_in(stub);
}

static void run(void *arg)
{
    struct zk_stub *stub = arg;

    while (!stub->stopping) {
        if (atomic_exchange(&stub->hang_up, false)) {
            for (size_t i = 0; i < CONNS_MAX; i++)
                conn_end(&stub->conns[i]);
        }
        stub->is_mute = stub->mute;
        if (stub->is_mute)
            usleep(LOOK_MS * 1000);
        else
            look(stub);
    }
    for (size_t i = 0; i < CONNS_MAX; i++)
        conn_end(&stub->conns[i]);
}

struct zk_stub *zk_stub_start(void)
{
    struct zk_stub *stub = xcalloc(1, sizeof *stub);
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof address;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < CONNS_MAX; i++)
        stub->conns[i].fd = -1;
    stub->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(stub->fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(stub->fd, CONNS_MAX), 0);
    ck_assert_int_eq(getsockname(stub->fd, (struct sockaddr *)&address, &len), 0);
    stub->port = ntohs(address.sin_port);
    thread_start(&stub->thread, T_ANY, -1, run, stub);
    return stub;
}

void zk_stub_stop(struct zk_stub **stub_ptr)
{
    struct zk_stub *stub = *stub_ptr;

    *stub_ptr = NULL;
    if (stub == NULL)
        return;
    stub->stopping = true;
    thread_join(&stub->thread);
    close(stub->fd);
    free(stub);
}

int zk_stub_port(const struct zk_stub *stub)
{
    return stub->port;
}

void zk_stub_mute(struct zk_stub *stub, bool is_mute)
{
    stub->mute = is_mute;
    while (stub->is_mute != is_mute)
        usleep(LOOK_MS * 100);
}

void zk_stub_slow(struct zk_stub *stub, int delay_ms)
{
    stub->delay_ms = delay_ms;
}

void zk_stub_lose_close(struct zk_stub *stub)
{
    stub->lose_close = true;
}

void zk_stub_hang_up(struct zk_stub *stub)
{
    stub->hang_up = true;
}

unsigned zk_stub_let_in(const struct zk_stub *stub, int64_t *session)
{
    *session = stub->session;
    return stub->let_in;
}

unsigned zk_stub_closed(const struct zk_stub *stub)
{
    return stub->closed;
}
