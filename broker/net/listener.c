/*
 * A listener accepts on one reactor, asks the door, and hands the descriptor to the reactor with
 * the fewest connections. When the door is full it stops accepting and looks again a little later,
 * which costs less than a message from every connection that ends.
 */
#include "broker/net/listener.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uthash.h>

#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/base/say.h"

#define FULL_RETRY_MS     20
#define FILES_OF_OURS     128 /* checkpoints, ZooKeeper, other brokers, ... */
#define CONNECTIONS_LEAST 64  /* however few files are allowed */

/* ---- the door ---- */

struct host {
    uint8_t key[16];
    int count;
    UT_hash_handle hh;
};

struct door {
    struct door_conf conf; /* [I] */
    struct lock lock;      /* rank LOCK_LEAF */
    struct host *hosts;    /* [m] only when per_ip_max is a bound */
    int count;             /* [m] */
};

struct door *door_new(const struct door_conf *conf)
{
    struct door *door = xcalloc(1, sizeof *door);

    door->conf = *conf;
    lock_init(&door->lock, LOCK_LEAF);
    return door;
}

void door_free(struct door **door_ptr)
{
    struct door *door = *door_ptr;

    *door_ptr = NULL;
    if (door == NULL)
        return;
    assert(door->count == 0);
    assert(door->hosts == NULL);
    lock_fini(&door->lock);
    free(door);
}

int door_count(struct door *door)
{
    lock_take(&door->lock);
    int count = door->count;
    lock_drop(&door->lock);
    return count;
}

int door_files_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 2 > INT32_MAX)
        return 0;
    int half = (int)(limit.rlim_cur / 2);

    return half > FILES_OF_OURS + CONNECTIONS_LEAST ? half - FILES_OF_OURS : CONNECTIONS_LEAST;
}

static bool counts_hosts(const struct door *door)
{
    return door->conf.per_ip_max > 0 && door->conf.per_ip_max < INT32_MAX;
}

/* Why nobody else is let in, NULL: there is room. */
static const char *why_full(struct door *door)
{
    int count = door_count(door);

    if (door->conf.max > 0 && count >= door->conf.max)
        return "max.connections reached, accepting pauses";
    if (door->conf.files_max > 0 && count >= door->conf.files_max)
        return "no open files are left for more connections, accepting pauses, raise the hard "
               "limit "
               "(ulimit -Hn)";
    return NULL;
}

/* Counts the peer in, or says why not. */
static bool door_enter(struct door *door, const struct net_addr *peer)
{
    struct host *host = NULL;
    bool admitted = true;
    uint8_t key[16];

    net_addr_host_key(peer, key);
    lock_take(&door->lock);
    if (counts_hosts(door)) {
        HASH_FIND(hh, door->hosts, key, sizeof key, host);
        if (host == NULL) {
            host = xcalloc(1, sizeof *host);
            memcpy(host->key, key, sizeof key);
            HASH_ADD(hh, door->hosts, key, sizeof host->key, host);
        }
        admitted = host->count < door->conf.per_ip_max;
        host->count += admitted;
    }
    door->count += admitted;
    lock_drop(&door->lock);
    return admitted;
}

void door_leave(struct door *door, const struct net_addr *peer)
{
    struct host *host = NULL;
    uint8_t key[16];

    net_addr_host_key(peer, key);
    lock_take(&door->lock);
    assert(door->count > 0);
    door->count--;
    if (counts_hosts(door)) {
        HASH_FIND(hh, door->hosts, key, sizeof key, host);
        assert(host != NULL);
        if (--host->count == 0) {
            HASH_DEL(door->hosts, host);
            free(host);
        }
    }
    lock_drop(&door->lock);
}

/* ---- the listener ---- */

/* [I] set at the start   [o] the reactor it accepts on */
struct listener {
    struct reactor *reactor;    /* [I] */
    struct door *door;          /* [I] may be NULL */
    struct listener_info info;  /* [I] */
    struct net_listener *net;   /* [o] NULL once stopped */
    struct reactor_timer again; /* [o] looks whether there is room */
    char *name, *protocol;      /* [I] info's */
    size_t conns_count;         /* [I] */
    struct conns *conns[];      /* [I] */
};

static struct conns *least_loaded(const struct listener *listener)
{
    struct conns *least = listener->conns[0];

    for (size_t i = 1; i < listener->conns_count; i++)
        if (conns_count(listener->conns[i]) < conns_count(least))
            least = listener->conns[i];
    return least;
}

static void pause_if_full(struct listener *listener)
{
    const char *why =
        listener->door == NULL || listener->info.is_inter_broker ? NULL : why_full(listener->door);

    if (why == NULL) {
        net_listener_pause(listener->net, false);
        return;
    }
    say_limited(SAY_WARN, "%s listener=%s", why, listener->info.name);
    net_listener_pause(listener->net, true);
    reactor_timer_set_ms(listener->reactor, &listener->again, FULL_RETRY_MS);
}

static void on_again(struct reactor_timer *timer)
{
    pause_if_full(container_of(timer, struct listener, again));
}

static void on_accept(void *arg, const struct net_accepted *accepted)
{
    struct listener *listener = arg;
    char peer[NET_ADDR_TEXT];

    if (accepted->fd < 0) {
        say_limited(SAY_ERROR, "cannot accept, pausing listener=%s err=\"%s\"", listener->info.name,
                    strerror(accepted->errnum));
        return;
    }
    if (listener->door != NULL && !door_enter(listener->door, &accepted->peer)) {
        say_limited(SAY_WARN, "max.connections.per.ip reached, closing connection peer=%s",
                    net_addr_print(&accepted->peer, peer));
        close(accepted->fd);
        return;
    }
    struct conns *conns = least_loaded(listener);
    conns_hand_over(conns, accepted->fd, &accepted->peer, &listener->info, listener->door);
    if (listener->door != NULL && why_full(listener->door) != NULL)
        pause_if_full(listener);
}

enum err listener_open(struct reactor *reactor, const struct listener_conf *conf, struct door *door,
                       struct conns *const *conns, size_t conns_count, struct listener **out)
{
    struct net_addr addr;
    enum err err = net_addr_find(conf->host, conf->port, &addr);

    if (err != ERR_OK)
        return err;
    assert(conns_count > 0);
    struct listener *listener = xcalloc(1, sizeof *listener + conns_count * sizeof(struct conns *));
    err = net_listen(reactor, &addr, conf->backlog, on_accept, listener, &listener->net);
    if (err != ERR_OK) {
        free(listener);
        return err;
    }
    net_listener_pause(listener->net, true);
    net_listener_addr(listener->net, &addr);
    listener->reactor = reactor;
    listener->door = door;
    listener->name = xstrdup(conf->name);
    listener->protocol = xstrdup(conf->protocol);
    listener->info = (struct listener_info){ .name = listener->name,
                                             .protocol = listener->protocol,
                                             .is_inter_broker = conf->is_inter_broker,
                                             .port = net_addr_port(&addr) };
    reactor_timer_init(&listener->again, on_again);
    listener->conns_count = conns_count;
    memcpy(listener->conns, conns, conns_count * sizeof(struct conns *));
    *out = listener;
    return ERR_OK;
}

static void start(void *arg)
{
    struct listener *listener = arg;

    if (listener->net != NULL)
        pause_if_full(listener);
}

void listener_start(struct listener *listener)
{
    reactor_call(listener->reactor, start, listener);
}

static void stop(void *arg)
{
    struct listener *listener = arg;

    reactor_timer_cancel(listener->reactor, &listener->again);
    net_listener_close(&listener->net);
}

void listener_stop(struct listener *listener)
{
    reactor_call(listener->reactor, stop, listener);
}

void listener_free(struct listener **listener_ptr)
{
    struct listener *listener = *listener_ptr;

    *listener_ptr = NULL;
    if (listener == NULL)
        return;
    assert(listener->net == NULL);
    free(listener->name);
    free(listener->protocol);
    free(listener);
}

const struct listener_info *listener_info(const struct listener *listener)
{
    return &listener->info;
}

int listener_port(const struct listener *listener)
{
    return listener->info.port;
}
