"""From a statement's text to its plan, in the session's terms.

Decides which logic database a statement is planned in, which cache is asked with which flags, and when an unknown table
is worth another look at the data sources.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Product
from dbmesh.errors import TABLES_UNREAD, UNKNOWN_DATABASE, UNKNOWN_SEQUENCE, UNKNOWN_TABLE, MeshError
from dbmesh.model import SqlValue
from dbmesh.planner.cache import MaskedPlans, PlanCache
from dbmesh.planner.elsewhere import InAnotherDatabase
from dbmesh.planner.needs.need import Denied
from dbmesh.planner.plan import Plan
from dbmesh.planner.resolve import SYSTEM_SCHEMAS
from dbmesh.planner.template import parameter_text
from dbmesh.rules.privileges import Privileges
from dbmesh.session.mesh import Database
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.lexer import pattern
from dbmesh.sql.shape import cut

if TYPE_CHECKING:
    from dbmesh.session.session import Session

RELOAD_INTERVAL = 1.0
"""Seconds between two readings of a catalog that statements may cause."""


def look_up(
    session: Session, text: str, part_of: Database | None = None
) -> tuple[Database, Plan, Sequence[object]]:
    """The plan of a text, its literals, and the logic database it is a plan of: the current one, the one all its tables
    are of, or those its tables are of as one. The text is the client's own, which is asked about privileges and masked, or
    `part_of` a statement that was looked up in another database, which is not. Raises MeshError (parse error, refusal,
    unknown table)."""
    clients = part_of is None
    database = session.current_database() if part_of is None else part_of
    if session.temporary is not None:
        database = as_seen(session, database)
    privileges = session.checked if clients else None
    named: Sequence[Database] = ()
    led: tuple[str, ...] = ()
    while True:
        plans = database.plans
        try:
            if clients and plans.has_masks:
                plan, literals = _masked(session, plans, text, privileges)
            else:
                plan, literals = plans.lookup(text, session.database, session.lexer_flags, privileges)
            return database, plan, literals
        except InAnotherDatabase as error:
            # All tables may be of one other database, or of several together.
            if named:
                led = (*led, named[0].name)
            found = as_seen(session, _another(session, error, text))
            if found.name in led:
                raise
            others = [one for one in named if one.name != found.name]
            # A database that is known already must be the first one, because its table is written.
            named = [found, *others] if len(others) < len(named) else [*named, found]
            database = named[0] if len(named) == 1 else session.mesh.joint(tuple(named))
        except Denied as denied:
            raise denied.error(session.account) from None
        except MeshError as error:
            if error.kind is UNKNOWN_TABLE and database.unread:
                # "Doesn't exist" would be a guess: the table may be on the data source that did not answer.
                raise MeshError(
                    TABLES_UNREAD, unknown=str(error), reason=database.unread, database=database.name
                ) from error
            raise


def as_seen(session: Session, database: Database) -> Database:
    """A database with the session's temporary tables in it."""
    return database if session.temporary is None else session.temporary.seen_from(database)


def _masked(
    session: Session, plans: PlanCache, text: str, privileges: Privileges | None
) -> tuple[Plan, Sequence[object]]:
    """The plan of a text as this session reads tables with masks."""
    seen = plans.seen_by(session.principals)
    if not isinstance(seen, MaskedPlans):
        return plans.lookup(text, session.database, session.lexer_flags, privileges)
    if privileges is not None:
        # What the client wrote is asked about, not what it becomes.
        plans.lookup(text, session.database, session.lexer_flags, privileges)
    return seen.lookup(text, session.database, session.lexer_flags)


def _another(session: Session, error: InAnotherDatabase, text: str) -> Database:
    """The database a statement names. Raises MeshError when there is none, or none this account may use: what one may
    not use, one need not know of."""
    name = error.database.lower()
    if name in SYSTEM_SCHEMAS:
        raise error
    found = session.find_database(name)
    if found is not None and session.privileges.sees_database(name):
        return found
    if text.lstrip()[:6].upper() == "CREATE" or session.mesh.product is Product.MYSQL:
        raise MeshError(UNKNOWN_DATABASE, database=error.database)
    raise MeshError(UNKNOWN_TABLE, database=error.database, table=error.table)


def stale(session: Session, error: MeshError) -> Database | None:
    """The database whose catalog should be read again before this error is believed: a table may have been created on a
    data source behind the mesh's back. At most once in `RELOAD_INTERVAL`, so that a wrong name costs nothing."""
    if error.kind not in (UNKNOWN_TABLE, UNKNOWN_SEQUENCE, TABLES_UNREAD):
        return None
    database = session.find_database(str(error.values.get("database")))
    return database if database is not None and may_reload(session, database) else None


def may_reload(session: Session, database: Database) -> bool:
    """Whether the last reading of a catalog is long enough ago for another."""
    return session.now() - database.loaded_at > RELOAD_INTERVAL


def count_parameters(session: Session, text: str) -> int:
    """The number of `?` in a statement."""
    shape = fingerprint(text, session.lexer_flags).shape
    return sum(slot.parameter for slot in cut(shape, session.lexer_flags).slots)


def with_values(session: Session, text: str, values: Sequence[SqlValue]) -> str:
    """A statement with values written in place of its `?`."""
    slots = cut(fingerprint(text, session.lexer_flags).shape, session.lexer_flags).slots
    places = [slot for slot in slots if slot.parameter]
    written = [
        parameter_text(slot, value, session, session.lexer_flags)
        for slot, value in zip(places, values, strict=True)
    ]
    return with_texts(session, text, written)


def with_texts(session: Session, text: str, written: Sequence[str]) -> str:
    """A statement with SQL texts in place of its `?`."""
    texts = iter(written)
    pieces = pattern(session.lexer_flags, inserting=False).split(text)
    # Parameters stand outside literals, quoted names and comments only.
    pieces[::2] = [
        "".join([next(texts) if part == "?" else part for part in re.split(r"(\?)", piece)])
        for piece in pieces[::2]
    ]
    return "".join(pieces)
