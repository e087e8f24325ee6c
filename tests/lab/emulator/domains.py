# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The L3 caches and their sub-NUMA nodes that are online: those of which at least one CPU is."""

from __future__ import annotations

import errno

from .kstr import fail
from .profiles import Profile


class Domains:
    """What is online of the machine ``profile``. At first everything is."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._offline: set[int] = set()

    @property
    def l3_ids(self) -> tuple[int, ...]:
        """The caches."""
        return tuple(l3_id for l3_id in self.profile.l3_ids if self.nodes(l3_id))

    def nodes(self, l3_id: int) -> tuple[int, ...]:
        """The nodes of a cache; the one domain with the cache's own id without sub-NUMA clustering."""
        return tuple(node for node in self.profile.nodes(l3_id) if node not in self._offline)

    @property
    def all_nodes(self) -> tuple[int, ...]:
        """The nodes of all caches."""
        return tuple(node for l3_id in self.profile.l3_ids for node in self.nodes(l3_id))

    def switch(self, l3_id: int, node: int | None, online: bool) -> list[int]:
        """Let a node of a cache, or with None all of them, go off- or online; those of them that were not so before.

        Raises OSError EINVAL for a cache or node that does not exist, EBUSY where nothing would be left online.
        """
        known = self.profile.nodes(l3_id) if l3_id in self.profile.l3_ids else ()
        chosen = [one for one in known if node in (None, one)]
        if not chosen:
            fail(errno.EINVAL)
        if not online and set(self.all_nodes) <= set(chosen):
            fail(errno.EBUSY)
        changed = [one for one in chosen if (one in self._offline) == online]
        self._offline.symmetric_difference_update(changed)
        return changed
