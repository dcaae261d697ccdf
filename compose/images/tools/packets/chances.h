/* What befalls a packet: from the seed, its direction, and the packets of that direction before it. */

#include <math.h>

enum { FLOWS = 4096 };

/* One direction. */
typedef struct {
    u64 state;               /* of its generator */
    int lost_before, has_before;
    double before;           /* the last packet's place in the jitter, as a normal deviate */
    u64 full_at;             /* when its bucket would be full, were all that was sent later gone (ns) */
    u64 last[FLOWS];         /* when the last packet of each flow goes on (ns) */
    u32 held;
    u64 packets, bytes, delayed, dropped, overflown, duplicated, corrupted, reordered, late;
} Side;

typedef struct { int lost, twice, corrupt, late; } Fate;

/* ---- The generator: splitmix64 ---- */

static u64 mix(u64 x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static u64 draw(Side *side) { return mix(side->state += 0x9e3779b97f4a7c15); }
static double fraction(Side *side) { return (draw(side) >> 11) * 0x1p-53; }
static int chance(Side *side, double share) { return share > 0 && fraction(side) < share; }

static double deviate(Side *side) {
    const double distance = sqrt(-2 * log(1 - fraction(side)));
    return distance * cos(2 * M_PI * fraction(side));
}

/* ---- Fates ---- */

/* With a correlation c the share stays what it is, and a packet is c likelier to fare as the one before it: lost with
   share + c (1 - share) after a lost one, with share (1 - c) after another. */
static Fate fate_of(Side *side) {
    const double share = wanted.loss / MILLION, c = wanted.loss_correlation / 100.0;
    Fate fate = {.lost = chance(side, share ? share * (1 - c) + (side->lost_before ? c : 0) : 0)};
    side->lost_before = fate.lost;
    fate.twice = chance(side, wanted.duplicate / MILLION);
    fate.corrupt = chance(side, wanted.corrupt / MILLION);
    fate.late = chance(side, wanted.reorder / MILLION);
    return fate;
}

/* The tail's share x of the Pareto distribution of tc-netem: of shape 3, its mean at 0, cut off at 4. */
static double pareto(double x) { return fmin(4, (pow(x, -1.0 / 3) - 1.5) * 4 / 3); }

/* In jitters. As tc-netem's tables have it: uniform from -1 to 1; normal, with the jitter as its standard deviation
   (cut off at 4 of them); pareto; a quarter of normal and three of pareto. Correlated packets are correlated normal
   deviates, of which the distribution is then made: so it stays what it is. */
static double spread(Side *side) {
    const double c = wanted.delay_correlation / 100.0, fresh = deviate(side);
    const double z = side->has_before ? c * side->before + sqrt(1 - c * c) * fresh : fresh;
    const double tail = erfc(z / M_SQRT2) / 2, normal = fmax(-4, fmin(4, z));
    side->has_before = 1, side->before = z;
    switch (wanted.distribution) {
    case NORMAL: return normal;
    case PARETO: return pareto(tail);
    case PARETONORMAL: return fmin(4, (normal + 3 * pareto(tail)) / 4);
    default: return 1 - 2 * tail;
    }
}

/* ---- When it goes on ---- */

/* Token bucket: when as many bytes have flown in as it has. One larger than the bucket waits until it would be below
   empty, so that it passes too. */
static u64 after_the_bucket(Side *side, u64 time, u32 length) {
    const u64 cost = (u64)(length * 1e9 / wanted.rate), depth = (u64)(wanted.burst * 1e9 / wanted.rate);
    if (side->full_at < time) side->full_at = time;
    side->full_at += cost;
    return side->full_at > time + depth ? side->full_at - depth : time;
}

/* None of a flow overtakes another, but those that are behind one that is held back. */
static u64 due_of(Side *side, const Fate *fate, u64 time, u32 length, u32 flow) {
    double delay = wanted.delay * 1e3;
    u64 due = wanted.rate ? after_the_bucket(side, time, length) : time;
    if (wanted.jitter) delay += wanted.jitter * 1e3 * spread(side);
    if (delay > 0) due += (u64)delay;
    if (fate->late) return due + wanted.hold * 1000;
    if (due < side->last[flow % FLOWS]) due = side->last[flow % FLOWS];
    return side->last[flow % FLOWS] = due;
}
