"""What SHOW WARNINGS tells after a statement.

Decides when the warnings of the statement before are forgotten. MariaDB keeps them until a statement uses a table or has
something to tell itself (MariaDB knowledge base, "SHOW WARNINGS"); MySQL forgets them with the next statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.backend.connection import Product
from dbmesh.engine.exchange import Outcome
from dbmesh.engine.warnings import CountedWarnings, ShardWarning

if TYPE_CHECKING:
    from dbmesh.session.session import Session


def warnings_of(outcome: Outcome) -> CountedWarnings:
    """A statement's warnings, those counted that nobody keeps among them."""
    return CountedWarnings(outcome.warnings, outcome.ok.warnings)


def remember_warnings(session: Session, warnings: list[ShardWarning], *, keeps: bool = True) -> None:
    """A statement has ended with these warnings; for `keeps` see `ShardPlan.keeps_warnings`."""
    if warnings or not keeps or session.mesh.product is not Product.MARIADB:
        session.warnings = warnings
