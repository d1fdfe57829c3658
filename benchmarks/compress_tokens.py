"""Tokens, time and round trip of the encodings on the shared workloads; beside them JSON, YAML, CSV and TOON.

The workloads lie in `../shared/data/workloads`, or in the folder that LLMOPT_SHARED_DATA names.
Times are CPU time in units of the standard library's `json.dumps` of the same value in the same round.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _measure import in_units, measure, save, summary

from llmopt.compress import Vault, decode, encode
from llmopt.compress.encode import forget_shapes
from llmopt.tokens import counter

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("LLMOPT_SHARED_DATA", HERE.parents[1] / "shared/data")) / "workloads"
NAMES = ("game10_tick0", "k8s20", "tools40", "chat40", "events75")
O200K = counter("o200k_base")
Way = tuple[Callable[[Any], str], Callable[[str], Any] | None]


def ours() -> dict[str, Way]:
    vault = Vault()
    ways: dict[str, Way] = {
        f"llmopt {profile}": (lambda value, profile=profile: encode(value, profile).text, decode)
        for profile in ("safe", "balanced", "dense")
    }
    ways["llmopt dense, vault"] = (
        lambda value: encode(value, "dense", vault=vault).text,
        lambda text: decode(text, vault=vault),
    )
    return ways


def peers() -> tuple[dict[str, Way], list[str]]:
    ways: dict[str, Way] = {
        "JSON, indent=2": (lambda value: json.dumps(value, indent=2, ensure_ascii=False), json.loads),
        "JSON, compact": (
            lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
            json.loads,
        ),
        "CSV, dotted columns": (as_csv, None),
    }
    absent = []
    try:
        import yaml

        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        ways["YAML"] = (
            lambda value: yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True),
            lambda text: yaml.load(text, Loader=loader),  # noqa: S506 - the safe loader, in C
        )
    except ImportError:
        absent.append("pyyaml")
    try:
        import toon_format

        ways["TOON"] = (toon_format.encode, toon_format.decode)
    except ImportError:
        absent.append("toon-format")
    return ways, absent


def as_csv(value: Any) -> str:
    """Return a list of objects as CSV with dotted columns, which loses types."""
    rows = [dict(flat(row)) for row in (value["items"] if isinstance(value, dict) else value)]
    columns = dict.fromkeys(column for row in rows for column in row)
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def flat(value: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, item in value.items():
        if isinstance(item, dict) and item:
            found += flat(item, f"{before}{key}.")
        else:
            shown = json.dumps(item, ensure_ascii=False) if isinstance(item, dict | list) else item
            found.append((before + key, shown))
    return found


def figures(value: Any, ways: dict[str, Way]) -> dict[str, Any]:
    before = O200K.count(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
    found: dict[str, Any] = {}
    for name, (write, read) in ways.items():
        text = write(value)
        tokens = O200K.count(text)
        found[name] = {
            "tokens": tokens,
            "ratio_to_compact": round(before / tokens, 2),
            "comes_back": read is not None and json.dumps(read(text)) == json.dumps(value),
        }
    return found


def times(value: Any, ways: dict[str, Way]) -> dict[str, Any]:
    def first(profile: str) -> None:
        forget_shapes()
        encode(value, profile)

    calls = {"json.dumps": (lambda: json.dumps(value), 20)}
    calls |= {name: ((lambda write=write: write(value)), 5) for name, (write, _) in ways.items()}
    calls |= {
        f"llmopt {name}, first time": ((lambda name=name: first(name)), 2)
        for name in ("safe", "balanced", "dense")
    }
    calls["llmopt dense, tokens counted anew"] = (lambda: counted_anew(value), 2)
    taken = measure(calls, rounds=7)
    unit = taken["json.dumps"]
    return {
        name: summary(values) | {"in_json_dumps": round(sorted(in_units(values, unit))[len(values) // 2], 2)}
        for name, values in taken.items()
    }


def counted_anew(value: Any) -> int:
    """Encode and count with nothing remembered of the text, as for data that were never seen."""
    text = encode(value, "dense").text
    return len(O200K.encode(text))


def main() -> None:
    ways, absent = peers()
    ways |= ours()
    workloads: dict[str, Any] = {}
    for name in NAMES:
        path = FOLDER / f"{name}.json"
        if not path.exists():
            absent.append(f"workload {name}: set LLMOPT_SHARED_DATA")
            continue
        value = json.loads(path.read_text(encoding="utf-8"))
        workloads[name] = {"tokens": figures(value, ways), "cpu": times(value, ways)}
    save("compress_tokens", {"workloads": workloads, "absent": absent}, ("toon-format", "pyyaml", "orjson"))


if __name__ == "__main__":
    main()
