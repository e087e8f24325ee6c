# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The FUSE front of the model: paths and open files to nodes, and the errors that the kernel's VFS layer would give.

What differs from the kernel and cannot be helped: a write of no bytes never arrives; fstat() and openat() on what was
opened in a removed group give ESTALE (kernel: success and ENOENT); statfs() says FUSE; poll() reports no POLLPRI.
"""

# ruff: noqa: ARG002  (what an operation is told is not ours to choose)
from __future__ import annotations

import errno
import itertools
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")  # mfusepy picks its library when it is imported
import mfusepy

from .faults import Operation
from .kernfs import Caller, Node
from .kstr import fail
from .model import Resctrl
from .observer import Observer

T = TypeVar("T")
READABLE, WRITABLE = 0o444, 0o222


@dataclass
class OpenFile:
    """An open file or directory. ``content`` is what its last read from offset 0 produced."""

    node: Node
    content: bytes = b""


def _caller() -> Caller:
    uid, gid, tid = mfusepy.fuse_get_context()
    return Caller(tid, uid, gid)


class Filesystem(mfusepy.Operations):  # type: ignore[misc]
    """The operations that libfuse calls, one at a time."""

    use_ns = True
    flag_nopath = True
    flag_nullpath_ok = True

    def __init__(self, resctrl: Resctrl, observer: Observer) -> None:
        self._resctrl = resctrl
        self._observer = observer
        self.mounted = False
        self._open: dict[int, OpenFile] = {}
        self._numbers = itertools.count(1)

    def init(self, path: str) -> None:
        """The kernel has accepted the mount: what is asked from now on will be answered."""
        self.mounted = True
        print("ready", flush=True)

    def _observed(self, kind: str, path: str, action: Callable[[Caller], T], data: str = "") -> T:
        caller, code = _caller(), 0
        try:
            self._observer.before(kind, path, caller)
            with self._resctrl.lock:
                return action(caller)
        except OSError as error:
            code = error.errno or errno.EIO
            raise
        finally:
            self._observer.record(Operation(kind, path, data, code, caller.tid))

    def _find(self, path: str) -> Node:
        with self._resctrl.lock:
            return self._resctrl.root.find(path)

    def _register(self, node: Node) -> int:
        number = next(self._numbers)
        self._open[number] = OpenFile(node)
        return number

    # -- attributes

    def getattr(self, path: str | None, fh: int | None = None) -> dict[str, Any]:
        """lstat()."""
        node = self._open[fh].node if path is None and fh is not None else self._find(path or "")
        return {
            "st_mode": node.mode | (stat.S_IFDIR if node.is_dir else stat.S_IFREG),
            "st_nlink": node.links,
            "st_uid": node.uid,
            "st_gid": node.gid,
            "st_ino": node.ino,
            "st_size": 0,
            "st_blksize": 4096,
            "st_atime": node.time_ns,
            "st_mtime": node.time_ns,
            "st_ctime": node.time_ns,
        }

    def chmod(self, path: str, mode: int) -> int:
        """Modes persist."""

        def action(_caller: Caller) -> int:
            self._find(path).mode = stat.S_IMODE(mode)
            return 0

        return self._observed("chmod", path[1:], action, f"{stat.S_IMODE(mode):o}")

    def chown(self, path: str, uid: int, gid: int) -> int:
        """Owners persist; -1 leaves one as it is."""

        def action(_caller: Caller) -> int:
            node = self._find(path)
            node.uid = node.uid if uid == -1 else uid
            node.gid = node.gid if gid == -1 else gid
            return 0

        return self._observed("chown", path[1:], action, f"{uid}:{gid}")

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        """One time is kept for all three."""
        self._find(path).time_ns = times[1] if times else time.time_ns()
        return 0

    def truncate(self, path: str | None, length: int, fh: int | None = None) -> int:
        """Accepted and ignored."""
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        """As empty as kernfs."""
        return {"f_bsize": 4096, "f_frsize": 4096, "f_namemax": 255}

    # -- files

    def open(self, path: str, flags: int) -> int:
        """EACCES even for root if nobody has that permission on the file."""

        def action(_caller: Caller) -> int:
            node = self._find(path)
            mode = flags & os.O_ACCMODE
            if mode != os.O_RDONLY and not node.mode & WRITABLE:
                fail(errno.EACCES)
            if mode != os.O_WRONLY and not node.mode & READABLE:
                fail(errno.EACCES)
            return self._register(node)

        return self._observed("open", path[1:], action)

    def read(self, path: str | None, size: int, offset: int, fh: int) -> bytes:
        """A read from offset 0 produces the content anew; the following ones continue in it."""
        file = self._open[fh]
        if offset == 0:

            def action(caller: Caller) -> bytes:
                return self._resctrl.read(file.node, caller)

            file.content = self._observed("read", file.node.path, action)
        else:
            file.node.check_alive()
        return file.content[offset : offset + size]

    def write(self, path: str | None, data: bytes, offset: int, fh: int) -> int:
        """Every write is one command; the offset means nothing."""
        node = self._open[fh].node

        def action(caller: Caller) -> int:
            self._resctrl.write(node, data, caller)
            return len(data)

        return self._observed("write", node.path, action, data.decode("utf-8", "backslashreplace"))

    def release(self, path: str | None, fh: int) -> int:
        """The last close."""
        del self._open[fh]
        return 0

    def create(self, path: str, mode: int, fi: int | None = None) -> int:
        """No files can be made."""
        fail(errno.EACCES)

    def mknod(self, path: str, mode: int, dev: int) -> int:
        """No files can be made."""
        fail(errno.EPERM)

    def symlink(self, target: str, source: str) -> int:
        """No links can be made."""
        fail(errno.EPERM)

    def link(self, target: str, source: str) -> int:
        """No links can be made."""
        fail(errno.EPERM)

    def unlink(self, path: str) -> int:
        """No files can be removed."""
        fail(errno.EPERM)

    # -- directories

    def opendir(self, path: str) -> int:
        """Any directory."""
        return self._register(self._find(path))

    def readdir(self, path: str | None, fh: int) -> Iterator[tuple[str, dict[str, int], int]]:
        """The entries; none once the group is gone."""
        node = self._open[fh].node

        def action(_caller: Caller) -> list[Node]:
            return list(node.listing())

        entries = self._observed("readdir", node.path, action)
        yield ".", {"st_mode": stat.S_IFDIR, "st_ino": node.ino}, 0
        yield "..", {"st_mode": stat.S_IFDIR, "st_ino": (node.parent or node).ino}, 0
        for entry in entries:
            kind = stat.S_IFDIR if entry.is_dir else stat.S_IFREG
            yield entry.name, {"st_mode": kind, "st_ino": entry.ino}, 0

    def releasedir(self, path: str | None, fh: int) -> int:
        """The last close."""
        del self._open[fh]
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        """Make a group."""
        self._observed("mkdir", path[1:], lambda caller: self._resctrl.mkdir(path, mode, caller))
        return 0

    def rmdir(self, path: str) -> int:
        """Remove a group."""
        self._observed("rmdir", path[1:], lambda _caller: self._resctrl.rmdir(path))
        return 0

    def rename(self, old: str, new: str, flags: int = 0) -> int:
        """Rename a group."""
        self._observed("rename", old[1:], lambda _caller: self._resctrl.rename(old, new, flags), new[1:])
        return 0


class Mount(mfusepy.FUSE):  # type: ignore[misc]
    """The mount. Constructing it serves until it is unmounted or the process gets SIGINT or SIGTERM."""

    def __init__(self, filesystem: Filesystem, mountpoint: str, read_only: bool) -> None:
        super().__init__(
            filesystem,
            mountpoint,
            foreground=True,
            nothreads=True,
            # The PID namespace whose threads it knows: a reader in another one does not see all of a group's
            fsname=os.readlink("/proc/self/ns/pid"),
            subtype="resctrl",
            allow_other=True,
            default_permissions=True,
            direct_io=True,
            use_ino=True,
            attr_timeout=0,
            entry_timeout=0,
            negative_timeout=0,
            ro=read_only,
        )

    def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> int:
        """As the base class's, which drops the flags."""
        names = (name.decode(self.encoding, self.errors) for name in (old, new))
        status: int = self.operations.rename(*names, flags)
        return status
