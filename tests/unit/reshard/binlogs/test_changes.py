"""When keys of a transaction count, and from where a binlog can be read again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError, ProtocolError
from dbmesh.model import ColumnFamily, ColumnSchema, DataNode, TableSchema
from dbmesh.planner.images import image_table
from dbmesh.reshard.binlogs.changes import Changes, FollowedTable, Position, followed_table
from dbmesh.wire.binlog import EventKind
from dbmesh.wire.binlog_rows import TableName
from dbmesh.wire.binlog_values import KeyColumn
from tests.plugins.binlog import (
    INTEGERS,
    description,
    event,
    integer_row,
    prepared,
    rotation,
    rows,
    statement,
    table_map,
)

_NODE = DataNode("ds_0", "t_0")
_START = Position("bin.000009", 500)
_SCHEMA = TableSchema(
    "t",
    (
        ColumnSchema("id", "int(11)", ColumnFamily.INTEGER),
        ColumnSchema("raw", "binary(5)", ColumnFamily.BINARY),
        ColumnSchema("n", "decimal(8,3) unsigned zerofill", ColumnFamily.DECIMAL, unsigned=True),
        ColumnSchema("u", "uuid", ColumnFamily.OTHER),
    ),
    ("id",),
)


class _Log:
    """A binlog that is read: each event is 100 bytes further."""

    def __init__(self, start: Position = _START) -> None:
        key = (KeyColumn(0),)
        self.changes = Changes(
            start,
            {
                TableName("shop", "t_0"): FollowedTable(_NODE, 2, key, "t"),
                TableName("shop", "t_1"): FollowedTable(DataNode("ds_0", "t_1"), 2, key, "t"),
                TableName("shop", "u_0"): FollowedTable(DataNode("ds_0", "u_0"), 2, key, "u"),
                TableName("shop", "new"): FollowedTable(DataNode("ds_0", "new"), 2, key, "t", new=True),
            },
        )
        self.changes.receive(rotation(start.file, start.offset))
        self.changes.receive(description())
        self.changes.take()
        self.end = start.offset

    def add(self, kind: EventKind, body: bytes = b"") -> None:
        self.end += 100
        self.changes.receive(event(kind, body, end=self.end))

    def write(
        self,
        *keys: int,
        table: str = "t_0",
        text: str = "x",
        kind: EventKind = EventKind.WRITE_ROWS,
        width: int = 40,
    ) -> None:
        self.add(EventKind.TABLE_MAP, table_map(5, "shop", table, INTEGERS[0], width.to_bytes(2, "little")))
        self.add(kind, rows(5, 2, [integer_row(key, text) for key in keys]))

    def begin(self) -> None:
        self.add(EventKind.GTID, bytes(20))
        self.say("BEGIN")

    def commit(self) -> None:
        self.add(EventKind.XID, bytes(8))

    def say(self, text: str) -> None:
        self.add(EventKind.QUERY, statement(text))

    def keys(self) -> Sequence[int]:
        found = self.changes.take()
        return [int(key or b"") for (key,) in found.keys.get(_NODE, {})]


def test_keys_and_positions_count_at_the_end() -> None:
    log = _Log()
    log.add(EventKind.GTID, bytes(20))
    log.say("BEGIN")
    log.write(3, 4, 3)
    assert log.keys() == []
    assert log.changes.position == _START
    log.write(9, table="other")
    log.add(EventKind.XID, bytes(8))
    assert log.keys() == [3, 4]
    assert log.changes.position == log.changes.read_to == Position("bin.000009", log.end)
    log.add(EventKind.PREVIOUS_GTIDS, b"")
    assert log.changes.position.offset == log.end


def test_what_a_transaction_leaves_alike_on_both_sides_is_not_told() -> None:
    log = _Log()
    log.begin()
    log.write(1, 2, 3, 4)
    log.write(1, 2, 3, table="new")
    log.write(2, text="later")
    log.write(3, kind=EventKind.DELETE_ROWS)
    log.write(3, table="new", kind=EventKind.DELETE_ROWS)
    log.write(7, table="new")
    log.write(1, table="u_0")
    log.commit()
    found = log.changes.take()
    assert {node.table: [key for (key,) in keys] for node, keys in found.keys.items()} == {
        "t_0": [b"2", b"4"],
        "u_0": [b"1"],
    }
    for table in ("t_0", "new"):
        log.begin()
        log.write(5, table=table)
        log.commit()
    assert log.keys() == [5]


def test_a_key_in_two_data_nodes_is_told() -> None:
    log = _Log()
    log.begin()
    for table in ("t_1", "t_0", "new"):
        log.write(1, table=table)
    log.commit()
    assert {node.table for node in log.changes.take().keys} == {"t_1"}


def test_rows_of_tables_that_are_not_alike_are_told() -> None:
    log = _Log()
    log.begin()
    log.write(1)
    log.write(1, table="new", width=80)
    log.commit()
    assert log.keys() == [1]


def test_what_may_have_been_taken_back_is_told() -> None:
    log = _Log()
    log.begin()
    log.write(1)
    log.say("SAVEPOINT a")
    log.write(1, text="y")
    log.write(1, table="new", text="y")
    log.say("ROLLBACK TO a")
    log.write(2)
    log.write(2, table="new")
    log.commit()
    assert log.keys() == [1, 2]


def test_of_a_long_transaction_all_is_told_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbmesh.reshard.binlogs.changes.MOST_COMPARED", 3)
    log = _Log()
    log.begin()
    log.write(1, 2)
    log.write(1, 2, table="new")
    assert log.keys() == [1, 2]
    log.write(3)
    log.write(3, table="new")
    assert log.keys() == [3]
    log.commit()
    assert log.keys() == []


def test_a_prepared_transaction_counts_when_it_is_committed() -> None:
    log = _Log()
    for xid in (b"a", b"b"):
        log.add(EventKind.GTID, bytes(20))
        log.say("XA START X'61',X'',1")
        log.write(*xid)
        log.say("XA END X'61',X'',1")
        log.add(EventKind.XA_PREPARE, prepared(xid))
    assert log.keys() == []
    assert log.changes.prepared == 2
    assert log.changes.position == _START
    assert log.changes.read_to == Position("bin.000009", log.end)
    log.say("XA ROLLBACK X'62',X'',1")
    log.changes.receive(rotation("bin.000010"))
    log.say("XA COMMIT X'61' , x'',1")
    assert log.keys() == [97]
    assert log.changes.prepared == 0
    assert log.changes.position == Position("bin.000010", log.end)
    log.say("XA COMMIT X'99',X'',1")
    assert log.keys() == []


def test_a_transaction_that_is_prepared_and_committed_at_once() -> None:
    log = _Log()
    log.say("XA START X'61',X'',1")
    log.write(5)
    log.add(EventKind.XA_PREPARE, prepared(b"a", at_once=True))
    assert log.keys() == [5]
    assert log.changes.position.offset == log.end


def test_what_mariadb_tells_of_a_prepared_transaction() -> None:
    log = _Log()
    log.add(EventKind.MARIADB_GTID, bytes(12) + b"\x40" + bytes(6))
    log.write(5)
    log.add(EventKind.XA_PREPARE, prepared(b"a"))
    assert log.keys() == []
    log.add(EventKind.MARIADB_GTID, bytes(12) + b"\x80" + bytes(6))
    log.say("XA COMMIT X'61',X'',1")
    assert log.keys() == [5]


def test_statements_that_name_a_table_are_told() -> None:
    log = _Log()
    for text in (
        "CREATE TABLE x (a INT)",
        "GRANT SELECT ON t_0 TO a",
        "TRUNCATE TABLE `T_0`",
        "SAVEPOINT t_0",
        "COMMIT",
    ):
        log.say(text)
    found = log.changes.take()
    assert found.statements == ["shop: TRUNCATE TABLE `T_0`"]
    assert found.moment == 1_700_000_000
    assert log.changes.position.offset == log.end


def test_a_file_that_ends_in_a_transaction() -> None:
    log = _Log()
    log.add(EventKind.MARIADB_GTID, bytes(12) + b"\x40")
    log.write(5)
    log.changes.receive(rotation("bin.000010"))
    assert log.changes.position == Position("bin.000010", 4)
    log.end = 4
    log.add(EventKind.XID, bytes(8))
    assert log.keys() == []


def test_positions_never_go_back() -> None:
    log = _Log(Position("bin.000009", 2**32 - 50))
    log.end = 0
    log.add(EventKind.XID, bytes(8))
    assert log.changes.position == Position("bin.000009", 2**32 - 50)
    log.changes.receive(rotation("bin.1000000"))
    assert log.changes.position == Position("bin.1000000", 4)


def test_what_cannot_be_followed() -> None:
    for kind, reason in (
        (EventKind.TRANSACTION_PAYLOAD, "binlog_transaction_compression"),
        (EventKind.PARTIAL_UPDATE_ROWS, "binlog_row_value_options"),
        (EventKind.INCIDENT, "lost events"),
    ):
        with pytest.raises(MeshError, match=reason):
            _Log().add(kind)
    log = _Log()
    with pytest.raises(MeshError, match=r"shop\.t_0.*1 columns that had 2"):
        log.add(EventKind.TABLE_MAP, table_map(5, "shop", "t_0", b"\3", b""))


def test_how_a_table_is_followed() -> None:
    table = image_table("t_0", TableSchema("t", _SCHEMA.columns[:3], ("n", "raw", "id")))
    assert followed_table(_NODE, _SCHEMA, table) == FollowedTable(
        _NODE, 4, (KeyColumn(2, unsigned=True, width=9), KeyColumn(1, padded=True), KeyColumn(0)), "t_0"
    )
    with pytest.raises(MeshError, match="uuid"):
        followed_table(_NODE, _SCHEMA, image_table("t_0", _SCHEMA).told_apart_by(("u",)))


@given(st.lists(st.tuples(st.sampled_from(sorted(EventKind)), st.binary(max_size=60)), max_size=12))
def test_any_events_are_read_or_an_error(events: list[tuple[EventKind, bytes]]) -> None:
    log = _Log()
    for kind, body in events:
        before = log.changes.position.order
        try:
            log.add(kind, body)
        except (ProtocolError, MeshError):
            continue
        assert log.changes.position.order >= before
