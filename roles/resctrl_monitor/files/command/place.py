# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the command finds domains, as --source says, and whether there are values."""

from __future__ import annotations

import typing as t

from resctrl.errors import NotMounted
from resctrl.kernel.preflight import missing_monitoring
from resctrl.observe.host import PROCESSES, Host
from resctrl.vms import files

if t.TYPE_CHECKING:
    import argparse

    from resctrl.kernel.filesystem import Resctrl


def host_of(options: argparse.Namespace) -> Host:
    """This host, as --source says."""
    make = Host.of_processes if options.source == PROCESSES else Host.of_files
    return make(options.resctrl_path)


def check_counting(resctrl: Resctrl) -> list[str]:
    """Why nothing is counted here, a sentence; empty if it is. Raises NotMounted, about which something can be done."""
    missing = missing_monitoring(resctrl)
    if isinstance(missing, NotMounted):
        raise missing
    return [str(missing)] if missing else []


def changes_of(options: argparse.Namespace) -> t.Callable[[], int]:
    """What tells when a domain last changed."""
    if options.source == PROCESSES:
        from resctrl.vms import qemu

        return qemu.changed_at
    return files.changed_at
