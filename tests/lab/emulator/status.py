# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``info/last_cmd_status``: the global text of what went wrong last."""

from __future__ import annotations

BUFFER = 512
"""Bytes of the kernel's buffer, with the final NUL."""


class LastCommand:
    """The buffer. Messages are appended until something clears it; when it is cleared depends on the kernel era."""

    def __init__(self, marks_truncation: bool) -> None:
        self._marks_truncation = marks_truncation
        self._text = ""
        self._overflow = False

    def clear(self) -> None:
        """Back to ``ok``."""
        self._text = ""
        self._overflow = False

    def puts(self, text: str) -> None:
        """Append a fixed message; one that does not fit is dropped whole."""
        if self._overflow or len(self._text) + len(text) >= BUFFER:
            self._overflow = True
        else:
            self._text += text

    def printf(self, text: str) -> None:
        """Append a formatted message; one that does not fit is cut."""
        room = BUFFER - 1 - len(self._text)
        if self._overflow:
            return
        self._text += text[:room]
        self._overflow = len(text) > room

    def show(self) -> str:
        """What the file reads."""
        if not self._text and not self._overflow:
            return "ok\n"
        if self._overflow and self._marks_truncation:
            return self._text + "[truncated]\n"
        return self._text
