"""Scripted llm models: real subclasses of llm's four model classes that answer what they are told.

This file imports llm; `llmopt.testing` loads it when one of its names is used.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import llm

from ..chain.clock import SystemClock
from ..stages import Event
from ..types import Clock, Sleep
from .script import Asked, Prompter, Said, Script, played

if TYPE_CHECKING:
    from llm.models import AsyncConversation, AsyncResponse, Conversation, Prompt, Response


class ScriptedOptions(llm.Options):
    """The options that most providers have."""

    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None


class Scripted:
    """What the four scripted models have in common.

    Args:
        script: what to answer, in order, or a function from the llm prompt to an answer. An answer is an
            `Answer`, a text, or an exception to raise. When the script has ended the model echoes.
        model_id: the model's id.
        clock: the clock that the delays of the answers pass on; the real one unless given.
        supports_schema: whether llm lets a schema through.
        supports_tools: whether llm lets tools through.
        attachment_types: the MIME types of the attachments that llm lets through.

    Attributes:
        calls: one `Asked` for each run, in the order in which they began.
    """

    can_stream = True
    attachment_types: set[str] | frozenset[str]
    Options: Any = ScriptedOptions  # Any: in llm it is a class inside a class, which no other type overrides

    def __init__(
        self,
        script: Script | None = None,
        *,
        model_id: str = "scripted",
        clock: Clock | None = None,
        supports_schema: bool = True,
        supports_tools: bool = True,
        attachment_types: Iterable[str] = ("image/png", "image/jpeg", "audio/wav"),
    ) -> None:
        self.model_id = model_id
        self.clock: Clock = clock or SystemClock()
        self.supports_schema = supports_schema
        self.supports_tools = supports_tools
        self.attachment_types = frozenset(attachment_types)
        self.calls: list[Asked] = []
        self._prompter = Prompter(script)

    def enqueue(self, *said: Said) -> None:
        """Put answers at the end of the script."""
        for answer in said:
            self._prompter.add(answer)

    def _run(self, *asked: Any) -> Iterator[Event | Sleep]:
        self.calls.append(call := Asked(*asked))
        return played(self._prompter.answer(call.prompt), call, self.clock)

    def _events(self, *asked: Any) -> Iterator[Event]:
        for step in self._run(*asked):
            if isinstance(step, Sleep):
                self.clock.sleep(step.seconds)
            else:
                yield step

    async def _aevents(self, *asked: Any) -> AsyncGenerator[Event, None]:
        for step in self._run(*asked):
            if isinstance(step, Sleep):
                await self.clock.asleep(step.seconds)
            else:
                yield step


class ScriptedModel(Scripted, llm.Model):
    """A sync model that needs no key; see `Scripted` for the arguments.

    Example:
        >>> model = ScriptedModel(["HOLD"])
        >>> model.prompt("What now?").text(), model.prompt("echo").text()
        ('HOLD', 'echo')
        >>> [call.text for call in model.calls]
        ['What now?', 'echo']
    """

    def execute(
        self,
        prompt: Prompt,
        stream: bool,  # noqa: FBT001 - llm's signature
        response: Response,
        conversation: Conversation | None = None,
    ) -> Iterator[Event]:
        """Yield the next answer of the script."""
        return self._events(prompt, stream, None, response, conversation)


class ScriptedKeyModel(Scripted, llm.KeyModel):
    """A sync model that needs a key: `key=`, or the variable SCRIPTED_API_KEY.

    Example:
        >>> model = ScriptedKeyModel()
        >>> _ = model.prompt("hello", key="k").text()
        >>> model.calls[0].key
        'k'
    """

    needs_key = "scripted"
    key_env_var = "SCRIPTED_API_KEY"

    def execute(
        self,
        prompt: Prompt,
        stream: bool,  # noqa: FBT001 - llm's signature
        response: Response,
        conversation: Conversation | None,
        key: str | None,
    ) -> Iterator[Event]:
        """Yield the next answer of the script."""
        return self._events(prompt, stream, key, response, conversation)


class AsyncScriptedModel(Scripted, llm.AsyncModel):
    """An async model that needs no key, for asyncio and trio.

    Example:
        >>> import anyio
        >>> async def ask():
        ...     return await AsyncScriptedModel(["HOLD"]).prompt("What now?").text()
        >>> anyio.run(ask)
        'HOLD'
    """

    def execute(
        self,
        prompt: Prompt,
        stream: bool,  # noqa: FBT001 - llm's signature
        response: AsyncResponse,
        conversation: AsyncConversation | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Yield the next answer of the script."""
        return self._aevents(prompt, stream, None, response, conversation)


class AsyncScriptedKeyModel(Scripted, llm.AsyncKeyModel):
    """An async model that needs a key: `key=`, or the variable SCRIPTED_API_KEY.

    Example:
        >>> AsyncScriptedKeyModel().needs_key
        'scripted'
    """

    needs_key = "scripted"
    key_env_var = "SCRIPTED_API_KEY"

    def execute(
        self,
        prompt: Prompt,
        stream: bool,  # noqa: FBT001 - llm's signature
        response: AsyncResponse,
        conversation: AsyncConversation | None,
        key: str | None,
    ) -> AsyncGenerator[Event, None]:
        """Yield the next answer of the script."""
        return self._aevents(prompt, stream, key, response, conversation)
