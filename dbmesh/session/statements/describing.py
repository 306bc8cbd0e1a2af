"""What PREPARE asks a data node: whether it takes a statement, and the definitions of its parameters and columns.

Decides which node is asked, and gives logic names. Knows neither form of PREPARE.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.backend.mysql import MySQLConnection
from dbmesh.engine.describe import describe
from dbmesh.errors import UNKNOWN_TABLE, MeshError, ShardError, not_supported
from dbmesh.merge.decryption import RowDecryption
from dbmesh.planner.encrypted.plan import EncryptedPlan
from dbmesh.planner.lexemes import split_lexemes
from dbmesh.planner.plan import ShardPlan
from dbmesh.planner.scans import Federation
from dbmesh.planner.shadow.plan import ShadowedPlan
from dbmesh.session.answering.errors import logic_error
from dbmesh.session.answering.result_sink import rename, text_column
from dbmesh.session.connections import Loan
from dbmesh.session.mesh import Database
from dbmesh.session.statements.federated import describe_federated
from dbmesh.wire.packets import ColumnDefinition

if TYPE_CHECKING:
    from dbmesh.session.session import Session

_LOOKED_FOR_LATER = frozenset(("ALTER", "DROP", "RENAME", "TRUNCATE"))

Definitions = tuple[list[ColumnDefinition], list[ColumnDefinition]]


def is_found_out_later(error: MeshError, text: str) -> bool:
    """Whether PREPARE does not mind: of statements that define tables, servers look for these when they run them."""
    first = split_lexemes(text)[:1]
    return error.kind is UNKNOWN_TABLE and bool(first) and first[0].word in _LOOKED_FOR_LATER


async def describe_plan(
    session: Session, database: Database, plan: ShardPlan, literals: Sequence[object], count: int
) -> Definitions:
    """Definitions of the `count` parameters and of the columns, from one data node, with logic names. Raises ShardError (what
    the node says of the statement) or MeshError."""
    found = await _described(session, database, plan, literals, count)
    own = _encrypted(plan)
    return found if own is None else _of_client(own, found, count)


def check_variables(plan: ShardPlan, names: Sequence[str]) -> None:
    """A statement that is executed with user variables of these names. Raises MeshError(NOT_SUPPORTED)."""
    if names and _encrypted(plan) is not None:
        raise not_supported(
            "EXECUTE … USING for encrypted columns, since servers keep user variables",
            "write the values into the statement, or prepare it by the binary protocol",
        )


def _encrypted(plan: ShardPlan) -> EncryptedPlan | None:
    own = plan.plan if isinstance(plan, ShadowedPlan) else plan
    return own if isinstance(own, EncryptedPlan) else None


def _of_client(plan: EncryptedPlan, found: Definitions, count: int) -> Definitions:
    """Of what a node has prepared, the client's own parameters, and columns that hold values."""
    parameters = [text_column("?")] * count
    for place, parameter in zip(plan.recipe.parameters, found[0], strict=False):
        parameters[place] = parameter
    return parameters, RowDecryption(plan.decryption).columns(found[1])


async def _described(
    session: Session, database: Database, plan: ShardPlan, literals: Sequence[object], count: int
) -> Definitions:
    shot = plan.prototype(literals)
    names = database.names(plan.tables)
    if isinstance(shot, Federation):
        return await describe_federated(session, database, shot, names)
    loan = Loan(session)
    try:
        connection = await loan.take_for_reading(database, shot.data_source)
        if isinstance(connection, MySQLConnection):
            prepared = await connection.prepare(shot.sql, database.catalog)
            return list(prepared.parameters), [rename(column, names) for column in prepared.columns]
        columns = await describe(connection, shot.sql) if plan.reads_only else ()
        return [text_column("?")] * count, [rename(column, names) for column in columns]
    except ShardError as error:
        schema = database.sources[shot.data_source].database
        raise logic_error(error, names, schema) from error
    finally:
        loan.free()
