# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups that were renamed (Linux from 6.5 on): what check mode and diff mode tell is what a run leads to."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(params=[False, True], ids=["lists threads", "tells groups"], name="host")
def host_fixture(request, make_host):
    """A host with the domains vm3, which is monitored, and vm4, which is not."""
    host = make_host("intel-6.12", tells_groups=request.param)
    host.enable(host.domains.add("vm3"))
    host.domains.add("vm4")
    return host


def rename(host, old, new):
    """Rename a group as another program would."""
    os.rename(host.seen(old), host.seen(new))


def the_same(host, **options):
    """The result of a run, which has to be what check mode told before; what a further run has to do is nothing."""
    told = host.run("resctrl_mon", **options, check=True, diff=True)
    done = host.run("resctrl_mon", **options, diff=True)
    assert told == done
    again = host.run("resctrl_mon", **options, diff=True)
    assert not again["changed"]
    assert again["diff"]["before"] == done["diff"]["after"]
    return done


@pytest.mark.parametrize("name", ["vm3", "vm4", "*"])
@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_a_group_that_bears_another_domains_name(host, name, state):
    """It counts vm3, and says that it counts vm4."""
    vm3, vm4 = host.domains["vm3"], host.domains["vm4"]
    rename(host, host.group(vm3), host.group(vm4))
    the_same(host, name=name, state=state)


@pytest.mark.parametrize("scope", ["vcpus", "domain"])
def test_groups_that_bear_each_others_names(host, scope):
    vm3, vm4 = host.domains["vm3"], host.domains["vm4"]
    host.enable(vm4)
    rename(host, host.group(vm3), "mon_groups/passing")
    rename(host, host.group(vm4), host.group(vm3))
    rename(host, "mon_groups/passing", host.group(vm4))
    the_same(host, name="*", scope=scope)


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_a_group_that_was_moved_into_an_allocation(host, state):
    vm3 = host.domains["vm3"]
    host.make_group("COS1")
    rename(host, host.group(vm3), host.group(vm3, "COS1"))
    the_same(host, name="vm3", state=state)
    assert host.groups().get(host.group(vm3, "COS1")) == ({*vm3.vcpus.values()} if state == "enabled" else None)


@pytest.mark.parametrize("takeover", [False, True])
def test_a_group_that_bears_a_strangers_name(host, takeover):
    rename(host, host.group(host.domains["vm3"]), "mon_groups/stranger")
    result = the_same(host, name="vm3", takeover=takeover)
    assert result["domains"][0]["code"] == (None if takeover else "foreign_group")
