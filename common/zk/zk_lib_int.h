/*
 * zk_lib_int - shared by the sources over libzookeeper_mt; nobody else.
 */
#ifndef COMMON_ZK_ZK_LIB_INT_H
#define COMMON_ZK_ZK_LIB_INT_H

#include <zookeeper/zookeeper.h>

#include "common/base/err.h"

/* The library's result codes as ours. */
enum err zk_lib_err(int rc);

/* Opens a handle whose complaints go to say, and which tries the servers in turn, the one of that
 * number first. NULL and errno as zookeeper_init2(). */
zhandle_t *zk_lib_handle(const char *servers, unsigned first, watcher_fn watcher,
                         int32_t timeout_ms, const clientid_t *id, void *context);

/* The list of servers with others in front, malloc'ed: `by` of them go to the end. */
char *zk_lib_turn(const char *servers, unsigned by);

/* Ends a connection whose server does not answer. The session lives on; the library goes to the
 * next server. */
void zk_lib_hang_up(zhandle_t *handle);

/* The connect string without a trailing slash, malloc'ed; NULL when it cannot be right. */
char *zk_lib_servers(const char *servers);

/* Creates the chroot that servers names, with all above it. Blocks. */
enum err zk_lib_create_chroot(const char *servers);

#endif
