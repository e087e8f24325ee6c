# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look-alike of Linux's resctrl filesystem for tests, on FUSE: for any hardware, under several kernels.

``python3 -m emulator MOUNTPOINT --profile NAME --control SOCKET`` mounts it, ``emulator.control.Control`` steers it.
The rules are those of Documentation/filesystems/resctrl.rst and of the kernel's own code, per kernel era:

    profiles    hardware and kernels, and the named combinations of them
    kernfs      files, directories and their modes          groups      what a resource group is
    model       mkdir, rmdir, rename, reads and writes      info        the info directory
    tasks       which thread is where, and inheritance      proc        the machine's threads
    limbo       RMIDs and when one is free again            status      last_cmd_status
    schemata    allocation                                  cpus        cpus, cpus_list
    monitor     what mon_data reads                         counters    the model of the hardware's counters
    assign      assignable counters                         telemetry   energy and performance events of packages
    domains     caches and nodes that are online            procfs      a /proc with cpu_resctrl_groups
    filesystem  the FUSE front                              mounting    mount points
    observer    log and faults                              control     the control socket

Only the values of the counters are made up. Not there: mount options other than debug and ro, single CPUs going on- and
offline, the effect of cpus on counters, CDP, L2 and slow memory allocation, pseudo-locking, Arm.
"""
