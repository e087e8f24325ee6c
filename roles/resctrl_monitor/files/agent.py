# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts the command resctrl-mon, whose parts lie beside the library."""

from __future__ import annotations

import sys

# Nowhere on Python's path
sys.path.insert(0, "/usr/local/lib/kvmops-resctrl")

from command.main import main

# Where domains come from unless --source says otherwise; the role writes what resctrl_monitor_source says
SOURCE = "libvirt"

sys.exit(main(source=SOURCE))
