"""`python -m llmopt.testing.server`: print the URL, then serve until standard input closes."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from . import Answer, openai_server

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until standard input closes.

    Args:
        arguments: the command line; None for the process's own.
    """
    options = _parser().parse_args(arguments)
    pace = {name: getattr(options, name) for name in ("delay_s", "chunk_delay_s", "end_delay_s")}
    with openai_server(port=options.port, keep_requests=options.keep_requests) as server:
        server.default = Answer(text=options.text, **pace)
        print(server.url, flush=True)  # noqa: T201 - the output is the interface
        with suppress(KeyboardInterrupt):
            sys.stdin.read()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m llmopt.testing.server", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=0, help="TCP port on 127.0.0.1; 0 takes a free one (default)"
    )
    parser.add_argument("--text", help="what every answer says (default: an echo)")
    parser.add_argument("--delay-s", type=float, default=0.0, help="seconds before the first byte")
    parser.add_argument("--chunk-delay-s", type=float, default=0.0, help="seconds between two content chunks")
    parser.add_argument(
        "--end-delay-s", type=float, default=0.0, help="seconds between the last event and the end"
    )
    parser.add_argument(
        "--keep-requests", type=int, default=16, help="requests to keep for /stats (default: 16)"
    )
    return parser


if __name__ == "__main__":
    main()
