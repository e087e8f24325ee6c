# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of files and directories, with kernfs' own rules (fs/kernfs): modes, link counts, dead nodes."""

from __future__ import annotations

import errno
import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zlib import crc32

from .kstr import fail

if TYPE_CHECKING:
    from .groups import Group

MAX_WRITE = 4096
"""A page: the most one write(2) may carry."""


@dataclass(frozen=True)
class Caller:
    """Who asks: the calling thread (0 if it is outside the emulator's pid namespace) and its user and group ids."""

    tid: int = 0
    uid: int = 0
    gid: int = 0


Show = Callable[[Caller], str]
Store = Callable[[str, Caller], None]


@dataclass(eq=False)
class Node:
    """A file or, with ``children``, a directory. ``group`` is the resource group it belongs to, None below ``info``.

    ``links`` is st_nlink: a directory's is two and one for each directory in it. A node that is not ``alive`` has been
    removed, or is hidden. ``numbers`` are the tree's next inode numbers.
    """

    name: str
    mode: int
    parent: Node | None = None
    uid: int = 0
    gid: int = 0
    group: Group | None = None
    children: dict[str, Node] | None = None
    show: Show | None = None
    store: Store | None = None
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    ino: int = 0
    time_ns: int = field(default_factory=time.time_ns)
    alive: bool = True
    links: int = 1

    def __post_init__(self) -> None:
        self.ino = next(self.numbers)
        if self.children is not None:
            self.links = 2

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return self.children is not None

    @property
    def path(self) -> str:
        """Path below the mount point, "" for the root; that of a removed node is the one it had."""
        parts: list[str] = []
        node: Node | None = self
        while node is not None and node.parent is not None:
            parts.append(node.name)
            node = node.parent
        return "/".join(reversed(parts))

    def listing(self) -> Iterator[Node]:
        """The entries in an order that nobody may rely on: kernfs sorts by a hash of the name."""
        assert self.children is not None
        shown = [node for node in self.children.values() if node.alive]
        return iter(sorted(shown, key=lambda node: crc32(os.fsencode(node.name))))

    def directory(self, name: str, mode: int | None = None) -> Node:
        """A new directory in this one, owned by this one's owner; it copies this one's mode if none is given."""
        mode = self.mode if mode is None else mode
        return self._add(Node(name, mode, self, self.uid, self.gid, self.group, children={}, numbers=self.numbers))

    def file(self, name: str, mode: int, show: Show, store: Store | None = None) -> Node:
        """A new file in this directory."""
        owner = (self.uid, self.gid, self.group)
        return self._add(Node(name, mode, self, *owner, show=show, store=store, numbers=self.numbers))

    def _add(self, node: Node) -> Node:
        assert self.children is not None
        self.children[node.name] = node
        self.links += node.is_dir
        return node

    def _take_out(self) -> None:
        assert self.parent is not None
        assert self.parent.children is not None
        del self.parent.children[self.name]
        self.parent.links -= self.is_dir

    def remove(self) -> None:
        """Take it out of the tree with all below it; who still holds it open gets ENODEV."""
        self._take_out()
        self.die()

    def die(self) -> None:
        """What becomes of a tree that nobody can reach any more."""
        self.alive = False
        for child in (self.children or {}).values():
            child.die()
        if self.children:
            self.children = {}

    def move(self, parent: Node, name: str) -> None:
        """Rename it; raises OSError EEXIST if the new name is taken by another node."""
        assert parent.children is not None
        if parent.children.get(name, self) is not self:
            fail(errno.EEXIST)
        self._take_out()
        self.name, self.parent = name, parent
        parent._add(self)

    def find(self, path: str) -> Node:
        """The node at a path below this one. Raises OSError ENOENT or ENOTDIR."""
        node = self
        for name in path.split("/"):
            if not name:
                continue
            if node.children is None:
                fail(errno.ENOTDIR)
            found = node.children.get(name)
            if found is None or not found.alive:
                fail(errno.ENOENT)
            node = found
        return node

    def check_alive(self) -> None:
        """Raise OSError ENODEV if the node has been removed or hidden."""
        if not self.alive:
            fail(errno.ENODEV)
