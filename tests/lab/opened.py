# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a Python program, and notes each file that it opens and each directory that it lists:

python3 opened.py LOG PROGRAM ARGUMENT...

LOG gets a path a line, as often as it was opened, and as the program named it: it may be relative to a directory that
is open. The program's own are there too: what Python imports.
"""

from __future__ import annotations

import os
import pathlib
import runpy
import sys

_EVENTS = ("open", "os.listdir", "os.scandir")


def main() -> None:
    """Run it as if it had been started itself."""
    log, program = sys.argv[1], sys.argv[2]
    paths: list[str] = []
    sys.argv[:] = sys.argv[2:]
    sys.path[0] = str(pathlib.Path(program).resolve().parent)
    sys.addaudithook(lambda event, words: paths.append(os.fsdecode(words[0])) if _is_path(event, words) else None)
    try:
        runpy.run_path(program, run_name="__main__")
    finally:
        noted = list(paths)
        pathlib.Path(log).write_text("".join(f"{path}\n" for path in noted), encoding="utf-8", errors="surrogateescape")


def _is_path(event: str, words: tuple[object, ...]) -> bool:
    """Whether something is opened by its name, and not by a descriptor."""
    return event in _EVENTS and isinstance(words[0], (str, bytes))


if __name__ == "__main__":
    main()
