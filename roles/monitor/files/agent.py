# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command resctrl-mon: the proposal's verbs for a host without Ansible, and the enforcement of its policy.

Needs Python's standard library only, and asks libvirt nothing: what runs is told by its files and by /proc.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import typing as t

# The library lies beside the command's own directory, and nowhere on Python's path
sys.path.insert(0, "/usr/local/lib/kvmops-resctrl")

from resctrl import errors
from resctrl.act import upkeep
from resctrl.act.switch import switch
from resctrl.decide.wish import Wish
from resctrl.kernel.events import OCCUPANCY
from resctrl.kernel.filesystem import DEFAULT_PATH, Resctrl
from resctrl.observe.host import Host, query
from resctrl.observe.sampling import statistics
from resctrl.tell.domains import describe_domain, describe_failures
from resctrl.tell.statistics import describe_statistics
from resctrl.vms.files import changed_at

if t.TYPE_CHECKING:
    from resctrl.decide.outcome import Outcome, Result


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Run the command. Exit status: 0 done, 1 something failed (said on stderr), 2 wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        # A domain's name may hold what the locale cannot say
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
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
    for word, state in (("enable", True), ("disable", False)):
        switching = verbs.add_parser(word, help=f"{word} monitoring of a running domain")
        switching.add_argument("domain", metavar="DOMAIN", help="its name, UUID or a shell pattern")
        switching.add_argument("--persistent", action="store_true", help="whenever it runs, not only now")
        switching.set_defaults(run=_switch, state=state)
    for verb in (status, stats):
        verb.add_argument("domain", metavar="DOMAIN", nargs="?", help="its name, UUID or a shell pattern")
    enforce = verbs.add_parser("enforce", help="make the policy so, once, and say what was done")
    enforce.add_argument("--quiet", action="store_true", help="print only what is new since the last run")
    enforce.set_defaults(run=_enforce)
    for verb in (status, stats, enforce):
        verb.add_argument("--json", action="store_true", help="for machines")
    clear = verbs.add_parser("clear", help="end all monitoring that is not libvirt's own, whatever runs")
    clear.set_defaults(run=_clear)
    return parser


def _fail(error: errors.ResctrlError | str) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 1


def _fail_for(results: t.Sequence[Result]) -> int:
    message = describe_failures(results)
    return _fail(message) if message else 0


def _warn(warnings: t.Iterable[str]) -> None:
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _print_json(value: t.Any) -> None:  # noqa: ANN401  # anything that JSON can say
    # In ASCII it is JSON whatever the encoding of stdout
    json.dump(value, sys.stdout, indent=1)
    print()


def _query(options: argparse.Namespace) -> tuple[Host, Outcome]:
    host = Host.of_files(options.resctrl_path)
    return host, query(host, [options.domain] if options.domain else None)


def _status(options: argparse.Namespace) -> int:
    host, outcome = _query(options)
    if options.json:
        _print_json([describe_domain(result, host.resctrl) for result in outcome.results])
    else:
        _print_status(outcome.results, named=options.domain is None)
    unseen = [one for one in outcome.after.absent.values() if isinstance(one, errors.DomainUnseen)]
    for exc in unseen:
        _fail(exc)
    return _fail_for(outcome.results) or int(bool(unseen))


def _print_status(results: t.Iterable[Result], named: bool) -> None:
    for result in results:
        if result.status:
            if named:
                print(f"Domain: '{result.status.domain.name}'")
            print(f"RDT Monitoring Status: {result.status.text}")


def _stats(options: argparse.Namespace) -> int:
    host, outcome = _query(options)
    counted = {
        one.status.domain.name: describe_statistics(one, host.resctrl, outcome.after)
        for one in statistics(host.resctrl, outcome.statuses, None)
    }
    if options.json:
        _print_json(counted)
    else:
        for name, values in counted.items():
            print(f"Domain: '{name}'")
            print(f"  resctrl.cmt={_number(values['cmt'], values['reasons'].get(OCCUPANCY))}")
    return _fail_for(outcome.results)


def _number(number: int | None, reason: str | None) -> str:
    return f"null ({reason})" if number is None else str(number)


def _switch(options: argparse.Namespace) -> int:
    host, wish = Host.of_files(options.resctrl_path), Wish(enabled=options.state)
    switched = switch(host, [options.domain], wish, persistent=options.persistent)
    results = switched.outcome.results
    _print_status([result for result in results if not result.error], named=len(results) > 1)
    _warn(switched.warnings)
    return _fail_for(results)


def _enforce(options: argparse.Namespace) -> int:
    host = Host.of_files(options.resctrl_path)
    outcomes = upkeep.keep_up(lambda: upkeep.enforce_policy(host), changed_at)
    report = upkeep.report_on(outcomes, host.resctrl)
    if options.json:
        last = [describe_domain(result, host.resctrl) for result in report.last.results]
        lists = {"done": report.done, "waiting": report.waiting, "warnings": report.warnings, "errors": report.errors}
        _print_json({**lists, "domains": last})
        return int(bool(report.errors))
    if options.quiet:
        report = upkeep.news(report)
    for line in [*report.done, *report.waiting]:
        print(line)
    if report.idle and not options.quiet:
        print("Everything is as declared.")
    _warn(report.warnings)
    for line in report.errors:
        _fail(line)
    return int(report.failed)


def _clear(options: argparse.Namespace) -> int:
    resctrl = Resctrl(options.resctrl_path)
    for group in upkeep.clear(resctrl):
        print(f"Removed {resctrl.path(group)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
