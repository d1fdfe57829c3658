"""`decode_tools`: the catalogue back from the text that `encode_tools` has made of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...errors import DecodingError, EncodingError
from ..decode import decode
from .catalogue import DASH, HEADER, OPEN
from .json_schema import Schema
from .schema_read import TypeReader
from .schema_words import items_of
from .tool_shapes import normal_tools

__all__ = ["decode_tools"]


def decode_tools(text: str) -> list[Schema]:
    r"""Return the normal form of the tool catalogue that `text` was made of.

    Args:
        text: what `encode_tools` has returned, or compact JSON of tools.

    Raises:
        DecodingError: the text is no catalogue of ours. `line` says where that shows.

    Example:
        >>> decode_tools("tools\nwait(s:int) - Do nothing")[0]["parameters"]["required"]
        ['s']
    """
    head, _, body = text.partition("\n")
    try:
        if head not in {HEADER, OPEN}:
            return normal_tools(decode(text))
        return normal_tools(_Pages(open_objects=head == OPEN).tools(body))
    except EncodingError as error:
        raise DecodingError(f"the text is no catalogue of tools: {error}") from None
    except RecursionError:
        raise DecodingError("the text is nested too deeply") from None


class _Pages:
    """What has been read of a catalogue so far."""

    def __init__(self, *, open_objects: bool) -> None:
        self._open = open_objects
        self._shared: dict[str, Schema] = {}
        self._group: Schema | None = None

    def tools(self, body: str) -> list[Schema]:
        """Return the tools of a text without its first line."""
        tools: list[Schema] = []
        lines = body.split("\n")
        for number, line in enumerate(lines, 2):
            if line.startswith("["):
                return _with_descriptions(tools, decode("\n".join(lines[number - 2 :])), number)
            tools += self._line(line, number)
        return tools

    def _line(self, line: str, number: int) -> Iterator[Schema]:
        """Yield the tools of a line; remember what it says for those after it."""
        reader = TypeReader(line, number, self._shared, open_objects=self._open)
        if not line:
            return
        if reader.takes("("):
            self._group = _arguments(reader)
            while reader.takes(" "):
                yield self._tool(reader)
        else:
            tool = self._tool(reader)
            if reader.takes(":"):
                self._shared[tool["name"]] = _described(reader, reader.schema())
            else:
                yield _described(reader, tool)
        if reader.at < len(line):
            reader.fail("the end of the line")

    def _tool(self, reader: TypeReader) -> Schema:
        """Read the name of a tool, what is said of it in brackets, and its parameters where they follow."""
        tool: Schema = {"name": reader.name()}
        more = reader.keywords("<", ">") if reader.sees("<") else {}
        if reader.takes("("):
            tool["parameters"] = _arguments(reader)
        elif self._group is not None:
            tool["parameters"] = self._group
        return tool | more


def _with_descriptions(tools: list[Schema], rows: Any, number: int) -> list[Schema]:
    """Return the tools with the descriptions that rows of names and texts give them."""
    by_name = {tool["name"]: tool for tool in tools}
    for row in items_of(rows) or ():
        match row:
            case [str(name), str(text)] if name in by_name:
                by_name[name]["description"] = text
            case _:
                raise DecodingError(f"line {number}: {row!r:.60} describes no tool", line=number)
    return tools


def _arguments(reader: TypeReader) -> Schema:
    """Read what stands between the parentheses of a signature, and what follows them."""
    found = reader.object(")")
    return found | (reader.keywords("<", ">") if reader.sees("<") else {})


def _described(reader: TypeReader, found: Schema) -> Schema:
    """Read the description at the end of a line, if there is one."""
    if not reader.takes(DASH):
        return found
    if reader.sees('"'):
        return found | {"description": reader.value()}
    text, reader.at = reader.line[reader.at :], len(reader.line)
    return found | {"description": text}
