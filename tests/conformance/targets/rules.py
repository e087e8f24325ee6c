# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules are, by the tests, what a rule needs to be tried, and what a target has."""

from __future__ import annotations

import importlib.util
import pathlib
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

TESTS = pathlib.Path(__file__).resolve().parents[1]

FACTS = {
    "kernel": "a real kernel",
    "destructive": "permission to disturb others (--destructive)",
    "steerable": "counters that tests can set",
    "kthreads": "kernel threads in sight",
    "intel": "an Intel processor",
    "two-cpus": "two CPUs or more",
    "alloc": "allocation",
    "l3": "allocation of L3 cache",
    "mb": "allocation of memory bandwidth",
    "contiguous": "cache masks that must be contiguous",
    "cdp": "code and data prioritization",
    "few-closids": "fewer CLOSIDs than RMIDs",
    "mon": "monitoring",
    "l3-mon": "monitoring of L3 caches",
    "cmt": "llc_occupancy",
    "mbm": "mbm_total_bytes",
    "two-domains": "two L3 domains or more",
    "abmc": "assignable bandwidth counters",
    "bmec": "configurable bandwidth events",
    "snc": "sub-NUMA clustering",
    "perf": "telemetry of packages",
    "mpam": "RMIDs that belong to a CLOSID (Arm MPAM)",
}
"""The words of a rule's needs. With ``no-`` before it, a word means that the target must not have it."""


def version(text: str) -> tuple[int, int]:
    """The first two numbers of a kernel release. Raises ValueError if it does not begin so."""
    numbers = re.match(r"(\d+)\.(\d+)", text)
    if not numbers:
        raise ValueError(f"not a kernel release: {text!r}")
    return int(numbers[1]), int(numbers[2])


@dataclass(frozen=True)
class Rule:
    """A rule: the mainline kernels that have it (empty: no limit), and the facts that it takes to try it."""

    number: str
    subject: str
    title: str
    since: str = ""
    until: str = ""
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [need for need in self.needs if need.removeprefix("no-") not in FACTS]
        if unknown:
            raise ValueError(f"rule {self.number}: unknown need {unknown[0]!r}")

    @property
    def kernels(self) -> str:
        """The kernels that have it; empty if all have."""
        if self.since and self.until:
            return f"{self.since} to {self.until}"
        if self.since:
            return f"{self.since} and later"
        return f"{self.until} and earlier" if self.until else ""

    def obstacle(self, release: tuple[int, int], facts: Collection[str]) -> str:
        """Why it does not apply to a target: its kernels, or the need that is not met. Empty if it applies."""
        too_old = self.since and release < version(self.since)
        too_new = self.until and release > version(self.until)
        if too_old or too_new:
            return self.kernels
        for need in self.needs:
            word = need.removeprefix("no-")
            if (word in facts) != (word == need):
                return need
        return ""


def rule_of(test: Callable[..., Any], module: ModuleType) -> Rule:
    """The rule that a test tries: its name has the number, its docstring the title, and the markers ``rule``, its own
    and its module's, the rest. Raises ValueError for a test without a number or a docstring.
    """
    number = re.match(r"test_(\d{3})_", test.__name__)
    if not number or not test.__doc__:
        raise ValueError(f"{test.__name__}: a test here is called test_NNN_WORDS and its docstring says the rule")
    marks = [mark.kwargs for mark in (*_marks(test), *_marks(module)) if mark.name == "rule"]
    needs = " ".join(mark.get("needs", "") for mark in reversed(marks)).split()
    since = next((mark["since"] for mark in marks if "since" in mark), "")
    until = next((mark["until"] for mark in marks if "until" in mark), "")
    title = test.__doc__.strip().splitlines()[0]
    subject = module.__name__.rpartition(".")[2].removeprefix("test_")
    return Rule(number[1], subject, title, since, until, tuple(dict.fromkeys(needs)))


def _marks(marked: object) -> list[Any]:
    """What pytest.mark has left on a function, or a module has for all of its functions."""
    marks = getattr(marked, "pytestmark", [])
    found = marks if isinstance(marks, list) else [marks]
    return [getattr(mark, "mark", mark) for mark in found]


def rules_of_tests(directory: pathlib.Path = TESTS) -> dict[str, Rule]:
    """The rules of all tests in a directory, by number. Raises ValueError if two have the same number."""
    rules: dict[str, Rule] = {}
    for module in map(_module, sorted(directory.glob("test_*.py"))):
        for test in _tests(module):
            rule = rule_of(test, module)
            if rule.number in rules:
                raise ValueError(f"two rules have the number {rule.number}")
            rules[rule.number] = rule
    return rules


def _module(path: pathlib.Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tests(module: ModuleType) -> Iterator[Callable[..., Any]]:
    return (value for name, value in vars(module).items() if name.startswith("test_") and callable(value))
