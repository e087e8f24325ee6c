# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's daemon does not answer, or not where it is expected to."""

from __future__ import annotations

import contextlib

import pytest
from modules import only, run_module, succeeded

DOMAINS = ["vm3"]
MODULES = ["resctrl_mon", "resctrl_info", "resctrl_stats"]
READ_ONLY, ORDINARY = "/run/libvirt/libvirt-sock-ro", "/run/libvirt/libvirt-sock"
# More than the ten seconds for which libvirt is waited for
LIMIT = ["timeout", "--signal=KILL", "15"]


@contextlib.contextmanager
def stopped(hv):
    """libvirtd is stopped (SIGSTOP): it accepts connections, and does not answer."""
    hv.host.run(["sh", "-c", "kill -STOP $(cat /run/libvirtd.pid)"])
    try:
        yield
    finally:
        hv.host.run(["sh", "-c", "kill -CONT $(cat /run/libvirtd.pid)"])


@contextlib.contextmanager
def without(hv, *sockets):
    """The daemon's sockets are not there."""
    for path in sockets:
        hv.host.run(["mv", path, f"{path}.away"])
    try:
        yield
    finally:
        for path in sockets:
            hv.host.run(["mv", f"{path}.away", path])


@pytest.mark.parametrize("module", MODULES)
def test_a_module_ends_within_15_seconds_when_libvirtd_does_not_answer_and_says_what_to_do(hv, module):
    with stopped(hv):
        result = run_module(
            module, {"name": "vm3", "uri": "qemu:///system"}, inside=lambda argv: hv.host.argv([*LIMIT, *argv])
        )
    assert result["failed"]
    assert result["code"] == "libvirt_unreachable"
    assert result["msg"] == f"libvirt does not answer at qemu:///system: no answer within 10 seconds. {result['hint']}"
    assert "systemctl status libvirtd" in result["hint"]
    assert hv.groups() == {}


def test_a_module_succeeds_again_as_soon_as_libvirtd_answers_again(hv):
    with stopped(hv):
        assert hv.mon("vm3")["code"] == "libvirt_unreachable"
    assert only(hv.enable("vm3"))["status"] == "Enabled"


def test_the_ordinary_socket_is_used_where_the_read_only_one_is_switched_off(hv):
    with without(hv, READ_ONLY):
        assert only(hv.enable("vm3"))["status"] == "Enabled"
        assert hv.query("vm3")["status"] == "Enabled"
        assert hv.stats("vm3")["vcpus"]["counted"] == [0, 1]
        assert only(hv.disable("vm3"))["status"] == "Disabled"


@pytest.mark.parametrize("module", MODULES)
def test_the_message_says_which_sockets_were_tried_where_there_is_none(hv, module):
    with without(hv, READ_ONLY, ORDINARY):
        result = hv.run(module, name="vm3")
    assert result["code"] == "libvirt_unreachable"
    for path in (READ_ONLY, ORDINARY):
        assert f"{path}': No such file or directory" in result["msg"]


def test_the_read_only_socket_suffices(hv):
    with without(hv, ORDINARY):
        succeeded(hv.mon("vm3"))
