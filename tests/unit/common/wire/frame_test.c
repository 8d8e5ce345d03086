/*
 * frame: which header precedes which message, and the two exceptions that break every client when
 * forgotten.
 */
#include "common/wire/frame.h"

#include <check.h>

#include "common/base/mem.h"
#include "gen/wire/apis.h"
#include "tests/kit/unit.h"

START_TEST(flexible_versions_have_tags)
{
    ck_assert_int_eq(frame_request_header_version(API_PRODUCE, 8), 1);
    ck_assert_int_eq(frame_request_header_version(API_PRODUCE, 9), 2);
    ck_assert_int_eq(frame_response_header_version(API_PRODUCE, 8), 0);
    ck_assert_int_eq(frame_response_header_version(API_PRODUCE, 9), 1);
    ck_assert_int_eq(frame_request_header_version(API_SASL_HANDSHAKE, 1), 1);
    ck_assert_int_eq(frame_response_header_version(API_OFFSET_DELETE, 0), 0);
}
END_TEST

START_TEST(api_versions_answers_without_tags)
{
    for (int16_t version = 0; version < 6; version++)
        ck_assert_int_eq(frame_response_header_version(API_API_VERSIONS, version), 0);
    ck_assert_int_eq(frame_request_header_version(API_API_VERSIONS, 2), 1);
    ck_assert_int_eq(frame_request_header_version(API_API_VERSIONS, 3), 2);
    ck_assert_int_eq(frame_request_header_version(API_API_VERSIONS, 99), 2);
}
END_TEST

START_TEST(controlled_shutdown_v0_has_no_client_id)
{
    struct frame_request_header header = { API_CONTROLLED_SHUTDOWN, 0, 5, STR("x") };

    ck_assert_int_eq(frame_request_header_version(API_CONTROLLED_SHUTDOWN, 0), 0);
    ck_assert_int_eq(frame_request_header_version(API_CONTROLLED_SHUTDOWN, 1), 1);
    ck_assert_uint_eq(frame_request_header_size(&header), 8);
}
END_TEST

START_TEST(headers_come_back)
{
    static const struct frame_request_header headers[] = {
        { API_FETCH, 4, -7, STR("client") },
        { API_FETCH, 17, INT32_MIN, STR("") },
        { API_METADATA, 12, 1, { .ptr = NULL } },
        { API_CONTROLLED_SHUTDOWN, 0, 9, { .ptr = NULL } },
        { 999, 3, 2, STR("who knows") },
    };

    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        uint8_t buffer[64];
        size_t size = frame_request_header_size(&headers[i]);
        struct wire_out out = wire_out_of(buffer, size);

        frame_request_header_encode(&headers[i], &out);
        ck_assert_uint_eq(out.pos, size);
        struct wire_in in = wire_in_of(buffer, size, NULL);
        struct frame_request_header back;
        ck_assert_int_eq(frame_request_header_decode(&back, &in), ERR_OK);
        ck_assert_uint_eq(wire_left(&in), 0);
        ck_assert_int_eq(back.api_key, headers[i].api_key);
        ck_assert_int_eq(back.api_version, headers[i].api_version);
        ck_assert_int_eq(back.correlation_id, headers[i].correlation_id);
        ck_assert(str_eq(back.client_id, headers[i].client_id));
    }
}
END_TEST

START_TEST(the_client_id_is_never_compact)
{
    static const uint8_t bytes[] = { 0, 3, 0, 12, 0, 0, 0, 1, 0, 2, 'm', 'e', 0, 42 };
    struct wire_in in = wire_in_of(bytes, sizeof bytes, NULL);
    struct frame_request_header header;

    ck_assert_int_eq(frame_request_header_decode(&header, &in), ERR_OK);
    ck_assert(str_is(header.client_id, "me"));
    ck_assert_int_eq(wire_get_i8(&in), 42); /* the message */
}
END_TEST

START_TEST(half_a_header_is_refused)
{
    static const uint8_t bytes[] = { 0, 3, 0, 12, 0, 0, 0, 1, 0, 2, 'm', 'e', 0 };
    struct frame_request_header header;

    for (size_t len = 0; len < sizeof bytes; len++) {
        struct wire_in in = wire_in_of(bytes, len, NULL);

        ck_assert_int_eq(frame_request_header_decode(&header, &in), ERR_BAD_FORMAT);
    }
}
END_TEST

START_TEST(response_headers_come_back)
{
    static const int16_t asked[][3] = { { API_FETCH, 11, 4 },
                                        { API_FETCH, 12, 5 },
                                        { API_API_VERSIONS, 4, 4 } };

    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        uint8_t buffer[8];
        size_t size = frame_response_header_size(asked[i][0], asked[i][1]);
        struct wire_out out = wire_out_of(buffer, size);
        int32_t correlation_id;

        ck_assert_uint_eq(size, (size_t)asked[i][2]);
        frame_response_header_encode(-3, &out, asked[i][0], asked[i][1]);
        ck_assert_uint_eq(out.pos, size);
        struct wire_in in = wire_in_of(buffer, size, NULL);
        ck_assert_int_eq(
            frame_response_header_decode(&correlation_id, &in, asked[i][0], asked[i][1]), ERR_OK);
        ck_assert_int_eq(correlation_id, -3);
        ck_assert_uint_eq(wire_left(&in), 0);
    }
}
END_TEST

START_TEST(the_table_knows_its_apis)
{
    int count = 0;

    for (int key = INT16_MIN; key <= INT16_MAX; key++) {
        const struct wire_api *api = wire_api((int16_t)key);

        if (api == NULL)
            continue;
        count++;
        ck_assert_int_eq(api->key, key);
        ck_assert_uint_eq(api->request_size, api->request.shape->size);
        ck_assert_uint_eq(api->response_size, api->response.shape->size);
        ck_assert(api->min_version <= api->max_version);
    }
    ck_assert_int_eq(count, 62);
    ck_assert_str_eq(wire_api(API_LEADER_AND_ISR)->name, "LeaderAndIsr");
    ck_assert_int_eq(wire_api(API_SASL_HANDSHAKE)->flexible_since, INT16_MAX);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("frame");

    tcase_add_test(tc, flexible_versions_have_tags);
    tcase_add_test(tc, api_versions_answers_without_tags);
    tcase_add_test(tc, controlled_shutdown_v0_has_no_client_id);
    tcase_add_test(tc, headers_come_back);
    tcase_add_test(tc, the_client_id_is_never_compact);
    tcase_add_test(tc, half_a_header_is_refused);
    tcase_add_test(tc, response_headers_come_back);
    tcase_add_test(tc, the_table_knows_its_apis);
    return unit_run(tc);
}
