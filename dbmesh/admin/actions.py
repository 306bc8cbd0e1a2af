"""What a running mesh can be told: one class per action, the same over HTTP, MySQL's protocol and the command line.

Decides what an action does and what it answers. Who may ask is the ports' business.
"""

from __future__ import annotations

from dataclasses import dataclass

from dbmesh.admin.table import Operated


class UnknownSession(Exception):
    """There is no such client (any more); the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Kill:
    """End a client's connection, or (`query`) only what it runs."""

    session: int
    query: bool = False

    def perform(self, operated: Operated) -> str:
        """What was done, in one sentence. Raises UnknownSession."""
        found = operated.mesh.sessions.get(self.session)
        if found is None:
            raise UnknownSession(f"there is no session {self.session} on this sidecar")
        if self.query:
            found.kill_query()
            return f"what session {self.session} runs is being stopped"
        found.kill_connection()
        return f"session {self.session} is being closed"


@dataclass(frozen=True, slots=True)
class ForgetStatements:
    """Begin to count statements anew."""

    def perform(self, operated: Operated) -> str:
        """What was done, in one sentence."""
        operated.statistics.reset()
        return "statements are counted anew"
