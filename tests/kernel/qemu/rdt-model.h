/*
 * A model of the registers of Intel RDT and AMD QoS for TCG: see rdt-model.c
 *
 * Copyright (c) 2026 the kvmops.resctrl authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef I386_RDT_MODEL_H
#define I386_RDT_MODEL_H

#include "cpu.h"

#define CPUID_7_0_EBX_CQM   (1U << 12)
#define CPUID_7_0_EBX_RDT_A (1U << 15)

/* Leaves 0xf, 0x10 and 0x80000020. */
void rdt_model_cpuid(CPUX86State *env, uint32_t leaf, uint32_t count,
                     uint32_t *eax, uint32_t *ebx, uint32_t *ecx, uint32_t *edx);

typedef enum {
    RDT_NOT_MINE,               /* the register is not one of the model's */
    RDT_DONE,
    RDT_FAULT,                  /* #GP(0) */
} RdtAccess;

RdtAccess rdt_model_wrmsr(CPUX86State *env, uint32_t msr, uint64_t val);
RdtAccess rdt_model_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *val);

/* The CPU enters HLT, or is woken up. */
void rdt_model_idle(CPUX86State *env, bool idle);

#endif
