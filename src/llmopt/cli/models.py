"""The models that commands ask, by their names in llm."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["installed", "what_went_wrong"]


def installed(name: str) -> Any:
    """Return a model of llm, wrapped if it is registered so.

    Args:
        name: its id or an alias.

    Raises:
        ClickException: there is none.
    """
    import llm

    try:
        return llm.get_model(name)
    except llm.UnknownModelError as error:
        raise click.ClickException(f"{error.args[0]}; `llm models` lists those that are installed") from error


def what_went_wrong(error: Exception, model: Any) -> str:
    """Return in one line what a model or its provider's SDK has raised; an API key in it is masked."""
    from ..demo.run import told

    return " ".join(told(error, model).split())
