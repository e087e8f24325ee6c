# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written to resctrl, and what its refusals mean: the lock, and the only code that changes anything there."""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from .. import errors
from .files import read_if_there
from .groups import ROOT
from .lock import acquire

if t.TYPE_CHECKING:
    from .filesystem import Resctrl
    from .groups import Group

# Others hold the lock for milliseconds: who keeps it for so long is stuck
_LOCK_PATIENCE = 10.0


class Changes:
    """Changes in a mounted resctrl: groups of ours are made and removed, and threads moved into them.

    What is refused to others than root raises NotRoot, beside what is said of each change.
    """

    def __init__(self, resctrl: Resctrl) -> None:
        self._resctrl = resctrl

    def create(self, group: Group) -> None:
        """Make a MON group of ours; one that exists already is taken as it is.

        Raises RmidsExhausted (ENOSPC), RmidsInLimbo (EBUSY), Moved (its CTRL_MON group is gone), Refused.
        """
        path = self._own(group)
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            return
        except OSError as exc:
            raise self._refusal(exc, "make the group", path) from exc

    def remove(self, group: Group) -> None:
        """Remove a group of ours; its threads fall back to its CTRL_MON group, its RMID goes to the limbo.

        One that is gone already is fine. Raises Refused.
        """
        path = self._own(group)
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError as exc:
            raise self._refusal(exc, "remove the group", path) from exc

    def assign(self, group: Group, tid: int) -> None:
        """Move one thread into a group of ours; it leaves any other MON group.

        One decimal id a write(2), as every kernel takes it: a list needs 6.7, and 0 would be ourselves.
        Raises Moved (thread or group gone, or the thread is in another CTRL_MON group by now: EINVAL), Refused.
        """
        path = os.path.join(self._own(group), "tasks")
        if tid <= 0:
            raise ValueError(f"not a thread id: {tid}")
        try:
            _write_line(path, str(tid))
        except OSError as exc:
            raise self._refusal(exc, f"move thread {tid}", path) from exc

    def count(self, group: Group, event: str, cache: int) -> None:
        """Give a group of ours a bandwidth counter for an event on an L3 cache (AMD ABMC, Arm MPAM).

        Raises CountersExhausted (ENOSPC), Moved (the group is gone, or counters are not assigned any more), Refused.
        """
        self._write_assignment(group, f"{event}:{cache}=e")

    def uncount(self, group: Group, event: str, cache: int) -> None:
        """Take it back. Raises Moved, Refused."""
        self._write_assignment(group, f"{event}:{cache}=_")

    def _write_assignment(self, group: Group, text: str) -> None:
        path = os.path.join(self._own(group), "mbm_L3_assignments")
        try:
            _write_line(path, text)
        except OSError as exc:
            error = self._refusal(exc, f"write {text}", path)
            if exc.errno == errno.ENOSPC:
                hint = "Take the counter of another domain back (bandwidth=false)"
                raise errors.CountersExhausted(error.message, path=path, hint=hint) from exc
            raise error from exc

    def _own(self, group: Group) -> str:
        if not group.uuid or "/" in group.ctrl:
            raise ValueError(f"not a group of ours: {group.path!r}")
        return self._resctrl.path(group)

    def _refusal(self, exc: OSError, action: str, path: str) -> errors.ResctrlError:
        """The typed error for a refused change. Read at once: any later command may clear last_cmd_status."""
        said = f"Cannot {action} at {path}: {os.strerror(exc.errno or 0)}{self._last_command_status()}"
        if exc.errno == errno.ENOSPC:
            return errors.RmidsExhausted(said, path=path, hint="Free a monitoring group, or monitor fewer domains")
        if exc.errno == errno.EBUSY:
            hint = (
                "Freed RMIDs wait until the cache has lost their lines: try again in some seconds, "
                "or raise info/L3_MON/max_threshold_occupancy"
            )
            return errors.RmidsInLimbo(said, path=path, hint=hint)
        # EINVAL: the text that tells the cause may have been cleared by another program already
        if exc.errno in (errno.ENOENT, errno.ENODEV, errno.ESRCH, errno.EINVAL):
            return errors.Moved(said, path=path, hint="The domain or the group changed meanwhile: run again")
        if exc.errno in (errno.EACCES, errno.EPERM) and os.geteuid():
            return errors.NotRoot(said, path=path, hint="Run as root (become: true)")
        hint = "Look at the kernel's log, and whether resctrl is mounted read-write"
        return errors.Refused(said, path=path, hint=hint)

    def _last_command_status(self) -> str:
        """The kernel's own words for the last failure, as a suffix; "" if it has none (it is a hint, and global).

        From 6.7 on a line without a cause follows the one that names it.
        """
        text = read_if_there(self._resctrl.path(ROOT, "info/last_cmd_status"))
        lines = [line for line in text.strip().split("\n") if not line.startswith("Error while processing")] or [""]
        return f" ({lines[-1]})" if lines[-1] not in ("", "ok") else ""

    @contextlib.contextmanager
    def locked(self, patience: float = _LOCK_PATIENCE) -> t.Iterator[None]:
        """Hold the lock that the kernel's document asks for ("Locking between applications") and libvirt and pqos take.

        An exclusive flock(2) on the root directory. Raises LockTimeout after `patience` seconds, and NotMounted,
        Unreadable.
        """
        root = self._resctrl.root
        try:
            descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as exc:
            hint = f"Run 'mount -t resctrl resctrl {root}'"
            raise errors.NotMounted(f"resctrl at {root} went away: {exc.strerror}", path=root, hint=hint) from exc
        except OSError as exc:
            hint = "Run again, or look at the kernel's log, and at the limits of this process"
            raise errors.Unreadable(f"Cannot open {root}: {exc.strerror}", path=root, hint=hint) from exc
        try:
            if not acquire(descriptor, patience):
                raise errors.LockTimeout(
                    f"Another program has held the lock on {root} for more than {patience:g} seconds",
                    path=root,
                    hint="Find it with 'fuser -v' on that directory (libvirt, pqos, another run?), then run again",
                )
            yield
        finally:
            os.close(descriptor)


def _write_line(path: str, text: str) -> None:
    """One line in one write(2). Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, f"{text}\n".encode("ascii"))
    finally:
        os.close(descriptor)
