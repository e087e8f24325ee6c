# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command as it is installed: its parts and the library lie beside each other on Python's path."""

from __future__ import annotations

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
FILES = ROOT / "roles/resctrl_monitor/files"

for path in (ROOT / "plugins/module_utils", FILES):
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))


@pytest.fixture
def files():
    """Where the command lies in the tree."""
    return FILES


@pytest.fixture
def tree():
    """The root of the collection."""
    return ROOT
