"""The plan that is arriving, as far as it has come: for progress displays, never for execution."""

from __future__ import annotations

from typing import Any

from .decoders import partial_function
from .scanner import Scanner

__all__ = ["Growing"]


class Growing:
    """Looks at the open element of a scanner. A look costs what that element's size does, and nothing else.

    Raises:
        ConfigurationError: jiter is not installed.
    """

    __slots__ = ("_from_json",)

    def __init__(self) -> None:
        self._from_json = partial_function()

    def look(self, scanner: Scanner) -> Any:
        """Return the open element as a dict or a list, or None if none is open."""
        if not scanner.depth:
            return None
        text = scanner.unread()
        data = text.encode("utf-8", "replace") if isinstance(text, str) else bytes(text)
        try:
            return self._from_json(data, partial_mode="trailing-strings")
        except ValueError:
            return None  # damaged: there is nothing to show
