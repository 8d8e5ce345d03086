/*
 * Any bytes as any znode's value: no crash, and what is read is written and read again alike.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/zk/zk_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_cluster(struct arena *arena, struct str text)
{
    struct zk_registration reg, again;
    struct zk_holder holder;
    struct zk_seat seat;
    struct zk_loading loading;
    struct str id;
    int32_t number;

    if (zk_parse_registration(arena, text, &reg) == ERR_OK) {
        reg.version = 5;
        assert(zk_parse_registration(arena, zk_build_registration(arena, &reg), &again) == ERR_OK);
        assert(again.node.n_endpoints <= reg.node.n_endpoints);
        assert(str_eq(again.node.rack, reg.node.rack));
    }
    if (zk_parse_holder(arena, text, &holder) == ERR_OK)
        assert(zk_parse_holder(arena, zk_build_holder(arena, &holder), &holder) == ERR_OK);
    if (zk_parse_seat(arena, text, &seat) == ERR_OK)
        assert(zk_parse_seat(arena, zk_build_seat(arena, &seat), &seat) == ERR_OK);
    if (zk_parse_loading(arena, text, &loading) == ERR_OK)
        assert(zk_parse_loading(arena, zk_build_loading(arena, &loading), &loading) == ERR_OK);
    if (zk_parse_cluster_id(arena, text, &id) == ERR_OK)
        assert(zk_parse_cluster_id(arena, zk_build_cluster_id(arena, id), &id) == ERR_OK);
    if (zk_parse_epoch(text, &number) == ERR_OK)
        assert(zk_parse_epoch(zk_build_epoch(arena, number), &number) == ERR_OK);
    (void)zk_parse_log_dir_event(arena, text, &number);
}

static void try_topic(struct arena *arena, struct str text)
{
    struct zk_topic topic, topic_again;
    struct leader_isr state, state_again;
    int32_t epoch, epoch_again;

    if (zk_parse_topic(arena, text, &topic) == ERR_OK) {
        assert(zk_parse_topic(arena, zk_build_topic(arena, &topic), &topic_again) == ERR_OK);
        assert(topic.n_parts >= topic_again.n_parts); /* "0" and "00" are one */
        assert(uuid_eq(topic.id, topic_again.id));
    }
    if (zk_parse_state(arena, text, &epoch, &state) == ERR_OK && state.isr.n > 0 &&
        state.leader >= LEADER_NONE) {
        assert(zk_parse_state(arena, zk_build_state(arena, epoch, &state), &epoch_again,
                              &state_again) == ERR_OK);
        assert(epoch == epoch_again && leader_isr_cmp(&state, &state_again) == 0);
        assert(ids_eq(state.isr, state_again.isr));
    }
}

static void try_rest(struct arena *arena, struct str text)
{
    struct image_config config, config_again;
    struct zk_pid_block block;
    struct zk_features features;
    struct zk_parts_named parts;
    struct zk_tombstones stones;
    struct zk_touched touched;
    struct str type, name;

    if (zk_parse_config(arena, text, &config) == ERR_OK) {
        assert(zk_parse_config(arena, zk_build_config(arena, &config), &config_again) == ERR_OK);
        assert(config.n_settings == config_again.n_settings);
    }
    if (zk_parse_config_change(arena, text, &type, &name) == ERR_OK && type.len > 0 && name.len > 0)
        assert(zk_parse_config_change(arena, zk_build_config_change(arena, type, name), &type,
                                      &name) == ERR_OK);
    if (zk_parse_pid_block(arena, text, &block) == ERR_OK && block.first >= 0)
        assert(zk_parse_pid_block(arena, zk_build_pid_block(arena, &block), &block) == ERR_OK);
    (void)zk_parse_features(arena, text, &features);
    if (zk_parse_parts_named(arena, text, &parts) == ERR_OK)
        assert(zk_parse_parts_named(arena, zk_build_parts_named(arena, &parts, true), &parts) ==
               ERR_OK);
    if (zk_parse_touched(arena, text, &touched) == ERR_OK)
        assert(zk_parse_touched(arena, zk_build_touched(arena, &touched), &touched) == ERR_OK);
    if (zk_parse_tombstones(arena, text, &stones) == ERR_OK)
        assert(zk_parse_tombstones(arena, zk_build_tombstones(arena, &stones), &stones) == ERR_OK);
    (void)zk_unsanitize(arena, zk_sanitize(arena, text), &name);
    assert(str_eq(name, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str text = { .ptr = len > 0 ? (const char *)data : "", .len = len };
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    try_cluster(&arena, text);
    try_topic(&arena, text);
    try_rest(&arena, text);
    arena_fini(&arena);
    return 0;
}
