# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be allocated, and what groups may use: where the kernel writes what is not expected, less is known."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.allocation import (
    Rules,
    parse_schemata,
    rules,
    schemata,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import Group

INTEL = {
    "info/L3/cbm_mask": "7ff",
    "info/L3/min_cbm_bits": "2",
    "info/MB/min_bandwidth": "10",
    "info/MB/bandwidth_gran": "10",
    "schemata": "    MB:0=100;1= 50\n    L3:0=7ff;1=00f",
}


@pytest.fixture(name="resctrl")
def resctrl_fixture(tmp_path, write):
    """Writes files and gives the resctrl."""

    def made(files):
        write({name: f"{text}\n" for name, text in files.items()})
        return Resctrl(str(tmp_path))

    return made


def test_a_host_that_can_allocate_both_has_rules_for_both(resctrl):
    assert rules(resctrl(INTEL)) == Rules(0x7FF, 2, (10, 10))


def test_a_host_that_can_allocate_nothing_has_none(resctrl):
    assert rules(resctrl({})) == Rules()
    assert schemata(resctrl({}), Group("gone")) == {}


@pytest.mark.parametrize(
    ("file", "known"),
    [
        ("info/L3/cbm_mask", Rules(0, 2, (10, 10))),
        ("info/L3/min_cbm_bits", Rules(0x7FF, 1, (10, 10))),
        ("info/MB/min_bandwidth", Rules(0x7FF, 2)),
        ("info/MB/bandwidth_gran", Rules(0x7FF, 2)),
        # Whether it is in percent cannot be told
        ("schemata", Rules(0x7FF, 2)),
    ],
)
def test_a_text_that_is_no_number_takes_no_other_rule_away(resctrl, file, known):
    assert rules(resctrl({**INTEL, file: "MB:0=max"})) == known


def test_bandwidth_that_is_not_in_percent_has_no_rule(resctrl):
    assert rules(resctrl({**INTEL, "schemata": "MB:0=2048;1=100"})).bandwidth is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (INTEL["schemata"], {"MB": {0: 100, 1: 50}, "L3": {0: 0x7FF, 1: 0xF}}),
        ("MB:0=max", {"MB": {}}),
        ("MB:0=100;1=", {"MB": {0: 100}}),
        ("L3:x=f;1=0g;2=f;;3", {"L3": {2: 15}}),
        ("nothing", {}),
    ],
)
def test_a_pair_that_is_none_is_left_out(text, found):
    assert parse_schemata(text) == found
