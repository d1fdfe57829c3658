"""Lets providers' prefix caches hit: what stays the same comes first, and is marked where that is needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from ..compress.prefix.cache_rules import CacheRules, rules_for
from ..resilience._common import is_count, require
from ..types import Call, Flow
from ._configured import Configured, freeze
from ._prompt_cache_account import Account
from ._prompt_cache_anthropic import MOST, Request, mark, takes_breakpoints, with_marks
from ._prompt_cache_order import Arrangements

Order: TypeAlias = Literal["declared", "free", "keep"]

_ORDERS: Final = ("declared", "free", "keep")


@dataclass(frozen=True)
class PromptCache(Configured):
    """Puts what stays the same in front, sets cache breakpoints, and counts what the provider's cache saves.

    Providers charge a tenth for the beginning of a prompt that they have seen shortly before. Most do so by
    themselves. Anthropic wants to be told where such a beginning ends: llm-anthropic's models get up to four
    breakpoints a request, at the end of the static part of the system prompt, of the messages of a
    conversation, of the tools, and of static fragments. The text that the model sees does not change by that.

    The order of system fragments is changed where that was allowed: data declared `static=True` moves in
    front of the data beside it. Messages, texts and the user's fragments stay where they are.

    Writing to Anthropic's cache costs a quarter more than not to. When the breakpoints of eight calls of a
    model have cost more than they saved, only what is declared static is marked, for the next 64 calls.

    It belongs at the end of the chain, next to the model. The note `cache_breakpoints` of a call says how
    many were set.

    Args:
        order: "declared" moves static data past other data only; "free" moves all that is static to the front
            of the system prompt; "keep" moves nothing.
        breakpoints: how many there may be in a request, 0 to 4; 0 sets none.
        history: whether the end of the messages is marked where more may follow: in conversations, with
            tools, and after answers of the model.
        rules: the provider's cache, for the counters; by default the one that the model's name speaks of.

    Raises:
        ConfigurationError: an argument is wrong.

    Example:
        >>> import llmopt
        >>> from llmopt.compress.data import Data
        >>> from llmopt.testing import ScriptedModel
        >>> cache = PromptCache()
        >>> model = llmopt.wrap(ScriptedModel(lambda prompt: prompt.system), cache)
        >>> state, world = Data({"tick": 7}), Data({"map": "docks"}, static=True)
        >>> print(model.prompt("Go on.", system_fragments=["You are a scout.", state, world]).text())
        You are a scout.
        <BLANKLINE>
        {"map":"docks"}
        <BLANKLINE>
        {"tick":7}
    """

    order: Order = "declared"
    breakpoints: int = MOST
    history: bool = True
    rules: CacheRules | None = None
    _arrangements: Arrangements = field(init=False, repr=False, compare=False)
    _account: Account = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require(self.order in _ORDERS, "PromptCache: order", self.order, f"one of {', '.join(_ORDERS)}")
        few = is_count(self.breakpoints, least=0) and self.breakpoints <= MOST
        require(few, "PromptCache: breakpoints", self.breakpoints, f"a whole number from 0 to {MOST}")
        _check("history", self.history, (bool,), "True or False")
        _check("rules", self.rules, (CacheRules, type(None)), "CacheRules, or None")
        freeze(self, _arrangements=Arrangements(self.order), _account=Account())

    def __call__(self, call: Call) -> Flow:
        """Return the flow of one call."""
        model_id, marked = call.model_id, _Marked()
        prompt = self._arrangements.prompt(call.prompt)
        if prompt is not call.prompt:
            call = call.replace(prompt=prompt)
        if self.breakpoints and takes_breakpoints(call.model):
            call = self._with_breakpoints(call, marked)
        reply = yield call
        if reply.response is not None:  # else a middleware inside has answered, and no model was asked
            self._account.add(model_id, reply.usage, self.rules or rules_for(model_id), marked.number)

    def stats(self) -> dict[str, Any]:
        """Return what the provider's cache has done.

        ``calls`` were answered by a model, and the provider told for ``counted`` of them what its cache did:
        ``hits`` read from it. Of ``input_tokens`` in all, ``cached_tokens`` were read from it (their share is
        ``hit_rate``) and ``written_tokens`` written to it, which makes ``effective_tokens`` of them by price.
        ``breakpoints`` were set.
        """
        return self._account.read()

    def _with_breakpoints(self, call: Call, marked: _Marked) -> Call:
        options: Any = call.prompt.options
        history = bool(options.cache) or (self.history and _may_go_on(call))
        rules, undeclared = self.rules or rules_for("anthropic"), self._account.pays(call.model_id)
        notes = call.trace.notes

        def marks(request: Request, prompt: Any) -> None:
            self._arrangements.learn(prompt)
            marked.number = notes["cache_breakpoints"] = mark(
                request,
                self._arrangements.static_chars,
                most=self.breakpoints,
                minimum_bytes=rules.minimum_tokens,
                history=history,
                undeclared=undeclared,
            )

        return with_marks(call, marks)


@dataclass(slots=True)
class _Marked:
    """How many breakpoints the last request of a call has got."""

    number: int = 0


def _may_go_on(call: Call) -> bool:
    """Tell whether another call is likely to send the same messages again, and more behind them."""
    if call.conversation is not None or call.prompt.tools:
        return True
    return any(message.role in {"assistant", "tool"} for message in call.prompt.messages)


def _check(name: str, value: object, kinds: tuple[type, ...], right: str) -> None:
    require(isinstance(value, kinds), f"PromptCache: {name}", value, right)
