/*
 * api - what the handlers of requests stand on, and helpers that several of them need.
 *
 * Ownership:  struct api belongs to the broker and outlives every request.
 * Threads:    handlers run on the request's reactor; everything here may be read by all of them.
 */
#ifndef BROKER_API_API_H
#define BROKER_API_API_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/log/logs.h"
#include "broker/meta/meta.h"
#include "broker/net/request.h"
#include "broker/replica/parts.h"
#include "common/io/pool.h"
#include "common/model/image.h"
#include "common/wire/prim.h"

struct fetch_sessions;
struct forward;
struct settings;
struct pids;
struct groups;
struct broker_conf;
struct moves;

/* [I] all of it but what is [a] */
struct api {
    int32_t broker_id;
    const struct broker_conf *conf; /* as the process was started with */
    struct parts *parts;
    struct fetchers *fetchers;
    struct logs *logs;
    struct meta *meta;
    struct moves *moves;             /* between log directories */
    struct repl_quota *leader_quota; /* on what throttled followers are given; NULL: none (tests) */
    struct pool *pool;
    struct lane **lanes; /* one per log directory, for appends while it is slow */
    struct fetch_sessions *sessions;
    struct forward *forward;      /* admin requests to the controller */
    struct settings *settings;    /* of this broker, with what was changed at run time */
    struct pids *pids;            /* producer ids */
    struct groups *groups;        /* consumer groups coordinated here */
    int32_t fetch_max_bytes;      /* fetch.max.bytes */
    int64_t note_every_ms;        /* that a follower asks for what has not changed; 0: each time */
    bool rack_aware;              /* replica.selector.class: consumers read in their rack */
    bool auto_create_topics;      /* auto.create.topics.enable */
    atomic_bool creating_offsets; /* [a] __consumer_offsets has been asked for */
};

/* __consumer_offsets and __transaction_state: clients do not produce to them. */
bool api_is_internal_topic(struct str topic);
/* 1..249 of [a-zA-Z0-9._-], not "." nor "..". */
bool api_is_topic_name(struct str topic);

/* Which of the names stood there before: what a request names again is answered once, or a small
 * request could have a large thing told any number of times. NULL when none did. */
const bool *api_repeats(struct arena *arena, const struct str *names, size_t len);

/* Whose request it is, as Java writes an address: "/127.0.0.1", "/0:0:0:0:0:0:0:1". The arena's. */
struct str api_client_host(struct request *req);
/* Opaque bytes as text and back; null bytes are empty. */
struct str api_text(struct wire_bytes bytes);
struct wire_bytes api_bytes(struct str text);

/* To decode an answer of our controller into the request's arena. How much that becomes is bounded
 * by the control stream's frames, not by the request, which may be far shorter than what it asks
 * for. Borrows body. */
struct wire_in api_controller_answer(struct request *req, const uint8_t *body, size_t len);

/* Why a partition is not hosted here: UNKNOWN_TOPIC_OR_PARTITION when the image does not have it,
 * else NOT_LEADER_OR_FOLLOWER. */
enum err api_why_not_here(const struct image *image, struct str topic, int32_t partition);

/* For KIP-951: who leads by this image, and where on the request's listener. */
struct api_hint {
    int32_t leader, leader_epoch;
    const struct node *node;         /* lent by the image; NULL when it is not visible */
    const struct endpoint *endpoint; /* the same */
};
/* False when the image knows no leader. */
bool api_leader_hint(const struct image *image, const struct request *req, struct str topic,
                     int32_t partition, struct api_hint *out);

#endif
