/*
 * One fetch: the request out of what the core asks for, the answer decoded where it was received.
 * Each partition's verdict is the core's; its records are appended from the receive buffer with one
 * call, and the log's new end goes back to the core.
 */
#include "broker/replica/fetcher_int.h"

#include <inttypes.h>

#include "broker/tables/stats.h"
#include "common/base/clock.h"
#include "common/base/say.h"
#include "gen/wire/apis.h"
#include "gen/wire/fetch.h"

/* A leader that hears of a new topic or epoch after its follower is no news. */
#define SAY_AFTER_TRIES 4

/* ---- one partition's answer ---- */

const char *fetcher_part_name(const struct fetch_part *at)
{
    const struct follow *follow = at->owner;

    return part_name(follow->part);
}

void fetcher_go_on(struct fetcher *fetcher, struct fetch_part *at,
                   const struct part_fetch_start *start, bool got_records)
{
    fetch_core_set(&fetcher->core, at, start->offset, start->last_epoch, start->log_start,
                   got_records);
    if (start->flush_due)
        fetcher_sync(fetcher, at);
}

void fetcher_refused(struct fetcher *fetcher, struct fetch_part *at,
                     const struct part_fetch_start *start, enum err err)
{
    int64_t now_ms = reactor_now_ms(fetcher->reactor);
    bool for_good = false;

    switch (err) {
    case ERR_FENCED_LEADER_EPOCH: /* another role: what to do next is on its way to us */
        fetch_core_failed(&fetcher->core, at, true, now_ms);
        return;
    case ERR_IO:
    case ERR_KAFKA_STORAGE_ERROR: /* the directory is offline */
        for_good = true;
        break;
    default: /* a damaged batch may come whole the next time; a disk may get room */
        at->offset = start->offset;
        at->last_epoch = start->last_epoch;
        at->log_start = start->log_start;
        break;
    }
    if (!for_good && start->flush_due)
        fetcher_sync(fetcher, at); /* what was taken of it is as good as the rest */
    else
        fetch_core_failed(&fetcher->core, at, for_good, now_ms);
    say_limited(SAY_ERROR,
                "cannot append what the leader sent, %s %s leader=%d offset=%" PRId64 " err=%s",
                for_good ? "giving up" : "retrying", fetcher_part_name(at), fetcher->leader,
                at->offset, err_name(err));
}

static void append(struct fetcher *fetcher, struct fetch_part *at,
                   const struct fetch_response_partition *got, int64_t wall_ms)
{
    struct follow *follow = at->owner;
    size_t len = got->records.len > 0 ? (size_t)got->records.len : 0;
    struct part_fetch_start start;
    enum err err =
        part_follow(follow->part, at->leader_epoch, got->records.data, len, got->high_watermark,
                    got->log_start_offset, wall_ms, reactor_now_ms(fetcher->reactor), &start);

    if (err != ERR_OK) {
        fetcher_refused(fetcher, at, &start, err);
        return;
    }
    follow->lag = got->high_watermark > start.offset ? got->high_watermark - start.offset : 0;
    bool throttled = fetcher->conf.quota != NULL && part_is_throttled_follower(follow->part);
    if (throttled)
        repl_quota_add(fetcher->conf.quota, len, reactor_now_ms(fetcher->reactor));
    fetch_core_throttle(&fetcher->core, at, throttled, follow->lag == 0);
    atomic_fetch_add_explicit(&fetcher->bytes, len, memory_order_relaxed);
    STAT_ADD(replication_bytes_in, len);
    fetcher_go_on(fetcher, at, &start, len > 0);
}

static void truncate(struct fetcher *fetcher, struct fetch_part *at,
                     const struct fetch_response_partition *got)
{
    struct follow *follow = at->owner;
    struct part_fetch_start start;
    enum err err = part_follow_diverged(follow->part, at->leader_epoch, got->diverging_epoch.epoch,
                                        got->diverging_epoch.end_offset,
                                        reactor_now_ms(fetcher->reactor), &start);

    if (err != ERR_OK)
        fetcher_refused(fetcher, at, &start, err);
    else
        fetcher_go_on(fetcher, at, &start, false);
}

static void on_partition(struct fetcher *fetcher, struct uuid topic_id,
                         const struct fetch_response_partition *got, int64_t wall_ms)
{
    struct fetch_part *at = fetch_core_find(&fetcher->core, topic_id, got->partition_index);
    const struct fetch_answer answer = {
        .err = (enum err)got->error_code,
        .diverging = got->has_diverging_epoch && got->diverging_epoch.end_offset >= 0,
        .diverging_epoch = got->diverging_epoch.epoch,
        .diverging_end = got->diverging_epoch.end_offset,
        .has_records = got->records.len > 0,
    };

    if (at == NULL)
        return;
    switch (fetch_core_decide(&fetcher->core, at, &answer, reactor_now_ms(fetcher->reactor))) {
    case FETCH_IGNORE:
        break;
    case FETCH_APPEND:
        append(fetcher, at, got, wall_ms);
        break;
    case FETCH_TRUNCATE:
        truncate(fetcher, at, got);
        break;
    case FETCH_ASK_OFFSETS:
        fetcher->resets_due = true;
        break;
    case FETCH_BACK_OFF:
        if (at->tries < SAY_AFTER_TRIES)
            break;
        say_limited(SAY_WARN, "fetch failed, retrying %s leader=%d epoch=%d err=%s",
                    fetcher_part_name(at), fetcher->leader, at->leader_epoch, err_name(answer.err));
        break;
    case FETCH_GIVE_UP:
        say_limited(SAY_INFO, "fetch refused, waiting for a new role %s leader=%d epoch=%d err=%s",
                    fetcher_part_name(at), fetcher->leader, at->leader_epoch, err_name(answer.err));
        break;
    }
}

/* ---- the whole of it ---- */

static void on_fetched(void *ctx, enum err err, const struct peer_answer *answer)
{
    struct fetcher *fetcher = ctx;
    struct fetch_response resp;

    if (err != ERR_OK)
        return; /* whoever ended the connection sees to the rest */
    fetcher->flight = FLIGHT_NONE;
    fetcher_heard(fetcher);
    reactor_timer_cancel(fetcher->reactor, &fetcher->newcomer);
    arena_reset(&fetcher->answer_arena);
    struct wire_in in = wire_in_of(answer->bytes, answer->len, &fetcher->answer_arena);
    err = fetch_response_decode(&resp, &in, answer->version);
    if (err != ERR_OK) {
        fetcher_garbage(fetcher, err);
        return;
    }
    atomic_fetch_add_explicit(&fetcher->fetches, 1, memory_order_relaxed);
    err = (enum err)resp.error_code;
    if (fetch_core_answered(&fetcher->core, err, resp.session_id,
                            reactor_now_ms(fetcher->reactor))) {
        int64_t wall_ms = clock_wall_ms();

        for (int32_t t = 0; t < resp.responses_len; t++)
            for (int32_t p = 0; p < resp.responses[t].partitions_len; p++)
                on_partition(fetcher, resp.responses[t].topic_id, &resp.responses[t].partitions[p],
                             wall_ms);
    } else {
        say_limited(SAY_INFO, "fetch refused, starting a new session leader=%d err=%s",
                    fetcher->leader, err_name(err));
    }
    fetcher_count(fetcher, false);
    fetcher_pump(fetcher);
}

static void put_topics(struct fetcher *fetcher, const struct fetch_ask *ask,
                       struct fetch_request *req)
{
    struct arena *arena = &fetcher->arena;
    struct fetch_request_partition *part =
        arena_zalloc(arena, (size_t)ask->parts_len + 1, sizeof *part);
    struct fetch_request_topic *topic = NULL;

    req->topics = arena_zalloc(arena, (size_t)ask->parts_len + 1, sizeof *topic);
    for (int32_t i = 0; i < ask->parts_len; i++, part++) {
        const struct fetch_part *at = ask->parts[i];

        if (topic == NULL || !uuid_eq(topic->topic_id, at->topic_id)) {
            topic = &req->topics[req->topics_len++];
            fetch_request_topic_init(topic);
            topic->topic_id = at->topic_id;
            topic->partitions = part;
        }
        fetch_request_partition_init(part);
        part->partition = at->partition;
        part->current_leader_epoch = at->leader_epoch;
        part->fetch_offset = at->offset;
        part->last_fetched_epoch = at->last_epoch;
        part->log_start_offset = at->log_start;
        part->partition_max_bytes = fetcher->conf.partition_max_bytes;
        topic->partitions_len++;
    }
}

static void put_forgotten(struct fetcher *fetcher, const struct fetch_ask *ask,
                          struct fetch_request *req)
{
    struct arena *arena = &fetcher->arena;
    int32_t *part = arena_zalloc(arena, (size_t)ask->forgotten_len + 1, sizeof *part);
    struct fetch_request_forgotten_topic *topic = NULL;

    req->forgotten_topics_data = arena_zalloc(arena, (size_t)ask->forgotten_len + 1, sizeof *topic);
    for (int32_t i = 0; i < ask->forgotten_len; i++) {
        const struct fetch_forgotten *gone = &ask->forgotten[i];

        if (topic == NULL || !uuid_eq(topic->topic_id, gone->topic_id)) {
            topic = &req->forgotten_topics_data[req->forgotten_topics_data_len++];
            fetch_request_forgotten_topic_init(topic);
            topic->topic_id = gone->topic_id;
            topic->partitions = part;
        }
        *part++ = gone->partition;
        topic->partitions_len++;
    }
}

void fetcher_send_fetch(struct fetcher *fetcher, const struct fetch_ask *ask, int64_t wake_ms)
{
    int64_t left_ms = wake_ms - reactor_now_ms(fetcher->reactor);
    struct fetch_request req;

    arena_reset(&fetcher->arena);
    fetch_request_init(&req);
    if (fetcher->fetch_version >= 15) {
        req.has_replica_state = true;
        req.replica_state.replica_id = fetcher->conf.broker_id;
        req.replica_state.replica_epoch = fetcher->broker_epoch;
    } else {
        req.replica_id = fetcher->conf.broker_id;
    }
    req.max_wait_ms = fetcher->conf.wait_max_ms;
    if (left_ms < req.max_wait_ms)
        req.max_wait_ms = left_ms > 0 ? (int32_t)left_ms : 0;
    req.min_bytes = fetcher->conf.min_bytes;
    req.max_bytes = fetcher->conf.response_max_bytes;
    req.session_id = ask->session_id;
    req.session_epoch = ask->session_epoch;
    put_topics(fetcher, ask, &req);
    put_forgotten(fetcher, ask, &req);
    fetcher->flight = FLIGHT_FETCH;
    fetcher_sent(fetcher);
    peer_send(fetcher->peer, API_FETCH, fetcher->fetch_version, &req,
              fetcher->conf.request_timeout_ms, on_fetched, fetcher);
}
