/*
 * net - seam: stream sockets. Listen, accept, connect, read, write, send a file range.
 *
 * A struct net_sock is a connected (or connecting) stream on one reactor; what is behind it, plain
 * TCP or TLS, is its table of functions. Nothing here waits: what would block moves 0 bytes and
 * says ERR_OK.
 *
 * Ownership: who opens closes. A descriptor that came from an accept belongs to the callee until
 *            net_adopt() takes it.
 * Threads:   a sock and a listener belong to their reactor. Addresses are values.
 * Errors:    ERR_CLOSED: the peer sends no more. ERR_NETWORK_EXCEPTION: the stream was reset.
 *            ERR_REFUSED, ERR_TIMED_OUT and else ERR_IO for connecting.
 */
#ifndef COMMON_IO_NET_H
#define COMMON_IO_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/base/err.h"
#include "common/io/reactor.h"

/* ---- addresses ---- */

struct net_addr {
    socklen_t len; /* 0: none */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at;
};

#define NET_ADDR_TEXT 64

/* host: a literal address; NULL or "" is the wildcard (all addresses). Never blocks. ERR_NOT_FOUND
 * when it is a name. */
enum err net_addr_literal(const char *host, int port, struct net_addr *out) MUST_USE;
/* The same, or a name, which is looked up and may block for half a minute: for a start and for
 * tools. Who runs on a reactor asks common/io/resolver. ERR_NOT_FOUND when it has no address,
 * ERR_REQUEST_TIMED_OUT when nobody has said whether it has one. */
enum err net_addr_find(const char *host, int port, struct net_addr *out) MUST_USE;
/* And why it was not found, a text that stays. */
enum err net_addr_find_why(const char *host, int port, struct net_addr *out,
                           const char **why) MUST_USE;
/* Which of the two errors it is that getaddrinfo() has failed so. */
enum err net_addr_find_err(int failed) MUST_USE;
void net_addr_set_port(struct net_addr *addr, int port);
/* "127.0.0.1:9092", "[::1]:9092"; returns text. */
const char *net_addr_print(const struct net_addr *addr, char text[NET_ADDR_TEXT]);
/* "127.0.0.1", "::1": an IPv4 address that came through an IPv6 socket is printed as IPv4. */
const char *net_addr_print_host(const struct net_addr *addr, char text[NET_ADDR_TEXT]);
int net_addr_port(const struct net_addr *addr);
/* The host as 16 bytes, IPv4 mapped: what counts connections per address. */
void net_addr_host_key(const struct net_addr *addr, uint8_t key[16]);

/* ---- listening ---- */

struct net_listener;

struct net_accepted {
    int fd; /* the callee's now; -1: none came because of errnum, accepting has been paused */
    int errnum;
    struct net_addr peer;
};

typedef void net_on_accept(void *arg, const struct net_accepted *accepted);

/* backlog <= 0: the system's largest. port 0: any free one. */
enum err net_listen(struct reactor *reactor, const struct net_addr *addr, int backlog,
                    net_on_accept *on_accept, void *arg, struct net_listener **out) MUST_USE;
void net_listener_addr(const struct net_listener *listener, struct net_addr *out);
/* While paused, who connects waits in the backlog. */
void net_listener_pause(struct net_listener *listener, bool pause);
void net_listener_close(struct net_listener **listener_ptr);

/* ---- streams ---- */

enum { NET_READ = REACTOR_READ, NET_WRITE = REACTOR_WRITE };

struct net_sock;
/* what: NET_READ or NET_WRITE, of those wanted. The sock may be closed in it. */
typedef void net_on_ready(void *arg, unsigned what);

/* What the peer has done to the stream, seen without reading what it has sent. */
enum net_peer_state { NET_PEER_THERE, NET_PEER_SENDS_NO_MORE, NET_PEER_GONE };

struct net_ops {
    enum err (*read)(struct net_sock *sock, void *into, size_t room, size_t *got);
    enum err (*writev)(struct net_sock *sock, const struct iovec *iov, int count, bool more,
                       size_t *sent);
    enum err (*send_file)(struct net_sock *sock, int fd, int64_t pos, size_t len, size_t *sent);
    void (*want)(struct net_sock *sock, unsigned what);
    enum err (*connected)(struct net_sock *sock);
    enum net_peer_state (*peer_state)(struct net_sock *sock);
    void (*close)(struct net_sock *sock);
};

/* What every kind of stream begins with. */
struct net_sock {
    const struct net_ops *ops; /* [I] */
    struct reactor *reactor;   /* [I] */
    struct watch *watch;       /* [o] */
    int fd;                    /* [I] */
};

struct net_sock_conf {
    int send_buffer_bytes;    /* <= 0: the system's choice */
    int receive_buffer_bytes; /* <= 0: the system's choice */
};

/* Plain TCP over a connected descriptor, which it takes; TCP_NODELAY and
 * SO_KEEPALIVE are set. conf may be NULL.
 * Watches nothing yet. */
struct net_sock *net_adopt(struct reactor *reactor, int fd, const struct net_sock_conf *conf,
                           net_on_ready *on_ready, void *arg);
/* Begins to connect. *out at once; NET_WRITE, which is wanted already, tells that it is decided:
 * then ask net_connected(). The caller's timer bounds it. */
enum err net_connect(struct reactor *reactor, const struct net_addr *addr,
                     const struct net_sock_conf *conf, net_on_ready *on_ready, void *arg,
                     struct net_sock **out) MUST_USE;
void net_close(struct net_sock **sock_ptr);

/* ERR_OK when connected; else why not. */
static inline enum err net_connected(struct net_sock *sock)
{
    return sock->ops->connected(sock);
}
/* *got 0: nothing there now. */
static inline enum err net_read(struct net_sock *sock, void *into, size_t room, size_t *got)
{
    return sock->ops->read(sock, into, room, got);
}
/* more: something follows at once, so do not send a short packet. *sent 0: no room now. */
static inline enum err net_writev(struct net_sock *sock, const struct iovec *iov, int count,
                                  bool more, size_t *sent)
{
    return sock->ops->writev(sock, iov, count, more, sent);
}
/* At most NET_SEND_FILE_MAX bytes a call. ERR_IO when the file ends before pos + len. */
#define NET_SEND_FILE_MAX (256 * 1024)
static inline enum err net_send_file(struct net_sock *sock, int fd, int64_t pos, size_t len,
                                     size_t *sent)
{
    return sock->ops->send_file(sock, fd, pos, len, sent);
}
/* For who has stopped reading and would not notice. */
static inline enum net_peer_state net_peer_state(struct net_sock *sock)
{
    return sock->ops->peer_state(sock);
}
static inline void net_want(struct net_sock *sock, unsigned what)
{
    sock->ops->want(sock, what);
}
static inline unsigned net_wanted(const struct net_sock *sock)
{
    return watch_get(sock->watch);
}
void net_peer(const struct net_sock *sock, struct net_addr *out);
void net_local(const struct net_sock *sock, struct net_addr *out);

#endif
