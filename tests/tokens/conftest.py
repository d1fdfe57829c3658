"""No test of this room reaches the network, and none sees the rank folders of the person who runs it."""

from __future__ import annotations

import socket

import pytest

from llmopt.tokens import counter


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        pytest.fail(f"the network was asked for: {args}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)


@pytest.fixture(autouse=True)
def no_rank_folders(monkeypatch):
    for name in ("LLMOPT_TIKTOKEN_DIR", "TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["o200k_base", "cl100k_base"])
def exact(request):
    return counter(request.param, exact=True)
