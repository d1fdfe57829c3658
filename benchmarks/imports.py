"""What `import llmopt` costs, beside `import llm` and the peers; each in a fresh interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

from _measure import save
from _peers import LITELLM_PYTHON

MODULES = ("llmopt", "llm", "langchain_core.language_models", "dspy")


def cpu_ms(python: str, module: str | None, rounds: int = 7) -> float | None:
    """Return the median CPU milliseconds of importing `module`, or None where it is absent."""
    code = (
        "import time, sys; start = time.process_time(); "
        + (f"import {module}; " if module else "")
        + "print((time.process_time() - start) * 1e3, len(sys.modules))"
    )
    taken = []
    for _ in range(rounds):
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            return None
        taken.append(float(done.stdout.split()[0]))
    return round(statistics.median(taken), 2)


def main() -> None:
    found = {module: cpu_ms(sys.executable, module) for module in MODULES}
    if Path(LITELLM_PYTHON).exists():
        found["litellm"] = cpu_ms(LITELLM_PYTHON, "litellm")
    base = found["llm"] or 1.0
    content = {
        "import_cpu_ms": found,
        "ratio_to_llm": {name: round(value / base, 3) for name, value in found.items() if value is not None},
    }
    save("imports", content, ("llm", "langchain-core", "dspy"))


if __name__ == "__main__":
    main()
