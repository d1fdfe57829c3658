"""Whatever JSON can hold comes back from the text alone, and never takes more tokens than compact JSON.

Most values are drawn by `Values`, from a seed that hypothesis draws: tables with the structure that the dense
encoding looks for are large, and hypothesis would take minutes to draw thousands of them.
"""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmopt.compress import Vault, decode, encode
from llmopt.errors import DecodingError

TRICKY = (
    "", " ", "-", "+", "---", "true", "null", "NaN", "0", "-0", "1e5", "007", "1.50", "$", "$a", "${a}",
    "$a$b", "#", "##", "{#}", "{###}", "{##", "]", "[]", "[each {x}", "each ", "json([1])", '"', "\\",
    "\\$", "\n", "a\nb", "a b", "a:b", "a,b", "k?", "(x|y)", "@1", "@01", "\xe9", "\u65e5\u672c", "\ud800",
    "\u2028", "\x00", "\x7f", "2026-11-20T10:00:39Z", '{"a":1}', '{"a": 1}', "[1,2]", "[]{}",
    '{"a":{"b":"[1]"}}', "Infinity", "1_000", "\u0663", "\uff11\uff12", "\xa0x", "\x1fy",
    "msg_cfcd208495d565ef66e7dff9", "ffed9235-288b-c781-ae66-267594c9c950", "a@1", "00", "{{#}}", "12}",
    "{1}", "$1",
)  # fmt: skip
WORDS = (
    "cart",
    "auth",
    "shop",
    "pay",
    "a",
    "zz",
    "Cart",
    "x-y",
    "café",
    "pull_request",
    "an issue in the tracker",
)
NUMBERS = (
    0,
    1,
    -1,
    7,
    999,
    1000,
    -100,
    10**18,
    10**25,
    0.0,
    -0.0,
    1.0,
    0.1,
    2.5,
    -2.5,
    1e16,
    1e-7,
    5e-324,
    1e308,
)


class Values:
    """Draws values from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self):
        pick = self.random.random()
        if pick < 0.25:
            return self.anything(3)
        table = self.table(self.random.randint(2, 8), 2)
        return table if pick < 0.8 else {"kind": "List", "items": table, "n": len(table)}

    def scalar(self):
        match self.random.randrange(6):
            case 0:
                return self.random.choice((None, True, False))
            case 1:
                return self.random.choice(NUMBERS)
            case 2:
                return self.random.randint(-20, 2000)
            case 3:
                return round(self.random.uniform(-50, 50), self.random.randrange(4))
            case 4:
                return self.random.choice(WORDS)
            case _:
                return self.text()

    def text(self):
        if self.random.random() < 0.7:
            return self.random.choice(TRICKY)
        return "".join(self.random.choices('ab-_.$#{}: 01"\\\n', k=self.random.randrange(9)))

    def anything(self, depth):
        pick = self.random.random()
        if depth == 0 or pick < 0.3:
            return self.scalar()
        size = self.random.randrange(5)
        if pick < 0.65:
            return [self.anything(depth - 1) for _ in range(size)]
        return {self.key(): self.anything(depth - 1) for _ in range(size)}

    def key(self):
        return self.random.choice(WORDS) if self.random.random() < 0.7 else self.text()

    def table(self, size, depth):
        keys = list(dict.fromkeys(self.key() for _ in range(self.random.randint(1, 5))))
        columns = []
        for _ in keys:
            columns.append(self.column(size, depth, columns))
        rows = [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
        if self.random.random() < 0.3:
            for row in rows:
                if self.random.random() < 0.3:
                    row.pop(self.random.choice(list(row)))
        return rows

    def column(self, size, depth, above):
        kinds = [
            "constant",
            "few",
            "few",
            "ints",
            "floats",
            "words",
            "dates",
            "versions",
            "affixed",
            "scalars",
        ]
        kinds += ["derived", "derived", "dependent", "dependent", "follows"] if above else []
        kinds += ["objects", "optional", "maps", "lists", "json", "mixed", "any", "pairs"] if depth else []
        return getattr(self, "_" + self.random.choice(kinds))(size, depth, above)

    def _constant(self, size, depth, above):
        value = self.anything(2)
        return [json.loads(json.dumps(value)) for _ in range(size)]

    def _few(self, size, depth, above):
        few = [self.scalar() for _ in range(self.random.randint(1, 3))]
        return [self.random.choice(few) for _ in range(size)]

    def _ints(self, size, depth, above):
        top = self.random.choice((9, 999, 10**6, 10**12, 10**20))
        return [self.random.randint(-top // 8, top) for _ in range(size)]

    def _floats(self, size, depth, above):
        places = self.random.randrange(4)
        top = self.random.choice((1, 30, 5000))
        return [round(self.random.uniform(-top / 8, top), places) for _ in range(size)]

    def _words(self, size, depth, above):
        return [self.random.choice(WORDS) for _ in range(size)]

    def _dates(self, size, depth, above):
        pick = self.random.randrange
        return [f"2026-1{pick(3)}-2{pick(9)}T10:{pick(60):02}Z" for _ in range(size)]

    def _versions(self, size, depth, above):
        return ["v{}.{}.{}".format(*(self.random.randrange(30) for _ in range(3))) for _ in range(size)]

    def _affixed(self, size, depth, above):
        before, after = self.text(), self.text()
        return [f"{before}{self.random.choice(WORDS)}{after}" for _ in range(size)]

    def _scalars(self, size, depth, above):
        return [self.scalar() for _ in range(size)]

    def _derived(self, size, depth, above):
        one, other = self.random.choice(above), self.random.choice(above)
        mark = self.random.choice(("-", "_", "", " of the ", "$", "#", "{"))
        after = self.random.choice(("", "-db.prod", "x", "1", "}", " and all the others"))
        return [f"{a}{mark}{b}{after}" for a, b in zip(one, other, strict=True)]

    def _dependent(self, size, depth, above):
        known = {}
        return [known.setdefault(repr(key), self.scalar()) for key in self.random.choice(above)]

    def _follows(self, size, depth, above):
        """Return objects that have a key only where another column says so."""
        keys = self.random.choice(above)
        chosen = repr(keys[0])
        return [{"at": 1, "why": self.scalar()} if repr(key) == chosen else {"at": 1} for key in keys]

    def _objects(self, size, depth, above):
        return self.table(size, depth - 1)

    def _optional(self, size, depth, above):
        return [
            {key: self.scalar() for key in ("p", "q", "r") if self.random.random() < 0.6} for _ in range(size)
        ]

    def _maps(self, size, depth, above):
        return [{word: self.random.choice((1, 2, {"t": "x"}, {"u": [1]})) for word in
                 self.random.sample(WORDS, self.random.randrange(4))} for _ in range(size)]  # fmt: skip

    def _lists(self, size, depth, above):
        kind = self.random.randrange(4)
        make = (lambda: self.random.randrange(99), lambda: self.random.choice(WORDS), self.scalar,
                lambda: {"x": self.random.randrange(9), "y": self.random.choice(WORDS)})[kind]  # fmt: skip
        fixed = self.random.choice((None, 1, 2, 3))
        return [
            [make() for _ in range(self.random.randrange(5) if fixed is None else fixed)] for _ in range(size)
        ]

    def _json(self, size, depth, above):
        indent = self.random.choice((None, 2))
        values = (
            self.table(size, depth - 1) if self.random.random() < 0.5 else self._lists(size, depth, above)
        )
        return [json.dumps(value, indent=indent) for value in values]

    def _mixed(self, size, depth, above):
        return [
            self.random.choice((self.scalar(), [self.scalar()], {"k": self.scalar()}, "[1, 2]"))
            for _ in range(size)
        ]

    def _any(self, size, depth, above):
        return [self.anything(2) for _ in range(size)]

    def _pairs(self, size, depth, above):
        return [[self.random.randrange(90), self.random.randrange(90)] for _ in range(size)]


seeds = st.integers(0, 2**48)
many = settings(max_examples=100, suppress_health_check=list(HealthCheck), database=None)
VALUES_A_SEED = 25

texts = st.one_of(st.sampled_from(TRICKY), st.text(max_size=8))
numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=20,
)


def written(value):
    """Return a text that tells apart what `==` does not: 1, 1.0 and true, 0.0 and -0.0, the order of keys."""
    return json.dumps(value)


def changed(values, value):
    """Return a value that is like another, but for some changes."""
    chance = values.random.random
    if isinstance(value, dict):
        kept = {
            key: changed(values, item) if chance() < 0.4 else item
            for key, item in value.items()
            if chance() < 0.9
        }
        return kept | ({values.key(): values.anything(1)} if chance() < 0.1 else {})
    if isinstance(value, list):
        kept = [changed(values, item) if chance() < 0.4 else item for item in value if chance() < 0.9]
        return kept + ([values.anything(2)] if chance() < 0.2 else [])
    return values.scalar() if chance() < 0.5 else value


@pytest.mark.parametrize("profile", ["safe", "balanced", "dense", "dense again"])
@many
@given(seed=seeds)
def test_ten_thousand_values_come_back(profile, seed):
    for at in range(VALUES_A_SEED):
        value = Values(seed + at).value()
        encoded = encode(value, profile.removesuffix(" again"))
        assert written(decode(encoded.text)) == written(value), seed + at
        assert encoded.tokens <= encoded.tokens_before, seed + at


@pytest.mark.parametrize("profile", ["safe", "balanced", "dense"])
@settings(many, max_examples=150)
@given(value=anything)
def test_any_json_comes_back(profile, value):
    encoded = encode(value, profile)
    assert written(decode(encoded.text)) == written(value)
    assert encoded.tokens <= encoded.tokens_before


@settings(many, max_examples=30)
@given(seed=seeds)
def test_ids_come_back_from_the_vault(seed):
    vault = Vault()
    for at in range(VALUES_A_SEED):
        value = Values(seed + at).value()
        assert written(decode(encode(value, "dense", vault=vault).text, vault=vault)) == written(value), (
            seed + at
        )


@settings(many, max_examples=30)
@given(seed=seeds)
def test_changes_lead_to_the_value(seed):
    won = 0
    for at in range(VALUES_A_SEED):
        values = Values(seed + at)
        previous = values.value()
        value = changed(values, json.loads(written(previous)))
        encoded = encode(value, "dense", previous=previous)
        assert written(decode(encoded.text, previous=previous)) == written(value), seed + at
        assert encoded.tokens <= encoded.tokens_before, seed + at
        won += encoded.encoding == "delta"
    assert won


@settings(many, max_examples=100)
@given(seed=seeds)
def test_damaged_text_is_refused_or_read_but_nothing_else(seed):
    values = Values(seed)
    text = encode(values.value(), "dense").text
    for _ in range(20):
        at, until = sorted(values.random.randrange(len(text) + 1) for _ in range(2))
        part = values.random.choice(
            (text[at:until], "", values.text(), "$a", "#", "\n", "]", "999", "[each ")
        )
        damaged = text[:at] + part + text[min(len(text), at + values.random.randrange(4)) :]
        refused_or_read(damaged)


@settings(many, max_examples=300)
@given(text=st.text('[]{}()each $#ab019.:,-+?|>=\n"\\json', max_size=60))
def test_any_text_is_refused_or_read_but_nothing_else(text):
    for start in ("", "[each ", "[each {a:$ b?:", "[each $a\n$a>$b\n", "changes "):
        refused_or_read(start + text)


def refused_or_read(text):
    try:
        json.dumps(decode(text, previous=[{"a": 1}]))
    except DecodingError as error:
        line = error.line or 1
    else:
        line = 1
    assert 1 <= line <= text.count("\n") + 1
