"""The files of a spool folder: one process appends to each, and any process may read it.

`<owner>.<number>.spool` holds records, `<owner>.lock` is held by the process that writes them, for as long as
it lives. An owner is named after the time when it began, its process id and a random number, so that none
comes back. A file whose name ends in `.power` holds records that have to survive a loss of power.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from secrets import token_hex
from typing import Literal, TypeAlias

from .disk import BINARY, is_same_file, private_file
from .frames import MAGIC, Unpacked, unpack
from .locks import Lock

Kind: TypeAlias = Literal["spool", "power"]

_NAME = re.compile(r"(?P<owner>[0-9a-f]{16}-[0-9]+-[0-9a-f]{8})\.(?:[0-9]{6,}\.(?:spool|power)|lock)")


class Segment:
    """One file of records, open.

    Args:
        folder: where it lies.
        name: its name.
        new: whether to make it, for appending; otherwise it is there, and is read.

    Attributes:
        descriptor: of the open file, or -1.
        position: bytes of it that are known to be in the database.
        synced: whether all of it is known to survive a loss of power; only kept where that was promised.

    Raises:
        OSError: it cannot be opened; FileExistsError, FileNotFoundError and all others.
    """

    __slots__ = ("descriptor", "name", "path", "position", "synced")

    def __init__(self, folder: str, name: str, *, new: bool = False) -> None:
        self.name = name
        self.path = f"{folder}{os.sep}{name}"
        self.position = 0
        self.synced = False
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL if new else os.O_RDONLY
        self.descriptor = private_file(self.path, flags) if new else os.open(self.path, flags | BINARY)

    @property
    def owner(self) -> str:
        """The name of the process that writes it."""
        return self.name.partition(".")[0]

    @property
    def has_to_survive_power(self) -> bool:
        """Whether its records were promised to survive a loss of power."""
        return self.name.endswith(".power")

    def size(self) -> int:
        """Return its size in bytes."""
        return os.fstat(self.descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of the file; fewer than `size` only at its end."""
        if hasattr(os, "pread"):
            return os.pread(self.descriptor, size, offset)
        with Path(self.path).open("rb") as file:  # on Windows, where nobody removes what is open here
            file.seek(offset)
            return file.read(size)

    def is_in_place(self) -> bool:
        """Tell whether the file is still where others find it."""
        return is_same_file(self.descriptor, self.path)

    def is_of_another_version(self) -> bool:
        """Tell whether another version of llmopt wrote it, in a format that this one does not know."""
        head = self.read(0, len(MAGIC))
        return len(head) == len(MAGIC) and head != MAGIC and head[:-1] == MAGIC[:-1]

    def unpack(self, size: int) -> Unpacked:
        """Return the whole frames in the next bytes behind `position`."""
        start, buffer = self._frames(size)
        found = unpack(buffer)
        return found._replace(consumed=start + found.consumed)

    def rest(self, end: int) -> bytes:
        """Return the bytes from `position` on, which hold no whole frame."""
        return self._frames(end - self.position)[1]

    def _frames(self, size: int) -> tuple[int, bytes]:
        """Return the next bytes, and how many come before them that belong to no frame."""
        buffer = self.read(self.position, size)
        if self.position == 0 and buffer.startswith(MAGIC):
            return len(MAGIC), buffer[len(MAGIC) :]
        return 0, buffer

    def take_back(self, size: int) -> bool:
        """Cut the last bytes off again. Return whether that was possible."""
        try:
            if size:
                os.ftruncate(self.descriptor, self.size() - size)
        except OSError:
            return False
        return True

    def remove(self) -> None:
        """Remove the file from the folder, if it is there, and close it.

        Raises:
            OSError: it cannot be removed; it is still open then.
        """
        if os.name == "nt":  # pragma: no cover - nobody, this process included, may have it open there
            self.close()
        try:
            Path(self.path).unlink()
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError:
            if self.descriptor < 0:  # pragma: no cover
                self.descriptor = os.open(self.path, os.O_RDONLY | BINARY)
            raise
        self.close()

    def close(self) -> None:
        """Close the file."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Owner:
    """What this process is known by in a folder, and the lock that shows that it lives.

    Args:
        folder: the spool folder.

    Raises:
        OSError: the lock cannot be made.
    """

    __slots__ = ("_folder", "_lock", "_number", "name")

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._number = 0
        while True:
            self.name = f"{time.time_ns():016x}-{os.getpid()}-{token_hex(4)}"
            self._lock = lock_of(folder, self.name)
            if self._lock.acquire():
                break
            self._lock.close()  # somebody has looked whether its owner is gone before it was locked

    def new_segment(self, kind: Kind) -> Segment:
        """Make the next file."""
        self._number += 1
        return Segment(self._folder, f"{self.name}.{self._number:06d}.{kind}", new=True)

    def is_in_place(self) -> bool:
        """Tell whether others find the lock."""
        return self._lock.is_in_place()

    def close(self) -> None:
        """Let others believe that this process is gone."""
        self._lock.close()

    def remove(self) -> None:
        """Do the same, and leave nothing behind."""
        self._lock.remove()


def lock_of(folder: str, owner: str) -> Lock:
    """Return the lock that an owner holds for as long as it lives."""
    return Lock(f"{folder}{os.sep}{owner}.lock")


def pid_of(owner: str) -> int:
    """Return the process id of an owner."""
    return int(owner.split("-")[1])


def survey(folder: str) -> dict[str, list[str]]:
    """Return the names of all files of records, in order, by their owner; an owner may have none.

    What else lies in the folder is not looked at.

    Raises:
        OSError: the folder cannot be read. One that is not there holds nothing.
    """
    found: dict[str, list[str]] = {}
    try:
        names = os.listdir(folder)  # noqa: PTH208 - their names are all that is wanted
    except (FileNotFoundError, NotADirectoryError):
        return found
    for name in sorted(names):
        matched = _NAME.fullmatch(name)
        if matched:
            files = found.setdefault(matched["owner"], [])
            if not name.endswith(".lock"):
                files.append(name)
    return found


def spool_folder(path: str) -> str:
    """Return the spool folder of a log.

    Args:
        path: the log's file, absolute.
    """
    return path + "-spool"
