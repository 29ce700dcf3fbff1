/* Records what a process tree does to files below UNSYNCED_BELOW, so that a host crash can be played afterwards:
 * names that were made, replaced or removed, data that was written, and what was synced. One line an operation is
 * appended to UNSYNCED_JOURNAL; what a rename or an unlink takes away is kept as a link in the folder beside it.
 * Loaded with LD_PRELOAD; POSIX.1-2017, and what glibc's Python and Rust call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *below, *journal;
static atomic_int counter;

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) {
    below = getenv("UNSYNCED_BELOW");
    journal = getenv("UNSYNCED_JOURNAL");
}

static int absolute(int folder, const char *path, char *out) {
    char start[PATH_MAX], link[64];
    if (path[0] == '/') return snprintf(out, PATH_MAX, "%s", path) < PATH_MAX;
    if (folder == AT_FDCWD) {
        if (!getcwd(start, sizeof start)) return 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t size = readlink(link, start, sizeof start - 1);
        if (size < 0) return 0;
        start[size] = 0;
    }
    return snprintf(out, PATH_MAX, "%s/%s", start, path) < PATH_MAX;
}

static int watched(const char *path) { return below && journal && !strncmp(path, below, strlen(below)); }

static int of_descriptor(int descriptor, char *out) {
    char link[64];
    if (!below || !journal) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, out, PATH_MAX - 1);
    if (size < 0) return 0;
    out[size] = 0;
    return watched(out);
}

/* kind, inode, path, kept link: separated by NUL-free tabs; paths of a root hold neither tab nor line feed. */
static void note(char kind, const char *path, const char *kept) {
    char line[3 * PATH_MAX];
    struct stat status;
    int error = errno;
    unsigned long inode = lstat(path, &status) ? 0 : status.st_ino;
    int size = snprintf(line, sizeof line, "%c\t%lu\t%s\t%s\n", kind, inode, path, kept);
    int (*real_open)(const char *, int, ...) = next("open");
    ssize_t (*real_write)(int, const void *, size_t) = next("write");
    int file = real_open(journal, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file >= 0) {
        if (real_write(file, line, size) != size) abort();
        close(file);
    }
    errno = error;
}

/* A link to what is about to lose its name; empty where there is nothing. */
static void keep(const char *path, char *kept) {
    int (*real_link)(const char *, const char *) = next("link");
    int error = errno;
    snprintf(kept, PATH_MAX, "%s.kept/%d-%d", journal, getpid(), atomic_fetch_add(&counter, 1));
    if (real_link(path, kept)) kept[0] = 0;
    errno = error;
}

static int exists(const char *path) { struct stat status; return !lstat(path, &status); }

static int moved(int from, const char *old, int to, const char *new, unsigned flags) {
    static int (*real)(int, const char *, int, const char *, unsigned);
    char path[PATH_MAX], source[PATH_MAX], kept[PATH_MAX] = "";
    if (!real) real = next("renameat2");
    int ours = absolute(to, new, path) && absolute(from, old, source) && watched(path);
    if (ours) keep(path, kept);
    int done = real(from, old, to, new, flags);
    if (ours && !done) { note('R', path, kept); note('G', source, ""); }
    return done;
}

int rename(const char *old, const char *new) { return moved(AT_FDCWD, old, AT_FDCWD, new, 0); }
int renameat(int from, const char *old, int to, const char *new) { return moved(from, old, to, new, 0); }
int renameat2(int from, const char *old, int to, const char *new, unsigned f) { return moved(from, old, to, new, f); }

static int linked(int from, const char *old, int to, const char *new, int flags) {
    static int (*real)(int, const char *, int, const char *, int);
    char path[PATH_MAX];
    if (!real) real = next("linkat");
    int done = real(from, old, to, new, flags);
    if (!done && absolute(to, new, path) && watched(path)) note('R', path, "");
    return done;
}

int link(const char *old, const char *new) { return linked(AT_FDCWD, old, AT_FDCWD, new, 0); }
int linkat(int from, const char *old, int to, const char *new, int flags) { return linked(from, old, to, new, flags); }

static int removed(int folder, const char *name, int flags) {
    static int (*real)(int, const char *, int);
    char path[PATH_MAX], kept[PATH_MAX] = "";
    if (!real) real = next("unlinkat");
    int ours = !(flags & AT_REMOVEDIR) && absolute(folder, name, path) && watched(path);
    if (ours) keep(path, kept);
    int done = real(folder, name, flags);
    if (ours && !done) note('U', path, kept);
    return done;
}

int unlink(const char *name) { return removed(AT_FDCWD, name, 0); }
int unlinkat(int folder, const char *name, int flags) { return removed(folder, name, flags); }

static int opened(const char *symbol, int folder, const char *name, int flags, mode_t mode) {
    int (*real)(int, const char *, int, ...) = next(symbol);
    char path[PATH_MAX];
    int ours = (flags & (O_WRONLY | O_RDWR)) && absolute(folder, name, path) && watched(path);
    int fresh = ours && !exists(path);
    int file = real(folder, name, flags, mode);
    if (file >= 0 && fresh) note('R', path, "");
    if (file >= 0 && ours) note('W', path, "");
    return file;
}

#define MODE(flags, last) ({ mode_t m = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { va_list a; va_start(a, last); m = va_arg(a, mode_t); va_end(a); } m; })
int open(const char *name, int flags, ...) { mode_t m = MODE(flags, flags); return opened("openat", AT_FDCWD, name, flags, m); }
int open64(const char *name, int flags, ...) { mode_t m = MODE(flags, flags); return opened("openat64", AT_FDCWD, name, flags, m); }
int openat(int folder, const char *name, int flags, ...) { mode_t m = MODE(flags, flags); return opened("openat", folder, name, flags, m); }
int openat64(int folder, const char *name, int flags, ...) { mode_t m = MODE(flags, flags); return opened("openat64", folder, name, flags, m); }

static void wrote(int file, ssize_t done) {
    char path[PATH_MAX];
    if (done > 0 && of_descriptor(file, path)) note('W', path, "");
}

ssize_t write(int file, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = next("write");
    ssize_t done = real(file, data, size);
    if (file > 2) wrote(file, done);
    return done;
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    static ssize_t (*real)(int, const struct iovec *, int);
    if (!real) real = next("writev");
    ssize_t done = real(file, parts, count);
    if (file > 2) wrote(file, done);
    return done;
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = next("pwrite64");
    ssize_t done = real(file, data, size, at);
    wrote(file, done);
    return done;
}

static int synced(const char *symbol, int file) {
    int (*real)(int) = next(symbol);
    char path[PATH_MAX];
    int done = real(file);
    if (!done && of_descriptor(file, path)) note('S', path, "");
    return done;
}

int fsync(int file) { return synced("fsync", file); }
int fdatasync(int file) { return synced("fdatasync", file); }

int mkdirat(int folder, const char *name, mode_t mode) {
    int (*real)(int, const char *, mode_t) = next("mkdirat");
    char path[PATH_MAX];
    int done = real(folder, name, mode);
    if (!done && absolute(folder, name, path) && watched(path)) note('M', path, "");
    return done;
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }
