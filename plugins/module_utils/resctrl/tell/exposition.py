# SPDX-License-Identifier: GPL-3.0-or-later
"""The classic text format of Prometheus, version 0.0.4, for node_exporter's textfile collector. Pure.

No time stands beside a value: the collector would skip the whole file because of it.
"""

from __future__ import annotations

import functools
import typing as t

if t.TYPE_CHECKING:
    from ..kernel.events import Number

GAUGE = "gauge"
COUNTER = "counter"
# The label `scope` of the bandwidth that an event counts
SCOPES = {"mbm_total_bytes": "total", "mbm_local_bytes": "local"}


class Family(t.NamedTuple):
    """A metric: its name, what it is, and its kind. What it is must read the same in all files of a host."""

    name: str
    words: str
    kind: str = GAUGE


class Point(t.NamedTuple):
    """One value of a metric, with its labels in the order in which they are written."""

    family: Family
    labels: t.Mapping[str, str]
    number: Number


def exposition(points: t.Iterable[Point]) -> str:
    """The document: the values of each metric stand together, in the order of their first ones."""
    families: dict[Family, list[Point]] = {}
    for point in points:
        families.setdefault(point.family, []).append(point)
    lines: list[str] = []
    for family, members in families.items():
        lines += [f"# HELP {family.name} {_escaped(family.words)}", f"# TYPE {family.name} {family.kind}"]
        lines += [f"{family.name}{_labels(one.labels)} {_number(one.number)}" for one in members]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: t.Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_quoted(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


# The labels of a domain are the same in all of its values
@functools.lru_cache(maxsize=1024)
def _quoted(text: str) -> str:
    """The value of a label. A name that is no text (a surrogate stands for a byte that is none) would end the file."""
    return _escaped(text.encode("utf-8", "backslashreplace").decode("utf-8")).replace('"', '\\"')


def _number(number: Number) -> str:
    """A number without loss: Prometheus reads what Go's ParseFloat reads."""
    return str(number)
