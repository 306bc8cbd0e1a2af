"""Reads the tables of every data source of a logic database.

Decides what is known of those that cannot be reached.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from dbmesh.backend.connection import Connection, Flavour
from dbmesh.backend.pool import Pool
from dbmesh.backend.state import SessionState
from dbmesh.engine.catalog import Cataloguing, load_tables
from dbmesh.errors import MeshError, ShardError
from dbmesh.model import Catalog, TableSchema
from dbmesh.planner.catalog import build_catalog
from dbmesh.rules.ruleset import RuleSet

_log = logging.getLogger(__name__)


async def load_catalog(
    rule_set: RuleSet,
    pools: Mapping[str, Pool],
    known: dict[str, Mapping[str, TableSchema]],
    touched: frozenset[str] | None = None,
) -> tuple[Catalog, str, str]:
    """Schemas of every table on every data source that can be reached, why others cannot ('' when all were read), and why
    those cannot that never could.

    `known` holds what each data source had when it was last read, and is brought up to date: one that is away keeps its
    tables. One that was never read is looked at again when a statement names a table nobody knows. Of those that were, no
    more is read than `touched` asks for, where it is given. Raises AmbiguousTable."""
    names = list(pools)
    before = known if touched is not None else {}
    findings = await asyncio.gather(
        *(_load_one(pools[name], before.get(name), touched or frozenset()) for name in names)
    )
    known.update({name: one for name, one in zip(names, findings, strict=True) if not isinstance(one, str)})
    reasons = {name: one for name, one in zip(names, findings, strict=True) if isinstance(one, str)}
    never = [reason for name, reason in reasons.items() if name not in known]
    return build_catalog(rule_set, known), "; ".join(reasons.values()), "; ".join(never)


async def _load_one(
    pool: Pool, known: Mapping[str, TableSchema] | None, touched: frozenset[str]
) -> dict[str, TableSchema] | str:
    """The tables of a data source, or why they cannot be read."""
    try:
        connection = await pool.acquire(Flavour(), guarded=False)
    except MeshError as error:
        _log.warning("%s", error)
        return str(error)
    try:
        # Whatever its last borrower has set, sql_select_limit or a character set for instance.
        await connection.bring_to(SessionState())
        return await read_tables(connection, known, touched)
    except (MeshError, ShardError) as error:
        reason = f"the tables of data source '{pool.config.name}' cannot be read: {error}"
        _log.warning("%s", reason)
        return reason
    finally:
        pool.release(connection, asyncio.get_running_loop().time())


async def read_tables(
    connection: Connection,
    known: Mapping[str, TableSchema] | None = None,
    touched: frozenset[str] = frozenset(),
) -> dict[str, TableSchema]:
    """Actual table name → schema, on a data source of any kind; for `known` and `touched` see `load_tables`. Raises ShardError or MeshError."""
    if not connection.relays:
        assert isinstance(connection, Cataloguing)
        return await connection.load_catalog()
    return await load_tables(connection, known, touched)
