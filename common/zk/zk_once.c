/*
 * What is asked of the library once, with a handle that is opened for it and closed again: creating
 * a chroot, ending the session of an earlier process. And the library's words in ours.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/zk/zk.h"
#include "common/zk/zk_lib_int.h"

#define CHROOT_WAIT_MS 10000
#define REMINDER_MS    10000
#define LOOK_MS        50 /* nobody wakes us when it is given up */

enum err zk_lib_err(int rc)
{
    switch (rc) {
    case ZOK:
        return ERR_OK;
    case ZNONODE:
        return ERR_NOT_FOUND;
    case ZNODEEXISTS:
        return ERR_EXISTS;
    case ZBADVERSION:
        return ERR_BAD_VERSION;
    case ZNOTEMPTY:
        return ERR_NOT_EMPTY;
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
        return ERR_CONNECTION_LOSS;
    case ZSESSIONEXPIRED:
    case ZINVALIDSTATE:
    case ZCLOSING:
    case ZAUTHFAILED:
        return ERR_SESSION_EXPIRED;
    case ZNOAUTH:
    case ZINVALIDACL:
        return ERR_CLUSTER_AUTHORIZATION_FAILED;
    case ZRUNTIMEINCONSISTENCY:
        return ERR_OPERATION_NOT_ATTEMPTED;
    case ZBADARGUMENTS:
    case ZNOCHILDRENFOREPHEMERALS:
        return ERR_INVALID_REQUEST;
    default:
        return ERR_IO;
    }
}

/* "2026-01-02 03:04:05,678:12(0x7f):ZOO_WARN@check_events@2468: text": the words after the first
 * ": " are what an operator can use. The library repeats itself several times a second while there
 * is no server; who owns the session says so himself, so a reminder now and then is enough. */
static void on_library_says(const char *message)
{
    static _Atomic int64_t next_ms;
    const char *words = strstr(message, ": ");
    bool loud = strstr(message, "ZOO_ERROR") != NULL;
    int64_t now_ms = clock_mono_ms(), due_ms = next_ms;

    if (words != NULL)
        message = words + 2;
    if (loud && now_ms >= due_ms &&
        atomic_compare_exchange_strong(&next_ms, &due_ms, now_ms + REMINDER_MS))
        say_warn("zookeeper client: %s", message);
    else
        say_debug("zookeeper client: %s", message);
}

zhandle_t *zk_lib_handle(const char *servers, unsigned first, watcher_fn watcher,
                         int32_t timeout_ms, const clientid_t *id, void *context)
{
    char *turned = zk_lib_turn(servers, first);
    zhandle_t *handle;
    int errnum;

    zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
    zoo_deterministic_conn_order(1);
    handle = zookeeper_init2(turned, watcher, timeout_ms, id, context, 0, on_library_says);
    errnum = errno;
    /* By itself it looks all names up at each turn of its I/O thread, also while it is connected: a
     * silent name server would cost the session. -1: only for another connection. */
    if (handle != NULL)
        zoo_set_servers_resolution_delay(handle, -1);
    free(turned);
    errno = errnum;
    return handle;
}

/* So that not everybody asks the same server first. */
static unsigned any_server(void)
{
    struct rand rand;

    rand_seed_os(&rand);
    return (unsigned)rand_below(&rand, UINT16_MAX);
}

/* host:port,…[/chroot]: the library takes more than it should (an empty host is itself), so the
 * obvious mistakes are refused here. */
static bool servers_look_right(const char *servers)
{
    size_t hosts = strcspn(servers, "/");
    const char *root = servers + hosts;

    if (hosts == 0 || servers[0] == ',' || servers[hosts - 1] == ',' ||
        strcspn(servers, " \t") != strlen(servers) || strstr(servers, ",,") != NULL)
        return false;
    return root[0] == '\0' || strstr(root, "//") == NULL;
}

/* A chroot of "/" is none, and one that ends in a slash means the same without it. */
char *zk_lib_servers(const char *servers)
{
    size_t len = strlen(servers);
    char *text;

    while (len > 0 && servers[len - 1] == '/')
        len--;
    text = xstrndup(servers, len);
    if (servers_look_right(text))
        return text;
    free(text);
    return NULL;
}

/* ---- one handle, one purpose ------------------------------------------------------------------
 */

struct once {
    struct lock lock;
    struct cond cond;
    const atomic_bool *give_up; /* [I] NULL: never */
    int state;                  /* [m] */
};

static void on_once_watch(zhandle_t *handle, int type, int state, const char *path, void *context)
{
    struct once *wait = context;

    (void)handle;
    (void)path;
    if (type != ZOO_SESSION_EVENT)
        return;
    lock_take(&wait->lock);
    wait->state = state;
    cond_signal(&wait->cond);
    lock_drop(&wait->lock);
}

static bool is_given_up(const atomic_bool *give_up)
{
    return give_up != NULL && atomic_load(give_up);
}

/* Waits until the handle is connected or dead; its state, 0 when time ran out or it is given up. */
static int once_wait(struct once *wait, int64_t timeout_ms)
{
    int64_t end_ms = clock_mono_ms() + timeout_ms;
    int state;

    lock_take(&wait->lock);
    for (;;) {
        int64_t left_ms = end_ms - clock_mono_ms();

        state = wait->state;
        if (state == ZOO_CONNECTED_STATE || state == ZOO_EXPIRED_SESSION_STATE ||
            state == ZOO_AUTH_FAILED_STATE)
            break;
        state = 0;
        if (left_ms <= 0 || is_given_up(wait->give_up))
            break;
        if (wait->give_up != NULL && left_ms > LOOK_MS)
            left_ms = LOOK_MS;
        (void)cond_wait_ms(&wait->cond, &wait->lock, left_ms);
    }
    lock_drop(&wait->lock);
    return state;
}

static enum err once_open(struct once *wait, const char *servers, const clientid_t *id,
                          int32_t timeout_ms, const atomic_bool *give_up, zhandle_t **out,
                          int *state)
{
    wait->state = 0;
    wait->give_up = give_up;
    lock_init(&wait->lock, LOCK_LEAF);
    cond_init(&wait->cond);
    *out = zk_lib_handle(servers, any_server(), on_once_watch, timeout_ms, id, wait);
    if (*out == NULL) {
        *state = 0;
        return ERR_REFUSED;
    }
    *state = once_wait(wait, timeout_ms);
    if (*state != 0)
        return ERR_OK;
    return is_given_up(give_up) ? ERR_SHUTTING_DOWN : ERR_TIMED_OUT;
}

static void once_close(struct once *wait, zhandle_t *handle)
{
    if (handle != NULL)
        zookeeper_close(handle);
    cond_fini(&wait->cond);
    lock_fini(&wait->lock);
}

enum err zk_lib_create_chroot(const char *servers)
{
    const char *root = strchr(servers, '/');
    char *hosts = xstrndup(servers, (size_t)(root - servers));
    char *path = xstrdup(root);
    struct once wait;
    zhandle_t *handle;
    int state;
    enum err err = once_open(&wait, hosts, NULL, CHROOT_WAIT_MS, NULL, &handle, &state);

    if (err == ERR_OK && state != ZOO_CONNECTED_STATE)
        err = ERR_CONNECTION_LOSS;
    for (char *at = path + 1; err == ERR_OK && at != NULL;) {
        char *slash = strchr(at, '/');
        int rc;

        if (slash != NULL)
            *slash = '\0';
        rc = zoo_create(handle, path, NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
        if (rc != ZOK && rc != ZNODEEXISTS)
            err = zk_lib_err(rc);
        if (slash != NULL)
            *slash = '/';
        at = slash != NULL ? slash + 1 : NULL;
    }
    once_close(&wait, handle);
    free(path);
    free(hosts);
    return err;
}

enum err zk_close_session(const char *servers, int64_t id, const uint8_t password[16],
                          int32_t wait_ms, const atomic_bool *give_up)
{
    clientid_t client = { .client_id = id };
    int64_t end_ms = clock_mono_ms() + wait_ms, left_ms = wait_ms;
    struct once wait;
    zhandle_t *handle;
    char *trimmed = zk_lib_servers(servers);
    enum err err = ERR_INVALID_CONFIG;
    int state = ZOO_CONNECTED_STATE;

    /* Closing a handle that is connected closes the session, and does not tell whether that was
     * lost with the connection: so until a server says that there is no such session. */
    memcpy(client.passwd, password, sizeof client.passwd);
    while (trimmed != NULL && state == ZOO_CONNECTED_STATE) {
        err = ERR_TIMED_OUT;
        if (left_ms <= 0)
            break;
        err = once_open(&wait, trimmed, &client, (int32_t)left_ms, give_up, &handle, &state);
        once_close(&wait, handle);
        left_ms = end_ms - clock_mono_ms();
    }
    if (err == ERR_OK && state == ZOO_AUTH_FAILED_STATE)
        err = ERR_CLUSTER_AUTHORIZATION_FAILED;
    free(trimmed);
    return err;
}
