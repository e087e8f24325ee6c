# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the library is built: no wing imports one above it, and what decides touches nothing."""

from __future__ import annotations

import ast
import pathlib

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors

LIBRARY = pathlib.Path(errors.__file__).parent
# From the ground up
WINGS = ["errors", "kernel", "vms", "decide", "observe", "wish", "act", "tell"]
PURE = ["errors", "kernel.events", "kernel.groups", "kernel.mounts", "vms.domain", "vms.domain_xml", "wish.policy"]
# What pure rooms may import of Python's own
CALM = {
    "__future__",
    "collections",
    "dataclasses",
    "fnmatch",
    "functools",
    "re",
    "types",
    "typing",
    "xml.parsers",
}


def name_of(path):
    return ".".join(path.relative_to(LIBRARY).with_suffix("").parts)


ROOMS = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in LIBRARY.rglob("*.py")}
ALL_PURE = [*PURE, *(room for room in ROOMS if room.startswith("decide."))]


def types_only(node):
    """Whether it is an `if t.TYPE_CHECKING`."""
    return isinstance(node, ast.If) and ast.dump(node.test).count("TYPE_CHECKING") == 1


def imports(room, node=None):
    """The modules that a room imports when it runs: rooms by their names, others by theirs."""
    for child in ast.iter_child_nodes(node or ROOMS[room]):
        if types_only(child):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = room.split(".")[: -child.level] if child.level else []
            module = ".".join([*base, *([child.module] if child.module else [])])
            # `from .. import errors` names a room itself
            yield from (
                [module]
                if module in ROOMS or not child.level
                else [f"{module}.{a.name}".strip(".") for a in child.names]
            )
        else:
            yield from imports(room, child)


def wing(room):
    return WINGS.index(room.split(".")[0])


def test_every_room_is_in_a_wing():
    assert {room.split(".")[0] for room in ROOMS} == set(WINGS)


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_no_wing_above_its_own(room):
    assert [other for other in imports(room) if other in ROOMS and wing(other) > wing(room)] == []


@pytest.mark.parametrize("room", sorted(ALL_PURE))
def test_a_room_that_is_pure_imports_only_pure_ones(room):
    inside = {other for other in imports(room) if other in ROOMS}
    assert inside <= set(ALL_PURE)
    assert set(imports(room)) - inside <= CALM


def test_no_imports_run_in_a_circle():
    left = {room: {other for other in imports(room) if other in ROOMS} for room in ROOMS}
    while left:
        free = {room for room, needs in left.items() if not needs & left.keys()}
        assert free, f"in a circle: {sorted(left)}"
        left = {room: needs for room, needs in left.items() if room not in free}
