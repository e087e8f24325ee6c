# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CSV: bytes, nothing hidden, and what is not known is empty."""

from __future__ import annotations

import csv
import io

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import EVENTS, PACKAGE, event_of
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.comma_separated import comma_separated
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import VM3


def described(**values):
    base = {"uuid": VM3.uuid, "status": "Enabled", "cmt": 10, "reason": None, "rates": None}
    return {**base, **dict(zip(EVENTS, (10, 300, 30))), **values}


def test_csv_has_a_line_for_each_domain_in_bytes():
    speeds = {"mbm_total_bytes_per_second": 1.5, "mbm_local_bytes_per_second": 0.5, "seconds": 2.0}
    text = comma_separated({'a,"b"': described(rates=speeds)})
    (line,) = csv.DictReader(io.StringIO(text))
    assert line == {
        "domain": 'a,"b"',
        "uuid": VM3.uuid,
        "status": "Enabled",
        "cmt": "10",
        "llc_occupancy": "10",
        "mbm_total_bytes": "300",
        "mbm_local_bytes": "30",
        "mbm_total_bytes_per_second": "1.5",
        "mbm_local_bytes_per_second": "0.5",
        "seconds": "2.0",
        "reason": "",
    }


def test_in_csv_what_is_not_known_is_empty_with_the_reason():
    text = comma_separated({"vm3": described(cmt=None, llc_occupancy=None, reason="unavailable")})
    (line,) = csv.DictReader(io.StringIO(text))
    assert (line["cmt"], line["llc_occupancy"], line["mbm_total_bytes_per_second"]) == ("", "", "")
    assert line["reason"] == "unavailable"


def test_csv_of_a_host_with_telemetry_has_its_values_too():
    there = [event_of(name, PACKAGE) for name in ("core_energy", "unhalted_core_cycles", "stalls_llc_miss", "new")]
    joules = described(core_energy=12345.678901, unhalted_core_cycles=3, stalls_llc_miss=2, new=1)
    joules["rates"] = {
        "seconds": 2.0,
        "core_energy_per_second": 12.5,
        "stalls_llc_miss_fraction": 0.25,
    }
    (line,) = csv.DictReader(io.StringIO(comma_separated({"vm3": joules}, there)))
    assert (line["core_energy"], line["new"], line["core_energy_per_second"]) == ("12345.678901", "1", "12.5")
    assert (line["stalls_llc_miss_fraction"], line["seconds"]) == ("0.25", "2.0")
    assert "new_per_second" not in line
