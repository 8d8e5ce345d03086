/*
 * A slot is set; where it is missing it is created, with the parent if that is missing too: each
 * happens once in a cluster's life and costs one more round trip.
 *
 * Reading asks for the names of the slots and of the notes, then for all of them at once.
 */
#include "controller/shell/ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

/* ---- writing --------------------------------------------------------------------------------- */

void ring_reset(struct ring *ring)
{
    ring->number = ring->done = 0;
}

void ring_set_slots(struct ring *ring, const bool there[ZK_RING_SLOTS])
{
    for (size_t i = 0; i < ZK_RING_SLOTS; i++)
        ring->forms[i] = there[i] ? RING_SET : RING_CREATE;
}

uint64_t ring_take(struct ring *ring)
{
    return ++ring->number;
}

void ring_done(struct ring *ring, uint64_t number)
{
    if (number > ring->done)
        ring->done = number;
}

void ring_give_back(struct ring *ring, uint64_t number)
{
    if (number == ring->number)
        ring->number--;
}

size_t ring_ops(const struct ring *ring, struct arena *arena, const struct zk_touched *touched,
                struct zk_op ops[RING_OPS_MAX])
{
    enum ring_form form = (enum ring_form)ring->forms[touched->number % ZK_RING_SLOTS];
    const char *path = zk_path_ring(arena, touched->number);
    struct str data = zk_build_touched(arena, touched);
    size_t n = 0;

    if (form == RING_CREATE_BOTH)
        ops[n++] = zk_op_create(ZK_RING, STR_NULL, ZK_PERSISTENT);
    if (form == RING_SET)
        ops[n++] = zk_op_set(path, data, ZK_ANY_VERSION);
    else
        ops[n++] = zk_op_create(path, data, ZK_PERSISTENT);
    return n;
}

bool ring_adapt(struct ring *ring, uint64_t number, bool is_entry, enum err err)
{
    unsigned char *form = &ring->forms[number % ZK_RING_SLOTS];

    if (!is_entry && err == ERR_EXISTS)
        *form = RING_CREATE;
    else if (is_entry && *form == RING_SET && err == ERR_NOT_FOUND)
        *form = RING_CREATE;
    else if (is_entry && *form == RING_CREATE && err == ERR_NOT_FOUND)
        *form = RING_CREATE_BOTH;
    else if (is_entry && err == ERR_EXISTS)
        *form = RING_SET;
    else
        return false;
    return true;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct ring_read {
    struct zk *zk;
    ring_read_done *done; /* NULL: stopped, it goes with the last answer */
    void *arg;
    bool is_over; /* the session has ended; nobody is told, and whoever started it stops it */
    unsigned out;
    bool is_damaged;
    bool slots[ZK_RING_SLOTS];
    struct arena arena;
    struct zk_touched *touched;
    size_t n, cap;
    struct str *configs;
    size_t n_configs, cap_configs;
};

static void read_free(struct ring_read *read)
{
    arena_fini(&read->arena);
    free(read->touched);
    free(read->configs);
    free(read);
}

/* Every answer begins with this; false: there is nobody to tell, or no session to go on with. */
static bool is_back(struct ring_read *read, const struct zk_answer *answer)
{
    read->out--;
    if (answer->err == ERR_SESSION_EXPIRED || answer->err == ERR_CLOSED)
        read->is_over = true;
    if (read->done == NULL && read->out == 0)
        read_free(read);
    else if (read->done != NULL)
        return !read->is_over;
    return false;
}

static void ask(struct ring_read *read, const char *path, zk_done *done)
{
    read->out++;
    zk_get(read->zk, path, false, done, read);
}

static void end_if_all(struct ring_read *read)
{
    struct ring_content content = { .is_whole = !read->is_damaged,
                                    .n = read->n,
                                    .touched = read->touched,
                                    .slots = read->slots,
                                    .n_configs = read->n_configs,
                                    .configs = read->configs };

    if (read->out == 0)
        read->done(read->arg, &content);
}

static void on_entry(void *arg, const struct zk_answer *answer)
{
    struct ring_read *read = arg;
    int32_t slot;

    if (!is_back(read, answer))
        return;
    if (answer->err == ERR_CONNECTION_LOSS) {
        ask(read, answer->path.ptr, on_entry);
        return;
    }
    if (answer->err == ERR_OK && zk_leaf_id(zk_path_leaf(answer->path), &slot) &&
        slot < ZK_RING_SLOTS)
        read->slots[slot] = true;
    array_reserve(&read->touched, &read->cap, read->n, sizeof *read->touched);
    if (answer->err == ERR_OK &&
        zk_parse_touched(&read->arena, answer->data, &read->touched[read->n]) == ERR_OK)
        read->n++;
    else
        read->is_damaged = true;
    end_if_all(read);
}

static void on_note(void *arg, const struct zk_answer *answer)
{
    struct ring_read *read = arg;
    struct str type, name;

    if (!is_back(read, answer))
        return;
    if (answer->err == ERR_CONNECTION_LOSS) {
        ask(read, answer->path.ptr, on_note);
        return;
    }
    if (answer->err == ERR_OK &&
        zk_parse_config_change(&read->arena, answer->data, &type, &name) == ERR_OK) {
        array_reserve(&read->configs, &read->cap_configs, read->n_configs, sizeof *read->configs);
        read->configs[read->n_configs++] =
            arena_printf(&read->arena, "%.*s/%.*s", STR_ARG(type), STR_ARG(name));
    }
    end_if_all(read);
}

static void ask_for_children(struct ring_read *read, const char *parent, zk_done *done);

static void on_children(struct ring_read *read, const struct zk_answer *answer, const char *parent,
                        zk_done *again, zk_done *done)
{
    if (!is_back(read, answer))
        return;
    if (answer->err == ERR_CONNECTION_LOSS) {
        ask_for_children(read, parent, again);
        return;
    }
    if (answer->err != ERR_OK && answer->err != ERR_NOT_FOUND)
        read->is_damaged = true;
    for (size_t i = 0; i < answer->n_children; i++)
        ask(read, zk_path_child(&read->arena, parent, answer->children[i]), done);
    end_if_all(read);
}

static void on_slots(void *arg, const struct zk_answer *answer)
{
    on_children(arg, answer, ZK_RING, on_slots, on_entry);
}

static void on_notes(void *arg, const struct zk_answer *answer)
{
    on_children(arg, answer, ZK_CONFIG_CHANGES, on_notes, on_note);
}

static void ask_for_children(struct ring_read *read, const char *parent, zk_done *done)
{
    read->out++;
    zk_children(read->zk, parent, false, done, read);
}

struct ring_read *ring_read_start(struct zk *zk, ring_read_done *done, void *arg)
{
    struct ring_read *read = xcalloc(1, sizeof *read);

    read->zk = zk;
    read->done = done;
    read->arg = arg;
    arena_init(&read->arena, SIZE_MAX);
    ask_for_children(read, ZK_RING, on_slots);
    ask_for_children(read, ZK_CONFIG_CHANGES, on_notes);
    return read;
}

void ring_read_stop(struct ring_read **read_ptr)
{
    struct ring_read *read = *read_ptr;

    *read_ptr = NULL;
    if (read == NULL)
        return;
    read->done = NULL;
    if (read->out == 0)
        read_free(read);
}
