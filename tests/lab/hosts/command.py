# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the machine, run for their effect."""

from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path

from .errors import LabError

if t.TYPE_CHECKING:
    from collections.abc import Sequence

LAB = Path(__file__).resolve().parent.parent  # the directory of the packages hosts and emulator
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def lab_environment() -> dict[str, str]:
    """The environment of the lab's own processes on the machine."""
    return {**os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(LAB)}


def execute(*argv: str | os.PathLike[str]) -> str:
    """Runs a program to its end and returns its output. Raises LabError with the program's own words."""
    try:
        done = subprocess.run(
            argv,
            env=lab_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]} is not installed: see 'lab check'") from error
    if done.returncode != 0:
        reason = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise LabError(f"{spell(argv)}: {reason}")
    return done.stdout


def spell(argv: Sequence[str | os.PathLike[str]]) -> str:
    """A command as a reader would type it."""
    return " ".join(str(word) for word in argv)
