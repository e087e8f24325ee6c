# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written to resctrl and what never is, what refusals mean, and the lock."""

from __future__ import annotations

import errno
import fcntl
import os

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group, group_for

OURS = group_for("5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3", ROOT)


@pytest.fixture(name="resctrl")
def resctrl_fixture(tmp_path):
    for name in ("info", "mon_groups"):
        (tmp_path / name).mkdir()
    (tmp_path / "info/last_cmd_status").write_text("ok\n")
    return Resctrl(str(tmp_path), str(tmp_path / "proc"))


@pytest.fixture(name="changes")
def changes_fixture(resctrl):
    return resctrl.changes


@pytest.mark.parametrize("group", [ROOT, Group("COS1"), Group("", "pqos-1-1"), Group("../..", OURS.mon)])
@pytest.mark.parametrize("change", ["create", "remove", "assign"])
def test_nothing_foreign_is_ever_changed(changes, group, change):
    arguments = (group, os.getpid()) if change == "assign" else (group,)
    with pytest.raises(ValueError, match="not a group of ours"):
        getattr(changes, change)(*arguments)


@pytest.mark.parametrize("tid", [0, -1])
def test_no_number_but_a_thread_id_is_written(changes, tid):
    """0 would mean the writing thread itself."""
    with pytest.raises(ValueError, match="not a thread id"):
        changes.assign(OURS, tid)


def test_a_thread_is_written_as_one_decimal_number(resctrl, changes):
    changes.create(OURS)
    tasks = resctrl.path(OURS, "tasks")
    with open(tasks, "w", encoding="ascii"):
        pass
    changes.assign(OURS, 4711)
    with open(tasks, encoding="ascii") as file:
        assert file.read() == "4711\n"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, errors.RmidsExhausted),
        (errno.EBUSY, errors.RmidsInLimbo),
        (errno.ENOENT, errors.Moved),
        (errno.EROFS, errors.Refused),
    ],
)
def test_refusals_are_told_apart_and_carry_the_kernels_words(resctrl, changes, monkeypatch, number, kind):
    def refuse(path, _mode):
        raise OSError(number, os.strerror(number), path)

    with open(resctrl.path(ROOT, "info/last_cmd_status"), "w", encoding="ascii") as file:
        file.write("old text\nOut of RMIDs\n")
    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(kind, match=r"Cannot make the group at .*kvmops-.* \(Out of RMIDs\)") as raised:
        changes.create(OURS)
    assert raised.value.path == resctrl.path(OURS)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        # The thread is in another CTRL_MON group by now
        (errno.EINVAL, errors.Moved),
        (errno.ESRCH, errors.Moved),
        (errno.ENODEV, errors.Moved),
        (errno.EPERM, errors.Refused),
    ],
)
def test_a_thread_that_went_elsewhere_is_looked_at_again(resctrl, changes, monkeypatch, number, kind):
    def refuse(_descriptor, _data):
        raise OSError(number, os.strerror(number))

    changes.create(OURS)
    with open(resctrl.path(OURS, "tasks"), "w", encoding="ascii"):
        pass
    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(kind, match="Cannot move thread 4711"):
        changes.assign(OURS, 4711)


def test_what_is_there_already_is_fine(resctrl, changes):
    changes.create(OURS)
    changes.create(OURS)
    changes.remove(OURS)
    changes.remove(OURS)
    assert not os.path.exists(resctrl.path(OURS))


def test_the_lock_is_the_one_of_the_kernels_document(resctrl, changes):
    other = os.open(resctrl.root, os.O_RDONLY)
    with changes.locked(), pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with pytest.raises(errors.LockTimeout, match="Another program has held the lock"), changes.locked(patience=0.05):
        pass
    os.close(other)


def test_there_is_no_lock_where_nothing_is_mounted(tmp_path):
    missing = Resctrl(str(tmp_path / "missing"))
    with pytest.raises(errors.NotMounted, match=r"went away.*Run 'mount"), missing.changes.locked():
        pass


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EIO])
def test_what_cannot_be_opened_has_not_gone_away(changes, monkeypatch, number):
    def refuse(*_arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(errors.Unreadable, match=f"Cannot open .*: {os.strerror(number)}. Run again"), changes.locked():
        pass


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
@pytest.mark.parametrize(("user", "kind"), [(1000, errors.NotRoot), (0, errors.Refused)])
def test_who_is_not_root_is_told_to_be(changes, monkeypatch, number, user, kind):
    """To root it is refused by a security module, or because the filesystem is mounted read-only."""

    def refuse(path, *_arguments):
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "rmdir", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(kind, match=r"Cannot remove the group at ") as raised:
        changes.remove(OURS)
    assert ("Run as root" in raised.value.hint) is (user != 0)
