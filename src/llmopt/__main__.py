"""`python -m llmopt`: the same as the command `llmopt`."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main(prog_name="llmopt")
