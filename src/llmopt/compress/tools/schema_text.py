"""One JSON Schema as a line of text, and back."""

from __future__ import annotations

from typing import Any

from ...errors import DecodingError, EncodingError
from .json_schema import Schema, normal_schema
from .schema_read import TypeReader
from .schema_write import TypeWriter

__all__ = ["decode_schema", "encode_schema"]


def encode_schema(schema: Any, *, descriptions: bool = True) -> str:
    """Return a line that says what a JSON Schema says, in the notation of `TypeWriter`.

    Args:
        schema: a JSON Schema.
        descriptions: whether descriptions are kept.

    Raises:
        EncodingError: it is no schema.

    Example:
        >>> properties = {"x": {"type": "integer"}}
        >>> encode_schema({"type": "object", "properties": properties, "additionalProperties": False})
        '{x?:int}'
    """
    try:
        return TypeWriter({}).text(normal_schema(schema, descriptions=descriptions))
    except RecursionError:
        raise EncodingError("the schema is nested too deeply") from None


def decode_schema(text: str) -> Schema:
    """Return the normal form of the JSON Schema that a line was made of.

    Args:
        text: what `encode_schema` has returned.

    Raises:
        DecodingError: the text is no schema of ours.

    Example:
        >>> decode_schema("[int(1..6)](..2)")
        {'items': {'maximum': 6, 'minimum': 1, 'type': 'integer'}, 'maxItems': 2, 'type': 'array'}
    """
    reader = TypeReader(text, 1, {})
    try:
        found = normal_schema(reader.schema())
    except RecursionError:
        raise DecodingError("the text is nested too deeply", line=1) from None
    if reader.at < len(text):
        reader.fail("the end of the line")
    return found
