"""Answers a call from memory, or from a file, if it was answered before."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

from ..cache.checks import seconds_of
from ..cache.codec import Entry
from ..cache.key import Key, Keys, reads_files
from ..cache.memory import MemoryStore
from ..errors import ConfigurationError
from ..resilience.flights import Flights
from ..types import Call, Flow, Run, Step, Store
from ._cache_flight import Stream
from ._cache_lookup import Lookup
from ._cache_store import Shelf, log
from ._configured import Configured, freeze

Mode: TypeAlias = Literal["read_write", "read_only", "write_only", "off"]
SampleId: TypeAlias = "int | str | None"


@dataclass(frozen=True)
class Cache(Configured):
    """Answers equal calls once: the others get a replay, or follow the answer while it is being made.

    Two calls are equal if everything that can change the answer is (`llmopt.cache.key` lists it): the
    model and its endpoint, all that is sent, the options, `namespace` and `sample_id`. A replay gives the
    events, parts, tool calls, usage and JSON of the live answer; only `response.llmopt.source` is "cache",
    and `response.llmopt.notes["cache"]` tells more. It needs no API key. Sync and async models of one
    plugin share entries, streamed and whole answers do too.

    Failed and abandoned calls, empty answers, those of a `Fallback` and those that JSON cannot hold are
    not kept. A cache never makes a call fail: what its store cannot do is counted, and the model is asked.

    Single flight: of the calls that ask the same thing with the same API key at the same time, one asks
    the model and the others follow it live, from any thread, asyncio or trio, and from other processes
    where they share a `SQLiteStore` (these wait for the end). In one process an error is shared too, as
    retries belong inside the cache. When the one that asks is cancelled, another asks again in its place,
    and what its consumer has heard already is not said twice; if the model now says something else, that
    consumer gets a `CallError`.

    A fast cache may stand in front of a slow one: ``Cache(), Cache(store=SQLiteStore("cache.db"))``.

    Args:
        max_entries: entries that the store in memory holds; the least recently used goes first.
        ttl: seconds for which an entry is fresh; None for ever.
        max_bytes: bytes that the store in memory holds.
        store: where entries are kept instead, such as `SQLiteStore("cache.db")`.
        namespace: caches with different names never share an entry, even in one store.
        when: tells which calls may be cached; `deterministic` is one. All of them by default.
        mode: "read_write"; "read_only" keeps nothing; "write_only" asks always and keeps the answer;
            "off" lets all calls pass.
        stale_if_error: seconds after its `ttl` for which an entry stands in for a call that failed
            before anything was delivered.
        sample_id: with another number or name, the same call gets another answer.
        single_flight: whether calls follow one that is under way.
        patience_s: seconds without an event after which a follower gives its leader up, and asks.

    Raises:
        ConfigurationError: an argument is out of its range.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> model = llmopt.wrap(ScriptedModel(["HOLD", "GO"]), llmopt.Cache())
        >>> [model.prompt("What now?").text() for _ in range(3)]
        ['HOLD', 'HOLD', 'HOLD']
        >>> with llmopt.cache_control(sample_id=2):
        ...     model.prompt("What now?").text()
        'GO'
    """

    max_entries: int = 4096
    ttl: float | None = 3600.0
    _: KW_ONLY
    max_bytes: int = 64 * 2**20
    store: Store | None = None
    namespace: str = ""
    when: Callable[[Call], bool] | None = None
    mode: Mode = "read_write"
    stale_if_error: float = 0.0
    sample_id: SampleId = None
    single_flight: bool = True
    patience_s: float = 60.0
    _shelf: Shelf = field(init=False, repr=False, compare=False)
    _keys: Keys = field(init=False, repr=False, compare=False)
    _flights: Flights[Stream, None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.ttl is not None:
            seconds_of("Cache: ttl", self.ttl)
        seconds_of("Cache: stale_if_error", self.stale_if_error)
        seconds_of("Cache: patience_s", self.patience_s)
        _check_terms("Cache", self.mode, self.sample_id)
        _check_name("Cache", self.namespace)
        memory = MemoryStore(self.max_entries, self.max_bytes)
        shelf = Shelf(memory if self.store is None else self.store, self.ttl, self.stale_if_error)
        shelf.memory = memory if self.store is None else None
        freeze(
            self, _shelf=shelf, _keys=Keys(self.namespace, own=self.store is None), _flights=Flights(Stream)
        )

    def __call__(self, call: Call) -> Flow:
        """Return the flow of one call."""
        shelf, control = self._shelf, _control.get()
        mode, sample_id = (self.mode, self.sample_id) if control is None else control.over(self)
        if mode == "off" or (self.when is not None and not self.when(call)):
            yield from self._pass(call, "bypasses")
            return
        try:
            key = self._keys.plain(call, sample_id) or (yield from self._whole_key(call, sample_id))
        except Exception as error:  # noqa: BLE001 - whatever a prompt holds, the model may know what it is
            log.debug("a call has no cache key: %s", error)
            key = None
        if key is None:
            yield from self._pass(call, "unkeyable")
            return
        stale: Entry | None = None
        if mode != "write_only":
            found = (yield from shelf.get(key)) if shelf.memory is None else shelf.memory.get(key)
            if found is not None:
                now = call.clock.time()
                reply = shelf.fresh(found, now)
                if reply is not None:
                    call.trace.notes["cache"] = "hit"
                    shelf.counters.add("hits", reply.usage)
                    yield reply
                    return
                stale = yield from shelf.refused(key, found, now, writes=mode == "read_write")
        lookup = Lookup(shelf, call, key, stale, writes=mode != "read_only")
        shared = self.single_flight and mode != "write_only"
        yield from lookup.flow(self._flights, self.patience_s, shared=shared)

    def stats(self) -> dict[str, int]:
        """Return the counters: what became of the calls, and what the store holds.

        ``hits``, ``misses``, ``stale``, ``coalesced`` and ``bypasses`` count calls (``unkeyable``: those
        bypasses that had no key), ``unkept`` answers that could not be kept, ``expired`` entries,
        ``errors`` what the store could not do or read, ``input_tokens_saved`` and ``output_tokens_saved``
        tokens; ``entries``, ``bytes`` and ``evictions`` are the store's.
        """
        return self._shelf.stats()

    def clear(self) -> None:
        """Forget all entries of the store, whatever their namespace.

        Raises:
            StoreError: the store could not do it.
        """
        self._shelf.store.clear()

    def _whole_key(self, call: Call, sample_id: SampleId) -> Generator[Step, Any, Key]:
        messages = call.prompt.messages
        whole = partial(self._keys.whole, call, sample_id, messages)
        return (yield Run(whole)) if reads_files(messages) else whole()

    def _pass(self, call: Call, counter: str) -> Flow:
        call.trace.notes["cache"] = "bypass"
        self._shelf.counters.add("bypasses")
        if counter != "bypasses":
            self._shelf.counters.add(counter)
        yield call


@dataclass(frozen=True, slots=True)
class Control:
    """What `cache_control` has set; None leaves a cache's own setting."""

    mode: Mode | None = None
    sample_id: SampleId = None

    def over(self, cache: Cache) -> tuple[Mode, SampleId]:
        """Return the mode and the sample id that hold for `cache`."""
        return self.mode or cache.mode, cache.sample_id if self.sample_id is None else self.sample_id


_control: ContextVar[Control | None] = ContextVar("llmopt.cache_control", default=None)


@contextmanager
def cache_control(*, mode: Mode | None = None, sample_id: SampleId = None) -> Generator[None]:
    """Set, for the calls made inside, how caches treat them.

    llm asks the model when the answer is read: read it inside. It holds for the current thread or task.

    Args:
        mode: as for `Cache`; None leaves it as it is.
        sample_id: as for `Cache`; None leaves it as it is.

    Yields:
        Nothing.

    Raises:
        ConfigurationError: an argument is none of those.

    Example:
        >>> with cache_control(mode="write_only"):
        ...     pass  # model.prompt(...).text() asks anew, and keeps the answer
    """
    if mode is not None or sample_id is not None:
        _check_terms("cache_control", mode or "off", sample_id)
    outside = _control.get() or Control()
    token = _control.set(Control(mode or outside.mode, outside.sample_id if sample_id is None else sample_id))
    try:
        yield
    finally:
        _control.reset(token)


def deterministic(call: Call) -> bool:
    """Tell whether a call is meant to have the same answer every time: temperature 0, or a seed.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> model = llmopt.wrap(ScriptedModel(), cache := llmopt.Cache(when=deterministic))
        >>> model.prompt("HOLD", temperature=0).text(), model.prompt("HOLD", temperature=0.7).text()
        ('HOLD', 'HOLD')
        >>> cache.stats()["misses"], cache.stats()["bypasses"]
        (1, 1)
    """
    options = call.prompt.options
    return getattr(options, "temperature", None) == 0 or getattr(options, "seed", None) is not None


def _check_terms(owner: str, mode: object, sample_id: object) -> None:
    if mode not in get_args(Mode):
        raise ConfigurationError(f"{owner}: mode={mode!r} is wrong: it must be one of {get_args(Mode)}")
    if isinstance(sample_id, bool) or not (sample_id is None or isinstance(sample_id, (int, str))):
        right = "it must be an integer or a string"
        raise ConfigurationError(f"{owner}: sample_id={sample_id!r} is wrong: {right}")


def _check_name(owner: str, namespace: object) -> None:
    if not isinstance(namespace, str):
        raise ConfigurationError(f"{owner}: namespace={namespace!r} is wrong: it must be a string")
