/*
 * Plain TCP over the kernel's sockets and a reactor's watches.
 *
 * Accepting takes what is there, up to a bound a turn, so that a storm of new connections does not
 * starve those that are open. When the process is out of descriptors the listener pauses for a
 * moment: the backlog keeps its event level-triggered, and the loop would spin.
 *
 * Sends use MSG_NOSIGNAL; sendfile() has no such flag, so a process that sends files ignores
 * SIGPIPE (net_listen and net_adopt see to it).
 */
#include "common/io/net.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "common/base/mem.h"

#define ACCEPTS_PER_TURN 64
#define ACCEPT_PAUSE_MS  100

/* ---- addresses ---- */

static enum err set_any(int port, struct net_addr *out)
{
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *out = (struct net_addr){ 0 };
    if (probe >= 0) { /* an IPv6 wildcard takes both families */
        close(probe);
        out->len = sizeof out->at.v6;
        out->at.v6.sin6_family = AF_INET6;
        out->at.v6.sin6_port = htons((uint16_t)port);
        return ERR_OK;
    }
    out->len = sizeof out->at.v4;
    out->at.v4.sin_family = AF_INET;
    out->at.v4.sin_port = htons((uint16_t)port);
    return ERR_OK;
}

/* 0, or why not as getaddrinfo() says it. */
static int find(const char *host, int port, int flags, struct net_addr *out)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_NUMERICSERV | flags };
    struct addrinfo *found = NULL;
    struct addrinfo *chosen;
    char service[16];

    assert(port >= 0 && port <= 65535);
    snprintf(service, sizeof service, "%d", port);
    int failed = getaddrinfo(host, service, &hints, &found);
    if (failed != 0)
        return failed;
    assert(found != NULL);
    /* "localhost" is both families on many machines; IPv4 is what is meant. */
    for (chosen = found; chosen != NULL && chosen->ai_family != AF_INET; chosen = chosen->ai_next)
        ;
    if (chosen == NULL)
        chosen = found;
    *out = (struct net_addr){ .len = chosen->ai_addrlen };
    assert(chosen->ai_addrlen <= sizeof out->at);
    memcpy(&out->at, chosen->ai_addr, chosen->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

enum err net_addr_literal(const char *host, int port, struct net_addr *out)
{
    assert(port >= 0 && port <= 65535);
    if (host == NULL || host[0] == '\0')
        return set_any(port, out);
    return find(host, port, AI_NUMERICHOST, out) == 0 ? ERR_OK : ERR_NOT_FOUND;
}

/* Only what a name server, or the name itself, tells: the rest passes (EAI_AGAIN), or is of us. */
enum err net_addr_find_err(int failed)
{
    switch (failed) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
    case EAI_IDN_ENCODE:
        return ERR_NOT_FOUND;
    default:
        return ERR_REQUEST_TIMED_OUT;
    }
}

enum err net_addr_find_why(const char *host, int port, struct net_addr *out, const char **why)
{
    *why = NULL;
    if (net_addr_literal(host, port, out) == ERR_OK)
        return ERR_OK;
    int failed = find(host, port, 0, out);
    if (failed == 0)
        return ERR_OK;
    *why = failed == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(failed);
    return net_addr_find_err(failed);
}

enum err net_addr_find(const char *host, int port, struct net_addr *out)
{
    const char *why;

    return net_addr_find_why(host, port, out, &why);
}

void net_addr_set_port(struct net_addr *addr, int port)
{
    assert(addr->len > 0);
    assert(port >= 0 && port <= 65535);
    if (addr->at.any.sa_family == AF_INET6)
        addr->at.v6.sin6_port = htons((uint16_t)port);
    else
        addr->at.v4.sin_port = htons((uint16_t)port);
}

int net_addr_port(const struct net_addr *addr)
{
    if (addr->len == 0)
        return 0;
    return ntohs(addr->at.any.sa_family == AF_INET6 ? addr->at.v6.sin6_port : addr->at.v4.sin_port);
}

void net_addr_host_key(const struct net_addr *addr, uint8_t key[16])
{
    memset(key, 0, 16);
    if (addr->len == 0)
        return;
    if (addr->at.any.sa_family == AF_INET6) {
        memcpy(key, &addr->at.v6.sin6_addr, 16);
    } else if (addr->at.any.sa_family == AF_INET) {
        key[10] = key[11] = 0xff;
        memcpy(key + 12, &addr->at.v4.sin_addr, 4);
    }
}

const char *net_addr_print_host(const struct net_addr *addr, char text[NET_ADDR_TEXT])
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    uint8_t key[16];

    net_addr_host_key(addr, key);
    if (addr->len == 0 || (addr->at.any.sa_family != AF_INET && addr->at.any.sa_family != AF_INET6))
        snprintf(text, NET_ADDR_TEXT, "unknown");
    else if (memcmp(key, mapped, sizeof mapped) == 0)
        inet_ntop(AF_INET, key + 12, text, NET_ADDR_TEXT);
    else
        inet_ntop(AF_INET6, key, text, NET_ADDR_TEXT);
    return text;
}

const char *net_addr_print(const struct net_addr *addr, char text[NET_ADDR_TEXT])
{
    char host[NET_ADDR_TEXT];

    net_addr_print_host(addr, host);
    if (strchr(host, ':') != NULL)
        snprintf(text, NET_ADDR_TEXT, "[%.50s]:%d", host, net_addr_port(addr));
    else
        snprintf(text, NET_ADDR_TEXT, "%.50s:%d", host, net_addr_port(addr));
    return text;
}

/* ---- listening ---- */

struct net_listener {
    struct reactor *reactor; /* [I] */
    struct watch *watch;     /* [o] */
    int fd;                  /* [I] */
    bool paused;             /* [o] by its owner */
    net_on_accept *on_accept;
    void *arg;
    struct reactor_timer again; /* [o] after running out of descriptors */
};

static void ignore_sigpipe(void)
{
    struct sigaction now;

    /* Left alone when somebody handles it on purpose. */
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

static void set_listening(struct net_listener *listener)
{
    bool on = !listener->paused && !reactor_timer_is_set(&listener->again);

    watch_set(listener->watch, on ? REACTOR_READ : 0);
}

static void on_pause_over(struct reactor_timer *timer)
{
    set_listening(container_of(timer, struct net_listener, again));
}

static bool is_of_the_connection(int errnum)
{
    switch (errnum) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case EPERM: /* a firewall rule */
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

static void on_connections(void *arg, unsigned what)
{
    struct net_listener *listener = arg;

    (void)what;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct net_accepted accepted = { .peer.len = sizeof accepted.peer.at };

        accepted.fd = accept4(listener->fd, &accepted.peer.at.any, &accepted.peer.len,
                              SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted.fd < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK)
                return;
            if (is_of_the_connection(errno))
                continue;
            accepted.errnum = errno; /* EMFILE, ENFILE, ENOBUFS, ENOMEM */
            reactor_timer_set_ms(listener->reactor, &listener->again, ACCEPT_PAUSE_MS);
            set_listening(listener);
            listener->on_accept(listener->arg, &accepted);
            return;
        }
        if (accepted.peer.len > sizeof accepted.peer.at)
            accepted.peer.len = 0; /* a family we do not know */
        listener->on_accept(listener->arg, &accepted);
        if (watch_get(listener->watch) == 0)
            return; /* paused by it */
    }
}

static enum err errno_of_bind(void)
{
    return errno == EADDRINUSE ? ERR_EXISTS : err_from_errno(errno);
}

enum err net_listen(struct reactor *reactor, const struct net_addr *addr, int backlog,
                    net_on_accept *on_accept, void *arg, struct net_listener **out)
{
    int family = addr->at.any.sa_family, on = 1, off = 0;
    enum err err;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    ignore_sigpipe();
    if (fd < 0)
        return err_from_errno(errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&addr->at.v6.sin6_addr))
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, &addr->at.any, addr->len) < 0 ||
        listen(fd, backlog > 0 ? backlog : SOMAXCONN) < 0) {
        err = errno_of_bind();
        close(fd);
        return err;
    }
    struct net_listener *listener = xcalloc(1, sizeof *listener);
    listener->reactor = reactor;
    listener->fd = fd;
    listener->on_accept = on_accept;
    listener->arg = arg;
    reactor_timer_init(&listener->again, on_pause_over);
    listener->watch = watch_new(reactor, fd, on_connections, listener);
    set_listening(listener);
    *out = listener;
    return ERR_OK;
}

void net_listener_addr(const struct net_listener *listener, struct net_addr *out)
{
    *out = (struct net_addr){ .len = sizeof out->at };
    if (getsockname(listener->fd, &out->at.any, &out->len) < 0)
        out->len = 0;
}

void net_listener_pause(struct net_listener *listener, bool pause)
{
    listener->paused = pause;
    set_listening(listener);
}

void net_listener_close(struct net_listener **listener_ptr)
{
    struct net_listener *listener = *listener_ptr;

    *listener_ptr = NULL;
    if (listener == NULL)
        return;
    reactor_timer_cancel(listener->reactor, &listener->again);
    watch_free(&listener->watch);
    close(listener->fd);
    free(listener);
}

/* ---- plain TCP ---- */

static bool is_not_now(int errnum)
{
    return errnum == EAGAIN || errnum == EWOULDBLOCK || errnum == EINTR || errnum == ENOTCONN;
}

static enum err err_of_stream(int errnum)
{
    switch (errnum) {
    case EPIPE:
    case ECONNRESET:
    case ETIMEDOUT:
        return ERR_NETWORK_EXCEPTION;
    default:
        return ERR_IO;
    }
}

static enum err plain_read(struct net_sock *sock, void *into, size_t room, size_t *got)
{
    ssize_t n = recv(sock->fd, into, room, 0);

    *got = 0;
    if (n > 0) {
        *got = (size_t)n;
        return ERR_OK;
    }
    if (n == 0)
        return ERR_CLOSED;
    return is_not_now(errno) ? ERR_OK : err_of_stream(errno);
}

static enum err plain_writev(struct net_sock *sock, const struct iovec *iov, int count, bool more,
                             size_t *sent)
{
    struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)iov,
                              .msg_iovlen = (size_t)count };
    ssize_t n = sendmsg(sock->fd, &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));

    *sent = n > 0 ? (size_t)n : 0;
    if (n >= 0)
        return ERR_OK;
    return is_not_now(errno) ? ERR_OK : err_of_stream(errno);
}

static enum err plain_send_file(struct net_sock *sock, int fd, int64_t pos, size_t len,
                                size_t *sent)
{
    off_t at = pos;
    ssize_t n = sendfile(sock->fd, fd, &at, len < NET_SEND_FILE_MAX ? len : NET_SEND_FILE_MAX);

    *sent = n > 0 ? (size_t)n : 0;
    if (n > 0)
        return ERR_OK;
    if (n == 0)
        return ERR_IO; /* the file ends before it should */
    return is_not_now(errno) ? ERR_OK : err_of_stream(errno);
}

static void plain_want(struct net_sock *sock, unsigned what)
{
    watch_set(sock->watch, what);
}

static enum err plain_connected(struct net_sock *sock)
{
    int errnum = 0;
    socklen_t len = sizeof errnum;

    if (getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
        return ERR_IO;
    if (errnum == 0)
        return ERR_OK;
    return errnum == ETIMEDOUT ? ERR_TIMED_OUT : err_from_errno(errnum);
}

static enum net_peer_state plain_peer_state(struct net_sock *sock)
{
    struct pollfd poll_fd = { .fd = sock->fd, .events = POLLRDHUP };

    if (poll(&poll_fd, 1, 0) <= 0)
        return NET_PEER_THERE;
    if (poll_fd.revents & (POLLERR | POLLHUP | POLLNVAL))
        return NET_PEER_GONE;
    return poll_fd.revents & POLLRDHUP ? NET_PEER_SENDS_NO_MORE : NET_PEER_THERE;
}

static void plain_close(struct net_sock *sock)
{
    watch_free(&sock->watch);
    close(sock->fd);
    free(sock);
}

static const struct net_ops plain_ops = {
    .read = plain_read,
    .writev = plain_writev,
    .send_file = plain_send_file,
    .want = plain_want,
    .connected = plain_connected,
    .peer_state = plain_peer_state,
    .close = plain_close,
};

static void set_options(int fd, const struct net_sock_conf *conf)
{
    int on = 1;

    /* Fails on what is not TCP, a test's socketpair: fine. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (conf == NULL)
        return;
    if (conf->send_buffer_bytes > 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &conf->send_buffer_bytes,
                   sizeof conf->send_buffer_bytes);
    if (conf->receive_buffer_bytes > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &conf->receive_buffer_bytes,
                   sizeof conf->receive_buffer_bytes);
}

static bool is_on_one_host(const struct net_sock *sock)
{
    struct net_addr here, there;
    uint8_t here_key[16], there_key[16];

    net_local(sock, &here);
    net_peer(sock, &there);
    net_addr_host_key(&here, here_key);
    net_addr_host_key(&there, there_key);
    return here.len > 0 && there.len > 0 && memcmp(here_key, there_key, sizeof here_key) == 0;
}

/* BBR sends by a timer, at the pace of the network. Between processes of one host there is none,
 * and the timers cost a fifth of the CPU that sending in bulk takes. Every kernel has Reno, and
 * lets everybody choose it. */
static void spare_pacing(const struct net_sock *sock)
{
    char name[16] = "";
    socklen_t len = sizeof name - 1;

    if (getsockopt(sock->fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) == 0 &&
        strncmp(name, "bbr", 3) == 0 && is_on_one_host(sock))
        setsockopt(sock->fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

static struct net_sock *sock_new(struct reactor *reactor, int fd, net_on_ready *on_ready, void *arg)
{
    struct net_sock *sock = xcalloc(1, sizeof *sock);

    sock->ops = &plain_ops;
    sock->reactor = reactor;
    sock->fd = fd;
    sock->watch = watch_new(reactor, fd, on_ready, arg);
    return sock;
}

struct net_sock *net_adopt(struct reactor *reactor, int fd, const struct net_sock_conf *conf,
                           net_on_ready *on_ready, void *arg)
{
    ignore_sigpipe();
    set_options(fd, conf);
    struct net_sock *sock = sock_new(reactor, fd, on_ready, arg);
    spare_pacing(sock);
    return sock;
}

enum err net_connect(struct reactor *reactor, const struct net_addr *addr,
                     const struct net_sock_conf *conf, net_on_ready *on_ready, void *arg,
                     struct net_sock **out)
{
    int fd = socket(addr->at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    ignore_sigpipe();
    if (fd < 0)
        return err_from_errno(errno);
    set_options(fd, conf);
    if (connect(fd, &addr->at.any, addr->len) < 0 && errno != EINPROGRESS && errno != EINTR) {
        enum err err = err_from_errno(errno);

        close(fd);
        return err;
    }
    *out = sock_new(reactor, fd, on_ready, arg);
    net_want(*out, NET_WRITE);
    return ERR_OK;
}

void net_close(struct net_sock **sock_ptr)
{
    struct net_sock *sock = *sock_ptr;

    *sock_ptr = NULL;
    if (sock != NULL)
        sock->ops->close(sock);
}

void net_peer(const struct net_sock *sock, struct net_addr *out)
{
    *out = (struct net_addr){ .len = sizeof out->at };
    if (getpeername(sock->fd, &out->at.any, &out->len) < 0 || out->len > sizeof out->at)
        out->len = 0;
}

void net_local(const struct net_sock *sock, struct net_addr *out)
{
    *out = (struct net_addr){ .len = sizeof out->at };
    if (getsockname(sock->fd, &out->at.any, &out->len) < 0 || out->len > sizeof out->at)
        out->len = 0;
}
