"""What the middlewares have in common: arguments are checked where they are given, state does not travel."""

from __future__ import annotations

import copy
import pickle

import pytest
import tenacity

from llmopt import Budget, CircuitBreaker, Compress, Fallback, PromptCache, RateLimit, Retry, Timeout
from llmopt.compress import Role
from llmopt.compress.prefix.cache_rules import RULES
from llmopt.errors import ConfigurationError
from llmopt.resilience import is_transient
from llmopt.testing import FaultPlan, ScriptedModel


def hold(call):
    return "HOLD"


async def coroutine(_):
    return False  # a coroutine counts as true


def accepted(reply):
    return True


SCOUT = Role("scout", "Look.", precision={"t": 0})
MADE = {
    Retry(attempts=3, max_retry_after_s=5, transient=accepted, budget_ratio=0.5): (
        "Retry(attempts=3, wait=None, stop=None, max_retry_after_s=5, "
        f"transient={accepted!r}, budget_ratio=0.5)"
    ),
    Timeout(30, first_token_s=5): "Timeout(total_s=30, first_token_s=5, between_tokens_s=None)",
    RateLimit(60, 6000, max_wait_s=0): (
        "RateLimit(requests_per_minute=60, tokens_per_minute=6000, burst_s=10.0, max_wait_s=0)"
    ),
    CircuitBreaker(window=1, min_calls=1): (
        "CircuitBreaker(failure_threshold=0.5, window=1, min_calls=1, cooldown_s=30.0)"
    ),
    Fallback(hold, on=is_transient, accept=accepted): (
        f"Fallback(tiers=({hold!r},), on={is_transient!r}, accept={accepted!r})"
    ),
    Budget(tokens_per_hour=9000): (
        "Budget(usd_per_day=None, usd_per_hour=None, tokens_per_day=None, tokens_per_hour=9000, prices=None)"
    ),
    Compress("dense", role=SCOUT, vault=True, legend=False, guard=False): (
        f"Compress(profile='dense', role={SCOUT!r}, role_on_found=False, vault=True, min_tokens=64, "
        f"system=False, legend=False, guard=False)"
    ),
    PromptCache("free", history=False, rules=RULES["anthropic"]): (
        f"PromptCache(order='free', breakpoints=4, history=False, rules={RULES['anthropic']!r})"
    ),
}
COPIES = {
    "copied": copy.copy,
    "deepcopied": copy.deepcopy,
    "pickled": lambda middleware: pickle.loads(pickle.dumps(middleware)),  # noqa: S301 - our own bytes
}


@pytest.fixture(params=MADE, ids=lambda middleware: type(middleware).__name__)
def middleware(request):
    return request.param


def test_repr_shows_the_configuration_only(middleware):
    assert repr(middleware) == MADE[middleware]


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_keeps_the_configuration_and_starts_anew(middleware, how, world):
    used = copy.copy(middleware)
    wrapped = world.wrap(FaultPlan.of("503"), used)
    untouched = getattr(used, "stats", dict)()
    world.ask_all([wrapped] * 2)
    twin = COPIES[how](used)
    assert twin is not used
    assert (twin, repr(twin)) == (used, repr(used))
    if not isinstance(middleware, Timeout):  # which has no state
        assert used.stats() != untouched
        assert twin.stats() == untouched
    assert world.ask(world.wrap(["ok"], twin)).told == "ok"


def test_configuration_is_frozen(middleware):
    name = next(iter(type(middleware).__dataclass_fields__))
    with pytest.raises(AttributeError, match=f"cannot assign to field '{name}'"):
        setattr(middleware, name, 1)


def test_what_cannot_be_pickled_is_named():
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(Fallback(lambda call: "HOLD"))


PRICED = {"usd_per_day": 5}
WRONG = {
    Retry: {
        "Retry: attempts=0 is wrong: it must be a whole number from 1 up": {"attempts": 0},
        "Retry: attempts='3' is wrong": {"attempts": "3"},
        "Retry: attempts=True is wrong": {"attempts": True},
        "Retry: attempts=2.0 is wrong": {"attempts": 2.0},
        "Retry: wait=2 is wrong: it must be a tenacity wait strategy, such as wait_fixed(2)": {"wait": 2},
        "Retry: wait=<class": {"wait": tenacity.wait_fixed},
        "Retry: stop=60 is wrong: it must be a tenacity stop strategy": {"stop": 60},
        "Retry: max_retry_after_s=-1 is wrong: it must be a number of seconds": {"max_retry_after_s": -1},
        "Retry: max_retry_after_s='60' is wrong": {"max_retry_after_s": "60"},
        "Retry: transient=<class 'ConnectionError'> is wrong: it must be a function of an error, such as": {
            "transient": ConnectionError
        },
        "Retry: transient=(<class 'OSError'>,) is wrong": {"transient": (OSError,)},
        "Retry: transient=<function coroutine": {"transient": coroutine},
        "Retry: budget_ratio=-1 is wrong: it must be a number from 0 up": {"budget_ratio": -1},
        "Retry: budget_ratio='all' is wrong": {"budget_ratio": "all"},
    },
    Timeout: {
        "Timeout() bounds nothing: give total_s, first_token_s or between_tokens_s": {},
        "Timeout: total_s=0 is wrong: it must be a number of seconds above 0, or None for no bound": {
            "total_s": 0
        },
        "Timeout: total_s='30' is wrong": {"total_s": "30"},
        "Timeout: total_s=True is wrong": {"total_s": True},
        "Timeout: total_s=inf is wrong": {"total_s": float("inf")},
        "Timeout: total_s=10000000000.0 is wrong": {"total_s": 1e10},  # more than a thread can wait
        "Timeout: first_token_s=nan is wrong": {"first_token_s": float("nan")},
        "Timeout: between_tokens_s=-1 is wrong": {"between_tokens_s": -1},
        "first_token_s=60 bounds nothing, for total_s=30 is shorter: make it shorter, or leave it out": {
            "total_s": 30,
            "first_token_s": 60,
        },
        "between_tokens_s=31 bounds nothing": {"total_s": 30, "between_tokens_s": 31},
    },
    RateLimit: {
        "RateLimit: requests_per_minute=None is wrong: it must be given, or tokens_per_minute": {},
        "RateLimit: requests_per_minute=0 is wrong: it must be a number above 0": {"requests_per_minute": 0},
        "RateLimit: requests_per_minute='60' is wrong": {"requests_per_minute": "60"},
        "RateLimit: tokens_per_minute=-1 is wrong": {"tokens_per_minute": -1},
        "RateLimit: burst_s=0 is wrong": {"requests_per_minute": 60, "burst_s": 0},
        "RateLimit: max_wait_s=-1 is wrong: it must be a number of seconds from 0 up, or None": {
            "requests_per_minute": 60,
            "max_wait_s": -1,
        },
        "RateLimit: max_wait_s='5' is wrong": {"requests_per_minute": 60, "max_wait_s": "5"},
    },
    CircuitBreaker: {
        "CircuitBreaker: failure_threshold=0 is wrong: it must be a fraction": {"failure_threshold": 0},
        "CircuitBreaker: failure_threshold=50 is wrong": {"failure_threshold": 50},
        "CircuitBreaker: window=0 is wrong": {"window": 0},
        "CircuitBreaker: min_calls=10 is wrong: it must be a whole number of calls from 1 to window=5": {
            "window": 5
        },
        "CircuitBreaker: cooldown_s=None is wrong": {"cooldown_s": None},
    },
    Budget: {
        "Budget() limits nothing: give usd_per_day, usd_per_hour, tokens_per_day or tokens_per_hour": {},
        "Budget: usd_per_day=0 is wrong: it must be a number of dollars above 0, or None": {"usd_per_day": 0},
        "Budget: usd_per_hour='5' is wrong": {"usd_per_hour": "5"},
        "Budget: usd_per_day=inf is wrong": {"usd_per_day": float("inf")},
        "Budget: tokens_per_day=0 is wrong: it must be a whole number from 1 up": {"tokens_per_day": 0},
        "Budget: tokens_per_hour=1e6": {"tokens_per_hour": 1e6},
        "Budget: prices= prices nothing: give usd_per_day or usd_per_hour too": {
            "tokens_per_day": 9,
            "prices": {},
        },
        "Budget: prices=5 is wrong: it must be a mapping from model id to (input, output) dollars": {
            **PRICED,
            "prices": 5,
        },
        "Budget: prices['gpt']=0.5 is wrong: it must be (input, output) or (input, output, cached input)": {
            **PRICED,
            "prices": {"gpt": 0.5},
        },
        "Budget: prices['gpt']=(1, -0.5) is wrong": {**PRICED, "prices": {"gpt": (1, -0.5)}},
        "Budget: prices['gpt']=(1, 2, 3, 4, 5) is wrong": {**PRICED, "prices": {"gpt": (1, 2, 3, 4, 5)}},
        "Budget: prices[7]=(1, 2) is wrong": {**PRICED, "prices": {7: (1, 2)}},
        "Budget: prices=<function coroutine": {**PRICED, "prices": coroutine},
    },
    Compress: {
        "Compress: profile='tiny' is wrong: it must be one of safe, balanced, dense, auto": {
            "profile": "tiny"
        },
        "Compress: profile=None is wrong": {"profile": None},
        "role='scouts': give a Role, or one of tactical": {"role": "scouts"},
        "Compress: vault='yes' is wrong: it must be True, a Vault, or None": {"vault": "yes"},
        "Compress: min_tokens=0.5 is wrong: it must be a whole number": {"min_tokens": 0.5},
        "Compress: min_tokens=-1 is wrong": {"min_tokens": -1},
        "Compress: legend='' is wrong: it must be True or False": {"legend": ""},
        "Compress: guard=3 is wrong: it must be True, False, or a Guard": {"guard": 3},
    },
    PromptCache: {
        "PromptCache: order='best' is wrong: it must be one of declared, free, keep": {"order": "best"},
        "PromptCache: breakpoints=5 is wrong: it must be a whole number from 0 to 4": {"breakpoints": 5},
        "PromptCache: breakpoints=True is wrong": {"breakpoints": True},
        "PromptCache: history=1 is wrong: it must be True or False": {"history": 1},
        "PromptCache: rules='openai' is wrong: it must be CacheRules, or None": {"rules": "openai"},
    },
    Fallback: {
        "Fallback: on=<class 'TimeoutError'> is wrong: it must be a function of an error": {
            "on": TimeoutError
        },
        "Fallback: on=<function coroutine": {"on": coroutine},
        "Fallback: accept=True is wrong: it must be a function of a Reply, or None": {"accept": True},
        "Fallback: accept=<function coroutine": {"accept": coroutine},
    },
}
WRONG_TIERS = {
    "Fallback() has no tier: give it a model or a callable": (),
    "Fallback: tier 'gpt-4o' is a text: give the model itself, llm.get_model('gpt-4o')": ("gpt-4o",),
    "Fallback: tier ScriptedModel is a class: give an instance of it": (ScriptedModel,),
    "Fallback: tier None is neither an llm model nor callable": (hold, None),
}


@pytest.mark.parametrize(
    ("kind", "message"), [(kind, message) for kind, cases in WRONG.items() for message in cases]
)
def test_a_wrong_argument_is_refused_where_it_is_given(kind, message):
    tiers = (hold,) if kind is Fallback else ()
    with pytest.raises(ConfigurationError) as caught:
        kind(*tiers, **WRONG[kind][message])
    assert message.replace("1e6", "1000000.0") in str(caught.value)


def test_the_bounds_are_within_their_ranges():
    Timeout(30, first_token_s=30, between_tokens_s=30)
    Retry(attempts=1, max_retry_after_s=0, budget_ratio=0)
    CircuitBreaker(failure_threshold=1, window=1, min_calls=1)


@pytest.mark.parametrize("message", WRONG_TIERS)
def test_a_wrong_tier_is_refused_where_it_is_given(message):
    with pytest.raises(ConfigurationError) as caught:
        Fallback(*WRONG_TIERS[message])
    assert message in str(caught.value)
