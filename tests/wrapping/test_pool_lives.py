"""How long clients live: event loops, eviction, forks and the end of the process."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref

import pytest
from llm.default_plugins.openai_models import AsyncChat, Chat

from llmopt.testing.server import Answer
from llmopt.wrapping import wrap
from llmopt.wrapping._clients import Shelf


@pytest.fixture
def pool_limit():
    return 2


def model(server, cls=AsyncChat, key="one"):
    plain = cls("echo", api_base=server.url)
    plain.key = key
    return wrap(plain, default=False)


def test_every_event_loop_has_a_client_that_ends_with_it(server, pool, run):
    asked = model(server)
    clients = []

    async def main():
        for _ in range(3):
            assert await asked.prompt("x", stream=False).text() == "Echo: x"
        clients.append(asked.get_client(None, async_=True))

    for _ in range(2):
        run(main)
    assert server.connections == 2
    assert clients[0] is not clients[1]
    assert all(client.is_closed() for client in clients)
    clients.clear()
    gc.collect()
    assert not list(pool._loops)


def test_concurrent_calls_of_one_loop_share_a_client(server, pool):
    asked = model(server)
    server.default = Answer(text="HOLD", delay_s=0.01)

    async def main():
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(ask(asked)) for _ in range(24)]
        assert {answer.result() for answer in answers} == {"HOLD"}
        before = server.connections
        assert await ask(asked) == "HOLD"
        assert server.connections == before

    asyncio.run(main())
    assert server.connections <= 24


async def ask(asked):
    return await asked.prompt("x").text()


def test_a_loop_that_is_ending_gets_clients_that_are_not_kept(server, pool):
    asked = model(server)

    async def late():
        try:
            yield await asked.prompt("x", stream=False).text()
        finally:
            await asyncio.sleep(0.01)
            client = asked.get_client(None, async_=True)
            assert client is not asked.get_client(None, async_=True)

    async def main():
        await anext(aiter(left := late()))
        kept.append(left)

    kept = []
    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_clients_of_a_loop_that_was_closed_in_haste_are_forgotten(server, pool):
    asked = model(server)
    for expected in (1, 1):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(ask(asked))
        loop.close()
        assert len(pool._loops) == expected
    del loop
    gc.collect()


def test_the_least_recently_used_client_goes_and_is_closed_once_unused(server, pool):
    first, second, third = (model(server, Chat, key) for key in ("one", "two", "three"))
    held = first.get_client(None)
    second.get_client(None)
    third.get_client(None)
    assert first.get_client(None) is not held
    http = weakref.ref(held._client)
    second.prompt("x").text()
    assert not http().is_closed
    del held
    gc.collect()
    second.prompt("x").text()
    assert http() is None or http().is_closed


def test_the_same_in_an_event_loop(server, pool, run):
    models = [model(server, AsyncChat, key) for key in ("one", "two", "three")]

    async def main():
        held = models[0].get_client(None, async_=True)
        http = held._client
        for asked in models[1:]:
            await asked.prompt("x", stream=False).text()
        assert not http.is_closed
        del held
        gc.collect()
        await models[2].prompt("x", stream=False).text()
        assert http.is_closed

    run(main)


def test_a_client_in_use_survives_its_eviction(server, pool):
    server.default = Answer(chunks=("a", "b"), chunk_delay_s=0.05)
    stream = iter(model(server, Chat, "one").prompt("x"))
    assert next(stream) == "a"
    for key in ("two", "three", "four"):
        model(server, Chat, key).prompt("x").text()
        gc.collect()
    assert list(stream) == ["b"]


class Http:
    """An HTTP client that knows whether it is closed."""

    closed = 0

    def close(self):
        self.closed += 1

    async def aclose(self):
        self.closed += 1


class Client:
    def is_closed(self):
        return False


def test_a_shelf_knows_what_is_left_to_close():
    shelf, https = Shelf(limit=1), [Http() for _ in range(3)]
    clients = [Client() for _ in https]
    for key, client, http in zip((b"1", b"2", b"3"), clients, https, strict=True):
        shelf.keep(key, client, http)
    assert (shelf.find(b"1"), shelf.find(b"3")) == (None, clients[2])
    del clients[0], client
    gc.collect()
    shelf.tidy(None)
    assert [http.closed for http in https] == [1, 0, 0]
    assert sorted(map(id, shelf.end())) == sorted(map(id, https[1:]))
    assert shelf.end() == []
    assert shelf.ended


def test_a_client_that_somebody_closed_is_replaced(server, pool):
    asked = model(server, Chat)
    asked.get_client(None).close()
    assert asked.prompt("x").text() == asked.prompt("x").text() == "Echo: x"
    assert (server.connections, len(pool._threads._open)) == (1, 1)


def test_a_closed_pool_starts_anew(server, pool):
    asked = model(server, Chat)
    before = asked.get_client(None)
    pool.close()
    assert before.is_closed()
    assert asked.prompt("x").text() == "Echo: x"


def test_an_inherited_pool_is_left_as_it_is(server, pool):
    """What a forked child does first, with the lock held by a thread that it does not have."""
    asked = model(server, Chat)
    parents = asked.get_client(None)
    asked.prompt("x").text()
    inherited, pool._lock = pool._threads, None
    pool.forget()
    assert asked.get_client(None) is not parents
    assert asked.prompt("x").text() == "Echo: x"
    assert (parents.is_closed(), server.connections) == (False, 2)
    for http in inherited.end():
        http.close()


def test_a_platform_without_fork(server, pool, monkeypatch):
    monkeypatch.delattr("os.register_at_fork", raising=False)
    assert model(server, Chat).prompt("x").text() == "Echo: x"


SCRIPT = """
import asyncio, os, sys
from llm.default_plugins.openai_models import AsyncChat, Chat
from llmopt.wrapping import wrap

def model(cls):
    plain = cls("echo", api_base=sys.argv[1])
    plain.needs_key = None
    return wrap(plain, default=False)
"""

TWO_LOOPS = """
asked = model(AsyncChat)
async def main():
    await asyncio.gather(*(asked.prompt("x").text() for _ in range(3)))
asyncio.run(main())
asyncio.run(main())
model(Chat).prompt("x").text()
"""

FORK = """
asked = model(Chat)
asked.prompt("parent").text()
child = os.fork()
asked.prompt("child" if child == 0 else "parent").text()
asked.prompt("child" if child == 0 else "parent").text()
if child:
    assert os.waitpid(child, 0)[1] == 0
    asked.prompt("parent").text()
"""

LEFT = """
async def main():
    for asked in [model(AsyncChat), model(AsyncChat)]:
        events = asked.prompt("x").astream_events()
        async for _ in events:
            break
        await events.aclose()
asyncio.run(main())
for _ in model(Chat).prompt("x"):
    break
"""


def run_script(server, script):
    """Run `script` in a process in which every warning counts, and return what it complained about."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", SCRIPT + script, server.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    slow = ("Executing <", "Loading ", "  ")  # asyncio's debug mode has an opinion on slow imports
    return done.returncode, [line for line in done.stderr.splitlines() if not line.startswith(slow)]


@pytest.mark.parametrize("script", [TWO_LOOPS, LEFT])
def test_a_process_ends_without_a_word(server, script):
    assert run_script(server, script) == (0, [])


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="there is no fork here")
def test_a_forked_child_has_connections_of_its_own(server):
    assert run_script(server, FORK) == (0, [])
    ids = {name: set() for name in ("parent", "child")}
    for request in server.requests:
        ids[request.user_text].add(request.connection_id)
    assert len(ids["parent"]) == len(ids["child"]) == 1
    assert ids["parent"] != ids["child"]
