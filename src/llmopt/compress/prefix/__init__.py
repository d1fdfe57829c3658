"""Where prompts begin alike, what providers' caches make of that, and what breaks it off."""

from __future__ import annotations

from .report import prefix_report, worth_compressing

__all__ = ["prefix_report", "worth_compressing"]
