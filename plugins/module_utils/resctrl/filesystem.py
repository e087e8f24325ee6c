# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's resctrl filesystem: groups, tasks, counters, the lock. Knows threads, but no domain.

Rules are those of the kernel's Documentation/filesystems/resctrl.rst (x86/resctrl.rst before 6.17).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import re
import time
import typing as t

from . import errors

# Our groups are MON groups named after the domain's UUID: a domain's name may hold anything, and libvirt's own names
# (qemu-ID-NAME-vcpus_SET) would be adopted or removed by libvirt.
PREFIX = "kvmops-"

OURS = "kvmops"
LIBVIRT = "libvirt"
DEFAULT = "default"

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# libvirt: <machine name>-<id of the allocation or monitor> (virResctrlDeterminePath), e.g. qemu-1-vm2-vcpus_0-3
_LIBVIRT = re.compile(r"(?:qemu|ch)-.+-vcpus_[0-9][0-9,^-]*")
# pqos -I: COS<n> for its classes, pqos-<pid>-<n> for its monitoring groups
_PQOS = re.compile(r"COS[0-9]+|pqos-.+")

DEFAULT_PATH = "/sys/fs/resctrl"

# The second is a look-alike, as tests use
_FILESYSTEMS = ("resctrl", "fuse.resctrl")
# Others hold the lock for milliseconds: who keeps it for so long is stuck
_LOCK_PATIENCE = 10.0
# x86 flags of Intel RDT monitoring and AMD QoS. Their absence is proof, their presence is not (rdt=!cmt, quirks).
_FLAGS = frozenset(("cqm_llc", "cqm_occup_llc", "cqm_mbm_total", "cqm_mbm_local"))


class Group(t.NamedTuple):
    """A group of resctrl.

    `ctrl` names its CTRL_MON group ("" is the root, the default group), `mon` its MON group ("" is the CTRL_MON group
    itself). So Group("", "") is the root, Group("COS1", "") a CTRL_MON group, Group("COS1", "m") a MON group of it.
    """

    ctrl: str = ""
    mon: str = ""

    @property
    def path(self) -> str:
        """The directory, relative to the root of resctrl; "" for the root."""
        parts = [self.ctrl] if self.ctrl else []
        return "/".join([*parts, "mon_groups", self.mon] if self.mon else parts)

    @property
    def parent(self) -> Group:
        """The CTRL_MON group it belongs to (a CTRL_MON group: itself)."""
        return Group(self.ctrl)

    @property
    def uuid(self) -> str:
        """The UUID of the domain that a group of ours counts; "" if the group is not ours."""
        return _uuid_in(self.mon)

    @property
    def owner(self) -> str:
        """Who made it, by its name: kvmops, libvirt, pqos, other, or default for the root."""
        if self.uuid:
            return OURS
        name = self.mon or self.ctrl
        if not name:
            return DEFAULT
        if _LIBVIRT.fullmatch(name):
            return LIBVIRT
        return "pqos" if _PQOS.fullmatch(name) else "other"


@functools.lru_cache(maxsize=None)
def _uuid_in(name: str) -> str:
    uuid = name[len(PREFIX) :] if name.startswith(PREFIX) else ""
    return uuid if _UUID.fullmatch(uuid) else ""


ROOT = Group()


def group_for(uuid: str, parent: Group) -> Group:
    """Our group for the domain `uuid` in the CTRL_MON group `parent`.

    A thread can enter a MON group only below its own CTRL_MON group (EINVAL otherwise), so a domain with threads in
    several of them has one group of ours in each.
    Raises ValueError if `uuid` is not in libvirt's canonical form: no path is built from anything else.
    """
    if not _UUID.fullmatch(uuid):
        raise ValueError(f"not a UUID in canonical form: {uuid!r}")
    return Group(parent.ctrl, PREFIX + uuid)


class Mount(t.NamedTuple):
    """A mounted resctrl: where, as what, and its options as the kernel prints them."""

    path: str
    filesystem: str
    options: tuple[str, ...]


def parse_mounts(text: str) -> list[Mount]:
    """The resctrl mounts of a /proc/self/mounts. Blanks in a path are octal escapes there (proc(5))."""
    found = []
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) >= 4 and fields[2] in _FILESYSTEMS:
            path = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), fields[1])
            found.append(Mount(path, fields[2], tuple(fields[3].split(","))))
    return found


def parse_thread_groups(text: str) -> Group | None:
    """The group in a /proc/PID/task/TID/cpu_resctrl_groups; None where resctrl is not mounted (`res:` is empty)."""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    if not fields.get("res"):
        return None
    return Group("" if fields["res"] == "/" else fields["res"], fields.get("mon", ""))


def parse_tasks(text: str) -> frozenset[int]:
    """The thread ids of a `tasks` file (one a line; 0 stands for a thread outside of the reader's PID namespace)."""
    return frozenset(int(line) for line in text.split() if line != "0")


def read_text(path: str) -> str:
    """A small file of the kernel, whole. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(descriptor, 65536), b"")).decode("utf-8", "surrogateescape")
    finally:
        os.close(descriptor)


class Resctrl:
    """The resctrl filesystem mounted at `root`. `proc` is /proc, or a test's stand-in for it."""

    def __init__(self, root: str = DEFAULT_PATH, proc: str = "/proc") -> None:
        self.root = os.path.normpath(root)
        self.proc = proc

    def path(self, group: Group, *names: str) -> str:
        """The absolute path of a group, or of a file in it."""
        return os.path.join(self.root, group.path, *names).rstrip("/")

    def mounts(self) -> list[Mount]:
        """Every place where resctrl is mounted (the kernel allows one, a bind mount may add others)."""
        try:
            return parse_mounts(read_text(os.path.join(self.proc, "self/mounts")))
        except OSError:
            return []

    def mount(self) -> Mount | None:
        """The mount at our root, None if there is none."""
        root = os.path.realpath(self.root)
        return next((mount for mount in reversed(self.mounts()) if mount.path in (self.root, root)), None)

    def features(self) -> tuple[str, ...]:
        """The events of the L3 (llc_occupancy, mbm_total_bytes, ...); empty where monitoring is missing."""
        return tuple((self._read(ROOT, "info/L3_MON/mon_features") or "").split())

    def num_rmids(self) -> int:
        """How many RMIDs there are, the root's own included; 0 where monitoring is missing."""
        return int(self._read(ROOT, "info/L3_MON/num_rmids") or "0")

    def groups(self) -> list[Group]:
        """Every group but the root, each of which holds an RMID; in a stable order."""
        controls = [
            Group(name) for name in self._directories(ROOT.path) if name not in ("info", "mon_groups", "mon_data")
        ]
        monitors = [
            Group(parent.ctrl, name)
            for parent in [ROOT, *controls]
            for name in self._directories(os.path.join(parent.path, "mon_groups"))
        ]
        return sorted(controls + monitors)

    def _directories(self, relative: str) -> list[str]:
        try:
            with os.scandir(os.path.join(self.root, relative)) as entries:
                return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as exc:
            _raise_unless_gone(exc, os.path.join(self.root, relative))
            return []

    def tasks(self, group: Group) -> frozenset[int]:
        """The threads of a group; a CTRL_MON group's include those of its MON groups. Empty if the group is gone."""
        return parse_tasks(self._read(group, "tasks") or "")

    def _read(self, group: Group, name: str) -> str | None:
        """A file of a group, None if it or the group is not there. Raises Unreadable."""
        path = self.path(group, name)
        try:
            return read_text(path)
        except OSError as exc:
            _raise_unless_gone(exc, path)
            return None

    def group_of(self, pid: int, tid: int) -> Group | None:
        """The group that the kernel says a thread is in; None where it does not say (before 5.6)."""
        try:
            return parse_thread_groups(read_text(f"{self.proc}/{pid}/task/{tid}/cpu_resctrl_groups"))
        except OSError:
            return None

    def tells_groups(self) -> bool:
        """Whether cpu_resctrl_groups exists and speaks of what is mounted at our root, not of a look-alike."""
        mount = self.mount()
        return (
            mount is not None
            and mount.filesystem == "resctrl"
            and os.path.exists(f"{self.proc}/self/cpu_resctrl_groups")
        )

    def create(self, group: Group) -> None:
        """Make a MON group of ours; one that exists already is taken as it is.

        Raises RmidsExhausted (ENOSPC), RmidsInLimbo (EBUSY), Moved (its CTRL_MON group is gone), Refused.
        """
        path = self._own(group)
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            return
        except OSError as exc:
            raise self._refusal(exc, "make the group", path) from exc

    def remove(self, group: Group) -> None:
        """Remove a group of ours; its threads fall back to its CTRL_MON group, its RMID goes to the limbo.

        One that is gone already is fine. Raises Refused.
        """
        path = self._own(group)
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError as exc:
            raise self._refusal(exc, "remove the group", path) from exc

    def assign(self, group: Group, tid: int) -> None:
        """Move one thread into a group of ours; it leaves any other MON group.

        One decimal id a write(2), as every kernel takes it: a list needs 6.7, and 0 would be ourselves.
        Raises Moved (thread or group gone, thread in another CTRL_MON group by now), Refused.
        """
        path = os.path.join(self._own(group), "tasks")
        if tid <= 0:
            raise ValueError(f"not a thread id: {tid}")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(descriptor, b"%d\n" % tid)
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise self._refusal(exc, f"move thread {tid}", path) from exc

    def _own(self, group: Group) -> str:
        if group.owner != OURS or "/" in group.ctrl:
            raise ValueError(f"not a group of ours: {group.path!r}")
        return self.path(group)

    def _refusal(self, exc: OSError, action: str, path: str) -> errors.ResctrlError:
        """The typed error for a refused change. Read at once: any later command may clear last_cmd_status."""
        status = self._last_command_status()
        said = f"Cannot {action} at {path}: {os.strerror(exc.errno or 0)}{status}"
        if exc.errno == errno.ENOSPC:
            return errors.RmidsExhausted(said, path=path, hint="Free a monitoring group, or monitor fewer domains")
        if exc.errno == errno.EBUSY:
            hint = (
                "Freed RMIDs wait until the cache has lost their lines: try again in some seconds, "
                "or raise info/L3_MON/max_threshold_occupancy"
            )
            return errors.RmidsInLimbo(said, path=path, hint=hint)
        if exc.errno in (errno.ENOENT, errno.ENODEV, errno.ESRCH) or "different control group" in status:
            return errors.Moved(said, path=path, hint="The domain or the group changed meanwhile: run again")
        return errors.Refused(
            said, path=path, hint="Look at the kernel's log, and whether resctrl is mounted read-write"
        )

    def _last_command_status(self) -> str:
        """The kernel's own words for the last failure, as a suffix; "" if it has none (it is a hint, and global)."""
        try:
            lines = read_text(self.path(ROOT, "info/last_cmd_status")).strip().splitlines()
        except OSError:
            return ""
        return f" ({lines[-1]})" if lines and lines[-1] != "ok" else ""

    @contextlib.contextmanager
    def locked(self, patience: float = _LOCK_PATIENCE) -> t.Iterator[None]:
        """Hold the lock that the kernel's document asks for ("Locking between applications") and libvirt and pqos take.

        An exclusive flock(2) on the root directory. Raises LockTimeout after `patience` seconds.
        """
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            deadline = time.monotonic() + patience
            while not _try_lock(descriptor):
                if time.monotonic() >= deadline:
                    raise errors.LockTimeout(
                        f"Another program has held the lock on {self.root} for more than {patience:g} seconds",
                        path=self.root,
                        hint="Find it with 'fuser -v' on that directory (libvirt, pqos, another run?), then run again",
                    )
                time.sleep(0.01)
            yield
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _raise_unless_gone(exc: OSError, path: str) -> None:
    """What is not there (any more) is no error; what is there must be readable. Raises Unreadable."""
    if exc.errno not in (errno.ENOENT, errno.ENODEV, errno.ENOTDIR):
        said = f"Cannot read {path}: {os.strerror(exc.errno or 0)}"
        raise errors.Unreadable(said, path=path, hint="Run again, or look at the kernel's log") from exc


def missing_monitoring(resctrl: Resctrl) -> errors.MonitoringMissing | None:
    """Why there is no monitoring at the root of `resctrl`; None if there is.

    Asks files, never the kernel's version: distributions backport.
    """
    if resctrl.mount() is not None:
        if resctrl.features():
            return None
        return errors.AllocationOnly(
            f"resctrl at {resctrl.root} has no L3 monitoring",
            path=resctrl.root,
            hint="The CPU or the boot options (rdt=!cmt,!mbmtotal,!mbmlocal) rule it out: look at "
            "'dmesg | grep resctrl' for 'L3 monitoring detected'",
        )
    if _lists_resctrl(resctrl.proc):
        return _not_mounted(resctrl)
    if _cpu_lacks_monitoring(resctrl.proc):
        return errors.CpuWithoutMonitoring(
            "The CPU has no cache or memory-bandwidth monitoring (none of the flags cqm_llc, cqm_occup_llc, "
            "cqm_mbm_total, cqm_mbm_local)",
            hint="It takes Intel RDT or AMD QoS, and virtual machines do not see them: monitor on another host",
        )
    return errors.KernelWithoutResctrl(
        "The kernel offers no resctrl filesystem",
        hint="It takes a kernel with CONFIG_X86_CPU_RESCTRL (on Arm: ARM64_MPAM) on a CPU that it supports, and no "
        "boot option that turns it off: look at 'dmesg | grep resctrl'",
    )


def _lists_resctrl(proc: str) -> bool:
    try:
        return "resctrl" in read_text(f"{proc}/filesystems").split()
    except OSError:
        return False


def _not_mounted(resctrl: Resctrl) -> errors.NotMounted:
    elsewhere = [mount.path for mount in resctrl.mounts()]
    hint = (
        f"It is mounted at {elsewhere[0]}: set resctrl_path"
        if elsewhere
        else "Run 'mount -t resctrl resctrl /sys/fs/resctrl'"
    )
    return errors.NotMounted(f"resctrl is not mounted at {resctrl.root}", path=resctrl.root, hint=hint)


def _cpu_lacks_monitoring(proc: str) -> bool:
    """Whether cpuinfo has x86 flags, and none of monitoring among them (Arm has no flag for MPAM)."""
    try:
        lines = read_text(f"{proc}/cpuinfo").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return bool(flags) and not _FLAGS.intersection(flags.split())
