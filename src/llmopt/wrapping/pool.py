"""Lets a wrapped model take its provider's client from a pool, instead of a new one for every call.

llm and its plugins build an SDK client, an HTTP client and a TLS context anew for each call. The
methods in which they do so are run here with other globals, in which the SDK's client class is a
factory that asks the pool. Nothing is patched: the provider's modules, and every model that is not
wrapped, stay as they are.

Covered are llm's OpenAI models, with all plugins that build on them and keep their `get_client`, and
those of llm-anthropic.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache, partial, wraps
from types import FunctionType, ModuleType
from typing import Any

from ._clients import Pool
from ._opened import tidy

Method = Callable[..., Any]

Substitute = Callable[[Any, Any], Any]
"""(the model, the value of a global name) -> what its method sees instead."""

POOL = Pool()
"""The process's own pool: connections are worth keeping only where everybody finds them."""

_OPENAI_MODELS = "llm.default_plugins.openai_models"


def overrides(cls: type) -> dict[str, Method]:
    """Return the methods that make a subclass of `cls` use pooled clients.

    Args:
        cls: the class of an llm model. Instances of the subclass must have `__llmopt__`, the `Wrapping`.

    Returns:
        The methods by name; none for a class of a provider that is not known here.

    Example:
        >>> from llm.default_plugins.openai_models import Chat
        >>> sorted(overrides(Chat))
        ['execute', 'get_client']
    """
    return _openai_overrides(cls) or _anthropic_overrides(cls)


def _openai_overrides(cls: Any) -> dict[str, Method]:
    if not _asks_llm_for_client(cls):
        return {}
    return {
        "get_client": in_pool(cls.get_client, _OPENAI_CLASSES),
        "execute": _execute(cls, _OPENAI_CLASSES),
    }


def _asks_llm_for_client(cls: Any) -> bool:
    """Tell whether llm itself, and no plugin, makes the clients of this class."""
    get_client = getattr(cls, "get_client", None)
    return isinstance(cls, type) and getattr(get_client, "__module__", None) == _OPENAI_MODELS


def _anthropic_overrides(cls: Any) -> dict[str, Method]:
    plugin = sys.modules.get("llm_anthropic")  # a class of the plugin cannot exist before it is imported
    names = ("ClaudeMessages", "AsyncClaudeMessages")
    classes = tuple(getattr(plugin, name) for name in names if hasattr(plugin, name))
    if not isinstance(cls, type) or not issubclass(cls, classes):
        return {}
    methods = {"execute": _execute(cls, _ANTHROPIC_CLASSES)}
    count_tokens: Method | None = getattr(cls, "count_tokens", None)
    if count_tokens is not None:
        methods["count_tokens"] = in_pool(count_tokens, _ANTHROPIC_CLASSES)
    return methods


def _execute(cls: Any, substitutes: Mapping[str, Substitute]) -> Method:
    from llm.models import AsyncKeyModel, AsyncModel

    asynchronous = issubclass(cls, (AsyncModel, AsyncKeyModel))
    return tidy(in_pool(cls.execute, substitutes), asynchronous=asynchronous)


def in_pool(method: Method, substitutes: Mapping[str, Substitute]) -> Method:
    """Return `method` with these globals substituted, or as it is if it uses none of them.

    The globals are taken anew for every call, so a change that somebody makes to the module is seen.
    They are copied rather than chained: a mapping that looks them up would cost the method a call for
    each global that it uses, several for every streamed event.

    Args:
        method: a method of a model class.
        substitutes: how each global is substituted, by name.
    """
    if not isinstance(method, FunctionType):
        return method
    function: FunctionType = method
    used = {name: make for name, make in substitutes.items() if name in function.__code__.co_names}
    if not used:
        return function

    @wraps(function)
    def pooled(self: Any, *args: Any, **kwargs: Any) -> Any:
        scope = function.__globals__
        seen = {name: make(self, scope[name]) for name, make in used.items() if name in scope}
        twin = FunctionType(
            function.__code__,
            {**scope, **seen},
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
        twin.__kwdefaults__ = function.__kwdefaults__
        return twin(self, *args, **kwargs)

    return pooled


def _client(model: Any, constructor: Any) -> Any:
    """Return what makes the clients in the place of `constructor`."""
    wrapping = getattr(model, "__llmopt__", None)  # none if somebody made it of a wrapped model's class
    return partial(POOL.client, constructor, True if wrapping is None else wrapping.sdk_retries)


class _Module:
    """An SDK's module, as the methods of one model see it."""

    def __init__(self, model: Any, module: ModuleType) -> None:
        self._model = model
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        return _client(self._model, value) if name in {"OpenAI", "AsyncOpenAI"} else value


def _chat(model: Any, cls: Any) -> Any:
    """Return what makes the chat model to which a Responses model hands over (`-o chat_completions 1`)."""
    if not _asks_llm_for_client(cls):
        return cls

    def make(*args: Any, **kwargs: Any) -> Any:
        chat = _chat_class(cls)(*args, **kwargs)
        wrapping = getattr(model, "__llmopt__", None)
        if wrapping is not None:
            vars(chat)["__llmopt__"] = wrapping
        return chat

    return make


@cache
def _chat_class(cls: Any) -> Any:
    """Return the subclass of a chat model's class whose clients are pooled, and nothing else changed."""
    namespace = {"__module__": cls.__module__, "get_client": in_pool(cls.get_client, _OPENAI_CLASSES)}
    return type(cls)(cls.__name__, (cls,), namespace)


_OPENAI_CLASSES: dict[str, Substitute] = {"openai": _Module, "Chat": _chat, "AsyncChat": _chat}
_ANTHROPIC_CLASSES: dict[str, Substitute] = {"Anthropic": _client, "AsyncAnthropic": _client}
