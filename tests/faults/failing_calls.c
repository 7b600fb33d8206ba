/* A disk that fails: from the FAIL_AFTER-th call on, FAIL_CALL on files named like FAIL_FILE gives
   EIO; FAIL_TIMES limits how often. To be loaded before the C library (LD_PRELOAD). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long calls;

static int fails(const char *call, int fd) {
    const char *wanted = getenv("FAIL_CALL"), *file = getenv("FAIL_FILE");
    const char *after = getenv("FAIL_AFTER"), *times = getenv("FAIL_TIMES");
    char link[64], path[4096];
    ssize_t size;
    if (wanted == NULL || file == NULL || after == NULL || strcmp(wanted, call) != 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return 0;
    path[size] = 0;
    if (strstr(path, file) == NULL)
        return 0;
    calls++;
    if (calls < atol(after) || (times != NULL && calls >= atol(after) + atol(times)))
        return 0;
    errno = EIO;
    return 1;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "pwrite64");
    return fails("write", fd) ? -1 : real(fd, data, size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return pwrite64(fd, data, size, at);
}

int fsync(int fd) {
    static int (*real)(int);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "fsync");
    return fails("sync", fd) ? -1 : real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "fdatasync");
    return fails("sync", fd) ? -1 : real(fd);
}
