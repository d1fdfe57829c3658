"""What a prefix cache has saved, by the providers' own figures, and whether it pays to go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

from ..compress.prefix.cache_rules import CacheRules
from ..types import Usage
from ..usage.tokens import normalise

__all__ = ["Account"]

_ENOUGH: Final = 8  # calls with breakpoints after which it is known whether they pay
_PAUSE: Final = 64  # calls without, after which they are tried again


@dataclass(slots=True)
class _Balance:
    """What breakpoints have cost and saved on one model, in effective tokens."""

    calls: int = 0
    saved: float = 0.0
    paused: int = 0


@dataclass(slots=True)
class Account:
    """The counters of a `PromptCache`; safe for threads."""

    calls: int = 0
    counted: int = 0
    hits: int = 0
    breakpoints: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    effective_tokens: float = 0.0
    _balances: dict[str, _Balance] = field(default_factory=dict[str, _Balance], repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def pays(self, model_id: str) -> bool:
        """Tell whether breakpoints at undeclared places are worth setting; asked once a call."""
        with self._lock:
            balance = self._balances.setdefault(model_id, _Balance())
            if balance.calls < _ENOUGH or balance.saved >= 0:
                return True
            balance.paused += 1
            if balance.paused > _PAUSE:
                self._balances[model_id] = _Balance()
            return False

    def add(self, model_id: str, usage: Usage, rules: CacheRules, breakpoints: int) -> None:
        """Count a call that a model has answered."""
        counts = normalise(usage, rules.name if rules.name == "openai" else None)
        read, written, total = counts.cache_read, counts.cache_write or 0, counts.input_total
        with self._lock:
            self.calls += 1
            self.breakpoints += breakpoints
            if total is None or read is None:
                return
            effective = rules.effective(total, cached=read, written=written)
            self.counted += 1
            self.hits += read > 0
            self.input_tokens += total
            self.cached_tokens += read
            self.written_tokens += written
            self.effective_tokens += effective
            if breakpoints:
                balance = self._balances.setdefault(model_id, _Balance())
                balance.calls += 1
                balance.saved += total - effective

    def read(self) -> dict[str, Any]:
        """Return all of them, and the share of input tokens that were read from the cache."""
        names = [name for name in self.__slots__ if not name.startswith("_")]
        with self._lock:
            found: dict[str, Any] = {name: getattr(self, name) for name in names}
        found["effective_tokens"] = round(found["effective_tokens"])
        found["hit_rate"] = found["cached_tokens"] / found["input_tokens"] if found["input_tokens"] else 0.0
        return found
