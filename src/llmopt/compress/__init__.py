"""Structured data in, text of few tokens out, and the data back from the text alone.

Example:
    >>> from llmopt import compress
    >>> encoded = compress.encode([{"id": 7, "hp": 90}, {"id": 8, "hp": 75}], "dense")
    >>> compress.decode(encoded.text)
    [{'id': 7, 'hp': 90}, {'id': 8, 'hp': 75}]
"""

from __future__ import annotations

from .decode import decode
from .encode import Encoded, encode
from .guard import Guard
from .legend import legend
from .roles import ROLES, Role
from .roles.loss import Dropped, LossReport
from .roles.relevance import Drop, Keep, Nearest, Round, Top, Where, Within
from .roles.tool_spec import Param, ToolSpec
from .vault import Restorer, Vault
from .verdict import judge

__all__ = [
    "ROLES",
    "Drop",
    "Dropped",
    "Encoded",
    "Guard",
    "Keep",
    "LossReport",
    "Nearest",
    "Param",
    "Restorer",
    "Role",
    "Round",
    "ToolSpec",
    "Top",
    "Vault",
    "Where",
    "Within",
    "decode",
    "encode",
    "judge",
    "legend",
]
