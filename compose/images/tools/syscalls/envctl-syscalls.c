/* envctl-syscalls: let a running process and its children see a full, a read-only or a slow disk below one folder.

   It traces all their threads (ptrace) and looks at each system call that touches a file. Where that lies below the
   folder and the call is of a wanted class, it answers with an error in the kernel's place, or holds the call back for
   a while. No file is touched. When it ends, from whatever cause, the kernel detaches it from every thread and the
   calls go through again: nothing is left to undo.

   What it does not see: writes through a mapping (mmap), and requests by io_uring and libaio.

   Needs Linux 5.3 (PTRACE_GET_SYSCALL_INFO), CONFIG_PROC_CHILDREN, and the right to trace. */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arch.h"
#include "calls.h"
#include "files.h"

enum { NUMBERS = 1024, LAST_ANSWERS = 500 };

typedef struct ptrace_syscall_info Info;

/* What a thread is owed: to be let go on, or something when it leaves the call that it is in. */
typedef struct {
    pid_t thread;
    long long due;  /* milliseconds; 0: it is not held back */
    int error;      /* the call's answer; 0: its own */
    u64 room;       /* where it has statfs put its answer; 0: nowhere */
} Debt;

static const char *folder;
static unsigned wanted;
static int error_number, ledger;
static long long delay;
static Debt debts[MOST];
static int owed;
static struct { int attached, threads; long calls, hits; } seen;

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* One line of JSON by which envctl sees what is going on; of one length, so that nothing older shows through. */
static void tell(const char *call, const char *path, const char *problem) {
    char line[512];
    int length = snprintf(line, sizeof line, "{\"attached\": %d, \"threads\": %d, \"calls\": %ld, \"hits\": %ld, "
        "\"last\": \"%s %.200s\", \"problem\": \"%.80s\"}", seen.attached, seen.threads, seen.calls, seen.hits,
        call, path, problem);
    for (int i = 0; i < length; i++) if (line[i] < ' ' || line[i] == '\\') line[i] = '?';
    memset(line + length, ' ', sizeof line - length);
    if (pwrite(ledger, line, sizeof line, 0) < 0) perror("the ledger");
}

static void fail(const char *what, int error) {
    char text[80];
    snprintf(text, sizeof text, "%s: %s", what, strerror(error));
    tell("", "", text);
    exit(1);
}

/* ---- Whom ---- */

static int refusal = ESRCH;

/* Whether it is new. It is stopped once, so that a thread that sleeps in a call is watched from its next one on. */
static int seize(pid_t thread) {
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
    if (ptrace(PTRACE_SEIZE, thread, 0, options)) {
        if (!seen.threads) refusal = errno;
        return 0;
    }
    seen.threads++;
    ptrace(PTRACE_INTERRUPT, thread, 0, 0);
    return 1;
}

/* Seize every thread of a process and of its descendants; how many were new. */
static int seize_all(pid_t process) {
    char path[64];
    int taken = 0;
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *tasks = opendir(path);
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        pid_t thread = atoi(task->d_name);
        if (!thread) continue;
        taken += seize(thread);
        snprintf(path, sizeof path, "/proc/%d/task/%d/children", process, thread);
        FILE *children = fopen(path, "re");
        for (pid_t child; children && fscanf(children, "%d", &child) == 1;) taken += seize_all(child);
        if (children) fclose(children);
    }
    if (tasks) closedir(tasks);
    return taken;
}

/* ---- What it does ---- */

static int below(const char *path) {
    size_t length = strlen(folder);
    return !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static int is_wanted(const Call *call, pid_t thread, const u64 *a, const char *path) {
    if (call->does == WRITE && !(wanted & WRITE)) return wanted & GROW && grows(call, thread, a);
    if (call->does != OPEN) return wanted & call->does;
    u64 flags = flags_of(call, thread, a);
    int writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
    return (wanted & CHANGE && writes) || (wanted & CREATE && creates(thread, flags, path));
}

/* ---- The stops ---- */

static const Call *rows_of(u64 number) {
    static const Call *first[NUMBERS];
    if (!first[SYS_write])
        for (size_t i = sizeof calls / sizeof *calls; i-- > 0;) first[calls[i].number] = calls + i;
    return number < NUMBERS ? first[number] : 0;
}

static Debt *debt_of(pid_t thread) {
    for (int i = 0; i < owed; i++) if (debts[i].thread == thread) return debts + i;
    return 0;
}

static void forget(Debt *debt) {
    if (debt) *debt = debts[--owed];
}

/* A thread enters a call. Whether it is held back. */
static int enters(pid_t thread, const Info *info) {
    static char path[2 * MOST + 2];
    const Call *call = rows_of(info->entry.nr), *end = calls + sizeof calls / sizeof *calls;
    const unsigned interest = wanted & GROW ? wanted | WRITE : wanted;
    for (; call && call < end && (u64)call->number == info->entry.nr; call++) {
        const unsigned does = call->does == OPEN ? CREATE | CHANGE : call->does;
        const u64 *a = (const u64 *)info->entry.args;
        if (!(does & interest) || !path_of(call, thread, a, path) || !below(path)) continue;
        seen.calls++;
        if (!is_wanted(call, thread, a, path) || owed == MOST) continue;
        Debt debt = {.thread = thread};
        if (call->does == FREE) debt.room = a[1];
        else if (delay) debt.due = now() + delay + 1;  /* never early */
        else if (!skip_call(thread, -error_number)) debt.error = error_number;
        debts[owed++] = debt;
        seen.hits += call->does != FREE;
        tell(call->name, path, "");
        return debt.due != 0;
    }
    return 0;
}

/* A thread leaves a call. */
static void leaves(pid_t thread) {
    Debt *debt = debt_of(thread);
    struct statfs disk;
    if (debt && debt->error) give_answer(thread, -debt->error);
    if (debt && debt->room && peek(thread, debt->room, &disk, sizeof disk) == sizeof disk) {
        struct iovec here = {&disk, sizeof disk}, there = {(void *)debt->room, sizeof disk};
        disk.f_bfree = disk.f_bavail = 0;
        process_vm_writev(thread, &here, 1, &there, 1, 0);
    }
    forget(debt);
}

static void stops(pid_t thread, int status) {
    const int signal = WSTOPSIG(status), event = status >> 16;
    int deliver = 0;
    if (signal == (SIGTRAP | 0x80)) {
        Info info;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) < 0 && errno == EIO) fail("Linux 5.3", EIO);
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.arch == ARCH && !debt_of(thread) && enters(thread, &info))
            return;
        if (info.op == PTRACE_SYSCALL_INFO_EXIT) leaves(thread);
    } else if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
        ptrace(PTRACE_LISTEN, thread, 0, 0);  /* all of the process was stopped by a signal, and stays so */
        return;
    } else if (!event) {
        deliver = signal;
    }
    ptrace(PTRACE_SYSCALL, thread, 0, deliver);
}

/* ---- To the end ---- */

/* Let go on whose time has come; milliseconds until the next one's, at most 1000. */
static int release(void) {
    long long time = owed ? now() : 0, next = time + 1000;
    for (int i = owed; i-- > 0;) {
        if (!debts[i].due) continue;
        if (debts[i].due <= time) {
            ptrace(PTRACE_SYSCALL, debts[i].thread, 0, 0);
            forget(debts + i);
        } else if (debts[i].due < next) {
            next = debts[i].due;
        }
    }
    return (int)(next - time);
}

static int unanswered(void) {
    int count = 0;
    for (int i = 0; i < owed; i++) count += !debts[i].due;
    return count;
}

/* Until a signal, or until no thread is left. Whoever has no answer yet gets it before. */
static void watch(const sigset_t *signals) {
    long long end = 0;
    for (;;) {
        int status;
        pid_t thread;
        while ((thread = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
            if (WIFSTOPPED(status)) stops(thread, status);
            else forget(debt_of(thread));
        }
        if (thread < 0 && errno == ECHILD) return;
        int wait = release();
        if (end && (!unanswered() || now() > end)) return;
        struct timespec limit = {wait / 1000, wait % 1000 * 1000000L};
        int signal = sigtimedwait(signals, 0, &limit);
        if (signal != SIGTERM && signal != SIGALRM) continue;
        end = now() + LAST_ANSWERS;
        wanted = 0;
    }
}

/* envctl-syscalls LEDGER SECONDS PROCESS FOLDER CLASSES ERROR MILLISECONDS

   Makes the file LEDGER, and ends at once where there is one: it belongs to one run, or forbids it. Ends after SECONDS
   at the latest. CLASSES is the sum of those in calls.h; ERROR an errno; calls are held back where it is 0. */
int main(int count, char **values) {
    if (count != 8) return 2;
    if ((ledger = open(values[1], O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600)) < 0) return 3;
    folder = values[4], wanted = atoi(values[5]), error_number = atoi(values[6]), delay = atoll(values[7]);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD), sigaddset(&signals, SIGTERM), sigaddset(&signals, SIGALRM);
    sigprocmask(SIG_BLOCK, &signals, 0);
    alarm(atoi(values[2]));
    while (seize_all(atoi(values[3]))) continue;
    if (!seen.threads) fail("trace", refusal);
    seen.attached = 1;
    tell("", "", "");
    watch(&signals);
    return 0;
}
