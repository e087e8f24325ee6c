# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resource groups: the root and the CTRL_MON and MON groups below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .kernfs import Node

if TYPE_CHECKING:
    from .tasks import Task

SHAREABLE = "shareable"
EXCLUSIVE = "exclusive"


@dataclass(eq=False)
class Group:
    """A group. ``parent`` is the CTRL_MON group of a MON group, None for a CTRL_MON group (the root is one).

    ``tasks`` are the tracked tasks whose own place this is. ``cpus`` is a bit mask. ``masks`` and ``bandwidth`` hold a
    CTRL_MON group's schemata by L3 id. ``pinned`` are values that a test has set, by (node, event), or by (package,
    event): the counter's number or a word.
    """

    node: Node
    closid: int
    rmid: int
    parent: Group | None = None
    children: list[Group] = field(default_factory=list)
    tasks: dict[int, Task] = field(default_factory=dict)
    cpus: int = 0
    mode: str = SHAREABLE
    masks: dict[int, int] = field(default_factory=dict)
    bandwidth: dict[int, int] = field(default_factory=dict)
    pinned: dict[tuple[int, str], int | str] = field(default_factory=dict)

    @property
    def control(self) -> Group:
        """The CTRL_MON group whose allocation applies here."""
        return self.parent or self

    @property
    def is_root(self) -> bool:
        """Whether it is the default group."""
        return self.node.parent is None

    def with_children(self) -> Iterator[Group]:
        """The group, then its MON groups: what a CTRL_MON group's tasks and counters comprise."""
        yield self
        yield from self.children
