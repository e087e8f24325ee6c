# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks of one Ansible on one Python, against every Python that a managed host may have."""

from __future__ import annotations

import json
import pathlib

EVERYTHING = pathlib.Path(__file__).with_name("everything.yml")


def test_every_module_and_filter_works(managed, host, play):
    for name in ("vm1", "vm3"):
        host.domains.add(name)
    play(managed, EVERYTHING, "--extra-vars", f"uri={host.domains.uri} resctrl_path={host.resctrl}")
    assert host.groups() == {}


def test_the_report_of_a_host_without_virtual_machines_is_written(managed, host, play, tmp_path):
    page = tmp_path / "report.html"
    variables = f"resctrl_path={host.resctrl} resctrl_source=processes resctrl_output={page} resctrl_interval=1"
    play(managed, "kvmops.resctrl.report", "--extra-vars", variables)
    assert "localhost" in page.read_text(encoding="utf-8")
    (fact,) = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["hosts"].values()
    assert fact["domains"] == {}
