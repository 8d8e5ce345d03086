/*
 * kafka_client - a connection of the command line to one broker: a request out, its answer back.
 *
 * Dialling goes to many addresses at once and is not done before a broker has answered ApiVersions:
 * a process that hangs takes connections, but it does not answer. Every request is then sent in the
 * highest version that both ends know.
 *
 * Units:      times in milliseconds; a deadline is one of clock_mono_ms().
 * Ownership:  answers, and the bytes that they borrow, live in the arena given with the question.
 * Threads:    one; calls wait.
 * Errors:     ERR_REFUSED nobody listens there; ERR_TIMED_OUT no answer before the deadline;
 *             ERR_NOT_FOUND the name has no address; ERR_CLOSED hung up; ERR_UNSUPPORTED_VERSION
 *             the broker does not offer the API; ERR_BAD_FORMAT what came is not Kafka's protocol.
 *             After any of them the connection can only be closed, save ERR_UNSUPPORTED_VERSION.
 */
#ifndef CONTROLLER_CLI_KAFKA_CLIENT_H
#define CONTROLLER_CLI_KAFKA_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/base/err.h"

struct kafka_client;

struct kafka_target {
    const char *host;            /* in: borrowed during kafka_dial() */
    int32_t port;                /* in */
    enum err err;                /* out: ERR_OK when there is a client */
    struct kafka_client *client; /* out: the caller's to close */
    int64_t took_us;             /* out: until it had answered */
};

/* Dials all n at once. Returns when all have answered or failed, or at the deadline, or, with
 * first_only, when one has answered: the others are hung up then and have ERR_CLOSED. trace: where
 * every exchange is told, or NULL. */
void kafka_dial(struct kafka_target *targets, int n, bool first_only, int64_t deadline_ms,
                FILE *trace);
void kafka_close(struct kafka_client **client);

/* request and response are the generated structs of the API. */
enum err kafka_ask(struct kafka_client *client, int16_t api_key, const void *request,
                   void *response, struct arena *arena, int64_t deadline_ms) MUST_USE;
/* The version that kafka_ask() would use, -1 when the broker does not offer the API. */
int16_t kafka_version(const struct kafka_client *client, int16_t api_key);
/* "host:port" as dialled. */
const char *kafka_peer(const struct kafka_client *client);

/* The same, in the two steps that dialling needs: for kafka_dial alone. */
struct kafka_client *kafka_client_of(int fd, const char *peer, FILE *trace);
void kafka_client_offer(struct kafka_client *client, int16_t api_key, int16_t min, int16_t max);
void kafka_trace(FILE *trace, const char *peer, int16_t api_key, int16_t version, size_t sent,
                 size_t got, int64_t took_us, const char *outcome);

#endif
