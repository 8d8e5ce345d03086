/*
 * Which server the library turns to, and how it is made to leave one. It tries a list from the
 * front and never tells how far it is, so the list is turned for it; and it has no way to be told
 * that a server is not worth waiting for, so the connection is shut down under it: it takes that
 * for a lost one, as it is.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/zk/zk_lib_int.h"

/* a,b,c/root and 1 give b,c,a/root */
char *zk_lib_turn(const char *servers, unsigned by)
{
    const char *root = strchr(servers, '/');
    size_t len = root != NULL ? (size_t)(root - servers) : strlen(servers);
    size_t hosts = 1, at = 0;

    for (size_t i = 0; i < len; i++)
        hosts += servers[i] == ',';
    for (by %= (unsigned)hosts; by > 0; by--)
        at += strcspn(servers + at, ",") + 1;
    if (at == 0)
        return xstrdup(servers);
    return xasprintf("%.*s,%.*s%s", (int)(len - at), servers + at, (int)(at - 1), servers,
                     root != NULL ? root : "");
}

/* Whatever else of ours is connected to that server finds it as silent. */
void zk_lib_hang_up(zhandle_t *handle)
{
    struct sockaddr_storage server, peer;
    socklen_t server_len = sizeof server, peer_len;
    DIR *fds;

    if (zookeeper_get_connected_host(handle, (struct sockaddr *)&server, &server_len) == NULL)
        return;
    fds = opendir("/proc/self/fd");
    if (fds == NULL)
        return; /* the library's own time-out is left */
    for (const struct dirent *entry; (entry = readdir(fds)) != NULL;) {
        int fd = atoi(entry->d_name);

        peer_len = sizeof peer;
        if (entry->d_name[0] != '.' && getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
            peer_len == server_len && memcmp(&peer, &server, peer_len) == 0)
            (void)shutdown(fd, SHUT_RDWR);
    }
    closedir(fds);
}
