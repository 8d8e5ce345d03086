/*
 * codec - gzip, snappy, lz4 and zstd as Kafka frames them, behind one pair of functions.
 *
 * Reads what any client writes: gzip of several members, snappy bare or in xerial's stream, lz4
 * frames with or without size and checksums, zstd of several frames without content size. Writes
 * what a Java client reads: xerial snappy, lz4 in independent 64 KiB blocks.
 *
 * Units:      bytes.
 * Ownership:  a struct buf owns its memory until buf_fini(); reuse one to save allocations.
 * Threads:    any; a call makes and drops what the library needs, nothing stays behind.
 * Errors:     ERR_BAD_FORMAT when the bytes are not what the codec says, ERR_TOO_LARGE when the
 *             output would pass the limit: nobody's few bytes may become gigabytes here.
 */
#ifndef COMMON_WIRE_CODEC_H
#define COMMON_WIRE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

enum codec { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD, CODEC_COUNT };

#define CODEC_LEVEL_DEFAULT INT32_MAX /* as level: what the codec itself prefers */

/* Bytes that grow. */
struct buf {
    uint8_t *bytes; /* [o] NULL when nothing was ever put in */
    size_t len;     /* [o] */
    size_t cap;     /* [o] */
};

#define BUF_EMPTY ((struct buf){ 0 })

void buf_fini(struct buf *buf);
/* Room for more bytes behind len; returns where they go. The caller adds to len. */
uint8_t *buf_reserve(struct buf *buf, size_t more);
void buf_put(struct buf *buf, const void *bytes, size_t len);

/* Kafka's word, "none" to "zstd"; NULL for a number that names none. */
const char *codec_name(int codec);
/* The codec of a word ("uncompressed" is none, too), -1 when there is none. */
int codec_from_name(const char *name, size_t len);

/* Appends the compressed form to *out. Level as in Kafka's topic settings: gzip -1 or 1..9, lz4
 * 1..17, zstd -131072..22. magic: of the batch it goes into; 0 wants lz4's old header checksum. */
enum err codec_compress(enum codec codec, int level, int magic, const uint8_t *from, size_t len,
                        struct buf *out) MUST_USE;
/* Appends the plain form to *out, which may grow by no more than limit bytes. */
enum err codec_decompress(enum codec codec, int magic, const uint8_t *from, size_t len,
                          size_t limit, struct buf *out) MUST_USE;

#endif
