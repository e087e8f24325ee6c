# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt is told of tuning."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from tuning import Cachetune, Memorytune, cputune


@pytest.mark.parametrize(
    ("tuning", "xml"),
    [
        ([], ""),
        (
            [Cachetune("0-1", cache_id=0, size_kib=2048)],
            '<cachetune vcpus="0-1"><cache id="0" level="3" type="both" size="2048" unit="KiB" /></cachetune>',
        ),
        (
            [Cachetune("0", monitors=["0"]), Cachetune("1", monitors=["1"])],
            '<cachetune vcpus="0"><monitor level="3" vcpus="0" /></cachetune>'
            '<cachetune vcpus="1"><monitor level="3" vcpus="1" /></cachetune>',
        ),
        (
            [Memorytune("0-1", node=0, bandwidth=50)],
            '<memorytune vcpus="0-1"><node id="0" bandwidth="50" /></memorytune>',
        ),
    ],
    ids=["nothing", "an allocation of cache", "monitors alone", "an allocation of bandwidth"],
)
def test_tuning_is_the_content_of_cputune(tuning, xml):
    assert "".join(ET.tostring(one, encoding="unicode") for one in cputune(tuning)) == xml
