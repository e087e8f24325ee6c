# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cpus and cpus_list."""

from __future__ import annotations

import re
from errno import EINVAL, EOVERFLOW, ERANGE

import pytest
from targets.checks import fails

rule = pytest.mark.rule
pytestmark = rule(needs="two-cpus")


def all_cpus(fs):
    """The root's CPUs, as mask and as list."""
    return fs.read("cpus"), fs.read("cpus_list")


def test_120_the_root_drops_no_cpu(fs):
    """the root group drops no CPU: EINVAL, Can't drop CPUs from default group"""
    before = all_cpus(fs)
    with fails(EINVAL):
        fs.write("cpus_list", "0\n")
    assert fs.status().splitlines()[-1] == "Can't drop CPUs from default group"
    assert all_cpus(fs) == before


def test_121_no_such_cpu(fs):
    """a CPU that cannot be is refused: ERANGE, EINVAL or EOVERFLOW, and last_cmd_status says why"""
    with fails(ERANGE, EINVAL, EOVERFLOW):
        fs.write("cpus_list", "99999\n")
    assert fs.status().splitlines()[-1] in ("Bad CPU list/mask", "Can only assign online CPUs")


@rule(needs="alloc mon")
def test_122_only_the_parents_cpus(fs):
    """a MON group gets only CPUs of its CTRL_MON group: EINVAL"""
    fs.make("c")
    fs.make("c/mon_groups/k")
    with fails(EINVAL):
        fs.write("c/mon_groups/k/cpus_list", "0\n")
    assert fs.status().splitlines()[-1] == "Can only add CPUs to mongroup that belong to parent"


def test_218_format(fs):
    """the root has all CPUs: cpus is a mask in hexadecimal digits, cpus_list has ranges"""
    mask, ranges = all_cpus(fs)
    assert re.fullmatch(r"[0-9a-f]+(,[0-9a-f]{8})*\n", mask)
    numbers = [part.split("-") for part in ranges.strip().split(",")]
    count = sum(int(part[-1]) - int(part[0]) + 1 for part in numbers)
    assert bin(int(mask.replace(",", ""), 16)).count("1") == count


@rule(needs="mon")
def test_219_new_groups_have_none(fs):
    """a new group has no CPU: a mask of zeros, an empty list"""
    group = fs.make("mon_groups/m")
    assert (int(fs.read(f"{group}/cpus").replace(",", ""), 16), fs.read(f"{group}/cpus_list")) == (0, "\n")
    assert len(fs.read(f"{group}/cpus")) == len(fs.read("cpus"))


@rule(needs="mon")
def test_220_mon_group_and_parent(fs):
    """a CPU of a MON group stays one of its CTRL_MON group too"""
    before = all_cpus(fs)
    group = fs.make("mon_groups/m")
    fs.write(f"{group}/cpus", "1\n")
    assert (int(fs.read(f"{group}/cpus").replace(",", ""), 16), fs.read(f"{group}/cpus_list")) == (1, "0\n")
    assert all_cpus(fs) == before


@rule(needs="mon")
def test_221_one_mon_group_per_cpu(fs):
    """a CPU written to another MON group leaves the first"""
    first, second = fs.make("mon_groups/m"), fs.make("mon_groups/n")
    fs.write(f"{first}/cpus_list", "0-1\n")
    fs.write(f"{second}/cpus_list", "1\n")
    assert (fs.read(f"{first}/cpus_list"), fs.read(f"{second}/cpus_list")) == ("0\n", "1\n")


@rule(needs="mon")
def test_222_too_big_a_mask(fs):
    """a mask with a CPU that cannot be is refused: EOVERFLOW, Bad CPU list/mask"""
    group = fs.make("mon_groups/m")
    with fails(EOVERFLOW):
        fs.write(f"{group}/cpus", "f" * len(fs.read("cpus")) + "\n")
    assert fs.status().splitlines()[-1] == "Bad CPU list/mask"


@rule(needs="mon")
def test_223_no_mask(fs):
    """what is no mask is refused: EINVAL, Bad CPU list/mask"""
    group = fs.make("mon_groups/m")
    with fails(EINVAL):
        fs.write(f"{group}/cpus", "zz\n")
    assert fs.status().splitlines()[-1] == "Bad CPU list/mask"


@rule(needs="mon")
def test_224_nothing(fs):
    """a newline only, or 0, takes all CPUs from a MON group"""
    group = fs.make("mon_groups/m")
    for text in ("\n", "0\n"):
        fs.write(f"{group}/cpus", "1\n")
        fs.write(f"{group}/cpus", text)
        assert fs.read(f"{group}/cpus_list") == "\n"


@rule(needs="alloc")
def test_225_control_groups_take_from_the_root(fs):
    """a CPU written to a CTRL_MON group leaves the root, and comes back when that drops it or is removed"""
    before = all_cpus(fs)
    fs.make("c")
    fs.write("c/cpus_list", "1\n")
    without = fs.read("cpus_list")
    fs.write("c/cpus_list", "\n")
    assert (all_cpus(fs), without != before[1]) == (before, True)
    fs.write("c/cpus_list", "1\n")
    fs.rmdir("c")
    assert all_cpus(fs) == before


@rule(needs="alloc mon")
def test_226_mon_groups_lose_them_too(fs):
    """a CPU that a CTRL_MON group takes leaves the root's MON group too"""
    fs.make("c")
    fs.make("mon_groups/m")
    fs.write("mon_groups/m/cpus_list", "1\n")
    fs.write("c/cpus_list", "1\n")
    assert fs.read("mon_groups/m/cpus_list") == "\n"
