"""Reads what `TypeWriter` writes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from ...errors import DecodingError
from .json_schema import Schema
from .schema_words import TYPES_BY_NAME, WORD
from .schema_write import RANGES

__all__ = ["TypeReader"]

_JSON: Final = json.JSONDecoder()
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_ALTERNATIVES: Final = ("anyOf", "oneOf", "allOf")
_WHOLE: Final = frozenset(("any", "never"))


class TypeReader:
    """Reads one line.

    Args:
        line: the text.
        number: its number, for messages.
        shared: schemas of parameters that are described elsewhere, by name.
        open_objects: whether objects allow for other properties without saying so.

    Attributes:
        at: the place of the next character.
    """

    def __init__(
        self, line: str, number: int, shared: Mapping[str, Schema], *, open_objects: bool = False
    ) -> None:
        self.line = line
        self.number = number
        self.at = 0
        self._shared = shared
        self._open = open_objects

    def fail(self, wanted: str) -> NoReturn:
        """Raise a DecodingError that says what should stand here."""
        found = self.line[self.at : self.at + 20] or "the end of the line"
        raise DecodingError(
            f"line {self.number}, column {self.at + 1}: {wanted} should stand here, not {found!r}",
            line=self.number,
        )

    def sees(self, text: str) -> bool:
        """Tell whether `text` stands here."""
        return self.line.startswith(text, self.at)

    def takes(self, text: str) -> bool:
        """Go on behind `text` if it stands here."""
        if not self.sees(text):
            return False
        self.at += len(text)
        return True

    def needs(self, text: str) -> None:
        """Go on behind `text`, which must stand here."""
        if not self.takes(text):
            self.fail(repr(text))

    def name(self) -> str:
        """Read a name, bare or quoted."""
        if self.sees('"'):
            return str(self.value())
        found = WORD.match(self.line, self.at)
        if found is None:
            self.fail("a name")
        self.at = found.end()
        return found[0]

    def value(self) -> Any:
        """Read JSON."""
        try:
            value, self.at = _JSON.raw_decode(self.line, self.at)
        except (ValueError, RecursionError):
            self.fail("JSON")
        return value

    def word(self) -> Any:
        """Read a value: a bare word, or JSON."""
        found = WORD.match(self.line, self.at)
        if found is None or found[0] in {"true", "false", "null"}:
            return self.value()
        self.at = found.end()
        return found[0]

    def schema(self) -> Schema:
        """Read a schema."""
        found = self._type()
        if self.sees("<"):
            found |= self.keywords("<", ">")
        if self.takes("="):
            found["default"] = self.word()
        if self.takes(' "'):
            self.at -= 1
            found["description"] = self.value()
        return found

    def keywords(self, opening: str, closing: str) -> Schema:
        """Read keywords, each with its JSON."""
        self.needs(opening)
        found: Schema = {}
        while not found or not self.takes(closing):
            if found:
                self.needs(",")
            key = self.name()
            self.needs("=")
            found[key] = self.value()
        return found

    def object(self, closing: str) -> Schema:
        """Read an object, after the opening bracket."""
        found = self._properties(closing)
        more = self.limits("object")
        found["required"] += more.pop("required", [])
        return found | more

    def _properties(self, closing: str) -> Schema:
        found: Schema = {"type": "object"}
        given: Schema = {}
        required: list[str] = []
        others: Any = {} if self._open else False
        while not self.takes(closing):
            if given:
                self.needs(",")
            if self.takes("..."):
                others = self.schema() if self.takes(":") else {}
                self.needs(closing)
                break
            name = self.name()
            if not self.takes("?"):
                required.append(name)
            given[name] = self.schema() if self.takes(":") else self._from_elsewhere(name)
        return found | {"properties": given, "required": required, "additionalProperties": others}

    def limits(self, kind: str) -> Schema:
        """Read what is said of values of one type, in parentheses."""
        found: Schema = {}
        if not self.takes("("):
            return found
        while not self.takes(")"):
            if found:
                self.needs(",")
            found |= self._range(kind) or self._limit()
        return found

    def _from_elsewhere(self, name: str) -> Schema:
        if name not in self._shared:
            self.fail(f"the type of {name!r}")
        return dict(self._shared[name])

    def _type(self) -> Schema:
        for key in _ALTERNATIVES:
            if self.takes(f"{key}("):
                return {key: self._schemas()}
        found = WORD.match(self.line, self.at)
        if found is not None and found[0] in _WHOLE:
            self.at = found.end()
            return {"not": {}} if found[0] == "never" else {}
        return self._union()

    def _schemas(self) -> list[Schema]:
        found = [self.schema()]
        while not self.takes(")"):
            self.needs(",")
            found.append(self.schema())
        return found

    def _union(self) -> Schema:
        """Read types or values with bars between them."""
        types: list[str] = []
        values: list[Any] = []
        found: Schema = {}
        while not values or self.takes("|"):
            kind = self._kind()
            values.append(self.word() if kind is None else None)
            if kind is not None:
                types.append(kind)
                found |= self._rest_of(kind)
        if len(types) < len(values):  # `null` may be a type or a value
            return {"enum": values} if set(types) <= {"null"} else self.fail("a type")
        return {**found, "type": types[0] if len(types) == 1 else types}

    def _kind(self) -> str | None:
        """Return the type that begins here, if one does."""
        if self.takes("["):
            return "array"
        if self.takes("{"):
            return "object"
        found = WORD.match(self.line, self.at)
        if found is None or found[0] not in TYPES_BY_NAME:
            return None
        self.at = found.end()
        return TYPES_BY_NAME[found[0]]

    def _rest_of(self, kind: str) -> Schema:
        opening = self.line[self.at - 1]
        if opening == "[":
            items = self.schema()
            self.needs("]")
            return {"items": items, **self.limits(kind)}
        if opening == "{":
            return self.object("}")
        return self.limits(kind)

    def _range(self, kind: str) -> Schema | None:
        start = self.at
        low = self._bound()
        if not self.takes(".."):
            self.at = start
            return None
        bounds = zip(RANGES.get(kind, ()), (low, self._bound()), strict=False)
        return {key: bound for key, bound in bounds if bound is not None}

    def _bound(self) -> Any:
        found = _NUMBER.match(self.line, self.at)
        if found is None:
            return None
        self.at = found.end()
        return json.loads(found[0])

    def _limit(self) -> Schema:
        key = self.name()
        return {key: self.value()} if self.takes("=") else {"format": key}
