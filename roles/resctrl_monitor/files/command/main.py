# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command resctrl-mon: the proposal's verbs for a host without Ansible, and the enforcement of its policy.

Needs Python's standard library only, and asks libvirt nothing: what runs is told by its files and by /proc, or by /proc
alone.
"""

from __future__ import annotations

import io
import os
import sys
import typing as t

from resctrl.errors import ResctrlError
from resctrl.observe.host import LIBVIRT

from .arguments import parser
from .say import fail


def main(arguments: t.Sequence[str] | None = None, source: str = LIBVIRT) -> int:
    """Run the command; the exit status, as --help tells it. `source` is where domains come from unless told."""
    for stream in (sys.stdout, sys.stderr):
        # A domain's name may hold what the locale cannot say
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = parser(source).parse_args(arguments)
    try:
        status = int(options.run(options))
        # Here, where it can still be noticed that nobody reads
        sys.stdout.flush()
        return status
    except ResctrlError as exc:
        return fail(exc)
    except BrokenPipeError:
        # The reader, such as head(1), has seen enough
        _print_no_more()
        return 0
    except OSError as exc:
        # What is about a file has its name. Without one, it is stdout on a full disk
        if exc.filename is not None:
            raise
        _print_no_more()
        return fail(f"Cannot write the answer: {exc.strerror}")
    except KeyboardInterrupt:
        # Not above: the agent runs once a minute, and mostly to the end
        import signal

        return 128 + signal.SIGINT


def _print_no_more() -> None:
    """Python would try to write what is left when it ends, and complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
