"""What the binlog of one server says about the tables that are followed: keys of changed rows, and from where it can be read again.

Decides when a transaction's keys count: at its end, but those of one that is prepared (XA) only when it is committed, however much later. A row
that a transaction has left alike on both sides was written by the mesh, or might have been, and is not told of. Pure: events come in,
keys and positions go out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dbmesh.errors import MeshError, not_supported
from dbmesh.model import ColumnFamily, ColumnSchema, DataNode, TableSchema
from dbmesh.planner.images import ImageTable
from dbmesh.planner.lexemes import split_lexemes
from dbmesh.wire.binlog import (
    BEATS,
    GTIDS,
    Event,
    EventKind,
    EventReader,
    is_of_xa,
    parse_beat,
    parse_prepared,
    parse_rotation,
    parse_statement,
)
from dbmesh.wire.binlog_rows import (
    ROWS,
    TABLE_NUMBER,
    Change,
    Key,
    TableName,
    TableRows,
    parse_table,
    table_number,
)
from dbmesh.wire.binlog_values import KeyColumn

MOST_HELD = 1_000_000
"""Keys of transactions that are prepared and not yet committed, per server."""

MOST_COMPARED = 10_000
"""Rows of one transaction that are compared side by side; of a longer one all keys are told."""

MOST_BYTES = 16 << 20
"""Bytes of these rows."""

MOST_DESCRIBED = 1000
"""Descriptions of tables that are remembered."""

_STATEMENTS = frozenset((EventKind.QUERY, EventKind.QUERY_COMPRESSED, EventKind.EXECUTE_LOAD_QUERY))
_INSIDE = re.compile(r"\s*(BEGIN|XA\s+(START|BEGIN|END)|SAVEPOINT|ROLLBACK\s+TO|RELEASE)\b", re.IGNORECASE)
_BACK = re.compile(r"\s*ROLLBACK\s+TO\b", re.IGNORECASE)
_OF_XA = re.compile(r"\s*XA\s+(START|BEGIN)\b", re.IGNORECASE)
_RESOLVED = re.compile(
    r"\s*XA\s+(?P<verb>COMMIT|ROLLBACK)\s+(?P<xid>\S.*?)(\s+ONE\s+PHASE)?\s*", re.IGNORECASE | re.DOTALL
)
_SILENT = re.compile(r"\s*(COMMIT|ROLLBACK|GRANT|REVOKE|ANALYZE|OPTIMIZE|REPAIR|FLUSH)\b", re.IGNORECASE)


_ZEROFILL = re.compile(r"\w+\((?P<width>\d+)(,\s*(?P<scale>\d+))?\).*\bzerofill")
_UNREAD = frozenset(("uuid", "inet4", "inet6"))


class Position(NamedTuple):
    """An offset in bytes in a file of a server's binlog."""

    file: str
    offset: int

    @property
    def order(self) -> tuple[int, int]:
        """Greater for what comes later: files are numbered."""
        number = self.file.rpartition(".")[2]
        return int(number) if number.isdecimal() else 0, self.offset


@dataclass(frozen=True, slots=True)
class FollowedTable:
    """An actual table: what it is called here, how many columns it has, and which of them make a key. `new`: it is of the side that is not
    read, and no key of it is told of."""

    node: DataNode
    columns: int
    key: tuple[KeyColumn, ...]
    logic: str = ""
    new: bool = False


def followed_table(
    node: DataNode, schema: TableSchema, table: ImageTable, *, new: bool = False
) -> FollowedTable:
    """How the rows of an actual table are followed, so that their keys are those of their images (`ImageTable.key_of`). Raises
    MeshError(NOT_SUPPORTED) for keys of types whose values are not read."""
    names = [column.name.lower() for column in schema.columns]
    wanted = [names.index(table.columns[index].name.lower()) for index in table.key]
    key = tuple(_key_column(schema.columns[index], index) for index in wanted)
    return FollowedTable(node, len(names), key, table.name, new)


def _key_column(column: ColumnSchema, index: int) -> KeyColumn:
    declared = column.declared_type
    word = re.split(r"\W", declared, maxsplit=1)[0]
    if column.family is ColumnFamily.FLOAT or word in _UNREAD:
        raise not_supported(
            f"following rows by the column '{column.name}' of the type {declared}", "use another type"
        )
    return KeyColumn(index, column.unsigned, _shown_width(declared), padded=word == "binary")


def _shown_width(declared: str) -> int:
    """How many characters a ZEROFILL column shows."""
    match = _ZEROFILL.fullmatch(declared)
    if match is None:
        return 0
    scale = int(match["scale"] or 0)
    return int(match["width"]) + (scale > 0)


@dataclass(slots=True)
class Found:
    """What events have brought. `keys`: per actual table, each key once. `statements`: texts that named a followed table, which say nothing
    about rows: definitions, and writes of sessions that log statements. `moment`: the second of the earliest event of them, 0: none."""

    keys: dict[DataNode, dict[Key, None]] = field(default_factory=dict)
    statements: list[str] = field(default_factory=list)
    events: int = 0
    count: int = 0
    moment: int = 0

    def add(self, node: DataNode, keys: Iterable[Key]) -> None:
        """Keys of a table."""
        known = self.keys.setdefault(node, {})
        before = len(known)
        known.update(dict.fromkeys(keys))
        self.count += len(known) - before


@dataclass(slots=True)
class _Held:
    """A transaction that is prepared: where it begins, and what it changed."""

    start: Position
    keys: dict[DataNode, dict[Key, None]]

    @property
    def count(self) -> int:
        """Keys."""
        return sum(map(len, self.keys.values()))


_Image = tuple[bytes, bytes | None]
"""The layout of a table, and a row of it, None for one that is gone."""


@dataclass(slots=True)
class _Transaction:
    """One that is being read: what it leaves of each row of a logic table, on either side. `told` are keys that are not compared."""

    start: Position
    of_xa: bool
    old: dict[tuple[str, Key], tuple[DataNode, _Image]] = field(default_factory=dict)
    new: dict[tuple[str, Key], _Image] = field(default_factory=dict)
    told: dict[DataNode, dict[Key, None]] = field(default_factory=dict)
    compares: bool = True
    size: int = 0

    def add(self, table: FollowedTable, layout: bytes, changes: list[Change]) -> None:
        """What became of rows."""
        logic, node = table.logic, table.node
        for change in changes:
            which, image = (logic, change.key), (layout, change.image)
            if not (change.whole and self.compares):
                if not table.new:
                    self.told.setdefault(node, {})[change.key] = None
            elif table.new:
                self.new[which] = image
            else:
                former = self.old.get(which)
                if former is not None and former[0] != node:
                    # One key in two data nodes: neither speaks for the other.
                    self.told.setdefault(former[0], {})[change.key] = None
                self.old[which] = node, image
            self.size += len(change.image or b"")
        if len(self.old) + len(self.new) > MOST_COMPARED or self.size > MOST_BYTES:
            self.give_up()

    def give_up(self) -> None:
        """Tell of all rows from here on."""
        self.compares = False
        for key, (node, _) in self.old.items():
            self.told.setdefault(node, {})[key[1]] = None
        self.old, self.new = {}, {}

    def differing(self) -> dict[DataNode, dict[Key, None]]:
        """The keys of rows that it has not left alike on both sides."""
        found = self.told
        for which, (node, image) in self.old.items():
            # A row that is gone is gone, whatever its table is like.
            other = self.new.get(which)
            if other is None or (other != image and not (other[1] is None and image[1] is None)):
                found.setdefault(node, {})[which[1]] = None
        return found


class Changes:
    """Reads the binlog of one server from `start`. `found` is filled event by event until it is taken; `position` is where reading can
    begin again without missing anything that is not in what has been taken."""

    def __init__(self, start: Position, tables: Mapping[TableName, FollowedTable]) -> None:
        self._tables = tables
        self._names = {name.table for name, table in tables.items() if not table.new}
        self._reader = EventReader()
        # By the numbers of TABLE_MAP, and by all it says but for these: every transaction says it anew. None: not followed.
        self._mapped: dict[int, tuple[FollowedTable, TableRows] | None] = {}
        self._described: dict[bytes, tuple[FollowedTable, TableRows] | None] = {}
        self._file = start.file
        # Behind the last transaction that has ended.
        self._ended = start
        # The transaction under way, and what is prepared, by xid.
        self._open: _Transaction | None = None
        self._prepared: dict[str, _Held] = {}
        self._held = 0
        self.found = Found()
        self.moment = 0

    @property
    def position(self) -> Position:
        """See the class."""
        if not self._prepared:
            return self._ended
        return min((one.start for one in self._prepared.values()), key=lambda start: start.order)

    @property
    def read_to(self) -> Position:
        """Behind the last transaction that was read: everything before it is taken, or held until it is committed."""
        return self._ended

    @property
    def prepared(self) -> int:
        """Transactions that are prepared, have changed rows, and are not committed yet."""
        return len(self._prepared)

    def take(self) -> Found:
        """What was found since the last call."""
        found, self.found = self.found, Found()
        return found

    def receive(self, packet: bytes) -> None:
        """One event. Raises ProtocolError for one that is broken, MeshError NOT_SUPPORTED for one that cannot be followed."""
        event = self._reader.read(packet)
        kind = event.kind
        self.found.events += 1
        if kind is EventKind.ROTATE:
            self._rotate(event)
            return
        if kind in BEATS:
            self._beat(event)
            return
        self.moment = event.moment or self.moment
        if kind in GTIDS:
            self._begin(is_of_xa(event))
        elif kind is EventKind.TABLE_MAP:
            self._map(event)
        elif kind in ROWS:
            self._rows(event)
        elif kind in _STATEMENTS:
            self._statement(event)
        elif kind is EventKind.XA_PREPARE:
            self._prepare(event)
        elif kind is EventKind.XID:
            self._end()
        else:
            _refuse(kind)
        if self._open is None:
            self._advance(Position(self._file, event.end))

    # ------------------------------------------------------------------------------------------ transactions

    def _begin(self, of_xa: bool) -> None:
        self._open = _Transaction(self._ended, of_xa)

    def _end(self) -> None:
        """It has been committed, or is none."""
        if self._open is not None:
            self._tell(self._open.differing())
        self._leave()

    def _leave(self) -> None:
        self._open = None
        # Numbers of tables are valid until the end of a statement, and taken again.
        self._mapped.clear()

    def _prepare(self, event: Event) -> None:
        xid, at_once = parse_prepared(event.body)
        open_, self._open = self._open, None
        self._leave()
        if open_ is None:
            return
        keys = open_.differing()
        if at_once or not open_.of_xa:
            self._tell(keys)
        elif keys:
            held = self._prepared[xid] = _Held(open_.start, keys)
            self._held += held.count
            if self._held > MOST_HELD:
                raise not_supported(
                    f"following transactions that are prepared with more than {MOST_HELD:,} changed rows",
                    "end them, then begin again",
                )

    def _tell(self, keys: Mapping[DataNode, Mapping[Key, None]]) -> None:
        for node, found in keys.items():
            self.found.add(node, found)

    def _advance(self, position: Position) -> None:
        # Behind 4 GiB offsets begin again at 0, and no server can be asked for one there.
        if position.order > self._ended.order:
            self._ended = position

    def _rotate(self, event: Event) -> None:
        rotation = parse_rotation(event.body)
        if rotation.file != self._file:
            # A transaction that a file ends in is none: its server was killed.
            self._leave()
        self._file = rotation.file
        self._mapped.clear()
        self._advance(Position(rotation.file, rotation.position))

    def _beat(self, event: Event) -> None:
        place = parse_beat(event)
        if place is not None and self._open is None and place.file == self._file:
            self._advance(Position(place.file, place.position))

    # ------------------------------------------------------------------------------------------ rows

    def _map(self, event: Event) -> None:
        number, columns = table_number(event.body), event.body[TABLE_NUMBER:]
        if columns not in self._described:
            if len(self._described) == MOST_DESCRIBED:
                self._described.clear()
            self._described[columns] = self._rows_of(event.body)
        self._mapped[number] = self._described[columns]

    def _rows_of(self, body: bytes) -> tuple[FollowedTable, TableRows] | None:
        """How the rows of a table are read; None for one that is not followed."""
        name, position = parse_table(body)
        followed = self._tables.get(name)
        if followed is None:
            return None
        try:
            return followed, TableRows(body, position, followed.columns, followed.key)
        except MeshError as error:
            what, instead = str(error.values["what"]), str(error.values["instead"])
            raise not_supported(f"{name.schema}.{name.table}: {what}", instead) from error

    def _rows(self, event: Event) -> None:
        mapped = self._mapped.get(table_number(event.body))
        if mapped is None:
            return
        table, rows = mapped
        changes = rows.changes(event)
        if not self.found.moment:
            self.found.moment = event.moment
        open_ = self._open or _Transaction(self._ended, False)
        open_.add(table, rows.layout, changes)
        if self._open is None:
            self._tell(open_.differing())
        elif not (open_.compares or open_.of_xa):
            # A long one is not held back.
            self._tell(open_.told)
            open_.told = {}

    # ------------------------------------------------------------------------------------------ statements

    def _statement(self, event: Event) -> None:
        statement = parse_statement(event)
        text = statement.text
        if _INSIDE.match(text):
            if self._open is None or _OF_XA.match(text):
                self._begin(of_xa=_OF_XA.match(text) is not None)
            elif _BACK.match(text):
                # What was alike may not have stayed.
                self._open.give_up()
            return
        resolved = _RESOLVED.fullmatch(text)
        if resolved is not None:
            self._resolve(resolved["xid"], committed=resolved["verb"].upper() == "COMMIT")
        elif _SILENT.match(text) is None and self._concerns(text):
            self.found.statements.append(f"{statement.schema}: {text}")
            self.found.moment = self.found.moment or event.moment
        self._end()

    def _resolve(self, xid: str, *, committed: bool) -> None:
        held = self._prepared.pop("".join(xid.lower().split()), None)
        if held is None:
            return
        self._held -= held.count
        if committed:
            self._tell(held.keys)

    def _concerns(self, text: str) -> bool:
        return any(lexeme.value.lower() in self._names for lexeme in split_lexemes(text))


def _refuse(kind: EventKind) -> None:
    """Raises MeshError for events that tell of changes in a way that is not read."""
    if kind is EventKind.TRANSACTION_PAYLOAD:
        raise not_supported("following compressed transactions", "set binlog_transaction_compression to OFF")
    if kind is EventKind.PARTIAL_UPDATE_ROWS:
        raise not_supported("following partial values of JSON", "set binlog_row_value_options to ''")
    if kind is EventKind.INCIDENT:
        raise not_supported("following a binlog that has lost events", "begin again, and verify all rows")
