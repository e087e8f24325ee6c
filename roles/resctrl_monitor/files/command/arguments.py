# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of resctrl-mon: its verbs and options."""

from __future__ import annotations

import argparse
import typing as t

from resctrl.kernel.filesystem import DEFAULT_PATH
from resctrl.observe.host import LIBVIRT, SOURCES

from . import verbs

# That of the collection
VERSION = "1.0.0"
# Those of tell/table.py, which only a table needs: the agent runs once a minute, and each import costs
SORTS = ("name", "cache", "total", "local", "watts")

EPILOG = """\
examples:
  resctrl-mon status                     which domains are monitored, and what is declared for them
  resctrl-mon enable vm3                 monitor vm3 until it stops; with --persistent whenever it runs
  resctrl-mon disable 'build-*'          monitor no running domain whose name begins with build-
  resctrl-mon top                        who occupies the caches and moves most bytes, live
  resctrl-mon stats --interval 2 --csv   the same once, for a spreadsheet
  resctrl-mon why --interval 10          who stands out, and what speaks against it
  resctrl-mon enforce --check            what has to be done to enforce the policy

exit status:
  0    done
  1    something failed, and stderr says what
  2    the command line cannot be understood
  130  interrupted by Ctrl-C
"""

_Choices = t.Any  # argparse's own type has no public name


def parser(source: str = LIBVIRT) -> argparse.ArgumentParser:
    """The parser. What it returns has the verb to run as `run`. `source` is where domains come from unless told."""
    top_level = argparse.ArgumentParser(
        prog="resctrl-mon",
        description="Cache and memory-bandwidth monitoring of this host's virtual machines.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top_level.add_argument("--version", action="version", version=f"resctrl-mon {VERSION}")
    _add_path(top_level, DEFAULT_PATH)
    _add_source(top_level, source)
    choices = top_level.add_subparsers(required=True, metavar="VERB")
    _add_status(choices)
    _add_stats(choices)
    _add_top(choices)
    _add_why(choices)
    _add_enable(choices)
    _add_disable(choices)
    _add_enforce(choices)
    _add_metrics(choices)
    _add_verb(choices, "clear", "end all monitoring that is not libvirt's own, whatever runs", verbs.clear)
    return top_level


def _add_verb(
    choices: _Choices, name: str, what: str, run: t.Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = choices.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    # Both before and after the verb. Where it is not given after the verb, what was given before it holds
    _add_path(verb, argparse.SUPPRESS)
    _add_source(verb, argparse.SUPPRESS)
    verb.set_defaults(run=run)
    return verb


def _add_path(to: argparse.ArgumentParser, default: str) -> None:
    to.add_argument(
        "--resctrl-path",
        type=_given,
        metavar="PATH",
        default=default,
        help=f"where resctrl is mounted ({DEFAULT_PATH})",
    )


def _add_source(to: argparse.ArgumentParser, default: str) -> None:
    what = "who tells which domains there are: libvirt's files, or the host's QEMU processes, whoever started them"
    to.add_argument("--source", choices=SOURCES, default=default, help=what)


def _add_status(choices: _Choices) -> None:
    what = "say whether domains are monitored, and what is declared for them"
    status = _add_verb(choices, "status", what, verbs.status)
    _add_domain(status)
    _add_json(status)


def _add_stats(choices: _Choices) -> None:
    stats = _add_verb(choices, "stats", "say what was counted for domains", verbs.stats)
    _add_domain(stats)
    stats.add_argument("--interval", type=_seconds, metavar="SECONDS", help="read twice, and say the rates too")
    forms = stats.add_mutually_exclusive_group()
    forms.add_argument("--table", action="store_true", help="print a table with human units")
    forms.add_argument("--csv", action="store_true", help="print comma-separated values, in bytes, joules and cycles")
    _add_json(forms)


def _add_top(choices: _Choices) -> None:
    top = _add_verb(choices, "top", "show a live table of the running domains; q or Ctrl-C ends it", verbs.top)
    _add_domain(top)
    top.add_argument(
        "--interval", type=_seconds, metavar="SECONDS", default=2.0, help="between two looks (%(default)g)"
    )
    top.add_argument("--once", action="store_true", help="print the table once, with the rates over the interval")
    top.add_argument("--sort", choices=SORTS, default="cache", help="the order (%(default)s)")


def _add_why(choices: _Choices) -> None:
    why = _add_verb(
        choices, "why", "say which domains have more than their share, and what explains a slow one", verbs.why
    )
    why.add_argument(
        "--interval", type=_seconds, metavar="SECONDS", default=10.0, help="between two looks (%(default)g)"
    )
    why.add_argument(
        "--ceiling",
        type=_gigabytes,
        metavar="GB/S",
        help="what a socket can move to and from memory, in 10^9 bytes per second (else the most that was seen)",
    )
    _add_json(why)


def _add_enable(choices: _Choices) -> None:
    enable = _add_verb(choices, "enable", "monitor running domains", verbs.enable)
    _add_switched(enable)
    enable.add_argument(
        "--scope",
        choices=("vcpus", "domain"),
        default="vcpus",
        help="count the vCPUs' threads, or every thread of the domain's process (%(default)s)",
    )
    enable.add_argument("--takeover", action="store_true", help="take threads out of other programs' monitoring groups")
    enable.add_argument(
        "--bandwidth",
        choices=("auto", "true", "false"),
        default="auto",
        help="whether it is worth a bandwidth counter where these are scarce (%(default)s: if one is left)",
    )
    enable.add_argument(
        "--leave-cpu-group",
        action="store_true",
        help="monitor a domain even where that ends the throttling of its memory bandwidth, or on Arm its allocation,"
        " by its CPU's group",
    )


def _add_disable(choices: _Choices) -> None:
    _add_switched(_add_verb(choices, "disable", "end the monitoring of running domains", verbs.disable))


def _add_switched(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("domain", type=_given, metavar="DOMAIN", help="a name, a UUID or a shell pattern")
    verb.add_argument("--persistent", action="store_true", help="whenever the domain runs, not only now")


def _add_enforce(choices: _Choices) -> None:
    enforce = _add_verb(choices, "enforce", "enforce the policy once, and say what was done", verbs.enforce)
    kinds = enforce.add_mutually_exclusive_group()
    kinds.add_argument("--check", action="store_true", help="change nothing, and say what would be done")
    kinds.add_argument("--quiet", action="store_true", help="say only what is new since the last run")
    _add_json(enforce)


def _add_metrics(choices: _Choices) -> None:
    metrics = _add_verb(choices, "metrics", "print what was counted as metrics of Prometheus", verbs.metrics)
    metrics.add_argument(
        "--output",
        type=_given,
        metavar="FILE",
        help="replace a file with them, for the textfile collector of node_exporter",
    )
    metrics.add_argument("--mode", type=_mode, default=0o644, metavar="MODE", help="the mode of that file (0644)")
    metrics.add_argument(
        "--interval", type=_seconds, metavar="SECONDS", help="say so when a run takes more than a tenth of that"
    )


def _add_domain(verb: argparse.ArgumentParser) -> None:
    what = "a name, a UUID or a shell pattern; else all domains"
    verb.add_argument("domain", type=_given, metavar="DOMAIN", nargs="?", help=what)


def _add_json(to: argparse._ActionsContainer) -> None:
    to.add_argument("--json", action="store_true", help="print JSON, with everything that is known")


def _given(text: str) -> str:
    """A word that is not empty, as one of a script's is where its variable is not set."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text


def _gigabytes(text: str) -> float:
    try:
        gigabytes = float(_given(text))
    except ValueError:
        gigabytes = 0.0
    if not 0 < gigabytes < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of gigabytes per second above 0")
    return gigabytes * 1e9


def _mode(text: str) -> int:
    try:
        mode = int(_given(text), 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise argparse.ArgumentTypeError(f"'{text}' is not a mode such as 0644")
    return mode


def _seconds(text: str) -> float:
    try:
        seconds = float(_given(text))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds above 0 and at most 3600")
    return seconds
