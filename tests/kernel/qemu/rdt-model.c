/*
 * A model of the registers of Intel RDT and AMD QoS for TCG.
 *
 * Copyright (c) 2026 the kvmops.resctrl authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which features there are and how large they are is set by the environment
 * variable QEMU_RDT, a comma separated list of KEY=NUMBER: see knobs[] below.
 *
 * What the counters count is made up.  Every CPU has a current RMID and CLOSID
 * (IA32_PQR_ASSOC).  Whenever that changes, whenever the CPU goes idle or
 * wakes up, and whenever a counter of its L3 domain (= socket) is read, the
 * time since the last such moment is charged to the RMID that was current,
 * unless the CPU was idle in it:
 *
 *   - memory traffic grows by bw bytes per second, localpct of them local;
 *   - cache occupancy grows by fill bytes per second, up to the share of the
 *     L3 that the CLOSID's mask allows; when the L3 is full, all others are
 *     evicted in proportion.
 *
 * A test sets counters through registers that no hardware has, from the inside
 * of the guest, by way of any CPU of the domain (/dev/cpu/N/msr):
 *
 *   0x4f5d0000  which counter: (RMID << 32) | event (1 occupancy, 2 total,
 *               3 local), or (counter id << 32) | 1 << 31 | 1 for a counter
 *               of ABMC.  It is this CPU's choice.
 *   0x4f5d0001  write: IA32_QM_CTR returns this for it from now on, with bit
 *               63 = Error and bit 62 = Unavailable.  Read: what it returns
 *   0x4f5d0002  write anything: it counts again
 *   0x4f5d0003  write: its count becomes so many bytes
 *   0x4f5d0004  1: nothing counts, in any domain; 0: everything counts again
 *   0x4f5d0005  read: writes of IA32_PQR_ASSOC so far, on all CPUs
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "hw/core/cpu.h"
#include "rdt-model.h"

#define MSR_L3_QOS_CFG      0xc81
#define MSR_L2_QOS_CFG      0xc82
#define MSR_QM_EVTSEL       0xc8d
#define MSR_QM_CTR          0xc8e
#define MSR_PQR_ASSOC       0xc8f
#define MSR_L3_MASK         0xc90
#define MSR_RMID_SNC_CONFIG 0xca0
#define MSR_L2_MASK         0xd10
#define MSR_MBA_THROTTLE    0xd50
#define MSR_ABMC_CFG        0xc00003fd
#define MSR_L3_QOS_EXT_CFG  0xc00003ff
#define MSR_EVT_CFG         0xc0000400  /* BMEC: total, local */
#define MSR_TEST_SELECT     0x4f5d0000
#define MSR_TEST_FORCE      0x4f5d0001
#define MSR_TEST_UNFORCE    0x4f5d0002
#define MSR_TEST_SET        0x4f5d0003
#define MSR_TEST_FREEZE     0x4f5d0004
#define MSR_TEST_SWITCHES   0x4f5d0005

#define QM_CTR_ERROR        (1ULL << 63)
#define EVTSEL_EXTENDED     (1ULL << 31)
#define ABMC_CFG_APPLY      (1ULL << 63)
#define ABMC_CFG_COUNT      (1ULL << 62)
#define TRAFFIC_LOCAL       0x15        /* reads, writes, slow memory */
#define TRAFFIC_REMOTE      0x2a
#define TRAFFIC_ALL         0x7f        /* and dirty victims */

enum { OCCUPANCY = 1, TOTAL = 2, LOCAL = 3, EVENTS = 4 };

#define MAX_DOMAINS 128
#define MAX_RMIDS   512
#define MAX_CLOSIDS 16
#define MAX_ABMC    32
#define MAX_CPUS    256

static long rmids = 32, closids = 8, mbaclosids = 8, cbm = 11, l2cbm = 8,
    share = 0x600, scale = 65536, width = 32, events = 7, l3 = 1, l2 = 0,
    mba = 1, cdp = 1, sparse = 0, snc = 1, bmec = 0, abmc = 0,
    bw = 1048576000, localpct = 75, fill = 67108864, l3size = 16777216,
    freeze = 0;

static const struct {
    const char *name;
    long *value, min, max;
} knobs[] = {
    { "rmids", &rmids, 2, MAX_RMIDS },
    { "closids", &closids, 1, MAX_CLOSIDS },        /* of L3 and L2 CAT */
    { "mbaclosids", &mbaclosids, 1, MAX_CLOSIDS },
    { "cbm", &cbm, 1, 32 },                         /* bits of an L3 mask */
    { "l2cbm", &l2cbm, 1, 32 },
    { "share", &share, 0, UINT32_MAX },             /* L3 shareable_bits */
    { "scale", &scale, 1, INT32_MAX },              /* bytes per unit */
    { "width", &width, 24, 62 },                    /* bits of MBM counters */
    { "events", &events, 0, 7 },    /* 1 occupancy, 2 MBM total, 4 MBM local */
    { "l3", &l3, 0, 1 },                            /* L3 CAT */
    { "l2", &l2, 0, 1 },                            /* L2 CAT */
    { "mba", &mba, 0, 1 },                          /* Intel's only */
    { "cdp", &cdp, 0, 1 },
    { "sparse", &sparse, 0, 1 },                    /* masks may have holes */
    { "snc", &snc, 1, 6 },                          /* nodes per socket */
    { "bmec", &bmec, 0, 1 },                        /* AMD */
    { "abmc", &abmc, 0, MAX_ABMC },     /* AMD: assignable counters, 0 none */
    { "bw", &bw, 0, LONG_MAX },                     /* bytes/s per busy CPU */
    { "localpct", &localpct, 0, 100 },
    { "fill", &fill, 0, LONG_MAX },                 /* bytes/s per busy CPU */
    { "l3size", &l3size, 1, LONG_MAX },             /* bytes per domain */
    { "freeze", &freeze, 0, 1 },                    /* nothing counts */
};

typedef struct {
    double bytes;
    uint64_t raw;               /* what IA32_QM_CTR returns if forced */
    bool forced;
} Counter;

static struct {
    Counter counter[MAX_RMIDS][EVENTS];
    Counter abmc_counter[MAX_ABMC];
    uint64_t abmc_cfg[MAX_ABMC];
    uint32_t l3_mask[MAX_CLOSIDS], l2_mask[MAX_CLOSIDS], mba[MAX_CLOSIDS];
    uint64_t l3_cfg, l2_cfg, ext_cfg, event_cfg[2];
    uint64_t snc_config;        /* bit 0: RMIDs are not shared among nodes */
} domains[MAX_DOMAINS];

static struct {
    uint64_t pqr, evtsel, test_select;
    int64_t charged;            /* ns, virtual time */
    int domain, node;           /* socket, sub-NUMA node in it */
    bool seen, idle;
} logical_cpus[MAX_CPUS];

static uint64_t pqr_writes;
static QemuMutex lock;

static void G_NORETURN bad_knob(const char *text)
{
    fprintf(stderr, "QEMU_RDT: not a known key with a number in its range: "
            "'%s'\n", text);
    exit(1);
}

static void set_knob(const char *text)
{
    const char *eq = strchr(text, '=');
    long value;
    int i;

    if (!eq || qemu_strtol(eq + 1, NULL, 0, &value)) {
        bad_knob(text);
    }
    for (i = 0; i < ARRAY_SIZE(knobs); i++) {
        if (strlen(knobs[i].name) == eq - text &&
            !strncmp(text, knobs[i].name, eq - text)) {
            break;
        }
    }
    if (i == ARRAY_SIZE(knobs) || value < knobs[i].min || value > knobs[i].max) {
        bad_knob(text);
    }
    *knobs[i].value = value;
}

static void __attribute__((constructor)) rdt_model_init(void)
{
    g_auto(GStrv) words = g_strsplit(getenv("QEMU_RDT") ?: "", ",", -1);
    int d, i;

    for (i = 0; words[i]; i++) {
        set_knob(words[i]);
    }
    for (d = 0; d < MAX_DOMAINS; d++) {
        for (i = 0; i < MAX_CLOSIDS; i++) {
            domains[d].l3_mask[i] = MAKE_64BIT_MASK(0, cbm);
            domains[d].l2_mask[i] = MAKE_64BIT_MASK(0, l2cbm);
        }
        domains[d].event_cfg[0] = TRAFFIC_ALL;
        domains[d].event_cfg[1] = TRAFFIC_LOCAL;
        domains[d].snc_config = 1;
    }
    qemu_mutex_init(&lock);
}

/* Virtual time; with -icount also from the middle of a translation block. */
static int64_t now_ns(void)
{
    uint32_t can_do_io = current_cpu ? current_cpu->can_do_io : 0;
    int64_t now;

    if (current_cpu) {
        current_cpu->can_do_io = 1;
    }
    now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    if (current_cpu) {
        current_cpu->can_do_io = can_do_io;
    }
    return now;
}

/* The index of a CPU in logical_cpus[]; its entry is filled when it is first seen. */
static int cpu_entry(CPUX86State *env)
{
    int i = env_cpu(env)->cpu_index;

    assert(i < MAX_CPUS);
    if (!logical_cpus[i].seen) {
        X86CPU *cpu = env_archcpu(env);

        logical_cpus[i].domain = MAX(cpu->socket_id, 0) % MAX_DOMAINS;
        logical_cpus[i].node = MAX(cpu->node_id, 0) % snc;
        logical_cpus[i].charged = now_ns();
        logical_cpus[i].seen = true;
    }
    return i;
}

static double traffic(double bytes, uint64_t types)
{
    double local = bytes * localpct / 100;

    return (types & TRAFFIC_LOCAL ? local : 0) +
           (types & TRAFFIC_REMOTE ? bytes - local : 0);
}

static void charge_traffic(int d, uint32_t rmid, double bytes)
{
    int i;

    domains[d].counter[rmid][TOTAL].bytes +=
        traffic(bytes, domains[d].event_cfg[0]);
    domains[d].counter[rmid][LOCAL].bytes +=
        traffic(bytes, domains[d].event_cfg[1]);
    for (i = 0; i < abmc; i++) {
        uint64_t cfg = domains[d].abmc_cfg[i];

        if ((cfg & ABMC_CFG_COUNT) && extract64(cfg, 32, 12) == rmid) {
            domains[d].abmc_counter[i].bytes +=
                traffic(bytes, extract64(cfg, 0, 32));
        }
    }
}

static void charge_occupancy(int d, uint32_t rmid, uint32_t clos, double bytes)
{
    /* With CDP a CLOSID has two masks, the first for data. */
    uint32_t mask = domains[d].l3_mask[(clos << (domains[d].l3_cfg & 1)) %
                                       MAX_CLOSIDS];
    double limit = (double)l3size * ctpop32(mask) / cbm;
    double *mine = &domains[d].counter[rmid][OCCUPANCY].bytes;
    double others = 0;
    int r;

    if (*mine >= limit) {
        return;
    }
    *mine = MIN(*mine + bytes, limit);
    for (r = 0; r < rmids; r++) {
        others += r == rmid ? 0 : domains[d].counter[r][OCCUPANCY].bytes;
    }
    if (*mine + others <= l3size) {
        return;
    }
    for (r = 0; r < rmids; r++) {
        if (r != rmid) {
            domains[d].counter[r][OCCUPANCY].bytes *= (l3size - *mine) / others;
        }
    }
}

/* Charges the time since the last call to the CPU's RMID.  Lock held. */
static void charge(int i, int64_t now)
{
    double seconds = (now - logical_cpus[i].charged) / 1e9;
    uint32_t rmid = logical_cpus[i].pqr, clos = logical_cpus[i].pqr >> 32;
    int d = logical_cpus[i].domain;

    logical_cpus[i].charged = now;
    if (logical_cpus[i].idle || freeze || seconds <= 0) {
        return;
    }
    if (!(domains[d].snc_config & 1)) {
        rmid += logical_cpus[i].node * (rmids / snc);
    }
    charge_traffic(d, rmid % MAX_RMIDS, bw * seconds);
    charge_occupancy(d, rmid % MAX_RMIDS, clos, fill * seconds);
}

static void charge_domain(int d)
{
    int64_t now = now_ns();
    int i;

    for (i = 0; i < MAX_CPUS; i++) {
        if (logical_cpus[i].seen && logical_cpus[i].domain == d) {
            charge(i, now);
        }
    }
}

/* The counter that a value of IA32_QM_EVTSEL selects, or NULL. */
static Counter *find_counter(int d, uint64_t select)
{
    uint32_t event = select & 0xff, id = select >> 32;

    if (select & EVTSEL_EXTENDED) {
        return event == 1 && id < abmc ? &domains[d].abmc_counter[id] : NULL;
    }
    if (event < OCCUPANCY || event > LOCAL || !(events >> (event - 1) & 1) ||
        id >= rmids) {
        return NULL;
    }
    return &domains[d].counter[id][event];
}

static uint64_t read_counter(int d, uint64_t select)
{
    Counter *counter = find_counter(d, select);
    bool occupancy = (select & 0xff) == OCCUPANCY && !(select & EVTSEL_EXTENDED);
    uint64_t units;

    if (!counter) {
        return QM_CTR_ERROR;
    }
    if (counter->forced) {
        return counter->raw;
    }
    charge_domain(d);
    units = counter->bytes / scale;
    return occupancy ? units : extract64(units, 0, width);
}

static void cpuid_monitoring(uint32_t count, uint32_t *eax, uint32_t *ebx,
                             uint32_t *ecx, uint32_t *edx)
{
    switch (count) {
    case 0:
        *ebx = rmids - 1;
        *edx = 1 << 1;
        break;
    case 1:
        *eax = width - 24;
        *ebx = scale;
        *ecx = rmids - 1;
        *edx = events;
        break;
    }
}

static void cpuid_allocation(uint32_t count, uint32_t *eax, uint32_t *ebx,
                             uint32_t *ecx, uint32_t *edx)
{
    if (count == 0) {
        *ebx = l3 << 1 | l2 << 2 | mba << 3;
    } else if ((count == 1 && l3) || (count == 2 && l2)) {
        *eax = (count == 1 ? cbm : l2cbm) - 1;
        *ebx = count == 1 ? share : 0;
        *ecx = cdp << 2 | sparse << 3;
        *edx = closids - 1;
    } else if (count == 3 && mba) {
        *eax = 89;              /* delay of up to 90 %, linear */
        *ecx = 1 << 2;
        *edx = mbaclosids - 1;
    }
}

static void cpuid_amd(uint32_t count, uint32_t *ebx, uint32_t *ecx)
{
    switch (count) {
    case 0:
        *ebx = bmec << 3 | !!abmc << 5;
        break;
    case 3:
        *ebx = bmec ? 2 : 0;    /* configurable events */
        *ecx = bmec || abmc ? TRAFFIC_ALL : 0;
        break;
    case 5:
        *ebx = abmc ? abmc - 1 : 0;
        break;
    }
}

void rdt_model_cpuid(CPUX86State *env, uint32_t leaf, uint32_t count,
                     uint32_t *eax, uint32_t *ebx, uint32_t *ecx, uint32_t *edx)
{
    uint32_t features = env->features[FEAT_7_0_EBX];

    *eax = *ebx = *ecx = *edx = 0;
    if (leaf == 0xf && (features & CPUID_7_0_EBX_CQM)) {
        cpuid_monitoring(count, eax, ebx, ecx, edx);
    } else if (leaf == 0x10 && (features & CPUID_7_0_EBX_RDT_A)) {
        cpuid_allocation(count, eax, ebx, ecx, edx);
    } else if (leaf == 0x80000020 && (features & CPUID_7_0_EBX_CQM)) {
        cpuid_amd(count, ebx, ecx);
    }
}

/* One register, and the arrays of them. */
static bool in_array(uint32_t msr, uint32_t base, uint32_t length)
{
    return msr - base < length;
}

static bool is_mine(CPUX86State *env, uint32_t msr)
{
    if (!(env->features[FEAT_7_0_EBX] &
          (CPUID_7_0_EBX_CQM | CPUID_7_0_EBX_RDT_A))) {
        return false;
    }
    return msr == MSR_L3_QOS_CFG || msr == MSR_L2_QOS_CFG ||
           in_array(msr, MSR_QM_EVTSEL, 3) ||
           in_array(msr, MSR_L3_MASK, MAX_CLOSIDS) ||
           (msr == MSR_RMID_SNC_CONFIG && snc > 1) ||
           in_array(msr, MSR_L2_MASK, MAX_CLOSIDS) ||
           in_array(msr, MSR_MBA_THROTTLE, MAX_CLOSIDS) ||
           ((msr == MSR_ABMC_CFG || msr == MSR_L3_QOS_EXT_CFG) && abmc) ||
           (in_array(msr, MSR_EVT_CFG, 2) && bmec) ||
           in_array(msr, MSR_TEST_SELECT, 6);
}

static bool valid_mask(uint64_t mask, int length)
{
    if (mask >> length) {
        return false;
    }
    if (sparse) {
        return true;
    }
    if (!mask) {
        return false;
    }
    mask >>= ctz64(mask);
    return !(mask & (mask + 1));
}

static bool write_pqr(int i, uint64_t val)
{
    if ((uint32_t)val >= rmids || val >> 32 >= MAX(closids, mbaclosids)) {
        return false;
    }
    charge(i, now_ns());
    logical_cpus[i].pqr = val;
    pqr_writes++;
    return true;
}

static bool write_array(int d, uint32_t msr, uint64_t val)
{
    if (in_array(msr, MSR_L3_MASK, closids) && l3 && valid_mask(val, cbm)) {
        charge_domain(d);
        domains[d].l3_mask[msr - MSR_L3_MASK] = val;
    } else if (in_array(msr, MSR_L2_MASK, closids) && l2 &&
               valid_mask(val, l2cbm)) {
        domains[d].l2_mask[msr - MSR_L2_MASK] = val;
    } else if (in_array(msr, MSR_MBA_THROTTLE, mbaclosids) && mba) {
        domains[d].mba[msr - MSR_MBA_THROTTLE] = val;
    } else if (in_array(msr, MSR_EVT_CFG, 2) && !(val & ~TRAFFIC_ALL)) {
        charge_domain(d);
        domains[d].event_cfg[msr - MSR_EVT_CFG] = val;
    } else {
        return false;
    }
    return true;
}

/* Without the apply bit nothing changes; with it the counter starts anew. */
static bool write_abmc_cfg(int d, uint64_t val)
{
    uint32_t id = extract64(val, 48, 5);

    if (id >= abmc) {
        return false;
    }
    if (val & ABMC_CFG_APPLY) {
        charge_domain(d);
        domains[d].abmc_cfg[id] = val;
        domains[d].abmc_counter[id].bytes = 0;
    }
    return true;
}

static bool write_test(int i, uint32_t msr, uint64_t val)
{
    int d = logical_cpus[i].domain;
    Counter *counter = find_counter(d, logical_cpus[i].test_select);

    if (msr == MSR_TEST_SELECT) {
        logical_cpus[i].test_select = val;
        return find_counter(d, val);
    }
    if (msr == MSR_TEST_FREEZE) {
        for (d = 0; d < MAX_DOMAINS; d++) {
            charge_domain(d);
        }
        freeze = val & 1;
        return true;
    }
    if (!counter) {
        return false;
    }
    switch (msr) {
    case MSR_TEST_FORCE:
        counter->raw = val;
        counter->forced = true;
        return true;
    case MSR_TEST_UNFORCE:
        counter->forced = false;
        return true;
    case MSR_TEST_SET:
        charge_domain(d);
        counter->bytes = val;
        return true;
    default:
        return false;
    }
}

static bool write_register(int i, uint32_t msr, uint64_t val)
{
    int d = logical_cpus[i].domain;

    switch (msr) {
    case MSR_L3_QOS_CFG:
        return val <= 1 && (domains[d].l3_cfg = val, true);
    case MSR_L2_QOS_CFG:
        return val <= 1 && (domains[d].l2_cfg = val, true);
    case MSR_QM_EVTSEL:
        logical_cpus[i].evtsel = val;
        return true;
    case MSR_PQR_ASSOC:
        return write_pqr(i, val);
    case MSR_RMID_SNC_CONFIG:
        charge_domain(d);
        domains[d].snc_config = val;
        return true;
    case MSR_L3_QOS_EXT_CFG:
        domains[d].ext_cfg = val;
        return true;
    case MSR_ABMC_CFG:
        return write_abmc_cfg(d, val);
    case MSR_TEST_SELECT ... MSR_TEST_SWITCHES:
        return write_test(i, msr, val);
    default:                    /* QM_CTR, which is read only, is in none */
        return write_array(d, msr, val);
    }
}

RdtAccess rdt_model_wrmsr(CPUX86State *env, uint32_t msr, uint64_t val)
{
    bool ok;

    if (!is_mine(env, msr)) {
        return RDT_NOT_MINE;
    }
    qemu_mutex_lock(&lock);
    ok = write_register(cpu_entry(env), msr, val);
    qemu_mutex_unlock(&lock);
    return ok ? RDT_DONE : RDT_FAULT;
}

static uint64_t read_register(int i, uint32_t msr)
{
    int d = logical_cpus[i].domain;

    switch (msr) {
    case MSR_L3_QOS_CFG:
        return domains[d].l3_cfg;
    case MSR_L2_QOS_CFG:
        return domains[d].l2_cfg;
    case MSR_QM_EVTSEL:
        return logical_cpus[i].evtsel;
    case MSR_QM_CTR:
        return read_counter(d, logical_cpus[i].evtsel);
    case MSR_PQR_ASSOC:
        return logical_cpus[i].pqr;
    case MSR_L3_MASK ... MSR_L3_MASK + MAX_CLOSIDS - 1:
        return domains[d].l3_mask[msr - MSR_L3_MASK];
    case MSR_RMID_SNC_CONFIG:
        return domains[d].snc_config;
    case MSR_L2_MASK ... MSR_L2_MASK + MAX_CLOSIDS - 1:
        return domains[d].l2_mask[msr - MSR_L2_MASK];
    case MSR_MBA_THROTTLE ... MSR_MBA_THROTTLE + MAX_CLOSIDS - 1:
        return domains[d].mba[msr - MSR_MBA_THROTTLE];
    case MSR_L3_QOS_EXT_CFG:
        return domains[d].ext_cfg;
    case MSR_EVT_CFG ... MSR_EVT_CFG + 1:
        return domains[d].event_cfg[msr - MSR_EVT_CFG];
    case MSR_TEST_SELECT:
        return logical_cpus[i].test_select;
    case MSR_TEST_FORCE:
        return read_counter(d, logical_cpus[i].test_select);
    case MSR_TEST_FREEZE:
        return freeze;
    case MSR_TEST_SWITCHES:
        return pqr_writes;
    default:                    /* the others are write only */
        return 0;
    }
}

RdtAccess rdt_model_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *val)
{
    if (!is_mine(env, msr)) {
        return RDT_NOT_MINE;
    }
    qemu_mutex_lock(&lock);
    *val = read_register(cpu_entry(env), msr);
    qemu_mutex_unlock(&lock);
    return RDT_DONE;
}

void rdt_model_idle(CPUX86State *env, bool idle)
{
    int i;

    if (!(env->features[FEAT_7_0_EBX] & CPUID_7_0_EBX_CQM)) {
        return;
    }
    i = cpu_entry(env);
    if (logical_cpus[i].idle == idle) {
        return;
    }
    qemu_mutex_lock(&lock);
    charge(i, now_ns());
    logical_cpus[i].idle = idle;
    qemu_mutex_unlock(&lock);
}
