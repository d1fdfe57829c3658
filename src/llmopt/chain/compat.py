"""All that llmopt knows of llm's insides: how a prompt is changed and what a response carries.

llm's public surface has no way to run a model with another prompt than the response's own, nor to
copy an answer from one response to another. What is used for that is named here and nowhere else;
`tests/compat` runs against the oldest and the newest supported llm.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..stages import Event
from ..types import Reply, Usage

if TYPE_CHECKING:
    from llm.models import AsyncResponse, Prompt, Response
    from llm.parts import Message, ToolResultPart

_OWN = frozenset(
    (
        "id",
        "prompt",
        "_prompt_json",
        "model",
        "stream",
        "_key",
        "before_call",
        "after_call",
        "_chunks",
        "_stream_events",
        "_auto_index_max",
        "_auto_last_index",
        "_auto_last_family",
        "_auto_tool_id_to_index",
        "_auto_last_message_index",
        "_done",
        "_tool_calls",
        "response_json",
        "conversation",
        "attachments",
        "_start",
        "_end",
        "_start_utcnow",
        "input_tokens",
        "output_tokens",
        "token_details",
        "done_callbacks",
        "resolved_model",
        "_generator",
        "_iter_chunks",
        "_loaded_messages",
        "llmopt",
    )
)
"""The attributes that llm itself keeps on a response; whatever else is there, a plugin has set."""

_LAST = "done_callbacks"
"""The attribute that llm sets last when it makes a response, and never again."""


def with_messages(prompt: Prompt, messages: Sequence[Message]) -> Prompt:
    """Return a copy of `prompt` that sends exactly `messages`.

    Most plugins build their requests from `prompt.messages`, but llm-anthropic takes the system prompt from
    `prompt.system`, and others read `prompt.prompt` or `prompt.tool_results`. What these said of the messages
    before, they say of the new ones; where they said something else, they go on to. Fragments stay as long
    as their text does.

    Args:
        prompt: the prompt of a call; it stays as it is.
        messages: llm messages, history included, in order.

    Returns:
        The copy, for `call.replace(prompt=...)`.

    Example:
        >>> import llm
        >>> from llmopt.testing import ScriptedModel
        >>> prompt = ScriptedModel().prompt("Hi").prompt
        >>> changed = with_messages(prompt, [llm.system("Short."), *prompt.messages])
        >>> [message.role for message in changed.messages], changed.system
        (['system', 'user'], 'Short.')
    """
    old, new = prompt.messages, list(messages)
    changed = copy.copy(prompt)
    changed._explicit_messages = new  # noqa: SLF001
    system, text = _system_of(new), _question_of(new)
    if prompt.system == _system_of(old) != system:
        changed._system, changed.system_fragments = system, []  # noqa: SLF001
    if prompt.prompt == _question_of(old) != text:
        changed._prompt, changed.fragments = text, []  # noqa: SLF001
    before, after = _results_of(old), _results_of(new)
    if len(prompt.tool_results) == len(before) == len(after):
        changed.tool_results = [
            replace(said, output=part.output) if said.output == was.output != part.output else said
            for said, was, part in zip(prompt.tool_results, before, after, strict=True)
        ]
    return changed


def with_fragments(
    prompt: Prompt, *, system: Sequence[str] | None = None, user: Sequence[str] | None = None
) -> Prompt:
    """Return `prompt` with the same texts in fragments.

    Args:
        prompt: a prompt that `with_messages` has made; it is changed.
        system: fragments, and behind them a text, that make `prompt.system` as llm joins them; None for as
            they are.
        user: the same for `prompt.prompt`.
    """
    if system is not None:
        *prompt.system_fragments, prompt._system = system  # noqa: SLF001
    if user is not None:
        *prompt.fragments, prompt._prompt = user  # noqa: SLF001
    return prompt


def texts_in(prompt: Prompt) -> tuple[list[str], list[str]]:
    """Return the fragments of the system prompt and of the prompt, each with the text behind them."""
    system = [*(prompt.system_fragments or ()), prompt._system or ""]  # noqa: SLF001
    return system, [*(prompt.fragments or ()), prompt._prompt or ""]  # noqa: SLF001


def _system_of(messages: Sequence[Message]) -> str:
    """Return the system prompt that messages begin with, as llm-anthropic reads it."""
    return "\n\n".join(_texts_of(messages[0])).strip() if messages and messages[0].role == "system" else ""


def _question_of(messages: Sequence[Message]) -> str:
    """Return what the user says last, if nobody speaks after that."""
    return "\n".join(_texts_of(messages[-1])) if messages and messages[-1].role == "user" else ""


def _texts_of(message: Message) -> list[str]:
    from llm.parts import TextPart

    return [part.text for part in message.parts if isinstance(part, TextPart)]


def _results_of(messages: Sequence[Message]) -> list[ToolResultPart]:
    """Return the results of tools that messages end with; the user may speak after them."""
    from llm.parts import ToolResultPart

    last = [message for message in messages[-2:] if message.role == "tool"][-1:]
    return [part for message in last for part in message.parts if isinstance(part, ToolResultPart)]


def with_options(prompt: Prompt, model: Any, options: dict[str, Any]) -> Prompt:
    """Return a copy of `prompt` for `model` with these options; the model validates them."""
    changed = copy.copy(prompt)
    changed.model = model
    changed.options = model.Options(**options)
    return changed


def options_of(prompt: Prompt) -> dict[str, Any]:
    """Return the options that are set, by name."""
    return {name: value for name, value in prompt.options if value is not None}


def plain_texts(prompt: Any) -> tuple[str, str] | None:
    """Return the system and the user text of a prompt that sends nothing else, or None for any other.

    They are what `prompt.messages` would hold, in a tenth of the time.
    """
    if prompt._explicit_messages is not None or prompt.attachments or prompt.tool_results:  # noqa: SLF001
        return None
    system = prompt.system if prompt.system_fragments else (prompt._system or "").strip()  # noqa: SLF001
    return system, prompt.prompt if prompt.fragments else prompt._prompt or ""  # noqa: SLF001


def inner_response(outer: Response | AsyncResponse, prompt: Prompt, model: Any) -> Response | AsyncResponse:
    """Return a response of its own for a run whose prompt or model is not the consumer's.

    It has the consumer's id, conversation and hooks: plugins read `response.prompt`, and run tools
    through `response.execute_tool_calls`.
    """
    inner = type(outer)(
        prompt,
        model,
        outer.stream,
        conversation=outer.conversation,
        key=outer._key,  # noqa: SLF001
        before_call=outer.before_call,
        after_call=outer.after_call,
    )
    inner.id = outer.id
    return inner


def _told(response: Any) -> dict[str, Any]:
    tokens = (response.input_tokens, response.output_tokens, response.token_details)
    return {
        "usage": tuple.__new__(Usage, tokens),  # in half the time of a call of the class
        "response_json": response.response_json,
        "resolved_model": response.resolved_model,
    }


def _all(response: Any) -> dict[str, Any]:
    return {
        **_told(response),
        "tool_calls": response._tool_calls,  # noqa: SLF001
        "prompt_json": response._prompt_json,  # noqa: SLF001
        "attributes": _foreign(response),
    }


def _foreign(response: Any) -> dict[str, Any]:
    """Return what a plugin has set on its response beside what llm keeps there."""
    state: dict[str, Any] = response.__dict__
    # They are in the order in which they were set: mostly nothing has come since the response was made.
    if next(reversed(state)) == _LAST or _OWN.issuperset(state):
        return {}
    return {name: state[name] for name in state.keys() - _OWN}


class _Late:
    """An attribute of a reply that is read when somebody looks, perhaps with others; what was set stays."""

    __slots__ = ("_name", "_read")

    def __init__(self, read: Callable[[Any], dict[str, Any]]) -> None:
        self._read = read

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, reply: Any, _owner: type) -> Any:
        state = self._read(reply.response)
        state.update(reply.__dict__)
        reply.__dict__ = state
        return state[self._name]


class ModelReply(Reply):
    """A model's reply, read from its response when somebody looks: most middlewares never do.

    The last three are read at once, as that takes `vars(response)`: it turns the instance into one with a
    real dictionary, which slows every later access.
    """

    events: Any = ()
    usage: Any = _Late(_told)
    response_json: Any = _Late(_told)
    resolved_model: Any = _Late(_told)
    tool_calls: Any = _Late(_all)
    prompt_json: Any = _Late(_all)
    attributes: Any = _Late(_all)

    def __init__(self, response: Response | AsyncResponse) -> None:
        self.source = "model"
        self.response = response


_LATE = frozenset(("tool_calls", "prompt_json", "attributes"))


def carries_more(reply: Reply) -> bool:
    """Tell whether a reply holds more than events, usage and the name of a model.

    A model's reply that nobody has looked at need not be read for that, which takes four times as long.
    """
    if type(reply) is ModelReply and _LATE.isdisjoint(reply.__dict__):
        said: Any = reply.response
        more = said._prompt_json is not None or said._tool_calls or _foreign(said)  # noqa: SLF001
    else:
        more = reply.prompt_json is not None or reply.tool_calls or reply.attributes
    return bool(more) or reply.response_json is not None


def apply(reply: Reply, response: Response | AsyncResponse) -> None:
    """Make `response` carry what `reply` does, as if the model had written to it."""
    usage = reply.usage
    response.set_usage(input=usage.input_tokens, output=usage.output_tokens, details=usage.details)
    response.response_json = reply.response_json
    response.resolved_model = reply.resolved_model
    response._tool_calls = list(reply.tool_calls)  # noqa: SLF001
    response._prompt_json = reply.prompt_json  # noqa: SLF001
    for name, value in (reply.attributes or {}).items():
        setattr(response, name, value)


def copy_event(event: Event) -> Event:
    """Return an event that its receiver may change: llm numbers the parts of the events it gets."""
    if isinstance(event, str):
        return event
    twin = object.__new__(type(event))  # copy.copy takes eight times as long
    twin.__dict__.update(event.__dict__)
    return twin
