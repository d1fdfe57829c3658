from __future__ import annotations

from typing import Any


def overrides(cls: type) -> dict[str, Any]:
    return {}
