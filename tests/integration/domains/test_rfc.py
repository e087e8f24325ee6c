# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transcript of the RFC "Support RDT/CMT" (libvir-list, June 2018), re-enacted text for text through the modules.

It shows the commands that it proposed, `virsh resctrl` and `virsh domstats --resctrl`, on three domains: vm3 runs, vm2
runs with <cachetune>, vm1 is shut off.
"""

from __future__ import annotations

import pytest

VM3 = """\
# virsh resctrl vm3
RDT Monitoring Status: Enabled
# virsh resctrl vm3 --enable
RDT Monitoring Status: Enabled
# virsh resctrl vm3 --disable
RDT Monitoring Status: Disabled
# virsh resctrl vm3
RDT Monitoring Status: Disabled
"""

VM1 = """\
# virsh resctrl vm1
RDT Monitoring Status: Disabled
# virsh resctrl vm1 --enable
error: Requested operation is not valid: domain is not running
# virsh resctrl vm1 --disable
error: Requested operation is not valid: domain is not running
"""

VM2 = """\
# virsh resctrl vm2 --enable
RDT Monitoring Status: Enabled (forced by cachetune)
# virsh resctrl vm2 --disable
RDT Monitoring Status: Enabled (forced by cachetune)
# virsh resctrl vm2
RDT Monitoring Status: Enabled (forced by cachetune)
"""

STATISTICS = """\
# virsh domstats --resctrl
Domain: 'vm1'
  resctrl.cmt=0
Domain: 'vm3'
  resctrl.cmt=180224
Domain: 'vm2'
  resctrl.cmt=2613248
"""


@pytest.fixture(scope="module")
def rfc(host):
    """A host with the RFC's three domains (without KVM, vm2 is missing)."""
    host.host.rfc_domains()
    return host


def replay(rfc, transcript):
    """The transcript of the same commands (its lines with a #), with the answers that the modules give."""
    commands = [line for line in transcript.splitlines() if line.startswith("# ")]
    return "".join(f"{line}\n{answer(rfc, *line.split()[3:])}\n" for line in commands)


def answer(rfc, name, option=None):
    """What `virsh resctrl NAME OPTION` would print, or `virsh domstats --resctrl`."""
    if name == "--resctrl":
        return domstats(rfc.all_stats())
    states = {"--enable": "enabled", "--disable": "disabled"}
    result = rfc.mon(name, state=states[option]) if option else rfc.info(name)
    if result.get("failed"):
        return f"error: {result['msg']}"
    (domain,) = result["domains"]
    return f"RDT Monitoring Status: {domain['status']}"


def domstats(domains):
    """In the order of the RFC; every domain of the host is in it."""
    assert set(domains) == {"vm1", "vm2", "vm3"}
    return "\n".join(f"Domain: '{name}'\n  resctrl.cmt={domains[name]['cmt']}" for name in ("vm1", "vm3", "vm2"))


def test_vm3_runs(rfc):
    rfc.enable("vm3")
    assert replay(rfc, VM3) == VM3


def test_vm1_is_shut_off(rfc):
    assert replay(rfc, VM1) == VM1


def test_vm2_runs_with_cachetune(rfc):
    rfc.need_kvm()
    before = rfc.groups()
    assert replay(rfc, VM2) == VM2
    assert rfc.groups() == before


def test_why_vm2_cannot_be_switched_off(rfc):
    rfc.need_kvm()
    result = rfc.disable("vm2")
    assert not result["changed"]
    assert [warning["event"]["msg"] for warning in result["warnings"]] == [
        "Monitoring of domain 'vm2' cannot be switched off while it runs: it is forced by cachetune in its XML"
    ]


def test_statistics(rfc):
    rfc.need_kvm()
    rfc.enable("vm3")
    (vm2,) = (path for path in rfc.groups() if "vm2" in path)
    (cache,) = rfc.info()["host"]["caches"]
    rfc.control.set(rfc.ours("vm3"), cache["id"], "llc_occupancy", 180224)
    rfc.control.set(vm2, cache["id"], "llc_occupancy", 2613248)
    assert replay(rfc, STATISTICS) == STATISTICS
