# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong in the lab."""

from __future__ import annotations


class LabError(Exception):
    """One sentence for the person who runs the lab: what is wrong and what to do."""
