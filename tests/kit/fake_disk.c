/*
 * Every file and directory is a node with a live and a safe half, and the list of changes that lead
 * from one to the other. A sync replays the list on the safe half; a crash replays part of it and
 * makes the live half anew.
 */
#include "tests/kit/fake_disk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/mem.h"

#define FILES_MAX 1024
#define SECTOR    512

struct content {
    uint8_t *bytes;
    size_t len;
    size_t cap;
};

/* A change of content that is not safe yet. */
struct change {
    STAILQ_ENTRY(change) link;
    bool is_truncate;
    size_t pos; /* or the new size */
    size_t len;
    uint8_t bytes[];
};

struct node;

struct name {
    char *text;
    struct node *node; /* a reference */
};

struct names {
    struct name *list;
    size_t count;
    size_t cap;
};

/* A change of a directory that is not safe yet: a name goes, a name comes, or both at once. */
struct renaming {
    STAILQ_ENTRY(renaming) link;
    char *gone;        /* NULL: none */
    char *come;        /* NULL: none */
    struct node *node; /* what comes, a reference */
};

struct node {
    size_t refs;
    bool is_dir;
    bool is_locked;
    int64_t mtime_ms;
    int64_t reserved; /* up to here */
    struct content live;
    struct content safe;
    STAILQ_HEAD(, change) changes;
    struct names live_names;
    struct names safe_names;
    STAILQ_HEAD(, renaming) renamings;
};

struct fake_disk {
    struct disk base; /* first */
    struct node *root;
    struct node *open[FILES_MAX];
    bool holds_lock[FILES_MAX];
    uint64_t count;
    uint64_t stop_at;
    uint64_t fail_at;
    enum err fail_err;
    uint64_t syncs;
    bool refuse_names;
    bool fail_syncs;
    bool fail_sync_all;
    bool one_by_one;
    int64_t room;
    int64_t used;
    uint64_t rand;
};

static struct fake_disk *fake_of(struct disk *disk)
{
    return container_of(disk, struct fake_disk, base);
}

/* --- nodes -------------------------------------------------------------------------------------
 */

static struct node *node_new(bool is_dir)
{
    struct node *node = xcalloc(1, sizeof *node);

    node->refs = 1;
    node->is_dir = is_dir;
    STAILQ_INIT(&node->changes);
    STAILQ_INIT(&node->renamings);
    return node;
}

static struct node *node_ref(struct node *node)
{
    node->refs++;
    return node;
}

static void drop_changes(struct node *node)
{
    struct change *change;

    while ((change = STAILQ_FIRST(&node->changes)) != NULL) {
        STAILQ_REMOVE_HEAD(&node->changes, link);
        free(change);
    }
}

static void node_unref(struct node *node);

static void drop_renamings(struct node *node)
{
    struct renaming *renaming;

    while ((renaming = STAILQ_FIRST(&node->renamings)) != NULL) {
        STAILQ_REMOVE_HEAD(&node->renamings, link);
        free(renaming->gone);
        free(renaming->come);
        if (renaming->node != NULL)
            node_unref(renaming->node);
        free(renaming);
    }
}

static void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->list[i].text);
        node_unref(names->list[i].node);
    }
    free(names->list);
    *names = (struct names){ 0 };
}

static void node_unref(struct node *node)
{
    if (--node->refs > 0)
        return;
    drop_changes(node);
    drop_renamings(node);
    names_clear(&node->live_names);
    names_clear(&node->safe_names);
    free(node->live.bytes);
    free(node->safe.bytes);
    free(node);
}

static struct name *names_find(struct names *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i].text, text) == 0)
            return &names->list[i];
    return NULL;
}

static void names_remove(struct names *names, const char *text)
{
    struct name *name = names_find(names, text);

    if (name == NULL)
        return;
    free(name->text);
    node_unref(name->node);
    *name = names->list[--names->count];
}

static void names_set(struct names *names, const char *text, struct node *node)
{
    node_ref(node);
    names_remove(names, text);
    array_reserve(&names->list, &names->cap, names->count, sizeof *names->list);
    names->list[names->count++] = (struct name){ xstrdup(text), node };
}

static void names_apply(struct names *names, const struct renaming *renaming)
{
    if (renaming->gone != NULL)
        names_remove(names, renaming->gone);
    if (renaming->come != NULL)
        names_set(names, renaming->come, renaming->node);
}

static void change_names(struct node *dir, const char *gone, const char *come, struct node *node)
{
    struct renaming *renaming = xcalloc(1, sizeof *renaming);

    renaming->gone = gone == NULL ? NULL : xstrdup(gone);
    renaming->come = come == NULL ? NULL : xstrdup(come);
    renaming->node = node == NULL ? NULL : node_ref(node);
    STAILQ_INSERT_TAIL(&dir->renamings, renaming, link);
    names_apply(&dir->live_names, renaming);
}

static void content_write(struct content *content, size_t pos, const uint8_t *bytes, size_t len)
{
    if (pos + len > content->len) {
        array_reserve(&content->bytes, &content->cap, pos + len, 1);
        memset(content->bytes + content->len, 0, pos + len - content->len);
        content->len = pos + len;
    }
    if (len > 0)
        memcpy(content->bytes + pos, bytes, len);
}

static void content_truncate(struct content *content, size_t size)
{
    if (size == 0 && content->bytes == NULL)
        return;
    if (size > content->len) {
        array_reserve(&content->bytes, &content->cap, size, 1);
        memset(content->bytes + content->len, 0, size - content->len);
    }
    content->len = size;
}

static void content_apply(struct content *content, const struct change *change, size_t len)
{
    if (change->is_truncate)
        content_truncate(content, change->pos);
    else
        content_write(content, change->pos, change->bytes, len);
}

static void change_content(struct node *node, bool is_truncate, size_t pos, const uint8_t *bytes,
                           size_t len)
{
    struct change *change = xcalloc(1, sizeof *change + len);

    change->is_truncate = is_truncate;
    change->pos = pos;
    change->len = len;
    if (len > 0)
        memcpy(change->bytes, bytes, len);
    STAILQ_INSERT_TAIL(&node->changes, change, link);
    content_apply(&node->live, change, len);
}

static void make_safe(struct node *node)
{
    struct change *change;

    STAILQ_FOREACH (change, &node->changes, link)
        content_apply(&node->safe, change, change->len);
    drop_changes(node);
}

/* --- paths -------------------------------------------------------------------------------------
 */

/* The directory that path is in, and its last part. */
static struct node *walk_to_parent(struct fake_disk *fake, const char *path, const char **last)
{
    struct node *dir = fake->root;

    while (*path == '/')
        path++;
    for (;;) {
        const char *slash = strchr(path, '/');

        if (slash == NULL) {
            *last = path;
            return dir;
        }
        char *part = xstrndup(path, (size_t)(slash - path));
        struct name *name = names_find(&dir->live_names, part);

        free(part);
        if (name == NULL || !name->node->is_dir)
            return NULL;
        dir = name->node;
        path = slash + 1;
    }
}

static struct node *walk(struct fake_disk *fake, const char *path)
{
    const char *last;
    struct node *dir = walk_to_parent(fake, path, &last);

    if (dir == NULL)
        return NULL;
    if (*last == '\0')
        return dir;
    struct name *name = names_find(&dir->live_names, last);

    return name == NULL ? NULL : name->node;
}

/* Counts an operation; what it is to fail with. */
static enum err next_op(struct fake_disk *fake)
{
    fake->count++;
    if (fake->stop_at != 0 && fake->count >= fake->stop_at)
        return ERR_IO;
    if (fake->fail_at != 0 && fake->count == fake->fail_at)
        return fake->fail_err;
    return ERR_OK;
}

/* The same of one that wants room for a name. */
static enum err next_name(struct fake_disk *fake)
{
    enum err err = next_op(fake);

    return err == ERR_OK && fake->refuse_names ? ERR_NO_SPACE : err;
}

/* --- the seam ----------------------------------------------------------------------------------
 */

static enum err take_number(struct fake_disk *fake, struct node *node, int *file)
{
    for (int i = 3; i < FILES_MAX; i++)
        if (fake->open[i] == NULL) {
            fake->open[i] = node_ref(node);
            *file = i;
            return ERR_OK;
        }
    return ERR_IO;
}

static enum err fake_open(struct disk *disk, const char *path, int flags, int *file)
{
    struct fake_disk *fake = fake_of(disk);
    const char *last;
    struct node *dir = walk_to_parent(fake, path, &last);
    struct name *name = dir == NULL ? NULL : names_find(&dir->live_names, last);

    if (dir == NULL || (name == NULL && !(flags & DISK_CREATE)))
        return ERR_NOT_FOUND;
    if (name != NULL && (flags & DISK_EXCLUSIVE))
        return ERR_EXISTS;
    if (name != NULL && name->node->is_dir)
        return ERR_IO;
    if (name == NULL) {
        enum err err = next_name(fake);

        if (err != ERR_OK)
            return err;
        struct node *node = node_new(false);

        change_names(dir, NULL, last, node);
        err = take_number(fake, node, file);
        node_unref(node);
        return err;
    }
    if ((flags & DISK_TRUNCATE) && name->node->live.len > 0) {
        enum err err = next_op(fake);

        if (err != ERR_OK)
            return err;
        fake->used -= (int64_t)name->node->live.len;
        change_content(name->node, true, 0, NULL, 0);
    }
    return take_number(fake, name->node, file);
}

static struct node *node_of(struct fake_disk *fake, int file)
{
    assert(file >= 3 && file < FILES_MAX);
    assert(fake->open[file] != NULL);
    return fake->open[file];
}

static enum err fake_close(struct disk *disk, int file)
{
    struct fake_disk *fake = fake_of(disk);

    if (file < 3 || file >= FILES_MAX || fake->open[file] == NULL)
        return ERR_IO; /* it was open when the power went */
    if (fake->holds_lock[file])
        fake->open[file]->is_locked = false;
    fake->holds_lock[file] = false;
    node_unref(fake->open[file]);
    fake->open[file] = NULL;
    return ERR_OK;
}

static enum err fake_pread(struct disk *disk, int file, void *into, size_t len, int64_t pos,
                           size_t *got)
{
    struct fake_disk *fake = fake_of(disk);
    struct content *live = &node_of(fake, file)->live;

    if (fake->stop_at != 0 && fake->count >= fake->stop_at)
        return ERR_IO;
    *got = 0;
    if ((size_t)pos >= live->len)
        return ERR_OK;
    *got = live->len - (size_t)pos < len ? live->len - (size_t)pos : len;
    memcpy(into, live->bytes + pos, *got);
    return ERR_OK;
}

static bool fake_is_warm(struct disk *disk, int file, int64_t pos, size_t len)
{
    (void)disk;
    (void)file;
    (void)pos;
    (void)len;
    return true;
}

static enum err write_one(struct fake_disk *fake, struct node *node, const uint8_t *bytes,
                          size_t len, size_t pos)
{
    int64_t grows = pos + len > node->live.len ? (int64_t)(pos + len - node->live.len) : 0;
    enum err err = next_op(fake);

    if (err == ERR_OK && grows > 0 && fake->used + grows > fake->room) {
        err = ERR_NO_SPACE;
        grows = 0;
    }
    if (err != ERR_OK)
        len /= 2;
    if (fake->stop_at != 0 && fake->count > fake->stop_at)
        return err;
    if (len > 0) {
        int64_t before = (int64_t)node->live.len;

        change_content(node, false, pos, bytes, len);
        fake->used += (int64_t)node->live.len - before;
    }
    return err;
}

static enum err fake_pwritev(struct disk *disk, int file, const struct iovec *iov, int iov_count,
                             int64_t pos)
{
    struct fake_disk *fake = fake_of(disk);
    struct node *node = node_of(fake, file);
    enum err err = ERR_OK;

    for (int i = 0; i < iov_count && err == ERR_OK; i++) {
        err = write_one(fake, node, iov[i].iov_base, iov[i].iov_len, (size_t)pos);
        pos += (int64_t)iov[i].iov_len;
    }
    return err;
}

static enum err fake_sync(struct disk *disk, int file)
{
    struct fake_disk *fake = fake_of(disk);
    enum err err = next_op(fake);

    fake->syncs++;
    if (err == ERR_OK && fake->fail_syncs)
        err = ERR_IO;
    if (err == ERR_OK)
        make_safe(node_of(fake, file));
    return err;
}

static enum err fake_sync_dir(struct disk *disk, const char *path)
{
    struct fake_disk *fake = fake_of(disk);
    struct node *dir = walk(fake, path);
    enum err err = next_op(fake);
    struct renaming *renaming;

    fake->syncs++;
    if (dir == NULL)
        return ERR_NOT_FOUND;
    if (err != ERR_OK)
        return err;
    STAILQ_FOREACH (renaming, &dir->renamings, link)
        names_apply(&dir->safe_names, renaming);
    drop_renamings(dir);
    return ERR_OK;
}

static void make_all_safe(struct node *node)
{
    struct renaming *renaming;

    make_safe(node);
    STAILQ_FOREACH (renaming, &node->renamings, link)
        names_apply(&node->safe_names, renaming);
    drop_renamings(node);
    for (size_t i = 0; i < node->live_names.count; i++)
        make_all_safe(node->live_names.list[i].node);
}

static bool fake_can_sync_all(struct disk *disk, int file)
{
    (void)file;
    return !fake_of(disk)->one_by_one;
}

static enum err fake_sync_all(struct disk *disk, int file)
{
    struct fake_disk *fake = fake_of(disk);
    enum err err = next_op(fake);

    fake->syncs++;
    node_of(fake, file);
    assert(!fake->one_by_one);
    if (err == ERR_OK && (fake->fail_syncs || fake->fail_sync_all))
        err = ERR_IO;
    fake->fail_sync_all = false;
    if (err == ERR_OK)
        make_all_safe(fake->root);
    return err;
}

static void fake_write_out(struct disk *disk, int file, int64_t pos, int64_t len)
{
    (void)disk;
    (void)file;
    (void)pos;
    (void)len;
}

static bool fake_reserve(struct disk *disk, int file, int64_t pos, int64_t len)
{
    struct node *node = node_of(fake_of(disk), file);

    if (pos + len > node->reserved)
        node->reserved = pos + len;
    return true;
}

int64_t fake_disk_reserved(struct fake_disk *fake, const char *path)
{
    const struct node *node = walk(fake, path);

    if (node == NULL || node->reserved <= (int64_t)node->live.len)
        return 0;
    return node->reserved - (int64_t)node->live.len;
}

static enum err fake_size(struct disk *disk, int file, int64_t *size)
{
    *size = (int64_t)node_of(fake_of(disk), file)->live.len;
    return ERR_OK;
}

static enum err fake_truncate(struct disk *disk, int file, int64_t size)
{
    struct fake_disk *fake = fake_of(disk);
    struct node *node = node_of(fake, file);

    node->reserved = 0;
    if (size == (int64_t)node->live.len)
        return ERR_OK;
    enum err err = next_op(fake);

    if (err != ERR_OK)
        return err;
    fake->used += size - (int64_t)node->live.len;
    change_content(node, true, (size_t)size, NULL, 0);
    return ERR_OK;
}

static enum err fake_stat(struct disk *disk, const char *path, struct disk_stat *out)
{
    struct node *node = walk(fake_of(disk), path);

    if (node == NULL)
        return ERR_NOT_FOUND;
    *out = (struct disk_stat){ .size = (int64_t)node->live.len,
                               .mtime_ms = node->mtime_ms,
                               .is_dir = node->is_dir };
    return ERR_OK;
}

static enum err fake_set_mtime(struct disk *disk, const char *path, int64_t mtime_ms)
{
    struct node *node = walk(fake_of(disk), path);

    if (node == NULL)
        return ERR_NOT_FOUND;
    node->mtime_ms = mtime_ms;
    return ERR_OK;
}

static enum err fake_rename(struct disk *disk, const char *from, const char *to)
{
    struct fake_disk *fake = fake_of(disk);
    const char *from_name;
    const char *to_name;
    struct node *from_dir = walk_to_parent(fake, from, &from_name);
    struct node *to_dir = walk_to_parent(fake, to, &to_name);
    struct name *name = from_dir == NULL ? NULL : names_find(&from_dir->live_names, from_name);

    if (name == NULL || to_dir == NULL)
        return ERR_NOT_FOUND;
    assert(from_dir == to_dir); /* nothing of ours moves between directories */
    enum err err = next_name(fake);

    if (err == ERR_OK)
        change_names(from_dir, from_name, to_name, name->node);
    return err;
}

static enum err remove_name(struct disk *disk, const char *path, bool is_dir)
{
    struct fake_disk *fake = fake_of(disk);
    const char *last;
    struct node *dir = walk_to_parent(fake, path, &last);
    struct name *name = dir == NULL ? NULL : names_find(&dir->live_names, last);

    if (name == NULL)
        return ERR_NOT_FOUND;
    if (name->node->is_dir != is_dir || name->node->live_names.count > 0)
        return ERR_IO;
    enum err err = next_op(fake);

    if (err != ERR_OK)
        return err;
    fake->used -= (int64_t)name->node->live.len;
    change_names(dir, last, NULL, NULL);
    return ERR_OK;
}

static enum err fake_unlink(struct disk *disk, const char *path)
{
    return remove_name(disk, path, false);
}

static enum err fake_rmdir(struct disk *disk, const char *path)
{
    return remove_name(disk, path, true);
}

static enum err fake_mkdir(struct disk *disk, const char *path)
{
    struct fake_disk *fake = fake_of(disk);
    const char *last;
    struct node *dir = walk_to_parent(fake, path, &last);

    if (dir == NULL)
        return ERR_NOT_FOUND;
    if (names_find(&dir->live_names, last) != NULL)
        return ERR_EXISTS;
    enum err err = next_name(fake);

    if (err != ERR_OK)
        return err;
    struct node *node = node_new(true);

    change_names(dir, NULL, last, node);
    node_unref(node);
    return ERR_OK;
}

static enum err fake_list(struct disk *disk, const char *path, disk_name_fn each, void *ctx)
{
    struct node *dir = walk(fake_of(disk), path);

    if (dir == NULL)
        return ERR_NOT_FOUND;
    for (size_t i = 0; i < dir->live_names.count; i++)
        each(ctx, dir->live_names.list[i].text, dir->live_names.list[i].node->is_dir);
    return ERR_OK;
}

static enum err fake_lock(struct disk *disk, const char *path, int *file)
{
    struct fake_disk *fake = fake_of(disk);
    enum err err = fake_open(disk, path, DISK_WRITE | DISK_CREATE, file);

    if (err != ERR_OK)
        return err;
    if (node_of(fake, *file)->is_locked) {
        fake_close(disk, *file);
        return ERR_LOCKED;
    }
    node_of(fake, *file)->is_locked = true;
    fake->holds_lock[*file] = true;
    return ERR_OK;
}

static enum err fake_space(struct disk *disk, const char *path, int64_t *free_bytes,
                           int64_t *total_bytes)
{
    struct fake_disk *fake = fake_of(disk);

    (void)path;
    *free_bytes = fake->room - fake->used;
    *total_bytes = fake->room;
    return ERR_OK;
}

/* --- the kit's side ------------------------------------------------------------------------------
 */

struct fake_disk *fake_disk_new(void)
{
    static const struct disk_ops ops = {
        .open = fake_open,
        .close = fake_close,
        .pread = fake_pread,
        .is_warm = fake_is_warm,
        .pwritev = fake_pwritev,
        .sync_data = fake_sync,
        .sync = fake_sync,
        .sync_dir = fake_sync_dir,
        .can_sync_all = fake_can_sync_all,
        .sync_all = fake_sync_all,
        .write_out = fake_write_out,
        .reserve = fake_reserve,
        .size = fake_size,
        .truncate = fake_truncate,
        .stat = fake_stat,
        .set_mtime = fake_set_mtime,
        .rename = fake_rename,
        .unlink = fake_unlink,
        .mkdir = fake_mkdir,
        .rmdir = fake_rmdir,
        .list = fake_list,
        .lock = fake_lock,
        .space = fake_space,
    };
    struct fake_disk *fake = xcalloc(1, sizeof *fake);
    struct node *dir = node_new(true);

    fake->base.ops = &ops;
    fake->room = INT64_MAX;
    fake->root = node_new(true);
    names_set(&fake->root->live_names, "d", dir);
    names_set(&fake->root->safe_names, "d", dir);
    node_unref(dir);
    return fake;
}

static void close_all(struct fake_disk *fake)
{
    for (int i = 3; i < FILES_MAX; i++)
        if (fake->open[i] != NULL)
            fake_close(&fake->base, i);
}

void fake_disk_free(struct fake_disk **fake)
{
    close_all(*fake);
    node_unref((*fake)->root);
    free(*fake);
    *fake = NULL;
}

struct disk *fake_disk_base(struct fake_disk *fake)
{
    return &fake->base;
}

uint64_t fake_disk_count(const struct fake_disk *fake)
{
    return fake->count;
}

uint64_t fake_disk_syncs(const struct fake_disk *fake)
{
    return fake->syncs;
}

void fake_disk_stop_at(struct fake_disk *fake, uint64_t number)
{
    fake->stop_at = number;
}

void fake_disk_fail_at(struct fake_disk *fake, uint64_t number, enum err err)
{
    fake->fail_at = number;
    fake->fail_err = err;
}

void fake_disk_refuse_names(struct fake_disk *fake, bool refuse)
{
    fake->refuse_names = refuse;
}

void fake_disk_set_room(struct fake_disk *fake, int64_t bytes)
{
    fake->room = bytes;
}

void fake_disk_fail_sync_all(struct fake_disk *fake)
{
    fake->fail_sync_all = true;
}

void fake_disk_fail_syncs(struct fake_disk *fake, bool fail)
{
    fake->fail_syncs = fail;
}

void fake_disk_sync_one_by_one(struct fake_disk *fake, bool one_by_one)
{
    fake->one_by_one = one_by_one;
}

static uint64_t chance(struct fake_disk *fake, uint64_t below)
{
    fake->rand = fake->rand * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (fake->rand >> 33) % below;
}

/* What of the unsafe content is there after the crash. */
static void settle_content(struct fake_disk *fake, struct node *node, enum fake_disk_loss loss)
{
    struct change *change;

    STAILQ_FOREACH (change, &node->changes, link) {
        size_t len = change->len;

        if (loss == FAKE_DISK_LOSE_ALL)
            break;
        if (loss == FAKE_DISK_LOSE_SOME) {
            if (chance(fake, 3) == 0)
                continue;
            if (!change->is_truncate && chance(fake, 3) == 0) {
                len = chance(fake, len + 1);
                len -= chance(fake, 2) == 0 ? len % SECTOR : 0;
            }
        }
        content_apply(&node->safe, change, len);
    }
    drop_changes(node);
    free(node->live.bytes);
    node->live = (struct content){ 0 };
    if (node->safe.len > 0)
        content_write(&node->live, 0, node->safe.bytes, node->safe.len);
    fake->used += (int64_t)node->live.len;
}

static void settle(struct fake_disk *fake, struct node *node, enum fake_disk_loss loss)
{
    struct renaming *renaming;

    node->is_locked = false;
    if (!node->is_dir) {
        settle_content(fake, node, loss);
        return;
    }
    STAILQ_FOREACH (renaming, &node->renamings, link) {
        if (loss == FAKE_DISK_LOSE_ALL || (loss == FAKE_DISK_LOSE_SOME && chance(fake, 4) == 0))
            break;
        names_apply(&node->safe_names, renaming);
    }
    drop_renamings(node);
    names_clear(&node->live_names);
    for (size_t i = 0; i < node->safe_names.count; i++)
        names_set(&node->live_names, node->safe_names.list[i].text, node->safe_names.list[i].node);
    for (size_t i = 0; i < node->live_names.count; i++)
        settle(fake, node->live_names.list[i].node, loss);
}

void fake_disk_crash(struct fake_disk *fake, enum fake_disk_loss loss, uint64_t seed)
{
    close_all(fake);
    fake->rand = seed;
    fake->stop_at = 0;
    fake->fail_at = 0;
    fake->fail_syncs = false;
    fake->used = 0;
    settle(fake, fake->root, loss);
}
