/*
 * link - the cluster as the command line reaches it: a broker that answers, and a connection to any
 * other when it is needed.
 *
 * Ownership:  answers live in the arena given with the question.
 * Threads:    one; calls wait, up to cli->deadline_ms.
 * Errors:     those of kafka_client.
 */
#ifndef CONTROLLER_CLI_LINK_H
#define CONTROLLER_CLI_LINK_H

#include "controller/cli/cli.h"
#include "controller/cli/kafka_client.h"
#include "controller/cli/place.h"
#include "gen/wire/metadata.h"

#define LINK_ANY (-1)

struct link;

/* Finds the cluster and a broker of it that answers. What is wrong has been said. */
enum exit_code link_open(struct cli *cli, struct link **out);
/* The same at a place that is known. */
enum exit_code link_open_at(struct cli *cli, const struct place *place, struct link **out);
void link_close(struct link **link);
/* Runs work with a link that is open for as long. */
enum exit_code link_run(struct cli *cli,
                        enum exit_code (*work)(struct cli *cli, struct link *link));
const struct place *link_place(const struct link *link);

/* broker LINK_ANY: whoever answers; if its connection is lost, the next one is asked. */
enum err link_ask(struct link *link, int32_t broker, int16_t api_key, const void *request,
                  void *response, struct arena *arena) MUST_USE;
/* Of the topics named, or of all (topics_len -1), as broker sees it; remembers who is where. */
enum err link_metadata(struct link *link, int32_t broker, const struct str *topics,
                       int32_t topics_len, struct metadata_response *out,
                       struct arena *arena) MUST_USE;
/* Who carries out requests about topics: Kafka's controller; any broker of moldau's. */
int32_t link_controller(const struct link *link);

/* How a broker answers. */
struct link_health {
    int32_t id;
    enum err err;    /* ERR_OK; ERR_REFUSED; ERR_TIMED_OUT; ... */
    int64_t took_us; /* until it had answered */
};
/* Of every broker in the last metadata, all at once, within wait_ms; connections are kept. */
void link_probe(struct link *link, int64_t wait_ms, struct link_health *out);
int link_brokers_len(const struct link *link);
/* False when the id is not known. */
bool link_broker(const struct link *link, int32_t id, const char **host, int32_t *port);

/* Says what an error of link_ask() means, returns the exit code. doing: "make the topic". */
enum exit_code link_fail(struct link *link, enum err err, const char *doing);

#endif
