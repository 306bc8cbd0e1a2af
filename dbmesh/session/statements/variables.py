"""SET: what a session's variables become, and the proof that a data source takes them.

Decides which assignments the mesh understands itself (autocommit, names, sql_mode's effect on reading SQL) and how
the others are kept: as SQL text that is brought to every connection the session uses. A variable is accepted only after
a data source has accepted it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection
from dbmesh.backend.state import ACCESS_MODE, ISOLATION, SessionState
from dbmesh.engine.collect import collect
from dbmesh.engine.warnings import ShardWarning
from dbmesh.errors import TRANSACTION_UNDER_WAY, UNKNOWN_CHARSET, WRONG_VALUE, MeshError, not_supported
from dbmesh.planner.derived.literals import literal_writers, row_literals, unrounded
from dbmesh.planner.session_plan import Assignment, Scope, SessionStatement, SetVariables
from dbmesh.planner.session_values import TRANSACTION_TYPE
from dbmesh.rules.ruleset import TransactionType
from dbmesh.session import filtering
from dbmesh.session.answering.diagnostics import warnings_of
from dbmesh.session.answering.session_track import CHARACTER_SETS, TRACKED, variable_changed
from dbmesh.session.answering.text_collations import collations
from dbmesh.session.planning import look_up
from dbmesh.session.reading import lexer_flags
from dbmesh.session.recoding import RECODED
from dbmesh.session.statements import execution
from dbmesh.session.statements.administration import set_everywhere, with_values
from dbmesh.session.statements.beginning import type_named
from dbmesh.session.statements.derived import RowsInMemory
from dbmesh.session.user_variables import assigned, unconverted, variable_values, written_text
from dbmesh.wire.constants import Capability

if TYPE_CHECKING:
    from dbmesh.session.session import Session

CHARSETS_WITH_ASCII_TRAILS = frozenset({"cp932", "gb18030"})
"""Character sets in which a byte below 0x80 need not be ASCII, and that Python reads otherwise than servers do."""

WIDE_CHARSETS = frozenset({"ucs2", "utf16", "utf16le", "utf32"})
"""Character sets no server takes SQL in."""

NAMES_KNOWN_TO_WORK = frozenset({"utf8mb4", "utf8", "utf8mb3", "latin1", "ascii", "binary"})

_OF_THE_SESSION = frozenset(
    (
        TRANSACTION_TYPE,
        *("autocommit", "transaction_isolation", "tx_isolation", "transaction_read_only", "tx_read_only"),
        *(
            "character_set_client",
            "character_set_connection",
            "character_set_results",
            "collation_connection",
        ),
    )
)
"""Variables that belong to a transaction or to the way a session talks: not for one statement."""

_ISOLATION_VARIABLES = frozenset({"transaction_isolation", "tx_isolation"})
_LEVELS = ("READ-UNCOMMITTED", "READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE")
"""Their values, in the order of their numbers."""
_TRUE = frozenset({"1", "on", "true"})
_FALSE = frozenset({"0", "off", "false"})


async def set_variables(session: Session, statement: SetVariables) -> tuple[bytes, list[ShardWarning]]:
    """Perform a SET. Nothing changes unless all of it can. Returns what the OK packet tells of it (`session_track`), and
    the warnings. Raises MeshError or ShardError."""
    state, autocommit = session.state, session.autocommit
    next_isolation: str | None = None
    transaction_type: TransactionType | None = None
    unproven = False
    tracks = bool(session.capabilities & Capability.SESSION_TRACK)
    tracked: dict[str, bytes | None] = {}
    everywhere: dict[str, str] = {}
    told: list[ShardWarning] = []
    for assignment in statement.assignments:
        if assignment.scope is Scope.GLOBAL:
            # Servers compute the value themselves, unless it is read from tables.
            reads = "select" in assignment.expression.lower()
            everywhere[assignment.name] = (
                await _value(session, assignment, told) if reads else assignment.expression
            )
        elif assignment.scope is Scope.TRANSACTION:
            if session.transaction.open:
                raise MeshError(TRANSACTION_UNDER_WAY)
            next_isolation = assignment.expression
        elif assignment.scope is Scope.USER:
            state = assigned(state, assignment.name, await _value(session, assignment, told, typed=True))
        elif assignment.name in ("names", "character set"):
            names = _names(assignment)
            state = state.with_names(names, recoded_client(names))
            unproven = unproven or assignment.extra is not None or state.names not in NAMES_KNOWN_TO_WORK
            tracked |= dict.fromkeys(CHARACTER_SETS, _server_name(state.names))
        elif assignment.name == "autocommit":
            autocommit = _switch(assignment, session.mesh.autocommit)
            state = state.with_variable("autocommit", None if autocommit else "0")
            tracked["autocommit"] = b"ON" if autocommit else b"OFF"
        elif assignment.name.lower() == TRANSACTION_TYPE:
            transaction_type = _transaction_type(session, assignment)
        else:
            state = await _system_variable(session, state, assignment, told)
            unproven = True
            if tracks and assignment.name.lower() in TRACKED:
                tracked[assignment.name.lower()] = None
    if unproven:
        await _prove(session, state, tracked)
    if everywhere:
        state = with_values(state, await set_everywhere(session, everywhere))
    if autocommit and not session.autocommit:
        told += await session.end_transaction(commit=True)
    if next_isolation is not None:
        session.transaction.isolation = next_isolation
    if transaction_type is not None:
        session.use_transaction_type(transaction_type)
    session.autocommit = autocommit
    session.state = state
    session.lexer_flags = lexer_flags(state)
    return b"".join(variable_changed(name, value or b"") for name, value in tracked.items()), told


@contextlib.asynccontextmanager
async def variables_for_statement(session: Session, assignments: Sequence[Assignment]) -> AsyncIterator[None]:
    """The session with these variables while one statement runs (SET STATEMENT). Raises MeshError or ShardError."""
    before, flags = session.state, session.lexer_flags
    names = [assignment.name for assignment in assignments]
    if _OF_THE_SESSION.intersection(names):
        raise not_supported(f"{', '.join(names)} in SET STATEMENT", "use SET before the statement")
    await set_variables(session, SetVariables(tuple(assignments)))
    try:
        if session.lexer_flags != flags:
            raise not_supported(
                "a sql_mode in SET STATEMENT that changes how SQL is read", "use SET before the statement"
            )
        yield
    finally:
        for name in names:
            session.state = session.state.with_variable(name, before.variable(name))
        session.lexer_flags = flags


@contextlib.asynccontextmanager
async def operands_for_statement(session: Session, assignments: Sequence[Assignment]) -> AsyncIterator[None]:
    """The session with these user variables while one statement runs, which nobody else names. Raises MeshError or
    ShardError."""
    state = session.state
    for assignment in assignments:
        state = assigned(state, assignment.name, await _value(session, assignment, [], typed=True))
    session.state = state
    try:
        yield
    finally:
        for assignment in assignments:
            session.state = session.state.with_user_variable(assignment.name, None)


def recoded_client(names: str) -> str:
    """The character set of SET NAMES where the mesh makes the client's text UTF-8, else ''."""
    charset = names.split(" ", 1)[0]
    return charset if charset in RECODED else ""


def check_charset(name: str) -> None:
    """Refuse a client character set whose SQL text cannot be read. Raises MeshError: UNKNOWN_CHARSET, WRONG_VALUE for those
    that servers refuse too."""
    if name.lower() in WIDE_CHARSETS:
        raise MeshError(WRONG_VALUE, name="character_set_client", value=name.lower())
    if name.lower() in CHARSETS_WITH_ASCII_TRAILS:
        raise MeshError(
            UNKNOWN_CHARSET, name=f"{name} (dbmesh reads ASCII-compatible character sets; use utf8mb4)"
        )


def _names(assignment: Assignment) -> str:
    charset = assignment.expression.strip().strip("'\"`").lower()
    if charset == "default":
        charset = "utf8mb4"
    check_charset(charset)
    if not charset.replace("_", "").isalnum():
        raise MeshError(UNKNOWN_CHARSET, name=charset)
    if assignment.extra is None:
        return charset
    collation = assignment.extra.strip().strip("'\"`").lower()
    if not collation.replace("_", "").isalnum():
        raise MeshError(UNKNOWN_CHARSET, name=collation)
    return f"{charset} COLLATE {collation}"


def _server_name(names: str) -> bytes:
    """A character set as servers name it: `utf8` is an alias."""
    charset = names.split(" ", 1)[0]
    return b"utf8mb3" if charset == "utf8" else charset.encode()


def _switch(assignment: Assignment, default: bool) -> bool:
    text = assignment.expression.strip().strip("'\"").lower()
    if text == "default":
        return default
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise MeshError(WRONG_VALUE, name=assignment.name, value=text)


def _transaction_type(session: Session, assignment: Assignment) -> TransactionType:
    """The mesh's own variable. Raises MeshError WRONG_VALUE, or TRANSACTION_UNDER_WAY: branches that have begun in one
    way end in it."""
    if session.transaction.branches or session.transaction.saga is not None:
        raise MeshError(TRANSACTION_UNDER_WAY)
    name = assignment.expression.strip().strip("'\"").upper()
    if name == "DEFAULT":
        return session.mesh.configuration.transaction_type
    return type_named(name)


async def _system_variable(
    session: Session, state: SessionState, assignment: Assignment, told: list[ShardWarning]
) -> SessionState:
    name = assignment.name.lower()
    if name == "transaction":
        text = assignment.expression
        for part in text.split(","):
            kind = ISOLATION if "ISOLATION" in part.upper() else ACCESS_MODE
            state = state.with_variable(kind, part.strip())
        return state
    if name in ("character_set_client", "character_set_connection", "collation_connection"):
        charset = assignment.expression.strip().strip("'\"").split("_")[0].lower()
        check_charset(charset)
        if name == "character_set_client":
            if charset in RECODED:
                raise MeshError(UNKNOWN_CHARSET, name=f"{charset} (dbmesh: use SET NAMES {charset})")
            state = replace(state, client="")
    if name in ("insert_id", "identity", "last_insert_id"):
        raise not_supported(f"SET {name}", "write the number into the INSERT; SELECT LAST_INSERT_ID(number)")
    default = assignment.expression.strip().lower() == "default"
    if name in _ISOLATION_VARIABLES:
        # One key however it is written, so that what is set last holds.
        level = None if default else _isolation(name, await _value(session, assignment, told))
        return state.with_variable(ISOLATION, level)
    value = None if default else await _value(session, assignment, told)
    if value is not None and "\\" in value:
        # Where such a text ends depends on the sql_mode of the connection that is brought to this state.
        raise MeshError(WRONG_VALUE, name=name, value=value)
    return state.with_variable(name, value)


def _isolation(name: str, value: str) -> str:
    """The characteristic that a value of `tx_isolation` stands for: its name, or its number. Raises MeshError(WRONG_VALUE)."""
    said = value.strip("'\"`").upper()
    level = _LEVELS[int(said)] if said in ("0", "1", "2", "3") else said
    if level not in _LEVELS:
        raise MeshError(WRONG_VALUE, name=name, value=value.strip("'\""))
    return f"ISOLATION LEVEL {level.replace('-', ' ')}"


async def _value(
    session: Session, assignment: Assignment, told: list[ShardWarning], *, typed: bool = False
) -> str:
    """The value of an assignment as an SQL literal; `typed` as a user variable has it. Its warnings are added to `told`. An expression is computed once, as the statement `SELECT (…) LIMIT 1` of
    this session would be, so that every connection gets the same value, and tables are found where their rows are."""
    if assignment.literal:
        known = (
            written_text(assignment.expression, session.state, session.lexer_flags)
            if typed
            else assignment.expression
        )
        if known is not None:
            return known
    query = f"SELECT ({assignment.expression}) LIMIT 1"
    database, plan, literals = look_up(session, query)
    if isinstance(plan, SessionStatement):
        raise not_supported("this expression in SET", "run it as a SELECT and SET its value")
    bound = plan.bind(execution.make_call(session, database, literals))
    found = RowsInMemory(session.mesh.limits)
    own_texts = unconverted(session) if typed else contextlib.nullcontext()
    async with filtering.within(session, database, plan, query):
        with own_texts:
            outcome = await execution.fetch(session, database, plan, bound, found, exact=bool(plan.tables))
    told += warnings_of(outcome)
    if not found.values:
        return "NULL"
    definitions = unrounded(found.definitions) if outcome.exact else found.definitions
    if typed:
        sets = await collations(session, database, plan, bound, assignment.expression, definitions)
        return variable_values(definitions, sets, found.values[0], session.lexer_flags)[0]
    return row_literals(literal_writers(definitions, session.lexer_flags), found.values[0])[0]


async def _prove(session: Session, state: SessionState, tracked: dict[str, bytes | None]) -> None:
    """Bring a connection to the state, and ask it for the tracked values that only a data source knows."""
    connection = await _borrow(session)
    try:
        await connection.bring_to(state)
        unknown = [name for name, value in tracked.items() if value is None]
        if unknown:
            question = f"SELECT {', '.join(f'@@session.{name}' for name in unknown)}"
            tracked.update(zip(unknown, (await collect(connection, question.encode())).rows[0], strict=True))
    finally:
        connection.home.release(connection, session.now())


async def _borrow(session: Session) -> Connection:
    database = session.current_database()
    return await next(iter(database.pools.values())).acquire(session.flavour)


def wait_timeout(session: Session) -> float:
    """Seconds the client may be silent, as it has set them itself."""
    written = session.state.variable("wait_timeout")
    return float(written) if written is not None and written.isdecimal() else math.inf
