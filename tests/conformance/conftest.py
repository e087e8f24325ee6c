# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of resctrl, tried at a target: the emulator with each of its profiles, or this machine's kernel.

A test is named after its rule, test_NNN_WORDS, its docstring's first line says the rule, and the markers ``rule``, its
own and its module's, tell which kernels have it and what it needs. What does not apply to a target is deselected.
"""

# ruff: noqa: E402  (the tests' own package is found from here on)
from __future__ import annotations

import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from targets.processes import Process
from targets.record import FAILED, PASSED, Run, save
from targets.rules import Rule, rule_of, version
from targets.target import Refused, Target

CONFORMANCE = pytest.StashKey["Conformance"]()


class Conformance:
    """The targets, those in use being open, and what became of the rules."""

    def __init__(self, config: pytest.Config) -> None:
        self._kernel = config.getoption("resctrl", None)
        self._destructive = config.getoption("destructive", False)
        self._profiles = config.getoption("profile", None)
        self._record_file = config.getoption("conformance_record", None)
        self._hardware = config.getoption("hardware", None)
        self._open: dict[str, Target] = {}
        self._runs: dict[str, Run] = {}
        self._rules: dict[str, Rule] = {}

    def names(self) -> list[str]:
        """The targets that are asked for: "kernel" or profiles. Raises UsageError for a profile that there is not."""
        if self._kernel:
            return ["kernel"]
        from targets.emulated import PROFILES

        if unknown := set(self._profiles or ()) - set(PROFILES):
            raise pytest.UsageError(f"no profile {unknown.pop()!r}; there are {', '.join(PROFILES)}")
        return self._profiles or list(PROFILES)

    def target(self, name: str) -> Target:
        """Opened when first asked for. Raises UsageError if it cannot be used."""
        if name not in self._open:
            try:
                self._open[name] = self._new_target(name)
            except Refused as refused:
                raise pytest.UsageError(str(refused)) from refused
        return self._open[name]

    def _new_target(self, name: str) -> Target:
        if name == "kernel":
            from targets.kernel import Kernel

            return Kernel(self._kernel, self._destructive, self._hardware)
        from targets.emulated import Emulated

        return Emulated(name)

    def close(self) -> None:
        """Leave everything as it was before."""
        for target in self._open.values():
            target.close()

    def applies(self, item: pytest.Function) -> bool:
        """Whether a test's rule applies to its target; if not, why is recorded."""
        rule, target = _rule(item), self.target(item.callspec.params["target"])
        assert self._rules.setdefault(rule.number, rule) == rule, f"two rules have the number {rule.number}"
        obstacle = rule.obstacle(version(target.release), target.facts)
        if obstacle:
            self._run(target).outcomes[rule.number] = obstacle
        return not obstacle

    def finished(self, item: pytest.Function, report: pytest.TestReport) -> None:
        """Record a phase of a test: whatever has not passed has failed."""
        outcomes = self._run(self.target(item.callspec.params["target"])).outcomes
        number = _rule(item).number
        outcomes[number] = PASSED if report.passed and outcomes.get(number, PASSED) == PASSED else FAILED

    def _run(self, target: Target) -> Run:
        return self._runs.setdefault(target.name, Run(target.name, target.release, sorted(target.facts)))

    def save(self) -> None:
        """Write the record, if one is wanted."""
        if self._record_file:
            save(list(self._runs.values()), self._record_file)


def _rule(item: pytest.Function) -> Rule:
    """A test's rule. Raises UsageError for a test without one."""
    try:
        return rule_of(item.function, item.module)
    except ValueError as error:
        raise pytest.UsageError(f"{item.path.name}: {error}") from error


def pytest_addoption(parser: pytest.Parser) -> None:
    """The target and what may be done with it."""
    group = parser.getgroup("conformance", "conformance with resctrl's rules")
    group.addoption("--resctrl", metavar="PATH", help="try this machine's kernel, with resctrl mounted here")
    group.addoption("--destructive", action="store_true", help="allow to unmount resctrl and to switch CPUs off")
    group.addoption("--hardware", metavar="NAME", default="", help="what the record calls the kernel's machine")
    group.addoption("--profile", action="append", metavar="NAME", help="try the emulator with this profile only")
    group.addoption("--conformance-record", metavar="FILE", help="write what became of each rule")


def pytest_configure(config: pytest.Config) -> None:
    """The state of this run."""
    config.stash[CONFORMANCE] = Conformance(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test for each target."""
    if "target" in metafunc.fixturenames:
        names = metafunc.config.stash[CONFORMANCE].names()
        metafunc.parametrize("target", names, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what does not apply."""
    conformance = config.stash[CONFORMANCE]
    ours = [item for item in items if HERE in item.path.parents and isinstance(item, pytest.Function)]
    out: set[pytest.Item] = {item for item in ours if not conformance.applies(item)}
    config.hook.pytest_deselected(items=[item for item in items if item in out])
    items[:] = [item for item in items if item not in out]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Function):
    """Record the outcome."""
    outcome = yield
    item.config.stash[CONFORMANCE].finished(item, outcome.get_result())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write the record and put everything back."""
    conformance = config.stash[CONFORMANCE]
    conformance.save()
    conformance.close()


@pytest.fixture(name="target", scope="session")
def target_fixture(request) -> Target:
    """Where the rules are tried."""
    return request.config.stash[CONFORMANCE].target(request.param)


@pytest.fixture(name="fs")
def fs_fixture(target):
    """The target, locked; groups that a test makes through it are removed afterwards."""
    target.lock()
    yield target
    try:
        target.clean()
    finally:
        target.unlock()


@pytest.fixture(name="process")
def process_fixture():
    """A new process, in the root group."""
    process = Process()
    yield process
    process.end()


@pytest.fixture(name="member")
def member_fixture(fs, process):
    """A new process that is in the MON group mon_groups/m."""
    fs.make("mon_groups/m")
    fs.move(process.pid, "mon_groups/m")
    return process


@pytest.fixture(name="steered")
def steered_fixture(fs):
    """The target, whose counters a test may stop and set."""
    yield fs
    fs.unset_counters()
    fs.freeze(False)
