# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups that count CPUs: whose count lacks a domain that is counted by a group of its own."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.cpu_groups import groups_of_cpus
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.location import Location
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import Kernel, Threads
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    LIBVIRT,
    PQOS,
    PQOS_MONITOR,
    uuid,
    vm,
)

OURS = group_for(uuid(1), ROOT)


class Pinned(Threads):
    """Every thread may run on the CPUs 0 to 3."""

    def allowed_cpus(self, _pid, _tid):
        return "0-3"


@pytest.fixture(name="found")
def found_fixture(tmp_path):
    """The groups found for vm1, where groups have CPUs, and its threads are somewhere."""
    kernel = Kernel(tmp_path)

    def answer(cpus, where=None, looked_into=None):
        for group, text in cpus.items():
            (tmp_path / group.path).mkdir(parents=True, exist_ok=True)
            (tmp_path / group.path / "cpus_list").write_text(f"{text}\n")
        location = Location(sorted(cpus))
        location.of, location.looked_into = where or {}, looked_into
        return groups_of_cpus(kernel, Pinned({}), [vm(1)], location), location.warnings

    return answer


def test_a_group_that_has_a_cpu_of_the_domain_is_found(found):
    assert found({PQOS: "8,2", PQOS_MONITOR: "3"}) == ({uuid(1): (PQOS_MONITOR, PQOS)}, [])


@pytest.mark.parametrize("cpus", ["", "4-7"])
def test_one_without_its_cpus_is_not(found, cpus):
    assert found({PQOS: cpus}) == ({}, [])


def test_a_domain_in_our_group_in_the_root_would_be_counted_by_its_cpu(found):
    assert found({PQOS: "2"}, {1001: OURS, 1002: OURS})[0] == {uuid(1): (PQOS,)}


def test_a_domain_in_a_group_of_its_own_is_not_counted_by_its_cpu(found):
    assert found({PQOS: "2"}, {1001: LIBVIRT, 1002: PQOS_MONITOR})[0] == {}


def test_a_group_of_ours_with_cpus_is_damage(found):
    groups, warnings = found({OURS: "0-1"}, looked_into=OURS)
    assert groups == {}
    assert len(warnings) == 1
    assert "counts CPUs (0-1)" in warnings[0]
