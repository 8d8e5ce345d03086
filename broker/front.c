/*
 * All listeners accept on the first reactor and deal connections out to every one in turn, each for
 * life.
 *
 * Stop:  the listeners close -> connections close, which tells requests that are at work -> (who
 * uses the front sees that these end, drain.h) -> the reactors stop -> what was handed over to them
 * meanwhile is let go -> all is freed.
 */
#include "broker/front.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "broker/net/listener.h"
#include "common/base/mem.h"
#include "common/base/say.h"

#define REQUESTS_MEMORY_BYTES ((size_t)1 << 30) /* when queued.max.request.bytes says nothing */

/* All is set before front_open() returns. */
struct front {
    struct reactor **reactors;
    struct conns **conns; /* one per reactor */
    size_t len;
    struct door *door;
    struct listener **listeners; /* all accept on reactors[0] */
    size_t listeners_len;
    struct budget memory; /* of requests */
};

/* ---- open ---- */

/* Kafka's default buffers switch the kernel's own tuning off and cost a seventh of the CPU of
 * replicating in bulk; they count only when somebody has set them. */
static int32_t buffer_of(const struct conf *conf, const char *name, int32_t bytes)
{
    return conf_is_set(conf, name) ? bytes : -1;
}

static void make_reactors(struct front *front, const struct conf *conf,
                          const struct broker_conf *settings, const struct dispatch *dispatch)
{
    struct conns_conf conns = {
        .request_max_bytes = (size_t)settings->socket_request_max_bytes,
        .idle_max_ms = settings->connections_max_idle_ms,
        .sock = { .send_buffer_bytes = buffer_of(conf, "socket.send.buffer.bytes",
                                                 settings->socket_send_buffer_bytes),
                  .receive_buffer_bytes = buffer_of(conf, "socket.receive.buffer.bytes",
                                                    settings->socket_receive_buffer_bytes) },
        .memory = &front->memory,
    };
    size_t memory = settings->queued_max_request_bytes > 0
                        ? (size_t)settings->queued_max_request_bytes
                        : REQUESTS_MEMORY_BYTES;

    if (memory < 4 * conns.request_max_bytes)
        memory = 4 * conns.request_max_bytes; /* blocks are charged rounded up */
    budget_init(&front->memory, memory);
    front->len = (size_t)settings->num_network_threads;
    front->reactors = xcalloc(front->len, sizeof *front->reactors);
    front->conns = xcalloc(front->len, sizeof *front->conns);
    for (size_t i = 0; i < front->len; i++) {
        front->reactors[i] = reactor_new();
        front->conns[i] = conns_new(front->reactors[i], &conns, dispatch);
    }
}

/* Kafka's default of 50 is soon full when the clients of a lost broker come all at once, and who
 * finds it full waits a second for the kernel to try again. Only a bound that was asked for is
 * kept. */
static int backlog_of(const struct conf *conf, const struct broker_conf *settings)
{
    return conf_is_set(conf, "socket.listen.backlog.size") ? settings->socket_listen_backlog_size
                                                           : SOMAXCONN;
}

static enum err open_listeners(struct front *front, const struct conf *conf,
                               const struct broker_conf *settings)
{
    struct door_conf door = { .per_ip_max = settings->max_connections_per_ip,
                              .max = settings->max_connections,
                              .files_max = door_files_max() };

    front->door = door_new(&door);
    front->listeners = xcalloc(settings->n_listeners, sizeof *front->listeners);
    for (size_t i = 0; i < settings->n_listeners; i++) {
        const struct broker_listener *bind = &settings->bind[i];
        struct listener_conf listener = { .name = bind->name,
                                          .protocol = bind->protocol,
                                          .host = bind->host,
                                          .port = bind->port,
                                          .backlog = backlog_of(conf, settings),
                                          .is_inter_broker =
                                              bind->is_inter_broker && settings->n_listeners > 1 };
        enum err err = listener_open(front->reactors[0], &listener, front->door, front->conns,
                                     front->len, &front->listeners[i]);

        if (err != ERR_OK) {
            say_error("cannot listen on %s://%s:%d: %s", bind->name, bind->host, bind->port,
                      err == ERR_EXISTS ? "the address is in use" : err_text(err));
            return err;
        }
        front->listeners_len++;
    }
    return ERR_OK;
}

enum err front_open(const struct conf *conf, const struct broker_conf *settings,
                    const struct dispatch *dispatch, struct front **out)
{
    struct front *front = xcalloc(1, sizeof *front);
    enum err err;

    make_reactors(front, conf, settings, dispatch);
    err = open_listeners(front, conf, settings);
    if (err != ERR_OK) {
        front_close(front);
        front_stop(&front);
    }
    *out = front;
    return err;
}

/* ---- serve ---- */

void front_start(struct front *front)
{
    for (size_t i = 0; i < front->len; i++)
        reactor_start(front->reactors[i], T_REACTOR, (int)i);
}

static void start_listeners(void *arg)
{
    struct front *front = arg;

    for (size_t i = 0; i < front->listeners_len; i++)
        listener_start(front->listeners[i]);
}

void front_serve(struct front *front)
{
    reactor_call(front->reactors[0], start_listeners, front);
    for (size_t i = 0; i < front->listeners_len; i++)
        say_info("serving listener=%s port=%d", listener_info(front->listeners[i])->name,
                 listener_port(front->listeners[i]));
}

/* ---- stop ---- */

static void stop_listeners(void *arg)
{
    struct front *front = arg;

    for (size_t i = 0; i < front->listeners_len; i++)
        listener_stop(front->listeners[i]);
}

static void close_conns(void *arg)
{
    conns_close_all(arg);
}

void front_close(struct front *front)
{
    reactor_call(front->reactors[0], stop_listeners, front);
    for (size_t i = 0; i < front->len; i++)
        reactor_call(front->reactors[i], close_conns, front->conns[i]);
}

void front_stop(struct front **front_ptr)
{
    struct front *front = *front_ptr;

    *front_ptr = NULL;
    for (size_t i = 0; i < front->len; i++) {
        reactor_stop(front->reactors[i]);
        reactor_turn(front->reactors[i], false); /* hand-overs that came late */
        conns_free(&front->conns[i]);
    }
    for (size_t i = 0; i < front->listeners_len; i++)
        listener_free(&front->listeners[i]);
    door_free(&front->door);
    for (size_t i = 0; i < front->len; i++)
        reactor_free(&front->reactors[i]);
    free(front->listeners);
    free(front->reactors);
    free(front->conns);
    free(front);
}

/* ---- what is lent out ---- */

size_t front_len(const struct front *front)
{
    return front->len;
}

struct reactor **front_reactors(const struct front *front)
{
    return front->reactors;
}

struct conns *const *front_conns(const struct front *front)
{
    return front->conns;
}

int front_port(const struct front *front, size_t i)
{
    return listener_port(front->listeners[i]);
}
