/* Answers come directory by directory; what they hold is put into one list and sorted. */
#include "controller/cli/disks.h"

#include <stdlib.h>
#include <string.h>

#include "gen/wire/apis.h"
#include "gen/wire/describe_log_dirs.h"

static int by_place(const void *a, const void *b)
{
    const struct disk_replica *left = a, *right = b;
    int order = (left->broker > right->broker) - (left->broker < right->broker);

    if (order == 0)
        order = str_cmp(left->topic, right->topic);
    if (order == 0)
        order = (left->partition > right->partition) - (left->partition < right->partition);
    return order != 0 ? order : left->is_future - right->is_future;
}

static void fill_parts(struct arena *arena, const struct disk_part *parts, int n,
                       struct describe_log_dirs_request *request)
{
    struct describe_log_dirs_request_topic *topic = NULL;
    int32_t *at = arena_zalloc(arena, (size_t)n + 1, sizeof *at);

    describe_log_dirs_request_init(request);
    request->topics_len = -1;
    if (parts == NULL)
        return;
    request->topics_len = 0;
    request->topics = arena_zalloc(arena, (size_t)n + 1, sizeof *request->topics);
    for (int i = 0; i < n; i++) {
        if (topic == NULL || !str_eq(topic->topic, parts[i].topic)) {
            topic = &request->topics[request->topics_len++];
            describe_log_dirs_request_topic_init(topic);
            topic->topic = parts[i].topic;
            topic->partitions = at;
        }
        *at++ = parts[i].partition;
        topic->partitions_len++;
    }
}

static void take_dir(struct disks *out, int32_t broker,
                     const struct describe_log_dirs_response_result *result)
{
    struct disk_dir *dir = &out->dirs[out->dirs_n++];

    *dir = (struct disk_dir){ .broker = broker,
                              .path = result->log_dir,
                              .err = (enum err)result->error_code,
                              .total_bytes = result->total_bytes,
                              .usable_bytes = result->usable_bytes };
    for (int32_t t = 0; t < result->topics_len; t++) {
        const struct describe_log_dirs_response_topic *topic = &result->topics[t];

        for (int32_t p = 0; p < topic->partitions_len; p++) {
            const struct describe_log_dirs_response_partition *part = &topic->partitions[p];

            dir->used_bytes += part->partition_size;
            dir->replicas++;
            out->replicas[out->n++] = (struct disk_replica){ .broker = broker,
                                                             .topic = topic->name,
                                                             .partition = part->partition_index,
                                                             .is_future = part->is_future_key,
                                                             .dir = result->log_dir,
                                                             .bytes = part->partition_size,
                                                             .lag = part->offset_lag };
        }
    }
}

void disks_look(struct link *link, const int32_t *brokers, int brokers_len,
                const struct disk_part *parts, int parts_len, struct arena *arena,
                struct disks *out)
{
    struct describe_log_dirs_request request;
    struct describe_log_dirs_response *answers =
        arena_zalloc(arena, (size_t)brokers_len + 1, sizeof *answers);
    size_t replicas = 0, dirs = 0;

    fill_parts(arena, parts, parts_len, &request);
    for (int i = 0; i < brokers_len; i++) {
        enum err err =
            link_ask(link, brokers[i], API_DESCRIBE_LOG_DIRS, &request, &answers[i], arena);

        if (err != ERR_OK)
            answers[i].results_len = 0;
        for (int32_t d = 0; d < answers[i].results_len; d++, dirs++)
            for (int32_t t = 0; t < answers[i].results[d].topics_len; t++)
                replicas += (size_t)answers[i].results[d].topics[t].partitions_len;
    }
    *out = (struct disks){
        .replicas = arena_zalloc(arena, replicas + 1, sizeof *out->replicas),
        .dirs = arena_zalloc(arena, dirs + 1, sizeof *out->dirs),
    };
    for (int i = 0; i < brokers_len; i++)
        for (int32_t d = 0; d < answers[i].results_len; d++)
            take_dir(out, brokers[i], &answers[i].results[d]);
    qsort(out->replicas, out->n, sizeof *out->replicas, by_place);
}

const struct disk_replica *disks_find(const struct disks *disks, int32_t broker, struct str topic,
                                      int32_t partition)
{
    const struct disk_replica key = { .broker = broker, .topic = topic, .partition = partition };

    return disks->n == 0 ? NULL : bsearch(&key, disks->replicas, disks->n, sizeof key, by_place);
}

int64_t disks_bytes(const struct disks *disks, int32_t broker, struct str topic, int32_t partition)
{
    const struct disk_replica *found = disks_find(disks, broker, topic, partition);

    return found != NULL ? found->bytes : -1;
}
