/*
 * One question at a time, so an answer's correlation id is that of the last question or the stream
 * is broken. The socket never blocks by itself: every read and write waits in poll() up to the
 * deadline.
 */
#include "controller/cli/kafka_client.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/frame.h"
#include "gen/wire/apis.h"

#define FRAME_BYTES_MAX (512 * 1024 * 1024)

struct kafka_client {
    int fd;
    char *peer;
    FILE *trace;
    int32_t correlation_id;          /* of the last question */
    int16_t lowest[API_KEY_MAX + 1]; /* of what the broker offers; -1 does not */
    int16_t highest[API_KEY_MAX + 1];
};

struct kafka_client *kafka_client_of(int fd, const char *peer, FILE *trace)
{
    struct kafka_client *client = xcalloc(1, sizeof *client);

    client->fd = fd;
    client->peer = xstrdup(peer);
    client->trace = trace;
    for (int key = 0; key <= API_KEY_MAX; key++)
        client->lowest[key] = client->highest[key] = -1;
    return client;
}

void kafka_client_offer(struct kafka_client *client, int16_t api_key, int16_t min, int16_t max)
{
    if (api_key >= 0 && api_key <= API_KEY_MAX) {
        client->lowest[api_key] = min;
        client->highest[api_key] = max;
    }
}

void kafka_close(struct kafka_client **client_ptr)
{
    struct kafka_client *client = *client_ptr;

    *client_ptr = NULL;
    if (client == NULL)
        return;
    close(client->fd);
    free(client->peer);
    free(client);
}

const char *kafka_peer(const struct kafka_client *client)
{
    return client->peer;
}

int16_t kafka_version(const struct kafka_client *client, int16_t api_key)
{
    const struct wire_api *api = wire_api(api_key);
    int16_t version;

    if (api == NULL || client->highest[api_key] < 0)
        return -1;
    version =
        client->highest[api_key] < api->max_version ? client->highest[api_key] : api->max_version;
    return version >= client->lowest[api_key] && version >= api->min_version ? version : -1;
}

void kafka_trace(FILE *trace, const char *peer, int16_t api_key, int16_t version, size_t sent,
                 size_t got, int64_t took_us, const char *outcome)
{
    const struct wire_api *api = wire_api(api_key);

    if (trace != NULL)
        fprintf(trace, "trace %s %s v%d sent=%zu got=%zu us=%" PRId64 " %s\n", peer,
                api != NULL ? api->name : "?", version, sent, got, took_us, outcome);
}

/* Waits until the socket can do what events says; ERR_TIMED_OUT at the deadline. */
static enum err wait_for(int fd, short events, int64_t deadline_ms)
{
    for (;;) {
        int64_t left_ms = deadline_ms - clock_mono_ms();
        struct pollfd poller = { .fd = fd, .events = events };
        int n;

        if (left_ms <= 0)
            return ERR_TIMED_OUT;
        n = poll(&poller, 1, left_ms > 60000 ? 60000 : (int)left_ms);
        if (n > 0)
            return ERR_OK;
        if (n < 0 && errno != EINTR)
            return ERR_IO;
    }
}

static enum err send_all(int fd, const uint8_t *bytes, size_t len, int64_t deadline_ms)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN || errno == EINTR) {
            enum err err = wait_for(fd, POLLOUT, deadline_ms);

            if (err != ERR_OK)
                return err;
        } else {
            return ERR_CLOSED;
        }
    }
    return ERR_OK;
}

static enum err receive_all(int fd, uint8_t *bytes, size_t len, int64_t deadline_ms)
{
    while (len > 0) {
        ssize_t n = recv(fd, bytes, len, MSG_DONTWAIT);

        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            enum err err = wait_for(fd, POLLIN, deadline_ms);

            if (err != ERR_OK)
                return err;
        } else {
            return ERR_CLOSED;
        }
    }
    return ERR_OK;
}

static enum err send_request(struct kafka_client *client, const struct wire_api *api,
                             int16_t version, const void *request, size_t *sent,
                             int64_t deadline_ms)
{
    struct frame_request_header header = { .api_key = api->key,
                                           .api_version = version,
                                           .correlation_id = ++client->correlation_id,
                                           .client_id = STR("moldau") };
    size_t len = frame_request_header_size(&header) + api->request.size(request, version);
    uint8_t *frame = xmalloc(FRAME_LEN_BYTES + len);
    struct wire_out out = wire_out_of(frame, FRAME_LEN_BYTES + len);
    enum err err;

    wire_put_i32(&out, (int32_t)len);
    frame_request_header_encode(&header, &out);
    api->request.encode(request, &out, version);
    err = send_all(client->fd, frame, out.pos, deadline_ms);
    *sent = out.pos;
    free(frame);
    return err;
}

static enum err receive_answer(struct kafka_client *client, const struct wire_api *api,
                               int16_t version, void *response, struct arena *arena, size_t *got,
                               int64_t deadline_ms)
{
    uint8_t head[FRAME_LEN_BYTES];
    int32_t len, correlation_id;
    uint8_t *body;
    struct wire_in in;
    enum err err = receive_all(client->fd, head, sizeof head, deadline_ms);

    if (err != ERR_OK)
        return err;
    len = load_i32(head);
    if (len < 4 || len > FRAME_BYTES_MAX)
        return ERR_BAD_FORMAT;
    *got = sizeof head + (size_t)len;
    body = arena_alloc(arena, (size_t)len);
    err = receive_all(client->fd, body, (size_t)len, deadline_ms);
    if (err != ERR_OK)
        return err;
    in = wire_in_of(body, (size_t)len, arena);
    err = frame_response_header_decode(&correlation_id, &in, api->key, version);
    if (err != ERR_OK)
        return err;
    if (correlation_id != client->correlation_id)
        return ERR_BAD_FORMAT;
    return api->response.decode(response, &in, version);
}

enum err kafka_ask(struct kafka_client *client, int16_t api_key, const void *request,
                   void *response, struct arena *arena, int64_t deadline_ms)
{
    const struct wire_api *api = wire_api(api_key);
    int16_t version = kafka_version(client, api_key);
    int64_t start_us = clock_mono_us();
    size_t sent = 0, got = 0;
    enum err err;

    if (version < 0)
        return ERR_UNSUPPORTED_VERSION;
    err = send_request(client, api, version, request, &sent, deadline_ms);
    if (err == ERR_OK)
        err = receive_answer(client, api, version, response, arena, &got, deadline_ms);
    kafka_trace(client->trace, client->peer, api_key, version, sent, got,
                clock_mono_us() - start_us, err == ERR_OK ? "ok" : err_name(err));
    return err;
}
