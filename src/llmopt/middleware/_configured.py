"""What the middlewares have in common: a frozen configuration, and state that is not part of it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


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
