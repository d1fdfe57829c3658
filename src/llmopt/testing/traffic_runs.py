"""What becomes of one made-up call: its attempts, tokens, times and price."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple

import orjson

_COLUMNS = """
prices: id provider model valid_from nano_usd_json source
processes: id pid host started_at llmopt llm python sqlite
drops: id at pid reason records
calls: id llm_turn_id trace_id parent_id conversation_id batch_id agent role cache_outcome
    tokens_before tokens_after compressor prompt_digest tags_json schema_version
    provider model_requested model_resolved endpoint_host stream started_at queue_ms ttft_ms duration_ms
    input_tokens output_tokens cache_read_tokens cache_write_tokens reasoning_tokens tokens_source usage_json
    cost_usd_nano price_id finish_reason status error_type error_class http_status attempts tier deadline_ms
    options_json
attempts: call_id n provider model started_at ttft_ms duration_ms status error_type error_class http_status
    retry_after_ms wait_ms input_tokens output_tokens cache_read_tokens cache_write_tokens reasoning_tokens
    usage_json cost_usd_nano price_id
fragments: digest bytes tokens tokens_source first_seen content redacted
call_fragments: call_id digest kind position
batches: id n flushed_by prompt_tokens started_at duration_ms role strategy
batch_slots: batch_id slot agent_id call_id plan_ok first_plan_ms error
"""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    table: tuple(names.split()) for table, names in re.findall(r"^(\w+):((?:.|\n )+)", _COLUMNS, re.MULTILINE)
}
"""The columns of each table that are written."""


class LoggedModel(NamedTuple):
    """A model as it shows in a log.

    Attributes:
        provider: its provider.
        model_id: llm's id of it.
        share: how often it is called, beside the others.
        nano_usd: price of a token by its kind (input, cache_read, cache_write, output), in nano-dollars as
            decimals; None where no price is known.
        ttft_ms: median time to its first token.
        token_ms: median time of each further token.
        host: host of its own endpoint, if it has one.
        reads: whether it tells what it read from its prefix cache.
        writes: whether it tells what it wrote there.
    """

    provider: str
    model_id: str
    share: float
    nano_usd: Mapping[str, str] | None
    ttft_ms: float
    token_ms: float
    host: str | None = None
    reads: bool = True
    writes: bool = False


MODELS = (
    LoggedModel("openai", "gpt-4o-mini", 0.5, {"input": "150", "cache_read": "75", "output": "600"}, 420, 9),
    LoggedModel(
        "openai", "gpt-4o", 0.14, {"input": "2500", "cache_read": "1250", "output": "10000"}, 600, 13
    ),
    LoggedModel(
        "anthropic",
        "claude-haiku-4.5",
        0.16,
        {"input": "1000", "cache_read": "100", "cache_write": "1250", "output": "5000"},
        700,
        11,
        writes=True,
    ),
    LoggedModel(
        "gemini",
        "gemini-2.0-flash-lite",
        0.12,
        {"input": "75", "cache_read": "18.75", "output": "300"},
        380,
        6,
    ),
    LoggedModel("openai-compatible", "qwen3-32b", 0.08, None, 2600, 42, host="localhost", reads=False),
)
"""Five models of four providers; the last is slow, and nobody has a price for it. The prices are made up."""


class Asked(NamedTuple):
    """What a model is asked.

    Attributes:
        model: the model.
        start_s: when.
        input_tokens: all tokens of the prompt.
        output_tokens: tokens that it will answer.
        fixed_tokens: tokens that the prompt has in common with others.
        improved: whether fallback and prefix caching are at work.
    """

    model: LoggedModel
    start_s: float
    input_tokens: int
    output_tokens: int
    fixed_tokens: int
    improved: bool


class Ran(NamedTuple):
    """What came of a call.

    Attributes:
        columns: the columns of `calls` from `provider` on.
        attempts: its rows in `attempts`.
        end_s: when it ended.
        answered: whether there was a whole answer.
    """

    columns: tuple[Any, ...]
    attempts: list[tuple[Any, ...]]
    end_s: float
    answered: bool


class _Fault(NamedTuple):
    name: str | None
    kind: str | None = None
    http_status: int | None = None
    retry_after_ms: float | None = None
    retried: bool = False
    status: str = "error"
    after_s: float = 0.2


_FAULTS = (
    _Fault("RateLimitError", "too_many_requests", 429, 1500.0, retried=True),
    _Fault("InternalServerError", "server", 500, retried=True),
    _Fault("APITimeoutError", "timeout", retried=True, after_s=30.0),
    _Fault("APIConnectionError", "connection", retried=True, after_s=3.0),
    _Fault("OverloadedError", "overloaded", 529, retried=True),
    _Fault("BadRequestError", "bad_request", 400),
    _Fault("AuthenticationError", "auth", 401),
)
_WEIGHTS = (40, 18, 14, 10, 8, 8, 2)
_OK = _Fault(None, status="ok")
_ABANDONED = _Fault(None, status="abandoned")
_CANCELLED = _Fault("asyncio.exceptions.CancelledError", status="cancelled")

_ATTEMPTS = 4
_FAILING, _INCIDENT, _TROUBLE_S = 0.025, 0.5, 7200
_ABANDONING, _CANCELLING = 0.008, 0.011
_PREFIX_TOKENS, _PREFIX_STEP = 1024, 128
_NO_USAGE = (None,) * 6
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # llm writes its ids in lower case
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


class Runs:
    """Makes up runs of models.

    Args:
        random: where all chance comes from.
        models: all models; the second stands in for those that fail.
        start_s: when the period begins; twice during it a provider has trouble for two hours.
        end_s: when it ends.
    """

    def __init__(self, random: Random, models: Sequence[LoggedModel], start_s: float, end_s: float) -> None:
        self._random = random.random
        self._choices = random.choices
        self._bits = random.getrandbits
        self._spreads = [random.lognormvariate(0.0, 0.4) for _ in range(4096)]
        self._incidents_s = [start_s + share * (end_s - start_s) for share in (0.34, 0.78)]
        self._tier = models[1] if len(models) > 1 else None
        priced = [model for model in models if model.nano_usd is not None]
        self._price_ids = {model.model_id: number for number, model in enumerate(priced, 1)}
        self._nano = {model.model_id: _nano_of(model) for model in priced}
        self._priced, self._start_s = priced, start_s

    def price_rows(self) -> list[tuple[Any, ...]]:
        """Return the rows of `prices`."""
        since = iso(self._start_s)[:10]
        return [
            (n, m.provider, m.model_id, since, orjson.dumps(m.nano_usd).decode(), "made up")
            for n, m in enumerate(self._priced, 1)
        ]

    def ulid(self, second: float) -> str:
        """Return an id that sorts by its time."""
        ms = int(second * 1000)
        return f"{_quarter(ms >> 20)}{_PAIRS[ms >> 10 & 1023]}{_PAIRS[ms & 1023]}{self._bits(64):016x}"

    def spread(self) -> float:
        """Return a factor of log-normal distribution; half of them are less than 1."""
        return self._spreads[int(self._random() * 4096)]

    def serve(self, asked: Asked, outcome: str) -> Ran:
        """Answer out of llmopt's own cache."""
        usage = self._usage(asked, asked.model)
        ms = 0.2 * self.spread() if outcome != "coalesced" else 300 * self.spread()
        times = (None, ms * 0.9, ms)
        columns = self._columns(asked, times, (usage, _source_of(usage)), _OK, (0, 0, None))
        return Ran(columns, [], asked.start_s + ms / 1000, answered=True)

    def run(self, call_id: str, asked: Asked) -> Ran:
        """Ask the model, again where that helps, and another one in the end."""
        queue_ms = 400 * self.spread() if self._random() < 0.04 else None  # noqa: PLR2004
        now_s, wait_ms, n = asked.start_s + (queue_ms or 0.0) / 1000, 0.0, 0
        attempts: list[tuple[Any, ...]] = []
        fault, first_ms, usage = _OK, None, _NO_USAGE
        models = [asked.model] * _ATTEMPTS
        if asked.improved and self._tier is not None:
            models.append(self._tier)
        for n, model in enumerate(models, 1):
            now_s += wait_ms / 1000
            fault = self._fault(model, now_s)
            ms, event_ms, usage = self._times(asked, model, fault)
            times = (event_ms, ms)
            attempts.append(self._attempt((call_id, n), model, now_s, times, (fault, wait_ms, usage)))
            first_ms = None if event_ms is None else (now_s - asked.start_s) * 1000 + event_ms
            now_s += ms / 1000
            if not fault.retried:
                break
            wait_ms = 400.0 * 2**n * self.spread() if fault.retry_after_ms is None else fault.retry_after_ms
        counted: tuple[tuple[Any, ...], str | None] = (usage, _source_of(usage))
        if fault is _ABANDONED:
            counted = ((asked.input_tokens, 12, *_NO_USAGE[2:]), "tokenizer")
        costs = [cost for *_, cost, _ in attempts if cost is not None]
        ended = (sum(costs) if costs else None, n, int(n > _ATTEMPTS) if asked.improved else None)
        of_call = (queue_ms, first_ms, (now_s - asked.start_s) * 1000)
        columns = self._columns(asked, of_call, counted, fault, ended)
        return Ran(columns, attempts, now_s, answered=fault is _OK)

    def _fault(self, model: LoggedModel, now_s: float) -> _Fault:
        """Return what goes wrong with a run."""
        chance = self._random()
        trouble = any(0 <= now_s - began_s < _TROUBLE_S for began_s in self._incidents_s)
        failing = _INCIDENT if trouble and model is not self._tier else _FAILING
        if chance < failing:
            return self._choices(_FAULTS, weights=_WEIGHTS)[0]
        if chance > 1 - _ABANDONING:
            return _ABANDONED
        return _CANCELLED if chance > 1 - _CANCELLING else _OK

    def _times(
        self, asked: Asked, model: LoggedModel, fault: _Fault
    ) -> tuple[float, float | None, tuple[Any, ...]]:
        """Return how long a run takes, when its first event comes, and its tokens."""
        if fault.status == "error":
            return fault.after_s * 1000 * self.spread(), None, _NO_USAGE
        first_ms = (model.ttft_ms + asked.input_tokens * 0.03) * self.spread()
        ms = first_ms + asked.output_tokens * model.token_ms * self.spread()
        if fault is not _OK:
            return first_ms + (ms - first_ms) * self._random(), first_ms, _NO_USAGE
        return ms, first_ms, self._usage(asked, model)

    def _usage(self, asked: Asked, model: LoggedModel) -> tuple[Any, ...]:
        """Return input, output, cache read, cache write, reasoning tokens, and the provider's own words."""
        given, output, fixed = asked.input_tokens, asked.output_tokens, asked.fixed_tokens
        if not model.reads:
            return given, output, None, None, None, None
        cached = fixed // _PREFIX_STEP * _PREFIX_STEP if fixed >= _PREFIX_TOKENS else 0
        read = cached if self._random() < (0.82 if asked.improved else 0.06) else 0
        if model.writes:
            write = cached - read if asked.improved else 0
            said = f'{{"cache_read_input_tokens":{read},"cache_creation_input_tokens":{write}}}'
            return given, output, read, write, None, said
        details = f'{{"prompt_tokens_details":{{"cached_tokens":{read}}}}}' if read else None
        return given, output, read, 0, 0, details

    def _attempt(
        self,
        key: tuple[str, int],
        model: LoggedModel,
        now_s: float,
        times: tuple[float | None, float],
        ended: tuple[_Fault, float, tuple[Any, ...]],
    ) -> tuple[Any, ...]:
        """Return a row of `attempts`."""
        fault, wait_ms, usage = ended
        price_id = self._price_ids.get(model.model_id)
        how = (
            fault.status,
            _type_of(fault, model),
            fault.kind,
            fault.http_status,
            fault.retry_after_ms,
            wait_ms,
        )
        cost = self._cost(model, usage)
        return (*key, model.provider, model.model_id, iso(now_s), *times, *how, *usage, cost, price_id)

    def _columns(
        self,
        asked: Asked,
        times: tuple[float | None, ...],
        counted: tuple[tuple[Any, ...], str | None],
        fault: _Fault,
        ended: tuple[int | None, int, int | None],
    ) -> tuple[Any, ...]:
        """Return the columns of `calls` from `provider` on."""
        model, (usage, source), (cost, attempts, tier) = asked.model, counted, ended
        ok = fault is _OK
        resolved = f"{model.model_id}-2026-05-01" if ok and model.host is None else None
        called = (model.provider, model.model_id, resolved, model.host, 1, iso(asked.start_s))
        tokens = (*usage[:5], source, usage[5], cost, self._price_ids.get(model.model_id))
        how = ("stop" if ok else None, fault.status, _type_of(fault, model), fault.kind, fault.http_status)
        return (*called, *times, *tokens, *how, attempts, tier, 30_000.0, '{"temperature":0.2}')

    def _cost(self, model: LoggedModel, usage: tuple[Any, ...]) -> int | None:
        nano = self._nano.get(model.model_id)
        if nano is None or usage[0] is None:
            return None
        read, write = usage[2] or 0, usage[3] or 0
        fresh = usage[0] - read - write
        cost = fresh * nano[0] + read * nano[1] + write * nano[2] + usage[1] * nano[3]
        return int(cost + 0.5)


@lru_cache(maxsize=64)
def _quarter(number: int) -> str:
    """Return the beginning of an id: which quarter of an hour it is of."""
    return "".join(_PAIRS[number >> shift & 1023] for shift in (20, 10, 0))


def _nano_of(model: LoggedModel) -> tuple[float, float, float, float]:
    """Return nano-dollars of a token: input, read from a prefix cache, written to it, output."""
    prices = model.nano_usd or {}
    given = float(prices["input"])
    read, write = (float(prices.get(name, given)) for name in ("cache_read", "cache_write"))
    return given, read, write, float(prices["output"])


def _source_of(usage: tuple[Any, ...]) -> str | None:
    return None if usage[0] is None else "provider"


def _type_of(fault: _Fault, model: LoggedModel) -> str | None:
    """Return the class of an error as the provider's own package names it."""
    if fault.kind is None:
        return fault.name
    return f"{'anthropic' if model.provider == 'anthropic' else 'openai'}.{fault.name}"


def iso(second: float) -> str:
    """Return a time as the log writes it.

    Example:
        >>> iso(0.25)
        '1970-01-01T00:00:00.250000Z'
    """
    whole = int(second)
    return f"{_minute(whole // 60)}{whole % 60:02}.{int((second - whole) * 1_000_000):06}Z"


@lru_cache(maxsize=64)
def _minute(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M:")
