"""What every test stands on: no settings of the person who runs it, no deadlines, a local provider."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest
from hypothesis import settings

from llmopt.testing import openai_server

settings.register_profile("llmopt", deadline=None, print_blob=True)
settings.load_profile("llmopt")


@pytest.fixture(scope="session", autouse=True)
def llm_user_path(tmp_path_factory):
    """An empty folder in the place of llm's own: no keys, no aliases, no log."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM_USER_PATH", str(tmp_path_factory.mktemp("llm")))
        for key in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
            patch.delenv(key, raising=False)
        yield


@pytest.fixture
def server():
    """A provider on this machine, over real HTTP."""
    with openai_server() as running:
        yield running


@pytest.fixture
def one_request_a_connection(server):
    """Nobody closes llm's clients: their connections must end by themselves."""
    server.keep_alive = False


@pytest.fixture(scope="module")
def small_certificate_store(tmp_path_factory):
    """Every new client reads all of certifi's certificates, which takes longer than the test."""
    first = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")
    store = tmp_path_factory.mktemp("tls") / "one.pem"
    store.write_text("".join(first[:2]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(store))
        yield
