"""Budget: what is reserved and settled, when a window is spent, and what things cost."""

from __future__ import annotations

import pytest

import llmopt
from llmopt import Budget, Fallback, Retry
from llmopt.errors import BudgetExceeded, ConfigurationError
from llmopt.testing import Answer
from llmopt.types import Usage

HOUR_S, DAY_S = 3600, 86400
PRICES = {"scripted": (1.0, 10.0)}  # dollars per million tokens


def uses(input_tokens, output_tokens):
    return Answer(text="ok", usage=Usage(input_tokens, output_tokens))


def booked(budget, window="day"):
    stats = budget.stats()[window]
    return stats["window_tokens"], stats["window_nano_usd"]


def test_a_call_is_settled_with_the_providers_figures(world):
    budget = Budget(tokens_per_day=10_000, usd_per_day=1, prices=PRICES)
    during = []

    def look(call):
        during.append(booked(budget))
        yield call

    assert world.ask(world.wrap([uses(100, 20)], budget, look)).told == "ok"
    assert during == [(1 + 256, 1000 + 2_560_000)]  # one token for "Hi", and a first guess for the answer
    assert booked(budget) == (120, 100_000 + 200_000)


SPENT = {
    "tokens of the day": (
        {"tokens_per_day": 1000},
        "50 of 1000 tokens per day are left, and this call may take 51",
        DAY_S,
    ),
    "tokens of the hour": (
        {"tokens_per_hour": 1000},
        "50 of 1000 tokens per hour are left, and this call may take 51",
        HOUR_S,
    ),
    "dollars of the day": (
        {"usd_per_day": 0.0015, "prices": PRICES},
        "$0.0001 of $0.0015 per day are left, and this call may cost $0.0005",
        DAY_S,
    ),
    "dollars of the hour": (
        {"usd_per_hour": 0.0015, "prices": PRICES},
        "$0.0001 of $0.0015 per hour are left, and this call may cost $0.0005",
        HOUR_S,
    ),
}


def budget_of(limits):
    return Budget(**limits)


@pytest.mark.parametrize("case", SPENT)
def test_a_spent_window_refuses_and_rolls_over(world, case):
    limits, message, window_s = SPENT[case]
    budget = budget_of(limits)
    model = world.model([uses(900, 50)] * 9)
    wrapped = world.wrap(model, budget)
    world.clock.advance(100)
    given = {"max_tokens": 50}
    assert world.ask(wrapped, **given).told == "ok"
    refused = world.ask(wrapped, **given)
    assert isinstance(refused.error, BudgetExceeded)
    assert str(refused.error) == message
    assert refused.error.retry_after_s == window_s - 100  # the windows are those of UTC
    assert (refused.attempts, len(model.calls)) == ([], 1)
    world.clock.advance(refused.error.retry_after_s - 1)
    assert world.ask(wrapped, **given).told == "BudgetExceeded"
    world.clock.advance(1)
    assert world.ask(wrapped, **given).told == "ok"
    (stats,) = budget.stats().values()
    assert (stats["reserved"], stats["refused"]) == (2, 2)


def test_a_call_that_never_fits_is_told_so(world):
    refused = world.ask(world.wrap([], Budget(tokens_per_hour=100)))
    assert str(refused.error) == "100 of 100 tokens per hour are left, and this call may take 257"
    assert refused.error.retry_after_s is None


def test_what_one_window_refuses_is_not_booked_in_the_other(world):
    budget = Budget(tokens_per_day=10_000, tokens_per_hour=100)
    world.ask(world.wrap([], budget))
    assert (booked(budget, "day"), booked(budget, "hour")) == ((0, 0), (0, 0))
    assert budget.stats()["day"]["cancelled"] == 1


def test_calls_at_the_same_time_cannot_overrun_it_together(world):
    budget = Budget(tokens_per_day=600)
    slow = Answer(text="ok", usage=Usage(1, 256), delay_s=5)
    outcomes = world.ask_all(
        [world.wrap([slow], budget)] * 1 + [world.wrap([slow], budget) for _ in range(8)]
    )
    told = sorted(outcome.told for outcome in outcomes)
    assert told == ["BudgetExceeded"] * 7 + ["ok"] * 2
    assert booked(budget) == (2 * 257, 0)


BROKEN = {
    "it fails at once": (Answer(error=ConnectionError("no")), None, 0),
    "it is cut": (Answer(chunks=["a", "b"], error=ConnectionError(), error_after=1), None, 257),
    "the consumer leaves after the first event": (Answer(chunks=["a", "b"]), 1, 257),
    "there is no usage": (Answer(text="a", usage=Usage()), None, 257),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_a_call_without_a_bill_has_cost(world, case):
    answer, take, tokens = BROKEN[case]
    budget = Budget(tokens_per_day=10_000)
    world.ask(world.wrap([answer], budget), take=take)
    assert booked(budget) == (tokens, 0)


def test_a_call_that_is_given_up_before_it_began_costs_nothing(world):
    budget = Budget(tokens_per_day=10_000)
    assert world.interrupt([ConnectionError("no")], budget, Retry()).told == "KeyboardInterrupt"
    assert booked(budget) == (0, 0)


def test_what_a_middleware_inside_answers_costs_nothing(world):
    def canned(call):
        yield llmopt.Reply(events=("canned",), usage=Usage(900, 50), source="cache")

    budget = Budget(tokens_per_day=10_000, usd_per_day=1, prices=PRICES)
    assert world.ask(world.wrap([], budget, canned)).told == "canned"
    assert booked(budget) == (0, 0)


def test_a_fallback_tier_inside_costs_what_it_costs(world):
    prices = {**PRICES, "dear": (100.0, 1000.0)}
    for model_id, nano_usd in (("dear", 30_000_000), ("unheard of", 2_561_000)):
        tier = world.model([uses(100, 20)], model_id=model_id)
        budget = Budget(usd_per_day=1, prices=prices)
        outcome = world.ask(world.wrap([ConnectionError()], budget, Fallback(tier)))
        # Where the price is not known the estimate stands: an answer that is there is not taken back.
        assert (outcome.told, booked(budget)[1]) == ("ok", nano_usd)


def test_estimates_learn_from_the_answers(world):
    budget = Budget(tokens_per_day=100_000)
    wrapped = world.wrap([uses(1, 56), uses(1, 106)], budget)
    for _ in range(2):
        world.ask(wrapped)
    refused = world.ask(world.wrap([], budget), "x" * 4 * 99_990)
    assert str(refused.error).endswith(f"may take {99_990 + 56 + 10}")  # a fifth of the way from 56 to 106


def test_the_clock_going_back_gives_nothing_twice(world):
    budget = Budget(tokens_per_hour=1000)
    wrapped = world.wrap([uses(900, 50), uses(900, 50)], budget)
    assert world.ask(wrapped).told == "ok"
    world.clock.jump(-10)
    assert world.ask(wrapped).told == "BudgetExceeded"


# Prices


def test_a_function_prices(world):
    asked = []

    def price(model_id, usage):
        asked.append((model_id, usage.input_tokens, usage.output_tokens))
        return 0.25

    budget = Budget(usd_per_day=1, prices=price)
    assert world.ask(world.wrap([uses(3, 4)], budget)).told == "ok"
    assert asked == [("scripted", 1, 256), ("scripted", 3, 4)]
    assert booked(budget)[1] == 250_000_000


@pytest.mark.parametrize("price", [-1, float("nan"), None, "free"])
def test_a_function_must_return_dollars(world, price):
    model = world.model()
    outcome = world.ask(world.wrap(model, Budget(usd_per_day=1, prices=lambda model_id, usage: price)))
    assert isinstance(outcome.error, ConfigurationError)
    assert f"Budget: prices(...)={price!r} is wrong: it must be dollars from 0 up for 'scripted'" in str(
        outcome.error
    )
    assert model.calls == []


@pytest.mark.parametrize("prices", [{}, {"other": (1, 1)}, None], ids=["no prices", "others", "genai-prices"])
def test_unknown_is_not_free(world, prices):
    model = world.model(model_id="nobody/knows-it")
    outcome = world.ask(world.wrap(model, Budget(usd_per_day=1, prices=prices)))
    assert isinstance(outcome.error, ConfigurationError)
    assert str(outcome.error) == (
        "no price is known for 'nobody/knows-it': add it with prices={...}, (0, 0) if it costs nothing"
    )
    assert model.calls == []


@pytest.mark.parametrize("pair", [(0, 0), [0, 0.0]])
def test_what_is_free_is_said_so(world, pair):
    budget = Budget(usd_per_day=1, prices={"scripted": pair})
    assert world.ask(world.wrap([uses(9, 9)], budget)).told == "ok"
    assert booked(budget) == (18, 0)


@pytest.mark.parametrize("model_id", ["gpt-4o-mini", "openai/gpt-4o-mini"])
def test_listed_prices_come_from_genai_prices(world, model_id):
    budget = Budget(usd_per_day=1)
    wrapped = world.wrap(world.model([uses(1000, 100)], model_id=model_id), budget)
    assert world.ask(wrapped).told == "ok"
    assert booked(budget)[1] == 1000 * 150 + 100 * 600  # nano-dollars per token


OPENAI = Usage(1000, 100, {"prompt_tokens_details": {"cached_tokens": 600}})  # 1000 in all
ANTHROPIC = Usage(400, 100, {"cache_read_input_tokens": 600, "cache_creation_input_tokens": 100})  # 1100
CACHED = {
    "a price of its own": ({"m": (1.0, 10.0, 0.1)}, "m", OPENAI, 400 * 1000 + 600 * 100 + 100 * 10_000),
    "none of its own": ({"m": (1.0, 10.0)}, "m", OPENAI, 1000 * 1000 + 100 * 10_000),
    "free": ({"m": [1, 10, 0]}, "m", OPENAI, 400 * 1000 + 100 * 10_000),
    "not counted as input": (
        {"m": (1.0, 10.0, 0.1)},
        "m",
        ANTHROPIC,
        500 * 1000 + 600 * 100 + 100 * 10_000,
    ),
    "more than there was": (
        {"m": (1.0, 10.0, 0.1)},
        "m",
        Usage(10, 0, {"cachedContentTokenCount": 99}),
        1000,
    ),
    "listed": (None, "gpt-4o-mini", OPENAI, 400 * 150 + 600 * 75 + 100 * 600),
    "listed without one": (None, "gpt-3.5-turbo", OPENAI, 1000 * 500 + 100 * 1500),
    "listed, with one for writing": (
        None,
        "claude-sonnet-4-5",
        ANTHROPIC,
        400 * 3000 + 600 * 300 + 100 * 3750 + 100 * 15_000,
    ),
}


@pytest.mark.parametrize("case", CACHED)
def test_cached_input_has_its_own_price(world, case):
    prices, model_id, usage, nano_usd = CACHED[case]
    budget = Budget(usd_per_day=1, prices=prices)
    model = world.model([Answer(text="ok", usage=usage)], model_id=model_id)
    assert world.ask(world.wrap(model, budget)).told == "ok"
    assert booked(budget)[1] == nano_usd


def test_dollars_without_prices_need_a_package(monkeypatch):
    monkeypatch.setattr("llmopt.middleware._prices.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"give prices=\{\.\.\.\}, or pip install llmopt\[cost\]"):
        Budget(usd_per_day=1)
    Budget(usd_per_day=1, prices=PRICES)
    Budget(tokens_per_day=1)


def test_the_smallest_budget_is_a_nano_dollar(world):
    refused = world.ask(world.wrap([], Budget(usd_per_day=1e-12, prices=PRICES)))
    assert refused.told == "BudgetExceeded"
