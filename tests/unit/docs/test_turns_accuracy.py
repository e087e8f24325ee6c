# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far what is measured in turns is from the truth: the table of docs/turns-accuracy.md.

Hours of a host go by in seconds, with the library's own decisions. What the domains move is a model like that of the
emulator's counters: a thread that runs moves so many bytes a second. With `python3 -m` it prints the table.
"""

from __future__ import annotations

import bisect
import functools
import pathlib
import random
import statistics

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.samples import Part, Sample
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import L3, L3_EVENTS, Place, Value
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.decide.test_turns_over_time import (
    Life,
    World,
)

ROOT = pathlib.Path(__file__).parents[3]
WINDOW = 60
BYTES = 1_000_000_000
# Coverage -> domains that share one group
DOMAINS = {"50 %": 2, "25 %": 4, "10 %": 10}
TURNS = 100
# So many windows are taken together in the last column
MANY = 10


class Steps:
    """A load that is constant for a while, and then another: from these seconds on, these bytes a second."""

    def __init__(self, begins, rates):
        self.begins, self.rates, self.counted = begins, rates, [0.0]
        for begin, end, rate in zip(begins, begins[1:], rates):
            self.counted.append(self.counted[-1] + (end - begin) * rate)

    def until(self, when):
        """The bytes that have been moved."""
        step = bisect.bisect_right(self.begins, when) - 1
        return self.counted[step] + (when - self.begins[step]) * self.rates[step]


def noisy(chance, end, _turn):
    """Steady, and up to a fifth more or less every ten seconds."""
    begins = list(range(0, end, 10))
    return Steps(begins, [BYTES * chance.uniform(0.8, 1.2) for _begin in begins])


def bursts(on, off):
    """On and off at random, for so many seconds on average."""

    def load(chance, end, _turn):
        begins, rates = [0.0], [0.0]
        while begins[-1] < end:
            is_on = bool(rates[-1])
            begins.append(begins[-1] + chance.expovariate(1 / (on if is_on else off)))
            rates.append(0.0 if is_on else BYTES)
        return Steps(begins, rates)

    return load


def periods(part):
    """On in the first half of each period, which is that part of a round; it begins at any moment of it."""

    def load(chance, end, turn):
        half = part * turn / 2
        begins = [0.0, chance.uniform(0, half)]
        while begins[-1] < end:
            begins.append(begins[-1] + half)
        first = chance.randint(0, 1)
        return Steps(begins, [BYTES * ((number + first) % 2) for number, _begin in enumerate(begins)])

    return load


SITUATIONS = {
    "steady, a fifth more or less every 10 s": noisy,
    "short bursts: on for 10 s, off for 30 s, at random": bursts(10, 30),
    "long bursts: on for 5 min, off for 15 min, at random": bursts(300, 900),
    "periodic, somewhat more than ten times in a round": periods(0.093),
    "periodic, once in a round and a tenth": periods(1.1),
    "periodic, exactly once in a round": periods(1.0),
    "periodic, once in ten rounds": periods(10.0),
}


class Loads(World):
    """A host whose domains have all of these loads at once, each on a cache of its own.

    `turns`: (domain, cache) -> what was measured in each turn, what was moved since the one before, and the coverage.
    """

    def __init__(self, domains):
        super().__init__(Life(domains, slots=1, period=WINDOW), seed=1)
        self.round, chance = domains * WINDOW, random.Random(domains)
        end = (TURNS + 2) * self.round
        self.loads = {
            (number, cache): load(chance, end, self.round)
            for number in self.priorities
            for cache, load in enumerate(SITUATIONS.values())
        }
        self.turns = {key: [] for key in self.loads}

    def sample(self, one):
        """What its group has counted since it was made."""
        number, parts = int(one[-12:]), {}
        for group in self.snapshot.ours(one):
            places = {}
            for cache in range(len(SITUATIONS)):
                load = self.loads[number, cache]
                counted = Value(int(load.until(self.now) - load.until(self.made[group])))
                places[Place(L3, cache)] = {event.name: counted for event in L3_EVENTS}
            parts[group] = Part(places, str(self.made[group]))
        return Sample(parts, {}, L3_EVENTS, self.now)

    def leaving(self, steps, queue):
        """Compare what is noted now with what was so."""
        before = {one: notes.measured for one, notes in self.notes.items()}
        super().leaving(steps, queue)
        for one, notes in self.notes.items():
            for (event, place), measured in notes.measured.items():
                if event == "mbm_total_bytes" and measured != before.get(one, {}).get((event, place)):
                    self._compare(int(one[-12:]), place.id, measured)

    def _compare(self, number, cache, measured):
        load = self.loads[number, cache]
        truth = (load.until(measured.ended) - load.until(measured.since)) / (measured.ended - measured.since)
        self.turns[number, cache].append((measured.number, truth, measured.coverage))

    def believes_nothing_old(self):
        """That is proved elsewhere."""

    def is_done(self):
        """So is that."""


def errors_of(host, cache):
    """As parts of what the domains move: the mean and the largest error of a turn, and the mean of the mean of many."""
    single, mean = [], []
    mine = [turns[1:] for (_number, one), turns in sorted(host.turns.items()) if one == cache]
    usual = statistics.mean(truth for turns in mine for _measured, truth, _coverage in turns)
    for turns in mine:
        found = [measured - truth for measured, truth, _coverage in turns]
        single += [abs(one) / usual for one in found]
        mean += [abs(statistics.mean(found[at : at + MANY])) / usual for at in range(0, len(found) - MANY, MANY)]
    return statistics.mean(single), max(single), statistics.mean(mean)


@functools.lru_cache(maxsize=None)
def hosts():
    """Coverage -> the host, after so many turns of each domain."""
    found = {coverage: Loads(domains) for coverage, domains in DOMAINS.items()}
    for host in found.values():
        for _run in range(TURNS * host.life.domains):
            host.run()
    return found


def table():
    """The table of the documentation."""
    head = ["VM", "coverage", "error of one window", "its worst error", f"error of the mean of {MANY} windows"]
    lines = [f"| {' | '.join(head)} |", "| --- | --- | --- | --- | --- |"]
    for cache, words in enumerate(SITUATIONS):
        for coverage, host in hosts().items():
            cells = " | ".join(f"{100 * one:.0f} %" for one in errors_of(host, cache))
            lines.append(f"| {words} | {coverage} | {cells} |")
    return "".join(f"{line}\n" for line in lines)


def test_the_table_of_the_documentation_is_what_the_library_measures():
    assert (ROOT / "docs/turns-accuracy.md").read_text(encoding="utf-8").endswith(f"\n\n{table()}")


@pytest.mark.parametrize("coverage", DOMAINS)
def test_the_coverage_that_is_told_is_the_part_of_the_time(coverage):
    told = {covered for turns in hosts()[coverage].turns.values() for _measured, _truth, covered in turns[1:]}
    assert [f"{100 * one:.0f} %" for one in told] == [coverage]


def test_what_is_exactly_as_long_as_a_round_is_wrong_however_many_windows_are_taken_together():
    """The same part of it is measured each time."""
    exactly = list(SITUATIONS).index("periodic, exactly once in a round")
    for host in hosts().values():
        _single, _worst, mean = errors_of(host, exactly)
        assert mean > 0.5


if __name__ == "__main__":
    print(table(), end="")
