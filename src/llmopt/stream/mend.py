"""What can still be made of a row that is no JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

import orjson

from .alphabet import Text
from .decoders import Decoder, as_dict, relaxed, repair_function
from .edits import one_edit
from .identity import Identity
from .intake import Intake, text_of

__all__ = ["Mender"]


class Mender:
    """Makes plans of damaged rows.

    Args:
        intake: where they go.
        repair: whether to guess what was meant, with json_repair, or to accept only what is certain.

    Attributes:
        keys: the keys of the last whole plan.

    Raises:
        ConfigurationError: json_repair is wanted and not installed.
    """

    def __init__(self, decoder: Decoder, identity: Identity, *, repair: bool) -> None:
        self._decoder = decoder
        self._identity = identity
        self.keys: Collection[str] = ()
        self._guess: Callable[[str], Any] | None = repair_function() if repair else None

    def learn(self, raw: Text) -> None:
        """Take the keys of a whole plan for those of all."""
        if raw and not self.keys:
            value = self.certain(raw)
            self.keys = tuple(as_dict(value) or ())

    def certain(self, raw: Text) -> Any:
        """Return the value of JSON whose only fault are raw line breaks and tabs in strings, or None."""
        try:
            return relaxed(raw)
        except (ValueError, RecursionError):
            return None

    def guess(self, raw: Text) -> Any:
        """Return what a row may have meant, or None."""
        if self._guess is None or self._only_no_numbers(raw):
            return None
        text = text_of(raw)
        value = one_edit(text, self.keys)
        if self._is_plan(value):
            return value
        try:
            value = self._guess(text)
        except Exception:  # noqa: BLE001 - a guess that fails is none
            return None
        return value if self._is_plan(value) else None

    @staticmethod
    def _only_no_numbers(raw: Text) -> bool:
        """Whether NaN or Infinity is all that is wrong: there is no value that could be meant by it."""
        try:
            json.loads(raw, strict=False)
        except (ValueError, RecursionError):
            return False
        return True

    def _is_plan(self, value: Any) -> bool:
        """Whether a guess has what every plan has; json_repair makes something of any text."""
        if not isinstance(value, list if self._identity.rows else dict):
            return False
        return value not in ({}, []) and (self._decoder.typed or self._identity.of_plan(value) is not None)

    def alike(self, raw: Text, other: Text) -> bool:
        """Whether both are JSON of the same shape: objects with the same keys, or arrays."""
        try:
            value: Any = orjson.loads(raw)
            model: Any = orjson.loads(other)
        except ValueError:
            return False
        keys, wanted = as_dict(value), as_dict(model)
        if keys is not None and wanted is not None:
            return keys.keys() == wanted.keys()
        return type(value) is list and type(model) is list

    def decode(self, value: Any) -> Any:
        """Return the plan of a mended value. Raises what the decoder raises."""
        return self._decoder.one(orjson.dumps(value)) if self._decoder.typed else value


def mend(intake: Intake, mender: Mender, raw: Text, offset: int, *, guess: bool) -> bool:
    """Hand a mended plan to the intake. Return whether there was one."""
    value = mender.certain(raw)
    if value is None and guess:
        value = mender.guess(raw)
    if value is None:
        return False
    try:
        plan = mender.decode(value)
    except Exception as error:  # noqa: BLE001 - whatever a decoder raises, it refuses the plan
        intake.refuse(raw, offset, f"{error}", error)
        return True
    if intake.deliver(plan, raw, offset):
        intake.repaired.append(intake.identity.of_plan(plan))
    return True
