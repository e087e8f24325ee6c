# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of stand-in domains and an emulated resctrl, a fresh one for each test."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools

import pytest
from emulated_host import EmulatedHost


@pytest.fixture
def make_host(tmp_path):
    """Makes a host: make_host(profile of the emulator, its settings...)."""
    with contextlib.ExitStack() as stack:
        numbers = itertools.count()

        def make(profile="intel-6.1", *settings):
            directory = tmp_path / f"host{next(numbers)}"
            directory.mkdir()
            return stack.enter_context(EmulatedHost(directory, profile, settings))

        yield make


@pytest.fixture
def host(make_host):
    """A host on which everything can be monitored."""
    return make_host()


@pytest.fixture
def background():
    """Runs something beside the test: background(callable, arguments...) gives a future."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        yield pool.submit
