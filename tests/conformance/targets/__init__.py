# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the rules of resctrl are tried: a real kernel's filesystem, or the emulator with one of its profiles.

The tests also run in guests and on hosts that have just Python and pytest: only the standard library is imported here,
but for what starts emulators.
"""

from __future__ import annotations

import pathlib
import sys

# What makes guests, and sets the counters inside of them, is a folder of programs; so is the lab.
_TESTS = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(_TESTS / "kernel"), str(_TESTS / "lab")]
