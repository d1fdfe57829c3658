"""`encode`: the cheapest text, by exact count, that a profile allows for a value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from ..errors import ConfigurationError, EncodingError
from ..tokens import TokenCounter
from .check import checked
from .delta import difference
from .notation.bounds import at_least, at_most
from .notation.features import PROFILES, Features
from .notation.lexical import compact
from .notation.shapes import Shapes
from .notation.unpack import hide, unpack
from .notation.write import CHANGES, Writer
from .roles import Role, role_of
from .roles.loss import LossReport
from .vault import Vault

__all__ = ["Encoded", "encode", "forget_shapes"]

_MAX_LEVELS: Final = 64  # what is nested deeper is written as JSON
_HALVED: Final = 0.5
_PASS: Final = (
    orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_SHAPES: Final = Shapes()
_JSON_MARKS: Final = ('"{', '"[')


@dataclass(frozen=True, slots=True)
class Encoded:
    """The text of a value, and what it costs.

    Attributes:
        text: what to put into the prompt.
        profile: the profile that was asked for.
        encoding: the encoding that won: "json", "tables", "templates", "dense" or "delta".
        loss: what the role has left out.
        exact: whether token counts are exact.
        vault: what restores the ids, where one was used.
    """

    text: str
    profile: str
    encoding: str
    loss: LossReport
    exact: bool
    vault: Vault | None = field(repr=False)
    _json: str = field(repr=False, compare=False)
    _counter: TokenCounter = field(repr=False, compare=False)

    @property
    def tokens(self) -> int:
        """Tokens of the text."""
        return self._counter.count(self.text)

    @property
    def tokens_before(self) -> int:
        """Tokens of the value, as it was given, as compact JSON; counted when first asked for."""
        return self._counter.count(self._json)

    @property
    def ratio(self) -> float:
        """How many times fewer tokens than compact JSON."""
        return self.tokens_before / self.tokens

    @property
    def dropped(self) -> tuple[str, ...]:
        """JSON pointers of what the role has left out."""
        return self.loss.paths

    def __str__(self) -> str:
        return self.text


def encode(
    value: Any,
    profile: str = "balanced",
    *,
    role: Role | str | None = None,
    previous: Any = None,
    vault: Vault | None = None,
    counter: TokenCounter | None = None,
) -> Encoded:
    """Return the text of fewest tokens for `value` that the profile allows.

    Never more tokens than compact JSON, and nothing is lost but what `role` drops: `decode(encode(x).text)`
    is `x`, with the types and the order of keys. The template found for a list is remembered and tried on
    lists that look alike; what does not fit it is analysed anew.

    Args:
        value: JSON as Python has it; tuples count as lists.
        profile: "safe" (compact JSON, plain tables), "balanced" (constants hoisted into templates) or "dense"
            (numbers without delimiters, derived strings, lookups, JSON in strings opened).
        role: prunes and rounds first; a `Role` or the name of one in `ROLES`.
        previous: the value that the reader of the text has already: only changes are written if that is
            cheaper. `decode` needs it too.
        vault: takes opaque ids out and puts handles in. `decode` needs it too.
        counter: counts tokens; o200k_base by default.

    Raises:
        EncodingError: `value` is no JSON.
        ConfigurationError: there is no such profile or role.

    Example:
        >>> encoded = encode([{"id": n, "kind": "wolf", "hp": n * 7} for n in range(5)], "dense")
        >>> print(encoded)
        [each {id:### kind:wolf hp:###}
        000000001007002014003021004028
        ]
        >>> encoded.tokens, encoded.tokens_before
        (25, 62)
    """
    if profile not in PROFILES:
        raise ConfigurationError(f"profile={profile!r}: give one of {', '.join(PROFILES)}")
    counter = counter or _default_counter()
    value, before, levels = _as_json(value)
    loss = LossReport()
    chosen = role_of(role)
    if chosen is not None:
        value, loss = chosen.apply(value)
    job = _Job(value, profile, levels, vault, counter, before if chosen is None else None, previous)
    try:
        text, encoding = job.cheapest()
    except (TypeError, ValueError, KeyError, RecursionError):
        value, levels = checked(value)  # says where it is no JSON
        job = _Job(value, profile, levels, vault, counter, compact(value), previous)
        text, encoding = job.cheapest()
    return Encoded(text, profile, encoding, loss, counter.exact, vault, before, counter)


def forget_shapes() -> None:
    """Forget the templates that were found so far; they are found again when they are needed."""
    _SHAPES.clear()


def _default_counter() -> TokenCounter:
    from ..tokens import counter

    return counter("o200k_base")


def _as_json(value: Any) -> tuple[Any, str, int]:
    """Return the value, its compact JSON, and how many levels it has, 0 where these are few."""
    try:
        return value, orjson.dumps(value, option=_PASS).decode(), 0
    except TypeError:  # no JSON; tuples are; so are integers beyond 64 bits, and lone surrogates
        value, levels = checked(value)
        return value, _compact(value), levels


def _compact(value: Any) -> str:
    try:
        return compact(value)
    except (RecursionError, ValueError) as error:
        raise EncodingError(f"the value is too large for JSON: {error}") from None


@dataclass(slots=True)
class _Job:
    """One value on its way to the cheapest text."""

    value: Any
    profile: str
    levels: int
    vault: Vault | None
    counter: TokenCounter
    json: str | None
    previous: Any = None
    may_hold_json: bool = True

    def cheapest(self) -> tuple[str, str]:
        """Return the text of fewest tokens, and the name of its encoding."""
        hidden = self.value if self.vault is None else hide(self.value, self.vault.hide_in)
        json = self.json if self.vault is None and self.json is not None else _compact(hidden)
        self.may_hold_json = self.json is None or any(mark in self.json for mark in _JSON_MARKS)
        texts = list(self._written(hidden, json))
        if len(texts) == 1 and at_most(texts[0][0]) <= at_least(json, self.counter, at_most(texts[0][0])):
            return texts[0]
        count = self.counter.count
        text, name = min(reversed(texts), key=lambda found: count(found[0]), default=(json, "json"))
        if count(text) <= at_least(json, self.counter, count(text)) or count(text) < count(json):
            return text, name
        return json, "json"

    def _written(self, hidden: Any, json: str) -> Iterator[tuple[str, str]]:
        """Yield the texts of the encodings, the tightest first; plainer ones where that does not do much."""
        if self.levels > _MAX_LEVELS:
            return
        if self.previous is not None:
            yield self._changes(), "delta"
        for features in reversed(PROFILES[self.profile]):
            text = Writer(features, self.counter.count, _SHAPES).text(self._opened(hidden, features))
            yield text, features.name
            if len(text) < _HALVED * len(json):
                return

    def _changes(self) -> str:
        """Return the changes since the value before, in the tightest encoding."""
        changes = difference(self.previous, self.value)
        if self.vault is not None:
            changes = hide(changes, self.vault.hide_in)
        return CHANGES + Writer(PROFILES[self.profile][-1], self.counter.count, _SHAPES).text(changes)

    def _opened(self, hidden: Any, features: Features) -> Any:
        if not features.unpack or not self.may_hold_json:
            return hidden
        opened = unpack(self.value)
        if opened is self.value:
            return hidden
        return opened if self.vault is None else hide(opened, self.vault.hide_in)
