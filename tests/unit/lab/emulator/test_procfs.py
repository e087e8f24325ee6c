# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A /proc that tells where threads are, for those who take an emulated resctrl for the real one.

Needs root and /dev/fuse; where they are missing it fails under CI=true, and skips elsewhere.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import threading

import pytest
from waiting import wait_until

from emulator.control import Control
from emulator.procfs import as_kernel

CAN_MOUNT = os.geteuid() == 0 and os.path.exists("/dev/fuse")
pytestmark = pytest.mark.skipif(not CAN_MOUNT and os.environ.get("CI") != "true", reason="needs root and /dev/fuse")

LAB = pathlib.Path(__file__).resolve().parents[3] / "lab"
OVER_PROC = """
mount --bind /proc "$1/real"
"$2" -m emulator.procfs /proc --control "$1/control" --real "$1/real" --die-with-parent | {
    read -r line
    cat "/proc/$3/task/$3/cpu_resctrl_groups"
    readlink /proc/self/fd/0 | cut -c 1-4
    umount /proc
}
"""


class Machine:
    """A directory with an emulator mounted on ``resctrl`` and the look-alike of /proc on ``proc``."""

    def __init__(self, directory):
        self.path = pathlib.Path(directory)
        self.proc, self.resctrl = self.path / "proc", self.path / "resctrl"
        self.control = Control(f"{self.path}/control")
        self._processes = []
        for name in ("proc", "resctrl", "real"):
            (self.path / name).mkdir()
        self.emulator = self._start("emulator", self.resctrl)
        self.procfs = self._start("emulator.procfs", self.proc, "--option", "mba_MBps")

    def _start(self, module, mountpoint, *options):
        argv = [sys.executable, "-m", module, str(mountpoint), "--control", self.control.path, "--die-with-parent"]
        argv += options
        environment = {**os.environ, "PYTHONPATH": str(LAB)}
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment)
        self._processes.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    def groups(self, tid, pid=None):
        """Where a thread is."""
        return (self.proc / f"{pid or tid}/task/{tid}/cpu_resctrl_groups").read_text()

    def close(self):
        """End both."""
        self.control.close()
        for process in reversed(self._processes):
            process.terminate()
            process.communicate(timeout=10)


@pytest.fixture
def machine():
    with tempfile.TemporaryDirectory(prefix="procfs-") as name:
        machine = Machine(name)
        yield machine
        machine.close()
        assert not [line for line in pathlib.Path("/proc/mounts").read_text().splitlines() if name in line]


@pytest.fixture
def sleeper():
    """A process that does nothing."""
    process = subprocess.Popen(["sleep", "1000"])
    # Popen() returns when the old program is gone, which is a moment before the kernel shows the new one's command line
    wait_until(pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes, "the command line of a new process")
    yield process
    process.kill()
    process.wait()


def test_a_thread_is_where_it_was_written(machine, sleeper):
    assert machine.groups(sleeper.pid) == "res:/\nmon:\n"
    (machine.resctrl / "mon_groups/m").mkdir()
    (machine.resctrl / "mon_groups/m/tasks").write_text(str(sleeper.pid))
    assert machine.groups(sleeper.pid) == "res:/\nmon:m\n"
    assert (machine.proc / f"{sleeper.pid}/cpu_resctrl_groups").read_text() == "res:/\nmon:m\n"
    (machine.resctrl / "mon_groups/m").rmdir()
    assert machine.groups(sleeper.pid) == "res:/\nmon:\n"


def test_threads_of_a_process_may_be_in_different_groups(machine):
    (machine.resctrl / "mon_groups/m").mkdir()
    (machine.resctrl / "mon_groups/m/tasks").write_text("0")
    tids, done = [], threading.Event()

    def work():
        tids.append(threading.get_native_id())
        done.wait()

    (machine.resctrl / "tasks").write_text(str(os.getpid()))
    thread = threading.Thread(target=work)
    thread.start()
    try:
        while not tids:
            pass
        (machine.resctrl / "mon_groups/m/tasks").write_text(str(tids[0]))
        assert machine.groups(tids[0], os.getpid()) == "res:/\nmon:m\n"
        assert machine.groups(os.getpid()) == "res:/\nmon:\n"
    finally:
        done.set()
        thread.join()


def test_self_is_whoever_asks(machine):
    (machine.resctrl / "mon_groups/m").mkdir()
    code = (
        f"import os; open({str(machine.resctrl / 'mon_groups/m/tasks')!r}, 'w').write('0')\n"
        f"print(open({str(machine.proc / 'self/cpu_resctrl_groups')!r}).read())\n"
        f"print(open({str(machine.proc / 'thread-self/cpu_resctrl_groups')!r}).read())\n"
        f"print(os.readlink({str(machine.proc / 'self')!r}) == str(os.getpid()))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["res:/", "mon:m"] * 2 + ["True"]


def test_it_has_whatever_proc_has(machine, sleeper):
    names = set(os.listdir(machine.proc / str(sleeper.pid)))
    assert names - {"cpu_resctrl_groups"} == set(os.listdir(f"/proc/{sleeper.pid}")) - {"cpu_resctrl_groups"}
    assert (machine.proc / f"{sleeper.pid}/cmdline").read_bytes() == b"sleep\x001000\x00"
    assert os.listdir(machine.proc / f"{sleeper.pid}/task") == [str(sleeper.pid)]
    assert "0" in os.listdir(machine.proc / f"{sleeper.pid}/fd")
    assert os.stat(machine.proc / f"{sleeper.pid}/ns/mnt").st_ino == os.stat(f"/proc/{sleeper.pid}/ns/mnt").st_ino
    assert (machine.proc / "version").read_text() == pathlib.Path("/proc/version").read_text()


def test_who_is_in_its_pid_namespace_seems_to_be_in_the_machines(machine, sleeper):
    assert os.readlink(machine.proc / f"{sleeper.pid}/ns/pid") == "pid:[4026531836]"
    assert os.readlink(machine.proc / "self/ns/pid") == "pid:[4026531836]"


def test_the_program_of_a_process_is_what_it_is_there(machine, sleeper):
    for pid in (os.getpid(), sleeper.pid):
        assert os.readlink(machine.proc / f"{pid}/exe") == os.readlink(f"/proc/{pid}/exe")
    with pytest.raises(FileNotFoundError):
        os.readlink(machine.proc / "999999999/exe")


@pytest.mark.parametrize("path", ["no", "999999999", "999999999/task/1/cpu_resctrl_groups", "self/task/1/comm"])
def test_it_has_nothing_else(machine, fails, path):
    with fails("ENOENT"):
        os.stat(machine.proc / path)


def test_a_process_that_ended_is_gone(machine, fails):
    process = subprocess.Popen(["true"])
    process.wait()
    with fails("ENOENT"):
        machine.groups(process.pid)


def test_nothing_can_be_written(machine, fails):
    with fails("EACCES"):
        os.open(machine.proc / "self/cpu_resctrl_groups", os.O_WRONLY)


def test_the_emulator_seems_to_be_the_kernels_resctrl(machine):
    for path in ("self/mounts", "mounts", f"{os.getpid()}/mounts"):
        rows = [line.split() for line in (machine.proc / path).read_text().splitlines()]
        [row] = [row for row in rows if row[1] == str(machine.resctrl)]
        assert (row[0], row[2]) == ("resctrl", "resctrl")
        assert row[3].endswith(",mba_MBps")
    assert (machine.proc / "filesystems").read_text().count("nodev\tresctrl\n") == 1


def test_other_mounts_are_shown_as_they_are():
    other = "proc /proc proc rw 0 0\nx /x fuse.sshfs rw,user_id=0 0 0\n"
    emulated = "resctrl /a\\040b fuse.resctrl ro,nosuid,relatime,user_id=0,group_id=0,allow_other 0 0\n"
    assert as_kernel(other + emulated) == other + "resctrl /a\\040b resctrl ro,nosuid,relatime 0 0\n"


def test_mount_options_can_be_pretended():
    emulated = "resctrl /a fuse.resctrl rw,allow_other 0 0\n"
    assert as_kernel(emulated, ["mba_MBps"]) == "resctrl /a resctrl rw,mba_MBps 0 0\n"


def test_without_an_emulator_resctrl_is_not_mounted(machine, sleeper):
    machine.emulator.terminate()
    machine.emulator.wait(timeout=10)
    assert machine.groups(sleeper.pid) == "res:\nmon:\n"


def test_a_signal_ends_it(machine):
    machine.procfs.terminate()
    assert machine.procfs.wait(timeout=10) == 0
    assert os.listdir(machine.proc) == []


def test_it_can_lie_on_proc_itself(machine, sleeper):
    (machine.resctrl / "mon_groups/m").mkdir()
    (machine.resctrl / "mon_groups/m/tasks").write_text(str(sleeper.pid))
    unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", OVER_PROC, "sh"]
    ended = subprocess.run(
        [*unshare, str(machine.path), sys.executable, str(sleeper.pid)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(LAB)},
    )
    assert ended.stdout.split() == ["res:/", "mon:m", "pipe"], ended.stderr
