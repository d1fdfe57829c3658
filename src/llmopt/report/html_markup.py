"""Markup that nothing written into it can break: only `Html` passes unescaped."""

from __future__ import annotations

import unicodedata
from html import escape as escape_marks

__all__ = ["Html", "element", "join", "name", "text"]

_LIMIT_NAME = 48
"""Characters of a name that are shown; all of it stands in its title."""

_LIMIT_TITLE = 240
"""Characters of a name that are kept: a page has to stay small whatever its names are."""

_VOID = frozenset({"br", "col", "hr", "link", "meta", "wbr"})
"""HTML elements that have no end."""

_LEAVES = frozenset({"circle", "line", "path", "polygon", "rect", "use"})
"""SVG elements that are closed where they open."""

_JOINERS = "\u200c\u200d"
"""Characters without a form of their own that some scripts cannot be written without."""


class Html(str):
    """A string that is markup already."""

    __slots__ = ()


def element(tag: str, /, *children: str | None, **attributes: object) -> Html:
    """Return an element; what is not `Html` in it is escaped.

    Args:
        tag: its name.
        children: what stands in it, in order; `None` is left out.
        attributes: underscores stand for hyphens, and a last one is dropped; numbers are rounded to
            hundredths; `None` and `False` leave an attribute out, `True` gives one without a value.

    Example:
        >>> element("td", "a < b", class_="name", aria_label='"x"')
        '<td class="name" aria-label="&quot;x&quot;">a &lt; b</td>'
    """
    head = f"<{tag}{''.join(_attribute(key, value) for key, value in attributes.items())}"
    if tag in _VOID:
        return Html(f"{head}>")
    body = join(*children)
    return Html(f"{head}/>" if tag in _LEAVES and not body else f"{head}>{body}</{tag}>")


def join(*children: str | None) -> Html:
    """Return the children one after the other, escaped where they are not `Html`.

    Example:
        >>> join(element("b", "1"), " & ", None, "2")
        '<b>1</b> &amp; 2'
    """
    return Html("".join(text(child) for child in children if child is not None))


def text(value: str) -> Html:
    r"""Return `value` as markup: escaped, and with nothing in it that is not seen.

    Control characters, marks that change the direction of a text, lone surrogates and what HTML does not
    allow are written as their escapes; line ends and tabulators become spaces.

    Example:
        >>> text("<b>\u202e\0\n")
        '&lt;b&gt;\\u202e\\x00 '
    """
    if isinstance(value, Html):
        return value
    return Html(escape_marks(value if value.isprintable() else "".join(map(_seen, value))))


def name(value: str) -> Html:
    """Return a name out of the log, cut in its middle where it is long, apart from the text around it.

    Example:
        >>> name("gpt-4o")
        '<bdi>gpt-4o</bdi>'
    """
    if len(value) <= _LIMIT_NAME:
        return element("bdi", value)
    return element("bdi", _shortened(value, _LIMIT_NAME), title=_shortened(value, _LIMIT_TITLE))


def _shortened(value: str, limit: int) -> str:
    tail = limit // 3
    return value if len(value) <= limit else f"{value[: limit - tail - 1]}…{value[-tail:]}"


def _seen(char: str) -> str:
    if char in "\t\n\r":
        return " "
    # Spaces of other widths do not print by Python's word, and do no harm.
    harmless = char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs"
    return char if harmless else char.encode("unicode_escape").decode("ascii")


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    label = key.rstrip("_").replace("_", "-")
    return f" {label}" if value is True else f' {label}="{_plain(value)}"'


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return text(str(value))
