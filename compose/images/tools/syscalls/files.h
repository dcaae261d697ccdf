/* The file that a call is about, and what the call would do to it; read from the thread, which stands still. */

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST = 4096, PARTS = 1024 };

typedef unsigned long long u64;

static ssize_t peek(pid_t thread, u64 at, void *into, size_t size) {
    struct iovec here = {into, size}, there = {(void *)at, size};
    return process_vm_readv(thread, &here, 1, &there, 1, 0);
}

/* A text of at most `size` bytes; read up to the end of each page, behind which there may be nothing. */
static int peek_text(pid_t thread, u64 at, char *into, size_t size) {
    for (size_t done = 0; done < size;) {
        size_t page = 4096 - (at + done) % 4096, part = page < size - done ? page : size - done;
        ssize_t got = peek(thread, at + done, into + done, part);
        if (got <= 0) return 0;
        if (memchr(into + done, 0, got)) return 1;
        done += got;
    }
    return 0;
}

/* Where one of a thread's links in /proc leads: `cwd`, `fd/7`. */
static int follow(pid_t thread, const char *kind, int number, char *into) {
    char link[64];
    if (number >= 0) snprintf(link, sizeof link, "/proc/%d/%s/%d", thread, kind, number);
    else snprintf(link, sizeof link, "/proc/%d/%s", thread, kind);
    ssize_t length = readlink(link, into, MOST - 1);
    into[length > 0 ? length : 0] = 0;
    return length > 0;
}

/* The path that a call is about, as the thread itself would write it out. `into` has room for twice MOST. */
static int path_of(const Call *call, pid_t thread, const u64 *a, char *into) {
    char path[MOST];
    const u64 *argument = a + call->argument;
    if (call->by == FD) return follow(thread, "fd", (int)*argument, into);
    int base = call->by == AT ? (int)*argument++ : AT_FDCWD;
    if (!*argument || !peek_text(thread, *argument, path, sizeof path)) path[0] = 0;
    if (path[0] == '/') return strcpy(into, path) != 0;
    if (!(base == AT_FDCWD ? follow(thread, "cwd", -1, into) : follow(thread, "fd", base, into))) return 0;
    if (path[0]) strcat(strcat(into, "/"), strncmp(path, "./", 2) ? path : path + 2);
    return 1;
}

static int creates(pid_t thread, u64 flags, const char *path) {
    char seen_from_here[2 * MOST + 32];
    if ((flags & O_TMPFILE) == O_TMPFILE) return 1;
    if (!(flags & O_CREAT)) return 0;
    snprintf(seen_from_here, sizeof seen_from_here, "/proc/%d/root%s", thread, path);
    return faccessat(AT_FDCWD, seen_from_here, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
}

static u64 flags_of(const Call *call, pid_t thread, const u64 *a) {
    struct open_how how = {0};
    if (call->number == SYS_openat) return a[2];
    if (call->number == SYS_openat2) return peek(thread, a[2], &how, sizeof how) > 0 ? how.flags : 0;
#ifdef SYS_creat
    if (call->number == SYS_creat) return O_CREAT | O_WRONLY | O_TRUNC;
#endif
    return a[1];
}

/* The bytes of a vector. */
static u64 sum(pid_t thread, u64 at, u64 count) {
    struct iovec parts[PARTS];
    u64 bytes = 0;
    if (count > PARTS) count = PARTS;
    ssize_t got = peek(thread, at, parts, count * sizeof *parts);
    for (ssize_t i = 0; i < got / (ssize_t)sizeof *parts; i++) bytes += parts[i].iov_len;
    return bytes;
}

/* Whether a write ends behind the file's end. A disk that is full to its last byte refuses that and nothing else. */
static int grows(const Call *call, pid_t thread, const u64 *a) {
    char path[64];
    struct stat file;
    long long position = -1;
    int flags = 0, fd = (int)a[call->argument];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", thread, fd);
    if (stat(path, &file) || !S_ISREG(file.st_mode)) return 0;
    if (call->reach == UNKNOWN) return 1;
    if (call->reach == RANGE) return !(a[1] & ~FALLOC_FL_KEEP_SIZE) && (long long)(a[2] + a[3]) > file.st_size;
    u64 bytes = call->reach == BYTES || call->reach == BYTES_AT ? a[2] : sum(thread, a[1], a[2]);
    if (call->reach == BYTES_AT || call->reach == VECTOR_AT) position = (long long)a[3];
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", thread, fd);
    FILE *info = position < 0 ? fopen(path, "re") : 0;
    if (info) {
        if (fscanf(info, "pos: %lld flags: %o", &position, &flags) == 2 && flags & O_APPEND) position = file.st_size;
        fclose(info);
    }
    return bytes && position + (long long)bytes > file.st_size;
}
