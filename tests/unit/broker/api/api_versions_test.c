/*
 * api_versions: exactly the table's rows in every version, and who gives no proper name of his
 * software gets none.
 */
#include "broker/api/api_versions.h"

#include <check.h>

#include "common/wire/frame.h"
#include "gen/wire/api_versions.h"
#include "tests/kit/net_rig.h"
#include "tests/kit/unit.h"

static struct api_versions_response ask(struct net_rig *rig, struct arena *arena, int16_t version,
                                        struct str name, struct str software_version)
{
    struct frame_request_header header = { .api_key = API_API_VERSIONS,
                                           .api_version = version,
                                           .correlation_id = 77 };
    struct api_versions_request req;
    struct api_versions_response resp;
    uint8_t frame[512];
    struct wire_out out = wire_out_of(frame, sizeof frame);
    const uint8_t *answer;
    int32_t correlation_id;
    size_t len;

    api_versions_request_init(&req);
    req.client_software_name = name;
    req.client_software_version = software_version;
    wire_put_i32(&out, (int32_t)(frame_request_header_size(&header) +
                                 api_versions_request_size(&req, version)));
    frame_request_header_encode(&header, &out);
    api_versions_request_encode(&req, &out, version);
    net_rig_send_bytes(rig, frame, out.pos);
    ck_assert_int_eq(net_rig_next(rig, &answer, &len), 77);

    answer = arena_dup(arena, answer, len);
    struct wire_in in = wire_in_of(answer, len, arena);
    ck_assert_int_eq(frame_response_header_decode(&correlation_id, &in, API_API_VERSIONS, version),
                     ERR_OK);
    api_versions_response_init(&resp);
    ck_assert_int_eq(api_versions_response_decode(&resp, &in, version), ERR_OK);
    ck_assert_uint_eq(wire_left(&in), 0);
    return resp;
}

START_TEST(every_version_lists_the_table)
{
    struct net_rig *rig = net_rig_new(NULL);
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    for (int16_t version = 0; version <= 4; version++) {
        struct api_versions_response resp =
            ask(rig, &arena, version, STR("librdkafka"), STR("2.3.0-RC1"));

        ck_assert_int_eq(resp.error_code, 0);
        ck_assert_int_eq(resp.api_keys_len, 5);
        for (int i = 0; i < 5; i++) {
            const struct handler *row = dispatch_find(&rig->dispatch, resp.api_keys[i].api_key);

            ck_assert_ptr_nonnull(row);
            ck_assert_int_eq(resp.api_keys[i].min_version, row->min_version);
            ck_assert_int_eq(resp.api_keys[i].max_version, row->max_version);
            ck_assert(i == 0 || resp.api_keys[i - 1].api_key < resp.api_keys[i].api_key);
        }
    }
    arena_fini(&arena);
    net_rig_end(rig);
}
END_TEST

START_TEST(software_without_a_name_is_invalid)
{
    static const struct {
        struct str name;
        int error;
    } cases[] = {
        { { .ptr = "a", .len = 1 }, 0 },     { { .ptr = "a-b.C9", .len = 6 }, 0 },
        { { .ptr = "", .len = 0 }, 42 },     { { .ptr = "-a", .len = 2 }, 42 },
        { { .ptr = "a.", .len = 2 }, 42 },   { { .ptr = "a b", .len = 3 }, 42 },
        { { .ptr = "a\0b", .len = 3 }, 42 }, { { .ptr = "\xc3\xa4", .len = 2 }, 42 },
    };
    struct net_rig *rig = net_rig_new(NULL);
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int swapped = 0; swapped < 2; swapped++) {
            struct api_versions_response resp =
                ask(rig, &arena, 3, swapped ? STR("x") : cases[i].name,
                    swapped ? cases[i].name : STR("1"));

            ck_assert_int_eq(resp.error_code, cases[i].error);
            ck_assert_int_eq(resp.api_keys_len, cases[i].error == 0 ? 5 : 0);
        }
    arena_fini(&arena);
    net_rig_end(rig);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("api_versions");

    tcase_add_test(tc, every_version_lists_the_table);
    tcase_add_test(tc, software_without_a_name_is_invalid);
    return unit_run(tc);
}
