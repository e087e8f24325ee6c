# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab keeps about a host outside of it: one directory, and a lock that is held while the host lives."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import shutil
import typing as t
from pathlib import Path

from waiting import comes

from .errors import LabError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def state_root() -> Path:
    """Where the hosts of this lab are kept: KVMOPS_LAB_STATE, or /run/kvmops-lab."""
    return Path(os.environ.get("KVMOPS_LAB_STATE", "/run/kvmops-lab"))


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a host was asked to be. `overrides` are KEY=VALUE for the emulator's profile. `release` is of Debian; None
    means the machine's own root.
    """

    name: str
    full: bool = False
    resctrl: bool = True
    libvirt: bool = True
    profile: str | None = None
    overrides: tuple[str, ...] = ()
    release: str | None = None


@dataclasses.dataclass(frozen=True)
class Record:
    """A host that has an address. `supervisor` and `leader` are process ids as the machine sees them: the first process
    of the PID namespace that the lab made, and the host's own first process, which is the same on a light host, systemd
    on a full one, and None while the host boots.
    """

    settings: Settings
    address: str
    interface_index: int
    supervisor: int
    leader: int | None = None


class State:
    """The directory of one host, mode 0700. It may exist without the host: a crash leaves it."""

    def __init__(self, root: Path, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise LabError(f"{name!r} cannot be a host's name: small letters, digits and hyphens, 40 at most")
        self.name = name
        self.directory = root / name

    @property
    def log(self) -> Path:
        """The host's logs, readable while it lives and after it died."""
        return self.directory / "log"

    @property
    def ssh(self) -> Path:
        """Keys, known_hosts and sshd's configuration."""
        return self.directory / "ssh"

    @property
    def control(self) -> Path:
        """The emulator's control socket, in a directory of its own so that it can be bound into a full host."""
        return self.directory / "control" / "socket"

    # -- life and death ------------------------------------------------------------------------------------------------

    def alive(self) -> bool:
        """Whether the host is up, or another command is bringing it up or down: someone holds the lock."""
        try:
            descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _try_lock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def claim(self) -> Iterator[int]:
        """The locked directory, empty. The lock lives on in every process that inherits the descriptor.

        Raises LabError if somebody holds it.
        """
        self.directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            self.directory.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if not _try_lock(descriptor, fcntl.LOCK_EX, patience=0.3):
                    raise LabError(f"{self.name} is up already")
                if not self._is_current(descriptor):
                    continue  # removed by a `down` between open and lock
                self.wipe()
                yield descriptor
                return
            finally:
                os.close(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.directory.stat())
        except FileNotFoundError:
            return False

    def wipe(self) -> None:
        """Empties the directory and makes its parts anew."""
        for entry in self.directory.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        for part in (self.log, self.ssh, self.control.parent):
            part.mkdir(mode=0o700)

    def remove(self) -> None:
        """Removes the directory of a host that is down."""
        shutil.rmtree(self.directory, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.directory.parent.rmdir()  # the last one out; other hosts keep it

    # -- the record ----------------------------------------------------------------------------------------------------

    def write(self, record: Record) -> None:
        """Replaces the record in one step."""
        new = self.directory / "host.json.new"
        new.write_text(json.dumps(dataclasses.asdict(record), indent=1) + "\n")
        new.rename(self.directory / "host.json")

    def read(self) -> Record:
        """The record of a host that is up. Raises LabError if it is not."""
        record = self.last()
        if not self.alive():
            raise LabError(f"{self.name} is not up")
        if record is None:
            raise LabError(f"{self.name} is still coming up")
        return record

    def last(self) -> Record | None:
        """The record of the host, up or dead; None before it has an address."""
        try:
            fields = json.loads((self.directory / "host.json").read_text())
        except FileNotFoundError:
            return None
        settings = fields.pop("settings")
        settings["overrides"] = tuple(settings["overrides"])
        return Record(settings=Settings(**settings), **fields)


def _try_lock(descriptor: int, kind: int, patience: float = 0) -> bool:
    """Takes the lock, unless it is held for longer than `patience` seconds; `alive` holds a shared one for a moment."""

    def is_taken() -> bool:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    return comes(is_taken, patience)
