"""Roles as data: what an agent is to reach, what matters to it, and what was left out for it."""

from __future__ import annotations

from .role import PINNED, ROLES, Role, role_of

__all__ = ["PINNED", "ROLES", "Role", "role_of"]
