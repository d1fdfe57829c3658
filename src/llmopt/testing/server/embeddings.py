"""The embeddings API and the list of models."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from typing import TYPE_CHECKING, Any

from .query import CREATED, Query, Segment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .query import Completion

DIMENSIONS = 16
"""Length of an embedding where the request does not say."""


def read(body: Mapping[str, Any]) -> Query:
    """Return the meaning of an embeddings request."""
    texts = _inputs(body)
    return Query(body, body["model"], segments=[Segment(text) for text in texts], user_text=" ".join(texts))


def embeddings_body(completion: Completion) -> dict[str, Any]:
    """Return the body of an answer: the same unit vector for the same text, every time."""
    body, input_tokens = completion.query.body, completion.tokens.input_tokens
    vectors = [embedding(text, body.get("dimensions") or DIMENSIONS) for text in _inputs(body)]
    encode = _base64 if body.get("encoding_format") == "base64" else list[float]
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": encode(vector)}
            for index, vector in enumerate(vectors)
        ],
        "model": body["model"],
        "usage": {"prompt_tokens": input_tokens, "total_tokens": input_tokens},
    }


def embedding(text: str, dimensions: int) -> list[float]:
    """Return a unit vector that depends on `text` alone.

    Example:
        >>> vector = embedding("hold", 4)
        >>> vector == embedding("hold", 4), round(sum(x * x for x in vector), 6)
        (True, 1.0)
    """
    raw = hashlib.shake_128(text.encode()).digest(4 * dimensions)
    vector = [number / 2**31 - 1 for number in struct.unpack(f"<{dimensions}I", raw)]
    length = math.hypot(*vector)
    return [number / length for number in vector]


def models_body(models: Sequence[str]) -> dict[str, Any]:
    """Return the list of models; it has the fields of both OpenAI's and Anthropic's."""
    data = [
        {
            "id": model,
            "object": "model",
            "created": CREATED,
            "owned_by": "llmopt",
            "type": "model",
            "display_name": model,
            "created_at": "2025-06-15T15:06:40Z",
        }
        for model in models
    ]
    ends = {"first_id": models[0], "last_id": models[-1]} if models else {"first_id": None, "last_id": None}
    return {"object": "list", "data": data, "has_more": False, **ends}


def _inputs(body: Mapping[str, Any]) -> list[str]:
    """Return the texts; a list of token ids stands for the text of its numbers."""
    given = body["input"]
    if isinstance(given, str):
        return [given]
    if given and isinstance(given[0], int):
        return [" ".join(map(str, given))]
    return [text if isinstance(text, str) else " ".join(map(str, text)) for text in given]


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
