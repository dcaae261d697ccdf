/* envctl-packets: delay, drop, duplicate, corrupt, reorder and shape the packets of one NFQUEUE.

   It runs in a network namespace in which rules send packets to the queue, with `--queue-bypass`: when it ends, from
   whatever cause, they pass. At an orderly end all that it holds goes on at once; when it is killed, the kernel drops
   that, and whoever needs it sends it again. So nothing is left to undo.

   What comes in (PREROUTING, INPUT) and what goes out (OUTPUT, POSTROUTING) are two directions with the same settings
   and a generator each, of the seed: the same packets in one direction fare the same, whatever goes the other way. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#include "queue.h"
#include "settings.h"
#include "chances.h"
#include "contents.h"
#include "held.h"
#include "copies.h"

enum { SECOND = 1000000000, BETWEEN_WORDS = 20000000, HEADERS = 128, WORDS = 1024 };

static Side sides[2];  /* in, out */
static int ledger, attached, changed;
static u64 told_at;
static char trouble[100];

static u64 now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (u64)SECOND + t.tv_nsec;
}

/* ---- The ledger ---- */

static int tell_side(char *text, size_t room, const char *name, const Side *side) {
    return snprintf(text, room, ", \"%s\": {\"packets\": %lu, \"bytes\": %lu, \"delayed\": %lu, \"dropped\": %lu, "
        "\"overflown\": %lu, \"duplicated\": %lu, \"corrupted\": %lu, \"reordered\": %lu, \"held\": %u, \"late\": %lu}",
        name, side->packets, side->bytes, side->delayed, side->dropped, side->overflown, side->duplicated,
        side->corrupted, side->reordered, side->held, side->late / 1000);
}

/* One line of JSON by which envctl sees what is going on; of one length, so that nothing older shows through. */
static void tell(void) {
    char line[WORDS];
    int length = snprintf(line, sizeof line, "{\"attached\": %d, \"problem\": \"%s\", \"overruns\": %lu", attached,
        trouble, queue.overruns);
    length += tell_side(line + length, sizeof line - length, "in", sides);
    length += tell_side(line + length, sizeof line - length, "out", sides + 1);
    memset(line + length, ' ', sizeof line - length);
    line[length] = '}';
    if (pwrite(ledger, line, sizeof line, 0) < 0) perror("the ledger");
    told_at = now(), changed = 0;
}

static void note(const char *what, const char *why) {
    snprintf(trouble, sizeof trouble, "%.50s: %.40s", what, why);
    for (char *c = trouble; *c; c++) if (*c < ' ' || *c == '\\' || *c == '"') *c = '?';
}

static void fail(const char *what, int error) {
    note(what, error ? strerror(error) : "it is no setting, or out of bounds");
    tell();
    exit(1);
}

/* ---- Packets ---- */

/* Its bytes where they are needed, and all of them are here. */
static void take_bytes(const Packet *packet, const Fate *fate, Side *side, Held *one) {
    int protocol;
    const int tcp = transport_of(packet->data, packet->captured, &protocol) && protocol == IPPROTO_TCP;
    const int carried = packet->side && tcp && (wanted.delay || wanted.jitter || fate->late);
    if (!(fate->twice || fate->corrupt || carried) || packet->captured < packet->length) return;
    if (!(one->bytes = malloc(packet->length))) return;
    memcpy(one->bytes, packet->data, packet->length);
    one->twice = fate->twice, one->carried = carried;
    one->changed = fate->corrupt && corrupt(side, one->bytes, packet->length);
    side->corrupted += one->changed;
}

/* A packet has come: drop it, or hold it until its time. */
static void take(const Packet *packet) {
    Side *side = sides + packet->side;
    const u64 time = now();
    if (seen_by(packet) & copies.bit) {
        accept_packet(packet->id);
        return;
    }
    changed = 1;
    side->packets++, side->bytes += packet->length;
    const Fate fate = fate_of(side);
    const int full = side->held >= wanted.limit;
    if (fate.lost || full) {
        side->dropped += fate.lost, side->overflown += !fate.lost;
        drop_packet(packet->id);
        return;
    }
    Held one = {.id = packet->id, .length = packet->length, .device = packet->device, .side = packet->side,
        .mark = packet->mark | copies.bit << BITS, .seen_by = seen_by(packet) | copies.bit};
    one.due = due_of(side, &fate, time, packet->length, flow_of(packet->data, packet->captured));
    take_bytes(packet, &fate, side, &one);
    if (one.carried) drop_packet(packet->id);
    side->delayed += one.due > time, side->reordered += fate.late, side->held++;
    hold(one);
}

static int send_itself(const Held *one) {
    const int sent = one->side ? send_out(one) : send_in(one);
    if (!sent) note("a packet cannot be sent", strerror(errno));
    return sent;
}

static void let_go(const Held *one) {
    Side *side = sides + one->side;
    if (one->carried) send_itself(one);
    else pass_packet(one->id, one->mark, one->changed ? one->bytes : 0, one->length);
    if (one->twice) {
        send_verdicts();  /* the first goes first */
        side->duplicated += send_itself(one);
    }
    side->held--, changed = 1;
    free(one->bytes);
}

/* Let those go whose time has come; when the next one's comes, or 0. */
static u64 release(void) {
    for (u64 time = now(); held.count && held.all[0].due <= time; time = now()) {
        while (held.count && held.all[0].due <= time) {
            const Held one = take_first();
            Side *side = sides + one.side;
            if (time - one.due > side->late) side->late = time - one.due;
            let_go(&one);
        }
        send_verdicts();
    }
    send_verdicts();
    return held.count ? held.all[0].due : 0;
}

/* ---- To the end ---- */

/* Those that are carried in their order; the kernel has the others in theirs. */
static void let_all_go(void) {
    while (held.count) {
        const Held one = take_first();
        if (one.carried) send_itself(&one);
    }
    sides[0].held = sides[1].held = 0;
    open_queue();
}

/* Until a signal, or until the process is over. */
static void serve(int process, int signals) {
    struct pollfd events[] = {{queue.socket, POLLIN, 0}, {process, POLLIN, 0}, {signals, POLLIN, 0}};
    while (!events[1].revents && !events[2].revents) {
        const u64 due = release(), time = now(), word = told_at + BETWEEN_WORDS;
        if (changed && word <= time) tell();
        u64 until = due ? due : ~0ULL, wait;
        if (changed && word < until) until = word;
        wait = until > time ? until - time : 0;
        struct timespec limit = {wait / SECOND, wait % SECOND};
        ppoll(events, 3, until == ~0ULL ? 0 : &limit, 0);
        for (int i = 0; events[0].revents && i < 4 && receive(take); i++) continue;
    }
}

static int signals_of_the_end(int seconds) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM), sigaddset(&signals, SIGALRM);
    sigprocmask(SIG_BLOCK, &signals, 0);
    alarm(seconds);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

/* envctl-packets LEDGER SECONDS PROCESS QUEUE [KEY=VALUE]...

   Makes the file LEDGER, and ends at once where there is one: it belongs to one run, or forbids it. Ends after SECONDS
   at the latest, and with the process, of whose namespace it would else be the last one. Keys: settings.h. */
int main(int count, char **values) {
    if (count < 5 || atoi(values[2]) < 1) return 2;
    if ((ledger = open(values[1], O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600)) < 0) return 3;
    for (int i = 5; i < count; i++) if (!read_setting(values[i])) fail(values[i], 0);
    const int signals = signals_of_the_end(atoi(values[2]));
    const int process = (int)syscall(SYS_pidfd_open, atoi(values[3]), 0);
    const u32 range = takes_all() ? 0xffff : HEADERS;
    int error;
    if (process < 0) fail("the process", errno);
    if (!(held.all = calloc(2 * (size_t)wanted.limit, sizeof *held.all))) fail("memory", errno);
    if (!take_bit()) fail("a place among the others in this namespace", EUSERS);
    for (int i = 0; i < 2; i++) sides[i].state = mix(wanted.seed + mix(i + 1));
    prctl(PR_SET_TIMERSLACK, 1);
    if (takes_all() && (error = open_out())) fail("a socket for what goes out", error);
    if (wanted.duplicate && (error = open_in(atoi(values[3])))) fail("a socket for what comes in", error);
    if ((error = bind_queue(atoi(values[4]), range, 4 * wanted.limit, !judges_each()))) fail("the queue", error);
    attached = 1;
    tell();
    serve(process, signals);
    let_all_go();
    attached = 0;
    tell();
    return 0;
}
