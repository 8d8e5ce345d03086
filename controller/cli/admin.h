/*
 * admin - requests that only the controller carries out: of Kafka the broker that is it, of
 * moldau's any broker, which forwards them. While a controller is elected they are asked again.
 *
 * Ownership:  answers live in the arena given, or in cli->arena where none is.
 * Threads:    one; calls wait, up to cli->deadline_ms.
 * Errors:     those of link_ask(), and what the judge makes of the answer.
 */
#ifndef CONTROLLER_CLI_ADMIN_H
#define CONTROLLER_CLI_ADMIN_H

#include "common/model/ids.h"
#include "controller/cli/link.h"

/* The error of an answer as a whole. */
typedef enum err admin_judge(const void *response);

enum err admin_ask(struct cli *cli, struct link *link, int16_t api_key, const void *request,
                   void *response, struct arena *arena, admin_judge *judge) MUST_USE;

/* What is left of the time-out, for requests that carry one. */
int32_t admin_left_ms(const struct cli *cli);

/* ---- partitions that move (KIP-455) ---------------------------------------------------------- */

struct move {
    struct str topic;
    int32_t partition;
    struct ids to;   /* replicas, the preferred leader first; none: an ongoing move is cancelled */
    enum err err;    /* out: of this one */
    const char *why; /* out: what the controller says about it; NULL: nothing */
};

/* Starts or cancels moves. An error of the whole; ERR_OK: see each of them. Sorts them by topic. */
enum err admin_move(struct cli *cli, struct link *link, struct move *moves, int n) MUST_USE;

struct moving {
    struct str topic;
    int32_t partition;
    struct ids replicas, adding, removing;
};

/* All that move now, by topic and partition. */
enum err admin_moving(struct cli *cli, struct link *link, struct arena *arena, struct moving **out,
                      int *len) MUST_USE;
const struct moving *admin_find_moving(const struct moving *all, int len, struct str topic,
                                       int32_t partition);

/* ---- elections ------------------------------------------------------------------------------- */

struct election {
    struct str topic;
    int32_t partition;
    enum err err; /* ERR_OK: another one leads now; ERR_ELECTION_NOT_NEEDED: it led already */
    const char *why;
};

/* Of the preferred leaders or, unclean, of whoever is left. parts NULL: of all partitions, then
 * only those are told that changed or failed. */
enum err admin_elect(struct cli *cli, struct link *link, bool unclean, const struct election *parts,
                     int n, struct election **out, int *len) MUST_USE;

/* ---- settings -------------------------------------------------------------------------------- */

#define RESOURCE_TOPIC  2
#define RESOURCE_BROKER 4

/* One change of one setting. */
struct change {
    int8_t type; /* RESOURCE_... */
    struct str name;
    struct str key;
    struct str value; /* null: back to the default */
    enum err err;     /* out: of the resource that it belongs to */
    const char *why;  /* out; NULL: nothing */
};

/* Those of a resource stand together. dry: only check. Brokers are asked themselves about their own
 * settings. An error of the whole; ERR_OK: see each. */
enum err admin_change(struct cli *cli, struct link *link, struct change *changes, int n,
                      bool dry) MUST_USE;

/* What a setting is; null when nobody tells. broker: who is asked, LINK_ANY for topics. */
struct str admin_setting(struct cli *cli, struct link *link, int32_t broker, int8_t type,
                         struct str name, struct str key);
/* The same, only if it is set on that very topic or broker. */
struct str admin_own_setting(struct cli *cli, struct link *link, int32_t broker, int8_t type,
                             struct str name, struct str key);
/* Where the cluster's ZooKeeper is: as given, or as the first of these brokers is set. NULL: nobody
 * tells. */
const char *admin_zookeeper(struct cli *cli, struct link *link, const int32_t *brokers, int n);

#endif
