"""The queue of the rate limiter, against one that counts."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llmopt.resilience import Reservation
from llmopt.resilience._line import Line


class LineMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.line, self.places = Line(), []

    @rule(tokens=st.integers(0, 9))
    def join(self, tokens):
        self.places.append(Reservation(tokens, 0.0, 0.0))
        self.line.join(self.places[-1])

    @precondition(lambda self: self.places)
    @rule(data=st.data())
    def leave(self, data):
        self.line.leave(self.places.pop(data.draw(st.integers(0, len(self.places) - 1))))

    @precondition(lambda self: self.places)
    @rule()
    def go(self):
        self.line.leave(self.places.pop(0))

    @invariant()
    def it_is_what_counting_says(self):
        assert list(self.line) == self.places
        assert (len(self.line), self.line.tokens) == (len(self.places), sum(p.tokens for p in self.places))
        assert self.line.first() is (self.places[0] if self.places else None)
        for number, place in enumerate(self.places):
            assert place in self.line
            assert self.line.ahead(place) == (number, sum(p.tokens for p in self.places[:number]))
        assert self.places or not self.line._left  # and it forgets


LineMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestLineMachine = LineMachine.TestCase
