# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests see and disturb: logged operations, and faults. Both ends of the control socket use these."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Operation:
    """One operation on the mount.

    ``kind`` is open, read, write, readdir, mkdir, rmdir, rename, chmod or chown; ``path`` is below the mount point;
    ``data`` is what a write wrote, a rename's new path, a chmod's octal mode or a chown's UID:GID; ``errno`` is 0 if it
    succeeded; ``tid`` is the thread that asked. A file's content is produced by the read at offset 0: only that one is
    logged, and counts for faults.
    """

    kind: str
    path: str
    data: str
    errno: int
    tid: int


@dataclass
class Fault:
    """Something that happens at operations of a ``kind`` ("": any) whose whole path matches the expression ``path``.

    It happens at the ``nth`` such operation after it was armed and at the following ones, ``times`` in all (0: for
    ever). In this order: wait ``delay`` seconds; remove the group ``remove`` as another tool would; send SIGKILL to
    the caller if ``kill`` (the operation is not done then); fail with ``errno``. With neither kill nor errno the
    operation goes on. ``seen`` counts the operations that matched.
    """

    kind: str = ""
    path: str = ".*"
    nth: int = 1
    times: int = 1
    delay: float = 0.0
    remove: str | None = None
    kill: bool = False
    errno: int = 0
    seen: int = 0

    def strikes(self, kind: str, path: str) -> bool:
        """Count an operation; whether the fault happens at it."""
        if self.kind not in ("", kind) or not re.fullmatch(self.path, path):
            return False
        self.seen += 1
        return self.seen >= self.nth and (not self.times or self.seen < self.nth + self.times)
