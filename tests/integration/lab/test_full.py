# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full hosts: systemd runs them, they keep their disk over a reboot, and nothing of them is left."""

from __future__ import annotations

import os
import signal
import typing as t
from pathlib import Path

import pytest
from traces import Traces
from waiting import wait_until

from hosts import Host, Lab, domain_xml

if t.TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

_WATCHER = {
    "watcher.path": "[Path]\nPathChanged=/run/libvirt/qemu\n[Install]\nWantedBy=multi-user.target\n",
    "watcher.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo seen >>/var/log/watcher'\n",
    "beat.timer": "[Timer]\nOnActiveSec=100ms\nAccuracySec=10ms\n",
    "beat.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo beat >>/var/log/beat'\n",
}


@pytest.fixture(scope="module")
def full(lab: Lab) -> Host:
    """A full host."""
    return lab.up("full", full=True)


def write(host: Host, path: str, text: str) -> None:
    host.run(["tee", path], input=text)


def system_state(host: Host) -> str:
    return host.run(["systemctl", "is-system-running"], check=False).stdout.strip()


def test_systemd_runs_the_host_and_nothing_has_failed(full: Host) -> None:
    assert system_state(full) == "running", full.run(["systemctl", "--failed"]).stdout
    assert full.run(["cat", "/proc/1/comm"]).stdout == "systemd\n"
    assert full.run(["uname", "--nodename"]).stdout == "full\n"


def test_libvirtd_is_the_distributions_service(full: Host) -> None:
    full.run(["systemctl", "stop", "libvirtd.service"])
    assert full.virsh("list", "--all", "--name").split() == []
    assert full.run(["systemctl", "is-active", "libvirtd.service"]).stdout == "active\n", "its socket starts it"


def test_ssh_reaches_it(full: Host, run_lab: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run_lab("ssh", full.name, "--", "sh", "-c", 'echo "$(uname -n) $LC_ALL $(systemctl is-system-running)"')
    assert done.stdout == "full C.UTF-8 running\n", done.stderr


def test_nothing_of_the_machine_is_seen_but_its_programs(full: Host) -> None:
    repository = Path(__file__).resolve().parents[3]
    assert full.run(["test", "-e", repository], check=False).returncode == 1
    assert full.run(["ls", "/home", "/srv", "/usr/local/bin"]).stdout.split() == ["/home:", "/srv:", "/usr/local/bin:"]
    full.run(["touch", "/usr/bin/kvmops-lab-test", "/etc/kvmops-lab-test"])
    assert not Path("/usr/bin/kvmops-lab-test").exists()
    assert not Path("/etc/kvmops-lab-test").exists()


@pytest.mark.usefixtures("kvm")
def test_a_paired_domain_survives_a_restart_of_libvirtd(full: Host) -> None:
    assert full.rfc_domains() == []
    full.run(["systemctl", "restart", "libvirtd.service"])
    assert full.virsh("domstate", "vm2").strip() == "running"
    assert "cpu.cache.monitor.count=1" in full.virsh("domstats", "--cpu-total", "vm2")
    for name in ("vm2", "vm3"):
        full.virsh("destroy", name)


def test_path_and_timer_units_work(full: Host) -> None:
    for name, text in _WATCHER.items():
        write(full, f"/etc/systemd/system/{name}", text)
    full.run(["systemctl", "daemon-reload"])
    full.run(["systemctl", "start", "watcher.path", "beat.timer"])
    wait_until(lambda: full.run(["test", "-e", "/var/log/beat"], check=False).returncode == 0, "the timer's service")
    full.define(domain_xml("watched", kvm=full.has_kvm()))
    full.start("watched")
    wait_until(lambda: full.run(["test", "-e", "/var/log/watcher"], check=False).returncode == 0, "the path's service")
    full.virsh("destroy", "watched")


def test_resctrl_is_mounted_as_on_a_real_host(full: Host) -> None:
    assert full.run(["systemctl", "is-active", "sys-fs-resctrl.mount"]).stdout == "active\n"
    full.run(["mkdir", "/sys/fs/resctrl/mon_groups/before"])
    full.run(["umount", "/sys/fs/resctrl"])
    assert full.run(["ls", "/sys/fs/resctrl"]).stdout == ""
    refused = full.run(["mount", "-t", "resctrl", "-o", "cdp", "resctrl", "/sys/fs/resctrl"], check=False)
    assert refused.returncode == 32
    full.run(["mount", "-t", "resctrl", "resctrl", "/sys/fs/resctrl"])
    assert full.run(["ls", "/sys/fs/resctrl/mon_groups"]).stdout == ""
    with full.control as control:
        assert [path for path in control.snapshot()["groups"] if path] == []


def test_a_reboot_keeps_the_disk_and_nothing_else(full: Host) -> None:
    full.define(domain_xml("stays", kvm=full.has_kvm()))
    full.start("stays")
    for path in ("/root/written", "/run/written"):
        write(full, path, "")
    full.run(["mkdir", "/sys/fs/resctrl/mon_groups/written"])
    before = full.record

    full.reboot()
    assert full.record.leader != before.leader
    assert full.address == before.address
    assert system_state(full) == "running"
    assert full.run(["ls", "/root"]).stdout == "written\n"
    assert full.run(["test", "-e", "/run/written"], check=False).returncode == 1
    assert full.run(["ls", "/sys/fs/resctrl/mon_groups"]).stdout == ""
    assert full.virsh("domstate", "stays").strip() == "shut off"
    with full.control as control:
        assert [path for path in control.snapshot()["groups"] if path] == []


def test_a_host_without_resctrl_and_libvirt_boots(lab: Lab) -> None:
    host = lab.up("bare-full", full=True, resctrl=False, libvirt=False)
    assert system_state(host) == "running"
    assert host.run(["test", "-e", "/sys/fs/resctrl"], check=False).returncode == 1
    assert "resctrl" not in host.run(["cat", "/proc/filesystems"]).stdout
    lab.down("bare-full")


def test_poweroff_ends_the_host(lab: Lab) -> None:
    host = lab.up("off", full=True, resctrl=False, libvirt=False)
    traces = Traces(host)
    host.run(["systemctl", "poweroff"])
    traces.assert_gone()
    lab.down("off")


def test_nothing_is_left_of_a_killed_full_host_and_its_name_is_free(lab: Lab) -> None:
    host = lab.up("victim", full=True)
    host.define(domain_xml("vm", kvm=host.has_kvm()))
    host.start("vm")
    traces = Traces(host)
    os.kill(host.record.supervisor, signal.SIGKILL)
    traces.assert_gone()

    again = lab.up("victim", full=True)
    assert again.virsh("list", "--all", "--name").split() == []
    traces = Traces(again)
    lab.down("victim")
    traces.assert_gone()
    assert not host.state.directory.exists()
    assert not [line for line in cgroups() if "kvmops-lab-victim" in line]


def cgroups() -> list[str]:
    """The directories of every cgroup2 that is mounted."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [path for _source, place, kind, *_options in mounts if kind == "cgroup2" for path in os.listdir(place)]
