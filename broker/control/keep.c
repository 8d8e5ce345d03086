#include "broker/control/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define PATH_BYTES 4096

bool keep_write(const char *dir, const char *name, const void *bytes, size_t len, bool durable)
{
    char path[PATH_BYTES];
    int fd;
    bool good;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    good = pwrite(fd, bytes, len, 0) == (ssize_t)len && ftruncate(fd, (off_t)len) == 0 &&
           (!durable || fdatasync(fd) == 0);
    close(fd);
    return good;
}

ssize_t keep_read(const char *dir, const char *name, void *bytes, size_t len)
{
    char path[PATH_BYTES];
    int fd;
    ssize_t got;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -1 : 0;
    got = read(fd, bytes, len);
    close(fd);
    return got > 0 ? got : 0;
}
