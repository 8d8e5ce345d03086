/*
 * The session is common/zk's, whose answers come as messages; here a question waits for its answer
 * in a loop of the mailbox.
 */
#include "controller/cli/zk_find.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/zk/zk.h"
#include "common/zk/zk_tree.h"
#include "controller/cli/controller_ask.h"

#define SESSION_MS 6000

struct asker {
    struct cli *cli;
    struct mailbox mailbox;
    struct zk *zk;
    int64_t deadline_ms;
};

struct reply {
    struct arena *arena;
    bool done;
    enum err err;
    struct str data;
    int32_t version; /* of the znode */
    int64_t czxid;   /* of its creation */
    struct str *children;
    size_t children_len;
};

static void on_reply(void *arg, const struct zk_answer *answer)
{
    struct reply *reply = arg;

    reply->err = answer->err;
    if (answer->err == ERR_OK && answer->data.ptr != NULL)
        reply->data = str_of(arena_cstr(reply->arena, answer->data));
    reply->version = answer->err == ERR_OK ? answer->stat.version : -1;
    reply->czxid = answer->err == ERR_OK ? answer->stat.czxid : -1;
    reply->children_len = answer->err == ERR_OK ? answer->n_children : 0;
    reply->children = arena_zalloc(reply->arena, reply->children_len + 1, sizeof *reply->children);
    for (size_t i = 0; i < reply->children_len; i++)
        reply->children[i] = str_of(arena_cstr(reply->arena, answer->children[i]));
    reply->done = true;
}

static enum err wait_reply(struct asker *asker, struct reply *reply)
{
    while (!reply->done) {
        int64_t left_ms = asker->deadline_ms - clock_mono_ms();

        if (left_ms <= 0)
            return ERR_TIMED_OUT;
        mailbox_wait(&asker->mailbox, left_ms > 1000 ? 1000 : (int)left_ms);
    }
    return reply->err;
}

/* The reply outlives a time-out, for an answer may come while the session is closed. */
static struct reply *new_reply(struct asker *asker)
{
    struct reply *reply = arena_zalloc(&asker->cli->arena, 1, sizeof *reply);

    reply->arena = &asker->cli->arena;
    return reply;
}

static enum err children_of(struct asker *asker, const char *path, struct reply **reply)
{
    *reply = new_reply(asker);
    zk_children(asker->zk, path, false, on_reply, *reply);
    return wait_reply(asker, *reply);
}

static enum err node_of(struct asker *asker, const char *path, struct reply **reply)
{
    *reply = new_reply(asker);
    zk_get(asker->zk, path, false, on_reply, *reply);
    return wait_reply(asker, *reply);
}

static enum err data_of(struct asker *asker, const char *path, struct str *data)
{
    struct reply *reply;
    enum err err = node_of(asker, path, &reply);

    *data = reply->data;
    return err;
}

static enum err read_brokers(struct asker *asker, struct zk_seen *seen)
{
    struct arena *arena = &asker->cli->arena;
    struct reply *ids;
    enum err err = children_of(asker, ZK_BROKER_IDS, &ids);

    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    seen->brokers = arena_zalloc(arena, ids->children_len + 1, sizeof *seen->brokers);
    for (size_t i = 0; i < ids->children_len; i++) {
        struct zk_seen_broker *broker = &seen->brokers[seen->brokers_len];
        struct zk_registration reg;
        struct reply *reply;
        int32_t id;

        if (!zk_leaf_id(ids->children[i], &id) ||
            node_of(asker, zk_path_broker(arena, id), &reply) != ERR_OK ||
            zk_parse_registration(arena, reply->data, &reg) != ERR_OK)
            continue;
        *broker = (struct zk_seen_broker){ .id = id,
                                           .moldau = reg.moldau.ptr,
                                           .since_ms = reg.timestamp_ms,
                                           .epoch = reply->czxid,
                                           .rack = reg.node.rack };
        for (size_t e = 0; e < reg.node.n_endpoints; e++) {
            const struct endpoint *at = &reg.node.endpoints[e];

            if (str_is(at->protocol, "PLAINTEXT") && broker->host == NULL) {
                broker->host = arena_cstr(arena, at->host);
                broker->port = at->port;
            }
        }
        seen->brokers_len++;
    }
    return ERR_OK;
}

static enum err read_controllers(struct asker *asker, struct zk_seen *seen)
{
    struct arena *arena = &asker->cli->arena;
    struct reply *ids;
    enum err err = children_of(asker, ZK_SEATS, &ids);

    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    seen->controllers = arena_zalloc(arena, ids->children_len + 1, sizeof *seen->controllers);
    for (size_t i = 0; i < ids->children_len; i++) {
        struct zk_seat seat;
        struct str data;
        int32_t id;

        if (!zk_leaf_id(ids->children[i], &id) ||
            data_of(asker, zk_path_seat(arena, id), &data) != ERR_OK ||
            zk_parse_seat(arena, data, &seat) != ERR_OK)
            continue;
        seen->controllers[seen->controllers_len++] =
            (struct zk_seen_controller){ .id = id,
                                         .host = arena_cstr(arena, seat.host),
                                         .port = seat.port,
                                         .since_ms = seat.timestamp_ms };
    }
    return ERR_OK;
}

static enum err read_loading(struct asker *asker, struct zk_seen *seen)
{
    struct arena *arena = &asker->cli->arena;
    struct reply *ids;
    enum err err = children_of(asker, ZK_LOADING, &ids);

    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    seen->loading = arena_zalloc(arena, ids->children_len + 1, sizeof *seen->loading);
    for (size_t i = 0; i < ids->children_len; i++) {
        struct zk_seen_loading *one = &seen->loading[seen->loading_len];
        struct str data;

        if (zk_leaf_id(ids->children[i], &one->id) &&
            data_of(asker, zk_path_loading(arena, one->id), &data) == ERR_OK &&
            zk_parse_loading(arena, data, &one->how_far) == ERR_OK)
            seen->loading_len++;
    }
    return ERR_OK;
}

static enum err read_active(struct asker *asker, struct zk_seen *seen)
{
    struct arena *arena = &asker->cli->arena;
    struct zk_holder holder;
    struct str data, id;
    enum err err = data_of(asker, ZK_CONTROLLER, &data);

    if (err == ERR_OK && zk_parse_holder(arena, data, &holder) == ERR_OK) {
        seen->active = holder.id;
        seen->active_since_ms = holder.timestamp_ms;
    } else if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    if (data_of(asker, ZK_CONTROLLER_EPOCH, &data) == ERR_OK &&
        zk_parse_epoch(data, &seen->epoch) != ERR_OK)
        seen->epoch = -1;
    if (data_of(asker, ZK_CLUSTER_ID, &data) == ERR_OK &&
        zk_parse_cluster_id(arena, data, &id) == ERR_OK)
        seen->cluster_id = arena_cstr(arena, id);
    return ERR_OK;
}

/* Of a partition that is not there nothing is known, which is no failure. */
static enum err read_part(struct asker *asker, struct zk_seen_part *part)
{
    struct arena *arena = &asker->cli->arena;
    struct zk_eligible eligible;
    struct leader_isr state;
    struct reply *reply;
    struct str data;
    enum err err = node_of(asker, zk_path_state(arena, part->topic, part->partition), &reply);

    part->partition_epoch = reply->version;
    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    if (zk_parse_state(arena, reply->data, &part->controller_epoch, &state) != ERR_OK)
        return ERR_OK;
    err = data_of(asker, zk_path_eligible(arena, part->topic_id, part->partition), &data);
    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    if (zk_parse_eligible(arena, data, &eligible) == ERR_OK &&
        eligible.leader_epoch == state.leader_epoch &&
        eligible.partition_epoch == part->partition_epoch)
        part->eligible = eligible.replicas;
    return ERR_OK;
}

struct look {
    struct zk_seen *seen;       /* the whole cluster, or */
    struct zk_seen_part *parts; /* these */
    int parts_len;
};

static enum err read_all(struct asker *asker, const struct look *look)
{
    enum err err;

    if (look->seen == NULL) {
        err = ERR_OK;
        for (int i = 0; err == ERR_OK && i < look->parts_len; i++)
            err = read_part(asker, &look->parts[i]);
        return err;
    }
    err = read_brokers(asker, look->seen);
    if (err == ERR_OK)
        err = read_controllers(asker, look->seen);
    if (err == ERR_OK)
        err = read_loading(asker, look->seen);
    return err == ERR_OK ? read_active(asker, look->seen) : err;
}

static enum err look_at(struct cli *cli, const char *connect, int64_t wait_ms,
                        const struct look *look)
{
    struct asker asker = { .cli = cli, .deadline_ms = clock_mono_ms() + wait_ms };
    struct zk_options options = { .servers = connect,
                                  .session_timeout_ms = SESSION_MS,
                                  .mailbox = &asker.mailbox };
    int64_t start_us = clock_mono_us();
    enum err err;

    if (asker.deadline_ms > cli->deadline_ms)
        asker.deadline_ms = cli->deadline_ms;
    mailbox_init(&asker.mailbox);
    err = zk_open(&options, &asker.zk);
    if (err != ERR_OK) {
        mailbox_fini(&asker.mailbox);
        return err;
    }
    err = read_all(&asker, look);
    zk_close(&asker.zk);
    mailbox_run(&asker.mailbox); /* a message that is still inside frees the session */
    mailbox_fini(&asker.mailbox);
    if (cli->trace != NULL)
        fprintf(cli->trace, "trace %s zookeeper us=%lld %s\n", connect,
                (long long)(clock_mono_us() - start_us), err == ERR_OK ? "ok" : err_name(err));
    return err;
}

enum err zk_look(struct cli *cli, const char *connect, int64_t wait_ms, struct zk_seen *seen)
{
    const struct look look = { .seen = seen };

    *seen = (struct zk_seen){ .active = -1, .epoch = -1 };
    return look_at(cli, connect, wait_ms, &look);
}

enum err zk_look_parts(struct cli *cli, const char *connect, int64_t wait_ms,
                       struct zk_seen_part *parts, int n)
{
    const struct look look = { .parts = parts, .parts_len = n };

    for (int i = 0; i < n; i++) {
        parts[i].partition_epoch = parts[i].controller_epoch = -1;
        parts[i].eligible = IDS_NONE;
    }
    return look_at(cli, connect, wait_ms, &look);
}

static enum exit_code from_zookeeper(struct cli *cli, struct place *place)
{
    struct zk_seen seen;
    int64_t left_ms = cli->deadline_ms - clock_mono_ms();
    enum err err = zk_look(cli, place->zookeeper, left_ms, &seen);

    if (err != ERR_OK)
        return cli_fail(
            cli, cli_code(err),
            cli_text(cli, "ZooKeeper at %s does not answer: %s", place->zookeeper, err_text(err)),
            "where the brokers are is not known, so nothing was done",
            "give a broker's address with -b HOST:PORT");
    place->brokers =
        arena_zalloc(&cli->arena, (size_t)seen.brokers_len + 1, sizeof *place->brokers);
    for (int i = 0; i < seen.brokers_len; i++) {
        if (seen.brokers[i].host != NULL)
            place->brokers[place->brokers_len++] =
                (struct address){ .host = seen.brokers[i].host, .port = seen.brokers[i].port };
    }
    if (place->brokers_len == 0)
        return cli_fail(cli, CLI_UNAVAILABLE,
                        cli_text(cli, "no broker%s is registered in ZooKeeper at %s",
                                 seen.brokers_len > 0 ? " without TLS" : "", place->zookeeper),
                        "nothing can be read or written",
                        "start the brokers; is the chroot in --zookeeper theirs?");
    return CLI_OK;
}

enum exit_code zk_find_brokers(struct cli *cli, struct place *place)
{
    if (place->zookeeper != NULL)
        return from_zookeeper(cli, place);
    return controller_ask_brokers(cli, place);
}
