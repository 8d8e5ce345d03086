/*
 * Keys and values as text: plain ones by the decoder that was asked for, those of the internal
 * topics from their schemas (proto/records) as Kafka's JSON converters and its transaction log
 * print them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/wire/show.h"
#include "controller/cli/dump_int.h"
#include "controller/cli/java_text.h"
#include "gen/records/consumer_protocol.h"
#include "gen/records/group_metadata.h"
#include "gen/records/offset_commit.h"
#include "gen/records/transaction_log.h"

/* Reads the version that precedes a message; what follows is in *in. */
static bool open_message(struct arena *arena, struct str bytes, struct wire_in *in,
                         int16_t *version)
{
    *in = wire_in_of(bytes.ptr, bytes.len, arena);
    *version = wire_get_i16(in);
    return in->err == ERR_OK;
}

/* ---- plain ----------------------------------------------------------------------------------- */

static struct str as_hex(struct arena *arena, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *text = arena_alloc(arena, 2 * bytes.len + 1);

    for (size_t i = 0; i < bytes.len; i++) {
        text[2 * i] = digits[(unsigned char)bytes.ptr[i] >> 4];
        text[2 * i + 1] = digits[(unsigned char)bytes.ptr[i] & 15];
    }
    return (struct str){ .ptr = text, .len = 2 * bytes.len };
}

static bool plain(struct dump *dump, enum dump_decoder decoder, struct str bytes, struct str *text)
{
    *text = STR_NULL;
    if (str_is_null(bytes))
        return true;
    switch (decoder) {
    case DUMP_TEXT:
        *text = java_utf8(&dump->scratch, bytes);
        return true;
    case DUMP_BYTES:
        *text = as_hex(&dump->scratch, bytes);
        return true;
    case DUMP_INT:
        if (bytes.len != 4)
            return false;
        *text = arena_printf(&dump->scratch, "%" PRId32, load_i32(bytes.ptr));
        return true;
    case DUMP_LONG:
        if (bytes.len != 8)
            return false;
        *text = arena_printf(&dump->scratch, "%" PRId64, load_i64(bytes.ptr));
        return true;
    }
    return false;
}

/* ---- __consumer_offsets ---------------------------------------------------------------------- */

static struct str show_member_bytes(void *ctx, const struct wire_field *field,
                                    const struct wire_bytes *bytes, struct arena *arena)
{
    struct str raw = { .ptr = (const char *)bytes->data, .len = (size_t)bytes->len };
    const struct wire_show_java java = { .bytes = NULL };
    struct wire_in in;
    int16_t version;

    (void)ctx;
    if (!open_message(arena, raw, &in, &version) || version < 0)
        return STR_NULL;
    if (strcmp(field->name, "subscription") == 0) {
        struct consumer_protocol_subscription *m = arena_alloc(arena, sizeof *m);

        if (version > CONSUMER_PROTOCOL_SUBSCRIPTION_MAX_VERSION ||
            consumer_protocol_subscription_decode(m, &in, version) != ERR_OK)
            return STR_NULL;
        return wire_show_as_java(&consumer_protocol_subscription_shape, m, version, &java, arena);
    }
    if (strcmp(field->name, "assignment") == 0) {
        struct consumer_protocol_assignment *m = arena_alloc(arena, sizeof *m);

        if (version > CONSUMER_PROTOCOL_ASSIGNMENT_MAX_VERSION ||
            consumer_protocol_assignment_decode(m, &in, version) != ERR_OK)
            return STR_NULL;
        return wire_show_as_java(&consumer_protocol_assignment_shape, m, version, &java, arena);
    }
    return STR_NULL;
}

static struct str wrapped(struct arena *arena, const char *name, int version, struct str data)
{
    struct str json =
        arena_printf(arena, "{\"%s\":\"%d\",\"data\":%.*s}", name, version, STR_ARG(data));

    return java_utf8(arena, json);
}

static bool show_offset_commit(struct arena *arena, struct wire_in *in, int16_t version,
                               struct str value, struct str *key_text, struct str *value_text)
{
    const struct wire_show_java java = { .bytes = NULL };
    struct offset_commit_key key;
    struct offset_commit_value commit;

    if (offset_commit_key_decode(&key, in, version) != ERR_OK)
        return false;
    *key_text = wrapped(arena, "type", version,
                        wire_show_as_java(&offset_commit_key_shape, &key, version, &java, arena));
    *value_text = STR("<DELETE>");
    if (str_is_null(value))
        return true;
    if (!open_message(arena, value, in, &version) || version < 0 ||
        version > OFFSET_COMMIT_VALUE_MAX_VERSION ||
        offset_commit_value_decode(&commit, in, version) != ERR_OK)
        return false;
    *value_text =
        wrapped(arena, "version", version,
                wire_show_as_java(&offset_commit_value_shape, &commit, version, &java, arena));
    return true;
}

static bool show_group(struct arena *arena, struct wire_in *in, int16_t version, struct str value,
                       struct str *key_text, struct str *value_text)
{
    struct wire_show_java java = { .bytes = NULL };
    struct group_metadata_key key;
    struct group_metadata_value group;

    if (group_metadata_key_decode(&key, in, version) != ERR_OK)
        return false;
    *key_text = wrapped(arena, "type", version,
                        wire_show_as_java(&group_metadata_key_shape, &key, version, &java, arena));
    *value_text = STR("<DELETE>");
    if (str_is_null(value))
        return true;
    if (!open_message(arena, value, in, &version) || version < 0 ||
        version > GROUP_METADATA_VALUE_MAX_VERSION ||
        group_metadata_value_decode(&group, in, version) != ERR_OK)
        return false;
    if (str_is(group.protocol_type, "consumer"))
        java.bytes = show_member_bytes;
    *value_text =
        wrapped(arena, "version", version,
                wire_show_as_java(&group_metadata_value_shape, &group, version, &java, arena));
    return true;
}

static void decode_offsets(struct arena *arena, int64_t offset, struct str key, struct str value,
                           struct str *key_text, struct str *value_text)
{
    struct wire_in in;
    int16_t version;
    bool known = true, good = open_message(arena, key, &in, &version);

    if (good && version >= 0 && version <= OFFSET_COMMIT_KEY_MAX_VERSION)
        good = show_offset_commit(arena, &in, version, value, key_text, value_text);
    else if (good && version == GROUP_METADATA_KEY_MAX_VERSION)
        good = show_group(arena, &in, version, value, key_text, value_text);
    else if (good)
        known = false;
    if (known && good)
        return;
    *value_text = STR_NULL;
    if (!known)
        *key_text = arena_printf(arena, "Unknown record type %d at offset %" PRId64 ", skipping.",
                                 version, offset);
    else
        *key_text = arena_printf(
            arena, "Error at offset %" PRId64 ", skipping. The record is not what its version says",
            offset);
}

/* ---- __transaction_state --------------------------------------------------------------------- */

/* In the order of the set that Kafka keeps them in. */
static struct str show_partitions(struct arena *arena, const struct transaction_log_value *txn)
{
    size_t count = 0, len = 2, at = 0;

    for (int32_t i = 0; i < txn->transaction_partitions_len; i++)
        count += (size_t)txn->transaction_partitions[i].partition_ids_len;
    int32_t *hashes = arena_alloc(arena, count * sizeof *hashes);
    size_t *hints = arena_alloc(arena, count * sizeof *hints);
    size_t *order = arena_alloc(arena, count * sizeof *order);
    struct str *names = arena_alloc(arena, count * sizeof *names);

    for (int32_t i = 0; i < txn->transaction_partitions_len; i++) {
        const struct transaction_log_value_transaction_partition *topic =
            &txn->transaction_partitions[i];

        for (int32_t j = 0; j < topic->partition_ids_len; j++) {
            hashes[at] = java_tp_hash(topic->topic, topic->partition_ids[j]);
            hints[at] = j == 0 ? (size_t)topic->partition_ids_len : 0;
            names[at] = arena_printf(arena, "%.*s-%" PRId32, STR_ARG(topic->topic),
                                     topic->partition_ids[j]);
            len += names[at++].len + 1;
        }
    }
    scala_hash_order(hashes, hints, count, order);
    char *text = arena_alloc(arena, len + 1);
    char *to = text;

    *to++ = '[';
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *to++ = ',';
        memcpy(to, names[order[i]].ptr, names[order[i]].len);
        to += names[order[i]].len;
    }
    *to++ = ']';
    return (struct str){ .ptr = text, .len = (size_t)(to - text) };
}

static const char *decode_txn(struct arena *arena, struct str key, struct str value,
                              struct str *key_text, struct str *value_text)
{
    static const char *const states[] = { "Empty",        "Ongoing",          "PrepareCommit",
                                          "PrepareAbort", "CompleteCommit",   "CompleteAbort",
                                          "Dead",         "PrepareEpochFence" };
    struct transaction_log_key id;
    struct transaction_log_value txn;
    struct wire_in in;
    int16_t version;

    *value_text = STR_NULL;
    if (!open_message(arena, key, &in, &version))
        return "a key of the transaction log is too short";
    if (version < 0 || version > TRANSACTION_LOG_KEY_MAX_VERSION) {
        *key_text = arena_printf(arena, "unknown::version=%d", version);
        return NULL;
    }
    if (transaction_log_key_decode(&id, &in, version) != ERR_OK)
        return "a key of the transaction log is not what its version says";
    *key_text = java_utf8(arena, arena_printf(arena, "transaction_metadata::transactionalId=%.*s",
                                              STR_ARG(id.transactional_id)));
    *value_text = STR("<DELETE>");
    if (str_is_null(value))
        return NULL;
    if (!open_message(arena, value, &in, &version) || version < 0 ||
        version > TRANSACTION_LOG_VALUE_MAX_VERSION ||
        transaction_log_value_decode(&txn, &in, version) != ERR_OK || txn.transaction_status < 0 ||
        (size_t)txn.transaction_status >= ARRAY_LEN(states))
        return "a value of the transaction log is not what its version says";
    if (txn.transaction_status == 0)
        txn.transaction_partitions_len = 0; /* an empty one has none, whatever is written */
    struct str partitions = show_partitions(arena, &txn);

    *value_text = java_utf8(
        arena, arena_printf(arena,
                            "producerId:%" PRId64 ",producerEpoch:%d,state=%s,partitions=%.*s,"
                            "txnLastUpdateTimestamp=%" PRId64 ",txnTimeoutMs=%" PRId32,
                            txn.producer_id, txn.producer_epoch, states[txn.transaction_status],
                            STR_ARG(partitions), txn.transaction_last_update_timestamp_ms,
                            txn.transaction_timeout_ms));
    return NULL;
}

bool dump_decode(struct dump *dump, int64_t offset, struct str key, struct str value,
                 struct str *key_text, struct str *value_text, const char **why_not)
{
    struct arena *arena = &dump->scratch;

    *why_not = NULL;
    if (dump->parser == DUMP_PLAIN) {
        if (!plain(dump, dump->key, key, key_text) || !plain(dump, dump->value, value, value_text))
            *why_not = cli_text(dump->cli,
                                "the record at offset %" PRId64
                                " has not the length that its decoder wants",
                                offset);
        return *why_not == NULL;
    }
    if (str_is_null(key)) {
        *why_not = cli_text(dump->cli, "the record at offset %" PRId64 " has no key", offset);
        return false;
    }
    if (dump->parser == DUMP_OFFSETS)
        decode_offsets(arena, offset, key, value, key_text, value_text);
    else
        *why_not = decode_txn(arena, key, value, key_text, value_text);
    return *why_not == NULL;
}
