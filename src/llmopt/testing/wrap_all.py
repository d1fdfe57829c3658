"""A pytest plugin that wraps every llm model that a test suite makes, to see whether anything changes.

`pytest -p llmopt.testing.wrap_all` instruments each model instance where it is created: in fixtures, by
llm's registry, of classes that tests define. The instance itself changes its class, so a suite that looks
into its models still finds them. The variable LLMOPT_WRAP_ALL chooses the chain:

================  ====================================================================
LLMOPT_WRAP_ALL   every model runs
================  ====================================================================
`bare`            without a middleware: the wrapped class alone
`passthrough`     through one flow that yields its call (this is the default)
`default`         through an `llmopt.default_stack()` of its own
================  ====================================================================
"""

from __future__ import annotations

import copy
import os
from abc import ABCMeta
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from ..chain.clock import SystemClock
from ..types import Call, Flow, Middleware
from ..wrapping.adapt import Wrapping, wrapped_class

VARIABLE = "LLMOPT_WRAP_ALL"


def instrument(model: Any, wrapping: Wrapping) -> None:
    """Wrap `model` in place: its calls run through the chain of `wrapping` from now on.

    Args:
        model: an llm model that is not wrapped yet.
        wrapping: the chain.

    Raises:
        AttributeError: instances of its class cannot change their class.
        TypeError: likewise, where their layout in memory is in the way.

    Example:
        >>> from llmopt.testing import ScriptedModel
        >>> model = ScriptedModel(["HOLD"])
        >>> instrument(model, Wrapping(model, (passthrough,), SystemClock()))
        >>> model.prompt("What now?").text(), isinstance(model, ScriptedModel)
        ('HOLD', True)
    """
    # Not `model.__class__ = ...`: a model may be a frozen dataclass.
    object.__setattr__(model, "__class__", wrapped_class(model.__class__, wrapping.pooled))
    vars(model)["__llmopt__"] = wrapping


def passthrough(call: Call) -> Flow:
    """Run the rest of the chain, and nothing else."""
    yield call


@dataclass(slots=True)
class WrapAll:
    """Instruments models as they are made, and counts.

    Attributes:
        stack: makes the chain of a model.
        models: how many models were instrumented.
        calls: how many calls ran through a chain with middlewares.
        left_alone: names of the classes whose instances cannot be instrumented.
    """

    stack: Callable[[], tuple[Middleware, ...]]
    models: int = 0
    calls: int = 0
    left_alone: set[str] = field(default_factory=set[str])
    _made: set[type] = field(default_factory=set[type])

    def take(self, model: Any) -> None:
        """Instrument a model that has just been made."""
        cls = model.__class__
        if cls in self._made:  # type(model)() of an instrumented model
            object.__setattr__(model, "__class__", cls.__base__)
        try:
            instrument(model, Wrapping(copy.copy(model), self.stack(), SystemClock()))
        except (AttributeError, TypeError):
            self.left_alone.add(cls.__qualname__)
            return
        self._made.add(model.__class__)
        self.models += 1

    def counting(self, call: Call) -> Flow:
        """Count a call: the outermost middleware, where there are any."""
        self.calls += 1
        yield call

    def summary(self) -> str:
        """Return what was done, in a line."""
        left = f"; left alone: {', '.join(sorted(self.left_alone))}" if self.left_alone else ""
        return f"llmopt wrapped {self.models} models and ran {self.calls} calls through their chains{left}"


def make_call(wrap_all: WrapAll) -> Callable[..., Any]:
    """Return the `__call__` of a metaclass that instruments the llm models it makes."""
    from llm.models import AsyncKeyModel, AsyncModel, KeyModel, Model

    kinds = {Model, KeyModel, AsyncModel, AsyncKeyModel}

    def __call__(cls: type, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        made = type.__call__(cls, *args, **kwargs)
        # A class may hand out an instance that it has made before.
        if not kinds.isdisjoint(cls.__mro__) and "__llmopt__" not in getattr(made, "__dict__", ()):
            wrap_all.take(made)
        return made

    return __call__


def chosen() -> WrapAll:
    """Return what LLMOPT_WRAP_ALL chooses."""
    name = os.environ.get(VARIABLE, "passthrough")
    wrap_all = WrapAll(tuple)
    if name == "passthrough":
        wrap_all.stack = lambda: (wrap_all.counting,)
    elif name == "default":
        from ..wrapping.default import default_stack

        wrap_all.stack = lambda: (wrap_all.counting, *default_stack())
    elif name != "bare":
        raise pytest.UsageError(f"{VARIABLE} is bare, passthrough or default, not {name!r}")
    return wrap_all


_KEY = pytest.StashKey[WrapAll]()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Begin before the first conftest.py, which may make models already."""
    early_config.stash[_KEY] = wrap_all = chosen()
    patch = pytest.MonkeyPatch()
    patch.setattr(ABCMeta, "__call__", make_call(wrap_all))
    early_config.add_cleanup(patch.undo)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was done."""
    terminalreporter.write_line(config.stash[_KEY].summary())
