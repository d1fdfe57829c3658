"""What `import llmopt` costs, beside `import llm` and the peers; each in a fresh interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

from _measure import QUICK, save
from _peers import LITELLM_PYTHON, litellm_figures

MODULES = ("llmopt", "llm", "langchain_core.language_models", "dspy")


def cpu_ms(python: str, module: str) -> float | None:
    """Return the CPU milliseconds of importing `module` once, or None where it is absent."""
    code = (
        f"import time; start = time.process_time(); import {module}; "
        "print((time.process_time() - start) * 1e3)"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return None if done.returncode else float(done.stdout)


def main(rounds: int = 3 if QUICK else 9) -> None:
    pythons = dict.fromkeys(MODULES, sys.executable)
    if Path(LITELLM_PYTHON).exists():
        pythons["litellm"] = LITELLM_PYTHON
    first = {module: cpu_ms(python, module) for module, python in pythons.items()}  # may write bytecode
    taken: dict[str, list[float]] = {module: [] for module, ms in first.items() if ms is not None}
    for _ in range(rounds):
        for module, values in taken.items():
            if (ms := cpu_ms(pythons[module], module)) is not None:
                values.append(ms)
    found = {module: round(statistics.median(values), 2) for module, values in taken.items()}
    content = {
        "import_cpu_ms": found,
        "ratio_to_llm": {module: round(ms / found["llm"], 3) for module, ms in found.items()},
        "litellm": litellm_figures("versions"),
    }
    save("imports", content, ("llm", "langchain-core", "dspy"))


if __name__ == "__main__":
    main()
