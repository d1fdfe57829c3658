"""How much memory a million calls through the default stack leave behind."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from _measure import ANSWER, QUICK, save

folder = tempfile.TemporaryDirectory()
os.environ["LLM_USER_PATH"] = folder.name

from overhead import InProcess  # noqa: E402

import llmopt  # noqa: E402

WARM_UP = 500 if QUICK else 50_000
CALLS = next((int(given) for given in sys.argv[1:] if given.isdigit()), 2_000 if QUICK else 1_000_000)


def resident_kib() -> int:
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def main() -> None:
    model = llmopt.wrap(InProcess((ANSWER,)))
    samples: list[int] = []
    for number in range(WARM_UP + CALLS):
        model.prompt(f"call {number}", temperature=0.0).text()
        if number >= WARM_UP and (number - WARM_UP) % (CALLS // 20) == 0:
            llmopt.usage.flush()
            samples.append(resident_kib())
    llmopt.usage.flush()
    samples.append(resident_kib())
    content = {
        "calls": CALLS,
        "resident_kib": samples,
        "growth_mib": round((samples[-1] - samples[0]) / 1024, 3),
    }
    save("memory", content, ("llm",))


if __name__ == "__main__":
    main()
