"""A mesh as sessions see it that are no client's: nobody looks at their statements, counts, lists or ends them.

Decides what is left out. All else is the mesh's own, as it is at each moment: its databases, its gate, its transactions.
"""

from __future__ import annotations

from math import inf
from typing import Any

from dbmesh.session.filtering import not_counted
from dbmesh.session.mesh import Mesh


class UnwatchedMesh(Mesh):
    """See the module's docstring. Its sessions are in `Mesh.apart`."""

    def __init__(self, mesh: Mesh) -> None:
        # Not the base's: what is not here is asked of the mesh, each time.
        self._whole = mesh
        self.filters = ()
        self.observers = ()
        self.count = not_counted
        self.least = inf
        self.doorkeeper = None
        self.sessions = mesh.apart

    def __getattr__(self, name: str) -> Any:
        """What the mesh has."""
        return getattr(self._whole, name)
