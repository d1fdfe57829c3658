"""The llm plugin: `llm -m opt/MODEL ...` for any installed model, and `llm opt ...`.

A model under `opt/` keeps its own model id: llm's log, its stored options and `llm logs -m` know it by
that. Only its alias is new, and it stands before the model itself in the registry, so that the plain
id goes on meaning the plain model.
"""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llm

from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

    from .types import Middleware

PREFIX = "opt/"
CACHE_VARIABLE = "LLMOPT_CACHE"


@llm.hookimpl(trylast=True)
def register_models(register: Callable[..., None], model_aliases: list[Any]) -> None:
    """Register every installed model once more, wrapped, under `opt/` and its id and aliases."""
    from .wrapping import wrap

    try:
        stack = cli_stack(os.environ.get(CACHE_VARIABLE, "on"), _user_dir())
    except ConfigurationError as error:
        # All other models go on working.
        warnings.warn(f"no model is registered under {PREFIX}: {error}", stacklevel=2)
        return
    installed = list(model_aliases)
    del model_aliases[:]
    for entry in installed:
        if not _is_wrapped(entry):
            pair = [model and wrap(model, *stack) for model in (entry.model, entry.async_model)]
            known = next(model for model in (entry.model, entry.async_model) if model)
            register(*pair, aliases=[PREFIX + name for name in (known.model_id, *entry.aliases)])
    model_aliases += installed


@llm.hookimpl
def register_commands(cli: click.Group) -> None:
    """Register `llm opt`, the same commands as `llmopt`."""
    from .cli import main

    cli.add_command(main, name="opt")


def cache_path() -> Path:
    """Return where the cache of the models under `opt/` lies: in llm's user folder.

    Example:
        >>> cache_path().parts[-2:]
        ('llmopt', 'cache.db')
    """
    return Path(_user_dir(), "llmopt", "cache.db")


def _user_dir() -> str:
    user_dir: Callable[[], Any] = llm.user_dir  # llm does not annotate it
    return str(user_dir())


def _is_wrapped(entry: Any) -> bool:
    return any("__llmopt__" in vars(model) for model in (entry.model, entry.async_model) if model)


@cache
def cli_stack(cache_mode: str, user_dir: str) -> tuple[Middleware, ...]:
    """Return the stack of the models under `opt/`: the default one with a cache that outlives the process.

    Args:
        cache_mode: "on": whatever is asked again is answered from the cache; "deterministic": only calls
            whose answer is meant to be the same every time; "off": no cache.
        user_dir: llm's user folder, where the cache and the log lie.

    Returns:
        The stack, outermost first.

    Raises:
        ConfigurationError: `cache_mode` is none of the three.
    """
    from .cache.sqlite import SQLiteStore
    from .middleware.cache import Cache, deterministic
    from .wrapping.default import default_stack

    if cache_mode not in ("on", "deterministic", "off"):
        msg = f"{CACHE_VARIABLE} is {cache_mode!r}; it may be 'on', 'deterministic' or 'off'"
        raise ConfigurationError(msg)
    log, _, *rest = default_stack()
    if cache_mode == "off":
        return (log, *rest)
    path = Path(user_dir, "llmopt", "cache.db")
    with suppress(OSError):  # a cache that cannot be kept is no reason to fail
        path.parent.mkdir(mode=0o700, exist_ok=True)
    when = deterministic if cache_mode == "deterministic" else None
    return (log, Cache(store=SQLiteStore(path), when=when), *rest)
