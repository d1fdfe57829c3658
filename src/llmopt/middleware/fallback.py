"""Asks others when a model fails."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeAlias

from ..chain import compat
from ..errors import ConfigurationError, FallbackFailed, FlowError
from ..types import Call, Flow, Reply, Run
from ._configured import Configured, freeze

Heuristic: TypeAlias = "Callable[[Call], str | Reply | Awaitable[str | Reply]]"
"""A tier without a model: it gets the call and answers with a text or a reply."""


@dataclass(frozen=True, init=False)
class Fallback(Configured):
    """Tries tiers one after the other when the model fails before anything has reached the consumer.

    A tier is another llm model of the same kind (sync or async), or a callable that gets the `Call` and
    returns a text or a `Reply`; an async call runs a plain callable in a worker thread and awaits an async
    one. Options that a tier's model does not know are left out. The caller's key goes only to a model of
    the same provider. `response.llmopt.notes["tier"]` tells which tier answered, 0 being the model itself.

    Args:
        tiers: models or callables, the first one tried first.
        on: tells which errors move on to the next tier; by default all.
        accept: judges a whole reply; one that it refuses counts as a failure. The consumer then gets the
            events of an accepted reply in one go.

    Raises:
        ConfigurationError: there is no tier, or one is neither a model nor callable.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import Answer, ScriptedModel
        >>> model = ScriptedModel([Answer(error=ConnectionError("down"))])
        >>> response = llmopt.wrap(model, llmopt.Fallback(lambda call: "HOLD")).prompt("Plan")
        >>> response.text(), response.llmopt.notes["tier"]
        ('HOLD', 1)
    """

    tiers: tuple[Any, ...]
    on: Callable[[Exception], bool] | None = None
    accept: Callable[[Reply], bool] | None = None
    _answered: dict[int, int] = field(init=False, repr=False, compare=False)
    _lock: Lock = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        *tiers: Any,
        on: Callable[[Exception], bool] | None = None,
        accept: Callable[[Reply], bool] | None = None,
    ) -> None:
        if not tiers:
            msg = "Fallback() has no tier: give it a model or a callable"
            raise ConfigurationError(msg)
        for tier in tiers:
            if not hasattr(tier, "execute") and not callable(tier):
                msg = f"Fallback: tier {tier!r} is neither an llm model nor callable"
                raise ConfigurationError(msg)
        freeze(self, tiers=tiers, on=on, accept=accept, _answered={}, _lock=Lock())

    def __reduce__(self) -> tuple[Any, ...]:
        return _fallback, (self.tiers, self.on, self.accept)

    def __call__(self, call: Call) -> Flow:
        """Return the flow of one call."""
        errors: list[Exception] = []
        for number, tier in enumerate((None, *self.tiers)):
            try:
                yield from self._ask(tier, call)
            except Exception as error:
                if call.started or isinstance(error, (FlowError, ConfigurationError)):
                    raise
                if self.on is not None and not self.on(error):
                    raise
                errors.append(error)
            else:
                self._note(call, number, tier)
                return
        names = ", ".join(type(error).__name__ for error in errors)
        msg = f"all {len(errors)} tiers of {call.model_id} have failed: {names}"
        raise FallbackFailed(msg, errors=tuple(errors)) from errors[0]

    def _ask(self, tier: Any, call: Call) -> Flow:
        """Have one tier answer; None is the model itself."""
        if tier is not None and not hasattr(tier, "execute"):
            yield from _heuristic(tier, call)
            return
        asked = call if tier is None else _aimed(call, tier)
        if self.accept is None:
            yield asked
            return
        reply = yield asked.buffered()
        if not self.accept(reply):
            msg = f"the reply of {asked.model_id} was not accepted"
            raise _NotAccepted(msg)

    def _note(self, call: Call, number: int, tier: Any) -> None:
        if number:
            call.trace.notes["tier"] = number
            call.trace.notes["tier_name"] = getattr(tier, "model_id", None) or getattr(
                tier, "__name__", type(tier).__name__
            )
        with self._lock:
            self._answered[number] = self._answered.get(number, 0) + 1

    def stats(self) -> dict[int, int]:
        """Return how many calls each tier has answered; tier 0 is the model itself."""
        with self._lock:
            return dict(self._answered)


class _NotAccepted(Exception):
    """A tier has answered, but `accept` refused its reply."""


def _aimed(call: Call, model: Any) -> Call:
    """Return the call for another model, with the options that it knows."""
    if _is_async(model) != _is_async(call.model):
        kind = "async" if _is_async(model) else "sync"
        msg = f"Fallback: {model.model_id} is {kind} and {call.model_id} is not; both must be alike"
        raise ConfigurationError(msg)
    known = model.Options.model_fields
    options = {name: value for name, value in compat.options_of(call.prompt).items() if name in known}
    return call.replace(model=model, prompt=compat.with_options(call.prompt, model, options))


def _is_async(model: Any) -> bool:
    from llm.models import AsyncKeyModel, AsyncModel

    return isinstance(model, (AsyncModel, AsyncKeyModel))


def _heuristic(tier: Heuristic, call: Call) -> Flow:
    """Answer with what a callable returns."""
    asynchronous = inspect.iscoroutinefunction(tier) or inspect.iscoroutinefunction(
        getattr(tier, "__call__", None)  # noqa: B004 - an object whose __call__ is async
    )
    if asynchronous and not _is_async(call.model):
        msg = f"Fallback: {tier!r} is async, but the call is sync"
        raise ConfigurationError(msg)
    answer = yield Run(lambda: tier(call), (lambda: tier(call)) if asynchronous else None)  # type: ignore[arg-type, return-value]
    yield answer if isinstance(answer, Reply) else Reply.of_text(str(answer), source="fallback")


def _fallback(tiers: tuple[Any, ...], on: Any, accept: Any) -> Fallback:
    return Fallback(*tiers, on=on, accept=accept)
