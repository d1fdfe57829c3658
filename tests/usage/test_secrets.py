"""Ten thousand calls with secrets planted in them, of which none may be found in any byte that is written."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import llm
import pytest

from llmopt import usage
from llmopt.errors import ConfigurationError, StoreError
from llmopt.middleware.usage_log import UsageLog
from llmopt.usage.known_secrets import _escaped
from llmopt.usage.record import trace
from llmopt.usage.recorder import Recorder
from llmopt.usage.redact import Redactor
from llmopt.usage.secret_patterns import Trigger
from llmopt.wrapping import wrap

from .planted import BY_LOOKS, BY_NAME, Plant, forms, word

CASES = 10_000
BATCH = 250
MODES: dict[str, dict[str, Any]] = {
    "no content": {},
    "redacted": {"content": "redacted"},
    "full": {"content": "full"},
    "digest key": {"content": "redacted", "digest_key": "a-key-of-the-digests-1"},
}
CHATTER = (
    "The tank is at (3, 14); hold the line. ",
    '{"agent_id": "A1", "hp": 100, "orders": ["hold"]}',
    "max_tokens=4096 and the token count is 17\n",
    "Zażółć gęślą jaźń, \u4f60\u597d. ",
    "a=1&b=2 https://example.org/path?limit=10 ",
)


class Vault:
    """What a process knows: a secret in each place where it may come from."""

    def __init__(self, random: Random, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given, self.env, self.stored, self.of_call, self.of_model, self.header, self.digest_key = (
            word(random, random.randrange(16, 40)) + random.choice(("", "/+?&", '"\\é', " two words"))
            for _ in range(7)
        )
        self.learned: tuple[str, ...] = ()
        monkeypatch.setenv("GAME_API_TOKEN", self.env)
        monkeypatch.setenv("LLM_USER_PATH", str(folder))
        (folder / "keys.json").write_text(json.dumps({"game": self.stored}))

    def plant(self, random: Random) -> Plant:
        """Plant one of them, in one of the ways to write it."""
        secret = random.choice((self.given, self.env, self.stored, *self.learned))
        form = random.choice(forms(secret))
        return Plant(form, form if form == secret else form[3:-3])


class Planter:
    """Makes texts with secrets in them, and remembers these."""

    def __init__(self, random: Random, vault: Vault, kinds: dict[str, Any]) -> None:
        self.random, self._vault, self._kinds = random, vault, [*kinds.values()]
        self.needles: list[str] = []

    def text(self, *, short: bool = False) -> str:
        """Return a text which may have a secret in it, at any place."""
        random = self.random
        text = "" if short else "".join(random.choices(CHATTER, k=random.randrange(1, 6)))
        if random.random() < 0.6:
            return text or "plain"
        plant = self._vault.plant(random) if random.random() < 0.3 else random.choice(self._kinds)(random)
        self.needles.append(plant.needle)
        at = random.randrange(len(text) + 1)
        return text[:at] + plant.text + text[at:]


class Options(llm.Options):
    temperature: float | None = None
    prefill: str | None = None


class Model(llm.KeyModel):
    """Says, raises and tells what a planter makes up."""

    can_stream = supports_tools = supports_schema = True
    Options = Options

    def __init__(self, planter: Planter, vault: Vault) -> None:
        self.planter = planter
        self.model_id = planter.text(short=True)
        self.needs_key = planter.text(short=True)
        self.key = vault.of_model
        self.api_base = (
            f"https://user:{vault.of_model}@{planter.text(short=True)}.example/v1?key={vault.header}"
        )
        self.headers = {"X-Auth-Token": vault.header}

    def execute(self, prompt, stream, response, conversation, key):
        text, random = self.planter.text, self.planter.random
        if random.random() < 0.2:
            raise type(text(short=True).replace("\0", ""), (Exception,), {"status_code": 500})(text())
        whole = text()
        cut = random.randrange(len(whole) + 1)
        yield whole[:cut]
        yield whole[cut:]
        response.set_usage(
            input=10, output=5, details={text(short=True): {"note": text(short=True), "n": [text()]}}
        )
        response.set_resolved_model(text(short=True))
        response.response_json = {"finish_reason": text(short=True), "content": text()}


def noting(planter: Planter) -> Any:
    def flow(call: Any) -> Any:
        names = ("role", "agent", "cache", "tier", "compressor", "breaker", "mine")
        call.trace.notes.update({name: planter.text(short=True) for name in planter.random.sample(names, 2)})
        reply = yield call
        reply.source = planter.text(short=True)

    return flow


def call(planter: Planter, vault: Vault, *logs: Any) -> None:
    """Make one call, with secrets wherever there may be any."""
    text, random = planter.text, planter.random
    model = wrap(Model(planter, vault), *logs, noting(planter))
    tool = llm.Tool(name="look", description=text(), input_schema={"properties": {text(short=True): {}}})
    asked: dict[str, Any] = {"system": text(), "fragments": [text(), llm.Fragment(text(), text(short=True))]}
    asked["system_fragments"] = [text()]
    if random.random() < 0.3:
        asked["tools"], asked["tool_results"] = [tool], [llm.ToolResult("look", text())]
    if random.random() < 0.2:
        asked["schema"] = {"type": "object", "description": text()}
    if random.random() < 0.3:
        asked["prefill"] = text()
    conversation = model.conversation()
    conversation.id = text(short=True)
    with (
        suppress(Exception),
        usage.role(text(short=True)),
        usage.agent(text(short=True)),
        trace(text(short=True)),
    ):
        if random.random() < 0.5:
            conversation.prompt(text(), **asked).text()
        else:
            model.prompt(text(), key=vault.of_call, **asked).text()


def shown(planter: Planter, vault: Vault, log: UsageLog, folder: Path) -> Iterator[str]:
    """Yield what exceptions and representations say."""
    yield repr(log)
    yield f"{log._recorder!r} {log._recorder.__dict__['_redactor']!r}"
    vault.learned = ()  # these are not known to a log that has not logged a call
    tags = {"a": planter.text(), "b": None}
    with pytest.raises(ConfigurationError) as caught:
        UsageLog(folder / "x.db", tags=tags, secrets=[vault.given], digest_key=vault.digest_key)
    yield str(caught.value)
    (folder / "file").write_text("")
    strict = UsageLog(folder / "file" / "x.db", strict=True, secrets=[vault.given])
    with pytest.raises(StoreError) as failed:
        wrap(llm.get_model("echo"), strict).prompt(vault.given).text()
    yield str(failed.value)


def written(folder: Path) -> Iterator[bytes]:
    """Yield the bytes of all files."""
    for file in folder.rglob("*"):
        if file.is_file():
            with suppress(FileNotFoundError):
                yield file.read_bytes()


def dumped(path: Path) -> bytes:
    """Return the whole database as text, where no page boundary hides anything."""
    connection = sqlite3.connect(path)
    try:
        return "\n".join(connection.iterdump()).encode()
    finally:
        connection.close()


def batch(
    seed: str, mode: str, folder: Path, monkeypatch: pytest.MonkeyPatch, records: list[Any]
) -> set[str]:
    """Make a batch of calls and return those of the secrets in them that can be found."""
    random = Random(seed)
    user, logs = folder / "user", folder / "log"
    user.mkdir(parents=True)
    vault = Vault(random, user, monkeypatch)
    planter = Planter(random, vault, BY_LOOKS if mode == "full" else BY_LOOKS | BY_NAME)
    more = {
        **MODES[mode],
        "secrets": [vault.given],
        "digest_key": vault.digest_key if mode == "digest key" else None,
    }
    tags = {planter.text(short=True): planter.text(), "api_key": planter.text()}
    log = UsageLog(
        logs / "usage.db", role=planter.text(short=True), agent=planter.text(short=True), tags=tags, **more
    )
    payloads: list[bytes] = []

    def spied(*given: Any) -> Any:
        both = made(*given)
        payloads.extend(filter(None, both))
        return both

    made = log._recorder.payloads
    monkeypatch.setattr(log._recorder, "payloads", spied)
    with suppress(Exception):
        wrap(Model(planter, vault), log).prompt("plain", key=vault.of_call).text()
    vault.learned = (vault.of_call, vault.of_model, vault.header)  # from now on
    for _ in range(BATCH):
        call(planter, vault, log)
    assert log.stats()["failed"] == 0
    found = [
        *payloads,
        *written(logs / "usage.db-spool"),
        *(text.encode() for text in shown(planter, vault, log, folder / "user")),
    ]
    assert log._writer.flush(30)
    found += [*written(logs), dumped(logs / "usage.db")]
    found += [record.getMessage().encode() for record in records]
    known = (
        vault.given,
        vault.env,
        vault.stored,
        vault.of_call,
        vault.of_model,
        vault.header,
        vault.digest_key,
    )
    return leaked({*planter.needles, *known}, b"\n".join(found))


def leaked(needles: set[str], found: bytes) -> set[str]:
    """Return those that can be found, as they are or as JSON has them."""
    ways = [(needle, form) for needle in needles for form in {needle, json.dumps(needle)[1:-1]}]
    text, seen = found.decode("latin-1"), set()
    for at in range(0, len(ways), 200):
        some = [(needle, form.encode().decode("latin-1")) for needle, form in ways[at : at + 200]]
        # Many at once are looked for in the time that one takes.
        if Trigger("|".join(_escaped(form) for _, form in some))(text):
            seen |= {needle for needle, form in some if form in text}
    return seen


def test_the_finder_finds_all_that_is_there():
    needles = {f"needle-{n}" for n in range(100)} | {'with "quotes" and é', "not there"}
    text = json.dumps(sorted(needles - {"not there"})).encode() + "with é".encode()
    assert leaked(needles, text) == needles - {"not there"}
    assert leaked({"not there"}, text) == set()


@pytest.mark.parametrize("mode", MODES)
def test_no_planted_secret_is_found(mode, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    for number in range(CASES // len(MODES) // BATCH):
        assert batch(f"{mode} {number}", mode, tmp_path / str(number), monkeypatch, caplog.records) == set()


def test_the_finder_finds_what_is_not_taken_out(tmp_path, monkeypatch):
    monkeypatch.setattr(Redactor, "clean", lambda _self, text: text)
    monkeypatch.setattr("llmopt.usage.recorder.telling", lambda _named: [])
    found = batch("7", "redacted", tmp_path, monkeypatch, [])
    assert len(found) > BATCH


def test_without_the_rules_of_one_kind_it_is_found(tmp_path, monkeypatch):
    made = Recorder.__init__

    def lax(self: Any, **given: Any) -> None:
        made(self, **given)
        for redactor in filter(None, (self._redactor, self._texts._redactor)):
            redactor._groups = [group for group in redactor._groups if group.needs != "_"]

    monkeypatch.setattr(Recorder, "__init__", lax)
    found = batch("8", "redacted", tmp_path, monkeypatch, [])
    assert found
    beginnings = ("gh", "github_", "sk_", "pk_", "rk_", "whsec_", "hf_", "gsk_", "r8_")
    assert all(needle.startswith(beginnings) for needle in found)
