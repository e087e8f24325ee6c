# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real Prometheus answers to the queries of a dashboard, drawn by pygal: one SVG for each dashboard. Grafana
draws otherwise; the data, the titles and the legends are the same.
"""

from __future__ import annotations

import math
import re
import typing as t

import pygal
from checks import legend
from pygal.style import CleanStyle

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from checks import Answers, Json

# Pixels of a column and of a row of Grafana's grid
COLUMN, ROW = 52, 42
_STYLE = CleanStyle(
    background="white",
    plot_background="white",
    font_family="sans-serif",
    title_font_size=16,
    legend_font_size=11,
    label_font_size=10,
    major_label_font_size=10,
    value_font_size=12,
)
# Of a unit: what its numbers are divided by, and what then stands behind them
_UNITS = {
    "Bps": (1 << 30, " GiB/s"),
    "bytes": (1 << 20, " MiB"),
    "percentunit": (0.01, " %"),
    "s": (1, " s"),
    "watt": (1, " W"),
}


def drawn(board: Json, ask: Callable[[Json], Answers], points: int) -> str:
    """The image of a dashboard. `points`: how many values a series has that is there all the time."""
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"]) * ROW
    size = f'width="{24 * COLUMN}" height="{height}" viewBox="0 0 {24 * COLUMN} {height}"'
    parts = [_panel(panel, ask, points) for panel in board["panels"]]
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', *parts, "</svg>", ""])


def _panel(panel: Json, ask: Callable[[Json], Answers], points: int) -> str:
    divisor, unit = _UNITS.get(panel["fieldConfig"]["defaults"]["unit"], (1, ""))
    series = sorted(
        (legend(target, labels), [None if math.isnan(value) else round(value / divisor, 6) for value in values])
        for target in panel["targets"]
        for labels, values in ask(target)
    )
    grid = panel["gridPos"]
    width, height = grid["w"] * COLUMN, grid["h"] * ROW
    place = f'x="{grid["x"] * COLUMN}" y="{grid["y"] * ROW}" width="{width}" height="{height}"'
    if panel["type"] == "stat":
        ((_legend, (number,)),) = series
        style = 'font-family="sans-serif" text-anchor="middle"'
        return (
            f'<svg {place}><text x="50%" y="28" font-size="16" {style}>{panel["title"]}</text>'
            f'<text x="50%" y="65%" font-size="48" {style}>{number:g}</text></svg>'
        )
    chart = _chart(panel, points, width, height)
    chart.title = panel["title"]
    chart.value_formatter = lambda value: f"{value:.4g}{unit}"
    for name, values in series:
        chart.add(name, values)
    return _without_frills(chart.render(is_unicode=True)).replace("<svg ", f"<svg {place} ", 1)


def _chart(panel: Json, points: int, width: int, height: int) -> t.Any:
    same = {
        "width": width,
        "height": height,
        "style": _STYLE,
        "js": [],
        "disable_xml_declaration": True,
        "no_prefix": True,
        "include_x_axis": True,
        "legend_at_bottom": True,
        "legend_at_bottom_columns": 3,
        "show_dots": False,
        "pretty_print": False,
        "truncate_label": -1,
    }
    if panel["type"] == "bargauge":
        return pygal.HorizontalBar(print_values=True, **same)
    stacked = panel["fieldConfig"]["defaults"]["custom"].get("stacking")
    one = (pygal.StackedLine if stacked else pygal.Line)(fill=bool(stacked), **same)
    one.x_labels = [f"-{points - 1 - number} min" for number in range(points)]
    one.x_labels_major_every = 15
    one.show_minor_x_labels = False
    return one


def _without_frills(svg: str) -> str:
    """Without scripts, and without what is another one each time."""
    svg = re.sub(r"<script.*?</script>|<!--.*?-->", "", svg, flags=re.DOTALL)
    return re.sub(r' id="chart-[^"]*"', "", svg)
