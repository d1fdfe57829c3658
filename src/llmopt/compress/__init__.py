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
from .loss import Dropped, LossReport
from .roles import ROLES, Role
from .vault import Restorer, Vault

__all__ = ["ROLES", "Dropped", "Encoded", "LossReport", "Restorer", "Role", "Vault", "decode", "encode"]
