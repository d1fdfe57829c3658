"""What `llmopt eval compress` has found: the profile that each model understands best.

The file is `llmopt/eval_compress.json` in llm's user folder, an object with an entry for each model id:
`{"gpt-4o-mini": {"profile": "dense", "accuracy": 0.97, "date": "2026-11-20", ...}}`. What else an entry has
is for people to read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import orjson

from ..errors import ConfigurationError
from .notation.features import PROFILES

__all__ = ["DEFAULT", "JSON", "Choice", "choices", "choices_path"]

DEFAULT: Final = "balanced"
"""The profile of a model that was not evaluated."""

JSON: Final = "json"
"""In the place of a profile: for a model that understands none as well as JSON, or none for less."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The profile that was found best for a model.

    Attributes:
        profile: its name, or "json" for none of them.
        accuracy: share of the questions that were answered right under it, or None.
        date: when that was, as ISO 8601, or None.
    """

    profile: str
    accuracy: float | None = None
    date: str | None = None


def choices_path() -> Path:
    """Return where the file lies; it need not exist."""
    import llm

    user_dir: Callable[[], Path] = llm.user_dir  # llm does not annotate it
    return Path(user_dir()) / "llmopt" / "eval_compress.json"


def choices(path: Path | str | None = None) -> dict[str, Choice]:
    """Return the choice for each model that was evaluated, by model id; none where there is no file.

    Args:
        path: the file; that of llm's user folder by default.

    Raises:
        ConfigurationError: the file is not such a one.

    Example:
        >>> choices("/nowhere/eval_compress.json")
        {}
    """
    path = choices_path() if path is None else Path(path)
    try:
        entries: Any = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise ConfigurationError(_NO_RESULT.format(path, error)) from None
    if not isinstance(entries, dict):
        raise ConfigurationError(_NO_RESULT.format(path, "it is no JSON object"))
    return {
        model_id: _choice(path, model_id, entry)
        for model_id, entry in cast("dict[str, Any]", entries).items()
    }


def _choice(path: Path, model_id: str, entry: Any) -> Choice:
    fields: Mapping[str, Any] = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    profile, accuracy, date = (fields.get(name) for name in ("profile", "accuracy", "date"))
    if profile not in (*PROFILES, JSON):
        msg = f"the profile of {model_id!r} is {profile!r}, which is none of {', '.join((*PROFILES, JSON))}"
        raise ConfigurationError(_NO_RESULT.format(path, msg))
    known = isinstance(accuracy, (int, float)) and not isinstance(accuracy, bool)
    return Choice(
        profile, float(cast("float", accuracy)) if known else None, date if isinstance(date, str) else None
    )


_NO_RESULT: Final = "{} is no result of `llmopt eval compress`: {}. Run it again, or delete the file."
