"""Asks others when a model fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from inspect import iscoroutinefunction
from threading import Lock
from typing import Any, TypeAlias

from ..chain import compat
from ..errors import CallError, ConfigurationError, FallbackFailed, FlowError
from ..types import Call, Flow, Reply, Run
from ._configured import Configured, check_function, freeze

Heuristic: TypeAlias = "Callable[[Call], str | Reply | Awaitable[str | Reply]]"
"""A tier without a model: it gets the call and answers with a text or a reply."""


@dataclass(frozen=True, init=False)
class Fallback(Configured):
    """Tries tiers one after the other when the model fails before anything has reached the consumer.

    A tier is another llm model of the same kind (sync or async), or a callable that gets the `Call` and
    returns a text or a `Reply`; an async call runs a plain callable in a worker thread and awaits an async
    one. Options that a tier's model does not know are left out. The caller's key goes only to a model of
    the same provider.

    `response.llmopt.notes` tell which tier answered (`tier`, 0 being the model itself, and `tier_name`) and
    the options it was not given (`dropped_options`).

    Args:
        tiers: models or callables, the first one tried first.
        on: tells which errors move on to the next tier; by default all.
        accept: judges a model's whole reply; if it returns False or raises, that counts as a failure of the
            tier. The consumer then gets the events of an accepted reply in one go.

    Raises:
        ConfigurationError: there is no tier, or one is neither a model nor callable; at the first call, if a
            tier is async and the model is not, or the other way round.

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
    _fitting: set[Any] = field(init=False, repr=False, compare=False)
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
            _check_tier(tier)
        if on is not None:
            right = "a function of an error, such as lambda error: isinstance(error, TimeoutError), or None"
            check_function("Fallback: on", on, right)
        if accept is not None:
            check_function("Fallback: accept", accept, "a function of a Reply, or None")
        freeze(self, tiers=tiers, on=on, accept=accept, _answered={}, _fitting=set(), _lock=Lock())

    def __reduce__(self) -> tuple[Any, ...]:
        return _fallback, (self.tiers, self.on, self.accept)

    def __call__(self, call: Call) -> Flow:
        """Return the flow of one call."""
        if type(call.model) not in self._fitting:
            self._check_kinds(call)
        errors: list[Exception] = []
        for number, tier in enumerate((None, *self.tiers)):
            try:
                yield from self._ask(tier, call)
            except Exception as error:
                if call.started or isinstance(error, (FlowError, ConfigurationError)):
                    raise
                if not (self.on is None or isinstance(error, UnusableReply) or self.on(error)):
                    raise
                errors.append(error)
            else:
                self._note(call, number, tier)
                return
        raise self._failed(call, errors) from errors[0]

    def _ask(self, tier: Any, call: Call) -> Flow:
        """Have one tier answer; None is the model itself."""
        if tier is not None and not _is_model(tier):
            yield from _heuristic(tier, call)
            return
        asked = call if tier is None else _aimed(call, tier)
        if self.accept is None:
            yield asked
            return
        reply = yield asked.buffered()
        try:
            accepted = self.accept(reply)
        except Exception as error:
            raise UnusableReply(f"accept has failed on the reply of {asked.model_id}") from error
        if not accepted:
            raise UnusableReply(f"the reply of {asked.model_id} was not accepted")

    def _check_kinds(self, call: Call) -> None:
        """Refuse tiers that cannot work where the model does, before one is needed."""
        asynchronous = _is_async(call.model)
        for tier in self.tiers:
            if _is_async(tier) != asynchronous and (_is_model(tier) or not asynchronous):
                kind = "sync" if asynchronous else "async"
                msg = f"Fallback: tier {_name(tier)} is {kind} and {call.model_id} is not: both must be alike"
                raise ConfigurationError(msg)
        self._fitting.add(type(call.model))

    def _note(self, call: Call, number: int, tier: Any) -> None:
        notes = call.trace.notes
        notes["tier"], notes["tier_name"] = number, _name(call.model if tier is None else tier)
        with self._lock:
            self._answered[number] = self._answered.get(number, 0) + 1

    def _failed(self, call: Call, errors: list[Exception]) -> FallbackFailed:
        names = map(_name, (call.model, *self.tiers))
        told = (f"{name} ({type(error).__name__})" for name, error in zip(names, errors, strict=True))
        return FallbackFailed(f"all {len(errors)} tiers have failed: {', '.join(told)}", errors=tuple(errors))

    def stats(self) -> dict[int, int]:
        """Return how many calls each tier has answered; tier 0 is the model itself."""
        with self._lock:
            return dict(self._answered)


class UnusableReply(CallError):
    """A tier has answered, but not with what can be used."""


def _check_tier(tier: Any) -> None:
    if isinstance(tier, str):
        msg = f"Fallback: tier {tier!r} is a text: give the model itself, llm.get_model({tier!r})"
        raise ConfigurationError(msg)
    if isinstance(tier, type):
        msg = f"Fallback: tier {tier.__name__} is a class: give an instance of it, or a callable"
        raise ConfigurationError(msg)
    if not _is_model(tier) and not callable(tier):
        msg = f"Fallback: tier {tier!r} is neither an llm model nor callable"
        raise ConfigurationError(msg)


def _is_model(tier: Any) -> bool:
    return hasattr(tier, "execute")


def _is_async(tier: Any) -> bool:
    if not _is_model(tier):
        return iscoroutinefunction(tier) or iscoroutinefunction(getattr(tier, "__call__", None))  # noqa: B004
    from llm.models import AsyncKeyModel, AsyncModel

    return isinstance(tier, (AsyncModel, AsyncKeyModel))


def _name(tier: Any) -> str:
    name: str = getattr(tier, "model_id", None) or getattr(tier, "__name__", None) or type(tier).__name__
    return name


def _aimed(call: Call, model: Any) -> Call:
    """Return the call for another model, with the options that it knows."""
    given, known = compat.options_of(call.prompt), model.Options.model_fields
    options = {name: value for name, value in given.items() if name in known}
    if len(options) < len(given):
        call.trace.notes["dropped_options"] = sorted(given.keys() - options.keys())
    return call.replace(model=model, prompt=compat.with_options(call.prompt, model, options))


def _heuristic(tier: Heuristic, call: Call) -> Flow:
    """Answer with what a callable returns."""
    ask: Callable[[], Any] = lambda: tier(call)  # noqa: E731 - a def would take four lines
    answer = yield Run(ask, ask if _is_async(tier) else None)
    if isinstance(answer, str):
        answer = Reply.of_text(answer, source="fallback")
    if not isinstance(answer, Reply):
        what = type(answer).__name__
        raise UnusableReply(f"the tier {_name(tier)} returned a {what}; it returns a text or a Reply")
    yield replace(answer, source="fallback") if answer.source == "model" else answer


def _fallback(tiers: tuple[Any, ...], on: Any, accept: Any) -> Fallback:
    return Fallback(*tiers, on=on, accept=accept)
