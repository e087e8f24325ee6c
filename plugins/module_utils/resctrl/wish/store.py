# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files of ours: read, and replaced atomically. They hold JSON."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
import time
import typing as t

from .. import errors
from ..kernel.lock import acquire

_PATIENCE = 10.0
# In seconds
_LONGEST_WRITE = 3600.0

# A float may be infinite in JSON, which is no int
_OF_ANOTHER_KIND = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError)

_Parsed = t.TypeVar("_Parsed")


def read_json(path: str, parse: t.Callable[[t.Any], _Parsed]) -> _Parsed | None:
    """A file, parsed; None where there is none.

    `parse` raises ValueError with a sentence, or what Python raises where a value is of another kind than it should be.
    Raises PolicyDamaged, NotRoot.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return parse(json.load(file, object_pairs_hook=_mapping))
    except FileNotFoundError:
        return None
    except PermissionError as exc:
        raise errors.NotRoot(
            f"Cannot read {path}: {exc.strerror}", path=path, hint="Run as root (become: true)"
        ) from exc
    except (OSError, ValueError, *_OF_ANOTHER_KIND) as exc:
        other = isinstance(exc, _OF_ANOTHER_KIND)
        why = f"it holds something else ({type(exc).__name__})" if other else str(exc)
        raise errors.PolicyDamaged(
            f"Cannot understand {path}: {why}",
            path=path,
            hint="Nothing was changed because of it. Write the file anew, or remove it",
        ) from exc


def _mapping(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
    """A mapping of JSON. Raises ValueError where a key is in it twice: Python would take the last one silently."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _value in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        names = " and ".join(f"'{value}'" for key, value in pairs if key == "name")
        raise ValueError(f"the key '{twice}' is there twice{f', in the rule {names}' if names else ''}")
    return found


def write_json(path: str, content: t.Mapping[str, t.Any]) -> None:
    """Replace a file of ours, see write_text(). Mode 0600. Raises OSError."""
    write_text(path, f"{json.dumps(content, indent=1)}\n", 0o600)


def note_json(path: str, content: t.Mapping[str, t.Any]) -> None:
    """The same, in a directory that need not be there yet. Raises OSError."""
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    write_json(path, content)


def update_json(
    path: str, parse: t.Callable[[t.Any], _Parsed], change: t.Callable[[_Parsed | None], t.Mapping[str, t.Any]]
) -> None:
    """Replace a file of ours, in a directory that need not be there yet, by what `change` makes of what it holds.

    Nobody else who does so comes between. What is damaged holds nothing (None). Raises LockTimeout, NotRoot, OSError.
    """
    directory = os.path.dirname(path)
    os.makedirs(directory, 0o755, exist_ok=True)
    with locked(directory):
        try:
            held = read_json(path, parse)
        except errors.PolicyDamaged:
            held = None
        write_json(path, change(held))


def write_text(path: str, text: str, mode: int) -> None:
    """Replace a file: a reader sees the old one or the new one, also after a crash. The last of several writers wins.

    What is there and is no file, such as a device or a link, is left alone. Raises OSError.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "It is no regular file", path)
    _remove_left(path)
    temporary = f"{path}.{os.urandom(4).hex()}.new"
    # Others may write to the directory, so nothing is opened that is there already
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            # The umask does not decide
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        # It is there only if that failed
        forget(temporary)


def _remove_left(path: str) -> None:
    """Remove what writers of a file have left that were killed. One that still writes began less than an hour ago."""
    directory, name = os.path.split(path)
    left = re.compile(rf"{re.escape(name)}(\.[0-9a-f]{{8}})?\.new")
    with contextlib.suppress(OSError):
        for one in os.listdir(directory or "."):
            file = os.path.join(directory, one)
            if left.fullmatch(one) and time.time() - os.lstat(file).st_mtime > _LONGEST_WRITE:
                forget(file)


def forget(path: str) -> None:
    """Remove a file of ours, if it is there. To forget something is worth no failure."""
    with contextlib.suppress(OSError):
        os.unlink(path)


@contextlib.contextmanager
def locked(directory: str, patience: float | None = None) -> t.Iterator[None]:
    """Hold a lock for the files of a directory: a flock on a file of its own, since the others are replaced.

    Raises LockTimeout, OSError.
    """
    path = os.path.join(directory, ".lock")
    seconds = _PATIENCE if patience is None else patience
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if not acquire(descriptor, seconds):
            raise errors.LockTimeout(
                f"Another run has held the lock {path} for more than {seconds:g} seconds",
                path=path,
                hint=f"Find it with 'fuser -v {path}', then run again",
            )
        yield
    finally:
        os.close(descriptor)
