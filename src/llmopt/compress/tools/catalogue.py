"""Tool catalogues in few tokens: each tool as a signature, and each shared parameter described once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ...errors import ConfigurationError, EncodingError
from ...tokens import TokenCounter
from ..encode import encode
from ..notation.lexical import compact
from ..roles.loss import LossReport
from .json_schema import Schema
from .schema_words import as_json, as_name, items_of, keys_of, same
from .schema_write import TypeWriter
from .tool_shapes import as_json_tools, descriptions_in, tools_in_order, undescribed_tool

__all__ = ["DASH", "HEADER", "NOTATIONS", "OPEN", "EncodedTools", "encode_tools"]

HEADER: Final = "tools"
OPEN: Final = "tools; other arguments are allowed"
DASH: Final = " - "
NOTATIONS: Final = ("signatures", "dense")
_OWN: Final = frozenset(("name", "description", "parameters"))


@dataclass(frozen=True, slots=True)
class EncodedTools:
    """The text of a tool catalogue, and what it costs.

    Attributes:
        text: what to put into the prompt.
        tokens: tokens of the text.
        tokens_before: tokens of the catalogue, as it was given, as compact JSON.
        encoding: the notation that won: "signatures", "dense" or "json".
        loss: the descriptions that were left out.
        exact: whether token counts are exact.
    """

    text: str
    tokens: int
    tokens_before: int
    encoding: str
    loss: LossReport
    exact: bool

    @property
    def ratio(self) -> float:
        """How many times fewer tokens than compact JSON."""
        return self.tokens_before / self.tokens

    @property
    def dropped(self) -> tuple[str, ...]:
        """JSON pointers of the descriptions that were left out, the name of the tool first."""
        return self.loss.paths

    def __str__(self) -> str:
        return self.text


def encode_tools(
    tools: Any, *, counter: TokenCounter | None = None, descriptions: bool = True, notation: str | None = None
) -> EncodedTools:
    """Return the text of fewest tokens for a tool catalogue, with all that its tools mean.

    Parameters that several tools share are described once, and tools that take the same ones stand together:

        limit:int(1..100)=20 - Maximum number of results

        (query:str,limit?)
        search_issue - Search an issue
        search_invoice - Search an invoice

    `decode_tools` reads it. What the tools say in another spelling only is not kept: see `normal_schema`.

    Args:
        tools: tools in the shape of OpenAI, Anthropic, MCP or llm; see `normal_tools`.
        counter: counts tokens; o200k_base by default.
        descriptions: False leaves all descriptions out; the loss report names each.
        notation: "signatures"; "dense", in which the descriptions of tools follow as a template and what
            differs, which models have not seen before; None for the cheaper of both and compact JSON.

    Raises:
        EncodingError: it is no catalogue of tools.
        ConfigurationError: there is no such notation.

    Example:
        >>> seconds = {"type": "integer", "minimum": 0}
        >>> schema = {"type": "object", "properties": {"s": seconds}, "required": ["s"]}
        >>> tool = {"name": "wait", "description": "Do nothing for a time", "input_schema": schema}
        >>> print(encode_tools([tool]))
        tools; other arguments are allowed
        wait(s:int(0..)) - Do nothing for a time
    """
    if notation not in {None, *NOTATIONS}:
        raise ConfigurationError(f"notation={notation!r}: give one of {', '.join(NOTATIONS)}, or None")
    if counter is None:
        from ...tokens import counter as counter_of

        counter = counter_of("o200k_base")
    given = [dict(tool) for tool in as_json_tools(tools)]
    found, loss = tools_in_order(given), LossReport()
    before = _compact(given)
    texts = {} if notation else {"json": before}
    if not descriptions:
        found, loss = tools_in_order(given, descriptions=False), descriptions_in(found)
        texts = {} if notation else {"json": _compact([undescribed_tool(tool) for tool in given])}
    try:
        page = _Page(found)
        texts |= {name: page.text(name, counter) for name in NOTATIONS if notation in {None, name}}
    except RecursionError:
        raise EncodingError("the schema of a tool is nested too deeply") from None
    tokens = {name: counter.count(text) for name, text in texts.items()}
    best = min(reversed(tokens), key=tokens.__getitem__)
    return EncodedTools(texts[best], tokens[best], counter.count(before), best, loss, counter.exact)


def _compact(value: Any) -> str:
    try:
        return compact(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodingError(f"a tool holds what is no JSON: {error}") from None


class _Page:
    """A catalogue in normal form, on its way to text."""

    def __init__(self, tools: list[Schema]) -> None:
        self._tools = tools
        self._open = not any(_is_closed(part) for tool in tools for part in _objects(tool["parameters"]))
        self._shared = _shared([part for tool in tools for part in _objects(tool["parameters"])])
        self._writer = TypeWriter(self._shared, open_objects=self._open)

    def text(self, notation: str, counter: TokenCounter) -> str:
        """Return the text of the catalogue."""
        lines = [self._parameter(name, schema) for name, schema in self._shared.items()]
        head = [OPEN if self._open else HEADER, *lines, *([""] if lines else [])]
        if notation == "signatures":
            return "\n".join([*head, *self._groups(self._tools)])
        bare = [{key: value for key, value in tool.items() if key != "description"} for tool in self._tools]
        rows = [[tool["name"], tool["description"]] for tool in self._tools if "description" in tool]
        return "\n".join([*head, *self._groups(bare), encode(rows, "dense", counter=counter).text])

    def _parameter(self, name: str, schema: Schema) -> str:
        text, description = self._writer.without_description(schema)
        return f"{as_name(name)}:{text}{_described(description)}"

    def _groups(self, tools: Iterable[Schema]) -> Iterator[str]:
        """Yield the lines of tools; those with the same parameters stand together."""
        groups: dict[str, list[Schema]] = {}
        for tool in tools:
            groups.setdefault(self._arguments(tool), []).append(tool)
        for arguments, members in groups.items():
            if len(members) == 1:
                yield self._name(members[0]) + arguments + _described(members[0].get("description"))
                continue
            plain = [self._name(tool) for tool in members if "description" not in tool]
            yield " ".join([arguments, *plain])
            for tool in members:
                if "description" in tool:
                    yield self._name(tool) + _described(tool["description"])

    def _name(self, tool: Schema) -> str:
        more = {key: value for key, value in tool.items() if key not in _OWN}
        if tool["parameters"].get("type") != "object":
            more["parameters"] = tool["parameters"]
        keywords = ",".join([f"{as_name(key)}={as_json(value)}" for key, value in more.items()])
        return as_name(tool["name"]) + (f"<{keywords}>" if keywords else "")

    def _arguments(self, tool: Schema) -> str:
        if tool["parameters"].get("type") != "object":
            return "(...)"
        rest = {key: value for key, value in tool["parameters"].items() if key != "type"}
        text = self._writer.properties(rest, "()") + self._writer.limits(rest, "object")
        keywords = ",".join([f"{as_name(key)}={as_json(value)}" for key, value in rest.items()])
        return text + (f"<{keywords}>" if keywords else "")


def _described(description: Any) -> str:
    """Return the end of a line that describes what stands before it."""
    if description is None:
        return ""
    text = str(description)
    plain = text.isprintable() and not text.startswith('"')
    return DASH + (text if plain else as_json(text))


def _objects(schema: Any) -> Iterator[Schema]:
    """Yield the objects in a normal schema that the writer spells out, inner ones first."""
    keys = keys_of(schema)
    if keys is None:
        for part in items_of(schema) or ():
            yield from _objects(part)
        return
    properties = keys_of(keys.get("properties")) or {}
    for part in (*properties.values(), *(value for key, value in keys.items() if key != "properties")):
        yield from _objects(part)
    if keys.get("type") == "object" or "object" in (items_of(keys.get("type")) or ()):
        yield dict(keys)


def _is_closed(schema: Schema) -> bool:
    return schema.get("additionalProperties") is False


def _shared(objects: list[Schema]) -> dict[str, Schema]:
    """Return the parameters that are described once: by name, those that others are made of first."""
    seen: dict[str, Counter[str]] = {}
    for schema in objects:
        for name, part in (keys_of(schema.get("properties")) or {}).items():
            seen.setdefault(name, Counter())[json.dumps(part, sort_keys=True)] += 1
    found: dict[str, Schema] = {}
    for name, texts in seen.items():
        text, number = texts.most_common(1)[0]
        schema = json.loads(text)
        if isinstance(schema, dict) and (number > 1 or "description" in schema):
            found[name] = schema
    ordered: dict[str, Schema] = {}
    for name in found:
        _place(name, found, ordered)
    return ordered


def _place(name: str, found: dict[str, Schema], ordered: dict[str, Schema]) -> None:
    """Put a parameter behind those that it is made of."""
    if name in ordered:
        return
    for schema in _objects(found[name]):
        for inner, part in (keys_of(schema.get("properties")) or {}).items():
            if same(found.get(inner), part):
                _place(inner, found, ordered)
    ordered[name] = found[name]
