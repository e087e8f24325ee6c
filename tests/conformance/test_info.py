# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes to files of info."""

from __future__ import annotations

from errno import EINVAL, ERANGE

import pytest
from targets.checks import fails

rule = pytest.mark.rule
pytestmark = rule(needs="l3-mon")

THRESHOLD = "info/L3_MON/max_threshold_occupancy"
MODE = "info/L3_MON/mbm_assign_mode"
CONFIG = "info/L3_MON/mbm_total_bytes_config"


@pytest.fixture(name="threshold")
def threshold_fixture(fs):
    """max_threshold_occupancy, which is restored."""
    before = fs.read(THRESHOLD)
    yield int(before)
    fs.write(THRESHOLD, before)


@pytest.mark.usefixtures("threshold")
def test_118_bad_thresholds(fs):
    """max_threshold_occupancy takes no negative number, no text, and no more than /proc/cpuinfo's cache size: EINVAL"""
    for text in ("-1", "x", f"{fs.cache_size() + 1}"):
        with fails(EINVAL):
            fs.write(THRESHOLD, f"{text}\n")


@rule(since="6.18", needs="no-abmc no-mpam")
def test_119_assign_mode(fs):
    """without assignable counters mbm_assign_mode takes default with a newline only: else EINVAL"""
    for text in ("mbm_event\n", "default", "other\n"):
        with fails(EINVAL):
            fs.write(MODE, text)
    fs.write(MODE, "default\n")
    assert fs.read(MODE) == "[default]\n"


def test_215_threshold_is_rounded(fs, threshold):
    """max_threshold_occupancy is rounded down to a multiple of the scale"""
    scale, most = fs.scale(), fs.cache_size()
    for written, read in ((scale - 1, 0), (scale, scale), (2 * scale - 1, scale), (most, most // scale * scale)):
        fs.write(THRESHOLD, f"{written}\n")
        assert fs.read(THRESHOLD) == f"{read}\n"
    assert threshold % scale == 0


@pytest.mark.usefixtures("threshold")
def test_216_huge_threshold(fs):
    """max_threshold_occupancy takes no number of more than 32 bits: ERANGE"""
    with fails(ERANGE):
        fs.write(THRESHOLD, "99999999999\n")


@pytest.mark.usefixtures("threshold")
def test_217_threshold_in_any_base(fs):
    """max_threshold_occupancy may be hexadecimal or octal"""
    scale = fs.scale()
    for text in (hex(scale), f"0{scale:o}"):
        fs.write(THRESHOLD, "0\n")
        fs.write(THRESHOLD, f"{text}\n")
        assert fs.read(THRESHOLD) == f"{scale}\n"


@rule(since="6.3", needs="bmec")
def test_271_event_configuration(fs):
    """what a configurable event counts is a hexadecimal mask for each domain: all seven kinds of traffic"""
    assert fs.read(CONFIG) == ";".join(f"{l3_id}=0x7f" for l3_id in fs.domains()) + "\n"


@rule(since="6.3", needs="bmec")
def test_272_event_configuration_needs_a_newline(fs):
    """a configuration without its newline is refused: EINVAL; so is an unknown domain, and a mask of eight bits"""
    [first, *_others] = fs.domains()
    for text in (f"{first}=0x7f", "77=0x7f\n", f"{first}=0x80\n"):
        with fails(EINVAL):
            fs.write(CONFIG, text)


@rule(since="6.3", needs="bmec destructive")
def test_273_event_configuration_of_a_domain(fs):
    """a configuration changes in the domains that a write names"""
    first, *others = fs.domains()
    fs.write(CONFIG, f"{first}=0x15\n")
    try:
        assert fs.read(CONFIG) == ";".join([f"{first}=0x15", *(f"{l3_id}=0x7f" for l3_id in others)]) + "\n"
    finally:
        fs.write(CONFIG, f"{first}=0x7f\n")


@rule(since="6.3", needs="bmec")
def test_274_configurable_features(fs):
    """mon_features says which events are configurable"""
    lines = fs.read("info/L3_MON/mon_features").split()
    assert lines[-2:] == ["mbm_local_bytes", "mbm_local_bytes_config"]
