# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of resctrl-mon: each gets the parsed command line, prints, and gives the exit status."""

from __future__ import annotations

import time
import typing as t

from resctrl import errors
from resctrl.act import upkeep
from resctrl.act.declared import declarations
from resctrl.act.news import SLOW, Report, is_news, news, report_on
from resctrl.decide.wish import BANDWIDTHS, Wish
from resctrl.kernel.events import OCCUPANCY, TABLE
from resctrl.kernel.filesystem import Resctrl
from resctrl.kernel.preflight import check_values
from resctrl.observe.host import query
from resctrl.tell.domains import describe_declared, describe_domain
from resctrl.vms.domain import is_pattern, keys
from resctrl.wish.files import is_enforced, load
from resctrl.wish.policy import Policy
from resctrl.wish.store import write_text

from .place import changes_of, check_counting, host_of
from .say import fail, fail_for, in_our_words, print_json, say, say_document, warn

if t.TYPE_CHECKING:
    import argparse

    from resctrl.act.declared import Declared
    from resctrl.decide.outcome import Outcome, Result
    from resctrl.observe.host import Host


def _query(options: argparse.Namespace) -> tuple[Host, Outcome]:
    host = host_of(options)
    outcome = query(host, [options.domain] if options.domain else None)
    warn([*outcome.warnings, *outcome.after.warnings])
    return host, outcome


def status(options: argparse.Namespace) -> int:
    """Whether domains are monitored, and what is declared for them."""
    host, outcome = _query(options)
    warn(check_values(host.resctrl))
    declared = declarations(host, outcome)
    warn(declared.warnings)
    if options.json:
        print_json(
            [
                {**describe_domain(one, host.resctrl), "declared": describe_declared(one, declared.of)}
                for one in outcome.results
            ]
        )
    else:
        _print_status(outcome.results, named=_are_named(outcome.results, options.domain), declared=declared.of)
    unseen = [one for one in outcome.after.absent.values() if isinstance(one, errors.DomainUnseen)]
    for exc in unseen:
        fail(exc)
    return fail_for(outcome.results) or int(bool(unseen))


def _are_named(results: t.Sequence[Result], asked: str | None) -> bool:
    """Whether a reader has to be told which domain a status is of: not of one asked for by its name or UUID."""
    pattern = asked is not None and is_pattern(asked) and [one.name for one in results] != [asked]
    return asked is None or len(results) > 1 or pattern


def _print_status(results: t.Iterable[Result], named: bool, declared: t.Mapping[str, Declared]) -> None:
    for result in results:
        if result.status:
            if named:
                say(f"Domain: '{result.status.domain.name}'")
            say(f"RDT Monitoring Status: {result.status.text}")
            found = declared.get(result.status.domain.uuid)
            if found and found.is_said:
                say(f"  {in_our_words(found.in_words())}")


def stats(options: argparse.Namespace) -> int:
    """What was counted for domains."""
    # Not above, as for why
    from resctrl.act.sampled import statistics
    from resctrl.tell.statistics import describe_statistics

    host, outcome = _query(options)
    warn(check_counting(host.resctrl))
    if options.table:
        from . import screen

        return screen.print_table(host, outcome, options.interval, "cache", named=options.domain is not None)
    sampled = statistics(host.resctrl, outcome.statuses, options.interval)
    counted = {
        key: describe_statistics(one, host.resctrl, outcome.after)
        for key, one in zip(keys([one.status.domain for one in sampled]), sampled)
    }
    if options.json:
        print_json(counted)
    elif options.csv:
        from resctrl.tell.comma_separated import comma_separated

        say_document(comma_separated(counted, sampled[0].sample.events if sampled else ()))
    else:
        for name, values in counted.items():
            say(f"Domain: '{name}'")
            for line in _in_the_rfcs_form(values):
                say(f"  {line}")
    return fail_for(outcome.results)


def _in_the_rfcs_form(values: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """The proposal's line, what an event counts if it was changed, and with an interval a line for each rate."""
    yield f"resctrl.cmt={_number(values['cmt'], values['reasons'].get(OCCUPANCY))}"
    for event, words in values["configured"].items():
        yield f"resctrl.{event}.configured={words}"
    rates = values["rates"] or {}
    for name, value in rates.items():
        if name.endswith(("_per_second", "_fraction")):
            yield f"resctrl.{name}={_number(value, rates['reasons'].get(name), _decimals(name))}"


def _decimals(name: str) -> int:
    """With how many decimal places a rate is printed."""
    in_fractions = [event.name for event in TABLE if event.is_decimal]
    return 6 if name.endswith("_fraction") or name.replace("_per_second", "") in in_fractions else 0


def _number(number: float | None, reason: str | None, decimals: int = 0) -> str:
    return f"null ({reason})" if number is None else f"{number:.{decimals}f}"


def top(options: argparse.Namespace) -> int:
    """A live table."""
    # Not above, as for why
    from . import screen

    return screen.top(options)


def why(options: argparse.Namespace) -> int:
    """Which domains stand out, and what explains that one is slow."""
    # Not above: the agent runs once a minute, and has no use for it
    from resctrl.act.analysis import analyse
    from resctrl.tell.findings import describe_analysis

    options.domain = None
    host, outcome = _query(options)
    warn(check_counting(host.resctrl))
    analysis = analyse(host, outcome, options.interval, options.ceiling)
    warn(analysis.warnings)
    found = describe_analysis(analysis, host.resctrl, outcome.after, details=False)
    if options.json:
        print_json(found)
        return 0
    for one in found["findings"]:
        since = "" if one["since"] == found["host"]["since"] else f"; so at each look since {one['since']}"
        say(f"{one['msg']} (confidence: {one['confidence']}{since})")
        _say_doubts(one)
    for one in found["advice"]:
        say(one["msg"])
        for line in one["xml"].split("\n"):
            say(f"    {line}")
        _say_doubts(one)
    if any(one["ceiling"] is None for one in found["host"]["sockets"]):
        say("Give what the memory of a socket can move, as a benchmark shows it, with --ceiling GB/S.")
    say("Not counted:")
    for one in found["host"]["not_counted"]:
        say(f"  {one['msg']}")
    return 0


def _say_doubts(one: t.Mapping[str, t.Any]) -> None:
    for sentence in one["against"]:
        say(f"  But: {sentence}")


def enable(options: argparse.Namespace) -> int:
    """Monitor domains."""
    wish = Wish(
        True,
        options.scope == "domain",
        options.takeover,
        options.leave_cpu_group,
        bandwidth=BANDWIDTHS[options.bandwidth],
    )
    return _switch(options, wish)


def disable(options: argparse.Namespace) -> int:
    """Monitor domains no longer."""
    return _switch(options, Wish(False))


def _switch(options: argparse.Namespace, wish: Wish) -> int:
    host = host_of(options)
    # Not above, as for why
    from resctrl.act.switch import switch

    switched = switch(host, [options.domain], wish, persistent=options.persistent)
    results = switched.outcome.results
    for one in results:
        if options.persistent and one.status and not one.error and not one.status.domain.active:
            will = "will be" if wish.enabled else "will not be"
            say(f"Domain '{one.name}' is shut off: it {will} monitored whenever it starts.")
        elif not one.error:
            _print_status([one], named=_are_named(results, options.domain), declared={})
    warn(switched.warnings)
    return fail_for([_with_name(one) for one in results])


def _with_name(result: Result) -> Result:
    """The same, but where libvirt's own sentence has neither the domain nor what to do, with both."""
    if not isinstance(result.error, errors.DomainNotRunning):
        return result
    hint = "Start it first, or use --persistent, which holds whenever it runs"
    named = errors.DomainNotRunning(f"Domain '{result.name}': {result.error.message}", hint=hint)
    return result._replace(error=named)


def enforce(options: argparse.Namespace) -> int:
    """Enforce the policy."""
    host = host_of(options)
    report = _check(host) if options.check else _enforce(host, changes_of(options))
    if options.json:
        _print_report(report, host.resctrl)
        return int(report.failed)
    if options.quiet:
        report = news(report)
    if options.check and (report.done or report.turns):
        say("Nothing was changed. A run would say:")
    for line in [*report.done, *report.turns, *report.waiting.values()]:
        say(in_our_words(line))
    if not options.quiet:
        for name in report.starting:
            say(f"{name}: is starting, and will be monitored once it is up")
    if report.idle and not options.quiet:
        say("Everything is as declared." if load() != Policy() else "Nothing is declared on this host.")
    warn(report.warnings)
    for line in report.errors:
        fail(line)
    return int(report.failed)


def _check(host: Host) -> Report:
    return report_on([upkeep.enforce_policy(host, check=True)], host.resctrl)


def _enforce(host: Host, changed_at: t.Callable[[], int]) -> Report:
    """Enforce the policy, and note for the metrics how that ended."""
    began = time.time()
    try:
        outcomes = upkeep.keep_up(lambda: upkeep.enforce_policy(host), changed_at)
        report = report_on(outcomes, host.resctrl)
    except Exception:
        # Not one that was interrupted
        upkeep.note_run(began, None)
        raise
    upkeep.note_run(began, report)
    return report


def _print_report(report: Report, resctrl: Resctrl) -> None:
    print_json(
        {
            "done": report.done,
            "turns": list(report.turns),
            "waiting": list(report.waiting.values()),
            "warnings": report.warnings,
            "errors": report.errors,
            "domains": [describe_domain(result, resctrl) for result in report.last.results],
        }
    )


def metrics(options: argparse.Namespace) -> int:
    """What was counted, as metrics of Prometheus."""
    # Not above, as for why
    from resctrl.act.collecting import collect
    from resctrl.tell.exposition import exposition
    from resctrl.tell.metrics import host_facts, points

    host = host_of(options)
    collection = collect(host)
    facts, warnings = host_facts(host, collection)
    text = exposition(points(collection, facts))
    warn([*collection.warnings, *warnings, *_slowness(collection.seconds, options.interval)])
    if options.output is None:
        say_document(text)
        return 0
    try:
        write_text(options.output, text, options.mode)
    except OSError as exc:
        hint = "Name a file in a directory to which root can write"
        return fail(f"Cannot write {options.output}: {exc.strerror}. {hint}")
    return 0


def _slowness(seconds: float, interval: float | None) -> list[str]:
    """That a run costs more than a tenth of the time between two; said when that begins."""
    if interval is None or not is_news("slow", seconds > interval / 10, SLOW):
        return []
    return [f"This run took {seconds:.1f} of {interval:g} seconds, which is more than a tenth: use a longer interval"]


def clear(options: argparse.Namespace) -> int:
    """End all monitoring of ours."""
    resctrl = Resctrl(options.resctrl_path)
    removed, refusals = upkeep.clear(resctrl)
    for group in removed:
        say(f"Removed {resctrl.path(group)}")
    warn(_of_the_policy())
    for exc in refusals:
        fail(exc)
    return int(bool(refusals))


def _of_the_policy() -> list[str]:
    """That what was ended begins again, where a policy that monitors anything is enforced."""
    if not is_enforced():
        return []
    try:
        policy = load()
    except errors.PolicyDamaged:
        # It is not enforced then
        return []
    if not (policy.default or any(rule.enabled for rule in policy.rules) or any(policy.switches.values())):
        return []
    return [
        "The policy of this host is enforced: its domains will soon be monitored again. To end that, change the "
        "policy, or take it away with resctrl_monitor_state: absent"
    ]
