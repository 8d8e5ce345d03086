/*
 * codec: every codec gives back what it took, reads the framings that only others write, and stops
 * at the limit; cut and damaged input is refused, not crashed on.
 */
#include "common/wire/codec.h"

#include <check.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "tests/kit/unit.h"

enum { PLAIN_BYTES = 200000 }; /* several blocks of every codec */

static uint8_t plain[PLAIN_BYTES];

static void setup(void)
{
    uint32_t x = 1;

    for (size_t i = 0; i < sizeof plain; i++) {
        x = x * 1664525u + 1013904223u;
        plain[i] = (uint8_t)((x >> 24) & 0x1f); /* some entropy, some redundancy */
    }
}

static void pack(enum codec codec, int level, int magic, size_t len, struct buf *out)
{
    out->len = 0;
    ck_assert_int_eq(codec_compress(codec, level, magic, plain, len, out), ERR_OK);
}

static void assert_unpacks(enum codec codec, int magic, const struct buf *packed, size_t len)
{
    struct buf out = BUF_EMPTY;

    ck_assert_int_eq(codec_decompress(codec, magic, packed->bytes, packed->len, len, &out), ERR_OK);
    ck_assert_uint_eq(out.len, len);
    ck_assert_mem_eq(out.bytes, plain, len);
    buf_fini(&out);
}

static void assert_refused(enum codec codec, const uint8_t *bytes, size_t len, size_t limit,
                           enum err expected)
{
    struct buf out = BUF_EMPTY;

    ck_assert_int_eq(codec_decompress(codec, 2, bytes, len, limit, &out), expected);
    buf_fini(&out);
}

START_TEST(gives_back_what_it_took)
{
    static const size_t lens[] = { 0, 1, 17, 4096, 32768, 32769, 65536, 65537, PLAIN_BYTES };
    static const int levels[] = { CODEC_LEVEL_DEFAULT, -1, 1, 3, 9 };
    struct buf packed = BUF_EMPTY;

    for (int magic = 0; magic <= 2; magic++) {
        for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
            for (size_t l = 0; l < ARRAY_LEN(levels); l++) {
                pack((enum codec)_i, levels[l], magic, lens[i], &packed);
                assert_unpacks((enum codec)_i, magic, &packed, lens[i]);
            }
        }
    }
    buf_fini(&packed);
}
END_TEST

START_TEST(one_byte_over_the_limit_is_too_large)
{
    struct buf packed = BUF_EMPTY;

    pack((enum codec)_i, CODEC_LEVEL_DEFAULT, 2, PLAIN_BYTES, &packed);
    assert_refused((enum codec)_i, packed.bytes, packed.len, PLAIN_BYTES - 1, ERR_TOO_LARGE);
    assert_refused((enum codec)_i, packed.bytes, packed.len, 0, ERR_TOO_LARGE);
    buf_fini(&packed);
}
END_TEST

START_TEST(a_bomb_is_stopped_early)
{
    enum { BOMB = 64 << 20, LIMIT = 1 << 20 };
    uint8_t *zeros = xcalloc(1, BOMB);
    struct buf packed = BUF_EMPTY, out = BUF_EMPTY;

    ck_assert_int_eq(codec_compress((enum codec)_i, CODEC_LEVEL_DEFAULT, 2, zeros, BOMB, &packed),
                     ERR_OK);
    ck_assert_int_eq(codec_decompress((enum codec)_i, 2, packed.bytes, packed.len, LIMIT, &out),
                     ERR_TOO_LARGE);
    ck_assert_uint_le(out.cap, 2 * LIMIT);
    buf_fini(&out);
    buf_fini(&packed);
    free(zeros);
}
END_TEST

START_TEST(cut_input_is_refused)
{
    struct buf packed = BUF_EMPTY, out = BUF_EMPTY;

    pack((enum codec)_i, CODEC_LEVEL_DEFAULT, 2, 3000, &packed);
    for (size_t cut = 0; cut < packed.len; cut++) {
        uint8_t *exact = xmemdup(packed.bytes, cut); /* so that a read too far is seen */
        out.len = 0;
        enum err err = codec_decompress((enum codec)_i, 2, exact, cut, 4096, &out);
        if (!(_i == CODEC_SNAPPY && cut == 16)) /* its header alone is an empty stream */
            ck_assert_msg(err == ERR_BAD_FORMAT, "%d of %zu bytes gave %d", (int)cut, packed.len,
                          (int)err);
        free(exact);
    }
    buf_fini(&out);
    buf_fini(&packed);
}
END_TEST

START_TEST(damage_is_refused_or_harmless)
{
    struct buf packed = BUF_EMPTY, out = BUF_EMPTY;

    pack((enum codec)_i, CODEC_LEVEL_DEFAULT, 2, 2000, &packed);
    for (size_t pos = 0; pos < packed.len; pos++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            packed.bytes[pos] ^= (uint8_t)(1u << bit);
            out.len = 0;
            enum err err =
                codec_decompress((enum codec)_i, 2, packed.bytes, packed.len, 4096, &out);
            ck_assert(err == ERR_OK || err == ERR_BAD_FORMAT || err == ERR_TOO_LARGE);
            ck_assert_uint_le(out.len, 4097);
            packed.bytes[pos] ^= (uint8_t)(1u << bit);
        }
    }
    buf_fini(&out);
    buf_fini(&packed);
}
END_TEST

START_TEST(gzip_of_several_members)
{
    struct buf packed = BUF_EMPTY;

    ck_assert_int_eq(codec_compress(CODEC_GZIP, 1, 2, plain, 1000, &packed), ERR_OK);
    ck_assert_int_eq(codec_compress(CODEC_GZIP, 9, 2, plain + 1000, 500, &packed), ERR_OK);
    assert_unpacks(CODEC_GZIP, 2, &packed, 1500);
    buf_fini(&packed);
}
END_TEST

START_TEST(snappy_without_frames_and_with_two_streams)
{
    struct buf packed = BUF_EMPTY;
    size_t len = snappy_max_compressed_length(PLAIN_BYTES);

    ck_assert_int_eq(
        snappy_compress((const char *)plain, PLAIN_BYTES, (char *)buf_reserve(&packed, len), &len),
        SNAPPY_OK);
    packed.len = len;
    assert_unpacks(CODEC_SNAPPY, 2, &packed, PLAIN_BYTES);
    packed.len = 0;
    ck_assert_int_eq(codec_compress(CODEC_SNAPPY, 0, 2, plain, 700, &packed), ERR_OK);
    ck_assert_int_eq(codec_compress(CODEC_SNAPPY, 0, 2, plain + 700, 300, &packed), ERR_OK);
    assert_unpacks(CODEC_SNAPPY, 2, &packed, 1000);
    buf_fini(&packed);
}
END_TEST

START_TEST(snappy_that_claims_gigabytes_allocates_none)
{
    static const uint8_t claim[] = { 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x61 };

    assert_refused(CODEC_SNAPPY, claim, sizeof claim, (size_t)8 << 30, ERR_BAD_FORMAT);
}
END_TEST

static void lz4_of_others(LZ4F_blockMode_t mode, bool sums, struct buf *packed)
{
    LZ4F_preferences_t prefs = LZ4F_INIT_PREFERENCES;

    prefs.frameInfo.blockMode = mode;
    prefs.frameInfo.blockSizeID = LZ4F_max256KB;
    prefs.frameInfo.contentChecksumFlag =
        sums ? LZ4F_contentChecksumEnabled : LZ4F_noContentChecksum;
    prefs.frameInfo.blockChecksumFlag = sums ? LZ4F_blockChecksumEnabled : LZ4F_noBlockChecksum;
    prefs.frameInfo.contentSize = sums ? PLAIN_BYTES : 0;
    size_t bound = LZ4F_compressFrameBound(PLAIN_BYTES, &prefs) + 64;
    uint8_t *to = buf_reserve(packed, bound);
    LZ4F_cctx *cctx;
    ck_assert(!LZ4F_isError(LZ4F_createCompressionContext(&cctx, LZ4F_VERSION)));
    size_t len = LZ4F_compressBegin(cctx, to, bound, &prefs);
    len += LZ4F_compressUpdate(cctx, to + len, bound - len, plain, PLAIN_BYTES, NULL);
    len += LZ4F_compressEnd(cctx, to + len, bound - len, NULL);
    ck_assert(!LZ4F_isError(len));
    LZ4F_freeCompressionContext(cctx);
    packed->len = len;
}

START_TEST(lz4_with_sizes_and_checksums_but_not_linked)
{
    struct buf packed = BUF_EMPTY;

    lz4_of_others(LZ4F_blockIndependent, true, &packed);
    assert_unpacks(CODEC_LZ4, 2, &packed, PLAIN_BYTES);
    assert_unpacks(CODEC_LZ4, 1, &packed, PLAIN_BYTES);
    assert_unpacks(CODEC_LZ4, 0, &packed, PLAIN_BYTES); /* magic 0 takes any header checksum */
    packed.len = 0;
    lz4_of_others(LZ4F_blockLinked, false, &packed);
    assert_refused(CODEC_LZ4, packed.bytes, packed.len, PLAIN_BYTES, ERR_BAD_FORMAT);
    buf_fini(&packed);
}
END_TEST

START_TEST(lz4_header_as_java_writes_it)
{
    /* Independent 64 KiB blocks, no size, no checksums; then the checksum of magic 0, which covers
     * the frame's magic as well, and the right one. */
    static const uint8_t old[] = { 0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x1a };
    static const uint8_t new[] = { 0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82 };
    struct buf packed = BUF_EMPTY;

    pack(CODEC_LZ4, CODEC_LEVEL_DEFAULT, 2, 1000, &packed);
    ck_assert_mem_eq(packed.bytes, new, sizeof new);
    pack(CODEC_LZ4, CODEC_LEVEL_DEFAULT, 0, 1000, &packed);
    ck_assert_mem_eq(packed.bytes, old, sizeof old);
    assert_refused(CODEC_LZ4, packed.bytes, packed.len, PLAIN_BYTES, ERR_BAD_FORMAT);
    buf_fini(&packed);
}
END_TEST

START_TEST(zstd_without_size_and_of_several_frames)
{
    struct buf packed = BUF_EMPTY;
    ZSTD_CCtx *cctx = ZSTD_createCCtx();
    ZSTD_inBuffer in = { plain, 100000, 0 };
    ZSTD_outBuffer out = { buf_reserve(&packed, 200000), 200000, 0 };

    ck_assert_uint_gt(ZSTD_compressStream2(cctx, &out, &in, ZSTD_e_flush) + 1, 0);
    ck_assert_uint_eq(ZSTD_compressStream2(cctx, &out, &in, ZSTD_e_end), 0);
    packed.len = out.pos;
    ck_assert(ZSTD_getFrameContentSize(packed.bytes, packed.len) == ZSTD_CONTENTSIZE_UNKNOWN);
    assert_unpacks(CODEC_ZSTD, 2, &packed, 100000);
    ck_assert_int_eq(codec_compress(CODEC_ZSTD, 3, 2, plain + 100000, 100000, &packed), ERR_OK);
    assert_unpacks(CODEC_ZSTD, 2, &packed, 200000);
    assert_refused(CODEC_ZSTD, packed.bytes, packed.len, 199999, ERR_TOO_LARGE);
    ZSTD_freeCCtx(cctx);
    buf_fini(&packed);
}
END_TEST

START_TEST(names_are_kafkas)
{
    ck_assert_str_eq(codec_name(CODEC_ZSTD), "zstd");
    ck_assert_ptr_null(codec_name(5));
    ck_assert_int_eq(codec_from_name("uncompressed", 12), CODEC_NONE);
    ck_assert_int_eq(codec_from_name("lz4", 3), CODEC_LZ4);
    ck_assert_int_eq(codec_from_name("lz", 2), -1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("codec");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_loop_test(tc, gives_back_what_it_took, CODEC_NONE, CODEC_COUNT);
    tcase_add_loop_test(tc, one_byte_over_the_limit_is_too_large, CODEC_NONE, CODEC_COUNT);
    tcase_add_loop_test(tc, a_bomb_is_stopped_early, CODEC_GZIP, CODEC_COUNT);
    tcase_add_loop_test(tc, cut_input_is_refused, CODEC_GZIP, CODEC_COUNT);
    tcase_add_loop_test(tc, damage_is_refused_or_harmless, CODEC_GZIP, CODEC_COUNT);
    tcase_add_test(tc, gzip_of_several_members);
    tcase_add_test(tc, snappy_without_frames_and_with_two_streams);
    tcase_add_test(tc, snappy_that_claims_gigabytes_allocates_none);
    tcase_add_test(tc, lz4_with_sizes_and_checksums_but_not_linked);
    tcase_add_test(tc, lz4_header_as_java_writes_it);
    tcase_add_test(tc, zstd_without_size_and_of_several_frames);
    tcase_add_test(tc, names_are_kafkas);
    return unit_run(tc);
}
