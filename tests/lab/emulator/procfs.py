# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look-alike of /proc for those who use an emulated resctrl: with it the machine seems to have the real one.

``python3 -m emulator.procfs MOUNTPOINT --control SOCKET`` mounts it, and says ``ready``. It differs from /proc in this:

- every thread has a ``cpu_resctrl_groups``, which the emulator at the control socket answers; without one it reads as
  if resctrl were not mounted;
- ``mounts`` shows an emulator as a filesystem of type resctrl, and ``filesystems`` lists that type; mount options that
  an emulator cannot have, such as mba_MBps, are shown if they are given as ``--option``;
- ``ns/pid`` reads as the PID namespace that a machine starts with, if it is the one that this program runs in;
- ``exe`` reads as it does there, for everybody, and cannot be opened where it is no path here;
- all other files are symbolic links to those of the real /proc, so that a readlink() of cwd or another ns/* does not
  tell what it tells there.

It can be mounted on /proc itself, in a mount namespace, if the real one can be reached at another place, ``--real``.
"""

# ruff: noqa: ARG002  (what an operation is told is not ours to choose)
from __future__ import annotations

import argparse
import errno
import itertools
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from .control import Control, ControlError

os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")  # mfusepy picks its library when it is imported
import mfusepy

from .kstr import fail
from .mounting import FSTYPE, MOUNT_FAILURE, die_with_parent

GROUPS = "cpu_resctrl_groups"
RESCTRL = "nodev\tresctrl\n"
UNMOUNTED = "res:\nmon:\n"
# PROC_PID_INIT_INO of the kernel
INITIAL_NAMESPACE = "pid:[4026531836]"
FUSE_OPTIONS = ("user_id=", "group_id=", "default_permissions", "allow_other")


def as_kernel(mounts: str, more: Sequence[str] = ()) -> str:
    """The lines of a ``mounts``, those of emulators as the kernel's resctrl would have them, with more options."""
    return "".join(_as_kernel(line, more) for line in mounts.splitlines(keepends=True))


def _as_kernel(line: str, more: Sequence[str]) -> str:
    fields = line.split(" ")
    if fields[2] != FSTYPE:
        return line
    options = [word for word in fields[3].split(",") if not word.startswith(FUSE_OPTIONS)]
    return " ".join(["resctrl", fields[1], "resctrl", ",".join([*options, *more]), *fields[4:]])


class ProcFilesystem(mfusepy.Operations):  # type: ignore[misc]
    """The operations that libfuse calls, one at a time.

    ``target`` is the real /proc, where clients reach it; ``options`` are added to those of emulators' mounts.
    """

    use_ns = True

    def __init__(self, control: Control, target: str, options: Sequence[str] = ()) -> None:
        self.mounted = False
        self._control = control
        self._options = options
        self._target = target
        self._real = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: dict[int, bytes] = {}
        self._numbers = itertools.count(1)

    def init(self, path: str) -> None:
        """The kernel has accepted the mount."""
        self.mounted = True
        print("ready", flush=True)

    # -- what is where

    def _kind(self, path: str) -> int:
        """Directories on the way to a thread, the files that are made here, and links. Raises OSError ENOENT."""
        parts = path.strip("/").split("/")
        if parts[-1] == GROUPS and _is_thread(parts[:-1]):
            parts.pop()
            kind = stat.S_IFREG
        elif parts == ["filesystems"] or (parts[-1] == "mounts" and _is_thread(parts[:-1])):
            kind = stat.S_IFREG
        else:
            kind = stat.S_IFDIR if _is_directory(parts) else stat.S_IFLNK
        os.lstat("/".join(parts) or ".", dir_fd=self._real)
        return kind

    def _content(self, path: str) -> str:
        name = PurePosixPath(path).name
        if name == GROUPS:
            return self._groups(int(PurePosixPath(path).parent.name))
        text = self._read(path[1:])
        if name == "mounts":
            return as_kernel(text, self._options)
        return text if RESCTRL in text else text + RESCTRL

    def _groups(self, tid: int) -> str:
        try:
            return self._control.place(tid)
        except (OSError, ControlError):
            self._control.close()
            return UNMOUNTED

    def _read(self, path: str) -> str:
        with open(os.open(path, os.O_RDONLY, dir_fd=self._real), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()

    # -- operations

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """lstat()."""
        kind = self._kind(path)
        mode = {stat.S_IFDIR: 0o555, stat.S_IFREG: 0o444, stat.S_IFLNK: 0o777}[kind]
        return {"st_mode": kind | mode, "st_nlink": 1, "st_size": 0}

    def readlink(self, path: str) -> str:
        """Where the real file is; self is whoever asks."""
        _uid, _gid, tid = mfusepy.fuse_get_context()
        if path.endswith("/ns/pid"):
            namespace = os.readlink(path[1:], dir_fd=self._real)
            ours = os.readlink("self/ns/pid", dir_fd=self._real)
            return INITIAL_NAMESPACE if namespace == ours else namespace
        if path.endswith("/exe"):
            return os.readlink(path[1:], dir_fd=self._real)
        if path not in ("/self", "/thread-self"):
            return "self/mounts" if path == "/mounts" else f"{self._target}{path}"
        status = self._read(f"{tid}/status").splitlines()
        tgid = next(line.split()[1] for line in status if line.startswith("Tgid:"))
        return tgid if path == "/self" else f"{tgid}/task/{tid}"

    def readdir(self, path: str, fh: int) -> Iterator[str]:
        """The real entries, and our own."""
        directory = os.open(path.strip("/") or ".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._real)
        try:
            names = os.listdir(directory)
        finally:
            os.close(directory)
        yield from (".", "..", *names)
        if _is_thread(path.strip("/").split("/")) and GROUPS not in names:
            yield GROUPS

    def open(self, path: str, flags: int) -> int:
        """Only for reading."""
        if flags & os.O_ACCMODE != os.O_RDONLY:
            fail(errno.EACCES)
        number = next(self._numbers)
        self._open[number] = self._content(path).encode("utf-8", "surrogateescape")
        return number

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """A file is what it was when it was opened."""
        return self._open[fh][offset : offset + size]

    def release(self, path: str, fh: int) -> int:
        """The last close."""
        del self._open[fh]
        return 0


def _is_thread(parts: list[str]) -> bool:
    """Whether this is PID or PID/task/TID."""
    return all(part.isdecimal() for part in parts[::2]) and parts[1::2] in ([], ["task"]) and len(parts) in (1, 3)


def _is_directory(parts: list[str]) -> bool:
    """Whether this is the root or on the way to a thread, or has something that is not as in the real /proc."""
    if parts == [""] or _is_thread(parts):
        return True
    return _is_thread(parts[:-1]) and (parts[-1] == "ns" or parts[1:] == ["task"])


def main() -> int:
    """Serve until it is unmounted, or gets SIGINT or SIGTERM; the exit status is 32 if it cannot be mounted."""
    parser = argparse.ArgumentParser(prog="emulator.procfs", description=__doc__)
    parser.add_argument("mountpoint", help="an existing directory")
    parser.add_argument("--control", metavar="SOCKET", required=True, help="path of the emulator's control socket")
    parser.add_argument("--real", metavar="PATH", default="/proc", help="where clients find the machine's own /proc")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the parent process ends")
    parser.add_argument("--option", action="append", default=[], help="a mount option that resctrl seems to have")
    arguments = parser.parse_args()
    if arguments.die_with_parent:
        die_with_parent()
    filesystem = ProcFilesystem(Control(arguments.control), arguments.real, arguments.option)
    try:
        mfusepy.FUSE(
            filesystem,
            arguments.mountpoint,
            foreground=True,
            nothreads=True,
            fsname="proc",
            allow_other=True,
            direct_io=True,
            attr_timeout=0,
            entry_timeout=0,
            negative_timeout=0,
        )
    except RuntimeError:  # also after a signal
        return 0 if filesystem.mounted else MOUNT_FAILURE
    return 0


if __name__ == "__main__":
    sys.exit(main())
