/*
 * All connections are begun at once, each to every address of its name; whoever is connected is
 * asked for ApiVersions, whoever has answered is done. A broker that does not know our version of
 * ApiVersions answers in version 0, with what it does know: that will do.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/frame.h"
#include "controller/cli/kafka_client.h"
#include "gen/wire/api_versions.h"
#include "gen/wire/apis.h"

#define ASK_VERSION      3
#define ANSWER_BYTES_MAX (64 * 1024) /* of ApiVersions; Kafka's is under 1 KiB */

struct attempt {
    struct kafka_target *target;
    char *peer;
    int fd;           /* -1: over */
    bool connected;   /* and asked */
    size_t sent, got; /* bytes */
    uint8_t *answer;  /* NULL before connected */
};

struct dial {
    struct attempt *attempts;
    size_t len, cap;
    int64_t start_us;
    FILE *trace;
};

static void give_up(struct attempt *attempt, enum err err)
{
    if (attempt->fd >= 0)
        close(attempt->fd);
    attempt->fd = -1;
    if (attempt->target->client == NULL)
        attempt->target->err = err;
}

static void begin_address(struct dial *dial, struct kafka_target *target, const struct addrinfo *at)
{
    int one = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct attempt *attempt;

    if (fd < 0)
        return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    array_reserve(&dial->attempts, &dial->cap, dial->len, sizeof *dial->attempts);
    attempt = &dial->attempts[dial->len++];
    *attempt = (struct attempt){ .target = target,
                                 .peer = xasprintf("%s:%d", target->host, target->port),
                                 .fd = fd };
    if (connect(fd, at->ai_addr, at->ai_addrlen) != 0 && errno != EINPROGRESS)
        give_up(attempt, err_from_errno(errno));
}

static void begin(struct dial *dial, struct kafka_target *target)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    char port[16];

    target->client = NULL;
    target->err = ERR_TIMED_OUT;
    target->took_us = 0;
    snprintf(port, sizeof port, "%d", target->port);
    if (getaddrinfo(target->host, port, &hints, &found) != 0) {
        target->err = ERR_NOT_FOUND;
        return;
    }
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
        begin_address(dial, target, at);
    freeaddrinfo(found);
}

static void ask_versions(struct attempt *attempt)
{
    struct frame_request_header header = { .api_key = API_API_VERSIONS,
                                           .api_version = ASK_VERSION,
                                           .correlation_id = 0,
                                           .client_id = STR("moldau") };
    struct api_versions_request request;
    uint8_t frame[256];
    struct wire_out out = wire_out_of(frame, sizeof frame);
    size_t len;

    api_versions_request_init(&request);
    request.client_software_name = STR("moldau-cli");
    request.client_software_version = STR(MOLDAU_VERSION);
    len = frame_request_header_size(&header) + api_versions_request_size(&request, ASK_VERSION);
    wire_put_i32(&out, (int32_t)len);
    frame_request_header_encode(&header, &out);
    api_versions_request_encode(&request, &out, ASK_VERSION);
    /* The buffer of a new connection takes a hundred bytes. */
    if (send(attempt->fd, frame, out.pos, MSG_NOSIGNAL) != (ssize_t)out.pos) {
        give_up(attempt, ERR_CLOSED);
        return;
    }
    attempt->sent = out.pos;
    attempt->answer = xmalloc(ANSWER_BYTES_MAX);
    attempt->connected = true;
}

static enum err take_versions(struct kafka_client *client, const uint8_t *bytes, size_t len)
{
    struct arena arena;
    struct api_versions_response response;
    struct wire_in in, again;
    int32_t correlation_id;
    enum err err;

    arena_init(&arena, ANSWER_BYTES_MAX * 19);
    in = wire_in_of(bytes, len, &arena);
    err = frame_response_header_decode(&correlation_id, &in, API_API_VERSIONS, ASK_VERSION);
    again = in;
    if (err == ERR_OK && wire_get_i16(&again) == ERR_UNSUPPORTED_VERSION)
        err = api_versions_response_decode(&response, &in, 0);
    else if (err == ERR_OK)
        err = api_versions_response_decode(&response, &in, ASK_VERSION);
    for (int32_t i = 0; err == ERR_OK && i < response.api_keys_len; i++)
        kafka_client_offer(client, response.api_keys[i].api_key, response.api_keys[i].min_version,
                           response.api_keys[i].max_version);
    arena_fini(&arena);
    return err;
}

static void finish(struct dial *dial, struct attempt *attempt)
{
    struct kafka_target *target = attempt->target;
    struct kafka_client *client;
    enum err err;

    if (target->client != NULL) {
        give_up(attempt, ERR_CLOSED);
        return;
    }
    client = kafka_client_of(attempt->fd, attempt->peer, dial->trace);
    attempt->fd = -1;
    target->took_us = clock_mono_us() - dial->start_us;
    err = take_versions(client, attempt->answer + FRAME_LEN_BYTES, attempt->got - FRAME_LEN_BYTES);
    kafka_trace(dial->trace, attempt->peer, API_API_VERSIONS, ASK_VERSION, attempt->sent,
                attempt->got, target->took_us, err == ERR_OK ? "ok" : err_name(err));
    target->err = err;
    if (err == ERR_OK)
        target->client = client;
    else
        kafka_close(&client);
}

static void read_some(struct dial *dial, struct attempt *attempt)
{
    ssize_t n = recv(attempt->fd, attempt->answer + attempt->got, ANSWER_BYTES_MAX - attempt->got,
                     MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        give_up(attempt, ERR_CLOSED);
        return;
    }
    attempt->got += (size_t)n;
    if (attempt->got < FRAME_LEN_BYTES)
        return;
    int32_t len = load_i32(attempt->answer);
    if (len < 4 || len > ANSWER_BYTES_MAX - FRAME_LEN_BYTES)
        give_up(attempt, ERR_BAD_FORMAT);
    else if (attempt->got >= FRAME_LEN_BYTES + (size_t)len)
        finish(dial, attempt);
}

static void on_ready(struct dial *dial, struct attempt *attempt)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (attempt->connected) {
        read_some(dial, attempt);
        return;
    }
    if (getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error != 0)
        give_up(attempt, err_from_errno(error));
    else
        ask_versions(attempt);
}

/* One round of poll(); false when nothing is under way any more, or at the deadline. */
static bool turn(struct dial *dial, struct pollfd *polls, struct attempt **who, int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - clock_mono_ms();
    nfds_t n = 0;

    for (size_t i = 0; i < dial->len; i++) {
        struct attempt *attempt = &dial->attempts[i];

        if (attempt->fd < 0)
            continue;
        polls[n] =
            (struct pollfd){ .fd = attempt->fd, .events = attempt->connected ? POLLIN : POLLOUT };
        who[n++] = attempt;
    }
    if (n == 0 || left_ms <= 0)
        return false;
    if (poll(polls, n, left_ms > 60000 ? 60000 : (int)left_ms) < 0)
        return errno == EINTR;
    for (nfds_t i = 0; i < n; i++) {
        if (polls[i].revents != 0)
            on_ready(dial, who[i]);
    }
    return true;
}

void kafka_dial(struct kafka_target *targets, int n, bool first_only, int64_t deadline_ms,
                FILE *trace)
{
    struct dial dial = { .start_us = clock_mono_us(), .trace = trace };
    struct pollfd *polls;
    struct attempt **who;
    bool on = true, on_time = false;

    for (int i = 0; i < n; i++)
        begin(&dial, &targets[i]);
    polls = xcalloc(dial.len + 1, sizeof *polls);
    who = xcalloc(dial.len + 1, sizeof(struct attempt *));
    while (on) {
        on = turn(&dial, polls, who, deadline_ms);
        for (int i = 0; first_only && i < n; i++) {
            if (targets[i].client != NULL) {
                on = false;
                on_time = true;
            }
        }
    }
    for (size_t i = 0; i < dial.len; i++) {
        struct attempt *attempt = &dial.attempts[i];

        /* Of several addresses the one that hangs tells more than the one that refused. */
        if (attempt->fd >= 0)
            give_up(attempt, on_time ? ERR_CLOSED : ERR_TIMED_OUT);
        free(attempt->answer);
        free(attempt->peer);
    }
    free(dial.attempts);
    free(polls);
    free(who);
}
