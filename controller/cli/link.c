/*
 * The bootstrap addresses are dialled all at once and the first to answer is kept: one broker that
 * hangs costs nothing. Metadata then tells the others' addresses.
 */
#include "controller/cli/link.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/cli/zk_find.h"
#include "gen/wire/apis.h"

#define CONNECT_MS 5000 /* for the first broker to answer, unless --timeout is given */

struct peer {
    int32_t id;
    char *host; /* ours: it outlives the answer that named it */
    int32_t port;
    struct kafka_client *client; /* NULL: not connected */
};

struct link {
    struct cli *cli;
    struct place place;
    struct kafka_client *any; /* of the bootstrap addresses */
    int32_t controller;
    struct peer *peers;
    size_t peers_len, peers_cap;
};

/* Dials the bootstrap addresses; the reason of the most telling failure otherwise. */
static enum err connect_any(struct link *link)
{
    int n = link->place.brokers_len;
    struct kafka_target *targets = xcalloc((size_t)n + 1, sizeof *targets);
    int64_t deadline_ms = link->cli->deadline_ms;
    enum err err = ERR_NOT_FOUND;

    if (!args_has(&link->cli->args, "timeout") && deadline_ms > clock_mono_ms() + CONNECT_MS)
        deadline_ms = clock_mono_ms() + CONNECT_MS;
    for (int i = 0; i < n; i++)
        targets[i] = (struct kafka_target){ .host = link->place.brokers[i].host,
                                            .port = link->place.brokers[i].port };
    kafka_dial(targets, n, true, deadline_ms, link->cli->trace);
    for (int i = 0; i < n; i++) {
        if (targets[i].client == NULL) {
            if (err == ERR_NOT_FOUND || targets[i].err == ERR_TIMED_OUT)
                err = targets[i].err;
        } else if (link->any == NULL) {
            link->any = targets[i].client;
        } else {
            kafka_close(&targets[i].client);
        }
    }
    free(targets);
    return link->any != NULL ? ERR_OK : err;
}

static enum exit_code unreachable(struct link *link, enum err err)
{
    struct cli *cli = link->cli;
    const char *who = place_join(&cli->arena, link->place.brokers, link->place.brokers_len);
    const char *why = err == ERR_REFUSED     ? "nobody listens there"
                      : err == ERR_TIMED_OUT ? "no answer in time"
                      : err == ERR_NOT_FOUND ? "the name has no address"
                      : err == ERR_BAD_FORMAT || err == ERR_CLOSED
                          ? "what answers is not a Kafka broker, or it wants TLS or a password"
                          : err_text(err);

    return cli_fail(
        cli, err == ERR_TIMED_OUT ? CLI_TIMED_OUT : CLI_FAILED,
        cli_text(cli, "no broker answers at %s: %s", who, why),
        cli_text(cli, "nothing was done (the address comes from %s)", link->place.source),
        link->place.local ? "scripts/cluster status        or: moldau ... -b HOST:PORT"
                          : "moldau cluster status -b HOST:PORT of another broker");
}

enum exit_code link_open_at(struct cli *cli, const struct place *place, struct link **out)
{
    struct link *link = xcalloc(1, sizeof *link);
    enum exit_code code = CLI_OK;
    enum err err;

    link->cli = cli;
    link->place = *place;
    link->controller = LINK_ANY;
    if (link->place.brokers_len == 0)
        code = zk_find_brokers(cli, &link->place);
    if (code == CLI_OK) {
        err = connect_any(link);
        if (err != ERR_OK)
            code = unreachable(link, err);
    }
    if (code != CLI_OK)
        link_close(&link);
    *out = link;
    return code;
}

enum exit_code link_open(struct cli *cli, struct link **out)
{
    struct place place;
    enum exit_code code = place_find(cli, &place);

    *out = NULL;
    return code == CLI_OK ? link_open_at(cli, &place, out) : code;
}

void link_close(struct link **link_ptr)
{
    struct link *link = *link_ptr;

    *link_ptr = NULL;
    if (link == NULL)
        return;
    kafka_close(&link->any);
    for (size_t i = 0; i < link->peers_len; i++) {
        kafka_close(&link->peers[i].client);
        free(link->peers[i].host);
    }
    free(link->peers);
    free(link);
}

enum exit_code link_run(struct cli *cli, enum exit_code (*work)(struct cli *cli, struct link *link))
{
    struct link *link;
    enum exit_code code = link_open(cli, &link);

    if (code == CLI_OK)
        code = work(cli, link);
    link_close(&link);
    return code;
}

const struct place *link_place(const struct link *link)
{
    return &link->place;
}

static struct peer *find_peer(const struct link *link, int32_t id)
{
    for (size_t i = 0; i < link->peers_len; i++) {
        if (link->peers[i].id == id)
            return &link->peers[i];
    }
    return NULL;
}

static enum err ask_peer(struct link *link, int32_t broker, int16_t api_key, const void *request,
                         void *response, struct arena *arena)
{
    struct peer *peer = find_peer(link, broker);
    enum err err;

    if (peer == NULL)
        return ERR_BROKER_NOT_AVAILABLE;
    if (peer->client == NULL) {
        struct kafka_target target = { .host = peer->host, .port = peer->port };

        kafka_dial(&target, 1, true, link->cli->deadline_ms, link->cli->trace);
        if (target.client == NULL)
            return target.err;
        peer->client = target.client;
    }
    err = kafka_ask(peer->client, api_key, request, response, arena, link->cli->deadline_ms);
    if (err != ERR_OK && err != ERR_UNSUPPORTED_VERSION)
        kafka_close(&peer->client);
    return err;
}

enum err link_ask(struct link *link, int32_t broker, int16_t api_key, const void *request,
                  void *response, struct arena *arena)
{
    enum err err = ERR_CLOSED;

    if (broker != LINK_ANY)
        return ask_peer(link, broker, api_key, request, response, arena);
    for (int tries = 0; tries < 3; tries++) {
        if (link->any == NULL) {
            err = connect_any(link);
            if (err != ERR_OK)
                return err;
        }
        err = kafka_ask(link->any, api_key, request, response, arena, link->cli->deadline_ms);
        if (err == ERR_OK || err == ERR_UNSUPPORTED_VERSION)
            return err;
        kafka_close(&link->any);
        if (err != ERR_CLOSED)
            return err;
    }
    return err;
}

static void remember(struct link *link, const struct metadata_response *response)
{
    link->controller = response->controller_id;
    for (int32_t i = 0; i < response->brokers_len; i++) {
        const struct metadata_response_broker *broker = &response->brokers[i];
        struct peer *peer = find_peer(link, broker->node_id);

        if (peer != NULL && peer->port == broker->port && str_is(broker->host, peer->host))
            continue;
        if (peer == NULL) {
            array_reserve(&link->peers, &link->peers_cap, link->peers_len, sizeof *link->peers);
            peer = &link->peers[link->peers_len++];
            *peer = (struct peer){ .id = broker->node_id };
        }
        kafka_close(&peer->client);
        free(peer->host);
        peer->host = xasprintf("%.*s", STR_ARG(broker->host));
        peer->port = broker->port;
    }
}

enum err link_metadata(struct link *link, int32_t broker, const struct str *topics,
                       int32_t topics_len, struct metadata_response *out, struct arena *arena)
{
    struct metadata_request request;
    enum err err;

    metadata_request_init(&request);
    request.allow_auto_topic_creation = false;
    request.topics_len = topics_len;
    if (topics_len > 0)
        request.topics = arena_zalloc(arena, (size_t)topics_len, sizeof *request.topics);
    for (int32_t i = 0; i < topics_len; i++) {
        metadata_request_topic_init(&request.topics[i]);
        request.topics[i].name = topics[i];
    }
    err = link_ask(link, broker, API_METADATA, &request, out, arena);
    if (err == ERR_OK)
        remember(link, out);
    return err;
}

int32_t link_controller(const struct link *link)
{
    return link->controller >= 0 ? link->controller : LINK_ANY;
}

int link_brokers_len(const struct link *link)
{
    return (int)link->peers_len;
}

bool link_broker(const struct link *link, int32_t id, const char **host, int32_t *port)
{
    const struct peer *peer = find_peer(link, id);

    if (peer == NULL)
        return false;
    *host = peer->host;
    *port = peer->port;
    return true;
}

void link_probe(struct link *link, int64_t wait_ms, struct link_health *out)
{
    int n = (int)link->peers_len;
    int64_t deadline_ms = clock_mono_ms() + wait_ms;
    struct kafka_target *targets = xcalloc((size_t)n + 1, sizeof *targets);

    if (deadline_ms > link->cli->deadline_ms)
        deadline_ms = link->cli->deadline_ms;
    for (int i = 0; i < n; i++)
        targets[i] =
            (struct kafka_target){ .host = link->peers[i].host, .port = link->peers[i].port };
    kafka_dial(targets, n, false, deadline_ms, link->cli->trace);
    for (int i = 0; i < n; i++) {
        out[i] = (struct link_health){ .id = link->peers[i].id,
                                       .err = targets[i].err,
                                       .took_us = targets[i].took_us };
        kafka_close(&link->peers[i].client);
        link->peers[i].client = targets[i].client;
    }
    free(targets);
}

enum exit_code link_fail(struct link *link, enum err err, const char *doing)
{
    struct cli *cli = link->cli;

    if (err == ERR_TIMED_OUT)
        return cli_fail(cli, CLI_TIMED_OUT, cli_text(cli, "no answer within the time-out"),
                        cli_text(cli, "it is not known whether the cluster could %s", doing),
                        "moldau cluster status        or again with --timeout 2m");
    if (err == ERR_UNSUPPORTED_VERSION)
        return cli_fail(cli, CLI_FAILED, cli_text(cli, "this broker does not offer what it takes"),
                        cli_text(cli, "it cannot %s", doing), "moldau cluster status");
    return cli_fail(cli, cli_code(err), cli_text(cli, "cannot %s: %s", doing, err_text(err)), NULL,
                    "moldau cluster status");
}
