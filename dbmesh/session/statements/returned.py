"""Writes to tables that move which return their rows (RETURNING): the images of the rows come with what the client asked for.

Decides that the client sees nothing of it. The texts are `planner.returned_images`'s; what becomes of the images is for who keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection
from dbmesh.engine.collect import collect
from dbmesh.engine.exchange import Exchange, Sink
from dbmesh.engine.lane import Lane
from dbmesh.errors import MERGE_LIMIT, NOT_SUPPORTED, MeshError, not_supported
from dbmesh.planner.capture import MOVING
from dbmesh.planner.images import Row
from dbmesh.planner.plan import BoundStatement, ReturnedRows, Shot
from dbmesh.planner.returned_images import ReturnedImages, returned_images, returns_rows
from dbmesh.session.mesh import Database
from dbmesh.session.statements.compensated import Keep, schemas_of
from dbmesh.transaction.undo import Change, TableChanges
from dbmesh.wire.packets import ColumnDefinition
from dbmesh.wire.values import decode_text_row, encode_text_row

if TYPE_CHECKING:
    from dbmesh.session.session import Session


def returns(session: Session, bound: BoundStatement) -> bool:
    """Whether a write, which is not run in steps, returns rows. O(length)."""
    return bool(bound.shots) and returns_rows(_text(bound.shots[0]), session.lexer_flags)


def returning(session: Session, database: Database, bound: BoundStatement) -> BoundStatement:
    """A write that returns its rows in a form that returns their images too. Raises MeshError(NOT_SUPPORTED)."""
    try:
        _all_images(session, database, bound)
    except MeshError as refusal:
        if refusal.kind is not NOT_SUPPORTED or bound.in_steps is None:
            raise
        return bound.in_steps()
    return bound


def _all_images(session: Session, database: Database, bound: BoundStatement) -> list[ReturnedImages]:
    schemas = schemas_of(database, bound)
    strange = next(
        (one.data_source for one in bound.shots if database.sources[one.data_source].kind != "mysql"), None
    )
    if strange is not None:
        raise not_supported(
            f"{MOVING.write} with RETURNING on the data source '{strange}'", "read the rows afterwards"
        )
    return [returned_images(_text(shot), schemas, session.lexer_flags) for shot in bound.shots]


def _text(shot: Shot) -> str:
    return shot.sql.decode("utf-8", "surrogateescape")


class ReturnedRowImages:
    """The images of what one exchange writes and returns. `bound` is to be run in place of the statement, its rows going through
    `split`; `before`, then the exchange, then `after`."""

    def __init__(self, session: Session, database: Database, bound: BoundStatement, keep: Keep) -> None:
        self._keep = keep
        self._limit = session.mesh.limits.max_rows
        self._images = _all_images(session, database, bound)
        shots = zip(bound.shots, self._images, strict=True)
        self.bound = bound._replace(
            shots=tuple(
                Shot(shot.data_source, images.sql.encode("utf-8", "surrogateescape"))
                for shot, images in shots
            )
        )
        self._replaced: dict[Row, Row] = {}
        self._returned: list[Row] = []
        self._connections: list[Connection] = []

    def split(self, sink: Sink) -> Sink:
        """What gets the rows, and gives `sink` the client's part of them."""
        return _Split(sink, len(self._images[0].table.columns), self._returned)

    async def before(self, lanes: Sequence[Lane]) -> None:
        """Read and lock the rows that will be taken away. Raises MeshError or ShardError."""
        everywhere = isinstance(self.bound.answer, ReturnedRows) and self.bound.answer.broadcast
        self._connections = [lane.connection for lane in (lanes if everywhere else lanes[:1])]
        by_text = {images.sql.encode("utf-8", "surrogateescape"): images for images in self._images}
        for lane in lanes:
            for shot in lane.shots:
                images = by_text[shot.sql]
                if images.before:
                    await _refuse_gaps(lane.connection)
                    await self._read(lane.connection, images)

    async def _read(self, connection: Connection, images: ReturnedImages) -> None:
        found = await collect(connection, images.before.encode("utf-8", "surrogateescape"))
        self._replaced.update((images.table.key_of(tuple(row)), tuple(row)) for row in found.rows)
        if len(self._replaced) > self._limit:
            raise MeshError(MERGE_LIMIT, limit=f"{self._limit} rows", setting="merge-max-rows")

    async def after(self, exchange: Exchange) -> None:
        """Give the images to who keeps them."""
        del exchange
        images = self._images[0]
        table = images.table
        if images.deletes:
            changes = [Change(row, None) for row in self._returned]
        else:
            written = {table.key_of(row): row for row in self._returned}
            gone = [Change(row, None) for key, row in self._replaced.items() if key not in written]
            changes = [*gone, *(Change(None, row) for row in written.values())]
        for connection in self._connections if changes else ():
            self._keep(connection, TableChanges(table, tuple(changes)))


async def _refuse_gaps(connection: Connection) -> None:
    """Where gaps are not locked, a row that nobody has read may be there when it is replaced. Raises MeshError or ShardError."""
    found = await collect(connection, b"SELECT @@tx_isolation")
    if found.rows[0][0] not in (b"REPEATABLE-READ", b"SERIALIZABLE"):
        raise not_supported(
            f"REPLACE … RETURNING, {MOVING.write}, in transactions that do not lock gaps",
            "leave out RETURNING, or SET tx_isolation = 'REPEATABLE-READ'",
        )


class _Split:
    """A sink in front of another one, which gets the columns of the client alone; `returned` gets the `width` others."""

    def __init__(self, sink: Sink, width: int, returned: list[Row]) -> None:
        self._sink = sink
        self._width = width
        self._returned = returned

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """See `Sink`."""
        self._sink.columns(columns[: -self._width])

    def rows(self, rows: list[bytes]) -> None:
        """See `Sink`."""
        values = [decode_text_row(row) for row in rows]
        self._returned += [tuple(row[-self._width :]) for row in values]
        self._sink.rows([encode_text_row(row[: -self._width]) for row in values])
