# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the wings of the library and who imports whom, from the source:

python tests/docsite/house.py >docs/images/house.svg
"""

from __future__ import annotations

import ast
import html
import pathlib
import sys
import textwrap
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]
LIBRARY = ROOT / "plugins/module_utils/resctrl"

# What a wing answers, in the words of the page beside the picture
QUESTIONS = {
    "tell": "How is it shown?",
    "act": "What is done, and in which order?",
    "wish": "What is wished?",
    "observe": "What is there, and what was counted?",
    "judge": "Who has more than its share?",
    "decide": "What has to be done, and who gets what?",
    "vms": "Which domains are there, and which threads are theirs?",
    "kernel": "What does resctrl say, and what is written to it?",
}
_USERS = "Modules of Ansible, and the command resctrl-mon"
_WORLD = "Linux: resctrl, /proc.  libvirt: its files, its daemon"

_WIDTH, _EDGE, _GAP, _LINE = 880, 20, 34, 19


def imports() -> dict[str, set[str]]:
    """Wing -> the other wings whose rooms it imports."""
    found: dict[str, set[str]] = {wing: set() for wing in QUESTIONS}
    for wing, others in found.items():
        for path in (LIBRARY / wing).glob("*.py"):
            for node in _run(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.level == 2:
                    names = [node.module] if node.module else [alias.name for alias in node.names]
                    others.update(name.partition(".")[0] for name in names)
        others.intersection_update(set(QUESTIONS) - {wing})
    return found


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    """All of a file but what only a type checker reads."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from _run(child)


def floors() -> list[list[str]]:
    """The wings from the top to the bottom: each is above all that it imports, and as low as that allows."""
    used = imports()

    def height(wing: str) -> int:
        return 1 + max((height(other) for other in used[wing]), default=0)

    heights = {wing: height(wing) for wing in QUESTIONS}
    return [[wing for wing in QUESTIONS if heights[wing] == one] for one in sorted(set(heights.values()), reverse=True)]


def rooms(wing: str) -> list[str]:
    return sorted(path.stem for path in (LIBRARY / wing).glob("*.py") if path.stem != "__init__")


def drawing() -> str:
    """The picture, as SVG."""
    parts, top = _bar(_EDGE, _USERS)
    for floor in floors():
        parts += [_arrow(top)]
        top += _GAP
        width = (_WIDTH - 2 * _EDGE - _GAP * (len(floor) - 1)) // len(floor)
        lines = {wing: textwrap.wrap(" · ".join(rooms(wing)), (width - 28) * 10 // 66) for wing in floor}
        height = 54 + _LINE * max(len(one) for one in lines.values())
        for place, wing in enumerate(floor):
            parts += _wing((_EDGE + place * (width + _GAP), top, width, height), wing, lines[wing])
        top += height
    parts += [_arrow(top)]
    foot, top = _bar(top + _GAP, _WORLD)
    return "\n".join([_head(top + _EDGE), *parts, *foot, "</svg>", ""])


def _head(height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="DejaVu Sans, sans-serif">\n'
        "<title>The wings of the library</title>\n"
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 10 5 0 10z" fill="#5b6675"/></marker></defs>\n'
        f'<rect width="{_WIDTH}" height="{height}" rx="10" fill="#fff"/>'
    )


def _bar(top: int, words: str) -> tuple[list[str], int]:
    """What is above or below the house, and where it ends."""
    return [
        f'<rect x="{_EDGE}" y="{top}" width="{_WIDTH - 2 * _EDGE}" height="40" rx="6" fill="#eceff3"/>',
        _text(_WIDTH // 2, top + 25, words, 'text-anchor="middle" fill="#3c4653"', 14),
    ], top + 40


def _wing(box: tuple[int, int, int, int], wing: str, lines: list[str]) -> list[str]:
    left, top, width, height = box
    return [
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="6" fill="#f3f7fc" stroke="#2f6db3"/>',
        _text(left + 14, top + 26, wing, 'font-weight="bold" fill="#174a84"', 16),
        _text(left + 34 + 11 * len(wing), top + 26, QUESTIONS[wing], 'fill="#1d2733"', 13),
        *(_text(left + 14, top + 52 + _LINE * number, line, 'fill="#5b6675"', 12) for number, line in enumerate(lines)),
    ]


def _arrow(top: int) -> str:
    middle = _WIDTH // 2
    return (
        f'<path d="M{middle} {top + 4}V{top + _GAP - 4}" stroke="#5b6675" stroke-width="1.5" marker-end="url(#tip)"/>'
    )


def _text(left: int, base: int, words: str, look: str, size: int) -> str:
    return f'<text x="{left}" y="{base}" font-size="{size}" {look}>{html.escape(words)}</text>'


if __name__ == "__main__":
    sys.stdout.write(drawing())
