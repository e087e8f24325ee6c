# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look costs the kernel: to list the threads of one group it walks all threads of the system.

Where it tells a thread's group (cpu_resctrl_groups), threads are listed of few groups only, unless few threads run.
"""

from __future__ import annotations

import re

import pytest
from modules import succeeded


def listed(host, module="resctrl_mon", **options):
    """The groups whose threads a run listed, each as often as it did."""
    host.control.clear_log()
    succeeded(host.run(module, **options))
    return [one.path.removesuffix("/tasks") for one in host.control.log("open") if one.path.endswith("/tasks")]


@pytest.fixture
def crowd(make_host):
    """A host whose kernel tells groups, with 20 enabled domains and 5 groups of others."""
    host = make_host("intel-6.12", "num_rmids=64", tells_groups=True)
    for number in range(20):
        host.enable(host.domains.add(f"vm{number}"))
    for number in range(5):
        host.make_group(f"mon_groups/pqos-1-{number}")
    return host


def ours(host):
    """The groups of ours."""
    return {group for group in host.groups() if "kvmops-" in group}


def test_a_run_that_finds_everything_as_wished_lists_the_threads_of_one_group_of_ours(crowd):
    (group,) = listed(crowd, name="*")
    assert group in ours(crowd)


def test_each_group_of_ours_has_its_turn(crowd):
    """So that strangers in it are found, sooner or later. Whose turn it is changes by the second."""
    seen = set()
    for _run in range(200):
        seen.update(listed(crowd, name="vm1"))
        if len(seen) > 2:
            break
    assert len(seen) > 2
    assert seen <= ours(crowd)


def test_only_candidates_for_removal_are_listed_besides(crowd):
    crowd.domains.stop("vm3")
    stale = crowd.group(crowd.domains["vm3"])
    groups = listed(crowd, name="*", check=True)
    assert stale in groups
    assert len(set(groups)) <= 2


def test_a_run_about_one_domain_lists_no_more_than_one_about_all(crowd):
    assert len(listed(crowd, name="vm7")) == 1
    assert len(listed(crowd, name="vm7", state="disabled", check=True)) == 1


def test_a_domain_of_which_no_thread_is_in_its_group_is_looked_for_there(crowd):
    vm3 = crowd.domains.start("vm3")
    groups = listed(crowd, name="*", check=True)
    assert crowd.group(vm3) in groups
    assert len(set(groups)) <= 2


def test_statistics_list_no_more_than_a_run_does(crowd):
    assert len(listed(crowd, "resctrl_stats")) == 1


@pytest.mark.parametrize("threads", [20000, 100], ids=["threads are asked for", "threads are listed"])
@pytest.mark.parametrize("verb", ["metrics", "enforce", "status"])
def test_the_agent_reads_nothing_twice_that_stays_the_same(make_host, make_agent, threads, verb):
    host = make_host("intel-6.12", "l3_ids=0,1", tells_groups=True, threads=threads)
    agent = make_agent(host)
    agent.declare(default="enabled")
    domains = [host.domains.add(f"vm{number}") for number in range(3)]
    for domain in domains:
        host.enable(domain)
    opened = agent.opened(verb)
    for kind, times in (
        ("mon_groups/kvmops-.*/mon_data/.*/.*", 18 if verb == "metrics" else 0),
        ("/cpu_resctrl_groups", 9 if threads == 20000 else 0),
        ("/tasks", 1 if threads == 20000 else 3),
        (r"/run/libvirt/qemu/vm\d\.xml", 3),
    ):
        paths = [path for path in opened if re.search(f"{kind}$", path)]
        assert sorted(paths) == sorted(set(paths))
        assert len(paths) == times
    constant = [path for path in opened if re.search("/info/[^/]*/(mon_features|num_rmids)$", path)]
    assert f"{host.resctrl}/info/L3_MON/mon_features" in constant
    assert sorted(constant) == sorted(set(constant))


def test_where_few_threads_run_those_of_each_group_are_listed(make_host):
    host = make_host("intel-6.12", tells_groups=True, threads=100)
    for name in ("vm1", "vm2"):
        host.enable(host.domains.add(name))
    assert sorted(listed(host, name="*")) == sorted(host.groups())


@pytest.mark.parametrize("threads", [20000, 100], ids=["threads are asked for", "threads are listed"])
def test_the_threads_of_each_holder_are_counted_without_listing_them_twice(make_host, threads):
    host = make_host("intel-6.12", tells_groups=True, threads=threads)
    for name in ("vm1", "vm2"):
        host.enable(host.domains.add(name))
    host.make_group("mon_groups/pqos-1-1")
    assert sorted(listed(host, "resctrl_info")) == sorted(host.groups())


def test_where_the_kernel_does_not_tell_groups_only_those_of_others_are_spared(make_host):
    host = make_host("intel-6.12")
    for name in ("vm1", "vm2"):
        host.enable(host.domains.add(name))
    host.make_group("mon_groups/pqos-1-1")
    # The main threads are in no group, and could be in any
    assert set(listed(host, name="*")) == set(host.groups())
    # All threads of the domains are found in groups of ours
    succeeded(host.run("resctrl_mon", name="*", scope="domain"))
    assert set(listed(host, name="*", scope="domain")) == ours(host)
