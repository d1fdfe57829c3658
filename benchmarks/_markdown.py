"""Tables in Markdown, and figures as they stand in them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Results = dict[str, dict[str, Any]]
Row = Sequence[str]
WIDTH = 110


def grid(head: Row, rows: Iterable[Row], *, left: int = 1) -> str:
    """Return a table whose first columns stand to the left and whose others, numbers, to the right.

    Example:
        >>> print(grid(("", "tokens"), [("TOON", "5,041")]))
        | | tokens |
        |---|--:|
        | TOON | 5,041 |
    """
    rule = "|".join("---" if at < left else "--:" for at in range(len(head)))
    return "\n".join((_line(head), f"|{rule}|", *map(_line, rows)))


def _line(cells: Row) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def judged(shown: str, *, met: bool) -> str:
    """Return the figure, and that it misses its target if it does.

    Example:
        >>> judged("1.3x", met=True), judged("1.7x", met=False)
        ('1.3x', '**1.7x, missed**')
    """
    return shown if met else f"**{shown}, missed**"


def at_most(value: float, limit: float, unit: str = "x") -> str:
    return judged(f"{number(value)}{unit}", met=value <= limit)


def at_least(value: float, limit: float, unit: str = "x") -> str:
    return judged(f"{number(value)}{unit}", met=value >= limit)


def number(value: float) -> str:
    """Return a figure with the digits that say something.

    Example:
        >>> [number(value) for value in (0.437, 1.0, 12.31, 8496.77, 5041)]
        ['0.44', '1.0', '12.3', '8,497', '5,041']
    """
    if isinstance(value, int) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.995 else f"{value:.2f}"


def size(count: float) -> str:
    """Return bytes in the unit that a reader would choose.

    Example:
        >>> size(900), size(15_896), size(2_980_917)
        ('900 B', '15.9 kB', '2.98 MB')
    """
    if count < 1000:
        return f"{count:.0f} B"
    return f"{count / 1e3:.1f} kB" if count < 1e6 else f"{count / 1e6:.3g} MB"


def span(values: Sequence[float]) -> str:
    """Return the least and the greatest of some ratios.

    Example:
        >>> span([1.5, 31.0, 2.0]), span([0.9])
        ('1.5x to 31.0x', '0.90x')
    """
    least, most = (f"{number(value)}x" for value in (min(values), max(values)))
    return least if least == most else f"{least} to {most}"


def shown(figure: float, margin: float, unit: str) -> str:
    """Return the figure with its margin; below what the run can tell, only how much it could be.

    Example:
        >>> shown(0.57, 0.061, "b"), shown(0.03, 0.04, "b"), shown(-0.05, 0.02, "b"), shown(5.14, 0.55, "b")
        ('0.57 ± 0.07 b', '< 0.07 b', '< 0.02 b', '5.1 ± 0.6 b')
    """
    digits = 2 if abs(figure) < 1 else 1
    step = 10**digits
    margin = max(math.ceil(round(margin * step, 6)), 1) / step
    if figure > margin:
        return f"{figure:.{digits}f} ± {margin:.{digits}f} {unit}"
    most = max(math.ceil(round((figure + margin) * step, 6)) / step, margin)
    return f"< {most:.{digits}f} {unit}"


def provenance(result: dict[str, Any], *more: dict[str, Any]) -> str:
    """Return where and with what a figure was taken."""
    versions: dict[str, str] = {}
    for one in (result, *more):
        versions |= one.get("versions", {})
    listed = ", ".join(f"{name} {found}" for name, found in versions.items())
    machine = f"{result['machine']}, shared, load {result['load']}; Python {result['python']}"
    return paragraph(f"{machine}, {result['taken']}; {listed}.")


def paragraph(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def kept(makers: Iterable[Callable[[Results], Row]], results: Results) -> list[Row]:
    """Return the rows whose figures have been taken; the others are left out."""
    rows = []
    for make in makers:
        try:
            rows.append(make(results))
        except KeyError:
            continue
    return rows


def section(title: str, make: Callable[[Results], str], results: Results) -> str:
    """Return a part of the page, or that its figures have not been taken.

    Example:
        >>> print(section("Tokens", lambda results: results["compress_tokens"]["unit"], {}))
        ## Tokens
        <BLANKLINE>
        Not measured here yet: there is no `compress_tokens` in `benchmarks/results`. `make bench` takes it.
    """
    try:
        body = make(results)
    except KeyError as missing:
        name = str(missing).strip("'\"")
        body = f"Not measured here yet: there is no `{name}` in `benchmarks/results`. `make bench` takes it."
    return f"## {title}\n\n{body}"
