# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole hypervisor hosts on one machine: libvirtd, QEMU, sshd, the resctrl emulator, in namespaces of their own."""

from __future__ import annotations

from tuning import Cachetune, Energytune, Memorytune

from .domains import domain_xml
from .errors import LabError
from .host import Host
from .lab import Lab

__all__ = ["Cachetune", "Energytune", "Host", "Lab", "LabError", "Memorytune", "domain_xml"]
