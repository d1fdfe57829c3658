"""Builds tiktoken's encodings from rank files at hand, by tiktoken's own definitions of them.

Nothing is registered with tiktoken unless `preload` is called: a second plugin that names `o200k_base` would
break every encoding in the process.
"""

from __future__ import annotations

from binascii import a2b_base64
from dataclasses import dataclass
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..errors import TokenizerError
from .ranks import find_ranks

if TYPE_CHECKING:
    from tiktoken import Encoding

    from .ranks import Places

__all__ = ["Definition", "Loaded", "definition_of", "download", "load_offline"]


@dataclass(frozen=True, slots=True)
class Definition:
    """How tiktoken defines an encoding.

    Attributes:
        url: where its rank file is published.
        sha256: the checksum that tiktoken pins for that file.
        arguments: what else `tiktoken.Encoding` takes: name, pattern, special tokens.
    """

    url: str
    sha256: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Loaded:
    """An encoding and where it comes from; or None and why."""

    encoding: Encoding | None
    source: str
    notes: tuple[str, ...]


def definition_of(name: str) -> Definition:
    """Return the definition in the installed tiktoken.

    tiktoken's constructors download as they define. They run here on names of our own, among which the
    loader is a recorder and nothing else can reach a file or the network.

    Raises:
        TokenizerError: tiktoken defines this encoding in some other way.
    """
    public = vars(import_module("tiktoken_ext.openai_public"))
    asked: list[tuple[str, str]] = []

    def record(url: str, expected_hash: str) -> dict[bytes, int]:
        asked.append((url, expected_hash))
        return {}

    names: dict[str, Any] = {key: value for key, value in public.items() if isinstance(value, str)}
    names.update(__builtins__=public["__builtins__"], load_tiktoken_bpe=record)
    try:
        for key, constructor in public["ENCODING_CONSTRUCTORS"].items():
            names[key] = FunctionType(constructor.__code__, names, key)
        arguments: dict[str, Any] = names[name]()
        [(url, sha256)] = asked
        del arguments["mergeable_ranks"]
    except (AttributeError, LookupError, NameError, TypeError, ValueError) as error:
        raise TokenizerError(f"tiktoken does not define {name} by one rank file: {error!r}") from error
    return Definition(url, sha256, arguments)


def load_offline(name: str, places: Places) -> Loaded:
    """Build an encoding from the first valid rank file in `places`."""
    from tiktoken import Encoding

    try:
        definition = definition_of(name)
    except TokenizerError as error:
        return Loaded(None, "", (str(error),))
    found = find_ranks(definition.url, definition.sha256, places)
    if found.data is None:
        return Loaded(None, "", (*found.notes, f"no valid rank file of {name} on this machine"))
    encoding = Encoding(**definition.arguments, mergeable_ranks=_parse(found.data))
    return Loaded(encoding, found.source, found.notes)


def _parse(data: bytes) -> dict[bytes, int]:
    """Read the lines `base64(token) rank`. Their checksum has been verified, so they are well formed."""
    fields = data.split()
    return dict(zip(map(a2b_base64, fields[::2]), map(int, fields[1::2]), strict=True))


def download(name: str) -> Loaded:
    """Have tiktoken load an encoding in its own way, from the network if its cache lacks it."""
    import tiktoken

    try:
        return Loaded(tiktoken.get_encoding(name), "tiktoken download", ())
    except Exception as error:  # noqa: BLE001 - tiktoken lets through whatever its HTTP client raises
        return Loaded(None, "", (f"download of {name} by tiktoken failed: {error!r}",))
