"""Where in the reply a scanner is. Plain numbers: the hot path compares them several times a plan."""

from __future__ import annotations

from typing import Final

ROOT: Final = 0
"""Before the plans; in a lenient stream also between lists."""
FIRST: Final = 1
"""In the list, before its first element."""
NEXT: Final = 2
"""In the list, after a comma."""
AFTER: Final = 3
"""In the list, after an element."""
ELEMENT: Final = 4
"""An element begins right here."""
TAIL: Final = 5
"""In a wrapper, after its list."""
THINKING: Final = 6
"""Between <think> and </think>."""
DONE: Final = 7
"""After the end; only blanks may follow."""

# In these a scanner takes what arrives into custody.
CUSTODY: Final = 8
WRAPPER: Final = 8
"""In an object that may hold the list."""
SCALAR: Final = 9
"""In a string, number or literal that is an element."""
DAMAGED: Final = 10
"""After the beginning of an element that is no JSON."""
FAILED: Final = 11
"""After an error; there is no way on."""
