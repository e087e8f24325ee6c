# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role resctrl_monitor installs the whole library."""

from __future__ import annotations

import pathlib

import yaml

ROOT = pathlib.Path(__file__).parents[3]


def test_every_wing_of_the_library_is_installed():
    variables = yaml.safe_load((ROOT / "roles/resctrl_monitor/vars/main.yml").read_text(encoding="utf-8"))
    library = ROOT / "plugins/module_utils/resctrl"
    assert variables["__resctrl_monitor_wings"] == sorted({path.parent.name for path in library.glob("*/*.py")})
