# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of resctrl-mon: its verbs and options."""

from __future__ import annotations

import argparse
import typing as t

from resctrl.kernel.filesystem import DEFAULT_PATH
from resctrl.tell import table

from . import screen, verbs

VERSION = "1.0.0"

EPILOG = """\
examples:
  resctrl-mon status                     which domains are monitored, and what is declared for them
  resctrl-mon enable vm3                 until it stops; with --persistent whenever it runs
  resctrl-mon disable 'build-*'
  resctrl-mon top                        who occupies the caches and moves most bytes, live
  resctrl-mon stats --interval 2 --csv   the same once, for a spreadsheet

exit status: 0 done, 1 something failed (said on stderr), 2 wrong usage
"""


def parser() -> argparse.ArgumentParser:
    """The parser. What it returns has the verb to run as `run`."""
    top_level = argparse.ArgumentParser(
        prog="resctrl-mon",
        description="Cache and memory-bandwidth monitoring of this host's libvirt domains.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top_level.add_argument("--version", action="version", version=f"resctrl-mon {VERSION}")
    top_level.add_argument("--resctrl-path", default=DEFAULT_PATH, help="where resctrl is mounted (%(default)s)")
    choices = top_level.add_subparsers(required=True, metavar="VERB")
    _add_status(choices)
    _add_stats(choices)
    _add_top(choices)
    _add_switches(choices)
    enforce = choices.add_parser("enforce", help="make the policy so, once, and say what was done")
    enforce.add_argument("--check", action="store_true", help="only say what would be done")
    enforce.add_argument("--quiet", action="store_true", help="print only what is new since the last run")
    enforce.add_argument("--json", action="store_true", help="print JSON")
    enforce.set_defaults(run=verbs.enforce)
    clear = choices.add_parser("clear", help="end all monitoring that is not libvirt's own, whatever runs")
    clear.set_defaults(run=verbs.clear)
    return top_level


_Choices = t.Any  # argparse's own type has no public name


def _add_status(choices: _Choices) -> None:
    status = choices.add_parser("status", help="whether a domain is monitored, and what is declared for it")
    _add_domain(status)
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(run=verbs.status)


def _add_stats(choices: _Choices) -> None:
    stats = choices.add_parser("stats", help="what was counted for a domain")
    _add_domain(stats)
    stats.add_argument("--interval", type=_seconds, metavar="SECONDS", help="read twice, and tell rates too")
    forms = stats.add_mutually_exclusive_group()
    forms.add_argument("--table", action="store_true", help="print a table with human units")
    forms.add_argument("--csv", action="store_true", help="print comma-separated values, in bytes")
    forms.add_argument("--json", action="store_true", help="print JSON, with everything that is known")
    _add_sort(stats)
    stats.set_defaults(run=verbs.stats)


def _add_top(choices: _Choices) -> None:
    top = choices.add_parser("top", help="a live table of all domains; q or Ctrl-C ends it")
    _add_domain(top)
    top.add_argument(
        "--interval", type=_seconds, metavar="SECONDS", default=2.0, help="between two looks (%(default)s)"
    )
    top.add_argument("--once", action="store_true", help="print one table and end")
    _add_sort(top)
    top.set_defaults(run=screen.top)


def _add_switches(choices: _Choices) -> None:
    for word, state in (("enable", True), ("disable", False)):
        switching = choices.add_parser(word, help=f"{word} monitoring of a running domain")
        switching.add_argument("domain", metavar="DOMAIN", help="its name, its UUID or a shell pattern")
        switching.add_argument("--persistent", action="store_true", help="whenever it runs, not only now")
        switching.set_defaults(run=verbs.switch, state=state, scope="vcpus", takeover=False, leave_cpu_group=False)
        if state:
            switching.add_argument("--scope", choices=("vcpus", "domain"), help="what to count (%(default)s)")
            switching.add_argument("--takeover", action="store_true", help="take threads from other programs' groups")
            switching.add_argument(
                "--leave-cpu-group", action="store_true", help="even where that ends the throttling by a CPU's group"
            )


def _add_domain(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("domain", metavar="DOMAIN", nargs="?", help="its name, its UUID or a shell pattern; else all")


def _add_sort(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--sort", choices=tuple(table.SORTS), default="cache", help="order of a table (%(default)s)")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("give seconds between 0 and 3600")
    return seconds
