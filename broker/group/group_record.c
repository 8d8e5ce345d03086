#include "broker/group/group_record.h"

#include <stdlib.h>

#include "broker/group/group_int.h"
#include "gen/records/offset_commit.h"

#define OFFSET_KEY_VERSION            1
#define OFFSET_VALUE_VERSION          3
#define OFFSET_VALUE_EXPIRING_VERSION 1 /* the only one that has expire_timestamp */
#define GROUP_VALUE_VERSION           3

/* ---- which partition ---- */

int32_t group_record_partition(struct str group, int32_t partitions)
{
    int32_t hash = str_java_hash(group);

    /* Kafka's Utils.abs(), which is 0 for the number that has no positive counterpart */
    return (hash == INT32_MIN ? 0 : abs(hash)) % partitions;
}

/* ---- reading ---- */

static struct wire_in open_bytes(struct str bytes, struct arena *arena, int16_t *version)
{
    struct wire_in in = wire_in_of(bytes.ptr, bytes.len, arena);

    *version = wire_get_i16(&in);
    return in;
}

enum err group_record_read_key(struct str bytes, struct group_key *out)
{
    struct wire_in in = open_bytes(bytes, NULL, &out->version);

    if (in.err != ERR_OK)
        return in.err;
    if (out->version >= OFFSET_COMMIT_KEY_MIN_VERSION &&
        out->version <= OFFSET_COMMIT_KEY_MAX_VERSION) {
        struct offset_commit_key key;
        enum err err = offset_commit_key_decode(&key, &in, out->version);

        out->kind = GROUP_KEY_OFFSET;
        out->group = key.group;
        out->topic = key.topic;
        out->partition = key.partition;
        return err;
    }
    if (out->version == GROUP_METADATA_KEY_MAX_VERSION) {
        struct group_metadata_key key;
        enum err err = group_metadata_key_decode(&key, &in, out->version);

        out->kind = GROUP_KEY_GROUP;
        out->group = key.group;
        return err;
    }
    out->kind = GROUP_KEY_OTHER;
    return out->version < 0 ? ERR_UNSUPPORTED_VERSION : ERR_OK;
}

enum err group_record_read_offset(struct str bytes, struct offset_value *out)
{
    struct offset_commit_value value;
    int16_t version;
    struct wire_in in = open_bytes(bytes, NULL, &version);

    if (in.err != ERR_OK)
        return in.err;
    if (version < OFFSET_COMMIT_VALUE_MIN_VERSION || version > OFFSET_COMMIT_VALUE_MAX_VERSION)
        return ERR_UNSUPPORTED_VERSION;
    enum err err = offset_commit_value_decode(&value, &in, version);
    if (err != ERR_OK)
        return err;
    *out = (struct offset_value){ .offset = value.offset,
                                  .leader_epoch = value.leader_epoch,
                                  .metadata = value.metadata,
                                  .commit_ms = value.commit_timestamp,
                                  .expire_ms = value.expire_timestamp };
    return ERR_OK;
}

enum err group_record_read_group(struct str bytes, struct arena *arena,
                                 struct group_metadata_value *out, int16_t *version)
{
    struct wire_in in = open_bytes(bytes, arena, version);

    if (in.err != ERR_OK)
        return in.err;
    if (*version < GROUP_METADATA_VALUE_MIN_VERSION || *version > GROUP_METADATA_VALUE_MAX_VERSION)
        return ERR_UNSUPPORTED_VERSION;
    return group_metadata_value_decode(out, &in, *version);
}

/* ---- writing ---- */

/* Room for the version and size bytes, with the version in it. */
static struct wire_out begin_bytes(struct arena *arena, int16_t version, size_t size)
{
    struct wire_out out = wire_out_of(arena_alloc(arena, size + 2), size + 2);

    wire_put_i16(&out, version);
    return out;
}

static struct str end_bytes(const struct wire_out *out)
{
    return (struct str){ .ptr = (const char *)out->base, .len = out->pos };
}

struct str group_record_write_offset_key(struct arena *arena, struct str group, struct str topic,
                                         int32_t partition)
{
    struct offset_commit_key key = { .group = group, .topic = topic, .partition = partition };
    struct wire_out out =
        begin_bytes(arena, OFFSET_KEY_VERSION, offset_commit_key_size(&key, OFFSET_KEY_VERSION));

    offset_commit_key_encode(&key, &out, OFFSET_KEY_VERSION);
    return end_bytes(&out);
}

struct str group_record_write_offset(struct arena *arena, const struct offset_value *value)
{
    int16_t version = value->expire_ms != -1 ? OFFSET_VALUE_EXPIRING_VERSION : OFFSET_VALUE_VERSION;
    struct offset_commit_value record = { .offset = value->offset,
                                          .leader_epoch = value->leader_epoch,
                                          .metadata = value->metadata,
                                          .commit_timestamp = value->commit_ms,
                                          .expire_timestamp = value->expire_ms };
    struct wire_out out = begin_bytes(arena, version, offset_commit_value_size(&record, version));

    offset_commit_value_encode(&record, &out, version);
    return end_bytes(&out);
}

struct str group_record_write_group_key(struct arena *arena, struct str group)
{
    struct group_metadata_key key = { .group = group };
    struct wire_out out =
        begin_bytes(arena, GROUP_METADATA_KEY_MAX_VERSION,
                    group_metadata_key_size(&key, GROUP_METADATA_KEY_MAX_VERSION));

    group_metadata_key_encode(&key, &out, GROUP_METADATA_KEY_MAX_VERSION);
    return end_bytes(&out);
}

static struct wire_bytes bytes_of(struct str text)
{
    return (struct wire_bytes){ .data = (const uint8_t *)(text.ptr != NULL ? text.ptr : ""),
                                .len = (int32_t)text.len };
}

static void fill_member(const struct group *group, const struct group_member *from,
                        struct group_metadata_value_member_metadata *to)
{
    group_metadata_value_member_metadata_init(to);
    to->member_id = from->id;
    to->group_instance_id = from->instance;
    to->client_id = from->client_id;
    to->client_host = from->client_host;
    to->rebalance_timeout = from->rebalance_ms;
    to->session_timeout = from->session_ms;
    to->subscription = bytes_of(group_member_metadata(from, group->protocol));
    to->assignment =
        bytes_of(group->state == GROUP_COMPLETING ? from->next_assignment : from->assignment);
}

struct str group_record_write_group(struct arena *arena, const struct group *group)
{
    struct group_metadata_value value;

    group_metadata_value_init(&value);
    value.protocol_type = str_is_null(group->protocol_type) ? STR_EMPTY : group->protocol_type;
    value.generation = group->generation;
    value.protocol = group->protocol;
    value.leader = group->leader != NULL ? group->leader->id : STR_NULL;
    value.current_state_timestamp = group->state_wall_ms;
    value.members_len = (int32_t)group->members_len;
    value.members = arena_alloc(arena, (group->members_len + 1) * sizeof *value.members);
    for (size_t i = 0; i < group->members_len; i++)
        fill_member(group, group->members[i], &value.members[i]);

    struct wire_out out = begin_bytes(arena, GROUP_VALUE_VERSION,
                                      group_metadata_value_size(&value, GROUP_VALUE_VERSION));
    group_metadata_value_encode(&value, &out, GROUP_VALUE_VERSION);
    return end_bytes(&out);
}
