"""Which calls a report is about: a period, and perhaps a role, a model, an agent or a tag. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from ..errors import ConfigurationError

__all__ = ["ALL", "Selection", "moment", "period", "side", "stamp"]

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DAY: Final = timedelta(days=1)
_RIGHT: Final = (
    "say 7d, 24h, today, yesterday, this-week, last-week, all, 2026-11-21, 2026-11-01..2026-11-07, "
    "before:2026-11-10 or after:2026-11-10"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which calls are meant.

    Attributes:
        name: what it is called.
        since: calls that began before are not meant; ISO-8601 as the log has it, None for no limit.
        until: calls that began then or later are not meant.
        role: the role of the calls; None for any.
        model: the model that was called.
        agent: the agent.
        tag: name and value of a tag.
    """

    name: str = "all"
    since: str | None = None
    until: str | None = None
    role: str | None = None
    model: str | None = None
    agent: str | None = None
    tag: tuple[str, str] | None = None

    def where(self, calls: str = "calls") -> tuple[str, list[str]]:
        """Return the condition in SQL and its parameters.

        Args:
            calls: name of the table of calls in the query.

        Example:
            >>> Selection(since="2026-11-01T00:00:00.000000Z", role="tactical").where("c")
            ('c.started_at >= ? AND c.role = ?', ['2026-11-01T00:00:00.000000Z', 'tactical'])
        """
        said: list[tuple[str, tuple[str | None, ...]]] = [
            (f"{calls}.started_at >= ?", (self.since,)),
            (f"{calls}.started_at < ?", (self.until,)),
            (f"{calls}.role = ?", (self.role,)),
            (f"{calls}.model_requested = ?", (self.model,)),
            (f"{calls}.agent = ?", (self.agent,)),
        ]
        if self.tag is not None:
            name, value = self.tag
            said.append((f"CAST(json_extract({calls}.tags_json, ?) AS TEXT) = ?", (f'$."{name}"', value)))
        chosen = [(sql, [v for v in values if v is not None]) for sql, values in said if None not in values]
        sql = " AND ".join(sql for sql, _ in chosen) or "1"
        return sql, [value for _, values in chosen for value in values]


ALL: Final = Selection()
"""All calls."""


def moment(text: str, now: datetime) -> str:
    """Return a point in time as the log has it.

    Args:
        text: how long ago (`90m`, `24h`, `7d`, `2w`), or ISO-8601, in UTC unless it says otherwise.
        now: the present, with a time zone.

    Raises:
        ConfigurationError: it is neither.

    Example:
        >>> moment("7d", datetime(2026, 11, 21, 9, tzinfo=UTC))
        '2026-11-14T09:00:00.000000Z'
    """
    ago = re.fullmatch(r"(\d+)([smhdw])", text)
    try:
        if ago:
            return stamp(now - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]]))
        return stamp(_utc(datetime.fromisoformat(text)))
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"{text!r} is no time: say 7d, 24h, 2026-11-21 or 2026-11-21T12:00"
        ) from error


def period(text: str, now: datetime) -> Selection:
    """Return the calls of a period.

    Args:
        text: `7d` (until now), a name (`all`, `today`, `yesterday`, `this-week`, `last-week`; weeks begin on
            Monday), a day, `A..B` (a day at its end is meant whole; either may be missing), `before:A`, or
            `after:A`. Days are those of UTC.
        now: the present, with a time zone.

    Raises:
        ConfigurationError: it is none of these, or ends before it begins.

    Example:
        >>> chosen = period("2026-11-01..2026-11-07", datetime(2026, 11, 21, tzinfo=UTC))
        >>> chosen.since, chosen.until
        ('2026-11-01T00:00:00.000000Z', '2026-11-08T00:00:00.000000Z')
    """
    since, until = _limits(text.strip(), now)
    if since is not None and until is not None and since >= until:
        raise ConfigurationError(f"the period {text!r} ends before it begins: from {since} to {until}")
    return Selection(text.strip(), since, until)


def _limits(text: str, now: datetime) -> tuple[str | None, str | None]:
    named = _NAMED.get(text.replace(" ", "-"))
    if named is not None:
        return named(now.astimezone(UTC).date())
    if ".." in text:
        first, _, last = text.partition("..")
        return moment(first, now) if first else None, _end(last, now) if last else None
    word, colon, rest = text.partition(":")
    if colon and word == "before":
        return None, moment(rest, now)
    if colon and word == "after":
        return moment(rest, now), None
    if _is_day(text):
        return moment(text, now), _end(text, now)
    if re.fullmatch(r"\d+[smhdw]", text):
        return moment(text, now), None
    raise ConfigurationError(f"{text!r} is no period: {_RIGHT}")


def side(text: str, now: datetime, around: Selection = ALL) -> Selection:
    """Return one side of a comparison.

    Args:
        text: a period, or `role:NAME`, `model:NAME`, `agent:NAME` or `tag:NAME=VALUE`.
        now: the present, with a time zone.
        around: the period of a side that names none itself.

    Raises:
        ConfigurationError: it is none of these.

    Example:
        >>> side("role:tactical", datetime(2026, 11, 21, tzinfo=UTC)).role
        'tactical'
    """
    word, _, rest = text.partition(":")
    if word == "role" and rest:
        return replace(around, name=text, role=rest)
    if word == "model" and rest:
        return replace(around, name=text, model=rest)
    if word == "agent" and rest:
        return replace(around, name=text, agent=rest)
    if word == "tag":
        name, equals, value = rest.partition("=")
        if not name or not equals or '"' in name:
            raise ConfigurationError(f"{text!r} is no tag: say tag:NAME=VALUE, as tag:app=harbour")
        return replace(around, name=text, tag=(name, value))
    try:
        return period(text, now)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}, role:NAME, model:NAME, agent:NAME or tag:NAME=VALUE") from error


def _end(text: str, now: datetime) -> str:
    """Return the end of a period: that of a day that is named as its last."""
    if _is_day(text):
        return stamp(_midnight(date.fromisoformat(text)) + _DAY)
    return moment(text, now)


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _days(first: date, days: int) -> tuple[str, str]:
    begins = _midnight(first)
    return stamp(begins), stamp(begins + days * _DAY)


def _monday(day: date) -> date:
    return day - day.weekday() * _DAY


_NAMED: Final[Mapping[str, Callable[[date], tuple[str | None, str | None]]]] = {
    "all": lambda _: (None, None),
    "today": lambda today: _days(today, 1),
    "yesterday": lambda today: _days(today - _DAY, 1),
    "this-week": lambda today: _days(_monday(today), 7),
    "last-week": lambda today: _days(_monday(today) - 7 * _DAY, 7),
}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _utc(moment_: datetime) -> datetime:
    return (moment_ if moment_.tzinfo else moment_.replace(tzinfo=UTC)).astimezone(UTC)


def stamp(moment_: datetime) -> str:
    """Return a time with microseconds, as the log has it: texts then sort as times do."""
    return moment_.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
