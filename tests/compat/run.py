"""Runs llm's own test suite with every model wrapped, and as it is, and compares what fails.

    python tests/compat/run.py --llm-source ~/src/llm

See README.md beside this file. It needs the standard library only, and fetches nothing but packages.
"""

# ruff: noqa: T201 - it talks to a person

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[2]
NEEDED = {
    "click", "cogapp", "llm-echo", "numpy", "pytest", "pytest-asyncio", "pytest-httpx", "pytest-recording",
    "syrupy",
}  # fmt: skip
"""What llm's tests use of its developers' tools: neither the documentation's nor the linters'."""
STACKS = ("bare", "passthrough", "default")


@dataclass(frozen=True)
class World:
    """One llm to test against.

    Attributes:
        name: what it is called here.
        packages: what is installed, beside what llm's tests and llmopt need.
        httpx2: whether its HTTP client is httpx2, which pytest-httpx does not know.
    """

    name: str
    packages: tuple[str, ...]
    httpx2: bool


WORLDS = (
    World("oldest", ("llm==0.32", "openai<3"), httpx2=False),
    World("newest", ("llm>=0.36", "openai>=3", "httpx2"), httpx2=True),
)


@dataclass(frozen=True)
class Outcome:
    """What one run of the suite gave: how many tests passed, and the ids of those that failed."""

    passed: int
    failed: frozenset[str]
    note: str

    def __str__(self) -> str:
        return f"{self.passed} passed, {len(self.failed)} failed. {self.note}"


def main() -> int:
    """Compare in each world that is asked for; 1 if wrapping changes anything in one of them."""
    options = arguments()
    work = (options.work or Path(tempfile.mkdtemp(prefix="llmopt-compat-"))).resolve()
    print(f"working in {work}", flush=True)
    same = [
        compare(world, options, work / world.name) for world in WORLDS if options.llm in {world.name, "both"}
    ]
    return 0 if all(same) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--llm-source", type=Path, required=True, help="checkout of llm's repository, at a tag"
    )
    parser.add_argument(
        "--llm", choices=["oldest", "newest", "both"], default="both", help="which llm to install"
    )
    parser.add_argument(
        "--stack", choices=STACKS, nargs="+", default=["passthrough"], help="what wraps models"
    )
    parser.add_argument("--python", default=sys.executable, help="interpreter of the virtual environments")
    parser.add_argument("--work", type=Path, help="folder for environments and results; kept and used again")
    parser.add_argument("pytest", nargs="*", help="further arguments of pytest, after --")
    options = parser.parse_args()
    if not (options.llm_source / "tests" / "conftest.py").is_file():
        parser.error(f"{options.llm_source} has no tests/conftest.py; is it a checkout of llm's repository?")
    return options


def compare(world: World, options: argparse.Namespace, work: Path) -> bool:
    """Run the suite in `world`, as it is and with each stack; tell whether the same tests fail."""
    work.mkdir(parents=True, exist_ok=True)
    python = environment(world, options, work / "venv")
    prepare(world, options, work, python)
    unwrapped, same = run(python, work, "unwrapped", options.pytest), True
    for stack in options.stack:
        wrapped = run(python, work, stack, ["-p", "llmopt.testing.wrap_all", *options.pytest])
        print(f"\n{world.name} llm, every model wrapped with the {stack} stack")
        same &= matches(unwrapped, wrapped)
    return same


def matches(unwrapped: Outcome, wrapped: Outcome) -> bool:
    """Print both outcomes, and tell whether they are the same."""
    print(f"  unwrapped: {unwrapped}\n  wrapped:   {wrapped}")
    report("fails when wrapped only", wrapped.failed - unwrapped.failed)
    report("fails when unwrapped only", unwrapped.failed - wrapped.failed)
    report("fails either way", wrapped.failed & unwrapped.failed)
    return unwrapped.passed > 0 and (wrapped.passed, wrapped.failed) == (unwrapped.passed, unwrapped.failed)


def report(title: str, tests: frozenset[str]) -> None:
    for test in sorted(tests):
        print(f"  {title}: {test}", flush=True)


# Before


def environment(world: World, options: argparse.Namespace, venv: Path) -> Path:
    """Make a virtual environment unless it is there, and return its interpreter."""
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = "\n".join(sorted({*world.packages, *requirements(options.llm_source, world)}))
    stamp = venv / "installed.txt"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"making an environment for the {world.name} llm", flush=True)
        subprocess.run([options.python, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *wanted.splitlines()], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return python


def requirements(llm_source: Path, world: World) -> Iterator[str]:
    """Yield what llmopt needs, and what llm's tests need; the llm to be tested brings the rest."""
    chosen = {package_name(package) for package in world.packages}
    own = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    yield from (need for need in own["project"]["dependencies"] if package_name(need) not in chosen)
    theirs = tomllib.loads((llm_source / "pyproject.toml").read_text(encoding="utf-8"))
    for need in theirs["dependency-groups"]["dev"]:
        name = package_name(need) if isinstance(need, str) else ""
        if name in NEEDED:
            # A newer llm-echo goes with a newer llm than the one that the suite was written for.
            yield "llm-echo" if name == "llm-echo" and world.httpx2 else need


def package_name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()


def prepare(world: World, options: argparse.Namespace, work: Path, python: Path) -> None:
    """Copy the suite and llmopt, so that nobody's edits disturb the runs."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.rmtree(work / "suite", ignore_errors=True)
    shutil.copytree(options.llm_source / "tests", work / "suite" / "tests", ignore=ignore)
    shutil.copytree(options.llm_source / "docs", work / "suite" / "docs", ignore=ignore)
    shutil.copy(options.llm_source / "pytest.ini", work / "suite")
    shutil.rmtree(work / "path", ignore_errors=True)
    shutil.copytree(ROOT / "src" / "llmopt", work / "path" / "llmopt", ignore=ignore)
    if world.httpx2:
        code = "import pytest_httpx; print(pytest_httpx.__path__[0])"
        command = [str(python), "-I", "-c", code]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        shutil.copytree(found, work / "path" / "pytest_httpx", ignore=ignore)
        to_httpx2(work / "path" / "pytest_httpx")
        to_httpx2(work / "suite" / "tests")


def to_httpx2(folder: Path) -> None:
    """Make the files of `folder` import httpx2 and httpcore2 in the place of httpx and httpcore."""
    for path in folder.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"^(\s*)import (httpx|httpcore)$", r"\1import \g<2>2 as \2", text, flags=re.MULTILINE)
        text = re.sub(r"^(\s*from) (httpx|httpcore)\b", r"\1 \g<2>2", text, flags=re.MULTILINE)
        path.write_text(text, encoding="utf-8")


# Running


def run(python: Path, work: Path, name: str, arguments: list[str]) -> Outcome:
    """Run the suite once; its output goes to a file beside the environment."""
    results, home = work / f"{name}.xml", work / "home"
    results.unlink(missing_ok=True)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    kept = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
    path = str(work / "path")
    settings = {"PYTHONPATH": path, "LLM_USER_PATH": str(home), "LLMOPT_WRAP_ALL": name}
    environment = {**kept, **settings, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(python), "-m", "pytest", "tests", "-q", "-p", "no:cacheprovider", f"--junitxml={results}"]
    print(f"running the suite {name}; see {work / name}.txt", flush=True)
    with (work / f"{name}.txt").open("w", encoding="utf-8") as output:
        subprocess.run(
            [*command, *arguments],
            cwd=work / "suite",
            env=environment,
            stdout=output,
            stderr=output,
            check=False,
        )
    return outcome(results, (work / f"{name}.txt").read_text(encoding="utf-8"))


def outcome(results: Path, output: str) -> Outcome:
    """Read what a run gave; a run that could not even begin has passed no test."""
    note = " ".join(re.findall(r"^llmopt wrapped .*$", output, flags=re.MULTILINE))
    if not results.is_file():
        return Outcome(0, frozenset(), "The run broke off:\n" + output[-2000:])
    cases = list(ET.parse(results).iter("testcase"))  # noqa: S314 - written by the run above
    failed = frozenset(
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    )
    skipped = sum(case.find("skipped") is not None for case in cases)
    return Outcome(
        len({(c.get("classname"), c.get("name")) for c in cases}) - len(failed) - skipped, failed, note
    )


if __name__ == "__main__":
    sys.exit(main())
