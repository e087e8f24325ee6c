# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the collection importable by its full name, wherever its checkout lies."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
import types

if importlib.util.find_spec("ansible_collections") is None:
    root = pathlib.Path(__file__).resolve().parents[4]
    for name, paths in (
        ("ansible_collections", []),
        ("ansible_collections.kvmops", []),
        ("ansible_collections.kvmops.resctrl", [str(root)]),
    ):
        package = types.ModuleType(name)
        package.__path__ = paths
        sys.modules[name] = package
