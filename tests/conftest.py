"""What every test stands on: no settings of the person who runs it, and no deadlines on a busy machine."""

from __future__ import annotations

import pytest
from hypothesis import settings

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
