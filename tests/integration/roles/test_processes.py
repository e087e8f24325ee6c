# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both roles on a full host without libvirt (source: processes), where QEMU is started as Proxmox VE starts it. The
tests build on each other, from a fresh host to one that is given up.
"""

from __future__ import annotations

import typing as t

import pytest
from waiting import wait_until

from hosts import Host, Lab

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UUID = "c0ffee00-0000-4000-8000-000000000100"
COMMAND = "/usr/local/sbin/resctrl-mon"
GROUP = f"/sys/fs/resctrl/mon_groups/kvmops-{UUID}"
PIDFILE = "/run/qemu-server/100.pid"
LIBVIRT = ["libvirtd.service", "libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket"]
SOURCES = {"resctrl_host_source": "processes", "resctrl_monitor_source": "processes"}


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A full host whose libvirt is away, daemon and Python library."""
    with Lab() as lab:
        host = lab.up("t-processes", full=True)
        host.run(["systemctl", "disable", "--now", *LIBVIRT], check=False)
        host.run(["mv", "/usr/lib/python3/dist-packages/libvirt.py", "/root/libvirt.py"])
        host.run(["mkdir", "--parents", "/run/qemu-server"])
        yield host


def start(host: Host) -> None:
    """Start a QEMU in the way of Proxmox VE, but for -id, which only its own QEMU knows."""
    host.run(
        [
            *("/usr/bin/kvm", "-name", "web,debug-threads=on", "-no-shutdown", "-S", "-nodefaults", "-display", "none"),
            *("-accel", "kvm", "-accel", "tcg", "-m", "32", "-smp", "2", "-smbios", f"type=1,uuid={UUID}"),
            *("-pidfile", PIDFILE, "-daemonize"),
        ]
    )


def counted(host: Host) -> set[int]:
    """The threads in the group of the virtual machine."""
    return {int(word) for word in host.run(["cat", f"{GROUP}/tasks"], check=False).stdout.split()}


def test_the_roles_need_no_libvirt(host: Host, play: Callable[..., tuple[int, str]]) -> None:
    roles = [
        {"role": "kvmops.resctrl.resctrl_host", "vars": SOURCES},
        {"role": "kvmops.resctrl.resctrl_monitor", "vars": {**SOURCES, "resctrl_monitor_default": "enabled"}},
    ]
    status, out = play(roles=roles)
    assert status == 0, out
    status, out = play(roles=roles)
    assert (status, "changed=0" in out) == (0, True), out
    assert host.run([COMMAND, "status"]).stdout == ""


def test_a_machine_is_counted_when_it_starts_and_its_group_goes_when_it_stops(host: Host) -> None:
    """The path unit alone, within the timer's minute, and in the unit's sandbox."""
    host.run(["systemctl", "stop", "kvmops-resctrl.timer"])
    start(host)
    wait_until(lambda: len(counted(host)) == 2, "it is counted")
    assert "RDT Monitoring Status: Enabled\n" in host.run([COMMAND, "status", "web"]).stdout
    # What the command does by itself is what the unit does
    assert host.run([COMMAND, "enforce", "--check"]).stdout == "Everything is as declared.\n"
    host.run(["sh", "-c", f"kill -9 $(cat {PIDFILE}) && rm {PIDFILE}"])
    wait_until(lambda: host.run(["test", "-e", GROUP], check=False).returncode != 0, "its group is removed")
    host.run(["systemctl", "start", "kvmops-resctrl.timer"])


def test_no_run_has_failed(host: Host) -> None:
    failed = host.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend", "kvmops-resctrl*"]).stdout
    assert failed == ""
    argv = ["journalctl", "--output=cat", "--no-pager", "_SYSTEMD_UNIT=kvmops-resctrl.service"]
    assert [line for line in host.run(argv).stdout.splitlines() if line.startswith(("error", "warning"))] == []


def test_everything_is_removed(host: Host, apply: Callable[..., str]) -> None:
    start(host)
    wait_until(lambda: len(counted(host)) == 2, "it is counted")
    assert "changed=0" not in apply(resctrl_monitor_state="absent", resctrl_monitor_source="processes")
    assert counted(host) == set()
    assert host.run(["test", "-e", COMMAND], check=False).returncode != 0
