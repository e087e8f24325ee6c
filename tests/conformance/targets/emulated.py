# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulator as a target, with one of its profiles."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from waiting import PATIENCE, while_busy

from emulator.control import Control
from emulator.profiles import load

from .syscalls import umount
from .target import Refused, Target

LAB = str(pathlib.Path(__file__).resolve().parents[2] / "lab")
PROFILES = {
    **{f"intel-{era}": (f"intel-{era}", "l3_ids=0,1") for era in ("5.10", "6.1", "6.12", "7.3")},
    "monitor-only": ("monitor-only",),
    "alloc-only": ("alloc-only",),
    "alloc-only-7.3": ("alloc-only", "era=7.3"),
    "no-mbm": ("no-mbm",),
    "no-cmt": ("no-cmt",),
    "snc": ("snc",),
    "amd-bmec": ("amd-bmec",),
    "amd-abmc": ("amd-abmc",),
    "arm-mpam": ("arm-mpam", "abmc_counters=3", "num_closids=4"),
    "arm-no-mbm": ("arm-mpam", "events=llc_occupancy", "abmc_counters=0", "num_closids=4"),
    "arm-monitor-only": ("arm-mpam", "alloc=", "abmc_counters=3", "num_closids=4", "l3_ids=0,1"),
    "intel-aet": ("intel-aet", "l3_ids=0,1"),
    "few-telemetry": ("intel-aet", "l3_ids=0,1", "telemetry_rmids=5", "packages=1"),
    "telemetry-only": ("telemetry-only",),
    "wide-ids": ("wide-ids",),
    "few-rmids": ("few-rmids",),
}
"""The emulated machines: a profile of the emulator's, and what is set in it."""
EXIT_STATUS = {2: errno.EINVAL, 32: errno.EBUSY}
"""What the emulator's exit status would be as the errno of mount(2)."""
LET_GO = 0.5
"""Seconds that FUSE may take to let go of a closed file."""


class Emulated(Target):
    """An emulator in a directory of its own."""

    def __init__(self, profile: str) -> None:
        if not importlib.util.find_spec("mfusepy"):
            raise Refused("the emulator needs mfusepy: pip install -r tests/lab/requirements.txt")
        base, *settings = PROFILES[profile]
        self._arguments = ["--profile", base, *(f"--set={setting}" for setting in settings)]
        self._profile = load(base, settings)
        self._directory = tempfile.mkdtemp(prefix="conformance-")
        os.chmod(self._directory, 0o755)  # noqa: S103  (other users take part)
        super().__init__(f"emulator {profile}", f"{self._directory}/resctrl", self._profile.era.name)
        os.mkdir(self.path)
        self._server: subprocess.Popen[str] | None = None
        self.control = Control(f"{self._directory}/control")
        try:
            self.mount()
            self.find_facts()
        except OSError as error:
            self.close()
            raise Refused(f"the emulator does not start with the profile {profile}: {error}") from error

    def mount(self, option: str = "") -> None:
        """Start an emulator on the mount point. An option is one of its profile's fields that is set to true."""
        argv = [sys.executable, "-m", "emulator", self.path, *self._arguments, "--die-with-parent"]
        # A second emulator would take the socket from the first.
        argv += [] if self.is_mounted() else ["--control", self.control.path]
        argv += [f"--set={option}=true"] if option else []
        environment = {**os.environ, "PYTHONPATH": LAB}
        server = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert server.stdout is not None
        ready = server.stdout.readline()
        server.stdout.close()
        if not ready:
            code = EXIT_STATUS.get(server.wait(), errno.EIO)
            raise OSError(code, os.strerror(code), self.path)
        self._server = server

    def umount(self) -> None:
        """Unmount it, and end the emulator, which might still be mounted in somebody's copy of our mount namespace.

        FUSE lets go of a file a moment after it was closed: the mount may be busy for that long.
        """
        while_busy(lambda: umount(self.path), LET_GO)
        self._end()

    def _end(self) -> None:
        self.control.close()
        if self._server:
            self._server.terminate()
            self._server.wait(PATIENCE)

    def close(self) -> None:
        """End the emulator."""
        self._end()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.control.path)
        os.rmdir(self.path)
        os.rmdir(self._directory)

    def place(self, tid: int) -> str:
        """As the emulator's own look-alike of /proc says it."""
        return self.control.place(tid)

    def let_time_pass(self, seconds: float) -> None:
        """For the limbo, not for us."""
        self.control.advance(seconds)

    def l3(self) -> tuple[set[int], int]:
        """The profile's."""
        return set(self._profile.l3_ids), self._profile.l3_size

    def cache_size(self) -> int:
        """What it would say on the profile's machine."""
        return self._profile.threshold_limit

    def own_facts(self) -> set[str]:
        """An emulator disturbs nobody. But mounting takes time, and is the same for all profiles of an era."""
        there = {
            "steerable": True,
            "destructive": self.name.startswith(("emulator intel-", "emulator amd-", "emulator arm-")),
            "intel": self._profile.vendor == "Intel",
            "contiguous": self._profile.contiguous,
            "mpam": self._profile.pmgs > 0,
        }
        return {fact for fact, is_there in there.items() if is_there}

    @contextlib.contextmanager
    def switched_off(self, l3_id: int) -> Iterator[None]:
        """Through the control socket."""
        self.control.offline(l3_id)
        try:
            yield
        finally:
            self.control.online(l3_id)

    def run_on(self, tid: int, l3_id: int) -> None:
        """Threads of an emulator run on all caches."""

    def set_counter(self, group: str, domain: int, event: str, value: float | str) -> None:
        """Through the control socket."""
        self.control.set(group, domain, event, value)

    def unset_counters(self) -> None:
        """Of all groups."""
        for path in self.control.snapshot()["groups"]:
            self.control.unset(path)

    def freeze(self, stop: bool) -> None:
        """Through the control socket."""
        if stop:
            self.control.freeze()
        else:
            self.control.unfreeze()
