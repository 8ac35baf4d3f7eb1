/* Disk faults for a child process: preloaded, it counts the calls that change files below one directory, writes them to
   a log, and lets the chosen one fail, come late, or be the last thing the process does.

   The state is a file (FAULTS_STATE) that parent, children and their children map; see faults.py for its fields. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TRACE = 0, ONCE = 1, FROM_HERE = 2, KILL = 3, SLOW = 4 };

struct state {
    int64_t count, nth, error, action, fired, delay_us;
    char root[2048];
    char log[2048];
};

static struct state *state;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_STATE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *found = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (found != MAP_FAILED) state = found;
    syscall(SYS_close, fd);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void place(char *out, int directory, const char *path) {
    char link[64];
    out[0] = 0;
    if (path && path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
        return;
    }
    if (directory == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    out[n < 0 ? 0 : n] = 0;
    if (n > 0 && path) snprintf(out + n, PATH_MAX - n, "/%s", path);
}

/* Counts a call; true where it has to fail, with errno set. `last` is called before a kill: half a write. */
static int hit(const char *call, const char *path, const char *to, void (*last)(void *), void *given) {
    size_t n;
    int saved = errno;
    if (!state || !(n = strlen(state->root))) return 0;
    if ((strncmp(path, state->root, n) || (path[n] && path[n] != '/')) && (!to || strncmp(to, state->root, n))) return 0;
    int64_t number = __atomic_add_fetch(&state->count, 1, __ATOMIC_SEQ_CST);
    if (state->log[0]) {
        char line[2 * PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%d\t%s\t%s\t%s\n", getpid(), call, path, to ? to : "");
        int fd = syscall(SYS_openat, AT_FDCWD, state->log, O_WRONLY | O_APPEND | O_CREAT, 0644);
        if (fd >= 0) {
            syscall(SYS_write, fd, line, length);
            syscall(SYS_close, fd);
        }
    }
    errno = saved;
    if (state->action == SLOW) {
        usleep(state->delay_us);
        errno = saved;
    } else if (state->action == KILL && number == state->nth) {
        state->fired = 1;
        if (last) last(given);
        kill(getpid(), SIGKILL);
        for (;;) pause();
    } else if ((state->action == ONCE && number == state->nth) || (state->action == FROM_HERE && number >= state->nth)) {
        state->fired = 1;
        errno = (int)state->error;
        return 1;
    }
    return 0;
}

static int hit_fd(const char *call, int fd, void (*last)(void *), void *given) {
    char path[PATH_MAX];
    int saved = errno;
    if (!state || !state->root[0]) return 0;
    place(path, fd, NULL);
    errno = saved;
    return hit(call, path, NULL, last, given);
}

static int hit_at(const char *call, int directory, const char *path) {
    char whole[PATH_MAX];
    int saved = errno;
    if (!state || !state->root[0]) return 0;
    place(whole, directory, path);
    errno = saved;
    return hit(call, whole, NULL, NULL, NULL);
}

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)); }

#define MODE(flags)                                          \
    mode_t mode = 0;                                         \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                 \
        va_list more;                                        \
        va_start(more, flags);                               \
        mode = va_arg(more, mode_t);                         \
        va_end(more);                                        \
    }

#define OPEN(name)                                                                    \
    int name(const char *path, int flags, ...) {                                      \
        REAL(name);                                                                   \
        MODE(flags)                                                                   \
        return writes(flags) && hit_at("open", AT_FDCWD, path) ? -1 : real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                  \
    int name(int directory, const char *path, int flags, ...) {                       \
        REAL(name);                                                                   \
        MODE(flags)                                                                   \
        return writes(flags) && hit_at("open", directory, path) ? -1 : real(directory, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                                   \
    FILE *name(const char *path, const char *mode) {                                  \
        REAL(name);                                                                   \
        return strpbrk(mode, "wa+") && hit_at("open", AT_FDCWD, path) ? NULL : real(path, mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

struct part { int fd; const void *data; size_t size; };
static void half(void *given) {
    struct part *part = given;
    syscall(SYS_write, part->fd, part->data, part->size / 2);
}

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    struct part part = {fd, data, size};
    return hit_fd("write", fd, half, &part) ? -1 : real(fd, data, size);
}

#define PWRITE(name, offset_t)                                                        \
    ssize_t name(int fd, const void *data, size_t size, offset_t at) {                \
        REAL(name);                                                                   \
        return hit_fd("write", fd, NULL, NULL) ? -1 : real(fd, data, size, at);       \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    return hit_fd("write", fd, NULL, NULL) ? -1 : real(fd, parts, count);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) { /* numpy's tofile */
    REAL(fwrite);
    return hit_fd("write", fileno(file), NULL, NULL) ? 0 : real(data, size, count, file);
}

#define ON_FD(name, call)                                                             \
    int name(int fd) {                                                                \
        REAL(name);                                                                   \
        return hit_fd(call, fd, NULL, NULL) ? -1 : real(fd);                          \
    }
ON_FD(fsync, "fsync")
ON_FD(fdatasync, "fsync")

#define CUT(name, offset_t)                                                           \
    int name(int fd, offset_t size) {                                                 \
        REAL(name);                                                                   \
        return hit_fd("truncate", fd, NULL, NULL) ? -1 : real(fd, size);              \
    }
CUT(ftruncate, off_t)
CUT(ftruncate64, off64_t)

static int hit_two(const char *call, int from_directory, const char *from, int to_directory, const char *to) {
    char one[PATH_MAX], other[PATH_MAX];
    if (!state || !state->root[0]) return 0;
    place(one, from_directory, from);
    place(other, to_directory, to);
    return hit(call, one, other, NULL, NULL);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return hit_two("rename", AT_FDCWD, from, AT_FDCWD, to) ? -1 : real(from, to);
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
    REAL(renameat);
    return hit_two("rename", from_directory, from, to_directory, to) ? -1 : real(from_directory, from, to_directory, to);
}

int link(const char *from, const char *to) {
    REAL(link);
    return hit_two("link", AT_FDCWD, from, AT_FDCWD, to) ? -1 : real(from, to);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return hit_at("mkdir", AT_FDCWD, path) ? -1 : real(path, mode);
}

int mkdirat(int directory, const char *path, mode_t mode) {
    REAL(mkdirat);
    return hit_at("mkdir", directory, path) ? -1 : real(directory, path, mode);
}

int chmod(const char *path, mode_t mode) {
    REAL(chmod);
    return hit_at("chmod", AT_FDCWD, path) ? -1 : real(path, mode);
}

int unlink(const char *path) {
    REAL(unlink);
    return hit_at("unlink", AT_FDCWD, path) ? -1 : real(path);
}

int unlinkat(int directory, const char *path, int flags) {
    REAL(unlinkat);
    return hit_at("unlink", directory, path) ? -1 : real(directory, path, flags);
}

int rmdir(const char *path) {
    REAL(rmdir);
    return hit_at("unlink", AT_FDCWD, path) ? -1 : real(path);
}
