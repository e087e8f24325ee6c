# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/performance.md says of real kernels was measured, and the library chooses by it."""

from __future__ import annotations

import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests/bench"))

import recorded  # noqa: E402  # in that folder

RECORDED = recorded.read()
LOOKS = [one for measured in RECORDED["kernels"].values() for one in measured["location"]]


def test_the_page_has_what_is_recorded_of_real_kernels():
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    sections = recorded.sections()
    assert all(sections.values())
    assert [name for name, text in sections.items() if text not in page] == []


def test_the_visits_for_which_the_library_takes_a_file_are_near_those_measured_with_the_most_threads():
    measured = {one["threads"]: one["file"] / one["visit"] for one in RECORDED["visits"]}
    assert 0.5 < 200 / measured[max(measured)] < 2


def test_each_way_was_chosen_where_it_is_the_cheaper_one_by_visits():
    chosen = set()
    for one in LOOKS:
        ways = one["ways"]
        asking = 200 * ways["asked"]["cpu_resctrl_groups"]
        listing = (200 + one["threads"]) * ways["listed"]["tasks"]
        assert (ways["chosen"]["cpu_resctrl_groups"] > 0) is (asking <= listing)
        chosen.add(asking <= listing)
    assert chosen == {True, False}


def test_on_a_real_kernel_no_counter_no_threads_and_no_status_file_are_read_twice():
    for one in LOOKS:
        assert not [path for path in one["repeated"] if path.endswith(("/tasks", "/cpu_resctrl_groups", ".xml"))]
        assert not [path for path in one["repeated"] if "/mon_data/" in path]
