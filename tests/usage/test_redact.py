"""Secrets are found by their looks and by their value, clean texts are left alone, and nothing takes long."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.usage import known_secrets
from llmopt.usage.known_secrets import KnownSecrets, forms_of, telling
from llmopt.usage.redact import Redactor
from llmopt.usage.secret_patterns import EMAILS, GROUPS, NAMES

from .planted import BY_LOOKS, BY_NAME, forms, word

ALL = Redactor(emails=True)
CERTAIN = Redactor(strict_only=True)
RULE_GROUPS = (*GROUPS, NAMES, EMAILS)
RULES = [rule for group in RULE_GROUPS for rule in group.rules]


# by their looks


@pytest.mark.parametrize("kind", BY_LOOKS)
def test_what_looks_like_a_secret_is_taken_out(kind):
    random = Random(kind)
    for _ in range(50):
        text, needle = BY_LOOKS[kind](random)
        before, after = (
            random.choice(("", "x", "Key is ", "\n", '"')),
            random.choice(("", " yes", "\n", '"', ",7")),
        )
        for redactor in (ALL, CERTAIN):
            clean = redactor.clean(f"{before}{text}{after}")
            assert needle not in clean
            assert "[redacted:" in clean
            assert redactor.clean(clean) == clean


@pytest.mark.parametrize("kind", BY_NAME)
def test_what_is_called_a_secret_is_taken_out_unless_contents_are_kept_in_full(kind):
    random = Random(kind)
    for _ in range(50):
        text, needle = BY_NAME[kind](random)
        assert needle not in ALL.clean(f"first {text} last")
        assert needle in CERTAIN.clean(f"first {text} last")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("key sk-abcDEF0123456789abcd.", "key [redacted:openai-key]."),
        ("sk-ant-api03-abcdefghijkl", "[redacted:anthropic-key]"),
        ('{"password": "two words, \'so\' to say"}', '{"password": "[redacted:secret]"}'),
        ("Authorization: Bearer letmein-please", "Authorization: Bearer [redacted:authorization]"),
        ("https://bob:hunter2@localhost/a", "https://[redacted:url-credentials]@localhost/a"),
        ("https://x.example/?a=1&key=abcdef&b=2", "https://x.example/?a=1&key=[redacted:url-key]&b=2"),
        ("mail ann.lee+x@mail.example.org, please", "mail [redacted:email], please"),
        ("token: 12345", "token: 12345"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\ncut off", "[redacted:private-key]"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",) * 2,
        ("AKIA0123456789ABCDEF and sk-abcDEF0123456789abcd", "[redacted:aws-key] and [redacted:openai-key]"),
    ],
)  # fmt: skip
def test_what_stands_in_its_place(text, clean):
    assert ALL.clean(text) == clean


CLEAN = (
    "Risk-assessment-of-the-whole-project, a task-management-and-planning-document",
    "Basic understanding of the token count: 4096 tokens; max_tokens=4096, prompt_tokens: 123456",
    "def key(token: str, secret: int = 0): return token",
    "@dataclass(frozen=True) class A: pass",
    "http://localhost:8000/v1/models?limit=10&after=abcdefgh",
    "01m7yrem9b84w91s006eyky34b e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "the secretary keeps a bearer of bad news; basic training",
    '{"token": null, "password": "", "api_key": true}',
    "eyJust a word",
)


@pytest.mark.parametrize("text", CLEAN)
def test_what_is_no_secret_stays(text):
    assert ALL.clean(text) == text


def test_emails_stay_where_they_are_not_asked_about():
    assert Redactor().clean("ann@example.org") == "ann@example.org"


@pytest.mark.parametrize("rule", RULES, ids=[rule.label for rule in RULES])
def test_what_a_pattern_matches_its_trigger_sees(rule):
    """Otherwise the pattern would never be asked."""
    group = next(group for group in RULE_GROUPS if rule in group.rules)

    @settings(max_examples=30)
    @given(st.from_regex(re.compile(rule.pattern, re.ASCII)), st.text(max_size=9), st.text(max_size=9))
    def holds(match, before, after):
        text = before + match + after
        text = text.encode(errors="replace").decode()
        if any(True for _ in rule.matches(text)):
            assert group.in_text(text)

    holds()


@given(st.text(), st.sampled_from(sorted(BY_LOOKS)), st.text(), st.integers())
def test_it_is_found_wherever_it_stands(before, kind, after, seed):
    text, needle = BY_LOOKS[kind](Random(seed))
    clean = ALL.clean(before + text + after)
    assert needle not in clean
    clean.encode()


def test_lone_surrogates_hide_nothing():
    text = "sk-abcDEF0123456789abcd"
    assert ALL.clean(f"\ud800{text}\udfff") == "?[redacted:openai-key]?"
    assert ALL.clean("a\ud800b") == "a?b"


def test_secrets_that_overlap_are_one():
    known = KnownSecrets(["abcDEF0123456789abcd!tail"])
    assert Redactor(known).clean("sk-abcDEF0123456789abcd!tail.") == "[redacted:openai-key]."


# by their value


@pytest.mark.parametrize("secret", ["p@ss/w?rd \"with' all\\of\tthem é", "plain-old-value", "aaaaaaaa"])
def test_a_known_value_is_found_in_every_form(secret):
    redactor = Redactor(KnownSecrets([secret]))
    for form in forms(secret):
        for text in (f"a {form} b", f"{form}{form}"):
            assert form[3:-3] not in redactor.clean(text)


def test_the_base64_of_a_longer_text_shows_no_known_value():
    redactor = Redactor(KnownSecrets(["correct horse battery"]))
    for before in ("", "u", "us", "use", "user:"):
        whole = base64.b64encode(f"{before}correct horse battery staple".encode()).decode()
        head, _, tail = redactor.clean(whole).partition("[redacted:secret]")
        assert tail
        shown = [
            base64.b64decode(piece[: len(piece) // 4 * 4]) for piece in (head, *(tail[n:] for n in range(4)))
        ]
        assert not any(b"rse" in piece or b"atte" in piece for piece in shown)


def test_values_that_are_too_short_or_too_long_are_not_looked_for():
    redactor = Redactor(KnownSecrets(["short", "x" * 10_001]))
    assert redactor.clean("short" + "x" * 10_001) == "short" + "x" * 10_001
    assert repr(redactor) == f"Redactor({len(GROUPS) + 1} groups of rules, KnownSecrets(0 of them))"


def test_a_repr_shows_no_value():
    assert repr(KnownSecrets(["correct horse"])) == "KnownSecrets(1 of them)"


def test_what_the_process_knows_is_taken_in(monkeypatch, tmp_path):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    monkeypatch.setenv("MY_API_KEY", "value-of-my-key")
    monkeypatch.setenv("MAX_TOKENS", "100000000")
    monkeypatch.setenv("KEY_FILE", os.fspath(tmp_path))
    (tmp_path / "keys.json").write_text(json.dumps({"// Note": "This file stores", "openai": "stored-key-1"}))
    known = KnownSecrets()
    known.look_around()
    redactor = Redactor(known)
    assert redactor.clean("value-of-my-key stored-key-1") == "[redacted:secret] [redacted:secret]"
    kept = f"This file stores 100000000 in {tmp_path}"
    assert redactor.clean(kept) == kept
    version = known.version
    known.look_around()
    assert known.version == version
    (tmp_path / "keys.json").write_text(json.dumps({"openai": "another-stored-key"}))
    monkeypatch.setenv("MY_TOKEN", "value-of-my-token")
    known.look_around()
    assert known.version > version
    assert redactor.clean("another-stored-key value-of-my-token") == "[redacted:secret] [redacted:secret]"


@pytest.mark.parametrize("content", ["no json", "[1, 2]", None])
def test_a_file_of_keys_that_cannot_be_read_stops_nothing(monkeypatch, tmp_path, content):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    if content is not None:
        (tmp_path / "keys.json").write_text(content)
    assert known_secrets.stored_keys() == []


def test_names_tell_which_values_are_secret():
    named = {
        "OPENAI_API_KEY": "a",
        "DB_PASSWORD": "b",
        "PATH": "c",
        "GITHUB_TOKEN": 1,
        "X_PWD": "d",
        "PWD": "e",
    }
    assert telling(named) == ["a", "b", "d"]


def test_the_keys_of_callers_are_learned_and_bounded():
    known = KnownSecrets()
    redactor = Redactor(known)
    random = Random(7)
    keys = [word(random, 20) for _ in range(80)]
    for key in keys:
        known.learn(key, redactor.shows)
    assert [redactor.clean(key) for key in keys[-64:]] == ["[redacted:secret]"] * 64
    assert redactor.clean(keys[0]) == keys[0]
    version = known.version
    known.learn(keys[-1], redactor.shows)
    known.learn("sk-" + word(random, 40), redactor.shows)  # it is seen to be one anyway
    known.learn("short", redactor.shows)
    assert known.version == version


def test_keys_that_were_met_are_forgotten_in_time(monkeypatch):
    monkeypatch.setattr(known_secrets, "_MOST_MET", 4)
    monkeypatch.setattr(known_secrets, "_MOST_LEARNED", 1)
    known = KnownSecrets()
    for number in range(9):
        known.learn(f"one-value-{number}", lambda _text: True)
        assert len(known.met) <= 4
    assert "one-value-0" in known.met


@given(st.text(min_size=8, max_size=60))
def test_forms_are_of_the_value(value):
    assert value.encode(errors="replace").decode() in forms_of(value)


# time


ADVERSARIAL = {
    "jwt without a dot": "eyJ" * 30_000,
    "jwt with dots": "eyJaaaaaa." * 9_000,
    "private keys": "-----BEGIN PRIVATE KEY-----" * 3_000,
    "dashes": "-----BEGIN PRIVATE KEY" + "-" * 90_000,
    "users": "://a:" * 18_000,
    "one long user": "://" + "a" * 90_000 + ":",
    "parameters": "?key" * 22_000,
    "one long name": "?" + "key" * 30_000,
    "assignments": "token=" * 15_000,
    "quotes": 'password="' * 9_000,
    "open quote": 'password: "' + "a " * 45_000,
    "mail": "a" * 45_000 + "@" + "a." * 22_000,
    "ats": "a@" * 45_000,
    "bearer": "Bearer " * 12_000,
    "azure": "a" * 90_000 + "JQQJ99" + "b" * 20,
    "keys": "sk-" * 30_000,
    "spaces": "password" + " " * 90_000,
}


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_time_is_linear(kind):
    """Sixteen times the text takes about sixteen times as long; with back-tracking it would be 256 times."""
    text = ADVERSARIAL[kind]

    def took_s(part: str) -> float:
        begun_s = time.thread_time()
        ALL.clean(part)
        return time.thread_time() - begun_s

    small = min(took_s(text[: len(text) // 16]) for _ in range(3))
    assert min(took_s(text) for _ in range(3)) < 0.005 + 80 * small
    assert took_s(text) < 2


def test_a_clean_text_takes_hardly_any_time():
    """8 kB in about 10 us; the bound leaves room for a machine that is slow and busy."""
    text = "The tank is at (3, 14) and has 40% of its fuel_left, so: hold the line!\n" * 110
    ALL.clean(text)
    times_s = []
    for _ in range(50):
        begun_s = time.perf_counter()
        ALL.clean(text)
        times_s.append(time.perf_counter() - begun_s)
    assert min(times_s) < 0.0003
