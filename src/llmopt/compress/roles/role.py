"""Roles: what an agent is to reach, what it can do, what it has to see, and how exactly.

The four of `ROLES` are for squads in games; a role of one's own is made the same way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, cast

from ...errors import ConfigurationError
from .field_path import Path, after, parse
from .loss import LossReport
from .relevance import Drop, Nearest, Round, Rule, Within
from .selection import Selection
from .tool_spec import ToolSpec, signatures

__all__ = ["PINNED", "ROLES", "Role", "role_of"]

PINNED: Final = ("**.objective", "**.orders")
_MENTION: Final = re.compile(r"(\w+)\(\)")


@dataclass(frozen=True, slots=True)
class Role:
    """What a kind of agent needs. Frozen, checked when it is made.

    Args:
        name: its name.
        goal: what it is to reach. An action is named with parentheses, `reload()`, and has to be in `tools`.
        tools: what it can do.
        relevance: what it has to see; the rules are applied in this order.
        precision: digits after the point, by path; 0 or less gives whole numbers.
        pinned: paths whose places no rule drops or rounds. Report names those that a rule would have dropped.
        rules: how it is to act, one short clause each; actions as in `goal`.

    Raises:
        ConfigurationError: an argument is not of its kind, an action that is named is not in `tools`, or a
            rule is about a pinned place by name.

    Example:
        >>> medic = Role("medic", "Heal.", relevance=(Nearest("allies", 1),), precision={"t": 0})
        >>> value = {"t": 3.7, "me": {"pos": [0, 0]}, "allies": [{"pos": [9, 9]}, {"pos": [1, 1]}]}
        >>> seen, report = medic.apply(value)
        >>> seen
        {'t': 4, 'me': {'pos': [0, 0]}, 'allies': [{'pos': [1, 1]}]}
        >>> report.paths
        ('/allies/0', '/t')
    """

    name: str
    goal: str
    tools: tuple[ToolSpec, ...] = ()
    relevance: tuple[Rule, ...] = ()
    precision: Mapping[str, int] = field(default_factory=dict[str, int], hash=False)
    pinned: tuple[str, ...] = PINNED
    rules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for argument, kind in (("tools", ToolSpec), ("relevance", Rule), ("pinned", str), ("rules", str)):
            _check_tuple(argument, getattr(self, argument), kind)
        if not _is_mapping(self.precision):
            raise ConfigurationError(f"precision={self.precision!r}: give digits by path: {{'me.morale': 1}}")
        object.__setattr__(self, "precision", MappingProxyType(dict(self.precision)))
        self._check_actions()
        self._check_pinned()

    @property
    def prompt(self) -> str:
        """Goal and rules, in a line each."""
        return "\n".join(filter(None, (self.goal, "; ".join(self.rules))))

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that goal and rules name, each once."""
        return tuple(dict.fromkeys(_MENTION.findall(" ".join((self.goal, *self.rules)))))

    def signatures(self, *, types: bool = True) -> str:
        """Return how the tools are called, in one line.

        Args:
            types: whether the types of parameters are given.
        """
        return signatures(self.tools, types=types)

    def apply(self, value: Any) -> tuple[Any, LossReport]:
        """Return what this role has to see of a value, and the report on the rest.

        Args:
            value: a snapshot, or a list of some. It is not changed; what is unchanged in it is not copied.
        """
        selection = Selection(value, self._pins())
        for rule in (*self.relevance, *self._rounding()):
            rule.decide(selection)
        return selection.result()

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a copy is made of: a read-only mapping can be neither copied nor pickled."""
        precision = dict(self.precision)
        known = self.name, self.goal, self.tools, self.relevance, precision, self.pinned, self.rules
        return type(self), known

    def _pins(self) -> tuple[Path, ...]:
        return tuple(parse(path, "pinned") for path in self.pinned)

    def _rounding(self) -> tuple[Round, ...]:
        return tuple(Round(path, digits) for path, digits in self.precision.items())

    def _check_actions(self) -> None:
        known = [tool.name for tool in self.tools]
        if len({*known}) < len(known):
            raise ConfigurationError(f"role {self.name!r}: two of its tools have the same name: {known}")
        unknown = [action for action in self.actions if action not in known]
        if unknown:
            raise ConfigurationError(
                f"role {self.name!r} names {unknown}, which its tools {known} do not have"
            )

    def _check_pinned(self) -> None:
        pins = frozenset(self._pins())
        for path in (path for rule in (*self.relevance, *self._rounding()) for path in rule.changes):
            left = pins
            for name in parse(path, "path"):
                left = after(left, name)
                if () in left:
                    raise ConfigurationError(f"role {self.name!r}: a rule is about {path!r}, which is pinned")


def role_of(role: Role | str | None) -> Role | None:
    """Return a role as it is, or the shipped role of that name.

    Args:
        role: a role, the name of one in `ROLES`, or None for none.

    Raises:
        ConfigurationError: there is no role of that name.

    Example:
        >>> role_of("stealth").name
        'stealth'
    """
    if role is None or isinstance(role, Role):
        return role
    if role not in ROLES:
        raise ConfigurationError(f"role={role!r}: give a Role, or one of {', '.join(ROLES)}")
    return ROLES[role]


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _check_tuple(argument: str, value: object, kind: type) -> None:
    if not isinstance(value, tuple) or not all(isinstance(item, kind) for item in cast("tuple[Any]", value)):
        raise ConfigurationError(f"{argument}={value!r}: give a tuple of {kind.__name__}")


_MOVE: Final = ToolSpec.of("move_to(x:int, y:int)", "walk to a cell")
_COVER: Final = ToolSpec.of("take_cover(x:int, y:int)", "crouch behind a cell")
_ATTACK: Final = ToolSpec.of("attack(id:int)", "shoot at an enemy")
_COVER_FIRE: Final = ToolSpec.of("cover_fire(id:int)", "pin an enemy down", cooldown_s=4)
_THROW: Final = ToolSpec.of("throw(item:smoke|grenade, x:int, y:int)", "throw to a cell", cooldown_s=8)
_RELOAD: Final = ToolSpec.of("reload()", "fill the magazine")
_HEAL: Final = ToolSpec.of("heal()", "treat one's own wounds", cooldown_s=20)
_REVIVE: Final = ToolSpec.of("revive(id:int)", "bring a fallen ally back", cooldown_s=10)
_DISTRACT: Final = ToolSpec.of("distract(x:int, y:int)", "make a noise at a cell", cooldown_s=12)
_INTERACT: Final = ToolSpec.of("interact(k:str)", "use or inspect a point of interest")
_SCAN: Final = ToolSpec.of("scan(radius:int)", "look around")
_WAIT: Final = ToolSpec.of("wait(seconds:int)", "stay still")

_EXACT_ENOUGH: Final = MappingProxyType({"me.morale": 1, "me.cooldowns": 0, "enemies.last_seen": 0})

ROLES: Final[Mapping[str, Role]] = MappingProxyType(
    {
        role.name: role
        for role in (
            Role(
                "tactical",
                "Eliminate threats from cover.",
                tools=(_MOVE, _COVER, _ATTACK, _COVER_FIRE, _THROW, _RELOAD, _HEAL),
                rules=("attack() the nearest", "max 3 throw()", "reload() when empty", "orders first"),
                relevance=(Drop(("obstacles", "player", "enemies.last_seen")), Nearest("enemies", 3)),
                precision={"t": 0, "me.morale": 1, "me.cooldowns": 0},
            ),
            Role(
                "stealth",
                "Reach the objective unseen.",
                tools=(_MOVE, _COVER, _DISTRACT, _THROW, _INTERACT, _SCAN, _WAIT),
                rules=(
                    "keep out of sight, behind obstacles",
                    "wait() for patrols to pass",
                    "distract() rather than fight",
                    "throw() smoke only when seen",
                    "scan() before open ground",
                ),
                relevance=(Within("obstacles", 12, at=""), Drop("enemies.hp")),
                precision=_EXACT_ENOUGH,
            ),
            Role(
                "support",
                "Keep allies alive and supplied.",
                tools=(_MOVE, _COVER, _COVER_FIRE, _THROW, _REVIVE, _HEAL, _RELOAD),
                rules=(
                    "revive() before all else",
                    "throw() smoke over a retreat",
                    "cover_fire() for who moves",
                    "stay near the player",
                    "heal() out of sight",
                ),
                relevance=(Drop("obstacles"), Nearest("enemies", 3, to="player.pos")),
                precision=_EXACT_ENOUGH,
            ),
            Role(
                "exploration",
                "See every point of interest and come back.",
                tools=(_MOVE, _INTERACT, _SCAN, _COVER, _HEAL, _WAIT),
                rules=(
                    "interact() with the nearest new point",
                    "scan() in new places",
                    "go around enemies",
                    "take_cover() when seen",
                    "return when hurt",
                ),
                relevance=(Nearest("obstacles", 10, at=""), Within("enemies", 15), Drop("enemies.cover")),
                precision=_EXACT_ENOUGH,
            ),
        )
    }
)
