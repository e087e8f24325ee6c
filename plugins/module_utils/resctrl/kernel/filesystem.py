# SPDX-License-Identifier: GPL-3.0-or-later
"""The mounted resctrl: its groups and their threads. It knows threads, but no domain."""

from __future__ import annotations

import functools
import os
import typing as t

from .. import errors
from .files import GONE_ERRORS, read_if_there, read_piece, read_piece_if_there
from .groups import ROOT, Group, parse_cpus, parse_tasks, parse_thread_groups
from .mounts import REAL, Mount, parse_mounts

if t.TYPE_CHECKING:
    from .changes import Changes

DEFAULT_PATH = "/sys/fs/resctrl"

# PROC_PID_INIT_INO of the kernel: the PID namespace that the machine started with
_INITIAL_NAMESPACE = "pid:[4026531836]"
# PID_MAX_LIMIT of the kernel, on 64 bits
_MOST_THREADS = 4 << 20
_Parsed = t.TypeVar("_Parsed")
_RESERVED = ("info", "mon_groups", "mon_data")


class Resctrl:
    """The resctrl filesystem mounted at `root`. `proc` is /proc, or a test's stand-in for it."""

    def __init__(self, root: str = DEFAULT_PATH, proc: str = "/proc") -> None:
        self.root = os.path.normpath(root)
        self.proc = proc

    def path(self, group: Group, *names: str) -> str:
        """The absolute path of a group, or of a file in it."""
        return "/".join(filter(None, (self.root, group.path, *names)))

    @functools.cached_property
    def changes(self) -> Changes:
        """What changes something here."""
        # Not above: mostly nothing is to be changed, and what is imported is compiled on every run
        from .changes import Changes

        return Changes(self)

    # -- the mount

    def mounts(self) -> list[Mount]:
        """Every place where resctrl is mounted (the kernel allows one, a bind mount may add others)."""
        return parse_mounts(read_if_there(os.path.join(self.proc, "self/mounts")))

    @functools.cached_property
    def mount(self) -> Mount | None:
        """The mount at our root, None if there is none."""
        root = os.path.realpath(self.root)
        return next((mount for mount in reversed(self.mounts()) if mount.path in (self.root, root)), None)

    def generation_of_mount(self) -> int:
        """A number that no other mount has, over remounts and reboots: the time of the root directory, in nanoseconds.

        It is constant during a mount (kernels 6.1 to 7.3). 0 if the root is gone.
        """
        try:
            return os.stat(self.root).st_ctime_ns
        except OSError:
            return 0

    @functools.cached_property
    def sees_every_thread(self) -> bool:
        """Whether a `tasks` file lists all threads of its group, so that an empty one has none.

        In a PID namespace of one's own it leaves out what is outside. A look-alike counts in one PID namespace, which
        its source names.
        """
        try:
            namespace = os.readlink(f"{self.proc}/self/ns/pid")
        except OSError:
            return False
        if self.mount is None or self.mount.filesystem == REAL:
            return namespace == _INITIAL_NAMESPACE
        return namespace == self.mount.source

    @functools.cached_property
    def is_arm(self) -> bool:
        """Whether the kernel is one for Arm, where some rules of resctrl are others (Arm MPAM).

        No file of resctrl tells for certain, and the driver says that one needs to know the architecture
        (mpam_resctrl_monitor_init()). This file is the kernel's own word, which no personality changes: on x86 it
        never begins so. Old kernels do not have it, and no MPAM in their resctrl either.
        """
        return read_if_there(f"{self.proc}/sys/kernel/arch").startswith("aarch64")

    # -- groups and threads

    def read(self, group: Group, name: str) -> str | None:
        """A file of a group, None if it or the group is not there. Raises Unreadable."""
        path = self.path(group, name)
        try:
            return read_piece(path)
        except OSError as exc:
            _raise_unless_gone(exc, path)
            return None

    def parsed(self, group: Group, name: str, parse: t.Callable[[str], _Parsed]) -> _Parsed:
        """What a parser makes of a file of a group, or of "" if it is not there. Raises Unreadable.

        `parse` raises ValueError if the text is another than the kernel's.
        """
        text = self.read(group, name) or ""
        try:
            return parse(text)
        except ValueError as exc:
            path = self.path(group, name)
            hint = "This kernel writes something else there than those that are known: report it, with the file's text"
            raise errors.Unreadable(f"Cannot understand {path}: {exc}", path=path, hint=hint) from exc

    def info(self, name: str) -> str:
        """A file of what resctrl says of the hardware, without the blanks around it; "" if it cannot be read."""
        return read_if_there(self.path(ROOT, "info", name)).strip()

    def groups(self) -> list[Group]:
        """Every group but the root, each of which holds an RMID; in a stable order. Raises Unreadable."""
        controls = [Group(name) for name in self._directories(ROOT.path) if name not in _RESERVED]
        monitors = [
            Group(parent.ctrl, name)
            for parent in [ROOT, *controls]
            for name in self._directories(os.path.join(parent.path, "mon_groups"))
        ]
        return sorted(controls + monitors)

    def _directories(self, relative: str) -> list[str]:
        path = os.path.join(self.root, relative)
        try:
            with os.scandir(path) as entries:
                return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as exc:
            _raise_unless_gone(exc, path)
            return []

    def tasks(self, group: Group) -> frozenset[int]:
        """The threads of a group; a CTRL_MON group's include those of its MON groups. Empty if the group is gone.

        The kernel walks all threads of the system for it. Raises Unreadable.
        """
        return self.parsed(group, "tasks", parse_tasks)

    def cpus(self, group: Group) -> frozenset[int]:
        """The CPUs whose threads, unless they are in a group of their own, are counted for the group. Never raises."""
        return parse_cpus(self.cpus_text(group))

    def cpus_text(self, group: Group) -> str:
        """The same as the kernel prints it, such as 0-3,8."""
        return read_piece_if_there(self.path(group, "cpus_list")).strip()

    def group_of(self, pid: int, tid: int) -> Group | None:
        """The group that the kernel says a thread is in; None where it does not say (before 5.6), or it has ended."""
        try:
            text = read_piece(f"{self.proc}/{pid}/task/{tid}/cpu_resctrl_groups")
        except OSError:
            return None
        # A directory's name is decoded differently where the locale is not UTF-8
        return parse_thread_groups(os.fsdecode(text.encode("utf-8", "surrogateescape")))

    @functools.cached_property
    def tells_groups(self) -> bool:
        """Whether cpu_resctrl_groups exists and is about what is mounted at our root, not about a look-alike."""
        return (
            self.mount is not None
            and self.mount.filesystem == REAL
            and os.path.exists(f"{self.proc}/self/cpu_resctrl_groups")
        )

    def threads_of_the_machine(self) -> int:
        """How many threads there are, which the kernel walks for a `tasks` file (fs/proc/loadavg.c: nr_threads).

        More than there can be where that is not known.
        """
        fields = read_piece_if_there(f"{self.proc}/loadavg").split()
        number = fields[3].partition("/")[2] if len(fields) > 3 else ""
        return int(number) if number.isdigit() else _MOST_THREADS


def _raise_unless_gone(exc: OSError, path: str) -> None:
    """What is not there (any more) is no error; what is there must be readable. Raises Unreadable."""
    if exc.errno not in GONE_ERRORS:
        said = f"Cannot read {path}: {os.strerror(exc.errno or 0)}"
        raise errors.Unreadable(said, path=path, hint="Run again, or look at the kernel's log") from exc
