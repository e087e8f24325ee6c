# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real domains on a host of the lab."""

from __future__ import annotations

from hypervisor import domains, host, hv

__all__ = ["domains", "host", "hv"]
