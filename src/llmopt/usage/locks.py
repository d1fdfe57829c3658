"""Locks between processes: a file that one of them holds, until it lets go or ends, however it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor, unlock_descriptor

from .disk import is_same_file, private_file

_POLL_S, _POLL_MAX_S = 0.001, 0.01


class Lock:
    """A lock of the operating system on a file of its own.

    The file holds nothing: on Windows a locked one cannot even be read. Each object has its own descriptor,
    so that two of them in one process exclude each other as two processes do. It is for one thread at a time.

    Args:
        path: the file, absolute; it and its folder are made where they are missing.
    """

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, timeout_s: float = 0.0) -> bool:
        """Take the lock, and wait for it that long. Return whether it was to be had.

        Raises:
            OSError: the file cannot be made, or not be locked.
        """
        give_up_at, pause_s = time.monotonic() + timeout_s, _POLL_S
        while not self._try():
            left_s = give_up_at - time.monotonic()
            if left_s <= 0:
                return False
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, _POLL_MAX_S)
        return True

    def _try(self) -> bool:
        if self._descriptor is None:
            self._descriptor = private_file(self.path)
        if not lock_descriptor(self._descriptor, blocking=False):
            return False
        if self.is_in_place():
            return True
        self.close()  # the file was removed, and the others lock another one
        return False

    def is_in_place(self) -> bool:
        """Tell whether the file that is open is still the one that the path leads to."""
        return self._descriptor is not None and is_same_file(self._descriptor, self.path)

    def release(self) -> None:
        """Let others have the lock."""
        if self._descriptor is not None:
            unlock_descriptor(self._descriptor)

    @contextmanager
    def held(self, timeout_s: float) -> Generator[None, None, None]:
        """Wait for the lock and hold it.

        Raises:
            TimeoutError: others held it for that long.
            OSError: the file cannot be made, or not be locked.
        """
        if not self.acquire(timeout_s):
            raise TimeoutError(f"{self.path} was held by others for {timeout_s:.1f} s")
        try:
            yield
        finally:
            self.release()

    def close(self) -> None:
        """Close the file; a lock that this process holds ends with it, one of its parent's does not."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def remove(self) -> None:
        """Remove the file while it is locked, so that nobody can lock it in between, and close it."""
        if os.name == "nt":  # pragma: no cover - nobody, this process included, may have it open there
            self.close()
        with suppress(FileNotFoundError, PermissionError):
            Path(self.path).unlink()
        self.close()
