# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page of the report says of situations and kinds of findings is what tests try and the library knows."""

from __future__ import annotations

import pathlib
import re

from neighbours import table

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge import advice
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.findings import KINDS

PAGE = (pathlib.Path(__file__).parents[3] / "docs/docsite/rst/report.rst").read_text(encoding="utf-8")


def test_the_table_of_situations_is_that_of_the_tests():
    assert PAGE.partition("\nWhich situation gives which answer\n---")[2].endswith(f"\n\n{table()}")


def test_every_kind_is_explained_and_no_other():
    explained = set(re.findall(r"^   \* - ``(\w+)``$", PAGE, re.MULTILINE))
    every = {advice.NOT_FILLED, advice.ALWAYS_FULL, advice.CAP_CACHE, advice.CAP_BANDWIDTH, *KINDS}
    assert explained == every
