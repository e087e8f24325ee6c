# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the time of a short command in Python goes before it works: what it imports, and what it asks of the kernel."""

from __future__ import annotations

import re
import subprocess
import tempfile
import typing as t

if t.TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Sequence

PYTHON = "/usr/bin/python3"
# As the role has resctrl-mon start it
ISOLATED = [PYTHON, "-IS"]
# What it does before it works
ALONE, PYTHONS, IMPORTS = (
    "python3 -IS -c pass",
    "the same, importing Python's modules",
    "the same, importing all modules",
)
_LINE = re.compile(r"^import time:[0-9 |]+\| +([\w.]+)$", re.MULTILINE)


class Start(t.NamedTuple):
    """The modules that a program imports beyond what Python itself does: its own, and those of the standard library.
    `calls` are its system calls with files, in all and those of Python's start.
    """

    own: list[str]
    others: list[str]
    calls: tuple[int, int]

    def floors(self, directory: pathlib.Path) -> dict[str, list[str]]:
        """Name -> the command line of a process that does less and less of this. Its own modules are in `directory`."""
        # Those that import come first, as in the program: not all can be imported by themselves
        others, own = ([*reversed(names)] for names in (self.others, self.own))
        here = f"import sys; sys.path.insert(0, {str(directory)!r})"
        return {
            ALONE: [*ISOLATED, "-c", "pass"],
            PYTHONS: [*ISOLATED, "-c", f"{here}; import {', '.join(others)}"],
            IMPORTS: [*ISOLATED, "-c", f"{here}; import {', '.join(own + others)}"],
        }


def look(program: Sequence[str], packages: Sequence[str], inside: Callable[[Sequence[str]], list[str]]) -> Start:
    """What a program in Python does first. `packages` are its own; `inside` makes a command line run at its place."""
    alone = ["-c", "pass"]
    python = _imports(inside([*ISOLATED, "-X", "importtime", *alone]))
    names = [name for name in _imports(inside([*ISOLATED, "-X", "importtime", *program])) if name not in python]
    own = [name for name in names if name.partition(".")[0] in packages]
    calls = system_calls(inside([*ISOLATED, *program])), system_calls(inside([*ISOLATED, *alone]))
    return Start(own, [name for name in names if name not in own], calls)


def _imports(command: Sequence[str]) -> list[str]:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    return _LINE.findall(done.stderr)


def system_calls(command: Sequence[str]) -> int:
    """The system calls with files that a command line makes."""
    with tempfile.NamedTemporaryFile("r", errors="replace") as log:
        strace = ["strace", "-f", "-e", "trace=%file,%desc", "-o", log.name, *command]
        subprocess.run(strace, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # What prints, and what the allocator asks for, is no reading
        return sum(not re.search(r" (write|mmap)\(|resumed>", line) for line in log)
