/* Records what a process does to its files, in order, so that a test can play a power cut: each write, truncation, sync and
   removal, and each line on standard output, which is what the process acknowledges. Loaded by LD_PRELOAD.

   A record is a kind, the length of the name, the offset and the length of the data (one byte, then 64-bit numbers as the
   machine has them), the name, the data. One lock orders all records; it is held while the call itself is made, so that the
   order of records is the order of effects. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static int record_fd = -1;

static ssize_t real_write(int fd, const void *data, size_t length) {
    static ssize_t (*next)(int, const void *, size_t);
    if (!next) next = dlsym(RTLD_NEXT, "write");
    return next(fd, data, length);
}

static void put(const void *data, size_t length) {
    const char *at = data;
    while (length > 0) {
        ssize_t written = real_write(record_fd, at, length);
        if (written <= 0) _exit(70);
        at += written;
        length -= (size_t)written;
    }
}

static void record(char kind, const char *name, uint64_t offset, const void *data, uint64_t length) {
    if (record_fd < 0) {
        const char *path = getenv("RECORD_INTO");
        if (!path) return;
        record_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (record_fd < 0) _exit(71);
    }
    uint64_t numbers[3] = {strlen(name), offset, length};
    put(&kind, 1);
    put(numbers, sizeof numbers);
    put(name, strlen(name));
    if (data) put(data, length);
}

/* The name of a file below the folder that is watched, or none. */
static const char *watched(int fd, char *name) {
    const char *folder = getenv("RECORD_BELOW");
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = folder ? readlink(link, name, PATH_MAX - 1) : -1;
    if (length < 0) return NULL;
    name[length] = 0;
    size_t prefix = strlen(folder);
    if (strncmp(name, folder, prefix) != 0 || name[prefix] != '/' || strstr(name, "-shm")) return NULL;
    return name + prefix + 1;
}

ssize_t write(int fd, const void *data, size_t length) {
    char path[PATH_MAX];
    pthread_mutex_lock(&order);
    const char *name = watched(fd, path);
    off64_t offset = name ? lseek64(fd, 0, SEEK_CUR) : 0;
    ssize_t written = real_write(fd, data, length);
    if (fd == 1 && written > 0) record('A', "", 0, data, (uint64_t)written);
    if (name && written > 0) record('W', name, (uint64_t)offset, data, (uint64_t)written);
    pthread_mutex_unlock(&order);
    return written;
}

#define PWRITE(call)                                                                                  \
    ssize_t call(int fd, const void *data, size_t length, off64_t offset) {                           \
        static ssize_t (*next)(int, const void *, size_t, off64_t);                                   \
        if (!next) next = dlsym(RTLD_NEXT, #call);                                                    \
        char path[PATH_MAX];                                                                          \
        pthread_mutex_lock(&order);                                                                   \
        const char *name = watched(fd, path);                                                         \
        ssize_t written = next(fd, data, length, offset);                                             \
        if (name && written > 0) record('W', name, (uint64_t)offset, data, (uint64_t)written);        \
        pthread_mutex_unlock(&order);                                                                 \
        return written;                                                                               \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

#define TRUNCATE(call)                                                                                \
    int call(int fd, off64_t length) {                                                                \
        static int (*next)(int, off64_t);                                                             \
        if (!next) next = dlsym(RTLD_NEXT, #call);                                                    \
        char path[PATH_MAX];                                                                          \
        pthread_mutex_lock(&order);                                                                   \
        const char *name = watched(fd, path);                                                         \
        int done = next(fd, length);                                                                  \
        if (name && done == 0) record('T', name, (uint64_t)length, NULL, 0);                          \
        pthread_mutex_unlock(&order);                                                                 \
        return done;                                                                                  \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

#define SYNC(call)                                                                                    \
    int call(int fd) {                                                                                \
        static int (*next)(int);                                                                      \
        if (!next) next = dlsym(RTLD_NEXT, #call);                                                    \
        char path[PATH_MAX];                                                                          \
        pthread_mutex_lock(&order);                                                                   \
        const char *name = watched(fd, path);                                                         \
        int done = next(fd);                                                                          \
        if (name && done == 0) record('S', name, 0, NULL, 0);                                         \
        pthread_mutex_unlock(&order);                                                                 \
        return done;                                                                                  \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
    static int (*next)(const char *);
    if (!next) next = dlsym(RTLD_NEXT, "unlink");
    const char *folder = getenv("RECORD_BELOW");
    size_t prefix = folder ? strlen(folder) : 0;
    pthread_mutex_lock(&order);
    int done = next(path);
    if (folder && done == 0 && strncmp(path, folder, prefix) == 0 && path[prefix] == '/')
        record('U', path + prefix + 1, 0, NULL, 0);
    pthread_mutex_unlock(&order);
    return done;
}
