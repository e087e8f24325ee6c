# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kernel starts with its own resctrl, counts, and runs what tests need."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t
from xml.etree import ElementTree as ET

import pytest
from guest import CHECKOUT, Guest, Machine
from tuning import Cachetune, cputune

# A program in the guest that loads counters.py, sets a group up and prints what its files read.
FORCE = """
import sys
sys.path.insert(0, "/harness")
from counters import ERROR, UNAVAILABLE, Counter, forced
counter = Counter(cpu=2, rmid=1, event="llc_occupancy")
for raw in (7, UNAVAILABLE, ERROR):
    with forced(counter, raw):
        print(open("/sys/fs/resctrl/mon_groups/first/mon_data/mon_L3_01/llc_occupancy").read(), end="")
"""
# A test for the guest's pytest.
INSIDE = """
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel import filesystem
from hypothesis import given, strategies
import libvirt

@given(strategies.integers())
def test_inside(number):
    assert AnsibleModule and filesystem and libvirt
"""
# count GROUP: moves itself into a group and works on CPU 0 until it sees that it is charged.
COUNT = """
cat >/tmp/count <<'EOF'
taskset -pc 0 $$ >/dev/null
echo $$ >mon_groups/$1/tasks
until [[ $(cat mon_groups/$1/mon_data/mon_L3_00/mbm_total_bytes) != 0 ]]; do :; done
EOF
count() { timeout 60 bash /tmp/count $1; }
cd /sys/fs/resctrl
"""


def test_it_is_that_kernel_and_it_detects_monitoring_and_allocation(guest: Guest) -> None:
    assert guest.shell("uname -r").startswith(f"{guest.machine.kernel}.")
    detected = [line.partition("resctrl: ")[2] for line in guest.shell("dmesg").splitlines() if "resctrl: " in line]
    assert detected == ["L3 allocation detected", "MB allocation detected", "L3 monitoring detected"]


def test_groups_can_be_made_and_read(guest: Guest) -> None:
    guest.shell("mkdir /sys/fs/resctrl/mon_groups/first /sys/fs/resctrl/control")
    assert guest.shell("cat /sys/fs/resctrl/mon_groups/first/mon_data/mon_L3_0?/mbm_total_bytes") == "0\n0\n"
    assert "L3:0=7ff;1=7ff" in guest.shell("cat /sys/fs/resctrl/control/schemata")
    # RMID 1: the first group since the start.
    assert guest.shell("cat >/tmp/force.py; python3 /tmp/force.py", input=FORCE) == f"{7 * 65536}\nUnavailable\nError\n"
    guest.shell("rmdir /sys/fs/resctrl/mon_groups/first /sys/fs/resctrl/control")


def test_only_what_runs_is_charged(guest: Guest) -> None:
    script = """
    mkdir mon_groups/busy mon_groups/idle
    count busy
    cat mon_groups/busy/mon_data/mon_L3_00/mbm_total_bytes
    cat mon_groups/busy/mon_data/mon_L3_01/mbm_total_bytes mon_groups/idle/mon_data/*/mbm_total_bytes
    rmdir mon_groups/busy mon_groups/idle
    """
    busy, *others = map(int, guest.shell(COUNT + script).split())
    assert busy > 0
    assert others == [0, 0, 0]


def test_it_has_what_tests_need(guest: Guest) -> None:
    guest.shell("cat >tests/unit/test_inside.py; python3 -m pytest --quiet tests/unit/test_inside.py", input=INSIDE)
    guest.shell("virsh --version; pqos -h; strace -V")


def test_it_sees_the_checkout_but_its_writes_do_not_leave_it(guest: Guest) -> None:
    assert guest.shell("pwd") == f"{CHECKOUT}\n"
    assert guest.shell("cat galaxy.yml") == (CHECKOUT / "galaxy.yml").read_text()
    guest.shell("touch written; test -e /share/written")
    assert not (CHECKOUT / "written").exists()


def test_commands_have_streams_input_status_and_a_limit(guest: Guest) -> None:
    done = guest.run(["sh", "-c", "cat; echo err >&2; exit 3"], input="in \N{SNOWMAN}\n")
    assert (done.returncode, done.stdout, done.stderr) == (3, "in \N{SNOWMAN}\n", "err\n")
    assert guest.run(["sh", "-c", "kill -9 $$"]).returncode == -9
    assert guest.run(["no-such-command"]).returncode == 127
    assert len(guest.shell("head -c 3000000 /dev/zero | tr '\\0' x")) == 3000000
    with pytest.raises(subprocess.CalledProcessError):
        guest.shell("false; echo not reached")
    with pytest.raises(subprocess.TimeoutExpired) as error:
        guest.run(["sh", "-c", "echo begun; sleep 1000"], timeout=5)
    assert error.value.output == "begun\n"
    # What goes on in the background does not delay the end, and lives on.
    pid = guest.shell("sleep 1000 & echo $!").strip()
    guest.shell(f"kill {pid}")


def test_a_shared_directory_can_be_writable(tmp_path: pathlib.Path, newest: str) -> None:
    machine = Machine(kernel=newest, cpus=1, sockets=1, share=tmp_path, writable=True)
    with Guest(machine) as guest:
        guest.shell("echo text >file")
    assert (tmp_path / "file").read_text() == "text\n"


@pytest.mark.parametrize(
    ("machine", "directories", "files"),
    [
        ({"rdt": {"events": 1}}, "mon_L3_00 mon_L3_01", "llc_occupancy"),
        ({"l3_ids": (0, 8, 9, 100)}, "mon_L3_00 mon_L3_08 mon_L3_09 mon_L3_100", None),
        pytest.param({"rdt": {"snc": 2}}, "mon_L3_00 mon_L3_01", "llc_occupancy mbm_local_bytes mbm_total_bytes "
                     "mon_sub_L3_00 mon_sub_L3_01", marks=pytest.mark.since("6.12")),
        ({"cpu": "Icelake-Server,-cqm"}, None, None),
    ],
    ids=["occupancy only", "large and sparse L3 ids", "sub-NUMA clusters", "no monitoring"],
)  # fmt: skip
def test_other_hardware(machine: dict[str, t.Any], directories: str | None, files: str | None, newest: str) -> None:
    with Guest(Machine(kernel=newest, **machine)) as guest:
        guest.shell("mount -t resctrl resctrl /sys/fs/resctrl")
        if directories is None:
            assert "mon_data" not in guest.shell("ls /sys/fs/resctrl").split()
            return
        assert guest.shell("ls /sys/fs/resctrl/mon_data").split() == directories.split()
        if files is not None:
            assert guest.shell("ls /sys/fs/resctrl/mon_data/mon_L3_00").split() == files.split()


@pytest.mark.since("7.3")
def test_assignable_counters_of_amd(newest: str) -> None:
    script = """
    cat info/L3_MON/num_mbm_cntrs
    mkdir mon_groups/one mon_groups/two
    count one
    cat mon_groups/one/mon_data/mon_L3_00/mbm_total_bytes mon_groups/two/mon_data/mon_L3_00/mbm_total_bytes
    """
    with Guest(Machine(kernel=newest, amd=True, rdt={"abmc": 4})) as guest:
        # The root group takes two of the four, the first group the others.
        guest.shell("mount -t resctrl resctrl /sys/fs/resctrl")
        number, first, second = guest.shell(COUNT + script).split()
    assert number == "0=4;1=4"
    assert int(first) > 0
    assert second == "Unassigned"


MONITORED = ET.tostring(cputune([Cachetune("0", monitors=["0"])]), encoding="unicode")
DOMAIN = f"""
<domain type='kvm'>
  <name>vm</name>
  <memory unit='MiB'>32</memory>
  <vcpu>1</vcpu>
  {MONITORED}
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <cpu mode='host-passthrough' check='none'/>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='/tmp/disk'/><target dev='hda' bus='ide'/>
    </disk>
  </devices>
</domain>
"""
# A disk whose boot sector is an endless loop; and once nothing counts any more, what libvirt and the kernel say.
START = """
mount -t resctrl resctrl /sys/fs/resctrl
/harness/start-libvirtd
printf '\\353\\376' >/tmp/disk
truncate --size=510 /tmp/disk
printf '\\125\\252' >>/tmp/disk
truncate --size=1M /tmp/disk
cat >/tmp/vm.xml
virsh --quiet create /tmp/vm.xml >&2
sleep 2
cat >/tmp/read.py <<'EOF'
import subprocess, sys
sys.path.insert(0, "/harness")
from counters import frozen
with frozen():
    sys.exit(subprocess.run(["sh", "-c", '''
        virsh domstats --cpu-total vm | sed -n 's/ *cpu.cache.monitor.0.bank.*.bytes=//p'
        cat /sys/fs/resctrl/mon_groups/qemu-1-vm-vcpus_0/mon_data/mon_L3_0?/llc_occupancy
    ''']).returncode)
EOF
python3 /tmp/read.py
"""


def test_libvirt_and_kvm_work_in_a_guest_with_an_amd_cpu(newest: str) -> None:
    with Guest(Machine(kernel=newest, amd=True)) as guest:
        libvirt_0, libvirt_1, kernel_0, kernel_1 = map(int, guest.shell(START, input=DOMAIN).split())
    assert (libvirt_0, libvirt_1) == (kernel_0, kernel_1)
    assert libvirt_0 + libvirt_1 > 0
