/* The system calls that touch files: what each does to a disk, and where its file is named. */

#include <sys/syscall.h>

enum {                /* what a call does; WRITE also where it needs no new room */
    GROW = 1, WRITE = 2, CREATE = 4, CHANGE = 8, SYNC = 16, READ = 32, FREE = 64, OPEN = 128
};
enum { FD, PATH, AT };  /* the argument is a descriptor; a path; a folder's descriptor, followed by a path */
enum {                /* how far a write reaches */
    NOWHERE, BYTES, VECTOR, BYTES_AT, VECTOR_AT, RANGE, UNKNOWN
};

typedef struct {
    int number;
    const char *name;
    unsigned does;
    int by, argument, reach;
} Call;

#define CALL(name, ...) {SYS_##name, #name, __VA_ARGS__}

/* Rows of one call stand together. */
static const Call calls[] = {
    CALL(write, WRITE, FD, 0, BYTES),
    CALL(writev, WRITE, FD, 0, VECTOR),
    CALL(pwrite64, WRITE, FD, 0, BYTES_AT),
    CALL(pwritev, WRITE, FD, 0, VECTOR_AT),
    CALL(pwritev2, WRITE, FD, 0, VECTOR_AT),
    CALL(fallocate, WRITE, FD, 0, RANGE),
    CALL(sendfile, WRITE, FD, 0, UNKNOWN),
    CALL(sendfile, READ, FD, 1, NOWHERE),
    CALL(copy_file_range, WRITE, FD, 2, UNKNOWN),
    CALL(copy_file_range, READ, FD, 0, NOWHERE),
    CALL(splice, WRITE, FD, 2, UNKNOWN),
    CALL(splice, READ, FD, 0, NOWHERE),
    CALL(read, READ, FD, 0, NOWHERE),
    CALL(readv, READ, FD, 0, NOWHERE),
    CALL(pread64, READ, FD, 0, NOWHERE),
    CALL(preadv, READ, FD, 0, NOWHERE),
    CALL(preadv2, READ, FD, 0, NOWHERE),
    CALL(fsync, SYNC, FD, 0, NOWHERE),
    CALL(fdatasync, SYNC, FD, 0, NOWHERE),
    CALL(sync_file_range, SYNC, FD, 0, NOWHERE),
    CALL(syncfs, SYNC, FD, 0, NOWHERE),
    CALL(openat, OPEN, AT, 0, NOWHERE),
    CALL(openat2, OPEN, AT, 0, NOWHERE),
    CALL(mkdirat, CREATE, AT, 0, NOWHERE),
    CALL(mknodat, CREATE, AT, 0, NOWHERE),
    CALL(symlinkat, CREATE, AT, 1, NOWHERE),
    CALL(linkat, CHANGE, AT, 2, NOWHERE),
    CALL(renameat2, CHANGE, AT, 0, NOWHERE),
    CALL(unlinkat, CHANGE, AT, 0, NOWHERE),
    CALL(truncate, CHANGE, PATH, 0, NOWHERE),
    CALL(ftruncate, CHANGE, FD, 0, NOWHERE),
    CALL(fchmod, CHANGE, FD, 0, NOWHERE),
    CALL(fchmodat, CHANGE, AT, 0, NOWHERE),
    CALL(fchown, CHANGE, FD, 0, NOWHERE),
    CALL(fchownat, CHANGE, AT, 0, NOWHERE),
    CALL(utimensat, CHANGE, AT, 0, NOWHERE),
    CALL(statfs, FREE, PATH, 0, NOWHERE),
    CALL(fstatfs, FREE, FD, 0, NOWHERE),
    CALL(renameat, CHANGE, AT, 0, NOWHERE),
#if defined __x86_64__  /* which arm64 has by its newer name alone */
    CALL(open, OPEN, PATH, 0, NOWHERE),
    CALL(creat, OPEN, PATH, 0, NOWHERE),
    CALL(mkdir, CREATE, PATH, 0, NOWHERE),
    CALL(mknod, CREATE, PATH, 0, NOWHERE),
    CALL(symlink, CREATE, PATH, 1, NOWHERE),
    CALL(link, CHANGE, PATH, 1, NOWHERE),
    CALL(rename, CHANGE, PATH, 0, NOWHERE),
    CALL(unlink, CHANGE, PATH, 0, NOWHERE),
    CALL(rmdir, CHANGE, PATH, 0, NOWHERE),
    CALL(chmod, CHANGE, PATH, 0, NOWHERE),
    CALL(chown, CHANGE, PATH, 0, NOWHERE),
#endif
};
