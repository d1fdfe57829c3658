"""The tools of a role, as tools of a planner."""

from __future__ import annotations

from typing import Any

from ..compress.roles import Role
from ..compress.roles.tool_spec import ToolSpec
from .tool import Tool, Tools

_TYPES = {"int": "integer", "float": "number", "str": "string", "bool": "boolean"}


def tools_of(role: Role | None) -> Tools:
    """Return the tools that a role names; none for no role.

    Example:
        >>> from llmopt.compress import ROLES
        >>> print(tools_of(ROLES["tactical"]).tools[2].signature())
        attack(id:int): shoot at an enemy
    """
    return Tools(tuple(map(tool_of, role.tools if role else ())))


def tool_of(spec: ToolSpec) -> Tool:
    """Return the tool that a role's specification describes."""
    schema = {
        "type": "object",
        "properties": {param.name: _schema(param.type) for param in spec.params},
        "required": [param.name for param in spec.params if param.required],
    }
    wait = f" ({spec.cooldown_s:g} s cooldown)" if spec.cooldown_s else ""
    return Tool.of({"name": spec.name, "description": spec.description + wait, "parameters": schema})


def _schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a parameter's type: a name, words between bars, or either with `[]`."""
    if kind.endswith("[]"):
        return {"type": "array", "items": _schema(kind[:-2])}
    return {"type": _TYPES[kind]} if kind in _TYPES else {"enum": kind.split("|")}
