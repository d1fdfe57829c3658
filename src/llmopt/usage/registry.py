"""The files that this process writes to: one writer each, however many logs name it."""

from __future__ import annotations

import atexit
import os
import threading
import time
from dataclasses import fields
from weakref import WeakSet, WeakValueDictionary

from ..errors import ConfigurationError
from ..forks import FORKS, PATIENCE_S
from .database import default_path
from .drainer import CLOSE_S, Drainer
from .settings import Settings
from .writer import Writer


class Registry:
    """All writers of the process. Several logs of one file must meet somewhere."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._writers: WeakValueDictionary[str, Writer] = WeakValueDictionary()
        self._drainers: WeakSet[Drainer] = WeakSet()  # they outlive their writers, until all is drained
        self._installed = False

    def writer(self, path: str | os.PathLike[str] | None, settings: Settings | None = None) -> Writer:
        """Return the writer of a file.

        Args:
            path: the file; None stands for the default one.
            settings: how its records are kept.

        Raises:
            ConfigurationError: it has a writer already, with other settings.
        """
        resolved, wanted = resolve(path), settings or Settings()
        with self._lock:
            writer = self._writers.get(resolved)
            if writer is None:
                writer = self._writers[resolved] = Writer(resolved, wanted)
                self._drainers.add(writer.drainer)
                self._install()
        _require_same(resolved, wanted, writer.settings)
        return writer

    def flush(self, timeout_s: float, path: str | None = None) -> bool:
        """Drain one file, or all. Return whether all that was put before is in the database."""
        give_up_at = time.monotonic() + timeout_s
        done = True
        for drainer in self.drainers(path):
            done &= drainer.flush(max(0.0, give_up_at - time.monotonic()))
        return done

    def drainers(self, path: str | None = None) -> list[Drainer]:
        """Return what drains one file in this process, or all files."""
        with self._lock:
            return [drainer for drainer in self._drainers if path in (None, drainer.drain.path)]

    def _install(self) -> None:
        """Have the process tell when it ends or forks: at the first use, for nothing happens at import."""
        if not self._installed:
            self._installed = True
            atexit.register(self.close)
            FORKS.guard(self)

    def close(self) -> None:
        """Drain all files and close them, as far as there is time: the process is about to end."""
        give_up_at = time.monotonic() + CLOSE_S
        for drainer in self.drainers():
            drainer.close(max(0.0, give_up_at - time.monotonic()))

    def pause(self) -> bool:
        """Wait for what looks up a writer, and let nothing do so. Return whether that was possible."""
        return self._lock.acquire(timeout=PATIENCE_S)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._lock.release()

    def disown(self) -> None:
        """Begin anew in the child of a fork."""
        self._lock = threading.RLock()


def resolve(path: str | os.PathLike[str] | None) -> str:
    """Return the absolute path of a log, by which all its writers know it."""
    return os.path.realpath(default_path() if path is None else path)


def _require_same(path: str, wanted: Settings, agreed: Settings) -> None:
    for field in fields(Settings):
        new, old = getattr(wanted, field.name), getattr(agreed, field.name)
        if new != old:
            raise ConfigurationError(
                f"UsageLog: {field.name}={new!r} is wrong: another log of {path} has {field.name}={old!r},"
                " and one writer serves both"
            )


REGISTRY = Registry()
