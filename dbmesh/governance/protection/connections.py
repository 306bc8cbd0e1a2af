"""How many connections an account may have.

Decides when its client has logged in: until then nobody knows whose connection it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.errors import TOO_MANY_OF_USER, MeshError
from dbmesh.rules.protection.selection import is_named
from dbmesh.rules.protection.values import ConnectionLimit
from dbmesh.session.mesh import Mesh
from dbmesh.session.session import Session


class ConnectionLimits:
    """A `session.mesh.Doorkeeper`. The first entry that names a user limits it."""

    def __init__(self, limits: Sequence[ConnectionLimit], mesh: Mesh) -> None:
        self._limits = limits
        self._mesh = mesh

    def let_in(self, session: Session) -> None:
        """See `Doorkeeper`. O(sessions)."""
        user = session.user_name
        limit = next((one for one in self._limits if not one.users or is_named(user, one.users)), None)
        if limit is None:
            return
        # The session is among them.
        if sum(one.user_name == user for one in self._mesh.sessions.values()) > limit.per_user:
            raise MeshError(TOO_MANY_OF_USER, user=user, name=limit.name, limit=limit.per_user)
