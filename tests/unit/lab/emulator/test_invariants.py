# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds after any sequence of operations, whichever of them fail."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from emulator.kernfs import Caller
from emulator.limbo import Clock
from emulator.model import Resctrl
from emulator.profiles import ERAS, load

NAMES = ["a", "b", "c"]
CONTROLS = ["", *NAMES]
MON_GROUPS = [f"{control}/mon_groups/{name}".lstrip("/") for control in CONTROLS for name in NAMES]
GROUPS = CONTROLS + MON_GROUPS


class Operations(RuleBasedStateMachine):
    """Groups, threads and time, on a machine with few RMIDs. ``era`` and ``new_machine`` are set by the test."""

    era: str
    new_machine: type

    def __init__(self):
        super().__init__()
        self.machine = self.new_machine()
        self.root = Caller(self.machine.spawn())
        self.clock = Clock(source=lambda: 0.0)
        profile = replace(load("few-rmids", ["num_rmids=6", "num_closids=3"]), era=ERAS[self.era], l3_ids=(0, 1))
        self.resctrl = Resctrl(profile, self.machine, self.clock)

    def a_thread(self, data):
        """One of the threads, or a number of none."""
        return data.draw(st.sampled_from([*self.machine.all, 999999]))

    @rule(path=st.sampled_from(GROUPS))
    def mkdir(self, path):
        """Make a group."""
        with contextlib.suppress(OSError):
            self.resctrl.mkdir(path, 0o755, self.root)

    @rule(path=st.sampled_from(GROUPS))
    def rmdir(self, path):
        """Remove a group."""
        with contextlib.suppress(OSError):
            self.resctrl.rmdir(path)

    @rule(old=st.sampled_from(GROUPS), new=st.sampled_from(MON_GROUPS))
    def rename(self, old, new):
        """Rename a group."""
        with contextlib.suppress(OSError):
            self.resctrl.rename(old, new)

    @rule(data=st.data(), path=st.sampled_from(GROUPS))
    def move(self, data, path):
        """Write a thread to a tasks file."""
        with contextlib.suppress(OSError):
            file = self.resctrl.root.find(f"{path}/tasks")
            self.resctrl.write(file, str(self.a_thread(data)).encode(), self.root)

    @rule(data=st.data())
    def fork(self, data):
        """A thread makes a process."""
        tid = self.a_thread(data)
        if tid in self.machine.all:
            self.machine.spawn(parent=tid)

    @rule(data=st.data())
    def clone(self, data):
        """A process gets a thread."""
        tid = self.a_thread(data)
        if tid in self.machine.all:
            self.machine.clone(self.machine.all[tid].tgid)

    @rule(data=st.data())
    def end(self, data):
        """A process ends with all its threads."""
        tid = self.a_thread(data)
        if tid in self.machine.all and tid != self.root.tid:
            for each in self.machine.threads(self.machine.all[tid].tgid):
                self.machine.exit(each)

    @rule(data=st.data(), seconds=st.floats(0, 2))
    def run(self, data, seconds):
        """A thread runs."""
        tid = self.a_thread(data)
        if tid in self.machine.all:
            self.machine.run(tid, seconds)

    @rule(seconds=st.floats(0, 3))
    def advance(self, seconds):
        """Time passes."""
        self.clock.advance(seconds)

    @invariant()
    def every_rmid_is_in_one_place(self):
        """Used, free or in the limbo."""
        found = self.resctrl.snapshot()
        used = [group["rmid"] for group in found["groups"].values()]
        everywhere = used + found["rmids"]["free"] + found["rmids"]["limbo"]
        assert sorted(everywhere) == list(range(found["rmids"]["total"]))

    @invariant()
    def mon_groups_have_the_closid_of_their_control_group(self):
        """And no two control groups share one."""
        groups = self.resctrl.snapshot()["groups"]
        controls = [group["closid"] for group in groups.values() if group["kind"] == "CTRL_MON"]
        assert len(set(controls)) == len(controls) <= 3
        assert all(group["closid"] == groups[group["control"]]["closid"] for group in groups.values())

    @invariant()
    def every_living_thread_is_in_one_control_group_and_at_most_one_mon_group(self):
        """The dead are in none."""

        def listed(path):
            file = self.resctrl.root.find(f"{path}/tasks")
            return [int(line) for line in self.resctrl.read(file, self.root).split()]

        groups = self.resctrl.snapshot()["groups"]
        controls = [tid for path, group in groups.items() if group["kind"] == "CTRL_MON" for tid in listed(path)]
        assert sorted(controls) == sorted(self.machine.all)
        mons = [
            (tid, group["control"]) for path, group in groups.items() if group["kind"] == "MON" for tid in listed(path)
        ]
        assert len({tid for tid, _control in mons}) == len(mons)
        assert all(tid in listed(control) for tid, control in mons)

    @invariant()
    def counters_are_numbers_and_a_control_group_has_at_least_its_children(self):
        """Read the children first, as they may grow."""
        for group in self.resctrl.groups():
            for l3_id in (0, 1):
                *children, own = (
                    int(self.resctrl.read(part.node.find(f"mon_data/mon_L3_{l3_id:02d}/mbm_total_bytes"), self.root))
                    for part in reversed(list(group.with_children()))
                )
                assert own >= sum(children) >= 0


@pytest.mark.parametrize("era", ERAS)
def test_any_sequence_of_operations(era, machine_type):
    operations = type("Operations", (Operations,), {"era": era, "new_machine": machine_type})
    run_state_machine_as_test(operations, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))
