# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting, without time that passes."""

from __future__ import annotations

import errno

import pytest
from waiting import comes, wait_until, while_busy


@pytest.fixture(name="pauses")
def pauses_fixture():
    """The pauses that were made, in seconds: waiting(..., sleep=pauses.append)."""
    return []


def answers(*values):
    """A question that gets one answer after the other."""
    return iter(values).__next__


def failing(*errnos):
    """An action that fails with one errno after the other, and succeeds where it is 0."""
    rest = iter(errnos)

    def act():
        if number := next(rest):
            raise OSError(number, "refused")

    return act


def test_what_is_true_already_is_not_waited_for(pauses):
    assert comes(lambda: True, 0, pauses.append)
    assert pauses == []


def test_what_becomes_true_is_waited_for_with_pauses_that_grow(pauses):
    assert comes(answers(*[False] * 8, True), 60, pauses.append)
    assert pauses == pytest.approx([0.001, 0.002, 0.004, 0.008, 0.016, 0.02, 0.02, 0.02])


def test_what_does_not_come_in_time_is_named():
    assert not comes(lambda: False, 0)
    with pytest.raises(AssertionError, match="the end: not within 0 seconds"):
        wait_until(lambda: False, "the end", patience=0)


def test_what_is_busy_is_done_again(pauses):
    while_busy(failing(errno.EBUSY, errno.EBUSY, 0), 60, pauses.append)
    assert len(pauses) == 2


@pytest.mark.parametrize(
    ("errnos", "patience", "error"),
    [((errno.EBUSY, errno.ENOSPC), 60, errno.ENOSPC), ((errno.EBUSY, errno.EBUSY), 0, errno.EBUSY)],
    ids=["another error", "busy for too long"],
)
def test_any_other_error_and_too_much_of_it_are_raised(pauses, errnos, patience, error):
    with pytest.raises(OSError, match="refused") as raised:
        while_busy(failing(*errnos), patience, pauses.append)
    assert raised.value.errno == error
