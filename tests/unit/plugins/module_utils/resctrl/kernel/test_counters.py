# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel counts: directories that come and go, counters that cannot be read, and counters of others."""

from __future__ import annotations

import errno
import os
import pathlib
from decimal import Decimal

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel import counters
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.counters import (
    Reader,
    cache_directories,
    read_group,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import (
    EVENTS,
    L3,
    L3_EVENTS,
    PACKAGE,
    Place,
    Value,
    event_of,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import Group

CONTROL, MONITOR = Group("qemu-1-vm2-vcpus_0-1"), Group("qemu-1-vm2-vcpus_0-1", "qemu-1-vm2-vcpus_0")


@pytest.fixture(name="tree")
def tree_fixture(tmp_path):
    """Two groups of libvirt's with the same numbers; the CTRL_MON group has a counter of its own on cache 1 only."""
    for group, assigned in ((CONTROL, "mbm_total_bytes:0=_;1=e\n"), (MONITOR, "mbm_total_bytes:0=e;1=e\n")):
        for cache in ("mon_L3_00", "mon_L3_01"):
            directory = tmp_path / group.path / "mon_data" / cache
            directory.mkdir(parents=True)
            for event, value in zip(EVENTS, (10, 100, 50)):
                (directory / event).write_text(f"{value}\n")
        (tmp_path / group.path / "mbm_L3_assignments").write_text(assigned)
    return Resctrl(str(tmp_path))


class Reads:
    """A counter that reads one text after the other, the last one for ever."""

    def __init__(self, monkeypatch, path, *texts):
        self.path, self.texts, self.count = path, list(texts), 0
        self.open = os.open
        monkeypatch.setattr(counters.os, "open", self)

    def __call__(self, path, *flags, **where):
        if os.path.basename(path) == self.path.name:
            self.count += 1
            self.path.write_text(f"{self.texts[min(self.count, len(self.texts)) - 1]}\n")
        return self.open(path, *flags, **where)


@pytest.mark.parametrize(
    ("arch", "texts", "expected"),
    [
        ("aarch64", ["0", "4711"], (Value(4711), 2)),
        ("aarch64", ["0", "0", "4711"], (Value(0), 2)),
        ("aarch64", ["0", "Error"], (Value(None, "error"), 2)),
        ("aarch64", ["4711", "0"], (Value(4711), 1)),
        ("aarch64", ["Unavailable", "1"], (Value(None, "unavailable"), 1)),
        ("x86_64", ["0", "4711"], (Value(0), 1)),
        ("", ["0", "4711"], (Value(0), 1)),
    ],
)
def test_on_arm_a_0_that_may_mean_not_ready_is_read_again_once(tmp_path, monkeypatch, arch, texts, expected):
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/arch").write_text(f"{arch}\n")
    (tmp_path / "mon_data/mon_L3_00").mkdir(parents=True)
    counter = Reads(monkeypatch, tmp_path / "mon_data/mon_L3_00/llc_occupancy", *texts)
    occupancy = [event for event in L3_EVENTS if event.name == "llc_occupancy"]
    values = read_group(Resctrl(str(tmp_path), str(tmp_path / "proc")), Group(), occupancy)
    assert (values[Place(L3, 0)]["llc_occupancy"], counter.count) == expected


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["mon_L3_00", "mon_L3_01"], [0, 1]),
        (["mon_L3_08", "mon_L3_09", "mon_L3_10"], [8, 9, 10]),
        (["mon_L3_112", "mon_PERF_PKG_00", "mon_L2_03"], [112]),
    ],
)
def test_cache_ids_are_decimal_and_of_the_l3(tmp_path, names, ids):
    for name in names:
        (tmp_path / "mon_data" / name).mkdir(parents=True)
    assert list(cache_directories(Resctrl(str(tmp_path)))) == ids


def test_what_is_gone_is_no_error(tmp_path):
    nothing, group = Resctrl(str(tmp_path)), Group("", "m")
    assert cache_directories(nothing, group) == {}
    assert Reader(nothing, L3_EVENTS).generations() == {}
    assert read_group(nothing, group, L3_EVENTS) == {}
    with Reader(Resctrl(str(tmp_path / "missing")), L3_EVENTS) as reader:
        assert (reader.read(group), reader.generation(group)) == ({}, None)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"4711\n", Value(4711)),
        (b"4711", Value(4711)),
        (b"1x", Value(None, "error")),
        (b"\n", Value(None, "error")),
        (b"", Value(None, "error")),
        (b"1_0\n", Value(None, "error")),
        (b"-1\n", Value(None, "error")),
        (b"1\n2\n", Value(None, "error")),
        (b"1", Value(1)),
        ("\u0663\n".encode(), Value(None, "error")),
        (b"Unavailable\n", Value(None, "unavailable")),
        pytest.param(b"9" * 100, Value(None, "error"), id="a number that does not end"),
    ],
)
@pytest.mark.parametrize("other", [b"100\n", b"100", b"", b"\n", b"\n\n", b"1\n2\n", b"Unassigned\n"])
def test_whatever_a_file_holds_it_is_a_number_or_none(tmp_path, content, value, other):
    """Whatever another file of the same group holds."""
    (tmp_path / "mon_data/mon_L3_00").mkdir(parents=True)
    (tmp_path / "mon_data/mon_L3_00/llc_occupancy").write_bytes(content)
    (tmp_path / "mon_data/mon_L3_00/mbm_total_bytes").write_bytes(other)
    assert read_group(Resctrl(str(tmp_path)), Group(), L3_EVENTS[:2])[Place(L3, 0)]["llc_occupancy"] == value


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOENT, "gone"),
        (errno.ENODEV, "gone"),
        (errno.EIO, "error"),
        (errno.EINVAL, "error"),
        (errno.EACCES, "error"),
    ],
)
@pytest.mark.parametrize("call", ["open", "read"])
def test_only_what_is_not_there_is_gone(tree, monkeypatch, number, reason, call):
    called = getattr(os, call)

    def fail(what, *words, **where):
        path = what if call == "open" else os.readlink(f"/proc/self/fd/{what}")
        if path.endswith("mon_L3_01/mbm_total_bytes"):
            raise OSError(number, os.strerror(number), path)
        return called(what, *words, **where)

    monkeypatch.setattr(counters.os, call, fail)
    before = os.listdir("/proc/self/fd")
    values = read_group(tree, MONITOR, L3_EVENTS)
    first, second = values[Place(L3, 0)], values[Place(L3, 1)]
    assert first == {"llc_occupancy": Value(10), "mbm_total_bytes": Value(100), "mbm_local_bytes": Value(50)}
    assert second == {**first, "mbm_total_bytes": Value(None, reason)}
    assert os.listdir("/proc/self/fd") == before


def test_a_cache_that_came_back_or_lost_a_node_counts_anew(tmp_path):
    resctrl, cache = Resctrl(str(tmp_path)), tmp_path / "mon_data/mon_L3_00"
    (cache / "mon_sub_L3_00").mkdir(parents=True)
    (cache / "mon_sub_L3_01").mkdir()
    seen = [Reader(resctrl, L3_EVENTS).generations()]
    (cache / "mon_sub_L3_01").rmdir()
    seen.append(Reader(resctrl, L3_EVENTS).generations())
    cache.rename(tmp_path / "old")
    (cache / "mon_sub_L3_00").mkdir(parents=True)
    seen.append(Reader(resctrl, L3_EVENTS).generations())
    assert all(list(one) == [Place(L3, 0)] for one in seen)
    assert len({one[Place(L3, 0)] for one in seen}) == 3


def test_a_group_that_lacks_a_cache_of_the_root_does_not_show_it(tree):
    for cache in ("mon_L3_00", "mon_L3_01", "mon_L3_02"):
        (pathlib.Path(tree.root) / "mon_data" / cache).mkdir(parents=True)
    assert list(Reader(tree, L3_EVENTS).read(MONITOR)) == [Place(L3, 0), Place(L3, 1)]


def test_a_group_is_read_with_an_open_a_read_and_a_close_for_each_value(tree, monkeypatch):
    for cache in ("mon_L3_00", "mon_L3_01"):
        (pathlib.Path(tree.root) / "mon_data" / cache).mkdir(parents=True)
    calls = []

    def count(name, call):
        def counted(*words, **where):
            calls.append(name)
            return call(*words, **where)

        monkeypatch.setattr(os, name, counted)

    with Reader(tree, L3_EVENTS) as reader:
        for name in ("open", "read", "close", "listdir", "stat"):
            count(name, getattr(os, name))
        reader.read(MONITOR)
        assert calls == ["open", "read", "close"] * len(EVENTS) * 2


def test_packages_are_read_beside_caches_each_with_its_own_events(tree):
    directory = pathlib.Path(tree.root) / MONITOR.path / "mon_data/mon_PERF_PKG_01"
    directory.mkdir()
    for event, text in (("core_energy", "12345.678901"), ("new_event", "7"), ("activity", "Unavailable")):
        (directory / event).write_text(f"{text}\n")
    there = [event_of(name, PACKAGE) for name in ("core_energy", "activity", "new_event", "c1_res")]
    values = read_group(tree, MONITOR, [*L3_EVENTS, *there])
    assert list(values) == [Place(L3, 0), Place(L3, 1), Place(PACKAGE, 1)]
    assert set(values[Place(L3, 0)]) == set(EVENTS)
    assert values[Place(PACKAGE, 1)] == {
        "core_energy": Value(Decimal("12345.678901")),
        "activity": Value(None, "unavailable"),
        "new_event": Value(7),
        "c1_res": Value(None, "gone"),
    }
    assert list(cache_directories(tree, MONITOR)) == [0, 1]


# -- generations -------------------------------------------------------------------------------------------------------


def test_the_groups_below_a_control_group_are_listed_with_the_generations_that_they_have_themselves(tree, monkeypatch):
    with Reader(tree, L3_EVENTS) as reader:
        generation = reader.generation(MONITOR)
        monkeypatch.setattr(counters.os, "stat", None)
        assert reader.below(CONTROL) == {MONITOR: generation}


def test_below_a_control_group_that_is_gone_there_is_nothing_and_of_one_that_cannot_be_listed_it_is_not_known(
    tree, monkeypatch
):
    def refuse(path):
        raise OSError(errno.EIO, "it does not work", path)

    with Reader(tree, L3_EVENTS) as reader:
        assert reader.below(Group("COS7")) == {}
        monkeypatch.setattr(counters.os, "scandir", refuse)
        with pytest.raises(OSError, match="it does not work"):
            reader.below(CONTROL)


def generation(resctrl, group):
    with Reader(resctrl, L3_EVENTS) as reader:
        return reader.generation(group)


def test_a_generation_is_told_by_the_time_of_the_mount_and_the_inode(tree):
    for group in (Group(), CONTROL, MONITOR):
        time, inode = os.stat(tree.root).st_ctime_ns, os.stat(tree.path(group)).st_ino
        assert generation(tree, group) == f"{time}-{inode}"


def test_a_group_made_anew_has_another_generation(tree):
    first = generation(tree, MONITOR)
    os.rename(tree.path(MONITOR), f"{tree.root}/old")
    assert generation(tree, MONITOR) is None
    os.mkdir(tree.path(MONITOR))
    assert first is not None
    assert generation(tree, MONITOR) not in (None, first)


def test_a_group_of_another_mount_has_another_generation(tree, monkeypatch):
    """The inodes of a new mount may be those of the old one."""
    monkeypatch.setattr(Resctrl, "generation_of_mount", lambda _self: 1)
    first = generation(tree, MONITOR)
    monkeypatch.setattr(Resctrl, "generation_of_mount", lambda _self: 2)
    assert first is not None
    assert generation(tree, MONITOR) != first
