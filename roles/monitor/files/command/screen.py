# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of resctrl-mon: printed once, or live on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
import typing as t

from resctrl.kernel.info import cache_sizes
from resctrl.kernel.preflight import check_values
from resctrl.observe.host import Host, query
from resctrl.observe.sampling import Statistics, sample_all, statistics, whole_host
from resctrl.tell import table

from .say import fail_for, warn

if t.TYPE_CHECKING:
    import argparse

    from resctrl.decide.outcome import Outcome
    from resctrl.decide.samples import Sample
    from resctrl.decide.status import DomainStatus

# Where there is no terminal, a line may be as long as this
_WIDTH = 160
_HINT = "sort by n)ame c)ache t)otal l)ocal   q)uit"


def print_table(host: Host, outcome: Outcome, options: argparse.Namespace) -> int:
    """Print one table; the exit status."""
    counted = statistics(host.resctrl, _in_the_table(outcome), options.interval)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH
    for line in _lines(counted, options, width):
        print(line)
    return fail_for(outcome.results)


def top(options: argparse.Namespace) -> int:
    """A live table on a terminal, else one table."""
    host = Host.of_files(options.resctrl_path)
    warn(check_values(host.resctrl))
    if options.once or not (sys.stdout.isatty() and sys.stdin.isatty()):
        return print_table(host, _query(host, options), options)
    import curses  # not above: it may be missing, and only this needs it

    curses.wrapper(lambda window: _live(host, options, window))
    return 0


def _query(host: Host, options: argparse.Namespace) -> Outcome:
    return query(host, [options.domain] if options.domain else None)


def _in_the_table(outcome: Outcome) -> list[DomainStatus]:
    """The domains that run, and at the end what stands for the whole host."""
    return [*(status for status in outcome.statuses if status.domain.active), whole_host(outcome.after.groups)]


def _lines(counted: t.Sequence[Statistics], options: argparse.Namespace, width: int) -> list[str]:
    *domains, whole = counted
    rows = [table.row_of(one) for one in domains]
    # What is left of the host can be told only if all of its domains were asked for
    rest = table.rest_of(whole, rows) if options.domain is None else None
    return table.table(rows, rest, cache_sizes(), width, options.sort)


def _live(host: Host, options: argparse.Namespace, window: t.Any) -> None:  # noqa: ANN401  # curses' own
    """Look, show, and look again, until the reader wants to leave."""
    before: dict[str, Sample] = {}
    while True:
        statuses = _in_the_table(_query(host, options))
        samples = dict(zip((one.domain.uuid for one in statuses), sample_all(host.resctrl, statuses)))
        counted = [Statistics(one, samples[one.domain.uuid], before.get(one.domain.uuid)) for one in statuses]
        before = samples
        if not _show(time.monotonic() + options.interval, counted, options, window):
            return


def _show(
    end: float,
    counted: t.Sequence[Statistics],
    options: argparse.Namespace,
    window: t.Any,  # noqa: ANN401  # curses' own
) -> bool:
    """Show the table until a time comes, anew after each key and each change of the window's size.

    Returns False if the reader wants to leave.
    """
    keys = {ord(name[0]): name for name in table.SORTS}
    while True:
        height, width = window.getmaxyx()
        _draw([*_lines(counted, options, width - 1)[: max(0, height - 1)], _HINT], window)
        left = end - time.monotonic()
        if left <= 0:
            return True
        window.timeout(max(1, int(left * 1000)))
        key = window.getch()
        if key == ord("q"):
            return False
        options.sort = keys.get(key, options.sort)


def _draw(lines: t.Sequence[str], window: t.Any) -> None:  # noqa: ANN401  # curses' own
    height, width = window.getmaxyx()
    window.erase()
    for number, line in enumerate(lines[:height]):
        # The last place of a window cannot be written to
        window.addnstr(number, 0, line, max(0, width - 1))
    window.refresh()
