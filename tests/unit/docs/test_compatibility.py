# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/docsite/rst/compatibility.rst says was run, and nobody has written by hand."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).parents[3]
RECORDED = json.loads((ROOT / "tests/compatibility/recorded.json").read_text(encoding="utf-8"))


def test_the_page_is_the_one_that_is_made_from_what_is_recorded():
    made = subprocess.run([sys.executable, ROOT / "tests/compatibility/table.py"], capture_output=True, check=True)
    assert (ROOT / "docs/docsite/rst/compatibility.rst").read_text(encoding="utf-8") == made.stdout.decode()


def test_the_oldest_ansible_that_is_promised_was_run_from_its_oldest_python_on():
    promised = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))["requires_ansible"]
    oldest = re.search(r"[0-9]+\.[0-9]+", promised)[0]
    (run,) = (one for one in RECORDED if one["core"].startswith(f"{oldest}."))
    assert any(python.startswith("3.10.") for python in run["controllers"])


def test_what_is_promised_has_passed():
    for run in RECORDED:
        assert run["sanity"] is None or run["sanity"][0] > 0
        assert run["modules"][1] == 0
        assert all(run["controllers"].values())
        assert all(run["managed"].values())
        assert any(pair.startswith("3.9.") for pair in run["managed"])


def test_the_newest_ansible_has_passed_sanity():
    assert RECORDED[-1]["sanity"][0] > 0
