"""Runs what the documentation shows: the python blocks of README.md and docs/, and docstring examples.

The blocks of one page share a namespace and run in order, in an empty folder; `await` may stand at their
top level. A block that cannot run says so in the line before it: `<!-- skip: reason -->`. A text block right
after one is what that prints, but for white space.
"""

from __future__ import annotations

import ast
import asyncio
import doctest
import importlib
import inspect
import re
import runpy
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from llmopt.compress import decode
from llmopt.testing.server import Answer

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
BLOCK = re.compile(
    r"^(?:[ \t]*<!-- skip: (?P<reason>.+?) -->\n+)?"
    r"(?P<indent>[ \t]*)```(?:python|py)\b[^\n]*\n(?P<code>.*?)^(?P=indent)```[ \t]*$"
    r"(?:\n+(?P=indent)```text\n(?P<printed>.*?)^(?P=indent)```[ \t]*$)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    path: Path
    line: int
    code: str
    reason: str | None
    printed: str | None = None

    def run(self, module: ModuleType) -> None:
        padding = "\n" * (self.line - 1)  # tracebacks then show the line of the page
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(padding + self.code, str(self.path), "exec", flags=flags, dont_inherit=True)
        result = eval(code, module.__dict__)  # noqa: S307 - the project's own pages
        if inspect.iscoroutine(result):
            asyncio.run(result)


def blocks_of(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    return [
        Block(
            path,
            text.count("\n", 0, m.start("code")) + 1,
            textwrap.dedent(m["code"]),
            m["reason"],
            m["printed"],
        )
        for m in BLOCK.finditer(text)
    ]


def cases() -> list[object]:
    """One case per page with blocks to run, and one per skipped block, so that it is counted."""
    found: list[object] = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        blocks = blocks_of(path) if path.exists() else []
        page = path.relative_to(ROOT).as_posix()
        shown = [block for block in blocks if not block.reason]
        found += [pytest.param(shown, id=page)] if shown else []
        found += [
            pytest.param([block], id=f"{page}: {block.reason}", marks=pytest.mark.skip(reason=block.reason))
            for block in blocks
            if block.reason
        ]
    return found


def modules_with_examples() -> list[str]:
    paths = (path for path in sorted(SRC.rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8"))
    return [".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__") for path in paths]


@pytest.fixture(autouse=True)
def stranger(tmp_path, monkeypatch):
    """An empty folder, and no settings of llm's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "llm"))


@pytest.fixture
def provider(monkeypatch, server):
    """A provider for the models that pages name: llm's own code asks a local server in its place."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-reader")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    server.handler = planned


def planned(request):
    """Answer a planner with a plan for each agent, and all else as the server would."""
    _, asks, table = request.user_text.rpartition("Agents:\n")
    if not asks:
        return None
    agents = [row["agent"] for row in decode(table.partition("\n\n")[0])]
    return Answer(chunks=[f'["{agent}",["move_to",10,5]]\n' for agent in agents])


@pytest.mark.parametrize("blocks", cases())
@pytest.mark.usefixtures("provider")
def test_page(blocks, monkeypatch, capsys):
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)  # dataclasses look their module up
    for block in blocks:
        block.run(module)
        said = capsys.readouterr().out
        if block.printed is not None:
            assert said.split() == block.printed.split(), said


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
@pytest.mark.usefixtures("provider")
def test_example(path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")


@pytest.mark.parametrize("name", modules_with_examples())
def test_docstrings(name):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(importlib.import_module(name), optionflags=flags).failed == 0


def defined_in(path: Path) -> set[str]:
    """What a test file defines, as a page names it."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            found.update(target.id for target in node.targets if isinstance(target, ast.Name))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found.update(f"{node.name}::{inner.name}" for inner in node.body if hasattr(inner, "name"))
    return found


def test_every_guarantee_names_a_test_that_exists():
    rows = re.findall(
        r"^\| .+ \|$", (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    promises = [row for row in rows if not row.startswith("| Promise |")]
    named = [re.search(r"\| `(tests/[\w/]+\.py)::([\w:]+)` \|$", row) for row in promises]
    assert [row for row, name in zip(promises, named, strict=True) if name is None] == []
    assert len(named) > 10
    assert [name[0] for name in named if name[2] not in defined_in(ROOT / name[1])] == []


class TestRunner:
    PAGE = """
        text
        <!-- skip: needs a key -->
        ```python
        raise SystemExit
        ```
          ```py title="indented"
          x = 1
          ```
        ```bash
        python
        ```
        ```python
        import asyncio
        await asyncio.sleep(0)
        seen.append(x)
        1 / 0
        ```

        ```text
        what it prints
        ```
        """

    def test_blocks_are_found_run_in_order_and_traced_to_their_line(self, tmp_path):
        path = tmp_path / "page.md"
        path.write_text(textwrap.dedent(self.PAGE), encoding="utf-8")
        skipped, first, second = blocks_of(path)
        assert [block.printed for block in (skipped, first, second)] == [None, None, "what it prints\n"]
        assert (skipped.reason, first.reason, second.reason) == ("needs a key", None, None)
        module = ModuleType("page")
        module.seen = []
        first.run(module)
        with pytest.raises(ZeroDivisionError) as error:
            second.run(module)
        assert module.seen == [1]
        last = error.traceback[-1]
        assert (Path(str(last.path)), last.lineno + 1) == (path, 17)
