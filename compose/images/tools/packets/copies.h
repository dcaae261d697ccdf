/* Packets that this program sends itself, which are not judged again: second copies, and what goes out late.

   One that goes out is sent by a raw socket. One that comes in must come in from the wire: it is sent by the other end
   of the namespace's veth, which is in the engine's (no bridge sees it there). Each run in a namespace has a bit of its
   own. What it has judged bears its bit in the upper byte of its mark, and so does what another run makes of that; a
   mark does not come in from the wire, so there the hardware address that it comes from ends in the bits. */

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stddef.h>
#include <sys/un.h>

enum { RUNS = 8, DEVICES = 16, BITS = 24 };
static const unsigned char SENDER[ETH_ALEN] = {0x06, 'e', 'n', 'v', 'c'};  /* and the bits */

typedef struct { u32 device, peer; unsigned char address[ETH_ALEN]; } Link;

static struct {
    int out4, out6, in;
    int here, there;            /* rtnetlink's, of this namespace and the engine's */
    u32 bit;                    /* this run's */
    u32 mark4, mark6;           /* that the sockets for what goes out have now */
    Link links[DEVICES];        /* whose peer is known; a peer of 0: there is none */
    u32 known;
} copies;

/* Take the first bit that no other run in this namespace has: the names of such sockets are the namespace's own, and
   are free again when the program ends. Whether there was one. */
static int take_bit(void) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const int made = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (int run = 0; run < RUNS; run++) {
        const int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "envctl-packets.%d", run);
        copies.bit = 1U << run;
        if (!bind(made, (void *)&name, offsetof(struct sockaddr_un, sun_path) + 1 + length)) return 1;
    }
    return 0;
}

/* The bits of the runs that have judged it. */
static u32 seen_by(const Packet *packet) {
    const int sent = !packet->side && packet->hardware && !memcmp(packet->hardware, SENDER, ETH_ALEN - 1);
    return packet->mark >> BITS | (sent ? packet->hardware[ETH_ALEN - 1] : 0);
}

/* ---- The other end ---- */

/* What rtnetlink says of a device: its peer and its address. Whether it says something. */
static int ask_link(int socket, u32 device, Link *link) {
    struct { struct nlmsghdr head; struct ifinfomsg info; } ask = {
        {sizeof ask, RTM_GETLINK, NLM_F_REQUEST, 0, 0}, {.ifi_family = AF_UNSPEC, .ifi_index = (int)device}};
    static unsigned char answer[32768];
    const struct nlmsghdr *head = (const void *)answer;
    *link = (Link){.device = device};
    if (send(socket, &ask, sizeof ask, 0) < 0 || recv(socket, answer, sizeof answer, 0) < 0) return 0;
    if (head->nlmsg_type != RTM_NEWLINK) return 0;
    int left = IFLA_PAYLOAD(head);
    for (const struct rtattr *a = IFLA_RTA(NLMSG_DATA(head)); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == IFLA_LINK) memcpy(&link->peer, RTA_DATA(a), sizeof link->peer);
        if (a->rta_type == IFLA_ADDRESS && RTA_PAYLOAD(a) == ETH_ALEN) memcpy(link->address, RTA_DATA(a), ETH_ALEN);
    }
    return link->peer != 0;
}

/* A device's other end, where that is in the engine's namespace. */
static const Link *link_of(u32 device) {
    Link there, *link = copies.links;
    for (; link < copies.links + copies.known; link++) if (link->device == device) return link;
    if (copies.known == DEVICES) return 0;
    copies.known++;
    if (!ask_link(copies.here, device, link) || !ask_link(copies.there, link->peer, &there) || there.peer != device)
        link->peer = 0;
    return link;
}

/* ---- Sending ---- */

static int open_raw(int family) {
    const int made = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), room = ROOM, yes = 1;
    setsockopt(made, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    if (family == AF_INET6) setsockopt(made, IPPROTO_IPV6, IPV6_HDRINCL, &yes, sizeof yes);
    return made;
}

/* Sockets for what goes out; there may be no IPv6. 0, or an errno. */
static int open_out(void) {
    copies.out6 = open_raw(AF_INET6);
    return (copies.out4 = open_raw(AF_INET)) < 0 ? errno : 0;
}

/* The network namespace of a process's parent: a container's is its keeper, which is in the engine's. */
static int open_parents_network(pid_t process) {
    char path[64];
    pid_t parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    FILE *stat = fopen(path, "re");
    if (!stat || fscanf(stat, "%*d (%*[^)]%*[) ] %*c %d", &parent) != 1) return -1;
    fclose(stat);
    snprintf(path, sizeof path, "/proc/%d/ns/net", parent);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Sockets for what comes in. 0, or an errno. */
static int open_in(pid_t process) {
    const int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), engine = open_parents_network(process);
    copies.here = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (own < 0 || engine < 0 || copies.here < 0 || setns(engine, CLONE_NEWNET)) return errno;
    copies.there = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    copies.in = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    const int error = copies.there < 0 || copies.in < 0 ? errno : 0;
    if (setns(own, CLONE_NEWNET)) return errno;
    close(own), close(engine);
    return error;
}

/* Whether it went; errno says why not. */
static int send_out(const Held *one) {
    const int four = one->bytes[0] >> 4 == 4, by = four ? copies.out4 : copies.out6;
    u32 *has = four ? &copies.mark4 : &copies.mark6, mark = one->mark;
    struct sockaddr_in to4 = {.sin_family = AF_INET};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
    memcpy(&to4.sin_addr, one->bytes + 16, 4);
    if (!four) memcpy(&to6.sin6_addr, one->bytes + 24, 16);
    if (*has != mark && setsockopt(by, SOL_SOCKET, SO_MARK, &mark, sizeof mark)) return 0;
    *has = mark;
    const struct sockaddr *to = four ? (void *)&to4 : (void *)&to6;
    return sendto(by, one->bytes, one->length, MSG_DONTWAIT, to, four ? sizeof to4 : sizeof to6) >= 0;
}

static int send_in(const Held *one) {
    const Link *link = link_of(one->device);
    struct ethhdr head = {.h_proto = htons(one->bytes[0] >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6)};
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_halen = ETH_ALEN};
    struct iovec parts[] = {{&head, sizeof head}, {one->bytes, one->length}};
    struct msghdr message = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = parts, .msg_iovlen = 2};
    if (!link || !link->peer) {
        errno = ENODEV;
        return 0;
    }
    memcpy(head.h_dest, link->address, ETH_ALEN);
    memcpy(head.h_source, SENDER, ETH_ALEN);
    head.h_source[ETH_ALEN - 1] = one->seen_by;
    to.sll_ifindex = (int)link->peer, to.sll_protocol = head.h_proto;
    return sendmsg(copies.in, &message, MSG_DONTWAIT) >= 0;
}
