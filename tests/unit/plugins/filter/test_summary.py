# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table with which a playbook ends."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.kvmops.resctrl.plugins.filter.summary import FilterModule

summary = FilterModule().filters()["summary"]

NO_HARDWARE = "The CPU has no cache or memory-bandwidth monitoring"
NO_RMID = "Out of RMIDs: of 3 none is left for domain 'vm3'"


def domain(name="vm3", **keys):
    """A domain that runs and is not monitored, as a module returns it, but for what is said otherwise."""
    plain = {"active": True, "enabled": False, "forced_by": None, "starting": False, "failed": False, "code": None}
    return {"name": name, "status": "Disabled", "declared": None, **plain, **keys}


def declared(condition, state="enabled", switch=None, why=""):
    return {"state": state, "switch": switch, "condition": condition, "why": why}


def asked(*domains, free=29, total=32, problems=()):
    """What resctrl_info returns."""
    host = {"rmids": {"free": free, "total": total}, "problems": list(problems)}
    return {"changed": False, "domains": list(domains), "host": host}


def switched(*domains, changed=False, **keys):
    """What resctrl_mon returns."""
    return {"changed": changed, "domains": list(domains), "rmids": {"free": 29, "total": 32}, **keys}


def column(lines, title, row=1):
    """The cell of a line below a title: all lines are laid out alike."""
    words = [line.replace("RMIDs free", "RMIDs-free").replace(" of ", "-of-").split() for line in lines]
    return words[row][words[0].index(title)]


@pytest.mark.parametrize(
    ("one", "title"),
    [
        (domain(enabled=True), "enabled"),
        (domain(enabled=True, forced_by="cachetune"), "forced"),
        (domain(declared=declared("waiting", why=NO_RMID)), "waiting"),
        (domain(failed=True, code="rmids_exhausted"), "waiting"),
        (domain(declared=declared("failing", why="Refused")), "failing"),
        (domain(failed=True, code="cpu_without_monitoring"), "failing"),
        (domain(starting=True), "starting"),
        (domain(), "disabled"),
        (domain(declared=declared("pending")), "waiting"),
        (domain(active=False), "off"),
        (domain(failed=True, status=None, active=False, code="domain_not_found"), "no column"),
    ],
)
def test_each_domain_is_counted_in_the_column_that_says_how_it_stands(one, title):
    lines = summary({"kvm1": asked(one)})
    titles = ["enabled", "forced", "waiting", "failing", "starting", "disabled", "off"]
    assert {name: column(lines, name) for name in titles} == {name: str(int(name == title)) for name in titles}


@pytest.mark.parametrize(
    ("one", "title"),
    [
        (domain(declared=declared("pending")), "enabled"),
        (domain(enabled=True, declared=declared("counted", state="disabled")), "disabled"),
        (domain(enabled=True, declared=declared("counted", state="enabled", switch="disabled")), "disabled"),
        (domain(enabled=True, declared=declared("counted", state="unmanaged")), "enabled"),
        (domain(enabled=True, forced_by="cachetune", declared=declared("counted", state="disabled")), "forced"),
        (domain(declared=declared("waiting", why=NO_RMID)), "waiting"),
        (domain(enabled=True), "enabled"),
    ],
)
def test_a_plan_shows_how_a_domain_will_stand(one, title):
    assert column(summary({"kvm1": asked(one)}, planned="policy"), title) == "1"


@pytest.mark.parametrize(
    ("one", "title"),
    [
        (domain(enabled=True), "disabled"),
        (domain(enabled=True, declared=declared("counted", switch="enabled")), "disabled"),
        (domain(declared=declared("pending")), "disabled"),
        (domain(declared=declared("waiting", why=NO_RMID)), "disabled"),
        (domain(enabled=True, forced_by="cachetune"), "forced"),
        (domain(active=False), "off"),
    ],
)
def test_where_all_of_ours_is_removed_nothing_stays_but_what_libvirt_monitors_and_no_reason_is_told(one, title):
    lines = summary({"kvm1": asked(one)}, planned="removal")
    assert (column(lines, title), lines[2:]) == ("1", [])


def test_another_plan_is_refused():
    with pytest.raises(AnsibleFilterError, match="planned is 'soon': give policy or removal"):
        summary({}, planned="soon")


def test_a_host_that_answered_is_ok_one_that_failed_is_not_and_its_sentence_is_left_to_ansible():
    unreachable = {"unreachable": True, "msg": "Connection refused"}
    lines = summary(
        {
            "kvm4": {},
            "kvm3": unreachable,
            "kvm2": switched(domain(failed=True), msg=NO_HARDWARE),
            "kvm1": switched(domain(enabled=True)),
        }
    )
    assert [line.split()[:2] for line in lines[1:]] == [
        ["kvm1", "ok"],
        ["kvm2", "failed"],
        ["kvm3", "unreachable"],
        ["kvm4", "failed"],
    ]


def test_what_is_not_known_of_a_host_is_a_dash():
    lines = summary({"kvm1": {"unreachable": True, "msg": "Connection refused"}})
    assert {column(lines, title) for title in ("enabled", "off", "RMIDs-free")} == {"-"}


def test_changed_is_what_the_module_said_which_is_more_than_its_domains():
    pruned = switched(domain(), changed=True)
    lines = summary({"kvm1": pruned, "kvm2": switched(domain(changed=True)), "kvm3": {}})
    assert [column(lines, "changed", row) for row in (1, 2, 3)] == ["yes", "no", "-"]


def test_a_query_has_no_column_for_changes():
    assert "changed" not in summary({"kvm1": asked(domain())})[0]


def test_the_rmids_of_a_host_are_told_by_either_module():
    lines = summary({"kvm1": asked(free=1, total=3), "kvm2": asked(free=0, total=0)})
    assert [column(lines, "RMIDs-free", row) for row in (1, 2)] == ["1-of-3", "-"]
    assert column(summary({"kvm1": switched()}), "RMIDs-free") == "29-of-32"


def test_domains_are_named_below_their_host_when_asked_for():
    lines = summary({"kvm2": asked(domain("vm9")), "kvm1": asked(domain("vm1", enabled=True))}, name_domains=True)
    assert [line.split()[:2] for line in lines[1:]] == [
        ["kvm1", "ok"],
        ["vm1", "enabled"],
        ["kvm2", "ok"],
        ["vm9", "disabled"],
    ]


def test_problems_and_warnings_are_told_once_each_in_one_line():
    result = asked(problems=["All 3 RMIDs\nare in use"])
    result["warnings"] = ["All 3 RMIDs\nare in use", "Noted"]
    assert summary({"kvm1": result})[2:] == ["kvm1: All 3 RMIDs are in use", "kvm1: Noted"]


def test_who_waits_is_told_with_the_reason():
    assert summary({"kvm1": asked(domain(declared=declared("waiting", why=NO_RMID)))})[2:] == [
        f"kvm1: vm3 is waiting: {NO_RMID}"
    ]


def test_what_is_pending_is_told_but_not_in_a_plan():
    pending = asked(domain(declared=declared("pending")))
    assert summary({"kvm1": pending})[2:] == [
        "kvm1: vm3 is not monitored yet: the next run of the host's agent will monitor it"
    ]
    assert summary({"kvm1": pending}, planned="policy")[2:] == []


def test_a_name_that_libvirt_does_not_know_is_listed_as_such():
    unknown = domain("nosuch", failed=True, status=None, active=False, code="domain_not_found")
    lines = summary({"kvm1": switched(unknown, msg="Domain not found")}, name_domains=True)
    assert lines[2].split() == ["nosuch", "unknown"]


def test_a_reason_that_is_the_host_s_own_is_not_told_again_for_each_domain():
    failing = [domain(name, declared=declared("failing", why=NO_HARDWARE)) for name in ("vm1", "vm3")]
    assert summary({"kvm1": asked(*failing, problems=[NO_HARDWARE])})[2:] == [f"kvm1: {NO_HARDWARE}"]


def test_a_switch_that_wins_over_the_policy_is_told_and_one_that_agrees_is_not():
    beaten = domain("vm1", declared=declared("unmonitored", switch="disabled"))
    agreed = domain("vm2", enabled=True, declared=declared("counted", switch="enabled"))
    alone = domain("vm3", enabled=True, declared=declared("counted", state="unmanaged", switch="enabled"))
    (note,) = summary({"kvm1": asked(beaten, agreed, alone)})[2:]
    assert note.startswith("kvm1: vm1 is declared enabled, but was persistently disabled")


def test_what_no_module_returned_is_refused_with_a_sentence():
    with pytest.raises(AnsibleFilterError, match=r"kvmops\.resctrl\.summary: "):
        summary({"kvm1": {"domains": [{"name": "vm1"}]}})
