/*
 * uuid: Kafka's text form there and back, and only ids that Kafka would give out.
 */
#include "common/base/uuid.h"

#include <check.h>

#include "common/base/rand.h"
#include "tests/kit/unit.h"

START_TEST(known_ids_have_kafkas_texts)
{
    struct uuid one = { .bytes = { [15] = 1 } };
    char text[UUID_TEXT_LEN + 1];

    uuid_print(UUID_ZERO, text);
    ck_assert_str_eq(text, "AAAAAAAAAAAAAAAAAAAAAA");
    uuid_print(one, text);
    ck_assert_str_eq(text, "AAAAAAAAAAAAAAAAAAAAAQ");
    memset(one.bytes, 0xff, 16);
    uuid_print(one, text);
    ck_assert_str_eq(text, "_____________________w");
}
END_TEST

START_TEST(text_and_bytes_there_and_back)
{
    struct rand rand;

    rand_seed(&rand, 7);
    for (int i = 0; i < 1000; i++) {
        struct uuid uuid = rand_uuid(&rand), again;
        char text[UUID_TEXT_LEN + 1];

        uuid_print(uuid, text);
        ck_assert(uuid_parse(str_of(text), &again));
        ck_assert(uuid_eq(uuid, again));
        ck_assert(text[0] != '-');
        ck_assert_int_eq(uuid.bytes[6] >> 4, 4);
        ck_assert_int_eq(uuid.bytes[8] >> 6, 2);
    }
}
END_TEST

START_TEST(what_is_no_id_is_refused)
{
    struct uuid uuid;

    ck_assert(!uuid_parse(STR("AAAAAAAAAAAAAAAAAAAAA"), &uuid));
    ck_assert(!uuid_parse(STR("AAAAAAAAAAAAAAAAAAAAAAA"), &uuid));
    ck_assert(!uuid_parse(STR("AAAAAAAAAAAAAAAAAAAAA+"), &uuid));
    ck_assert(!uuid_parse(STR("AAAAAAAAAAAAAAAAAAAAA\0"), &uuid));
    ck_assert(!uuid_parse(STR_NULL, &uuid));
}
END_TEST

START_TEST(reserved_ids_are_not_given_out)
{
    uint8_t zero[16] = { 0 };
    uint8_t dash[16] = { 0xf8 };
    struct uuid uuid;

    ck_assert(uuid_from_random(zero, &uuid)); /* version bits make another id of it */
    ck_assert(!uuid_is_zero(uuid));
    ck_assert(!uuid_from_random(dash, &uuid)); /* its text starts with '-' */
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("uuid");

    tcase_add_test(tc, known_ids_have_kafkas_texts);
    tcase_add_test(tc, text_and_bytes_there_and_back);
    tcase_add_test(tc, what_is_no_id_is_refused);
    tcase_add_test(tc, reserved_ids_are_not_given_out);
    return unit_run(tc);
}
