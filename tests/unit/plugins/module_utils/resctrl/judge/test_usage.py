# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kept a domain from running: by the threads and cgroups that were there at both moments."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.usage import Usage, between


def usage(at, **keys):
    return Usage(at, **{"ran": {1: 10.0, 2: 20.0}, "delayed": {1: 1.0, 2: 2.0}, **keys})


def test_what_was_used_is_added_up_over_vcpus():
    later = usage(14.0, ran={1: 11.0, 2: 23.0}, delayed={1: 1.5, 2: 2.0}, throttled={"a": 2.0}, stalled=3.0)
    found = between(usage(10.0, throttled={"a": 1.0}, stalled=1.0), later)
    assert (found.interval, found.vcpus) == (4.0, 2)
    assert (found.seconds, found.run_delay, found.throttled, found.memory_stall) == (4.0, 0.5, 1.0, 2.0)
    assert found.reasons == {}
    assert found.share(found.seconds) == pytest.approx(0.5)


def test_a_thread_that_came_or_went_or_began_anew_is_left_out():
    found = between(usage(0.0), usage(1.0, ran={2: 5.0, 3: 7.0}, delayed={2: 3.0, 3: 9.0}))
    assert (found.vcpus, found.seconds, found.run_delay) == (0, None, 1.0)
    assert found.reasons == dict.fromkeys(("seconds", "throttled", "memory_stall"), "gone")


def test_what_the_kernel_does_not_tell_is_not_known():
    found = between(usage(0.0), usage(1.0))
    assert found.reasons == {"throttled": "unsupported", "memory_stall": "unsupported"}


def test_a_throttled_cgroup_that_is_new_tells_nothing_of_the_time_before():
    found = between(usage(0.0, throttled={"a": 1.0}), usage(1.0, throttled={"a": 1.5, "b": 9.0}))
    assert found.throttled == pytest.approx(0.5)


@pytest.mark.parametrize("later", [{"b": 9.0}, {"a": 0.5}], ids=["another", "made anew"])
def test_where_all_cgroups_were_replaced_it_is_not_known_for_how_long_they_were_throttled(later):
    found = between(usage(0.0, throttled={"a": 1.0}, stalled=1.0), usage(1.0, throttled=later, stalled=1.0))
    assert (found.throttled, found.memory_stall, found.reasons) == (None, 0.0, {"throttled": "gone"})


@pytest.mark.parametrize(
    ("delayed", "throttled", "waiting"), [(1.0, None, 0.5), (1.0, 0.4, 0.3), (0.2, 1.0, 0.0)], ids=str
)
def test_the_time_in_which_a_limit_held_it_back_is_no_waiting_for_others(delayed, throttled, waiting):
    limits = None if throttled is None else {"a": throttled}
    first = Usage(0.0, {1: 0.0}, {1: 0.0}, None if throttled is None else {"a": 0.0})
    assert between(first, Usage(2.0, {1: 1.0}, {1: delayed}, limits)).waiting == pytest.approx(waiting)


def test_no_share_of_no_time_is_known():
    assert between(usage(1.0), usage(1.0)).share(0.0) is None
