"""What a stream is made of before its first chunk shows whether it is str or bytes."""

from __future__ import annotations

from collections.abc import Callable

from .alphabet import Text, alphabet_of
from .intake import Intake
from .lenient import LenientScanner
from .markers import Markers
from .mend import Mender
from .route import Route
from .scanner import Scanner
from .strict import StrictScanner

__all__ = ["Setup"]


class Setup:
    """Makes the scanner of a stream.

    Args:
        intake: where plans go.
        route: where they are found.
        mender: what is made of damaged plans, or None in a strict stream.

    Attributes:
        scanner: the scanner, as soon as there is one.
        on_failure: called with the error after which the stream takes no more chunks.
    """

    def __init__(self, intake: Intake, route: Route, mender: Mender | None) -> None:
        self.intake = intake
        self._route = route
        self._mender = mender
        self.scanner: Scanner | None = None
        self.on_failure: Callable[[Exception], None] = _no_one

    def scanner_for(self, chunk: Text) -> Scanner:
        """Return the scanner for a stream that begins with `chunk`.

        Raises:
            TypeError: it is neither str nor bytes.
        """
        if not isinstance(chunk, str | bytes | bytearray):
            raise TypeError(f"a chunk is str or bytes, not {type(chunk).__name__}")
        alphabet = alphabet_of(str if isinstance(chunk, str) else bytes)
        intake = self.intake
        if self._mender is None:
            self.scanner = StrictScanner(alphabet, intake, intake.limits, self._route)
            return self.scanner
        known = intake.expectations.knows if intake.expectations.ids else None
        markers = Markers(alphabet, intake.identity, known)
        self.scanner = LenientScanner(
            alphabet, intake, intake.limits, self._route, mender=self._mender, markers=markers
        )
        return self.scanner


def _no_one(_error: Exception) -> None:
    """Nobody wants to know."""
