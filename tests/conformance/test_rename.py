# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renaming of MON groups."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENOENT, EPERM

import pytest
from targets import syscalls
from targets.checks import fails
from waiting import wait_until

rule = pytest.mark.rule
pytestmark = rule(needs="mon")


@rule(until="6.2")
def test_067_no_renaming(fs):
    """renaming a group fails: EPERM"""
    fs.make("mon_groups/m")
    with fails(EPERM):
        fs.rename("mon_groups/m", "mon_groups/n")


@rule(since="6.5")
def test_068_renaming(fs, member):
    """a MON group can be renamed and keeps its threads"""
    fs.rename("mon_groups/m", "mon_groups/n")
    assert (fs.names("mon_groups"), fs.tasks("mon_groups/n")) == ({"n"}, [member.pid])
    assert fs.place(member.pid) == "res:/\nmon:n\n"


@rule(since="6.5")
def test_069_onto_another_group(fs):
    """renaming onto another group fails: EEXIST"""
    for group in ("mon_groups/m", "mon_groups/n"):
        fs.make(group)
    with fails(EEXIST):
        fs.rename("mon_groups/m", "mon_groups/n")


@rule(since="6.5")
def test_070_only_to_mon_groups(fs):
    """renaming to elsewhere than below mon_groups fails: EPERM, Destination must be a mon_groups subdirectory"""
    fs.make("mon_groups/m")
    with fails(EPERM):
        fs.rename("mon_groups/m", "m")
    assert fs.status() == "Destination must be a mon_groups subdirectory\n"


@rule(since="6.5", needs="alloc")
def test_071_no_control_groups(fs):
    """renaming a CTRL_MON group fails: EPERM, Source must be a MON group"""
    fs.make("c")
    with fails(EPERM):
        fs.rename("c", "d")
    assert fs.status() == "Source must be a MON group\n"


@rule(since="6.5", needs="alloc")
def test_072_to_another_control_group(fs, member):
    """a MON group renamed to below another CTRL_MON group takes its threads there"""
    fs.make("c")
    fs.rename("mon_groups/m", "c/mon_groups/m")
    assert fs.place(member.pid) == "res:c\nmon:m\n"
    assert member.pid not in fs.tasks("")


@rule(since="6.5")
def test_073_no_flags(fs):
    """renameat2 with RENAME_NOREPLACE fails: EINVAL"""
    fs.make("mon_groups/m")
    with fails(EINVAL):
        syscalls.rename_without_replacing(fs.at("mon_groups/m"), fs.at("mon_groups/n"))


@rule(since="6.5", needs="mbm")
def test_187_renaming_keeps_counts(fs, member):
    """a renamed group keeps its bandwidth counts"""

    def counted():
        member.spin(0.003)
        return fs.sum("mon_groups/m", "mbm_total_bytes")

    wait_until(counted, "a count")
    before = counted()
    fs.rename("mon_groups/m", "mon_groups/n")
    assert fs.sum("mon_groups/n", "mbm_total_bytes") >= before > 0


@rule(since="6.5")
def test_188_no_renaming_of_info(fs):
    """renaming info, or a group to below info, fails: ENOENT"""
    fs.make("mon_groups/m")
    with fails(ENOENT):
        fs.rename("info", "x")
    with fails(ENOENT):
        fs.rename("mon_groups/m", "info/m")


@rule(until="6.2")
def test_189_no_renaming_of_info(fs):
    """renaming info fails: EPERM"""
    with fails(EPERM):
        fs.rename("info", "x")


@rule(since="6.5")
def test_190_not_called_mon_groups(fs):
    """renaming a group to mon_groups fails: EPERM"""
    fs.make("mon_groups/m")
    with fails(EPERM):
        fs.rename("mon_groups/m", "mon_groups/mon_groups")
    assert fs.status() == "Destination must be a mon_groups subdirectory\n"


@rule(since="6.5", needs="alloc")
def test_191_not_into_a_control_group(fs):
    """renaming a group to right below a CTRL_MON group fails: EPERM"""
    fs.make("c")
    fs.make("mon_groups/m")
    with fails(EPERM):
        fs.rename("mon_groups/m", "c/m")
    assert fs.status() == "Destination must be a mon_groups subdirectory\n"


@rule(since="6.5")
def test_192_no_files(fs):
    """renaming a file fails: EPERM, Source and destination must be directories (no newline)"""
    fs.make("mon_groups/m")
    with fails(EPERM):
        fs.rename("mon_groups/m/tasks", "mon_groups/n")
    assert fs.status() == "Source and destination must be directories"


@rule(since="6.5", needs="alloc two-cpus")
def test_193_groups_with_cpus_stay(fs):
    """a MON group with CPUs cannot go to another CTRL_MON group: EPERM"""
    fs.make("c")
    fs.make("mon_groups/m")
    fs.write("mon_groups/m/cpus_list", "1\n")
    with fails(EPERM):
        fs.rename("mon_groups/m", "c/mon_groups/m")
    assert fs.status() == "Cannot move a MON group that monitors CPUs\n"


@rule(since="6.5")
def test_194_same_name(fs):
    """renaming a group to its own name succeeds"""
    fs.make("mon_groups/m")
    fs.rename("mon_groups/m", "mon_groups/m")
    assert fs.names("mon_groups") == {"m"}
