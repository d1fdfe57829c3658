"""Peers in environments of their own: what cannot be installed beside llm runs as another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LITELLM_PYTHON = os.environ.get("LITELLM_PYTHON", str(HERE.parent / ".venv-litellm/bin/python"))


def litellm_figures(figure: str) -> dict[str, Any]:
    """Return litellm's figures for one of ours, in units of a bare llm-sized call of its own process.

    litellm needs openai < 3 and llm 0.36 needs openai >= 3, so the two cannot share a process; CPU time on
    the same machine minutes apart is what is left to compare.
    """
    if not Path(LITELLM_PYTHON).exists():
        return {"absent": "no environment for litellm: see benchmarks/README.md"}
    command = [LITELLM_PYTHON, str(HERE / "_litellm.py"), figure]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return {"failed": done.stderr.strip().splitlines()[-1:] or ["no message"]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
