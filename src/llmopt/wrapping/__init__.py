"""wrap(): a model like the one it is given, whose calls run through middlewares."""

from __future__ import annotations

from typing import TypeVar, cast

from ..chain.clock import SystemClock
from ..errors import ConfigurationError
from ..types import Clock, Middleware
from .adapt import Wrapping, adapt

__all__ = ["unwrap", "wrap"]

ModelT = TypeVar("ModelT")


def wrap(
    model: ModelT,
    *middlewares: Middleware,
    default: bool = True,
    pooled: bool = True,
    clock: Clock | None = None,
) -> ModelT:
    """Return a model that answers as `model` does, with its calls run through `middlewares`.

    Args:
        model: any llm model: `Model`, `KeyModel`, `AsyncModel` or `AsyncKeyModel`. It stays as it is.
            A model that is wrapped already gets the new middlewares outside its own.
        middlewares: the chain, the first one outermost. Without any, `llmopt.default_stack()` is used.
        default: False leaves the chain empty when no middlewares are given.
        pooled: keep one HTTP client for each key, base URL and event loop, instead of a new one (and a new
            TLS context) for every call. It concerns llm's OpenAI models and those of llm-anthropic.
        clock: the time that the middlewares go by; the real one unless given.

    Returns:
        The wrapped model: of the same class by every isinstance, with the same attributes.

    Raises:
        ConfigurationError: `model` is no llm model, or a middleware is not callable.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> def shout(call):
        ...     yield call.tap(lambda event: [event.upper()])
        >>> llmopt.wrap(ScriptedModel(["hello"]), shout).prompt("Hi").text()
        'HELLO'
    """
    from llm.models import AsyncKeyModel, AsyncModel, KeyModel, Model

    if not isinstance(model, (Model, KeyModel, AsyncModel, AsyncKeyModel)):
        msg = f"wrap() takes an llm model, not {model!r}; get one with llm.get_model(...)"
        raise ConfigurationError(msg)
    for middleware in middlewares:
        _check(middleware)
    inside: Wrapping | None = vars(model).get("__llmopt__")
    stack = middlewares
    if inside is not None:
        stack = (*middlewares, *inside.middlewares)
    elif default and not middlewares:
        from .default import default_stack

        stack = default_stack()
    wrapping = Wrapping(
        original=model if inside is None else inside.original,
        middlewares=tuple(stack),
        clock=clock or (inside.clock if inside else SystemClock()),
        pooled=pooled,
        sdk_retries=not any(getattr(middleware, "replaces_sdk_retries", False) for middleware in stack),
    )
    return cast("ModelT", adapt(model, wrapping))


def unwrap(model: ModelT) -> ModelT:
    """Return the model that was given to `wrap`, or `model` itself if it is not wrapped.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> model = ScriptedModel(["hello"])
        >>> llmopt.unwrap(llmopt.wrap(model, default=False)) is model
        True
    """
    wrapping: Wrapping | None = vars(model).get("__llmopt__")
    return model if wrapping is None else cast("ModelT", wrapping.original)


def _check(middleware: object) -> None:
    name = getattr(middleware, "__name__", repr(middleware))
    if isinstance(middleware, type):
        msg = f"{name} is a class: pass an instance, {name}()"
        raise ConfigurationError(msg)
    if not callable(middleware):
        msg = f"{middleware!r} is no middleware: it must take a Call and return a generator"
        raise ConfigurationError(msg)
