# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/dashboards: the dashboards, and images of what a Prometheus answers to them. Needs .work/venv on PATH and
Debian's package prometheus.
"""

from __future__ import annotations

import functools
import json
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "lab"))

from asking import POINTS, ask, with_the_hour  # noqa: E402
from boards import BOARDS, written  # noqa: E402
from images import drawn  # noqa: E402

with tempfile.TemporaryDirectory() as directory, with_the_hour(pathlib.Path(directory)) as prometheus:
    for board in BOARDS:
        file = ROOT / "docs" / "dashboards" / f"{board.name}.json"
        file.write_text(written(board), encoding="utf-8")
        image = drawn(json.loads(written(board)), functools.partial(ask, prometheus, board.name), POINTS)
        file.with_suffix(".svg").write_text(image, encoding="utf-8")
