/* Calls that write below one directory are counted, and from the one that is told on they fail: no space left.
 *
 * Preloaded (LD_PRELOAD). What to do stands in a small file that this process and those it starts map into memory:
 * `Switch` in no_space.py writes it. It is mapped when a process starts ($TOMOE_FAULT) or calls fault_arm.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, FROM, ONLY, KILL };

struct fault {
    atomic_long count; /* calls so far */
    long at;           /* the call that fails, from 1 */
    long mode;         /* count only; fail from there on; fail that one; kill the process group there */
    char root[1024];   /* the directory */
    char what[1024];   /* the call that failed, and its path */
};

static struct fault *fault;
static int list = -1; /* where calls are listed that are only counted */

void fault_arm(const char *path) {
    fault = NULL;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *at = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) return;
    fault = at;
    char name[1100];
    snprintf(name, sizeof name, "%s.calls", path);
    if (fault->mode == COUNT) list = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

__attribute__((constructor)) static void armed_by_environment(void) {
    const char *path = getenv("TOMOE_FAULT");
    if (path && *path) fault_arm(path);
}

static int below(const char *path) {
    size_t n = strlen(fault->root);
    return !strncmp(path, fault->root, n) && (path[n] == '/' || !path[n]);
}

/* Whether this call fails; if so errno is set. */
static int refused(const char *call, const char *path, int error) {
    if (!fault || !path || !below(path)) return 0;
    long n = 1 + atomic_fetch_add(&fault->count, 1);
    if (list >= 0) {
        char line[1200];
        int length = snprintf(line, sizeof line, "%s %s\n", call, path);
        if (syscall(SYS_write, list, line, length) < 0) abort();
    }
    if (fault->mode == COUNT || n < fault->at || (fault->mode != FROM && n > fault->at)) return 0;
    if (n == fault->at) snprintf(fault->what, sizeof fault->what, "%s %s", call, path);
    if (fault->mode == KILL) {
        kill(0, SIGKILL);
        for (;;) pause();
    }
    errno = error;
    return 1;
}

static int refused_fd(const char *call, int fd, int error) {
    char link[64], path[1024];
    if (!fault) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return refused(call, path, error);
}

static int refused_at(const char *call, int dir, const char *path, int error) {
    char link[64], whole[2048];
    if (!fault) return 0;
    if (*path == '/') return refused(call, path, error);
    snprintf(link, sizeof link, dir == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dir);
    ssize_t n = readlink(link, whole, 1023);
    if (n < 0) return 0;
    snprintf(whole + n, sizeof whole - n, "/%s", path);
    return refused(call, whole, error);
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define BY_FD(type, name, error, arguments, values) \
    type name arguments { \
        REAL(name); \
        return refused_fd(#name, fd, error) ? -1 : real values; \
    }

BY_FD(ssize_t, write, ENOSPC, (int fd, const void *data, size_t n), (fd, data, n))
BY_FD(ssize_t, pwrite, ENOSPC, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
BY_FD(ssize_t, pwrite64, ENOSPC, (int fd, const void *data, size_t n, off64_t at), (fd, data, n, at))
BY_FD(ssize_t, writev, ENOSPC, (int fd, const struct iovec *data, int n), (fd, data, n))
BY_FD(ssize_t, pwritev, ENOSPC, (int fd, const struct iovec *data, int n, off_t at), (fd, data, n, at))
BY_FD(ssize_t, pwritev64, ENOSPC, (int fd, const struct iovec *data, int n, off64_t at), (fd, data, n, at))
BY_FD(int, fallocate, ENOSPC, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
BY_FD(int, fallocate64, ENOSPC, (int fd, int mode, off64_t at, off64_t n), (fd, mode, at, n))
BY_FD(int, ftruncate, ENOSPC, (int fd, off_t n), (fd, n))
BY_FD(int, ftruncate64, ENOSPC, (int fd, off64_t n), (fd, n))
BY_FD(int, fsync, EIO, (int fd), (fd))
BY_FD(int, fdatasync, EIO, (int fd), (fd))

/* These return the error. */
int posix_fallocate(int fd, off_t at, off_t n) {
    REAL(posix_fallocate);
    return refused_fd("posix_fallocate", fd, ENOSPC) ? ENOSPC : real(fd, at, n);
}

int posix_fallocate64(int fd, off64_t at, off64_t n) {
    REAL(posix_fallocate64);
    return refused_fd("posix_fallocate64", fd, ENOSPC) ? ENOSPC : real(fd, at, n);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return refused_at("rename", AT_FDCWD, to, ENOSPC) ? -1 : real(from, to);
}

int renameat(int from_dir, const char *from, int dir, const char *to) {
    REAL(renameat);
    return refused_at("renameat", dir, to, ENOSPC) ? -1 : real(from_dir, from, dir, to);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return refused_at("mkdir", AT_FDCWD, path, ENOSPC) ? -1 : real(path, mode);
}

int mkdirat(int dir, const char *path, mode_t mode) {
    REAL(mkdirat);
    return refused_at("mkdirat", dir, path, ENOSPC) ? -1 : real(dir, path, mode);
}

/* Only a file that is not there yet needs space to be opened. */
static int refused_new(const char *call, int dir, const char *path, int flags) {
    struct stat there;
    return fault && (flags & O_CREAT) && fstatat(dir, path, &there, 0) && refused_at(call, dir, path, ENOSPC);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        return refused_new(#name, AT_FDCWD, path, flags) ? -1 : real(path, flags, mode); \
    }

#define OPEN_AT(name) \
    int name(int dir, const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        return refused_new(#name, dir, path, flags) ? -1 : real(dir, path, flags, mode); \
    }

OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)

/* The C library's streams call the kernel directly: numpy's tofile writes with fwrite. */
size_t fwrite(const void *data, size_t size, size_t n, FILE *stream) {
    REAL(fwrite);
    return refused_fd("fwrite", fileno(stream), ENOSPC) ? 0 : real(data, size, n, stream);
}

int fflush(FILE *stream) {
    REAL(fflush);
    return stream && refused_fd("fflush", fileno(stream), ENOSPC) ? EOF : real(stream);
}
