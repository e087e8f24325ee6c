# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mounted resctrl: what is there, and what a reader can see."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel import filesystem
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group, group_for

OURS = group_for("5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3", ROOT)


@pytest.fixture(name="resctrl")
def resctrl_fixture(tmp_path):
    for name in ("info/L3_MON", "mon_groups/pqos-1-1", "mon_data/mon_L3_00", "COS1/mon_groups/m", "COS1/mon_data"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "info/last_cmd_status").write_text("ok\n")
    (tmp_path / "tasks").write_text("1\n2\n")
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    return Resctrl(str(tmp_path), str(tmp_path / "proc"))


def mounted(resctrl, line):
    """The same, with this in its mount table."""
    with open(f"{resctrl.proc}/self/mounts", "w", encoding="utf-8") as file:
        file.write(f"{line.format(resctrl.root)}\n")
    return Resctrl(resctrl.root, resctrl.proc)


def test_every_directory_but_the_kernels_own_is_a_group(resctrl):
    os.rmdir(f"{resctrl.proc}/self/ns")
    os.rmdir(f"{resctrl.proc}/self")
    os.rmdir(resctrl.proc)
    assert resctrl.groups() == [Group("", "pqos-1-1"), Group("COS1"), Group("COS1", "m")]


def test_a_host_without_resctrl_has_no_groups(tmp_path):
    nothing = Resctrl(str(tmp_path / "missing"), str(tmp_path))
    assert (nothing.groups(), nothing.mount, nothing.mounts()) == ([], None, [])
    assert (nothing.tasks(OURS), nothing.cpus(OURS)) == (frozenset(), frozenset())


def test_what_is_there_and_cannot_be_understood_is_told(resctrl):
    with open(resctrl.path(ROOT, "tasks"), "w", encoding="utf-8") as file:
        file.write("1\nall others\n")
    with pytest.raises(errors.Unreadable, match=r"Cannot understand .*/tasks: .*'all'") as raised:
        resctrl.tasks(ROOT)
    assert raised.value.path == resctrl.path(ROOT, "tasks")


def test_what_is_there_and_cannot_be_read_is_told(resctrl, monkeypatch):
    def fail(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    monkeypatch.setattr(filesystem, "read_piece", fail)
    with pytest.raises(errors.Unreadable, match=r"Cannot read .*/tasks: Input/output error") as raised:
        resctrl.tasks(ROOT)
    assert raised.value.path == resctrl.path(ROOT, "tasks")


# -- the mount, and what can be seen from here -------------------------------------------------------------------------


def test_of_several_mounts_the_last_one_at_the_root_counts(resctrl):
    first = mounted(resctrl, "resctrl {0} resctrl ro 0 0\nresctrl {0} resctrl rw 0 0\nresctrl /else resctrl rw 0 0")
    assert first.mount is not None
    assert first.mount.options == ("rw",)
    assert [mount.path for mount in first.mounts()] == [resctrl.root, resctrl.root, "/else"]


def test_a_mount_elsewhere_is_not_ours(resctrl):
    assert mounted(resctrl, "resctrl /else resctrl rw 0 0").mount is None


@pytest.mark.parametrize(
    ("source", "filesystem_type", "namespace", "sees"),
    [
        ("resctrl", "resctrl", "pid:[4026531836]", True),
        # a container's
        ("resctrl", "resctrl", "pid:[4026532000]", False),
        # a look-alike counts in one namespace, whichever that is
        ("pid:[4026532000]", "fuse.resctrl", "pid:[4026532000]", True),
        ("pid:[4026532000]", "fuse.resctrl", "pid:[4026531836]", False),
        ("resctrl", "fuse.resctrl", "pid:[4026531836]", False),
    ],
)
def test_every_thread_is_seen_only_from_the_namespace_that_counts(resctrl, source, filesystem_type, namespace, sees):
    os.symlink(namespace, f"{resctrl.proc}/self/ns/pid")
    assert mounted(resctrl, f"{source} {{0}} {filesystem_type} rw,user_id=0 0 0").sees_every_thread is sees


def test_where_the_namespace_is_not_known_not_every_thread_is_seen(resctrl):
    assert mounted(resctrl, "resctrl {0} resctrl rw 0 0").sees_every_thread is False


@pytest.mark.parametrize(("filesystem_type", "tells"), [("resctrl", True), ("fuse.resctrl", False)])
def test_a_threads_file_in_proc_is_about_the_real_resctrl(resctrl, filesystem_type, tells):
    with open(f"{resctrl.proc}/self/cpu_resctrl_groups", "w", encoding="ascii") as file:
        file.write("res:/\nmon:\n")
    assert mounted(resctrl, f"x {{0}} {filesystem_type} rw,user_id=0 0 0").tells_groups is tells


def test_an_older_kernel_does_not_tell_a_threads_group(resctrl):
    assert mounted(resctrl, "resctrl {0} resctrl rw 0 0").tells_groups is False
    assert resctrl.group_of(1, 1) is None


def test_the_kernel_tells_the_group_of_a_thread(resctrl):
    os.makedirs(f"{resctrl.proc}/7/task/8")
    with open(f"{resctrl.proc}/7/task/8/cpu_resctrl_groups", "w", encoding="utf-8") as file:
        file.write("res:COS1\nmon:a\u2028b\n")
    assert resctrl.group_of(7, 8) == Group("COS1", "a\u2028b")


def test_how_many_threads_run_is_told_by_the_load(resctrl):
    with open(f"{resctrl.proc}/loadavg", "w", encoding="ascii") as file:
        file.write("0.25 0.41 0.52 2/1251 13360\n")
    assert resctrl.threads_of_the_machine() == 1251


@pytest.mark.parametrize("text", [None, "", "0.25 0.41 0.52 2 13360\n", "0.25 0.41 0.52 2/x 13360\n"])
def test_where_it_is_not_known_how_many_threads_run_it_is_as_many_as_there_can_be(resctrl, text):
    if text is not None:
        with open(f"{resctrl.proc}/loadavg", "w", encoding="ascii") as file:
            file.write(text)
    assert resctrl.threads_of_the_machine() == 4194304


def test_what_is_not_mounted_has_no_time(tmp_path):
    assert Resctrl(str(tmp_path / "missing")).generation_of_mount() == 0
