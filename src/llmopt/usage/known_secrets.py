"""The secrets that this process knows by their value, in all the forms in which they may stand in a text."""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import Any, Final
from urllib.parse import quote, quote_plus

from .secret_patterns import Span, Trigger
from .values import well_formed

LABEL = "secret"
LEAST_CHARS = 8
"""A known value that is shorter is a word that may stand anywhere, not a secret."""

_MOST_CHARS = 10_000
_MOST_LEARNED = 64  # of a server whose callers bring keys of their own: more would take long to look for
_MOST_MET = 4096

_NAMES_OF_KEYS = frozenset(("needs_key", "key_env_var"))  # of a model, which are not their values
_TELLING = re.compile("key|token|secret|passw|credential|_pwd$|_auth$|_dsn$", re.IGNORECASE)


class KnownSecrets:
    """Values that must not be written anywhere.

    Args:
        values: those that are known from the start.

    Attributes:
        version: a number that is another one as soon as there is another value.
        met: the keys that `learn` was given, and None for no key.

    Example:
        >>> known = KnownSecrets(["a/b c-d:e"])
        >>> [known.holds(text) for text in ("a/b c-d:e", "?q=a%2Fb%20c-d%3Ae", "YS9iIGMtZDpl", "a/b c-d")]
        [True, True, True, False]
        >>> known
        KnownSecrets(1 of them)
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = Lock()
        self._values: dict[str, None] = {}
        self._learned: dict[str, None] = {}
        self.met: dict[Any, None] = {None: None}
        self._sources: tuple[object, ...] = ()
        self._forms: tuple[str, ...] = ()
        self._trigger: Callable[[str], bool] = _never
        self.version = 0
        self._add(values)

    def __repr__(self) -> str:
        return f"KnownSecrets({len(self._values) + len(self._learned)} of them)"

    def holds(self, text: str) -> bool:
        """Tell whether a text, which has to be one that UTF-8 can hold, has a known value in it."""
        return self._trigger(text)

    def spans(self, text: str) -> list[Span]:
        """Return where known values stand in a text."""
        return [(at, at + len(form), LABEL) for form in self._forms for at in _places(form, text)]

    def learn(self, key: Any, shows: Callable[[str], bool]) -> None:
        """Take in the key that a call was given, or that a model has.

        Args:
            key: the key.
            shows: whether a text is seen to be a secret without being known: where there are very many keys,
                such ones need not be.
        """
        if type(key) is not str or key in self.met or not LEAST_CHARS <= len(key) <= _MOST_CHARS:
            return
        with self._lock:
            if len(self.met) >= _MOST_MET:
                self.met = {None: None, **self._learned}
            self.met[key] = None
            if len(self._learned) >= _MOST_LEARNED:
                if shows(key):
                    return
                first = next(iter(self._learned))
                del self._learned[first]
                self.met.pop(first, None)  # if it comes again, it is learned again
            self._learned[key] = None
            self._renew()

    def look_around(self) -> None:
        """Take in what environment variables and llm's file of keys say now."""
        with self._lock:
            sources = (dict(os.environ), _stamp(_keys_path()))
            if sources != self._sources:
                self._sources = sources
                self._add(filter(_is_no_setting, [*telling(os.environ), *stored_keys()]))

    def _add(self, values: Iterable[str]) -> None:
        fitting = [value for value in values if LEAST_CHARS <= len(value) <= _MOST_CHARS]
        if not self._values.keys() >= set(fitting):
            self._values.update(dict.fromkeys(fitting))
            self._renew()

    def _renew(self) -> None:
        forms = {form for value in (*self._values, *self._learned) for form in forms_of(value)}
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        self._trigger = Trigger("|".join(map(_escaped, self._forms)))
        self.version += 1


def _never(_text: str) -> bool:
    return False


def telling(named: Mapping[Any, Any]) -> list[str]:
    """Return the texts whose names say that they are secret.

    Example:
        >>> telling({"OPENAI_API_KEY": "k-1234567", "HOME": "/root"})
        ['k-1234567']
    """
    told = [(str(name), value) for name, value in named.items() if isinstance(value, str)]
    return [value for name, value in told if _TELLING.search(name) and name not in _NAMES_OF_KEYS]


def stored_keys() -> list[str]:
    """Return the keys that `llm keys set` has stored."""
    try:
        with open(_keys_path(), encoding="utf-8") as file:  # noqa: PTH123
            stored = json.load(file)
        return [str(key) for name, key in stored.items() if not name.startswith("//")]
    except (OSError, ValueError, AttributeError):
        return []


def _keys_path() -> str:
    """Return llm's file of keys. Its own function makes the folder, and this only looks."""
    import click

    folder = os.environ.get("LLM_USER_PATH") or click.get_app_dir("io.datasette.llm")
    return os.path.join(folder, "keys.json")  # noqa: PTH118


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _is_no_setting(value: str) -> bool:
    """Tell whether a value is no number, and no path, that is only named like a secret."""
    is_path = value.startswith(("/", "~/", "./")) and os.path.exists(os.path.expanduser(value))  # noqa: PTH110, PTH111
    return not (is_path or value.replace(".", "").isdigit())


def forms_of(value: str) -> set[str]:
    """Return the forms in which a value may stand in a text: as it is, in URLs, in JSON, in base64."""
    value = well_formed(value)
    quoted = {quote(value, safe=""), quote(value), quote_plus(value)}
    lower = {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in quoted}
    escaped = {form for once in _escapes(value) for form in (once, *_escapes(once))}  # JSON stands in JSON
    return {value} | quoted | lower | escaped | set(_base64_forms(value.encode()))


def _escapes(text: str) -> tuple[str, str]:
    return json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]


def _base64_forms(value: bytes) -> Iterator[str]:
    """Yield what of a value's base64 is the same wherever in a longer text it stands: it has three ways."""
    for encode in (b64encode, urlsafe_b64encode):
        for before, cut in ((0, 0), (1, 2), (2, 3)):
            whole = (len(value) + before) // 3 * 4  # what comes after it does not change these
            yield encode(bytes(before) + value).decode()[cut:whole]


def _places(form: str, text: str) -> Iterator[int]:
    at = text.find(form)
    while at >= 0:
        yield at
        at = text.find(form, at + 1)


def _escaped(text: str) -> str:
    """Return a pattern, in the language of Rust's engine, for a text."""
    return "".join(char if char in _ALNUM else f"\\x{{{ord(char):x}}}" for char in text)


_ALNUM: Final = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
