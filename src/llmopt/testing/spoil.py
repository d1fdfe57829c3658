"""Spoils a good answer: what a model gets wrong although the request went well."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeAlias, cast

from ..errors import ConfigurationError
from .script import Answer

Json: TypeAlias = Any
"""A decoded JSON value."""


def saying(answer: Answer, text: str) -> Answer:
    """Return `answer` with another text, in pieces of the same number if it has pieces."""
    if answer.chunks is None:
        return replace(answer, text=text, events=None)
    size = max(1, -(-len(text) // max(1, len(answer.chunks))))
    return replace(answer, chunks=[text[start : start + size] for start in range(0, len(text), size)])


def truncated(answer: Answer, share: float) -> Answer:
    """Return `answer` cut off after `share` (0..1) of its characters."""
    text = text_of_answer(answer)
    return saying(answer, text[: int(len(text) * share)])


def fenced(answer: Answer) -> Answer:
    """Return `answer` in a Markdown fence, with prose around it."""
    text = text_of_answer(answer)
    return saying(answer, f"Here is the plan you asked for:\n```json\n{text}\n```\nGood luck!")


def rows_changed(answer: Answer, change: Callable[[list[Json]], list[Json]]) -> Answer:
    """Return `answer` with `change` made to its rows.

    The rows are the JSON array that it is, or the first array among the values of its JSON object.
    """
    value = _decoded(text_of_answer(answer))
    if isinstance(value, list):
        return saying(answer, json.dumps(change([*cast("Iterable[Json]", value)])))
    fields = cast("dict[str, Json]", value) if isinstance(value, dict) else {}
    name = next((name for name, rows in fields.items() if isinstance(rows, list)), None)
    if name is None:
        raise ConfigurationError("this fault needs an answer= that is a JSON array, or an object with one")
    return saying(answer, json.dumps({**fields, name: change(fields[name])}))


def with_id(row: Json, value: Json) -> Json:
    """Return `row` with another id: the field "id" of an object, the first item of an array, or itself."""
    if isinstance(row, dict):
        return {**cast("dict[str, Json]", row), "id": value}
    return [value, *row[1:]] if isinstance(row, list) else value


def id_of(row: Json) -> Json:
    """Return the id of `row`; see `with_id`."""
    if isinstance(row, dict):
        return cast("dict[str, Json]", row).get("id")
    return next(iter(cast("Iterable[Json]", row)), None) if isinstance(row, list) else row


def _decoded(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return None


def text_of_answer(answer: Answer) -> str:
    """Return what a good answer says.

    Raises:
        ConfigurationError: it is the echo, so that there is nothing to spoil yet.
    """
    if answer.said is None:
        raise ConfigurationError("this fault spoils an answer, so give FaultPlan.of(..., answer=...) a text")
    return answer.said
