/*
 * A hash by the number that the core knows a request by. Each has an arena with its bytes (decoded
 * structs borrow from them) and what was decoded. Bounded in number and bytes: beyond that brokers
 * are told so, and clients try again.
 */
#include "controller/shell/admins.h"

#include <assert.h>
#include <stdlib.h>
#include <uthash.h>

#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/stream/stream.h" /* STREAM_FRAME_BYTES_MAX */
#include "gen/wire/apis.h"

#define COUNT_MAX       10000
#define BYTES_MAX       ((size_t)256 * 1024 * 1024)
#define ANSWER_MAX      (STREAM_FRAME_BYTES_MAX - 1024) /* beside it in its frame: some numbers */
#define DECODED_FACTOR  32 /* structs of the smallest fields that make sense */
#define DECODED_MINIMUM (64 * 1024)

struct admin {
    UT_hash_handle hh;
    uint64_t id;
    uint64_t number; /* the broker's, repeated in the answer */
    size_t bytes;
    struct arena arena;
};

struct admins {
    struct admin *all;
    uint64_t last_id;
    struct budget budget;
};

struct admins *admins_new(void)
{
    struct admins *admins = xcalloc(1, sizeof *admins);

    budget_init(&admins->budget, BYTES_MAX);
    return admins;
}

static void drop(struct admins *admins, struct admin *admin)
{
    HASH_DEL(admins->all, admin);
    budget_give(&admins->budget, admin->bytes);
    arena_fini(&admin->arena);
    free(admin);
}

void admins_clear(struct admins *admins)
{
    while (admins->all != NULL)
        drop(admins, admins->all);
}

void admins_free(struct admins **admins_ptr)
{
    struct admins *admins = *admins_ptr;

    *admins_ptr = NULL;
    if (admins == NULL)
        return;
    admins_clear(admins);
    free(admins);
}

size_t admins_count(const struct admins *admins)
{
    return HASH_COUNT(admins->all);
}

static enum err decode(struct admin *admin, const struct wire_api *api,
                       const Control__AdminRequest *request, void **out)
{
    void *decoded = arena_zalloc(&admin->arena, 1, api->request_size);
    const void *bytes = arena_dup(&admin->arena, request->body.data, request->body.len);
    struct wire_in in = wire_in_of(bytes, request->body.len, &admin->arena);

    *out = decoded;
    api->request.init(decoded);
    return api->request.decode(decoded, &in, (int16_t)request->api_version);
}

enum err admins_take(struct admins *admins, uint64_t stream, const Control__AdminRequest *request,
                     struct core_admin *out)
{
    const struct wire_api *api = NULL;
    void *decoded;

    if (!request->has_api_key || !request->has_api_version || !request->has_number)
        return ERR_INVALID_REQUEST;
    if (request->api_key >= 0 && request->api_key <= API_KEY_MAX)
        api = wire_api((int16_t)request->api_key);
    if (api == NULL || request->api_version < api->min_version ||
        request->api_version > api->max_version)
        return ERR_UNSUPPORTED_VERSION;
    if (HASH_COUNT(admins->all) >= COUNT_MAX)
        return ERR_THROTTLING_QUOTA_EXCEEDED;

    size_t bytes = DECODED_MINIMUM + request->body.len;

    if (!budget_take(&admins->budget, bytes))
        return ERR_THROTTLING_QUOTA_EXCEEDED;

    struct admin *admin = xmalloc(sizeof *admin);

    memset(admin, 0, offsetof(struct admin, arena));
    admin->id = ++admins->last_id;
    admin->number = request->number;
    admin->bytes = bytes;
    arena_init(&admin->arena, DECODED_MINIMUM + request->body.len * DECODED_FACTOR);
    HASH_ADD(hh, admins->all, id, sizeof admin->id, admin);
    if (decode(admin, api, request, &decoded) != ERR_OK) {
        drop(admins, admin);
        return ERR_INVALID_REQUEST;
    }
    *out = (struct core_admin){ .id = admin->id,
                                .stream = stream,
                                .api_key = api->key,
                                .api_version = (int16_t)request->api_version,
                                .request = decoded,
                                .principal = STR("User:ANONYMOUS") };
    if (request->principal != NULL && request->principal[0] != '\0')
        out->principal = arena_str(&admin->arena, str_of(request->principal));
    return ERR_OK;
}

static uint8_t *encode(const struct core_answer_admin *effect, size_t *len)
{
    const struct wire_api *api = wire_api(effect->api_key);

    assert(api != NULL);
    *len = api->response.size(effect->response, effect->api_version);

    uint8_t *bytes = xmalloc(*len + 1);
    struct wire_out out = wire_out_of(bytes, *len);

    api->response.encode(effect->response, &out, effect->api_version);
    return bytes;
}

enum err admins_answer(struct admins *admins, const struct core_answer_admin *effect,
                       Control__AdminAnswer *answer, uint8_t **body)
{
    struct admin *admin;

    *body = NULL;
    HASH_FIND(hh, admins->all, &effect->id, sizeof effect->id, admin);
    if (admin == NULL)
        return ERR_NOT_FOUND;
    answer->has_number = 1;
    answer->number = admin->number;
    answer->has_controller_epoch = 1;
    answer->controller_epoch = effect->controller_epoch;
    answer->has_version = 1;
    answer->version = effect->version;
    answer->has_error = 1;
    answer->error = err_to_wire(effect->err);
    if (effect->err == ERR_OK) {
        assert(effect->response != NULL);
        *body = encode(effect, &answer->body.len);
        answer->has_body = answer->body.len <= ANSWER_MAX;
        answer->body.data = *body;
    }
    if (*body != NULL && !answer->has_body) { /* it would end the broker's stream */
        say_warn("an admin request's answer is too long, the client is not told what became of it "
                 "key=%d bytes=%zu",
                 effect->api_key, answer->body.len);
        answer->error = err_to_wire(ERR_UNKNOWN_SERVER_ERROR);
    }
    drop(admins, admin);
    return ERR_OK;
}
