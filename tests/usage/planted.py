"""Secrets of all kinds, made up, for tests that look for them where they must not be."""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable
from random import Random
from typing import NamedTuple
from urllib.parse import quote

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits
URL_SAFE = ALNUM + "-_"


class Plant(NamedTuple):
    """A text with a secret in it, and what of it must not be found anywhere."""

    text: str
    needle: str


def word(random: Random, length: int, alphabet: str = ALNUM) -> str:
    """Return characters with a digit, a capital and a small letter among them, as keys are."""
    some = "".join(random.choices(alphabet, k=length - 3))
    return (
        some[: length // 2]
        + random.choice("23456789")
        + some[length // 2 :]
        + "Xq"[random.random() < 0.5]
        + "7"
    )


def choice(random: Random, *words: str) -> str:
    return random.choice(words)


def bare(make: Callable[[Random], str]) -> Callable[[Random], Plant]:
    """Return what plants a secret that is known by its own looks."""

    def plant(random: Random) -> Plant:
        secret = make(random)
        return Plant(secret, secret)

    return plant


def inside(*texts: str, alphabet: str = ALNUM, length: int = 24) -> Callable[[Random], Plant]:
    """Return what plants a secret that is known by what stands around it."""

    def plant(random: Random) -> Plant:
        secret = word(random, length, alphabet)
        return Plant(random.choice(texts).replace("*", secret), secret)

    return plant


def jwt(random: Random) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    body = base64.urlsafe_b64encode(json.dumps({"sub": word(random, 12)}).encode()).decode().rstrip("=")
    return f"{head}.{body}.{word(random, 43, URL_SAFE)}"


def pem(random: Random) -> Plant:
    lines = [word(random, 64, ALNUM + "+/") for _ in range(4)]
    kind = random.choice(("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "))
    text = "\n".join((f"-----BEGIN {kind}PRIVATE KEY-----", *lines, f"-----END {kind}PRIVATE KEY-----"))
    return Plant(text, lines[random.randrange(4)])


def basic(random: Random) -> Plant:
    secret = base64.b64encode(f"ann:{word(random, 12)}".encode()).decode()
    return Plant(f"Authorization: Basic {secret}", secret)


BY_LOOKS: dict[str, Callable[[Random], Plant]] = {
    "openai": bare(lambda random: "sk-" + word(random, 48)),
    "openai project": bare(lambda random: "sk-proj-" + word(random, 80, URL_SAFE)),
    "anthropic": bare(lambda random: "sk-ant-api03-" + word(random, 90, URL_SAFE) + "AA"),
    "openrouter": bare(lambda random: "sk-or-v1-" + word(random, 64, HEX)),
    "google": bare(lambda random: "AIza" + word(random, 35, URL_SAFE)),
    "google oauth": bare(lambda random: "ya29." + word(random, 60, URL_SAFE)),
    "aws": bare(lambda random: random.choice(("AKIA", "ASIA")) + "".join(random.choices(UPPER, k=16))),
    "aws secret": inside(
        "aws_secret_access_key = *", '"SecretAccessKey": "*"', alphabet=ALNUM + "+/", length=40
    ),
    "github": bare(lambda random: f"gh{random.choice('pousr')}_" + word(random, 36)),
    "github fine": bare(lambda random: f"github_pat_{word(random, 22)}_{word(random, 59)}"),
    "gitlab": bare(lambda random: "glpat-" + word(random, 20, URL_SAFE)),
    "slack": bare(lambda random: f"xox{random.choice('abprs')}-{word(random, 12)}-{word(random, 24)}"),
    "stripe": bare(lambda random: choice(random, "sk_live_", "rk_test_", "pk_live_") + word(random, 24)),
    "stripe hook": bare(lambda random: "whsec_" + word(random, 32)),
    "huggingface": bare(lambda random: "hf_" + word(random, 34)),
    "groq": bare(lambda random: "gsk_" + word(random, 52)),
    "xai": bare(lambda random: "xai-" + word(random, 80)),
    "perplexity": bare(lambda random: "pplx-" + word(random, 48)),
    "replicate": bare(lambda random: "r8_" + word(random, 37)),
    "azure": bare(lambda random: f"{word(random, 52)}JQQJ99{word(random, 10)}ACOG{word(random, 4)}"),
    "azure storage": inside(
        "AccountName=a;AccountKey=*==;EndpointSuffix=x", alphabet=ALNUM + "+/", length=86
    ),
    "azure header": inside("api-key: *", "Ocp-Apim-Subscription-Key: *", alphabet=HEX, length=32),
    "jwt": bare(jwt),
    "pem": pem,
    "bearer": inside("Authorization: Bearer *", "authorization: bearer *", 'curl -H "X: Bearer *"'),
    "basic": basic,
    "url user": inside("postgres://bob:*@db.example/x", "redis://:*@localhost:6379/0"),
    "url key": inside(
        "https://api.example/v1?key=*", "https://x.example/a?b=1&access_token=*", "https://x.example/?sig=*&se=2",
    ),
}  # fmt: skip
"""What is taken out even of contents that are kept in full."""

BY_NAME: dict[str, Callable[[Random], Plant]] = {
    "json": inside(
        '{"api_key": "*"}', '{"password":"*"}', "{'client_secret': '*'}", '{\\"token\\": \\"*\\"}'
    ),
    "assignment": inside(
        "API_KEY=*", "export OPENAI_API_KEY='*'", "password: *", "db.passwd = *", "secret=*"
    ),
}
"""What is taken out where nothing is to be left to chance."""


def forms(secret: str) -> list[str]:
    """Return the ways in which a secret may be written."""
    encoded = secret.encode()
    return [
        secret,
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        base64.b64encode(encoded).decode(),
        base64.urlsafe_b64encode(encoded).decode(),
        base64.b64encode(b"user:" + encoded).decode(),
    ]
