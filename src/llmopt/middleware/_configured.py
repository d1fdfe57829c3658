"""What the middlewares have in common: a frozen configuration, and state that is not part of it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import fields
from inspect import iscoroutinefunction
from typing import Any

from ..errors import ConfigurationError
from ..resilience._common import require


class Configured:
    """Base of the middlewares that are dataclasses.

    Their `init` fields are the configuration. State (locks, counters, entries) lives in fields with
    `init=False`, is shared by all models that one instance is given to, and is made anew when the
    middleware is pickled or deep-copied: neither a lock nor another process's counters can travel.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        configuration = {field.name: getattr(self, field.name) for field in fields(self) if field.init}  # type: ignore[arg-type]
        return configured, (type(self), configuration)


def configured(cls: type[Any], configuration: dict[str, Any]) -> Any:
    """Return a middleware of `cls` with this configuration and new state."""
    return cls(**configuration)


def freeze(middleware: object, **state: Any) -> None:
    """Set fields of a frozen dataclass while it is being made."""
    for name, value in state.items():
        object.__setattr__(middleware, name, value)


@contextmanager
def named(middleware: str, **names: str) -> Generator[None]:
    """Let what a machine says of a wrong argument name the middleware's own argument.

    Args:
        middleware: the name of the middleware.
        names: the middleware's arguments by the machine's, where they differ.

    Yields:
        Nothing: the machine is made inside.

    Raises:
        ConfigurationError: as the machine raises it, in the middleware's words.
    """
    try:
        yield
    except ConfigurationError as error:
        owner, _, rest = str(error).partition("=")
        argument = owner.rpartition(" ")[2]
        raise ConfigurationError(f"{middleware}: {names.get(argument, argument)}={rest}") from None


def check_function(name: str, function: object, right: str) -> None:
    """Refuse what cannot be a plain function of one argument.

    A class would be instantiated and an async function return a coroutine: both count as true, always.

    Args:
        name: whose argument and which: "Retry: transient".
        function: what was given.
        right: what would be right.

    Raises:
        ConfigurationError: it is no plain function.
    """
    plain = callable(function) and not isinstance(function, type) and not iscoroutinefunction(function)
    require(plain, name, function, right)
