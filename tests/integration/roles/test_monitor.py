# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role resctrl_monitor and its units on a full host: what is hard to say in a molecule scenario. The tests build on
each other, from a fresh host to one that is given up.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import time
import typing as t

import pytest
from hypervisor import bring_up
from waiting import wait_until

from hosts import Host, Lab, domain_xml

if t.TYPE_CHECKING:
    from collections.abc import Iterator

UUIDS = {name: f"c0ffee00-0000-4000-8000-00000000000{name[-1]}" for name in ("vm1", "vm3", "vm5")}
LIBRARY = "/usr/local/lib/kvmops-resctrl/resctrl"
COMMAND = "/usr/local/sbin/resctrl-mon"
POLICY = "/etc/kvmops-resctrl/policy.json"
SERVICE = "/etc/systemd/system/kvmops-resctrl.service"
EVERYTHING = (LIBRARY, COMMAND, "/etc/kvmops-resctrl", SERVICE, "/run/kvmops-resctrl")

# Looks that a run may take at once, before it looks once a second
AT_ONCE = 5
# Each look that changes something looks again: under the lock, and when it is done
AGAIN = 2
# Rewrites the status file of vm3 20 times a second for 20 seconds, in libvirt's way
STORM = """
import os, time
path = "/run/libvirt/qemu/vm3.xml"
for _ in range(400):
    with open(path, "rb") as file:
        content = file.read()
    with open(path + ".new", "wb") as file:
        file.write(content)
    os.rename(path + ".new", path)
    time.sleep(0.05)
"""
SLOW = """#!/bin/sh
case "$*" in *guest=*) while [ ! -e /run/up ]; do sleep 0.1; done ;; esac
exec /usr/bin/qemu-system-x86_64 "$@"
"""

Play = dict[str, t.Any]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A full host on which vm3 runs."""
    with Lab() as lab:
        host = bring_up(lab, "monitor", full=True)
        for name, uuid in UUIDS.items():
            host.define(domain_xml(name, uuid=uuid, kvm=host.has_kvm()))
        host.start("vm3")
        yield host


def role(name: str, **variables: t.Any) -> Play:
    return {"role": f"kvmops.resctrl.resctrl_{name}", "vars": variables}


def include(how: str, name: str, **variables: t.Any) -> Play:
    return {f"ansible.builtin.{how}_role": {"name": f"kvmops.resctrl.resctrl_{name}"}, "vars": variables}


def exists(host: Host, path: str) -> bool:
    return host.run(["test", "-e", path], check=False).returncode == 0


def write(host: Host, path: str, text: str, mode: str = "644") -> None:
    host.run(["mkdir", "-p", str(pathlib.Path(path).parent)])
    host.run(["tee", path], input=text)
    host.run(["chmod", mode, path])


def counted(host: Host, name: str) -> set[int]:
    """The threads in the group of a domain."""
    path = f"/sys/fs/resctrl/mon_groups/kvmops-{UUIDS[name]}/tasks"
    return {int(word) for word in host.run(["cat", path], check=False).stdout.split()}


def state(host: Host, unit: str) -> str:
    return host.run(["systemctl", "show", "--property=ActiveState", "--value", unit]).stdout.strip()


def journal(host: Host) -> list[str]:
    """What the agent itself has said so far."""
    argv = ["journalctl", "--output=cat", "--no-pager", "_SYSTEMD_UNIT=kvmops-resctrl.service"]
    return host.run(argv).stdout.splitlines()


@contextlib.contextmanager
def quick_timer(host: Host) -> Iterator[None]:
    """The timer's minute is a second."""
    drop_in = "/run/systemd/system/kvmops-resctrl.timer.d/quick.conf"
    write(host, drop_in, "[Timer]\nOnBootSec=1\nOnUnitInactiveSec=1\n")
    for restart in (["daemon-reload"], ["restart", "kvmops-resctrl.timer"]):
        host.run(["systemctl", *restart])
    try:
        yield
    finally:
        host.run(["rm", drop_in])
        for restart in (["daemon-reload"], ["restart", "kvmops-resctrl.timer"]):
            host.run(["systemctl", *restart])


# -- a fresh host ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [{"check_mode": True}, {}], ids=["of the play", "of a block"])
def test_the_keyword_check_mode_works_on_a_fresh_host_and_changes_nothing(host, play, keys):
    roles = [
        include("import", "host"),
        include("include", "host"),
        include("import", "monitor", resctrl_monitor_default="enabled"),
        include("include", "monitor", resctrl_monitor_default="enabled"),
        include("include", "monitor", resctrl_monitor_state="absent"),
    ]
    tasks = roles if keys else [{"block": roles, "check_mode": True}]
    status, out = play(tasks=tasks, **keys)
    assert status == 0, out
    assert "failed=0" in out
    assert not [path for path in EVERYTHING if exists(host, path)]
    assert state(host, "kvmops-resctrl.timer") == "inactive"


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"resctrl_monitor_domains": [{"name": "vm3", "sate": "disabled"}]}, "sate"),
        ({"resctrl_monitor_domains": [{"name": "vm3", "priority": "high"}]}, "priority"),
        ({"resctrl_monitor_domains": [{"name": ""}]}, "An entry of resctrl_monitor_domains has an empty name."),
        (
            {"resctrl_monitor_domains": [{"name": "vm3"}, {"name": "vm3", "state": "disabled"}]},
            "resctrl_monitor_domains has more than one entry for vm3.",
        ),
        (
            {"resctrl_monitor_domains": [{"name": "web-[12"}]},
            "resctrl_monitor_domains has a [ that is not closed in web-[12.",
        ),
        ({"resctrl_monitor_reserve_rmids": -1}, "A number of RMIDs cannot be negative."),
    ],
    ids=["a misspelt key", "a priority", "an empty name", "one twice", "an open bracket", "a negative reserve"],
)
def test_a_policy_that_cannot_be_meant_is_refused_before_it_is_written(host, play, variables, sentence):
    status, out = play(roles=[role("monitor", **variables)])
    assert (status, sentence in out) == (2, True), out
    assert not exists(host, POLICY)


# -- an installed agent ------------------------------------------------------------------------------------------------


def test_numbers_may_be_given_as_strings(host, apply):
    rules = [{"name": "vm3", "priority": "10"}]
    apply(resctrl_monitor_default="enabled", resctrl_monitor_reserve_rmids="0", resctrl_monitor_domains=rules)
    declared = json.loads(host.run(["cat", POLICY]).stdout)
    assert (declared["reserve_rmids"], declared["domains"]) == (0, [{"name": "vm3", "priority": 10}])
    assert len(counted(host, "vm3")) == 2


def test_modes_and_owners_are_repaired_and_what_older_versions_had_is_removed(host, apply):
    apply(resctrl_monitor_default="enabled")
    damaged = {f"{LIBRARY}/errors.py": "644", COMMAND: "755", POLICY: "600", SERVICE: "644", f"{LIBRARY}/act": "755"}
    for path in damaged:
        host.run(["chmod", "777", path])
        host.run(["chown", "nobody:nogroup", path])
    older = (f"{LIBRARY}/domains.py", f"{LIBRARY}/older/wing.py", f"{LIBRARY}/act/older.py")
    for path in older:
        write(host, path, "")
    host.run(["rm", f"{LIBRARY}/wish/policy.py"])
    write(host, f"{LIBRARY}/kernel/info.py", "damaged")
    assert "changed=0" not in apply(resctrl_monitor_default="enabled")
    for path, mode in damaged.items():
        assert host.run(["stat", "--format=%U:%G %a", path]).stdout.strip() == f"root:root {mode}", path
    assert not [path for path in (*older, f"{LIBRARY}/older") if exists(host, path)]
    assert host.run([COMMAND, "status", "vm3"]).stdout.startswith("RDT Monitoring Status: Enabled\n")
    assert "changed=0" in apply(resctrl_monitor_default="enabled")


def test_the_library_is_compiled_for_the_units_which_may_not_write_there(host, apply):
    """By the checksum of its source: of one length and one time may be two versions of a file."""
    apply(resctrl_monitor_default="enabled")
    sources = host.run(["find", LIBRARY, "-name", "*.py", "-printf", "%f\\n"]).stdout.split()
    header = "import sys; print(*(open(path, 'rb').read(8)[4] for path in sys.argv[1:]))"
    compiled = host.run(["find", LIBRARY, "-name", "*.pyc"]).stdout.split()
    assert len(compiled) == len(sources) > 50
    # PEP 552: the flags "hash-based" and "check the source"
    assert set(host.run(["python3", "-c", header, *compiled]).stdout.split()) == {"3"}


def test_a_storm_of_changes_costs_a_look_a_second_and_hides_no_change(host, apply):
    apply(resctrl_monitor_default="enabled")
    runs = "/run/kvmops-resctrl/runs"
    drop_in = "/run/systemd/system/kvmops-resctrl.service.d/count.conf"
    write(host, drop_in, f"[Service]\nExecStopPost=/bin/sh -c 'echo run >>{runs}'\n")
    host.run(["systemctl", "daemon-reload"])
    with host.control as control:
        control.clear_log()
        began = time.monotonic()
        with host.popen(["python3", "-c", STORM]) as storm:
            wait_until(lambda: "activating" in state(host, "kvmops-resctrl.service"), "a change is noticed")
            host.start("vm5")
            wait_until(lambda: len(counted(host, "vm5")) == 2, "a domain that starts meanwhile is counted")
            assert storm.poll() is None
            assert storm.wait() == 0
        host.virsh("destroy", "vm5")
        wait_until(lambda: not counted(host, "vm5"), "the last change is noticed")
        wait_until(lambda: state(host, "kvmops-resctrl.service") == "inactive", "there is quiet")
        looks = len([one for one in control.log("readdir") if one.path == ""])
        lasted = time.monotonic() - began
    host.run(["rm", drop_in])
    host.run(["systemctl", "daemon-reload"])
    many = len(host.run(["cat", runs]).stdout.split())
    # vm5 came and went. Without a limit there would be a look for each change, about 400
    assert looks <= lasted + many * AT_ONCE + 2 * AGAIN
    # One follows the storm itself, the others what came after it
    assert many <= 4
    assert state(host, "kvmops-resctrl.path") == "active"
    assert host.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend", "kvmops-resctrl*"]).stdout == ""


@pytest.mark.parametrize("watch", ["kvmops-resctrl.path", "kvmops-resctrl.timer"])
def test_a_domain_that_takes_long_to_start_is_counted_when_it_is_up(host, apply, watch):
    """Each of the two watches alone does it."""
    apply(resctrl_monitor_default="enabled")
    other = ({"kvmops-resctrl.path", "kvmops-resctrl.timer"} - {watch}).pop()
    write(host, "/var/lib/libvirt/slow", SLOW, mode="755")
    slow = domain_xml("vm1", uuid=UUIDS["vm1"], kvm=host.has_kvm())
    host.define(slow.replace("/usr/bin/qemu-system-x86_64", "/var/lib/libvirt/slow"))
    with quick_timer(host):
        host.run(["systemctl", "stop", other])
        status_file = "/run/libvirt/qemu/vm1.xml"
        with host.popen(["virsh", "--quiet", "start", "vm1"]) as start:
            try:
                wait_until(lambda: "starting up" in host.run(["cat", status_file], check=False).stdout, "vm1 begins")
                wait_until(lambda: state(host, "kvmops-resctrl.service") == "activating", "it is noticed")
                wait_until(lambda: state(host, "kvmops-resctrl.service") == "inactive", "it is no failure")
            finally:
                host.run(["touch", "/run/up"])
            assert start.wait() == 0
        wait_until(lambda: len(counted(host, "vm1")) == 2, "it is counted")
    assert not [line for line in journal(host) if line.startswith("error: vm1")]
    host.virsh("destroy", "vm1")
    host.run(["rm", "/run/up"])


def test_an_error_that_lasts_is_in_the_journal_once_and_the_unit_stays_failed(host, apply):
    apply(resctrl_monitor_default="enabled")
    (thread, _other) = counted(host, "vm3")
    host.run(["mkdir", "/sys/fs/resctrl/mon_groups/pqos-1"])
    host.run(["tee", "/sys/fs/resctrl/mon_groups/pqos-1/tasks"], input=str(thread))
    before = len(journal(host))
    with quick_timer(host):
        invocations = set()

        def runs() -> int:
            if state(host, "kvmops-resctrl.service") == "failed":
                argv = ["systemctl", "show", "--property=InvocationID", "--value", "kvmops-resctrl.service"]
                invocations.add(host.run(argv).stdout)
            return len(invocations)

        wait_until(lambda: runs() > 2, "the third run fails")
    assert host.run(["systemctl", "is-failed", "kvmops-resctrl.service"], check=False).stdout == "failed\n"
    said = journal(host)[before:]
    assert len([line for line in said if line.startswith("error: vm3: Thread ")]) == 1, said
    host.run(["rmdir", "/sys/fs/resctrl/mon_groups/pqos-1"])
    host.run(["systemctl", "start", "kvmops-resctrl.service"])
    assert state(host, "kvmops-resctrl.service") == "inactive"


# -- a host that is given up -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["new", "older", "missing"])
def test_everything_is_removed_from_a_host_that_has_no_libvirt_any_more(host, apply, command):
    host.run(["systemctl", "start", "libvirtd"])
    apply(resctrl_monitor_default="enabled")
    host.run([COMMAND, "enable", "--persistent", "vm3"])
    if command == "older":
        write(host, COMMAND, "#!/bin/sh\necho \"invalid choice: 'clear'\" >&2\nexit 2\n", mode="755")
    elif command == "missing":
        host.run(["rm", COMMAND])
    stray = f"/sys/fs/resctrl/COS1/mon_groups/kvmops-{UUIDS['vm1']}"
    host.run(["mkdir", "-p", stray, "/sys/fs/resctrl/mon_groups/pqos-1"])
    host.run(["systemctl", "stop", "libvirtd.service", "libvirtd.socket", "libvirtd-ro.socket"])
    module = "/usr/lib/python3/dist-packages/libvirt.py"
    host.run(["mv", module, f"{module}.away"])
    try:
        assert "changed=0" not in apply(resctrl_monitor_state="absent")
        assert "changed=0" in apply(resctrl_monitor_state="absent")
    finally:
        host.run(["mv", f"{module}.away", module])
    assert not [path for path in (*EVERYTHING, stray) if exists(host, path)]
    assert (counted(host, "vm3"), exists(host, "/sys/fs/resctrl/mon_groups/pqos-1")) == (set(), True)
    units = host.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "kvmops-resctrl*"]).stdout
    assert units == ""
    host.run(["rmdir", "/sys/fs/resctrl/mon_groups/pqos-1", "/sys/fs/resctrl/COS1"])
