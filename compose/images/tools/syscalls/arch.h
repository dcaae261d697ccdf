/* The two things that differ by processor: to keep a call from being made, and to give it an answer. */

#include <elf.h>
#include <sys/uio.h>
#include <sys/user.h>

long ptrace(int request, ...);

#if defined __x86_64__

#define ARCH AUDIT_ARCH_X86_64

static int set_registers(pid_t thread, int skip, long answer) {
    struct user_regs_struct r;
    struct iovec v = {&r, sizeof r};
    if (ptrace(PTRACE_GETREGSET, thread, NT_PRSTATUS, &v)) return -1;
    if (skip) r.orig_rax = -1;
    r.rax = answer;
    return ptrace(PTRACE_SETREGSET, thread, NT_PRSTATUS, &v);
}

/* At the entry. Here number and answer change in one step; yet a seccomp filter, which comes after the tracer, gives
   the number -1 an answer of its own: that is why the answer is given once more at the exit. */
static int skip_call(pid_t thread, long answer) { return set_registers(thread, 1, answer); }
static int give_answer(pid_t thread, long answer) { return set_registers(thread, 0, answer); }

#elif defined __aarch64__

#define ARCH AUDIT_ARCH_AARCH64

static int skip_call(pid_t thread, long answer) {
    int none = -1;
    struct iovec v = {&none, sizeof none};
    (void)answer;
    return ptrace(PTRACE_SETREGSET, thread, NT_ARM_SYSTEM_CALL, &v);
}

static int give_answer(pid_t thread, long answer) {
    struct user_regs_struct r;
    struct iovec v = {&r, sizeof r};
    if (ptrace(PTRACE_GETREGSET, thread, NT_PRSTATUS, &v)) return -1;
    r.regs[0] = answer;
    return ptrace(PTRACE_SETREGSET, thread, NT_PRSTATUS, &v);
}

#else
#error "no other processor is known"
#endif
