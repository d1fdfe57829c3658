"""Keeps spending within a limit per hour or day."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from ..errors import BudgetExceeded, ConfigurationError
from ..resilience import Refusal, SpendBudget, Spending
from ..resilience._common import is_number, require
from ..types import Call, Flow, Reply, Usage
from ._configured import Configured, freeze, named
from ._expected import Expectation, total_tokens
from ._prices import NANO, NanoUsd, Prices, nano_usd

Booked: TypeAlias = "list[tuple[SpendBudget, Spending]]"


@dataclass(frozen=True)
class Budget(Configured):
    """Refuses calls with `BudgetExceeded` when the tokens or the dollars of a window are spent.

    A call reserves what it is expected to cost and is settled with the provider's figures, so calls in
    parallel cannot overrun the limit together by more than their estimates were wrong. Days and hours are
    those of UTC. Spending is counted in this process; a cache outside spends nothing.

    Args:
        usd_per_day: dollars, or None.
        usd_per_hour: dollars, or None.
        tokens_per_day: tokens, input and output together, or None.
        tokens_per_hour: tokens, or None.
        prices: what models cost: a mapping as of `llmopt.usage.prices.Pricing`, or a function that returns
            dollars; by default the `genai-prices` package is asked (`pip install llmopt[cost]`). A model
            without a known price is refused: unknown is not free. Input tokens that the provider has read
            from its prefix cache cost their own price where one is known.

    Raises:
        ConfigurationError: no limit is given, one is not above 0, or prices are wrong, useless, or needed and
            not to be had; at the call, if the model has no known price.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import Answer, ScriptedModel
        >>> model = ScriptedModel([Answer(text="Hi", usage=llmopt.types.Usage(900, 50)), "Hi"])
        >>> model = llmopt.wrap(model, llmopt.Budget(tokens_per_day=1000))
        >>> model.prompt("Hello").text()
        'Hi'
        >>> model.prompt("Hello again").text()
        Traceback (most recent call last):
        llmopt.errors.BudgetExceeded: 50 of 1000 tokens per day are left, and this call may take 53
    """

    usd_per_day: float | None = None
    usd_per_hour: float | None = None
    tokens_per_day: int | None = None
    tokens_per_hour: int | None = None
    prices: Prices | None = None
    _windows: dict[str, SpendBudget] = field(init=False, repr=False, compare=False)
    _expected: Expectation = field(init=False, repr=False, compare=False)
    _price: NanoUsd | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        limits = {
            "day": (self.tokens_per_day, self.usd_per_day),
            "hour": (self.tokens_per_hour, self.usd_per_hour),
        }
        windows = {name: _window(name, *limit) for name, limit in limits.items() if limit != (None, None)}
        if not windows:
            msg = "Budget() limits nothing: give usd_per_day, usd_per_hour, tokens_per_day or tokens_per_hour"
            raise ConfigurationError(msg)
        in_usd = self.usd_per_day is not None or self.usd_per_hour is not None
        if not in_usd and self.prices is not None:
            msg = "Budget: prices= prices nothing: give usd_per_day or usd_per_hour too, or leave it out"
            raise ConfigurationError(msg)
        price = nano_usd(self.prices) if in_usd else None
        freeze(self, _windows=windows, _expected=Expectation(), _price=price)

    def __call__(self, call: Call) -> Flow:
        """Return the flow of one call."""
        expected = self._expected.of(call)
        booked = self._reserve(call, total_tokens(expected) or 0, self._nano_usd(call.model_id, expected))
        try:
            reply = yield call
        except BaseException:
            # What a broken call has cost nobody tells; before its first event it is taken for nothing.
            if not call.started:
                self._cancel(call, booked)
            raise
        self._settle(call, booked, reply)

    def _reserve(self, call: Call, tokens: int, nano_usd: int) -> Booked:
        now = call.clock.time()
        booked: Booked = []
        for window, budget in self._windows.items():
            spending = budget.reserve(now, tokens=tokens, nano_usd=nano_usd)
            if isinstance(spending, Refusal):
                self._cancel(call, booked)
                amounts = (tokens, nano_usd)
                msg = self._refusal(window, budget, spending.reason, amounts, now)
                raise BudgetExceeded(msg, retry_after_s=spending.retry_after_s)
            booked.append((budget, spending))
        return booked

    def _cancel(self, call: Call, booked: Booked) -> None:
        for budget, spending in booked:
            budget.cancel(spending, call.clock.time())

    def _settle(self, call: Call, booked: Booked, reply: Reply) -> None:
        """Replace the estimate by what was used; where that is not known, the estimate stands."""
        if reply.response is None:  # a middleware inside has answered, and nothing was spent
            self._cancel(call, booked)
            return
        model_id, usage = reply.response.model.model_id, reply.usage
        used = total_tokens(usage)
        if used is None:
            return
        self._expected.learn(model_id, usage)
        with suppress(ConfigurationError):  # a fallback tier inside has no known price
            nano_usd = self._nano_usd(model_id, usage)
            for budget, spending in booked:
                budget.settle(spending, call.clock.time(), tokens=used, nano_usd=nano_usd)

    def _nano_usd(self, model_id: str, usage: Usage) -> int:
        return 0 if self._price is None else self._price(model_id, usage)

    def _refusal(
        self, window: str, budget: SpendBudget, reason: str, amounts: tuple[int, int], now: float
    ) -> str:
        left, (tokens, nano_usd) = budget.remaining(now), amounts
        if reason == "tokens":
            limit = self.tokens_per_day if window == "day" else self.tokens_per_hour
            return f"{left.tokens} of {limit} tokens per {window} are left, and this call may take {tokens}"
        usd = self.usd_per_day if window == "day" else self.usd_per_hour
        left_usd, call_usd = (left.nano_usd or 0) / NANO, nano_usd / NANO
        return f"${left_usd:.4f} of ${usd} per {window} are left, and this call may cost ${call_usd:.4f}"

    def stats(self) -> dict[str, dict[str, Any]]:
        """Return what is booked, reserved and refused in each window, by its name."""
        return {window: asdict(budget.stats()) for window, budget in self._windows.items()}


def _window(name: Any, tokens: int | None, usd: float | None) -> SpendBudget:
    right = usd is None or is_number(usd, above=0)
    require(right, f"Budget: usd_per_{name}", usd, "a number of dollars above 0, or None")
    nano_usd = None if usd is None else max(1, round(usd * NANO))
    with named("Budget", tokens=f"tokens_per_{name}"):
        return SpendBudget(tokens=tokens, nano_usd=nano_usd, window=name)
