"""The fragments of a prompt whose texts were rewritten: what was declared static is known for it still."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from ..chain.compat import texts_in, with_fragments, with_messages
from ._compress_text import Rewriting

if TYPE_CHECKING:
    from llm.models import Prompt
    from llm.parts import Message


class Sent(str):
    """What is sent for a fragment that said whether it stays the same."""

    __slots__ = ("static",)
    static: bool


def sent_prompt(prompt: Prompt, messages: Sequence[Message], rewriting: Rewriting) -> Prompt:
    """Return the prompt that sends `messages`, in the fragments of `prompt` where these can be told apart.

    Args:
        prompt: the prompt of a call; it stays as it is.
        messages: its messages, rewritten.
        rewriting: has rewritten them.
    """
    changed = with_messages(prompt, messages)
    system, user = texts_in(prompt)
    return with_fragments(
        changed,
        system=_pieces([one.strip() for one in system], system, "\n\n", changed.system, rewriting)
        if prompt.system_fragments and not changed.system_fragments
        else None,
        user=_pieces(user, user, "\n", changed.prompt, rewriting)
        if prompt.fragments and not changed.fragments
        else None,
    )


def _pieces(
    texts: Sequence[str], fragments: Sequence[Any], gap: str, sent: str, rewriting: Rewriting
) -> list[str] | None:
    """Return `sent` in the pieces that stand for fragments; None where they cannot be told apart.

    Args:
        texts: the texts of the fragments, those that are empty left out when they are joined.
        fragments: the fragments.
        gap: what joins them.
        sent: the text that was made of all of them, after the legend if there is one.
        rewriting: has made it.
    """
    said = [(text, fragment) for text, fragment in zip(texts, fragments, strict=True) if text]
    whole = gap.join(text for text, _ in said)
    ends = accumulate((len(text) + len(gap) for text, _ in said), initial=0)
    places = [(rewriting.place(whole, a), rewriting.place(whole, b - len(gap))) for a, b in pairwise(ends)]
    lead = f"{rewriting.legend}\n\n"
    lead = lead if rewriting.explained and sent.startswith(lead) else ""
    body = sent[len(lead) :]
    pieces = [body[a:b] for a, b in places if a is not None and b is not None]
    if len(pieces) < len(said) or gap.join(pieces) != body or "" in pieces:
        return None
    pieces[0] = lead + pieces[0]
    made = [_like(fragment, piece) for (_, fragment), piece in zip(said, pieces, strict=True)]
    return made if texts[-1] else [*made, ""]


def _like(fragment: Any, text: str) -> str:
    """Return what is sent for a fragment, which says of itself what the fragment says."""
    if not hasattr(fragment, "static"):
        return text
    sent = Sent(text)
    sent.static = fragment.static is True
    return sent
