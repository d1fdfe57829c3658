"""Tokens, time and round trip of the encodings on the shared workloads; beside them JSON, YAML, CSV and TOON.

    python benchmarks/compress_tokens.py [--quick]

Times are CPU time in units of the standard library's `json.dumps` of the same value in the same round. An
encoder that has met a shape of data before is faster, and so is a counter that has met a text before: `known`
is the one without the other, `first` is neither, `again` is the same value once more.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from functools import partial
from typing import Any

from _encodings import DIAGNOSE, OURS, Way, compact, ours, peers, workloads
from _measure import QUICK, in_units, measure, save, summary

from llmopt.compress import Vault, encode
from llmopt.compress.encode import forget_shapes
from llmopt.compress.tools.catalogue import encode_tools
from llmopt.compress.tools.tool_shapes import normal_tools
from llmopt.compress.tools.tool_text import decode_tools
from llmopt.tokens import counter

O200K: Any = counter("o200k_base")
PACKAGES = ("tiktoken", "orjson", "toon-format", "PyYAML")
ROUNDS = 3 if QUICK else 15


def figures(value: Any, ways: dict[str, Way]) -> dict[str, Any]:
    """Return tokens and round trip of each way; a reader may order keys as it likes."""
    before = O200K.count(compact(value))
    found: dict[str, Any] = {}
    for name, way in ways.items():
        forget_shapes()  # what a template was found from decides its last few tokens
        text = way.write(value)
        tokens = O200K.count(text)
        found[name] = {
            "tokens": tokens,
            "ratio_to_compact": round(before / tokens, 2),
            "comes_back": comes_back(way, text, value),
        }
    return found


def comes_back(way: Way, text: str, value: Any) -> str:
    """Return "yes"; or "as numbers" where 6.0 has become 6, which compares equal; or "no"."""
    try:
        found = way.read(text)
    except Exception:  # noqa: BLE001 - a reader that fails has not brought it back
        return "no"
    if json.dumps(found, sort_keys=True) == json.dumps(value, sort_keys=True):
        return "yes"
    return "as numbers" if found == value else "no"


def times(value: Any, ways: dict[str, Way]) -> dict[str, Any]:
    """Return the CPU time of each way, and of ours also without what was remembered."""
    calls: dict[str, Any] = {"json.dumps": (lambda: json.dumps(value), 20)}
    calls |= {name: ((lambda way=way: way.write(value)), 3) for name, way in ways.items()}
    for name, (profile, vaulted) in OURS.items():
        vault = Vault() if vaulted else None
        calls[f"{name}, known"] = (partial(known, value, profile, vault), 3)
        calls[f"{name}, first"] = (partial(first, value, profile, vaulted=vaulted), 2)
    taken = measure(calls, rounds=ROUNDS, prepare=partial(learn, value))
    unit = taken["json.dumps"]
    return {
        name: summary(values) | {"in_json_dumps": round(statistics.median(in_units(values, unit)), 2)}
        for name, values in taken.items()
    }


def learn(value: Any, case: str) -> None:
    """Have the shapes known to the case whose turn it is: another may have forgotten or replaced them."""
    profile, vaulted = OURS.get(case.partition(",")[0], ("", False))
    if profile:
        encode(value, profile, vault=Vault() if vaulted else None)


def known(value: Any, profile: str, vault: Vault | None) -> str:
    """Encode data of a known shape with a counter that has met none of the text."""
    return encode(value, profile, vault=vault, counter=replace(O200K)).text


def first(value: Any, profile: str, *, vaulted: bool) -> str:
    forget_shapes()
    return known(value, profile, Vault() if vaulted else None)


def with_loss(values: dict[str, Any]) -> dict[str, Any]:
    """Return how much smaller than pretty JSON a role's view is, and tools by their meaning than compact."""
    found: dict[str, Any] = {}
    roles: dict[str, Any] = {"game10_tick0": "tactical", "k8s20": DIAGNOSE}
    for name in roles.keys() & values.keys():
        forget_shapes()
        encoded = encode(values[name], "dense", role=roles[name])
        pretty = O200K.count(json.dumps(values[name], indent=2))
        found[name] = {
            "tokens": encoded.tokens,
            "ratio_to_pretty": round(pretty / encoded.tokens, 2),
            "dropped": len(encoded.dropped),
        }
    if "tools40" in values:
        catalogue = encode_tools(values["tools40"])
        found["tools40"] = {
            "tokens": catalogue.tokens,
            "ratio_to_compact": round(O200K.count(compact(values["tools40"])) / catalogue.tokens, 2),
            "comes_back": decode_tools(catalogue.text) == normal_tools(values["tools40"]),
        }
    return found


def main() -> None:
    values, absent_workloads = workloads()
    ways, absent = peers()
    ways |= ours()
    found = {
        name: {"tokens": figures(value, ways), "cpu": times(value, ways)} for name, value in values.items()
    }
    content = {
        "rounds": ROUNDS,
        "workloads": found,
        "with_loss": with_loss(values),
        "absent_workloads": absent_workloads,
        "absent": absent,
    }
    save("compress_tokens", content, PACKAGES)


if __name__ == "__main__":
    main()
