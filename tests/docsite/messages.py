# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds every message and every hint of the library's errors in its source, and makes a page of them:

python tests/docsite/messages.py >docs/docsite/rst/messages.rst
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import pathlib
import re
import sys
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]
LIBRARY = ROOT / "plugins/module_utils/resctrl"

# What stands for a part that is known at run time only: the name of a domain, a path, a number
PART = "..."

_HEAD = """\
..
  Copyright (c) 2026 the kvmops.resctrl authors
  GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
  SPDX-License-Identifier: GPL-3.0-or-later

.. Made by tests/docsite/messages.py: do not edit

.. _ansible_collections.kvmops.resctrl.docsite.messages:

Every message of the library
============================

What fails because of one of these causes returns its ``code``, the message with the hint (``msg``), the hint alone
(``hint``), and the file or directory concerned (``path``). Match on the code: the words may change between versions.
``...`` stands for what differs each time, such as the name of a domain. Not every message has a hint.

This page is made from the source, and has all of them. :ref:`Troubleshooting
<ansible_collections.kvmops.resctrl.docsite.troubleshooting>` explains those that are met most often.
"""

# Some errors tell more of another one, and cite it
_CITED = "The message of the kernel's refusal, as below `refused`_"


@dataclasses.dataclass(frozen=True)
class Message:
    """A place where an error is made. `texts` and `hints` are what it can say there, with PART for what differs."""

    error: str
    texts: tuple[str, ...]
    hints: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A class of errors: its code, what it means, and the class that it is a kind of."""

    name: str
    code: str
    meaning: str
    base: str


@functools.cache
def kinds() -> dict[str, Kind]:
    """Name -> kind, of every class below ResctrlError, in the order of errors.py."""
    classes = [node for node in _parsed(LIBRARY / "errors.py").body if isinstance(node, ast.ClassDef)]
    return {
        node.name: Kind(node.name, _code(node.name), inspect.cleandoc(ast.get_docstring(node) or ""), base.id)
        for node in classes
        for base in node.bases
        if isinstance(base, ast.Name) and base.id != "Exception"
    }


@functools.cache
def messages() -> list[Message]:
    """All of them, in the order of the files. Raises ValueError where a message cannot be told from the source."""
    found = []
    for path in sorted(LIBRARY.rglob("*.py")):
        tree = _parsed(path)
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            found += [
                _message(call, [function.body, tree.body], path)
                for call in ast.walk(function)
                if isinstance(call, ast.Call) and _called(call) in kinds()
            ]
    return found


@functools.cache
def sayings() -> set[str]:
    """Every text of the collection's code that is long enough for a message, with PART for what differs."""
    found = {text for message in messages() for text in message.texts}
    for path in [path for room in ("plugins", "roles") for path in (ROOT / room).rglob("*.py")]:
        for node in ast.walk(_parsed(path)):
            if isinstance(node, (ast.Constant, ast.JoinedStr)):
                found.update(_texts(node, []))
    return {text for text in found if len(re.findall("[a-z]", text)) >= (20 if text.startswith(PART) else 7)}


def page() -> str:
    """The page, as it is to lie in docs/docsite/rst."""
    every = messages()
    parts = [_HEAD]
    for kind in kinds().values():
        own = [message for message in every if message.error == kind.name]
        below = [other for other in kinds().values() if other.base == kind.name]
        parts.append(f"\n{kind.code}\n{'-' * len(kind.code)}\n\n{_literals(kind.meaning)}\n")
        if below:
            parts.append(f"\nSee {', '.join(f'`{other.code}`_' for other in below)}.\n")
        parts += [f"\n{line}" for line in dict.fromkeys(_entry(message) for message in own)]
    return "".join(parts)


def _entry(message: Message) -> str:
    """The message, with what it advises to do below it."""
    texts = " or\n  ".join(_CITED if text == PART else f"``{text}``" for text in message.texts)
    hints = "".join(f"\n  {_literals(hint)}\n" for hint in message.hints if hint)
    return f"- {texts}\n{hints}"


def _literals(text: str) -> str:
    """Words of a sentence in which reStructuredText could see marks of its own."""
    return re.sub(r"([*`|_\\])", r"\\\1", text)


def _parsed(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _code(name: str) -> str:
    """As ResctrlError does."""
    return re.sub(r"\B(?=[A-Z])", "_", name).lower()


def _called(call: ast.Call) -> str:
    """The name of what is called, without its module."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _message(call: ast.Call, scopes: list[list[ast.stmt]], path: pathlib.Path) -> Message:
    if not call.args:
        raise ValueError(f"{path}:{call.lineno}: an error without a message")
    hint = next((keyword.value for keyword in call.keywords if keyword.arg == "hint"), ast.Constant(""))
    texts = tuple(_texts(call.args[0], scopes))
    return Message(_called(call), texts, tuple(_texts(hint, scopes)))


def _texts(node: ast.expr, scopes: list[list[ast.stmt]]) -> Iterator[str]:
    """Each text that an expression can be."""
    if isinstance(node, ast.Constant):
        yield f"{node.value:g}" if isinstance(node.value, float) else str(node.value)
    elif isinstance(node, ast.JoinedStr):
        choices = [list(_texts(value, scopes)) for value in node.values]
        yield from (_shortened("".join(parts)) for parts in itertools.product(*choices))
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, scopes)
        yield from _texts(node.orelse, scopes)
    elif isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name):
        yield from _assigned(node.value, scopes) or [PART]
    elif isinstance(node, ast.Name):
        yield from _assigned(node, scopes) or [PART]
    else:
        yield PART


def _assigned(use: ast.Name, scopes: list[list[ast.stmt]]) -> list[str]:
    """The texts that a name stands for where it is used, by the last assignment above in the function or the file."""
    for scope in scopes:
        values = [
            node.value
            for statement in scope
            for node in ([statement] if scope is scopes[-1] else ast.walk(statement))
            if isinstance(node, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == use.id for target in node.targets)
            and isinstance(node.value, (ast.Constant, ast.JoinedStr, ast.IfExp))
            and (scope is scopes[-1] or node.lineno < use.lineno)
        ]
        if values:
            return list(_texts(max(values, key=lambda value: value.lineno), scopes))
    return []


def _shortened(text: str) -> str:
    return re.sub(r"(?:\.\.\.)+", PART, text)


if __name__ == "__main__":
    sys.stdout.write(page())
