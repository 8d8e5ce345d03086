#include "broker/api/internal_topic.h"

#include "broker/group/groups.h"
#include "broker/tables/broker_conf.h"

static void add_config(struct create_topics_request_topic *out, const char *name, struct str value)
{
    struct create_topics_request_config *config = &out->configs[out->configs_len++];

    create_topics_request_config_init(config);
    config->name = str_of(name);
    config->value = value;
}

void internal_topic_fill(const struct api *api, struct str name, struct arena *arena,
                         struct create_topics_request_topic *out)
{
    create_topics_request_topic_init(out);
    out->name = name;
    out->num_partitions = -1;
    out->replication_factor = -1;
    if (!str_is(name, GROUPS_TOPIC))
        return;
    out->num_partitions = api->conf->offsets_topic_num_partitions;
    out->replication_factor = api->conf->offsets_topic_replication_factor;
    out->configs = arena_zalloc(arena, 3, sizeof *out->configs);
    add_config(out, "cleanup.policy", STR("compact"));
    add_config(out, "compression.type", STR("producer"));
    add_config(out, "segment.bytes",
               arena_printf(arena, "%d", api->conf->offsets_topic_segment_bytes));
}
