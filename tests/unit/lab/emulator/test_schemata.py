# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocation: schemata, size, mode, bit_usage. The texts are those of real kernels on 11 bits and two caches."""

from __future__ import annotations

import pytest

from emulator.schemata import Allocation

ELEVEN_BITS = {"l3_ids": (0, 1), "l3_size": 16 << 20, "cbm_bits": 11, "root_mask": 0x7FF, "shareable_bits": 0x600}


@pytest.mark.parametrize(
    ("era", "text"),
    [
        ("5.10", "    L3:0=00f;1=03f\n    MB:0= 70;1= 20\n"),
        ("6.1", "    MB:0= 70;1= 20\n    L3:0=00f;1=03f\n"),
        ("6.12", "    MB:0= 70;1= 20\n    L3:0=00f;1=03f\n"),
        ("7.3", "    MB:0=70;1=20\n    L3:0=f;1=3f\n"),
    ],
)
def test_how_it_prints(boot, era, text):
    kernel = boot(era=era, **ELEVEN_BITS)
    kernel.mkdir("c")
    kernel.write("c/schemata", "L3:0=f;1=3f\nMB:0=61;1=13\n")
    assert kernel.read("c/schemata") == text


def test_values_share_the_width_of_the_widest(boot):
    assert boot().read("schemata") == "    MB:0= 100\n    L3:0=00ff\n"


def test_a_new_group_gets_what_is_unused_or_shareable(boot):
    kernel = boot(**ELEVEN_BITS)
    kernel.mkdir("c")
    assert kernel.read("c/schemata") == "    MB:0=100;1=100\n    L3:0=7ff;1=7ff\n"
    assert kernel.read("c/size") == "    MB:0=100;1=100\n    L3:0=16777211;1=16777211\n"


def test_size_counts_whole_bits(boot):
    kernel = boot(**ELEVEN_BITS)
    kernel.mkdir("c")
    kernel.write("c/schemata", "L3:0=f;1=3f\n")
    assert kernel.read("c/size").endswith("L3:0=6100804;1=9151206\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "Missing ':'\n"),
        ("L3 0=f\n", "Missing ':'\n"),
        ("L3:\n", "Missing 'L3' value\n"),
        ("L9:0=f\n", "Unknown or unsupported resource name 'L9'\n"),
        ("L3:0=0\n", "Mask out of range\n"),
        ("L3:0=fff\n", "Mask out of range\n"),
        ("L3:0=5\n", "The mask 5 has non-consecutive 1-bits\n"),
        ("L3:0=xyz\n", "Non-hex character in the mask xyz\n"),
        ("L3:0=f;0=f\n", "Duplicate domain 0\n"),
        ("L3:2=f\n", "ok\n"),
        (" L3 : 0 = 3 ; 1 = 3\n", "Missing '=' or non-numeric domain\n"),
        ("MB:0=5\n", "MB value 5 out of range [10,100]\n"),
        ("MB:0=200\n", "MB value 200 out of range [10,100]\n"),
        ("MB:0=\n", "Invalid MB value \n"),
    ],
)
def test_what_is_refused_and_why(boot, fails, text, message):
    kernel = boot(**ELEVEN_BITS)
    kernel.mkdir("c")
    with fails("EINVAL"):
        kernel.write("c/schemata", text)
    assert kernel.status == message


def test_one_bad_line_and_no_line_counts(boot, fails):
    kernel = boot(**ELEVEN_BITS)
    kernel.mkdir("c")
    before = kernel.read("c/schemata")
    with fails("EINVAL"):
        kernel.write("c/schemata", "L3:0=7\nMB:0=700\n")
    assert kernel.read("c/schemata") == before


def test_amd_takes_masks_with_holes(boot):
    kernel = boot("amd-bmec")
    kernel.write("schemata", "L3:0=5\n")
    assert kernel.read("schemata").endswith("L3:0=0005\n")
    assert kernel.read("info/L3/sparse_masks") == "1\n"


def test_libvirts_own_write(boot):
    kernel = boot()
    kernel.mkdir("qemu-1-vm2-vcpus_0-1")
    kernel.write("qemu-1-vm2-vcpus_0-1/schemata", "L3:0=0300\nMB:0=50\n")
    assert kernel.read("qemu-1-vm2-vcpus_0-1/schemata") == "    MB:0=  50\n    L3:0=0300\n"


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("exclusive", "Schemata overlaps\n"),
        ("pseudo-locksetup", "Pseudo-locking not supported\n"),
        ("pseudo-locked", "Unknown or unsupported mode\n"),
        ("bogus", "Unknown or unsupported mode\n"),
    ],
)
def test_modes_that_are_refused(boot, fails, mode, message):
    kernel = boot(**ELEVEN_BITS)
    kernel.mkdir("c")
    with fails("EINVAL"):
        kernel.write("c/mode", f"{mode}\n")
    assert kernel.status == message
    assert kernel.read("c/mode") == "shareable\n"


def test_an_exclusive_group_keeps_its_bits_for_itself(boot, fails):
    kernel = boot()
    kernel.mkdir("c")
    kernel.write("c/schemata", "L3:0=ff00\n")
    kernel.write("c/mode", "exclusive\n")
    with fails("EINVAL"):
        kernel.write("schemata", "L3:0=1ff\n")
    assert kernel.status == "Overlaps with exclusive group\n"
    with fails("EINVAL"):
        kernel.write("c/schemata", "L3:0=ff80\n")
    assert kernel.status == "Overlaps with other group\n"
    assert kernel.read("info/L3/bit_usage") == "0=EEEEEEEESSSSSSSS\n"
    kernel.mkdir("d")
    assert kernel.read("d/schemata").endswith("L3:0=00ff\n")


def test_no_bits_are_left_for_a_new_group(boot, fails):
    kernel = boot()
    kernel.mkdir("c")
    kernel.write("c/schemata", "L3:0=ff00\n")
    kernel.write("c/mode", "exclusive\n")
    kernel.write("mode", "exclusive\n")
    free = kernel.resctrl.snapshot()["rmids"]["free"]
    with fails("ENOSPC"):
        kernel.mkdir("d")
    assert kernel.status == "No space on L3:0\nFailed to initialize allocations\n"
    assert not kernel.exists("d")
    assert sorted(kernel.resctrl.snapshot()["rmids"]["free"]) == sorted(free)


def test_bit_usage_shows_hardware_software_and_unused(boot):
    assert boot(**ELEVEN_BITS).read("info/L3/bit_usage") == "0=XXSSSSSSSSS;1=XXSSSSSSSSS\n"
    assert boot().read("info/L3/bit_usage") == "0=00000000SSSSSSSS\n"


@pytest.mark.parametrize(("mask", "run"), [(0b0110, 0b0110), (0b1011, 0b0011), (0b100, 0b100), (0, 0)])
def test_a_new_group_gets_the_lowest_run_of_bits(mask, run):
    assert Allocation._first_run(mask) == run


def test_cache_allocation_without_bandwidth(boot):
    kernel = boot(alloc=("L3",))
    assert kernel.read("schemata") == "    L3:0=00ff\n"
    assert "MB" not in kernel.names("info")
