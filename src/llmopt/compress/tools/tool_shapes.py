"""What the tools of OpenAI, Anthropic, MCP and llm have in common, in one normal form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ...errors import EncodingError
from ..roles.loss import Dropped, Keys, LossReport, pointer
from .json_schema import Schema, normal_schema
from .schema_refs import parts_of, undescribed
from .schema_words import keys_of

__all__ = ["as_json_tools", "descriptions_in", "normal_tools", "tools_in_order", "undescribed_tool"]

_PARAMETERS: Final = ("parameters", "input_schema", "inputSchema")
_NOISE: Final = frozenset(("cache_control", "_meta", "icons"))  # for clients, not for the model
_PLAIN_TYPES: Final = frozenset(("function", "custom"))


def normal_tools(tools: Any, *, descriptions: bool = True) -> list[Schema]:
    """Return the normal form of a tool catalogue: its tools, ordered by name.

    Each has `name`, `parameters` and, where there is one, `description`. Further keys stay as they are; what
    is left out says nothing to a model: `strict: false`, cache breakpoints, `_meta`, icons, a title that
    repeats the name.

    Args:
        tools: tools in the shape of OpenAI's chat or responses API, of Anthropic, of MCP (or all that
            `tools/list` returns), or objects with `name`, `description` and `input_schema`, as llm's.
        descriptions: whether descriptions are kept.

    Raises:
        EncodingError: it is no catalogue of tools, or two tools have one name.

    Example:
        >>> schema = {"type": "object", "properties": {"s": {"type": "integer"}}}
        >>> normal_tools([{"name": "wait", "input_schema": schema}])
        [{'name': 'wait', 'parameters': {'properties': {'s': {'type': 'integer'}}, 'type': 'object'}}]
    """
    found = tools_in_order(tools, descriptions=descriptions)
    return sorted(found, key=lambda tool: str(tool["name"]))


def tools_in_order(tools: Any, *, descriptions: bool = True) -> list[Schema]:
    """Return the tools of `normal_tools` in the order in which they were given."""
    found = [_normal_tool(tool, descriptions=descriptions) for tool in as_json_tools(tools)]
    names = [tool["name"] for tool in found]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise EncodingError(f"more than one tool is called {min(doubled)!r}: names have to differ")
    return found


def as_json_tools(tools: Any) -> list[Mapping[str, Any]]:
    """Return the tools of a catalogue as JSON has them."""
    listed = keys_of(tools)
    tools = tools if listed is None else listed.get("tools")
    if isinstance(tools, (str, bytes)) or not isinstance(tools, Iterable):
        raise EncodingError(f"{tools!r:.60} is no list of tools")
    return [_as_mapping(tool) for tool in tools]  # pyright: ignore[reportUnknownVariableType]


def _as_mapping(tool: Any) -> Mapping[str, Any]:
    keys = keys_of(tool)
    if keys is not None:
        return keys
    if not hasattr(tool, "name") or not hasattr(tool, "input_schema"):
        raise EncodingError(f"{tool!r:.60} is no tool: it needs a name and a schema")
    return {"name": tool.name, "description": tool.description or "", "input_schema": tool.input_schema}


def _normal_tool(tool: Mapping[str, Any], *, descriptions: bool) -> Schema:
    inner = keys_of(tool.get("function"))
    given = dict(tool) if inner is None else {**tool, **inner}
    if inner is not None:
        given.pop("function")
    name = given.pop("name", None)
    if not isinstance(name, str) or not name:
        raise EncodingError(f"a tool has no name: {tool!r:.60}")
    found: Schema = {"name": name}
    text = given.pop("description", None)
    if descriptions and isinstance(text, str) and text.strip():
        found["description"] = text.strip()
    schema: Any = None
    for key in _PARAMETERS:
        schema = given.pop(key, None) if schema is None else schema
    found["parameters"] = _normal_parameters(schema, name, descriptions=descriptions)
    return found | {key: value for key, value in given.items() if not _is_noise(key, value, name)}


def _normal_parameters(schema: Any, name: str, *, descriptions: bool) -> Schema:
    """Return the schema of a tool's parameters, which are an object even where it does not say so."""
    schema = {"type": "object"} if schema is None or schema == {} else schema
    found = normal_schema(schema, name=name, descriptions=descriptions)
    untyped = "type" not in found and ("properties" in found or not found)
    return {"type": "object", **found} if untyped else found


def _is_noise(key: str, value: Any, name: str) -> bool:
    if key in _NOISE or (key == "type" and value in _PLAIN_TYPES) or value is None:
        return True
    if key == "title" and isinstance(value, str):
        return "title" not in normal_schema({"title": value}, name=name)
    return key == "strict" and value is False


def undescribed_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool, in the shape in which it is given, without descriptions."""
    found = {key: value for key, value in tool.items() if key != "description"}
    for key in _PARAMETERS:
        if key in found:
            found[key] = undescribed(found[key])
    inner = keys_of(found.get("function"))
    return found if inner is None else {**found, "function": undescribed_tool(inner)}


def descriptions_in(tools: Iterable[Mapping[str, Any]]) -> LossReport:
    """Return what is lost where the descriptions of these normal tools are left out."""
    found: list[Keys] = []
    for tool in tools:
        name = str(tool["name"])
        found += [(name,)] if "description" in tool else []
        waiting: list[tuple[Keys, Any]] = [((name, "parameters"), tool["parameters"])]
        while waiting:
            keys, part = waiting.pop()
            schema = keys_of(part) or {}
            found += [keys] if "description" in schema else []
            waiting += [((*keys, *way), inner) for way, inner in parts_of(schema)]
            definitions = keys_of(schema.get("$defs")) or {}
            waiting += [((*keys, "$defs", key), inner) for key, inner in definitions.items()]
    paths = sorted(pointer((*keys, "description")) for keys in found)
    return LossReport(tuple(Dropped(path, "pruned", rule="descriptions=False") for path in paths))
