"""The hot path: one generator per stream, which is sent chunks and yields the plans that each completes.

A plan arrives in some eighty chunks, and most of them end nothing. Those cost one append and one `in`: with d
brackets open, the element cannot end before d closing ones have come, wherever they stand. Only then are the
new chunks joined and walked, each once, so that the whole is linear.
"""

from __future__ import annotations

from collections.abc import Generator
from itertools import repeat
from typing import Any

from ..errors import PlanStreamError
from .alphabet import Text
from .setup import Setup

__all__ = ["gather"]

# After so many chunks without a closing bracket they are joined anyway: small strings take memory.
_MOST_PARTS = 256


def gather(setup: Setup) -> Generator[list[Any] | tuple[()], Text, None]:
    """Yield what each chunk completes.

    Args:
        setup: makes the scanner when the first chunk is here.
    """
    try:
        chunk = yield ()
        scanner = setup.scanner_for(chunk)
        parts, pieces = scanner.parts, scanner.pieces
        add, join = parts.append, scanner.alphabet.nothing.join
        found = scanner.advance(chunk)
        while True:
            if not scanner.depth:
                found = scanner.advance((yield found))
                continue
            trigger, walk = scanner.brackets.closer, scanner.brackets.walk
            depth, inside = scanner.depth, scanner.inside
            while True:
                chunk = yield found
                found, need = (), depth
                for _ in repeat(None, _MOST_PARTS):
                    add(chunk)
                    if trigger in chunk:
                        need -= chunk.count(trigger)
                        if need <= 0:
                            break
                    chunk = yield ()
                else:
                    add(chunk)
                region = join(parts)
                parts.clear()
                pos, depth, inside = walk(region, 0, depth, inside)
                if not depth:
                    found = scanner.close(region, pos)
                    break
                pieces.append(region[:pos])
                add(region[pos:])  # nothing, or a backslash whose other half is still to come
                scanner.size += pos
                if scanner.size > scanner.alarm or depth > scanner.limits.max_depth:
                    found = scanner.overdue(depth, inside)
                    break
    except (PlanStreamError, TypeError) as error:
        setup.on_failure(error)
        raise
