/*
 * show: what a version lacks and what has its default is left out, what a person must be able to
 * tell apart looks different. That whole messages read as Kafka's do is recorded_test's business.
 */
#include "common/wire/show.h"

#include <check.h>

#include "gen/wire/fetch.h"
#include "gen/wire/metadata.h"
#include "gen/wire/sasl_authenticate.h"
#include "tests/kit/unit.h"

static struct arena arena;

static void arena_up(void)
{
    arena_init(&arena, SIZE_MAX);
}

static void arena_down(void)
{
    arena_fini(&arena);
}

START_TEST(null_and_empty_look_different)
{
    struct metadata_request m;

    metadata_request_init(&m);
    ck_assert_str_eq(wire_show(&metadata_request_shape, &m, 1, &arena).ptr, "{\"topics\":[]}");
    m.topics_len = -1;
    ck_assert_str_eq(wire_show(&metadata_request_shape, &m, 1, &arena).ptr, "{\"topics\":null}");
}
END_TEST

START_TEST(what_the_version_lacks_is_not_shown)
{
    struct metadata_request m;

    metadata_request_init(&m);
    ck_assert_str_eq(wire_show(&metadata_request_shape, &m, 4, &arena).ptr,
                     "{\"topics\":[],\"allow_auto_topic_creation\":true}");
}
END_TEST

START_TEST(tagged_fields_show_when_they_are_sent)
{
    struct fetch_response_partition part;
    struct fetch_response_topic topic;
    struct fetch_response m;

    fetch_response_init(&m);
    fetch_response_topic_init(&topic);
    fetch_response_partition_init(&part);
    m.responses = &topic;
    m.responses_len = 1;
    topic.partitions = &part;
    topic.partitions_len = 1;
    part.records = (struct wire_records){ .data = NULL, .len = 12 };
    part.has_current_leader = true;
    ck_assert_str_eq(wire_show(&fetch_response_shape, &m, 12, &arena).ptr,
                     "{\"throttle_time_ms\":0,\"error_code\":0,\"session_id\":0,\"responses\":[{"
                     "\"topic\":\"\",\"partitions\":[{\"partition_index\":0,\"error_code\":0,"
                     "\"high_watermark\":0,\"last_stable_offset\":-1,\"log_start_offset\":-1,"
                     "\"current_leader\":{\"leader_id\":-1,\"leader_epoch\":-1},"
                     "\"aborted_transactions\":[],\"preferred_read_replica\":-1,"
                     "\"records_size_in_bytes\":12}]}]}");
}
END_TEST

START_TEST(bytes_are_base64)
{
    static const char *texts[] = { "", "a", "ab", "abc", "abcd" };
    static const char *shown[] = { "", "YQ==", "YWI=", "YWJj", "YWJjZA==" };
    struct sasl_authenticate_request m;

    sasl_authenticate_request_init(&m);
    for (int i = 0; i < 5; i++) {
        m.auth_bytes = (struct wire_bytes){ (const uint8_t *)texts[i], (int32_t)strlen(texts[i]) };
        struct str text = wire_show(&sasl_authenticate_request_shape, &m, 0, &arena);
        struct str want = arena_printf(&arena, "{\"auth_bytes\":\"%s\"}", shown[i]);
        ck_assert(str_eq(text, want));
    }
}
END_TEST

START_TEST(text_is_escaped)
{
    struct metadata_request_topic topic;
    struct metadata_request m;

    metadata_request_init(&m);
    metadata_request_topic_init(&topic);
    m.topics = &topic;
    m.topics_len = 1;
    topic.name = STR("a\"\\\n\xc3\xa4");
    ck_assert_str_eq(wire_show(&metadata_request_shape, &m, 0, &arena).ptr,
                     "{\"topics\":[{\"name\":\"a\\\"\\\\\\u000a\xc3\xa4\"}]}");
}
END_TEST

static struct str spoken(void *ctx, const struct wire_field *field, const struct wire_bytes *bytes,
                         struct arena *in)
{
    ck_assert_ptr_eq(in, &arena);
    ck_assert_str_eq(field->name, "auth_bytes");
    return bytes->len == 2 ? *(const struct str *)ctx : STR_NULL;
}

START_TEST(as_java_names_are_camel_case_and_bytes_can_be_told)
{
    struct str said = STR("{\"a\":1}");
    struct wire_show_java java = { .bytes = spoken, .ctx = &said };
    struct sasl_authenticate_request m;
    struct metadata_request metadata;
    struct metadata_request_topic topic;

    sasl_authenticate_request_init(&m);
    m.auth_bytes = (struct wire_bytes){ .data = (const uint8_t *)"ab", .len = 2 };
    ck_assert_str_eq(wire_show_as_java(&sasl_authenticate_request_shape, &m, 0, &java, &arena).ptr,
                     "{\"authBytes\":{\"a\":1}}");
    m.auth_bytes.len = 1;
    ck_assert_str_eq(wire_show_as_java(&sasl_authenticate_request_shape, &m, 0, &java, &arena).ptr,
                     "{\"authBytes\":\"YQ==\"}");
    metadata_request_init(&metadata);
    metadata_request_topic_init(&topic);
    topic.name = STR("a\n\"\x1f");
    metadata.topics = &topic;
    metadata.topics_len = 1;
    ck_assert_str_eq(wire_show_as_java(&metadata_request_shape, &metadata, 1, &java, &arena).ptr,
                     "{\"topics\":[{\"name\":\"a\\n\\\"\\u001F\"}]}");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("show");

    tcase_add_checked_fixture(tc, arena_up, arena_down);
    tcase_add_test(tc, null_and_empty_look_different);
    tcase_add_test(tc, what_the_version_lacks_is_not_shown);
    tcase_add_test(tc, tagged_fields_show_when_they_are_sent);
    tcase_add_test(tc, bytes_are_base64);
    tcase_add_test(tc, text_is_escaped);
    tcase_add_test(tc, as_java_names_are_camel_case_and_bytes_can_be_told);
    return unit_run(tc);
}
