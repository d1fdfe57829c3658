"""`encode`: the cheapest text, by exact count, that a profile allows for a value."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import orjson

from ..errors import ConfigurationError, EncodingError
from ..tokens import TokenCounter
from .check import checked
from .delta import difference
from .notation.again import says_all
from .notation.bounds import at_least
from .notation.features import PROFILES, Features
from .notation.lexical import compact
from .notation.nodes import Table
from .notation.shapes import Shapes, outline
from .notation.unpack import hide, may_hold_json, unpack
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
_SHAPES: Final = Shapes[Table]()
_HIDDEN_SHAPES: Final = Shapes[Table]()  # of values with handles for ids
_SETTLED: Final = Shapes[tuple[str, float]]()  # the best encoding, and its share of the characters of JSON
_MIN_SETTLED_CHARS: Final = 2_000  # all encodings of what is shorter are soon compared
_GROWN: Final = 1.02  # another encoding may be better where that share is larger than it was
_CHARS_A_RUN: Final = 4  # JSON has no more runs of letters than that
_FEATURES: Final = {features.name: features for features in PROFILES["dense"]}


_Text: TypeAlias = "tuple[str, str]"
"""A text, and the name of its encoding."""


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
    json = before
    chosen = role_of(role)
    if chosen is not None:
        value, loss = chosen.apply(value)
        value, json, levels = _as_json(value)
    job = _Job(value, profile, levels, vault, counter, json, says_all(value, json), previous)
    try:
        text, encoding = job.cheapest()
    except (TypeError, ValueError, KeyError, RecursionError):
        value, levels = checked(value)  # says where it is no JSON
        job = _Job(value, profile, levels, vault, counter, compact(value), exact=False, previous=previous)
        text, encoding = job.cheapest()
    return Encoded(text, profile, encoding, loss, counter.exact, vault, before, counter)


def forget_shapes() -> None:
    """Forget the templates that were found so far; they are found again when they are needed."""
    _SHAPES.clear()
    _HIDDEN_SHAPES.clear()
    _SETTLED.clear()


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
    """One value on its way to the cheapest text.

    Attributes:
        value: what is encoded.
        profile: says which encodings may be tried.
        levels: how many it has, 0 where these are few.
        vault: hides ids, where there is one.
        counter: counts tokens.
        json: its compact JSON, ids and all.
        exact: whether that is known to say all of it.
        previous: the value before.
    """

    value: Any
    profile: str
    levels: int
    vault: Vault | None
    counter: TokenCounter
    json: str
    exact: bool
    previous: Any = None

    def cheapest(self) -> _Text:
        """Return the text of fewest tokens, and the name of its encoding."""
        settled, tried = self._settled()
        if settled and tried and self._pays(tried[0], self.json):
            return tried
        hidden = self._hidden(self.value)
        json = self.json if hidden is self.value else _as_json(hidden)[1]
        texts = list(self._written(hidden, json, tried))
        text, name = self._best(texts) if texts else (json, "json")
        if not self._pays(text, json):
            return json, "json"
        if name in _FEATURES:
            _SETTLED.put(self._shape(), (name, _GROWN * len(text) / len(self.json)))
        return text, name

    def _settled(self) -> tuple[bool, _Text | None]:
        """Return the text in the encoding that was best for such values, and whether it does as much."""
        if self.previous is not None or self.levels > _MAX_LEVELS or len(self.json) < _MIN_SETTLED_CHARS:
            return False, None
        _, found = _SETTLED.get(self._shape())
        if found is None:
            return False, None
        name, share = found
        text = self._text(None, _FEATURES[name])
        return len(text) <= share * len(self.json), (text, name)

    def _shape(self) -> Hashable:
        return self.profile, self.vault is None, self.counter.encoding, outline(self.value)

    def _best(self, texts: list[_Text]) -> _Text:
        """Return the text of fewest tokens; among equals the plainest."""
        return texts[0] if len(texts) == 1 else min(reversed(texts), key=self._tokens)

    def _tokens(self, found: _Text) -> int:
        return self.counter.count(found[0])

    def _pays(self, text: str, json: str) -> bool:
        """Return whether the text has fewer tokens than JSON, without counting where that is plain."""
        tokens = self.counter.count(text)
        if tokens * _CHARS_A_RUN < len(json) and tokens <= at_least(json, self.counter, tokens):
            return True
        return tokens < self.counter.count(json)

    def _written(self, hidden: Any, json: str, tried: _Text | None) -> Iterator[_Text]:
        """Yield the texts of the encodings, the tightest first; plainer ones where that does not do much."""
        if self.levels > _MAX_LEVELS:
            return
        if self.previous is not None:
            yield self._changes(), "delta"
        for features in reversed(PROFILES[self.profile]):
            text = tried[0] if tried and tried[1] == features.name else self._text(hidden, features)
            yield text, features.name
            if len(text) < _HALVED * len(json):
                return

    def _changes(self) -> str:
        """Return the changes since the value before, in the tightest encoding."""
        changes = self._hidden(difference(self.previous, self.value))
        return CHANGES + self._writer(PROFILES[self.profile][-1], exact=False).text(changes)

    def _text(self, hidden: Any, features: Features) -> str:
        """Return the text in one encoding.

        Args:
            hidden: the value without ids, or None if that is not known yet.
            features: the encoding.
        """
        opened = self.value
        if features.unpack and may_hold_json(self.json):
            opened = unpack(self.value)
        if opened is not self.value or hidden is None:
            hidden = self._hidden(opened)
        return self._writer(features, exact=self.exact).text(hidden)

    def _hidden(self, value: Any) -> Any:
        return value if self.vault is None else hide(value, self.vault.hide_in)

    def _writer(self, features: Features, *, exact: bool) -> Writer:
        shapes = _SHAPES if self.vault is None else _HIDDEN_SHAPES
        return Writer(features, self.counter.count, shapes, exact)
