# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests on emulators and lab hosts need: root and /dev/fuse.

What is missing fails under CI=true, and skips elsewhere.
"""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run here, unless nothing may be skipped."""
    missing = [
        what for what, there in (("root", os.geteuid() == 0), ("/dev/fuse", os.path.exists("/dev/fuse"))) if not there
    ]
    if missing and os.environ.get("CI") != "true":
        for item in items:
            item.add_marker(pytest.mark.skip(reason=f"needs {' and '.join(missing)}"))
