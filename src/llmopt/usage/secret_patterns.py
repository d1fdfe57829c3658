"""What secrets look like: one rule for each kind of key, password and credential.

A rule has two patterns. The *trigger* goes to Rust's engine, which pydantic brings along: it looks through a
text for the triggers of many rules at once, in time that is linear whatever the text is, so that a clean text
costs next to nothing. The *pattern* goes to Python's and finds where the secret begins and ends. Every text
that the pattern matches has to hold the trigger. Patterns begin with a literal and take up all that they have
looked at, or stop at what another could begin with: nothing is looked at twice, so they are linear too.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

Proper: TypeAlias = "Callable[[re.Match[str]], bool]"

Span: TypeAlias = "tuple[int, int, str]"
"""Where a secret begins and ends in a text, and what it is."""

_W, _AN = "[A-Za-z0-9_-]", "[A-Za-z0-9]"


def _cased(*words: str) -> str:
    """Return a pattern for words in lower case, with a capital, and in capitals. A flag would cost time."""
    return "|".join(f"{word}|{word.title()}|{word.upper()}" for word in words)


_IS = r"""[\\"']{0,6}[ \t]{0,8}(?:[:=]|=>)[ \t]{0,8}"""
_BARE = r"[!#-&(-+\--:<-\[\]-~]"
_VALUE = rf"""(?P<secret>"[^"\\\r\n]{{4,500}}"|'[^'\\\r\n]{{4,500}}'|[\\"']{{0,6}}{_BARE}{{4,}})"""
_IS_VALUE = rf"""[\\"']*[ \t]*(?:[:=]|=>)[ \t]*(?:"[^"\\\r\n]{{4}}|'[^'\\\r\n]{{4}}|[\\"']*{_BARE}{{4}})"""

_OWNERS = _cased(
    "api", "access", "secret", "private", "account", "auth", "client", "shared", "signing", "master"
)
_KEY = f"(?:{_OWNERS})[_ -]?(?:{_cased('access')}|)[_ -]?(?:{_cased('key')})"
_NAMES = f"(?:{_cased('token', 'secret', 'password', 'passwd', 'passphrase', 'credential')}|pwd|PWD)"
_PARAMETER = (
    f"(?:{_cased('key', 'token', 'sig', 'signature', 'secret', 'password', 'passwd', 'auth', 'code')}|pwd)"
)
_AWS = "(?:[Ss]ecret_?[Aa]ccess_?[Kk]ey|SECRET_ACCESS_KEY)"
_HEADER = f"(?:{_cased('authorization')}|[Aa]pi-[Kk]ey|[Ss]ubscription-[Kk]ey)"
_SCHEMES = f"(?:{_cased('bearer', 'basic')})"
_SCHEME = rf"""(?:[\\"']{{0,6}}(?P<scheme>{_cased("bearer", "basic", "token", "digest")}) {{1,4}})?"""


class Trigger:
    """Looks for a pattern with Rust's engine, which pydantic brings along. It is made when it is used first.

    Args:
        pattern: the pattern, in that engine's language.
    """

    __slots__ = ("_holds", "_pattern")

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._holds: Callable[[str], bool] | None = None

    def __call__(self, text: str) -> bool:
        """Tell whether a text has a match; it has to be one that UTF-8 can hold."""
        holds = self._holds
        if holds is None:
            from pydantic_core import SchemaValidator, core_schema

            holds = self._holds = SchemaValidator(
                core_schema.str_schema(pattern=self._pattern)
            ).isinstance_python
        return holds(text)


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of secret.

    Attributes:
        label: what stands in its place.
        trigger: what has to be in the text, for Rust's engine.
        pattern: what it looks like, for Python's; a group named "secret" is the part that is taken out.
        proper: whether a match is one indeed; None for always.
        before: characters that belong to it as well, where they stand before it.
    """

    label: str
    trigger: str
    pattern: str
    proper: Proper | None = None
    before: str = ""

    def matches(self, text: str) -> Iterator[re.Match[str]]:
        """Return the matches of the pattern in a text that are proper."""
        for match in _compiled(self.pattern).finditer(text):
            if self.proper is None or self.proper(match):
                yield match


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules whose triggers are looked for together: more of them at once would take longer than one by one.

    Attributes:
        needs: a character that every secret of these kinds holds, or an empty text.
        rules: the rules.
    """

    needs: str
    rules: tuple[Rule, ...]
    _trigger: Trigger = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        together = "|".join(f"(?:{rule.trigger})" for rule in self.rules)
        object.__setattr__(self, "_trigger", Trigger(together))

    def in_text(self, text: str) -> bool:
        """Tell whether a text, which has to be one that UTF-8 can hold, may have such a secret in it."""
        return self.needs in text and self._trigger(text)


def looks_random(text: str) -> bool:
    """Tell whether a text is no plain word: it has a digit, or a capital inside.

    Example:
        >>> looks_random("sk-assessment-of-the-project"), looks_random("sk-aBcdefghijklmnopqrst")
        (False, True)
    """
    return _RANDOM.search(text) is not None


_RANDOM = re.compile("[0-9+=]|[A-Za-z][A-Z]")


def _random(match: re.Match[str]) -> bool:
    return looks_random(match["secret"])


def _whole_random(match: re.Match[str]) -> bool:
    return looks_random(match[0])


def _authorized(match: re.Match[str]) -> bool:
    return match["scheme"] is not None or looks_random(match["secret"])


def _two_parts(match: re.Match[str]) -> bool:
    """Tell a JSON web token from other base64 that begins with a brace."""
    return match[0].count(".") > 0


def _says_secret(match: re.Match[str]) -> bool:
    return _PARAMETERS.search(match["name"]) is not None


def _is_no_count(match: re.Match[str]) -> bool:
    """Tell whether what is called a token or a password is one: a number of tokens is not, nor is nothing."""
    value = match["secret"].strip("\\\"' \t()[]{}")
    return not (value.replace(".", "").isdigit() or value.lower() in _NOTHINGS)


_NOTHINGS = frozenset(("none", "null", "true", "false", "undefined"))
_PARAMETERS = re.compile(_PARAMETER)


def _is_address(match: re.Match[str]) -> bool:
    return match.start() > 0 and match.string[match.start() - 1] in _LOCAL


_ALNUM = string.ascii_letters + string.digits
_LOCAL = _ALNUM + "._%+-"

GROUPS = (
    Group(
        "",
        (
            Rule("anthropic-key", f"sk-ant-{_W}{{12}}", f"sk-ant-{_W}{{12,}}"),
            Rule("openai-key", f"sk-{_W}{{16}}", f"sk-{_W}{{16,}}", _whole_random),
            Rule("google-key", f"AIza{_W}{{16}}", f"AIza{_W}{{16,}}"),
            Rule("google-key", "ya29\\.|GOCSPX-", f"(?:ya29\\.|GOCSPX-){_W}{{16,}}"),
            Rule("aws-key", "A[KSB]IA[A-Z0-9]{16}", "A[KSB]IA[A-Z0-9]{16,}"),
            Rule("gitlab-key", "glpat-", f"glpat-{_W}{{16,}}"),
            Rule("slack-key", "xox[a-z]-[A-Za-z0-9-]|xapp-", "(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10,}"),
            Rule("slack-key", "hooks\\.slack\\.com/", "hooks\\.slack\\.com/[A-Za-z0-9/_-]{10,}"),
            Rule("provider-key", f"xai-{_AN}{{16}}|pplx-", f"(?:xai|pplx)-{_AN}{{16,}}"),
            Rule("azure-key", "JQQJ99", f"JQQJ99{_AN}{{10,}}", before=_ALNUM),
            Rule("azure-key", "8Q~", "8Q~[A-Za-z0-9_~.-]{30,}", before=_ALNUM + "_~.-"),
            Rule("jwt", f"eyJ{_W}{{6}}", f"eyJ{_W}{{6,}}(?:\\.{_W}*){{0,4}}", _two_parts),
            Rule(
                "private-key",
                "-----BEGIN [A-Z0-9 ]*PRIVATE KEY",
                r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}(?:-{5})?"
                r"[^-]*+(?:-(?!-{4})[^-]*+)*+(?:-----END[A-Z0-9 ]{0,60}-{0,5})?",
            ),
            Rule(
                "authorization",
                f"{_SCHEMES}[ \\t]+[A-Za-z0-9+/=._~-]{{8}}",
                f"{_SCHEMES}[ \\t]{{1,8}}(?P<secret>[A-Za-z0-9+/=._~-]{{8,}})",
                _random,
            ),
            Rule(
                "url-credentials",
                r"""://[^\s/:@"'<>\\]*:[^\s/@"'<>\\]+@""",
                r"""://(?P<secret>[^\s/:@"'<>\\]*+:[^\s/@"'<>\\]++)@""",
            ),
            Rule("url-credentials", f"://{_W}{{16,}}@", f"://(?P<secret>{_W}{{16,}}+)@", _random),
        ),
    ),
    Group(
        "_",
        (
            Rule("github-key", f"gh[pousr]_{_AN}{{16}}", f"gh[pousr]_{_AN}{{16,}}"),
            Rule("github-key", "github_pat_", "github_pat_[A-Za-z0-9_]{16,}"),
            Rule("stripe-key", "[spr]k_(?:live|test)_", f"[spr]k_(?:live|test)_{_AN}{{10,}}"),
            Rule("stripe-key", "whsec_", "whsec_[A-Za-z0-9+/=_-]{16,}"),
            Rule("huggingface-key", f"hf_{_AN}{{16}}|api_org_", f"(?:hf_|api_org_){_AN}{{16,}}"),
            Rule("groq-key", f"gsk_{_AN}{{16}}", f"gsk_{_AN}{{16,}}"),
            Rule("provider-key", "r8_[A-Za-z0-9_]{16}|lsv2_", "(?:r8_|lsv2_[a-z]{2}_)[A-Za-z0-9_]{16,}"),
        ),
    ),
    Group(
        "=",
        (
            Rule(
                "azure-key",
                "(?:AccountKey|SharedAccessKey)=",
                "(?:AccountKey|SharedAccessKey)=(?P<secret>[A-Za-z0-9+/=_-]{16,})",
            ),
            Rule(
                "url-key",
                f"[?&;][A-Za-z0-9_.-]*{_PARAMETER}[A-Za-z0-9_.-]*=",
                "[?&;](?P<name>[A-Za-z0-9_.-]{1,60}+)=(?P<secret>[^&;?#\\s\"'<>\\\\]{4,}+)",
                _says_secret,
            ),
        ),
    ),
)
"""Kinds that are known by themselves or by what stands around them, for certain."""

HEADERS = Group(
    "",
    (
        Rule("authorization", f"{_HEADER}{_IS_VALUE}", f"{_HEADER}{_IS}{_SCHEME}{_VALUE}", _authorized),
        Rule("aws-key", f"{_AWS}{_IS_VALUE}", f"{_AWS}{_IS}{_VALUE}", _random),
    ),
)
"""What is given with a name that says so for certain."""

NAMES = Group(
    "",
    (
        *HEADERS.rules,
        Rule("key", f"{_KEY}{_IS_VALUE}", f"{_KEY}{_IS}{_VALUE}", _is_no_count),
        Rule("secret", f"{_NAMES}{_IS_VALUE}", f"{_NAMES}{_IS}{_VALUE}", _is_no_count),
    ),
)
"""The same, and what is given with a name that often says so."""

EMAILS = Group(
    "@",
    (
        Rule(
            "email",
            "[A-Za-z0-9._%+-]@[A-Za-z0-9-]+\\.[A-Za-z0-9-]",
            r"@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}",
            _is_address,
            _LOCAL,
        ),
    ),
)
"""Addresses, which are no secrets, and nobody else's business."""
