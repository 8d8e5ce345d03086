/*
 * Answers on their way out: a list of pieces, each a stretch of encoded bytes or a range.
 *
 * Encoding walks the answer twice, to measure and to write. The bytes go into the reactor's current
 * chunk, which the answers of all its connections fill one after the other; neighbours become one
 * piece, so that a batch of small answers is one piece and one system call. A large answer gets a
 * chunk of its own size. When a client does not read, what it has not read is copied out of the
 * shared chunks, so that one slow client cannot hold the memory of a thousand answers.
 *
 * A range of a file is asked for its validity before and after each part that is sent: between the
 * two a truncation may have replaced the bytes, and then the connection is closed, for the client
 * must not take them for what was asked.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/net/conn_int.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/wire/frame.h"
#include "common/wire/prim.h"
#include "gen/wire/apis.h"

#define IOV_MAX_HERE 64
#define CUTS_HERE    8

/* ---- chunks and pieces ---- */

static struct chunk *chunk_new(size_t cap)
{
    assert(cap <= UINT32_MAX);
    struct chunk *chunk = xmalloc(sizeof *chunk + cap);

    chunk->next = NULL;
    chunk->refs = 1;
    chunk->cap = (uint32_t)cap;
    chunk->used = 0;
    return chunk;
}

static void chunk_unref(struct conns *conns, struct chunk *chunk)
{
    assert(chunk->refs > 0);
    if (--chunk->refs > 0)
        return;
    if (chunk->cap == CHUNK_BYTES && conns->spare_chunks_count < CHUNKS_KEPT) {
        chunk->next = conns->spare_chunks;
        conns->spare_chunks = chunk;
        conns->spare_chunks_count++;
        return;
    }
    free(chunk);
}

static struct chunk *chunk_fresh(struct conns *conns)
{
    struct chunk *chunk = conns->spare_chunks;

    if (chunk == NULL)
        return chunk_new(CHUNK_BYTES);
    conns->spare_chunks = chunk->next;
    conns->spare_chunks_count--;
    chunk->refs = 1;
    chunk->used = 0;
    return chunk;
}

/* A chunk with room for len bytes and a ref for the caller. */
static struct chunk *chunk_with_room(struct conns *conns, size_t len)
{
    if (len > CHUNK_BYTES / 4)
        return chunk_new(len);
    if (conns->chunk != NULL && conns->chunk->refs == 1)
        conns->chunk->used = 0; /* all of it has been sent */
    if (conns->chunk == NULL || conns->chunk->cap - conns->chunk->used < len) {
        if (conns->chunk != NULL)
            chunk_unref(conns, conns->chunk);
        conns->chunk = chunk_fresh(conns);
    }
    conns->chunk->refs++;
    return conns->chunk;
}

static struct out_piece *piece_new(struct conns *conns)
{
    struct out_piece *piece = STAILQ_FIRST(&conns->spare_pieces);

    if (piece == NULL)
        return xmalloc(sizeof *piece);
    STAILQ_REMOVE_HEAD(&conns->spare_pieces, link);
    conns->spare_pieces_count--;
    return piece;
}

static void piece_end(struct conns *conns, struct out_piece *piece)
{
    if (piece->chunk != NULL) {
        chunk_unref(conns, piece->chunk);
    } else {
        if (piece->range.ops != NULL && piece->range.ops->release != NULL)
            piece->range.ops->release(&piece->range);
        slice_unref(&piece->range.bytes);
    }
    if (conns->spare_pieces_count < PIECES_KEPT) {
        STAILQ_INSERT_HEAD(&conns->spare_pieces, piece, link);
        conns->spare_pieces_count++;
    } else {
        free(piece);
    }
}

static struct out_piece *last_of(struct out_list *list)
{
    return STAILQ_EMPTY(list) ? NULL
                              : container_of(list->stqh_last, struct out_piece, link.stqe_next);
}

static void add_bytes(struct conns *conns, struct out_list *list, struct chunk *chunk, size_t pos,
                      size_t len)
{
    struct out_piece *last = last_of(list);

    if (len == 0)
        return;
    if (last != NULL && last->chunk == chunk && last->pos + last->len == pos) {
        last->len += len;
        return;
    }
    struct out_piece *piece = piece_new(conns);
    piece->chunk = chunk;
    piece->pos = pos;
    piece->len = len;
    chunk->refs++;
    STAILQ_INSERT_TAIL(list, piece, link);
}

static void add_range(struct conns *conns, struct out_list *list,
                      const struct wire_records *records)
{
    const struct range_ref *range = records->ext;
    struct out_piece *piece = piece_new(conns);

    assert(range != NULL);
    assert(range->len == (size_t)records->len);
    assert(range->fd >= 0 || range->bytes.len == range->len);
    piece->chunk = NULL;
    piece->pos = 0;
    piece->len = range->len;
    piece->range = *range;
    STAILQ_INSERT_TAIL(list, piece, link);
}

void out_clear(struct conns *conns, struct out_list *list)
{
    struct out_piece *piece;

    while ((piece = STAILQ_FIRST(list)) != NULL) {
        STAILQ_REMOVE_HEAD(list, link);
        piece_end(conns, piece);
    }
}

void out_fini(struct conns *conns)
{
    struct out_piece *piece;
    struct chunk *chunk;

    if (conns->chunk != NULL)
        chunk_unref(conns, conns->chunk);
    conns->chunk = NULL;
    while ((piece = STAILQ_FIRST(&conns->spare_pieces)) != NULL) {
        STAILQ_REMOVE_HEAD(&conns->spare_pieces, link);
        free(piece);
    }
    while ((chunk = conns->spare_chunks) != NULL) {
        conns->spare_chunks = chunk->next;
        free(chunk);
    }
}

/* ---- encoding ---- */

static void put(const struct request *req, const void *resp, int16_t version, size_t frame_len,
                struct wire_out *out)
{
    wire_put_i32(out, (int32_t)frame_len);
    frame_response_header_encode(req->correlation_id, out, req->key, version);
    req->api->response.encode(resp, out, version);
}

/* The ranges of an answer that is not sent. */
static void let_go(struct conns *conns, struct request *req, const void *resp, int16_t version,
                   int ranges)
{
    struct out_list none = STAILQ_HEAD_INITIALIZER(none);
    struct wire_out out = wire_out_measure();

    out.cuts_cap = ranges;
    out.cuts = arena_alloc(&req->arena, (size_t)ranges * sizeof *out.cuts);
    put(req, resp, version, 0, &out);
    for (int i = 0; i < out.cuts_len; i++)
        add_range(conns, &none, out.cuts[i].records);
    out_clear(conns, &none);
}

size_t out_encode(struct conns *conns, struct request *req, const void *resp, int16_t version,
                  struct out_list *list)
{
    struct wire_out count = wire_out_measure();
    struct wire_cut few[CUTS_HERE];

    put(req, resp, version, 0, &count);
    if (count.pos - FRAME_LEN_BYTES > INT32_MAX) {
        let_go(conns, req, resp, version, count.cuts_len);
        return 0;
    }
    size_t need = count.pos - count.away;
    struct chunk *chunk = chunk_with_room(conns, need);
    struct wire_out out = wire_out_of(chunk->bytes + chunk->used, need);

    out.cuts_cap = count.cuts_len;
    out.cuts = count.cuts_len <= CUTS_HERE
                   ? few
                   : arena_alloc(&req->arena, (size_t)count.cuts_len * sizeof few[0]);
    put(req, resp, version, count.pos - FRAME_LEN_BYTES, &out);
    assert(out.pos == need);

    size_t at = 0;
    for (int i = 0; i < out.cuts_len; i++) {
        add_bytes(conns, list, chunk, chunk->used + at, out.cuts[i].pos - at);
        add_range(conns, list, out.cuts[i].records);
        at = out.cuts[i].pos;
    }
    add_bytes(conns, list, chunk, chunk->used + at, need - at);
    chunk->used += (uint32_t)need;
    chunk_unref(conns, chunk);
    return count.pos;
}

/* ---- sending ---- */

static bool is_file(const struct out_piece *piece)
{
    return piece->chunk == NULL && piece->range.fd >= 0;
}

static bool is_valid(const struct out_piece *piece)
{
    const struct range_ops *ops = piece->range.ops;

    return ops == NULL || ops->is_valid == NULL || ops->is_valid(&piece->range);
}

static const uint8_t *bytes_of(const struct out_piece *piece)
{
    return (piece->chunk != NULL ? piece->chunk->bytes : piece->range.bytes.base) + piece->pos;
}

static void consume(struct conns *conns, struct out_list *list, size_t sent)
{
    while (sent > 0) {
        struct out_piece *piece = STAILQ_FIRST(list);
        size_t part = sent < piece->len ? sent : piece->len;

        piece->pos += part;
        piece->len -= part;
        sent -= part;
        if (piece->len == 0) {
            STAILQ_REMOVE_HEAD(list, link);
            piece_end(conns, piece);
        }
    }
}

static enum err send_bytes(struct net_sock *sock, const struct out_list *list, size_t max,
                           size_t *asked, size_t *sent)
{
    struct iovec iov[IOV_MAX_HERE];
    const struct out_piece *piece = STAILQ_FIRST(list);
    int count = 0;

    *asked = 0;
    for (; piece != NULL && !is_file(piece) && count < IOV_MAX_HERE && *asked < max;
         piece = STAILQ_NEXT(piece, link)) {
        size_t len = piece->len < max - *asked ? piece->len : max - *asked;

        iov[count++] =
            (struct iovec){ .iov_base = (void *)(uintptr_t)bytes_of(piece), .iov_len = len };
        *asked += len;
    }
    return net_writev(sock, iov, count, piece != NULL, sent);
}

static enum err invalid(void)
{
    say_limited(SAY_WARN, "a log was truncated under an answer, closing connection");
    return ERR_CLOSED;
}

static enum err send_file(struct net_sock *sock, const struct out_piece *piece, size_t max,
                          size_t *asked, size_t *sent)
{
    enum err err;

    *asked = piece->len < max ? piece->len : max;
    *sent = 0;
    if (!is_valid(piece))
        return ERR_CLOSED;
    err =
        net_send_file(sock, piece->range.fd, piece->range.pos + (int64_t)piece->pos, *asked, sent);
    if (err == ERR_OK && !is_valid(piece))
        return invalid();
    return err;
}

enum out_end out_send(struct conns *conns, struct net_sock *sock, struct out_list *list,
                      size_t *sent)
{
    *sent = 0;
    while (!STAILQ_EMPTY(list)) {
        struct out_piece *first = STAILQ_FIRST(list);
        size_t asked, part, left = TURN_BYTES - *sent;
        enum err err;

        if (left == 0)
            return OUT_MORE;
        if (is_file(first))
            err = send_file(sock, first, left, &asked, &part);
        else
            err = send_bytes(sock, list, left, &asked, &part);
        if (err != ERR_OK)
            return OUT_FAILED;
        *sent += part;
        consume(conns, list, part);
        if (part < asked)
            return OUT_BLOCKED;
    }
    return OUT_EMPTY;
}

void out_settle(struct conns *conns, struct out_list *list)
{
    struct out_piece *piece;

    STAILQ_FOREACH (piece, list, link) {
        if (piece->chunk == NULL || piece->len * 2 > piece->chunk->cap)
            continue;
        struct chunk *own = chunk_new(piece->len);
        memcpy(own->bytes, bytes_of(piece), piece->len);
        own->used = own->cap;
        chunk_unref(conns, piece->chunk);
        piece->chunk = own;
        piece->pos = 0;
    }
}
