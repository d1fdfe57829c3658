"""What agents can do: tools, from Python functions or from JSON Schemas, and how their arguments are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import getdoc, isroutine
from typing import Any, Final, Literal, TypeAlias, cast

from ..errors import ConfigurationError, PlanValidationError
from ._text import brief, folded, is_list, is_object, is_text, suggest
from .convert import match
from .docstring import Docstring, sentence
from .from_schema import function_of_schema, parameters_of_schema
from .from_signature import parameters_of
from .parameter import Parameter, check_parameters, signature_of

__all__ = ["Bound", "Detail", "Tool", "Tools"]

Detail: TypeAlias = Literal["types", "summary", "full"]
"""How much of a tool a signature shows: types; and what it does; and what each parameter means."""

_NAME: Final = re.compile(r"[^\W\d][\w.:/-]{0,127}")


class Bound(dict[str, Any]):
    """Arguments by name.

    Attributes:
        repairs: a line for each value that had to be converted, such as 'x: "3" taken for 3'.
    """

    __slots__ = ("repairs",)

    def __init__(self, arguments: Mapping[str, Any], repairs: Iterable[str] = ()) -> None:
        super().__init__(arguments)
        self.repairs = tuple(repairs)


@dataclass(frozen=True, slots=True)
class Tool:
    """Something an agent can do.

    Args:
        name: a letter, then letters, digits and `_ . : / -`; up to 128 characters.
        parameters: what it takes, the required ones first.
        description: what it does.

    Raises:
        ConfigurationError: the name is none, two parameters have the same name, or a required one follows one
            that is not.

    Example:
        >>> def throw(item: Literal["smoke", "grenade"], x: int, y: int, force: float = 1.0):
        ...     '''Throw something at a cell.'''
        >>> tool = Tool.of(throw)
        >>> tool.signature()
        'throw(item:smoke|grenade,x:int,y:int,force:number=1.0): Throw something at a cell'
        >>> tool.bind(["smoke", 3, 4])
        {'item': 'smoke', 'x': 3, 'y': 4}
        >>> tool.bind({"item": "Smoke", "x": 3, "y": "4"}).repairs
        ('throw.item: "Smoke" taken for "smoke"', 'throw.y: "4" taken for 4')
    """

    name: str
    parameters: tuple[Parameter, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        if not is_text(self.name) or not _NAME.fullmatch(self.name):
            right = "a letter, then letters, digits and _ . : / -, 128 characters at most"
            raise ConfigurationError(f"Tool: name={self.name!r}: it must be {right}")
        check_parameters(f"Tool {self.name}", self.parameters)

    @classmethod
    def of(cls, source: Any) -> Tool:
        """Return the tool that `source` describes.

        Args:
            source: a function or bound method, whose annotations and Google-style docstring are read; a
                function as the OpenAI, Anthropic or MCP API describes it; a JSON Schema with a title; an
                `llm.Tool`; or a `Tool`, which is returned as it is.

        Raises:
            ConfigurationError: it is none of these, or something in it cannot be expressed in JSON.
        """
        if isinstance(source, cls):
            return source
        if isinstance(source, Mapping):
            name, description, asked = function_of_schema(cast("Mapping[str, Any]", source))
            return cls(name, parameters_of_schema(asked, f"Tool.of({name})"), description.strip())
        if isroutine(source):
            function = cast("Callable[..., Any]", source)
            return cls(function.__name__, parameters_of(function), Docstring.parse(getdoc(function)).summary)
        given: Any = source
        schema = getattr(given, "input_schema", None)
        if is_object(schema):
            parameters = parameters_of_schema(schema, f"Tool.of({given.name})")
            return cls(given.name, parameters, Docstring.parse(given.description).summary)
        right = "a function, a JSON Schema, an llm.Tool or a Tool"
        raise ConfigurationError(f"Tool.of({source!r}): it must be {right}")

    @property
    def unchecked(self) -> tuple[str, ...]:
        """What the schema asks of arguments and `bind` does not check, as `path: keyword`."""
        found = [
            (path, kind)
            for parameter in self.parameters
            for path, kind in parameter.type.walk(parameter.name)
        ]
        return tuple(f"{path}: {keyword}" for path, kind in found for keyword in kind.unchecked)

    def signature(self, detail: Detail = "summary") -> str:
        """Return the tool on one line, for a prompt.

        Args:
            detail: "types", or "summary" with the first sentence of the description, or "full" with what is
                said of the parameters.

        Example:
            >>> Tool("reload", description="Reload the weapon. Takes 2 s.").signature()
            'reload(): Reload the weapon'
        """
        line = f"{self.name}({signature_of(self.parameters)})"
        said = [sentence(self.description)] if detail != "types" and self.description else []
        if detail == "full":
            said += [f"{p.name}: {sentence(p.description)}" for p in self.parameters if p.description]
        return f"{line}: {'; '.join(said)}" if said else line

    def bind(self, args: Sequence[Any] | Mapping[str, Any]) -> Bound:
        """Return arguments by name, converted to the types of the parameters.

        What is not given is left out, so that the tool's own defaults apply.

        Args:
            args: decoded JSON: values in the order of the parameters, null for one that is not given; or by
                name, where `targetId` will do for `target_id`.

        Returns:
            The arguments, and what had to be converted in `repairs`.

        Raises:
            PlanValidationError: one is missing, unknown, or of the wrong type; the message is one sentence
                that says what, where, and what would be right.
        """
        repairs: list[str] = []
        return Bound(match(self._unwrapped(args, repairs), self.parameters, self.name, repairs), repairs)

    def _unwrapped(self, args: Any, repairs: list[str]) -> Sequence[Any] | Mapping[str, Any]:
        """Return the arguments themselves, where a list or an object of them stands for the first one."""
        if isinstance(args, str) or not isinstance(args, (Sequence, Mapping)):
            raise PlanValidationError(f"the arguments of {self.name} are {brief(args)}, but must be a list")
        given = cast("Sequence[Any] | Mapping[str, Any]", args)
        if isinstance(given, Mapping) or len(given) != 1 or not (is_list(given[0]) or is_object(given[0])):
            return given
        first = self.parameters[0].type.kind if self.parameters else "string"
        if first in ("array", "object", "any"):
            return given
        repairs.append(f"{self.name}: arguments taken out of a list")
        inner: list[Any] | dict[str, Any] = given[0]
        return inner


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools that a group of agents has, in their order.

    Args:
        tools: the tools.

    Raises:
        ConfigurationError: two have the same name.

    Example:
        >>> tools = Tools.of([Tool("wait"), Tool("take_cover")])
        >>> tools.find("TakeCover", notes := []).name, notes
        ('take_cover', ['"TakeCover" taken for "take_cover"'])
        >>> print(tools.text())
        wait()
        take_cover()
    """

    tools: tuple[Tool, ...] = ()
    _by_name: dict[str, Tool] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        by_name = {tool.name: tool for tool in self.tools}
        if len(by_name) < len(self.tools):
            names = [tool.name for tool in self.tools]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ConfigurationError(f"Tools: {', '.join(twice)} is there more than once")
        object.__setattr__(self, "_by_name", by_name)

    @classmethod
    def of(cls, sources: Iterable[Any]) -> Tools:
        """Return the tools that `sources` describe; see `Tool.of`."""
        return sources if isinstance(sources, cls) else cls(tuple(map(Tool.of, sources)))

    def find(self, name: str, repairs: list[str]) -> Tool:
        """Return the tool of this name, or the only one with a name alike, with a note in `repairs`.

        Raises:
            PlanValidationError: there is none; the message names the nearest.
        """
        tool = self._by_name.get(name)
        if tool is not None:
            return tool
        alike = folded(name, self._by_name)
        if alike is None:
            raise PlanValidationError(f"there is no tool {brief(name)}, {suggest(name, self._by_name)}")
        repairs.append(f"{brief(name)} taken for {brief(alike)}")
        return self._by_name[alike]

    def knows(self, name: object) -> bool:
        """Tell whether there is a tool of this name, or one with a name alike."""
        return isinstance(name, str) and (name in self._by_name or folded(name, self._by_name) is not None)

    def text(self, detail: Detail = "summary") -> str:
        """Return the signatures, one a line."""
        return "\n".join(tool.signature(detail) for tool in self.tools)

    def __len__(self) -> int:
        """Return how many tools there are."""
        return len(self.tools)

    def __iter__(self) -> Iterator[Tool]:
        """Return the tools in order."""
        return iter(self.tools)
