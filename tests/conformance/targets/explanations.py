# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why rules are tried at one target and not at another, for the table in docs/conformance.md."""

from __future__ import annotations

BY_NEED = {
    "perf": "No guest's processor has telemetry of packages: for the kernel this is from reading its source.",
    "mpam": "No guest's processor is one of Arm: for the kernel this is from reading its source (7.3).",
}
"""For what no target of a kind has."""

BY_RULE = {
    "001": "An emulator is of the type fuse.resctrl, and no part of the kernel.",
    "002": "Before an emulator is mounted its mount point is any directory.",
    "004": "Every emulator is a machine of its own.",
    "005": "Every emulator is a machine of its own.",
    "011": "statfs cannot be answered with another filesystem's number by FUSE.",
    "066": "FUSE answers ESTALE for what was opened in a removed directory, before the emulator is asked.",
    "101": "An emulator knows threads by their numbers in its own pid namespace.",
    "127": "Mounting an emulator is starting a program.",
    "128": "cpu_resctrl_groups is the kernel's: an emulator's look-alike of /proc has tests of its own.",
    "129": "An emulator cannot be remounted.",
    "130": "The emulator has no code and data prioritization.",
    "150": "FUSE does not report the exceptional condition that kernfs reports.",
    "162": "FUSE has names of up to 1024 bytes.",
    "177": "A write of no bytes does not reach an emulator.",
    "275": "The emulator has no software controller.",
    "276": "Tried in guests with sub-NUMA clustering. The emulator has no software controller.",
    "210": "An emulator has no hardware counter behind its numbers.",
}
"""For single rules; these go before the ones by need."""
