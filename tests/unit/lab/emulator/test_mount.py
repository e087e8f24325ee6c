# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulator as a process: a real FUSE mount, real threads, the control socket.

Needs root and /dev/fuse; where they are missing it fails under CI=true, and skips elsewhere.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import pathlib
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass

import pytest
from waiting import wait_until

from emulator.control import Control, ControlError
from emulator.faults import Fault

CAN_MOUNT = os.geteuid() == 0 and os.path.exists("/dev/fuse")
pytestmark = pytest.mark.skipif(not CAN_MOUNT and os.environ.get("CI") != "true", reason="needs root and /dev/fuse")

LAB = pathlib.Path(__file__).resolve().parents[3] / "lab"
NOBODY = 65534
LLC = "mon_data/mon_L3_00/llc_occupancy"


def command(mountpoint, *arguments):
    return [sys.executable, "-m", "emulator", str(mountpoint), *arguments]


def environment():
    return {**os.environ, "PYTHONPATH": str(LAB)}


def is_mounted(mountpoint):
    return any(line.split()[1] == str(mountpoint) for line in pathlib.Path("/proc/mounts").read_text().splitlines())


@dataclass
class Mounted:
    """A running emulator; ``path / "tasks"`` is a file of the mount."""

    path: pathlib.Path
    process: subprocess.Popen[str]
    control: Control

    def write(self, path, text):
        """One write(2)."""
        write(self.path / path, text)

    def mkdir(self, *paths):
        """Make groups."""
        for path in paths:
            (self.path / path).mkdir()

    def tasks(self, path):
        """The thread numbers that a group lists."""
        return [int(line) for line in (self.path / path / "tasks").read_text().split()]


def write(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        return os.write(fd, str(text).encode())
    finally:
        os.close(fd)


@pytest.fixture
def start():
    """``start(*arguments)``: a mounted emulator; all are ended with the test."""
    running = []

    def run(*arguments):
        mountpoint = place / f"mount {len(running)}"
        mountpoint.mkdir()
        socket = str(place / f"control{len(running)}")
        argv = command(mountpoint, "--control", socket, "--die-with-parent", *arguments)
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment())
        running.append(Mounted(mountpoint, process, Control(socket)))
        assert process.stdout.readline() == "ready\n"
        return running[-1]

    with tempfile.TemporaryDirectory(prefix="emulator-") as name:
        place = pathlib.Path(name)
        place.chmod(0o755)  # unlike tmp_path, others may enter it
        yield run
        for mounted in running:
            mounted.control.close()
            mounted.process.terminate()
            mounted.process.communicate(timeout=10)
            subprocess.run(["umount", "--lazy", mounted.path], stderr=subprocess.DEVNULL, check=False)


@pytest.fixture
def mounted(start):
    return start()


@pytest.fixture
def sleeper():
    """A process that does nothing."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def as_nobody(code):
    """Run Python as an unprivileged user; its exit status, which the code makes an errno."""
    prelude = f"import os; os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    return subprocess.run([sys.executable, "-c", prelude + code], check=False).returncode


# -- the mount


def test_it_is_told_apart_from_other_filesystems_by_its_type(mounted):
    rows = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    row = next(row for row in rows if row[1] == str(mounted.path).replace(" ", "\\040"))
    assert row[0] == os.readlink("/proc/self/ns/pid")
    assert row[2] == "fuse.resctrl"


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_leaves_nothing_behind(start, name):
    mounted = start()
    mounted.process.send_signal(name)
    assert mounted.process.wait(timeout=10) == 0
    assert not os.path.ismount(mounted.path)
    assert not os.path.exists(mounted.control.path)


def test_it_ends_with_its_parent(tmp_path):
    mountpoint = tmp_path / "m"
    mountpoint.mkdir()
    parent = (
        "import subprocess, sys\n"
        "process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)\n"
        "process.stdout.readline()\n"
        "print(process.pid)\n"
    )
    arguments = command(mountpoint, "--die-with-parent")
    ended = subprocess.run(
        [sys.executable, "-c", parent, *arguments], stdout=subprocess.PIPE, text=True, env=environment(), check=True
    )
    assert int(ended.stdout) > 0
    wait_until(lambda: not is_mounted(mountpoint), "the end of the mount")


def test_a_mount_whose_server_was_killed_is_replaced(start):
    mounted = start()
    mounted.process.kill()
    mounted.process.wait()
    with pytest.raises(OSError, match="not connected") as raised:
        os.listdir(mounted.path)
    assert raised.value.errno == errno.ENOTCONN
    again = subprocess.Popen(command(mounted.path), stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert again.stdout.readline() == "ready\n"
        assert (mounted.path / "info/last_cmd_status").read_text() == "ok\n"
    finally:
        again.terminate()
        again.communicate(timeout=10)
    assert not os.path.ismount(mounted.path)


def test_a_second_mount_at_the_same_place_is_refused(mounted):
    second = subprocess.run(command(mounted.path), capture_output=True, text=True, env=environment(), check=False)
    assert second.returncode == 32
    assert "Device or resource busy" in second.stderr
    assert (mounted.path / "info/last_cmd_status").read_text() == "ok\n"


@pytest.mark.parametrize("arguments", [("--profile", "nonsense"), ("--set", "num_rmids=many"), ("--set", "x=1")])
def test_wrong_arguments_are_explained(tmp_path, arguments):
    argv = command(tmp_path, *arguments)
    ended = subprocess.run(argv, capture_output=True, text=True, env=environment(), check=False)
    assert ended.returncode == 2
    assert arguments[1] in ended.stderr


def test_settings_change_the_profile(start):
    mounted = start("--profile", "intel-7.3", "--set", "num_rmids=8", "--set", "l3_ids=0,1")
    assert (mounted.path / "info/L3_MON/num_rmids").read_text() == "8\n"
    assert sorted(os.listdir(mounted.path / "mon_data")) == ["mon_L3_00", "mon_L3_01"]
    assert mounted.control.snapshot()["era"] == "7.3"


# -- what the VFS layer does


def test_stat_shows_what_kernfs_shows(mounted):
    mounted.mkdir("mon_groups/m")
    root, group, file = (os.lstat(mounted.path / path) for path in ("", "mon_groups/m", f"mon_groups/m/{LLC}"))
    assert (stat.filemode(root.st_mode), root.st_nlink, root.st_size) == ("dr-xr-xr-x", 5, 0)
    assert (stat.filemode(group.st_mode), group.st_nlink, group.st_size) == ("drwxr-xr-x", 3, 0)
    assert (stat.filemode(file.st_mode), file.st_nlink, file.st_size) == ("-r--r--r--", 1, 0)
    assert (file.st_blksize, file.st_blocks, file.st_uid) == (4096, 0, 0)


def test_the_umask_counts_for_a_groups_directories(mounted):
    mask = os.umask(0o077)
    try:
        mounted.mkdir("mon_groups/m")
    finally:
        os.umask(mask)
    modes = [stat.S_IMODE(os.stat(mounted.path / "mon_groups/m" / path).st_mode) for path in ("", "mon_data", "tasks")]
    assert modes == [0o700, 0o700, 0o644]


def test_chmod_chown_and_utime_persist(mounted):
    tasks = mounted.path / "tasks"
    tasks.chmod(0o600)
    os.chown(tasks, 1000, -1)
    os.utime(tasks, (1, 1))
    found = tasks.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_mtime) == (0o600, 1000, 0, 1)


@pytest.mark.parametrize("path", ["info/last_cmd_status", "size", LLC])
@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR])
def test_not_even_root_opens_a_read_only_file_for_writing(mounted, fails, path, flags):
    with fails("EACCES"):
        os.open(mounted.path / path, flags)


@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        ("EACCES", lambda path: os.open(path / "new", os.O_CREAT | os.O_WRONLY)),
        ("EPERM", lambda path: os.symlink("tasks", path / "link")),
        ("EPERM", lambda path: os.link(path / "tasks", path / "link")),
        ("EPERM", lambda path: os.mkfifo(path / "fifo")),
        ("EPERM", lambda path: os.unlink(path / "tasks")),
        ("EISDIR", lambda path: os.unlink(path / "mon_groups")),
        ("ENOTDIR", lambda path: os.rmdir(path / "tasks")),
        ("EBUSY", os.rmdir),
        ("EEXIST", lambda path: os.mkdir(path / "info")),
        ("ENOTDIR", lambda path: os.mkdir(path / "tasks/x")),
        ("ENOTSUP", lambda path: os.setxattr(path / "tasks", "user.x", b"1")),
    ],
)
def test_what_nobody_can_do(mounted, fails, name, attempt):
    with fails(name):
        attempt(mounted.path)


def test_names_longer_than_usual_and_beyond_ascii(mounted):
    for name in ("n" * 1000, "web 01 \N{LATIN SMALL LETTER E WITH ACUTE},..x", "-x"):
        mounted.mkdir(f"mon_groups/{name}")
        assert os.listdir(mounted.path / "mon_groups") == [name]
        (mounted.path / "mon_groups" / name).rmdir()


def test_rename_with_flags_is_refused(start):
    mounted = start("--profile", "intel-6.12")
    mounted.mkdir("mon_groups/a")
    libc = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(mounted.path / "mon_groups" / name) for name in "ab")
    old, new = names
    noreplace = 1
    assert libc.renameat2(-100, old, -100, new, noreplace) == -1
    assert errno.errorcode[ctypes.get_errno()] == "EINVAL"
    os.rename(old, new)
    assert os.listdir(mounted.path / "mon_groups") == ["b"]


def test_flock_on_the_root_works_between_open_files(mounted, fails):
    first, second = (os.open(mounted.path, os.O_RDONLY | os.O_DIRECTORY) for _file in range(2))
    fcntl.flock(first, fcntl.LOCK_EX)
    with fails("EAGAIN"):
        fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(first)
    fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(second)


# -- files


def test_a_read_is_a_snapshot_and_one_from_the_start_is_a_new_one(mounted):
    fd = os.open(mounted.path / LLC, os.O_RDONLY)
    try:
        mounted.control.set("", 0, "llc_occupancy", 12345)
        assert (os.read(fd, 3), os.read(fd, 100), os.read(fd, 100)) == (b"123", b"45\n", b"")
        mounted.control.set("", 0, "llc_occupancy", 7)
        assert os.pread(fd, 100, 2) == b"345\n"
        assert os.pread(fd, 100, 0) == b"7\n"
    finally:
        os.close(fd)


def test_files_of_a_removed_group(mounted, fails):
    mounted.mkdir("mon_groups/m")
    path = mounted.path / "mon_groups/m"
    before = path.stat().st_ino
    tasks, counter = os.open(path / "tasks", os.O_RDWR), os.open(path / LLC, os.O_RDONLY)
    path.rmdir()
    with fails("ENOENT"):
        os.open(path / "tasks", os.O_RDONLY)
    path.mkdir()
    assert path.stat().st_ino != before
    for attempt in (
        lambda: os.read(tasks, 10),
        lambda: os.write(tasks, b"1"),
        lambda: os.pread(counter, 10, 0),
    ):
        with fails("ENODEV"):
            attempt()
    os.close(tasks)
    os.close(counter)


def test_every_write_is_one_command(mounted, sleeper):
    mounted.mkdir("mon_groups/m")
    fd = os.open(mounted.path / "mon_groups/m/tasks", os.O_RDWR | os.O_TRUNC | os.O_APPEND)
    try:
        assert os.write(fd, str(sleeper.pid).encode()) == len(str(sleeper.pid))
        assert os.write(fd, str(os.getpid()).encode()) == len(str(os.getpid()))
        assert os.pwrite(fd, str(sleeper.pid).encode(), 5) == len(str(sleeper.pid))
    finally:
        os.close(fd)
    assert sorted(mounted.tasks("mon_groups/m")) == sorted((sleeper.pid, os.getpid()))
    os.truncate(mounted.path / "mon_groups/m/tasks", 0)
    assert len(mounted.tasks("mon_groups/m")) == 2


def test_a_write_beyond_a_page_is_e2big(mounted, fails):
    with fails("E2BIG"):
        mounted.write("tasks", "1".ljust(5000))


def test_0_is_the_writing_thread(mounted):
    mounted.mkdir("mon_groups/m")
    done, tids = threading.Event(), []

    def work():
        tids.append(threading.get_native_id())
        mounted.write("mon_groups/m/tasks", 0)
        done.wait()

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: mounted.tasks("mon_groups/m") or not thread.is_alive(), "the thread in the group")
    assert mounted.tasks("mon_groups/m") == tids
    done.set()
    thread.join()
    assert os.getpid() not in mounted.tasks("mon_groups/m")


# -- users


def test_others_than_root_make_no_groups(mounted):
    code = f"try:\n os.mkdir({str(mounted.path / 'mon_groups/m')!r})\nexcept OSError as e: os._exit(e.errno)"
    assert as_nobody(code) == errno.EACCES


def test_a_user_who_may_write_moves_his_own_threads_only(mounted):
    mounted.mkdir("mon_groups/m")
    path = mounted.path / "mon_groups/m/tasks"
    path.chmod(0o666)
    code = f"fd = os.open({str(path)!r}, os.O_WRONLY)\ntry:\n os.write(fd, str(PID).encode())\n"
    code += "except OSError as e: os._exit(e.errno)"
    assert as_nobody(code.replace("PID", "os.getpid()")) == 0
    assert as_nobody(code.replace("PID", "1")) == errno.EPERM
    assert (mounted.path / "info/last_cmd_status").read_text() == "No permission to move task 1\n"


# -- real threads


def test_a_forked_child_inherits_and_leaves_when_it_ends(mounted):
    mounted.mkdir("mon_groups/m")
    shell = subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    mounted.write("mon_groups/m/tasks", shell.pid)
    shell.stdin.write("sleep 1000 & echo $!\n")
    shell.stdin.flush()
    child = int(shell.stdout.readline())
    try:
        assert mounted.tasks("mon_groups/m") == [shell.pid, child]
        assert child in mounted.tasks("")
    finally:
        os.kill(child, signal.SIGKILL)
    shell.stdin.write("wait; echo reaped\n")
    shell.stdin.flush()
    shell.stdout.readline()
    assert mounted.tasks("mon_groups/m") == [shell.pid]
    shell.communicate()
    assert mounted.tasks("mon_groups/m") == []


def test_a_zombie_is_a_task(mounted):
    mounted.mkdir("mon_groups/m")
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    mounted.write("mon_groups/m/tasks", process.pid)
    assert mounted.tasks("mon_groups/m") == [process.pid]
    process.wait()
    assert mounted.tasks("mon_groups/m") == []


def test_counters_move_with_the_cpu_time_of_a_real_thread(mounted):
    mounted.mkdir("mon_groups/m")
    counter = mounted.path / "mon_groups/m/mon_data/mon_L3_00/mbm_total_bytes"
    mounted.write("mon_groups/m/tasks", threading.get_native_id())
    before = time.thread_time()
    while time.thread_time() - before < 0.2:
        pass
    mounted.write("tasks", threading.get_native_id())
    spent = time.thread_time() - before
    value = int(counter.read_text())
    assert 0.1e9 < value < 2 * (spent + 0.1) * 1e9
    assert int(counter.read_text()) == value


# -- control


def test_values_are_set_and_unset(mounted):
    mounted.mkdir("mon_groups/m")
    for value in (180224, "Unavailable", "Error"):
        mounted.control.set("mon_groups/m", 0, "llc_occupancy", value)
        assert (mounted.path / "mon_groups/m" / LLC).read_text() == f"{value}\n"
    mounted.control.unset("mon_groups/m")
    assert (mounted.path / "mon_groups/m" / LLC).read_text() == "0\n"


@pytest.mark.parametrize(
    ("attempt", "reason"),
    [
        (lambda control: control.set("no", 0, "llc_occupancy", 1), "No such file"),
        (lambda control: control.set("", 9, "llc_occupancy", 1), "Invalid argument"),
        (lambda control: control.set("mon_groups", 0, "llc_occupancy", 1), "No such file"),
        (lambda control: control._call("nonsense"), "no command 'nonsense'"),
        (lambda control: control._call("set"), "TypeError"),
    ],
)
def test_a_refused_command_says_why(mounted, attempt, reason):
    with pytest.raises(ControlError, match=reason):
        attempt(mounted.control)
    assert mounted.control.snapshot()["profile"] == "intel-6.1"


def test_time_passes_on_demand(start, fails):
    mounted = start("--profile", "few-rmids", "--set", "era=6.12")
    mounted.mkdir("mon_groups/a", "mon_groups/b", "mon_groups/c")
    with fails("ENOSPC"):
        mounted.mkdir("mon_groups/d")
    (mounted.path / "mon_groups/a").rmdir()
    assert mounted.control.snapshot()["rmids"] == {"total": 4, "free": [], "limbo": [1]}
    mounted.control.advance(1)
    mounted.mkdir("mon_groups/d")


def test_frozen_counters_stand_still(mounted):
    mounted.control.freeze()
    first = (mounted.path / LLC).read_text()
    sum(range(1_000_000))
    assert (mounted.path / LLC).read_text() == first
    assert mounted.control.snapshot()["frozen"]
    mounted.control.unfreeze()
    assert not mounted.control.snapshot()["frozen"]


def test_the_log_tells_what_was_asked_for_and_what_came_of_it(mounted, sleeper, fails):
    mounted.control.clear_log()
    mounted.mkdir("mon_groups/m")
    mounted.write("mon_groups/m/tasks", sleeper.pid)
    with fails("EINVAL"):
        mounted.write("mon_groups/m/tasks", "x")
    assert mounted.tasks("mon_groups/m") == [sleeper.pid]
    (mounted.path / "mon_groups/m").rmdir()
    path = "mon_groups/m/tasks"
    assert [(entry.kind, entry.path, entry.data, entry.errno) for entry in mounted.control.log()] == [
        ("mkdir", "mon_groups/m", "", 0),
        ("open", path, "", 0),
        ("write", path, str(sleeper.pid), 0),
        ("open", path, "", 0),
        ("write", path, "x", errno.EINVAL),
        ("open", path, "", 0),
        ("read", path, "", 0),
        ("rmdir", "mon_groups/m", "", 0),
    ]
    assert {entry.tid for entry in mounted.control.log()} == {os.getpid()}
    assert [entry.kind for entry in mounted.control.log("mkdir", "rmdir")] == ["mkdir", "rmdir"]
    mounted.control.clear_log()
    assert mounted.control.log() == []


def test_the_nth_operation_fails(mounted, fails):
    mounted.control.fault(Fault("mkdir", path="mon_groups/.*", nth=2, times=2, errno=errno.ENOSPC))
    mounted.mkdir("c", "mon_groups/a")
    for _time in range(2):
        with fails("ENOSPC"):
            mounted.mkdir("mon_groups/b")
    mounted.mkdir("mon_groups/b")
    assert [fault.seen for fault in mounted.control.faults()] == [4]


def test_a_fault_for_ever_until_it_is_cleared(mounted, fails):
    mounted.control.fault(Fault("read", path=".*/llc_occupancy", times=0, errno=errno.EIO))
    for _time in range(3):
        with fails("EIO"):
            (mounted.path / LLC).read_text()
    mounted.control.clear_faults()
    assert int((mounted.path / LLC).read_text()) >= 0


@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_group_is_removed_between_open_and_read_or_write(mounted, fails, kind):
    mounted.mkdir("mon_groups/m")
    mounted.control.fault(Fault(kind, path="mon_groups/m/tasks", remove="mon_groups/m"))
    with fails("ENODEV"):
        if kind == "read":
            mounted.tasks("mon_groups/m")
        else:
            mounted.write("mon_groups/m/tasks", os.getpid())
    assert os.listdir(mounted.path / "mon_groups") == []
    mounted.mkdir("mon_groups/m")
    assert mounted.tasks("mon_groups/m") == []


def test_a_slow_read_does_not_hold_up_the_control_socket(mounted):
    mounted.control.fault(Fault("read", path="tasks", delay=1.0))
    mounted.control.clear_log()
    reader = threading.Thread(target=(mounted.path / "tasks").read_text)
    reader.start()
    wait_until(lambda: mounted.control.faults()[0].seen, "the read")
    assert mounted.control.log("read") == [], "it is still under way"
    reader.join()
    assert [entry.errno for entry in mounted.control.log("read")] == [0]


def test_the_caller_is_killed_at_the_nth_operation(mounted):
    mounted.control.fault(Fault("mkdir", nth=3, kill=True))
    code = f"import os\nfor name in 'abcd': os.mkdir(os.path.join({str(mounted.path)!r}, 'mon_groups', name))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert sorted(os.listdir(mounted.path / "mon_groups")) == ["a", "b"]


# -- hardware that misbehaves, and changes under way


@pytest.mark.parametrize(("kind", "name"), [("read", "EIO"), ("open", "ENOENT"), ("open", "EACCES")])
def test_a_counter_of_one_group_cache_and_event_fails(start, fails, kind, name):
    mounted = start("--set", "l3_ids=0,1")
    mounted.mkdir("mon_groups/m", "mon_groups/n")
    path = "mon_data/mon_L3_01/mbm_total_bytes"
    mounted.control.fault(Fault(kind, path=f"mon_groups/m/{path}", times=0, errno=getattr(errno, name)))
    for _time in range(2):
        with fails(name):
            (mounted.path / "mon_groups/m" / path).read_text()
    assert (mounted.path / "mon_groups/n" / path).read_text() == "0\n"
    assert (mounted.path / "mon_groups/m/mon_data/mon_L3_00/mbm_total_bytes").read_text() == "0\n"


@pytest.mark.parametrize(("kind", "name"), [("read", "EIO"), ("open", "EACCES")])
def test_the_tasks_of_one_group_cannot_be_read(mounted, fails, kind, name):
    mounted.mkdir("mon_groups/m", "mon_groups/n")
    mounted.control.fault(Fault(kind, path="mon_groups/m/tasks", times=0, errno=getattr(errno, name)))
    for _time in range(2):
        with fails(name):
            mounted.tasks("mon_groups/m")
    assert mounted.tasks("mon_groups/n") == []


def test_fewer_groups_can_be_made_than_num_rmids_says(mounted, fails):
    mounted.control.leave_rmids(2)
    mounted.mkdir("mon_groups/a", "mon_groups/b")
    with fails("ENOSPC"):
        mounted.mkdir("mon_groups/c")
    assert (mounted.path / "info/last_cmd_status").read_text() == "Out of RMIDs\n"
    (mounted.path / "mon_groups/a").rmdir()
    mounted.mkdir("mon_groups/c")
    mounted.control.leave_rmids(None)
    mounted.mkdir("mon_groups/d")


def test_cpus_are_given_to_groups(mounted):
    mounted.mkdir("c", "mon_groups/m")
    mounted.write("mon_groups/m/cpus_list", "0\n")
    mounted.write("c/cpus_list", "0\n")
    assert [(mounted.path / path / "cpus_list").read_text() for path in ("c", "mon_groups/m")] == ["0\n", "\n"]
    (mounted.path / "c").rmdir()
    assert (mounted.path / "cpus_list").read_text().startswith("0")


def test_a_read_only_mount(start, fails):
    mounted = start("--set", "ro=yes")
    row = next(line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines() if "mount\\0400" in line)
    assert row[3].split(",")[0] == "ro"
    for attempt in (
        lambda: mounted.mkdir("mon_groups/m"),
        lambda: mounted.write("tasks", os.getpid()),
        lambda: (mounted.path / "tasks").chmod(0o600),
    ):
        with fails("EROFS"):
            attempt()
    assert os.getpid() in mounted.tasks("")


def test_a_mount_that_becomes_read_only(mounted, fails):
    mounted.mkdir("mon_groups/m")
    remount = ["mount", "--internal-only", "--options", "remount,ro", mounted.path]
    subprocess.run(remount, check=True)
    with fails("EROFS"):
        (mounted.path / "mon_groups/m").rmdir()
    remount[3] = "remount,rw"
    subprocess.run(remount, check=True)
    (mounted.path / "mon_groups/m").rmdir()


def test_a_cache_is_reset_and_goes_offline_and_comes_back(start, fails):
    mounted = start("--set", "l3_ids=0,1")
    counters = [mounted.path / f"mon_data/mon_L3_{l3_id:02d}/mbm_total_bytes" for l3_id in (0, 1)]
    for l3_id in (0, 1):
        mounted.control.set("", l3_id, "mbm_total_bytes", 9_000_000_000)
    mounted.control.reset(0)
    assert [counter.read_text() for counter in counters] == ["0\n", "9000000000\n"]
    with counters[1].open() as held:
        mounted.control.offline(1)
        assert os.listdir(mounted.path / "mon_data") == ["mon_L3_00"]
        with fails("ENODEV"):
            held.read()
    mounted.control.freeze()
    mounted.control.online(1)
    assert counters[1].read_text() == "0\n"


def test_a_node_goes_offline_and_comes_back(start):
    mounted = start("--profile", "snc", "--set", "l3_ids=0,1")
    mounted.control.offline(1, node=3)
    assert "mon_sub_L3_03" not in os.listdir(mounted.path / "mon_data/mon_L3_01")
    mounted.control.online(1, node=3)
    assert "mon_sub_L3_03" in os.listdir(mounted.path / "mon_data/mon_L3_01")
    with pytest.raises(ControlError, match="Invalid argument"):
        mounted.control.offline(1, node=0)


def test_telemetry_of_a_package_is_set(start):
    mounted = start("--profile", "intel-aet", "--set", "packages=2")
    mounted.control.set("", 1, "core_energy", 2.75)
    mounted.control.set("", 1, "uops_retired", "Error")
    directory = mounted.path / "mon_data/mon_PERF_PKG_01"
    assert (directory / "core_energy").read_text() == "2.750000\n"
    assert (directory / "uops_retired").read_text() == "Error\n"


def test_the_root_tells_mounts_apart_where_inodes_repeat(start, fails):
    mounted = start("--profile", "intel-7.3")
    mounted.mkdir("mon_groups/m")
    seen = [(os.stat(mounted.path).st_ctime_ns, os.stat(mounted.path / "mon_groups/m").st_ino)]
    held = os.open(mounted.path / "mon_groups/m/tasks", os.O_RDONLY)
    mounted.control.remount()
    with fails("ENODEV"):
        os.read(held, 10)
    os.close(held)
    assert os.listdir(mounted.path / "mon_groups") == []
    mounted.mkdir("mon_groups/m")
    seen.append((os.stat(mounted.path).st_ctime_ns, os.stat(mounted.path / "mon_groups/m").st_ino))
    assert seen[0][1] == seen[1][1]
    assert seen[0][0] < seen[1][0]


def test_a_second_emulator_at_the_same_place_is_another_mount(start):
    inodes, times = set(), set()
    for _time in range(2):
        mounted = start("--profile", "intel-7.3")
        mounted.mkdir("mon_groups/m")
        inodes.add(os.stat(mounted.path / "mon_groups/m").st_ino)
        times.add(os.stat(mounted.path).st_ctime_ns)
    assert (len(inodes), len(times)) == (1, 2)


def test_a_client_notices_that_the_emulator_is_gone(mounted):
    mounted.control.snapshot()
    mounted.process.terminate()
    mounted.process.wait(timeout=10)
    with pytest.raises(OSError, match=r"gone|reset|pipe"):
        mounted.control.snapshot()
