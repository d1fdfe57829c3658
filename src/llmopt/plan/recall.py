"""Remembers the plans of single agents, so that a batch asks only for those who see something new."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from ..cache.canonical import Unkeyable, canonical
from ..errors import PlanValidationError, StoreError
from ..types import Clock, Store
from .tool import Tools
from .types import Step


class Recall:
    """Plans by what their agents saw, in a store of `llmopt.Cache`'s.

    A plan is remembered under everything that it depends on: the model, the instructions, and the whole
    snapshot of its agent, whatever other agents were asked for beside it. A store that fails is as good as
    one that is empty.

    Args:
        store: keeps the plans.
        ttl_s: seconds for which a plan is good; None for ever.
        clock: tells how old plans are.
    """

    def __init__(self, store: Store, ttl_s: float | None, clock: Clock) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._clock = clock

    def key(self, model: str, instructions: str, snapshot: Mapping[str, Any]) -> bytes | None:
        """Return the key of an agent's plan; None if what it sees has no canonical form."""
        try:
            return sha256(canonical([_SCHEME, model, instructions, dict(snapshot)])).digest()
        except Unkeyable:
            return None

    def get(self, key: bytes | None, tools: Tools) -> tuple[Step, ...] | None:
        """Return the steps under a key, with arguments as the tools take them, or None."""
        import orjson

        if key is None:
            return None
        try:
            found = self._store.get(key)
            if found is None or (self._ttl_s is not None and self._clock.time() - found[1] > self._ttl_s):
                return None
            return tuple(Step(tool, tools.find(tool, []).bind(args)) for tool, args in orjson.loads(found[0]))
        except (StoreError, PlanValidationError, ValueError, TypeError):
            return None

    def put(self, key: bytes | None, steps: tuple[Step, ...]) -> None:
        """Keep the steps of a plan, if they are JSON."""
        import orjson

        if key is None:
            return
        try:
            value = orjson.dumps([[step.tool, dict(step.args)] for step in steps])
            self._store.put(key, value, self._clock.time())
        except (StoreError, TypeError):
            return


_SCHEME = "plan 1"
