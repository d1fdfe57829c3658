"""What matters to a role, as rules: nearest, within a radius, some fields, the top by a field, a condition.

Rules are data: frozen, checked when they are made, and applied in the order in which a role lists them. A
rule that cannot judge an element (a field is absent, a position is no position) keeps it.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from ...errors import ConfigurationError
from .field_path import Path, after, children, parse
from .judging import (
    check_count,
    check_distance,
    check_paths,
    distances,
    field_of,
    is_number,
    is_text,
    leads_somewhere,
    several,
)
from .loss import Keys, LossReport
from .selection import Selection

__all__ = ["Drop", "Keep", "Nearest", "Round", "Rule", "Top", "Where", "Within"]

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        "==": operator.eq,
        "!=": operator.ne,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "in": lambda found, values: found in values,
        "not in": lambda found, values: found not in values,
    }
)


class Rule(ABC):
    """A rule of relevance. `paths` names what it may change; `decide` says what goes."""

    __slots__ = ()

    @property
    @abstractmethod
    def changes(self) -> tuple[str, ...]:
        """The paths that the rule drops, or drops from."""

    @abstractmethod
    def decide(self, selection: Selection) -> None:
        """Tell the selection what to drop or to replace."""

    def apply(self, value: Any) -> tuple[Any, LossReport]:
        """Return the value after this rule alone, and what it has dropped.

        Args:
            value: a JSON value; it is not changed.
        """
        selection = Selection(value)
        self.decide(selection)
        return selection.result()


@dataclass(frozen=True, slots=True)
class Nearest(Rule):
    """Keep the `k` elements of a list that are nearest to a position.

    Args:
        path: the list.
        k: how many stay; of equally near ones the first.
        to: the path of the position, looked up from the objects around the list, the innermost first.
        at: the path of an element's own position; "" where the element is one.

    Positions are numbers, lists of numbers, or objects such as `{"x": 1, "y": 2}`; distances are Euclidean.

    Raises:
        ConfigurationError: a path is none, or `k` is no whole number of 0 or more.

    Example:
        >>> value = {"me": {"pos": [0, 0]}, "enemies": [{"pos": [9, 9]}, {"pos": [1, 1]}]}
        >>> Nearest("enemies", 1).apply(value)[0]["enemies"]
        [{'pos': [1, 1]}]
    """

    path: str
    k: int
    to: str = "me.pos"
    at: str = "pos"

    def __post_init__(self) -> None:
        check_distance(self.path, self.to, self.at)
        check_count(self.k)

    @property
    def changes(self) -> tuple[str, ...]:
        """The list."""
        return (self.path,)

    def decide(self, selection: Selection) -> None:
        """Drop all but the nearest."""
        for spot in selection.find(parse(self.path, "path")):
            measured = distances(selection, spot, self.to, self.at)
            for _, index, element in sorted(measured, key=lambda entry: entry[:2])[self.k :]:
                rule = f"not among the {self.k} nearest to {self.to}"
                selection.drop((*spot.keys, index), element, "pruned", rule)


@dataclass(frozen=True, slots=True)
class Within(Rule):
    """Keep the elements of a list that are within a radius of a position.

    Args:
        path: the list.
        radius: the largest distance that stays, in the units of the positions.
        to: the path of the position, looked up from the objects around the list, the innermost first.
        at: the path of an element's own position; "" where the element is one.

    Raises:
        ConfigurationError: a path is none, or `radius` is no number of 0 or more.

    Example:
        >>> value = {"me": {"pos": {"x": 0, "y": 0}}, "obstacles": [{"x": 3, "y": 4}, {"x": 9, "y": 9}]}
        >>> Within("obstacles", 5, at="").apply(value)[0]["obstacles"]
        [{'x': 3, 'y': 4}]
    """

    path: str
    radius: float
    to: str = "me.pos"
    at: str = "pos"

    def __post_init__(self) -> None:
        check_distance(self.path, self.to, self.at)
        if not is_number(self.radius) or not self.radius >= 0:
            raise ConfigurationError(f"radius={self.radius!r}: give a distance of 0 or more")

    @property
    def changes(self) -> tuple[str, ...]:
        """The list."""
        return (self.path,)

    def decide(self, selection: Selection) -> None:
        """Drop what is farther away."""
        for spot in selection.find(parse(self.path, "path")):
            for distance, index, element in distances(selection, spot, self.to, self.at):
                if distance > self.radius:
                    rule = f"farther than {self.radius} from {self.to}"
                    selection.drop((*spot.keys, index), element, "pruned", rule)


@dataclass(frozen=True, slots=True)
class Drop(Rule):
    """Leave out what some paths lead to.

    Args:
        paths: one path, or several.

    Raises:
        ConfigurationError: there is no path, or one is none.

    Example:
        >>> Drop("**.uid").apply([{"uid": "a1", "metadata": {"uid": "b2", "name": "cart"}}])[0]
        [{'metadata': {'name': 'cart'}}]
    """

    paths: str | tuple[str, ...]

    def __post_init__(self) -> None:
        check_paths(self.paths)

    @property
    def changes(self) -> tuple[str, ...]:
        """The paths."""
        return several(self.paths)

    def decide(self, selection: Selection) -> None:
        """Drop every place of the paths."""
        for path in self.changes:
            for spot in selection.find(parse(path, "paths")):
                selection.drop(spot.keys, spot.value, "pruned", f"{path} is left out")


@dataclass(frozen=True, slots=True)
class Keep(Rule):
    """Leave out whatever is not at, within, or on the way to some paths.

    Objects in which nothing is left go as a whole.

    Args:
        paths: one path, or several.

    Raises:
        ConfigurationError: there is no path, or one is none.

    Example:
        >>> Keep(("metadata.name", "phase")).apply({"metadata": {"name": "a", "uid": "b2"}, "kind": "Pod"})[0]
        {'metadata': {'name': 'a'}}
    """

    paths: str | tuple[str, ...]

    def __post_init__(self) -> None:
        check_paths(self.paths)

    @property
    def changes(self) -> tuple[str, ...]:
        """None by name."""
        return ()

    def decide(self, selection: Selection) -> None:
        """Drop what no path leads to."""
        wanted = frozenset(parse(path, "paths") for path in several(self.paths))
        for spot in selection.find(()):
            self._narrow(selection, spot.keys, spot.value, wanted)

    def _narrow(self, selection: Selection, keys: Keys, value: Any, wanted: frozenset[Path]) -> None:
        for key, child in children(value):
            at = (*keys, key)
            left = after(wanted, key)
            if () in left or selection.is_dropped(at):
                continue
            if leads_somewhere(child, left):
                self._narrow(selection, at, child, left)
            else:
                selection.drop(at, child, "pruned", "not among the fields to keep")


@dataclass(frozen=True, slots=True)
class Top(Rule):
    """Keep the `k` elements of a list with the largest, or smallest, value of a field.

    Args:
        path: the list.
        k: how many stay; of equal ones the first.
        by: the path of a number or string in an element; "" where the element is one, None for the first `k`.
        smallest: whether the smallest stay.

    Raises:
        ConfigurationError: a path is none, or `k` is no whole number of 0 or more.

    Example:
        >>> Top("pods", 1, by="restarts").apply({"pods": [{"restarts": 0}, {"restarts": 7}]})[0]
        {'pods': [{'restarts': 7}]}
    """

    path: str
    k: int
    by: str | None = None
    smallest: bool = False

    def __post_init__(self) -> None:
        parse(self.path, "path")
        check_count(self.k)
        if self.by is not None:
            parse(self.by, "by", wildcards=False, empty=True)

    @property
    def changes(self) -> tuple[str, ...]:
        """The list."""
        return (self.path,)

    def decide(self, selection: Selection) -> None:
        """Drop what is over the number."""
        for spot in selection.find(parse(self.path, "path")):
            for index, element in self._ranked(selection.elements(spot))[self.k :]:
                selection.drop((*spot.keys, index), element, "capped", self._words)

    @property
    def _words(self) -> str:
        order = (
            ""
            if self.by is None
            else f" by {self.by or 'value'}, {'smallest' if self.smallest else 'largest'}"
        )
        return f"not among the first {self.k}{order}"

    def _ranked(self, elements: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
        if self.by is None:
            return elements
        path = parse(self.by, "by", empty=True)
        judged = [(field_of(element, path), index, element) for index, element in elements]
        kind = next((kind for kind in (is_number, is_text) if any(kind(value) for value, *_ in judged)), None)
        ranked = [entry for entry in judged if kind is not None and kind(entry[0])]
        ranked.sort(key=lambda entry: entry[0], reverse=not self.smallest)
        return [(index, element) for _, index, element in ranked]


@dataclass(frozen=True, slots=True)
class Where(Rule):
    """Keep the elements of a list whose field compares as said.

    Args:
        path: the list.
        field: the path of the field in an element; "" where the element itself is compared.
        is_: "==", "!=", "<", "<=", ">", ">=", "in" or "not in".
        value: what it is compared to; a tuple for "in" and "not in".

    Raises:
        ConfigurationError: a path is none, or the comparison does not exist.

    Example:
        >>> pod = {"conditions": [{"type": "Ready", "status": "False"}, {"type": "Init", "status": "True"}]}
        >>> Where("conditions", "status", "!=", "True").apply(pod)[0]
        {'conditions': [{'type': 'Ready', 'status': 'False'}]}
    """

    path: str
    field: str
    is_: str
    value: Any

    def __post_init__(self) -> None:
        parse(self.path, "path")
        parse(self.field, "field", wildcards=False, empty=True)
        if self.is_ not in _COMPARISONS:
            raise ConfigurationError(f"is_={self.is_!r}: give one of {', '.join(_COMPARISONS)}")
        if self.is_.endswith("in") and not isinstance(self.value, tuple):
            raise ConfigurationError(f"value={self.value!r}: give a tuple of values for {self.is_!r}")

    @property
    def changes(self) -> tuple[str, ...]:
        """The list."""
        return (self.path,)

    def decide(self, selection: Selection) -> None:
        """Drop what compares otherwise."""
        path = parse(self.field, "field", empty=True)
        for spot in selection.find(parse(self.path, "path")):
            for index, element in selection.elements(spot):
                if not self._holds_for(field_of(element, path)):
                    rule = f"not {self.field or 'value'} {self.is_} {self.value!r}"
                    selection.drop((*spot.keys, index), element, "pruned", rule)

    def _holds_for(self, found: Any) -> bool:
        if found is None:
            return True
        try:
            return bool(_COMPARISONS[self.is_](found, self.value))
        except TypeError:  # the field is of another kind: not for this rule to judge
            return True


@dataclass(frozen=True, slots=True)
class Round(Rule):
    """Round numbers, and all numbers within objects and lists.

    Args:
        path: what is rounded.
        digits: digits after the point; with 0 or less, whole numbers come out.

    Raises:
        ConfigurationError: the path is none, or `digits` is no whole number.

    Example:
        >>> Round("me.cooldowns", 0).apply({"me": {"cooldowns": {"heal": 17.2}, "morale": 0.232}})[0]
        {'me': {'cooldowns': {'heal': 17}, 'morale': 0.232}}
    """

    path: str
    digits: int = 0

    def __post_init__(self) -> None:
        parse(self.path, "path")
        if type(self.digits) is not int:
            raise ConfigurationError(f"digits={self.digits!r}: give a whole number")

    @property
    def changes(self) -> tuple[str, ...]:
        """What is rounded."""
        return (self.path,)

    def decide(self, selection: Selection) -> None:
        """Replace the numbers that change."""
        for spot in selection.find(parse(self.path, "path")):
            self._round(selection, spot.keys, spot.value)

    def _round(self, selection: Selection, keys: Keys, value: Any) -> None:
        if selection.is_dropped(keys):
            return
        for key, child in children(value):
            self._round(selection, (*keys, key), child)
        if is_number(value):
            rounded = round(value, self.digits) if self.digits > 0 else int(round(value, self.digits))
            if repr(rounded) != repr(value):
                selection.replace(keys, rounded + 0, "rounded", f"to {self.digits} digits")
