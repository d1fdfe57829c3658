"""The hot path: one generator per stream, which is sent chunks and yields the plans that each completes.

A plan arrives in some eighty chunks, and most of them end nothing. Those cost one append and one `in`: an
element cannot end before as many brackets were closed as are open, those of the other kind first, wherever
they stand. Only then are the new chunks joined and looked at, each once, so that the whole is linear.
"""

from __future__ import annotations

from collections.abc import Generator
from itertools import repeat
from typing import Any

from ..errors import PlanStreamError
from .alphabet import Text
from .batch import SHORTEST
from .custody import LONG
from .setup import Setup
from .shapes import follow

__all__ = ["gather"]

# After so many chunks without a closing bracket they are joined anyway: small strings take memory.
_MOST_PARTS = 256


def gather(  # noqa: C901, PLR0912, PLR0915 - a call would cost more than what it would hide
    setup: Setup,
) -> Generator[list[Any] | tuple[()], Text, None]:
    """Yield what each chunk completes.

    Args:
        setup: makes the scanner when the first chunk is here.
    """
    try:
        chunk = yield ()
        scanner = setup.scanner_for(chunk)
        parts, pieces, collect = scanner.parts, scanner.pieces, scanner.intake.collect
        join, shape_of, notices = scanner.alphabet.nothing.join, scanner.alphabet.shape, scanner.notices
        backslash, max_depth = scanner.alphabet.backslash, scanner.limits.max_depth
        while True:
            try:
                if scanner.depth:
                    closer, other = scanner.brackets.closer, scanner.brackets.other_closer
                    trigger, need, stack = scanner.trigger, scanner.need, scanner.stack
                    while True:
                        for _ in repeat(None, _MOST_PARTS):
                            parts.append(chunk)
                            if trigger in chunk:
                                need -= chunk.count(trigger)
                                if need <= 0:
                                    if trigger == closer or chunk.rfind(closer) > chunk.find(trigger):
                                        break
                                    trigger, need = closer, 1
                            chunk = yield ()
                        else:
                            parts.append(chunk)
                        if len(chunk) >= LONG:
                            scanner.look()
                            break
                        region = join(parts)
                        size = len(region)
                        if not 0 < size < SHORTEST or region[-1] == backslash:
                            scanner.look()
                            break
                        parts.clear()
                        reached = follow(stack + shape_of(region))
                        if not reached.depth:
                            scanner.end(region, reached)
                            break
                        pieces.append(region)
                        scanner.size += size
                        scanner.depth = reached.depth
                        scanner.stack = stack = reached.stack
                        deepest = reached.deepest
                        if scanner.size > scanner.alarm or deepest > max_depth or notices(region):
                            scanner.overdue(deepest)
                            break
                        need = reached.others
                        if need:
                            trigger = other
                        else:
                            trigger, need = closer, reached.depth
                        chunk = yield ()
                else:
                    scanner.advance(chunk)
            except PlanStreamError as error:
                scanner.fail(error)
            chunk = yield collect()
    except (PlanStreamError, TypeError) as error:
        setup.on_failure(error)
        raise
