"""How a statement ended: what its client and its session are told of it.

Decides numbers and texts. Knows nothing of how it ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Product
from dbmesh.engine.exchange import Outcome
from dbmesh.engine.failed_row import BEFORE_ROWS
from dbmesh.engine.warnings import DEPRECATED
from dbmesh.errors import MeshError, ShardError
from dbmesh.merge.counts import with_warnings
from dbmesh.planner.plan import BoundStatement, ShardPlan, Verb
from dbmesh.session.answering.diagnostics import remember_warnings, warnings_of
from dbmesh.wire.packets import OkPacket

if TYPE_CHECKING:
    from dbmesh.session.session import Session


def without_deprecations(outcome: Outcome) -> Outcome:
    """What a client that has prepared the statement was told of then is not told again."""
    kept = [warning for warning in outcome.warnings if warning.number != DEPRECATED]
    if len(kept) == len(outcome.warnings):
        return outcome
    count = outcome.ok.warnings - (len(outcome.warnings) - len(kept))
    ok = replace(outcome.ok, warnings=count, info=with_warnings(outcome.ok.info, count))
    return replace(outcome, ok=ok, warnings=kept)


def skips_all(bound: BoundStatement, outcome: Outcome) -> bool:
    """Whether OFFSET has skipped as many rows as there were, which one server counts."""
    return bound.skips > 0 and not outcome.row_count and outcome.product is not Product.OTHER


def found_none(session: Session, plan: ShardPlan, error: MeshError | ShardError) -> None:
    """FOUND_ROWS() after a query that failed when it looked for rows; on MySQL it stays what it was."""
    if session.mesh.product is Product.MYSQL:
        return
    if plan.verb is Verb.SELECT and isinstance(error, ShardError) and error.number not in BEFORE_ROWS:
        session.found_rows = 0


def half_done(
    error: MeshError | ShardError, plan: ShardPlan, completed: Sequence[str]
) -> MeshError | ShardError:
    """The error of a write outside a transaction, with the data sources that had done their part already. A query that locks rows has
    done nothing."""
    if not completed or plan.verb is Verb.SELECT:
        return error
    text = f"{error} (dbmesh: already done on {', '.join(completed)})"
    return ShardError(error.number, error.sqlstate, text)


def remember(session: Session, plan: ShardPlan, bound: BoundStatement, outcome: Outcome) -> None:
    """What FOUND_ROWS(), ROW_COUNT(), LAST_INSERT_ID() and SHOW WARNINGS will answer."""
    remember_warnings(session, warnings_of(outcome), keeps=plan.keeps_warnings)
    insert_id = session_insert_id(bound, outcome.ok)
    if insert_id and not outcome.gives_id:
        session.last_insert_id = insert_id
    if outcome.row_count is not None:
        session.row_count = -1
        if not plan.verb.changes_rows:
            session.found_rows = outcome.row_count
    else:
        session.row_count = outcome.ok.affected_rows


def session_insert_id(bound: BoundStatement, ok: OkPacket) -> int:
    """The insert id the OK packet tells: the key the mesh generated, else the shard's."""
    return bound.generated_id if bound.generated_id is not None else ok.last_insert_id
