# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real QEMUs that take their time to start, that start by way of a wrapper, and that stop while a module runs."""

from __future__ import annotations

import contextlib
import json
import subprocess

import pytest
from modules import only, succeeded
from waiting import wait_until

from hosts import domain_xml

DOMAINS = ["vm3"]
EMULATOR = "/usr/bin/qemu-system-x86_64"
UP = "/run/emulator-may-start"
# libvirt also runs the emulator to ask what it can do
SLOW = f"""#!/bin/sh
case "$*" in *guest=*) until test -e {UP}; do sleep 0.1; done ;; esac
exec {EMULATOR} "$@"
"""
WITHOUT_EXEC = f"""#!/bin/sh
{EMULATOR} "$@"
"""
STARTING = "Domain 'slow' is starting: its QEMU has no threads for vCPUs yet"


def install(hv, path, script):
    """Put a program on the host."""
    hv.host.run(["mkdir", "-p", path.rpartition("/")[0]])
    hv.host.run(["tee", path], input=script)
    hv.host.run(["chmod", "0755", path])


def define(hv, name, script):
    """A domain whose emulator is a script."""
    install(hv, f"/run/emulators/{name}", script)
    xml = domain_xml(name, kvm=hv.host.has_kvm())
    hv.host.define(xml.replace(EMULATOR, f"/run/emulators/{name}"))


@contextlib.contextmanager
def starting(hv, name):
    """A domain that is being started; it is up when the file UP is there, and at the end anyway."""
    hv.host.run(["rm", "-f", UP])
    with hv.host.popen(
        ["virsh", "--quiet", "start", "--domain", name], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as virsh:
        try:
            wait_until(lambda: name in hv.virsh("list", "--name").split("\n"), "libvirt lists it as running")
            yield
        finally:
            come_up(hv)
            _out, err = virsh.communicate(timeout=60)
            assert virsh.returncode == 0, err


def come_up(hv):
    """Let the domain that is starting be up."""
    hv.host.run(["touch", UP])


@pytest.fixture(name="slow")
def slow_fixture(hv):
    """A domain whose QEMU takes its time to start."""
    define(hv, "slow", SLOW)
    return "slow"


# -- starting ----------------------------------------------------------------------------------------------------------


def test_a_pattern_leaves_out_a_domain_that_is_starting_and_says_so(hv, slow):
    with starting(hv, slow):
        domains = hv.enable("*")["domains"]
        assert [(one["name"], one["status"], one["starting"], one["msg"]) for one in domains] == [
            ("slow", "Disabled", True, STARTING),
            ("vm3", "Enabled", False, "Now counted: vCPU 0, 1"),
        ]
    assert [one["msg"] for one in hv.enable("*")["domains"]] == ["Now counted: vCPU 0, 1", ""]


def test_a_domain_that_is_starting_is_waited_for_if_it_was_named(hv, slow):
    with starting(hv, slow), hv.background(slow, "vm3") as run:
        wait_until(lambda: len(hv.groups().get(hv.ours("vm3"), ())) == 2, "vm3's monitoring")
        come_up(hv)
        result = succeeded(json.loads(run.communicate(timeout=60)[0]))
    assert [one["msg"] for one in result["domains"]] == ["Now counted: vCPU 0, 1", "Now counted: vCPU 0, 1"]


def test_a_domain_that_does_not_come_up_is_a_failure_that_says_so_if_it_was_named(hv, slow):
    with starting(hv, slow):
        result = hv.mon(slow)
    assert result["msg"] == f"{STARTING}. Run again when it is up"
    assert only(result)["code"] == "domain_starting"


def test_nothing_is_to_be_done_to_disable_a_domain_that_is_starting(hv, slow):
    with starting(hv, slow):
        domain = only(hv.disable(slow))
    assert (domain["changed"], domain["msg"]) == (False, STARTING)


def test_a_query_and_statistics_of_a_domain_that_is_starting_succeed(hv, slow):
    with starting(hv, slow):
        domain = hv.query(slow)
        values = hv.stats(slow)
    assert (domain["starting"], domain["status"], domain["failed"]) == (True, "Disabled", False)
    assert values["cmt"] is None


# -- by way of a wrapper -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["vcpus", "domain"])
def test_the_child_of_an_emulators_wrapper_is_the_process_that_is_counted(hv, scope):
    define(hv, "wrapped", WITHOUT_EXEC)
    hv.virsh("start", "--domain", "wrapped")
    wrapper, qemu = sorted(hv.processes_with({hv.uuid("wrapped")}))
    domain = only(hv.enable("wrapped", scope=scope))
    assert (domain["status"], domain["vcpus"]["counted"]) == ("Enabled", [0, 1])
    counted = hv.groups()[hv.ours("wrapped")]
    threads = {int(task.name) for task in (hv.proc / str(qemu) / "task").iterdir()}
    assert wrapper not in counted
    assert counted == threads if scope == "domain" else len(counted) == 2 and counted < threads


# -- stopping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [("*", {}), ("vm4", {"when_inactive": "ignore"}), ("*", {"state": "disabled"}), ("vm4", {"state": "disabled"})],
    ids=str,
)
def test_a_domain_that_is_destroyed_during_the_run_is_no_failure_where_it_need_not_run(hv, name, options):
    hv.start("vm4")
    group = hv.ours("vm4")
    disables = options.get("state") == "disabled"
    if disables:
        hv.enable("vm4")
    hv.fault("rmdir" if disables else "mkdir", delay=1)
    with hv.background(name, **options) as run:
        wait_until(lambda: hv.control.faults()[0].seen, "the operation")
        hv.virsh("destroy", "vm4")
        succeeded(json.loads(run.communicate(timeout=60)[0]))
    assert group not in hv.groups()
