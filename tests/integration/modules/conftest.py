# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of stand-in domains and an emulated resctrl, a fresh one for each test."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import time

import pytest
from agents import Agent
from cpu_limit import cpu_limit
from emulated_host import EmulatedHost
from neighbours import Planted
from waiting import wait_until

# Where threads are is found out in two ways: the kernel tells a thread's group, or the threads of each group are listed
BOTH_WAYS = ("test_resctrl_mon", "test_resctrl_mon_failures")


def pytest_generate_tests(metafunc):
    """What resctrl_mon does on `host` is the same either way."""
    if "host" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in BOTH_WAYS:
        metafunc.parametrize("host", [False, True], ids=["lists threads", "tells groups"], indirect=True)


@pytest.fixture
def make_host(tmp_path):
    """Makes a host: make_host(profile of the emulator, its settings..., options of EmulatedHost)."""
    with contextlib.ExitStack() as stack:
        numbers = itertools.count()

        def make(profile="intel-6.1", *settings, **options):
            directory = tmp_path / f"host{next(numbers)}"
            directory.mkdir()
            return stack.enter_context(EmulatedHost(directory, profile, settings, **options))

        yield make


@pytest.fixture
def host(request, make_host):
    """A host on which everything can be monitored."""
    return make_host(tells_groups=getattr(request, "param", False))


@pytest.fixture
def sample_twice():
    """The statistics of a domain over two samples between which something happens: sample_twice(host, name, action)."""

    def sample(host, name, between):
        host.control.clear_log()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            run = pool.submit(host.stats, name, interval=1)
            wait_until(lambda: [one for one in host.control.log("read") if "/mon_data/" in one.path], "a sample")
            # The rest of the sample; the next one is a second away
            time.sleep(0.4)
            between()
            return run.result()

    return sample


@pytest.fixture
def plant(tmp_path):
    """Plants a situation on a host of its own: plant(situation) -> Planted."""
    with contextlib.ExitStack() as limits, contextlib.ExitStack() as hosts:
        # A cgroup can go only after the processes in it

        def make(situation):
            directory = tmp_path / "host"
            directory.mkdir()
            profile, *settings = situation.profile
            host = hosts.enter_context(EmulatedHost(directory, profile, settings))
            host.domains.have_caches(situation.caches)
            planted = Planted(host, lambda share: str(limits.enter_context(cpu_limit(share))))
            situation.plant(planted)
            return planted

        yield make


@pytest.fixture
def make_agent():
    """Makes the agent of a host: make_agent(host)."""
    return Agent


@pytest.fixture
def background():
    """Runs something beside the test: background(callable, arguments...) gives a future."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        yield pool.submit
