/*
 * After OFFSET_OUT_OF_RANGE: where do the leader's logs begin and end? Two ListOffsets, since one
 * cannot ask twice about a partition, sent one behind the other. A log that ends beyond the
 * leader's is cut, one that ends before the leader's begins is started anew (KAFKA-9491), and the
 * next fetch tells whether that was right.
 */
#include "broker/replica/fetcher_int.h"

#include "common/base/say.h"
#include "gen/wire/apis.h"
#include "gen/wire/list_offsets.h"

#define RESETS_MAX 256 /* partitions in one ListOffsets */
#define LATEST     (-1)
#define EARLIEST   (-2)

static void carry_out(struct fetcher *fetcher, const struct reset *reset)
{
    struct fetch_part *at = fetch_core_find(&fetcher->core, reset->topic_id, reset->partition);
    struct part_fetch_start start;

    if (at == NULL || at->state != FETCH_RESET || at->leader_epoch != reset->leader_epoch)
        return; /* followed anew meanwhile */
    enum err err = reset->err;
    if (err == ERR_OK && reset->leader_start > reset->leader_end)
        err = ERR_BAD_FORMAT;
    if (err != ERR_OK) {
        say_limited(SAY_WARN, "cannot learn the leader's offsets, retrying %s leader=%d err=%s",
                    fetcher_part_name(at), fetcher->leader, err_name(err));
        fetch_core_delay(&fetcher->core, at, reactor_now_ms(fetcher->reactor));
        return;
    }
    const struct follow *follow = at->owner;
    err = part_follow_reset(follow->part, at->leader_epoch, reset->leader_start, reset->leader_end,
                            reactor_now_ms(fetcher->reactor), &start);
    if (err != ERR_OK)
        fetcher_refused(fetcher, at, &start, err);
    else
        fetcher_go_on(fetcher, at, &start, false);
}

static struct reset *find_reset(struct fetcher *fetcher, struct str topic, int32_t partition)
{
    for (int32_t i = 0; i < fetcher->resets_len; i++)
        if (fetcher->resets[i].partition == partition && str_eq(fetcher->resets[i].topic, topic))
            return &fetcher->resets[i];
    return NULL;
}

static void take_offsets(struct fetcher *fetcher, const struct list_offsets_response *resp,
                         bool latest)
{
    for (int32_t t = 0; t < resp->topics_len; t++) {
        const struct list_offsets_response_topic *topic = &resp->topics[t];

        for (int32_t p = 0; p < topic->partitions_len; p++) {
            const struct list_offsets_response_partition *part = &topic->partitions[p];
            struct reset *reset = find_reset(fetcher, topic->name, part->partition_index);

            if (reset == NULL)
                continue;
            if (part->error_code != 0)
                reset->err = (enum err)part->error_code;
            else if (latest)
                reset->leader_end = part->offset;
            else
                reset->leader_start = part->offset;
        }
    }
}

static void on_offsets(struct fetcher *fetcher, enum err err, const struct peer_answer *answer,
                       bool latest)
{
    struct list_offsets_response resp;

    fetcher->open_lists--;
    if (err != ERR_OK) {
        fetcher->resets_due = true; /* on the next connection */
        return;
    }
    arena_reset(&fetcher->answer_arena);
    struct wire_in in = wire_in_of(answer->bytes, answer->len, &fetcher->answer_arena);
    err = list_offsets_response_decode(&resp, &in, answer->version);
    if (err != ERR_OK) {
        fetcher->resets_due = true;
        fetcher_garbage(fetcher, err);
        return;
    }
    take_offsets(fetcher, &resp, latest);
    if (fetcher->open_lists > 0)
        return;
    fetcher->flight = FLIGHT_NONE;
    for (int32_t i = 0; i < fetcher->resets_len; i++) {
        struct reset *reset = &fetcher->resets[i];

        if (reset->err == ERR_OK && (reset->leader_start < 0 || reset->leader_end < 0))
            reset->err = ERR_BAD_FORMAT; /* it was left out of an answer */
        carry_out(fetcher, reset);
    }
    fetcher_count(fetcher, true);
    fetcher_pump(fetcher);
}

static void on_latest(void *ctx, enum err err, const struct peer_answer *answer)
{
    on_offsets(ctx, err, answer, true);
}

static void on_earliest(void *ctx, enum err err, const struct peer_answer *answer)
{
    on_offsets(ctx, err, answer, false);
}

static void send_list(struct fetcher *fetcher, int64_t timestamp, peer_on_answer *on_answer)
{
    struct arena *arena = &fetcher->arena;
    size_t n = (size_t)fetcher->resets_len;
    struct list_offsets_request_partition *part = arena_zalloc(arena, n, sizeof *part);
    struct list_offsets_request_topic *topic = NULL;
    struct list_offsets_request req;

    list_offsets_request_init(&req);
    req.replica_id = fetcher->conf.broker_id;
    req.topics = arena_zalloc(arena, n, sizeof *topic);
    for (int32_t i = 0; i < fetcher->resets_len; i++, part++) {
        const struct reset *reset = &fetcher->resets[i];

        if (topic == NULL || !str_eq(topic->name, reset->topic)) {
            topic = &req.topics[req.topics_len++];
            list_offsets_request_topic_init(topic);
            topic->name = reset->topic;
            topic->partitions = part;
        }
        list_offsets_request_partition_init(part);
        part->partition_index = reset->partition;
        part->current_leader_epoch = reset->leader_epoch;
        part->timestamp = timestamp;
        topic->partitions_len++;
    }
    fetcher->open_lists++;
    peer_send(fetcher->peer, API_LIST_OFFSETS, fetcher->list_version, &req,
              fetcher->conf.request_timeout_ms, on_answer, fetcher);
}

bool fetcher_ask_offsets(struct fetcher *fetcher)
{
    struct fetch_part *at;

    fetcher->resets_due = false;
    fetcher->resets_len = 0;
    arena_reset(&fetcher->arena);
    fetcher->resets = arena_zalloc(&fetcher->arena, RESETS_MAX, sizeof *fetcher->resets);
    TAILQ_FOREACH (at, &fetcher->core.parts, link) {
        const struct follow *follow = at->owner;

        if (at->state != FETCH_RESET)
            continue;
        if (fetcher->resets_len == RESETS_MAX) {
            fetcher->resets_due = true;
            break;
        }
        fetcher->resets[fetcher->resets_len++] = (struct reset){
            .topic_id = at->topic_id,
            .topic = arena_str(&fetcher->arena, str_of(part_topic(follow->part))),
            .partition = at->partition,
            .leader_epoch = at->leader_epoch,
            .leader_start = -1,
            .leader_end = -1,
        };
    }
    if (fetcher->resets_len == 0)
        return false;
    fetcher->flight = FLIGHT_OFFSETS;
    fetcher_sent(fetcher);
    fetcher->open_lists = 0;
    send_list(fetcher, LATEST, on_latest);
    send_list(fetcher, EARLIEST, on_earliest);
    return true;
}
