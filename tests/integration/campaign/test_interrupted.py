# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module is killed, or the kernel refuses, at every single operation: one clean run puts right whatever is left.

Nothing foreign is ever changed, and no RMID of ours is lost.
"""

from __future__ import annotations

import errno

import pytest

from emulator.faults import Fault

from .conftest import CHANGES

# What the kernel's document and source know, and what only a broken machine would say
ERRNOS = ("EBUSY", "ENOSPC", "ENOENT", "ENODEV", "ESRCH", "EINVAL", "EPERM", "EIO", "ENOMEM")


def put_right(scene):
    """One clean run; then everything is as wished, and the next one finds nothing to do."""
    scene.host.control.clear_faults()
    result = scene.enable()
    assert not result.get("failed"), result["msg"]
    assert scene.groups() == scene.wished()
    scene.host.changes()
    assert scene.enable()["changed"] is False
    assert scene.host.changes() == []


def foreign(scene):
    """The groups of others with their threads; a control group's are also those that we count below it."""
    groups = scene.groups()
    kept = {path: set(tids) for path, tids in groups.items() if "kvmops-" not in path}
    for path, tids in groups.items():
        parent, below, name = path.partition("/mon_groups/")
        if below and name.startswith("kvmops-"):
            kept[parent] |= tids
    return kept


def test_the_plan_of_this_scene_holds_every_kind_of_operation(scene):
    changes = scene.changes_of_a_run()
    assert set(changes) == set(CHANGES)
    assert scene.groups() == scene.wished()


@pytest.mark.parametrize("kind", CHANGES)
def test_killed_at_any_operation(scene, kind):
    for number in range(1, scene.changes_of_a_run()[kind] + 1):
        scene.lay_out()
        before = foreign(scene)
        scene.host.control.fault(Fault(kind, ".*kvmops-.*", nth=number, kill=True))
        with pytest.raises(AssertionError, match="ended with -9"):
            scene.enable()
        assert foreign(scene) == before
        put_right(scene)


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("name", ERRNOS)
def test_refused_at_any_operation(scene, kind, name):
    """The run that meets the error may do its work all the same, or fail with a sentence; never with a traceback."""
    number = 1
    while True:
        scene.lay_out()
        before = foreign(scene)
        fault = Fault(kind, ".*kvmops-.*", nth=number, errno=getattr(errno, name))
        scene.host.control.fault(fault)
        result = scene.enable()
        met = scene.host.control.faults()[0].seen >= number
        assert foreign(scene) == before
        assert not result.get("failed") or result["msg"]
        if not met:
            break
        put_right_at_once(scene)
        number += 1
    assert number > 1


def put_right_at_once(scene):
    scene.host.control.clear_faults()
    result = scene.enable()
    assert not result.get("failed"), result["msg"]
    assert scene.groups() == scene.wished()


def test_unreadable_at_any_file(scene):
    scene.lay_out()
    scene.host.control.clear_log()
    scene.enable()
    reads = len(scene.host.control.log("open", "read", "readdir"))
    assert reads > 10
    for number in range(1, reads + 1, 5):
        scene.lay_out()
        before = foreign(scene)
        scene.host.control.fault(Fault("", nth=number, errno=errno.EIO))
        result = scene.enable()
        assert foreign(scene) == before
        assert not result.get("failed") or "Input/output error" in result["msg"]
        put_right_at_once(scene)
