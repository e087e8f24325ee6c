# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounting. Emulators are started and unmounted instead."""

from __future__ import annotations

import os
import tempfile
from errno import EBUSY, EINVAL, ENOENT, EPERM, EROFS

import pytest
from targets import syscalls
from targets.checks import fails
from targets.processes import as_nobody, in_child

rule = pytest.mark.rule


@rule(needs="kernel")
@pytest.mark.usefixtures("fs")
def test_001_kernel_knows_the_filesystem():
    """/proc/filesystems lists resctrl as one that needs no device"""
    with open("/proc/filesystems", encoding="ascii") as file:
        assert "nodev\tresctrl\n" in file.readlines()


@rule(needs="kernel destructive")
def test_002_unmounted_directory(fs):
    """unmounted, the mount point is an empty directory of mode 0555 in which nothing can be made"""
    with fs.unmounted():
        assert (fs.mode(""), fs.names()) == (0o555, set())
        with fails(ENOENT):
            os.mkdir(fs.at("x"))


@rule(needs="destructive")
def test_003_mount(fs):
    """mount succeeds; /proc/mounts says resctrl, rw, relatime"""
    with fs.unmounted():
        fs.mount()
        fstype, options = fs.mount_entry()
    assert fstype == ("resctrl" if "kernel" in fs.facts else "fuse.resctrl")
    assert {"rw", "relatime"} <= set(options)


@rule(needs="kernel destructive")
@pytest.mark.usefixtures("fs")
def test_004_second_mount_elsewhere():
    """a second mount elsewhere fails: EBUSY"""
    with tempfile.TemporaryDirectory() as elsewhere, fails(EBUSY):
        syscalls.mount(elsewhere)


@rule(needs="kernel destructive")
@pytest.mark.usefixtures("fs")
def test_005_second_mount_in_another_namespace():
    """a second mount in another mount namespace fails: EBUSY"""

    def mount_there():
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("/", fstype="", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount("/tmp")

    with fails(EBUSY):
        in_child(mount_there)


@rule(needs="destructive")
def test_006_unknown_option(fs):
    """an unknown mount option fails: EINVAL"""
    with fs.unmounted(), fails(EINVAL):
        fs.mount("bogus")


@rule(since="6.7", needs="mon destructive")
def test_007_debug_option(fs):
    """the mount option debug shows mon_hw_id, 0 for the root"""
    with fs.mounted_with("debug"):
        assert fs.read("mon_hw_id") == "0\n"
        if "kernel" in fs.facts:
            assert "debug" in fs.mount_entry()[1]


@rule(until="6.6", needs="destructive")
def test_008_no_debug_option(fs):
    """the mount option debug fails: EINVAL"""
    with fs.unmounted(), fails(EINVAL):
        fs.mount("debug")


@rule(needs="mon destructive")
def test_009_unmounting_removes_groups(fs, member):
    """after umount and mount the groups are gone and their threads in the root group"""
    with fs.unmounted():
        pass
    assert fs.names("mon_groups") == set()
    assert fs.place(member.pid) == "res:/\nmon:\n"


@rule(needs="destructive")
def test_010_umount_with_an_open_file(fs):
    """umount with a file open in it fails: EBUSY"""
    with fs.unlocked(), open(fs.at("tasks"), encoding="ascii"), fails(EBUSY):
        fs.umount()


@rule(needs="kernel")
def test_011_magic(fs):
    """statfs says 0x7655821"""
    assert syscalls.filesystem_type(fs.path) == 0x7655821


@rule(needs="mon destructive")
def test_279_read_only(fs, process):
    """mounted read-only, nothing can be made, removed or written: EROFS; /proc/mounts says ro"""
    with fs.mounted_with("ro"):
        assert "ro" in fs.mount_entry()[1]
        for change in (
            lambda: fs.mkdir("mon_groups/x"),
            lambda: fs.rmdir("mon_groups"),
            lambda: fs.write("tasks", f"{process.pid}\n"),
        ):
            with fails(EROFS):
                change()
        assert fs.read("info/last_cmd_status") == "ok\n"


@rule(needs="destructive")
def test_280_time_of_the_mount(fs):
    """the ctime of the root directory stays as long as it is mounted, and is another one after umount and mount"""
    before = os.stat(fs.at("")).st_ctime_ns
    if "mon" in fs.facts:
        fs.make("mon_groups/m")
    assert os.stat(fs.at("")).st_ctime_ns == before
    with fs.unmounted():
        pass
    assert os.stat(fs.at("")).st_ctime_ns != before


@rule(since="6.7", needs="mon destructive")
def test_281_inodes_repeat(fs):
    """after umount and mount the inode numbers of groups begin anew: a new group may have that of an old one"""
    inodes = []
    # More than two times: a mkdir that is refused, because RMIDs are in limbo, uses numbers up too
    for _time in range(5):
        with fs.unmounted():
            pass
        inodes.append(os.stat(fs.at(fs.make("mon_groups/m"))).st_ino)
    assert len(set(inodes)) < len(inodes)


@rule(needs="destructive")
def test_126_second_mount_at_the_same_place(fs):
    """a second mount at the same place fails: EBUSY"""
    with fails(EBUSY):
        fs.mount()


@rule(needs="kernel")
@pytest.mark.usefixtures("fs")
def test_127_mount_as_nobody():
    """an unprivileged user's mount fails: EPERM"""
    with fails(EPERM):
        as_nobody(lambda: syscalls.mount("/tmp"))


@rule(needs="kernel destructive")
def test_128_unmounted_there_are_no_groups(fs):
    """unmounted, cpu_resctrl_groups of a thread names no group"""
    with fs.unmounted():
        assert fs.place(os.getpid()) == "res:\nmon:\n"


@rule(needs="kernel destructive")
def test_129_remount_changes_nothing(fs):
    """a remount with another option succeeds and changes nothing"""
    before = fs.mount_entry()
    syscalls.mount(fs.path, option="cdp", flags=syscalls.MS_REMOUNT)
    assert fs.mount_entry() == before


@rule(needs="kernel destructive cdp")
def test_130_cdp_option(fs):
    """the mount option cdp splits L3 into L3CODE and L3DATA"""
    with fs.mounted_with("cdp"):
        assert {"L3CODE", "L3DATA"} <= fs.names("info")
        assert "cdp" in fs.mount_entry()[1]


@rule(needs="kernel destructive mb mbm intel no-snc")
def test_275_software_controller(fs):
    """the mount option mba_MBps makes the limits of new groups be in MB/s: none at first"""
    with fs.mounted_with("mba_MBps"):
        assert "mba_MBps" in fs.mount_entry()[1]
        assert "=4294967295" in fs.read("schemata")


@rule(since="6.11", needs="kernel destructive mb mbm intel snc")
def test_276_software_controller_of_nodes(fs):
    """with sub-NUMA clustering, where bandwidth is not limited by node, the mount option mba_MBps fails: EINVAL"""
    with fs.unmounted(), fails(EINVAL):
        fs.mount("mba_MBps")


@rule(since="6.7", needs="alloc mon destructive no-mpam")
def test_131_hardware_ids(fs):
    """with debug, each group has an RMID of its own, a CTRL_MON group also a CLOSID, a MON group its parent's"""
    with fs.mounted_with("debug"):
        groups = ["", fs.make("c"), fs.make("mon_groups/m"), fs.make("c/mon_groups/k")]
        assert len({fs.read(f"{group}/mon_hw_id".lstrip("/")) for group in groups}) == 4
        assert (fs.read("ctrl_hw_id"), fs.read("c/ctrl_hw_id")) == ("0\n", "1\n")
        assert not fs.exists("c/mon_groups/k/ctrl_hw_id")


@rule(needs="destructive")
def test_132_umount_with_a_working_directory(fs):
    """umount while a process has its working directory inside fails: EBUSY"""

    def umount_from_inside():
        os.chdir(fs.at("info"))
        fs.umount()

    with fs.unlocked(), fails(EBUSY):
        in_child(umount_from_inside)
