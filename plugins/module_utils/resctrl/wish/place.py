# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a host keeps what is wished, and what it notes of turns.

It needs no more than this to see that there is nothing, as on most hosts.
"""

from __future__ import annotations

DIRECTORY = "/etc/kvmops-resctrl"
# Gone after a reboot, as all groups are, and as the monotonic clock's times are worth nothing then
TURNS = "/run/kvmops-resctrl/turns/turns.json"
