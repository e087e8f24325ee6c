# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook kvmops.resctrl.report on a host: Ansible itself, with the page, CSV and JSON that it writes."""

from __future__ import annotations

import csv
import json
import sys

import pytest
import yaml
from modules import ROOT, ansible_environment
from neighbours import situation


@pytest.fixture(name="report")
def report_fixture(tmp_path):
    """Runs the playbook on a planted host: report(planted, words...) -> (status, output).

    `broken`: the variables of a host before it, if there is one.
    """
    home, playbooks = tmp_path / "home", tmp_path / "playbooks"
    home.mkdir()
    playbooks.mkdir()
    (playbooks / "tasks").symlink_to(ROOT / "playbooks/tasks")
    environment = ansible_environment(home)

    def run(planted, *words, broken=None):
        plays = yaml.safe_load((ROOT / "playbooks/report.yml").read_text(encoding="utf-8"))
        # The domains are another libvirt's than the playbook knows
        (task,) = (one for block in plays[1]["tasks"] for one in block["block"])
        task["kvmops.resctrl.resctrl_stats"]["uri"] = planted.host.domains.uri
        (playbooks / "report.yml").write_text(yaml.safe_dump(plays), encoding="utf-8")
        hosts = {**({"broken": broken} if broken else {}), "localhost": {}}
        inventory = {"all": {"hosts": hosts, "vars": {"ansible_connection": "local"}}}
        (home / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
        argv = ["env", f"--chdir={home}", sys.executable, "-m", "ansible", "playbook", "--inventory", "hosts.json"]
        argv += ["-e", f"resctrl_path={planted.host.resctrl}", "-e", "resctrl_interval=0.5", *words]
        return planted.host.run_program([*argv, str(playbooks / "report.yml")], environment, 120)

    run.home = home
    return run


def test_the_page_and_the_values_are_written_and_what_stands_out_is_said(plant, report):
    planted = plant(situation("big but quiet"))
    status, output = report(planted, "-e", "resctrl_output=out.html")
    assert status == 0, output
    assert "localhost: vm1 looks like a large working set: it holds 24M of the 32M of L3 cache 0 (75%)" in output
    assert "but moves only 0B/s. (confidence: low)" in output
    assert sorted(path.name for path in report.home.glob("out.*")) == ["out.csv", "out.html", "out.json"]
    assert "vm1 looks like a large working set" in (report.home / "out.html").read_text(encoding="utf-8")
    rows = list(csv.DictReader((report.home / "out.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["host"], row["cache"], row["domain"], row["llc_occupancy"]) for row in rows] == [
        ("localhost", "0", "vm1", str(24 << 20)),
        ("localhost", "0", "vm2", str(3 << 20)),
        ("localhost", "0", "vm3", str(3 << 20)),
    ]
    told = json.loads((report.home / "out.json").read_text(encoding="utf-8"))
    assert told["failed"] == {}
    assert told["hosts"]["localhost"]["findings"][0]["kind"] == "large_working_set"


@pytest.mark.parametrize(
    ("broken", "ends_with", "why"),
    [
        ({"ansible_python_interpreter": "/nowhere"}, 2, "/nowhere"),
        ({"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}, 4, "Failed to connect"),
    ],
    ids=["failed", "not reached"],
)
def test_a_host_that_failed_is_on_the_page_with_the_reason(plant, report, broken, ends_with, why):
    planted = plant(situation("nothing at all"))
    status, output = report(planted, "-e", "resctrl_output=out.html", broken=broken)
    assert status == ends_with, output
    told = json.loads((report.home / "out.json").read_text(encoding="utf-8"))
    assert [one["kind"] for one in told["hosts"]["localhost"]["findings"]] == ["nothing_stands_out"]
    (reason,) = told["failed"].values()
    assert why in reason
    page = (report.home / "out.html").read_text(encoding="utf-8")
    assert '<b id="hosts">1</b>' in page
    assert '<b id="failed">1</b>' in page
    assert "broken: " in output


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("resctrl_output=out.txt", "Its name has to end in .html."),
        ("resctrl_output=nowhere/out.html", "nowhere is not a directory."),
        ("resctrl_interval=0", "Give seconds above 0 and at most 3600."),
        ("resctrl_bandwidth_ceiling=0", "Give bytes per second, or leave it out."),
        ("resctrl_outptu=out.html", "Did you mean resctrl_output?"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_done(plant, report, word, says):
    planted = plant(situation("nothing at all"))
    status, output = report(planted, "-e", word)
    assert status == 2
    assert says in " ".join(output.split())
    assert list(report.home.glob("*.html")) == []
