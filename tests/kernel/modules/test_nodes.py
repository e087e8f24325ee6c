# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rates where sockets have sub-NUMA clusters: CPUs 0 and 1 are the nodes of cache 0, CPUs 2 and 3 those of cache 1."""

from __future__ import annotations

import pytest
from sampled import (
    RATE,
    bandwidth,
    between_samples,
    cache_rates,
    cpus_are_back,
    gives_reason,
    kernels_count,
    switch_cpu,
)


def test_where_a_node_went_offline_within_the_interval_its_cache_has_no_rate(host):
    """The kernel's sum over the nodes goes up all the same, without what the lost node had counted."""
    vm3 = host.domains.add("vm3")
    with bandwidth() as set_units:
        for cpu in range(4):
            set_units(cpu, 0, node=cpu % 2)
        group = host.enable(vm3)
        for cpu in range(4):
            set_units(cpu, 100, node=cpu % 2)
        with cpus_are_back(1), between_samples(host, 8) as domains:
            first = {cache: kernels_count(group, cache) for cache in (0, 1)}
            switch_cpu(1, online=False)
            set_units(0, 1100)
            set_units(2, 1100)
            second = {cache: kernels_count(group, cache) for cache in (0, 1)}
    assert second[0] > first[0] > 0, "the kernel's sum does not show the loss"
    rates = domains["vm3"]["rates"]
    assert rates[RATE] is None
    known = pytest.approx((second[1] - first[1]) / rates["seconds"], rel=1e-3)
    caches = cache_rates(rates)
    assert (caches[0][RATE], caches[1][RATE]) == (None, known)
    assert rates["partial"][RATE] == known
    assert gives_reason(caches[0])
    assert gives_reason(rates)
