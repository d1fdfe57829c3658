"""What a scripted model is told to say, and what it was asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..errors import ConfigurationError
from ..stages import Event, text_of
from ..types import Clock, Sleep, Usage

if TYPE_CHECKING:
    from llm.models import AsyncConversation, AsyncResponse, Conversation, Prompt, Response, ToolCall


@dataclass(frozen=True, slots=True)
class Answer:
    """What a scripted model does with one prompt. Without arguments it echoes the prompt, at once.

    Attributes:
        text: what the model says; None for the echo, or nothing where `tool_calls` are given.
        chunks: the same in the pieces in which it is streamed.
        events: the same as llm's own stream events, streamed or not. Only one of these three is given.
        tool_calls: the tool calls (llm's) that the model asks for, after what it says.
        usage: the tokens to report; None for the number of words. `Usage()` reports nothing.
        response_json: the provider's raw answer.
        resolved_model: the model that answered, by the provider's word.
        attributes: what the model sets on its response beside all this, by name.
        delay_s: seconds before the first event, on the model's clock.
        chunk_delay_s: seconds between two events.
        clock_jump_s: seconds by which the wall clock is set on or back first; the model needs a clock
            that can `jump`, such as `VirtualClock`.
        error: what the model raises: an exception, or a function that makes one.
        error_after: how many events come before the error; None lets all of them come.

    Raises:
        ConfigurationError: if an argument is out of range, or two exclude each other.

    Example:
        >>> Answer(chunks=["HO", "LD"], chunk_delay_s=0.2).said
        'HOLD'
    """

    text: str | None = None
    chunks: Sequence[str] | None = None
    events: Sequence[Event] | None = None
    tool_calls: Sequence[ToolCall] = ()
    usage: Usage | None = None
    response_json: dict[str, Any] | None = None
    resolved_model: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    delay_s: float = 0.0
    chunk_delay_s: float = 0.0
    clock_jump_s: float = 0.0
    error: BaseException | Callable[[], BaseException] | None = None
    error_after: int | None = 0

    def __post_init__(self) -> None:
        if sum(words is not None for words in (self.text, self.chunks, self.events)) > 1:
            raise ConfigurationError("Answer takes one of text=, chunks= and events=")
        for name in ("delay_s", "chunk_delay_s"):
            if not 0 <= getattr(self, name) < inf:
                msg = f"Answer.{name} must be finite and not negative, not {getattr(self, name)!r}"
                raise ConfigurationError(msg)
        if self.error_after is not None and self.error_after < 0:
            raise ConfigurationError(f"Answer.error_after counts events, so not {self.error_after!r}")
        error: Any = self.error
        if not (error is None or callable(error) or isinstance(error, BaseException)):
            raise ConfigurationError(f"Answer.error is an exception or makes one, not {error!r}")

    @property
    def said(self) -> str | None:
        """The whole text, or None for the echo."""
        if self.events is not None:
            return "".join(text_of(event) for event in self.events)
        if self.chunks is not None:
            return "".join(self.chunks)
        return "" if self.text is None and self.tool_calls else self.text


Said: TypeAlias = "Answer | str | BaseException"
"""An answer, or short for one: its text, or the error that is raised in its place."""

Script: TypeAlias = "Iterable[Said] | Callable[[Prompt], Said]"
"""Answers in order, or a function of the prompt; `FaultPlan` is one."""


def answer_of(said: Any) -> Answer:
    """Return the answer that `said` is, or is short for.

    Raises:
        ConfigurationError: it is neither.
    """
    if isinstance(said, Answer):
        return said
    if isinstance(said, str):
        return Answer(text=said)
    if isinstance(said, BaseException):
        return Answer(error=said)
    raise ConfigurationError(f"a script is made of Answer, str and exceptions, not of {said!r}")


@dataclass(frozen=True, slots=True)
class Asked:
    """One run of a scripted model, as the model saw it.

    Attributes:
        prompt: the llm prompt.
        stream: whether a stream was asked for.
        key: the API key that it was given; None for models that need none.
        response: the llm response that it wrote to.
        conversation: the llm conversation, or None.

    Example:
        >>> from llmopt.testing import ScriptedModel
        >>> model = ScriptedModel()
        >>> _ = model.prompt("What now?", stream=False).text()
        >>> model.calls[0].text, model.calls[0].stream
        ('What now?', False)
    """

    prompt: Prompt
    stream: bool
    key: str | None = field(repr=False)
    response: Response | AsyncResponse
    conversation: Conversation | AsyncConversation | None

    @property
    def text(self) -> str:
        """The text of the last message that was sent."""
        return asked_text(self.prompt)


class Prompter:
    """Hands out the answers of a script, one for each run."""

    __slots__ = ("_make", "_next")

    def __init__(self, script: Script | None) -> None:
        self._make: Callable[[Prompt], Said] | None = None
        self._next: deque[Answer] = deque()
        if callable(script):
            self._make = script
        elif isinstance(script, (str, Answer)):
            msg = f"a script is a list of answers or a function, so not {script!r} but [{script!r}]"
            raise ConfigurationError(msg)
        elif script is not None:
            self._next.extend(answer_of(said) for said in script)

    def add(self, said: Said) -> None:
        """Put an answer at the end of the script."""
        self._next.append(answer_of(said))

    def answer(self, prompt: Prompt) -> Answer:
        """Return the next answer; the echo when the script has ended."""
        if self._next:
            return self._next.popleft()
        return Answer() if self._make is None else answer_of(self._make(prompt))


def played(answer: Answer, asked: Asked, clock: Clock) -> Iterator[Event | Sleep]:
    """Yield the events of one run, and the waits between them; write the rest to its response."""
    if answer.clock_jump_s:
        cast("Any", clock).jump(answer.clock_jump_s)
    if answer.delay_s:
        yield Sleep(answer.delay_s)
    events = _events(answer, asked)
    limit = None if answer.error is None else answer.error_after
    for number, event in enumerate(events[:limit]):
        if number and answer.chunk_delay_s:
            yield Sleep(answer.chunk_delay_s)
        yield event
    if answer.error is not None:
        raise answer.error if isinstance(answer.error, BaseException) else answer.error()
    _conclude(answer, asked, events)


def _events(answer: Answer, asked: Asked) -> list[Event]:
    from ..chain.compat import copy_event

    events: list[Event] = []
    if answer.events is not None:
        events += [copy_event(event) for event in answer.events]
    elif answer.chunks is not None and asked.stream:
        events += answer.chunks
    else:
        said = answer.said
        text = asked_text(asked.prompt) if said is None else said
        events += [text] if text else []
    for call in answer.tool_calls:
        events += _tool_call_events(call)
    return events


def _tool_call_events(call: Any) -> list[Event]:
    import json

    from llm.parts import StreamEvent

    arguments = json.dumps(call.arguments)
    return [
        StreamEvent("tool_call_name", call.name, tool_call_id=call.tool_call_id),
        StreamEvent("tool_call_args", arguments, tool_call_id=call.tool_call_id),
    ]


def _conclude(answer: Answer, asked: Asked, events: Sequence[Event]) -> None:
    response: Any = asked.response
    for call in answer.tool_calls:
        response.add_tool_call(call)
    usage = answer.usage
    if usage is None:
        said = "".join(text_of(event) for event in events)
        usage = Usage(_words(whole_text(asked.prompt)), _words(said))
    response.set_usage(input=usage.input_tokens, output=usage.output_tokens, details=usage.details)
    response.response_json = answer.response_json
    if answer.resolved_model is not None:
        response.set_resolved_model(answer.resolved_model)
    for name, value in answer.attributes.items():
        setattr(response, name, value)


def asked_text(prompt: Prompt) -> str:
    """Return the text of the last message of `prompt`; results of tools count as text."""
    messages = prompt.messages
    return _text_of_message(messages[-1]) if messages else ""


def whole_text(prompt: Prompt) -> str:
    """Return the text of all messages of `prompt`."""
    return "\n".join(_text_of_message(message) for message in prompt.messages)


def _text_of_message(message: Any) -> str:
    texts = (getattr(part, "text", None) or getattr(part, "output", None) for part in message.parts)
    return "\n".join(text for text in texts if isinstance(text, str))


def _words(text: str) -> int:
    return len(text.split())
