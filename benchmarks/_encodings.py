"""The encodings that are measured, and the data: the shared workloads, and a squad that is made here.

The workloads lie in `../shared/data/workloads`, or in the folder that LLMOPT_SHARED_DATA names.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _squads import Squad

from llmopt.compress import Role, Vault, decode, encode
from llmopt.compress.roles.relevance import Keep, Where

SHARED = Path(os.environ.get("LLMOPT_SHARED_DATA") or Path(__file__).parents[2] / "shared/data")
SHARED_NAMES = ("game10_tick0", "k8s20", "tools40", "chat40", "events75")
MADE = "squad10"
OURS = {
    "llmopt safe": ("safe", False),
    "llmopt balanced": ("balanced", False),
    "llmopt dense": ("dense", False),
    "llmopt dense + vault": ("dense", True),
}

DIAGNOSE = Role(
    "diagnose",
    "Say which pods are ill, and why.",
    relevance=(
        Where("items.status.conditions", "status", "!=", "True"),
        Keep(
            (
                "items.metadata.name",
                "items.spec.nodeName",
                "items.spec.containers.image",
                "items.status.phase",
                "items.status.conditions.type",
                "items.status.containerStatuses.ready",
                "items.status.containerStatuses.restartCount",
            )
        ),
    ),
    pinned=("**.reason",),
)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to write a value, and to read it back."""

    write: Callable[[Any], str]
    read: Callable[[str], Any]


def workloads() -> tuple[dict[str, Any], list[str]]:
    """Return the values by name, one of them made here, and the names of those that are absent."""
    paths = {name: SHARED / "workloads" / f"{name}.json" for name in SHARED_NAMES}
    found = {name: json.loads(path.read_bytes()) for name, path in paths.items() if path.exists()}
    found[MADE] = Squad(10).snapshots()
    return found, [name for name in SHARED_NAMES if name not in found]


def peers() -> tuple[dict[str, Way], list[str]]:
    """Return the encodings of others, and the packages that are not installed."""
    ways = {
        "JSON, indent=2": Way(lambda value: json.dumps(value, indent=2, ensure_ascii=False), json.loads),
        "JSON, compact": Way(compact, json.loads),
        "CSV": Way(as_csv, from_csv),
    }
    absent = []
    for package, more in (("PyYAML", yaml_ways), ("toon-format", toon_ways)):
        try:
            ways |= more()
        except ImportError:
            absent.append(package)
    return ways, absent


def ours() -> dict[str, Way]:
    """Return llmopt's profiles, and the densest with a vault for ids."""
    return {
        name: _our_way(profile, Vault() if vaulted else None) for name, (profile, vaulted) in OURS.items()
    }


def _our_way(profile: str, vault: Vault | None) -> Way:
    return Way(
        lambda value: encode(value, profile, vault=vault).text,
        lambda text: decode(text, vault=vault),
    )


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def yaml_ways() -> dict[str, Way]:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return {
        "YAML": Way(
            lambda value: yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True),
            lambda text: yaml.load(text, Loader=loader),  # noqa: S506 - the safe loader, in C
        )
    }


def toon_ways() -> dict[str, Way]:
    import toon_format

    return {
        "TOON": Way(toon_format.encode, toon_format.decode),
        "TOON, tabs": Way(lambda value: toon_format.encode(value, delimiter="\t"), toon_format.decode),
    }


def as_csv(value: Any) -> str:
    """Return the rows of a value, with dotted columns."""
    rows = [dict(_flat(row)) for row in (value["items"] if isinstance(value, dict) else value)]
    columns = dict.fromkeys(column for row in rows for column in row)
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def from_csv(text: str) -> list[dict[str, Any]]:
    """Return the rows, as well as can be guessed: what reads as JSON is JSON, and an empty cell is absent."""
    return [_nested(row) for row in csv.DictReader(io.StringIO(text))]


def _flat(value: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, item in value.items():
        if isinstance(item, dict) and item:
            found += _flat(item, f"{before}{key}.")
        else:
            found.append((before + key, item if isinstance(item, str) else compact(item)))
    return found


def _nested(row: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for column, cell in row.items():
        if not cell:
            continue
        *above, key = column.split(".")
        inner = found
        for name in above:
            inner = inner.setdefault(name, {})
        try:
            inner[key] = json.loads(cell)
        except ValueError:
            inner[key] = cell
    return found
