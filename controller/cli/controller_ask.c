/*
 * A hello that says it only asks gets a Welcome, which names ZooKeeper, and the connection ends.
 * An older controller, which does not know the question, answers with a Goodbye.
 */
#include "controller/cli/controller_ask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/stream/stream.h"
#include "controller/cli/zk_find.h"

#define ANSWER_BYTES_MAX (1 << 20)

static enum err connect_to(const struct address *address, int64_t wait_ms, int *out)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found;
    /* Send time-outs bound connect() too. */
    struct timeval wait = { .tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000 };
    enum err err = ERR_NOT_FOUND;
    char port[16];

    snprintf(port, sizeof port, "%d", address->port);
    if (getaddrinfo(address->host, port, &hints, &found) != 0)
        return ERR_NOT_FOUND;
    for (const struct addrinfo *at = found; at != NULL && err != ERR_OK; at = at->ai_next) {
        int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
            continue;
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
        if (connect(fd, at->ai_addr, at->ai_addrlen) == 0) {
            *out = fd;
            err = ERR_OK;
        } else {
            err = errno == EINPROGRESS || errno == EAGAIN ? ERR_TIMED_OUT : err_from_errno(errno);
            close(fd);
        }
    }
    freeaddrinfo(found);
    return err;
}

/* wish: 0 none. */
static enum err send_hello(int fd, int wish)
{
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Hello hello = CONTROL__HELLO__INIT;
    uint8_t bytes[64];
    size_t len;

    hello.has_protocol = 1;
    hello.protocol = STREAM_PROTOCOL;
    hello.has_asks_place = 1;
    hello.asks_place = 1;
    hello.has_wish = wish != 0;
    hello.wish = (Control__Hello__Wish)wish;
    frame.hello = &hello;
    len = control__frame__get_packed_size(&frame);
    if (len > sizeof bytes - 4)
        return ERR_TOO_LARGE;
    store_be32(bytes, (uint32_t)len);
    control__frame__pack(&frame, bytes + 4);
    return send(fd, bytes, len + 4, MSG_NOSIGNAL) == (ssize_t)(len + 4) ? ERR_OK : ERR_CLOSED;
}

static enum err receive(int fd, void *bytes, size_t len)
{
    ssize_t n = recv(fd, bytes, len, MSG_WAITALL);

    if (n == (ssize_t)len)
        return ERR_OK;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? ERR_TIMED_OUT : ERR_CLOSED;
}

/* *frame is the caller's to free. */
static enum err receive_frame(struct cli *cli, int fd, Control__Frame **frame)
{
    uint8_t head[4], *body;
    uint32_t len;
    enum err err = receive(fd, head, sizeof head);

    if (err != ERR_OK)
        return err;
    len = load_be32(head);
    if (len == 0 || len > ANSWER_BYTES_MAX)
        return ERR_BAD_FORMAT;
    body = arena_alloc(&cli->arena, len);
    err = receive(fd, body, len);
    if (err != ERR_OK)
        return err;
    *frame = control__frame__unpack(NULL, len, body);
    if (*frame == NULL)
        return ERR_BAD_FORMAT;
    if ((*frame)->welcome == NULL && (*frame)->goodbye == NULL) {
        control__frame__free_unpacked(*frame, NULL);
        return ERR_BAD_FORMAT;
    }
    return ERR_OK;
}

/* One hello and its answer; *frame is the caller's to free. */
static enum err greet(struct cli *cli, const struct address *address, int64_t wait_ms, int wish,
                      Control__Frame **frame)
{
    int64_t start_us = clock_mono_us();
    int fd = -1;
    enum err err = connect_to(address, wait_ms, &fd);

    if (err == ERR_OK) {
        err = send_hello(fd, wish);
        if (err == ERR_OK)
            err = receive_frame(cli, fd, frame);
        close(fd);
    }
    if (cli->trace != NULL)
        fprintf(cli->trace, "trace %s:%d controller hello us=%lld %s\n", address->host,
                address->port, (long long)(clock_mono_us() - start_us),
                err == ERR_OK ? "ok" : err_name(err));
    return err;
}

enum err controller_hello(struct cli *cli, const struct address *address, int64_t wait_ms,
                          int32_t *id, const char **zookeeper)
{
    Control__Frame *frame;
    enum err err = greet(cli, address, wait_ms, 0, &frame);

    *id = -1;
    *zookeeper = NULL;
    if (err != ERR_OK)
        return err;
    if (frame->welcome != NULL && frame->welcome->has_controller_id)
        *id = frame->welcome->controller_id;
    if (frame->welcome != NULL && frame->welcome->zookeeper != NULL)
        *zookeeper = cli_text(cli, "%s", frame->welcome->zookeeper);
    control__frame__free_unpacked(frame, NULL);
    return ERR_OK;
}

static struct ids kept_ids(struct cli *cli, const int32_t *ids, size_t n)
{
    return (struct ids){ .at = arena_dup(&cli->arena, ids, n * sizeof *ids), .n = (uint32_t)n };
}

static void take_work(struct cli *cli, const Control__Status *status, struct controller_status *out)
{
    static const char *const kinds[] = { "move",     "deletion", "files", "request",
                                         "shutdown", "wish",     "write" };

    out->works = (int64_t)status->works;
    out->work = arena_zalloc(&cli->arena, status->n_work + 1, sizeof *out->work);
    for (size_t i = 0; i < status->n_work; i++) {
        const Control__Work *work = status->work[i];

        out->work[out->work_len++] = (struct controller_work){
            .what = work->kind,
            .kind = (size_t)work->kind < ARRAY_LEN(kinds) ? kinds[work->kind] : "other",
            .topic = work->topic != NULL ? cli_text(cli, "%s", work->topic) : NULL,
            .partition = work->has_partition ? work->partition : -1,
            .broker = work->has_broker ? work->broker : -1,
            .adding = kept_ids(cli, work->adding, work->n_adding),
            .removing = kept_ids(cli, work->removing, work->n_removing),
            .api_key = (int16_t)(work->has_api_key ? work->api_key : -1),
            .count = work->count,
            .age_ms = work->has_age_ms ? work->age_ms : -1,
        };
    }
}

static void take_status(struct cli *cli, const Control__Status *status,
                        struct controller_status *out)
{
    out->is_told = true;
    out->is_active = status->active;
    out->holder = status->has_holder ? status->holder : -1;
    out->is_connected = status->zookeeper_connected;
    out->is_warm = status->warm;
    out->is_busy = status->busy;
    out->is_loading = status->has_load_parts;
    out->load_parts = (int64_t)status->load_parts;
    out->load_done = (int64_t)status->load_done;
    out->brokers = status->brokers;
    out->standbys = status->standbys;
    out->requests = status->requests;
    out->resigns = status->resigns;
    take_work(cli, status, out);
}

enum err controller_ask_status(struct cli *cli, const struct address *address, int64_t wait_ms,
                               bool resign, struct controller_status *out)
{
    Control__Frame *frame;
    enum err err =
        greet(cli, address, wait_ms,
              resign ? CONTROL__HELLO__WISH__RESIGN : CONTROL__HELLO__WISH__STATUS, &frame);

    *out = (struct controller_status){ .id = -1, .holder = -1, .epoch = -1 };
    if (err != ERR_OK)
        return err;
    if (frame->welcome != NULL) {
        const Control__Welcome *welcome = frame->welcome;

        out->id = welcome->has_controller_id ? welcome->controller_id : -1;
        out->software = welcome->software != NULL ? cli_text(cli, "%s", welcome->software) : NULL;
        if (welcome->status != NULL)
            take_status(cli, welcome->status, out);
        if (out->is_active && welcome->has_controller_epoch)
            out->epoch = welcome->controller_epoch;
    }
    control__frame__free_unpacked(frame, NULL);
    return ERR_OK;
}

enum exit_code controller_ask_brokers(struct cli *cli, struct place *place)
{
    enum err err = ERR_NOT_FOUND;

    for (int i = 0; i < place->controllers_len; i++) {
        int64_t left_ms = cli->deadline_ms - clock_mono_ms();
        int64_t share_ms = left_ms / (place->controllers_len - i);
        int32_t id;

        err = controller_hello(cli, &place->controllers[i], share_ms > 0 ? share_ms : 1, &id,
                               &place->zookeeper);
        if (err == ERR_OK && place->zookeeper != NULL)
            return zk_find_brokers(cli, place);
    }
    return cli_fail(cli, err == ERR_TIMED_OUT ? CLI_TIMED_OUT : CLI_FAILED,
                    cli_text(cli, "no controller at %s tells where the cluster is: %s",
                             place_join(&cli->arena, place->controllers, place->controllers_len),
                             err == ERR_OK ? "it does not know the question" : err_text(err)),
                    cli_text(cli, "nothing was done (the address comes from %s)", place->source),
                    "give a broker's address with -b HOST:PORT");
}
