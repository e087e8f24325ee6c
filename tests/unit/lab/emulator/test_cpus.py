# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cpus and cpus_list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.cpus import parse_list, parse_mask, show_list, show_mask


@given(st.integers(1, 200), st.data())
def test_a_mask_is_read_back_in_both_forms(cpus, data):
    mask = data.draw(st.integers(0, (1 << cpus) - 1))
    assert parse_mask(show_mask(mask, cpus), cpus) == mask
    assert parse_list(show_list(mask), cpus) == mask


@pytest.mark.parametrize(
    ("cpus", "text"), [(2, "0\n"), (4, "0\n"), (8, "00\n"), (32, "00000000\n"), (36, "0,00000000\n")]
)
def test_a_mask_is_as_wide_as_the_machine(cpus, text):
    assert show_mask(0, cpus) == text


def test_no_cpus_are_an_empty_line():
    assert show_list(0) == "\n"


def test_the_root_starts_with_all_of_them(kernel):
    kernel.mkdir("mon_groups/m")
    assert kernel.read("cpus") == "f\n"
    assert kernel.read("cpus_list") == "0-3\n"
    assert kernel.read("mon_groups/m/cpus") == "0\n"


def test_a_mon_group_takes_them_from_its_siblings_not_from_its_parent(kernel):
    for name in "ab":
        kernel.mkdir(f"mon_groups/{name}")
    kernel.write("mon_groups/a/cpus", "1\n")
    kernel.write("mon_groups/b/cpus_list", "0,2-3\n")
    assert [kernel.read(f"{path}cpus_list") for path in ("mon_groups/a/", "mon_groups/b/", "")] == [
        "\n",
        "0,2-3\n",
        "0-3\n",
    ]


def test_a_control_group_takes_them_from_all_others_and_gives_them_back_to_the_root(kernel):
    kernel.mkdir("c")
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/cpus_list", "1-2\n")
    kernel.write("c/cpus_list", "2-3\n")
    assert [kernel.read(f"{path}cpus_list") for path in ("", "mon_groups/m/", "c/")] == ["0-1\n", "1\n", "2-3\n"]
    kernel.write("c/cpus_list", "3\n")
    assert kernel.read("cpus_list") == "0-2\n"
    kernel.rmdir("c")
    assert kernel.read("cpus_list") == "0-3\n"


@pytest.mark.parametrize(
    ("path", "text", "name", "message"),
    [
        ("cpus_list", "0-2\n", "EINVAL", "Can't drop CPUs from default group\n"),
        ("mon_groups/m/cpus", "100\n", "EOVERFLOW", "Bad CPU list/mask\n"),
        ("mon_groups/m/cpus", "zz\n", "EINVAL", "Bad CPU list/mask\n"),
        ("mon_groups/m/cpus_list", "99999\n", "ERANGE", "Bad CPU list/mask\n"),
        ("mon_groups/m/cpus_list", "3-1\n", "EINVAL", "Bad CPU list/mask\n"),
        ("c/mon_groups/k/cpus_list", "0\n", "EINVAL", "Can only add CPUs to mongroup that belong to parent\n"),
    ],
)
def test_what_is_refused(kernel, fails, *, path, text, name, message):
    for group in ("c", "mon_groups/m", "c/mon_groups/k"):
        kernel.mkdir(group)
    with fails(name):
        kernel.write(path, text)
    assert kernel.status == message


def test_messages_add_up_before_7_3(kernel, fails):
    kernel.mkdir("mon_groups/m")
    for _time in range(2):
        with fails("EINVAL"):
            kernel.write("mon_groups/m/cpus", "zz\n")
    times = 1 if kernel.resctrl.profile.era.name == "7.3" else 2
    assert kernel.status == "Bad CPU list/mask\n" * times
