/*
 * bad_disk - LD_PRELOAD: files below one directory fail or are slow, on order.
 *
 * The real process meets a real errno where the operating system would give it, without a device
 * that can be broken and without a line of it in the product. $BAD_DISK names a file of one struct
 * order, shared with the test (bad_disk.py), which is looked at before each call; the file may be
 * changed at any time. Whatever is started with it and has no orders does as ever.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct order {
    volatile uint32_t
        ops; /* bits: 1 write, 2 sync, 4 read, 8 open and make, 16 rename, 32 probes */
    volatile uint32_t err;      /* errno; 0: none, the call is only slow */
    volatile uint32_t delay_ms; /* before the call */
    volatile uint32_t hits;     /* calls met */
    char below[1024];           /* "/path/of/directory/" */
};

enum { WRITE = 1, SYNC = 2, READ = 4, OPEN = 8, RENAME = 16, PROBE = 32 };

static struct order *order;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("BAD_DISK");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof *order, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED)
        order = at;
    close(fd);
}

static int meets(uint32_t op, const char *path)
{
    if (strncmp(path, order->below, strlen(order->below)) != 0)
        return 0;
    order->hits++;
    if (order->delay_ms > 0) {
        struct timespec time = { order->delay_ms / 1000, order->delay_ms % 1000 * 1000000L };

        nanosleep(&time, NULL);
    }
    (void)op;
    errno = (int)order->err;
    return order->err != 0;
}

static int meets_fd(uint32_t op, int fd)
{
    char link[64], path[4096];

    if (order == NULL || (order->ops & op) == 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0)
        return 0;
    path[len] = '\0';
    return meets(op, path);
}

static int meets_path(uint32_t op, const char *path)
{
    return order != NULL && (order->ops & op) != 0 && meets(op, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRAP(type, name, test, params, ...)                                                        \
    type name params                                                                               \
    {                                                                                              \
        static __typeof__(&name) real;                                                             \
        if (real == NULL)                                                                          \
            real = REAL(name);                                                                     \
        return (test) ? (type)-1 : real(__VA_ARGS__);                                              \
    }

WRAP(ssize_t, pwritev, meets_fd(WRITE, fd), (int fd, const struct iovec *iov, int n, off_t pos), fd,
     iov, n, pos)
WRAP(ssize_t, pwritev64, meets_fd(WRITE, fd), (int fd, const struct iovec *iov, int n, off64_t pos),
     fd, iov, n, pos)
WRAP(ssize_t, pread, meets_fd(READ, fd), (int fd, void *into, size_t len, off_t pos), fd, into, len,
     pos)
WRAP(ssize_t, pread64, meets_fd(READ, fd), (int fd, void *into, size_t len, off64_t pos), fd, into,
     len, pos)
WRAP(ssize_t, preadv2, meets_fd(PROBE, fd),
     (int fd, const struct iovec *iov, int n, off_t pos, int flags), fd, iov, n, pos, flags)
WRAP(ssize_t, preadv64v2, meets_fd(PROBE, fd),
     (int fd, const struct iovec *iov, int n, off64_t pos, int flags), fd, iov, n, pos, flags)
WRAP(int, fsync, meets_fd(SYNC, fd), (int fd), fd)
WRAP(int, fdatasync, meets_fd(SYNC, fd), (int fd), fd)
WRAP(int, syncfs, meets_fd(SYNC, fd), (int fd), fd)
WRAP(int, rename, meets_path(RENAME, from), (const char *from, const char *to), from, to)
WRAP(int, mkdir, meets_path(OPEN, path), (const char *path, mode_t mode), path, mode)

#define WRAP_OPEN(name)                                                                            \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        static __typeof__(&name) real;                                                             \
        mode_t mode = 0;                                                                           \
        va_list args;                                                                              \
        if (real == NULL)                                                                          \
            real = REAL(name);                                                                     \
        if ((flags & O_CREAT) != 0) {                                                              \
            va_start(args, flags);                                                                 \
            mode = va_arg(args, mode_t);                                                           \
            va_end(args);                                                                          \
        }                                                                                          \
        return meets_path(OPEN, path) ? -1 : real(path, flags, mode);                              \
    }

WRAP_OPEN(open)
WRAP_OPEN(open64)
