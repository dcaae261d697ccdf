/* One NFQUEUE of the kernel, by its netlink messages: packets come, verdicts go. Verdicts are gathered, and sent many
   at once. */

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

enum { AT_ONCE = 32, LONGEST = 70000, GATHERED = 65536, ROOM = 32 << 20 };

typedef struct {
    u32 id, mark, length, device;
    int side;
    const unsigned char *data;       /* from its IP header on */
    u32 captured;                    /* how much of it is here */
    const unsigned char *hardware;   /* its sender's address on the wire; 0: none */
} Packet;

static struct {
    int socket;
    u16 number;
    unsigned char in[AT_ONCE][LONGEST], out[GATHERED + LONGEST];
    u32 filled, newest;
    u64 overruns;
} queue;

/* ---- Messages out ---- */

static void begin_message(int kind, int flags, struct nlmsghdr **head) {
    struct nlmsghdr *message = (struct nlmsghdr *)(queue.out + queue.filled);
    struct nfgenmsg family = {AF_UNSPEC, NFNETLINK_V0, htons(queue.number)};
    message->nlmsg_len = NLMSG_LENGTH(sizeof family);
    message->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | kind, message->nlmsg_flags = NLM_F_REQUEST | flags;
    memcpy(NLMSG_DATA(message), &family, sizeof family);
    *head = message;
}

static void put(struct nlmsghdr *message, int kind, const void *content, u32 length) {
    struct nlattr *attribute = (struct nlattr *)((char *)message + NLMSG_ALIGN(message->nlmsg_len));
    attribute->nla_type = kind, attribute->nla_len = NLA_HDRLEN + length;
    memcpy(attribute + 1, content, length);
    message->nlmsg_len = NLMSG_ALIGN(message->nlmsg_len) + NLA_ALIGN(attribute->nla_len);
}

static void send_verdicts(void) {
    if (queue.filled) (void)!send(queue.socket, queue.out, queue.filled, 0);
    queue.filled = 0;
}

static void judge(int kind, u32 id, u32 verdict, const u32 *mark, const unsigned char *bytes, u32 length) {
    struct nlmsghdr *message;
    struct nfqnl_msg_verdict_hdr said = {htonl(verdict), htonl(id)};
    begin_message(kind, 0, &message);
    put(message, NFQA_VERDICT_HDR, &said, sizeof said);
    if (mark) put(message, NFQA_MARK, &(u32){htonl(*mark)}, sizeof *mark);
    if (bytes) put(message, NFQA_PAYLOAD, bytes, length);
    queue.filled += NLMSG_ALIGN(message->nlmsg_len);
    if (queue.filled > GATHERED) send_verdicts();
}

static void accept_packet(u32 id) { judge(NFQNL_MSG_VERDICT, id, NF_ACCEPT, 0, 0, 0); }
static void drop_packet(u32 id) { judge(NFQNL_MSG_VERDICT, id, NF_DROP, 0, 0, 0); }

/* Let it go on with this mark, and with these bytes (0: with those that it has). */
static void pass_packet(u32 id, u32 mark, const unsigned char *bytes, u32 length) {
    judge(NFQNL_MSG_VERDICT, id, NF_ACCEPT, &mark, bytes, length);
}

/* All that the kernel has of this queue, those too that nobody has looked at yet, in the order in which they came. */
static void accept_all(void) {
    judge(NFQNL_MSG_VERDICT_BATCH, queue.newest + (1U << 30), NF_ACCEPT, 0, 0, 0);
    send_verdicts();
}

/* ---- Binding ---- */

/* 0, or an errno. */
static int configure(int kind, const void *content, u32 length, int kind2, const void *content2, u32 length2) {
    struct nlmsghdr *message, *answer = (struct nlmsghdr *)queue.in[0];
    begin_message(NFQNL_MSG_CONFIG, NLM_F_ACK, &message);
    put(message, kind, content, length);
    if (length2) put(message, kind2, content2, length2);
    if (send(queue.socket, message, message->nlmsg_len, 0) < 0) return errno;
    for (;;) {
        if (recv(queue.socket, answer, LONGEST, 0) < 0) return errno;
        if (answer->nlmsg_type == NLMSG_ERROR) return -((struct nlmsgerr *)NLMSG_DATA(answer))->error;
    }
}

/* Bind, and let it pass what cannot be queued. `range`: how much of each packet to copy. 0, or an errno. */
static int bind_queue(u16 number, u32 range, u32 most, int whole) {
    struct nfqnl_msg_config_cmd command = {NFQNL_CFG_CMD_BIND, 0, htons(AF_INET)};
    struct nfqnl_msg_config_params parameters = {htonl(range), NFQNL_COPY_PACKET};
    const u32 mask = htonl(NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_GSO), length = htonl(most);
    const u32 flags = htonl(NFQA_CFG_F_FAIL_OPEN | (whole ? NFQA_CFG_F_GSO : 0));
    struct sockaddr_nl here = {.nl_family = AF_NETLINK};
    const int room = ROOM;
    int error;
    queue.number = number;
    if ((queue.socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)) < 0) return errno;
    setsockopt(queue.socket, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (bind(queue.socket, (struct sockaddr *)&here, sizeof here)) return errno;
    if ((error = configure(NFQA_CFG_CMD, &command, sizeof command, 0, 0, 0))) return error;
    if ((error = configure(NFQA_CFG_QUEUE_MAXLEN, &length, sizeof length, 0, 0, 0))) return error;
    if ((error = configure(NFQA_CFG_MASK, &mask, sizeof mask, NFQA_CFG_FLAGS, &flags, sizeof flags))) return error;
    return configure(NFQA_CFG_PARAMS, &parameters, sizeof parameters, 0, 0, 0);
}

/* Let everything go on, what comes from now on too. Closing would drop what has just come: so it is to have no room,
   and what has none passes. */
static void open_queue(void) {
    const u32 none = 0;
    accept_all();
    configure(NFQA_CFG_QUEUE_MAXLEN, &none, sizeof none, 0, 0, 0);
    accept_all();
}

/* ---- Messages in ---- */

static u32 number_in(const struct nlattr *attribute) {
    u32 value;
    memcpy(&value, attribute + 1, sizeof value);
    return ntohl(value);
}

static void read_attribute(const struct nlattr *attribute, Packet *packet) {
    const struct nfqnl_msg_packet_hdr *head = (const void *)(attribute + 1);
    switch (attribute->nla_type & NLA_TYPE_MASK) {
    case NFQA_PACKET_HDR:
        packet->id = queue.newest = ntohl(head->packet_id);
        packet->side = head->hook == NF_INET_LOCAL_OUT || head->hook == NF_INET_POST_ROUTING;
        break;
    case NFQA_MARK: packet->mark = number_in(attribute); break;
    case NFQA_IFINDEX_INDEV: packet->device = number_in(attribute); break;
    case NFQA_HWADDR: packet->hardware = ((const struct nfqnl_msg_packet_hw *)(attribute + 1))->hw_addr; break;
    case NFQA_CAP_LEN: packet->length = number_in(attribute); break;
    case NFQA_PAYLOAD:
        packet->data = (const unsigned char *)(attribute + 1);
        packet->captured = attribute->nla_len - NLA_HDRLEN;
        if (!packet->length) packet->length = packet->captured;
    }
}

static void read_messages(const unsigned char *data, int size, void (*take)(const Packet *)) {
    for (const struct nlmsghdr *m = (const void *)data; NLMSG_OK(m, size); m = NLMSG_NEXT(m, size)) {
        if (m->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET)) continue;
        Packet packet = {0};
        const unsigned char *at = (const unsigned char *)m + NLMSG_SPACE(sizeof(struct nfgenmsg));
        const unsigned char *end = (const unsigned char *)m + m->nlmsg_len;
        while (at + NLA_HDRLEN <= end && ((const struct nlattr *)at)->nla_len >= NLA_HDRLEN) {
            read_attribute((const struct nlattr *)at, &packet);
            at += NLA_ALIGN(((const struct nlattr *)at)->nla_len);
        }
        take(&packet);
    }
}

/* Take what has come; whether that was all that there was room for. */
static int receive(void (*take)(const Packet *)) {
    static struct mmsghdr messages[AT_ONCE];
    static struct iovec places[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++) {
        places[i] = (struct iovec){queue.in[i], LONGEST};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = places + i, .msg_iovlen = 1};
    }
    int count = recvmmsg(queue.socket, messages, AT_ONCE, MSG_DONTWAIT, 0);
    queue.overruns += count < 0 && errno == ENOBUFS;  /* more came than was read: the kernel let it pass */
    for (int i = 0; i < count; i++) read_messages(queue.in[i], messages[i].msg_len, take);
    return count == AT_ONCE;
}
