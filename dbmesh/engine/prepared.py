"""How a statement that keeps its `?` is run on a data source: prepared there first, then executed with the client's values.

Decides the commands of both forms clients have: COM_STMT_EXECUTE with its values, and EXECUTE … USING user variables, whose
columns servers tell otherwise. Knows no plans and no merges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import NamedTuple, Protocol

from dbmesh.backend.connection import Connection, Product
from dbmesh.backend.mysql import PREPARED_PER_CONNECTION, MySQLConnection
from dbmesh.engine.lane import Lane
from dbmesh.errors import INTERNAL, MeshError
from dbmesh.sql.literals import encode_literal
from dbmesh.wire.commands import make_execute, make_statement_command
from dbmesh.wire.constants import Command

_QUERY = Command.QUERY.to_bytes(1, "little")


class Ready(NamedTuple):
    """A statement prepared on a connection: the payload of the command that executes it there, its id where it has one, and
    whether its text warns of more than its execution."""

    payload: bytes
    statement_id: int | None = None
    warned: bool = False


class Execution(Protocol):
    """The client's EXECUTE. `binary`: rows come in binary form."""

    @property
    def binary(self) -> bool: ...
    @property
    def gives_text(self) -> bool:
        """Whether those rows are wanted as text ones that keep every digit."""
        ...

    async def prepare(self, connection: Connection, sql: bytes, parameters: Sequence[int] | None) -> Ready:
        """Prepare a statement whose `?` are these of the client's parameters; None for all, in order. Raises ShardError or
        MeshError."""
        ...


class BinaryExecution:
    """COM_STMT_EXECUTE. `make` writes it for a statement's id on the server."""

    binary = True
    gives_text = False

    def __init__(self, make: Callable[[int, Sequence[int] | None], bytes]) -> None:
        self._make = make

    async def prepare(self, connection: Connection, sql: bytes, parameters: Sequence[int] | None) -> Ready:
        """See `Execution`."""
        statement_id = (await _capable(connection).prepare(sql)).statement_id
        return Ready(self._make(statement_id, parameters), statement_id)


class ExactReading:
    """A text the mesh has made itself, prepared for the sake of its rows: in the text protocol FLOAT and many a DOUBLE are
    rounded."""

    binary = True
    gives_text = True

    async def prepare(self, connection: Connection, sql: bytes, parameters: Sequence[int] | None) -> Ready:
        """See `Execution`; there are no parameters."""
        prepared = await _capable(connection).prepare(sql)
        # MySQL converts constants when it prepares and never again; MariaDB when it executes.
        warned = connection.product is Product.MYSQL and prepared.answer.warnings > 0
        return Ready(make_execute(prepared.statement_id, ()), prepared.statement_id, warned)


EXACT_READING = ExactReading()


class TextExecution:
    """EXECUTE … USING `variables`, which the connection's state holds. Names on the connection are used again and again."""

    binary = False
    gives_text = False

    def __init__(self, variables: Sequence[str], *, no_backslash_escapes: bool) -> None:
        self._variables = variables
        self._no_backslash_escapes = no_backslash_escapes
        self._numbers = count()

    async def prepare(self, connection: Connection, sql: bytes, parameters: Sequence[int] | None) -> Ready:
        """See `Execution`."""
        name = f"dbmesh_{next(self._numbers)}"
        text = encode_literal(
            sql.decode("utf-8", "surrogateescape"), no_backslash_escapes=self._no_backslash_escapes
        )
        await _capable(connection).simple(_QUERY + f"PREPARE {name} FROM ".encode() + text)
        chosen = self._variables if parameters is None else [self._variables[index] for index in parameters]
        listed = ", ".join("@`" + variable.replace("`", "``") + "`" for variable in chosen)
        using = f" USING {listed}" if listed else ""
        return Ready(_QUERY + f"EXECUTE {name}{using}".encode("utf-8", "surrogateescape"))


async def prepared_lanes(
    lanes: Sequence[Lane], way: Execution, parameters: Sequence[int] | None, *, once: bool
) -> list[Lane]:
    """The lanes with their shots prepared on their connections, ready to be executed; `once` tells that nobody will send their texts
    again. Raises ShardError or MeshError; what was prepared for these lanes alone is closed then."""
    prepared: list[Lane] = []
    try:
        for lane in lanes:
            prepared += [await _prepared(lane, way, parameters, once=once)]
    except BaseException:
        close_statements(prepared)
        raise
    return prepared


async def _prepared(lane: Lane, way: Execution, parameters: Sequence[int] | None, *, once: bool) -> Lane:
    # Of more than a connection keeps it would close the first before they are executed.
    once = once or len(lane.shots) > PREPARED_PER_CONNECTION
    ready: list[Ready] = []
    closes: list[int] = []
    try:
        for shot in lane.shots:
            ready.append(await way.prepare(lane.connection, shot.sql, parameters))
            number = ready[-1].statement_id
            if once and number is not None:
                _capable(lane.connection).prepared.pop(shot.sql, None)
                closes.append(number)
    except BaseException:
        _close(lane.connection, closes)
        raise
    return replace(
        lane,
        executes=tuple(one.payload for one in ready),
        binary=way.binary,
        gives_text=way.gives_text,
        warned=tuple(shot for shot, one in enumerate(ready) if one.warned),
        closes=tuple(closes),
    )


def close_statements(lanes: Sequence[Lane]) -> None:
    """Forget what was prepared for these lanes alone."""
    for lane in lanes:
        _close(lane.connection, lane.closes)


def _close(connection: Connection, statements: Sequence[int]) -> None:
    if statements and connection.usable:
        for statement_id in statements:
            command = make_statement_command(Command.STMT_CLOSE, statement_id)
            _capable(connection).send_only(command)


def _capable(connection: Connection) -> MySQLConnection:
    if not isinstance(connection, MySQLConnection):
        raise MeshError(INTERNAL, reason="a data source that cannot prepare was asked to")
    return connection
