"""The test server on the wire: HTTP/1.1 framing, keep-alive, refusals, counts, and its end."""

from __future__ import annotations

import gc
import http.client
import io
import json
import runpy
import socket
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError
from llmopt.testing.server import Answer, OpenAIServer, ToolCall, openai_server
from llmopt.testing.server.app import App
from llmopt.testing.server.wire import RawRequest, head, take_request

ASK = {"model": "echo", "messages": [{"role": "user", "content": "Hold fire, now"}]}


@pytest.fixture
def client(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    yield connection
    connection.close()


def post(client, body, path="/v1/chat/completions", **headers):
    client.request("POST", path, json.dumps(body) if not isinstance(body, str) else body, headers)
    response = client.getresponse()
    return response, response.read()


def fetch(url):
    """Post the question over a connection of its own and return the answer's body."""
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=5)
    try:
        return post(connection, ASK)[1]
    finally:
        connection.close()


def raw_post(body, path="/v1/chat/completions"):
    data = json.dumps(body).encode()
    return b"POST %b HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (path.encode(), len(data), data)


def sending(answer, stream=True):
    """Return what the server would send, without a socket."""
    app = App()
    app.answers.append(answer)
    body = json.dumps(ASK | {"stream": stream}).encode()
    return app.respond(RawRequest("POST", "/v1/chat/completions", {}, body), 1)


class TestFraming:
    def test_one_connection_serves_many_requests(self, server, client):
        for number in range(3):
            response, body = post(client, ASK | {"stream": number == 1})
            assert response.status == 200
            assert b"Hold" in body
        assert server.connections == 1
        assert [request.connection_id for request in server.requests] == [1, 1, 1]

    def test_another_connection_has_another_number(self, server):
        for _ in range(2):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
            post(connection, ASK)
            connection.close()
        assert [request.connection_id for request in server.requests] == [1, 2]

    def test_a_whole_answer_has_its_length_and_a_stream_is_chunked(self, client):
        response, body = post(client, ASK)
        assert int(response.headers["content-length"]) == len(body)
        response, body = post(client, ASK | {"stream": True})
        assert response.headers["transfer-encoding"] == "chunked"
        assert response.headers["content-type"].startswith("text/event-stream")
        assert body.endswith(b"data: [DONE]\n\n")

    def test_requests_sent_ahead_are_answered_in_order(self, server):
        server.script(Answer(text="one", delay_s=0.02), Answer(text="two"))
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            client.sendall(raw_post(ASK) + raw_post(ASK))
            received = b""
            while received.count(b"HTTP/1.1 200 OK") < 2 or not received.endswith(b"}"):
                received += client.recv(1 << 16)
        assert received.index(b'"one"') < received.index(b'"two"')

    def test_a_request_may_come_in_pieces(self, server):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            for byte in raw_post(ASK):
                client.send(bytes([byte]))
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")

    @pytest.mark.parametrize("stream", [True, False])
    def test_a_client_that_wants_to_close_is_closed(self, server, stream):
        for closing in ({"connection": "close"}, {}):
            server.keep_alive = bool(closing)
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
            post(connection, ASK | {"stream": stream}, **closing)
            assert server.wait_for(lambda: server.in_flight == 0)
            if connection.sock is not None:
                assert connection.sock.recv(1) == b""
            connection.close()
        assert server.disconnects == 0

    def test_chunks_are_one_write_each_and_the_end_shares_the_last(self):
        paced = sending(Answer(chunks=["a", "b", "c"], chunk_delay_s=0.05))
        assert (len(paced.pieces), paced.gap_s, paced.last) == (3, 0.05, b"")
        assert paced.pieces[-1].endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")

    def test_without_a_pace_everything_is_one_write(self):
        assert len(sending(Answer(chunks=["a", "b", "c"])).pieces) == 1

    def test_the_end_may_come_later_than_the_last_event(self, server, client):
        late = sending(Answer(text="a", end_delay_s=0.03))
        assert late.pieces[-1].endswith(b"data: [DONE]\n\n\r\n")
        assert (late.last, late.end_delay_s) == (b"0\r\n\r\n", 0.03)
        server.script(Answer(text="a", end_delay_s=0.03))
        start = time.perf_counter()
        assert post(client, ASK | {"stream": True})[1].endswith(b"[DONE]\n\n")
        assert time.perf_counter() - start >= 0.03

    def test_delays_add_up_to_what_was_asked_for(self, server, client):
        server.script(Answer(chunks=["x"] * 6, delay_s=0.05, chunk_delay_s=0.02))
        start = time.perf_counter()
        post(client, ASK | {"stream": True})
        assert time.perf_counter() - start >= 0.15


REQUESTS = st.lists(
    st.builds(
        RawRequest,
        st.sampled_from(["GET", "POST"]),
        st.sampled_from(["/v1/models", "/v1/messages?beta=true"]),
        st.dictionaries(st.sampled_from(["x-a", "x-b"]), st.sampled_from(["1", "a b", "é"])),
        st.binary(max_size=40),
    ),
    min_size=1,
    max_size=3,
)


def encoded(request):
    headers = request.headers | {"Content-Length": str(len(request.body))}
    lines = [
        f"{request.method} {request.target} HTTP/1.1",
        *(f"{k}: {v}" for k, v in headers.items()),
        "\r\n",
    ]
    return "\r\n".join(lines).encode("latin-1") + request.body


@given(REQUESTS, st.lists(st.integers(1, 30), max_size=30))
def test_however_the_bytes_arrive_the_requests_are_the_same(requests, sizes):
    data = b"".join(map(encoded, requests))
    buffer, taken = bytearray(), []
    for size in [*sizes, len(data)]:
        buffer += data[:size]
        data = data[size:]
        while request := take_request(buffer):
            taken.append(request)
    assert [(request.method, request.target, request.body) for request in taken] == [
        (request.method, request.target, request.body) for request in requests
    ]
    assert [{**request.headers, "content-length": str(len(request.body))} for request in requests] == [
        request.headers for request in taken
    ]
    assert not buffer


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_and_closed(server, data):
    with pytest.raises(ValueError):
        take_request(bytearray(data))
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(data)
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 400 ")
        assert client.recv(1) == b""


def test_an_unknown_status_has_a_reason_too():
    assert head(529, {}, length=0).startswith(b"HTTP/1.1 529 Unknown\r\n")


class TestRefusals:
    @pytest.mark.parametrize(
        "case",
        [
            ("/v1/nothing", ASK, 404, "There is no POST /v1/nothing here."),
            ("/v1/chat/completions", "{", 400, "cannot be read"),
            ("/v1/chat/completions", [1], 400, "must be a JSON object"),
            ("/v1/chat/completions", {"model": "echo"}, 400, "KeyError: 'messages'"),
            ("/v1/chat/completions", ASK | {"messages": [7]}, 400, "TypeError"),
            ("/v1/messages", {}, 400, "KeyError"),
        ],
    )
    def test_the_reason_is_told_and_no_answer_is_taken(self, server, client, case):
        path, body, status, message = case
        server.script(Answer(text="kept"))
        response, answer = post(client, body, path)
        assert response.status == status
        assert message in json.loads(answer)["error"]["message"]
        assert len(server.answers) == 1

    def test_get_is_for_lists_only(self, server, client):
        client.request("GET", "/v1/chat/completions")
        response = client.getresponse()
        assert (response.status, json.loads(response.read())["error"]["type"]) == (404, "not_found_error")

    @pytest.mark.parametrize(("name", "prefix"), [("authorization", "Bearer "), ("x-api-key", "")])
    def test_a_key_is_demanded_and_never_recorded(self, server, client, name, prefix):
        server.require_key = "sk-right"
        assert post(client, ASK)[0].status == 401
        response, body = post(client, ASK, **{name: f"{prefix}sk-wrong"})
        assert (response.status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key")
        assert post(client, ASK, **{name: f"{prefix}sk-right"})[0].status == 200
        assert [request.headers.get(name) for request in server.requests] == [None, "***", "***"]
        assert "sk-" not in repr(server.requests) + repr(server) + str(server.stats) + body.decode()

    def test_anthropic_words_its_refusals_in_its_own_way(self, server, client):
        server.require_key = "sk-right"
        _, body = post(client, ASK, "/v1/messages")
        assert json.loads(body) == {
            "type": "error",
            "error": {"type": "authentication_error", "message": "Incorrect API key provided."},
        }
        client.request("GET", "/v1/models", headers={"anthropic-version": "2023-06-01"})
        assert json.loads(client.getresponse().read())["type"] == "error"


class TestCounts:
    def test_stats_are_for_all_to_read(self, server, client):
        post(client, ASK)
        client.request("GET", "/stats")
        stats = json.loads(client.getresponse().read())
        assert stats.pop("cpu_s") > 0
        assert stats == {
            "requests": 1,
            "connections": 1,
            "disconnects": 0,
            "in_flight": 0,
            "max_in_flight": 1,
            "paths": {"/chat/completions": 1},
            "tokens": {
                "input_tokens": 4,
                "output_tokens": 4,
                "cache_read_tokens": 0,
                "cache_write_tokens": 0,
            },
            "last_request": ASK,
        }

    def test_only_the_latest_requests_are_kept(self):
        with openai_server(keep_requests=2) as server:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
            for number in range(3):
                post(connection, ASK | {"n": number})
            connection.close()
            assert [request.body["n"] for request in server.requests] == [1, 2]
            assert server.stats["requests"] == 3

    def test_requests_at_once_are_counted(self, server):
        server.default = Answer(delay_s=0.1)
        threads = [threading.Thread(target=fetch, args=[server.url]) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert server.wait_for(lambda: server.in_flight == 3)
        for thread in threads:
            thread.join()
        assert (server.max_in_flight, server.in_flight, server.disconnects) == (3, 0, 0)

    def test_reset_forgets_what_was_seen_and_scripted(self, server, client):
        server.require_key = None
        server.script(Answer(text="a"), Answer(text="b"))
        post(client, ASK)
        server.reset()
        assert not server.answers
        assert not server.requests
        assert (server.connections, server.stats["requests"], server.max_in_flight) == (0, 0, 0)
        assert json.loads(post(client, ASK)[1])["id"] == "chatcmpl-1"

    def test_waiting_ends_without_success_too(self, server):
        assert not server.wait_for(lambda: server.disconnects, timeout_s=0.01)


class TestLife:
    def test_it_starts_and_stops_at_once_and_leaves_nothing(self):
        before = threading.active_count()
        start = time.perf_counter()
        server = OpenAIServer()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        post(connection, ASK)
        started_s = time.perf_counter() - start
        server.close()
        server.close()
        connection.close()
        assert started_s < 1
        assert threading.active_count() == before
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", server.port), timeout=1)
        del server
        gc.collect()  # an unclosed socket or loop would be a ResourceWarning, which is an error here

    def test_a_port_that_is_taken_is_an_error(self, server):
        with pytest.raises(OSError, match="in use"), openai_server(port=server.port):
            pytest.fail("it must not start")

    def test_closing_ends_what_hangs_and_blames_no_client(self):
        with openai_server() as server:
            server.script(Answer(hang=True))
            client = socket.create_connection(("127.0.0.1", server.port), timeout=5)
            client.sendall(raw_post(ASK))
            assert server.wait_for(lambda: server.in_flight == 1)
        with client:
            assert client.recv(1) == b""
        assert (server.in_flight, server.disconnects) == (0, 0)

    def test_it_runs_as_a_process_until_its_input_closes(self):
        command = [sys.executable, "-m", "llmopt.testing.server", "--text", "HOLD"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            answer = json.loads(fetch(process.stdout.readline().strip()))
            rest, _ = process.communicate(timeout=10)
        assert answer["choices"][0]["message"]["content"] == "HOLD"
        assert (rest, process.returncode) == ("", 0)

    def test_its_command_line_sets_the_pace(self, monkeypatch, capsys):
        seen = []

        class Input(io.StringIO):
            def read(self):
                url = capsys.readouterr().out.strip()
                start = time.perf_counter()
                fetch(url)
                seen.append(time.perf_counter() - start)
                raise KeyboardInterrupt

        monkeypatch.setattr(sys, "stdin", Input())
        monkeypatch.setattr(sys, "argv", ["llmopt.testing.server", "--port", "0", "--delay-s", "0.05"])
        runpy.run_module("llmopt.testing.server", run_name="__main__")
        assert seen[0] >= 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "a", "chunks": ["a"]}, "not both"),
        ({"empty": True, "text": "a"}, "says nothing"),
        ({"empty": True, "tool_calls": [ToolCall("a")]}, "says nothing"),
        ({"hang": True, "error_in_stream": True}, "not both"),
        ({"status": 42}, "200..599"),
        ({"delay_s": -1}, "delay_s"),
        ({"chunk_delay_s": float("nan")}, "chunk_delay_s"),
        ({"cut_after_chunks": -1}, "cut_after_chunks"),
        ({"finish": "bored"}, "one of stop"),
        ({"headers": {"x": "a\r\nb: c"}}, "line breaks"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        Answer(**arguments)
