# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of resctrl-mon: printed once, or live on a terminal."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import textwrap
import time
import typing as t

from resctrl.act.sampled import statistics, with_turns
from resctrl.errors import ResctrlError
from resctrl.kernel.topology import cache_sizes
from resctrl.observe.host import query
from resctrl.observe.sampling import Statistics, sample_all, whole_host
from resctrl.tell import table
from resctrl.tell.domains import describe_failures
from resctrl.tell.text import cut, printable

from .place import check_counting, host_of
from .say import fail_for, in_our_words, say, warn

if t.TYPE_CHECKING:
    import argparse

    from resctrl.decide.outcome import Outcome
    from resctrl.decide.samples import Sample
    from resctrl.decide.status import DomainStatus
    from resctrl.observe.host import Host

# Where there is no terminal nothing is cut
_WIDTH = 1000
_KEYS = "q)uit, sort by n)ame c)ache t)otal l)ocal"
# How many lines of the screen may be sentences about what is wrong
_SENTENCES = 3


def top(options: argparse.Namespace) -> int:
    """A live table on a terminal, else one table."""
    host = host_of(options)
    warn(check_counting(host.resctrl))
    outcome = _query(host, options)
    warn(outcome.warnings)
    live = not options.once and can_draw()
    # What is wrong with what was asked for is said before the screen is cleared
    if outcome.results and not outcome.statuses:
        return fail_for(outcome.results)
    if not live:
        return print_table(host, outcome, options.interval, options.sort, named=options.domain is not None)
    import curses  # not above: it may be missing, and only this needs it

    # The terminal is put back as it was, as after Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        curses.wrapper(lambda window: Live(options, window).run())
    return 0


def print_table(host: Host, outcome: Outcome, interval: float | None, by: str, *, named: bool) -> int:
    """Print one table; the exit status. `named`: certain domains were asked for."""
    counted = statistics(host.resctrl, _in_the_table(outcome, named), interval)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH
    for line in _table(counted, width, by, named).lines:
        say(line)
    if interval is None:
        say("The rates are not known: measure over an interval (--interval SECONDS)")
    return fail_for(outcome.results)


def can_draw() -> bool:
    """Whether there is a terminal on which the cursor can be moved."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        import curses
    except ImportError:
        return False
    try:
        curses.setupterm()
    except curses.error:
        return False
    return curses.tigetstr("cup") is not None


def _query(host: Host, options: argparse.Namespace) -> Outcome:
    return query(host, [options.domain] if options.domain else None)


def _in_the_table(outcome: Outcome, named: bool) -> list[DomainStatus]:
    """The domains that run or were asked for, and at the end what stands for the whole host."""
    domains = [status for status in outcome.statuses if named or status.domain.active]
    return [*domains, whole_host(outcome.after.groups)]


def _table(counted: t.Sequence[Statistics], width: int, by: str, named: bool) -> table.Table:
    *domains, whole = counted
    rows = [_row(one) for one in domains]
    # What is left of the host can be told only if all of its domains were asked for
    return table.table(rows, None if named else table.rest_of(whole, rows), cache_sizes(), width, by)


def _row(one: Statistics) -> table.Row:
    if one.turned is None:
        return table.row_of(one)
    # Not above: few hosts have it
    from resctrl.tell.sampled_rows import row_of_turn

    return row_of_turn(one, one.turned)


class Live:
    """The live table in a window of curses: by what it is sorted, and how far it is scrolled."""

    def __init__(self, options: argparse.Namespace, window: t.Any) -> None:  # noqa: ANN401  # curses' own
        self.options = options
        self.window = window
        self.sort: str = options.sort
        self.first = 0
        self.counted: list[Statistics] = []
        self.sentences: list[str] = []

    def run(self) -> None:
        """Look, show, and look again, until the reader wants to leave."""
        import curses

        with contextlib.suppress(curses.error):
            # Some terminals cannot hide the cursor
            curses.curs_set(0)
        before: dict[str, Sample] = {}
        while True:
            before = self.look(before)
            if not self.show_until(time.monotonic() + self.options.interval):
                return

    def look(self, before: t.Mapping[str, Sample]) -> dict[str, Sample]:
        """What is counted now, and what is wrong; the samples by UUID. What goes wrong may be over at the next look."""
        # Another one each time: resctrl may be mounted or unmounted meanwhile
        host = host_of(self.options)
        self.counted = []
        try:
            self.sentences = check_counting(host.resctrl)
            outcome = _query(host, self.options)
            statuses = _in_the_table(outcome, self.options.domain is not None)
            samples = dict(zip([one.domain.uuid for one in statuses], sample_all(host.resctrl, statuses)))
            counted = [Statistics(one, samples[one.domain.uuid], before.get(one.domain.uuid)) for one in statuses]
            self.counted = with_turns(counted)
        except ResctrlError as exc:
            self.sentences = [str(exc)]
            return {}
        self.sentences += [*outcome.warnings, *outcome.after.warnings]
        failures = describe_failures(outcome.results)
        self.sentences += [failures] if failures else []
        return samples

    def show_until(self, end: float) -> bool:
        """Show the table until a time comes, anew after each key and each change of the window's size.

        Returns False if the reader wants to leave.
        """
        while True:
            page = self.draw()
            left = end - time.monotonic()
            if left <= 0:
                return True
            self.window.timeout(max(1, int(left * 1000)))
            key = self.window.getch()
            if key == ord("q"):
                return False
            self.take(key, page)

    def take(self, key: int, page: int) -> None:
        """Do what a key asks for; a page is so many lines."""
        import curses

        sorts = {ord(name[0]): name for name in table.SORTS}
        steps = {curses.KEY_DOWN: 1, curses.KEY_UP: -1, curses.KEY_NPAGE: page, curses.KEY_PPAGE: -page}
        steps.update({ord(" "): page, ord("b"): -page})
        self.sort = sorts.get(key, self.sort)
        self.first = 0 if key in sorts else max(0, self.first + steps.get(key, 0))

    def draw(self) -> int:
        """Draw the screen; how many lines of the table there is room for."""
        import curses

        height, width = self.window.getmaxyx()
        # To write to the last column would move the cursor on
        lines, room = self.lines(height, width - 1)
        self.window.erase()
        for number, line in enumerate(lines[:height]):
            # A name may hold what the terminal's character set has not
            shown = line.encode(self.window.encoding, "replace").decode(self.window.encoding)
            # Where curses has another opinion on the width of a name than we, the line is cut at the edge
            with contextlib.suppress(curses.error):
                self.window.addstr(number, 0, shown)
        self.window.refresh()
        return max(1, room)

    def lines(self, height: int, width: int) -> tuple[list[str], int]:
        """The lines of the screen, and how many of them there may be for domains."""
        shown = _table(self.counted, width, self.sort, self.options.domain is not None) if self.counted else None
        head, body, foot = shown or table.Table("", [], [])
        foot = [*foot, *self._said(width)]
        # In a low window domains come before what stands below them
        foot = foot if height - 2 - len(foot) >= min(1, len(body)) else []
        room = max(0, height - 2 - len(foot))
        self.first = max(0, min(self.first, len(body) - room))
        part = body[self.first : self.first + room]
        where = (
            f"{self.first + 1}-{self.first + len(part)} of {len(body)}: scroll with arrows, " if part != body else ""
        )
        keys = f"{_KEYS} w)atts" if table.SORTS["watts"] in head else _KEYS
        return [head, *part, *foot, cut(f"{where}{keys}", width)], room

    def _said(self, width: int) -> list[str]:
        """What is wrong, in a few lines."""
        text = printable(in_our_words(". ".join(self.sentences)))
        lines = textwrap.wrap(text, max(1, width), break_on_hyphens=False)
        return [cut(line, width) for line in lines[:_SENTENCES]]
