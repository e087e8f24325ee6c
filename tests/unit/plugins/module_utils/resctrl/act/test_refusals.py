# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a refusal of the kernel's means on Arm: a CTRL_MON group that is full, or an RMID that waits."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.refusals import held_in, passing
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group, group_for
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import Kernel
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    LIBVIRT_MONITOR,
    PQOS,
    uuid,
)

REFUSAL = errors.RmidsExhausted("Cannot make the group at /x: No space left on device (Out of RMIDs)", path="/x")
WANTED = group_for(uuid(1), ROOT)


@pytest.fixture(name="kernel")
def kernel_fixture(tmp_path):
    """Makes a resctrl with some groups, whose files tell how many RMIDs each CTRL_MON group has, or do not (None)."""

    def make(each, *groups):
        kernel = Kernel(tmp_path, groups, num_rmids=8 * (each or 1))
        if each is not None:
            (tmp_path / "info/L3").mkdir()
            (tmp_path / "info/L3/num_closids").write_text("8\n")
            (tmp_path / "info/L3_MON/mbm_assign_mode").write_text("[mbm_event]\n")
        return kernel

    return make


def test_only_mon_groups_of_the_control_group_take_its_places():
    groups = [PQOS, LIBVIRT_MONITOR, Group(PQOS.ctrl, "m"), Group(PQOS.ctrl, "n")]
    assert (held_in(ROOT.ctrl, groups), held_in(PQOS.ctrl, groups)) == (1, 2)


@pytest.mark.parametrize(
    ("each", "seen", "groups"),
    [
        # As many as the files say
        (2, 0, [LIBVIRT_MONITOR]),
        (1, 0, []),
        # By a rename there may be more
        (1, 0, [LIBVIRT_MONITOR]),
        # As many as there have been
        (None, 0, []),
        (None, 1, [LIBVIRT_MONITOR]),
    ],
)
def test_a_refusal_in_a_full_group_is_believed(kernel, each, seen, groups):
    assert passing(kernel(each, *groups), WANTED, REFUSAL, seen) is None


@pytest.mark.parametrize(
    ("each", "seen", "groups"),
    [
        (2, 0, []),
        (3, 0, [LIBVIRT_MONITOR]),
        # Those of other CTRL_MON groups do not count
        (2, 0, [PQOS, Group(PQOS.ctrl, "m")]),
        (None, 1, []),
        (None, 2, [LIBVIRT_MONITOR]),
    ],
)
def test_a_refusal_where_there_is_room_passes(kernel, each, seen, groups):
    waits = passing(kernel(each, *groups), WANTED, REFUSAL, seen)
    assert isinstance(waits, errors.RmidsInLimbo)
    assert (waits.message, waits.path) == (REFUSAL.message, REFUSAL.path)
    assert "is not full" in waits.hint
