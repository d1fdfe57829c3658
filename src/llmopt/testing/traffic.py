"""A made-up world of model calls: who asks what, when, how long it takes and what goes wrong.

All of it comes out of one random generator, so that a seed tells the whole story. It yields rows of the
usage log's tables and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import accumulate
from math import cos, pi
from random import Random
from typing import Any, NamedTuple, TypeAlias

from ..usage.schema import VERSION
from .traffic_runs import COLUMNS, MODELS, Asked, LoggedModel, Runs, iso

__all__ = ["COLUMNS", "MODELS", "LoggedModel", "Rows", "Traffic"]

Rows: TypeAlias = "dict[str, list[tuple[Any, ...]]]"
"""Rows by the name of their table."""


class Role(NamedTuple):
    """What the calls of a role have in common.

    Attributes:
        name: its name.
        share: its share of all events.
        own_tokens: median tokens of a prompt beside its fragments.
        output_tokens: median tokens of an answer.
        repeats: share of the prompts that are asked more than once.
        compressor: the profile that compresses its prompts in the second half, or None.
        kept: the share of the tokens that compression leaves.
        sizes: how many calls one event may have: a tool loop has several.
        batched: share of the events that are batches.
    """

    name: str
    share: float
    own_tokens: int
    output_tokens: int
    repeats: float
    compressor: str | None
    kept: float
    sizes: tuple[int, ...] = (1,)
    batched: float = 0.0


ROLES = (
    Role("tactical", 0.46, 900, 70, 0.30, "dense", 0.45, batched=0.06),
    Role("stealth", 0.18, 700, 50, 0.45, "dense", 0.50),
    Role("exploration", 0.20, 1400, 110, 0.25, "balanced", 0.70),
    Role("support", 0.16, 350, 220, 0.15, None, 1.0, sizes=(1, 1, 1, 2, 3, 4, 6)),
)


class Fragment(NamedTuple):
    """A text of a prompt or a reply.

    Attributes:
        kind: the part of the prompt that it is.
        tokens: its length.
        digest: its SHA-256.
        n_bytes: its length in UTF-8.
        text: the text, where it is kept.
        counted: whether its tokens were counted.
        once: whether it is certain that no other call has it.
    """

    kind: str
    tokens: int
    digest: str
    n_bytes: int
    text: str | None
    counted: bool = True
    once: bool = False


def fragment(name: str, kind: str, tokens: int, *, counted: bool = True, once: bool = False) -> Fragment:
    """Return a text that is its name and as many words as it has tokens."""
    text = name + "\n" + "word " * tokens
    return Fragment(kind, tokens, sha256(text.encode()).hexdigest(), len(text), text, counted, once)


RULES = fragment("Rules of engagement", "context", 2310)
SYSTEMS = {role.name: fragment(f"You plan in the role {role.name}", "system", 120) for role in ROLES}
TOOLS = fragment("Tools of the helpdesk", "tool", 640)
RARE = tuple(fragment(f"Appendix {letter}", "context", 900, counted=letter != "C") for letter in "ABC")
DUMP = fragment("Debug dump of the navigation mesh", "context", 5200)

_FULL = 2_000  # calls in one portion of rows
_POPULAR = 400  # prompts of a role that are asked again and again
_DRAWN = 1024  # models, in the proportion of their shares
_FRESH_S = 86_400.0
_SLOTS = (6, 8, 12, 12, 16, 24)
_STRATEGIES = ("one_call", "one_call", "one_call", "leader_then_fanout", "fanout")
_FLUSHED_BY = ("full", "time", "time", "demand")
_SLOT_FAULTS = ("missing", "invalid", "duplicate", "truncated")


class Prompt:
    """One thing to ask.

    Attributes:
        digest: the digest of all that is asked, and of which model.
        model: the model that is asked.
        tokens: its tokens beside the fragments.
        output_tokens: those of its answer.
        answered_s: when it was answered last.
        text: the text that is its own.
    """

    __slots__ = ("answered_s", "digest", "model", "output_tokens", "text", "tokens")

    def __init__(self, name: str, model: LoggedModel, tokens: int, output_tokens: int) -> None:
        self.digest = sha256(f"{model.model_id}/{name}".encode()).hexdigest()
        self.model, self.tokens, self.output_tokens = model, tokens, output_tokens
        self.answered_s: float | None = None
        once = "/once/" in name
        digest = sha256(name.encode()).hexdigest()
        self.text = Fragment("prompt", tokens, digest, 4 * tokens, None, counted=not once, once=once)


class Event(NamedTuple):
    """Which call it is, and where it belongs."""

    id: str
    trace_id: str | None = None
    parent_id: str | None = None
    conversation_id: str | None = None
    batch_id: str | None = None


class Traffic:
    """All calls of a period.

    Args:
        calls: how many there are.
        seed: tells one period from another.
        days: its length.
        end_s: when it ends, in seconds since the epoch.
        models: the models that are called.
        with_content: whether texts are kept.
    """

    def __init__(
        self,
        calls: int,
        seed: int,
        days: float,
        end_s: float,
        models: Sequence[LoggedModel],
        *,
        with_content: bool,
    ) -> None:
        self._calls, self._content = calls, with_content
        self._start_s, self._end_s = end_s - days * 86_400, end_s
        self._half_s = (self._start_s + end_s) / 2
        self._random = Random(seed)  # noqa: S311 - no cryptography here
        self._seed = seed
        self._models = self._random.choices(models, [model.share for model in models], k=_DRAWN)
        self._runs = Runs(self._random, models, self._start_s, end_s)
        self._popular: dict[tuple[str, int], Prompt] = {}
        self._seen: set[str] = set()
        self._made = self._batches = 0
        self._rare = {1 + calls * n // 8: RARE[n % 3] for n in range(1, 8)}
        self._rows: Rows = {table: [] for table in COLUMNS}

    def rows(self) -> Iterator[Rows]:
        """Yield the rows in portions."""
        events = list(self._events())
        self._preface()
        for start_s, (role, size) in zip(self._times_s(len(events)), events, strict=True):
            self._event(start_s, role, size)
            if len(self._rows["calls"]) >= _FULL:
                yield self._rows
                self._rows = {table: [] for table in COLUMNS}
        yield self._rows

    def _preface(self) -> None:
        self._rows["prices"] = self._runs.price_rows()
        versions = ("0.1.0", "0.36", "3.11.7", "3.40.1")
        start = iso(self._start_s)
        self._rows["processes"] = [
            (1, 4711, "5f" * 16, start, *versions),
            (2, 4712, "5f" * 16, start, *versions),
        ]
        self._rows["drops"] = [(1, iso(self._half_s), 4712, "quota", max(1, self._calls // 2000))]

    def _events(self) -> Iterator[tuple[Role, int]]:
        """Yield the role and the number of calls of each event, until there are enough calls."""
        random, left = self._random, self._calls
        shares = list(accumulate(role.share for role in ROLES))
        while left > 0:
            (role,) = random.choices(ROLES, cum_weights=shares)
            size = min(left, random.choice(role.sizes)) if len(role.sizes) > 1 else 1
            left -= size
            yield role, size

    def _times_s(self, events: int) -> list[float]:
        """Return when the events begin: there is more to do by day than by night or at the weekend."""
        hours = max(1, round((self._end_s - self._start_s) / 3600))
        hour_s = (self._end_s - self._start_s) / hours
        starts_s = [self._start_s + n * hour_s for n in range(hours)]
        busy = list(accumulate(map(_activity, starts_s)))
        random = self._random.random
        chosen = self._random.choices(starts_s, cum_weights=busy, k=events)
        return sorted(start_s + random() * hour_s * 0.99 for start_s in chosen)

    def _event(self, start_s: float, role: Role, size: int) -> None:
        if size > 1:
            self._tool_loop(start_s, role, size)
        elif self._random.random() < role.batched:
            self._batch(start_s, role)
        else:
            self._call(start_s, role, Event(self._runs.ulid(start_s)))

    def _tool_loop(self, start_s: float, role: Role, size: int) -> None:
        """Make calls of which each but the first goes on where the one before has stopped."""
        conversation_id, trace_id = self._runs.ulid(start_s), self._runs.ulid(start_s)
        call_id, parent_id = trace_id, None
        for _ in range(size):
            end_s = self._call(start_s, role, Event(call_id, trace_id, parent_id, conversation_id))
            start_s = end_s + 0.2  # the tool runs
            call_id, parent_id = self._runs.ulid(start_s), call_id

    def _batch(self, start_s: float, role: Role) -> None:
        """Make a batch whose agents are all planned for in one call."""
        random = self._random
        n, batch_id, call_id = random.choice(_SLOTS), self._runs.ulid(start_s), self._runs.ulid(start_s)
        self._batches += 1
        end_s = self._call(start_s, role, Event(call_id, batch_id=batch_id), times=n)
        duration_ms = (end_s - start_s) * 1000
        strategy = _STRATEGIES[self._batches % len(_STRATEGIES)]
        flushed_by = random.choice(_FLUSHED_BY)
        self._rows["batches"].append(
            (batch_id, n, flushed_by, 2500 + 90 * n, iso(start_s), duration_ms, role.name, strategy)
        )
        failing = 0.02 if start_s >= self._half_s else 0.06
        for slot in range(n):
            fault = random.choice(_SLOT_FAULTS) if random.random() < failing else None
            first_ms = None if fault else duration_ms * (0.3 + 0.7 * (slot + 1) / n)
            agent = f"A{(self._batches + slot) % 40:02d}"
            self._rows["batch_slots"].append(
                (batch_id, slot, agent, call_id, int(not fault), first_ms, fault)
            )

    def _call(self, start_s: float, role: Role, event: Event, times: int = 1) -> float:
        """Make one call. Return when it ended."""
        self._made += 1
        prompt = self._prompt(role, times)
        improved = start_s >= self._half_s
        compressed = improved and role.compressor is not None
        tokens = int(prompt.tokens * role.kept) if compressed else prompt.tokens
        texts = self._texts(role, start_s)
        fixed = sum(text.tokens for text in texts)
        outcome = self._outcome(prompt, start_s) if improved else None
        asked = Asked(prompt.model, start_s, fixed + tokens, prompt.output_tokens, fixed, improved)
        if outcome in _SERVED:
            ran = self._runs.serve(asked, outcome)
        else:
            ran = self._runs.run(event.id, asked)
            prompt.answered_s = ran.end_s if ran.answered else prompt.answered_s
        agent = f"A{int(self._random.random() * 40):02d}" if event.batch_id is None else None
        shrunk = (prompt.tokens, tokens, role.compressor) if compressed else (None, None, None)
        own = (*event[:1], *event, agent, role.name, outcome, *shrunk, prompt.digest, _TAGS, VERSION)
        self._rows["calls"].append(own + ran.columns)
        self._rows["attempts"] += ran.attempts
        own_texts = self._own_texts(prompt, answered=ran.answered) if self._content else (prompt.text,)
        self._use(event.id, (*texts, *own_texts), start_s)
        return ran.end_s

    def _prompt(self, role: Role, times: int) -> Prompt:
        """Return what is asked: something new, or a popular prompt, the first of these most often."""
        random = self._random
        if times > 1 or random.random() >= role.repeats:
            return self._new_prompt(role, f"{self._seed}/{role.name}/once/{self._made}", times)
        rank = int(_POPULAR ** random.random())
        found = self._popular.get((role.name, rank))
        if found is None:
            found = self._new_prompt(role, f"{self._seed}/{role.name}/popular/{rank}", 1)
            self._popular[role.name, rank] = found
        return found

    def _new_prompt(self, role: Role, name: str, times: int) -> Prompt:
        model = self._models[int(self._random.random() * _DRAWN)]
        tokens = int(role.own_tokens * self._runs.spread() * (1 + 0.25 * (times - 1)))
        return Prompt(name, model, tokens, int(role.output_tokens * self._runs.spread() * times))

    def _outcome(self, prompt: Prompt, start_s: float) -> str:
        """Return what llmopt's cache says to a prompt."""
        chance = self._random.random()
        if chance < 0.01:  # noqa: PLR2004 - somebody asked for a new answer
            return "bypass"
        if prompt.answered_s is None or prompt.answered_s < self._half_s:
            return "miss"
        if start_s - prompt.answered_s > _FRESH_S:
            return "stale" if chance < 0.2 else "miss"  # noqa: PLR2004
        return "coalesced" if chance < 0.05 else "hit"  # noqa: PLR2004

    def _texts(self, role: Role, start_s: float) -> tuple[Fragment, ...]:
        """Return the fragments of a prompt."""
        texts: tuple[Fragment, ...] = (SYSTEMS[role.name], TOOLS if role.name == "support" else RULES)
        rare = self._rare.get(self._made)
        if rare is not None:
            texts = (*texts, rare)
        late = start_s > self._end_s - (self._end_s - self._half_s) / 2
        if late and role.name == "exploration" and self._made % 25 == 0:
            texts = (*texts, DUMP)
        return texts

    def _own_texts(self, prompt: Prompt, *, answered: bool) -> tuple[Fragment, ...]:
        """Return the texts that are this prompt's own."""
        name, once = prompt.text.digest[:12], prompt.text.once
        asked = fragment(f"What now? ({name})", "prompt", prompt.tokens, counted=not once, once=once)
        if not answered:
            return (asked,)
        return asked, fragment(f"HOLD ({name})", "reply", prompt.output_tokens, once=once)

    def _use(self, call_id: str, texts: Sequence[Fragment], start_s: float) -> None:
        """Add the texts of a call, and those among them that nobody has seen yet."""
        uses = self._rows["call_fragments"]
        positions: dict[str, int] = dict.fromkeys(_KINDS, 0)
        for text in texts:
            if text.once or text.digest not in self._seen:
                if not text.once:
                    self._seen.add(text.digest)
                self._rows["fragments"].append(self._fragment_row(text, start_s))
            uses.append((call_id, text.digest, text.kind, positions[text.kind]))
            positions[text.kind] += 1

    def _fragment_row(self, text: Fragment, first_s: float) -> tuple[Any, ...]:
        counted = (text.tokens, "tokenizer") if text.counted else (None, None)
        content = (text.text, 0) if self._content else (None, None)
        return (text.digest, text.n_bytes, *counted, iso(first_s), *content)


_KINDS = ("system", "prompt", "context", "tool", "reply")
_SERVED = frozenset({"hit", "stale", "coalesced"})
_TAGS = '{"app": "harbour"}'


def _activity(second: float) -> float:
    """Return how busy an hour is: most at 14:00 UTC, least at 2:00, and a third of that at the weekend."""
    moment = datetime.fromtimestamp(second, UTC)
    return (1.15 - cos((moment.hour - 2) / 24 * 2 * pi)) * (0.35 if moment.weekday() >= 5 else 1.0)  # noqa: PLR2004
