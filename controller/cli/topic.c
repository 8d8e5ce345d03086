#include "controller/cli/topic.h"

#include <string.h>
#include <time.h>

#include "common/base/clock.h"

#define PROBE_MS 1000
#define PAUSE_MS 5

enum exit_code topic_missing(struct cli *cli, struct link *link, const char *name)
{
    struct metadata_response all;
    const char *like = NULL;
    int best = strlen(name) <= 4 ? 2 : 4;

    if (link_metadata(link, LINK_ANY, NULL, -1, &all, &cli->arena) == ERR_OK) {
        for (int32_t i = 0; i < all.topics_len; i++) {
            const char *known = arena_cstr(&cli->arena, all.topics[i].name);
            int distance = text_distance(name, known);

            if (distance < best) {
                best = distance;
                like = known;
            }
        }
    }
    return cli_fail(cli, CLI_NOT_FOUND, cli_text(cli, "there is no topic '%s'", name),
                    like != NULL ? cli_text(cli, "did you mean '%s'?", like) : NULL,
                    cli_text(cli, "moldau topic list        or: moldau topic create %s", name));
}

enum exit_code topic_find(struct cli *cli, struct link *link, const char *name,
                          const struct metadata_response_topic **out)
{
    struct metadata_response *response = arena_zalloc(&cli->arena, 1, sizeof *response);
    struct str asked = str_of(name);
    enum err err = link_metadata(link, LINK_ANY, &asked, 1, response, &cli->arena);

    if (err != ERR_OK)
        return link_fail(link, err, cli_text(cli, "look up topic %s", name));
    err = response->topics_len == 1 ? (enum err)response->topics[0].error_code
                                    : ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (err == ERR_UNKNOWN_TOPIC_OR_PARTITION)
        return topic_missing(cli, link, name);
    if (err != ERR_OK && err != ERR_LEADER_NOT_AVAILABLE)
        return link_fail(link, err, cli_text(cli, "look up topic %s", name));
    *out = &response->topics[0];
    return CLI_OK;
}

const int32_t *topic_live_brokers(struct cli *cli, struct link *link, int *len)
{
    int n = link_brokers_len(link);
    struct link_health *health = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *health);
    int32_t *ids = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *ids);

    link_probe(link, PROBE_MS, health);
    *len = 0;
    for (int i = 0; i < n; i++) {
        if (health[i].err == ERR_OK)
            ids[(*len)++] = health[i].id;
    }
    return ids;
}

static bool shows(const struct metadata_response *seen, bool there)
{
    const struct metadata_response_topic *topic = seen->topics_len == 1 ? &seen->topics[0] : NULL;

    if (!there)
        return topic == NULL || topic->error_code == ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (topic == NULL || topic->error_code != ERR_OK || topic->partitions_len == 0)
        return false;
    for (int32_t p = 0; p < topic->partitions_len; p++) {
        if (part_is_offline(&topic->partitions[p]))
            return false;
    }
    return true;
}

enum err topic_wait(struct cli *cli, struct link *link, const char *name, bool there,
                    const int32_t *ids, int len, int32_t *laggard)
{
    const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
    struct str asked = str_of(name);
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    for (int i = 0; i < len; i++) {
        bool done = false;

        while (!done) {
            struct metadata_response seen;
            enum err err;

            arena_reset(&arena);
            err = link_metadata(link, ids[i], &asked, 1, &seen, &arena);
            done =
                err == ERR_REFUSED || err == ERR_CLOSED || (err == ERR_OK && shows(&seen, there));
            if (!done && clock_mono_ms() >= cli->deadline_ms) {
                *laggard = ids[i];
                arena_fini(&arena);
                return ERR_TIMED_OUT;
            }
            if (!done)
                nanosleep(&pause, NULL);
        }
    }
    arena_fini(&arena);
    return ERR_OK;
}
