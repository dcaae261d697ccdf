/* envctl-clock: let a running process and its children have another time of day.

   Programs ask for the time in the vDSO, a page of code that the kernel puts into each of them. There the entries of
   clock_gettime, gettimeofday and time are turned to code in the page's unused end, which asks the kernel and adds an
   offset. Each process has a copy of its own once it is written to; children inherit it at a fork and lose it at an
   exec. The same page of this process is the original, from which all are restored.

   Not fooled: who makes the system call itself, 32-bit programs, files' times, and what the kernel measures by itself.
   The clocks that count from the boot stay as they are.

   Needs x86_64, and the right to trace. While it writes, all threads of the process stand still (ptrace), none of them
   at a place that is written to; should it die then, the kernel lets them go on. */

#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if !defined __x86_64__
int main(void) {
    puts("{\"problem\": \"clocks are skewed on x86_64 only\"}");
    return 1;
}
#else

enum { PAGE = 4096, MOST = 16 * PAGE, JUMP = 5, TRIES = 100, SECOND = 1000000000 };

/* Position-independent; the offset stands at its end. Registers as in a C call: rax rcx rdx are free. */
extern const char stubs[], clock_stub[], day_stub[], time_stub[], offset_place[], stubs_end[];
__asm__(
    ".pushsection .rodata\n"
    "stubs:\n"
    "clock_stub:\n  mov $228, %eax\n  syscall\n  test %eax, %eax\n  jnz 2f\n"
    "  test %edi, %edi\n  jz 1f\n  cmp $5, %edi\n  jnz 2f\n"              /* CLOCK_REALTIME, and the coarse one */
    "1:  mov seconds(%rip), %rcx\n  add %rcx, (%rsi)\n"
    "  mov nanoseconds(%rip), %rcx\n  add 8(%rsi), %rcx\n"
    "  cmp $1000000000, %rcx\n  jl 3f\n  sub $1000000000, %rcx\n  incq (%rsi)\n"
    "3:  mov %rcx, 8(%rsi)\n2:  ret\n"
    "day_stub:\n  mov $96, %eax\n  syscall\n  test %eax, %eax\n  jnz 2f\n  test %rdi, %rdi\n  jz 2f\n"
    "  mov seconds(%rip), %rcx\n  add %rcx, (%rdi)\n"
    "  mov microseconds(%rip), %rcx\n  add 8(%rdi), %rcx\n"
    "  cmp $1000000, %rcx\n  jl 3f\n  sub $1000000, %rcx\n  incq (%rdi)\n"
    "3:  mov %rcx, 8(%rdi)\n2:  ret\n"
    "time_stub:\n  mov %rdi, %rdx\n  xor %edi, %edi\n  mov $201, %eax\n  syscall\n  add seconds(%rip), %rax\n"
    "  test %rdx, %rdx\n  jz 2f\n  mov %rax, (%rdx)\n2:  ret\n"
    "offset_place:\nseconds: .quad 0\nnanoseconds: .quad 0\nmicroseconds: .quad 0\n"
    "stubs_end:\n"
    ".popsection\n");

static unsigned char original[MOST], skewed[MOST];
static size_t size, room;
static size_t entries[3];
static int processes, changed, ledger = 1;

static void tell(const char *problem) {
    char line[256];
    int length = snprintf(line, sizeof line, "{\"processes\": %d, \"changed\": %d, \"problem\": \"%.100s\"}%*s\n",
        processes, changed, problem, 60, "");
    if (ledger != 1) (void)!ftruncate(ledger, 0), lseek(ledger, 0, SEEK_SET);
    (void)!write(ledger, line, length);
}

static void fail(const char *what) {
    tell(what);
    exit(1);
}

/* ---- The page ---- */

static size_t entry_of(const char *name) {
    const Elf64_Ehdr *head = (const Elf64_Ehdr *)original;
    const Elf64_Shdr *part = (const Elf64_Shdr *)(original + head->e_shoff);
    for (int i = 0; i < head->e_shnum; i++) {
        if (part[i].sh_type != SHT_DYNSYM) continue;
        const Elf64_Sym *symbol = (const Elf64_Sym *)(original + part[i].sh_offset);
        const char *names = (const char *)original + part[part[i].sh_link].sh_offset;
        for (size_t n = 0; n < part[i].sh_size / sizeof *symbol; n++)
            if (!strcmp(names + symbol[n].st_name, name)) return symbol[n].st_value;
    }
    return 0;
}

/* Where a process has it; its length too, or 0. */
static size_t find(pid_t process, size_t *length) {
    char path[64], line[256];
    size_t from = 0, to = 0;
    *length = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", process);
    FILE *maps = fopen(path, "re");
    while (maps && fgets(line, sizeof line, maps))
        if (strstr(line, "[vdso]") && sscanf(line, "%zx-%zx", &from, &to) == 2) *length = to - from;
    if (maps) fclose(maps);
    return from;
}

/* The page as it is, and as it shall be. */
static void prepare(long long offset) {
    const char *names[] = {"__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time"};
    const char *to[] = {clock_stub, day_stub, time_stub};
    const size_t need = stubs_end - stubs;
    size_t at = find(getpid(), &size);
    if (!size || size > MOST) fail("no vDSO is known here");
    memcpy(original, (void *)at, size);
    memcpy(skewed, original, size);
    for (room = size; room > 0 && !original[room - 1]; room--) continue;
    room = (room + 31) & ~31UL;
    if (room + need > size) fail("the kernel's vDSO has no room left");
    long long seconds = offset / SECOND, nanoseconds = offset % SECOND;
    if (nanoseconds < 0) seconds--, nanoseconds += SECOND;
    const long long values[] = {seconds, nanoseconds, nanoseconds / 1000};
    memcpy(skewed + room, stubs, need);
    memcpy(skewed + room + (offset_place - stubs), values, sizeof values);
    for (int i = 0; i < 3; i++) {
        if (!(entries[i] = entry_of(names[i]))) fail("the kernel's vDSO has other functions");
        int distance = (int)(room + (to[i] - stubs) - (entries[i] + JUMP));
        skewed[entries[i]] = 0xe9;
        memcpy(skewed + entries[i] + 1, &distance, sizeof distance);
    }
}

/* ---- A process that stands still ---- */

static int is_in_the_way(pid_t thread, size_t base) {
    struct user_regs_struct r;
    struct iovec v = {&r, sizeof r};
    if (ptrace(PTRACE_GETREGSET, thread, NT_PRSTATUS, &v)) return 1;
    for (int i = 0; i < 3; i++)
        if (r.rip - base > entries[i] && r.rip - base < entries[i] + JUMP) return 1;
    return r.rip - base >= room && r.rip - base < size;
}

static int put(int memory, size_t base, const unsigned char *page, size_t at, size_t length) {
    return pwrite(memory, page + at, length, base + at) == (ssize_t)length;
}

/* To skew, the code first and then the ways to it; to restore, the other way round. */
static int write_page(pid_t process, size_t base, const unsigned char *page) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", process);
    int memory = open(path, O_RDWR | O_CLOEXEC), done = memory >= 0;
    if (done && page == skewed) done = put(memory, base, page, room, size - room);
    for (int i = 0; i < 3 && done; i++) done = put(memory, base, page, entries[i], JUMP);
    if (done && page == original) done = put(memory, base, page, room, size - room);
    if (memory >= 0) close(memory);
    return done;
}

/* Stop all threads, those too that began meanwhile; whether none of them is in the way. */
static int stop_all(pid_t process, size_t base) {
    char path[64];
    int found, all, mine = 0, clear = 1;
    snprintf(path, sizeof path, "/proc/%d/task", process);
    do {
        found = all = 0;
        DIR *tasks = opendir(path);
        for (struct dirent *task; tasks && (task = readdir(tasks));) {
            pid_t thread = atoi(task->d_name);
            int status;
            all += thread != 0;
            if (!thread || ptrace(PTRACE_SEIZE, thread, 0, 0)) continue;
            found++, mine++;
            ptrace(PTRACE_INTERRUPT, thread, 0, 0);
            if (waitpid(thread, &status, __WALL) == thread && WIFSTOPPED(status)) clear &= !is_in_the_way(thread, base);
        }
        if (tasks) closedir(tasks);
    } while (found);
    return clear && mine == all;  /* the others are somebody else's, a debugger's say */
}

enum { DONE, BUSY, BROKEN };

/* One attempt, in a child: when it ends the kernel lets the threads go on, with the signals that came meanwhile. */
static int attempt(pid_t process, size_t base, const unsigned char *page) {
    int status = 0;
    pid_t child = fork();
    if (!child) _exit(!stop_all(process, base) ? BUSY : write_page(process, base, page) ? DONE : BROKEN);
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : BROKEN;
}

/* ---- All of them ---- */

static int is(pid_t process, size_t base, const unsigned char *page) {
    static unsigned char there[MOST];
    struct iovec here = {there, size}, place = {(void *)base, size};
    return process_vm_readv(process, &here, 1, &place, 1, 0) == (ssize_t)size && !memcmp(there, page, size);
}

static void change(pid_t process, const unsigned char *page) {
    size_t length, base = find(process, &length);
    const struct timespec while_ = {0, 1000000};
    if (length != size) return;  /* a 32-bit program, or one that is just ending */
    processes++;
    if (is(process, base, page)) return;
    if (page == skewed && !is(process, base, original)) fail("somebody else has changed a process's vDSO");
    for (int i = 0, state = BUSY; i < TRIES && state == BUSY; i++) {
        if (i) nanosleep(&while_, 0);
        state = attempt(process, base, page);
        if (state == DONE) changed++;
    }
    if (!is(process, base, page) && find(process, &length)) fail("a process cannot be written to");
}

static void change_all(pid_t process, const unsigned char *page) {
    char path[64];
    change(process, page);
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *tasks = opendir(path);
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/%d/task/%.16s/children", process, task->d_name);
        FILE *children = fopen(path, "re");
        for (pid_t child; children && fscanf(children, "%d", &child) == 1;) change_all(child, page);
        if (children) fclose(children);
    }
    if (tasks) closedir(tasks);
}

/* envctl-clock LEDGER SECONDS PROCESS NANOSECONDS     skew; restore after SECONDS, or at SIGTERM
   envctl-clock restore PROCESS                        restore all that was skewed, by whatever run

   LEDGER is a file that it makes; it ends at once where there is one: it belongs to one run, or forbids it. */
int main(int count, char **values) {
    if (count == 3 && !strcmp(values[1], "restore")) {
        prepare(0);
        change_all(atoi(values[2]), original);
        tell("");
        return 0;
    }
    if (count != 5) return 2;
    if ((ledger = open(values[1], O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600)) < 0) return 3;
    sigset_t signals;
    int signal;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM), sigaddset(&signals, SIGALRM);
    sigprocmask(SIG_BLOCK, &signals, 0);
    alarm(atoi(values[2]));
    prepare(atoll(values[4]));
    pid_t process = atoi(values[3]);
    /* Twice: what was forked by one that was not skewed yet is skewed by the second. */
    change_all(process, skewed);
    processes = 0;
    change_all(process, skewed);
    tell("");
    sigwait(&signals, &signal);
    change_all(process, original);
    return 0;
}
#endif
