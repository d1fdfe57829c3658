"""What is asked of the disk, on all systems: files for their owner's eyes alone, and that they be safe."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

BINARY: int = getattr(os, "O_BINARY", 0)
"""A flag that Windows needs for files which are no text."""


def private_file(path: str, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """Open a file, make it (0600) and its folders (0700) where they are missing; return its descriptor."""
    try:
        return os.open(path, flags | BINARY, 0o600)
    except FileNotFoundError:
        _make_private_folder(Path(path).parent)
        return os.open(path, flags | BINARY, 0o600)


def _make_private_folder(folder: Path) -> None:
    if not folder.exists():  # mkdir(parents=True) would make those above for everybody
        _make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def is_same_file(descriptor: int, path: str) -> bool:
    """Tell whether a path leads to the file that a descriptor has open."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))  # noqa: PTH116 - likewise
    except OSError:
        return False


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of the data. A disk that is full takes a part of it, and says why at the next attempt.

    Raises:
        OSError: not all of it was written.
    """
    while data:
        done = os.write(descriptor, data)
        if done == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        data = data[done:]


def sync(descriptor: int) -> None:
    """Wait until what was written to a file survives a loss of power.

    Raises:
        OSError: it does not.
    """
    if sys.platform == "darwin":  # pragma: no cover - fsync() leaves it in the disk's own memory there
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_folder(folder: str) -> None:
    """Wait until the files of a folder would be found again after a loss of power.

    Raises:
        OSError: they would not.
    """
    if os.name == "nt":  # pragma: no cover - a folder cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
