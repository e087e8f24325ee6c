# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens on real hosts beside the modules: mounts, CPUs and groups change, and RMIDs are not to be had."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import subprocess
import threading

import pytest
from kernel_host import RESCTRL, every_rmid, mount, number, tasks, unmount
from modules import command, only, succeeded, warnings
from sampled import (
    RATE,
    TOTAL,
    bandwidth,
    between_samples,
    cache_rates,
    cpus_are_back,
    gives_reason,
    kernels_count,
    switch_cpu,
)
from waiting import wait_until

# Runs of resctrl_mon beside a program that does not take the lock
RUNS = 50
# 64 MiB, in units of the hardware: more than any max_threshold_occupancy
MANY_LINES = 1024
# Separators of lines to Python's str.splitlines(), but not to the kernel
ODD_NAMES = ("line\u2028separator", "next\u0085line", "vertical\vtab")


def use_all_rmids(host):
    """Make groups of another program until the kernel refuses; they are mon_groups/held0, held1 and so on."""
    try:
        for number_ in itertools.count():
            host.make_group(f"mon_groups/held{number_}")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


# -- rates -------------------------------------------------------------------------------------------------------------


def test_after_a_new_mount_within_the_interval_there_is_no_rate(host):
    """The groups of the new mount may have the inodes of the old one's, and may have counted more."""
    vm3 = host.domains.add("vm3")
    with bandwidth() as set_units:
        set_units(0, 1000)
        group = host.enable(vm3)
        set_units(0, 1100)
        with between_samples(host, 6) as domains:
            first = number(group, TOTAL)
            unmount()
            mount()
            host.enable(vm3)
            set_units(0, 2100)
            assert number(group, TOTAL) > first > 0
    rates = domains["vm3"]["rates"]
    assert rates[RATE] is None
    assert gives_reason(rates)


@pytest.mark.parametrize("units", [50, 5000], ids=["less", "more"])
def test_a_cache_that_was_offline_within_the_interval_has_no_rate_and_the_others_have(host, units):
    """Its counts begin at 0 again; they may have become less or more since than they were."""
    vm3 = host.domains.add("vm3")
    with bandwidth() as set_units:
        for cpu in (0, 2):
            set_units(cpu, 0)
        group = host.enable(vm3)
        for cpu in (0, 2):
            set_units(cpu, 100)
        with cpus_are_back(2, 3), between_samples(host, 8) as domains:
            first = {cache: kernels_count(group, cache) for cache in (0, 1)}
            for online in (False, True):
                for cpu in (2, 3):
                    switch_cpu(cpu, online=online)
            set_units(0, 1100)
            set_units(2, 100 + units)
            second = {cache: kernels_count(group, cache) for cache in (0, 1)}
    assert sum(second.values()) > sum(first.values()), "the sum does not show the loss"
    assert (second[1] > first[1]) == (units == 5000)
    rates = domains["vm3"]["rates"]
    assert rates[RATE] is None
    known = pytest.approx((second[0] - first[0]) / rates["seconds"], rel=1e-3)
    caches = cache_rates(rates)
    assert (caches[0][RATE], caches[1][RATE]) == (known, None)
    assert rates["partial"][RATE] == known
    assert gives_reason(caches[1])
    assert gives_reason(rates)


# -- RMIDs -------------------------------------------------------------------------------------------------------------


def test_without_another_rmid_a_group_is_not_given_up_in_order_to_be_made_anew(host):
    """The RMID of a group that is removed is not to be had as long as the cache has its lines."""
    vm3 = host.domains.add("vm3")
    host.run("resctrl_mon", name="vm3", scope="domain")
    group = RESCTRL / host.group(vm3)
    inode = group.stat().st_ino
    use_all_rmids(host)
    with every_rmid("llc_occupancy", MANY_LINES, cpu=0):
        result = host.run("resctrl_mon", name="vm3")
        assert not any("rmdir(" in line for line in host.changes())
        assert only(result)["status"] == "Enabled"
        assert "RMID" in json.dumps(result), "not said why"
        assert tasks(group) == vm3.threads
        assert group.stat().st_ino == inode

    host.remove_group("mon_groups/held0")
    assert only(host.run("resctrl_mon", name="vm3"))["status"] == "Enabled"
    assert tasks(group) == set(vm3.vcpus.values())


def test_a_threshold_at_which_freed_rmids_never_come_back_is_a_problem_of_the_host(host):
    threshold = RESCTRL / "info/L3_MON/max_threshold_occupancy"
    default = threshold.read_text()
    before = host.info()["host"]["problems"]
    threshold.write_text("0\n")
    try:
        after = host.info()["host"]["problems"]
    finally:
        threshold.write_text(default)
    assert not any("max_threshold_occupancy" in problem for problem in before)
    assert any("max_threshold_occupancy" in problem for problem in after)


# -- other programs without the lock -----------------------------------------------------------------------------------


def test_a_refusal_whose_words_another_program_has_overwritten_is_looked_at_again(host):
    """The thread is moved between the look and the write; then the kernel's words are those of another command."""
    vm3 = host.domains.add("vm3")
    path, status = RESCTRL / host.group(vm3), RESCTRL / "info/last_cmd_status"
    # Not later: RMIDs that earlier tests have freed may have to be waited for
    theirs = host.seen(host.make_group("COS1")) / "tasks"
    pause = "inject=write:delay_enter=3s:delay_exit=3s:when=1"
    words = ["strace", "-f", "-o", "/dev/null", "-P", str(path / "tasks"), "-e", "trace=write", "-e", pause]
    argv = host.domains.argv([*words, *command("resctrl_mon", {"uri": host.domains.uri, "name": "vm3"})])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd="/") as run:
        wait_until(path.is_dir, "the group")
        for tid in vm3.vcpus.values():
            theirs.write_text(f"{tid}\n")
        wait_until(lambda: "different control group" in status.read_text(), "the kernel's refusal")
        theirs.write_text(f"{vm3.vcpus[0]}\n")
        assert status.read_text() == "ok\n"
        succeeded(json.loads(run.communicate()[0]))
    assert host.groups() == {"COS1": set(), host.group(vm3, "COS1"): set(vm3.vcpus.values())}


@contextlib.contextmanager
def busy_program(host, tids):
    """A program that gives threads an allocation of their own and takes it away again, for ever, without the lock."""
    end = threading.Event()
    rounds = []

    def work():
        while not end.is_set():
            rounds.append(host.make_group("COS1", *tids))
            end.wait(0.02)
            host.remove_group("COS1")
            end.wait(0.1)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield rounds
    finally:
        end.set()
        thread.join()


def test_no_run_fails_beside_a_program_that_makes_and_removes_groups_without_the_lock(host):
    vm3 = host.domains.add("vm3")
    with busy_program(host, vm3.vcpus.values()) as rounds:
        results = [host.run("resctrl_mon", name="vm3") for _run in range(RUNS)]
    assert len(rounds) > 1
    assert [result["msg"] for result in results if result.get("failed")] == []
    host.run("resctrl_mon", name="vm3")
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}


# -- the groups of CPUs ------------------------------------------------------------------------------------------------


@pytest.fixture
def every_cpu():
    """The list of the CPUs, as cpus_list has it."""
    return (RESCTRL / "cpus_list").read_text()


def says(result, *words):
    """Whether one warning has all these words."""
    return any(all(word in text for word in words) for text in warnings(result))


def test_that_a_cpus_group_will_lack_the_domain_is_said_before_and_that_it_does_after(host, every_cpu):
    """As pqos -I -m does for cores: a MON group has them, and counts who is in no other group while he runs there."""
    vm3 = host.domains.add("vm3")
    theirs = host.seen(host.make_group("mon_groups/pqos-1-1"))
    assert not says(host.run("resctrl_mon", name="vm3", check=True), "pqos-1-1")
    (theirs / "cpus_list").write_text(every_cpu)
    assert says(host.run("resctrl_mon", name="vm3", check=True), "mon_groups/pqos-1-1", "vm3")
    assert says(host.run("resctrl_mon", name="vm3"), "mon_groups/pqos-1-1", "vm3")
    assert host.groups()[host.group(vm3)] == set(vm3.vcpus.values())
    again = host.run("resctrl_mon", name="vm3")
    assert not again["changed"]
    assert says(again, "mon_groups/pqos-1-1", "vm3")


def test_a_domain_that_its_cpus_group_throttles_by_bandwidth_is_moved_only_if_asked(host, every_cpu):
    """The software controller sees only what that group counts: it would not be throttled any more."""
    unmount()
    subprocess.run(["mount", "-t", "resctrl", "-o", "mba_MBps", "resctrl", str(RESCTRL)], check=True)
    vm3 = host.domains.add("vm3")
    (host.seen(host.make_group("COS1")) / "cpus_list").write_text(every_cpu)
    refused = host.run("resctrl_mon", name="vm3")
    assert refused.get("failed")
    assert "COS1" in refused["msg"]
    assert "mba_MBps" in refused["msg"]
    assert host.changes() == []
    assert host.groups() == {"COS1": set()}

    done = host.run("resctrl_mon", name="vm3", leave_cpu_group=True)
    assert only(done)["status"] == "Enabled"
    assert host.groups()[host.group(vm3)] == set(vm3.vcpus.values())


def test_a_cpu_in_a_group_of_ours_is_said_since_all_that_runs_there_is_charged_to_the_domain(host):
    vm3 = host.domains.add("vm3")
    group = host.enable(vm3)
    assert not says(host.run("resctrl_mon", name="vm3"), group)
    (RESCTRL / group / "cpus_list").write_text("1\n")
    result = host.run("resctrl_mon", name="vm3")
    assert says(result, group, "cpus")
    assert (RESCTRL / group / "cpus_list").read_text() == "1\n"


# -- names -------------------------------------------------------------------------------------------------------------


def test_threads_are_found_in_groups_of_any_name(host):
    vm3 = host.domains.add("vm3", vcpus=len(ODD_NAMES))
    for name, tid in zip(ODD_NAMES, vm3.vcpus.values(), strict=True):
        host.make_group(name, tid)
    held = json.dumps(host.info()["host"]["rmids"]["held_by"], ensure_ascii=False)
    assert [name for name in ODD_NAMES if json.dumps(name, ensure_ascii=False)[1:-1] not in held] == []
    succeeded(host.run("resctrl_mon", name="vm3"))
    for name, tid in zip(ODD_NAMES, vm3.vcpus.values(), strict=True):
        assert host.groups()[host.group(vm3, name)] == {tid}
