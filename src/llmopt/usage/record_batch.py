"""Records column by column: whole columns are computed at once, for it costs as much as SQLite's part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Protocol, TypeAlias

import orjson

from .record import Record
from .statements import Columns
from .tokens import normalise_all, replace_unknown
from .values import timestamps

Values: TypeAlias = "Sequence[Any]"
"""One record as JSON has it: its kind, then the values of a `Record`; their parts are lists."""

NAMES = ("kind", *Record._fields)
RUN = ("model_id", "started_at", "waited_s", "first_event_at", "ended_at", "usage")
"""What is there of an `Attempt`, in order."""

_WELL = ("ok", None, None, None, None)  # in the order of `Fault`


class Bills(Protocol):
    """What knows the costs of replies: see `PriceTable.bill`."""

    def bill(
        self, asked: Iterable[Any], moments: Iterable[str], tokens: Sequence[Sequence[int | None]], /
    ) -> tuple[list[int | None], list[int | None]]:
        """Return what each reply costs, and the number of its price."""
        ...


class Batch:
    """Records column by column, all of which ended well, or all not.

    Attributes:
        given: the attributes of the records.
        attempts: the attempts of each record.
        runs: the attributes of all attempts, one after the other, or nothing if there are none.
        single: whether there is one attempt for each record, and all went well.
        asked: provider, host and model that was asked, and the model that answered.
        moments: when the calls began.
        tokens: the columns that count the tokens of the answers.
        tokens_source: who counted them.
        usage_json: what the provider said of them.
    """

    def __init__(self, records: Sequence[Values]) -> None:
        # A later version may have added attributes at the end: they are left out.
        given: Columns = dict(zip(NAMES, zip(*records, strict=True), strict=False))
        self.given = given
        self.attempts: Sequence[Sequence[Values]] = given["attempts"]
        runs = chain.from_iterable(self.attempts)
        self.runs: Columns = dict(zip(RUN, zip(*runs, strict=True), strict=False))
        self.single = not any(given["faults"]) and set(map(len, self.attempts)) == {1}
        models = (given[name] for name in ("provider", "host", "model_id", "resolved_model"))
        self.asked = list(zip(*models, strict=True))
        self.moments = timestamps(given["wall_s"])
        self.tokens = token_columns(given["usage"], given["provider"])
        self.tokens_source = replace_unknown(self.tokens, given["counted"])
        self.usage_json = details_json(given["usage"])

    def of_runs(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return for each run what belongs to its call."""
        if self.single:
            return values
        return [value for value, runs in zip(values, self.attempts, strict=True) for _ in runs]

    def of_last_runs(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return for the last run of each call what belongs to the call, and None for the others."""
        if self.single:
            return values
        found: list[Any] = []
        for value, runs in zip(values, self.attempts, strict=True):
            if runs:
                found += [*[None] * (len(runs) - 1), value]
        return found


def token_columns(usages: Sequence[Any], providers: Sequence[str | None]) -> Columns:
    """Return the columns that count tokens."""
    input_total, _, cache_read, cache_write, output, reasoning = normalise_all(usages, providers)
    return {
        "input_tokens": input_total,
        "output_tokens": output,
        "cache_read_tokens": cache_read,
        "cache_write_tokens": cache_write,
        "reasoning_tokens": reasoning,
    }


def cost_columns(
    asked: Iterable[Any], moments: Iterable[str], tokens: Columns, bills: Bills
) -> tuple[list[int | None], list[int | None]]:
    """Return what replies of so many tokens cost, and the numbers of the prices."""
    billed = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    return bills.bill(asked, moments, [tokens[name] for name in billed])


def details_json(usages: Sequence[Any]) -> list[str | None]:
    """Return the provider's own breakdown of each usage, where there is one."""
    return [orjson.dumps(usage[2]).decode() if usage and usage[2] else None for usage in usages]


def between_ms(begun_s: Sequence[float], until_s: Sequence[float | None]) -> list[float | None]:
    """Return how long something took, where it is known."""
    times_s = zip(begun_s, until_s, strict=True)
    return [None if until is None else (until - begun) * 1000 for begun, until in times_s]


def fault_columns(faults: Sequence[Values | None]) -> Columns:
    """Return the columns that tell how something ended."""
    if not any(faults):
        return {"status": [_WELL[0]] * len(faults)}
    status, error_type, error_class, http_status, _ = zip(*(fault or _WELL for fault in faults), strict=True)
    return {
        "status": status,
        "error_type": error_type,
        "error_class": error_class,
        "http_status": http_status,
    }
