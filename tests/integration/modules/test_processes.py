# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines of hosts without libvirt (source: processes): found by their processes, whoever started them, and
safe from what another user can start.
"""

from __future__ import annotations

import os

import pytest
from emulators import NAMELESS, VCPUS, Emulators
from modules import only, succeeded, warnings
from tuning import Memorytune

from ansible_collections.kvmops.resctrl.plugins.plugin_utils.shares import share

UUID = "5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3"
OTHER = "00000000-0000-4000-8000-000000000001"
WEB = ("-name", "web,debug-threads=on", "-uuid", UUID)
# A user who is logged in
SOMEBODY = 1234


# The kernel tells a thread's group, unless it is older than 5.6
BOTH_WAYS = pytest.mark.parametrize("host", [False, True], ids=["lists threads", "tells groups"], indirect=True)
LISTS_THREADS = pytest.mark.parametrize("host", [False], ids=["lists threads"], indirect=True)


@pytest.fixture(name="host")
def host_fixture(request, make_host):
    """A host on which no libvirt runs, and that sees none of the machine's processes."""
    return make_host(own_pids=True, tells_groups=getattr(request, "param", True))


@pytest.fixture(name="emulators")
def emulators_fixture(host):
    with Emulators(host.domains) as emulators:
        yield emulators


@pytest.fixture(name="mon")
def mon_fixture(host):
    """Runs resctrl_mon on the processes of the host."""
    return lambda *names, **options: host.mon(*names, source="processes", **options)


@pytest.fixture(name="query")
def query_fixture(host):
    """What resctrl_info says about one domain."""
    return lambda name: only(succeeded(host.run("resctrl_info", name=name, source="processes")))


def group(uuid):
    return f"mon_groups/kvmops-{uuid}"


# -- who starts QEMU ---------------------------------------------------------------------------------------------------

MANAGERS = {
    "Proxmox VE": (
        [
            *("-id", "100", "-name", "web,debug-threads=on", "-no-shutdown", "-daemonize"),
            *("-chardev", "socket,id=qmp,path=/var/run/qemu-server/100.qmp,server=on,wait=off"),
            *("-pidfile", "/var/run/qemu-server/100.pid", "-smbios", f"type=1,uuid={UUID}"),
        ],
        {"program": "kvm"},
        "web",
    ),
    "KubeVirt": (
        [
            *("-name", "guest=default_web,debug-threads=on", "-S", "-uuid", UUID),
            *("-smbios", f"type=1,manufacturer=KubeVirt,product=None,uuid={UUID},family=KubeVirt"),
        ],
        {"program": "qemu-kvm", "uid": 107, "pod": True},
        "default_web",
    ),
    "Kata Containers": (
        ["-name", "sandbox-8f14,debug-threads=on", "-uuid", UUID, "-machine", "q35,accel=kvm"],
        {},
        "sandbox-8f14",
    ),
    "somebody": (["-uuid", UUID.upper(), "-name", "a,,b c,debug-threads=on", "-m", "64"], {}, "a,b c"),
}


@BOTH_WAYS
@pytest.mark.parametrize("manager", MANAGERS)
def test_a_machine_is_switched_on_and_off_whoever_started_it(host, emulators, mon, query, manager):
    words, how, name = MANAGERS[manager]
    emulator = emulators.start(*words, **how)
    domain = only(succeeded(mon("*")))
    assert (domain["name"], domain["uuid"], domain["uuid_made"]) == (name, UUID, False)
    assert (domain["status"], domain["vcpus"]) == ("Enabled", {"counted": [0, 1], "uncounted": []})
    assert host.groups() == {group(UUID): emulator.vcpus}
    assert not succeeded(mon("*"))["changed"]
    assert query(UUID)["status"] == "Enabled"
    assert only(succeeded(mon(UUID, state="disabled")))["status"] == "Disabled"
    assert host.groups() == {}


OLDER = {
    "Proxmox VE": (["-id", "100", "-name", "web", "-daemonize", "-smbios", f"type=1,uuid={UUID}"], {"program": "kvm"}),
    "Incus": (["-S", "-name", "web", "-uuid", UUID, "-daemonize", "-readconfig", "/run/incus/web/qemu.conf"], {}),
}


@BOTH_WAYS
@pytest.mark.parametrize("manager", OLDER)
def test_where_threads_have_no_telling_names_only_the_whole_process_can_be_counted(
    host, emulators, mon, query, manager
):
    words, how = OLDER[manager]
    emulator = emulators.start(*words, threads=NAMELESS, **how)
    result = mon("web")
    assert only(result)["code"] == "no_vcpu_threads"
    assert result["msg"] == (
        f"It cannot be told which threads of domain 'web' (process {emulator.pid}) run its vCPUs: its QEMU was started "
        "without debug-threads=on, so its threads have no telling names. Monitor the whole process (scope=domain), or "
        "have QEMU started with '-name NAME,debug-threads=on'"
    )
    assert host.groups() == {}
    succeeded(mon("web", scope="domain"))
    assert host.groups() == {group(UUID): emulator.threads}
    assert query("web")["status"] == "Enabled"
    assert not succeeded(mon("web", scope="domain"))["changed"]


def test_a_real_qemu_is_counted_as_any(host, emulators, mon):
    emulator = emulators.start_real(*WEB)
    assert len(emulator.vcpus) == 2
    succeeded(mon("web"))
    assert host.groups() == {group(UUID): emulator.vcpus}
    values = host.stats("web", source="processes")
    assert (values["uuid"], values["status"], values["vcpus"]["counted"]) == (UUID, "Enabled", [0, 1])
    assert values["cmt"] is not None
    emulators.stop(emulator)
    assert succeeded(mon("*"))["pruned"] == [host.path(group(UUID))]


def test_neither_libvirt_nor_its_python_library_is_needed(host, emulators, mon):
    host.domains.cover("/usr/lib/python3/dist-packages/libvirt.py", "raise ImportError('libvirt is not here')")
    emulators.start(*WEB)
    assert host.run("resctrl_mon", name="*")["code"] == "libvirt_missing"
    assert only(succeeded(mon("web")))["status"] == "Enabled"


def test_a_number_of_proxmox_stands_for_its_machine(host, emulators, mon):
    first = emulators.start("-id", "100", "-name", "web,debug-threads=on", "-smbios", f"type=1,uuid={UUID}")
    emulators.start("-id", "101", "-name", "web,debug-threads=on", "-smbios", f"type=1,uuid={OTHER}")
    assert only(succeeded(mon("100")))["uuid"] == UUID
    assert host.groups() == {group(UUID): first.vcpus}


def test_a_name_stands_for_all_machines_that_have_it(host, emulators, mon):
    first = emulators.start("-id", "100", "-name", "web,debug-threads=on", "-smbios", f"type=1,uuid={UUID}")
    second = emulators.start("-id", "101", "-name", "web,debug-threads=on", "-smbios", f"type=1,uuid={OTHER}")
    assert len(succeeded(mon("web"))["domains"]) == 2
    assert host.groups() == {group(UUID): first.vcpus, group(OTHER): second.vcpus}
    assert set(host.all_stats(source="processes")) == {UUID, OTHER}


def test_machines_of_one_name_are_kept_apart_in_an_analysis(host, emulators, mon):
    for uuid in (UUID, OTHER):
        emulators.start("-name", "web,debug-threads=on", "-smbios", f"type=1,uuid={uuid}")
    succeeded(mon("web"))
    result = succeeded(host.run("resctrl_stats", source="processes", analysis=True, interval=0.1))
    fact = result["ansible_facts"]["resctrl_stats"]
    assert set(fact["domains"]) == {UUID, OTHER}
    assert {(row["host"], row["domain"], row["uuid"]) for row in share({"kvm1": fact})} == {
        ("kvm1", UUID, UUID),
        ("kvm1", OTHER, OTHER),
    }


def test_one_that_does_not_run_is_not_known(mon):
    assert only(mon("web"))["code"] == "domain_not_found"


def test_one_that_is_starting_is_waited_for_if_it_is_named(host, emulators, mon):
    emulators.start(*WEB, threads=("call_rcu",))
    result = only(succeeded(mon("*")))
    assert (result["starting"], result["status"]) == (True, "Disabled")
    assert only(mon("web"))["code"] == "domain_starting"
    assert host.groups() == {}


# -- without a UUID ----------------------------------------------------------------------------------------------------


def test_a_machine_without_uuid_has_the_same_one_in_each_of_its_lives(host, emulators, mon):
    emulator = emulators.start("-name", "web,debug-threads=on")
    first = only(succeeded(mon("web")))
    assert first["uuid_made"]
    emulators.stop(emulator)
    emulator = emulators.start("-name", "guest=web,debug-threads=on")
    assert only(succeeded(mon("web")))["uuid"] == first["uuid"]
    assert host.groups() == {group(first["uuid"]): emulator.vcpus}


def test_one_without_name_is_monitored_as_long_as_it_runs(host, emulators, mon):
    emulator = emulators.start("-m", "64", "disk.img")
    domain = only(succeeded(mon("*")))
    assert domain["name"] == f"unnamed-{emulator.pid}"
    assert host.groups() == {group(domain["uuid"]): emulator.vcpus}
    assert not succeeded(mon("*"))["changed"]
    emulators.stop(emulator)
    assert succeeded(mon("*"))["pruned"] == [host.path(group(domain["uuid"]))]


# -- one identity, several processes -----------------------------------------------------------------------------------


@BOTH_WAYS
@pytest.mark.parametrize("words", [WEB, ("-name", "web,debug-threads=on")], ids=["UUID", "name"])
def test_two_processes_of_one_identity_are_left_alone_and_named(host, emulators, mon, query, words):
    source = emulators.start(*words)
    uuid = only(succeeded(mon("web")))["uuid"]
    target = emulators.start(*words)
    emulators.start("-name", "db,debug-threads=on", "-uuid", OTHER)
    for options in ({}, {"state": "disabled"}, {"scope": "domain", "takeover": True}):
        result = mon("web", **options)
        assert only(result)["code"] == "domain_ambiguous"
        assert f"{source.pid} and {target.pid}" in result["msg"]
        assert host.groups() == {group(uuid): source.vcpus}
    assert "cannot be told" in query("web")["msg"]
    assert mon("*")["failed"]
    assert set(host.groups()) == {group(uuid), group(OTHER)}
    emulators.stop(source)
    succeeded(mon("web"))
    assert host.groups()[group(uuid)] == target.vcpus


# -- what another user can start ---------------------------------------------------------------------------------------


def test_a_users_process_is_a_machine_only_if_it_holds_one_of_kvm(emulators, mon):
    kvm = os.path.exists("/dev/kvm")
    emulators.start(*WEB, uid=SOMEBODY)
    emulators.start("-name", "mine,debug-threads=on", uid=SOMEBODY, kvm=kvm)
    names = [domain["name"] for domain in succeeded(mon("*"))["domains"]]
    assert names == (["mine"] if kvm else [])


def test_a_program_of_another_name_is_no_machine_whatever_its_command_line(emulators, mon):
    emulators.start(*WEB, program="sh")
    assert succeeded(mon("*"))["domains"] == []


@pytest.mark.parametrize("first", ["manager", "user"])
@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_a_user_cannot_take_the_uuid_of_a_managers_machine(host, emulators, mon, first, state):
    kvm = os.path.exists("/dev/kvm")
    faked = {"uid": SOMEBODY, "kvm": kvm, "threads": (*VCPUS, "CPU 2/KVM")}
    if first == "user":
        emulators.start("-name", "mine,debug-threads=on", "-uuid", UUID, **faked)
    web = emulators.start(*WEB, uid=107)
    if first == "manager":
        emulators.start("-name", "mine,debug-threads=on", "-uuid", UUID, **faked)
    succeeded(mon("*"))
    assert host.groups() == {group(UUID): web.vcpus}
    domain = only(succeeded(mon(UUID, state=state)))
    assert domain["name"] == "web"
    assert host.groups() == ({group(UUID): web.vcpus} if state == "enabled" else {})


def test_the_uuid_of_a_machine_that_does_not_run_moves_no_group_of_it(host, emulators, mon):
    """Whoever has its UUID is counted in its stead, until it runs."""
    kvm = os.path.exists("/dev/kvm")
    faked = emulators.start("-name", "mine,debug-threads=on", "-uuid", UUID, uid=SOMEBODY, kvm=kvm)
    succeeded(mon("*"))
    assert host.groups() == ({group(UUID): faked.vcpus} if kvm else {})
    web = emulators.start(*WEB)
    succeeded(mon("*"))
    assert host.groups() == {group(UUID): web.vcpus}


# -- beside libvirt ----------------------------------------------------------------------------------------------------


@BOTH_WAYS
def test_runs_of_either_source_leave_the_groups_of_the_other_alone(host, emulators, mon):
    """The stand-ins of libvirt's domains run no program that is called like a QEMU."""
    vm1 = host.domains.add("vm1")
    there = {group(vm1.uuid): set(vm1.vcpus.values())}
    succeeded(host.mon("vm1"))
    for words in (WEB, ("-name", "db,debug-threads=on"), ("-id", "100"), ("-m", "64")):
        emulator = emulators.start(*words)
        domains = succeeded(mon("*"))["domains"]
        (uuid,) = {domain["uuid"] for domain in domains if domain["changed"]}
        there[group(uuid)] = emulator.vcpus
    assert host.groups() == there
    for run in (host.mon, mon):
        result = succeeded(run("*"))
        assert (result["pruned"], result["changed"], warnings(result)) == ([], False, [])
        assert host.groups() == there


def test_a_domain_of_libvirts_is_the_same_from_either_source(host, emulators, mon, query):
    """Both find its process, and count it in one group."""
    web = emulators.start("-name", "guest=web,debug-threads=on", "-S", "-uuid", UUID)
    succeeded(mon("web"))
    host.domains.define("web", uuid=UUID)
    assert query("web")["status"] == "Enabled"
    assert host.groups() == {group(UUID): web.vcpus}


@pytest.mark.parametrize("told", [True, False], ids=["with status file", "without"])
def test_what_libvirt_counts_of_its_own_domain_is_forced(host, emulators, mon, told):
    web = emulators.start("-name", "guest=web,debug-threads=on", "-S", "-uuid", UUID)
    libvirts = host.make_group("qemu-1-web-vcpus_0-1", *sorted(web.vcpus))
    if told:
        (host.domains.path("/run/libvirt/qemu")).symlink_to("test")
        domain = host.domains.define("web", uuid=UUID, tuning=[Memorytune("0-1", node=0, bandwidth=50)])
        domain.pid, domain.vcpus = web.pid, dict(enumerate(sorted(web.vcpus)))
        host.domains.write(domain)
    forced_by = "memorytune" if told else "cachetune"
    for state in ("enabled", "disabled"):
        domain = only(succeeded(mon("web", state=state, takeover=True)))
        assert domain["status"] == f"Enabled (forced by {forced_by})"
        assert host.groups() == {libvirts: web.vcpus}


# -- what is not seen --------------------------------------------------------------------------------------------------


@BOTH_WAYS
def test_what_another_pid_namespace_hides_is_not_gone(host, emulators, mon):
    web = emulators.start(*WEB)
    succeeded(mon("web"))
    inside = ("unshare", "--pid", "--fork", "--mount-proc")
    result = succeeded(host.run("resctrl_mon", name="*", source="processes", words=inside))
    assert (result["domains"], result["pruned"]) == ([], [])
    assert "cannot be seen from here whether the domain of a group still runs" in "".join(warnings(result))
    assert host.groups() == {group(UUID): web.vcpus}


@LISTS_THREADS
def test_root_without_the_capability_to_trace_is_told_so(host, emulators, mon):
    web = emulators.start(*WEB, uid=107)
    succeeded(mon("web"))
    weak = ("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace")
    result = host.run("resctrl_mon", name="*", source="processes", words=weak)
    assert result["code"] == "processes_hidden"
    assert "CAP_SYS_PTRACE" in result["hint"]
    assert host.groups() == {group(UUID): web.vcpus}


# -- the agent ---------------------------------------------------------------------------------------------------------


def test_a_policy_is_enforced_by_names_numbers_and_patterns(host, emulators, make_agent):
    agent = make_agent(host)
    agent.declare({"name": "100"}, {"name": "db-*", "state": "disabled"}, default="unmanaged")
    web = emulators.start("-id", "100", "-name", "web,debug-threads=on", "-smbios", f"type=1,uuid={UUID}")
    emulators.start("-id", "101", "-name", "db-1,debug-threads=on", "-smbios", f"type=1,uuid={OTHER}")
    assert agent.run("--source", "processes", "enforce") == (0, "web: Now counted: vCPU 0, 1\n", "")
    assert host.groups() == {group(UUID): web.vcpus}
    status, out, err = agent.run("status", "--source", "processes", "100")
    assert (status, err) == (0, "")
    assert out == "RDT Monitoring Status: Enabled\n  Declared: enabled by rule '100'. Now: counted\n"
    emulators.stop(web)
    status, out, err = agent.run("--source", "processes", "enforce")
    assert (status, out, err) == (0, f"Removed {host.path(group(UUID))}: its domain is gone\n", "")


def test_machines_of_one_name_and_uuid_are_one_series(host, emulators, make_agent):
    """node_exporter takes none of two samples that have the same labels."""
    for number in ("100", "101"):
        emulators.start("-id", number, *WEB)
    status, out, _err = make_agent(host).run("--source", "processes", "metrics")
    assert status == 0
    assert out.count(f'libvirt_domain_resctrl_info{{domain="web",uuid="{UUID}"') == 1
    assert f'libvirt_domain_resctrl_info{{domain="web",uuid="{UUID}",status="Unknown"' in out


@LISTS_THREADS
def test_the_agents_unit_has_the_capabilities_that_it_needs(host, emulators):
    web = emulators.start(*WEB, uid=107)
    emulators.start("-name", "mine,debug-threads=on", uid=SOMEBODY, kvm=os.path.exists("/dev/kvm"))
    words = ("setpriv", "--bounding-set=-all,+dac_override,+sys_ptrace", "--inh-caps=-all")
    succeeded(host.run("resctrl_mon", name="web", source="processes", words=words))
    assert host.groups() == {group(UUID): web.vcpus}


def test_the_agent_says_which_processes_it_leaves_alone(host, emulators, make_agent):
    agent = make_agent(host)
    agent.declare(default="enabled")
    pids = [emulators.start(*WEB).pid for _number in range(2)]
    status, out, err = agent.run("--source", "processes", "enforce")
    assert (status, out) == (1, "")
    assert f"{pids[0]} and {pids[1]} have the UUID {UUID}" in err
    assert host.groups() == {}
