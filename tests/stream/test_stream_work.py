"""How much work and memory a stream takes: counted, not timed, so that it holds on every machine."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import pytest

from llmopt.errors import PlanStreamError
from llmopt.stream import PlanStream, alphabet

from . import quirks


class Counted:
    """Stands in for what passes text, of an alphabet, and counts the characters that are passed."""

    def __init__(self, monkeypatch):
        self.chars = 0
        self.calls = 0
        original = alphabet.alphabet_of

        def counting(kind):
            found = original(kind)
            return replace(
                found,
                braces=self.wrap(found.braces),
                squares=self.wrap(found.squares),
                shape=self.wrap_shape(found.shape),
            )

        monkeypatch.setattr("llmopt.stream.setup.alphabet_of", counting)

    def wrap(self, brackets):
        def walk(text, pos, depth, inside):
            after = brackets.walk(text, pos, depth, inside)
            self.calls += 1
            self.chars += after[0] - pos
            return after

        return replace(brackets, walk=walk)

    def wrap_shape(self, original):
        def shape(text):
            self.calls += 1
            self.chars += len(text)
            return original(text)

        return shape


def consume(text, size, **options):
    stream, count = PlanStream(**options), 0
    try:
        for at in range(0, len(text), size):
            count += len(stream.feed(text[at : at + size]))
        return count + len(stream.finalize().plans)
    except PlanStreamError:
        return count


def plans(count):
    return [{**quirks.plans()[0], "agent_id": number} for number in range(count)]


HOSTILE = {
    "braces in a string": lambda n: '[{"agent_id": 1, "a": "' + "{}" * n + '"}]',
    "escapes": lambda n: '[{"agent_id": 1, "a": "' + '\\"' * n + '"}]',
    "empty objects": lambda n: '[{"agent_id": 1, "a": [' + "{}," * n + "{}]}]",
    "open braces": lambda n: '[{"a":' * n,
    "open brackets": lambda n: "[" * n,
    "quotes": lambda n: '[{"agent_id": 1, "a": ' + '"' * n,
    "beginnings": lambda n: '[{"agent_id": 1, "b": [' + '{"agent_id": 2},' * n,
    "blanks after a bracket": lambda n: "[" + " " * n,
    "tags": lambda n: "<think " * n,
}


@pytest.mark.parametrize("mode", ["strict", "lenient", "repair"])
@pytest.mark.parametrize("size", [1, 4, 64, 1024, 1 << 16])
def test_every_character_is_walked_at_most_twice(monkeypatch, size, mode):
    counted = Counted(monkeypatch)
    text = json.dumps(plans(40))
    assert consume(text, size, mode=mode) == 40
    assert counted.chars <= 2 * len(text)


@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_ten_times_the_plans_are_ten_times_the_work(monkeypatch, mode):
    counts = []
    for count in (40, 400):
        counted = Counted(monkeypatch)
        assert consume(json.dumps(plans(count)), 4, mode=mode) == count
        counts.append((counted.calls, counted.chars))
        monkeypatch.undo()
    assert counts[1][0] <= 11 * counts[0][0]
    assert counts[1][1] <= 11 * counts[0][1]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_hostile_replies_take_linear_work(monkeypatch, name, mode):
    counted = Counted(monkeypatch)
    text = HOSTILE[name](20_000)
    consume(text, 64, mode=mode, max_depth=10**6)
    assert counted.chars <= 3 * len(text) + 1000
    assert counted.calls <= len(text) / 2 + 100


# Memory


def peak_bytes(make, consume_):
    """The most that was allocated while `consume_` worked on what `make` made, of which only that counts."""
    consume_(make())  # patterns are compiled once
    text = make()
    tracemalloc.start()
    try:
        consume_(text)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [20, 1_000])
@pytest.mark.parametrize("size", [4, 64, 4096])
@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_memory_does_not_grow_with_the_plans(count, size, mode):
    row = json.dumps(plans(1)[0])

    def chunks():
        yield "["
        block = (row + ", ") * 20
        for _ in range(count // 20):
            yield from (block[at : at + size] for at in range(0, len(block), size))
        yield row + "]"

    def consume_(_):
        stream = PlanStream(mode=mode)
        for chunk in chunks():
            stream.feed(chunk)
        assert not stream.finalize().truncated

    limit = 64_000 + 3 * (len(row) + size) + 60 * max(1, size // len(row)) * 40
    assert peak_bytes(lambda: None, consume_) <= limit


@pytest.mark.parametrize("size", [4, 1000, 1 << 20])
def test_a_hundred_thousand_open_brackets_take_little_memory(size):
    for mode in ("strict", "lenient"):
        for text in ("[" * 100_000, '[{"a": ' + "[" * 100_000, "{" * 100_000, '{"a":' * 20_000):
            assert (
                peak_bytes(lambda text=text: text, lambda text, mode=mode: consume(text, size, mode=mode))
                < 1_000_000
            )
