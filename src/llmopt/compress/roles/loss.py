"""What a lossy step has left out, path by path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

__all__ = ["Dropped", "Keys", "LossReport", "pointer"]

Keys: TypeAlias = tuple[str | int, ...]  # the way from the root of a value to a place in it

_COLUMNS: Final = 80
_PATH_COLUMNS: Final = 38


def pointer(keys: Keys) -> str:
    """Return the JSON pointer (RFC 6901) of a place.

    Args:
        keys: keys of objects and indexes of lists, from the root on.

    Example:
        >>> pointer(("agents", 3, "a/b"))
        '/agents/3/a~1b'
    """
    return "".join(["/" + (str(key) if isinstance(key, int) else _escaped(key)) for key in keys])


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


@dataclass(frozen=True, slots=True)
class Dropped:
    """A place of the value that is not, or not exactly, in the text any more.

    Attributes:
        path: its JSON pointer in the value as it was given, `*` where it stands for several.
        reason: "pruned" (left out), "capped" (over a number) or "rounded" (less exact).
        count: how many places it stands for.
        rule: what decided so, in words.
    """

    path: str
    reason: str
    count: int = 1
    rule: str = ""


@dataclass(frozen=True, slots=True)
class LossReport:
    """All that was dropped; false when nothing was.

    A dropped object or list is listed once, and all that was in it went with it.

    Args:
        dropped: one entry for each place.
        kept: JSON pointers of what a rule would have dropped, had it not been pinned.

    Example:
        >>> report = LossReport((Dropped("/0/enemies/4", "pruned"), Dropped("/1/enemies/2", "pruned")))
        >>> bool(report), report.paths
        (True, ('/0/enemies/4', '/1/enemies/2'))
        >>> print(report)
        2 values dropped
             2  /*/enemies/*  pruned
    """

    dropped: tuple[Dropped, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The JSON pointer of every place, none grouped."""
        return tuple(entry.path for entry in self.dropped)

    def grouped(self) -> tuple[Dropped, ...]:
        """Return one entry for all places that differ in list indexes alone, with `*` in their place."""
        groups: dict[tuple[str, str, tuple[str, ...]], list[Dropped]] = {}
        for entry in self.dropped:
            shape = tuple("*" if part.isdecimal() else part for part in entry.path.split("/"))
            groups.setdefault((entry.reason, entry.rule, shape), []).append(entry)
        return tuple(_together(entries) for entries in groups.values())

    def to_dict(self, *, grouped: bool = True) -> dict[str, Any]:
        """Return the report as JSON can hold it.

        Args:
            grouped: whether equal places make one entry; else every place is listed.

        Example:
            >>> LossReport((Dropped("/t", "pruned", rule="not needed"),)).to_dict()
            {'dropped': [{'path': '/t', 'reason': 'pruned', 'count': 1, 'rule': 'not needed'}], 'kept': []}
        """
        entries = self.grouped() if grouped else self.dropped
        listed = [{"path": e.path, "reason": e.reason, "count": e.count, "rule": e.rule} for e in entries]
        return {"dropped": listed, "kept": list(self.kept)}

    def __add__(self, other: LossReport) -> LossReport:
        return LossReport(self.dropped + other.dropped, tuple(dict.fromkeys(self.kept + other.kept)))

    def __bool__(self) -> bool:
        return bool(self.dropped)

    def __len__(self) -> int:
        return sum(entry.count for entry in self.dropped)

    def __iter__(self) -> Iterator[Dropped]:
        return iter(self.dropped)

    def __str__(self) -> str:
        number = len(self)
        lines = [f"{number} value{'' if number == 1 else 's'} dropped" if self else "nothing dropped"]
        groups = self.grouped()
        columns = min(_PATH_COLUMNS, max((len(entry.path) for entry in groups), default=0))
        lines += [_line(entry, columns) for entry in groups]
        lines += [f"  kept  {_short(path, _COLUMNS - 8)}" for path in self.kept]
        return "\n".join(lines)


def _together(entries: list[Dropped]) -> Dropped:
    columns = zip(*(entry.path.split("/") for entry in entries), strict=True)
    path = "/".join(parts[0] if len(set(parts)) == 1 else "*" for parts in columns)
    return Dropped(path, entries[0].reason, sum(entry.count for entry in entries), entries[0].rule)


def _line(entry: Dropped, columns: int) -> str:
    line = f"{entry.count:6}  {_short(entry.path, columns):{columns}}  {entry.reason}"
    return _short(f"{line}: {entry.rule}" if entry.rule else line, _COLUMNS, keep_end=False)


def _short(text: str, columns: int, *, keep_end: bool = True) -> str:
    if len(text) <= columns:
        return text
    end = columns // 2 if keep_end else 0
    return text[: columns - end - 3] + "..." + text[len(text) - end :]
