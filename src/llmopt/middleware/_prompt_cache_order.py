"""The order of a system prompt's fragments, and how much of its beginning is said to stay the same."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import groupby, takewhile
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..chain.compat import texts_in, with_fragments, with_messages

if TYPE_CHECKING:
    from llm.models import Prompt
    from llm.parts import Message

__all__ = ["Arrangements", "arranged", "is_static"]

_MOST: Final = 1024


def is_static(fragment: object) -> bool:
    """Tell whether a fragment is declared to stay the same, as `Data(..., static=True)` is."""
    return getattr(fragment, "static", False) is True


def arranged(fragments: Iterable[Any] | None, order: str) -> list[Any]:
    """Return fragments in the order in which a prefix cache serves them best.

    Args:
        fragments: the fragments of a system prompt.
        order: "keep"; "declared", which moves static data in front of the data that it stands beside, and
            nothing past a text; or "free", which moves all that is static to the front.
    """
    fragments = list(fragments or ())
    if order == "keep":
        return fragments
    if order == "free":
        return sorted(fragments, key=lambda fragment: not is_static(fragment))
    runs = groupby(fragments, key=lambda fragment: hasattr(fragment, "static"))
    return [
        fragment
        for movable, run in runs
        for fragment in (sorted(run, key=lambda one: not is_static(one)) if movable else run)
    ]


class Arrangement(NamedTuple):
    """What was made of a text.

    Attributes:
        text: the text that is sent for it.
        static_chars: how many characters of it, from the beginning, are declared to stay the same.
    """

    text: str
    static_chars: int


class Arrangements:
    """What was made of texts so far: a conversation sends them again, when their fragments are forgotten.

    The least recently used go first. Safe for threads.

    Args:
        order: as for `arranged`.
    """

    def __init__(self, order: str) -> None:
        self._order = order
        self._lock = Lock()
        self._known: OrderedDict[str, Arrangement] = OrderedDict()

    def static_chars(self, text: str) -> int:
        """Return how much of the beginning of a text is declared to stay the same."""
        found = self._find(text)
        return 0 if found is None else found.static_chars

    def prompt(self, prompt: Prompt) -> Prompt:
        """Return the prompt with its system fragments in order; the prompt itself where nothing changes."""
        if prompt.system_fragments:
            self._learn_system(prompt)
        if prompt.fragments:
            lead = list(takewhile(is_static, prompt.fragments))
            self._learn(prompt.prompt, prompt.prompt, len("\n".join(lead)))
        if not self._known:
            return prompt
        return self._with_system(prompt)

    def learn(self, prompt: Prompt) -> None:
        """Take note of what is static in a prompt as it is sent: it may have been rewritten since."""
        if prompt.system_fragments:
            lead = _stripped(takewhile(is_static, prompt.system_fragments))
            self._learn(prompt.system, prompt.system, len("\n\n".join(lead)))
        if prompt.fragments:
            lead = list(takewhile(is_static, prompt.fragments))
            self._learn(prompt.prompt, prompt.prompt, len("\n".join(lead)))

    def _learn_system(self, prompt: Prompt) -> None:
        fragments = arranged(prompt.system_fragments, self._order)
        changed = copy.copy(prompt)
        changed.system_fragments = fragments
        lead = _stripped(takewhile(is_static, fragments))
        text = changed.system
        self._learn(prompt.system, text, len("\n\n".join(lead)))
        self._learn(text, text, len("\n\n".join(lead)))

    def _with_system(self, prompt: Prompt) -> Prompt:
        """Return the prompt with the system prompt that its own was turned into, here and in its messages."""
        messages = prompt.messages
        said = _system_text(messages)
        found = None if said is None else self._find(said)
        if found is None or found.text == said:
            return prompt
        from llm.parts import Message, TextPart

        first = Message(role="system", parts=[TextPart(text=found.text)])
        changed = with_messages(prompt, [first, *messages[1:]])
        if not prompt.system_fragments:
            return changed
        *fragments, text = texts_in(prompt)[0]
        return with_fragments(changed, system=[*arranged(fragments, self._order), text])

    def _find(self, text: str) -> Arrangement | None:
        with self._lock:
            found = self._known.get(text)
            if found is not None:
                self._known.move_to_end(text)
            return found

    def _learn(self, text: str, sent: str, static_chars: int) -> None:
        if not text or (text == sent and not static_chars):
            return
        with self._lock:
            self._known[text] = Arrangement(sent, static_chars)
            self._known.move_to_end(text)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)


def _system_text(messages: Sequence[Message]) -> str | None:
    """Return the text of the system prompt that messages begin with, if it is one text."""
    if not messages or messages[0].role != "system" or len(messages[0].parts) != 1:
        return None
    text = getattr(messages[0].parts[0], "text", None)
    return text if isinstance(text, str) else None


def _stripped(fragments: Iterable[str]) -> list[str]:
    """Return fragments as llm joins them into a system prompt."""
    return [text for text in (fragment.strip() for fragment in fragments) if text]
