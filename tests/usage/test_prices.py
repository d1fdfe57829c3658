"""What tokens cost: the user's prices, those of genai-prices, and those that a file has kept."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import orjson
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError
from llmopt.usage import price_list
from llmopt.usage.ingest import write
from llmopt.usage.migrations import migrate
from llmopt.usage.price_list import Model, listed
from llmopt.usage.price_table import PriceTable
from llmopt.usage.prices import Pricing, reprice
from llmopt.usage.rates import Price, cost_of_call, price_at
from llmopt.usage.record import encode
from llmopt.usage.tokens import NormalisedUsage
from llmopt.usage.values import timestamp

NOON = "2026-11-21T12:00:00.000000Z"
NOON_S = 1_795_262_400.0
MILLION = NormalisedUsage(1_000_000, None, 600_000, 100_000, 1_000_000)


def price(*rates, **conditions):
    return Price("m", "user", *(None if rate is None else Decimal(rate) for rate in rates), **conditions)


# Arithmetic

RATES = st.decimals(0, 10**6, places=6) | st.sampled_from([Decimal(0), Decimal("0.0375"), Decimal("1E+3")])
TOKENS = st.none() | st.integers(0, 10**9)


COUNTS = st.tuples(st.integers(0, 10**9), TOKENS, TOKENS, st.integers(0, 10**9))


@given(st.tuples(RATES, RATES, RATES, RATES), RATES, COUNTS)
@example((Decimal("0.5"), Decimal(0), Decimal(0), Decimal(0)), Decimal(0), (1, None, None, 0))  # half a nano
def test_costs_are_exact(rates, request, counts):
    given_rate, read_rate, write_rate, output_rate = rates
    total, read, written, output = counts
    cost = price(*rates, request=request)
    read_tokens = min(total, read or 0)
    write_tokens = min(total - read_tokens, written or 0)
    parts = [
        (total - read_tokens - write_tokens, given_rate),
        (read_tokens, read_rate),
        (write_tokens, write_rate),
        (output, output_rate),
        (1, request),
    ]
    exact = sum(tokens * Fraction(rate) for tokens, rate in parts)
    expected = int(exact + Fraction(1, 2))
    assert cost.nano_usd(total, read, written, output) == (expected if expected < 2**63 else None)


@pytest.mark.parametrize(
    ("rates", "counts", "expected"),
    [
        (("1", "1", "1", "1"), (None, None, None, 5), None),
        (("1", "1", "1", "1"), (5, None, None, None), None),
        (("0", "0", "0", "1"), (None, None, None, 5), 5),
        (("1", "1", "1", "0"), (5, None, None, None), 5),
        (("0", "0", "0", "0"), (None, None, None, None), 0),
        (("1", "1", "1", None), (5, None, None, 5), None),
        (("1", "1", "1", None), (5, None, None, None), 5),
        (("1", "1", "1", None), (5, None, None, 0), 5),
        (("0", "1", "0", "0"), (None, None, None, None), None),
        (("9e18", "0", "0", "0"), (2, None, None, 0), None),
    ],
)
def test_what_was_not_counted_has_no_cost_unless_it_is_free(rates, counts, expected):
    assert price(*rates).nano_usd(*counts) == expected


DAYS = st.dates().map(lambda day: day.isoformat())
HOURS = st.times().map(lambda moment: moment.isoformat("seconds"))
PRICES = st.builds(
    Price,
    *[st.text(max_size=5), st.just("user"), RATES, RATES, RATES, st.none() | RATES, RATES],
    valid_from=DAYS,
    above=st.none() | st.integers(0, 10**6),
    hours=st.none() | st.tuples(HOURS, HOURS),
)


@given(PRICES)
def test_prices_come_back_from_json(given_price):
    known = {"model": given_price.model, "source": "user", "valid_from": given_price.valid_from}
    assert Price.from_json(given_price.nano_usd_json, **known) == given_price


def test_json_has_decimals_that_everybody_reads():
    told = orjson.loads(price("1E+3", "0.50", "0", None, request=Decimal(5_000_000)).nano_usd_json)
    assert told == {
        "input": "1000",
        "cache_read": "0.5",
        "cache_write": "0",
        "output": None,
        "request": "5000000",
    }


@pytest.mark.parametrize(
    ("conditions", "moment", "tokens", "holds"),
    [
        ({}, NOON, 0, True),
        ({"valid_from": "2026-11-21"}, NOON, 0, True),
        ({"valid_from": "2026-11-22"}, NOON, 0, False),
        ({"above": 100}, NOON, 100, False),
        ({"above": 100}, NOON, 101, True),
        ({"hours": ("12:00:00", "13:00:00")}, NOON, 0, True),
        ({"hours": ("11:00:00", "12:00:00")}, NOON, 0, False),
        ({"hours": ("22:00:00", "12:00:01")}, NOON, 0, True),
        ({"hours": ("22:00:00", "06:00:00")}, NOON, 0, False),
        ({"hours": ("22:00:00", "06:00:00")}, "2026-11-21T23:00:00.000000Z", 0, True),
    ],
)
def test_conditions(conditions, moment, tokens, holds):
    assert price("1", "1", "1", "1", **conditions).holds(moment, tokens) is holds


def test_the_last_price_that_holds_counts():
    prices = [
        price("1", "1", "1", "1"),
        price("2", "2", "2", "2", above=9),
        price("3", "3", "3", "3", above=99),
    ]
    assert [price_at(prices, NOON, tokens).input for tokens in (0, 10, 100)] == [1, 2, 3]
    assert price_at(prices[1:], NOON, 0) is None


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], 0),
        ([(True, 5), (True, 6)], 11),
        ([(False, None), (True, 6)], 6),
        ([(True, None), (True, 6)], None),
        ([(False, None)], None),
        ([(False, 4)], 4),
    ],
)
def test_a_call_costs_what_its_runs_do(runs, expected):
    assert cost_of_call(iter(runs)) == expected


# The user's prices

OWN = {
    "two": (1, 10),
    "three": [1.0, 10.0, 0.1],
    "four": (1, 10, 0.1, 1.25),
    "named": {"output": 10, "input": Decimal(1), "cache_write": 1.25},
    "free": (0, 0),
    "ft:*": (2, 2),
    "ft:gpt-4o*": (3, 3),
    "ft:gpt-4o-mini": (4, 4),
    "*": (5, 5),
}


@pytest.mark.parametrize(
    ("model_id", "usd"),
    [
        ("two", 1 + 10),
        ("three", 0.4 + 0.06 + 10),
        ("four", 0.3 + 0.06 + 0.125 + 10),
        ("named", 0.3 + 0.6 + 0.125 + 10),
        ("free", 0),
        ("ft:gpt-4o-mini", 8),
        ("ft:gpt-4o-mini:mine", 6),
        ("ft:o3", 4),
        ("else", 10),
    ],
)
def test_the_users_prices(model_id, usd):
    assert Pricing(OWN).price_of("openai", model_id, MILLION).nano_usd == round(usd * 10**9)


WRONG = [
    *[0.5, (1,), (1, 2, 3, 4, 5), (1, -2), (1, None), (1, float("nan")), (1, float("inf")), (True, 1), "ab"],
    *[{"input": 1}, {"output": 1}, {"input": 1, "output": 1, "cached": 1}, {"input": 1, "output": "1"}, None],
    *[{1: 1, "input": 1, "output": 1}, (1, Decimal("nan"))],
]


@pytest.mark.parametrize("told", WRONG, ids=repr)
def test_wrong_prices_name_their_model(told):
    with pytest.raises(
        ConfigurationError, match=r"^UsageLog: prices\['gpt'\]=.* is wrong: it must be \(input, output"
    ):
        Pricing({"gpt": told}, owner="UsageLog")


@pytest.mark.parametrize("prices", [5, [("gpt", (1, 1))], {"": (1, 1)}, {7: (1, 1)}])
def test_wrong_mappings(prices):
    with pytest.raises(ConfigurationError, match="is wrong: it must be"):
        Pricing(prices)


def test_pricings_are_compared_by_what_things_cost():
    assert Pricing({"m": (1, 2)}) == Pricing({"m": [1.0, Decimal(2), 1]})
    assert Pricing({"m": (1, 2)}) != Pricing({"m": (1, 3)})
    assert Pricing() != Pricing(use_genai=False)
    assert Pricing() != 5
    assert repr(Pricing({}, use_genai=False)) == "Pricing({}, use_genai=False)"


# The list


def all_models():
    from genai_prices.data_snapshot import get_snapshot

    return [(provider, model) for provider in get_snapshot().providers for model in provider.models]


MODELS = st.deferred(lambda: st.sampled_from(all_models()))
MOMENTS = st.datetimes(datetime(2023, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
LENGTHS = st.integers(0, 2000) | st.integers(0, 2 * 10**6) | st.sampled_from([128_000, 200_000, 200_001])
CACHED = st.integers(0, 1000)


@settings(deadline=None)  # the first example imports the list
@given(MODELS, MOMENTS, st.tuples(LENGTHS, CACHED, CACHED, st.integers(0, 10**5)))
def test_the_list_is_understood_as_it_understands_itself(which, moment, counts):
    import genai_prices

    provider, model = which
    assume(not model.id.startswith(provider.id + "/"))  # it might be known by a shorter name first
    total, read, written, output = counts
    assume(read + written <= total)
    names = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    prices = listed(Model(provider.id, None, model.id), "list")
    usage = genai_prices.Usage(**dict(zip(names, counts, strict=True)))
    try:
        told = genai_prices.calc_price(
            usage, model_ref=model.id, provider_id=provider.id, genai_request_timestamp=moment
        )
    except LookupError:
        assert prices == ()
        return
    found = price_at(prices, moment.isoformat(), total)
    if told.model_price.input_mtok is None:  # it is paid by the minute, or by the picture
        assert found is None or found.nano_usd(*counts) is None or not prices[0].is_plain
        return
    if output and told.model_price.output_mtok is None:
        assert found.nano_usd(*counts) is None
        return
    expected = (told.total_price * 10**9).quantize(Decimal(1), ROUND_HALF_UP)
    assert found.nano_usd(*counts) == expected


PLACES = {
    ("openai", None, "gpt-4o-mini"): 150,
    ("openai", None, "openai/gpt-4o-mini"): 150,
    (None, None, "gpt-4o-mini"): 150,
    (None, None, "azure/gpt-4o-mini"): 150,
    (None, None, "gpt-4o-mini-2024-07-18"): 150,
    ("openai", "proxy.example", "gpt-4o-mini"): 150,
    ("openai-compatible", "API.OpenAI.com", "gpt-4o-mini"): 150,
    ("openai-compatible", "localhost", "gpt-4o-mini"): None,
    ("openai-compatible", None, "gpt-4o-mini"): None,
    ("ollama", None, "gpt-4o-mini"): None,
    ("groq", None, "gpt-4o-mini"): None,
    ("openai", None, "no-such-model"): None,
    (None, None, "no-such-model"): None,
    ("anthropic", None, "anthropic/claude-haiku-4-5"): 1000,
    ("gemini", None, "gemini/gemini-2.0-flash"): 100,
    ("openrouter", None, "openrouter/openai/gpt-4o-mini"): 150,
}


@pytest.mark.parametrize("place", PLACES, ids=repr)
def test_whose_model_it_is(place):
    prices = listed(Model(*place), "list")
    assert (prices[0].input if prices else None) == PLACES[place]


def test_conditions_of_the_list():
    by_day = listed(Model("deepseek", None, "deepseek-chat"), "list")
    assert [price.hours for price in by_day] == [None, ("00:30:00", "16:30:00")]
    by_length = listed(Model("anthropic", None, "claude-sonnet-4-5"), "list")
    assert [(price.above, price.input) for price in by_length] == [(None, 3000), (200_000, 6000)]
    dated = listed(Model("deepseek", None, "deepseek-v4-pro"), "list")
    assert [price.valid_from for price in dated[:2]] == ["1970-01-01", "2026-08-17"]


def test_times_of_day_are_those_of_utc():
    tokyo = timezone(timedelta(hours=9))
    assert [price_list._utc(time(1, 30)), price_list._utc(time(1, 30, tzinfo=tokyo))] == [
        "01:30:00",
        "16:30:00",
    ]


def test_now_is_when_nothing_else_is_said():
    assert (
        Pricing().price_of("openai", "gpt-4o-mini", MILLION).nano_usd
        == Pricing().price_of("openai", "gpt-4o-mini", MILLION, NOON_S).nano_usd
    )


def test_before_the_first_price_there_is_none(monkeypatch):
    later = price("1", "1", "1", "1", valid_from="2026-01-01")
    monkeypatch.setattr("llmopt.usage.prices.listed", lambda model, source: (later,))
    assert Pricing().price_of("openai", "m", MILLION, 0.0) is None
    assert Pricing().price_of("openai", "m", MILLION, NOON_S).nano_usd == 2_000_000


def test_without_the_package_prices_are_unknown(monkeypatch):
    monkeypatch.setattr(price_list, "PACKAGE", "no-such-package")
    assert Pricing().source is None
    assert Pricing().price_of("openai", "gpt-4o-mini", MILLION) is None
    assert Pricing({"m": (1, 1)}).price_of("openai", "m", MILLION).nano_usd == 2 * 10**9


# The table


@pytest.fixture
def connection():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    yield connection
    connection.close()


def bill(connection, pricing, *asked, moment=NOON, tokens=(1000, 0, 0, 100)):
    """Nano-dollars and the price's number of each."""
    columns = list(zip(*[tokens] * len(asked), strict=True))
    costs, ids = PriceTable(connection, pricing).bill(asked, [moment] * len(asked), columns)
    return list(zip(costs, ids, strict=True))


def rows(connection):
    return connection.execute(
        "SELECT provider, model, valid_from, nano_usd_json, source FROM prices"
    ).fetchall()


MINI = ("openai", None, "gpt-4o-mini", None)
MINI_JSON = '{"input":"150","cache_read":"75","cache_write":"150","output":"600"}'


def refuse(*_):
    raise AssertionError("the list was asked")


def test_a_price_is_written_once_and_the_list_asked_once(connection, monkeypatch):
    source = Pricing().source
    assert source.startswith("genai-prices ")
    unknown = ("openai", None, "no-such-model", None)
    assert bill(connection, Pricing(), MINI, unknown, MINI) == [(210_000, 1), (None, None), (210_000, 1)]
    expected = [
        ("openai", "gpt-4o-mini", "1970-01-01", MINI_JSON, source),
        ("openai", "no-such-model", "1970-01-01", "null", source),
    ]
    assert rows(connection) == expected
    monkeypatch.setattr("llmopt.usage.prices.listed", refuse)
    assert bill(connection, Pricing(), MINI, unknown) == [(210_000, 1), (None, None)]
    assert rows(connection) == expected


def test_another_version_of_the_list_is_asked_again(connection, monkeypatch):
    bill(connection, Pricing(), MINI)
    monkeypatch.setattr(price_list, "version", lambda name: "9.9")
    assert bill(connection, Pricing(), MINI) == [(210_000, 2)]
    assert rows(connection)[1][-1] == "genai-prices 9.9"


def test_the_users_price_is_written_once_for_each_model(connection, monkeypatch):
    monkeypatch.setattr("llmopt.usage.prices.listed", refuse)
    pricing = Pricing({"ft:*": (1, 10)}, use_genai=False)
    asked = [("openai", None, "ft:a", None), ("x", "h", "ft:a", None), (None, None, "ft:b", None)]
    assert bill(connection, pricing, *asked) == [(2_000_000, 1), (2_000_000, 1), (2_000_000, 2)]
    assert [row[:2] + row[-1:] for row in rows(connection)] == [("", "ft:a", "user"), ("", "ft:b", "user")]
    assert bill(connection, pricing, *asked[:1]) == [(2_000_000, 1)]
    assert bill(connection, Pricing({"ft:a": (2, 10)}), *asked[:1]) == [(3_000_000, 3)]


def test_the_model_that_answered_is_priced_where_the_one_that_was_asked_is_not(connection):
    asked = [
        ("azure", None, "my-deployment", "gpt-4o-mini-2024-07-18"),
        ("azure", None, "my-deployment", "my-deployment"),
        ("azure", None, "mine", "other"),
    ]
    pricing = Pricing({"other": (1, 10)})
    assert [cost for cost, _ in bill(connection, pricing, *asked)] == [210_000, None, 2_000_000]


def test_hosts_are_told_apart(connection):
    asked = [("openai-compatible", host, "gpt-4o-mini", None) for host in ("api.openai.com", "localhost")]
    assert bill(connection, Pricing(), *asked) == [(210_000, 1), (None, None)]
    assert [row[0] for row in rows(connection)] == [
        "openai-compatible@api.openai.com",
        "openai-compatible@localhost",
    ]


def test_a_price_that_depends_on_length_day_and_hour(connection, monkeypatch):
    tiers = (
        price("1", "1", "1", "0", valid_from="2026-01-01"),
        price("2", "2", "2", "0", above=100, valid_from="2026-01-01"),
        price("3", "3", "3", "0", hours=("18:00:00", "20:00:00")),
        price("4", "4", "4", "0", valid_from="2026-12-01"),
    )

    def of(model, source):
        known = {"provider": model.whose, "model": model.model_id, "source": source}
        return tuple(replace(tier, **known) for tier in tiers)

    monkeypatch.setattr("llmopt.usage.prices.listed", of)
    cases = {
        ("2025-11-21T12:00:00.000000Z", 1): None,
        ("2026-11-21T12:00:00.000000Z", 1): 1,
        ("2026-11-21T12:00:00.000000Z", 101): 202,
        ("2026-11-21T19:00:00.000000Z", 101): 303,
        ("2026-12-01T12:00:00.000000Z", 101): 404,
    }
    for _ in range(2):  # out of the list, and out of the table
        table = PriceTable(connection, Pricing())
        for (moment, total), cost in cases.items():
            costs, _ = table.bill([MINI], [moment], [(total,), (None,), (None,), (1,)])
            assert costs == [cost]
        filed = table.find(MINI, "2026-11-21T12:00:00.000000Z", None)
        assert filed.price.input == 1
    assert len(rows(connection)) == 4


def test_a_list_that_cannot_be_read_costs_nobody_anything(connection, monkeypatch, caplog):
    def broken(model, source):
        raise ImportError("no module named pydantic")

    monkeypatch.setattr("llmopt.usage.prices.listed", broken)
    pricing = Pricing()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert bill(connection, pricing, MINI) == [(None, None)]
        assert pricing.price_of("openai", "gpt-4o-mini", MILLION) is None
    assert rows(connection) == []  # it may be readable another time
    assert len(caplog.records) == 1


# Reckoning anew


def fill(connection, *records, pricing):
    connection.execute("BEGIN")
    write(connection, [encode(record) for record in records], pricing)
    connection.execute("COMMIT")


def costs(connection):
    return [row[0] for row in connection.execute("SELECT cost_usd_nano FROM calls ORDER BY rowid")]


def run(model_id, usage=None):
    return (model_id, 50.0, 0.0, None, 50.1, usage)


NOWHERE = Pricing(use_genai=False)
FAULT = ("error", "x.E", "server", 500, None)


def test_costs_are_reckoned_anew(connection, record):
    hit = record(attempts=[], source="cache")
    tier = record(attempts=[run("m-1"), run("m-2", (1, 1, None))], faults=[FAULT, None])
    fill(connection, record(), hit, tier, record(model_id="m-9", attempts=[run("m-9")]), pricing=NOWHERE)
    assert costs(connection) == [None, 0, None, None]
    pricing = Pricing({"m-1": (1, 10), "m-2": (100, 100)}, use_genai=False)
    assert reprice(connection, pricing=pricing) == 3 + 3
    assert costs(connection) == [60_000, 0, 200_000, None]
    assert connection.execute("SELECT price_id FROM calls ORDER BY rowid").fetchall() == [
        (1,),
        (1,),
        (2,),
        (None,),
    ]
    runs = connection.execute("SELECT cost_usd_nano, price_id FROM attempts ORDER BY call_id, n").fetchall()
    assert runs == [(None, 1), (200_000, 2), (60_000, 1), (None, None)]
    assert reprice(connection, pricing=pricing) == 0
    assert reprice(connection, pricing=NOWHERE) == 0  # what has a cost keeps it
    assert reprice(connection, pricing=Pricing({"m-2": (1, 1)}, use_genai=False)) == 2
    assert costs(connection) == [60_000, 0, 2_000, None]


def test_only_what_is_asked_for_is_reckoned_anew(connection, record):
    early = record(wall_s=NOON_S - 86_400)
    other = record(model_id="m-2", attempts=[run("m-2", (10, 5, None))])
    resolved = record(resolved_model="m-3")
    tier = record(attempts=[run("m-4", (10, 5, None))])
    fill(connection, early, other, resolved, tier, pricing=NOWHERE)
    pricing = Pricing({"*": (1, 10)}, use_genai=False)
    assert reprice(connection, since=timestamp(NOON_S), model="m-9", pricing=pricing) == 0
    assert reprice(connection, model="m-4", pricing=pricing) == 2
    assert reprice(connection, model="m-3", pricing=pricing) == 2
    assert reprice(connection, since=datetime.fromtimestamp(NOON_S, UTC), pricing=pricing) == 2
    assert costs(connection) == [None, 60_000, 60_000, 60_000]
    assert reprice(connection, since="2026-11-20", pricing=pricing) == 2


def test_it_takes_a_database_of_sqlite_utils_and_goes_on_from_part_to_part(connection, record, monkeypatch):
    from sqlite_utils import Database

    monkeypatch.setattr("llmopt.usage.repricing.ROWS", 2)
    fill(connection, *[record() for _ in range(5)], pricing=NOWHERE)
    assert reprice(Database(connection), pricing=Pricing({"m-1": (1, 10)}, use_genai=False)) == 10
    assert set(costs(connection)) == {60_000}
    assert reprice(connection) == 0  # the list knows no m-1


def test_a_file_that_cannot_be_written_stays_as_it_was(connection, record):
    fill(connection, record(), pricing=NOWHERE)
    connection.execute("CREATE TRIGGER no BEFORE UPDATE ON calls BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(sqlite3.IntegrityError):
        reprice(connection, pricing=Pricing({"m-1": (1, 10)}, use_genai=False))
    assert connection.execute("SELECT cost_usd_nano FROM attempts").fetchall() == [(None,)]
    assert not connection.in_transaction
    assert rows(connection) == []


USAGES = st.none() | st.tuples(st.none() | st.integers(0, 9), st.none() | st.integers(0, 9), st.none())
RUNS = st.tuples(st.sampled_from(["m-1", "m-2", "m-3"]), USAGES, st.sampled_from([None, FAULT]))


def bills(connection, table, key):
    sql = f"SELECT {key}, cost_usd_nano, price_id FROM {table}"  # noqa: S608
    return {tuple(row[:-2]): row[-2:] for row in connection.execute(sql)}


CALLS = st.tuples(st.lists(RUNS, max_size=3), USAGES, st.sampled_from([None, FAULT]))


@given(st.lists(CALLS, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_costs_that_are_reckoned_anew_are_those_of_the_first_time(record, calls):
    records = [
        record(
            attempts=[run(model_id, usage) for model_id, usage, _ in runs],
            faults=[fault for *_, fault in runs],
            usage=usage,
            fault=fault,
        )
        for runs, usage, fault in calls
    ]
    pricing = Pricing({"m-1": (1, 10), "m-2": (0.5, 0.25)}, use_genai=False)
    found = []
    for first in (pricing, NOWHERE):
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            migrate(connection)
            fill(connection, *records, pricing=first)
            changed = reprice(connection, pricing=pricing)
            assert not changed or first is NOWHERE
            assert reprice(connection, pricing=pricing) == 0
            assert connection.execute("SELECT count(*) FROM drops").fetchone() == (0,)
            found.append((bills(connection, "calls", "id"), bills(connection, "attempts", "call_id, n")))
    for first, anew in zip(*found, strict=True):
        assert {key: cost for key, (cost, _) in first.items()} == {
            key: cost for key, (cost, _) in anew.items()
        }
