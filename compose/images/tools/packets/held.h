/* The packets that are held, by when they go on; those of one moment in the order in which they came. */

typedef struct {
    u64 due, order;
    u32 id, length, device;
    u32 mark, seen_by;       /* that it has when it goes on: see copies.h */
    int side, twice, changed;
    int carried;             /* the kernel has it no more: it is sent anew */
    unsigned char *bytes;    /* 0, unless it is sent twice, changed or carried */
} Held;

static struct { Held *all; u32 count; u64 orders; } held;

static int before(const Held *a, const Held *b) {
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

/* There is room: see `limit`. */
static void hold(Held one) {
    u32 at = held.count++;
    one.order = held.orders++;
    for (; at && before(&one, held.all + (at - 1) / 2); at = (at - 1) / 2) held.all[at] = held.all[(at - 1) / 2];
    held.all[at] = one;
}

static Held take_first(void) {
    const Held first = held.all[0], last = held.all[--held.count];
    u32 at = 0;
    for (u32 child; (child = 2 * at + 1) < held.count; at = child) {
        child += child + 1 < held.count && before(held.all + child + 1, held.all + child);
        if (!before(held.all + child, &last)) break;
        held.all[at] = held.all[child];
    }
    held.all[at] = last;
    return first;
}
