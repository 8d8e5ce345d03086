/*
 * One pair of static functions per codec, put together in two switches at the end.
 *
 * Decoders never trust a size that the input claims: room grows with what is really decoded, and
 * one byte more than the limit is enough to know that the limit is passed. Where the claim must be
 * believed before decoding (snappy, zstd's one-shot path) it is held against the limit first.
 *
 * lz4 and Kafka: the frame's header checksum was computed over the wrong bytes (the frame's magic
 * included) as long as messages were of magic 0 (KAFKA-3160). So for magic 0 we put the right one
 * in before decoding, and the wrong one in after encoding.
 */
#include "common/wire/codec.h"

#include <assert.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "common/base/bytes.h"
#include "common/base/mem.h"

void buf_fini(struct buf *buf)
{
    free(buf->bytes);
    *buf = BUF_EMPTY;
}

uint8_t *buf_reserve(struct buf *buf, size_t more)
{
    assert(more <= SIZE_MAX / 4);
    if (buf->bytes == NULL || more > buf->cap - buf->len) {
        size_t want = buf->len + more;
        size_t cap = buf->cap + buf->cap / 2;

        if (cap < want)
            cap = want;
        buf->cap = cap < 64 ? 64 : cap;
        buf->bytes = xrealloc(buf->bytes, buf->cap);
    }
    return buf->bytes + buf->len;
}

void buf_put(struct buf *buf, const void *bytes, size_t len)
{
    uint8_t *to = buf_reserve(buf, len);

    if (len > 0)
        memcpy(to, bytes, len);
    buf->len += len;
}

static const char *const names[CODEC_COUNT] = { "none", "gzip", "snappy", "lz4", "zstd" };

const char *codec_name(int codec)
{
    return codec >= 0 && codec < CODEC_COUNT ? names[codec] : NULL;
}

int codec_from_name(const char *name, size_t len)
{
    if (len == strlen("uncompressed") && memcmp(name, "uncompressed", len) == 0)
        return CODEC_NONE;
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        if (strlen(names[codec]) == len && memcmp(names[codec], name, len) == 0)
            return codec;
    }
    return -1;
}

/* --- output that grows as it comes, up to a limit --- */

struct sink {
    struct buf *out;
    size_t start; /* out->len when we began */
    size_t limit;
    size_t guess; /* how much to make room for at first */
};

static struct sink sink_of(struct buf *out, size_t limit, size_t packed_len)
{
    /* So that a limit + 1 is a size; no allocation comes near it. */
    if (limit > SIZE_MAX / 8)
        limit = SIZE_MAX / 8;
    size_t guess = packed_len > limit / 4 ? limit : packed_len * 4;
    return (struct sink){ out, out->len, limit, guess < 4096 ? 4096 : guess };
}

/* Room at the end of the output, *room bytes > 0; NULL when the limit has been passed. */
static uint8_t *sink_room(struct sink *sink, size_t *room)
{
    struct buf *out = sink->out;
    size_t have = out->len - sink->start;

    if (have > sink->limit)
        return NULL;
    size_t left = sink->limit + 1 - have;
    size_t want = have > sink->guess ? have : sink->guess;
    uint8_t *to = buf_reserve(out, left < want ? left : want);
    *room = out->cap - out->len < left ? out->cap - out->len : left;
    return to;
}

static bool sink_full(const struct sink *sink)
{
    return sink->out->len - sink->start > sink->limit;
}

/* --- gzip --- */

/* Window bits 15, and 16 more to say gzip rather than zlib. */
enum { GZIP_WINDOW = 15 + 16 };

static enum err gzip_compress(int level, const uint8_t *from, size_t len, struct buf *out)
{
    z_stream z = { 0 };

    assert(len <= UINT32_MAX);
    if (level == CODEC_LEVEL_DEFAULT || level < 1 || level > 9)
        level = Z_DEFAULT_COMPRESSION;
    int made = deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY);
    assert(made == Z_OK);
    size_t bound = deflateBound(&z, len);
    z.next_in = (Bytef *)(uintptr_t)from;
    z.avail_in = (uInt)len;
    z.next_out = buf_reserve(out, bound);
    assert(bound <= UINT32_MAX);
    z.avail_out = (uInt)bound;
    int done = deflate(&z, Z_FINISH);
    assert(done == Z_STREAM_END);
    out->len += z.total_out;
    deflateEnd(&z);
    return ERR_OK;
}

/* Another member follows when its magic does; Java, too, ignores anything else behind a member. */
static bool gzip_follows(const z_stream *z)
{
    return z->avail_in >= 2 && z->next_in[0] == 0x1f && z->next_in[1] == 0x8b;
}

static enum err gzip_inflate_all(z_stream *z, struct sink *sink)
{
    for (;;) {
        size_t room;
        uint8_t *to = sink_room(sink, &room);
        if (to == NULL)
            return ERR_TOO_LARGE;
        if (room > INT32_MAX)
            room = INT32_MAX;
        z->next_out = to;
        z->avail_out = (uInt)room;
        int rc = inflate(z, Z_NO_FLUSH);
        sink->out->len += room - z->avail_out;
        if (rc == Z_STREAM_END) {
            if (sink_full(sink))
                return ERR_TOO_LARGE;
            if (!gzip_follows(z))
                return ERR_OK;
            if (inflateReset(z) != Z_OK)
                return ERR_BAD_FORMAT;
            continue;
        }
        if (rc != Z_OK || (z->avail_in == 0 && z->avail_out > 0))
            return ERR_BAD_FORMAT; /* damaged, or it ends too early */
    }
}

static enum err gzip_decompress(const uint8_t *from, size_t len, size_t limit, struct buf *out)
{
    z_stream z = { 0 };
    struct sink sink = sink_of(out, limit, len);

    if (len > INT32_MAX)
        return ERR_TOO_LARGE;
    z.next_in = (Bytef *)(uintptr_t)from;
    z.avail_in = (uInt)len;
    int made = inflateInit2(&z, GZIP_WINDOW);
    assert(made == Z_OK);
    enum err err = gzip_inflate_all(&z, &sink);
    inflateEnd(&z);
    return err;
}

/* --- snappy --- */

enum { XERIAL_HEADER_BYTES = 16, XERIAL_CHUNK_BYTES = 32 << 10 };

static const uint8_t xerial_header[XERIAL_HEADER_BYTES] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0,
                                                            0,    0,   0,   1,   0,   0,   0,   1 };

static enum err snappy_compress_xerial(const uint8_t *from, size_t len, struct buf *out)
{
    buf_put(out, xerial_header, sizeof xerial_header);
    while (len > 0) {
        size_t chunk = len < XERIAL_CHUNK_BYTES ? len : XERIAL_CHUNK_BYTES;
        size_t packed = snappy_max_compressed_length(chunk);
        uint8_t *to = buf_reserve(out, 4 + packed);

        snappy_status rc = snappy_compress((const char *)from, chunk, (char *)to + 4, &packed);
        assert(rc == SNAPPY_OK);
        store_be32(to, (uint32_t)packed);
        out->len += 4 + packed;
        from += chunk;
        len -= chunk;
    }
    return ERR_OK;
}

static enum err snappy_block(const uint8_t *from, size_t len, struct sink *sink)
{
    size_t plain;
    size_t left = sink->limit - (sink->out->len - sink->start);

    if (snappy_uncompressed_length((const char *)from, len, &plain) != SNAPPY_OK)
        return ERR_BAD_FORMAT;
    /* The densest element makes 64 bytes of 3: a block that claims more lies. */
    if (plain / 32 > len)
        return ERR_BAD_FORMAT;
    if (plain > left)
        return ERR_TOO_LARGE;
    uint8_t *to = buf_reserve(sink->out, plain);
    if (snappy_uncompress((const char *)from, len, (char *)to, &plain) != SNAPPY_OK)
        return ERR_BAD_FORMAT;
    sink->out->len += plain;
    return ERR_OK;
}

static enum err snappy_decompress(const uint8_t *from, size_t len, size_t limit, struct buf *out)
{
    struct sink sink = sink_of(out, limit, len);

    if (len < XERIAL_HEADER_BYTES || memcmp(from, xerial_header, 8) != 0)
        return snappy_block(from, len, &sink);
    size_t pos = XERIAL_HEADER_BYTES;
    while (pos < len) {
        if (len - pos < 4)
            return ERR_BAD_FORMAT;
        uint32_t chunk = load_be32(from + pos);
        if (len - pos >= XERIAL_HEADER_BYTES && memcmp(from + pos, xerial_header, 8) == 0) {
            pos += XERIAL_HEADER_BYTES; /* two streams, one behind the other */
            continue;
        }
        pos += 4;
        if (chunk > len - pos)
            return ERR_BAD_FORMAT;
        enum err err = snappy_block(from + pos, chunk, &sink);
        if (err != ERR_OK)
            return err;
        pos += chunk;
    }
    return ERR_OK;
}

/* --- lz4 --- */

enum {
    LZ4_FRAME_MAGIC = 0x184d2204, /* little-endian on the wire */
    LZ4_FLG_POS = 4,
    LZ4_HEADER_LEAST = 7,
    LZ4_HEADER_MOST = 15,
    LZ4_FLG_INDEPENDENT = 0x20,
    LZ4_FLG_SIZE = 0x08,
    LZ4_FLG_DICTIONARY = 0x01,
    LZ4_LEVEL_FAST = 9, /* Kafka's default level, at which Java takes the fast compressor */
};

static uint32_t rotate_left(uint32_t x, unsigned by)
{
    return (x << by) | (x >> (32 - by));
}

/* XXH32 with seed 0 of less than 32 bytes: all a frame header needs. */
static uint32_t xxh32_short(const uint8_t *bytes, size_t len)
{
    const uint32_t p1 = 2654435761u, p2 = 2246822519u, p3 = 3266489917u, p4 = 668265263u,
                   p5 = 374761393u;
    uint32_t h = p5;
    size_t pos = 0;
    uint32_t word;

    assert(len < 32);
    if (len >= 16) {
        uint32_t lane[4] = { p1 + p2, p2, 0, 0u - p1 };
        for (size_t i = 0; i < 4; i++, pos += 4) {
            memcpy(&word, bytes + pos, 4);
            lane[i] = rotate_left(lane[i] + le32toh(word) * p2, 13) * p1;
        }
        h = rotate_left(lane[0], 1) + rotate_left(lane[1], 7) + rotate_left(lane[2], 12) +
            rotate_left(lane[3], 18);
    }
    h += (uint32_t)len;
    for (; pos + 4 <= len; pos += 4) {
        memcpy(&word, bytes + pos, 4);
        h = rotate_left(h + le32toh(word) * p3, 17) * p4;
    }
    for (; pos < len; pos++)
        h = rotate_left(h + bytes[pos] * p5, 11) * p1;
    h = (h ^ (h >> 15)) * p2;
    h = (h ^ (h >> 13)) * p3;
    return h ^ (h >> 16);
}

static uint8_t lz4_header_check(const uint8_t *from, size_t len)
{
    return (uint8_t)(xxh32_short(from, len) >> 8);
}

static enum err lz4_compress(int level, int magic, const uint8_t *from, size_t len, struct buf *out)
{
    LZ4F_preferences_t prefs = LZ4F_INIT_PREFERENCES;

    prefs.frameInfo.blockSizeID = LZ4F_max64KB;
    prefs.frameInfo.blockMode = LZ4F_blockIndependent;
    if (level != CODEC_LEVEL_DEFAULT && level != LZ4_LEVEL_FAST)
        prefs.compressionLevel = level < 3 ? 3 : level; /* from 3 on lz4's high compression */
    size_t bound = LZ4F_compressFrameBound(len, &prefs);
    uint8_t *to = buf_reserve(out, bound);
    size_t packed = LZ4F_compressFrame(to, bound, from, len, &prefs);
    assert(!LZ4F_isError(packed));
    assert(to[LZ4_FLG_POS] & LZ4_FLG_INDEPENDENT);
    if (magic == 0)
        to[LZ4_HEADER_LEAST - 1] = lz4_header_check(to, LZ4_HEADER_LEAST - 1);
    out->len += packed;
    return ERR_OK;
}

/* The frame header, with the checksum that liblz4 expects. Linked blocks and dictionaries are
 * refused, since Java consumers cannot read them. */
static enum err lz4_header(int magic, const uint8_t *from, size_t len, uint8_t *header,
                           size_t *header_len)
{
    uint32_t frame_magic;

    if (len < LZ4_HEADER_LEAST)
        return ERR_BAD_FORMAT;
    memcpy(&frame_magic, from, sizeof frame_magic);
    unsigned flg = from[LZ4_FLG_POS];
    if (le32toh(frame_magic) != LZ4_FRAME_MAGIC || !(flg & LZ4_FLG_INDEPENDENT) ||
        (flg & LZ4_FLG_DICTIONARY))
        return ERR_BAD_FORMAT;
    *header_len = LZ4_HEADER_LEAST + ((flg & LZ4_FLG_SIZE) ? 8 : 0);
    if (len < *header_len)
        return ERR_BAD_FORMAT;
    memcpy(header, from, *header_len);
    if (magic == 0)
        header[*header_len - 1] =
            lz4_header_check(header + LZ4_FLG_POS, *header_len - 1 - LZ4_FLG_POS);
    return ERR_OK;
}

static enum err lz4_blocks(LZ4F_dctx *dctx, const uint8_t *from, size_t len, struct sink *sink)
{
    for (;;) {
        size_t room, taken = len;
        uint8_t *to = sink_room(sink, &room);
        if (to == NULL)
            return ERR_TOO_LARGE;
        size_t made = room;
        size_t rc = LZ4F_decompress(dctx, to, &made, from, &taken, NULL);
        if (LZ4F_isError(rc))
            return ERR_BAD_FORMAT;
        sink->out->len += made;
        from += taken;
        len -= taken;
        if (rc == 0)
            return sink_full(sink) ? ERR_TOO_LARGE : ERR_OK;
        if (len == 0 && made < room)
            return ERR_BAD_FORMAT; /* ends before its end mark */
    }
}

static enum err lz4_decompress(int magic, const uint8_t *from, size_t len, size_t limit,
                               struct buf *out)
{
    uint8_t header[LZ4_HEADER_MOST];
    size_t header_len;
    enum err err = lz4_header(magic, from, len, header, &header_len);
    if (err != ERR_OK)
        return err;

    LZ4F_dctx *dctx;
    struct sink sink = sink_of(out, limit, len);
    size_t rc = LZ4F_createDecompressionContext(&dctx, LZ4F_VERSION);
    assert(!LZ4F_isError(rc));
    size_t none = 0, taken = header_len;
    rc = LZ4F_decompress(dctx, header, &none, header, &taken, NULL);
    if (LZ4F_isError(rc) || taken != header_len)
        err = ERR_BAD_FORMAT;
    else
        err = lz4_blocks(dctx, from + header_len, len - header_len, &sink);
    LZ4F_freeDecompressionContext(dctx);
    return err;
}

/* --- zstd --- */

static enum err zstd_compress(int level, const uint8_t *from, size_t len, struct buf *out)
{
    size_t bound = ZSTD_compressBound(len);
    uint8_t *to = buf_reserve(out, bound);

    if (level == CODEC_LEVEL_DEFAULT)
        level = 3;
    size_t packed = ZSTD_compress(to, bound, from, len, level);
    assert(!ZSTD_isError(packed));
    out->len += packed;
    return ERR_OK;
}

static enum err zstd_stream(ZSTD_DCtx *dctx, const uint8_t *from, size_t len, struct sink *sink)
{
    ZSTD_inBuffer in = { from, len, 0 };

    for (;;) {
        size_t room;
        uint8_t *to = sink_room(sink, &room);
        if (to == NULL)
            return ERR_TOO_LARGE;
        ZSTD_outBuffer plain = { to, room, 0 };
        size_t rc = ZSTD_decompressStream(dctx, &plain, &in);
        if (ZSTD_isError(rc))
            return ERR_BAD_FORMAT;
        sink->out->len += plain.pos;
        if (in.pos == in.size && plain.pos < plain.size) {
            if (rc != 0)
                return ERR_BAD_FORMAT; /* ends inside a frame */
            return sink_full(sink) ? ERR_TOO_LARGE : ERR_OK;
        }
        if (in.pos == in.size && rc == 0)
            return sink_full(sink) ? ERR_TOO_LARGE : ERR_OK;
    }
}

static enum err zstd_decompress(const uint8_t *from, size_t len, size_t limit, struct buf *out)
{
    struct sink sink = sink_of(out, limit, len);
    unsigned long long plain = ZSTD_getFrameContentSize(from, len);
    enum err err = ERR_OK;

    if (plain == ZSTD_CONTENTSIZE_ERROR)
        return ERR_BAD_FORMAT;
    ZSTD_DCtx *dctx = ZSTD_createDCtx();
    assert(dctx != NULL);
    /* One frame that tells its size, as librdkafka writes it, needs no window beside the output. */
    if (plain != ZSTD_CONTENTSIZE_UNKNOWN && plain > 0 &&
        ZSTD_findFrameCompressedSize(from, len) == len) {
        if (plain > sink.limit) {
            err = ERR_TOO_LARGE;
        } else {
            uint8_t *to = buf_reserve(out, (size_t)plain);
            size_t made = ZSTD_decompressDCtx(dctx, to, (size_t)plain, from, len);
            if (ZSTD_isError(made))
                err = ERR_BAD_FORMAT;
            else
                out->len += made;
        }
    } else {
        err = zstd_stream(dctx, from, len, &sink);
    }
    ZSTD_freeDCtx(dctx);
    return err;
}

/* --- all of them --- */

enum err codec_compress(enum codec codec, int level, int magic, const uint8_t *from, size_t len,
                        struct buf *out)
{
    switch (codec) {
    case CODEC_NONE:
        buf_put(out, from, len);
        return ERR_OK;
    case CODEC_GZIP:
        return gzip_compress(level, from, len, out);
    case CODEC_SNAPPY:
        return snappy_compress_xerial(from, len, out);
    case CODEC_LZ4:
        return lz4_compress(level, magic, from, len, out);
    case CODEC_ZSTD:
        return zstd_compress(level, from, len, out);
    case CODEC_COUNT:
        break;
    }
    return ERR_UNSUPPORTED_COMPRESSION_TYPE;
}

enum err codec_decompress(enum codec codec, int magic, const uint8_t *from, size_t len,
                          size_t limit, struct buf *out)
{
    buf_reserve(out, 1); /* so that nothing decompressed is still somewhere */
    switch (codec) {
    case CODEC_NONE:
        if (len > limit)
            return ERR_TOO_LARGE;
        buf_put(out, from, len);
        return ERR_OK;
    case CODEC_GZIP:
        return gzip_decompress(from, len, limit, out);
    case CODEC_SNAPPY:
        return snappy_decompress(from, len, limit, out);
    case CODEC_LZ4:
        return lz4_decompress(magic, from, len, limit, out);
    case CODEC_ZSTD:
        return zstd_decompress(from, len, limit, out);
    case CODEC_COUNT:
        break;
    }
    return ERR_UNSUPPORTED_COMPRESSION_TYPE;
}
