"""The rows of texts: each is kept once, by its digest, and every use of it by a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .statements import Columns, Insert, insert
from .values import timestamps

_GIVEN = ("kind", "position", "digest", "bytes", "tokens", "tokens_source", "content", "redacted")
"""What there is of a text in a record, in order."""

# What comes later may know more: a text that is kept only now, or its tokens; or it comes out of the spool of
# a process that was earlier. A text that is there stays as it is, with what says whether it was redacted.
_ADD = """
 ON CONFLICT (digest) DO UPDATE SET
    tokens_source = iif(tokens IS NULL, excluded.tokens_source, tokens_source),
    tokens = coalesce(tokens, excluded.tokens),
    redacted = iif(content IS NULL, excluded.redacted, redacted),
    content = coalesce(content, excluded.content),
    first_seen = min(first_seen, excluded.first_seen)
 WHERE (tokens IS NULL AND excluded.tokens IS NOT NULL) OR (content IS NULL AND excluded.content IS NOT NULL)
    OR excluded.first_seen < first_seen
"""


def fragment_inserts(told: Sequence[tuple[str, float, Sequence[Sequence[Any]]]]) -> list[Insert]:
    """Return what writes the texts of calls.

    Args:
        told: id of each call, when it began in seconds since the epoch, and its texts as in a `Record`.
    """
    uses = [text for _, _, texts in told for text in texts]
    if not uses:
        return []
    given: Columns = dict(zip(_GIVEN, zip(*uses, strict=True), strict=False))
    digests: Sequence[str] = given["digest"]
    moments = timestamps(wall_s for _, wall_s, _ in told)
    began = [moment for moment, (_, _, texts) in zip(moments, told, strict=True) for _ in texts]
    first_seen = {digest: moment for moment, digest in sorted(zip(began, digests, strict=True), reverse=True)}
    places = dict(zip(digests, range(len(digests)), strict=True))
    # A use that brings the text goes before those that do not.
    places |= {digests[place]: place for place, text in enumerate(given["content"]) if text is not None}
    chosen = [places[digest] for digest in first_seen]
    fragments = {name: [given[name][place] for place in chosen] for name in _GIVEN[2:]}
    of_calls = {
        "call_id": [call_id for call_id, _, texts in told for _ in texts],
        **{name: given[name] for name in ("digest", "kind", "position")},
    }
    return [
        *insert("fragments", {**fragments, "first_seen": list(first_seen.values())}, _ADD),
        *insert("call_fragments", of_calls),
    ]
