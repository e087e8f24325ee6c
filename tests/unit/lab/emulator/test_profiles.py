# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles and the settings on the command line."""

from __future__ import annotations

import re

import pytest

from emulator.model import Resctrl
from emulator.profiles import ERAS, EVENTS, PROFILES, load, machine_l3, mask_width


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_boots(name):
    profile = load(name)
    assert profile.problems() == []
    assert Resctrl(profile).root.find("info/last_cmd_status")


def test_by_default_it_is_this_machines_cache():
    ids, size = machine_l3()
    assert (load("intel-6.1").l3_ids, load("intel-6.1").l3_size) == (ids, size)


@pytest.mark.parametrize(
    ("size", "bits"), [(32 << 20, 16), (35 << 20, 16), (30 << 20, 16), (36864 << 10, 16), (11 << 10, 11)]
)
def test_a_bit_of_the_mask_is_a_whole_number_of_kib(size, bits):
    assert mask_width(size) == bits
    assert size % (bits << 10) == 0


def test_the_root_leaves_half_of_the_cache_to_be_allocated():
    profile = load("intel-6.1", ["cbm_bits=11"])
    assert profile.initial_mask == 0b11111
    assert profile.full_mask == 0x7FF


def test_settings_are_converted_to_the_fields_types():
    profile = load(
        "intel-6.1", ["num_rmids=0x8", "era=7.3", "l3_ids=0,1", "events=llc_occupancy", "alloc=", "debug=yes"]
    )
    assert (profile.num_rmids, profile.era, profile.l3_ids) == (8, ERAS["7.3"], (0, 1))
    assert (profile.events, profile.alloc, profile.debug) == (EVENTS[:1], (), True)


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("nonsense", [], "no profile 'nonsense'"),
        ("intel-6.1", ["nonsense=1"], "'nonsense=1' is not KEY=VALUE"),
        ("intel-6.1", ["num_rmids"], "'num_rmids' is not KEY=VALUE"),
        ("intel-6.1", ["num_rmids=many"], "bad value in 'num_rmids=many'"),
        ("intel-6.1", ["era=2.6"], "bad value in 'era=2.6'"),
        ("intel-6.1", ["debug=perhaps"], "bad value in 'debug=perhaps'"),
        ("intel-6.1", ["vendor=RISC-V"], "vendors are Intel, AMD and Arm"),
        ("intel-6.1", ["vendor=Arm"], "Arm has pmgs, and nobody else; Arm is known from 7.3 on"),
        ("amd-abmc", ["pmgs=2"], "Arm has pmgs, and nobody else"),
        ("arm-mpam", ["abmc_counters=0"], "Arm counts mbm_total_bytes, by abmc_counters"),
        ("arm-mpam", ["events=mbm_total_bytes,mbm_local_bytes"], "never mbm_local_bytes"),
        ("intel-6.1", ["abmc_counters=8"], "from 6.18 on"),
        ("intel-6.1", ["snc_nodes=2"], "from 6.11 on"),
        ("intel-6.1", ["debug=1"], "from 6.7 on"),
        ("intel-6.1", ["events=", "alloc="], "no resctrl"),
        ("intel-6.1", ["events=mbm_local_bytes,llc_occupancy"], "in this order"),
        ("intel-6.1", ["l3_ids=0,0"], "each once"),
        ("intel-6.1", ["num_rmids=0"], "at least 1"),
        ("snc", ["num_rmids=1"], "at least 1"),
        ("intel-6.1", ["root_mask=0x10000"], "root_mask"),
        ("intel-6.1", ["telemetry=core_energy"], "from 7.0 on"),
        ("intel-7.3", ["telemetry=activity,core_energy"], "in this order"),
        ("intel-aet", ["packages=0"], "at least 1"),
        ("intel-aet", ["telemetry_rmids=0"], "at least 1"),
        ("intel-6.1", ["l3_ids=0,1", "run_on=2"], "run_on names a cache"),
    ],
)
def test_machines_that_cannot_be(name, settings, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        load(name, settings)
