# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests for these tests: one for each kernel, as long as they need it."""

from __future__ import annotations

import pathlib
import re
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from guest import Guest, Machine
from products import KERNELS, kernels

# What the kernel says when something is wrong with it, or with the hardware that it believes to have.
TROUBLE = re.compile(r".*(?:BUG|WARNING|Oops|unchecked MSR access).*")
# Of those that are tested
NEWEST = max(kernels(), key=KERNELS.index)


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line("markers", "since(kernel): the first kernel that knows what is tested")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects what none of the kernels knows."""
    since = [(item, item.get_closest_marker("since")) for item in items]
    out = [item for item, mark in since if mark and KERNELS.index(mark.args[0]) > KERNELS.index(NEWEST)]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


@pytest.fixture
def newest() -> str:
    """The newest of the kernels."""
    return NEWEST


@pytest.fixture(scope="session", params=kernels())
def guest(request: pytest.FixtureRequest) -> t.Iterator[Guest]:
    """A guest of each kernel with resctrl mounted."""
    with Guest(Machine(kernel=request.param)) as guest:
        guest.shell("mount -t resctrl resctrl /sys/fs/resctrl")
        yield guest
        assert not TROUBLE.findall(guest.shell("dmesg"))
