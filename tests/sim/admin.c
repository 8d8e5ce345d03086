/*
 * What operators ask of the cluster, as the requests that a broker would forward: to whoever has
 * the seat, now and then to anybody. A request lives until the core has answered it or has
 * forgotten all. Whether it is done is seen in ZooKeeper; answers are only told.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "gen/wire/alter_partition_reassignments.h"
#include "gen/wire/apis.h"
#include "gen/wire/create_partitions.h"
#include "gen/wire/create_topics.h"
#include "gen/wire/delete_topics.h"
#include "gen/wire/elect_leaders.h"
#include "gen/wire/incremental_alter_configs.h"
#include "tests/sim/boss_int.h"

#define TIMEOUT_MS     10000
#define RESOURCE_TOPIC 2
#define OPERATION_SET  0

struct admin_req {
    struct admin_req *next;
    struct world *w;
    uint64_t id;
    int16_t api_key, api_version;
    const void *request;
    int32_t ids[SIM_BROKERS];
    union {
        struct {
            struct create_topics_request req;
            struct create_topics_request_topic topic;
            struct create_topics_request_config config;
        } create;
        struct {
            struct delete_topics_request req;
            struct str name;
        } delete;
        struct {
            struct create_partitions_request req;
            struct create_partitions_request_topic topic;
        } grow;
        struct {
            struct alter_partition_reassignments_request req;
            struct alter_partition_reassignments_request_topic topic;
            struct alter_partition_reassignments_request_partition part;
        } move;
        struct {
            struct incremental_alter_configs_request req;
            struct incremental_alter_configs_request_resource resource;
            struct incremental_alter_configs_request_config configs[2];
        } config;
        struct {
            struct elect_leaders_request req;
            struct elect_leaders_request_topic topic;
        } elect;
    };
};

static struct str number(int n)
{
    static const char *const texts[] = { "0", "1", "2", "3", "4" };

    return str_of(texts[n]);
}

static void req_free(void *ptr)
{
    struct admin_req *req = ptr;

    req->w->n_asked--;
    req->w->n_creates -= req->api_key == API_CREATE_TOPICS;
    free(req);
}

/* ---- on its way, and answered ---- */

static void run_asked(struct world *w, struct event *ev)
{
    struct boss *boss = &w->bosses[ev->node - NODE_BOSS];
    struct admin_req *req = ev->ptr;
    struct core_event event = { .kind = CORE_ADMIN,
                                .admin = { .id = req->id,
                                           .api_key = req->api_key,
                                           .api_version = req->api_version,
                                           .request = req->request,
                                           .principal = STR("User:sim") } };

    if (boss->streams == NULL)
        return; /* nobody could forward it */
    event.admin.stream = boss->streams->id;
    ev->ptr = NULL;
    req->next = boss->asked;
    boss->asked = req;
    boss_step(w, boss, &event);
}

static void ask(struct world *w, struct admin_req *req, int16_t key, int16_t version,
                const void *request)
{
    int to = w->zoo->holder;
    struct event *ev;

    if (to < 0 || world_chance(w, 10))
        to = (int)world_between(w, 0, w->conf.bosses - 1);
    w->n_asked++;
    req->w = w;
    req->id = ++w->ids;
    req->api_key = key;
    req->api_version = version;
    req->request = request;
    ev = world_at(w, world_delay_us(w), NODE_BOSS + to, run_asked);
    ev->ptr = req;
    ev->drop = req_free;
}

void admin_answered(struct world *w, struct boss *boss, const struct core_answer_admin *answer)
{
    struct admin_req **at = &boss->asked, *req;

    TRACE(w, "%s answers request %llu key=%d err=%s", node_name(boss->node),
          (unsigned long long)answer->id, answer->api_key, err_name(answer->err));
    while (*at != NULL && (*at)->id != answer->id)
        at = &(*at)->next;
    if ((req = *at) == NULL)
        return;
    *at = req->next;
    req_free(req);
}

void admin_forget(struct boss *boss)
{
    struct admin_req *req = boss->asked, *next;

    boss->asked = NULL;
    for (; req != NULL; req = next) {
        next = req->next;
        req_free(req);
    }
}

/* ---- requests ---- */

bool admin_may_create(const struct world *w, int left)
{
    return w->n_gens + w->n_creates < SIM_GENS - left;
}

void admin_create(struct world *w, int parts, int rf)
{
    struct admin_req *req = xcalloc(1, sizeof *req);

    w->n_creates++;
    create_topics_request_init(&req->create.req);
    create_topics_request_topic_init(&req->create.topic);
    create_topics_request_config_init(&req->create.config);
    req->create.topic.name = SIM_TOPIC;
    req->create.topic.num_partitions = parts;
    req->create.topic.replication_factor = (int16_t)rf;
    req->create.topic.configs = &req->create.config;
    req->create.topic.configs_len = w->conf.in_files ? 0 : 1;
    req->create.config.name = STR("min.insync.replicas");
    req->create.config.value = number(w->conf.min_isr);
    req->create.req.topics = &req->create.topic;
    req->create.req.topics_len = 1;
    req->create.req.timeout_ms = TIMEOUT_MS;
    ask(w, req, API_CREATE_TOPICS, 7, &req->create.req);
}

void admin_delete(struct world *w)
{
    struct admin_req *req = xcalloc(1, sizeof *req);

    delete_topics_request_init(&req->delete.req);
    req->delete.name = SIM_TOPIC;
    req->delete.req.topic_names = &req->delete.name;
    req->delete.req.topic_names_len = 1;
    req->delete.req.timeout_ms = TIMEOUT_MS;
    ask(w, req, API_DELETE_TOPICS, 5, &req->delete.req);
}

void admin_grow(struct world *w)
{
    struct admin_req *req = xcalloc(1, sizeof *req);

    create_partitions_request_init(&req->grow.req);
    create_partitions_request_topic_init(&req->grow.topic);
    req->grow.topic.name = SIM_TOPIC;
    req->grow.topic.count = w->zoo->tree.topic.n_parts + 1;
    req->grow.topic.assignments_len = -1;
    req->grow.req.topics = &req->grow.topic;
    req->grow.req.topics_len = 1;
    req->grow.req.timeout_ms = TIMEOUT_MS;
    if (req->grow.topic.count > SIM_PARTS)
        free(req);
    else
        ask(w, req, API_CREATE_PARTITIONS, 3, &req->grow.req);
}

void admin_move(struct world *w, int p, const int32_t *target, int n)
{
    struct admin_req *req = xcalloc(1, sizeof *req);

    alter_partition_reassignments_request_init(&req->move.req);
    alter_partition_reassignments_request_topic_init(&req->move.topic);
    alter_partition_reassignments_request_partition_init(&req->move.part);
    if (n > 0)
        memcpy(req->ids, target, (size_t)n * sizeof *target);
    req->move.part.partition_index = p;
    req->move.part.replicas = req->ids;
    req->move.part.replicas_len = n > 0 ? n : -1;
    req->move.topic.name = SIM_TOPIC;
    req->move.topic.partitions = &req->move.part;
    req->move.topic.partitions_len = 1;
    req->move.req.topics = &req->move.topic;
    req->move.req.topics_len = 1;
    req->move.req.timeout_ms = TIMEOUT_MS;
    ask(w, req, API_ALTER_PARTITION_REASSIGNMENTS, 0, &req->move.req);
}

void admin_config(struct world *w, int min_isr, int unclean)
{
    struct admin_req *req = xcalloc(1, sizeof *req);
    int32_t n = 0;

    incremental_alter_configs_request_init(&req->config.req);
    incremental_alter_configs_request_resource_init(&req->config.resource);
    if (min_isr > 0)
        req->config.configs[n++] =
            (struct incremental_alter_configs_request_config){ .name = STR("min.insync.replicas"),
                                                               .config_operation = OPERATION_SET,
                                                               .value = number(min_isr) };
    if (unclean >= 0)
        req->config.configs[n++] = (struct incremental_alter_configs_request_config){
            .name = STR("unclean.leader.election.enable"),
            .config_operation = OPERATION_SET,
            .value = unclean ? STR("true") : STR("false")
        };
    req->config.resource.resource_type = RESOURCE_TOPIC;
    req->config.resource.resource_name = SIM_TOPIC;
    req->config.resource.configs = req->config.configs;
    req->config.resource.configs_len = n;
    req->config.req.resources = &req->config.resource;
    req->config.req.resources_len = 1;
    ask(w, req, API_INCREMENTAL_ALTER_CONFIGS, 1, &req->config.req);
}

void admin_elect(struct world *w, int p)
{
    struct admin_req *req = xcalloc(1, sizeof *req);

    elect_leaders_request_init(&req->elect.req);
    elect_leaders_request_topic_init(&req->elect.topic);
    req->ids[0] = p;
    req->elect.topic.topic = SIM_TOPIC;
    req->elect.topic.partitions = req->ids;
    req->elect.topic.partitions_len = 1;
    req->elect.req.topic_partitions = &req->elect.topic;
    req->elect.req.topic_partitions_len = 1;
    req->elect.req.timeout_ms = TIMEOUT_MS;
    ask(w, req, API_ELECT_LEADERS, 2, &req->elect.req);
}
