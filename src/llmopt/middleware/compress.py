"""Sends data in fewer tokens, and gives replies their ids back."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ..chain.compat import plain_texts
from ..compress.choice import DEFAULT, JSON, Choice, choices
from ..compress.guard import Guard
from ..compress.legend import legend
from ..compress.notation.features import PROFILES
from ..compress.roles import Role, role_of
from ..compress.vault import Vault
from ..resilience._common import is_count, require
from ..tokens import TokenCounter, counter
from ..types import Call, Flow, Run
from ._compress_fragments import sent_prompt
from ._compress_memo import Marks, Outcomes
from ._compress_prompt import may_hold, rewritten, texts_of
from ._compress_restore import Restoring, restore_tool_calls
from ._compress_text import Rewriting
from ._configured import Configured, freeze

if TYPE_CHECKING:
    from llm.parts import Message

Profile: TypeAlias = Literal["safe", "balanced", "dense", "auto"]

_AT_ONCE_CHARS: Final = 8192
"""Larger prompts are rewritten in a worker thread, if there is an event loop that they would hold up."""


@dataclass(frozen=True)
class Compress(Configured):
    """Sends the data in a prompt in the encoding of fewest tokens that the profile allows.

    Data are `llmopt.Data` fragments, and JSON that stands in the texts of messages and in results of tools:
    in prose, in blocks that say "json", pretty-printed or not. Nothing is lost but what a role drops, and
    never are there more tokens than before. The caller's `response.prompt` stays as it is. The notes of the
    call tell `tokens_before` and `tokens_after` (of the texts that were changed), `compressor` (the profile)
    and `loss` (how many values a role has dropped, by the reason).

    Each message is rewritten always to the same text, whatever comes after it: a growing conversation keeps
    its prefix byte for byte, as a provider's prefix cache demands. What the model has said itself is not
    encoded.

    A model that never saw the notation is told how to read it, in a legend of 44 to 80 tokens: in the system
    prompt if the first question holds data, else at the head of the first message that does. Until a message
    saves more than that, data is sent as JSON and in plain tables, which need no words.

    With a vault, opaque ids (UUIDs, hashes, `call_...`) are sent as short handles, in all messages, and come
    back in the reply: in the text, streamed or not, and in the arguments of tool calls. What a model says
    about the characters of an id, it can then not know. `vault=True` takes a new vault for each call, in
    which ids are counted from the first message on: nothing is kept, and no reply can name an id that was not
    in its own prompt. A `Vault` of your own serves all calls.

    The guard steps a model and role down a profile when the rate of valid rows falls, as `judge` or the notes
    `rows` and `valid_rows` tell it; see `llmopt.compress.guard`.

    Args:
        profile: "safe", "balanced" or "dense", as for `llmopt.compress.encode`; "auto" takes what
            `llmopt eval compress` found best for the model, from its file, which is read here and now, and
            "balanced" for models that are not in it.
        role: what is pruned and rounded in `Data` that has no role of its own; a `Role` or the name of one.
        role_on_found: whether that goes for JSON found in texts too.
        vault: True, or a vault; None sends ids as they are.
        min_tokens: JSON of fewer tokens is left alone, unless it is data with a role.
        system: whether JSON in system prompts is encoded too. `Data` always is.
        legend: whether a few words explain the notation, once in a conversation; see `compress.legend`.
        guard: a `Guard` with other bounds; False for none.

    Raises:
        ConfigurationError: an argument is of the wrong kind, or the file for "auto" is damaged.

    Example:
        >>> import llmopt
        >>> from llmopt.compress.data import Data
        >>> from llmopt.testing import ScriptedModel
        >>> model = llmopt.wrap(ScriptedModel(), Compress())  # it echoes what it is sent
        >>> squad = [{"id": n, "kind": "wolf", "hp": n * 7, "pos": [n, n + 1]} for n in range(9)]
        >>> response = model.prompt("Plan.", fragments=[Data(squad)])
        >>> len(response.text()) < len(response.prompt.prompt)
        True
        >>> notes = response.llmopt.notes
        >>> notes["compressor"], notes["tokens_after"] < notes["tokens_before"]
        ('balanced', True)
    """

    profile: Profile = "balanced"
    _: KW_ONLY
    role: Role | str | None = None
    role_on_found: bool = False
    vault: Vault | bool | None = None
    min_tokens: int = 64
    system: bool = False
    legend: bool = True
    guard: Guard | bool = True
    _role: Role | None = field(init=False, repr=False, compare=False)
    _choices: dict[str, Choice] = field(init=False, repr=False, compare=False)
    _guard: Guard | None = field(init=False, repr=False, compare=False)
    _marks: Marks = field(init=False, repr=False, compare=False)
    _outcomes: Outcomes = field(init=False, repr=False, compare=False)
    _account: Account = field(init=False, repr=False, compare=False)
    _counters: dict[str, TokenCounter] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = ", ".join(PROFILES)
        require(
            self.profile in (*PROFILES, "auto"), "Compress: profile", self.profile, f"one of {names}, auto"
        )
        require(is_count(self.min_tokens, least=0), "Compress: min_tokens", self.min_tokens, "a whole number")
        _check("vault", self.vault, (Vault, bool, type(None)), "True, a Vault, or None")
        _check("legend", self.legend, (bool,), "True or False")
        _check("guard", self.guard, (Guard, bool), "True, False, or a Guard")
        freeze(
            self,
            _role=role_of(self.role),
            _choices=choices() if self.profile == "auto" else {},
            _guard=self.guard if isinstance(self.guard, Guard) else Guard() if self.guard else None,
            _marks=Marks(),
            _outcomes=Outcomes(),
            _account=Account(),
            _counters={},
        )

    def __call__(self, call: Call) -> Flow:
        """Return the flow of one call."""
        self._account.call()
        messages = self._messages(call)
        if messages is None:
            yield call
            return
        work = partial(self._rewritten, call, messages)
        at_once = call.model_id in self._counters and sum(map(len, texts_of(messages))) <= _AT_ONCE_CHARS
        changed, rewriting = work() if at_once else (yield Run(work))
        self._account.add(rewriting, changed=changed is not None)
        if changed is None:
            yield call
            return
        self._note(call, rewriting)
        sent = call.replace(prompt=sent_prompt(call.prompt, changed, rewriting))
        if rewriting.vault is None or not rewriting.hid:
            yield sent
        else:
            restoring = Restoring(rewriting.vault, call.trace)
            reply = yield sent.tap(restoring.see, flush=restoring.flush)
            restore_tool_calls(reply, rewriting.vault)
        if self._guard is not None and rewriting.profile != JSON:
            self._guard.watch(call.trace.notes, self._key(call), rewriting.profile)

    def stats(self) -> dict[str, Any]:
        """Return the counters, and where the guard has stepped down.

        ``calls`` were seen and ``compressed`` of them changed; ``tokens_before`` and ``tokens_after`` count
        the texts that were changed, ``dropped`` the values that a role has left out, ``errors`` the JSON that
        an encoder could not handle and that was sent as it was. ``stepped_down`` has the profile in use, by
        model id and role.
        """
        return {**self._account.read(), "stepped_down": {} if self._guard is None else self._guard.steps()}

    def _messages(self, call: Call) -> list[Message] | None:
        """Return the messages of a call, or None if there is nothing in them to rewrite."""
        prompt: Any = call.prompt
        if prompt.fragments or prompt.system_fragments:
            self._marks.learn((*prompt.fragments, *prompt.system_fragments), self._role)
        ids, plain = bool(self.vault), plain_texts(prompt)
        if plain is not None and not may_hold(plain, ids=ids):
            return None
        messages: list[Message] = prompt.messages
        texts = texts_of(messages)
        self._marks.learn(texts, self._role)
        return messages if may_hold(texts, ids=ids) else None

    def _rewritten(self, call: Call, messages: list[Message]) -> tuple[list[Message] | None, Rewriting]:
        """Return the messages as they are sent, None for as they are, and the account."""
        rewriting = self._rewriting(call)
        return rewritten(messages, rewriting, system=self.system), rewriting

    def _rewriting(self, call: Call) -> Rewriting:
        model_id = call.model_id
        if model_id not in self._counters:
            self._counters[model_id] = counter(model_id)
        wanted: str = self.profile
        if wanted == "auto":
            wanted = self._choices[model_id].profile if model_id in self._choices else DEFAULT
        guard = None if wanted == JSON else self._guard
        profile = wanted if guard is None else guard.profile(self._key(call), wanted)
        return Rewriting(
            profile=profile,
            role=self._role if self.role_on_found else None,
            min_tokens=self.min_tokens,
            model_id=model_id,
            counter=self._counters[model_id],
            vault=Vault() if self.vault is True else self.vault or None,
            marks=self._marks,
            outcomes=self._outcomes,
            legend=legend(profile) if self.legend and profile != JSON else "",
        )

    def _key(self, call: Call) -> tuple[str, str]:
        """Return what the guard tells apart: the model, and the role that the call or else this has."""
        role = (call.trace.noted or {}).get("role") or ("" if self._role is None else self._role.name)
        return call.model_id, role

    def _note(self, call: Call, rewriting: Rewriting) -> None:
        notes, loss = call.trace.notes, dict(rewriting.loss)
        notes.update(
            tokens_before=rewriting.before, tokens_after=rewriting.after, compressor=rewriting.profile
        )
        if loss:
            notes["loss"] = loss


@dataclass(slots=True)
class Account:
    """The counters of a `Compress`; safe for threads."""

    calls: int = 0
    compressed: int = 0
    tokens_before: int = 0
    tokens_after: int = 0
    dropped: int = 0
    errors: int = 0
    _lock: Lock = field(init=False, repr=False, default_factory=Lock)

    def call(self) -> None:
        """Count a call."""
        with self._lock:
            self.calls += 1

    def add(self, rewriting: Rewriting, *, changed: bool) -> None:
        """Count what was done to a call."""
        with self._lock:
            self.errors += rewriting.errors
            if changed:
                self.compressed += 1
                self.tokens_before += rewriting.before
                self.tokens_after += rewriting.after
                self.dropped += sum(rewriting.loss.values())

    def read(self) -> dict[str, int]:
        """Return all of them."""
        with self._lock:
            return {name: getattr(self, name) for name in _COUNTS}


_COUNTS: Final = ("calls", "compressed", "tokens_before", "tokens_after", "dropped", "errors")


def _check(name: str, value: object, kinds: tuple[type, ...], right: str) -> None:
    require(isinstance(value, kinds), f"Compress: {name}", value, right)
