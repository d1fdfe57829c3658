"""Reads one row of an answer: which agent it is for, and what that agent is to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from ..errors import ConfigurationError, PlanValidationError
from ._text import brief, fold, is_list, is_object, is_text
from .handles import Handle, Handles
from .tool import Tool, Tools
from .types import Step

__all__ = ["Row", "RowFault", "parse_row"]

_RAW_CHARS: Final = 400
_DEPTH: Final = 4
# What models call the parts of a plan, folded, the surest first.
_AGENT_KEYS: Final = ("agent", "agentid", "handle", "id", "agentname", "unit", "unitid")
_STEPS_KEYS: Final = ("steps", "plan", "actions", "planintent", "intent", "step", "action")
_TOOL_KEYS: Final = ("tool", "act", "action", "toolname", "function", "name", "type", "command")
_ARGS_KEYS: Final = ("args", "arguments", "parameters", "params", "input", "toolinput", "kwargs")
_WRAPPER_KEYS: Final = ("row", "plan", "result", "response", "message", "content", "output", "data", "item")
# What they say beside, and what nobody acts upon.
_REMARK_KEYS: Final = (
    "reason",
    "reasoning",
    "rationale",
    "thought",
    "thoughts",
    "comment",
    "note",
    "notes",
    "why",
    "explanation",
    "description",
    "planid",
    "stepid",
    "stepnumber",
    "index",
    "order",
    "priority",
    "confidence",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is good.

    Args:
        handle: the handle of the agent it is for.
        steps: what it is to do.
        repairs: a line for each thing that was not as it should be, but was clear; none for a clean row.
    """

    handle: Handle
    steps: tuple[Step, ...]
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row that cannot be used.

    Args:
        handle: the handle of the agent it is for; None if that is not clear.
        reason: what is wrong, where, and what would be right, in one sentence for a repair prompt.
        raw: the row as compact JSON, cut to 400 characters.
    """

    handle: Handle | None
    reason: str
    raw: str


def parse_row(
    row: Any, tools: Tools, handles: Handles, *, max_steps: int | None = None, allow_empty: bool = False
) -> Row | RowFault:
    """Return the plan in one row, or what is wrong with it.

    The row that is asked for is `[handle, [tool, arg, ...], ...]`. Understood as well are
    `{"agent": .., "steps": [{"tool": .., "args": ..}]}` under the usual other names, steps with flat
    arguments `{"act": .., ..}`, `{"move_to": {..}}`, `{handle: [steps]}`, and any of these in a wrapper such
    as `{"plan": ..}`; with a note in `Row.repairs` where it is not plainly one of the first three.

    Args:
        row: decoded JSON.
        tools: what the agents can do.
        handles: what they are called.
        max_steps: steps that a plan may have; None for any number.
        allow_empty: whether a plan may have no steps.

    Raises:
        ConfigurationError: `max_steps` is below 1.

    Example:
        >>> def move_to(x: int, y: int): ...
        >>> tools, handles = Tools.of([move_to]), Handles.of([17, 18])
        >>> parse_row([17, ["move_to", 10, 5]], tools, handles)
        Row(handle=17, steps=(Step(tool='move_to', args={'x': 10, 'y': 5}),), repairs=())
        >>> parse_row({"agent_id": "18", "plan": [{"act": "move_to", "x": 1}]}, tools, handles).reason
        'step 1: move_to lacks y, an int'
    """
    if max_steps is not None and max_steps < 1:
        raise ConfigurationError(f"parse_row: max_steps={max_steps!r}: it must be 1 or more, or None")
    reader = _Reader(tools, handles)
    try:
        given = reader.open(row, _DEPTH)
        _check_count(len(given), max_steps, allow_empty=allow_empty)
        steps = reader.steps(given)
    except PlanValidationError as error:
        return RowFault(reader.handle, str(error), brief(row, _RAW_CHARS))
    # open() has set the handle, or has raised.
    return Row(cast("Handle", reader.handle), steps, tuple(reader.repairs))


def _check_count(count: int, max_steps: int | None, *, allow_empty: bool) -> None:
    if not count and not allow_empty:
        raise PlanValidationError("the plan has no steps, but needs at least one")
    if max_steps is not None and count > max_steps:
        raise PlanValidationError(f"the plan has {count} steps, but at most {max_steps} are allowed")


class _Reader:
    """Reads one row; remembers whose it is, and what had to be repaired."""

    def __init__(self, tools: Tools, handles: Handles) -> None:
        self._tools = tools
        self._handles = handles
        self.handle: Handle | None = None
        self.repairs: list[str] = []

    def open(self, row: Any, depth: int) -> list[Any]:
        """Set the handle, and return the steps as they stand in the row."""
        row = self._decoded(row, "the row")
        if is_list(row) and row:
            return self._open_list(row, depth)
        if is_object(row) and row:
            return self._open_object(row, depth)
        raise PlanValidationError(f"the row is {brief(row)}, but must be [agent, [tool, argument, ...], ...]")

    def _open_list(self, row: list[Any], depth: int) -> list[Any]:
        if len(row) == 1 and isinstance(row[0], (dict, list)) and depth:
            self.repairs.append("row taken out of a list")
            return self.open(row[0], depth - 1)
        self._take_handle(row[0])
        return self._flattened(row[1:])

    def _open_object(self, row: dict[str, Any], depth: int) -> list[Any]:
        agent = _key_of(row, _AGENT_KEYS)
        if agent is None:
            return self._open_wrapper(row, depth)
        self._take_handle(row[agent])
        rest = {
            key: self._decoded(value, brief(key)) if fold(key) in _STEPS_KEYS else value
            for key, value in row.items()
            if key != agent
        }
        steps = _key_of(rest, _STEPS_KEYS, _is_nested)
        if steps is not None and not self._is_step(rest):
            return self._inner(rest[steps], depth)
        if _key_of(rest, _TOOL_KEYS) is not None:
            self.repairs.append("one step taken for the list of steps")
            return [rest]
        raise PlanValidationError(f"the row has no steps, only {', '.join(map(brief, row))}")

    def _open_wrapper(self, row: dict[str, Any], depth: int) -> list[Any]:
        """Return the steps of a row in a wrapper: `{"plan": row}`, `{handle: [steps]}`."""
        named = [key for key in row if self._handles.handle(key) is not None]
        if len(row) == 1 and named:
            self.repairs.append("handle taken from the name of a field")
            self._take_handle(named[0])
            return self._inner(row[named[0]], depth)
        for key, value in row.items():
            if depth and fold(key) in _WRAPPER_KEYS and isinstance(value, (dict, list, str)):
                self.repairs.append(f"row taken out of {brief(key)}")
                return self.open(value, depth - 1)
        raise PlanValidationError(f"the row names no agent, only {', '.join(map(brief, row))}")

    def _inner(self, steps: Any, depth: int) -> list[Any]:
        """Return the steps in the value of `steps`, or in an object with such a field."""
        steps = self._decoded(steps, "the steps")
        if is_list(steps):
            return self._flattened(steps)
        if not is_object(steps):
            raise PlanValidationError(f"the steps are {brief(steps)}, but must be a list")
        key = _key_of(steps, _STEPS_KEYS, _is_nested)
        if key is None or not depth or self._is_step(steps):
            self.repairs.append("one step taken for the list of steps")
            return [steps]
        return self._inner(steps[key], depth - 1)

    def _is_step(self, value: dict[str, Any]) -> bool:
        """Tell whether an object is one step itself, such as `{"act": "plan", "steps": 3}`."""
        return _key_of(value, _TOOL_KEYS, self._tools.knows) is not None

    def _take_handle(self, said: Any) -> None:
        handle = self._handles.handle(said)
        if handle is None:
            known = ", ".join(map(str, [*self._handles.agents][:12]))
            more = ", ..." if len(self._handles) > 12 else ""  # noqa: PLR2004
            raise PlanValidationError(f"there is no agent {brief(said)}, only {known}{more}")
        if handle != said:
            self.repairs.append(f"agent {brief(said)} taken for {brief(handle)}")
        self.handle = handle

    def _flattened(self, steps: list[Any]) -> list[Any]:
        """Return the list of steps where it stands in a list of its own, or where one step stands for it."""
        if len(steps) == 1 and is_list(steps[0]) and (not steps[0] or not isinstance(steps[0][0], str)):
            self.repairs.append("steps taken out of a list")
            return steps[0]
        scalar = any(not isinstance(step, (list, dict)) for step in steps)
        if scalar and self._tools.knows(steps[0]) and not all(map(self._tools.knows, steps)):
            self.repairs.append("one step taken for the list of steps")
            return [steps]
        return steps

    def steps(self, steps: Sequence[Any]) -> tuple[Step, ...]:
        """Return the steps, validated."""
        return tuple(self._step(step, number) for number, step in enumerate(steps, 1))

    def _step(self, step: Any, number: int) -> Step:
        notes: list[str] = []
        try:
            name, args = self._parts(step, notes)
            tool = self._tools.find(name, notes)
            bound = tool.bind(args if isinstance(args, list) else self._flat(tool, args, notes))
        except PlanValidationError as error:
            raise PlanValidationError(f"step {number}: {error}") from None
        self.repairs += [f"step {number}: {note}" for note in (*notes, *bound.repairs)]
        return Step(tool.name, bound)

    def _parts(self, step: Any, notes: list[str]) -> tuple[str, list[Any] | dict[str, Any]]:
        """Return the name of the tool, and its arguments by position or by name."""
        if isinstance(step, str):
            notes.append("a tool without a list")
            return step, []
        if is_list(step) and step and isinstance(step[0], str):
            return step[0], step[1:]
        if is_object(step):
            return self._parts_of_object(step, notes)
        raise PlanValidationError(f"it is {brief(step)}, but must be [tool, argument, ...]")

    def _parts_of_object(
        self, step: dict[str, Any], notes: list[str]
    ) -> tuple[str, list[Any] | dict[str, Any]]:
        inner = _key_of(step, _TOOL_KEYS, is_object)
        key = _key_of(step, _TOOL_KEYS, self._tools.knows)
        if key is None and inner is None:
            key = _key_of(step, _TOOL_KEYS, is_text)
        if key is not None:
            return step[key], {name: value for name, value in step.items() if name != key}
        if inner is not None and len(step) <= 3:  # noqa: PLR2004 - id, type and function, as OpenAI has it
            notes.append(f"step taken out of {brief(inner)}")
            return self._parts_of_object(step[inner], notes)
        known = [name for name in step if self._tools.knows(name)]
        if len(known) == 1:
            notes.append("a tool that is the name of a field")
            args: Any = step[known[0]]
            if is_list(args) or is_object(args):
                return known[0], args
            return known[0], [] if args is None else [args]
        raise PlanValidationError(f"it is {brief(step)} and names no tool, but must be [tool, argument, ...]")

    def _flat(self, tool: Tool, args: dict[str, Any], notes: list[str]) -> Any:
        """Return arguments from the fields of a step: `args`, or those beside the tool."""
        names = {fold(parameter.name) for parameter in tool.parameters}
        wrapped = _key_of(args, [key for key in _ARGS_KEYS if key not in names])
        if wrapped is not None and not any(fold(key) in names for key in args if key != wrapped):
            inner = self._decoded(args[wrapped], "its arguments")
            remarks = [key for key in args if key != wrapped]
            notes += [f"{brief(key)} left out" for key in remarks]
            return {} if inner is None else inner
        remarks = [key for key in args if fold(key) in _REMARK_KEYS and fold(key) not in names]
        notes += [f"{brief(key)} left out" for key in remarks]
        return {key: value for key, value in args.items() if key not in remarks}

    def _decoded(self, value: Any, what: str) -> Any:
        """Return what a string holds that is JSON itself."""
        if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
            return value
        try:
            decoded = json.loads(value)
        except (ValueError, RecursionError):
            return value
        self.repairs.append(f"{what} taken out of a string")
        return decoded


def _is_nested(value: object) -> bool:
    return is_list(value) or is_object(value)


def _is_anything(_: object) -> bool:
    return True


def _key_of(
    value: dict[str, Any], keys: Sequence[str], right: Callable[[object], bool] = _is_anything
) -> str | None:
    """Return the field with the first of these names, folded, whose value is right."""
    found = {fold(key): key for key in reversed(value) if right(value[key])}
    return next((found[key] for key in keys if key in found), None)
