# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live table in windows of any size, whatever becomes of the host; without a terminal."""

from __future__ import annotations

import argparse
import contextlib
import curses
import os
import sys
import time

import pytest
from command import screen
from resctrl.decide.samples import Part, Sample
from resctrl.decide.snapshot import Snapshot
from resctrl.decide.status import DomainStatus
from resctrl.errors import NotMounted, Unreadable
from resctrl.kernel.events import EVENTS, L3, L3_EVENTS, PACKAGE, Place, Value, event_of
from resctrl.kernel.groups import ROOT, group_for
from resctrl.observe.sampling import Statistics
from resctrl.tell.text import columns
from resctrl.vms.domain import Domain


class Window:
    """A window of curses, with keys that are pressed one after the other; None: nothing until the time is over."""

    def __init__(self, height=24, width=80, keys=(), encoding="utf-8"):
        self.height, self.width, self.encoding = height, width, encoding
        self.keys = list(keys)
        self.rows = {}

    def getmaxyx(self):
        """Height and width."""
        return self.height, self.width

    def erase(self):
        """Nothing is shown any more."""
        self.rows = {}

    def addstr(self, row, column, text):
        """Write a text, if it stays inside."""
        if row >= self.height or columns(text) >= self.width or column:
            raise curses.error("outside of the window")
        self.rows[row] = text

    def refresh(self):
        """All of it is there at once."""

    def timeout(self, milliseconds):
        """It waits for no key."""
        assert milliseconds >= 1

    def getch(self):
        """The next key; at last, the one that leaves."""
        return self.keys.pop(0) if self.keys else ord("q")


def counted(name, occupancy, number=1, watts=None):
    """The statistics of a domain; with `watts`, on a host with telemetry, between two looks."""
    uuid = f"00000000-0000-4000-8000-{number:012d}"
    group = group_for(uuid, ROOT)
    values = dict(zip(EVENTS, (Value(occupancy), Value(1), Value(1))))
    sample = Sample({group: Part({Place(L3, 0): values}, "1")}, {group: "1"}, L3_EVENTS, 1.0)
    status = DomainStatus(Domain(name, uuid, True), enabled=True, groups=(group,))
    if watts is None:
        return Statistics(status, sample)
    there = (*L3_EVENTS, event_of("core_energy", PACKAGE))
    before, now = (
        Sample(
            {group: Part({Place(L3, 0): values, Place(PACKAGE, 0): {"core_energy": Value(joules)}}, "1")},
            {group: "1"},
            there,
            seconds,
        )
        for joules, seconds in ((5, 1.0), (5 + watts, 2.0))
    )
    return Statistics(status, now, before)


def live(window, names=("vm1", "vm2"), **options):
    asked = {
        "resctrl_path": "/nowhere",
        "source": "libvirt",
        "domain": None,
        "interval": 3600.0,
        "sort": "cache",
        **options,
    }
    one = screen.Live(argparse.Namespace(**asked), window)
    # The larger the number, the larger the occupancy; and at the end the whole host
    one.counted = [counted(name, number, number) for number, name in enumerate([*names, ""])]
    return one


def shown(window):
    return [window.rows[row] for row in sorted(window.rows)]


MANY = [f"vm{number:03}" for number in range(200)]


def test_the_screen_has_head_domains_sum_rest_and_keys():
    window = Window()
    live(window).draw()
    assert [line.split()[0] for line in shown(window)] == ["DOMAIN", "vm2", "vm1", "(sum)", "(the", "q)uit,"]


@pytest.mark.parametrize("height", range(1, 12))
@pytest.mark.parametrize("width", [1, 2, 9, 30, 80, 200])
def test_any_window_is_drawn_in(height, width):
    window = Window(height, width)
    one = live(window, [*MANY, "仮想機械" * 9, "a\x1b[2J", "\u202eabc"])
    one.sentences = ["A sentence about something that is wrong, and is longer than the window is wide"]
    one.draw()
    assert shown(window)
    assert all(line.isprintable() for line in shown(window))


def test_in_a_low_window_domains_come_before_what_stands_below_them():
    window = Window(height=4)
    live(window, MANY).draw()
    assert [line.split()[0] for line in shown(window)] == ["DOMAIN", "vm199", "vm198", "1-2"]


def test_of_many_domains_it_is_said_which_are_shown():
    window = Window()
    one = live(window, MANY)
    page = one.draw()
    assert page == 20
    assert shown(window)[-1].startswith("1-20 of 200: scroll with arrows, q)uit")


def test_keys_scroll_and_stay_within_the_table():
    window = Window()
    one = live(window, MANY, sort="name")

    def first_after(key, page=20):
        one.take(key, page)
        one.draw()
        return shown(window)[1].split()[0]

    assert first_after(curses.KEY_DOWN) == "vm001"
    assert first_after(curses.KEY_NPAGE) == "vm021"
    assert first_after(ord("b")) == "vm001"
    assert [first_after(curses.KEY_UP) for _time in range(3)] == ["vm000"] * 3
    assert [first_after(ord(" "), 150) for _time in range(3)] == ["vm150", "vm180", "vm180"]


def test_keys_sort_and_go_back_to_the_top():
    window = Window()
    one = live(window, MANY)
    one.take(curses.KEY_NPAGE, 20)
    one.take(ord("n"), 20)
    one.draw()
    assert (one.sort, shown(window)[1].split()[0]) == ("name", "vm000")


def test_where_energy_is_counted_a_key_sorts_by_watts():
    window = Window(width=100)
    one = live(window)
    one.draw()
    assert "w)atts" not in shown(window)[-1]
    one.counted = [counted("a", 9, 1, watts=10), counted("b", 1, 2, watts=30), counted("", 20, 3, watts=100)]
    one.take(ord("w"), 20)
    one.draw()
    head, *domains, keys = shown(window)
    assert head.endswith("WATTS*")
    assert [(line.split()[0], line.split()[-1]) for line in domains] == [
        ("b", "30.0"),
        ("a", "10.0"),
        ("(sum)", "40.0"),
        ("(the", "60.0"),
    ]
    assert keys.endswith("w)atts")


def test_other_keys_and_a_new_size_draw_it_anew():
    window = Window(keys=[curses.KEY_RESIZE, ord("x")])
    one = live(window)
    assert not one.show_until(time.monotonic() + 3600)
    assert window.keys == []


def test_when_the_time_has_come_it_looks_again():
    assert live(Window()).show_until(0.0)


def test_what_the_terminals_character_set_has_not_is_replaced():
    window = Window(encoding="ascii")
    live(window, ["wäb"]).draw()
    assert shown(window)[1].startswith("w?b ")


def test_a_host_whose_resctrl_goes_away_is_said_and_looked_at_again(monkeypatch):
    window = Window()
    one = live(window)

    def refuse(_resctrl):
        raise NotMounted("resctrl is not mounted at /sys/fs/resctrl", hint="It is mounted at /x: set resctrl_path")

    monkeypatch.setattr(screen, "check_counting", refuse)
    assert one.look({}) == {}
    one.draw()
    text = " ".join(shown(window))
    assert "resctrl is not mounted at /sys/fs/resctrl. It is mounted at /x: use --resctrl-path" in text
    assert "vm1" not in text


@pytest.mark.parametrize("name", ["check_counting", "_query", "sample_all", "with_turns"])
def test_whatever_cannot_be_read_at_a_look_is_said_and_looked_at_again(monkeypatch, name):
    """A file of resctrl, or of what was noted of turns: what belongs to it may be over at the next look."""

    def refuse(*_arguments):
        raise Unreadable("Cannot read it")

    one, new = live(Window()), counted("new", 2)
    outcome = argparse.Namespace(results=[], statuses=[new.status], warnings=[], after=Snapshot())
    monkeypatch.setattr(screen, "check_counting", lambda _resctrl: [])
    monkeypatch.setattr(screen, "_query", lambda _host, _options: outcome)
    monkeypatch.setattr(screen, "sample_all", lambda _resctrl, statuses: [new.sample for _status in statuses])
    monkeypatch.setattr(screen, name, refuse)
    assert one.look({}) == {}
    assert (one.counted, one.sentences) == ([], ["Cannot read it"])


def test_long_sentences_take_some_lines_only():
    window = Window(width=30)
    one = live(window, [])
    one.sentences = ["word " * 200]
    one.draw()
    assert sum("word" in line for line in shown(window)) == 3


def test_if_one_domain_was_asked_for_there_is_no_rest_of_the_host():
    window = Window()
    live(window, ["vm1"], domain="vm1").draw()
    assert not any(line.startswith("(the rest)") for line in shown(window))


def test_a_domain_keeps_its_rates_when_it_is_renamed(monkeypatch):
    """Samples are kept by UUID."""
    one = live(Window())
    before = {counted("old", 1).status.domain.uuid: counted("old", 1).sample}
    new = counted("new", 2)
    monkeypatch.setattr(screen, "check_counting", lambda _resctrl: [])
    outcome = argparse.Namespace(results=[], statuses=[new.status], warnings=[], after=Snapshot())
    monkeypatch.setattr(screen, "_query", lambda _host, _options: outcome)
    monkeypatch.setattr(screen, "sample_all", lambda _resctrl, statuses: [new.sample for _status in statuses])
    one.look(before)
    assert one.counted[0].status.domain.name == "new"
    assert one.counted[0].before == before[new.status.domain.uuid]


@pytest.mark.parametrize(
    ("terminal", "drawn"), [("vt100", True), ("vt220", True), ("dumb", False), ("no-such-terminal", False)]
)
def test_it_is_live_on_terminals_whose_cursor_can_be_moved(terminal, drawn, tmp_path):
    """In a process of its own: curses looks at the terminal's kind once."""
    result = tmp_path / "result"
    child = os.fork()
    if not child:
        _say_whether_it_can_draw(terminal, result)
    _pid, status = os.waitpid(child, 0)
    assert (os.WEXITSTATUS(status), result.read_text()) == (0, str(drawn))


def test_it_is_not_live_where_curses_is_not_installed(monkeypatch):
    """SUSE has it in a package of its own."""
    monkeypatch.setitem(sys.modules, "curses", None)
    for stream in ("stdin", "stdout"):
        monkeypatch.setattr(screen.sys, stream, argparse.Namespace(isatty=lambda: True))
    assert screen.can_draw() is False


def _say_whether_it_can_draw(terminal, result):
    """Never returns."""
    with contextlib.suppress(Exception):
        _controller, end = os.openpty()
        os.dup2(end, 0)
        os.dup2(end, 1)
        os.environ["TERM"] = terminal
        screen.sys.stdin, screen.sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        result.write_text(str(screen.can_draw()))
    os._exit(0 if result.exists() else 1)
