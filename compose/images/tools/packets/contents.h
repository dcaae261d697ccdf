/* What is in a packet: its flow, and a wrong bit. */

#include <netinet/in.h>

/* Where its transport header begins; 0 where there is none, as in a later fragment. */
static u32 transport_of(const unsigned char *data, u32 length, int *protocol) {
    if (length >= 20 && data[0] >> 4 == 4) {
        *protocol = data[9];
        return (data[6] & 0x3f) | data[7] ? 0 : (data[0] & 15) * 4U;  /* bits of a fragment */
    }
    *protocol = length >= 40 ? data[6] : 0;
    return *protocol == IPPROTO_TCP || *protocol == IPPROTO_UDP || *protocol == IPPROTO_ICMPV6 ? 40 : 0;
}

/* A number that all packets of one flow have in common. */
static u32 flow_of(const unsigned char *data, u32 length) {
    int protocol;
    const u32 ports = transport_of(data, length, &protocol), version = length ? data[0] >> 4 : 0;
    const u32 from = version == 4 ? 12 : 8, to = version == 4 ? 20 : 40;
    u64 hash = protocol;
    for (u32 i = from; i < to && i < length; i++) hash = mix(hash + data[i]);
    if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP)
        for (u32 i = ports; ports && i < ports + 4 && i < length; i++) hash = mix(hash + data[i]);
    return (u32)hash;
}

/* Make a checksum right again in which two bytes at an even place have changed (RFC 1624). */
static void mend(unsigned char *sum, u32 before, u32 after) {
    u32 value = (u16)~(sum[0] << 8 | sum[1]) + (u16)~before + after;
    value = (value & 0xffff) + (value >> 16);
    value = (u16)~((value & 0xffff) + (value >> 16));
    sum[0] = value >> 8, sum[1] = value;
}

static u32 pair_at(const unsigned char *data, u32 at, u32 length) {
    return data[at] << 8 | (at + 1 < length ? data[at + 1] : 0);
}

/* Where the bytes of the program begin; the length where it has none. */
static u32 payload_of(const unsigned char *data, u32 length, u32 transport, int protocol) {
    u32 header = 8;
    if (protocol == IPPROTO_TCP) header = transport + 13 < length ? (data[transport + 12] >> 4) * 4U : length;
    return transport && transport + header < length ? transport + header : length;
}

/* Turn one bit of what it carries, or of its transport header where it carries nothing. Whether it did: `undetected`
   takes a checksum to make right again, and something that a program reads. */
static int corrupt(Side *side, unsigned char *data, u32 length) {
    int protocol;
    const u32 transport = transport_of(data, length, &protocol);
    u32 from = payload_of(data, length, transport, protocol);
    const int checked = protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
    if (wanted.undetected && (from == length || !checked)) return 0;
    if (from == length) from = transport ? transport : data[0] >> 4 == 4 ? (data[0] & 15) * 4U : 40;
    if (from >= length) return 0;
    const u64 dice = draw(side);
    const u32 at = from + (u32)((dice >> 3) % (length - from)), even = transport + ((at - transport) & ~1U);
    const u32 before = pair_at(data, even, length);
    data[at] ^= 1 << (dice & 7);
    if (!wanted.undetected) return 1;
    unsigned char *sum = data + transport + (protocol == IPPROTO_TCP ? 16 : 6);
    if (protocol == IPPROTO_UDP && !(sum[0] | sum[1])) return 1;  /* it has none */
    mend(sum, before, pair_at(data, even, length));
    if (protocol == IPPROTO_UDP && !(sum[0] | sum[1])) sum[0] = sum[1] = 0xff;
    return 1;
}
