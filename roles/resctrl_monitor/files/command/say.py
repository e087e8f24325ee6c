# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command says to a reader, beside the results of its verbs."""

from __future__ import annotations

import json
import sys
import typing as t

from resctrl.tell.domains import describe_failures
from resctrl.tell.text import printable

if t.TYPE_CHECKING:
    from resctrl.decide.outcome import Result
    from resctrl.errors import ResctrlError

# How the library's hints name the modules' options, and what they are called here
_OPTIONS = {
    "set resctrl_path": "use --resctrl-path",
    "(scope=domain)": "(--scope domain)",
    "(takeover=true)": "(--takeover)",
    "(leave_cpu_group=true)": "(--leave-cpu-group)",
    "(bandwidth=false)": "(--bandwidth false)",
    "Run as root (become: true)": "Run it as root",
}


def in_our_words(text: str) -> str:
    """A sentence of the library's with this command's options in it."""
    for theirs, ours in _OPTIONS.items():
        text = text.replace(theirs, ours)
    return text


def say(line: str) -> None:
    """Print a line. A domain's name cannot change the screen."""
    print(printable(line))


def say_document(text: str) -> None:
    """Print what is for another program: as it is, but on a terminal as say() does."""
    if sys.stdout.isatty():
        text = "\n".join(map(printable, text.split("\n")))
    print(text, end="")


def fail(error: ResctrlError | str) -> int:
    """Say on stderr what went wrong; the exit status."""
    print(printable(f"error: {in_our_words(str(error))}"), file=sys.stderr)
    return 1


def fail_for(results: t.Sequence[Result]) -> int:
    """The same for domains, if one failed."""
    message = describe_failures(results)
    return fail(message) if message else 0


def warn(warnings: t.Iterable[str]) -> None:
    """Say something on stderr that is no failure."""
    for warning in warnings:
        print(printable(f"warning: {in_our_words(warning)}"), file=sys.stderr)


def print_json(value: t.Any) -> None:  # noqa: ANN401  # anything that JSON can say
    """Print for machines."""
    # In ASCII it is JSON whatever the encoding of stdout is
    print(json.dumps(value, indent=1))
