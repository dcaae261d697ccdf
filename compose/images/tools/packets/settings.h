/* What is asked for, as KEY=VALUE. */

enum { UNIFORM, NORMAL, PARETO, PARETONORMAL };
#define MILLION 1e6
#define HOUR 3.6e9

static struct {
    u64 seed;                               /* of both directions' chances */
    int distribution;                       /* how the jitter is spread */
    double delay, jitter;                   /* microseconds */
    double loss, duplicate, corrupt;        /* millionths */
    double delay_correlation, loss_correlation;  /* percent: with the packet before */
    double undetected;                      /* whether what was corrupted gets a right checksum */
    double reorder, hold;                   /* millionths, held back for microseconds while others pass */
    double rate, burst;                     /* bytes a second, 0: any; bytes that pass at once */
    double limit;                           /* packets held in each direction; more are dropped */
} wanted = {.hold = 10000, .burst = 16384, .limit = 10000};

static const struct { const char *key; double *place, least, most; } keys[] = {
    {"delay", &wanted.delay, 0, HOUR},
    {"jitter", &wanted.jitter, 0, HOUR},
    {"delay-correlation", &wanted.delay_correlation, 0, 100},
    {"loss", &wanted.loss, 0, MILLION},
    {"loss-correlation", &wanted.loss_correlation, 0, 100},
    {"duplicate", &wanted.duplicate, 0, MILLION},
    {"corrupt", &wanted.corrupt, 0, MILLION},
    {"undetected", &wanted.undetected, 0, 1},
    {"reorder", &wanted.reorder, 0, MILLION},
    {"hold", &wanted.hold, 0, HOUR},
    {"rate", &wanted.rate, 1, 1e12},
    {"burst", &wanted.burst, 1, 1e9},
    {"limit", &wanted.limit, 1, MILLION},
};

static const char *const distributions[] = {"uniform", "normal", "pareto", "paretonormal"};

static int read_distribution(const char *value) {
    for (wanted.distribution = 0; wanted.distribution <= PARETONORMAL; wanted.distribution++)
        if (!strcmp(value, distributions[wanted.distribution])) return 1;
    return 0;
}

/* Whether it is one, of a known key and within its bounds. */
static int read_setting(const char *text) {
    const size_t length = strcspn(text, "=");
    const char *value = text + length + (text[length] == '=');
    char *end;
    if (!strncmp(text, "distribution=", length + 1)) return read_distribution(value);
    if (*value < '0' || *value > '9') return 0;
    if (!strncmp(text, "seed=", length + 1)) {
        wanted.seed = strtoull(value, &end, 10);
        return !*end;
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strlen(keys[i].key) != length || strncmp(keys[i].key, text, length)) continue;
        *keys[i].place = strtod(value, &end);
        return !*end && *keys[i].place >= keys[i].least && *keys[i].place <= keys[i].most;
    }
    return 0;
}

/* Whether packets of TCP that go out are carried: the kernel is told that they are dropped, and they are sent anew when
   their time has come. As long as it had them they would count as the sender's, and TCP lets only two of them wait on
   the own machine: no more than some 100 KB of a connection would ever be on their way. (To a shaper that is right.) For
   a millisecond that is no limit, and what is not carried passes in pieces of 64 KiB. */
static int carries(void) { return wanted.delay + wanted.jitter > 1000 || wanted.reorder; }

/* Whether all of a packet must be here. */
static int takes_all(void) { return wanted.duplicate || wanted.corrupt || carries(); }

/* Whether the kernel must cut up what it handles as one: where each packet of the wire has a fate of its own, or where
   one piece (64 KiB) takes longer than a millisecond. */
static int judges_each(void) {
    return takes_all() || wanted.loss || (wanted.rate && wanted.rate < 64 * MILLION);
}
