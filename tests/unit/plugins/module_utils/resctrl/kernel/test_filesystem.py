# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel's files say, and what is never written to them."""

from __future__ import annotations

import errno
import fcntl
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.filesystem import (
    ROOT,
    Group,
    Mount,
    Resctrl,
    group_for,
    parse_mounts,
    parse_tasks,
    parse_thread_groups,
)

OURS = group_for("5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3", ROOT)


@pytest.mark.parametrize(
    ("line", "mount"),
    [
        (
            "resctrl /sys/fs/resctrl resctrl rw,relatime,cdp 0 0",
            Mount("/sys/fs/resctrl", "resctrl", ("rw", "relatime", "cdp")),
        ),
        ("none /mnt/a\\040b resctrl rw 0 0", Mount("/mnt/a b", "resctrl", ("rw",))),
        ("resctrl /m fuse.resctrl rw,nosuid 0 0", Mount("/m", "fuse.resctrl", ("rw", "nosuid"))),
    ],
)
def test_mounts(line, mount):
    assert parse_mounts(f"proc /proc proc rw 0 0\n{line}\ntmpfs /sys/fs/resctrl tmpfs rw 0 0\n") == [mount]


@given(st.text())
def test_any_mount_table_is_survived(text):
    assert all(isinstance(mount, Mount) for mount in parse_mounts(text))


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("res:\nmon:\n", None),
        ("res:/\nmon:\n", ROOT),
        ("res:/\nmon:m0\n", Group("", "m0")),
        ("res:g0\nmon:\n", Group("g0")),
        ("res:g0\nmon:m:1\n", Group("g0", "m:1")),
        ("", None),
    ],
)
def test_the_kernel_tells_a_threads_group(text, group):
    assert parse_thread_groups(text) == group


@given(st.frozensets(st.integers(1, 2**22)))
def test_tasks(tids):
    assert parse_tasks("".join(f"{tid}\n" for tid in tids) + "0\n") == tids


@pytest.fixture(name="resctrl")
def resctrl_fixture(tmp_path):
    for name in ("info/L3_MON", "mon_groups/pqos-1-1", "mon_data/mon_L3_00", "COS1/mon_groups/m", "COS1/mon_data"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "info/L3_MON/num_rmids").write_text("144\n")
    (tmp_path / "info/last_cmd_status").write_text("ok\n")
    (tmp_path / "tasks").write_text("1\n2\n")
    return Resctrl(str(tmp_path))


def test_every_directory_but_the_kernels_own_is_a_group(resctrl):
    assert resctrl.groups() == [Group("", "pqos-1-1"), Group("COS1"), Group("COS1", "m")]


def test_a_host_without_monitoring_has_no_groups_and_no_rmids(tmp_path):
    nothing = Resctrl(str(tmp_path / "missing"))
    assert (nothing.groups(), nothing.num_rmids(), nothing.features()) == ([], 0, ())


@pytest.mark.parametrize("group", [ROOT, Group("COS1"), Group("", "pqos-1-1"), Group("../..", OURS.mon)])
@pytest.mark.parametrize("change", ["create", "remove", "assign"])
def test_nothing_foreign_is_ever_changed(resctrl, group, change):
    arguments = (group, os.getpid()) if change == "assign" else (group,)
    with pytest.raises(ValueError, match="not a group of ours"):
        getattr(resctrl, change)(*arguments)


@pytest.mark.parametrize("tid", [0, -1])
def test_no_number_but_a_thread_id_is_written(resctrl, tid):
    """0 would mean the writing thread itself."""
    with pytest.raises(ValueError, match="not a thread id"):
        resctrl.assign(OURS, tid)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, errors.RmidsExhausted),
        (errno.EBUSY, errors.RmidsInLimbo),
        (errno.ENOENT, errors.Moved),
        (errno.EROFS, errors.Refused),
    ],
)
def test_refusals_are_told_apart_and_carry_the_kernels_words(resctrl, monkeypatch, number, kind):
    def refuse(path, _mode):
        raise OSError(number, os.strerror(number), path)

    with open(resctrl.path(ROOT, "info/last_cmd_status"), "w", encoding="ascii") as file:
        file.write("old text\nOut of RMIDs\n")
    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(kind, match=r"Cannot make the group at .*kvmops-.* \(Out of RMIDs\)") as raised:
        resctrl.create(OURS)
    assert raised.value.path == resctrl.path(OURS)
    assert raised.value.hint


def test_what_is_there_already_is_fine(resctrl):
    resctrl.create(OURS)
    resctrl.create(OURS)
    resctrl.remove(OURS)
    resctrl.remove(OURS)
    assert not os.path.exists(resctrl.path(OURS))


def test_the_lock_is_the_one_of_the_kernels_document(resctrl):
    other = os.open(resctrl.root, os.O_RDONLY)
    with resctrl.locked(), pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with pytest.raises(errors.LockTimeout, match="Another program has held the lock"), resctrl.locked(patience=0.05):
        pass
    os.close(other)
