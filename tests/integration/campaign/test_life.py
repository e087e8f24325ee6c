# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens on a host between two runs, the next run makes it as wished and touches nothing foreign."""

from __future__ import annotations

import pathlib
import tempfile

from emulated_host import EmulatedHost
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

NAMES = ("vm1", "vm2", "vm3")
names = st.sampled_from(NAMES)


class Life(RuleBasedStateMachine):
    """Domains start, stop, die and grow; other tools make groups, take threads and wipe ours; now and then a run."""

    def __init__(self):
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.host = EmulatedHost(pathlib.Path(self.directory.name), settings=["num_rmids=8"])
        self.host.__enter__()
        self.running = set()
        # group made by another tool -> its threads, as that tool left them
        self.foreign = {}
        # True right after a run: then everything is to be as wished
        self.settled = False
        for name in NAMES:
            self.host.domains.define(name)

    def teardown(self):
        """The host goes with its files."""
        self.host.__exit__()
        self.directory.cleanup()

    # -- what happens

    @rule(name=names, vcpus=st.integers(1, 3))
    def start(self, name, vcpus):
        """A domain starts, or starts anew."""
        self._forget(name)
        self.host.domains.start(name, vcpus)
        self.running.add(name)
        self.settled = False

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def stop(self, data):
        """A domain stops."""
        name = data.draw(st.sampled_from(sorted(self.running)))
        self._forget(name)
        self.host.domains.stop(name)
        self.running.remove(name)
        self.settled = False

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def plug(self, data):
        """A vCPU is hot-plugged."""
        name = data.draw(st.sampled_from(sorted(self.running)))
        self.host.domains.plug(name, max(self.host.domains[name].vcpus) + 1)
        self.settled = False

    @rule()
    def wipe(self):
        """Another tool removes every group of ours, as pqos -r does."""
        for path in self._ours():
            self.host.remove_group(path)
        self.settled = False

    @precondition(lambda self: self.running and len(self.foreign) < 2)
    @rule(data=st.data())
    def monitor_elsewhere(self, data):
        """Another tool takes a vCPU's thread into a monitoring group of its own."""
        domain = self.host.domains[data.draw(st.sampled_from(sorted(self.running)))]
        tid = data.draw(st.sampled_from(sorted(domain.vcpus.values())))
        path = f"mon_groups/pqos-{tid}-1"
        if path in self.foreign:
            return
        for tids in self.foreign.values():
            tids.discard(tid)
        self.host.make_group(path, tid)
        self.foreign[path] = {tid}
        self.settled = False

    @precondition(lambda self: self.foreign)
    @rule()
    def stop_monitoring_elsewhere(self):
        """The other tool ends, and removes its groups."""
        for path in self.foreign:
            self.host.remove_group(path)
        self.foreign.clear()
        self.settled = False

    @rule(takeover=st.booleans())
    def run(self, takeover):
        """One run for everything that runs."""
        result = self.host.run("resctrl_mon", name="*", takeover=takeover)
        failed = {one["name"] for one in result["domains"] if one["failed"]}
        assert failed == (set() if takeover else self._held_elsewhere())
        if takeover:
            for tids in self.foreign.values():
                tids.clear()
        self.settled = True
        self.host.changes()
        again = self.host.run("resctrl_mon", name="*", takeover=takeover)
        assert not again["changed"]
        assert self.host.changes() == []

    # -- what holds

    @invariant()
    def nothing_foreign_is_touched(self):
        """Other tools' groups hold the threads that they put there, but for those that a takeover took."""
        groups = self.host.groups()
        assert {path: tids for path, tids in groups.items() if "kvmops-" not in path} == self.foreign

    @invariant()
    def after_a_run_everything_is_as_wished(self):
        """Each running domain is counted wholly, unless another tool holds a thread of it; no group is left over."""
        if not self.settled:
            return
        groups, held = self.host.groups(), self._held_elsewhere()
        for name in self.running - held:
            domain = self.host.domains[name]
            assert groups[self.host.group(domain)] == set(domain.vcpus.values())
        expected = {self.host.group(self.host.domains[name]) for name in self.running}
        assert set(self._ours()) <= expected

    def _ours(self):
        return [path for path in self.host.groups() if "kvmops-" in path]

    def _held_elsewhere(self):
        held = set().union(*self.foreign.values())
        return {name for name in self.running if held & set(self.host.domains[name].vcpus.values())}

    def _forget(self, name):
        """The threads of a domain's last life leave whatever group they were in."""
        for tids in self.foreign.values():
            tids.difference_update(self.host.domains[name].vcpus.values())


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
