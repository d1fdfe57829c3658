"""Which texts are sent how often, and which of them are used otherwise than those like them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

from .log import Log
from .sample import Sample
from .selection import Selection
from .types import FragmentUse, OddFragment, Period

__all__ = ["Texts", "fixed_tokens", "odd", "texts"]

MOST_FREQUENT: Final = 30
"""Fragments that are listed and looked at."""

RARE_CALLS: Final = 3
"""Calls that a rare fragment has at most: seldom enough to ask whether it was meant to be sent at all."""

RARE_SHARE: Final = 0.002
"""Share of all calls that it has at most: below some hundred calls nothing is rare."""

MOST_RARE: Final = 100
"""Rare texts of one part of the prompts. Where there are more, they are made anew for each call."""

ROLE_CALLS: Final = 50
"""Sampled calls of a role from which on it is asked what its prompts lack."""

COMMON_SHARE: Final = 0.9
"""Share of a role's calls that have what the role is said to have."""

UNCOMMON_SHARE: Final = 0.1
"""Share of a role's calls below which a text of this role alone is no part of how the role is put."""

CHANGED_CALLS: Final = 10
"""Calls from which on a fragment can appear or disappear."""

_MOST_READ: Final = 1_000  # fragments whose uses are read at once
_UNKNOWN: Final = (0, None, None, None, None)  # bytes, tokens, their source, first seen, excerpt
_FEW_CALLS: Final = 300  # of a fragment: their roles are looked up one by one
_EDGE: Final = 0.25  # of the period: what begins or ends nearer to its ends has not appeared or disappeared
_BYTES_PER_TOKEN: Final = 4  # of English text, by OpenAI's rule of thumb
_EXCERPT: Final = 60
_FIXED: Final = frozenset({"system", "tool", "schema"})


class Texts(NamedTuple):
    """The texts of the calls.

    Attributes:
        frequent: those that are sent most often.
        rare: those that were sent hardly ever.
    """

    frequent: tuple[FragmentUse, ...] = ()
    rare: tuple[FragmentUse, ...] = ()


def texts(log: Log, selection: Selection, sample: Sample) -> Texts:
    """Return the texts that the calls of a selection have sent.

    Args:
        log: the log.
        selection: which calls.
        sample: some of them.
    """
    if not sample.texts:
        return Texts()
    uses = _Uses(log, selection, sample)
    again = Counter(digest for texts_ in sample.texts.values() for digest, _ in texts_)
    frequent = [uses.of(digest) for digest, calls in again.most_common(MOST_FREQUENT) if calls > 1]
    most = min(RARE_CALLS, int(RARE_SHARE * sample.of))
    rare = uses.rare(most) if most else []
    seldom = {digest for digest, *_ in rare}
    frequent = sorted((row for row in frequent if row[0] not in seldom), key=lambda row: (-row[2], row[0]))
    return Texts(tuple(uses.described(frequent)), tuple(uses.described(rare)))


_Row: TypeAlias = "tuple[str, str, int]"
"""Digest, kind and number of uses."""


class _Uses:
    """The uses of texts in the calls of a selection."""

    def __init__(self, log: Log, selection: Selection, sample: Sample) -> None:
        self._log = log
        self._sample = sample
        self._in_order = sample.ids_tell_time
        self._with = sample.with_text()
        self._where, self._values = self._condition(selection)

    def _condition(self, selection: Selection) -> tuple[str, list[Any]]:
        where, values = selection.where()
        if not values:
            return "kind <> 'reply'", []
        if self._in_order:
            one = f"(SELECT id FROM calls WHERE {where} ORDER BY started_at {{}} LIMIT 1)"  # noqa: S608
            bounds = f"call_id BETWEEN {one.format('ASC')} AND {one.format('DESC')}"
            return f"kind <> 'reply' AND {bounds}", [*values, *values]
        return f"kind <> 'reply' AND call_id IN (SELECT id FROM calls WHERE {where})", values  # noqa: S608

    def of(self, digest: str) -> _Row:
        """Return one text with the number of its uses."""
        sql = f"SELECT min(kind), count(*) FROM call_fragments WHERE digest = ? AND {self._where}"  # noqa: S608
        kind, calls = self._log.row(sql, [digest, *self._values])
        return digest, kind, calls

    def rare(self, most: int) -> list[_Row]:
        """Return the texts with so few uses, but for those parts of prompts that are made anew each time."""
        rows = self._log.rows(
            "SELECT digest, min(kind), count(*) AS n FROM call_fragments "  # noqa: S608
            f"WHERE kind <> 'prompt' AND {self._where} GROUP BY digest HAVING n <= ? LIMIT ?",
            [*self._values, most, _MOST_READ],
        )
        number = Counter(kind for _, kind, _ in rows)
        return [row for row in rows if number[row[1]] <= MOST_RARE]

    def described(self, rows: Sequence[_Row]) -> Iterator[FragmentUse]:
        """Yield what is known of texts."""
        digests = json.dumps([digest for digest, *_ in rows])
        known = self._log.rows(
            "SELECT digest, bytes, tokens, tokens_source, first_seen, substr(content, 1, ?) FROM fragments "
            "WHERE digest IN (SELECT value FROM json_each(?))",
            [_EXCERPT, digests],
        )
        details = {digest: row for digest, *row in known}
        for digest, kind, calls in rows:
            yield self._described(digest, kind, calls, details.get(digest, _UNKNOWN))

    def _described(self, digest: str, kind: str, calls: int, details: Sequence[Any]) -> FragmentUse:
        size, tokens, source, first_at, excerpt = details
        last_at = None
        if self._in_order:
            first_at, last_at = self._span(digest, kind)
        roles = self._roles(digest, calls)
        scale = calls / (roles.total() or 1)
        return FragmentUse(
            digest,
            kind,
            size,
            round(size / _BYTES_PER_TOKEN) if tokens is None else tokens,
            source != "tokenizer",
            calls,
            first_at,
            last_at,
            tuple((role, round(number * scale)) for role, number in roles.most_common()),
            None if excerpt is None else " ".join(excerpt.split()),
        )

    def _roles(self, digest: str, calls: int) -> Counter[str]:
        """Return the calls with a text by role: all of them, or those of the sample where they are many."""
        if calls > _FEW_CALLS:
            return Counter(call.role for call in self._with.get(digest, ()) if call.role)
        where = f"digest = ? AND {self._where} AND role IS NOT NULL"
        rows = self._log.rows(
            "SELECT role, count(*) FROM call_fragments CROSS JOIN calls ON id = call_id "  # noqa: S608
            f"WHERE {where} GROUP BY 1",
            [digest, *self._values],
        )
        return Counter(dict(rows))

    def _span(self, digest: str, kind: str) -> tuple[str | None, str | None]:
        """Return when the first and the last call with a text began."""
        ends = f"FROM call_fragments WHERE digest = ? AND {self._where} AND kind = ?"
        ids = [f"(SELECT {end}(call_id) {ends})" for end in ("min", "max")]
        times = ", ".join(f"(SELECT started_at FROM calls WHERE id = {one})" for one in ids)  # noqa: S608
        first_at, last_at = self._log.row(f"SELECT {times}", [digest, *self._values, kind] * 2)
        return first_at, last_at


def odd(found: Texts, sample: Sample, period: Period) -> tuple[OddFragment, ...]:
    """Return the texts that are used otherwise than those like them.

    Args:
        found: the texts.
        sample: some of the calls.
        period: when the calls began.
    """
    rare = [OddFragment(use, "rare", f"{_calls(use.calls)} of {sample.of:,}") for use in found.rare]
    roles = {role: calls for role, calls in sample.roles().items() if role}
    of_text = {digest: Counter(call.role for call in calls) for digest, calls in sample.with_text().items()}
    others: list[OddFragment] = []
    for use in found.frequent:
        others += _by_role(use, of_text.get(use.digest, Counter()), roles)
        others += _by_time(use, period)
    return (*others, *rare)


def _by_role(use: FragmentUse, calls: Mapping[str, int], roles: Mapping[str, int]) -> Iterator[OddFragment]:
    shares = {role: calls.get(role, 0) / number for role, number in roles.items() if number >= ROLE_CALLS}
    without = [role for role, share in shares.items() if not share]
    having = [role for role, share in shares.items() if share]
    if len(without) == 1 and len(having) > 1 and all(shares[role] >= COMMON_SHARE for role in having):
        detail = (
            f"in none of {roles[without[0]]:,} calls of {without[0]}, but in those of {', '.join(having)}"
        )
        yield OddFragment(use, "missing in one role", detail)
    if len(having) == 1 and without and shares[having[0]] < UNCOMMON_SHARE:
        detail = f"{having[0]}, in {100 * shares[having[0]]:.1f} % of its calls"
        yield OddFragment(use, "in one role only", detail)


def _by_time(use: FragmentUse, period: Period) -> Iterator[OddFragment]:
    if None in (use.first_at, use.last_at, period.first_at, period.last_at) or use.calls < CHANGED_CALLS:
        return
    first, begins, ends, last = (
        datetime.fromisoformat(text or "")
        for text in (period.first_at, use.first_at, use.last_at, period.last_at)
    )
    edge = _EDGE * (last - first)
    if begins > first + edge:
        yield OddFragment(use, "appeared", f"first sent {use.first_at or '':.16}, {_calls(use.calls)} since")
    if ends < last - edge:
        yield OddFragment(
            use, "disappeared", f"last sent {use.last_at or '':.16}, {_calls(use.calls)} until then"
        )


def _calls(number: int) -> str:
    return f"{number:,} call{'' if number == 1 else 's'}"


def fixed_tokens(sample: Sample, frequent: Sequence[FragmentUse]) -> dict[str, float]:
    """Return the tokens of a call's texts that never change, by role: system prompt, tools and schema.

    Args:
        sample: some of the calls.
        frequent: the texts whose tokens are known.
    """
    tokens = {use.digest: use.tokens for use in frequent}
    sums: defaultdict[str, int] = defaultdict(int)
    for call in sample.calls:
        sums[call.role] += sum(
            tokens.get(digest, 0) for digest, kind in sample.texts.get(call.id, ()) if kind in _FIXED
        )
    return {role: sums[role] / calls for role, calls in sample.roles().items() if sums[role]}
