"""Where in the reply the plans are to be found, and what they look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import ConfigurationError

__all__ = ["Route"]


@dataclass(frozen=True, slots=True)
class Route:
    """The way to the plans.

    Attributes:
        keys: the keys that lead to the list in a wrapper object, or None.
        auto: whether to look for a wrapper by customary keys.
        lines: whether every value of the reply is a plan (NDJSON), lists included.
        rows: whether plans are arrays that begin with the id.
        own: keys that a plan has.
    """

    keys: tuple[str, ...] | None = None
    auto: bool = False
    lines: bool = False
    rows: bool = False
    own: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, path: str, *, rows: bool, own: frozenset[str]) -> Route:
        """Return the route that `path` names.

        Args:
            path: "auto", "root", "ndjson", or the keys that lead to the list with dots between them.
            rows: whether plans are arrays.
            own: keys that a plan has.

        Raises:
            ConfigurationError: it is none of these.
        """
        if path in ("auto", "root", "ndjson"):
            return cls(auto=path == "auto", lines=path == "ndjson", rows=rows, own=own)
        given: Any = path
        keys = tuple(given.split(".")) if isinstance(given, str) else ()
        if not all(keys) or not keys:
            msg = f'path is "auto", "root", "ndjson" or keys such as "data.plans", not {path!r}'
            raise ConfigurationError(msg)
        return cls(keys=keys, rows=rows, own=own)
