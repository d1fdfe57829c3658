"""Keeps spending within a limit per hour or day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from ..errors import BudgetExceeded, ConfigurationError
from ..resilience import Refusal, SpendBudget, Spending
from ..types import Call, Flow, Usage
from ._configured import Configured, freeze
from ._expected import Expectation, total_tokens
from ._prices import nano_usd_of

Prices: TypeAlias = "Mapping[str, tuple[float, float]] | Callable[[str, Usage], float]"
"""By model id: dollars per million input and output tokens. Or what a usage of a model costs, in dollars."""


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
        prices: what models cost; by default the `genai-prices` package is asked (`pip install
            llmopt[cost]`). A model without a known price is refused: unknown is not free.

    Raises:
        ConfigurationError: no limit is given, one is not above 0, or prices are needed and not to be had.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import Answer, ScriptedModel
        >>> model = ScriptedModel([Answer(text="Hi", usage=(900, 50)), "Hi"])
        >>> model = llmopt.wrap(model, llmopt.Budget(tokens_per_day=1000))
        >>> model.prompt("Hello").text()
        'Hi'
        >>> model.prompt("Hello again").text()
        Traceback (most recent call last):
        llmopt.errors.BudgetExceeded: 50 of 1000 tokens per day are left: not enough for this call
    """

    usd_per_day: float | None = None
    usd_per_hour: float | None = None
    tokens_per_day: int | None = None
    tokens_per_hour: int | None = None
    prices: Prices | None = None
    _windows: dict[str, SpendBudget] = field(init=False, repr=False, compare=False)
    _expected: Expectation = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        windows: dict[str, SpendBudget] = {}
        limits = {
            "day": (self.tokens_per_day, self.usd_per_day),
            "hour": (self.tokens_per_hour, self.usd_per_hour),
        }
        for window, (tokens, usd) in limits.items():
            if tokens is None and usd is None:
                continue
            if usd is not None and not usd > 0:
                msg = f"Budget: usd_per_{window}={usd!r} is wrong: it must be a number of dollars above 0"
                raise ConfigurationError(msg)
            nano_usd = None if usd is None else round(usd * 1e9)
            windows[window] = SpendBudget(tokens=tokens, nano_usd=nano_usd, window=window)  # type: ignore[arg-type]
        if not windows:
            msg = "Budget() limits nothing: give usd_per_day, usd_per_hour, tokens_per_day or tokens_per_hour"
            raise ConfigurationError(msg)
        freeze(self, _windows=windows, _expected=Expectation())

    def __call__(self, call: Call) -> Flow:
        """Return the flow of one call."""
        expected = self._expected.of(call)
        spendings = self._reserve(call, total_tokens(expected) or 0, self._nano_usd(call, expected))
        try:
            reply = yield call
        except BaseException:
            # What a broken call has cost nobody tells; before its first event it is taken for nothing.
            if not call.started:
                self._settle(call, spendings, 0, 0)
            raise
        used = total_tokens(reply.usage)
        if used is not None:
            self._settle(call, spendings, used, self._nano_usd(call, reply.usage))
            self._expected.learn(call.model_id, reply.usage)

    def _reserve(self, call: Call, tokens: int, nano_usd: int) -> list[tuple[SpendBudget, Spending]]:
        now = call.clock.time()
        booked: list[tuple[SpendBudget, Spending]] = []
        for window, budget in self._windows.items():
            spending = budget.reserve(now, tokens=tokens, nano_usd=nano_usd)
            if isinstance(spending, Refusal):
                self._settle(call, booked, 0, 0)
                raise BudgetExceeded(
                    self._refusal(window, budget, spending, now), retry_after_s=spending.retry_after_s
                )
            booked.append((budget, spending))
        return booked

    def _settle(
        self, call: Call, booked: list[tuple[SpendBudget, Spending]], tokens: int, nano_usd: int
    ) -> None:
        for budget, spending in booked:
            budget.settle(spending, call.clock.time(), tokens=tokens, nano_usd=nano_usd)

    def _nano_usd(self, call: Call, usage: Usage) -> int:
        if self.usd_per_day is None and self.usd_per_hour is None:
            return 0
        return nano_usd_of(call.model_id, usage, self.prices)

    def _refusal(self, window: str, budget: SpendBudget, refusal: Refusal, now: float) -> str:
        left = budget.remaining(now)
        if refusal.reason == "tokens":
            limit = self.tokens_per_day if window == "day" else self.tokens_per_hour
            return f"{left.tokens} of {limit} tokens per {window} are left: not enough for this call"
        usd = self.usd_per_day if window == "day" else self.usd_per_hour
        return f"${(left.nano_usd or 0) / 1e9:.4f} of ${usd} per {window} are left: not enough for this call"

    def stats(self) -> dict[str, dict[str, Any]]:
        """Return what is booked, reserved and refused in each window, by its name."""
        return {window: asdict(budget.stats()) for window, budget in self._windows.items()}
