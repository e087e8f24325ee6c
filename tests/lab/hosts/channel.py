# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command that brings a host up and the host's supervisor say to each other, on a socket, in lines of JSON.

supervisor               command
["pid", PID]        ->                          its own process id, as the machine sees it
                    <-   ["address", A, I]      it now has an eth0, for address A; the machine's end has index I
["ready"]           ->                          the host's record is written; the command may go away
["error", TEXT]     ->                          and the end
"""

from __future__ import annotations

import contextlib
import json
import typing as t

from .errors import LabError

if t.TYPE_CHECKING:
    import socket

_PATIENCE = 180.0


class Channel:
    """One end."""

    def __init__(self, end: socket.socket) -> None:
        end.settimeout(_PATIENCE)
        self._socket = end
        self._reader = end.makefile(encoding="utf-8")

    def send(self, *message: str | int) -> None:
        """Sends a message; nothing happens if nobody listens any more."""
        with contextlib.suppress(OSError):
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, word: str) -> list[t.Any]:
        """The rest of the next message, which begins with `word`. Raises LabError with the reason if it does not."""
        try:
            line = self._reader.readline()
        except TimeoutError:
            raise LabError(f"no answer within {_PATIENCE:.0f} seconds") from None
        if not line:
            raise LabError("the other process died")
        values: list[t.Any]
        got, *values = json.loads(line)
        if got != word:
            raise LabError(str(values[0]))
        return values
