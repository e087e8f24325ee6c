# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of domains that take turns: before a group is given up its last values are taken."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.enforcement import Enforcement
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.noted_turns import Noted, read, save
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.turns import Keeper, keeping
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.turns import Turn, Turns
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.wish import Wishes
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import L3, Place
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Selected
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import Kernel, host_of
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    ENABLE,
    host,
    uuid,
    vm,
)

SETTINGS = Turns(window=60, warm_up=10)
EVENTS = ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes")
THRESHOLD = 65536
OURS = {number: group_for(uuid(number), ROOT) for number in (1, 2, 3)}
ELSEWHERE = Group("COS1")


class Counting(Kernel):
    """A resctrl whose groups have counters in files, on one cache."""

    def __init__(self, root, groups=(), num_rmids=2):
        super().__init__(root, groups, num_rmids)
        (root / "info/L3_MON/mon_features").write_text("".join(f"{event}\n" for event in EVENTS))
        (root / "info/L3_MON/max_threshold_occupancy").write_text(f"{THRESHOLD}\n")
        # What a new group of an RMID shows
        self.left_by_others = 0
        self.write(ROOT)
        for group in groups:
            self.write(group)

    def directory(self, group):
        return os.path.join(self.root, group.path, "mon_data/mon_L3_00")

    def write(self, group, occupancy=0, total=0, local=0):
        os.makedirs(self.directory(group), exist_ok=True)
        for event, number in zip(EVENTS, (occupancy, total, local)):
            with open(os.path.join(self.directory(group), event), "w", encoding="utf-8") as file:
                file.write(f"{number}\n")

    def create(self, group):
        super().create(group)
        self.write(group, self.left_by_others)

    def remove(self, group):
        super().remove(group)
        shutil.rmtree(os.path.join(self.root, group.path))


class Scene:
    """Domains vm1 to vm3 with one group for them, and a clock."""

    def __init__(self, root, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr("os.geteuid", lambda: 0)
        self.root = root
        self.directory = root / "turns"
        self.directory.mkdir()
        self.snapshot = host(vm(1), vm(2), vm(3))
        (root / "kernel").mkdir()
        self.kernel = Counting(root / "kernel", num_rmids=2)
        self.warnings = []

    def has_rmids(self, number, *groups):
        """Give it so many RMIDs, the root's included, and groups of others."""
        (self.root / "kernel/info/L3_MON/num_rmids").write_text(f"{number}\n")
        self.kernel.most = number
        for group in groups:
            self.kernel.there.add(group)
            self.kernel.write(group)

    def enforce(self, check=False, **priorities):
        """Run the agent once."""
        keeper = Keeper(self.kernel, SETTINGS, str(self.directory), lambda: self.now, check=check)
        of = {one.domain.uuid: ENABLE for one in self.snapshot.running}
        of.update({uuid(int(name[2:])): ENABLE._replace(priority=one) for name, one in priorities.items()})
        wishes = Wishes(of, ration=True, turns=keeper.queue())
        known = [one.domain for one in self.snapshot.running]
        selected = [Selected(one.name, one, by_name=False) for one in known]
        outcome = Enforcement(host_of(self.snapshot, self.kernel), known, selected, wishes, turns=keeper).outcome(check)
        self.warnings += keeper.warnings
        return outcome

    def after(self, seconds, **options):
        """Run it again later."""
        self.now += seconds
        return self.enforce(**options)

    @property
    def counted(self):
        return {number for number, group in OURS.items() if group in self.kernel.there}

    def of(self, number):
        """What is noted of a domain."""
        return read(str(self.directory)).of[uuid(number)]

    def measured(self, number):
        return {event: one.number for (event, _place), one in self.of(number).measured.items()}


@pytest.fixture(name="scene")
def scene_fixture(tmp_path, monkeypatch):
    return Scene(tmp_path, monkeypatch)


def test_before_a_group_is_given_up_what_it_counted_is_noted(scene):
    scene.enforce()
    assert scene.counted == {1}
    scene.kernel.write(OURS[1], 4096, 6_000_000, 600)
    scene.after(60)
    assert scene.counted == {2}
    assert scene.measured(1) == {"llc_occupancy": 4096, "mbm_total_bytes": 100_000, "mbm_local_bytes": 10}
    assert scene.of(1).group == Turn(None, 1060.0, 500.0)
    (window,) = {(one.began, one.ended) for one in scene.of(1).measured.values()}
    assert window == (1000.0, 1060.0)


def test_what_was_measured_is_kept_over_the_turns_of_others_until_the_next_turn(scene):
    scene.enforce()
    scene.kernel.write(OURS[1], 4096, 6_000_000, 600)
    for turn in (2, 3, 1):
        scene.after(60)
        assert scene.counted == {turn}
        assert scene.measured(1)["mbm_total_bytes"] == 100_000
    scene.kernel.write(OURS[1], 0, 600, 600)
    scene.after(60)
    assert scene.measured(1)["mbm_total_bytes"] == 10
    assert scene.of(1).measured["mbm_total_bytes", Place(L3, 0)].coverage == pytest.approx(1 / 3)


def test_a_run_in_check_mode_notes_nothing(scene):
    scene.enforce(check=True)
    assert os.listdir(scene.directory) == []
    assert scene.kernel.steps == []


def test_a_second_look_finds_nothing_to_do_though_turns_of_others_are_over_too(scene):
    """With two groups for three, one leaves. Else the one that has left would come back for the next, and so on."""
    scene.has_rmids(3)
    scene.enforce()
    scene.after(60)
    assert scene.counted == {1, 3}
    scene.kernel.steps.clear()
    scene.after(1)
    assert scene.kernel.steps == []


@pytest.mark.parametrize("left", [THRESHOLD, THRESHOLD + 1])
def test_a_reused_rmid_whose_lines_are_still_in_the_cache_tells_no_occupancy_in_this_turn(scene, left):
    """Also in the very first turn, of a domain of which nothing is noted yet."""
    scene.kernel.left_by_others = left
    scene.enforce()
    assert scene.of(1).unclean == (left > THRESHOLD)
    scene.kernel.write(OURS[1], 4096, 600, 60)
    scene.after(60)
    assert ("llc_occupancy" in scene.measured(1)) == (left <= THRESHOLD)
    assert scene.measured(1)["mbm_total_bytes"] == 10


@pytest.mark.parametrize(("left", "told"), [("Error", False), ("Unavailable", True)])
def test_of_an_rmid_whose_lines_cannot_be_read_nobody_believes_that_they_are_gone(scene, left, told):
    """Unless the hardware knows nothing of it at all: AMD says so of an RMID that has not run on a cache."""
    scene.kernel.left_by_others = left
    scene.enforce()
    assert scene.of(1).unclean == (not told)
    scene.kernel.write(OURS[1], 4096, 600, 60)
    scene.after(60)
    assert ("llc_occupancy" in scene.measured(1)) == told


def test_where_the_threshold_cannot_be_read_no_line_of_others_is_taken_for_gone(scene):
    os.remove(scene.root / "kernel/info/L3_MON/max_threshold_occupancy")
    scene.kernel.left_by_others = 1
    scene.enforce()
    assert scene.of(1).unclean


def test_each_turn_is_looked_at_anew(scene):
    scene.kernel.left_by_others = THRESHOLD + 1
    scene.enforce()
    scene.kernel.left_by_others = 0
    for _turn in (2, 3, 1):
        scene.after(60)
    assert scene.counted == {1}
    assert not scene.of(1).unclean


def test_a_group_that_is_gone_again_is_not_said_to_be_unclean(scene):
    keeper = Keeper(scene.kernel, SETTINGS, str(scene.directory), lambda: scene.now)
    keeper.made(OURS[3])
    keeper.settle(scene.snapshot, Wishes({}), {})
    assert keeper.noted.of == {}
    scene.enforce()
    assert not scene.of(1).unclean


def test_a_higher_priority_that_comes_ends_a_turn_and_what_was_measured_until_then_is_kept(scene):
    scene.has_rmids(3)
    scene.enforce()
    scene.kernel.write(OURS[2], 1, 3000, 30)
    scene.after(30, vm3=1)
    assert scene.counted == {1, 3}
    assert scene.of(2).group == Turn(None, 1000.0)
    assert scene.measured(2)["mbm_total_bytes"] == 100


def test_a_domain_that_stops_in_its_turn_is_forgotten_and_the_next_one_comes(scene):
    scene.enforce()
    scene.snapshot = host(vm(2), vm(3))
    scene.kernel.where = {tid: group for tid, group in scene.kernel.where.items() if group != OURS[1]}
    scene.after(5)
    assert scene.counted == {2}
    assert uuid(1) not in read(str(scene.directory)).of


def test_where_there_are_enough_rmids_again_nothing_is_noted_of_anybody(scene):
    scene.enforce()
    scene.snapshot = host(vm(1))
    scene.after(5)
    assert read(str(scene.directory)).of == {}


def test_a_group_that_somebody_removed_is_made_again_and_its_turn_begins_anew(scene):
    scene.enforce()
    with scene.kernel.locked():
        scene.kernel.remove(OURS[1])
    scene.after(30)
    assert scene.counted == {1}
    assert scene.of(1).group == Turn(1030.0, 1000.0)


# -- a turn that goes on with another group ----------------------------------------------------------------------------


def test_a_domain_that_is_moved_to_another_allocation_keeps_its_turn_so_that_nobody_waits_for_ever(scene):
    """Programs that manage allocations may move it more often than a turn is long."""
    scene.has_rmids(3, ELSEWHERE)
    scene.enforce()
    scene.kernel.where.update({1001: ELSEWHERE, 1002: ELSEWHERE})
    scene.after(30)
    moved = group_for(uuid(1), ELSEWHERE)
    assert scene.kernel.there == {ELSEWHERE, moved}
    assert scene.of(1).group == Turn(1000.0, 1000.0)
    scene.kernel.write(moved, 4096, 3000, 300)
    scene.after(30)
    assert scene.counted == {2}
    assert scene.of(1).group == Turn(None, 1060.0, 500.0)
    measured = scene.of(1).measured["mbm_total_bytes", Place(L3, 0)]
    assert (measured.number, measured.seconds) == (100, 30)


def test_after_such_a_move_the_caches_have_to_be_warmed_up_again(scene):
    scene.has_rmids(3, ELSEWHERE)
    scene.enforce()
    scene.kernel.where.update({1001: ELSEWHERE, 1002: ELSEWHERE})
    scene.after(52)
    scene.after(8)
    assert scene.counted == {2}
    assert "llc_occupancy" not in scene.measured(1)


def test_a_domain_that_loses_one_of_two_groups_keeps_its_turn_and_is_measured_anew(scene):
    scene.has_rmids(4, ELSEWHERE)
    scene.kernel.where[1002] = ELSEWHERE
    scene.enforce()
    other = group_for(uuid(1), ELSEWHERE)
    assert scene.kernel.there == {ELSEWHERE, OURS[1], other}
    scene.kernel.where[1002] = ROOT
    scene.after(30)
    assert other not in scene.kernel.there
    assert scene.of(1).group == Turn(1000.0, 1000.0)
    scene.kernel.write(OURS[1], 4096, 3000, 300)
    scene.after(30)
    assert scene.measured(1)["mbm_total_bytes"] == 100


# -- the notes ---------------------------------------------------------------------------------------------------------


def test_notes_that_are_damaged_are_set_aside_and_said_and_all_goes_on(scene):
    (scene.directory / "turns.json").write_text("{")
    scene.enforce()
    (warning,) = scene.warnings
    assert "all turns begin anew" in warning
    assert scene.counted == {1}
    assert scene.of(1).group == Turn(1000.0, 1000.0)


def test_in_check_mode_damaged_notes_stay_where_they_are(scene):
    (scene.directory / "turns.json").write_text("{")
    assert len(scene.enforce(check=True).results) == 3
    assert os.listdir(scene.directory) == ["turns.json"]
    with keeping(scene.kernel, SETTINGS, str(scene.root / "missing"), check=True) as keeper:
        assert keeper.queue().groups == {}
    assert not (scene.root / "missing").exists()


def test_where_nothing_has_changed_nothing_is_written(scene):
    scene.enforce()
    before = os.stat(scene.directory / "turns.json").st_ino
    scene.after(5)
    assert os.stat(scene.directory / "turns.json").st_ino == before


def test_while_one_run_keeps_the_notes_another_waits_for_it_and_gives_up(scene, monkeypatch):
    monkeypatch.setattr("ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.turns._PATIENCE", 0.0)
    directory = str(scene.root / "new")
    with keeping(scene.kernel, SETTINGS, directory) as keeper:
        assert keeper.queue().groups == {}
        assert os.stat(directory).st_mode & 0o777 == 0o700
        with pytest.raises(errors.LockTimeout), keeping(scene.kernel, SETTINGS, directory):
            pass


def test_nobody_else_may_write_to_the_directories_of_the_notes_whatever_the_umask(scene):
    directory = scene.root / "run/turns"
    before = os.umask(0)
    try:
        with keeping(scene.kernel, SETTINGS, str(directory)):
            pass
    finally:
        os.umask(before)
    assert [one.stat().st_mode & 0o777 for one in (directory.parent, directory)] == [0o755, 0o700]


def test_where_nothing_can_be_noted_nobody_takes_turns_and_it_is_said(scene):
    (scene.root / "file").write_text("")
    directory = str(scene.root / "file/turns")
    with pytest.raises(errors.Refused) as refusal, keeping(scene.kernel, SETTINGS, directory):
        pass
    assert refusal.value.message == f"Cannot note in {directory} whose turn it is: Not a directory"


def test_where_the_notes_cannot_be_written_the_run_goes_on_and_says_so(scene, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.turns.save", full)
    scene.enforce()
    assert scene.counted == {1}
    assert scene.warnings == [
        f"Cannot note in {scene.directory} what was measured in turns: No space left on device",
    ]


def test_what_was_in_limbo_is_forgotten_little_by_little(scene):
    """Or turns that went on after a refusal would all end at once again."""
    save(Noted({}, SETTINGS, in_limbo=4), str(scene.directory))
    seen = []
    for _run in range(4):
        scene.after(60)
        seen.append(read(str(scene.directory)).in_limbo)
    assert seen == [2, 1, 0, 0]
