"""Random JSON, damaged at random and split at random, against orjson.

    python tests/stream/fuzz.py --cases 1000000

Two things must hold. The strict stream accepts and returns just what `orjson.loads` of the whole does. And
how a reply is split makes no difference: to any in a strict stream, and to one of JSON in all others.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterable
from typing import Any

import orjson

from llmopt.errors import PlanStreamError
from llmopt.stream import PlanStream

REFUSED = "refused"
KEYS = ("agent_id", "a", "", "steps", "plans", 'q"', "\\", "{", "}]", "é", "\U0001f600")
SCALARS = (
    0,
    -1,
    1.5,
    1e300,
    10**20,
    True,
    False,
    None,
    "",
    "x",
    '"',
    "\\",
    "}{",
    "],[",
    "\n",
    "\u2028",
    "\U0001f600",
)
PIECES = (
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\",
    " ",
    "\n",
    "0",
    "-",
    ".",
    "e",
    "t",
    "null",
    "\\u12",
    "\ud83d",
    '{"agent_id":',
)
FORMATS: tuple[dict[str, Any], ...] = ({}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False})


def value(rng: random.Random, depth: int) -> Any:
    """A random JSON value."""
    roll = rng.random()
    if depth == 0 or roll < 0.35:
        return rng.choice(SCALARS)
    count = rng.randrange(4)
    if roll < 0.65:
        return [value(rng, depth - 1) for _ in range(count)]
    return {rng.choice(KEYS): value(rng, depth - 1) for _ in range(count)}


def document(rng: random.Random, damages: int) -> str:
    """A random text that is JSON but for some damages."""
    many = rng.random() < 0.7
    found = [value(rng, 3) for _ in range(rng.randrange(6))] if many else value(rng, 4)
    text = json.dumps(found, **rng.choice(FORMATS))
    for _ in range(damages):
        place = rng.randrange(len(text) + 1)
        what = rng.randrange(4)
        if what == 0:
            text = text[:place] + rng.choice(PIECES) + text[place:]
        elif what == 1:
            text = text[:place] + text[place + rng.randrange(1, 4) :]
        elif what == 2:
            text = text[:place]
        else:
            text = text[:place] + text[place - rng.randrange(1, 12) :]
    return text


def split(rng: random.Random, text: Any) -> list[Any]:
    """The text in random pieces; one in four times one by one."""
    if rng.random() < 0.25:
        return [text[at : at + 1] for at in range(len(text))]
    cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randrange(1, 8)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def outcome(chunks: Iterable[Any], **options: Any) -> Any:
    """What a stream returns, or that it refuses."""
    stream: PlanStream[Any] = PlanStream(max_depth=1024, **options)
    found: list[Any] = []
    try:
        for chunk in chunks:
            found += stream.feed(chunk)
        found += stream.finalize().plans
    except PlanStreamError:
        return REFUSED
    return found


def wanted(text: str | bytes) -> Any:
    """What orjson makes of the whole."""
    try:
        found = orjson.loads(text)
    except ValueError:
        return REFUSED
    return found if isinstance(found, list) else [found]


def differences(seed: int, cases: int) -> Iterable[tuple[Any, Any, Any]]:
    """Yield (chunks, what came, what should have come) for each difference in `cases` cases."""
    rng = random.Random(seed)
    for case in range(cases):
        damages = rng.choice((0, 0, 1, 1, 2, 3))
        text: Any = document(rng, damages)
        if rng.random() < 0.5:
            text = text.encode("utf-8", "surrogatepass")
        chunks = split(rng, text)
        got, want = outcome(chunks, mode="strict", path="root"), wanted(text)
        if repr(got) != repr(want):  # nan, and 1 against 1.0 against True
            yield chunks, got, want
        if case % 8 == 0:
            mode = "strict" if damages else rng.choice(("strict", "lenient", "repair"))
            path = rng.choice(("auto", "ndjson", "plans"))
            got, want = outcome(chunks, mode=mode, path=path), outcome([text], mode=mode, path=path)
            if repr(got) != repr(want):
                yield (mode, path, chunks), got, want


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    found = 0
    for chunks, got, want in differences(args.seed, args.cases):
        found += 1
        sys.stdout.write(f"{chunks!r}\n  got  {got!r}\n  want {want!r}\n")
    sys.stdout.write(f"{args.cases} cases, {found} differences, seed {args.seed}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
