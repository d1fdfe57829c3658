"""`Data`: a fragment of a prompt that is text for everybody, and data for who can write it shorter."""

from __future__ import annotations

from typing import Any, Self

from llm import Fragment

from ..errors import ConfigurationError
from .check import checked
from .notation.lexical import compact
from .roles import Role, role_of

__all__ = ["Data"]


class Data(Fragment):
    """JSON data as an llm fragment: a string, its compact JSON, that remembers what it is made of.

    Without llmopt, or on its way through anything that knows strings only, it is that text; llm logs it as
    every other fragment, by the hash of its text. The `Compress` middleware encodes it.

    The value is kept as it is and not copied: the text is made here and now, and does not change when the
    value does later. What is sent goes by the text.

    Args:
        value: JSON as Python has it; tuples count as lists.
        role: what its reader has to see of it, a `Role` or the name of one in `ROLES`; it wins over the role
            of the middleware.
        name: what it is called in llm's log (as the fragment's source) and in reports.
        static: whether it rarely changes from call to call, so that it belongs in front.

    Raises:
        EncodingError: `value` is no JSON. The message says where.
        ConfigurationError: `role` or `name` is of the wrong kind.

    Example:
        >>> squad = Data([{"id": 7, "hp": 90}, {"id": 8, "hp": 75}], name="squad")
        >>> squad
        <Data squad: list of 2, 35 characters>
        >>> print(squad)
        [{"id":7,"hp":90},{"id":8,"hp":75}]
        >>> squad.value[1]["hp"]
        75
    """

    value: Any
    role: Role | str | None
    name: str | None
    static: bool
    source: str

    def __new__(
        cls,
        value: Any,
        *,
        role: Role | str | None = None,
        name: str | None = None,
        static: bool = False,
    ) -> Self:
        """Return the text of `value`, with what it is made of."""
        role_of(role)  # refuses what is none
        if type(name) not in {str, type(None)}:
            raise ConfigurationError(f"Data: name={name!r}: give a text, or None")
        data = str.__new__(cls, compact(checked(value)[0]))
        data._keep(value, role, name, static)  # noqa: SLF001 - its own
        return data

    def __init__(
        self,
        value: Any,
        *,
        role: Role | str | None = None,
        name: str | None = None,
        static: bool = False,
    ) -> None:
        """Do nothing: `__new__` has set all, and llm's own would take the value for the text."""

    def __repr__(self) -> str:
        named = f" {self.name}" if self.name else ""
        role = role_of(self.role)
        seen = f" for {role.name}" if role else ""
        value: Any = self.value
        size = f" of {len(value)}" if hasattr(value, "__len__") else ""
        return f"<Data{named}{seen}: {type(value).__name__}{size}, {len(self):,} characters>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), str(self), (self.value, self.role, self.name, self.static))

    def _keep(self, value: Any, role: Role | str | None, name: str | None, static: bool) -> None:  # noqa: FBT001
        self.value, self.role, self.name, self.static = value, role, name, static
        self.source = name or ""


def _again(cls: type[Data], text: str, kept: tuple[Any, ...]) -> Data:
    """Return a copy: it keeps its text, whatever has become of the value since."""
    data = str.__new__(cls, text)
    data._keep(*kept)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return data
