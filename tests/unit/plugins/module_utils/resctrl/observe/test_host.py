# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot of a host: which groups of ours certainly count nothing any more? What is not seen is not gone."""

from __future__ import annotations

import pytest
from hypothesis import given

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.mounts import Mount
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.host import Host, query
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Selected, select
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import (
    Kernel,
    Libvirt,
    Threads,
    host_of,
)
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    LIBVIRT,
    host,
    hosts,
    uuid,
    vm,
)

OURS, OTHERS = group_for(uuid(1), ROOT), group_for(uuid(9), ROOT)


class Scene:
    """vm1 runs; if not, `absent` is why its process is not found.  `more`: other processes, pid -> (UUID, threads)."""

    def __init__(self, path):
        self.kernel = Kernel(path, [OURS])
        self.absent = errors.DomainGone("It is gone")
        self.runs = True
        self.sees_all = True
        self.visible = True
        self.more = {}

    def find(self, _domain):
        if not self.runs:
            raise self.absent
        return vm(1).process

    def look(self):
        process = vm(1).process
        running = {} if not self.runs else {process.pid: (uuid(1), process.threads)}
        threads = Threads({**running, **self.more})
        threads.visible = self.visible
        domain = vm(1).domain
        source = Libvirt([domain], self.find, threads, self.sees_all)
        return Host(source, self.kernel, clock=lambda: 0).look([Selected("vm1", domain)], [domain])


@pytest.fixture(name="scene")
def scene_fixture(tmp_path):
    return Scene(tmp_path)


def test_a_group_with_a_thread_of_its_domain_lives(scene):
    scene.kernel.where = {1001: OURS}
    snapshot = scene.look()
    assert (snapshot.stale, snapshot.unjudged) == (set(), set())


def test_a_group_with_nothing_of_its_domain_is_stale(scene):
    scene.kernel.where = {7: OURS}
    assert scene.look().stale == {OURS}


def test_an_empty_group_of_a_domain_that_is_gone_is_stale(scene):
    scene.kernel.there.add(OTHERS)
    scene.kernel.where = {1001: OURS}
    assert scene.look().stale == {OTHERS}


def test_a_group_with_strangers_only_is_stale(scene):
    """Numbers of threads that ended are given to others. Only these are left in it."""
    scene.kernel.there.add(OTHERS)
    scene.kernel.where = {1001: OURS, 7: OTHERS}
    scene.more = {7: ("", {7})}
    assert scene.look().stale == {OTHERS}


@pytest.mark.parametrize("sees_all", [True, False])
def test_a_group_of_another_libvirts_domain_lives(scene, sees_all):
    """The session's, or a container's: this libvirt does not know it."""
    scene.sees_all = sees_all
    scene.kernel.there.add(OTHERS)
    scene.kernel.where = {1001: OURS, 9001: OTHERS}
    scene.more = {9000: (uuid(9), {9000, 9001})}
    snapshot = scene.look()
    assert (snapshot.stale, snapshot.unjudged) == (set(), set())


@pytest.mark.parametrize("tids", [set(), {9001}])
@pytest.mark.parametrize("blind", [{"sees_all": False}, {"visible": False}], ids=["PID namespace", "hidepid"])
def test_from_where_not_all_is_seen_no_group_is_stale(scene, blind, tids):
    scene.__dict__.update(blind)
    scene.kernel.there.add(OTHERS)
    scene.kernel.where = {1001: OURS, **dict.fromkeys(tids, OTHERS)}
    snapshot = scene.look()
    assert (snapshot.stale, snapshot.unjudged) == (set(), {OTHERS})


def test_a_thread_that_is_not_to_be_seen_is_not_gone(scene):
    scene.kernel.there.add(OTHERS)
    scene.kernel.where = {1001: OURS, 9001: OTHERS}
    snapshot = scene.look()
    assert (snapshot.stale, snapshot.unjudged) == (set(), {OTHERS})


@pytest.mark.parametrize(
    ("error", "tids", "stale"),
    [
        (errors.DomainUnseen("It cannot be seen"), {1001}, False),
        (errors.DomainStarting("It is starting"), {1001}, False),
        # of its last life
        (errors.DomainStarting("It is starting"), set(), True),
        (errors.DomainGone("It has no process"), set(), True),
    ],
)
def test_the_group_of_a_domain_without_process_is_stale_only_if_it_is_empty(scene, error, tids, stale):
    scene.absent, scene.runs = error, False
    scene.kernel.where = dict.fromkeys(tids, OURS)
    snapshot = scene.look()
    assert snapshot.absent == {uuid(1): error}
    assert (snapshot.stale, snapshot.unjudged) == (({OURS}, set()) if stale else (set(), {OURS}))


def test_a_group_that_cannot_be_read_is_not_judged(scene, monkeypatch):
    def refuse(_group):
        raise errors.Unreadable("Cannot read it")

    monkeypatch.setattr(scene.kernel, "tasks", refuse)
    snapshot = scene.look()
    assert (snapshot.stale, snapshot.unjudged) == (set(), {OURS})
    assert snapshot.warnings == ("A group was left as it is: Cannot read it",)


def test_what_the_kernel_refused_limits_the_rmids(scene):
    look = Host(Libvirt([], scene.find, Threads({})), scene.kernel).look
    assert look([], []).num_rmids == 16
    assert look([], [], most_rmids=3).num_rmids == 3
    assert look([], [], most_rmids=99).num_rmids == 16


def test_a_snapshot_has_the_machines_of_all_that_run_and_whether_the_kernel_throttles(scene):
    snapshot = scene.look()
    assert (snapshot.machines, snapshot.throttles) == ({"qemu-1-vm1"}, False)
    scene.kernel.mount = Mount("/resctrl", "resctrl", ("rw", "mba_MBps"))
    assert scene.look().throttles


@given(hosts())
def test_any_host_is_seen_as_it_is(tmp_path_factory, snapshot):
    kernel = Kernel.of(snapshot, tmp_path_factory.mktemp("kernel"))
    found = host_of(snapshot, kernel)
    known = found.source.known
    every = {one.uuid for one in known}
    seen = found.look(select([one.name for one in known], known), known, whole=every)
    assert (seen.running, seen.groups, seen.members) == (snapshot.running, snapshot.groups, snapshot.members)
    assert all(seen.group_of(tid) == snapshot.group_of(tid) for one in seen.running for tid in one.process.threads)
    # Threads of programs that cannot be seen keep a group from being judged, unless its domain was looked at
    assert seen.stale | seen.unjudged == snapshot.stale
    assert not [group for group in seen.unjudged if seen.process_of(group.uuid) or not snapshot.members[group]]


@pytest.mark.parametrize("interval", [1, 60, 61, 600])
def test_each_group_has_its_turn_to_be_looked_into_at_whatever_interval_runs_come(tmp_path, interval):
    """So a stranger is found in a group that is complete. Here there is one in each."""
    machines = [vm(number, others=0) for number in range(1, 13)]
    ours = {group_for(one.domain.uuid, ROOT): {*one.process.vcpus.values()} for one in machines}
    kernel = Kernel.of(host(*machines, members=ours), tmp_path)
    kernel.where.update({7 + number: group for number, group in enumerate(ours)})
    kernel.tells_groups = True
    seconds = [0.5]
    source = host_of(host(*machines), kernel).source
    found = Host(source, kernel, clock=lambda: seconds[0])
    known = source.known
    looked_into = set()
    for _run in range(200):
        seconds[0] += interval
        snapshot = found.look(select(["*"], known), known)
        looked_into |= {group for group, tids in snapshot.members.items() if min(tids) < 1000}
    assert looked_into == set(ours)


# -- a query -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def _as_root(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)


@pytest.mark.usefixtures("_as_root")
def test_a_domain_that_starts_or_stops_is_no_failure_of_a_query(scene):
    scene.absent, scene.runs = errors.DomainStarting("It is starting", hint="Run again"), False
    found = Host(Libvirt([vm(1).domain], scene.find, Threads({})), scene.kernel)
    (result,) = query(found, None).results
    assert (result.error, result.msg, result.status.starting) == (None, "It is starting. Run again", True)


@pytest.mark.usefixtures("_as_root")
def test_an_unknown_name_is_told_in_libvirts_words(scene):
    found = Host(Libvirt([vm(1).domain], scene.find, Threads({})), scene.kernel)
    (result,) = query(found, ["vm9"]).results
    assert str(result.error) == "Domain not found: no domain with matching name 'vm9'"
    assert (result.name, result.status) == ("vm9", None)


@pytest.mark.usefixtures("_as_root")
@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_told_to_be_empty(scene, name):
    found = Host(Libvirt([vm(1).domain], scene.find, Threads({})), scene.kernel)
    (result,) = query(found, [name]).results
    assert result.error.code == "domain_not_found"
    assert str(result.error).startswith("The name of a domain is empty ('')")


@pytest.mark.usefixtures("_as_root")
def test_without_names_every_domain_is_told(scene):
    off = vm(2).domain._replace(active=False)
    scene.kernel.there.add(LIBVIRT)
    found = Host(Libvirt([vm(1).domain, off], scene.find, Threads({})), scene.kernel)
    assert [(one.name, one.status.text) for one in query(found, None).results] == [
        ("vm1", "Disabled"),
        ("vm2", "Disabled"),
    ]
