/*
 * moldau-switch SUBNET SOCKET NAME=HOST... - a network of namespaces with faults on order.
 *
 *   moldau-switch 10.213.7 net.sock 1=11 2=12 c1=101 z1=201
 *
 * Every NAME gets a network namespace of its own with one interface, SUBNET.HOST; the namespace of
 * whoever started us gets SUBNET.1 under the name "clients". Packets between any two of them pass
 * through this process, which forwards, delays or drops them by rules that hold for one direction
 * of one pair: what packet filters and traffic shaping would do, on kernels that have neither.
 *
 * How it works: an interface of a namespace is a TUN device whose other end is a descriptor here. A
 * namespace is nothing but a descriptor either (/proc/PID/fd/N is a door for nsenter), so that all
 * of it is gone when this process and those inside are. Packets are read from a device, looked up
 * by destination address, and written to another one, or wait in a heap for their moment. One
 * packet never overtakes another of its direction; beyond a bound of waiting bytes the newest are
 * dropped, as a router would.
 *
 * Commands come as packets on SOCKET (SOCK_SEQPACKET), one answer each:
 *   set FROM TO KEY=N...    cut=0|1, loss=millionths, delay=microseconds, jitter=microseconds;
 *                           `*` stands for everybody. Rules not named stay.
 *   mend                    no rule is left; what waits is let through
 *   show                    a line per namespace, `node NAME ADDRESS DESCRIPTOR FORWARDED DROPPED`,
 *                           and one per direction that is not clear, `rule FROM TO KEY=N...`
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/rand.h"

#define PORTS_MAX    128
#define MTU          65520
#define WAITING_MAX  (256u << 20) /* bytes */
#define TURN_PACKETS 64           /* from one device before the others have their turn */
#define COMMAND_MAX  256
#define ANSWER_MAX   16384
#define CLIENTS      "clients"
#define CLIENTS_HOST 1
#define IPV4_HEADER  20
#define IPV4_DEST    16

struct port {
    char name[16];
    uint8_t host; /* last byte of its address */
    int tun_fd;
    int ns_fd;
    uint64_t forwarded, dropped; /* of what it sent */
};

/* One direction of one pair. */
struct rule {
    bool cut;
    uint32_t loss; /* millionths */
    int64_t delay_us, jitter_us;
    int64_t last_due_us; /* nothing overtakes */
};

struct packet {
    int64_t due_us;
    uint64_t seq;
    size_t to;
    size_t len;
    uint8_t bytes[];
};

struct hub {
    struct port ports[PORTS_MAX];
    size_t n;
    uint8_t by_host[256]; /* index + 1, 0 nobody */
    struct rule rules[PORTS_MAX][PORTS_MAX];
    struct packet **heap; /* by due_us, then seq */
    size_t heap_len, heap_cap, waiting_bytes;
    uint64_t seq;
    int listen_fd, command_fd; /* -1 none */
    struct rand rand;
    char subnet[12];
};

static _Noreturn void die(const char *doing)
{
    fprintf(stderr, "moldau-switch: cannot %s: %s\n", doing, strerror(errno));
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- namespaces and devices --------------------------------------------------------------------
 */

static void set_address(int sock, struct ifreq *req, unsigned long what, const char *address)
{
    struct sockaddr_in in = { .sin_family = AF_INET };

    if (inet_pton(AF_INET, address, &in.sin_addr) != 1)
        die("understand an address");
    memcpy(&req->ifr_addr, &in, sizeof in);
    if (ioctl(sock, what, req) != 0)
        die("give a device its address");
}

static void raise_device(int sock, struct ifreq *req)
{
    if (ioctl(sock, SIOCGIFFLAGS, req) != 0)
        die("ask a device");
    req->ifr_flags = (short)(req->ifr_flags | IFF_UP);
    if (ioctl(sock, SIOCSIFFLAGS, req) != 0)
        die("raise a device");
}

/* In the namespace we are in: a device with that address. Returns its descriptor. */
static int open_device(const char *name, const char *subnet, uint8_t host)
{
    struct ifreq req = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    char address[20];
    int tun_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (tun_fd < 0 || sock < 0)
        die("open /dev/net/tun");
    strcpy(req.ifr_name, name);
    if (ioctl(tun_fd, TUNSETIFF, &req) != 0)
        die("make a device");
    snprintf(address, sizeof address, "%s.%u", subnet, host);
    set_address(sock, &req, SIOCSIFADDR, address);
    set_address(sock, &req, SIOCSIFNETMASK, "255.255.255.0");
    req.ifr_mtu = MTU;
    if (ioctl(sock, SIOCSIFMTU, &req) != 0)
        die("set an MTU");
    raise_device(sock, &req);
    close(sock);
    return tun_fd;
}

static void raise_loopback(void)
{
    struct ifreq req = { .ifr_name = "lo" };
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (sock < 0)
        die("open a socket");
    raise_device(sock, &req);
    close(sock);
}

static void add_port(struct hub *hub, const char *name, uint8_t host, int home_fd)
{
    struct port *port = &hub->ports[hub->n];

    snprintf(port->name, sizeof port->name, "%s", name);
    port->host = host;
    port->ns_fd = -1;
    if (home_fd >= 0) {
        if (unshare(CLONE_NEWNET) != 0)
            die("make a network namespace (that takes root)");
        port->ns_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        if (port->ns_fd < 0)
            die("open a network namespace");
        raise_loopback();
    }
    port->tun_fd = open_device(home_fd >= 0 ? "eth0" : "moldau%d", hub->subnet, host);
    if (home_fd >= 0 && setns(home_fd, CLONE_NEWNET) != 0)
        die("return to the first network namespace");
    hub->by_host[host] = (uint8_t)(hub->n + 1);
    hub->n++;
}

/* --- packets ------------------------------------------------------------------------------------
 */

static bool is_before(const struct packet *a, const struct packet *b)
{
    return a->due_us < b->due_us || (a->due_us == b->due_us && a->seq < b->seq);
}

static void heap_push(struct hub *hub, struct packet *packet)
{
    size_t at = hub->heap_len;

    array_reserve(&hub->heap, &hub->heap_cap, hub->heap_len, sizeof(struct packet *));
    hub->heap_len++;
    while (at > 0 && is_before(packet, hub->heap[(at - 1) / 2])) {
        hub->heap[at] = hub->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    hub->heap[at] = packet;
}

static struct packet *heap_pop(struct hub *hub)
{
    struct packet *first = hub->heap[0];
    struct packet *last = hub->heap[--hub->heap_len];
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= hub->heap_len)
            break;
        if (child + 1 < hub->heap_len && is_before(hub->heap[child + 1], hub->heap[child]))
            child++;
        if (!is_before(hub->heap[child], last))
            break;
        hub->heap[at] = hub->heap[child];
        at = child;
    }
    hub->heap[at] = last;
    return first;
}

/* A device takes a packet or it is lost, as on any wire. */
static void deliver(struct hub *hub, size_t to, const uint8_t *bytes, size_t len)
{
    ssize_t put = write(hub->ports[to].tun_fd, bytes, len);

    (void)put;
}

static void hold(struct hub *hub, size_t to, int64_t due_us, const uint8_t *bytes, size_t len)
{
    struct packet *packet = xmalloc(sizeof *packet + len);

    packet->due_us = due_us;
    packet->seq = hub->seq++;
    packet->to = to;
    packet->len = len;
    memcpy(packet->bytes, bytes, len);
    hub->waiting_bytes += len;
    heap_push(hub, packet);
}

static void forward(struct hub *hub, size_t from, const uint8_t *bytes, size_t len, int64_t now)
{
    struct port *port = &hub->ports[from];
    struct rule *rule;
    int64_t due_us;
    size_t to;

    /* IPv4 within our subnet; a device's own chatter (IPv6, multicast) ends here */
    if (len < IPV4_HEADER || bytes[0] >> 4 != 4 || hub->by_host[bytes[IPV4_DEST + 3]] == 0)
        return;
    to = hub->by_host[bytes[IPV4_DEST + 3]] - 1u;
    rule = &hub->rules[from][to];
    if (rule->cut || (rule->loss > 0 && rand_below(&hub->rand, 1000000) < rule->loss) ||
        hub->waiting_bytes + len > WAITING_MAX) {
        port->dropped++;
        return;
    }
    port->forwarded++;
    due_us = now + rule->delay_us;
    if (rule->jitter_us > 0)
        due_us += (int64_t)rand_below(&hub->rand, (uint64_t)rule->jitter_us);
    if (due_us < rule->last_due_us)
        due_us = rule->last_due_us;
    if (due_us <= now) {
        deliver(hub, to, bytes, len);
        return;
    }
    rule->last_due_us = due_us;
    hold(hub, to, due_us, bytes, len);
}

static void drain_device(struct hub *hub, size_t from)
{
    static uint8_t bytes[65536];
    int64_t now = now_us();

    for (int i = 0; i < TURN_PACKETS; i++) {
        ssize_t len = read(hub->ports[from].tun_fd, bytes, sizeof bytes);

        if (len <= 0)
            return;
        forward(hub, from, bytes, (size_t)len, now);
    }
}

/* Lets go of what is due by then. */
static void release(struct hub *hub, int64_t now)
{
    while (hub->heap_len > 0 && hub->heap[0]->due_us <= now) {
        struct packet *packet = heap_pop(hub);

        hub->waiting_bytes -= packet->len;
        deliver(hub, packet->to, packet->bytes, packet->len);
        free(packet);
    }
}

/* --- commands -----------------------------------------------------------------------------------
 */

/* Index of a name; hub->n for "*"; -1 for a stranger. */
static int port_of(const struct hub *hub, const char *name)
{
    if (strcmp(name, "*") == 0)
        return (int)hub->n;
    for (size_t i = 0; i < hub->n; i++)
        if (strcmp(hub->ports[i].name, name) == 0)
            return (int)i;
    return -1;
}

static bool change(struct rule *rule, const char *word)
{
    const char *equals = strchr(word, '=');
    char *end;

    if (equals == NULL)
        return false;
    int64_t value = strtoll(equals + 1, &end, 10);
    size_t len = (size_t)(equals - word);
    if (end == equals + 1 || *end != '\0' || value < 0)
        return false;
    if (len == 3 && memcmp(word, "cut", len) == 0)
        rule->cut = value != 0;
    else if (len == 4 && memcmp(word, "loss", len) == 0 && value <= 1000000)
        rule->loss = (uint32_t)value;
    else if (len == 5 && memcmp(word, "delay", len) == 0)
        rule->delay_us = value;
    else if (len == 6 && memcmp(word, "jitter", len) == 0)
        rule->jitter_us = value;
    else
        return false;
    return true;
}

static bool set(struct hub *hub, char *words)
{
    const char *from_name = strtok(words, " ");
    const char *to_name = strtok(NULL, " ");
    int from = from_name != NULL ? port_of(hub, from_name) : -1;
    int to = to_name != NULL ? port_of(hub, to_name) : -1;
    const char *word;

    if (from < 0 || to < 0)
        return false;
    while ((word = strtok(NULL, " ")) != NULL)
        for (size_t i = 0; i < hub->n; i++)
            for (size_t j = 0; j < hub->n; j++)
                if ((from == (int)hub->n || from == (int)i) &&
                    (to == (int)hub->n || to == (int)j) && i != j &&
                    !change(&hub->rules[i][j], word))
                    return false;
    return true;
}

/* Appends to an answer; what does not fit is left out. */
__attribute__((format(printf, 3, 4))) static void tell(char *answer, size_t *len,
                                                       const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int put = vsnprintf(answer + *len, ANSWER_MAX - *len, format, args);
    va_end(args);
    if (put >= 0 && (size_t)put < ANSWER_MAX - *len)
        *len += (size_t)put;
    answer[*len] = '\0';
}

static void show(const struct hub *hub, char *answer)
{
    size_t len = 0;

    for (size_t i = 0; i < hub->n; i++) {
        const struct port *port = &hub->ports[i];

        tell(answer, &len, "node %s %s.%u %d %llu %llu\n", port->name, hub->subnet, port->host,
             port->ns_fd, (unsigned long long)port->forwarded, (unsigned long long)port->dropped);
    }
    for (size_t i = 0; i < hub->n; i++)
        for (size_t j = 0; j < hub->n; j++) {
            const struct rule *rule = &hub->rules[i][j];

            if (rule->cut || rule->loss > 0 || rule->delay_us > 0 || rule->jitter_us > 0)
                tell(answer, &len, "rule %s %s cut=%d loss=%u delay=%lld jitter=%lld\n",
                     hub->ports[i].name, hub->ports[j].name, rule->cut, rule->loss,
                     (long long)rule->delay_us, (long long)rule->jitter_us);
        }
}

static void obey(struct hub *hub, char *command, char *answer)
{
    strcpy(answer, "ok");
    if (strncmp(command, "set ", 4) == 0) {
        if (!set(hub, command + 4))
            strcpy(answer, "not understood");
    } else if (strcmp(command, "mend") == 0) {
        memset(hub->rules, 0, sizeof hub->rules);
        release(hub, INT64_MAX);
    } else if (strcmp(command, "show") == 0) {
        show(hub, answer);
    } else {
        strcpy(answer, "not understood");
    }
}

static void take_command(struct hub *hub)
{
    static char answer[ANSWER_MAX];
    char command[COMMAND_MAX];
    ssize_t len = read(hub->command_fd, command, sizeof command - 1);

    if (len > 0) {
        command[len] = '\0';
        obey(hub, command, answer);
        if (write(hub->command_fd, answer, strlen(answer)) >= 0)
            return;
    }
    close(hub->command_fd);
    hub->command_fd = -1;
}

static void open_socket(struct hub *hub, const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof at.sun_path) {
        errno = ENAMETOOLONG;
        die("listen");
    }
    strcpy(at.sun_path, path);
    unlink(path);
    hub->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (hub->listen_fd < 0 || bind(hub->listen_fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        listen(hub->listen_fd, 16) != 0)
        die("listen");
}

/* --- the loop -----------------------------------------------------------------------------------
 */

static int wait_ms(const struct hub *hub)
{
    if (hub->heap_len == 0)
        return -1;
    int64_t left_us = hub->heap[0]->due_us - now_us();

    return left_us <= 0 ? 0 : (int)(left_us / 1000) + 1;
}

static void turn(struct hub *hub)
{
    struct pollfd fds[PORTS_MAX + 1];

    for (size_t i = 0; i < hub->n; i++)
        fds[i] = (struct pollfd){ .fd = hub->ports[i].tun_fd, .events = POLLIN };
    /* one asker at a time; the next one waits in the backlog */
    fds[hub->n] = (struct pollfd){ .fd = hub->command_fd >= 0 ? hub->command_fd : hub->listen_fd,
                                   .events = POLLIN };
    if (poll(fds, hub->n + 1, wait_ms(hub)) < 0 && errno != EINTR)
        die("poll");
    if (fds[hub->n].revents != 0) {
        if (hub->command_fd >= 0)
            take_command(hub);
        else
            hub->command_fd = accept4(hub->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    }
    release(hub, now_us());
    for (size_t i = 0; i < hub->n; i++)
        if ((fds[i].revents & POLLIN) != 0)
            drain_device(hub, i);
}

int main(int argc, char **argv)
{
    static struct hub hub;
    int home_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    if (argc < 4 || argc - 3 >= PORTS_MAX || strlen(argv[1]) >= sizeof hub.subnet) {
        fprintf(stderr, "usage: moldau-switch SUBNET SOCKET NAME=HOST...\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    rand_seed_os(&hub.rand);
    hub.command_fd = -1;
    strcpy(hub.subnet, argv[1]);
    add_port(&hub, CLIENTS, CLIENTS_HOST, -1);
    for (int i = 3; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        unsigned long host = equals != NULL ? strtoul(equals + 1, NULL, 10) : 0;

        if (host <= CLIENTS_HOST || host > 254 || hub.by_host[host] != 0) {
            fprintf(stderr, "moldau-switch: %s is not NAME=HOST with a HOST of its own\n", argv[i]);
            return 2;
        }
        *equals = '\0';
        add_port(&hub, argv[i], (uint8_t)host, home_fd);
    }
    open_socket(&hub, argv[2]);
    for (;;)
        turn(&hub);
}
