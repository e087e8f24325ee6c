# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Light hosts: what is real in them, what is their own, and that nothing of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import typing as t
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from traces import Traces
from waiting import wait_until

from hosts import Host, Lab, LabError, check, domain_xml

RunLab = Callable[..., subprocess.CompletedProcess[str]]
LAB = Path(__file__).resolve().parents[2] / "lab"
NAMESPACES = ("ipc", "mnt", "net", "pid", "uts")
NAMES = ('web 01 "é,..x', "-dash", "a" * 90, "<&>'", "--..lead")


def parse(xml: str) -> ET.Element:
    """XML that libvirt wrote."""
    return ET.fromstring(xml)  # noqa: S314


# -- what a host is ----------------------------------------------------------------------------------------------------


def test_a_command_runs_in_all_namespaces_of_its_host(light: Host) -> None:
    inside = light.run(["readlink", *(f"/proc/self/ns/{name}" for name in NAMESPACES)]).stdout.split()
    outside = [os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES]
    assert len(inside) == len(NAMESPACES)
    assert not set(inside).intersection(outside)
    assert light.run(["uname", "--nodename"]).stdout == "light\n"


def test_status_and_streams_are_those_of_the_command(light: Host, run_lab: RunLab) -> None:
    done = run_lab("run", light.name, "--", "sh", "-c", "cat; echo wrong >&2; exit 7", input="right\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "right\n", "wrong\n")


def test_a_command_keeps_its_words(light: Host, run_lab: RunLab) -> None:
    words = ["two words", "$HOME", "'", "-n", ""]
    for how in ("run", "ssh"):
        done = run_lab(how, light.name, "--", "printf", "[%s]", *words)
        assert done.stdout == "".join(f"[{word}]" for word in words), done.stderr


def test_etc_and_var_are_the_hosts_own_and_usr_is_read_only(light: Host) -> None:
    for directory in ("/etc", "/var", "/var/lib", "/run"):
        light.run(["touch", f"{directory}/kvmops-lab-test"])
        assert not Path(directory, "kvmops-lab-test").exists()
    with pytest.raises(LabError, match="Read-only file system"):
        light.run(["touch", "/usr/kvmops-lab-test"])


def test_ssh_needs_what_the_inventory_says_and_no_more(light: Host, run_lab: RunLab) -> None:
    inventory = yaml.safe_load(run_lab("inventory", light.name).stdout)
    variables = inventory["all"]["hosts"][light.name]
    argv = [
        *("ssh", *variables["ansible_ssh_common_args"].split(), "-i", variables["ansible_ssh_private_key_file"]),
        *(f"{variables['ansible_user']}@{variables['ansible_host']}", 'echo "$(uname -n) $LC_ALL"'),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.stdout, done.stderr) == ("light C.UTF-8\n", "")


def test_a_strangers_key_is_refused(light: Host, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    argv = [str(key) if word.endswith("client_key") else word for word in light.ssh_argv(["true"])]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 255
    assert "Permission denied" in done.stderr


def test_libvirt_sees_the_emulated_monitoring(light: Host) -> None:
    capabilities = parse(light.virsh("capabilities"))
    features = [element.get("name") for element in capabilities.iterfind("./host/cache/monitor/feature")]
    assert features == ["llc_occupancy"]


def test_a_profile_and_what_is_set_on_it_reach_the_emulator(lab: Lab) -> None:
    host = lab.up("few", profile="few-rmids", overrides=["num_rmids=7"], libvirt=False)
    assert host.run(["cat", "/sys/fs/resctrl/info/L3_MON/num_rmids"]).stdout == "7\n"
    lab.down("few")


def test_a_host_without_resctrl_looks_like_one(lab: Lab) -> None:
    host = lab.up("bare", resctrl=False)
    assert host.run(["test", "-e", "/sys/fs/resctrl"], check=False).returncode == 1
    assert "resctrl" not in host.run(["cat", "/proc/filesystems"]).stdout
    assert parse(host.virsh("capabilities")).find("./host/cache/monitor") is None
    with pytest.raises(LabError, match="no resctrl"):
        assert host.control
    lab.down("bare")


# -- domains -----------------------------------------------------------------------------------------------------------


def tids(host: Host, name: str) -> list[int]:
    """The vCPU threads, by libvirt's own file."""
    status = parse(host.run(["cat", f"/run/libvirt/qemu/{name}.xml"]).stdout)
    return [int(vcpu.get("pid", "0")) for vcpu in status.iterfind("./vcpus/vcpu")]


@pytest.mark.usefixtures("kvm")
def test_the_three_domains_of_the_rfc(light: Host, run_lab: RunLab) -> None:
    assert run_lab("domains", light.name).stdout == ""
    assert run_lab("domains", light.name).returncode == 0, "a second time"
    assert {name: light.virsh("domstate", name).strip() for name in ("vm1", "vm2", "vm3")} == {
        "vm1": "shut off",
        "vm2": "running",
        "vm3": "running",
    }
    with light.control as control:
        (group,) = [path for path in control.snapshot()["groups"] if path]
        assert sorted(control.snapshot()["groups"][group]["tasks"]) == sorted(tids(light, "vm2"))
        control.set(group, 0, "llc_occupancy", 2613248)
    statistics = light.virsh("domstats", "--cpu-total", "vm2").split()
    assert "cpu.cache.monitor.count=1" in statistics
    assert "cpu.cache.monitor.0.vcpus=0-1" in statistics
    assert "cpu.cache.monitor.0.bank.0.bytes=2613248" in statistics


def test_a_vcpu_can_be_plugged_in(light: Host) -> None:
    light.define(domain_xml("plug", kvm=light.has_kvm()))
    light.start("plug")
    before = tids(light, "plug")
    light.virsh("setvcpus", "plug", "3", "--live")
    assert len(before) == 2
    assert tids(light, "plug")[:2] == before
    assert len(tids(light, "plug")) == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_domain_can_have_any_name(light: Host, name: str) -> None:
    light.define(domain_xml(name, kvm=light.has_kvm()))
    light.start(name)
    assert name in light.virsh("list", "--name").splitlines()
    light.virsh("destroy", "--domain", name)


def test_an_idle_guest_ticks(light: Host) -> None:
    """Its vCPU uses a little time, so that counters that follow the threads' time move."""
    light.define(domain_xml("idle", kvm=light.has_kvm()))
    light.start("idle")
    first = tids(light, "idle")[0]

    def used() -> int:
        return int(light.run(["cut", "-d", " ", "-f", "1", f"/proc/{first}/schedstat"]).stdout)

    before = used()
    wait_until(lambda: used() > before, "a tick")


def test_counters_can_be_stopped(light: Host, run_lab: RunLab) -> None:
    """The host's own threads, this test's among them, are counted by the default group."""

    def total() -> int:
        return int(light.run(["sh", "-c", "cat /sys/fs/resctrl/mon_data/*/mbm_total_bytes"]).stdout.split()[0])

    assert run_lab("freeze", light.name).returncode == 0
    before = total()
    deadline = time.process_time() + 0.2
    while time.process_time() < deadline:
        pass
    assert total() == before
    assert run_lab("unfreeze", light.name).returncode == 0
    wait_until(lambda: total() > before, "counters that go on")


# -- several hosts -----------------------------------------------------------------------------------------------------


def test_hosts_share_no_domain_and_no_group(light: Host, lab: Lab) -> None:
    other = lab.up("other")
    for host in (light, other):
        host.define(domain_xml("twin", kvm=host.has_kvm()))
        host.start("twin")
        host.run(["mkdir", f"/sys/fs/resctrl/mon_groups/{host.name}"])
    assert other.virsh("list", "--all", "--name").split() == ["twin"]
    assert light.address != other.address
    for host in (light, other):
        listed = host.run(["ls", "/sys/fs/resctrl/mon_groups"]).stdout.split()
        assert [name for name in listed if name in ("light", "other")] == [host.name]
    other.virsh("destroy", "twin")
    assert light.virsh("domstate", "twin").strip() == "running"
    lab.down("other")


def test_a_name_is_taken_once(light: Host, run_lab: RunLab) -> None:
    done = run_lab("up", light.name)
    assert (done.returncode, done.stderr) == (1, "lab: light is up already\n")
    assert light.run(["true"]).returncode == 0


@pytest.mark.parametrize("name", ["", "..", "Up", "a/b", "-x", "x" * 41])
def test_what_cannot_be_a_name_is_refused(lab: Lab, name: str) -> None:
    with pytest.raises(LabError, match="cannot be a host's name"):
        lab.up(name)


# -- the end -----------------------------------------------------------------------------------------------------------


def test_nothing_is_left_of_a_killed_host_and_its_name_is_free(lab: Lab, run_lab: RunLab) -> None:
    host = lab.up("victim")
    host.define(domain_xml("vm", kvm=host.has_kvm()))
    host.start("vm")
    traces = Traces(host)
    os.kill(host.record.supervisor, signal.SIGKILL)
    traces.assert_gone()
    assert "victim  died" in run_lab("list").stdout
    with pytest.raises(LabError, match="victim is not up"):
        host.run(["true"])

    again = lab.up("victim")
    assert again.virsh("list", "--all", "--name").split() == []
    traces = Traces(again)
    lab.down("victim")
    traces.assert_gone()
    assert not host.state.directory.exists()


def test_down_twice_is_down(lab: Lab, run_lab: RunLab) -> None:
    lab.up("short", resctrl=False, libvirt=False)
    for turn in ("once", "twice"):
        assert run_lab("down", "short").returncode == 0, turn


def test_a_host_dies_with_the_process_that_wanted_it(root: Path) -> None:
    script = (
        "import pathlib, sys; from hosts import Lab; Lab(pathlib.Path(sys.argv[1])).up('orphan');"
        "print('up', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", script, str(root)]
    env = {**os.environ, "PYTHONPATH": str(LAB)}
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert t.cast("t.IO[str]", process.stdout).readline() == "up\n"
        traces = Traces(Lab(root).host("orphan"))
        process.kill()
        traces.assert_gone()


def test_the_command_can_be_called_by_its_name(root: Path) -> None:
    environment = {**os.environ, "KVMOPS_LAB_STATE": str(root / "nothing")}
    done = subprocess.run([LAB / "lab", "list"], env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_host_of_the_command_outlives_it(root: Path, run_lab: RunLab) -> None:
    assert run_lab("up", "kept", "--no-resctrl", "--no-libvirt").returncode == 0
    assert Lab(root).host("kept").run(["uname", "-n"]).stdout == "kept\n"
    assert run_lab("down", "kept").returncode == 0


def test_an_emulator_that_does_not_start_is_reported_and_nothing_stays(lab: Lab, run_lab: RunLab) -> None:
    done = run_lab("up", "wrong", "--profile", "no-such-profile")
    assert done.returncode == 1
    assert "no-such-profile" in done.stderr
    assert "wrong  died" in run_lab("list").stdout
    lab.down("wrong")


# -- what it takes -----------------------------------------------------------------------------------------------------


def test_what_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> None:
    assert check.missing(full=True) == []
    monkeypatch.setattr(check, "PATH", "/nowhere")
    missing = check.missing(full=False)
    assert "libvirtd: apt-get install libvirt-daemon-system" in missing
    assert "fusermount3: apt-get install fuse3" in missing
    assert "systemd-nspawn: apt-get install systemd-container" not in missing
    assert "systemd-nspawn: apt-get install systemd-container" in check.missing(full=True)
    with pytest.raises(LabError, match="libvirtd: apt-get install libvirt-daemon-system"):
        lab.up("poor")


_CHROOT = """
set -eu
root=$1 python=$2; shift 2
mount --make-rshared /
for path in /usr /etc /var "$@"; do mkdir -p "$root$path"; mount --bind "$path" "$root$path"; done
for name in bin sbin lib lib32 lib64 libx32; do [ ! -L /$name ] || ln -s "$(readlink /$name)" "$root/$name"; done
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
before=$(cat /proc/self/mountinfo)
lab() { chroot "$root" "$python" -m hosts.cli "$@"; }
lab up boxed
lab run boxed -- sh -c 'uname -n; ls /sys/fs/resctrl/info; virsh --quiet list; pwd' </dev/null
[ "$before" = "$(cat /proc/self/mountinfo)" ] || echo "its mounts are seen outside"
lab down boxed
"""


def test_a_host_comes_up_where_the_root_is_no_mount(tmp_path: Path) -> None:
    """In a chroot, and where mounts would propagate."""
    needed = {str(LAB.parents[1]), sys.prefix, sys.base_prefix} - {"/usr"}
    argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _CHROOT, "sh"]
    done = subprocess.run(
        [*argv, tmp_path, sys.executable, *sorted(needed)],
        env={**os.environ, "PYTHONPATH": str(LAB)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == ["boxed", "L3", "L3_MON", "MB", "last_cmd_status", "/"]
