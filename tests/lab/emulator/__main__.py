# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mount an emulated resctrl in the foreground. It unmounts itself on SIGTERM and SIGINT."""

from __future__ import annotations

import argparse
import resource
import signal
import sys

from .control import Commands, ControlServer
from .filesystem import Filesystem, Mount
from .model import Resctrl
from .mounting import MOUNT_FAILURE, die_with_parent, prepare
from .observer import Observer
from .profiles import PROFILES, load


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="emulator", description=__doc__)
    parser.add_argument("mountpoint", help="an existing directory")
    parser.add_argument("--profile", default="intel-6.1", help=f"one of: {', '.join(PROFILES)}")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a field of the profile, e.g. l3_ids=0,1"
    )
    parser.add_argument("--control", metavar="SOCKET", help="path of the control socket")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the parent process ends")
    return parser.parse_args()


def _raise_file_limit() -> None:
    """Every tracked thread and every open file of a client holds a descriptor."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Serve; the exit status is 0 after an unmount, 2 for wrong arguments, 32 if it cannot be mounted."""
    arguments = _arguments()
    if arguments.die_with_parent:
        die_with_parent()
    try:
        resctrl = Resctrl(load(arguments.profile, arguments.set))
    except ValueError as error:
        print(f"emulator: {error}", file=sys.stderr)
        return 2
    try:
        mountpoint = prepare(arguments.mountpoint)
    except OSError as error:
        print(f"emulator: {error.strerror}: {error.filename}", file=sys.stderr)
        return MOUNT_FAILURE
    _raise_file_limit()
    observer = Observer(resctrl)
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    # The server's threads inherit this, so that signals reach the main thread and interrupt libfuse's loop.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    server = ControlServer(arguments.control, Commands(resctrl, observer)) if arguments.control else None
    if server:
        server.start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    filesystem = Filesystem(resctrl, observer)
    try:
        Mount(filesystem, mountpoint, resctrl.profile.ro)
    except RuntimeError:  # also after a signal
        return 0 if filesystem.mounted else MOUNT_FAILURE
    finally:
        if server:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
