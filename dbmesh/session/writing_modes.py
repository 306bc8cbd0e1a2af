"""What a session's variables say of the rows it writes: numbers of AUTO_INCREMENT, dates, rows alone, ciphers (manual, "Server SQL
Modes", "AUTO_INCREMENT Handling").

Decides what a plan is told of them. Knows nothing of statements.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Product
from dbmesh.backend.state import SessionState

if TYPE_CHECKING:
    from dbmesh.session.mesh import Mesh
    from dbmesh.transaction.transaction import Transaction


class WritingModes:
    """The part of `SessionView` that a session's variables decide."""

    __slots__ = ()

    state: SessionState
    mesh: Mesh
    transaction: Transaction

    @property
    def numbers_zero(self) -> bool:
        """See `SessionView`."""
        return numbers_zero(self.state)

    @property
    def takes_zero_dates(self) -> bool:
        """See `SessionView`."""
        return takes_zero_dates(self.state, self.mesh.product)

    def random_bytes(self, count: int) -> bytes:
        """See `SessionView`."""
        return os.urandom(count)

    @property
    def empties_are_null(self) -> bool:
        """See `SessionView`."""
        return "EMPTY_STRING_IS_NULL" in (self.state.variable("sql_mode") or "").upper()

    def singles_out(self, *, ignores: bool) -> bool:
        """See `SessionView`. Images of rows are taken by what VALUES says: of type BASE rows alone stay there."""
        if self.transaction.compensator is not None:
            return False
        return singles_out(self.state, self.mesh.product, ignores=ignores)

    @property
    def numbering(self) -> tuple[int, int]:
        """See `SessionView`."""
        return numbering(self.state)


def numbers_zero(state: SessionState) -> bool:
    """Whether 0 asks for a number."""
    return "NO_AUTO_VALUE_ON_ZERO" not in (state.variable("sql_mode") or "").upper()


def numbering(state: SessionState) -> tuple[int, int]:
    """Step and first number; an offset behind the first step is ignored, as servers do."""
    if not state.variables:
        return 1, 1
    step, first = (
        max(1, int(text)) if (text := state.variable(name) or "1").isdecimal() else 1
        for name in ("auto_increment_increment", "auto_increment_offset")
    )
    return step, first if first <= step else 1


def takes_zero_dates(state: SessionState, product: Product) -> bool:
    """Whether dates that are none are literals: by the sql_mode the session has set, or by the product's own default."""
    mode = state.variable("sql_mode")
    if mode is None:
        return product is Product.MARIADB
    return not any(word in mode.upper() for word in ("NO_ZERO_", "TRADITIONAL"))


def singles_out(state: SessionState, product: Product, *, ignores: bool) -> bool:
    """See `SessionView`: without a strict sql_mode NULL for a column that has none is an error in a row alone and the column's
    implicit default among others (manual, "INSERT Statement"); MariaDB's IGNORE passes over a failed CHECK among others only."""
    if product is Product.OTHER:
        return False
    mode = state.variable("sql_mode")
    if ignores:
        return product is Product.MARIADB
    return mode is not None and not any(word in mode.upper() for word in ("STRICT_", "TRADITIONAL"))
