# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command resctrl-mon: the proposal's verbs for a host without Ansible, and the enforcement of its policy.

Needs Python's standard library only, and asks libvirt nothing: what runs is told by its files and by /proc.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import time
import typing as t

# The library lies beside the command's own directory, and nowhere on Python's path
sys.path.insert(0, "/usr/local/lib/kvmops-resctrl")

from resctrl import domain_files, errors, policy, switches
from resctrl.counters import OCCUPANCY
from resctrl.domains import Processes, Selected
from resctrl.enforcement import Enforcement, enforce
from resctrl.filesystem import DEFAULT_PATH, Resctrl
from resctrl.monitoring import Host, Outcome, Result, domain_result, failure_message, query
from resctrl.planning import Wish
from resctrl.rationing import plan_by_priority
from resctrl.sampling import Statistics, describe_statistics, statistics

# A domain that starts while we enforce is seen by looking again. A storm of starts ends: this is for a broken host.
_MOST_LOOKS = 100
# So long after libvirt has changed something more may follow: a domain that starts has no vCPUs at first.
_LATELY = 10_000_000_000  # nanoseconds


def this_host(resctrl_path: str = DEFAULT_PATH) -> Host:
    """This host, as libvirt's files tell of it."""
    processes = Processes(domain_files.STATE_DIRECTORY)
    return Host(lambda: domain_files.list_domains(processes), processes, Resctrl(resctrl_path))


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Run the command. Exit status: 0 done, 1 something failed (said on stderr), 2 wrong usage."""
    options = _parser().parse_args(arguments)
    host = this_host(options.resctrl_path)
    try:
        return int(options.run(host, options))
    except errors.ResctrlError as exc:
        return _fail(exc)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="resctrl-mon", description="Cache and memory-bandwidth monitoring of this host's libvirt domains."
    )
    parser.add_argument("--resctrl-path", default=DEFAULT_PATH, help="where resctrl is mounted (%(default)s)")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    status = verbs.add_parser("status", help="whether a domain is monitored (all, without DOMAIN)")
    status.set_defaults(run=_status)
    stats = verbs.add_parser("stats", help="what was counted for a domain (all, without DOMAIN)")
    stats.set_defaults(run=_stats)
    for verb, state in (("enable", True), ("disable", False)):
        switch = verbs.add_parser(verb, help=f"{verb} monitoring of a running domain")
        switch.add_argument("domain", metavar="DOMAIN", help="its name, UUID or a shell pattern")
        switch.add_argument("--persistent", action="store_true", help="whenever it runs, not only now")
        switch.set_defaults(run=_switch, state=state)
    for verb in (status, stats):
        verb.add_argument("domain", metavar="DOMAIN", nargs="?", help="its name, UUID or a shell pattern")
    look = verbs.add_parser("enforce", help="make the policy so, once, and say what was done")
    look.add_argument("--quiet", action="store_true", help="say nothing where there is no news")
    look.set_defaults(run=_enforce)
    for verb in (status, stats, look):
        verb.add_argument("--json", action="store_true", help="for machines")
    return parser


def _fail(error: errors.ResctrlError | str) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 1


def _print_json(value: t.Any) -> None:  # noqa: ANN401  # anything that JSON can say
    json.dump(value, sys.stdout, indent=1, ensure_ascii=False)
    print()


def _status(host: Host, options: argparse.Namespace) -> int:
    outcome = query(host, [options.domain] if options.domain else None)
    if options.json:
        _print_json([domain_result(result, host.resctrl) for result in outcome.results])
    else:
        _print_status(outcome.results, named=options.domain is None)
    return _failed(outcome)


def _print_status(results: t.Iterable[Result], named: bool) -> None:
    for result in results:
        if result.status:
            if named:
                print(f"Domain: '{result.status.domain.name}'")
            print(f"RDT Monitoring Status: {result.status.text}")


def _failed(outcome: Outcome) -> int:
    message = failure_message(outcome.results)
    return _fail(message) if message else 0


def _stats(host: Host, options: argparse.Namespace) -> int:
    outcome = query(host, [options.domain] if options.domain else None)
    counted = statistics(host.resctrl, [one.status for one in outcome.results if one.status], None)
    if options.json:
        _print_json({one.status.domain.name: describe_statistics(one, host.resctrl) for one in counted})
    else:
        for one in counted:
            print(f"Domain: '{one.status.domain.name}'")
            print(f"  resctrl.cmt={_cmt(one)}")
    return _failed(outcome)


def _cmt(one: Statistics) -> str:
    """The proposal's number, 0 for a shut-off domain; where it is not known, the reason."""
    if not one.status.domain.active:
        return "0"
    value = one.sample.totals[OCCUPANCY]
    return f"null ({value.reason})" if value.number is None else str(value.number)


def _switch(host: Host, options: argparse.Namespace) -> int:
    wish, names = Wish(enabled=options.state), [options.domain]
    outcome = enforce(host, names, wish, ignore_inactive=options.persistent)
    if options.persistent:
        switches.note(outcome, options.state)
    _print_status([result for result in outcome.results if not result.error], named=len(outcome.results) > 1)
    for warning in outcome.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return _failed(outcome)


def _enforce(host: Host, options: argparse.Namespace) -> int:
    """Make the policy so; and look again until nothing has changed in libvirt's directory since the last look."""
    outcomes: list[Outcome] = []
    seen = None
    while seen != _changed_at(host.processes.state) and len(outcomes) < _MOST_LOOKS:
        seen = _changed_at(host.processes.state)
        outcomes.append(_enforce_once(host))
    lately = time.time_ns() - _changed_at(host.processes.state) < _LATELY
    done = [line for outcome in outcomes for line in _said(outcome, host)]
    waiting, errors_left = _waiting(outcomes[-1]), _errors_of(outcomes[-1], lately)
    if options.json:
        last = [domain_result(result, host.resctrl) for result in outcomes[-1].results]
        _print_json({"done": done, "waiting": waiting, "errors": errors_left, "domains": last})
    elif done or lately or not options.quiet:
        _print_lines(done + waiting, idle=not (errors_left or options.quiet))
    for line in errors_left:
        _fail(line)
    return 1 if errors_left else 0


def _print_lines(lines: list[str], idle: bool) -> None:
    for line in lines or ["Everything is as declared."] * idle:
        print(line)


def _changed_at(directory: str) -> int:
    """When an entry of the directory was last made, replaced or removed (nanoseconds); 0 where there is none."""
    try:
        return os.stat(directory).st_mtime_ns
    except OSError:
        return 0


def _enforce_once(host: Host) -> Outcome:
    declared = policy.load()
    known = host.domains()
    wishes, priorities = declared.wishes(one for one in known if one.active)
    selected = [Selected(one.name, one) for one in known if one.uuid in wishes]
    planner = functools.partial(plan_by_priority, priorities=priorities, reserve=declared.reserve)
    return Enforcement(host, known, selected, wishes, planner).outcome()


def _said(outcome: Outcome, host: Host) -> list[str]:
    """What was done, a line each."""
    lines = [f"{result.asked}: {result.msg}" for result in outcome.results if result.changed and result.msg]
    lines += [f"Removed {host.resctrl.path(group)}: its domain is gone" for group in outcome.pruned]
    return lines


def _waiting(outcome: Outcome) -> list[str]:
    """Who goes without an RMID, a line each."""
    return [f"{one.asked}: {one.error}" for one in outcome.results if isinstance(one.error, errors.RmidsExhausted)]


def _errors_of(outcome: Outcome, lately: bool) -> list[str]:
    """What is not as declared, and why. To be out of RMIDs is no error: the policy says who goes without. Nor is a
    domain that has only begun to start: its vCPUs come with another change, which leads to another run.
    """
    passing: tuple[type[Exception], ...] = (errors.RmidsExhausted, errors.DomainGone)
    if lately:
        passing += (errors.NoVcpuThreads,)
    return [f"{one.asked}: {one.error}" for one in outcome.results if one.error and not isinstance(one.error, passing)]


if __name__ == "__main__":
    sys.exit(main())
