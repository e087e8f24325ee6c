# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts brought up, found and taken down."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

from waiting import comes

from . import cgroups, check, network, roots, ssh
from .channel import Channel
from .command import lab_environment
from .errors import LabError
from .host import Host
from .state import Settings, State, state_root

if t.TYPE_CHECKING:
    from collections.abc import Iterable


class Lab:
    """The hosts below one directory of /run.

    As a context manager it takes down at its end what was brought up through it. Unless `keep` is set its hosts also
    die with the thread that brought them up (prctl PR_SET_PDEATHSIG), so that a killed test run leaves nothing.
    """

    def __init__(self, root: Path | None = None, *, keep: bool = False) -> None:
        self.root = root or state_root()
        self._keep = keep
        self._ours: list[str] = []

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(self._ours):
            self.down(name)

    # -- up ------------------------------------------------------------------------------------------------------------

    def up(
        self,
        name: str,
        *,
        full: bool = False,
        profile: str | None = None,
        overrides: Iterable[str] = (),
        resctrl: bool = True,
        libvirt: bool = True,
        release: str | None = None,
    ) -> Host:
        """Brings a host up; returns when it is ready. What a crashed host of that name left is removed first.

        `overrides` are the emulator's KEY=VALUE. A full host may be of another `release` of Debian, whose root is made
        if it is not there. Raises LabError if the host is up, something is missing on the machine, or it does not come
        up; the logs stay in its directory then.
        """
        settings = Settings(name, full, resctrl, libvirt, profile, tuple(overrides), release)
        if release and not full:
            raise LabError("a light host has the machine's own files: a host of another release is a full one")
        missing = check.missing(full=full, resctrl=resctrl, libvirt=libvirt, release=bool(release))
        if missing:
            raise LabError("\n".join(missing))
        if release:
            roots.make(release)
        state = State(self.root, name)
        if not state.alive():
            self.down(name)
        with state.claim() as lock:
            ssh.make_keys(state)
            self._start(state, settings, lock)
        self._ours.append(name)
        return Host(state)

    def _start(self, state: State, settings: Settings, lock: int) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = self._spawn_supervisor(state, settings, theirs, lock)
            theirs.close()
            try:
                _shake_hands(state, Channel(ours))
            except BaseException:
                process.kill()
                process.wait()
                raise
        # Somebody has to reap it when the host dies, and this process may live on.
        threading.Thread(target=process.wait, daemon=True).start()

    def _spawn_supervisor(
        self, state: State, settings: Settings, channel: socket.socket, lock: int
    ) -> subprocess.Popen[bytes]:
        tied = [] if self._keep else ["setpriv", "--pdeathsig", "KILL", "--"]
        namespaces = ("--mount", "--propagation", "unchanged", "--uts", "--ipc", "--pid", "--fork", "--kill-child")
        fields = json.dumps(dataclasses.asdict(settings))
        module = [sys.executable, "-m", "hosts.supervisor", str(state.directory), str(channel.fileno()), fields]
        with (state.log / "supervisor.log").open("wb") as log:
            return subprocess.Popen(
                [*tied, "unshare", *namespaces, "--", *module],
                cwd="/",
                env=lab_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(channel.fileno(), lock),
            )

    # -- down ----------------------------------------------------------------------------------------------------------

    def down(self, name: str) -> None:
        """Takes a host down at once, as pulling its plug would. Nothing happens if there is none."""
        state = State(self.root, name)
        record = state.last()
        if state.alive():
            if record is None:
                raise LabError(f"{name} is still coming up")
            with contextlib.suppress(ProcessLookupError):
                os.kill(record.supervisor, signal.SIGKILL)
            if not comes(lambda: not state.alive(), 20):
                raise LabError(f"{name} does not die")
            network.wait_until_gone(record.interface_index)
        if record is not None and record.settings.full:
            cgroups.remove(state, record.supervisor)
        state.remove()
        if name in self._ours:
            self._ours.remove(name)

    # -- who is there --------------------------------------------------------------------------------------------------

    def host(self, name: str) -> Host:
        """A host that is up. Raises LabError if it is not."""
        host = Host(State(self.root, name))
        host.state.read()
        return host

    def states(self) -> list[State]:
        """The hosts that left a trace, up or crashed, by name."""
        if not self.root.is_dir():
            return []
        return [State(self.root, entry.name) for entry in sorted(self.root.iterdir())]

    def inventory(self, names: Iterable[str] = ()) -> dict[str, t.Any]:
        """An Ansible inventory (the YAML plugin's structure) of these hosts, or of all that are up."""
        chosen = [self.host(name) for name in names] or [Host(state) for state in self.states() if state.alive()]
        return {"all": {"hosts": {h.name: ssh.inventory_variables(h.state, h.address) for h in chosen}}}


def _shake_hands(state: State, channel: Channel) -> None:
    """Gives the host its network and waits until it is ready. Raises LabError if it does not get there."""
    try:
        (supervisor,) = channel.receive("pid")
        address, interface_index = network.connect(supervisor)
        ssh.write_known_hosts(state, address)
        channel.send("address", address, interface_index)
        channel.receive("ready")
    except LabError as error:
        raise LabError(f"{state.name} did not come up: {error} (see {state.log})") from error
