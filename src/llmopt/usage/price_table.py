"""The prices of one file: what its calls were reckoned with, and what need not be asked for again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from .price_list import Model
from .prices import Pricing
from .rates import ALWAYS, Price, price_at

Asked: TypeAlias = "tuple[str | None, str | None, str, str | None]"
"""Provider, host and id of the model that was asked, and the id of the one that answered."""

Counts: TypeAlias = "Sequence[int | None]"

_NONE_KNOWN = "null"  # as the prices of a model that its source does not know


class Filed(NamedTuple):
    """A price with its place in the table.

    Attributes:
        id: number of its row.
        price: the price.
    """

    id: int
    price: Price


class PriceTable:
    """Finds the prices of calls, and writes each price into the file where it is used first.

    What the file has of the list's installed version is not asked of the list again, nor what that does not
    know: importing it takes half a second. Keep a table for one transaction only, for what it has written is
    gone if that fails.

    Args:
        connection: the file, in a transaction.
        pricing: what knows the prices.
    """

    def __init__(self, connection: sqlite3.Connection, pricing: Pricing) -> None:
        self._connection = connection
        self._pricing = pricing
        self._days: dict[tuple[Asked, str], Filed | tuple[Filed, ...] | None] = {}

    def bill(
        self, asked: Iterable[Asked], moments: Iterable[str], tokens: Sequence[Counts]
    ) -> tuple[list[int | None], list[int | None]]:
        """Return what replies cost, and the numbers of the prices.

        Args:
            asked: what was asked, for each.
            moments: when, as ISO-8601 in UTC.
            tokens: all input tokens, those read from and written to the prefix cache, and output tokens.
        """
        costs: list[int | None] = []
        ids: list[int | None] = []
        days = self._days
        for whom, moment, total, read, write, output in zip(asked, moments, *tokens, strict=True):
            filed = days.get((whom, moment[:10]))
            if type(filed) is not Filed:  # it is not known yet, or depends on more than the day
                filed = self.find(whom, moment, total)
            if filed is None:
                costs.append(None)
                ids.append(None)
            else:
                costs.append(filed.price.nano_usd(total, read, write, output))
                ids.append(filed.id)
        return costs, ids

    def find(self, asked: Asked, moment: str, input_tokens: int | None) -> Filed | None:
        """Return the price that is valid for a prompt of so many tokens, or None where none is known."""
        key = (asked, moment[:10])
        if key not in self._days:
            self._days[key] = self._of_day(asked, moment)
        filed = self._days[key]
        if not isinstance(filed, tuple) or isinstance(filed, Filed):
            return filed
        price = price_at([each.price for each in filed], moment, input_tokens or 0)
        return next((each for each in filed if each.price is price), None)

    def _of_day(self, asked: Asked, moment: str) -> Filed | tuple[Filed, ...] | None:
        """Return the price of a day, or all of them if they depend on more than the day."""
        filed = self._all(asked)
        valid = [each for each in filed if each.price.valid_from <= moment[:10]]
        if valid and valid[-1].price.is_plain:
            return valid[-1]
        return tuple(valid) or None

    def _all(self, asked: Asked) -> tuple[Filed, ...]:
        provider, host, model_id, answered_by = asked
        names = [model_id, answered_by] if answered_by and answered_by != model_id else [model_id]
        for name in names:
            price = self._pricing.own(name)
            if price is not None:
                return (self._file_own(replace(price, model=name)),)
        for name in names:
            filed = self._of_list(Model(provider, host, name))
            if filed:
                return filed
        return ()

    def _file_own(self, price: Price) -> Filed:
        known = self._connection.execute(
            "SELECT id FROM prices WHERE provider = ? AND model = ? AND source = ? AND nano_usd_json = ?",
            (price.provider, price.model, price.source, price.nano_usd_json),
        ).fetchone()
        return Filed(known[0], price) if known else self._insert(price)

    def _of_list(self, model: Model) -> tuple[Filed, ...]:
        """Return what the list has of a model. All of its prices are in the table, or none."""
        source = self._pricing.source
        if source is None:
            return ()
        rows = self._connection.execute(
            "SELECT id, valid_from, nano_usd_json FROM prices"
            " WHERE provider = ? AND model = ? AND source = ? ORDER BY id",
            (model.whose, model.model_id, source),
        ).fetchall()
        if rows:
            whose = {"provider": model.whose, "model": model.model_id, "source": source}
            return tuple(
                Filed(number, Price.from_json(told, valid_from=day, **whose))
                for number, day, told in rows
                if told != _NONE_KNOWN
            )
        prices = self._pricing.listed(model)
        if prices is not None and not prices:
            self._write(model.whose, model.model_id, ALWAYS, _NONE_KNOWN, source)
        return tuple(map(self._insert, prices or ()))

    def _insert(self, price: Price) -> Filed:
        values = (price.provider, price.model, price.valid_from, price.nano_usd_json, price.source)
        return Filed(self._write(*values), price)

    def _write(self, *values: str) -> int:
        names = "provider, model, valid_from, nano_usd_json, source"
        sql = f"INSERT INTO prices ({names}) VALUES (?, ?, ?, ?, ?)"  # noqa: S608 - our own names
        number = self._connection.execute(sql, values).lastrowid
        assert number is not None  # noqa: S101 - as after every INSERT
        return number
