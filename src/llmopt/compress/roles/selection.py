"""One pass over one value: rules say what goes, pinned places stay, the value is rebuilt once at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

from .field_path import Path, Spot, after, children, find
from .loss import Dropped, Keys, LossReport, pointer

__all__ = ["Selection"]

_CONTAINERS: Final = (dict, list, tuple)


class Selection:
    """What has been decided about the places of one value. The value itself is not touched.

    Args:
        value: a JSON value.
        pinned: paths whose places, and all within them, stay exactly as they are.

    Example:
        >>> selection = Selection({"hp": 0.25, "orders": ["hold"]}, [("**", "orders")])
        >>> selection.drop(("orders",), ["hold"], "pruned", "example")
        >>> selection.replace(("hp",), 0.2, "rounded", "example")
        >>> value, report = selection.result()
        >>> value, report.paths, report.kept
        ({'hp': 0.2, 'orders': ['hold']}, ('/hp',), ('/orders',))
    """

    __slots__ = ("_dropped", "_kept", "_pinned", "_pins_left", "_replaced", "_touched", "_value")

    def __init__(self, value: Any, pinned: Iterable[Path] = ()) -> None:
        self._value = value
        self._pinned = frozenset(pinned)
        self._pins_left: dict[Keys, frozenset[Path]] = {}
        self._dropped: dict[Keys, Dropped] = {}
        self._replaced: dict[Keys, tuple[Any, Dropped]] = {}
        self._kept: dict[Keys, None] = {}
        self._touched: set[Keys] = set()  # the ways to what was dropped or replaced

    def find(self, path: Path) -> Iterator[Spot]:
        """Yield the places of a path that are still there, with their values as they were given."""
        return (spot for spot in find(self._value, path) if not self.is_dropped(spot.keys))

    def elements(self, spot: Spot) -> list[tuple[int, Any]]:
        """Return indexes and elements of a list that are still there; none if it is no list."""
        if not isinstance(spot.value, (list, tuple)):
            return []
        elements = enumerate(cast("list[Any]", spot.value))
        return [(index, element) for index, element in elements if (*spot.keys, index) not in self._dropped]

    def is_dropped(self, keys: Keys) -> bool:
        """Return whether a place, or something around it, has been dropped."""
        return bool(self._dropped) and any(keys[:end] in self._dropped for end in range(1, len(keys) + 1))

    def drop(self, keys: Keys, value: Any, reason: str, rule: str) -> None:
        """Leave a place out, but for what is pinned in it.

        Args:
            keys: where it is.
            value: what stands there.
            reason: "pruned" or "capped".
            rule: what decided so, in words.
        """
        pins = self._pins_at(keys)
        if () in pins:
            self._kept[keys] = None
        elif pins and _holds(value, pins):
            for key, child in children(value):
                self.drop((*keys, key), child, reason, rule)
        elif keys not in self._dropped:
            self._dropped[keys] = Dropped(pointer(keys), reason, rule=rule)
            self._touch(keys)

    def replace(self, keys: Keys, value: Any, reason: str, rule: str) -> None:
        """Put another value in a place, unless it is pinned.

        Args:
            keys: where it is.
            value: what is to stand there.
            reason: "rounded".
            rule: what decided so, in words.
        """
        if () in self._pins_at(keys):
            self._kept[keys] = None
        else:
            self._replaced[keys] = value, Dropped(pointer(keys), reason, rule=rule)
            self._touch(keys)

    def result(self) -> tuple[Any, LossReport]:
        """Return the value without what was dropped, and the report. What is unchanged is not copied."""
        entries = [*self._dropped.values(), *(entry for _, entry in self._replaced.values())]
        return self._rebuilt(self._value, ()), LossReport(tuple(entries), tuple(map(pointer, self._kept)))

    def _touch(self, keys: Keys) -> None:
        self._touched.update(keys[:end] for end in range(len(keys)))

    def _pins_at(self, keys: Keys) -> frozenset[Path]:
        """Return what is left of the pinned paths at a place; `()` is in it where the place is pinned."""
        if not keys or not self._pinned:
            return self._pinned
        shape = tuple(0 if isinstance(key, int) else key for key in keys)  # all elements of a list are alike
        pins = self._pins_left.get(shape)
        if pins is None:
            around = self._pins_at(shape[:-1])
            pins = self._pins_left[shape] = around if () in around else after(around, shape[-1])
        return pins

    def _rebuilt(self, value: Any, keys: Keys) -> Any:
        if keys in self._replaced:
            return self._replaced[keys][0]
        if keys not in self._touched:
            return value
        rebuilt = {
            key: self._rebuilt(child, (*keys, key))
            for key, child in children(value)
            if (*keys, key) not in self._dropped
        }
        return rebuilt if isinstance(value, dict) else list(rebuilt.values())


def _holds(value: Any, pins: frozenset[Path]) -> bool:
    names = {path[-1] for path in pins}
    return (
        isinstance(value, _CONTAINERS)
        and ("*" in names or _has_name(value, names))
        and any(next(find(value, path), None) is not None for path in pins)
    )


def _has_name(value: Any, names: set[str]) -> bool:
    """Return whether any object in a value has one of these keys: a quick look before the exact one."""
    inner = cast("list[Any] | dict[str, Any]", value)
    if isinstance(inner, dict):
        if not names.isdisjoint(inner):
            return True
        inner = list(inner.values())
    for child in inner:  # noqa: SIM110 - a loop, as this is where most of the time goes
        if isinstance(child, _CONTAINERS) and _has_name(child, names):
            return True
    return False
