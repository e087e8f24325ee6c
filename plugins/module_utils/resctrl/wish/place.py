# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a host keeps what is wished. It needs no more than this to see that there is nothing, as on most hosts."""

from __future__ import annotations

DIRECTORY = "/etc/kvmops-resctrl"
