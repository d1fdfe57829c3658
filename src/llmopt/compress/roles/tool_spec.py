"""The tools that a role may use, as data, and the few words in which a prompt names them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ...errors import ConfigurationError

__all__ = ["Param", "ToolSpec", "catalogue", "signatures"]

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_SIGNATURE: Final = re.compile(rf"({_NAME})\((.*)\)")
_PARAM: Final = re.compile(rf"({_NAME})(\??):(\S+)")


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a tool.

    Attributes:
        name: its name.
        type: "int", "float", "str", "bool", the words it may be (`smoke|grenade`), or a list (`int[]`).
        required: whether it has to be given.
    """

    name: str
    type: str
    required: bool = True

    def __str__(self) -> str:
        return f"{self.name}{'' if self.required else '?'}:{self.type}"


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool: how it is called, and what it does.

    Args:
        name: its name.
        params: its parameters, in order.
        description: what it does, in a few words.
        cooldown_s: seconds until it can be used again.

    Raises:
        ConfigurationError: a name is none, or stands twice.

    Example:
        >>> tool = ToolSpec.of("throw(item:smoke|grenade, x:int, y:int)", "throw to a cell", cooldown_s=8)
        >>> tool.signature
        'throw(item:smoke|grenade,x:int,y:int)'
        >>> tool.call
        'throw(item,x,y)'
    """

    name: str
    params: tuple[Param, ...] = ()
    description: str = ""
    cooldown_s: float = 0.0

    def __post_init__(self) -> None:
        names = [self.name, *(param.name for param in self.params)]
        wrong = [name for name in names if not re.fullmatch(_NAME, name)]
        if wrong or len({*names[1:]}) < len(self.params):
            raise ConfigurationError(f"tool {self.name!r}: give it and its parameters names of their own")
        if not self.cooldown_s >= 0:
            raise ConfigurationError(f"tool {self.name!r}: cooldown_s={self.cooldown_s!r} is no time to wait")

    @classmethod
    def of(cls, signature: str, description: str = "", *, cooldown_s: float = 0.0) -> ToolSpec:
        """Return the tool that a signature such as `scan(radius?:int)` describes.

        Args:
            signature: name and parameters, each with its type, `?` before it where it may be left out.
            description: what the tool does, in a few words.
            cooldown_s: seconds until it can be used again.

        Raises:
            ConfigurationError: it is no signature.
        """
        match = _SIGNATURE.fullmatch(signature)
        params = (
            [_PARAM.fullmatch(text.strip()) for text in match[2].split(",")] if match and match[2] else []
        )
        if match is None or None in params:
            raise ConfigurationError(f"{signature!r} is no signature: write 'name(param:type, other?:type)'")
        read = tuple(Param(param[1], param[3], not param[2]) for param in params if param)
        return cls(match[1], read, description, cooldown_s)

    @property
    def signature(self) -> str:
        """Name and parameters with their types."""
        return f"{self.name}({','.join(map(str, self.params))})"

    @property
    def call(self) -> str:
        """Name and parameters without types."""
        return f"{self.name}({','.join(param.name for param in self.params)})"


def signatures(tools: Iterable[ToolSpec], *, types: bool = True) -> str:
    """Return how tools are called, in one line.

    Args:
        tools: the tools, in the order in which they are named.
        types: whether the types of parameters are given.

    Example:
        >>> signatures([ToolSpec.of("reload()"), ToolSpec.of("attack(id:int)")])
        'reload() attack(id:int)'
    """
    return " ".join(tool.signature if types else tool.call for tool in tools)


def catalogue(tools: Iterable[ToolSpec]) -> str:
    """Return all that is known of some tools, those with the same parameters under one heading.

    Args:
        tools: the tools; within a heading they keep their order.

    Example:
        >>> reload = ToolSpec.of("reload()", "fill the magazine", cooldown_s=2)
        >>> print(catalogue([reload, ToolSpec.of("rest()", "do nothing")]))
        ():
        reload 2s: fill the magazine
        rest: do nothing
    """
    groups: dict[tuple[Param, ...], list[ToolSpec]] = {}
    for tool in tools:
        groups.setdefault(tool.params, []).append(tool)
    lines: list[str] = []
    for params, members in groups.items():
        lines += [f"({','.join(map(str, params))}):", *map(_described, members)]
    return "\n".join(lines)


def _described(tool: ToolSpec) -> str:
    wait = f" {tool.cooldown_s:g}s" if tool.cooldown_s else ""
    return f"{tool.name}{wait}: {tool.description}" if tool.description else f"{tool.name}{wait}"
