#!/usr/bin/env python
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""table.py record: keeps what tests/compatibility/run and tests/ci/sanity.sh have left in .work/compatibility as
recorded.json. What is recorded of an ansible-core is replaced by what was run on it, and nothing else.

table.py: prints docs/docsite/rst/compatibility.rst by what is recorded.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
import typing as t
from xml.etree import ElementTree as ET

HERE = pathlib.Path(__file__).resolve().parent
RECORDED = HERE / "recorded.json"
RESULTS = HERE.parents[1] / ".work" / "compatibility"

# {"core": "2.16.19", "day": "2026-11-27", "sanity": [tests, 0 if any failed; day] or None if not run,
#  "modules": [passed, not passed], "installed": [passed, not passed, day] or None if not run,
#  "controllers": {"3.10.13": whether all passed},
#  "managed": {"3.8.18 11.10.0": whether all passed, of a Python and its libvirt-python}}
Run = dict[str, t.Any]

_PAGE = """\
..
  Copyright (c) 2026 the kvmops.resctrl authors
  GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
  SPDX-License-Identifier: GPL-3.0-or-later

.. Made by tests/compatibility/table.py: do not edit

.. _ansible_collections.kvmops.resctrl.docsite.compatibility:

What was tried together
=======================

The collection runs on ansible-core 2.16 and newer. Managed hosts need Python 3.8 or newer, as far
as the ansible-core that you use supports it. :ref:`What a version promises
<ansible_collections.kvmops.resctrl.docsite.versions>` says how long that stays so.

The tables are made from runs of ``make compatibility``. ✓: all tests passed, and how many;
✗: one or more did not. A cell is empty where that ansible-core does not support that Python.

ansible-core and the controller's Python
----------------------------------------

{cores}
The managed host's Python
-------------------------

Every module, a filter and the playbook ``report``, from each controller above:

{pythons}
Python {own} with libvirt-python {library} is the distribution's; the others have a libvirt-python
of PyPI. The library and the agent's command are also tested alone on each of these Pythons
(``make unit``).

libvirt, QEMU, systemd and the kernel
-------------------------------------

{others}
The hosts of these tests have an emulator of resctrl, and the guests have a processor whose RDT
registers are a model. Values were never read from RDT hardware by these tests.
"""

_OTHERS = (
    ("what", "versions", "tested by"),
    ("libvirt, QEMU, systemd", "Debian 12: 9.0, 7.2, 252", "``make integration molecule``"),
    ("", "Debian 13 and sid: as ``tests/lab/lab root trixie`` and ``sid`` print them", "``make test-releases``"),
    (
        "the kernel's resctrl",
        "Linux 6.1, 6.12 and 7.3 in guests: `rule by rule\n"
        "<https://github.com/kvmops/ansible-collection-resctrl/blob/main/docs/conformance.md>`__",
        "``make test-kernel``",
    ),
    (
        "the installed archive: first steps, upgrade, removal",
        "Debian 12, and 13 with ``KVMOPS_LAB_RELEASE=trixie``",
        "``make test-installed``",
    ),
)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall("[0-9]+", version)))


def _suite(path: pathlib.Path) -> ET.Element:
    """The suite of tests in a file of JUnit's form, which pytest has written."""
    suite = ET.parse(path).find("testsuite")  # noqa: S314  # of our own run
    if suite is None:
        raise SystemExit(f"{path}: no tests")
    return suite


def _not_passed(suite: ET.Element) -> int:
    return sum(int(suite.get(name, "0")) for name in ("failures", "errors", "skipped"))


def _counted(suite: ET.Element) -> list[int]:
    """How many passed, and how many did not."""
    failed = _not_passed(suite)
    return [int(suite.get("tests", "0")) - failed, failed]


def _run(label: str) -> Run:
    """What was run on the ansible-core that tests/compatibility/run calls `label`."""
    modules = _suite(RESULTS / f"{label}-modules.xml")
    run: Run = {
        "core": "",
        "day": modules.get("timestamp", "")[:10],
        "sanity": None,
        "modules": _counted(modules),
        "installed": None,
        "controllers": {},
        "managed": {},
    }
    for path in sorted(RESULTS.glob(f"{label}-playbooks-*.xml")):
        suite = _suite(path)
        about = {one.get("name"): one.get("value") for one in suite.iter("property")}
        run["core"] = about["ansible-core"]
        run["controllers"][about["python"]] = _not_passed(suite) == 0
        for case in suite.iter("testcase"):
            found = re.search(r"\[(\S+) with libvirt-python (\S+)\]", case.get("name", ""))
            if found is None:
                raise SystemExit(f"{path}: {case.get('name')} is about no Python")
            pair = f"{found[1]} {found[2]}"
            run["managed"][pair] = run["managed"].get(pair, True) and len(case) == 0
    return run


def _minor(core: str) -> tuple[int, ...]:
    return _numbers(core)[:2]


def record() -> None:
    """Replace what is recorded of each ansible-core that was run."""
    runs = [_run(path.name.removesuffix("-modules.xml")) for path in sorted(RESULTS.glob("*-modules.xml"))]
    kept = [one for one in _recorded() if _minor(one["core"]) not in {_minor(run["core"]) for run in runs}]
    every = {one["core"]: one for one in sorted(kept + runs, key=lambda one: _numbers(one["core"]))}
    for path in RESULTS.glob("*-sanity"):
        core, tests, day = path.read_text().split()
        if core in every:
            every[core]["sanity"] = [int(tests), day]
    for path in RESULTS.glob("*-installed.xml"):
        label, suite = path.name.removesuffix("-installed.xml"), _suite(path)
        cores = [one for one in every if label == "newest" or _minor(one) == _numbers(label)]
        if cores:
            every[cores[-1]]["installed"] = [*_counted(suite), suite.get("timestamp", "")[:10]]
    text = json.dumps(list(every.values()), indent=1, sort_keys=True)
    RECORDED.write_text(f"{text}\n", encoding="utf-8")


def _recorded() -> list[Run]:
    return json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else []


def _mark(passed: bool) -> str:
    return "✓" if passed else "✗"


def _table(rows: t.Iterable[t.Sequence[str]]) -> str:
    """A table in reStructuredText; the first row is its head."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        for place, cell in enumerate(row):
            mark = "   * -" if place == 0 else "     -"
            lines.append(f"{mark} {cell}".rstrip().replace("\n", "\n       "))
    return "".join(f"{line}\n" for line in lines)


def _share(counted: t.Sequence[int]) -> str:
    passed, failed = counted
    return f"✗ {failed} of {passed + failed}" if failed else f"✓ {passed}"


def _core_row(run: Run) -> tuple[str, ...]:
    tests, day = run["sanity"] or (None, run["day"])
    sanity = "not run" if tests is None else f"✓ {tests}" if tests else "✗"
    controllers = ", ".join(f"{_mark(well)} {python}" for python, well in run["controllers"].items())
    return (
        run["core"],
        run["day"],
        sanity + _another_day(day, run),
        _share(run["modules"]),
        controllers,
        _installed(run),
    )


def _installed(run: Run) -> str:
    if not run.get("installed"):
        return "not run"
    *counted, day = run["installed"]
    return _share(counted) + _another_day(day, run)


def _another_day(day: str, run: Run) -> str:
    return "" if day == run["day"] else f", on {day}"


def page() -> str:
    """docs/docsite/rst/compatibility.rst."""
    runs = _recorded()
    pairs = sorted({pair for run in runs for pair in run["managed"]}, key=_numbers)
    rows = [("Python", "libvirt-python", *(f"ansible-core {run['core']}" for run in runs))]
    for pair in pairs:
        marks = (_mark(run["managed"][pair]) if pair in run["managed"] else "" for run in runs)
        rows.append((*pair.split(), *marks))
    # The distribution's is older than any that is pinned
    own, library = min((pair.split() for pair in pairs), key=lambda pair: _numbers(pair[1]))
    head = (
        "ansible-core",
        "run on",
        "sanity tests",
        "tests of the modules",
        "playbooks, from the controller's Python",
        "roles of the archive, upgrade, removal",
    )
    return _PAGE.format(
        cores=_table([head, *map(_core_row, runs)]),
        pythons=_table(rows),
        others=_table(_OTHERS),
        own=own,
        library=library,
    )


def main(arguments: list[str]) -> None:
    """Do what the words say."""
    if arguments == ["record"]:
        record()
    elif arguments:
        raise SystemExit(__doc__)
    else:
        print(page(), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
