# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real domains on hosts of other Debian releases, which tests/releases/run chooses."""

from __future__ import annotations

import os
import re

import pytest
from hypervisor import domains, host, hv

from hosts import roots

__all__ = ["domains", "host", "hv"]


def _release() -> str:
    release = os.environ.get("KVMOPS_LAB_RELEASE")
    if not release:
        raise pytest.UsageError("KVMOPS_LAB_RELEASE names no release: use tests/releases/run")
    roots.make(release)
    return release


def pytest_report_header() -> str:
    """What the tests are run on."""
    return roots.found(_release())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A file whose libvirt (LIBVIRT, the first version that has what it is about) is newer than the release's is left
    out: there is nothing to be tried.
    """
    found = _numbers(roots.version(_release(), "libvirt"))
    newer = [item for item in items if _numbers(getattr(item.module, "LIBVIRT", "0")) > found]  # type: ignore[attr-defined]
    config.hook.pytest_deselected(items=newer)
    items[:] = [item for item in items if item not in newer]


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", version)[:2]]
