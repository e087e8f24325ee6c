# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the library is built: who may import whom."""

from __future__ import annotations

import ast
import pathlib

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors

LIBRARY = pathlib.Path(errors.__file__).parent
# From the bottom to the top. A wing imports wings below it only; those of one line do not import each other.
FLOORS = (("errors",), ("kernel",), ("vms",), ("decide",), ("judge",), ("observe", "wish"), ("act",), ("tell",))
# What decides, parses or knows names only: no files, no processes, no clock
PURE = {
    "errors",
    "kernel.groups",
    "kernel.configured",
    "kernel.events",
    "kernel.mounts",
    "vms.commandline",
    "vms.domain",
    "vms.domain_xml",
    "wish.policy",
    "tell.comma_separated",
    "tell.exposition",
    "tell.table",
    "tell.text",
    *(f"{wing}.{path.stem}" for wing in ("decide", "judge") for path in (LIBRARY / wing).glob("*.py")),
}
WITHOUT_INPUT_AND_OUTPUT = {
    *("__future__", "collections", "csv", "dataclasses", "decimal", "difflib", "fnmatch", "functools", "io", "math"),
    *("re", "types", "typing", "unicodedata", "uuid", "xml"),
}
ROOMS = sorted(path for path in LIBRARY.rglob("*.py"))


def name_of(path):
    return ".".join(path.relative_to(LIBRARY).with_suffix("").parts)


def dotted(node):
    """A name as it is written, such as `sys.exit`. (Python 3.8 has no ast.unparse.)"""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imports_of(path):
    """The rooms and the modules of Python's that a room imports when it runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    only_typing = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and dotted(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    rooms, others = set(), set()
    for node in ast.walk(tree):
        if node in only_typing:
            continue
        if isinstance(node, ast.Import):
            others.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            others.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            wing = path.relative_to(LIBRARY).parts[:-1][: 2 - node.level]
            start = ".".join([*wing, *([node.module] if node.module else [])])
            for alias in node.names:
                inside = f"{start}.{alias.name}".lstrip(".")
                rooms.add(inside if (LIBRARY / f"{inside.replace('.', '/')}.py").exists() else start)
    return rooms, others


@pytest.mark.parametrize("path", ROOMS, ids=name_of)
def test_a_room_imports_its_own_wing_and_those_below(path):
    floors = {wing: number for number, wings in enumerate(FLOORS) for wing in wings}
    wing = name_of(path).partition(".")[0]
    for room in imports_of(path)[0]:
        other = room.partition(".")[0]
        assert other == wing or floors[other] < floors[wing], room


@pytest.mark.parametrize("path", [path for path in ROOMS if name_of(path) in PURE], ids=name_of)
def test_a_pure_room_imports_pure_rooms_only(path):
    rooms, others = imports_of(path)
    assert rooms <= PURE
    assert others <= WITHOUT_INPUT_AND_OUTPUT


@pytest.mark.parametrize("path", ROOMS, ids=name_of)
def test_a_room_fits_into_a_readers_head(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 270


def test_the_library_does_not_know_ansible_prints_nothing_and_never_exits():
    for path in ROOMS:
        assert "ansible" not in imports_of(path)[1]
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not [call for call in calls if dotted(call) in ("print", "sys.exit", "exit", "quit")]
